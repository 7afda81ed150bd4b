/* The data plane alone: parts, proofs, checkpoints and what a crash leaves, packs, files shared in place,
 * descriptors, the memory budget. The swarm core is replaced by a recorder; system calls by ones that fail on
 * purpose. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/base/rng.h"
#include "node/host/data_int.h"

/* ---- a content and its tree ---- */

struct content {
    struct content_id id;
    uint8_t *bytes;
    uint8_t (*leaves)[HASH_SIZE];
    uint8_t (*upper)[HASH_SIZE];
};

static void content_make(struct content *c, uint64_t size, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, 1);
    c->bytes = malloc(size + 1);
    for (uint64_t i = 0; i < size; i += 8) {
        uint64_t v = rng_u64(&r);
        memcpy(c->bytes + i, &v, size - i < 8 ? size - i : 8);
    }
    uint32_t leaves = tree_leaf_count(size), spans = tree_span_count(size);
    c->leaves = malloc((size_t)leaves * HASH_SIZE);
    c->upper = malloc((size_t)tree_upper_count(size) * HASH_SIZE);
    for (uint32_t i = 0; i < leaves; i++)
        tree_sha256(c->leaves[i], c->bytes + (size_t)i * TREE_LEAF_SIZE, tree_leaf_bytes(size, i));
    for (uint32_t i = 0; i < spans; i++)
        tree_span_root(c->upper[i], (const uint8_t(*)[HASH_SIZE])c->leaves + i * TREE_SPAN_LEAVES,
                       tree_span_leaves(size, i), size);
    tree_upper_build(c->upper, size);
    c->id = (struct content_id){.size = size, .kind = CONTENT_FILE};
    memcpy(c->id.root, c->upper[tree_upper_count(size) - 1], HASH_SIZE);
}

static void content_free(struct content *c)
{
    free(c->bytes);
    free(c->leaves);
    free(c->upper);
}

static size_t content_proof(const struct content *c, uint32_t span, uint8_t out[TREE_PROOF_MAX])
{
    size_t n = (size_t)tree_span_leaves(c->id.size, span) * HASH_SIZE;
    memcpy(out, c->leaves[span * TREE_SPAN_LEAVES], n);
    tree_uncles((uint8_t(*)[HASH_SIZE])(out + n), (const uint8_t(*)[HASH_SIZE])c->upper, c->id.size, span);
    return n + (size_t)tree_uncle_count(c->id.size) * HASH_SIZE;
}

/* ---- system calls that fail, and a disk that forgets what was not synced ---- */

#define RANGES_MAX 65536
static struct {
    int ops_left; /* -1: never fails */
    int pwrite_error, sync_error;
    bool record;
    struct range {
        dev_t device;
        ino_t inode;
        off_t at;
        size_t size;
    } ranges[RANGES_MAX];
    uint32_t count;
} disk;
static uv_mutex_t disk_lock;

static bool disk_dead(void)
{
    uv_mutex_lock(&disk_lock);
    bool dead = disk.ops_left == 0;
    if (disk.ops_left > 0)
        disk.ops_left--;
    uv_mutex_unlock(&disk_lock);
    errno = EIO;
    return dead;
}

static int fake_open(const char *path, int flags, mode_t mode)
{
    return open(path, flags, mode);
}

static ssize_t fake_preadv(int fd, const struct iovec *v, int n, off_t at)
{
    return preadv(fd, v, n, at);
}

static ssize_t fake_pwritev(int fd, const struct iovec *v, int n, off_t at)
{
    if (disk_dead())
        return -1;
    if (disk.pwrite_error) {
        errno = disk.pwrite_error;
        return -1;
    }
    /* Short writes are legal; they must be carried on. */
    ssize_t wrote = pwritev(fd, v, n > 1 ? n - 1 : n, at);
    struct stat st;
    if (disk.record && wrote > 0 && fstat(fd, &st) == 0) {
        uv_mutex_lock(&disk_lock);
        assert_true(disk.count < RANGES_MAX);
        disk.ranges[disk.count++] = (struct range){st.st_dev, st.st_ino, at, (size_t)wrote};
        uv_mutex_unlock(&disk_lock);
    }
    return wrote;
}

static int fake_fdatasync(int fd)
{
    struct stat st;
    if (disk.sync_error) {
        errno = disk.sync_error;
        return -1;
    }
    /* What was written before the call began is safe when it returns. */
    uv_mutex_lock(&disk_lock);
    uint32_t until = disk.count;
    uv_mutex_unlock(&disk_lock);
    if (disk_dead() || fstat(fd, &st) != 0)
        return -1;
    uv_mutex_lock(&disk_lock);
    for (uint32_t i = 0; i < until; i++) {
        if (disk.ranges[i].inode == st.st_ino && disk.ranges[i].device == st.st_dev)
            disk.ranges[i].size = 0;
    }
    uv_mutex_unlock(&disk_lock);
    return 0;
}

static int fake_rename(const char *from, const char *to)
{
    return disk_dead() ? -1 : rename(from, to);
}

static void fake_writeback(int fd)
{
    (void)fd;
}

static const struct data_io fake_io = {fake_open,      fake_preadv, fake_pwritev,
                                       fake_fdatasync, fake_rename, fake_writeback};

/* ---- fixture ---- */

#define RESULTS_MAX 8192
struct fixture {
    uv_loop_t loop;
    uv_idle_t idle; /* keeps the loop turning while a test waits */
    struct host_core core;
    struct data *data;
    char home[64], dir[80];
    uint32_t leaf_results, proof_results, good_leaves, drains;
    int last_status, worst_status;
    int64_t bytes;
    int calls, status;
    struct file_stamp stamp;
};

static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

static void record_leaves(void *owner, uint32_t swarm, uint32_t session, uint32_t leaf, uint32_t count,
                          uint32_t good, int status)
{
    struct fixture *f = owner;
    (void)leaf;
    assert_int_equal(swarm, 7);
    assert_int_equal(session, 9);
    f->leaf_results++;
    f->last_status = status;
    f->worst_status = status ? status : f->worst_status;
    for (uint32_t i = 0; i < 32; i++)
        f->good_leaves += good >> i & 1;
    if (status == 0)
        assert_int_equal(good, (1u << count) - 1);
}

static void record_proof(void *owner, uint32_t swarm, uint32_t session, uint32_t span, int status)
{
    struct fixture *f = owner;
    (void)span;
    assert_int_equal(swarm, 7);
    assert_int_equal(session, 9);
    f->proof_results++;
    f->last_status = status;
    f->worst_status = status ? status : f->worst_status;
}

static void record_drain(void *owner)
{
    ((struct fixture *)owner)->drains++;
}

static void data_start(struct fixture *f)
{
    struct data_results results = {record_leaves, record_proof, record_drain, f};
    f->data = data_new_with(&f->core, f->home, 4u << 20, &fake_io, &results);
    assert_non_null(f->data);
    f->data->checkpoint_bytes = UINT64_MAX; /* the tests say when */
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    memset(&disk, 0, sizeof disk);
    disk.ops_left = -1;
    uv_mutex_init(&disk_lock);
    uv_loop_init(&f->loop);
    uv_idle_init(&f->loop, &f->idle);
    uv_idle_start(&f->idle, on_idle);
    f->core.loop = &f->loop;
    snprintf(f->home, sizeof f->home, "/tmp/shoal-data-test.XXXXXX");
    assert_non_null(mkdtemp(f->home));
    snprintf(f->dir, sizeof f->dir, "%s/dir", f->home);
    assert_int_equal(mkdir(f->dir, 0777), 0);
    data_start(f);
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->data->ref_count > 0)
        return -1; /* the test failed half way */
    data_free(f->data);
    if (f->core.store)
        store_close(f->core.store);
    uv_close((uv_handle_t *)&f->idle, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    nftw(f->home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    uv_mutex_destroy(&disk_lock);
    free(f);
    return 0;
}

static void settle(struct fixture *f)
{
    do
        uv_run(&f->loop, UV_RUN_NOWAIT);
    while (f->data->pending || f->loop.active_reqs.count);
}

static void on_closed(void *context)
{
    ((struct fixture *)context)->calls++;
}

static void close_ref(struct fixture *f, uint32_t ref)
{
    int before = f->calls;
    data_close(f->data, ref, on_closed, f);
    settle(f);
    assert_int_equal(f->calls, before + 1);
}

static void on_status(void *context, int status)
{
    struct fixture *f = context;
    f->status = status;
    f->calls++;
}

static void on_finished(void *context, int status, const struct file_stamp *stamp)
{
    struct fixture *f = context;
    f->status = status;
    f->stamp = *stamp;
    f->calls++;
}

static void on_bytes(void *context, int64_t bytes)
{
    struct fixture *f = context;
    f->bytes = bytes;
    f->calls++;
}

static int finish(struct fixture *f, uint32_t ref, bool replace)
{
    int before = f->calls;
    data_finish(f->data, ref, replace, on_finished, f);
    settle(f);
    assert_int_equal(f->calls, before + 1);
    return f->status;
}

static int checkpoint(struct fixture *f, uint32_t ref)
{
    int before = f->calls;
    data_checkpoint(f->data, ref, on_status, f);
    settle(f);
    assert_int_equal(f->calls, before + 1);
    return f->status;
}

static int64_t read_leaves(struct fixture *f, uint32_t ref, uint32_t leaf, uint32_t count, uint8_t *out,
                           size_t cap)
{
    data_read(f->data, ref, leaf, count, out, cap, on_bytes, f);
    settle(f);
    return f->bytes;
}

static int64_t read_proof(struct fixture *f, uint32_t ref, uint32_t span, uint8_t *out)
{
    data_read_proof(f->data, ref, span, out, TREE_PROOF_MAX, on_bytes, f);
    settle(f);
    return f->bytes;
}

static int64_t read_at(struct fixture *f, uint32_t ref, uint64_t offset, uint8_t *out, size_t size)
{
    data_read_at(f->data, ref, offset, out, size, on_bytes, f);
    settle(f);
    return f->bytes;
}

/* Puts bytes into a receive slab as a stream would, then hands them on. */
static struct bytes arrive(struct fixture *f, struct data_slab **slab, const uint8_t *bytes, size_t size)
{
    *slab = data_receive_slab(f->data, 65536);
    while (!*slab) {
        settle(f);
        *slab = data_receive_slab(f->data, 65536);
    }
    uint8_t *at = (*slab)->bytes + (*slab)->used;
    memcpy(at, bytes, size);
    (*slab)->used += (uint32_t)size;
    data_slab_hold(*slab);
    return bytes_of(at, size);
}

static void feed_leaves(struct fixture *f, uint32_t ref, const struct content *c, uint32_t leaf,
                        uint32_t count)
{
    struct data_slab *slab;
    size_t size = (size_t)(count - 1) * TREE_LEAF_SIZE + tree_leaf_bytes(c->id.size, leaf + count - 1);
    struct bytes payload = arrive(f, &slab, c->bytes + (size_t)leaf * TREE_LEAF_SIZE, size);
    data_leaves(f->data, ref, 7, 9, leaf, count, slab, payload);
    data_slab_drop(f->data, slab);
}

static void feed_proof(struct fixture *f, uint32_t ref, const struct content *c, uint32_t span)
{
    uint8_t proof[TREE_PROOF_MAX];
    struct data_slab *slab;
    size_t n = content_proof(c, span, proof);
    struct bytes payload = arrive(f, &slab, proof, n);
    data_proof(f->data, ref, 7, 9, span, slab, payload);
    data_slab_drop(f->data, slab);
}

/* One chunk: its proof (every time, as another session would), then frames of three leaves. */
static void feed_chunk(struct fixture *f, uint32_t ref, const struct content *c, uint8_t chunk_log2,
                       uint32_t chunk)
{
    uint32_t first = chunk << chunk_log2, end = first + (1u << chunk_log2),
             total = tree_leaf_count(c->id.size);
    end = end < total ? end : total;
    if (total > 1)
        feed_proof(f, ref, c, first >> TREE_SPAN_LOG2);
    for (uint32_t leaf = first; leaf < end; leaf += 3)
        feed_leaves(f, ref, c, leaf, end - leaf < 3 ? end - leaf : 3);
}

static void path_in(const struct fixture *f, char out[160], const char *name)
{
    snprintf(out, 160, "%s/%s", f->dir, name);
}

static int open_part(struct fixture *f, const struct content *c, const char *name, uint32_t *ref,
                     uint8_t **have, size_t *size)
{
    char path[160], tree[160];
    path_in(f, path, name);
    snprintf(tree, sizeof tree, "%s/trees/%02x", f->home, c->id.root[0]);
    snprintf(tree + strlen(tree), sizeof tree - strlen(tree), "/tree");
    struct data_part_params p = {.id = c->id,
                                 .path = path,
                                 .tree_path = tree_span_count(c->id.size) > 1 ? tree : NULL,
                                 .chunk_leaves_log2 = 4};
    int status = data_open_part(f->data, &p, ref, have, size);
    if (status != 0)
        assert_null(*have);
    return status;
}

static void assert_file(const char *path, const uint8_t *bytes, size_t size)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    uint8_t *got = malloc(size + 1);
    assert_int_equal(read(fd, got, size + 1), size);
    assert_memory_equal(got, bytes, size);
    free(got);
    close(fd);
}

static void put_file(const char *path, const uint8_t *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* ---- tests ---- */

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
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resume, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lying_map, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crashes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_tmpfs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shared_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pack, setup, teardown),
        cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
