/* Answers from a zone file, case by case: RFC 1034 4.3.2, 2308, 4592, 6604, 6672, 8482, 9471, truncation. */
#include "tests/dns/ask.h"

static const char zone_text[] =
    "$ORIGIN example.\n$TTL 60\n"
    "@ 300 SOA ns hostmaster 7 2 3 4 120\n"
    "@ NS ns\n@ NS ns.other.\n@ MX 10 mail\n@ TXT \"apex\"\n"
    "ns A 192.0.2.53\nmail A 192.0.2.25\nmail AAAA 2001:db8::25\n"
    "www CNAME mail\nfar CNAME www.far.test.\nout CNAME nothere\nl1 CNAME l2\nl2 CNAME l1\ntosub CNAME "
    "x.sub\n"
    "a.b.ent A 192.0.2.9\n"
    "*.wild A 192.0.2.77\n*.wild MX 5 mail\nhost.wild TXT \"not wild\"\n*.sub2.wild TXT deep\n*.cw CNAME "
    "mail\n"
    "sub NS ns.sub\nsub NS ns.elsewhere.\nsub NS ns\nsub DS 1 8 2 00FF\nns.sub A 192.0.2.54\nns.sub AAAA "
    "2001:db8::54\n"
    "d DNAME e\nx.e A 192.0.2.88\nd TXT \"at the DNAME\"\nlong DNAME "
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.e\n"
    "_s._tcp SRV 1 2 80 mail\n"
    "fat TXT 0123456789012345678901234567890123456789012345678901234567890123456789 "
    "0123456789012345678901234567890123456789012345678901234567890123456789\n"
    "unknown TYPE65280 \\# 2 0102\n";

static const char far_text[] =
    "far.test. 60 SOA far.test. h.far.test. 1 2 3 4 5\nwww.far.test. 60 A 198.51.100.1\n";

#define SOA " au example. 120 SOA ns.example. hostmaster.example. 7 2 3 4 120"

static const struct {
    const char *name;
    uint16_t type;
    const char *answer;
} cases[] = {
    {"example.", DNS_SOA, "NOERROR aa an example. 300 SOA ns.example. hostmaster.example. 7 2 3 4 120"},
    {"example.", DNS_NS,
     "NOERROR aa an example. 60 NS ns.example. an example. 60 NS ns.other. ad ns.example. 60 A 192.0.2.53"},
    {"example.", DNS_MX,
     "NOERROR aa an example. 60 MX 10 mail.example. ad mail.example. 60 A 192.0.2.25 ad mail.example. 60 "
     "AAAA 2001:db8::25"},
    {"example.", DNS_A, "NOERROR aa" SOA},
    {"example.", DNS_DS, "NOERROR aa" SOA},
    {"EXAMPLE.", DNS_TXT, "NOERROR aa an example. 60 TXT \"apex\""},
    {"mail.example.", DNS_A, "NOERROR aa an mail.example. 60 A 192.0.2.25"},
    {"mail.example.", DNS_ANY, "NOERROR aa an mail.example. 3600 HINFO \"RFC8482\" \"\""},
    {"nothere.example.", DNS_ANY, "NXDOMAIN aa" SOA},
    {"www.example.", DNS_A,
     "NOERROR aa an www.example. 60 CNAME mail.example. an mail.example. 60 A 192.0.2.25"},
    {"www.example.", DNS_CNAME, "NOERROR aa an www.example. 60 CNAME mail.example."},
    {"www.example.", DNS_ANY, "NOERROR aa an www.example. 60 CNAME mail.example."},
    {"www.example.", DNS_TXT, "NOERROR aa an www.example. 60 CNAME mail.example." SOA},
    {"far.example.", DNS_A,
     "NOERROR aa an far.example. 60 CNAME www.far.test. an www.far.test. 60 A 198.51.100.1"},
    {"out.example.", DNS_A, "NXDOMAIN aa an out.example. 60 CNAME nothere.example." SOA},
    {"l1.example.", DNS_A,
     "NOERROR aa an l1.example. 60 CNAME l2.example. an l2.example. 60 CNAME l1.example."},
    {"b.ent.example.", DNS_A, "NOERROR aa" SOA},
    {"ent.example.", DNS_A, "NOERROR aa" SOA},
    {"c.ent.example.", DNS_A, "NXDOMAIN aa" SOA},
    {"x.wild.example.", DNS_A, "NOERROR aa an x.wild.example. 60 A 192.0.2.77"},
    {"x.y.wild.example.", DNS_A, "NOERROR aa an x.y.wild.example. 60 A 192.0.2.77"},
    {"x.wild.example.", DNS_TXT, "NOERROR aa" SOA},
    {"*.wild.example.", DNS_A, "NOERROR aa an *.wild.example. 60 A 192.0.2.77"},
    {"host.wild.example.", DNS_A, "NOERROR aa" SOA},
    {"x.host.wild.example.", DNS_A, "NXDOMAIN aa" SOA},
    {"x.sub2.wild.example.", DNS_TXT, "NOERROR aa an x.sub2.wild.example. 60 TXT \"deep\""},
    {"sub2.wild.example.", DNS_TXT, "NOERROR aa" SOA},
    {"wild.example.", DNS_A, "NOERROR aa" SOA},
    {"q.cw.example.", DNS_A,
     "NOERROR aa an q.cw.example. 60 CNAME mail.example. an mail.example. 60 A 192.0.2.25"},
    {"sub.example.", DNS_A,
     "NOERROR au sub.example. 60 NS ns.sub.example. au sub.example. 60 NS ns.elsewhere. au sub.example. 60 "
     "NS ns.example. ad ns.sub.example. 60 A "
     "192.0.2.54 ad ns.sub.example. 60 AAAA 2001:db8::54 ad ns.example. 60 A 192.0.2.53"},
    {"ns.sub.example.", DNS_A, "NOERROR au sub.example. 60 NS"},
    {"deep.below.sub.example.", DNS_MX, "NOERROR au sub.example. 60 NS"},
    {"sub.example.", DNS_DS, "NOERROR aa an sub.example. 60 DS 1 080200ff"},
    {"tosub.example.", DNS_A, "NOERROR aa an tosub.example. 60 CNAME x.sub.example. au sub.example. 60 NS"},
    {"d.example.", DNS_TXT, "NOERROR aa an d.example. 60 TXT \"at the DNAME\""},
    {"x.d.example.", DNS_A,
     "NOERROR aa an d.example. 60 DNAME e.example. an x.d.example. 60 CNAME x.e.example. an x.e.example. 60 "
     "A 192.0.2.88"},
    {"x.d.example.", DNS_CNAME,
     "NOERROR aa an d.example. 60 DNAME e.example. an x.d.example. 60 CNAME x.e.example."},
    {"y.d.example.", DNS_A,
     "NXDOMAIN aa an d.example. 60 DNAME e.example. an y.d.example. 60 CNAME y.e.example." SOA},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
     "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb."
     "ccccccccccccccccccccccccccccccccccccccccccccccccccccc.ddddddddddddddddddddddddddddddddddddddddddd.long."
     "example.",
     DNS_A, "YXDOMAIN aa an long.example. 60 DNAME"},
    {"_s._tcp.example.", DNS_SRV,
     "NOERROR aa an _s._tcp.example. 60 SRV 1 2 80 mail.example. ad mail.example. 60 A 192.0.2.25"},
    {"_tcp.example.", DNS_SRV, "NOERROR aa" SOA},
    {"unknown.example.", 65280, "NOERROR aa an unknown.example. 60 TYPE65280 0102"},
    {"unknown.example.", 1000, "NOERROR aa" SOA},
    {"xexample.", DNS_A, "REFUSED"},
    {"le.", DNS_A, "REFUSED"},
    {"far.test.", DNS_A, "NOERROR aa au far.test. 5 SOA"},
};

static void serve(struct dns_server *s)
{
    memset(s, 0, sizeof *s);
    assert_int_equal(dns_server_add_zone(s, zone_of(zone_text)), 0);
    assert_int_equal(dns_server_add_zone(s, zone_of(far_text)), 0);
}

static void test_cases(void **state)
{
    static struct dns_server s;
    (void)state;
    serve(&s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct question q = {.name = cases[i].name, .type = cases[i].type};
        char expected[1024], lower[300];
        snprintf(lower, sizeof lower, "%s %u", cases[i].name, cases[i].type);
        snprintf(expected, sizeof expected, "%s", cases[i].answer);
        assert_answer(lower, ask(&s, &loopback_asker, &q), expected);
    }
    dns_server_free_zones(&s);
}

/* 40 TXT records of 50 bytes: over 1,232 and over 512. Given: a size the asker takes. Then: it fits, or TC
 * and nothing, never a part. */
static void test_truncation(void **state)
{
    static struct dns_server s;
    static char text[8192];
    int n = snprintf(text, sizeof text, "example. 60 SOA example. h.example. 1 2 3 4 5\n");
    (void)state;
    for (int i = 0; i < 40; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "big.example. 60 TXT \"%040d\"\n", i);
    for (int i = 0; i < 8; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "mid.example. 60 TXT \"%060d\"\n", i);
    for (int i = 0; i < 14; i++)
        n += snprintf(
            text + n, sizeof text - (size_t)n,
            "cut.example. 60 NS ns%02d%030d.cut.example.\nns%02d%030d.cut.example. 60 A 192.0.2.%d\n", i, 0,
            i, 0, i);
    memset(&s, 0, sizeof s);
    assert_int_equal(dns_server_add_zone(&s, zone_of(text)), 0);
    static const struct {
        const char *name;
        bool edns;
        uint16_t size;
        bool tcp, cut;
    } tries[] = {{"big.example.", false, 0, false, true},   {"big.example.", true, 4096, false, true},
                 {"big.example.", false, 0, true, false},   {"mid.example.", false, 0, false, true},
                 {"mid.example.", true, 512, false, true},  {"mid.example.", true, 0, false, false},
                 {"mid.example.", true, 1, false, true},    {"mid.example.", true, 1232, false, false},
                 {"x.cut.example.", false, 0, false, true}, {"x.cut.example.", false, 0, true, false}};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        struct dns_asker asker = loopback_asker;
        asker.tcp = tries[i].tcp;
        struct question q = {
            .name = tries[i].name, .type = DNS_TXT, .edns = tries[i].edns, .udp_size = tries[i].size};
        const char *got = ask(&s, &asker, &q);
        bool cut = strstr(got, " tc") != NULL;
        if (cut != tries[i].cut || (cut && strstr(got, " TXT ")))
            fail_msg("%zu: %s", i, got);
    }
    dns_server_free_zones(&s);
}

/* From an address that anybody may forge no answer is larger than three times its question, unless the asker
 * brings a cookie of ours. */
static void test_amplification(void **state)
{
    static struct dns_server s;
    struct dns_asker asker = {.from = net_addr_v4(192, 88, 98, 1, 9), .to = net_addr_v4(192, 88, 98, 2, 53)};
    uint8_t query[512], out[DNS_UDP_MAX], option[28] = {0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8};
    char later[DNS_TEXT_MAX];
    (void)state;
    serve(&s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = make_query(
            query, &(struct question){.name = cases[i].name, .type = cases[i].type, .edns = i % 2});
        size_t n = dns_answer(&s, 5000000, &asker, bytes_of(query, size), out, sizeof out, later);
        assert_true(n > 0 && n <= 3 * size);
    }
    struct question q = {
        .name = "fat.example.", .type = DNS_TXT, .edns = true, .options = bytes_of(option, 12)};
    size_t size = make_query(query, &q);
    size_t n = dns_answer(&s, 5000000, &asker, bytes_of(query, size), out, sizeof out, later);
    assert_true(get_be16(out + 2) & DNS_FLAG_TC);
    assert_memory_equal(out + n - 28, "\0\x0a\0\x18\1\2\3\4\5\6\7\x8\1\0\0\0", 16);
    memcpy(option, out + n - 28, 28);
    q.options = bytes_of(option, 28);
    size = make_query(query, &q);
    dns_answer(&s, 5000000, &asker, bytes_of(query, size), out, sizeof out, later);
    assert_false(get_be16(out + 2) & DNS_FLAG_TC);
    asker.from = net_addr_v4(192, 88, 98, 3, 9); /* somebody else's cookie */
    dns_answer(&s, 5000000, &asker, bytes_of(query, size), out, sizeof out, later);
    assert_true(get_be16(out + 2) & DNS_FLAG_TC);
    dns_server_free_zones(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_truncation),
                                       cmocka_unit_test(test_amplification)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
