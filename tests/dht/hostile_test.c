/* The attacks of FIELD.md that one node can be tested against: forged and replayed answers, tokens, false addresses, lies in contact lists,
 * floods, amplification, a wrong clock; and the faults of the environment: loss, dead contacts, refused memory. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "dht/node_state.h"
#include "tests/support/dht_world.h"

/* A node of our own making that says what it likes, from an address of its own. */
struct stranger {
    struct node_identity me;
    struct net_addr addr;
    struct datagram_channel channel;
    /* the last datagram that was sent to its address */
    uint8_t last[DATAGRAM_MAX], plain[DATAGRAM_MAX];
    size_t last_size;
    uint32_t received;
    struct dht_message m;
};

static bool stranger_tap(struct world *w, uint32_t from, uint32_t to, uint8_t *data, size_t *size)
{
    struct stranger *s = w->tap_context;
    if (to == UINT32_MAX && s) {
        memcpy(s->last, data, *size);
        s->last_size = *size;
        s->received++;
        uint8_t sender[NODE_KEY_SIZE];
        size_t plain_size;
        if (datagram_open(&s->channel, w->now, data, *size, sender, s->plain, &plain_size, NULL, NULL) == 0)
            assert_int_equal(dht_message_read(&s->m, s->plain, plain_size), 0);
        assert_memory_equal(sender, w->nodes[from].me.key, NODE_KEY_SIZE);
        /* Only answers are of interest here; challenges are counted. */
    }
    return true;
}

static void stranger_init(struct stranger *s, struct world *w, uint64_t number, struct net_addr addr)
{
    uint8_t seed[32];
    memset(s, 0, sizeof *s);
    world_key(seed, 0xbad, number);
    w->env.crypto->identity(&s->me, seed);
    s->addr = addr;
    datagram_channel_init(&s->channel, &s->me, &w->network, w->env.crypto, w->env.keys, seed, w->now);
    w->tap = stranger_tap;
    w->tap_context = s;
}

static size_t stranger_seal(struct stranger *s, struct world *w, uint32_t to, const struct dht_message *m, size_t pad, uint8_t *out)
{
    uint8_t plain[DATAGRAM_PLAIN_MAX];
    size_t size = dht_message_write(plain, sizeof plain, m, pad);
    assert_true(size > 0);
    return datagram_seal(&s->channel, w->nodes[to].me.key, plain, size, out);
}

static int stranger_send(struct stranger *s, struct world *w, uint32_t to, const struct dht_message *m, size_t pad)
{
    uint8_t sealed[DATAGRAM_MAX];
    size_t size = stranger_seal(s, w, to, m, pad, sealed);
    return world_inject(w, to, &s->addr, sealed, size);
}

static struct world *settled(uint64_t seed, uint32_t count, const struct dht_config *config)
{
    struct world *w = world_new(seed, count, config, &core_crypto_cheap);
    world_join_all(w);
    world_run(w, w->now + CORE_SECONDS(15));
    return w;
}

static struct dht_status status_of(const struct world *w, uint32_t i)
{
    struct dht_status s;
    dht_status(w->nodes[i].dht, &s);
    return s;
}

/* Whatever a stranger asks, the answer is at most three times as long until it has echoed a token; padded as our own requests are,
 * a full list fits. */
static void test_amplification(void **state)
{
    (void)state;
    struct world *w = settled(11, 60, NULL);
    struct stranger s;
    uint8_t key[32], sealed[DATAGRAM_MAX];
    world_key(key, 1, 1);
    stranger_init(&s, w, 1, net_addr_v4(127, 0, 0, 2, 777));
    double most = 0;
    for (uint32_t type = 0; type < 16; type++)
        for (size_t pad = 0; pad <= 400; pad += 40) {
            struct dht_message m = {.type = (uint8_t)type, .key = key, .kind = DHT_PROVIDER, .flags = DHT_FLAG_UNLISTED};
            size_t size = stranger_seal(&s, w, 4, &m, pad, sealed);
            s.last_size = 0;
            assert_int_equal(world_inject(w, 4, &s.addr, sealed, size), 0);
            assert_true(s.last_size > 0);
            assert_true(s.last_size <= 3 * size);
            most = (double)s.last_size / (double)size > most ? (double)s.last_size / (double)size : most;
            int status = type == DHT_PUT ? ERR_AUTH : type == DHT_CALL ? ERR_MALFORMED : type > DHT_CALL ? ERR_UNSUPPORTED : 0;
            assert_int_equal(s.m.status, status);
        }
    printf("most amplification without a token: %.2f\n", most);
    struct dht_message find = {.type = DHT_FIND, .key = key, .flags = DHT_FLAG_UNLISTED};
    assert_int_equal(stranger_send(&s, w, 4, &find, dht_find_padding(w->nodes[4].dht, DHT_FIND)), 0);
    assert_int_equal(dht_node_count(DHT_V4, s.m.contacts[DHT_V4]), 16);
    /* the echoed token lifts the limit */
    find.has_token = true;
    memcpy(find.token, s.m.token, DHT_TOKEN_SIZE);
    size_t bare = stranger_seal(&s, w, 4, &find, 0, sealed);
    assert_int_equal(world_inject(w, 4, &s.addr, sealed, bare), 0);
    assert_int_equal(dht_node_count(DHT_V4, s.m.contacts[DHT_V4]), 16);
    world_free(w);
}

/* A token serves one address, one key and ten minutes; a record carries the sender's own address whatever it writes. */
static void test_tokens_and_false_addresses(void **state)
{
    (void)state;
    struct world *w = settled(12, 20, NULL);
    struct stranger s, thief;
    uint8_t key[32];
    world_key(key, 2, 1);
    stranger_init(&thief, w, 2, net_addr_v4(127, 0, 0, 3, 700));
    stranger_init(&s, w, 1, net_addr_v4(127, 0, 0, 2, 777));
    struct dht_message get = {.type = DHT_GET, .key = key, .kind = DHT_PROVIDER, .flags = DHT_FLAG_UNLISTED};
    assert_int_equal(stranger_send(&s, w, 4, &get, 300), 0);
    struct dht_message put = {.type = DHT_PUT, .kind = DHT_PROVIDER, .keys = bytes_of(key, 32), .has_token = true, .flags = DHT_FLAG_UNLISTED};
    memcpy(put.token, s.m.token, DHT_TOKEN_SIZE);
    /* replayed by another key from the same address, and by the same key from another address */
    w->tap_context = &thief;
    thief.addr = s.addr;
    assert_int_equal(stranger_send(&thief, w, 4, &put, 0), 0);
    assert_int_equal(thief.m.status, ERR_AUTH);
    w->tap_context = &s;
    s.addr.port++;
    assert_int_equal(stranger_send(&s, w, 4, &put, 0), 0);
    assert_int_equal(s.m.status, ERR_AUTH);
    s.addr.port--;
    assert_int_equal(status_of(w, 4).records, 0);
    /* rightly used: the address is where it came from, the port may be another */
    put.has_port = true;
    put.port = 4444;
    assert_int_equal(stranger_send(&s, w, 4, &put, 0), 0);
    assert_int_equal(s.m.status, 0);
    assert_int_equal(s.m.results.data[0], 0);
    assert_int_equal(status_of(w, 4).records, 1);
    assert_int_equal(world_get(w, 4, DHT_PROVIDER, key, 9), 0);
    const struct world_notice *p = world_notice_find(w, 4, 9, DHT_NOTICE_PROVIDER, 0);
    assert_non_null(p);
    assert_true(net_addr_same_ip(&p->x.u.notice.node.addr, &s.addr));
    assert_int_equal(p->x.u.notice.node.addr.port, 4444);
    assert_memory_equal(p->x.u.notice.node.key, s.me.key, NODE_KEY_SIZE);
    /* too old */
    world_run(w, w->now + CORE_MINUTES(11));
    assert_int_equal(stranger_send(&s, w, 4, &put, 0), 0);
    assert_int_equal(s.m.status, ERR_AUTH);
    world_free(w);
}

/* A withdrawal drops the sender's own record and no other's, and only with its token. */
static void test_withdrawal_of_others(void **state)
{
    (void)state;
    struct world *w = settled(14, 20, NULL);
    struct stranger s, owner;
    uint8_t key[32];
    world_key(key, 2, 7);
    struct dht_message get = {.type = DHT_GET, .key = key, .kind = DHT_PROVIDER, .flags = DHT_FLAG_UNLISTED};
    struct dht_message put = {.type = DHT_PUT, .kind = DHT_PROVIDER, .keys = bytes_of(key, 32), .has_token = true, .flags = DHT_FLAG_UNLISTED};
    struct dht_message gone = {.type = DHT_PUT, .kind = DHT_PROVIDER, .withdraw = bytes_of(key, 32), .has_token = true,
                               .flags = DHT_FLAG_UNLISTED};
    stranger_init(&s, w, 2, net_addr_v4(127, 0, 0, 3, 700));
    assert_int_equal(stranger_send(&s, w, 4, &get, 300), 0);
    uint8_t token[DHT_TOKEN_SIZE];
    memcpy(token, s.m.token, DHT_TOKEN_SIZE);
    stranger_init(&owner, w, 1, net_addr_v4(127, 0, 0, 2, 777));
    assert_int_equal(stranger_send(&owner, w, 4, &get, 300), 0);
    memcpy(put.token, owner.m.token, DHT_TOKEN_SIZE);
    assert_int_equal(stranger_send(&owner, w, 4, &put, 0), 0);
    assert_int_equal(status_of(w, 4).records, 1);
    /* a stranger, with a token of its own; then with the owner's address but not its key; then the owner with a token too old */
    memcpy(gone.token, token, DHT_TOKEN_SIZE);
    w->tap_context = &s;
    assert_int_equal(stranger_send(&s, w, 4, &gone, 0), 0);
    assert_int_equal(s.m.status, 0);
    assert_int_equal(s.m.results.data[0], -ERR_NOT_FOUND);
    s.addr = owner.addr;
    memcpy(gone.token, put.token, DHT_TOKEN_SIZE);
    assert_int_equal(stranger_send(&s, w, 4, &gone, 0), 0);
    assert_int_equal(s.m.status, ERR_AUTH);
    w->tap_context = &owner;
    memcpy(gone.token, token, DHT_TOKEN_SIZE);
    assert_int_equal(stranger_send(&owner, w, 4, &gone, 0), 0);
    assert_int_equal(owner.m.status, ERR_AUTH);
    assert_int_equal(status_of(w, 4).records, 1);
    /* the owner itself, once */
    memcpy(gone.token, put.token, DHT_TOKEN_SIZE);
    assert_int_equal(stranger_send(&owner, w, 4, &gone, 0), 0);
    assert_int_equal(owner.m.status, 0);
    assert_int_equal(owner.m.results.data[0], 0);
    assert_int_equal(status_of(w, 4).records, 0);
    assert_int_equal(stranger_send(&owner, w, 4, &gone, 0), 0);
    assert_int_equal(owner.m.results.data[0], -ERR_NOT_FOUND);
    world_free(w);
}

/* A renewal makes the holder look at all it holds: that is paid from the same quota as answers, so that nobody gets it for a datagram. */
static void test_renewals_are_paid_for(void **state)
{
    (void)state;
    struct world *w = settled(16, 20, NULL);
    struct stranger s;
    uint8_t keys[DHT_PUT_KEYS_MAX * 32], renew[DHT_RENEW_SIZE] = {0};
    stranger_init(&s, w, 1, net_addr_v4(127, 0, 0, 2, 777));
    struct dht_message get = {.type = DHT_GET, .key = keys, .kind = DHT_PROVIDER, .flags = DHT_FLAG_UNLISTED};
    world_key(keys, 2, 1);
    assert_int_equal(stranger_send(&s, w, 4, &get, 300), 0);
    struct dht_message put = {.type = DHT_PUT, .kind = DHT_PROVIDER, .has_token = true, .flags = DHT_FLAG_UNLISTED};
    memcpy(put.token, s.m.token, DHT_TOKEN_SIZE);
    put.keys = bytes_of(keys, sizeof keys);
    for (uint32_t i = 0; i < 100; i++) {
        for (uint32_t k = 0; k < DHT_PUT_KEYS_MAX; k++)
            world_key(keys + 32 * k, 3, i * DHT_PUT_KEYS_MAX + k);
        assert_int_equal(stranger_send(&s, w, 4, &put, 0), 0);
    }
    assert_int_equal(status_of(w, 4).records, 100 * DHT_PUT_KEYS_MAX);
    put.keys = bytes_of(NULL, 0);
    put.renew = bytes_of(renew, sizeof renew);
    uint32_t looked = 0;
    while (looked < 2000 && stranger_send(&s, w, 4, &put, 0) == 0)
        looked++;
    printf("renewals of 3,000 records for nothing: %u, then the quota\n", looked);
    assert_true(looked > 20);
    assert_true(looked < 200);
    world_run(w, w->now + CORE_SECONDS(5));
    assert_int_equal(stranger_send(&s, w, 4, &put, 0), 0); /* the quota comes back */
    world_free(w);
}

/* A captured answer: again, from another address, with a wrong id, sealed by another key. None is taken. */
static struct {
    uint32_t from, to;
    uint8_t data[DATAGRAM_MAX];
    size_t size;
} captured;
static bool capture_tap(struct world *w, uint32_t from, uint32_t to, uint8_t *data, size_t *size)
{
    (void)w;
    captured.from = from;
    captured.to = to;
    memcpy(captured.data, data, *size);
    captured.size = *size;
    return true;
}

static void test_forged_answers(void **state)
{
    (void)state;
    struct world *w = settled(13, 20, NULL);
    uint8_t key[32];
    world_key(key, 3, 1);
    w->tap = capture_tap;
    assert_int_equal(world_find(w, 4, key, 1), 0);
    assert_non_null(world_wait(w, 4, 1, CORE_SECONDS(5)));
    while (captured.to != 4) /* until something was answered to node 4 */
        assert_true(world_step(w, w->now + CORE_HOURS(2)));
    struct net_addr from = w->nodes[captured.from].addr, elsewhere = from;
    elsewhere.port ^= 1;
    world_run(w, w->now + CORE_SECONDS(10));
    uint64_t before = status_of(w, 4).unsolicited;
    int replay = world_inject(w, 4, &from, captured.data, captured.size);
    int moved = world_inject(w, 4, &elsewhere, captured.data, captured.size);
    assert_true(replay == ERR_UNSOLICITED || replay == 0); /* 0: it was a request */
    assert_true(moved == ERR_UNSOLICITED || moved == 0);
    struct stranger s;
    stranger_init(&s, w, 5, net_addr_v4(127, 0, 0, 9, 900));
    for (uint32_t slot = 0; slot < 256; slot++) {
        struct dht_message m = {.type = DHT_FIND, .reply = true, .key = key};
        m.id[0] = (uint8_t)slot;
        assert_int_equal(stranger_send(&s, w, 4, &m, 0), ERR_UNSOLICITED);
    }
    assert_true(status_of(w, 4).unsolicited >= before + 256);
    /* and never a contact without having answered a question */
    for (uint32_t i = 0; i < status_of(w, 4).contacts; i++) {
        struct node_addr nodes[64];
        uint32_t count = dht_contacts(w->nodes[4].dht, nodes, 64);
        assert_true(i >= count || memcmp(nodes[i].key, s.me.key, NODE_KEY_SIZE) != 0);
    }
    /* a request makes it a candidate: it is challenged once, not at each request */
    struct dht_message ping = {.type = DHT_PING};
    s.received = 0;
    for (int i = 0; i < 10; i++)
        assert_int_equal(stranger_send(&s, w, 4, &ping, 0), 0);
    assert_int_equal(s.received, 10 + 1);
    world_free(w);
}

/* Bits flipped, cut short and random: counted, never a crash. */
static void test_garbage(void **state)
{
    (void)state;
    struct world *w = settled(14, 10, NULL);
    struct stranger s;
    stranger_init(&s, w, 6, net_addr_v4(127, 0, 0, 9, 900));
    uint8_t sealed[DATAGRAM_MAX], key[32] = {1};
    struct dht_message m = {.type = DHT_FIND, .key = key};
    size_t size = stranger_seal(&s, w, 4, &m, 0, sealed);
    uint64_t before = status_of(w, 4).malformed;
    for (size_t i = 0; i < size; i++) {
        sealed[i] ^= 1;
        assert_true(world_inject(w, 4, &s.addr, sealed, size) != 0);
        sealed[i] ^= 1;
        assert_true(world_inject(w, 4, &s.addr, sealed, i) != 0);
    }
    assert_true(status_of(w, 4).malformed >= before + 2 * size - 2);
    world_free(w);
}

/* A contact that lies in its list: made-up keys at a victim's addresses. The look-up succeeds without them and each is tried once at most. */
static uint32_t victim_hits;
static bool liar_tap(struct world *w, uint32_t from, uint32_t to, uint8_t *data, size_t *size)
{
    (void)from;
    (void)data;
    (void)size;
    (void)w;
    victim_hits += to == UINT32_MAX;
    return true;
}

static void test_lying_contact_lists(void **state)
{
    (void)state;
    struct world *w = settled(15, 15, NULL); /* so few that the liar gets into a bucket */
    struct stranger s;
    uint8_t key[32], list[16 * 38];
    world_key(key, 4, 1);
    stranger_init(&s, w, 7, net_addr_v4(127, 0, 0, 9, 900));
    /* Node 4 asks the stranger, which answers its challenge with lies. */
    struct dht_message ping = {.type = DHT_PING};
    assert_int_equal(stranger_send(&s, w, 4, &ping, 0), 0); /* answered, then challenged: s.m is the challenge */
    assert_false(s.m.reply);
    struct dht_message pong = {.type = DHT_PING, .reply = true};
    memcpy(pong.id, s.m.id, DHT_ID_SIZE);
    assert_int_equal(stranger_send(&s, w, 4, &pong, 0), 0);
    s.received = 0;
    node_position(key, s.me.key, w->env.crypto);
    assert_int_equal(world_find(w, 4, key, 2), 0); /* its own position: it is asked for certain */
    assert_true(s.received >= 1);
    assert_int_equal(s.m.type, DHT_FIND);
    for (uint32_t i = 0; i < 16; i++) {
        struct net_addr victim = net_addr_v4(127, 0, 1, 1, (uint16_t)(100 + i));
        uint8_t made_up[32];
        world_key(made_up, 66, i);
        dht_node_to_wire(list + 38 * i, DHT_V4, made_up, &victim);
    }
    struct dht_message lie = {.type = DHT_FIND, .reply = true};
    lie.contacts[DHT_V4] = bytes_of(list, sizeof list);
    memcpy(lie.id, s.m.id, DHT_ID_SIZE);
    w->tap = liar_tap;
    victim_hits = 0;
    assert_int_equal(stranger_send(&s, w, 4, &lie, 0), 0);
    const struct world_notice *done = world_wait(w, 4, 2, CORE_SECONDS(30));
    assert_non_null(done);
    assert_int_equal(done->x.u.notice.status, 0);
    printf("a lying contact list of 16 cost %u datagrams\n", victim_hits);
    assert_true(victim_hits <= DHT_TELLER_DEAD_MAX);
    world_free(w);
}

/* A private address told by a node on the Internet is not contacted, nor told to it. */
static void test_scopes(void **state)
{
    (void)state;
    struct net_addr global = net_addr_v4(8, 8, 8, 8, 1), lan = net_addr_v4(192, 168, 1, 1, 1), here = net_addr_v4(127, 0, 0, 1, 1);
    assert_true(dht_scope_tellable(&global, &global));
    assert_true(dht_scope_tellable(&lan, &global));
    assert_true(dht_scope_tellable(&lan, &lan));
    assert_true(dht_scope_tellable(&here, &here));
    assert_false(dht_scope_tellable(&global, &lan));
    assert_false(dht_scope_tellable(&global, &here));
    assert_false(dht_scope_tellable(&lan, &here));
}

/* One source floods a node with keys: its cap holds, others still find room, memory is bounded. */
static void test_flood(void **state)
{
    (void)state;
    struct dht_config config;
    dht_config_default(&config);
    config.records_max = 400;
    config.records_per_source_max = 100;
    config.records_per_key_max = 10;
    config.upload_bytes_per_second = 0;
    struct world *w = settled(16, 20, &config);
    struct stranger s;
    stranger_init(&s, w, 8, net_addr_v4(127, 0, 0, 2, 777));
    uint8_t keys[30 * 32];
    struct dht_message ping = {.type = DHT_PING, .flags = DHT_FLAG_UNLISTED};
    assert_int_equal(stranger_send(&s, w, 4, &ping, 0), 0);
    struct dht_message put = {.type = DHT_PUT, .kind = DHT_PROVIDER, .has_token = true, .flags = DHT_FLAG_UNLISTED};
    memcpy(put.token, s.m.token, DHT_TOKEN_SIZE);
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 20; i++) {
        for (uint32_t k = 0; k < 30; k++)
            world_key(keys + 32 * k, 300 + i, k);
        put.keys = bytes_of(keys, sizeof keys);
        assert_int_equal(stranger_send(&s, w, 4, &put, 0), 0);
        assert_int_equal(s.m.results.size, 30);
        for (uint32_t k = 0; k < 30; k++)
            refused += s.m.results.data[k] == (uint8_t)-ERR_QUOTA;
    }
    assert_int_equal(status_of(w, 4).records, 100);
    assert_int_equal(refused, 500);
    /* twelve providers of one key: ten are kept */
    for (uint32_t i = 0; i < 12; i++) {
        struct stranger other;
        stranger_init(&other, w, 20 + i, net_addr_v4(127, 0, 0, 2, (uint16_t)(800 + i)));
        assert_int_equal(stranger_send(&other, w, 4, &ping, 0), 0);
        memcpy(put.token, other.m.token, DHT_TOKEN_SIZE);
        world_key(keys, 400, 0);
        put.keys = bytes_of(keys, 32);
        assert_int_equal(stranger_send(&other, w, 4, &put, 0), 0);
        assert_int_equal(other.m.results.data[0], i < 10 ? 0 : -ERR_QUOTA);
    }
    w->tap_context = NULL;
    assert_int_equal(status_of(w, 4).records, 110);
    world_run(w, w->now + CORE_MINUTES(61));
    assert_int_equal(status_of(w, 4).records, 0);
    world_free(w);
}

/* More than the reply bandwidth: requests are dropped and counted, and answered again a moment later. */
static void test_upload_cap(void **state)
{
    (void)state;
    struct dht_config config;
    dht_config_default(&config);
    config.upload_bytes_per_second = 8000;
    struct world *w = settled(17, 10, &config);
    struct stranger s;
    stranger_init(&s, w, 9, net_addr_v4(127, 0, 0, 2, 777));
    uint8_t key[32] = {9};
    struct dht_message find = {.type = DHT_FIND, .key = key, .flags = DHT_FLAG_UNLISTED};
    uint32_t answered = 0, dropped = 0;
    for (int i = 0; i < 500; i++) {
        int status = stranger_send(&s, w, 4, &find, 200);
        answered += status == 0;
        dropped += status == ERR_QUOTA;
    }
    assert_int_equal(answered + dropped, 500);
    assert_true(dropped > 300);
    assert_int_equal(status_of(w, 4).over_quota, dropped);
    world_run(w, w->now + CORE_SECONDS(2));
    assert_int_equal(stranger_send(&s, w, 4, &find, 200), 0);
    world_free(w);
}

/* A clock that is wrong by a year is told so by its peers' median, does not expire what others store there, and does not
 * prevent its own records. A node that knows no time at all stores too. */
static void test_wrong_clock(void **state)
{
    (void)state;
    struct world *w = world_new(18, 12, NULL, &core_crypto_cheap);
    w->nodes[5].clock_error_ms = 365 * 86400000ll;
    w->nodes[6].clock_unknown = true;
    world_join_all(w);
    world_run(w, w->now + CORE_SECONDS(20));
    assert_int_equal(world_notice_count(w, 5, 0, DHT_NOTICE_CLOCK), 1);
    int64_t error = (int64_t)(world_notice_find(w, 5, 0, DHT_NOTICE_CLOCK, 0)->x.u.notice.a - world_unix_ms(w));
    assert_true(error > -40000 && error < 40000);
    for (uint32_t i = 0; i < w->count; i++)
        assert_int_equal(world_notice_count(w, i, 0, DHT_NOTICE_CLOCK), i == 5);
    uint8_t key[32], wire[DHT_RECORD_WIRE_MAX];
    node_position(key, w->nodes[2].me.key, w->env.crypto);
    size_t size = dht_record_sign(wire, sizeof wire, DHT_PROFILE, key, world_unix_ms(w), world_unix_ms(w) / 1000 + 86400,
                                  bytes_of("hello", 5), &w->nodes[2].me, &w->network, w->env.crypto);
    assert_int_equal(world_put(w, 2, DHT_PROFILE, key, bytes_of(wire, size), 1), 0);
    const struct world_notice *done = world_wait(w, 2, 1, CORE_SECONDS(10));
    assert_int_equal(done->x.u.notice.a, 8);
    assert_int_equal(world_notice_count(w, 2, 1, DHT_NOTICE_REFUSED), 0);
    assert_int_equal(world_get(w, 5, DHT_PROFILE, key, 2), 0);
    assert_int_equal(world_wait(w, 5, 2, CORE_SECONDS(10))->x.u.notice.status, 0);
    world_free(w);
}

/* 5 % of datagrams lost and a tenth of the nodes gone without a word: look-ups and announcements still succeed. */
static void test_loss_and_dead(void **state)
{
    (void)state;
    struct world *w = world_new(19, 100, NULL, &core_crypto_cheap);
    w->latency_min = CORE_MS(10);
    w->latency_max = CORE_MS(100);
    w->loss_permille = 50;
    world_join_all(w);
    world_run(w, w->now + CORE_MINUTES(2));
    w->checks = false;
    for (uint32_t i = 0; i < 100; i++)
        assert_true(status_of(w, i).joined);
    uint8_t key[32];
    for (uint32_t i = 0; i < 20; i++) {
        world_key(key, 500, i);
        assert_int_equal(world_announce(w, 11 + i, key, true, 1), 0);
        const struct world_notice *n = world_wait(w, 11 + i, 1, CORE_SECONDS(60));
        assert_non_null(n);
        assert_true(n->x.u.notice.a >= 12);
    }
    for (uint32_t i = 1; i < 11; i++)
        world_stop(w, i);
    core_time total = 0;
    for (uint32_t i = 0; i < 60; i++) {
        uint32_t asker = 40 + i % 60;
        core_time start = w->now;
        world_key(key, 500, i % 20);
        assert_int_equal(world_get(w, asker, DHT_PROVIDER, key, 10 + i), 0);
        const struct world_notice *n = world_wait(w, asker, 10 + i, CORE_SECONDS(60));
        assert_non_null(n);
        assert_int_equal(n->x.u.notice.status, 0);
        total += w->now - start;
    }
    printf("5 %% loss, 10 %% dead, 10-100 ms one way: a get takes %.0f ms to its end\n", (double)total / 60 / 1000);
    /* the dead leave the tables within the refresh period */
    world_run(w, w->now + CORE_HOURS(3));
    uint32_t dead = 0, all = 0;
    for (uint32_t i = 11; i < 100; i++) {
        struct node_addr nodes[240];
        uint32_t count = dht_contacts(w->nodes[i].dht, nodes, 240);
        for (uint32_t k = 0; k < count; k++)
            dead += w->nodes[world_index(w, nodes[k].key)].dht == NULL;
        all += count;
    }
    printf("three hours later %u of %u contacts are dead ones\n", dead, all);
    assert_true(dead * 100 <= all);
    world_free(w);
}

/* Nodes come and go; the rest keep finding what is there. And no node ever becomes alone for good: its only contact returns. */
static void test_churn(void **state)
{
    (void)state;
    struct world *w = settled(20, 80, NULL);
    w->checks = false;
    uint32_t good = 0, tried = 0;
    for (uint32_t round = 0; round < 60; round++) {
        uint32_t gone = 1 + (round * 37) % 79;
        if (w->nodes[gone].dht)
            world_stop(w, gone);
        else {
            world_start(w, gone);
            world_hint(w, gone, 0);
        }
        gone = 1 + (round * 53 + 11) % 79;
        if (!w->nodes[gone].dht) {
            world_start(w, gone);
            world_hint(w, gone, 0);
        }
        world_run(w, w->now + CORE_MINUTES(1));
        uint8_t key[32];
        world_key(key, 600, round);
        assert_int_equal(world_find(w, 0, key, 1 + round), 0);
        assert_non_null(world_wait(w, 0, 1 + round, CORE_SECONDS(30)));
        for (uint32_t i = 0; i < 8; i++) {
            const struct world_notice *n = world_notice_find(w, 0, 1 + round, DHT_NOTICE_NODE, i);
            assert_non_null(n);
            tried++;
            good += world_is_closest(w, world_index(w, n->x.u.notice.node.key), key, 9);
        }
    }
    printf("churn: %u of %u of the eight closest found\n", good, tried);
    assert_true(good * 100 >= tried * 97);
    world_free(w);
}

static void test_alone_and_back(void **state)
{
    (void)state;
    struct world *w = world_new(21, 2, NULL, &core_crypto_real);
    uint8_t key[32] = {5};
    world_start(w, 1);
    /* nobody known: every operation ends at once and says so */
    assert_int_equal(world_find(w, 1, key, 1), 0);
    assert_int_equal(world_get(w, 1, DHT_PROVIDER, key, 2), 0);
    assert_int_equal(world_announce(w, 1, key, true, 3), 0);
    for (uint32_t op = 1; op <= 3; op++) {
        const struct world_notice *n = world_wait(w, 1, op, CORE_MS(1));
        assert_non_null(n);
        assert_int_equal(n->x.u.notice.status, ERR_NOT_FOUND);
    }
    /* the one it is told of is not up yet */
    world_hint(w, 1, 0);
    world_run(w, w->now + CORE_MINUTES(5));
    assert_false(status_of(w, 1).joined);
    assert_true(w->nodes[1].sent < 30);
    world_start(w, 0);
    world_run(w, w->now + CORE_MINUTES(2));
    assert_true(status_of(w, 1).joined);
    assert_true(status_of(w, 0).joined);
    assert_int_equal(status_of(w, 1).announced_stored, 1);
    /* a network of two: the other one finds the key */
    assert_int_equal(world_get(w, 0, DHT_PROVIDER, key, 4), 0);
    assert_int_equal(world_wait(w, 0, 4, CORE_SECONDS(5))->x.u.notice.status, 0);
    /* away for a day, and back: no shouting meanwhile */
    world_stop(w, 0);
    uint64_t before = w->nodes[1].sent;
    world_run(w, w->now + CORE_HOURS(24));
    printf("alone for a day: %u datagrams\n", (unsigned)(w->nodes[1].sent - before));
    assert_true(w->nodes[1].sent - before < 24 * 60 * 3);
    world_start(w, 0);
    world_run(w, w->now + CORE_MINUTES(2));
    assert_int_equal(status_of(w, 1).contacts_live, 1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_amplification),       cmocka_unit_test(test_tokens_and_false_addresses),
        cmocka_unit_test(test_forged_answers),      cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_lying_contact_lists), cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_flood),               cmocka_unit_test(test_upload_cap),
        cmocka_unit_test(test_wrong_clock),         cmocka_unit_test(test_loss_and_dead),
        cmocka_unit_test(test_churn),               cmocka_unit_test(test_alone_and_back),
        cmocka_unit_test(test_withdrawal_of_others), cmocka_unit_test(test_renewals_are_paid_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
