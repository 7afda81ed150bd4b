/* UDP: up to 64 queries by one recvmmsg, their answers by one sendmmsg. libuv 1.44 can read so but not write
 * so, and writing is half of the work; it only tells when there is something to read. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>
#include "gateways/dns/dns_internal_host.h"
#include "node/base/assert.h"

#define QUERY_MAX                                                                                            \
    2048 /* a query with every option anybody sends is under 600; longer ones come cut and are malformed     \
            then */
#define CONTROL_MAX   64
#define KERNEL_BUFFER (2 * 1024 * 1024)

struct dns_udp_buffers {
    struct mmsghdr in[DNS_BATCH], out[DNS_BATCH];
    struct iovec in_at[DNS_BATCH], out_at[DNS_BATCH];
    struct sockaddr_storage from[DNS_BATCH];
    _Alignas(struct cmsghdr)
        uint8_t control[DNS_BATCH][CONTROL_MAX]; /* where to, by IP_PKTINFO; sent back with the answer */
    uint8_t query[DNS_BATCH][QUERY_MAX];
    uint8_t answer[DNS_BATCH][DNS_UDP_MAX];
};

static void prepare(struct dns_gateway *d)
{
    struct dns_udp_buffers *b = d->buffers;
    for (unsigned i = 0; i < DNS_BATCH; i++) {
        b->in_at[i] = (struct iovec){b->query[i], QUERY_MAX};
        b->in[i].msg_hdr = (struct msghdr){.msg_iov = &b->in_at[i], .msg_iovlen = 1, .msg_name = &b->from[i]};
        b->out[i].msg_hdr = (struct msghdr){.msg_iov = &b->out_at[i], .msg_iovlen = 1};
    }
}

/* The address a datagram was sent to. */
static void read_to(const struct dns_gateway *d, struct msghdr *m, struct net_addr *to)
{
    *to = d->address;
    for (struct cmsghdr *c = d->wants_to ? CMSG_FIRSTHDR(m) : NULL; c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            memcpy(to->ip + 12, &info.ipi_addr, 4);
            memset(to->ip, 0, 10);
            memset(to->ip + 10, 0xff, 2);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            memcpy(to->ip, &info.ipi6_addr, 16);
        }
    }
}

/* So that the answer leaves from the address that was asked; a resolver drops one from another. */
static size_t write_from(const struct dns_gateway *d, uint8_t control[CONTROL_MAX], const struct net_addr *to)
{
    bool v4 = net_addr_is_v4(&d->address);
    struct msghdr m = {.msg_control = control, .msg_controllen = CONTROL_MAX};
    memset(control, 0, CONTROL_MAX);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (v4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, to->ip + 12, 4);
        *c = (struct cmsghdr){
            .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO, .cmsg_len = CMSG_LEN(sizeof info)};
        memcpy(CMSG_DATA(c), &info, sizeof info);
        return CMSG_SPACE(sizeof info);
    }
    struct in6_pktinfo info = {0};
    memcpy(&info.ipi6_addr, to->ip, 16);
    *c = (struct cmsghdr){
        .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO, .cmsg_len = CMSG_LEN(sizeof info)};
    memcpy(CMSG_DATA(c), &info, sizeof info);
    return CMSG_SPACE(sizeof info);
}

/* Answers datagram `i`; true: there is something to send in slot `slot`. */
static bool answer(struct dns_gateway *d, core_time now, unsigned i, unsigned slot)
{
    struct dns_udp_buffers *b = d->buffers;
    struct msghdr *in = &b->in[i].msg_hdr, *out = &b->out[slot].msg_hdr;
    struct dns_asker asker;
    char later[DNS_TEXT_MAX];
    struct bytes query = bytes_of(b->query[i], b->in[i].msg_len);
    asker.tcp = false;
    if (!host_from_sockaddr(&asker.from, (struct sockaddr *)&b->from[i]) || asker.from.port == 0)
        return false; /* port 0 cannot be answered */
    if (in->msg_flags & MSG_TRUNC && query.size > DNS_HEADER_SIZE)
        query.size--; /* whatever it was, it now ends too early */
    read_to(d, in, &asker.to);
    size_t size = dns_answer(&d->server, now, &asker, query, b->answer[slot], DNS_UDP_MAX, later);
    if (size == DNS_LATER) {
        if (dns_names_wait(d, &asker, NULL, query, later))
            return false;
        size = dns_answer(&d->server, now, &asker, query, b->answer[slot], DNS_UDP_MAX, NULL);
    }
    if (size == 0)
        return false;
    b->out_at[slot] = (struct iovec){b->answer[slot], size};
    out->msg_name = in->msg_name;
    out->msg_namelen = in->msg_namelen;
    out->msg_control = NULL;
    out->msg_controllen = 0;
    if (d->wants_to) { /* slot is at most i: what was told with datagram `slot` has been read */
        out->msg_controllen = write_from(d, b->control[slot], &asker.to);
        out->msg_control = b->control[slot];
    }
    return true;
}

/* What the system does not take now is lost, as the network would lose it; what it refuses for one address
 * does not stop the others. */
static void send_all(struct dns_gateway *d, unsigned count)
{
    for (unsigned done = 0; done < count;) {
        int n = sendmmsg(d->fd, d->buffers->out + done, count - done, MSG_DONTWAIT);
        if (n > 0)
            done += (unsigned)n;
        else if (errno == EAGAIN || errno == ENOBUFS)
            return;
        else if (errno != EINTR)
            done++;
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct dns_gateway *d = poll->data;
    struct dns_udp_buffers *b = d->buffers;
    core_time now = uv_hrtime() / 1000;
    (void)status;
    (void)events;
    for (unsigned round = 0; round < DNS_BATCHES && !d->closing; round++) {
        for (unsigned i = 0; i < DNS_BATCH; i++) {
            b->in[i].msg_hdr.msg_namelen = sizeof b->from[i];
            b->in[i].msg_hdr.msg_control = d->wants_to ? b->control[i] : NULL;
            b->in[i].msg_hdr.msg_controllen = d->wants_to ? CONTROL_MAX : 0;
        }
        int n = recvmmsg(d->fd, b->in, DNS_BATCH, MSG_DONTWAIT, NULL);
        unsigned out = 0;
        for (int i = 0; i < n; i++)
            out += answer(d, now, (unsigned)i, out);
        send_all(d, out);
        if (n < DNS_BATCH)
            break;
    }
}

void dns_udp_send(struct dns_gateway *d, const struct dns_asker *asker, const uint8_t *data, size_t size)
{
    struct sockaddr_storage to;
    _Alignas(struct cmsghdr) uint8_t control[CONTROL_MAX];
    struct iovec at = {(void *)(uintptr_t)data, size};
    struct msghdr m = {.msg_name = &to, .msg_iov = &at, .msg_iovlen = 1};
    if (d->fd < 0)
        return;
    host_to_sockaddr(&to, &asker->from);
    if (!net_addr_is_v4(&d->address) && to.ss_family == AF_INET) { /* through a socket of both families */
        struct sockaddr_in6 six = {.sin6_family = AF_INET6,
                                   .sin6_port = ((struct sockaddr_in *)&to)->sin_port};
        memcpy(&six.sin6_addr, asker->from.ip, 16);
        memcpy(&to, &six, sizeof six);
    }
    m.msg_namelen = to.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (d->wants_to) {
        m.msg_controllen = write_from(d, control, &asker->to);
        m.msg_control = control;
    }
    while (sendmsg(d->fd, &m, MSG_DONTWAIT) < 0 && errno == EINTR)
        ;
}

int dns_udp_bind(struct dns_gateway *d, struct net_addr *address)
{
    struct sockaddr_storage sa;
    socklen_t size = sizeof sa;
    int on = 1, off = 0, buffer = KERNEL_BUFFER;
    host_to_sockaddr(&sa, address);
    size = sa.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return uv_translate_sys_error(errno);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    if (sa.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    struct net_addr any = {.ip = {0}}, any4 = net_addr_v4(0, 0, 0, 0, 0);
    d->wants_to = net_addr_same_ip(address, &any) || net_addr_same_ip(address, &any4);
    int r = d->wants_to ? setsockopt(fd, sa.ss_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
                                     sa.ss_family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, &on, sizeof on)
                        : 0;
    if (r == 0)
        r = bind(fd, (struct sockaddr *)&sa, size);
    size = sizeof sa;
    if (r == 0)
        r = getsockname(fd, (struct sockaddr *)&sa, &size);
    struct net_addr bound;
    if (r != 0 || !host_from_sockaddr(&bound, (struct sockaddr *)&sa)) {
        int error = uv_translate_sys_error(errno);
        close(fd);
        return error ? error : UV_EINVAL;
    }
    address->port = bound.port;
    d->fd = fd;
    return 0;
}

int dns_udp_start(struct dns_gateway *d)
{
    d->buffers = aligned_alloc(64, (sizeof *d->buffers + 63) / 64 * 64);
    if (d->buffers) {
        memset(d->buffers, 0, sizeof *d->buffers);
        prepare(d);
    }
    int r = d->buffers ? uv_poll_init(&d->g->app->loop, &d->poll, d->fd) : UV_ENOMEM;
    if (r != 0)
        return r;
    d->poll.data = d;
    d->udp_open = true;
    gateways_hold(d->g);
    return uv_poll_start(&d->poll, UV_READABLE, on_readable);
}

static void on_closed(uv_handle_t *handle)
{
    struct dns_gateway *d = handle->data;
    close(d->fd);
    d->fd = -1;
    gateways_release(d->g);
}

void dns_udp_stop(struct dns_gateway *d)
{
    if (d->udp_open)
        uv_close((uv_handle_t *)&d->poll, on_closed);
    else if (d->fd >= 0)
        close(d->fd);
    if (!d->udp_open)
        d->fd = -1;
    d->udp_open = false;
}

void dns_udp_free(struct dns_gateway *d)
{
    free(d->buffers);
    d->buffers = NULL;
}
