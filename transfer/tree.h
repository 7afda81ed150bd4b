/* BEP 52 hash trees: pure functions, no storage. Leaves are 16 KiB; the leaf layer is padded with 32 zero bytes to a power of two;
 * parent = SHA-256(left || right). An empty file's root is SHA-256 of nothing (FIELD.md, "Content ids").
 *
 * Proofs: a span is an aligned subtree of 2^TREE_SPAN_LOG2 leaves (64, 1 MiB) or the whole tree when that is smaller. A span's proof is
 * its real leaf hashes, then the uncles from the span's root upward. It is checked against the root alone, so nothing between needs to be
 * kept; docs/protocol.md gives its size: 32 * (leaves in the span + uncles). */
#ifndef SHOAL_TRANSFER_TREE_H
#define SHOAL_TRANSFER_TREE_H
#include "node/base/bytes.h"
#include "transfer/content.h"

#define TREE_LEAF_SIZE   16384u
#define TREE_SPAN_LOG2   6
#define TREE_SPAN_LEAVES (1u << TREE_SPAN_LOG2)
#define TREE_UNCLES_MAX  30
#define TREE_PROOF_MAX   ((TREE_SPAN_LEAVES + TREE_UNCLES_MAX) * HASH_SIZE)

void tree_sha256(uint8_t out[HASH_SIZE], const uint8_t *data, size_t size); /* OpenSSL; safe from any thread */
/* Hashes of the leaves that `data` consists of: each 16 KiB, the last one what is left (size 0: one empty leaf). Faster than one by one (sha256_pair.h). */
void tree_leaf_hashes(uint8_t (*out)[HASH_SIZE], const uint8_t *data, size_t size);

uint32_t tree_leaf_count(uint64_t size);                    /* 1 for size 0 */
uint32_t tree_leaf_bytes(uint64_t size, uint32_t leaf);     /* 16384, the last one its real length */
uint32_t tree_span_count(uint64_t size);
uint32_t tree_span_leaves(uint64_t size, uint32_t span);    /* real leaves in it */
uint32_t tree_uncle_count(uint64_t size);                   /* per span; 0 when the tree is one span */

/* Root over `count` leaf hashes, padded. scratch-free: O(log n) stack. */
void tree_root(uint8_t out[HASH_SIZE], const uint8_t (*leaves)[HASH_SIZE], uint32_t count);
/* Root of one span (padded to its full width when the tree has several spans). */
void tree_span_root(uint8_t out[HASH_SIZE], const uint8_t (*leaves)[HASH_SIZE], uint32_t real_leaves, uint64_t size);

/* Layers above the spans, for serving proofs: `upper` holds the span roots (padded to a power of two) and all layers above, root last:
 * 2 * width - 1 hashes; tree_upper_count tells how many. build fills it from the span roots already in its first tree_span_count places. */
uint32_t tree_upper_count(uint64_t size);
void tree_upper_build(uint8_t (*upper)[HASH_SIZE], uint64_t size);
void tree_uncles(uint8_t (*out)[HASH_SIZE], const uint8_t (*upper)[HASH_SIZE], uint64_t size, uint32_t span);

/* True when the leaves (tree_span_leaves of them) and uncles (tree_uncle_count) lead to the root. */
bool tree_proof_check(const struct content_id *id, uint32_t span, const uint8_t *proof, size_t proof_size);
#endif
