/* Inside the share module: what share*.c share.
 *
 *     shares        the module: jobs, announcing, links            share.c
 *     share_work    one job: walk, hash, record                    share_job.c (loop); share_walk.c,
 * share_hash.c, share_commit.c (pool) share_open    contents that are being served share_serve.c share_watch
 * the slow walk over stamps                      share_watch.c share_adopt   what was fetched enters the
 * store              share_adopt.c
 *
 * A function marked POOL runs in the thread pool and touches only the work it was given; all else belongs to
 * the loop thread. One job works at a time, the others wait: hashing is bound by the cores anyway, and memory
 * stays bounded. */
#ifndef SHOAL_HOST_SHARE_INTERNAL_H
#define SHOAL_HOST_SHARE_INTERNAL_H
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <uthash.h>
#include "node/base/assert.h"
#include "node/host/log.h"
#include "node/host/share.h"
#include "transfer/tree.h"

#define SHARE_ENTRIES_MAX                                                                                    \
    MANIFEST_ENTRIES_MAX /* in one job: some 130 bytes each are in memory while it works */
#define SHARE_SPAN_SIZE ((uint64_t)TREE_SPAN_LEAVES * TREE_LEAF_SIZE)
#define SHARE_BATCH_FILES                                                                                    \
    256u /* small files of one work item: some milliseconds, so that serving gets its turn in the pool */
#define SHARE_BATCH_BYTES (8u << 20)
#define SHARE_PIECE_SPANS 16u /* of one work item on a big file */
#define SHARE_WORKERS_MAX 16u
#define SHARE_BIGS_MAX    2u    /* big files open at once */
#define SHARE_TRIES       3u    /* hashings of a file that changes meanwhile */
#define SHARE_COMMIT_ROWS 1000u /* of one transaction: how long another handle may have to wait */
#define SHARE_URGENT_MAX                                                                                     \
    16u /* roots announced at once by a look-up each; more than that wait for the walk over the key space */
#define SHARE_ANNOUNCE_WAIT_MS 5000u
#define SHARE_ANNOUNCE_MIN     (1u << 20) /* files inside trees that are announced */
#define SHARE_OP_FIRST         0x20000000u

/* ---- Problems found in the pool, told to the job on the loop ---- */
struct share_problem {
    struct share_problem *next;
    int error;
    char text[160];
    char path[];
};
struct share_problems {
    struct share_problem *first, **last;
    uint32_t kept, total;
};
void share_problems_init(struct share_problems *p);
void share_problems_add(struct share_problems *p, const char *path, int error, const char *text); /* POOL */
void share_problems_tell(struct share_problems *p, struct job *job); /* empties it */

/* ---- The tree in memory (share_walk.c) ---- */
enum share_entry_state { ENTRY_WAITING, ENTRY_HASHED, ENTRY_KNOWN, ENTRY_SKIPPED };
struct share_entry {
    uint32_t name;   /* offset in names; NUL-terminated there */
    uint32_t parent; /* directory; SHARE_NONE: a root */
    uint32_t dir;    /* of a directory; SHARE_NONE: a file */
    uint32_t root;
    uint8_t name_size, state, tries;
    bool executable;
    struct file_stamp stamp;
    struct content_id id;
};
#define SHARE_NONE UINT32_MAX
struct share_dir {
    uint32_t entry, first, count, depth; /* children lie side by side in order of name */
};
struct share_root {
    char *given;
    char *_Atomic path; /* as given, from the walk on absolute and without links; the loop may look while it changes */
    uint32_t entry; /* SHARE_NONE: refused */
    int error;
    char text[200];
    int64_t row;
    uint64_t bytes, files;
    atomic_bool dropped; /* unshared while we work */
    uint32_t op;         /* of its announcement */
};
struct share_tree {
    struct share_entry *entries;
    uint32_t entry_count, entry_cap;
    struct share_dir *dirs;
    uint32_t dir_count, dir_cap;
    char *names;
    size_t names_size, names_cap;
    struct share_root *roots;
    uint32_t root_count;
    uint64_t home_device, home_inode;
};
int share_tree_walk(struct share_tree *t, atomic_bool *stop,
                    struct share_problems *problems); /* POOL; 0, ERR_CANCELLED, ERR_NO_MEMORY */
void share_tree_free(struct share_tree *t);
/* Absolute path; false when it does not fit. Any thread once the walk is over. */
bool share_path(const struct share_tree *t, uint32_t entry, char *out, size_t cap);
static inline const char *share_name(const struct share_tree *t, const struct share_entry *e)
{
    return t->names + e->name;
}
void share_stamp_of(struct file_stamp *out, const struct stat *st);
bool share_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);
int share_error(int system_errno);
/* Opens without following a link in any part below `directory`. */
int share_open_beneath(int directory, const char *relative, int flags);

/* ---- Hashing (share_hash.c) ---- */
struct share_big { /* a file of several spans */
    uint32_t entry;
    int fd, tree_fd, status;
    char tree_path[PATH_MAX]; /* temporary */
    struct file_stamp stamp;
    uint8_t (*upper)[HASH_SIZE]; /* span roots, then the layers above */
    uint32_t spans, next, done, in_flight;
    uint64_t hashed;
    enum { BIG_FREE, BIG_OPENING, BIG_HASHING, BIG_FINISHING } state;
};
/* POOL. Files small[from, to); those that grew over one span are left WAITING. Returns bytes hashed. */
uint64_t share_hash_small(struct share_tree *t, const uint32_t *small, uint32_t from, uint32_t to,
                          atomic_bool *stop, struct share_problems *problems);
int share_big_open(const struct share_tree *t, struct share_big *b);        /* POOL */
int share_big_piece(const struct share_big *b, uint32_t from, uint32_t to); /* POOL; several at once */
int share_big_finish(struct share_tree *t, struct share_big *b);            /* POOL; ERR_CHANGED */
void share_big_close(struct share_big *b, bool keep_tree);
/* POOL. Hashes one file of more than one span by itself and leaves its tree at `temporary` (existing, from store_temporary_path). ERR_BAD_HASH: it is
 * not this content; ERR_CANCELLED; on any error the temporary file is gone. */
int share_tree_again(const char *path, const struct content_id *id, const char *temporary, const atomic_bool *stop);
void share_explain(int error, char *out, size_t cap); /* what to do about a file's error */

/* ---- Recording (share_commit.c); POOL, one at a time, with the job's own handle ---- */
struct share_trees { /* finished tree files by entry, not yet in their place */
    uint32_t entry;
    char *path;
};
struct share_recorder {
    struct store *store;
    struct share_tree *tree;
    const struct network *network;
    const struct core_crypto *crypto;
    const char *home;
    atomic_bool *stop;
    bool with_times;
    int error;
    char where[PATH_MAX + 64];  /* what it was about */
    uint8_t (*lost)[HASH_SIZE]; /* provider keys that are no longer ours */
    uint32_t lost_count, lost_cap;
};
int share_record_begin(
    struct share_recorder *r); /* opens the handle, makes share rows, finds what is known */
int share_record_files(struct share_recorder *r, const uint32_t *entries, uint32_t count,
                       struct share_trees *trees, uint32_t tree_count);
int share_record_end(struct share_recorder *r); /* manifests, objects, shares */
void share_record_close(struct share_recorder *r);

/* ---- One job ---- */
enum share_item_kind {
    ITEM_WALK,
    ITEM_BEGIN,
    ITEM_SMALL,
    ITEM_BIG_OPEN,
    ITEM_BIG_PIECE,
    ITEM_BIG_FINISH,
    ITEM_FILES,
    ITEM_END
};
struct share_work;
struct share_item {
    uv_work_t work;
    struct share_work *owner;
    enum share_item_kind kind;
    bool busy;
    int status;
    uint32_t from, to; /* small files, or spans of a big one */
    uint64_t bytes;
    struct share_big *big;
    struct share_problems problems;
};
enum share_phase { PHASE_WAITING, PHASE_WALK, PHASE_BEGIN, PHASE_HASH, PHASE_END, PHASE_ANNOUNCE };
struct share_work {
    struct shares *shares;
    struct job *job;
    struct share_work *next;
    enum share_phase phase;
    bool with_times, background, recording;
    atomic_bool stop;
    int error;
    char message[320];
    struct share_tree tree;
    struct share_recorder recorder;
    uint32_t *small, small_count, small_next, small_done;
    uint32_t *big, big_count, big_next;
    struct share_big bigs[SHARE_BIGS_MAX];
    uint32_t *hashed, hashed_count, *record, record_count; /* waiting to be recorded, being recorded */
    struct share_trees *trees, *record_trees;
    uint32_t trees_count, trees_cap, record_trees_count;
    struct share_item items[SHARE_WORKERS_MAX + 1]; /* the last one: recording */
    uint32_t workers, in_flight;
    uint32_t announcing;
    core_time announce_until;
    core_time rate_at;
    uint64_t rate_bytes;
};
struct share_work *share_work_new(struct shares *s, struct job *job, const char *const *paths, size_t count,
                                  bool with_times);
void share_work_start(struct share_work *w);
void share_work_stored(struct share_work *w, uint32_t op, uint32_t stored, uint32_t asked);
void share_work_tick(struct share_work *w, core_time now);
void share_work_free(struct share_work *w);

/* ---- The module ---- */
#define SHARE_ADDRESSES_MAX 8
struct share_key {
    uint8_t key[HASH_SIZE];
    bool remove;
};
struct shares {
    struct host_core *core;
    struct jobs *jobs;
    char home[PATH_MAX];
    struct share_work *works;  /* the first one works; those that announce too */
    struct share_open *opened; /* hash by provider key and pack */
    uint32_t in_flight;        /* work items of the pool and closings that will call back */
    uint32_t last_op;
    struct share_key *keys; /* to be announced or forgotten, from keys_next on */
    size_t keys_count, keys_next, keys_cap;
    uv_idle_t idle;
    uv_timer_t timer;
    bool stopping, started;
    atomic_bool stop; /* the same for work in the pool that no job can cancel */
    int closing;
    void (*stopped)(void *context);
    void *stopped_context;
    struct net_addr addresses[SHARE_ADDRESSES_MAX];
    uint32_t address_count;
    uint64_t changes;
    struct share_watch *watch;
    void (*lost)(void *context, uint32_t swarm); /* shares_on_lost */
    void *lost_context;
};
void shares_key_queue(struct shares *s, const uint8_t key[HASH_SIZE], bool remove);
void shares_next(struct shares *s);    /* starts the next job */
void shares_soon(struct shares *s);    /* a tick in the loop's next turn: a person waits for the job's end */
void shares_settled(struct shares *s); /* in_flight fell: perhaps the last before stopping */
struct job *shares_add_background(struct shares *s, const char *path, bool with_times);

/* share_serve.c */
void share_serve_check(struct shares *s); /* closes what the store no longer lists */
void share_serve_stop(struct shares *s);
void share_serve_tick(struct shares *s, core_time now);
bool share_serve_notice(struct shares *s, const struct effect *x);
void share_serve_free(struct shares *s);

/* share_watch.c */
void share_watch_start(struct shares *s);
void share_watch_now(struct shares *s); /* the next page with the next tick */
void share_watch_tick(struct shares *s, core_time now);
void share_watch_content(struct shares *s, const struct store_content *c,
                         int error); /* found changed or missing while serving */
void share_watch_free(struct shares *s);
#endif
