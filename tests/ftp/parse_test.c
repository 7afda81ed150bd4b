/* Lines, paths and addresses of FTP: tables of what is taken and of what is refused, each input whole and
 * byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "gateways/ftp/ftp_parse.h"
#include "node/base/err.h"

static void give(struct ftp_input *in, const char *data, size_t size, size_t piece)
{
    uint8_t answer[64];
    size_t answered = 0;
    for (size_t at = 0; at < size; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        assert_true(n <= ftp_input_room(in));
        ftp_input_give(in, bytes_of(data + at, n), answer, &answered, sizeof answer);
    }
}

static const struct {
    const char *input;
    size_t size; /* 0: to the NUL */
    const char *lines[4];
    enum ftp_fault faults[4];
} inputs[] = {
    {"NOOP\r\n", 0, {"NOOP"}, {FTP_LINE_OK}},
    {"a\r\nb\r\nc", 0, {"a", "b"}, {FTP_LINE_OK, FTP_LINE_OK}},
    {"\r\n\r\n", 0, {"", ""}, {FTP_LINE_OK, FTP_LINE_OK}},
    {"a\nb\r\n", 0, {"a", "b"}, {FTP_LINE_BARE_LF, FTP_LINE_OK}},
    {"\n", 0, {""}, {FTP_LINE_BARE_LF}},
    {"a\rb\r\n", 0, {"ab"}, {FTP_LINE_CONTROL}},
    {"a\r\r\nb\r\n", 0, {"a", "b"}, {FTP_LINE_CONTROL, FTP_LINE_OK}},
    {"a\0b\r\nc\r\n", 8, {"ab", "c"}, {FTP_LINE_CONTROL, FTP_LINE_OK}},
    {"a\tb\r\n", 0, {"ab"}, {FTP_LINE_CONTROL}},
    {"\xc3\xa9\xe2\x82\xac\r\n", 0, {"\xc3\xa9\xe2\x82\xac"}, {FTP_LINE_OK}},
    {"\xc3\r\n", 0, {"\xc3"}, {FTP_LINE_NOT_UTF8}},
    {"\xed\xa0\x80\r\n", 0, {"\xed\xa0\x80"}, {FTP_LINE_NOT_UTF8}},
    {"A\xff\xf1\xff\xfb\x01"
     "B\xff\xfa\x01\xff\xff\x02\xff\xf0"
     "C\r\n",
     0,
     {"ABC"},
     {FTP_LINE_OK}},
    {"A\xff\xff\r\n", 0, {"A\xff"}, {FTP_LINE_NOT_UTF8}},
    {"A\r\xff\xf1\nB\r\n", 0, {"A", "B"}, {FTP_LINE_OK, FTP_LINE_OK}},
};

static void lines_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        size_t size = inputs[i].size ? inputs[i].size : strlen(inputs[i].input);
        for (size_t piece = 1; piece <= size; piece += size > 1 ? size - 1 : 1) {
            struct ftp_input in;
            uint32_t at = 0, n = 0, next;
            const char *text;
            enum ftp_fault fault;
            ftp_input_init(&in, &core_alloc_libc);
            give(&in, inputs[i].input, size, piece);
            for (; ftp_input_line(&in, at, &text, &fault, &next); at = next, n++) {
                assert_string_equal(text, inputs[i].lines[n]);
                assert_int_equal(fault, inputs[i].faults[n]);
            }
            assert_true(n == 4 || !inputs[i].lines[n]);
            assert_int_equal(n, in.lines);
            for (; n > 0; n--)
                ftp_input_drop(&in, 0);
            assert_int_equal(in.lines, 0);
            ftp_input_fini(&in);
        }
    }
}

/* A line may be as long as the longest path; longer ones, a gigabyte if need be, cost no more memory, and the
 * next line is in step. */
static void long_lines(void **state)
{
    static char big[FTP_LINE_MAX + 2];
    struct ftp_input in;
    const char *text;
    enum ftp_fault fault;
    uint32_t next;
    (void)state;
    ftp_input_init(&in, &core_alloc_libc);
    memset(big, 'x', sizeof big);
    give(&in, big, FTP_LINE_MAX, 1000);
    give(&in, "\r\n", 2, 2);
    assert_true(ftp_input_line(&in, 0, &text, &fault, &next));
    assert_int_equal(fault, FTP_LINE_OK);
    assert_int_equal(strlen(text), FTP_LINE_MAX);
    ftp_input_drop(&in, 0);
    for (int i = 0; i < 1000; i++)
        give(&in, big, 2000, 2000);
    assert_true(in.cap <= FTP_INPUT_MAX);
    give(&in, "\r\nNOOP\r\n", 8, 8);
    assert_true(ftp_input_line(&in, 0, &text, &fault, &next));
    assert_int_equal(fault, FTP_LINE_LONG);
    assert_true(ftp_input_line(&in, next, &text, &fault, &next));
    assert_string_equal(text, "NOOP");
    assert_int_equal(fault, FTP_LINE_OK);
    assert_true(in.thrown_away >= 1990000);
    ftp_input_fini(&in);
}

/* Lines that nobody takes: the room shrinks to nothing, and comes back. A line in the middle may be taken
 * first. */
static void room(void **state)
{
    struct ftp_input in;
    const char *text;
    enum ftp_fault fault;
    uint32_t first, second;
    (void)state;
    ftp_input_init(&in, &core_alloc_libc);
    while (ftp_input_room(&in) > 0)
        give(&in, "\n", 1, 1);
    assert_true(in.lines > 1000 && in.size <= FTP_INPUT_MAX);
    while (in.lines)
        ftp_input_drop(&in, 0);
    assert_null(in.data);
    give(&in, "one\r\ntwo\r\nthr", 13, 13);
    assert_true(ftp_input_line(&in, 0, &text, &fault, &first));
    ftp_input_drop(&in, first);
    give(&in, "ee\r\n", 4, 4);
    assert_true(ftp_input_line(&in, 0, &text, &fault, &first));
    assert_string_equal(text, "one");
    assert_true(ftp_input_line(&in, first, &text, &fault, &second));
    assert_string_equal(text, "three");
    assert_false(ftp_input_line(&in, second, &text, &fault, &second));
    ftp_input_fini(&in);
}

static void telnet_offers_are_refused(void **state)
{
    struct ftp_input in;
    uint8_t answer[256];
    size_t n = 0;
    (void)state;
    ftp_input_init(&in, &core_alloc_libc);
    ftp_input_give(&in, bytes_of("\xff\xfb\x01\xff\xfd\x03\xff\xfc\x05\xff\xfe\x05", 12), answer, &n,
                   sizeof answer);
    assert_int_equal(n, 6);
    assert_memory_equal(answer, "\xff\xfe\x01\xff\xfc\x03", 6);
    for (int i = 0; i < 1000; i++) {
        size_t more = 0;
        ftp_input_give(&in, bytes_of("\xff\xfd\x03", 3), answer, &more, sizeof answer);
        n += more;
    }
    assert_int_equal(n, 3 * FTP_TELNET_ANSWERS_MAX); /* no echo chamber */
    ftp_input_fini(&in);
}

static void verbs(void **state)
{
    static const struct {
        const char *line, *verb, *argument;
    } good[] = {{"NOOP", "NOOP", NULL},
                {"retr a", "RETR", "a"},
                {"RETR  a ", "RETR", " a "},
                {"cwd /", "CWD", "/"},
                {"PWD ", "PWD", NULL}};
    static const char *const bad[] = {"",  " NOOP", "NOOPS",      "RETR\xc3", "RE-TR a",
                                      "1", "A1",    "LONGWORD x", "*"};
    char verb[FTP_VERB_MAX];
    const char *argument;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(ftp_line_split(good[i].line, verb, &argument));
        assert_string_equal(verb, good[i].verb);
        assert_int_equal(!argument, !good[i].argument);
        if (argument)
            assert_string_equal(argument, good[i].argument);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(ftp_line_split(bad[i], verb, &argument));
}

static void paths(void **state)
{
    static const struct {
        const char *cwd, *argument, *path;
    } good[] = {
        {"/", "", "/"},
        {"/", "a", "/a"},
        {"/a", "b/c", "/a/b/c"},
        {"/a", "/b", "/b"},
        {"/a/b", "..", "/a"},
        {"/a", "..", "/"},
        {"/a", "../../../..", "/"},
        {"/a", "../../../../etc/passwd", "/etc/passwd"},
        {"/a", "././/b/.", "/a/b"},
        {"/a/b", "../..", "/"},
        {"/a", "...", "/a/..."},
        {"/a", "..b", "/a/..b"},
        {"/a", "b/..", "/a"},
        {"/", "/", "/"},
        {"/", "//a//", "/a"},
        {"/a", "\\..\\", "/a/\\..\\"},
        {"/a", "~", "/a/~"},
    };
    static char deep[FTP_LINE_MAX];
    char out[FTP_PATH_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(ftp_path_join(out, good[i].cwd, good[i].argument), 0);
        assert_string_equal(out, good[i].path);
    }
    memset(deep, 'x', 256);
    assert_int_equal(ftp_path_join(out, "/", deep), ERR_RANGE);
    deep[255] = 0;
    assert_int_equal(ftp_path_join(out, "/", deep), 0);
    for (size_t i = 0; i < 4200; i++)
        deep[i] = i % 2 ? '/' : 'x';
    deep[4200] = 0;
    assert_int_equal(ftp_path_join(out, "/", deep), ERR_RANGE);
    deep[4094] = 0;
    assert_int_equal(ftp_path_join(out, "/", deep), 0);
    assert_string_equal(ftp_path_name("/a/b"), "b");
    assert_string_equal(ftp_path_name("/"), "");
    assert_int_equal(ftp_path_quote(out, sizeof out, "/a\"b"), 7);
    assert_string_equal(out, "\"/a\"\"b\"");
}

static void addresses(void **state)
{
    static const struct {
        const char *text, *addr; /* NULL: refused */
    } ports[] = {
        {"127,0,0,1,4,1", "127.0.0.1:1025"},
        {"255,255,255,255,255,255", "255.255.255.255:65535"},
        {"1,2,3,4,0,0", NULL},
        {"1,2,3,4,5", NULL},
        {"1,2,3,4,5,6,7", NULL},
        {"1,2,3,4,5,256", NULL},
        {"1,2,3,4,5,-6", NULL},
        {"1,2,3,4,5, 6", NULL},
        {"1,2,3,4,5,0006", NULL},
        {"", NULL},
        {"1.2.3.4,5,6", NULL},
        {"1,2,3,4,5,", NULL},
    };
    static const struct {
        const char *text, *addr;
        int error;
    } eprts[] = {
        {"|1|132.235.1.2|6275|", "132.235.1.2:6275", 0},
        {"|2|1080::8:800:200c:417a|5282|", "[1080::8:800:200c:417a]:5282", 0},
        {"!1!1.2.3.4!80!", "1.2.3.4:80", 0},
        {"|3|1.2.3.4|80|", NULL, ERR_UNSUPPORTED},
        {"|1|1.2.3.4|80", NULL, ERR_MALFORMED},
        {"|1|1.2.3.4|80|x", NULL, ERR_MALFORMED},
        {"|1|::1|80|", NULL, ERR_MALFORMED},
        {"|2|1.2.3.4|80|", NULL, ERR_MALFORMED},
        {"|1|1.2.3.4|0|", NULL, ERR_MALFORMED},
        {"|1|1.2.3.4|65536|", NULL, ERR_MALFORMED},
        {"|1|localhost|80|", NULL, ERR_MALFORMED},
        {"|1||80|", NULL, ERR_MALFORMED},
        {"|1|1.2.3.4||", NULL, ERR_MALFORMED},
        {"||1.2.3.4|80|", NULL, ERR_MALFORMED},
        {"", NULL, ERR_MALFORMED},
        {"|", NULL, ERR_MALFORMED},
        {"||||", NULL, ERR_MALFORMED},
        {" 1 1.2.3.4 80 ", NULL, ERR_MALFORMED},
        {"|99999999|1.2.3.4|80|", NULL, ERR_MALFORMED},
        {"|2|::ffff:1.2.3.4|80|", NULL, ERR_MALFORMED},
    };
    struct net_addr a;
    char text[NET_ADDR_TEXT_MAX];
    uint64_t n;
    (void)state;
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
        assert_int_equal(ftp_port_parse(&a, ports[i].text), ports[i].addr ? 0 : ERR_MALFORMED);
        if (ports[i].addr)
            assert_string_equal(net_addr_format(text, &a), ports[i].addr);
    }
    for (size_t i = 0; i < sizeof eprts / sizeof *eprts; i++) {
        if (ftp_eprt_parse(&a, eprts[i].text) != eprts[i].error)
            fail_msg("%s", eprts[i].text);
        if (eprts[i].addr)
            assert_string_equal(net_addr_format(text, &a), eprts[i].addr);
    }
    assert_true(ftp_number_parse(&n, "18446744073709551615") && n == UINT64_MAX);
    assert_false(ftp_number_parse(&n, "18446744073709551616"));
    assert_false(ftp_number_parse(&n, ""));
    assert_false(ftp_number_parse(&n, "1 "));
    assert_false(ftp_number_parse(&n, "0x1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_cut), cmocka_unit_test(long_lines),
        cmocka_unit_test(room),          cmocka_unit_test(telnet_offers_are_refused),
        cmocka_unit_test(verbs),         cmocka_unit_test(paths),
        cmocka_unit_test(addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
