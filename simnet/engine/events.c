/* Two 4-ary heaps: events by value, deadlines indexed by node. Some thousand datagrams are under way at a
 * time, so the first stays in the cache; the second has one entry a node and is moved in place. */
#include "simnet/engine/events.h"

#include "node/base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE UINT32_MAX

struct deadline {
    core_time at;
    uint32_t node;
};

struct sim_events {
    struct sim_event *heap;
    uint32_t count, cap;
    struct deadline *deadlines;
    uint32_t deadline_count, nodes;
    uint32_t *place; /* of a node in `deadlines`, or NOWHERE */
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
    if (!q->deadlines || !q->place) {
        free(q->deadlines);
        free(q->place);
        free(q);
        return NULL;
    }
    memset(q->place, 0xff, nodes * sizeof *q->place);
    return q;
}

void sim_events_free(struct sim_events *q, void (*drop)(void *context, struct sim_event *e), void *context)
{
    if (!q)
        return;
    for (uint32_t i = 0; drop && i < q->count; i++)
        drop(context, &q->heap[i]);
    free(q->heap);
    free(q->deadlines);
    free(q->place);
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
    if (q->count == q->cap) {
        q->cap = q->cap ? q->cap * 2 : 1024;
        q->heap = must(realloc(q->heap, q->cap * sizeof *q->heap));
    }
    uint32_t i = q->count++;
    for (; i > 0 && event_before(e, &q->heap[(i - 1) / 4]); i = (i - 1) / 4)
        q->heap[i] = q->heap[(i - 1) / 4];
    q->heap[i] = *e;
}

static void event_take(struct sim_events *q, struct sim_event *out)
{
    *out = q->heap[0];
    const struct sim_event last = q->heap[--q->count];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 4 * i + 1, end = child + 4 < q->count ? child + 4 : q->count, best = child;
        if (child >= q->count)
            break;
        for (uint32_t c = child + 1; c < end; c++)
            if (event_before(&q->heap[c], &q->heap[best]))
                best = c;
        if (!event_before(&q->heap[best], &last))
            break;
        q->heap[i] = q->heap[best];
        i = best;
    }
    q->heap[i] = last;
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
    if (at == CORE_NEVER) {
        deadline_remove(q, node);
        return;
    }
    struct deadline d = {at, node};
    uint32_t i = q->place[node];
    if (i == NOWHERE)
        deadline_up(q, q->deadline_count++, d);
    else if (at < q->deadlines[i].at)
        deadline_up(q, i, d);
    else if (at > q->deadlines[i].at)
        deadline_down(q, i, d);
}

static bool deadline_first(const struct sim_events *q)
{
    if (!q->deadline_count)
        return false;
    if (!q->count)
        return true;
    const struct sim_event *e = &q->heap[0];
    const struct deadline *d = &q->deadlines[0];
    return d->at != e->at ? d->at < e->at : d->node < e->to; /* equal: the event first */
}

core_time sim_events_next(const struct sim_events *q)
{
    core_time at = q->count ? q->heap[0].at : CORE_NEVER;
    return q->deadline_count ? core_time_min(at, q->deadlines[0].at) : at;
}

bool sim_events_pop(struct sim_events *q, core_time until, struct sim_event *out)
{
    if ((!q->count && !q->deadline_count) || sim_events_next(q) > until)
        return false;
    if (!deadline_first(q)) {
        event_take(q, out);
        return true;
    }
    *out = (struct sim_event){
        .at = q->deadlines[0].at, .to = q->deadlines[0].node, .from = q->deadlines[0].node};
    deadline_remove(q, out->to);
    return true;
}

uint32_t sim_events_count(const struct sim_events *q)
{
    return q->count;
}

size_t sim_events_bytes(const struct sim_events *q)
{
    return sizeof *q + q->cap * sizeof *q->heap + q->nodes * (sizeof *q->deadlines + sizeof *q->place);
}

void sim_events_check(const struct sim_events *q)
{
    for (uint32_t i = 1; i < q->count; i++)
        core_assert(!event_before(&q->heap[i], &q->heap[(i - 1) / 4]));
    for (uint32_t i = 0; i < q->deadline_count; i++) {
        core_assert(q->place[q->deadlines[i].node] == i);
        core_assert(i == 0 || !deadline_before(&q->deadlines[i], &q->deadlines[(i - 1) / 4]));
    }
}
