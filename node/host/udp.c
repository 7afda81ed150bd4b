#include "node/host/udp.h"

#include <stdlib.h>
#include <string.h>

#include "node/base/assert.h"
#include "node/channel/datagram.h"

/* libuv reads up to 20 datagrams by one recvmmsg, each into 64 KiB of the buffer it is given; honest ones touch a page each. It reads at most
 * some 50 per turn of the loop (libuv/src/unix/udp.c), so that a flood does not starve the streams. */
#define CHUNK_SIZE    65536
#define CHUNKS        20
#define KERNEL_BUFFER (1024 * 1024)

struct udp_socket {
    uv_udp_t handle;
    struct udp *udp;
};

struct udp {
    struct host_core *core;
    struct udp_socket *v4, *v6;
    uint8_t *buffer;   /* shared by both sockets: filled and used within one callback */
    uint32_t queued;   /* waiting now */
    uint32_t closing;  /* sockets whose close callback is still to come */
    struct udp_totals totals;
    void (*closed)(void *context);
    void *context;
};

struct udp_waiting {
    uv_udp_send_t request;
    struct udp *udp;
    uint8_t data[DATAGRAM_MAX];
};

struct udp *udp_new(struct host_core *core)
{
    struct udp *u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    u->core = core;
    u->buffer = malloc((size_t)CHUNK_SIZE * CHUNKS);
    if (!u->buffer) {
        free(u);
        return NULL;
    }
    return u;
}

/* ---- receive ---- */

static void on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct udp_socket *s = handle->data;
    (void)suggested;
    *out = uv_buf_init((char *)s->udp->buffer, CHUNK_SIZE * CHUNKS);
}

static void on_datagram(uv_udp_t *handle, ssize_t size, const uv_buf_t *buffer, const struct sockaddr *from, unsigned flags)
{
    struct udp_socket *s = handle->data;
    struct udp *u = s->udp;
    struct net_addr addr;
    /* size 0 without an address: nothing more to read, or the buffer is ours again. An error of one datagram is not the socket's end. */
    if (size <= 0 || !from || (flags & UV_UDP_PARTIAL))
        return;
    u->totals.received++;
    u->totals.received_bytes += (uint64_t)size;
    if (!host_from_sockaddr(&addr, from) || !u->core->node)
        return;
    node_datagram(u->core->node, host_now(u->core), &addr, (const uint8_t *)buffer->base, (size_t)size, host_out(u->core));
    host_drain(u->core);
}

/* ---- open and close ---- */

static void on_socket_closed(uv_handle_t *handle)
{
    struct udp_socket *s = handle->data;
    struct udp *u = s->udp;
    free(s);
    if (--u->closing == 0 && u->closed) {
        void (*closed)(void *) = u->closed;
        u->closed = NULL;
        closed(u->context);
    }
}

static void socket_close(struct udp_socket *s)
{
    s->udp->closing++;
    uv_close((uv_handle_t *)&s->handle, on_socket_closed);
}

static int socket_bind(struct udp_socket *s, struct net_addr *addr)
{
    struct sockaddr_storage sa;
    struct net_addr bound;
    int size = sizeof sa, buffer = KERNEL_BUFFER;
    host_to_sockaddr(&sa, addr);
    int rc = uv_udp_bind(&s->handle, (struct sockaddr *)&sa, sa.ss_family == AF_INET6 ? UV_UDP_IPV6ONLY : 0);
    if (rc == 0)
        rc = uv_udp_getsockname(&s->handle, (struct sockaddr *)&sa, &size);
    if (rc == 0)
        rc = uv_udp_recv_start(&s->handle, on_buffer, on_datagram);
    if (rc == 0 && host_from_sockaddr(&bound, (struct sockaddr *)&sa))
        addr->port = bound.port;
    if (rc == 0)
        uv_recv_buffer_size((uv_handle_t *)&s->handle, &buffer); /* the kernel may give less: as good as it gets */
    return rc;
}

int udp_open(struct udp *u, struct net_addr *addr)
{
    struct udp_socket **place = net_addr_is_v4(addr) ? &u->v4 : &u->v6;
    core_assert(!*place && !u->closed);
    struct udp_socket *s = calloc(1, sizeof *s);
    if (!s)
        return UV_ENOMEM;
    s->udp = u;
    int rc = uv_udp_init_ex(u->core->loop, &s->handle, UV_UDP_RECVMMSG);
    if (rc != 0) {
        free(s);
        return rc;
    }
    s->handle.data = s;
    rc = socket_bind(s, addr);
    if (rc != 0) {
        socket_close(s);
        return rc;
    }
    *place = s;
    return 0;
}

int udp_open_unbound(struct udp *u)
{
    struct net_addr v4 = net_addr_v4(0, 0, 0, 0, 0), v6;
    memset(&v6, 0, sizeof v6);
    int rc4 = udp_open(u, &v4), rc6 = udp_open(u, &v6);
    return rc4 == 0 || rc6 == 0 ? 0 : rc4;
}

void udp_shut(struct udp *u)
{
    if (u->v4)
        socket_close(u->v4);
    if (u->v6)
        socket_close(u->v6);
    u->v4 = u->v6 = NULL;
}

void udp_close(struct udp *u, void (*closed)(void *context), void *context)
{
    udp_shut(u);
    if (u->closing == 0) {
        if (closed)
            closed(context);
        return;
    }
    u->closed = closed;
    u->context = context;
}

void udp_free(struct udp *u)
{
    if (!u)
        return;
    core_assert(!u->v4 && !u->v6 && u->closing == 0 && u->queued == 0);
    free(u->buffer);
    free(u);
}

/* ---- send ---- */

static void on_sent(uv_udp_send_t *request, int status)
{
    struct udp_waiting *w = request->data;
    struct udp *u = w->udp;
    u->queued--;
    if (status == 0) {
        u->totals.queued++;
        u->totals.sent++;
    } else {
        u->totals.failed++;
    }
    free(w);
}

static void send_later(struct udp *u, struct udp_socket *s, const struct sockaddr *to, struct bytes bytes)
{
    struct udp_waiting *w = u->queued < UDP_QUEUE_MAX && bytes.size <= sizeof w->data ? malloc(sizeof *w) : NULL;
    if (!w) {
        u->totals.dropped++;
        return;
    }
    w->udp = u;
    w->request.data = w;
    memcpy(w->data, bytes.data, bytes.size);
    uv_buf_t buffer = uv_buf_init((char *)w->data, (unsigned)bytes.size);
    u->queued++;
    if (uv_udp_send(&w->request, &s->handle, &buffer, 1, to, on_sent) != 0) {
        u->queued--;
        u->totals.failed++;
        free(w);
        return;
    }
    u->totals.sent_bytes += bytes.size;
}

void udp_send(struct udp *u, const struct net_addr *to, struct bytes bytes)
{
    struct udp_socket *s = net_addr_is_v4(to) ? u->v4 : u->v6;
    struct sockaddr_storage sa;
    if (!s) {
        u->totals.dropped++;
        return;
    }
    host_to_sockaddr(&sa, to);
    uv_buf_t buffer = uv_buf_init((char *)bytes.data, (unsigned)bytes.size); /* read only; libuv's type has no const */
    int rc = uv_udp_try_send(&s->handle, &buffer, 1, (struct sockaddr *)&sa);
    if (rc == UV_EAGAIN || rc == UV_ENOBUFS) {
        send_later(u, s, (struct sockaddr *)&sa, bytes);
    } else if (rc < 0) {
        u->totals.failed++;
    } else {
        u->totals.sent++;
        u->totals.sent_bytes += bytes.size;
    }
}

void udp_totals(const struct udp *u, struct udp_totals *out)
{
    *out = u->totals;
}
