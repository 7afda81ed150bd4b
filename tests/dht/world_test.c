/* Networks of real DHT nodes in a virtual world: joining, finding, storing, faults, and the bounds the issue demands. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "dht/node_state.h"
#include "tests/support/dht_world.h"

static struct dht_status status_of(const struct world *w, uint32_t i)
{
    struct dht_status s;
    dht_status(w->nodes[i].dht, &s);
    return s;
}

/* 50 nodes that know only node 0 all have 16 contacts within 3 s of loopback time, and every look-up succeeds. */
static void test_fifty_nodes_join(void **state)
{
    (void)state;
    struct world *w = world_new(1, 50, NULL, &core_crypto_real);
    world_join_all(w);
    core_time start = w->now, all = 0;
    while (!all && w->now < start + CORE_SECONDS(3)) {
        world_run(w, w->now + CORE_MS(10));
        uint32_t good = 0;
        for (uint32_t i = 0; i < w->count; i++)
            good += status_of(w, i).contacts_live >= 16;
        all = good == w->count ? w->now : 0;
    }
    assert_true(all != 0);
    printf("50 nodes: all with 16 contacts after %.2f s\n", (double)(all - start) / 1e6);
    world_run(w, start + CORE_SECONDS(3));
    for (uint32_t i = 0; i < w->count; i++) {
        assert_true(status_of(w, i).joined);
        assert_int_equal(world_notice_count(w, i, 0, DHT_NOTICE_JOINED), 1);
    }
    uint32_t exact = 0, found = 0;
    for (uint32_t op = 1; op <= 100; op++) {
        uint8_t key[32];
        uint32_t asker = op % w->count;
        world_key(key, 99, op);
        assert_int_equal(world_find(w, asker, key, op), 0);
        const struct world_notice *done = world_wait(w, asker, op, CORE_SECONDS(10));
        assert_non_null(done);
        assert_int_equal(done->x.u.notice.status, 0);
        for (uint32_t i = 0; i < 16; i++) {
            const struct world_notice *n = world_notice_find(w, asker, op, DHT_NOTICE_NODE, i);
            assert_non_null(n);
            exact += world_is_closest(w, world_index(w, n->x.u.notice.node.key), key, 17); /* 17: the asker may be one */
            found++;
        }
    }
    printf("of %u nodes found %u are among the closest\n", found, exact);
    assert_true(exact * 100 >= found * 97);
    printf("most effects in a call: %u of %u\n", w->effects_most, DHT_EFFECTS_PER_CALL);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fifty_nodes_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
