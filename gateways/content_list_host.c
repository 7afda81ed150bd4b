/* What lies in a directory of the tree, in pages. */
#include <stdio.h>
#include <stdlib.h>
#include "gateways/content_internal_host.h"

struct page {
    struct content_info *entries;
    char (*names)[CONTENT_NAME_MAX + 1];
    uint32_t count, limit;
    uint64_t seen, from;
    bool more;
    char last[CONTENT_NAME_MAX + 1]; /* of shares: the name before */
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
    struct page *p = context;
    char name[CONTENT_NAME_MAX + 1];
    bool first = strcmp(p->last, share->name) != 0;
    snprintf(p->last, sizeof p->last, "%s", share->name);
    content_share_name(name, share, first);
    return page_add(p, name, strlen(name), &share->id, false, share->added_s);
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
    if (tree->size > CONTENT_MANIFEST_HERE || store_object_read(c->app->store, tree, &bytes) != 0)
        return ERR_NO_SOURCES;
    int rc = manifest_open(&r, bytes_of(bytes, (size_t)tree->size));
    while (rc == 0 && manifest_next(&r, &e) == 1 &&
           page_add(p, (const char *)e.name.data, e.name.size, &e.id, e.executable,
                    e.has_mtime ? (int64_t)e.mtime_s : 0))
        ;
    free(bytes);
    return rc ? ERR_IO : 0;
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
        return store_shares_by_name(c->app->store, page_share, p);
    if (rc == 0 && strcmp(call->path, "/name") == 0) {
        if (c->app->names)
            names_contacts(c->app->names, page_name, p);
        return 0;
    }
    if (rc == ERR_BUSY && content_below_name(call->path)) {
        rc = content_name_wait(call);
        return rc ? rc : 1;
    }
    content_name_hints(call);
    if (rc == 0 && !f->info.has_id)
        return 0; /* what has no end, or nothing yet, is shown empty */
    if (rc == 0)
        rc = page_manifest(c, &f->info.id, p);
    if (rc != ERR_NO_SOURCES)
        return rc;
    if (call->job_id == 0) {
        rc = content_remote_start(call, f, false);
        return rc ? rc : 1;
    }
    rc = content_remote_done(call, &job);
    return rc ? rc : page_job(job, f->inside, p);
}

bool content_list_step(struct content_call *call)
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
        rc = page_fill(call, f, content_find(call->c, &call->who, call->path, call->hints, f), &p);
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
