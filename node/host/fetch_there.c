/* Does the target hold the tree already? A crash between the final name and the store's record leaves such a
 * tree, and so does a second get after an unshare. Every byte is read and compared: names, times and sizes
 * alone prove nothing about what lies there. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "node/host/fetch_walk.h"
#include "transfer/manifest.h"

struct there {
    const struct fetch_walk *walk;
    struct fetch_found *found;
    const atomic_bool *stop;
    uint8_t *buffer; /* of a leaf */
};

static int directory_check(struct there *t, const struct content_id *id, int dir, const char *path,
                           bool whole, unsigned depth);

static int file_check(struct there *t, const struct content_id *id, int dir, const char *name)
{
    if (id->size <= TREE_LEAF_SIZE)
        return fetch_disk_small_check(dir, name, id, t->buffer);
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fetch_disk_error(errno);
    int rc = fetch_disk_verify(fd, id, t->stop);
    close(fd);
    return rc;
}

static int entry_check(struct there *t, const struct manifest_entry *e, int dir, const char *above,
                       bool whole, unsigned depth)
{
    char name[CONTENT_NAME_MAX + 1], path[FETCH_PATH_MAX];
    const struct fetch_walk *w = t->walk;
    enum fetch_match match = FETCH_MATCH_ALL;
    int which = -1;
    memcpy(name, e->name.data, e->name.size);
    name[e->name.size] = 0;
    if (fetch_path_join(path, sizeof path, above, name) != 0)
        return ERR_RANGE;
    if (!whole)
        match = fetch_select_match((const char *const *)w->select, w->select_count, path, &which);
    if (match == FETCH_MATCH_NONE)
        return 0;
    if (which >= 0)
        t->found[which] = (struct fetch_found){.found = true, .id = e->id};
    if (e->id.kind == CONTENT_FILE)
        return match == FETCH_MATCH_ALL ? file_check(t, &e->id, dir, name) : 0;
    if (e->id.kind != CONTENT_TREE || depth >= MANIFEST_DEPTH_MAX)
        return ERR_UNSUPPORTED;
    int below = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below < 0)
        return fetch_disk_error(errno);
    int rc = directory_check(t, &e->id, below, path, match == FETCH_MATCH_ALL, depth + 1);
    close(below);
    return rc;
}

static int directory_check(struct there *t, const struct content_id *id, int dir, const char *path,
                           bool whole, unsigned depth)
{
    char object[FETCH_PATH_MAX];
    struct manifest_reader r;
    struct manifest_entry e;
    uint8_t *manifest = NULL;
    uint32_t count;
    if (atomic_load(t->stop))
        return ERR_CANCELLED;
    store_object_path(t->walk->store, id, object, sizeof object);
    int rc = fetch_disk_manifest(object, id, &manifest, &count);
    if (rc == 0)
        rc = manifest_open(&r, bytes_of(manifest, (size_t)id->size));
    while (rc == 0 && manifest_next(&r, &e) == 1)
        rc = entry_check(t, &e, dir, path, whole, depth);
    free(manifest);
    return rc;
}

int fetch_there_check(const struct fetch_walk *w, const struct content_id *root, struct fetch_found *found,
                      const atomic_bool *stop)
{
    struct there t = {.walk = w, .found = found, .stop = stop, .buffer = malloc(TREE_LEAF_SIZE)};
    int dir = open(w->target, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rc = dir < 0 ? fetch_disk_error(errno) : t.buffer ? 0 : ERR_NO_MEMORY;
    if (rc == 0)
        rc = directory_check(&t, root, dir, "", w->select_count == 0, 0);
    for (size_t i = 0; rc == 0 && i < w->select_count; i++)
        rc = found[i].found ? 0 : ERR_NOT_FOUND;
    if (dir >= 0)
        close(dir);
    free(t.buffer);
    return rc;
}
