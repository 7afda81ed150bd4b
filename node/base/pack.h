/* Writing msgpack into a caller's buffer. msgpack-c does the encoding (always the shortest form); this wrapper keeps its types out
 * of the cores and makes overflow sticky: write everything, check pack_ok once. */
#ifndef SHOAL_BASE_PACK_H
#define SHOAL_BASE_PACK_H
#include "node/base/bytes.h"

struct pack {
    uint8_t *buf;
    size_t cap, size;
    bool overflow;
};

void pack_init(struct pack *p, uint8_t *buf, size_t cap);
static inline bool pack_ok(const struct pack *p)
{
    return !p->overflow;
}
void pack_map(struct pack *p, uint32_t pairs);
void pack_array(struct pack *p, uint32_t count);
void pack_uint(struct pack *p, uint64_t v);
void pack_int(struct pack *p, int64_t v);
void pack_bool(struct pack *p, bool v);
void pack_nil(struct pack *p);
void pack_bin(struct pack *p, const void *data, size_t size);
void pack_str(struct pack *p, const char *data, size_t size);
void pack_raw(struct pack *p, const void *data, size_t size); /* already encoded */

/* Map key and value in one go. */
void pack_key_uint(struct pack *p, uint64_t key, uint64_t v);
void pack_key_bool(struct pack *p, uint64_t key, bool v);
void pack_key_bin(struct pack *p, uint64_t key, const void *data, size_t size);
void pack_key_str(struct pack *p, uint64_t key, const char *data, size_t size);
#endif
