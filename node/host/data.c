/* The data plane: refs, slabs, and the turn of the loop that submits what was gathered. */
#include "node/host/data.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "node/base/assert.h"
#include "node/host/data_int.h"
#include "node/host/streams.h"

#define REFS_MAX   (1u << 20) /* slot in the low 20 bits of a ref, generation above */
#define SLABS_KEPT 64u /* given back and kept mapped while transfers run: page faults cost more than copies  \
                        */
#define SEND_SLABS_MAX 64u /* 24 MiB over all streams */
#define FREE_JOBS_KEPT 16u
#define TICK_MS        1000u

/* ---- results ---- */

static void result_leaves(void *owner, uint32_t swarm, uint32_t session, uint32_t leaf, uint32_t count,
                          uint32_t good, int status)
{
    struct host_core *core = owner;
    xfer_leaves_result(core->xfer, host_now(core), swarm, session, leaf, count, good, status, host_out(core));
}

static void result_proof(void *owner, uint32_t swarm, uint32_t session, uint32_t span, int status)
{
    struct host_core *core = owner;
    xfer_proof_result(core->xfer, host_now(core), swarm, session, span, status, host_out(core));
}

static void result_drain(void *owner)
{
    struct host_core *core = owner;
    host_drain(core);
    if (core->streams)
        streams_resume(core->streams);
}

/* ---- slabs ---- */

static struct data_slab *slab_map(void)
{
    size_t size = sizeof(struct data_slab) + DATA_SLAB_SIZE;
#ifdef __SANITIZE_ADDRESS__
    struct data_slab *s = malloc(size); /* so that overruns are seen */
    if (!s)
        return NULL;
#else
    /* Mapped one by one, so that an idle node gives all of it back. */
    struct data_slab *s = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED)
        return NULL;
#endif
    s->size = DATA_SLAB_SIZE;
    return s;
}

static void slab_unmap(struct data_slab *s)
{
#ifdef __SANITIZE_ADDRESS__
    free(s);
#else
    munmap(s, sizeof *s + s->size);
#endif
}

static struct data_slab *slab_take(struct data *d)
{
    struct data_slab *s = d->free_slabs;
    if (s) {
        d->free_slabs = s->next_free;
        d->free_slab_count--;
    } else {
        s = slab_map();
        if (!s)
            return NULL;
    }
    s->refs = 1;
    s->used = 0;
    s->next_free = NULL;
    return s;
}

void data_slab_hold(struct data_slab *slab)
{
    core_assert(slab->refs > 0);
    slab->refs++;
}

void data_slab_drop(struct data *d, struct data_slab *slab)
{
    core_assert(slab->refs > 0);
    if (--slab->refs > 0)
        return;
    if (slab->send)
        d->send_slabs--;
    else
        d->slab_bytes -= slab->size;
    if (d->free_slab_count >= SLABS_KEPT) {
        slab_unmap(slab);
        return;
    }
    slab->next_free = d->free_slabs;
    d->free_slabs = slab;
    d->free_slab_count++;
}

struct data_slab *data_receive_slab(struct data *d, size_t room)
{
    core_assert(room <= DATA_SLAB_SIZE / 2);
    struct data_slab *s = d->receive;
    if (s && s->refs == 1)
        s->used = 0; /* nobody else looks at it */
    if (s && s->size - s->used >= room)
        return s;
    if (d->slab_bytes > 0 && d->slab_bytes + DATA_SLAB_SIZE > d->budget)
        return NULL; /* one slab is always allowed: without it nothing can arrive at all */
    if (s)
        data_slab_drop(d, s);
    s = d->receive = slab_take(d);
    if (!s)
        return NULL;
    s->send = false;
    d->slab_bytes += s->size;
    return s;
}

struct data_slab *data_send_slab(struct data *d)
{
    if (d->send_slabs >= SEND_SLABS_MAX)
        return NULL;
    struct data_slab *s = slab_take(d);
    if (!s)
        return NULL;
    s->send = true;
    d->send_slabs++;
    return s;
}

size_t data_memory(const struct data *d)
{
    return d->slab_bytes + ((size_t)d->send_slabs + d->free_slab_count) * DATA_SLAB_SIZE;
}

/* Nothing moves: give the memory back. */
static void slabs_trim(struct data *d)
{
    if (d->receive && d->receive->refs == 1) {
        data_slab_drop(d, d->receive);
        d->receive = NULL;
    }
    while (d->free_slabs) {
        struct data_slab *s = d->free_slabs;
        d->free_slabs = s->next_free;
        d->free_slab_count--;
        slab_unmap(s);
    }
    while (d->free_jobs) {
        struct data_write_job *j = d->free_jobs;
        d->free_jobs = j->next;
        d->free_job_count--;
        free(j);
    }
}

/* ---- refs ---- */

#define SLOT(ref) ((ref) & (REFS_MAX - 1))

static bool refs_grow(struct data *d)
{
    uint32_t cap = d->ref_cap ? d->ref_cap * 2 : 64;
    if (cap > REFS_MAX)
        return false;
    struct data_ref **refs = realloc(d->refs, cap * sizeof *refs);
    if (!refs)
        return false;
    d->refs = refs;
    uint16_t *generations = realloc(d->generations, cap * sizeof *generations);
    if (!generations)
        return false;
    d->generations = generations;
    memset(refs + d->ref_cap, 0, (cap - d->ref_cap) * sizeof *refs);
    memset(generations + d->ref_cap, 0, (cap - d->ref_cap) * sizeof *generations);
    d->ref_cap = cap;
    return true;
}

struct data_ref *data_ref_find(struct data *d, uint32_t ref)
{
    uint32_t slot = SLOT(ref);
    struct data_ref *r = slot < d->ref_cap ? d->refs[slot] : NULL;
    return r && r->number == ref && !r->closing ? r : NULL;
}

struct data_ref *data_ref_add(struct data *d, enum ref_kind kind, const struct content_id *id)
{
    if (d->ref_count + 1 >= d->ref_cap && !refs_grow(d))
        return NULL;
    while (d->refs[d->next_slot] || d->next_slot == 0)
        d->next_slot = (d->next_slot + 1) % d->ref_cap;
    uint32_t slot = d->next_slot;
    struct data_ref *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    d->generations[slot] = (uint16_t)((d->generations[slot] + 1) & 0xfff);
    r->data = d;
    r->number = (uint32_t)d->generations[slot] << 20 | slot;
    r->kind = kind;
    r->id = *id;
    r->leaf_count = tree_leaf_count(id->size);
    r->file.fd = r->tree.fd = -1;
    d->refs[slot] = r;
    d->ref_count++;
    return r;
}

void data_ref_drop(struct data_ref *r)
{
    struct data *d = r->data;
    core_assert(r->jobs == 0);
    core_assert(!r->pending);
    d->refs[SLOT(r->number)] = NULL;
    d->ref_count--;
    data_file_fini(&d->fds, &r->file);
    data_file_fini(&d->fds, &r->tree);
    data_part_free(r->part);
    data_pack_free(r->pack);
    free(r);
}

void data_ref_hold(struct data_ref *r)
{
    r->jobs++;
    r->data->jobs++;
}

static void ref_closed(struct data_ref *r)
{
    void (*closed)(void *) = r->closed;
    void *context = r->closed_context;
    data_ref_drop(r);
    if (closed)
        closed(context);
}

void data_ref_release(struct data_ref *r)
{
    core_assert(r->jobs > 0);
    r->jobs--;
    r->data->jobs--;
    if (r->part)
        data_part_idle(r);
    if (r->closing && r->jobs == 0)
        ref_closed(r);
}

static void on_close_idle(uv_work_t *work)
{
    (void)work;
}

static void on_close_done(uv_work_t *work, int status)
{
    (void)status;
    struct data_ref *r = work->data;
    free(work);
    data_ref_release(r);
}

void data_close(struct data *d, uint32_t ref, void (*closed)(void *context), void *context)
{
    struct data_ref *r = data_ref_find(d, ref);
    core_assert(r != NULL);
    data_flush(d, r);
    if (r->part)
        data_part_closing(r);
    r->closing = true;
    r->closed = closed;
    r->closed_context = context;
    /* The callback never comes before this returns: with nothing in flight an empty job stands in. */
    uv_work_t *work = malloc(sizeof *work);
    core_assert(work != NULL);
    work->data = r;
    data_ref_hold(r);
    core_assert(uv_queue_work(d->loop, work, on_close_idle, on_close_done) == 0);
}

/* ---- opening complete files ---- */

int data_open_file(struct data *d, const struct content_id *id, const char *path,
                   const struct file_stamp *stamp, const char *tree_path, uint32_t *ref)
{
    *ref = 0;
    struct data_ref *r = data_ref_add(d, REF_FILE, id);
    if (!r)
        return ERR_NO_MEMORY;
    r->stamp = *stamp;
    r->stamped = true;
    int status = data_file_init(&r->file, path, O_RDONLY);
    if (status == 0 && tree_path && tree_span_count(id->size) > 1) {
        status = data_file_init(&r->tree, tree_path, O_RDONLY);
        r->has_tree = true;
    }
    if (status == 0 && stamp->size != id->size)
        status = ERR_CHANGED;
    if (status != 0) {
        data_ref_drop(r);
        return status;
    }
    *ref = r->number;
    return 0;
}

bool data_is_pack(struct data *d, uint32_t ref)
{
    struct data_ref *r = data_ref_find(d, ref);
    return r && r->kind == REF_PACK;
}

/* ---- the turn of the loop ---- */

static void on_check(uv_check_t *check)
{
    struct data *d = check->data;
    while (d->pending)
        data_flush(d, d->pending);
}

static void on_tick(uv_timer_t *timer)
{
    struct data *d = timer->data;
    for (uint32_t i = 0; i < d->ref_cap; i++) {
        if (d->refs[i] && d->refs[i]->part && !d->refs[i]->closing)
            data_part_tick(d->refs[i]);
    }
    if (d->jobs == 0 && d->busy == false)
        slabs_trim(d);
    d->busy = false;
}

struct data *data_new_with(struct host_core *core, const char *home, size_t budget, const struct data_io *io,
                           const struct data_results *results)
{
    struct data *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->core = core;
    d->loop = core->loop;
    d->home = strdup(home);
    d->check = malloc(sizeof *d->check);
    d->timer = malloc(sizeof *d->timer);
    if (!d->home || !d->check || !d->timer) {
        free(d->home);
        free(d->check);
        free(d->timer);
        free(d);
        return NULL;
    }
    d->io = io;
    d->budget = budget;
    d->results = *results;
    d->checkpoint_period = CORE_SECONDS(5);
    d->checkpoint_bytes = UINT64_C(24)
                          << 20; /* what arrives until it is done stays below 32 MiB on most disks */
    data_fds_init(&d->fds, io);
    uv_check_init(d->loop, d->check);
    uv_timer_init(d->loop, d->timer);
    d->check->data = d->timer->data = d;
    uv_check_start(d->check, on_check);
    uv_timer_start(d->timer, on_tick, TICK_MS, TICK_MS);
    uv_unref((uv_handle_t *)d->check);
    uv_unref((uv_handle_t *)d->timer);
    return d;
}

struct data *data_new(struct host_core *core, const char *home, size_t budget_bytes)
{
    const struct data_results results = {result_leaves, result_proof, result_drain, core};
    return data_new_with(core, home, budget_bytes, &data_io_real, &results);
}

static void on_handle_closed(uv_handle_t *handle)
{
    free(handle);
}

void data_free(struct data *d)
{
    if (!d)
        return;
    core_assert(d->ref_count == 0);
    core_assert(d->jobs == 0);
    slabs_trim(d);
    core_assert(d->receive == NULL);
    uv_close((uv_handle_t *)d->check, on_handle_closed);
    uv_close((uv_handle_t *)d->timer, on_handle_closed);
    data_fds_fini(&d->fds);
    free(d->refs);
    free(d->generations);
    free(d->home);
    free(d);
}

/* ---- jobs of arrived payload ---- */

struct data_write_job *data_job_take(struct data *d)
{
    struct data_write_job *j = d->free_jobs;
    if (j) {
        d->free_jobs = j->next;
        d->free_job_count--;
    } else {
        j = malloc(sizeof *j);
    }
    if (j) {
        j->count = 0;
        j->bytes = 0;
        j->next = NULL;
    }
    d->busy = true;
    return j;
}

void data_job_give(struct data *d, struct data_write_job *j)
{
    if (d->free_job_count >= FREE_JOBS_KEPT) {
        free(j);
        return;
    }
    j->next = d->free_jobs;
    d->free_jobs = j;
    d->free_job_count++;
}
