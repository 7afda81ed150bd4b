/* What changes a home: one thing after the other, in the thread pool. Removing, making directories, renaming,
 * recording files as shares, and the sweep at start that makes disk and store agree after a crash. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "gateways/content_internal_host.h"
#include "node/base/assert.h"
#include "node/host/fault.h"
#include "node/host/fetch_disk.h"
#include "node/host/log.h"
#include "transfer/manifest.h"

#define ROWS_MAX   1000u /* of one transaction: how long another handle may have to wait */
#define DEPTH_MAX  64u   /* directories below each other that are looked at */
#define SWEEP_MAX  100000u
#define SHARE_STEP 1000u /* paths of one share job */

/* ---- The queue ---- */

static void change_start(struct content *c);

static void on_change(uv_work_t *work)
{
    struct change *ch = work->data;
    ch->run(ch);
}

static void on_changed(uv_work_t *work, int status)
{
    struct change *ch = work->data;
    struct content *c = ch->c;
    core_assert(status == 0);
    c->changes = ch->next;
    c->changing = false;
    c->reads--;
    content_known_forget(c);
    ch->ended(ch);
    change_start(c);
    content_maybe_stopped(c);
}

static void change_start(struct content *c)
{
    while (c->changes && !c->changing) {
        struct change *ch = c->changes;
        if (!c->stopping) {
            c->changing = true;
            ch->work.data = ch;
            core_assert(uv_queue_work(&c->app->loop, &ch->work, on_change, on_changed) == 0);
            return;
        }
        c->changes = ch->next;
        c->reads--;
        ch->status = ERR_CANCELLED;
        ch->ended(ch);
    }
}

void content_change_queue(struct content *c, struct change *ch)
{
    ch->c = c;
    ch->next = NULL;
    *(c->changes ? &c->changes_last->next : &c->changes) = ch;
    c->changes_last = ch;
    c->reads++;
    change_start(c);
}

/* ---- Places ---- */

int content_home_writable(const struct account_who *who, const char *path, const char **relative)
{
    if (!content_path_ok(path) || !content_is_home(path))
        return content_path_ok(path) ? ERR_PERMISSION : ERR_MALFORMED;
    int rc = content_home_relative(who, path, relative);
    if (rc != 0)
        return rc;
    const char *at = strchr(*relative, '/');
    if (!at)
        return ERR_PERMISSION; /* /home and the homes themselves come with the accounts */
    while (*at) {
        size_t size = strcspn(++at, "/");
        if (!manifest_name_ok(bytes_of(at, size)))
            return ERR_MALFORMED;
        at += size;
    }
    return 0;
}

int content_home_parent(const struct content *c, const char *relative, bool parents, const char **name,
                        bool *made)
{
    char parent[PATH_MAX], account[ACCOUNT_NAME_MAX];
    const char *slash = strrchr(relative, '/');
    core_assert(slash);
    *name = slash + 1;
    if ((size_t)snprintf(parent, sizeof parent, "%.*s", (int)(slash - relative), relative) >= sizeof parent)
        return ERR_RANGE;
    snprintf(account, sizeof account, "%.*s", (int)strcspn(relative, "/"), relative);
    (void)mkdir(c->files, 0700);
    int root = open(c->files, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return home_errno(errno);
    bool fresh = mkdirat(root, account, 0700) == 0, below = false;
    int fd = fetch_disk_open_under(root, parent, parents, &below);
    close(root);
    if (made)
        *made = fresh || below;
    return fd;
}

int content_home_sync(const struct content *c, const char *relative)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", c->files, relative) >= sizeof path)
        return ERR_RANGE;
    size_t stop = strlen(c->files);
    int rc = 0;
    while (rc == 0 && strlen(path) > stop) {
        rc = fetch_disk_sync_parent(path);
        *strrchr(path, '/') = 0;
    }
    return rc;
}

/* ---- Recording ---- */

bool content_lost_add(void *context, const uint8_t key[HASH_SIZE])
{
    struct lost_keys *l = context;
    if (l->count == l->cap) {
        uint32_t cap = l->cap ? l->cap * 2 : 16;
        void *grown = realloc(l->keys, (size_t)cap * HASH_SIZE);
        if (!grown)
            return false; /* announced until the node restarts: whoever asks is told no */
        l->keys = grown;
        l->cap = cap;
    }
    memcpy(l->keys[l->count++], key, HASH_SIZE);
    return true;
}

int content_record_file(struct content *c, struct store *store, const char *place,
                        const struct content_id *id, const struct file_stamp *stamp, struct lost_keys *lost)
{
    int64_t row, now_s = (int64_t)time(NULL);
    int rc = store_share_begin(store, place, now_s, &row);
    if (rc != 0)
        return rc;
    struct store_content content = {.id = *id,
                                    .place = PLACE_FILE,
                                    .state = CONTENT_OK,
                                    .path = place,
                                    .stamp = *stamp,
                                    .share = row,
                                    .announce = true};
    const struct store_share share = {.path = place,
                                      .name = strrchr(place, '/') + 1,
                                      .id = *id,
                                      .bytes = id->size,
                                      .files = 1,
                                      .added_s = now_s,
                                      .state = CONTENT_OK};
    content_provider_key(content.provider_key, id, c->app->core.network, c->app->core.crypto);
    rc = store_content_put(store, &content);
    if (rc == 0)
        rc = store_share_put(store, &share, &row);
    if (rc == 0)
        rc = store_share_lost(store, row, true, content_lost_add, lost);
    return rc ? rc : store_share_settle(store, row);
}

int content_forget_file(struct store *store, const char *place, struct lost_keys *lost)
{
    struct store_share share;
    int rc = store_share_by_path(store, place, &share);
    if (rc != 0)
        return rc == ERR_NOT_FOUND ? 0 : rc;
    int64_t row = share.row;
    rc = store_share_lost(store, row, false, content_lost_add, lost);
    return rc ? rc : store_share_remove(store, row);
}

/* ---- Removing, making directories, renaming ---- */

enum alter_kind { ALTER_REMOVE, ALTER_MKDIR, ALTER_RENAME };

struct alter {
    struct change change;
    struct content_call *call;
    enum alter_kind kind;
    bool replace, match;
    struct content_id match_id;
    char *from, *to; /* relative to home/files */
    struct store *store;
    uint32_t rows;
    struct lost_keys lost;
};

static bool place_of(const struct content *c, const char *relative, char out[PATH_MAX])
{
    return (size_t)snprintf(out, PATH_MAX, "%s/%s", c->files, relative) < PATH_MAX;
}

/* Between rows: lets other handles write now and then. */
static int breathe(struct alter *a)
{
    if (++a->rows % ROWS_MAX)
        return 0;
    int rc = store_commit(a->store);
    return rc ? rc : store_begin(a->store);
}

static int run_remove(struct alter *a)
{
    struct content *c = a->change.c;
    char place[PATH_MAX];
    const char *name;
    struct stat st;
    struct content_info info;
    if (!place_of(c, a->from, place))
        return ERR_NOT_FOUND;
    int dir = content_home_parent(c, a->from, false, &name, NULL);
    if (dir < 0)
        return dir == ERR_NOT_A_FILE ? ERR_NOT_FOUND : dir;
    int rc = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ? home_errno(errno) : 0;
    if (rc == 0 && a->match) {
        content_home_info(a->store, place, name, &st, &info);
        rc = info.has_id && content_id_equal(&info.id, &a->match_id) ? 0 : ERR_CHANGED;
    }
    if (rc == 0 && !S_ISDIR(st.st_mode))
        rc = content_forget_file(a->store, place, &a->lost);
    if (rc == 0 && unlinkat(dir, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) != 0)
        rc = fetch_disk_error(errno);
    if (rc == 0 && fsync(dir) != 0)
        rc = home_errno(errno);
    close(dir);
    return rc;
}

static int run_mkdir(struct alter *a)
{
    struct content *c = a->change.c;
    const char *name;
    bool made;
    int dir = content_home_parent(c, a->from, false, &name, &made);
    if (dir < 0)
        return dir == ERR_NOT_A_FILE ? ERR_NOT_FOUND : dir;
    int rc = mkdirat(dir, name, 0777) != 0 ? home_errno(errno) : 0;
    if (rc == 0 && fsync(dir) != 0)
        rc = home_errno(errno);
    close(dir);
    return rc || !made ? rc : content_home_sync(c, a->from);
}

/* The rows of a file that lay at `was` and lies at `is` now. What is not known as it lies there is found by
 * the watch. */
static int row_move(struct alter *a, const char *was, const char *is)
{
    struct store_content row;
    struct stat st;
    struct file_stamp stamp;
    int rc = store_content_by_path(a->store, was, &row);
    if (rc == 0 && lstat(is, &st) == 0) {
        struct content_id id = row.id;
        bool same = row.state == CONTENT_OK && row.place == PLACE_FILE && row.stamp.device == st.st_dev &&
                    row.stamp.inode == st.st_ino && row.stamp.size == (uint64_t)st.st_size;
        content_stamp_of(&stamp, &st);
        same = same && row.stamp.mtime_ns == stamp.mtime_ns;
        if (same)
            rc = content_record_file(a->change.c, a->store, is, &id, &stamp, &a->lost);
    }
    if (rc == 0 || rc == ERR_NOT_FOUND)
        rc = content_forget_file(a->store, was, &a->lost);
    return rc ? rc : breathe(a);
}

static int rows_move(struct alter *a, const char *was, const char *is, unsigned depth)
{
    struct stat st;
    if (lstat(is, &st) != 0)
        return 0;
    if (S_ISREG(st.st_mode))
        return row_move(a, was, is);
    DIR *dir = S_ISDIR(st.st_mode) && depth ? opendir(is) : NULL;
    struct dirent *d;
    int rc = 0;
    while (dir && rc == 0 && (d = readdir(dir)) != NULL) {
        char *from, *to;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (asprintf(&from, "%s/%s", was, d->d_name) < 0)
            from = NULL;
        if (asprintf(&to, "%s/%s", is, d->d_name) < 0)
            to = NULL;
        rc = from && to ? rows_move(a, from, to, depth - 1) : ERR_NO_MEMORY;
        free(from);
        free(to);
    }
    if (dir)
        closedir(dir);
    return rc;
}

static int rename_error(int number)
{
    return number == EINVAL                        ? ERR_MALFORMED /* into itself */
           : number == EISDIR || number == ENOTDIR ? ERR_EXISTS
                                                   : fetch_disk_error(number);
}

static int run_rename(struct alter *a)
{
    struct content *c = a->change.c;
    char was[PATH_MAX], is[PATH_MAX];
    const char *from_name, *to_name;
    size_t size = strlen(a->from);
    struct stat st;
    if (!place_of(c, a->from, was) || !place_of(c, a->to, is))
        return ERR_RANGE;
    if (strncmp(a->to, a->from, size) == 0 && (a->to[size] == '/' || a->to[size] == 0))
        return lstat(was, &st) != 0 ? home_errno(errno) : a->to[size] ? ERR_MALFORMED : 0;
    int from = content_home_parent(c, a->from, false, &from_name, NULL);
    int to = from < 0 ? from : content_home_parent(c, a->to, false, &to_name, NULL);
    int rc = to < 0 ? to : 0;
    if (rc == 0 && renameat2(from, from_name, to, to_name, a->replace ? 0 : RENAME_NOREPLACE) != 0)
        rc = rename_error(errno);
    if (rc == 0 && (fsync(from) != 0 || fsync(to) != 0))
        rc = home_errno(errno);
    fault_point("home renamed");
    if (rc == 0) {
        rc = rows_move(a, was, is, DEPTH_MAX);
        if (rc != 0 && !a->replace) /* as it was before, as far as the disk lets us */
            (void)renameat2(to, to_name, from, from_name, RENAME_NOREPLACE);
    }
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return rc == ERR_NOT_A_FILE ? ERR_NOT_FOUND : rc;
}

static void alter_run(struct change *ch)
{
    struct alter *a = (struct alter *)ch;
    ch->status = a->kind == ALTER_MKDIR ? 0 : store_open(&a->store, ch->c->app->home.path, NULL);
    if (ch->status == 0 && a->store)
        ch->status = store_begin(a->store);
    if (ch->status == 0) {
        ch->status = a->kind == ALTER_REMOVE  ? run_remove(a)
                     : a->kind == ALTER_MKDIR ? run_mkdir(a)
                                              : run_rename(a);
        if (a->store && ch->status == 0)
            ch->status = store_commit(a->store);
        else if (a->store)
            store_rollback(a->store);
    }
    store_close(a->store);
    a->store = NULL;
}

static void alter_ended(struct change *ch)
{
    struct alter *a = (struct alter *)ch;
    struct content *c = ch->c;
    struct content_call *call = a->call;
    int status = c->stopping && ch->status ? ERR_CANCELLED : ch->status;
    if (ch->status == 0 && !c->stopping)
        shares_recorded(c->app->shares, NULL, (const uint8_t(*)[HASH_SIZE])a->lost.keys, a->lost.count);
    call->reading = false;
    if (call->cancelled) {
        content_call_free(call);
    } else {
        struct content_call was = *call;
        content_call_free(call);
        was.done(was.context, status);
    }
    free(a->lost.keys);
    free(a->from);
    free(a->to);
    free(a);
}

static struct content_call *alter(struct content *c, const struct account_who *who, struct alter wanted,
                                  const char *from, const char *to, content_done_cb done, void *context)
{
    const char *a_from, *a_to = NULL;
    struct content_call *call = content_call_new(c, who, CALL_WRITE, from, NULL, CORE_NEVER, context);
    if (!call)
        return NULL;
    call->done = done;
    call->refused = content_home_writable(who, from, &a_from);
    if (call->refused == 0 && to)
        call->refused = content_home_writable(who, to, &a_to);
    struct alter *a = call->refused ? NULL : malloc(sizeof *a);
    if (!a) {
        call->refused = call->refused ? call->refused : ERR_NO_MEMORY;
        return call; /* told by the pump */
    }
    *a = wanted;
    a->call = call;
    a->from = strdup(a_from);
    a->to = a_to ? strdup(a_to) : NULL;
    a->change.run = alter_run;
    a->change.ended = alter_ended;
    core_assert(a->from && (a->to || !a_to));
    call->reading = true;
    content_change_queue(c, &a->change);
    return call;
}

struct content_call *content_remove(struct content *c, const struct account_who *who, const char *path,
                                    const struct content_id *match, content_done_cb done, void *context)
{
    struct alter a = {.kind = ALTER_REMOVE, .match = match != NULL};
    if (match)
        a.match_id = *match;
    return alter(c, who, a, path, NULL, done, context);
}

struct content_call *content_mkdir(struct content *c, const struct account_who *who, const char *path,
                                   content_done_cb done, void *context)
{
    return alter(c, who, (struct alter){.kind = ALTER_MKDIR}, path, NULL, done, context);
}

struct content_call *content_rename(struct content *c, const struct account_who *who, const char *from,
                                    const char *to, bool replace, content_done_cb done, void *context)
{
    return alter(c, who, (struct alter){.kind = ALTER_RENAME, .replace = replace}, from, to, done, context);
}

/* ---- The sweep at start ---- */

struct sweep {
    struct change change;
    struct store *store;
    char *
        *unshared; /* complete files that are no share: recorded too late for a crash, or put there by hand */
    uint32_t count, cap;
    char **gone; /* shares whose file is not there */
    uint32_t gone_count, gone_cap;
    struct lost_keys lost;
};

static bool path_keep(char ***list, uint32_t *count, uint32_t *cap, const char *path)
{
    if (*count == *cap) {
        uint32_t more = *cap ? *cap * 2 : 64;
        char **grown = realloc(*list, more * sizeof *grown);
        if (!grown)
            return false;
        *list = grown;
        *cap = more;
    }
    (*list)[*count] = strdup(path);
    return (*list)[*count] && ++*count < SWEEP_MAX;
}

static void incoming_clear(const struct content *c)
{
    DIR *dir = opendir(c->incoming);
    struct dirent *d;
    while (dir && (d = readdir(dir)) != NULL)
        if (strncmp(d->d_name, c->incoming_mark, strlen(c->incoming_mark)) != 0)
            (void)unlinkat(dirfd(dir), d->d_name, 0); /* fails for . and .. */
    if (dir)
        closedir(dir);
}

static bool files_look(struct sweep *w, const char *path, unsigned depth)
{
    DIR *dir = opendir(path);
    struct dirent *d;
    bool going = true;
    while (dir && going && (d = readdir(dir)) != NULL) {
        char inner[PATH_MAX];
        struct stat st;
        struct store_share share;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
            (size_t)snprintf(inner, sizeof inner, "%s/%s", path, d->d_name) >= sizeof inner ||
            fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth)
            going = files_look(w, inner, depth - 1);
        else if (S_ISREG(st.st_mode) && store_share_by_path(w->store, inner, &share) == ERR_NOT_FOUND)
            going = path_keep(&w->unshared, &w->count, &w->cap, inner);
    }
    if (dir)
        closedir(dir);
    return going;
}

static bool share_look(void *context, const struct store_share *share)
{
    struct sweep *w = context;
    const char *files = w->change.c->files;
    struct stat st;
    size_t size = strlen(files);
    if (strncmp(share->path, files, size) != 0 || share->path[size] != '/' || lstat(share->path, &st) == 0 ||
        errno != ENOENT)
        return true;
    return path_keep(&w->gone, &w->gone_count, &w->gone_cap, share->path);
}

static void sweep_run(struct change *ch)
{
    struct sweep *w = (struct sweep *)ch;
    incoming_clear(ch->c);
    ch->status = store_open(&w->store, ch->c->app->home.path, NULL);
    if (ch->status == 0) {
        files_look(w, ch->c->files, DEPTH_MAX);
        ch->status = store_shares(w->store, share_look, w);
    }
    for (uint32_t i = 0; ch->status == 0 && i < w->gone_count; i++)
        ch->status = content_forget_file(w->store, w->gone[i], &w->lost);
    store_close(w->store);
}

static void sweep_ended(struct change *ch)
{
    struct sweep *w = (struct sweep *)ch;
    struct content *c = ch->c;
    if (ch->status != 0 && !c->stopping)
        log_warning("content", "cannot look through %s: %s", c->files, err_text(ch->status));
    if (!c->stopping) {
        shares_recorded(c->app->shares, NULL, (const uint8_t(*)[HASH_SIZE])w->lost.keys, w->lost.count);
        for (uint32_t i = 0; i < w->count; i += SHARE_STEP)
            (void)shares_add(c->app->shares, (const char *const *)w->unshared + i,
                             w->count - i < SHARE_STEP ? w->count - i : SHARE_STEP, false);
    }
    for (uint32_t i = 0; i < w->count; i++)
        free(w->unshared[i]);
    for (uint32_t i = 0; i < w->gone_count; i++)
        free(w->gone[i]);
    free(w->unshared);
    free(w->gone);
    free(w->lost.keys);
    free(w);
}

void content_home_start(struct content *c)
{
    uint8_t random[4];
    host_random(random, sizeof random);
    snprintf(c->incoming_mark, sizeof c->incoming_mark, "%02x%02x%02x%02x-", random[0], random[1], random[2],
             random[3]);
    struct stat st;
    if (stat(c->files, &st) != 0 && stat(c->incoming, &st) != 0)
        return; /* nobody ever wrote anything */
    struct sweep *w = calloc(1, sizeof *w);
    if (!w)
        return;
    w->change.run = sweep_run;
    w->change.ended = sweep_ended;
    content_change_queue(c, &w->change);
}
