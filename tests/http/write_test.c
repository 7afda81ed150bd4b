/* The writer's heads read back by the parser, dates, percent-encoding there and back, and taking targets
 * apart. */
#include "gateways/http/http_target.h"
#include "gateways/http/http_write.h"
#include "tests/http/feed.h"

static void a_written_response_is_read_back(void **state)
{
    (void)state;
    char text[512];
    struct http_writer w;
    struct http_head request = {.minor = 1}, h;
    http_writer_init(&w, text, sizeof text);
    http_write_status(&w, 404);
    http_write_date(&w, "Date", 784111777);
    http_write_field(&w, "X-Split", "a\r\nSet-Cookie: b");
    assert_true(http_write_framing(&w, &request, true, 42));
    http_write_connection(&w, &request, false);
    http_write_end(&w);
    assert_false(w.overflow);
    http_head_init(&h, true);
    assert_int_equal(http_head_parse(&h, (uint8_t *)text, w.size), HTTP_DONE);
    assert_int_equal(h.size, w.size);
    assert_int_equal(h.status, 404);
    assert_int_equal(h.length, 42);
    assert_false(h.keep_alive);
    assert_int_equal(h.field_count, 4);
    struct bytes value;
    assert_true(http_field_get(&h, (uint8_t *)text, "dATE", &value));
    assert_true(http_text_is(value, "Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_false(http_field_get(&h, (uint8_t *)text, "Set-Cookie", &value));
}

static void framing_follows_the_peers_version(void **state)
{
    (void)state;
    char text[256];
    struct http_writer w;
    struct http_head old = {.minor = 0}, current = {.minor = 1};
    http_writer_init(&w, text, sizeof text);
    assert_false(http_write_framing(&w, &old, false, 0));
    assert_int_equal(w.size, 0);
    http_write_connection(&w, &old, true);
    assert_true(http_write_framing(&w, &current, false, 0));
    http_write_connection(&w, &current, true);
    assert_memory_equal(text, "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", w.size);
}

static void a_full_buffer_is_said_and_never_overrun(void **state)
{
    (void)state;
    for (size_t cap = 0; cap < 60; cap++) {
        char *text = malloc(cap ? cap : 1);
        struct http_writer w;
        http_writer_init(&w, text, cap);
        http_write_status(&w, 200);
        http_write_field_number(&w, "Content-Length", UINT64_MAX);
        http_write_end(&w);
        assert_int_equal(w.overflow, cap < 57);
        assert_true(w.size <= cap);
        free(text);
    }
}

static void dates_are_right(void **state)
{
    (void)state;
    static const struct {
        uint64_t unix_s;
        const char *text;
    } cases[] = {
        {0, "X: Thu, 01 Jan 1970 00:00:00 GMT\r\n"},
        {951782400, "X: Tue, 29 Feb 2000 00:00:00 GMT\r\n"},
        {951868799, "X: Tue, 29 Feb 2000 23:59:59 GMT\r\n"},
        {1709164800, "X: Thu, 29 Feb 2024 00:00:00 GMT\r\n"},
        {1767225599, "X: Wed, 31 Dec 2025 23:59:59 GMT\r\n"},
        {4107542400, "X: Mon, 01 Mar 2100 00:00:00 GMT\r\n"},
        {UINT64_MAX, "X: Fri, 31 Dec 9999 23:59:59 GMT\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[128];
        struct http_writer w;
        http_writer_init(&w, text, sizeof text);
        http_write_date(&w, "X", cases[i].unix_s);
        text[w.size] = 0;
        assert_string_equal(text, cases[i].text);
    }
}

static struct bytes of(const char *text)
{
    return bytes_of(text, strlen(text));
}

static void decoding_refuses_what_it_must(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want; /* NULL: refused */
    } cases[] = {
        {"", ""},
        {"a+b", "a+b"},
        {"a%20b", "a b"},
        {"%c3%A4", "\xc3\xa4"},
        {"%", NULL},
        {"%2", NULL},
        {"%2x", NULL},
        {"%00", NULL},
        {"%0a", NULL},
        {"%7f", NULL},
        {"%ff", NULL},
        {"%c0%af", NULL},
        {"%ed%a0%80", NULL},
        {"%f4%90%80%80", NULL},
        {"%e0%80%af", NULL},
        {"%2e%2e", ".."},
        {"12345678", NULL},
        {"1234567", "1234567"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[8];
        int n = http_decode(out, sizeof out, of(cases[i].text), false);
        assert_int_equal(n, cases[i].want ? (int)strlen(cases[i].want) : -1);
        if (cases[i].want)
            assert_string_equal(out, cases[i].want);
    }
}

static void encoding_goes_there_and_back(void **state)
{
    (void)state;
    char encoded[64], decoded[64];
    assert_int_equal(http_encode(encoded, sizeof encoded, of("a b/\xc3\xa4~-._")), 18);
    assert_string_equal(encoded, "a%20b%2F%C3%A4~-._");
    assert_int_equal(http_decode(decoded, sizeof decoded, of(encoded), false), 10);
    assert_int_equal(http_encode(encoded, 4, of("ab")), -1);
}

static void queries_and_segments_come_apart(void **state)
{
    (void)state;
    char out[16];
    struct bytes query = of("from=5&limit&q=a+b%26&x=%zz&from=6&=e&fro=1");
    assert_int_equal(http_query_get(query, "from", out, sizeof out), 1);
    assert_string_equal(out, "5");
    assert_int_equal(http_query_get(query, "limit", out, sizeof out), 1);
    assert_string_equal(out, "");
    assert_int_equal(http_query_get(query, "q", out, sizeof out), 1);
    assert_string_equal(out, "a b&");
    assert_int_equal(http_query_get(query, "x", out, sizeof out), -1);
    assert_int_equal(http_query_get(query, "fr", out, sizeof out), 0);
    assert_int_equal(http_query_get(of(""), "q", out, sizeof out), 0);
    struct bytes path = of("/api//jobs/"), segment;
    static const char *const want[] = {"api", "", "jobs", ""};
    for (size_t i = 0; i < 4; i++) {
        assert_true(http_segment_next(&path, &segment));
        assert_true(http_text_is(segment, want[i]));
    }
    assert_false(http_segment_next(&path, &segment));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_written_response_is_read_back),
        cmocka_unit_test(framing_follows_the_peers_version),
        cmocka_unit_test(a_full_buffer_is_said_and_never_overrun),
        cmocka_unit_test(dates_are_right),
        cmocka_unit_test(decoding_refuses_what_it_must),
        cmocka_unit_test(encoding_goes_there_and_back),
        cmocka_unit_test(queries_and_segments_come_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
