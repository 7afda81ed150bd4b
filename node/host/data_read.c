/* Reading for others: runs of leaves, proofs and entries, several in one job of the thread pool. A file
 * shared in place is the user's and may change at any moment: its stamp is compared after each read, before a
 * byte of it goes out. */
#include <stdlib.h>
#include <string.h>

#include "node/base/assert.h"
#include "node/host/data_int.h"

struct read_job {
    uv_work_t work;
    struct data *data;
    struct data_piece *pieces;
    uint32_t count;
    void (*done)(void *context);
    void *context;
};

#define RUN_PIECES 64u

int64_t data_piece_size(struct data *d, uint32_t ref, uint32_t index, uint32_t count, bool proof)
{
    struct data_ref *r = data_ref_find(d, ref);
    if (!r)
        return ERR_NOT_FOUND;
    if (r->kind == REF_PACK) {
        struct manifest_entry entry;
        int status = proof || count != 1 ? ERR_RANGE : data_pack_entry(r->pack, index, &entry);
        return status ? status : (int64_t)entry.id.size;
    }
    if (proof) {
        if (index >= tree_span_count(r->id.size))
            return ERR_RANGE;
        return (int64_t)(tree_span_leaves(r->id.size, index) + tree_uncle_count(r->id.size)) * HASH_SIZE;
    }
    if (count == 0 || index >= r->leaf_count || count > r->leaf_count - index)
        return ERR_RANGE;
    return (int64_t)(count - 1) * TREE_LEAF_SIZE + tree_leaf_bytes(r->id.size, index + count - 1);
}

/* ---- in the thread pool ---- */

static int stamp_verify(const struct data_piece *p, int fd)
{
    return p->stamped ? data_stamp_check(&p->stamp, fd) : 0;
}

/* Pieces [from, to) are leaves of one ref, one behind the other. */
static void leaves_read(struct data *d, struct data_piece *pieces, uint32_t from, uint32_t to)
{
    struct data_ref *r = pieces[from].held;
    struct iovec v[RUN_PIECES];
    for (uint32_t i = from; i < to; i++)
        v[i - from] = (struct iovec){pieces[i].out, (size_t)pieces[i].result};
    int fd = data_file_acquire(&d->fds, &r->file), status = fd < 0 ? fd : 0;
    if (status == 0) {
        status =
            data_preadv_all(d->io, fd, v, (int)(to - from), (uint64_t)pieces[from].index * TREE_LEAF_SIZE);
        if (status == 0)
            status = stamp_verify(&pieces[from], fd);
        data_file_release(&d->fds, &r->file);
    }
    for (uint32_t i = from; status != 0 && i < to; i++)
        pieces[i].result = status;
}

/* No tree file: the content has one span, which is hashed. */
static int span_hash(struct data *d, struct data_piece *p)
{
    struct data_ref *r = p->held;
    uint8_t *leaf = malloc(TREE_LEAF_SIZE);
    if (!leaf)
        return ERR_NO_MEMORY;
    int fd = data_file_acquire(&d->fds, &r->file), status = fd < 0 ? fd : 0;
    for (uint32_t i = 0; status == 0 && i < r->leaf_count; i++) {
        uint32_t size = tree_leaf_bytes(r->id.size, i);
        status = data_pread_all(d->io, fd, leaf, size, (uint64_t)i * TREE_LEAF_SIZE);
        if (status == 0)
            tree_sha256(p->out + (size_t)i * HASH_SIZE, leaf, size);
    }
    if (status == 0)
        status = stamp_verify(p, fd);
    if (fd >= 0)
        data_file_release(&d->fds, &r->file);
    free(leaf);
    return status;
}

/* A proof is checked before it goes out: a damaged tree file is our fault and must not look like an attack.
 */
static void proof_read(struct data *d, struct data_piece *p)
{
    struct data_ref *r = p->held;
    int status = 0;
    size_t size = (size_t)p->result;
    if (p->done_already)
        return;
    if (r->has_tree) {
        int fd = data_file_acquire(&d->fds, &r->tree);
        status = fd < 0 ? fd : data_tree_read_proof(d->io, fd, &r->id, p->index, p->out);
        if (fd >= 0)
            data_file_release(&d->fds, &r->tree);
    } else if (tree_span_count(r->id.size) == 1) {
        status = span_hash(d, p);
    } else {
        status = ERR_NOT_FOUND;
    }
    if (status == 0 && !tree_proof_check(&r->id, p->index, p->out, size))
        status = r->has_tree ? ERR_IO : ERR_CHANGED;
    if (status != 0)
        p->result = status;
}

static void on_run(uv_work_t *work)
{
    struct read_job *j = work->data;
    for (uint32_t i = 0; i < j->count;) {
        struct data_piece *p = &j->pieces[i];
        uint32_t end = i + 1;
        if (p->result < 0) {
            i = end;
            continue;
        }
        if (p->held->kind == REF_PACK) {
            p->result = data_pack_read(p->held, p->index, p->object_path, p->out, p->cap);
        } else if (p->proof) {
            proof_read(j->data, p);
        } else {
            const struct data_piece *last = p;
            while (end < j->count && end - i < RUN_PIECES && j->pieces[end].held == p->held &&
                   !j->pieces[end].proof && j->pieces[end].result >= 0 &&
                   j->pieces[end].index == last->index + last->count)
                last = &j->pieces[end++];
            leaves_read(j->data, j->pieces, i, end);
        }
        i = end;
    }
}

/* ---- on the loop thread ---- */

static void on_done(uv_work_t *work, int status)
{
    struct read_job *j = work->data;
    struct data *d = j->data;
    core_assert(status == 0);
    for (uint32_t i = 0; i < j->count; i++) {
        struct data_piece *p = &j->pieces[i];
        if (p->held && p->stamped && p->result == ERR_CHANGED)
            p->held->broken = ERR_CHANGED; /* for good */
        if (p->held)
            data_ref_release(p->held);
        p->held = NULL;
        free(p->object_path);
        p->object_path = NULL;
    }
    void (*done)(void *) = j->done;
    void *context = j->context;
    free(j);
    d->busy = true;
    done(context);
}

/* Hashes of one span that are only in memory: a content of one span that is being fetched. */
static bool proof_from_memory(struct data_ref *r, struct data_piece *p)
{
    struct data_span *s = r->kind == REF_PART && !r->has_tree ? data_span_find(r, p->index) : NULL;
    if (!s)
        return false;
    memcpy(p->out, s->proof, (size_t)p->result);
    return true;
}

void data_read_pieces(struct data *d, struct data_piece *pieces, uint32_t count, void (*done)(void *context),
                      void *context)
{
    struct read_job *j = malloc(sizeof *j);
    core_assert(j != NULL); /* a hundred bytes: without them nothing goes on */
    *j = (struct read_job){.data = d, .pieces = pieces, .count = count, .done = done, .context = context};
    for (uint32_t i = 0; i < count; i++) {
        struct data_piece *p = &pieces[i];
        struct data_ref *r = data_ref_find(d, p->ref);
        p->held = NULL;
        p->object_path = NULL;
        p->done_already = false;
        p->result = data_piece_size(d, p->ref, p->index, p->count, p->proof);
        if (p->result > (int64_t)p->cap)
            p->result = ERR_RANGE;
        if (p->result >= 0 && r->broken)
            p->result = r->broken;
        if (p->result < 0)
            continue;
        p->held = r;
        data_ref_hold(r);
        p->stamped = r->stamped;
        p->stamp = r->stamp;
        if (r->kind == REF_PACK)
            p->object_path = data_pack_object_path(r, p->index);
        else if (p->proof)
            p->done_already = proof_from_memory(r, p);
    }
    j->work.data = j;
    core_assert(uv_queue_work(d->loop, &j->work, on_run, on_done) == 0);
}

/* ---- one piece, and bytes at an offset ---- */

struct read_one {
    struct data *data;
    struct data_piece piece;
    void (*done)(void *context, int64_t bytes);
    void *context;
};

static void on_one(void *context)
{
    struct read_one *one = context;
    void (*done)(void *, int64_t) = one->done;
    void *done_context = one->context;
    int64_t result = one->piece.result;
    free(one);
    done(done_context, result);
}

static void read_one(struct data *d, const struct data_piece *piece,
                     void (*done)(void *context, int64_t bytes), void *context)
{
    struct read_one *one = malloc(sizeof *one);
    core_assert(one != NULL);
    *one = (struct read_one){.data = d, .piece = *piece, .done = done, .context = context};
    data_read_pieces(d, &one->piece, 1, on_one, one);
}

void data_read(struct data *d, uint32_t ref, uint32_t leaf, uint32_t count, uint8_t *out, size_t cap,
               void (*done)(void *context, int64_t bytes), void *context)
{
    read_one(d, &(struct data_piece){.ref = ref, .index = leaf, .count = count, .out = out, .cap = cap}, done,
             context);
}

void data_read_proof(struct data *d, uint32_t ref, uint32_t span, uint8_t *out, size_t cap,
                     void (*done)(void *context, int64_t bytes), void *context)
{
    read_one(
        d, &(struct data_piece){.ref = ref, .index = span, .count = 1, .proof = true, .out = out, .cap = cap},
        done, context);
}

struct read_at {
    uv_work_t work;
    struct data_ref *ref;
    uint64_t offset;
    uint8_t *out;
    size_t size;
    bool stamped;
    struct file_stamp stamp;
    int64_t result;
    void (*done)(void *context, int64_t bytes);
    void *context;
};

static void at_run(uv_work_t *work)
{
    struct read_at *a = work->data;
    struct data *d = a->ref ? a->ref->data : NULL;
    if (a->result < 0 || a->size == 0)
        return;
    if (a->ref->kind == REF_PACK) {
        memcpy(a->out, a->ref->pack->manifest + a->offset, a->size);
        return;
    }
    int fd = data_file_acquire(&d->fds, &a->ref->file), status = fd < 0 ? fd : 0;
    if (status == 0) {
        status = data_pread_all(d->io, fd, a->out, a->size, a->offset);
        if (status == 0 && a->stamped)
            status = data_stamp_check(&a->stamp, fd);
        data_file_release(&d->fds, &a->ref->file);
    }
    if (status != 0)
        a->result = status;
}

static void at_done(uv_work_t *work, int status)
{
    struct read_at *a = work->data;
    core_assert(status == 0);
    if (a->ref && a->stamped && a->result == ERR_CHANGED)
        a->ref->broken = ERR_CHANGED;
    if (a->ref)
        data_ref_release(a->ref);
    a->done(a->context, a->result);
    free(a);
}

static int64_t at_prepare(struct data_ref *r, uint64_t offset, size_t size)
{
    if (!r)
        return ERR_NOT_FOUND;
    if (r->broken)
        return r->broken;
    uint64_t total = r->kind == REF_PACK ? r->pack->manifest_size : r->id.size;
    if (offset > total)
        return ERR_RANGE;
    uint64_t most = total - offset;
    int64_t n = (int64_t)(size < most ? size : most);
    if (n == 0 || r->kind != REF_PART || r->part->finished)
        return n;
    for (uint64_t leaf = offset / TREE_LEAF_SIZE; leaf <= (offset + (uint64_t)n - 1) / TREE_LEAF_SIZE;
         leaf++) {
        if (!bit_get(r->part->leaves_done, (uint32_t)leaf))
            return ERR_NOT_FOUND;
    }
    return n;
}

void data_read_at(struct data *d, uint32_t ref, uint64_t offset, uint8_t *out, size_t size,
                  void (*done)(void *context, int64_t bytes), void *context)
{
    struct data_ref *r = data_ref_find(d, ref);
    struct read_at *a = malloc(sizeof *a);
    core_assert(a != NULL);
    *a = (struct read_at){.offset = offset,
                          .out = out,
                          .done = done,
                          .context = context,
                          .result = at_prepare(r, offset, size)};
    a->size = a->result > 0 ? (size_t)a->result : 0;
    if (a->result >= 0) {
        a->ref = r;
        a->stamped = r->stamped;
        a->stamp = r->stamp;
        data_ref_hold(r);
    }
    a->work.data = a;
    core_assert(uv_queue_work(d->loop, &a->work, at_run, at_done) == 0);
}
