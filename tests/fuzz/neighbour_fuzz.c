/* Multicast announcements: raw, with a member's tag, and decode - encode - decode of what a node itself signs. */
#include <stdlib.h>
#include "node/base/err.h"
#include "node/channel/announce.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct network network = {{1}, {2}, true};
    static const struct core_crypto *crypto = &core_crypto_cheap; /* its checks are the same, its cost is not */
    struct announce a, back;
    struct node_identity me;
    uint8_t seed[NODE_SEED_SIZE] = {0}, out[ANNOUNCE_SIZE];

    int rc = announce_decode(&a, data, size, &network, crypto);
    require(rc == 0 || rc == ERR_MALFORMED || rc == ERR_VERSION || rc == ERR_NETWORK);
    if (rc == 0) {
        require(size == ANNOUNCE_SIZE && a.port != 0);
        announce_verify(data, crypto);
    }
    if (size < 10)
        return 0;
    memcpy(seed, data, size < sizeof seed ? size : sizeof seed);
    crypto->identity(&me, seed);
    a.port = get_be16(data);
    a.unix_ms = get_be64(data + 2);
    announce_encode(out, &a, &me, &network, crypto);
    rc = announce_decode(&back, out, sizeof out, &network, crypto);
    require(rc == (a.port ? 0 : ERR_MALFORMED));
    if (rc == 0) {
        require(back.port == a.port && back.unix_ms == a.unix_ms && memcmp(back.key, me.key, NODE_KEY_SIZE) == 0);
        require(announce_verify(out, crypto) == 0);
    }
    out[data[0] % ANNOUNCE_SIZE] ^= (uint8_t)(data[1] | 1);
    require(announce_decode(&back, out, sizeof out, &network, crypto) != 0 || announce_verify(out, crypto) != 0);
    return 0;
}
