/* The values of records about names and the bodies of questions: what is written is read, and each rule refuses what breaks it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "node/base/pack.h"
#include "node/names/ask_message.h"

static struct profile sample(void)
{
    struct profile p = {.nickname = "Alice", .address_count = 2, .service_count = 1, .has_site = true};
    p.addresses[0] = net_addr_v4(192, 168, 1, 7, 7733);
    assert_int_equal(net_addr_parse(&p.addresses[1], "[2001:db8::7]:7733"), 0);
    strcpy(p.services[0].name, "http");
    p.services[0].port = 80;
    p.site = (struct content_id){.size = 123, .kind = CONTENT_TREE};
    memset(p.site.root, 9, sizeof p.site.root);
    return p;
}

static void test_profile(void **state)
{
    (void)state;
    struct profile p = sample(), q;
    uint8_t bytes[DHT_VALUE_MAX];
    size_t size = profile_write(bytes, sizeof bytes, &p);
    assert_in_range(size, 1, 200);
    assert_int_equal(profile_read(&q, bytes_of(bytes, size)), 0);
    assert_string_equal(q.nickname, "Alice");
    assert_int_equal(q.address_count, 2);
    assert_true(net_addr_equal(&q.addresses[1], &p.addresses[1]));
    assert_true(q.has_site && content_id_equal(&q.site, &p.site));
    assert_string_equal(q.services[0].name, "http");
    assert_int_equal(q.services[0].port, 80);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(profile_read(&q, bytes_of(bytes, cut)), ERR_MALFORMED);
    bytes[size] = 0xc0;
    assert_int_equal(profile_read(&q, bytes_of(bytes, size + 1)), ERR_MALFORMED);
    assert_int_equal(profile_write(bytes, 20, &p), 0);
    memset(&p, 0, sizeof p);
    size = profile_write(bytes, sizeof bytes, &p);
    assert_int_equal(size, 1);
    assert_int_equal(profile_read(&q, bytes_of(bytes, size)), 0);
}

/* A name, an address, a site and a service that may not be. */
static void test_profile_refused(void **state)
{
    (void)state;
    uint8_t bytes[DHT_VALUE_MAX];
    struct profile base = sample();
    for (int fault = 0; fault < 9; fault++) {
        struct profile p = base;
        switch (fault) {
        case 0: strcpy(p.nickname, "a b"); break;
        case 1: strcpy(p.nickname, "self"); break;
        case 2: p.addresses[1] = p.addresses[0]; break;
        case 3: p.addresses[0].port = 0; break;
        case 4: p.addresses[0] = net_addr_v4(224, 0, 0, 1, 1); break;
        case 5: p.site.kind = CONTENT_FILE; break;
        case 6: p.services[0].port = 0; break;
        case 7: strcpy(p.services[0].name, "HTTP"); break;
        default: p.service_count = 2; p.services[1] = p.services[0];
        }
        if (profile_write(bytes, sizeof bytes, &p) != 0)
            fail_msg("fault %d was written", fault);
    }
}

/* The same from the wire: whatever an honest writer cannot write is refused by the reader. */
static void test_profile_wire(void **state)
{
    (void)state;
    static const char *const wires[] = {
        "",                                      /* nothing */
        "80c0",                                  /* more than one item */
        "8100a0",                                /* empty nickname */
        "8100a3612062",                          /* "a b" */
        "8100a3610062",                          /* NUL inside */
        "8100c403616263",                        /* bytes for text */
        "810191c405c0a8010101",                  /* address of five bytes */
        "810191c406c0a801010000",                /* port 0 */
        "810192c406c0a801011e35c406c0a801011e35", /* twice */
        "8102c401aa",                            /* a short site */
        "8103919200cd1e35",                      /* a service without a name */
        "81039191a46874747050",                  /* a service of one item */
        "82036000a161",                          /* keys out of order */
        "dd0a000000",                            /* gigabytes announced */
    };
    for (size_t i = 0; i < sizeof wires / sizeof *wires; i++) {
        uint8_t bytes[128];
        struct profile p;
        size_t size = strlen(wires[i]) / 2;
        assert_true(hex_decode(bytes, size, wires[i]));
        if (profile_read(&p, bytes_of(bytes, size)) != ERR_MALFORMED)
            fail_msg("%s was taken", wires[i]);
    }
    struct profile p;
    uint8_t unknown[] = {0x82, 0x00, 0xa1, 'a', 0x09, 0x93, 1, 2, 3}; /* a key of a later version */
    assert_int_equal(profile_read(&p, bytes_of(unknown, sizeof unknown)), 0);
    assert_string_equal(p.nickname, "a");
}

static void test_nick_and_keyword(void **state)
{
    (void)state;
    uint8_t bytes[DHT_VALUE_MAX], a[32], b[32];
    char name[NAME_SIZE];
    struct network network = {.id = {1}}, other = {.id = {2}};
    size_t size = nick_write(bytes, sizeof bytes, "Älice");
    assert_true(size > 0);
    assert_int_equal(nick_read(name, bytes_of(bytes, size)), 0);
    assert_string_equal(name, "Älice");
    assert_int_equal(nick_write(bytes, sizeof bytes, "a b"), 0);
    assert_int_equal(nick_read(name, bytes_of("\x80", 1)), ERR_MALFORMED);
    nick_key(a, "ALICE", &network, &core_crypto_real);
    nick_key(b, "alice", &network, &core_crypto_real);
    assert_memory_equal(a, b, 32);
    nick_key(b, "alice", &other, &core_crypto_real);
    assert_memory_not_equal(a, b, 32);
    keyword_key(b, "alice", &network, &core_crypto_real);
    assert_memory_not_equal(a, b, 32);

    struct keyword k = {.count = 3, .address_count = 1}, r;
    k.addresses[0] = net_addr_v4(10, 0, 0, 1, 7);
    size = keyword_write(bytes, sizeof bytes, &k);
    assert_int_equal(keyword_read(&r, bytes_of(bytes, size)), 0);
    assert_int_equal(r.count, 3);
    assert_true(net_addr_equal(&r.addresses[0], &k.addresses[0]));
    k.count = 0;
    assert_int_equal(keyword_write(bytes, sizeof bytes, &k), 0);
    assert_int_equal(keyword_read(&r, bytes_of("\x80", 1)), ERR_MALFORMED);
    assert_int_equal(keyword_read(&r, bytes_of("\x81\x00\x00", 3)), ERR_MALFORMED);
}

static void test_questions(void **state)
{
    (void)state;
    uint8_t bytes[DHT_BODY_MAX], record[DHT_RECORD_WIRE_MAX];
    memset(record, 5, sizeof record);
    struct ask_request q = {.what = ASK_NEWS, .record = bytes_of(record, sizeof record)}, r;
    size_t size = ask_request_write(bytes, sizeof bytes, &q);
    assert_true(size > 0); /* the largest record fits a call */
    assert_int_equal(ask_request_read(&r, bytes_of(bytes, size)), 0);
    assert_true(bytes_equal(r.record, q.record));
    q = (struct ask_request){.what = ASK_SEARCH, .word_count = 2, .from = 7};
    q.words[0] = bytes_of("holiday", 7);
    q.words[1] = bytes_of("2024", 4);
    size = ask_request_write(bytes, sizeof bytes, &q);
    assert_int_equal(ask_request_read(&r, bytes_of(bytes, size)), 0);
    assert_int_equal(r.word_count, 2);
    assert_true(bytes_equal(r.words[1], q.words[1]));
    assert_int_equal(r.from, 7);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(ask_request_read(&r, bytes_of(bytes, cut)), ERR_MALFORMED);
    static const char *const bad[] = {"80", "8100a161", "82000304" "91a0", "820003" "0491a3610062", "820003" "0499a161a161a161a161a161a161a161a161a161"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size = strlen(bad[i]) / 2;
        assert_true(hex_decode(bytes, size, bad[i]));
        assert_int_equal(ask_request_read(&r, bytes_of(bytes, size)), ERR_MALFORMED);
    }
}

static void test_answers(void **state)
{
    (void)state;
    uint8_t bytes[DHT_BODY_MAX];
    struct ask_answer a = {.found = 30, .hit_count = ASK_HITS_MAX}, r;
    char names[ASK_HITS_MAX][NAMING_HIT_NAME_MAX + 1];
    uint32_t written;
    for (uint32_t i = 0; i < ASK_HITS_MAX; i++) {
        memset(names[i], 'a' + (int)i, NAMING_HIT_NAME_MAX);
        a.hits[i].id.size = i;
        a.hits[i].name = bytes_of(names[i], NAMING_HIT_NAME_MAX);
    }
    size_t size = ask_answer_write(bytes, 600, &a, &written);
    assert_in_range(size, 1, 600);
    assert_int_equal(written, 2); /* whole hits, as many as fit */
    assert_int_equal(ask_answer_read(&r, bytes_of(bytes, size)), 0);
    assert_int_equal(r.hit_count, 2);
    assert_int_equal(r.found, 30);
    assert_int_equal(r.hits[1].id.size, 1);
    bytes[size - 1] = 0xff; /* a name that is not UTF-8 */
    assert_int_equal(ask_answer_read(&r, bytes_of(bytes, size)), ERR_MALFORMED);
    a = (struct ask_answer){.has_sequence = true, .sequence = 5, .stop = true};
    size = ask_answer_write(bytes, sizeof bytes, &a, NULL);
    assert_int_equal(ask_answer_read(&r, bytes_of(bytes, size)), 0);
    assert_true(r.has_sequence && r.sequence == 5 && r.stop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_profile),   cmocka_unit_test(test_profile_refused), cmocka_unit_test(test_profile_wire),
        cmocka_unit_test(test_nick_and_keyword), cmocka_unit_test(test_questions), cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
