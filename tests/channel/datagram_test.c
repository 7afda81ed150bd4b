/* Sealed datagrams: who can read them, who is refused and at what price, and the pool of derived keys. The rules are those of
 * docs/protocol.md, "Datagrams". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sodium.h>
#include "node/base/err.h"
#include "node/base/rng.h"
#include "node/channel/key_pool.h"

struct peer {
    struct node_identity me;
    struct datagram_channel channel;
};

struct world {
    struct network network, other;
    struct key_pool *keys;
    struct peer a, b;
    uint8_t wire[DATAGRAM_MAX + 1], plain[DATAGRAM_MAX], sender[NODE_KEY_SIZE];
    size_t size, plain_size;
};

static void peer_init(struct world *w, struct peer *p, uint32_t number, const struct network *network)
{
    uint8_t seed[32] = {0};
    put_be32(seed, number);
    w->keys = w->keys ? w->keys : key_pool_new(&core_alloc_libc, &core_crypto_real, 1000);
    core_crypto_real.identity(&p->me, seed);
    seed[31] = 1;
    datagram_channel_init(&p->channel, &p->me, network, &core_crypto_real, w->keys, seed, 0);
}

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    memset(w->network.id, 0xaa, NETWORK_ID_SIZE);
    w->other = w->network;
    w->other.secret[0] = 1;
    peer_init(w, &w->a, 1, &w->network);
    peer_init(w, &w->b, 2, &w->network);
    return w;
}

static void world_free(struct world *w)
{
    key_pool_check(w->keys);
    key_pool_free(w->keys);
    free(w);
}

static void seal(struct world *w, struct peer *from, const struct peer *to, const char *plain)
{
    w->size = datagram_seal(&from->channel, to->me.key, (const uint8_t *)plain, strlen(plain), w->wire);
    assert_int_equal(w->size, strlen(plain) + DATAGRAM_OVERHEAD);
}

static int open_at(struct world *w, struct peer *to, core_time now)
{
    return datagram_open(&to->channel, now, w->wire, w->size, w->sender, w->plain, &w->plain_size, NULL, NULL);
}

static void a_datagram_arrives_with_its_senders_key(void **state)
{
    struct world *w = world_new();
    (void)state;
    seal(w, &w->a, &w->b, "find node");
    assert_int_equal(w->wire[0], DATAGRAM_VERSION);
    assert_int_equal(open_at(w, &w->b, 0), 0);
    assert_int_equal(w->plain_size, 9);
    assert_memory_equal(w->plain, "find node", 9);
    assert_memory_equal(w->sender, w->a.me.key, NODE_KEY_SIZE);
    seal(w, &w->b, &w->a, "");
    assert_int_equal(open_at(w, &w->a, 0), 0);
    assert_int_equal(w->plain_size, 0);
    world_free(w);
}

static void the_largest_datagram_is_1200_bytes(void **state)
{
    struct world *w = world_new();
    uint8_t most[DATAGRAM_PLAIN_MAX];
    (void)state;
    memset(most, 7, sizeof most);
    w->size = datagram_seal(&w->a.channel, w->b.me.key, most, sizeof most, w->wire);
    assert_int_equal(w->size, 1200);
    assert_int_equal(open_at(w, &w->b, 0), 0);
    assert_memory_equal(w->plain, most, sizeof most);
    world_free(w);
}

static void plaintext_may_lie_in_place(void **state)
{
    struct world *w = world_new();
    (void)state;
    memcpy(w->wire + DATAGRAM_HEAD, "in place", 8);
    w->size = datagram_seal(&w->a.channel, w->b.me.key, w->wire + DATAGRAM_HEAD, 8, w->wire);
    assert_int_equal(open_at(w, &w->b, 0), 0);
    assert_memory_equal(w->plain, "in place", 8);
    world_free(w);
}

static void no_two_datagrams_look_alike(void **state)
{
    struct world *w = world_new();
    uint8_t first[DATAGRAM_MAX];
    (void)state;
    seal(w, &w->a, &w->b, "x");
    memcpy(first, w->wire, w->size);
    seal(w, &w->a, &w->b, "x");
    assert_memory_not_equal(first + 1, w->wire + 1, 8);                                         /* tag */
    assert_memory_not_equal(first + 41, w->wire + 41, SEAL_NONCE_SIZE);                         /* nonce */
    assert_memory_not_equal(first + DATAGRAM_HEAD, w->wire + DATAGRAM_HEAD, 1 + SEAL_TAG_SIZE); /* sealed */
    world_free(w);
}

/* The whole format once, spelled out with libsodium: what docs/protocol.md promises to another implementation. */
static void the_format_is_the_documented_one(void **state)
{
    struct world *w = world_new();
    uint8_t tag_key[32], tag[8], key[32], shared[32], plain[64];
    crypto_generichash_state h;
    (void)state;
    seal(w, &w->a, &w->b, "exact");
    crypto_generichash_init(&h, NULL, 0, 32);
    crypto_generichash_update(&h, (const uint8_t *)"shoal datagram tag", 18);
    crypto_generichash_update(&h, w->network.id, NETWORK_ID_SIZE);
    crypto_generichash_update(&h, w->network.secret, NETWORK_SECRET_SIZE);
    crypto_generichash_update(&h, w->b.me.key, 32);
    crypto_generichash_final(&h, tag_key, 32);
    crypto_generichash_init(&h, NULL, 0, 8);
    crypto_generichash_update(&h, tag_key, 32);
    crypto_generichash_update(&h, w->wire + 9, 56);
    crypto_generichash_final(&h, tag, 8);
    assert_memory_equal(w->wire + 1, tag, 8);
    assert_memory_equal(w->wire + 9, w->a.me.key, 32);

    assert_int_equal(crypto_scalarmult(shared, w->b.me.dh_secret, w->a.me.dh_public), 0);
    crypto_generichash_init(&h, NULL, 0, 32);
    crypto_generichash_update(&h, shared, 32);
    crypto_generichash_update(&h, (const uint8_t *)"shoal datagram", 14);
    crypto_generichash_update(&h, w->network.id, NETWORK_ID_SIZE);
    crypto_generichash_update(&h, w->a.me.key, 32);
    crypto_generichash_update(&h, w->b.me.key, 32);
    crypto_generichash_final(&h, key, 32);
    assert_int_equal(crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, w->wire + 65, w->size - 65, w->wire, 65,
                                                                w->wire + 41, key), 0);
    assert_memory_equal(plain, "exact", 5);
    world_free(w);
}

/* ---- rejected: each bends one good datagram ---- */

static void empty(struct world *w)
{
    w->size = 0;
}
static void one_short(struct world *w)
{
    w->size = DATAGRAM_OVERHEAD - 1;
}
static void too_long(struct world *w)
{
    w->size = DATAGRAM_MAX + 1;
}
static void version_0(struct world *w)
{
    w->wire[0] = 0;
}
static void version_2(struct world *w)
{
    w->wire[0] = 2;
}
static void tag_bit(struct world *w)
{
    w->wire[8] ^= 1;
}
static void sender_bit(struct world *w)
{
    w->wire[9] ^= 1;
}
static void nonce_bit(struct world *w)
{
    w->wire[64] ^= 0x80;
}
static void sealed_bit(struct world *w)
{
    w->wire[DATAGRAM_HEAD] ^= 1;
}
static void seal_tag_bit(struct world *w)
{
    w->wire[w->size - 1] ^= 1;
}
static void truncated(struct world *w)
{
    w->size--;
}
static void extended(struct world *w)
{
    w->wire[w->size++] = 0;
}
static void to_another_node(struct world *w)
{
    struct peer c;
    peer_init(w, &c, 3, &w->network);
    seal(w, &w->a, &c, "for c");
}
static void from_another_network(struct world *w)
{
    struct peer c;
    peer_init(w, &c, 3, &w->other);
    seal(w, &c, &w->b, "from elsewhere");
}
/* b's own words sent back to it: the tag is for a, so they do not even look like b's */
static void reflected(struct world *w)
{
    seal(w, &w->b, &w->a, "to a");
}
/* A member can make any tag. Its seal cannot be made without the key that the datagram names. */
static void retag(struct world *w)
{
    struct bytes parts[] = {bytes_of(w->b.channel.tag_key, 32), bytes_of(w->wire + 9, 56)};
    core_crypto_real.hash(w->wire + 1, 8, NULL, 0, parts, 2);
}
static void names_a_stolen_key(struct world *w)
{
    struct node_identity other;
    uint8_t seed[32] = {55};
    core_crypto_real.identity(&other, seed);
    memcpy(w->wire + 9, other.key, 32);
    retag(w);
}
static void names_our_own_key(struct world *w)
{
    memcpy(w->wire + 9, w->b.me.key, 32);
    retag(w);
}
static void names_no_point(struct world *w)
{
    memset(w->wire + 9, 0xff, 32);
    retag(w);
}
static void names_a_point_of_small_order(struct world *w)
{
    memset(w->wire + 9, 0, 32);
    w->wire[9] = 1;
    retag(w);
}
static void another_nonce(struct world *w)
{
    w->wire[50] ^= 4;
    retag(w);
}

static const struct {
    const char *name;
    void (*bend)(struct world *w);
    int error;
    uint64_t exchanges; /* what the refusal cost */
} rejected[] = {
    {"empty", empty, ERR_MALFORMED, 0},
    {"one byte short of the smallest", one_short, ERR_MALFORMED, 0},
    {"one byte too long", too_long, ERR_MALFORMED, 0},
    {"version 0", version_0, ERR_VERSION, 0},
    {"version 2", version_2, ERR_VERSION, 0},
    {"a bit of the tag", tag_bit, ERR_NETWORK, 0},
    {"a bit of the sender", sender_bit, ERR_NETWORK, 0},
    {"a bit of the nonce", nonce_bit, ERR_NETWORK, 0},
    {"for another node", to_another_node, ERR_NETWORK, 0},
    {"from another network", from_another_network, ERR_NETWORK, 0},
    {"reflected", reflected, ERR_NETWORK, 0},
    {"a bit of the sealed bytes", sealed_bit, ERR_AUTH, 1},
    {"a bit of the seal's tag", seal_tag_bit, ERR_AUTH, 1},
    {"truncated", truncated, ERR_AUTH, 1},
    {"extended", extended, ERR_AUTH, 1},
    {"in a stolen name", names_a_stolen_key, ERR_AUTH, 1},
    {"in the recipient's own name", names_our_own_key, ERR_AUTH, 0},
    {"a sender that is no point", names_no_point, ERR_AUTH, 1},
    {"a sender of small order", names_a_point_of_small_order, ERR_AUTH, 1},
    {"under another nonce", another_nonce, ERR_AUTH, 1},
};

static void rejected_datagrams(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rejected / sizeof *rejected; i++) {
        struct world *w = world_new();
        seal(w, &w->a, &w->b, "a good datagram");
        rejected[i].bend(w);
        print_message("%s\n", rejected[i].name);
        uint64_t before = w->b.channel.exchanges;
        uint32_t held = key_pool_count(w->keys);
        assert_int_equal(open_at(w, &w->b, 0), rejected[i].error);
        assert_int_equal(w->b.channel.exchanges - before, rejected[i].exchanges);
        assert_int_equal(key_pool_count(w->keys), held);
        assert_int_equal(w->b.channel.bad_tag, rejected[i].error == ERR_NETWORK);
        assert_int_equal(w->b.channel.bad_seal, rejected[i].error == ERR_AUTH);
        world_free(w);
    }
}

static void no_peer_key_that_is_no_point_is_sealed_for(void **state)
{
    struct world *w = world_new();
    uint8_t bad[32];
    (void)state;
    memset(bad, 0xff, sizeof bad);
    assert_int_equal(datagram_seal(&w->a.channel, bad, (const uint8_t *)"x", 1, w->wire), 0);
    assert_int_equal(key_pool_count(w->keys), 0);
    world_free(w);
}

/* ---- cost ---- */

static void a_flood_of_garbage_spends_no_key_exchange(void **state)
{
    struct world *w = world_new();
    struct rng rng;
    (void)state;
    rng_init(&rng, 1, 1);
    for (int i = 0; i < 20000; i++) {
        w->size = rng_below(&rng, DATAGRAM_MAX) + 1;
        for (size_t j = 0; j < w->size; j += 4)
            put_be32(w->wire + j, rng_u32(&rng));
        w->wire[0] = DATAGRAM_VERSION;
        assert_true(open_at(w, &w->b, 0) != 0);
    }
    assert_int_equal(w->b.channel.exchanges, 0);
    assert_int_equal(w->b.channel.budget, DATAGRAM_NEW_KEYS_BURST);
    world_free(w);
}

/* A member's flood: new names without end, tags right. */
static void flood(struct world *w, core_time now, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        seal(w, &w->a, &w->b, "x");
        put_be32(w->wire + 9, first + i);
        retag(w);
        open_at(w, &w->b, now);
    }
}

static void new_senders_are_met_within_a_budget(void **state)
{
    struct world *w = world_new();
    (void)state;
    flood(w, 0, 1, DATAGRAM_NEW_KEYS_BURST + 100);
    assert_int_equal(w->b.channel.exchanges, DATAGRAM_NEW_KEYS_BURST);
    assert_int_equal(w->b.channel.over_budget, 100);
    seal(w, &w->a, &w->b, "honest, but too late");
    assert_int_equal(open_at(w, &w->b, 0), ERR_QUOTA);
    /* 200 a second: after 5 ms there is one again, and no second one */
    assert_int_equal(open_at(w, &w->b, CORE_MS(5) - 1), ERR_QUOTA);
    assert_int_equal(open_at(w, &w->b, CORE_MS(5)), 0);
    flood(w, CORE_MS(5), 5000, 1);
    assert_int_equal(w->b.channel.exchanges, DATAGRAM_NEW_KEYS_BURST + 1);
    /* a second later 200, whatever the pause: never more than the burst */
    flood(w, CORE_MS(1005), 10000, 300);
    assert_int_equal(w->b.channel.exchanges, DATAGRAM_NEW_KEYS_BURST + 1 + DATAGRAM_NEW_KEYS_PER_SECOND);
    flood(w, CORE_HOURS(1), 20000, DATAGRAM_NEW_KEYS_BURST + 300);
    assert_int_equal(w->b.channel.exchanges, DATAGRAM_NEW_KEYS_BURST * 2 + 1 + DATAGRAM_NEW_KEYS_PER_SECOND);
    world_free(w);
}

static void a_sender_whose_key_is_held_costs_no_budget(void **state)
{
    struct world *w = world_new();
    (void)state;
    seal(w, &w->a, &w->b, "x");
    assert_int_equal(open_at(w, &w->b, 0), 0);
    flood(w, 0, 1, DATAGRAM_NEW_KEYS_BURST);
    assert_int_equal(w->b.channel.budget, 0);
    seal(w, &w->a, &w->b, "still heard");
    assert_int_equal(open_at(w, &w->b, 0), 0);
    world_free(w);
}

struct asked {
    const uint8_t *key;
    int times;
};
static bool is_known(void *context, const uint8_t key[NODE_KEY_SIZE])
{
    struct asked *asked = context;
    asked->times++;
    return memcmp(asked->key, key, NODE_KEY_SIZE) == 0;
}

static int open_known(struct world *w, core_time now, struct asked *asked)
{
    return datagram_open(&w->b.channel, now, w->wire, w->size, w->sender, w->plain, &w->plain_size, is_known, asked);
}

static void a_known_sender_is_met_beyond_the_budget(void **state)
{
    struct world *w = world_new();
    struct asked asked = {w->a.me.key, 0};
    (void)state;
    flood(w, 0, 1, DATAGRAM_NEW_KEYS_BURST + 1);
    seal(w, &w->a, &w->b, "x");
    assert_int_equal(open_known(w, 0, &asked), 0);
    assert_int_equal(asked.times, 1);
    assert_int_equal(open_known(w, 0, &asked), 0); /* held now: not asked again */
    assert_int_equal(asked.times, 1);
    world_free(w);
}

/* Garbage under a known name: one exchange, then its keys are held and every further piece costs a cipher only. */
static void garbage_in_a_known_name_costs_one_exchange(void **state)
{
    struct world *w = world_new();
    struct asked asked = {w->a.me.key, 0};
    (void)state;
    for (int i = 0; i < 100; i++) {
        seal(w, &w->a, &w->b, "x");
        w->wire[w->size - 1] ^= 1;
        assert_int_equal(open_known(w, 0, &asked), ERR_AUTH);
    }
    assert_int_equal(w->b.channel.exchanges, 1);
    assert_int_equal(w->b.channel.bad_seal, 100);
    world_free(w);
}

/* ---- the pool ---- */

static void put(struct key_pool *p, uint32_t number, uint32_t place)
{
    struct key_pair pair = {{0}, {0}, {0}, {0}};
    put_be32(pair.peer, number);
    put_be32(pair.send, number * 3);
    key_pool_insert(p, place, &pair);
}

static bool has(struct key_pool *p, uint32_t number, uint32_t place)
{
    uint8_t ours[32] = {0}, peer[32] = {0};
    put_be32(peer, number);
    const struct key_pair *pair = key_pool_find(p, place, ours, peer);
    return pair && get_be32(pair->send) == number * 3;
}

static void the_least_recently_used_key_is_evicted(void **state)
{
    struct key_pool *p = key_pool_new(&core_alloc_libc, &core_crypto_real, 3);
    (void)state;
    put(p, 1, 77); /* one place for all: the probe chain is exercised too */
    put(p, 2, 77);
    put(p, 3, 77);
    assert_true(has(p, 1, 77)); /* used: now 2 is the oldest */
    put(p, 4, 77);
    key_pool_check(p);
    assert_false(has(p, 2, 77));
    assert_true(has(p, 1, 77) && has(p, 3, 77) && has(p, 4, 77));
    assert_int_equal(key_pool_count(p), 3);
    key_pool_free(p);
}

static void two_nodes_of_one_process_do_not_share_a_pair(void **state)
{
    struct world *w = world_new();
    struct peer c;
    (void)state;
    peer_init(w, &c, 3, &w->network);
    seal(w, &w->a, &w->b, "x");
    seal(w, &c, &w->b, "x");
    assert_int_equal(key_pool_count(w->keys), 2);
    assert_int_equal(open_at(w, &w->b, 0), 0);
    assert_memory_equal(w->sender, c.me.key, 32);
    world_free(w);
}

/* Against a naive model: an array in order of use. */
static void the_pool_agrees_with_a_naive_model(void **state)
{
    enum { CAP = 100, RANGE = 250 };
    struct key_pool *p = key_pool_new(&core_alloc_libc, &core_crypto_real, CAP);
    uint32_t model[CAP], used = 0;
    struct rng rng;
    (void)state;
    rng_init(&rng, 7, 7);
    for (int step = 0; step < 50000; step++) {
        uint32_t number = rng_below(&rng, RANGE), place = number % 64 * 0x1000003u, at;
        for (at = 0; at < used && model[at] != number; at++)
            ;
        bool found = has(p, number, place);
        assert_int_equal(found, at < used);
        if (!found) {
            put(p, number, place);
            at = used < CAP ? used++ : CAP - 1;
        }
        memmove(model + 1, model, at * sizeof *model);
        model[0] = number;
        if (step % 100 == 0)
            key_pool_check(p);
    }
    assert_int_equal(key_pool_count(p), CAP);
    key_pool_free(p);
}

struct stingy {
    int left;
};
static void *stingy_alloc(void *context, size_t size)
{
    struct stingy *s = context;
    return s->left-- > 0 ? calloc(1, size) : NULL;
}
static void stingy_free(void *context, void *memory)
{
    (void)context;
    free(memory);
}

static void a_pool_without_memory_goes_on_with_what_it_has(void **state)
{
    (void)state;
    for (int allocations = 0; allocations < 8; allocations++) {
        struct stingy stingy = {allocations};
        struct core_alloc alloc = {stingy_alloc, stingy_free, &stingy};
        struct key_pool *p = key_pool_new(&alloc, &core_crypto_real, 1000);
        assert_int_equal(p != NULL, allocations >= 3);
        if (!p)
            continue;
        for (uint32_t i = 0; i < 1000; i++) {
            put(p, i, i * 0x9e3779b9u);
            assert_true(has(p, i, i * 0x9e3779b9u));
        }
        key_pool_check(p);
        assert_int_equal(key_pool_count(p), allocations < 5 ? 64 : allocations < 7 ? 128 : 256);
        key_pool_free(p);
    }
}

static void the_cheap_table_runs_the_same_rules(void **state)
{
    struct network network = {{1}, {0}, false};
    struct key_pool *keys = key_pool_new(&core_alloc_libc, &core_crypto_cheap, 10);
    struct peer a, b;
    uint8_t seed[32] = {1}, wire[2][DATAGRAM_MAX], plain[DATAGRAM_MAX], sender[32];
    size_t size = 0, plain_size;
    (void)state;
    for (int run = 0; run < 2; run++) { /* same seeds, same bytes */
        core_crypto_cheap.identity(&a.me, (seed[1] = 1, seed));
        datagram_channel_init(&a.channel, &a.me, &network, &core_crypto_cheap, keys, seed, 0);
        core_crypto_cheap.identity(&b.me, (seed[1] = 2, seed));
        datagram_channel_init(&b.channel, &b.me, &network, &core_crypto_cheap, keys, seed, 0);
        size = datagram_seal(&a.channel, b.me.key, (const uint8_t *)"hello", 5, wire[run]);
        assert_int_equal(size, 5 + DATAGRAM_OVERHEAD);
    }
    assert_memory_equal(wire[0], wire[1], size);
    assert_int_equal(datagram_open(&b.channel, 0, wire[0], size, sender, plain, &plain_size, NULL, NULL), 0);
    assert_memory_equal(plain, "hello", 5);
    wire[0][size - 1] ^= 1;
    assert_int_equal(datagram_open(&b.channel, 0, wire[0], size, sender, plain, &plain_size, NULL, NULL), ERR_AUTH);
    wire[0][1] ^= 1;
    assert_int_equal(datagram_open(&b.channel, 0, wire[0], size, sender, plain, &plain_size, NULL, NULL), ERR_NETWORK);
    key_pool_free(keys);
}

/* Cap 0 derives each time: the same bytes as with a pool, nothing kept, no budget drawn on. */
static void without_a_pool_the_bytes_are_the_same(void **state)
{
    struct network network = {{1}, {0}, false};
    struct key_pool *keys[2] = {key_pool_new(&core_alloc_libc, &core_crypto_cheap, 10),
                                key_pool_new(&core_alloc_libc, &core_crypto_cheap, 0)};
    uint8_t wire[2][DATAGRAM_MAX], plain[DATAGRAM_MAX], sender[32];
    size_t size = 0, plain_size;
    (void)state;
    for (int pooled = 0; pooled < 2; pooled++) {
        struct peer a, b;
        uint8_t seed[32] = {1};
        core_crypto_cheap.identity(&a.me, (seed[1] = 1, seed));
        core_crypto_cheap.identity(&b.me, (seed[1] = 2, seed));
        datagram_channel_init(&a.channel, &a.me, &network, &core_crypto_cheap, keys[pooled], seed, 0);
        datagram_channel_init(&b.channel, &b.me, &network, &core_crypto_cheap, keys[pooled], seed, 0);
        size = datagram_seal(&a.channel, b.me.key, (const uint8_t *)"hello", 5, wire[pooled]);
        assert_int_equal(size, 5 + DATAGRAM_OVERHEAD);
        assert_int_equal(datagram_open(&b.channel, 0, wire[pooled], size, sender, plain, &plain_size, NULL, NULL), 0);
        assert_memory_equal(plain, "hello", 5);
        wire[pooled][size - 1] ^= 1;
        assert_int_equal(datagram_open(&b.channel, 0, wire[pooled], size, sender, plain, &plain_size, NULL, NULL), ERR_AUTH);
        assert_int_equal(b.channel.budget, pooled ? DATAGRAM_NEW_KEYS_BURST : DATAGRAM_NEW_KEYS_BURST - 1);
        assert_int_equal(key_pool_count(keys[pooled]), pooled ? 0 : 2);
        key_pool_check(keys[pooled]);
    }
    assert_memory_equal(wire[0], wire[1], size);
    key_pool_free(keys[0]);
    key_pool_free(keys[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_datagram_arrives_with_its_senders_key),
        cmocka_unit_test(the_largest_datagram_is_1200_bytes),
        cmocka_unit_test(plaintext_may_lie_in_place),
        cmocka_unit_test(no_two_datagrams_look_alike),
        cmocka_unit_test(the_format_is_the_documented_one),
        cmocka_unit_test(rejected_datagrams),
        cmocka_unit_test(no_peer_key_that_is_no_point_is_sealed_for),
        cmocka_unit_test(a_flood_of_garbage_spends_no_key_exchange),
        cmocka_unit_test(new_senders_are_met_within_a_budget),
        cmocka_unit_test(a_sender_whose_key_is_held_costs_no_budget),
        cmocka_unit_test(a_known_sender_is_met_beyond_the_budget),
        cmocka_unit_test(garbage_in_a_known_name_costs_one_exchange),
        cmocka_unit_test(the_least_recently_used_key_is_evicted),
        cmocka_unit_test(two_nodes_of_one_process_do_not_share_a_pair),
        cmocka_unit_test(the_pool_agrees_with_a_naive_model),
        cmocka_unit_test(a_pool_without_memory_goes_on_with_what_it_has),
        cmocka_unit_test(the_cheap_table_runs_the_same_rules),
        cmocka_unit_test(without_a_pool_the_bytes_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
