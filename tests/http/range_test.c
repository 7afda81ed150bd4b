/* Purpose: what a Range field, a date, a list and a list of entity tags mean (RFC 9110, 14.2, 5.6.7, 5.6.1, 8.8.3), and
 * that nothing else means anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "gateways/http/http_lex.h"
#include "gateways/http/http_range.h"

static struct bytes text(const char *s)
{
    return bytes_of(s, strlen(s));
}

/* "first+size,..." of a file of 1,000 bytes; "*" = the whole; "!" = 416. */
static const struct {
    const char *field, *expected;
} ranges[] = {
    {"bytes=0-0", "0+1"},
    {"bytes=0-", "0+1000"},
    {"bytes=999-", "999+1"},
    {"bytes=-1", "999+1"},
    {"bytes=-1000", "0+1000"},
    {"bytes=-9999", "0+1000"},
    {"bytes=10-99999999999999999", "10+990"},
    {"BYTES=1-2", "1+2"},
    {"bytes= 1-2 , ,5-6", "1+6"}, /* joined: less than 80 bytes apart */
    {"bytes=0-9,500-509", "0+10,500+10"},
    {"bytes=500-509,0-9", "500+10,0+10"},
    {"bytes=0-9,1000-", "0+10"}, /* one that lies outside is left out */
    {"bytes=0-499,400-999", "0+1000"},
    {"bytes=1000-", "!"},
    {"bytes=1000-1001,2000-", "!"},
    {"bytes=-0", "!"},
    {"bytes=", "*"},
    {"bytes=-", "*"},
    {"bytes=2-1", "*"},
    {"bytes=a-b", "*"},
    {"bytes=1-2x", "*"},
    {"bytes=1", "*"},
    {"bytes=1-2;3-4", "*"},
    {"bytes=+1-2", "*"},
    {"bytes=0x1-2", "*"},
    {"bytes 1-2", "*"},
    {"lines=1-2", "*"},
    {"bytes=99999999999999999999999-", "!"}, /* digits without end are still a position, outside */
    {"", "*"},
};

static void told(char *out, size_t cap, enum http_ranges r, const struct http_range *list, unsigned count)
{
    size_t n = 0;
    out[0] = 0;
    if (r != HTTP_RANGES_OK)
        snprintf(out, cap, r == HTTP_RANGES_NONE ? "!" : "*");
    for (unsigned i = 0; r == HTTP_RANGES_OK && i < count; i++)
        n += (size_t)snprintf(out + n, cap - n, "%s%llu+%llu", i ? "," : "",
                              (unsigned long long)list[i].first, (unsigned long long)list[i].size);
}

static void test_ranges(void **state)
{
    struct http_range list[HTTP_RANGES_MAX];
    unsigned count;
    char out[512];
    (void)state;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        enum http_ranges r = http_ranges_parse(text(ranges[i].field), 1000, list, &count);
        told(out, sizeof out, r, list, count);
        if (strcmp(out, ranges[i].expected) != 0)
            fail_msg("\"%s\" gives %s instead of %s", ranges[i].field, out, ranges[i].expected);
    }
    assert_int_equal(http_ranges_parse(text("bytes=0-"), 0, list, &count),
                     HTTP_RANGES_NONE); /* nothing of an empty file */
    assert_int_equal(http_ranges_parse(text("bytes=-5"), UINT64_MAX, list, &count), HTTP_RANGES_OK);
    assert_true(list[0].first == UINT64_MAX - 5 && list[0].size == 5);
}

/* Many ranges: what joins to a few is answered, what does not is the whole, and neither costs more than the
 * field is long. */
static void test_many(void **state)
{
    struct http_range list[HTTP_RANGES_MAX];
    unsigned count;
    static char field[100000];
    (void)state;
    for (int apart = 0; apart < 2; apart++) {
        size_t n = (size_t)snprintf(field, sizeof field, "bytes=");
        for (int i = 0; i < 150; i++)
            n += (size_t)snprintf(field + n, sizeof field - n, "%s%d-%d", i ? "," : "",
                                  i * (apart ? 1000 : 1), i * (apart ? 1000 : 1));
        enum http_ranges r = http_ranges_parse(text(field), 1000000, list, &count);
        assert_int_equal(r, apart ? HTTP_RANGES_IGNORE : HTTP_RANGES_OK);
        if (!apart)
            assert_true(count == 1 && list[0].first == 0 && list[0].size == 150);
    }
    size_t n = (size_t)snprintf(field, sizeof field, "bytes=0-0");
    for (int i = 0; i < 10000; i++)
        n += (size_t)snprintf(field + n, sizeof field - n, ",0-0");
    assert_int_equal(http_ranges_parse(text(field), 1000, list, &count), HTTP_RANGES_IGNORE);
}

static void test_dates(void **state)
{
    static const struct {
        const char *text;
        uint64_t unix_s;
    } good[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},  {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},       {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Thu, 29 Feb 2024 23:59:59 GMT", 1709251199},
    };
    static const char *const bad[] = {"",
                                      "rubbish",
                                      "Sun, 06 Nov 1994 08:49:37",
                                      "Sun, 06 Nov 1994 08:49:37 CET",
                                      "Sun, 32 Nov 1994 08:49:37 GMT",
                                      "Sun, 06 Nox 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 1994 25:49:37 GMT",
                                      "Sun, 06 Nov 1994 08:60:37 GMT",
                                      "Sun, 06 Nov 1994 08:49:37 GMTx",
                                      "Sun, 6 Nov 1994 08:49:37 GMT",
                                      "784111777"};
    uint64_t s;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!http_date_parse(text(good[i].text), &s) || s != good[i].unix_s)
            fail_msg("%s", good[i].text);
        char cut[40];
        for (size_t n = 0; n < strlen(good[i].text); n++) {
            memcpy(cut, good[i].text, n);
            if (http_date_parse(bytes_of(cut, n), &s))
                fail_msg("taken when cut: %.*s", (int)n, cut);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (http_date_parse(text(bad[i]), &s))
            fail_msg("taken: %s", bad[i]);
}

/* What all lists of all fields have in common. */
static void test_lists(void **state)
{
    static const struct {
        const char *list, *elements; /* the elements with '|' between */
    } table[] = {
        {"", ""},       {",", ""},          {" , \t,,", ""},        {"a", "a"},
        {"a,b", "a|b"}, {" a ,\tb\t", "a|b"}, {",a,,,b,", "a|b"},     {"a b", "a b"},
        {"\"a,b\",c", "\"a,b\"|c"},          {"a\"b,c\"d,e", "a\"b,c\"d|e"}, {"a,\"b,c", "a|\"b,c"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct bytes list = text(table[i].list), element;
        char found[64] = "";
        while (http_list_next(&list, &element))
            snprintf(found + strlen(found), sizeof found - strlen(found), "%s%.*s", found[0] ? "|" : "",
                     (int)element.size, (const char *)element.data);
        assert_string_equal(found, table[i].elements);
    }
}

static void test_tags(void **state)
{
    static const struct {
        const char *list;
        bool strong, weak;
    } table[] = {
        {"\"a\"", true, true},
        {"W/\"a\"", false, true},
        {"\"b\", \"a\"", true, true},
        {"\"b\" , W/\"a\"", false, true},
        {"*", true, true},
        {"\"b\"", false, false},
        {"a", false, false},
        {"", false, false},
        {"\"ab\"", false, false},
        {"\"A\"", false, false},
        {"w/\"a\"", false, false},
        {"\"b,a\", \"a\"", true, true},
        {"\"x\\\"a\"", false, false},
        {", ,\t\"a\",,", true, true},
        {",,W/\"b\",,W/\"a\"", false, true},
        {",", false, false},
        {"\"b\" \"a\"", false, false}, /* no comma between */
        {"\"b\\\", \"a\"", true, true}, /* a backslash escapes nothing in a tag */
        {"\"b, \"a\"", false, false},
        {"\"a", false, false},
        {"\"a b\", \"a\"", false, false}, /* no space in a tag */
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (http_etag_listed(text(table[i].list), "\"a\"", false) != table[i].strong ||
            http_etag_listed(text(table[i].list), "\"a\"", true) != table[i].weak)
            fail_msg("%s", table[i].list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
