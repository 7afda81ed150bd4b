/* Arrived payload: gathered into jobs of some 256 KiB, hashed and written in the thread pool.
 *
 * Proofs are checked here on the loop thread, because the leaves that follow in the same stream need their
 * hashes: 20 us a MiB of content. The tree file is written by the job. Leaf hashes of spans in flight stay in
 * memory; older ones are read back from the tree file. */
#include <stdlib.h>
#include <string.h>

#include "node/base/assert.h"
#include "node/host/data_int.h"

#define SPAN_BLOCKS_KEPT 128u /* written ones beyond this are forgotten, least recently used first */

/* ---- leaf hashes of spans in flight ---- */

static struct data_span **bucket_of(struct data_part *p, uint32_t span)
{
    return &p->buckets[(span * 2654435761u) >> 26];
}
_Static_assert(PART_BUCKETS == 64, "the shift above");

struct data_span *data_span_find(struct data_ref *r, uint32_t span)
{
    for (struct data_span *s = *bucket_of(r->part, span); s; s = s->next) {
        if (s->span == span) {
            s->used = ++r->part->use_counter;
            return s;
        }
    }
    return NULL;
}

static void span_remove(struct data_part *p, struct data_span *gone)
{
    for (struct data_span **at = bucket_of(p, gone->span); *at; at = &(*at)->next) {
        if (*at == gone) {
            *at = gone->next;
            p->span_blocks--;
            free(gone);
            return;
        }
    }
    core_assert(!"a span block is in its bucket");
}

static void spans_evict(struct data_part *p)
{
    uint64_t recent = p->use_counter > SPAN_BLOCKS_KEPT / 2 ? p->use_counter - SPAN_BLOCKS_KEPT / 2 : 0;
    for (uint32_t b = 0; b < PART_BUCKETS; b++) {
        for (struct data_span *s = p->buckets[b], *next; s; s = next) {
            next = s->next;
            if (s->users == 0 && s->written && s->used < recent)
                span_remove(p, s);
        }
    }
}

void data_spans_free(struct data_part *p)
{
    for (uint32_t b = 0; b < PART_BUCKETS; b++) {
        while (p->buckets[b])
            span_remove(p, p->buckets[b]);
    }
}

static struct data_span *span_add(struct data_ref *r, uint32_t span, const uint8_t *proof, size_t size)
{
    struct data_part *p = r->part;
    if (r->has_tree && p->span_blocks >= SPAN_BLOCKS_KEPT)
        spans_evict(p);
    struct data_span *s = malloc(sizeof *s);
    if (!s)
        return NULL;
    struct data_span **bucket = bucket_of(p, span);
    *s = (struct data_span){.span = span,
                            .leaves = tree_span_leaves(r->id.size, span),
                            .used = ++p->use_counter,
                            .next = *bucket};
    memcpy(s->proof, proof, size);
    *bucket = s;
    p->span_blocks++;
    return s;
}

/* ---- gathering ---- */

static void on_run(uv_work_t *work);
static void on_done(uv_work_t *work, int status);

void data_flush(struct data *d, struct data_ref *r)
{
    if (r->pending_listed) {
        struct data_ref **at = &d->pending;
        while (*at != r)
            at = &(*at)->pending_next;
        *at = r->pending_next;
        r->pending_listed = false;
    }
    struct data_write_job *j = r->pending;
    if (!j)
        return;
    r->pending = NULL;
    j->work.data = j;
    core_assert(uv_queue_work(d->loop, &j->work, on_run, on_done) == 0);
}

/* Room for one more item; NULL: no memory. */
static struct data_item *item_add(struct data *d, struct data_ref *r, size_t bytes)
{
    if (r->pending && (r->pending->count == DATA_JOB_ITEMS || r->pending->bytes + bytes > DATA_JOB_BYTES))
        data_flush(d, r);
    if (!r->pending) {
        r->pending = data_job_take(d);
        if (!r->pending)
            return NULL;
        r->pending->ref = r;
        r->write_jobs++;
        data_ref_hold(r);
    }
    if (!r->pending_listed) {
        r->pending_next = d->pending;
        d->pending = r;
        r->pending_listed = true;
    }
    struct data_item *item = &r->pending->items[r->pending->count++];
    r->pending->bytes += bytes;
    memset(item, 0, sizeof *item);
    return item;
}

static struct data_item *item_add_payload(struct data_ref *r, enum data_item_kind kind, uint32_t swarm,
                                          uint32_t session, uint32_t index, uint32_t count,
                                          struct data_slab *slab, struct bytes payload)
{
    struct data_item *item = item_add(r->data, r, payload.size);
    if (!item)
        return NULL;
    item->kind = (uint8_t)kind;
    item->swarm = swarm;
    item->session = session;
    item->index = index;
    item->count = (uint8_t)count;
    item->payload = payload.data;
    item->size = (uint32_t)payload.size;
    item->slab = slab;
    data_slab_hold(slab);
    return item;
}

static bool leaves_well_formed(const struct data_ref *r, uint32_t leaf, uint32_t count, size_t size)
{
    if (count == 0 || count > 32 || leaf >= r->leaf_count || count > r->leaf_count - leaf)
        return false;
    return size == (size_t)(count - 1) * TREE_LEAF_SIZE + tree_leaf_bytes(r->id.size, leaf + count - 1);
}

/* Finds the hashes of a span: 0, or ERR_UNSOLICITED when no proof of it came. */
static int span_hold(struct data_ref *r, uint32_t span, struct data_span **out)
{
    *out = data_span_find(r, span);
    if (*out)
        return 0;
    return r->has_tree && bit_get(r->part->spans_proven, span) ? 0 : ERR_UNSOLICITED;
}

static int part_leaves(struct data_ref *r, uint32_t swarm, uint32_t session, uint32_t leaf, uint32_t count,
                       struct data_slab *slab, struct bytes payload)
{
    if (!leaves_well_formed(r, leaf, count, payload.size))
        return ERR_BAD_HASH;
    struct data_span *spans[2] = {NULL, NULL};
    if (r->leaf_count > 1) {
        int status = span_hold(r, leaf >> TREE_SPAN_LOG2, &spans[0]);
        if (status == 0)
            status = span_hold(r, (leaf + count - 1) >> TREE_SPAN_LOG2, &spans[1]);
        if (status != 0)
            return status;
    }
    struct data_item *item = item_add_payload(r, ITEM_LEAVES, swarm, session, leaf, count, slab, payload);
    if (!item)
        return ERR_NO_MEMORY;
    for (int i = 0; i < 2; i++) {
        item->spans[i] = spans[i];
        if (spans[i])
            spans[i]->users++;
    }
    return 0;
}

static int pack_entry(struct data_ref *r, uint32_t swarm, uint32_t session, uint32_t index,
                      struct data_slab *slab, struct bytes payload)
{
    struct manifest_entry entry;
    int status = data_pack_entry(r->pack, index, &entry);
    if (status != 0)
        return ERR_BAD_HASH;
    struct data_item *item = item_add_payload(r, ITEM_ENTRY, swarm, session, index, 1, slab, payload);
    if (!item)
        return ERR_NO_MEMORY;
    item->object_path = data_pack_object_path(r, index);
    return 0;
}

void data_leaves(struct data *d, uint32_t ref, uint32_t swarm, uint32_t session, uint32_t leaf,
                 uint32_t count, struct data_slab *slab, struct bytes payload)
{
    struct data_ref *r = data_ref_find(d, ref);
    int status = ERR_CANCELLED;
    if (r && r->kind == REF_PART)
        status = part_leaves(r, swarm, session, leaf, count, slab, payload);
    else if (r && r->kind == REF_PACK && r->pack->write)
        status = count == 1 ? pack_entry(r, swarm, session, leaf, slab, payload) : ERR_BAD_HASH;
    if (status != 0)
        d->results.leaves(d->results.owner, swarm, session, leaf, count, 0, status);
}

void data_proof(struct data *d, uint32_t ref, uint32_t swarm, uint32_t session, uint32_t span,
                struct data_slab *slab, struct bytes payload)
{
    struct data_ref *r = data_ref_find(d, ref);
    int status = ERR_CANCELLED;
    bool queued = false;
    if (r && r->kind == REF_PART) {
        status = tree_proof_check(&r->id, span, payload.data, payload.size) ? 0 : ERR_BAD_HASH;
        struct data_span *s = status == 0 ? data_span_find(r, span) : NULL;
        if (status == 0 && !s) {
            s = span_add(r, span, payload.data, payload.size);
            status = s ? 0 : ERR_NO_MEMORY;
        }
        if (status == 0 && r->has_tree && !s->written) {
            struct data_item *item = item_add_payload(r, ITEM_PROOF, swarm, session, span, 0, slab, payload);
            status = item ? 0 : ERR_NO_MEMORY;
            if (item) {
                item->spans[0] = s;
                s->users++;
                queued = true;
            }
        }
    }
    if (!queued)
        d->results.proof(d->results.owner, swarm, session, span, status);
}

/* ---- in the thread pool ---- */

static const uint8_t *expected_hash(struct data_ref *r, const struct data_item *item, uint32_t leaf,
                                    int tree_fd, uint8_t buffer[HASH_SIZE])
{
    if (r->leaf_count == 1)
        return r->id.root;
    for (int i = 0; i < 2; i++) {
        const struct data_span *s = item->spans[i];
        if (s && s->span == leaf >> TREE_SPAN_LOG2)
            return s->proof + (size_t)(leaf & (TREE_SPAN_LEAVES - 1)) * HASH_SIZE;
    }
    if (tree_fd < 0 ||
        data_pread_all(r->data->io, tree_fd, buffer, HASH_SIZE, (uint64_t)leaf * HASH_SIZE) != 0)
        return NULL;
    return buffer;
}

static uint32_t item_leaf_size(const struct data_item *item, uint32_t i)
{
    return i + 1 < item->count ? TREE_LEAF_SIZE : item->size - i * TREE_LEAF_SIZE;
}

static void leaves_hash(struct data_ref *r, struct data_item *item, int tree_fd)
{
    uint8_t hashes[32][HASH_SIZE]; /* as many as `good` has bits */
    core_assert(item->count <= 32);
    tree_leaf_hashes(hashes, item->payload, item->size);
    for (uint32_t i = 0; i < item->count; i++) {
        uint8_t buffer[HASH_SIZE];
        const uint8_t *want = expected_hash(r, item, item->index + i, tree_fd, buffer);
        if (!want) {
            item->status = ERR_IO;
            continue;
        }
        if (memcmp(hashes[i], want, HASH_SIZE) == 0)
            item->good |= 1u << i;
        else
            item->status = ERR_BAD_HASH;
    }
}

static bool item_all_good(const struct data_item *item)
{
    return item->kind == ITEM_LEAVES && item->status == 0;
}

/* Some leaves of this one are bad: each good one is written by itself. */
static void leaves_write_singly(struct data_ref *r, struct data_item *item, int fd)
{
    for (uint32_t i = 0; i < item->count; i++) {
        if (!(item->good >> i & 1))
            continue;
        struct iovec v = {(void *)(uintptr_t)(item->payload + (size_t)i * TREE_LEAF_SIZE),
                          item_leaf_size(item, i)};
        int status = data_write_all(r->data->io, fd, &v, 1, (uint64_t)(item->index + i) * TREE_LEAF_SIZE);
        if (status != 0) {
            item->good &= ~(1u << i);
            if (item->status != ERR_BAD_HASH)
                item->status = status;
        }
    }
}

/* Writes items [from, to), which lie one behind the other in the file. */
static void leaves_write_run(struct data_ref *r, struct data_write_job *j, uint32_t from, uint32_t to, int fd)
{
    struct iovec v[DATA_JOB_ITEMS];
    for (uint32_t i = from; i < to; i++)
        v[i - from] = (struct iovec){(void *)(uintptr_t)j->items[i].payload, j->items[i].size};
    int status =
        data_write_all(r->data->io, fd, v, (int)(to - from), (uint64_t)j->items[from].index * TREE_LEAF_SIZE);
    for (uint32_t i = from; status != 0 && i < to; i++) {
        j->items[i].good = 0;
        j->items[i].status = status;
    }
}

static void part_run(struct data_ref *r, struct data_write_job *j)
{
    struct data *d = r->data;
    int fd = data_file_acquire(&d->fds, &r->file);
    int tree_fd = r->has_tree ? data_file_acquire(&d->fds, &r->tree) : -1;
    for (uint32_t i = 0; i < j->count; i++) {
        struct data_item *item = &j->items[i];
        if (fd < 0)
            item->status = fd;
        else if (r->has_tree && tree_fd < 0)
            item->status = tree_fd;
        else if (item->kind == ITEM_LEAVES)
            leaves_hash(r, item, tree_fd);
        else
            item->status =
                data_tree_write_proof(d->io, tree_fd, r->id.size, item->index, item->spans[0]->proof);
    }
    for (uint32_t i = 0; fd >= 0 && i < j->count;) {
        struct data_item *item = &j->items[i];
        uint32_t end = i + 1;
        if (item_all_good(item)) {
            while (end < j->count && item_all_good(&j->items[end]) &&
                   j->items[end].index == j->items[end - 1].index + j->items[end - 1].count)
                end++;
            leaves_write_run(r, j, i, end, fd);
        } else if (item->kind == ITEM_LEAVES && item->good) {
            leaves_write_singly(r, item, fd);
        }
        i = end;
    }
    if (fd >= 0)
        data_file_release(&d->fds, &r->file);
    if (tree_fd >= 0)
        data_file_release(&d->fds, &r->tree);
}

static void pack_run(struct data_ref *r, struct data_write_job *j)
{
    struct data *d = r->data;
    int directory = data_file_acquire(&d->fds, &r->file);
    for (uint32_t i = 0; i < j->count; i++) {
        struct data_item *item = &j->items[i];
        item->status = directory < 0 ? directory : data_pack_write(r, item, directory);
        item->good = item->status == 0;
    }
    if (directory >= 0)
        data_file_release(&d->fds, &r->file);
}

static void on_run(uv_work_t *work)
{
    struct data_write_job *j = work->data;
    if (j->ref->kind == REF_PART)
        part_run(j->ref, j);
    else
        pack_run(j->ref, j);
}

/* ---- back on the loop thread ---- */

/* Marks what is verified and written; returns its new bytes. */
static uint64_t leaves_mark(struct data_ref *r, const struct data_item *item)
{
    struct data_part *p = r->part;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < item->count; i++) {
        uint32_t leaf = item->index + i, chunk = leaf >> p->chunk_log2;
        if (!(item->good >> i & 1) || bit_get(p->leaves_done, leaf))
            continue;
        bit_set(p->leaves_done, leaf);
        bytes += item_leaf_size(item, i);
        if (--p->chunk_left[chunk] == 0)
            bit_set(p->chunks_done, chunk);
    }
    return bytes;
}

static void item_done(struct data_ref *r, struct data_item *item)
{
    struct data *d = r->data;
    if (item->kind == ITEM_PROOF) {
        struct data_span *s = item->spans[0];
        if (item->status == 0) {
            s->written = true;
            bit_set(r->part->spans_proven, s->span);
        }
        d->results.proof(d->results.owner, item->swarm, item->session, item->index, item->status);
    } else {
        d->results.leaves(d->results.owner, item->swarm, item->session, item->index, item->count, item->good,
                          item->status);
    }
    for (int i = 0; i < 2; i++) {
        if (item->spans[i])
            item->spans[i]->users--;
    }
    data_slab_drop(d, item->slab);
    free(item->object_path);
}

static void on_done(uv_work_t *work, int status)
{
    struct data_write_job *j = work->data;
    struct data_ref *r = j->ref;
    struct data *d = r->data;
    core_assert(status == 0); /* never cancelled */
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < j->count; i++) {
        if (j->items[i].kind == ITEM_LEAVES)
            bytes += leaves_mark(r, &j->items[i]);
    }
    if (bytes)
        data_part_written(r, bytes); /* before the core may say that all is here */
    for (uint32_t i = 0; i < j->count; i++)
        item_done(r, &j->items[i]);
    data_job_give(d, j);
    r->write_jobs--;
    d->results.drain(d->results.owner);
    data_ref_release(r);
}
