/* One swarm core driven by hand: the test plays its peers, message by message, and the host of it. For rules
 * of one module (choker, candidates, lent); whole swarms are tests/support/xfer_world.h. */
#ifndef SHOAL_TEST_XFER_HAND_H
#define SHOAL_TEST_XFER_HAND_H
#include "transfer/xfer_internal.h"

struct hand {
    struct xfer_config config; /* change it before hand_start */
    struct xfer_env env;
    struct node_identity me;
    struct network network;
    struct xfer *x;
    core_time now;
    struct effects out;
    struct effect items[256];
    uint8_t bytes[65536];
    struct effect held[64]; /* EFFECT_SERVEs still to be carried out, with hold_serves */
    uint32_t held_count;
    bool hold_serves; /* the uplink is busy: what is to be served waits for hand_serve */
    uint32_t dials;   /* seen; the dialled sessions stay as they are */
    struct net_addr dialled[256];
    uint32_t dialled_session[256];
    uint32_t needs; /* XFER_NOTICE_NEED_PEERS seen */
};

void hand_start(struct hand *h);
void hand_stop(struct hand *h);
/* Carries out what the last call left; every call below does so itself. Checks the invariants. */
void hand_drain(struct hand *h);
void hand_wait(struct hand *h, core_time time); /* wakes whenever the core asks for it */
uint32_t hand_swarm(struct hand *h, uint8_t name, uint64_t size, bool complete, uint32_t parent);
uint32_t hand_swarm_have(struct hand *h, uint8_t name, uint64_t size,
                         const uint8_t *have); /* bitmap of chunks; not all */
/* A peer comes from this address (its port: where it takes streams itself) and has said hello. */
struct session *hand_peer(struct hand *h, uint8_t name, const struct net_addr *addr);
struct session *hand_peer_home(struct hand *h, uint8_t name); /* from 10.0.0.name */
int hand_say(struct hand *h, struct session *s, const struct message *m);
/* The peer opens the swarm and is let in; the channel's number, which the peer chose. */
struct channel *hand_open(struct hand *h, struct session *s, uint32_t swarm, uint32_t number);
void hand_gone(struct hand *h, struct session *s);
/* What the core has to tell this peer; the first message of this type, false: none. All of it is taken. */
bool hand_told(struct hand *h, struct session *s, uint32_t type, struct message *m);
void hand_serve(struct hand *h, uint32_t count); /* of those held, the oldest */
void hand_key(uint8_t key[NODE_KEY_SIZE], uint8_t name);
#endif
