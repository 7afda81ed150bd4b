/* Frames: received into the data plane's slabs and opened in place; read ahead, sealed in place and sent. */
#include <stdlib.h>
#include <string.h>

#include "node/base/assert.h"
#include "node/host/streams_int.h"

#define READ_ROOM (128u * 1024u) /* least room for one read */

/* ---- receiving ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct conn *c = handle->data;
    struct data_slab *slab = data_receive_slab(c->owner->core->data, READ_ROOM);
    c->reading = slab;
    *buf = uv_buf_init(NULL, 0);
    if (!slab)
        return;
    uint8_t *at = slab->bytes + slab->used;
    if (c->partial_size)
        memcpy(at, c->partial, c->partial_size);
    *buf = uv_buf_init((char *)at + c->partial_size, (unsigned)(slab->size - slab->used - c->partial_size));
}

/* Payload goes to the data plane when the core asked for it. False: the peer broke the rules and a hang-up is
 * under way. */
static bool take_payload(struct conn *c, const struct frame_head *h, struct data_slab *slab)
{
    struct host_core *core = c->owner->core;
    uint32_t swarm = 0, ref = 0, bytes = (uint32_t)h->payload.size;
    int status;
    if (h->type == FRAME_PROOF) {
        status = xfer_proof_arrived(core->xfer, host_now(core), c->session, h->channel, h->index, bytes,
                                    &swarm, &ref, host_out(core));
        if (status == 0)
            data_proof(core->data, ref, swarm, c->session, h->index, slab, h->payload);
    } else {
        uint32_t count = h->type == FRAME_LEAVES ? h->count : 1;
        status = xfer_leaves_arrived(core->xfer, host_now(core), c->session, h->channel, h->index, count,
                                     bytes, &swarm, &ref, host_out(core));
        if (status == 0)
            data_leaves(core->data, ref, swarm, c->session, h->index, count, slab, h->payload);
    }
    return status != ERR_MALFORMED;
}

static bool take_frame(struct conn *c, uint8_t *sealed, size_t size, struct data_slab *slab)
{
    struct host_core *core = c->owner->core;
    struct frame_head head;
    int status = stream_open(&c->stream, sealed, size, sealed);
    if (status == 0) {
        status = frame_read(&head, bytes_of(sealed, size - 16));
        if (status == ERR_UNSUPPORTED) {
            conn_list_remove(c, LIST_HANDSHAKE);
            return true; /* a kind of frame from a newer version */
        }
    }
    if (status != 0) {
        conn_close(c, status);
        return false;
    }
    conn_list_remove(c, LIST_HANDSHAKE); /* a frame that opens: the peer is there */
    xfer_session_confirmed(core->xfer, host_now(core), c->session, host_out(core));
    if (head.type == FRAME_CONTROL && head.payload.size == 0)
        return true;
    if (head.type == FRAME_CONTROL)
        return xfer_session_recv(core->xfer, host_now(core), c->session, head.payload.data, head.payload.size,
                                 host_out(core)) == 0;
    return take_payload(c, &head, slab);
}

/* Takes whole messages and frames from data; returns how many bytes were used. */
static size_t take_all(struct conn *c, uint8_t *data, size_t size, struct data_slab *slab)
{
    size_t at = 0;
    while (c->state != CONN_CLOSING && size - at >= 2) {
        size_t n = get_be16(data + at);
        if (c->state != CONN_OPEN && n > HELLO_SIZE_MAX) {
            conn_close(c, ERR_MALFORMED);
            break;
        }
        if (size - at - 2 < n)
            break;
        uint8_t *message = data + at + 2;
        at += 2 + n;
        if (c->state == CONN_OPEN ? !take_frame(c, message, n, slab) : !conn_handshake(c, message, n))
            break;
    }
    return at;
}

static void partial_keep(struct conn *c, const uint8_t *data, size_t size)
{
    if (size == 0) {
        free(c->partial);
        c->partial = NULL;
    } else {
        uint8_t *p = realloc(c->partial, size);
        if (!p) {
            conn_close(c, ERR_NO_MEMORY);
            return;
        }
        memcpy(p, data, size);
        c->partial = p;
    }
    c->partial_size = size;
}

static void pause_reading(struct conn *c)
{
    uv_read_stop((uv_stream_t *)&c->tcp);
    conn_list_add(c, LIST_PAUSED);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    (void)buf;
    struct conn *c = stream->data;
    struct host_core *core = c->owner->core;
    struct data_slab *slab = c->reading;
    c->reading = NULL;
    if (n == UV_ENOBUFS) {
        pause_reading(c);
        return;
    }
    if (n < 0) {
        conn_close(c, ERR_CLOSED);
        host_drain(core);
        return;
    }
    if (n == 0)
        return;
    c->owner->totals.bytes_in += (uint64_t)n;
    uint8_t *data = slab->bytes + slab->used;
    size_t size = c->partial_size + (size_t)n;
    data_slab_hold(slab);
    uint32_t holders = slab->refs;
    size_t taken = take_all(c, data, size, slab);
    if (c->state != CONN_CLOSING)
        partial_keep(c, data + taken, size - taken);
    if (slab->refs > holders)
        slab->used += (uint32_t)taken; /* somebody keeps payload in it */
    data_slab_drop(core->data, slab);
    host_drain(core);
    if (c->state != CONN_CLOSING && !xfer_wants_payload(core->xfer))
        pause_reading(c);
}

void conn_read_start(struct conn *c)
{
    if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
        conn_close(c, ERR_CLOSED);
}

void streams_resume(struct streams *s)
{
    if (!s->lists[LIST_PAUSED].first || !xfer_wants_payload(s->core->xfer))
        return;
    while (s->lists[LIST_PAUSED].first) {
        struct conn *c = s->lists[LIST_PAUSED].first;
        conn_list_remove(c, LIST_PAUSED);
        conn_read_start(c);
    }
}

/* ---- sending ---- */

struct write {
    uv_write_t request;
    struct conn *conn;
    struct data_slab *slab; /* or NULL: the bytes are behind this */
    size_t size;
    uint8_t bytes[];
};

static void on_written(uv_write_t *request, int status)
{
    struct write *w = request->data;
    struct conn *c = w->conn;
    struct streams *s = c->owner;
    c->unsent -= w->size;
    if (status == 0) {
        c->sent += w->size;
        s->totals.bytes_out += w->size;
    }
    if (w->slab)
        data_slab_drop(s->core->data, w->slab);
    free(w);
    if (status != 0)
        conn_close(c, ERR_CLOSED);
    else
        conn_list_add(c, LIST_READY);
    if (c->state == CONN_CLOSING)
        conn_free_if_done(c);
}

static void write_queue(struct conn *c, struct write *w, const uv_buf_t *bufs, unsigned count)
{
    w->conn = c;
    w->request.data = w;
    c->unsent += w->size;
    int status = uv_write(&w->request, (uv_stream_t *)&c->tcp, bufs, count, on_written);
    if (status == 0)
        return;
    c->unsent -= w->size;
    if (w->slab)
        data_slab_drop(c->owner->core->data, w->slab);
    free(w);
    conn_close(c, ERR_CLOSED);
}

void conn_write_copy(struct conn *c, const uint8_t *bytes, size_t size)
{
    if (c->unsent == 0) {
        uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)size);
        int n = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
            c->sent += (uint64_t)n;
            c->owner->totals.bytes_out += (uint64_t)n;
        }
        if (size == 0)
            return;
    }
    struct write *w = malloc(sizeof *w + size);
    if (!w) {
        conn_close(c, ERR_NO_MEMORY);
        return;
    }
    w->slab = NULL;
    w->size = size;
    memcpy(w->bytes, bytes, size);
    uv_buf_t buf = uv_buf_init((char *)w->bytes, (unsigned)size);
    write_queue(c, w, &buf, 1);
}

void conn_confirm(struct conn *c)
{
    uint8_t *scratch = c->owner->scratch;
    scratch[2] = FRAME_CONTROL;
    struct bytes plain = bytes_of(scratch + 2, 1);
    size_t sealed = stream_seal(&c->stream, &plain, 1, scratch);
    conn_write_copy(c, scratch, sealed);
}

/* Sends what the core has to say, as few frames as it fits in. */
static void control_pump(struct conn *c)
{
    struct host_core *core = c->owner->core;
    uint8_t *scratch = c->owner->scratch;
    while (c->control_ready && c->state == CONN_OPEN && c->unsent < CONN_UNSENT_MAX) {
        size_t n =
            xfer_session_write(core->xfer, host_now(core), c->session, scratch + 3, STREAM_PLAIN_MAX - 1);
        if (n == 0) {
            c->control_ready = false;
            return;
        }
        scratch[2] = FRAME_CONTROL;
        struct bytes plain = bytes_of(scratch + 2, n + 1);
        size_t sealed = stream_seal(&c->stream, &plain, 1, scratch);
        conn_write_copy(c, scratch, sealed);
    }
}

/* ---- serving ---- */

static struct serve *serve_at(struct conn *c, uint64_t number)
{
    return &c->serves[number % c->serve_cap];
}

static bool serves_grow(struct conn *c)
{
    uint32_t cap = c->serve_cap ? c->serve_cap * 2 : 16;
    struct serve *serves = malloc(cap * sizeof *serves);
    if (!serves)
        return false;
    for (uint64_t n = c->serve_head; n < c->serve_tail; n++)
        serves[n % cap] = *serve_at(c, n);
    free(c->serves);
    c->serves = serves;
    c->serve_cap = cap;
    return true;
}

static void serve_report(struct conn *c, const struct serve *v)
{
    struct host_core *core = c->owner->core;
    xfer_served(core->xfer, host_now(core), c->session, v->channel, v->leaf, v->count, v->bytes, v->status,
                host_out(core));
}

void conn_serve(struct conn *c, const struct effect *x)
{
    struct serve v = {.channel = x->u.serve.channel,
                      .ref = x->u.serve.ref,
                      .leaf = x->u.serve.leaf,
                      .count = x->u.serve.count,
                      .proof = x->u.serve.proof};
    if (c->serve_tail - c->serve_head == c->serve_cap && !serves_grow(c)) {
        v.status = ERR_NO_MEMORY;
        serve_report(c, &v);
        host_drain(c->owner->core);
        return;
    }
    *serve_at(c, c->serve_tail++) = v;
    conn_list_add(c, LIST_READY);
}

static uint32_t head_size(bool pack, bool proof)
{
    return proof ? FRAME_PROOF_HEAD : pack ? FRAME_ENTRY_HEAD : FRAME_LEAVES_HEAD;
}

/* Lays one frame out behind the others. 1; 0: no room; or a negative error of the piece. */
static int frame_add(struct conn *c, struct serve_job *j, struct serve *v, uint64_t number, uint32_t index,
                     uint32_t count, bool proof)
{
    struct data *d = c->owner->core->data;
    bool pack = data_is_pack(d, v->ref);
    int64_t size = data_piece_size(d, v->ref, index, count, proof);
    if (size < 0)
        return (int)size;
    uint32_t head = head_size(pack, proof), need = 2 + head + (uint32_t)size + 16;
    if (j->count == SERVE_FRAMES || j->slab->size - j->slab->used < need)
        return 0;
    struct serve_frame *f = &j->frames[j->count];
    *f = (struct serve_frame){.serve = number, .at = j->slab->used, .head = head};
    uint8_t *at = j->slab->bytes + f->at + 2;
    struct frame_head h = {.type = (uint8_t)(proof  ? FRAME_PROOF
                                             : pack ? FRAME_ENTRY
                                                    : FRAME_LEAVES),
                           .channel = v->channel,
                           .index = index,
                           .count = (uint8_t)count};
    uint8_t written[FRAME_HEAD_MAX];
    core_assert(frame_head_write(written, &h) == head);
    memcpy(at, written, head);
    j->pieces[j->count] = (struct data_piece){
        .ref = v->ref, .index = index, .count = count, .proof = proof, .out = at + head, .cap = (size_t)size};
    j->slab->used += need;
    j->count++;
    v->frames++;
    return 1;
}

/* Moves as much of the queue into the job as fits. */
static void job_fill(struct conn *c, struct serve_job *j)
{
    struct data *d = c->owner->core->data;
    while (c->serve_take < c->serve_tail) {
        struct serve *v = serve_at(c, c->serve_take);
        uint32_t step = data_is_pack(d, v->ref) ? 1 : FRAME_LEAVES_MAX;
        int got = 1;
        if (v->proof) {
            got = frame_add(c, j, v, c->serve_take, v->leaf >> TREE_SPAN_LOG2, 1, true);
            v->proof = got == 0;
        }
        while (got > 0 && v->next < v->count) {
            uint32_t n = v->count - v->next < step ? v->count - v->next : step;
            got = frame_add(c, j, v, c->serve_take, v->leaf + v->next, n, false);
            if (got > 0)
                v->next += n;
        }
        if (got == 0)
            return;
        if (got < 0)
            v->status = got;
        v->all_taken = true;
        c->serve_take++;
    }
}

/* Reports serves from the head of the queue that are wholly done. */
static void serves_finish(struct conn *c)
{
    while (c->serve_head < c->serve_take && serve_at(c, c->serve_head)->frames == 0) {
        struct serve v = *serve_at(c, c->serve_head++);
        serve_report(c, &v);
    }
    if (c->serve_head == c->serve_tail && c->serve_cap > 64) {
        free(c->serves);
        c->serves = NULL;
        c->serve_cap = 0;
    }
}

/* Seals the frames of a job where they lie and sends them as one write. */
static void job_send(struct conn *c, struct serve_job *j)
{
    uv_buf_t bufs[SERVE_FRAMES];
    unsigned count = 0;
    size_t total = 0;
    for (uint32_t i = 0; i < j->count; i++) {
        struct serve *v = serve_at(c, j->frames[i].serve);
        int64_t result = j->pieces[i].result;
        v->frames--;
        if (result < 0 && v->status == 0)
            v->status = (int)result;
        if (v->status != 0)
            continue;
        uint8_t *at = j->slab->bytes + j->frames[i].at;
        struct bytes plain = bytes_of(at + 2, j->frames[i].head + (size_t)result);
        size_t sealed = stream_seal(&c->stream, &plain, 1, at);
        if (!j->pieces[i].proof)
            v->bytes += (uint32_t)result;
        if (count > 0 && (uint8_t *)bufs[count - 1].base + bufs[count - 1].len == at)
            bufs[count - 1].len += sealed;
        else
            bufs[count++] = uv_buf_init((char *)at, (unsigned)sealed);
        total += sealed;
    }
    if (count == 0)
        return;
    struct write *w = malloc(sizeof *w);
    if (!w) {
        conn_close(c, ERR_NO_MEMORY);
        return;
    }
    w->slab = j->slab;
    w->size = total;
    data_slab_hold(j->slab);
    write_queue(c, w, bufs, count);
}

static void job_free(struct conn *c, struct serve_job *j)
{
    data_slab_drop(c->owner->core->data, j->slab);
    free(j);
    c->job_count--;
}

/* In order: a proof must go before the leaves that need it. */
static void on_pieces(void *context)
{
    struct serve_job *done = context;
    struct conn *c = done->conn;
    done->done = true;
    while (c->jobs && c->jobs->done) {
        struct serve_job *j = c->jobs;
        c->jobs = j->next;
        if (!c->jobs)
            c->jobs_end = &c->jobs;
        if (c->state == CONN_OPEN)
            job_send(c, j);
        job_free(c, j);
    }
    if (c->state == CONN_CLOSING) {
        conn_free_if_done(c);
        return;
    }
    serves_finish(c);
    conn_list_add(c, LIST_READY);
    host_drain(c->owner->core);
}

static void serve_pump(struct conn *c)
{
    struct streams *s = c->owner;
    while (c->state == CONN_OPEN && c->serve_take < c->serve_tail && c->job_count < CONN_SERVE_JOBS &&
           c->unsent < CONN_UNSENT_MAX) {
        struct data_slab *slab = data_send_slab(s->core->data);
        struct serve_job *j = slab ? malloc(sizeof *j) : NULL;
        if (!j) {
            if (slab)
                data_slab_drop(s->core->data, slab);
            conn_list_add(c, LIST_READY); /* tried again when something was written */
            return;
        }
        j->conn = c;
        j->slab = slab;
        j->count = 0;
        j->done = false;
        j->next = NULL;
        c->job_count++;
        job_fill(c, j);
        if (j->count == 0) {
            job_free(c, j);
            serves_finish(c);
            host_drain(s->core);
            continue;
        }
        *c->jobs_end = j;
        c->jobs_end = &j->next;
        data_read_pieces(s->core->data, j->pieces, j->count, on_pieces, j);
    }
}

void conn_pump(struct conn *c)
{
    if (c->state != CONN_OPEN)
        return;
    control_pump(c);
    serve_pump(c);
}

void conn_io_free(struct conn *c)
{
    free(c->partial);
    free(c->serves);
    c->partial = NULL;
    c->serves = NULL;
}
