/* Values of signed records about names (docs/protocol.md, "Names"): strict codecs. Bytes from others are read with the wire cursor; whatever
 * breaks a rule below is ERR_MALFORMED, unknown map keys are ignored. Signature, sequence and expiry are the record's (dht/record.h). */
#ifndef SHOAL_NAMES_PROFILE_H
#define SHOAL_NAMES_PROFILE_H
#include "dht/record.h"
#include "node/names/name_text.h"
#include "transfer/content.h"

#define PROFILE_ADDRESSES_MAX    8
#define PROFILE_SERVICES_MAX     8
#define PROFILE_SERVICE_NAME_MAX 15  /* as in RFC 6335, 5.1: letters, digits, hyphens; lower case */
#define PROFILE_LIFE_S           (14 * 86400)

struct profile_service { /* something that listens on the node's addresses, for SRV */
    char name[PROFILE_SERVICE_NAME_MAX + 1]; /* "http", "ftp", "smtp" */
    uint16_t port;                           /* TCP, never 0 */
};

struct profile { /* value of a DHT_PROFILE: map {0: nickname, 1: [addresses], 2: site, 3: [[service, port]]}, all optional */
    char nickname[NAME_SIZE];                     /* "" = none; name_check holds */
    struct net_addr addresses[PROFILE_ADDRESSES_MAX]; /* of the node (TCP and UDP), best first; no port 0, no address twice */
    struct profile_service services[PROFILE_SERVICES_MAX];
    struct content_id site;                       /* a tree, when has_site */
    uint8_t address_count, service_count;
    bool has_site;
};

/* Bytes written; 0 when it does not fit `cap` or breaks a rule (our own bug or the user's input, checked before). */
size_t profile_write(uint8_t *out, size_t cap, const struct profile *p);
int profile_read(struct profile *out, struct bytes value);

/* DHT keys. Profile: BLAKE2b-256 of the node's key (node_position). */
void nick_key(uint8_t out[DHT_KEY_SIZE], const char *nickname, const struct network *network, const struct core_crypto *crypto);
void keyword_key(uint8_t out[DHT_KEY_SIZE], const char *folded_word, const struct network *network, const struct core_crypto *crypto);

/* A DHT_NICK: map {0: nickname as its owner writes it}. read: ERR_AUTH when the record's DHT key is not that name's. */
size_t nick_write(uint8_t *out, size_t cap, const char *nickname);
int nick_read(char nickname[NAME_SIZE], struct bytes value);

/* A DHT_KEYWORD: map {0: how many things this node lists under the word, 1: [addresses]}: a pointer to the node, which is asked itself. */
#define KEYWORD_ADDRESSES_MAX 2
struct keyword {
    uint32_t count; /* at least 1 */
    struct net_addr addresses[KEYWORD_ADDRESSES_MAX];
    uint8_t address_count;
};
size_t keyword_write(uint8_t *out, size_t cap, const struct keyword *k);
int keyword_read(struct keyword *out, struct bytes value);
#endif
