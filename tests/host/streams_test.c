/* Streams between nodes over real loopback TCP: files and packs from node to node with the real swarm core
 * and data plane, and what strangers do to a listening port. Time-outs are driven by the test, so nothing
 * sleeps. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "node/base/rng.h"
#include "tests/host/streams_pair.h"

#define PEERS 4

struct fixture {
    uv_loop_t loop;
    struct peer peers[PEERS];
    uint32_t count;
    char dir[64];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    uv_loop_init(&f->loop);
    snprintf(f->dir, sizeof f->dir, "/tmp/shoal-streams-test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    for (f->count = 0; f->count < PEERS; f->count++)
        peer_start(&f->peers[f->count], &f->loop, (uint8_t)(f->count + 1), f->dir, 4u << 20);
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < f->count; i++)
        peer_stop(&f->peers[i]);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static void path_of(const struct fixture *f, char out[160], const char *name, uint32_t number)
{
    snprintf(out, 160, "%s/%s%u", f->dir, name, number);
}

static uint8_t *make_file(const char *path, size_t size, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, 1);
    uint8_t *bytes = malloc(size + 8);
    for (size_t i = 0; i < size; i += 8) {
        uint64_t v = rng_u64(&r);
        memcpy(bytes + i, &v, 8);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
    return bytes;
}

static void assert_file(const char *path, const uint8_t *bytes, size_t size)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    uint8_t *got = malloc(size + 1);
    assert_int_equal(read(fd, got, size + 1), size);
    assert_memory_equal(got, bytes, size);
    free(got);
    close(fd);
}

static void run_until(struct fixture *f, const bool *done)
{
    uint64_t end = uv_hrtime() + UINT64_C(60) * 1000000000;
    while (!*done && uv_hrtime() < end)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_true(*done);
}

static void turn(struct fixture *f, int times)
{
    for (int i = 0; i < times; i++)
        uv_run(&f->loop, UV_RUN_NOWAIT);
}

/* ---- exchange ---- */

static const size_t sizes[] = {1, 16384, 16385, 300000, 1u << 20, (5u << 20) + 3, 20u << 20};

/* given a file of any shape, when another node asks by id, then it arrives whole. */
static void test_exchange(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char src[160], dst[160], tree[160], dst_tree[160];
        path_of(f, src, "src", i);
        path_of(f, dst, "dst", i);
        path_of(f, tree, "tree", i);
        path_of(f, dst_tree, "dsttree", i);
        uint8_t *bytes = make_file(src, sizes[i], i);
        struct content_id id;
        peer_share(&f->peers[0], src, tree, &id);
        struct peer_swarm *s = peer_fetch(&f->peers[1], &id, dst, dst_tree);
        peer_source(&f->peers[1], s, f->peers[0].me.key, &f->peers[0].listen);
        run_until(f, &s->finished);
        assert_int_equal(s->status, 0);
        assert_file(dst, bytes, sizes[i]);
        free(bytes);
    }
    struct streams_totals totals;
    streams_totals(f->peers[0].streams, &totals);
    assert_int_equal(totals.accepted, 1); /* one connection for all content */
    assert_int_equal(totals.open, 1);
    assert_int_equal(totals.handshaking, 0);
    assert_true(totals.bytes_out > 26u << 20);
    xfer_check(f->peers[0].core.xfer);
    xfer_check(f->peers[1].core.xfer);
}

/* given one seed and three leeches, then all get it, also from each other while it grows. */
static void test_swarm(void **state)
{
    struct fixture *f = *state;
    char src[160], tree[160];
    path_of(f, src, "src", 0);
    path_of(f, tree, "tree", 0);
    size_t size = (24u << 20) + 12345;
    uint8_t *bytes = make_file(src, size, 99);
    struct content_id id;
    peer_share(&f->peers[0], src, tree, &id);
    struct peer_swarm *swarms[PEERS];
    for (uint32_t i = 1; i < PEERS; i++) {
        char dst[160], dst_tree[160];
        path_of(f, dst, "dst", i);
        path_of(f, dst_tree, "dsttree", i);
        swarms[i] = peer_fetch(&f->peers[i], &id, dst, dst_tree);
    }
    for (uint32_t i = 1; i < PEERS; i++) {
        for (uint32_t k = 0; k < PEERS; k++) {
            if (i != k)
                peer_source(&f->peers[i], swarms[i], f->peers[k].me.key, &f->peers[k].listen);
        }
    }
    for (uint32_t i = 1; i < PEERS; i++) {
        char dst[160];
        path_of(f, dst, "dst", i);
        run_until(f, &swarms[i]->finished);
        assert_int_equal(swarms[i]->status, 0);
        assert_file(dst, bytes, size);
        assert_int_equal(f->peers[i].bans, 0);
    }
    free(bytes);
}

/* given a directory of small files, then a pack brings them all over one session. */
static void test_pack(void **state)
{
    struct fixture *f = *state;
    enum { FILES = 500 };
    char from[160], to[160], path[256];
    path_of(f, from, "from", 0);
    path_of(f, to, "to", 0);
    mkdir(from, 0777);
    mkdir(to, 0777);
    size_t cap = MANIFEST_HEAD_MAX + FILES * manifest_entry_bound(8);
    uint8_t *manifest = malloc(cap);
    struct pack p;
    pack_init(&p, manifest, cap);
    manifest_begin(&p, FILES);
    struct bytes last = {0};
    static char names[FILES][9];
    for (uint32_t i = 0; i < FILES; i++) {
        snprintf(names[i], sizeof names[i], "f%07u", i);
        snprintf(path, sizeof path, "%s/%s", from, names[i]);
        size_t size = (i * 37) % 16385;
        uint8_t *bytes = make_file(path, size, 1000 + i);
        struct manifest_entry e = {.name = bytes_of(names[i], 8), .id = {.size = size}};
        tree_sha256(e.id.root, bytes, size);
        assert_int_equal(manifest_add(&p, &e, &last), 0);
        free(bytes);
    }
    struct content_id id = {.size = p.size, .kind = CONTENT_TREE};
    tree_sha256(id.root, manifest, p.size); /* not its real root: nobody fetches the manifest here */
    struct xfer_geometry g;
    xfer_geometry_pack(&g, FILES, 8000);
    uint32_t ref;
    assert_int_equal(
        data_open_pack(f->peers[0].core.data, &id, bytes_of(manifest, p.size), from, false, &ref), 0);
    peer_swarm_add(&f->peers[0], &id, ref, &g, true, true, NULL);
    assert_int_equal(data_open_pack(f->peers[1].core.data, &id, bytes_of(manifest, p.size), to, true, &ref),
                     0);
    struct peer_swarm *s = peer_swarm_add(&f->peers[1], &id, ref, &g, true, false, NULL);
    peer_source(&f->peers[1], s, f->peers[0].me.key, &f->peers[0].listen);
    run_until(f, &s->finished);
    for (uint32_t i = 0; i < FILES; i++) {
        size_t size = (i * 37) % 16385;
        snprintf(path, sizeof path, "%s/%s", from, names[i]);
        uint8_t *bytes = make_file(path, size, 1000 + i);
        snprintf(path, sizeof path, "%s/%s", to, names[i]);
        assert_file(path, bytes, size);
        free(bytes);
    }
    free(manifest);
}

/* given a file that changes while it is being served, then what arrived stays unfinished and nobody is banned
 * for it. */
static void test_changed(void **state)
{
    struct fixture *f = *state;
    char src[160], dst[160], tree[160], dst_tree[160];
    path_of(f, src, "src", 0);
    path_of(f, dst, "dst", 0);
    path_of(f, tree, "tree", 0);
    path_of(f, dst_tree, "dsttree", 0);
    free(make_file(src, 8u << 20, 5));
    struct content_id id;
    peer_share(&f->peers[0], src, tree, &id);
    int fd = open(src, O_WRONLY);
    assert_int_equal(pwrite(fd, "changed", 7, 4u << 20), 7);
    close(fd);
    struct peer_swarm *s = peer_fetch(&f->peers[1], &id, dst, dst_tree);
    peer_source(&f->peers[1], s, f->peers[0].me.key, &f->peers[0].listen);
    while (f->peers[0].core.data->refs[XFER_SESSION_SLOT(f->peers[0].swarms[0].ref)]->broken == 0)
        uv_run(&f->loop, UV_RUN_ONCE);
    turn(f, 50);
    assert_false(s->finished);
    assert_int_equal(f->peers[1].bans, 0);
    assert_int_not_equal(access(dst, F_OK), 0);
}

/* given any moment of a transfer, when either side goes away, then nothing breaks, and what is left can still
 * be stopped cleanly. */
static void test_interrupted(void **state)
{
    struct fixture *f = *state;
    char src[160], tree[160];
    path_of(f, src, "src", 0);
    path_of(f, tree, "tree", 0);
    free(make_file(src, 12u << 20, 6));
    struct content_id id;
    peer_share(&f->peers[0], src, tree, &id);
    for (uint32_t round = 0; round < 12; round++) {
        struct peer *leech = &f->peers[1];
        char dst[160], dst_tree[160];
        path_of(f, dst, "dst", round);
        path_of(f, dst_tree, "dsttree", round);
        struct peer_swarm *s = peer_fetch(leech, &id, dst, dst_tree);
        peer_source(leech, s, f->peers[0].me.key, &f->peers[0].listen);
        for (uint32_t i = 0; i < round * 12; i++)
            uv_run(&f->loop, UV_RUN_NOWAIT);
        struct peer *dropper = &f->peers[round % 2];
        while (dropper->streams->lists[LIST_ALL].first)
            conn_close(dropper->streams->lists[LIST_ALL].first, ERR_CLOSED);
        turn(f, 5);
        xfer_swarm_remove(leech->core.xfer, host_now(&leech->core), s->number, host_out(&leech->core));
        host_drain(&leech->core);
        data_close(leech->core.data, s->ref, NULL, NULL);
        leech->swarm_count--;
        turn(f, 20);
    }
}

/* ---- strangers ---- */

static int stranger(const struct net_addr *to)
{
    struct sockaddr_storage sa;
    host_to_sockaddr(&sa, to);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&sa, sizeof(struct sockaddr_in)) != 0)
        assert_int_equal(errno, EINPROGRESS);
    return fd;
}

static void stranger_send(struct fixture *f, int fd, const void *bytes, size_t size)
{
    turn(f, 5);
    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
    turn(f, 5);
}

/* 0: still open; -1: closed without a byte; else bytes. */
static ssize_t stranger_closed(struct fixture *f, int fd)
{
    uint8_t buffer[256];
    for (int i = 0; i < 50; i++) {
        turn(f, 2);
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n > 0)
            return n;
        if (n == 0 || errno == ECONNRESET)
            return -1;
    }
    return 0;
}

/* given bytes that are no handshake, then the port closes and says nothing. */
static void test_garbage(void **state)
{
    struct fixture *f = *state;
    struct peer *p = &f->peers[0];
    uint8_t random[4096];
    struct rng r;
    rng_init(&r, 1, 1);
    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)rng_u32(&r);
    static const struct {
        uint8_t head[2];
        size_t size;
        bool stays;
    } cases[] = {
        {{0, 0}, 0, false},     /* an empty message */
        {{0, 1}, 1, false},     /* too short */
        {{0, 96}, 96, false},   /* no room for a tag */
        {{0, 200}, 200, false}, /* a random one */
        {{4, 0}, 1024, false},
        {{0xff, 0xff}, 10, false}, /* longer than a first message may be: not waited for */
        {{0x47, 0x45}, 30, false}, /* "GE", of an HTTP request */
        {{0, 200}, 100, true},     /* not all there yet */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = stranger(&p->listen);
        uint8_t bytes[2 + 4096];
        memcpy(bytes, cases[i].head, 2);
        memcpy(bytes + 2, random, cases[i].size);
        stranger_send(f, fd, bytes, 2 + cases[i].size);
        assert_int_equal(stranger_closed(f, fd), cases[i].stays ? 0 : -1);
        close(fd);
    }
    turn(f, 10);
    struct streams_totals totals;
    streams_totals(p->streams, &totals);
    assert_int_equal(totals.open, 0);
    assert_int_equal(totals.handshaking, 0);
    assert_int_equal(f->peers[0].ups, 0);
}

/* given a first message that comes byte by byte, then it costs a few hundred bytes and ends at the time-out.
 */
static void test_trickle(void **state)
{
    struct fixture *f = *state;
    struct streams *s = f->peers[0].streams;
    int fd = stranger(&f->peers[0].listen);
    uint8_t byte = 0;
    stranger_send(f, fd, &byte, 1);
    for (int i = 0; i < 150; i++)
        stranger_send(f, fd, (const uint8_t[]){200}, 1);
    assert_int_equal(s->totals.handshaking, 1);
    assert_true(s->lists[LIST_ALL].first->partial_size <= 151);
    uint64_t now = uv_now(&f->loop);
    streams_sweep(s, now + s->config.handshake_timeout_ms - 5000);
    assert_int_equal(stranger_closed(f, fd), 0);
    streams_sweep(s, now + s->config.handshake_timeout_ms + 1);
    assert_int_equal(stranger_closed(f, fd), -1);
    assert_int_equal(s->totals.handshake_timeout, 1);
    close(fd);
}

/* given a thousand silent connections, then a bounded number is kept, real ones still come in, and all end at
 * the time-out. */
static void test_silent_crowd(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    setrlimit(RLIMIT_NOFILE, &limit);
    uint32_t count = limit.rlim_cur >= 4096 ? 1000 : 300;
    struct streams *s = f->peers[0].streams;
    s->config.handshakes_max = 64;
    int *fds = malloc(count * sizeof *fds);
    for (uint32_t i = 0; i < count; i++) {
        fds[i] = stranger(&f->peers[0].listen);
        turn(f, 2);
        assert_true(s->totals.handshaking <= 64);
    }
    turn(f, 50);
    assert_int_equal(s->totals.handshaking, 64);
    assert_true(s->totals.refused >= count - 64 - 64);
    assert_int_equal(f->peers[0].core.data->slab_bytes <= DATA_SLAB_SIZE, 1); /* they hold no buffer */

    /* The crowd is older than a moment: a node that speaks is let in. */
    for (struct conn *c = s->lists[LIST_HANDSHAKE].first; c; c = c->next[LIST_HANDSHAKE])
        c->since_ms -= 2000;
    char src[160], dst[160], tree[160], dst_tree[160];
    path_of(f, src, "src", 0);
    path_of(f, dst, "dst", 0);
    path_of(f, tree, "tree", 0);
    path_of(f, dst_tree, "dsttree", 0);
    uint8_t *bytes = make_file(src, 2u << 20, 77);
    struct content_id id;
    peer_share(&f->peers[0], src, tree, &id);
    struct peer_swarm *w = peer_fetch(&f->peers[1], &id, dst, dst_tree);
    peer_source(&f->peers[1], w, f->peers[0].me.key, &f->peers[0].listen);
    run_until(f, &w->finished);
    assert_file(dst, bytes, 2u << 20);
    free(bytes);
    streams_sweep(s, uv_now(&f->loop) + s->config.handshake_timeout_ms + 1);
    turn(f, 10);
    assert_int_equal(s->totals.handshaking, 0);
    assert_int_equal(s->totals.open, 1);
    for (uint32_t i = 0; i < count; i++)
        close(fds[i]);
    free(fds);
}

/* One that knows our network and key: it completes the handshake, then does as it likes. */
struct knower {
    int fd;
    struct stream stream;
    struct stream_config config;
    struct node_identity me;
};

static void receive_message(struct fixture *f, int fd, uint8_t *out, size_t *size)
{
    size_t have = 0, want = 2;
    uint8_t head[2];
    while (have < want) {
        turn(f, 1);
        ssize_t n = recv(fd, have < 2 ? head + have : out + have - 2, have < 2 ? 2 - have : want - have, 0);
        if (n > 0)
            have += (size_t)n;
        else
            assert_true(n < 0 && errno == EAGAIN);
        if (have == 2)
            want = 2 + (size_t)get_be16(head);
    }
    *size = want - 2;
}

static void knower_connect(struct fixture *f, struct knower *k, const struct peer *to)
{
    uint8_t seed[32] = {200}, ephemeral[32], message[STREAM_FRAME_MAX + 2];
    struct bytes control;
    size_t size;
    core_crypto_real.identity(&k->me, seed);
    k->config = (struct stream_config){&k->me, &to->network, &core_crypto_real};
    k->fd = stranger(&to->listen);
    turn(f, 5);
    host_random(ephemeral, sizeof ephemeral);
    assert_int_equal(stream_init(&k->stream, &k->config, to->me.key, ephemeral), 0);
    stream_hello_begin(&k->stream, &k->config);
    size = stream_hello_end(&k->stream, &k->config, bytes_of(NULL, 0), message);
    stranger_send(f, k->fd, message, size);
    receive_message(f, k->fd, message, &size);
    assert_int_equal(stream_read_reply(&k->stream, &k->config, message, size, &control), 0);
}

static void knower_send(struct fixture *f, struct knower *k, const uint8_t *plain, size_t size)
{
    uint8_t *sealed = malloc(size + STREAM_FRAME_OVERHEAD);
    struct bytes part = bytes_of(plain, size);
    size_t n = stream_seal(&k->stream, &part, 1, sealed);
    stranger_send(f, k->fd, sealed, n);
    free(sealed);
}

/* given a first message that is repeated by one who does not hold the key, then it is closed like a silent
 * one. */
static void test_replay(void **state)
{
    struct fixture *f = *state;
    struct streams *s = f->peers[0].streams;
    struct knower k;
    knower_connect(f, &k, &f->peers[0]); /* says nothing after its first message, as a replay must */
    assert_int_equal(s->totals.open, 1);
    uint64_t now = uv_now(&f->loop);
    streams_sweep(s, now + s->config.handshake_timeout_ms - 5000);
    assert_int_equal(s->totals.open, 1);
    streams_sweep(s, now + s->config.handshake_timeout_ms + 1);
    assert_int_equal(s->totals.open, 0);
    stream_fini(&k.stream);
    close(k.fd);
    knower_connect(f, &k, &f->peers[0]);
    knower_send(f, &k, (const uint8_t[]){FRAME_CONTROL}, 1);
    streams_sweep(s, uv_now(&f->loop) + s->config.handshake_timeout_ms + 1);
    assert_int_equal(s->totals.open, 1);
    stream_fini(&k.stream);
    close(k.fd);
    turn(f, 10);
}

/* True when the peer hung up (frames before that are skipped). */
static bool knower_gone(struct fixture *f, struct knower *k)
{
    uint8_t buffer[4096];
    for (int i = 0; i < 50; i++) {
        turn(f, 2);
        ssize_t n = recv(k->fd, buffer, sizeof buffer, 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return true;
    }
    return false;
}

/* given an authenticated peer that breaks the rules, then it is hung up on; what a newer version may send is
 * ignored. */
static void test_rule_breakers(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *what;
        uint8_t plain[64];
        size_t size;
        bool gone;
    } cases[] = {
        {"an unknown kind of frame", {9, 1, 2, 3}, 4, false},
        {"leaves without a head", {FRAME_LEAVES, 0, 0}, 3, true},
        {"leaves, count 0", {FRAME_LEAVES, 0, 0, 0, 1, 0, 0, 0, 0, 0}, 10, true},
        {"leaves, count 4", {FRAME_LEAVES, 0, 0, 0, 1, 0, 0, 0, 0, 4, 1}, 11, true},
        {"a proof of nothing", {FRAME_PROOF, 0, 0, 0, 1}, 5, true},
        {"control that is no msgpack", {FRAME_CONTROL, 0xc1, 0xc1}, 3, true},
        {"control with a hostile count", {FRAME_CONTROL, 0xdd, 0x0a, 0, 0, 0}, 6, true},
        {"leaves that nobody asked for", {FRAME_LEAVES, 0, 0, 0, 1, 0, 0, 0, 0, 1, 7, 7}, 12, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct knower k;
        knower_connect(f, &k, &f->peers[0]);
        knower_send(f, &k, cases[i].plain, cases[i].size);
        if (knower_gone(f, &k) != cases[i].gone)
            fail_msg("%s", cases[i].what);
        stream_fini(&k.stream);
        close(k.fd);
        turn(f, 10);
    }
    /* A frame that was tampered with, and one with no room for a tag. */
    for (int i = 0; i < 2; i++) {
        struct knower k;
        knower_connect(f, &k, &f->peers[0]);
        uint8_t sealed[64] = {0};
        struct bytes part = bytes_of("\x09hello", 6);
        size_t n = stream_seal(&k.stream, &part, 1, sealed);
        sealed[10] ^= 1;
        if (i == 1) {
            sealed[1] = 5;
            n = 7;
        }
        stranger_send(f, k.fd, sealed, n);
        assert_true(knower_gone(f, &k));
        stream_fini(&k.stream);
        close(k.fd);
        turn(f, 10);
    }
    assert_int_equal(f->peers[0].streams->totals.open, 0);
    xfer_check(f->peers[0].core.xfer);
}

/* given a reader that stops reading, then what is queued for it stays bounded, and it is closed for moving
 * too little. */
static void test_slow_reader(void **state)
{
    struct fixture *f = *state;
    char src[160], dst[160], tree[160], dst_tree[160];
    path_of(f, src, "src", 0);
    path_of(f, dst, "dst", 0);
    path_of(f, tree, "tree", 0);
    path_of(f, dst_tree, "dsttree", 0);
    free(make_file(src, 30u << 20, 5));
    struct content_id id;
    peer_share(&f->peers[0], src, tree, &id);
    struct peer_swarm *w = peer_fetch(&f->peers[1], &id, dst, dst_tree);
    peer_source(&f->peers[1], w, f->peers[0].me.key, &f->peers[0].listen);
    struct streams *s = f->peers[0].streams;
    int small = 65536;
    while (!s->lists[LIST_ALL].first)
        uv_run(&f->loop, UV_RUN_ONCE);
    struct conn *writer = s->lists[LIST_ALL].first, *reader = f->peers[1].streams->lists[LIST_ALL].first;
    uv_send_buffer_size((uv_handle_t *)&writer->tcp, &small);
    uv_recv_buffer_size((uv_handle_t *)&reader->tcp, &small);
    while (f->peers[1].ups == 0 || writer->unsent == 0) {
        if (f->peers[1].ups && writer->sent > 100000)
            uv_read_stop((uv_stream_t *)&reader->tcp);
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    uv_read_stop((uv_stream_t *)&reader->tcp);
    turn(f, 200);
    assert_true(writer->unsent > 0);
    assert_true(writer->unsent <= CONN_UNSENT_MAX + CONN_SERVE_JOBS * DATA_SLAB_SIZE);
    uint64_t now = uv_now(&f->loop);
    streams_sweep(s, now);
    streams_sweep(s, now + 29000);
    assert_int_equal(s->totals.open, 1);
    streams_sweep(s, now + 31000);
    assert_int_equal(s->totals.open, 0);
    while (f->peers[0].core.data->jobs)
        uv_run(&f->loop, UV_RUN_ONCE);
    turn(f, 20);
    assert_int_equal(f->peers[0].core.data->send_slabs, 0);
}

/* given nobody behind an address, another node behind it, or another network, then the dial fails and the
 * core hears of it. */
static void test_bad_dials(void **state)
{
    struct fixture *f = *state;
    struct peer *p = &f->peers[1];
    f->peers[2].network.id[0] = 1; /* a stranger's network: it has spoken to nobody yet */
    struct net_addr closed = net_addr_v4(127, 0, 0, 1, 1);
    const struct {
        const uint8_t *key;
        const struct net_addr *addr;
    } dials[] = {{f->peers[0].me.key, &closed},
                 {f->peers[0].me.key, &f->peers[3].listen},
                 {f->peers[2].me.key, &f->peers[2].listen}};
    for (size_t i = 0; i < sizeof dials / sizeof *dials; i++) {
        uint32_t session = xfer_session_dial(p->core.xfer, host_now(&p->core), dials[i].key, dials[i].addr,
                                             host_out(&p->core));
        assert_int_not_equal(session, 0);
        host_drain(&p->core);
        for (int k = 0; k < 10000 && p->streams->lists[LIST_ALL].first; k++)
            uv_run(&f->loop, UV_RUN_NOWAIT);
        assert_null(p->streams->lists[LIST_ALL].first);
        struct xfer_session_info info[4];
        assert_int_equal(xfer_sessions(p->core.xfer, host_now(&p->core), info, 4), 0);
    }
    assert_int_equal(p->ups, 0);
    /* A port that is taken. */
    struct net_addr taken = f->peers[0].listen;
    assert_int_equal(streams_listen(p->streams, &taken), UV_EADDRINUSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exchange, setup, teardown),
        cmocka_unit_test_setup_teardown(test_swarm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pack, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interrupted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trickle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silent_crowd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rule_breakers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_dials, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
