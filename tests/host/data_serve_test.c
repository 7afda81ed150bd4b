/* The data plane alone: files shared in place, descriptors, packs, the memory budget. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/host/data_rig.h"

static void stamp_path(struct file_stamp *out, const char *path)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    data_stamp_of(out, fd);
    close(fd);
}

/* given a file shared in place, when it changes, then not a byte of it goes out any more. */
static void test_shared_file(void **state)
{
    struct fixture *f = *state;
    struct content c;
    content_make(&c, (2u << 20) + 1, 13);
    char path[160], tree[160], moved[160];
    path_in(f, path, "shared");
    path_in(f, moved, "moved");
    snprintf(tree, sizeof tree, "%s/tree", f->home);
    int fd = open(tree, O_WRONLY | O_CREAT, 0666);
    assert_int_equal(write(fd, c.leaves, tree_leaf_count(c.id.size) * HASH_SIZE),
                     tree_leaf_count(c.id.size) * HASH_SIZE);
    assert_int_equal(write(fd, c.upper, tree_upper_count(c.id.size) * HASH_SIZE),
                     tree_upper_count(c.id.size) * HASH_SIZE);
    close(fd);
    enum { APPENDED, TOUCHED, REPLACED, SHORTENED, REMOVED, UNREADABLE, BAD_TREE, CASES };
    for (int i = 0; i < CASES; i++) {
        unlink(path);
        put_file(path, c.bytes, c.id.size);
        struct file_stamp stamp;
        stamp_path(&stamp, path);
        uint32_t ref;
        assert_int_equal(data_open_file(f->data, &c.id, path, &stamp, tree, &ref), 0);
        uint8_t out[3 * TREE_LEAF_SIZE], proof[TREE_PROOF_MAX], want[TREE_PROOF_MAX];
        if (i != REMOVED) {
            assert_int_equal(read_leaves(f, ref, 1, 3, out, sizeof out), sizeof out);
            assert_memory_equal(out, c.bytes + TREE_LEAF_SIZE, sizeof out);
            assert_int_equal(read_proof(f, ref, 1, proof), content_proof(&c, 1, want));
            assert_memory_equal(proof, want, content_proof(&c, 1, want));
            assert_int_equal(read_leaves(f, ref, 128, 1, out, sizeof out), 1);
        }
        int expected = ERR_CHANGED;
        struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
        if (i == APPENDED) {
            fd = open(path, O_WRONLY | O_APPEND);
            assert_int_equal(write(fd, "x", 1), 1);
            close(fd);
        } else if (i == TOUCHED) {
            assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
        } else if (i == REPLACED) {
            put_file(moved, c.bytes, c.id.size);
            assert_int_equal(rename(moved, path), 0);
        } else if (i == SHORTENED) {
            assert_int_equal(truncate(path, 5), 0);
        } else if (i == REMOVED) {
            unlink(path);
            expected = ERR_NOT_FOUND;
        } else if (i == UNREADABLE) {
            chmod(path, 0); /* its ctime changes: whatever the user meant, it is not what was hashed */
        } else if (i == BAD_TREE) {
            fd = open(tree, O_WRONLY);
            assert_int_equal(pwrite(fd, "x", 1, 64 * HASH_SIZE), 1);
            close(fd);
            assert_int_equal(read_proof(f, ref, 1, proof), ERR_IO);
            close_ref(f, ref);
            break;
        }
        assert_int_equal(read_leaves(f, ref, 1, 3, out, sizeof out), expected);
        if (i == TOUCHED) {
            times[0].tv_nsec = times[1].tv_nsec = UTIME_NOW;
            assert_int_equal(read_leaves(f, ref, 1, 1, out, sizeof out), ERR_CHANGED); /* for good */
        }
        close_ref(f, ref);
    }
    struct file_stamp stamp = {.size = c.id.size + 1};
    uint32_t ref;
    assert_int_equal(data_open_file(f->data, &c.id, path, &stamp, tree, &ref), ERR_CHANGED);
    content_free(&c);
}

/* given reads that make no sense, then an error and no crash. */
static void test_bad_reads(void **state)
{
    struct fixture *f = *state;
    struct content c;
    content_make(&c, 100000, 14); /* 7 leaves, one span */
    char path[160];
    path_in(f, path, "x");
    put_file(path, c.bytes, c.id.size);
    struct file_stamp stamp;
    stamp_path(&stamp, path);
    uint32_t ref;
    assert_int_equal(data_open_file(f->data, &c.id, path, &stamp, NULL, &ref), 0);
    uint8_t *out = malloc(200000), want[TREE_PROOF_MAX];
    assert_int_equal(read_leaves(f, ref, 7, 1, out, 200000), ERR_RANGE);
    assert_int_equal(read_leaves(f, ref, 0, 0, out, 200000), ERR_RANGE);
    assert_int_equal(read_leaves(f, ref, 6, 2, out, 200000), ERR_RANGE);
    assert_int_equal(read_leaves(f, ref, 0, 7, out, 99999), ERR_RANGE);
    assert_int_equal(read_leaves(f, ref, 0, 7, out, 200000), 100000);
    assert_int_equal(read_proof(f, ref, 1, out), ERR_RANGE);
    assert_int_equal(read_proof(f, ref, 0, out), content_proof(&c, 0, want));
    assert_memory_equal(out, want, 7 * HASH_SIZE);
    assert_int_equal(read_leaves(f, ref + 1, 0, 1, out, 200000), ERR_NOT_FOUND);
    assert_int_equal(read_leaves(f, 0, 0, 1, out, 200000), ERR_NOT_FOUND);
    assert_int_equal(read_at(f, ref, 99990, out, 100), 10);
    assert_memory_equal(out, c.bytes + 99990, 10);
    assert_int_equal(read_at(f, ref, 100000, out, 100), 0);
    assert_int_equal(read_at(f, ref, 100001, out, 100), ERR_RANGE);
    uint32_t old = ref;
    close_ref(f, ref);
    assert_int_equal(read_leaves(f, old, 0, 1, out, 200000), ERR_NOT_FOUND);
    free(out);
    content_free(&c);
}

/* given more files than descriptors, then all can be read and few stay open. */
static void test_descriptors(void **state)
{
    struct fixture *f = *state;
    enum { FILES = 1000 };
    static uint32_t refs[FILES];
    for (uint32_t i = 0; i < FILES; i++) {
        struct content c;
        content_make(&c, 10, 1000 + i);
        char name[16], path[160];
        snprintf(name, sizeof name, "d%u", i);
        path_in(f, path, name);
        put_file(path, c.bytes, 10);
        struct file_stamp stamp;
        stamp_path(&stamp, path);
        assert_int_equal(data_open_file(f->data, &c.id, path, &stamp, NULL, &refs[i]), 0);
        content_free(&c);
    }
    assert_int_equal(f->data->fds.open, 0);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < FILES; i++) {
            uint8_t out[16];
            f->bytes = 0;
            data_read(f->data, refs[i], 0, 1, out, sizeof out, on_bytes, f);
            settle(f);
            assert_int_equal(f->bytes, 10);
        }
        assert_true(f->data->fds.open <= DATA_FDS_MAX);
    }
    for (uint32_t i = 0; i < FILES; i++)
        data_close(f->data, refs[i], NULL, NULL);
    settle(f);
    assert_int_equal(f->data->fds.open, 0);
    assert_int_equal(f->data->ref_count, 0);
}

static void entry_id(struct content_id *out, const char *bytes)
{
    *out = (struct content_id){.size = strlen(bytes)};
    tree_sha256(out->root, (const uint8_t *)bytes, strlen(bytes));
}

/* given a pack, then right entries become files and objects, wrong ones nothing; and reading notices what
 * changed. */
static void test_pack(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(store_open(&f->core.store, f->home, NULL), 0);
    static const char *const texts[] = {"", "alpha", "run me", "sub"};
    static const char *const names[] = {"empty", "file", "program", "sub"};
    uint8_t buffer[1024];
    struct pack p;
    pack_init(&p, buffer, sizeof buffer);
    manifest_begin(&p, 5);
    struct bytes last = {0};
    for (size_t i = 0; i < 5; i++) {
        struct manifest_entry e = {.name =
                                       bytes_of(i < 4 ? names[i] : "too big", i < 4 ? strlen(names[i]) : 7),
                                   .executable = i == 2};
        if (i < 4)
            entry_id(&e.id, texts[i]);
        else
            e.id.size = 16385;
        e.id.kind = i == 3 ? CONTENT_TREE : CONTENT_FILE;
        e.has_mtime = i == 1;
        e.mtime_s = 1234567890;
        assert_int_equal(manifest_add(&p, &e, &last), 0);
    }
    assert_true(p.size <= sizeof buffer);
    struct content_id id = {.size = p.size, .kind = CONTENT_TREE};
    uint32_t ref;
    assert_int_equal(data_open_pack(f->data, &id, bytes_of(buffer, p.size - 1), f->dir, true, &ref),
                     ERR_MALFORMED);
    assert_int_equal(data_open_pack(f->data, &id, bytes_of(buffer, p.size), f->dir, true, &ref), 0);
    assert_true(data_is_pack(f->data, ref));
    f->worst_status = 0;
    for (int twice = 0; twice < 2; twice++) { /* a second time: what is there is not trusted but replaced */
        for (uint32_t i = 0; i < 4; i++) {
            struct data_slab *slab;
            struct bytes payload = arrive(f, &slab, (const uint8_t *)texts[i], strlen(texts[i]));
            data_leaves(f->data, ref, 7, 9, i, 1, slab, payload);
            data_slab_drop(f->data, slab);
        }
        settle(f);
    }
    assert_int_equal(f->worst_status, 0);
    assert_int_equal(f->good_leaves, 8);
    for (uint32_t i = 0; i < 6; i++) {
        struct data_slab *slab;
        struct bytes payload = arrive(f, &slab, (const uint8_t *)"wrong", 5);
        data_leaves(f->data, ref, 7, 9, i, 1, slab, payload);
        data_slab_drop(f->data, slab);
        settle(f);
        assert_int_equal(f->last_status, ERR_BAD_HASH);
    }
    char path[4096];
    struct stat st;
    for (size_t i = 0; i < 3; i++) {
        path_in(f, path, names[i]);
        assert_file(path, (const uint8_t *)texts[i], strlen(texts[i]));
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(!!(st.st_mode & 0100), i == 2);
        if (i == 1)
            assert_int_equal(st.st_mtim.tv_sec, 1234567890);
    }
    path_in(f, path, "sub");
    assert_false(exists(path)); /* sub-manifests are objects */
    struct content_id sub;
    entry_id(&sub, "sub");
    sub.kind = CONTENT_TREE;
    store_object_path(f->core.store, &sub, path, sizeof path);
    assert_file(path, (const uint8_t *)"sub", 3);
    close_ref(f, ref);

    assert_int_equal(data_open_pack(f->data, &id, bytes_of(buffer, p.size), f->dir, false, &ref), 0);
    uint8_t out[64];
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(read_leaves(f, ref, i, 1, out, sizeof out), strlen(texts[i]));
        assert_memory_equal(out, texts[i], strlen(texts[i]));
    }
    assert_int_equal(read_leaves(f, ref, 4, 1, out, sizeof out), ERR_RANGE);
    assert_int_equal(read_leaves(f, ref, 5, 1, out, sizeof out), ERR_RANGE);
    assert_int_equal(read_at(f, ref, 0, out, sizeof out), sizeof out);
    assert_memory_equal(out, buffer, sizeof out);
    path_in(f, path, "file");
    put_file(path, (const uint8_t *)"ALPHA", 5);
    assert_int_equal(read_leaves(f, ref, 1, 1, out, sizeof out), ERR_CHANGED);
    assert_int_equal(read_leaves(f, ref, 2, 1, out, sizeof out), 6);
    unlink(path);
    assert_int_equal(read_leaves(f, ref, 1, 1, out, sizeof out), ERR_NOT_FOUND);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(read_leaves(f, ref, 1, 1, out, sizeof out), ERR_NOT_A_FILE);
    close_ref(f, ref);

    /* The directory is gone. */
    assert_int_equal(data_open_pack(f->data, &id, bytes_of(buffer, p.size), "/no/such/place", true, &ref), 0);
    struct data_slab *slab;
    struct bytes payload = arrive(f, &slab, (const uint8_t *)"alpha", 5);
    data_leaves(f->data, ref, 7, 9, 1, 1, slab, payload);
    data_slab_drop(f->data, slab);
    settle(f);
    assert_int_equal(f->last_status, ERR_NOT_FOUND);
    close_ref(f, ref);
}

/* given more arrived payload than the budget, then reading must stop, and go on when it was written. */
static void test_budget(void **state)
{
    struct fixture *f = *state;
    struct content c;
    content_make(&c, 9u << 20, 15);
    uint32_t ref;
    uint8_t *have;
    size_t n;
    assert_int_equal(open_part(f, &c, "b", &ref, &have, &n), 0);
    free(have);
    uint32_t frames = 0;
    for (;; frames++) {
        struct data_slab *slab = data_receive_slab(f->data, 65536);
        if (!slab)
            break;
        if (frames % 21 == 0)
            feed_proof(f, ref, &c, frames / 21);
        feed_leaves(f, ref, &c, frames * 3, 3);
        assert_true(frames < 150);
    }
    assert_true(frames > 60); /* 4 MiB of frames of 48 KiB, less what does not fit into the ends of slabs */
    assert_true(f->data->slab_bytes <= 4u << 20);
    settle(f);
    assert_non_null(data_receive_slab(f->data, 65536));
    assert_true(f->data->slab_bytes <= DATA_SLAB_SIZE);
    close_ref(f, ref);
    content_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shared_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pack, setup, teardown),
        cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
