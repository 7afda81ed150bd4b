#include "transfer/xfer_internal.h"

void xfer_config_default(struct xfer_config *c)
{
    *c = (struct xfer_config){
        .sessions_max = 256,
        .swarms_max = 8192,
        .channels_per_session_max = 512,
        .sessions_per_ip_max = 8,
        .peers_per_swarm_max = 32,
        .candidates_per_swarm_max = 128,
        .unchoked_max = 8,
        .optimistic_max = 1,
        .request_bytes_max = 8u << 20,
        .inflight_bytes_max = 16u << 20,
        .choke_period = CORE_SECONDS(10),
        .optimistic_period = CORE_SECONDS(30),
        .handshake_timeout = CORE_SECONDS(10),
        .idle_timeout = CORE_SECONDS(60),
        .request_timeout_min = CORE_SECONDS(5),
        .ban_time = CORE_HOURS(1),
        .accept_private_addresses = false,
    };
}

void *xfer_alloc(struct xfer *x, size_t size)
{
    void *memory = x->alloc->alloc(x->alloc->context, size);
    if (memory)
        x->memory += size;
    return memory;
}

void xfer_free_memory(struct xfer *x, void *memory, size_t size)
{
    if (!memory)
        return;
    core_assert(x->memory >= size);
    x->memory -= size;
    x->alloc->free(x->alloc->context, memory);
}

bool xfer_grow(struct xfer *x, void **array, uint32_t *cap, uint32_t want, uint32_t max, size_t item)
{
    if (want <= *cap)
        return true;
    if (want > max)
        return false;
    uint32_t next = *cap ? *cap : 4;
    while (next < want)
        next *= 2;
    if (next > max)
        next = max;
    void *memory = xfer_alloc(x, next * item);
    if (!memory)
        return false;
    if (*array)
        memcpy(memory, *array, *cap * item);
    xfer_free_memory(x, *array, *cap * item);
    *array = memory;
    *cap = next;
    return true;
}

struct xfer *xfer_new(const struct xfer_env *env, const struct node_identity *me,
                      const struct network *network, const uint8_t seed[32], core_time now)
{
    core_assert(env->config->sessions_max > 0);
    core_assert(env->config->sessions_max <= UINT16_MAX);
    core_assert(env->config->swarms_max <= UINT16_MAX);
    struct xfer *x = env->alloc->alloc(env->alloc->context, sizeof *x);
    if (!x)
        return NULL;
    x->env = env;
    x->config = env->config;
    x->alloc = env->alloc;
    x->memory = sizeof *x;
    x->me = me;
    x->network = network;
    x->now = now;
    rng_init(&x->rng, get_be64(seed), get_be64(seed + 8));
    struct list *lists[] = {&x->ready,   &x->hangups,  &x->fills, &x->contents,
                            &x->serving, &x->fetching, &x->wakes};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        list_init(lists[i]);
    x->idle_since = now;
    x->choke_timer.kind = TIMER_CHOKE;
    x->upload_timer.kind = TIMER_UPLOAD;
    x->download_timer.kind = TIMER_DOWNLOAD;
    pool_init(&x->requests, x->alloc, sizeof(struct request), x->config->sessions_max * SESSION_REQUESTS_MAX);
    pool_init(&x->serves, x->alloc, sizeof(struct serve),
              x->config->sessions_max * (SESSION_SERVES_MAX + SESSION_REJECTS_MAX));
    pool_init(&x->cancels, x->alloc, sizeof(struct cancel), x->config->sessions_max * SESSION_REQUESTS_MAX);
    bucket_set(&x->upload, now, x->config->upload_rate);
    bucket_set(&x->download, now, x->config->download_rate);
    if (!timer_reserve(x, 3)) {
        xfer_free(x);
        return NULL;
    }
    return x;
}

/* No effects: the host is closing its streams itself. */
void xfer_free(struct xfer *x)
{
    if (!x)
        return;
    for (uint32_t i = 0; i < x->session_cap; i++)
        if (x->sessions[i])
            session_forget(x, x->sessions[i]);
    for (uint32_t i = 0; i < x->swarm_cap; i++)
        if (x->swarms[i])
            swarm_forget(x, x->swarms[i]);
    bans_fini(&x->bans, x->alloc);
    gossip_fini(x);
    xfer_free_memory(x, x->sessions, x->session_cap * sizeof *x->sessions);
    xfer_free_memory(x, x->session_generations, x->session_generation_cap * sizeof *x->session_generations);
    xfer_free_memory(x, x->swarms, x->swarm_cap * sizeof *x->swarms);
    xfer_free_memory(x, x->swarm_generations, x->swarm_generation_cap * sizeof *x->swarm_generations);
    xfer_free_memory(x, x->heap, x->heap_cap * sizeof *x->heap);
    pool_fini(&x->requests);
    pool_fini(&x->serves);
    pool_fini(&x->cancels);
    core_assert(x->memory == sizeof *x);
    x->alloc->free(x->alloc->context, x);
}

void xfer_set_stream_port(struct xfer *x, uint16_t port)
{
    x->stream_port = port;
}

void xfer_set_rates(struct xfer *x, core_time now, uint64_t upload, uint64_t download)
{
    bucket_set(&x->upload, now, upload);
    bucket_set(&x->download, now, download);
    x->more = true; /* a lifted cap lets waiting work go at the next wake */
    list_each(node, &x->fetching) swarm_wake(x, list_object(node, struct swarm, in_fetching));
}

/* ---- Entry and exit of every call ---- */

void xfer_enter(struct xfer *x, core_time now, struct effects *out)
{
    core_assert(!x->out);
    core_assert(effects_room(out, XFER_EFFECTS_PER_CALL, XFER_EFFECT_BYTES_PER_CALL));
    if (now > x->now)
        x->now = now;
    x->out = out;
    x->call_start = out->count;
    x->call_bytes = out->bytes_used;
    x->more = false;
}

/* Room for one more small step that may be followed by the reserve for another. */
bool xfer_room(const struct xfer *x)
{
    return x->out->count - x->call_start + 2 * EFFECTS_MARGIN <= XFER_EFFECTS_PER_CALL &&
           x->out->bytes_used - x->call_bytes + EFFECTS_MARGIN * HASH_SIZE <= XFER_EFFECT_BYTES_PER_CALL;
}

struct effect *xfer_notice(struct xfer *x, uint32_t kind, uint32_t op)
{
    struct effect *e = effects_add(x->out, EFFECT_NOTICE);
    e->u.notice.kind = kind;
    e->u.notice.op = op;
    return e;
}

static void flush_wakes(struct xfer *x)
{
    while (!list_empty(&x->wakes)) {
        struct swarm *w = list_object(x->wakes.next, struct swarm, in_wake);
        list_remove(&w->in_wake);
        if (w->complete || w->removed)
            continue;
        readers_pump(x, w);
        list_each(node, &w->channels) channel_may_fetch(x, list_object(node, struct channel, in_swarm));
    }
}

static void flush_fills(struct xfer *x)
{
    while (!list_empty(&x->fills)) {
        struct session *s = list_object(x->fills.next, struct session, in_fill);
        list_remove(&s->in_fill);
        session_fill(x, s);
    }
}

static void flush_hangups(struct xfer *x)
{
    while (!list_empty(&x->hangups) && xfer_room(x)) {
        struct session *s = list_object(x->hangups.next, struct session, in_hangup);
        list_remove(&s->in_hangup);
        struct effect *e = effects_add(x->out, EFFECT_HANGUP);
        e->u.hangup.session = s->number;
        e->u.hangup.reason = s->close_reason;
        s->hangup_told = true;
    }
}

static void flush_contents(struct xfer *x)
{
    while (!list_empty(&x->contents) && xfer_room(x)) {
        struct channel *c = list_object(x->contents.next, struct channel, in_content);
        list_remove(&c->in_content);
        struct effect *e = effects_add(x->out, EFFECT_CONTENT);
        e->u.content.session = c->session->number;
        e->u.content.channel = c->number;
        e->u.content.pack = c->pack;
        uint8_t *bytes = effects_reserve(x->out, e, HASH_SIZE);
        memcpy(bytes, c->provider_key, HASH_SIZE);
        effects_commit(x->out, e, HASH_SIZE);
    }
}

static void flush_ready(struct xfer *x)
{
    while (!list_empty(&x->ready) && xfer_room(x)) {
        struct session *s = list_object(x->ready.next, struct session, in_ready);
        list_remove(&s->in_ready);
        if (s->ready_told || !session_pending(s))
            continue;
        s->ready_told = true;
        effects_add(x->out, EFFECT_READY)->u.ready.session = s->number;
    }
}

void xfer_leave(struct xfer *x)
{
    flush_wakes(x);
    flush_fills(x);
    if (x->choke_dirty)
        choker_update(x);
    flush_hangups(x);
    flush_contents(x);
    serve_pump(x);
    choker_uplink(x);
    flush_ready(x);
    if (!list_empty(&x->hangups) || !list_empty(&x->contents) || !list_empty(&x->ready) ||
        !list_empty(&x->wakes))
        x->more = true;
    core_assert(x->out->count - x->call_start <= XFER_EFFECTS_PER_CALL);
    core_assert(x->out->bytes_used - x->call_bytes <= XFER_EFFECT_BYTES_PER_CALL);
    x->out = NULL;
}

core_time xfer_deadline(const struct xfer *x)
{
    if (x->more)
        return x->now;
    return x->heap_count ? x->heap[0]->at : CORE_NEVER;
}

static void fire(struct xfer *x, struct timer *t)
{
    timer_set(x, t, CORE_NEVER);
    switch (t->kind) {
    case TIMER_SESSION:
        session_timer(x, t->owner);
        break;
    case TIMER_SWARM:
        swarm_timer(x, t->owner);
        break;
    case TIMER_CHOKE:
        choker_timer(x);
        break;
    case TIMER_UPLOAD: /* xfer_leave pumps */
        break;
    case TIMER_DOWNLOAD:
        list_each(node, &x->fetching) swarm_wake(x, list_object(node, struct swarm, in_fetching));
        break;
    }
}

void xfer_wake(struct xfer *x, core_time now, struct effects *out)
{
    xfer_enter(x, now, out);
    while (x->heap_count && x->heap[0]->at <= x->now && xfer_room(x))
        fire(x, x->heap[0]);
    xfer_leave(x);
}

bool xfer_wants_payload(const struct xfer *x)
{
    return x->inflight < x->config->inflight_bytes_max;
}

void xfer_totals(const struct xfer *x, core_time now, struct xfer_totals *out)
{
    *out = (struct xfer_totals){
        .sessions = x->session_count,
        .swarms = x->swarm_count,
        .bans = bans_count(&x->bans, now),
        .bytes_down = x->bytes_down,
        .bytes_up = x->bytes_up,
        .rate_down = meter_rate(&x->down, now),
        .rate_up = meter_rate(&x->up, now),
        .malformed = x->malformed,
        .unsolicited = x->unsolicited,
        .bad_leaves = x->bad_leaves,
    };
}

size_t xfer_memory(const struct xfer *x)
{
    return x->memory + pool_bytes(&x->requests) + pool_bytes(&x->serves) + pool_bytes(&x->cancels) +
           (x->bans.items ? BANS_MAX * sizeof(struct ban) : 0);
}
