/* Three 4-ary heaps. Events by value in two: what is soon (the datagrams under way, some thousands, which
 * stay in the cache) and what is later (a life's end, the next look-up: some for every node). Deadlines in
 * the third, one entry a node, moved in place; only ever towards earlier: a deadline that was put off is
 * looked at again when its old time comes, since most are put off many times. */
#include "simnet/engine/events.h"

#include "node/base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE UINT32_MAX
#define SOON    CORE_SECONDS(2)

struct deadline {
    core_time at;
    uint32_t node;
};

struct heap {
    struct sim_event *all;
    uint32_t count, cap;
};

struct sim_events {
    struct heap soon, later;
    core_time now; /* of the event taken last */
    struct deadline *deadlines;
    uint32_t deadline_count, nodes;
    uint32_t *place; /* of a node in `deadlines`, or NOWHERE */
    core_time *due;  /* of a node: at or after its entry in `deadlines`; CORE_NEVER: none */
};

static void *must(void *memory)
{
    if (!memory) {
        fprintf(stderr, "simnet: out of memory for events; run fewer nodes\n");
        abort();
    }
    return memory;
}

struct sim_events *sim_events_new(uint32_t nodes)
{
    struct sim_events *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->nodes = nodes;
    q->deadlines = calloc(nodes ? nodes : 1, sizeof *q->deadlines);
    q->place = malloc((nodes ? nodes : 1) * sizeof *q->place);
    q->due = malloc((nodes ? nodes : 1) * sizeof *q->due);
    if (!q->deadlines || !q->place || !q->due) {
        free(q->deadlines);
        free(q->place);
        free(q->due);
        free(q);
        return NULL;
    }
    memset(q->place, 0xff, nodes * sizeof *q->place);
    memset(q->due, 0xff, nodes * sizeof *q->due); /* CORE_NEVER */
    return q;
}

void sim_events_free(struct sim_events *q, void (*drop)(void *context, struct sim_event *e), void *context)
{
    if (!q)
        return;
    for (uint32_t i = 0; drop && i < q->soon.count; i++)
        drop(context, &q->soon.all[i]);
    for (uint32_t i = 0; drop && i < q->later.count; i++)
        drop(context, &q->later.all[i]);
    free(q->soon.all);
    free(q->later.all);
    free(q->deadlines);
    free(q->place);
    free(q->due);
    free(q);
}

static bool event_before(const struct sim_event *a, const struct sim_event *b)
{
    if (a->at != b->at)
        return a->at < b->at;
    if (a->to != b->to)
        return a->to < b->to;
    if (a->from != b->from)
        return a->from < b->from;
    return a->number < b->number;
}

void sim_events_push(struct sim_events *q, const struct sim_event *e)
{
    core_assert(e->kind != 0);
    struct heap *h = e->at > q->now + SOON ? &q->later : &q->soon;
    if (h->count == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 1024;
        h->all = must(realloc(h->all, h->cap * sizeof *h->all));
    }
    uint32_t i = h->count++;
    for (; i > 0 && event_before(e, &h->all[(i - 1) / 4]); i = (i - 1) / 4)
        h->all[i] = h->all[(i - 1) / 4];
    h->all[i] = *e;
}

static void event_take(struct heap *h, struct sim_event *out)
{
    *out = h->all[0];
    const struct sim_event last = h->all[--h->count];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 4 * i + 1, end = child + 4 < h->count ? child + 4 : h->count, best = child;
        if (child >= h->count)
            break;
        for (uint32_t c = child + 1; c < end; c++)
            if (event_before(&h->all[c], &h->all[best]))
                best = c;
        if (!event_before(&h->all[best], &last))
            break;
        h->all[i] = h->all[best];
        i = best;
    }
    h->all[i] = last;
}

static bool deadline_before(const struct deadline *a, const struct deadline *b)
{
    return a->at != b->at ? a->at < b->at : a->node < b->node;
}

static void deadline_up(struct sim_events *q, uint32_t i, struct deadline d)
{
    for (; i > 0 && deadline_before(&d, &q->deadlines[(i - 1) / 4]); i = (i - 1) / 4) {
        q->deadlines[i] = q->deadlines[(i - 1) / 4];
        q->place[q->deadlines[i].node] = i;
    }
    q->deadlines[i] = d;
    q->place[d.node] = i;
}

static void deadline_down(struct sim_events *q, uint32_t i, struct deadline d)
{
    for (;;) {
        uint32_t child = 4 * i + 1, end = child + 4 < q->deadline_count ? child + 4 : q->deadline_count,
                 best = child;
        if (child >= q->deadline_count)
            break;
        for (uint32_t c = child + 1; c < end; c++)
            if (deadline_before(&q->deadlines[c], &q->deadlines[best]))
                best = c;
        if (!deadline_before(&q->deadlines[best], &d))
            break;
        q->deadlines[i] = q->deadlines[best];
        q->place[q->deadlines[i].node] = i;
        i = best;
    }
    q->deadlines[i] = d;
    q->place[d.node] = i;
}

static void deadline_remove(struct sim_events *q, uint32_t node)
{
    uint32_t i = q->place[node];
    if (i == NOWHERE)
        return;
    q->place[node] = NOWHERE;
    struct deadline last = q->deadlines[--q->deadline_count];
    if (i == q->deadline_count)
        return;
    if (i > 0 && deadline_before(&last, &q->deadlines[(i - 1) / 4]))
        deadline_up(q, i, last);
    else
        deadline_down(q, i, last);
}

void sim_events_deadline(struct sim_events *q, uint32_t node, core_time at)
{
    core_assert(node < q->nodes);
    uint32_t i = q->place[node];
    q->due[node] = at;
    if (at == CORE_NEVER)
        deadline_remove(q, node);
    else if (i == NOWHERE)
        deadline_up(q, q->deadline_count++, (struct deadline){at, node});
    else if (at < q->deadlines[i].at)
        deadline_up(q, i, (struct deadline){at, node});
}

/* Puts off what was put off, until the first deadline is a true one. */
static void deadlines_settle(struct sim_events *q)
{
    while (q->deadline_count) {
        uint32_t node = q->deadlines[0].node;
        if (q->due[node] == q->deadlines[0].at)
            return;
        deadline_down(q, 0, (struct deadline){q->due[node], node});
    }
}

static struct heap *first_heap(struct sim_events *q)
{
    if (!q->later.count)
        return &q->soon;
    return !q->soon.count || event_before(&q->later.all[0], &q->soon.all[0]) ? &q->later : &q->soon;
}

core_time sim_events_next(struct sim_events *q)
{
    const struct heap *h = first_heap(q);
    core_time at = h->count ? h->all[0].at : CORE_NEVER;
    deadlines_settle(q);
    return q->deadline_count ? core_time_min(at, q->deadlines[0].at) : at;
}

bool sim_events_pop(struct sim_events *q, core_time until, struct sim_event *out)
{
    struct heap *h = first_heap(q);
    const struct sim_event *e = h->count ? &h->all[0] : NULL;
    deadlines_settle(q);
    const struct deadline *d = q->deadline_count ? &q->deadlines[0] : NULL;
    bool event =
        e && (!d || (d->at != e->at ? e->at < d->at : e->to <= d->node)); /* equal: the event first */
    if ((!e && !d) || (event ? e->at : d->at) > until)
        return false;
    if (event) {
        event_take(h, out);
    } else {
        *out = (struct sim_event){.at = d->at, .to = d->node, .from = d->node};
        q->due[out->to] = CORE_NEVER;
        deadline_remove(q, out->to);
    }
    q->now = out->at;
    return true;
}

uint32_t sim_events_near(const struct sim_events *q, struct sim_event out[SIM_NEAR])
{
    uint32_t count = 0;
    for (uint32_t i = 0; count < SIM_NEAR && (i < q->soon.count || i < q->deadline_count); i++) {
        if (i < q->soon.count)
            out[count++] = q->soon.all[i];
        if (i < q->deadline_count && count < SIM_NEAR)
            out[count++] = (struct sim_event){.to = q->deadlines[i].node};
    }
    return count;
}

uint32_t sim_events_count(const struct sim_events *q)
{
    return q->soon.count + q->later.count;
}

size_t sim_events_bytes(const struct sim_events *q)
{
    return sizeof *q + (q->soon.cap + q->later.cap) * sizeof(struct sim_event) +
           q->nodes * (sizeof *q->deadlines + sizeof *q->place + sizeof *q->due);
}

static void heap_check(const struct heap *h)
{
    for (uint32_t i = 1; i < h->count; i++)
        core_assert(!event_before(&h->all[i], &h->all[(i - 1) / 4]));
}

void sim_events_check(const struct sim_events *q)
{
    heap_check(&q->soon);
    heap_check(&q->later);
    for (uint32_t i = 0; i < q->deadline_count; i++) {
        core_assert(q->place[q->deadlines[i].node] == i);
        core_assert(q->due[q->deadlines[i].node] >= q->deadlines[i].at);
        core_assert(i == 0 || !deadline_before(&q->deadlines[i], &q->deadlines[(i - 1) / 4]));
    }
}
