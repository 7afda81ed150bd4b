/* The guard against a core whose deadline stays in the past: it slows down what does nothing again and again,
 * and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "node/host/wake_guard.h"

static void test_spinning_is_slowed_and_told_once(void **state)
{
    (void)state;
    struct wake_guard g = {0};
    unsigned told = 0;
    for (int i = 0; i < 3 * WAKE_GUARD_IDLE; i++) {
        if (i < WAKE_GUARD_IDLE)
            assert_int_equal(wake_guard_ms(&g, 500, 1000), 0);
        told += wake_guard_woken(&g, false, 500, 1000);
    }
    assert_int_equal(told, 1);
    assert_int_equal(wake_guard_ms(&g, 500, 1000), WAKE_GUARD_MS);
    /* what is due later is not touched, and neither is what comes after it did something */
    assert_int_equal(wake_guard_ms(&g, 6001, 1000), 6);
    assert_false(wake_guard_woken(&g, true, 500, 1000));
    assert_int_equal(wake_guard_ms(&g, 500, 1000), 0);
    for (int i = 0; i < 3 * WAKE_GUARD_IDLE; i++)
        told += wake_guard_woken(&g, false, 500, 1000);
    assert_int_equal(told, 1);
}

static void test_work_and_rest_are_not_slowed(void **state)
{
    (void)state;
    struct wake_guard g = {0};
    for (int i = 0; i < 10 * WAKE_GUARD_IDLE; i++) {
        assert_false(wake_guard_woken(&g, i % 1000 == 0, 500,
                                      1000)); /* always behind, but doing something now and then */
        assert_int_equal(wake_guard_ms(&g, 1000, 1000), 0);
    }
    for (int i = 0; i < 10 * WAKE_GUARD_IDLE; i++) {
        assert_false(wake_guard_woken(&g, false, 1001, 1000)); /* nothing to do, and not due */
        assert_int_equal(wake_guard_ms(&g, 1001, 1000), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spinning_is_slowed_and_told_once),
        cmocka_unit_test(test_work_and_rest_are_not_slowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
