#include "node/host/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <netinet/in.h>

#include "node/base/assert.h"
#include "node/host/log.h"
#include "node/host/streams.h"

/* Room offered per call: any part's maximum. Calls made while effects are carried out pile up in the other batch, which grows. */
#define ITEMS_START (2 * NODE_EFFECTS_PER_CALL)
#define BYTES_START (2 * NODE_EFFECT_BYTES_PER_CALL)

core_time host_now(const struct host_core *core)
{
    (void)core;
    return uv_hrtime() / 1000;
}

uint64_t host_unix_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void *grow(void *memory, size_t size)
{
    void *p = realloc(memory, size);
    if (!p) {
        /* A few hundred KiB for the loop itself: without them the node can tell nobody anything. */
        fprintf(stderr, "shoal: out of memory\n");
        abort();
    }
    return p;
}

struct effects *host_out(struct host_core *core)
{
    struct effects *e = &core->batch[core->filling];
    if (!effects_room(e, NODE_EFFECTS_PER_CALL, 0)) {
        uint32_t cap = e->cap ? e->cap * 2 : ITEMS_START;
        e->items = grow(e->items, cap * sizeof *e->items);
        e->cap = cap;
    }
    if (!effects_room(e, 0, NODE_EFFECT_BYTES_PER_CALL)) {
        uint32_t cap = e->bytes_cap ? e->bytes_cap * 2 : BYTES_START;
        e->bytes = grow(e->bytes, cap);
        e->bytes_cap = cap;
    }
    return e;
}

static void carry_out(struct host_core *core, const struct effects *e, const struct effect *x)
{
    struct bytes bytes = effects_bytes(e, x);
    switch (x->kind) {
    case EFFECT_DATAGRAM:
        core->datagram(core->owner, &x->u.datagram.to, bytes);
        break;
    case EFFECT_DIAL:
    case EFFECT_HANGUP:
    case EFFECT_READY:
    case EFFECT_SERVE:
        streams_effect(core->streams, x);
        break;
    case EFFECT_CONTENT:
        core_assert(bytes.size == HASH_SIZE);
        core->content(core->owner, x->u.content.session, x->u.content.channel, x->u.content.pack, bytes.data);
        break;
    case EFFECT_PERSIST:
        core->persist(core->owner, x->u.persist.key, bytes);
        break;
    case EFFECT_NOTICE:
        if (x->u.notice.kind != NODE_NOTICE_CONSUMED)
            core->notice(core->owner, x, bytes);
        break;
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct host_core *core = timer->data;
    core->armed = CORE_NEVER;
    core_time now = host_now(core);
    struct effects *e = host_out(core);
    node_wake(core->node, now, e);
    if (wake_guard_woken(&core->guard, e->count > 0, node_deadline(core->node), now))
        log_warning("node", "something in this node asks for work without end and does none: it is slowed down. Please report it, with this log");
    host_drain(core);
}

static void arm(struct host_core *core)
{
    core_time deadline = node_deadline(core->node);
    if (deadline == core->armed || core->stopped)
        return; /* most calls leave it where it was: no system call for them */
    core->armed = deadline;
    if (deadline == CORE_NEVER) {
        uv_timer_stop(&core->timer);
        return;
    }
    uint64_t ms = wake_guard_ms(&core->guard, deadline, host_now(core));
    /* libuv counts from its cached time, which may be behind when a callback took long. */
    uv_update_time(core->loop);
    uv_timer_start(&core->timer, on_timer, ms, 0);
}

void host_drain(struct host_core *core)
{
    core->drain_wanted = true;
    if (core->draining)
        return;
    core->draining = true;
    while (core->drain_wanted) {
        core->drain_wanted = false;
        struct effects *e = host_out(core);
        while (node_route(core->node, host_now(core), e))
            host_out(core);
        core->filling ^= 1u;
        for (uint32_t i = 0; i < e->count; i++)
            carry_out(core, e, &e->items[i]);
        effects_reset(e);
        if (core->batch[core->filling].count)
            core->drain_wanted = true;
    }
    core->draining = false;
    arm(core);
}

void host_core_init(struct host_core *core, uv_loop_t *loop)
{
    core->loop = loop;
    memset(core->batch, 0, sizeof core->batch);
    core->filling = 0;
    core->draining = core->drain_wanted = false;
    core->armed = CORE_NEVER;
    core->guard = (struct wake_guard){0};
    uv_timer_init(loop, &core->timer);
    core->timer.data = core;
}

void host_core_stop(struct host_core *core)
{
    if (core->stopped)
        return;
    core->stopped = true;
    uv_timer_stop(&core->timer);
    uv_close((uv_handle_t *)&core->timer, NULL);
}

void host_core_fini(struct host_core *core)
{
    for (int i = 0; i < 2; i++) {
        free(core->batch[i].items);
        free(core->batch[i].bytes);
        memset(&core->batch[i], 0, sizeof core->batch[i]);
    }
}

void host_random(void *out, size_t size)
{
    uint8_t *p = out;
    while (size) {
        ssize_t n = getrandom(p, size, 0);
        if (n < 0) {
            perror("shoal: the system gives no random bytes");
            abort();
        }
        p += n;
        size -= (size_t)n;
    }
}

int host_to_sockaddr(struct sockaddr_storage *out, const struct net_addr *a)
{
    memset(out, 0, sizeof *out);
    if (net_addr_is_v4(a)) {
        struct sockaddr_in *in = (struct sockaddr_in *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(a->port);
        memcpy(&in->sin_addr, a->ip + 12, 4);
        return AF_INET;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(a->port);
    memcpy(&in6->sin6_addr, a->ip, 16);
    return AF_INET6;
}

bool host_from_sockaddr(struct net_addr *out, const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
        const uint8_t *ip = (const uint8_t *)&in->sin_addr;
        *out = net_addr_v4(ip[0], ip[1], ip[2], ip[3], ntohs(in->sin_port));
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
        memcpy(out->ip, &in6->sin6_addr, 16);
        out->port = ntohs(in6->sin6_port);
        return true;
    }
    return false;
}
