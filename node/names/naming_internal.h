/* Between the parts of naming: naming.c (life, operations, notices), naming_own.c (our profile, its watchers), naming_peers.c (other nodes'),
 * naming_list.c (what we list), naming_search.c (searches). */
#ifndef SHOAL_NAMES_NAMING_INTERNAL_H
#define SHOAL_NAMES_NAMING_INTERNAL_H
#include "dht/dht.h"
#include "node/base/assert.h"
#include "node/base/wire.h"
#include "node/names/ask_message.h"

#include <stdlib.h>

#define CHAINS       64
#define SEARCHES_MAX 8
#define NICKS_MAX    8   /* claimants' look-ups under way */
#define CLAIMANTS_MAX 64
#define LOOKS_MAX    16  /* get look-ups for profiles at once */
#define PUSHES_MAX   16
#define WORD_PUTS_MAX 4
#define RETRY CORE_MS(50)
#define CALL_ADDRESSES 3 /* addresses of a node tried in one look */

enum op_type {
    OP_FREE, OP_GET_PROFILE, OP_CALL_PROFILE, OP_PUT_PEER,     /* peers */
    OP_PUT_OWN, OP_PUT_NICK, OP_GET_OWN, OP_PUSH,              /* own */
    OP_GET_NICK, OP_GET_WORD, OP_CALL_SEARCH, OP_PUT_WORD      /* claimants and search */
};

struct op {
    uint8_t type;
    uint16_t generation;
    uint32_t ref;               /* search or nick slot; word; watcher */
    uint32_t sub;               /* which word of a search, or which publisher */
    uint64_t sequence;          /* push: of what was told */
    uint8_t key[NODE_KEY_SIZE]; /* the peer */
};

struct peer {
    struct peer *next;
    uint8_t key[NODE_KEY_SIZE];
    bool pinned, get_wanted, call_wanted, watch, looked, told;
    uint8_t gets, calls;        /* under way */
    uint8_t tried;              /* addresses called in this look */
    uint8_t failures;           /* looks in a row that nobody answered */
    int look_status;
    uint8_t *record;            /* wire form, from alloc; NULL: none */
    uint16_t record_size;
    uint64_t sequence, expiry_s;
    struct profile *profile;    /* NULL: none */
    core_time confirmed, used, looked_for;
    core_time look_at;          /* pinned: the next look by itself */
    core_time put_at;           /* pinned: when its record is put again */
};

struct watcher {
    struct node_addr node;
    core_time until;            /* 0 = free */
    uint64_t told;              /* sequence */
    uint8_t tries;
    bool calling;
};

struct nick {
    uint32_t owner;             /* 0 = free */
    char folded[NAME_SIZE];
    bool started;
    uint32_t count;
    uint8_t seen[CLAIMANTS_MAX][8];
};

struct listed {
    struct content_id id;
    char *name;
};

struct posting {
    uint64_t hash;
    uint32_t item;
};

struct word {
    uint64_t hash;
    uint32_t item, count;       /* an item that has it; of how many */
    core_time due;              /* of the next put */
    bool stored, putting;
};

struct naming_list {
    struct listed *items;
    struct posting *postings;   /* by hash, then item */
    struct word *words;         /* by hash */
    uint32_t count, cap, posting_count, word_count;
    uint32_t cursor, putting;
    core_time next;
};

enum publisher_state { PUBLISHER_PART, PUBLISHER_READY, PUBLISHER_CALLED, PUBLISHER_ANSWERED, PUBLISHER_SILENT };

struct publisher {
    uint8_t key[NODE_KEY_SIZE];
    struct net_addr addresses[KEYWORD_ADDRESSES_MAX + 1];
    uint8_t address_count, tried, state, words; /* words: a bit for each that it lists */
    uint32_t from, pages;
};

struct search {
    uint32_t owner;             /* 0 = free */
    core_time deadline;
    char words[NAMING_QUERY_WORDS][WORD_SIZE];
    uint32_t word_count, gets_started, gets_open, calls_open, answered;
    bool done[NAMING_QUERY_WORDS];            /* this word's look-up has ended */
    uint32_t listed[NAMING_QUERY_WORDS];      /* publishers found under it */
    struct publisher *publishers;
    uint32_t count, cap;
};

struct naming {
    struct naming_config config;
    struct rng rng;
    struct op ops[NAMING_OPS_MAX];
    uint32_t op_count;
    struct peer *chains[CHAINS];
    uint32_t peer_count, pinned_count, wanting; /* wanting: peers with get_wanted or call_wanted */
    core_time peers_at;         /* the earliest look_at or put_at */
    struct nick *nicks;         /* NICKS_MAX, from the first on */
    struct search *searches;    /* SEARCHES_MAX, from the first on */
    struct naming_list list;
    struct watcher *watchers;   /* NAMING_WATCHERS_MAX, from the first watcher on */
    uint32_t watcher_count, pushes;
    struct naming_own own;
    uint8_t own_record[DHT_RECORD_WIRE_MAX];
    uint16_t own_size;
    uint64_t sequence_floor;
    core_time publish_at;       /* CORE_NEVER: nothing to publish */
    core_time renew_at;         /* of what is published */
    bool own_set, own_dirty, own_putting, nick_dirty, again, later; /* later: the DHT had no slot; again in RETRY */
    uint32_t publish_failures;
    core_time deadline;
    struct naming_counters counters;
};

static inline void *naming_alloc(struct naming *n, size_t size)
{
    return n->config.alloc->alloc(n->config.alloc->context, size);
}
static inline void naming_give(struct naming *n, void *memory)
{
    n->config.alloc->free(n->config.alloc->context, memory);
}
/* May one more entry point of the DHT be called in this batch? If not, the deadline is now. */
static inline bool naming_room(struct naming *n, const struct effects *out)
{
    bool room = effects_room(out, DHT_EFFECTS_PER_CALL + 64, DHT_EFFECT_BYTES_PER_CALL + 32768);
    n->again = n->again || !room;
    return room;
}
struct op *naming_op_take(struct naming *n, enum op_type type); /* NULL: all taken */
void naming_op_give(struct naming *n, struct op *op);
uint32_t naming_op_number(const struct naming *n, const struct op *op);
/* All operations of this type about this slot end unheard. */
void naming_ops_drop(struct naming *n, enum op_type type, uint32_t ref);
uint32_t naming_op_count(const struct naming *n, enum op_type type);
bool naming_later(struct naming *n, int status); /* status of a call that did not begin: true when it is to be tried again soon */
struct effect *naming_notify(struct effects *out, uint32_t kind, uint32_t op);
void naming_notify_bytes(struct effects *out, struct effect *x, const void *data, size_t size);
uint64_t naming_unix_ms(const struct naming *n, core_time now);
/* May we send to this address, which a stranger named? A private or loopback one only when nodes we know live there too. */
bool naming_address_ok(const struct naming *n, const struct net_addr *addr);

/* naming_peers.c */
struct peer *naming_peer_find(const struct naming *n, const uint8_t key[NODE_KEY_SIZE]);
void naming_peers_free(struct naming *n);
void naming_peers_step(struct naming *n, core_time now, struct effects *out);
void naming_peer_notice(struct naming *n, core_time now, struct op *op, const struct effect *x, struct bytes bytes, struct effects *out);
/* A push from the node itself. The answer goes into *a. */
void naming_news(struct naming *n, core_time now, const uint8_t from[NODE_KEY_SIZE], struct bytes record, struct ask_answer *a, struct effects *out);

/* naming_own.c */
void naming_own_step(struct naming *n, core_time now, struct effects *out);
void naming_own_notice(struct naming *n, core_time now, struct op *op, const struct effect *x, struct bytes bytes, struct effects *out);
void naming_profile_asked(struct naming *n, core_time now, const struct node_addr *from, const struct ask_request *q, struct ask_answer *a);

/* naming_list.c */
void naming_list_free(struct naming *n);
void naming_list_step(struct naming *n, core_time now, struct effects *out);
void naming_list_notice(struct naming *n, core_time now, struct op *op, const struct effect *x);
/* Items that have all the words: fills `hits` from hit `from` on, at most `max`; returns how many there are in all (of those looked at). */
uint32_t naming_list_find(const struct naming *n, char (*words)[WORD_SIZE], uint32_t word_count, uint32_t from, struct ask_hit *hits,
                          uint32_t max, uint32_t *filled);
bool naming_name_has(const char *name, char (*words)[WORD_SIZE], uint32_t word_count);

/* naming_search.c */
void naming_search_step(struct naming *n, core_time now, struct effects *out);
void naming_search_notice(struct naming *n, core_time now, struct op *op, const struct effect *x, struct bytes bytes, struct effects *out);
void naming_search_end(struct naming *n, struct search *s, int status, struct effects *out); /* out NULL: no notice */
void naming_searches_free(struct naming *n);
core_time naming_search_deadline(const struct naming *n);
#endif
