/* What was fetched enters the store: the manifests that are here as objects say which files should lie where,
 * and the stamps are taken from the disk. What arrived is not hashed again: each byte was verified then,
 * and peers verify what we serve. A large file that was there already has no hash tree yet, and gets one. A tree of which only some paths were selected keeps its root; what is not
 * there is not recorded. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "node/host/fault.h"
#include "node/host/share_internal.h"

struct adopt_dir {
    struct content_id id;
    char *path;
    uint32_t depth;
};

struct adopt {
    uv_work_t work;
    struct shares *s;
    struct content_id id;
    bool announce, began; /* a transaction is open */
    char path[PATH_MAX];
    struct store *store;
    struct adopt_dir *dirs; /* a stack */
    uint32_t dir_count, dir_cap, rows;
    int64_t row;
    uint64_t bytes, files;
    int status;
    struct share_key *keys;
    uint32_t key_count, key_cap;
    void (*done)(void *context, int status);
    void *context;
};

static int let_others_write(struct adopt *a)
{
    a->began = false;
    int status = store_commit(a->store);
    if (status == 0)
        status = store_begin(a->store);
    a->began = status == 0;
    return status;
}

static int put(struct adopt *a, struct store_content *c)
{
    content_provider_key(c->provider_key, &c->id, a->s->core->network, a->s->core->crypto);
    c->share = a->row;
    c->announce = a->announce && (content_id_equal(&c->id, &a->id) ||
                                  (c->place == PLACE_FILE && c->id.size >= SHARE_ANNOUNCE_MIN));
    if (c->announce && a->key_count == a->key_cap) {
        uint32_t cap = a->key_cap ? a->key_cap * 2 : 16;
        void *p = realloc(a->keys, cap * sizeof *a->keys);
        if (p == NULL)
            return ERR_NO_MEMORY;
        a->keys = p;
        a->key_cap = cap;
    }
    if (c->announce) {
        memcpy(a->keys[a->key_count].key, c->provider_key, HASH_SIZE);
        a->keys[a->key_count++].remove = false;
    }
    int status = store_content_put(a->store, c);
    return status == 0 && ++a->rows % SHARE_COMMIT_ROWS == 0 ? let_others_write(a) : status;
}

static bool file_stamp(const char *path, const struct content_id *id, struct file_stamp *out)
{
    struct stat st;
    if (lstat(path, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != id->size)
        return false;
    share_stamp_of(out, &st);
    return true;
}

/* The file was not fetched by us: it lay here. Hashing takes long, so no transaction is open meanwhile. */
static int tree_again(struct adopt *a, const char *path, const struct content_id *id, char temporary[PATH_MAX])
{
    a->began = false;
    int status = store_commit(a->store);
    if (status)
        return status;
    int hashed = store_temporary_path(a->store, "trees", temporary, PATH_MAX);
    if (hashed == 0)
        hashed = share_tree_again(path, id, temporary, &a->s->stop);
    status = store_begin(a->store);
    a->began = status == 0;
    if (status && hashed == 0)
        unlink(temporary);
    return status ? status : hashed;
}

static int adopt_file(struct adopt *a, const char *path, const struct content_id *id)
{
    struct store_content c = {.id = *id, .place = PLACE_FILE, .state = CONTENT_OK, .path = path};
    char tree[PATH_MAX], temporary[PATH_MAX] = "";
    int status = 0;
    if (!file_stamp(path, id, &c.stamp))
        return 0;
    if (tree_span_count(id->size) > 1) {
        store_tree_path(a->store, id, tree, sizeof tree);
        if (access(tree, R_OK))
            status = tree_again(a, path, id, temporary);
    }
    if (status == ERR_BAD_HASH || status == ERR_CHANGED)
        return 0; /* not what was asked for: nothing to serve */
    if (status == 0)
        status = put(a, &c);
    if (status == 0 && temporary[0]) /* the row first, then what it names (store.h) */
        status = let_others_write(a);
    if (status == 0 && temporary[0])
        status = store_tree_put(a->store, temporary, id);
    if (status) {
        if (temporary[0])
            unlink(temporary);
        return status;
    }
    a->files++;
    a->bytes += id->size;
    return 0;
}

static int push(struct adopt *a, const struct content_id *id, const char *path, uint32_t depth)
{
    if (a->dir_count == a->dir_cap) {
        uint32_t cap = a->dir_cap ? a->dir_cap * 2 : 64;
        void *p = realloc(a->dirs, cap * sizeof *a->dirs);
        if (p == NULL)
            return ERR_NO_MEMORY;
        a->dirs = p;
        a->dir_cap = cap;
    }
    char *copy = strdup(path);
    if (copy == NULL)
        return ERR_NO_MEMORY;
    a->dirs[a->dir_count++] = (struct adopt_dir){*id, copy, depth};
    return 0;
}

static int adopt_entry(struct adopt *a, const struct adopt_dir *d, const struct manifest_entry *e)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/%.*s", d->path, (int)e->name.size,
                         (const char *)e->name.data) >= sizeof path)
        return 0;
    if (e->id.kind == CONTENT_TREE)
        return d->depth < MANIFEST_DEPTH_MAX ? push(a, &e->id, path, d->depth + 1) : 0;
    return e->id.kind == CONTENT_FILE ? adopt_file(a, path, &e->id) : 0;
}

static int adopt_directory(struct adopt *a, const struct adopt_dir *d)
{
    char object[PATH_MAX];
    uint8_t *data;
    struct stat st;
    struct manifest_reader r;
    struct manifest_entry e;
    int next,
        status = d->id.size > MANIFEST_SIZE_MAX ? ERR_RANGE : store_object_read(a->store, &d->id, &data);
    if (status)
        return status == ERR_NO_MEMORY ? status : 0; /* not selected, so never fetched */
    if (lstat(d->path, &st) == 0 && S_ISDIR(st.st_mode)) {
        store_object_path(a->store, &d->id, object, sizeof object);
        struct store_content c = {
            .id = d->id, .place = PLACE_OBJECT, .state = CONTENT_OK, .path = object, .directory = d->path};
        status = put(a, &c);
    }
    if (status == 0)
        status = manifest_open(&r, bytes_of(data, (size_t)d->id.size));
    while (status == 0 && (next = manifest_next(&r, &e)) != 0)
        status = next < 0 ? next : adopt_entry(a, d, &e);
    free(data);
    return status;
}

static int adopt_all(struct adopt *a)
{
    int status = a->id.kind == CONTENT_TREE ? push(a, &a->id, a->path, 0) : adopt_file(a, a->path, &a->id);
    while (status == 0 && a->dir_count > 0) {
        struct adopt_dir d = a->dirs[--a->dir_count];
        status = adopt_directory(a, &d);
        free(d.path);
    }
    const char *slash = strrchr(a->path, '/');
    struct store_share share = {.path = a->path,
                                .name = slash ? slash + 1 : a->path,
                                .id = a->id,
                                .bytes = a->bytes,
                                .files = a->files,
                                .added_s = (int64_t)time(NULL),
                                .fetched = true,
                                .state = CONTENT_OK};
    if (status == 0 && a->id.kind == CONTENT_FILE && a->files == 0)
        status = ERR_CHANGED;
    if (status == 0)
        status = store_share_put(a->store, &share, &a->row);
    return status ? status : store_share_settle(a->store, a->row);
}

static void on_adopt(uv_work_t *work)
{
    struct adopt *a = work->data;
    a->status = store_open(&a->store, a->s->home, NULL);
    if (a->status == 0)
        a->status = store_share_begin(a->store, a->path, (int64_t)time(NULL), &a->row);
    if (a->status == 0)
        a->status = store_begin(a->store);
    if (a->status == 0) {
        a->began = true;
        a->status = adopt_all(a);
        fault_point("adopting");
        if (a->status == 0)
            a->status = store_commit(a->store);
        else if (a->began)
            store_rollback(a->store);
    }
    store_close(a->store);
    a->store = NULL;
    fault_point("adopted");
}

static void on_adopted(uv_work_t *work, int status)
{
    struct adopt *a = work->data;
    struct shares *s = a->s;
    core_assert(status == 0);
    s->in_flight--;
    if (a->status)
        log_warning("share", "%s was fetched but is not shared on: %s", a->path, err_text(a->status));
    for (uint32_t i = 0; a->status == 0 && i < a->key_count; i++)
        shares_key_queue(s, a->keys[i].key, false);
    for (uint32_t i = 0; i < a->dir_count; i++)
        free(a->dirs[i].path);
    s->changes++;
    a->done(a->context, a->status);
    free(a->dirs);
    free(a->keys);
    free(a);
    shares_settled(s);
}

int shares_adopt(struct shares *s, const char *path, const struct content_id *id, bool announce,
                 void (*done)(void *context, int status), void *context)
{
    if (s->stopping || strlen(path) >= PATH_MAX || path[0] != '/')
        return ERR_RANGE;
    struct adopt *a = calloc(1, sizeof *a);
    if (a == NULL)
        return ERR_NO_MEMORY;
    a->s = s;
    a->id = *id;
    a->announce = announce;
    a->done = done;
    a->context = context;
    snprintf(a->path, sizeof a->path, "%s", path);
    a->work.data = a;
    s->in_flight++;
    core_assert(uv_queue_work(s->core->loop, &a->work, on_adopt, on_adopted) == 0);
    return 0;
}
