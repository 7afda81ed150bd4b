/* What others find by searching: the names of listed shares and of the files in them, read in the thread pool when the shares have changed. */
#include <stdio.h>
#include "node/base/assert.h"
#include "node/host/log.h"
#include "node/host/names_int.h"
#include "transfer/manifest.h"

#define DEPTH_MAX    32
#define MANIFEST_MAX (16u << 20)

struct listed_item {
    struct content_id id;
    char *name;
};

struct names_listing {
    uv_work_t work;
    struct names *names; /* NULL: the node stops */
    char home[4096];
    bool otherwise;      /* listed when nothing was said */
    struct store *store;
    struct listed_item *items;
    uint32_t count, cap;
    int status;
};

static bool item_add(struct names_listing *l, const struct content_id *id, const uint8_t *name, size_t size)
{
    if (size == 0 || size > NAMING_HIT_NAME_MAX || memchr(name, 0, size))
        return true; /* too long to be told: not found by its name */
    if (l->count == NAMING_LIST_MAX)
        return false;
    if (l->count == l->cap) {
        uint32_t cap = l->cap ? 2 * l->cap : 256;
        struct listed_item *more = realloc(l->items, cap * sizeof *more);
        if (!more)
            return false;
        l->items = more;
        l->cap = cap;
    }
    char *copy = strndup((const char *)name, size);
    if (!copy)
        return false;
    l->items[l->count++] = (struct listed_item){.id = *id, .name = copy};
    return true;
}

static bool tree_add(struct names_listing *l, const struct content_id *tree, int depth)
{
    uint8_t *bytes;
    struct manifest_reader r;
    struct manifest_entry e;
    bool more = true;
    if (depth == DEPTH_MAX || tree->size > MANIFEST_MAX || store_object_read(l->store, tree, &bytes) != 0)
        return true;
    int rc = manifest_open(&r, bytes_of(bytes, (size_t)tree->size));
    while (rc == 0 && more && manifest_next(&r, &e) == 1)
        more = e.id.kind == CONTENT_TREE ? tree_add(l, &e.id, depth + 1) : item_add(l, &e.id, e.name.data, e.name.size);
    free(bytes);
    return more;
}

struct share_row { /* the store's strings die with the next call */
    struct content_id id;
    char *path, *name;
    struct share_row *next;
};

static bool share_row(void *context, const struct store_share *s)
{
    struct share_row **head = context, *row = calloc(1, sizeof *row);
    if (!row)
        return false;
    row->id = s->id;
    row->path = strdup(s->path);
    row->name = strdup(s->name);
    LL_PREPEND(*head, row);
    return row->path && row->name;
}

static void on_work(uv_work_t *work)
{
    struct names_listing *l = work->data;
    struct share_row *rows = NULL, *row, *next;
    char copies[PATH_MAX];
    l->status = store_open(&l->store, l->home, NULL);
    if (l->status != 0)
        return;
    l->status = store_shares(l->store, share_row, &rows);
    size_t prefix = (size_t)snprintf(copies, sizeof copies, "%.3800s/sites/", l->home);
    LL_FOREACH_SAFE(rows, row, next)
    {
        /* A copy of somebody's site is their publication, not ours. */
        bool listed = row->path && row->name && strncmp(row->path, copies, prefix) != 0 && store_listing_get(l->store, row->path, l->otherwise);
        if (listed && item_add(l, &row->id, (const uint8_t *)row->name, strlen(row->name)) && row->id.kind == CONTENT_TREE)
            (void)tree_add(l, &row->id, 0);
        free(row->path);
        free(row->name);
        free(row);
    }
    store_close(l->store);
}

static void listing_free(struct names_listing *l)
{
    for (uint32_t i = 0; i < l->count; i++)
        free(l->items[i].name);
    free(l->items);
    free(l);
}

static void on_done(uv_work_t *work, int status)
{
    struct names_listing *l = work->data;
    struct names *n = l->names;
    if (!n || n->stopping || status != 0 || l->status != 0) {
        if (n && l->status != 0)
            log_warning("names", "cannot read what is to be listed for search: %s", err_text(l->status));
        if (n)
            n->listing = NULL;
        listing_free(l);
        return;
    }
    struct host_core *core = &n->app->core;
    n->listing = NULL;
    naming_list_begin(n->core);
    for (uint32_t i = 0; i < l->count; i++)
        (void)naming_list_add(n->core, &l->items[i].id, l->items[i].name);
    naming_list_end(n->core, host_now(core));
    naming_wake(n->core, host_now(core), host_out(core));
    host_drain(core);
    if (l->count)
        log_info("names", "%u names listed for search", l->count);
    listing_free(l);
}

void names_list_tick(struct names *n, core_time now)
{
    (void)now;
    uint64_t changes = shares_changes(n->app->shares) + 1;
    if (n->listing || n->stopping || changes == n->listing_seen)
        return;
    struct names_listing *l = calloc(1, sizeof *l);
    if (!l)
        return;
    int list = n->app->config.search_list;
    n->listing_seen = changes;
    l->names = n;
    l->otherwise = list == CONFIG_LIST_ON || (list == CONFIG_LIST_PRIVATE && n->app->network.is_private);
    snprintf(l->home, sizeof l->home, "%s", n->app->home.path);
    l->work.data = l;
    n->listing = l;
    core_assert(uv_queue_work(&n->app->loop, &l->work, on_work, on_done) == 0);
}

void names_listing_changed(struct names *n)
{
    n->listing_seen = 0;
}

void names_list_stop(struct names *n)
{
    if (n->listing)
        n->listing->names = NULL; /* its work ends by itself */
    n->listing = NULL;
}
