#include "simnet/flow/streams_int.h"
#include "simnet/flow/packets.h"
#include "node/base/assert.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTROL_CAP   16384
#define HANDSHAKE_CAP 4096
#define RETRANSMITS   CORE_SECONDS(20)

void *streams_must(void *memory)
{
    if (!memory) {
        fprintf(stderr, "simnet: out of memory for streams; run fewer nodes\n");
        abort();
    }
    return memory;
}

struct streams *streams_new(const struct streams_env *env, uint32_t nodes, const struct streams_links *links,
                            const struct streams_net *net)
{
    struct streams *s = streams_must(calloc(1, sizeof *s));
    s->env = *env;
    s->nodes = nodes;
    s->window = net->window;
    s->hosts = streams_must(calloc(nodes ? nodes : 1, sizeof *s->hosts));
    if (net->packets) {
        s->packets = packets_new(nodes, links, net->queue);
        return s;
    }
    s->bandwidth = bandwidth_new(2 * nodes, 30000);
    for (uint32_t i = 0; i < nodes; i++) {
        bandwidth_link(s->bandwidth, 2 * i, links[i].up);
        bandwidth_link(s->bandwidth, 2 * i + 1, links[i].down);
    }
    return s;
}

void stream_unref(struct stream *t)
{
    core_assert(t->refs > 0);
    if (--t->refs == 0)
        free(t);
}

void streams_event_put(struct streams *s, core_time at, uint32_t to, uint32_t from, enum streams_event kind,
                       uint64_t a, uint64_t b, struct stream *stream)
{
    if (stream)
        stream->refs++;
    s->env.at(s->env.context, at, to, from, (uint16_t)(s->env.kind + kind), a, b, stream);
}

static core_time now(const struct streams *s)
{
    return s->env.now(s->env.context);
}

static struct effects *out(const struct streams *s)
{
    return s->env.out(s->env.context);
}

static struct xfer *core(const struct streams *s, uint32_t node)
{
    return s->env.xfer(s->env.context, node);
}

/* ---- Which stream a session is ---- */

static void slot_set(struct streams *s, uint32_t node, uint32_t session, struct stream *t)
{
    struct host *h = &s->hosts[node];
    uint32_t slot = XFER_SESSION_SLOT(session);
    if (slot >= h->slot_count) {
        uint32_t count = h->slot_count ? h->slot_count : 8;
        while (count <= slot)
            count *= 2;
        h->slots = streams_must(realloc(h->slots, count * sizeof *h->slots));
        memset(h->slots + h->slot_count, 0, (count - h->slot_count) * sizeof *h->slots);
        h->slot_count = count;
    }
    h->slots[slot] = t;
}

struct stream *stream_find(struct streams *s, uint32_t node, uint32_t session, int *side)
{
    struct host *h = &s->hosts[node];
    uint32_t slot = XFER_SESSION_SLOT(session);
    struct stream *t = slot < h->slot_count ? h->slots[slot] : NULL;
    for (int k = 0; t && k < 2; k++) {
        if (t->side[k].node == node && t->side[k].session == session) {
            *side = k;
            return t;
        }
    }
    return NULL;
}

/* The core hears of it in an event, never inside the call that caused it. */
static void tell_closed(struct streams *s, core_time at, uint32_t node, uint32_t life, uint32_t session,
                        int status)
{
    streams_event_put(s, at, node, node, STREAMS_CLOSED, session, (uint64_t)life << 32 | (uint32_t)status,
                      NULL);
}

void stream_break(struct streams *s, struct stream *t, int by, int reason, core_time waits)
{
    if (t->dead)
        return;
    t->dead = true;
    data_close(s, t);
    for (int k = 0; k < 2; k++) {
        struct side *side = &t->side[k];
        if (!side->session)
            continue;
        slot_set(s, side->node, side->session, NULL);
        tell_closed(s, now(s) + waits + (k == by ? 0 : t->delay), side->node, side->life, side->session,
                    k == by ? reason : ERR_CLOSED);
    }
    s->totals.streams--;
    stream_unref(t);
}

static void stream_kill(struct streams *s, struct stream *t, int by, int reason)
{
    stream_break(s, t, by, reason, 0);
}

/* What is under way over a cut is lost; both ends give up when their retransmissions did. */
static bool lost(struct streams *s, struct stream *t)
{
    if (!t->dead && s->env.cut(s->env.context, t->side[0].node, t->side[1].node))
        stream_break(s, t, 0, ERR_TIMEOUT, RETRANSMITS);
    return t->dead;
}

/* ---- Dialling ---- */

static struct stream *stream_new(struct streams *s, uint32_t node, uint32_t to)
{
    struct stream *t = streams_must(calloc(1, sizeof *t));
    t->refs = 1;
    t->id = ++s->next_id;
    t->delay = s->env.delay(s->env.context, node, to);
    for (int k = 0; k < 2; k++) {
        struct side *side = &t->side[k];
        *side = (struct side){.node = k ? to : node, .flow = UINT32_MAX, .due = CORE_NEVER};
        side->life = s->hosts[side->node].life;
        side->last = &side->first;
        side->told_last = &side->told;
        t->ramp_place[k] = UINT32_MAX;
    }
    return t;
}

static void dial(struct streams *s, uint32_t node, const struct effect *x)
{
    uint32_t to = s->env.node_of(s->env.context, x->u.dial.key, &x->u.dial.to), life = s->hosts[node].life;
    s->totals.dials++;
    if (to == UINT32_MAX || to == node || !core(s, to) || !s->env.reachable(s->env.context, node, to)) {
        core_time wait = to == UINT32_MAX ? CORE_MS(200) : 2 * s->env.delay(s->env.context, node, to);
        s->totals.refused++;
        tell_closed(s, now(s) + wait, node, life, x->u.dial.session, ERR_REFUSED);
        return;
    }
    struct stream *t = stream_new(s, node, to);
    t->side[0].session = x->u.dial.session;
    for (uint32_t i = 0; i < 4; i++)
        t->binding[i] = (uint8_t)(t->id >> (8 * i));
    slot_set(s, node, t->side[0].session, t);
    s->totals.streams++;
    streams_event_put(s, now(s) + 2 * t->delay, node, to, STREAMS_CONNECT, 0, 0, t);
}

static struct message *message_new(struct stream *t, uint32_t side, const uint8_t *data, size_t size)
{
    struct message *m = streams_must(malloc(sizeof *m + size));
    m->stream = t;
    m->side = side;
    m->size = (uint32_t)size;
    memcpy(m->data, data, size);
    t->refs++;
    return m;
}

static void message_send(struct streams *s, struct stream *t, int from, enum streams_event kind,
                         const uint8_t *data, size_t size)
{
    s->totals.control_bytes += size;
    if (s->packets && kind == STREAMS_CONTROL) {
        packets_push(s, t, from, message_new(t, (uint32_t)!from, data, size));
        return;
    }
    s->env.at(s->env.context, now(s) + t->delay, t->side[!from].node, t->side[from].node,
              (uint16_t)(s->env.kind + kind), 0, 0, message_new(t, (uint32_t)!from, data, size));
}

static void connected(struct streams *s, struct stream *t)
{
    struct side *me = &t->side[0];
    uint8_t buffer[HANDSHAKE_CAP];
    if (t->raw) {
        s->env.raw(s->env.context, 0, NULL, 0);
        return;
    }
    if (!core(s, t->side[1].node) || s->hosts[t->side[1].node].life != t->side[1].life) {
        stream_kill(s, t, 0, ERR_REFUSED);
        return;
    }
    xfer_session_dialled(core(s, me->node), now(s), me->session, t->binding, out(s));
    s->env.carry(s->env.context, me->node);
    if (t->dead)
        return;
    size_t size = xfer_session_write(core(s, me->node), now(s), me->session, buffer, sizeof buffer);
    message_send(s, t, 0, STREAMS_HELLO, buffer, size);
}

static void pump(struct streams *s, struct stream *t, int k)
{
    struct side *side = &t->side[k];
    uint8_t buffer[CONTROL_CAP];
    while (!t->dead && side->established && side->ready) {
        size_t size = xfer_session_write(core(s, side->node), now(s), side->session, buffer, sizeof buffer);
        if (size == 0) {
            side->ready = false;
            break;
        }
        message_send(s, t, k, STREAMS_CONTROL, buffer, size);
    }
}

static void hello(struct streams *s, struct message *m)
{
    struct stream *t = m->stream;
    struct side *me = &t->side[1];
    const struct node_addr *peer = s->env.who(s->env.context, t->side[0].node);
    struct net_addr from = peer->addr;
    struct xfer *x = core(s, me->node);
    if (!x || s->hosts[me->node].life != me->life) { /* it went down since it answered the connection */
        stream_kill(s, t, 1, ERR_REFUSED);
        return;
    }
    from.port = (uint16_t)(32768 + t->id % 28000);
    me->session = xfer_session_accept(x, now(s), &from, peer->key, t->binding, out(s));
    if (!me->session) {
        s->env.carry(s->env.context, me->node);
        stream_kill(s, t, 1, ERR_REFUSED);
        return;
    }
    me->established = true;
    slot_set(s, me->node, me->session, t);
    streams_event_put(s, now(s) + t->delay, t->side[0].node, me->node, STREAMS_REPLY, 0, 0, t);
    s->env.carry(s->env.context, me->node);
    if (t->dead)
        return;
    xfer_session_recv(x, now(s), me->session, m->data, m->size, out(s));
    s->env.carry(s->env.context, me->node);
}

static void reply(struct streams *s, struct stream *t)
{
    struct side *me = &t->side[0];
    me->established = true;
    xfer_session_established(core(s, me->node), now(s), me->session, out(s));
    s->env.carry(s->env.context, me->node);
    pump(s, t, 0);
}

void streams_message(struct streams *s, struct message *m)
{
    struct side *me = &m->stream->side[m->side];
    uint64_t word = 0;
    for (uint32_t i = 0; i < m->size; i++)
        word = (word ^ m->data[i]) * 0x100000001b3u;
    s->env.trace(s->env.context, word);
    if (m->stream->raw) {
        s->env.raw(s->env.context, (int)m->side, m->data, m->size);
        return;
    }
    if (m->side == 1) /* the dialler's first frame */
        xfer_session_confirmed(core(s, me->node), now(s), me->session, out(s));
    xfer_session_recv(core(s, me->node), now(s), me->session, m->data, m->size, out(s));
    s->env.carry(s->env.context, me->node);
}

/* ---- Raw streams ---- */

struct stream *streams_raw_open(struct streams *s, uint32_t from, uint32_t to)
{
    core_assert(s->packets);
    struct stream *t = stream_new(s, from, to);
    t->raw = true;
    s->totals.streams++;
    streams_event_put(s, now(s) + 2 * t->delay, from, to, STREAMS_CONNECT, 0, 0, t);
    return t;
}

/* One message a segment, so that the reader gets bytes as TCP would give them. */
void streams_raw_send(struct streams *s, struct stream *t, int side, const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size && !t->dead; at += PACKETS_MSS) {
        size_t n = size - at < PACKETS_MSS ? size - at : PACKETS_MSS;
        s->totals.control_bytes += n;
        packets_push(s, t, side, message_new(t, (uint32_t)!side, data + at, n));
    }
}

void streams_raw_close(struct streams *s, struct stream *t)
{
    stream_kill(s, t, 0, ERR_CLOSED);
}

/* ---- Effects and events ---- */

static void content(struct streams *s, uint32_t i, const struct effect *x, struct bytes key)
{
    core_assert(key.size == HASH_SIZE);
    bool pack = x->u.content.pack;
    uint32_t swarm = s->env.swarm(s->env.context, i, key.data, pack);
    xfer_content_answer(core(s, i), now(s), x->u.content.session, x->u.content.channel, swarm, out(s));
    s->env.carry(s->env.context, i);
}

bool streams_effect(struct streams *s, uint32_t i, const struct effect *x, struct bytes bytes)
{
    int k = 0;
    struct stream *t;
    switch (x->kind) {
    case EFFECT_DIAL:
        dial(s, i, x);
        return true;
    case EFFECT_HANGUP:
        t = stream_find(s, i, x->u.hangup.session, &k);
        if (t)
            stream_kill(s, t, k, x->u.hangup.reason);
        return true; /* else it is closed already and an event says so */
    case EFFECT_READY:
        t = stream_find(s, i, x->u.ready.session, &k);
        if (t) {
            t->side[k].ready = true;
            pump(s, t, k);
        }
        return true;
    case EFFECT_CONTENT:
        content(s, i, x, bytes);
        return true;
    case EFFECT_SERVE:
        t = stream_find(s, i, x->u.serve.session, &k);
        if (t)
            data_serve(s, t, k, x);
        return true;
    default:
        return false;
    }
}

static void closed(struct streams *s, const struct sim_event *e)
{
    if (!core(s, e->to) || s->hosts[e->to].life != (uint32_t)(e->b >> 32))
        return;
    xfer_session_closed(core(s, e->to), now(s), (uint32_t)e->a, (int)(uint32_t)e->b, out(s));
    s->env.carry(s->env.context, e->to);
}

static void message_event(struct streams *s, enum streams_event kind, struct message *m)
{
    struct stream *t = m->stream;
    if (!lost(s, t)) {
        if (kind == STREAMS_HELLO)
            hello(s, m);
        else
            streams_message(s, m);
    }
    stream_unref(t);
    free(m);
}

static void stream_event(struct streams *s, enum streams_event kind, const struct sim_event *e)
{
    struct stream *t = e->data;
    if (kind == STREAMS_SENT ? !t->dead : !lost(s, t)) {
        switch (kind) {
        case STREAMS_CONNECT:
            connected(s, t);
            break;
        case STREAMS_REPLY:
            reply(s, t);
            break;
        case STREAMS_SENT:
            data_sent(s, t, (int)e->a, (uint32_t)e->b);
            break;
        default:
            data_block(s, t, (int)(e->b & 1), e->a, e->b);
            break;
        }
    }
    stream_unref(t);
}

static void packet_event(struct streams *s, enum streams_event kind, const struct sim_event *e)
{
    struct stream *t = e->data;
    if (!t->dead && kind == STREAMS_SERVED)
        data_told(s, t, (int)e->a);
    else if (!t->dead)
        packets_event(s, t, kind, e->a, e->b);
    stream_unref(t);
}

void streams_event(struct streams *s, const struct sim_event *e)
{
    core_assert(e->kind >= s->env.kind && e->kind < s->env.kind + STREAMS_EVENTS);
    enum streams_event kind = (enum streams_event)(e->kind - s->env.kind);
    if (kind == STREAMS_QUANTUM)
        data_quantum(s);
    else if (kind == STREAMS_CLOSED)
        closed(s, e);
    else if (kind >= STREAMS_SERVED)
        packet_event(s, kind, e);
    else if (kind == STREAMS_HELLO || kind == STREAMS_CONTROL)
        message_event(s, kind, e->data);
    else
        stream_event(s, kind, e);
}

void streams_drop(uint16_t first, const struct sim_event *e)
{
    enum streams_event kind = (enum streams_event)(e->kind - first);
    if (!e->data)
        return;
    if (kind == STREAMS_HELLO || kind == STREAMS_CONTROL) {
        struct message *m = e->data;
        stream_unref(m->stream);
        free(m);
    } else {
        stream_unref(e->data);
    }
}

void streams_node_down(struct streams *s, uint32_t i)
{
    struct host *h = &s->hosts[i];
    h->life++; /* what is told to the former life is dropped */
    for (uint32_t slot = 0; slot < h->slot_count; slot++) {
        struct stream *t = h->slots[slot];
        if (t)
            stream_kill(s, t, t->side[0].node == i ? 0 : 1, ERR_CLOSED);
    }
}

void streams_free(struct streams *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->nodes; i++) {
        for (uint32_t slot = 0; slot < s->hosts[i].slot_count; slot++) {
            struct stream *t = s->hosts[i].slots[slot];
            if (!t || t->dead)
                continue;
            t->dead = true;
            data_close(s, t);
            for (int k = 0; k < 2; k++)
                if (t->side[k].session)
                    slot_set(s, t->side[k].node, t->side[k].session, NULL);
            stream_unref(t);
        }
        free(s->hosts[i].slots);
    }
    bandwidth_free(s->bandwidth);
    packets_free(s->packets);
    free(s->hosts);
    free(s->flows);
    free(s->ramp);
    free(s);
}

void streams_totals(const struct streams *s, struct streams_totals *to)
{
    *to = s->totals;
}

uint64_t streams_sent(const struct streams *s, uint32_t i)
{
    return s->hosts[i].sent;
}

size_t streams_bytes(const struct streams *s)
{
    size_t bytes = sizeof *s + s->nodes * sizeof *s->hosts + s->flow_room * sizeof *s->flows;
    for (uint32_t i = 0; i < s->nodes; i++)
        bytes += s->hosts[i].slot_count * sizeof *s->hosts[i].slots;
    return bytes + s->totals.streams * sizeof(struct stream) + packets_bytes(s->packets) +
           (s->bandwidth ? bandwidth_bytes(s->bandwidth) : 0);
}

void streams_check(const struct streams *s)
{
    if (s->bandwidth)
        bandwidth_check(s->bandwidth);
    for (uint32_t i = 0; i < s->nodes; i++) {
        for (uint32_t slot = 0; slot < s->hosts[i].slot_count; slot++) {
            const struct stream *t = s->hosts[i].slots[slot];
            core_assert(!t || (!t->dead && (t->side[0].node == i || t->side[1].node == i)));
            for (int k = 0; t && k < 2; k++)
                packets_check(t, k);
        }
    }
}
