#include "simnet/flow/bandwidth.h"
#include "node/base/assert.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct flow {
    uint32_t link[2], place[2]; /* up and down; where it stands in the link's list */
    uint64_t cap, grant[2];
    uint32_t next_free;
    bool open, running;
};

struct link {
    uint64_t capacity, level, granted;
    uint32_t *flows, count, room; /* flows that run, or that keep a grant until the next quantum */
    bool dirty;
};

struct bandwidth {
    struct link *links;
    uint32_t link_count, ripple;
    struct flow *flows;
    uint32_t flow_count, flow_room, free_head;
    uint32_t *dirty, dirty_count, *work;
};

static void *must(void *memory)
{
    if (!memory) {
        fprintf(stderr, "simnet: out of memory for flows; run fewer nodes\n");
        abort();
    }
    return memory;
}

struct bandwidth *bandwidth_new(uint32_t links, uint32_t ripple)
{
    struct bandwidth *b = must(calloc(1, sizeof *b));
    b->links = must(calloc(links ? links : 1, sizeof *b->links));
    b->dirty = must(calloc(links ? links : 1, sizeof *b->dirty));
    b->work = must(calloc(links ? links : 1, sizeof *b->work));
    b->link_count = links;
    b->ripple = ripple;
    b->free_head = UINT32_MAX;
    for (uint32_t i = 0; i < links; i++)
        b->links[i].capacity = b->links[i].level = BANDWIDTH_ENDLESS;
    return b;
}

void bandwidth_free(struct bandwidth *b)
{
    if (!b)
        return;
    for (uint32_t i = 0; i < b->link_count; i++)
        free(b->links[i].flows);
    free(b->links);
    free(b->flows);
    free(b->dirty);
    free(b->work);
    free(b);
}

static void touch(struct bandwidth *b, uint32_t link)
{
    if (b->links[link].dirty)
        return;
    b->links[link].dirty = true;
    b->dirty[b->dirty_count++] = link;
}

void bandwidth_link(struct bandwidth *b, uint32_t link, uint64_t capacity)
{
    core_assert(link < b->link_count);
    struct link *l = &b->links[link];
    core_assert(l->count == 0); /* links are set before flows run over them */
    l->capacity = l->level = capacity ? capacity : BANDWIDTH_ENDLESS;
}

uint32_t bandwidth_open(struct bandwidth *b, uint32_t up, uint32_t down)
{
    core_assert(up < b->link_count && down < b->link_count && up != down);
    uint32_t i = b->free_head;
    if (i != UINT32_MAX) {
        b->free_head = b->flows[i].next_free;
    } else {
        if (b->flow_count == b->flow_room) {
            b->flow_room = b->flow_room ? b->flow_room * 2 : 256;
            b->flows = must(realloc(b->flows, b->flow_room * sizeof *b->flows));
        }
        i = b->flow_count++;
    }
    b->flows[i] = (struct flow){.link = {up, down}, .place = {UINT32_MAX, UINT32_MAX}, .open = true};
    return i;
}

static void list_add(struct bandwidth *b, uint32_t flow, int k)
{
    struct flow *f = &b->flows[flow];
    struct link *l = &b->links[f->link[k]];
    if (f->place[k] != UINT32_MAX)
        return;
    if (l->count == l->room) {
        l->room = l->room ? l->room * 2 : 8;
        l->flows = must(realloc(l->flows, l->room * sizeof *l->flows));
    }
    f->place[k] = l->count;
    l->flows[l->count++] = flow;
}

static void list_remove(struct bandwidth *b, uint32_t flow, int k)
{
    struct flow *f = &b->flows[flow];
    struct link *l = &b->links[f->link[k]];
    if (f->place[k] == UINT32_MAX)
        return;
    uint32_t last = l->flows[--l->count];
    l->flows[f->place[k]] = last;
    struct flow *moved = &b->flows[last];
    moved->place[moved->link[0] == f->link[k] ? 0 : 1] = f->place[k];
    f->place[k] = UINT32_MAX;
    l->granted -= f->grant[k];
    f->grant[k] = 0;
}

void bandwidth_close(struct bandwidth *b, uint32_t flow)
{
    struct flow *f = &b->flows[flow];
    core_assert(flow < b->flow_count && f->open);
    for (int k = 0; k < 2; k++) {
        if (f->place[k] != UINT32_MAX)
            touch(b, f->link[k]);
        list_remove(b, flow, k);
    }
    *f = (struct flow){.next_free = b->free_head};
    b->free_head = flow;
}

static void grant_set(struct link *l, struct flow *f, int k, uint64_t grant)
{
    l->granted = l->granted - f->grant[k] + grant;
    f->grant[k] = grant;
}

void bandwidth_start(struct bandwidth *b, uint32_t flow, uint64_t cap)
{
    struct flow *f = &b->flows[flow];
    core_assert(flow < b->flow_count && f->open && !f->running);
    f->running = true;
    f->cap = cap;
    for (int k = 0; k < 2; k++) {
        struct link *l = &b->links[f->link[k]];
        list_add(b, flow, k);
        uint64_t left = l->capacity - l->granted;
        uint64_t grant = f->grant[k] + (l->count == 1 ? left - left / 16 : left / 2); /* a second newcomer finds some too */
        grant_set(l, f, k, grant < cap ? grant : cap);
        touch(b, f->link[k]);
    }
}

void bandwidth_stop(struct bandwidth *b, uint32_t flow)
{
    struct flow *f = &b->flows[flow];
    core_assert(flow < b->flow_count && f->running);
    f->running = false;
    touch(b, f->link[0]);
    touch(b, f->link[1]);
}

void bandwidth_cap(struct bandwidth *b, uint32_t flow, uint64_t cap)
{
    struct flow *f = &b->flows[flow];
    core_assert(flow < b->flow_count && f->open);
    if (f->cap == cap)
        return;
    f->cap = cap;
    if (!f->running)
        return;
    touch(b, f->link[0]);
    touch(b, f->link[1]);
}

uint64_t bandwidth_rate(const struct bandwidth *b, uint32_t flow)
{
    const struct flow *f = &b->flows[flow];
    if (!f->running)
        return 0;
    return f->grant[0] < f->grant[1] ? f->grant[0] : f->grant[1];
}

bool bandwidth_dirty(const struct bandwidth *b)
{
    return b->dirty_count > 0;
}

static uint64_t limit_of(const struct bandwidth *b, const struct flow *f, int k)
{
    uint64_t other = b->links[f->link[!k]].level;
    return other < f->cap ? other : f->cap;
}

static int side_of(const struct flow *f, uint32_t link)
{
    return f->link[0] == link ? 0 : 1;
}

/* The level at which min(level, limit) over all flows fills the link: raise it while flows with smaller
 * limits leave something over. At most as many rounds as there are different limits; two or three in
 * practice. */
static uint64_t water_level(const struct bandwidth *b, uint32_t link)
{
    const struct link *l = &b->links[link];
    uint64_t level = l->count ? l->capacity / l->count : l->capacity;
    for (uint32_t round = 0; round <= l->count && l->count; round++) {
        uint64_t used = 0, most = 0;
        uint32_t open = 0;
        for (uint32_t i = 0; i < l->count; i++) {
            const struct flow *f = &b->flows[l->flows[i]];
            uint64_t limit = limit_of(b, f, side_of(f, link));
            if (limit < level || (limit == level && round > 0)) {
                used += limit;
                most = limit > most ? limit : most;
            } else {
                open++;
            }
        }
        if (!open) /* not the bottleneck of anybody: offer what the largest could have */
            return l->capacity - used + most;
        uint64_t next = (l->capacity - used) / open;
        if (next <= level)
            break;
        level = next;
    }
    return level;
}

static bool moved(const struct bandwidth *b, uint64_t old, uint64_t level)
{
    uint64_t gap = old > level ? old - level : level - old;
    return gap > 1 && gap > old / 1000000 * b->ripple + old % 1000000 * b->ripple / 1000000;
}

static void link_compute(struct bandwidth *b, uint32_t link, void (*changed)(void *, uint32_t), void *context)
{
    struct link *l = &b->links[link];
    for (uint32_t i = l->count; i-- > 0;) /* idle since the last time: their share goes to the others */
        if (!b->flows[l->flows[i]].running)
            list_remove(b, l->flows[i], side_of(&b->flows[l->flows[i]], link));
    uint64_t old = l->level;
    l->level = water_level(b, link);
    bool reach = moved(b, old, l->level);
    for (uint32_t i = 0; i < l->count; i++) {
        uint32_t flow = l->flows[i];
        struct flow *f = &b->flows[flow];
        int k = side_of(f, link);
        uint64_t before = bandwidth_rate(b, flow), limit = limit_of(b, f, k);
        grant_set(l, f, k, limit < l->level ? limit : l->level);
        if (bandwidth_rate(b, flow) != before)
            changed(context, flow);
        if (reach)
            touch(b, f->link[!k]);
    }
}

static int link_order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

void bandwidth_quantum(struct bandwidth *b, void (*changed)(void *context, uint32_t flow), void *context)
{
    uint32_t count = b->dirty_count, *work = b->dirty;
    b->dirty = b->work;
    b->work = work;
    b->dirty_count = 0;
    qsort(work, count, sizeof *work, link_order);
    for (uint32_t i = 0; i < count; i++)
        b->links[work[i]].dirty = false;
    for (uint32_t i = 0; i < count; i++)
        link_compute(b, work[i], changed, context);
}

size_t bandwidth_bytes(const struct bandwidth *b)
{
    size_t bytes = sizeof *b + b->link_count * (sizeof *b->links + 2 * sizeof *b->dirty);
    for (uint32_t i = 0; i < b->link_count; i++)
        bytes += b->links[i].room * sizeof *b->links[i].flows;
    return bytes + b->flow_room * sizeof *b->flows;
}

void bandwidth_check(const struct bandwidth *b)
{
    for (uint32_t i = 0; i < b->link_count; i++) {
        const struct link *l = &b->links[i];
        uint64_t sum = 0;
        for (uint32_t j = 0; j < l->count; j++) {
            const struct flow *f = &b->flows[l->flows[j]];
            int k = side_of(f, i);
            core_assert(f->open && f->link[k] == i && f->place[k] == j);
            sum += f->grant[k];
        }
        core_assert(sum == l->granted);
        core_assert(sum <= l->capacity);
    }
}
