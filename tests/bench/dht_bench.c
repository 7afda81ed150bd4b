/* A world of DHT nodes in one process, with the cheap crypto: events a second, bytes a node, hops and time of look-ups.
 *
 *     dht_bench [nodes] [seed] */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "dht/node_state.h"
#include "tests/support/dht_world.h"

static double cpu(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static int by_time(const void *a, const void *b)
{
    core_time x = *(const core_time *)a, y = *(const core_time *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    uint32_t nodes = argc > 1 ? (uint32_t)atoi(argv[1]) : 1000;
    uint64_t seed = argc > 2 ? (uint64_t)atoll(argv[2]) : 1;
    if (nodes < 20 || nodes > 50000) {
        fprintf(stderr, "dht_bench: 20 to 50000 nodes\n");
        return 2;
    }
    struct world *w = world_new(seed, nodes, NULL, &core_crypto_cheap);
    w->checks = false;
    w->latency_min = CORE_MS(5);
    w->latency_max = CORE_MS(150); /* one way; the King data set's median round trip is 156 ms */
    double start = cpu();
    world_join_all(w);
    core_time began = w->now;
    uint32_t joined = 0;
    while (joined < nodes && w->now < began + CORE_MINUTES(5)) {
        world_run(w, w->now + CORE_MS(200));
        joined = 0;
        for (uint32_t i = 0; i < nodes; i++)
            joined += w->nodes[i].dht->joined;
    }
    printf("%u nodes, k = %u, alpha = %u, seed %llu\n", nodes, w->config.k, w->config.alpha, (unsigned long long)seed);
    printf("| joined, all from one             | %10.1f s simulated, %.2f s of CPU\n", (double)(w->now - began) / 1e6, cpu() - start);
    world_run(w, w->now + CORE_MINUTES(1));
    world_notices_clear(w);

    enum { FINDS = 1000 };
    static core_time took[FINDS];
    uint64_t hops = 0, done = 0, exact = 0, sent = w->datagrams, asked = 0;
    for (uint32_t i = 0; i < FINDS; i++) {
        uint8_t key[32];
        uint32_t asker = (i * 37 + 1) % nodes;
        world_key(key, seed ^ 0xf1, i);
        core_time from = w->now;
        uint64_t hops_before = w->nodes[asker].dht->hops_sum;
        world_find(w, asker, key, 1);
        const struct world_notice *n = world_wait(w, asker, 1, CORE_SECONDS(60));
        took[i] = w->now - from;
        hops += w->nodes[asker].dht->hops_sum - hops_before;
        done += n && n->x.u.notice.status == 0;
        asked += n ? n->x.u.notice.b : 0;
        const struct world_notice *nearest = world_notice_find(w, asker, 1, DHT_NOTICE_NODE, 0);
        exact += nearest && world_is_closest(w, world_index(w, nearest->x.u.notice.node.key), key, 2);
        world_notices_clear(w);
    }
    qsort(took, FINDS, sizeof *took, by_time);
    printf("| look-ups that succeed            | %10.1f %% of %u; nearest node found %.1f %%\n", 100.0 * (double)done / FINDS, FINDS, 100.0 * (double)exact / FINDS);
    printf("| hops; requests a look-up         | %10.2f; %.1f (%.1f datagrams)\n", (double)hops / FINDS, (double)asked / FINDS, (double)(w->datagrams - sent) / FINDS);
    printf("| time to the end, p50, p95        | %10.0f ms, %.0f ms\n", (double)took[FINDS / 2] / 1e3, (double)took[FINDS * 95 / 100] / 1e3);

    uint64_t events = w->events, bytes = 0, before = 0;
    for (uint32_t i = 0; i < nodes; i++)
        before += w->nodes[i].sent_bytes;
    start = cpu();
    world_run(w, w->now + CORE_HOURS(1));
    double idle = cpu() - start;
    for (uint32_t i = 0; i < nodes; i++)
        bytes += w->nodes[i].sent_bytes;
    printf("| an idle hour                     | %10.2f s of CPU, %.0f events a node, %.0f events a second\n", idle,
           (double)(w->events - events) / nodes, (double)(w->events - events) / idle);
    printf("| idle traffic                     | %10.2f MB a node a day, sent and received\n", (double)(bytes - before) / nodes * 24 * 2 / 1e6);
    uint64_t contacts = 0;
    for (uint32_t i = 0; i < nodes; i++) {
        struct dht_status s;
        dht_status(w->nodes[i].dht, &s);
        contacts += s.contacts;
    }
    printf("| a node                           | %10zu B; contacts %.1f\n", dht_node_size(&w->config), (double)contacts / nodes);
    printf("| trace hash                       | %016llx\n", (unsigned long long)w->trace);
    world_free(w);
    return 0;
}
