/* The FTP gateway's listener, its settings, its beginning and end. */
#include "gateways/ftp/ftp_host.h"
#include <stdio.h>
#include <stdlib.h>
#include "gateways/ftp/ftp_conn_host.h"
#include "node/host/core.h"
#include "node/host/log.h"

static struct ftp_server *server_of(const struct gateways *g)
{
    return g->state[GATEWAY_FTP];
}

const char *ftp_address(const struct gateways *g)
{
    const struct ftp_server *s = server_of(g);
    return s->text[0] ? s->text : NULL;
}

static void on_closed(uv_handle_t *handle)
{
    struct ftp_server *s = handle->data;
    gateways_release(s->g);
}

void ftp_stop(struct gateways *g)
{
    struct ftp_server *s = server_of(g);
    s->closing = true;
    s->text[0] = 0;
    for (struct ftp_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        ftp_conn_end(c, "this node stops");
        ftp_conn_close(c);
    }
    uv_close((uv_handle_t *)&s->listener, on_closed);
}

void ftp_free(struct gateways *g)
{
    free(g->state[GATEWAY_FTP]);
    g->state[GATEWAY_FTP] = NULL;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct ftp_server *s = listener->data;
    if (status == 0 && !s->closing)
        ftp_conn_open(s);
}

static int try_listen(struct ftp_server *s)
{
    struct sockaddr_storage ss;
    int size = sizeof ss;
    host_to_sockaddr(&ss, &s->address);
    int r = uv_tcp_bind(&s->listener, (struct sockaddr *)&ss, 0);
    if (r == 0)
        r = uv_listen((uv_stream_t *)&s->listener, 1024, on_connection);
    if (r == 0 && uv_tcp_getsockname(&s->listener, (struct sockaddr *)&ss, &size) == 0)
        host_from_sockaddr(&s->address, (struct sockaddr *)&ss);
    return r;
}

/* A handle whose bind or listen failed cannot be used for another port: the next one takes its place. */
struct discarded {
    uv_tcp_t tcp;
    struct gateways *g;
};

static void on_discarded(uv_handle_t *handle)
{
    struct discarded *d = handle->data;
    struct gateways *g = d->g;
    free(d);
    gateways_release(g);
}

/* Is the port free? Tried with a handle of its own. */
static bool port_taken(struct ftp_server *s)
{
    struct sockaddr_storage ss;
    struct discarded *d = calloc(1, sizeof *d);
    if (!d)
        return false;
    d->g = s->g;
    gateways_hold(s->g);
    uv_tcp_init(&s->g->app->loop, &d->tcp);
    d->tcp.data = d;
    host_to_sockaddr(&ss, &s->address);
    int r = uv_tcp_bind(&d->tcp, (struct sockaddr *)&ss, 0);
    if (r == 0)
        r = uv_listen((uv_stream_t *)&d->tcp, 1, on_connection);
    uv_close((uv_handle_t *)&d->tcp, on_discarded);
    return r == UV_EADDRINUSE;
}

static int start_listening(struct ftp_server *s, const char *wanted, char *message)
{
    char setting[80];
    s->address = net_addr_v4(127, 0, 0, 1, FTP_PORT);
    if (wanted[0] && net_addr_parse(&s->address, wanted) != 0) {
        snprintf(message, APP_MESSAGE_MAX,
                 "ftp address \"%s\" is not ADDRESS:PORT, like 127.0.0.1:%d, or off", wanted, FTP_PORT);
        return ERR_MALFORMED;
    }
    snprintf(setting, sizeof setting, "ftp on %.63s", wanted);
    int rc = gateways_may_listen(s->g, &s->address, setting, message);
    if (rc != 0)
        return rc;
    if (!wanted[0] && port_taken(s))
        s->address.port = 0;
    int r = try_listen(s);
    if (r == 0)
        return 0;
    snprintf(message, APP_MESSAGE_MAX,
             "cannot listen on %s for ftp: %s; name another address with --ftp ADDRESS:PORT, or off",
             wanted[0] ? wanted : "127.0.0.1",
             r == UV_EADDRINUSE ? "another program uses this port" : uv_strerror(r));
    return ERR_BUSY;
}

static void configure(struct ftp_server *s, const struct config *c)
{
    uint16_t at;
    ftp_config_default(&s->session_config);
    if (c->ftp_idle_s)
        s->session_config.idle_s = c->ftp_idle_s;
    s->anonymous = c->ftp_anonymous;
    s->session_config.anonymous = c->ftp_anonymous != CONFIG_ANONYMOUS_OFF;
    s->port_first = c->ftp_port_first;
    s->port_last = c->ftp_port_last;
    s->external = c->ftp_external;
    host_random(&at, sizeof at); /* a stranger who guesses the next port should have to guess */
    if (s->port_first)
        s->port_next = (uint16_t)(s->port_first + at % (s->port_last - s->port_first + 1));
}

int ftp_start(struct gateways *g, char *message)
{
    const char *wanted = g->app->config.ftp;
    if (strcmp(wanted, "off") == 0)
        return 0;
    struct ftp_server *s = calloc(1, sizeof *s);
    if (!s) {
        snprintf(message, APP_MESSAGE_MAX, "out of memory");
        return ERR_NO_MEMORY;
    }
    s->g = g;
    g->state[GATEWAY_FTP] = s;
    configure(s, &g->app->config);
    uv_tcp_init(&g->app->loop, &s->listener);
    s->listener.data = s;
    gateways_hold(g);
    int rc = start_listening(s, wanted, message);
    if (rc != 0)
        return rc; /* ftp_stop closes the rest */
    net_addr_format(s->text, &s->address);
    struct net_addr any = s->address;
    if (net_addr_scope(&any) != NET_SCOPE_LOOPBACK)
        log_warning("ftp", "on %s passwords pass in the clear, as FTP has it: for networks that you trust",
                    s->text);
    return 0;
}
