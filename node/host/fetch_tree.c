/* A tree: root manifest, then directory after directory as their manifests arrive. Each is planned in the pool (fetch_plan.c), its small entries come
 * by a pack, its larger files by swarms of their own, a bounded number at once. When nothing is left, the tree gets its name (fetch_final.c).
 *
 *     PREPARE -> ROOT -> WALK -> CLOSING -> FINAL
 */
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
        fetch_tree_dir_ready(t, w->dir);
        fetch_unit_close(u);
    } else if (status != 0) {
        fetch_tree_work_free(w);
        unit_failed(t, u, status);
        return;
    } else {
        if (w->pack) {
            t->files_done += w->want_files;
            t->bytes_done += w->want_bytes;
            fetch_tree_children_ready(t, w->dir);
        } else if (w->manifest) {
            fetch_tree_dir_ready(t, w->dir);
        } else {
            t->files_done++;
            t->bytes_done += w->id.size;
        }
        keep(t, u, w);
    }
    fetch_tree_work_free(w);
    fetch_tree_pump(t);
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
        fetch_fail(t->fetch, ERR_RANGE, "the path of %.200s gets too long here; fetch to a shorter path", w->name ? w->name : "a directory");
        fetch_tree_work_free(w);
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
        fetch_tree_work_free(w);
        fetch_tree_no_memory(t);
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
        fetch_tree_no_memory(t);
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
void fetch_tree_pump(struct fetch_tree *t)
{
    struct fetch *x = t->fetch;
    if (t->phase != TREE_WALK || x->ended)
        return;
    while (fetch_tree_plan_start(t))
        ;
    while (!x->ended && t->packs.count > 0 && t->active_packs < FETCH_TREE_PACKS)
        work_start(t, fetch_tree_queue_pop(&t->packs));
    while (!x->ended && t->files.count > 0 && t->active_files < FETCH_TREE_FILES)
        work_start(t, fetch_tree_queue_pop(&t->files));
    bool idle = t->planning == 0 && t->active_files == 0 && t->active_packs == 0 && t->ready_first == NO_DIR;
    if (idle && !x->ended)
        walk_done(t);
}

static void root_arrived(struct fetch_tree *t)
{
    t->phase = TREE_WALK;
    fetch_tree_dir_ready(t, 0);
    fetch_tree_pump(t);
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
    if (fetch_tree_dir_add(t, &x->what.link.id, NO_DIR, "", t->walk->select_count == 0) == NO_DIR)
        return;
    store_object_path(t->walk->store, &x->what.link.id, object, sizeof object);
    if (access(object, F_OK) == 0) {
        root_arrived(t);
        return;
    }
    struct fetch_unit_params p = {.id = x->what.link.id, .path = object, .owner = t, .done = root_done};
    object_directory(object);
    if (!fetch_unit_add(x, &p))
        fetch_tree_no_memory(t);
}

static void prepare_failed(struct fetch *x, const struct fetch_prepare *p)
{
    bool target = strcmp(p->where, x->target) == 0;
    if (p->task.status == ERR_EXISTS && target)
        fetch_fail(x, ERR_EXISTS, "%.200s exists already; choose another place or move it away", p->where);
    else if (p->task.status == ERR_EXISTS)
        fetch_fail(x, ERR_EXISTS, "%.200s exists and does not belong to this fetch; move it away, or choose another place", p->where);
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
        fetch_tree_no_memory(t);
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
        fetch_tree_work_free(fetch_tree_queue_pop(&t->files));
    while (t->packs.count > 0)
        fetch_tree_work_free(fetch_tree_queue_pop(&t->packs));
    struct fetch_unit *u;
    DL_FOREACH(t->fetch->f->units, u) {
        if (u->fetch == t->fetch && u->owner && u->owner != t && !u->told)
            fetch_tree_work_free(u->owner);
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
        fetch_tree_pump(t);
}

int fetch_tree_trouble(const struct fetch_tree *t)
{
    return t->trouble;
}
