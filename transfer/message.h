/* Control messages of a session: msgpack maps with small ascending keys, key 0 = type, one after another to
 * the end of a control frame (docs/protocol.d/40-sessions.md lists them). Unknown keys are skipped; unknown
 * types are left to the caller. */
#ifndef SHOAL_TRANSFER_MESSAGE_H
#define SHOAL_TRANSFER_MESSAGE_H
#include "node/base/addr.h"
#include "node/base/crypto.h"
#include "node/base/pack.h"
#include "node/base/wire.h"

#define SESSION_VERSION   1
#define MESSAGE_AGENT_MAX 31   /* [bytes] */
#define MESSAGE_HAVES_MAX 128  /* chunks in one have message */
#define MESSAGE_PEERS_MAX 8    /* peers in one peers message */
#define MESSAGE_MAP_MAX   1024 /* [bytes] bits in one map message */
#define MESSAGE_APP_MAX   1024 /* [bytes] */
#define MESSAGE_RUN_MAX   64   /* leaves in one request: never across a span */

enum message_type {
    MESSAGE_HELLO,
    MESSAGE_OPEN,
    MESSAGE_OPENED,
    MESSAGE_REFUSED,
    MESSAGE_MAP,
    MESSAGE_HAVE,
    MESSAGE_INTEREST,
    MESSAGE_CHOKE,
    MESSAGE_REQUEST,
    MESSAGE_CANCEL,
    MESSAGE_REJECT,
    MESSAGE_PEERS,
    MESSAGE_CLOSE,
    MESSAGE_PING,
    MESSAGE_PONG,
    MESSAGE_LENT,
    MESSAGE_SERVICES =
        32, /* from here on even types are questions and odd ones answers; both carry an id in key 1 */
    MESSAGE_FIND = 32,
    MESSAGE_FIND_RESULT,
    MESSAGE_DIALBACK,
    MESSAGE_DIALBACK_RESULT,
    MESSAGE_APP,
    MESSAGE_UNSUPPORTED = 63
};

enum reject_reason { REJECT_CHOKED, REJECT_NOT_HERE, REJECT_FULL, REJECT_FAILED, REJECT_REASONS };

#define HELLO_DO_NOT_LIST 1u /* flag: tell nobody about me */

struct message {
    uint32_t type;
    uint32_t channel;
    uint32_t leaf, count; /* request, cancel, reject; map: first chunk in leaf; opened: chunk log2 in count */
    uint32_t id;          /* services; ping and pong */
    uint32_t value;       /* reject: reason; find result: providers; unsupported: type; hello: features */
    uint32_t version, port, flags; /* hello */
    int status;                    /* services: 0 or an enum shoal_error */
    bool pack, all, on, finish, proof, urgent;
    bool has_addr;
    uint8_t key[HASH_SIZE], mac[HASH_SIZE];
    struct net_addr addr; /* hello: how the sender sees us */
    struct bytes bytes;   /* agent, map bits, application message: borrowed from the input */
    uint32_t chunks[MESSAGE_HAVES_MAX];
    uint32_t chunk_count;
    struct message_peer {
        uint8_t key[NODE_KEY_SIZE];
        struct net_addr addr;
    } peers[MESSAGE_PEERS_MAX];
    uint32_t peer_count;
};

/* Reads one message. False at the end of the input or when it is malformed (then wire_ok(w) is false): a field that must be
 * there is missing, out of its bounds or in another encoding than the one there is. Keys that are not known are skipped, and
 * of a type that is not known all but the id of a service. Spans are borrowed from the input. */
bool message_read(struct wire *w, struct message *out);
/* Appends one message with what belongs to its type, or nothing when it does not fit (false; the packer stays usable). */
bool message_write(struct pack *p, const struct message *m);
#endif
