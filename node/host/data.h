/* The data plane: everything that touches payload. Sealed frames are opened by streams.c; here leaves are
 * hashed, written, read, proofs checked and made, files synced and renamed, all in the thread pool under one
 * byte budget. Loop thread only; callbacks come on the loop thread.
 *
 * A *ref* is a content this process has open: what the swarm core knows as `ref`. */
#ifndef SHOAL_HOST_DATA_H
#define SHOAL_HOST_DATA_H
#include "node/host/core.h"
#include "node/host/store/store.h"
#include "transfer/manifest.h"

struct data;
struct data *data_new(struct host_core *core, const char *home,
                      size_t budget_bytes); /* budget: received payload alive at once */
/* All refs must be closed and all jobs done (data_close's callbacks came). Its handles close in the loop's
 * next turn. */
void data_free(struct data *d);

/* A complete file, read only: a share in place or an object. The stamp is checked before the first byte and
 * after each chunk; a difference closes it for good (ERR_CHANGED). tree_path: its hash tree file, NULL when
 * it has one span or less. */
int data_open_file(struct data *d, const struct content_id *id, const char *path,
                   const struct file_stamp *stamp, const char *tree_path, uint32_t *ref);

/* A file that is being fetched: `path`.part beside `path`.part.map (checkpointed leaf map: content id, stamp
 * of the part file, bitmap; written by temporary name, fdatasync of the data first). Opens or makes them;
 * *have (caller frees) is the bitmap of chunks that the last checkpoint vouches for. Without a good map,
 * everything in the part file is hashed again in the thread pool when a tree file vouches for the hashes, or
 * fetched again. Space is not preallocated but ENOSPC is survived. hidden: the part lives inside a tree being
 * fetched, has no .part suffix of its own and is synced by the tree. */
struct data_part_params {
    struct content_id id;
    const char *path;
    const char *tree_path; /* where its hash tree grows; NULL when one span or less */
    bool in_tree;          /* lies in a tree's staging directory: no suffix, no rename */
    uint8_t chunk_leaves_log2;
};
int data_open_part(struct data *d, const struct data_part_params *p, uint32_t *ref, uint8_t **have,
                   size_t *have_size);

/* A pack: the small entries of a directory (xfer.h). Reading: files of `directory` shared in place, or
 * objects. Writing: each entry is made in `directory` under its name (sub-manifests go to objects). manifest
 * is copied. */
int data_open_pack(struct data *d, const struct content_id *manifest_id, struct bytes manifest,
                   const char *directory, bool write, uint32_t *ref);

/* Waits for jobs in flight, then forgets. The callback may be NULL. */
void data_close(struct data *d, uint32_t ref, void (*closed)(void *context), void *context);

/* Finish a part: final checkpoint, fdatasync, rename from .part to the final name (never over something that
 * is there: ERR_EXISTS; `replace` is the user's word), directory synced, map removed. `done` gets 0 or the
 * error and the final file's stamp; the ref stays open and serves. */
void data_finish(struct data *d, uint32_t ref, bool replace,
                 void (*done)(void *context, int status, const struct file_stamp *stamp), void *context);
void data_checkpoint(struct data *d, uint32_t ref, void (*done)(void *context, int status), void *context);

/* Bytes from peers live in slabs, counted by reference, within the data plane's budget: streams.c receives
 * into them, opens frames in place, and hands payload on without copying. A slab is alive while somebody
 * holds it. */
struct data_slab {
    uint32_t refs, used, size;
    bool send;
    struct data_slab *next_free;
    uint8_t bytes[];
};
#define DATA_SLAB_SIZE (384u * 1024u)
/* The slab to receive into now, with at least `room` bytes (at most DATA_SLAB_SIZE / 2) behind `used`; move
 * `used` over what must stay. Not held for the caller. NULL: over budget, stop reading until streams_resume
 * is called. */
struct data_slab *data_receive_slab(struct data *d, size_t room);
/* Slabs for sending, held once for the caller, outside the receive budget but capped; NULL: try again when
 * one was dropped. */
struct data_slab *data_send_slab(struct data *d);
void data_slab_hold(struct data_slab *slab);
void data_slab_drop(struct data *d, struct data_slab *slab);

/* Arrived payload, lying inside `slab`, which is held for as long as needed: hashed against the proofs we
 * hold (or the entry's id), written, then xfer_leaves_result / xfer_proof_result is called and the core
 * drained. Leaves whose span has no proof yet come back at once with ERR_UNSOLICITED. */
void data_leaves(struct data *d, uint32_t ref, uint32_t swarm, uint32_t session, uint32_t leaf,
                 uint32_t count, struct data_slab *slab, struct bytes payload);
void data_proof(struct data *d, uint32_t ref, uint32_t swarm, uint32_t session, uint32_t span,
                struct data_slab *slab, struct bytes payload);

/* For serving: several pieces in one job of the thread pool. Each is a run of leaves, the proof of a span, or
 * entries of a pack (count 1). `done` comes on the loop thread, never before this returns; then each piece's
 * `result` is its bytes or a negative error. The array and the buffers are borrowed until then. */
struct data_piece {
    uint32_t ref, index, count;
    bool proof; /* index is a span */
    uint8_t *out;
    size_t cap;
    int64_t result;
    struct data_ref *held; /* the data plane's own */
    char *object_path;
    struct file_stamp stamp;
    bool stamped, done_already;
};
void data_read_pieces(struct data *d, struct data_piece *pieces, uint32_t count, void (*done)(void *context),
                      void *context);
/* How a ref is served: size of a piece, so that the caller can lay out frames. Negative: no such ref
 * (ERR_NOT_FOUND) or index (ERR_RANGE). */
int64_t data_piece_size(struct data *d, uint32_t ref, uint32_t index, uint32_t count, bool proof);
bool data_is_pack(struct data *d, uint32_t ref);
/* The same for one piece: `done` with bytes or a negative error. */
void data_read(struct data *d, uint32_t ref, uint32_t leaf, uint32_t count, uint8_t *out, size_t cap,
               void (*done)(void *context, int64_t bytes), void *context);
void data_read_proof(struct data *d, uint32_t ref, uint32_t span, uint8_t *out, size_t cap,
                     void (*done)(void *context, int64_t bytes), void *context);
/* Bytes of a content we hold at an offset (gateways, `ls`): only verified leaves; ERR_NOT_FOUND when one is
 * missing. */
void data_read_at(struct data *d, uint32_t ref, uint64_t offset, uint8_t *out, size_t size,
                  void (*done)(void *context, int64_t bytes), void *context);
size_t data_memory(const struct data *d); /* slabs alive [bytes] */
#endif
