/* GET /api/events: a stream of server-sent events. What may have changed is compared a few times a second
 * while somebody listens, and each listener has a buffer of its own with a bound: who reads too slowly for it
 * is cut off, and gets the state as it is when it comes again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "gateways/http/api_internal_host.h"
#include "gateways/http/web_internal_host.h"
#include "node/base/assert.h"

#define TICK_MS     200
#define QUIET       CORE_SECONDS(15) /* then a comment, so that both ends know of each other */
#define SECOND      CORE_SECONDS(1)
#define STREAMS_MAX 64u
#define WAITING_MAX (256u * 1024u)
#define JOBS_KNOWN  1024u
#define EVENT_TYPE  "text/event-stream"

struct stream {
    struct stream *prev, *next;
    struct gateways *g;
    struct http_exchange *x;
    char *sending, *waiting; /* sending belongs to the write under way */
    size_t waiting_size, waiting_cap;
    core_time last;
    bool started;
};

struct known_job {
    uint32_t id;
    uint64_t hash;
};

struct events {
    struct stream *streams;
    uint32_t count;
    uv_timer_t timer;
    bool runs;
    core_time status_at, gateway_at;
    uint64_t status_hash, peers_hash, gateway_changes, share_changes;
    struct known_job jobs[JOBS_KNOWN]; /* by id % JOBS_KNOWN */
};

/* ---- A listener ---- */

static void stream_end(struct stream *s)
{
    struct events *e = api_of(s->g)->events;
    DL_DELETE(e->streams, s);
    e->count--;
    free(s->sending);
    free(s->waiting);
    free(s);
}

static void stream_gone(struct http_exchange *x)
{
    stream_end(x->owner);
}

static void stream_flush(struct stream *s)
{
    if (s->sending || !s->waiting_size)
        return;
    s->sending = s->waiting;
    size_t size = s->waiting_size;
    s->waiting = NULL;
    s->waiting_size = s->waiting_cap = 0;
    s->last = host_now(&s->g->app->core);
    http_reply_write(s->x, s->sending, size);
}

static void stream_written(struct http_exchange *x)
{
    struct stream *s = x->owner;
    free(s->sending);
    s->sending = NULL;
    stream_flush(s);
}

static bool stream_put(struct stream *s, const char *text, size_t size)
{
    if (s->waiting_size + size > s->waiting_cap) {
        size_t cap = s->waiting_cap ? s->waiting_cap : 1024;
        while (cap < s->waiting_size + size)
            cap *= 2;
        char *grown = cap <= WAITING_MAX ? realloc(s->waiting, cap) : NULL;
        if (!grown)
            return false;
        s->waiting = grown;
        s->waiting_cap = cap;
    }
    memcpy(s->waiting + s->waiting_size, text, size);
    s->waiting_size += size;
    return true;
}

static bool stream_event(struct stream *s, const char *kind, const char *data)
{
    char head[64];
    int n = snprintf(head, sizeof head, "event: %s\ndata: ", kind);
    return stream_put(s, head, (size_t)n) && stream_put(s, data, strlen(data)) && stream_put(s, "\n\n", 2);
}

/* To one, or to all. `data` is taken; as compact JSON it has no line ends. */
static void emit(struct events *e, struct stream *only, const char *kind, json_t *data)
{
    char *text = json_dumps(data, JSON_COMPACT);
    json_decref(data);
    for (struct stream *s = only ? only : e->streams, *next; text && s; s = next) {
        next = only ? NULL : s->next;
        if (!stream_event(s, kind, text)) {
            struct http_exchange *x = s->x;
            stream_end(s);
            x->gone = NULL;
            http_disconnect(x);
        }
    }
    free(text);
}

/* ---- What may have changed ---- */

static uint64_t mix(uint64_t hash, uint64_t n)
{
    return (hash ^ n) * 0x9e3779b97f4a7c15u ^ (hash >> 29);
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = mix(hash, (uint8_t)*text);
    return hash;
}

static uint64_t hash_json(const json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT);
    uint64_t hash = text ? mix_text(1, text) : 0;
    free(text);
    return hash;
}

struct job_walk {
    struct gateways *g;
    struct events *e;
    struct stream *only; /* a newcomer is told of all */
    core_time now;
};

static void look_at_job(void *context, struct job *job)
{
    struct job_walk *w = context;
    struct known_job *k = &w->e->jobs[job->id % JOBS_KNOWN];
    uint64_t hash =
        mix(mix(mix(mix(job->id, job->bytes_done), job->bytes_total), job->files_done), job->files_total);
    hash = mix(mix(mix(hash, job->peers), job->rate), job->state);
    hash = mix_text(hash, job->message);
    if (!w->only && k->id == job->id && k->hash == hash)
        return;
    if (!w->only)
        *k = (struct known_job){job->id, hash};
    emit(w->e, w->only, "job", api_job_json(job, w->now));
}

static void look_at_status(struct gateways *g, struct events *e, struct stream *only)
{
    static const char *const restless[] = {"uptime_s", "memory_rss", "dht", "totals", "usage"};
    json_t *status = api_status_json(g, &ACCOUNT_LOCAL_OWNER), *calm = json_copy(status);
    for (size_t i = 0; i < sizeof restless / sizeof *restless; i++)
        json_object_del(calm, restless[i]);
    uint64_t hash = hash_json(calm);
    json_decref(calm);
    if (only || hash != e->status_hash) {
        if (!only)
            e->status_hash = hash;
        emit(e, only, "status", status);
    } else {
        json_decref(status);
    }
}

static void look_at_peers(struct gateways *g, struct events *e, struct stream *only)
{
    struct dht_status dht;
    struct xfer_totals totals;
    dht_status(g->app->core.dht, &dht);
    xfer_totals(g->app->core.xfer, host_now(&g->app->core), &totals);
    uint64_t hash = mix(mix(1, dht.contacts_live), totals.sessions);
    if (!only && hash == e->peers_hash)
        return;
    if (!only)
        e->peers_hash = hash;
    emit(e, only, "peers",
         json_pack("{s:I, s:I}", "sessions", (json_int_t)totals.sessions, "contacts",
                   (json_int_t)dht.contacts_live));
}

static void look_at_gateway(struct gateways *g, struct events *e, struct stream *only)
{
    struct session_totals totals;
    uint64_t changes = sessions_changes(g->sessions);
    if (!only && changes == e->gateway_changes)
        return;
    if (!only)
        e->gateway_changes = changes;
    sessions_totals(g->sessions, NULL, &totals);
    emit(e, only, "gateway",
         json_pack("{s:I, s:I}", "open", (json_int_t)totals.open, "sessions", (json_int_t)totals.sessions));
}

static void look_at_shares(struct gateways *g, struct events *e, struct stream *only)
{
    uint64_t changes;
    if (store_share_changes(g->app->store, &changes) != 0 || (!only && changes == e->share_changes))
        return;
    if (!only)
        e->share_changes = changes;
    emit(e, only, "share", json_pack("{s:I}", "changes", (json_int_t)changes));
}

static void look(struct gateways *g, struct events *e, struct stream *only)
{
    core_time now = host_now(&g->app->core);
    struct job_walk walk = {g, e, only, now};
    jobs_each(g->app->jobs, look_at_job, &walk);
    look_at_shares(g, e, only);
    if (only || now - e->status_at >= SECOND) {
        look_at_status(g, e, only);
        look_at_peers(g, e, only);
        look_at_gateway(g, e, only);
        if (!only)
            e->status_at = now;
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct gateways *g = timer->data;
    struct events *e = api_of(g)->events;
    core_time now = host_now(&g->app->core);
    if (!e->streams) {
        uv_timer_stop(timer);
        e->runs = false;
        return;
    }
    look(g, e, NULL);
    for (struct stream *s = e->streams, *next; s; s = next) {
        next = s->next;
        if (!s->waiting_size && now - s->last >= QUIET)
            (void)stream_put(s, ": still here\n\n", 14);
        stream_flush(s);
    }
}

/* ---- The endpoint ---- */

void api_events_get(struct api_request *r)
{
    struct events *e = api_of(r->g)->events;
    if (e->count >= STREAMS_MAX) {
        api_error(r->x, ERR_FULL, "too many pages listen already");
        return;
    }
    struct stream *s = calloc(1, sizeof *s);
    if (!s) {
        api_error(r->x, ERR_NO_MEMORY, "out of memory");
        return;
    }
    http_reply_begin(r->x, 200, EVENT_TYPE, "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n",
                     UINT64_MAX);
    if (!http_reply_wants_body(r->x)) {
        free(s);
        http_reply_end(r->x);
        return;
    }
    s->g = r->g;
    s->x = r->x;
    s->last = host_now(&r->g->app->core);
    r->x->owner = s;
    r->x->gone = stream_gone;
    r->x->written = stream_written;
    DL_APPEND(e->streams, s);
    e->count++;
    (void)stream_put(s, "retry: 2000\n\n", 13);
    bool alone = e->count == 1;
    if (alone) { /* nothing is known to have been told */
        memset(e->jobs, 0, sizeof e->jobs);
        e->status_hash = e->peers_hash = e->gateway_changes = e->share_changes = UINT64_MAX;
        e->status_at = 0;
    }
    look(r->g, e, alone ? NULL : s); /* may have cut it off: then it is no more */
    if (e->streams && e->streams->prev == s)
        stream_flush(s);
    if (!e->runs)
        uv_timer_start(&e->timer, on_tick, TICK_MS, TICK_MS);
    e->runs = true;
}

bool api_events_message(struct gateways *g, const struct http_exchange *x, const char *text)
{
    struct events *e = api_of(g)->events;
    for (struct stream *s = e->streams; s; s = s->next)
        if (s->x == x) {
            emit(e, s, "message", json_pack("{s:o}", "text", api_text(text)));
            return true;
        }
    return false;
}

static void on_timer_closed(uv_handle_t *handle)
{
    gateways_release(handle->data);
}

bool api_events_start(struct gateways *g)
{
    struct events *e = calloc(1, sizeof *e);
    if (!e)
        return false;
    api_of(g)->events = e;
    uv_timer_init(&g->app->loop, &e->timer);
    e->timer.data = g;
    gateways_hold(g);
    return true;
}

void api_events_stop(struct gateways *g)
{
    struct events *e = api_of(g)->events;
    if (!e)
        return;
    emit(e, NULL, "bye", json_object());
    for (struct stream *s = e->streams, *next; s; s = next) {
        next = s->next;
        stream_flush(s);
    }
    uv_close((uv_handle_t *)&e->timer, on_timer_closed);
}
