/* Usage, quota and garbage collection over home/objects and home/trees. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "node/host/store/internal.h"
#include "transfer/manifest.h"

/* A temporary file older than this is a crash's; an interrupted share's hashes are kept this long, so that
 * sharing again is quick. */
#define TEMPORARY_AGE_S 3600
#define UNREADY_AGE_S   86400
#define USAGE_AGE_MS    5000

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- Walking home/<kind>/xx/<id> ---- */

struct walk {
    int (*file)(struct walk *w, int folder, const char *path, const char *name, const struct stat *st);
    void *context;
};

static int walk_folder(struct walk *w, const char *path, int depth)
{
    DIR *dir = opendir(path);
    if (dir == NULL)
        return errno == ENOENT ? 0 : ERR_IO;
    int status = 0;
    struct dirent *d;
    while (status == 0 && (d = readdir(dir)) != NULL) {
        char inner[PATH_MAX];
        struct stat st;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if ((size_t)snprintf(inner, sizeof inner, "%s/%s", path, d->d_name) >= sizeof inner ||
            fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW))
            continue; /* gone meanwhile */
        if (S_ISDIR(st.st_mode) && depth > 0)
            status = walk_folder(w, inner, depth - 1);
        else if (S_ISREG(st.st_mode))
            status = w->file(w, dirfd(dir), inner, d->d_name, &st);
    }
    closedir(dir);
    return status;
}

struct kind {
    const char *name;
    int depth; /* of folders below it */
};
static const struct kind KINDS[] = {{"objects", 1}, {"trees", 1}, {"files", 64}, {"incoming", 0}, {"cache", 64}};
#define KINDS_OURS 2 /* the first ones hold what only the store names */

static int walk_home(struct store *s, struct walk *w, size_t kinds)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < kinds; i++) {
        if ((size_t)snprintf(path, sizeof path, "%s/%s", s->home, KINDS[i].name) >= sizeof path)
            return ERR_RANGE;
        int status = walk_folder(w, path, KINDS[i].depth);
        if (status)
            return status;
    }
    return 0;
}

/* ---- Usage and quota ---- */

/* What the disk gives up for it: whole blocks, not the bytes inside. */
static uint64_t disk_bytes(const struct stat *st)
{
    return (uint64_t)st->st_blocks * 512;
}

static int count_file(struct walk *w, int folder, const char *path, const char *name, const struct stat *st)
{
    (void)folder;
    (void)path;
    (void)name;
    *(uint64_t *)w->context += disk_bytes(st);
    return 0;
}

int store_usage(struct store *s, uint64_t *bytes)
{
    static const char *const files[] = {"shoal.db", "shoal.db-wal", "shoal.db-shm"};
    struct walk w = {count_file, bytes};
    *bytes = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[PATH_MAX];
        struct stat st;
        if ((size_t)snprintf(path, sizeof path, "%s/%s", s->home, files[i]) < sizeof path &&
            stat(path, &st) == 0)
            *bytes += disk_bytes(&st);
    }
    int status = walk_home(s, &w, sizeof KINDS / sizeof *KINDS);
    if (status == 0) {
        s->usage = *bytes;
        s->added = 0;
        s->usage_at_ms = now_ms();
    }
    return status;
}

int store_quota_set(struct store *s, uint64_t bytes)
{
    uint8_t raw[8];
    if (s->quota == bytes)
        return 0;
    put_be64(raw, bytes);
    s->quota = bytes;
    return store_value_put(s, "quota", bytes_of(raw, sizeof raw));
}

int store_room(struct store *s, uint64_t more)
{
    if (s->quota == 0)
        return 0;
    /* The count is taken anew when it is old or when the answer is not clear, since other handles write too.
     */
    uint64_t sum = s->usage + s->added + more, ignored;
    if (s->usage_at_ms == 0 || now_ms() - s->usage_at_ms > USAGE_AGE_MS || sum > s->quota / 4 * 3) {
        int status = store_usage(s, &ignored);
        if (status)
            return status;
        sum = s->usage + more;
    }
    return sum > s->quota ? ERR_QUOTA : 0;
}

/* ---- What is alive ---- */

struct id_set { /* open addressing; the root is a hash already */
    struct content_id *places;
    bool *taken;
    size_t cap, used;
};

static size_t set_place(const struct id_set *set, const struct content_id *id)
{
    size_t at = (size_t)get_be64(id->root) & (set->cap - 1);
    while (set->taken[at] && !content_id_equal(&set->places[at], id))
        at = (at + 1) & (set->cap - 1);
    return at;
}

static int set_grow(struct id_set *set)
{
    struct id_set bigger = {.cap = set->cap ? set->cap * 2 : 1024, .used = set->used};
    bigger.places = malloc(bigger.cap * sizeof *bigger.places);
    bigger.taken = calloc(bigger.cap, sizeof *bigger.taken);
    if (bigger.places == NULL || bigger.taken == NULL) {
        free(bigger.places);
        free(bigger.taken);
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < set->cap; i++) {
        if (set->taken[i]) {
            size_t at = set_place(&bigger, &set->places[i]);
            bigger.places[at] = set->places[i];
            bigger.taken[at] = true;
        }
    }
    free(set->places);
    free(set->taken);
    *set = bigger;
    return 0;
}

/* 1 when it is new. */
static int set_add(struct id_set *set, const struct content_id *id)
{
    if (set->used * 2 >= set->cap) {
        int status = set_grow(set);
        if (status)
            return status;
    }
    size_t at = set_place(set, id);
    if (set->taken[at])
        return 0;
    set->places[at] = *id;
    set->taken[at] = true;
    set->used++;
    return 1;
}

static bool set_has(const struct id_set *set, const struct content_id *id)
{
    return set->cap > 0 && set->taken[set_place(set, id)];
}

struct mark {
    struct store *s;
    struct id_set live;
    struct content_id *stack; /* manifests still to be read */
    size_t depth, cap;
    int status;
};

static void mark_push(struct mark *m, const struct content_id *id)
{
    if (m->status)
        return;
    int added = set_add(&m->live, id);
    if (added < 0)
        m->status = added;
    if (added <= 0 || id->kind != CONTENT_TREE)
        return;
    if (m->depth == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 256;
        struct content_id *bigger = realloc(m->stack, cap * sizeof *bigger);
        if (bigger == NULL) {
            m->status = ERR_NO_MEMORY;
            return;
        }
        m->stack = bigger;
        m->cap = cap;
    }
    m->stack[m->depth++] = *id;
}

/* What we do not have (yet) names nothing that we could lose. */
static void mark_manifest(struct mark *m, const struct content_id *id)
{
    uint8_t *data;
    if (id->size > MANIFEST_SIZE_MAX)
        return;
    int status = store_object_read(m->s, id, &data);
    if (status) {
        if (status == ERR_NO_MEMORY)
            m->status = status;
        return;
    }
    struct manifest_reader r;
    struct manifest_entry e;
    if (manifest_open(&r, bytes_of(data, (size_t)id->size)) == 0) {
        while (m->status == 0 && manifest_next(&r, &e) == 1)
            mark_push(m, &e.id);
    }
    free(data);
}

static bool mark_pin(void *context, const struct content_id *id)
{
    struct mark *m = context;
    mark_push(m, id);
    return m->status == 0;
}

static bool mark_fetch(void *context, const char *target, const struct content_id *id, struct bytes state)
{
    (void)target;
    (void)state;
    return mark_pin(context, id);
}

/* Shares and parts: their contents are rows, each manifest and file of its own. */
static void mark_rows(struct mark *m)
{
    int status, rc = SQLITE_DONE;
    sqlite3_stmt *q = store_statement(m->s, SQL_LIVE, &status);
    if (q == NULL) {
        m->status = status;
        return;
    }
    while (m->status == 0 && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        struct content_id id;
        store_read_id(&id, q, 0);
        int added = set_add(&m->live, &id);
        if (added < 0)
            m->status = added;
    }
    if (m->status == 0)
        m->status = store_error(m->s, rc);
    sqlite3_reset(q);
}

static int mark_all(struct mark *m)
{
    /* Pins and fetches first: set_add of a row would otherwise hide a manifest from the stack. */
    int status = store_pins(m->s, mark_pin, m);
    if (status == 0)
        status = store_fetches(m->s, mark_fetch, m);
    while (status == 0 && m->status == 0 && m->depth > 0) {
        struct content_id id = m->stack[--m->depth];
        mark_manifest(m, &id);
    }
    if (status == 0 && m->status == 0)
        mark_rows(m);
    return status ? status : m->status;
}

/* ---- Sweeping ---- */

struct sweep {
    struct mark mark;
    bool dry_run, stopped;
    bool (*each)(void *context, const char *path, uint64_t bytes);
    void *context;
    struct gc_result *out;
    struct timespec now; /* of the clock that stamps files */
};

/* Strictly: what came after the marking began may be named by a fetch that has moved on since. */
static bool older(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* <id>: an object or a tree. <id>.map: the checkpoint of a file that is being fetched, as long as its tree
 * lives. Other names with a dot are files in the making. What is named like none of these is not ours to
 * judge. */
static bool is_dead(const struct sweep *g, const char *name, const struct stat *st)
{
    char text[CONTENT_ID_TEXT_SIZE + 1];
    struct content_id id;
    if (strncmp(name, ".tmp-", 5) == 0)
        return g->now.tv_sec - st->st_mtime > TEMPORARY_AGE_S;
    snprintf(text, sizeof text, "%s", name);
    if (content_id_parse(&id, text))
        return false;
    const char *rest = name + CONTENT_ID_TEXT_SIZE;
    if (*rest == '\0' || strcmp(rest, ".map") == 0)
        return older(&st->st_ctim, &g->now) && !set_has(&g->mark.live, &id);
    return *rest == '.' && g->now.tv_sec - st->st_mtime > TEMPORARY_AGE_S;
}

static int sweep_file(struct walk *w, int folder, const char *path, const char *name, const struct stat *st)
{
    struct sweep *g = w->context;
    bool dead = is_dead(g, name, st);
    if (!dead || g->stopped)
        return 0;
    if (!g->dry_run && unlinkat(folder, name, 0)) {
        if (errno == ENOENT)
            return 0;
        return errno == EACCES || errno == EPERM || errno == EROFS ? ERR_PERMISSION : ERR_IO;
    }
    g->out->objects++;
    g->out->bytes += disk_bytes(st);
    if (g->each && !g->each(g->context, path, disk_bytes(st)))
        g->stopped = true;
    return 0;
}

static int forget_dead_rows(struct store *s)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_SHARES_UNREADY, &status);
    if (q) {
        sqlite3_bind_int64(q, 1, (int64_t)time(NULL) - UNREADY_AGE_S);
        status = store_run(s, q);
    }
    q = status ? NULL : store_statement(s, SQL_DEAD_OBJECTS, &status);
    return q ? store_run(s, q) : status;
}

/* The write lock is held from marking to the end of sweeping: whoever stores an object commits its row first
 * (store.h), so that no object can be named between the two. A dry run rolls back. */
int store_gc(struct store *s, bool dry_run, bool (*each)(void *context, const char *path, uint64_t bytes),
             void *context, struct gc_result *out)
{
    struct sweep g = {.mark = {.s = s}, .dry_run = dry_run, .each = each, .context = context, .out = out};
    struct walk w = {sweep_file, &g};
    memset(out, 0, sizeof *out);
    int status = store_begin(s);
    if (status)
        return status;
    clock_gettime(CLOCK_REALTIME_COARSE, &g.now);
    status = forget_dead_rows(s);
    if (status == 0)
        status = mark_all(&g.mark);
    if (status == 0)
        status = walk_home(s, &w, KINDS_OURS);
    if (status == 0 && !g.stopped)
        status = store_cache_sweep(s, dry_run, each, context, out);
    free(g.mark.live.places);
    free(g.mark.live.taken);
    free(g.mark.stack);
    s->usage_at_ms = 0;
    if (status || dry_run) {
        store_rollback(s);
        return status;
    }
    return store_commit(s);
}
