/* Packs: the small entries of one directory. Reading checks each entry against its id, since the directory is
 * the user's and may change at any moment; writing makes each file new inside a staging directory of ours. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/base/assert.h"
#include "node/host/data_int.h"

void data_pack_free(struct data_pack *p)
{
    if (!p)
        return;
    free(p->manifest);
    free(p->offsets);
    free(p);
}

static int pack_index(struct data_pack *p)
{
    uint32_t count;
    int status = manifest_check(bytes_of(p->manifest, p->manifest_size), &count);
    if (status != 0)
        return status;
    p->offsets = malloc(((size_t)count + 1) * sizeof *p->offsets);
    if (!p->offsets)
        return ERR_NO_MEMORY;
    struct manifest_reader reader;
    struct manifest_entry entry;
    core_assert(manifest_open(&reader, bytes_of(p->manifest, p->manifest_size)) == 0);
    for (p->count = 0; p->count < count; p->count++) {
        p->offsets[p->count] = (uint32_t)(reader.w.next - p->manifest);
        core_assert(manifest_next(&reader, &entry) == 1);
    }
    return 0;
}

int data_open_pack(struct data *d, const struct content_id *manifest_id, struct bytes manifest,
                   const char *directory, bool write, uint32_t *ref)
{
    *ref = 0;
    struct data_ref *r = data_ref_add(d, REF_PACK, manifest_id);
    if (!r)
        return ERR_NO_MEMORY;
    struct data_pack *p = r->pack = calloc(1, sizeof *p);
    int status = p ? 0 : ERR_NO_MEMORY;
    if (status == 0) {
        p->write = write;
        p->manifest_size = manifest.size;
        p->manifest = malloc(manifest.size + 1);
        status = p->manifest ? 0 : ERR_NO_MEMORY;
    }
    if (status == 0) {
        memcpy(p->manifest, manifest.data, manifest.size);
        status = pack_index(p);
    }
    if (status == 0)
        status = data_file_init(&r->file, directory ? directory : "/nonexistent", O_PATH | O_DIRECTORY);
    if (status != 0) {
        data_ref_drop(r);
        return status;
    }
    r->leaf_count = p->count;
    *ref = r->number;
    return 0;
}

/* The manifest was checked when it was opened; ERR_RANGE: no such entry, or not one of a pack (more than one
 * leaf). */
int data_pack_entry(const struct data_pack *p, uint32_t index, struct manifest_entry *out)
{
    if (index >= p->count)
        return ERR_RANGE;
    struct manifest_reader reader = {.count = p->count, .index = index, .size = p->manifest_size};
    wire_init(&reader.w, p->manifest + p->offsets[index], p->manifest_size - p->offsets[index]);
    core_assert(manifest_next(&reader, out) == 1);
    return out->id.size <= TREE_LEAF_SIZE ? 0 : ERR_RANGE;
}

char *data_pack_object_path(struct data_ref *r, uint32_t index)
{
    struct manifest_entry entry;
    if (!r->data->core->store || data_pack_entry(r->pack, index, &entry) != 0)
        return NULL;
    if (entry.id.kind == CONTENT_FILE && strcmp(r->file.path, "/nonexistent") != 0)
        return NULL;
    char path[4096];
    store_object_path(r->data->core->store, &entry.id, path, sizeof path);
    return strdup(path);
}

static bool entry_good(const struct manifest_entry *entry, const uint8_t *data, size_t size)
{
    uint8_t hash[HASH_SIZE];
    if (size != entry->id.size)
        return false;
    tree_sha256(hash, data, size); /* one leaf or nothing: the leaf is the root */
    return memcmp(hash, entry->id.root, HASH_SIZE) == 0;
}

static int write_and_close(const struct data_io *io, int fd, const uint8_t *data, size_t size,
                           const struct manifest_entry *entry, bool sync)
{
    struct iovec v = {(void *)(uintptr_t)data, size};
    int status = size ? data_write_all(io, fd, &v, 1, 0) : 0;
    if (status == 0 && entry && entry->has_mtime) {
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)entry->mtime_s}};
        (void)futimens(fd, times); /* a time that this file system cannot hold is not worth the file */
    }
    if (status == 0 && sync && io->fdatasync(fd) != 0)
        status = data_error(errno);
    if (close(fd) != 0 && status == 0)
        status = data_error(errno);
    return status;
}

/* An object of ours: written by a temporary name, synced, renamed. */
static int object_write(const struct data_io *io, const char *path, const struct data_item *item)
{
    char temporary[4200];
    int n = snprintf(temporary, sizeof temporary, "%s.%p.new", path, (const void *)item);
    if (n < 0 || (size_t)n >= sizeof temporary)
        return ERR_RANGE;
    int fd = io->open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0 && errno == ENOENT) {
        data_make_folders(temporary);
        fd = io->open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    }
    if (fd < 0)
        return data_error(errno);
    int status = write_and_close(io, fd, item->payload, item->size, NULL, true);
    if (status == 0 && io->rename(temporary, path) != 0)
        status = data_error(errno);
    if (status != 0)
        (void)unlink(temporary);
    return status;
}

int data_pack_write(struct data_ref *r, struct data_item *item, int directory)
{
    struct manifest_entry entry;
    core_assert(data_pack_entry(r->pack, item->index, &entry) == 0);
    if (!entry_good(&entry, item->payload, item->size))
        return ERR_BAD_HASH;
    if (item->object_path)
        return object_write(r->data->io, item->object_path, item);
    char name[CONTENT_NAME_MAX + 1];
    memcpy(name, entry.name.data, entry.name.size);
    name[entry.name.size] = '\0';
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    mode_t mode = entry.executable ? 0777 : 0666;
    int fd = openat(directory, name, flags, mode);
    if (fd < 0 && errno == EEXIST) {
        /* From a run that was cut short, and never synced: not to be trusted. */
        if (unlinkat(directory, name, 0) != 0)
            return data_error(errno);
        fd = openat(directory, name, flags, mode);
    }
    if (fd < 0)
        return data_error(errno);
    int status = write_and_close(r->data->io, fd, item->payload, item->size, &entry, false);
    if (status != 0)
        (void)unlinkat(directory, name, 0);
    return status;
}

int64_t data_pack_read(struct data_ref *r, uint32_t index, const char *object_path, uint8_t *out, size_t cap)
{
    struct manifest_entry entry;
    int status = data_pack_entry(r->pack, index, &entry);
    if (status != 0 || cap < entry.id.size)
        return ERR_RANGE;
    int fd, flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    if (object_path) {
        fd = r->data->io->open(object_path, flags, 0);
    } else {
        int directory = data_file_acquire(&r->data->fds, &r->file);
        if (directory < 0)
            return directory;
        char name[CONTENT_NAME_MAX + 1];
        memcpy(name, entry.name.data, entry.name.size);
        name[entry.name.size] = '\0';
        fd = openat(directory, name, flags);
        if (fd < 0)
            status = data_error(errno);
        data_file_release(&r->data->fds, &r->file);
    }
    if (fd < 0)
        return status ? status : data_error(errno);
    status = data_pread_all(r->data->io, fd, out, (size_t)entry.id.size, 0);
    close(fd);
    if (status == 0 && !entry_good(&entry, out, (size_t)entry.id.size))
        status = ERR_CHANGED;
    return status ? status : (int64_t)entry.id.size;
}
