/* Searches and claimants: hits are collected, the asker is told once. */
#include <stdio.h>
#include "node/host/names_int.h"

#define HITS_MAX      2000 /* of one search */
#define CLAIM_TIMEOUT 6000 /* ms: look-ups end by themselves long before */

static struct names_query *query_new(struct names *n, names_query_cb done, void *context)
{
    struct names_query *q = n->stopping ? NULL : calloc(1, sizeof *q);
    if (!q)
        return NULL;
    n->last_op = n->last_op % NODE_OP_MAX + 1;
    q->names = n;
    q->op = n->last_op;
    q->done = done;
    q->context = context;
    DL_APPEND(n->queries, q);
    return q;
}

static void query_free(struct names_query *q)
{
    DL_DELETE(q->names->queries, q);
    free(q->hits);
    free(q);
}

static struct names_query *query_started(struct names_query *q, int status, int *error)
{
    *error = status;
    host_drain(&q->names->app->core); /* carries out what the core wants; answers come later */
    if (status == 0)
        return q;
    query_free(q);
    return NULL;
}

struct names_query *names_search(struct names *n, const char *text, uint32_t timeout_ms, names_query_cb done, void *context, int *error)
{
    struct host_core *core = &n->app->core;
    struct names_query *q = query_new(n, done, context);
    *error = ERR_NO_MEMORY;
    if (!q)
        return NULL;
    core_time now = host_now(core);
    return query_started(q, naming_search(n->core, now, text, now + CORE_MS(timeout_ms), q->op, host_out(core)), error);
}

struct names_query *names_claimants(struct names *n, const char *nickname, names_query_cb done, void *context, int *error)
{
    struct host_core *core = &n->app->core;
    struct names_query *q = query_new(n, done, context);
    *error = ERR_NO_MEMORY;
    if (!q)
        return NULL;
    return query_started(q, naming_claimants(n->core, host_now(core), nickname, q->op, host_out(core)), error);
}

void names_query_cancel(struct names_query *q)
{
    naming_cancel(q->names->core, q->op);
    query_free(q);
}

static void hit_add(struct names_query *q, const struct effect *x, struct bytes bytes)
{
    bool thing = x->u.notice.kind == NAMING_NOTICE_HIT;
    if (q->count == HITS_MAX || (thing && bytes.size <= CONTENT_ID_SIZE))
        return;
    if (q->count == q->cap) {
        uint32_t cap = q->cap ? 2 * q->cap : 16;
        struct name_hit *more = realloc(q->hits, cap * sizeof *more);
        if (!more)
            return;
        q->hits = more;
        q->cap = cap;
    }
    struct name_hit *h = &q->hits[q->count];
    memset(h, 0, sizeof *h);
    memcpy(h->node, x->u.notice.node.key, NODE_KEY_SIZE);
    h->address = x->u.notice.node.addr;
    if (thing && content_id_unpack(&h->id, bytes.data) != 0)
        return;
    if (thing)
        bytes = bytes_of(bytes.data + CONTENT_ID_SIZE, bytes.size - CONTENT_ID_SIZE);
    if (bytes.size >= sizeof h->name)
        return;
    memcpy(h->name, bytes.data, bytes.size);
    q->count++;
}

static void query_end(struct names_query *q, int status, uint32_t answered, uint32_t indexed)
{
    struct names_query_result r = {.status = status, .answered = answered, .indexed = indexed, .hits = q->hits, .count = q->count};
    DL_DELETE(q->names->queries, q);
    q->done(q->context, &r);
    free(q->hits);
    free(q);
}

bool names_query_notice(struct names *n, const struct effect *x, struct bytes bytes)
{
    uint32_t kind = x->u.notice.kind;
    struct names_query *q;
    if (kind != NAMING_NOTICE_HIT && kind != NAMING_NOTICE_CLAIMANT && kind != NAMING_NOTICE_DONE)
        return false;
    DL_FOREACH(n->queries, q)
    {
        if (q->op != x->u.notice.op)
            continue;
        if (kind == NAMING_NOTICE_DONE)
            query_end(q, x->u.notice.status, (uint32_t)x->u.notice.a, (uint32_t)x->u.notice.b);
        else
            hit_add(q, x, bytes);
        break;
    }
    return true;
}

void names_queries_stop(struct names *n)
{
    while (n->queries) {
        naming_cancel(n->core, n->queries->op);
        query_end(n->queries, ERR_CANCELLED, 0, 0);
    }
}
