/* Swarms of whole shipped nodes in the world, in flow mode: all complete, near the bound, twice the same;
 * seeds that leave, peers that leave, a crippled peer, polluters, nodes behind NATs. And the formulas of the
 * bounds. */
#include "simnet/flow/flow.h"
#include "simnet/world/run.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void config_default(struct sim_config *c, uint32_t peers, uint64_t bytes)
{
    sim_config_default(c);
    c->scenario.streams = true;
    c->scenario.nodes = peers + 9;
    c->scenario.warm = CORE_MINUTES(1);
    c->scenario.measure = CORE_HOURS(3);
    c->scenario.check_every = 500;
    c->net.up = 200000;
    c->net.down = 1000000;
    c->churn.session.kind = c->churn.offline.kind = SIM_NEVER;
    c->swarm.bytes = bytes;
    c->swarm.seeds = 1;
    c->swarm.peers = peers;
    c->swarm.start = CORE_MINUTES(1);
}

static uint64_t sum(struct sim_metrics *m, const char *name)
{
    struct sim_metric_view v;
    uint32_t id = sim_metric_find(m, name);
    assert_int_not_equal(id, UINT32_MAX);
    sim_metric_view(m, id, &v);
    return v.sum;
}

static struct sim_result run(const struct sim_config *c, struct sim_metrics *m)
{
    struct sim_result r;
    assert_int_equal(sim_run(c, m, &sim_flow_streams, NULL, NULL, &r), 0);
    if (r.failed)
        fail_msg("%s", r.failure);
    return r;
}

static void test_complete_and_repeatable(void **state)
{
    (void)state;
    struct sim_config c;
    config_default(&c, 12, 32u << 20);
    struct sim_metrics *a = sim_metrics_new(), *b = sim_metrics_new();
    struct sim_result first = run(&c, a), second = run(&c, b);
    assert_int_equal(sum(a, "swarm.complete"), 12);
    assert_int_equal(sum(a, "swarm.stuck"), 0);
    assert_true(first.hash == second.hash);
    assert_int_equal(first.events, second.events);
    uint64_t over = sum(a, "swarm.over_fluid");
    print_message("12 peers, 128 chunks: %.3f x the fluid bound, %.2f copies from the seed\n",
                  (double)over / 1e6, (double)sum(a, "swarm.seed_copies") / 100);
    assert_true(over >= SIM_PPM); /* nobody beats the bound: the links are not overbooked */
    assert_true(over < 2 * SIM_PPM);
    c.scenario.seed = 2;
    struct sim_metrics *d = sim_metrics_new();
    assert_true(run(&c, d).hash != first.hash);
    sim_metrics_free(a);
    sim_metrics_free(b);
    sim_metrics_free(d);
}

static void test_one_peer_is_served_at_the_link(void **state)
{
    (void)state;
    struct sim_config c;
    config_default(&c, 1, 16u << 20);
    struct sim_metrics *m = sim_metrics_new();
    run(&c, m);
    uint64_t over = sum(m, "swarm.over_fluid");
    print_message("1 peer, 64 chunks: %.3f x the fluid bound\n", (double)over / 1e6);
    assert_true(over >= SIM_PPM);
    assert_true(over < SIM_PPM * 115 / 100);
    sim_metrics_free(m);
}

static void test_peers_leave_and_one_is_crippled(void **state)
{
    (void)state;
    struct sim_config c;
    config_default(&c, 10, 8u << 20);
    c.swarm.leave_when_done = true;
    c.swarm.spread = CORE_SECONDS(20);
    c.swarm.crippled = 1;
    struct sim_metrics *m = sim_metrics_new();
    run(&c, m);
    assert_int_equal(sum(m, "swarm.complete"), 10);
    assert_int_equal(sum(m, "swarm.stuck"), 0);
    sim_metrics_free(m);
}

static void test_nat_and_polluter(void **state)
{
    (void)state;
    struct sim_config c;
    config_default(&c, 10, 8u << 20);
    c.net.nat = SIM_PPM / 3;
    c.hostile.share = SIM_PPM / 10; /* one of 19 */
    c.hostile.attack = SIM_ATTACK_POLLUTE;
    struct sim_metrics *m = sim_metrics_new();
    run(&c, m);
    struct sim_metric_view v;
    sim_metric_view(m, sim_metric_find(m, "swarm.complete"), &v);
    assert_int_equal(v.tries, 9); /* the tenth is the polluter */
    assert_int_equal(v.sum, v.tries);
    sim_metrics_free(m);
}

static core_time packet_time(struct sim_config *c, uint64_t *hash)
{
    struct sim_metrics *m = sim_metrics_new();
    struct sim_result r = run(c, m);
    assert_int_equal(sum(m, "swarm.complete"), c->swarm.peers);
    assert_true(sum(m, "swarm.over_fluid") >= SIM_PPM);
    uint64_t over = sum(m, "swarm.over_fluid");
    *hash = r.hash;
    sim_metrics_free(m);
    return over;
}

/* One stream fills its link but for headers; nobody beats the bound; the same twice; losses cost, and cost nothing but time. */
static void test_packets(void **state)
{
    (void)state;
    struct sim_config c;
    uint64_t first, second, lossy;
    config_default(&c, 1, 16u << 20);
    c.scenario.nodes = 2;
    c.net.bandwidth = SIM_PACKET;
    c.net.latency = SIM_LATENCY_CONSTANT;
    c.net.latency_min = CORE_MS(5);
    uint64_t one = packet_time(&c, &first);
    print_message("packet mode, 1 peer: %.3f x the fluid bound\n", (double)one / 1e6);
    assert_true(one < SIM_PPM * 110 / 100);
    config_default(&c, 6, 4u << 20);
    c.net.bandwidth = SIM_PACKET;
    uint64_t six = packet_time(&c, &first), again = packet_time(&c, &second);
    assert_true(first == second && six == again);
    c.net.loss = SIM_PPM / 50;
    uint64_t costs = packet_time(&c, &lossy);
    print_message("packet mode, 6 peers: %.3f; with 2 %% loss %.3f\n", (double)six / 1e6, (double)costs / 1e6);
    assert_true(lossy != first && costs > six);
    c.net.loss = 0;
    c.fault.split_at = CORE_SECONDS(80); /* streams break, or wait */
    c.fault.split_for = CORE_SECONDS(40);
    assert_true(packet_time(&c, &lossy) > six);
}

static void test_bounds(void **state)
{
    (void)state;
    assert_int_equal(swarm_bound_fluid(1000, 100, 0, 0, 1), CORE_SECONDS(10));     /* the seed */
    assert_int_equal(swarm_bound_fluid(1000, 100, 1000, 50, 2), CORE_SECONDS(20)); /* the slowest downlink */
    assert_int_equal(swarm_bound_fluid(1000, 100, 100, 1000, 10),
                     CORE_SECONDS(50)); /* all uplinks together */
    assert_int_equal(swarm_bound_fluid(1000, 0, 0, 0, 10), 0);
    assert_int_equal(swarm_bound_discrete(1000, 10, 100, 1), CORE_SECONDS(10));
    assert_int_equal(swarm_bound_discrete(1000, 10, 100, 8), CORE_SECONDS(13));
    assert_int_equal(swarm_bound_discrete(1000, 10, 0, 8), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_one_peer_is_served_at_the_link),
        cmocka_unit_test(test_complete_and_repeatable),
        cmocka_unit_test(test_peers_leave_and_one_is_crippled), cmocka_unit_test(test_nat_and_polluter),
        cmocka_unit_test(test_packets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
