#include "dht/token.h"

static void make(uint8_t out[DHT_TOKEN_SIZE], const struct core_crypto *crypto, const uint8_t secret[32], uint64_t number,
                 const struct net_addr *addr, const uint8_t key[NODE_KEY_SIZE])
{
    uint8_t head[10];
    put_be64(head, number);
    put_be16(head + 8, addr->port);
    const struct bytes parts[] = {bytes_of("token", 5), bytes_of(head, sizeof head), bytes_of(addr->ip, sizeof addr->ip),
                                  bytes_of(key, NODE_KEY_SIZE)};
    crypto->hash(out, DHT_TOKEN_SIZE, secret, 32, parts, 4);
}

void dht_token_make(uint8_t out[DHT_TOKEN_SIZE], const struct core_crypto *crypto, const uint8_t secret[32], core_time period,
                    core_time now, const struct net_addr *addr, const uint8_t key[NODE_KEY_SIZE])
{
    make(out, crypto, secret, now / period, addr, key);
}

bool dht_token_valid(const uint8_t token[DHT_TOKEN_SIZE], const struct core_crypto *crypto, const uint8_t secret[32],
                     core_time period, core_time now, const struct net_addr *addr, const uint8_t key[NODE_KEY_SIZE])
{
    uint8_t expected[DHT_TOKEN_SIZE];
    uint64_t number = now / period;
    make(expected, crypto, secret, number, addr, key);
    if (crypto_equal(expected, token, DHT_TOKEN_SIZE))
        return true;
    if (number == 0)
        return false;
    make(expected, crypto, secret, number - 1, addr, key);
    return crypto_equal(expected, token, DHT_TOKEN_SIZE);
}
