/* Hashing in the thread pool: small files in batches, big ones in pieces that several threads work on at
 * once. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "node/host/share_internal.h"

/* Small enough to stay in a core's second-level cache between the copy out of the page cache and the hashing.
 */
#define READ_SIZE (128u * 1024u)
_Static_assert(READ_SIZE % TREE_LEAF_SIZE == 0, "whole leaves");
_Static_assert(SHARE_SPAN_SIZE % READ_SIZE == 0, "whole reads");

typedef uint8_t hash_t[HASH_SIZE];

void share_explain(int error, char *out, size_t cap)
{
    switch (error) {
    case ERR_PERMISSION:
        snprintf(out, cap, "may not be read, skipped: chmod u+r, or share it as its owner");
        break;
    case ERR_NOT_FOUND:
        snprintf(out, cap, "vanished while the tree was read, skipped");
        break;
    case ERR_CHANGED:
        snprintf(out, cap, "kept changing while it was hashed, skipped: share again when it rests");
        break;
    case ERR_NOT_A_FILE:
        snprintf(out, cap, "was replaced by something that is no file, skipped");
        break;
    default:
        snprintf(out, cap, "%s, skipped", err_text(error));
    }
}

static int read_all(int fd, uint8_t *out, size_t size, uint64_t at)
{
    while (size) {
        ssize_t n = pread(fd, out, size, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return share_error(errno);
        if (n == 0)
            return ERR_CHANGED; /* shorter than a moment ago */
        out += n;
        size -= (size_t)n;
        at += (size_t)n;
    }
    return 0;
}

/* Leaf hashes of bytes [at, at + size) of the file; `at` is a leaf's beginning. */
static int hash_leaves(hash_t *leaves, int fd, uint8_t *buffer, uint64_t at, uint64_t size)
{
    do {
        size_t part = size < READ_SIZE ? (size_t)size : READ_SIZE;
        int status = read_all(fd, buffer, part, at);
        if (status)
            return status;
        tree_leaf_hashes(leaves, buffer, part);
        leaves += (part + TREE_LEAF_SIZE - 1) / TREE_LEAF_SIZE;
        at += part;
        size -= part;
    } while (size);
    return 0;
}

static int stamp_fd(struct file_stamp *out, int fd)
{
    struct stat st;
    if (fstat(fd, &st))
        return share_error(errno);
    share_stamp_of(out, &st);
    return S_ISREG(st.st_mode) ? 0 : ERR_NOT_A_FILE;
}

/* The directory of the file that was opened last: files of one directory come one after another. */
struct folder {
    uint32_t dir;
    int fd;
};

static int folder_open(const struct share_tree *t, struct folder *f, uint32_t dir)
{
    if (f->fd >= 0 && f->dir == dir)
        return 0;
    if (f->fd >= 0)
        close(f->fd);
    char path[PATH_MAX];
    uint32_t entry = t->dirs[dir].entry;
    const char *root = t->roots[t->entries[entry].root].path;
    f->dir = dir;
    f->fd = -1;
    if (!share_path(t, entry, path, sizeof path))
        return ERR_RANGE;
    int root_fd = open(root, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (root_fd < 0)
        return share_error(errno);
    const char *relative = path + strlen(root);
    while (*relative == '/')
        relative++;
    f->fd = share_open_beneath(root_fd, *relative ? relative : ".", O_PATH | O_DIRECTORY);
    int error = f->fd < 0 ? share_error(errno) : 0;
    close(root_fd);
    return error;
}

/* A descriptor or a negative error of ours. Never blocks on a pipe that took the file's place. */
static int file_open(const struct share_tree *t, const struct share_entry *e, struct folder *f)
{
    int fd, flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    if (e->parent == SHARE_NONE) {
        fd = open(t->roots[e->root].path, flags);
    } else {
        int status = folder_open(t, f, e->parent);
        if (status)
            return status;
        fd = openat(f->fd, share_name(t, e), flags);
    }
    return fd < 0 ? share_error(errno) : fd;
}

/* ---- Small files ---- */

static int hash_once(struct share_entry *e, int fd, uint8_t *buffer)
{
    hash_t leaves[TREE_SPAN_LEAVES];
    struct file_stamp before, after;
    int status = stamp_fd(&before, fd);
    if (status)
        return status;
    if (before.size > SHARE_SPAN_SIZE) {
        e->stamp = before;
        return ERR_FULL; /* it grew: not a small file any more */
    }
    status = hash_leaves(leaves, fd, buffer, 0, before.size);
    if (status == 0)
        status = stamp_fd(&after, fd);
    if (status == 0 && !share_stamp_equal(&before, &after))
        status = ERR_CHANGED;
    if (status)
        return status;
    e->stamp = before;
    e->id.kind = CONTENT_FILE;
    e->id.size = before.size;
    tree_root(e->id.root, (const uint8_t(*)[HASH_SIZE])leaves, tree_leaf_count(before.size));
    return 0;
}

static int hash_small(struct share_tree *t, struct share_entry *e, struct folder *f, uint8_t *buffer)
{
    int status = ERR_CHANGED;
    for (uint32_t i = 0; i < SHARE_TRIES && status == ERR_CHANGED; i++) {
        int fd = file_open(t, e, f);
        if (fd < 0)
            return fd;
        status = hash_once(e, fd, buffer);
        close(fd);
    }
    return status;
}

uint64_t share_hash_small(struct share_tree *t, const uint32_t *small, uint32_t from, uint32_t to,
                          atomic_bool *stop, struct share_problems *problems)
{
    struct folder folder = {.fd = -1};
    uint64_t bytes = 0;
    uint8_t *buffer = malloc(READ_SIZE);
    for (uint32_t i = from; i < to && !atomic_load_explicit(stop, memory_order_relaxed); i++) {
        struct share_entry *e = &t->entries[small[i]];
        int status = buffer ? hash_small(t, e, &folder, buffer) : ERR_NO_MEMORY;
        if (status == 0) {
            e->state = ENTRY_HASHED;
            bytes += e->id.size;
        } else if (status != ERR_FULL || e->stamp.size <= SHARE_SPAN_SIZE) {
            char path[PATH_MAX], text[160];
            share_explain(status, text, sizeof text);
            if (share_path(t, small[i], path, sizeof path))
                share_problems_add(problems, path, status, text);
            e->state = ENTRY_SKIPPED;
        }
    }
    if (folder.fd >= 0)
        close(folder.fd);
    free(buffer);
    return bytes;
}

/* ---- Big files ---- */

int share_big_open(const struct share_tree *t, struct share_big *b)
{
    const struct share_entry *e = &t->entries[b->entry];
    struct folder folder = {.fd = -1};
    b->fd = file_open(t, e, &folder);
    if (folder.fd >= 0)
        close(folder.fd);
    if (b->fd < 0)
        return b->fd;
    int status = stamp_fd(&b->stamp, b->fd);
    if (status)
        return status;
    if (b->stamp.size > CONTENT_SIZE_MAX)
        return ERR_RANGE;
    (void)posix_fadvise(b->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    b->spans = tree_span_count(b->stamp.size);
    b->upper = malloc((size_t)tree_upper_count(b->stamp.size) * HASH_SIZE);
    if (b->upper == NULL)
        return ERR_NO_MEMORY;
    b->tree_fd = open(b->tree_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return b->tree_fd < 0 ? share_error(errno) : 0;
}

static int write_all(int fd, const void *data, size_t size, uint64_t at)
{
    const uint8_t *p = data;
    while (size) {
        ssize_t n = pwrite(fd, p, size, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? share_error(errno) : ERR_IO;
        p += n;
        size -= (size_t)n;
        at += (size_t)n;
    }
    return 0;
}

int share_big_piece(const struct share_big *b, uint32_t from, uint32_t to)
{
    uint64_t size = b->stamp.size;
    uint8_t *buffer = malloc(READ_SIZE);
    hash_t *leaves = malloc((size_t)(to - from) * TREE_SPAN_LEAVES * HASH_SIZE);
    int status = buffer && leaves ? 0 : ERR_NO_MEMORY;
    uint32_t count = 0;
    for (uint32_t span = from; status == 0 && span < to; span++) {
        uint64_t at = (uint64_t)span * SHARE_SPAN_SIZE;
        uint32_t real = tree_span_leaves(size, span);
        status = hash_leaves(leaves + count, b->fd, buffer, at,
                             size - at < SHARE_SPAN_SIZE ? size - at : SHARE_SPAN_SIZE);
        if (status == 0)
            tree_span_root(b->upper[span], (const uint8_t(*)[HASH_SIZE])(leaves + count), real, size);
        count += real;
    }
    if (status == 0)
        status = write_all(b->tree_fd, leaves, (size_t)count * HASH_SIZE,
                           (uint64_t)from * TREE_SPAN_LEAVES * HASH_SIZE);
    free(buffer);
    free(leaves);
    return status;
}

int share_big_finish(struct share_tree *t, struct share_big *b)
{
    struct share_entry *e = &t->entries[b->entry];
    struct file_stamp after;
    uint64_t size = b->stamp.size;
    int status = stamp_fd(&after, b->fd);
    if (status == 0 && !share_stamp_equal(&b->stamp, &after))
        status = ERR_CHANGED;
    if (status)
        return status;
    tree_upper_build(b->upper, size);
    uint32_t count = tree_upper_count(size);
    status = write_all(b->tree_fd, b->upper, (size_t)count * HASH_SIZE,
                       (uint64_t)tree_leaf_count(size) * HASH_SIZE);
    if (status)
        return status;
    e->stamp = b->stamp;
    e->id.kind = CONTENT_FILE;
    e->id.size = size;
    memcpy(e->id.root, b->upper[count - 1], HASH_SIZE);
    e->state = ENTRY_HASHED;
    return 0;
}

void share_big_close(struct share_big *b, bool keep_tree)
{
    if (b->fd >= 0)
        close(b->fd);
    if (b->tree_fd >= 0) {
        close(b->tree_fd);
        if (!keep_tree)
            unlink(b->tree_path);
    }
    free(b->upper);
    b->fd = b->tree_fd = -1;
    b->upper = NULL;
}

#define AGAIN_SPANS 16u /* hashed between two looks at stop */

int share_tree_again(const char *path, const struct content_id *id, const char *temporary, const atomic_bool *stop)
{
    struct share_root root = {.given = NULL};
    struct share_entry entry = {.parent = SHARE_NONE};
    struct share_tree t = {.entries = &entry, .entry_count = 1, .roots = &root, .root_count = 1};
    struct share_big b = {.fd = -1, .tree_fd = -1};
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s", path);
    root.path = name;
    snprintf(b.tree_path, sizeof b.tree_path, "%s", temporary);
    int status = share_big_open(&t, &b);
    if (status == 0 && b.stamp.size != id->size)
        status = ERR_BAD_HASH;
    for (uint32_t from = 0; status == 0 && from < b.spans; from += AGAIN_SPANS) {
        uint32_t to = b.spans - from < AGAIN_SPANS ? b.spans : from + AGAIN_SPANS;
        status = atomic_load(stop) ? ERR_CANCELLED : share_big_piece(&b, from, to);
    }
    if (status == 0)
        status = share_big_finish(&t, &b);
    if (status == 0 && !content_id_equal(&entry.id, id))
        status = ERR_BAD_HASH;
    share_big_close(&b, status == 0);
    if (status)
        unlink(temporary);
    return status;
}
