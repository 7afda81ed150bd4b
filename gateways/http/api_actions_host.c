/* What changes something: sharing, fetching, pins, gc, joining, stopping; and the list of shares. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "gateways/http/api_internal_host.h"
#include "node/host/names.h"
#include "node/host/store/name.h"

static json_t *number(uint64_t n)
{
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

/* ---- Shares ---- */

struct share_page {
    struct gateways *g;
    json_t *array;
    int64_t next; /* row */
    uint32_t limit;
};

static json_t *share_json(struct gateways *g, const struct store_share *s)
{
    static const char *const states[] = {"ok", "changed", "missing"};
    char link[LINK_TEXT_MAX];
    json_t *o = json_object();
    shares_link(g->app->shares, &s->id, s->name, link, sizeof link);
    json_object_set_new(o, "path", api_text(s->path));
    json_object_set_new(o, "name", api_text(s->name));
    json_object_set_new(o, "link", json_string(link));
    api_put_id(o, &s->id);
    json_object_set_new(o, "size", number(s->bytes));
    json_object_set_new(o, "files", number(s->files));
    json_object_set_new(o, "added", number((uint64_t)(s->added_s > 0 ? s->added_s : 0)));
    json_object_set_new(o, "fetched", json_boolean(s->fetched));
    json_object_set_new(o, "times", json_boolean(s->with_times));
    json_object_set_new(o, "state", json_string((unsigned)s->state < 3 ? states[s->state] : "unknown"));
    return o;
}

static bool add_share(void *context, const struct store_share *s)
{
    struct share_page *p = context;
    if (json_array_size(p->array) < p->limit) {
        json_array_append_new(p->array, share_json(p->g, s));
        return true;
    }
    p->next = s->row;
    return false;
}

void api_shares_get(struct api_request *r)
{
    struct share_page p = {.g = r->g};
    uint64_t from;
    if (!api_page(r, &from, &p.limit))
        return;
    p.array = json_array();
    int code = store_shares_from(r->g->app->store, (int64_t)from, add_share, &p);
    if (code != 0) {
        json_decref(p.array);
        api_error(r->x, code, "cannot read the list of shares: %s", err_text(code));
        return;
    }
    api_reply(
        r->x, 200,
        json_pack("{s:o, s:o}", "shares", p.array, "next", p.next ? number((uint64_t)p.next) : json_null()));
}

void api_shares_post(struct api_request *r)
{
    const char **paths;
    size_t count;
    bool times = false, list = false;
    bool says_list = json_object_get(r->body, "list") != NULL;
    if (!api_flag(r, "times", &times) || !api_flag(r, "list", &list) || !api_paths(r, "paths", true, &paths, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        if (paths[i][0] != '/') {
            api_error(r->x, ERR_MALFORMED, "\"%.200s\" is not an absolute path", paths[i]);
            free(paths);
            return;
        }
    }
    for (size_t i = 0; says_list && i < count; i++)
        (void)store_listing_put(r->g->app->store, paths[i], list);
    if (says_list)
        names_listing_changed(r->g->app->names);
    api_job_started(r, shares_add(r->g->app->shares, paths, count, times));
    free(paths);
}

void api_shares_delete(struct api_request *r)
{
    const char *what = json_string_value(json_object_get(r->body, "what"));
    if (!what) {
        api_error(r->x, ERR_MALFORMED, "the body needs \"what\": a shared path, a link or an id");
        return;
    }
    int code = shares_remove(r->g->app->shares, what);
    if (code == ERR_NOT_FOUND)
        api_error(r->x, code, "\"%.300s\" is not shared; `shoal ls` lists what is", what);
    else if (code != 0)
        api_error(r->x, code, "cannot stop sharing \"%.300s\": %s", what, err_text(code));
    else
        api_reply(r->x, 200, json_object());
}

/* ---- Fetching and looking ---- */

/* Where a page that names no place fetches to. False: answered. */
static bool downloads(struct api_request *r, char out[4096])
{
    int n = snprintf(out, 4096, "%s/downloads", r->g->app->home.path);
    if (n > 0 && n < 4096 && (mkdir(out, 0700) == 0 || errno == EEXIST))
        return true;
    api_error(r->x, ERR_IO, "cannot make the folder downloads in %.300s; name another place in \"output\"",
              r->g->app->home.path);
    return false;
}

void api_get_post(struct api_request *r)
{
    json_t *output = json_object_get(r->body, "output");
    struct fetch_params p = {.output = json_string_value(output)};
    const char **select;
    char folder[4096];
    if (!api_link(r, &p.link) || !api_flag(r, "replace", &p.replace) || !api_flag(r, "no_share", &p.no_share))
        return;
    if (!output) {
        if (!downloads(r, folder))
            return;
        p.output = folder;
    }
    json_t *timeout = json_object_get(r->body, "timeout");
    if (timeout && (!json_is_integer(timeout) || json_integer_value(timeout) < 0 ||
                    json_integer_value(timeout) > UINT32_MAX)) {
        api_error(r->x, ERR_MALFORMED, "\"timeout\" is a number of seconds, 0 = for ever");
        return;
    }
    if (!p.output || p.output[0] != '/' || strlen(p.output) >= 4096) {
        api_error(r->x, ERR_MALFORMED, "\"output\" is an absolute path");
        return;
    }
    if (!api_paths(r, "select", false, &select, &p.select_count))
        return;
    p.select = select;
    p.timeout_s = (uint32_t)json_integer_value(timeout);
    api_job_started(r, fetches_get(r->g->app->fetches, &p));
    free(select);
}

void api_ls_post(struct api_request *r)
{
    struct link link;
    bool recursive = false;
    json_t *path = json_object_get(r->body, "path");
    if (!api_link(r, &link) || !api_flag(r, "recursive", &recursive))
        return;
    if (path && !json_is_string(path))
        api_error(r->x, ERR_MALFORMED, "\"path\" is a string");
    else
        api_job_started(
            r, fetches_list(r->g->app->fetches, &link, path ? json_string_value(path) : "", recursive));
}

void api_find_post(struct api_request *r)
{
    struct link link;
    if (api_link(r, &link))
        api_job_started(r, app_find(r->g->app, &link));
}

/* ---- Pins and gc ---- */

struct pin_page {
    json_t *array;
    uint64_t from, at;
    uint32_t limit;
    bool more;
};

static bool add_pin(void *context, const struct content_id *id)
{
    struct pin_page *p = context;
    if (p->at++ < p->from)
        return true;
    p->more = json_array_size(p->array) >= p->limit;
    if (p->more)
        return false;
    json_t *o = json_object();
    api_put_id(o, id);
    json_array_append_new(p->array, o);
    return true;
}

void api_pins_get(struct api_request *r)
{
    struct pin_page p = {0};
    if (!api_page(r, &p.from, &p.limit))
        return;
    p.array = json_array();
    int code = store_pins(r->g->app->store, add_pin, &p);
    if (code != 0) {
        json_decref(p.array);
        api_error(r->x, code, "cannot read the pins: %s", err_text(code));
        return;
    }
    api_reply(
        r->x, 200,
        json_pack("{s:o, s:o}", "pins", p.array, "next", p.more ? number(p.from + p.limit) : json_null()));
}

static void pin(struct api_request *r, bool pinned)
{
    struct link link;
    if (!api_link(r, &link))
        return;
    if (!pinned && !store_is_pinned(r->g->app->store, &link.id)) {
        api_error(r->x, ERR_NOT_FOUND, "this is not pinned; `shoal pin` lists what is");
        return;
    }
    int code = store_pin(r->g->app->store, &link.id, pinned);
    if (code != 0) {
        api_error(r->x, code, "cannot write the pin: %s", err_text(code));
        return;
    }
    json_t *o = json_object();
    api_put_id(o, &link.id);
    json_object_set_new(o, "pinned", json_boolean(pinned));
    api_reply(r->x, 200, o);
}

void api_pins_post(struct api_request *r)
{
    pin(r, true);
}

void api_pins_delete(struct api_request *r)
{
    pin(r, false);
}

/* gc walks folders and reads manifests: in the thread pool, with a store handle of its own (store_gc holds
 * the write lock meanwhile). */
#define GC_FILES_MAX 1000

struct gc_work {
    uv_work_t request;
    struct gateways *g;
    struct http_exchange *x; /* NULL: the asker is gone */
    char home[4096];
    bool dry_run;
    int status;
    struct gc_result result;
    json_t *files; /* touched by the worker alone until it is done */
};

static bool gc_file(void *context, const char *path, uint64_t bytes)
{
    struct gc_work *w = context;
    if (json_array_size(w->files) < GC_FILES_MAX)
        json_array_append_new(w->files,
                              json_pack("{s:o, s:o}", "path", api_text(path), "size", number(bytes)));
    return true;
}

static void gc_run(uv_work_t *request)
{
    struct gc_work *w = request->data;
    struct store *s;
    w->status = store_open(&s, w->home, NULL);
    if (w->status != 0)
        return;
    w->status = store_gc(s, w->dry_run, gc_file, w, &w->result);
    store_close(s);
}

static void gc_ended(uv_work_t *request, int status)
{
    struct gc_work *w = request->data;
    struct gateways *g = w->g;
    if (w->x) {
        w->x->gone = NULL;
        int code = status != 0 ? ERR_CANCELLED : w->status;
        if (code != 0)
            api_error(w->x, code, "cannot tidy up %.300s: %s", w->home, err_text(code));
        else
            api_reply(w->x, 200,
                      json_pack("{s:o, s:o, s:b, s:O}", "objects", number(w->result.objects), "bytes",
                                number(w->result.bytes), "dry_run", (int)w->dry_run, "files", w->files));
    }
    json_decref(w->files);
    free(w);
    api_of(g)->usage_at = 0;
    api_usage_refresh(g);
    gateways_release(g);
}

static void gc_gone(struct http_exchange *x)
{
    struct gc_work *w = x->owner;
    w->x = NULL;
}

void api_gc_post(struct api_request *r)
{
    bool dry_run = false;
    if (!api_flag(r, "dry_run", &dry_run))
        return;
    struct gc_work *w = calloc(1, sizeof *w);
    if (!w) {
        api_error(r->x, ERR_NO_MEMORY, "out of memory");
        return;
    }
    w->g = r->g;
    w->x = r->x;
    w->request.data = w;
    w->dry_run = dry_run;
    w->files = json_array();
    snprintf(w->home, sizeof w->home, "%s", r->g->app->home.path);
    r->x->owner = w;
    r->x->gone = gc_gone;
    gateways_hold(r->g);
    uv_queue_work(&r->g->app->loop, &w->request, gc_run, gc_ended); /* cannot fail: the callbacks are there */
}

/* ---- The network and the node ---- */

void api_join_post(struct api_request *r)
{
    const char *text = json_string_value(json_object_get(r->body, "invite"));
    struct invite invite;
    char message[APP_MESSAGE_MAX] = "";
    if (!text) {
        api_error(r->x, ERR_MALFORMED, "the body needs \"invite\", a string");
        return;
    }
    int code = invite_parse(&invite, text);
    if (code != 0) {
        invite_problem(message, sizeof message, text, code);
        api_error(r->x, code, "%s", message);
        return;
    }
    code = app_join(r->g->app, &invite, message);
    if (code != 0) {
        api_error(r->x, code, "%s", message[0] ? message : err_text(code));
        return;
    }
    json_t *o = json_object();
    json_object_set_new(o, "network", api_hex(invite.network.id, NETWORK_ID_SIZE));
    json_object_set_new(o, "private", json_boolean(invite.network.is_private));
    json_object_set_new(o, "nodes", number(invite.node_count));
    json_object_set_new(o, "restarting", json_boolean(r->g->app->restart));
    api_reply(r->x, 200, o);
}

void api_rotate_post(struct api_request *r)
{
    api_job_started(r, app_rotate(r->g->app));
}

/* The answer is on its way before the sockets close: http_server_close lets it out. */
void api_down_post(struct api_request *r)
{
    api_reply(r->x, 200, json_object());
    app_stop(r->g->app);
}
