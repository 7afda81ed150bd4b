#include "transfer/torrent.h"
#include "node/base/err.h"
#include "transfer/manifest.h"
#include "transfer/tree.h"

#define DEPTH_MAX (TORRENT_DEPTH_MAX * 2 + 16)

struct cursor {
    const uint8_t *at, *end;
    bool bad;
};

static bool take(struct cursor *c, uint8_t what)
{
    if (c->bad || c->at == c->end || *c->at != what)
        return false;
    c->at++;
    return true;
}

static void need(struct cursor *c, uint8_t what)
{
    if (!take(c, what))
        c->bad = true;
}

/* Digits without leading zeros, up to `stop`. */
static uint64_t digits(struct cursor *c, uint8_t stop)
{
    uint64_t value = 0;
    const uint8_t *first = c->at;
    while (!c->bad && c->at < c->end && *c->at >= '0' && *c->at <= '9') {
        if (value > (UINT64_MAX - 9) / 10)
            c->bad = true;
        value = value * 10 + (uint64_t)(*c->at++ - '0');
    }
    if (c->at == first || (*first == '0' && c->at - first > 1))
        c->bad = true;
    need(c, stop);
    return c->bad ? 0 : value;
}

static struct bytes string(struct cursor *c)
{
    uint64_t size = digits(c, ':');
    if (c->bad || size > (uint64_t)(c->end - c->at)) {
        c->bad = true;
        return bytes_of(NULL, 0);
    }
    struct bytes s = bytes_of(c->at, (size_t)size);
    c->at += size;
    return s;
}

static uint64_t number(struct cursor *c)
{
    need(c, 'i');
    return digits(c, 'e');
}

/* The next key of a dictionary whose 'd' was taken; false at its end. Keys ascend strictly. */
static bool key_next(struct cursor *c, struct bytes *key)
{
    struct bytes last = *key;
    if (c->bad || take(c, 'e'))
        return false;
    *key = string(c);
    if (c->bad)
        return false;
    if (last.data) {
        int order = memcmp(last.data, key->data, last.size < key->size ? last.size : key->size);
        c->bad = order > 0 || (order == 0 && last.size >= key->size);
    }
    return !c->bad;
}

static bool is(struct bytes text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

static void skip(struct cursor *c, uint32_t depth)
{
    struct bytes key = {NULL, 0};
    if (c->bad || c->at == c->end || depth == 0) {
        c->bad = true;
    } else if (*c->at == 'i') {
        c->at++;
        if (take(c, '-') && c->at < c->end && *c->at == '0')
            c->bad = true;
        (void)digits(c, 'e');
    } else if (take(c, 'l')) {
        while (!c->bad && !take(c, 'e'))
            skip(c, depth - 1);
    } else if (take(c, 'd')) {
        while (key_next(c, &key))
            skip(c, depth - 1);
    } else {
        (void)string(c);
    }
}

struct walk {
    struct cursor *c;
    struct torrent *out;
    torrent_each each;
    void *context;
    int stopped;
};

static void tell(struct walk *w, enum torrent_event event, struct bytes name, const struct content_id *id)
{
    if (w->each && !w->c->bad && w->stopped == 0)
        w->stopped = w->each(w->context, event, name, id);
    if (w->stopped)
        w->c->bad = true;
}

/* The dictionary below the empty key: length, pieces root. */
static void file(struct walk *w, struct bytes name)
{
    struct cursor *c = w->c;
    struct bytes key = {NULL, 0}, root = {NULL, 0};
    struct content_id id = {.kind = CONTENT_FILE};
    bool sized = false;
    need(c, 'd');
    while (key_next(c, &key)) {
        if (is(key, "length")) {
            id.size = number(c);
            sized = true;
        } else if (is(key, "pieces root")) {
            root = string(c);
            c->bad = c->bad || root.size != HASH_SIZE;
        } else {
            skip(c, DEPTH_MAX);
        }
    }
    if (c->bad || !sized || id.size > CONTENT_SIZE_MAX || (id.size > 0) != (root.data != NULL)) {
        c->bad = true;
        return;
    }
    if (root.data)
        memcpy(id.root, root.data, HASH_SIZE);
    else
        tree_sha256(id.root, (const uint8_t *)"", 0); /* an empty file has no root there */
    w->out->files++;
    tell(w, TORRENT_FILE, name, &id);
}

/* A dictionary of names. single: at the top, it has one file called as the torrent. */
static void tree(struct walk *w, uint32_t depth)
{
    struct cursor *c = w->c;
    struct bytes key = {NULL, 0};
    if (depth == 0)
        c->bad = true;
    need(c, 'd');
    while (key_next(c, &key)) {
        struct cursor peek = *c;
        struct bytes inner = {NULL, 0};
        if (!manifest_name_ok(key)) {
            c->bad = true;
            return;
        }
        need(&peek, 'd');
        bool is_file = key_next(&peek, &inner) && inner.size == 0;
        if (is_file) {
            *c = peek;
            file(w, key);
            need(c, 'e'); /* a file has nothing beside the empty key */
        } else {
            tell(w, TORRENT_DIR, key, NULL);
            tree(w, depth - 1);
            tell(w, TORRENT_DIR_END, key, NULL);
        }
    }
}

static bool one_file(struct cursor c, struct bytes name)
{
    struct bytes key = {NULL, 0}, inner = {NULL, 0};
    need(&c, 'd');
    if (!key_next(&c, &key) || key.size != name.size || memcmp(key.data, name.data, name.size) != 0)
        return false;
    need(&c, 'd');
    if (!key_next(&c, &inner) || inner.size != 0)
        return false;
    skip(&c, DEPTH_MAX);
    need(&c, 'e');
    return take(&c, 'e') && !c.bad;
}

static void info(struct walk *w)
{
    struct cursor *c = w->c, files = {NULL, NULL, true};
    struct bytes key = {NULL, 0};
    uint64_t version = 1;
    const uint8_t *first = c->at;
    need(c, 'd');
    while (key_next(c, &key)) {
        if (is(key, "file tree")) {
            files = *c;
            skip(c, DEPTH_MAX);
        } else if (is(key, "meta version")) {
            version = number(c);
        } else if (is(key, "name")) {
            w->out->name = string(c);
        } else if (is(key, "piece length")) {
            w->out->piece_length = number(c);
        } else {
            skip(c, DEPTH_MAX);
        }
    }
    if (c->bad)
        return;
    w->out->info = bytes_of(first, (size_t)(c->at - first));
    if (version != 2 || files.bad) {
        w->stopped = ERR_UNSUPPORTED;
        return;
    }
    uint64_t piece = w->out->piece_length;
    if (!manifest_name_ok(w->out->name) || piece < TREE_LEAF_SIZE || (piece & (piece - 1)) != 0) {
        c->bad = true;
        return;
    }
    w->out->single = one_file(files, w->out->name);
    w->c = &files;
    tree(w, TORRENT_DEPTH_MAX);
    w->c = c;
    c->bad = c->bad || files.bad || w->out->files == 0;
}

int torrent_parse(struct torrent *out, struct bytes metainfo, torrent_each each, void *context)
{
    struct cursor c = {metainfo.data, metainfo.data + metainfo.size, false};
    struct walk w = {.c = &c, .out = out, .each = each, .context = context};
    struct bytes key = {NULL, 0};
    memset(out, 0, sizeof *out);
    need(&c, 'd');
    while (w.stopped == 0 && key_next(&c, &key)) {
        if (is(key, "info"))
            info(&w);
        else
            skip(&c, DEPTH_MAX);
    }
    if (w.stopped)
        return w.stopped;
    return c.bad || c.at != c.end || out->files == 0 ? ERR_MALFORMED : 0;
}
