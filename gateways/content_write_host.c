/* Uploads: a file of a home grows under a temporary name in home/incoming, is hashed on the way, and gets its
 * name, its hash tree and its place in the store in one step of the queue of changes. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "gateways/content_internal_host.h"
#include "node/base/assert.h"
#include "node/host/fault.h"
#include "node/host/fetch_disk.h"
#include "transfer/tree.h"

#define PART_SIZE  (256u * 1024u) /* what the pool takes at once, when that much has come */
#define HIGH_SIZE  (1u << 20)     /* the sender is asked to wait */
#define ROOM_EVERY (8u << 20)     /* the quota is looked at again after so much of unknown size [bytes] */

_Static_assert(PART_SIZE % TREE_LEAF_SIZE == 0, "whole leaves");

typedef uint8_t hash_t[HASH_SIZE];

struct buffer {
    uint8_t *data;
    size_t size, cap;
};

struct content_upload {
    struct change change; /* first: its end */
    uv_work_t work;
    struct content *c;
    struct content_call *call; /* while it begins */
    struct content_upload_params params;
    char *relative;
    char place[PATH_MAX], temporary[PATH_MAX], tree[PATH_MAX];
    int fd, tree_fd;
    int error;
    atomic_bool stop;
    bool working, finishing, aborted, blocked;
    struct buffer in, out; /* arriving; with the pool */
    uint64_t taken;        /* given by the sender [bytes] */
    uint64_t size, room_at;

    /* Touched by one work of the pool at a time. */
    hash_t leaves[TREE_SPAN_LEAVES]; /* of the span in the making */
    uint32_t leaf_count;
    hash_t *spans;
    uint32_t span_count, span_cap;
    struct content_id id;
    struct file_stamp stamp;
    struct stat st;
    struct lost_keys lost;
    int64_t making; /* share row that keeps the tree while the file has no name */

    void (*drained)(void *context);
    void *drained_context;
    content_info_cb done;
    void *done_context;
};

/* ---- POOL: hashing and writing ---- */

static int write_all(int fd, const void *data, size_t size, uint64_t at)
{
    const uint8_t *p = data;
    while (size) {
        ssize_t n = pwrite(fd, p, size, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? home_errno(errno) : ERR_IO;
        p += n;
        size -= (size_t)n;
        at += (size_t)n;
    }
    return 0;
}

/* The span is full and more follows: its leaves go to the tree's file, its root is kept. */
static int span_close(struct content_upload *u)
{
    if (u->span_count == u->span_cap) {
        uint32_t cap = u->span_cap ? u->span_cap * 2 : 64;
        hash_t *grown = realloc(u->spans, cap * sizeof *grown);
        if (!grown)
            return ERR_NO_MEMORY;
        u->spans = grown;
        u->span_cap = cap;
    }
    if (u->tree_fd < 0)
        u->tree_fd = open(u->tree, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (u->tree_fd < 0)
        return home_errno(errno);
    int rc = write_all(u->tree_fd, u->leaves, sizeof u->leaves,
                       (uint64_t)u->span_count * TREE_SPAN_LEAVES * HASH_SIZE);
    if (rc == 0)
        tree_root(u->spans[u->span_count++], (const uint8_t(*)[HASH_SIZE])u->leaves, TREE_SPAN_LEAVES);
    u->leaf_count = 0;
    return rc;
}

/* `size` is of whole leaves, but for the file's last part. */
static int leaves_take(struct content_upload *u, const uint8_t *data, size_t size)
{
    core_assert(u->size % TREE_LEAF_SIZE == 0);
    u->size += size;
    if (u->size > CONTENT_SIZE_MAX)
        return ERR_RANGE;
    while (size) {
        int rc = u->leaf_count == TREE_SPAN_LEAVES ? span_close(u) : 0;
        if (rc != 0)
            return rc;
        size_t part = (TREE_SPAN_LEAVES - u->leaf_count) * (size_t)TREE_LEAF_SIZE;
        if (part > size)
            part = size;
        tree_leaf_hashes(u->leaves + u->leaf_count, data, part);
        u->leaf_count += (uint32_t)((part + TREE_LEAF_SIZE - 1) / TREE_LEAF_SIZE);
        data += part;
        size -= part;
    }
    return 0;
}

static int hash_end(struct content_upload *u)
{
    const hash_t *leaves = (const hash_t *)u->leaves;
    u->id = (struct content_id){.kind = CONTENT_FILE, .size = u->size};
    if (u->size == 0) {
        tree_leaf_hashes(u->leaves, (const uint8_t *)"", 0);
        u->leaf_count = 1;
    }
    if (u->span_count == 0) {
        tree_root(u->id.root, leaves, u->leaf_count);
        return 0;
    }
    uint32_t spans = tree_span_count(u->size), upper_count = tree_upper_count(u->size);
    core_assert(spans == u->span_count + 1);
    hash_t *upper = malloc((size_t)upper_count * HASH_SIZE);
    if (!upper)
        return ERR_NO_MEMORY;
    memcpy(upper, u->spans, (size_t)u->span_count * HASH_SIZE);
    tree_span_root(upper[spans - 1], leaves, u->leaf_count, u->size);
    tree_upper_build(upper, u->size);
    memcpy(u->id.root, upper[upper_count - 1], HASH_SIZE);
    int rc = write_all(u->tree_fd, leaves, (size_t)u->leaf_count * HASH_SIZE,
                       (uint64_t)u->span_count * TREE_SPAN_LEAVES * HASH_SIZE);
    if (rc == 0)
        rc = write_all(u->tree_fd, upper, (size_t)upper_count * HASH_SIZE,
                       (uint64_t)tree_leaf_count(u->size) * HASH_SIZE);
    free(upper);
    return rc;
}

static int quota_ok(const struct content_upload *u, uint64_t more)
{
    struct store *store;
    if (u->c->app->config.quota == 0)
        return 0;
    int rc = store_open(&store, u->c->app->home.path, NULL);
    if (rc != 0)
        return rc;
    rc = store_room(store, more);
    store_close(store);
    return rc;
}

static int part_take(struct content_upload *u, const uint8_t *data, size_t size)
{
    int rc = write_all(u->fd, data, size, u->size);
    if (rc == 0)
        rc = leaves_take(u, data, size);
    if (rc == 0 && u->params.size == UINT64_MAX && u->size >= u->room_at) {
        u->room_at = u->size + ROOM_EVERY;
        rc = quota_ok(u, 0); /* what is written so far lies under home and is counted */
    }
    return rc;
}

/* ---- POOL: beginning ---- */

static int target_look(struct content_upload *u, struct stat *st, bool *there)
{
    const char *name;
    int dir = content_home_parent(u->c, u->relative, false, &name, NULL);
    *there = false;
    if (dir == ERR_NOT_FOUND && u->params.parents)
        return 0;
    if (dir < 0)
        return dir == ERR_NOT_A_FILE ? ERR_NOT_FOUND : dir; /* a file is no directory to put things in */
    int rc = 0;
    if (fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) == 0) {
        *there = true;
        rc = !S_ISREG(st->st_mode) ? ERR_NOT_A_FILE : !u->params.replace ? ERR_EXISTS : 0;
    } else if (errno != ENOENT) {
        rc = home_errno(errno);
    }
    close(dir);
    return rc;
}

static int match_look(struct content_upload *u, struct store *store, const struct stat *st, bool there)
{
    struct content_info info;
    if (!u->params.match)
        return 0;
    if (!there)
        return ERR_CHANGED;
    content_home_info(store, u->place, "", st, &info);
    return info.has_id && content_id_equal(&info.id, &u->params.match_id) ? 0 : ERR_CHANGED;
}

/* Blocks are reserved, so that a full disk is told now and not at the last byte. */
static int room_make(struct content_upload *u, uint64_t size)
{
    struct statvfs v;
    int rc = quota_ok(u, size);
    if (rc != 0 || size == 0)
        return rc;
    if (fallocate(u->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) == 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS)
        return errno == EFBIG ? ERR_NO_SPACE : home_errno(errno);
    return fstatvfs(u->fd, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize < size ? ERR_NO_SPACE : 0;
}

static int prefix_copy(struct content_upload *u, int from, uint64_t size)
{
    for (uint64_t at = 0; at < size;) { /* reflinks where the file system can */
        ssize_t n = copy_file_range(from, &(loff_t){(loff_t)at}, u->fd, &(loff_t){(loff_t)at},
                                    size - at < (64u << 20) ? (size_t)(size - at) : 64u << 20, 0);
        if (n == 0)
            return ERR_CHANGED;
        if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
            uint8_t block[65536];
            n = pread(from, block, size - at < sizeof block ? (size_t)(size - at) : sizeof block, (off_t)at);
            int rc = n > 0 ? write_all(u->fd, block, (size_t)n, at) : n == 0 ? ERR_CHANGED : ERR_IO;
            if (rc != 0)
                return rc;
        } else if (n < 0) {
            return home_errno(errno);
        }
        at += (uint64_t)n;
        if (atomic_load(&u->stop))
            return ERR_CANCELLED;
    }
    return 0;
}

/* What is kept of the old file is hashed as it lies in the new one. The last part of a leaf goes before what
 * arrives. */
static int prefix_take(struct content_upload *u, uint64_t size)
{
    uint8_t *block = malloc(PART_SIZE);
    int rc = block ? 0 : ERR_NO_MEMORY;
    while (rc == 0 && u->size + TREE_LEAF_SIZE <= size) {
        uint64_t left = (size - u->size) / TREE_LEAF_SIZE * TREE_LEAF_SIZE;
        size_t part = left < PART_SIZE ? (size_t)left : PART_SIZE;
        ssize_t n = pread(u->fd, block, part, (off_t)u->size);
        rc = n == (ssize_t)part ? leaves_take(u, block, part) : ERR_IO;
        if (atomic_load(&u->stop))
            rc = ERR_CANCELLED;
    }
    if (rc == 0 && u->size < size) {
        size_t rest = (size_t)(size - u->size);
        u->in.data = malloc(PART_SIZE);
        u->in.cap = PART_SIZE;
        if (!u->in.data)
            rc = ERR_NO_MEMORY;
        else if (pread(u->fd, u->in.data, rest, (off_t)u->size) != (ssize_t)rest)
            rc = ERR_IO;
        u->in.size = rest;
    }
    free(block);
    return rc;
}

static int prefix(struct content_upload *u)
{
    struct file_stamp before, after;
    int from = open(u->place, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (from < 0)
        return home_errno(errno);
    int rc = fetch_disk_stamp(from, &before) ? 0 : ERR_IO;
    if (rc == 0 && u->params.offset == CONTENT_APPEND)
        u->params.offset = before.size;
    if (rc == 0 && u->params.offset > before.size)
        rc = ERR_RANGE;
    if (rc == 0)
        rc = prefix_copy(u, from, u->params.offset);
    if (rc == 0 && (!fetch_disk_stamp(from, &after) || !content_stamp_equal(&before, &after)))
        rc = ERR_CHANGED;
    close(from);
    return rc ? rc : prefix_take(u, u->params.offset);
}

static int begin(struct content_upload *u)
{
    struct stat st;
    bool there;
    int rc = target_look(u, &st, &there);
    if (rc == 0 && u->params.match) {
        struct store *store;
        rc = store_open(&store, u->c->app->home.path, NULL);
        if (rc == 0) {
            rc = match_look(u, store, &st, there);
            store_close(store);
        }
    }
    if (rc != 0)
        return rc;
    if (!there && u->params.offset == CONTENT_APPEND)
        u->params.offset = 0;
    if (mkdir(u->c->incoming, 0700) != 0 && errno != EEXIST)
        return home_errno(errno);
    u->fd = open(u->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (u->fd < 0)
        return home_errno(errno);
    uint64_t kept = !there ? 0 : u->params.offset == CONTENT_APPEND ? (uint64_t)st.st_size : u->params.offset;
    uint64_t whole = kept + (u->params.size == UINT64_MAX ? 0 : u->params.size);
    if (whole > CONTENT_SIZE_MAX || whole < kept)
        return ERR_RANGE;
    rc = room_make(u, whole);
    return rc || u->params.offset == 0 ? rc : prefix(u);
}

/* ---- POOL: the end ---- */

/* 0, and *exchanged: the old file now has the temporary name. */
static int name_take(struct content_upload *u, int dir, const char *name, bool *exchanged)
{
    struct stat st;
    *exchanged = false;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (!S_ISREG(st.st_mode))
            return ERR_NOT_A_FILE;
        if (!u->params.replace)
            return ERR_EXISTS;
        *exchanged = renameat2(AT_FDCWD, u->temporary, dir, name, RENAME_EXCHANGE) == 0;
        if (*exchanged)
            return 0;
        if (errno != EINVAL && errno != ENOSYS && errno != ENOENT)
            return fetch_disk_error(errno);
    }
    return renameat(AT_FDCWD, u->temporary, dir, name) != 0 ? fetch_disk_error(errno) : 0;
}

/* Rows before trees, so that gc cannot come between (store.h). This one is of the temporary name and of a
 * share that is never ready: the final name's rows stay right until the rename. */
static int tree_keep(struct content_upload *u, struct store *store)
{
    struct store_content row = {
        .id = u->id, .place = PLACE_FILE, .state = CONTENT_MISSING, .path = u->temporary};
    if (u->tree_fd < 0)
        return 0;
    int rc = fetch_disk_stamp(u->fd, &row.stamp) ? store_begin(store) : ERR_IO;
    if (rc != 0)
        return rc;
    content_provider_key(row.provider_key, &u->id, u->c->app->core.network, u->c->app->core.crypto);
    rc = store_share_begin(store, u->temporary, (int64_t)(host_unix_ms() / 1000), &row.share);
    if (rc == 0)
        rc = store_content_put(store, &row);
    if (rc != 0) {
        store_rollback(store);
        return rc;
    }
    rc = store_commit(store);
    if (rc != 0)
        return rc;
    u->making = row.share;
    rc = store_tree_put(store, u->tree, &u->id);
    u->tree[0] = 0; /* renamed, or removed by tree_put */
    return rc;
}

static int record(struct content_upload *u, struct store *store)
{
    if (fstat(u->fd, &u->st) != 0)
        return ERR_IO;
    content_stamp_of(&u->stamp, &u->st);
    int rc = store_begin(store);
    if (rc != 0)
        return rc;
    rc = content_record_file(u->c, store, u->place, &u->id, &u->stamp, &u->lost);
    if (rc == 0 && u->making)
        rc = store_share_remove(store, u->making);
    if (rc != 0) {
        store_rollback(store);
        return rc;
    }
    rc = store_commit(store);
    if (rc == 0)
        u->making = 0;
    return rc;
}

static int publish(struct content_upload *u, struct store *store)
{
    const char *name;
    bool made, exchanged;
    struct stat st;
    bool there;
    int rc = target_look(u, &st, &there); /* again: others may have come first */
    if (rc == 0)
        rc = match_look(u, store, &st, there);
    if (rc != 0)
        return rc;
    int dir = content_home_parent(u->c, u->relative, u->params.parents, &name, &made);
    if (dir < 0)
        return dir == ERR_NOT_A_FILE ? ERR_NOT_FOUND : dir;
    if (rc == 0)
        rc = tree_keep(u, store);
    fault_point("upload recorded");
    if (rc == 0)
        rc = name_take(u, dir, name, &exchanged);
    if (rc != 0) {
        close(dir);
        return rc;
    }
    if (fsync(dir) != 0 || (made && content_home_sync(u->c, u->relative) != 0))
        rc = ERR_IO;
    fault_point("upload renamed");
    if (rc == 0)
        rc = record(u, store);
    if (rc != 0 && exchanged) /* as it was before */
        (void)renameat2(AT_FDCWD, u->temporary, dir, name, RENAME_EXCHANGE);
    else if (rc != 0)
        (void)unlinkat(dir, name, 0);
    if (rc == 0 && !exchanged)
        u->temporary[0] = 0;
    close(dir);
    fault_point("upload done");
    return rc;
}

static int end(struct content_upload *u)
{
    struct store *store;
    int rc = u->error;
    if (rc == 0 && u->in.size)
        rc = part_take(u, u->in.data, u->in.size);
    if (rc == 0 && u->params.size != UINT64_MAX && u->taken != u->params.size)
        rc = ERR_RANGE;
    if (rc == 0 && u->params.size != UINT64_MAX && ftruncate(u->fd, (off_t)u->size) != 0)
        rc = ERR_IO;
    if (rc == 0)
        rc = hash_end(u);
    fault_point("upload hashed");
    if (rc == 0 && fsync(u->fd) != 0)
        rc = home_errno(errno);
    if (rc == 0)
        rc = store_open(&store, u->c->app->home.path, NULL);
    if (rc != 0)
        return rc;
    rc = publish(u, store);
    if (u->making)
        (void)store_share_remove(store, u->making); /* else gc does */
    store_close(store);
    return rc;
}

/* POOL. */
static void clean(struct content_upload *u)
{
    if (u->fd >= 0)
        close(u->fd);
    if (u->fd >= 0 && u->temporary[0])
        unlink(u->temporary);
    if (u->tree_fd >= 0)
        close(u->tree_fd);
    if (u->tree_fd >= 0 && u->tree[0])
        unlink(u->tree);
    u->fd = u->tree_fd = -1;
}

/* ---- Loop ---- */

static void upload_free(struct content_upload *u)
{
    core_assert(u->fd < 0 && u->tree_fd < 0);
    free(u->in.data);
    free(u->out.data);
    free(u->spans);
    free(u->lost.keys);
    free(u->relative);
    free(u);
}

static void work_start(struct content_upload *u, uv_work_cb run, uv_after_work_cb after)
{
    u->working = true;
    u->c->reads++;
    u->work.data = u;
    core_assert(uv_queue_work(&u->c->app->loop, &u->work, run, after) == 0);
}

static void on_clean(uv_work_t *work)
{
    clean(work->data);
}

static void on_cleaned(uv_work_t *work, int status)
{
    struct content_upload *u = work->data;
    struct content *c = u->c;
    core_assert(status == 0);
    c->reads--;
    upload_free(u);
    content_maybe_stopped(c);
}

static void on_put(uv_work_t *work)
{
    struct content_upload *u = work->data;
    u->change.status = part_take(u, u->out.data, u->out.size);
}

static void upload_go(struct content_upload *u);

static void on_put_done(uv_work_t *work, int status)
{
    struct content_upload *u = work->data;
    core_assert(status == 0);
    u->c->reads--;
    u->working = false;
    u->out.size = 0;
    if (u->change.status && u->error == 0)
        u->error = u->change.status;
    if (u->aborted) {
        work_start(u, on_clean, on_cleaned);
        return;
    }
    if (u->c->stopping && u->error == 0)
        u->error = ERR_CANCELLED;
    upload_go(u);
    if (u->blocked && !u->finishing && (u->error || u->in.size < HIGH_SIZE)) {
        u->blocked = false;
        if (u->drained)
            u->drained(u->drained_context);
    }
}

static void end_run(struct change *ch)
{
    struct content_upload *u = (struct content_upload *)ch;
    ch->status = end(u);
    clean(u);
}

static void end_ended(struct change *ch)
{
    struct content_upload *u = (struct content_upload *)ch;
    struct content *c = u->c;
    struct content_info info = {.what = CONTENT_IS_FILE,
                                .name = strrchr(u->relative, '/') + 1,
                                .has_id = true,
                                .id = u->id,
                                .size = u->size,
                                .mtime_s = u->st.st_mtim.tv_sec,
                                .writable = true,
                                .local = true};
    if (ch->status == ERR_CANCELLED)
        clean(u); /* the node stops: two closes and two unlinks */
    if (ch->status == 0 && !c->stopping) {
        uint8_t key[HASH_SIZE];
        content_provider_key(key, &u->id, c->app->core.network, c->app->core.crypto);
        shares_recorded(c->app->shares, key, (const uint8_t(*)[HASH_SIZE])u->lost.keys, u->lost.count);
    }
    u->done(u->done_context, ch->status, ch->status ? NULL : &info);
    upload_free(u);
}

/* Gives the pool what is there, or ends. */
static void upload_go(struct content_upload *u)
{
    if (u->working)
        return;
    if (u->error) {
        u->in.size = 0;
    } else if (u->in.size >= PART_SIZE) {
        size_t whole = u->in.size / TREE_LEAF_SIZE * TREE_LEAF_SIZE, rest = u->in.size - whole;
        struct buffer swap = u->out;
        if (swap.cap < PART_SIZE) {
            free(swap.data);
            swap = (struct buffer){malloc(PART_SIZE), 0, PART_SIZE};
        }
        if (!swap.data) {
            u->out = (struct buffer){NULL, 0, 0};
            u->error = ERR_NO_MEMORY;
            upload_go(u);
            return;
        }
        memcpy(swap.data, u->in.data + whole, rest);
        u->out = u->in;
        u->out.size = whole;
        u->in = swap;
        u->in.size = rest;
        work_start(u, on_put, on_put_done);
        return;
    }
    if (u->finishing) {
        u->change.run = end_run;
        u->change.ended = end_ended;
        content_change_queue(u->c, &u->change);
    }
}

bool content_upload_write(struct content_upload *u, struct bytes bytes)
{
    core_assert(!u->finishing && !u->aborted);
    u->taken += bytes.size;
    if (u->error == 0 && u->c->stopping)
        u->error = ERR_CANCELLED;
    if (u->error == 0 && u->params.size != UINT64_MAX && u->taken > u->params.size)
        u->error = ERR_RANGE;
    if (u->error || bytes.size == 0)
        return true;
    if (u->in.cap - u->in.size < bytes.size) {
        size_t cap = u->in.cap ? u->in.cap : 16384;
        while (cap - u->in.size < bytes.size)
            cap *= 2;
        uint8_t *grown = realloc(u->in.data, cap);
        if (!grown) {
            u->error = ERR_NO_MEMORY;
            return true;
        }
        u->in.data = grown;
        u->in.cap = cap;
    }
    memcpy(u->in.data + u->in.size, bytes.data, bytes.size);
    u->in.size += bytes.size;
    upload_go(u);
    u->blocked = u->working && u->in.size >= HIGH_SIZE;
    return !u->blocked;
}

void content_upload_on_drained(struct content_upload *u, void (*drained)(void *context), void *context)
{
    u->drained = drained;
    u->drained_context = context;
}

int content_upload_status(const struct content_upload *u)
{
    return u->error;
}

void content_upload_finish(struct content_upload *u, content_info_cb done, void *context)
{
    core_assert(!u->finishing && !u->aborted);
    u->done = done;
    u->done_context = context;
    u->finishing = true;
    upload_go(u);
}

void content_upload_abort(struct content_upload *u)
{
    core_assert(!u->finishing && !u->aborted);
    u->aborted = true;
    atomic_store(&u->stop, true);
    if (!u->working)
        work_start(u, on_clean, on_cleaned);
}

/* ---- The beginning ---- */

static void on_begin(uv_work_t *work)
{
    struct content_upload *u = work->data;
    u->change.status = begin(u);
    if (u->change.status)
        clean(u);
}

static void on_begun(uv_work_t *work, int status)
{
    struct content_upload *u = work->data;
    struct content *c = u->c;
    struct content_call *call = u->call;
    core_assert(status == 0);
    c->reads--;
    u->working = false;
    u->call = NULL;
    call->reading = false;
    int rc = u->change.status ? u->change.status : c->stopping ? ERR_CANCELLED : 0;
    struct content_call was = *call;
    content_call_free(call);
    if (rc == 0 && !was.cancelled) {
        was.begun(was.context, 0, u);
    } else {
        u->aborted = true;
        if (u->fd >= 0)
            work_start(u, on_clean, on_cleaned);
        else
            upload_free(u);
        if (!was.cancelled)
            was.begun(was.context, rc, NULL);
    }
    content_maybe_stopped(c);
}

struct content_call *content_upload_begin(struct content *c, const struct account_who *who, const char *path,
                                          const struct content_upload_params *params, content_begun_cb begun,
                                          void *context)
{
    const char *relative;
    struct content_call *call = content_call_new(c, who, CALL_WRITE, path, NULL, CORE_NEVER, context);
    if (!call)
        return NULL;
    call->begun = begun;
    call->refused = content_home_writable(who, path, &relative);
    struct content_upload *u = call->refused ? NULL : calloc(1, sizeof *u);
    if (!u) {
        call->refused = call->refused ? call->refused : ERR_NO_MEMORY;
        return call; /* told by the pump */
    }
    u->c = c;
    u->call = call;
    u->params = *params;
    u->relative = strdup(relative);
    u->fd = u->tree_fd = -1;
    uint32_t number = ++c->last_upload;
    bool fits = (size_t)snprintf(u->place, sizeof u->place, "%s/%s", c->files, relative) < sizeof u->place &&
                (size_t)snprintf(u->temporary, sizeof u->temporary, "%s/%s%u", c->incoming, c->incoming_mark,
                                 number) < sizeof u->temporary &&
                (size_t)snprintf(u->tree, sizeof u->tree, "%s/%s%u.tree", c->incoming, c->incoming_mark,
                                 number) < sizeof u->tree;
    if (!fits || !u->relative) {
        call->refused = fits ? ERR_NO_MEMORY : ERR_RANGE;
        upload_free(u);
        return call;
    }
    call->reading = true;
    work_start(u, on_begin, on_begun);
    return call;
}
