/* Between the files of the HTTP gateway. */
#ifndef SHOAL_WEB_INTERNAL_HOST_H
#define SHOAL_WEB_INTERNAL_HOST_H
#include "gateways/http/http_write.h"
#include "gateways/http/web_host.h"

#define WEB_PAGE_KEY_SIZE 32
#define WEB_BODY_MAX      (4u << 20) /* of bodies that are gathered [bytes] */
#define WEB_ENTER_SIZE    22 /* base64url of 16 bytes */
#define WEB_ENTER_MAX     8u
#define WEB_DIGESTS 64u
struct web_digest { /* of a whole file, known since it was given as a torrent or Metalink */
    struct content_id id;
    uint8_t sha256[32];
    bool known;
};

struct web {
    struct http_server *server, *echo;
    struct net_addr address;
    char text[NET_ADDR_TEXT_MAX];
    struct web_digest digests[WEB_DIGESTS];
    char token[ACCOUNT_TOKEN_SIZE + 1]; /* of this run; in home/api.token */
    uint8_t page_key[WEB_PAGE_KEY_SIZE];
    char enter[WEB_ENTER_MAX][WEB_ENTER_SIZE + 1]; /* secrets of links, "" = none or used */
    unsigned enter_next;
};
static inline struct web *web_of(const struct gateways *g)
{
    return g->state[GATEWAY_HTTP];
}
/* web_session_host.c: of the server's configuration, and for those who answer requests. */
unsigned web_opened(void *owner, struct http_exchange *x, uint32_t *retry_s, const char **message);
void web_ended(void *owner, struct http_exchange *x);
void web_moved(void *owner, struct http_exchange *x, uint64_t in, uint64_t out);
void web_answered(void *owner, struct http_exchange *x);
void web_request_begins(struct http_exchange *x);
/* The body of a file begins: a line in the session's log when the answer is through. */
void web_transfer_begins(struct http_exchange *x, const char *path, bool up);
void web_session_who(struct http_exchange *x, const struct account_who *who);
struct gateways *web_gateways(struct http_exchange *x); /* NULL: a Unix socket, or gone */
bool web_same_user(struct http_exchange *x); /* its program runs as this node's user */

/* web_host.c */
void web_origin_find(const struct gateways *g, const struct http_exchange *x, struct web_origin *out);
int web_echo_listen(struct gateways *g, char *message);                 /* web_echo_host.c */
char *web_error_plain(unsigned status, const char *message);            /* web_error_host.c; for struct http_server_config */
void web_metrics(struct gateways *g, struct http_exchange *x); /* web_metrics_host.c */

/* As web_content, on the content's own origin: no sandbox. */
void web_content_own(struct gateways *g, struct http_exchange *x, const char *path);
/* web_torrent_host.c: "?as=torrent", "?as=magnet", "?as=meta4" of a content; with "&v=2" without the pieces of version 1, with "&v=1" with these alone (transmission 3.00 reads
 * no hybrid). False: the query has no
 * "as". */
bool web_export(struct gateways *g, struct http_exchange *x, const struct content_id *id, const char *name);
/* "/seed/<id>/<name>[/path]", as clients of such a torrent ask, becomes "/content/<id>[/path]". False: it is none. */
bool web_seed_path(char *path, size_t cap);
bool web_seed_pad(struct http_exchange *x, const char *path); /* true: answered */
/* RFC 6249: Link fields to these and the digest, once it is known (without one clients must ignore the links). Returns the size. */
#define WEB_DIGEST_FIELDS_MAX 512
size_t web_digest_fields(struct gateways *g, const struct content_id *id, char *out, size_t cap);
#endif
