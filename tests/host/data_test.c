/* The data plane alone, writing: parts, proofs, checkpoints and what a crash leaves. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/host/data_rig.h"

static const uint64_t sizes[] = {
    0,       1, 16383, 16384, 16385, 49152, 262144, 1048576, 1048577, 3u << 20, (3u << 20) + 7 * 16384 + 5,
    9u << 20};

/* given every shape of tree, when all chunks arrive in random order, then the file is whole, has its final
 * name and can be served. */
static void test_round_trip(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct content c;
        content_make(&c, sizes[i], i + 1);
        char name[32], final[160], part[170], map[170];
        snprintf(name, sizeof name, "file%zu", i);
        path_in(f, final, name);
        snprintf(part, sizeof part, "%s.part", final);
        snprintf(map, sizeof map, "%s.part.map", final);
        uint32_t ref;
        uint8_t *have;
        size_t have_size;
        assert_int_equal(open_part(f, &c, name, &ref, &have, &have_size), 0);
        uint32_t chunks = ((tree_leaf_count(c.id.size) - 1) >> 4) + 1;
        assert_int_equal(have_size, (chunks + 7) / 8);
        for (size_t b = 0; b < have_size; b++)
            assert_int_equal(have[b], 0);
        free(have);
        uint32_t order[64];
        struct rng r;
        rng_init(&r, i, 2);
        for (uint32_t k = 0; k < chunks; k++)
            order[k] = k;
        for (uint32_t k = chunks - 1; k > 0; k--) {
            uint32_t o = rng_below(&r, k + 1), t = order[k];
            order[k] = order[o];
            order[o] = t;
        }
        f->good_leaves = 0;
        f->worst_status = 0;
        uint8_t out[TREE_PROOF_MAX], want[TREE_PROOF_MAX];
        for (uint32_t k = 0; k < chunks; k++) {
            feed_chunk(f, ref, &c, 4, order[k]);
            settle(f);
            /* What is here can be passed on before the rest is. */
            uint32_t span = (order[k] << 4) >> TREE_SPAN_LOG2;
            if (tree_leaf_count(c.id.size) > 1) {
                int64_t n = read_proof(f, ref, span, out);
                assert_int_equal(n, content_proof(&c, span, want));
                assert_memory_equal(out, want, (size_t)n);
            }
        }
        assert_int_equal(f->worst_status, 0);
        assert_int_equal(f->good_leaves, tree_leaf_count(c.id.size));
        assert_true(exists(part));
        assert_true(exists(map));
        assert_false(exists(final));
        assert_int_equal(finish(f, ref, false), 0);
        assert_false(exists(part));
        assert_false(exists(map));
        assert_file(final, c.bytes, c.id.size);
        assert_int_equal(f->stamp.size, c.id.size);
        for (uint32_t span = 0; span < tree_span_count(c.id.size); span++) {
            int64_t n = read_proof(f, ref, span, out);
            assert_int_equal(n, content_proof(&c, span, want));
            assert_memory_equal(out, want, (size_t)n);
        }
        uint8_t leaf[TREE_LEAF_SIZE];
        uint32_t last = tree_leaf_count(c.id.size) - 1;
        assert_int_equal(read_leaves(f, ref, last, 1, leaf, sizeof leaf), tree_leaf_bytes(c.id.size, last));
        assert_memory_equal(leaf, c.bytes + (size_t)last * TREE_LEAF_SIZE, tree_leaf_bytes(c.id.size, last));
        close_ref(f, ref);
        content_free(&c);
    }
    assert_int_equal(f->data->slab_bytes <= DATA_SLAB_SIZE, 1);
}

/* given wrong bytes, then exactly the wrong leaves are refused and the right ones beside them are kept. */
static void test_bad_bytes(void **state)
{
    struct fixture *f = *state;
    struct content c;
    content_make(&c, 3u << 20, 5);
    uint32_t ref;
    uint8_t *have;
    size_t have_size;
    assert_int_equal(open_part(f, &c, "bad", &ref, &have, &have_size), 0);
    free(have);

    feed_leaves(f, ref, &c, 0, 3); /* no proof yet */
    assert_int_equal(f->last_status, ERR_UNSOLICITED);
    assert_int_equal(f->good_leaves, 0);

    c.leaves[3][0] ^= 1;
    feed_proof(f, ref, &c, 0);
    assert_int_equal(f->last_status, ERR_BAD_HASH);
    c.leaves[3][0] ^= 1;
    feed_proof(f, ref, &c, 0);
    settle(f);
    assert_int_equal(f->last_status, 0);

    c.bytes[TREE_LEAF_SIZE + 5] ^= 1; /* the middle one of three */
    feed_leaves(f, ref, &c, 0, 3);
    settle(f);
    assert_int_equal(f->last_status, ERR_BAD_HASH);
    assert_int_equal(f->good_leaves, 2);
    c.bytes[TREE_LEAF_SIZE + 5] ^= 1;
    uint8_t out[TREE_LEAF_SIZE];
    assert_int_equal(read_at(f, ref, 0, out, sizeof out), sizeof out);
    assert_memory_equal(out, c.bytes, sizeof out);
    assert_int_equal(read_at(f, ref, TREE_LEAF_SIZE, out, 1), ERR_NOT_FOUND);
    assert_int_equal(read_at(f, ref, TREE_LEAF_SIZE - 1, out, 2), ERR_NOT_FOUND);

    /* Lengths and places that cannot be. */
    static const struct {
        uint32_t leaf, count;
        size_t size;
    } wrong[] = {{0, 3, 49151},   {0, 2, 49152},          {0, 0, 0},     {191, 2, 32768},
                 {192, 1, 16384}, {0xffffffff, 3, 49152}, {0, 33, 49152}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct data_slab *slab;
        struct bytes payload = arrive(f, &slab, c.bytes, wrong[i].size);
        data_leaves(f->data, ref, 7, 9, wrong[i].leaf, wrong[i].count, slab, payload);
        data_slab_drop(f->data, slab);
        assert_int_equal(f->last_status, ERR_BAD_HASH);
    }
    assert_int_equal(f->good_leaves, 2);
    close_ref(f, ref);
    content_free(&c);
}

/* given a checkpoint, then exactly the whole chunks before it are there after a restart; later ones are not.
 */
static void test_resume(void **state)
{
    struct fixture *f = *state;
    struct content c;
    content_make(&c, (3u << 20) + 100, 6); /* 13 chunks */
    uint32_t ref;
    uint8_t *have;
    size_t n;
    char part[160];
    path_in(f, part, "r.part");
    assert_int_equal(open_part(f, &c, "r", &ref, &have, &n), 0);
    free(have);
    static const uint32_t early[] = {0, 5, 12};
    for (size_t i = 0; i < 3; i++)
        feed_chunk(f, ref, &c, 4, early[i]);
    feed_leaves(f, ref, &c, 16, 3); /* a chunk that is not whole */
    settle(f);
    assert_int_equal(checkpoint(f, ref), 0);
    close_ref(f, ref);
    assert_int_equal(open_part(f, &c, "r", &ref, &have, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(have[0], 1 | 1 << 5);
    assert_int_equal(have[1], 1 << 4);
    free(have);
    /* A proven span needs no second proof. */
    f->worst_status = 0;
    for (uint32_t leaf = 16; leaf < 32; leaf++)
        feed_leaves(f, ref, &c, leaf, 1);
    settle(f);
    assert_int_equal(f->worst_status, 0);
    for (uint32_t i = 2; i < 12; i++) {
        if (i != 5)
            feed_chunk(f, ref, &c, 4, i);
    }
    settle(f);
    assert_int_equal(finish(f, ref, false), 0);
    char final[160];
    path_in(f, final, "r");
    assert_file(final, c.bytes, c.id.size);
    close_ref(f, ref);
    content_free(&c);
}

/* given a map that does not belong to the part file, then nothing is trusted; given a file of the user's,
 * then it is left alone. */
static void test_lying_map(void **state)
{
    struct fixture *f = *state;
    struct content c, other;
    content_make(&c, 2u << 20, 7);
    content_make(&other, 2u << 20, 8);
    char part[160], map[160], moved[160];
    path_in(f, part, "l.part");
    path_in(f, map, "l.part.map");
    path_in(f, moved, "moved");
    enum { GOOD, INODE, SHORT, GONE, CORRUPT, EMPTY_MAP, CASES };
    for (int i = 0; i < CASES; i++) {
        uint32_t ref;
        uint8_t *have;
        size_t n;
        unlink(part);
        unlink(map);
        assert_int_equal(open_part(f, &c, "l", &ref, &have, &n), 0);
        free(have);
        feed_chunk(f, ref, &c, 4, 3);
        settle(f);
        assert_int_equal(checkpoint(f, ref), 0);
        close_ref(f, ref);
        if (i == INODE) {
            rename(part, moved);
            put_file(part, c.bytes, c.id.size);
        } else if (i == SHORT) {
            assert_int_equal(truncate(part, 4 * 262144 - 1), 0);
        } else if (i == GONE) {
            unlink(part);
        } else if (i == CORRUPT) {
            int fd = open(map, O_RDWR);
            uint8_t byte = 0xff;
            assert_int_equal(pwrite(fd, &byte, 1, (8 + 1 + CONTENT_ID_SIZE + 1 + 8 + 8 + 4)), 1);
            close(fd);
        } else if (i == EMPTY_MAP) {
            assert_int_equal(truncate(map, 0), 0);
        }
        assert_int_equal(open_part(f, &c, "l", &ref, &have, &n), 0);
        assert_int_equal(have[0], i == GOOD ? 1 << 3 : 0);
        free(have);
        close_ref(f, ref);
    }
    uint32_t ref;
    uint8_t *have;
    size_t n;
    assert_int_equal(open_part(f, &other, "l", &ref, &have, &n), ERR_EXISTS); /* another fetch's */
    unlink(map);
    put_file(part, (const uint8_t *)"mine", 4);
    assert_int_equal(open_part(f, &c, "l", &ref, &have, &n), ERR_EXISTS);
    assert_file(part, (const uint8_t *)"mine", 4);
    unlink(part);
    mkdir(part, 0777);
    assert_int_equal(open_part(f, &c, "l", &ref, &have, &n), ERR_NOT_A_FILE);
    rmdir(part);
    assert_int_equal(symlink("/etc/passwd", part), 0);
    assert_int_equal(open_part(f, &c, "l", &ref, &have, &n), ERR_NOT_A_FILE);
    unlink(part);
    assert_int_equal(open_part(f, &c, "no/such/directory", &ref, &have, &n), ERR_NOT_FOUND);
    /* Two at once: the second is told. */
    uint32_t second;
    assert_int_equal(open_part(f, &c, "l", &ref, &have, &n), 0);
    free(have);
    assert_int_equal(open_part(f, &c, "l", &second, &have, &n), ERR_BUSY);
    close_ref(f, ref);
    content_free(&c);
    content_free(&other);
}

/* Overwrites everything that no fdatasync covered: the worst that a power cut may do. */
static void disk_forget(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDWR);
    if (fd < 0)
        return;
    assert_int_equal(fstat(fd, &st), 0);
    static uint8_t junk[65536 * 8];
    memset(junk, 0xa5, sizeof junk);
    for (uint32_t i = 0; i < disk.count; i++) {
        struct range *r = &disk.ranges[i];
        if (r->inode == st.st_ino && r->device == st.st_dev && r->size && r->size <= sizeof junk)
            assert_int_equal(pwrite(fd, junk, r->size, r->at), r->size);
    }
    close(fd);
}

/* given a crash at any system call, then every chunk that is trusted afterwards is right, nothing has the
 * final name before it is whole, and the fetch can be completed. */
static void test_crashes(void **state)
{
    struct fixture *f = *state;
    struct content c;
    content_make(&c, (5u << 20) + 3, 9); /* 21 chunks */
    char final[160], part[160], map[160], tree[160];
    path_in(f, final, "k");
    path_in(f, part, "k.part");
    path_in(f, map, "k.part.map");
    snprintf(tree, sizeof tree, "%s/trees/%02x/tree", f->home, c.id.root[0]);
    struct rng r;
    rng_init(&r, 10, 1);
    uint32_t trusted = 0;
    for (int round = 0; round < 100; round++) {
        uint32_t ref;
        uint8_t *have;
        size_t n;
        disk.ops_left = -1;
        disk.count = 0;
        disk.record = true;
        assert_int_equal(open_part(f, &c, "k", &ref, &have, &n), 0);
        for (uint32_t chunk = 0; chunk < 21; chunk++) {
            if (!bit_get(have, chunk))
                continue;
            trusted++;
            uint64_t at = (uint64_t)chunk << 18, size = c.id.size - at < 262144 ? c.id.size - at : 262144;
            static uint8_t bytes[262144];
            assert_int_equal(read_at(f, ref, at, bytes, size), size);
            assert_memory_equal(bytes, c.bytes + at, size);
        }
        disk.ops_left = (int)rng_below(&r, 150);
        uint32_t start = rng_below(&r, 21);
        for (uint32_t i = 0; i < 21; i++) {
            uint32_t chunk = (start + i * 5) % 21;
            if (bit_get(have, chunk))
                continue;
            feed_chunk(f, ref, &c, 4, chunk);
            if (rng_below(&r, 4) == 0)
                data_checkpoint(f->data, ref, on_status, f);
        }
        free(have);
        settle(f);
        bool complete = true;
        struct data_ref *held = data_ref_find(f->data, ref);
        for (uint32_t i = 0; i < 21; i++)
            complete = complete && bit_get(held->part->chunks_done, i);
        if (complete && finish(f, ref, false) == 0) {
            assert_file(final, c.bytes, c.id.size);
            close_ref(f, ref);
            unlink(final);
            unlink(tree);
            continue;
        }
        assert_false(exists(final));
        disk.ops_left = 0; /* a clean close must not save it */
        close_ref(f, ref);
        if (rng_below(&r, 2)) {
            disk_forget(part);
            disk_forget(tree);
            disk_forget(map);
        }
    }
    assert_true(trusted > 20); /* the test did try something */
    disk.ops_left = -1;
    content_free(&c);
}

/* given a full disk or a failing one, then nobody is blamed, nothing is lost, and it goes on when it is well
 * again. */
static void test_write_errors(void **state)
{
    struct fixture *f = *state;
    struct content c;
    content_make(&c, 2u << 20, 11);
    static const struct {
        int system, want;
    } errors[] = {{ENOSPC, ERR_NO_SPACE}, {EDQUOT, ERR_NO_SPACE}, {EIO, ERR_IO}, {EACCES, ERR_PERMISSION}};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        uint32_t ref;
        uint8_t *have;
        size_t n;
        char name[16], final[160];
        snprintf(name, sizeof name, "w%zu", i);
        path_in(f, final, name);
        assert_int_equal(open_part(f, &c, name, &ref, &have, &n), 0);
        free(have);
        f->good_leaves = 0;
        feed_chunk(f, ref, &c, 4, 0);
        settle(f);
        disk.pwrite_error = errors[i].system;
        feed_chunk(f, ref, &c, 4, 5);
        settle(f);
        assert_int_equal(f->last_status, errors[i].want);
        assert_int_equal(f->good_leaves, 16);
        disk.pwrite_error = 0;
        for (uint32_t chunk = 1; chunk < 8; chunk++)
            feed_chunk(f, ref, &c, 4, chunk);
        settle(f);
        assert_int_equal(f->good_leaves, 8 * 16);
        disk.sync_error = errors[i].system;
        if (errors[i].want == ERR_IO) {
            /* What the kernel may have thrown away is not vouched for by a later success. */
            assert_int_equal(finish(f, ref, false), ERR_IO);
            disk.sync_error = 0;
            assert_false(exists(final));
        } else {
            disk.sync_error = 0;
            put_file(final, (const uint8_t *)"old", 3);
            assert_int_equal(finish(f, ref, false), ERR_EXISTS);
            assert_file(final, (const uint8_t *)"old", 3);
            assert_int_equal(finish(f, ref, true), 0);
            assert_file(final, c.bytes, c.id.size);
        }
        close_ref(f, ref);
    }
    content_free(&c);
}

/* given a real small tmpfs (needs root), when it fills, then ERR_NO_SPACE; when room comes back, then the
 * fetch completes. */
static void test_full_tmpfs(void **state)
{
    struct fixture *f = *state;
    if (mount("none", f->dir, "tmpfs", 0, "size=2m") != 0)
        skip();
    struct content c;
    content_make(&c, 1500u << 10, 12);
    char filler[160], final[160];
    path_in(f, filler, "filler");
    path_in(f, final, "t");
    uint8_t *zeroes = calloc(1, 1u << 20);
    put_file(filler, zeroes, 1u << 20);
    free(zeroes);
    uint32_t ref;
    uint8_t *have;
    size_t n;
    assert_int_equal(open_part(f, &c, "t", &ref, &have, &n), 0);
    free(have);
    for (uint32_t chunk = 0; chunk < 6; chunk++)
        feed_chunk(f, ref, &c, 4, chunk);
    settle(f);
    assert_int_equal(f->worst_status, ERR_NO_SPACE);
    uint32_t before = f->good_leaves;
    assert_true(before > 0 && before < 94);
    unlink(filler);
    for (uint32_t chunk = 0; chunk < 6; chunk++)
        feed_chunk(f, ref, &c, 4, chunk);
    settle(f);
    assert_int_equal(f->last_status, 0);
    assert_int_equal(finish(f, ref, false), 0);
    assert_file(final, c.bytes, c.id.size);
    close_ref(f, ref);
    content_free(&c);
    assert_int_equal(umount(f->dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resume, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lying_map, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crashes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_tmpfs, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
