/* Who a request is from (docs/api.md, "Who may what"). Over the Unix socket: the owner. Over TCP:
 *
 *   a program of the node's own user on this computer (the kernel tells whose a connection is): the owner; what changes something needs the token of
 *   GET /api/session as well, which no other site can read. Everybody else must say who they are:
 *
 *   Authorization: Bearer TOKEN   a token of `shoal account token`, or what is in home/api.token (the owner, for this run)
 *   X-Shoal-Token: TOKEN          home/api.token; or, with the cookie, the page's token that signing in answered
 *   Cookie                        of a browser that signed in. Alone it reads content, no more: other programs on this computer are given it, too,
 *                                 when the browser visits them, because cookies know no ports
 *
 * A browser signs in with name and password, or with a secret that is good once, from a link that `shoal up` and `shoal open` print. */
#ifndef SHOAL_WEB_AUTH_HOST_H
#define SHOAL_WEB_AUTH_HOST_H
#include "gateways/gateways_host.h"
#include "gateways/http/http_server_host.h"

#define WEB_TOKEN_FIELD "X-Shoal-Token"
#define WEB_LINK_MAX    160

struct web_caller {
    struct account_who who;    /* what it may do: proved by a header */
    struct account_who reader; /* whose content it may read: the cookie alone is enough */
    int64_t login;             /* row; 0: none, or a secret of this run */
    bool local;                /* from this computer */
    bool tried;                /* it brought something that is not (any more) good */
    bool needs_token;          /* reads as `who`; changes nothing without the run's token */
};
static const struct web_caller WEB_CALLER_OWNER = {{ACCOUNT_OWNER, ""}, {ACCOUNT_OWNER, ""}, 0, true, false, false};

void web_caller_of(struct gateways *g, struct http_exchange *x, struct web_caller *out);

/* home/api.token, the key of page tokens. */
void web_auth_start(struct gateways *g);
void web_auth_stop(struct gateways *g);
/* "http://127.0.0.1:8733/#/enter/SECRET", good for one browser once. False: HTTP is off. */
bool web_enter_link(struct gateways *g, char out[WEB_LINK_MAX]);
#endif
