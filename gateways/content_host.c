/* The calls of all gateways on the tree that they show, and the pump that moves them. Where paths lead is
 * content_path_host.c, lists are content_list_host.c. */
#include "gateways/content_host.h"
#include <stdio.h>
#include <stdlib.h>
#include "gateways/content_internal_host.h"

#define TICK_MS 1000

/* ---- The module ---- */

static void on_prepare(uv_prepare_t *handle);
static void on_timer(uv_timer_t *handle);

/* A site was published anew: where its paths led a moment ago is of no use any more. */
static void on_names(void *context, const uint8_t node[NODE_KEY_SIZE])
{
    (void)node;
    content_known_forget(context);
}

struct content *content_new(struct app *app)
{
    struct content *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->app = app;
    if ((size_t)snprintf(c->files, sizeof c->files, "%s/files", app->home.path) >= sizeof c->files ||
        (size_t)snprintf(c->incoming, sizeof c->incoming, "%s/incoming", app->home.path) >=
            sizeof c->incoming) {
        free(c);
        return NULL;
    }
    if (app->names)
        names_on_change(app->names, on_names, c);
    uv_prepare_init(&app->loop, &c->prepare);
    uv_timer_init(&app->loop, &c->timer);
    c->prepare.data = c->timer.data = c;
    c->handles = 2;
    content_home_start(c);
    return c;
}

void content_kick(struct content *c)
{
    if (c->stopping || c->prepare_runs)
        return;
    c->prepare_runs = true;
    uv_prepare_start(&c->prepare, on_prepare);
    uv_timer_start(&c->timer, on_timer, 0,
                   0); /* the prepare handle alone does not keep the loop from sleeping first */
}

void content_maybe_stopped(struct content *c)
{
    if (!c->stopping || c->handles || c->reads || !c->stopped)
        return;
    void (*stopped)(void *) = c->stopped;
    c->stopped = NULL;
    stopped(c->stopped_context);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct content *c = handle->data;
    c->handles--;
    content_maybe_stopped(c);
}

void content_call_free(struct content_call *call)
{
    if (call->name)
        names_cancel(call->name);
    DL_DELETE(call->c->calls, call);
    free(call->path);
    free(call->hints);
    free(call);
}

void content_cancel(struct content_call *call)
{
    call->cancelled = true;
    if (!call->reading)
        content_call_free(call);
}

/* Tells the owner; the call is gone. */
void content_call_fail(struct content_call *call, int status)
{
    struct content_call was = *call;
    content_call_free(call);
    if (was.begun)
        was.begun(was.context, status, NULL);
    else if (was.done)
        was.done(was.context, status);
    else if (was.kind == CALL_RESOLVE)
        was.info_done(was.context, status, NULL);
    else if (was.kind == CALL_LIST)
        was.list_done(was.context, status, NULL, 0, false);
    else if (was.kind == CALL_OPEN)
        was.open_done(was.context, status, NULL, NULL);
    else
        was.read_done(was.context, status);
}

void content_stop(struct content *c, void (*stopped)(void *context), void *context)
{
    struct content_call *call, *next;
    c->stopping = true;
    c->stopped = stopped;
    c->stopped_context = context;
    if (c->app->names)
        names_on_change(c->app->names, NULL, NULL);
    DL_FOREACH_SAFE(c->calls, call, next)
    {
        if (!call->reading)
            content_call_fail(call, ERR_CANCELLED);
    }
    uv_close((uv_handle_t *)&c->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&c->timer, on_handle_closed);
}

void content_free(struct content *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; i < KNOWN_PATHS; i++) {
        free(c->known[i].path);
        content_place_drop(c->known[i].place);
    }
    while (c->cached) {
        struct cached *first = c->cached;
        DL_DELETE(c->cached, first);
        free(first->what);
        free(first->hints);
        free(first);
    }
    free(c);
}

/* ---- The pump ---- */

static bool call_step(struct content_call *call, core_time now)
{
    if (call->reading || (call->name && now < call->deadline))
        return false;
    if (call->kind == CALL_WRITE) {
        content_call_fail(call, call->refused);
        return true;
    }
    bool ended = call->kind == CALL_READ   ? content_read_step(call, now)
                 : call->kind == CALL_LIST ? content_list_step(call)
                                           : content_resolve_step(call);
    if (ended || now < call->deadline)
        return ended;
    struct job *job = call->job_id ? jobs_find(call->c->app->jobs, call->job_id) : NULL;
    if (job && job->cancel)
        job->cancel(job);
    content_call_fail(call, ERR_NO_SOURCES);
    return true;
}

/* Every change that a call waits for comes by a callback of the loop, before this runs. */
static void pump(struct content *c)
{
    core_time now = host_now(&c->app->core), first = CORE_NEVER;
    struct content_call *call, *next, *last = c->calls ? c->calls->prev : NULL;
    DL_FOREACH_SAFE(c->calls, call, next)
    {
        bool was_last = call == last;
        if (call->job_id) { /* a listing: look only when its job has ended, since each look reads manifests */
            struct job *job = jobs_find(c->app->jobs, call->job_id);
            if (job && job->state == JOB_RUNNING && now < call->deadline) {
                first = core_time_min(first, call->deadline);
                if (was_last)
                    break;
                continue;
            }
        }
        core_time deadline = call->deadline;
        if (!call_step(call, now))
            first = core_time_min(first, deadline);
        if (was_last)
            break; /* those that callbacks added wait for the next round */
    }
    content_cache_tick(c, now);
    content_known_tick(c, now);
    if (c->stopping)
        return;
    if (!c->calls) {
        uv_prepare_stop(&c->prepare);
        c->prepare_runs = false;
        if (c->cached || c->known_used)
            uv_timer_start(&c->timer, on_timer, TICK_MS, 0);
        return;
    }
    uint64_t ms = first > now ? (first - now + 999) / 1000 : 0;
    uv_timer_start(&c->timer, on_timer, ms < TICK_MS ? ms : TICK_MS, 0);
}

static void on_prepare(uv_prepare_t *handle)
{
    pump(handle->data);
}

static void on_timer(uv_timer_t *handle)
{
    struct content *c = handle->data;
    if (!c->prepare_runs)
        pump(c);
}

struct content_call *content_call_new(struct content *c, const struct account_who *who, enum call_kind kind,
                                      const char *path, const struct link *hints, core_time deadline,
                                      void *context)
{
    struct content_call *call = c->stopping ? NULL : calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->c = c;
    call->kind = kind;
    if (who)
        call->who = *who;
    call->path = path ? strdup(path) : NULL;
    call->hints = hints ? malloc(sizeof *hints) : NULL;
    call->deadline = deadline;
    call->context = context;
    if ((path && !call->path) || (hints && !call->hints)) {
        free(call->path);
        free(call->hints);
        free(call);
        return NULL;
    }
    if (hints)
        *call->hints = *hints;
    DL_APPEND(c->calls, call);
    content_kick(c);
    return call;
}

struct content_call *content_resolve(struct content *c, const struct account_who *who, const char *path,
                                     const struct link *hints, core_time deadline, content_info_cb done,
                                     void *context)
{
    struct content_call *call = content_call_new(c, who, CALL_RESOLVE, path, hints, deadline, context);
    if (call)
        call->info_done = done;
    return call;
}

struct content_call *content_list(struct content *c, const struct account_who *who, const char *path,
                                  const struct link *hints, uint64_t from, uint32_t limit, core_time deadline,
                                  content_list_cb done, void *context)
{
    struct content_call *call = content_call_new(c, who, CALL_LIST, path, hints, deadline, context);
    if (call) {
        call->from = from;
        call->limit = limit < 1 ? 1 : limit < CONTENT_LIST_MAX ? limit : CONTENT_LIST_MAX;
        call->list_done = done;
    }
    return call;
}

struct content_call *content_open(struct content *c, const struct account_who *who, const char *path,
                                  const struct link *hints, core_time deadline, content_open_cb done,
                                  void *context)
{
    struct content_call *call = content_call_new(c, who, CALL_OPEN, path, hints, deadline, context);
    if (call)
        call->open_done = done;
    return call;
}

struct content_call *content_read(struct content_file *file, uint64_t offset, uint8_t *out, size_t size,
                                  uint64_t ahead, core_time deadline, content_read_cb done, void *context)
{
    struct content_call *call = content_call_new(file->c, NULL, CALL_READ, NULL, NULL, deadline, context);
    if (!call)
        return NULL;
    call->file = file;
    call->offset = offset;
    call->out = out;
    call->size = size;
    call->ahead = ahead;
    call->read_done = done;
    return call;
}
