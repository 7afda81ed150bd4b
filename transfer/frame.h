/* What a stream frame's plaintext holds; the first byte is its type.
 *
 *   0  control: msgpack messages, one after another, to the end of the frame (session.h)
 *   1  leaves:  channel (4, BE), first leaf (4), count (1), then the leaves' bytes; all but a content's last leaf are whole. At most 3
 *   2  proof:   channel (4), span (4), then leaf hashes and uncles (tree.h)
 *   3  entry:   channel (4), entry index (4), then the small file's bytes: a leaf of a pack (xfer.h)
 */
#ifndef SHOAL_TRANSFER_FRAME_H
#define SHOAL_TRANSFER_FRAME_H
#include "node/base/bytes.h"

enum frame_type { FRAME_CONTROL = 0, FRAME_LEAVES = 1, FRAME_PROOF = 2, FRAME_ENTRY = 3 };
#define FRAME_HEAD_MAX        10
#define FRAME_LEAVES_MAX      3
#define FRAME_LEAVES_HEAD     10
#define FRAME_PROOF_HEAD      9
#define FRAME_ENTRY_HEAD      9

struct frame_head {
    uint8_t type;
    uint32_t channel, index; /* leaf, span or entry */
    uint8_t count;           /* leaves */
    struct bytes payload;    /* borrowed */
};
size_t frame_head_write(uint8_t out[FRAME_HEAD_MAX], const struct frame_head *h); /* bytes written */
int frame_read(struct frame_head *out, struct bytes plain);                        /* ERR_MALFORMED; an unknown type gives ERR_UNSUPPORTED */
#endif
