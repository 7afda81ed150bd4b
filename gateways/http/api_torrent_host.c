/* POST /api/torrent: a torrent of version 2, or a magnet whose torrent was made here or that names a Shoal
 * link, as Shoal content. A tree's manifests are made of the torrent's file tree: they are the ones that a
 * share of the same files has. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include "gateways/http/api_internal_host.h"
#include "gateways/http/http_target.h"
#include "transfer/manifest.h"
#include "transfer/torrent.h"
#include "transfer/tree.h"

#define TORRENT_MAX (3u << 20) /* base64 of it fits the API's body [bytes] */
#define FILES_MAX   50000u

struct level {
    struct manifest_entry *entries; /* names are borrowed from the torrent */
    uint32_t count, cap;
    size_t bound;
    struct bytes name;
};

struct making {
    uv_work_t work;
    struct gateways *g;
    struct http_exchange *x; /* NULL: the asker left */
    uint8_t *metainfo;
    size_t size;
    char home[4096], name[CONTENT_NAME_MAX + 1];
    struct store *store;
    struct level levels[TORRENT_DEPTH_MAX + 2];
    uint32_t depth;
    struct content_id id; /* of what was made last */
    uint32_t files;
    uint64_t bytes;
    int status;
};

/* ---- POOL ---- */

static int level_add(struct level *l, struct bytes name, const struct content_id *id)
{
    if (l->count == l->cap) {
        uint32_t cap = l->cap ? l->cap * 2 : 16;
        struct manifest_entry *grown = realloc(l->entries, cap * sizeof *grown);
        if (!grown)
            return ERR_NO_MEMORY;
        l->entries = grown;
        l->cap = cap;
    }
    l->entries[l->count++] = (struct manifest_entry){.name = name, .id = *id};
    l->bound += manifest_entry_bound(name.size);
    return 0;
}

/* The level's manifest becomes an object; its id goes to m->id. */
static int level_close(struct making *m, struct level *l)
{
    size_t bound = l->bound + MANIFEST_HEAD_MAX;
    uint8_t *bytes = malloc(bound);
    struct pack p;
    struct bytes last = {NULL, 0};
    int rc = bytes ? 0 : ERR_NO_MEMORY;
    if (rc == 0) {
        pack_init(&p, bytes, bound);
        manifest_begin(&p, l->count);
    }
    for (uint32_t i = 0; rc == 0 && i < l->count; i++)
        rc = manifest_add(&p, &l->entries[i], &last);
    uint32_t leaves = rc ? 0 : tree_leaf_count(p.size);
    uint8_t(*hashes)[HASH_SIZE] = rc ? NULL : malloc((size_t)leaves * HASH_SIZE);
    if (rc == 0 && !hashes)
        rc = ERR_NO_MEMORY;
    if (rc == 0) {
        tree_leaf_hashes(hashes, bytes, p.size);
        m->id = (struct content_id){.kind = CONTENT_TREE, .size = p.size};
        tree_root(m->id.root, (const uint8_t(*)[HASH_SIZE])hashes, leaves);
        rc = store_object_put(m->store, &m->id, bytes_of(bytes, p.size));
    }
    free(hashes);
    free(bytes);
    l->count = 0;
    l->bound = 0;
    return rc;
}

static int on_event(void *context, enum torrent_event event, struct bytes name, const struct content_id *id)
{
    struct making *m = context;
    struct level *l = &m->levels[m->depth];
    int rc;
    switch (event) {
    case TORRENT_DIR:
        m->levels[++m->depth].name = name;
        return 0;
    case TORRENT_FILE:
        m->bytes += id->size;
        m->id = *id;
        return m->files++ < FILES_MAX ? level_add(l, name, id) : ERR_FULL;
    default:
        rc = level_close(m, l);
        m->depth--;
        return rc ? rc : level_add(&m->levels[m->depth], name, &m->id);
    }
}

static void on_make(uv_work_t *work)
{
    struct making *m = work->data;
    struct torrent t;
    m->status = torrent_parse(&t, bytes_of(m->metainfo, m->size), NULL,
                              NULL); /* nothing is stored of what is wrong */
    if (m->status == 0)
        m->status = store_open(&m->store, m->home, NULL);
    if (m->status != 0)
        return;
    m->status = torrent_parse(&t, bytes_of(m->metainfo, m->size), on_event, m);
    if (m->status == 0 && !t.single)
        m->status = level_close(m, &m->levels[0]);
    snprintf(m->name, sizeof m->name, "%.*s", (int)t.name.size, (const char *)t.name.data);
    store_close(m->store);
}

/* ---- Loop ---- */

static void tell(struct http_exchange *x, const struct content_id *id, const char *name)
{
    struct link link = {.id = *id};
    char text[LINK_TEXT_MAX];
    json_t *o = json_object();
    snprintf(link.name, sizeof link.name, "%s", name);
    if (link_format(text, sizeof text, &link) != 0) {
        link.name[0] = 0;
        link_format(text, sizeof text, &link);
    }
    json_object_set_new(o, "link", json_string(text));
    json_object_set_new(o, "name", api_text(name));
    api_put_id(o, id);
    api_reply(x, 200, o);
}

static void making_free(struct making *m)
{
    for (uint32_t i = 0; i < sizeof m->levels / sizeof *m->levels; i++)
        free(m->levels[i].entries);
    free(m->metainfo);
    free(m);
}

static void on_made(uv_work_t *work, int status)
{
    struct making *m = work->data;
    struct gateways *g = m->g;
    (void)status;
    if (m->x) {
        m->x->gone = NULL;
        if (m->status == 0)
            tell(m->x, &m->id, m->name);
        else if (m->status == ERR_UNSUPPORTED)
            api_error(
                m->x, ERR_MALFORMED,
                "this torrent is of version 1: its hashes name no files; take one of version 2, or a hybrid");
        else if (m->status == ERR_MALFORMED)
            api_error(m->x, ERR_MALFORMED, "this is not a torrent, or a damaged one");
        else
            api_error(m->x, m->status, "cannot take the torrent: %s", err_text(m->status));
    }
    making_free(m);
    gateways_release(g);
}

static void on_gone(struct http_exchange *x)
{
    ((struct making *)x->owner)->x = NULL;
}

static void torrent_take(struct api_request *r, const char *base64)
{
    size_t given = strlen(base64), cap = given / 4 * 3 + 3;
    struct making *m = cap > TORRENT_MAX ? NULL : calloc(1, sizeof *m);
    if (m)
        m->metainfo = malloc(cap);
    if (!m || !m->metainfo) {
        free(m);
        api_error(r->x, cap > TORRENT_MAX ? ERR_RANGE : ERR_NO_MEMORY,
                  "the torrent is too large: at most 3 MiB");
        return;
    }
    if (sodium_base642bin(m->metainfo, cap, base64, given, "\r\n ", &m->size, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0) {
        making_free(m);
        api_error(r->x, ERR_MALFORMED, "\"torrent\" is the torrent's bytes in base64");
        return;
    }
    m->g = r->g;
    m->x = r->x;
    snprintf(m->home, sizeof m->home, "%s", r->g->app->home.path);
    r->x->owner = m;
    r->x->gone = on_gone;
    m->work.data = m;
    gateways_hold(r->g);
    uv_queue_work(&r->g->app->loop, &m->work, on_make, on_made); /* cannot fail: the callbacks are there */
}

/* "magnet:?xt=urn:btmh:1220<64 hex>&dn=name&xs=shoal%3A<id>" */
static void magnet_take(struct api_request *r, const char *magnet)
{
    struct bytes query = bytes_of(magnet + 8, strlen(magnet) - 8);
    char name[CONTENT_NAME_MAX + 1] = "", value[LINK_TEXT_MAX], key[96];
    struct link link;
    struct content_id id;
    uint8_t packed[CONTENT_ID_SIZE], hash[32];
    size_t size = 0;
    if (http_query_get(query, "dn", name, sizeof name) != 1 ||
        !manifest_name_ok(bytes_of(name, strlen(name))))
        name[0] = 0;
    if (http_query_get(query, "xs", value, sizeof value) == 1 && link_parse(&link, value, NULL) == 0) {
        tell(r->x, &link.id, name);
        return;
    }
    bool v2 = http_query_get(query, "xt", value, sizeof value) == 1 &&
              strncmp(value, "urn:btmh:1220", 13) == 0 && strlen(value) == 13 + 64 &&
              hex_decode(hash, sizeof hash, value + 13);
    if (!v2) {
        api_error(
            r->x, ERR_MALFORMED,
            "this magnet link has no hash of version 2 (xt=urn:btmh:1220...): nothing can be found by it");
        return;
    }
    memcpy(key, "btmh:", 5);
    hex_encode(key + 5, hash, sizeof hash);
    if (store_value_get(r->g->app->store, key, packed, sizeof packed, &size) != 0 || size != sizeof packed ||
        content_id_unpack(&id, packed) != 0) {
        api_error(r->x, ERR_NOT_FOUND,
                  "this node knows the files behind no magnet link but those of torrents made here: give it "
                  "the .torrent instead");
        return;
    }
    tell(r->x, &id, name);
}

void api_torrent_post(struct api_request *r)
{
    const char *torrent = json_string_value(json_object_get(r->body, "torrent")),
               *magnet = json_string_value(json_object_get(r->body, "magnet"));
    if (torrent)
        torrent_take(r, torrent);
    else if (magnet && strncmp(magnet, "magnet:?", 8) == 0)
        magnet_take(r, magnet);
    else
        api_error(r->x, ERR_MALFORMED, "the body needs \"torrent\" (base64) or \"magnet\" (magnet:?...)");
}
