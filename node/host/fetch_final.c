/* The two ends of a tree on disk, in the pool: the staging directory is made, and at last gets its final name. Before that every entry is looked at
 * once more, executable bits and times are set, what does not belong there is removed, and the file system is synced as a batch. */
#include "node/host/fault.h"
#include "node/host/fetch_walk.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "transfer/manifest.h"

#define REMOVE_DEPTH_MAX (MANIFEST_DEPTH_MAX + 1)

struct fetch_walk *fetch_walk_new(struct fetch *x, const char *root)
{
    struct fetch_walk *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->refs = 1;
    w->store = x->f->core->store;
    w->root = root ? strdup(root) : NULL;
    w->target = strdup(x->target);
    w->list_recursive = x->list_recursive;
    w->select = calloc(x->what.select_count + 1, sizeof *w->select);
    bool ok = w->target && w->select && (!root || w->root);
    for (size_t i = 0; ok && i < x->what.select_count; i++) {
        w->select[i] = strdup(x->what.select[i]);
        ok = w->select[i] != NULL;
        w->select_count += ok;
    }
    if (!ok) {
        fetch_walk_release(w);
        return NULL;
    }
    return w;
}

void fetch_walk_release(struct fetch_walk *w)
{
    if (!w || --w->refs > 0)
        return;
    for (size_t i = 0; i < w->select_count; i++)
        free(w->select[i]);
    for (uint32_t i = 0; i < w->dir_count; i++)
        free(w->dirs[i].path);
    free(w->select);
    free(w->dirs);
    free(w->root);
    free(w->target);
    free(w);
}

/* ---- The staging directory ---- */

/* 1 = ours, 0 = no marker, otherwise an error: ERR_EXISTS for another content's. */
static int marker_check(int part, const char *id)
{
    char text[CONTENT_ID_TEXT_SIZE + 1] = {0};
    int fd = openat(part, FETCH_MARKER, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : fetch_disk_error(errno);
    ssize_t n = read(fd, text, CONTENT_ID_TEXT_SIZE);
    close(fd);
    if (n < 0)
        return fetch_disk_error(errno);
    return strcmp(text, id) == 0 ? 1 : ERR_EXISTS;
}

/* A marker is there whole or not at all, so a directory without one holds nothing of ours but a marker that was being written. */
static int marker_make(int part, const char *id)
{
    DIR *list = fdopendir(dup(part));
    if (!list)
        return fetch_disk_error(errno);
    bool others = false;
    for (struct dirent *e; (e = readdir(list));)
        others |= strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && strcmp(e->d_name, FETCH_MARKER ".new") != 0;
    closedir(list);
    if (others)
        return ERR_EXISTS;
    int rc = fetch_disk_small_write(part, FETCH_MARKER ".new", bytes_of(id, strlen(id)));
    if (rc == 0 && renameat(part, FETCH_MARKER ".new", part, FETCH_MARKER) != 0)
        rc = fetch_disk_error(errno);
    return rc;
}

static int prepare(struct fetch_prepare *p)
{
    struct stat st;
    bool target_there = lstat(p->walk->target, &st) == 0;
    /* The whole of it lies there: a crash came before the end of an earlier fetch was recorded, or it is simply the same. */
    p->published = target_there && fetch_there_check(p->walk, &p->root, p->found, &p->task.stop) == 0;
    if (p->published)
        return 0;
    bool made = !target_there && mkdir(p->part, 0777) == 0;
    snprintf(p->where, sizeof p->where, "%s", target_there ? p->walk->target : p->part);
    if (!made && !target_there && errno != EEXIST)
        return fetch_disk_error(errno);
    if (target_there)
        return ERR_EXISTS;
    int part = open(p->part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (part < 0)
        return errno == ENOTDIR || errno == ELOOP ? ERR_EXISTS : fetch_disk_error(errno);
    int rc = marker_check(part, p->id);
    rc = rc == 0 ? marker_make(part, p->id) : rc == 1 ? 0 : rc;
    if (rc == 0 && mkdirat(part, FETCH_TREE, 0777) != 0 && errno != EEXIST)
        rc = fetch_disk_error(errno);
    close(part);
    return rc;
}

static void prepare_run(struct fetch_task *task)
{
    task->status = prepare((struct fetch_prepare *)task);
}

static void prepare_free(struct fetch_task *task)
{
    struct fetch_prepare *p = (struct fetch_prepare *)task;
    fetch_walk_release(p->walk);
    free(p->part);
    free(p->found);
    free(p);
}

struct fetch_prepare *fetch_prepare_new(struct fetch_walk *w, const struct content_id *id)
{
    struct fetch_prepare *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->walk = w;
    w->refs++;
    p->part = strdup(w->root);
    content_id_format(p->id, id);
    p->root = *id;
    p->found = calloc(w->select_count + 1, sizeof *p->found);
    p->task.run = prepare_run;
    p->task.free = prepare_free;
    if (!p->part || !p->found) {
        prepare_free(&p->task);
        return NULL;
    }
    *strrchr(p->part, '/') = 0; /* <final>.part/tree */
    return p;
}

/* ---- The final name ---- */

static bool entry_selected(const struct fetch_walk *w, const struct fetch_dir *d, const struct manifest_entry *e, char *path)
{
    char name[CONTENT_NAME_MAX + 1];
    memcpy(name, e->name.data, e->name.size);
    name[e->name.size] = 0;
    if (fetch_path_join(path, FETCH_PATH_MAX, d->path, name) != 0)
        return false;
    if (d->whole)
        return true;
    enum fetch_match match = fetch_select_match((const char *const *)w->select, w->select_count, path, NULL);
    return match == FETCH_MATCH_ALL || (match == FETCH_MATCH_INSIDE && e->id.kind == CONTENT_TREE);
}

static int entry_finish(int dir, const char *name, const struct manifest_entry *e)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? ERR_CHANGED : fetch_disk_error(errno);
    bool is_directory = e->id.kind == CONTENT_TREE;
    if (is_directory ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode) || (uint64_t)st.st_size != e->id.size)
        return ERR_CHANGED;
    mode_t mode = (st.st_mode & 07777) | (st.st_mode & 0444) >> 2;
    if (!is_directory && e->executable && mode != (st.st_mode & 07777) && fchmodat(dir, name, mode, 0) != 0)
        return fetch_disk_error(errno);
    if (e->has_mtime && st.st_mtim.tv_sec != (time_t)e->mtime_s) {
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)e->mtime_s}};
        (void)utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW); /* a time the file system cannot hold is not worth the tree */
    }
    return 0;
}

/* The names that belong into one directory, ascending as in the manifest. */
struct names {
    char **items;
    size_t count;
};

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int remove_strangers(int dir, const struct names *names)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    DIR *list = copy >= 0 ? fdopendir(copy) : NULL;
    if (!list) {
        rc = fetch_disk_error(errno);
        if (copy >= 0)
            close(copy);
        return rc;
    }
    for (struct dirent *e; rc == 0 && (e = readdir(list));) {
        char *name = e->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        if (!bsearch(&name, names->items, names->count, sizeof *names->items, name_compare))
            rc = fetch_disk_remove(dir, name, REMOVE_DEPTH_MAX);
    }
    closedir(list);
    return rc;
}

static int directory_entries(struct fetch_final *f, const struct fetch_dir *d, int dir, struct bytes manifest, struct names *names)
{
    struct manifest_reader r;
    struct manifest_entry e;
    int rc = manifest_open(&r, manifest);
    while (rc == 0 && manifest_next(&r, &e) == 1) {
        char path[FETCH_PATH_MAX];
        if (!entry_selected(f->walk, d, &e, path))
            continue;
        char *name = strndup((const char *)e.name.data, e.name.size);
        if (!name)
            return ERR_NO_MEMORY;
        names->items[names->count++] = name;
        rc = atomic_load(&f->task.stop) ? ERR_CANCELLED : entry_finish(dir, name, &e);
        if (rc != 0)
            snprintf(f->where, sizeof f->where, "%s", path);
    }
    return rc;
}

static int directory_finish(struct fetch_final *f, int root, const struct fetch_dir *d)
{
    char object[FETCH_PATH_MAX];
    uint8_t *manifest = NULL;
    uint32_t count = 0;
    struct names names = {0};
    store_object_path(f->walk->store, &d->id, object, sizeof object);
    snprintf(f->where, sizeof f->where, "%s", object);
    int rc = fetch_disk_manifest(object, &d->id, &manifest, &count);
    if (rc != 0)
        return rc;
    snprintf(f->where, sizeof f->where, "%s", d->path);
    int dir = fetch_disk_open_under(root, d->path, false, NULL);
    names.items = calloc((size_t)count + 1, sizeof *names.items);
    rc = dir < 0 ? dir : names.items ? 0 : ERR_NO_MEMORY;
    if (rc == 0)
        rc = directory_entries(f, d, dir, bytes_of(manifest, (size_t)d->id.size), &names);
    if (rc == 0)
        rc = remove_strangers(dir, &names);
    for (size_t i = 0; i < names.count; i++)
        free(names.items[i]);
    free(names.items);
    free(manifest);
    if (dir >= 0)
        close(dir);
    return rc;
}

static void final_run(struct fetch_task *task)
{
    struct fetch_final *f = (struct fetch_final *)task;
    struct fetch_walk *w = f->walk;
    int root = open(w->root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = root < 0 ? fetch_disk_error(errno) : 0;
    snprintf(f->where, sizeof f->where, "%s", w->root);
    /* Children come after their parents: backwards, a directory's time is set when nothing in it changes any more. */
    for (uint32_t i = w->dir_count; rc == 0 && i-- > 0;)
        rc = directory_finish(f, root, &w->dirs[i]);
    if (rc == 0) {
        snprintf(f->where, sizeof f->where, "%s", w->root);
        if (syncfs(root) != 0)
            rc = fetch_disk_error(errno);
    }
    if (root >= 0)
        close(root);
    if (rc == 0) {
        snprintf(f->where, sizeof f->where, "%s", w->target);
        fault_point("tree-synced");
        rc = fetch_disk_publish(w->root, w->target, false);
        if (rc == 0)
            fault_point("tree-renamed");
    }
    task->status = rc;
}

static void final_free(struct fetch_task *task)
{
    struct fetch_final *f = (struct fetch_final *)task;
    fetch_walk_release(f->walk);
    free(f);
}

struct fetch_final *fetch_final_new(struct fetch_walk *w)
{
    struct fetch_final *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->walk = w;
    w->refs++;
    f->task.run = final_run;
    f->task.free = final_free;
    return f;
}
