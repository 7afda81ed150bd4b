/* The zones of names: what each name and type answers, and how it depends on who asks and where the gateway
 * is bound. */
#include "tests/dns/ask.h"
#include "gateways/dns/dns_puny.h"

#define ALICE "aliceid"
#define SOA   " au shoal.alt. 10 SOA node.shoal.alt. hostmaster.shoal.alt. 77 3600 600 86400 10"
#define LATE  "lateid"

static bool late_is_known;

static int find(void *owner, const char *text, struct dns_who *out)
{
    (void)owner;
    memset(out, 0, sizeof *out);
    snprintf(out->id, sizeof out->id, "%s", text);
    if (strcmp(text, "content") == 0) {
        out->is_content = true;
        return 0;
    }
    if (strcmp(text, "caf\xc3\xa9") == 0)
        return 0;
    if (strcmp(text, "alice") == 0 || (strcmp(text, "late") == 0 && late_is_known)) {
        snprintf(out->id, sizeof out->id, ALICE);
        snprintf(out->nickname, sizeof out->nickname, "Alice");
        out->stale = text[0] == 'l';
        out->addresses[0] = net_addr_v4(192, 0, 2, 7, 7733);
        out->addresses[1] = (struct net_addr){.ip = {0x20, 1, 0xd, 0xb8, [15] = 7}, .port = 7733};
        out->addresses[2] = net_addr_v4(192, 0, 2, 7, 7734);
        out->address_count = 3;
        out->services[0] = (struct dns_service){"ftp", 2121};
        out->service_count = 1;
        return 0;
    }
    return strcmp(text, "late") == 0 ? ERR_BUSY : ERR_NOT_FOUND;
}

static bool find_at(void *owner, const struct net_addr *at, char text[DNS_TEXT_MAX])
{
    struct net_addr alice = net_addr_v4(192, 0, 2, 7, 0), six = {.ip = {0x20, 1, 0xd, 0xb8, [15] = 7}};
    (void)owner;
    snprintf(text, DNS_TEXT_MAX, net_addr_same_ip(at, &six) ? "caf\xc3\xa9" : "alice");
    return net_addr_same_ip(at, &alice) || net_addr_same_ip(at, &six);
}

static bool beside(void *owner, const struct net_addr *to, bool v6, struct net_addr *out)
{
    (void)owner;
    (void)to;
    *out = v6 ? (struct net_addr){.ip = {0xfd, [15] = 9}, .port = 1} : net_addr_v4(10, 0, 0, 9, 1);
    return true;
}

static void serve(struct dns_server *s)
{
    memset(s, 0, sizeof *s);
    s->find = find;
    s->find_at = find_at;
    s->beside = beside;
    s->serial = 77;
    s->http = net_addr_v4(127, 0, 0, 1, 8733);
    s->services[0] = (struct dns_service){"http", 8733};
    s->service_count = 1;
    assert_int_equal(dns_server_add_suffix(s, "shoal.alt"), 0);
    assert_int_equal(dns_server_add_suffix(s, "Shoal.Internal."), 0);
    assert_int_equal(dns_server_add_suffix(s, "shoal.alt."), ERR_EXISTS);
    assert_int_equal(dns_server_add_suffix(s, "a..b"), ERR_MALFORMED);
}

static const struct {
    const char *name;
    uint16_t type;
    const char *answer;
} cases[] = {
    {"shoal.alt.", DNS_SOA,
     "NOERROR aa an shoal.alt. 3600 SOA node.shoal.alt. hostmaster.shoal.alt. 77 3600 600 86400 10"},
    {"shoal.alt.", DNS_NS, "NOERROR aa an shoal.alt. 3600 NS node.shoal.alt."},
    {"shoal.alt.", DNS_A, "NOERROR aa an shoal.alt. 60 A 127.0.0.1"},
    {"shoal.alt.", DNS_AAAA, "NOERROR aa" SOA},
    {"shoal.alt.", DNS_TXT, "NOERROR aa an shoal.alt. 60 TXT \"shoal="},
    {"shoal.alt.", DNS_ANY, "NOERROR aa an shoal.alt. 3600 HINFO \"RFC8482\" \"\""},
    {"node.shoal.alt.", DNS_A, "NOERROR aa an node.shoal.alt. 60 A 127.0.0.1"},
    {"alice.shoal.alt.", DNS_A, "NOERROR aa an alice.shoal.alt. 60 A 127.0.0.1"},
    {"ALICE.shoal.ALT.", DNS_A, "NOERROR aa an alice.shoal.alt. 60 A 127.0.0.1"},
    {"alice.shoal.internal.", DNS_A, "NOERROR aa an alice.shoal.internal. 60 A 127.0.0.1"},
    {"alice.shoal.alt.", DNS_AAAA, "NOERROR aa" SOA},
    {"alice.shoal.alt.", DNS_MX, "NOERROR aa an alice.shoal.alt. 60 MX 0 ."},
    {"alice.shoal.alt.", DNS_TXT,
     "NOERROR aa an alice.shoal.alt. 60 TXT \"node=aliceid\" an alice.shoal.alt. 60 TXT \"nickname=Alice\""},
    {"alice.shoal.alt.", 65, "NOERROR aa" SOA},
    {"content.shoal.alt.", DNS_A, "NOERROR aa an content.shoal.alt. 60 A 127.0.0.1"},
    {"content.shoal.alt.", DNS_TXT, "NOERROR aa an content.shoal.alt. 60 TXT \"content=content\""},
    {"node.content.shoal.alt.", DNS_A, "NXDOMAIN aa" SOA},
    {"xn--caf-dma.shoal.alt.", DNS_A, "NOERROR aa an xn--caf-dma.shoal.alt. 60 A 127.0.0.1"},
    {"node.alice.shoal.alt.", DNS_A, "NOERROR aa an node.alice.shoal.alt. 60 A 192.0.2.7"},
    {"node.alice.shoal.alt.", DNS_AAAA, "NOERROR aa an node.alice.shoal.alt. 60 AAAA 2001:db8::7"},
    {"node.alice.shoal.alt.", DNS_TXT, "NOERROR aa" SOA},
    {"_http._tcp.alice.shoal.alt.", DNS_SRV,
     "NOERROR aa an _http._tcp.alice.shoal.alt. 60 SRV 0 0 8733 alice.shoal.alt."},
    {"_ftp._tcp.alice.shoal.alt.", DNS_SRV, "NXDOMAIN aa" SOA},
    {"_tcp.alice.shoal.alt.", DNS_SRV, "NOERROR aa" SOA},
    {"_ftp._tcp.node.alice.shoal.alt.", DNS_SRV,
     "NOERROR aa an _ftp._tcp.node.alice.shoal.alt. 60 SRV 0 0 2121 node.alice.shoal.alt."},
    {"_tcp.node.alice.shoal.alt.", DNS_SRV, "NOERROR aa" SOA},
    {"_http._udp.alice.shoal.alt.", DNS_SRV, "NXDOMAIN aa" SOA},
    {"www.alice.shoal.alt.", DNS_A, "NXDOMAIN aa" SOA},
    {"a.b.c.d.e.alice.shoal.alt.", DNS_A, "NXDOMAIN aa" SOA},
    {"bob.shoal.alt.", DNS_A, "NXDOMAIN aa" SOA},
    {"bob.shoal.alt.", DNS_ANY, "NXDOMAIN aa" SOA},
    {"node.bob.shoal.alt.", DNS_A, "NXDOMAIN aa" SOA},
    {"\\000.shoal.alt.", DNS_A, "NXDOMAIN aa" SOA},
    {"\\255.shoal.alt.", DNS_A, "NXDOMAIN aa" SOA},
    {"xn--.shoal.alt.", DNS_A, "NXDOMAIN aa" SOA},
    {"alt.", DNS_A, "REFUSED"},
    {"shoal.alt.example.", DNS_A, "REFUSED"},
    {"late.shoal.alt.", DNS_A, "NOERROR aa an late.shoal.alt. 60 A 127.0.0.1"},
    {"late.shoal.alt.", DNS_TXT, "later late"},
    {"node.late.shoal.alt.", DNS_AAAA, "later late"},
    {"_ftp._tcp.node.late.shoal.alt.", DNS_SRV, "later late"},
    {"7.2.0.192.in-addr.arpa.", DNS_PTR, "NOERROR aa an 7.2.0.192.in-addr.arpa. 60 PTR alice.shoal.alt."},
    {"7.2.0.192.in-addr.arpa.", DNS_A, "NOERROR aa au 7.2.0.192.in-addr.arpa. 10 SOA node.shoal.alt."},
    {"8.2.0.192.in-addr.arpa.", DNS_PTR, "REFUSED"},
    {"07.2.0.192.in-addr.arpa.", DNS_PTR, "REFUSED"},
    {"256.2.0.192.in-addr.arpa.", DNS_PTR, "REFUSED"},
    {"2.0.192.in-addr.arpa.", DNS_PTR, "REFUSED"},
    {"7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", DNS_PTR,
     "NOERROR aa an 7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 PTR "
     "xn--caf-dma.shoal.alt."},
    {"g.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", DNS_PTR, "REFUSED"},
};

static void test_cases(void **state)
{
    static struct dns_server s;
    (void)state;
    serve(&s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct question q = {.name = cases[i].name, .type = cases[i].type};
        assert_answer(cases[i].name, ask(&s, &loopback_asker, &q), cases[i].answer);
    }
}

/* A name whose profile is not in memory: asked again when it was found, or when it was not in time. */
static void test_later(void **state)
{
    static struct dns_server s;
    uint8_t query[512], out[DNS_UDP_MAX];
    (void)state;
    serve(&s);
    size_t size =
        make_query(query, &(struct question){.name = "node.late.shoal.alt.", .type = DNS_A, .edns = true});
    size_t n = dns_answer(&s, 0, &loopback_asker, bytes_of(query, size), out, sizeof out, NULL);
    assert_answer("not found in time", show(bytes_of(out, n)), "SERVFAIL opt 0 0 0000 000f00020016");
    late_is_known = true;
    n = dns_answer(&s, 0, &loopback_asker, bytes_of(query, size), out, sizeof out, NULL);
    assert_answer("stale", show(bytes_of(out, n)),
                  "NOERROR aa an node.late.shoal.alt. 30 A 192.0.2.7 opt 0 0 0000 000f00020003");
    late_is_known = false;
    size = make_query(query, &(struct question){.name = "late.shoal.alt.", .type = DNS_TXT});
    n = dns_answer(&s, 0, &loopback_asker, bytes_of(query, size), out, sizeof out, NULL);
    assert_answer("the id is known", show(bytes_of(out, n)),
                  "NOERROR aa an late.shoal.alt. 60 TXT \"node=late\"");
}

#define V4(...) net_addr_v4(__VA_ARGS__, 1)
#define V6(...)                                                                                              \
    (struct net_addr)                                                                                        \
    {                                                                                                        \
        .ip = {__VA_ARGS__}, .port = 1                                                                       \
    }

/* The gateway's address as the asker can reach it; "" = none. */
static void test_reach(void **state)
{
    static struct dns_server s;
    (void)state;
    serve(&s);
    struct net_addr none = {.port = 0}, any4 = V4(0, 0, 0, 0), any6 = V6(0), lo4 = V4(127, 0, 0, 1),
                    lo6 = V6([15] = 1);
    struct net_addr lan = V4(192, 168, 1, 5), lan6 = V6(0xfd, [15] = 5), far = V4(192, 168, 1, 77),
                    far6 = V6(0xfd, [15] = 77);
    struct net_addr other = V4(10, 1, 1, 1), link = V6(0xfe, 0x80, [15] = 5);
    const struct {
        const char *what;
        struct net_addr bound, from, to;
        const char *a, *aaaa;
    } tries[] = {
        {"off", none, lo4, lo4, "", ""},
        {"loopback gateway, loopback asker", lo4, lo4, lo4, "127.0.0.1", ""},
        {"loopback gateway, loopback asker by IPv6", lo4, lo6, lo6, "127.0.0.1", ""},
        {"loopback gateway, another computer", lo4, far, lan, "", ""},
        {"IPv6 loopback gateway", lo6, lo4, lo4, "", "::1"},
        {"IPv6 loopback gateway, another computer", lo6, far6, lan6, "", ""},
        {"any IPv4, loopback asker", any4, lo4, lo4, "127.0.0.1", ""},
        {"any IPv4, another computer", any4, far, lan, "192.168.1.5", ""},
        {"any IPv4, another computer by IPv6", any4, far6, lan6, "10.0.0.9", ""},
        {"any of both, loopback asker", any6, lo6, lo6, "127.0.0.1", "::1"},
        {"any of both, another computer", any6, far, lan, "192.168.1.5", "fd00::9"},
        {"any of both, link-local", any6, far6, link, "10.0.0.9", ""},
        {"one address", other, far, lan, "10.1.1.1", ""},
        {"one address, loopback asker", other, lo4, lo4, "10.1.1.1", ""},
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        struct dns_asker asker = {.from = tries[i].from, .to = tries[i].to};
        s.http = tries[i].bound;
        for (int v6 = 0; v6 < 2; v6++) {
            const char *address = v6 ? tries[i].aaaa : tries[i].a;
            char expected[200];
            if (*address)
                snprintf(expected, sizeof expected, "NOERROR aa an alice.shoal.alt. 60 %s %s",
                         v6 ? "AAAA" : "A", address);
            else
                snprintf(expected, sizeof expected, "NOERROR aa" SOA);
            struct question q = {.name = "alice.shoal.alt.", .type = v6 ? DNS_AAAA : DNS_A};
            assert_answer(tries[i].what, ask(&s, &asker, &q), expected);
        }
    }
}

/* RFC 3492, 7.1, and what is none. */
static void test_puny(void **state)
{
    static const struct {
        const char *label, *text;
    } good[] = {
        {"xn--egbpdaj6bu4bxfgehfvwxn",
         "\xd9\x84\xd9\x8a\xd9\x87\xd9\x85\xd8\xa7\xd8\xa8\xd8\xaa\xd9\x83\xd9\x84\xd9\x85\xd9\x88\xd8\xb4"
         "\xd8\xb9\xd8\xb1\xd8\xa8\xd9\x8a\xd8\x9f"},
        {"xn--ihqwcrb4cv8a8dqg056pqjye", "\xe4\xbb\x96\xe4\xbb\xac\xe4\xb8\xba\xe4\xbb\x80\xe4\xb9\x88\xe4"
                                         "\xb8\x8d\xe8\xaf\xb4\xe4\xb8\xad\xe6\x96\x87"},
        {"xn--bcher-kva", "b\xc3\xbc"
                          "cher"},
        {"xn--mnchen-3ya", "m\xc3\xbcnchen"},
        {"xn--ls8h", "\xf0\x9f\x92\xa9"},
        {"plain", "plain"},
    };
    static const char *const bad[] = {"xn--",     "xn--99999999999", "xn--b\xc3\xbc", "\xff\xfe",
                                      "\xc0\x80", "\xed\xa0\x80",    "xn--abc-"};
    char out[DNS_TEXT_MAX];
    uint8_t label[63];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(
            dns_label_to_utf8(out, sizeof out, (const uint8_t *)good[i].label, strlen(good[i].label)));
        assert_string_equal(out, good[i].text);
        assert_int_equal(dns_label_from_utf8(label, good[i].text), strlen(good[i].label));
        assert_memory_equal(label, good[i].label, strlen(good[i].label));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (dns_label_to_utf8(out, sizeof out, (const uint8_t *)bad[i], strlen(bad[i])))
            fail_msg("\"%s\" was taken: %s", bad[i], out);
}

/* 10 answers a second to one network: then TC and silence in turn, and again after a while; a cookie is not
 * counted, loopback never. */
static void test_limit(void **state)
{
    static struct dns_limit l;
    static const uint8_t secret[DNS_SECRET_SIZE] = {1};
    struct net_addr a = net_addr_v4(198, 51, 100, 1, 9), b = net_addr_v4(198, 51, 100, 200, 9),
                    c = net_addr_v4(198, 51, 101, 1, 9);
    struct net_addr loopback = net_addr_v4(127, 0, 0, 1, 9);
    core_time now = 1000000;
    (void)state;
    dns_limit_init(&l, 10, secret);
    for (int i = 0; i < 10; i++)
        assert_int_equal(dns_limit_take(&l, now, i % 2 ? &a : &b), DNS_PASS);
    assert_int_equal(dns_limit_take(&l, now, &a), DNS_SLIP);
    assert_int_equal(dns_limit_take(&l, now, &b), DNS_DROP);
    assert_int_equal(dns_limit_take(&l, now, &a), DNS_SLIP);
    assert_int_equal(dns_limit_take(&l, now, &c), DNS_PASS);
    for (int i = 0; i < 100; i++)
        assert_int_equal(dns_limit_take(&l, now, &loopback), DNS_PASS);
    now += 199999; /* one answer's worth, and almost a second one */
    assert_int_equal(dns_limit_take(&l, now, &a), DNS_PASS);
    assert_true(dns_limit_take(&l, now, &a) != DNS_PASS);
    now += 1;
    assert_int_equal(dns_limit_take(&l, now, &a), DNS_PASS);
    now += UINT64_C(3600000000);
    for (int i = 0; i < 10; i++)
        assert_int_equal(dns_limit_take(&l, now, &a), DNS_PASS);
    assert_true(dns_limit_take(&l, now, &a) != DNS_PASS);
    /* 100,000 forged networks later the object is no larger, and still limits. */
    for (unsigned i = 0; i < 100000; i++) {
        struct net_addr forged = net_addr_v4((uint8_t)(1 + i % 200), (uint8_t)(i >> 8), (uint8_t)i, 1, 9);
        dns_limit_take(&l, now, &forged);
    }
    unsigned passed = 0;
    for (int i = 0; i < 1000; i++)
        passed += dns_limit_take(&l, now, &c) == DNS_PASS;
    assert_int_equal(passed, 10);
}

static void test_cookie_age(void **state)
{
    static const uint8_t secret[DNS_SECRET_SIZE] = {2};
    uint8_t cookie[DNS_COOKIE_WHOLE_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct net_addr a = net_addr_v4(198, 51, 100, 1, 9);
    (void)state;
    dns_cookie_make(cookie, secret, 5000, &a);
    assert_true(dns_cookie_ok(bytes_of(cookie, sizeof cookie), secret, 5000, &a));
    assert_true(dns_cookie_ok(bytes_of(cookie, sizeof cookie), secret, 8600, &a));
    assert_false(dns_cookie_ok(bytes_of(cookie, sizeof cookie), secret, 8601, &a));
    assert_false(dns_cookie_ok(bytes_of(cookie, sizeof cookie), secret, 4999, &a));
    assert_false(dns_cookie_ok(bytes_of(cookie, 16), secret, 5000, &a));
    for (size_t i = 0; i < sizeof cookie; i++) {
        cookie[i] ^= 1;
        assert_false(dns_cookie_ok(bytes_of(cookie, sizeof cookie), secret, 5001, &a));
        cookie[i] ^= 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_later),
                                       cmocka_unit_test(test_reach), cmocka_unit_test(test_puny),
                                       cmocka_unit_test(test_limit), cmocka_unit_test(test_cookie_age)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
