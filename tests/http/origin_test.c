/* Purpose: which requests may reach what, by Host, Origin and Sec-Fetch-*: names that could be rebound get
 * nothing, other sites change nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "gateways/http/web_origin.h"

#define LABEL "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct web_origin origin(const char *host, const char *fields)
{
    static char raw[2000];
    struct http_head h;
    struct web_origin o;
    int n = host ? snprintf(raw, sizeof raw, "GET / HTTP/1.1\r\nHost: %s\r\n%s\r\n", host, fields)
                 : snprintf(raw, sizeof raw, "GET / HTTP/1.0\r\n%s\r\n", fields);
    http_head_init(&h, false);
    assert_int_equal(http_head_parse(&h, (const uint8_t *)raw, (size_t)n), HTTP_DONE);
    web_origin_of(&o, &h, (const uint8_t *)raw, "mine.example other.example", "shoal.alt shoal.internal.");
    return o;
}

static void test_hosts(void **state)
{
    static const struct {
        const char *host;
        enum web_host kind;
        bool loopback;
    } table[] = {
        {"127.0.0.1:8733", WEB_HOST_CONTROL, true},
        {"127.0.0.1", WEB_HOST_CONTROL, true},
        {"[::1]:8733", WEB_HOST_CONTROL, true},
        {"192.168.1.5:8733", WEB_HOST_CONTROL, false}, /* an address cannot be rebound */
        {"localhost:8733", WEB_HOST_LOCAL, true},
        {"LOCALHOST", WEB_HOST_LOCAL, true},
        {LABEL ".shoal.localhost:8733", WEB_HOST_CONTENT, false},
        {LABEL ".SHOAL.localhost", WEB_HOST_CONTENT, false},
        {"mine.example:8733", WEB_HOST_CONTROL, false}, /* names the user gave this node */
        {"OTHER.example", WEB_HOST_CONTROL, false},
        {"xother.example", WEB_HOST_BAD, false},
        {"other.exampl", WEB_HOST_BAD, false},
        {"ine.example", WEB_HOST_BAD, false},
        {"evil.example:8733", WEB_HOST_BAD, false},
        {"127.0.0.1.evil.example", WEB_HOST_BAD, false},
        {"localhost.evil.example", WEB_HOST_BAD, false},
        {"xlocalhost", WEB_HOST_BAD, false},
        {"shoal.localhost", WEB_HOST_ZONE, false},
        {".shoal.localhost", WEB_HOST_BAD, false},
        {"a.b.shoal.localhost", WEB_HOST_BAD, false},
        {"a~b.shoal.localhost", WEB_HOST_BAD, false},
        {LABEL ".shoal.alt", WEB_HOST_CONTENT, false},
        {LABEL ".shoal.internal:80", WEB_HOST_CONTENT, false},
        {LABEL ".xshoal.internal", WEB_HOST_BAD, false},
        {LABEL ".shoal.internal.example", WEB_HOST_BAD, false},
        {"shoal.alt", WEB_HOST_ZONE, false},
        {"SHOAL.internal:80", WEB_HOST_ZONE, false},
        {"xshoal.alt", WEB_HOST_BAD, false},
        {"hoal.alt", WEB_HOST_BAD, false},
        {"alt", WEB_HOST_BAD, false},
        {"a" LABEL ".shoal.localhost", WEB_HOST_BAD, false}, /* 64 characters are no label */
        {"2130706433", WEB_HOST_BAD, false},
        {"0x7f.0.0.1", WEB_HOST_BAD, false},
        {"127.1", WEB_HOST_BAD, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct web_origin o = origin(table[i].host, "");
        if (o.host != table[i].kind || (o.host != WEB_HOST_CONTENT && o.loopback_host != table[i].loopback))
            fail_msg("%s: %d", table[i].host, o.host);
        assert_true(o.host != WEB_HOST_CONTENT || strcmp(o.label, LABEL) == 0);
    }
    struct web_origin named = origin("my-Name_1.shoal.localhost", ""); /* a node's site, by a name */
    assert_int_equal(named.host, WEB_HOST_CONTENT);
    assert_string_equal(named.label, "my-name_1");
    assert_int_equal(origin(NULL, "").host, WEB_HOST_CONTROL);
}

/* May it change something, when it also has what it needs (a token, a session)? Only at our own address and
 * not from another site. */
static void test_changes(void **state)
{
    static const struct {
        const char *host, *fields;
        bool may;
    } table[] = {
        {"127.0.0.1:8733", "", true}, /* a script */
        {"127.0.0.1:8733", "Origin: http://127.0.0.1:8733\r\nSec-Fetch-Site: same-origin\r\n", true},
        {"127.0.0.1:8733", "Sec-Fetch-Site: none\r\n", true},
        {"127.0.0.1:8733", "Origin: http://127.0.0.1:8734\r\n", false},
        {"127.0.0.1:8733", "Origin: https://127.0.0.1:8733\r\n", false},
        {"127.0.0.1:8733", "Origin: http://localhost:8733\r\n", false},
        {"127.0.0.1:8733", "Origin: http://evil.example\r\n", false},
        {"127.0.0.1:8733", "Origin: null\r\n", false},
        {"127.0.0.1:8733", "Origin: http://127.0.0.1:8733.evil.example\r\n", false},
        {"127.0.0.1:8733", "Origin: http://" LABEL ".shoal.localhost:8733\r\n", false},
        {"127.0.0.1:8733", "Sec-Fetch-Site: cross-site\r\n", false},
        {"127.0.0.1:8733", "Sec-Fetch-Site: same-site\r\n", false},
        {"127.0.0.1:8733", "Origin: http://127.0.0.1:8733\r\nSec-Fetch-Site: cross-site\r\n", false},
        {"127.0.0.1:80", "Origin: http://127.0.0.1\r\n", true},
        {"localhost:8733", "Origin: http://localhost:8733\r\n", false},
        {"evil.example:8733", "Origin: http://evil.example:8733\r\n", false},
        {LABEL ".shoal.localhost:8733", "Origin: http://" LABEL ".shoal.localhost:8733\r\n", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct web_origin o = origin(table[i].host, table[i].fields);
        if ((o.host == WEB_HOST_CONTROL && !o.cross_site) != table[i].may)
            fail_msg("%s %s", table[i].host, table[i].fields);
        assert_true(!o.same_origin || o.has_origin);
    }
    assert_true(origin("127.0.0.1:8733", "Sec-Fetch-Dest: document\r\n").navigation);
    assert_false(origin("127.0.0.1:8733", "Sec-Fetch-Dest: image\r\n").navigation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hosts), cmocka_unit_test(test_changes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
