/* The messages of a session: what each must hold, its bounds, what is skipped and what is refused
 * (docs/protocol.d/40-sessions.md, "Control messages"). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/base/err.h"
#include "transfer/message.h"

#define K16    "6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b"
#define KEY    "c420" K16 K16
#define KEY_31 "c41f" K16 "6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b"
#define ADDR   "c406080808081f90"

static size_t unhex(uint8_t *out, const char *hex)
{
    size_t n = 0;
    for (; hex[0] && hex[1]; hex += 2) {
        char two[3] = {hex[0], hex[1], 0};
        out[n++] = (uint8_t)strtoul(two, NULL, 16);
    }
    return n;
}

/* From an allocation of its own size, so that a byte read beyond it is seen. */
static bool reads(const char *hex, struct message *m, size_t *left)
{
    uint8_t bytes[4096];
    size_t size = unhex(bytes, hex);
    uint8_t *exact = malloc(size ? size : 1);
    struct wire w;
    memcpy(exact, bytes, size);
    wire_init(&w, exact, size);
    bool ok = message_read(&w, m);
    assert_int_equal(ok, wire_ok(&w) && size != 0);
    *left = wire_left(&w);
    free(exact);
    return ok;
}

static const struct {
    const char *what, *hex;
} accepted[] = {
    {"hello", "860000010102a178031b05000600"},
    {"hello with our address", "870000010102a17803cd1b5804" ADDR "05010600"},
    {"hello, agent of 31 bytes, port 65535",
     "86000001cd100002bf" K16 "6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b03cdffff05000600"},
    {"open", "840001010002" KEY "03" KEY},
    {"open of a pack", "850001010202" KEY "03" KEY "04c3"},
    {"opened", "840002010002" KEY "0304"},
    {"opened, everything", "850002010002" KEY "031e04c3"},
    {"refused", "8200030101"},
    {"map of bits", "84000401010208"
                    "03c401ff"},
    {"map of no bits", "8400040101020003c400"},
    {"map of everything", "8300040101"
                          "04c3"},
    {"have", "830005010102930102cd0100"},
    {"have nothing", "83000501010290"},
    {"interest", "82000601c3"},
    {"no interest", "82000601c2"},
    {"choke", "82000701c3"},
    {"choke, may finish", "83000701c302c3"},
    {"request", "84000801000205030a"},
    {"request of 64 with proof, urgent", "86000801000200034004c305c3"},
    {"cancel", "840009010002050301"},
    {"reject", "85000a01000205030104cc80"},
    {"peers", "83000b01010291"
              "92" KEY ADDR},
    {"no peers", "83000b01010290"},
    {"close", "82000c01cd03ff"},
    {"ping", "82000d01ceffffffff"},
    {"pong", "82000e0100"},
    {"lent", "83000f0101029105"},
    {"not lent after all", "84000f010102910503c3"},
    {"find", "830020010502" KEY},
    {"find result", "8300210105020c"},
    {"find result, failed", "8400210105020003cd03e8"},
    {"dial back", "8200220106"},
    {"dial-back result", "8200230106"},
    {"dial-back result, failed", "83002301060309"},
    {"application", "830024010002c403616263"},
    {"unsupported", "83003f01090232"},
};

/* Each is read to its end, and written as it was. */
static void every_message_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        struct message m;
        struct wire w;
        struct pack p;
        uint8_t in[1024], out[1024];
        size_t size = unhex(in, accepted[i].hex);
        wire_init(&w, in, size);
        if (!message_read(&w, &m) || !wire_done(&w))
            fail_msg("%s is refused", accepted[i].what);
        pack_init(&p, out, sizeof out);
        assert_true(message_write(&p, &m));
        if (p.size != size || memcmp(in, out, size) != 0)
            fail_msg("%s is written otherwise", accepted[i].what);
        for (size_t cap = 0; cap < size; cap++) { /* no room: nothing, and the packer is as it was */
            pack_init(&p, out, cap);
            assert_false(message_write(&p, &m));
            assert_int_equal(p.size, 0);
            assert_true(pack_ok(&p));
        }
        for (size_t cut = 1; cut < size; cut++) { /* cut short anywhere */
            uint8_t *exact = malloc(cut);
            memcpy(exact, in, cut);
            wire_init(&w, exact, cut);
            if (message_read(&w, &m))
                fail_msg("%s of %zu bytes is read", accepted[i].what, cut);
            free(exact);
        }
    }
}

/* Every key but the type taken out, one after the other: what must be there is missed. */
static void what_must_be_there(void **state)
{
    (void)state;
    static const uint16_t optional[MESSAGE_UNSUPPORTED + 1] = {
        /* bit k: key k may be left out */
        [MESSAGE_HELLO] = 1 << 4,
        [MESSAGE_OPEN] = 1 << 4,
        [MESSAGE_OPENED] = 1 << 4,
        [MESSAGE_CHOKE] = 1 << 2,
        [MESSAGE_REQUEST] = 1 << 4 | 1 << 5,
        [MESSAGE_LENT] = 1 << 3,
        [MESSAGE_FIND_RESULT] = 1 << 3,
        [MESSAGE_DIALBACK_RESULT] = 1 << 3,
    };
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        uint8_t in[1024], out[1024];
        size_t size = unhex(in, accepted[i].hex);
        struct wire w, copy;
        struct message m;
        uint32_t pairs = in[0] & 15u;
        for (uint32_t without = 1; without < pairs; without++) {
            struct pack p;
            uint64_t key, gone = 0;
            uint32_t at = 0;
            wire_init(&w, in, size);
            copy = w;
            struct wire_map map = wire_map(&w);
            pack_init(&p, out, sizeof out);
            pack_map(&p, pairs - 1);
            for (; wire_map_next(&w, &map, &key); at++) {
                struct bytes value = wire_raw(&w);
                if (at == without) {
                    gone = key;
                    continue;
                }
                pack_uint(&p, key);
                pack_raw(&p, value.data, value.size);
            }
            wire_init(&copy, out, p.size);
            bool read = message_read(&copy, &m), may = optional[in[2]] >> gone & 1;
            if (read != may)
                fail_msg("%s without key %u: %d", accepted[i].what, (unsigned)gone, read);
        }
    }
}

static const struct {
    const char *what, *hex;
} refused[] = {
    {"empty map", "80"},
    {"no type", "8101c0"},
    {"type in the long form", "8200cc0d0101"},
    {"type not first", "82010100"
                       "0d"},
    {"an array", "92000d"},
    {"claims gigabytes", "dd0a000000"},
    {"keys not ascending", "83000d02010101"},
    {"a key twice", "83000d01010101"},
    {"a string as key", "82000da16101"},
    {"agent of 32 bytes", "860000010102d920" K16 K16 "03000500"
                          "0600"},
    {"port 65536", "860000010102a17803ce0001000005000600"},
    {"address of 7 bytes", "870000010102a178030104c4070808080808080805000600"},
    {"IPv4 in the long form", "870000010102a178030104c41200000000000000000000ffff080808081f9005000600"},
    {"key of 31 bytes", "840001010002" KEY_31 "03" KEY},
    {"key as string", "840001010002d920" K16 K16 "03" KEY},
    {"chunks of 2^31 leaves", "840002010002" KEY "031f"},
    {"channel of 2^32", "82000301cf0000000100000000"},
    {"negative channel", "82000301ff"},
    {"map with bits and of everything", "850004010102080"
                                        "3c401ff04c3"},
    {"map with neither", "8200040101"},
    {"129 chunks claimed", "830005010102dc0081"},
    {"array of chunks longer than the message", "8300050101029f0102"},
    {"interest as number", "8200060101"},
    {"run of 65", "840008010002050341"},
    {"proof as number", "85000801000205030a0401"},
    {"9 peers", "83000b010102"
                "99"},
    {"peer of one item", "83000b0101029191" KEY},
    {"peer of three items", "83000b0101029193" KEY ADDR "00"},
    {"peer's address of 5 bytes", "83000b0101029192" KEY "c4050808081f90"},
    {"status of 1001", "8400210105020003cd03e9"},
    {"float", "82000d01ca00000000"},
    {"extension type", "83000d010120d40000"},
    {"nested too deep in a key that is unknown", "83000d01010791919191919191919100"},
};

static void refused_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct message m;
        size_t left;
        if (reads(refused[i].hex, &m, &left))
            fail_msg("%s is read", refused[i].what);
    }
    char hex[4096]; /* a byte more than fits: map bits and application bytes */
    static const struct {
        const char *head;
        size_t most;
    } long_ones[] = {{"840004010102000"
                      "3c5",
                      MESSAGE_MAP_MAX},
                     {"830024010002c5", MESSAGE_APP_MAX}};
    for (size_t i = 0; i < 2; i++) {
        for (size_t over = 0; over < 2; over++) {
            struct message m;
            size_t left, size = long_ones[i].most + over;
            int n = snprintf(hex, sizeof hex, "%s%04x", long_ones[i].head, (unsigned)size);
            memset(hex + n, '0', 2 * size);
            hex[(size_t)n + 2 * size] = 0;
            assert_int_equal(reads(hex, &m, &left), over == 0);
        }
    }
}

/* Later versions may add: keys, messages below 32, services. What follows them is read. */
static void what_is_not_known_is_skipped(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        uint32_t type, id;
    } cases[] = {
        {"84000d010102a16128c4020102", MESSAGE_PING, 1}, /* keys 2 and 40 */
        {"8300190102"
         "0793c0c3a0",
         25, 0},                          /* a message of a later version */
        {"83003201cd04d202c0", 50, 1234}, /* a service */
        {"8200cd03e80107", 1000, 7},      /* far beyond */
        {"8100cd03e8", 1000, 0},          /* and without an id */
        {"8300"
         "0601c30fc3",
         MESSAGE_INTEREST, 0}, /* a key that other messages have */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct message m;
        size_t left;
        if (!reads(cases[i].hex, &m, &left))
            fail_msg("%s is refused", cases[i].hex);
        assert_int_equal(left, 0);
        assert_int_equal(m.type, cases[i].type);
        assert_int_equal(m.id, cases[i].id);
    }
}

/* One message leaves nothing to the next that is read into the same place. */
static void nothing_is_left_over(void **state)
{
    (void)state;
    uint8_t in[4096];
    size_t size = 0;
    struct wire w;
    struct message m, fresh;
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        size = unhex(in, accepted[i].hex);
        memset(&m, 0xff, sizeof m);
        wire_init(&w, in, size);
        assert_true(message_read(&w, &m));
        memset(&fresh, 0, sizeof fresh);
        wire_init(&w, in, size);
        assert_true(message_read(&w, &fresh));
        assert_memory_equal(&m, &fresh, offsetof(struct message, chunks));
        assert_int_equal(m.chunk_count, fresh.chunk_count);
        assert_int_equal(m.peer_count, fresh.peer_count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_and_back), cmocka_unit_test(what_must_be_there),
        cmocka_unit_test(refused_messages),       cmocka_unit_test(what_is_not_known_is_skipped),
        cmocka_unit_test(nothing_is_left_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
