#include "transfer/xfer_internal.h"

bool timer_reserve(struct xfer *x, uint32_t count)
{
    return xfer_grow(x, (void **)&x->heap, &x->heap_cap, count, UINT32_MAX, sizeof *x->heap);
}

static void place(struct xfer *x, uint32_t at, struct timer *t)
{
    x->heap[at] = t;
    t->index = at + 1;
}

static void sift_up(struct xfer *x, uint32_t at, struct timer *t)
{
    while (at > 0 && x->heap[(at - 1) / 2]->at > t->at) {
        place(x, at, x->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(x, at, t);
}

static void sift_down(struct xfer *x, uint32_t at, struct timer *t)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= x->heap_count)
            break;
        if (child + 1 < x->heap_count && x->heap[child + 1]->at < x->heap[child]->at)
            child++;
        if (x->heap[child]->at >= t->at)
            break;
        place(x, at, x->heap[child]);
        at = child;
    }
    place(x, at, t);
}

static void disarm(struct xfer *x, struct timer *t)
{
    uint32_t at = t->index - 1;
    t->index = 0;
    struct timer *last = x->heap[--x->heap_count];
    if (last == t)
        return;
    sift_up(x, at, last);
    sift_down(x, last->index - 1, last);
}

void timer_set(struct xfer *x, struct timer *t, core_time at)
{
    if (t->index != 0) {
        if (t->at == at)
            return;
        disarm(x, t);
    }
    t->at = at;
    if (at == CORE_NEVER)
        return;
    core_assert(x->heap_count < x->heap_cap);
    sift_up(x, x->heap_count++, t);
}

void timer_sooner(struct xfer *x, struct timer *t, core_time at)
{
    if (t->index == 0 || at < t->at)
        timer_set(x, t, at);
}
