/* The one object that owns what all gateways share (content, accounts, sessions with their limits) and starts and stops each gateway as the
 * configuration says. A new gateway is one line in the table `gateway_kinds` of gateways_host.c, one name in enum gateway, and a file with the
 * four functions below. Loop thread only. */
#ifndef SHOAL_GATEWAYS_HOST_H
#define SHOAL_GATEWAYS_HOST_H
#include "gateways/accounts_host.h"
#include "gateways/content_host.h"
#include "gateways/sessions_host.h"

enum gateway { GATEWAY_API, GATEWAY_HTTP, GATEWAY_FTP, GATEWAY_DNS, GATEWAY_COUNT }; /* the order in which they start and stop */

struct gateways {
    struct app *app;
    /* Valid from the first start function until the last hold is released. */
    struct content *content;
    struct accounts *accounts;
    struct sessions *sessions;
    uint32_t content_timeout_ms; /* how long an answer waits for content of other nodes */
    bool closing;                /* begin nothing new */
    void *state[GATEWAY_COUNT];  /* each gateway's own, set by its start; NULL = it is off */

    uint32_t holds;              /* gateways_host.c only, from here on */
    bool content_stopped, accounts_stopped;
};

struct gateway_kind {
    const char *name; /* as in `shoal status --json` and the configuration; static */
    /* Opens what g->app->config asks for. Off: 0, and state stays NULL. Otherwise state is set and every handle, request and thread that must end
     * before memory goes is held (gateways_hold). An error with a sentence in message (APP_MESSAGE_MAX: what, where, what to do): `stop` is
     * called when state was set, so clean-up needs no second way. */
    int (*start)(struct gateways *g, char *message);
    /* Called at most once, when state is set: closes listeners and sessions; each release may come now or later. g->content is stopped right
     * after all gateways were, so callbacks with ERR_CANCELLED may still come. */
    void (*stop)(struct gateways *g);
    /* Nothing is held any more and content has stopped: frees state. */
    void (*free)(struct gateways *g);
    /* "127.0.0.1:8733" for people and status, or the path of a socket; NULL when off. Called with state set. */
    const char *(*address)(const struct gateways *g);
};

/* After app_start. Sets app->gateways and app->on_stop. NULL: message says why, nothing is left but what ends with app_stop and app_run. */
struct gateways *gateways_start(struct app *app, char *message);
void gateways_stop(struct gateways *g); /* by app_stop; again: no effect */
/* Something of a gateway is under way (an open handle, a request in the thread pool). g lives until the last release. */
void gateways_hold(struct gateways *g);
void gateways_release(struct gateways *g);

const char *gateways_name(enum gateway which);
const char *gateways_address(const struct gateways *g, enum gateway which); /* NULL: off */

/* May this gateway listen there? ERR_PERMISSION with a sentence in message when `address` is open to other computers and there is no account.
 * setting: what the user wrote, for the sentence: "http on 0.0.0.0:80". */
int gateways_may_listen(struct gateways *g, const struct net_addr *address, const char *setting, char *message);
#endif
