/* Jobs as JSON, and waiting for their end without polling the loop. */
#include <stdio.h>
#include <stdlib.h>
#include "gateways/http/api_internal_host.h"
#include "node/base/assert.h"

static const char *kind_name(enum job_kind kind)
{
    static const char *const names[] = {"share", "get", "list", "find", "gc", "rotate"};
    core_assert((unsigned)kind < sizeof names / sizeof names[0]);
    return names[kind];
}

static const char *state_name(enum job_state state)
{
    return state == JOB_RUNNING ? "running" : state == JOB_DONE ? "done" : "failed";
}

static json_t *number(uint64_t n)
{
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static json_t *share_json(const struct job_share *s)
{
    json_t *o = json_object();
    json_object_set_new(o, "path", api_text(s->path));
    json_object_set_new(o, "link", json_string(s->link));
    api_put_id(o, &s->id);
    json_object_set_new(o, "size", number(s->bytes));
    json_object_set_new(o, "files", number(s->files));
    json_object_set_new(o, "stored", s->announced ? number(s->stored) : json_null());
    json_object_set_new(o, "asked", s->announced ? number(s->asked) : json_null());
    return o;
}

static json_t *entry_json(const struct job_entry *e)
{
    json_t *o = json_object();
    json_object_set_new(o, "path", api_text(e->path));
    json_object_set_new(o, "executable", json_boolean(e->executable));
    api_put_id(o, &e->id);
    return o;
}

static json_t *problem_json(const struct job_problem *p)
{
    json_t *o = json_object();
    json_object_set_new(o, "path", api_text(p->path));
    json_object_set_new(o, "code", json_string(err_name(p->error)));
    json_object_set_new(o, "message", api_text(p->text));
    return o;
}

json_t *api_job_json(const struct job *job, core_time now)
{
    json_t *o = json_object();
    json_object_set_new(o, "id", number(job->id));
    json_object_set_new(o, "kind", json_string(kind_name(job->kind)));
    json_object_set_new(o, "state", json_string(state_name(job->state)));
    json_object_set_new(o, "error",
                        job->state == JOB_FAILED ? json_string(err_name(job->error)) : json_null());
    json_object_set_new(o, "message", api_text(job->message));
    json_object_set_new(o, "name", api_text(job->name));
    json_object_set_new(o, "target", api_text(job->target));
    json_object_set_new(o, "bytes_done", number(job->bytes_done));
    json_object_set_new(o, "bytes_total", number(job->bytes_total));
    json_object_set_new(o, "files_done", number(job->files_done));
    json_object_set_new(o, "files_total", number(job->files_total));
    json_object_set_new(o, "rate", number(job->rate));
    json_object_set_new(o, "peers", number(job->peers));
    json_object_set_new(o, "seeds", number(job->seeds));
    core_time end = job->state == JOB_RUNNING ? now : job->ended;
    json_object_set_new(o, "elapsed_ms", number(end > job->started ? (end - job->started) / 1000 : 0));
    return o;
}

static void put_result(json_t *o, const struct job *job)
{
    if (job->kind == JOB_FIND)
        json_object_set_new(o, "providers", number(job->a));
    if (job->kind == JOB_GC) {
        json_object_set_new(o, "objects", number(job->a));
        json_object_set_new(o, "bytes", number(job->b));
    }
    if (job->kind == JOB_ROTATE) {
        json_object_set_new(o, "told", number(job->a));
        json_object_set_new(o, "tried", number(job->b));
    }
}

/* Items from `from` on, at most `limit`; "next" is where the next page begins, null at the end. Items appear
 * only once the job has them. */
static void put_items(json_t *o, const struct job *job, uint64_t from, uint32_t limit)
{
    json_t *items = json_array(), *problems = json_array();
    bool lists = job->kind == JOB_LIST;
    uint64_t count = lists ? job->entry_count : job->share_count, i;
    for (i = from; i < count && i - from < limit; i++)
        json_array_append_new(items, lists ? entry_json(&job->entries[i]) : share_json(&job->shares[i]));
    for (uint32_t k = 0; k < job->problem_count; k++)
        json_array_append_new(problems, problem_json(&job->problems[k]));
    if (lists || job->kind == JOB_SHARE) {
        json_object_set_new(o, lists ? "entries" : "shares", items);
        json_object_set_new(o, "count", number(count));
        json_object_set_new(o, "next", i < count ? number(i) : json_null());
    } else {
        json_decref(items);
    }
    json_object_set_new(o, "problems", problems);
    json_object_set_new(o, "problems_total", number(job->problems_total));
}

/* ---- The table ---- */

struct listing {
    json_t *array;
    uint64_t from, next;
    uint32_t limit;
    core_time now;
};

static void list_job(void *context, struct job *job)
{
    struct listing *l = context;
    if (job->id < l->from)
        return;
    if (json_array_size(l->array) < l->limit)
        json_array_append_new(l->array, api_job_json(job, l->now));
    else if (l->next == 0)
        l->next = job->id;
}

void api_jobs_get(struct api_request *r)
{
    struct listing l = {.now = host_now(&r->g->app->core)};
    if (!api_page(r, &l.from, &l.limit))
        return;
    l.array = json_array();
    jobs_each(r->g->app->jobs, list_job, &l);
    api_reply(r->x, 200,
              json_pack("{s:o, s:o}", "jobs", l.array, "next", l.next ? number(l.next) : json_null()));
}

static struct job *job_of(struct api_request *r)
{
    char *end;
    unsigned long id = r->id[0] >= '0' && r->id[0] <= '9' ? strtoul(r->id, &end, 10) : (end = r->id, 0);
    struct job *job = *end || id == 0 || id > UINT32_MAX ? NULL : jobs_find(r->g->app->jobs, (uint32_t)id);
    if (!job)
        api_error(r->x, ERR_NOT_FOUND, "there is no job %.40s (ended jobs are kept for 10 minutes)", r->id);
    return job;
}

static void reply_job(struct gateways *g, struct http_exchange *x, const struct job *job, uint64_t from,
                      uint32_t limit)
{
    json_t *o = api_job_json(job, host_now(&g->app->core));
    put_result(o, job);
    put_items(o, job, from, limit);
    api_reply(x, 200, o);
}

/* ---- Waiting ---- */

static void arm(struct gateways *g);

static void waiter_remove(struct gateways *g, struct waiter *w)
{
    struct waiter **at = &api_of(g)->waiters;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    free(w);
}

static void waiter_gone(struct http_exchange *x)
{
    struct waiter *w = x->owner;
    struct gateways *g = w->gateways;
    waiter_remove(g, w);
    arm(g);
}

/* Answers those whose job ended or whose time is over. */
static void serve_waiters(struct gateways *g)
{
    core_time now = host_now(&g->app->core);
    for (struct waiter *w = api_of(g)->waiters, *next; w; w = next) {
        next = w->next;
        struct job *job = jobs_find(g->app->jobs, w->job);
        if (job && job->state == JOB_RUNNING && now < w->until)
            continue;
        struct http_exchange *x = w->exchange;
        waiter_remove(g, w);
        if (job)
            reply_job(g, x, job, 0, API_PAGE);
        else
            api_error(x, ERR_NOT_FOUND, "the job is gone");
    }
    arm(g);
}

static void on_prepare(uv_prepare_t *handle)
{
    serve_waiters(handle->data);
}

static void on_timer(uv_timer_t *handle)
{
    serve_waiters(handle->data);
}

static void arm(struct gateways *g)
{
    core_time first = CORE_NEVER, now = host_now(&g->app->core);
    for (struct waiter *w = api_of(g)->waiters; w; w = w->next)
        first = core_time_min(first, w->until);
    if (g->closing)
        return;
    if (!api_of(g)->waiters) {
        uv_prepare_stop(&api_of(g)->prepare);
        uv_timer_stop(&api_of(g)->timer);
        return;
    }
    uv_prepare_start(&api_of(g)->prepare, on_prepare);
    uv_timer_start(&api_of(g)->timer, on_timer, first > now ? (first - now + 999) / 1000 : 0, 0);
}

void api_waiters_stop(struct gateways *g)
{
    while (api_of(g)->waiters) {
        struct http_exchange *x = api_of(g)->waiters->exchange;
        waiter_remove(g, api_of(g)->waiters);
        api_error(x, ERR_CLOSED, "the node is stopping");
    }
}

static void wait_for_job(struct gateways *g, struct http_exchange *x, uint32_t job, uint64_t wait_ms)
{
    struct waiter *w = calloc(1, sizeof *w);
    if (!w) {
        api_error(x, ERR_NO_MEMORY, "out of memory");
        return;
    }
    w->gateways = g;
    w->exchange = x;
    w->job = job;
    w->until = host_now(&g->app->core) + CORE_MS(wait_ms);
    w->next = api_of(g)->waiters;
    api_of(g)->waiters = w;
    x->owner = w;
    x->gone = waiter_gone;
    arm(g);
}

void api_job_get(struct api_request *r)
{
    uint64_t from, wait_ms = 0;
    uint32_t limit;
    struct job *job = job_of(r);
    if (!job || !api_page(r, &from, &limit) || !api_query_number(r, "wait", API_WAIT_MAX_MS, &wait_ms))
        return;
    if (job->state == JOB_RUNNING && wait_ms)
        wait_for_job(r->g, r->x, job->id, wait_ms);
    else
        reply_job(r->g, r->x, job, from, limit);
}

void api_job_delete(struct api_request *r)
{
    struct job *job = job_of(r);
    if (!job)
        return;
    if (job->state != JOB_RUNNING) {
        api_error(r->x, ERR_EXISTS, "job %u has ended already", job->id);
        return;
    }
    if (!job->cancel) {
        api_error(r->x, ERR_UNSUPPORTED, "a job of the kind %s cannot be cancelled; it ends by itself",
                  kind_name(job->kind));
        return;
    }
    uint32_t id = job->id;
    job->cancel(job);
    api_reply(r->x, 200, json_pack("{s:o}", "job", number(id)));
}

void api_job_started(struct api_request *r, struct job *job)
{
    if (!job)
        api_error(
            r->x, ERR_FULL,
            "too much is under way already; try again when some of it has ended (`GET /api/jobs` lists it)");
    else
        api_reply(r->x, 202, json_pack("{s:o}", "job", number(job->id)));
}
