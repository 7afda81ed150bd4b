/* TCP (RFC 7766): queries one behind the other on a connection, answers as they are ready, out of order where
 * a name takes longer. Bounded in connections, in bytes waiting either way, and in time: a query must come
 * whole within 5 s, whoever is silent for 10 s or does not read is let go. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "gateways/dns/dns_internal_host.h"
#include "node/base/assert.h"

#define IN_FIRST 1024 /* bytes of a connection's buffer, until a longer query comes */
#define KEPT_MAX 8192 /* larger buffers are given back when they are empty */
#define BACKLOG  256
#define LENGTH   2

struct dns_conn {
    struct dns_gateway *d;
    struct dns_conn *prev, *next;
    uv_tcp_t tcp;
    uv_timer_t timer;
    struct dns_asker asker;
    uint8_t *in;
    size_t in_size, in_cap;
    uint8_t *out; /* answers since the last write */
    size_t out_size, out_cap;
    size_t writing;               /* bytes the system has not taken */
    uint64_t active_ms;           /* of the last query or answer: who is longest idle goes first */
    unsigned handles, waiting;    /* waiting: queries whose name is being looked for */
    bool closing, reading, ended; /* ended: the other side sends no more; what it asked is still answered */
};

struct dns_write {
    uv_write_t request;
    struct dns_conn *conn;
    size_t size;
    uint8_t data[];
};

static void conn_close(struct dns_conn *c);

/* All buffers of all connections come out of one budget. */
static bool grow(struct dns_conn *c, uint8_t **buffer, size_t *cap, size_t need)
{
    struct dns_gateway *d = c->d;
    if (need <= *cap)
        return true;
    size_t size = need < *cap * 2 ? *cap * 2 : need;
    uint8_t *grown = d->buffered + size - *cap > DNS_BUFFERED_MAX ? NULL : realloc(*buffer, size);
    if (!grown)
        return false;
    d->buffered += size - *cap;
    *buffer = grown;
    *cap = size;
    return true;
}

static void drop(struct dns_conn *c, uint8_t **buffer, size_t *cap)
{
    free(*buffer);
    c->d->buffered -= *cap;
    *buffer = NULL;
    *cap = 0;
}

static void on_timeout(uv_timer_t *timer)
{
    conn_close(timer->data);
}

/* What the connection waits for now decides how long. */
static void arm(struct dns_conn *c)
{
    uint64_t ms = c->writing ? DNS_WRITE_MS : c->in_size ? DNS_MESSAGE_MS : DNS_IDLE_MS;
    if (!c->closing)
        uv_timer_start(&c->timer, on_timeout, ms, 0);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct dns_conn *c = handle->data;
    if (--c->handles > 0)
        return;
    struct gateways *g = c->d->g;
    drop(c, &c->in, &c->in_cap);
    drop(c, &c->out, &c->out_cap);
    free(c);
    gateways_release(g);
}

static void conn_close(struct dns_conn *c)
{
    struct dns_gateway *d = c->d;
    if (c->closing)
        return;
    c->closing = true;
    dns_names_forget(d, c);
    if (c->prev)
        c->prev->next = c->next;
    else
        d->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    d->connections--;
    uv_close((uv_handle_t *)&c->tcp, on_handle_closed);
    uv_close((uv_handle_t *)&c->timer, on_handle_closed);
}

/* ---- Out ---- */

static void step(struct dns_conn *c);

static void on_written(uv_write_t *request, int status)
{
    struct dns_write *w = request->data;
    struct dns_conn *c = w->conn;
    c->writing -= w->size;
    c->d->buffered -= w->size;
    free(w);
    if (c->closing)
        return;
    if (status != 0) {
        conn_close(c);
        return;
    }
    c->active_ms = uv_now(c->tcp.loop);
    step(c);
}

static bool put(struct dns_conn *c, const uint8_t *data, size_t size)
{
    if (!grow(c, &c->out, &c->out_cap, c->out_size + size))
        return false;
    memcpy(c->out + c->out_size, data, size);
    c->out_size += size;
    return true;
}

/* Sends what has been gathered; false: the connection was closed. */
static bool flush(struct dns_conn *c)
{
    size_t done = 0;
    if (c->out_size == 0)
        return true;
    if (c->writing == 0) {
        uv_buf_t now = uv_buf_init((char *)c->out, (unsigned)c->out_size);
        int n = uv_try_write((uv_stream_t *)&c->tcp, &now, 1);
        if (n < 0 && n != UV_EAGAIN) {
            conn_close(c);
            return false;
        }
        done = n > 0 ? (size_t)n : 0;
    }
    size_t left = c->out_size - done;
    struct dns_write *w = left && c->d->buffered + left <= DNS_BUFFERED_MAX ? malloc(sizeof *w + left) : NULL;
    if (left && !w) {
        conn_close(c);
        return false;
    }
    if (left) {
        memcpy(w->data, c->out + done, left);
        w->conn = c;
        w->size = left;
        w->request.data = w;
        uv_buf_t rest = uv_buf_init((char *)w->data, (unsigned)left);
        c->writing += left;
        c->d->buffered += left;
        if (uv_write(&w->request, (uv_stream_t *)&c->tcp, &rest, 1, on_written) != 0) {
            c->writing -= left;
            c->d->buffered -= left;
            free(w);
            conn_close(c);
            return false;
        }
    }
    c->out_size = 0;
    if (c->out_cap > KEPT_MAX)
        drop(c, &c->out, &c->out_cap);
    return true;
}

/* ---- In ---- */

/* One whole query. False: the connection is not worth keeping. */
static bool take(struct dns_conn *c, struct bytes query)
{
    struct dns_gateway *d = c->d;
    char later[DNS_TEXT_MAX];
    core_time now = uv_hrtime() / 1000;
    size_t size = dns_answer(&d->server, now, &c->asker, query, d->scratch + LENGTH, DNS_MESSAGE_MAX, later);
    if (size == DNS_LATER) {
        if (dns_names_wait(d, &c->asker, c, query, later)) {
            c->waiting++;
            return true;
        }
        size = dns_answer(&d->server, now, &c->asker, query, d->scratch + LENGTH, DNS_MESSAGE_MAX, NULL);
    }
    if (size == 0) /* no query at all: the stream cannot be trusted any further */
        return false;
    put_be16(d->scratch, (uint16_t)size);
    return put(c, d->scratch, LENGTH + size);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer);
static void on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out);

/* Reads while answers find room. False: the connection was closed. */
static bool read_on(struct dns_conn *c)
{
    bool wanted = c->writing < DNS_PENDING_MAX && !c->ended;
    if (!wanted && c->reading)
        uv_read_stop((uv_stream_t *)&c->tcp);
    else if (wanted && !c->reading && uv_read_start((uv_stream_t *)&c->tcp, on_buffer, on_read) != 0) {
        conn_close(c);
        return false;
    }
    c->reading = wanted;
    return true;
}

/* Takes the queries that are there, as long as the answers find room; reads on or stops reading. */
static void step(struct dns_conn *c)
{
    size_t at = 0;
    while (c->in_size - at >= LENGTH && c->writing + c->out_size < DNS_PENDING_MAX) {
        size_t size = get_be16(c->in + at);
        if (c->in_size - at - LENGTH < size)
            break;
        if (!take(c, bytes_of(c->in + at + LENGTH, size))) {
            conn_close(c);
            return;
        }
        at += LENGTH + size;
    }
    if (at) {
        memmove(c->in, c->in + at, c->in_size - at);
        c->in_size -= at;
        c->active_ms = uv_now(c->tcp.loop);
        if (c->in_size == 0 && c->in_cap > KEPT_MAX)
            drop(c, &c->in, &c->in_cap);
    }
    if (!flush(c) || !read_on(c))
        return;
    if (c->ended && c->writing == 0 && c->waiting == 0)
        conn_close(c);
    else if (at || (c->in_size == 0 && !c->writing))
        arm(c);
}

/* The next query's length is told by its first two bytes: the buffer grows to that, never to more than 64
 * KiB. */
static void on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct dns_conn *c = handle->data;
    (void)suggested;
    size_t need = c->in_size >= LENGTH ? LENGTH + (size_t)get_be16(c->in) : IN_FIRST;
    if (need < c->in_size + IN_FIRST / 2)
        need = c->in_size + IN_FIRST / 2;
    grow(c, &c->in, &c->in_cap, need);
    *out = uv_buf_init((char *)c->in + c->in_size,
                       (unsigned)(c->in_cap - c->in_size)); /* size 0: UV_ENOBUFS comes, and it closes */
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct dns_conn *c = stream->data;
    (void)buffer;
    if (size == 0 || c->closing)
        return;
    if (size == UV_EOF) { /* a half is closed: what was asked before is answered all the same */
        c->ended = true;
        step(c);
        return;
    }
    if (size < 0) {
        conn_close(c);
        return;
    }
    bool first = c->in_size == 0;
    c->in_size += (size_t)size;
    if (first)
        arm(c);
    step(c);
}

void dns_tcp_late(struct dns_conn *c, const uint8_t *data, size_t size)
{
    uint8_t length[LENGTH];
    put_be16(length, (uint16_t)size);
    if (c->closing)
        return;
    core_assert(c->waiting > 0);
    c->waiting--;
    if (!put(c, length, LENGTH) || !put(c, data, size))
        conn_close(c);
    else
        step(c);
}

/* ---- Connections ---- */

static bool same_place(const struct net_addr *a, const struct net_addr *b)
{
    return memcmp(a->ip, b->ip, net_addr_is_v4(a) ? 16 : 8) == 0;
}

/* Room for one more: of this address, and in all; the connection that is idle longest makes room for others.
 */
static bool has_room(struct dns_gateway *d, const struct net_addr *from)
{
    uint32_t same = 0;
    struct dns_conn *idle = NULL;
    for (struct dns_conn *c = d->first; c; c = c->next) {
        same += same_place(&c->asker.from, from);
        if (c->writing == 0 && c->in_size == 0 && (!idle || c->active_ms < idle->active_ms))
            idle = c;
    }
    if (same >= DNS_PER_ADDRESS_MAX && net_addr_scope(from) != NET_SCOPE_LOOPBACK)
        return false;
    if (d->connections < DNS_CONNECTIONS_MAX)
        return true;
    if (!idle)
        return false;
    conn_close(idle);
    return true;
}

static bool addresses_of(struct dns_conn *c)
{
    struct sockaddr_storage sa;
    int size = sizeof sa;
    bool ok = uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&sa, &size) == 0 &&
              host_from_sockaddr(&c->asker.from, (struct sockaddr *)&sa);
    size = sizeof sa;
    return ok && uv_tcp_getsockname(&c->tcp, (struct sockaddr *)&sa, &size) == 0 &&
           host_from_sockaddr(&c->asker.to, (struct sockaddr *)&sa);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct dns_gateway *d = listener->data;
    struct dns_conn *c = status == 0 && !d->closing ? calloc(1, sizeof *c) : NULL;
    if (!c)
        return;
    c->d = d;
    c->asker.tcp = true;
    uv_tcp_init(listener->loop, &c->tcp);
    uv_timer_init(listener->loop, &c->timer);
    c->tcp.data = c->timer.data = c;
    c->handles = 2;
    c->active_ms = uv_now(listener->loop);
    gateways_hold(d->g);
    bool ok =
        uv_accept(listener, (uv_stream_t *)&c->tcp) == 0 && addresses_of(c) && has_room(d, &c->asker.from);
    c->next = d->first;
    if (d->first)
        d->first->prev = c;
    d->first = c;
    d->connections++;
    if (!ok) {
        conn_close(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    arm(c);
    step(c);
}

int dns_tcp_bind(struct dns_gateway *d, struct net_addr *address)
{
    struct sockaddr_storage sa;
    int on = 1, off = 0;
    host_to_sockaddr(&sa, address);
    socklen_t size = sa.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return uv_translate_sys_error(errno);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (sa.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, (struct sockaddr *)&sa, size) != 0 || listen(fd, BACKLOG) != 0) {
        int error = uv_translate_sys_error(errno);
        close(fd);
        return error;
    }
    d->listener_fd = fd;
    return 0;
}

int dns_tcp_start(struct dns_gateway *d)
{
    uv_tcp_init(&d->g->app->loop, &d->listener);
    d->listener.data = d;
    d->tcp_open = true;
    gateways_hold(d->g);
    int r = uv_tcp_open(&d->listener, d->listener_fd);
    if (r != 0)
        return r;
    d->listener_fd = -1; /* the handle's now */
    return uv_listen((uv_stream_t *)&d->listener, BACKLOG, on_connection);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct dns_gateway *d = handle->data;
    gateways_release(d->g);
}

void dns_tcp_stop(struct dns_gateway *d)
{
    for (struct dns_conn *c = d->first, *next; c; c = next) {
        next = c->next;
        conn_close(c);
    }
    if (d->tcp_open)
        uv_close((uv_handle_t *)&d->listener, on_listener_closed);
    d->tcp_open = false;
    if (d->listener_fd >= 0)
        close(d->listener_fd);
    d->listener_fd = -1;
}
