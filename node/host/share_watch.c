/* The slow walk over stamps: some hundred files a second are looked at in the pool; what changed is marked,
 * logged and shared again, what vanished is marked and comes back by itself when the disk does ("a missing
 * disk is a state, not a loss", FIELD.md, 7). */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include "node/host/share_internal.h"

#define PAGE        200u /* rows looked at in one go */
#define PAGE_PERIOD CORE_SECONDS(1)
#define ROUND_PERIOD                                                                                         \
    CORE_MINUTES(1)   /* between the end of a walk and the next, when there is little to look at */
#define FOUND_MAX 64u /* changes told in one go; the rest when the walk comes round */
#define REST_NS   INT64_C(2000000000) /* a file written within the last two seconds is left to rest */

struct found {
    int64_t row;
    enum content_state state;
    char *path;
    char *share_path; /* to be shared again; NULL: none, or a fetched one, whose manifest stays as it is */
    bool with_times, again; /* again: it was marked changed before, and sharing it again did not help */
    uint8_t key[HASH_SIZE];
};

struct share_watch {
    struct shares *s;
    uv_work_t work;
    struct store *store;
    bool busy;
    int64_t cursor;
    core_time next;
    uint32_t looked;
    struct found found[FOUND_MAX];
    uint32_t found_count;
    int status;
};

/* ---- In the pool ---- */

static enum content_state look(const struct store_content *c, bool *resting)
{
    struct stat st;
    struct file_stamp stamp;
    if (lstat(c->path, &st))
        return CONTENT_MISSING;
    if (!S_ISREG(st.st_mode))
        return CONTENT_CHANGED;
    share_stamp_of(&stamp, &st);
    if (share_stamp_equal(&stamp, &c->stamp))
        return CONTENT_OK;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    *resting = now_ns - stamp.mtime_ns > REST_NS || now_ns < stamp.mtime_ns;
    return CONTENT_CHANGED;
}

static bool look_each(void *context, const struct store_content *c)
{
    struct share_watch *w = context;
    bool resting = true;
    w->cursor = c->row;
    w->looked++;
    if (c->place != PLACE_FILE)
        return true;
    enum content_state state = look(c, &resting);
    /* One that is still marked changed was tried before and kept changing: it is tried each round. */
    if ((state == c->state && state != CONTENT_CHANGED) || !resting)
        return true;
    struct found *f = &w->found[w->found_count++];
    *f = (struct found){.row = c->row, .state = state, .again = state == c->state, .path = strdup(c->path)};
    memcpy(f->key, c->provider_key, HASH_SIZE);
    if (f->path == NULL)
        w->found_count--;
    return w->found_count < FOUND_MAX;
}

static bool owner_each(void *context, const struct store_share *share)
{
    struct found *f = context;
    if (share->fetched)
        return true;
    f->share_path = strdup(share->path);
    f->with_times = share->with_times;
    return false;
}

static void on_page(uv_work_t *work)
{
    struct share_watch *w = work->data;
    w->status = w->store ? 0 : store_open(&w->store, w->s->home, NULL);
    w->found_count = w->looked = 0;
    if (w->status == 0)
        w->status = store_contents(w->store, 0, w->cursor, PAGE, look_each, w);
    for (uint32_t i = 0; i < w->found_count; i++) {
        struct found *f = &w->found[i];
        int status = store_content_state(w->store, f->row, f->state);
        if (status == 0 && f->state == CONTENT_CHANGED)
            status = store_shares_of(w->store, f->row, owner_each, f);
        if (status && w->status == 0)
            w->status = status;
    }
    if (w->looked < PAGE &&
        w->found_count < FOUND_MAX) { /* the end: the handle would only hold memory until the next round */
        store_close(w->store);
        w->store = NULL;
    }
}

/* ---- On the loop ---- */

static void tell(struct shares *s, struct found *f)
{
    switch (f->state) {
    case CONTENT_OK:
        log_info("share", "%s is back", f->path);
        shares_key_queue(s, f->key, false); /* announcing what is announced costs nothing */
        break;
    case CONTENT_MISSING:
        log_warning("share", "%s vanished: not served until it is back", f->path);
        break;
    case CONTENT_CHANGED:
        if (f->share_path) {
            log_write(f->again ? LOG_DEBUG : LOG_INFO, "share", "%s changed: %s is shared again", f->path,
                      f->share_path);
            shares_add_background(s, f->share_path, f->with_times);
        } else if (!f->again) {
            log_warning("share", "%s changed since it was fetched: no longer served", f->path);
        }
        break;
    }
}

static void on_page_done(uv_work_t *work, int status)
{
    struct share_watch *w = work->data;
    struct shares *s = w->s;
    core_assert(status == 0);
    w->busy = false;
    s->in_flight--;
    if (w->status)
        log_debug("share", "the walk over stamps: %s", err_text(w->status));
    bool end = w->looked < PAGE && w->found_count < FOUND_MAX;
    w->next = core_time_add(host_now(s->core), end ? ROUND_PERIOD : PAGE_PERIOD);
    if (end)
        w->cursor = 0;
    for (uint32_t i = 0; i < w->found_count; i++) {
        if (!s->stopping)
            tell(s, &w->found[i]);
        free(w->found[i].path);
        free(w->found[i].share_path);
    }
    w->found_count = 0;
    shares_settled(s);
}

static void page_start(struct share_watch *w)
{
    w->busy = true;
    w->work.data = w;
    w->s->in_flight++;
    core_assert(uv_queue_work(w->s->core->loop, &w->work, on_page, on_page_done) == 0);
}

void share_watch_tick(struct shares *s, core_time now)
{
    struct share_watch *w = s->watch;
    if (w && !w->busy && now >= w->next)
        page_start(w);
}

void share_watch_now(struct shares *s)
{
    if (s->watch)
        s->watch->next = 0;
}

void share_watch_start(struct shares *s)
{
    s->watch = calloc(1, sizeof *s->watch);
    if (s->watch == NULL)
        return;
    s->watch->s = s;
    s->watch->next = core_time_add(host_now(s->core), CORE_SECONDS(5)); /* start-up has better things to do */
}

/* Found while serving: looked at in the next tick instead of when the walk comes round. */
void share_watch_content(struct shares *s, const struct store_content *c, int error)
{
    struct share_watch *w = s->watch;
    log_info("share", "%s: %s", c->path, err_text(error));
    if (w == NULL)
        return;
    if (c->place == PLACE_OBJECT)
        store_content_state(s->core->store, c->row, CONTENT_MISSING);
    if (c->place == PLACE_FILE && !w->busy)
        w->cursor = c->row - 1;
    w->next = 0;
}

void share_watch_free(struct shares *s)
{
    if (s->watch == NULL)
        return;
    core_assert(!s->watch->busy);
    store_close(s->watch->store);
    free(s->watch);
    s->watch = NULL;
}
