#include "transfer/frame.h"
#include "node/base/assert.h"
#include "node/base/err.h"

size_t frame_head_write(uint8_t out[FRAME_HEAD_MAX], const struct frame_head *h)
{
    out[0] = h->type;
    if (h->type == FRAME_CONTROL)
        return 1;
    put_be32(out + 1, h->channel);
    put_be32(out + 5, h->index);
    if (h->type != FRAME_LEAVES)
        return FRAME_PROOF_HEAD;
    core_assert(h->count >= 1);
    core_assert(h->count <= FRAME_LEAVES_MAX);
    out[9] = h->count;
    return FRAME_LEAVES_HEAD;
}

static size_t head_size(uint8_t type)
{
    switch (type) {
    case FRAME_CONTROL:
        return 1;
    case FRAME_LEAVES:
        return FRAME_LEAVES_HEAD;
    case FRAME_PROOF:
        return FRAME_PROOF_HEAD;
    case FRAME_ENTRY:
        return FRAME_ENTRY_HEAD;
    default:
        return 0;
    }
}

int frame_read(struct frame_head *out, struct bytes plain)
{
    memset(out, 0, sizeof *out);
    if (plain.size == 0)
        return ERR_MALFORMED;
    out->type = plain.data[0];
    size_t head = head_size(out->type);
    if (head == 0)
        return ERR_UNSUPPORTED;
    if (plain.size < head)
        return ERR_MALFORMED;
    if (out->type != FRAME_CONTROL) {
        out->channel = get_be32(plain.data + 1);
        out->index = get_be32(plain.data + 5);
        out->count = 1;
    }
    if (out->type == FRAME_LEAVES) {
        out->count = plain.data[9];
        if (out->count < 1 || out->count > FRAME_LEAVES_MAX)
            return ERR_MALFORMED;
    }
    out->payload = bytes_of(plain.data + head, plain.size - head);
    return 0;
}
