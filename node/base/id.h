/* Identities and networks, and their text forms (DESIGN.md, "Identity, networks, content"). */
#ifndef SHOAL_BASE_ID_H
#define SHOAL_BASE_ID_H
#include "node/base/addr.h"
#include "node/base/bytes.h"
#include "node/base/crypto.h"

#define NODE_ID_TEXT_SIZE 56 /* base32 of key (32), checksum (2), version (1) */
#define NODE_ID_VERSION   1

/* `out` has NODE_ID_TEXT_SIZE + 1 bytes. */
void node_id_format(char *out, const uint8_t key[NODE_KEY_SIZE]);
/* Exactly 56 characters then NUL. ERR_MALFORMED (length, alphabet), ERR_CHECKSUM, ERR_VERSION. */
int node_id_parse(uint8_t key[NODE_KEY_SIZE], const char *text);
/* A node's DHT position: BLAKE2b-256 of its key. */
void node_position(uint8_t out[HASH_SIZE], const uint8_t key[NODE_KEY_SIZE], const struct core_crypto *crypto);

#define NETWORK_ID_SIZE     16
#define NETWORK_SECRET_SIZE 32

struct network {
    uint8_t id[NETWORK_ID_SIZE];
    uint8_t secret[NETWORK_SECRET_SIZE]; /* zeroes when public */
    bool is_private;
};

struct node_addr {
    uint8_t key[NODE_KEY_SIZE];
    struct net_addr addr;
};

#define INVITE_NODES_MAX 8
#define INVITE_TEXT_MAX  1024

struct invite {
    struct network network;
    struct node_addr nodes[INVITE_NODES_MAX];
    uint32_t node_count;
};

/* "shoal-invite:" then base32 of msgpack {0: version 1, 1: network id, 2: secret when private, 3: [[key, address], ...]} and its CRC-32
 * (big-endian). `out` has INVITE_TEXT_MAX bytes. Returns 0, or ERR_RANGE when node_count is above the maximum. */
int invite_format(char *out, const struct invite *in);
/* Surrounding white space is allowed. ERR_MALFORMED, ERR_CHECKSUM, ERR_VERSION. */
int invite_parse(struct invite *out, const char *text);
#endif
