/* Operations: look-ups driven to their end, what they find told to the owner, signed records stored with the closest. */
#include "dht/node_state.h"
#include "dht/record.h"
#include "node/base/assert.h"
#include <string.h>

#define ROOM_RESERVE 8  /* effects kept for what comes after in the same call */
#define PUTS_PARALLEL 8

struct dht_lookup *dht_lookup_start(struct dht_node *n, enum dht_mode mode, const uint8_t key[DHT_KEY_SIZE], uint16_t width)
{
    struct dht_lookup *l = pool_take(n->env->lookups);
    if (!l)
        return NULL;
    uint8_t families = (uint8_t)((n->tables[DHT_V4] ? DHT_WANT(DHT_V4) : 0) | (n->tables[DHT_V6] ? DHT_WANT(DHT_V6) : 0));
    bool disjoint = mode >= DHT_MODE_GET && dht_network_size(n) >= 8u * n->config->k;
    dht_lookup_init(l, n->config, mode, key, families, disjoint ? n->config->paths : 1, width, n->now);
    for (int f = 0; f < DHT_FAMILIES; f++) {
        const struct dht_contact *closest[2 * DHT_K_MAX];
        if (!n->tables[f])
            continue;
        uint32_t count = dht_table_closest(n->tables[f], l->target, false, closest, 2u * n->config->k);
        if (count == 0)
            count = dht_table_closest(n->tables[f], l->target, true, closest, n->config->k);
        for (uint32_t i = 0; i < count; i++)
            dht_lookup_add(l, n->config, closest[i]->key, get_be64(closest[i]->position), &closest[i]->addr, 0, (uint8_t)(i % l->paths));
    }
    struct dht_lookup **tail = &n->lookups;
    while (*tail)
        tail = &(*tail)->next;
    *tail = l;
    if (mode == DHT_MODE_REFRESH || mode == DHT_MODE_SELF)
        n->refreshing++;
    if (mode == DHT_MODE_ANNOUNCE)
        n->walking++;
    if (mode == DHT_MODE_REPUBLISH)
        n->republishing++;
    return l;
}

void dht_lookup_end(struct dht_node *n, struct dht_lookup *l)
{
    struct dht_lookup **at = &n->lookups;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    dht_pending_forget(&n->pending, l);
    if (l->mode == DHT_MODE_REFRESH || l->mode == DHT_MODE_SELF) {
        n->refreshing--;
        dht_timer_at_most(n, DHT_TIMER_REFRESH, n->now);
    }
    if (l->mode == DHT_MODE_ANNOUNCE) {
        n->walking--;
        dht_timer_at_most(n, DHT_TIMER_ANNOUNCE, dht_time_of(n, n->announce.next_due_s));
    }
    if (l->mode == DHT_MODE_REPUBLISH) {
        n->republishing--;
        dht_timer_at_most(n, DHT_TIMER_REPUBLISH, n->now + CORE_SECONDS(1));
    }
    pool_give(n->env->lookups, l);
}

/* --- what answers bring --- */

static void add_contacts(struct dht_node *n, struct dht_lookup *l, uint16_t teller, uint8_t path, const struct net_addr *from,
                         const struct dht_message *m)
{
    for (int f = 0; f < DHT_FAMILIES; f++)
        for (uint32_t i = 0; n->tables[f] && i < dht_node_count(f, m->contacts[f]) && i < n->config->k; i++) {
            struct node_addr node;
            if (dht_node_from_wire(&node, f, m->contacts[f], i) && memcmp(node.key, n->me->key, NODE_KEY_SIZE) != 0 &&
                dht_scope_tellable(from, &node.addr))
                dht_lookup_add(l, n->config, node.key, dht_position_of(n, node.key), &node.addr, teller, path);
        }
}

static void tell_provider(struct dht_node *n, struct dht_lookup *l, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr)
{
    if (n->room <= 4 || memcmp(key, n->me->key, NODE_KEY_SIZE) == 0 || !dht_lookup_seen(l, get_be64(key), 1))
        return;
    struct effect *x = dht_notify(n, DHT_NOTICE_PROVIDER, l->op);
    memcpy(x->u.notice.node.key, key, NODE_KEY_SIZE);
    x->u.notice.node.addr = *addr;
}

static void tell_record(struct dht_node *n, struct dht_lookup *l, const struct dht_record_view *view, struct bytes wire)
{
    if (n->room <= 4 || !dht_lookup_seen(l, get_be64(view->publisher), view->sequence + 1))
        return;
    struct effect *x = dht_notify(n, DHT_NOTICE_RECORD, l->op);
    memcpy(x->u.notice.node.key, view->publisher, NODE_KEY_SIZE);
    x->u.notice.a = view->sequence;
    memcpy(effects_reserve(n->out, x, (uint32_t)wire.size), wire.data, wire.size);
    effects_commit(n->out, x, (uint32_t)wire.size);
}

void dht_get_own(struct dht_node *n, struct dht_lookup *l)
{
    for (const struct dht_stored *r = dht_storage_first(&n->storage, l->kind, l->key); r; r = dht_storage_next(r)) {
        uint8_t wire[DHT_RECORD_WIRE_MAX];
        struct dht_record_view view;
        if (r->expires_s <= dht_now_s(n) || n->room <= ROOM_RESERVE)
            continue;
        if (l->kind == DHT_PROVIDER) {
            tell_provider(n, l, r->publisher, &r->addr);
            continue;
        }
        dht_stored_copy(r, wire);
        if (dht_record_read(&view, bytes_of(wire, r->size)) == 0)
            tell_record(n, l, &view, bytes_of(wire, r->size));
    }
}

/* Nothing is believed before its signature, and nothing that has expired. */
static void heed_record(struct dht_node *n, struct dht_lookup *l, struct bytes wire)
{
    struct dht_record_view view;
    if (dht_record_read(&view, wire) || view.kind != l->kind || !dht_record_life_s(n, view.kind, view.sequence, view.expiry_s))
        return;
    for (uint32_t i = 0; i < l->seen_count; i++) /* 16 holders bring the same one; a signature costs 50 us */
        if (l->seen[i].id == get_be64(view.publisher) && l->seen[i].sequence > view.sequence)
            return;
    if (dht_record_verify(&view, l->key, n->network, n->env->crypto) == 0)
        tell_record(n, l, &view, wire);
}

static void heed_values(struct dht_node *n, struct dht_lookup *l, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *from,
                        const struct dht_message *m)
{
    if (l->kind == DHT_PROVIDER) {
        for (int f = 0; f < DHT_FAMILIES; f++)
            for (uint32_t i = 0; i < dht_node_count(f, m->providers[f]); i++) {
                struct node_addr node;
                if (dht_node_from_wire(&node, f, m->providers[f], i) && dht_scope_tellable(from, &node.addr))
                    tell_provider(n, l, node.key, &node.addr);
            }
        struct net_addr self = *from;
        self.port = m->self_port ? m->self_port : from->port;
        if (m->has_self)
            tell_provider(n, l, sender, &self);
        return;
    }
    for (uint32_t i = 0; i < m->record_count; i++)
        heed_record(n, l, m->records[i]);
}

/* --- pages: a popular word has more records than one answer holds, and holders send random stretches; so some are read through --- */

#define PAGES_PARALLEL 6
#define PAGE_STRIDE    DHT_REPLY_RECORDS_MAX

static bool page_ask(struct dht_node *n, struct dht_lookup *l, const struct dht_candidate *c, unsigned pager, uint32_t first)
{
    struct dht_message m = {.type = DHT_GET, .key = l->key, .kind = l->kind, .first = first + 1};
    struct dht_pending *p = n->room > ROOM_RESERVE ? dht_ask(n, DHT_ASK_PAGE, c->key, c->position, &c->addr, &m) : NULL;
    if (!p)
        return false;
    p->lookup = l;
    p->tag = (uint16_t)(pager << 12 | first);
    l->paging++;
    return true;
}

static void pager_next(struct dht_node *n, struct dht_lookup *l, const struct dht_candidate *c, unsigned pager)
{
    struct dht_pager *g = &l->pagers[pager];
    if (g->next < g->held && page_ask(n, l, c, pager, g->next))
        g->next = (uint16_t)(g->next + PAGE_STRIDE);
}

static void pager_add(struct dht_node *n, struct dht_lookup *l, const struct dht_candidate *c, const struct dht_message *m)
{
    if (l->kind != DHT_KEYWORD || m->held <= m->record_count || l->pager_count == DHT_PAGERS)
        return;
    unsigned pager = l->pager_count++;
    l->pagers[pager] = (struct dht_pager){.candidate = c->id, .held = (uint16_t)(m->held < DHT_SEEN_MAX ? m->held : DHT_SEEN_MAX)};
    for (int i = 0; i < PAGES_PARALLEL; i++)
        pager_next(n, l, c, pager);
}

void dht_page_reply(struct dht_node *n, struct dht_lookup *l, const struct dht_pending *p, const struct dht_message *m)
{
    unsigned pager = p->tag >> 12;
    uint32_t first = p->tag & 0xfffu, count = m->record_count;
    const struct dht_candidate *c = dht_lookup_find(l, p->key, &p->addr);
    l->paging--;
    if (!c || pager >= l->pager_count || count == 0)
        return;
    heed_values(n, l, p->key, &p->addr, m);
    if (count < PAGE_STRIDE && first + count < l->pagers[pager].held)
        page_ask(n, l, c, pager, first + count); /* larger records than usual */
    else
        pager_next(n, l, c, pager);
}

void dht_lookup_reply(struct dht_node *n, struct dht_lookup *l, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *from,
                      uint64_t rtt_us, const struct dht_message *m)
{
    struct dht_candidate *c = dht_lookup_find(l, sender, from);
    if (!c || (c->state != DHT_ASKED && c->state != DHT_SLOW))
        return;
    dht_lookup_mark_answered(l, c);
    l->rtt_sum_us += (uint32_t)rtt_us;
    c->has_token = m->has_token;
    memcpy(c->token, m->token, DHT_TOKEN_SIZE);
    if (l->mode == DHT_MODE_GET)
        heed_values(n, l, sender, from, m);
    if (l->mode == DHT_MODE_GET)
        pager_add(n, l, c, m);
    add_contacts(n, l, c->id, c->path, from, m);
}

/* --- storing --- */

void dht_refused(struct dht_node *n, struct dht_lookup *l, const struct dht_candidate *c, int status)
{
    l->status = status;
    if (!l->op || l->refused >= DHT_REFUSED_MAX || n->room <= ROOM_RESERVE)
        return;
    l->refused++;
    struct effect *x = dht_notify(n, DHT_NOTICE_REFUSED, l->op);
    x->u.notice.status = status;
    memcpy(x->u.notice.node.key, c->key, NODE_KEY_SIZE);
    x->u.notice.node.addr = c->addr;
}

void dht_store_failed(struct dht_lookup *l, struct dht_candidate *c)
{
    (void)l;
    c->store = c->tries < 2 ? DHT_STORE_NONE : DHT_STORE_FAILED;
}

/* True when no put is under way and none is left to send. */
static bool store_step(struct dht_node *n, struct dht_lookup *l)
{
    uint32_t want = l->radius ? l->cap : n->config->replicas[l->kind], flying = 0;
    struct dht_candidate *c;
    for (uint32_t i = 0; (c = dht_lookup_holder(l, i)); i++)
        flying += c->store == DHT_STORE_SENT;
    for (uint32_t i = 0; (c = dht_lookup_holder(l, i)) && l->stored + flying < want; i++) {
        bool first = c->tries == 0;
        if (c->store != DHT_STORE_NONE || !c->has_token || (first && l->store_asked >= 2 * want))
            continue;
        if (flying >= PUTS_PARALLEL)
            return false;
        if (n->room <= ROOM_RESERVE) {
            n->timers[DHT_TIMER_AGAIN] = n->now;
            return false;
        }
        struct dht_message m = {.type = DHT_PUT, .key = l->key, .kind = l->kind, .record = bytes_of(l->record, l->record_size),
                                .has_token = true};
        memcpy(m.token, c->token, DHT_TOKEN_SIZE);
        struct dht_pending *p = dht_ask(n, DHT_ASK_PUT, c->key, c->position, &c->addr, &m);
        if (!p)
            return false;
        p->lookup = l;
        c->store = DHT_STORE_SENT;
        c->tries++;
        l->store_asked = (uint16_t)(l->store_asked + first);
        flying++;
    }
    return flying == 0;
}

void dht_put_reply(struct dht_node *n, struct dht_lookup *l, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *from,
                   const struct dht_message *m)
{
    struct dht_candidate *c = dht_lookup_find(l, sender, from);
    if (!c || c->store != DHT_STORE_SENT)
        return;
    if (m->status == ERR_AUTH && m->has_token) { /* the token grew old: the answer brings a new one */
        memcpy(c->token, m->token, DHT_TOKEN_SIZE);
        dht_store_failed(l, c);
        return;
    }
    if (l->mode == DHT_MODE_ANNOUNCE) {
        dht_walk_reply(n, l, c, m);
        return;
    }
    int status = m->status ? m->status : m->results.size ? -(int)m->results.data[0] : ERR_MALFORMED;
    c->store = status ? DHT_STORE_REFUSED : DHT_STORE_STORED;
    if (status)
        dht_refused(n, l, c, status);
    else
        l->stored++;
}

void dht_lookup_timeout(struct dht_node *n, const struct dht_pending *p, bool hard)
{
    (void)n;
    struct dht_lookup *l = p->lookup;
    struct dht_candidate *c = dht_lookup_find(l, p->key, &p->addr);
    if (p->purpose == DHT_ASK_PAGE)
        l->paging = (uint16_t)(l->paging - hard);
    if (!c || p->purpose == DHT_ASK_PAGE)
        return;
    if (p->purpose == DHT_ASK_PUT) {
        if (hard && c->store == DHT_STORE_SENT)
            dht_store_failed(l, c);
    } else if (!hard) {
        dht_lookup_mark_slow(l, c);
    } else if (c->state == DHT_ASKED || c->state == DHT_SLOW) {
        dht_lookup_mark_failed(l, c);
    }
}

/* --- the end --- */

static void search_done(struct dht_node *n, struct dht_lookup *l)
{
    for (int f = 0; f < DHT_FAMILIES; f++)
        if (n->tables[f] && l->answered)
            dht_table_touch(n->tables[f], l->target, dht_now_s(n));
    const struct dht_candidate *closest = dht_lookup_holder(l, 0);
    l->depth = closest ? closest->depth : 0;
    /* Only targets that we chose ourselves say something about the size of the network; others an attacker may have picked. */
    if (l->mode == DHT_MODE_REFRESH || l->mode == DHT_MODE_SELF)
        dht_vote_size(&n->votes, dht_lookup_estimate(l, l->width));
    n->lookups_done += l->answered > 0;
    n->lookups_failed += l->answered == 0;
    n->hops_sum += l->depth;
}

static int end_status(const struct dht_lookup *l)
{
    int nobody = l->asked ? ERR_TIMEOUT : ERR_NOT_FOUND;
    switch (l->mode) {
    case DHT_MODE_GET:
        return l->seen_count ? 0 : l->answered ? ERR_NOT_FOUND : nobody;
    case DHT_MODE_PUT:
        return l->stored ? 0 : l->status ? l->status : nobody;
    default:
        return l->answered ? 0 : nobody;
    }
}

static void self_done(struct dht_node *n)
{
    uint32_t live = dht_live(n);
    if (n->joined || live == 0)
        return;
    n->joined = true;
    dht_notify(n, DHT_NOTICE_JOINED, 0)->u.notice.a = live;
    for (int f = 0; f < DHT_FAMILIES; f++)
        if (n->tables[f] && dht_table_depth(n->tables[f]) > n->fill_bucket)
            n->fill_bucket = (uint8_t)dht_table_depth(n->tables[f]);
    n->timers[DHT_TIMER_REFRESH] = n->now;
    dht_timer_at_most(n, DHT_TIMER_ANNOUNCE, dht_time_of(n, n->announce.next_due_s));
    dht_timer_at_most(n, DHT_TIMER_PERSIST, n->now + CORE_SECONDS(30));
}

/* False: no room for the notices, later. */
static bool operation_end(struct dht_node *n, struct dht_lookup *l)
{
    if (n->room < n->config->k + 2u + ROOM_RESERVE / 2)
        return false;
    if (l->mode == DHT_MODE_ANNOUNCE && !dht_walk_finish(n, l))
        return false;
    const struct dht_candidate *c;
    for (uint32_t i = 0; l->mode == DHT_MODE_FIND && i < n->config->k && (c = dht_lookup_holder(l, i)); i++) {
        struct effect *x = dht_notify(n, DHT_NOTICE_NODE, l->op);
        memcpy(x->u.notice.node.key, c->key, NODE_KEY_SIZE);
        x->u.notice.node.addr = c->addr;
    }
    if (l->op && (l->mode == DHT_MODE_FIND || l->mode == DHT_MODE_GET || l->mode == DHT_MODE_PUT)) {
        struct effect *x = dht_notify(n, DHT_NOTICE_DONE, l->op);
        x->u.notice.status = end_status(l);
        x->u.notice.a = l->mode == DHT_MODE_PUT ? l->stored : l->answered;
        x->u.notice.b = l->mode == DHT_MODE_PUT ? l->store_asked : l->asked;
    }
    if (l->mode == DHT_MODE_SELF)
        self_done(n);
    dht_lookup_end(n, l);
    return true;
}

static bool ask_more(struct dht_node *n, struct dht_lookup *l)
{
    for (struct dht_candidate *c; (c = dht_lookup_next(l, n->config));) {
        if (n->room <= ROOM_RESERVE) {
            n->timers[DHT_TIMER_AGAIN] = n->now;
            return false;
        }
        struct dht_message m = {.type = l->mode == DHT_MODE_GET ? DHT_GET : DHT_FIND, .key = l->key};
        m.kind = l->mode == DHT_MODE_GET ? l->kind : 0;
        struct dht_pending *p = dht_ask(n, DHT_ASK_LOOKUP, c->key, c->position, &c->addr, &m);
        if (!p && n->pending.used == n->pending.count)
            return false; /* a slot that comes free moves us on */
        if (p)
            p->lookup = l;
        c->state = p ? DHT_ASKED : DHT_FAILED;
        l->asked++;
    }
    return true;
}

static void lookup_step(struct dht_node *n, struct dht_lookup *l, bool may_end)
{
    if (!l->storing) {
        bool widens = l->mode >= DHT_MODE_GET;
        do {
            if (!ask_more(n, l) || !dht_lookup_finished(l, n->config))
                return;
        } while (widens && dht_lookup_widen(l, n->config, dht_network_size(n)));
        if (l->paging)
            return;
        if (!may_end) {
            n->timers[DHT_TIMER_AGAIN] = n->now;
            return;
        }
        search_done(n, l);
        l->storing = true;
    }
    bool stores = l->mode == DHT_MODE_PUT || l->mode == DHT_MODE_REPUBLISH;
    if ((stores && !store_step(n, l)) || (l->mode == DHT_MODE_ANNOUNCE && !dht_walk_store(n, l)))
        return;
    if (!may_end || !operation_end(n, l))
        n->timers[DHT_TIMER_AGAIN] = n->now;
}

void dht_progress(struct dht_node *n, bool may_end)
{
    for (struct dht_lookup *l = n->lookups, *next; l; l = next) {
        next = l->next;
        lookup_step(n, l, may_end);
    }
}
