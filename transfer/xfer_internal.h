/* What the files behind xfer.h share. One `struct xfer` per node; sessions, swarms and channels hang off it.
 *
 * How a call runs: xfer_enter notes the time and the batch; the entry point changes state and marks what
 * needs doing on lists (sessions to fill, to hang up, to announce as ready; channels to ask the host about);
 * xfer_leave works the lists off as far as the batch has room and sets the deadline to now when something is
 * left. So no event, however large, can fill the batch. */
#ifndef SHOAL_TRANSFER_XFER_INTERNAL_H
#define SHOAL_TRANSFER_XFER_INTERNAL_H
#include "node/base/assert.h"
#include "transfer/bans.h"
#include "transfer/list.h"
#include "transfer/message.h"
#include "transfer/picker.h"
#include "transfer/rate.h"
#include "transfer/xfer.h"

#define SESSION_REQUESTS_MAX 256 /* runs we ask of one session at once; its queue holds SESSION_SERVES_MAX   \
                                  */
#define SESSION_SERVES_MAX 512   /* runs a peer may have queued with us */
#define SESSION_REJECTS_MAX                                                                                  \
    1024                   /* refused runs not yet told: a peer that floods and does not read is hung up on */
#define SESSION_OPS_MAX  4 /* questions (find, dialback) open per session and direction */
#define SESSION_APPS_MAX 8 /* application messages queued per session */
#define SESSION_APPS_PER_FRAME                                                                               \
    4 /* notices with bytes that one frame may cause: keeps within XFER_EFFECT_BYTES_PER_CALL */
#define SERVE_OUTSTANDING_MAX (1u << 20) /* payload at the host per session [bytes] */
#define SERVE_OUTSTANDING_MIN (128u << 10)
#define SERVE_UNIT_LEAVES     16
#define RUN_BYTES             (256u << 10) /* what one request aims at */
#define WINDOW_START          (256u << 10) /* [bytes]; a slow link must not queue half a minute before anything is known of it */
#define WINDOW_MIN            (4u * TREE_LEAF_SIZE)
#define QUEUE_TARGET                                                                                         \
    CORE_MS(300)             /* how much of a session's time its queue should cover beyond the round trip */
#define STRIKES_BAN       2  /* bad frames before a ban; one frame may be a bad disk, two are a bad peer */
#define UNSOLICITED_GRACE 64 /* leaves nobody asked for, beyond cancelled ones, before a strike */
#define EFFECTS_MARGIN    8  /* most effects one small step appends */
#define PROOF_RING        4
#define CHUNK_NONE        UINT32_MAX
#define LENT_BACK         0x80000000u

enum session_state { SESSION_DIALLING, SESSION_HANDSHAKE, SESSION_OPEN, SESSION_CLOSING };
enum channel_state {
    CHANNEL_OPENING, /* we asked */
    CHANNEL_ASKED,   /* the peer asked, the host is looking */
    CHANNEL_OPEN,
    CHANNEL_SHUT /* over on our side; the number is free when the peer's close or refusal has come and ours
                    has gone */
};
enum channel_todo {
    TODO_OPEN = 1,
    TODO_OPENED = 2,
    TODO_REFUSED = 4,
    TODO_MAP = 8,
    TODO_PEERS = 16,
    TODO_CLOSE = 32
};
enum timer_kind { TIMER_SESSION, TIMER_SWARM, TIMER_CHOKE, TIMER_UPLOAD, TIMER_DOWNLOAD };

struct timer {
    core_time at;
    uint32_t index; /* place in the heap + 1; 0 = not armed */
    enum timer_kind kind;
    void *owner;
};

struct channel {
    struct list in_dirty;   /* session->dirty: has something to write */
    struct list in_swarm;   /* swarm->channels */
    struct list in_fetch;   /* session->fetch: may have something to ask for */
    struct list in_content; /* xfer->contents: the host is to be asked */
    struct session *session;
    struct swarm *swarm; /* NULL while ASKED, and after it is shut */
    uint32_t number;
    enum channel_state state;
    uint16_t todo; /* enum channel_todo */
    bool ours, pack;
    bool peer_done; /* the peer's close or refusal of this number has come */
    bool peer_all;
    bool fetched;     /* something verified came over it */
    bool interesting; /* counted in session->interesting */
    uint8_t *map;     /* the peer's chunks; NULL: none or all */
    uint32_t map_count;
    uint32_t useful;      /* chunks it has that we still want */
    uint32_t map_next;    /* next chunk to tell in map messages */
    uint32_t have_cursor; /* into swarm->log */
    uint32_t lent_cursor; /* into swarm->lent_log */
    uint8_t *lent;        /* chunks that the peer, a seed, said it is giving to others; NULL: none */
    uint32_t gossip_cursor;
    core_time gossip_got;
    uint32_t serving;                 /* units at the host */
    uint32_t urgent_bytes;            /* of readers, outstanding here */
    uint32_t leaf_bytes;              /* nominal, for what is at the host after the swarm is gone */
    struct partial *current;          /* the chunk this channel goes on with */
    uint32_t next_chunk;              /* the one after it, to stay in one span */
    uint32_t run_left;                /* chunks to go on with before drawing again */
    uint32_t proof_spans[PROOF_RING]; /* spans whose proof was asked for on this channel, span + 1 */
    uint32_t proof_at;
    uint8_t provider_key[HASH_SIZE], mac[HASH_SIZE]; /* while ASKED */
};

struct request {            /* a run of leaves asked of one session */
    struct list in_session; /* session->unsent or ->sent */
    struct list in_partial;
    struct channel *channel;
    struct partial *partial;
    uint64_t mask; /* leaves still to come, bit 0 = leaf */
    core_time sent_at;
    uint32_t leaf;
    uint8_t count;
    bool sent, proof, proof_came, no_proof, urgent, expired;
};

struct cancel {
    struct list in_session;
    uint32_t channel, leaf, count;
};

struct serve {              /* a run a peer asked of us; then, when refused, what to tell it */
    struct list in_session; /* session->serves or ->rejects */
    struct channel *channel;
    uint32_t channel_number, leaf, count;
    uint8_t reason;
    bool proof, urgent;
};

struct app_message {
    struct list in_session;
    uint32_t size;
    uint8_t bytes[];
};

struct question { /* find or dialback, asked by us (op) or of us (id) */
    uint8_t type; /* enum message_type, 0 = free */
    bool sent, answered;
    uint32_t id, op, value;
    int status;
    uint32_t probe; /* dialback asked of us: the session that dials */
    core_time until;
    uint8_t key[HASH_SIZE];
};

struct session {
    uint32_t number;
    enum session_state state;
    bool incoming, hello_sent, hello_got, up_told, ready_told, probe, listed;
    bool hangup_told;
    bool hearsay;   /* dialled on a peer's word alone */
    bool confirmed; /* incoming: its first frame came, so that it is no copy of an old first message */
    uint8_t key[NODE_KEY_SIZE];
    uint8_t binding[HASH_SIZE];
    struct net_addr addr;      /* of the stream: where it came from or what we dialled */
    struct net_addr dial_addr; /* where others can dial the peer; port 0 = nowhere */
    char agent[MESSAGE_AGENT_MAX + 1];
    int close_reason;
    core_time since, last_in, last_use;
    struct timer timer;
    struct list in_ready, in_hangup, in_fill, in_serve;

    struct channel **channels; /* by number; NULL = free */
    uint32_t channel_cap, channel_count;
    struct list dirty, fetch;

    /* what we ask for */
    struct list unsent, sent, cancels;
    uint32_t request_count, cancel_count;
    uint32_t outstanding;  /* asked for, not arrived, not expired [bytes] */
    uint32_t urgent_bytes; /* of these for readers */
    uint32_t window;       /* [bytes] */
    bool peer_choking, stalled;
    bool peer_finishes; /* it chokes us, but the chunks we go on with it would still finish */
    uint32_t stalls;
    core_time last_arrival, busy_since, timeout;
    struct flow flow;            /* delivery rate */
    uint32_t rtt_us, rtt_min_us; /* 0 = not measured */
    core_time rtt_min_at;

    /* what we serve */
    struct list serves, rejects;
    uint32_t serve_count, reject_count;
    uint32_t serving_bytes;  /* at the host, nominal */
    struct flow serve_flow;  /* at which the host takes payload */
    bool choked, choke_told; /* what we decided; what the peer knows */
    uint32_t served_channel, served_end; /* what went to the host last: the end of that run */
    uint32_t finish_chunk;               /* while choked: of this chunk the rest is still served; CHUNK_NONE: nothing */
    core_time finish_until;
    bool peer_interested, interested, interest_told;
    uint32_t interesting; /* channels with something we want */
    uint32_t lies;        /* refused runs of chunks it said it has */
    bool slot, optimistic;
    core_time waiting_since, slot_since;
    uint32_t debt, debt_called; /* chunks lent to it that nobody else has got yet; of earlier ones, that it kept too long */
    uint64_t got_period, got_before; /* verified bytes from the peer in this and the last choke period */

    uint32_t ping_id, pong_id;
    bool ping_due, pong_due, ping_out;
    core_time ping_sent, ping_next;
    struct list apps;
    uint32_t app_count, frame_apps; /* frame_apps: in the frame being read */
    struct question asked[SESSION_OPS_MAX], asking[SESSION_OPS_MAX];
    uint32_t unsupported_id, unsupported_type;
    bool unsupported_due;

    uint64_t bytes_down, bytes_up;
    struct meter down, up;
    uint32_t strikes;
    int32_t unsolicited;
};

struct partial {            /* a chunk that is being fetched */
    struct list in_orphans; /* swarm->orphans: has free leaves and nobody who goes on with it */
    struct list requests;
    struct channel *owner;
    uint32_t chunk, index;
    uint32_t missing; /* wanted leaves not yet verified */
    uint32_t free;    /* of these neither asked for nor being verified */
    uint64_t words[]; /* want, have, asked, verifying: PARTIAL_MAPS maps of swarm->partial_words */
};
enum { PARTIAL_WANT, PARTIAL_HAVE, PARTIAL_ASKED, PARTIAL_VERIFYING, PARTIAL_MAPS };

struct candidate {
    uint8_t key[NODE_KEY_SIZE];
    struct net_addr addr;
    uint8_t source, fails; /* enum xfer_source; in a row */
    core_time next;        /* not tried before */
};

struct cold { /* where hearsay led to nobody */
    struct net_addr addr;
    uint32_t fails;
    core_time until;
};

struct reader {
    uint32_t number, first, count;
    core_time due;
    bool used;
};

struct swarm {
    uint32_t number;
    struct content_id id;
    uint8_t provider_key[HASH_SIZE];
    uint32_t ref, parent;
    struct xfer_geometry geometry;
    uint32_t chunks;
    bool pack, complete, paused, trouble, removed, broken, searching;
    uint8_t *have;                               /* chunks; NULL when complete */
    uint8_t *want;                               /* leaves; NULL = all */
    uint8_t *proven, *proof_seen;                /* spans; NULL when complete or a pack or one leaf */
    uint8_t *want_map;                           /* chunks with a wanted leaf; NULL when complete */
    uint32_t have_count, want_chunks, want_have; /* chunks: here, wanted, both */
    uint32_t leaves_have, leaves_want;
    struct picker picker;
    bool picking; /* picker is set up: not complete */
    uint32_t partial_words;
    struct partial **partials;
    uint32_t partial_cap, partial_count, partial_hint;
    struct list orphans;
    uint32_t *log; /* chunks completed, in order */
    uint32_t log_count;
    /* Of a seed: which chunks have left it for somebody, in order, so that each leaves once before any leaves twice. NULL: nobody to tell. */
    uint8_t *lent;
    uint32_t *lent_log; /* chunk, or chunk | LENT_BACK: not after all */
    uint32_t *lent_to;  /* by chunk: the session it left for, until another peer has it; 0 = none */
    uint32_t lent_count, lent_cap;
    struct list channels;
    uint32_t channel_count, seed_count;
    struct candidate *candidates;
    uint32_t candidate_count, candidate_cap;
    struct reader *readers;
    uint32_t reader_count;   /* used */
    bool gossip_dirty;       /* who takes part has changed since the last gossip */
    struct list in_fetching; /* xfer->fetching: not complete */
    struct list in_wake;     /* xfer->wakes: its channels may have something to ask for again */
    struct timer timer;
    core_time connect_at, need_at, gossip_at, recheck_at, idle_at;
    uint32_t need_gap;  /* doublings */
    uint32_t verifying; /* leaves at the data plane */
    uint64_t bytes_down, bytes_up, bytes_wasted;
    struct meter down, up;
};

struct xfer {
    const struct xfer_env *env;
    const struct xfer_config *config;
    const struct core_alloc *alloc;
    const struct node_identity *me;
    const struct network *network;
    struct rng rng;
    uint16_t stream_port;
    core_time now;
    struct effects *out;             /* during a call */
    uint32_t call_start, call_bytes; /* what was in the batch when the call began */
    bool more;                       /* something is left for want of room */

    struct session **sessions; /* by slot */
    uint32_t session_cap, session_count;
    uint16_t *session_generations;
    uint32_t session_generation_cap;
    struct swarm **swarms;
    uint32_t swarm_cap, swarm_count, swarm_hint;
    uint16_t *swarm_generations;
    uint32_t swarm_generation_cap;
    struct timer **heap;
    uint32_t heap_count, heap_cap;
    struct pool requests, serves, cancels;

    struct list ready, hangups, fills, contents, serving, fetching, wakes;
    bool choke_dirty;
    uint64_t uplink_rate, period_bytes; /* [bytes/s] as last measured, 0 = unknown; bytes_up when this choke period began */
    uint32_t choke_waiting; /* interested sessions without a slot */
    uint32_t idle_extra;    /* slots opened in this choke period because the uplink was idle */
    core_time idle_tried;
    struct timer choke_timer, upload_timer, download_timer;
    core_time choke_at, optimistic_at;
    uint64_t at_host;                /* of all sessions, nominal: 0 and nothing waiting = our uplink is idle [bytes] */
    core_time idle_since, idle_sum;  /* CORE_NEVER: busy; idle time in this choke period */
    struct bucket upload, download;
    struct bans bans;
    struct cold *cold; /* NULL until there is one */
    core_time gossip_window;
    uint32_t gossip_dials; /* in this window */
    uint64_t inflight; /* arrived, not yet verified and written [bytes] */
    uint64_t bytes_down, bytes_up, malformed, unsolicited, bad_leaves, bans_total;
    struct meter down, up;
    size_t memory;
    uint32_t next_id;
};

/* xfer.c */
void xfer_enter(struct xfer *x, core_time now, struct effects *out);
void xfer_leave(struct xfer *x);
bool xfer_room(const struct xfer *x);
struct effect *xfer_notice(struct xfer *x, uint32_t kind, uint32_t op);
void *xfer_alloc(struct xfer *x, size_t size);
void xfer_free_memory(struct xfer *x, void *memory, size_t size);
bool xfer_grow(struct xfer *x, void **array, uint32_t *cap, uint32_t want, uint32_t max, size_t item);

/* xfer_timer.c: one heap, so that the deadline is O(1) to read and idle objects cost nothing */
bool timer_reserve(struct xfer *x, uint32_t count);
void timer_set(struct xfer *x, struct timer *t, core_time at); /* CORE_NEVER disarms */
void timer_sooner(struct xfer *x, struct timer *t, core_time at);

/* session.c */
struct session *session_get(const struct xfer *x, uint32_t number);  /* NULL: unknown */
struct session *session_live(const struct xfer *x, uint32_t number); /* NULL: unknown or closing */
struct session *session_by_key(const struct xfer *x, const uint8_t key[NODE_KEY_SIZE]);
struct session *session_dial(struct xfer *x, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr,
                             bool probe);
void session_forget(struct xfer *x, struct session *s); /* frees all of it */
void session_hangup(struct xfer *x, struct session *s, int reason);
void session_strike(struct xfer *x, struct session *s, int reason);
void session_wants_write(struct xfer *x, struct session *s);
void session_timer(struct xfer *x, struct session *s);
void session_arm(struct xfer *x, struct session *s);
void session_rtt(struct xfer *x, struct session *s, core_time sample);

/* session_recv.c, session_write.c, session_service.c */
void session_maybe_up(struct xfer *x, struct session *s);
bool service_message(struct xfer *x, struct session *s, const struct message *m);
bool service_write(struct xfer *x, struct session *s, struct pack *p);
bool service_pending(const struct session *s); /* a question is open */
bool service_unsent(const struct session *s);
void service_closed(struct xfer *x, struct session *s);
core_time service_deadline(const struct session *s);
void service_timer(struct xfer *x, struct session *s);
void service_probe_done(struct xfer *x, struct session *probe, int status);
bool service_expects_probe(const struct session *s);
bool session_pending(const struct session *s);

/* xfer_channel.c */
struct channel *channel_get(const struct session *s, uint32_t number);
struct channel *channel_of(const struct session *s, const struct swarm *w);
struct channel *channel_open(struct xfer *x, struct session *s, struct swarm *w);
void channel_mac(const struct xfer *x, const struct channel *c, const struct swarm *w, bool answerer,
                 uint8_t out[HASH_SIZE]);
void channel_todo(struct xfer *x, struct channel *c, unsigned todo);
void channel_shut(struct xfer *x, struct channel *c); /* our side is done with it: tells the peer */
void channel_drop(struct xfer *x,
                  struct channel *c); /* forget it: the session is gone or the number is free */
void channel_maybe_free(struct xfer *x, struct channel *c);
bool channel_message(struct xfer *x, struct session *s, const struct message *m);
bool channel_peer_has(const struct channel *c, uint32_t chunk);
void channel_may_fetch(struct xfer *x, struct channel *c);
void channel_interest(struct xfer *x, struct channel *c);
void channel_map_free(struct xfer *x, struct channel *c);
void channel_unhas(struct xfer *x, struct channel *c,
                   uint32_t chunk); /* it says it does not have it after all */

/* swarm.c */
struct swarm *swarm_get(const struct xfer *x, uint32_t number); /* NULL: unknown or removed */
struct swarm *swarm_any(const struct xfer *x,
                        uint32_t number); /* removed ones too, while the data plane has leaves of theirs */
void swarm_maybe_free(struct xfer *x, struct swarm *w);
bool swarm_has_leaf(const struct swarm *w, uint32_t leaf);
void swarm_want_leaf(struct xfer *x, struct swarm *w, uint32_t leaf);
void swarm_chunk_done(struct xfer *x, struct swarm *w, uint32_t chunk);
void swarm_complete(struct xfer *x, struct swarm *w);
void swarm_timer(struct xfer *x, struct swarm *w);
void swarm_arm(struct xfer *x, struct swarm *w);
void swarm_sources_changed(struct xfer *x, struct swarm *w);
void swarm_wake(struct xfer *x, struct swarm *w);
bool swarm_wants(const struct swarm *w);
bool swarm_tells(const struct swarm *w, uint32_t chunk); /* of a chunk that is here: may others be told? */
void swarm_stop_serving(struct xfer *x, struct swarm *w);
uint32_t swarm_chunk_of(const struct swarm *w, uint32_t leaf);
uint32_t swarm_leaf_bytes(const struct swarm *w, uint32_t leaf);
void swarm_forget(struct xfer *x, struct swarm *w);

/* candidates.c */
void candidates_connect(struct xfer *x, struct swarm *w);
struct candidate *candidates_find(struct swarm *w, const uint8_t key[NODE_KEY_SIZE]);
struct candidate *candidates_add(struct xfer *x, struct swarm *w, const uint8_t key[NODE_KEY_SIZE],
                                 const struct net_addr *addr, enum xfer_source source);
void candidates_failed(struct xfer *x, struct swarm *w, const uint8_t key[NODE_KEY_SIZE], core_time pause);
void candidates_session_up(struct xfer *x, struct session *s);
void candidates_inherit(struct xfer *x, struct swarm *w); /* of a new swarm: what its parent knows */

/* gossip.c */
void gossip_received(struct xfer *x, struct channel *c, const struct message *m);
bool gossip_write(struct xfer *x, struct channel *c, struct pack *p); /* false: no room */
core_time gossip_dial_wait(const struct xfer *x, const struct net_addr *addr); /* 0: an address that is hearsay may be dialled now */
void gossip_dialled(struct xfer *x, struct session *s);
void gossip_dial_ended(struct xfer *x, struct session *s, bool good);
void gossip_fini(struct xfer *x);

/* partial.c */
struct partial *partial_get(const struct swarm *w, uint32_t chunk); /* NULL: nothing of it asked for */
struct partial *partial_start(struct xfer *x, struct swarm *w,
                              uint32_t chunk); /* takes it out of the picker; NULL: no memory */
void partial_release(struct xfer *x, struct swarm *w,
                     struct partial *p); /* back to the picker if nothing is known of it */
void partial_free(struct xfer *x, struct swarm *w, struct partial *p);
bool partial_test(const struct swarm *w, const struct partial *p, int map, uint32_t leaf);
void partial_asked(struct swarm *w, struct partial *p, uint32_t leaf, uint32_t count, uint64_t mask);
void partial_unasked(struct xfer *x, struct swarm *w, struct partial *p, uint32_t leaf, uint32_t count);
void partial_verifying(struct swarm *w, struct partial *p, uint32_t leaf);
void partial_verified(struct xfer *x, struct swarm *w, struct partial *p, uint32_t leaf, bool good);
uint32_t partial_next_run(const struct swarm *w, const struct partial *p, uint32_t from, uint32_t most,
                          uint32_t *count);
void partial_recount(struct swarm *w, struct partial *p);
void partial_want(struct swarm *w, struct partial *p, uint32_t leaf);

/* xfer_request.c */
void session_fill(struct xfer *x, struct session *s);
void session_fill_later(struct xfer *x, struct session *s);
struct request *request_make(struct xfer *x, struct channel *c, struct partial *p, uint32_t leaf,
                             uint32_t count, uint64_t mask, bool urgent);
void request_free(struct xfer *x,
                  struct request *r); /* unlinks; the leaves are free again unless others ask for them */
void request_cancel(struct xfer *x, struct request *r); /* and tells the peer when it was sent */
void requests_drop_channel(struct xfer *x, struct channel *c);
void requests_expire(struct xfer *x, struct session *s);
void requests_unsend_all(struct xfer *x, struct session *s);
void request_rejected(struct xfer *x, struct channel *c, const struct message *m);
struct request *request_find(struct session *s, const struct channel *c, uint32_t leaf);
uint64_t session_queue_us(const struct xfer *x, const struct session *s);
uint32_t request_bytes(const struct request *r);
void request_mask_clear(struct xfer *x, struct request *r,
                        uint32_t leaf); /* this leaf need not come any more */
bool session_may_request(const struct session *s);
bool swarm_needs_proofs(const struct swarm *w);
bool request_steal(struct xfer *x, struct channel *c);
bool request_asked_twice(const struct request *r); /* of somebody else too */

/* readers.c */
void readers_pump(struct xfer *x, struct swarm *w);

/* xfer_serve.c */
bool serve_request(struct xfer *x, struct channel *c, const struct message *m);
void serve_cancel(struct xfer *x, struct channel *c, const struct message *m);
void serve_drop_channel(struct xfer *x, struct channel *c);
void serve_choked(struct xfer *x, struct session *s); /* refuses what waits; a chunk that is half sent is finished first */
/* lent.c */
void lent_note(struct xfer *x, struct channel *c, uint32_t chunk);  /* it leaves for this peer */
void lent_back(struct xfer *x, struct channel *c, uint32_t chunk);  /* it did not get there */
void lent_free(struct xfer *x, struct swarm *w);
void lent_seen(struct xfer *x, struct channel *c, uint32_t chunk);  /* this peer says that it has it */
void lent_call_in(struct xfer *x, struct session *s); /* it keeps what it got: others may have it from us */
bool lent_write(struct channel *c, struct pack *p);                 /* false: no room */
bool lent_message(struct xfer *x, struct channel *c, const struct message *m);
void lent_forget(struct xfer *x, struct channel *c); /* what the peer told */

uint32_t serve_chunk_under_way(const struct session *s); /* CHUNK_NONE: what it was given last ended a chunk */
void serve_release(struct xfer *x, struct channel *c); /* held early requests may go */
void serve_pump(struct xfer *x);
void serve_session_closed(struct xfer *x, struct session *s);
void serve_resume(struct xfer *x, struct session *s);

/* choker.c */
void choker_interest(struct xfer *x, struct session *s, bool interested);
void choker_closed(struct xfer *x, struct session *s);
void choker_update(struct xfer *x);
void choker_timer(struct xfer *x);
#define DEBT_FREE 8u /* chunks lent to somebody and not yet seen elsewhere, as anybody has */
void choker_uplink(struct xfer *x); /* after every call: is it idle? */

/* bitmaps, bit 0 of byte 0 first */
static inline bool bit_get(const uint8_t *map, uint32_t i)
{
    return (map[i >> 3] >> (i & 7)) & 1;
}
static inline void bit_set(uint8_t *map, uint32_t i)
{
    map[i >> 3] = (uint8_t)(map[i >> 3] | 1u << (i & 7));
}
static inline void bit_clear(uint8_t *map, uint32_t i)
{
    map[i >> 3] = (uint8_t)(map[i >> 3] & ~(1u << (i & 7)));
}
static inline uint32_t bit_bytes(uint32_t bits)
{
    return (bits + 7) / 8;
}
static inline bool swarm_has_chunk(const struct swarm *w, uint32_t chunk)
{
    return w->complete ? true : bit_get(w->have, chunk);
}
#endif
