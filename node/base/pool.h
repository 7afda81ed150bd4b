/* Capped pools of equal objects, and the allocator that cores are given. Memory comes in slabs, is zeroed when taken, and is
 * reused last-in first-out, so that runs are deterministic. A pool that is at its cap says no (NULL): every user states what
 * it evicts. Debug builds poison what is given back. */
#ifndef SHOAL_BASE_POOL_H
#define SHOAL_BASE_POOL_H
#include <stddef.h>
#include <stdint.h>

struct core_alloc {
    void *(*alloc)(void *context, size_t size); /* zeroed, aligned as malloc; NULL when refused */
    void (*free)(void *context, void *memory);  /* NULL is ignored */
    void *context;
};

extern const struct core_alloc core_alloc_libc; /* calloc and free */

struct pool {
    const struct core_alloc *alloc;
    size_t object_size;
    uint32_t cap, used, slab_objects;
    void *free_list;
    void *slabs;
};

/* Asks for no memory yet. cap: most objects alive at once. */
void pool_init(struct pool *p, const struct core_alloc *alloc, size_t object_size, uint32_t cap);
void *pool_take(struct pool *p);             /* zeroed object; NULL at the cap or when memory is refused */
void *pool_take_raw(struct pool *p);         /* the same, not zeroed: for who fills it all */
void pool_give(struct pool *p, void *object);
void pool_fini(struct pool *p);              /* frees all slabs; asserts that nothing is still taken */
size_t pool_bytes(const struct pool *p);     /* memory held in slabs [bytes] */
#endif
