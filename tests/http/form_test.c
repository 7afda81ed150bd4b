/* Purpose: forms with files. Each body is fed whole, byte by byte, in odd pieces, and right before an
 * unreadable page, and must yield the same parts, the same bytes and the same refusal. */
#include "tests/http/feed.h"
#include "gateways/http/http_form.h"

static struct guarded page;

static int setup(void **state)
{
    (void)state;
    guarded_open(&page);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    guarded_close(&page);
    return 0;
}

/* What came out, as text: "[name|filename:data]" for files, "(name:data)" for fields, "." at the end, "!"
 * when refused. */
static void drive(char *out, size_t cap, const char *boundary, const uint8_t *data, size_t size, size_t step)
{
    struct http_form f;
    size_t n = 0, at = 0;
    bool file = false;
    http_form_init(&f, bytes_of(boundary, strlen(boundary)));
    out[0] = 0;
    while (at < size) {
        size_t limit = size - at < step ? size : at + step;
        while (at < limit) {
            struct bytes piece;
            size_t used;
            enum http_form_event e = http_form_parse(&f, data + at, limit - at, &used, &piece);
            assert_true(used <= limit - at);
            at += used;
            if (e == HTTP_FORM_BAD) {
                assert_non_null(f.error);
                snprintf(out + n, cap - n, "!");
                return;
            }
            if (e == HTTP_FORM_PART) {
                file = f.is_file;
                n += (size_t)snprintf(out + n, cap - n, file ? "[%s|%s:" : "(%s:", f.name, f.filename);
            } else if (e == HTTP_FORM_DATA) {
                assert_true(piece.size > 0);
                n += (size_t)snprintf(out + n, cap - n, "%.*s", (int)piece.size, (const char *)piece.data);
            } else if (e == HTTP_FORM_PART_END) {
                n += (size_t)snprintf(out + n, cap - n, "%s", file ? "]" : ")");
            } else if (e == HTTP_FORM_END) {
                n += (size_t)snprintf(out + n, cap - n, ".");
            }
            assert_true(n < cap);
        }
    }
}

#define CD "Content-Disposition: form-data; "
#define H  "\r\n\r\n"

static const struct {
    const char *body, *expected;
} table[] = {
    {"--b\r\n" CD "name=\"a\"" H "1\r\n--b--\r\n", "(a:1)."},
    {"--b\r\n" CD "name=a" H "1\r\n--b--", "(a:1)."},
    {"preamble\r\n--b\r\n" CD "name=\"a\"" H "1\r\n--b--epilogue --b\r\n", "(a:1)."},
    {"--b  \t\r\n" CD "name=\"a\"; filename=\"f\"\r\nContent-Type: x/y" H "\r\n--b--", "[a|f:]."},
    {"--b\r\n" CD "name=\"a\"" H "--b--", "(a:)."}, /* no data and no line end of its own */
    {"--b\r\n" CD "name=\"a\"" H "\r\n\r\n--b--", "(a:\r\n)."},
    {"--b\r\n" CD "name=\"a\"" H "x\r\n--\r\n-b\r\n--B\r\n--\r\r\n--b--",
     "(a:x\r\n--\r\n-b\r\n--B\r\n--\r)."},
    {"--b\r\n" CD "name=\"a\"" H "--c\r\n--b--", "(a:--c)."},
    {"--b\r\n" CD "name=\"a\"" H "-\r\n--b--", "(a:-)."},
    {"--b\r\n" CD "name=\"a\"" H "1\r\n--b\r\nContent-disposition:form-data;name=c;filename=d" H "2\r\n--b--",
     "(a:1)[c|d:2]."},
    {"--b\r\n" CD "name=\"a\"; filename=\"../../etc/passwd\"" H "1\r\n--b--", "[a|passwd:1]."},
    {"--b\r\n" CD "name=\"a\"; filename=\"C:\\dir\\x.txt\"" H "1\r\n--b--", "[a|x.txt:1]."},
    {"--b\r\n" CD "name=\"a\"; filename=\"dir/\"" H "1\r\n--b--", "[a|:1]."},
    {"--b\r\n" CD "name=\"a\"; filename=\"a%22b;c=d\\\"e\"" H "1\r\n--b--", "[a|a\"b;c=d\"e:1]."},
    {"--b\r\n" CD "filename=\"\xc3\xbc.txt\"; name=\"a\"" H "1\r\n--b--", "[a|\xc3\xbc.txt:1]."},
    {"--b\r\n" CD "name=\"a\"" H "1\r\n--b-", "(a:1)"}, /* cut: the caller sees no end */
    {"--b\r\n" CD "name=\"a\"" H "1\r\n--", "(a:1"},
    {"--b--\r\n", "."},
    {"nothing at all", ""},
    /* refused */
    {"--bb\r\n" CD "name=\"a\"" H "1\r\n--b--", "!"},
    {"--b\n" CD "name=\"a\"" H "1\r\n--b--", "!"},
    {"--b-\r\n", "!"},
    {"--b\r\n\r\n1\r\n--b--", "!"},
    {"--b\r\nContent-Type: text/plain" H "1\r\n--b--", "!"},
    {"--b\r\nContent-Disposition: attachment; name=\"a\"" H "1\r\n--b--", "!"},
    {"--b\r\n" CD "nam=\"a\"" H "1\r\n--b--", "!"},
    {"--b\r\n" CD "name=\"a\"; name=\"b\"" H "1\r\n--b--", "!"},
    {"--b\r\n" CD "name=\"a\"; filename=x; filename=y" H "1\r\n--b--", "!"},
    {"--b\r\n" CD "name=\"a" H "1\r\n--b--", "!"},
    {"--b\r\n" CD "name=\"a\"\r\n" CD "name=\"b\"" H "1\r\n--b--", "!"},
    {"--b\r\n" CD "name=\"a\"; filename=\"\xff\"" H "1\r\n--b--", "!"},
    {"--b\r\n" CD "name=\"a\"; filename=\"a\x01\"" H "1\r\n--b--", "!"},
    {"--b\r\n" CD "name=\"a\"\nX: y" H "1\r\n--b--", "!"},
    {"--b\r\n" CD "name=\"a\"\r\nno field" H "1\r\n--b--", "!"},
    {"--b\r\n" CD "name=\"a\"\rX" H "1\r\n--b--", "!"},
};

static void test_table(void **state)
{
    char whole[512], other[512];
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        size_t size = strlen(table[i].body);
        drive(whole, sizeof whole, "b", (const uint8_t *)table[i].body, size, size);
        size_t n = strlen(table[i].expected);
        if (strcmp(table[i].expected, "!") == 0 ? whole[strlen(whole) - 1] != '!'
                                                : strcmp(whole, table[i].expected) != 0)
            fail_msg("%s gives %s instead of %s (%zu)", table[i].body, whole, table[i].expected, n);
        static const size_t steps[] = {1, 2, 3, 5, 7, 11};
        for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
            drive(other, sizeof other, "b", guarded_put(&page, table[i].body, size), size, steps[s]);
            assert_string_equal(whole, other);
        }
    }
}

static void test_boundaries(void **state)
{
    static const struct {
        const char *type, *boundary;
    } types[] = {
        {"multipart/form-data; boundary=abc", "abc"},
        {"Multipart/Form-Data ; charset=utf-8; Boundary=\"a b'()+_,-./:=?c\"", "a b'()+_,-./:=?c"},
        {"multipart/form-data; boundary=abc; x=y", "abc"},
        {"multipart/form-data", NULL},
        {"multipart/mixed; boundary=abc", NULL},
        {"multipart/form-data; boundary=", NULL},
        {"multipart/form-data; boundary=a\"b", NULL},
        {"multipart/form-data; boundary=\"a b \"", NULL},
        {"multipart/form-data; boundary=abc; boundary=abd", NULL},
        {"multipart/form-data; boundary=abc rubbish", NULL},
        {"multipart/form-data; "
         "boundary=1234567890123456789012345678901234567890123456789012345678901234567890",
         "1234567890123456789012345678901234567890123456789012345678901234567890"},
        {"multipart/form-data; "
         "boundary=12345678901234567890123456789012345678901234567890123456789012345678901",
         NULL},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct bytes boundary;
        bool ok = http_form_boundary(bytes_of(types[i].type, strlen(types[i].type)), &boundary);
        if (ok != (types[i].boundary != NULL))
            fail_msg("%s", types[i].type);
        if (ok) {
            assert_int_equal(boundary.size, strlen(types[i].boundary));
            assert_memory_equal(boundary.data, types[i].boundary, boundary.size);
        }
    }
}

/* A head without end, and parts without number, are refused in bounded memory. */
static void test_limits(void **state)
{
    struct http_form f;
    struct bytes piece;
    size_t used;
    enum http_form_event e = HTTP_FORM_MORE;
    uint32_t fed = 0, parts = 0;
    (void)state;
    http_form_init(&f, bytes_of("b", 1));
    assert_int_equal(http_form_parse(&f, (const uint8_t *)"--b\r\nX: ", 8, &used, &piece), HTTP_FORM_MORE);
    for (; e == HTTP_FORM_MORE && fed < 2 * HTTP_PART_HEAD_MAX; fed++)
        e = http_form_parse(&f, (const uint8_t *)"y", 1, &used, &piece);
    assert_int_equal(e, HTTP_FORM_BAD);
    assert_int_equal(http_form_parse(&f, (const uint8_t *)"y", 1, &used, &piece), HTTP_FORM_BAD);
    http_form_init(&f, bytes_of("b", 1));
    static const char part[] = "--b\r\n" CD "name=a" H "\r\n";
    for (e = HTTP_FORM_MORE; e != HTTP_FORM_BAD && parts < 2 * HTTP_PARTS_MAX; parts++) {
        for (size_t at = 0; e != HTTP_FORM_BAD && at < sizeof part - 1; at += used)
            e = http_form_parse(&f, (const uint8_t *)part + at, sizeof part - 1 - at, &used, &piece);
    }
    assert_int_equal(e, HTTP_FORM_BAD);
    assert_int_equal(parts, HTTP_PARTS_MAX + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_boundaries),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
