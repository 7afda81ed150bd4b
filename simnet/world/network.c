/* Between nodes: addresses, places and delays, loss, pairs that cannot talk, NATs, partitions. Nothing here
 * is a table of pairs: what a pair is like is a hash of its two numbers. */
#include "simnet/world/world.h"

#include "node/base/assert.h"

#include <stdlib.h>
#include <string.h>

#define NAT_SETS    64
#define NAT_WAYS    4
#define NAT_OPEN    CORE_MINUTES(2) /* RFC 4787, REQ-5 */
#define ATTACK_NET  90              /* first byte of the hostile's addresses when they share prefixes */
#define PORT        7733
#define HEIGHT_MEAN 106 /* [us] */

struct sim_nat {
    uint32_t peer[NAT_SETS][NAT_WAYS];
    core_time until[NAT_SETS][NAT_WAYS];
};

/* ---- Addresses: node i has its own /24 in 20.0.0.0 .. 83.255.255.255; the hostile may be packed into few.
 * ---- */

static struct net_addr address_of(const struct sim_world *w, uint32_t i, uint32_t hostile_number)
{
    uint32_t prefixes = w->config->hostile.prefixes;
    if (!w->nodes[i].hostile || !prefixes)
        return net_addr_v4((uint8_t)(20 + i % 64), (uint8_t)(i / 64), (uint8_t)(i / 16384),
                           (uint8_t)(1 + i / 4194304), PORT);
    uint32_t prefix = hostile_number % prefixes, host = hostile_number / prefixes;
    return net_addr_v4(ATTACK_NET, (uint8_t)(prefix >> 8), (uint8_t)prefix, (uint8_t)(1 + host % 250),
                       (uint16_t)(PORT + host / 250));
}

uint32_t sim_node_at(const struct sim_world *w, const struct net_addr *a)
{
    const uint8_t *ip = a->ip + 12;
    uint32_t i = UINT32_MAX;
    if (!net_addr_is_v4(a))
        return UINT32_MAX;
    if (ip[0] == ATTACK_NET && w->config->hostile.prefixes) {
        uint32_t host = (uint32_t)(a->port - PORT) * 250 + ip[3] - 1u;
        uint64_t number = (uint64_t)host * w->config->hostile.prefixes + ((uint32_t)ip[1] << 8 | ip[2]);
        i = number < w->count - w->hostile_first ? w->hostile_first + (uint32_t)number : UINT32_MAX;
    } else if (ip[0] >= 20 && ip[0] < 84) {
        i = ip[0] - 20u + 64u * (ip[1] + 256u * (ip[2] + 256u * (ip[3] - 1u)));
    }
    return i < w->count && net_addr_equal(&w->nodes[i].addr, a) ? i : UINT32_MAX;
}

uint32_t sim_node_of(const struct sim_world *w, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr)
{
    uint32_t i = sim_node_at(w, addr);
    return i != UINT32_MAX && memcmp(w->nodes[i].me.key, key, NODE_KEY_SIZE) == 0 ? i : UINT32_MAX;
}

/* ---- Places: four regions of a map in microseconds of delay, and a height (the access network). The figures
 * were fitted to the quantiles of the King data set in SIMNET.md; tests/simnet/world_test.c holds them.
 * ---- */

static const struct region {
    uint32_t share; /* ppm, cumulative */
    int32_t x, y, spread;
} regions[] = {
    {423610, 12320, -7941, 12669},
    {742904, -6548, -17835, 50081},
    {911380, 82288, 8867, 2722},
    {SIM_PPM, 121197, 75213, 47629},
};

static void place(struct sim_world *w, uint32_t i)
{
    struct sim_node *n = &w->nodes[i];
    struct sim_random r;
    sim_random_init(&r, w->seed, i, SIM_DRAW_PLACE);
    uint32_t at = (uint32_t)sim_random_below(&r, SIM_PPM), region = 0;
    while (at >= regions[region].share)
        region++;
    n->x = regions[region].x + (int32_t)(sim_draw_normal(&r) * regions[region].spread);
    n->y = regions[region].y + (int32_t)(sim_draw_normal(&r) * regions[region].spread);
    n->height = (int32_t)(-sim_log(sim_random_unit(&r)) * HEIGHT_MEAN);
}

static uint8_t nat_draw(const struct sim_world *w, struct sim_random *r)
{
    uint64_t draw = sim_random_below(r, SIM_PPM), full = w->config->net.nat_full;
    uint64_t address = full + w->config->net.nat_address, symmetric = address + w->config->net.nat_symmetric;
    return draw < full        ? SIM_NAT_FULL
           : draw < address   ? SIM_NAT_ADDRESS
           : draw < symmetric ? SIM_NAT_SYMMETRIC
                              : SIM_NAT_PORT;
}

void sim_place_nodes(struct sim_world *w)
{
    uint32_t hostile = (uint32_t)((uint64_t)w->count * w->config->hostile.share / SIM_PPM);
    w->hostile_first = w->count - hostile;
    for (uint32_t i = 0; i < w->count; i++) {
        struct sim_node *n = &w->nodes[i];
        struct sim_random r;
        sim_random_init(&r, w->seed, i, SIM_DRAW_NAT);
        n->hostile = i >= w->hostile_first;
        n->addr = address_of(w, i, i - w->hostile_first);
        n->nat =
            !n->hostile && i >= w->config->churn.stay && sim_random_below(&r, SIM_PPM) < w->config->net.nat;
        n->nat_kind = n->nat ? nat_draw(w, &r) : SIM_NAT_PORT;
        if (n->nat && !n->holes)
            n->holes = calloc(1, sizeof *n->holes);
        place(w, i);
    }
}

static uint64_t pair_draw(const struct sim_world *w, uint32_t a, uint32_t b, uint32_t what)
{
    return sim_hash(w->seed ^ (uint64_t)SIM_DRAW_PAIR << 56,
                    a < b ? (uint64_t)a << 32 | b : (uint64_t)b << 32 | a, what);
}

static uint64_t square_root(uint64_t v)
{
    if (v < 2)
        return v;
    uint64_t x = 1ull << ((65 - (unsigned)__builtin_clzll(v)) / 2);
    for (;;) { /* Newton from above: falls until it is there */
        uint64_t next = (x + v / x) / 2;
        if (next >= x)
            return x;
        x = next;
    }
}

core_time sim_delay(const struct sim_world *w, uint32_t a, uint32_t b)
{
    const struct sim_node *p = &w->nodes[a], *q = &w->nodes[b];
    core_time delay = w->config->net.latency_min;
    if (w->config->net.latency == SIM_LATENCY_UNIFORM) {
        delay += pair_draw(w, a, b, 1) % (w->config->net.latency_max - delay + 1);
    } else if (w->config->net.latency == SIM_LATENCY_COORDINATES) {
        int64_t x = (int64_t)p->x - q->x, y = (int64_t)p->y - q->y;
        delay = square_root((uint64_t)(x * x + y * y)) + (uint64_t)p->height + (uint64_t)q->height;
    }
    return delay > w->config->net.floor ? delay : w->config->net.floor;
}

core_time sim_delay_jittered(const struct sim_world *w, uint32_t a, uint32_t b, uint64_t draw)
{
    core_time delay = sim_delay(w, a, b);
    uint64_t reach = delay * w->config->net.jitter / SIM_PPM;
    delay = reach ? delay - reach + draw % (2 * reach + 1) : delay;
    return delay > w->config->net.floor ? delay : w->config->net.floor;
}

bool sim_pair_deaf(const struct sim_world *w, uint32_t a, uint32_t b)
{
    if (w->config->net.deaf_pairs && !w->quiet && pair_draw(w, a, b, 2) % SIM_PPM < w->config->net.deaf_pairs)
        return true;
    return sim_fault_cut(w, a, b);
}

/* ---- NATs ---- */

/* What a hole is for: one peer, one address, or anybody. Never 0. */
static uint32_t hole_key(const struct sim_world *w, uint32_t inside, uint32_t peer)
{
    const uint8_t *ip = w->nodes[peer].addr.ip + 12;
    switch (w->nodes[inside].nat_kind) {
    case SIM_NAT_FULL:
        return 1;
    case SIM_NAT_ADDRESS:
        return (uint32_t)ip[0] << 24 | (uint32_t)ip[1] << 16 | (uint32_t)ip[2] << 8 | ip[3];
    default:
        return peer + 1;
    }
}

/* The port that a symmetric NAT gives a node towards one peer; never the node's own. */
static uint16_t mapped_port(const struct sim_world *w, uint32_t inside, uint32_t peer)
{
    return (uint16_t)(20000 + sim_hash(w->seed ^ (uint64_t)SIM_DRAW_NAT << 56, inside, peer) % 40000);
}

struct net_addr sim_seen_from(const struct sim_world *w, uint32_t from, uint32_t to)
{
    struct net_addr seen = w->nodes[from].addr;
    if (w->nodes[from].nat && w->nodes[from].nat_kind == SIM_NAT_SYMMETRIC)
        seen.port = mapped_port(w, from, to);
    return seen;
}

/* The node whose address this is, whatever the port. */
static uint32_t node_of_ip(const struct sim_world *w, const struct net_addr *a)
{
    struct net_addr own = *a;
    own.port = PORT;
    return sim_node_at(w, &own);
}

/* Who gets what `from` sends to this address: behind a symmetric NAT only by the port that is mapped towards
 * `from`. */
static uint32_t receiver(const struct sim_world *w, uint32_t from, const struct net_addr *addr)
{
    uint32_t i = sim_node_at(w, addr);
    if (i == UINT32_MAX && addr->port >= 20000)
        i = node_of_ip(w, addr);
    if (i == UINT32_MAX || from == i)
        return UINT32_MAX;
    if (!w->nodes[i].nat)
        return i;
    struct net_addr own = sim_seen_from(w, i, from);
    return net_addr_equal(&own, addr) ? i : UINT32_MAX;
}

static void nat_open(struct sim_world *w, uint32_t from, uint32_t to)
{
    struct sim_nat *nat = w->nodes[from].holes;
    uint32_t key = hole_key(w, from, to), set = key % NAT_SETS, way = 0;
    for (uint32_t k = 0; k < NAT_WAYS; k++) {
        if (nat->peer[set][k] == key) {
            way = k;
            break;
        }
        way = nat->until[set][k] < nat->until[set][way] ? k : way;
    }
    nat->peer[set][way] = key;
    nat->until[set][way] = w->now + NAT_OPEN;
}

bool sim_nat_passes(const struct sim_world *w, uint32_t to, uint32_t from)
{
    const struct sim_nat *nat = w->nodes[to].holes;
    uint32_t key = nat ? hole_key(w, to, from) : 0;
    for (uint32_t k = 0; nat && k < NAT_WAYS; k++)
        if (nat->peer[key % NAT_SETS][k] == key)
            return w->now <= nat->until[key % NAT_SETS][k];
    return !nat;
}

/* ---- Datagrams ---- */

static uint64_t draw(struct sim_world *w, uint32_t from, uint32_t what)
{
    return sim_hash(w->seed ^ (uint64_t)what << 56, (uint64_t)from << 32 | w->nodes[from].draws, what);
}

uint32_t sim_loss(const struct sim_world *w, uint32_t from, uint32_t to)
{
    uint32_t loss = w->config->net.loss;
    if (w->quiet)
        return 0;
    if (w->config->net.loss_measured) {
        uint64_t class = pair_draw(w, from, to, 3) % 100;
        loss += class < 90 ? 1000 : class < 99 ? 7000 : 30000;
    }
    return loss;
}

static void put_on_the_way(struct sim_world *w, uint32_t from, uint32_t to, core_time at, struct bytes bytes)
{
    uint8_t *copy = pool_take_raw(&w->datagrams);
    if (!copy) {
        w->datagrams_lost++;
        return;
    }
    memcpy(copy, bytes.data, bytes.size);
    struct sim_event e = {.at = at,
                          .to = to,
                          .from = from,
                          .number = w->nodes[from].number++,
                          .kind = SIM_EVENT_DATAGRAM,
                          .size = (uint16_t)bytes.size,
                          .data = copy};
    sim_events_push(w->events, &e);
}

void sim_send(struct sim_world *w, uint32_t from, const struct net_addr *addr, struct bytes bytes)
{
    core_assert(bytes.size > 0 && bytes.size <= DATAGRAM_MAX);
    uint32_t to = receiver(w, from, addr);
    w->datagrams_sent++;
    w->bytes_sent += bytes.size;
    if (w->config->net.paper_bytes)
        w->paper_bytes += sim_paper_bytes(bytes);
    w->nodes[from].draws++;
    if (to == UINT32_MAX) {
        w->datagrams_lost++;
        return;
    }
    if (w->nodes[from].holes)
        nat_open(w, from, to);
    uint32_t loss = sim_loss(w, from, to);
    if (sim_pair_deaf(w, from, to) || (loss && draw(w, from, SIM_DRAW_LOSS) % SIM_PPM < loss)) {
        w->datagrams_lost++;
        return;
    }
    core_time at = w->now + sim_delay_jittered(w, from, to, draw(w, from, SIM_DRAW_JITTER));
    uint64_t fault = w->config->fault.replay | w->config->fault.reorder ? draw(w, from, SIM_DRAW_FAULT) : 0;
    if (!w->quiet && fault % SIM_PPM < w->config->fault.reorder)
        at += fault >> 44; /* up to a second more */
    at = sim_fault_clogged(w, from, to, at) + sim_fault_slow(w, to);
    put_on_the_way(w, from, to, at, bytes);
    if (!w->quiet && (fault >> 20) % SIM_PPM < w->config->fault.replay)
        put_on_the_way(w, from, to, at + (fault >> 40), bytes); /* up to 16 s later */
}
