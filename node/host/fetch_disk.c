#include "node/host/fetch_disk.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "node/base/assert.h"
#include "node/base/err.h"
#include "transfer/manifest.h"
#include "transfer/tree.h"

#define SPAN_SIZE (TREE_SPAN_LEAVES * TREE_LEAF_SIZE)

int fetch_disk_error(int error_number)
{
    switch (error_number) {
    case 0:
        return 0;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_NO_SPACE;
    case ENOENT:
        return ERR_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION;
    case ELOOP:
    case ENOTDIR:
    case EISDIR:
        return ERR_NOT_A_FILE;
    case ENAMETOOLONG:
        return ERR_RANGE;
    case ENOMEM:
        return ERR_NO_MEMORY;
    case EMFILE:
    case ENFILE:
        return ERR_FULL;
    default:
        return ERR_IO;
    }
}

bool fetch_disk_stamp(int fd, struct file_stamp *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return false;
    out->device = st.st_dev;
    out->inode = st.st_ino;
    out->size = (uint64_t)st.st_size;
    out->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    out->ctime_ns = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
    return true;
}

int fetch_disk_open_under(int root, const char *relative, bool make, bool *made)
{
    int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (made)
        *made = false;
    while (fd >= 0 && *relative) {
        char name[CONTENT_NAME_MAX + 1];
        size_t size = strcspn(relative, "/");
        core_assert(size > 0 && size <= CONTENT_NAME_MAX);
        memcpy(name, relative, size);
        name[size] = 0;
        relative += size + (relative[size] == '/');
        bool fresh = make && mkdirat(fd, name, 0777) == 0;
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int error_number = errno;
        close(fd);
        errno = error_number;
        fd = next;
        if (made)
            *made = fresh;
    }
    return fd >= 0 ? fd : fetch_disk_error(errno);
}

static int read_full(int fd, uint8_t *out, size_t size, uint64_t offset)
{
    while (size) {
        ssize_t n = pread(fd, out, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fetch_disk_error(errno);
        if (n == 0)
            return ERR_CHANGED;
        out += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

static int write_full(int fd, const uint8_t *data, size_t size, uint64_t offset)
{
    while (size) {
        ssize_t n = pwrite(fd, data, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fetch_disk_error(errno);
        data += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

/* Root of one span's bytes. */
static void span_root(uint8_t out[HASH_SIZE], const uint8_t *data, uint64_t size, uint32_t span)
{
    uint8_t leaves[TREE_SPAN_LEAVES][HASH_SIZE];
    uint32_t count = tree_span_leaves(size, span);
    uint32_t last = tree_leaf_bytes(size, (span << TREE_SPAN_LOG2) + count - 1);
    tree_leaf_hashes(leaves, data, (size_t)(count - 1) * TREE_LEAF_SIZE + last);
    tree_span_root(out, (const uint8_t(*)[HASH_SIZE])leaves, count, size);
}

/* Hashes `in`, writing what was read to `out` when that is not -1. */
static int hash_stream(int in, int out, const struct content_id *id, const atomic_bool *stop)
{
    uint32_t spans = tree_span_count(id->size);
    uint8_t(*upper)[HASH_SIZE] = malloc((size_t)tree_upper_count(id->size) * HASH_SIZE);
    uint8_t *buffer = malloc(SPAN_SIZE);
    int rc = upper && buffer ? 0 : ERR_NO_MEMORY;
    for (uint32_t span = 0; rc == 0 && span < spans; span++) {
        uint64_t offset = (uint64_t)span * SPAN_SIZE;
        size_t size = id->size - offset < SPAN_SIZE ? (size_t)(id->size - offset) : SPAN_SIZE;
        rc = stop && atomic_load(stop) ? ERR_CANCELLED : read_full(in, buffer, size, offset);
        if (rc != 0)
            break;
        span_root(upper[span], buffer, id->size, span);
        if (out >= 0)
            rc = write_full(out, buffer, size, offset);
    }
    if (rc == 0) {
        tree_upper_build(upper, id->size);
        rc = memcmp(upper[tree_upper_count(id->size) - 1], id->root, HASH_SIZE) == 0 ? 0 : ERR_BAD_HASH;
    }
    free(buffer);
    free(upper);
    return rc;
}

static int size_check(int fd, const struct content_id *id)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fetch_disk_error(errno);
    if (!S_ISREG(st.st_mode))
        return ERR_NOT_A_FILE;
    return (uint64_t)st.st_size == id->size ? 0 : ERR_BAD_HASH;
}

int fetch_disk_verify(int fd, const struct content_id *id, const atomic_bool *stop)
{
    int rc = size_check(fd, id);
    return rc != 0 ? rc : hash_stream(fd, -1, id, stop);
}

int fetch_disk_verify_path(const char *path, const struct content_id *id, const atomic_bool *stop, struct file_stamp *stamp)
{
    struct file_stamp before, after;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fetch_disk_error(errno);
    int rc = fetch_disk_stamp(fd, &before) ? fetch_disk_verify(fd, id, stop) : ERR_IO;
    if (rc == 0 && (!fetch_disk_stamp(fd, &after) || memcmp(&before, &after, sizeof before) != 0))
        rc = ERR_CHANGED;
    if (rc == 0 && stamp)
        *stamp = after;
    close(fd);
    return rc;
}

static int copy_fd(int in, int out, const struct content_id *id, bool sync, const atomic_bool *stop)
{
    int rc = size_check(in, id);
    if (rc != 0)
        return rc;
    if (ioctl(out, FICLONE, in) == 0)
        rc = fetch_disk_verify(out, id, stop);
    else
        rc = hash_stream(in, out, id, stop);
    if (rc == 0 && sync && fsync(out) != 0)
        rc = fetch_disk_error(errno);
    return rc;
}

int fetch_disk_copy(const char *from, const char *to, const struct content_id *id, bool sync, const atomic_bool *stop, struct file_stamp *stamp)
{
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;
    if (in < 0)
        return fetch_disk_error(errno);
    int out = open(to, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (out < 0) {
        rc = fetch_disk_error(errno);
        close(in);
        return rc;
    }
    rc = copy_fd(in, out, id, sync, stop);
    if (rc == 0 && stamp && !fetch_disk_stamp(out, stamp))
        rc = ERR_IO;
    close(in);
    if (close(out) != 0 && rc == 0)
        rc = fetch_disk_error(errno);
    if (rc != 0)
        unlink(to);
    return rc;
}

int fetch_disk_small_check(int dir, const char *name, const struct content_id *id, uint8_t *buffer)
{
    uint8_t hash[HASH_SIZE];
    core_assert(id->size <= TREE_LEAF_SIZE);
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fetch_disk_error(errno);
    int rc = size_check(fd, id);
    if (rc == 0)
        rc = read_full(fd, buffer, (size_t)id->size, 0);
    close(fd);
    if (rc != 0)
        return rc;
    tree_sha256(hash, buffer, (size_t)id->size);
    return memcmp(hash, id->root, HASH_SIZE) == 0 ? 0 : ERR_BAD_HASH;
}

int fetch_disk_small_write(int dir, const char *name, struct bytes bytes)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0)
        return fetch_disk_error(errno);
    int rc = write_full(fd, bytes.data, bytes.size, 0);
    if (close(fd) != 0 && rc == 0)
        rc = fetch_disk_error(errno);
    return rc;
}

/* Opens the directory that holds `path` with `flags`. A descriptor, or a negative error. */
static int open_parent(const char *path, int flags)
{
    char directory[4096];
    const char *slash = strrchr(path, '/');
    size_t size = slash ? (size_t)(slash - path) : 0;
    if (size >= sizeof directory)
        return ERR_RANGE;
    memcpy(directory, path, size);
    directory[size] = 0;
    int fd = open(slash ? (size ? directory : "/") : ".", flags | O_CLOEXEC, 0666);
    return fd < 0 ? fetch_disk_error(errno) : fd;
}

int fetch_disk_sync_parent(const char *path)
{
    int fd = open_parent(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fd;
    int rc = fsync(fd) == 0 ? 0 : fetch_disk_error(errno);
    close(fd);
    return rc;
}

int fetch_disk_publish(const char *from, const char *to, bool replace)
{
    if (replace) {
        if (rename(from, to) != 0)
            return fetch_disk_error(errno);
    } else if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) != 0) {
        struct stat st;
        if (errno != EINVAL && errno != ENOSYS)
            return fetch_disk_error(errno);
        /* A file system without RENAME_NOREPLACE: the check leaves a moment in which another program could make the name. */
        if (lstat(to, &st) == 0)
            return ERR_EXISTS;
        if (rename(from, to) != 0)
            return fetch_disk_error(errno);
    }
    return fetch_disk_sync_parent(to);
}

/* ERR_UNSUPPORTED: this file system, or a machine without /proc, needs a name for the copy. */
static int copy_nameless(const char *from, const char *to, const struct content_id *id, const atomic_bool *stop)
{
    char self[32];
    int out = open_parent(to, O_RDWR | O_TMPFILE);
    if (out < 0)
        return ERR_UNSUPPORTED;
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int rc = in < 0 ? fetch_disk_error(errno) : copy_fd(in, out, id, true, stop);
    snprintf(self, sizeof self, "/proc/self/fd/%d", out); /* AT_EMPTY_PATH would need a capability */
    if (rc == 0 && linkat(AT_FDCWD, self, AT_FDCWD, to, AT_SYMLINK_FOLLOW) != 0)
        rc = errno == EEXIST ? ERR_EXISTS : ERR_UNSUPPORTED;
    if (in >= 0)
        close(in);
    close(out);
    return rc != 0 ? rc : fetch_disk_sync_parent(to);
}

int fetch_disk_copy_publish(const char *from, const char *temporary, const char *to, bool replace, const struct content_id *id,
                            const atomic_bool *stop)
{
    int rc = replace ? ERR_UNSUPPORTED : copy_nameless(from, to, id, stop);
    if (rc != ERR_UNSUPPORTED)
        return rc;
    rc = fetch_disk_copy(from, temporary, id, true, stop, NULL);
    if (rc == 0 && (rc = fetch_disk_publish(temporary, to, replace)) != 0)
        unlink(temporary);
    return rc;
}

int fetch_disk_remove(int dir, const char *name, unsigned depth)
{
    if (unlinkat(dir, name, 0) == 0)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return errno == ENOENT ? 0 : fetch_disk_error(errno);
    if (depth == 0)
        return ERR_RANGE;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (!list) {
        int rc = fetch_disk_error(errno);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(list));) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = fetch_disk_remove(fd, e->d_name, depth - 1);
    }
    closedir(list);
    if (rc == 0 && unlinkat(dir, name, AT_REMOVEDIR) != 0)
        rc = fetch_disk_error(errno);
    return rc;
}

int fetch_disk_manifest(const char *path, const struct content_id *id, uint8_t **bytes, uint32_t *count)
{
    *bytes = NULL;
    if (id->size == 0 || id->size > MANIFEST_SIZE_MAX)
        return ERR_MALFORMED;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fetch_disk_error(errno);
    uint8_t *data = malloc((size_t)id->size);
    int rc = data ? fetch_disk_verify(fd, id, NULL) : ERR_NO_MEMORY;
    if (rc == 0)
        rc = read_full(fd, data, (size_t)id->size, 0);
    close(fd);
    if (rc == 0)
        rc = manifest_check(bytes_of(data, (size_t)id->size), count);
    if (rc != 0) {
        free(data);
        return rc;
    }
    *bytes = data;
    return 0;
}
