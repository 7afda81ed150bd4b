/* Connections of the HTTP gateway as lines of the table of sessions, and what is remembered of each. */
#include <stdlib.h>
#include <unistd.h>
#include "gateways/http/web_internal_host.h"
#include "gateways/http/web_peer_host.h"

struct web_connection {
    struct gateways *g;
    struct session *session;
    struct http_exchange *x;
    bool asked_user, same_user; /* is it a program of the node's own user? */
    bool named;                 /* its User-Agent was told */
};

static void disconnect(void *owner)
{
    struct web_connection *w = owner;
    http_disconnect(w->x);
}

/* Only a page that listens to events can show one. */
static bool message(void *owner, const char *text)
{
    struct web_connection *w = owner;
    return api_events_message(w->g, w->x, text);
}

/* An answer in HTTP/1 cannot end early but with its connection; a browser or curl opens another. */
static const struct session_acts acts = {disconnect, disconnect, message};

unsigned web_opened(void *owner, struct http_exchange *x, uint32_t *retry_s, const char **message)
{
    struct gateways *g = owner;
    struct web_connection *w = calloc(1, sizeof *w);
    int r = w ? session_begin(g->sessions, "HTTP", &x->peer, &acts, w, &w->session, retry_s) : ERR_NO_MEMORY;
    if (r == 0) {
        w->g = g;
        w->x = x;
        x->connection = w;
        return 0;
    }
    free(w);
    switch (r) {
    case ERR_PERMISSION:
        *message = "this address is kept out by the owner of this node for a time";
        return 403;
    case ERR_BUSY:
        *retry_s = 1;
        *message = "too many connections from this address: close some, or wait";
        return 429;
    default:
        *retry_s = 1;
        *message = "this node has as many connections as it takes: try again in a moment";
        return 503;
    }
}

void web_ended(void *owner, struct http_exchange *x)
{
    struct web_connection *w = x->connection;
    (void)owner;
    x->connection = NULL;
    session_end(w->session);
    free(w);
}

void web_moved(void *owner, struct http_exchange *x, uint64_t in, uint64_t out)
{
    struct web_connection *w = x->connection;
    (void)owner;
    if (w)
        session_bytes(w->session, in, out);
}

void web_answered(void *owner, struct http_exchange *x)
{
    struct web_connection *w = x->connection;
    (void)owner;
    session_transfer_end(w->session, x->status < 400);
}

void web_request_begins(struct http_exchange *x)
{
    struct web_connection *w = x->connection;
    struct bytes agent;
    if (!w->named && http_field_get(x->head, x->bytes, "User-Agent", &agent))
        session_client(w->session, agent);
    w->named = true;
    session_command_bytes(w->session, http_text(x->bytes, x->head->method_text),
                          http_text(x->bytes, x->head->path));
}

void web_transfer_begins(struct http_exchange *x, const char *path, bool up)
{
    struct web_connection *w = x->connection;
    if (w)
        session_transfer_begin(w->session, path, up);
}

void web_session_who(struct http_exchange *x, const struct account_who *who)
{
    struct web_connection *w = x->connection;
    if (w)
        session_who(w->session, who);
}

struct gateways *web_gateways(struct http_exchange *x)
{
    struct web_connection *w = x->connection;
    return w ? w->g : NULL;
}

bool web_same_user(struct http_exchange *x)
{
    struct web_connection *w = x->connection;
    struct net_addr local;
    uid_t user;
    if (!w || net_addr_scope(&x->peer) != NET_SCOPE_LOOPBACK)
        return false;
    if (!w->asked_user)
        w->same_user = http_local(x, &local) && web_peer_user(&local, &x->peer, &user) && user == geteuid();
    w->asked_user = true;
    return w->same_user;
}
