/* Effects: what a core wants done. A core appends to a batch that the caller owns; the host (libuv or the simulator) carries the
 * batch out and resets it. One batch serves all nodes of a thread. Items are fixed-size; variable bytes are spans in the batch's byte
 * area. Each core entry point has a compile-time maximum of items and bytes, and the caller must offer that much room
 * (asserted on entry with effects_room), so "batch full" is not an error path; larger work sets its deadline to now. */
#ifndef SHOAL_BASE_EFFECTS_H
#define SHOAL_BASE_EFFECTS_H
#include "node/base/addr.h"
#include "node/base/bytes.h"
#include "node/base/crypto.h"

enum effect_kind {
    EFFECT_DATAGRAM, /* send `bytes` to u.datagram.to */
    EFFECT_DIAL,     /* connect a stream; answer with xfer_session_secured or xfer_session_closed */
    EFFECT_HANGUP,   /* close the stream; the session number is free for reuse once the host called xfer_session_closed */
    EFFECT_READY,    /* the session has control bytes: call xfer_session_write when the stream can take them */
    EFFECT_CONTENT,  /* a peer opens content by provider key (bytes, 32): answer with xfer_content_answer */
    EFFECT_SERVE,    /* read leaves (and a proof when asked), send them as frames, then call xfer_served */
    EFFECT_PERSIST,  /* keep `bytes` under u.persist.key, survive a restart; replaces */
    EFFECT_NOTICE    /* tell the owner; what it means is said by u.notice.kind in the header of the core that emitted it */
};

struct effect {
    enum effect_kind kind;
    uint32_t bytes_off, bytes_size; /* span inside the batch's byte area */
    union {
        struct {
            struct net_addr to;
        } datagram;
        struct {
            uint32_t session;
            struct net_addr to;
            uint8_t key[NODE_KEY_SIZE];
        } dial;
        struct {
            uint32_t session;
            int reason; /* enum shoal_error */
        } hangup;
        struct {
            uint32_t session;
        } ready;
        struct {
            uint32_t session, channel;
            bool pack;           /* the peer wants the small entries of this manifest (transfer/xfer.h) */
        } content;
        struct {
            uint32_t session, channel;
            uint32_t ref;        /* the host's handle of the content, as given to xfer_swarm_add */
            uint32_t leaf, count;
            bool proof;          /* send the proof frame of `leaf`'s span first */
        } serve;
        struct {
            uint32_t key;
        } persist;
        struct {
            uint32_t kind, op;   /* op: the number the owner gave when it asked, or 0 */
            int status;          /* enum shoal_error or 0 */
            uint64_t a, b;       /* by kind */
            struct node_addr_wire {
                uint8_t key[NODE_KEY_SIZE];
                struct net_addr addr;
            } node;
        } notice;
    } u;
};

struct effects {
    struct effect *items;
    uint32_t count, cap;
    uint8_t *bytes;
    uint32_t bytes_used, bytes_cap;
    uint32_t routed; /* how many items node_route has already looked at (node/node.h) */
};

void effects_init(struct effects *e, struct effect *items, uint32_t cap, uint8_t *bytes, uint32_t bytes_cap);
void effects_reset(struct effects *e);
/* True when `items` more effects and `size` more bytes fit. */
bool effects_room(const struct effects *e, uint32_t items, uint32_t size);
/* Appends a zeroed effect of this kind; asserts that there is room. The pointer is valid until the next append. */
struct effect *effects_add(struct effects *e, enum effect_kind kind);
/* Reserves up to `cap` bytes for effect `x` (the last one added) and returns where to write; effects_commit says how many were used. */
uint8_t *effects_reserve(struct effects *e, struct effect *x, uint32_t cap);
void effects_commit(struct effects *e, struct effect *x, uint32_t size);
static inline struct bytes effects_bytes(const struct effects *e, const struct effect *x)
{
    return bytes_of(e->bytes + x->bytes_off, x->bytes_size);
}
#endif
