/* Inside the fetch module: what fetch*.c share. Loop thread only, but for `run` of a task.
 *
 *     fetch        one job: a file, a tree, or the listing of a tree          fetch.c
 *     fetch_tree   the walk of a tree job                                     fetch_tree.c, fetch_tree_dirs.c; in the pool: fetch_plan.c, fetch_final.c
 *     fetch_unit   one content to one place: a file, a manifest or a pack     fetch_file.c
 *     fetch_task   work in the thread pool that may outlive who asked for it  fetch_task.c
 */
#ifndef SHOAL_HOST_FETCH_INTERNAL_H
#define SHOAL_HOST_FETCH_INTERNAL_H
#include <stdatomic.h>
#include <uthash.h>
#include "node/host/fetch.h"
#include "node/host/fetch_disk.h"
#include "node/host/fetch_path.h"
#include "node/host/fetch_state.h"

#define FETCH_TICK_MS      200
#define FETCH_ACTIVE_MAX   24                /* jobs that move data at once; later ones wait */
#define FETCH_SOURCES_MAX  32
#define FETCH_TREE_FILES   8                 /* swarms of larger files and manifests of one tree at once */
#define FETCH_TREE_PACKS   4
#define FETCH_TREE_PLANS   3                 /* manifests being read and compared with the disk */
#define FETCH_TREE_KEPT    32                /* complete swarms of a tree that go on serving while the rest arrives */
#define FETCH_TREE_QUEUE   4096              /* larger files known and not begun: above it no further directory is planned */
#define FETCH_DIRS_MAX     1000000u
#define FETCH_LIST_MAX     1000000u          /* lines of a listing */
#define FETCH_SPACE_RETRY  CORE_SECONDS(3)
#define FETCH_BUSY_RETRY   CORE_MS(500)
#define FETCH_TROUBLES_MAX 8                 /* disk errors in a row (not "full", which may last) before the job gives up */

struct fetch;
struct fetch_tree;
struct fetch_adopt;

/* ---- fetch_task.c ---- */
struct fetch_task {
    uv_work_t req;
    struct fetches *f;
    void *owner;                              /* NULL: nobody waits any more */
    atomic_bool stop;                         /* asks `run` to give up */
    int status;
    void (*run)(struct fetch_task *t);        /* thread pool */
    void (*done)(struct fetch_task *t);       /* loop thread; skipped when dropped */
    void (*free)(struct fetch_task *t);       /* loop thread, always last */
};
void fetch_task_start(struct fetches *f, struct fetch_task *t, void *owner);
void fetch_task_drop(struct fetch_task **t);  /* forgets it; *t = NULL. NULL is allowed inside */

/* ---- fetch_file.c ---- */
enum fetch_unit_state {
    UNIT_WAITING,   /* for another unit, a swarm number, space: retry_at */
    UNIT_LOCAL,     /* copied from content this node has already */
    UNIT_RUNNING,   /* a swarm */
    UNIT_FINISHING, /* complete: synced and named by the data plane */
    UNIT_COMPLETE,  /* serves on until it is closed or released */
    UNIT_FAILED,    /* done was told the error */
    UNIT_CLOSING
};
struct fetch_unit {
    struct fetches *f;
    struct fetch *fetch;                      /* NULL once its job has gone */
    void *owner;
    void (*done)(struct fetch_unit *u, int status); /* once; status ERR_BUSY for a pack: another unit fetched this directory, plan again */
    enum fetch_unit_state state;
    struct content_id id;
    bool pack, in_tree, replace, verify, tried_local, told, blocked, reopen;
    char *path;                               /* final path; of a pack: the directory */
    uint8_t *manifest, *want, *have;          /* of a pack; owned, until its swarm is open */
    uint32_t want_count, want_files;
    uint64_t want_bytes;
    uint32_t ref, swarm, parent;
    uint32_t callbacks;                       /* that the data plane still owes us */
    struct fetch_task *task;
    core_time retry_at;                       /* CORE_NEVER: not waiting for time */
    int trouble;                              /* last error of our disk, 0 when it is over */
    uint32_t troubles;
    struct fetch_unit *prev, *next;
    UT_hash_handle hh;                        /* by swarm */
};
struct fetch_unit_params {
    struct content_id id;
    bool pack, in_tree, replace;
    bool verify;                              /* may lie there complete: look first */
    const char *path;
    uint8_t *manifest, *want, *have;          /* of a pack; taken, also on failure. have: entries that lie there, bit by bit */
    uint32_t want_count, want_files, parent;
    uint64_t want_bytes;
    void *owner;
    void (*done)(struct fetch_unit *u, int status);
};
/* NULL: no memory. It begins with the next tick, never inside this call. */
struct fetch_unit *fetch_unit_add(struct fetch *fetch, const struct fetch_unit_params *p);
void fetch_unit_close(struct fetch_unit *u);   /* ends it in whatever state; fetch_unit_gone follows, perhaps at once */
void fetch_unit_release(struct fetch_unit *u); /* complete: its job goes, the swarm serves on until nobody wants it for a minute */
void fetch_unit_complete(struct fetch_unit *u);
void fetch_unit_trouble(struct fetch_unit *u, int status);
void fetch_unit_retry(struct fetch_unit *u);
void fetch_unit_source(struct fetch_unit *u, const struct node_addr *a, enum xfer_source source);
bool fetch_unit_stats(const struct fetch_unit *u, struct xfer_swarm_stats *out);
/* A complete pack of this directory under some job's hands, or NULL: its directory has the small files. */
const struct fetch_unit *fetch_unit_pack_kept(struct fetches *f, const struct content_id *id);

/* ---- fetch.c, fetch_job.c, fetch_progress.c ---- */
struct fetch_source {
    struct node_addr node;
    enum xfer_source how;
};
struct fetch {
    struct fetches *f;
    struct job *job;
    struct fetch_state what;
    char target[FETCH_PATH_MAX];
    bool active;                              /* begun; otherwise it waits for others to end */
    bool ended;                               /* its job has ended: freed by the next tick */
    bool list_only, list_recursive;
    struct fetch_unit *unit;                  /* of a file job */
    struct fetch_tree *tree;
    struct fetch_task *task;
    struct fetch_adopt *adopt;                /* the name is there, the store is told; the record of the fetch goes last */
    struct fetch_source sources[FETCH_SOURCES_MAX];
    uint32_t source_count, lookup_op;
    core_time lookup_at;
    uint32_t bad_sources;                     /* banned for bad hashes while this job ran */
    uint64_t progress_bytes, progress_known;  /* known: bytes and files of manifests, which arrive too */
    core_time progress_at;
    core_time timeout;                        /* 0: none */
    struct fetch *prev, *next;
};
struct fetches {
    struct host_core *core;
    struct jobs *jobs;
    struct shares *shares;
    char *home;
    struct fetch *list;
    struct fetch_unit *units, *swarms;
    uv_timer_t timer;
    bool timer_runs, stopping;
    bool resume_wanted;                       /* the store lists more than there was room for */
    core_time resume_at;
    uint32_t tasks, closing;                  /* pool tasks and calls of the data plane under way */
    uint32_t last_op;
    void (*stopped)(void *context);
    void *stopped_context;
};

/* fetch.c */
core_time fetch_now(const struct fetch *x);
void fetch_kick(struct fetches *f);           /* the next tick comes at once */
void fetch_maybe_stopped(struct fetches *f);  /* the last callback after fetches_stop tells */

/* fetch_job.c: what one job does. The end of a job only marks it; the next tick frees it, so that callers on the way back may look at `ended`. */
struct fetch *fetch_new(struct fetches *f, struct job *job, const struct link *link);
void fetch_free(struct fetch *x);             /* closes everything; the job is left as it is */
void fetch_begin(struct fetch *x);
void fetch_done(struct fetch *x, const char *message);
void fetch_clean_staging(const struct fetch *x); /* what is left of <final>.part of a tree that has its name */
void fetch_fail(struct fetch *x, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* "<what> <path>: <why>; <what to do>" for an error of our disk. */
void fetch_fail_disk(struct fetch *x, int error, const char *what, const char *path);
void fetch_unit_gone(struct fetch *x);
struct fetch_found;
/* The tree has its final name. found: what the selected paths are. The job ends with `message` once all is recorded as shares. */
void fetch_tree_named(struct fetch *x, const struct fetch_found *found, const char *message);

/* fetch_progress.c */
void fetch_source_add(struct fetch *x, const struct node_addr *node, enum xfer_source how);
void fetch_poll(struct fetch *x);             /* numbers and message of the job; looks for sources when it is time */

/* ---- fetch_adopt.c: from the final name to a share. The store row of the fetch stays until that is committed, so that a crash in between finds it
 * again at the next start, which looks at what lies there and goes on here. ---- */
struct fetch_adopt *fetch_adopt_new(struct fetch *x, const char *message); /* NULL: the job has ended, out of memory */
void fetch_adopt_path(struct fetch_adopt *a, const char *path, const struct content_id *id);
void fetch_adopt_ready(struct fetch_adopt *a); /* no more paths; the job may end inside this call */
void fetch_adopt_drop(struct fetch *x);        /* the job goes, the recording goes on */

/* ---- fetch_tree.c ---- */
void fetch_tree_start(struct fetch *x);
void fetch_tree_free(struct fetch_tree *t);
void fetch_tree_poll(struct fetch_tree *t);     /* progress into the job */
void fetch_tree_units_gone(struct fetch_tree *t);
int fetch_tree_trouble(const struct fetch_tree *t);
#endif
