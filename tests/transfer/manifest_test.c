/* Purpose: one tree has one manifest; every other encoding, every name that could escape a directory and
 * every false claim is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "node/base/err.h"
#include "transfer/manifest.h"

struct line {
    const char *name;
    uint8_t kind;
    bool executable, has_mtime;
    uint64_t mtime_s;
};

static struct content_id id_of(uint8_t kind, uint64_t n)
{
    struct content_id id = {.kind = kind, .size = n % 100000};
    put_be64(id.root, n);
    return id;
}

static void test_round_trip(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {" ", 0, false, false, 0},
        {"-rf", 0, true, false, 0},
        {"...", 0, false, false, 0},
        {".hidden", 0, false, true, 0},
        {"A", 1, false, false, 0},
        {"CON", 0, false, false, 0},
        {"a", 0, false, true, 1700000000},
        {"a.b", 0, true, true, UINT64_MAX},
        {"ab", 1, false, true, 5},
        {"\xc3\xa4", 0, false, false, 0},
        {"\xf0\x9f\x90\x9f", 0, true, false, 0},
    };
    enum { COUNT = sizeof lines / sizeof *lines };
    uint8_t buffer[COUNT * 400];
    struct pack p;
    pack_init(&p, buffer, sizeof buffer);
    manifest_begin(&p, COUNT);
    struct bytes last = {0};
    size_t bound = MANIFEST_HEAD_MAX;
    for (size_t i = 0; i < COUNT; i++) {
        struct manifest_entry e = {.name = bytes_of(lines[i].name, strlen(lines[i].name)),
                                   .id = id_of(lines[i].kind, i),
                                   .executable = lines[i].executable,
                                   .has_mtime = lines[i].has_mtime,
                                   .mtime_s = lines[i].mtime_s};
        assert_int_equal(manifest_add(&p, &e, &last), 0);
        bound += manifest_entry_bound(e.name.size);
        assert_true(p.size <= bound);
    }
    assert_true(pack_ok(&p));
    struct manifest_reader r;
    struct manifest_entry e;
    assert_int_equal(manifest_open(&r, bytes_of(buffer, p.size)), 0);
    assert_int_equal(r.count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(manifest_next(&r, &e), 1);
        struct content_id id = id_of(lines[i].kind, i);
        assert_true(bytes_equal(e.name, bytes_of(lines[i].name, strlen(lines[i].name))));
        assert_true(content_id_equal(&e.id, &id));
        assert_int_equal(e.executable, lines[i].executable);
        assert_int_equal(e.has_mtime, lines[i].has_mtime);
        assert_int_equal(e.mtime_s, lines[i].mtime_s);
    }
    assert_int_equal(manifest_next(&r, &e), 0);
    uint32_t count;
    assert_int_equal(manifest_check(bytes_of(buffer, p.size), &count), 0);
    assert_int_equal(count, COUNT);
    for (size_t size = 0; size < p.size; size++) /* every truncation */
        assert_int_not_equal(manifest_check(bytes_of(buffer, size), &count), 0);
    buffer[p.size] = 0xc0; /* trailing byte */
    assert_int_equal(manifest_check(bytes_of(buffer, p.size + 1), &count), ERR_MALFORMED);
}

static void test_writer_refuses(void **state)
{
    (void)state;
    uint8_t buffer[2000];
    struct pack p;
    static const struct {
        const char *first, *second;
        int error;
    } table[] = {
        {"b", "a", ERR_MALFORMED}, {"a", "a", ERR_MALFORMED}, {"ab", "a", ERR_MALFORMED},
        {"a", "B", ERR_MALFORMED}, {"a", "..", ERR_RANGE},    {"a", ".", ERR_RANGE},
        {"a", "", ERR_RANGE},      {"a", "b/c", ERR_RANGE},   {"a", "b\n", ERR_RANGE},
        {"a", "\xff", ERR_RANGE},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        pack_init(&p, buffer, sizeof buffer);
        manifest_begin(&p, 2);
        struct bytes last = {0};
        struct manifest_entry e = {.name = bytes_of(table[i].first, strlen(table[i].first))};
        assert_int_equal(manifest_add(&p, &e, &last), 0);
        e.name = bytes_of(table[i].second, strlen(table[i].second));
        size_t before = p.size;
        assert_int_equal(manifest_add(&p, &e, &last), table[i].error);
        assert_int_equal(p.size, before);
    }
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t size;
        bool ok;
    } table[] = {
        {"a", 1, true},
        {".a", 2, true},
        {"..a", 3, true},
        {"...", 3, true},
        {"a b", 3, true},
        {"\xe2\x82\xac", 3, true},
        {"-", 1, true},
        {"~", 1, true},
        {"\\", 1, true},
        {"a:b", 3, true},
        {"", 0, false},
        {".", 1, false},
        {"..", 2, false},
        {"/", 1, false},
        {"/etc", 4, false},
        {"a/b", 3, false},
        {"../a", 4, false},
        {"a\0b", 3, false},
        {"\0", 1, false},
        {"a\n", 2, false},
        {"\x1b[0m", 4, false},
        {"\x7f", 1, false},
        {"\x80", 1, false},
        {"\xc3", 1, false},
        {"\xc0\xaf", 2, false},
        {"\xed\xa0\x80", 3, false},
        {"\xf5\x80\x80\x80", 4, false},
        {"\xff", 1, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(manifest_name_ok(bytes_of(table[i].name, table[i].size)), table[i].ok);
    char longest[256];
    memset(longest, 'x', sizeof longest);
    assert_true(manifest_name_ok(bytes_of(longest, 255)));
    assert_false(manifest_name_ok(bytes_of(longest, 256)));
}

/* Raw bytes: '@' stands for a good 39-byte id with its bin header, '%' for one of a directory. */
static size_t expand(uint8_t *out, const char *text, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '@' && text[i] != '%') {
            out[n++] = (uint8_t)text[i];
            continue;
        }
        struct content_id id = id_of(text[i] == '%' ? CONTENT_TREE : CONTENT_FILE, 1);
        out[n++] = 0xc4;
        out[n++] = CONTENT_ID_SIZE;
        content_id_pack(out + n, &id);
        n += CONTENT_ID_SIZE;
    }
    return n;
}
#define S(text) text, sizeof text - 1

static void test_raw(void **state)
{
    (void)state;
    static const struct {
        const char *what, *text;
        size_t size;
        int status;
    } table[] = {
        {"empty directory", S("\x92\x01\x90"), 0},
        {"one file",
         S("\x92\x01\x91\x93\xa1"
           "a@\x00"),
         0},
        {"executable",
         S("\x92\x01\x91\x93\xa1"
           "a@\x01"),
         0},
        {"mtime",
         S("\x92\x01\x91\x94\xa1"
           "a@\x02\x05"),
         0},
        {"directory",
         S("\x92\x01\x91\x93\xa1"
           "a%\x00"),
         0},
        {"nothing", S(""), ERR_MALFORMED},
        {"a map", S("\x82\x01\x90"), ERR_MALFORMED},
        {"nil", S("\xc0"), ERR_MALFORMED},
        {"version 0", S("\x92\x00\x90"), ERR_MALFORMED},
        {"version 2", S("\x92\x02\x90"), ERR_VERSION},
        {"version 2, three items", S("\x93\x02\x90\x90"), ERR_VERSION},
        {"version is text",
         S("\x92\xa1"
           "1\x90"),
         ERR_MALFORMED},
        {"one item", S("\x91\x01"), ERR_MALFORMED},
        {"three items", S("\x93\x01\x90\x90"), ERR_MALFORMED},
        {"no entries", S("\x92\x01\xc0"), ERR_MALFORMED},
        {"trailing byte", S("\x92\x01\x90\x00"), ERR_MALFORMED},
        {"more entries than claimed",
         S("\x92\x01\x91\x93\xa1"
           "a@\x00\x93\xa1"
           "b@\x00"),
         ERR_MALFORMED},
        {"fewer entries than claimed",
         S("\x92\x01\x92\x93\xa1"
           "a@\x00"),
         ERR_MALFORMED},
        {"claims 4 billion", S("\x92\x01\xdd\xff\xff\xff\xff"), ERR_MALFORMED},
        {"claims 4 billion, one there",
         S("\x92\x01\xdd\xff\xff\xff\xff\x93\xa1"
           "a@\x00"),
         ERR_MALFORMED},
        {"claims a million",
         S("\x92\x01\xdd\x00\x0f\x42\x40\x93\xa1"
           "a@\x00"),
         ERR_MALFORMED},
        {"name claims 4 GiB",
         S("\x92\x01\x91\x93\xdb\xff\xff\xff\xff"
           "a"),
         ERR_MALFORMED},
        {"array 16 where fixarray fits",
         S("\x92\x01\xdc\x00\x01\x93\xa1"
           "a@\x00"),
         ERR_MALFORMED},
        {"array 32 where fixarray fits",
         S("\x92\x01\xdd\x00\x00\x00\x01\x93\xa1"
           "a@\x00"),
         ERR_MALFORMED},
        {"outer array 16", S("\xdc\x00\x02\x01\x90"), ERR_MALFORMED},
        {"version as uint 8", S("\x92\xcc\x01\x90"), ERR_MALFORMED},
        {"version as int 8", S("\x92\xd0\x01\x90"), ERR_MALFORMED},
        {"name as str 8",
         S("\x92\x01\x91\x93\xd9\x01"
           "a@\x00"),
         ERR_MALFORMED},
        {"name as str 16",
         S("\x92\x01\x91\x93\xda\x00\x01"
           "a@\x00"),
         ERR_MALFORMED},
        {"name as bin",
         S("\x92\x01\x91\x93\xc4\x01"
           "a@\x00"),
         ERR_MALFORMED},
        {"flags as uint 8",
         S("\x92\x01\x91\x93\xa1"
           "a@\xcc\x00"),
         ERR_MALFORMED},
        {"mtime as uint 16",
         S("\x92\x01\x91\x94\xa1"
           "a@\x02\xcd\x00\x05"),
         ERR_MALFORMED},
        {"mtime negative",
         S("\x92\x01\x91\x94\xa1"
           "a@\x02\xff"),
         ERR_MALFORMED},
        {"mtime a float",
         S("\x92\x01\x91\x94\xa1"
           "a@\x02\xcb\x00\x00\x00\x00\x00\x00\x00\x00"),
         ERR_MALFORMED},
        {"mtime without its flag",
         S("\x92\x01\x91\x94\xa1"
           "a@\x00\x05"),
         ERR_MALFORMED},
        {"flag without its mtime",
         S("\x92\x01\x91\x93\xa1"
           "a@\x02"),
         ERR_MALFORMED},
        {"unknown flag",
         S("\x92\x01\x91\x93\xa1"
           "a@\x04"),
         ERR_MALFORMED},
        {"executable directory",
         S("\x92\x01\x91\x93\xa1"
           "a%\x01"),
         ERR_MALFORMED},
        {"entry a map",
         S("\x92\x01\x91\x83\xa1"
           "a@\x00"),
         ERR_MALFORMED},
        {"entry of two",
         S("\x92\x01\x91\x92\xa1"
           "a@"),
         ERR_MALFORMED},
        {"entry of five",
         S("\x92\x01\x91\x95\xa1"
           "a@\x02\x05\x05"),
         ERR_MALFORMED},
        {"id too short",
         S("\x92\x01\x91\x93\xa1"
           "a\xc4\x01x\x00"),
         ERR_MALFORMED},
        {"id as str",
         S("\x92\x01\x91\x93\xa1"
           "a\xa1x\x00"),
         ERR_MALFORMED},
        {"wrong order",
         S("\x92\x01\x92\x93\xa1"
           "b@\x00\x93\xa1"
           "a@\x00"),
         ERR_MALFORMED},
        {"duplicate",
         S("\x92\x01\x92\x93\xa1"
           "a@\x00\x93\xa1"
           "a@\x00"),
         ERR_MALFORMED},
        {"prefix after",
         S("\x92\x01\x92\x93\xa2"
           "ab@\x00\x93\xa1"
           "a@\x00"),
         ERR_MALFORMED},
        {"..",
         S("\x92\x01\x91\x93\xa2"
           "..@\x00"),
         ERR_MALFORMED},
        {".",
         S("\x92\x01\x91\x93\xa1"
           ".@\x00"),
         ERR_MALFORMED},
        {"empty name",
         S("\x92\x01\x91\x93\xa0"
           "@\x00"),
         ERR_MALFORMED},
        {"absolute",
         S("\x92\x01\x91\x93\xa4"
           "/etc@\x00"),
         ERR_MALFORMED},
        {"path",
         S("\x92\x01\x91\x93\xa3"
           "a/b@\x00"),
         ERR_MALFORMED},
        {"climbs",
         S("\x92\x01\x91\x93\xa4"
           "../a@\x00"),
         ERR_MALFORMED},
        {"NUL",
         S("\x92\x01\x91\x93\xa3"
           "a\x00"
           "b@\x00"),
         ERR_MALFORMED},
        {"newline",
         S("\x92\x01\x91\x93\xa2"
           "a\n@\x00"),
         ERR_MALFORMED},
        {"delete",
         S("\x92\x01\x91\x93\xa2"
           "a\x7f@\x00"),
         ERR_MALFORMED},
        {"not UTF-8",
         S("\x92\x01\x91\x93\xa2"
           "a\xff@\x00"),
         ERR_MALFORMED},
        {"overlong slash", S("\x92\x01\x91\x93\xa2\xc0\xaf@\x00"), ERR_MALFORMED},
        {"surrogate", S("\x92\x01\x91\x93\xa3\xed\xa0\x80@\x00"), ERR_MALFORMED},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint8_t raw[600];
        uint32_t count;
        size_t size = expand(raw, table[i].text, table[i].size);
        uint8_t *exact = malloc(size ? size : 1); /* ASan sees a read past the end */
        memcpy(exact, raw, size);
        int status = manifest_check(bytes_of(exact, size), &count);
        if (status != table[i].status)
            fail_msg("%s: %d", table[i].what, status);
        free(exact);
    }
}

static void test_id_checksum(void **state)
{
    (void)state;
    uint8_t raw[100];
    size_t size = expand(raw, S("\x92\x01\x91\x93\xa1"
                                "a@\x00"));
    for (size_t at = 8; at < 8 + CONTENT_ID_SIZE; at++) {
        raw[at] ^= 0x10;
        assert_int_equal(manifest_check(bytes_of(raw, size), NULL), ERR_MALFORMED);
        raw[at] ^= 0x10;
    }
    assert_int_equal(manifest_check(bytes_of(raw, size), NULL), 0);
}

/* Once malformed it stays so: a reader that ignores one error gets no more entries. */
static void test_error_is_sticky(void **state)
{
    (void)state;
    uint8_t raw[300];
    size_t size = expand(raw, S("\x92\x01\x93\x93\xa1"
                                "a@\x00\x93\xa2"
                                "..@\x00\x93\xa1"
                                "c@\x00"));
    struct manifest_reader r;
    struct manifest_entry e;
    assert_int_equal(manifest_open(&r, bytes_of(raw, size)), 0);
    assert_int_equal(manifest_next(&r, &e), 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(manifest_next(&r, &e), ERR_MALFORMED);
        assert_int_equal(e.name.size, 0);
    }
}

static void test_million_entries(void **state)
{
    (void)state;
    uint32_t count = MANIFEST_ENTRIES_MAX;
    size_t cap = MANIFEST_HEAD_MAX + (size_t)count * manifest_entry_bound(8);
    uint8_t *buffer = malloc(cap + 100);
    struct pack p;
    pack_init(&p, buffer, cap);
    manifest_begin(&p, count);
    struct bytes last = {0};
    char names[2][16];
    for (uint32_t i = 0; i < count; i++) {
        snprintf(names[i & 1], sizeof names[0], "%08u", i);
        struct manifest_entry e = {.name = bytes_of(names[i & 1], 8), .id = id_of(0, i)};
        assert_int_equal(manifest_add(&p, &e, &last), 0);
    }
    assert_true(pack_ok(&p));
    uint32_t found = 0;
    clock_t start = clock();
    assert_int_equal(manifest_check(bytes_of(buffer, p.size), &found), 0);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    assert_int_equal(found, count);
    print_message("a million entries, %zu bytes: checked in %.0f ms\n", p.size, seconds * 1000);
    assert_true(seconds < 5.0); /* under sanitizers too */
    /* One more than allowed is refused by its claim alone. */
    put_be32(buffer + 3, count + 1);
    assert_int_equal(buffer[2], 0xdd);
    assert_int_equal(manifest_check(bytes_of(buffer, p.size), &found), ERR_MALFORMED);
    free(buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),      cmocka_unit_test(test_writer_refuses),
        cmocka_unit_test(test_names),           cmocka_unit_test(test_raw),
        cmocka_unit_test(test_id_checksum),     cmocka_unit_test(test_error_is_sticky),
        cmocka_unit_test(test_million_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
