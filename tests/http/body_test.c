/* Bodies: by length, chunked, to the end of the connection. Each case is fed whole, byte by byte, and right
 * before an unreadable page, and must yield the same payload, the same end and the same refusal. */
#include "tests/http/feed.h"

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

struct outcome {
    enum http_result result;
    unsigned status;
    char payload[4096];
    size_t size, used;
};

static struct http_head framing(const char *fields, bool response)
{
    char text[512];
    int n = snprintf(text, sizeof text, "%s\r\n%s\r\n",
                     response ? "HTTP/1.1 200 OK" : "POST / HTTP/1.1\r\nHost: a", fields);
    struct http_head h;
    http_head_init(&h, response);
    assert_int_equal(http_head_parse(&h, (const uint8_t *)text, (size_t)n), HTTP_DONE);
    return h;
}

static void drive(struct outcome *o, const struct http_head *h, uint64_t max, const uint8_t *data,
                  size_t size, size_t step)
{
    struct http_body b;
    http_body_init(&b, h, max, false);
    memset(o, 0, sizeof *o);
    for (size_t limit = step < size ? step : size;; limit = limit + step < size ? limit + step : size) {
        do {
            size_t used;
            struct bytes piece;
            o->result = http_body_parse(&b, data + o->used, limit - o->used, &used, &piece);
            o->used += used;
            assert_true(o->size + piece.size <= sizeof o->payload);
            memcpy(o->payload + o->size, piece.data, piece.size);
            o->size += o->result == HTTP_BAD ? 0 : piece.size;
        } while (o->result == HTTP_MORE && o->used < limit);
        if (o->result != HTTP_MORE || limit == size)
            break;
    }
    o->status = o->result == HTTP_BAD ? b.error_status : 0;
}

static void feed(struct outcome *o, const struct http_head *h, uint64_t max, const char *text, size_t size)
{
    static struct outcome other;
    drive(o, h, max, (const uint8_t *)text, size, size ? size : 1);
    for (int i = 0; i < 2; i++) {
        drive(&other, h, max, guarded_put(&page, text, size), size, i == 0 ? 1 : size ? size : 1);
        assert_int_equal(other.result, o->result);
        assert_int_equal(other.status, o->status);
        assert_int_equal(other.used, o->used);
        if (o->result != HTTP_BAD) {
            assert_int_equal(other.size, o->size);
            assert_memory_equal(other.payload, o->payload, o->size);
        }
    }
}

#define CHUNKED "Transfer-Encoding: chunked\r\n"

static const struct {
    const char *fields, *text, *payload, *rest;
} accepted[] = {
    {"", "next", "", "next"},
    {"Content-Length: 0\r\n", "next", "", "next"},
    {"Content-Length: 5\r\n", "hellonext", "hello", "next"},
    {CHUNKED, "0\r\n\r\nnext", "", "next"},
    {CHUNKED, "5\r\nhello\r\n0\r\n\r\nnext", "hello", "next"},
    {CHUNKED, "1\r\nh\r\n4\r\nello\r\n000\r\n\r\n", "hello", ""},
    {CHUNKED, "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", ""},
    {CHUNKED, "0000000000000005\r\nhello\r\n0\r\n\r\n", "hello", ""},
    {CHUNKED, "2\r\n\r\n\r\n0\r\n\r\n", "\r\n", ""},
    {CHUNKED, "5;a\r\nhello\r\n0;b=c;d=\"e\\\"f;\"\r\n\r\n", "hello", ""},
    {CHUNKED, "5 ;\ta = b ; c\r\nhello\r\n0\r\n\r\n", "hello", ""},
    {CHUNKED, "5\r\nhello\r\n0\r\nX: y\r\nContent-Length:\r\n\r\nnext", "hello", "next"},
};

static void good_bodies_are_taken_to_the_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        struct http_head h = framing(accepted[i].fields, false);
        struct outcome o;
        feed(&o, &h, 1000, accepted[i].text, strlen(accepted[i].text));
        assert_int_equal(o.result, HTTP_DONE);
        assert_int_equal(o.size, strlen(accepted[i].payload));
        assert_memory_equal(o.payload, accepted[i].payload, o.size);
        assert_string_equal(accepted[i].text + o.used, accepted[i].rest);
    }
}

static void a_part_of_a_good_body_asks_for_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        struct http_head h = framing(accepted[i].fields, false);
        size_t whole = strlen(accepted[i].text) - strlen(accepted[i].rest);
        for (size_t cut = 0; cut < whole; cut++) {
            struct outcome o;
            feed(&o, &h, 1000, accepted[i].text, cut);
            assert_int_equal(o.result, HTTP_MORE);
        }
    }
}

static const struct {
    unsigned status;
    const char *text;
} refused[] = {
    {400, "\r\nhello\r\n0\r\n\r\n"},
    {400, "g\r\n"},
    {400, "-5\r\n"},
    {400, "+5\r\n"},
    {400, "0x5\r\n"},
    {400, " 5\r\n"},
    {400, "5 \r\nhello"},
    {400, "5\nhello"},
    {400, "5\rhello"},
    {400, "5\r\r\nhello"},
    {400, "5;\r\nhello"},
    {400, "5;;a\r\n"},
    {400, "5;a=\r\n"},
    {400, "5;a=b c\r\n"},
    {400, "5;a b\r\n"},
    {400, "5;a=\"b\r\n"},
    {400, "5;a=\"b\"c\r\n"},
    {400, "5;a@\r\n"},
    {400, "5;a\nb\r\n"},
    {400, "5;a\x01\r\n"},
    {400, "5_0\r\n"},
    {400, "00000000000000000\r\n"},
    {400, "8000000000000000\r\n"},
    {400, "ffffffffffffffff\r\n"},
    {400, "10000000000000005\r\n"},
    {413, "7fffffffffffffff\r\n"},
    {413, "3e9\r\n"},
    {400, "5\r\nhello!\r\n"},
    {400, "5\r\nhello\n0\r\n"},
    {400, "5\r\nhello\r0\r\n"},
    {400, "5\r\nhello0\r\n\r\n"},
    {400, "5\r\nhell\r\n0\r\n\r\n"},
    {400, "5\r\nhello\r\n\r\n"},
    {400, "0\r\n\n"},
    {400, "0\r\n\rx"},
    {400, "0\r\nX\r\n"},
    {400, "0\r\nX : y\r\n"},
    {400, "0\r\n X: y\r\n"},
    {400, "0\r\n: y\r\n"},
    {400, "0\r\nX: y\n\r\n"},
    {400, "0\r\nX: y\r\r\n"},
    {400, "0\r\nX: \x01\r\n"},
};

static void malformed_chunks_are_refused(void **state)
{
    (void)state;
    struct http_head h = framing(CHUNKED, false);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct outcome o;
        feed(&o, &h, 1000, refused[i].text, strlen(refused[i].text));
        if (o.result != HTTP_BAD || o.status != refused[i].status)
            fail_msg("result %d, status %u instead of %u: %s", o.result, o.status, refused[i].status,
                     refused[i].text);
    }
}

static void the_payload_has_a_limit(void **state)
{
    (void)state;
    struct outcome o;
    struct http_head h = framing("Content-Length: 11\r\n", false);
    feed(&o, &h, 10, "", 0);
    assert_int_equal(o.status, 413); /* before a byte of it was sent: the answer to Expect */
    h = framing(CHUNKED, false);
    feed(&o, &h, 10, "5\r\nhello\r\n6\r\n", 13);
    assert_int_equal(o.status, 413);
    feed(&o, &h, 10, "5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n", 25);
    assert_int_equal(o.result, HTTP_DONE);
    h = framing("", true);
    feed(&o, &h, 4, "hello", 5);
    assert_int_equal(o.status, 413);
}

static void a_response_without_framing_ends_with_the_connection(void **state)
{
    (void)state;
    struct outcome o;
    struct http_head h = framing("", true);
    feed(&o, &h, 100, "hello", 5);
    assert_int_equal(o.result, HTTP_MORE);
    assert_int_equal(o.size, 5);
    struct http_body b;
    http_body_init(&b, &h, 100, true); /* the answer to HEAD */
    size_t used;
    struct bytes piece;
    assert_int_equal(http_body_parse(&b, (const uint8_t *)"x", 1, &used, &piece), HTTP_DONE);
    assert_int_equal(used, 0);
}

/* One-byte chunks pass while there are few, extensions that only fill the line do not go on for ever, nor do
 * trailers. */
static void framing_without_payload_is_refused_in_time(void **state)
{
    (void)state;
    struct http_head h = framing(CHUNKED, false);
    struct http_body b;
    size_t used, sent = 0;
    struct bytes piece;
    http_body_init(&b, &h, 1000000, false);
    for (int i = 0; i < 100000; i++)
        for (sent = 0; sent < 6; sent += used)
            assert_int_equal(
                http_body_parse(&b, (const uint8_t *)"1\r\nx\r\n" + sent, 6 - sent, &used, &piece),
                HTTP_MORE);
    static const char stuffed[] =
        "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n";
    static const char trailing[] =
        "X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
    for (int kind = 0; kind < 2; kind++) {
        const char *text = kind ? trailing : stuffed;
        http_body_init(&b, &h, 1000000, false);
        enum http_result r =
            kind ? http_body_parse(&b, (const uint8_t *)"0\r\n", 3, &used, &piece) : HTTP_MORE;
        size_t total = 0;
        while (r == HTTP_MORE)
            for (sent = 0; sent < strlen(text) && r == HTTP_MORE; sent += used, total += used)
                r = http_body_parse(&b, (const uint8_t *)text + sent, strlen(text) - sent, &used, &piece);
        assert_int_equal(r, HTTP_BAD);
        assert_int_equal(b.error_status, 400);
        assert_in_range(total, HTTP_CHUNK_SLACK - 8, 2 * HTTP_CHUNK_SLACK);
    }
}

static void a_chunk_line_has_a_limit(void **state)
{
    (void)state;
    struct http_head h = framing(CHUNKED, false);
    struct outcome o;
    char text[HTTP_CHUNK_LINE_MAX + 8] = "1;";
    memset(text + 2, 'a', HTTP_CHUNK_LINE_MAX - 4);
    memcpy(text + HTTP_CHUNK_LINE_MAX - 2, "\r\nx", 3);
    feed(&o, &h, 10, text, HTTP_CHUNK_LINE_MAX + 1);
    assert_int_equal(o.result, HTTP_MORE);
    memcpy(text + HTTP_CHUNK_LINE_MAX - 2, "a\r\nx", 4);
    feed(&o, &h, 10, text, HTTP_CHUNK_LINE_MAX + 2);
    assert_int_equal(o.status, 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_bodies_are_taken_to_the_byte),
        cmocka_unit_test(a_part_of_a_good_body_asks_for_more),
        cmocka_unit_test(malformed_chunks_are_refused),
        cmocka_unit_test(the_payload_has_a_limit),
        cmocka_unit_test(a_response_without_framing_ends_with_the_connection),
        cmocka_unit_test(framing_without_payload_is_refused_in_time),
        cmocka_unit_test(a_chunk_line_has_a_limit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
