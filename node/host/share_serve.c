/* The contents that are being served: one swarm per content and pack flag, opened when a peer asks by
 * provider key, closed when idle. fetch.c enters its own swarms here, so that what is being fetched is served
 * too. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "node/host/share_internal.h"

#define WAITERS_MAX 64u /* peers that ask while a pack is being read; later ones are told no and come again  \
                         */
#define LOST_MAX    256u /* swarms of fetch.c found unshared in one look; the rest serve on until they are idle */
#define OPENING_MAX 64u /* packs being read at once: a manifest each in memory */

struct open_key {
    uint8_t key[HASH_SIZE];
    uint8_t pack;
};

struct share_open {
    struct open_key by;
    UT_hash_handle hh;
    uint32_t swarm, ref;
    bool ours;                 /* made here on demand; otherwise fetch.c's */
    bool partial;              /* a pack of which some files are missing: never idle by itself */
    struct pack_open *opening; /* being read */
    int64_t row;
};

/* Reading a directory's manifest and looking at its small files, in the pool. */
struct pack_open {
    uv_work_t work;
    struct shares *s;
    struct share_open *open; /* NULL: given up meanwhile */
    struct content_id id;
    char object[PATH_MAX], directory[PATH_MAX];
    bool has_directory;
    uint8_t *manifest;
    uint32_t count, small, missing;
    uint64_t small_bytes;
    uint8_t *present; /* bitmap of entries: small and there */
    int status;
    uint32_t waiter_count;
    struct {
        uint32_t session, channel;
    } waiters[WAITERS_MAX];
};

static struct share_open *open_find(struct shares *s, const uint8_t key[HASH_SIZE], bool pack)
{
    struct open_key by;
    struct share_open *o;
    memset(&by, 0, sizeof by);
    memcpy(by.key, key, HASH_SIZE);
    by.pack = pack;
    HASH_FIND(hh, s->opened, &by, sizeof by, o);
    return o;
}

static struct share_open *open_add(struct shares *s, const uint8_t key[HASH_SIZE], bool pack)
{
    struct share_open *o = calloc(1, sizeof *o);
    if (o == NULL)
        return NULL;
    memcpy(o->by.key, key, HASH_SIZE);
    o->by.pack = pack;
    HASH_ADD(hh, s->opened, by, sizeof o->by, o);
    return o;
}

static void open_remove(struct shares *s, struct share_open *o)
{
    HASH_DEL(s->opened, o);
    if (o->opening)
        o->opening->open = NULL;
    free(o);
}

/* ---- Closing ---- */

static void on_data_closed(void *context)
{
    struct shares *s = context;
    s->in_flight--;
    shares_settled(s);
}

static void open_close(struct shares *s, struct share_open *o)
{
    core_assert(o->ours);
    uint32_t swarm = o->swarm, ref = o->ref;
    open_remove(s, o);
    if (swarm == 0)
        return;
    xfer_swarm_remove(s->core->xfer, host_now(s->core), swarm, host_out(s->core));
    s->in_flight++;
    host_drain(s->core);
    data_close(s->core->data, ref, on_data_closed, s);
}

void share_serve_check(struct shares *s)
{
    uint32_t lost[LOST_MAX], lost_count = 0;
    for (struct share_open *o = s->opened, *next; o; o = next) {
        struct store_content c;
        next = o->hh.next;
        if (store_content_find(s->core->store, o->by.key, &c) != ERR_NOT_FOUND)
            continue;
        if (o->ours)
            open_close(s, o);
        else if (lost_count < LOST_MAX)
            lost[lost_count++] = o->swarm;
    }
    for (uint32_t i = 0; i < lost_count && s->lost; i++)
        s->lost(s->lost_context, lost[i]);
}

void shares_on_lost(struct shares *s, void (*lost)(void *context, uint32_t swarm), void *context)
{
    s->lost = lost;
    s->lost_context = context;
}

void share_serve_stop(struct shares *s)
{
    for (struct share_open *o = s->opened, *next; o; o = next) {
        next = o->hh.next;
        if (o->ours)
            open_close(s, o);
    }
}

void share_serve_free(struct shares *s)
{
    while (s->opened)
        open_remove(s, s->opened);
}

/* Partial packs: closed when nobody has them open. */
void share_serve_tick(struct shares *s, core_time now)
{
    for (struct share_open *o = s->opened, *next; o; o = next) {
        struct xfer_swarm_stats stats;
        next = o->hh.next;
        if (o->ours && o->partial && o->swarm && xfer_swarm_stats(s->core->xfer, now, o->swarm, &stats) &&
            stats.sessions == 0)
            open_close(s, o);
    }
}

/* ---- Opening ---- */

static void answer(struct shares *s, uint32_t session, uint32_t channel, uint32_t swarm)
{
    xfer_content_answer(s->core->xfer, host_now(s->core), session, channel, swarm, host_out(s->core));
    host_drain(s->core);
}

static uint32_t swarm_add(struct shares *s, const struct share_open *o, struct xfer_swarm_params *p)
{
    memcpy(p->provider_key, o->by.key, HASH_SIZE);
    p->ref = o->ref;
    return xfer_swarm_add(s->core->xfer, host_now(s->core), p, host_out(s->core));
}

/* A file or a manifest: no waiting, the data plane looks at the stamp before the first byte. */
static int open_file(struct shares *s, struct share_open *o, const struct store_content *c)
{
    struct store_content row = *c;
    char tree[PATH_MAX];
    if (row.place == PLACE_OBJECT) { /* ours, and named by its hash: its stamp is whatever it has now */
        struct stat st;
        if (stat(row.path, &st))
            return share_error(errno);
        share_stamp_of(&row.stamp, &st);
    }
    bool has_tree = tree_span_count(row.id.size) > 1;
    if (has_tree)
        store_tree_path(s->core->store, &row.id, tree, sizeof tree);
    int status =
        data_open_file(s->core->data, &row.id, row.path, &row.stamp, has_tree ? tree : NULL, &o->ref);
    if (status)
        return status;
    struct xfer_swarm_params p = {.id = row.id, .complete = true};
    xfer_geometry_content(&p.geometry, row.id.size);
    o->swarm = swarm_add(s, o, &p);
    if (o->swarm == 0) {
        data_close(s->core->data, o->ref, NULL, NULL);
        return ERR_FULL;
    }
    return 0;
}

static bool entry_there(const struct pack_open *po, const struct manifest_entry *e)
{
    char path[PATH_MAX];
    struct stat st;
    if (e->id.kind == CONTENT_FILE) {
        if (!po->has_directory ||
            (size_t)snprintf(path, sizeof path, "%s/%.*s", po->directory, (int)e->name.size,
                             (const char *)e->name.data) >= sizeof path)
            return false;
        return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == e->id.size;
    }
    store_object_path(po->s->core->store, &e->id, path, sizeof path); /* reads the handle's home only */
    return e->id.kind == CONTENT_TREE && stat(path, &st) == 0 && (uint64_t)st.st_size == e->id.size;
}

static void on_pack(uv_work_t *work)
{
    struct pack_open *po = work->data;
    struct manifest_reader r;
    struct manifest_entry e;
    po->status = store_object_read(po->s->core->store, &po->id, &po->manifest);
    if (po->status)
        return;
    struct bytes bytes = bytes_of(po->manifest, (size_t)po->id.size);
    po->status = manifest_check(bytes, &po->count);
    po->present = po->status ? NULL : calloc(1, po->count / 8 + 1);
    if (po->status == 0 && po->present == NULL)
        po->status = ERR_NO_MEMORY;
    if (po->status)
        return;
    core_assert(manifest_open(&r, bytes) == 0);
    for (uint32_t i = 0; manifest_next(&r, &e) == 1; i++) {
        if (e.id.size > TREE_LEAF_SIZE)
            continue;
        po->small++;
        po->small_bytes += e.id.size;
        if (entry_there(po, &e))
            po->present[i / 8] |= (uint8_t)(1u << i % 8);
        else
            po->missing++;
    }
    if (po->small == po->missing)
        po->status = ERR_NOT_FOUND;
}

/* Chunks of which every small entry is there. */
static uint8_t *chunks_have(const struct pack_open *po, const struct xfer_geometry *g)
{
    uint32_t chunks = xfer_chunk_count(g), i = 0;
    uint8_t *have = malloc(chunks / 8 + 1);
    struct manifest_reader r;
    struct manifest_entry e;
    if (have == NULL)
        return NULL;
    memset(have, 0xff, chunks / 8);
    have[chunks / 8] = (uint8_t)((1u << chunks % 8) - 1);
    core_assert(manifest_open(&r, bytes_of(po->manifest, (size_t)po->id.size)) == 0);
    for (; manifest_next(&r, &e) == 1; i++) {
        uint32_t chunk = i >> g->chunk_leaves_log2;
        if (e.id.size <= TREE_LEAF_SIZE && !(po->present[i / 8] >> i % 8 & 1))
            have[chunk / 8] &= (uint8_t) ~(1u << chunk % 8);
    }
    return have;
}

static int pack_swarm(struct shares *s, struct share_open *o, struct pack_open *po)
{
    int status = data_open_pack(s->core->data, &po->id, bytes_of(po->manifest, (size_t)po->id.size),
                                po->has_directory ? po->directory : NULL, false, &o->ref);
    if (status)
        return status;
    struct xfer_swarm_params p = {.id = po->id, .pack = true, .complete = po->missing == 0};
    xfer_geometry_pack(&p.geometry, po->count, po->small_bytes / po->small);
    uint8_t *have = NULL;
    if (po->missing) {
        have = chunks_have(po, &p.geometry);
        p.have_chunks = have;
        p.want_leaves = po->present;
        p.paused = true;
        o->partial = true;
    }
    o->swarm = swarm_add(s, o, &p);
    free(have);
    if (o->swarm)
        return 0;
    data_close(s->core->data, o->ref, NULL, NULL);
    return ERR_FULL;
}

static void on_pack_done(uv_work_t *work, int status)
{
    struct pack_open *po = work->data;
    struct shares *s = po->s;
    struct share_open *o = po->open;
    core_assert(status == 0);
    s->in_flight--;
    uint32_t swarm = 0;
    if (o) {
        o->opening = NULL;
        if (o->swarm == 0 && !s->stopping) {
            status = po->status ? po->status : pack_swarm(s, o, po);
            if (status)
                log_debug("share", "cannot serve the small files of %s: %s", po->directory, err_text(status));
        }
        swarm = o->swarm;
        if (swarm == 0)
            open_remove(s, o);
    }
    for (uint32_t i = 0; i < po->waiter_count; i++)
        answer(s, po->waiters[i].session, po->waiters[i].channel, swarm);
    host_drain(s->core);
    free(po->manifest);
    free(po->present);
    free(po);
    shares_settled(s);
}

static bool pack_start(struct shares *s, struct share_open *o, const struct store_content *c,
                       uint32_t session, uint32_t channel)
{
    uint32_t opening = 0;
    for (const struct share_open *i = s->opened; i; i = i->hh.next)
        opening += i->opening != NULL;
    if (c->id.kind != CONTENT_TREE || c->id.size > MANIFEST_SIZE_MAX || opening >= OPENING_MAX)
        return false;
    struct pack_open *po = calloc(1, sizeof *po);
    if (po == NULL)
        return false;
    po->s = s;
    po->open = o;
    po->id = c->id;
    po->has_directory = c->directory != NULL;
    snprintf(po->object, sizeof po->object, "%s", c->path);
    snprintf(po->directory, sizeof po->directory, "%s", c->directory ? c->directory : "");
    po->waiters[0].session = session;
    po->waiters[0].channel = channel;
    po->waiter_count = 1;
    o->opening = po;
    po->work.data = po;
    s->in_flight++;
    core_assert(uv_queue_work(s->core->loop, &po->work, on_pack, on_pack_done) == 0);
    return true;
}

static void open_new(struct shares *s, uint32_t session, uint32_t channel, bool pack,
                     const uint8_t key[HASH_SIZE])
{
    struct store_content c;
    int status = store_content_find(s->core->store, key, &c);
    if (status || c.state != CONTENT_OK || c.place == PLACE_PART) {
        answer(s, session, channel, 0);
        return;
    }
    struct share_open *o = open_add(s, key, pack);
    if (o == NULL) {
        answer(s, session, channel, 0);
        return;
    }
    o->ours = true;
    o->row = c.row;
    if (pack) {
        if (!pack_start(s, o, &c, session, channel)) {
            open_remove(s, o);
            answer(s, session, channel, 0);
        }
        return;
    }
    status = open_file(s, o, &c);
    uint32_t swarm = o->swarm;
    if (status) {
        log_debug("share", "cannot serve %s: %s", c.path, err_text(status));
        open_remove(s, o);
        if (status == ERR_CHANGED || status == ERR_NOT_FOUND)
            share_watch_content(s, &c, status);
    }
    answer(s, session, channel, swarm);
}

void shares_content(struct shares *s, uint32_t session, uint32_t channel, bool pack,
                    const uint8_t provider_key[HASH_SIZE])
{
    struct share_open *o = s->stopping ? NULL : open_find(s, provider_key, pack);
    if (s->stopping)
        answer(s, session, channel, 0);
    else if (o == NULL)
        open_new(s, session, channel, pack, provider_key);
    else if (o->swarm || o->opening == NULL || o->opening->waiter_count == WAITERS_MAX)
        answer(s, session, channel, o->swarm);
    else {
        struct pack_open *po = o->opening;
        po->waiters[po->waiter_count].session = session;
        po->waiters[po->waiter_count++].channel = channel;
    }
}

/* ---- For fetch.c ---- */

uint32_t shares_swarm(struct shares *s, const struct content_id *id, bool pack)
{
    uint8_t key[HASH_SIZE];
    content_provider_key(key, id, s->core->network, s->core->crypto);
    const struct share_open *o = open_find(s, key, pack);
    return o ? o->swarm : 0;
}

uint32_t shares_ref(struct shares *s, const struct content_id *id, bool pack)
{
    uint8_t key[HASH_SIZE];
    content_provider_key(key, id, s->core->network, s->core->crypto);
    const struct share_open *o = open_find(s, key, pack);
    return o ? o->ref : 0;
}

void shares_swarm_set(struct shares *s, const struct content_id *id, bool pack, uint32_t swarm, uint32_t ref)
{
    uint8_t key[HASH_SIZE];
    content_provider_key(key, id, s->core->network, s->core->crypto);
    struct share_open *o = open_find(s, key, pack);
    if (swarm == 0) {
        core_assert(o == NULL || !o->ours || o->swarm == 0);
        if (o && !o->ours)
            open_remove(s, o);
        return;
    }
    core_assert(o == NULL || o->swarm == 0);
    if (o == NULL)
        o = open_add(s, key, pack);
    core_assert(o != NULL); /* a hundred bytes: without them nothing goes on */
    o->ours = false;
    o->swarm = swarm;
    o->ref = ref;
}

/* ---- What the swarm core tells ---- */

static struct share_open *open_by_swarm(struct shares *s, uint32_t swarm)
{
    for (struct share_open *o = s->opened; o; o = o->hh.next) {
        if (o->ours && o->swarm == swarm)
            return o;
    }
    return NULL;
}

bool share_serve_notice(struct shares *s, const struct effect *x)
{
    if (x->u.notice.kind != XFER_NOTICE_IDLE && x->u.notice.kind != XFER_NOTICE_TROUBLE &&
        x->u.notice.kind != XFER_NOTICE_ENTRY)
        return false;
    struct share_open *o = open_by_swarm(s, x->u.notice.op);
    if (o == NULL)
        return false;
    if (x->u.notice.kind == XFER_NOTICE_ENTRY) {
        share_watch_now(s); /* finds the file and hashes it again; the directory's others are served meanwhile */
        return true;
    }
    if (x->u.notice.kind == XFER_NOTICE_TROUBLE) {
        struct store_content c;
        if (store_content_find(s->core->store, o->by.key, &c) == 0)
            share_watch_content(s, &c, x->u.notice.status);
    }
    open_close(s, o);
    return true;
}
