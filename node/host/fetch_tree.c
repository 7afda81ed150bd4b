/* A tree: root manifest, then directory after directory as their manifests arrive. Each is planned in the pool (fetch_plan.c), its small entries come
 * by a pack, its larger files by swarms of their own, a bounded number at once. When nothing is left, the tree gets its name (fetch_final.c).
 *
 *     PREPARE -> ROOT -> WALK -> CLOSING -> FINAL
 */
#include "node/host/fetch_walk.h"
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

#define NO_DIR          UINT32_MAX
#define DIR_TRIES_MAX   3   /* a manifest damaged on our disk is fetched again this often */
#define PACKS_QUEUE_MAX 16

enum tree_phase { TREE_PREPARE, TREE_ROOT, TREE_WALK, TREE_CLOSING, TREE_FINAL };

/* Something to fetch: a pack, a larger file, or a larger manifest. Owned by the tree's queue, then by the unit that works on it. */
struct tree_work {
    struct fetch_tree *tree;
    uint32_t dir;              /* the directory it lies in; for a manifest: the directory it describes */
    bool pack, manifest, verify;
    struct content_id id;
    char *name;
    uint8_t *bytes, *want, *have; /* of a pack: manifest, wanted entries, present entries */
    uint32_t want_count, want_files;
    uint64_t want_bytes;
    struct tree_work *next;
};
struct work_queue {
    struct tree_work *first, **last;
    uint32_t count;
};

struct fetch_tree {
    struct fetch *fetch;
    struct fetch_walk *walk;
    enum tree_phase phase;
    uint32_t root_swarm;           /* whose sessions the rest uses; 0: the manifest was here already */
    struct fetch_task *plans[FETCH_TREE_PLANS];
    uint32_t ready_first, ready_last, planning, waiting; /* waiting: directories not planned yet, ready or not */
    struct work_queue files, packs;
    uint32_t active_files, active_packs;
    core_time pause_until;         /* disk full while planning or finishing */
    int trouble;
    uint64_t files_done, bytes_done, files_total, bytes_total;
    struct fetch_found *found;
    uint32_t entry_cap;
};

static void pump(struct fetch_tree *t);

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

static struct tree_work *queue_pop(struct work_queue *q)
{
    struct tree_work *w = q->first;
    q->first = w->next;
    q->count--;
    return w;
}

static void work_free(struct tree_work *w)
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

static void no_memory(struct fetch_tree *t)
{
    fetch_fail(t->fetch, ERR_NO_MEMORY, "out of memory while fetching the tree; what has arrived is kept, get it again to go on");
}

/* ---- Directories ---- */

static void dir_ready(struct fetch_tree *t, uint32_t index)
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
static uint32_t dir_add(struct fetch_tree *t, const struct content_id *id, uint32_t parent, const char *name, bool whole)
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
        no_memory(t);
        return NO_DIR;
    }
    w->dirs[w->dir_count] = (struct fetch_dir){.id = *id, .path = copy, .depth = depth, .whole = whole, .next_ready = NO_DIR};
    t->waiting++;
    return w->dir_count++;
}

/* The manifests of small subdirectories came with the pack of their parent. */
static void children_ready(struct fetch_tree *t, uint32_t parent)
{
    const struct fetch_dir *d = &t->walk->dirs[parent];
    for (uint32_t i = 0; i < d->child_count; i++) {
        uint32_t child = d->first_child + i;
        if (t->walk->dirs[child].state == DIR_WAITING && t->walk->dirs[child].id.size <= TREE_LEAF_SIZE)
            dir_ready(t, child);
    }
}

static bool manifest_wanted(struct fetch_tree *t, uint32_t dir)
{
    struct tree_work *w = work_new(t, dir, &t->walk->dirs[dir].id);
    if (!w) {
        no_memory(t);
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
            no_memory(t);
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
        no_memory(t);
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
        uint32_t child = dir_add(t, &item->id, dir, item->name, item->whole);
        if (child == NO_DIR)
            return false;
        if (item->present)
            dir_ready(t, child);
        else if (item->id.size > TREE_LEAF_SIZE)
            return manifest_wanted(t, child);
        return true;
    }
    if (item->listed)
        return true;
    struct tree_work *w = work_new(t, dir, &item->id);
    if (!w) {
        no_memory(t);
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
            dir_ready(t, child);
    }
}

static bool pack_wanted(struct fetch_tree *t, struct fetch_plan *p)
{
    struct tree_work *w = work_new(t, p->dir, &p->id);
    if (!w) {
        no_memory(t);
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
        dir_ready(t, dir);
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
        pump(t);
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
    pump(t);
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
static bool plan_start(struct fetch_tree *t)
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

/* ---- Fetching ---- */

/* Complete swarms go on serving until there are too many of them. A pack of which only some entries were wanted does not: it would promise all. */
static void keep(struct fetch_tree *t, struct fetch_unit *u, const struct tree_work *w)
{
    struct fetch_unit *other, *oldest = NULL;
    uint32_t count = 0;
    if (u->swarm == 0 || (w->pack && (!t->walk->root || !t->walk->dirs[w->dir].whole))) {
        fetch_unit_close(u);
        return;
    }
    DL_FOREACH(t->fetch->f->units, other) {
        if (other->fetch != t->fetch || other->state != UNIT_COMPLETE || other->swarm == t->root_swarm)
            continue;
        oldest = oldest ? oldest : other;
        count++;
    }
    if (count > FETCH_TREE_KEPT)
        fetch_unit_close(oldest);
}

static void unit_failed(struct fetch_tree *t, struct fetch_unit *u, int status)
{
    char path[FETCH_PATH_MAX];
    snprintf(path, sizeof path, "%s", u->path);
    fetch_fail_disk(t->fetch, status, "cannot write", path);
}

static void work_done(struct fetch_unit *u, int status)
{
    struct tree_work *w = u->owner;
    struct fetch_tree *t = w->tree;
    u->owner = NULL;
    *(w->pack ? &t->active_packs : &t->active_files) -= 1;
    if (w->pack && status == ERR_BUSY) {
        t->waiting++;
        dir_ready(t, w->dir);
        fetch_unit_close(u);
    } else if (status != 0) {
        work_free(w);
        unit_failed(t, u, status);
        return;
    } else {
        if (w->pack) {
            t->files_done += w->want_files;
            t->bytes_done += w->want_bytes;
            children_ready(t, w->dir);
        } else if (w->manifest) {
            dir_ready(t, w->dir);
        } else {
            t->files_done++;
            t->bytes_done += w->id.size;
        }
        keep(t, u, w);
    }
    work_free(w);
    pump(t);
}

/* Makes home/objects and home/objects/xx: a fresh home has neither. */
static void object_directory(const char *object)
{
    char path[FETCH_PATH_MAX];
    snprintf(path, sizeof path, "%s", object);
    *strrchr(path, '/') = 0;
    char *below = strrchr(path, '/');
    *below = 0;
    (void)mkdir(path, 0700);
    *below = '/';
    (void)mkdir(path, 0700);
}

/* The name of an object, a file in the tree, or the directory of a pack. */
static int work_path(struct fetch_tree *t, const struct tree_work *w, char *out)
{
    const char *dir = t->walk->dirs[w->dir].path;
    char below[FETCH_PATH_MAX];
    if (w->manifest) {
        store_object_path(t->walk->store, &w->id, out, FETCH_PATH_MAX);
        return 0;
    }
    if (!t->walk->root) /* a listing: manifests only, and they go to the objects; the directory is never written to */
        return fetch_path_join(out, FETCH_PATH_MAX, "", t->fetch->f->home);
    int rc = fetch_path_join(below, sizeof below, dir, w->name ? w->name : "");
    return rc ? rc : fetch_path_join(out, FETCH_PATH_MAX, t->walk->root, below);
}

static void work_start(struct fetch_tree *t, struct tree_work *w)
{
    char path[FETCH_PATH_MAX];
    if (work_path(t, w, path) != 0) {
        fetch_fail(t->fetch, ERR_RANGE, "the path of %.200s gets too long here; fetch to a shorter path with -o", w->name ? w->name : "a directory");
        work_free(w);
        return;
    }
    struct fetch_unit_params p = {.id = w->id, .pack = w->pack, .in_tree = !w->pack && !w->manifest, .verify = w->verify, .path = path,
                                  .manifest = w->bytes, .want = w->want, .have = w->have, .want_count = w->want_count, .want_files = w->want_files,
                                  .want_bytes = w->want_bytes, .parent = t->root_swarm, .owner = w, .done = work_done};
    w->bytes = w->want = w->have = NULL;
    if (w->manifest)
        object_directory(path);
    *(w->pack ? &t->active_packs : &t->active_files) += 1;
    if (!fetch_unit_add(t->fetch, &p)) {
        work_free(w);
        no_memory(t);
    }
}

/* ---- The phases ---- */

static void select_check(struct fetch_tree *t)
{
    struct fetch *x = t->fetch;
    size_t found = 0;
    for (size_t i = 0; i < t->walk->select_count; i++) {
        found += t->found[i].found;
        if (!t->found[i].found)
            job_problem(x->job, t->walk->select[i], ERR_NOT_FOUND, "not in this tree");
    }
    if (t->walk->select_count > 0 && found == 0)
        fetch_fail(x, ERR_NOT_FOUND, "%.200s is not in this tree; `shoal ls LINK` shows what is", t->walk->select[0]);
}

static int entry_compare(const void *a, const void *b)
{
    return strcmp(((const struct job_entry *)a)->path, ((const struct job_entry *)b)->path);
}

static void list_done(struct fetch_tree *t)
{
    struct job *job = t->fetch->job;
    if (job->entry_count)
        qsort(job->entries, job->entry_count, sizeof *job->entries, entry_compare);
    fetch_done(t->fetch, "");
}

static void final_done(struct fetch_task *task)
{
    struct fetch_tree *t = task->owner;
    struct fetch *x = t->fetch;
    struct fetch_final *f = (struct fetch_final *)task;
    x->task = NULL;
    if (task->status == 0) {
        fetch_tree_named(x, t->found, "");
    } else if (task->status == ERR_NO_SPACE) {
        t->trouble = ERR_NO_SPACE;
        t->phase = TREE_CLOSING;
        t->pause_until = core_time_add(fetch_now(x), FETCH_SPACE_RETRY);
    } else if (task->status == ERR_EXISTS) {
        fetch_fail(x, ERR_EXISTS, "%.200s has come to exist meanwhile; all has arrived and waits in %.60s" FETCH_PART ": move the other away and get it again",
                   f->where, strrchr(x->target, '/') + 1);
    } else if (task->status == ERR_CHANGED) {
        fetch_fail(x, ERR_CHANGED, "%.200s was changed in the staging folder %.60s" FETCH_PART " by something else; get it again: only what is wrong is fetched",
                   f->where, strrchr(x->target, '/') + 1);
    } else {
        fetch_fail_disk(x, task->status, "cannot finish", f->where);
    }
}

static void final_start(struct fetch_tree *t)
{
    struct fetch_final *f = fetch_final_new(t->walk);
    if (!f) {
        no_memory(t);
        return;
    }
    t->phase = TREE_FINAL;
    f->task.done = final_done;
    t->fetch->task = &f->task;
    fetch_task_start(t->fetch->f, &f->task, t);
}

static bool units_left(const struct fetch_tree *t)
{
    struct fetch_unit *u;
    DL_FOREACH(t->fetch->f->units, u)
        if (u->fetch == t->fetch)
            return true;
    return false;
}

void fetch_tree_units_gone(struct fetch_tree *t)
{
    if (t->phase == TREE_CLOSING && !t->fetch->ended && t->pause_until <= fetch_now(t->fetch) && !units_left(t))
        final_start(t);
}

static void close_units(struct fetch_tree *t)
{
    struct fetch_unit *u, *next;
    DL_FOREACH_SAFE(t->fetch->f->units, u, next)
        if (u->fetch == t->fetch)
            fetch_unit_close(u);
}

static void walk_done(struct fetch_tree *t)
{
    struct fetch *x = t->fetch;
    core_assert(t->waiting == 0);
    select_check(t);
    if (x->ended)
        return;
    if (x->list_only) {
        list_done(t);
        return;
    }
    t->phase = TREE_CLOSING;
    close_units(t);
    fetch_tree_units_gone(t);
}

/* Starts whatever may start now. */
static void pump(struct fetch_tree *t)
{
    struct fetch *x = t->fetch;
    if (t->phase != TREE_WALK || x->ended)
        return;
    while (plan_start(t))
        ;
    while (!x->ended && t->packs.count > 0 && t->active_packs < FETCH_TREE_PACKS)
        work_start(t, queue_pop(&t->packs));
    while (!x->ended && t->files.count > 0 && t->active_files < FETCH_TREE_FILES)
        work_start(t, queue_pop(&t->files));
    bool idle = t->planning == 0 && t->active_files == 0 && t->active_packs == 0 && t->ready_first == NO_DIR;
    if (idle && !x->ended)
        walk_done(t);
}

static void root_arrived(struct fetch_tree *t)
{
    t->phase = TREE_WALK;
    dir_ready(t, 0);
    pump(t);
}

static void root_done(struct fetch_unit *u, int status)
{
    struct fetch_tree *t = u->owner;
    if (status != 0) {
        unit_failed(t, u, status);
        return;
    }
    t->root_swarm = u->swarm;
    if (u->swarm == 0)
        fetch_unit_close(u);
    root_arrived(t);
}

static void root_start(struct fetch_tree *t)
{
    struct fetch *x = t->fetch;
    char object[FETCH_PATH_MAX];
    t->phase = TREE_ROOT;
    if (dir_add(t, &x->what.link.id, NO_DIR, "", t->walk->select_count == 0) == NO_DIR)
        return;
    store_object_path(t->walk->store, &x->what.link.id, object, sizeof object);
    if (access(object, F_OK) == 0) {
        root_arrived(t);
        return;
    }
    struct fetch_unit_params p = {.id = x->what.link.id, .path = object, .owner = t, .done = root_done};
    object_directory(object);
    if (!fetch_unit_add(x, &p))
        no_memory(t);
}

static void prepare_failed(struct fetch *x, const struct fetch_prepare *p)
{
    bool target = strcmp(p->where, x->target) == 0;
    if (p->task.status == ERR_EXISTS && target)
        fetch_fail(x, ERR_EXISTS, "%.200s exists already; choose another place with -o, or move it away", p->where);
    else if (p->task.status == ERR_EXISTS)
        fetch_fail(x, ERR_EXISTS, "%.200s exists and does not belong to this fetch; move it away, or choose another place with -o", p->where);
    else
        fetch_fail_disk(x, p->task.status, "cannot make", p->where);
}

static void prepare_start(struct fetch_tree *t);

static void prepare_done(struct fetch_task *task)
{
    struct fetch_tree *t = task->owner;
    struct fetch *x = t->fetch;
    const struct fetch_prepare *p = (const struct fetch_prepare *)task;
    x->task = NULL;
    if (task->status == ERR_NO_SPACE) {
        t->trouble = ERR_NO_SPACE;
        t->pause_until = core_time_add(fetch_now(x), FETCH_SPACE_RETRY);
    } else if (task->status != 0) {
        prepare_failed(x, p);
    } else if (p->published) {
        t->phase = TREE_FINAL;
        fetch_tree_named(x, p->found, "already there");
    } else {
        t->trouble = 0;
        root_start(t);
    }
}

static void prepare_start(struct fetch_tree *t)
{
    struct fetch_prepare *p = fetch_prepare_new(t->walk, &t->fetch->what.link.id);
    if (!p) {
        no_memory(t);
        return;
    }
    p->task.done = prepare_done;
    t->fetch->task = &p->task;
    fetch_task_start(t->fetch->f, &p->task, t);
}

void fetch_tree_start(struct fetch *x)
{
    char root[FETCH_PATH_MAX];
    struct fetch_tree *t = x->tree = calloc(1, sizeof *t);
    int rc = t ? fetch_path_join(root, sizeof root, "", x->target) : ERR_NO_MEMORY;
    if (rc == 0)
        rc = fetch_path_append(root, sizeof root, FETCH_PART "/" FETCH_TREE);
    if (rc == 0) {
        t->fetch = x;
        t->ready_first = t->ready_last = NO_DIR;
        t->walk = fetch_walk_new(x, x->list_only ? NULL : root);
        t->found = calloc(x->what.select_count + 1, sizeof *t->found);
    }
    if (rc != 0 || !t->walk || !t->found) {
        fetch_fail(x, rc ? rc : ERR_NO_MEMORY, "cannot begin: %s", err_text(rc ? rc : ERR_NO_MEMORY));
        return;
    }
    if (x->what.link.id.size == 0 || x->what.link.id.size > MANIFEST_SIZE_MAX)
        fetch_fail(x, ERR_MALFORMED, "this link names a tree, but its size (%" PRIu64 " bytes) cannot be a manifest's", x->what.link.id.size);
    else if (x->list_only)
        root_start(t);
    else
        prepare_start(t);
}

void fetch_tree_free(struct fetch_tree *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < FETCH_TREE_PLANS; i++)
        fetch_task_drop(&t->plans[i]);
    while (t->files.count > 0)
        work_free(queue_pop(&t->files));
    while (t->packs.count > 0)
        work_free(queue_pop(&t->packs));
    struct fetch_unit *u;
    DL_FOREACH(t->fetch->f->units, u) {
        if (u->fetch == t->fetch && u->owner && u->owner != t && !u->told)
            work_free(u->owner);
    }
    fetch_walk_release(t->walk);
    free(t->found);
    free(t);
}

/* ---- Progress ---- */

static void unit_progress(const struct fetch_unit *u, uint64_t *files, uint64_t *bytes)
{
    struct xfer_swarm_stats s;
    if (u->told || !fetch_unit_stats(u, &s))
        return;
    if (u->pack) {
        *files += s.leaves_have < u->want_files ? s.leaves_have : u->want_files;
        *bytes += s.bytes_down < u->want_bytes ? s.bytes_down : u->want_bytes;
    } else if (u->in_tree) {
        uint64_t have = (uint64_t)s.leaves_have * TREE_LEAF_SIZE;
        *bytes += have < u->id.size ? have : u->id.size;
    }
}

void fetch_tree_poll(struct fetch_tree *t)
{
    struct fetch *x = t->fetch;
    uint64_t files = t->files_done, bytes = t->bytes_done;
    struct fetch_unit *u;
    DL_FOREACH(x->f->units, u)
        if (u->fetch == x)
            unit_progress(u, &files, &bytes);
    x->job->files_done = files;
    x->job->bytes_done = bytes;
    x->job->files_total = t->files_total;
    x->job->bytes_total = t->bytes_total;
    if (t->pause_until > fetch_now(x))
        return;
    if (t->phase == TREE_PREPARE && !x->task && !x->list_only)
        prepare_start(t);
    else if (t->phase == TREE_CLOSING)
        fetch_tree_units_gone(t);
    else
        pump(t);
}

int fetch_tree_trouble(const struct fetch_tree *t)
{
    return t->trouble;
}
