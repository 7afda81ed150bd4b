/* A node reduced to what moves files: core, streams and data plane, no store and no sockets for datagrams.
 * Used by streams_test and pair_bench. */
#ifndef SHOAL_TESTS_STREAMS_PAIR_H
#define SHOAL_TESTS_STREAMS_PAIR_H
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/base/assert.h"
#include "node/channel/datagram.h"
#include "node/host/data_int.h"
#include "node/host/streams_int.h"

#define PEER_SWARMS 16

struct peer_swarm {
    uint8_t key[HASH_SIZE];
    struct content_id id;
    uint32_t number, ref;
    bool pack, complete, finished;
    int status, trouble;
};

struct peer {
    struct host_core core;
    struct node_identity me;
    struct network network;
    struct dht_config dht_config;
    struct xfer_config xfer_config;
    struct key_pool *keys;
    struct pool lookups, records;
    struct net_addr listen;
    struct streams *streams;
    struct peer_swarm swarms[PEER_SWARMS];
    uint32_t swarm_count, bans, ups, downs;
    bool streams_closed;
};

static void peer_datagram(void *owner, const struct net_addr *to, struct bytes bytes)
{
    (void)owner;
    (void)to;
    (void)bytes;
}

static void peer_persist(void *owner, uint32_t key, struct bytes bytes)
{
    (void)owner;
    (void)key;
    (void)bytes;
}

static void peer_content(void *owner, uint32_t session, uint32_t channel, bool pack,
                         const uint8_t key[HASH_SIZE])
{
    struct peer *p = owner;
    uint32_t swarm = 0;
    for (uint32_t i = 0; i < p->swarm_count; i++) {
        if (p->swarms[i].pack == pack && memcmp(p->swarms[i].key, key, HASH_SIZE) == 0)
            swarm = p->swarms[i].number;
    }
    xfer_content_answer(p->core.xfer, host_now(&p->core), session, channel, swarm, host_out(&p->core));
    host_drain(&p->core);
}

static struct peer_swarm *peer_swarm_of(struct peer *p, uint32_t number)
{
    for (uint32_t i = 0; i < p->swarm_count; i++) {
        if (p->swarms[i].number == number)
            return &p->swarms[i];
    }
    return NULL;
}

static void peer_finished(void *context, int status, const struct file_stamp *stamp)
{
    struct peer_swarm *s = context;
    (void)stamp;
    s->finished = true;
    s->status = status;
}

static void peer_notice(void *owner, const struct effect *x, struct bytes bytes)
{
    struct peer *p = owner;
    (void)bytes;
    struct peer_swarm *s = peer_swarm_of(p, x->u.notice.op);
    switch (x->u.notice.kind) {
    case XFER_NOTICE_COMPLETE:
        s->complete = true;
        if (s->pack)
            s->finished = true;
        else
            data_finish(p->core.data, s->ref, false, peer_finished, s);
        break;
    case XFER_NOTICE_TROUBLE:
        s->trouble = x->u.notice.status;
        break;
    case XFER_NOTICE_BANNED:
        p->bans++;
        break;
    case XFER_NOTICE_SESSION_UP:
        p->ups++;
        break;
    case XFER_NOTICE_SESSION_DOWN:
        p->downs++;
        break;
    default:
        break;
    }
}

static void peer_start(struct peer *p, uv_loop_t *loop, uint8_t number, const char *home, size_t budget)
{
    uint8_t seed[32] = {number};
    memset(p, 0, sizeof *p);
    host_core_init(&p->core, loop);
    core_crypto_real.identity(&p->me, seed);
    p->core.me = &p->me;
    p->core.network = &p->network;
    p->core.crypto = &core_crypto_real;
    p->core.datagram = peer_datagram;
    p->core.content = peer_content;
    p->core.persist = peer_persist;
    p->core.notice = peer_notice;
    p->core.owner = p;
    struct streams_config sc;
    streams_config_default(&sc);
    p->streams = streams_new(&p->core, &sc);
    p->listen = net_addr_v4(127, 0, 0, 1, 0);
    core_assert(streams_listen(p->streams, &p->listen) == 0);
    dht_config_default(&p->dht_config);
    xfer_config_default(&p->xfer_config);
    p->keys = key_pool_new(&core_alloc_libc, &core_crypto_real, 64);
    pool_init(&p->lookups, &core_alloc_libc, dht_lookup_size(&p->dht_config), 16);
    pool_init(&p->records, &core_alloc_libc, dht_record_size(), 16);
    struct node_config c = {
        .dht = {&p->dht_config, &core_crypto_real, p->keys, &core_alloc_libc, &p->lookups, &p->records},
        .xfer = {&p->xfer_config, &core_crypto_real, &core_alloc_libc},
        .me = &p->me,
        .network = &p->network,
        .stream_port = p->listen.port};
    host_random(c.seed, sizeof c.seed);
    p->core.node = node_new(&c, host_now(&p->core));
    core_assert(p->core.node != NULL);
    p->core.xfer = node_xfer(p->core.node);
    p->core.dht = node_dht(p->core.node);
    p->core.data = data_new(&p->core, home, budget);
    core_assert(p->core.data != NULL);
}

static void peer_streams_closed(void *context)
{
    ((struct peer *)context)->streams_closed = true;
}

static void peer_stop(struct peer *p)
{
    uv_loop_t *loop = p->core.loop;
    streams_close(p->streams, peer_streams_closed, p);
    while (!p->streams_closed)
        uv_run(loop, UV_RUN_ONCE);
    for (uint32_t i = 0; i < p->swarm_count; i++)
        data_close(p->core.data, p->swarms[i].ref, NULL, NULL);
    while (p->core.data->jobs)
        uv_run(loop, UV_RUN_ONCE);
    data_free(p->core.data);
    streams_free(p->streams);
    host_core_stop(&p->core);
    uv_run(loop, UV_RUN_NOWAIT);
    node_free(p->core.node);
    pool_fini(&p->lookups);
    pool_fini(&p->records);
    key_pool_free(p->keys);
    host_core_fini(&p->core);
}

static struct peer_swarm *peer_swarm_add(struct peer *p, const struct content_id *id, uint32_t ref,
                                         const struct xfer_geometry *g, bool pack, bool complete,
                                         const uint8_t *have)
{
    struct peer_swarm *s = &p->swarms[p->swarm_count++];
    *s = (struct peer_swarm){.id = *id, .ref = ref, .pack = pack};
    content_provider_key(s->key, id, &p->network, &core_crypto_real);
    struct xfer_swarm_params params = {
        .id = *id, .ref = ref, .pack = pack, .geometry = *g, .complete = complete, .have_chunks = have};
    memcpy(params.provider_key, s->key, HASH_SIZE);
    s->number = xfer_swarm_add(p->core.xfer, host_now(&p->core), &params, host_out(&p->core));
    core_assert(s->number != 0);
    host_drain(&p->core);
    return s;
}

/* Hashes a file and serves it. tree_path is written when there is more than one span. */
static struct peer_swarm *peer_share(struct peer *p, const char *path, const char *tree_path,
                                     struct content_id *id)
{
    int fd = open(path, O_RDONLY);
    core_assert(fd >= 0);
    struct file_stamp stamp;
    data_stamp_of(&stamp, fd);
    *id = (struct content_id){.size = stamp.size, .kind = CONTENT_FILE};
    uint32_t leaves = tree_leaf_count(stamp.size);
    uint8_t(*hashes)[HASH_SIZE] = malloc((size_t)leaves * HASH_SIZE);
    uint8_t *leaf = malloc(TREE_LEAF_SIZE);
    for (uint32_t i = 0; i < leaves; i++) {
        uint32_t n = tree_leaf_bytes(stamp.size, i);
        core_assert(pread(fd, leaf, n, (off_t)i * TREE_LEAF_SIZE) == (ssize_t)n);
        tree_sha256(hashes[i], leaf, n);
    }
    tree_root(id->root, (const uint8_t(*)[HASH_SIZE])hashes, leaves);
    close(fd);
    if (tree_span_count(stamp.size) > 1) {
        fd = open(tree_path, O_RDWR | O_CREAT | O_TRUNC, 0666);
        core_assert(write(fd, hashes, (size_t)leaves * HASH_SIZE) == (ssize_t)((size_t)leaves * HASH_SIZE));
        core_assert(data_tree_complete(&data_io_real, fd, id) == 0);
        close(fd);
    }
    free(leaf);
    free(hashes);
    uint32_t ref;
    core_assert(data_open_file(p->core.data, id, path, &stamp, tree_path, &ref) == 0);
    struct xfer_geometry g;
    xfer_geometry_content(&g, id->size);
    return peer_swarm_add(p, id, ref, &g, false, true, NULL);
}

static struct peer_swarm *peer_fetch(struct peer *p, const struct content_id *id, const char *path,
                                     const char *tree_path)
{
    struct xfer_geometry g;
    xfer_geometry_content(&g, id->size);
    struct data_part_params params = {.id = *id,
                                      .path = path,
                                      .tree_path = tree_span_count(id->size) > 1 ? tree_path : NULL,
                                      .chunk_leaves_log2 = g.chunk_leaves_log2};
    uint32_t ref;
    uint8_t *have;
    size_t size;
    core_assert(data_open_part(p->core.data, &params, &ref, &have, &size) == 0);
    struct peer_swarm *s = peer_swarm_add(p, id, ref, &g, false, false, have);
    free(have);
    return s;
}

static void peer_source(struct peer *p, const struct peer_swarm *s, const uint8_t key[NODE_KEY_SIZE],
                        const struct net_addr *addr)
{
    xfer_swarm_peer(p->core.xfer, host_now(&p->core), s->number, key, addr, XFER_SOURCE_LINK,
                    host_out(&p->core));
    host_drain(&p->core);
}
#endif
