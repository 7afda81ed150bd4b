/* Names, sites and search of one node: a sans-I/O object beside the DHT, which it drives (node.c joins them). It keeps the profiles of other nodes,
 * each at the highest sequence ever seen, publishes this node's own, tells those who watch this node of a new one, and lists and finds by words.
 *
 * Entry points take the time and append to `out` as node.h says (NODE_EFFECTS_PER_CALL offered); notices of the DHT whose op is naming_is_op, and
 * DHT_NOTICE_CALLED of service NAMING_SERVICE, go to naming_notice. */
#ifndef SHOAL_NAMES_NAMING_H
#define SHOAL_NAMES_NAMING_H
#include "node/base/rng.h"
#include "node/names/profile.h"

#define NAMING_SERVICE      1
#define NAMING_OP_BIT       0xc0000000u
#define NAMING_FRESH        CORE_SECONDS(60)  /* a profile confirmed longer ago is stale: served, and looked for */
#define NAMING_WATCH_S      120               /* how long a node told to watch is told of changes [s] */
#define NAMING_WATCHERS_MAX 256
#define NAMING_OPS_MAX      64                /* look-ups, stores and calls under way */
#define NAMING_LIST_MAX     20000             /* things a node lists */
#define NAMING_WORDS_MAX    8192              /* distinct words published */
#define NAMING_QUERY_WORDS  8
#define NAMING_HIT_NAME_MAX 200               /* [bytes] */

struct naming_config {
    struct dht_node *dht;
    const struct node_identity *me; /* borrowed for life, as are network, crypto, alloc */
    const struct network *network;
    const struct core_crypto *crypto;
    const struct core_alloc *alloc;
    uint64_t seed;
    uint32_t cache_max;             /* profiles of nodes that are not pinned */
};

struct naming;
struct naming *naming_new(const struct naming_config *config); /* NULL: no memory */
void naming_free(struct naming *n);
core_time naming_deadline(const struct naming *n);
void naming_wake(struct naming *n, core_time now, struct effects *out);

static inline bool naming_is_op(uint32_t op)
{
    return (op & NAMING_OP_BIT) == NAMING_OP_BIT;
}
/* A notice of the DHT (x and bytes copied by the caller: they must not lie in `out`'s items). */
void naming_notice(struct naming *n, core_time now, const struct effect *x, struct bytes bytes, struct effects *out);
void naming_joined(struct naming *n, core_time now); /* DHT_NOTICE_JOINED: what could not be stored before is stored now */

/* ---- This node ---- */
/* What is told of this node; published when it differs from what was, a moment later. sequence_floor: at least this + 1 (what was published before a
 * restart). */
void naming_set_profile(struct naming *n, core_time now, const struct profile *p);
void naming_set_sequence_floor(struct naming *n, uint64_t sequence);
struct naming_own {
    struct profile profile;
    uint64_t sequence;      /* 0: nothing published yet */
    uint32_t stored, asked; /* nodes that hold it, of those asked, at the last publication */
    uint32_t watchers, words, words_stored, listed;
};
void naming_own(const struct naming *n, struct naming_own *out);

/* ---- Other nodes ---- */
struct naming_peer { /* a view, valid until the next call */
    const uint8_t *key;
    bool pinned, has_profile, looking;
    uint64_t sequence, expiry_s;
    core_time confirmed; /* when somebody last said that this is the newest; 0 = not since the start */
    core_time looked_for; /* when a look last began; 0 = never */
    const struct profile *profile;
};
bool naming_peer(struct naming *n, const uint8_t key[NODE_KEY_SIZE], struct naming_peer *out);
/* A record kept from before, wire form; pinned as told. ERR_* as naming_take. */
int naming_restore(struct naming *n, core_time now, const uint8_t key[NODE_KEY_SIZE], bool pinned, struct bytes record);
/* A pinned node is never dropped from the cache, its profile is looked for every hour and put again once a day, and its site is watched. */
int naming_pin(struct naming *n, core_time now, const uint8_t key[NODE_KEY_SIZE], bool pinned); /* ERR_FULL, ERR_NO_MEMORY */
/* Looks for this node's newest profile unless that is going on: asks the node itself where its address is known, and the DHT. `watch`: the node is asked
 * to tell of changes for NAMING_WATCH_S; call again while somebody looks. Ends with NAMING_NOTICE_LOOKED. ERR_FULL: too much is under way. */
int naming_look(struct naming *n, core_time now, const uint8_t key[NODE_KEY_SIZE], bool watch, struct effects *out);
/* A profile record from anywhere. 0: newer than what was known (NAMING_NOTICE_PROFILE follows) or the same. ERR_MALFORMED (also oversized), ERR_AUTH (wrong key,
 * wrongly signed), ERR_EXPIRED, ERR_STALE (older than what is known, or the same sequence with other content). */
int naming_take(struct naming *n, core_time now, const uint8_t key[NODE_KEY_SIZE], struct bytes record, struct effects *out);
/* Who claims this nickname: NAMING_NOTICE_CLAIMANT for each, then NAMING_NOTICE_DONE. ERR_FULL, ERR_MALFORMED. */
int naming_claimants(struct naming *n, core_time now, const char *nickname, uint32_t op, struct effects *out);

/* ---- Search ---- */
/* What this node lists, replacing what it listed: begin, add each, end. Its words are published in the background. */
void naming_list_begin(struct naming *n);
int naming_list_add(struct naming *n, const struct content_id *id, const char *name); /* ERR_FULL, ERR_NO_MEMORY */
void naming_list_end(struct naming *n, core_time now);
/* Nodes that list all the words, each asked itself: NAMING_NOTICE_HIT for each thing of each node, then NAMING_NOTICE_DONE, at the latest at `deadline`.
 * What this node lists is among the hits. ERR_FULL, ERR_MALFORMED: no word of two letters or more. */
int naming_search(struct naming *n, core_time now, const char *text, core_time deadline, uint32_t op, struct effects *out);
void naming_cancel(struct naming *n, uint32_t op); /* of a search or claimants; no notice follows */

enum naming_notice_kind {
    NAMING_NOTICE_PROFILE = 0x400, /* a newer profile: node.key; a = sequence; bytes = the record, to be kept */
    NAMING_NOTICE_LOOKED,          /* naming_look ended: node.key; status 0, ERR_NOT_FOUND, ERR_TIMEOUT */
    NAMING_NOTICE_CLAIMANT,        /* op; node.key; bytes = the nickname as it is written */
    NAMING_NOTICE_HIT,             /* op; node = who lists it; bytes = content id (CONTENT_ID_SIZE) and name */
    NAMING_NOTICE_DONE,            /* op; status; search: a = nodes that answered, b = nodes found in the index */
    NAMING_NOTICE_PUBLISHED        /* our profile: a = stored on, b = asked, status */
};

struct naming_counters {
    uint64_t taken, malformed, forged, expired, stale, pushed, queries;
};
void naming_counters(const struct naming *n, struct naming_counters *out);
void naming_check(const struct naming *n);
#endif
