/* Between content_host.c (calls), content_path_host.c, content_list_host.c, content_fetch_host.c (open files,
 * the cache) and the homes of accounts: content_home_host.c (reading them), content_write_host.c (uploads),
 * content_change_host.c (changes, one at a time, and the sweep at start). */
#ifndef SHOAL_CONTENT_INTERNAL_HOST_H
#define SHOAL_CONTENT_INTERNAL_HOST_H
#include <limits.h>
#include <sys/stat.h>
#include <utlist.h>
#include "gateways/content_host.h"
#include "node/host/names.h"

enum call_kind {
    CALL_RESOLVE,
    CALL_LIST,
    CALL_OPEN,
    CALL_READ,
    CALL_WRITE /* begins or changes something */
};

struct found { /* where a path leads */
    struct content_info info;
    char name[CONTENT_NAME_MAX + 1];
    char local[PATH_MAX]; /* a complete file on this disk; "" = none */
    struct file_stamp stamp;
    bool stamped;
    struct content_id root; /* the tree it lies in, and where, for content of other nodes */
    bool in_tree;
    char inside[CONTENT_PATH_MAX];
};

/* Where a path led, and its descriptor when it was opened; for all who opened it lately. */
struct place {
    uint32_t refs;
    int fd;
    bool any_ctime; /* a file of the cache may lose its name (gc, the quota) while it is read, and with it its
                       ctime */
    struct found found;
};
struct place *content_place_new(void);    /* NULL: no memory */
void content_place_drop(struct place *p); /* NULL is ignored */

struct content_call {
    struct content *c;
    enum call_kind kind;
    bool started, cancelled;
    struct account_who who;
    char *path;
    struct link *hints;
    core_time deadline;
    uint64_t from; /* of a list */
    uint32_t limit;
    struct names_call *name; /* a name in the path is being resolved */
    bool named;              /* it was: names_known says what came of it */
    struct job *job;         /* a listing under way on other nodes: its number, since jobs may be forgotten */
    uint32_t job_id;
    struct content_file *file; /* of a read */
    uint64_t offset, ahead;
    uint8_t *out;
    size_t size;
    bool reading; /* the data plane or the pool has `out` */
    uv_fs_t fs;
    content_info_cb info_done;
    content_list_cb list_done;
    content_open_cb open_done;
    content_read_cb read_done;
    content_begun_cb begun;
    content_done_cb done;
    int refused; /* of a CALL_WRITE that never began: told by the pump */
    void *context;
    struct content_call *prev, *next;
};

struct cached { /* content of other nodes on its way to this disk, one for each file, for all its readers */
    struct content *c;
    struct content_id id;
    char target[PATH_MAX];
    char inside[CONTENT_PATH_MAX]; /* the file below target, for a small file of a tree; else "" */
    uint32_t job;
    bool making_room; /* the quota is looked at, in the pool; no job yet */
    uv_work_t work;
    struct found *what; /* what the job will be made of */
    struct link *hints;
    int error; /* of making room, or of starting */
    uint32_t readers;
    core_time idle_since;
    struct cached *prev, *next;
};

struct content_file {
    struct content *c;
    struct place *place;
    struct cached *cached; /* NULL: local */
    uint32_t reader;
    bool closed; /* freed with its last read */
    uint32_t reads;
    struct link *hints; /* NULL: none */
};

struct known { /* where a path led a moment ago: saves the store's and the manifests' reading for what is
                  asked again and again */
    char *path;
    struct place *place; /* NULL: empty */
    core_time until;
};
/* Work for the thread pool that alters /home; queued, one at a time. */
struct change {
    uv_work_t work;
    struct content *c;
    struct change *next;
    int status;                       /* ERR_CANCELLED before run: it never ran */
    void (*run)(struct change *ch);   /* POOL */
    void (*ended)(struct change *ch); /* loop; frees what holds it */
};

#define KNOWN_PATHS 32u
#define KNOWN_FOR                                                                                            \
    CORE_SECONDS(1) /* also how long something taken back may still be opened; a changed file never is */

struct content {
    struct app *app;
    struct known known[KNOWN_PATHS];
    bool known_used;
    uv_prepare_t prepare;
    uv_timer_t timer;
    uint8_t handles;
    bool stopping, prepare_runs;
    struct content_call *calls;
    struct cached *cached;
    uint32_t reads; /* in the pool, or queued for it */
    struct change *changes, *changes_last;
    bool changing;
    uint32_t last_upload;
    char incoming_mark[16];                   /* names in home/incoming that are of this run */
    char files[PATH_MAX], incoming[PATH_MAX]; /* home/files, home/incoming */
    uint32_t last_reader;
    void (*stopped)(void *context);
    void *stopped_context;
};

void content_kick(struct content *c); /* calls are looked at before the loop sleeps again */
void content_call_free(struct content_call *call);
void content_maybe_stopped(struct content *c);
struct content_call *content_call_new(struct content *c, const struct account_who *who, enum call_kind kind,
                                      const char *path, const struct link *hints, core_time deadline,
                                      void *context);
void content_call_fail(struct content_call *call, int status);
void content_known_forget(struct content *c);
struct known *content_known_find(struct content *c, const char *path); /* NULL: not, or not any more */
void content_found_dir(struct found *f, const char *name);
/* content_path_host.c */
#define CONTENT_MANIFEST_HERE                                                                                \
    (8u << 20) /* a manifest that is read on the loop [bytes]; larger ones by a listing job */
bool content_segment(const char **path, char out[CONTENT_NAME_MAX + 1]); /* takes the next one of "/a/b" */
/* Where a path leads, by what is on this disk. ERR_NO_SOURCES: a manifest on the way is not here, f->inside
 * says what is looked for; ERR_BUSY below /name: its profile is not here yet. */
int content_find(struct content *c, const struct account_who *who, const char *path, const struct link *hints,
                 struct found *f);
/* What a share is called in /shared: its name, and when it is not the first of that name, `~` and the first
 * signs of its id before the extension, so that both can be reached. */
void content_share_name(char out[CONTENT_NAME_MAX + 1], const struct store_share *share, bool first);
bool content_below_name(const char *path);
int content_name_wait(
    struct content_call *call); /* looks for the call's name, once. 0: wait; else why the call fails */
void content_name_hints(struct content_call *call); /* the node of a name is a source of its site */
int content_remote_start(struct content_call *call, const struct found *f,
                         bool of_parent);                             /* a listing job */
int content_remote_done(struct content_call *call, struct job **out); /* 1: still running */
bool content_resolve_step(struct content_call *call);                 /* true: it ended, its callback came */
void content_known_tick(struct content *c, core_time now);
/* content_list_host.c */
bool content_list_step(struct content_call *call); /* as content_resolve_step */
/* content_fetch_host.c */
struct content_file *content_file_open(struct content *c, struct place *place, const struct link *hints,
                                       int *error);
/* A read: true when it ended (its callback came). */
bool content_read_step(struct content_call *call, core_time now);
void content_cache_tick(struct content *c, core_time now);
bool content_cache_path(struct content *c, const struct content_id *id, char *out, size_t cap);
/* content_home_host.c. Where a path below /home leads: `relative` to home/files, "" for /home itself. 0,
 * ERR_NOT_FOUND, ERR_PERMISSION, ERR_MALFORMED. */
bool content_is_home(const char *path);
bool content_home_may(const struct account_who *who, const char *account, size_t size);
int content_home_relative(const struct account_who *who, const char *path, const char **relative);
int content_home_find(struct content *c, const struct account_who *who, const char *path, struct found *f);
bool content_home_list(struct content_call *call); /* begins it; true: it ended */
void content_home_info(struct store *store, const char *place, const char *name, const struct stat *st,
                       struct content_info *out); /* name stays the caller's */
void content_stamp_of(struct file_stamp *out, const struct stat *st);
bool content_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);
/* content_change_host.c */
void content_change_queue(struct content *c, struct change *ch);
void content_home_start(struct content *c); /* folders, and the sweep */
struct lost_keys {                          /* provider keys that a change made void */
    uint8_t (*keys)[HASH_SIZE];
    uint32_t count, cap;
};
bool content_lost_add(void *context, const uint8_t key[HASH_SIZE]);
/* POOL. One file of a home as a share of its own, in the caller's transaction. */
int content_record_file(struct content *c, struct store *store, const char *place,
                        const struct content_id *id, const struct file_stamp *stamp, struct lost_keys *lost);
int content_forget_file(struct store *store, const char *place, struct lost_keys *lost);
/* POOL. Opens the directory that the last part of `relative` lies in, making the account's own and, when
 * `parents`, all; *name is that part. *made (may be NULL): some directory is new. A descriptor or a negative
 * error. */
int content_home_parent(const struct content *c, const char *relative, bool parents, const char **name,
                        bool *made);
int content_home_sync(const struct content *c,
                      const char *relative); /* all directories above it, to the disk */
/* Checks rights and names of a path that is to be written; relative has an account and at least one part
 * behind it. */
int content_home_writable(const struct account_who *who, const char *path, const char **relative);
#endif
