#include "node/host/neighbours.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "node/base/assert.h"
#include "node/base/rng.h"
#include "node/channel/announce.h"
#include "node/host/log.h"

#define GROUP_4         "239.192.77.33"
#define GROUP_6         "ff02::77:33"
#define PERIOD          CORE_SECONDS(60)
#define PERIOD_JITTER   20            /* [%] */
#define ANSWER_AFTER    CORE_MS(100)  /* a newcomer is answered after this and up to the spread more */
#define ANSWER_SPREAD   CORE_MS(900)
#define SEND_GAP        CORE_SECONDS(2) /* least time between two announcements of ours */
#define FORGET_AFTER    CORE_MINUTES(3)
#define HINT_GAP        CORE_SECONDS(30)
#define SEEN_MAX        128
#define LINKS_MAX       64
#define VERIFY_BURST    64            /* signatures checked at once, */
#define VERIFY_EVERY    CORE_MS(50)   /* and one more for each of these */
#define RECEIVE_SIZE    2048

/* The first announcements come closer together: multicast on radio is lossy. */
static const core_time first_gaps[] = {CORE_SECONDS(2), CORE_SECONDS(6), CORE_SECONDS(20)};
#define FIRST_GAPS (sizeof first_gaps / sizeof *first_gaps)

struct seen {
    uint8_t key[NODE_KEY_SIZE];
    uint64_t unix_ms;
    core_time heard, hinted;
    bool used;
};

struct family {
    uv_udp_t socket;
    bool open, v6;
    struct net_addr listen; /* of the node */
    struct sockaddr_storage group;
};

struct neighbours {
    struct host_core *core;
    struct family family[2];
    uv_timer_t timer;
    struct rng rng;
    core_time last_sent, next;   /* next: when the timer is due */
    size_t sent_first;           /* how many of first_gaps are used up */
    core_time verify_at;         /* token bucket: signatures paid for up to this time */
    struct seen seen[SEEN_MAX];
    struct neighbours_totals totals;
    unsigned handles;            /* not yet closed */
    bool closing;
    uint8_t buffer[RECEIVE_SIZE];
};

/* ---- sending ---- */

/* One datagram out of one interface with one source address, which is what the others will answer to. The kernel's own choice would be another
 * interface, and for IPv6 a link-local address that means nothing without its interface. */
static bool send_from(struct family *f, unsigned interface, const struct net_addr *source, const uint8_t *data, size_t size)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } control;
    struct iovec iov = {(void *)data, size};
    struct msghdr message = {.msg_name = &f->group,
                             .msg_namelen = f->v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in),
                             .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&f->socket, &fd) != 0)
        return false;
    memset(&control, 0, sizeof control);
    message.msg_controllen = f->v6 ? CMSG_SPACE(sizeof(struct in6_pktinfo)) : CMSG_SPACE(sizeof(struct in_pktinfo));
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    if (f->v6) {
        struct in6_pktinfo info = {.ipi6_ifindex = interface};
        memcpy(&info.ipi6_addr, source->ip, 16);
        c->cmsg_level = IPPROTO_IPV6;
        c->cmsg_type = IPV6_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(c), &info, sizeof info);
    } else {
        struct in_pktinfo info = {.ipi_ifindex = (int)interface};
        memcpy(&info.ipi_spec_dst, source->ip + 12, 4);
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(c), &info, sizeof info);
    }
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size;
}

/* Joining again is harmless (EADDRINUSE), so interfaces that came up later are joined by the next round. */
static void join(struct family *f, unsigned interface)
{
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&f->socket, &fd) != 0)
        return;
    int rc;
    if (f->v6) {
        struct ipv6_mreq m = {.ipv6mr_interface = interface};
        m.ipv6mr_multiaddr = ((struct sockaddr_in6 *)&f->group)->sin6_addr;
        rc = setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &m, sizeof m);
    } else {
        struct ip_mreqn m = {.imr_ifindex = (int)interface};
        m.imr_multiaddr = ((struct sockaddr_in *)&f->group)->sin_addr;
        rc = setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m);
    }
    if (rc != 0 && errno != EADDRINUSE)
        log_debug("net", "cannot join %s on interface %u: %s", f->v6 ? GROUP_6 : GROUP_4, interface, strerror(errno));
}

static bool is_unspecified(const struct net_addr *a)
{
    static const uint8_t zeroes[16];
    return memcmp(a->ip + (net_addr_is_v4(a) ? 12 : 0), zeroes, net_addr_is_v4(a) ? 4 : 16) == 0;
}

/* Addresses that mean the same to every neighbour. IPv6 link-local ones do not: struct net_addr knows no interface. */
static bool is_local(const struct net_addr *a)
{
    enum net_scope scope = net_addr_scope(a);
    return scope == NET_SCOPE_LOOPBACK || scope == NET_SCOPE_PRIVATE || (scope == NET_SCOPE_LINK_LOCAL && net_addr_is_v4(a));
}

static void announce_on(struct neighbours *n, struct family *f, unsigned interface, const struct net_addr *source)
{
    struct announce a = {.port = f->listen.port, .unix_ms = host_unix_ms()};
    uint8_t data[ANNOUNCE_SIZE];
    announce_encode(data, &a, n->core->me, n->core->network, n->core->crypto);
    n->totals.sent += send_from(f, interface, source, data, sizeof data);
}

/* Joins every link that the node listens on, and announces it there when asked to. Interfaces come and go, so it is done anew each time. */
static void visit_links(struct neighbours *n, bool speak)
{
    uv_interface_address_t *links;
    int count;
    if (uv_interface_addresses(&links, &count) != 0)
        return;
    for (int i = 0; i < count && i < LINKS_MAX; i++) {
        struct net_addr source;
        unsigned interface = if_nametoindex(links[i].name);
        if (!interface || !host_from_sockaddr(&source, (const struct sockaddr *)&links[i].address))
            continue;
        struct family *f = &n->family[!net_addr_is_v4(&source)];
        if (!f->open || (!is_unspecified(&f->listen) && !net_addr_same_ip(&f->listen, &source)))
            continue;
        join(f, interface);
        source.port = f->listen.port;
        if (speak && is_local(&source))
            announce_on(n, f, interface, &source);
    }
    uv_free_interface_addresses(links, count);
}

static void on_timer(uv_timer_t *timer);

static void arm(struct neighbours *n, core_time at)
{
    core_time now = host_now(n->core);
    n->next = at;
    uv_timer_start(&n->timer, on_timer, at > now ? (at - now + 999) / 1000 : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct neighbours *n = timer->data;
    core_time gap = n->sent_first < FIRST_GAPS ? first_gaps[n->sent_first++] : PERIOD;
    visit_links(n, true);
    n->last_sent = host_now(n->core);
    arm(n, n->last_sent + rng_jitter(&n->rng, gap, PERIOD_JITTER));
}

/* A newcomer hears us soon, but not all of us at the same moment, and one answer serves all newcomers of the meantime. */
static void answer(struct neighbours *n, core_time now)
{
    core_time at = now + ANSWER_AFTER + rng_below(&n->rng, (uint32_t)ANSWER_SPREAD);
    if (at < n->last_sent + SEND_GAP)
        at = n->last_sent + SEND_GAP;
    if (at < n->next)
        arm(n, at);
}

/* ---- receiving ---- */

static bool verify_allowed(struct neighbours *n, core_time now)
{
    if (n->verify_at + VERIFY_BURST * VERIFY_EVERY < now)
        n->verify_at = now - VERIFY_BURST * VERIFY_EVERY;
    if (n->verify_at + VERIFY_EVERY > now)
        return false;
    n->verify_at += VERIFY_EVERY;
    return true;
}

static struct seen *find(struct neighbours *n, const uint8_t *key)
{
    for (size_t i = 0; i < SEEN_MAX; i++) {
        if (n->seen[i].used && memcmp(n->seen[i].key, key, NODE_KEY_SIZE) == 0)
            return &n->seen[i];
    }
    return NULL;
}

static struct seen *replace_oldest(struct neighbours *n)
{
    struct seen *oldest = &n->seen[0];
    for (size_t i = 0; i < SEEN_MAX && oldest->used; i++) {
        if (!n->seen[i].used || n->seen[i].heard < oldest->heard)
            oldest = &n->seen[i];
    }
    *oldest = (struct seen){.used = true};
    return oldest;
}

static void hear(struct neighbours *n, const struct net_addr *from, const uint8_t *data, size_t size)
{
    struct announce a;
    core_time now = host_now(n->core);
    if (!is_local(from) || announce_decode(&a, data, size, n->core->network, n->core->crypto) != 0) {
        n->totals.foreign++;
        return;
    }
    if (memcmp(a.key, n->core->me->key, NODE_KEY_SIZE) == 0)
        return; /* our own, looped back so that nodes of one machine meet */
    n->totals.heard++;

    struct seen *s = find(n, a.key);
    bool newcomer = !s || now - s->heard > FORGET_AFTER;
    if (!newcomer && a.unix_ms <= s->unix_ms)
        return; /* the same by another interface, or one replayed */
    if (!verify_allowed(n, now)) {
        n->totals.limited++;
        return;
    }
    if (announce_verify(data, n->core->crypto) != 0) {
        n->totals.bad++;
        return;
    }
    if (!s) {
        s = replace_oldest(n);
        memcpy(s->key, a.key, NODE_KEY_SIZE);
    }
    s->heard = now;
    s->unix_ms = a.unix_ms;
    if (newcomer)
        answer(n, now);
    if (!newcomer && now - s->hinted < HINT_GAP)
        return;
    s->hinted = now;
    n->totals.hints++;
    struct node_addr peer = {.addr = *from};
    memcpy(peer.key, a.key, NODE_KEY_SIZE);
    peer.addr.port = a.port;
    node_hint(n->core->node, now, &peer, true, host_out(n->core));
    host_drain(n->core);
}

static void on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct neighbours *n = handle->data;
    (void)suggested;
    *out = uv_buf_init((char *)n->buffer, sizeof n->buffer);
}

static void on_datagram(uv_udp_t *handle, ssize_t size, const uv_buf_t *buffer, const struct sockaddr *from, unsigned flags)
{
    struct neighbours *n = handle->data;
    struct net_addr addr;
    if (size <= 0 || !from || (flags & UV_UDP_PARTIAL) || !host_from_sockaddr(&addr, from))
        return;
    hear(n, &addr, (const uint8_t *)buffer->base, (size_t)size);
}

/* ---- open and close ---- */

static int family_open(struct neighbours *n, struct family *f)
{
    int rc = uv_udp_init(n->core->loop, &f->socket);
    if (rc != 0)
        return rc;
    f->socket.data = n;
    n->handles++;
    f->open = true; /* so that closing counts it, whatever comes */
    if (f->v6)
        uv_ip6_addr(GROUP_6, NEIGHBOURS_PORT, (struct sockaddr_in6 *)&f->group);
    else
        uv_ip4_addr(GROUP_4, NEIGHBOURS_PORT, (struct sockaddr_in *)&f->group);
    /* Bound to the group, so that what is sent to this port otherwise never arrives here. IPv6 cannot: a link-local group is bound for one
     * interface only; what arrives by unicast there is an announcement like any other. */
    struct sockaddr_storage bound = f->group;
    if (f->v6)
        ((struct sockaddr_in6 *)&bound)->sin6_addr = in6addr_any;
    rc = uv_udp_bind(&f->socket, (struct sockaddr *)&bound, UV_UDP_REUSEADDR | (f->v6 ? UV_UDP_IPV6ONLY : 0));
    if (rc == 0)
        rc = uv_udp_set_multicast_ttl(&f->socket, 1);
    if (rc == 0)
        rc = uv_udp_set_multicast_loop(&f->socket, 1);
    if (rc == 0)
        rc = uv_udp_recv_start(&f->socket, on_buffer, on_datagram);
    return rc;
}

static void on_closed(uv_handle_t *handle)
{
    struct neighbours *n = handle->data;
    if (--n->handles == 0)
        free(n);
}

static void family_close(struct family *f)
{
    if (f->open)
        uv_close((uv_handle_t *)&f->socket, on_closed);
    f->open = false;
}

struct neighbours *neighbours_new(struct host_core *core, const struct net_addr *listen4, const struct net_addr *listen6)
{
    struct neighbours *n = calloc(1, sizeof *n);
    uint64_t seed;
    if (!n)
        return NULL;
    n->core = core;
    host_random(&seed, sizeof seed);
    rng_init(&n->rng, seed, 0);
    uv_timer_init(core->loop, &n->timer);
    n->timer.data = n;
    n->handles = 1;
    for (int i = 0; i < 2; i++) {
        struct family *f = &n->family[i];
        f->v6 = i == 1;
        f->listen = i == 1 ? *listen6 : *listen4;
        if (f->listen.port == 0)
            continue;
        int rc = family_open(n, f);
        if (rc != 0) {
            log_info("net", "no neighbours will be found by IPv%d multicast here: %s", f->v6 ? 6 : 4, uv_strerror(rc));
            family_close(f);
        }
    }
    if (!n->family[0].open && !n->family[1].open) {
        neighbours_close(n);
        return NULL;
    }
    visit_links(n, false); /* at once, so that the first answer is not missed */
    arm(n, host_now(core));
    return n;
}

void neighbours_close(struct neighbours *n)
{
    if (!n)
        return;
    core_assert(!n->closing);
    n->closing = true;
    family_close(&n->family[0]);
    family_close(&n->family[1]);
    uv_timer_stop(&n->timer);
    uv_close((uv_handle_t *)&n->timer, on_closed);
}

void neighbours_totals(const struct neighbours *n, struct neighbours_totals *out)
{
    *out = n->totals;
}
