/* The tree file: all leaf hashes of a content of several spans, then the layers above the spans
 * (docs/protocol.d/50-storage.md). While a content is being fetched it has holes: each proof that was checked
 * fills in its leaves and its uncles, so that the same span can be proven to others. */
#include <stdlib.h>
#include <string.h>

#include "node/base/assert.h"
#include "node/host/data_int.h"

uint64_t data_tree_size(uint64_t content_size)
{
    return ((uint64_t)tree_leaf_count(content_size) + tree_upper_count(content_size)) * HASH_SIZE;
}

/* Width of the padded layer of span roots. */
static uint64_t width_of(uint64_t content_size)
{
    uint64_t width = 1;
    while (width < tree_span_count(content_size))
        width <<= 1;
    return width;
}

/* Calls `each` for every uncle of span with its offset in the tree file. */
static int uncles_each(uint64_t content_size, uint32_t span,
                       int (*each)(void *context, uint32_t index, uint64_t offset), void *context)
{
    uint64_t at = (uint64_t)tree_leaf_count(content_size) * HASH_SIZE, node = span;
    uint32_t index = 0;
    for (uint64_t width = width_of(content_size); width > 1; width >>= 1) {
        int status = each(context, index++, at + (node ^ 1) * HASH_SIZE);
        if (status != 0)
            return status;
        at += width * HASH_SIZE;
        node >>= 1;
    }
    core_assert(index == tree_uncle_count(content_size));
    return 0;
}

struct uncles {
    const struct data_io *io;
    int fd;
    const uint8_t *from;
    uint8_t *to;
};

static int uncle_write(void *context, uint32_t index, uint64_t offset)
{
    struct uncles *u = context;
    struct iovec v = {(void *)(uintptr_t)(u->from + (size_t)index * HASH_SIZE), HASH_SIZE};
    return data_write_all(u->io, u->fd, &v, 1, offset);
}

static int uncle_read(void *context, uint32_t index, uint64_t offset)
{
    struct uncles *u = context;
    return data_pread_all(u->io, u->fd, u->to + (size_t)index * HASH_SIZE, HASH_SIZE, offset);
}

int data_tree_write_proof(const struct data_io *io, int fd, uint64_t content_size, uint32_t span,
                          const uint8_t *proof)
{
    size_t leaves = (size_t)tree_span_leaves(content_size, span) * HASH_SIZE;
    struct iovec v = {(void *)(uintptr_t)proof, leaves};
    int status = data_write_all(io, fd, &v, 1, (uint64_t)span * TREE_SPAN_LEAVES * HASH_SIZE);
    if (status != 0)
        return status;
    struct uncles u = {io, fd, proof + leaves, NULL};
    return uncles_each(content_size, span, uncle_write, &u);
}

int data_tree_read_proof(const struct data_io *io, int fd, const struct content_id *id, uint32_t span,
                         uint8_t *out)
{
    size_t leaves = (size_t)tree_span_leaves(id->size, span) * HASH_SIZE;
    int status = data_pread_all(io, fd, out, leaves, (uint64_t)span * TREE_SPAN_LEAVES * HASH_SIZE);
    struct uncles u = {io, fd, NULL, out + leaves};
    return status ? status : uncles_each(id->size, span, uncle_read, &u);
}

int data_tree_complete(const struct data_io *io, int fd, const struct content_id *id)
{
    uint32_t spans = tree_span_count(id->size), upper_count = tree_upper_count(id->size);
    uint8_t(*upper)[HASH_SIZE] = malloc((size_t)upper_count * HASH_SIZE);
    uint8_t(*leaves)[HASH_SIZE] = malloc((size_t)TREE_SPAN_LEAVES * HASH_SIZE);
    int status = upper && leaves ? 0 : ERR_NO_MEMORY;
    for (uint32_t span = 0; status == 0 && span < spans; span++) {
        uint32_t count = tree_span_leaves(id->size, span);
        status = data_pread_all(io, fd, leaves, (size_t)count * HASH_SIZE,
                                (uint64_t)span * TREE_SPAN_LEAVES * HASH_SIZE);
        if (status == 0)
            tree_span_root(upper[span], (const uint8_t(*)[HASH_SIZE])leaves, count, id->size);
    }
    if (status == 0) {
        tree_upper_build(upper, id->size);
        if (memcmp(upper[upper_count - 1], id->root, HASH_SIZE) != 0)
            status = ERR_BAD_HASH;
    }
    if (status == 0) {
        struct iovec v = {upper, (size_t)upper_count * HASH_SIZE};
        status = data_write_all(io, fd, &v, 1, (uint64_t)tree_leaf_count(id->size) * HASH_SIZE);
    }
    free(upper);
    free(leaves);
    return status;
}
