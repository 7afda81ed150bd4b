/* An HTTP/1.1 server on a libuv stream: connections that persist and pipeline, one exchange at a time on
 * each, bounded in number, memory and time. It knows nothing of what is served: each complete request goes to
 * one handler, which answers now or later. Loop thread only. */
#ifndef SHOAL_HTTP_SERVER_HOST_H
#define SHOAL_HTTP_SERVER_HOST_H
#include <uv.h>
#include "gateways/http/http_parse.h"

struct http_server;

struct http_exchange { /* one request and its answer; lives until http_reply or `gone` */
    const struct http_head *head;
    const uint8_t *bytes; /* what head's spans point into */
    struct bytes body;    /* whole */
    void (*gone)(struct http_exchange
                     *x); /* set by a handler that answers later: the connection broke, do not reply */
    void *owner;          /* the handler's */
};

struct http_server_config {
    uint32_t connections_max;    /* more wait in the listen queue */
    uint64_t body_max;           /* [bytes]; larger ones are answered 413 */
    uint32_t request_timeout_ms; /* from the first byte of a request to its last */
    uint32_t idle_timeout_ms;    /* between requests */
    void (*handle)(void *owner, struct http_exchange *x);
    /* The body of an error answer the server itself makes (malformed, too large, too slow). NULL: the reason
     * as text. The caller frees. */
    char *(*error_body)(unsigned status, const char *message);
    const char *error_type;
    uint64_t (*unix_ms)(void); /* for Date; NULL: no Date */
    void *owner;
};

/* Serves on a Unix socket at `path`, mode 0600; a socket that lies there is replaced. Returns 0 or a UV
 * error. */
int http_server_open_unix(struct http_server **out, uv_loop_t *loop, const struct http_server_config *config,
                          const char *path);
/* Answers in flight are still sent; everything else is closed. `closed` (may be NULL) when nothing is left.
 */
void http_server_close(struct http_server *s, void (*closed)(void *context), void *context);

/* Answers. `body` (malloc, may be NULL) is taken. extra: complete field lines ("Allow: GET\r\n") or NULL.
 * HEAD gets the head alone. */
void http_reply(struct http_exchange *x, unsigned status, const char *type, const char *extra, char *body,
                size_t size);
#endif
