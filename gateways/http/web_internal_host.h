/* Between the files of the HTTP gateway. */
#ifndef SHOAL_WEB_INTERNAL_HOST_H
#define SHOAL_WEB_INTERNAL_HOST_H
#include "gateways/http/http_write.h"
#include "gateways/http/web_host.h"

struct web {
    struct http_server *server, *echo;
    struct net_addr address;
    char text[NET_ADDR_TEXT_MAX];
    char token[ACCOUNT_TOKEN_SIZE + 1]; /* of this run; in home/api.token */
};
static inline struct web *web_of(const struct gateways *g)
{
    return g->state[GATEWAY_HTTP];
}
/* As web_content, on the content's own origin: no sandbox. */
void web_content_own(struct gateways *g, struct http_exchange *x, const char *path);
#endif
