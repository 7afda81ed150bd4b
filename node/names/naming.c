/* Life, operations, and which part a notice of the DHT belongs to. What is to be done is marked where it arises and begun in the steps at the end
 * of every entry, as far as the batch has room; the rest follows at once by the deadline. */
#include "node/names/naming_internal.h"

struct naming *naming_new(const struct naming_config *config)
{
    struct naming *n = config->alloc->alloc(config->alloc->context, sizeof *n);
    if (!n)
        return NULL;
    n->config = *config;
    rng_init(&n->rng, config->seed, 2);
    n->peers_at = n->publish_at = n->renew_at = n->list.next = n->deadline = CORE_NEVER;
    return n;
}

void naming_free(struct naming *n)
{
    if (!n)
        return;
    naming_peers_free(n);
    naming_list_free(n);
    naming_searches_free(n);
    naming_give(n, n->watchers);
    naming_give(n, n->nicks);
    naming_give(n, n);
}

/* ---- Operations ---- */

uint32_t naming_op_number(const struct naming *n, const struct op *op)
{
    return NAMING_OP_BIT | (uint32_t)op->generation << 8 | (uint32_t)(op - n->ops);
}

struct op *naming_op_take(struct naming *n, enum op_type type)
{
    for (uint32_t i = 0; i < NAMING_OPS_MAX; i++) {
        struct op *op = &n->ops[i];
        if (op->type != OP_FREE)
            continue;
        uint16_t generation = (uint16_t)(op->generation + 1);
        memset(op, 0, sizeof *op);
        op->generation = generation;
        op->type = (uint8_t)type;
        n->op_count++;
        return op;
    }
    return NULL;
}

void naming_op_give(struct naming *n, struct op *op)
{
    core_assert(op->type != OP_FREE);
    op->type = OP_FREE;
    n->op_count--;
}

void naming_ops_drop(struct naming *n, enum op_type type, uint32_t ref)
{
    for (uint32_t i = 0; i < NAMING_OPS_MAX; i++) {
        struct op *op = &n->ops[i];
        if (op->type != type || op->ref != ref)
            continue;
        dht_cancel(n->config.dht, naming_op_number(n, op));
        naming_op_give(n, op);
    }
}

bool naming_later(struct naming *n, int status)
{
    n->later = n->later || status == ERR_FULL;
    return status == ERR_FULL;
}

uint32_t naming_op_count(const struct naming *n, enum op_type type)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < NAMING_OPS_MAX; i++)
        count += n->ops[i].type == type;
    return count;
}

static struct op *op_find(struct naming *n, uint32_t number)
{
    uint32_t slot = number & 0xff;
    if (!naming_is_op(number) || slot >= NAMING_OPS_MAX)
        return NULL;
    struct op *op = &n->ops[slot];
    return op->type != OP_FREE && naming_op_number(n, op) == number ? op : NULL;
}

/* ---- Small services ---- */

struct effect *naming_notify(struct effects *out, uint32_t kind, uint32_t op)
{
    struct effect *x = effects_add(out, EFFECT_NOTICE);
    x->u.notice.kind = kind;
    x->u.notice.op = op;
    return x;
}

void naming_notify_bytes(struct effects *out, struct effect *x, const void *data, size_t size)
{
    memcpy(effects_reserve(out, x, (uint32_t)size), data, size);
    effects_commit(out, x, (uint32_t)size);
}

uint64_t naming_unix_ms(const struct naming *n, core_time now)
{
    return dht_unix_ms(n->config.dht, now);
}

bool naming_address_ok(const struct naming *n, const struct net_addr *addr)
{
    struct node_addr contacts[32];
    enum net_scope scope = net_addr_scope(addr);
    if (addr->port == 0 || scope == NET_SCOPE_INVALID)
        return false;
    if (scope == NET_SCOPE_GLOBAL)
        return true;
    uint32_t count = dht_contacts(n->config.dht, contacts, 32);
    for (uint32_t i = 0; i < count; i++) {
        if (net_addr_scope(&contacts[i].addr) == scope)
            return true;
    }
    return false;
}

/* ---- Claimants of a nickname ---- */

int naming_claimants(struct naming *n, core_time now, const char *nickname, uint32_t owner, struct effects *out)
{
    if (name_check(nickname, NULL) != 0)
        return ERR_MALFORMED;
    if (!n->nicks)
        n->nicks = naming_alloc(n, NICKS_MAX * sizeof *n->nicks);
    for (uint32_t i = 0; n->nicks && i < NICKS_MAX; i++) {
        struct nick *k = &n->nicks[i];
        if (k->owner)
            continue;
        memset(k, 0, sizeof *k);
        k->owner = owner;
        name_fold(k->folded, nickname);
        naming_wake(n, now, out);
        return 0;
    }
    return ERR_FULL;
}

static void nick_end(struct nick *k, int status, struct effects *out)
{
    naming_notify(out, NAMING_NOTICE_DONE, k->owner)->u.notice.status = status;
    k->owner = 0;
}

static void nicks_step(struct naming *n, core_time now, struct effects *out)
{
    for (uint32_t i = 0; n->nicks && i < NICKS_MAX; i++) {
        struct nick *k = &n->nicks[i];
        uint8_t key[DHT_KEY_SIZE];
        if (!k->owner || k->started || !naming_room(n, out))
            continue;
        struct op *op = naming_op_take(n, OP_GET_NICK);
        if (!op)
            return; /* an op that ends calls again */
        op->ref = i;
        nick_key(key, k->folded, n->config.network, n->config.crypto);
        int status = dht_get(n->config.dht, now, DHT_NICK, key, naming_op_number(n, op), out);
        k->started = status == 0;
        if (status == 0)
            continue;
        naming_op_give(n, op);
        if (!naming_later(n, status))
            nick_end(k, status, out);
    }
}

static void nick_notice(struct naming *n, struct op *op, const struct effect *x, struct bytes bytes, struct effects *out)
{
    struct nick *k = &n->nicks[op->ref];
    struct dht_record_view view;
    char name[NAME_SIZE], folded[NAME_SIZE];
    if (x->u.notice.kind == DHT_NOTICE_DONE) {
        naming_op_give(n, op);
        if (k->owner)
            nick_end(k, k->count ? 0 : x->u.notice.status, out);
        return;
    }
    if (x->u.notice.kind != DHT_NOTICE_RECORD || !k->owner || dht_record_read(&view, bytes) != 0)
        return;
    if (nick_read(name, view.value) != 0) {
        n->counters.malformed++;
        return;
    }
    name_fold(folded, name);
    if (strcmp(folded, k->folded) != 0) {
        n->counters.forged++; /* holders cannot tell whether a record belongs under its key; we can */
        return;
    }
    for (uint32_t i = 0; i < k->count; i++) {
        if (memcmp(k->seen[i], view.publisher, sizeof k->seen[i]) == 0)
            return;
    }
    if (k->count == CLAIMANTS_MAX)
        return;
    memcpy(k->seen[k->count++], view.publisher, sizeof k->seen[0]);
    struct effect *c = naming_notify(out, NAMING_NOTICE_CLAIMANT, k->owner);
    memcpy(c->u.notice.node.key, view.publisher, NODE_KEY_SIZE);
    naming_notify_bytes(out, c, name, strlen(name));
}

/* ---- Asked by others ---- */

static void asked(struct naming *n, core_time now, const struct effect *x, struct bytes bytes, struct effects *out)
{
    struct ask_request q;
    struct ask_answer a;
    uint8_t body[DHT_BODY_MAX];
    struct node_addr from = {.addr = x->u.notice.node.addr};
    memcpy(from.key, x->u.notice.node.key, NODE_KEY_SIZE);
    size_t cap = x->u.notice.b < sizeof body ? (size_t)x->u.notice.b : sizeof body;
    int status = ask_request_read(&q, bytes);
    memset(&a, 0, sizeof a);
    n->counters.queries++;
    if (status == 0 && q.what == ASK_PROFILE) {
        naming_profile_asked(n, now, &from, &q, &a);
    } else if (status == 0 && q.what == ASK_NEWS) {
        naming_news(n, now, from.key, q.record, &a, out);
    } else if (status == 0 && q.what == ASK_SEARCH && q.word_count) {
        char words[NAMING_QUERY_WORDS][WORD_SIZE];
        for (uint32_t i = 0; i < q.word_count; i++) {
            memcpy(words[i], q.words[i].data, q.words[i].size);
            words[i][q.words[i].size] = 0;
        }
        a.found = naming_list_find(n, words, q.word_count, q.from, a.hits, ASK_HITS_MAX, &a.hit_count);
    } else {
        n->counters.malformed += status != 0;
        status = status ? status : ERR_UNSUPPORTED;
    }
    size_t size = status == 0 ? ask_answer_write(body, cap, &a, NULL) : 0;
    dht_answer(n->config.dht, now, x->u.notice.op, status, bytes_of(body, size), out);
}

/* ---- Entry points ---- */

void naming_notice(struct naming *n, core_time now, const struct effect *x, struct bytes bytes, struct effects *out)
{
    if (x->u.notice.kind == DHT_NOTICE_CALLED) {
        asked(n, now, x, bytes, out);
        naming_wake(n, now, out);
        return;
    }
    struct op *op = op_find(n, x->u.notice.op);
    switch (op ? op->type : OP_FREE) {
    case OP_FREE:
        return;
    case OP_GET_PROFILE:
    case OP_CALL_PROFILE:
    case OP_PUT_PEER:
        naming_peer_notice(n, now, op, x, bytes, out);
        break;
    case OP_PUT_OWN:
    case OP_PUT_NICK:
    case OP_GET_OWN:
    case OP_PUSH:
        naming_own_notice(n, now, op, x, bytes, out);
        break;
    case OP_GET_NICK:
        nick_notice(n, op, x, bytes, out);
        break;
    case OP_PUT_WORD:
        naming_list_notice(n, now, op, x);
        break;
    default:
        naming_search_notice(n, now, op, x, bytes, out);
    }
    naming_wake(n, now, out);
}

void naming_cancel(struct naming *n, uint32_t owner)
{
    for (uint32_t i = 0; n->nicks && i < NICKS_MAX; i++) {
        if (n->nicks[i].owner != owner)
            continue;
        naming_ops_drop(n, OP_GET_NICK, i);
        n->nicks[i].owner = 0;
    }
    for (uint32_t i = 0; n->searches && i < SEARCHES_MAX; i++) {
        if (n->searches[i].owner == owner)
            naming_search_end(n, &n->searches[i], 0, NULL);
    }
}

static void deadline_set(struct naming *n, core_time now)
{
    core_time t = core_time_min(n->peers_at, core_time_min(n->renew_at, n->list.next));
    if (!n->own_putting)
        t = core_time_min(t, n->publish_at); /* else the end of the put calls: a deadline that stays in the past would spin the loop */
    t = core_time_min(t, naming_search_deadline(n));
    if (n->later)
        t = core_time_min(t, core_time_add(now, RETRY));
    n->deadline = n->again ? now : t;
}

void naming_wake(struct naming *n, core_time now, struct effects *out)
{
    n->again = n->later = false;
    naming_own_step(n, now, out);
    naming_peers_step(n, now, out);
    nicks_step(n, now, out);
    naming_search_step(n, now, out);
    naming_list_step(n, now, out);
    deadline_set(n, now);
}

core_time naming_deadline(const struct naming *n)
{
    return n->deadline;
}

void naming_counters(const struct naming *n, struct naming_counters *out)
{
    *out = n->counters;
}

void naming_check(const struct naming *n)
{
    uint32_t ops = 0, peers = 0, pinned = 0, wanting = 0;
    for (uint32_t i = 0; i < NAMING_OPS_MAX; i++)
        ops += n->ops[i].type != OP_FREE;
    core_assert(ops == n->op_count);
    for (uint32_t i = 0; i < CHAINS; i++) {
        for (const struct peer *p = n->chains[i]; p; p = p->next) {
            core_assert(p->key[0] % CHAINS == i);
            core_assert((p->record != NULL) == (p->profile != NULL));
            peers++;
            pinned += p->pinned;
            wanting += p->get_wanted || p->call_wanted;
        }
    }
    core_assert(peers == n->peer_count && pinned == n->pinned_count && wanting == n->wanting);
    core_assert(peers - pinned <= n->config.cache_max + NAMING_OPS_MAX);
}
