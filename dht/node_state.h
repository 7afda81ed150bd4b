/* Inside of a DHT node: the state, and what its parts (dht_node.c, ask.c, answer.c, operation.c,
 * walk.c, republish.c, handover.c, inspect.c) call of each other. */
#ifndef SHOAL_DHT_NODE_STATE_H
#define SHOAL_DHT_NODE_STATE_H
#include "dht/announce.h"
#include "dht/lookup.h"
#include "dht/message.h"
#include "dht/pending.h"
#include "dht/storage.h"
#include "dht/table.h"
#include "dht/vote.h"

#define DHT_HINTS           4
#define DHT_LOST            8  /* contacts that fell silent, asked again now and then: a split network must become one again */
#define DHT_CHALLENGED      16
#define DHT_CALLED          16 /* calls of others that may still be answered */
#define DHT_CALLS           64 /* our own under way */
#define DHT_CONTACTED_WORDS 16 /* Bloom filter of addresses that we sent to */

enum dht_timer { DHT_TIMER_ALONE, DHT_TIMER_STALE, DHT_TIMER_REFRESH, DHT_TIMER_ANNOUNCE, DHT_TIMER_EXPIRE, DHT_TIMER_REPUBLISH,
                 DHT_TIMER_PERSIST, DHT_TIMER_LOST, DHT_TIMER_HANDOVER, DHT_TIMER_AGAIN, DHT_TIMERS };

struct dht_node {
    const struct dht_env *env;
    const struct dht_config *config;
    const struct node_identity *me;
    const struct network *network;
    struct datagram_channel channel;
    uint8_t secret[32]; /* for request ids and tokens */
    uint64_t self;      /* first 8 bytes of our position */
    struct rng rng;
    core_time birth, now, deadline, last_heard;
    core_time timers[DHT_TIMERS];
    struct dht_table *tables[DHT_FAMILIES]; /* NULL: family not spoken */
    struct dht_pendings pending;
    struct dht_lookup *lookups;
    struct dht_storage storage;
    struct dht_announce announce;
    struct dht_votes votes;
    struct node_addr hints[DHT_HINTS];
    struct dht_calls *calls; /* dht/call.c; from env->alloc at the first call, ours or another's */
    struct node_addr *lost; /* DHT_LOST from env->alloc; NULL until a contact is lost */
    uint32_t challenged[DHT_CHALLENGED], challenged_s; /* strangers asked lately, by short hash; since when */
    uint64_t contacted[DHT_CONTACTED_WORDS];
    core_time upload_at;
    int64_t upload_left; /* [bytes] */
    core_time walk_at;
    int64_t walk_left;   /* [bytes] */
    struct dht_handover *handover; /* dht/handover.c; from env->alloc, NULL while nobody new is being given records */
    core_time handover_at;         /* the rate of records handed over: what was given is paid for until then */
    uint32_t alone_wait_ms;
    uint32_t republish_cursor;
    uint16_t stream_port, walk_next;
    uint8_t hint_next, challenged_next, lost_next, lost_asked;
    uint8_t fill_bucket; /* after joining: buckets still to be filled */
    bool joined, unsolicited_seen;
    uint8_t refreshing, walking, republishing;

    struct effects *out; /* during a call only */
    uint32_t room;       /* effects left in this call */

    uint64_t datagrams_in, datagrams_out, bytes_in, bytes_out, malformed, unsolicited, over_quota;
    uint64_t lookups_done, lookups_failed, hops_sum, rtt_sum_us, rtt_count;
};

static inline uint32_t dht_now_s(const struct dht_node *n)
{
    return (uint32_t)((n->now - n->birth) / 1000000u);
}
static inline core_time dht_time_of(const struct dht_node *n, uint32_t s)
{
    return s == UINT32_MAX ? CORE_NEVER : n->birth + CORE_SECONDS(s);
}
static inline void dht_timer_at_most(struct dht_node *n, enum dht_timer t, core_time at)
{
    n->timers[t] = core_time_min(n->timers[t], at);
}
/* Entry and exit of every call from outside. */
void dht_enter(struct dht_node *n, core_time now, struct effects *out);
void dht_leave(struct dht_node *n);
uint64_t dht_position_of(const struct dht_node *n, const uint8_t key[NODE_KEY_SIZE]);
uint32_t dht_short_hash(const struct dht_node *n, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr);
struct effect *dht_notify(struct dht_node *n, uint32_t kind, uint32_t op);
uint32_t dht_live(const struct dht_node *n);
uint32_t dht_network_size(const struct dht_node *n);
/* May this address be told by (to) somebody at that one? Nobody far away may point us at our own machine or network. */
bool dht_scope_tellable(const struct net_addr *other, const struct net_addr *told);

/* ask.c: requests, their answers and time-outs. */
size_t dht_find_padding(const struct dht_node *n, enum dht_type type);
bool dht_send(struct dht_node *n, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *to, const struct dht_message *m, size_t pad_to);
/* Fills in id and flags of `m`. NULL: no slot, no room in this call, or no key. */
struct dht_pending *dht_ask(struct dht_node *n, enum dht_purpose purpose, const uint8_t key[NODE_KEY_SIZE], uint64_t position,
                            const struct net_addr *addr, struct dht_message *m);
bool dht_ask_ping(struct dht_node *n, const uint8_t key[NODE_KEY_SIZE], uint64_t position, const struct net_addr *addr);
bool dht_ask_hint(struct dht_node *n, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr);
int dht_on_reply(struct dht_node *n, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *from, const struct dht_message *m);
void dht_time_out(struct dht_node *n);
void dht_lost_step(struct dht_node *n);

/* answer.c */
void dht_consider(struct dht_node *n, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *from, uint32_t flags); /* it spoke */
void dht_challenge_forget(struct dht_node *n, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr);
int dht_on_request(struct dht_node *n, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *from, size_t size,
                   const struct dht_message *m);

/* operation.c */
struct dht_lookup *dht_lookup_start(struct dht_node *n, enum dht_mode mode, const uint8_t key[DHT_KEY_SIZE], uint16_t width);
void dht_lookup_end(struct dht_node *n, struct dht_lookup *l); /* frees it, no notice */
/* Moves every lookup on: asks, stores, ends. may_end: notices of the end may be sent in this call. */
void dht_progress(struct dht_node *n, bool may_end);
void dht_lookup_reply(struct dht_node *n, struct dht_lookup *l, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *from,
                      uint64_t rtt_us, const struct dht_message *m);
/* What we hold ourselves of a get's values. */
void dht_get_own(struct dht_node *n, struct dht_lookup *l);
void dht_put_reply(struct dht_node *n, struct dht_lookup *l, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *from,
                   const struct dht_message *m);
void dht_page_reply(struct dht_node *n, struct dht_lookup *l, const struct dht_pending *p, const struct dht_message *m);
void dht_lookup_timeout(struct dht_node *n, const struct dht_pending *p, bool hard);
void dht_refused(struct dht_node *n, struct dht_lookup *l, const struct dht_candidate *c, int status);
void dht_store_failed(struct dht_lookup *l, struct dht_candidate *c);

/* walk.c: announcing by regions. */
void dht_walk_start(struct dht_node *n);
bool dht_walk_store(struct dht_node *n, struct dht_lookup *l);          /* true: nothing more to send or wait for */
void dht_walk_reply(struct dht_node *n, struct dht_lookup *l, struct dht_candidate *c, const struct dht_message *m);
bool dht_walk_finish(struct dht_node *n, struct dht_lookup *l);         /* false: no room, call again */

/* call.c */
int dht_on_call(struct dht_node *n, const uint8_t sender[NODE_KEY_SIZE], const struct net_addr *from, size_t limit, const struct dht_message *m);
void dht_call_reply(struct dht_node *n, const struct dht_pending *p, const struct dht_message *m);
void dht_call_timeout(struct dht_node *n, const struct dht_pending *p);
void dht_calls_free(struct dht_node *n);
/* Head of an answer: type, id, token, the asker's address, the time. */
void dht_reply_head(struct dht_node *n, struct dht_message *reply, uint8_t type, const uint8_t id[DHT_ID_SIZE], const uint8_t sender[NODE_KEY_SIZE],
                    const struct net_addr *from);

/* republish.c */
void dht_republish_step(struct dht_node *n);
uint32_t dht_record_life_s(const struct dht_node *n, uint8_t kind, uint64_t sequence, uint64_t expiry_s); /* 0 = expired */
uint32_t dht_republish_at(struct dht_node *n, uint8_t kind);

/* handover.c: signed records for nodes that are new to us. */
void dht_handover_newcomer(struct dht_node *n, struct dht_contact *c);
void dht_handover_step(struct dht_node *n);
void dht_handover_reply(struct dht_node *n, const struct dht_message *m);
void dht_handover_timeout(struct dht_node *n);
void dht_handover_free(struct dht_node *n);
void dht_handover_check(const struct dht_node *n);
#endif
