/* Calls, paths and lists of the tree that gateways show. */
#include "gateways/content_host.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "gateways/content_internal_host.h"
#include "gateways/http/http_target.h"
#include "node/base/assert.h"

#define MANIFEST_HERE_MAX                                                                                    \
    (8u << 20) /* a manifest that is read on the loop [bytes]; larger ones by a listing job */
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

/* ---- Paths ---- */

bool content_path_ok(const char *path)
{
    if (path[0] != '/' || strlen(path) >= CONTENT_PATH_MAX)
        return false;
    if (path[1] == 0)
        return true;
    while (*path == '/') {
        size_t n = strcspn(++path, "/");
        if (n == 0 || (n == 1 && path[0] == '.') || (n == 2 && path[0] == '.' && path[1] == '.') ||
            n > CONTENT_NAME_MAX)
            return false;
        path += n;
    }
    return true;
}

/* Takes the next segment of "/a/b". */
static bool segment(const char **path, char out[CONTENT_NAME_MAX + 1])
{
    while (**path == '/')
        (*path)++;
    size_t n = strcspn(*path, "/");
    if (n == 0 || n > CONTENT_NAME_MAX)
        return false;
    memcpy(out, *path, n);
    out[n] = 0;
    *path += n;
    return true;
}

struct by_name {
    const char *name;
    struct store_share *out;
    char *path;
    bool found;
};

static bool share_named(void *context, const struct store_share *share)
{
    struct by_name *b = context;
    if (strcmp(share->name, b->name) != 0)
        return true;
    *b->out = *share;
    snprintf(b->path, PATH_MAX, "%s", share->path);
    b->found = true;
    return false;
}

void content_found_dir(struct found *f, const char *name)
{
    memset(f, 0, offsetof(struct found, local) + 1);
    f->in_tree = f->stamped = false;
    f->inside[0] = 0;
    snprintf(f->name, sizeof f->name, "%s", name);
    f->info = (struct content_info){.what = CONTENT_IS_DIR, .name = f->name, .local = true};
}

static void found_content(struct found *f, const char *name, const struct content_id *id, bool executable)
{
    snprintf(f->name, sizeof f->name, "%s", name);
    f->info = (struct content_info){.what = id->kind == CONTENT_TREE ? CONTENT_IS_DIR : CONTENT_IS_FILE,
                                    .name = f->name,
                                    .has_id = true,
                                    .id = *id,
                                    .size = id->kind == CONTENT_TREE ? 0 : id->size,
                                    .executable = executable};
}

static int manifest_find(struct content *c, const struct content_id *tree, const char *name,
                         struct manifest_entry *out)
{
    uint8_t *bytes;
    struct manifest_reader r;
    if (tree->size > MANIFEST_HERE_MAX)
        return ERR_NO_SOURCES;
    int rc = store_object_read(c->app->store, tree, &bytes);
    if (rc != 0)
        return ERR_NO_SOURCES; /* not here: others may have it */
    rc = manifest_open(&r, bytes_of(bytes, (size_t)tree->size));
    struct manifest_entry e;
    int found = ERR_NOT_FOUND;
    while (rc == 0 && found != 0 && manifest_next(&r, &e) == 1) {
        if (e.name.size == strlen(name) && memcmp(e.name.data, name, e.name.size) == 0) {
            *out = e;
            found = 0;
        }
    }
    free(bytes);
    return rc ? ERR_IO : found;
}

/* A complete file of this content on this disk, as the store knows it, or in the cache. */
static void find_local(struct content *c, struct found *f)
{
    struct store_content row;
    struct stat st;
    if (store_content_by_id(c->app->store, &f->info.id, &row) == 0 && row.state == CONTENT_OK &&
        row.place != PLACE_PART) {
        snprintf(f->local, sizeof f->local, "%s", row.path);
        f->stamp = row.stamp;
        f->stamped = row.place == PLACE_FILE;
        f->info.mtime_s = f->stamped ? row.stamp.mtime_ns / 1000000000 : 0;
        f->info.local = true;
        return;
    }
    if (content_cache_path(c, &f->info.id, f->local, sizeof f->local) && stat(f->local, &st) == 0 &&
        S_ISREG(st.st_mode) && (uint64_t)st.st_size == f->info.id.size)
        f->info.local = true;
    else
        f->local[0] = 0;
}

/* Walks below a root. 0; ERR_NO_SOURCES: a manifest on the way is not here, f->inside says what is looked
 * for. */
static int walk(struct content *c, const char *rest, struct found *f)
{
    char name[CONTENT_NAME_MAX + 1];
    f->root = f->info.id;
    snprintf(f->inside, sizeof f->inside, "%s", *rest == '/' ? rest + 1 : rest);
    while (segment(&rest, name)) {
        struct manifest_entry e;
        if (f->info.what != CONTENT_IS_DIR)
            return ERR_NOT_FOUND;
        f->in_tree = true;
        int rc = manifest_find(c, &f->info.id, name, &e);
        if (rc != 0)
            return rc;
        found_content(f, name, &e.id, e.executable);
        if (e.has_mtime)
            f->info.mtime_s = (int64_t)e.mtime_s;
    }
    if (f->info.what == CONTENT_IS_FILE)
        find_local(c, f);
    return 0;
}

static int find(struct content *c, const struct account_who *who, const char *path, const struct link *hints,
                struct found *f)
{
    char top[CONTENT_NAME_MAX + 1], name[CONTENT_NAME_MAX + 1], share_path[PATH_MAX];
    struct content_id id;
    content_found_dir(f, "");
    if (content_is_home(path))
        return content_home_find(c, who, path, f);
    if (!segment(&path, top))
        return 0;
    bool shared = strcmp(top, "shared") == 0, content = strcmp(top, "content") == 0;
    if (!shared && !content && strcmp(top, "name") != 0)
        return ERR_NOT_FOUND;
    content_found_dir(f, top);
    if (!segment(&path, name))
        return 0;
    if (shared) {
        struct store_share share;
        struct by_name by = {.name = name, .out = &share, .path = share_path};
        int rc = store_shares(c->app->store, share_named, &by);
        if (rc != 0 || !by.found)
            return rc ? rc : ERR_NOT_FOUND;
        id = share.id;
    } else if (content) {
        int rc = content_id_parse(&id, name);
        if (rc != 0)
            return rc;
        if (id.kind > CONTENT_TREE)
            return ERR_UNSUPPORTED;
    } else {
        struct name_info info;
        int rc = c->app->names ? names_known(c->app->names, name, &info) : ERR_NOT_FOUND;
        if (rc != 0) /* ERR_BUSY: its profile is not here yet */
            return rc == ERR_BUSY || rc == ERR_CHECKSUM ? rc : ERR_NOT_FOUND;
        if (!info.profile.has_site)
            return ERR_NOT_FOUND;
        id = info.profile.site;
    }
    const char *label = !content ? name : hints && hints->name[0] ? hints->name : "";
    found_content(f, label, &id, false);
    struct store_share known;
    if (content && !label[0] && store_share_by_id(c->app->store, &id, &known) == 0) {
        snprintf(f->name, sizeof f->name, "%s", known.name);
    }
    return walk(c, path, f);
}

/* ---- Names ---- */

static bool below_name(const char *path)
{
    return strncmp(path, "/name/", 6) == 0;
}

static void on_name(void *context, int status, const struct name_info *info)
{
    struct content_call *call = context;
    (void)status;
    (void)info;
    call->name = NULL;
    call->named = true;
    content_kick(call->c);
}

/* The call's name is not known yet: looks for it once. 0: wait; else why the call fails. */
static int name_wait(struct content_call *call)
{
    char top[CONTENT_NAME_MAX + 1], name[CONTENT_NAME_MAX + 1];
    const char *path = call->path;
    if (call->name)
        return 0;
    if (call->named || !segment(&path, top) || !segment(&path, name))
        return ERR_NO_SOURCES;
    call->name = names_resolve(call->c->app->names, name, call->deadline, on_name, call);
    return call->name ? 0 : ERR_NO_MEMORY;
}

/* Its node is a source of its site. */
static void name_hints(struct content_call *call)
{
    char top[CONTENT_NAME_MAX + 1], name[CONTENT_NAME_MAX + 1];
    const char *path = call->path;
    struct name_info info;
    if (call->hints || !below_name(path) || !segment(&path, top) || !segment(&path, name) ||
        names_known(call->c->app->names, name, &info) != 0)
        return;
    call->hints = calloc(1, sizeof *call->hints);
    if (call->hints)
        names_site_link(&info, call->hints);
}

/* ---- Listing jobs on other nodes ---- */

static int remote_start(struct content_call *call, const struct found *f, bool of_parent)
{
    struct link link = {.id = f->root};
    char folder[CONTENT_PATH_MAX];
    if (call->hints) {
        link = *call->hints;
        link.id = f->root;
    }
    snprintf(folder, sizeof folder, "%s", f->inside);
    if (of_parent) {
        char *slash = strrchr(folder, '/');
        *(slash ? slash : folder) = 0;
    }
    struct job *job = fetches_list(call->c->app->fetches, &link, folder, false);
    if (!job)
        return ERR_FULL;
    call->job_id = job->id;
    return 0;
}

/* 1: still running. */
static int remote_done(struct content_call *call, struct job **out)
{
    struct job *job = jobs_find(call->c->app->jobs, call->job_id);
    *out = job;
    if (!job)
        return ERR_CANCELLED;
    if (job->state == JOB_RUNNING)
        return 1;
    return job->state == JOB_DONE ? 0 : job->error ? job->error : ERR_IO;
}

/* The entry's name when it lies right below `folder` ("" = the root). */
static const char *child_of(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    if (n) {
        if (strncmp(path, folder, n) == 0 && path[n] == '/')
            path += n + 1;
    }
    return *path && !strchr(path, '/') ? path : NULL;
}

static int remote_entry(const struct job *job, struct found *f)
{
    for (uint32_t i = 0; i < job->entry_count; i++) {
        const struct job_entry *e = &job->entries[i];
        const char *slash = strrchr(f->inside, '/'), *last = slash ? slash + 1 : f->inside;
        size_t n = strlen(e->path), m = strlen(last);
        if (strcmp(e->path, f->inside) == 0 || (n == m && strcmp(e->path, last) == 0)) {
            found_content(f, last, &e->id, e->executable);
            return 0;
        }
    }
    return ERR_NOT_FOUND;
}

/* ---- Resolve and open ---- */

static bool give(struct content_call *call, struct place *place)
{
    const struct found *f = &place->found;
    struct content_call was = *call;
    if (was.kind == CALL_RESOLVE) {
        content_call_free(call);
        was.info_done(was.context, 0, &f->info);
        return true;
    }
    int error = f->info.what == CONTENT_IS_FILE ? 0 : ERR_NOT_A_FILE;
    struct content_file *file = error ? NULL : content_file_open(was.c, place, call->hints, &error);
    if (error) {
        content_call_fail(call, error);
        return true;
    }
    content_call_free(call);
    was.open_done(was.context, 0, file, &file->place->found.info);
    return true;
}

static struct known *known_place(struct content *c, const char *path)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *p = path; *p; p++)
        hash = (hash ^ (uint8_t)*p) * 16777619u;
    return &c->known[hash % KNOWN_PATHS];
}

static void known_drop(struct known *k)
{
    free(k->path);
    content_place_drop(k->place);
    *k = (struct known){0};
}

static void known_keep(struct content *c, const char *path, struct place *place)
{
    struct known *k = known_place(c, path);
    if (!place->found.local[0] ||
        content_is_home(path)) /* of homes not everybody may know, and they change */
        return;
    known_drop(k);
    k->path = strdup(path);
    if (!k->path)
        return;
    k->place = place;
    place->refs++;
    k->until = host_now(&c->app->core) + KNOWN_FOR;
    c->known_used = true;
}

struct known *content_known_find(struct content *c, const char *path)
{
    struct known *k = known_place(c, path);
    return k->path && strcmp(k->path, path) == 0 && host_now(&c->app->core) < k->until &&
                   k->place->found.local[0]
               ? k
               : NULL;
}

/* A descriptor kept too long would keep the disk of a file that was removed. */
static void known_tick(struct content *c, core_time now)
{
    c->known_used = false;
    for (uint32_t i = 0; i < KNOWN_PATHS; i++) {
        if (c->known[i].path && now >= c->known[i].until)
            known_drop(&c->known[i]);
        c->known_used = c->known_used || c->known[i].path;
    }
}

void content_known_forget(struct content *c)
{
    for (uint32_t i = 0; i < KNOWN_PATHS; i++)
        c->known[i].until = 0;
}

static bool resolve_step(struct content_call *call)
{
    struct known *k = content_known_find(call->c, call->path);
    if (k)
        return give(call, k->place);
    struct place *place = content_place_new();
    struct job *job;
    if (!place) {
        content_call_fail(call, ERR_NO_MEMORY);
        return true;
    }
    struct found *f = &place->found;
    int rc = find(call->c, &call->who, call->path, call->hints, f);
    f->info.name = f->name;
    if (rc == ERR_BUSY && below_name(call->path)) {
        content_place_drop(place);
        rc = name_wait(call);
        if (rc != 0)
            content_call_fail(call, rc);
        return rc != 0;
    }
    name_hints(call);
    if (rc == ERR_NO_SOURCES && call->job_id == 0) {
        rc = remote_start(call, f, true);
        content_place_drop(place);
        if (rc == 0)
            return false;
        content_call_fail(call, rc);
        return true;
    }
    if (rc == ERR_NO_SOURCES) {
        rc = remote_done(call, &job);
        if (rc == 1) {
            content_place_drop(place);
            return false;
        }
        if (rc == 0)
            rc = remote_entry(job, f);
        if (rc == 0 && f->info.what == CONTENT_IS_FILE)
            find_local(call->c, f);
        f->info.name = f->name;
    }
    if (rc != 0) {
        content_call_fail(call, rc);
    } else {
        known_keep(call->c, call->path, place);
        give(call, place);
    }
    content_place_drop(place);
    return true;
}

/* ---- Lists ---- */

struct page {
    struct content_info *entries;
    char (*names)[CONTENT_NAME_MAX + 1];
    uint32_t count, limit;
    uint64_t seen, from;
    bool more;
};

static bool page_add(struct page *p, const char *name, size_t size, const struct content_id *id,
                     bool executable, int64_t mtime_s)
{
    if (p->seen++ < p->from)
        return true;
    if (p->count == p->limit) {
        p->more = true;
        return false;
    }
    snprintf(p->names[p->count], sizeof *p->names, "%.*s", (int)size, name);
    struct content_info *e = &p->entries[p->count];
    *e = (struct content_info){
        .what = CONTENT_IS_DIR, .name = p->names[p->count], .executable = executable, .mtime_s = mtime_s};
    if (id) {
        e->has_id = true;
        e->id = *id;
        e->what = id->kind == CONTENT_TREE ? CONTENT_IS_DIR : CONTENT_IS_FILE;
        e->size = id->kind == CONTENT_TREE ? 0 : id->size;
    }
    p->count++;
    return true;
}

static bool page_share(void *context, const struct store_share *share)
{
    return page_add(context, share->name, strlen(share->name), &share->id, false, share->added_s);
}

/* The contacts that have a site; a name that two of them share is left out, since it does not resolve. */
static bool page_name(void *context, const struct name_info *info)
{
    struct page *p = context;
    const char *name = info->petname[0] ? info->petname : info->profile.nickname;
    if (!info->profile.has_site || !name[0] || (p->count && strcmp(p->names[p->count - 1], name) == 0))
        return true;
    return page_add(p, name, strlen(name), &info->profile.site, false, 0);
}

static int page_manifest(struct content *c, const struct content_id *tree, struct page *p)
{
    uint8_t *bytes;
    struct manifest_reader r;
    struct manifest_entry e;
    if (tree->size > MANIFEST_HERE_MAX || store_object_read(c->app->store, tree, &bytes) != 0)
        return ERR_NO_SOURCES;
    int rc = manifest_open(&r, bytes_of(bytes, (size_t)tree->size));
    while (rc == 0 && manifest_next(&r, &e) == 1 &&
           page_add(p, (const char *)e.name.data, e.name.size, &e.id, e.executable,
                    e.has_mtime ? (int64_t)e.mtime_s : 0))
        ;
    free(bytes);
    return rc ? ERR_IO : 0;
}

static int page_job(const struct job *job, const char *folder, struct page *p)
{
    for (uint32_t i = 0; i < job->entry_count; i++) {
        const char *name = child_of(job->entries[i].path, folder);
        if (name && !page_add(p, name, strlen(name), &job->entries[i].id, job->entries[i].executable, 0))
            break;
    }
    return 0;
}

static int page_fill(struct content_call *call, const struct found *f, int rc, struct page *p)
{
    struct content *c = call->c;
    struct job *job;
    if (rc == 0 && f->info.what != CONTENT_IS_DIR)
        return ERR_NOT_A_FILE;
    if (rc == 0 && strcmp(call->path, "/") == 0) {
        static const char *const tops[] = {"content", "home", "name", "shared"};
        for (int i = 0; i < 4; i++)
            page_add(p, tops[i], strlen(tops[i]), NULL, false, 0);
        return 0;
    }
    if (rc == 0 && strcmp(call->path, "/shared") == 0)
        return store_shares(c->app->store, page_share, p);
    if (rc == 0 && strcmp(call->path, "/name") == 0) {
        if (c->app->names)
            names_contacts(c->app->names, page_name, p);
        return 0;
    }
    if (rc == ERR_BUSY && below_name(call->path)) {
        rc = name_wait(call);
        return rc ? rc : 1;
    }
    name_hints(call);
    if (rc == 0 && !f->info.has_id)
        return 0; /* what has no end, or nothing yet, is shown empty */
    if (rc == 0)
        rc = page_manifest(c, &f->info.id, p);
    if (rc != ERR_NO_SOURCES)
        return rc;
    if (call->job_id == 0) {
        rc = remote_start(call, f, false);
        return rc ? rc : 1;
    }
    rc = remote_done(call, &job);
    return rc ? rc : page_job(job, f->inside, p);
}

static bool list_step(struct content_call *call)
{
    if (content_is_home(call->path))
        return content_home_list(call);
    struct found *f = calloc(1, sizeof *f);
    struct page p = {.limit = call->limit, .from = call->from};
    p.entries = calloc(p.limit, sizeof *p.entries);
    p.names = calloc(p.limit, sizeof *p.names);
    int rc = ERR_NO_MEMORY;
    if (f && p.entries && p.names) {
        f->info.name = f->name;
        rc = page_fill(call, f, find(call->c, &call->who, call->path, call->hints, f), &p);
    }
    bool ended = rc != 1;
    if (rc == 0) {
        struct content_call was = *call;
        content_call_free(call);
        was.list_done(was.context, 0, p.entries, p.count, p.more);
    } else if (ended) {
        content_call_fail(call, rc);
    }
    free(p.entries);
    free(p.names);
    free(f);
    return ended;
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
                 : call->kind == CALL_LIST ? list_step(call)
                                           : resolve_step(call);
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
    known_tick(c, now);
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
