/* What stands in fields and bodies, by the input's first byte: forms (whole and in pieces must tell the
 * same), ranges (each within the file, none overlapping), dates (a parsed one is written back and parsed to
 * itself), entity tags, origins, and torrents. */
#include <stdlib.h>
#include "gateways/http/http_form.h"
#include "gateways/http/http_parse.h"
#include "gateways/http/http_range.h"
#include "gateways/http/http_write.h"
#include "gateways/http/web_origin.h"
#include "node/base/err.h"
#include "transfer/torrent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
    if (!ok)
        abort();
}

static uint32_t form_story(const uint8_t *data, size_t size, size_t step)
{
    struct http_form *f = malloc(sizeof *f);
    uint32_t hash = 2166136261u;
    size_t at = 0;
    enum http_form_event e = HTTP_FORM_MORE;
    check(f != NULL);
    http_form_init(f, bytes_of("b", 1));
    while (at < size && e != HTTP_FORM_BAD) {
        size_t limit = size - at < step ? size : at + step, used;
        while (at < limit && e != HTTP_FORM_BAD) {
            struct bytes piece;
            e = http_form_parse(f, data + at, limit - at, &used, &piece);
            check(used <= limit - at && (used > 0 || e == HTTP_FORM_DATA || e == HTTP_FORM_BAD));
            at += used;
            for (size_t i = 0; e == HTTP_FORM_DATA && i < piece.size; i++)
                hash = (hash ^ piece.data[i]) * 16777619u;
            if (e == HTTP_FORM_PART)
                for (const char *p = f->filename; *p; p++)
                    hash = (hash ^ (uint8_t)*p) * 16777619u;
            if (e != HTTP_FORM_DATA && e != HTTP_FORM_MORE)
                hash = (hash ^ (uint32_t)(e + 256)) * 16777619u;
            check(!strchr(f->filename, '/') && !strchr(f->filename, '\\'));
        }
    }
    free(f);
    return hash;
}

static void ranges(const uint8_t *data, size_t size)
{
    struct http_range list[HTTP_RANGES_MAX];
    unsigned count = 0;
    uint64_t whole = size > 2 ? (uint64_t)data[0] * data[1] : 0;
    if (http_ranges_parse(bytes_of(data, size), whole, list, &count) != HTTP_RANGES_OK)
        return;
    check(count > 0 && count <= HTTP_RANGES_MAX);
    for (unsigned i = 0; i < count; i++) {
        check(list[i].size > 0 && list[i].first < whole && list[i].size <= whole - list[i].first);
        for (unsigned j = 0; j < i; j++)
            check(list[i].first >= list[j].first + list[j].size ||
                  list[j].first >= list[i].first + list[i].size);
    }
}

static void dates(const uint8_t *data, size_t size)
{
    uint64_t s, again;
    char out[80];
    struct http_writer w;
    if (!http_date_parse(bytes_of(data, size), &s) || s > 250000000000u)
        return;
    http_writer_init(&w, out, sizeof out);
    http_write_date(&w, "D", s);
    check(w.size > 5 && http_date_parse(bytes_of(out + 3, w.size - 5), &again) && again == s);
}

static void origins(const uint8_t *data, size_t size)
{
    struct http_head *h = malloc(sizeof *h);
    struct web_origin o;
    check(h != NULL);
    http_head_init(h, false);
    if (http_head_parse(h, data, size) == HTTP_DONE) {
        web_origin_of(&o, h, data, "mine.example other", "shoal.alt a, b");
        check(!o.same_origin || o.has_origin);
        check(!o.has_origin || o.same_origin || o.cross_site);
        check(o.host != WEB_HOST_CONTENT || strlen(o.label) > 0);
    }
    free(h);
}

static int event(void *context, enum torrent_event e, struct bytes name, const struct content_id *id)
{
    int *depth = context;
    check(name.size > 0 && name.size <= CONTENT_NAME_MAX && !memchr(name.data, '/', name.size));
    check((e == TORRENT_FILE) == (id != NULL));
    *depth += e == TORRENT_DIR ? 1 : e == TORRENT_DIR_END ? -1 : 0;
    check(*depth >= 0 && *depth <= (int)TORRENT_DEPTH_MAX);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct torrent t;
    int depth = 0;
    if (size == 0)
        return 0;
    data++;
    size--;
    switch (data[-1] % 6) {
    case 0:
        check(form_story(data, size, size ? size : 1) == form_story(data, size, 1));
        check(form_story(data, size, 3) == form_story(data, size, 7));
        break;
    case 1:
        ranges(data, size);
        break;
    case 2:
        dates(data, size);
        break;
    case 3:
        (void)http_etag_listed(bytes_of(data, size), "\"a\"", size % 2);
        break;
    case 4:
        origins(data, size);
        break;
    default:
        if (torrent_parse(&t, bytes_of(data, size), event, &depth) == 0)
            check(depth == 0 && t.files > 0 && t.name.size > 0);
    }
    return 0;
}
