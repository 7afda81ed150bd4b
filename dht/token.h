/* Write tokens: a keyed hash of (asker's address and key, period). Nothing is stored per asker; valid for this period and the last. */
#ifndef SHOAL_DHT_TOKEN_H
#define SHOAL_DHT_TOKEN_H
#include "node/base/addr.h"
#include "node/base/crypto.h"
#include "node/base/time.h"

#define DHT_TOKEN_SIZE 8

void dht_token_make(uint8_t out[DHT_TOKEN_SIZE], const struct core_crypto *crypto, const uint8_t secret[32], core_time period,
                    core_time now, const struct net_addr *addr, const uint8_t key[NODE_KEY_SIZE]);
bool dht_token_valid(const uint8_t token[DHT_TOKEN_SIZE], const struct core_crypto *crypto, const uint8_t secret[32],
                     core_time period, core_time now, const struct net_addr *addr, const uint8_t key[NODE_KEY_SIZE]);
#endif
