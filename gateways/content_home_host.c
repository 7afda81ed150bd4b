/* The homes of accounts as part of the tree: who may, where a path leads on this disk, lists. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "gateways/content_internal_host.h"
#include "node/base/assert.h"

#define OWNER_NAME "owner" /* the home of the owner who needs no account */

/* ---- Who may ---- */

bool content_is_home(const char *path)
{
    return strncmp(path, "/home", 5) == 0 && (path[5] == 0 || path[5] == '/');
}

static const char *own_name(const struct account_who *who)
{
    return who->name[0] ? who->name : who->privilege == ACCOUNT_OWNER ? OWNER_NAME : "";
}

bool content_home_may(const struct account_who *who, const char *account, size_t size)
{
    const char *own = own_name(who);
    if (who->privilege == ACCOUNT_OWNER)
        return true;
    return who->privilege == ACCOUNT_USER && size > 0 && strlen(own) == size &&
           memcmp(own, account, size) == 0;
}

/* As accounts are named (accounts_host.h); anything else has no home. */
static bool name_ok(const char *name, size_t size)
{
    if (size == 0 || size >= ACCOUNT_NAME_MAX || strchr("._-", name[0]))
        return false;
    for (size_t i = 0; i < size; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", name[i]))
            return false;
    return true;
}

int content_home_relative(const struct account_who *who, const char *path, const char **relative)
{
    core_assert(content_is_home(path));
    *relative = path[5] ? path + 6 : "";
    size_t size = strcspn(*relative, "/");
    if (size == 0)
        return 0;
    if (!name_ok(*relative, size))
        return ERR_NOT_FOUND;
    return content_home_may(who, *relative, size) ? 0 : ERR_PERMISSION;
}

/* ---- What is there ---- */

void content_stamp_of(struct file_stamp *out, const struct stat *st)
{
    *out = (struct file_stamp){.device = st->st_dev,
                               .inode = st->st_ino,
                               .size = (uint64_t)st->st_size,
                               .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
                               .ctime_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec};
}

bool content_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

void content_home_info(struct store *store, const char *place, const char *name, const struct stat *st,
                       struct content_info *out)
{
    struct store_content row;
    struct file_stamp stamp;
    *out = (struct content_info){
        .what = CONTENT_IS_DIR, .name = name, .mtime_s = st->st_mtim.tv_sec, .writable = true, .local = true};
    if (S_ISDIR(st->st_mode))
        return;
    out->what = CONTENT_IS_FILE;
    out->size = (uint64_t)st->st_size;
    content_stamp_of(&stamp, st);
    if (store && store_content_by_path(store, place, &row) == 0 && row.state == CONTENT_OK &&
        row.id.kind == CONTENT_FILE && content_stamp_equal(&row.stamp, &stamp)) {
        out->has_id = true;
        out->id = row.id;
    }
}

int content_home_find(struct content *c, const struct account_who *who, const char *path, struct found *f)
{
    const char *relative;
    struct stat st;
    int rc = content_home_relative(who, path, &relative);
    if (rc != 0)
        return rc;
    const char *slash = strrchr(path, '/');
    if (!*relative) {
        content_found_dir(f, "home");
        return 0;
    }
    content_found_dir(f, slash + 1);
    f->info.writable = true;
    if ((size_t)snprintf(f->local, sizeof f->local, "%s/%s", c->files, relative) >= sizeof f->local) {
        f->local[0] = 0;
        return ERR_NOT_FOUND;
    }
    if (lstat(f->local, &st) != 0) {
        bool own = errno == ENOENT && strcmp(relative, own_name(who)) == 0; /* nothing uploaded yet */
        f->local[0] = 0;
        return own ? 0 : home_errno(errno);
    }
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        rc = ERR_NOT_FOUND;
    else
        content_home_info(c->app->store, f->local, f->name, &st, &f->info);
    content_stamp_of(&f->stamp, &st);
    f->stamped = S_ISREG(st.st_mode);
    if (!f->stamped)
        f->local[0] = 0;
    return rc;
}

/* ---- Lists, read in the thread pool: a directory may be large ---- */

struct home_list {
    uv_work_t work;
    struct content *c;
    struct content_call *call;
    char place[PATH_MAX], home[PATH_MAX];
    bool top; /* /home itself */
    struct account_who who;
    char **names;
    size_t count, cap;
    struct content_info *entries;
    uint32_t entry_count, limit;
    uint64_t from;
    bool more;
    int status;
};

static int name_add(struct home_list *l, const char *name)
{
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        char **grown = realloc(l->names, cap * sizeof *grown);
        if (!grown)
            return ERR_NO_MEMORY;
        l->names = grown;
        l->cap = cap;
    }
    l->names[l->count] = strdup(name);
    return l->names[l->count] ? (l->count++, 0) : ERR_NO_MEMORY;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool wanted(const struct home_list *l, const struct dirent *d)
{
    if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
        return false;
    if (l->top)
        return d->d_type != DT_REG && name_ok(d->d_name, strlen(d->d_name)) &&
               content_home_may(&l->who, d->d_name, strlen(d->d_name));
    return d->d_type == DT_REG || d->d_type == DT_DIR || d->d_type == DT_UNKNOWN;
}

static int names_read(struct home_list *l)
{
    const char *own = l->top ? own_name(&l->who) : "";
    bool seen = own[0] == 0;
    DIR *dir = opendir(l->place);
    if (!dir && errno != ENOENT)
        return errno == ENOTDIR ? ERR_NOT_A_FILE : home_errno(errno);
    struct dirent *d;
    int rc = 0;
    while (dir && rc == 0 && (d = readdir(dir)) != NULL) {
        if (!wanted(l, d))
            continue;
        rc = name_add(l, d->d_name);
        seen = seen || strcmp(d->d_name, own) == 0;
    }
    if (dir)
        closedir(dir);
    if (rc == 0 && !seen)
        rc = name_add(l, own);
    if (rc == 0 && l->count)
        qsort(l->names, l->count, sizeof *l->names, by_bytes);
    return rc;
}

static void on_list(uv_work_t *work)
{
    struct home_list *l = work->data;
    struct store *store = NULL;
    char place[PATH_MAX];
    struct stat st;
    l->status = names_read(l);
    if (l->status != 0)
        return;
    l->entries = calloc(l->limit, sizeof *l->entries);
    if (!l->entries || (!l->top && store_open(&store, l->home, NULL) != 0)) {
        l->status = l->entries ? ERR_IO : ERR_NO_MEMORY;
        return;
    }
    for (uint64_t i = l->from; i < l->count; i++) {
        if (l->entry_count == l->limit) {
            l->more = true;
            break;
        }
        struct content_info *e = &l->entries[l->entry_count];
        bool fits = (size_t)snprintf(place, sizeof place, "%s/%s", l->place, l->names[i]) < sizeof place;
        if (fits && lstat(place, &st) == 0 && (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode)))
            content_home_info(store, place, l->names[i], &st, e);
        else
            *e = (struct content_info){.what = l->top ? CONTENT_IS_DIR : CONTENT_IS_FILE,
                                       .name = l->names[i],
                                       .writable = true,
                                       .local = true}; /* a home nothing is in yet; a file gone meanwhile */
        l->entry_count++;
    }
    store_close(store);
}

static void list_free(struct home_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->names[i]);
    free(l->names);
    free(l->entries);
    free(l);
}

static void on_listed(uv_work_t *work, int status)
{
    struct home_list *l = work->data;
    struct content *c = l->c;
    struct content_call *call = l->call;
    core_assert(status == 0);
    c->reads--;
    call->reading = false;
    if (call->cancelled) {
        content_call_free(call);
    } else if (c->stopping || l->status != 0) {
        content_call_fail(call, c->stopping ? ERR_CANCELLED : l->status);
    } else {
        struct content_call was = *call;
        content_call_free(call);
        was.list_done(was.context, 0, l->entries, l->entry_count, l->more);
    }
    list_free(l);
    content_maybe_stopped(c);
}

bool content_home_list(struct content_call *call)
{
    struct content *c = call->c;
    const char *relative;
    struct stat st;
    int rc = content_home_relative(&call->who, call->path, &relative);
    struct home_list *l = rc ? NULL : calloc(1, sizeof *l);
    if (rc == 0 && !l)
        rc = ERR_NO_MEMORY;
    if (rc == 0 && (size_t)snprintf(l->place, sizeof l->place, "%s%s%s", c->files, *relative ? "/" : "",
                                    relative) >= sizeof l->place)
        rc = ERR_NOT_FOUND;
    if (rc == 0 && *relative && lstat(l->place, &st) != 0 && strcmp(relative, own_name(&call->who)) != 0)
        rc = home_errno(errno);
    else if (rc == 0 && *relative && lstat(l->place, &st) == 0 && !S_ISDIR(st.st_mode))
        rc = ERR_NOT_A_FILE;
    if (rc != 0) {
        free(l);
        content_call_fail(call, rc);
        return true;
    }
    l->c = c;
    l->call = call;
    l->top = !*relative;
    l->who = call->who;
    l->from = call->from;
    l->limit = call->limit;
    l->work.data = l;
    snprintf(l->home, sizeof l->home, "%s", c->app->home.path);
    call->reading = true;
    c->reads++;
    core_assert(uv_queue_work(&c->app->loop, &l->work, on_list, on_listed) == 0);
    return false;
}
