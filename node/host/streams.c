/* Connections between nodes: listening, dialling, handshakes and their bounds, closing. Frames are in
 * streams_io.c. */
#include "node/host/streams.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "node/base/assert.h"
#include "node/host/streams_int.h"

#define SWEEP_MS        500u
#define BACKLOG         256
#define YOUNG_MS        1000u         /* a handshake this young is not pushed out by a newer one */
#define RATE_WINDOW_MS  30000u        /* a stream with unsent data that moves less than... */
#define RATE_WINDOW_MIN (16u * 1024u) /* ...this in that time is closed */

void streams_config_default(struct streams_config *c)
{
    *c = (struct streams_config){
        .handshakes_max = 256, .handshakes_per_ip_max = 16, .handshake_timeout_ms = 10000};
}

/* ---- lists ---- */

void conn_list_add(struct conn *c, int list)
{
    if (c->in[list] || c->state == CONN_CLOSING)
        return;
    struct conn_list *l = &c->owner->lists[list];
    c->in[list] = true;
    c->prev[list] = l->last;
    c->next[list] = NULL;
    *(l->last ? &l->last->next[list] : &l->first) = c;
    l->last = c;
}

void conn_list_remove(struct conn *c, int list)
{
    if (!c->in[list])
        return;
    struct conn_list *l = &c->owner->lists[list];
    c->in[list] = false;
    *(c->prev[list] ? &c->prev[list]->next[list] : &l->first) = c->next[list];
    *(c->next[list] ? &c->next[list]->prev[list] : &l->last) = c->prev[list];
    c->next[list] = c->prev[list] = NULL;
}

/* ---- sessions by slot ---- */

static bool slot_set(struct streams *s, uint32_t session, struct conn *c)
{
    uint32_t slot = XFER_SESSION_SLOT(session);
    if (slot >= s->slot_count) {
        uint32_t count = s->slot_count ? s->slot_count : 64;
        while (count <= slot)
            count *= 2;
        struct conn **slots = realloc(s->by_slot, count * sizeof(struct conn *));
        if (!slots)
            return false;
        memset(slots + s->slot_count, 0, (count - s->slot_count) * sizeof(struct conn *));
        s->by_slot = slots;
        s->slot_count = count;
    }
    s->by_slot[slot] = c;
    return true;
}

static struct conn *conn_of(const struct streams *s, uint32_t session)
{
    uint32_t slot = XFER_SESSION_SLOT(session);
    struct conn *c = slot < s->slot_count ? s->by_slot[slot] : NULL;
    return c && c->session == session ? c : NULL;
}

/* ---- life and death of a connection ---- */

static void closed_all(struct streams *s);

static struct conn *conn_new(struct streams *s, bool incoming, enum conn_state state)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    if (uv_tcp_init(s->core->loop, &c->tcp) != 0) {
        free(c);
        return NULL;
    }
    c->tcp.data = c;
    c->owner = s;
    c->incoming = incoming;
    c->state = state;
    c->since_ms = c->window_ms = uv_now(s->core->loop);
    c->jobs_end = &c->jobs;
    s->handles++;
    s->totals.handshaking++;
    conn_list_add(c, LIST_ALL);
    conn_list_add(c, LIST_HANDSHAKE);
    return c;
}

void conn_free_if_done(struct conn *c)
{
    if (!c->closed || c->job_count > 0)
        return;
    struct streams *s = c->owner;
    core_assert(c->unsent == 0);
    conn_io_free(c);
    free(c);
    s->handles--;
    closed_all(s);
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    c->closed = true;
    conn_free_if_done(c);
}

void conn_close(struct conn *c, int reason)
{
    struct streams *s = c->owner;
    if (c->state == CONN_CLOSING)
        return;
    if (c->state == CONN_OPEN)
        s->totals.open--;
    else
        s->totals.handshaking--;
    for (int i = 0; i < LIST_COUNT; i++)
        conn_list_remove(c, i);
    c->state = CONN_CLOSING;
    stream_fini(&c->stream);
    uv_close((uv_handle_t *)&c->tcp, on_closed);
    if (c->session) {
        uint32_t session = c->session;
        s->by_slot[XFER_SESSION_SLOT(session)] = NULL;
        c->session = 0;
        xfer_session_closed(s->core->xfer, host_now(s->core), session, reason, host_out(s->core));
        host_drain(s->core);
    }
}

static void conn_opened(struct conn *c)
{
    c->state = CONN_OPEN;
    c->owner->totals.handshaking--;
    c->owner->totals.open++;
    if (c->stream.confirmed)
        conn_list_remove(c, LIST_HANDSHAKE);
    /* Otherwise message 1 may be a replay: the time limit runs on until a first frame shows that the peer is
     * there. */
    c->control_ready = true;
    conn_list_add(c, LIST_READY);
}

/* ---- handshake ---- */

/* Control bytes that fit into a handshake message. The core's messages are whole, so it may be less than
 * there is. */
static struct bytes first_control(struct conn *c, uint8_t *buffer)
{
    struct host_core *core = c->owner->core;
    size_t used = 0, n;
    while (STREAM_FIRST_MAX - used >= 512 &&
           (n = xfer_session_write(core->xfer, host_now(core), c->session, buffer + used,
                                   STREAM_FIRST_MAX - used)) > 0)
        used += n;
    return bytes_of(buffer, used);
}

static bool read_hello(struct conn *c, uint8_t *message, size_t size)
{
    struct streams *s = c->owner;
    struct host_core *core = s->core;
    uint8_t ephemeral[32], control_out[STREAM_FIRST_MAX],
        reply[2 + NOISE_MESSAGE_2_OVERHEAD + 64 + STREAM_FIRST_MAX];
    struct bytes control;
    host_random(ephemeral, sizeof ephemeral);
    int status = stream_init(&c->stream, &s->stream, NULL, ephemeral);
    crypto_wipe(ephemeral, sizeof ephemeral);
    if (status == 0)
        status = stream_read_hello(&c->stream, &s->stream, message, size, &control);
    if (status != 0) {
        s->totals.handshake_failed++;
        conn_close(c, status);
        return false;
    }
    uint32_t session = xfer_session_accept(core->xfer, host_now(core), &c->peer, c->stream.peer_key,
                                           c->stream.binding, host_out(core));
    if (session == 0) {
        s->totals.refused++;
        conn_close(c, ERR_REFUSED);
        host_drain(core);
        return false;
    }
    c->session = session;
    c->state = CONN_ANSWERING;
    if (!slot_set(s, session, c)) {
        s->totals.refused++;
        conn_close(c, ERR_NO_MEMORY);
        return false;
    }
    if (control.size && xfer_session_recv(core->xfer, host_now(core), session, control.data, control.size,
                                          host_out(core)) != 0) {
        host_drain(core); /* carries out the hang-up, unless many others are before it: no further byte may be read then */
        if (c->state != CONN_CLOSING)
            conn_close(c, ERR_MALFORMED);
        return false;
    }
    host_drain(core); /* what was opened may be answered in the reply */
    if (c->state == CONN_CLOSING)
        return false;
    size_t n = stream_reply(&c->stream, &s->stream, first_control(c, control_out), reply);
    if (n == 0) {
        conn_close(c, ERR_NO_MEMORY);
        return false;
    }
    conn_opened(c);
    conn_write_copy(c, reply, n);
    return c->state != CONN_CLOSING;
}

static bool read_reply(struct conn *c, uint8_t *message, size_t size)
{
    struct host_core *core = c->owner->core;
    struct bytes control;
    int status = stream_read_reply(&c->stream, &c->owner->stream, message, size, &control);
    if (status != 0) {
        c->owner->totals.handshake_failed++;
        conn_close(c, status);
        return false;
    }
    conn_opened(c);
    conn_confirm(c);
    if (c->state == CONN_CLOSING)
        return false;
    xfer_session_established(core->xfer, host_now(core), c->session, host_out(core));
    if (control.size && xfer_session_recv(core->xfer, host_now(core), c->session, control.data, control.size,
                                          host_out(core)) != 0)
        return false; /* the hang-up is carried out by the next drain */
    return true;
}

bool conn_handshake(struct conn *c, uint8_t *message, size_t size)
{
    switch (c->state) {
    case CONN_HELLO:
        return read_hello(c, message, size);
    case CONN_REPLY:
        return read_reply(c, message, size);
    default:
        core_assert(!"no message is read in this state");
        return false;
    }
}

/* ---- accepting ---- */

static uint32_t handshakes_from(const struct streams *s, const struct net_addr *from)
{
    uint32_t count = 0;
    for (const struct conn *c = s->lists[LIST_HANDSHAKE].first; c; c = c->next[LIST_HANDSHAKE])
        count += c->incoming && net_addr_same_ip(&c->peer, from);
    return count;
}

/* A new connection may come in: limits hold, or the oldest silent one makes room. */
static bool admit(struct streams *s, const struct net_addr *from)
{
    if (net_addr_scope(from) == NET_SCOPE_GLOBAL &&
        handshakes_from(s, from) >= s->config.handshakes_per_ip_max)
        return false;
    uint32_t count = 0;
    struct conn *oldest = NULL;
    for (struct conn *c = s->lists[LIST_HANDSHAKE].first; c; c = c->next[LIST_HANDSHAKE]) {
        count += c->incoming;
        if (c->incoming && !oldest)
            oldest = c;
    }
    if (count < s->config.handshakes_max)
        return true;
    if (!oldest || uv_now(s->core->loop) - oldest->since_ms < YOUNG_MS)
        return false;
    s->totals.handshake_timeout++;
    conn_close(oldest, ERR_TIMEOUT);
    return true;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct streams *s = listener->data;
    if (status != 0 || s->closing)
        return;
    struct conn *c = conn_new(s, true, CONN_HELLO);
    if (!c)
        return;
    /* Not counted among the handshakes until it is let in. */
    conn_list_remove(c, LIST_HANDSHAKE);
    struct sockaddr_storage sa;
    int size = sizeof sa;
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0 ||
        uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&sa, &size) != 0 ||
        !host_from_sockaddr(&c->peer, (struct sockaddr *)&sa) || !admit(s, &c->peer)) {
        s->totals.refused++;
        conn_close(c, ERR_REFUSED);
        return;
    }
    s->totals.accepted++;
    conn_list_add(c, LIST_HANDSHAKE);
    uv_tcp_nodelay(&c->tcp, 1);
    conn_read_start(c);
}

int streams_listen(struct streams *s, struct net_addr *addr)
{
    core_assert(s->listener_count < LISTENERS_MAX);
    struct sockaddr_storage sa;
    int family = host_to_sockaddr(&sa, addr);
    uv_tcp_t *listener = malloc(sizeof *listener);
    if (!listener)
        return UV_ENOMEM;
    int status = uv_tcp_init(s->core->loop, listener);
    if (status != 0) {
        free(listener);
        return status;
    }
    listener->data = s;
    status = uv_tcp_bind(listener, (struct sockaddr *)&sa, family == AF_INET6 ? UV_TCP_IPV6ONLY : 0);
    if (status == 0)
        status = uv_listen((uv_stream_t *)listener, BACKLOG, on_connection);
    int size = sizeof sa;
    if (status == 0)
        status = uv_tcp_getsockname(listener, (struct sockaddr *)&sa, &size);
    if (status != 0) {
        uv_close((uv_handle_t *)listener, (uv_close_cb)free);
        return status;
    }
    static const uint8_t unspecified[16], unspecified4[16] = {[10] = 0xff, [11] = 0xff};
    bool any = memcmp(addr->ip, unspecified, 16) == 0 || memcmp(addr->ip, unspecified4, 16) == 0;
    if (!any && family == AF_INET) {
        s->bind4 = true;
        s->from4 = *addr;
    } else if (!any) {
        s->bind6 = true;
        s->from6 = *addr;
    }
    core_assert(host_from_sockaddr(addr, (struct sockaddr *)&sa));
    s->listeners[s->listener_count++] = listener;
    s->handles++;
    return 0;
}

/* ---- dialling ---- */

static void on_connect(uv_connect_t *request, int status)
{
    struct conn *c = request->handle->data;
    struct streams *s = c->owner;
    struct host_core *core = s->core;
    if (c->state == CONN_CLOSING)
        return;
    if (status != 0) {
        conn_close(c, status == UV_ETIMEDOUT ? ERR_TIMEOUT : ERR_REFUSED);
        return;
    }
    uint8_t ephemeral[32], control[STREAM_FIRST_MAX],
        hello[2 + NOISE_MESSAGE_1_OVERHEAD + 64 + STREAM_FIRST_MAX];
    host_random(ephemeral, sizeof ephemeral);
    status = stream_init(&c->stream, &s->stream, c->dial_key, ephemeral);
    crypto_wipe(ephemeral, sizeof ephemeral);
    if (status != 0) {
        conn_close(c, status);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    stream_hello_begin(&c->stream, &s->stream);
    xfer_session_dialled(core->xfer, host_now(core), c->session, c->stream.binding, host_out(core));
    host_drain(core);
    if (c->state == CONN_CLOSING)
        return;
    size_t n = stream_hello_end(&c->stream, &s->stream, first_control(c, control), hello);
    c->state = CONN_REPLY;
    conn_write_copy(c, hello, n);
    if (c->state != CONN_CLOSING)
        conn_read_start(c);
}

static int dial_start(struct conn *c, const struct net_addr *to)
{
    struct streams *s = c->owner;
    struct sockaddr_storage sa;
    bool v4 = net_addr_is_v4(to);
    struct net_addr from = v4 ? s->from4 : s->from6;
    from.port = 0;
    int status = 0;
    if (v4 ? s->bind4 : s->bind6) {
        host_to_sockaddr(&sa, &from);
        status = uv_tcp_bind(&c->tcp, (struct sockaddr *)&sa, v4 ? 0 : UV_TCP_IPV6ONLY);
    }
    host_to_sockaddr(&sa, to);
    return status ? status : uv_tcp_connect(&c->connecting, &c->tcp, (struct sockaddr *)&sa, on_connect);
}

static void dial(struct streams *s, const struct effect *x)
{
    uint32_t session = x->u.dial.session;
    struct conn *c = s->closing ? NULL : conn_new(s, false, CONN_CONNECTING);
    if (!c || !slot_set(s, session, c)) {
        if (c)
            conn_close(c, ERR_NO_MEMORY);
        xfer_session_closed(s->core->xfer, host_now(s->core), session,
                            s->closing ? ERR_CANCELLED : ERR_NO_MEMORY, host_out(s->core));
        host_drain(s->core);
        return;
    }
    c->session = session;
    c->peer = x->u.dial.to;
    memcpy(c->dial_key, x->u.dial.key, NODE_KEY_SIZE);
    if (dial_start(c, &x->u.dial.to) != 0)
        conn_close(c, ERR_REFUSED);
}

/* ---- effects ---- */

void streams_effect(struct streams *s, const struct effect *x)
{
    struct conn *c;
    switch (x->kind) {
    case EFFECT_DIAL:
        dial(s, x);
        break;
    case EFFECT_HANGUP:
        c = conn_of(s, x->u.hangup.session);
        if (c)
            conn_close(c, x->u.hangup.reason);
        break;
    case EFFECT_READY:
        c = conn_of(s, x->u.ready.session);
        if (c) {
            c->control_ready = true;
            conn_list_add(c, LIST_READY);
        }
        break;
    case EFFECT_SERVE:
        c = conn_of(s, x->u.serve.session);
        if (c)
            conn_serve(c, x);
        break;
    default:
        core_assert(!"no effect of streams");
    }
}

/* Every marked connection gets one turn; those that want more are marked again. */
static void flush(struct streams *s)
{
    struct conn *last = s->lists[LIST_READY].last;
    for (bool more = last != NULL; more;) {
        struct conn *c = s->lists[LIST_READY].first;
        if (!c)
            return;
        more = c != last;
        conn_list_remove(c, LIST_READY);
        conn_pump(c);
    }
}

static void on_check(uv_check_t *check)
{
    flush(check->data);
}

static void on_prepare(uv_prepare_t *prepare)
{
    flush(prepare->data);
}

/* ---- bounds in time ---- */

void streams_sweep(struct streams *s, uint64_t now)
{
    struct conn *oldest;
    while ((oldest = s->lists[LIST_HANDSHAKE].first) != NULL &&
           now - oldest->since_ms >= s->config.handshake_timeout_ms) {
        s->totals.handshake_timeout++;
        conn_close(oldest, ERR_TIMEOUT);
    }
    /* Closing one may make the core close others: what is next is not known then, so it starts again. */
    for (struct conn *c = s->lists[LIST_ALL].first; c;) {
        /* Whole writes, and what is through of the one under way. */
        uint64_t moved = c->sent + c->unsent - uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);
        if (c->unsent == 0 || moved - c->window_moved >= RATE_WINDOW_MIN) {
            c->window_ms = now;
            c->window_moved = moved;
        }
        if (now - c->window_ms >= RATE_WINDOW_MS) {
            conn_close(c, ERR_TIMEOUT);
            c = s->lists[LIST_ALL].first;
            continue;
        }
        c = c->next[LIST_ALL];
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct streams *s = timer->data;
    streams_sweep(s, uv_now(s->core->loop));
    streams_resume(s);
}

/* ---- the object ---- */

void streams_totals(const struct streams *s, struct streams_totals *out)
{
    *out = s->totals;
}

struct streams *streams_new(struct host_core *core, const struct streams_config *config)
{
    struct streams *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->timer = malloc(sizeof *s->timer);
    s->check = malloc(sizeof *s->check);
    s->prepare = malloc(sizeof *s->prepare);
    if (!s->timer || !s->check || !s->prepare) {
        free(s->timer);
        free(s->check);
        free(s->prepare);
        free(s);
        return NULL;
    }
    signal(
        SIGPIPE,
        SIG_IGN); /* libuv writes without MSG_NOSIGNAL: a peer that is gone must be an error, not our end */
    s->core = core;
    s->config = *config;
    s->stream = (struct stream_config){.me = core->me, .network = core->network, .crypto = core->crypto};
    uv_timer_init(core->loop, s->timer);
    uv_check_init(core->loop, s->check);
    uv_prepare_init(core->loop, s->prepare);
    s->timer->data = s->check->data = s->prepare->data = s;
    uv_timer_start(s->timer, on_sweep, SWEEP_MS, SWEEP_MS);
    uv_check_start(s->check, on_check);
    uv_prepare_start(s->prepare, on_prepare);
    uv_unref((uv_handle_t *)s->timer);
    uv_unref((uv_handle_t *)s->check);
    uv_unref((uv_handle_t *)s->prepare);
    s->handles = 3;
    core->streams = s;
    return s;
}

static void destroy(struct streams *s)
{
    if (s->core->streams == s)
        s->core->streams = NULL;
    free(s->by_slot);
    free(s);
}

static void closed_all(struct streams *s)
{
    if (!s->closing || s->handles > 0)
        return;
    void (*closed)(void *) = s->closed;
    s->closed = NULL;
    if (s->free_wanted)
        destroy(s);
    else if (closed)
        closed(s->closed_context);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct streams *s = handle->data;
    free(handle);
    s->handles--;
    closed_all(s);
}

void streams_unlisten(struct streams *s, const struct net_addr *addr)
{
    for (uint32_t i = 0; i < s->listener_count; i++) {
        struct sockaddr_storage sa;
        struct net_addr bound;
        int size = sizeof sa;
        if (uv_tcp_getsockname(s->listeners[i], (struct sockaddr *)&sa, &size) != 0 ||
            !host_from_sockaddr(&bound, (struct sockaddr *)&sa) || !net_addr_equal(&bound, addr))
            continue;
        uv_close((uv_handle_t *)s->listeners[i], on_handle_closed);
        s->listeners[i] = s->listeners[--s->listener_count];
        return;
    }
}

void streams_close(struct streams *s, void (*closed)(void *context), void *context)
{
    core_assert(!s->closing);
    s->closing = true;
    s->closed = closed;
    s->closed_context = context;
    for (uint32_t i = 0; i < s->listener_count; i++)
        uv_close((uv_handle_t *)s->listeners[i], on_handle_closed);
    uv_close((uv_handle_t *)s->timer, on_handle_closed);
    uv_close((uv_handle_t *)s->check, on_handle_closed);
    uv_close((uv_handle_t *)s->prepare, on_handle_closed);
    while (s->lists[LIST_ALL].first)
        conn_close(s->lists[LIST_ALL].first, ERR_CANCELLED);
}

void streams_free(struct streams *s)
{
    if (!s)
        return;
    if (s->closing && s->handles == 0) {
        destroy(s);
        return;
    }
    s->free_wanted = true; /* a start that failed half way: the loop still has to run the close callbacks */
    if (!s->closing)
        streams_close(s, NULL, NULL);
}
