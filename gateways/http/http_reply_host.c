/* Answers: whole, in pieces, and files by sendfile. One write is under way at a time, so that raw sends never
 * overtake queued ones. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "gateways/http/http_conn_host.h"
#include "node/base/assert.h"

#define REPLY_HEAD_MIN 1024
#define FILE_SLICE     (1024u * 1024u) /* one sendfile; also what is looked at for being in memory */
#define FILE_TURN      (4u << 20)      /* bytes of one connection before others get their turn */
#define FILE_BUFFER    (128u * 1024u)
#define POLL_MIN       (256u * 1024u) /* of a file, from which on a second descriptor pays */

static void file_go_on(struct conn *c);

/* ---- Heads ---- */

static bool has_field(const char *extra, const char *name)
{
    size_t size = strlen(name);
    for (const char *line = extra; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncasecmp(line, name, size) == 0 && line[size] == ':')
            return true;
    return false;
}

static bool head_make(struct conn *c, unsigned status, const char *type, const char *extra, uint64_t length)
{
    struct http_server *s = c->server;
    struct http_writer w;
    size_t extra_size = extra ? strlen(extra) : 0, cap = REPLY_HEAD_MIN + extra_size;
    char *head = malloc(cap);
    if (!head)
        return false;
    http_writer_init(&w, head, cap);
    http_write_status(&w, status);
    if (s->config.unix_ms)
        http_write_date(&w, "Date", s->config.unix_ms() / 1000);
    if (type)
        http_write_field(&w, "Content-Type", type);
    c->no_body = c->head.method == HTTP_HEAD || status == 204 || status == 304 || status < 200;
    c->chunked = false;
    c->left = length;
    if (status != 204 && status != 304 && status >= 200) {
        bool known = length != UINT64_MAX;
        if (!http_write_framing(&w, &c->head, known, known ? length : 0))
            c->keep_alive = false;
        else
            c->chunked = !known;
    }
    if (!has_field(extra, "Cache-Control"))
        http_write_field(&w, "Cache-Control", "no-store");
    if (c->state ==
        CONN_BODY) /* answered before the body has come: what follows cannot be told from a request */
        c->keep_alive = false;
    http_write_connection(&w, &c->head, c->keep_alive);
    if (extra_size) {
        core_assert(w.size + extra_size < w.cap);
        memcpy(w.data + w.size, extra, extra_size);
        w.size += extra_size;
    }
    http_write_end(&w);
    core_assert(!w.overflow);
    free(c->reply_head);
    c->reply_head = head;
    c->reply_head_size = w.size;
    return true;
}

void http_reply_begin(struct http_exchange *x, unsigned status, const char *type, const char *extra,
                      uint64_t length)
{
    struct conn *c = (struct conn *)x;
    core_assert(!c->replying);
    core_assert(c->state == CONN_BUSY || c->state == CONN_BODY || c->state == CONN_REFUSED);
    c->replying = true;
    x->status = status;
    c->head_sent = c->ended = false;
    if (!head_make(c, status, type, extra, length))
        c->keep_alive = false; /* nothing goes out; http_reply_end closes */
}

bool http_reply_wants_body(const struct http_exchange *x)
{
    return !((const struct conn *)x)->no_body;
}

/* ---- Writes ---- */

static void finish(struct conn *c)
{
    bool whole = c->no_body || c->chunked || c->left == 0 || c->left == UINT64_MAX;
    if (!whole)
        http_conn_close(c); /* short: nobody takes it for the whole */
    else
        http_conn_next(c);
}

static void wrote(struct conn *c)
{
    c->writing = false;
    if (c->state == CONN_CLOSING)
        return;
    if (c->ended)
        finish(c);
    else if (c->exchange.written)
        c->exchange.written(&c->exchange);
}

/* What was under way has gone out; the connection was held for it. */
static void write_through(struct conn *c)
{
    c->handles--; /* the stream's own handle is still open: this is never the last */
    free(c->reply_body);
    c->reply_body = NULL;
    if (c->state == CONN_CLOSING) {
        c->handles++;
        http_conn_unhold(c);
        return;
    }
    if (c->file.active)
        file_go_on(c);
    else
        wrote(c);
}

static void on_written(uv_write_t *write, int status)
{
    struct conn *c = write->data;
    if (status != 0)
        http_conn_close(c);
    write_through(c);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

/* All of it is in the socket already; `written` comes from the loop all the same, without a system call. */
static void done_queue(struct conn *c)
{
    struct http_server *s = c->server;
    c->writing = true;
    c->handles++;
    c->done_next = s->done;
    s->done = c;
    uv_idle_start(&s->idle, on_idle);
}

void http_server_done(uv_check_t *check)
{
    struct http_server *s = check->data;
    struct conn *list = s->done;
    s->done = NULL;
    if (!list)
        return;
    uv_idle_stop(&s->idle);
    while (list) {
        struct conn *c = list;
        list = c->done_next;
        write_through(c);
    }
}

static void send_bufs(struct conn *c, uv_buf_t *bufs, unsigned count)
{
    size_t size = 0;
    for (unsigned i = 0; i < count; i++)
        size += bufs[i].len;
    http_conn_moved(c, 0, size);
    http_conn_timeout(c, c->server->config.write_timeout_ms);
    int n = uv_try_write(&c->h.stream, bufs, count);
    if (n >= 0 && (size_t)n == size) {
        done_queue(c);
        return;
    }
    for (size_t sent = n > 0 ? (size_t)n : 0; sent > 0;) {
        size_t part = sent < bufs->len ? sent : bufs->len;
        bufs->base += part;
        bufs->len -= part;
        sent -= part;
        if (bufs->len == 0 && count > 1) {
            bufs++;
            count--;
        }
    }
    c->writing = true;
    c->handles++;
    if (uv_write(&c->write, &c->h.stream, bufs, count, on_written) != 0) {
        c->handles--;
        http_conn_close(c);
    }
}

static unsigned put_head(struct conn *c, uv_buf_t *bufs)
{
    if (c->head_sent || !c->reply_head)
        return 0;
    c->head_sent = true;
    bufs[0] = uv_buf_init(c->reply_head, (unsigned)c->reply_head_size);
    return 1;
}

void http_reply_write(struct http_exchange *x, const void *data, size_t size)
{
    struct conn *c = (struct conn *)x;
    uv_buf_t bufs[4];
    core_assert(c->replying && !c->writing && !c->ended && !c->no_body && size > 0);
    unsigned n = put_head(c, bufs);
    if (c->chunked)
        bufs[n++] = uv_buf_init(c->chunk_head, (unsigned)http_chunk_head(c->chunk_head, size));
    bufs[n++] = uv_buf_init((char *)data, (unsigned)size);
    if (c->chunked) {
        bufs[n++] = uv_buf_init((char *)HTTP_CHUNK_END, 2);
    } else if (c->left != UINT64_MAX) {
        core_assert(size <= c->left);
        c->left -= size;
    }
    send_bufs(c, bufs, n);
}

void http_reply_end(struct http_exchange *x)
{
    struct conn *c = (struct conn *)x;
    uv_buf_t bufs[2];
    core_assert(c->replying && !c->writing && !c->ended);
    c->ended = true;
    c->asked = false;
    c->exchange.gone = NULL;
    if (!c->reply_head) {
        http_conn_close(c);
        return;
    }
    unsigned n = put_head(c, bufs);
    if (c->chunked && !c->no_body)
        bufs[n++] = uv_buf_init((char *)HTTP_CHUNK_LAST, sizeof HTTP_CHUNK_LAST - 1);
    if (n)
        send_bufs(c, bufs, n);
    else
        finish(c);
}

void http_reply_abort(struct http_exchange *x)
{
    x->gone = NULL;
    http_conn_close((struct conn *)x);
}

/* body is taken. */
static void reply_whole(struct conn *c, unsigned status, const char *type, const char *extra, char *body,
                        size_t size)
{
    uv_buf_t bufs[2];
    http_reply_begin(&c->exchange, status, body ? type : NULL, extra, size);
    c->ended = true;
    c->asked = false;
    c->exchange.gone = NULL;
    free(c->reply_body);
    c->reply_body = body;
    if (!c->reply_head) {
        http_conn_close(c);
        return;
    }
    unsigned n = put_head(c, bufs);
    if (body && size && !c->no_body)
        bufs[n++] = uv_buf_init(body, (unsigned)size);
    c->left = 0;
    send_bufs(c, bufs, n);
}

void http_reply(struct http_exchange *x, unsigned status, const char *type, const char *extra, char *body,
                size_t size)
{
    reply_whole((struct conn *)x, status, type, extra, body, size);
}

/* What cannot be framed cannot be followed by anything: answer and close. Who took the body in pieces lets go
 * of it. */
void http_conn_refuse(struct conn *c, unsigned status, const char *extra, const char *message)
{
    const struct http_server_config *config = &c->server->config;
    if (c->asked && c->exchange.gone)
        c->exchange.gone(&c->exchange);
    c->exchange.gone = NULL;
    char *body = config->error_body ? config->error_body(status, message) : strdup(message);
    c->keep_alive = false;
    c->asked = false;
    c->state = CONN_REFUSED;
    uv_read_stop(&c->h.stream);
    reply_whole(c, status, config->error_body ? config->error_type : "text/plain; charset=utf-8", extra, body,
                body ? strlen(body) : 0);
}

/* ---- Files ---- */

/* Is the byte in memory? A file system that cannot tell counts as yes. */
static bool is_warm(int fd, uint64_t offset)
{
    char byte;
    struct iovec v = {&byte, 1};
    return preadv2(fd, &v, 1, (off_t)offset, RWF_NOWAIT) >= 0 || errno != EAGAIN;
}

static void file_end(struct conn *c)
{
    c->file.active = false;
    free(c->file.buffer);
    c->file.buffer = NULL;
    wrote(c);
}

static bool file_ok(struct conn *c)
{
    if (!c->file.ok || c->file.ok(c->file.context) == 0)
        return true;
    http_conn_close(c);
    return false;
}

/* The first n bytes of the buffer are what comes next; with the head in front when that has not gone yet. */
static void file_send(struct conn *c, size_t n)
{
    uv_buf_t bufs[2];
    unsigned count = put_head(c, bufs);
    c->file.offset += n;
    c->file.left -= n;
    c->left -= n;
    bufs[count++] = uv_buf_init(c->file.buffer, (unsigned)n);
    send_bufs(c, bufs, count);
}

static void on_file_read(uv_fs_t *request)
{
    struct conn *c = request->data;
    ssize_t n = request->result;
    uv_fs_req_cleanup(request);
    c->handles--;
    if (c->state == CONN_CLOSING) {
        c->handles++;
        http_conn_unhold(c);
        return;
    }
    if (n <= 0 || !file_ok(c)) {
        http_conn_close(c);
        return;
    }
    file_send(c, (size_t)n);
}

/* Once for each file, no larger than what is left of it. */
static bool file_buffer(struct conn *c)
{
    if (!c->file.buffer)
        c->file.buffer = malloc(c->file.left < FILE_BUFFER ? (size_t)c->file.left : FILE_BUFFER);
    return c->file.buffer != NULL;
}

/* Through a buffer: what is not in memory, and what a full socket makes wait (libuv tells when it is
 * writable, by a write of its own). */
static void file_by_buffer(struct conn *c)
{
    if (!file_buffer(c)) {
        http_conn_close(c);
        return;
    }
    uint64_t size = c->file.left < FILE_BUFFER ? c->file.left : FILE_BUFFER;
    uv_buf_t buf = uv_buf_init(c->file.buffer, (unsigned)size);
    c->handles++;
    int r = uv_fs_read(c->server->loop, &c->file.read, c->file.fd, &buf, 1, (int64_t)c->file.offset,
                       on_file_read);
    core_assert(r == 0);
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
    struct conn *c = poll->data;
    (void)events;
    uv_poll_stop(poll);
    if (status != 0)
        http_conn_close(c);
    else if (c->state != CONN_CLOSING)
        file_go_on(c);
}

/* Waits for room in the socket. libuv tells of that for a write of its own only, which would copy; so a
 * second descriptor is watched. */
static bool file_poll(struct conn *c, int socket)
{
    if (!c->polled) {
        c->poll_fd = fcntl(socket, F_DUPFD_CLOEXEC, 0);
        if (c->poll_fd < 0)
            return false;
        if (uv_poll_init(c->server->loop, &c->poll, c->poll_fd) != 0) {
            close(c->poll_fd);
            return false;
        }
        c->poll.data = c;
        c->polled = true;
        c->handles++;
    }
    http_conn_timeout(c, c->server->config.write_timeout_ms);
    return uv_poll_start(&c->poll, UV_WRITABLE, on_writable) == 0;
}

/* The socket is full, or others have their turn: a large file waits; of a small one a piece that is in memory
 * goes through libuv's queue, whose end says that there is room again. */
static void file_wait(struct conn *c)
{
    struct iovec v;
    uv_os_fd_t socket;
    if (c->head_sent && c->file.left >= POLL_MIN && uv_fileno((uv_handle_t *)&c->h.stream, &socket) == 0 &&
        file_poll(c, socket))
        return;
    if (!file_buffer(c)) {
        http_conn_close(c);
        return;
    }
    v = (struct iovec){c->file.buffer, c->file.left < FILE_BUFFER / 2 ? c->file.left : FILE_BUFFER / 2};
    ssize_t n = preadv2(c->file.fd, &v, 1, (off_t)c->file.offset, RWF_NOWAIT);
    if (n <= 0) {
        file_by_buffer(c);
        return;
    }
    if (!file_ok(c))
        return;
    file_send(c, (size_t)n);
}

static bool send_head_raw(struct conn *c, int socket)
{
    if (c->head_sent)
        return true;
    ssize_t n = send(socket, c->reply_head, c->reply_head_size, MSG_NOSIGNAL | MSG_MORE | MSG_DONTWAIT);
    if (n != (ssize_t)c->reply_head_size) {
        if (n >= 0 || (errno != EAGAIN && errno != EINTR))
            http_conn_close(c);
        else
            file_by_buffer(c); /* sends the head in front */
        return false;
    }
    c->head_sent = true;
    http_conn_moved(c, 0, (uint64_t)n);
    return true;
}

static void file_go_on(struct conn *c)
{
    uv_os_fd_t socket;
    uint64_t turn = 0;
    if (c->file.left == 0) {
        file_end(c);
        return;
    }
    if (uv_fileno((uv_handle_t *)&c->h.stream, &socket) != 0) {
        http_conn_close(c);
        return;
    }
    if (!c->head_sent &&
        c->file.left <= FILE_BUFFER / 2) { /* one read and one write are cheaper than sendfile */
        file_wait(c);
        return;
    }
    while (c->file.left > 0) {
        uint64_t slice = c->file.left < FILE_SLICE ? c->file.left : FILE_SLICE;
        /* Its end, and its beginning unless that follows what was just sent. */
        if (!is_warm(c->file.fd, c->file.offset + slice - 1) ||
            (turn == 0 && !is_warm(c->file.fd, c->file.offset))) {
            file_by_buffer(c);
            return;
        }
        if (!send_head_raw(c, socket))
            return;
        off_t at = (off_t)c->file.offset;
        ssize_t n = sendfile(socket, c->file.fd, &at, slice);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EINVAL || errno == ENOSYS)) {
            file_wait(c);
            return;
        }
        if (n <= 0) {
            http_conn_close(c); /* the peer left, or the file is shorter than it was */
            return;
        }
        if (!file_ok(c))
            return;
        http_conn_moved(c, 0, (uint64_t)n);
        c->file.offset += (uint64_t)n;
        c->file.left -= (uint64_t)n;
        c->left -= (uint64_t)n;
        turn += (uint64_t)n;
        if (turn >= FILE_TURN && c->file.left > 0) {
            file_wait(c);
            return;
        }
    }
    http_conn_timeout(c, c->server->config.write_timeout_ms);
    done_queue(c);
}

void http_reply_file(struct http_exchange *x, int fd, uint64_t offset, uint64_t size,
                     int (*ok)(void *context), void *context)
{
    struct conn *c = (struct conn *)x;
    core_assert(c->replying && !c->writing && !c->ended && !c->no_body && !c->chunked && !c->file.active);
    core_assert(size <= c->left && size > 0);
    if (!c->reply_head) {
        http_conn_close(c);
        return;
    }
    c->writing = true;
    c->file.active = true;
    c->file.fd = fd;
    c->file.offset = offset;
    c->file.left = size;
    c->file.ok = ok;
    c->file.context = context;
    file_go_on(c);
}
