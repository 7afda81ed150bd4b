/* Memory in large pieces. A run of a hundred thousand nodes touches another node with every datagram; with
 * pages of 4 KiB each touch misses the TLB as well as the cache. Pieces of a megabyte and more are mapped on
 * their own, aligned to 2 MiB, and the kernel is asked for huge pages; smaller ones come from calloc. */
#ifndef SIMNET_ENGINE_MEMORY_H
#define SIMNET_ENGINE_MEMORY_H
#include "node/base/pool.h"

extern const struct core_alloc sim_alloc_large;

/* A pool with slabs of some megabytes when `expected` objects are worth it, else one like any other. */
void sim_pool_init(struct pool *p, size_t object_size, uint32_t cap, uint64_t expected);
#endif
