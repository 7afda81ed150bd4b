/* Heads of requests and responses: what is accepted and what it means, what is refused and with which status.
 * Each case is fed whole, byte by byte, and right before an unreadable page. */
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

static void assert_same(const struct http_head *a, const struct http_head *b)
{
    assert_int_equal(a->error_status, b->error_status);
    assert_int_equal(a->phase, b->phase);
    assert_int_equal(a->field_count, b->field_count);
    assert_memory_equal(a, b, sizeof *a);
}

/* Returns the result; *h is from the whole feed; the other two ways must agree to the last bit. */
static enum http_result feed(struct http_head *h, bool response, const char *text, size_t size)
{
    struct http_head bytewise, guarded;
    http_head_init(h, response);
    enum http_result whole = http_head_parse(h, (const uint8_t *)text, size), by_byte = HTTP_MORE;
    http_head_init(&bytewise, response);
    for (size_t n = 1; n <= size && by_byte == HTTP_MORE; n++)
        by_byte = http_head_parse(&bytewise, (const uint8_t *)text, n);
    http_head_init(&guarded, response);
    assert_int_equal(http_head_parse(&guarded, guarded_put(&page, text, size), size), whole);
    assert_int_equal(by_byte, whole);
    assert_same(h, &bytewise);
    assert_same(h, &guarded);
    return whole;
}

#define LINE "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define HEAD LINE HOST

/* ---- accepted ---- */

struct accepted {
    const char *text;
    enum http_method method;
    enum http_target_form form;
    const char *path, *query, *host;
    unsigned port, minor, fields;
    const char *flags; /* k keep-alive, c chunked, l length, e expect */
    uint64_t length;
};

static const struct accepted accepted[] = {
    {HEAD "\r\n", HTTP_GET, HTTP_ORIGIN, "/", "", "a", 0, 1, 1, "k", 0},
    {"\r\n" HEAD "\r\n", HTTP_GET, HTTP_ORIGIN, "/", "", "a", 0, 1, 1, "k", 0},
    {HEAD "\r\nleft for the next", HTTP_GET, HTTP_ORIGIN, "/", "", "a", 0, 1, 1, "k", 0},
    {"GET /a%20b/?q=1&r=%7e HTTP/1.1\r\nHost:localhost:7734 \t \r\n\r\n", HTTP_GET, HTTP_ORIGIN, "/a%20b/",
     "q=1&r=%7e", "localhost", 7734, 1, 1, "k", 0},
    {"GET /?a|b[c]{d}^`\\? HTTP/1.1\r\n" HOST "\r\n", HTTP_GET, HTTP_ORIGIN, "/", "a|b[c]{d}^`\\?", "a", 0, 1,
     1, "k", 0},
    {"GET // HTTP/1.1\r\n" HOST "\r\n", HTTP_GET, HTTP_ORIGIN, "//", "", "a", 0, 1, 1, "k", 0},
    {"GET / HTTP/1.0\r\n\r\n", HTTP_GET, HTTP_ORIGIN, "/", "", "", 0, 0, 0, "", 0},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", HTTP_GET, HTTP_ORIGIN, "/", "", "", 0, 0, 1, "k", 0},
    {"GET / HTTP/1.9\r\n" HOST "\r\n", HTTP_GET, HTTP_ORIGIN, "/", "", "a", 0, 1, 1, "k", 0},
    {HEAD "Connection: close\r\n\r\n", HTTP_GET, HTTP_ORIGIN, "/", "", "a", 0, 1, 2, "", 0},
    {HEAD "Connection: keep-alive\r\nConnection: , x, CLOSE\r\n\r\n", HTTP_GET, HTTP_ORIGIN, "/", "", "a", 0,
     1, 3, "", 0},
    {"GET http://Example.org:80/x?y HTTP/1.1\r\nHost: other\r\n\r\n", HTTP_GET, HTTP_ABSOLUTE, "/x", "y",
     "Example.org", 80, 1, 1, "k", 0},
    {"GET HTTP://a HTTP/1.1\r\n" HOST "\r\n", HTTP_GET, HTTP_ABSOLUTE, "", "", "a", 0, 1, 1, "k", 0},
    {"GET http://a?q HTTP/1.1\r\n" HOST "\r\n", HTTP_GET, HTTP_ABSOLUTE, "", "q", "a", 0, 1, 1, "k", 0},
    {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", HTTP_OPTIONS, HTTP_ASTERISK, "*", "", "a", 0, 1, 1, "k", 0},
    {"CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n\r\n", HTTP_CONNECT, HTTP_AUTHORITY, "", "", "a.b", 443, 1,
     1, "k", 0},
    {"get / HTTP/1.1\r\n" HOST "\r\n", HTTP_OTHER, HTTP_ORIGIN, "/", "", "a", 0, 1, 1, "k", 0},
    {"M-SEARCH / HTTP/1.1\r\n" HOST "\r\n", HTTP_OTHER, HTTP_ORIGIN, "/", "", "a", 0, 1, 1, "k", 0},
    {"GET / HTTP/1.1\r\nhOST: [::1]:8\r\nX:\r\nY: \t\x80\xff\t!\r\n\r\n", HTTP_GET, HTTP_ORIGIN, "/", "",
     "[::1]", 8, 1, 3, "k", 0},
    {"GET / HTTP/1.1\r\nHost: a:\r\n\r\n", HTTP_GET, HTTP_ORIGIN, "/", "", "a", 0, 1, 1, "k", 0},
    {"POST / HTTP/1.1\r\n" HOST "content-length: 0012\r\n\r\n", HTTP_POST, HTTP_ORIGIN, "/", "", "a", 0, 1, 2,
     "kl", 12},
    {"PUT / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775807\r\n\r\n", HTTP_PUT, HTTP_ORIGIN, "/", "",
     "a", 0, 1, 2, "kl", INT64_MAX},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n", HTTP_POST, HTTP_ORIGIN, "/", "", "a", 0,
     1, 2, "kc", 0},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: , chunked\r\n\r\n", HTTP_POST, HTTP_ORIGIN, "/", "", "a", 0,
     1, 2, "kc", 0},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: ,\t,chunked ,,\r\n\r\n", HTTP_POST, HTTP_ORIGIN, "/", "", "a",
     0, 1, 2, "kc", 0},
    {"GET / HTTP/1.1\r\n" HOST "Connection: , ,close,\r\n\r\n", HTTP_GET, HTTP_ORIGIN, "/", "", "a", 0, 1, 2, "",
     0},
    {"GET / HTTP/1.0\r\n" HOST "Connection: ,x,, keep-alive\r\n\r\n", HTTP_GET, HTTP_ORIGIN, "/", "", "a", 0, 0, 2,
     "k", 0},
    {"GET / HTTP/1.1\r\n" HOST "Connection: ,\r\n\r\n", HTTP_GET, HTTP_ORIGIN, "/", "", "a", 0, 1, 2, "k", 0},
    {"POST / HTTP/1.1\r\n" HOST "Expect: ,100-continue,\r\nContent-Length: 1\r\n\r\n", HTTP_POST, HTTP_ORIGIN,
     "/", "", "a", 0, 1, 3, "kle", 1},
    {"POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", HTTP_POST, HTTP_ORIGIN,
     "/", "", "a", 0, 1, 3, "kle", 1},
    {"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", HTTP_POST, HTTP_ORIGIN, "/", "",
     "", 0, 0, 2, "l", 1},
};

static void assert_text(const char *data, struct http_span span, const char *want)
{
    assert_int_equal(span.size, strlen(want));
    assert_memory_equal(data + span.at, want, span.size);
}

static void requests_are_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        const struct accepted *want = &accepted[i];
        struct http_head h;
        if (feed(&h, false, want->text, strlen(want->text)) != HTTP_DONE)
            fail_msg("refused with %u, %s: %s", h.error_status, h.error, want->text);
        assert_int_equal(h.method, want->method);
        assert_int_equal(h.form, want->form);
        assert_text(want->text, h.path, want->path);
        assert_text(want->text, h.query, want->query);
        assert_text(want->text, h.host, want->host);
        assert_int_equal(h.port, want->port);
        assert_int_equal(h.minor, want->minor);
        assert_int_equal(h.field_count, want->fields);
        char flags[8] = "", *f = flags;
        *f = 'k', f += h.keep_alive;
        *f = 'c', f += h.chunked;
        *f = 'l', f += h.has_length;
        *f = 'e', f += h.expect_continue;
        *f = 0;
        assert_string_equal(flags, want->flags);
        assert_true(h.length == want->length);
        const char *end = strstr(want->text + 2, "\r\n\r\n");
        assert_int_equal(h.size, end + 4 - want->text);
    }
}

static void a_part_of_a_good_head_asks_for_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        struct http_head h;
        feed(&h, false, accepted[i].text, strlen(accepted[i].text));
        for (size_t cut = 0; cut < h.size; cut++) {
            struct http_head part;
            http_head_init(&part, false);
            assert_int_equal(http_head_parse(&part, guarded_put(&page, accepted[i].text, cut), cut),
                             HTTP_MORE);
        }
    }
}

/* ---- refused ---- */

static const struct refused {
    unsigned status;
    const char *text;
} refused[] = {
    /* lines */
    {400, "GET / HTTP/1.1\nHost: a\r\n\r\n"},
    {400, HEAD "\n"},
    {400, HEAD "X: 1\n\r\n"},
    {400, "GET / HTTP/1.1\rHost: a\r\n\r\n"},
    {400, HEAD "X: a\rb\r\n\r\n"},
    {400, HEAD "X: a\r\r\n\r\n"},
    {400, "\n" HEAD "\r\n"},
    {400, "\r\n\r\n" HEAD "\r\n"},
    {400, "\r\r\n"},
    /* start lines */
    {400, " GET / HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET  / HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET /  HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET / HTTP/1.1 \r\n" HOST "\r\n"},
    {400, "GET\t/ HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET / a HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET /\r\n"},
    {400, "GET / \r\n"},
    {400, "GET\r\n"},
    {400, "/ HTTP/1.1\r\n"},
    {400, "G@T / HTTP/1.1\r\n"},
    {400, "G\xc3\x84T / HTTP/1.1\r\n"},
    {400, "GET / http/1.1\r\n"},
    {400, "GET / HTTP/1\r\n"},
    {400, "GET / HTTP/1.\r\n"},
    {400, "GET / HTTP/01.1\r\n"},
    {400, "GET / HTTP/1.10\r\n"},
    {400, "GET / HTTP/1,1\r\n"},
    {400, "GET / XTTP/1.1\r\n"},
    {400, "GET / HTTP /1.1\r\n"},
    {505, "GET / HTTP/2.0\r\n"},
    {505, "PRI * HTTP/2.0\r\n"},
    {505, "GET / HTTP/0.9\r\n"},
    {505, "GET / HTTP/9.9\r\n"},
    {400, "\x16\x03\x01\x02\x00\x01\x00"}, /* a TLS client hello */
    /* targets */
    {400, "GET a HTTP/1.1\r\n"},
    {400, "GET * HTTP/1.1\r\n"},
    {400, "OPTIONS ** HTTP/1.1\r\n"},
    {400, "GET /#f HTTP/1.1\r\n"},
    {400, "GET /\x80 HTTP/1.1\r\n"},
    {400, "GET /\x7f HTTP/1.1\r\n"},
    {400, "GET /% HTTP/1.1\r\n"},
    {400, "GET /%2 HTTP/1.1\r\n"},
    {400, "GET /%2g HTTP/1.1\r\n"},
    {400, "GET /?%zz HTTP/1.1\r\n"},
    {400, "GET /a\\b HTTP/1.1\r\n"},
    {400, "GET /<> HTTP/1.1\r\n"},
    {400, "GET /\" HTTP/1.1\r\n"},
    {400, "GET /?\" HTTP/1.1\r\n"},
    {400, "GET http:/a HTTP/1.1\r\n"},
    {400, "GET http:// HTTP/1.1\r\n"},
    {400, "GET http:///x HTTP/1.1\r\n"},
    {400, "GET http://u@a/ HTTP/1.1\r\n"},
    {400, "GET http://a:b/ HTTP/1.1\r\n"},
    {400, "GET http://a:65536/ HTTP/1.1\r\n"},
    {400, "GET https://a/ HTTP/1.1\r\n"},
    {400, "GET ftp://a/ HTTP/1.1\r\n"},
    {400, "GET a:80 HTTP/1.1\r\n"},
    {400, "CONNECT / HTTP/1.1\r\n"},
    {400, "CONNECT a HTTP/1.1\r\n"},
    {400, "CONNECT a:0 HTTP/1.1\r\n"},
    {400, "CONNECT http://a:80 HTTP/1.1\r\n"},
    /* fields */
    {400, HEAD "X : 1\r\n\r\n"},
    {400, HEAD "X\t: 1\r\n\r\n"},
    {400, HEAD ": 1\r\n\r\n"},
    {400, HEAD "X\r\n\r\n"},
    {400, HEAD "X 1\r\n\r\n"},
    {400, HEAD "X@: 1\r\n\r\n"},
    {400, HEAD "X\xe4: 1\r\n\r\n"},
    {400, HEAD "X: 1\r\n folded\r\n\r\n"},
    {400, HEAD "X: 1\r\n\tfolded\r\n\r\n"},
    {400, LINE " " HOST "\r\n"},
    {400, LINE " \r\n" HOST "\r\n"},
    {400, HEAD "X: a\x01\r\n\r\n"},
    {400, HEAD "X: a\x7f\r\n\r\n"},
    {400, HEAD "X: a\x0b\r\n\r\n"},
    /* Host */
    {400, LINE "\r\n"},
    {400, LINE "X: 1\r\n\r\n"},
    {400, HEAD HOST "\r\n"},
    {400, HEAD "hOsT: b\r\n\r\n"},
    {400, "GET / HTTP/1.0\r\n" HOST HOST "\r\n"},
    {400, "GET http://a/ HTTP/1.1\r\n\r\n"},
    {400, LINE "Host:\r\n\r\n"},
    {400, LINE "Host: a b\r\n\r\n"},
    {400, LINE "Host: a, b\r\n\r\n"},
    {400, LINE "Host: a/b\r\n\r\n"},
    {400, LINE "Host: u@a\r\n\r\n"},
    {400, LINE "Host: http://a\r\n\r\n"},
    {400, LINE "Host: a:b\r\n\r\n"},
    {400, LINE "Host: a:80:80\r\n\r\n"},
    {400, LINE "Host: a:65536\r\n\r\n"},
    {400, LINE "Host: a:-1\r\n\r\n"},
    {400, LINE "Host: :80\r\n\r\n"},
    {400, LINE "Host: [::1\r\n\r\n"},
    {400, LINE "Host: [g::1]\r\n\r\n"},
    {400, LINE "Host: [::1]x\r\n\r\n"},
    {400, LINE "Host: []\r\n\r\n"},
    {400, LINE "Host: %41\r\n\r\n"},
    {400, LINE "Host: \xc3\xa4\r\n\r\n"},
    {400, "GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n"},
    /* lengths and codings */
    {400, HEAD "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"},
    {400, HEAD "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"},
    {400, HEAD "Content-Length: 1, 1\r\n\r\n"},
    {400, HEAD "Content-Length:\r\n\r\n"},
    {400, HEAD "Content-Length: +1\r\n\r\n"},
    {400, HEAD "Content-Length: -1\r\n\r\n"},
    {400, HEAD "Content-Length: 1 1\r\n\r\n"},
    {400, HEAD "Content-Length: 0x1\r\n\r\n"},
    {400, HEAD "Content-Length: 1.0\r\n\r\n"},
    {400, HEAD "Content-Length: 1;\r\n\r\n"},
    {400, HEAD "Content-Length: \"1\"\r\n\r\n"},
    {400, HEAD "Content-Length: 9223372036854775808\r\n\r\n"},
    {400, HEAD "Content-Length: 18446744073709551617\r\n\r\n"},
    {400, HEAD "Content-Length: 99999999999999999999999\r\n\r\n"},
    {400, HEAD "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: chunked, chunked\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: chunked, gzip\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: ,\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: , ,\t,\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: ,chunked,,chunked\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: ,chunked,gzip,\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: ,\"chunked\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: \"a,chunked\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: , chunked\r\nContent-Length: 5\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: chunked,\r\nTransfer-Encoding: ,\r\n\r\n"},
    {501, HEAD "Transfer-Encoding: ,gzip,,chunked\r\n\r\n"},
    {400, HEAD "Transfer-Encoding:\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: identity\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: gzip\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: xchunked\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: chunked;q=1\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: \"chunked\"\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: chun ked\r\n\r\n"},
    {400, HEAD "Transfer-Encoding: \x0b"
               "chunked\r\n\r\n"},
    {400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {501, HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n"},
    /* the rest */
    {400, HEAD "Connection: a b\r\n\r\n"},
    {417, HEAD "Expect: the-unexpected\r\n\r\n"},
    {417, HEAD "Expect: 100-continue, x\r\n\r\n"},
};

static void malformed_requests_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct http_head h;
        if (feed(&h, false, refused[i].text, strlen(refused[i].text)) != HTTP_BAD)
            fail_msg("not refused: %s", refused[i].text);
        if (h.error_status != refused[i].status)
            fail_msg("status %u (%s) instead of %u: %s", h.error_status, h.error, refused[i].status,
                     refused[i].text);
        assert_non_null(h.error);
    }
}

/* Every byte that is neither text nor white space, in the method, the target, a name and a value, NUL
 * included. */
static void control_characters_are_refused_everywhere(void **state)
{
    (void)state;
    static const char good[] = HEAD "X: 1\r\n\r\n";
    static const size_t places[] = {1, 5, 17, sizeof LINE HOST - 1, sizeof LINE HOST "X: " - 2};
    for (unsigned c = 0; c < 0x20; c++) {
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
            char text[sizeof good];
            memcpy(text, good, sizeof good);
            text[places[i]] = (char)c;
            struct http_head h;
            if (c == '\t' && i == 4)
                continue;
            assert_int_equal(feed(&h, false, text, sizeof text - 1), HTTP_BAD);
            assert_int_equal(h.error_status, 400);
        }
    }
}

/* ---- limits ---- */

static char big[FEED_MAX];

static size_t repeat(size_t at, char c, size_t count)
{
    memset(big + at, c, count);
    return at + count;
}

static size_t append(size_t at, const char *text)
{
    memcpy(big + at, text, strlen(text));
    return at + strlen(text);
}

static enum http_result with_target(struct http_head *h, size_t line_size)
{
    size_t n = append(0, "GET /");
    n = repeat(n, 'a', line_size - 14);
    n = append(n, " HTTP/1.1\r\n" HOST "\r\n");
    return feed(h, false, big, n);
}

static void limits_hold_to_the_byte(void **state)
{
    (void)state;
    struct http_head h;
    assert_int_equal(with_target(&h, HTTP_LINE_MAX), HTTP_DONE);
    assert_true(h.path.size >= 8000);
    assert_int_equal(with_target(&h, HTTP_LINE_MAX + 1), HTTP_BAD);
    assert_int_equal(h.error_status, 414);

    assert_int_equal(feed(&h, false, big, repeat(0, 'G', HTTP_LINE_MAX + 1)), HTTP_BAD);
    assert_int_equal(h.error_status, 501);

    size_t n = repeat(append(append(0, HEAD), "X:"), 'v', HTTP_LINE_MAX - 2);
    assert_int_equal(feed(&h, false, big, append(n, "\r\n\r\n")), HTTP_DONE);
    assert_int_equal(feed(&h, false, big, append(repeat(n, 'v', 1), "\r\n\r\n")), HTTP_BAD);
    assert_int_equal(h.error_status, 431);
}

static size_t head_with_fields(unsigned count)
{
    size_t n = append(0, HEAD);
    for (unsigned i = 1; i < count; i++)
        n = append(n, "X: 1\r\n");
    return append(n, "\r\n");
}

static void many_fields_and_large_heads_are_refused(void **state)
{
    (void)state;
    struct http_head h;
    assert_int_equal(feed(&h, false, big, head_with_fields(HTTP_FIELDS_MAX)), HTTP_DONE);
    assert_int_equal(feed(&h, false, big, head_with_fields(HTTP_FIELDS_MAX + 1)), HTTP_BAD);
    assert_int_equal(h.error_status, 431);
    size_t n = append(0, HEAD);
    while (n < HTTP_HEAD_MAX)
        n = append(repeat(append(n, "X:"), 'v', 5000), "\r\n");
    assert_int_equal(feed(&h, false, big, n), HTTP_BAD);
    assert_int_equal(h.error_status, 431);
}

/* A pipeline: the next request starts where the last one ended. */
static void requests_follow_each_other(void **state)
{
    (void)state;
    static const char text[] = HEAD "\r\n"
                                    "\r\nPOST /b HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
                                    "HEAD /c HTTP/1.1\r\n" HOST "\r\n";
    static const enum http_method methods[] = {HTTP_GET, HTTP_POST, HTTP_HEAD};
    const uint8_t *at = (const uint8_t *)text, *end = at + sizeof text - 1;
    for (size_t i = 0; i < 3; i++) {
        struct http_head h;
        struct http_body b;
        struct bytes payload;
        size_t used;
        http_head_init(&h, false);
        assert_int_equal(http_head_parse(&h, at, (size_t)(end - at)), HTTP_DONE);
        assert_int_equal(h.method, methods[i]);
        at += h.size;
        http_body_init(&b, &h, 100, false);
        assert_int_equal(http_body_parse(&b, at, (size_t)(end - at), &used, &payload), HTTP_DONE);
        assert_int_equal(payload.size, i == 1 ? 3 : 0);
        at += used;
    }
    assert_ptr_equal(at, end);
}

/* ---- responses ---- */

static void responses_are_understood(void **state)
{
    (void)state;
    struct http_head h;
    static const char ok[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    assert_int_equal(feed(&h, true, ok, sizeof ok - 1), HTTP_DONE);
    assert_int_equal(h.status, 404);
    assert_false(h.keep_alive);
    assert_int_equal(h.length, 5);
    static const char bare[] = "HTTP/1.1 200 \r\n\r\n";
    assert_int_equal(feed(&h, true, bare, sizeof bare - 1), HTTP_DONE);
}

static void malformed_responses_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "HTTP/1.1 200\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 600 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA\r\n\r\n",
        "HTTP/1.1 200 OK\nA: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct http_head h;
        assert_int_equal(feed(&h, true, texts[i], strlen(texts[i])), HTTP_BAD);
        assert_int_equal(h.error_status, 502);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_understood),
        cmocka_unit_test(a_part_of_a_good_head_asks_for_more),
        cmocka_unit_test(malformed_requests_are_refused),
        cmocka_unit_test(control_characters_are_refused_everywhere),
        cmocka_unit_test(limits_hold_to_the_byte),
        cmocka_unit_test(many_fields_and_large_heads_are_refused),
        cmocka_unit_test(requests_follow_each_other),
        cmocka_unit_test(responses_are_understood),
        cmocka_unit_test(malformed_responses_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
