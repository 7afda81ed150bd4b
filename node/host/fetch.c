/* The table of fetches: what the API asks for, what the store lists for resuming, what the core has to say. */
#include "node/host/fetch_internal.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <utlist.h>
#include "node/base/assert.h"
#include "node/host/log.h"

#define DUE_PER_TICK 1000u
#define RESUME_AGAIN CORE_SECONDS(5)

static void on_tick(uv_timer_t *timer);

core_time fetch_now(const struct fetch *x)
{
    return host_now(x->f->core);
}

void fetch_kick(struct fetches *f)
{
    if (f->stopping)
        return;
    f->timer_runs = true;
    uv_timer_start(&f->timer, on_tick, 0, FETCH_TICK_MS);
}

static struct fetch_unit *unit_of(struct fetches *f, uint32_t swarm)
{
    struct fetch_unit *u;
    HASH_FIND(hh, f->swarms, &swarm, sizeof swarm, u);
    return u;
}

/* Unshared: what only serves on after its job ended stops at once; what is still being fetched, or of a tree that is, goes on. */
static void on_lost(void *context, uint32_t swarm)
{
    struct fetch_unit *u = unit_of(context, swarm);
    if (u && !u->fetch && u->state == UNIT_COMPLETE)
        fetch_unit_close(u);
}

struct fetches *fetches_new(struct host_core *core, struct jobs *jobs, struct shares *shares, const char *home)
{
    struct fetches *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->core = core;
    f->jobs = jobs;
    f->shares = shares;
    f->home = strdup(home);
    if (!f->home || uv_timer_init(core->loop, &f->timer) != 0) {
        free(f->home);
        free(f);
        return NULL;
    }
    f->timer.data = f;
    shares_on_lost(shares, on_lost, f);
    return f;
}

void fetch_maybe_stopped(struct fetches *f)
{
    if (!f->stopping || f->tasks > 0 || f->closing > 0 || !f->stopped)
        return;
    core_assert(f->units == NULL);
    void (*stopped)(void *) = f->stopped;
    f->stopped = NULL;
    stopped(f->stopped_context);
}

void fetches_stop(struct fetches *f, void (*stopped)(void *context), void *context)
{
    core_assert(!f->stopping);
    f->stopping = true;
    shares_on_lost(f->shares, NULL, NULL);
    f->stopped = stopped;
    f->stopped_context = context;
    uv_timer_stop(&f->timer);
    f->closing++; /* so that nothing calls back before all of them were told */
    while (f->list)
        fetch_free(f->list);
    struct fetch_unit *u, *next;
    DL_FOREACH_SAFE(f->units, u, next)
        fetch_unit_close(u);
    f->closing--;
    fetch_maybe_stopped(f);
}

static void timer_closed(uv_handle_t *handle)
{
    struct fetches *f = handle->data;
    free(f->home);
    free(f);
}

void fetches_free(struct fetches *f)
{
    if (!f)
        return;
    core_assert(f->list == NULL);
    core_assert(f->units == NULL);
    core_assert(f->tasks == 0);
    f->stopping = true;
    uv_close((uv_handle_t *)&f->timer, timer_closed);
}

/* ---- Where it goes ---- */

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The final path, with no symlink and no ".." in the directories above it, so that one place has one name. */
static int target_resolve(const struct fetch_params *p, char out[FETCH_PATH_MAX], char *message, size_t cap)
{
    char path[FETCH_PATH_MAX], name[CONTENT_NAME_MAX + 1], parent[PATH_MAX];
    if (p->output[0] != '/' || fetch_path_join(path, sizeof path, "", p->output) != 0) {
        snprintf(message, cap, "the output path must be absolute and shorter than %d bytes", FETCH_PATH_MAX);
        return ERR_RANGE;
    }
    fetch_path_trim(path);
    if (is_directory(path)) {
        fetch_path_name(name, &p->link);
    } else {
        char *slash = strrchr(path, '/');
        const char *base = slash + 1;
        if (base[0] == 0 || strcmp(base, ".") == 0 || strcmp(base, "..") == 0 || strlen(base) > CONTENT_NAME_MAX - sizeof ".copy.part.map") {
            snprintf(message, cap, "%.200s cannot be the name of a file; choose another one", p->output);
            return ERR_RANGE;
        }
        snprintf(name, sizeof name, "%s", base);
        slash[slash == path ? 1 : 0] = 0;
    }
    if (!realpath(path, parent) || !is_directory(parent)) {
        snprintf(message, cap, "the directory %.200s does not exist; make it first, or choose another place", path);
        return ERR_NOT_FOUND;
    }
    if (fetch_path_join(out, FETCH_PATH_MAX - 64, parent, name) != 0) {
        snprintf(message, cap, "the path is too long; choose a shorter place");
        return ERR_RANGE;
    }
    return 0;
}

static struct fetch *find_target(struct fetches *f, const char *target)
{
    struct fetch *x;
    DL_FOREACH(f->list, x)
        if (!x->ended && !x->list_only && strcmp(x->target, target) == 0)
            return x;
    return NULL;
}

/* ---- Asking for content ---- */

static int select_take(struct fetch_state *s, const char *const *select, size_t count)
{
    char path[FETCH_PATH_MAX];
    if (count > FETCH_SELECT_MAX)
        return ERR_RANGE;
    s->select = calloc(count + 1, sizeof *s->select);
    if (!s->select)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        int rc = fetch_select_normalize(path, sizeof path, select[i]);
        if (rc != 0)
            return rc;
        s->select[s->select_count] = strdup(path);
        if (!s->select[s->select_count])
            return ERR_NO_MEMORY;
        s->select_count++;
    }
    return 0;
}

static void remember(struct fetch *x)
{
    size_t size;
    uint8_t *state = fetch_state_encode(&x->what, &size);
    int rc = state ? store_fetch_put(x->f->core->store, x->target, &x->what.link.id, bytes_of(state, size)) : ERR_NO_MEMORY;
    if (rc != 0)
        log_warning("fetch", "%s cannot be recorded (%s): it will not go on by itself after a restart; get it again then", x->target,
                    err_text(rc));
    free(state);
}

static void job_name(struct job *job, const struct link *link)
{
    char name[CONTENT_NAME_MAX + 1];
    fetch_path_name(name, link);
    snprintf(job->name, sizeof job->name, "%s", name);
}

/* Says why a fetch cannot even begin; the job is there to be asked. */
static struct job *refuse(struct job *job, int error, const char *message)
{
    job_fail(job, error, "%s", message);
    return job;
}

/* The running fetch wants the same of the same content. */
static bool same_wish(const struct fetch *x, const struct fetch_params *p)
{
    char path[FETCH_PATH_MAX];
    if (!content_id_equal(&x->what.link.id, &p->link.id) || x->what.select_count != p->select_count)
        return false;
    for (size_t i = 0; i < p->select_count; i++)
        if (fetch_select_normalize(path, sizeof path, p->select[i]) != 0 || strcmp(path, x->what.select[i]) != 0)
            return false;
    return true;
}

struct job *fetches_get(struct fetches *f, const struct fetch_params *p)
{
    char target[FETCH_PATH_MAX] = "", message[320] = "";
    int rc = target_resolve(p, target, message, sizeof message);
    struct fetch *same = rc == 0 ? find_target(f, target) : NULL;
    if (same && same_wish(same, p)) {
        for (uint32_t i = 0; i < p->link.source_count; i++)
            fetch_source_add(same, &p->link.sources[i], XFER_SOURCE_LINK);
        same->timeout = CORE_SECONDS((core_time)p->timeout_s);
        same->progress_at = host_now(f->core);
        return same->job;
    }
    struct job *job = jobs_add(f->jobs, JOB_GET);
    if (!job)
        return NULL;
    job_name(job, &p->link);
    snprintf(job->target, sizeof job->target, "%s", target);
    if (rc != 0)
        return refuse(job, rc, message);
    if (same)
        return refuse(job, ERR_BUSY, "something else is being fetched to this path; choose another place, or cancel that one");
    if (p->link.id.kind != CONTENT_FILE && p->link.id.kind != CONTENT_TREE)
        return refuse(job, ERR_UNSUPPORTED, "this link names a kind of content that only a newer version of shoal knows");
    if (p->select_count > 0 && p->link.id.kind != CONTENT_TREE)
        return refuse(job, ERR_RANGE, "this link names one file: there is nothing to select in it");
    struct fetch *x = fetch_new(f, job, &p->link);
    if (!x)
        return refuse(job, ERR_NO_MEMORY, err_text(ERR_NO_MEMORY));
    x->what.replace = p->replace;
    x->what.no_share = p->no_share;
    x->timeout = CORE_SECONDS((core_time)p->timeout_s);
    snprintf(x->target, sizeof x->target, "%s", target);
    rc = select_take(&x->what, p->select, p->select_count);
    if (rc != 0) {
        fetch_fail(x, rc, "a selected path is not usable: %s", err_text(rc));
        return job;
    }
    remember(x);
    fetch_kick(f);
    return job;
}

struct job *fetches_list(struct fetches *f, const struct link *link, const char *path, bool recursive)
{
    struct job *job = jobs_add(f->jobs, JOB_LIST);
    if (!job)
        return NULL;
    job_name(job, link);
    if (link->id.kind != CONTENT_TREE && link->id.kind != CONTENT_FILE)
        return refuse(job, ERR_UNSUPPORTED, "this link names a kind of content that only a newer version of shoal knows");
    struct fetch *x = fetch_new(f, job, link);
    if (!x)
        return refuse(job, ERR_NO_MEMORY, err_text(ERR_NO_MEMORY));
    x->list_only = true;
    x->list_recursive = recursive;
    bool whole = !path || path[strspn(path, "/.")] == 0;
    int rc = select_take(&x->what, &path, whole ? 0 : 1);
    if (rc != 0)
        fetch_fail(x, rc, "%.200s is no path of a tree", path);
    fetch_kick(f);
    return job;
}

/* ---- Resuming ---- */

struct resume_row {
    char *target;
    struct fetch_state state;
    struct resume_row *next;
};
struct resume_list {
    struct fetches *f;
    struct resume_row *first;
};

static bool resume_each(void *context, const char *target, const struct content_id *id, struct bytes state)
{
    struct resume_list *list = context;
    (void)id;
    if (find_target(list->f, target) || strlen(target) >= FETCH_PATH_MAX - 64 || target[0] != '/')
        return true;
    struct resume_row *row = calloc(1, sizeof *row);
    if (!row)
        return false;
    row->target = strdup(target);
    int rc = row->target ? fetch_state_decode(&row->state, state) : ERR_NO_MEMORY;
    if (rc != 0) {
        log_warning("fetch", "the record of the fetch to %s cannot be used: %s; get it again", target, err_text(rc));
        free(row->target);
        free(row);
        return true;
    }
    LL_PREPEND(list->first, row);
    return true;
}

/* False: the table of jobs is full for now. */
static bool resume_one(struct fetches *f, struct resume_row *row)
{
    struct job *job = jobs_add(f->jobs, JOB_GET);
    if (!job)
        return false;
    job_name(job, &row->state.link);
    snprintf(job->target, sizeof job->target, "%s", row->target);
    struct fetch *x = fetch_new(f, job, &row->state.link);
    if (!x) {
        refuse(job, ERR_NO_MEMORY, err_text(ERR_NO_MEMORY));
        return false;
    }
    fetch_state_fini(&x->what);
    x->what = row->state;
    memset(&row->state, 0, sizeof row->state);
    snprintf(x->target, sizeof x->target, "%s", row->target);
    log_info("fetch", "going on with %s", x->target);
    return true;
}

static void resume(struct fetches *f)
{
    struct resume_list list = {.f = f};
    struct resume_row *row, *next;
    f->resume_wanted = false;
    store_fetches(f->core->store, resume_each, &list);
    LL_FOREACH_SAFE(list.first, row, next) {
        if (!resume_one(f, row)) {
            f->resume_wanted = true;
            f->resume_at = core_time_add(host_now(f->core), RESUME_AGAIN);
        }
        fetch_state_fini(&row->state);
        free(row->target);
        free(row);
    }
}

void fetches_start(struct fetches *f)
{
    resume(f);
    if (f->list || f->resume_wanted)
        fetch_kick(f);
}

/* ---- Notices ---- */

/* Who was banned is not told per swarm; a job that nobody serves any more draws its conclusion from it. */
static void banned(struct fetches *f, int status)
{
    struct fetch *x;
    if (status != ERR_BAD_HASH)
        return;
    DL_FOREACH(f->list, x)
        if (x->active && !x->ended)
            x->bad_sources++;
}

static bool lookup_notice(struct fetches *f, const struct effect *x)
{
    struct fetch *one;
    DL_FOREACH(f->list, one)
        if (one->lookup_op != 0 && one->lookup_op == x->u.notice.op)
            break;
    if (!one)
        return false;
    if (x->u.notice.kind == DHT_NOTICE_DONE) {
        one->lookup_op = 0;
        return true;
    }
    struct node_addr node;
    memcpy(node.key, x->u.notice.node.key, sizeof node.key);
    node.addr = x->u.notice.node.addr;
    if (!one->ended && memcmp(node.key, f->core->me->key, sizeof node.key) != 0)
        fetch_source_add(one, &node, XFER_SOURCE_DHT);
    return true;
}

bool fetches_notice(struct fetches *f, const struct effect *x)
{
    if (f->stopping)
        return false;
    switch (x->u.notice.kind) {
    case XFER_NOTICE_COMPLETE:
    case XFER_NOTICE_TROUBLE:
    case XFER_NOTICE_CHUNK:
    case XFER_NOTICE_IDLE: {
        struct fetch_unit *u = unit_of(f, x->u.notice.op);
        if (u && x->u.notice.kind == XFER_NOTICE_COMPLETE)
            fetch_unit_complete(u);
        else if (u && x->u.notice.kind == XFER_NOTICE_TROUBLE)
            fetch_unit_trouble(u, x->u.notice.status);
        else if (u && x->u.notice.kind == XFER_NOTICE_IDLE && !u->fetch)
            fetch_unit_close(u); /* from now on it is opened on demand, as a share */
        return u != NULL;
    }
    case XFER_NOTICE_BANNED:
        banned(f, x->u.notice.status);
        return false; /* others want to know too */
    case DHT_NOTICE_PROVIDER:
    case DHT_NOTICE_DONE:
        return lookup_notice(f, x);
    default:
        return false;
    }
}

/* ---- The tick ---- */

static void units_due(struct fetches *f)
{
    core_time now = host_now(f->core);
    for (uint32_t i = 0; i < DUE_PER_TICK; i++) {
        struct fetch_unit *u;
        DL_FOREACH(f->units, u)
            if (u->retry_at <= now && u->state != UNIT_CLOSING)
                break;
        if (!u)
            return;
        fetch_unit_retry(u);
    }
    fetch_kick(f);
}

static void begin_some(struct fetches *f)
{
    struct fetch *x;
    uint32_t active = 0;
    DL_FOREACH(f->list, x)
        active += x->active && !x->ended;
    DL_FOREACH(f->list, x) {
        if (active >= FETCH_ACTIVE_MAX)
            return;
        if (x->active || x->ended)
            continue;
        x->active = true;
        active++;
        fetch_begin(x);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct fetches *f = timer->data;
    struct fetch *x, *next;
    DL_FOREACH_SAFE(f->list, x, next)
        if (x->ended)
            fetch_free(x);
    begin_some(f);
    units_due(f);
    DL_FOREACH(f->list, x)
        if (!x->ended)
            fetch_poll(x);
    if (f->resume_wanted && f->resume_at <= host_now(f->core))
        resume(f);
    if (!f->list && !f->resume_wanted) {
        f->timer_runs = false;
        uv_timer_stop(&f->timer);
    }
}
