/* Signed records. Signatures cover "shoal record 1", network id, kind, key, sequence, expiry and value exactly as received (DESIGN.md,
 * "DHT"). Wire form: msgpack map {0: kind, 1: publisher key, 2: sequence, 3: expiry [unix s], 4: value (bin), 5: signature}. */
#ifndef SHOAL_DHT_RECORD_H
#define SHOAL_DHT_RECORD_H
#include "dht/dht.h"

#define DHT_RECORD_WIRE_MAX 1000 /* the whole signed record; so that a put fits one datagram */

struct dht_record_view { /* borrowed from the wire form */
    uint8_t kind;
    const uint8_t *publisher;
    uint64_t sequence, expiry_s;
    struct bytes value;
    const uint8_t *signature;
};

/* Bytes written to out (cap bytes), or 0 when it does not fit. */
size_t dht_record_sign(uint8_t *out, size_t cap, enum dht_kind kind, const uint8_t key[DHT_KEY_SIZE], uint64_t sequence,
                       uint64_t expiry_s, struct bytes value, const struct node_identity *me, const struct network *network,
                       const struct core_crypto *crypto);
int dht_record_read(struct dht_record_view *out, struct bytes wire); /* ERR_MALFORMED */
/* Signature and the rule of who may write under this key (a profile: BLAKE2b of the publisher's key == key). ERR_AUTH. */
int dht_record_verify(const struct dht_record_view *r, const uint8_t key[DHT_KEY_SIZE], const struct network *network,
                      const struct core_crypto *crypto);
#endif
