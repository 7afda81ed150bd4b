/* The picker against a naive model: the same operations, the same rarest chunks. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "transfer/picker.h"

#define CHUNKS 200

struct model {
    bool in[CHUNKS];
    uint32_t available[CHUNKS];
};

static uint32_t rarest(const struct model *m, const uint8_t *map)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < CHUNKS; i++)
        if (m->in[i] && (!map || (map[i / 8] >> (i % 8) & 1)) && m->available[i] < best)
            best = m->available[i];
    return best;
}

static void against_a_model(void **state)
{
    (void)state;
    struct picker p;
    struct model m = {{0}, {0}};
    struct rng r;
    rng_init(&r, 1, 2);
    assert_true(picker_init(&p, &core_alloc_libc, CHUNKS));
    for (int step = 0; step < 20000; step++) {
        uint32_t i = rng_below(&r, CHUNKS);
        uint8_t map[CHUNKS / 8];
        switch (rng_below(&r, 5)) {
        case 0:
            m.in[i] ? picker_take(&p, i, 5) : picker_put(&p, i);
            m.in[i] = !m.in[i];
            break;
        case 1:
        case 2:
            if (m.available[i] < 61) { /* below the bucket where counts run together */
                picker_more(&p, i);
                m.available[i]++;
            }
            break;
        case 3:
            if (m.available[i] > 0) {
                picker_less(&p, i);
                m.available[i]--;
            }
            break;
        default:
            for (size_t k = 0; k < sizeof map; k++)
                map[k] = (uint8_t)(rng_u32(&r) & rng_u32(&r));
            uint32_t best = rarest(&m, step % 2 ? map : NULL),
                     got = picker_pick(&p, &r, step % 2 ? map : NULL, false);
            assert_int_equal(got == PICKER_NONE, best == UINT32_MAX);
            if (got != PICKER_NONE)
                assert_int_equal(m.available[got], best);
        }
        if (step % 16 == 0)
            picker_check(&p);
    }
    picker_fini(&p, &core_alloc_libc);
}

static void ties_are_random(void **state)
{
    (void)state;
    struct picker p;
    struct rng r;
    uint32_t seen[CHUNKS] = {0}, different = 0;
    rng_init(&r, 3, 4);
    picker_init(&p, &core_alloc_libc, CHUNKS);
    for (uint32_t i = 0; i < CHUNKS; i++)
        picker_put(&p, i);
    for (int i = 0; i < 2000; i++)
        seen[picker_pick(&p, &r, NULL, false)]++;
    for (uint32_t i = 0; i < CHUNKS; i++)
        different += seen[i] != 0;
    assert_true(different > CHUNKS * 9 / 10);
    picker_fini(&p, &core_alloc_libc);
}

static void common_chunks_share_a_bucket(void **state)
{
    (void)state;
    struct picker p;
    struct rng r;
    rng_init(&r, 3, 4);
    picker_init(&p, &core_alloc_libc, 3);
    for (uint32_t i = 0; i < 3; i++)
        picker_put(&p, i);
    for (int i = 0; i < 500; i++)
        picker_more(&p, 0), picker_more(&p, 1);
    picker_check(&p);
    assert_int_equal(picker_pick(&p, &r, NULL, false), 2);
    for (int i = 0; i < 500; i++)
        picker_less(&p, 1);
    picker_more(&p, 2);
    picker_check(&p);
    assert_int_equal(picker_pick(&p, &r, NULL, false), 1);
    picker_fini(&p, &core_alloc_libc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_a_model),
        cmocka_unit_test(ties_are_random),
        cmocka_unit_test(common_chunks_share_a_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
