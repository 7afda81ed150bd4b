/* Master files: records that are read, as the bytes they become; files that are refused, with the line and
 * what is wrong. */
#include "tests/dns/ask.h"

/* Text of the data of one record, after "x TYPE", and its bytes in hexadecimal. */
static const struct {
    const char *type, *text, *hex;
} records[] = {
    {"A", "192.0.2.1", "c0000201"},
    {"AAAA", "2001:db8::1", "20010db8000000000000000000000001"},
    {"AAAA", "::ffff:192.0.2.1", "00000000000000000000ffffc0000201"},
    {"NS", "ns.example.", "026e73076578616d706c6500"},
    {"NS", "ns", "026e73016f00"},
    {"MX", "10 @", "000a016f00"},
    {"TXT", "a \"b c\" \"d\\\"\\065\\;\"",
     "0161036220630464224"
     "13b"},
    {"TXT", "\"\"", "00"},
    {"TXT", "( a ; comment\n b )", "01610162"},
    {"HINFO", "PC \"Li nux\"", "025043064c69206e7578"},
    {"RP", "a b", "0161016f000162016f00"},
    {"SRV", "1 2 80 t", "0001000200500174016f00"},
    {"NAPTR", "100 50 \"s\" \"SIP+D2U\" \"\" _sip._udp",
     "006400320173075349502b44325500045f736970045f756470016f00"},
    {"CAA", "0 issue \"ca.example; policy=ev\"",
     "000569737375656361"
     "2e6578616d706c653b20706f6c6963793d6576"},
    {"URI", "10 1 \"ftp://ftp1.example/\"", "000a00016674703a2f2f667470312e6578616d706c652f"},
    {"SSHFP", "4 2 AB cd 01", "0402abcd01"},
    {"TLSA", "3 1 1 00ff", "03010100ff"},
    {"DS", "60485 ECDSAP256SHA256 2 00FF", "ec450d0200ff"},
    {"DNSKEY", "257 3 13 AQ ID", "0101030d010203"},
    {"CERT", "PKIX 1 RSASHA256 AQ==", "000100010801"},
    {"DHCID", "AQID", "010203"},
    {"RRSIG", "A 8 2 3600 20260101000000 1767225600 1 example. AQID",
     "00010802000"
     "00e106955b9006955b90000"
     "01076578616d706c6500010203"},
    {"NSEC", "b A MX RRSIG NSEC TYPE1234",
     "0162016f000006400100000003041b000000000000000000000000000000000000000000000000000020"},
    {"NSEC3PARAM", "1 0 10 -", "0100000a00"},
    {"NSEC3", "1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr A RRSIG",
     "0101000c04aabbccdd14174eb2409fe28bcb4887a1836f957f0a8425e27b0006400000"
     "000002"},
    {"LOC", "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m", "000016138b3cf018810cbce0009895b8"},
    {"LOC", "0 S 0 W 0",
     "001216138000000080000000"
     "00989680"},
    {"APL", "1:192.168.32.0/21 !1:192.168.38.0/28 2:ff00::/8",
     "00011503c0a82000011c83c0a826000208"
     "01ff"},
    {"IPSECKEY", "10 1 2 192.0.2.38 AQID", "0a0102c0000226010203"},
    {"IPSECKEY", "10 0 2 . AQID", "0a0002010203"},
    {"EUI48", "00-00-5e-00-53-2a", "00005e00532a"},
    {"EUI64", "00-00-5e-ef-10-00-00-2a", "00005eef1000002a"},
    {"NID", "10 14:4fff:ff20:ee64", "000a00144fffff20ee64"},
    {"L64", "10 2001:0DB8:1140:1000", "000a20010db811401000"},
    {"CSYNC", "66 3 A NS AAAA",
     "0000004200030004600000"
     "08"},
    {"SVCB", "0 t", "00000174016f00"},
    {"HTTPS", "1 . port=8443 alpn=\"h2,h3\"", "000100000100060268320268330003000220fb"},
    {"SVCB", "16 t mandatory=ipv4hint,alpn alpn=h2 ipv4hint=192.0.2.1",
     "00100174016f000000000400010004000100030268320004000"
     "4c0000201"},
    {"SVCB", "1 t key667=hello no-default-alpn ipv6hint=2001:db8::1,2001:db8::2",
     "00010174016f00000200000006002020010db800000000000000000000000120010db8000000000000000000000002029b00056"
     "8656c6c6f"},
    {"TYPE731", "\\# 6 abcdef 012345", "abcdef012345"},
    {"A", "\\# 4 0A000001", "0a000001"},
    {"TYPE1", "10.0.0.2", "0a000002"},
    {"TYPE65280", "\\# 0", ""},
};

static size_t read_record(const char *type, const char *text, uint8_t **data, char *message, uint32_t *line)
{
    static struct dns_zone *z;
    char file[2048];
    dns_zone_free(z);
    z = dns_zone_new();
    snprintf(file, sizeof file, "$ORIGIN o.\n$TTL 60\n@ SOA a b 1 2 3 4 5\nx %s %s\n", type, text);
    int r = dns_master_read(z, file, strlen(file), NULL, line, message);
    if (r != 0)
        return SIZE_MAX;
    const struct dns_node *node = dns_zone_get(z, (const uint8_t *)"\1x\1o");
    const struct dns_set *set = dns_node_set(node, (uint16_t)dns_type_from_text(type, strlen(type)));
    *data = set->data + 2;
    return get_be16(set->data);
}

static void test_records(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        char message[DNS_ZONE_MESSAGE], hex[1024] = "", expected[1024];
        uint8_t *data = NULL;
        uint32_t line, n = 0;
        size_t size = read_record(records[i].type, records[i].text, &data, message, &line);
        for (const char *p = records[i].hex; *p; p++)
            if (*p != ' ')
                expected[n++] = *p;
        expected[n] = 0;
        if (size == SIZE_MAX)
            fail_msg("%s %s: %s", records[i].type, records[i].text, message);
        hex_encode(hex, data, size);
        if (records[i].hex[0] && strcmp(hex, expected) != 0)
            fail_msg("%s %s:\n  got      %s\n  expected %s", records[i].type, records[i].text, hex, expected);
    }
}

static const struct {
    const char *type, *text, *why;
} bad_records[] = {
    {"A", "192.0.2", "\"192.0.2\" is not an IPv4 address"},
    {"A", "192.0.2.256", "is not an IPv4"},
    {"A", "192.0.2.01", "is not an IPv4"},
    {"A", "", "the record ends where an address should stand"},
    {"A", "192.0.2.1 192.0.2.2", "\"192.0.2.2\" is more than the record takes"},
    {"AAAA", "192.0.2.1", "is not an IPv6"},
    {"AAAA", "2001:db8::1::2", "is not an IPv6"},
    {"AAAA", "fe80::1%eth0", "is not an IPv6"},
    {"MX", "mail", "\"mail\" is not a number from 0 to 65535"},
    {"MX", "65536 mail", "is not a number"},
    {"MX", "10", "ends where a name should stand"},
    {"MX", "10 a..b", "\"a..b\" is not a domain name"},
    {"NS", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "is too long for a name"},
    {"TXT", "\"open", "the quote \" is not closed on its line"},
    {"TXT", "\"\\256\"", "bad escape"},
    {"TXT", "", "ends where a text should stand"},
    {"SSHFP", "4 2 ABC", "hexadecimal digits come in pairs"},
    {"SSHFP", "4 2 XY", "\"XY\" is not hexadecimal"},
    {"TLSA", "256 1 1 00", "is not a number from 0 to 255"},
    {"DNSKEY", "257 3 13 AQ=", "the base64 is cut short"},
    {"DNSKEY", "257 3 13 A!", "the data is not base64"},
    {"RRSIG", "A 8 2 3600 20261301000000 1767225600 1 example. AQID", "is not a date"},
    {"NSEC", "b A FOO", "\"FOO\" is not a record type"},
    {"LOC", "91 N 0 E 0", "a LOC is written like"},
    {"APL", "3:192.0.2.0/24", "is not written like"},
    {"APL", "1:192.0.2.0/33", "is not written like"},
    {"EUI48", "00-00-5e-00-53", "is not written like"},
    {"SVCB", "1 t port=99999", "is not a service parameter"},
    {"SVCB", "1 t port=1 port=2", "given twice"},
    {"SVCB", "1 t mandatory=alpn,alpn", "is not a service parameter"},
    {"SVCB", "1 t alpn=h2,,h3", "is not a service parameter"},
    {"SVCB", "1 t foo=bar", "\"foo=bar\" is not a service parameter"},
    {"TYPE731", "abc", "is written as \\# SIZE HEX"},
    {"TYPE731", "\\# 3 abcd", "the size and the bytes that follow differ"},
    {"A", "\\# 3 abcdef", "do not follow the layout"},
    {"NS", "\\# 2 c000", "do not follow the layout"},
};

static void test_bad_records(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_records / sizeof *bad_records; i++) {
        char message[DNS_ZONE_MESSAGE] = "";
        uint8_t *data;
        uint32_t line = 0;
        size_t size = read_record(bad_records[i].type, bad_records[i].text, &data, message, &line);
        if (size != SIZE_MAX || line != 4 || !strstr(message, bad_records[i].why))
            fail_msg("%s %s: %s: line %u: %s", bad_records[i].type, bad_records[i].text,
                     size == SIZE_MAX ? "refused" : "taken", line, message);
    }
}

#define HEAD "$ORIGIN o.\n$TTL 60\n@ SOA a b 1 2 3 4 5\n"

static const struct {
    const char *text;
    uint32_t line;
    const char *why;
} bad_files[] = {
    {"", 0, "no SOA record"},
    {"; only a comment\n\n", 0, "no SOA record"},
    {"x A 192.0.2.1\n", 1, "\"x\" is relative, and no $ORIGIN was given"},
    {"x. A 192.0.2.1\n", 1, "no time to live"},
    {"  A 192.0.2.1\n", 1, "the first record has no name"},
    {"$ORIGIN\n", 1, "$ORIGIN takes one name"},
    {"$TTL x\n", 1, "$TTL takes one time"},
    {"$TTL 99999999999\n", 1, "$TTL takes one time"},
    {HEAD "$INCLUDE other.zone\n", 4, "\"$INCLUDE\" is not done here"},
    {HEAD "$GENERATE 1-9 a$ A 192.0.2.$\n", 4, "\"$GENERATE\" is not done here"},
    {HEAD "$FOO\n", 4, "\"$FOO\" is an unknown directive"},
    {HEAD "x A ( 192.0.2.1\n\n\n", 4, "a ( that is never closed"},
    {HEAD "x A 192.0.2.1 )\n", 4, "a ) without its ("},
    {HEAD "x\n", 4, "the record has no type"},
    {HEAD "x 60 IN\n", 4, "the record has no type"},
    {HEAD "x FOO 1\n", 4, "\"FOO\" is not a record type"},
    {HEAD "x CH A 192.0.2.1\n", 4, "\"CH\" is a class other than IN"},
    {HEAD "x 1y A 192.0.2.1\n", 4, "\"1y\" is not a time to live"},
    {HEAD "x OPT 1\n", 4, "\"OPT\" is"},
    {HEAD "x ANY 1\n", 4, "class other than IN"},
    {HEAD "x TYPE255 \\# 0\n", 4, "is no type of a record that a zone can hold"},
    {HEAD "x..y A 192.0.2.1\n", 4, "\"x..y\" is not a domain name"},
    {HEAD "\n\n\nx.p. A 192.0.2.1\n", 7, "x.p. is outside the zone"},
    {HEAD "x CNAME y\nx A 192.0.2.1\n", 5, "x.o. has a CNAME and other records too"},
    {HEAD "x A 192.0.2.1\nx CNAME y\n", 5, "x.o. has a CNAME and other records too"},
    {HEAD "x CNAME y\nx CNAME z\n", 5, "x.o. has two different CNAMEs"},
    {HEAD "x DNAME y\nx DNAME z\n", 5, "x.o. has two different DNAMEs"},
    {HEAD "@ SOA a b 2 2 3 4 5\n", 4, "a second SOA"},
    {HEAD "x SOA a b 2 2 3 4 5\n", 4, "a second SOA"},
    {HEAD "@ CNAME y\n", 4, "o. has a CNAME and other records too"},
};

static int read_file(struct dns_zone *z, const char *text, size_t size, uint32_t *line, char *message)
{
    int r = dns_master_read(z, text, size, NULL, line, message);
    return r == 0 ? dns_zone_finish(z, line, message) : r;
}

static void test_bad_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
        char message[DNS_ZONE_MESSAGE] = "";
        uint32_t line = 99;
        struct dns_zone *z = dns_zone_new();
        int r = read_file(z, bad_files[i].text, strlen(bad_files[i].text), &line, message);
        if (r == 0 || line != bad_files[i].line || !strstr(message, bad_files[i].why))
            fail_msg("%s\n-> %s, line %u: %s", bad_files[i].text, r == 0 ? "taken" : "refused", line,
                     message);
        dns_zone_free(z);
    }
    char message[DNS_ZONE_MESSAGE];
    uint32_t line;
    struct dns_zone *z = dns_zone_new();
    assert_int_equal(read_file(z, HEAD "x TXT \0\n", sizeof HEAD + 8, &line, message), ERR_MALFORMED);
    assert_non_null(strstr(message, "a NUL byte"));
    dns_zone_free(z);
}

/* Forms that differ and mean the same. */
static void test_forms(void **state)
{
    static const char *const files[] = {
        "$ORIGIN o.\n$TTL 1m\n@ IN SOA a b ( 1 2\n 3 4 ; four\n 5 )\nx A 192.0.2.1\n  TXT t\n",
        "o. 60 SOA a.o. b.o. 1 2 3 4 5\r\nx.o. 60 IN A 192.0.2.1\r\nx.o. IN 60 TXT t\r\n",
        "\xef\xbb\xbf$TTL 60 ; byte order mark\no. SOA a.o. b.o. 1 2 3 4 5\n$ORIGIN o.\nX A 192.0.2.1\n\tTXT "
        "\"t\"",
        "$ORIGIN o.\n@ 60 SOA a b 1 2 3 4 5\n; the last time is used again\nx\tA\t192.0.2.1\nx TYPE16 \\# 2 "
        "0174\nx A 192.0.2.1\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        static struct dns_server s;
        memset(&s, 0, sizeof s);
        dns_server_add_zone(&s, zone_of(files[i]));
        assert_int_equal(dns_zone_records(s.zones[0]), 3);
        assert_answer("SOA", ask(&s, &loopback_asker, &(struct question){.name = "o.", .type = DNS_SOA}),
                      "NOERROR aa an o. 60 SOA a.o. b.o. 1 2 3 4 5");
        assert_answer("A", ask(&s, &loopback_asker, &(struct question){.name = "x.o.", .type = DNS_A}),
                      "NOERROR aa an x.o. 60 A 192.0.2.1");
        assert_answer("TXT", ask(&s, &loopback_asker, &(struct question){.name = "x.o.", .type = DNS_TXT}),
                      "NOERROR aa an x.o. 60 TXT \"t\"");
        dns_server_free_zones(&s);
    }
}

/* 20,000 names are read, and each is found. */
static void test_large(void **state)
{
    enum { COUNT = 20000 };
    static struct dns_server s;
    char *text = malloc(64 * COUNT);
    size_t n = (size_t)sprintf(text, HEAD);
    (void)state;
    for (int i = 0; i < COUNT; i++)
        n += (size_t)sprintf(text + n, "host%d.a%d A 10.0.%d.%d\n", i, i % 7, i / 256, i % 256);
    memset(&s, 0, sizeof s);
    dns_server_add_zone(&s, zone_of(text));
    for (int i = 0; i < COUNT; i++) {
        char name[64], expected[128];
        snprintf(name, sizeof name, "host%d.a%d.o.", i, i % 7);
        snprintf(expected, sizeof expected, "NOERROR aa an %s 60 A 10.0.%d.%d", name, i / 256, i % 256);
        assert_answer(name, ask(&s, &loopback_asker, &(struct question){.name = name, .type = DNS_A}),
                      expected);
    }
    dns_server_free_zones(&s);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_records), cmocka_unit_test(test_bad_records),
                                       cmocka_unit_test(test_bad_files), cmocka_unit_test(test_forms),
                                       cmocka_unit_test(test_large)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
