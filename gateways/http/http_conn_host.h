/* Inside the server: one connection, shared by http_server_host.c (connections, input) and http_reply_host.c
 * (answers). */
#ifndef SHOAL_HTTP_CONN_HOST_H
#define SHOAL_HTTP_CONN_HOST_H
#include "gateways/http/http_server_host.h"
#include "gateways/http/http_write.h"

enum conn_state {
    CONN_HEAD,    /* a head arrives, or nothing yet */
    CONN_BODY,    /* its body arrives */
    CONN_REFUSED, /* malformed or too late: the answer goes out, nothing more is read as a request */
    CONN_BUSY,    /* the request is complete, its answer is not */
    CONN_LINGER,  /* the last answer went out; what still comes is thrown away, so that no reset overtakes the
                     answer (RFC 9112, 9.6) */
    CONN_CLOSING
};

struct conn {
    struct http_exchange exchange; /* first: the handler's pointer leads back here */
    union {
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    } h;
    uv_timer_t timer;
    struct http_server *server;
    struct conn *prev, *next;
    enum conn_state state;
    uint8_t handles; /* open uv handles and requests of the pool: freed when the last one has closed */
    bool keep_alive, accepted, paused,
        asked; /* asked: the handler has the exchange and still owes an answer */
    struct http_head head;
    struct http_body body;
    uint8_t
        *in; /* the request's head from its first byte, then what follows it; NULL while nothing is there */
    size_t in_size, in_cap;
    uint8_t *body_bytes;
    size_t body_size, body_cap;
    uint64_t moved; /* of a body since its time-out was set [bytes]; lingering: until when [ms of the loop] */

    /* The answer. */
    bool replying, chunked, no_body, ended, writing;
    char *reply_head; /* not yet sent, or being sent */
    size_t reply_head_size;
    bool head_sent;
    uint64_t left; /* of the length told [bytes] */
    char *reply_body;
    uv_write_t write;
    uv_shutdown_t shutdown;
    char chunk_head[HTTP_CHUNK_HEAD_MAX];
    struct conn *done_next; /* in the server's list of those whose write went through at once */
    uv_poll_t poll;         /* of a second descriptor of the socket: tells when a full one takes more of a file */
    int poll_fd;
    bool polled;
    struct { /* http_reply_file */
        bool active;
        int fd;
        uint64_t offset, left;
        int (*ok)(void *context);
        void *context;
        char *buffer; /* what sendfile could not take at once */
        size_t size;
        uv_fs_t read;
    } file;
};

struct http_server {
    struct http_server_config config;
    uv_loop_t *loop;
    union {
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    } h;
    bool is_tcp;
    uint8_t handles; /* that have not closed */
    uv_check_t check; /* goes on with `done`, in the turn of the loop in which it was filled */
    uv_idle_t idle;   /* active while `done` has something, so that the loop does not sleep */
    struct conn *done;
    struct conn *first;
    uint32_t count;
    bool waiting; /* a connection waits in the queue for a place */
    bool closing, ending;
    void (*closed)(void *context);
    void *closed_context;
};

void http_conn_close(struct conn *c);
void http_server_done(uv_check_t *check);
void http_conn_unhold(struct conn *c); /* a handle or request ended */
void http_conn_timeout(struct conn *c, uint32_t ms);
/* The answer has gone out: the next request, or the end. */
void http_conn_next(struct conn *c);
void http_conn_refuse(struct conn *c, unsigned status, const char *extra, const char *message);
static inline void http_conn_moved(struct conn *c, uint64_t in, uint64_t out)
{
    if (c->server->config.moved && c->accepted && in + out)
        c->server->config.moved(c->server->config.owner, &c->exchange, in, out);
}
#endif
