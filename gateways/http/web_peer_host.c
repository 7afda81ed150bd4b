#include "gateways/http/web_peer_host.h"
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

struct question {
    struct nlmsghdr head;
    struct inet_diag_req_v2 body;
};

static void put_end(__be32 out[4], __be16 *port, const struct net_addr *a)
{
    uint16_t p = htons(a->port);
    memcpy(port, &p, 2);
    if (net_addr_is_v4(a))
        memcpy(out, a->ip + 12, 4);
    else
        memcpy(out, a->ip, 16);
}

/* Only an established connection counts: the kernel reports 0, root, for a socket that its program has
 * closed. */
static bool take_answer(const uint8_t *bytes, size_t size, const struct question *q, uid_t *out)
{
    struct nlmsghdr head;
    struct inet_diag_msg answer;
    if (size < sizeof head + sizeof answer)
        return false;
    memcpy(&head, bytes, sizeof head);
    memcpy(&answer, bytes + NLMSG_HDRLEN, sizeof answer);
    if (head.nlmsg_type != SOCK_DIAG_BY_FAMILY || answer.idiag_state != TCP_ESTABLISHED ||
        answer.id.idiag_sport != q->body.id.idiag_sport || answer.id.idiag_dport != q->body.id.idiag_dport)
        return false;
    *out = answer.idiag_uid;
    return true;
}

bool web_peer_user(const struct net_addr *local, const struct net_addr *peer, uid_t *out)
{
    struct question q;
    uint8_t answer[1024];
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct timeval patience = {.tv_usec = 100000};
    memset(&q, 0, sizeof q);
    q.head.nlmsg_len = sizeof q;
    q.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    q.head.nlmsg_flags = NLM_F_REQUEST;
    q.body.sdiag_family = net_addr_is_v4(peer) ? AF_INET : AF_INET6;
    q.body.sdiag_protocol = IPPROTO_TCP;
    q.body.idiag_states = 1u << TCP_ESTABLISHED;
    put_end(q.body.id.idiag_src, &q.body.id.idiag_sport, peer); /* its end, as it sees it */
    put_end(q.body.id.idiag_dst, &q.body.id.idiag_dport, local);
    q.body.id.idiag_cookie[0] = q.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
               sizeof patience); /* the kernel answers within sendto */
    ssize_t n = sendto(fd, &q, sizeof q, 0, (struct sockaddr *)&kernel, sizeof kernel);
    if (n == (ssize_t)sizeof q)
        n = recv(fd, answer, sizeof answer, 0);
    close(fd);
    return n > 0 && take_answer(answer, (size_t)n, &q, out);
}
