/* An HTTP/1.1 server on libuv streams: connections that persist and pipeline, one exchange at a time on each, bounded in number, memory and
 * time. It knows nothing of what is served: each request goes to one handler, which answers now or later, at once or in pieces. Loop thread
 * only; no function here calls the handler back before it returns. */
#ifndef SHOAL_HTTP_SERVER_HOST_H
#define SHOAL_HTTP_SERVER_HOST_H
#include <uv.h>
#include "gateways/http/http_parse.h"
#include "node/base/addr.h"

struct http_server;

struct http_exchange { /* one request and its answer; lives until the answer has ended or `gone` was called */
    const struct http_head *head;
    const uint8_t *bytes; /* what head's spans point into */
    struct bytes body;    /* whole, unless on_body was set */
    void (*gone)(struct http_exchange *x); /* set by a handler that answers later: the connection broke, do not answer any more */
    void *owner;                           /* the handler's */

    struct net_addr peer; /* port 0: a Unix socket */
    unsigned status;      /* of the answer, once it has begun */
    void *connection;     /* of `opened` below, for as long as the connection lives */

    /* Set in `begin` by a handler that takes the body in pieces: borrowed for the call; `last` comes once, perhaps with no bytes. The head
     * stays readable. `handle` is not called then; answer when you like (before `last`: the connection closes after the answer). */
    void (*on_body)(struct http_exchange *x, struct bytes piece, bool last);
    /* Set by a handler that answers in pieces: what http_reply_write or http_reply_file was given has gone out; give more, or end. */
    void (*written)(struct http_exchange *x);
};

struct http_server_config {
    uint32_t connections_max;    /* more wait in the listen queue */
    uint64_t body_max;           /* of bodies that are gathered [bytes]; larger ones are answered 413 */
    uint32_t request_timeout_ms; /* from the first byte of a request to the last of its head; and for a body that does not move */
    uint32_t idle_timeout_ms;    /* between requests */
    uint32_t write_timeout_ms;   /* for a reader that does not read. 0: request_timeout_ms */
    void (*handle)(void *owner, struct http_exchange *x);
    /* The head is there, its body is not (may be NULL). May set on_body, or answer at once: 413, 401, 417. */
    void (*begin)(void *owner, struct http_exchange *x);
    /* A connection came and went (all of these may be NULL). x has peer and connection only. opened: 0, or a status to refuse it with, *retry_s
     * (0 = none) for Retry-After and a static *message; `ended` comes for those that were not refused. moved: bytes went, since the last call.
     * answered: the answer to a request has gone out whole. */
    unsigned (*opened)(void *owner, struct http_exchange *x, uint32_t *retry_s, const char **message);
    void (*ended)(void *owner, struct http_exchange *x);
    void (*moved)(void *owner, struct http_exchange *x, uint64_t in, uint64_t out);
    void (*answered)(void *owner, struct http_exchange *x);
    /* The body of an error answer the server itself makes (malformed, too large, too slow). NULL: the reason as text. The caller frees. */
    char *(*error_body)(unsigned status, const char *message);
    const char *error_type;
    uint64_t (*unix_ms)(void); /* for Date; NULL: no Date */
    void *owner;
};

/* Serves on a Unix socket at `path`, mode 0600; a socket that lies there is replaced. Returns 0 or a UV error. */
int http_server_open_unix(struct http_server **out, uv_loop_t *loop, const struct http_server_config *config, const char *path);
/* Serves on TCP. Port 0: a free one. *addr becomes what is bound. UV_EADDRINUSE when it is taken. */
int http_server_open_tcp(struct http_server **out, uv_loop_t *loop, const struct http_server_config *config, struct net_addr *addr);
/* Answers in flight are still sent for a moment; everything else is closed. `closed` (may be NULL) when nothing is left. */
void http_server_close(struct http_server *s, void (*closed)(void *context), void *context);
uint32_t http_server_connections(const struct http_server *s);

/* Answers whole. `body` (malloc, may be NULL) is taken. extra: complete field lines ("Allow: GET\r\n") or NULL. HEAD gets the head alone. With
 * "Cache-Control: no-store" unless extra has a Cache-Control. */
void http_reply(struct http_exchange *x, unsigned status, const char *type, const char *extra, char *body, size_t size);

/* Answers in pieces: begin; then write or file, each after `written` told that the last one went out; then end. With length UINT64_MAX the
 * answer is chunked (HTTP/1.0: until close). Nothing goes out before the first piece or the end, so begin and file make one packet. */
void http_reply_begin(struct http_exchange *x, unsigned status, const char *type, const char *extra, uint64_t length);
/* Is a body wanted at all? False for HEAD, 204 and 304: end at once. */
bool http_reply_wants_body(const struct http_exchange *x);
void http_reply_write(struct http_exchange *x, const void *data, size_t size); /* size > 0; data stays the caller's until `written` */
/* By sendfile. fd stays open until `written`. ok (may be NULL) is asked after each slice, before it counts as sent: not 0 closes the connection
 * short (`gone` is called). Cold pages are read in the thread pool, never on the loop. */
void http_reply_file(struct http_exchange *x, int fd, uint64_t offset, uint64_t size, int (*ok)(void *context), void *context);
/* The answer is complete (when its length was told: all of it was given). x is dead. */
void http_reply_end(struct http_exchange *x);
/* Ends the connection short, so that nobody takes what came for the whole. x is dead; `gone` is not called. */
void http_reply_abort(struct http_exchange *x);

/* Back-pressure for on_body: no further piece until resume. */
void http_body_pause(struct http_exchange *x);
void http_body_resume(struct http_exchange *x);
/* Ends a connection by its exchange at whatever moment (`gone` is called when an answer was being made). */
void http_disconnect(struct http_exchange *x);
/* The address that the peer reached us at. False: a Unix socket, or gone. */
bool http_local(struct http_exchange *x, struct net_addr *out);
#endif
