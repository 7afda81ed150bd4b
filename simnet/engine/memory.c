#include "simnet/engine/memory.h"

#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_PAGE  (2u << 20)
#define LARGE      (1u << 20)
#define HEAD       64 /* keeps the size, and what follows on a cache line's start */
#define SLAB_BYTES (8u << 20)

static void *large_alloc(void *context, size_t size)
{
    (void)context;
    size_t total = size + HEAD;
    if (total < LARGE) {
        uint64_t *small = calloc(1, total);
        if (!small)
            return NULL;
        *small = 0;
        return (uint8_t *)small + HEAD;
    }
    total = (total + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
    uint8_t *raw = mmap(NULL, total + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED)
        return NULL;
    uint8_t *start = (uint8_t *)(((uintptr_t)raw + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
    if (start > raw)
        munmap(raw, (size_t)(start - raw));
    munmap(start + total, (size_t)(raw + HUGE_PAGE - start));
    madvise(start, total, MADV_HUGEPAGE); /* refused: slower, nothing else */
    *(uint64_t *)(void *)start = total;
    return start + HEAD;
}

static void large_free(void *context, void *memory)
{
    (void)context;
    if (!memory)
        return;
    uint8_t *start = (uint8_t *)memory - HEAD;
    uint64_t total = *(uint64_t *)(void *)start;
    if (total)
        munmap(start, total);
    else
        free(start);
}

const struct core_alloc sim_alloc_large = {large_alloc, large_free, NULL};

void sim_pool_init(struct pool *p, size_t object_size, uint32_t cap, uint64_t expected)
{
    pool_init(p, &sim_alloc_large, object_size, cap);
    if (expected * p->object_size < 4 * (uint64_t)SLAB_BYTES)
        return;
    /* The slab's own head and ours come out of it, so that it ends with a huge page. */
    p->slab_objects = (uint32_t)((SLAB_BYTES - 2 * HEAD) / p->object_size);
}
