/* home/cache: what gateways fetched for their readers, by content id. Nothing refers to it, so gc removes it
 * all, but for pins and what is being fetched; and when the quota is reached, what was fetched longest ago
 * gives way. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "node/host/store/internal.h"

#define TREE_DEPTH 64u

struct cache_entry {
    char name[256];
    int64_t mtime_s;
    bool kept;
};

struct cache {
    struct store *s;
    char path[PATH_MAX];
    struct cache_entry *entries;
    size_t count, cap;
};

static uint64_t disk_bytes(const struct stat *st)
{
    return (uint64_t)st->st_blocks * 512;
}

/* Bytes of what is called `name` below `dir`; removed when `removing`. */
static uint64_t entry_take(int dir, const char *name, unsigned depth, bool removing)
{
    struct stat st;
    uint64_t bytes = 0;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    if (!S_ISDIR(st.st_mode)) {
        if (removing && unlinkat(dir, name, 0) != 0)
            return 0;
        return disk_bytes(&st);
    }
    int fd = depth ? openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    DIR *inner = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *d;
    while (inner && (d = readdir(inner)) != NULL)
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            bytes += entry_take(fd, d->d_name, depth - 1, removing);
    if (inner)
        closedir(inner);
    else if (fd >= 0)
        close(fd);
    if (removing)
        (void)unlinkat(dir, name, AT_REMOVEDIR);
    return bytes;
}

/* A fetch writes to its target, or beside it under a longer name. */
static bool mark_target(void *context, const char *target, const struct content_id *id, struct bytes state)
{
    struct cache *c = context;
    size_t size = strlen(c->path);
    (void)id;
    (void)state;
    if (strncmp(target, c->path, size) != 0 || target[size] != '/')
        return true;
    const char *name = target + size + 1;
    for (size_t i = 0; i < c->count; i++)
        c->entries[i].kept = c->entries[i].kept || strncmp(c->entries[i].name, name, strlen(name)) == 0;
    return true;
}

static int by_age(const void *a, const void *b)
{
    const struct cache_entry *x = a, *y = b;
    return x->mtime_s != y->mtime_s ? (x->mtime_s < y->mtime_s ? -1 : 1) : strcmp(x->name, y->name);
}

/* 0 with the entries, oldest first; the caller frees them. */
static int cache_read(struct cache *c)
{
    if ((size_t)snprintf(c->path, sizeof c->path, "%s/cache", c->s->home) >= sizeof c->path)
        return ERR_RANGE;
    DIR *dir = opendir(c->path);
    if (!dir)
        return errno == ENOENT ? 0 : ERR_IO;
    struct dirent *d;
    int status = 0;
    while (status == 0 && (d = readdir(dir)) != NULL) {
        char text[CONTENT_ID_TEXT_SIZE + 1];
        struct content_id id;
        struct stat st;
        snprintf(text, sizeof text, "%.*s", CONTENT_ID_TEXT_SIZE, d->d_name);
        if (content_id_parse(&id, text) != 0 || fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue; /* not ours to judge */
        if (c->count == c->cap) {
            size_t cap = c->cap ? c->cap * 2 : 64;
            struct cache_entry *grown = realloc(c->entries, cap * sizeof *grown);
            if (!grown)
                status = ERR_NO_MEMORY;
            else
                c->entries = grown, c->cap = cap;
        }
        if (status == 0) {
            struct cache_entry *e = &c->entries[c->count++];
            *e = (struct cache_entry){.mtime_s = st.st_mtime, .kept = store_is_pinned(c->s, &id)};
            snprintf(e->name, sizeof e->name, "%s", d->d_name);
        }
    }
    closedir(dir);
    if (status == 0)
        status = store_fetches(c->s, mark_target, c);
    if (status == 0 && c->count)
        qsort(c->entries, c->count, sizeof *c->entries, by_age);
    return status;
}

int store_cache_sweep(struct store *s, bool dry_run,
                      bool (*each)(void *context, const char *path, uint64_t bytes), void *context,
                      struct gc_result *out)
{
    struct cache c = {.s = s};
    int status = cache_read(&c),
        dir = status || !c.count ? -1 : open(c.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool going = true;
    for (size_t i = 0; dir >= 0 && going && i < c.count; i++) {
        char path[PATH_MAX + 260];
        if (c.entries[i].kept)
            continue;
        uint64_t bytes = entry_take(dir, c.entries[i].name, TREE_DEPTH, !dry_run);
        snprintf(path, sizeof path, "%s/%s", c.path, c.entries[i].name);
        out->objects++;
        out->bytes += bytes;
        going = !each || each(context, path, bytes);
    }
    if (dir >= 0)
        close(dir);
    free(c.entries);
    return status;
}

int store_cache_room(struct store *s, uint64_t more)
{
    struct cache c = {.s = s};
    int status = store_room(s, more);
    if (status != ERR_QUOTA)
        return status;
    int rc = cache_read(&c), dir = rc || !c.count ? -1 : open(c.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; dir >= 0 && status == ERR_QUOTA && i < c.count; i++) {
        if (!c.entries[i].kept && entry_take(dir, c.entries[i].name, TREE_DEPTH, true) > 0)
            status = store_room(s, more);
    }
    if (dir >= 0)
        close(dir);
    free(c.entries);
    return status;
}
