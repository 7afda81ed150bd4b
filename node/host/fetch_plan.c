/* Planning a directory, in the pool: reads its manifest, makes the directory and the empty files, and tells what is missing. A small file that is
 * there already counts only when its bytes have the right hash: what an earlier run left was never synced. */
#include "node/host/fetch_walk.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "node/base/assert.h"
#include "transfer/manifest.h"
#include "transfer/tree.h"

struct plan_place { /* where one plan works */
    int dir, from;
    bool fresh; /* the directory is new: nothing in it needs a look */
    uint8_t *buffer;
};

static int item_add(struct fetch_plan *p, const struct manifest_entry *e, const char *name, const struct fetch_plan_item *like)
{
    if (p->item_count == p->item_cap) {
        uint32_t cap = p->item_cap ? p->item_cap * 2 : 16;
        struct fetch_plan_item *items = realloc(p->items, cap * sizeof *items);
        if (!items)
            return ERR_NO_MEMORY;
        p->items = items;
        p->item_cap = cap;
    }
    struct fetch_plan_item *item = &p->items[p->item_count];
    *item = *like;
    item->id = e->id;
    item->executable = e->executable;
    item->name = strdup(name);
    if (!item->name)
        return ERR_NO_MEMORY;
    p->item_count++;
    return 0;
}

/* Content that cannot exist, or that this version does not know, is refused before anything is made of it. */
static int entry_check(const struct manifest_entry *e)
{
    uint8_t empty[HASH_SIZE];
    if (e->id.kind == CONTENT_TREE)
        return e->id.size > 0 && e->id.size <= MANIFEST_SIZE_MAX ? 0 : ERR_MALFORMED;
    if (e->id.kind != CONTENT_FILE)
        return ERR_UNSUPPORTED;
    if (e->id.size > 0)
        return 0;
    tree_sha256(empty, NULL, 0);
    return memcmp(empty, e->id.root, HASH_SIZE) == 0 ? 0 : ERR_MALFORMED;
}

static void have(struct fetch_plan *p, uint32_t index)
{
    p->have[index >> 3] = (uint8_t)(p->have[index >> 3] | 1u << (index & 7));
}

static void want(struct fetch_plan *p, uint32_t index, const struct manifest_entry *e)
{
    p->want[index >> 3] = (uint8_t)(p->want[index >> 3] | 1u << (index & 7));
    p->want_count++;
    if (e->id.kind == CONTENT_FILE) {
        p->want_files++;
        p->want_bytes += e->id.size;
    }
}

static int plan_small(struct fetch_plan *p, const struct plan_place *at, uint32_t index, const struct manifest_entry *e, const char *name)
{
    int rc = ERR_NOT_FOUND;
    if (e->id.size == 0) {
        rc = fetch_disk_small_write(at->dir, name, bytes_of(NULL, 0));
        if (rc != 0)
            return rc;
    }
    if (rc != 0 && !at->fresh)
        rc = fetch_disk_small_check(at->dir, name, &e->id, at->buffer);
    if (rc != 0 && at->from >= 0) {
        rc = fetch_disk_small_check(at->from, name, &e->id, at->buffer);
        if (rc == 0) {
            rc = fetch_disk_small_write(at->dir, name, bytes_of(at->buffer, (size_t)e->id.size));
            if (rc != 0)
                return rc;
        }
    }
    if (rc != 0) {
        want(p, index, e);
        return 0;
    }
    have(p, index);
    p->had_files++;
    p->had_bytes += e->id.size;
    return 0;
}

/* A file inside a tree has a map (beside its hash tree) exactly as long as it is not complete; one of a single span never has one. */
static bool has_map(const struct fetch_plan *p, const struct content_id *id)
{
    char path[FETCH_PATH_MAX];
    store_tree_path(p->walk->store, id, path, sizeof path);
    return fetch_path_append(path, sizeof path, ".map") == 0 && access(path, F_OK) == 0;
}

static int plan_file(struct fetch_plan *p, const struct plan_place *at, uint32_t index, const struct manifest_entry *e, const char *name)
{
    struct stat st;
    p->files++;
    p->bytes += e->id.size;
    if (e->id.size <= TREE_LEAF_SIZE)
        return plan_small(p, at, index, e, name);
    struct fetch_plan_item item = {0};
    item.present = !at->fresh && fstatat(at->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
                   (uint64_t)st.st_size == e->id.size && !has_map(p, &e->id);
    return item_add(p, e, name, &item);
}

static int plan_directory(struct fetch_plan *p, uint32_t index, const struct manifest_entry *e, const char *name, bool whole, bool listed)
{
    char object[FETCH_PATH_MAX];
    store_object_path(p->walk->store, &e->id, object, sizeof object);
    struct fetch_plan_item item = {.directory = true, .whole = whole, .listed = listed, .present = access(object, F_OK) == 0};
    if (e->id.size <= TREE_LEAF_SIZE && item.present)
        have(p, index);
    else if (e->id.size <= TREE_LEAF_SIZE)
        want(p, index, e);
    return item_add(p, e, name, &item);
}

/* A listing shows what is selected; the selected directory itself is not a line but what is in it is. */
static int plan_line(struct fetch_plan *p, uint32_t index, const struct manifest_entry *e, const char *name, enum fetch_match match, int which)
{
    bool directory = e->id.kind == CONTENT_TREE;
    if (match == FETCH_MATCH_INSIDE)
        return directory ? plan_directory(p, index, e, name, false, false) : 0;
    if (directory && (which >= 0 || p->walk->list_recursive))
        return plan_directory(p, index, e, name, true, which < 0);
    struct fetch_plan_item item = {.listed = true};
    return item_add(p, e, name, &item);
}

static int plan_entry(struct fetch_plan *p, const struct plan_place *at, uint32_t index, const struct manifest_entry *e)
{
    char name[CONTENT_NAME_MAX + 1], path[FETCH_PATH_MAX];
    enum fetch_match match = FETCH_MATCH_ALL;
    int which = -1, rc = entry_check(e);
    memcpy(name, e->name.data, e->name.size);
    name[e->name.size] = 0;
    if (!p->whole) {
        rc = rc ? rc : fetch_path_join(path, sizeof path, p->path, name);
        if (rc == 0)
            match = fetch_select_match((const char *const *)p->walk->select, p->walk->select_count, path, &which);
    }
    if (rc != 0 || match == FETCH_MATCH_NONE)
        return match == FETCH_MATCH_NONE ? 0 : rc;
    if (which >= 0) {
        p->found[which].found = true;
        p->found[which].id = e->id;
    }
    if (!p->walk->root)
        return plan_line(p, index, e, name, match, which);
    if (e->id.kind == CONTENT_TREE)
        return plan_directory(p, index, e, name, match == FETCH_MATCH_ALL, false);
    return match == FETCH_MATCH_ALL ? plan_file(p, at, index, e, name) : 0;
}

static int plan_open(struct fetch_plan *p, struct plan_place *at)
{
    at->buffer = malloc(TREE_LEAF_SIZE);
    p->want = calloc(p->entry_count / 8 + 1, 1);
    p->have = calloc(p->entry_count / 8 + 1, 1);
    p->found = calloc(p->walk->select_count + 1, sizeof *p->found);
    if (!at->buffer || !p->want || !p->have || !p->found)
        return ERR_NO_MEMORY;
    if (!p->walk->root)
        return 0;
    int root = open(p->walk->root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (root < 0)
        return fetch_disk_error(errno);
    at->dir = fetch_disk_open_under(root, p->path, true, &at->fresh);
    close(root);
    if (at->dir < 0)
        return at->dir;
    if (p->from)
        at->from = open(p->from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return 0;
}

static void plan_run(struct fetch_task *task)
{
    struct fetch_plan *p = (struct fetch_plan *)task;
    struct plan_place at = {.dir = -1, .from = -1};
    struct manifest_reader r;
    struct manifest_entry e;
    int rc = fetch_disk_manifest(p->object, &p->id, &p->manifest, &p->entry_count);
    if (rc == ERR_BAD_HASH)
        unlink(p->object); /* damaged on our disk: it is fetched again */
    bool read = rc == 0;
    if (rc == 0)
        rc = plan_open(p, &at);
    if (rc == 0)
        rc = manifest_open(&r, bytes_of(p->manifest, (size_t)p->id.size));
    for (uint32_t i = 0; rc == 0 && manifest_next(&r, &e) == 1; i++)
        rc = atomic_load(&task->stop) ? ERR_CANCELLED : plan_entry(p, &at, i, &e);
    /* "Not found" and "bad hash" mean the object; below it they would send us round in circles. */
    task->status = read && (rc == ERR_NOT_FOUND || rc == ERR_BAD_HASH) ? ERR_IO : rc;
    free(at.buffer);
    if (at.dir >= 0)
        close(at.dir);
    if (at.from >= 0)
        close(at.from);
}

static void plan_free(struct fetch_task *task)
{
    struct fetch_plan *p = (struct fetch_plan *)task;
    for (uint32_t i = 0; i < p->item_count; i++)
        free(p->items[i].name);
    free(p->items);
    free(p->found);
    free(p->manifest);
    free(p->want);
    free(p->have);
    free(p->path);
    free(p->object);
    free(p->from);
    fetch_walk_release(p->walk);
    free(p);
}

struct fetch_plan *fetch_plan_new(struct fetch_walk *w, uint32_t dir, const char *from)
{
    char object[FETCH_PATH_MAX];
    const struct fetch_dir *d = &w->dirs[dir];
    struct fetch_plan *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->from = from ? strdup(from) : NULL; /* first: it may live in the store's hands until the next call */
    store_object_path(w->store, &d->id, object, sizeof object);
    p->walk = w;
    w->refs++;
    p->dir = dir;
    p->id = d->id;
    p->whole = d->whole;
    p->path = strdup(d->path);
    p->object = strdup(object);
    p->task.run = plan_run;
    p->task.free = plan_free;
    if (!p->path || !p->object || (from && !p->from)) {
        plan_free(&p->task);
        return NULL;
    }
    return p;
}
