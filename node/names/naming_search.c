/* A search: who lists every word (the DHT's keyword records), then each of them asked itself. A record in the index is only a pointer: what nobody
 * answers for is not shown, and what an answer holds must have the words. Per node at most HITS_PER_NODE things are heard. */
#include "node/names/naming_internal.h"

#define PUBLISHERS_MAX 512
#define HITS_PER_NODE  100
#define PAGES_PER_NODE 8
#define CALLS_PER_SEARCH 48
#define ASKED_AT_ONCE    12 /* the first publishers of a word need not be found under the others to be asked */
#define RARE_MAX         24 /* nor need those of a word that so few have */

void naming_search_end(struct naming *n, struct search *s, int status, struct effects *out)
{
    uint32_t slot = (uint32_t)(s - n->searches);
    naming_ops_drop(n, OP_GET_WORD, slot);
    naming_ops_drop(n, OP_CALL_SEARCH, slot);
    if (out) {
        struct effect *x = naming_notify(out, NAMING_NOTICE_DONE, s->owner);
        x->u.notice.status = status;
        x->u.notice.a = s->answered;
        x->u.notice.b = s->count;
    }
    naming_give(n, s->publishers);
    memset(s, 0, sizeof *s);
}

void naming_searches_free(struct naming *n)
{
    for (uint32_t i = 0; n->searches && i < SEARCHES_MAX; i++)
        naming_give(n, n->searches[i].publishers);
    naming_give(n, n->searches);
}

core_time naming_search_deadline(const struct naming *n)
{
    core_time t = CORE_NEVER;
    for (uint32_t i = 0; n->searches && i < SEARCHES_MAX; i++) {
        if (n->searches[i].owner)
            t = core_time_min(t, n->searches[i].deadline);
    }
    return t;
}

static void hit(struct search *s, const struct node_addr *node, const struct ask_hit *h, struct effects *out)
{
    uint8_t bytes[CONTENT_ID_SIZE + NAMING_HIT_NAME_MAX];
    struct effect *x = naming_notify(out, NAMING_NOTICE_HIT, s->owner);
    memcpy(x->u.notice.node.key, node->key, NODE_KEY_SIZE);
    x->u.notice.node.addr = node->addr;
    content_id_pack(bytes, &h->id);
    memcpy(bytes + CONTENT_ID_SIZE, h->name.data, h->name.size);
    naming_notify_bytes(out, x, bytes, CONTENT_ID_SIZE + h->name.size);
}

static void own_hits(struct naming *n, struct search *s, struct effects *out)
{
    struct ask_hit hits[ASK_HITS_MAX];
    struct node_addr me = {.addr = n->own.profile.addresses[0]};
    uint32_t filled;
    memcpy(me.key, n->config.me->key, NODE_KEY_SIZE);
    naming_list_find(n, s->words, s->word_count, 0, hits, ASK_HITS_MAX, &filled);
    for (uint32_t i = 0; i < filled; i++)
        hit(s, &me, &hits[i], out);
}

int naming_search(struct naming *n, core_time now, const char *text, core_time deadline, uint32_t owner, struct effects *out)
{
    if (!n->searches)
        n->searches = naming_alloc(n, SEARCHES_MAX * sizeof *n->searches);
    for (uint32_t i = 0; n->searches && i < SEARCHES_MAX; i++) {
        struct search *s = &n->searches[i];
        if (s->owner)
            continue;
        memset(s, 0, sizeof *s);
        s->word_count = words_split(s->words, NAMING_QUERY_WORDS, text);
        if (s->word_count == 0)
            return ERR_MALFORMED;
        s->owner = owner;
        s->deadline = deadline;
        own_hits(n, s, out);
        naming_wake(n, now, out);
        return 0;
    }
    return ERR_FULL;
}

/* ---- The index ---- */

static struct publisher *publisher_get(struct naming *n, struct search *s, const uint8_t key[NODE_KEY_SIZE])
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (memcmp(s->publishers[i].key, key, NODE_KEY_SIZE) == 0)
            return &s->publishers[i];
    }
    if (s->count == PUBLISHERS_MAX || memcmp(key, n->config.me->key, NODE_KEY_SIZE) == 0)
        return NULL;
    if (s->count == s->cap) {
        uint32_t cap = s->cap ? 2 * s->cap : 16;
        struct publisher *more = naming_alloc(n, cap * sizeof *more);
        if (!more)
            return NULL;
        if (s->count)
            memcpy(more, s->publishers, s->count * sizeof *more);
        naming_give(n, s->publishers);
        s->publishers = more;
        s->cap = cap;
    }
    struct publisher *p = &s->publishers[s->count++];
    memset(p, 0, sizeof *p);
    memcpy(p->key, key, NODE_KEY_SIZE);
    return p;
}

static void indexed(struct naming *n, struct search *s, uint32_t word, struct bytes record)
{
    struct dht_record_view view;
    struct keyword k;
    if (dht_record_read(&view, record) != 0)
        return;
    if (keyword_read(&k, view.value) != 0) {
        n->counters.malformed++;
        return;
    }
    struct publisher *p = publisher_get(n, s, view.publisher);
    if (!p)
        return;
    s->listed[word] += !(p->words >> word & 1u);
    p->words |= (uint8_t)(1u << word);
    for (uint32_t i = 0; i < k.address_count && p->address_count == i; i++)
        p->addresses[p->address_count++] = k.addresses[i];
    if (p->state == PUBLISHER_PART && (p->words == (1u << s->word_count) - 1 || s->listed[word] <= ASKED_AT_ONCE))
        p->state = PUBLISHER_READY;
}

/* All publishers of this word are known: when they are few, each is asked, and then nothing can be missing. */
static void word_done(struct search *s, uint32_t word)
{
    s->done[word] = true;
    for (uint32_t i = 0; s->listed[word] <= RARE_MAX && i < s->count; i++) {
        struct publisher *p = &s->publishers[i];
        if (p->state == PUBLISHER_PART && (p->words >> word & 1u))
            p->state = PUBLISHER_READY;
    }
}

/* Whoever has all the words is among the publishers of each: one word all of whose publishers have had their say is enough. */
static bool complete(const struct search *s)
{
    for (uint32_t word = 0; word < s->word_count; word++) {
        bool all = s->done[word];
        for (uint32_t i = 0; all && i < s->count; i++) {
            const struct publisher *p = &s->publishers[i];
            all = !(p->words >> word & 1u) || p->state == PUBLISHER_ANSWERED || p->state == PUBLISHER_SILENT;
        }
        if (all)
            return true;
    }
    return false;
}

static bool get_start(struct naming *n, core_time now, uint32_t slot, struct effects *out)
{
    struct search *s = &n->searches[slot];
    uint8_t key[DHT_KEY_SIZE];
    struct op *op = naming_op_take(n, OP_GET_WORD);
    if (!op)
        return false;
    op->ref = slot;
    op->sub = s->gets_started;
    keyword_key(key, s->words[op->sub], n->config.network, n->config.crypto);
    int status = dht_get(n->config.dht, now, DHT_KEYWORD, key, naming_op_number(n, op), out);
    if (status != 0) {
        naming_op_give(n, op);
        if (naming_later(n, status))
            return false;
    }
    if (status == 0)
        s->gets_open++;
    else
        word_done(s, s->gets_started);
    s->gets_started++;
    return true;
}

/* ---- Asking ---- */

/* Where it is a contact of ours first: that address answered us; then what the record says. */
static bool next_address(const struct naming *n, struct publisher *p, struct net_addr *out)
{
    for (; p->tried <= p->address_count; p->tried++) {
        if (p->tried == 0) {
            if (!dht_contact_find(n->config.dht, p->key, out))
                continue;
        } else {
            *out = p->addresses[p->tried - 1];
        }
        if (naming_address_ok(n, out))
            return true;
    }
    return false;
}

/* False: no more calls now. */
static bool call_start(struct naming *n, core_time now, uint32_t slot, struct publisher *p, struct effects *out)
{
    struct search *s = &n->searches[slot];
    struct node_addr to;
    uint8_t body[DHT_BODY_MAX];
    struct ask_request q = {.what = ASK_SEARCH, .word_count = s->word_count, .from = p->from};
    if (!next_address(n, p, &to.addr)) {
        p->state = p->from ? PUBLISHER_ANSWERED : PUBLISHER_SILENT;
        return true;
    }
    struct op *op = naming_op_take(n, OP_CALL_SEARCH);
    if (!op)
        return false;
    for (uint32_t i = 0; i < s->word_count; i++)
        q.words[i] = bytes_of(s->words[i], strlen(s->words[i]));
    memcpy(to.key, p->key, NODE_KEY_SIZE);
    memcpy(op->key, p->key, NODE_KEY_SIZE);
    op->ref = slot;
    size_t size = ask_request_write(body, sizeof body, &q);
    int status = size ? dht_call(n->config.dht, now, &to, NAMING_SERVICE, bytes_of(body, size), naming_op_number(n, op), out) : ERR_RANGE;
    if (status == 0) {
        p->state = PUBLISHER_CALLED;
        s->calls_open++;
        return true;
    }
    naming_op_give(n, op);
    if (naming_later(n, status))
        return false;
    p->tried++;
    return true;
}

static void answered(struct naming *n, struct search *s, struct publisher *p, const struct effect *x, struct bytes bytes, struct effects *out)
{
    struct ask_answer a;
    struct node_addr node = {.addr = x->u.notice.node.addr};
    if (x->u.notice.status != 0 || ask_answer_read(&a, bytes) != 0) {
        p->tried++;
        p->state = PUBLISHER_READY; /* its next address, or silence */
        return;
    }
    memcpy(node.key, p->key, NODE_KEY_SIZE);
    s->answered += p->from == 0;
    for (uint32_t i = 0; i < a.hit_count; i++) {
        char name[NAMING_HIT_NAME_MAX + 1];
        memcpy(name, a.hits[i].name.data, a.hits[i].name.size);
        name[a.hits[i].name.size] = 0;
        if (naming_name_has(name, s->words, s->word_count))
            hit(s, &node, &a.hits[i], out);
        else
            n->counters.forged++; /* offers what was not asked for */
    }
    p->from += a.hit_count;
    p->pages++;
    bool more = a.hit_count && p->from < a.found && p->from < HITS_PER_NODE && p->pages < PAGES_PER_NODE;
    p->state = more ? PUBLISHER_READY : PUBLISHER_ANSWERED;
}

void naming_search_notice(struct naming *n, core_time now, struct op *op, const struct effect *x, struct bytes bytes, struct effects *out)
{
    (void)now;
    struct search *s = &n->searches[op->ref];
    uint32_t kind = x->u.notice.kind;
    core_assert(s->owner);
    if (op->type == OP_GET_WORD && kind == DHT_NOTICE_RECORD) {
        indexed(n, s, op->sub, bytes);
    } else if (op->type == OP_GET_WORD && kind == DHT_NOTICE_DONE) {
        uint32_t word = op->sub;
        naming_op_give(n, op);
        s->gets_open--;
        word_done(s, word);
    } else if (op->type == OP_CALL_SEARCH && kind == DHT_NOTICE_ANSWER) {
        struct publisher *p = publisher_get(n, s, op->key);
        naming_op_give(n, op);
        s->calls_open--;
        if (p)
            answered(n, s, p, x, bytes, out);
    }
}

static void step(struct naming *n, core_time now, uint32_t slot, struct effects *out)
{
    struct search *s = &n->searches[slot];
    while (s->gets_started < s->word_count && naming_room(n, out) && get_start(n, now, slot, out))
        ;
    bool ready = false;
    for (uint32_t i = 0; i < s->count; i++) {
        struct publisher *p = &s->publishers[i];
        while (p->state == PUBLISHER_READY && s->calls_open < CALLS_PER_SEARCH && naming_room(n, out) && call_start(n, now, slot, p, out))
            ;
        ready = ready || p->state == PUBLISHER_READY;
    }
    bool done = complete(s) || (s->gets_started == s->word_count && s->gets_open == 0 && s->calls_open == 0 && !ready);
    if (done || s->deadline <= now)
        naming_search_end(n, s, done ? 0 : ERR_TIMEOUT, out);
}

void naming_search_step(struct naming *n, core_time now, struct effects *out)
{
    for (uint32_t i = 0; n->searches && i < SEARCHES_MAX; i++) {
        if (n->searches[i].owner)
            step(n, now, i, out);
    }
}
