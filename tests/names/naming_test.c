/* Names, sites and search among nodes in a small world: what is published is found, changes are told at once, a reader never goes back; with nodes that
 * leave, a network that is cut, and nodes that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "dht/node_state.h"
#include "node/names/naming_internal.h"
#include "tests/support/dht_world.h"

static struct world *names_world(uint64_t seed, uint32_t count)
{
    struct world *w = world_new(seed, count, NULL, &core_crypto_cheap);
    w->with_names = true;
    w->latency_min = CORE_MS(10);
    w->latency_max = CORE_MS(80);
    world_join_all(w);
    world_run(w, w->now + CORE_SECONDS(20));
    return w;
}

static struct profile profile_of(const struct world *w, uint32_t i, const char *nickname, uint32_t site)
{
    struct profile p = {.address_count = 1, .has_site = site != 0};
    snprintf(p.nickname, sizeof p.nickname, "%s", nickname);
    p.addresses[0] = w->nodes[i].addr;
    if (site) {
        p.site = (struct content_id){.size = site, .kind = CONTENT_TREE};
        memset(p.site.root, 3, sizeof p.site.root);
    }
    return p;
}

static void publish(struct world *w, uint32_t i, const char *nickname, uint32_t site)
{
    struct profile p = profile_of(w, i, nickname, site);
    naming_set_profile(w->nodes[i].naming, w->now, &p);
    naming_wake(w->nodes[i].naming, w->now, &w->out);
    world_carry(w, i);
}

static int look(struct world *w, uint32_t i, uint32_t whom, bool watch)
{
    int status = naming_look(w->nodes[i].naming, w->now, w->nodes[whom].me.key, watch, &w->out);
    world_carry(w, i);
    return status;
}

static void search(struct world *w, uint32_t i, const char *text, uint32_t op, int expected)
{
    assert_int_equal(naming_search(w->nodes[i].naming, w->now, text, w->now + CORE_SECONDS(5), op, &w->out), expected);
    world_carry(w, i);
}

/* The site of `whom` that node i believes; 0 = none. */
static uint32_t site_seen(struct world *w, uint32_t i, uint32_t whom)
{
    struct naming_peer p;
    if (!naming_peer(w->nodes[i].naming, w->nodes[whom].me.key, &p) || !p.has_profile || !p.profile->has_site)
        return 0;
    return (uint32_t)p.profile->site.size;
}

static const struct world_notice *wait_done(struct world *w, uint32_t i, uint32_t op, core_time limit)
{
    core_time until = w->now + limit;
    const struct world_notice *n;
    while (!(n = world_notice_find(w, i, op, NAMING_NOTICE_DONE, 0)) && world_step(w, until))
        ;
    return n;
}

/* A name never seen, then a change while somebody watches: the first takes look-ups, the second one datagram. */
static void test_publish_look_and_watch(void **state)
{
    (void)state;
    struct world *w = names_world(1, 60);
    publish(w, 7, "alice", 100);
    world_run(w, w->now + CORE_SECONDS(3));
    struct naming_own own;
    naming_own(w->nodes[7].naming, &own);
    assert_in_range(own.stored, 8, 16);
    assert_int_equal(look(w, 42, 7, true), 0);
    core_time began = w->now;
    while (site_seen(w, 42, 7) == 0 && world_step(w, began + CORE_SECONDS(5)))
        ;
    printf("never seen: %.0f ms\n", (double)(w->now - began) / 1000);
    assert_int_equal(site_seen(w, 42, 7), 100);
    world_run(w, w->now + CORE_SECONDS(2));
    assert_true(world_notice_count(w, 42, 0, NAMING_NOTICE_LOOKED) == 1);
    naming_own(w->nodes[7].naming, &own);
    assert_int_equal(own.watchers, 1);

    began = w->now;
    publish(w, 7, "alice", 200);
    while (site_seen(w, 42, 7) != 200 && world_step(w, began + CORE_SECONDS(5)))
        ;
    printf("a change, watched: %.0f ms\n", (double)(w->now - began) / 1000);
    assert_true(w->now - began < CORE_MS(300));
    assert_int_equal(site_seen(w, 42, 7), 200);
    /* told once, and no more after the watch has ended */
    world_run(w, w->now + CORE_SECONDS(NAMING_WATCH_S + 5));
    publish(w, 7, "alice", 300);
    world_run(w, w->now + CORE_SECONDS(3));
    assert_int_equal(site_seen(w, 42, 7), 200);
    assert_int_equal(look(w, 42, 7, false), 0);
    world_run(w, w->now + CORE_SECONDS(3));
    assert_int_equal(site_seen(w, 42, 7), 300);
    world_free(w);
}

/* The same thing set twice is published once; a nickname's claim follows its profile. */
static void test_nothing_new_is_not_published(void **state)
{
    (void)state;
    struct world *w = names_world(2, 20);
    struct naming_own a, b;
    publish(w, 3, "bob", 5);
    world_run(w, w->now + CORE_SECONDS(3));
    naming_own(w->nodes[3].naming, &a);
    publish(w, 3, "bob", 5);
    world_run(w, w->now + CORE_SECONDS(3));
    naming_own(w->nodes[3].naming, &b);
    assert_true(a.sequence == b.sequence && a.sequence > 0);
    assert_int_equal(naming_claimants(w->nodes[9].naming, w->now, "BOB", 77, &w->out), 0);
    world_carry(w, 9);
    const struct world_notice *done = wait_done(w, 9, 77, CORE_SECONDS(5));
    assert_non_null(done);
    assert_int_equal(done->x.u.notice.status, 0);
    const struct world_notice *c = world_notice_find(w, 9, 77, NAMING_NOTICE_CLAIMANT, 0);
    assert_non_null(c);
    assert_memory_equal(c->x.u.notice.node.key, w->nodes[3].me.key, NODE_KEY_SIZE);
    assert_int_equal(naming_claimants(w->nodes[9].naming, w->now, "a b", 78, &w->out), ERR_MALFORMED);
    world_free(w);
}

/* A profile that changes while it is being put: put again when the first has ended, and until then nobody is woken for it (a node that was cost a whole core). */
static void test_changed_while_put(void **state)
{
    (void)state;
    struct world *w = names_world(9, 20);
    struct naming *n = w->nodes[3].naming;
    struct naming_own own;
    publish(w, 3, "bob", 5);
    while (!n->own_putting && world_step(w, w->now + CORE_SECONDS(5)))
        ;
    assert_true(n->own_putting);
    struct profile p = profile_of(w, 3, "bob", 6);
    core_time soon = w->now + CORE_SECONDS(60);
    naming_set_profile(n, w->now, &p);
    naming_wake(n, soon, &w->out);
    assert_true(n->own_putting && naming_deadline(n) > soon);
    world_carry(w, 3);
    world_run(w, w->now + CORE_SECONDS(5));
    naming_own(n, &own);
    assert_true(own.stored >= 8 && !n->own_putting);
    assert_int_equal(look(w, 12, 3, false), 0);
    world_run(w, w->now + CORE_SECONDS(3));
    assert_int_equal(site_seen(w, 12, 3), 6);
    world_free(w);
}

static size_t record_of(struct world *w, uint32_t i, enum dht_kind kind, const uint8_t key[32], uint64_t sequence, uint64_t expiry_s, struct bytes value,
                        uint8_t *out)
{
    size_t size = dht_record_sign(out, DHT_RECORD_WIRE_MAX, kind, key, sequence, expiry_s, value, &w->nodes[i].me, &w->network, w->env.crypto);
    assert_true(size > 0);
    return size;
}

/* Every way in which a record may be wrong has its own reason, and what is known stays. */
static void test_refusals(void **state)
{
    (void)state;
    struct world *w = names_world(3, 4);
    struct naming *n = w->nodes[0].naming;
    const uint8_t *key = w->nodes[1].me.key;
    uint8_t position[32], value[DHT_VALUE_MAX], record[DHT_RECORD_WIRE_MAX + 64], other[DHT_RECORD_WIRE_MAX];
    uint64_t now_s = world_unix_ms(w) / 1000;
    struct profile p = profile_of(w, 1, "eve", 1);
    struct bytes v = bytes_of(value, profile_write(value, sizeof value, &p));
    node_position(position, key, w->env.crypto);
    size_t size = record_of(w, 1, DHT_PROFILE, position, 1000, now_s + 100, v, record);
    assert_int_equal(naming_take(n, w->now, w->nodes[2].me.key, bytes_of(record, size), &w->out), ERR_AUTH); /* somebody else's */
    assert_int_equal(naming_take(n, w->now, key, bytes_of(record, size), &w->out), 0);
    assert_int_equal(naming_take(n, w->now, key, bytes_of(record, size), &w->out), 0); /* the same again is no news */
    world_carry(w, 0);
    assert_int_equal(world_notice_count(w, 0, 0, NAMING_NOTICE_PROFILE), 1);

    size_t old = record_of(w, 1, DHT_PROFILE, position, 999, now_s + 100, v, other);
    assert_int_equal(naming_take(n, w->now, key, bytes_of(other, old), &w->out), ERR_STALE);
    old = record_of(w, 1, DHT_PROFILE, position, 1000, now_s + 101, v, other); /* two stories under one sequence */
    assert_int_equal(naming_take(n, w->now, key, bytes_of(other, old), &w->out), ERR_STALE);
    old = record_of(w, 1, DHT_PROFILE, position, 1001, now_s - 1, v, other);
    assert_int_equal(naming_take(n, w->now, key, bytes_of(other, old), &w->out), ERR_EXPIRED);
    old = record_of(w, 1, DHT_PROFILE, position, 1001, now_s + 100, v, other);
    other[old - 1] ^= 1;
    assert_int_equal(naming_take(n, w->now, key, bytes_of(other, old), &w->out), ERR_AUTH);
    old = record_of(w, 1, DHT_PROFILE, position, 1001, now_s + 100, bytes_of("\xc0", 1), other); /* signed nonsense */
    assert_int_equal(naming_take(n, w->now, key, bytes_of(other, old), &w->out), ERR_MALFORMED);
    old = record_of(w, 1, DHT_NICK, position, 1001, now_s + 100, v, other);
    assert_int_equal(naming_take(n, w->now, key, bytes_of(other, old), &w->out), ERR_AUTH);
    assert_int_equal(naming_take(n, w->now, key, bytes_of(record, sizeof record), &w->out), ERR_MALFORMED); /* oversized */
    assert_int_equal(naming_take(n, w->now, key, bytes_of(record, 10), &w->out), ERR_MALFORMED);
    struct naming_counters c;
    naming_counters(n, &c);
    assert_int_equal(c.stale, 2);
    assert_int_equal(c.expired, 1);
    assert_int_equal(c.forged, 3);
    assert_int_equal(c.malformed, 3);
    struct naming_peer seen;
    assert_true(naming_peer(n, key, &seen));
    assert_true(seen.sequence == 1000 && seen.has_profile);
    world_carry(w, 0);
    world_free(w);
}

/* A restart with what was kept: old records found afterwards (here: from a holder that was cut off) do not take the reader back. */
static void test_never_back(void **state)
{
    (void)state;
    struct world *w = names_world(4, 30);
    uint8_t kept[DHT_RECORD_WIRE_MAX];
    publish(w, 5, "carol", 1);
    world_run(w, w->now + CORE_SECONDS(3));
    look(w, 20, 5, false);
    world_run(w, w->now + CORE_SECONDS(3));
    publish(w, 5, "carol", 2);
    world_run(w, w->now + CORE_SECONDS(3));
    look(w, 20, 5, false);
    world_run(w, w->now + CORE_SECONDS(3));
    assert_int_equal(site_seen(w, 20, 5), 2);
    const struct world_notice *last = NULL, *n;
    for (uint32_t i = 0; (n = world_notice_find(w, 20, 0, NAMING_NOTICE_PROFILE, i)); i++)
        last = n;
    size_t size = last->x.bytes_size;
    memcpy(kept, last->bytes, size);
    const struct world_notice *first = world_notice_find(w, 20, 0, NAMING_NOTICE_PROFILE, 0);
    world_stop(w, 20);
    world_start(w, 20);
    assert_int_equal(naming_restore(w->nodes[20].naming, w->now, w->nodes[5].me.key, true, bytes_of(kept, size)), 0);
    assert_int_equal(site_seen(w, 20, 5), 2);
    assert_int_equal(naming_take(w->nodes[20].naming, w->now, w->nodes[5].me.key, bytes_of(first->bytes, first->x.bytes_size), &w->out), ERR_STALE);
    assert_int_equal(site_seen(w, 20, 5), 2);
    world_free(w);
}

/* The publisher is away for more than a day, and nodes come and go; holders and the one who pinned it keep its name alive. */
static void test_publisher_away(void **state)
{
    (void)state;
    struct world *w = names_world(5, 16);
    w->checks = false;
    publish(w, 3, "dave", 9);
    world_run(w, w->now + CORE_SECONDS(5));
    look(w, 11, 3, false);
    naming_pin(w->nodes[11].naming, w->now, w->nodes[3].me.key, true);
    world_run(w, w->now + CORE_SECONDS(10));
    world_stop(w, 3);
    for (uint32_t hour = 0; hour < 27; hour++) {
        uint32_t leaves = hour % 8 == 3 ? 15 : 8 + hour % 8; /* half of the network is replaced over and over */
        if (w->nodes[leaves].dht)
            world_stop(w, leaves);
        world_run(w, w->now + CORE_MINUTES(30));
        world_start(w, leaves);
        world_hint(w, leaves, hour % 3);
        world_run(w, w->now + CORE_MINUTES(30));
        world_notices_clear(w);
    }
    look(w, 8, 3, false);
    world_run(w, w->now + CORE_SECONDS(20));
    assert_int_equal(site_seen(w, 8, 3), 9);
    world_free(w);
}

static bool cut_tap(struct world *w, uint32_t from, uint32_t to, uint8_t *data, size_t *size)
{
    (void)w, (void)data, (void)size;
    return to == UINT32_MAX || (from < 15) == (to < 15);
}

/* A network cut in two: the other half goes on with what it has, and sees the newer profile after the halves meet again. */
static void test_partition(void **state)
{
    (void)state;
    struct world *w = names_world(6, 30);
    publish(w, 2, "erin", 1);
    world_run(w, w->now + CORE_SECONDS(3));
    look(w, 25, 2, true);
    world_run(w, w->now + CORE_SECONDS(3));
    assert_int_equal(site_seen(w, 25, 2), 1);
    w->tap = cut_tap;
    publish(w, 2, "erin", 2);
    world_run(w, w->now + CORE_SECONDS(30));
    look(w, 25, 2, true);
    world_run(w, w->now + CORE_SECONDS(20));
    assert_int_equal(site_seen(w, 25, 2), 1);
    w->tap = NULL;
    world_run(w, w->now + CORE_SECONDS(90));
    look(w, 25, 2, true);
    world_run(w, w->now + CORE_SECONDS(10));
    assert_int_equal(site_seen(w, 25, 2), 2);
    world_free(w);
}

/* Squatters store claims under a nickname's key that belong elsewhere, and old profiles of others again and again. */
static void test_squatters(void **state)
{
    (void)state;
    struct world *w = names_world(7, 40);
    uint8_t key[32], value[DHT_VALUE_MAX], record[DHT_RECORD_WIRE_MAX], position[32];
    uint64_t now_s = world_unix_ms(w) / 1000;
    publish(w, 4, "frank", 1);
    world_run(w, w->now + CORE_SECONDS(3));
    look(w, 30, 4, false);
    world_run(w, w->now + CORE_SECONDS(3));
    const struct world_notice *old = world_notice_find(w, 30, 0, NAMING_NOTICE_PROFILE, 0);
    uint8_t replay[DHT_RECORD_WIRE_MAX];
    size_t replay_size = old->x.bytes_size;
    memcpy(replay, old->bytes, replay_size);
    publish(w, 4, "frank", 2);
    nick_key(key, "frank", &w->network, w->env.crypto);
    for (uint32_t i = 10; i < 20; i++) { /* "mallory" under frank's key */
        struct bytes v = bytes_of(value, nick_write(value, sizeof value, i % 2 ? "mallory" : "Frank"));
        size_t size = record_of(w, i, DHT_NICK, key, 1000 + i, now_s + 1000, v, record);
        world_put(w, i, DHT_NICK, key, bytes_of(record, size), 900 + i);
    }
    node_position(position, w->nodes[4].me.key, w->env.crypto);
    for (uint32_t i = 20; i < 28; i++)
        world_put(w, i, DHT_PROFILE, position, bytes_of(replay, replay_size), 900 + i);
    world_run(w, w->now + CORE_SECONDS(5));
    assert_int_equal(naming_claimants(w->nodes[35].naming, w->now, "frank", 7, &w->out), 0);
    world_carry(w, 35);
    assert_non_null(wait_done(w, 35, 7, CORE_SECONDS(10)));
    assert_int_equal(world_notice_count(w, 35, 7, NAMING_NOTICE_CLAIMANT), 6); /* frank and the five who spell it so; none of the others */
    look(w, 36, 4, false);
    world_run(w, w->now + CORE_SECONDS(5));
    assert_int_equal(site_seen(w, 36, 4), 2);
    world_free(w);
}

/* ---- Search ---- */

static void list_files(struct world *w, uint32_t i, uint32_t count, const char *extra)
{
    struct naming *n = w->nodes[i].naming;
    naming_list_begin(n);
    for (uint32_t k = 0; k < count; k++) {
        struct content_id id = {.size = i * 1000 + k, .kind = CONTENT_FILE};
        char name[100];
        memset(id.root, (int)k, sizeof id.root);
        snprintf(name, sizeof name, "common node%u file%u%s.txt", i, k, k == 0 ? extra : "");
        assert_int_equal(naming_list_add(n, &id, name), 0);
    }
    naming_list_end(n, w->now);
    naming_wake(n, w->now, &w->out);
    world_carry(w, i);
}

static void test_search(void **state)
{
    (void)state;
    struct world *w = names_world(8, 40);
    w->checks = false;
    for (uint32_t i = 0; i < 40; i++) {
        publish(w, i, "", 0);
        list_files(w, i, 5, i == 17 ? " Zebra Été" : i == 18 ? " zebra" : "");
    }
    world_run(w, w->now + CORE_SECONDS(60));
    struct naming_own own;
    naming_own(w->nodes[17].naming, &own);
    assert_int_equal(own.listed, 5);
    assert_int_equal(own.words_stored, own.words);
    struct {
        const char *query;
        uint32_t hits;
    } cases[] = {{"zebra", 2}, {"ZEBRA ete", 1}, {"zebra common txt", 2}, {"zebra node17", 1}, {"zebra node16", 0}, {"nothing", 0}, {"common", 200}};
    for (uint32_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        core_time began = w->now;
        search(w, 30, cases[c].query, 100 + c, 0);
        assert_non_null(wait_done(w, 30, 100 + c, CORE_SECONDS(6)));
        uint32_t hits = world_notice_count(w, 30, 100 + c, NAMING_NOTICE_HIT);
        printf("\"%s\": %u hits in %.0f ms\n", cases[c].query, hits, (double)(w->now - began) / 1000);
        assert_int_equal(hits, cases[c].hits);
    }
    search(w, 30, "- .", 200, ERR_MALFORMED);
    for (uint32_t i = 0; i < SEARCHES_MAX; i++)
        search(w, 30, "zebra", 300 + i, 0);
    search(w, 30, "zebra", 399, ERR_FULL);
    naming_cancel(w->nodes[30].naming, 300);
    search(w, 30, "zebra", 399, 0);
    assert_non_null(wait_done(w, 30, 399, CORE_SECONDS(6)));
    assert_null(world_notice_find(w, 30, 300, NAMING_NOTICE_DONE, 0));
    world_free(w);
}

/* Twenty nodes that do not exist fill a word's index, and one that does answers with what nobody asked for. */
static void test_index_spam(void **state)
{
    (void)state;
    struct world *w = names_world(9, 40);
    uint8_t key[32], value[DHT_VALUE_MAX], record[DHT_RECORD_WIRE_MAX];
    list_files(w, 5, 1, " zebra");
    publish(w, 5, "", 0);
    world_run(w, w->now + CORE_SECONDS(10));
    keyword_key(key, "zebra", &w->network, w->env.crypto);
    uint64_t now_ms = world_unix_ms(w);
    for (uint32_t i = 0; i < 20; i++) {
        struct node_identity ghost;
        uint8_t seed[32];
        world_key(seed, 0xbad, i);
        w->env.crypto->identity(&ghost, seed);
        struct keyword k = {.count = 1, .address_count = 1, .addresses = {net_addr_v4(127, 0, 0, 9, (uint16_t)(1000 + i))}};
        struct bytes v = bytes_of(value, keyword_write(value, sizeof value, &k));
        size_t size = dht_record_sign(record, sizeof record, DHT_KEYWORD, key, now_ms, now_ms / 1000 + 1000, v, &ghost, &w->network, w->env.crypto);
        world_put(w, 30, DHT_KEYWORD, key, bytes_of(record, size), 500 + i);
        world_run(w, w->now + CORE_SECONDS(1));
    }
    /* node 6 says it has the word and has not: its answer is empty */
    struct keyword k = {.count = 9, .address_count = 1, .addresses = {w->nodes[6].addr}};
    struct bytes v = bytes_of(value, keyword_write(value, sizeof value, &k));
    size_t size = record_of(w, 6, DHT_KEYWORD, key, now_ms, now_ms / 1000 + 1000, v, record);
    world_put(w, 6, DHT_KEYWORD, key, bytes_of(record, size), 600);
    world_run(w, w->now + CORE_SECONDS(2));
    search(w, 20, "zebra", 1, 0);
    const struct world_notice *done = wait_done(w, 20, 1, CORE_SECONDS(12));
    assert_non_null(done);
    assert_int_equal(world_notice_count(w, 20, 1, NAMING_NOTICE_HIT), 1);
    assert_memory_equal(world_notice_find(w, 20, 1, NAMING_NOTICE_HIT, 0)->x.u.notice.node.key, w->nodes[5].me.key, NODE_KEY_SIZE);
    assert_int_equal(done->x.u.notice.a, 2); /* two answered, of 22 in the index */
    assert_int_equal(done->x.u.notice.b, 22);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publish_look_and_watch), cmocka_unit_test(test_nothing_new_is_not_published), cmocka_unit_test(test_changed_while_put),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_never_back), cmocka_unit_test(test_publisher_away), cmocka_unit_test(test_partition),
        cmocka_unit_test(test_squatters), cmocka_unit_test(test_search), cmocka_unit_test(test_index_spam),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
