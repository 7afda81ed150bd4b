/* Open files: on this disk, or on their way to the cache of the home (home/cache/<id>), read where they have
 * arrived. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "gateways/content_internal_host.h"
#include "node/base/assert.h"
#include "transfer/tree.h"

#define IDLE_KEPT                                                                                            \
    CORE_SECONDS(20) /* a fetch whose readers have gone goes on for so long: players come back */
#define SMALL_IN_TREE   (1u << 20)    /* smaller files of a tree are announced with the tree only */
#define READ_WINDOW_MAX (64u * 1024u) /* leaves of one reader's window */

bool content_cache_path(struct content *c, const struct content_id *id, char *out, size_t cap)
{
    char text[CONTENT_ID_TEXT_SIZE + 1];
    content_id_format(text, id);
    return (size_t)snprintf(out, cap, "%.4000s/cache/%s", c->app->home.path, text) < cap;
}

/* ---- The cache ---- */

static struct job *cached_start(struct content *c, struct cached *k, const struct found *what,
                                const struct link *hints)
{
    struct link link = {.id = what->info.id};
    char folder[PATH_MAX];
    const char *select[1] = {what->inside};
    bool small = what->in_tree && what->info.size < SMALL_IN_TREE;
    if (hints)
        link = *hints;
    link.id = small ? what->root : what->info.id;
    snprintf(folder, sizeof folder, "%.4000s/cache", c->app->home.path);
    (void)mkdir(folder, 0700);
    if (small) { /* by way of its tree, into a folder of its own: others may select other files of it at the
                    same time */
        char text[CONTENT_ID_TEXT_SIZE + 1];
        content_id_format(text, &what->info.id);
        snprintf(k->target, sizeof k->target, "%.3900s/%s.tree", folder, text);
        snprintf(k->inside, sizeof k->inside, "%s", what->inside);
    }
    const struct fetch_params p = {
        .link = link, .output = k->target, .select = select, .select_count = small ? 1 : 0, .no_share = true};
    return fetches_get(c->app->fetches, &p);
}

static void on_room(uv_work_t *work)
{
    struct cached *k = work->data;
    struct store *store;
    k->error = store_open(&store, k->c->app->home.path, NULL);
    if (k->error == 0) {
        k->error = store_cache_room(store, k->id.size);
        store_close(store);
    }
}

static void cached_begin(struct cached *k)
{
    struct job *job = k->error ? NULL : cached_start(k->c, k, k->what, k->hints);
    if (k->error == 0 && !job)
        k->error = ERR_FULL;
    k->job = job ? job->id : 0;
    free(k->what);
    free(k->hints);
    k->what = NULL;
    k->hints = NULL;
}

static void on_room_made(uv_work_t *work, int status)
{
    struct cached *k = work->data;
    struct content *c = k->c;
    core_assert(status == 0);
    c->reads--;
    k->making_room = false;
    if (c->stopping)
        k->error = ERR_CANCELLED;
    cached_begin(k);
    if (!c->stopping)
        content_kick(c);
    content_maybe_stopped(c);
}

static bool cached_good(const struct cached *k)
{
    const struct job *job = jobs_find(k->c->app->jobs, k->job);
    return k->making_room || (job && job->state != JOB_FAILED);
}

static struct cached *cached_of(struct content *c, const struct found *what, const struct link *hints)
{
    struct cached *k;
    DL_FOREACH(c->cached, k)
    {
        if (content_id_equal(&k->id, &what->info.id) && cached_good(k))
            return k;
    }
    k = calloc(1, sizeof *k);
    struct found *copy = malloc(sizeof *copy);
    struct link *link = hints ? malloc(sizeof *link) : NULL;
    if (!k || !copy || (hints && !link)) {
        free(k);
        free(copy);
        free(link);
        return NULL;
    }
    *copy = *what;
    if (hints)
        *link = *hints;
    k->c = c;
    k->id = what->info.id;
    k->what = copy;
    k->hints = link;
    content_cache_path(c, &k->id, k->target, sizeof k->target);
    DL_APPEND(c->cached, k);
    if (c->app->config.quota) { /* looked at in the pool: it may have to remove */
        k->making_room = true;
        k->work.data = k;
        c->reads++;
        core_assert(uv_queue_work(&c->app->loop, &k->work, on_room, on_room_made) == 0);
    } else {
        cached_begin(k);
    }
    return k;
}

void content_cache_tick(struct content *c, core_time now)
{
    struct cached *k, *next;
    DL_FOREACH_SAFE(c->cached, k, next)
    {
        if (k->readers || k->making_room || now < k->idle_since + IDLE_KEPT)
            continue;
        struct job *job = jobs_find(c->app->jobs, k->job);
        if (job && job->state == JOB_RUNNING && job->cancel)
            job->cancel(job); /* what has arrived stays beside its map, for the next time */
        DL_DELETE(c->cached, k);
        free(k);
    }
}

/* ---- Files ---- */

struct place *content_place_new(void)
{
    struct place *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->refs = 1;
    p->fd = -1;
    p->found.info.name = p->found.name;
    return p;
}

void content_place_drop(struct place *p)
{
    if (!p || --p->refs)
        return;
    if (p->fd >= 0)
        close(p->fd);
    free(p);
}

static int place_ok(const struct place *p)
{
    struct stat st;
    struct file_stamp now;
    if (fstat(p->fd, &st) != 0)
        return ERR_CHANGED;
    content_stamp_of(&now, &st);
    if (p->any_ctime)
        now.ctime_ns = p->found.stamp.ctime_ns;
    return content_stamp_equal(&now, &p->found.stamp) ? 0 : ERR_CHANGED;
}

static int open_local(struct content *c, struct place *p, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return home_errno(errno);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != p->found.info.size) {
        close(fd);
        return ERR_CHANGED;
    }
    if (!p->found.stamped)
        content_stamp_of(&p->found.stamp, &st);
    size_t home = strlen(c->app->home.path);
    p->any_ctime = strncmp(path, c->app->home.path, home) == 0 && strncmp(path + home, "/cache/", 7) == 0;
    p->found.stamped = true;
    p->fd = fd;
    int rc = place_ok(p);
    if (rc != 0) {
        close(fd);
        p->fd = -1;
    }
    return rc;
}

static struct content_file *file_new(struct content *c, struct place *place)
{
    struct content_file *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->c = c;
    f->place = place;
    f->reader = ++c->last_reader;
    place->refs++;
    return f;
}

struct content_file *content_file_open(struct content *c, struct place *place, const struct link *hints,
                                       int *error)
{
    struct content_file *f = file_new(c, place);
    struct found *what = &place->found;
    *error = ERR_NO_MEMORY;
    if (f && hints && (f->hints = malloc(sizeof *hints)) != NULL)
        *f->hints = *hints;
    if (!f || (hints && !f->hints)) {
        if (f)
            content_place_drop(place);
        free(f);
        return NULL;
    }
    *error = what->local[0] ? place->fd >= 0 ? place_ok(place) : open_local(c, place, what->local) : 0;
    if (what->local[0] && *error != 0 && *error != ERR_PERMISSION && place->fd < 0) {
        what->local[0] = 0; /* changed or gone since: others may have it */
        what->stamped = false;
        what->info.mtime_s = 0;
        *error = 0;
    }
    if (*error == 0)
        return f;
    content_place_drop(place);
    free(f->hints);
    free(f);
    return NULL;
}

struct content_file *content_open_known(struct content *c, const char *path, const struct content_info **info)
{
    struct known *k = content_known_find(c, path);
    if (!k || k->place->fd < 0)
        return NULL;
    if (place_ok(k->place) != 0) {
        k->until = 0;
        return NULL;
    }
    struct content_file *f = file_new(c, k->place);
    if (f)
        *info = &f->place->found.info;
    return f;
}

int content_fd(struct content_file *f)
{
    return f->place->fd;
}

int content_fd_ok(struct content_file *f)
{
    return place_ok(f->place);
}

static void file_free(struct content_file *f)
{
    content_place_drop(f->place);
    free(f->hints);
    free(f);
}

void content_close(struct content_file *f)
{
    struct content *c = f->c;
    struct content_call *call, *next;
    f->closed = true;
    DL_FOREACH_SAFE(c->calls, call, next)
    {
        if (call->file == f)
            content_cancel(call);
    }
    if (f->cached) {
        uint32_t swarm = c->stopping ? 0 : shares_swarm(c->app->shares, &f->place->found.info.id, false);
        if (swarm)
            xfer_reader_clear(c->app->core.xfer, host_now(&c->app->core), swarm, f->reader);
        if (--f->cached->readers == 0)
            f->cached->idle_since = host_now(&c->app->core);
        f->cached = NULL;
    }
    if (f->reads == 0)
        file_free(f);
}

bool content_progress_of(const struct content_file *f, struct content_progress *out)
{
    memset(out, 0, sizeof *out);
    struct job *job = f->cached ? jobs_find(f->c->app->jobs, f->cached->job) : NULL;
    if (!job)
        return false;
    out->bytes_have = job->bytes_done;
    out->bytes_total = f->place->found.info.size;
    out->rate_down = job->rate;
    out->sessions = job->peers;
    snprintf(out->message, sizeof out->message, "%s", job->message);
    struct xfer_swarm_stats stats;
    uint32_t swarm = shares_swarm(f->c->app->shares, &f->place->found.info.id, false);
    if (swarm && xfer_swarm_stats(f->c->app->core.xfer, host_now(&f->c->app->core), swarm, &stats)) {
        out->providers_found = stats.candidates;
        out->sessions = stats.sessions;
    }
    return true;
}

/* ---- Reads ---- */

static void read_end(struct content_call *call, int64_t result)
{
    struct content_call was = *call;
    content_call_free(call);
    was.read_done(was.context, result);
}

/* The pool or the data plane has given `out` back. */
static void read_back(struct content_call *call, int64_t result)
{
    struct content_file *f = call->file;
    struct content *c = call->c;
    c->reads--;
    f->reads--;
    call->reading = false;
    if (call->cancelled || c->stopping) {
        bool tell = !call->cancelled;
        if (tell)
            read_end(call, ERR_CANCELLED);
        else
            content_call_free(call);
        if (f->closed && f->reads == 0)
            file_free(f);
        content_maybe_stopped(c);
        return;
    }
    if (result == ERR_NOT_FOUND) { /* not here after all, or just renamed: look again */
        content_kick(c);
        return;
    }
    read_end(call, result);
}

static void on_fs_read(uv_fs_t *request)
{
    struct content_call *call = request->data;
    int64_t n = request->result;
    uv_fs_req_cleanup(request);
    int rc = n < 0 ? ERR_IO : content_fd_ok(call->file);
    read_back(call, rc ? rc : n);
}

static void on_data_read(void *context, int64_t n)
{
    read_back(context, n);
}

static void read_begun(struct content_call *call)
{
    call->reading = true;
    call->file->reads++;
    call->c->reads++;
}

static bool read_file(struct content_call *call)
{
    struct content_file *f = call->file;
    uv_buf_t buf = uv_buf_init((char *)call->out, (unsigned)call->size);
    call->fs.data = call;
    read_begun(call);
    int r =
        uv_fs_read(&call->c->app->loop, &call->fs, f->place->fd, &buf, 1, (int64_t)call->offset, on_fs_read);
    core_assert(r == 0);
    return false;
}

/* How much of what is wanted is here, from the first byte on. */
static uint64_t arrived(struct content_call *call, uint32_t swarm)
{
    struct xfer *x = call->c->app->core.xfer;
    uint64_t end = call->offset + call->size, at = call->offset;
    if (end > call->file->place->found.info.size)
        end = call->file->place->found.info.size;
    while (at < end && xfer_swarm_has_leaf(x, swarm, (uint32_t)(at / TREE_LEAF_SIZE)))
        at = (at / TREE_LEAF_SIZE + 1) * TREE_LEAF_SIZE;
    return (at < end ? at : end) - call->offset;
}

/* The window moves with the reader; the swarm core hears of it once for each read. */
static void read_wanted(struct content_call *call, uint32_t swarm, core_time now)
{
    struct host_core *core = &call->c->app->core;
    uint64_t end = call->offset + call->size + call->ahead, size = call->file->place->found.info.size;
    if (end > size)
        end = size;
    uint32_t first = (uint32_t)(call->offset / TREE_LEAF_SIZE);
    uint64_t count = (end + TREE_LEAF_SIZE - 1) / TREE_LEAF_SIZE - first;
    if (call->started)
        return;
    call->started = true;
    (void)xfer_reader_set(core->xfer, now, swarm, call->file->reader, first,
                          (uint32_t)(count < READ_WINDOW_MAX ? count : READ_WINDOW_MAX), now, host_out(core));
    host_drain(core);
}

/* The fetch ended well: the file has its name. */
static int become_local(struct content_file *f)
{
    char path[PATH_MAX];
    const struct cached *k = f->cached;
    if ((size_t)snprintf(path, sizeof path, "%s%s%s", k->target, k->inside[0] ? "/" : "", k->inside) >=
        sizeof path)
        return ERR_RANGE;
    f->place->found.stamped = false;
    return open_local(f->c, f->place, path);
}

bool content_read_step(struct content_call *call, core_time now)
{
    struct content_file *f = call->file;
    struct content *c = call->c;
    if (call->offset >= f->place->found.info.size) {
        read_end(call, 0);
        return true;
    }
    if (f->place->fd >= 0)
        return read_file(call);
    if (!f->cached) {
        f->cached = cached_of(c, &f->place->found, f->hints && f->hints->source_count ? f->hints : NULL);
        if (!f->cached) {
            read_end(call, ERR_FULL);
            return true;
        }
        f->cached->readers++;
    }
    if (f->cached->making_room)
        return false;
    struct job *job = jobs_find(c->app->jobs, f->cached->job);
    if (!job || job->state == JOB_FAILED) {
        int error = f->cached->error ? f->cached->error : job ? job->error : 0;
        read_end(call, error ? error : ERR_CANCELLED);
        return true;
    }
    if (job->state == JOB_DONE) {
        int rc = become_local(f);
        if (rc == 0)
            return read_file(call);
        read_end(call, rc);
        return true;
    }
    uint32_t swarm = f->cached->inside[0] ? 0 : shares_swarm(c->app->shares, &f->place->found.info.id, false);
    uint32_t ref = swarm ? shares_ref(c->app->shares, &f->place->found.info.id, false) : 0;
    if (!ref)
        return false;
    read_wanted(call, swarm, now);
    uint64_t here = arrived(call, swarm);
    if (here == 0)
        return false;
    read_begun(call);
    data_read_at(c->app->data, ref, call->offset, call->out, (size_t)here, on_data_read, call);
    return false;
}
