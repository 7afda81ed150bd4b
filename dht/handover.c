/* A node that is new to us and lies among the holders of a signed record gets it from us at once, not at the
 * next daily republishing: a crowd of newcomers near a key would otherwise push its holders out of every
 * look-up (Maymounkov and Mazieres 2002, 2.5). Of the holders only the one nearest to the key hands it on.
 * What it costs is bounded: only who answered our challenge and has a place in the table is a newcomer; one
 * at a time, one record at a time, and HANDOVER_BURST records at once, then one in HANDOVER_EVERY. What is
 * over that waits for the republishing. */
#include "dht/node_state.h"
#include "node/base/assert.h"
#include <string.h>

#define SCAN_PER_STEP  512
#define HANDOVER_BURST 64 /* records; a node of a large network holds some 8 profiles and as many nicknames  \
                           */
#define HANDOVER_EVERY CORE_SECONDS(10)
#define WAIT           CORE_SECONDS(10) /* who is gone again by then gets nothing */
#define BETWEEN        CORE_MS(20)      /* from one newcomer, or stretch of records, to the next */
#define TRIES          3

struct dht_handover { /* to one newcomer */
    uint8_t key[NODE_KEY_SIZE], token[DHT_TOKEN_SIZE];
    uint64_t position;
    struct net_addr addr;
    uint32_t cursor; /* into the heap of records, which moves meanwhile: one given twice or left out does no
                        harm */
    uint8_t tries;   /* of the record under the cursor */
    bool has_token, asked;
};

void dht_handover_free(struct dht_node *n)
{
    n->env->alloc->free(n->env->alloc->context, n->handover);
    n->handover = NULL;
}

static void end(struct dht_node *n)
{
    dht_handover_free(n);
    n->timers[DHT_TIMER_HANDOVER] = n->now + BETWEEN;
}

void dht_handover_newcomer(struct dht_node *n, struct dht_contact *c)
{
    if (!n->joined || n->storage.kind_count[DHT_PROFILE] + n->storage.kind_count[DHT_NICK] == 0)
        return;
    c->flags |= DHT_CONTACT_NEW;
    if (!n->handover)
        dht_timer_at_most(n, DHT_TIMER_HANDOVER, n->now + CORE_MS(rng_jitter(&n->rng, WAIT / 1000, 25)));
}

/* The next newcomer. False: there is none, or no memory for it. */
static bool begin(struct dht_node *n)
{
    struct dht_contact *c = NULL;
    for (int f = 0; f < DHT_FAMILIES && !c; f++)
        c = n->tables[f] ? dht_table_new(n->tables[f]) : NULL;
    if (!c)
        return false;
    c->flags &= (uint8_t)~DHT_CONTACT_NEW;
    n->handover = n->env->alloc->alloc(n->env->alloc->context, sizeof *n->handover);
    if (!n->handover) {
        n->timers[DHT_TIMER_HANDOVER] = n->now + WAIT;
        return false;
    }
    *n->handover = (struct dht_handover){.position = get_be64(c->position), .addr = c->addr};
    memcpy(n->handover->key, c->key, NODE_KEY_SIZE);
    return true;
}

/* Is it one of the record's holders by its place (beside us, as in a put of ours), and are we the nearest of
 * the others? */
static bool is_due(const struct dht_node *n, const struct dht_stored *r)
{
    const struct dht_handover *h = n->handover;
    if (!r->republish_s || r->expires_s <= dht_now_s(n) || memcmp(r->publisher, h->key, NODE_KEY_SIZE) == 0)
        return false; /* its publisher renews it, or keeps its own */
    const struct dht_contact *closest[DHT_K_MAX + 1];
    uint64_t target = get_be64(r->key), theirs = h->position ^ target, ours = n->self ^ target;
    uint32_t nearer = 0, holders = n->config->replicas[r->kind];
    uint32_t found =
        dht_table_closest(n->tables[dht_family_of(&h->addr)], target, false, closest, holders + 1u);
    for (uint32_t i = 0; i < found; i++) {
        uint64_t distance = get_be64(closest[i]->position) ^ target;
        if (distance == theirs)
            continue;
        if (distance < ours)
            return false;
        nearer += distance < theirs;
    }
    return nearer < holders;
}

/* One record of the bucket that fills by one in HANDOVER_EVERY. */
static bool allowed(struct dht_node *n)
{
    core_time from = n->handover_at > n->now ? n->handover_at : n->now;
    if (from - n->now > (HANDOVER_BURST - 1) * HANDOVER_EVERY)
        return false;
    n->handover_at = from + HANDOVER_EVERY;
    return true;
}

/* A ping for its token first, then the record. */
static bool ask(struct dht_node *n, const struct dht_stored *r)
{
    const struct dht_handover *h = n->handover;
    uint8_t wire[DHT_RECORD_WIRE_MAX];
    struct dht_message m = {.type = DHT_PING};
    if (h->has_token) {
        dht_stored_copy(r, wire);
        m = (struct dht_message){.type = DHT_PUT,
                                 .key = r->key,
                                 .kind = r->kind,
                                 .record = bytes_of(wire, r->size),
                                 .has_token = true};
        memcpy(m.token, h->token, DHT_TOKEN_SIZE);
    }
    return n->room > 8 && dht_ask(n, DHT_ASK_HANDOVER, h->key, h->position, &h->addr, &m);
}

static bool still_here(const struct dht_node *n)
{
    const struct dht_handover *h = n->handover;
    const struct dht_contact *c = dht_table_find(n->tables[dht_family_of(&h->addr)], h->key, h->position);
    return c && net_addr_equal(&c->addr, &h->addr) && dht_contact_fails(c) < DHT_FAILS_FLAKY;
}

void dht_handover_step(struct dht_node *n)
{
    if ((n->handover && n->handover->asked) || (!n->handover && !begin(n)))
        return; /* the answer, or the next newcomer, calls again */
    struct dht_handover *h = n->handover;
    if (!still_here(n)) {
        end(n);
        return;
    }
    for (uint32_t i = 0; i < SCAN_PER_STEP; i++, h->cursor++, h->tries = 0) {
        const struct dht_stored *r = h->cursor < n->storage.count ? n->storage.heap[h->cursor] : NULL;
        if (r && !is_due(n, r))
            continue;
        if (!r || (h->tries == 0 && !allowed(n))) {
            end(n);
            return;
        }
        h->asked = ask(n, r);
        if (!h->asked && h->tries == 0)
            n->handover_at -= HANDOVER_EVERY; /* no slot for the request; nothing was spent */
        h->tries = (uint8_t)(h->tries + h->asked);
        n->timers[DHT_TIMER_HANDOVER] = h->asked ? CORE_NEVER : n->now + CORE_SECONDS(1);
        return;
    }
    n->timers[DHT_TIMER_HANDOVER] = n->now + BETWEEN;
}

void dht_handover_reply(struct dht_node *n, const struct dht_message *m)
{
    struct dht_handover *h = n->handover;
    core_assert(h && h->asked);
    bool put = h->has_token;
    h->asked = false;
    h->has_token = m->has_token;
    memcpy(h->token, m->token, DHT_TOKEN_SIZE);
    n->timers[DHT_TIMER_HANDOVER] = n->now;
    if (put && m->status != ERR_AUTH) { /* taken or refused: the next republishing would hear the same */
        h->cursor++;
        h->tries = 0;
    } else if (h->tries >= TRIES || !h->has_token) { /* a ping, a token that grew old, once more: enough */
        end(n);
    }
}

void dht_handover_timeout(struct dht_node *n)
{
    core_assert(n->handover && n->handover->asked);
    end(n);
}

void dht_handover_check(const struct dht_node *n)
{
    const struct dht_handover *h = n->handover;
    uint32_t asked = 0;
    for (uint16_t i = 0; i < n->pending.size; i++)
        asked += n->pending.slots[i].purpose == DHT_ASK_HANDOVER;
    core_assert(asked == (h && h->asked));
    core_assert(!h || h->asked || n->timers[DHT_TIMER_HANDOVER] != CORE_NEVER);
}
