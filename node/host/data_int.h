/* Inside the data plane: what data*.c share. Nobody else includes this but its tests.
 *
 * Threads: everything here belongs to the loop thread, except the body of a job (`run`), which may use the
 * fields it is given, the file descriptor cache (locked) and the io table. A ref lives until its last job is
 * done. */
#ifndef SHOAL_HOST_DATA_INT_H
#define SHOAL_HOST_DATA_INT_H
#include <sys/types.h>
#include <sys/uio.h>
#include "node/host/data.h"
#include "transfer/tree.h"

/* System calls that can fail in interesting ways, so that tests can make them fail. */
struct data_io {
    int (*open)(const char *path, int flags, mode_t mode);
    ssize_t (*preadv)(int fd, const struct iovec *v, int n, off_t at);
    ssize_t (*pwritev)(int fd, const struct iovec *v, int n, off_t at);
    int (*fdatasync)(int fd);
    int (*rename)(const char *from, const char *to);
    void (*writeback)(int fd); /* start write-back, do not wait */
};
extern const struct data_io data_io_real;

/* ---- descriptors (data_fd.c): at most DATA_FDS_MAX open; the least recently used idle one is closed ---- */
#define DATA_FDS_MAX 256u
struct data_file {
    char *path; /* changed only under the cache's lock */
    int flags;
    int fd; /* -1: closed just now */
    uint32_t users;
    uint64_t device, inode; /* once known, a reopened file must be the same: ERR_CHANGED */
    struct data_file *older, *newer;
    bool listed;
};
struct data_fds {
    uv_mutex_t lock;
    const struct data_io *io;
    uint32_t open;
    struct data_file *oldest, *newest; /* idle and in use, by last use */
};
void data_fds_init(struct data_fds *c, const struct data_io *io);
void data_fds_fini(struct data_fds *c);
int data_file_init(struct data_file *f, const char *path, int flags);
void data_file_fini(struct data_fds *c, struct data_file *f);
int data_file_acquire(struct data_fds *c,
                      struct data_file *f); /* descriptor, or a negative error; any thread */
void data_file_adopt(struct data_fds *c, struct data_file *f,
                     int fd); /* fd was opened by the caller just now */
void data_file_release(struct data_fds *c, struct data_file *f);
int data_file_renamed(struct data_fds *c, struct data_file *f,
                      const char *path); /* also drops write access on the next open */

int data_error(int system_errno); /* errno to enum shoal_error */
int data_write_all(const struct data_io *io, int fd, struct iovec *v, int n, uint64_t at); /* v is used up */
int data_pread_all(const struct data_io *io, int fd, void *out, size_t size,
                   uint64_t at); /* ERR_CHANGED when the file is too short */
int data_preadv_all(const struct data_io *io, int fd, struct iovec *v, int n, uint64_t at);
void data_stamp_of(struct file_stamp *out, int fd);
int data_stamp_check(const struct file_stamp *want, int fd); /* 0 or ERR_CHANGED */
void data_make_folders(
    const char *path); /* of home/objects/xx/<id>: the two above it, as far as that can be done */
int data_directory_sync(const char *path); /* the directory that holds path */

/* ---- refs ---- */
enum ref_kind { REF_FILE, REF_PART, REF_PACK };

struct data_span { /* leaf hashes of a span in flight */
    uint32_t span, leaves, uncles, users;
    bool written, failed; /* its hashes are in the tree file */
    uint64_t used;        /* counter, for eviction */
    uint8_t proof[TREE_PROOF_MAX];
    struct data_span *next; /* same bucket */
};

enum data_item_kind { ITEM_LEAVES, ITEM_PROOF, ITEM_ENTRY };
struct data_item { /* one arrived frame */
    uint8_t kind, count;
    uint32_t swarm, session, index;
    struct data_slab *slab;
    const uint8_t *payload;
    uint32_t size;
    struct data_span
        *spans[2]; /* hashes of the first and of the last leaf's span; NULL: read them from the tree file */
    char *object_path; /* entries that are manifests: where the object goes */
    uint32_t good;     /* results */
    int status;
};
#define DATA_JOB_ITEMS 64u
#define DATA_JOB_BYTES (256u * 1024u)

struct data_write_job {
    uv_work_t work;
    struct data_ref *ref;
    uint32_t count;
    size_t bytes;
    struct data_item items[DATA_JOB_ITEMS];
    struct data_write_job *next; /* free list */
};

typedef void (*data_status_cb)(void *context, int status);

#define PART_BUCKETS 64u
struct data_part {
    bool in_tree, finished;
    uint8_t chunk_log2;
    uint32_t chunk_count, span_count;
    char *map_path;
    uint8_t *leaves_done, *chunks_done, *spans_proven; /* bitmaps */
    uint32_t *chunk_left;
    struct data_span *buckets[PART_BUCKETS];
    uint32_t span_blocks;
    uint64_t use_counter;
    uint64_t dirty;         /* bytes verified and written since the last checkpoint began */
    uint64_t dirty_syncing; /* ... and what the checkpoint that is under way will vouch for */
    core_time dirty_since;
    int sync_failed; /* a sync failed: what was written since the last good one may be lost, whatever a later
                        one says */
    uint64_t writeback_dirty; /* ... since write-back was last started */
    bool syncing, writing_back;
    struct data_sync_job *sync_wanted; /* a checkpoint asked for by name, waiting for its turn */
    struct data_finish_job *finish;
};

struct data_pack {
    uint8_t *manifest;
    size_t manifest_size;
    uint32_t *offsets; /* of each entry in the manifest */
    uint32_t count;
    bool write;
};

struct data_ref {
    struct data *data;
    uint32_t number;
    enum ref_kind kind;
    struct content_id id;
    uint32_t leaf_count;
    struct data_file file; /* file or part; a pack's directory */
    struct data_file tree;
    bool has_tree;
    bool stamped; /* reads check the stamp */
    bool pending_listed;
    struct file_stamp stamp;
    int broken;                /* 0, or why it serves no more */
    uint32_t jobs, write_jobs; /* all; those that write */
    bool closing;
    void (*closed)(void *context);
    void *closed_context;
    struct data_write_job *pending;
    struct data_ref *pending_next;
    struct data_part *part;
    struct data_pack *pack;
};

/* Where results go: the swarm core; tests put themselves here. */
struct data_results {
    void (*leaves)(void *owner, uint32_t swarm, uint32_t session, uint32_t leaf, uint32_t count,
                   uint32_t good, int status);
    void (*proof)(void *owner, uint32_t swarm, uint32_t session, uint32_t span, int status);
    void (*drain)(void *owner);
    void *owner;
};

struct data {
    struct host_core *core;
    uv_loop_t *loop;
    char *home;
    const struct data_io *io;
    struct data_results results;
    struct data_fds fds;
    struct data_ref **refs; /* by slot */
    uint16_t *generations;
    uint32_t ref_cap, ref_count, next_slot;
    struct data_ref *pending; /* refs with a job that is filling */
    struct data_write_job *free_jobs;
    uint32_t free_job_count;
    uint32_t jobs;             /* in the pool */
    uint32_t send_slabs;       /* in use */
    bool busy;                 /* something moved since the last tick */
    size_t budget, slab_bytes; /* bytes of slabs in use */
    struct data_slab *free_slabs;
    uint32_t free_slab_count;
    struct data_slab *receive; /* the slab that is being filled */
    uv_check_t *check;         /* submits what one turn of the loop gathered */
    uv_timer_t *timer;         /* checkpoints of parts that trickle */
    core_time checkpoint_period;
    uint64_t checkpoint_bytes;
};

struct data *data_new_with(struct host_core *core, const char *home, size_t budget, const struct data_io *io,
                           const struct data_results *results);

struct data_ref *data_ref_find(struct data *d, uint32_t ref);
struct data_ref *data_ref_add(struct data *d, enum ref_kind kind,
                              const struct content_id *id); /* NULL: no memory or too many */
void data_ref_drop(struct data_ref *r);                     /* never used: frees at once */
void data_ref_hold(struct data_ref *r);                     /* a job starts */
void data_ref_release(struct data_ref *r);                  /* and ends: may free r */
void data_flush(struct data *d, struct data_ref *r);        /* submits the job that is filling */

struct data_write_job *data_job_take(struct data *d);
void data_job_give(struct data *d, struct data_write_job *j);

/* data_write.c */
struct data_span *data_span_find(struct data_ref *r, uint32_t span);
void data_spans_free(struct data_part *p);

/* data_part.c */
void data_part_free(struct data_part *p);
void data_part_written(struct data_ref *r, uint64_t bytes); /* starts write-back and checkpoints when due */
void data_part_idle(struct data_ref *r);                    /* a job of this ref ended */
void data_part_tick(struct data_ref *r);                    /* the period is over */

void data_part_closing(struct data_ref *r);

/* data_pack.c */
void data_pack_free(struct data_pack *p);
int data_pack_entry(const struct data_pack *p, uint32_t index, struct manifest_entry *out);
int data_pack_write(struct data_ref *r, struct data_item *item, int directory);
int64_t data_pack_read(struct data_ref *r, uint32_t index, const char *object_path, uint8_t *out, size_t cap);
char *data_pack_object_path(struct data_ref *r,
                            uint32_t index); /* NULL: the entry is a file in the directory */

/* data_tree.c: the tree file (docs/protocol.d/50-storage.md) */
uint64_t data_tree_size(uint64_t content_size);
int data_tree_write_proof(const struct data_io *io, int fd, uint64_t content_size, uint32_t span,
                          const uint8_t *proof);
int data_tree_read_proof(const struct data_io *io, int fd, const struct content_id *id, uint32_t span,
                         uint8_t *out);
int data_tree_complete(const struct data_io *io, int fd,
                       const struct content_id *id); /* makes the upper layers; ERR_BAD_HASH */

static inline bool bit_get(const uint8_t *b, uint32_t i)
{
    return b[i >> 3] >> (i & 7) & 1;
}
static inline void bit_set(uint8_t *b, uint32_t i)
{
    b[i >> 3] = (uint8_t)(b[i >> 3] | 1u << (i & 7));
}
#endif
