/* Recording a share, in the thread pool and with a store handle of its own, so that the loop never waits for
 * the disk. Order: rows first, committed; then the objects and trees they name (store.h says why); the share
 * itself last, so that it is whole or not there. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "node/host/share_internal.h"

#define FLUSH_OBJECTS 64u
#define FLUSH_BYTES   (8u << 20)

static int failed(struct share_recorder *r, int error, const char *where)
{
    if (error && r->error == 0) {
        r->error = error;
        snprintf(r->where, sizeof r->where, "%s", where);
    }
    return error;
}

static int stopped(const struct share_recorder *r)
{
    return atomic_load_explicit(r->stop, memory_order_relaxed) ? ERR_CANCELLED : 0;
}

static bool is_present(const struct share_recorder *r, const struct share_root *root)
{
    return root->entry != SHARE_NONE && r->tree->entries[root->entry].state != ENTRY_SKIPPED;
}

/* A share that is taken back while it is made needs no more rows: those it has go with it. */
static int put_row(struct share_recorder *r, struct share_root *root, struct store_content *c)
{
    if (atomic_load(&root->dropped))
        return 0;
    c->share = root->row;
    content_provider_key(c->provider_key, &c->id, r->network, r->crypto);
    int status = store_content_put(r->store, c);
    return status == ERR_NOT_FOUND && atomic_load(&root->dropped) ? 0 : status;
}

/* ---- Files ---- */

static int put_file(struct share_recorder *r, uint32_t entry)
{
    const struct share_entry *e = &r->tree->entries[entry];
    char path[PATH_MAX];
    if (!share_path(r->tree, entry, path, sizeof path))
        return ERR_RANGE; /* cannot be: it was opened */
    struct store_content c = {.id = e->id,
                              .place = PLACE_FILE,
                              .state = CONTENT_OK,
                              .path = path,
                              .stamp = e->stamp,
                              .announce = e->parent == SHARE_NONE || e->id.size >= SHARE_ANNOUNCE_MIN};
    return put_row(r, &r->tree->roots[e->root], &c);
}

static int put_files(struct share_recorder *r, const uint32_t *entries, uint32_t count)
{
    for (uint32_t done = 0; done < count;) {
        uint32_t end = count - done > SHARE_COMMIT_ROWS ? done + SHARE_COMMIT_ROWS : count;
        int status = store_begin(r->store);
        if (status)
            return status;
        for (; done < end && status == 0; done++)
            status = put_file(r, entries[done]);
        if (status) {
            store_rollback(r->store);
            return status;
        }
        status = store_commit(r->store);
        if (status == 0)
            status = stopped(r);
        if (status)
            return status;
    }
    return 0;
}

int share_record_files(struct share_recorder *r, const uint32_t *entries, uint32_t count,
                       struct share_trees *trees, uint32_t tree_count)
{
    int status = failed(r, put_files(r, entries, count), r->home);
    for (uint32_t i = 0; i < tree_count; i++) {
        if (status == 0)
            status = failed(r, store_tree_put(r->store, trees[i].path, &r->tree->entries[trees[i].entry].id),
                            r->home);
        else
            unlink(trees[i].path);
        free(trees[i].path);
    }
    return status;
}

/* ---- What is known ---- */

static bool tree_there(struct share_recorder *r, const struct content_id *id)
{
    char path[PATH_MAX];
    struct stat st;
    if (tree_span_count(id->size) <= 1)
        return true;
    store_tree_path(r->store, id, path, sizeof path);
    return stat(path, &st) == 0 &&
           (uint64_t)st.st_size ==
               ((uint64_t)tree_leaf_count(id->size) + tree_upper_count(id->size)) * HASH_SIZE;
}

static int find_known(struct share_recorder *r, uint32_t **known, uint32_t *count)
{
    struct share_tree *t = r->tree;
    *count = 0;
    *known = malloc((size_t)(t->entry_count + 1) * sizeof **known);
    if (*known == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < t->entry_count; i++) {
        struct share_entry *e = &t->entries[i];
        struct store_content c;
        char path[PATH_MAX];
        if (e->dir != SHARE_NONE || !share_path(t, i, path, sizeof path))
            continue;
        if (i % 1024 == 0 && stopped(r))
            return ERR_CANCELLED;
        int status = store_content_by_path(r->store, path, &c);
        if (status == ERR_NOT_FOUND)
            continue;
        if (status)
            return status;
        if (c.place == PLACE_FILE && c.state == CONTENT_OK && c.id.kind == CONTENT_FILE &&
            share_stamp_equal(&c.stamp, &e->stamp) && tree_there(r, &c.id)) {
            e->id = c.id;
            e->state = ENTRY_KNOWN;
            (*known)[(*count)++] = i;
        }
    }
    return 0;
}

static int begin_roots(struct share_recorder *r)
{
    struct share_tree *t = r->tree;
    int status = store_begin(r->store);
    if (status)
        return status;
    for (uint32_t i = 0; i < t->root_count && status == 0; i++) {
        if (is_present(r, &t->roots[i]))
            status = store_share_begin(r->store, t->roots[i].path, (int64_t)time(NULL), &t->roots[i].row);
    }
    if (status) {
        store_rollback(r->store);
        return status;
    }
    return store_commit(r->store);
}

int share_record_begin(struct share_recorder *r)
{
    char message[256];
    uint32_t *known = NULL, count = 0;
    int status = store_open(&r->store, r->home, message);
    if (status)
        return failed(r, status, r->home);
    status = begin_roots(r);
    if (status == 0)
        status = find_known(r, &known, &count);
    if (status == 0)
        status = put_files(r, known, count);
    free(known);
    return failed(r, status, r->home);
}

void share_record_close(struct share_recorder *r)
{
    store_close(r->store);
    r->store = NULL;
    free(r->lost);
    r->lost = NULL;
    r->lost_count = r->lost_cap = 0;
}

/* ---- Manifests ---- */

struct pending {
    struct store_object objects[FLUSH_OBJECTS];
    uint32_t dirs[FLUSH_OBJECTS];
    uint32_t count;
    size_t bytes;
};

static void pending_free(struct pending *p)
{
    for (uint32_t i = 0; i < p->count; i++)
        free((void *)(uintptr_t)p->objects[i].bytes.data);
    p->count = 0;
    p->bytes = 0;
}

static int manifest_row(struct share_recorder *r, uint32_t dir, const struct content_id *id)
{
    const struct share_tree *t = r->tree;
    const struct share_entry *e = &t->entries[t->dirs[dir].entry];
    char object[PATH_MAX], directory[PATH_MAX];
    store_object_path(r->store, id, object, sizeof object);
    if (!share_path(t, t->dirs[dir].entry, directory, sizeof directory))
        return ERR_RANGE;
    struct store_content c = {.id = *id,
                              .place = PLACE_OBJECT,
                              .state = CONTENT_OK,
                              .path = object,
                              .directory = directory,
                              .announce = e->parent == SHARE_NONE};
    return put_row(r, &t->roots[e->root], &c);
}

/* The tree file of a manifest of several spans: some 20,000 entries in one directory. */
static int manifest_tree(struct share_recorder *r, const struct content_id *id,
                         const uint8_t (*leaves)[HASH_SIZE])
{
    char path[PATH_MAX];
    uint32_t leaf_count = tree_leaf_count(id->size), upper_count = tree_upper_count(id->size);
    uint8_t(*upper)[HASH_SIZE] = malloc((size_t)upper_count * HASH_SIZE);
    int status = upper ? store_temporary_path(r->store, "trees", path, sizeof path) : ERR_NO_MEMORY;
    FILE *f = status ? NULL : fopen(path, "wxe");
    if (status == 0 && f == NULL)
        status = share_error(errno);
    if (status == 0) {
        for (uint32_t i = 0; i < tree_span_count(id->size); i++)
            tree_span_root(upper[i], leaves + (size_t)i * TREE_SPAN_LEAVES, tree_span_leaves(id->size, i),
                           id->size);
        tree_upper_build(upper, id->size);
        if (fwrite(leaves, HASH_SIZE, leaf_count, f) != leaf_count ||
            fwrite(upper, HASH_SIZE, upper_count, f) != upper_count)
            status = share_error(errno);
    }
    if (f && fclose(f) && status == 0)
        status = share_error(errno);
    free(upper);
    if (status == 0)
        return store_tree_put(r->store, path, id);
    if (f)
        unlink(path);
    return status;
}

static int leaves_of(uint8_t (**out)[HASH_SIZE], struct bytes data)
{
    uint32_t count = tree_leaf_count(data.size);
    *out = malloc((size_t)count * HASH_SIZE);
    if (*out == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++)
        tree_sha256((*out)[i], data.data + (size_t)i * TREE_LEAF_SIZE, tree_leaf_bytes(data.size, i));
    return 0;
}

static int flush(struct share_recorder *r, struct pending *p)
{
    int status = p->count ? store_begin(r->store) : 0;
    if (status || p->count == 0)
        return status;
    for (uint32_t i = 0; i < p->count && status == 0; i++)
        status = manifest_row(r, p->dirs[i], &p->objects[i].id);
    if (status) {
        store_rollback(r->store);
        return status;
    }
    status = store_commit(r->store);
    if (status == 0)
        status = store_objects_put(r->store, p->objects, p->count);
    for (uint32_t i = 0; i < p->count && status == 0; i++) {
        uint8_t(*leaves)[HASH_SIZE] = NULL;
        if (tree_span_count(p->objects[i].id.size) <= 1)
            continue;
        status = leaves_of(&leaves, p->objects[i].bytes);
        if (status == 0)
            status = manifest_tree(r, &p->objects[i].id, (const uint8_t(*)[HASH_SIZE])leaves);
        free(leaves);
    }
    pending_free(p);
    return status ? status : stopped(r);
}

static bool in_manifest(const struct share_entry *e)
{
    return e->state == ENTRY_HASHED || e->state == ENTRY_KNOWN;
}

/* A directory whose children are done. The bytes are the caller's. */
static int manifest_make(struct share_recorder *r, const struct share_dir *d, struct bytes *out)
{
    const struct share_tree *t = r->tree;
    uint32_t count = 0;
    size_t bound = MANIFEST_HEAD_MAX;
    for (uint32_t i = d->first; i < d->first + d->count; i++) {
        if (in_manifest(&t->entries[i])) {
            count++;
            bound += manifest_entry_bound(t->entries[i].name_size);
        }
    }
    uint8_t *buffer = malloc(bound);
    if (buffer == NULL)
        return ERR_NO_MEMORY;
    struct pack p;
    struct bytes last = {NULL, 0};
    pack_init(&p, buffer, bound);
    manifest_begin(&p, count);
    for (uint32_t i = d->first; i < d->first + d->count; i++) {
        const struct share_entry *e = &t->entries[i];
        if (!in_manifest(e))
            continue;
        struct manifest_entry m = {.name = bytes_of(share_name(t, e), e->name_size),
                                   .id = e->id,
                                   .executable = e->executable,
                                   .has_mtime = r->with_times,
                                   .mtime_s =
                                       e->stamp.mtime_ns > 0 ? (uint64_t)e->stamp.mtime_ns / 1000000000u : 0};
        int status = manifest_add(&p, &m, &last);
        core_assert(status == 0); /* sorted, and the names were checked */
    }
    core_assert(pack_ok(&p));
    *out = bytes_of(buffer, p.size);
    return 0;
}

static int manifests(struct share_recorder *r, struct pending *p)
{
    struct share_tree *t = r->tree;
    for (uint32_t i = t->dir_count; i-- > 0;) { /* children lie after their directory */
        struct share_entry *e = &t->entries[t->dirs[i].entry];
        struct bytes bytes;
        uint8_t(*leaves)[HASH_SIZE] = NULL;
        if (e->state == ENTRY_SKIPPED)
            continue;
        int status = manifest_make(r, &t->dirs[i], &bytes);
        if (status)
            return status;
        e->id.kind = CONTENT_TREE;
        e->id.size = bytes.size;
        p->objects[p->count] = (struct store_object){e->id, bytes};
        p->dirs[p->count] = i;
        p->bytes += bytes.size;
        status = leaves_of(&leaves, bytes);
        if (status == 0)
            tree_root(e->id.root, (const uint8_t(*)[HASH_SIZE])leaves, tree_leaf_count(bytes.size));
        free(leaves);
        p->objects[p->count++].id = e->id;
        if (status)
            return status;
        e->state = ENTRY_HASHED;
        if (p->count == FLUSH_OBJECTS || p->bytes >= FLUSH_BYTES)
            status = flush(r, p);
        if (status)
            return status;
    }
    return flush(r, p);
}

/* ---- Shares ---- */

static bool lost_key(void *context, const uint8_t key[HASH_SIZE])
{
    struct share_recorder *r = context;
    if (r->lost_count == r->lost_cap) {
        uint32_t cap = r->lost_cap ? r->lost_cap * 2 : 64;
        void *p = realloc(r->lost, (size_t)cap * HASH_SIZE);
        if (p == NULL)
            return false; /* announced until the node restarts: harmless, whoever asks is told no */
        r->lost = p;
        r->lost_cap = cap;
    }
    memcpy(r->lost[r->lost_count++], key, HASH_SIZE);
    return true;
}

static int finish_root(struct share_recorder *r, struct share_root *root)
{
    const struct share_entry *e = root->entry == SHARE_NONE ? NULL : &r->tree->entries[root->entry];
    struct store_share old;
    if (e == NULL || root->row == 0)
        return 0;
    bool known = store_share_by_path(r->store, root->path, &old) == 0;
    bool dropped = atomic_load(&root->dropped);
    if (!in_manifest(e) || dropped) {
        /* Nothing came of it. A share of before stays as it was, unless it was taken back meanwhile. */
        int status = known && !dropped ? 0 : store_share_lost(r->store, root->row, false, lost_key, r);
        if (status == 0 && (!known || dropped))
            status = store_share_remove(r->store, root->row);
        return status == ERR_NOT_FOUND ? 0 : status;
    }
    const char *name = strrchr(root->path, '/') + 1;
    struct store_share share = {.path = root->path,
                                .name = name,
                                .id = e->id,
                                .bytes = root->bytes,
                                .files = root->files,
                                .added_s = known ? old.added_s : (int64_t)time(NULL),
                                .with_times = r->with_times,
                                .state = CONTENT_OK};
    int status = store_share_put(r->store, &share, &root->row);
    if (status == 0)
        status = store_share_lost(r->store, root->row, true, lost_key, r);
    return status ? status : store_share_settle(r->store, root->row);
}

static void count_roots(struct share_tree *t)
{
    for (uint32_t i = 0; i < t->entry_count; i++) {
        const struct share_entry *e = &t->entries[i];
        if (e->dir == SHARE_NONE && in_manifest(e)) {
            t->roots[e->root].files++;
            t->roots[e->root].bytes += e->id.size;
        }
    }
}

static int finish_roots(struct share_recorder *r)
{
    struct share_tree *t = r->tree;
    int status = store_begin(r->store);
    if (status)
        return status;
    for (uint32_t i = 0; i < t->root_count && status == 0; i++)
        status = finish_root(r, &t->roots[i]);
    if (status) {
        store_rollback(r->store);
        return status;
    }
    return store_commit(r->store);
}

int share_record_end(struct share_recorder *r)
{
    struct pending *p = calloc(1, sizeof *p);
    if (p == NULL)
        return failed(r, ERR_NO_MEMORY, "");
    count_roots(r->tree);
    int status = manifests(r, p);
    pending_free(p);
    free(p);
    if (status == 0)
        status = finish_roots(r);
    return failed(r, status, r->home);
}
