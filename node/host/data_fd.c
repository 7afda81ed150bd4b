/* Descriptors and system calls of the data plane. Ten thousand shares must work under `ulimit -n 1024`:
 * descriptors are opened when a job needs them and at most DATA_FDS_MAX stay open. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/base/assert.h"
#include "node/host/data_int.h"

static int real_open(const char *path, int flags, mode_t mode)
{
    return open(path, flags, mode);
}

static void real_writeback(int fd)
{
    (void)sync_file_range(
        fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* a hint: where it is not supported the fdatasync does it all */
}

const struct data_io data_io_real = {real_open, preadv, pwritev, fdatasync, rename, real_writeback};

int data_error(int system_errno)
{
    switch (system_errno) {
    case 0:
        return 0;
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION;
    case EEXIST:
        return ERR_EXISTS;
    case ENOMEM:
        return ERR_NO_MEMORY;
    case EISDIR:
    case ELOOP:
    case ENXIO:
        return ERR_NOT_A_FILE;
    case EMFILE:
    case ENFILE:
        return ERR_FULL;
    default:
        return ERR_IO;
    }
}

void data_fds_init(struct data_fds *c, const struct data_io *io)
{
    memset(c, 0, sizeof *c);
    c->io = io;
    core_assert(uv_mutex_init(&c->lock) == 0);
}

void data_fds_fini(struct data_fds *c)
{
    core_assert(c->open == 0);
    uv_mutex_destroy(&c->lock);
}

int data_file_init(struct data_file *f, const char *path, int flags)
{
    memset(f, 0, sizeof *f);
    f->fd = -1;
    f->flags = flags;
    f->path = strdup(path);
    return f->path ? 0 : ERR_NO_MEMORY;
}

static void list_remove(struct data_fds *c, struct data_file *f)
{
    if (!f->listed)
        return;
    *(f->older ? &f->older->newer : &c->oldest) = f->newer;
    *(f->newer ? &f->newer->older : &c->newest) = f->older;
    f->older = f->newer = NULL;
    f->listed = false;
}

static void list_newest(struct data_fds *c, struct data_file *f)
{
    list_remove(c, f);
    f->older = c->newest;
    f->newer = NULL;
    *(c->newest ? &c->newest->newer : &c->oldest) = f;
    c->newest = f;
    f->listed = true;
}

static void close_locked(struct data_fds *c, struct data_file *f)
{
    core_assert(f->fd >= 0);
    close(f->fd);
    f->fd = -1;
    c->open--;
    list_remove(c, f);
}

void data_file_fini(struct data_fds *c, struct data_file *f)
{
    uv_mutex_lock(&c->lock);
    core_assert(f->users == 0);
    if (f->fd >= 0)
        close_locked(c, f);
    uv_mutex_unlock(&c->lock);
    free(f->path);
    f->path = NULL;
}

static void evict_locked(struct data_fds *c)
{
    for (struct data_file *f = c->oldest; f && c->open > DATA_FDS_MAX;) {
        struct data_file *next = f->newer;
        if (f->users == 0)
            close_locked(c, f);
        f = next;
    }
}

/* Opens f->path and makes sure that it is what it was. Holds the lock: an open of a local file is short, and
 * two jobs of one ref must not race. */
static int open_locked(struct data_fds *c, struct data_file *f)
{
    int fd = c->io->open(f->path, f->flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
    if (fd < 0)
        return data_error(errno);
    struct stat st;
    if (fstat(fd, &st) != 0) {
        int error = data_error(errno);
        close(fd);
        return error;
    }
    if (!(f->flags & O_DIRECTORY) && !S_ISREG(st.st_mode)) {
        close(fd);
        return ERR_NOT_A_FILE;
    }
    if (f->inode && (f->inode != st.st_ino || f->device != st.st_dev)) {
        close(fd);
        return ERR_CHANGED;
    }
    f->inode = st.st_ino;
    f->device = st.st_dev;
    f->fd = fd;
    c->open++;
    return 0;
}

int data_file_acquire(struct data_fds *c, struct data_file *f)
{
    uv_mutex_lock(&c->lock);
    int result = f->fd >= 0 ? 0 : open_locked(c, f);
    if (result == 0) {
        f->users++;
        list_newest(c, f);
        evict_locked(c);
        result = f->fd;
    }
    uv_mutex_unlock(&c->lock);
    return result;
}

void data_file_adopt(struct data_fds *c, struct data_file *f, int fd)
{
    struct stat st;
    uv_mutex_lock(&c->lock);
    core_assert(f->fd < 0);
    f->fd = fd;
    if (fstat(fd, &st) == 0) {
        f->inode = st.st_ino;
        f->device = st.st_dev;
    }
    c->open++;
    list_newest(c, f);
    evict_locked(c);
    uv_mutex_unlock(&c->lock);
}

void data_file_release(struct data_fds *c, struct data_file *f)
{
    uv_mutex_lock(&c->lock);
    core_assert(f->users > 0);
    f->users--;
    evict_locked(c);
    uv_mutex_unlock(&c->lock);
}

int data_file_renamed(struct data_fds *c, struct data_file *f, const char *path)
{
    char *copy = strdup(path);
    if (!copy)
        return ERR_NO_MEMORY;
    uv_mutex_lock(&c->lock);
    free(f->path);
    f->path = copy;
    f->flags = O_RDONLY;
    if (f->fd >= 0 && f->users == 0)
        close_locked(c, f);
    uv_mutex_unlock(&c->lock);
    return 0;
}

/* Moves v over n bytes; returns how many of its entries are used up. */
static int advance(struct iovec *v, int count, size_t n)
{
    int i = 0;
    while (i < count && n >= v[i].iov_len)
        n -= v[i++].iov_len;
    if (i < count) {
        v[i].iov_base = (uint8_t *)v[i].iov_base + n;
        v[i].iov_len -= n;
    }
    return i;
}

int data_write_all(const struct data_io *io, int fd, struct iovec *v, int n, uint64_t at)
{
    int empty = advance(v, n, 0);
    v += empty;
    n -= empty;
    while (n > 0) {
        ssize_t wrote = io->pwritev(fd, v, n, (off_t)at);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return data_error(errno);
        if (wrote == 0)
            return ERR_IO;
        at += (uint64_t)wrote;
        int used = advance(v, n, (size_t)wrote);
        v += used;
        n -= used;
    }
    return 0;
}

int data_preadv_all(const struct data_io *io, int fd, struct iovec *v, int n, uint64_t at)
{
    int empty = advance(v, n, 0);
    v += empty;
    n -= empty;
    while (n > 0) {
        ssize_t got = io->preadv(fd, v, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return data_error(errno);
        if (got == 0)
            return ERR_CHANGED;
        at += (uint64_t)got;
        int used = advance(v, n, (size_t)got);
        v += used;
        n -= used;
    }
    return 0;
}

int data_pread_all(const struct data_io *io, int fd, void *out, size_t size, uint64_t at)
{
    struct iovec v = {out, size};
    return size ? data_preadv_all(io, fd, &v, 1, at) : 0;
}

static int64_t nanoseconds(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void data_stamp_of(struct file_stamp *out, int fd)
{
    struct stat st;
    memset(out, 0, sizeof *out);
    if (fstat(fd, &st) != 0)
        return;
    out->device = st.st_dev;
    out->inode = st.st_ino;
    out->size = (uint64_t)st.st_size;
    out->mtime_ns = nanoseconds(st.st_mtim);
    out->ctime_ns = nanoseconds(st.st_ctim);
}

int data_stamp_check(const struct file_stamp *want, int fd)
{
    struct file_stamp now;
    data_stamp_of(&now, fd);
    bool same = now.device == want->device && now.inode == want->inode && now.size == want->size &&
                now.mtime_ns == want->mtime_ns && now.ctime_ns == want->ctime_ns;
    return same ? 0 : ERR_CHANGED;
}

void data_make_folders(const char *path)
{
    char *copy = strdup(path);
    char *slash = copy ? strrchr(copy, '/') : NULL;
    if (slash && slash != copy) {
        *slash = '\0';
        if (mkdir(copy, 0700) != 0 && errno == ENOENT) {
            char *above = strrchr(copy, '/');
            if (above && above != copy) {
                *above = '\0';
                (void)mkdir(copy, 0700);
                *above = '/';
                (void)mkdir(copy, 0700);
            }
        }
    }
    free(copy);
}

int data_directory_sync(const char *path)
{
    char *copy = strdup(path);
    if (!copy)
        return ERR_NO_MEMORY;
    char *slash = strrchr(copy, '/');
    core_assert(slash != NULL);
    slash[slash == copy ? 1 : 0] = '\0';
    int fd = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd < 0 ? data_error(errno) : 0;
    free(copy);
    if (fd < 0)
        return result;
    /* Some file systems cannot sync a directory and say EINVAL: nothing more can be done there. */
    if (fsync(fd) != 0 && errno != EINVAL)
        result = data_error(errno);
    close(fd);
    return result;
}
