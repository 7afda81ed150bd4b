/* Lines of lists, patterns, line ends and checksums of FTP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "gateways/ftp/ftp_list.h"

static void list_lines(void **state)
{
    const struct ftp_info file = {.name = "a b.txt", .size = 5000000000, .mtime_s = 1700000000, .id = "0abc"};
    const struct ftp_info mine = {
        .name = "m", .dir = true, .writable = true, .in_writable = true, .mtime_s = 951868799};
    char out[FTP_LIST_LINE_MAX], name[256];
    (void)state;
    ftp_list_line(out, FTP_LIST_LONG, 0, &file, 1700000000 + 86400);
    assert_string_equal(out, "-r--r--r--   1 shoal    shoal      5000000000 Nov 14 22:13 a b.txt\r\n");
    ftp_list_line(out, FTP_LIST_LONG, 0, &file, 1700000000 + 400 * 86400);
    assert_string_equal(out, "-r--r--r--   1 shoal    shoal      5000000000 Nov 14  2023 a b.txt\r\n");
    ftp_list_line(out, FTP_LIST_LONG, 0, &mine, 1700000000);
    assert_string_equal(out, "drwxr-xr-x   2 shoal    shoal               0 Feb 29  2000 m\r\n");
    ftp_list_line(out, FTP_LIST_NAMES, 0, &file, 0);
    assert_string_equal(out, "a b.txt\r\n");
    ftp_list_line(out, FTP_LIST_FACTS, FTP_FACTS_ALL, &file, 0);
    assert_string_equal(out,
                        "type=file;size=5000000000;modify=20231114221320;perm=r;unique=0abc; a b.txt\r\n");
    ftp_list_line(out, FTP_LIST_FACTS, FTP_FACTS_ALL, &mine, 0);
    assert_string_equal(out, "type=dir;modify=20000229235959;perm=elcmpdf; m\r\n");
    ftp_list_line(out, FTP_LIST_FACTS, 0, &mine, 0);
    assert_string_equal(out, " m\r\n");
    memset(name, 'n', 255);
    name[255] = 0;
    for (int form = FTP_LIST_LONG; form <= FTP_LIST_FACTS; form++) {
        struct ftp_info longest = {.name = name,
                                   .size = UINT64_MAX,
                                   .mtime_s = INT64_MAX,
                                   .executable = true,
                                   .writable = true,
                                   .in_writable = true,
                                   .id = "0123456789012345678901234567890123456789012345678901234567890123"};
        size_t n = ftp_list_line(out, (enum ftp_list_form)form, FTP_FACTS_ALL, &longest, 0);
        assert_int_equal(n, strlen(out));
        assert_memory_equal(out + n - 4, "nn\r\n", 4);
    }
}

static void times(void **state)
{
    static const struct {
        int64_t unix_s;
        const char *text;
    } cases[] = {{0, "19700101000000"},          {951782399, "20000228235959"},
                 {951782400, "20000229000000"},  {951868800, "20000301000000"},
                 {1704067199, "20231231235959"}, {4107542400, "21000301000000"},
                 {-1, "19700101000000"},         {INT64_MAX, "99991231235959"}};
    char out[16];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ftp_time(out, cases[i].unix_s);
        assert_string_equal(out, cases[i].text);
    }
}

static void patterns(void **state)
{
    static const char *const yes[][2] = {{"*", "a"},
                                         {"*.txt", "a.txt"},
                                         {"a?c", "abc"},
                                         {"a?c", "a\xc3\xa9"
                                                 "c"},
                                         {"*a*b*", "xaxbx"},
                                         {"", ""},
                                         {".*", ".hidden"},
                                         {"a**b", "ab"},
                                         {"*aab", "aaaab"}};
    static const char *const no[][2] = {{"*", ".hidden"}, {"?hidden", ".hidden"},
                                        {"a?c", "ac"},    {"*.txt", "a.txt.gz"},
                                        {"a", "b"},       {"a", "ab"},
                                        {"ab", "a"},      {"?", ""}};
    static char many[2001], as[2001];
    (void)state;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(ftp_pattern_match(yes[i][0], yes[i][1]));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(ftp_pattern_match(no[i][0], no[i][1]));
    for (size_t i = 0; i < 2000; i++) {
        many[i] = i % 2 ? 'a' : '*';
        as[i] = 'a';
    }
    many[1999] = 'b';
    assert_false(ftp_pattern_match(many, as)); /* at once, not in a thousand years */
    assert_true(ftp_has_pattern("a*") && ftp_has_pattern("?") && !ftp_has_pattern("a"));
}

/* Text goes out and comes back as it was, in pieces of any size. */
static void line_ends(void **state)
{
    static const struct {
        const char *local, *wire;
    } cases[] = {{"a\nb\n", "a\r\nb\r\n"}, {"", ""},     {"\n\n", "\r\n\r\n"}, {"no end", "no end"},
                 {"a\r\nb", "a\r\nb"},     {"\r", "\r"}, {"a\rb", "a\rb"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t piece = 1; piece < 4; piece++) {
            struct ftp_ascii out = {0}, in = {0};
            uint8_t wire[64], local[64];
            size_t n = 0, m = 0, size = strlen(cases[i].local);
            for (size_t at = 0; at < size; at += piece)
                n += ftp_ascii_out(&out, wire + n,
                                   bytes_of(cases[i].local + at, size - at < piece ? size - at : piece));
            assert_int_equal(n, strlen(cases[i].wire));
            assert_memory_equal(wire, cases[i].wire, n);
            for (size_t at = 0; at < n; at += piece)
                m += ftp_ascii_in(&in, local + m, bytes_of(wire + at, n - at < piece ? n - at : piece));
            m += ftp_ascii_in_end(&in, local + m);
            if (!strstr(cases[i].local, "\r\n")) {
                assert_int_equal(m, size);
                assert_memory_equal(local, cases[i].local, m);
            }
        }
    }
}

static void checksums(void **state)
{
    (void)state;
    assert_int_equal(ftp_crc(0, bytes_of("123456789", 9)), 0xcbf43926);
    assert_int_equal(ftp_crc(ftp_crc(0, bytes_of("1234", 4)), bytes_of("56789", 5)), 0xcbf43926);
    assert_int_equal(ftp_crc(0, bytes_of("", 0)), 0);
    for (uint8_t i = 0; i < 255; i++)
        assert_int_equal(ftp_crc(0, bytes_of(&i, 1)), crc32_ieee(&i, 1));
}

static void facts_chosen(void **state)
{
    char out[96];
    (void)state;
    assert_int_equal(ftp_facts_parse("type;SIZE;"), FTP_FACT_TYPE | FTP_FACT_SIZE);
    assert_int_equal(ftp_facts_parse("types;;x"), 0);
    assert_int_equal(ftp_facts_parse(""), 0);
    ftp_facts_names(out, sizeof out, FTP_FACT_SIZE, true);
    assert_string_equal(out, "type;size*;modify;perm;unique;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(list_lines), cmocka_unit_test(times),
                                       cmocka_unit_test(patterns),   cmocka_unit_test(line_ends),
                                       cmocka_unit_test(checksums),  cmocka_unit_test(facts_chosen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
