/* Rarest first in O(1): the chunks that may be picked stand in one array, sorted by how many partial peers
 * have them; a change of one chunk's count swaps it over one border. Seeds have everything and change no
 * order, so they are not counted here.
 *
 * A chunk that may not be picked (we have it, nobody wants it, it is being fetched) is out of the array; its
 * place then holds a tag of the caller's. */
#ifndef SHOAL_TRANSFER_PICKER_H
#define SHOAL_TRANSFER_PICKER_H
#include "node/base/pool.h"
#include "node/base/rng.h"
#include <stdbool.h>

#define PICKER_NONE    UINT32_MAX
#define PICKER_BUCKETS 64 /* counts from 63 up are one bucket: nothing that common is rare */
#define PICKER_OUT     0x80000000u

struct picker {
    uint32_t chunks, count; /* count: in the array */
    uint16_t *available;    /* by chunk: partial peers that have it */
    uint32_t *order, *place;
    uint32_t bucket_end[PICKER_BUCKETS]; /* one past the last of each bucket */
};

/* All chunks are out, with tag 0. False: no memory. */
bool picker_init(struct picker *p, const struct core_alloc *alloc, uint32_t chunks);
void picker_fini(struct picker *p, const struct core_alloc *alloc);
size_t picker_bytes(uint32_t chunks);
void picker_put(struct picker *p, uint32_t chunk);                /* out -> in */
void picker_take(struct picker *p, uint32_t chunk, uint32_t tag); /* in -> out */
void picker_tag(struct picker *p, uint32_t chunk, uint32_t tag);  /* stays out */
static inline bool picker_in(const struct picker *p, uint32_t chunk)
{
    return p->place[chunk] < PICKER_OUT;
}
static inline uint32_t picker_tag_of(const struct picker *p, uint32_t chunk)
{
    return p->place[chunk] & ~PICKER_OUT;
}
void picker_more(struct picker *p, uint32_t chunk);
void picker_less(struct picker *p, uint32_t chunk);
/* The rarest chunk that the peer has, ties at random; map NULL = it has all. anywhere: any chunk at all (the
 * first one of a swarm is random, so that there is soon something to trade). PICKER_NONE when there is none.
 */
uint32_t picker_pick(const struct picker *p, struct rng *rng, const uint8_t *map, bool anywhere);
void picker_check(const struct picker *p);
#endif
