/* Objects and hash tree files: where they lie, and how they get there whole or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "node/host/store/internal.h"

/* Written together and then synced together: the first fsync pays for the journal, the others find it done.
 */
#define BATCH 64

static int error_of(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case ENOMEM:
        return ERR_NO_MEMORY;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION;
    case ENOENT:
        return ERR_NOT_FOUND;
    default:
        return ERR_IO;
    }
}

static void folder_path(const struct store *s, const char *kind, const char *text, char *out, size_t cap)
{
    if ((size_t)snprintf(out, cap, "%s/%s/%.2s", s->home, kind, text) >= cap)
        *out = '\0';
}

static void file_path(const struct store *s, const char *kind, const struct content_id *id, char *out,
                      size_t cap)
{
    char text[CONTENT_ID_TEXT_SIZE + 1];
    content_id_format(text, id);
    if ((size_t)snprintf(out, cap, "%s/%s/%.2s/%s", s->home, kind, text, text) >= cap)
        *out = '\0'; /* opening it fails with ENOENT */
}

void store_object_path(const struct store *s, const struct content_id *id, char *out, size_t cap)
{
    file_path(s, "objects", id, out, cap);
}

void store_tree_path(const struct store *s, const struct content_id *id, char *out, size_t cap)
{
    file_path(s, "trees", id, out, cap);
}

static int make_folder(const char *path)
{
    return mkdir(path, 0700) && errno != EEXIST ? error_of(errno) : 0;
}

int store_folder(const struct store *s, const char *kind, const struct content_id *id, char *out, size_t cap)
{
    char text[CONTENT_ID_TEXT_SIZE + 1], parent[PATH_MAX];
    content_id_format(text, id);
    folder_path(s, kind, text, out, cap);
    if ((size_t)snprintf(parent, sizeof parent, "%s/%s", s->home, kind) >= sizeof parent || *out == '\0')
        return ERR_RANGE;
    struct stat st;
    if (stat(out, &st) == 0)
        return 0;
    int status = make_folder(parent);
    if (status == 0)
        status = make_folder(out);
    if (status == 0)
        status = store_sync_folder(parent); /* the name xx itself must survive a power cut */
    return status;
}

int store_sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_of(errno);
    int status = fsync(fd) ? error_of(errno) : 0;
    close(fd);
    return status;
}

int store_temporary_path(struct store *s, const char *kind, char *out, size_t cap)
{
    char parent[PATH_MAX];
    if ((size_t)snprintf(parent, sizeof parent, "%s/%s", s->home, kind) >= sizeof parent)
        return ERR_RANGE;
    int status = make_folder(parent);
    if (status)
        return status;
    /* Several handles may write at once: the handle's address makes the name its own within the process. */
    snprintf(out, cap, "%s/.tmp-%ld-%zx-%u", parent, (long)getpid(), (size_t)(uintptr_t)s, s->temporary++);
    return 0;
}

static int write_all(int fd, struct bytes b)
{
    while (b.size) {
        ssize_t n = write(fd, b.data, b.size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? error_of(errno) : ERR_IO;
        b.data += n;
        b.size -= (size_t)n;
    }
    return 0;
}

struct pending {
    char temporary[PATH_MAX], final[PATH_MAX], folder[PATH_MAX];
    int fd;
};

static bool present(const char *path, uint64_t size)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
}

/* Leaves the file open, not yet synced, under a temporary name. p->fd < 0 and status 0: it is there already.
 */
static int object_write(struct store *s, struct pending *p, const struct store_object *o)
{
    p->fd = -1;
    core_assert(o->bytes.size == o->id.size);
    store_object_path(s, &o->id, p->final, sizeof p->final);
    if (present(p->final, o->id.size))
        return 0;
    int status = store_folder(s, "objects", &o->id, p->folder, sizeof p->folder);
    if (status == 0)
        status = store_temporary_path(s, "objects", p->temporary, sizeof p->temporary);
    if (status)
        return status;
    p->fd = open(p->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (p->fd < 0)
        return error_of(errno);
    return write_all(p->fd, o->bytes);
}

static int object_finish(struct pending *p, int status)
{
    if (p->fd < 0)
        return status;
    if (status == 0 && fsync(p->fd))
        status = error_of(errno);
    if (close(p->fd) && status == 0)
        status = error_of(errno);
    if (status == 0 && rename(p->temporary, p->final))
        status = error_of(errno);
    if (status)
        unlink(p->temporary);
    return status;
}

static int batch_put(struct store *s, struct pending *pending, const struct store_object *objects,
                     size_t count)
{
    int status = 0;
    size_t opened = 0;
    for (; opened < count && status == 0; opened++)
        status = object_write(s, &pending[opened], &objects[opened]);
    for (size_t i = 0; i < opened; i++) {
        int finished = object_finish(&pending[i], status);
        if (status == 0)
            status = finished;
    }
    for (size_t i = 0; i < opened && status == 0; i++) {
        if (pending[i].fd >= 0 &&
            (i == 0 || pending[i - 1].fd < 0 || strcmp(pending[i].folder, pending[i - 1].folder)))
            status = store_sync_folder(pending[i].folder);
    }
    return status;
}

int store_objects_put(struct store *s, const struct store_object *objects, size_t count)
{
    uint64_t more = 0;
    for (size_t i = 0; i < count; i++)
        more += objects[i].bytes.size;
    int status = store_room(s, more);
    struct pending *pending = status ? NULL : malloc(sizeof *pending * (count < BATCH ? count : BATCH));
    if (status == 0 && pending == NULL && count > 0)
        status = ERR_NO_MEMORY;
    for (size_t i = 0; i < count && status == 0; i += BATCH)
        status = batch_put(s, pending, objects + i, count - i < BATCH ? count - i : BATCH);
    free(pending);
    if (status == 0)
        s->added += more;
    return status;
}

int store_object_put(struct store *s, const struct content_id *id, struct bytes bytes)
{
    struct store_object one = {*id, bytes};
    return store_objects_put(s, &one, 1);
}

int store_tree_put(struct store *s, const char *temporary, const struct content_id *id)
{
    char folder[PATH_MAX], final[PATH_MAX];
    struct stat st;
    uint64_t size = stat(temporary, &st) == 0 ? (uint64_t)st.st_size : 0;
    store_tree_path(s, id, final, sizeof final);
    int status = store_room(s, 0); /* the file is counted already: it lies under home */
    if (status == 0)
        status = store_folder(s, "trees", id, folder, sizeof folder);
    int fd = status ? -1 : open(temporary, O_RDONLY | O_CLOEXEC);
    if (status == 0 && (fd < 0 || fsync(fd) || rename(temporary, final)))
        status = error_of(errno);
    if (fd >= 0)
        close(fd);
    if (status == 0)
        status = store_sync_folder(folder);
    if (status)
        unlink(temporary);
    else
        s->added += size;
    return status;
}

int store_object_read(const struct store *s, const struct content_id *id, uint8_t **out)
{
    char path[PATH_MAX];
    *out = NULL;
    store_object_path(s, id, path, sizeof path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error_of(errno);
    struct stat st;
    int status = fstat(fd, &st) || (uint64_t)st.st_size != id->size ? ERR_CHANGED : 0;
    uint8_t *data = status ? NULL : malloc(id->size ? (size_t)id->size : 1);
    if (status == 0 && data == NULL)
        status = ERR_NO_MEMORY;
    for (size_t at = 0; status == 0 && at < id->size;) {
        ssize_t n = read(fd, data + at, (size_t)id->size - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            status = n < 0 ? error_of(errno) : ERR_CHANGED;
        else
            at += (size_t)n;
    }
    close(fd);
    if (status)
        free(data);
    else
        *out = data;
    return status;
}
