#include "node/base/pool.h"

#include <stdlib.h>
#include <string.h>

#include "node/base/assert.h"

#define POISON 0xa5

static void *libc_alloc(void *context, size_t size)
{
    (void)context;
    return calloc(1, size);
}

static void libc_free(void *context, void *memory)
{
    (void)context;
    free(memory);
}

const struct core_alloc core_alloc_libc = {libc_alloc, libc_free, NULL};

struct slab { /* followed by its objects */
    struct slab *next;
    size_t size;
};

void pool_init(struct pool *p, const struct core_alloc *alloc, size_t object_size, uint32_t cap)
{
    memset(p, 0, sizeof *p);
    p->alloc = alloc;
    if (object_size < sizeof(void *))
        object_size = sizeof(void *);
    p->object_size = (object_size + 15) & ~(size_t)15;
    p->cap = cap;
    /* Slabs of about 64 KiB: few allocations for small objects, no waste for large ones. */
    uint32_t fit = (uint32_t)(65536 / p->object_size);
    p->slab_objects = fit ? fit : 1;
}

static int pool_grow(struct pool *p)
{
    uint32_t count = p->slab_objects;
    if (count > p->cap - p->used)
        count = p->cap - p->used;
    size_t size = sizeof(struct slab) + count * p->object_size;
    struct slab *slab = p->alloc->alloc(p->alloc->context, size);
    if (!slab)
        return -1;
    slab->next = p->slabs;
    slab->size = size;
    p->slabs = slab;
    uint8_t *objects = (uint8_t *)(slab + 1);
    for (uint32_t i = count; i-- > 0;) {
        void *object = objects + i * p->object_size;
        memcpy(object, &p->free_list, sizeof p->free_list);
        p->free_list = object;
    }
    return 0;
}

void *pool_take_raw(struct pool *p)
{
    if (p->used == p->cap)
        return NULL;
    if (!p->free_list && pool_grow(p) < 0)
        return NULL;
    void *object = p->free_list;
    memcpy(&p->free_list, object, sizeof p->free_list);
    p->used++;
    return object;
}

void *pool_take(struct pool *p)
{
    void *object = pool_take_raw(p);
    if (object)
        memset(object, 0, p->object_size);
    return object;
}

void pool_give(struct pool *p, void *object)
{
    core_assert(object);
    core_assert(p->used > 0);
#ifndef __OPTIMIZE__
    memset(object, POISON, p->object_size);
#endif
    memcpy(object, &p->free_list, sizeof p->free_list);
    p->free_list = object;
    p->used--;
}

void pool_fini(struct pool *p)
{
    core_assert(p->used == 0);
    struct slab *slab = p->slabs;
    while (slab) {
        struct slab *next = slab->next;
        p->alloc->free(p->alloc->context, slab);
        slab = next;
    }
    p->slabs = NULL;
    p->free_list = NULL;
}

size_t pool_bytes(const struct pool *p)
{
    size_t total = 0;
    for (const struct slab *slab = p->slabs; slab; slab = slab->next)
        total += slab->size;
    return total;
}
