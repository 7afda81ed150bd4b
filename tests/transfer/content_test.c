/* Purpose: content ids and links mean one thing, and every wrong character in an id is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "node/base/err.h"
#include "transfer/content.h"

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

static struct content_id sample(uint8_t kind, uint64_t size, uint8_t fill)
{
    struct content_id id = {.kind = kind, .size = size};
    for (size_t i = 0; i < HASH_SIZE; i++)
        id.root[i] = (uint8_t)(fill + 37 * i);
    return id;
}

static void test_id_round_trip(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {
        0, 1, 16384, 16385, UINT64_C(0xffffffff), UINT64_C(1) << 32, CONTENT_SIZE_MAX};
    for (uint8_t kind = 0; kind < 16; kind++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct content_id id = sample(kind, sizes[i], (uint8_t)(kind + i)), back;
            uint8_t packed[CONTENT_ID_SIZE];
            char text[CONTENT_ID_TEXT_SIZE + 1], upper[CONTENT_ID_TEXT_SIZE + 1];
            content_id_pack(packed, &id);
            assert_int_equal(content_id_unpack(&back, packed), 0);
            assert_true(content_id_equal(&id, &back));
            content_id_format(text, &id);
            assert_int_equal(strlen(text), CONTENT_ID_TEXT_SIZE);
            assert_int_equal(content_id_parse(&back, text), 0);
            assert_true(content_id_equal(&id, &back));
            for (size_t c = 0; c <= CONTENT_ID_TEXT_SIZE; c++)
                upper[c] = (char)(text[c] >= 'a' && text[c] <= 'z' ? text[c] - 32 : text[c]);
            assert_int_equal(content_id_parse(&back, upper), 0);
            assert_true(content_id_equal(&id, &back));
        }
    }
}

/* The layout of docs/protocol.md, byte for byte: another implementation must get this text. */
static void test_id_vector(void **state)
{
    (void)state;
    struct content_id id = {.kind = CONTENT_TREE, .size = UINT64_C(0x123456789ab)}, back;
    uint8_t packed[CONTENT_ID_SIZE], expected[CONTENT_ID_SIZE] = {0};
    for (uint8_t i = 0; i < HASH_SIZE; i++)
        id.root[i] = expected[i] = i;
    memcpy(expected + 32, "\x11\x23\x45\x67\x89\xab", 6);
    expected[38] = crc8(expected, 38);
    content_id_pack(packed, &id);
    assert_memory_equal(packed, expected, sizeof packed);
    assert_int_equal(expected[38], 0xd6);
    char text[CONTENT_ID_TEXT_SIZE + 1];
    content_id_format(text, &id);
    assert_string_equal(text, "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dyprci2fm6e2xvq");
    assert_int_equal(content_id_parse(&back, text), 0);
}

/* All positions, all other characters of the alphabet: 63 * 31 wrong ids for each of several. */
static void test_id_any_character_wrong(void **state)
{
    (void)state;
    for (uint8_t fill = 0; fill < 8; fill++) {
        struct content_id id = sample(fill & 1, fill * UINT64_C(123456789), fill), back;
        char text[CONTENT_ID_TEXT_SIZE + 1];
        content_id_format(text, &id);
        for (size_t at = 0; at < CONTENT_ID_TEXT_SIZE; at++) {
            char right = text[at];
            for (const char *c = alphabet; *c; c++) {
                if (*c == right)
                    continue;
                text[at] = *c;
                assert_int_not_equal(content_id_parse(&back, text), 0);
            }
            for (int c = 0; c < 256; c++) { /* and everything outside it */
                text[at] = (char)c;
                if (c != right && c != right - 32)
                    assert_int_not_equal(content_id_parse(&back, text), 0);
            }
            text[at] = right;
        }
        assert_int_equal(content_id_parse(&back, text), 0);
    }
}

static void test_id_rejected(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int error;
    } table[] = {
        {"", ERR_MALFORMED},
        {"a", ERR_MALFORMED},
        {"aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dyprci2fm6e2xv", ERR_MALFORMED},   /* short */
        {"aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dyprci2fm6e2xvqa", ERR_MALFORMED}, /* long */
        {"aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dyprci2fm6e2xvz", ERR_MALFORMED},  /* spare bits */
        {"aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dyprci2fm6e2xv ", ERR_MALFORMED},
        {"aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dyprci2fm6e2x1q", ERR_MALFORMED}, /* digit 1 */
        {"baaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dyprci2fm6e2xvq", ERR_CHECKSUM},
        {"aaqaeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dyprci2fm6e2xvq", ERR_CHECKSUM}, /* two swapped */
    };
    struct content_id id;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(content_id_parse(&id, table[i].text), table[i].error);
}

#define ID "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dyprci2fm6e2xvq"

static void test_link_round_trip(void **state)
{
    (void)state;
    static const char *const names[] = {"",        "a",    "Ferien 2026 & Meer=schön?#.mp4", "100%", "...",
                                        ".hidden", "a+b c"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (uint32_t sources = 0; sources <= LINK_SOURCES_MAX; sources++) {
            struct link in = {.id = sample(1, 99, 3), .source_count = sources}, back;
            snprintf(in.name, sizeof in.name, "%s", names[i]);
            for (uint32_t s = 0; s < sources; s++) {
                memset(in.sources[s].key, (int)s + 1, NODE_KEY_SIZE);
                in.sources[s].addr = net_addr_v4(10, 0, 0, (uint8_t)s, (uint16_t)(7000 + s));
                if (s & 1)
                    assert_int_equal(net_addr_parse(&in.sources[s].addr, "[2001:db8::7]:1234"), 0);
            }
            char text[LINK_TEXT_MAX];
            assert_int_equal(link_format(text, sizeof text, &in), 0);
            size_t where;
            assert_int_equal(link_parse(&back, text, &where), 0);
            assert_true(content_id_equal(&in.id, &back.id));
            assert_string_equal(in.name, back.name);
            assert_int_equal(back.source_count, sources);
            for (uint32_t s = 0; s < sources; s++) {
                assert_memory_equal(in.sources[s].key, back.sources[s].key, NODE_KEY_SIZE);
                assert_true(net_addr_equal(&in.sources[s].addr, &back.sources[s].addr));
            }
        }
    }
}

static void test_link_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name;
    } table[] = {
        {ID, ""},
        {"shoal:" ID, ""},
        {"SHOAL:" ID, ""},
        {"shoal:" ID "?", ""},
        {"shoal:" ID "?n=", ""},
        {"shoal:" ID "?n=a%20b", "a b"},
        {"shoal:" ID "?n=a+b", "a+b"},
        {"shoal:" ID "?n=%c3%A4", "\xc3\xa4"},
        {"shoal:" ID "?&&n=x&", "x"},
        {"shoal:" ID "?future=1&n=x&other&z=%zz", "x"},
        {"shoal:" ID "?n=a=b", "a=b"},
    };
    struct link link;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_int_equal(link_parse(&link, table[i].text, NULL), 0);
        assert_string_equal(link.name, table[i].name);
    }
}

static void test_link_rejected(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int error;
        size_t where;
    } table[] = {
        {"", ERR_MALFORMED, 0},
        {"shoal:", ERR_MALFORMED, 6},
        {"shoal", ERR_MALFORMED, 5},
        {"http:" ID, ERR_MALFORMED, 4},
        {"shoal:" ID "a", ERR_MALFORMED, 69},
        {"shoal:/" ID, ERR_MALFORMED, 6},
        {"shoal: " ID, ERR_MALFORMED, 6},
        {" " ID, ERR_MALFORMED, 0},
        {ID "?n=x", ERR_MALFORMED, 63}, /* a bare id has no query */
        {"shoal:" ID "#x", ERR_MALFORMED, 69},
        {"shoal:" ID "?n=a b", ERR_MALFORMED, 73},
        {"shoal:" ID "?n=\xc3\xa4", ERR_MALFORMED, 72}, /* raw bytes are not a URI */
        {"shoal:" ID "?x=\"", ERR_MALFORMED, 72},
        {"shoal:" ID "?n=%", ERR_MALFORMED, 72},
        {"shoal:" ID "?n=a%4", ERR_MALFORMED, 73},
        {"shoal:" ID "?n=a%4g", ERR_MALFORMED, 73},
        {"shoal:" ID "?n=%ff", ERR_MALFORMED, 72},       /* not UTF-8 */
        {"shoal:" ID "?n=%ed%a0%80", ERR_MALFORMED, 72}, /* surrogate */
        {"shoal:" ID "?n=%c0%af", ERR_MALFORMED, 72},    /* overlong '/' */
        {"shoal:" ID "?n=%00", ERR_MALFORMED, 72},
        {"shoal:" ID "?n=a%00b", ERR_MALFORMED, 72},
        {"shoal:" ID "?n=%2e%2e", ERR_MALFORMED, 72},
        {"shoal:" ID "?n=..", ERR_MALFORMED, 72},
        {"shoal:" ID "?n=.", ERR_MALFORMED, 72},
        {"shoal:" ID "?n=/etc/passwd", ERR_MALFORMED, 72},
        {"shoal:" ID "?n=a%2Fb", ERR_MALFORMED, 72},
        {"shoal:" ID "?n=%1b[31m", ERR_MALFORMED, 72}, /* escape sequences reach no terminal */
        {"shoal:" ID "?n=a%0a", ERR_MALFORMED, 72},
        {"shoal:" ID "?n=%7f", ERR_MALFORMED, 72},
        {"shoal:" ID "?n=a&n=b", ERR_MALFORMED, 76},
        {"shoal:" ID "?s=", ERR_MALFORMED, 72},
        {"shoal:" ID "?s=x@10.0.0.1:7000", ERR_MALFORMED, 72},
        {"shoal:" ID "?s=10.0.0.1:7000", ERR_MALFORMED, 72},
    };
    struct link link;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        size_t where = 12345;
        int status = link_parse(&link, table[i].text, &where);
        if (status != table[i].error || where != table[i].where)
            fail_msg("%s: %d at %zu", table[i].text, status, where);
    }
}

/* Every single character of a whole link changed to every other byte. In the id and in a source's node id
 * each change is refused; nowhere does it do harm; and where it is accepted (name, address) the content stays
 * the same. */
static void test_link_any_character_wrong(void **state)
{
    (void)state;
    struct link in = {.id = sample(0, 5000000000, 9), .name = "film.mp4", .source_count = 1}, back;
    memset(in.sources[0].key, 7, NODE_KEY_SIZE);
    in.sources[0].addr = net_addr_v4(192, 168, 1, 20, 7733);
    char text[LINK_TEXT_MAX];
    assert_int_equal(link_format(text, sizeof text, &in), 0);
    size_t node_at = (size_t)(strstr(text, "s=") + 2 - text), size = strlen(text);
    for (size_t at = 0; at < size; at++) {
        char right = text[at];
        bool in_id = at >= 6 && at < 6 + CONTENT_ID_TEXT_SIZE;
        bool in_node = at >= node_at && at < node_at + NODE_ID_TEXT_SIZE;
        for (int c = 0; c < 256; c++) {
            text[at] = (char)c;
            bool same = c == right || (c ^ 32) == right;
            int status = link_parse(&back, text, NULL);
            if (!same && (in_id || in_node || at < 6) && status == 0)
                fail_msg("accepted: %s", text);
            if (status == 0)
                assert_true(content_id_equal(&in.id, &back.id));
        }
        text[at] = right;
    }
}

static void test_link_limits(void **state)
{
    (void)state;
    /* Nine sources: the ninth is a hint too many, not an error. */
    struct link in = {.id = sample(0, 1, 1), .source_count = 1}, back;
    in.sources[0].addr = net_addr_v4(10, 0, 0, 1, 1);
    char text[LINK_TEXT_MAX], more[LINK_TEXT_MAX];
    assert_int_equal(link_format(text, sizeof text, &in), 0);
    size_t used = (size_t)snprintf(more, sizeof more, "%s", text);
    for (int i = 0; i < 8; i++)
        used += (size_t)snprintf(more + used, sizeof more - used, "&%s", strchr(text, '?') + 1);
    assert_int_equal(link_parse(&back, more, NULL), 0);
    assert_int_equal(back.source_count, LINK_SOURCES_MAX);
    /* The longest name: 255 bytes that all need encoding, with all sources, fits LINK_TEXT_MAX; 256 bytes are
     * refused. */
    in.source_count = LINK_SOURCES_MAX;
    memset(in.name, ' ', 255);
    for (uint32_t i = 0; i < LINK_SOURCES_MAX; i++)
        assert_int_equal(
            net_addr_parse(&in.sources[i].addr, "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"), 0);
    assert_int_equal(link_format(text, sizeof text, &in), 0);
    assert_int_equal(link_parse(&back, text, NULL), 0);
    assert_string_equal(back.name, in.name);
    more[0] = '\0';
    used = (size_t)snprintf(more, sizeof more, "shoal:" ID "?n=");
    for (int i = 0; i < 256; i++) {
        assert_int_equal(link_parse(&back, more, NULL), 0); /* up to 255 characters */
        used += (size_t)snprintf(more + used, sizeof more - used, "%%20");
    }
    assert_int_equal(link_parse(&back, more, NULL), ERR_MALFORMED);
    memset(more + 72, 'a', 256);
    more[72 + 256] = '\0';
    assert_int_equal(link_parse(&back, more, NULL), ERR_MALFORMED);
    /* A buffer that is too small gives an error and an empty string; a bad name too. */
    for (size_t cap = 1; cap < 60; cap++) {
        assert_int_equal(link_format(text, cap, &in), ERR_RANGE);
        assert_string_equal(text, "");
    }
    static const char *const bad[] = {"..", ".", "a/b", "a\nb", "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(in.name, sizeof in.name, "%s", bad[i]);
        assert_int_equal(link_format(text, sizeof text, &in), ERR_RANGE);
    }
    memset(more, 'a', sizeof more);
    more[sizeof more - 1] = '\0';
    assert_int_equal(link_parse(&back, more, NULL), ERR_MALFORMED);
}

static void test_provider_key(void **state)
{
    (void)state;
    struct network net = {.id = {1, 2, 3}}, other = {.id = {1, 2, 4}};
    struct content_id id = sample(0, 1000, 1), changed;
    uint8_t key[HASH_SIZE], key2[HASH_SIZE];
    content_provider_key(key, &id, &net, &core_crypto_real);
    content_provider_key(key2, &id, &net, &core_crypto_real);
    assert_memory_equal(key, key2, HASH_SIZE);
    content_provider_key(key2, &id, &other, &core_crypto_real);
    assert_memory_not_equal(key, key2, HASH_SIZE);
    changed = id;
    changed.size++;
    content_provider_key(key2, &changed, &net, &core_crypto_real);
    assert_memory_not_equal(key, key2, HASH_SIZE);
    changed = id;
    changed.kind = CONTENT_TREE;
    content_provider_key(key2, &changed, &net, &core_crypto_real);
    assert_memory_not_equal(key, key2, HASH_SIZE);
    assert_memory_not_equal(key, id.root, HASH_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_id_round_trip),
        cmocka_unit_test(test_id_vector),
        cmocka_unit_test(test_id_any_character_wrong),
        cmocka_unit_test(test_id_rejected),
        cmocka_unit_test(test_link_round_trip),
        cmocka_unit_test(test_link_accepted),
        cmocka_unit_test(test_link_rejected),
        cmocka_unit_test(test_link_any_character_wrong),
        cmocka_unit_test(test_link_limits),
        cmocka_unit_test(test_provider_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
