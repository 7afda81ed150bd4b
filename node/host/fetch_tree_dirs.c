/* The directories of a tree that is fetched: added when their parent is planned, planned in the pool (fetch_plan.c) when their manifest is here, and what
 * each needs put into the queues of fetch_tree.c. */
#include "node/host/fetch_tree.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>
#include "node/base/assert.h"
#include "transfer/manifest.h"
#include "transfer/tree.h"

/* ---- Queues ---- */

static void queue_push(struct work_queue *q, struct tree_work *w)
{
    w->next = NULL;
    if (!q->first)
        q->last = &q->first;
    *q->last = w;
    q->last = &w->next;
    q->count++;
}

struct tree_work *fetch_tree_queue_pop(struct work_queue *q)
{
    struct tree_work *w = q->first;
    q->first = w->next;
    q->count--;
    return w;
}

void fetch_tree_work_free(struct tree_work *w)
{
    if (!w)
        return;
    free(w->name);
    free(w->bytes);
    free(w->want);
    free(w->have);
    free(w);
}

static struct tree_work *work_new(struct fetch_tree *t, uint32_t dir, const struct content_id *id)
{
    struct tree_work *w = calloc(1, sizeof *w);
    if (w) {
        w->tree = t;
        w->dir = dir;
        w->id = *id;
    }
    return w;
}

void fetch_tree_no_memory(struct fetch_tree *t)
{
    fetch_fail(t->fetch, ERR_NO_MEMORY, "out of memory while fetching the tree; what has arrived is kept, get it again to go on");
}

/* ---- Directories ---- */

void fetch_tree_dir_ready(struct fetch_tree *t, uint32_t index)
{
    struct fetch_dir *dirs = t->walk->dirs;
    dirs[index].state = DIR_READY;
    dirs[index].next_ready = NO_DIR;
    if (t->ready_first == NO_DIR)
        t->ready_first = index;
    else
        dirs[t->ready_last].next_ready = index;
    t->ready_last = index;
}

/* Index, or NO_DIR with the job ended. */
uint32_t fetch_tree_dir_add(struct fetch_tree *t, const struct content_id *id, uint32_t parent, const char *name, bool whole)
{
    struct fetch_walk *w = t->walk;
    char path[FETCH_PATH_MAX] = "";
    uint8_t depth = parent == NO_DIR ? 0 : (uint8_t)(w->dirs[parent].depth + 1);
    const char *above = parent == NO_DIR ? "" : w->dirs[parent].path;
    if (depth > MANIFEST_DEPTH_MAX || fetch_path_join(path, sizeof path, above, name) != 0) {
        fetch_fail(t->fetch, ERR_RANGE, "directories are nested too deeply in this tree (at most %u levels): below %.200s",
                   MANIFEST_DEPTH_MAX, above);
        return NO_DIR;
    }
    if (w->dir_count >= FETCH_DIRS_MAX) {
        fetch_fail(t->fetch, ERR_RANGE, "this tree has more than %u directories; select a part of it", FETCH_DIRS_MAX);
        return NO_DIR;
    }
    if (w->dir_count == w->dir_cap) {
        uint32_t cap = w->dir_cap ? w->dir_cap * 2 : 16;
        struct fetch_dir *dirs = realloc(w->dirs, cap * sizeof *dirs);
        if (dirs) {
            w->dirs = dirs;
            w->dir_cap = cap;
        }
    }
    char *copy = strdup(path);
    if (w->dir_count == w->dir_cap || !copy) {
        free(copy);
        fetch_tree_no_memory(t);
        return NO_DIR;
    }
    w->dirs[w->dir_count] = (struct fetch_dir){.id = *id, .path = copy, .depth = depth, .whole = whole, .next_ready = NO_DIR};
    t->waiting++;
    return w->dir_count++;
}

/* The manifests of small subdirectories came with the pack of their parent. */
void fetch_tree_children_ready(struct fetch_tree *t, uint32_t parent)
{
    const struct fetch_dir *d = &t->walk->dirs[parent];
    for (uint32_t i = 0; i < d->child_count; i++) {
        uint32_t child = d->first_child + i;
        if (t->walk->dirs[child].state == DIR_WAITING && t->walk->dirs[child].id.size <= TREE_LEAF_SIZE)
            fetch_tree_dir_ready(t, child);
    }
}

static bool manifest_wanted(struct fetch_tree *t, uint32_t dir)
{
    struct tree_work *w = work_new(t, dir, &t->walk->dirs[dir].id);
    if (!w) {
        fetch_tree_no_memory(t);
        return false;
    }
    t->walk->dirs[dir].state = DIR_WAITING;
    w->manifest = true;
    queue_push(&t->files, w);
    return true;
}

/* ---- Planning ---- */

static bool line_add(struct fetch_tree *t, const struct fetch_dir *d, const struct fetch_plan_item *item)
{
    struct job *job = t->fetch->job;
    char path[FETCH_PATH_MAX];
    if (job->entry_count >= FETCH_LIST_MAX || fetch_path_join(path, sizeof path, d->path, item->name) != 0) {
        fetch_fail(t->fetch, ERR_RANGE, "too much to list (more than %u lines); list a directory of it", FETCH_LIST_MAX);
        return false;
    }
    if (job->entry_count == t->entry_cap) {
        uint32_t cap = t->entry_cap ? t->entry_cap * 2 : 64;
        struct job_entry *entries = realloc(job->entries, cap * sizeof *entries);
        if (!entries) {
            fetch_tree_no_memory(t);
            return false;
        }
        job->entries = entries;
        t->entry_cap = cap;
    }
    struct job_entry *e = &job->entries[job->entry_count];
    e->id = item->id;
    e->executable = item->executable;
    e->path = strdup(path);
    if (!e->path) {
        fetch_tree_no_memory(t);
        return false;
    }
    job->entry_count++;
    return true;
}

static bool item_take(struct fetch_tree *t, uint32_t dir, struct fetch_plan_item *item)
{
    if (item->listed && !line_add(t, &t->walk->dirs[dir], item))
        return false;
    if (item->directory) {
        uint32_t child = fetch_tree_dir_add(t, &item->id, dir, item->name, item->whole);
        if (child == NO_DIR)
            return false;
        if (item->present)
            fetch_tree_dir_ready(t, child);
        else if (item->id.size > TREE_LEAF_SIZE)
            return manifest_wanted(t, child);
        return true;
    }
    if (item->listed)
        return true;
    struct tree_work *w = work_new(t, dir, &item->id);
    if (!w) {
        fetch_tree_no_memory(t);
        return false;
    }
    w->name = item->name;
    item->name = NULL;
    w->verify = item->present;
    queue_push(&t->files, w);
    return true;
}

/* The first plan of a directory makes its children and its larger files known; false: the job has ended. */
static bool plan_first(struct fetch_tree *t, struct fetch_plan *p)
{
    struct fetch_dir *d = &t->walk->dirs[p->dir];
    d->counted = true;
    d->first_child = t->walk->dir_count;
    t->files_total += p->files;
    t->bytes_total += p->bytes;
    for (size_t i = 0; i < t->walk->select_count; i++)
        if (p->found[i].found)
            t->found[i] = p->found[i];
    for (uint32_t i = 0; i < p->item_count; i++)
        if (!item_take(t, p->dir, &p->items[i]))
            return false;
    d = &t->walk->dirs[p->dir]; /* the array may have moved */
    d->child_count = t->walk->dir_count - d->first_child;
    return true;
}

/* Planned again because another unit fetched the same directory: only what came meanwhile matters. */
static void plan_again(struct fetch_tree *t, struct fetch_plan *p)
{
    const struct fetch_dir *d = &t->walk->dirs[p->dir];
    for (uint32_t i = 0, n = 0; i < p->item_count; i++) {
        if (!p->items[i].directory)
            continue;
        uint32_t child = d->first_child + n++;
        if (p->items[i].present && t->walk->dirs[child].state == DIR_WAITING && p->items[i].id.size <= TREE_LEAF_SIZE)
            fetch_tree_dir_ready(t, child);
    }
}

static bool pack_wanted(struct fetch_tree *t, struct fetch_plan *p)
{
    struct tree_work *w = work_new(t, p->dir, &p->id);
    if (!w) {
        fetch_tree_no_memory(t);
        return false;
    }
    w->pack = true;
    w->bytes = p->manifest;
    w->want = p->want;
    w->have = p->have;
    p->manifest = p->want = p->have = NULL;
    w->want_count = p->want_count;
    w->want_files = p->want_files;
    w->want_bytes = p->want_bytes;
    queue_push(&t->packs, w);
    return true;
}

static void plan_failed(struct fetch_tree *t, uint32_t dir, int error)
{
    struct fetch_dir *d = &t->walk->dirs[dir];
    const char *what = d->path[0] ? d->path : "the root";
    if (error == ERR_NO_SPACE) {
        t->trouble = error;
        t->pause_until = core_time_add(fetch_now(t->fetch), FETCH_SPACE_RETRY);
        fetch_tree_dir_ready(t, dir);
    } else if ((error == ERR_NOT_FOUND || error == ERR_BAD_HASH) && ++d->tries < DIR_TRIES_MAX) {
        manifest_wanted(t, dir);
    } else if (error == ERR_MALFORMED || error == ERR_VERSION || error == ERR_UNSUPPORTED) {
        fetch_fail(t->fetch, error, "the directory %.200s of this tree cannot be used: its manifest %s", what,
                   error == ERR_MALFORMED ? "is malformed; whoever made the link made it wrong" : "needs a newer version of shoal");
    } else if (t->walk->root) {
        char path[FETCH_PATH_MAX];
        if (fetch_path_join(path, sizeof path, t->walk->root, d->path) != 0)
            snprintf(path, sizeof path, "%s", t->walk->root);
        fetch_fail_disk(t->fetch, error, "cannot write the directory", path);
    } else {
        fetch_fail_disk(t->fetch, error, "cannot read a manifest of this tree in", t->fetch->f->home);
    }
}

static void plan_done(struct fetch_task *task)
{
    struct fetch_tree *t = task->owner;
    struct fetch_plan *p = (struct fetch_plan *)task;
    for (uint32_t i = 0; i < FETCH_TREE_PLANS; i++)
        if (t->plans[i] == task)
            t->plans[i] = NULL;
    t->planning--;
    if (task->status != 0) {
        plan_failed(t, p->dir, task->status);
        fetch_tree_pump(t);
        return;
    }
    struct fetch_dir *d = &t->walk->dirs[p->dir];
    d->state = DIR_PLANNED;
    t->trouble = 0;
    t->files_done += p->had_files - d->had_files;
    t->bytes_done += p->had_bytes - d->had_bytes;
    d->had_files = p->had_files;
    d->had_bytes = p->had_bytes;
    t->waiting--;
    if (d->counted)
        plan_again(t, p);
    else if (!plan_first(t, p))
        return;
    if (p->want_count > 0 && !pack_wanted(t, p))
        return;
    fetch_tree_pump(t);
}

/* Where this directory's small files lie already: shared by this node, or under the hands of another unit. */
static const char *local_directory(struct fetch_tree *t, const struct fetch_dir *d)
{
    struct store_content row;
    const struct fetch_unit *kept = fetch_unit_pack_kept(t->fetch->f, &d->id);
    if (!t->walk->root)
        return NULL;
    if (kept)
        return kept->path;
    if (store_content_by_id(t->walk->store, &d->id, &row) == 0 && row.state == CONTENT_OK)
        return row.directory;
    return NULL;
}

/* False: not now. */
bool fetch_tree_plan_start(struct fetch_tree *t)
{
    uint32_t slot = 0, dir = t->ready_first;
    while (slot < FETCH_TREE_PLANS && t->plans[slot])
        slot++;
    if (dir == NO_DIR || slot == FETCH_TREE_PLANS || t->files.count >= FETCH_TREE_QUEUE || t->packs.count >= PACKS_QUEUE_MAX)
        return false;
    if (t->pause_until > fetch_now(t->fetch))
        return false;
    struct fetch_dir *d = &t->walk->dirs[dir];
    struct fetch_plan *p = fetch_plan_new(t->walk, dir, local_directory(t, d));
    if (!p)
        return false; /* the next tick tries again */
    t->ready_first = d->next_ready;
    d->state = DIR_PLANNING;
    p->task.done = plan_done;
    t->plans[slot] = &p->task;
    t->planning++;
    fetch_task_start(t->fetch->f, &p->task, t);
    return true;
}
