/* Where a path of the tree leads: shares by name, content by id, names by the node's contacts; on this disk,
 * or by a listing on other nodes. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "gateways/content_internal_host.h"

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
bool content_segment(const char **path, char out[CONTENT_NAME_MAX + 1])
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

/* ---- Shares by name: the first of a name has it, any may be asked for with the first signs of its id ----
 */

#define TWIN_SIGNS 8

/* Where `~<signs>` stands in a name, or would: before the extension. */
static size_t twin_at(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && dot != name ? (size_t)(dot - name) : strlen(name);
}

void content_share_name(char out[CONTENT_NAME_MAX + 1], const struct store_share *share, bool first)
{
    char id[CONTENT_ID_TEXT_SIZE + 1];
    size_t at = twin_at(share->name);
    content_id_format(id, &share->id);
    if (first || strlen(share->name) + 1 + TWIN_SIGNS > CONTENT_NAME_MAX)
        snprintf(out, CONTENT_NAME_MAX + 1, "%s", share->name);
    else
        snprintf(out, CONTENT_NAME_MAX + 1, "%.*s~%.*s%s", (int)at, share->name, TWIN_SIGNS, id,
                 share->name + at);
}

struct by_name {
    const char *signs; /* "" = the first of this name */
    struct content_id *id;
    bool found;
};

static bool share_named(void *context, const struct store_share *share)
{
    struct by_name *b = context;
    char id[CONTENT_ID_TEXT_SIZE + 1];
    content_id_format(id, &share->id);
    if (strncmp(id, b->signs, strlen(b->signs)) != 0)
        return true;
    *b->id = share->id;
    b->found = true;
    return false;
}

static int share_find(struct content *c, const char *name, struct content_id *id)
{
    struct by_name by = {.signs = "", .id = id};
    char base[CONTENT_NAME_MAX + 1], signs[TWIN_SIGNS + 1];
    int rc = store_shares_named(c->app->store, name, share_named, &by);
    size_t at = twin_at(name);
    if (rc != 0 || by.found || at < 1 + TWIN_SIGNS || name[at - 1 - TWIN_SIGNS] != '~')
        return rc ? rc : by.found ? 0 : ERR_NOT_FOUND;
    snprintf(signs, sizeof signs, "%s", name + at - TWIN_SIGNS);
    snprintf(base, sizeof base, "%.*s%s", (int)(at - 1 - TWIN_SIGNS), name, name + at);
    by.signs = signs;
    rc = store_shares_named(c->app->store, base, share_named, &by);
    return rc ? rc : by.found ? 0 : ERR_NOT_FOUND;
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
    if (tree->size > CONTENT_MANIFEST_HERE)
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
    while (content_segment(&rest, name)) {
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

int content_find(struct content *c, const struct account_who *who, const char *path, const struct link *hints,
                 struct found *f)
{
    char top[CONTENT_NAME_MAX + 1], name[CONTENT_NAME_MAX + 1];
    struct content_id id;
    content_found_dir(f, "");
    if (content_is_home(path))
        return content_home_find(c, who, path, f);
    if (!content_segment(&path, top))
        return 0;
    bool shared = strcmp(top, "shared") == 0, content = strcmp(top, "content") == 0;
    if (!shared && !content && strcmp(top, "name") != 0)
        return ERR_NOT_FOUND;
    content_found_dir(f, top);
    if (!content_segment(&path, name))
        return 0;
    if (shared) {
        int rc = share_find(c, name, &id);
        if (rc != 0)
            return rc;
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

bool content_below_name(const char *path)
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
int content_name_wait(struct content_call *call)
{
    char top[CONTENT_NAME_MAX + 1], name[CONTENT_NAME_MAX + 1];
    const char *path = call->path;
    if (call->name)
        return 0;
    if (call->named || !content_segment(&path, top) || !content_segment(&path, name))
        return ERR_NO_SOURCES;
    call->name = names_resolve(call->c->app->names, name, call->deadline, on_name, call);
    return call->name ? 0 : ERR_NO_MEMORY;
}

/* Its node is a source of its site. */
void content_name_hints(struct content_call *call)
{
    char top[CONTENT_NAME_MAX + 1], name[CONTENT_NAME_MAX + 1];
    const char *path = call->path;
    struct name_info info;
    if (call->hints || !content_below_name(path) || !content_segment(&path, top) ||
        !content_segment(&path, name) || names_known(call->c->app->names, name, &info) != 0)
        return;
    call->hints = calloc(1, sizeof *call->hints);
    if (call->hints)
        names_site_link(&info, call->hints);
}

/* ---- Listing jobs on other nodes ---- */

int content_remote_start(struct content_call *call, const struct found *f, bool of_parent)
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
int content_remote_done(struct content_call *call, struct job **out)
{
    struct job *job = jobs_find(call->c->app->jobs, call->job_id);
    *out = job;
    if (!job)
        return ERR_CANCELLED;
    if (job->state == JOB_RUNNING)
        return 1;
    return job->state == JOB_DONE ? 0 : job->error ? job->error : ERR_IO;
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
void content_known_tick(struct content *c, core_time now)
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

bool content_resolve_step(struct content_call *call)
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
    int rc = content_find(call->c, &call->who, call->path, call->hints, f);
    f->info.name = f->name;
    if (rc == ERR_BUSY && content_below_name(call->path)) {
        content_place_drop(place);
        rc = content_name_wait(call);
        if (rc != 0)
            content_call_fail(call, rc);
        return rc != 0;
    }
    content_name_hints(call);
    if (rc == ERR_NO_SOURCES && call->job_id == 0) {
        rc = content_remote_start(call, f, true);
        content_place_drop(place);
        if (rc == 0)
            return false;
        content_call_fail(call, rc);
        return true;
    }
    if (rc == ERR_NO_SOURCES) {
        rc = content_remote_done(call, &job);
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
