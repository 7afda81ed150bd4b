/* Parts: files that are being fetched. Opening and resuming, the map file, checkpoints, finishing
 * (docs/protocol.d/50-storage.md). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "node/base/assert.h"
#include "node/host/data_int.h"
#include "node/host/fault.h"

#define MAP_MAGIC       "shoalmap"
#define MAP_VERSION     1
#define MAP_HEAD        (8 + 1 + CONTENT_ID_SIZE + 1 + 8 + 8 + 4)
#define MAP_SIZE_MAX    (MAP_HEAD + 65536 / 8 + 4)
#define WRITEBACK_BYTES (UINT64_C(8) << 20)
#define SYNC_ANYWAY                                                                                          \
    (UINT64_C(32) << 20) /* a file this large inside a tree is synced by itself when it is complete */

struct data_sync_job {
    uv_work_t work;
    struct data_ref *ref;
    uint8_t *map;
    size_t map_size;
    int status;
    data_status_cb done;
    void *context;
    struct data_sync_job *next; /* waiting */
};

struct data_finish_job {
    uv_work_t work;
    struct data_ref *ref;
    bool replace, started;
    int status;
    char *path; /* the final name */
    struct file_stamp stamp;
    void (*done)(void *context, int status, const struct file_stamp *stamp);
    void *context;
};

/* ---- the map file ---- */

static size_t bitmap_size(uint32_t bits)
{
    return ((size_t)bits + 7) / 8;
}

static size_t map_encode(uint8_t *out, const struct data_ref *r)
{
    const struct data_part *p = r->part;
    uint8_t *at = out;
    memcpy(at, MAP_MAGIC, 8);
    at[8] = MAP_VERSION;
    content_id_pack(at + 9, &r->id);
    at += 9 + CONTENT_ID_SIZE;
    *at++ = p->chunk_log2;
    put_be64(at, r->file.device);
    put_be64(at + 8, r->file.inode);
    put_be32(at + 16, p->chunk_count);
    at += 20;
    memcpy(at, p->chunks_done, bitmap_size(p->chunk_count));
    at += bitmap_size(p->chunk_count);
    put_be32(at, crc32_ieee(out, (size_t)(at - out)));
    return (size_t)(at + 4 - out);
}

enum map_state { MAP_NONE, MAP_BAD, MAP_OTHER, MAP_GOOD };
struct map {
    uint8_t bytes[MAP_SIZE_MAX + 1];
    uint64_t device, inode;
    const uint8_t *chunks;
};

static enum map_state map_read(const struct data_io *io, const char *path, const struct data_ref *r,
                               struct map *m)
{
    int fd = path ? io->open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0) : -1;
    if (fd < 0)
        return MAP_NONE;
    ssize_t n = read(fd, m->bytes, sizeof m->bytes);
    close(fd);
    if (n < MAP_HEAD + 4 || (size_t)n > MAP_SIZE_MAX || memcmp(m->bytes, MAP_MAGIC, 8) != 0 ||
        m->bytes[8] != MAP_VERSION || get_be32(m->bytes + n - 4) != crc32_ieee(m->bytes, (size_t)n - 4))
        return MAP_BAD;
    struct content_id id;
    if (content_id_unpack(&id, m->bytes + 9) != 0)
        return MAP_BAD;
    if (!content_id_equal(&id, &r->id))
        return MAP_OTHER;
    const uint8_t *at = m->bytes + 9 + CONTENT_ID_SIZE;
    uint32_t count = get_be32(at + 17);
    if (at[0] != r->part->chunk_log2 || count != r->part->chunk_count ||
        (size_t)n != MAP_HEAD + bitmap_size(count) + 4)
        return MAP_BAD;
    m->device = get_be64(at + 1);
    m->inode = get_be64(at + 9);
    m->chunks = at + 21;
    return MAP_GOOD;
}

/* By temporary name, so that the old map stays good until the new one is whole. */
static int map_write(const struct data_io *io, const char *path, const uint8_t *bytes, size_t size, bool sync)
{
    char temporary[4200];
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.new", path) >= sizeof temporary)
        return ERR_RANGE;
    int fd = io->open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        return data_error(errno);
    struct iovec v = {(void *)(uintptr_t)bytes, size};
    int status = data_write_all(io, fd, &v, 1, 0);
    if (status == 0 && sync && io->fdatasync(fd) != 0)
        status = data_error(errno);
    close(fd);
    if (status == 0 && io->rename(temporary, path) != 0)
        status = data_error(errno);
    if (status != 0)
        (void)unlink(temporary);
    return status;
}

/* ---- opening ---- */

void data_part_free(struct data_part *p)
{
    if (!p)
        return;
    data_spans_free(p);
    core_assert(p->finish == NULL);
    free(p->map_path);
    free(p->leaves_done);
    free(p->chunks_done);
    free(p->spans_proven);
    free(p->chunk_left);
    free(p);
}

static int part_allocate(struct data_ref *r, uint8_t chunk_log2)
{
    struct data_part *p = r->part = calloc(1, sizeof *p);
    if (!p)
        return ERR_NO_MEMORY;
    p->chunk_log2 = chunk_log2;
    p->chunk_count = ((r->leaf_count - 1) >> chunk_log2) + 1;
    p->span_count = tree_span_count(r->id.size);
    if (p->chunk_count > 65536)
        return ERR_RANGE;
    p->leaves_done = calloc(1, bitmap_size(r->leaf_count));
    p->chunks_done = calloc(1, bitmap_size(p->chunk_count));
    p->spans_proven = calloc(1, bitmap_size(p->span_count));
    p->chunk_left = malloc(p->chunk_count * sizeof *p->chunk_left);
    if (!p->leaves_done || !p->chunks_done || !p->spans_proven || !p->chunk_left)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < p->chunk_count; i++)
        p->chunk_left[i] = 1u << chunk_log2;
    p->chunk_left[p->chunk_count - 1] = r->leaf_count - ((p->chunk_count - 1) << chunk_log2);
    return 0;
}

static char *join(const char *a, const char *b)
{
    size_t n = strlen(a) + strlen(b) + 1;
    char *out = malloc(n);
    if (out)
        snprintf(out, n, "%s%s", a, b);
    return out;
}

/* Opens or makes; *fresh tells which. */
static int open_or_make(const struct data_io *io, const char *path, bool *fresh)
{
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    *fresh = false;
    int fd = io->open(path, flags, 0666);
    if (fd < 0 && errno == ENOENT) {
        fd = io->open(path, flags | O_CREAT | O_EXCL, 0666);
        *fresh = fd >= 0;
    }
    if (fd < 0)
        return data_error(errno);
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return ERR_NOT_A_FILE;
    }
    return fd;
}

static uint64_t size_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static int grow_to(int fd, uint64_t size)
{
    return size_of(fd) == size || ftruncate(fd, (off_t)size) == 0 ? 0 : data_error(errno);
}

static int tree_open(struct data_ref *r, const char *path, bool *whole)
{
    struct data *d = r->data;
    bool fresh;
    int fd = open_or_make(d->io, path, &fresh);
    if (fd == ERR_NOT_FOUND) {
        data_make_folders(path);
        fd = open_or_make(d->io, path, &fresh);
    }
    if (fd < 0)
        return fd;
    *whole = size_of(fd) == data_tree_size(r->id.size);
    int status = grow_to(fd, data_tree_size(r->id.size));
    if (status == 0)
        status = data_file_init(&r->tree, path, O_RDWR);
    if (status != 0) {
        close(fd);
        return status;
    }
    data_file_adopt(&d->fds, &r->tree, fd);
    r->has_tree = true;
    return 0;
}

/* The last byte that the map vouches for, and one. */
static uint64_t vouched_end(const struct data_ref *r, const uint8_t *chunks)
{
    for (uint32_t i = r->part->chunk_count; i-- > 0;) {
        if (bit_get(chunks, i)) {
            uint64_t end = ((uint64_t)(i + 1) << r->part->chunk_log2) * TREE_LEAF_SIZE;
            return end < r->id.size ? end : r->id.size;
        }
    }
    return 0;
}

/* Takes over what the map vouches for. */
static void part_trust(struct data_ref *r, const uint8_t *chunks)
{
    struct data_part *p = r->part;
    for (uint32_t i = 0; i < p->chunk_count; i++) {
        if (!bit_get(chunks, i))
            continue;
        bit_set(p->chunks_done, i);
        uint32_t first = i << p->chunk_log2;
        for (uint32_t n = 0; n < p->chunk_left[i]; n++) {
            bit_set(p->leaves_done, first + n);
            bit_set(p->spans_proven, (first + n) >> TREE_SPAN_LOG2);
        }
        p->chunk_left[i] = 0;
    }
}

/* May this file be written to? Never over a file of the user's that happens to have the name. */
static int part_ours(const struct data_part_params *params, enum map_state map, bool fresh, uint64_t size)
{
    if (params->in_tree || fresh)
        return 0;
    if (map == MAP_OTHER || (map == MAP_NONE && size > 0))
        return ERR_EXISTS;
    return 0;
}

static int part_resume(struct data_ref *r, const struct data_part_params *params, int fd, bool fresh)
{
    struct data *d = r->data;
    struct map *m = malloc(sizeof *m);
    if (!m)
        return ERR_NO_MEMORY;
    uint64_t size = size_of(fd);
    enum map_state state = map_read(d->io, r->part->map_path, r, m);
    bool tree_whole = true;
    int status = part_ours(params, state, fresh, size);
    if (status == 0 && params->tree_path && r->part->span_count > 1)
        status = tree_open(r, params->tree_path, &tree_whole);
    bool trust = status == 0 && state == MAP_GOOD && !fresh && tree_whole && m->device == r->file.device &&
                 m->inode == r->file.inode && size >= vouched_end(r, m->chunks);
    /* Hashes of a single span are in no file: the span is proven again. Its chunks stay good. */
    if (trust)
        part_trust(r, m->chunks);
    if (trust && !r->has_tree)
        memset(r->part->spans_proven, 0, bitmap_size(r->part->span_count));
    if (status == 0)
        status = grow_to(fd, r->id.size);
    if (status == 0 && !trust && r->part->map_path) {
        size_t n = map_encode(m->bytes, r);
        status = map_write(d->io, r->part->map_path, m->bytes, n,
                           false); /* vouches for nothing: it only says whose the part is */
    }
    free(m);
    return status;
}

static int part_open(struct data_ref *r, const struct data_part_params *params)
{
    struct data *d = r->data;
    int status = part_allocate(r, params->chunk_leaves_log2);
    if (status != 0)
        return status;
    r->part->in_tree = params->in_tree;
    char *path = join(params->path, params->in_tree ? "" : ".part");
    if (!params->in_tree)
        r->part->map_path = join(params->path, ".part.map");
    else if (params->tree_path)
        r->part->map_path = join(params->tree_path, ".map");
    bool fresh = false, map_missing = !r->part->map_path && (!params->in_tree || params->tree_path);
    int fd = path && !map_missing ? open_or_make(d->io, path, &fresh) : ERR_NO_MEMORY;
    status = fd < 0 ? fd : data_file_init(&r->file, path, O_RDWR);
    if (fd >= 0 && status != 0)
        close(fd);
    if (status == 0) {
        data_file_adopt(&d->fds, &r->file, fd);
        int pinned = data_file_acquire(&d->fds, &r->file); /* so that it is not evicted while we work on it */
        core_assert(pinned == fd);
        if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
            status = ERR_BUSY;
        if (status == 0)
            status = part_resume(r, params, fd, fresh);
        data_file_release(&d->fds, &r->file);
        if (status != 0 && fresh)
            (void)unlink(path);
    }
    free(path);
    return status;
}

int data_open_part(struct data *d, const struct data_part_params *params, uint32_t *ref, uint8_t **have,
                   size_t *have_size)
{
    *ref = 0;
    *have = NULL;
    struct data_ref *r = data_ref_add(d, REF_PART, &params->id);
    if (!r)
        return ERR_NO_MEMORY;
    int status = part_open(r, params);
    if (status == 0) {
        *have_size = bitmap_size(r->part->chunk_count);
        *have = malloc(*have_size);
        if (!*have)
            status = ERR_NO_MEMORY;
    }
    if (status != 0) {
        data_ref_drop(r);
        return status;
    }
    memcpy(*have, r->part->chunks_done, *have_size);
    *ref = r->number;
    return 0;
}

/* ---- write-back and checkpoints ---- */

struct writeback_job {
    uv_work_t work;
    struct data_ref *ref;
};

static void writeback_run(uv_work_t *work)
{
    struct data_ref *r = ((struct writeback_job *)work->data)->ref;
    int fd = data_file_acquire(&r->data->fds, &r->file);
    if (fd < 0)
        return;
    r->data->io->writeback(fd);
    data_file_release(&r->data->fds, &r->file);
}

static void writeback_done(uv_work_t *work, int status)
{
    struct writeback_job *j = work->data;
    struct data_ref *r = j->ref;
    core_assert(status == 0);
    free(j);
    r->part->writing_back = false;
    data_ref_release(r);
}

static void writeback_start(struct data_ref *r)
{
    struct writeback_job *j = malloc(sizeof *j);
    if (!j)
        return; /* only a hint */
    j->ref = r;
    j->work.data = j;
    r->part->writing_back = true;
    r->part->writeback_dirty = 0;
    data_ref_hold(r);
    core_assert(uv_queue_work(r->data->loop, &j->work, writeback_run, writeback_done) == 0);
}

static int file_sync(struct data *d, struct data_file *f)
{
    int fd = data_file_acquire(&d->fds, f);
    if (fd < 0)
        return fd;
    int status = d->io->fdatasync(fd) == 0 ? 0 : data_error(errno);
    data_file_release(&d->fds, f);
    return status;
}

static void sync_run(uv_work_t *work)
{
    struct data_sync_job *j = work->data;
    struct data_ref *r = j->ref;
    j->status = file_sync(r->data, &r->file);
    if (j->status == 0 && r->has_tree)
        j->status = file_sync(r->data, &r->tree);
    if (j->status == 0 && j->map)
        j->status = map_write(r->data->io, r->part->map_path, j->map, j->map_size, true);
}

static void sync_done(uv_work_t *work, int status)
{
    struct data_sync_job *j = work->data;
    struct data_ref *r = j->ref;
    core_assert(status == 0);
    r->part->syncing = false;
    if (j->status == 0)
        r->part->dirty_syncing = 0;
    else if (j->status == ERR_IO || j->status == ERR_NO_SPACE)
        r->part->sync_failed = j->status;
    if (j->done)
        j->done(j->context, j->status);
    free(j->map);
    free(j);
    data_ref_release(r);
}

static void sync_submit(struct data_sync_job *j)
{
    struct data_ref *r = j->ref;
    struct data_part *p = r->part;
    p->syncing = true;
    p->dirty_syncing = p->dirty;
    p->dirty = 0;
    if (p->map_path && !p->finished && !p->sync_failed) {
        j->map = malloc(MAP_SIZE_MAX);
        if (j->map)
            j->map_size = map_encode(j->map, r);
    }
    j->work.data = j;
    core_assert(uv_queue_work(r->data->loop, &j->work, sync_run, sync_done) == 0);
}

/* One at a time; a second one by name waits. */
static void sync_start(struct data_ref *r, data_status_cb done, void *context)
{
    struct data_sync_job *j = calloc(1, sizeof *j);
    core_assert(j != NULL);
    j->ref = r;
    j->done = done;
    j->context = context;
    data_ref_hold(r);
    if (!r->part->syncing && !(r->part->finish && r->part->finish->started)) {
        sync_submit(j);
        return;
    }
    struct data_sync_job **at = &r->part->sync_wanted;
    while (*at)
        at = &(*at)->next;
    *at = j;
}

void data_part_written(struct data_ref *r, uint64_t bytes)
{
    struct data_part *p = r->part;
    p->dirty += bytes;
    p->writeback_dirty += bytes;
    if (p->writeback_dirty >= WRITEBACK_BYTES && !p->writing_back)
        writeback_start(r);
    if (p->dirty >= r->data->checkpoint_bytes && !p->syncing && !p->finish && p->map_path)
        sync_start(r, NULL, NULL);
}

void data_part_tick(struct data_ref *r)
{
    struct data_part *p = r->part;
    core_time now = uv_hrtime() / 1000;
    if (p->dirty == 0 || p->syncing || p->finish || !p->map_path) {
        p->dirty_since = now;
        return;
    }
    if (now - p->dirty_since >= r->data->checkpoint_period) {
        p->dirty_since = now;
        sync_start(r, NULL, NULL);
    }
}

void data_checkpoint(struct data *d, uint32_t ref, data_status_cb done, void *context)
{
    struct data_ref *r = data_ref_find(d, ref);
    core_assert(r != NULL);
    core_assert(r->kind == REF_PART);
    data_flush(d, r);
    sync_start(r, done, context);
}

/* Called by data_close: what was written is worth keeping. */
void data_part_closing(struct data_ref *r)
{
    if (r->part->dirty && !r->part->finished && r->part->map_path && !r->part->sync_failed)
        sync_start(r, NULL, NULL);
}

/* ---- finishing ---- */

static int rename_new(const char *from, const char *to)
{
    if (syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 1u /* RENAME_NOREPLACE */) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return data_error(errno);
    /* A file system without that flag: a hard link has the same promise. */
    if (link(from, to) != 0)
        return data_error(errno);
    (void)unlink(from);
    return 0;
}

static int tree_finish(struct data_ref *r, bool sync)
{
    struct data *d = r->data;
    int fd = data_file_acquire(&d->fds, &r->tree);
    if (fd < 0)
        return fd;
    int status = data_tree_complete(d->io, fd, &r->id);
    if (status == 0 && sync && d->io->fdatasync(fd) != 0)
        status = data_error(errno);
    data_file_release(&d->fds, &r->tree);
    return status == ERR_BAD_HASH ? ERR_IO : status; /* every hash in it was checked before: the disk lied */
}

static void finish_run(uv_work_t *work)
{
    struct data_finish_job *j = work->data;
    struct data_ref *r = j->ref;
    struct data *d = r->data;
    struct data_part *p = r->part;
    bool sync = !p->in_tree || r->id.size >= SYNC_ANYWAY;
    j->status = p->sync_failed;
    if (j->status == 0 && r->has_tree)
        j->status = tree_finish(r, sync);
    if (j->status == 0 && sync)
        j->status = file_sync(d, &r->file);
    int fd = j->status == 0 ? data_file_acquire(&d->fds, &r->file) : -1;
    if (j->status == 0 && fd < 0)
        j->status = fd;
    if (j->status == 0 && !p->in_tree) {
        fault_point("file-synced");
        if (!j->replace)
            j->status = rename_new(r->file.path, j->path);
        else if (d->io->rename(r->file.path, j->path) != 0)
            j->status = data_error(errno);
        if (j->status == 0)
            fault_point("file-renamed");
        if (j->status == 0)
            j->status = data_directory_sync(j->path);
    }
    if (j->status == 0 && p->map_path)
        (void)unlink(p->map_path);
    if (fd >= 0) {
        data_stamp_of(&j->stamp, fd);
        (void)flock(fd, LOCK_UN);
        data_file_release(&d->fds, &r->file);
    }
}

static void finish_done(uv_work_t *work, int status)
{
    struct data_finish_job *j = work->data;
    struct data_ref *r = j->ref;
    core_assert(status == 0);
    r->part->finish = NULL;
    if (j->status == 0) {
        r->part->finished = true;
        r->part->dirty = 0;
        if (!r->part->in_tree) {
            r->stamp = j->stamp;
            r->stamped = true;
            if (data_file_renamed(&r->data->fds, &r->file, j->path) != 0)
                r->broken = ERR_NO_MEMORY;
        }
    }
    j->done(j->context, j->status, &j->stamp);
    free(j->path);
    free(j);
    data_ref_release(r);
}

static void finish_start(struct data_ref *r)
{
    r->part->finish->started = true;
    core_assert(uv_queue_work(r->data->loop, &r->part->finish->work, finish_run, finish_done) == 0);
}

/* Something of this ref ended: what waited for it may start. Reads do not matter: the file is the same under
 * its new name. */
void data_part_idle(struct data_ref *r)
{
    struct data_part *p = r->part;
    if (p->syncing || (p->finish && p->finish->started))
        return;
    if (p->sync_wanted) {
        struct data_sync_job *j = p->sync_wanted;
        p->sync_wanted = j->next;
        sync_submit(j);
        return;
    }
    if (p->finish && r->write_jobs == 0 && !p->writing_back)
        finish_start(r);
}

void data_finish(struct data *d, uint32_t ref, bool replace,
                 void (*done)(void *context, int status, const struct file_stamp *stamp), void *context)
{
    struct data_ref *r = data_ref_find(d, ref);
    core_assert(r != NULL);
    core_assert(r->kind == REF_PART);
    core_assert(!r->part->finished);
    core_assert(r->part->finish == NULL);
    struct data_finish_job *j = calloc(1, sizeof *j);
    core_assert(j != NULL);
    j->ref = r;
    j->replace = replace;
    j->path = strdup(r->file.path);
    core_assert(j->path != NULL);
    if (!r->part->in_tree)
        j->path[strlen(j->path) - strlen(".part")] = '\0';
    j->done = done;
    j->context = context;
    j->work.data = j;
    r->part->finish = j;
    data_ref_hold(r);
    data_flush(d, r);
    data_part_idle(r);
}
