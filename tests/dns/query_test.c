/* Malformed and odd queries: what each is answered with. A server that crashes, loops, or answers an answer
 * is what attackers look for. */
#include "tests/dns/ask.h"

#define HEADER(flags, qd, an, ns, ar)  0x12, 0x34, (flags) >> 8, (flags)&255, 0, qd, 0, an, 0, ns, 0, ar
#define NAME                           1, 'a', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0
#define IN_A                           0, 1, 0, 1
#define OPT(version, size_hi, size_lo) 0, 0, 41, 4, 208, 0, version, 0, 0, size_hi, size_lo
#define BYTES(...)                     (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static const struct {
    const char *what;
    const uint8_t *query;
    size_t size;
    const char *answer;
} shapes[] = {
    {"nothing at all", BYTES(0), "nothing"},
    {"half a header", BYTES(0x12, 0x34, 0, 0, 0, 1), "nothing"},
    {"an answer", BYTES(HEADER(0x8000, 1, 0, 0, 0), NAME, IN_A), "nothing"},
    {"an answer with a malformed body", BYTES(HEADER(0x8180, 9, 9, 9, 9)), "nothing"},
    {"a header and no question", BYTES(HEADER(0, 0, 0, 0, 0)), "FORMERR"},
    {"a header that promises a question", BYTES(HEADER(0, 1, 0, 0, 0)), "FORMERR"},
    {"two questions", BYTES(HEADER(0, 2, 0, 0, 0), NAME, IN_A, NAME, IN_A), "FORMERR"},
    {"a name that does not end", BYTES(HEADER(0, 1, 0, 0, 0), 1, 'a', 9, 'b'), "FORMERR"},
    {"no type", BYTES(HEADER(0, 1, 0, 0, 0), NAME), "FORMERR"},
    {"half a class", BYTES(HEADER(0, 1, 0, 0, 0), NAME, 0, 1, 0), "FORMERR"},
    {"a byte too many", BYTES(HEADER(0, 1, 0, 0, 0), NAME, IN_A, 0), "FORMERR"},
    {"a pointer to itself", BYTES(HEADER(0, 1, 0, 0, 0), 0xc0, 12, IN_A), "FORMERR"},
    {"a pointer ahead", BYTES(HEADER(0, 1, 0, 0, 0), 0xc0, 14, 0, IN_A), "FORMERR"},
    {"a pointer into the header", BYTES(HEADER(0, 1, 0, 0, 0), 0xc0, 4, IN_A), "FORMERR"},
    {"a label of kind 01", BYTES(HEADER(0, 1, 0, 0, 0), 0x41, 'a', 0, IN_A), "FORMERR"},
    {"a label of kind 10", BYTES(HEADER(0, 1, 0, 0, 0), 0x81, 'a', 0, IN_A), "FORMERR"},
    {"two pointers that chase each other",
     BYTES(HEADER(0, 1, 0, 0, 1), NAME, IN_A, 0xc0, 29, 0xc0, 27, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0), "FORMERR"},
    {"an additional record promised", BYTES(HEADER(0, 1, 0, 0, 1), NAME, IN_A), "FORMERR"},
    {"a record cut in its data", BYTES(HEADER(0, 1, 0, 0, 1), NAME, IN_A, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 9, 1),
     "FORMERR"},
    {"opcode 15", BYTES(HEADER(0x7800, 0, 0, 0, 0)), "NOTIMP"},
    {"opcode STATUS", BYTES(HEADER(0x1000, 1, 0, 0, 0), NAME, IN_A), "NOTIMP"},
    {"opcode NOTIFY", BYTES(HEADER(0x2400, 1, 0, 0, 0), NAME, 0, 6, 0, 1), "NOTIMP"},
    {"opcode UPDATE with rubbish", BYTES(HEADER(0x2800, 9, 9, 9, 9), 1, 2, 3), "NOTIMP"},
    {"class CH",
     BYTES(HEADER(0, 1, 0, 0, 0), 7, 'v', 'e', 'r', 's', 'i', 'o', 'n', 4, 'b', 'i', 'n', 'd', 0, 0, 16, 0,
           3),
     "REFUSED"},
    {"class HS", BYTES(HEADER(0, 1, 0, 0, 0), NAME, 0, 1, 0, 4), "REFUSED"},
    {"class 0", BYTES(HEADER(0, 1, 0, 0, 0), NAME, 0, 1, 0, 0), "REFUSED"},
    {"class ANY", BYTES(HEADER(0, 1, 0, 0, 0), NAME, 0, 1, 0, 255), "REFUSED"},
    {"another zone", BYTES(HEADER(0x0100, 1, 0, 0, 0), 3, 'c', 'o', 'm', 0, IN_A), "REFUSED rd"},
    {"the root", BYTES(HEADER(0, 1, 0, 0, 0), 0, 0, 2, 0, 1), "REFUSED"},
    {"AXFR", BYTES(HEADER(0, 1, 0, 0, 0), 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 252, 0, 1), "REFUSED"},
    {"IXFR", BYTES(HEADER(0, 1, 0, 0, 0), 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 251, 0, 1), "REFUSED"},
    {"reserved bits of the header", BYTES(HEADER(0x0070, 1, 0, 0, 0), NAME, IN_A),
     "NOERROR aa an a.example. 60 A"},
    {"EDNS", BYTES(HEADER(0, 1, 0, 0, 1), NAME, IN_A, OPT(0, 0, 0)),
     "NOERROR aa an a.example. 60 A 192.0.2.1 opt 0 0 0000"},
    {"EDNS version 1", BYTES(HEADER(0, 1, 0, 0, 1), NAME, IN_A, OPT(1, 0, 0)), "NOERROR opt 1 0 0000"},
    {"EDNS version 255 with options nobody knows",
     BYTES(HEADER(0, 1, 0, 0, 1), NAME, IN_A, OPT(255, 0, 2), 9, 9), "NOERROR opt 1 0"},
    {"two OPTs", BYTES(HEADER(0, 1, 0, 0, 2), NAME, IN_A, OPT(0, 0, 0), OPT(0, 0, 0)), "FORMERR"},
    {"OPT in the answer section", BYTES(HEADER(0, 1, 1, 0, 0), NAME, IN_A, OPT(0, 0, 0)), "FORMERR"},
    {"OPT in the authority section", BYTES(HEADER(0, 1, 0, 1, 0), NAME, IN_A, OPT(0, 0, 0)), "FORMERR"},
    {"OPT of a name", BYTES(HEADER(0, 1, 0, 0, 1), NAME, IN_A, 1, 'x', OPT(0, 0, 0)), "FORMERR"},
    {"an option longer than OPT", BYTES(HEADER(0, 1, 0, 0, 1), NAME, IN_A, OPT(0, 0, 5), 0, 100, 0, 9, 1),
     "FORMERR"},
    {"half an option", BYTES(HEADER(0, 1, 0, 0, 1), NAME, IN_A, OPT(0, 0, 3), 0, 100, 0), "FORMERR"},
    {"an unknown option", BYTES(HEADER(0, 1, 0, 0, 1), NAME, IN_A, OPT(0, 0, 5), 0, 100, 0, 1, 7),
     "NOERROR aa an a.example. 60 A 192.0.2.1 opt 0 0 0000"},
    {"a cookie of 7",
     BYTES(HEADER(0, 1, 0, 0, 1), NAME, IN_A, OPT(0, 0, 11), 0, 10, 0, 7, 1, 2, 3, 4, 5, 6, 7), "FORMERR"},
    {"a cookie of 9",
     BYTES(HEADER(0, 1, 0, 0, 1), NAME, IN_A, OPT(0, 0, 13), 0, 10, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9),
     "FORMERR"},
    {"a cookie", BYTES(HEADER(0, 1, 0, 0, 1), NAME, IN_A, OPT(0, 0, 12), 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8),
     "NOERROR aa an a.example. 60 A 192.0.2.1 opt 0 0 0000 000a0018010203040506070801000000"},
    {"only a cookie, no question",
     BYTES(HEADER(0, 0, 0, 0, 1), OPT(0, 0, 12), 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8),
     "NOERROR opt 0 0 0000 000a0018010203040506070801000000"},
    {"keepalive with a value", BYTES(HEADER(0, 1, 0, 0, 1), NAME, IN_A, OPT(0, 0, 6), 0, 11, 0, 2, 0, 9),
     "FORMERR"},
    {"keepalive over UDP", BYTES(HEADER(0, 1, 0, 0, 1), NAME, IN_A, OPT(0, 0, 4), 0, 11, 0, 0),
     "NOERROR aa an a.example. 60 A 192.0.2.1 opt 0 0 0000"},
    {"TSIG before the end",
     BYTES(HEADER(0, 1, 0, 0, 2), NAME, IN_A, 1, 'k', 0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0, OPT(0, 0, 0)),
     "FORMERR"},
    {"TSIG of an unknown key",
     BYTES(HEADER(0, 1, 0, 0, 1), NAME, IN_A, 1, 'k', 0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 19, 1, 'h', 0, 0, 0,
           1, 2, 3, 4, 1, 44, 0, 0, 0x12, 0x34, 0, 0, 0, 0),
     "RCODE9 ad k. 0 TYPE250 01680000000102030401"},
};

static void test_shapes(void **state)
{
    static struct dns_server s; /* too large for a stack under ASan */
    memset(&s, 0, sizeof s);
    (void)state;
    assert_int_equal(
        dns_server_add_zone(
            &s, zone_of("example. 300 SOA example. example. 1 2 3 4 5\na.example. 60 A 192.0.2.1\n")),
        0);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        uint8_t *copy = malloc(shapes[i].size); /* of exactly that size: a read behind it is seen */
        memcpy(copy, shapes[i].query, shapes[i].size);
        const char *got = ask_bytes(&s, &loopback_asker, bytes_of(copy, shapes[i].size));
        assert_answer(shapes[i].what, got, shapes[i].answer);
        struct dns_asker tcp = loopback_asker;
        tcp.tcp = true;
        ask_bytes(&s, &tcp, bytes_of(copy, shapes[i].size));
        free(copy);
    }
    dns_server_free_zones(&s);
}

/* 0x20: the question comes back with the case it came with, and names in the answer point to it. */
static void test_case_is_kept(void **state)
{
    static struct dns_server s;
    uint8_t query[512], out[DNS_UDP_MAX];
    char later[DNS_TEXT_MAX];
    memset(&s, 0, sizeof s);
    (void)state;
    dns_server_add_zone(&s,
                        zone_of("example. 300 SOA example. example. 1 2 3 4 5\na.example. 60 A 192.0.2.1\n"));
    size_t size = make_query(query, &(struct question){.name = "A.eXaMpLe.", .type = DNS_A});
    size_t n = dns_answer(&s, 0, &loopback_asker, bytes_of(query, size), out, sizeof out, later);
    assert_true(n == size + 16);
    assert_memory_equal(out + 12, query + 12, size - 12);
    assert_int_equal(get_be16(out + size), 0xc00c);
    dns_server_free_zones(&s);
}

/* Names: what reads, what does not, at the limits of 63 and 255. */
static void test_names(void **state)
{
    static const struct {
        const char *text;
        int result;
        const char *back;
    } texts[] = {
        {"a.b.", 0, "a.b."},
        {"a", 0, "a.origin."},
        {"@", 0, "origin."},
        {".", 0, "."},
        {"a\\.b.c.", 0, "a\\046b.c."},
        {"\\065bc.", 0, "Abc."},
        {"\\000.", 0, "\\000."},
        {"a..b.", ERR_MALFORMED, ""},
        {".a.", ERR_MALFORMED, ""},
        {"", ERR_MALFORMED, ""},
        {"a\\", ERR_MALFORMED, ""},
        {"a\\25", ERR_MALFORMED, ""},
        {"a\\256.", ERR_MALFORMED, ""},
        {"\\@.", 0, "\\064."},
    };
    struct dns_name origin, name;
    char back[DNS_NAME_TEXT_MAX], long_name[300];
    (void)state;
    assert_int_equal(dns_name_from_text(&origin, "origin.", 7, NULL), 0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int r = dns_name_from_text(&name, texts[i].text, strlen(texts[i].text), &origin);
        if (r != texts[i].result)
            fail_msg("\"%s\": %d", texts[i].text, r);
        if (r == 0)
            assert_string_equal(dns_name_to_text(back, name.wire), texts[i].back);
    }
    memset(long_name, 'x', sizeof long_name);
    long_name[63] = '.';
    assert_int_equal(dns_name_from_text(&name, long_name, 64, NULL), 0);
    long_name[63] = 'x';
    long_name[64] = '.';
    assert_int_equal(dns_name_from_text(&name, long_name, 65, NULL), ERR_RANGE);
    memset(long_name, 'x', sizeof long_name);
    for (size_t i = 1; i < sizeof long_name; i += 2)
        long_name[i] = '.';
    assert_int_equal(dns_name_from_text(&name, long_name, 254, NULL), 0);
    assert_int_equal(name.size, 255);
    assert_int_equal(name.labels, 127);
    assert_int_equal(dns_name_from_text(&name, long_name, 256, NULL), ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_case_is_kept),
                                       cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
