/* Purpose: roots are BEP 52's, to the vectors of FIELD.md and to a slow definition of our own; proofs hold
 * for the right leaves only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "transfer/sha256_pair.h"
#include "transfer/tree.h"

typedef uint8_t hash_t[HASH_SIZE];

static uint8_t *pattern(size_t size)
{
    uint8_t *data = malloc(size ? size : 1);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i % 251);
    return data;
}

static hash_t *leaves_of(const uint8_t *data, uint64_t size)
{
    uint32_t count = tree_leaf_count(size);
    hash_t *leaves = malloc(sizeof(hash_t) * count);
    for (uint32_t i = 0; i < count; i++)
        tree_sha256(leaves[i], data + (size_t)i * TREE_LEAF_SIZE, tree_leaf_bytes(size, i));
    return leaves;
}

static void root_of(uint8_t out[HASH_SIZE], uint64_t size)
{
    uint8_t *data = pattern(size);
    hash_t *leaves = leaves_of(data, size);
    tree_root(out, (const uint8_t(*)[HASH_SIZE])leaves, tree_leaf_count(size));
    free(leaves);
    free(data);
}

/* Leaf by leaf, in pairs, on whatever processor: the same hashes (FIPS 180-4; OpenSSL is the judge). */
static void test_leaf_hashes(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 16383, 16384, 16385, 32767, 32768, 32769, 49152, 5 * 16384 + 7, 64 * 16384};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t *data = pattern(sizes[i]);
        uint32_t count = tree_leaf_count(sizes[i]);
        hash_t *one_by_one = leaves_of(data, sizes[i]), *together = malloc(sizeof(hash_t) * count);
        tree_leaf_hashes(together, data, sizes[i]);
        assert_memory_equal(together, one_by_one, sizeof(hash_t) * count);
        free(one_by_one);
        free(together);
        free(data);
    }
}

/* Every size the pair takes has its own padding block; two different messages keep apart. */
static void test_pair_of_hashes(void **state)
{
    (void)state;
    if (!sha256_pair_usable())
        skip();
    uint8_t *data = pattern(2 * 4096);
    for (size_t size = 0; size <= 4096; size += 64) {
        hash_t a, b, want_a, want_b;
        sha256_pair(a, b, data, data + 4096, size);
        tree_sha256(want_a, data, size);
        tree_sha256(want_b, data + 4096, size);
        assert_memory_equal(a, want_a, HASH_SIZE);
        assert_memory_equal(b, want_b, HASH_SIZE);
    }
    free(data);
}

static void test_vectors(void **state)
{
    (void)state;
    static const struct {
        uint64_t size;
        const char *root;
    } table[] = {
        {0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
        {16384, "4348e3b98e8a327b34ced39c1da9e67cdb4cd5e48e4d7960607a3ae403d35f0c"},
        {16385, "9d7887c65d577a0237fb3c0998b87b3a62762d03796889a2caea01db914ccbb8"},
        {49152, "c23d35ec942288a7d9b58d1d0446a76104660b7c72e5cf39f38bddb028ff8ca0"},
        {65537, "27e4ccf8e3d554bfce504235da1292c2c8beb24ba5b3e1cd62f41bd692517fbe"},
        {163840, "92ffcec5095fcb78750791a50e88be81c7ccf2a217902ab15da5a9dfe863e112"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint8_t root[HASH_SIZE];
        char text[2 * HASH_SIZE + 1];
        root_of(root, table[i].size);
        hex_encode(text, root, HASH_SIZE);
        assert_string_equal(text, table[i].root);
    }
}

/* The definition, layer by layer in memory: what the clever versions are compared with. */
static void slow_root(uint8_t out[HASH_SIZE], hash_t *leaves, uint32_t count)
{
    uint32_t width = 1;
    while (width < count)
        width *= 2;
    hash_t *layer = calloc(width, sizeof(hash_t));
    memcpy(layer, leaves, sizeof(hash_t) * count);
    for (; width > 1; width /= 2) {
        for (uint32_t i = 0; i < width / 2; i++) {
            uint8_t pair[2 * HASH_SIZE];
            memcpy(pair, layer[2 * i], sizeof pair);
            tree_sha256(layer[i], pair, sizeof pair);
        }
    }
    memcpy(out, layer[0], HASH_SIZE);
    free(layer);
}

static void test_root_against_definition(void **state)
{
    (void)state;
    hash_t leaves[300];
    for (uint32_t i = 0; i < 300; i++)
        tree_sha256(leaves[i], (const uint8_t *)&i, sizeof i);
    for (uint32_t count = 1; count <= 300; count++) {
        hash_t fast, slow;
        tree_root(fast, (const uint8_t(*)[HASH_SIZE])leaves, count);
        slow_root(slow, leaves, count);
        assert_memory_equal(fast, slow, HASH_SIZE);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        uint64_t size;
        uint32_t leaves, last_bytes, spans, last_span, uncles;
    } table[] = {
        {0, 1, 0, 1, 1, 0},
        {1, 1, 1, 1, 1, 0},
        {16384, 1, 16384, 1, 1, 0},
        {16385, 2, 1, 1, 2, 0},
        {1 << 20, 64, 16384, 1, 64, 0},
        {(1 << 20) + 1, 65, 1, 2, 1, 1},
        {3 << 20, 192, 16384, 3, 64, 2},
        {(UINT64_C(1) << 30), 65536, 16384, 1024, 64, 10},
        {CONTENT_SIZE_MAX, 1u << 30, 16383, 1u << 24, 64, 24},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint64_t size = table[i].size;
        assert_int_equal(tree_leaf_count(size), table[i].leaves);
        assert_int_equal(tree_leaf_bytes(size, table[i].leaves - 1), table[i].last_bytes);
        assert_int_equal(tree_span_count(size), table[i].spans);
        assert_int_equal(tree_span_leaves(size, table[i].spans - 1), table[i].last_span);
        assert_int_equal(tree_uncle_count(size), table[i].uncles);
        assert_int_equal(tree_upper_count(size), (2u << table[i].uncles) - 1);
        assert_true(tree_uncle_count(size) <= TREE_UNCLES_MAX);
    }
}

/* Proofs of every span for sizes around each edge: right ones hold, one flipped bit anywhere does not. */
static void test_proofs(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1,       16384,         40000,         1 << 20,          (1 << 20) + 1,
                                     2 << 20, (2 << 20) + 5, (3 << 20) - 1, (5 << 20) + 77777};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint64_t size = sizes[s];
        uint8_t *data = pattern(size);
        hash_t *leaves = leaves_of(data, size), *upper = calloc(tree_upper_count(size), sizeof(hash_t));
        struct content_id id = {.size = size, .kind = CONTENT_FILE};
        tree_root(id.root, (const uint8_t(*)[HASH_SIZE])leaves, tree_leaf_count(size));
        uint32_t spans = tree_span_count(size);
        for (uint32_t i = 0; i < spans; i++)
            tree_span_root(upper[i], (const uint8_t(*)[HASH_SIZE])(leaves + i * TREE_SPAN_LEAVES),
                           tree_span_leaves(size, i), size);
        tree_upper_build(upper, size);
        assert_memory_equal(upper[tree_upper_count(size) - 1], id.root, HASH_SIZE);
        for (uint32_t i = 0; i < spans; i++) {
            hash_t proof[TREE_SPAN_LEAVES + TREE_UNCLES_MAX];
            uint32_t real = tree_span_leaves(size, i), uncles = tree_uncle_count(size);
            memcpy(proof, leaves + i * TREE_SPAN_LEAVES, sizeof(hash_t) * real);
            tree_uncles(proof + real, (const uint8_t(*)[HASH_SIZE])upper, size, i);
            size_t bytes = (real + uncles) * sizeof(hash_t);
            assert_true(tree_proof_check(&id, i, proof[0], bytes));
            assert_false(tree_proof_check(&id, i, proof[0], bytes - 1));
            assert_false(tree_proof_check(&id, i, proof[0], bytes - HASH_SIZE));
            assert_false(tree_proof_check(&id, i, proof[0], bytes + HASH_SIZE));
            assert_false(tree_proof_check(&id, spans, proof[0], bytes));
            for (uint32_t other = 0; other < spans;
                 other++) /* equal leaves never: the pattern does not repeat in a span */
                assert_true(other == i || !tree_proof_check(&id, other, proof[0], bytes));
            for (size_t at = 0; at < bytes; at += HASH_SIZE / 2) {
                ((uint8_t *)proof)[at] ^= 1;
                assert_false(tree_proof_check(&id, i, proof[0], bytes));
                ((uint8_t *)proof)[at] ^= 1;
            }
        }
        free(upper);
        free(leaves);
        free(data);
    }
}

/* A 64-byte "file" of left || right has a two-leaf file's root; with the size in the id its proof is another
 * shape (FIELD.md). */
static void test_leaf_and_node_are_told_apart_by_size(void **state)
{
    (void)state;
    uint8_t *data = pattern(32768);
    hash_t *leaves = leaves_of(data, 32768), root, fake_root;
    tree_root(root, (const uint8_t(*)[HASH_SIZE])leaves, 2);
    tree_sha256(fake_root, leaves[0], 64);
    assert_memory_equal(root, fake_root, HASH_SIZE);
    struct content_id id = {.size = 32768};
    memcpy(id.root, root, HASH_SIZE);
    assert_true(tree_proof_check(&id, 0, leaves[0], 64));
    id.size = 64;
    assert_false(tree_proof_check(&id, 0, leaves[0], 64));
    id.size = 3 * TREE_LEAF_SIZE; /* a lie about the size: no proof of that shape leads to the root */
    hash_t proof[3] = {{0}};
    memcpy(proof, leaves, sizeof(hash_t) * 2);
    assert_false(tree_proof_check(&id, 0, proof[0], sizeof proof));
    free(leaves);
    free(data);
}

/* With a file as argument: prints its root, for tests/interop/bep52_root.py. */
static int print_root(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return 1;
    size_t size = 0, got;
    uint8_t *data = malloc(64 << 20);
    while ((got = fread(data + size, 1, (64 << 20) - size, f)) > 0)
        size += got;
    fclose(f);
    hash_t root;
    hash_t *leaves = leaves_of(data, size);
    tree_root(root, (const uint8_t(*)[HASH_SIZE])leaves, tree_leaf_count(size));
    char text[2 * HASH_SIZE + 1];
    hex_encode(text, root, HASH_SIZE);
    puts(text);
    free(leaves);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2)
        return print_root(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaf_hashes),
        cmocka_unit_test(test_pair_of_hashes),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_root_against_definition),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_proofs),
        cmocka_unit_test(test_leaf_and_node_are_told_apart_by_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
