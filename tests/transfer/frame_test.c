/* Frame heads: round trips, and a table of what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "node/base/err.h"
#include "transfer/frame.h"

static void round_trips(void **state)
{
    (void)state;
    const struct frame_head heads[] = {
        {.type = FRAME_CONTROL},
        {.type = FRAME_LEAVES, .channel = 1, .index = 0xfffffffe, .count = 3},
        {.type = FRAME_PROOF, .channel = 1023, .index = 7, .count = 1},
        {.type = FRAME_ENTRY, .channel = 0xffffffff, .index = 1, .count = 1},
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        uint8_t bytes[FRAME_HEAD_MAX + 3] = {0};
        struct frame_head h;
        size_t n = frame_head_write(bytes, &heads[i]);
        assert_int_equal(frame_read(&h, bytes_of(bytes, n + 3)), 0);
        assert_int_equal(h.type, heads[i].type);
        assert_int_equal(h.channel, heads[i].channel);
        assert_int_equal(h.index, heads[i].index);
        assert_int_equal(h.count, heads[i].count);
        assert_ptr_equal(h.payload.data, bytes + n);
        assert_int_equal(h.payload.size, 3);
    }
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[12];
        size_t size;
        int error;
    } cases[] = {
        {{0}, 0, ERR_MALFORMED},
        {{1, 0, 0, 0, 1, 0, 0, 0, 1}, 9, ERR_MALFORMED},     /* no count */
        {{1, 0, 0, 0, 1, 0, 0, 0, 1, 0}, 10, ERR_MALFORMED}, /* no leaves */
        {{1, 0, 0, 0, 1, 0, 0, 0, 1, 4}, 10, ERR_MALFORMED}, /* too many */
        {{2, 0, 0, 0, 1, 0, 0, 0}, 8, ERR_MALFORMED},        /* cut short */
        {{4, 0, 0, 0, 1, 0, 0, 0, 1}, 9, ERR_UNSUPPORTED},
        {{255}, 1, ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct frame_head h;
        assert_int_equal(frame_read(&h, bytes_of(cases[i].bytes, cases[i].size)), cases[i].error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trips), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
