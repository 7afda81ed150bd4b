#include "tests/support/xfer_world.h"
#include "node/base/assert.h"
#include "transfer/frame.h"
#include <stdlib.h>

#define CONTROL_CAP  16384
#define QUEUE_MAX    (256u << 10) /* a stream's send buffer [bytes] */
#define VERIFY_DELAY 200          /* data plane [us] */

struct xworld_frame {
    struct xworld_frame *next;
    struct frame_head head;
    uint32_t size; /* on the wire */
    bool honest, last_of_serve;
    uint32_t serve_leaf, serve_count, serve_bytes;
    uint32_t payload; /* bytes of payload */
    uint32_t control_size;
    uint8_t control[];
};

struct side {
    struct xworld_node *node;
    uint32_t session;
    struct xworld_frame *first, **last; /* waiting for the uplink */
    uint32_t queued;
    bool sending, ready, established;
    struct serve_item {
        struct serve_item *next;
        uint32_t channel, ref, leaf, count;
        bool proof;
    } * serves, **serves_last;
};

struct xworld_stream {
    uint32_t id;
    struct side side[2]; /* 0 = dialler */
    bool dead;
    uint8_t binding[HASH_SIZE];
    core_time last_arrival[2];
};

enum event_kind {
    EVENT_WAKE,
    EVENT_CONNECT,
    EVENT_HELLO,
    EVENT_REPLY,
    EVENT_CONFIRM, /* the dialler's first frame */
    EVENT_SENT,
    EVENT_ARRIVE,
    EVENT_VERIFIED,
    EVENT_CLOSED
};

struct xworld_event {
    core_time at;
    uint64_t sequence;
    enum event_kind kind;
    struct xworld_node *node;
    struct xworld_stream *stream;
    int side;
    struct xworld_frame *frame;
    uint32_t swarm, session, leaf, count, good;
    bool proof;
    int status;
};

void xworld_params_default(struct xworld_params *p)
{
    memset(p, 0, sizeof *p);
    p->seed = 1;
    p->latency = CORE_MS(10);
    xfer_config_default(&p->config);
}

/* ---- Events ---- */

static bool before(const struct xworld_event *a, const struct xworld_event *b)
{
    return a->at != b->at ? a->at < b->at : a->sequence < b->sequence;
}

static void push(struct xworld *w, struct xworld_event e)
{
    e.sequence = w->sequence++;
    if (w->heap_count == w->heap_cap) {
        w->heap_cap = w->heap_cap ? w->heap_cap * 2 : 256;
        w->heap = realloc(w->heap, w->heap_cap * sizeof *w->heap);
    }
    uint32_t at = w->heap_count++;
    while (at > 0 && before(&e, &w->heap[(at - 1) / 2])) {
        w->heap[at] = w->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    w->heap[at] = e;
}

static struct xworld_event pop(struct xworld *w)
{
    struct xworld_event top = w->heap[0], last = w->heap[--w->heap_count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= w->heap_count)
            break;
        if (child + 1 < w->heap_count && before(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!before(&w->heap[child], &last))
            break;
        w->heap[at] = w->heap[child];
        at = child;
    }
    if (w->heap_count)
        w->heap[at] = last;
    return top;
}

/* ---- Making things ---- */

struct xworld *xworld_new(const struct xworld_params *p)
{
    struct xworld *w = calloc(1, sizeof *w);
    w->params = *p;
    w->control_hash = 0xcbf29ce484222325u;
    w->now = CORE_SECONDS(1);
    effects_init(&w->out, w->items, 256, w->bytes, sizeof w->bytes);
    return w;
}

static void seed_from(uint8_t out[32], uint64_t a, uint64_t b)
{
    memset(out, 0, 32);
    put_be64(out, a);
    put_be64(out + 8, b);
    put_be64(out + 16, a * 0x9e3779b97f4a7c15u + b);
}

struct xworld_node *xworld_add(struct xworld *w, uint64_t up, uint64_t down)
{
    struct xworld_node *n = calloc(1, sizeof *n);
    uint8_t seed[32];
    n->world = w;
    n->index = w->node_count;
    n->up = up;
    n->down = down;
    n->answers_content = n->gives_peers = true;
    n->armed = CORE_NEVER;
    seed_from(seed, w->params.seed, n->index + 1000);
    core_crypto_cheap.identity(&n->me, seed);
    n->addr = net_addr_v4(10, 0, (uint8_t)(n->index / 200), (uint8_t)(n->index % 200 + 1), 7000);
    n->env.config = &w->params.config;
    n->env.crypto = &core_crypto_cheap;
    n->env.alloc = w->params.alloc ? w->params.alloc : &core_alloc_libc;
    n->xfer = xfer_new(&n->env, &n->me, &w->network, seed, w->now);
    if (!n->xfer) {
        free(n);
        return NULL;
    }
    xfer_set_stream_port(n->xfer, n->addr.port);
    w->nodes[w->node_count++] = n;
    return n;
}

static uint32_t add_content(struct xworld *w, uint64_t size, bool pack)
{
    struct xworld_content *c = &w->contents[w->content_count];
    seed_from(c->id.root, w->content_count + 77, w->params.seed);
    c->id.size = size;
    c->pack = pack;
    content_provider_key(c->provider_key, &c->id, &w->network, &core_crypto_cheap);
    xfer_geometry_content(&c->geometry, size);
    return w->content_count++;
}

uint32_t xworld_content(struct xworld *w, uint64_t size)
{
    return add_content(w, size, false);
}

uint32_t xworld_pack(struct xworld *w, uint32_t entries, uint32_t mean_bytes)
{
    uint32_t i = add_content(w, 100000, true);
    w->contents[i].id.kind = CONTENT_TREE;
    xfer_geometry_pack(&w->contents[i].geometry, entries, mean_bytes);
    return i;
}

bool xworld_swarm(struct xworld_node *n, uint32_t content, struct xfer_swarm_params *extra)
{
    struct xworld_content *c = &n->world->contents[content];
    struct xfer_swarm_params p = extra ? *extra : (struct xfer_swarm_params){0};
    p.id = c->id;
    memcpy(p.provider_key, c->provider_key, HASH_SIZE);
    p.ref = content + 1;
    p.pack = c->pack;
    p.geometry = c->geometry;
    uint32_t swarm = xfer_swarm_add(n->xfer, n->world->now, &p, XWORLD_OUT(n));
    n->swarms[content] = swarm;
    n->complete[content] = p.complete;
    xworld_step(n);
    return swarm != 0;
}

bool xworld_seed(struct xworld_node *n, uint32_t content)
{
    struct xfer_swarm_params p = {.complete = true};
    return xworld_swarm(n, content, &p);
}

bool xworld_leech(struct xworld_node *n, uint32_t content)
{
    return xworld_swarm(n, content, NULL);
}

void xworld_know(struct xworld_node *n, uint32_t content, struct xworld_node *of)
{
    xfer_swarm_peer(n->xfer, n->world->now, n->swarms[content], of->me.key, &of->addr, XFER_SOURCE_DHT,
                    XWORLD_OUT(n));
    xworld_step(n);
}

/* ---- Streams ---- */

static struct xworld_stream *stream_of(struct xworld *w, const struct xworld_node *n, uint32_t session,
                                       int *side)
{
    for (uint32_t i = 0; i < w->stream_count; i++) {
        struct xworld_stream *s = w->streams[i];
        for (int k = 0; k < 2; k++) {
            if (!s->dead && s->side[k].node == n && s->side[k].session == session) {
                *side = k;
                return s;
            }
        }
    }
    return NULL;
}

static void enqueue(struct xworld *w, struct xworld_stream *s, int side, struct xworld_frame *f);

static void drain_control(struct xworld *w, struct xworld_stream *s, int k)
{
    struct side *side = &s->side[k];
    while (side->ready && side->queued < QUEUE_MAX) {
        uint8_t buffer[CONTROL_CAP];
        size_t size = xfer_session_write(side->node->xfer, w->now, side->session, buffer, sizeof buffer);
        if (size == 0) {
            side->ready = false;
            break;
        }
        struct xworld_frame *f = calloc(1, sizeof *f + size);
        f->head.type = FRAME_CONTROL;
        f->control_size = (uint32_t)size;
        f->size = (uint32_t)size + 19;
        memcpy(f->control, buffer, size);
        w->control_bytes += size;
        enqueue(w, s, k, f);
    }
}

static struct xworld_frame *payload_frame(const struct xworld_node *n, enum frame_type type, uint32_t channel,
                                          uint32_t index, uint32_t count, uint32_t bytes)
{
    struct xworld_frame *f = calloc(1, sizeof *f);
    f->head.type = (uint8_t)type;
    f->head.channel = channel;
    f->head.index = index;
    f->head.count = (uint8_t)count;
    f->payload = bytes;
    f->size = bytes + 28;
    f->honest = type == FRAME_PROOF ? n->vice != VICE_BAD_PROOF : n->vice != VICE_POLLUTER;
    return f;
}

static void serve_one(struct xworld *w, struct xworld_stream *s, int k, struct serve_item *item)
{
    struct side *side = &s->side[k];
    struct xworld_node *n = side->node;
    struct xworld_content *c = &w->contents[item->ref - 1];
    uint32_t bytes = 0;
    if (n->vice == VICE_LIAR) {
        xfer_served(n->xfer, w->now, side->session, item->channel, item->leaf, item->count, 0, ERR_IO,
                    &w->out);
        xworld_step(n);
        return;
    }
    if (c->pack && n->changed_every && item->leaf % n->changed_every == 0) {
        xfer_served(n->xfer, w->now, side->session, item->channel, item->leaf, item->count, 0, ERR_CHANGED,
                    &w->out);
        xworld_step(n);
        return;
    }
    if (n->vice == VICE_SILENT && n->leaves_sent >= n->silent_after)
        return; /* never served, never told */
    if (item->proof && n->vice != VICE_NO_PROOF) {
        uint32_t span = item->leaf >> TREE_SPAN_LOG2;
        uint32_t size = HASH_SIZE * (tree_span_leaves(c->id.size, span) + tree_uncle_count(c->id.size));
        enqueue(w, s, k, payload_frame(n, FRAME_PROOF, item->channel, span, 1, size));
    }
    uint32_t most = c->pack ? 1 : FRAME_LEAVES_MAX;
    for (uint32_t i = 0; i < item->count;) {
        uint32_t count = item->count - i < most ? item->count - i : most, size = 0;
        for (uint32_t j = 0; j < count; j++)
            size += item->leaf + i + j + 1 == c->geometry.leaf_count ? c->geometry.last_leaf_bytes
                                                                     : c->geometry.leaf_bytes;
        struct xworld_frame *f = payload_frame(n, c->pack ? FRAME_ENTRY : FRAME_LEAVES, item->channel,
                                               item->leaf + i, count, size);
        bytes += size;
        i += count;
        if (i == item->count) {
            f->last_of_serve = true;
            f->serve_leaf = item->leaf;
            f->serve_count = item->count;
            f->serve_bytes = bytes;
        }
        enqueue(w, s, k, f);
    }
    n->leaves_sent += item->count;
    w->payload_bytes += bytes;
    w->payload_from[n->index] += bytes;
}

static void drain_serves(struct xworld *w, struct xworld_stream *s, int k)
{
    struct side *side = &s->side[k];
    while (!s->dead && side->serves && side->queued < QUEUE_MAX) {
        struct serve_item *item = side->serves;
        side->serves = item->next;
        if (!side->serves)
            side->serves_last = &side->serves;
        serve_one(w, s, k, item);
        free(item);
    }
}

static void pump(struct xworld *w, struct xworld_stream *s, int k);

/* A node's uplink sends one frame at a time; streams wait their turn because each has at most one frame in
 * the link. */
static void start_sending(struct xworld *w, struct xworld_stream *s, int k)
{
    struct side *side = &s->side[k];
    if (side->sending || !side->first || s->dead)
        return;
    struct xworld_node *n = side->node;
    struct xworld_frame *f = side->first;
    side->sending = true;
    core_time start = n->up_free > w->now ? n->up_free : w->now;
    n->up_free = start + (core_time)f->size * CORE_SECONDS(1) / n->up;
    push(w, (struct xworld_event){.at = n->up_free, .kind = EVENT_SENT, .stream = s, .side = k, .node = n});
}

static void enqueue(struct xworld *w, struct xworld_stream *s, int k, struct xworld_frame *f)
{
    struct side *side = &s->side[k];
    *side->last = f;
    side->last = &f->next;
    side->queued += f->size;
    start_sending(w, s, k);
}

static void pump(struct xworld *w, struct xworld_stream *s, int k)
{
    if (s->dead || !s->side[k].established)
        return;
    drain_control(w, s, k);
    drain_serves(w, s, k);
}

static void free_side(struct side *side)
{
    while (side->first) {
        struct xworld_frame *f = side->first;
        side->first = f->next;
        free(f);
    }
    side->last = &side->first;
    while (side->serves) {
        struct serve_item *item = side->serves;
        side->serves = item->next;
        free(item);
    }
    side->serves_last = &side->serves;
}

/* The stream is gone: each side that still has a session hears of it, the near one at once and the far one a
 * latency later. */
static void kill_stream(struct xworld *w, struct xworld_stream *s, int by, int reason)
{
    if (s->dead)
        return;
    s->dead = true;
    free_side(&s->side[0]);
    free_side(&s->side[1]);
    for (int k = 0; k < 2; k++) {
        struct side *side = &s->side[k];
        if (side->session && side->node->xfer)
            push(w, (struct xworld_event){.at = w->now + (k == by ? 0 : w->params.latency),
                                          .kind = EVENT_CLOSED,
                                          .node = side->node,
                                          .session = side->session,
                                          .status = k == by ? reason : ERR_CLOSED});
    }
}

static void dial(struct xworld *w, struct xworld_node *n, const struct effect *e)
{
    struct xworld_node *to = NULL;
    for (uint32_t i = 0; i < w->node_count; i++)
        if (w->nodes[i] && net_addr_equal(&w->nodes[i]->addr, &e->u.dial.to))
            to = w->nodes[i];
    if (!to || to->unreachable || memcmp(to->me.key, e->u.dial.key, NODE_KEY_SIZE) != 0) {
        push(w, (struct xworld_event){.at = w->now + 2 * w->params.latency,
                                      .kind = EVENT_CLOSED,
                                      .node = n,
                                      .session = e->u.dial.session,
                                      .status = ERR_REFUSED});
        return;
    }
    struct xworld_stream *s = calloc(1, sizeof *s);
    s->id = w->stream_count;
    for (int k = 0; k < 2; k++) {
        s->side[k].last = &s->side[k].first;
        s->side[k].serves_last = &s->side[k].serves;
    }
    s->side[0].node = n;
    s->side[0].session = e->u.dial.session;
    s->side[1].node = to;
    seed_from(s->binding, s->id, w->params.seed ^ 0xb1d);
    if (w->stream_count == w->stream_cap) {
        w->stream_cap = w->stream_cap ? w->stream_cap * 2 : 64;
        w->streams = realloc(w->streams, w->stream_cap * sizeof *w->streams);
    }
    w->streams[w->stream_count++] = s;
    push(w, (struct xworld_event){.at = w->now + 2 * w->params.latency, .kind = EVENT_CONNECT, .stream = s});
}

/* ---- Effects ---- */

static void need_peers(struct xworld *w, struct xworld_node *n, uint32_t swarm)
{
    n->need_notices++;
    for (uint32_t i = 0; n->gives_peers && i < w->content_count; i++) {
        for (uint32_t k = 0; n->swarms[i] == swarm && k < w->node_count; k++)
            if (w->nodes[k] && w->nodes[k] != n && w->nodes[k]->swarms[i])
                xfer_swarm_peer(n->xfer, w->now, swarm, w->nodes[k]->me.key, &w->nodes[k]->addr,
                                XFER_SOURCE_DHT, &w->out);
    }
}

static void answer_content(struct xworld *w, struct xworld_node *n, const struct effect *e)
{
    uint32_t swarm = 0;
    struct bytes key = effects_bytes(&w->out, e);
    bool pack = e->u.content.pack;
    core_assert(key.size == HASH_SIZE);
    for (uint32_t i = 0; n->answers_content && i < w->content_count; i++)
        if (w->contents[i].pack == pack && memcmp(w->contents[i].provider_key, key.data, HASH_SIZE) == 0)
            swarm = n->swarms[i];
    xfer_content_answer(n->xfer, w->now, e->u.content.session, e->u.content.channel, swarm, &w->out);
}

static void notice(struct xworld *w, struct xworld_node *n, const struct effect *e)
{
    struct bytes bytes = effects_bytes(&w->out, e);
    switch (e->u.notice.kind) {
    case XFER_NOTICE_CHUNK:
        n->chunk_notices++;
        break;
    case XFER_NOTICE_COMPLETE:
        for (uint32_t i = 0; i < w->content_count; i++) {
            if (n->swarms[i] == e->u.notice.op) {
                n->complete[i] = true;
                n->complete_at[i] = w->now;
            }
        }
        break;
    case XFER_NOTICE_NEED_PEERS:
        need_peers(w, n, e->u.notice.op);
        break;
    case XFER_NOTICE_IDLE:
        n->idle_notices++;
        break;
    case XFER_NOTICE_TROUBLE:
        n->trouble_notices++;
        break;
    case XFER_NOTICE_BANNED:
        n->banned_notices++;
        memcpy(n->banned_key, e->u.notice.node.key, NODE_KEY_SIZE);
        break;
    case XFER_NOTICE_ENTRY:
        n->entry_notices++;
        break;
    case XFER_NOTICE_SESSION_UP:
        n->session_up++;
        break;
    case XFER_NOTICE_SESSION_DOWN:
        n->session_down++;
        break;
    case XFER_NOTICE_OBSERVED:
        n->observed = e->u.notice.node.addr;
        break;
    case XFER_NOTICE_FIND_ASKED:
        xfer_answer_find(n->xfer, w->now, e->u.notice.op, (uint32_t)e->u.notice.a, 7, &w->out);
        break;
    case XFER_NOTICE_FIND_RESULT:
        n->find_op = e->u.notice.op;
        n->find_result = (uint32_t)e->u.notice.a;
        n->find_status = e->u.notice.status;
        break;
    case XFER_NOTICE_DIALBACK:
        n->dialback_op = e->u.notice.op;
        n->dialback_status = e->u.notice.status;
        break;
    case XFER_NOTICE_APP:
        n->app_count++;
        n->app_size = bytes.size;
        if (bytes.size)
            memcpy(n->app, bytes.data, bytes.size);
        break;
    default:
        core_assert(!"a notice nobody knows");
    }
}

static void serve(struct xworld *w, struct xworld_node *n, const struct effect *e)
{
    int k;
    struct xworld_stream *s = stream_of(w, n, e->u.serve.session, &k);
    core_assert(e->u.serve.count >= 1);
    core_assert(e->u.serve.count <= 16);
    if (!s)
        return;
    struct serve_item *item = calloc(1, sizeof *item);
    item->channel = e->u.serve.channel;
    item->ref = e->u.serve.ref;
    item->leaf = e->u.serve.leaf;
    item->count = e->u.serve.count;
    item->proof = e->u.serve.proof;
    *s->side[k].serves_last = item;
    s->side[k].serves_last = &item->next;
    drain_serves(w, s, k);
}

static void effect(struct xworld *w, struct xworld_node *n, const struct effect *e)
{
    int k;
    struct xworld_stream *s;
    switch (e->kind) {
    case EFFECT_DIAL:
        dial(w, n, e);
        break;
    case EFFECT_HANGUP:
        s = stream_of(w, n, e->u.hangup.session, &k);
        if (s)
            kill_stream(w, s, k, e->u.hangup.reason);
        else /* never connected */
            push(w, (struct xworld_event){.at = w->now,
                                          .kind = EVENT_CLOSED,
                                          .node = n,
                                          .session = e->u.hangup.session,
                                          .status = e->u.hangup.reason});
        break;
    case EFFECT_READY:
        s = stream_of(w, n, e->u.ready.session, &k);
        if (s) {
            s->side[k].ready = true;
            pump(w, s, k);
        }
        break;
    case EFFECT_CONTENT:
        answer_content(w, n, e);
        break;
    case EFFECT_SERVE:
        serve(w, n, e);
        break;
    case EFFECT_NOTICE:
        notice(w, n, e);
        break;
    default:
        core_assert(!"not an effect of this core");
    }
}

static void arm(struct xworld *w, struct xworld_node *n)
{
    core_time at = xfer_deadline(n->xfer);
    if (at == CORE_NEVER || (n->armed <= at && n->armed > w->now))
        return;
    if (at < w->now)
        at = w->now;
    n->armed = at;
    push(w, (struct xworld_event){.at = at, .kind = EVENT_WAKE, .node = n});
}

static bool stepping;

/* Effects are carried out in order; what they cause is appended and carried out too. Bytes of an effect stay
 * where they are meanwhile, because room is made only between whole drains. */
void xworld_step(struct xworld_node *n)
{
    struct xworld *w = n->world;
    if (stepping)
        return; /* the outer call goes on */
    stepping = true;
    while (w->out.count) {
        struct effect items[256];
        uint8_t bytes[sizeof w->bytes];
        struct effects batch = w->out;
        memcpy(items, w->out.items, w->out.count * sizeof *items);
        memcpy(bytes, w->out.bytes, w->out.bytes_used);
        for (uint32_t i = 0; i < batch.count; i++) {
            /* one at a time in a batch of its own, so that there is always room for what it causes */
            effects_reset(&w->out);
            memcpy(w->out.bytes, bytes + items[i].bytes_off, items[i].bytes_size);
            w->out.bytes_used = items[i].bytes_size;
            struct effect e = items[i];
            e.bytes_off = 0;
            effect(w, n, &e);
            if (w->out.count) { /* carry these out before the rest: depth first, as a host's drain may */
                stepping = false;
                xworld_step(n);
                stepping = true;
            }
        }
        effects_reset(&w->out);
    }
    stepping = false;
    if (w->params.check)
        xfer_check(n->xfer);
    arm(w, n);
}

/* ---- What happens ---- */

static void hash_control(struct xworld *w, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        w->control_hash = (w->control_hash ^ data[i]) * 0x100000001b3u;
    w->control_hash = (w->control_hash ^ w->now) * 0x100000001b3u;
}

static struct xworld_frame *handshake_payload(struct xworld *w, struct xworld_stream *s, int k)
{
    struct side *side = &s->side[k];
    uint8_t buffer[4096];
    size_t size = xfer_session_write(side->node->xfer, w->now, side->session, buffer, sizeof buffer);
    struct xworld_frame *f = calloc(1, sizeof *f + size);
    f->control_size = (uint32_t)size;
    memcpy(f->control, buffer, size);
    w->control_bytes += size;
    return f;
}

static void connected(struct xworld *w, struct xworld_stream *s)
{
    struct side *side = &s->side[0];
    if (!side->node->xfer || !s->side[1].node->xfer) {
        kill_stream(w, s, 0, ERR_REFUSED);
        return;
    }
    xfer_session_dialled(side->node->xfer, w->now, side->session, s->binding, &w->out);
    xworld_step(side->node);
    if (s->dead)
        return;
    struct xworld_frame *f = handshake_payload(w, s, 0);
    push(w, (struct xworld_event){
                .at = w->now + w->params.latency, .kind = EVENT_HELLO, .stream = s, .frame = f});
}

static void hello(struct xworld *w, struct xworld_stream *s, struct xworld_frame *f)
{
    struct side *side = &s->side[1];
    if (!s->dead && side->node->xfer) {
        struct net_addr from = s->side[0].node->addr;
        from.port = (uint16_t)(40000 + s->id);
        side->session = xfer_session_accept(side->node->xfer, w->now, &from, s->side[0].node->me.key,
                                            s->binding, &w->out);
        side->established = side->session != 0;
        if (!side->session) {
            xworld_step(side->node);
            kill_stream(w, s, 1, ERR_REFUSED);
        } else {
            hash_control(w, f->control, f->control_size);
            xfer_session_recv(side->node->xfer, w->now, side->session, f->control, f->control_size, &w->out);
            push(w,
                 (struct xworld_event){.at = w->now + w->params.latency, .kind = EVENT_REPLY, .stream = s});
            xworld_step(side->node);
        }
    }
    free(f);
}

static void reply(struct xworld *w, struct xworld_stream *s)
{
    struct side *side = &s->side[0];
    if (s->dead)
        return;
    side->established = true;
    push(w, (struct xworld_event){.at = w->now + w->params.latency, .kind = EVENT_CONFIRM, .stream = s});
    xfer_session_established(side->node->xfer, w->now, side->session, &w->out);
    xworld_step(side->node);
    pump(w, s, 0);
}

static void sent(struct xworld *w, struct xworld_stream *s, int k)
{
    struct side *side = &s->side[k];
    if (s->dead)
        return;
    struct xworld_frame *f = side->first;
    side->first = f->next;
    if (!side->first)
        side->last = &side->first;
    f->next = NULL;
    side->queued -= f->size;
    side->sending = false;
    struct xworld_node *to = s->side[!k].node;
    core_time at = w->now + w->params.latency;
    if (to->down_free > at)
        at = to->down_free;
    at += (core_time)f->size * CORE_SECONDS(1) / to->down;
    to->down_free = at;
    if (at < s->last_arrival[k]) /* frames keep their order */
        at = s->last_arrival[k];
    s->last_arrival[k] = at;
    uint32_t channel = f->head.channel, leaf = f->serve_leaf, count = f->serve_count, bytes = f->serve_bytes;
    bool last = f->last_of_serve;
    push(w, (struct xworld_event){.at = at, .kind = EVENT_ARRIVE, .stream = s, .side = !k, .frame = f});
    if (last) {
        xfer_served(side->node->xfer, w->now, side->session, channel, leaf, count, bytes, 0, &w->out);
        xworld_step(side->node);
    }
    pump(w, s, k);
    start_sending(w, s, k);
}

static void arrive(struct xworld *w, struct xworld_stream *s, int k, struct xworld_frame *f)
{
    struct side *side = &s->side[k];
    struct xworld_node *n = side->node;
    if (s->dead || !side->session) {
        free(f);
        return;
    }
    if (f->head.type == FRAME_CONTROL) {
        hash_control(w, f->control, f->control_size);
        xfer_session_recv(n->xfer, w->now, side->session, f->control, f->control_size, &w->out);
        xworld_step(n);
        free(f);
        return;
    }
    uint32_t swarm = 0, ref = 0;
    bool proof = f->head.type == FRAME_PROOF;
    int result = proof ? xfer_proof_arrived(n->xfer, w->now, side->session, f->head.channel, f->head.index,
                                            f->payload, &swarm, &ref, &w->out)
                       : xfer_leaves_arrived(n->xfer, w->now, side->session, f->head.channel, f->head.index,
                                             f->head.count, f->payload, &swarm, &ref, &w->out);
    if (result == 0) {
        int status = f->honest ? 0 : ERR_BAD_HASH;
        if (!proof && n->write_fails && f->honest)
            status = n->write_fails;
        push(w, (struct xworld_event){.at = w->now + VERIFY_DELAY,
                                      .kind = EVENT_VERIFIED,
                                      .node = n,
                                      .swarm = swarm,
                                      .session = side->session,
                                      .leaf = f->head.index,
                                      .count = f->head.count,
                                      .good = status == 0 ? (1u << f->head.count) - 1 : 0,
                                      .proof = proof,
                                      .status = status});
    }
    xworld_step(n);
    free(f);
}

static void verified(struct xworld *w, const struct xworld_event *e)
{
    struct xworld_node *n = e->node;
    if (e->proof)
        xfer_proof_result(n->xfer, w->now, e->swarm, e->session, e->leaf, e->status, &w->out);
    else
        xfer_leaves_result(n->xfer, w->now, e->swarm, e->session, e->leaf, e->count, e->good, e->status,
                           &w->out);
    xworld_step(n);
}

static void happen(struct xworld *w, struct xworld_event *e)
{
    w->events++;
    switch (e->kind) {
    case EVENT_WAKE:
        if (e->node->xfer && e->at == e->node->armed) {
            e->node->armed = CORE_NEVER;
            spin_watch(&e->node->spin, w->now, e->node->index);
            xfer_wake(e->node->xfer, w->now, &w->out);
            xworld_step(e->node);
        }
        break;
    case EVENT_CONNECT:
        if (!e->stream->dead)
            connected(w, e->stream);
        break;
    case EVENT_HELLO:
        hello(w, e->stream, e->frame);
        break;
    case EVENT_REPLY:
        reply(w, e->stream);
        break;
    case EVENT_CONFIRM:
        if (!e->stream->dead && e->stream->side[1].node->xfer) {
            struct side *side = &e->stream->side[1];
            xfer_session_confirmed(side->node->xfer, w->now, side->session, &w->out);
            xworld_step(side->node);
        }
        break;
    case EVENT_SENT:
        sent(w, e->stream, e->side);
        break;
    case EVENT_ARRIVE:
        arrive(w, e->stream, e->side, e->frame);
        break;
    case EVENT_VERIFIED:
        if (e->node->xfer)
            verified(w, e);
        break;
    case EVENT_CLOSED:
        if (e->node->xfer) {
            xfer_session_closed(e->node->xfer, w->now, e->session, e->status, &w->out);
            xworld_step(e->node);
        }
        break;
    }
}

bool xworld_run(struct xworld *w, core_time until, bool (*done)(struct xworld *w, void *context),
                void *context)
{
    while (w->heap_count && w->heap[0].at <= until) {
        if (done && done(w, context))
            return true;
        struct xworld_event e = pop(w);
        if (e.at > w->now)
            w->now = e.at;
        happen(w, &e);
    }
    w->now = until > w->now ? until : w->now;
    return done && done(w, context);
}

bool xworld_all_complete(struct xworld *w, void *content_index)
{
    uint32_t content = *(uint32_t *)content_index;
    for (uint32_t i = 0; i < w->node_count; i++)
        if (w->nodes[i] && w->nodes[i]->xfer && w->nodes[i]->swarms[content] &&
            !w->nodes[i]->complete[content])
            return false;
    return true;
}

void xworld_cut(struct xworld_node *a, struct xworld_node *b)
{
    struct xworld *w = a->world;
    for (uint32_t i = 0; i < w->stream_count; i++) {
        struct xworld_stream *s = w->streams[i];
        if ((s->side[0].node == a && s->side[1].node == b) || (s->side[0].node == b && s->side[1].node == a))
            kill_stream(w, s, 0, ERR_CLOSED);
    }
}

void xworld_remove(struct xworld *w, struct xworld_node *n)
{
    for (uint32_t i = 0; i < w->stream_count; i++)
        if (w->streams[i]->side[0].node == n || w->streams[i]->side[1].node == n)
            kill_stream(w, w->streams[i], w->streams[i]->side[0].node == n ? 0 : 1, ERR_CLOSED);
    n->unreachable = true;
    memset(n->swarms, 0, sizeof n->swarms);
    xfer_free(n->xfer);
    n->xfer = NULL;
}

void xworld_free(struct xworld *w)
{
    while (w->heap_count) {
        struct xworld_event e = pop(w);
        free(e.frame);
    }
    for (uint32_t i = 0; i < w->stream_count; i++) {
        free_side(&w->streams[i]->side[0]);
        free_side(&w->streams[i]->side[1]);
        free(w->streams[i]);
    }
    for (uint32_t i = 0; i < w->node_count; i++) {
        xfer_free(w->nodes[i]->xfer);
        free(w->nodes[i]);
    }
    free(w->streams);
    free(w->heap);
    free(w);
}
