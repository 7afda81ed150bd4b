/* Bans: by key, and by address only where an address is one machine of the whole internet; for a time; never
 * more than 256 of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "transfer/bans.h"

#define NOW CORE_SECONDS(100)

static const uint8_t *key_of(uint32_t i)
{
    static uint8_t keys[4][NODE_KEY_SIZE];
    static uint32_t next;
    uint8_t *key = keys[next++ % 4];
    memset(key, 0, NODE_KEY_SIZE);
    memcpy(key, &i, sizeof i);
    return key;
}

static void test_for_a_time(void **state)
{
    (void)state;
    struct bans b = {0};
    assert_false(bans_match(&b, NOW, key_of(1), NULL));
    assert_int_equal(bans_count(&b, NOW), 0);
    assert_true(bans_add(&b, &core_alloc_libc, NOW, key_of(1), NULL, NOW + CORE_SECONDS(60)));
    assert_true(bans_match(&b, NOW, key_of(1), NULL));
    assert_false(bans_match(&b, NOW, key_of(2), NULL));
    assert_true(bans_match(&b, NOW + CORE_SECONDS(60) - 1, key_of(1), NULL));
    assert_false(bans_match(&b, NOW + CORE_SECONDS(60), key_of(1), NULL));
    assert_int_equal(bans_count(&b, NOW), 1);
    assert_int_equal(bans_count(&b, NOW + CORE_SECONDS(60)), 0);
    bans_fini(&b, &core_alloc_libc);
    assert_int_equal(bans_count(&b, NOW), 0);
}

/* Behind a private address may be a whole school, and the loopback is every node of a machine: those are shut
 * out by key alone. */
static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        uint8_t ip[4];
        bool by_address;
    } cases[] = {{{93, 184, 216, 34}, true}, {{10, 0, 0, 7}, false},    {{192, 168, 1, 7}, false},
                 {{172, 16, 0, 7}, false},   {{169, 254, 1, 1}, false}, {{127, 0, 0, 1}, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint8_t *ip = cases[i].ip;
        struct bans b = {0};
        struct net_addr addr = net_addr_v4(ip[0], ip[1], ip[2], ip[3], 7733), other_port = addr, other = addr;
        other_port.port = 9;
        other.ip[15] ^= 1;
        assert_true(bans_add(&b, &core_alloc_libc, NOW, key_of(1), &addr, NOW + CORE_SECONDS(60)));
        assert_true(bans_match(&b, NOW, key_of(1), &other)); /* the key, wherever it comes from */
        assert_int_equal(bans_match(&b, NOW, key_of(2), &addr), cases[i].by_address);
        assert_int_equal(bans_match(&b, NOW, key_of(2), &other_port),
                         cases[i].by_address); /* another key and port cost nothing */
        assert_false(bans_match(&b, NOW, key_of(2), &other));
        assert_false(bans_match(&b, NOW, key_of(2), NULL));
        assert_false(bans_match(&b, NOW + CORE_SECONDS(60), key_of(2), &addr));
        bans_fini(&b, &core_alloc_libc);
    }
}

static void test_again_is_one_ban(void **state)
{
    (void)state;
    struct bans b = {0};
    assert_true(bans_add(&b, &core_alloc_libc, NOW, key_of(1), NULL, NOW + CORE_SECONDS(1)));
    assert_true(bans_add(&b, &core_alloc_libc, NOW, key_of(2), NULL, NOW + CORE_SECONDS(60)));
    core_time later = NOW + CORE_SECONDS(2); /* the first has ended, and lies before the second */
    assert_true(bans_add(&b, &core_alloc_libc, later, key_of(2), NULL, later + CORE_SECONDS(120)));
    assert_int_equal(bans_count(&b, later), 1);
    assert_true(bans_match(&b, later + CORE_SECONDS(119), key_of(2), NULL));
    bans_fini(&b, &core_alloc_libc);
}

static void test_bounded_the_first_to_end_goes_first(void **state)
{
    (void)state;
    struct bans b = {0};
    for (uint32_t i = 0; i < BANS_MAX; i++)
        assert_true(bans_add(&b, &core_alloc_libc, NOW, key_of(i), NULL,
                             NOW + CORE_SECONDS(i == 77 ? 10 : 1000 + i)));
    assert_int_equal(bans_count(&b, NOW), BANS_MAX);
    assert_true(bans_match(&b, NOW, key_of(77), NULL));
    assert_true(bans_add(&b, &core_alloc_libc, NOW, key_of(5000), NULL, NOW + CORE_SECONDS(500)));
    assert_int_equal(bans_count(&b, NOW), BANS_MAX);
    assert_false(bans_match(&b, NOW, key_of(77), NULL));
    assert_true(bans_match(&b, NOW, key_of(0), NULL));
    assert_true(bans_match(&b, NOW, key_of(5000), NULL));
    /* a place whose ban has ended is taken before anybody is let off */
    core_time later = NOW + CORE_SECONDS(501);
    assert_true(bans_add(&b, &core_alloc_libc, later, key_of(5001), NULL, later + CORE_SECONDS(1)));
    assert_int_equal(bans_count(&b, later), BANS_MAX);
    assert_true(bans_match(&b, later, key_of(0), NULL));
    bans_fini(&b, &core_alloc_libc);
}

static void *refuse(void *context, size_t size)
{
    (void)context, (void)size;
    return NULL;
}

static void test_no_memory(void **state)
{
    (void)state;
    struct core_alloc none = core_alloc_libc;
    struct bans b = {0};
    none.alloc = refuse;
    assert_false(bans_add(&b, &none, NOW, key_of(1), NULL, NOW + 1000));
    assert_false(bans_match(&b, NOW, key_of(1), NULL));
    assert_true(bans_add(&b, &core_alloc_libc, NOW, key_of(1), NULL, NOW + 1000));
    assert_true(bans_match(&b, NOW, key_of(1), NULL));
    bans_fini(&b, &core_alloc_libc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_for_a_time),       cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_again_is_one_ban), cmocka_unit_test(test_bounded_the_first_to_end_goes_first),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
