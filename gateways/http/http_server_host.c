#include "gateways/http/http_server_host.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "gateways/http/http_write.h"
#include "node/base/assert.h"

#define REPLY_HEAD_MAX 1024
#define READ_SIZE      HTTP_HEAD_MAX

enum conn_state { CONN_HEAD, CONN_BODY, CONN_BUSY, CONN_WRITING, CONN_CLOSING };

struct conn {
    struct http_exchange exchange; /* first: the handler's pointer leads back here */
    uv_pipe_t pipe;
    uv_timer_t timer;
    uv_write_t write;
    struct http_server *server;
    struct conn *prev, *next;
    enum conn_state state;
    uint8_t handles; /* open uv handles: freed when the last one has closed */
    bool keep_alive, stepping;
    struct http_head head;
    struct http_body body;
    uint8_t *in; /* the request's head from its first byte, then what follows it */
    size_t in_size, in_cap;
    uint8_t *body_bytes;
    size_t body_size, body_cap;
    char reply_head[REPLY_HEAD_MAX];
    char *reply_body;
};

struct http_server {
    struct http_server_config config;
    uv_loop_t *loop;
    uv_pipe_t pipe;
    struct conn *first;
    uint32_t count;
    bool waiting; /* a connection waits in the queue for a place */
    bool closing, listener_closed;
    void (*closed)(void *context);
    void *closed_context;
};

static void step(struct conn *c);
static void on_timeout(uv_timer_t *timer);
static void accept_one(struct http_server *s);

/* ---- The end of a connection and of the server ---- */

static void server_maybe_free(struct http_server *s)
{
    if (!s->closing || !s->listener_closed || s->first)
        return;
    void (*closed)(void *) = s->closed;
    void *context = s->closed_context;
    free(s);
    if (closed)
        closed(context);
}

static void on_conn_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    struct http_server *s = c->server;
    if (--c->handles)
        return;
    *(c->prev ? &c->prev->next : &s->first) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    s->count--;
    free(c->in);
    free(c->body_bytes);
    free(c->reply_body);
    free(c);
    if (s->waiting && !s->closing)
        accept_one(s);
    server_maybe_free(s);
}

static void conn_close(struct conn *c)
{
    if (c->state == CONN_CLOSING)
        return;
    bool busy = c->state == CONN_BUSY;
    c->state = CONN_CLOSING;
    if (busy && c->exchange.gone)
        c->exchange.gone(&c->exchange);
    uv_close((uv_handle_t *)&c->pipe, on_conn_closed);
    uv_close((uv_handle_t *)&c->timer, on_conn_closed);
}

/* ---- Answers ---- */

static void drop_input(struct conn *c, size_t size)
{
    core_assert(size <= c->in_size);
    memmove(c->in, c->in + size, c->in_size - size);
    c->in_size -= size;
}

static void on_written(uv_write_t *write, int status)
{
    struct conn *c = write->data;
    free(c->reply_body);
    c->reply_body = NULL;
    uv_timer_stop(&c->timer);
    if (c->state == CONN_CLOSING)
        return;
    if (status != 0 || !c->keep_alive || c->server->closing) {
        conn_close(c);
        return;
    }
    drop_input(c, c->head.size);
    c->state = CONN_HEAD;
    http_head_init(&c->head, false);
    step(c);
}

static void conn_send(struct conn *c, unsigned status, const char *type, const char *extra, char *body,
                      size_t size)
{
    struct http_server *s = c->server;
    struct http_writer w;
    http_writer_init(&w, c->reply_head, sizeof c->reply_head);
    http_write_status(&w, status);
    if (s->config.unix_ms)
        http_write_date(&w, "Date", s->config.unix_ms() / 1000);
    if (body)
        http_write_field(&w, "Content-Type", type);
    if (status != 204)
        http_write_framing(&w, &c->head, true, size);
    http_write_field(&w, "Cache-Control", "no-store");
    http_write_connection(&w, &c->head, c->keep_alive);
    for (const char *p = extra; p && *p && !w.overflow; p++) {
        core_assert(w.size < w.cap);
        w.data[w.size++] = *p;
    }
    http_write_end(&w);
    core_assert(!w.overflow);
    uv_buf_t bufs[2] = {uv_buf_init(c->reply_head, (unsigned)w.size), uv_buf_init(body, (unsigned)size)};
    bool with_body = body && size && c->head.method != HTTP_HEAD;
    c->reply_body = body;
    c->state = CONN_WRITING;
    c->write.data = c;
    uv_timer_start(&c->timer, on_timeout, c->server->config.request_timeout_ms,
                   0); /* a reader that does not read is let go */
    if (uv_write(&c->write, (uv_stream_t *)&c->pipe, bufs, with_body ? 2 : 1, on_written) != 0)
        conn_close(c);
}

void http_reply(struct http_exchange *x, unsigned status, const char *type, const char *extra, char *body,
                size_t size)
{
    struct conn *c = (struct conn *)x;
    core_assert(c->state == CONN_BUSY);
    c->exchange.gone = NULL;
    free(c->body_bytes);
    c->body_bytes = NULL;
    c->body_size = c->body_cap = 0;
    conn_send(c, status, type, extra, body, size);
}

/* What cannot be framed cannot be followed by anything: answer and close. */
static void refuse(struct conn *c, unsigned status, const char *message)
{
    const struct http_server_config *config = &c->server->config;
    char *body = config->error_body ? config->error_body(status, message) : strdup(message);
    c->keep_alive = false;
    uv_read_stop((uv_stream_t *)&c->pipe);
    conn_send(c, status, config->error_body ? config->error_type : "text/plain; charset=utf-8", NULL, body,
              body ? strlen(body) : 0);
}

/* ---- Input ---- */

static void on_timeout(uv_timer_t *timer)
{
    struct conn *c = timer->data;
    bool begun = c->state == CONN_BODY || (c->state == CONN_HEAD && c->in_size > 0);
    if (begun)
        refuse(c, 408, "the request did not arrive in time");
    else
        conn_close(c);
}

static bool keep_body(struct conn *c, struct bytes piece)
{
    if (piece.size > c->body_cap - c->body_size) {
        size_t cap = c->body_cap ? c->body_cap * 2 : 4096;
        while (cap < c->body_size + piece.size)
            cap *= 2;
        uint8_t *grown = realloc(c->body_bytes, cap);
        if (!grown)
            return false;
        c->body_bytes = grown;
        c->body_cap = cap;
    }
    if (piece.size)
        memcpy(c->body_bytes + c->body_size, piece.data, piece.size);
    c->body_size += piece.size;
    return true;
}

/* "100 Continue" is a few bytes to a peer that waits for them; a socket that cannot take those is not worth
 * waiting for. */
static void send_continue(struct conn *c)
{
    uv_buf_t buf = uv_buf_init((char *)HTTP_CONTINUE, sizeof HTTP_CONTINUE - 1);
    if (uv_try_write((uv_stream_t *)&c->pipe, &buf, 1) != (int)buf.len)
        conn_close(c);
}

static void step_head(struct conn *c)
{
    enum http_result r = c->in_size ? http_head_parse(&c->head, c->in, c->in_size) : HTTP_MORE;
    if (r == HTTP_BAD) {
        refuse(c, c->head.error_status, c->head.error);
    } else if (r == HTTP_DONE) {
        http_body_init(&c->body, &c->head, c->server->config.body_max, false);
        c->state = CONN_BODY;
        c->keep_alive = c->head.keep_alive;
        c->body_size = 0;
    }
}

/* The head stays where it is: the handler reads it. What follows it is consumed as body, and the rest moves
 * down behind the head. */
static void step_body(struct conn *c)
{
    size_t at = c->head.size;
    enum http_result r;
    do {
        size_t used;
        struct bytes piece;
        r = http_body_parse(&c->body, c->in + at, c->in_size - at, &used, &piece);
        if (r != HTTP_BAD && !keep_body(c, piece)) {
            refuse(c, 503, "out of memory");
            return;
        }
        at += used;
    } while (r == HTTP_MORE && at < c->in_size);
    memmove(c->in + c->head.size, c->in + at, c->in_size - at);
    c->in_size -= at - c->head.size;
    if (r == HTTP_BAD) {
        refuse(c, c->body.error_status, c->body.error);
    } else if (r == HTTP_DONE) {
        c->state = CONN_BUSY;
        uv_timer_stop(&c->timer);
        c->exchange.bytes = c->in;
        c->exchange.body = bytes_of(c->body_bytes, c->body_size);
        c->exchange.gone = NULL;
        c->server->config.handle(c->server->config.owner, &c->exchange);
    } else if (c->head.expect_continue) {
        c->head.expect_continue = false;
        send_continue(c);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct conn *c = handle->data;
    (void)suggested;
    if (c->in_cap < c->in_size + 4096) {
        uint8_t *grown = realloc(c->in, c->in_size + READ_SIZE);
        if (grown) {
            c->in = grown;
            c->in_cap = c->in_size + READ_SIZE;
        }
    }
    *buf = uv_buf_init((char *)c->in + c->in_size, (unsigned)(c->in_cap - c->in_size));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = stream->data;
    (void)buf;
    if (n < 0) {
        conn_close(c);
    } else if (n > 0) {
        if (c->in_size == 0)
            uv_timer_start(&c->timer, on_timeout, c->server->config.request_timeout_ms, 0);
        c->in_size += (size_t)n;
        step(c);
    }
}

/* Goes on as far as the input reaches. An answer that is given at once comes back here by on_written, never
 * from within. Reading stops while an exchange is being served: the next request waits in the socket, not in
 * our memory. */
static void step(struct conn *c)
{
    if (c->state == CONN_HEAD)
        step_head(c);
    if (c->state == CONN_BODY)
        step_body(c);
    if (c->state == CONN_HEAD || c->state == CONN_BODY) {
        if (c->in_size == 0)
            uv_timer_start(&c->timer, on_timeout, c->server->config.idle_timeout_ms, 0);
        else if (!uv_is_active((uv_handle_t *)&c->timer))
            uv_timer_start(&c->timer, on_timeout, c->server->config.request_timeout_ms, 0);
        int r = uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read);
        if (r != 0 && r != UV_EALREADY)
            conn_close(c);
    } else if (c->state != CONN_CLOSING) {
        uv_read_stop((uv_stream_t *)&c->pipe);
    }
}

/* ---- Listening ---- */

static void accept_one(struct http_server *s)
{
    s->waiting = s->count >= s->config.connections_max;
    if (s->waiting)
        return;
    struct conn *c = calloc(1, sizeof *c);
    if (!c) {
        s->waiting = true;
        return;
    }
    c->server = s;
    c->exchange.head = &c->head;
    uv_pipe_init(s->loop, &c->pipe, 0);
    uv_timer_init(s->loop, &c->timer);
    c->pipe.data = c->timer.data = c;
    c->handles = 2;
    c->next = s->first;
    if (s->first)
        s->first->prev = c;
    s->first = c;
    s->count++;
    http_head_init(&c->head, false);
    if (uv_accept((uv_stream_t *)&s->pipe, (uv_stream_t *)&c->pipe) != 0)
        conn_close(c);
    else
        step(c);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct http_server *s = listener->data;
    if (status == 0 && !s->closing)
        accept_one(s);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct http_server *s = handle->data;
    s->listener_closed = true;
    server_maybe_free(s);
}

void http_server_close(struct http_server *s, void (*closed)(void *context), void *context)
{
    core_assert(!s->closing);
    s->closing = true;
    s->closed = closed;
    s->closed_context = context;
    for (struct conn *c = s->first, *next; c; c = next) {
        next = c->next;
        if (c->state != CONN_WRITING)
            conn_close(c);
    }
    uv_close((uv_handle_t *)&s->pipe, on_listener_closed);
}

int http_server_open_unix(struct http_server **out, uv_loop_t *loop, const struct http_server_config *config,
                          const char *path)
{
    struct http_server *s = calloc(1, sizeof *s);
    if (!s)
        return UV_ENOMEM;
    s->config = *config;
    s->loop = loop;
    uv_pipe_init(loop, &s->pipe, 0);
    s->pipe.data = s;
    unlink(path);
    int r = uv_pipe_bind(&s->pipe, path);
    if (r == 0 && chmod(path, 0600) != 0) /* before listen: nobody can connect yet */
        r = UV_EIO;
    if (r == 0)
        r = uv_listen((uv_stream_t *)&s->pipe, 64, on_connection);
    if (r != 0) {
        http_server_close(s, NULL, NULL);
        return r;
    }
    *out = s;
    return 0;
}
