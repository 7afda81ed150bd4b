/* The one-shot SHA256() of OpenSSL 3 looks the algorithm up in the provider table on every call, under a
 * lock; the older low-level functions reach the same SHA-NI code directly, need no global and can be called
 * from any thread. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "transfer/tree.h"
#include "node/base/assert.h"
#include "transfer/sha256_pair.h"
#include <openssl/sha.h>

typedef uint8_t hash_t[HASH_SIZE];

void tree_sha256(uint8_t out[HASH_SIZE], const uint8_t *data, size_t size)
{
    SHA256_CTX c;
    SHA256_Init(&c);
    if (size)
        SHA256_Update(&c, data, size);
    SHA256_Final(out, &c);
}

void tree_leaf_hashes(uint8_t (*out)[HASH_SIZE], const uint8_t *data, size_t size)
{
    if (size == 0)
        tree_sha256(*out, data, 0);
    if (sha256_pair_usable()) {
        for (; size >= 2 * TREE_LEAF_SIZE; size -= 2 * TREE_LEAF_SIZE, data += 2 * TREE_LEAF_SIZE, out += 2)
            sha256_pair(out[0], out[1], data, data + TREE_LEAF_SIZE, TREE_LEAF_SIZE);
    }
    while (size) {
        size_t leaf = size < TREE_LEAF_SIZE ? size : TREE_LEAF_SIZE;
        tree_sha256(*out++, data, leaf);
        data += leaf;
        size -= leaf;
    }
}

static void parent(uint8_t out[HASH_SIZE], const uint8_t *left, const uint8_t *right)
{
    SHA256_CTX c;
    SHA256_Init(&c);
    SHA256_Update(&c, left, HASH_SIZE);
    SHA256_Update(&c, right, HASH_SIZE);
    SHA256_Final(out, &c);
}

static uint32_t log2_ceil(uint32_t n)
{
    uint32_t log2 = 0;
    while ((UINT64_C(1) << log2) < n)
        log2++;
    return log2;
}

uint32_t tree_leaf_count(uint64_t size)
{
    core_assert(size <= CONTENT_SIZE_MAX);
    return size == 0 ? 1 : (uint32_t)((size + TREE_LEAF_SIZE - 1) / TREE_LEAF_SIZE);
}

uint32_t tree_leaf_bytes(uint64_t size, uint32_t leaf)
{
    uint32_t count = tree_leaf_count(size);
    core_assert(leaf < count);
    return leaf + 1 < count ? TREE_LEAF_SIZE : (uint32_t)(size - (uint64_t)leaf * TREE_LEAF_SIZE);
}

uint32_t tree_span_count(uint64_t size)
{
    return (tree_leaf_count(size) + TREE_SPAN_LEAVES - 1) >> TREE_SPAN_LOG2;
}

uint32_t tree_span_leaves(uint64_t size, uint32_t span)
{
    uint32_t spans = tree_span_count(size);
    core_assert(span < spans);
    return span + 1 < spans ? TREE_SPAN_LEAVES : tree_leaf_count(size) - (span << TREE_SPAN_LOG2);
}

uint32_t tree_uncle_count(uint64_t size)
{
    return log2_ceil(tree_span_count(size));
}

/* Root of `count` hashes padded with zeroes to 2^height. Works like a binary counter: whole[l] is the root of
 * a full subtree of 2^l leaves for each bit set in the number of leaves taken. At the end the open right edge
 * is closed with roots of padding. */
static void padded_root(uint8_t out[HASH_SIZE], const uint8_t (*leaves)[HASH_SIZE], uint32_t count,
                        uint32_t height)
{
    core_assert(count >= 1 && count <= (UINT64_C(1) << height));
    core_assert(height <= 30);
    hash_t whole[31], pad = {0}, edge;
    for (uint32_t i = 0; i < count; i++) {
        hash_t node;
        memcpy(node, leaves[i], HASH_SIZE);
        uint32_t level = 0;
        for (; i >> level & 1; level++)
            parent(node, whole[level], node);
        memcpy(whole[level], node, HASH_SIZE);
    }
    bool open = false;
    for (uint32_t level = 0; level < height; level++) {
        if (count >> level & 1) {
            parent(edge, whole[level], open ? edge : pad);
            open = true;
        } else if (open) {
            parent(edge, edge, pad);
        }
        parent(pad, pad, pad);
    }
    memcpy(out, open ? edge : whole[height], HASH_SIZE);
}

void tree_root(uint8_t out[HASH_SIZE], const uint8_t (*leaves)[HASH_SIZE], uint32_t count)
{
    padded_root(out, leaves, count, log2_ceil(count));
}

void tree_span_root(uint8_t out[HASH_SIZE], const uint8_t (*leaves)[HASH_SIZE], uint32_t real_leaves,
                    uint64_t size)
{
    padded_root(out, leaves, real_leaves,
                tree_span_count(size) > 1 ? TREE_SPAN_LOG2 : log2_ceil(real_leaves));
}

uint32_t tree_upper_count(uint64_t size)
{
    return (2u << tree_uncle_count(size)) - 1;
}

void tree_upper_build(uint8_t (*upper)[HASH_SIZE], uint64_t size)
{
    uint32_t spans = tree_span_count(size), width = 1u << tree_uncle_count(size);
    if (spans < width) {
        hash_t pad = {0};
        for (uint32_t level = 0; level < TREE_SPAN_LOG2; level++)
            parent(pad, pad, pad);
        for (uint32_t i = spans; i < width; i++)
            memcpy(upper[i], pad, HASH_SIZE);
    }
    for (uint32_t layer = 0, next = width, n = width; n > 1; n /= 2) {
        for (uint32_t i = 0; i < n / 2; i++)
            parent(upper[next + i], upper[layer + 2 * i], upper[layer + 2 * i + 1]);
        layer = next;
        next += n / 2;
    }
}

void tree_uncles(uint8_t (*out)[HASH_SIZE], const uint8_t (*upper)[HASH_SIZE], uint64_t size, uint32_t span)
{
    core_assert(span < tree_span_count(size));
    uint32_t layer = 0, i = 0;
    for (uint32_t n = 1u << tree_uncle_count(size); n > 1; n /= 2, span /= 2) {
        memcpy(out[i++], upper[layer + (span ^ 1)], HASH_SIZE);
        layer += n;
    }
}

bool tree_proof_check(const struct content_id *id, uint32_t span, const uint8_t *proof, size_t proof_size)
{
    if (id->size > CONTENT_SIZE_MAX || span >= tree_span_count(id->size))
        return false;
    uint32_t leaves = tree_span_leaves(id->size, span), uncles = tree_uncle_count(id->size);
    if (proof_size != ((size_t)leaves + uncles) * HASH_SIZE)
        return false;
    hash_t node;
    tree_span_root(node, (const uint8_t(*)[HASH_SIZE])proof, leaves, id->size);
    const uint8_t *uncle = proof + (size_t)leaves * HASH_SIZE;
    for (uint32_t i = 0; i < uncles; i++, uncle += HASH_SIZE) {
        if (span >> i & 1)
            parent(node, uncle, node);
        else
            parent(node, node, uncle);
    }
    return memcmp(node, id->root, HASH_SIZE) == 0;
}
