/* Connections and what comes in on them. */
#include "gateways/http/http_server_host.h"
#include <stdio.h>
#include <stdlib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "gateways/http/http_conn_host.h"
#include "node/base/assert.h"
#include "node/host/core.h"

#define READ_SIZE   HTTP_HEAD_MAX
#define UNSENT_MAX  (256 * 1024)
#define UNSENT_FREE 64 /* connections that may fill what the kernel gives them */
#define LINGER_MS   2000 /* of silence */
#define LINGER_ALL  20000
#define LINGER_SIZE (64u << 20) /* thrown away at most, of a peer that goes on sending [bytes] */
#define BODY_STEP   (16u << 10) /* what a body must bring within the request's time-out, again and again [bytes] */

static void step(struct conn *c);
static void accept_one(struct http_server *s);

/* ---- The end of a connection and of the server ---- */

static void on_server_handle_closed(uv_handle_t *handle);

static void server_maybe_free(struct http_server *s)
{
    if (!s->closing || s->first)
        return;
    if (!s->ending) { /* not before the last connection: it may still wait in `done` */
        s->ending = true;
        uv_close((uv_handle_t *)&s->check, on_server_handle_closed);
        uv_close((uv_handle_t *)&s->idle, on_server_handle_closed);
    }
    if (s->handles)
        return;
    void (*closed)(void *) = s->closed;
    void *context = s->closed_context;
    free(s);
    if (closed)
        closed(context);
}

void http_conn_unhold(struct conn *c)
{
    struct http_server *s = c->server;
    if (--c->handles)
        return;
    *(c->prev ? &c->prev->next : &s->first) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    s->count--;
    free(c->in);
    free(c->body_bytes);
    free(c->reply_head);
    free(c->reply_body);
    free(c->file.buffer);
    free(c);
    if (s->waiting && !s->closing)
        accept_one(s);
    server_maybe_free(s);
}

static void on_conn_closed(uv_handle_t *handle)
{
    http_conn_unhold(handle->data);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    close(c->poll_fd);
    http_conn_unhold(c);
}

void http_conn_close(struct conn *c)
{
    if (c->state == CONN_CLOSING)
        return;
    bool asked = c->asked;
    c->state = CONN_CLOSING;
    c->asked = false;
    if (asked && c->exchange.gone)
        c->exchange.gone(&c->exchange);
    if (c->accepted && c->server->config.ended)
        c->server->config.ended(c->server->config.owner, &c->exchange);
    uv_close((uv_handle_t *)&c->h.stream, on_conn_closed);
    uv_close((uv_handle_t *)&c->timer, on_conn_closed);
    if (c->polled)
        uv_close((uv_handle_t *)&c->poll, on_poll_closed);
}

void http_disconnect(struct http_exchange *x)
{
    http_conn_close((struct conn *)x);
}

/* ---- Time ---- */

static void on_timeout(uv_timer_t *timer)
{
    struct conn *c = timer->data;
    bool begun = (c->state == CONN_BODY || (c->state == CONN_HEAD && c->in_size > 0)) && !c->replying;
    if (begun)
        http_conn_refuse(c, 408, NULL, "the request did not arrive in time");
    else
        http_conn_close(c);
}

void http_conn_timeout(struct conn *c, uint32_t ms)
{
    if (c->state != CONN_CLOSING)
        uv_timer_start(&c->timer, on_timeout, ms, 0);
}

/* ---- Input ---- */

static void drop_input(struct conn *c, size_t size)
{
    core_assert(size <= c->in_size);
    if (c->in_size > size)
        memmove(c->in, c->in + size, c->in_size - size);
    c->in_size -= size;
    if (c->in_size > 0)
        return;
    free(c->in); /* an idle connection holds no buffer */
    c->in = NULL;
    c->in_cap = 0;
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
    if (uv_try_write(&c->h.stream, &buf, 1) != (int)buf.len)
        http_conn_close(c);
}

static void step_head(struct conn *c)
{
    enum http_result r = c->in_size ? http_head_parse(&c->head, c->in, c->in_size) : HTTP_MORE;
    if (r == HTTP_BAD) {
        http_conn_refuse(c, c->head.error_status, NULL, c->head.error);
        return;
    }
    if (r != HTTP_DONE)
        return;
    struct http_server *s = c->server;
    c->keep_alive = c->head.keep_alive;
    c->body_size = 0;
    c->paused = false;
    c->state = CONN_BODY;
    c->exchange.bytes = c->in;
    c->exchange.gone = NULL;
    c->exchange.on_body = NULL;
    c->exchange.written = NULL;
    c->exchange.owner = NULL;
    c->exchange.body = bytes_of(NULL, 0);
    if (s->config.begin) {
        c->asked = true;
        s->config.begin(s->config.owner, &c->exchange);
        if (!c->exchange.on_body && c->state == CONN_BODY && !c->replying)
            c->asked = false;
    }
    http_body_init(&c->body, &c->head, c->exchange.on_body ? UINT64_MAX : s->config.body_max, false);
}

/* Answered before the body has come: what still comes is thrown away when the answer has gone out. */
static bool is_answered(const struct conn *c)
{
    return c->replying && !c->asked;
}

/* A piece of the body, to who takes it. */
static bool body_piece(struct conn *c, struct bytes piece, bool last)
{
    if (!c->exchange.on_body) {
        if (keep_body(c, piece))
            return true;
        http_conn_refuse(c, 503, NULL, "out of memory");
        return false;
    }
    if (piece.size || last)
        c->exchange.on_body(&c->exchange, piece, last);
    return c->state == CONN_BODY && !is_answered(c);
}

static void body_done(struct conn *c)
{
    c->state = CONN_BUSY;
    if (!c->replying)
        uv_timer_stop(&c->timer);
    if (c->exchange.on_body) {
        c->exchange.on_body(&c->exchange, bytes_of(NULL, 0), true);
        return;
    }
    c->exchange.body = bytes_of(c->body_bytes, c->body_size);
    c->asked = true;
    c->server->config.handle(c->server->config.owner, &c->exchange);
}

/* The head stays where it is: the handler reads it. What follows it is consumed as body, and the rest moves
 * down behind the head. */
static void step_body(struct conn *c)
{
    size_t at = c->head.size;
    enum http_result r;
    bool going = true;
    do {
        size_t used;
        struct bytes piece;
        r = http_body_parse(&c->body, c->in + at, c->in_size - at, &used, &piece);
        at += used;
        if (r != HTTP_BAD)
            going = body_piece(c, piece, false);
    } while (going && r == HTTP_MORE && at < c->in_size && !c->paused);
    if (c->state != CONN_BODY || is_answered(c))
        return;
    memmove(c->in + c->head.size, c->in + at, c->in_size - at);
    c->in_size -= at - c->head.size;
    if (r == HTTP_BAD) {
        if (c->replying)
            http_conn_close(c);
        else
            http_conn_refuse(c, c->body.error_status, NULL, c->body.error);
    } else if (r == HTTP_DONE) {
        body_done(c);
    } else if (c->head.expect_continue) {
        c->head.expect_continue = false;
        if (!c->replying)
            send_continue(c);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct conn *c = handle->data;
    (void)suggested;
    if (c->state == CONN_LINGER)
        c->in_size = 0;
    if (c->in_cap < c->in_size + 4096) {
        size_t more = c->exchange.on_body ? 4 * READ_SIZE : READ_SIZE;
        uint8_t *grown = realloc(c->in, c->in_size + more);
        if (grown) {
            c->in = grown;
            c->in_cap = c->in_size + more;
            c->exchange.bytes = grown;
        }
    }
    *buf = uv_buf_init((char *)c->in + c->in_size, (unsigned)(c->in_cap - c->in_size));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = stream->data;
    (void)buf;
    if (n > 0)
        http_conn_moved(c, (uint64_t)n, 0);
    if (c->state == CONN_LINGER) {
        c->left += n > 0 ? (uint64_t)n : 0;
        if (n < 0 || c->left > LINGER_SIZE || uv_now(c->server->loop) > c->moved)
            http_conn_close(c);
        else if (n > 0)
            http_conn_timeout(c, LINGER_MS);
    } else if (n == UV_EOF && c->state == CONN_BUSY) {
        uv_read_stop(stream); /* it may have closed its half only, and wait for the answer */
    } else if (n < 0) {
        http_conn_close(c);
    } else if (n > 0 && c->state == CONN_BUSY) { /* the next request: its turn comes */
        c->in_size += (size_t)n;
        uv_read_stop(stream);
    } else if (n > 0) {
        /* A body has its time anew for each BODY_STEP: one that drips is timed out as one that stops. */
        c->moved = c->state == CONN_BODY ? c->moved + (uint64_t)n : 0;
        if (c->in_size == 0 || (c->state == CONN_BODY && !c->replying && c->moved >= BODY_STEP)) {
            http_conn_timeout(c, c->server->config.request_timeout_ms);
            c->moved = 0;
        }
        c->in_size += (size_t)n;
        step(c);
    } else if (c->in_size == 0) {
        drop_input(c, 0);
    }
}

/* Goes on as far as the input reaches. An answer that is given at once comes back here by a callback of the
 * loop, never from within. While an exchange is being served reading goes on until something comes (most clients wait, and
 * to stop and start costs two system calls for each request), but never so that the buffer with the head would move. */
static void step(struct conn *c)
{
    if (c->state == CONN_HEAD)
        step_head(c);
    if (c->state == CONN_BODY && !c->paused && !is_answered(c))
        step_body(c);
    if (c->state == CONN_HEAD || (c->state == CONN_BODY && !c->paused && !is_answered(c))) {
        if (c->state == CONN_HEAD && c->in_size == 0)
            http_conn_timeout(c, c->server->config.idle_timeout_ms);
        else if (!uv_is_active((uv_handle_t *)&c->timer))
            http_conn_timeout(c, c->server->config.request_timeout_ms);
        int r = uv_read_start(&c->h.stream, on_alloc, on_read);
        if (r != 0 && r != UV_EALREADY)
            http_conn_close(c);
    } else if (c->state == CONN_BODY ||
               (c->state == CONN_BUSY && (c->in_size > c->head.size || c->in_cap - c->in_size < 4096))) {
        uv_read_stop(&c->h.stream);
    }
}

void http_body_pause(struct http_exchange *x)
{
    struct conn *c = (struct conn *)x;
    c->paused = true;
    if (c->state == CONN_BODY) {
        uv_timer_stop(&c->timer); /* we wait, not the peer */
        uv_read_stop(&c->h.stream);
    }
}

void http_body_resume(struct http_exchange *x)
{
    struct conn *c = (struct conn *)x;
    if (!c->paused)
        return;
    c->paused = false;
    if (c->state == CONN_BODY)
        step(c);
}

/* ---- After the answer ---- */

static void on_shutdown(uv_shutdown_t *request, int status)
{
    struct conn *c = request->data;
    if (status != 0)
        http_conn_close(c);
    http_conn_unhold(c);
}

static void linger(struct conn *c)
{
    c->state = CONN_LINGER;
    c->left = 0;
    c->moved = uv_now(c->server->loop) + LINGER_ALL;
    c->shutdown.data = c;
    int r = uv_shutdown(&c->shutdown, &c->h.stream, on_shutdown);
    if (r == 0)
        c->handles++;
    int read = uv_read_start(&c->h.stream, on_alloc, on_read);
    if (r != 0 || (read != 0 && read != UV_EALREADY))
        http_conn_close(c);
    else
        http_conn_timeout(c, LINGER_MS);
}

void http_conn_next(struct conn *c)
{
    bool whole = c->state == CONN_BUSY;
    if (c->server->config.answered && c->accepted && c->state != CONN_REFUSED)
        c->server->config.answered(c->server->config.owner, &c->exchange);
    c->replying = c->ended = c->head_sent = false;
    free(c->body_bytes);
    c->body_bytes = NULL;
    c->body_size = c->body_cap = 0;
    uv_timer_stop(&c->timer);
    if (c->state == CONN_CLOSING)
        return;
    if (c->server->closing) {
        http_conn_close(c);
        return;
    }
    if (!whole || !c->keep_alive) {
        linger(c);
        return;
    }
    drop_input(c, c->head.size);
    c->state = CONN_HEAD;
    http_head_init(&c->head, false);
    step(c);
}

/* ---- Listening ---- */

/* What a reader does not take waits in the file, not in the kernel: a thousand slow ones of 2.5 MB each would bring the whole system's TCP to its
 * memory limit. What is on its way is not counted, so that a long fast line stays full. A few of them do no harm, and a reader on this computer is
 * an eighth faster without. */
static void keep_unsent_low(struct conn *c)
{
    uv_os_fd_t fd;
    int bytes = UNSENT_MAX;
    if (c->server->count > UNSENT_FREE && uv_fileno((uv_handle_t *)&c->h.tcp, &fd) == 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
}

static bool conn_accept(struct http_server *s, struct conn *c)
{
    if (uv_accept(&s->h.stream, &c->h.stream) != 0)
        return false;
    if (s->is_tcp) {
        struct sockaddr_storage from;
        int size = sizeof from;
        uv_tcp_nodelay(&c->h.tcp, 1);
        keep_unsent_low(c);
        if (uv_tcp_getpeername(&c->h.tcp, (struct sockaddr *)&from, &size) != 0 ||
            !host_from_sockaddr(&c->exchange.peer, (struct sockaddr *)&from))
            return false;
    }
    return true;
}

/* 0, or the status it was refused with. */
static unsigned conn_open(struct http_server *s, struct conn *c)
{
    uint32_t retry_s = 0;
    const char *message = "this connection is refused";
    char extra[64];
    unsigned status = s->config.opened ? s->config.opened(s->config.owner, &c->exchange, &retry_s, &message) : 0;
    c->accepted = status == 0;
    snprintf(extra, sizeof extra, "Retry-After: %u\r\n", retry_s);
    if (status != 0)
        http_conn_refuse(c, status, retry_s ? extra : NULL, message);
    return status;
}

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
    if (s->is_tcp)
        uv_tcp_init(s->loop, &c->h.tcp);
    else
        uv_pipe_init(s->loop, &c->h.pipe, 0);
    uv_timer_init(s->loop, &c->timer);
    c->h.stream.data = c->timer.data = c->write.data = c->file.read.data = c;
    c->handles = 2;
    c->next = s->first;
    if (s->first)
        s->first->prev = c;
    s->first = c;
    s->count++;
    http_head_init(&c->head, false);
    if (!conn_accept(s, c))
        http_conn_close(c);
    else if (conn_open(s, c) == 0)
        step(c);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct http_server *s = listener->data;
    if (status == 0 && !s->closing)
        accept_one(s);
}

static void on_server_handle_closed(uv_handle_t *handle)
{
    struct http_server *s = handle->data;
    s->handles--;
    server_maybe_free(s);
}

bool http_local(struct http_exchange *x, struct net_addr *out)
{
    struct conn *c = (struct conn *)x;
    struct sockaddr_storage at;
    int size = sizeof at;
    return c->server->is_tcp && c->state != CONN_CLOSING &&
           uv_tcp_getsockname(&c->h.tcp, (struct sockaddr *)&at, &size) == 0 &&
           host_from_sockaddr(out, (struct sockaddr *)&at);
}

uint32_t http_server_connections(const struct http_server *s)
{
    return s->count;
}

void http_server_close(struct http_server *s, void (*closed)(void *context), void *context)
{
    core_assert(!s->closing);
    s->closing = true;
    s->closed = closed;
    s->closed_context = context;
    for (struct conn *c = s->first, *next; c; c = next) {
        next = c->next;
        if (c->state == CONN_LINGER || !c->ended)
            http_conn_close(c);
    }
    uv_close((uv_handle_t *)&s->h.stream, on_server_handle_closed);
}

static struct http_server *server_new(uv_loop_t *loop, const struct http_server_config *config, bool is_tcp)
{
    struct http_server *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->config = *config;
    if (s->config.write_timeout_ms == 0)
        s->config.write_timeout_ms = s->config.request_timeout_ms;
    s->loop = loop;
    s->is_tcp = is_tcp;
    if (is_tcp)
        uv_tcp_init(loop, &s->h.tcp);
    else
        uv_pipe_init(loop, &s->h.pipe, 0);
    uv_check_init(loop, &s->check);
    uv_idle_init(loop, &s->idle);
    s->h.stream.data = s->check.data = s->idle.data = s;
    s->handles = 3;
    uv_check_start(&s->check, http_server_done);
    return s;
}

static int server_listen(struct http_server **out, struct http_server *s, int r)
{
    if (r == 0)
        r = uv_listen(&s->h.stream, s->is_tcp ? 1024 : 64, on_connection);
    if (r != 0) {
        http_server_close(s, NULL, NULL);
        return r;
    }
    *out = s;
    return 0;
}

int http_server_open_unix(struct http_server **out, uv_loop_t *loop, const struct http_server_config *config,
                          const char *path)
{
    struct http_server *s = server_new(loop, config, false);
    if (!s)
        return UV_ENOMEM;
    unlink(path);
    int r = uv_pipe_bind(&s->h.pipe, path);
    if (r == 0 && chmod(path, 0600) != 0) /* before listen: nobody can connect yet */
        r = UV_EIO;
    return server_listen(out, s, r);
}

int http_server_open_tcp(struct http_server **out, uv_loop_t *loop, const struct http_server_config *config,
                         struct net_addr *addr)
{
    struct sockaddr_storage bound;
    int size = sizeof bound;
    struct http_server *s = server_new(loop, config, true);
    if (!s)
        return UV_ENOMEM;
    host_to_sockaddr(&bound, addr);
    int r = uv_tcp_bind(&s->h.tcp, (struct sockaddr *)&bound, 0);
    r = server_listen(out, s, r);
    if (r == 0 && uv_tcp_getsockname(&s->h.tcp, (struct sockaddr *)&bound, &size) == 0)
        host_from_sockaddr(addr, (struct sockaddr *)&bound);
    return r;
}
