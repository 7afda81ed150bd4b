/* The parts of a DHT node by themselves: sizes, round trips as a byte, routing table, request ids, messages, records, tokens, storage,
 * announced keys, votes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "dht/diversity.h"
#include "dht/node_state.h"
#include "tests/support/dht_world.h"

/* An idle node fits in 20 KiB, so that with all else it stays under 24 KiB. Larger tables are configuration, printed beside. */
static void test_sizes(void **state)
{
    (void)state;
    struct dht_config c, large, both, small;
    dht_config_default(&c);
    large = both = small = c;
    large.first_buckets_large = 1;
    both.ipv6 = true;
    small.k = 8;
    printf("contact                         %6zu B\n", sizeof(struct dht_contact));
    printf("node, k = 16, one family        %6zu B (bar 20,480; contacts: %u slots)\n", dht_node_size(&c), dht_table_slots(&c));
    printf("node, k = 16, both families     %6zu B\n", dht_node_size(&both));
    printf("node, k = 16, large far buckets %6zu B\n", dht_node_size(&large));
    printf("node, k = 8                     %6zu B\n", dht_node_size(&small));
    printf("a look-up (pool)                %6zu B\n", dht_lookup_size(&c));
    printf("a stored record or part (pool)  %6zu B\n", dht_record_size());
    assert_int_equal(sizeof(struct dht_contact), 64);
    assert_true(dht_node_size(&c) <= 20 * 1024);
}

static void test_rtt(void **state)
{
    (void)state;
    for (uint64_t us = 8; us < 2000000000; us = us * 5 / 4 + 1) {
        uint64_t back = dht_rtt_unpack(dht_rtt_pack(us));
        assert_true(back <= us && us - back <= us / 8);
    }
    assert_int_equal(dht_rtt_unpack(0), 0);
    assert_true(dht_rtt_pack(0) > 0);
    assert_int_equal(dht_rtt_pack(UINT64_MAX), dht_rtt_pack(UINT32_MAX / 2));
}

struct bench_table {
    struct dht_config config;
    struct dht_table t;
    struct dht_contact *slab;
    uint16_t *next;
};

static void table_init(struct bench_table *b, uint8_t k)
{
    dht_config_default(&b->config);
    b->config.k = k;
    b->slab = calloc(dht_table_slots(&b->config), sizeof *b->slab);
    b->next = calloc(1, dht_table_links_size(&b->config));
    dht_table_init(&b->t, &b->config, 0, b->slab, b->next);
}

static void table_free(struct bench_table *b)
{
    free(b->slab);
    free(b->next);
}

/* A node whose position starts with `position`; its key says the same. */
static enum dht_table_result answered(struct bench_table *b, uint64_t position, struct net_addr addr, uint32_t now_s)
{
    uint8_t key[32] = {0};
    put_be64(key, position);
    enum dht_table_result r = dht_table_answered(&b->t, key, position, &addr, 1000, now_s);
    dht_table_check(&b->t);
    return r;
}

static bool failed(struct bench_table *b, uint64_t position, struct net_addr addr, bool link_alive)
{
    uint8_t key[32] = {0};
    put_be64(key, position);
    bool again = dht_table_failed(&b->t, key, position, &addr, link_alive);
    dht_table_check(&b->t);
    return again;
}

#define FAR (1ull << 63)

/* A full bucket keeps its old contacts; newcomers wait in the cache, newest first, and replace who fails twice. */
static void test_table_replacement(void **state)
{
    (void)state;
    struct bench_table b;
    table_init(&b, 4);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(answered(&b, FAR + i, net_addr_v4(10, 0, 0, 1, (uint16_t)(1 + i)), i), DHT_TABLE_ADDED);
    for (uint32_t i = 4; i < 8; i++)
        assert_int_equal(answered(&b, FAR + i, net_addr_v4(10, 0, 0, 1, (uint16_t)(1 + i)), i), DHT_TABLE_SPARED);
    assert_int_equal(dht_table_count(&b.t, true), 4);
    assert_int_equal(dht_table_spares(&b.t), 2);
    assert_int_equal(answered(&b, FAR + 1, net_addr_v4(10, 0, 0, 1, 2), 9), DHT_TABLE_UPDATED);
    assert_true(failed(&b, FAR + 0, net_addr_v4(10, 0, 0, 1, 1), true));
    assert_false(failed(&b, FAR + 0, net_addr_v4(10, 0, 0, 1, 1), true));
    uint8_t key[32] = {0x80};
    assert_null(dht_table_find(&b.t, key, FAR));
    const struct dht_contact *c[4];
    assert_int_equal(dht_table_closest(&b.t, FAR + 7, false, c, 4), 4);
    assert_int_equal(get_be64(c[0]->position), FAR + 7); /* the newest spare stepped in */
    /* our own uplink dead: nobody is dropped, however often it fails */
    for (int i = 0; i < 10; i++)
        failed(&b, FAR + 7, net_addr_v4(10, 0, 0, 1, 8), false);
    put_be64(key, FAR + 7);
    assert_non_null(dht_table_find(&b.t, key, FAR + 7));
    /* a time-out at an old address says nothing about the new one */
    assert_false(failed(&b, FAR + 1, net_addr_v4(10, 0, 0, 1, 99), true));
    assert_int_equal(answered(&b, 0, net_addr_v4(10, 0, 0, 1, 1), 9), DHT_TABLE_REFUSED); /* our own position */
    table_free(&b);
}

/* Globally routable: one per address and eight per /24 in the table, one per /24 in a bucket. On a LAN: per key only. */
static void test_table_diversity(void **state)
{
    (void)state;
    struct bench_table b;
    table_init(&b, 16);
    assert_int_equal(answered(&b, FAR + 1, net_addr_v4(8, 8, 8, 1, 1), 0), DHT_TABLE_ADDED);
    assert_int_equal(answered(&b, FAR + 2, net_addr_v4(8, 8, 8, 2, 1), 0), DHT_TABLE_REFUSED);
    assert_int_equal(answered(&b, FAR + 3, net_addr_v4(8, 8, 9, 2, 1), 0), DHT_TABLE_ADDED);
    assert_int_equal(answered(&b, FAR / 2, net_addr_v4(8, 8, 8, 1, 2), 0), DHT_TABLE_REFUSED); /* same address, other bucket */
    for (uint32_t i = 2; i < 12; i++)
        assert_int_equal(answered(&b, FAR >> i, net_addr_v4(8, 8, 8, (uint8_t)(10 + i), 1), 0), i < 9 ? DHT_TABLE_ADDED : DHT_TABLE_REFUSED);
    struct net_addr six = {.ip = {0x2a, 0, 1, 2, 3, 4, 5, 6, 7}, .port = 1}, sibling = six;
    assert_int_equal(answered(&b, FAR + 10, six, 0), DHT_TABLE_ADDED);
    sibling.ip[15] = 9; /* same /64 */
    assert_int_equal(answered(&b, FAR / 4 + 11, sibling, 0), DHT_TABLE_REFUSED);
    sibling.ip[7] = 9; /* same /56 */
    assert_int_equal(answered(&b, FAR + 12, sibling, 0), DHT_TABLE_ADDED);
    sibling.ip[7] = 10;
    assert_int_equal(answered(&b, FAR + 13, sibling, 0), DHT_TABLE_REFUSED); /* a third of one /56 */
    table_free(&b);
    table_init(&b, 16);
    for (uint32_t i = 0; i < 16; i++)
        assert_int_equal(answered(&b, FAR + i, net_addr_v4(192, 168, 0, 1, (uint16_t)(1 + i)), 0), DHT_TABLE_ADDED);
    table_free(&b);
    table_init(&b, 16);
    b.t.private_limits = true;
    for (uint32_t i = 0; i < 16; i++)
        assert_int_equal(answered(&b, FAR + i, net_addr_v4(8, 8, 8, 8, (uint16_t)(1 + i)), 0), DHT_TABLE_ADDED);
    table_free(&b);
}

/* Against a model that sorts everything: closest, for random tables and targets. */
static void test_table_closest(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct bench_table b;
        struct rng r;
        rng_init(&r, seed, 0);
        table_init(&b, 16);
        for (uint32_t i = 0; i < 600; i++)
            answered(&b, rng_u64(&r) >> rng_below(&r, 20), net_addr_v4(10, 0, (uint8_t)(i >> 8), (uint8_t)i, 1), i);
        for (uint32_t t = 0; t < 20; t++) {
            uint64_t target = rng_u64(&r) >> rng_below(&r, 30);
            const struct dht_contact *c[20];
            uint32_t n = dht_table_closest(&b.t, target, false, c, 20);
            assert_int_equal(n, 20);
            uint64_t last = get_be64(c[19]->position) ^ target;
            for (uint32_t i = 1; i < n; i++)
                assert_true((get_be64(c[i - 1]->position) ^ target) <= (get_be64(c[i]->position) ^ target));
            uint32_t nearer = 0;
            for (unsigned k = 0; k < DHT_BUCKETS; k++)
                for (uint16_t i = b.t.buckets[k].live; i != DHT_NO_SLOT; i = b.t.next[i])
                    nearer += (get_be64(b.slab[i].position) ^ target) < last;
            assert_int_equal(nearer, 19);
        }
        table_free(&b);
    }
}

static void test_pending(void **state)
{
    (void)state;
    struct dht_config c;
    dht_config_default(&c);
    c.pending_max = 4;
    struct dht_pendings p;
    uint8_t secret[32] = {1}, key[32] = {2}, wrong[32] = {3};
    struct net_addr a = net_addr_v4(10, 0, 0, 1, 1), other = net_addr_v4(10, 0, 0, 1, 2);
    dht_pendings_init(&p, &c, &core_alloc_libc);
    struct dht_pending *s[4];
    for (int i = 0; i < 4; i++)
        assert_non_null(s[i] = dht_pending_add(&p, &c, &core_crypto_real, secret, 1000, DHT_ASK_PING, key, 0, &a, 0));
    assert_null(dht_pending_add(&p, &c, &core_crypto_real, secret, 1000, DHT_ASK_PING, key, 0, &a, 0));
    uint8_t id[8];
    memcpy(id, s[2]->id, 8);
    assert_int_equal(id[0], 2);
    assert_null(dht_pending_match(&p, id, wrong, &a));
    assert_null(dht_pending_match(&p, id, key, &other));
    id[7] ^= 1;
    assert_null(dht_pending_match(&p, id, key, &a));
    id[7] ^= 1;
    id[0] = 200;
    assert_null(dht_pending_match(&p, id, key, &a));
    id[0] = 2;
    assert_ptr_equal(dht_pending_match(&p, id, key, &a), s[2]);
    assert_int_equal(dht_pending_answered(&p, s[2], 51000), 50000);
    assert_null(dht_pending_match(&p, id, key, &a)); /* once */
    assert_int_equal(p.srtt_us, 50000);
    dht_pendings_check(&p);
    /* soft at 1 s, hard at 3 s */
    assert_null(dht_pending_due(&p, 1000 + CORE_MS(999)));
    for (int i = 0; i < 3; i++)
        assert_true(dht_pending_due(&p, 1000 + CORE_MS(1000))->slow);
    assert_null(dht_pending_due(&p, 1000 + CORE_MS(2999)));
    for (int i = 0; i < 3; i++)
        dht_pending_free(&p, dht_pending_due(&p, 1000 + CORE_MS(3000)));
    assert_int_equal(p.next, CORE_NEVER);
    assert_null(p.slots); /* an idle node holds none */
    /* known peers get twice their own time, within bounds */
    s[0] = dht_pending_add(&p, &c, &core_crypto_real, secret, 0, DHT_ASK_PING, key, 0, &a, 400000);
    assert_int_equal(s[0]->soft, 800000 + p.var_us);
    s[1] = dht_pending_add(&p, &c, &core_crypto_real, secret, 0, DHT_ASK_PING, key, 0, &a, 10);
    assert_int_equal(s[1]->soft, c.timeout_min);
    dht_pendings_check(&p);
    dht_pendings_fini(&p);
}

/* Each message that is refused, and why; then unknown keys, which are not. */
static void test_messages(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool ok;
        const char *why;
    } table[] = {
        {"82000001c4081122334455667788", true, "ping"},
        {"83000001c408112233445566778828c3", true, "unknown key 40"},
        {"82001001c4081122334455667788", true, "answer"},
        {"8101c4081122334455667788", false, "no type"},
        {"810000", false, "no id"},
        {"82002001c4081122334455667788", false, "type 32"},
        {"82000001c40711223344556677", false, "id of 7 bytes"},
        {"8201c40811223344556677880000", false, "keys out of order"},
        {"83000001c408112233445566778805c41f00112233445566778899aabbccddeeff00112233445566778899aabbccddee", false, "key of 31 bytes"},
        {"83000001c408112233445566778808c40100", false, "keys not a multiple of 32"},
        {"82000001c408112233445566778800", false, "bytes behind"},
        {"82000001c4081122334455667788"
         "00",
         false, "one byte more"},
        {"82000001cb3ff0000000000000", false, "a float"},
        {"83000001c408112233445566778817dd0a000000", false, "an array that claims gigabytes"},
        {"", false, "nothing"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint8_t data[128];
        size_t size = strlen(table[i].hex) / 2;
        assert_true(hex_decode(data, size, table[i].hex));
        struct dht_message m;
        if ((dht_message_read(&m, data, size) == 0) != table[i].ok)
            fail_msg("%s", table[i].why);
    }
    for (size_t pad = 0; pad < 400; pad++) {
        uint8_t out[DATAGRAM_PLAIN_MAX];
        struct dht_message m = {.type = DHT_PING}, back;
        size_t size = dht_message_write(out, sizeof out, &m, pad);
        assert_true(size >= pad && size <= (pad < 20 ? 20 : pad + 1));
        assert_int_equal(dht_message_read(&back, out, size), 0);
    }
}

static void test_records(void **state)
{
    (void)state;
    struct network network = {.id = {1}}, elsewhere = {.id = {2}};
    struct node_identity me;
    uint8_t seed[32] = {7}, key[32], wire[DHT_RECORD_WIRE_MAX], value[DHT_VALUE_MAX + 1] = {0};
    core_crypto_real.identity(&me, seed);
    node_position(key, me.key, &core_crypto_real);
    size_t size = dht_record_sign(wire, sizeof wire, DHT_PROFILE, key, 5, 9, bytes_of("v", 1), &me, &network, &core_crypto_real);
    struct dht_record_view v;
    assert_int_equal(dht_record_read(&v, bytes_of(wire, size)), 0);
    assert_int_equal(v.sequence, 5);
    assert_int_equal(v.expiry_s, 9);
    assert_int_equal(dht_record_verify(&v, key, &network, &core_crypto_real), 0);
    assert_int_equal(dht_record_verify(&v, key, &elsewhere, &core_crypto_real), ERR_AUTH);
    key[0] ^= 1;
    assert_int_equal(dht_record_verify(&v, key, &network, &core_crypto_real), ERR_AUTH);
    key[0] ^= 1;
    for (size_t i = 0; i < size; i++) {
        wire[i] ^= 1;
        assert_true(dht_record_read(&v, bytes_of(wire, size)) != 0 || dht_record_verify(&v, key, &network, &core_crypto_real) != 0);
        wire[i] ^= 1;
        assert_true(dht_record_read(&v, bytes_of(wire, i)) != 0);
    }
    assert_true(dht_record_sign(wire, sizeof wire, DHT_NICK, key, UINT64_MAX, UINT64_MAX, bytes_of(value, DHT_VALUE_MAX), &me, &network,
                                &core_crypto_real) > 0);
    assert_int_equal(dht_record_sign(wire, sizeof wire, DHT_NICK, key, 1, 1, bytes_of(value, DHT_VALUE_MAX + 1), &me, &network,
                                     &core_crypto_real), 0);
    /* the largest record fits one put */
    size = dht_record_sign(wire, sizeof wire, DHT_NICK, key, UINT64_MAX, UINT64_MAX, bytes_of(value, DHT_VALUE_MAX), &me, &network, &core_crypto_real);
    uint8_t out[DATAGRAM_PLAIN_MAX];
    struct dht_message put = {.type = DHT_PUT, .key = key, .kind = DHT_NICK, .record = bytes_of(wire, size), .has_token = true, .flags = 1};
    assert_true(dht_message_write(out, sizeof out, &put, 0) > 0);
}

static void test_token(void **state)
{
    (void)state;
    uint8_t secret[32] = {1}, key[32] = {2}, token[DHT_TOKEN_SIZE];
    struct net_addr a = net_addr_v4(1, 2, 3, 4, 5);
    core_time period = CORE_MINUTES(5), made = CORE_MINUTES(12);
    dht_token_make(token, &core_crypto_real, secret, period, made, &a, key);
    assert_true(dht_token_valid(token, &core_crypto_real, secret, period, made, &a, key));
    assert_true(dht_token_valid(token, &core_crypto_real, secret, period, CORE_MINUTES(19), &a, key));
    assert_false(dht_token_valid(token, &core_crypto_real, secret, period, CORE_MINUTES(20), &a, key));
    a.port++;
    assert_false(dht_token_valid(token, &core_crypto_real, secret, period, made, &a, key));
}

/* Memory that says no at the n-th request, and counts what is out. */
struct stingy {
    uint32_t asked, refuse_at, out;
};
static void *stingy_alloc(void *context, size_t size)
{
    struct stingy *s = context;
    if (++s->asked == s->refuse_at)
        return NULL;
    s->out++;
    return calloc(1, size);
}
static void stingy_free(void *context, void *memory)
{
    struct stingy *s = context;
    s->out -= memory != NULL;
    free(memory);
}

/* Storage when it is full: the farthest and those of the greediest go, a newcomer that is farther still is refused; and
 * every allocation refused in turn leaves it whole. */
static void test_storage(void **state)
{
    (void)state;
    for (uint32_t refuse = 0; refuse < 40; refuse++) {
        struct stingy stingy = {.refuse_at = refuse};
        struct core_alloc alloc = {stingy_alloc, stingy_free, &stingy};
        struct dht_config config;
        dht_config_default(&config);
        config.records_max = 100;
        struct pool records;
        pool_init(&records, &alloc, dht_record_size(), 400);
        struct dht_env env = {.config = &config, .crypto = &core_crypto_cheap, .alloc = &alloc, .records = &records};
        struct dht_storage s;
        dht_storage_init(&s, &env, 0, 1);
        struct net_addr a = net_addr_v4(10, 0, 0, 1, 1);
        uint32_t kept = 0;
        for (uint32_t i = 0; i < 200; i++) {
            uint8_t key[32] = {0}, publisher[32] = {(uint8_t)(i % 7)};
            put_be64(key, UINT64_MAX >> (i % 50));
            put_be32(key + 8, i);
            int status = dht_storage_put_provider(&s, i, key, publisher, &a, &a, 10000);
            assert_true(status == 0 || status == ERR_FULL || status == ERR_NO_MEMORY || status == ERR_QUOTA);
            kept += status == 0;
            dht_storage_check(&s);
        }
        assert_true(kept >= 75);
        assert_true(s.count <= 75); /* providers have three quarters */
        struct network network = {.id = {1}};
        struct node_identity me;
        uint8_t seed[32] = {9}, key[32], wire[DHT_RECORD_WIRE_MAX], copy[DHT_RECORD_WIRE_MAX], value[800];
        memset(value, 5, sizeof value);
        core_crypto_cheap.identity(&me, seed);
        for (uint32_t i = 0; i < 60; i++) {
            world_key(key, 8, i);
            size_t size = dht_record_sign(wire, sizeof wire, DHT_PROFILE, key, i, 9, bytes_of(value, sizeof value), &me, &network, &core_crypto_cheap);
            struct dht_record_view v;
            assert_int_equal(dht_record_read(&v, bytes_of(wire, size)), 0);
            int status = dht_storage_put_signed(&s, 300, &v, bytes_of(wire, size), key, &a, 1000 + i, 0);
            dht_storage_check(&s);
            const struct dht_stored *r = dht_storage_first(&s, DHT_PROFILE, key);
            assert_true((status == 0) == (r != NULL));
            if (r) {
                dht_stored_copy(r, copy);
                assert_int_equal(r->size, size);
                assert_memory_equal(copy, wire, size);
            }
        }
        while (dht_storage_expiry(&s) < 2000)
            assert_true(dht_storage_expire(&s, dht_storage_expiry(&s), 1) > 0);
        dht_storage_check(&s);
        dht_storage_fini(&s);
        assert_int_equal(records.used, 0);
        pool_fini(&records);
        assert_int_equal(stingy.out, 0);
    }
}

static void test_storage_eviction(void **state)
{
    (void)state;
    struct dht_config config;
    dht_config_default(&config);
    config.records_max = 8; /* six providers */
    config.records_per_key_max = 100;
    struct pool records;
    pool_init(&records, &core_alloc_libc, dht_record_size(), 8); /* the pool is shared: here it is what runs out */
    struct dht_env env = {.config = &config, .crypto = &core_crypto_cheap, .alloc = &core_alloc_libc, .records = &records};
    struct dht_storage s;
    dht_storage_init(&s, &env, 0, 1);
    struct net_addr a = net_addr_v4(10, 0, 0, 1, 1);
    uint8_t publisher[32] = {1};
    uint8_t far[32] = {0xff}, near[32] = {0, 0, 1};
    for (uint8_t i = 0; i < 6; i++) {
        near[31] = i;
        assert_int_equal(dht_storage_put_provider(&s, 0, i == 3 ? far : near, publisher, &a, &a, 100), 0);
    }
    near[31] = 77;
    assert_int_equal(dht_storage_put_provider(&s, 0, near, publisher, &a, &a, 100), ERR_QUOTA); /* the kind's share */
    uint8_t wire[16] = {0};
    struct dht_record_view v = {.kind = DHT_PROFILE, .publisher = publisher, .sequence = 1};
    assert_int_equal(dht_storage_put_signed(&s, 0, &v, bytes_of(wire, sizeof wire), near, &a, 100, 0), 0);
    assert_null(dht_storage_first(&s, DHT_PROVIDER, far)); /* the farthest went, for want of room in the pool */
    assert_int_equal(s.evicted, 1);
    dht_storage_check(&s);
    assert_int_equal(dht_storage_put_signed(&s, 0, &v, bytes_of(wire, 15), near, &a, 100, 0), ERR_STALE);
    v.sequence = 0;
    assert_int_equal(dht_storage_put_signed(&s, 0, &v, bytes_of(wire, 16), near, &a, 100, 0), ERR_STALE);
    dht_storage_fini(&s);
    pool_fini(&records);
}

/* The set of announced keys against a plain array, with memory refused now and then. */
static void test_announced_set(void **state)
{
    (void)state;
    struct stingy stingy = {0};
    struct core_alloc alloc = {stingy_alloc, stingy_free, &stingy};
    struct dht_announce a;
    dht_announce_init(&a, &alloc);
    static bool in[3000];
    struct rng r;
    rng_init(&r, 1, 0);
    for (uint32_t step = 0; step < 9000; step++) {
        uint32_t i = rng_below(&r, 3000);
        uint8_t key[32];
        world_key(key, 55, i);
        stingy.refuse_at = stingy.asked + 1 + rng_below(&r, 4);
        if (rng_below(&r, 3)) {
            int status = dht_announce_add(&a, key, rng_below(&r, 1000), 0);
            assert_true(in[i] ? status == ERR_EXISTS : status == 0 || status == ERR_NO_MEMORY);
            in[i] = in[i] || status == 0;
        } else {
            assert_int_equal(dht_announce_remove(&a, key), in[i]);
            in[i] = false;
        }
        if (step % 100 == 0)
            dht_announce_check(&a);
    }
    uint32_t count = 0, walked = 0;
    for (uint32_t i = 0; i < 3000; i++)
        count += in[i];
    assert_int_equal(a.count, count);
    uint64_t at = 0;
    for (struct dht_announced *e; (e = dht_announce_from(&a, at)); at = get_be64(e->key) + 1)
        walked++;
    assert_int_equal(walked, count);
    uint32_t last = 0;
    for (struct dht_announced *e; (e = dht_announce_due(&a, 1000)); dht_announce_remove(&a, e->key)) {
        assert_true(e->due_s >= last);
        last = e->due_s;
    }
    assert_int_equal(a.count, 0);
    dht_announce_fini(&a);
    assert_int_equal(stingy.out, 0);
}

static void test_votes(void **state)
{
    (void)state;
    struct dht_votes v = {0};
    struct net_addr a = net_addr_v4(9, 9, 9, 9, 1), lie = net_addr_v4(6, 6, 6, 6, 6);
    assert_false(dht_vote_observed(&v, 1, &a));
    assert_false(dht_vote_observed(&v, 1, &a)); /* one peer is one vote */
    assert_false(dht_vote_observed(&v, 1, &a));
    assert_false(dht_vote_observed(&v, 2, &a));
    assert_true(dht_vote_observed(&v, 3, &a));
    assert_false(dht_vote_observed(&v, 4, &a));
    for (uint32_t i = 5; i < 8; i++)
        assert_false(dht_vote_observed(&v, i, &lie)); /* three, but no majority */
    assert_true(net_addr_equal(&v.address, &a));
    uint64_t median;
    assert_int_equal(dht_vote_unix_ms(&v, 0), 0);
    assert_false(dht_vote_clock(&v, 1, 0, 1000000, &median));
    assert_false(dht_vote_clock(&v, 2, 0, 1000001, &median));
    assert_false(dht_vote_clock(&v, 3, 0, 1000002, &median));
    assert_int_equal(dht_vote_unix_ms(&v, CORE_SECONDS(5)), 1000001000 + 5000);
    dht_vote_clock_host(&v, 0, 1000000000 + 700000);
    assert_true(v.clock_wrong);
    dht_vote_clock_host(&v, 0, 1000000000 + 500000);
    assert_false(v.clock_wrong);
    assert_int_equal(dht_vote_unix_ms(&v, 0), 1000500000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),           cmocka_unit_test(test_rtt),
        cmocka_unit_test(test_table_replacement), cmocka_unit_test(test_table_diversity),
        cmocka_unit_test(test_table_closest),   cmocka_unit_test(test_pending),
        cmocka_unit_test(test_messages),        cmocka_unit_test(test_records),
        cmocka_unit_test(test_token),           cmocka_unit_test(test_storage),
        cmocka_unit_test(test_storage_eviction), cmocka_unit_test(test_announced_set),
        cmocka_unit_test(test_votes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
