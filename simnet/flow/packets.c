#include "simnet/flow/packets.h"
#include "node/base/assert.h"
#include <stdlib.h>
#include <string.h>

#define MSS         PACKETS_MSS
#define HEADER      PACKETS_HEADER
#define ACK_WIRE    PACKETS_ACK
#define DUPLICATES  3u  /* later transmissions acknowledged before one counts as lost */
#define RTO_LEAST   CORE_MS(200)
#define RTO_FIRST   CORE_SECONDS(1)
#define BACKOFF_MAX 6u
#define GIVE_UP     CORE_SECONDS(20) /* as long as nothing at all is acknowledged */
#define QUEUE_LEAST 16u              /* full segments that any queue holds */

struct segment {
    uint32_t size, tx; /* tx: number of its latest transmission */
    core_time sent;
    struct message *message; /* ends in this segment */
    uint64_t a, b;           /* STREAMS_BLOCK's, when `block` */
    bool block, flying, lost, acked, arrived;
};

struct tcp {
    struct segment *ring;
    uint32_t room, first, next, expected; /* first: not acknowledged; expected: not delivered */
    uint32_t tx, tx_acked, lost_count, recover, backoff;
    uint64_t flight, window, threshold; /* [bytes] */
    bool recovering, timer;
    core_time rtt, deviation, rto_at, heard, sent;
    struct message *control, **control_end;
    uint32_t control_left; /* of the first message [bytes] */
};

struct pipe {
    uint64_t rate, free_ns, queue_ns; /* [bytes/s], 0: endless; when the last byte in it is out */
};

struct packets {
    uint32_t count;
    struct pipe pipes[];
};

static core_time now(const struct streams *s)
{
    return s->env.now(s->env.context);
}

struct packets *packets_new(uint32_t nodes, const struct streams_links *links, core_time queue)
{
    struct packets *p = streams_must(calloc(1, sizeof *p + 2 * nodes * sizeof p->pipes[0]));
    p->count = 2 * nodes;
    for (uint32_t i = 0; i < p->count; i++) {
        struct pipe *pipe = &p->pipes[i];
        pipe->rate = i & 1 ? links[i / 2].down : links[i / 2].up;
        uint64_t least = pipe->rate ? QUEUE_LEAST * (MSS + HEADER) * UINT64_C(1000000000) / pipe->rate : 0;
        pipe->queue_ns = queue * 1000 > least ? queue * 1000 : least;
    }
    return p;
}

void packets_free(struct packets *p)
{
    free(p);
}

size_t packets_bytes(const struct packets *p)
{
    return p ? sizeof *p + p->count * sizeof p->pipes[0] : 0;
}

static uint64_t wire_ns(const struct pipe *p, uint32_t size)
{
    return p->rate ? size * UINT64_C(1000000000) / p->rate : 0;
}

/* Into the queue at `at` ns; when it is out, or 0: the queue is full. */
static uint64_t pipe_pass(struct pipe *p, uint64_t at, uint32_t size, bool droppable)
{
    uint64_t start = p->free_ns > at ? p->free_ns : at;
    if (droppable && p->rate && start - at > p->queue_ns)
        return 0;
    p->free_ns = start + wire_ns(p, size);
    return p->free_ns;
}

static core_time up_us(uint64_t ns)
{
    return (ns + 999) / 1000;
}

/* ---- The sender ---- */

static struct tcp *tcp_of(struct side *side)
{
    if (side->tcp)
        return side->tcp;
    struct tcp *c = side->tcp = streams_must(calloc(1, sizeof *c));
    c->room = 16;
    c->ring = streams_must(calloc(c->room, sizeof *c->ring));
    c->window = WINDOW_FIRST;
    c->threshold = UINT64_MAX;
    c->control_end = &c->control;
    return c;
}

static struct segment *slot(struct tcp *c, uint32_t seq)
{
    return &c->ring[seq & (c->room - 1)];
}

static void ring_grow(struct tcp *c)
{
    struct segment *bigger = streams_must(calloc(2 * c->room, sizeof *bigger));
    for (uint32_t seq = c->first; seq != c->next; seq++)
        bigger[seq & (2 * c->room - 1)] = *slot(c, seq);
    free(c->ring);
    c->ring = bigger;
    c->room *= 2;
}

static core_time rto(const struct tcp *c)
{
    core_time base = c->rtt ? c->rtt + 4 * c->deviation : RTO_FIRST;
    return (base < RTO_LEAST ? RTO_LEAST : base) << c->backoff;
}

static void timer_arm(struct streams *s, struct stream *t, int k)
{
    struct tcp *c = t->side[k].tcp;
    if (c->timer || c->first == c->next)
        return;
    c->timer = true;
    streams_event_put(s, c->rto_at, t->side[k].node, t->side[k].node, STREAMS_RTO, (uint64_t)k, 0, t);
}

static void transmit(struct streams *s, struct stream *t, int k, uint32_t seq)
{
    struct side *side = &t->side[k];
    struct tcp *c = side->tcp;
    struct segment *g = slot(c, seq);
    uint32_t to = t->side[!k].node, wire = g->size + HEADER;
    if (c->first + 1 == c->next && !g->tx)
        c->heard = now(s); /* the first after a rest */
    if (c->flight == 0)
        c->rto_at = now(s) + rto(c);
    g->tx = ++c->tx;
    g->sent = c->sent = now(s);
    g->flying = true;
    c->flight += g->size;
    timer_arm(s, t, k);
    uint64_t out = pipe_pass(&s->packets->pipes[2 * side->node], now(s) * 1000, wire, true);
    if (!out || s->env.cut(s->env.context, side->node, to) || s->env.loses(s->env.context, side->node, to)) {
        s->totals.segments_lost++;
        return;
    }
    /* The downlink's own time is part of the way, so that an empty downlink costs no event. */
    core_time at = up_us(out + wire_ns(&s->packets->pipes[2 * to + 1], wire)) + t->delay;
    streams_event_put(s, at, to, side->node, STREAMS_PACKET, (uint64_t)seq << 1 | (uint64_t)k, g->tx, t);
}

/* Control first, then what is served; false: nothing to send. */
static bool segment_make(struct streams *s, struct stream *t, int k)
{
    struct side *side = &t->side[k];
    struct tcp *c = side->tcp;
    if (!c->control && !side->first)
        return false;
    if (c->next - c->first == c->room)
        ring_grow(c);
    struct segment *g = slot(c, c->next);
    *g = (struct segment){0};
    if (c->control) {
        struct message *m = c->control;
        g->size = c->control_left < MSS ? c->control_left : MSS;
        c->control_left -= g->size;
        if (c->control_left == 0) {
            g->message = m;
            c->control = m->next;
            c->control_end = m->next ? c->control_end : &c->control;
            c->control_left = m->next ? m->next->size : 0;
        }
    } else {
        g->size = side->left < MSS ? (uint32_t)side->left : MSS;
        side->left -= g->size;
        if (side->left == 0)
            g->block = data_handed(s, t, k, &g->a, &g->b);
    }
    c->next++;
    s->totals.segments++;
    return true;
}

static void pump(struct streams *s, struct stream *t, int k)
{
    struct tcp *c = t->side[k].tcp;
    if (c->first == c->next && now(s) > c->sent + rto(c) && c->window > WINDOW_FIRST)
        c->window = WINDOW_FIRST; /* RFC 5681, 4.1 */
    for (uint32_t seq = c->first; c->flight < c->window;) {
        if (c->lost_count) {
            while (!slot(c, seq)->lost)
                seq++;
            slot(c, seq)->lost = false;
            c->lost_count--;
            transmit(s, t, k, seq);
            continue;
        }
        if ((s->window && (uint64_t)(c->next - c->first) * MSS >= s->window) || !segment_make(s, t, k))
            break;
        transmit(s, t, k, c->next - 1);
    }
}

void packets_push(struct streams *s, struct stream *t, int k, struct message *m)
{
    struct tcp *c = tcp_of(&t->side[k]);
    if (m) {
        m->next = NULL;
        if (!c->control)
            c->control_left = m->size;
        *c->control_end = m;
        c->control_end = &m->next;
    }
    pump(s, t, k);
}

static void fall(struct tcp *c, uint64_t flight)
{
    c->threshold = flight / 2 > 2 * MSS ? flight / 2 : 2 * MSS;
    c->recovering = true;
    c->recover = c->next;
}

static void lose(struct tcp *c, struct segment *g)
{
    g->flying = false;
    g->lost = true;
    c->flight -= g->size;
    c->lost_count++;
}

static void losses_find(struct tcp *c)
{
    uint64_t flight = c->flight;
    uint32_t before = c->lost_count;
    for (uint32_t seq = c->first; seq != c->next; seq++) {
        struct segment *g = slot(c, seq);
        if (g->flying && (int32_t)(c->tx_acked - g->tx - DUPLICATES) >= 0)
            lose(c, g);
    }
    if (c->lost_count == before || c->recovering)
        return;
    fall(c, flight);
    c->window = c->threshold;
}

static void rtt_heed(struct tcp *c, core_time sample)
{
    if (!c->rtt) {
        c->rtt = sample;
        c->deviation = sample / 2;
        return;
    }
    core_time gap = sample > c->rtt ? sample - c->rtt : c->rtt - sample;
    c->deviation = (3 * c->deviation + gap) / 4;
    c->rtt = (7 * c->rtt + sample) / 8;
}

static void acked(struct streams *s, struct stream *t, int k, uint32_t seq, uint32_t tx)
{
    struct tcp *c = t->side[k].tcp;
    c->heard = now(s);
    if ((int32_t)(tx - c->tx_acked) > 0)
        c->tx_acked = tx;
    if (seq - c->first >= c->next - c->first || slot(c, seq)->acked)
        return; /* a second copy's */
    struct segment *g = slot(c, seq);
    bool full = c->flight + MSS > c->window; /* only a window that is used grows */
    g->acked = true;
    if (g->tx == tx)
        rtt_heed(c, now(s) - g->sent);
    if (g->flying)
        c->flight -= g->size;
    c->lost_count -= g->lost;
    g->flying = g->lost = false;
    if (c->recovering || !full)
        ;
    else if (c->window < c->threshold)
        c->window += g->size;
    else
        c->window += (uint64_t)MSS * g->size / c->window + 1;
    while (c->first != c->next && slot(c, c->first)->acked) {
        c->first++;
        c->backoff = 0;
        c->rto_at = now(s) + rto(c);
    }
    losses_find(c);
    if (c->recovering && (int32_t)(c->first - c->recover) >= 0) {
        c->recovering = false;
        c->window = c->window > c->threshold ? c->window : c->threshold;
    }
    pump(s, t, k);
}

static void timed_out(struct streams *s, struct stream *t, int k)
{
    struct tcp *c = t->side[k].tcp;
    c->timer = false;
    if (c->first == c->next)
        return;
    if (now(s) < c->rto_at) {
        timer_arm(s, t, k);
        return;
    }
    if (c->backoff == BACKOFF_MAX || now(s) > c->heard + GIVE_UP) {
        stream_break(s, t, k, ERR_TIMEOUT, 0);
        return;
    }
    if (c->backoff == 0)
        fall(c, c->flight);
    c->recovering = false; /* slow start from here */
    c->window = MSS;
    for (uint32_t seq = c->first; seq != c->next; seq++)
        if (slot(c, seq)->flying)
            lose(c, slot(c, seq));
    c->backoff++;
    c->rto_at = now(s) + rto(c);
    pump(s, t, k);
    timer_arm(s, t, k);
}

/* ---- The receiver ---- */

/* k: the side that sent. Everything in order that is complete goes up; a core may end the stream at any of
 * it. */
static void deliver(struct streams *s, struct stream *t, int k)
{
    struct tcp *c = t->side[k].tcp;
    while (!t->dead && c->expected != c->next && slot(c, c->expected)->arrived) {
        struct segment *g = slot(c, c->expected++);
        struct message *m = g->message;
        g->message = NULL;
        if (m) {
            streams_message(s, m);
            stream_unref(t);
            free(m);
        } else if (g->block) {
            data_block(s, t, !k, g->a, g->b);
        }
    }
}

static void arrived(struct streams *s, struct stream *t, int k, uint32_t seq, uint32_t tx)
{
    struct tcp *c = t->side[k].tcp;
    uint32_t me = t->side[!k].node;
    if (!s->env.cut(s->env.context, me, t->side[k].node)) {
        uint64_t out = pipe_pass(&s->packets->pipes[2 * me], now(s) * 1000, ACK_WIRE, false);
        streams_event_put(s, up_us(out) + t->delay, t->side[k].node, me, STREAMS_ACK,
                          (uint64_t)seq << 1 | (uint64_t)k, tx, t);
    }
    if (seq - c->expected >= c->next - c->expected)
        return; /* delivered before */
    slot(c, seq)->arrived = true;
    deliver(s, t, k);
}

static void at_downlink(struct streams *s, struct stream *t, int k, uint32_t seq, uint32_t tx)
{
    struct tcp *c = t->side[k].tcp;
    uint32_t me = t->side[!k].node;
    bool known = seq - c->first < c->next - c->first;
    uint32_t wire = (known ? slot(c, seq)->size : MSS) + HEADER;
    struct pipe *down = &s->packets->pipes[2 * me + 1];
    uint64_t came = now(s) * 1000 - wire_ns(down, wire); /* PACKET's time has the downlink's own in it */
    bool waits = down->free_ns > came;
    uint64_t out = pipe_pass(down, came, wire, true);
    if (!out)
        s->totals.segments_lost++;
    else if (waits)
        streams_event_put(s, up_us(out), me, t->side[k].node, STREAMS_ARRIVED,
                          (uint64_t)seq << 1 | (uint64_t)k, tx, t);
    else
        arrived(s, t, k, seq, tx);
}

void packets_event(struct streams *s, struct stream *t, enum streams_event kind, uint64_t a, uint64_t b)
{
    int k = (int)(a & 1);
    uint32_t seq = (uint32_t)(a >> 1), tx = (uint32_t)b;
    switch (kind) {
    case STREAMS_PACKET:
        at_downlink(s, t, k, seq, tx);
        break;
    case STREAMS_ARRIVED:
        arrived(s, t, k, seq, tx);
        break;
    case STREAMS_ACK:
        acked(s, t, k, seq, tx);
        break;
    default:
        timed_out(s, t, k);
    }
}

void packets_close(struct stream *t, int k)
{
    struct tcp *c = t->side[k].tcp;
    if (!c)
        return;
    for (uint32_t seq = c->first; seq != c->next; seq++) {
        struct message *m = slot(c, seq)->message;
        if (m)
            stream_unref(t);
        free(m);
    }
    while (c->control) {
        struct message *m = c->control;
        c->control = m->next;
        stream_unref(t);
        free(m);
    }
    free(c->ring);
    free(c);
    t->side[k].tcp = NULL;
}

void packets_check(const struct stream *t, int k)
{
    struct tcp *c = t->side[k].tcp;
    uint64_t flight = 0;
    uint32_t lost = 0;
    if (!c)
        return;
    for (uint32_t seq = c->first; seq != c->next; seq++) {
        const struct segment *g = slot(c, seq);
        core_assert(g->flying + g->lost + g->acked == 1);
        core_assert(!g->acked || g->arrived);
        flight += g->flying ? g->size : 0;
        lost += g->lost;
    }
    core_assert(flight == c->flight && lost == c->lost_count);
    core_assert(c->first == c->next || c->timer);
    core_assert(c->expected - c->first <= c->next - c->first);
}
