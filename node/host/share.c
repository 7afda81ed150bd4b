/* The module: its jobs, one after another; what is announced; links. */
#include <stdlib.h>
#include <sys/stat.h>
#include "node/host/share_internal.h"

#define SLICE      CORE_MS(2) /* of one loop turn for announcing; the bar is 5 ms */
#define TICK_MS    250u
#define SLICE_KEYS 32u /* between two looks at the clock */

/* ---- Keys to be announced or forgotten, in slices ---- */

static void key_forget(struct shares *s, const uint8_t key[HASH_SIZE])
{
    struct store_content c;
    if (store_content_find(s->core->store, key, &c) == ERR_NOT_FOUND)
        node_unannounce(s->core->node, key);
}

static void on_idle(uv_idle_t *idle)
{
    struct shares *s = idle->data;
    core_time end = core_time_add(host_now(s->core), SLICE);
    while (s->keys_next < s->keys_count) {
        for (uint32_t i = 0; i < SLICE_KEYS && s->keys_next < s->keys_count; i++) {
            const struct share_key *k = &s->keys[s->keys_next++];
            if (k->remove)
                key_forget(s, k->key);
            else if (node_announce(s->core->node, host_now(s->core), k->key, false, 0, host_out(s->core)) ==
                     ERR_FULL)
                log_warning(
                    "share",
                    "more contents than this node can announce: some are found by their links' sources only");
        }
        host_drain(s->core);
        if (host_now(s->core) >= end)
            return;
    }
    s->keys_next = s->keys_count = 0;
    uv_idle_stop(idle);
}

void shares_key_queue(struct shares *s, const uint8_t key[HASH_SIZE], bool remove)
{
    if (s->stopping)
        return;
    if (s->keys_count == s->keys_cap) {
        size_t cap = s->keys_cap ? s->keys_cap * 2 : 64;
        struct share_key *p = realloc(s->keys, cap * sizeof *p);
        if (p == NULL) {
            log_error("share", "out of memory: a content is not announced until the node restarts");
            return;
        }
        s->keys = p;
        s->keys_cap = cap;
    }
    memcpy(s->keys[s->keys_count].key, key, HASH_SIZE);
    s->keys[s->keys_count++].remove = remove;
    if (s->keys_count - s->keys_next == 1)
        uv_idle_start(&s->idle, on_idle);
}

/* All keys of the store at start-up, read in the pool by a handle of its own: 10,000 take 10 ms, too long for
 * the loop. */
struct load {
    uv_work_t work;
    struct shares *s;
    struct share_key *keys;
    size_t count, cap;
    int status;
};

static bool load_key(void *context, const uint8_t key[HASH_SIZE])
{
    struct load *l = context;
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 256;
        struct share_key *p = realloc(l->keys, cap * sizeof *p);
        if (p == NULL) {
            l->status = ERR_NO_MEMORY;
            return false;
        }
        l->keys = p;
        l->cap = cap;
    }
    memcpy(l->keys[l->count].key, key, HASH_SIZE);
    l->keys[l->count++].remove = false;
    return true;
}

static void on_load(uv_work_t *work)
{
    struct load *l = work->data;
    struct store *store;
    int status = store_open(&store, l->s->home, NULL);
    if (status == 0) {
        status = store_announced(store, load_key, l);
        store_close(store);
    }
    if (status)
        l->status = status;
}

static void on_loaded(uv_work_t *work, int status)
{
    struct load *l = work->data;
    struct shares *s = l->s;
    core_assert(status == 0);
    s->in_flight--;
    if (l->status)
        log_error("share", "cannot read the list of shares: %s; they are not announced", err_text(l->status));
    if (l->count)
        log_info("share", "%zu contents to announce", l->count);
    if (s->keys_count == 0 && !s->stopping &&
        l->count) { /* the usual case: the array itself becomes the queue */
        free(s->keys);
        s->keys = l->keys;
        s->keys_count = l->count;
        s->keys_cap = l->cap;
        l->keys = NULL;
        uv_idle_start(&s->idle, on_idle);
    }
    for (size_t i = 0; l->keys && i < l->count; i++)
        shares_key_queue(s, l->keys[i].key, false);
    free(l->keys);
    free(l);
    shares_settled(s);
}

static void load_start(struct shares *s)
{
    struct load *l = calloc(1, sizeof *l);
    if (l == NULL)
        return;
    l->s = s;
    l->work.data = l;
    s->in_flight++;
    core_assert(uv_queue_work(s->core->loop, &l->work, on_load, on_loaded) == 0);
}

/* ---- Jobs ---- */

static bool is_working(const struct share_work *w)
{
    return w->phase != PHASE_WAITING && w->phase != PHASE_ANNOUNCE;
}

/* What a person asked for goes before what the watch found. */
void shares_next(struct shares *s)
{
    struct share_work *next = NULL;
    for (struct share_work *w = s->works; w; w = w->next) {
        if (is_working(w))
            return;
        if (w->phase == PHASE_WAITING && (next == NULL || (next->background && !w->background)))
            next = w;
    }
    if (next && !s->stopping)
        share_work_start(next);
}

static struct job *add(struct shares *s, const char *const *paths, size_t count, bool with_times,
                       bool background)
{
    if (s->stopping || count == 0)
        return NULL;
    struct job *job = jobs_add(s->jobs, JOB_SHARE);
    if (job == NULL)
        return NULL;
    struct share_work *w = share_work_new(s, job, paths, count, with_times);
    if (w == NULL) {
        job_fail(job, ERR_NO_MEMORY, "%s", err_text(ERR_NO_MEMORY));
        return job;
    }
    w->background = background;
    struct share_work **at = &s->works;
    while (*at)
        at = &(*at)->next;
    *at = w;
    shares_next(s);
    return job;
}

struct job *shares_add(struct shares *s, const char *const *paths, size_t count, bool with_times)
{
    return add(s, paths, count, with_times, false);
}

struct job *shares_add_background(struct shares *s, const char *path, bool with_times)
{
    for (const struct share_work *w = s->works; w; w = w->next) {
        for (uint32_t i = 0; w->phase != PHASE_ANNOUNCE && i < w->tree.root_count; i++) {
            /* A waiting one will see the change. A working one has perhaps passed it: the watch comes round
             * again. */
            if (strcmp(w->tree.roots[i].path, path) == 0)
                return w->job;
        }
    }
    return add(s, &path, 1, with_times, true);
}

/* ---- Taking back ---- */

struct removal {
    uv_work_t work;
    struct shares *s;
    int64_t row;
    int status;
    uint8_t (*keys)[HASH_SIZE];
    uint32_t count, cap;
};

static bool removal_key(void *context, const uint8_t key[HASH_SIZE])
{
    struct removal *r = context;
    if (r->count == r->cap) {
        uint32_t cap = r->cap ? r->cap * 2 : 64;
        void *p = realloc(r->keys, (size_t)cap * HASH_SIZE);
        if (p == NULL)
            return false;
        r->keys = p;
        r->cap = cap;
    }
    memcpy(r->keys[r->count++], key, HASH_SIZE);
    return true;
}

static void on_remove(uv_work_t *work)
{
    struct removal *r = work->data;
    struct store *store;
    r->status = store_open(&store, r->s->home, NULL);
    if (r->status)
        return;
    r->status = store_share_lost(store, r->row, false, removal_key, r);
    if (r->status == 0)
        r->status = store_share_remove(store, r->row);
    store_close(store);
}

static void on_removed(uv_work_t *work, int status)
{
    struct removal *r = work->data;
    struct shares *s = r->s;
    core_assert(status == 0);
    s->in_flight--;
    if (r->status && r->status != ERR_NOT_FOUND)
        log_error("share", "could not forget a share: %s; `shoal gc` will", err_text(r->status));
    for (uint32_t i = 0; i < r->count; i++)
        shares_key_queue(s, r->keys[i], true);
    free(r->keys);
    free(r);
    if (!s->stopping)
        share_serve_check(s);
    shares_settled(s);
}

static int find_share(struct shares *s, const char *what, struct store_share *out)
{
    struct link link;
    int status = store_share_by_path(s->core->store, what, out);
    if (status != ERR_NOT_FOUND)
        return status;
    char *real = realpath(what, NULL);
    if (real) {
        status = store_share_by_path(s->core->store, real, out);
        free(real);
    }
    if (status == ERR_NOT_FOUND && link_parse(&link, what, NULL) == 0)
        status = store_share_by_id(s->core->store, &link.id, out);
    return status;
}

/* The share is out of all lists when this returns; its rows, perhaps a million, go in the pool. */
uint64_t shares_changes(const struct shares *s)
{
    return s->changes;
}

int shares_remove(struct shares *s, const char *what)
{
    s->changes++;
    struct store_share share;
    int status = find_share(s, what, &share);
    if (status)
        return status;
    for (struct share_work *w = s->works; w; w = w->next) {
        for (uint32_t i = 0; i < w->tree.root_count; i++) {
            if (strcmp(w->tree.roots[i].path, share.path) == 0)
                atomic_store(&w->tree.roots[i].dropped, true);
        }
    }
    struct removal *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ERR_NO_MEMORY;
    r->s = s;
    r->row = share.row;
    log_info("share", "%s is no longer shared", share.path);
    status = store_share_hide(s->core->store, share.row);
    if (status) {
        free(r);
        return status;
    }
    r->work.data = r;
    s->in_flight++;
    core_assert(uv_queue_work(s->core->loop, &r->work, on_remove, on_removed) == 0);
    return 0;
}

void shares_recorded(struct shares *s, const uint8_t *added, const uint8_t (*lost)[HASH_SIZE],
                     uint32_t lost_count)
{
    if (s->stopping)
        return;
    for (uint32_t i = 0; i < lost_count; i++)
        shares_key_queue(s, lost[i], true);
    if (added)
        shares_key_queue(s, added, false);
    if (lost_count)
        share_serve_check(s);
}

/* ---- Links ---- */

void shares_set_addresses(struct shares *s, const struct net_addr *addresses, uint32_t count)
{
    s->address_count = count < SHARE_ADDRESSES_MAX ? count : SHARE_ADDRESSES_MAX;
    if (s->address_count)
        memcpy(s->addresses, addresses, s->address_count * sizeof *addresses);
}

static void source_add(const struct shares *s, struct link *link, const struct net_addr *addr)
{
    if (link->source_count == LINK_SOURCES_MAX || addr->port == 0 ||
        net_addr_scope(addr) == NET_SCOPE_INVALID)
        return;
    for (uint32_t i = 0; i < link->source_count; i++) {
        if (net_addr_equal(&link->sources[i].addr, addr))
            return;
    }
    struct node_addr *source = &link->sources[link->source_count++];
    memcpy(source->key, s->core->me->key, NODE_KEY_SIZE);
    source->addr = *addr;
}

void shares_link(struct shares *s, const struct content_id *id, const char *name, char *out, size_t cap)
{
    struct link link = {.id = *id};
    struct node_reach reach;
    node_reach(s->core->node, &reach);
    /* As others see us, with the port we listen on (the one they see may be a dialled connection's); then
     * what we were bound to. */
    for (uint32_t i = 0; i < s->address_count; i++) {
        struct net_addr observed = reach.observed;
        if (observed.port == 0 || net_addr_is_v4(&observed) != net_addr_is_v4(&s->addresses[i]))
            continue;
        observed.port = s->addresses[i].port;
        source_add(s, &link, &observed);
    }
    for (uint32_t i = 0; i < s->address_count; i++)
        source_add(s, &link, &s->addresses[i]);
    if (name && strlen(name) < sizeof link.name && manifest_name_ok(bytes_of(name, strlen(name))))
        memcpy(link.name, name, strlen(name) + 1);
    int status = link_format(out, cap, &link);
    if (status) {
        link.source_count = 0;
        status = link_format(out, cap, &link);
    }
    core_assert(status == 0 || cap < LINK_TEXT_MAX);
}

/* ---- Notices, time, life ---- */

bool shares_notice(struct shares *s, const struct effect *x)
{
    if (x->u.notice.kind == NODE_NOTICE_STORED && x->u.notice.op >= SHARE_OP_FIRST) {
        for (struct share_work *w = s->works; w; w = w->next)
            share_work_stored(w, x->u.notice.op, (uint32_t)x->u.notice.a, (uint32_t)x->u.notice.b);
        return true;
    }
    return share_serve_notice(s, x);
}

static void on_tick(uv_timer_t *timer)
{
    struct shares *s = timer->data;
    core_time now = host_now(s->core);
    for (struct share_work *w = s->works, *next; w; w = next) {
        next = w->next; /* a tick ends at most the work it is given */
        share_work_tick(w, now);
    }
    if (s->started && !s->stopping) {
        share_serve_tick(s, now);
        share_watch_tick(s, now);
    }
}

void shares_soon(struct shares *s)
{
    if (!uv_is_closing((uv_handle_t *)&s->timer) && uv_is_active((uv_handle_t *)&s->timer))
        uv_timer_start(&s->timer, on_tick, 0, TICK_MS);
}

struct shares *shares_new(struct host_core *core, struct jobs *jobs, const char *home)
{
    struct shares *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->core = core;
    s->jobs = jobs;
    snprintf(s->home, sizeof s->home, "%s", home);
    uv_idle_init(core->loop, &s->idle);
    uv_timer_init(core->loop, &s->timer);
    s->idle.data = s->timer.data = s;
    uv_timer_start(&s->timer, on_tick, TICK_MS, TICK_MS);
    return s;
}

void shares_start(struct shares *s)
{
    s->started = true;
    load_start(s);
    share_watch_start(s);
}

void shares_settled(struct shares *s)
{
    if (!s->stopping || s->in_flight > 0 || s->works || s->stopped == NULL)
        return;
    void (*stopped)(void *) = s->stopped;
    s->stopped = NULL;
    uv_timer_stop(&s->timer);
    stopped(s->stopped_context);
}

/* Ends a waiting or announcing job in the next tick; a working one when its items came back. */
void shares_stop(struct shares *s, void (*stopped)(void *context), void *context)
{
    core_assert(!s->stopping);
    s->stopping = true;
    atomic_store(&s->stop, true);
    s->stopped = stopped;
    s->stopped_context = context;
    uv_idle_stop(&s->idle);
    for (struct share_work *w = s->works, *next; w; w = next) {
        next = w->next;
        if (w->job->cancel && w->phase != PHASE_ANNOUNCE)
            w->job->cancel(w->job);
    }
    share_serve_stop(s);
    shares_settled(s);
}

static void on_closed(uv_handle_t *handle)
{
    struct shares *s = handle->data;
    if (--s->closing > 0)
        return;
    free(s->keys);
    free(s);
}

void shares_free(struct shares *s)
{
    if (s == NULL)
        return;
    core_assert(s->in_flight == 0);
    while (s->works) { /* never started, or the loop ended before the tick */
        struct share_work *w = s->works;
        s->works = w->next;
        share_work_free(w);
    }
    share_serve_free(s);
    share_watch_free(s);
    s->closing = 2;
    uv_close((uv_handle_t *)&s->idle, on_closed);
    uv_close((uv_handle_t *)&s->timer, on_closed);
}
