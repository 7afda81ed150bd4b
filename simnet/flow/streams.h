/* The virtual host of `struct xfer`: streams and the data plane without bytes. It answers the effects DIAL, HANGUP, READY, CONTENT and
 * SERVE as node/host does, in virtual time. Control messages are real bytes and arrive one latency later; payload is a block (content, first leaf,
 * count, honest or not) that takes the time its flow's rate gives it. Control bytes do not compete with payload, but in packet mode.
 *
 * It knows neither the world nor where events are kept: `struct streams_env` says. Handles of contents are EFFECT_SERVE's refs. */
#ifndef SIMNET_FLOW_STREAMS_H
#define SIMNET_FLOW_STREAMS_H
#include "simnet/engine/events.h"
#include "transfer/xfer.h"

enum streams_event { STREAMS_CONNECT, STREAMS_HELLO, STREAMS_REPLY, STREAMS_CONTROL, STREAMS_CLOSED, STREAMS_SENT, STREAMS_BLOCK,
                     STREAMS_QUANTUM,
                     STREAMS_SERVED, STREAMS_PACKET, STREAMS_ARRIVED, STREAMS_ACK, STREAMS_RTO, /* packet mode alone */
                     STREAMS_EVENTS };

struct streams_content {
    uint64_t size;
    struct xfer_geometry geometry;
    bool pack;
};

struct streams_env { /* all called with `context`; nodes are numbers below `nodes` */
    void *context;
    uint16_t kind;                 /* of STREAMS_CONNECT; the others follow */
    core_time (*now)(void *context);
    void (*at)(void *context, core_time at, uint32_t to, uint32_t from, uint16_t kind, uint64_t a, uint64_t b, void *data);
    core_time (*delay)(void *context, uint32_t a, uint32_t b);                                      /* one way [us] */
    uint32_t (*node_of)(void *context, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr); /* UINT32_MAX: nobody */
    bool (*reachable)(void *context, uint32_t from, uint32_t to);                                   /* can dial now */
    bool (*cut)(void *context, uint32_t from, uint32_t to);                                         /* nothing gets through now */
    bool (*loses)(void *context, uint32_t from, uint32_t to);                                       /* this segment; a draw */
    struct xfer *(*xfer)(void *context, uint32_t i);                                                /* NULL: down */
    const struct node_addr *(*who)(void *context, uint32_t i);
    struct effects *(*out)(void *context);
    void (*carry)(void *context, uint32_t i);      /* carries out what a call left in out(); may be reached again from within */
    uint32_t (*swarm)(void *context, uint32_t i, const uint8_t provider_key[HASH_SIZE], bool pack); /* 0: not here */
    bool (*content)(void *context, uint32_t i, uint32_t ref, struct streams_content *out);          /* false: read fails */
    bool (*honest)(void *context, uint32_t i);     /* false: its payload does not match its hashes */
    void (*raw)(void *context, int side, const uint8_t *data, size_t size); /* a raw stream's bytes; NULL: connected */
    void (*trace)(void *context, uint64_t word);   /* every delivery */
};

struct streams_links {
    uint64_t up, down; /* access link [bytes/s]; 0: endless */
};

struct streams_net {
    uint32_t window; /* of a stream [bytes], 0 = endless */
    bool packets;    /* packet mode (packets.h) instead of flow mode */
    core_time queue; /* packet mode: what a link's queue holds, in time at its rate */
};

struct streams_totals {
    uint64_t dials, refused, control_bytes, payload_bytes, blocks, streams, segments, segments_lost;
};

struct streams;
struct stream;
/* links: one a node, copied. Aborts with a message when memory is out. */
struct streams *streams_new(const struct streams_env *env, uint32_t nodes, const struct streams_links *links, const struct streams_net *net);
/* Events that are still queued keep their streams: give them to streams_drop, before or after. */
void streams_free(struct streams *s);
/* One of the five effects; true when it was ours. bytes: the effect's, borrowed. */
bool streams_effect(struct streams *s, uint32_t i, const struct effect *x, struct bytes bytes);
void streams_event(struct streams *s, const struct sim_event *e); /* owns e->data */
void streams_drop(uint16_t kind, const struct sim_event *e);      /* frees e->data; kind: of the environment */
/* Its streams break; the other ends hear of it a latency later. Call it before the node's objects are freed. */
void streams_node_down(struct streams *s, uint32_t i);
/* A stream of bytes between two nodes that no session of the cores knows of; packet mode alone. What comes is given to env.raw, connected
 * first. The caller closes it, before its nodes go down and before streams_free; the handle is dead then. */
struct stream *streams_raw_open(struct streams *s, uint32_t from, uint32_t to);
void streams_raw_send(struct streams *s, struct stream *t, int side, const uint8_t *data, size_t size);
void streams_raw_close(struct streams *s, struct stream *t);
void *streams_must(void *memory); /* aborts with a message when it is NULL */
void streams_totals(const struct streams *s, struct streams_totals *out);
uint64_t streams_sent(const struct streams *s, uint32_t i); /* payload the node has sent [bytes] */
size_t streams_bytes(const struct streams *s);              /* memory [bytes] */
void streams_check(const struct streams *s);
#endif
