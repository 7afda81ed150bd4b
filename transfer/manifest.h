/* Manifests: one per directory. Shortest-form msgpack, any other encoding refused, so that two owners of one tree get one link:
 *
 *     [1, [entry, ...]]      entry = [name (str), id (bin 39), flags (uint)] or [..., flags, mtime (uint, unix s)] (share --times)
 *
 * sorted by the bytes of the UTF-8 name, strictly ascending. flags: 1 = executable, 2 = mtime follows; others refused. Names: 1 to 255
 * bytes of valid UTF-8, no '/', no NUL, not "." or "..", no control characters (below 0x20, 0x7f). */
#ifndef SHOAL_TRANSFER_MANIFEST_H
#define SHOAL_TRANSFER_MANIFEST_H
#include "node/base/pack.h"
#include "node/base/wire.h"
#include "transfer/content.h"

#define MANIFEST_ENTRIES_MAX 1000000u
#define MANIFEST_DEPTH_MAX   64u            /* directories below a root; deeper ones are refused by whoever walks */
#define MANIFEST_SIZE_MAX    (400u << 20)   /* [bytes] */

struct manifest_entry {
    struct bytes name; /* borrowed */
    struct content_id id;
    bool executable, has_mtime;
    uint64_t mtime_s;
};

/* Reader: iterate without allocation. */
struct manifest_reader {
    struct wire w;
    uint32_t count, index;
    struct bytes last_name;
    uint64_t size; /* of the whole manifest [bytes] */
};
int manifest_open(struct manifest_reader *r, struct bytes manifest);          /* ERR_MALFORMED, ERR_VERSION */
/* 1 = entry, 0 = end (and every byte was used), ERR_MALFORMED = refuse the whole manifest. */
int manifest_next(struct manifest_reader *r, struct manifest_entry *out);
int manifest_check(struct bytes manifest, uint32_t *count);                   /* the whole of it */

/* Writer: entries must come in order; ERR_RANGE on a bad name, ERR_MALFORMED out of order. The caller sizes the buffer with
 * manifest_bound (sum of entry bounds + MANIFEST_HEAD_MAX). */
#define MANIFEST_HEAD_MAX 8
size_t manifest_entry_bound(size_t name_size);
bool manifest_name_ok(struct bytes name);
void manifest_begin(struct pack *p, uint32_t count);
int manifest_add(struct pack *p, const struct manifest_entry *e, struct bytes *last_name);
#endif
