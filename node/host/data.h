/* The data plane: everything that touches payload. Sealed frames are opened by streams.c; here leaves are hashed, written, read, proofs checked and
 * made, files synced and renamed, all in the thread pool under one byte budget. Loop thread only; callbacks come on the loop thread.
 *
 * A *ref* is a content this process has open: what the swarm core knows as `ref`. */
#ifndef SHOAL_HOST_DATA_H
#define SHOAL_HOST_DATA_H
#include "node/host/core.h"
#include "node/host/store/store.h"
#include "transfer/manifest.h"

struct data;
struct data *data_new(struct host_core *core, const char *home, size_t budget_bytes); /* budget: payload buffers alive at once */
void data_free(struct data *d); /* all refs closed, all jobs done */

/* A complete file, read only: a share in place or an object. The stamp is checked before the first byte and after each chunk; a
 * difference closes it for good (ERR_CHANGED). tree_path: its hash tree file, NULL when it has one span or less. */
int data_open_file(struct data *d, const struct content_id *id, const char *path, const struct file_stamp *stamp, const char *tree_path,
                   uint32_t *ref);

/* A file that is being fetched: `path`.part beside `path`.part.map (checkpointed leaf map: content id, stamp of the part file, bitmap; written
 * by temporary name, fdatasync of the data first). Opens or makes them; *have (caller frees) is the bitmap of chunks that the last checkpoint
 * vouches for. Without a good map, everything in the part file is hashed again in the thread pool when a tree file vouches for the hashes, or
 * fetched again. Space is not preallocated but ENOSPC is survived. hidden: the part lives inside a tree being fetched, has no .part
 * suffix of its own and is synced by the tree. */
struct data_part_params {
    struct content_id id;
    const char *path;
    const char *tree_path;   /* where its hash tree grows; NULL when one span or less */
    bool in_tree;            /* lies in a tree's staging directory: no suffix, no rename */
    uint8_t chunk_leaves_log2;
};
int data_open_part(struct data *d, const struct data_part_params *p, uint32_t *ref, uint8_t **have, size_t *have_size);

/* A pack: the small entries of a directory (xfer.h). Reading: files of `directory` shared in place, or objects. Writing: each entry is made in
 * `directory` under its name (sub-manifests go to objects). manifest is copied. */
int data_open_pack(struct data *d, const struct content_id *manifest_id, struct bytes manifest, const char *directory, bool write, uint32_t *ref);

/* Waits for jobs in flight, then forgets. The callback may be NULL. */
void data_close(struct data *d, uint32_t ref, void (*closed)(void *context), void *context);

/* Finish a part: final checkpoint, fdatasync, rename from .part to the final name (never over something that is there: ERR_EXISTS; `replace`
 * is the user's word), directory synced, map removed. `done` gets 0 or the error and the final file's stamp; the ref stays open and serves. */
void data_finish(struct data *d, uint32_t ref, bool replace, void (*done)(void *context, int status, const struct file_stamp *stamp), void *context);
void data_checkpoint(struct data *d, uint32_t ref, void (*done)(void *context, int status), void *context);

/* Payload buffers come from the data plane's budget. NULL: over budget, stop reading. size is at most STREAM_PLAIN_MAX. */
uint8_t *data_buffer_take(struct data *d);
void data_buffer_give(struct data *d, uint8_t *buffer);

/* Arrived payload: hashed against the proofs we hold (or the entry's id), written, then xfer_leaves_result / xfer_proof_result is called and the core
 * drained. `buffer` was taken with data_buffer_take and is given back by the data plane. */
void data_leaves(struct data *d, uint32_t ref, uint32_t swarm, uint32_t session, uint32_t leaf, uint32_t count, uint8_t *buffer, size_t offset, size_t size);
void data_proof(struct data *d, uint32_t ref, uint32_t swarm, uint32_t session, uint32_t span, uint8_t *buffer, size_t offset, size_t size);

/* For serving: reads leaves (or makes the proof of `span`) into `out` in the thread pool; `done` on the loop thread with bytes or a negative error. */
void data_read(struct data *d, uint32_t ref, uint32_t leaf, uint32_t count, uint8_t *out, size_t cap, void (*done)(void *context, int64_t bytes), void *context);
void data_read_proof(struct data *d, uint32_t ref, uint32_t span, uint8_t *out, size_t cap, void (*done)(void *context, int64_t bytes), void *context);
/* Bytes of a content we hold at an offset (gateways, `ls`): only verified leaves; ERR_NOT_FOUND when one is missing. */
void data_read_at(struct data *d, uint32_t ref, uint64_t offset, uint8_t *out, size_t size, void (*done)(void *context, int64_t bytes), void *context);
#endif
