#include "node/base/effects.h"

#include "node/base/assert.h"

void effects_init(struct effects *e, struct effect *items, uint32_t cap, uint8_t *bytes, uint32_t bytes_cap)
{
    memset(e, 0, sizeof *e);
    e->items = items;
    e->cap = cap;
    e->bytes = bytes;
    e->bytes_cap = bytes_cap;
}

void effects_reset(struct effects *e)
{
    e->count = 0;
    e->bytes_used = 0;
    e->routed = 0;
}

bool effects_room(const struct effects *e, uint32_t items, uint32_t size)
{
    return e->cap - e->count >= items && e->bytes_cap - e->bytes_used >= size;
}

struct effect *effects_add(struct effects *e, enum effect_kind kind)
{
    core_assert(e->count < e->cap);
    struct effect *x = &e->items[e->count++];
    memset(x, 0, sizeof *x);
    x->kind = kind;
    x->bytes_off = e->bytes_used;
    return x;
}

uint8_t *effects_reserve(struct effects *e, struct effect *x, uint32_t cap)
{
    core_assert(x == &e->items[e->count - 1]);
    core_assert(e->bytes_cap - e->bytes_used >= cap);
    x->bytes_off = e->bytes_used;
    x->bytes_size = 0;
    return e->bytes + e->bytes_used;
}

void effects_commit(struct effects *e, struct effect *x, uint32_t size)
{
    core_assert(x == &e->items[e->count - 1]);
    core_assert(e->bytes_cap - e->bytes_used >= size);
    x->bytes_size = size;
    e->bytes_used = x->bytes_off + size;
}
