/* The data plane without bytes: a serve becomes a block a frame (larger ones let the receiver see its rate in
 * lumps) on the flow from the server to the peer; what is left of it shrinks with the flow's rate; when it is
 * through, the block arrives a latency later and its frames are handed to the core as if they had been
 * verified and written. */
#include "node/base/assert.h"
#include "simnet/flow/packets.h"
#include "transfer/frame.h"
#include <stdlib.h>

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

static uint32_t leaf_bytes(const struct streams_content *c, uint32_t leaf)
{
    return leaf + 1 == c->geometry.leaf_count ? c->geometry.last_leaf_bytes : c->geometry.leaf_bytes;
}

static uint32_t proof_bytes(const struct streams_content *c, uint32_t span)
{
    return HASH_SIZE * (tree_span_leaves(c->size, span) + tree_uncle_count(c->size));
}

/* ---- The rate's side ---- */

static void quantum_arm(struct streams *s)
{
    if (s->quantum)
        return;
    s->quantum = true;
    core_time end = now(s) - now(s) % QUANTUM + QUANTUM;
    streams_event_put(s, end, SIM_WORLD, SIM_WORLD, STREAMS_QUANTUM, 0, 0, NULL);
}

static uint64_t window_cap(const struct streams *s, const struct stream *t, const struct side *side)
{
    if (!s->window)
        return BANDWIDTH_ENDLESS;
    core_time round = t->delay ? 2 * t->delay : 1;
    return side->window * CORE_SECONDS(1) / round + 1;
}

static void ramp_add(struct streams *s, struct stream *t, int k)
{
    if (t->ramp_place[k] != UINT32_MAX)
        return;
    if (s->ramp_count == s->ramp_room) {
        s->ramp_room = s->ramp_room ? s->ramp_room * 2 : 64;
        s->ramp = streams_must(realloc(s->ramp, s->ramp_room * sizeof *s->ramp));
    }
    t->ramp_place[k] = s->ramp_count;
    s->ramp[s->ramp_count++] = (struct flow_end){t, k};
}

static void ramp_remove(struct streams *s, struct stream *t, int k)
{
    uint32_t place = t->ramp_place[k];
    if (place == UINT32_MAX)
        return;
    struct flow_end last = s->ramp[--s->ramp_count];
    s->ramp[place] = last;
    last.stream->ramp_place[last.side] = place;
    t->ramp_place[k] = UINT32_MAX;
}

static void side_count(struct streams *s, struct side *side)
{
    uint64_t done = side->rate * (now(s) - side->since) / CORE_SECONDS(1);
    side->left -= done < side->left ? done : side->left;
    side->since = now(s);
}

/* An event is put in only when the end comes earlier than the one under way says; a later end is found out
 * when that one happens. */
static void side_due(struct streams *s, struct stream *t, int k)
{
    struct side *side = &t->side[k];
    if (side->rate == 0)
        return;
    core_time end = now(s) + (side->left * CORE_SECONDS(1) + side->rate - 1) / side->rate;
    if (end >= side->due)
        return;
    side->due = end;
    streams_event_put(s, end, side->node, side->node, STREAMS_SENT, (uint64_t)k, ++side->event, t);
}

static void rate_changed(void *context, uint32_t flow)
{
    struct streams *s = context;
    struct flow_end *f = &s->flows[flow];
    struct side *side = &f->stream->side[f->side];
    side_count(s, side); /* at the old rate */
    side->rate = bandwidth_rate(s->bandwidth, flow);
    side_due(s, f->stream, f->side);
}

/* Slow start: the window doubles with every round trip that the flow is busy, up to the stream's window. */
static void ramps_grow(struct streams *s)
{
    for (uint32_t i = s->ramp_count; i-- > 0;) {
        struct flow_end f = s->ramp[i];
        struct side *side = &f.stream->side[f.side];
        core_time round = f.stream->delay ? 2 * f.stream->delay : 1;
        while (side->window < s->window && side->grown + round <= now(s)) {
            side->window *= 2;
            side->grown += round;
        }
        if (side->window >= s->window) {
            side->window = s->window;
            ramp_remove(s, f.stream, f.side);
        }
        bandwidth_cap(s->bandwidth, side->flow, window_cap(s, f.stream, side));
    }
}

void data_quantum(struct streams *s)
{
    s->quantum = false;
    ramps_grow(s);
    bandwidth_quantum(s->bandwidth, rate_changed, s);
    if (bandwidth_dirty(s->bandwidth) || s->ramp_count)
        quantum_arm(s);
}

static void flow_open(struct streams *s, struct stream *t, int k)
{
    struct side *side = &t->side[k];
    side->flow = bandwidth_open(s->bandwidth, 2 * side->node, 2 * t->side[!k].node + 1);
    if (side->flow >= s->flow_room) {
        uint32_t room = s->flow_room ? s->flow_room * 2 : 256;
        s->flows = streams_must(realloc(s->flows, room * sizeof *s->flows));
        for (uint32_t i = s->flow_room; i < room; i++)
            s->flows[i] = (struct flow_end){NULL, 0};
        s->flow_room = room;
    }
    s->flows[side->flow] = (struct flow_end){t, k};
}

static void flow_start(struct streams *s, struct stream *t, int k)
{
    struct side *side = &t->side[k];
    if (side->flow == UINT32_MAX)
        flow_open(s, t, k);
    if (s->window && (side->window == 0 || now(s) - side->rested > IDLE_RESET)) {
        side->window = WINDOW_FIRST < s->window ? WINDOW_FIRST : s->window;
        side->grown = now(s);
    }
    if (side->window < s->window)
        ramp_add(s, t, k);
    side->running = true;
    bandwidth_start(s->bandwidth, side->flow, window_cap(s, t, side));
    side->rate = bandwidth_rate(s->bandwidth, side->flow);
    quantum_arm(s);
}

static void flow_stop(struct streams *s, struct stream *t, int k)
{
    struct side *side = &t->side[k];
    side->running = false;
    side->rate = 0;
    side->rested = now(s);
    bandwidth_stop(s->bandwidth, side->flow);
    ramp_remove(s, t, k);
    quantum_arm(s);
}

/* ---- Serves ---- */

/* The next part of the first serve: how long it is on the wire. */
static void part_load(struct streams *s, struct side *side)
{
    struct serve *v = side->first;
    struct streams_content c;
    v->readable = s->env.content(s->env.context, side->node, v->ref, &c);
    side->left = 1;
    v->part = v->count - v->sent;
    if (v->readable) {
        uint32_t most = FRAME_LEAVES_MAX, bytes = 0;
        v->part = v->part < most ? v->part : most;
        for (uint32_t i = 0; i < v->part; i++)
            bytes += leaf_bytes(&c, v->leaf + v->sent + i);
        uint32_t frames = c.pack ? v->part : (v->part + FRAME_LEAVES_MAX - 1) / FRAME_LEAVES_MAX;
        side->left = (uint64_t)bytes + (uint64_t)frames * FRAME_EXTRA;
        v->bytes += bytes;
        s->hosts[side->node].sent += bytes;
        s->totals.payload_bytes += bytes;
        if (v->proof && v->sent == 0)
            side->left += proof_bytes(&c, v->leaf >> TREE_SPAN_LOG2) + FRAME_EXTRA;
    }
}

static void next_serve(struct streams *s, struct stream *t, int k)
{
    struct side *side = &t->side[k];
    if (!side->first) {
        if (side->running)
            flow_stop(s, t, k);
        return;
    }
    part_load(s, side);
    side->since = now(s);
    side->due = CORE_NEVER;
    if (!side->running)
        flow_start(s, t, k);
    side_due(s, t, k);
}

void data_serve(struct streams *s, struct stream *t, int k, const struct effect *x)
{
    struct side *side = &t->side[k];
    struct serve *v = streams_must(calloc(1, sizeof *v));
    v->channel = x->u.serve.channel;
    v->ref = x->u.serve.ref;
    v->leaf = x->u.serve.leaf;
    v->count = x->u.serve.count;
    v->proof = x->u.serve.proof;
    bool first = !side->first;
    *side->last = v;
    side->last = &v->next;
    if (first && s->packets)
        part_load(s, side);
    if (s->packets)
        packets_push(s, t, k, NULL);
    else if (first)
        next_serve(s, t, k);
}

/* A part is out; with the last one the first serve leaves the queue, and is *done. False: nothing could be
 * read, no block goes. */
static bool part_out(struct streams *s, struct stream *t, int k, uint64_t *a, uint64_t *b,
                     struct serve **done)
{
    struct side *side = &t->side[k];
    struct serve *v = side->first;
    uint32_t leaf = v->leaf + v->sent;
    bool proof = v->proof && v->sent == 0;
    v->sent += v->part;
    *done = v->sent == v->count ? v : NULL;
    if (*done)
        side->first = v->next;
    if (!side->first)
        side->last = &side->first;
    if (!v->readable)
        return false;
    uint64_t bad = !s->env.honest(s->env.context, side->node);
    *a = (uint64_t)v->channel << 32 | leaf;
    *b = (uint64_t)!k | (uint64_t)proof << 1 | bad << 2 | (uint64_t)v->part << 8 | (uint64_t)v->ref << 32;
    s->totals.blocks++;
    return true;
}

bool data_handed(struct streams *s, struct stream *t, int k, uint64_t *a, uint64_t *b)
{
    struct side *side = &t->side[k];
    struct serve *v;
    bool block = part_out(s, t, k, a, b, &v);
    if (v) {
        v->next = NULL;
        *side->told_last = v;
        side->told_last = &v->next;
        streams_event_put(s, now(s), side->node, side->node, STREAMS_SERVED, (uint64_t)k, 0, t);
    }
    if (side->first)
        part_load(s, side);
    return block;
}

static void served(struct streams *s, struct side *side, struct serve *v)
{
    struct serve done = *v;
    free(v);
    xfer_served(core(s, side->node), now(s), side->session, done.channel, done.leaf, done.count, done.bytes,
                done.readable ? 0 : ERR_IO, out(s));
    s->env.carry(s->env.context, side->node);
}

void data_told(struct streams *s, struct stream *t, int k)
{
    struct side *side = &t->side[k];
    struct serve *v = side->told;
    side->told = v->next;
    if (!side->told)
        side->told_last = &side->told;
    served(s, side, v);
}

void data_sent(struct streams *s, struct stream *t, int k, uint32_t event)
{
    struct side *side = &t->side[k];
    if (event != side->event || !side->first)
        return;
    side_count(s, side);
    side->due = CORE_NEVER;
    if (side->left > 0) { /* the rate fell meanwhile */
        side_due(s, t, k);
        return;
    }
    struct serve *v;
    uint64_t a, b;
    if (part_out(s, t, k, &a, &b, &v))
        streams_event_put(s, now(s) + t->delay, t->side[!k].node, side->node, STREAMS_BLOCK, a, b, t);
    next_serve(s, t, k);
    if (v)
        served(s, side, v);
}

/* ---- Blocks ---- */

static void proof_in(struct streams *s, struct side *me, const struct streams_content *c, uint32_t channel,
                     uint32_t span)
{
    uint32_t swarm = 0, ref = 0;
    struct xfer *x = core(s, me->node);
    int status =
        xfer_proof_arrived(x, now(s), me->session, channel, span, proof_bytes(c, span), &swarm, &ref, out(s));
    s->env.carry(s->env.context, me->node);
    if (status != 0)
        return;
    xfer_proof_result(x, now(s), swarm, me->session, span, 0, out(s));
    s->env.carry(s->env.context, me->node);
}

static void leaves_in(struct streams *s, struct side *me, uint32_t channel, uint32_t leaf, uint32_t count,
                      uint32_t bytes, bool bad)
{
    uint32_t swarm = 0, ref = 0;
    struct xfer *x = core(s, me->node);
    int status =
        xfer_leaves_arrived(x, now(s), me->session, channel, leaf, count, bytes, &swarm, &ref, out(s));
    s->env.carry(s->env.context, me->node);
    if (status != 0)
        return;
    xfer_leaves_result(x, now(s), swarm, me->session, leaf, count, bad ? 0 : (1u << count) - 1,
                       bad ? ERR_BAD_HASH : 0, out(s));
    s->env.carry(s->env.context, me->node);
}

void data_block(struct streams *s, struct stream *t, int k, uint64_t a, uint64_t b)
{
    struct side *me = &t->side[k];
    uint32_t channel = (uint32_t)(a >> 32), first = (uint32_t)a, count = (uint32_t)(b >> 8 & 0xff);
    struct streams_content c;
    /* The sender's own view of the content: both agree on it, and the receiver's host has none of its own
     * here. */
    if (!s->env.content(s->env.context, t->side[!k].node, (uint32_t)(b >> 32), &c))
        return;
    s->env.trace(s->env.context, a ^ b);
    if (b & 2)
        proof_in(s, me, &c, channel, first >> TREE_SPAN_LOG2);
    uint32_t most = c.pack ? 1 : FRAME_LEAVES_MAX;
    for (uint32_t leaf = first; leaf < first + count && !t->dead;) {
        uint32_t n = first + count - leaf < most ? first + count - leaf : most, bytes = 0;
        for (uint32_t i = 0; i < n; i++)
            bytes += leaf_bytes(&c, leaf + i);
        leaves_in(s, me, channel, leaf, n, bytes, b & 4);
        leaf += n;
    }
}

void data_close(struct streams *s, struct stream *t)
{
    for (int k = 0; k < 2; k++) {
        struct side *side = &t->side[k];
        while (side->first) {
            struct serve *v = side->first;
            side->first = v->next;
            free(v);
        }
        side->last = &side->first;
        while (side->told) {
            struct serve *v = side->told;
            side->told = v->next;
            free(v);
        }
        side->told_last = &side->told;
        packets_close(t, k);
        ramp_remove(s, t, k);
        side->running = false;
        if (side->flow == UINT32_MAX)
            continue;
        bandwidth_close(s->bandwidth, side->flow);
        s->flows[side->flow] = (struct flow_end){NULL, 0};
        side->flow = UINT32_MAX;
    }
}
