/* What a node says to its local network by multicast: "I am here, on this port". Signed, and tagged so that only members of the network
 * recognise it: to others the bytes name a node key, but no network. docs/protocol.md, "Neighbours". Pure functions. */
#ifndef SHOAL_CHANNEL_ANNOUNCE_H
#define SHOAL_CHANNEL_ANNOUNCE_H
#include "node/base/id.h"

#define ANNOUNCE_VERSION  1
#define ANNOUNCE_TAG_SIZE 16
#define ANNOUNCE_SIZE     (1 + ANNOUNCE_TAG_SIZE + NODE_KEY_SIZE + 2 + 8 + SIGNATURE_SIZE)

struct announce {
    uint8_t key[NODE_KEY_SIZE];
    uint16_t port;    /* where its datagrams and streams are taken */
    uint64_t unix_ms; /* by its clock: tells a newer announcement from an older one, nothing else */
};

/* Tagged and signed by `me`; a->key is not looked at. */
void announce_encode(uint8_t out[ANNOUNCE_SIZE], const struct announce *a, const struct node_identity *me, const struct network *network,
                     const struct core_crypto *crypto);
/* The cheap part, to be done first: size, version, tag. ERR_MALFORMED, ERR_VERSION, ERR_NETWORK. */
int announce_decode(struct announce *out, const uint8_t *data, size_t size, const struct network *network, const struct core_crypto *crypto);
/* The signature of what announce_decode accepted. ERR_AUTH. */
int announce_verify(const uint8_t data[ANNOUNCE_SIZE], const struct core_crypto *crypto);
#endif
