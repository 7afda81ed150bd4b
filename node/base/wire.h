/* Reading msgpack that came from a peer: a cursor with a sticky error, no allocation, depth at most WIRE_DEPTH_MAX, counts bounded
 * by the bytes that remain, no floats, no extension types, shortest-form integers and lengths only. Reads after an error give zeroes
 * and empty spans, so one check at the end is enough.  msgpack-c is never used on peers' bytes: it reserves what a hostile
 * header claims (msgpack-c #1013). Spans are borrowed from the input.
 *
 * Maps in Shoal's protocol have small unsigned keys in strictly ascending order; unknown keys are skipped by the reader:
 *
 *     struct wire_map m = wire_map(&w);
 *     uint64_t key;
 *     while (wire_map_next(&w, &m, &key)) {
 *         switch (key) {
 *         case 0: type = wire_uint(&w); break;
 *         default: wire_skip(&w);
 *         }
 *     }
 */
#ifndef SHOAL_BASE_WIRE_H
#define SHOAL_BASE_WIRE_H
#include "node/base/bytes.h"

#define WIRE_DEPTH_MAX 8

struct wire {
    const uint8_t *next, *end;
    bool bad;
};

struct wire_map {
    uint32_t left;      /* pairs still to come */
    bool started;
    uint64_t last_key;
};

enum wire_type { WIRE_NONE, WIRE_NIL, WIRE_BOOL, WIRE_UINT, WIRE_INT, WIRE_BIN, WIRE_STR, WIRE_ARRAY, WIRE_MAP, WIRE_OTHER };

void wire_init(struct wire *w, const uint8_t *data, size_t size);
bool wire_ok(const struct wire *w);                    /* no error so far */
bool wire_done(const struct wire *w);                  /* no error and every byte consumed */
size_t wire_left(const struct wire *w);                /* bytes not yet read */
void wire_fail(struct wire *w);                        /* mark as bad: for a caller's own rule */
enum wire_type wire_peek(const struct wire *w);        /* type of the next item; WIRE_NONE at the end or after an error */

uint64_t wire_uint(struct wire *w);
uint64_t wire_uint_max(struct wire *w, uint64_t max);  /* bad when larger */
int64_t wire_int(struct wire *w);
bool wire_bool(struct wire *w);
struct bytes wire_bin(struct wire *w, size_t max);     /* bad when longer than max */
struct bytes wire_str(struct wire *w, size_t max);     /* bytes only: UTF-8 is the caller's to check */
void wire_bin_exact(struct wire *w, uint8_t *out, size_t size);
uint32_t wire_array(struct wire *w, uint32_t max);     /* count of items; bad when above max or above the bytes left */
struct wire_map wire_map(struct wire *w);
bool wire_map_next(struct wire *w, struct wire_map *m, uint64_t *key); /* false at the end or on error (also: keys not ascending) */
void wire_skip(struct wire *w);                        /* one item of any known type, nested ones too */
struct bytes wire_raw(struct wire *w);                 /* like wire_skip, but returns the item's encoded bytes */

bool utf8_valid(const uint8_t *data, size_t size);     /* RFC 3629: no surrogates, no overlong forms; NUL is allowed */
#endif
