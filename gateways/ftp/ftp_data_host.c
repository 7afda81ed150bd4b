/* Data connections: sockets of their own with a poll handle each, so that sendfile and recv stand right on
 * them. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "gateways/ftp/ftp_conn_host.h"
#include "node/base/assert.h"
#include "node/host/core.h"

static void on_ready(uv_poll_t *poll, int status, int events);

static void on_closed(uv_handle_t *handle)
{
    struct ftp_data *d = handle->data;
    struct ftp_conn *c = d->holder;
    free(d);
    ftp_conn_unhold(c);
}

void ftp_data_close(struct ftp_conn *c)
{
    struct ftp_data *d = c->data;
    if (!d)
        return;
    c->data = NULL;
    d->c = NULL;
    uv_close((uv_handle_t *)&d->poll, on_closed);
    if (d->kind == FTP_DATA_STANDS)
        (void)shutdown(d->fd, SHUT_WR); /* what was given still goes out, then the end */
    close(d->fd);
}

/* Takes fd, also when it fails. */
static int channel_new(struct ftp_conn *c, int fd, int kind, int events)
{
    struct ftp_data *d = calloc(1, sizeof *d);
    core_assert(!c->data);
    if (!d || uv_poll_init(&c->server->g->app->loop, &d->poll, fd) != 0) {
        free(d);
        close(fd);
        return ERR_NO_MEMORY;
    }
    d->fd = fd;
    d->kind = kind;
    d->c = d->holder = c;
    d->poll.data = d;
    c->handles++;
    c->data = d;
    if (events)
        uv_poll_start(&d->poll, events, on_ready);
    return 0;
}

void ftp_data_poll(struct ftp_conn *c, int events)
{
    struct ftp_data *d = c->data;
    if (!d || d->kind != FTP_DATA_STANDS || d->events == events)
        return; /* a port keeps waiting for its connection whatever is done meanwhile */
    d->events = events;
    if (events)
        uv_poll_start(&d->poll, events, on_ready);
    else
        uv_poll_stop(&d->poll);
}

static socklen_t to_sockaddr(struct sockaddr_storage *ss, const struct net_addr *a)
{
    return host_to_sockaddr(ss, a) == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* ---- Passive ---- */

static int try_bind(int fd, const struct ftp_conn *c, uint16_t port)
{
    struct net_addr a = c->local;
    struct sockaddr_storage ss;
    if (!net_addr_is_v4(&a) && net_addr_scope(&a) == NET_SCOPE_LINK_LOCAL)
        memset(a.ip, 0, sizeof a.ip); /* which link is not in an address of ours */
    a.port = port;
    socklen_t size = to_sockaddr(&ss, &a);
    if (bind(fd, (struct sockaddr *)&ss, size) != 0)
        return errno == EADDRINUSE ? ERR_BUSY : ERR_IO;
    if (listen(fd, 4) != 0)
        return errno == EADDRINUSE ? ERR_BUSY : ERR_IO;
    return 0;
}

/* The next free one of the ports that the configuration names, each looked at once. */
static int bind_port(int fd, struct ftp_conn *c)
{
    struct ftp_server *s = c->server;
    if (!s->port_first)
        return try_bind(fd, c, 0);
    uint32_t count = (uint32_t)(s->port_last - s->port_first) + 1;
    int rc = ERR_FULL;
    for (uint32_t i = 0; i < count; i++) {
        uint16_t port = s->port_next;
        s->port_next = port == s->port_last ? s->port_first : (uint16_t)(port + 1);
        rc = try_bind(fd, c, port);
        if (rc != ERR_BUSY)
            return rc;
    }
    return ERR_FULL;
}

int ftp_data_listen(struct ftp_conn *c, struct net_addr *told)
{
    struct sockaddr_storage ss;
    socklen_t size = sizeof ss;
    int family = net_addr_is_v4(&c->local) ? AF_INET : AF_INET6, one = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno == EMFILE || errno == ENFILE ? ERR_FULL : ERR_IO;
    if (c->server->port_first) /* the port of a connection that has just ended may be used again */
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    int rc = bind_port(fd, c);
    if (rc == 0 && (getsockname(fd, (struct sockaddr *)&ss, &size) != 0 ||
                    !host_from_sockaddr(told, (struct sockaddr *)&ss)))
        rc = ERR_IO;
    if (rc != 0) {
        close(fd);
        return rc;
    }
    if (c->server->external.port && net_addr_scope(&c->peer) == NET_SCOPE_GLOBAL)
        memcpy(told->ip, c->server->external.ip, sizeof told->ip);
    return channel_new(c, fd, FTP_DATA_PORT, UV_READABLE);
}

/* Only the client itself may come: another who guesses the port would read, or write, in its stead (RFC 2577,
 * 3). */
static void accept_data(struct ftp_conn *c)
{
    struct sockaddr_storage ss;
    struct net_addr from;
    for (;;) {
        socklen_t size = sizeof ss;
        int fd = accept4(c->data->fd, (struct sockaddr *)&ss, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0)
            return;
        if (!host_from_sockaddr(&from, (struct sockaddr *)&ss) || !net_addr_same_ip(&from, &c->peer)) {
            c->server->strangers++;
            close(fd);
            continue;
        }
        ftp_data_close(c);
        ftp_conn_data(c, channel_new(c, fd, FTP_DATA_STANDS, 0));
        return;
    }
}

/* ---- Active ---- */

int ftp_data_dial(struct ftp_conn *c, const struct net_addr *to)
{
    struct sockaddr_storage ss;
    struct net_addr a = c->local;
    int one = 1,
        fd = socket(net_addr_is_v4(to) ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ERR_IO;
    a.port = 0;
    socklen_t size = to_sockaddr(&ss, &a);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&ss, size) != 0) { /* the client expects the address it talks to */
        close(fd);
        return ERR_IO;
    }
    size = to_sockaddr(&ss, to);
    if (connect(fd, (struct sockaddr *)&ss, size) != 0 && errno != EINPROGRESS) {
        close(fd);
        return ERR_CLOSED;
    }
    return channel_new(c, fd, FTP_DATA_DIALED, UV_WRITABLE);
}

static void dialed(struct ftp_conn *c)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(c->data->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
        ftp_data_close(c);
        ftp_conn_data(c, ERR_CLOSED);
        return;
    }
    uv_poll_stop(&c->data->poll);
    c->data->kind = FTP_DATA_STANDS;
    ftp_conn_data(c, 0);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct ftp_data *d = poll->data;
    struct ftp_conn *c = d->c;
    (void)status; /* an error shows itself in the call that follows */
    (void)events;
    if (!c)
        return;
    if (d->kind == FTP_DATA_PORT)
        accept_data(c);
    else if (d->kind == FTP_DATA_DIALED)
        dialed(c);
    else
        ftp_move_ready(c);
}
