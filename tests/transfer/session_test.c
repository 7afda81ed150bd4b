/* Sessions and what swarms do beside fetching everything: readers, packs, partial wants, pauses, caps,
 * limits, services, double opens, unknown messages, memory that runs out, determinism. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/support/xfer_world.h"
#include "transfer/message.h"

#define MB 1000000u

static struct xworld *world_with(void (*change)(struct xworld_params *p))
{
    struct xworld_params p;
    xworld_params_default(&p);
    p.check = true;
    if (change)
        change(&p);
    return xworld_new(&p);
}

static void pair(struct xworld *w, uint64_t size, uint64_t rate, uint32_t *content, struct xworld_node **seed,
                 struct xworld_node **leech)
{
    *seed = xworld_add(w, rate, rate);
    *leech = xworld_add(w, rate, rate);
    *content = xworld_content(w, size);
    xworld_seed(*seed, *content);
}

struct window {
    struct xworld_node *node;
    uint32_t content, first, count;
};

static bool window_here(struct xworld *w, void *context)
{
    struct window *x = context;
    (void)w;
    for (uint32_t i = 0; i < x->count; i++)
        if (!xfer_swarm_has_leaf(x->node->xfer, x->node->swarms[x->content], x->first + i))
            return false;
    return true;
}

static void reader_gets_its_window_first(void **state)
{
    (void)state;
    struct xworld *w = world_with(NULL);
    struct xworld_node *a, *b;
    uint32_t c;
    pair(w, 50 * MB, 5 * MB, &c, &a, &b);
    xworld_leech(b, c);
    xworld_run(w, w->now + CORE_SECONDS(2), NULL, NULL);
    struct window x = {b, c, 2000, 32}; /* 512 KiB: 0.1 s of the link */
    core_time start = w->now;
    assert_int_equal(xfer_reader_set(b->xfer, w->now, b->swarms[c], 1, x.first, x.count,
                                     w->now + CORE_MS(500), XWORLD_OUT(b)),
                     0);
    xworld_step(b);
    assert_true(xworld_run(w, start + CORE_SECONDS(5), window_here, &x));
    printf("  a window of 512 KiB in %.0f ms with a full queue before it\n", (double)(w->now - start) / 1000);
    assert_true(w->now - start < CORE_MS(800));
    xfer_reader_clear(b->xfer, w->now, b->swarms[c], 1);
    assert_true(xworld_run(w, w->now + CORE_SECONDS(20), xworld_all_complete, &c));
    xworld_free(w);
}

static void paused_swarm_fetches_for_readers_only(void **state)
{
    (void)state;
    struct xworld *w = world_with(NULL);
    struct xworld_node *a, *b;
    uint32_t c;
    pair(w, 20 * MB, 5 * MB, &c, &a, &b);
    struct xfer_swarm_params p = {.paused = true};
    xworld_swarm(b, c, &p);
    xworld_run(w, w->now + CORE_SECONDS(3), NULL, NULL);
    struct xfer_swarm_stats st;
    xfer_swarm_stats(b->xfer, w->now, b->swarms[c], &st);
    assert_int_equal(st.leaves_have, 0);
    struct window x = {b, c, 100, 10};
    xfer_reader_set(b->xfer, w->now, b->swarms[c], 9, x.first, x.count, w->now, XWORLD_OUT(b));
    xworld_step(b);
    assert_true(xworld_run(w, w->now + CORE_SECONDS(2), window_here, &x));
    xworld_run(w, w->now + CORE_SECONDS(5), NULL, NULL);
    xfer_swarm_stats(b->xfer, w->now, b->swarms[c], &st);
    assert_int_equal(st.leaves_have, 10);
    for (uint32_t i = 0; i < XFER_READERS_MAX; i++)
        assert_int_equal(xfer_reader_set(b->xfer, w->now, b->swarms[c], i, 0, 0, 0, XWORLD_OUT(b)), 0),
            xworld_step(b);
    assert_int_equal(xfer_reader_set(b->xfer, w->now, b->swarms[c], 1000, 0, 0, 0, XWORLD_OUT(b)), ERR_FULL);
    xworld_step(b);
    xfer_swarm_pause(b->xfer, w->now, b->swarms[c], false, XWORLD_OUT(b));
    xworld_step(b);
    assert_true(xworld_run(w, w->now + CORE_SECONDS(20), xworld_all_complete, &c));
    xworld_free(w);
}

static void pack_with_a_selection(void **state)
{
    (void)state;
    struct xworld *w = world_with(NULL);
    struct xworld_node *a = xworld_add(w, 5 * MB, 5 * MB), *b = xworld_add(w, 5 * MB, 5 * MB),
                       *d = xworld_add(w, 5 * MB, 5 * MB);
    uint32_t c = xworld_pack(w, 1000, 4000);
    xworld_seed(a, c);
    uint8_t want[125] = {0};
    uint32_t wanted = 0;
    for (uint32_t i = 0; i < 1000; i += 3, wanted++)
        want[i / 8] |= (uint8_t)(1u << (i % 8));
    struct xfer_swarm_params p = {.want_leaves = want};
    xworld_swarm(b, c, &p);
    assert_true(xworld_run(w, w->now + CORE_SECONDS(20), xworld_all_complete, &c));
    struct xfer_swarm_stats st;
    xfer_swarm_stats(b->xfer, w->now, b->swarms[c], &st);
    assert_int_equal(st.leaves, wanted);
    assert_int_equal(st.leaves_have, wanted);
    assert_int_equal(a->leaves_sent, wanted);
    assert_true(xfer_swarm_has_leaf(b->xfer, b->swarms[c], 3));
    assert_false(xfer_swarm_has_leaf(b->xfer, b->swarms[c], 4));
    /* A third node that wants all of it gets the rest where it is. */
    xworld_leech(d, c);
    assert_true(xworld_run(w, w->now + CORE_SECONDS(30), xworld_all_complete, &c));
    xworld_free(w);
}

/* A quarter of a directory's files changed since it was shared: the others are served all the same, by a session that stays, and the rest
 * comes from a node that has it. */
static void changed_entries_of_a_pack(void **state)
{
    (void)state;
    struct xworld *w = world_with(NULL);
    struct xworld_node *a = xworld_add(w, 5 * MB, 5 * MB), *b = xworld_add(w, 5 * MB, 5 * MB),
                       *d = xworld_add(w, 5 * MB, 5 * MB);
    uint32_t c = xworld_pack(w, 1000, 4000);
    a->changed_every = 4;
    xworld_seed(a, c);
    xworld_leech(b, c);
    assert_false(xworld_run(w, w->now + CORE_SECONDS(30), xworld_all_complete, &c));
    struct xfer_swarm_stats st;
    xfer_swarm_stats(b->xfer, w->now, b->swarms[c], &st);
    assert_int_equal(st.leaves_have, 750);
    assert_int_equal(a->entry_notices, 250);
    assert_int_equal(a->trouble_notices, 0);
    assert_int_equal(b->session_down, 0);
    xworld_seed(d, c);
    xworld_know(b, c, d);
    assert_true(xworld_run(w, w->now + CORE_SECONDS(30), xworld_all_complete, &c));
    assert_int_equal(d->leaves_sent, 250);
    xworld_free(w);
}

/* More entries than chunks are allowed: two and more to a chunk, whole and in part, some of them changed. */
static void pack_of_a_large_directory(void **state)
{
    (void)state;
    static const uint32_t entries[] = {131073};
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        struct xworld_params params;
        xworld_params_default(&params);
        struct xworld *w = xworld_new(&params);
        struct xworld_node *a = xworld_add(w, 50 * MB, 50 * MB), *b = xworld_add(w, 50 * MB, 50 * MB),
                           *d = xworld_add(w, 50 * MB, 50 * MB);
        uint32_t c = xworld_pack(w, entries[i], 100);
        assert_true(xfer_chunk_count(&w->contents[c].geometry) <= 65536);
        xworld_seed(a, c);
        uint8_t *want = test_calloc(1, entries[i] / 8 + 1);
        want[0] = 0x06;
        want[(entries[i] - 1) / 8] |= (uint8_t)(1u << ((entries[i] - 1) % 8));
        struct xfer_swarm_params p = {.want_leaves = want};
        assert_true(xworld_swarm(b, c, &p));
        assert_true(xworld_run(w, w->now + CORE_SECONDS(20), xworld_all_complete, &c));
        assert_int_equal(a->leaves_sent, 3);
        assert_true(xfer_swarm_has_leaf(b->xfer, b->swarms[c], entries[i] - 1));
        assert_true(xworld_leech(d, c));
        assert_true(xworld_run(w, w->now + CORE_MINUTES(5), xworld_all_complete, &c));
        xfer_check(d->xfer);
        struct xfer_swarm_stats st;
        xfer_swarm_stats(d->xfer, w->now, d->swarms[c], &st);
        assert_int_equal(st.leaves_have, entries[i]);
        test_free(want);
        xworld_free(w);
    }
}

/* One changed entry of a chunk of several: the others of the chunk come all the same. */
static void changed_entries_of_a_large_directory(void **state)
{
    (void)state;
    struct xworld_params params;
    xworld_params_default(&params);
    struct xworld *w = xworld_new(&params);
    struct xworld_node *a = xworld_add(w, 50 * MB, 50 * MB), *b = xworld_add(w, 50 * MB, 50 * MB);
    uint32_t c = xworld_pack(w, 65540, 100);
    a->changed_every = 1000;
    xworld_seed(a, c);
    xworld_leech(b, c);
    assert_false(xworld_run(w, w->now + CORE_MINUTES(2), xworld_all_complete, &c));
    struct xfer_swarm_stats st;
    xfer_swarm_stats(b->xfer, w->now, b->swarms[c], &st);
    printf("  of 65,540 entries %u came, 66 changed\n", st.leaves_have);
    assert_int_equal(st.leaves_have, 65540 - 66);
    assert_int_equal(b->session_down, 0);
    xworld_free(w);
}

static void resumes_from_a_map(void **state)
{
    (void)state;
    struct xworld *w = world_with(NULL);
    struct xworld_node *a, *b;
    uint32_t c;
    pair(w, 10 * MB, 5 * MB, &c, &a, &b);
    uint8_t have[8] = {0xff, 0xff, 0x0f};
    struct xfer_swarm_params p = {.have_chunks = have};
    xworld_swarm(b, c, &p);
    assert_true(xworld_run(w, w->now + CORE_SECONDS(20), xworld_all_complete, &c));
    assert_int_equal(a->leaves_sent, w->contents[c].geometry.leaf_count - 20 * 16);
    assert_int_equal(b->chunk_notices, xfer_chunk_count(&w->contents[c].geometry) - 20);
    xworld_free(w);
}

static void tree_of_files_uses_the_sessions_of_the_tree(void **state)
{
    (void)state;
    struct xworld *w = world_with(NULL);
    struct xworld_node *a = xworld_add(w, 20 * MB, 20 * MB), *b = xworld_add(w, 20 * MB, 20 * MB);
    uint32_t root = xworld_content(w, 20 * MB);
    xworld_seed(a, root);
    xworld_leech(b, root);
    b->gives_peers = false; /* from now on nobody tells it about sources */
    xworld_know(b, root, a);
    xworld_run(w, w->now + CORE_MS(200), NULL, NULL);
    for (uint32_t i = 0; i < 20; i++) {
        uint32_t file = xworld_content(w, 100000 * (i + 1));
        xworld_seed(a, file);
        struct xfer_swarm_params p = {.parent = b->swarms[root]};
        xworld_swarm(b, file, &p);
    }
    for (uint32_t file = root; file <= root + 20; file++)
        assert_true(xworld_run(w, w->now + CORE_SECONDS(20), xworld_all_complete, &file));
    assert_int_equal(b->session_up, 1);
    xworld_free(w);
}

static void capped(struct xworld_params *p)
{
    p->config.upload_rate = 500000;
}
static void capped_down(struct xworld_params *p)
{
    p->config.download_rate = 500000;
}

static void rate(void (*cap)(struct xworld_params *p), const char *name)
{
    struct xworld *w = world_with(cap);
    struct xworld_node *a, *b;
    uint32_t c;
    pair(w, 50 * MB, 20 * MB, &c, &a, &b);
    xworld_leech(b, c);
    xworld_run(w, w->now + CORE_SECONDS(5), NULL, NULL);
    uint64_t before = w->payload_from[0];
    xworld_run(w, w->now + CORE_SECONDS(30), NULL, NULL);
    double got = (double)(w->payload_from[0] - before) / 30;
    printf("  %s cap 500,000 bytes/s: %.0f (%+.1f %%)\n", name, got, got / 5000 - 100);
    assert_true(got > 475000);
    assert_true(got < 525000);
    xworld_free(w);
}

static void caps_are_kept(void **state)
{
    (void)state;
    rate(capped, "upload");
    rate(capped_down, "download");
}

static void both_open_the_same(void **state)
{
    (void)state;
    struct xworld *w = world_with(NULL);
    struct xworld_node *a = xworld_add(w, 5 * MB, 5 * MB), *b = xworld_add(w, 5 * MB, 5 * MB),
                       *s = xworld_add(w, 5 * MB, 5 * MB);
    uint32_t c = xworld_content(w, 10 * MB);
    /* Two leeches dial each other in the same instant, each opening the same content. */
    a->gives_peers = b->gives_peers = false;
    xworld_leech(a, c);
    xworld_leech(b, c);
    xworld_know(a, c, b);
    xworld_know(b, c, a);
    xworld_run(w, w->now + CORE_SECONDS(3), NULL, NULL);
    struct xfer_totals t;
    struct xfer_swarm_stats st;
    xfer_totals(a->xfer, w->now, &t);
    assert_int_equal(t.sessions, 1);
    xfer_totals(b->xfer, w->now, &t);
    assert_int_equal(t.sessions, 1);
    xfer_swarm_stats(a->xfer, w->now, a->swarms[c], &st);
    assert_int_equal(st.sessions, 1);
    xworld_seed(s, c);
    xworld_know(a, c, s);
    assert_true(xworld_run(w, w->now + CORE_SECONDS(20), xworld_all_complete, &c));
    assert_true(w->payload_from[a->index] >
                MB); /* over the one channel, in the direction of the one that was dropped too */
    xworld_free(w);
}

static void unknown_content_is_refused_and_nothing_said(void **state)
{
    (void)state;
    struct xworld *w = world_with(NULL);
    struct xworld_node *a, *b;
    uint32_t c;
    pair(w, MB, 5 * MB, &c, &a, &b);
    a->answers_content = false;
    xworld_leech(b, c);
    assert_false(xworld_run(w, w->now + CORE_SECONDS(10), xworld_all_complete, &c));
    /* A false provider: it knows the provider key, from a storing node, but not the root. */
    a->answers_content = true;
    uint32_t false_swarm = a->swarms[c];
    xfer_swarm_remove(a->xfer, w->now, false_swarm, XWORLD_OUT(a));
    xworld_step(a);
    struct xfer_swarm_params p = {
        .complete = true, .id = w->contents[c].id, .ref = 1, .geometry = w->contents[c].geometry};
    memcpy(p.provider_key, w->contents[c].provider_key, HASH_SIZE);
    p.id.root[0] ^= 1;
    a->swarms[c] = xfer_swarm_add(a->xfer, w->now, &p, XWORLD_OUT(a));
    xworld_step(a);
    assert_false(xworld_run(w, w->now + CORE_MINUTES(3), xworld_all_complete, &c));
    assert_int_equal(a->leaves_sent, 0);
    xworld_free(w);
}

static bool find_done(struct xworld *w, void *context)
{
    struct xworld_node *n = context;
    (void)w;
    return n->find_op != 0 && n->dialback_op != 0;
}

static void services(void **state)
{
    (void)state;
    struct xworld *w = world_with(NULL);
    struct xworld_node *a = xworld_add(w, 5 * MB, 5 * MB), *b = xworld_add(w, 5 * MB, 5 * MB);
    uint32_t s = xfer_session_dial(b->xfer, w->now, a->me.key, &a->addr, XWORLD_OUT(b));
    xworld_step(b);
    assert_int_not_equal(s, 0);
    assert_int_equal(xfer_session_dial(b->xfer, w->now, a->me.key, &a->addr, XWORLD_OUT(b)),
                     s); /* one per peer */
    xworld_step(b);
    assert_int_equal(xfer_ask_find(b->xfer, w->now, s, a->me.key, 41, XWORLD_OUT(b)), 0);
    xworld_step(b);
    assert_int_equal(xfer_ask_dialback(b->xfer, w->now, s, 42, XWORLD_OUT(b)), 0);
    xworld_step(b);
    assert_int_equal(xfer_send_app(b->xfer, w->now, s, bytes_of("new secret", 10), XWORLD_OUT(b)), 0);
    xworld_step(b);
    assert_true(xworld_run(w, w->now + CORE_SECONDS(5), find_done, b));
    assert_int_equal(b->find_op, 41);
    assert_int_equal(b->find_result, 7);
    assert_int_equal(b->find_status, 0);
    assert_int_equal(b->dialback_op, 42);
    assert_int_equal(b->dialback_status, 0);
    assert_int_equal(a->app_count, 1);
    assert_memory_equal(a->app, "new secret", 10);
    assert_true(net_addr_same_ip(&b->observed, &a->addr) || net_addr_same_ip(&b->observed, &b->addr));
    /* Behind a wall: the dial-back says so. */
    b->unreachable = true;
    b->dialback_op = 0;
    xfer_ask_dialback(b->xfer, w->now, s, 43, XWORLD_OUT(b));
    xworld_step(b);
    assert_true(xworld_run(w, w->now + CORE_SECONDS(5), find_done, b));
    assert_int_equal(b->dialback_status, ERR_REFUSED);
    /* Asked too much at once, and of a session that is gone. */
    for (int i = 0; i < 4; i++)
        assert_int_equal(xfer_ask_find(b->xfer, w->now, s, a->me.key, 50, XWORLD_OUT(b)), 0);
    assert_int_equal(xfer_ask_find(b->xfer, w->now, s, a->me.key, 50, XWORLD_OUT(b)), ERR_FULL);
    xworld_step(b);
    xworld_run(w, w->now + CORE_MINUTES(3), NULL, NULL);
    assert_int_equal(xfer_ask_find(b->xfer, w->now, s, a->me.key, 50, XWORLD_OUT(b)), ERR_CLOSED);
    assert_int_equal(a->session_down, 1);
    assert_int_equal(b->session_down, 1);
    xworld_free(w);
}

/* ---- One core, driven by hand ---- */

struct bare {
    struct xworld *w;
    struct xworld_node *n;
    uint32_t session;
    struct effects *out;
    uint8_t buf[4096];
    struct pack p;
};

static void bare_new(struct bare *b)
{
    memset(b, 0, sizeof *b);
    b->w = world_with(NULL);
    b->n = xworld_add(b->w, MB, MB);
    b->out = XWORLD_OUT(b->n);
    uint8_t key[32] = {7};
    struct net_addr from = net_addr_v4(10, 9, 9, 9, 1000);
    b->session = xfer_session_accept(b->n->xfer, b->w->now, &from, key, key, b->out);
    assert_int_not_equal(b->session, 0);
    pack_init(&b->p, b->buf, sizeof b->buf);
}

static int bare_send(struct bare *b)
{
    effects_reset(b->out);
    int r = xfer_session_recv(b->n->xfer, b->w->now, b->session, b->buf, b->p.size, b->out);
    xfer_check(b->n->xfer);
    pack_init(&b->p, b->buf, sizeof b->buf);
    return r;
}

static void bare_hello(struct bare *b)
{
    message_write(
        &b->p, &(struct message){.type = MESSAGE_HELLO, .version = 1, .port = 1, .bytes = bytes_of("x", 1)});
}

static uint32_t effects_of(const struct effects *e, enum effect_kind kind)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->count; i++)
        n += e->items[i].kind == kind;
    return n;
}

static uint32_t notices_of(const struct effects *e, uint32_t kind)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->count; i++)
        n += e->items[i].kind == EFFECT_NOTICE && e->items[i].u.notice.kind == kind;
    return n;
}

static bool written_has(struct bare *b, uint32_t type, struct message *found)
{
    uint8_t out[4096];
    size_t size;
    bool seen = false;
    static uint8_t keep[16384];
    size_t kept = 0;
    while ((size = xfer_session_write(b->n->xfer, b->w->now, b->session, out, sizeof out)) != 0) {
        memcpy(keep + kept, out, size);
        kept += size;
    }
    struct wire w;
    struct message m;
    wire_init(&w, keep, kept);
    while (message_read(&w, &m)) {
        if (m.type == type && !seen) {
            *found = m;
            seen = true;
        }
    }
    assert_true(wire_done(&w));
    return seen;
}

static void unknown_messages(void **state)
{
    (void)state;
    struct bare b;
    struct message m;
    bare_new(&b);
    bare_hello(&b);
    /* An unknown type, an unknown key in a known one, an unknown service. */
    pack_map(&b.p, 2);
    pack_key_uint(&b.p, 0, 25);
    pack_key_str(&b.p, 9, "later", 5);
    pack_map(&b.p, 3);
    pack_key_uint(&b.p, 0, MESSAGE_PING);
    pack_key_uint(&b.p, 1, 99);
    pack_key_bool(&b.p, 40, true);
    pack_map(&b.p, 2);
    pack_key_uint(&b.p, 0, 50);
    pack_key_uint(&b.p, 1, 1234);
    assert_int_equal(bare_send(&b), 0);
    assert_true(written_has(&b, MESSAGE_UNSUPPORTED, &m));
    assert_int_equal(m.id, 1234);
    assert_int_equal(m.value, 50);
    xworld_free(b.w);
}

static void malformed_frames_hang_up(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        uint8_t bytes[12];
        size_t size;
    } cases[] = {
        {"claims gigabytes", {0xdd, 0x0a, 0, 0, 0}, 5},
        {"empty map", {0x80}, 1},
        {"no type", {0x81, 1, 0}, 3},
        {"cut short", {0x82, 0, 13}, 3},
        {"string as type", {0x81, 0, 0xa1, 'x'}, 4},
        {"keys not ascending", {0x83, 0, 13, 2, 1, 1, 1}, 7},
        {"open without key", {0x82, 0, 1, 1, 0}, 5},
        {"run of 0", {0x84, 0, 8, 1, 0, 2, 0, 3, 0}, 9},
        {"run of 65", {0x84, 0, 8, 1, 0, 2, 0, 3, 65}, 9},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bare b;
        bare_new(&b);
        bare_hello(&b);
        assert_int_equal(bare_send(&b), 0);
        if (cases[i].bytes[2] == 8) { /* requests need a channel */
            uint8_t key[32] = {1};
            struct message open = {.type = MESSAGE_OPEN, .channel = 0};
            memcpy(open.key, key, 32);
            message_write(&b.p, &open);
            assert_int_equal(bare_send(&b), 0);
        }
        pack_raw(&b.p, cases[i].bytes, cases[i].size);
        int r = bare_send(&b);
        if (r != ERR_MALFORMED)
            fail_msg("%s: %d", cases[i].what, r);
        assert_int_equal(effects_of(b.out, EFFECT_HANGUP), 1);
        xworld_free(b.w);
    }
    struct bare b; /* anything before hello */
    bare_new(&b);
    message_write(&b.p, &(struct message){.type = MESSAGE_PING});
    assert_int_equal(bare_send(&b), ERR_MALFORMED);
    xworld_free(b.w);
}

/* A frame full of opens: effects stay within the bound, the rest follows at wakes. */
/* Answers to questions that were never asked, or are answered already: none may pass for an answer, and a frame full of
 * them may not cause more than one call may. */
static void flood_of_answers(void **state)
{
    (void)state;
    struct bare b;
    struct message asked;
    bare_new(&b);
    bare_hello(&b);
    assert_int_equal(bare_send(&b), 0);
    assert_int_equal(xfer_ask_find(b.n->xfer, b.w->now, b.session, b.buf, 7, b.out), 0);
    assert_true(written_has(&b, MESSAGE_FIND, &asked));
    message_write(&b.p, &(struct message){.type = MESSAGE_FIND_RESULT, .id = asked.id, .value = 1});
    assert_int_equal(bare_send(&b), 0);
    assert_int_equal(notices_of(b.out, XFER_NOTICE_FIND_RESULT), 1);
    static const uint32_t types[] = {0, 256, MESSAGE_FIND, 256 + MESSAGE_FIND, MESSAGE_DIALBACK};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        for (int k = 0; k < 100; k++)
            message_write(&b.p, &(struct message){.type = MESSAGE_UNSUPPORTED, .id = asked.id, .value = types[i]});
        assert_int_equal(bare_send(&b), 0);
        assert_int_equal(notices_of(b.out, XFER_NOTICE_FIND_RESULT), 0);
        assert_int_equal(notices_of(b.out, XFER_NOTICE_DIALBACK), 0);
    }
    xworld_free(b.w);
}

static void flood_of_opens(void **state)
{
    (void)state;
    struct bare b;
    static uint8_t big[65000];
    bare_new(&b);
    bare_hello(&b);
    assert_int_equal(bare_send(&b), 0);
    struct pack p;
    pack_init(&p, big, sizeof big);
    for (uint32_t i = 0; i < 512; i++)
        message_write(&p, &(struct message){.type = MESSAGE_OPEN, .channel = 2 * i});
    effects_reset(b.out);
    assert_int_equal(xfer_session_recv(b.n->xfer, b.w->now, b.session, big, p.size, b.out), 0);
    xfer_check(b.n->xfer);
    uint32_t seen = effects_of(b.out, EFFECT_CONTENT), calls = 1;
    assert_true(b.out->count <= XFER_EFFECTS_PER_CALL);
    while (xfer_deadline(b.n->xfer) <= b.w->now) {
        effects_reset(b.out);
        xfer_wake(b.n->xfer, b.w->now, b.out);
        assert_true(b.out->count <= XFER_EFFECTS_PER_CALL);
        seen += effects_of(b.out, EFFECT_CONTENT);
        calls++;
    }
    assert_int_equal(seen, 512);
    printf("  512 opens in %u calls, %zu bytes held\n", calls, xfer_memory(b.n->xfer));
    message_write(&b.p, &(struct message){.type = MESSAGE_OPEN, .channel = 1024});
    assert_int_equal(bare_send(&b), ERR_MALFORMED);
    xworld_free(b.w);
}

static void flood_of_requests(void **state)
{
    (void)state;
    struct bare b;
    bare_new(&b);
    bare_hello(&b);
    message_write(&b.p, &(struct message){.type = MESSAGE_OPEN});
    assert_int_equal(bare_send(&b), 0);
    int r = 0;
    uint32_t hangups = 0;
    for (int i = 0; i < 40 && hangups == 0; i++) {
        for (int k = 0; k < 100; k++)
            message_write(&b.p, &(struct message){.type = MESSAGE_REQUEST, .leaf = 5, .count = 1});
        r = bare_send(&b);
        hangups += effects_of(b.out, EFFECT_HANGUP);
    }
    assert_int_equal(r, 0);
    assert_int_equal(hangups, 1); /* 512 queued, 1,024 refused and unread: enough */
    xworld_free(b.w);
}

static void few_sessions(struct xworld_params *p)
{
    p->config.sessions_max = 3;
    p->config.sessions_per_ip_max = 2;
}

static void session_limits(void **state)
{
    (void)state;
    struct xworld *w = world_with(few_sessions);
    struct xworld_node *n = xworld_add(w, MB, MB);
    struct net_addr global = net_addr_v4(198, 51, 7, 1, 5), home = net_addr_v4(192, 168, 0, 1, 5);
    global.ip[12] = 8, global.ip[13] = 8, global.ip[14] = 8, global.ip[15] = 8;
    uint8_t keys[6][32] = {{1}, {2}, {3}, {4}, {5}, {6}};
    assert_int_not_equal(xfer_session_accept(n->xfer, w->now, &global, keys[0], keys[0], &w->out), 0);
    assert_int_not_equal(xfer_session_accept(n->xfer, w->now, &global, keys[1], keys[0], &w->out), 0);
    assert_int_equal(xfer_session_accept(n->xfer, w->now, &global, keys[2], keys[0], &w->out),
                     0); /* per address */
    assert_int_not_equal(xfer_session_accept(n->xfer, w->now, &home, keys[3], keys[0], &w->out),
                         0); /* not at home */
    effects_reset(&w->out);
    assert_int_equal(xfer_session_accept(n->xfer, w->now, &home, keys[4], keys[0], &w->out),
                     0); /* full: an idle one goes */
    assert_int_equal(effects_of(&w->out, EFFECT_HANGUP), 1);
    xfer_session_closed(n->xfer, w->now, w->out.items[0].u.hangup.session, ERR_FULL, &w->out);
    assert_int_not_equal(xfer_session_accept(n->xfer, w->now, &home, keys[4], keys[0], &w->out), 0);
    assert_int_equal(xfer_session_accept(n->xfer, w->now, &home, n->me.key, keys[0], &w->out),
                     0); /* ourselves */
    xfer_check(n->xfer);
    xworld_free(w);
}

/* A recorded first message, sent again while the node's session is quiet, takes nothing from it; the stream that proves itself does, however
 * many copies came before. */
static void replayed_first_message(void **state)
{
    (void)state;
    struct bare b;
    bare_new(&b);
    uint8_t key[32] = {7};
    struct net_addr from = net_addr_v4(10, 9, 9, 8, 1000);
    xfer_session_confirmed(b.n->xfer, b.w->now, b.session, b.out);
    effects_reset(b.out);
    core_time later = b.w->now + CORE_SECONDS(6);
    for (int i = 0; i < 4; i++)
        assert_int_not_equal(xfer_session_accept(b.n->xfer, later + (core_time)i, &from, key, key, b.out), 0);
    assert_int_equal(effects_of(b.out, EFFECT_HANGUP), 0); /* failed before: the first copy ended the session */
    assert_int_equal(xfer_session_dial(b.n->xfer, later + 4, key, &from, b.out), b.session);
    uint32_t real = xfer_session_accept(b.n->xfer, later + 5, &from, key, key, b.out);
    assert_int_not_equal(real, 0);
    assert_int_equal(effects_of(b.out, EFFECT_HANGUP), 1); /* the oldest copy gave way */
    effects_reset(b.out);
    xfer_session_confirmed(b.n->xfer, later + 6, real, b.out);
    assert_int_equal(effects_of(b.out, EFFECT_HANGUP), 4); /* three copies and the old one */
    assert_int_equal(xfer_session_dial(b.n->xfer, later + 7, key, &from, b.out), real);
    xfer_check(b.n->xfer);
    xworld_free(b.w);
}

/* ---- Memory that runs out; determinism ---- */

static uint32_t allocations_left;
static void *failing_alloc(void *context, size_t size)
{
    (void)context;
    if (allocations_left == 0)
        return NULL;
    allocations_left--;
    return calloc(1, size);
}
static void plain_free(void *context, void *memory)
{
    (void)context;
    free(memory);
}

static bool story(uint32_t allowed)
{
    static const struct core_alloc failing = {failing_alloc, plain_free, NULL};
    struct xworld_params p;
    xworld_params_default(&p);
    p.alloc = &failing;
    p.check = true;
    allocations_left = allowed;
    struct xworld *w = xworld_new(&p);
    struct xworld_node *a = xworld_add(w, 5 * MB, 5 * MB), *b = a ? xworld_add(w, 5 * MB, 5 * MB) : NULL;
    bool done = false;
    if (b) {
        uint32_t c = xworld_content(w, MB);
        bool added = xworld_seed(a, c) && xworld_leech(b, c);
        xworld_run(w, w->now + CORE_SECONDS(2), NULL, NULL);
        done = added && b->complete[c];
        allocations_left = UINT32_MAX; /* memory is back: what could be added at all goes on to the end */
        if (added)
            assert_true(xworld_run(w, w->now + CORE_MINUTES(12), xworld_all_complete, &c));
    }
    xworld_free(w);
    return done;
}

static void memory_runs_out(void **state)
{
    (void)state;
    uint32_t n = 0;
    while (!story(n))
        n++;
    printf("  %u allocations refused one after the other\n", n);
    assert_true(n > 20);
}

static uint64_t trace(uint64_t seed)
{
    struct xworld_params p;
    xworld_params_default(&p);
    p.seed = seed;
    struct xworld *w = xworld_new(&p);
    uint32_t c = xworld_content(w, 10 * MB);
    xworld_seed(xworld_add(w, MB, MB), c);
    for (int i = 0; i < 6; i++)
        xworld_leech(xworld_add(w, MB, 2 * MB), c);
    assert_true(xworld_run(w, w->now + CORE_MINUTES(5), xworld_all_complete, &c));
    uint64_t hash = w->control_hash;
    xworld_free(w);
    return hash;
}

static void same_seed_same_story(void **state)
{
    (void)state;
    uint64_t one = trace(1), two = trace(2);
    printf("  trace of seed 1: %016lx\n", (unsigned long)one);
    assert_true(one == trace(1));
    assert_true(two == trace(2));
    assert_true(one != two);
}

static void idle_node_is_small(void **state)
{
    (void)state;
    struct xworld *w = world_with(NULL);
    struct xworld_node *n = xworld_add(w, MB, MB);
    printf("  idle: %zu bytes", xfer_memory(n->xfer));
    assert_true(xfer_memory(n->xfer) < 4096);
    uint32_t before = (uint32_t)xfer_memory(n->xfer);
    for (int i = 0; i < 50; i++)
        xworld_seed(n, xworld_content(w, 100 * MB));
    printf(", each idle seed: %zu\n", (xfer_memory(n->xfer) - before) / 50);
    xworld_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reader_gets_its_window_first),
        cmocka_unit_test(paused_swarm_fetches_for_readers_only),
        cmocka_unit_test(pack_with_a_selection),
        cmocka_unit_test(changed_entries_of_a_pack),
        cmocka_unit_test(pack_of_a_large_directory),
        cmocka_unit_test(changed_entries_of_a_large_directory),
        cmocka_unit_test(resumes_from_a_map),
        cmocka_unit_test(tree_of_files_uses_the_sessions_of_the_tree),
        cmocka_unit_test(caps_are_kept),
        cmocka_unit_test(both_open_the_same),
        cmocka_unit_test(unknown_content_is_refused_and_nothing_said),
        cmocka_unit_test(services),
        cmocka_unit_test(unknown_messages),
        cmocka_unit_test(malformed_frames_hang_up),
        cmocka_unit_test(flood_of_answers),
        cmocka_unit_test(flood_of_opens),
        cmocka_unit_test(flood_of_requests),
        cmocka_unit_test(session_limits),
        cmocka_unit_test(replayed_first_message),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(same_seed_same_story),
        cmocka_unit_test(idle_node_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
