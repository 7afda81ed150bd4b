/* The data plane alone, for data_test and data_serve_test: a recorder in place of the swarm core, system calls that fail on purpose, a disk that
 * forgets what was not synced. A test includes cmocka first. */
#ifndef SHOAL_TESTS_DATA_RIG_H
#define SHOAL_TESTS_DATA_RIG_H
#pragma GCC diagnostic ignored "-Wunused-function" /* each test uses a part of it */
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
#endif
