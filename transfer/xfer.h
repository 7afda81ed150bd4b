/* The swarm core: peer sessions, swarms, picker, choker, endgame, readers' deadlines, peer gossip, blame and bans, rate limits. One
 * sans-I/O object per node (docs/protocol.md, "Sessions"). Payload never enters it: it names leaves and is told what became of them.
 *
 * Words: a *leaf* is 16 KiB of a content. A *chunk* is a power of two of leaves, what is picked and announced (`have`). A *swarm* is one
 * content this node serves or fetches. A *pack* is a second swarm on a tree's manifest whose leaves are the directory's small entries
 * (content of at most one leaf: files and sub-manifests): entry i is leaf i, verified by the id in the manifest. A *session* is one encrypted
 * stream to one node, shared by all swarms; on it, a *channel* is one opened content.
 *
 * Entry points append at most XFER_EFFECTS_PER_CALL effects and XFER_EFFECT_BYTES_PER_CALL bytes; larger work sets the deadline to now. */
#ifndef SHOAL_TRANSFER_XFER_H
#define SHOAL_TRANSFER_XFER_H
#include "node/base/effects.h"
#include "node/base/err.h"
#include "node/base/pool.h"
#include "node/base/rng.h"
#include "node/base/time.h"
#include "transfer/content.h"
#include "transfer/tree.h"

#define XFER_EFFECTS_PER_CALL      64
#define XFER_EFFECT_BYTES_PER_CALL 8192

struct xfer_config {            /* xfer_config_default fills it */
    uint32_t sessions_max, swarms_max, channels_per_session_max;
    uint32_t sessions_per_ip_max;         /* globally routable addresses only */
    uint32_t peers_per_swarm_max;         /* sessions one swarm dials for */
    uint32_t candidates_per_swarm_max;    /* addresses remembered */
    uint32_t unchoked_max, optimistic_max;
    uint32_t request_bytes_max;           /* outstanding requests per session [bytes] */
    uint32_t inflight_bytes_max;          /* arrived, not yet verified and written, all sessions [bytes]: the byte budget */
    uint64_t upload_rate, download_rate;  /* [bytes/s], 0 = no cap */
    core_time choke_period, optimistic_period, handshake_timeout, idle_timeout, request_timeout_min, ban_time;
    bool accept_private_addresses;        /* false: never dial private or loopback addresses that came from gossip over a global one */
};
void xfer_config_default(struct xfer_config *c);

struct xfer_env { /* immutable */
    const struct xfer_config *config;
    const struct core_crypto *crypto;
    const struct core_alloc *alloc;
};

struct xfer;
/* me, network borrowed. NULL: no memory. stream_port: where others can dial us, told in hello (0: not at all). */
struct xfer *xfer_new(const struct xfer_env *env, const struct node_identity *me, const struct network *network,
                      const uint8_t seed[32], core_time now);
void xfer_free(struct xfer *x);
void xfer_set_stream_port(struct xfer *x, uint16_t port);
void xfer_set_rates(struct xfer *x, core_time now, uint64_t upload, uint64_t download);
core_time xfer_deadline(const struct xfer *x);
void xfer_wake(struct xfer *x, core_time now, struct effects *out);

/* ---- Sessions. Numbers are never 0; slot in the low 16 bits, generation above, so the host can index by slot. ---- */
#define XFER_SESSION_SLOT(session) ((session) & 0xffffu)

/* An incoming stream whose first handshake message was good. 0: refused (limit, ban); close it. binding: stream->binding. The message may
 * be a copy of an old one: an older session of the same node stays beside this one until xfer_session_confirmed. */
uint32_t xfer_session_accept(struct xfer *x, core_time now, const struct net_addr *from, const uint8_t key[NODE_KEY_SIZE],
                             const uint8_t binding[HASH_SIZE], struct effects *out);
/* The accepted stream's first frame was good (stream->confirmed): the node is there and means this stream. Its other sessions are hung up.
 * Call it before that frame's control bytes are given to xfer_session_recv; again does nothing. */
void xfer_session_confirmed(struct xfer *x, core_time now, uint32_t session, struct effects *out);
/* A dialled stream is connected and about to send its first handshake message: control bytes may be drained for its payload. */
void xfer_session_dialled(struct xfer *x, core_time now, uint32_t session, const uint8_t binding[HASH_SIZE], struct effects *out);
/* The dialled stream's reply was good: the peer is who we wanted. (Accepted sessions are established from the start.) */
void xfer_session_established(struct xfer *x, core_time now, uint32_t session, struct effects *out);
/* The stream is gone (or dialling failed): reason for the statistics and for trying other candidates. Call it after EFFECT_HANGUP too. */
void xfer_session_closed(struct xfer *x, core_time now, uint32_t session, int reason, struct effects *out);
/* Control bytes of one frame (or of a handshake payload). 0, or ERR_MALFORMED: a hangup effect was added. */
int xfer_session_recv(struct xfer *x, core_time now, uint32_t session, const uint8_t *data, size_t size, struct effects *out);
/* Pull control bytes: writes at most cap (>= 512) bytes of whole messages and returns how many; 0 = nothing to send now. Call until 0. */
size_t xfer_session_write(struct xfer *x, core_time now, uint32_t session, uint8_t *buf, size_t cap);
/* Dial a node without any content in mind (peers, find, rotate). Returns the session (existing or new) or 0. */
uint32_t xfer_session_dial(struct xfer *x, core_time now, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr,
                           struct effects *out);

/* ---- Swarms ---- */
struct xfer_geometry {
    uint32_t leaf_count;
    uint8_t chunk_leaves_log2;   /* xfer_geometry_content: 4 (256 KiB) and up, at most 65,536 chunks */
    uint32_t leaf_bytes;         /* 16384; a pack: mean size of its entries, for windows and rates */
    uint32_t last_leaf_bytes;
};
void xfer_geometry_content(struct xfer_geometry *out, uint64_t size);
/* A pack's geometry follows from its manifest alone, so that both sides agree: one leaf per entry, and as few entries to a chunk as 65,536
 * chunks allow. mean_bytes only scales windows and rates. */
static inline void xfer_geometry_pack(struct xfer_geometry *out, uint32_t entries, uint64_t mean_bytes)
{
    uint32_t bytes = mean_bytes < 1 ? 1 : mean_bytes < TREE_LEAF_SIZE ? (uint32_t)mean_bytes : TREE_LEAF_SIZE;
    *out = (struct xfer_geometry){.leaf_count = entries, .leaf_bytes = bytes, .last_leaf_bytes = bytes};
    while ((entries - 1) >> out->chunk_leaves_log2 >= 65536)
        out->chunk_leaves_log2++;
}
uint32_t xfer_chunk_count(const struct xfer_geometry *g);

struct xfer_swarm_params {
    struct content_id id;
    uint8_t provider_key[HASH_SIZE];
    uint32_t ref;                   /* host's handle, echoed in EFFECT_SERVE; not 0 */
    bool pack;                      /* leaves are entries of the manifest `id` */
    struct xfer_geometry geometry;
    bool complete;                  /* we have everything: a seed */
    const uint8_t *have_chunks;     /* bitmap (bit 0 of byte 0 = chunk 0), NULL = nothing; copied */
    const uint8_t *want_leaves;     /* bitmap of leaves wanted, NULL = all; copied. For a pack: the small entries selected. For a file: all */
    bool paused;                    /* fetch nothing until xfer_swarm_want / xfer_reader_set (fetch on demand) */
    uint32_t parent;                /* swarm whose sessions are tried first (a tree's files), or 0 */
};
/* Swarm number (never 0), or 0 when swarms_max is reached or memory is short. A swarm for the same id and pack flag that exists already is
 * asserted not to exist: the host keeps the map. */
uint32_t xfer_swarm_add(struct xfer *x, core_time now, const struct xfer_swarm_params *p, struct effects *out);
void xfer_swarm_remove(struct xfer *x, core_time now, uint32_t swarm, struct effects *out);
void xfer_swarm_pause(struct xfer *x, core_time now, uint32_t swarm, bool paused, struct effects *out); /* readers still get theirs */
/* A candidate source: from the DHT, a link, or the local network. */
enum xfer_source { XFER_SOURCE_DHT, XFER_SOURCE_LINK, XFER_SOURCE_LOCAL, XFER_SOURCE_GOSSIP, XFER_SOURCE_INCOMING };
void xfer_swarm_peer(struct xfer *x, core_time now, uint32_t swarm, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr,
                     enum xfer_source source, struct effects *out);

struct xfer_swarm_stats {
    uint32_t chunks, chunks_have, leaves, leaves_have;
    uint32_t sessions, seeds, candidates;   /* sessions with this content open; of these complete */
    uint64_t bytes_down, bytes_up;          /* verified payload since the swarm was added */
    uint64_t rate_down, rate_up;            /* [bytes/s], about 3 s mean */
    uint64_t bytes_wasted;                  /* duplicate or bad */
    bool complete, searching;
};
bool xfer_swarm_stats(const struct xfer *x, core_time now, uint32_t swarm, struct xfer_swarm_stats *out);
/* The swarm of this content (of a tree: of its manifest, not of its pack), 0 = none. Walks all swarms: for people's questions. */
uint32_t xfer_swarm_find(const struct xfer *x, const struct content_id *id);
bool xfer_swarm_has_leaf(const struct xfer *x, uint32_t swarm, uint32_t leaf);
/* Chunks we have, as a bitmap of (chunks + 7) / 8 bytes; returns that size (0 when cap is too small). */
size_t xfer_swarm_have(const struct xfer *x, uint32_t swarm, uint8_t *out, size_t cap);

/* Readers: leaves [first, first + count) are wanted by `due`, earliest deadline first, before all else. One swarm serves many readers; a
 * reader number is the caller's, unique in the swarm. Setting again moves the window. ERR_FULL above XFER_READERS_MAX. */
#define XFER_READERS_MAX 64
int xfer_reader_set(struct xfer *x, core_time now, uint32_t swarm, uint32_t reader, uint32_t first, uint32_t count, core_time due,
                    struct effects *out);
void xfer_reader_clear(struct xfer *x, core_time now, uint32_t swarm, uint32_t reader);

/* ---- Content that peers ask for ---- */
/* Answer to EFFECT_CONTENT, in the same drain or later. swarm: a swarm of this content (added on demand), or 0 = not here. The core checks
 * the peer's MAC against the swarm's root and answers with its own, or refuses in a way that says nothing. */
void xfer_content_answer(struct xfer *x, core_time now, uint32_t session, uint32_t channel, uint32_t swarm, struct effects *out);
/* EFFECT_SERVE was carried out: `bytes` of payload were handed to the stream. status: 0, or ERR_IO, ERR_CHANGED...: the request is
 * rejected. ERR_CHANGED and ERR_NOT_FOUND: the content is not what it was. The swarm stops serving, with XFER_NOTICE_TROUBLE; of a pack only
 * these entries are refused, each time they are asked for, with XFER_NOTICE_ENTRY, and the others go on. */
void xfer_served(struct xfer *x, core_time now, uint32_t session, uint32_t channel, uint32_t leaf, uint32_t count, uint32_t bytes,
                 int status, struct effects *out);

/* ---- Payload that arrives ---- */
/* A leaves, entry or proof frame came. The core says whether it was asked for. On 0 the host queues it for the data plane and later calls
 * xfer_leaves_result / xfer_proof_result exactly once with the same numbers; *swarm and *ref are set. Otherwise the payload is dropped:
 * ERR_UNSOLICITED (late duplicate, counted) or ERR_MALFORMED (a hangup effect was added). bytes: payload size. */
int xfer_leaves_arrived(struct xfer *x, core_time now, uint32_t session, uint32_t channel, uint32_t leaf, uint32_t count,
                        uint32_t bytes, uint32_t *swarm, uint32_t *ref, struct effects *out);
int xfer_proof_arrived(struct xfer *x, core_time now, uint32_t session, uint32_t channel, uint32_t span, uint32_t bytes,
                       uint32_t *swarm, uint32_t *ref, struct effects *out);
/* good: bitmask over the `count` leaves that were verified and written. status: 0; ERR_BAD_HASH when some bit is missing because of its
 * hash (the session is blamed, the leaf is fetched from another); ERR_IO, ERR_NO_SPACE: our fault (nobody is blamed; the swarm is paused and
 * XFER_NOTICE_TROUBLE is given; xfer_swarm_pause(false) goes on). */
void xfer_leaves_result(struct xfer *x, core_time now, uint32_t swarm, uint32_t session, uint32_t leaf, uint32_t count, uint32_t good,
                        int status, struct effects *out);
void xfer_proof_result(struct xfer *x, core_time now, uint32_t swarm, uint32_t session, uint32_t span, int status, struct effects *out);
/* True while arrived payload is under the byte budget; when false the host stops reading from streams. */
bool xfer_wants_payload(const struct xfer *x);

/* ---- Services between nodes, over a session (established or being dialled) ---- */
/* Asks the peer to look the key up in the DHT itself and say how many providers it found (the command `find`). */
int xfer_ask_find(struct xfer *x, core_time now, uint32_t session, const uint8_t provider_key[HASH_SIZE], uint32_t op, struct effects *out);
/* The peer asks us: XFER_NOTICE_FIND_ASKED; answer with this. */
void xfer_answer_find(struct xfer *x, core_time now, uint32_t session, uint32_t request, uint32_t providers, struct effects *out);
/* Asks the peer to dial our stream port at the address it sees us under. */
int xfer_ask_dialback(struct xfer *x, core_time now, uint32_t session, uint32_t op, struct effects *out);
/* Opaque application message between nodes (network rotate; later mail): at most 1,024 bytes. */
int xfer_send_app(struct xfer *x, core_time now, uint32_t session, struct bytes message, struct effects *out);

/* ---- Notices ---- */
enum xfer_notice {
    XFER_NOTICE_CHUNK = 0x200,  /* op = swarm, a = chunk: all its wanted leaves are verified and written */
    XFER_NOTICE_COMPLETE,       /* op = swarm: all wanted leaves are here */
    XFER_NOTICE_NEED_PEERS,     /* op = swarm, bytes = its provider key (32): too few sources; the owner looks in the DHT and calls
                                   xfer_swarm_peer. Repeats with growing gaps */
    XFER_NOTICE_IDLE,           /* op = swarm: complete and no session has had it open for a minute: may be removed */
    XFER_NOTICE_TROUBLE,        /* op = swarm, status: our disk; paused. ERR_CHANGED, ERR_NOT_FOUND from xfer_served: serves no more */
    XFER_NOTICE_BANNED,         /* node: key and address; status = why; a = until [core_time] */
    XFER_NOTICE_SESSION_UP,     /* op = session; node = key and address; a = 1 when the peer accepts dials (node.addr is its stream address) */
    XFER_NOTICE_SESSION_DOWN,   /* op = session; node; status */
    XFER_NOTICE_OBSERVED,       /* node.addr: our address as the peer sees it */
    XFER_NOTICE_FIND_ASKED,     /* op = session, a = request number, bytes = provider key */
    XFER_NOTICE_FIND_RESULT,    /* op, a = providers, status */
    XFER_NOTICE_DIALBACK,       /* op, status 0 = others can dial us; ERR_REFUSED, ERR_TIMEOUT, ... otherwise */
    XFER_NOTICE_APP,            /* op = session, bytes = message */
    XFER_NOTICE_ENTRY           /* op = swarm of a pack, a = entry, status: it could not be served */
};

struct xfer_session_info {
    uint32_t session;
    struct node_addr peer;
    bool incoming, established;
    uint32_t channels;
    uint64_t bytes_down, bytes_up, rate_down, rate_up;
    uint32_t rtt_us, strikes;
    core_time since;
    char agent[32];
};
/* Fills at most `max`; returns the count. */
uint32_t xfer_sessions(const struct xfer *x, core_time now, struct xfer_session_info *out, uint32_t max);
/* Those that have the content of this swarm open. */
uint32_t xfer_swarm_sessions(const struct xfer *x, core_time now, uint32_t swarm, struct xfer_session_info *out, uint32_t max);

struct xfer_totals {
    uint32_t sessions, swarms, bans;
    uint64_t bytes_down, bytes_up, rate_down, rate_up, malformed, unsolicited, bad_leaves;
};
void xfer_totals(const struct xfer *x, core_time now, struct xfer_totals *out);
size_t xfer_memory(const struct xfer *x); /* bytes held [bytes] */
void xfer_check(const struct xfer *x);    /* asserts every invariant */
#endif
