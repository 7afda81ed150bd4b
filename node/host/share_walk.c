/* Walking a path that is to be shared, in the thread pool: the whole tree in memory, breadth first, so that
 * children come after their directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "node/host/share_internal.h"

int share_error(int number)
{
    switch (number) {
    case 0:
        return 0;
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION;
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case ENOMEM:
        return ERR_NO_MEMORY;
    case EMFILE:
    case ENFILE:
        return ERR_FULL;
    case ELOOP: /* a symbolic link where there was none a moment ago */
        return ERR_NOT_A_FILE;
    case ENAMETOOLONG:
        return ERR_RANGE;
    default:
        return ERR_IO;
    }
}

void share_problems_init(struct share_problems *p)
{
    p->first = NULL;
    p->last = &p->first;
    p->kept = p->total = 0;
}

void share_problems_add(struct share_problems *p, const char *path, int error, const char *text)
{
    p->total++;
    size_t size = strlen(path) + 1;
    struct share_problem *one = p->kept < JOB_PROBLEMS_MAX ? malloc(sizeof *one + size) : NULL;
    if (one == NULL)
        return;
    one->next = NULL;
    one->error = error;
    snprintf(one->text, sizeof one->text, "%.*s", (int)sizeof one->text - 1, text);
    memcpy(one->path, path, size);
    *p->last = one;
    p->last = &one->next;
    p->kept++;
}

void share_problems_tell(struct share_problems *p, struct job *job)
{
    uint32_t more = p->total - p->kept;
    for (struct share_problem *one = p->first, *next; one; one = next) {
        next = one->next;
        log_warning("share", "%s: %s", one->path, one->text);
        if (job)
            job_problem(job, one->path, one->error, one->text);
        free(one);
    }
    if (job)
        job->problems_total += more;
    share_problems_init(p);
}

void share_stamp_of(struct file_stamp *out, const struct stat *st)
{
    out->device = st->st_dev;
    out->inode = st->st_ino;
    out->size = (uint64_t)st->st_size;
    out->mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
    out->ctime_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
}

bool share_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

int share_open_beneath(int directory, const char *relative, int flags)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW),
                           .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
    long fd = syscall(SYS_openat2, directory, relative, &how, sizeof how);
    if (fd < 0 &&
        (errno == ENOSYS || errno == EPERM)) /* Linux before 5.6, or a sandbox that does not know the call */
        fd = openat(directory, relative, flags | O_CLOEXEC | O_NOFOLLOW);
    return (int)fd;
}

bool share_path(const struct share_tree *t, uint32_t entry, char *out, size_t cap)
{
    const char *parts[MANIFEST_DEPTH_MAX + 2];
    uint32_t count = 0, at = entry;
    for (; t->entries[at].parent != SHARE_NONE; at = t->dirs[t->entries[at].parent].entry) {
        core_assert(count < MANIFEST_DEPTH_MAX + 1);
        parts[count++] = share_name(t, &t->entries[at]);
    }
    const char *root = t->roots[t->entries[at].root].path;
    size_t used = strcmp(root, "/") == 0 && count > 0 ? 0 : strlen(root);
    if (used >= cap)
        return false;
    memcpy(out, root, used);
    out[used] = '\0';
    while (count > 0) {
        size_t size = strlen(parts[--count]);
        if (used + 1 + size >= cap)
            return false;
        out[used++] = '/';
        memcpy(out + used, parts[count], size + 1);
        used += size;
    }
    return true;
}

/* ---- Growing arrays ---- */

static bool grow(void **array, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return true;
    size_t bigger = *cap ? *cap * 2 : 1024;
    while (bigger < need)
        bigger *= 2;
    void *p = realloc(*array, bigger * size);
    if (p == NULL)
        return false;
    *array = p;
    *cap = bigger;
    return true;
}

static struct share_entry *entry_add(struct share_tree *t, const char *name, size_t name_size,
                                     const struct stat *st)
{
    size_t cap = t->entry_cap;
    if (!grow((void **)&t->entries, &cap, (size_t)t->entry_count + 1, sizeof *t->entries))
        return NULL;
    t->entry_cap = (uint32_t)cap;
    if (!grow((void **)&t->names, &t->names_cap, t->names_size + name_size + 1, 1))
        return NULL;
    struct share_entry *e = &t->entries[t->entry_count++];
    memset(e, 0, sizeof *e);
    e->name = (uint32_t)t->names_size;
    e->name_size = (uint8_t)name_size;
    memcpy(t->names + t->names_size, name, name_size);
    t->names[t->names_size + name_size] = '\0';
    t->names_size += name_size + 1;
    e->parent = e->dir = SHARE_NONE;
    e->executable = S_ISREG(st->st_mode) && (st->st_mode & S_IXUSR);
    share_stamp_of(&e->stamp, st);
    return e;
}

static struct share_dir *dir_add(struct share_tree *t, uint32_t entry, uint32_t depth)
{
    size_t cap = t->dir_cap;
    if (!grow((void **)&t->dirs, &cap, (size_t)t->dir_count + 1, sizeof *t->dirs))
        return NULL;
    t->dir_cap = (uint32_t)cap;
    struct share_dir *d = &t->dirs[t->dir_count++];
    *d = (struct share_dir){.entry = entry, .depth = depth};
    return d;
}

/* ---- One directory ---- */

struct walk {
    struct share_tree *t;
    struct share_problems *problems;
    atomic_bool *stop;
    uint32_t root;
    int root_fd;
    char path[PATH_MAX];
};

static int by_name(const void *a, const void *b, void *names)
{
    const struct share_entry *x = a, *y = b;
    return strcmp((char *)names + x->name, (char *)names + y->name); /* bytes: strcmp compares as unsigned */
}

/* NULL: fit to be shared. */
static const char *unfit(const struct walk *w, const char *name, const struct stat *st, int *error)
{
    *error = ERR_NOT_A_FILE;
    if (S_ISLNK(st->st_mode))
        return "a symbolic link, skipped: share what it points to";
    if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
        return "neither a file nor a directory, skipped";
    *error = ERR_MALFORMED;
    if (!manifest_name_ok(bytes_of(name, strlen(name))))
        return "its name is not valid UTF-8 or has control characters, skipped: rename it";
    *error = ERR_PERMISSION;
    if (S_ISDIR(st->st_mode) && st->st_dev == w->t->home_device && st->st_ino == w->t->home_inode)
        return "this node's home with its key, never shared";
    *error = ERR_RANGE;
    if (S_ISREG(st->st_mode) && (uint64_t)st->st_size > CONTENT_SIZE_MAX)
        return "larger than 16 TiB, skipped";
    return NULL;
}

static void problem_below(struct walk *w, const char *name, int error, const char *text)
{
    char path[PATH_MAX + 300];
    snprintf(path, sizeof path, "%s/%s", w->path, name);
    share_problems_add(w->problems, path, error, text);
}

static int refuse_root(struct walk *w, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int refuse_root(struct walk *w, int error, const char *format, ...)
{
    struct share_root *root = &w->t->roots[w->root];
    va_list args;
    va_start(args, format);
    vsnprintf(root->text, sizeof root->text, format, args);
    va_end(args);
    root->error = error;
    return error;
}

static int read_names(struct walk *w, DIR *dir, uint32_t dir_index)
{
    struct share_tree *t = w->t;
    struct dirent *d;
    while (errno = 0, (d = readdir(dir)) != NULL) {
        struct stat st;
        int error;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (atomic_load_explicit(w->stop, memory_order_relaxed))
            return ERR_CANCELLED;
        if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW)) {
            problem_below(w, d->d_name, share_error(errno), "vanished while it was looked at, skipped");
            continue;
        }
        const char *why = unfit(w, d->d_name, &st, &error);
        if (why == NULL && strlen(w->path) + strlen(d->d_name) + 2 > PATH_MAX) {
            error = ERR_RANGE;
            why = "its path is longer than 4,095 bytes, skipped";
        }
        if (why) {
            problem_below(w, d->d_name, error, why);
            continue;
        }
        if (t->entry_count >= SHARE_ENTRIES_MAX)
            return refuse_root(w, ERR_FULL, "has more than %u entries: share its directories one by one",
                               SHARE_ENTRIES_MAX);
        struct share_entry *e = entry_add(t, d->d_name, strlen(d->d_name), &st);
        if (e == NULL)
            return ERR_NO_MEMORY;
        e->parent = dir_index;
        e->root = w->root;
        e->dir = S_ISDIR(st.st_mode) ? 0 : SHARE_NONE; /* its number comes after sorting */
    }
    if (errno)
        share_problems_add(w->problems, w->path, share_error(errno),
                           "could not be read to its end: check the disk");
    return 0;
}

static int walk_directory(struct walk *w, uint32_t dir_index)
{
    struct share_tree *t = w->t;
    uint32_t entry = t->dirs[dir_index].entry;
    const char *root = t->roots[w->root].path;
    if (!share_path(t, entry, w->path, sizeof w->path))
        return 0; /* was checked when it was added */
    size_t skip = strlen(root);
    const char *relative = w->path[skip] == '/' ? w->path + skip + 1 : w->path + skip;
    int fd = share_open_beneath(w->root_fd, *relative ? relative : ".", O_RDONLY | O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        int error = share_error(errno);
        if (fd >= 0)
            close(fd);
        if (t->entries[entry].parent == SHARE_NONE)
            return refuse_root(w, error, "%s",
                               error == ERR_PERMISSION ? "may not be read: change its mode or its owner"
                                                       : err_text(error));
        t->entries[entry].state = ENTRY_SKIPPED;
        share_problems_add(w->problems, w->path, error,
                           error == ERR_PERMISSION ? "directory may not be read, skipped: chmod u+rx"
                                                   : err_text(error));
        return 0;
    }
    uint32_t first = t->entry_count;
    int status = read_names(w, dir, dir_index);
    closedir(dir);
    if (status)
        return status;
    t->dirs[dir_index].first = first;
    t->dirs[dir_index].count = t->entry_count - first;
    qsort_r(t->entries + first, t->entry_count - first, sizeof *t->entries, by_name, t->names);
    for (uint32_t i = first; i < t->entry_count; i++) {
        if (t->entries[i].dir == SHARE_NONE)
            continue;
        uint32_t depth = t->dirs[dir_index].depth + 1;
        if (depth > MANIFEST_DEPTH_MAX)
            return refuse_root(w, ERR_RANGE, "is nested deeper than %u directories: share a part of it",
                               MANIFEST_DEPTH_MAX);
        t->entries[i].dir = t->dir_count;
        if (dir_add(t, i, depth) == NULL)
            return ERR_NO_MEMORY;
    }
    return 0;
}

/* ---- Roots ---- */

/* Absolute, without links on the way; the last part itself must not be one. */
static int resolve_root(struct walk *w)
{
    struct share_root *root = &w->t->roots[w->root];
    struct stat st;
    if (lstat(root->path, &st)) {
        int error = share_error(errno);
        return refuse_root(w, error, "%s",
                           error == ERR_NOT_FOUND ? "there is no such file or directory" : err_text(error));
    }
    if (S_ISLNK(st.st_mode))
        return refuse_root(w, ERR_NOT_A_FILE, "is a symbolic link: share what it points to");
    char *real = realpath(root->path, NULL);
    if (real == NULL)
        return refuse_root(w, share_error(errno), "%s", err_text(share_error(errno)));
    root->path = real; /* `given` stays: the loop may be reading it */
    return 0;
}

static int walk_root(struct walk *w)
{
    struct share_tree *t = w->t;
    struct share_root *root = &t->roots[w->root];
    struct stat st, parent;
    char folder[PATH_MAX];
    int error, status = resolve_root(w);
    if (status)
        return status;
    if (lstat(root->path, &st))
        return refuse_root(w, share_error(errno), "vanished");
    const char *slash = strrchr(root->path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash == root->path ? 1 : (int)(slash - root->path), root->path);
    if (stat(folder, &parent) == 0 && parent.st_dev == t->home_device && parent.st_ino == t->home_inode)
        return refuse_root(w, ERR_PERMISSION, "lies in this node's home beside its key: keep it elsewhere");
    const char *why = unfit(w, strcmp(root->path, "/") ? slash + 1 : "root", &st, &error);
    if (why)
        return refuse_root(w, error, "%s", why);
    struct share_entry *e = entry_add(t, slash + 1, strlen(slash + 1), &st);
    if (e == NULL)
        return ERR_NO_MEMORY;
    uint32_t index = (uint32_t)(e - t->entries);
    e->root = w->root;
    root->entry = index;
    if (!S_ISDIR(st.st_mode))
        return 0;
    uint32_t next = t->dir_count;
    e->dir = next;
    if (dir_add(t, index, 0) == NULL)
        return ERR_NO_MEMORY;
    w->root_fd = open(root->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (w->root_fd < 0) {
        error = share_error(errno);
        return refuse_root(w, error, "%s",
                           error == ERR_PERMISSION ? "may not be read: change its mode or its owner"
                                                   : err_text(error));
    }
    for (; status == 0 && next < t->dir_count; next++)
        status = walk_directory(w, next);
    close(w->root_fd);
    return status;
}

int share_tree_walk(struct share_tree *t, atomic_bool *stop, struct share_problems *problems)
{
    struct walk w = {.t = t, .problems = problems, .stop = stop};
    for (w.root = 0; w.root < t->root_count; w.root++) {
        struct share_root *root = &t->roots[w.root];
        uint32_t entries = t->entry_count, dirs = t->dir_count;
        size_t names = t->names_size;
        root->entry = SHARE_NONE;
        int status = walk_root(&w);
        if (status && root->error == 0)
            return status; /* cancelled, no memory */
        if (status) {
            t->entry_count = entries;
            t->dir_count = dirs;
            t->names_size = names;
            root->entry = SHARE_NONE;
            share_problems_add(problems, root->path, root->error, root->text);
        }
    }
    return 0;
}

void share_tree_free(struct share_tree *t)
{
    for (uint32_t i = 0; i < t->root_count; i++) {
        if (t->roots[i].path != t->roots[i].given)
            free(t->roots[i].path);
        free(t->roots[i].given);
    }
    free(t->roots);
    free(t->entries);
    free(t->dirs);
    free(t->names);
    memset(t, 0, sizeof *t);
}
