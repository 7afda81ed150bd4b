/* One fetch job: its beginning, the way of a single file, what happens when the final name is there, and its end. */
#include "node/host/fetch_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>
#include "node/base/assert.h"
#include "node/host/fetch_walk.h"
#include "node/host/log.h"
#include "transfer/tree.h"

static void cancel(struct job *job)
{
    struct fetch *x = job->owner;
    if (!x || x->ended || x->adopt) /* it is here: nothing to stop any more */
        return;
    if (x->list_only)
        fetch_fail(x, ERR_CANCELLED, "cancelled");
    else
        fetch_fail(x, ERR_CANCELLED, "cancelled; what has arrived stays in %.250s" FETCH_PART, x->target);
}

struct fetch *fetch_new(struct fetches *f, struct job *job, const struct link *link)
{
    struct fetch *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->f = f;
    x->job = job;
    x->what.link = *link;
    x->lookup_at = CORE_NEVER;
    x->progress_at = host_now(f->core);
    for (uint32_t i = 0; i < link->source_count; i++)
        fetch_source_add(x, &link->sources[i], XFER_SOURCE_LINK);
    job->owner = x;
    job->cancel = cancel;
    snprintf(job->message, sizeof job->message, "waiting for other fetches to end");
    DL_APPEND(f->list, x);
    return x;
}

void fetch_free(struct fetch *x)
{
    struct fetches *f = x->f;
    struct fetch_unit *u, *next;
    DL_DELETE(f->list, x);
    fetch_task_drop(&x->task);
    fetch_adopt_drop(x);
    fetch_tree_free(x->tree);
    x->tree = NULL;
    DL_FOREACH(f->units, u)
        if (u->fetch == x)
            u->owner = NULL;
    DL_FOREACH_SAFE(f->units, u, next) {
        if (u->fetch == x) {
            u->fetch = NULL;
            fetch_unit_close(u);
        }
    }
    if (!x->ended) { /* the node stops; the job is in nobody's hands now */
        x->job->owner = NULL;
        x->job->cancel = NULL;
    }
    if (x->lookup_op)
        dht_cancel(f->core->dht, x->lookup_op);
    fetch_state_fini(&x->what);
    free(x);
}

static void end(struct fetch *x)
{
    x->ended = true;
    fetch_kick(x->f);
    if (x->list_only)
        return;
    int rc = store_fetch_remove(x->f->core->store, x->target);
    if (rc != 0 && rc != ERR_NOT_FOUND)
        log_warning("fetch", "the record of the fetch to %s cannot be removed: %s", x->target, err_text(rc));
}

void fetch_fail(struct fetch *x, int error, const char *format, ...)
{
    char message[sizeof x->job->message];
    va_list args;
    if (x->ended)
        return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    end(x);
    if (error != ERR_CANCELLED)
        log_warning("fetch", "%s: %s", x->target[0] ? x->target : x->job->name, message);
    job_fail(x->job, error, "%s", message);
}

void fetch_fail_disk(struct fetch *x, int error, const char *what, const char *path)
{
    const char *todo = "check the disk, then get it again: what has arrived is kept";
    if (error == ERR_PERMISSION)
        todo = "allow writing there, or choose another place";
    else if (error == ERR_NO_SPACE)
        todo = "make room, then get it again: what has arrived is kept";
    else if (error == ERR_NOT_FOUND)
        todo = "something removed it; get it again";
    else if (error == ERR_EXISTS || error == ERR_NOT_A_FILE)
        todo = "move away what is there, or choose another place";
    else if (error == ERR_RANGE)
        todo = "the path is too long; choose a shorter one";
    fetch_fail(x, error, "%s %.170s: %s; %s", what, path, err_text(error), todo);
}

void fetch_done(struct fetch *x, const char *message)
{
    if (x->ended)
        return;
    end(x);
    x->job->files_done = x->job->files_total;
    x->job->bytes_done = x->job->bytes_total;
    snprintf(x->job->message, sizeof x->job->message, "%s", message);
    if (!x->list_only)
        log_info("fetch", "%s is here", x->target);
    job_done(x->job);
}

void fetch_unit_gone(struct fetch *x)
{
    if (x->tree && !x->ended)
        fetch_tree_units_gone(x->tree);
}

/* ---- A single file ---- */

struct file_task {
    struct fetch_task task;
    struct content_id id;
    char path[FETCH_PATH_MAX];
    bool replace;
};

static void file_task_free(struct fetch_task *task)
{
    free(task);
}

static void file_task_start(struct fetch *x, void (*run)(struct fetch_task *), void (*done)(struct fetch_task *))
{
    struct file_task *t = calloc(1, sizeof *t);
    if (!t) {
        fetch_fail(x, ERR_NO_MEMORY, "out of memory");
        return;
    }
    t->id = x->what.link.id;
    t->replace = x->what.replace;
    snprintf(t->path, sizeof t->path, "%s", x->target);
    t->task.run = run;
    t->task.done = done;
    t->task.free = file_task_free;
    x->task = &t->task;
    fetch_task_start(x->f, &t->task, x);
}

/* A crash after the final name leaves the map of a part that is no more. */
static void map_forget(const struct fetch *x)
{
    char path[FETCH_PATH_MAX + 16];
    struct stat st;
    snprintf(path, sizeof path, "%s" FETCH_PART, x->target);
    if (lstat(path, &st) == 0)
        return;
    snprintf(path, sizeof path, "%s" FETCH_PART ".map", x->target);
    unlink(path);
}

/* The name is there and the content is right: shared on, unless the user does not want that. */
static void file_named(struct fetch *x, const char *message)
{
    map_forget(x);
    x->job->files_total = 1;
    if (x->what.no_share) {
        fetch_done(x, message);
        return;
    }
    struct fetch_adopt *a = fetch_adopt_new(x, message);
    if (!a)
        return;
    fetch_adopt_path(a, x->target, &x->what.link.id);
    fetch_adopt_ready(a);
}

static bool target_exists(const struct fetch *x)
{
    struct stat st;
    return lstat(x->target, &st) == 0;
}

static void fail_exists(struct fetch *x)
{
    fetch_fail(x, ERR_EXISTS, "%.200s exists already and is another file; replace it, or choose another place", x->target);
}

static void file_done(struct fetch_unit *u, int status)
{
    struct fetch *x = u->owner;
    x->unit = NULL;
    if (status == ERR_EXISTS && target_exists(x)) {
        fail_exists(x);
    } else if (status == ERR_EXISTS) {
        fetch_fail(x, status, "%.200s" FETCH_PART " exists and does not belong to this fetch; move it away, or choose another place", x->target);
    } else if (status != 0) {
        fetch_fail_disk(x, status, "cannot write", x->target);
    } else {
        file_named(x, "");
        if (x->what.no_share)
            fetch_unit_close(u);
        else
            fetch_unit_release(u);
    }
}

static void file_start(struct fetch *x)
{
    struct fetch_unit_params p = {.id = x->what.link.id, .path = x->target, .replace = x->what.replace, .owner = x, .done = file_done};
    x->unit = fetch_unit_add(x, &p);
    if (!x->unit)
        fetch_fail(x, ERR_NO_MEMORY, "out of memory");
}

static void check_run(struct fetch_task *task)
{
    struct file_task *t = (struct file_task *)task;
    task->status = fetch_disk_verify_path(t->path, &t->id, &task->stop, NULL);
}

static void check_done(struct fetch_task *task)
{
    struct fetch *x = task->owner;
    x->task = NULL;
    if (task->status == 0)
        file_named(x, "already there");
    else if (task->status == ERR_NOT_FOUND || (x->what.replace && task->status != ERR_NOT_A_FILE))
        file_start(x);
    else
        fail_exists(x);
}

/* Nothing to ask anybody for. */
static void empty_run(struct fetch_task *task)
{
    struct file_task *t = (struct file_task *)task;
    char part[FETCH_PATH_MAX + 8];
    snprintf(part, sizeof part, "%s" FETCH_PART, t->path);
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        task->status = fetch_disk_error(errno);
        return;
    }
    close(fd);
    task->status = fetch_disk_publish(part, t->path, t->replace);
    if (task->status != 0)
        unlink(part);
}

static void empty_done(struct fetch_task *task)
{
    struct fetch *x = task->owner;
    x->task = NULL;
    if (task->status == 0)
        file_named(x, "");
    else if (task->status == ERR_EXISTS && target_exists(x))
        fail_exists(x);
    else
        fetch_fail_disk(x, task->status, "cannot write", x->target);
}

/* Without reading it: the store knows the file that lies there, and nothing has touched it since. */
static bool known_there(struct fetch *x)
{
    struct store_content row;
    struct file_stamp now;
    if (store_content_by_path(x->f->core->store, x->target, &row) != 0 || !content_id_equal(&row.id, &x->what.link.id))
        return false;
    int fd = open(x->target, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    bool same = fd >= 0 && fetch_disk_stamp(fd, &now) && memcmp(&now, &row.stamp, sizeof now) == 0;
    if (fd >= 0)
        close(fd);
    return same && row.state == CONTENT_OK;
}

static void file_begin(struct fetch *x)
{
    const struct content_id *id = &x->what.link.id;
    uint8_t nothing[HASH_SIZE];
    tree_sha256(nothing, NULL, 0);
    x->job->bytes_total = id->size;
    x->job->files_total = 1;
    if (id->size == 0 && memcmp(nothing, id->root, HASH_SIZE) != 0)
        fetch_fail(x, ERR_MALFORMED, "no content can have this link: it says 0 bytes, with the hash of something else");
    else if (known_there(x))
        file_named(x, "already there");
    else if (target_exists(x))
        file_task_start(x, check_run, check_done);
    else if (id->size == 0)
        file_task_start(x, empty_run, empty_done);
    else
        file_start(x);
}

/* ---- A tree ---- */

void fetch_clean_staging(const struct fetch *x)
{
    char path[FETCH_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s" FETCH_PART "/" FETCH_MARKER, x->target);
    unlink(path);
    *strrchr(path, '/') = 0;
    rmdir(path);
}

void fetch_tree_named(struct fetch *x, const struct fetch_found *found, const char *message)
{
    if (x->what.no_share) {
        fetch_done(x, message);
        fetch_clean_staging(x);
        return;
    }
    struct fetch_adopt *a = fetch_adopt_new(x, message);
    if (!a)
        return;
    if (x->what.select_count == 0)
        fetch_adopt_path(a, x->target, &x->what.link.id);
    for (size_t i = 0; i < x->what.select_count; i++) {
        char path[FETCH_PATH_MAX];
        if (found[i].found && fetch_path_join(path, sizeof path, x->target, x->what.select[i]) == 0)
            fetch_adopt_path(a, path, &found[i].id);
    }
    fetch_adopt_ready(a);
}

static void tree_begin(struct fetch *x)
{
    struct store_share share;
    if (!x->list_only && x->what.select_count == 0 && store_share_by_path(x->f->core->store, x->target, &share) == 0 &&
        content_id_equal(&share.id, &x->what.link.id) && share.state == CONTENT_OK && target_exists(x)) {
        x->job->bytes_total = share.bytes;
        x->job->files_total = share.files;
        fetch_done(x, "already there");
        fetch_clean_staging(x);
        return;
    }
    x->lookup_at = 0;
    fetch_tree_start(x);
}

/* The listing of a single file is one line. */
static void list_file(struct fetch *x)
{
    struct job *job = x->job;
    job->entries = calloc(1, sizeof *job->entries);
    char *path = strdup(job->name);
    if (!job->entries || !path) {
        free(path);
        fetch_fail(x, ERR_NO_MEMORY, "out of memory");
        return;
    }
    job->entries[0].path = path;
    job->entries[0].id = x->what.link.id;
    job->entry_count = 1;
    fetch_done(x, "");
}

void fetch_begin(struct fetch *x)
{
    x->job->message[0] = 0;
    x->progress_at = fetch_now(x);
    if (x->what.link.id.kind == CONTENT_TREE)
        tree_begin(x);
    else if (x->list_only)
        list_file(x);
    else
        file_begin(x);
}
