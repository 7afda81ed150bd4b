/* Text forms of nodes, invites and addresses: what is written is read back, and any one wrong character is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "node/base/err.h"
#include "node/base/id.h"

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

static void node_id_round_trip(void **state)
{
    char text[NODE_ID_TEXT_SIZE + 1];
    uint8_t key[NODE_KEY_SIZE], back[NODE_KEY_SIZE];
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        for (unsigned j = 0; j < sizeof key; j++)
            key[j] = (uint8_t)(i * 37 + j * 11);
        node_id_format(text, key);
        assert_int_equal(strlen(text), 56);
        assert_int_equal(node_id_parse(back, text), 0);
        assert_memory_equal(key, back, sizeof key);
    }
}

static void node_id_one_wrong_character(void **state)
{
    char text[NODE_ID_TEXT_SIZE + 1];
    uint8_t key[NODE_KEY_SIZE], back[NODE_KEY_SIZE];
    unsigned slipped = 0;
    (void)state;
    memset(key, 0x5a, sizeof key);
    node_id_format(text, key);
    for (size_t i = 0; i < NODE_ID_TEXT_SIZE; i++) {
        char right = text[i];
        for (const char *c = alphabet; *c; c++) {
            text[i] = *c;
            if (*c != right)
                slipped += node_id_parse(back, text) == 0;
        }
        text[i] = '0'; /* not in the alphabet */
        assert_int_equal(node_id_parse(back, text), ERR_MALFORMED);
        text[i] = right;
    }
    /* Two checksum bytes: 1,736 changes, each slips with probability 2^-16 at the most. */
    assert_int_equal(slipped, 0);
}

static void node_id_wrong_shape(void **state)
{
    char text[NODE_ID_TEXT_SIZE + 8];
    uint8_t key[NODE_KEY_SIZE] = {1};
    (void)state;
    node_id_format(text, key);
    text[55] = '\0';
    assert_int_equal(node_id_parse(key, text), ERR_MALFORMED);
    assert_int_equal(node_id_parse(key, ""), ERR_MALFORMED);
    node_id_format(text, key);
    strcat(text, "a");
    assert_int_equal(node_id_parse(key, text), ERR_MALFORMED);
}

static struct invite sample_invite(bool is_private, uint32_t nodes)
{
    struct invite in;
    memset(&in, 0, sizeof in);
    memset(in.network.id, 0x42, sizeof in.network.id);
    in.network.is_private = is_private;
    if (is_private)
        memset(in.network.secret, 0x99, sizeof in.network.secret);
    in.node_count = nodes;
    for (uint32_t i = 0; i < nodes; i++) {
        memset(in.nodes[i].key, (int)(i + 1), NODE_KEY_SIZE);
        in.nodes[i].addr = net_addr_v4(10, 0, 0, (uint8_t)i, 7733);
        if (i & 1)
            assert_int_equal(net_addr_parse(&in.nodes[i].addr, "[2001:db8::1]:7733"), 0);
    }
    return in;
}

static void invite_round_trip(void **state)
{
    (void)state;
    for (uint32_t nodes = 0; nodes <= INVITE_NODES_MAX; nodes++) {
        for (int is_private = 0; is_private < 2; is_private++) {
            char text[INVITE_TEXT_MAX], padded[INVITE_TEXT_MAX + 8];
            struct invite in = sample_invite(is_private, nodes), out;
            assert_int_equal(invite_format(text, &in), 0);
            snprintf(padded, sizeof padded, "  %s \r\n", text);
            assert_int_equal(invite_parse(&out, padded), 0);
            assert_memory_equal(&out.network, &in.network, sizeof in.network);
            assert_int_equal(out.node_count, nodes);
            for (uint32_t i = 0; i < nodes; i++) {
                assert_memory_equal(out.nodes[i].key, in.nodes[i].key, NODE_KEY_SIZE);
                assert_true(net_addr_equal(&out.nodes[i].addr, &in.nodes[i].addr));
            }
        }
    }
    struct invite too_many = sample_invite(false, 1);
    char text[INVITE_TEXT_MAX];
    too_many.node_count = INVITE_NODES_MAX + 1;
    assert_int_equal(invite_format(text, &too_many), ERR_RANGE);
}

static void invite_one_wrong_character(void **state)
{
    char text[INVITE_TEXT_MAX];
    struct invite in = sample_invite(true, 2), out;
    (void)state;
    assert_int_equal(invite_format(text, &in), 0);
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i++) {
        char right = text[i];
        for (const char *c = alphabet; *c; c++) {
            text[i] = *c;
            if (*c != right)
                assert_int_not_equal(invite_parse(&out, text), 0); /* CRC-32 finds every burst of up to 32 bits */
        }
        text[i] = right;
    }
    text[size - 1] = '\0'; /* and a missing one */
    assert_int_not_equal(invite_parse(&out, text), 0);
}

static void addresses(void **state)
{
    static const char *const same[] = {"10.0.0.1:7000", "127.0.0.1:1", "[::1]:7000", "[2001:db8::1:0:0:1]:65535",
                                       "[fe80::1]:80",  "[::]:9",      "0.0.0.0:0",  "[1:2:3:4:5:6:7:8]:1"};
    static const char *const bad[] = {"",           "10.0.0.1",       "10.0.0:1",    "256.0.0.1:1",  "10.0.0.1:65536", "10.0.0.01:1",
                                      "10.0.0.1:",  "10.0.0.1:1x",    "[::1:7000",   "[::1]7000",    "[1:2:3:4:5:6:7]:1", "[1::2::3]:1",
                                      "[12345::]:1", "[:1]:1",        "[1:]:1",      "host:80",      "10.0.0.1:07",    "[1:2:3:4:5:6:7:8:9]:1",
                                      "[::1.2.3]:1", "[1:2:3:4:5:6:7::8]:1", " 10.0.0.1:1"};
    char text[NET_ADDR_TEXT_MAX];
    struct net_addr a, b;
    uint8_t wire[NET_ADDR_WIRE_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        assert_int_equal(net_addr_parse(&a, same[i]), 0);
        assert_string_equal(net_addr_format(text, &a), same[i]);
        size_t size = net_addr_to_wire(wire, &a);
        assert_true(net_addr_from_wire(&b, wire, size));
        assert_true(net_addr_equal(&a, &b));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (net_addr_parse(&a, bad[i]) == 0)
            fail_msg("accepted: %s", bad[i]);
    }
    assert_int_equal(net_addr_parse(&a, "[::ffff:10.1.2.3]:5"), 0);
    assert_string_equal(net_addr_format(text, &a), "10.1.2.3:5");
    memset(wire, 0, sizeof wire);
    wire[10] = wire[11] = 0xff; /* the long form of an IPv4 address */
    assert_false(net_addr_from_wire(&a, wire, 18));
    assert_false(net_addr_from_wire(&a, wire, 7));
}

static void scopes(void **state)
{
    static const struct {
        const char *text;
        enum net_scope scope;
    } table[] = {
        {"127.0.0.1:1", NET_SCOPE_LOOPBACK},     {"[::1]:1", NET_SCOPE_LOOPBACK},      {"10.9.9.9:1", NET_SCOPE_PRIVATE},
        {"172.16.0.1:1", NET_SCOPE_PRIVATE},     {"172.32.0.1:1", NET_SCOPE_GLOBAL},   {"192.168.1.1:1", NET_SCOPE_PRIVATE},
        {"100.64.0.1:1", NET_SCOPE_PRIVATE},     {"169.254.1.1:1", NET_SCOPE_LINK_LOCAL}, {"[fe80::1]:1", NET_SCOPE_LINK_LOCAL},
        {"[fd00::1]:1", NET_SCOPE_PRIVATE},      {"[2001:db8::1]:1", NET_SCOPE_GLOBAL}, {"8.8.8.8:1", NET_SCOPE_GLOBAL},
        {"0.0.0.0:1", NET_SCOPE_INVALID},        {"224.0.0.1:1", NET_SCOPE_INVALID},   {"255.255.255.255:1", NET_SCOPE_INVALID},
        {"[::]:1", NET_SCOPE_INVALID},           {"[ff02::1]:1", NET_SCOPE_INVALID},   {"8.8.8.8:0", NET_SCOPE_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct net_addr a;
        assert_int_equal(net_addr_parse(&a, table[i].text), 0);
        assert_int_equal(net_addr_scope(&a), table[i].scope);
    }
}

static void encodings(void **state)
{
    /* RFC 4648, section 10, without padding; check values of the CRC catalogue. */
    static const char *const rfc[][2] = {{"", ""}, {"f", "my"}, {"fo", "mzxq"}, {"foo", "mzxw6"}, {"foob", "mzxw6yq"}, {"fooba", "mzxw6ytb"}, {"foobar", "mzxw6ytboi"}};
    char text[32];
    uint8_t back[16];
    (void)state;
    for (size_t i = 0; i < sizeof rfc / sizeof *rfc; i++) {
        size_t size = strlen(rfc[i][0]);
        assert_int_equal(base32_encode(text, (const uint8_t *)rfc[i][0], size), strlen(rfc[i][1]));
        assert_string_equal(text, rfc[i][1]);
        assert_true(base32_decode(back, size, text, strlen(text)));
        assert_memory_equal(back, rfc[i][0], size);
    }
    assert_false(base32_decode(back, 1, "mz", 2));  /* spare bits not zero */
    assert_false(base32_decode(back, 1, "my0", 3)); /* a character too many */
    assert_int_equal(crc32_ieee((const uint8_t *)"123456789", 9), 0xcbf43926u);
    assert_int_equal(crc8((const uint8_t *)"123456789", 9), 0xf4);
    hex_encode(text, (const uint8_t *)"\x01\xab", 2);
    assert_string_equal(text, "01ab");
    assert_true(hex_decode(back, 2, "01AB"));
    assert_false(hex_decode(back, 2, "01a"));
    assert_false(hex_decode(back, 2, "01abc"));
    assert_false(hex_decode(back, 2, "01ag"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_id_round_trip), cmocka_unit_test(node_id_one_wrong_character), cmocka_unit_test(node_id_wrong_shape),
        cmocka_unit_test(invite_round_trip),  cmocka_unit_test(invite_one_wrong_character),  cmocka_unit_test(addresses),
        cmocka_unit_test(scopes),             cmocka_unit_test(encodings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
