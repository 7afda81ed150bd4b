/* One content to one place: a swarm of its own, unless another unit fetches the same content (then this one waits) or this node has it already
 * (then it is copied and verified). */
#include "node/host/fetch_internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>
#include "node/base/assert.h"
#include "node/host/log.h"

struct local_task { /* a copy of content this node has, or a look at what an earlier fetch left complete */
    struct fetch_task task;
    struct content_id id;
    bool in_tree, replace, verify_only;
    char *from, *to;
};

static void unit_try(struct fetch_unit *u);
static void unit_free(struct fetch_unit *u);

static bool same_content(const struct fetch_unit *a, const struct fetch_unit *b)
{
    return a->pack == b->pack && content_id_equal(&a->id, &b->id);
}

/* Those that wait for this content look again at the next tick. */
static void wake_others(struct fetch_unit *u)
{
    struct fetch_unit *other;
    DL_FOREACH(u->f->units, other)
        if (other != u && other->state == UNIT_WAITING && same_content(u, other))
            other->retry_at = 0;
    fetch_kick(u->f);
}

/* Tells the owner once. The unit may be gone afterwards. */
static void tell(struct fetch_unit *u, enum fetch_unit_state state, int status)
{
    u->state = state;
    u->retry_at = CORE_NEVER;
    if (status == 0)
        u->trouble = 0;
    wake_others(u);
    if (u->told || !u->fetch || u->fetch->ended)
        return;
    u->told = true;
    u->done(u, status);
}

static void wait_until(struct fetch_unit *u, core_time at)
{
    u->state = UNIT_WAITING;
    u->retry_at = at;
}

/* An error of ours. Space may come back, limits may free up; other errors are tried a few times, because disks recover. True: will retry. */
static bool retry_later(struct fetch_unit *u, int error)
{
    core_time now = host_now(u->f->core);
    u->trouble = error;
    if (error == ERR_NO_SPACE) {
        u->retry_at = core_time_add(now, FETCH_SPACE_RETRY);
        return true;
    }
    if (error == ERR_FULL || error == ERR_NO_MEMORY || error == ERR_BUSY) {
        u->retry_at = core_time_add(now, FETCH_BUSY_RETRY);
        return true;
    }
    if (error == ERR_IO && ++u->troubles < FETCH_TROUBLES_MAX) {
        u->retry_at = core_time_add(now, FETCH_SPACE_RETRY);
        return true;
    }
    return false;
}

/* ---- Local content ---- */

static void local_run(struct fetch_task *task)
{
    struct local_task *t = (struct local_task *)task;
    char temporary[FETCH_PATH_MAX];
    if (t->verify_only) {
        task->status = fetch_disk_verify_path(t->to, &t->id, &task->stop, NULL);
        return;
    }
    if (t->in_tree) { /* a name inside a staging directory: nobody takes it for complete */
        task->status = fetch_disk_copy(t->from, t->to, &t->id, false, &task->stop, NULL);
        return;
    }
    task->status = fetch_path_join(temporary, sizeof temporary, "", t->to);
    if (task->status == 0)
        task->status = fetch_path_append(temporary, sizeof temporary, ".copy" FETCH_PART);
    if (task->status == 0)
        task->status = fetch_disk_copy_publish(t->from, temporary, t->to, t->replace, &t->id, &task->stop);
}

static void local_done(struct fetch_task *task)
{
    struct fetch_unit *u = task->owner;
    int status = task->status;
    bool verify_only = ((struct local_task *)task)->verify_only;
    u->task = NULL;
    if (status == 0) {
        tell(u, UNIT_COMPLETE, 0);
    } else if (!verify_only && status == ERR_EXISTS) {
        tell(u, UNIT_FAILED, status);
    } else if (!verify_only && status == ERR_NO_SPACE && retry_later(u, status)) {
        u->state = UNIT_WAITING;
    } else {
        u->state = UNIT_WAITING;
        unit_try(u); /* not what it was: the network has it */
    }
}

static void local_free(struct fetch_task *task)
{
    struct local_task *t = (struct local_task *)task;
    free(t->from);
    free(t->to);
    free(t);
}

static bool local_start(struct fetch_unit *u, const char *from)
{
    struct local_task *t = calloc(1, sizeof *t);
    if (!t)
        return false;
    t->id = u->id;
    t->in_tree = u->in_tree;
    t->replace = u->replace;
    t->verify_only = from == NULL;
    t->from = from ? strdup(from) : NULL;
    t->to = strdup(u->path);
    t->task.run = local_run;
    t->task.done = local_done;
    t->task.free = local_free;
    if (!t->to || (from && !t->from)) {
        local_free(&t->task);
        return false;
    }
    u->state = UNIT_LOCAL;
    u->retry_at = CORE_NEVER;
    u->task = &t->task;
    fetch_task_start(u->f, &t->task, u);
    return true;
}

/* A place on this disk that has the content, as far as is known. Each unit looks only once: a second look would find the same. */
static bool local_try(struct fetch_unit *u)
{
    struct fetch_unit *other;
    struct store_content row;
    if (u->pack || u->tried_local)
        return false;
    u->tried_local = true;
    DL_FOREACH(u->f->units, other)
        if (other != u && other->state == UNIT_COMPLETE && same_content(u, other) && strcmp(other->path, u->path) != 0)
            return local_start(u, other->path);
    if (store_content_by_id(u->f->core->store, &u->id, &row) != 0 || row.state != CONTENT_OK || row.place == PLACE_PART)
        return false;
    if (strcmp(row.path, u->path) == 0)
        return u->id.kind == CONTENT_FILE && !u->replace && local_start(u, NULL);
    return local_start(u, row.path);
}

/* ---- The swarm ---- */

static void open_geometry(const struct fetch_unit *u, struct xfer_geometry *g)
{
    struct manifest_reader r;
    if (u->pack) {
        int rc = manifest_open(&r, bytes_of(u->manifest, (size_t)u->id.size));
        core_assert(rc == 0); /* checked when it was planned */
        xfer_geometry_pack(g, r.count, u->want_bytes / (u->want_count ? u->want_count : 1));
    } else {
        xfer_geometry_content(g, u->id.size);
    }
}

static int open_data(struct fetch_unit *u, const struct xfer_geometry *g, uint8_t **have)
{
    struct data *d = u->f->core->data;
    char tree_path[FETCH_PATH_MAX];
    size_t have_size = 0;
    *have = NULL;
    if (u->pack)
        return data_open_pack(d, &u->id, bytes_of(u->manifest, (size_t)u->id.size), u->path, true, &u->ref);
    struct data_part_params p = {.id = u->id, .path = u->path, .in_tree = u->in_tree, .chunk_leaves_log2 = g->chunk_leaves_log2};
    if (g->leaf_count > TREE_SPAN_LEAVES) {
        store_tree_path(u->f->core->store, &u->id, tree_path, sizeof tree_path);
        p.tree_path = tree_path;
    }
    return data_open_part(d, &p, &u->ref, have, &have_size);
}

static uint32_t open_swarm(struct fetch_unit *u, const struct xfer_geometry *g, const uint8_t *have)
{
    struct host_core *core = u->f->core;
    struct xfer_swarm_params p = {.id = u->id, .ref = u->ref, .pack = u->pack, .geometry = *g, .have_chunks = have,
                                  .want_leaves = u->want, .parent = u->parent};
    content_provider_key(p.provider_key, &u->id, core->network, core->crypto);
    return xfer_swarm_add(core->xfer, host_now(core), &p, host_out(core));
}

void fetch_unit_source(struct fetch_unit *u, const struct node_addr *a, enum xfer_source source)
{
    struct host_core *core = u->f->core;
    if (u->swarm != 0)
        xfer_swarm_peer(core->xfer, host_now(core), u->swarm, a->key, &a->addr, source, host_out(core));
}

static void callback_came(struct fetch_unit *u)
{
    core_assert(u->callbacks > 0);
    core_assert(u->f->closing > 0);
    u->callbacks--;
    u->f->closing--;
    if (u->callbacks > 0 || u->state != UNIT_CLOSING)
        return;
    if (u->reopen && u->fetch && !u->f->stopping) {
        u->reopen = false;
        u->state = UNIT_WAITING; /* retry_at was set */
        return;
    }
    unit_free(u);
}

static void data_closed(void *context)
{
    callback_came(context);
}

/* Takes the swarm and the ref away; callback_came follows. */
static void swarm_close(struct fetch_unit *u)
{
    struct host_core *core = u->f->core;
    HASH_DEL(u->f->swarms, u);
    shares_swarm_set(u->f->shares, &u->id, u->pack, 0, 0);
    xfer_swarm_remove(core->xfer, host_now(core), u->swarm, host_out(core));
    u->swarm = 0;
    u->callbacks++;
    u->f->closing++;
    host_drain(core);
    data_close(core->data, u->ref, data_closed, u);
}

/* After a failed sync nobody knows what is on the disk: the part is closed and opened again, which trusts the last map only. */
static void unit_reopen(struct fetch_unit *u)
{
    u->state = UNIT_CLOSING;
    u->reopen = true;
    swarm_close(u);
}

static void data_give_up(struct fetch_unit *u)
{
    data_close(u->f->core->data, u->ref, NULL, NULL);
    u->ref = 0;
}

static void part_forget(const struct fetch_unit *u)
{
    char path[FETCH_PATH_MAX];
    if (fetch_path_join(path, sizeof path, "", u->path) != 0 || fetch_path_append(path, sizeof path, FETCH_PART) != 0)
        return;
    unlink(path);
    if (fetch_path_append(path, sizeof path, ".map") == 0)
        unlink(path);
}

/* Opens the part and its swarm. Nothing of `u` may be used afterwards: draining may have ended it. */
static void unit_open(struct fetch_unit *u)
{
    struct host_core *core = u->f->core;
    struct xfer_geometry g;
    struct xfer_swarm_stats stats;
    uint8_t *have;
    open_geometry(u, &g);
    int rc = open_data(u, &g, &have);
    if (rc == ERR_EXISTS && u->id.kind == CONTENT_TREE && !u->pack) {
        part_forget(u); /* in our own folder: left by a crash before its map was written */
        rc = open_data(u, &g, &have);
    }
    if (rc == 0) {
        u->swarm = open_swarm(u, &g, !u->pack ? have : g.chunk_leaves_log2 == 0 ? u->have : NULL);
        if (u->swarm == 0) {
            rc = ERR_FULL;
            data_give_up(u);
        }
    }
    free(have);
    if (rc != 0) {
        log_debug("fetch", "cannot open %s: %s", u->path, err_text(rc));
        if (!retry_later(u, rc))
            tell(u, UNIT_FAILED, rc);
        return;
    }
    u->state = UNIT_RUNNING;
    u->retry_at = CORE_NEVER;
    u->trouble = 0;
    free(u->manifest);
    free(u->want);
    free(u->have);
    u->manifest = u->want = u->have = NULL;
    HASH_ADD(hh, u->f->swarms, swarm, sizeof u->swarm, u);
    shares_swarm_set(u->f->shares, &u->id, u->pack, u->swarm, u->ref);
    for (uint32_t i = 0; u->fetch && i < u->fetch->source_count; i++)
        fetch_unit_source(u, &u->fetch->sources[i].node, u->fetch->sources[i].how);
    if (xfer_swarm_stats(core->xfer, host_now(core), u->swarm, &stats) && stats.complete)
        fetch_unit_complete(u); /* everything was on disk already */
    host_drain(core);
}

/* Who works on the same content, or still holds its files and swarm. */
static struct fetch_unit *unit_rival(struct fetch_unit *u)
{
    struct fetch_unit *other;
    DL_FOREACH(u->f->units, other) {
        if (other != u && same_content(u, other) && other->state != UNIT_FAILED && other->state != UNIT_WAITING &&
            (other->state != UNIT_COMPLETE || other->swarm != 0))
            return other;
    }
    return NULL;
}

static void unit_try(struct fetch_unit *u)
{
    core_assert(u->state == UNIT_WAITING);
    struct fetch_unit *rival = unit_rival(u);
    if (rival && rival->state != UNIT_COMPLETE) {
        u->blocked = true;
        wait_until(u, CORE_NEVER); /* its end wakes us */
        return;
    }
    if (u->pack && u->blocked) {
        tell(u, UNIT_FAILED, ERR_BUSY); /* what it brought can be copied: the directory is planned again */
        return;
    }
    /* A file of the user's may have been moved, changed or removed since: that is fetched again. */
    if (rival && !u->pack && u->id.kind == CONTENT_TREE && strcmp(rival->path, u->path) == 0) {
        tell(u, UNIT_COMPLETE, 0);
        return;
    }
    if (u->id.kind == CONTENT_TREE && !u->pack && access(u->path, F_OK) == 0) {
        tell(u, UNIT_COMPLETE, 0); /* read and checked by who planned with it */
        return;
    }
    if (u->verify) {
        u->verify = false;
        if (local_start(u, NULL))
            return;
    }
    if (local_try(u))
        return;
    if (rival) { /* keeps the number of our swarm only to serve, and a copy did not do */
        wait_until(u, CORE_NEVER);
        fetch_unit_close(rival);
        return;
    }
    if (shares_swarm(u->f->shares, &u->id, u->pack) != 0) {
        wait_until(u, core_time_add(host_now(u->f->core), FETCH_BUSY_RETRY));
        return;
    }
    unit_open(u);
}

struct fetch_unit *fetch_unit_add(struct fetch *fetch, const struct fetch_unit_params *p)
{
    struct fetch_unit *u = calloc(1, sizeof *u);
    char *path = strdup(p->path);
    if (!u || !path) {
        free(u);
        free(path);
        free(p->manifest);
        free(p->want);
        free(p->have);
        return NULL;
    }
    u->f = fetch->f;
    u->fetch = fetch;
    u->owner = p->owner;
    u->done = p->done;
    u->id = p->id;
    u->pack = p->pack;
    u->in_tree = p->in_tree;
    u->replace = p->replace;
    u->verify = p->verify;
    u->path = path;
    u->manifest = p->manifest;
    u->want = p->want;
    u->have = p->have;
    u->want_count = p->want_count;
    u->want_files = p->want_files;
    u->want_bytes = p->want_bytes;
    u->parent = p->parent;
    u->state = UNIT_WAITING;
    u->retry_at = 0; /* begun by the next tick, so that nothing happens inside this call */
    DL_APPEND(u->f->units, u);
    fetch_kick(u->f);
    return u;
}

void fetch_unit_retry(struct fetch_unit *u)
{
    struct host_core *core = u->f->core;
    u->retry_at = CORE_NEVER;
    switch (u->state) {
    case UNIT_WAITING:
        unit_try(u);
        break;
    case UNIT_RUNNING:
        xfer_swarm_pause(core->xfer, host_now(core), u->swarm, false, host_out(core));
        host_drain(core);
        break;
    default:
        break;
    }
}

static void data_finished(void *context, int status, const struct file_stamp *stamp)
{
    struct fetch_unit *u = context;
    bool ended = u->state == UNIT_CLOSING;
    (void)stamp;
    callback_came(u);
    if (ended)
        return;
    core_assert(u->state == UNIT_FINISHING);
    if (status == 0)
        tell(u, UNIT_COMPLETE, 0);
    else if (retry_later(u, status))
        unit_reopen(u);
    else
        tell(u, UNIT_FAILED, status);
}

void fetch_unit_complete(struct fetch_unit *u)
{
    if (u->state != UNIT_RUNNING)
        return;
    if (u->pack) {
        tell(u, UNIT_COMPLETE, 0);
        return;
    }
    u->state = UNIT_FINISHING;
    u->retry_at = CORE_NEVER;
    u->callbacks++;
    u->f->closing++;
    data_finish(u->f->core->data, u->ref, u->replace, data_finished, u);
}

void fetch_unit_trouble(struct fetch_unit *u, int status)
{
    if (u->state != UNIT_RUNNING)
        return;
    log_warning("fetch", "%s: %s", u->path, err_text(status));
    if (!retry_later(u, status))
        tell(u, UNIT_FAILED, status);
}

bool fetch_unit_stats(const struct fetch_unit *u, struct xfer_swarm_stats *out)
{
    return u->swarm != 0 && xfer_swarm_stats(u->f->core->xfer, host_now(u->f->core), u->swarm, out);
}

const struct fetch_unit *fetch_unit_pack_kept(struct fetches *f, const struct content_id *id)
{
    struct fetch_unit *u;
    DL_FOREACH(f->units, u)
        if (u->pack && u->state == UNIT_COMPLETE && content_id_equal(&u->id, id))
            return u;
    return NULL;
}

/* ---- The end ---- */

static void unit_free(struct fetch_unit *u)
{
    struct fetches *f = u->f;
    struct fetch *fetch = u->fetch;
    core_assert(u->callbacks == 0);
    core_assert(u->task == NULL);
    DL_DELETE(f->units, u);
    u->state = UNIT_CLOSING;
    if (!f->stopping)
        wake_others(u);
    free(u->path);
    free(u->manifest);
    free(u->want);
    free(u->have);
    free(u);
    if (fetch && !f->stopping)
        fetch_unit_gone(fetch);
    fetch_maybe_stopped(f);
}

void fetch_unit_close(struct fetch_unit *u)
{
    u->reopen = false;
    u->told = true;
    u->retry_at = CORE_NEVER;
    if (u->state == UNIT_CLOSING)
        return;
    fetch_task_drop(&u->task);
    u->state = UNIT_CLOSING;
    if (u->swarm != 0)
        swarm_close(u);
    else if (u->callbacks == 0)
        unit_free(u);
}

void fetch_unit_release(struct fetch_unit *u)
{
    core_assert(u->state == UNIT_COMPLETE);
    core_assert(u->told);
    u->fetch = NULL;
    u->owner = NULL;
    if (u->swarm == 0)
        fetch_unit_close(u);
}
