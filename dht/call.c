/* Calls: one datagram to a node, one back, for what stands above the DHT. The caller's side repeats a request once; the callee's side keeps
 * who asked until its owner answers. */
#include "dht/node_state.h"
#include "node/base/assert.h"
#include <string.h>

#define ANSWER_WITHIN CORE_SECONDS(10)

struct dht_called { /* by another node */
    core_time until;
    uint32_t handle; /* 0 = free */
    uint16_t limit;  /* of the whole datagram [bytes] */
    uint8_t id[DHT_ID_SIZE], key[NODE_KEY_SIZE];
    struct net_addr from;
};

struct dht_own_call {
    uint32_t op;
    uint16_t tag; /* slot, and a count above it: a late answer to a former call of this slot is nobody's */
    uint32_t service;
    bool repeated;
    uint16_t size;
    struct node_addr to;
    uint8_t body[DHT_BODY_MAX];
};

struct dht_calls {
    uint32_t next_handle;
    uint16_t count;
    uint8_t called_next;
    struct dht_called called[DHT_CALLED];
    struct dht_own_call *own[DHT_CALLS]; /* NULL = free */
};

static struct dht_calls *calls(struct dht_node *n)
{
    if (!n->calls)
        n->calls = n->env->alloc->alloc(n->env->alloc->context, sizeof *n->calls);
    return n->calls;
}

static void own_free(struct dht_node *n, uint32_t slot)
{
    n->env->alloc->free(n->env->alloc->context, n->calls->own[slot]);
    n->calls->own[slot] = NULL;
}

void dht_calls_free(struct dht_node *n)
{
    for (uint32_t i = 0; n->calls && i < DHT_CALLS; i++)
        own_free(n, i);
    n->env->alloc->free(n->env->alloc->context, n->calls);
    n->calls = NULL;
}

/* ---- Caller ---- */

static struct dht_own_call *own_of(const struct dht_node *n, uint16_t tag)
{
    struct dht_own_call *c = n->calls ? n->calls->own[tag % DHT_CALLS] : NULL;
    return c && c->tag == tag ? c : NULL;
}

static bool call_send(struct dht_node *n, struct dht_own_call *c)
{
    struct dht_message m = {.type = DHT_CALL, .kind = c->service, .body = bytes_of(c->body, c->size)};
    struct dht_pending *p = dht_ask(n, DHT_ASK_CALL, c->to.key, dht_position_of(n, c->to.key), &c->to.addr, &m);
    if (p)
        p->tag = c->tag;
    return p != NULL;
}

int dht_call(struct dht_node *n, core_time now, const struct node_addr *to, uint32_t service, struct bytes body, uint32_t op, struct effects *out)
{
    if (op == 0 || service == 0 || body.size == 0 || body.size > DHT_BODY_MAX || !n->tables[dht_family_of(&to->addr)] || to->addr.port == 0 ||
        net_addr_scope(&to->addr) == NET_SCOPE_INVALID || memcmp(to->key, n->me->key, NODE_KEY_SIZE) == 0)
        return ERR_RANGE;
    uint32_t slot = 0;
    /* A quarter of the slots for requests stays with the look-ups. */
    if (!calls(n) || n->pending.used * 4 >= n->pending.count * 3)
        return ERR_FULL;
    while (slot < DHT_CALLS && n->calls->own[slot])
        slot++;
    struct dht_own_call *c = slot < DHT_CALLS ? n->env->alloc->alloc(n->env->alloc->context, sizeof *c) : NULL;
    if (!c)
        return ERR_FULL;
    c->op = op;
    c->tag = (uint16_t)(n->calls->count++ % 1000 * DHT_CALLS + slot);
    c->service = service;
    c->to = *to;
    c->size = (uint16_t)body.size;
    memcpy(c->body, body.data, body.size);
    n->calls->own[slot] = c;
    dht_enter(n, now, out);
    bool sent = call_send(n, c);
    if (!sent)
        own_free(n, slot);
    dht_leave(n);
    return sent ? 0 : ERR_RANGE;
}

static void ended(struct dht_node *n, struct dht_own_call *c, int status, struct bytes body)
{
    struct effect *x = dht_notify(n, DHT_NOTICE_ANSWER, c->op);
    x->u.notice.status = status;
    memcpy(x->u.notice.node.key, c->to.key, NODE_KEY_SIZE);
    x->u.notice.node.addr = c->to.addr;
    if (body.size) {
        memcpy(effects_reserve(n->out, x, (uint32_t)body.size), body.data, body.size);
        effects_commit(n->out, x, (uint32_t)body.size);
    }
    own_free(n, c->tag % DHT_CALLS);
}

void dht_call_reply(struct dht_node *n, const struct dht_pending *p, const struct dht_message *m)
{
    struct dht_own_call *c = own_of(n, p->tag);
    if (c)
        ended(n, c, m->status, m->body);
}

/* At the soft time-out the request goes out once more, as one of its own; the first one's answer still counts. The last to time out ends the call. */
void dht_call_timeout(struct dht_node *n, const struct dht_pending *p)
{
    struct dht_own_call *c = own_of(n, p->tag);
    if (!c)
        return;
    if (!c->repeated) {
        c->repeated = true;
        if (call_send(n, c))
            return;
    }
    if (n->now < p->hard)
        return;
    for (uint16_t i = 0; i < n->pending.size; i++)
        if (n->pending.slots[i].purpose == DHT_ASK_CALL && n->pending.slots[i].tag == p->tag)
            return; /* the other one still flies */
    ended(n, c, ERR_TIMEOUT, bytes_of(NULL, 0));
}

/* ---- Callee ---- */

static void answer_send(struct dht_node *n, const uint8_t id[DHT_ID_SIZE], const uint8_t key[NODE_KEY_SIZE], const struct net_addr *to, size_t limit,
                        int status, struct bytes body)
{
    struct dht_message reply;
    dht_reply_head(n, &reply, DHT_CALL, id, key, to);
    reply.status = status;
    reply.body = body;
    uint64_t before = n->bytes_out;
    dht_send(n, key, to, &reply, 0);
    core_assert(n->bytes_out - before <= limit);
    n->upload_left -= (int64_t)(n->bytes_out - before);
}

int dht_on_call(struct dht_node *n, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *from, size_t limit, const struct dht_message *m)
{
    if (m->body.size == 0 || m->kind == 0 || !calls(n)) {
        answer_send(n, m->id, sender, from, limit, m->body.size && m->kind ? ERR_FULL : ERR_MALFORMED, bytes_of(NULL, 0));
        return 0;
    }
    struct dht_called *c = &n->calls->called[n->calls->called_next];
    n->calls->called_next = (uint8_t)((n->calls->called_next + 1) % DHT_CALLED);
    n->calls->next_handle = n->calls->next_handle % 0x3fffffffu + 1;
    *c = (struct dht_called){.until = core_time_add(n->now, ANSWER_WITHIN), .handle = n->calls->next_handle, .limit = (uint16_t)limit, .from = *from};
    memcpy(c->id, m->id, DHT_ID_SIZE);
    memcpy(c->key, sender, NODE_KEY_SIZE);
    struct effect *x = dht_notify(n, DHT_NOTICE_CALLED, c->handle);
    size_t room = limit - DATAGRAM_OVERHEAD - DHT_REPLY_HEAD;
    memcpy(x->u.notice.node.key, sender, NODE_KEY_SIZE);
    x->u.notice.node.addr = *from;
    x->u.notice.a = m->kind;
    x->u.notice.b = room < DHT_BODY_MAX ? room : DHT_BODY_MAX;
    memcpy(effects_reserve(n->out, x, (uint32_t)m->body.size), m->body.data, m->body.size);
    effects_commit(n->out, x, (uint32_t)m->body.size);
    return 0;
}

int dht_answer(struct dht_node *n, core_time now, uint32_t handle, int status, struct bytes body, struct effects *out)
{
    for (uint32_t i = 0; n->calls && handle && i < DHT_CALLED; i++) {
        struct dht_called *c = &n->calls->called[i];
        if (c->handle != handle)
            continue;
        if (body.size > DHT_BODY_MAX || body.size + DATAGRAM_OVERHEAD + DHT_REPLY_HEAD > c->limit)
            return ERR_RANGE;
        c->handle = 0;
        if (c->until < now)
            return ERR_NOT_FOUND;
        dht_enter(n, now, out);
        answer_send(n, c->id, c->key, &c->from, c->limit, status, body);
        dht_leave(n);
        return 0;
    }
    return ERR_NOT_FOUND;
}

bool dht_contact_find(const struct dht_node *n, const uint8_t key[NODE_KEY_SIZE], struct net_addr *out)
{
    uint64_t position = dht_position_of(n, key);
    for (int f = 0; f < DHT_FAMILIES; f++) {
        const struct dht_contact *c = n->tables[f] ? dht_table_find(n->tables[f], key, position) : NULL;
        if (!c)
            continue;
        *out = c->addr;
        return true;
    }
    return false;
}

uint64_t dht_unix_ms(const struct dht_node *n, core_time now)
{
    return dht_vote_unix_ms(&n->votes, now);
}
