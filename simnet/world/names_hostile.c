/* Hostile nodes against names, as [hostile] names says. Squatters give themselves other nodes' nicknames. Replayers keep the first profile they see of a
 * node and store it again and again once there is a newer one. Spammers fill the index: signed keyword records for the words that people use most, at
 * addresses where nobody answers. Otherwise they run the shipped code like everybody. */
#include "simnet/world/names_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACT_AGAIN    CORE_SECONDS(10)
#define SPAM_AT_ONCE 4
#define NOWHERE_NET  84 /* first byte of addresses where no node lives (network.c) */

static bool does(const struct sim_world *w, enum sim_names_attack what)
{
    return w->config->hostile.names == what || w->config->hostile.names == SIM_NAMES_ALL;
}

bool sim_names_squatted(const struct sim_world *w, uint32_t i)
{
    return does(w, SIM_NAMES_SQUAT) && i >= 1 && i <= SQUATTED && i < w->hostile_first && w->hostile_first < w->count;
}

void sim_names_hostile_started(struct sim_world *w, uint32_t i)
{
    struct name_node *s = &w->names->nodes[i];
    if (w->config->hostile.names == SIM_NAMES_NONE || w->hostile_first <= SQUATTED)
        return;
    s->acts = 0;
    s->victim = 1 + (i - w->hostile_first) % (w->hostile_first - 1);
    sim_names_at(w, i, w->now + CORE_MINUTES(1) + sim_random_below(&w->nodes[i].load, CORE_MINUTES(1)), NAMES_HOSTILE);
}

static void squat(struct sim_world *w, uint32_t i)
{
    struct naming *naming = node_naming(w->nodes[i].node);
    struct profile p = {.address_count = 1, .has_site = true, .site = {.kind = CONTENT_TREE, .size = 1}};
    sim_names_nickname(p.nickname, 1 + (i - w->hostile_first) % SQUATTED);
    p.addresses[0] = w->nodes[i].addr;
    naming_set_profile(naming, w->now, &p);
    naming_wake(naming, w->now, sim_out(w));
}

void sim_names_hostile_profile(struct sim_world *w, uint32_t i, const uint8_t key[NODE_KEY_SIZE], struct bytes record)
{
    struct name_node *s = &w->names->nodes[i];
    if (s->replayed || memcmp(key, w->nodes[s->victim].me.key, NODE_KEY_SIZE) != 0 || !record.size)
        return;
    s->replayed = malloc(record.size);
    if (!s->replayed)
        abort();
    memcpy(s->replayed, record.data, record.size);
    s->replayed_size = (uint32_t)record.size;
}

static void put(struct sim_world *w, uint32_t i, enum dht_kind kind, const uint8_t key[DHT_KEY_SIZE], struct bytes record)
{
    struct sim_node *n = &w->nodes[i];
    n->op = n->op % NODE_OP_MAX + 1;
    (void)dht_put(n->dht, w->now, kind, key, record, n->op, sim_out(w)); /* no room: the next time */
    sim_carry(w, i);
}

static void replay(struct sim_world *w, uint32_t i)
{
    const struct name_node *s = &w->names->nodes[i];
    const uint8_t *victim = w->nodes[s->victim].me.key;
    uint8_t key[DHT_KEY_SIZE];
    if (!s->replayed) {
        (void)naming_look(node_naming(w->nodes[i].node), w->now, victim, false, sim_out(w));
        sim_carry(w, i);
        return;
    }
    node_position(key, victim, w->env.crypto);
    put(w, i, DHT_PROFILE, key, bytes_of(s->replayed, s->replayed_size));
}

static void spam(struct sim_world *w, uint32_t i)
{
    struct sim_node *n = &w->nodes[i];
    uint64_t unix_s = sim_fault_unix_ms(w, i) / 1000;
    for (int k = 0; k < SPAM_AT_ONCE; k++) {
        char word[16];
        uint8_t key[DHT_KEY_SIZE], value[DHT_VALUE_MAX], record[DHT_RECORD_WIRE_MAX];
        struct keyword claim = {.count = 100, .address_count = KEYWORD_ADDRESSES_MAX};
        for (uint32_t a = 0; a < KEYWORD_ADDRESSES_MAX; a++)
            claim.addresses[a] = net_addr_v4(NOWHERE_NET, (uint8_t)(1 + a), (uint8_t)i, (uint8_t)(1 + i / 256 % 250), 7733);
        snprintf(word, sizeof word, "w%ux", sim_names_word(&n->load));
        keyword_key(key, word, &w->network, w->env.crypto);
        size_t size = keyword_write(value, sizeof value, &claim);
        size = dht_record_sign(record, sizeof record, DHT_KEYWORD, key, unix_s * 1000, unix_s + 86400, bytes_of(value, size), &n->me,
                               &w->network, w->env.crypto);
        put(w, i, DHT_KEYWORD, key, bytes_of(record, size));
    }
}

void sim_names_hostile_event(struct sim_world *w, uint32_t i)
{
    struct name_node *s = &w->names->nodes[i];
    if (does(w, SIM_NAMES_SQUAT) && s->acts == 0)
        squat(w, i);
    if (does(w, SIM_NAMES_STALE))
        replay(w, i);
    if (does(w, SIM_NAMES_SPAM))
        spam(w, i);
    s->acts++;
    sim_names_at(w, i, w->now + ACT_AGAIN, NAMES_HOSTILE);
}
