/* The cursor that reads peers' msgpack: shortest form only, sticky errors, no claim believed beyond the bytes that remain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "node/base/pack.h"
#include "node/base/wire.h"

static struct wire wire_of(const char *bytes, size_t size)
{
    struct wire w;
    wire_init(&w, (const uint8_t *)bytes, size);
    return w;
}
#define WIRE(literal) wire_of(literal, sizeof(literal) - 1)

static void accepted_unsigned(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        uint64_t value;
    } table[] = {
        {"\x00", 1, 0},
        {"\x7f", 1, 127},
        {"\xcc\x80", 2, 128},
        {"\xcd\x01\x00", 3, 256},
        {"\xce\x00\x01\x00\x00", 5, 65536},
        {"\xcf\x00\x00\x00\x01\x00\x00\x00\x00", 9, UINT64_C(4294967296)},
        {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, UINT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct wire w = wire_of(table[i].bytes, table[i].size);
        assert_int_equal(wire_uint(&w), table[i].value);
        assert_true(wire_done(&w));
    }
}

static void rejected_items(void **state)
{
    /* Each is refused by wire_skip, hence by every typed read too. */
    static const struct {
        const char *why, *bytes;
        size_t size;
    } table[] = {
        {"empty", "", 0},
        {"uint8 that fits a fixint", "\xcc\x7f", 2},
        {"uint16 that fits 8 bits", "\xcd\x00\xff", 3},
        {"uint32 that fits 16 bits", "\xce\x00\x00\xff\xff", 5},
        {"uint64 that fits 32 bits", "\xcf\x00\x00\x00\x00\xff\xff\xff\xff", 9},
        {"int8 for a positive number", "\xd0\x05", 2},
        {"int8 that fits a negative fixint", "\xd0\xe0", 2},
        {"int16 that fits 8 bits", "\xd1\xff\x80", 3},
        {"float32", "\xca\x00\x00\x00\x00", 5},
        {"float64", "\xcb\x00\x00\x00\x00\x00\x00\x00\x00", 9},
        {"never used", "\xc1", 1},
        {"fixext1", "\xd4\x01\x00", 3},
        {"ext8", "\xc7\x01\x01\x00", 4},
        {"bin16 that fits bin8", "\xc5\x00\x01\x00", 4},
        {"str8 that fits a fixstr", "\xd9\x01x", 3},
        {"array16 that fits a fixarray", "\xdc\x00\x01\xc0", 4},
        {"map16 that fits a fixmap", "\xde\x00\x00", 3},
        {"truncated bin", "\xc4\x05\x01\x02", 4},
        {"truncated number", "\xcd\x01", 2},
        {"array of gigabytes (msgpack-c #1013)", "\xdd\x0a\x00\x00\x00", 5},
        {"map of gigabytes", "\xdf\x0a\x00\x00\x00", 5},
        {"bin of gigabytes", "\xc6\x7f\xff\xff\xff", 5},
        {"nine levels", "\x91\x91\x91\x91\x91\x91\x91\x91\xc0", 9},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct wire w = wire_of(table[i].bytes, table[i].size);
        wire_skip(&w);
        if (wire_ok(&w))
            fail_msg("accepted: %s", table[i].why);
        assert_int_equal(wire_uint(&w), 0);
        assert_int_equal(wire_left(&w), 0);
    }
}

static void depth_seven_is_skipped(void **state)
{
    (void)state;
    struct wire w = WIRE("\x91\x91\x91\x91\x91\x91\x91\xc0");
    wire_skip(&w);
    assert_true(wire_done(&w));
}

static void map_keys_must_ascend(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        bool ok;
    } table[] = {
        {"\x82\x00\x05\x01\x06", 5, true},
        {"\x82\x01\x05\x00\x06", 5, false}, /* descending */
        {"\x82\x01\x05\x01\x06", 5, false}, /* twice */
        {"\x81\xa1x\x05", 4, false},        /* not a number */
        {"\x82\x00\x05", 3, false},         /* second pair missing */
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct wire w = wire_of(table[i].bytes, table[i].size);
        struct wire_map m = wire_map(&w);
        uint64_t key;
        while (wire_map_next(&w, &m, &key))
            wire_skip(&w);
        assert_int_equal(wire_done(&w), table[i].ok);
    }
}

static void errors_stick(void **state)
{
    (void)state;
    struct wire w = WIRE("\xa1x\x05");
    assert_int_equal(wire_uint(&w), 0); /* a string is no number */
    assert_int_equal(wire_uint(&w), 0); /* and the 5 behind it is not reached */
    assert_false(wire_ok(&w));
    uint8_t out[4] = {1, 2, 3, 4};
    wire_bin_exact(&w, out, sizeof out);
    assert_int_equal(out[0], 0);
    assert_null(wire_bin(&w, 10).data);
}

static void limits_of_the_caller(void **state)
{
    (void)state;
    struct wire w = WIRE("\xc4\x03xyz");
    assert_int_equal(wire_bin(&w, 2).size, 0);
    assert_false(wire_ok(&w));
    w = WIRE("\x93\x01\x02\x03");
    assert_int_equal(wire_array(&w, 2), 0);
    assert_false(wire_ok(&w));
    w = WIRE("\xcc\xff");
    assert_int_equal(wire_uint_max(&w, 254), 0);
    assert_false(wire_ok(&w));
}

static void what_pack_writes_is_read(void **state)
{
    static const uint64_t numbers[] = {0, 127, 128, 255, 256, 65535, 65536, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX};
    static const int64_t negatives[] = {-1, -32, -33, -128, -129, -32768, -32769, INT32_MIN, INT32_MIN - INT64_C(1), INT64_MIN};
    uint8_t buf[512], blob[300] = {7};
    struct pack p;
    (void)state;
    pack_init(&p, buf, sizeof buf);
    for (size_t i = 0; i < 10; i++) {
        pack_uint(&p, numbers[i]);
        pack_int(&p, negatives[i]);
    }
    pack_bin(&p, blob, sizeof blob);
    pack_str(&p, "name", 4);
    pack_bool(&p, true);
    assert_true(pack_ok(&p));
    struct wire w;
    wire_init(&w, buf, p.size);
    for (size_t i = 0; i < 10; i++) {
        assert_true(wire_uint(&w) == numbers[i]);
        assert_true(wire_int(&w) == negatives[i]);
    }
    assert_int_equal(wire_bin(&w, 300).size, 300);
    assert_memory_equal(wire_str(&w, 4).data, "name", 4);
    assert_true(wire_bool(&w));
    assert_true(wire_done(&w));
}

static void overflow_of_pack_sticks(void **state)
{
    uint8_t buf[4];
    struct pack p;
    (void)state;
    pack_init(&p, buf, sizeof buf);
    pack_uint(&p, 65536);
    assert_false(pack_ok(&p));
    pack_uint(&p, 1);
    assert_false(pack_ok(&p));
    assert_true(p.size <= sizeof buf);
}

static void utf8_table(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } table[] = {
        {"plain", true},          {"\xc3\xa9", true},         {"\xe2\x82\xac", true},     {"\xf0\x9f\x90\x9f", true},
        {"\xc0\x80", false},      {"\xc1\xbf", false},        {"\xe0\x80\x80", false},    {"\xed\xa0\x80", false},
        {"\xf4\x90\x80\x80", false}, {"\xf5\x80\x80\x80", false}, {"\x80", false},        {"\xe2\x82", false},
        {"\xff", false},          {"\xed\x9f\xbf", true},     {"\xf4\x8f\xbf\xbf", true}, {"\xf0\x8f\xbf\xbf", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(utf8_valid((const uint8_t *)table[i].text, strlen(table[i].text)), table[i].ok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_unsigned),    cmocka_unit_test(rejected_items),
        cmocka_unit_test(depth_seven_is_skipped), cmocka_unit_test(map_keys_must_ascend),
        cmocka_unit_test(errors_stick),         cmocka_unit_test(limits_of_the_caller),
        cmocka_unit_test(what_pack_writes_is_read), cmocka_unit_test(overflow_of_pack_sticks),
        cmocka_unit_test(utf8_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
