/* DHT messages. The codec: what decodes encodes, and decodes to the same again. The node: a fresh one gets the input's messages sealed by a
 * stranger that it has asked something, with the id of its last question put in, so that answers reach the code behind the id
 * check too; whatever comes, the node's invariants and the bounds on effects hold. Input: (size, 2 bytes; message)*. */
#include <stdlib.h>
#include <string.h>
#include "dht/node_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void codec(const uint8_t *data, size_t size)
{
    struct dht_message m, again;
    uint8_t out[2 * DATAGRAM_MAX], out2[2 * DATAGRAM_MAX];
    if (dht_message_read(&m, data, size) != 0)
        return;
    size_t n = dht_message_write(out, sizeof out, &m, 0);
    require(n > 0 || size > DATAGRAM_MAX);
    if (n == 0)
        return;
    require(dht_message_read(&again, out, n) == 0);
    require(dht_message_write(out2, sizeof out2, &again, 0) == n && memcmp(out, out2, n) == 0);
}

struct setup {
    struct dht_config config;
    struct dht_env env;
    struct pool lookups, records;
    struct node_identity me, peer;
    struct network network;
    struct datagram_channel channel;
    struct dht_node *node;
    struct effect items[DHT_EFFECTS_PER_CALL];
    uint8_t bytes[DHT_EFFECT_BYTES_PER_CALL];
    struct effects out;
    uint8_t id[DHT_ID_SIZE];
    core_time now;
};

/* Remembers the id of the last question to the peer, then forgets the effects. */
static void drain(struct setup *s)
{
    require(s->out.count <= DHT_EFFECTS_PER_CALL);
    for (uint32_t i = 0; i < s->out.count; i++) {
        struct bytes b = effects_bytes(&s->out, &s->out.items[i]);
        uint8_t sender[NODE_KEY_SIZE], plain[DATAGRAM_MAX];
        size_t size;
        struct dht_message m;
        if (s->out.items[i].kind == EFFECT_DATAGRAM &&
            datagram_open(&s->channel, s->now, b.data, b.size, sender, plain, &size, NULL, NULL) == 0) {
            require(dht_message_read(&m, plain, size) == 0);
            if (!m.reply)
                memcpy(s->id, m.id, DHT_ID_SIZE);
        }
    }
    effects_reset(&s->out);
    dht_check(s->node);
}

static void setup_init(struct setup *s)
{
    const struct core_crypto *crypto = &core_crypto_cheap;
    uint8_t seed[32] = {1};
    memset(s, 0, sizeof *s);
    dht_config_default(&s->config);
    s->config.ipv6 = true;
    s->config.records_max = 20;
    pool_init(&s->lookups, &core_alloc_libc, dht_lookup_size(&s->config), 8);
    pool_init(&s->records, &core_alloc_libc, dht_record_size(), 64);
    s->env = (struct dht_env){&s->config, crypto, key_pool_new(&core_alloc_libc, crypto, 16), &core_alloc_libc, &s->lookups, &s->records};
    crypto->identity(&s->me, seed);
    seed[0] = 2;
    crypto->identity(&s->peer, seed);
    s->now = CORE_SECONDS(1);
    datagram_channel_init(&s->channel, &s->peer, &s->network, crypto, s->env.keys, seed, s->now);
    s->node = calloc(1, dht_node_size(&s->config));
    dht_init(s->node, &s->env, &s->me, &s->network, seed, s->now);
    effects_init(&s->out, s->items, DHT_EFFECTS_PER_CALL, s->bytes, sizeof s->bytes);
}

static void feed(struct setup *s, const struct net_addr *from, const uint8_t *data, size_t size, uint32_t round)
{
    uint8_t plain[DATAGRAM_PLAIN_MAX], sealed[DATAGRAM_MAX];
    struct dht_message m;
    if (size > sizeof plain)
        return;
    memcpy(plain, data, size);
    if (dht_message_read(&m, data, size) == 0 && m.reply) {
        memcpy(m.id, s->id, DHT_ID_SIZE);
        size_t n = dht_message_write(plain, sizeof plain, &m, 0);
        if (n == 0)
            return;
        size = n;
    }
    if (size == 0)
        return;
    size = datagram_seal(&s->channel, s->me.key, plain, size, sealed);
    require(size > 0);
    dht_recv(s->node, s->now, from, sealed, size, &s->out);
    drain(s);
    s->now += round % 3 ? CORE_MS(100) : CORE_SECONDS(round * 7);
    while (dht_deadline(s->node) <= s->now) {
        dht_wake(s->node, s->now, &s->out);
        drain(s);
        s->now += 1000;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct setup s;
    const struct net_addr from = net_addr_v4(127, 0, 0, 1, 9);
    uint8_t key[DHT_KEY_SIZE] = {3};
    codec(data, size);
    setup_init(&s);
    dht_recv(s.node, s.now, &from, data, size, &s.out);
    drain(&s);
    dht_hint(s.node, s.now, s.peer.key, &from, &s.out);
    drain(&s);
    for (uint32_t round = 0; size >= 2 && round < 32; round++) {
        size_t part = get_be16(data) % 1200u;
        data += 2;
        size -= 2;
        part = part > size ? size : part;
        codec(data, part);
        feed(&s, &from, data, part, round);
        if (round == 1) {
            dht_get(s.node, s.now, DHT_PROVIDER, key, 1, &s.out);
            drain(&s);
            dht_get(s.node, s.now, DHT_PROFILE, key, 2, &s.out);
            drain(&s);
            dht_announce(s.node, s.now, key, true, 3, &s.out);
            drain(&s);
        }
        data += part;
        size -= part;
    }
    dht_fini(s.node);
    free(s.node);
    pool_fini(&s.lookups);
    pool_fini(&s.records);
    key_pool_free(s.env.keys);
    return 0;
}
