/* Content for the software people have: as a torrent whose web seed is this gateway (BEP 52 with BEP 19; with
 * the pieces of version 1 too when the bytes are here), as Metalink 4 (RFC 5854, RFC 6249). Piece layers come
 * from the stored hash trees; only SHA-1 and the SHA-256 of whole files, which no tree has, are made by
 * reading, in the thread pool. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "gateways/http/http_range.h"
#include "gateways/http/http_target.h"
#include "gateways/http/web_internal_host.h"
#include "node/base/assert.h"
#include "transfer/manifest.h"
#include "transfer/torrent.h"
#include "transfer/tree.h"

#define SPAN        ((uint64_t)TREE_SPAN_LEAVES * TREE_LEAF_SIZE)
#define PIECES_MAX  8192u /* of a file, unless that needs larger pieces than PIECE_MAX */
#define PIECE_MAX   (64u << 20)
#define FILES_MAX   20000u
#define OUT_MAX     (64u << 20)
#define READ_MAX    (UINT64_C(64) << 30) /* larger content is given without what must be read for it [bytes] */
#define SHA1_SIZE   20
#define BLOCK       (256u << 10)
#define DIGEST_SIZE 32

struct text { /* grows; `failed` is sticky */
    char *data;
    size_t size, cap;
    bool failed;
};

struct file {
    char *path; /* below the torrent's name; "" for a single file */
    struct content_id id;
    char *local; /* NULL: its bytes are not here */
    struct file_stamp stamp;
    bool stamped;
    uint8_t *sha1; /* of its pieces, the last one padded but for the last file */
    uint32_t pieces;
    uint8_t sha256[DIGEST_SIZE];
};

enum as { AS_TORRENT, AS_METALINK, AS_MAGNET };

struct export
{
    uv_work_t work;
    struct gateways *g;
    struct http_exchange *x; /* NULL: the asker left */
    enum as as;
    bool v1, v2; /* wanted; version 1 takes reading */
    atomic_bool stop;
    struct content_id id;
    char name[CONTENT_NAME_MAX + 1], base[300], home[4096]; /* "http://127.0.0.1:8733" */
    uint64_t piece_length, total;
    struct store *store;
    struct file *files;
    uint32_t file_count, file_cap;
    bool hashed; /* every file has its SHA-1 and SHA-256 */
    struct text tree, out;
    uint8_t info_hash[DIGEST_SIZE];
    int status;
};

/* ---- Text ---- */

static void put(struct text *t, const void *data, size_t size)
{
    if (t->size + size > t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 4096;
        while (cap < t->size + size)
            cap *= 2;
        char *grown = t->failed || cap > OUT_MAX ? NULL : realloc(t->data, cap);
        t->failed = grown == NULL;
        if (t->failed)
            return;
        t->data = grown;
        t->cap = cap;
    }
    memcpy(t->data + t->size, data, size);
    t->size += size;
}

static void putf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void putf(struct text *t, const char *format, ...)
{
    char line[1200];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    core_assert(n >= 0 && (size_t)n < sizeof line);
    put(t, line, (size_t)n);
}

static void put_string(struct text *t, const void *data, size_t size) /* bencoded */
{
    putf(t, "%zu:", size);
    put(t, data, size);
}

static void put_xml(struct text *t, const char *s)
{
    for (; *s; s++) {
        const char *as = *s == '<'   ? "&lt;"
                         : *s == '>' ? "&gt;"
                         : *s == '&' ? "&amp;"
                         : *s == '"' ? "&quot;"
                                     : NULL;
        put(t, as ? as : s, as ? strlen(as) : 1);
    }
}

static void put_path(struct text *t, const char *path) /* percent-encoded, '/' kept */
{
    for (; *path; path++) {
        char code[4];
        if (*path == '/')
            put(t, "/", 1);
        else
            put(t, code, (size_t)http_encode(code, sizeof code, bytes_of(path, 1)));
    }
}

/* ---- POOL: what there is ---- */

static int file_add(struct export *e, const char *path, const struct content_id *id)
{
    struct store_content row;
    if (e->file_count == FILES_MAX)
        return ERR_FULL;
    if (e->file_count == e->file_cap) {
        uint32_t cap = e->file_cap ? e->file_cap * 2 : 16;
        struct file *grown = realloc(e->files, cap * sizeof *grown);
        if (!grown)
            return ERR_NO_MEMORY;
        e->files = grown;
        e->file_cap = cap;
    }
    struct file *f = &e->files[e->file_count++];
    *f = (struct file){.path = strdup(path), .id = *id};
    e->total += id->size;
    int rc = store_content_by_id(e->store, id, &row);
    if (rc == 0 && row.state == CONTENT_OK && row.place == PLACE_FILE) {
        f->local = strdup(row.path);
        f->stamp = row.stamp;
        f->stamped = true;
    } else {
        char text[CONTENT_ID_TEXT_SIZE + 1], cached[PATH_MAX];
        struct stat st;
        content_id_format(text, id);
        snprintf(cached, sizeof cached, "%.4000s/cache/%s", e->home, text);
        if (stat(cached, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == id->size)
            f->local = strdup(cached);
    }
    return f->path ? 0 : ERR_NO_MEMORY;
}

static void put_file(struct text *t, const struct content_id *id)
{
    putf(t, "d0:d6:lengthi%llue", (unsigned long long)id->size);
    if (id->size) {
        put(t, "11:pieces root32:", 17);
        put(t, id->root, HASH_SIZE);
    }
    put(t, "ee", 2);
}

/* The directory's part of the file tree, and its files in the same order. */
static int tree_add(struct export *e, const struct content_id *id, const char *above, unsigned depth)
{
    struct manifest_reader r;
    struct manifest_entry m;
    uint8_t *bytes;
    int next, rc = depth == 0 || id->size > (64u << 20) ? ERR_FULL : store_object_read(e->store, id, &bytes);
    if (rc != 0)
        return rc == ERR_NOT_FOUND ? ERR_NO_SOURCES : rc;
    put(&e->tree, "d", 1);
    rc = manifest_open(&r, bytes_of(bytes, (size_t)id->size));
    while (rc == 0 && (next = manifest_next(&r, &m)) != 0) {
        char path[TORRENT_PATH_MAX];
        if (next < 0 || (size_t)snprintf(path, sizeof path, "%s%s%.*s", above, *above ? "/" : "",
                                         (int)m.name.size, (const char *)m.name.data) >= sizeof path) {
            rc = next < 0 ? next : ERR_RANGE;
            break;
        }
        put_string(&e->tree, m.name.data, m.name.size);
        if (m.id.kind == CONTENT_TREE) {
            rc = tree_add(e, &m.id, path, depth - 1);
        } else {
            put_file(&e->tree, &m.id);
            rc = file_add(e, path, &m.id);
        }
        if (atomic_load(&e->stop))
            rc = ERR_CANCELLED;
    }
    put(&e->tree, "e", 1);
    free(bytes);
    return rc;
}

/* The hashes of the layer whose nodes are pieces, as the stored tree has them: leaves, then span roots and
 * all layers above. */
static int layer_put(struct export *e, const struct content_id *id)
{
    char path[PATH_MAX];
    uint64_t spans = tree_span_count(id->size), width = 1, at = (uint64_t)tree_leaf_count(id->size);
    uint64_t count = (id->size + e->piece_length - 1) / e->piece_length;
    while (width < spans)
        width *= 2;
    for (uint64_t node = SPAN; node < e->piece_length; node *= 2, width /= 2)
        at += width;
    store_tree_path(e->store, id, path, sizeof path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return ERR_NO_SOURCES;
    size_t size = (size_t)count * HASH_SIZE;
    uint8_t *hashes = malloc(size);
    bool whole = hashes && pread(fd, hashes, size, (off_t)(at * HASH_SIZE)) == (ssize_t)size;
    close(fd);
    if (whole) {
        put_string(&e->out, id->root, HASH_SIZE);
        put_string(&e->out, hashes, size);
    }
    free(hashes);
    return whole ? 0 : ERR_NO_SOURCES;
}

/* ---- POOL: what must be read ---- */

static int piece_end(EVP_MD_CTX *sha1, struct file *f, uint64_t pad)
{
    static const uint8_t zeros[65536];
    while (pad) {
        size_t part = pad < sizeof zeros ? (size_t)pad : sizeof zeros;
        if (EVP_DigestUpdate(sha1, zeros, part) != 1)
            return ERR_NO_MEMORY;
        pad -= part;
    }
    return EVP_DigestFinal_ex(sha1, f->sha1 + (size_t)f->pieces++ * SHA1_SIZE, NULL) == 1 &&
                   EVP_DigestInit_ex(sha1, EVP_sha1(), NULL) == 1
               ? 0
               : ERR_NO_MEMORY;
}

static bool stamp_is(const struct file_stamp *s, const struct stat *st)
{
    return s->device == st->st_dev && s->inode == st->st_ino && s->size == (uint64_t)st->st_size &&
           s->mtime_ns == (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec &&
           s->ctime_ns == (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
}

static int file_hash(struct export *e, struct file *f, bool last, uint8_t *block, EVP_MD_CTX *sha1,
                     EVP_MD_CTX *sha256)
{
    struct stat st;
    uint64_t at = 0, in_piece = 0;
    int fd = open(f->local, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), rc = 0;
    if (fd < 0)
        return ERR_NO_SOURCES;
    f->sha1 = malloc((size_t)((f->id.size + e->piece_length - 1) / e->piece_length + 1) * SHA1_SIZE);
    if (!f->sha1 || EVP_DigestInit_ex(sha1, EVP_sha1(), NULL) != 1 ||
        EVP_DigestInit_ex(sha256, EVP_sha256(), NULL) != 1)
        rc = ERR_NO_MEMORY;
    while (rc == 0 && at < f->id.size) {
        ssize_t n = pread(fd, block, f->id.size - at < BLOCK ? (size_t)(f->id.size - at) : BLOCK, (off_t)at);
        if (n <= 0) {
            rc = n < 0 && errno == EINTR ? 0 : ERR_CHANGED;
            continue;
        }
        EVP_DigestUpdate(sha256, block, (size_t)n);
        EVP_DigestUpdate(sha1, block, (size_t)n); /* BLOCK divides every piece length: no piece ends inside */
        at += (uint64_t)n;
        in_piece += (uint64_t)n;
        if (in_piece == e->piece_length || at == f->id.size) {
            rc = piece_end(sha1, f, at == f->id.size && !last ? e->piece_length - in_piece : 0);
            in_piece = 0;
        }
        if (atomic_load(&e->stop))
            rc = ERR_CANCELLED;
    }
    if (rc == 0 && (fstat(fd, &st) != 0 || (f->stamped && !stamp_is(&f->stamp, &st))))
        rc = ERR_CHANGED;
    close(fd);
    if (rc == 0)
        EVP_DigestFinal_ex(sha256, f->sha256, NULL);
    return rc;
}

/* A file that is not here, or was changed, means: without what must be read. */
static void hash_all(struct export *e)
{
    uint8_t *block = malloc(BLOCK);
    EVP_MD_CTX *sha1 = EVP_MD_CTX_new(), *sha256 = EVP_MD_CTX_new();
    bool good = block && sha1 && sha256 && e->total <= READ_MAX;
    for (uint32_t i = 0; good && i < e->file_count; i++)
        good =
            e->files[i].local && file_hash(e, &e->files[i], i + 1 == e->file_count, block, sha1, sha256) == 0;
    e->hashed = good;
    EVP_MD_CTX_free(sha1);
    EVP_MD_CTX_free(sha256);
    free(block);
}

/* ---- POOL: the torrent ---- */

static void put_v1_files(struct export *e)
{
    put(&e->out, "5:filesl", 8);
    for (uint32_t i = 0; i < e->file_count; i++) {
        const struct file *f = &e->files[i];
        uint64_t pad = f->id.size % e->piece_length ? e->piece_length - f->id.size % e->piece_length : 0;
        putf(&e->out, "d6:lengthi%llue4:pathl", (unsigned long long)f->id.size);
        for (const char *p = f->path; *p;) {
            size_t n = strcspn(p, "/");
            put_string(&e->out, p, n);
            p += n + (p[n] == '/');
        }
        put(&e->out, "ee", 2);
        if (pad && i + 1 < e->file_count) {
            char name[24];
            int n = snprintf(name, sizeof name, "%llu", (unsigned long long)pad);
            putf(&e->out, "d4:attr1:p6:lengthi%llue4:pathl4:.pad%d:%see", (unsigned long long)pad, n, name);
        }
    }
    put(&e->out, "e", 1);
}

static int by_root(const void *a, const void *b)
{
    return memcmp((*(const struct file *const *)a)->id.root, (*(const struct file *const *)b)->id.root,
                  HASH_SIZE);
}

static int put_layers(struct export *e)
{
    const struct file **sorted = malloc((e->file_count + 1) * sizeof *sorted);
    uint32_t n = 0;
    int rc = sorted ? 0 : ERR_NO_MEMORY;
    for (uint32_t i = 0; rc == 0 && i < e->file_count; i++)
        if (e->files[i].id.size > e->piece_length)
            sorted[n++] = &e->files[i];
    if (rc == 0 && n)
        qsort(sorted, n, sizeof *sorted, by_root);
    put(&e->out, "12:piece layersd", 16);
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        if (i == 0 || memcmp(sorted[i]->id.root, sorted[i - 1]->id.root, HASH_SIZE) != 0)
            rc = layer_put(e, &sorted[i]->id);
    put(&e->out, "e", 1);
    free(sorted);
    return rc;
}

static void put_info(struct export *e)
{
    bool single = e->id.kind == CONTENT_FILE, v1 = e->hashed && e->v1;
    put(&e->out, "d", 1);
    if (e->v2) {
        put(&e->out, "9:file tree", 11);
        put(&e->out, e->tree.data, e->tree.size);
    }
    if (v1 && !single)
        put_v1_files(e);
    if (v1 && single)
        putf(&e->out, "6:lengthi%llue", (unsigned long long)e->id.size);
    if (e->v2)
        put(&e->out, "12:meta versioni2e", 18);
    put(&e->out, "4:name", 6);
    put_string(&e->out, e->name, strlen(e->name));
    putf(&e->out, "12:piece lengthi%llue", (unsigned long long)e->piece_length);
    if (v1) {
        uint64_t pieces = 0;
        for (uint32_t i = 0; i < e->file_count; i++)
            pieces += e->files[i].pieces;
        putf(&e->out, "6:pieces%llu:", (unsigned long long)pieces * SHA1_SIZE);
        for (uint32_t i = 0; i < e->file_count; i++)
            put(&e->out, e->files[i].sha1, (size_t)e->files[i].pieces * SHA1_SIZE);
    }
    put(&e->out, "e", 1);
}

/* Clients append the torrent's name, and the path of a file (BEP 19); with version 2 libtorrent takes every
 * torrent for a directory. */
static void put_seed(const struct export *e, struct text *t)
{
    char id[CONTENT_ID_TEXT_SIZE + 1];
    content_id_format(id, &e->id);
    putf(t, "%s/seed/%s/", e->base, id);
}

static void remember(struct export *e)
{
    char key[16 + 2 * DIGEST_SIZE + 1] = "btmh:";
    uint8_t packed[CONTENT_ID_SIZE];
    hex_encode(key + 5, e->info_hash, DIGEST_SIZE);
    content_id_pack(packed, &e->id);
    (void)store_value_put(e->store, key,
                          bytes_of(packed, sizeof packed)); /* else the magnet is only for others */
}

static int torrent_make(struct export *e)
{
    struct text seed = {0};
    put(&e->out, "d7:comment", 10);
    char id[CONTENT_ID_TEXT_SIZE + 1], comment[96];
    content_id_format(id, &e->id);
    snprintf(comment, sizeof comment, "shoal:%s", id);
    put_string(&e->out, comment, strlen(comment));
    put_string(&e->out, "created by", 10);
    put_string(&e->out, "Shoal " SHOAL_VERSION, sizeof "Shoal " SHOAL_VERSION - 1);
    put_string(&e->out, "info", 4);
    size_t info = e->out.size;
    put_info(e);
    tree_sha256(e->info_hash, (const uint8_t *)e->out.data + info, e->out.failed ? 0 : e->out.size - info);
    int rc = !e->v2 ? e->hashed ? 0 : ERR_NO_SOURCES : put_layers(e);
    put_string(&e->out, "url-list", 8);
    put_seed(e, &seed);
    put_string(&e->out, seed.data, seed.size);
    put(&e->out, "e", 1);
    e->out.failed = e->out.failed || seed.failed;
    free(seed.data);
    if (rc == 0 && !e->out.failed && e->v2)
        remember(e);
    return rc;
}

/* After the torrent was made, for its hash. */
static void magnet_make(struct export *e)
{
    char hash[2 * DIGEST_SIZE + 1], id[CONTENT_ID_TEXT_SIZE + 1];
    hex_encode(hash, e->info_hash, DIGEST_SIZE);
    content_id_format(id, &e->id);
    e->out.size = 0;
    putf(&e->out, "magnet:?xt=urn:btmh:1220%s&dn=", hash);
    put_path(&e->out, e->name);
    putf(&e->out, "&xl=%llu&xs=shoal%%3A%s\n", (unsigned long long)e->total, id);
}

/* ---- POOL: Metalink ---- */

static void put_hex(struct text *t, const uint8_t *data, size_t size)
{
    char hex[2 * DIGEST_SIZE + 1];
    hex_encode(hex, data, size);
    put(t, hex, 2 * size);
}

static void metalink_make(struct export *e)
{
    char id[CONTENT_ID_TEXT_SIZE + 1];
    content_id_format(id, &e->id);
    putf(&e->out,
         "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n"
         "  <generator>Shoal/%s</generator>\n",
         SHOAL_VERSION);
    for (uint32_t i = 0; i < e->file_count; i++) {
        const struct file *f = &e->files[i];
        put(&e->out, "  <file name=\"", 14);
        put_xml(&e->out, e->name);
        if (f->path[0]) {
            put(&e->out, "/", 1);
            put_xml(&e->out, f->path);
        }
        putf(&e->out, "\">\n    <size>%llu</size>\n", (unsigned long long)f->id.size);
        if (e->hashed) {
            put(&e->out, "    <hash type=\"sha-256\">", 25);
            put_hex(&e->out, f->sha256, DIGEST_SIZE);
            put(&e->out, "</hash>\n", 8);
        }
        putf(&e->out, "    <url priority=\"1\">%s/content/%s", e->base, id);
        if (f->path[0]) {
            put(&e->out, "/", 1);
            put_path(&e->out, f->path);
        }
        put(&e->out, "</url>\n  </file>\n", 17);
    }
    put(&e->out, "</metalink>\n", 12);
}

static void on_export(uv_work_t *work)
{
    struct export *e = work->data;
    e->status = store_open(&e->store, e->home, NULL);
    if (e->status != 0)
        return;
    if (e->id.kind == CONTENT_TREE) {
        e->status = tree_add(e, &e->id, "", MANIFEST_DEPTH_MAX);
    } else {
        put(&e->tree, "d", 1);
        put_string(&e->tree, e->name, strlen(e->name));
        put_file(&e->tree, &e->id);
        put(&e->tree, "e", 1);
        e->status = file_add(e, "", &e->id);
    }
    if (e->status == 0 && e->file_count == 0)
        e->status = ERR_NOT_A_FILE;
    uint64_t largest = 0;
    for (uint32_t i = 0; i < e->file_count; i++)
        largest = e->files[i].id.size > largest ? e->files[i].id.size : largest;
    for (e->piece_length = SPAN; largest / e->piece_length >= PIECES_MAX && e->piece_length < PIECE_MAX;)
        e->piece_length *= 2;
    if (e->status == 0 && (e->v1 || e->as == AS_METALINK))
        hash_all(e);
    if (e->status == 0 && e->as == AS_METALINK)
        metalink_make(e);
    else if (e->status == 0)
        e->status = torrent_make(e);
    if (e->status == 0 && e->as == AS_MAGNET)
        magnet_make(e);
    if (e->status == 0 && e->out.failed)
        e->status = ERR_NO_MEMORY;
    store_close(e->store);
}

/* ---- Loop ---- */

static void export_free(struct export *e)
{
    for (uint32_t i = 0; i < e->file_count; i++) {
        free(e->files[i].path);
        free(e->files[i].local);
        free(e->files[i].sha1);
    }
    free(e->files);
    free(e->tree.data);
    free(e->out.data);
    free(e);
}

static void answer(struct export *e)
{
    static const char *const types[] = {"application/x-bittorrent", "application/metalink4+xml",
                                        "text/plain; charset=utf-8"};
    static const char *const ends[] = {".torrent", ".meta4", ".magnet"};
    struct http_exchange *x = e->x;
    char encoded[3 * CONTENT_NAME_MAX + 1], extra[4 * CONTENT_NAME_MAX + 200];
    x->gone = NULL;
    switch (e->status) {
    case 0:
        break;
    case ERR_NO_SOURCES:
        web_error(
            x, 409, NULL,
            "Its hash tree is not on this node yet: fetch it first, then it can be taken as a torrent.");
        return;
    case ERR_NOT_A_FILE:
        web_error(x, 409, NULL, "There is no file in it: nothing to make a torrent of.");
        return;
    case ERR_FULL:
    case ERR_RANGE:
        web_error(x, 413, NULL, "It has too many files, or paths that are too long, for one torrent.");
        return;
    default:
        web_error(x, 500, NULL, err_text(e->status));
        return;
    }
    if (http_encode(encoded, sizeof encoded, bytes_of(e->name, strlen(e->name))) < 0)
        encoded[0] = 0;
    snprintf(extra, sizeof extra,
             "Content-Disposition: attachment; filename*=UTF-8''%s%s\r\nX-Content-Type-Options: nosniff\r\n",
             encoded, ends[e->as]);
    char *body = e->out.data;
    e->out.data = NULL;
    http_reply(x, 200, types[e->as], extra, body, e->out.size);
}

static void on_exported(uv_work_t *work, int status)
{
    struct export *e = work->data;
    struct gateways *g = e->g;
    core_assert(status == 0);
    if (e->status == 0 && e->hashed && e->id.kind == CONTENT_FILE) {
        struct web_digest *d = &web_of(g)->digests[e->id.root[0] % WEB_DIGESTS];
        *d = (struct web_digest){.id = e->id, .known = true};
        memcpy(d->sha256, e->files[0].sha256, DIGEST_SIZE);
    }
    if (e->x)
        answer(e);
    export_free(e);
    gateways_release(g);
}

static void on_gone(struct http_exchange *x)
{
    struct export *e = x->owner;
    e->x = NULL;
    atomic_store(&e->stop, true);
}

bool web_export(struct gateways *g, struct http_exchange *x, const struct content_id *id, const char *name)
{
    struct bytes query = http_text(x->bytes, x->head->query), host = http_text(x->bytes, x->head->host);
    char as[16], only[8];
    if (http_query_get(query, "as", as, sizeof as) != 1)
        return false;
    int which = strcmp(as, "torrent") == 0  ? AS_TORRENT
                : strcmp(as, "meta4") == 0  ? AS_METALINK
                : strcmp(as, "magnet") == 0 ? AS_MAGNET
                                            : -1;
    struct export *e = which < 0 ? NULL : calloc(1, sizeof *e);
    if (!e) {
        web_error(x, which < 0 ? 400 : 503, NULL,
                  which < 0 ? "\"as\" is torrent, magnet or meta4." : "out of memory");
        return true;
    }
    e->g = g;
    e->x = x;
    e->as = (enum as)which;
    e->id = *id;
    bool one = http_query_get(query, "v", only, sizeof only) == 1;
    e->v1 = !one || strcmp(only, "1") == 0;
    e->v2 = !one || strcmp(only, "1") != 0 || e->as == AS_MAGNET;
    content_id_format(e->name, id);
    if (name[0] && manifest_name_ok(bytes_of(name, strlen(name))))
        snprintf(e->name, sizeof e->name, "%s", name);
    snprintf(e->home, sizeof e->home, "%s", g->app->home.path);
    if (host.size == 0 || host.size > 200)
        host = bytes_of("127.0.0.1", 9);
    snprintf(e->base, sizeof e->base, "http://%.*s:%u", (int)host.size, (const char *)host.data,
             host.size && x->head->port ? x->head->port : web_of(g)->address.port);
    x->owner = e;
    x->gone = on_gone;
    e->work.data = e;
    gateways_hold(g);
    core_assert(uv_queue_work(&g->app->loop, &e->work, on_export, on_exported) == 0);
    return true;
}

/* ---- What clients of a torrent ask for ---- */

bool web_seed_path(char *path, size_t cap)
{
    char *slash = strncmp(path, "/seed/", 6) == 0 ? strchr(path + 6, '/') : NULL;
    char *rest = slash ? strchr(slash + 1, '/') : NULL, text[CONTENT_ID_TEXT_SIZE + 1],
         whole[CONTENT_PATH_MAX];
    struct content_id id;
    if (!slash || slash - (path + 6) != CONTENT_ID_TEXT_SIZE)
        return false;
    snprintf(text, sizeof text, "%s", path + 6);
    if (content_id_parse(&id, text) != 0)
        return false;
    if (id.kind == CONTENT_FILE)
        rest = NULL;
    if ((size_t)snprintf(whole, sizeof whole, "/content/%s%s", text, rest ? rest : "") >= cap)
        return false;
    memcpy(path, whole, strlen(whole) + 1);
    return true;
}

/* Zeros that fill a piece up to the next file: clients that do not know pad files (BEP 47) ask for them. */
bool web_seed_pad(struct http_exchange *x, const char *path)
{
    const char *pad = strncmp(path, "/seed/", 6) == 0 ? strstr(path, "/.pad/") : NULL;
    char *end = NULL;
    unsigned long long size = pad ? strtoull(pad + 6, &end, 10) : 0;
    struct bytes value;
    struct http_range ranges[HTTP_RANGES_MAX];
    unsigned count = 0;
    char extra[96] = "";
    if (size == 0 || size >= PIECE_MAX || *end ||
        (x->head->method != HTTP_GET && x->head->method != HTTP_HEAD))
        return false;
    enum http_ranges r = HTTP_RANGES_IGNORE;
    if (http_field_get(x->head, x->bytes, "Range", &value))
        r = http_ranges_parse(value, size, ranges, &count);
    unsigned status = r == HTTP_RANGES_NONE ? 416 : r == HTTP_RANGES_OK && count == 1 ? 206 : 200;
    size_t n = status == 206 ? (size_t)ranges[0].size : status == 200 ? (size_t)size : 0;
    if (status == 206)
        snprintf(extra, sizeof extra, "Content-Range: bytes %llu-%llu/%llu\r\n",
                 (unsigned long long)ranges[0].first, (unsigned long long)(ranges[0].first + n - 1), size);
    else if (status == 416)
        snprintf(extra, sizeof extra, "Content-Range: bytes */%llu\r\n", size);
    char *zeros = n ? calloc(1, n) : NULL;
    http_reply(x, n && !zeros ? 503 : status, "application/octet-stream", extra, zeros, zeros ? n : 0);
    return true;
}

size_t web_digest_fields(struct gateways *g, const struct content_id *id, char *out, size_t cap)
{
    const struct web_digest *d = &web_of(g)->digests[id->root[0] % WEB_DIGESTS];
    char text[CONTENT_ID_TEXT_SIZE + 1], base64[64];
    if (!d->known || !content_id_equal(&d->id, id))
        return 0;
    content_id_format(text, id);
    sodium_bin2base64(base64, sizeof base64, d->sha256, sizeof d->sha256, sodium_base64_VARIANT_ORIGINAL);
    return (size_t)snprintf(
        out, cap,
        "Link: </content/%s?as=meta4>; rel=describedby; type=\"application/metalink4+xml\", "
        "</content/%s?as=torrent>; rel=describedby; type=\"application/x-bittorrent\"\r\n"
        "Digest: SHA-256=%s\r\nRepr-Digest: sha-256=:%s:\r\n",
        text, text, base64, base64);
}
