/* GET and HEAD of content: conditions, ranges, directory pages, errors; bytes from a local file by sendfile
 * or from the swarm as they arrive. */
#include <stdio.h>
#include <stdlib.h>
#include "gateways/http/http_range.h"
#include "gateways/http/http_target.h"
#include "gateways/http/web_html_host.h"
#include "gateways/http/web_internal_host.h"
#include "node/base/assert.h"

#define BUFFER_SIZE   (256u * 1024u)
#define READ_AHEAD    (4u << 20) /* asked of the swarm behind what is being read [bytes] */
#define TIMEOUT_MAX_S 3600
#define PART_HEAD     320
#define BOUNDARY      "shoal-d41f0c8b5e7a92"
#define OURS_ALONE    "Cross-Origin-Resource-Policy: same-origin\r\n" /* what other sites may not even show or play */

enum step { STEP_OPEN, STEP_INDEX, STEP_LIST, STEP_READ, STEP_SEND };

struct serving {
    struct gateways *g;
    struct http_exchange *x;
    struct account_who who;
    bool own; /* on the content's own origin: no sandbox */
    enum step step;
    uint32_t timeout_ms; /* for content of other nodes */
    char path[CONTENT_PATH_MAX];
    struct link hints;
    bool has_hints;
    struct content_call *call;
    struct content_file *file;
    struct content_id id;
    bool has_id;
    uint64_t size;
    int64_t mtime_s;
    char name[CONTENT_NAME_MAX + 1], etag[CONTENT_ID_TEXT_SIZE + 3];
    struct http_range ranges[HTTP_RANGES_MAX];
    unsigned range_count, range;
    uint64_t at, left; /* of the range being sent */
    bool multipart, part_head_due, last_boundary_due, begun;
    char part_head[PART_HEAD];
    uint8_t *buffer;
    struct web_html listing;
    uint64_t listing_from;
};

static void serving_free(struct serving *v)
{
    if (v->call)
        content_cancel(v->call);
    if (v->file)
        content_close(v->file);
    free(v->buffer);
    free(v->listing.text);
    free(v);
}

static void on_gone(struct http_exchange *x)
{
    serving_free(x->owner);
}

static void answer(struct serving *v, unsigned status, const char *extra, const char *message)
{
    struct http_exchange *x = v->x;
    x->gone = NULL;
    if (message)
        web_error(x, status, extra, message);
    else
        http_reply(x, status, NULL, extra, NULL, 0);
    serving_free(v);
}

static core_time deadline(const struct serving *v)
{
    return host_now(&v->g->app->core) + CORE_MS(v->timeout_ms);
}

/* ---- Errors ---- */

static void fail(struct serving *v, int error)
{
    struct content_progress p;
    char message[640];
    if (v->begun) {
        struct http_exchange *x = v->x;
        x->gone = NULL;
        http_reply_abort(x); /* short: nobody takes it for the whole */
        serving_free(v);
        return;
    }
    switch (error) {
    case ERR_NOT_FOUND:
        answer(v, 404, NULL,
               "There is nothing of this name here. The link may be old, or its owner took it back.");
        return;
    case ERR_MALFORMED:
    case ERR_CHECKSUM:
    case ERR_UNSUPPORTED:
        answer(v, 400, NULL,
               "The content id in this address is wrong: a character is missing or mistyped. Copy the whole "
               "link again.");
        return;
    case ERR_PERMISSION:
        answer(v, 403, NULL, "This file may not be read by this node.");
        return;
    case ERR_NO_SOURCES:
    case ERR_TIMEOUT:
        if (v->file && content_progress_of(v->file, &p))
            snprintf(message, sizeof message,
                     "Nobody who has this content could be reached in %u s. %u sources were found, %u "
                     "connections are open; %llu of %llu bytes are "
                     "here. %.300s",
                     v->timeout_ms / 1000, p.providers_found, p.sessions, (unsigned long long)p.bytes_have,
                     (unsigned long long)p.bytes_total, p.message);
        else
            snprintf(message, sizeof message,
                     "Nobody who has this content could be reached in %u s: the whole network was asked.",
                     v->timeout_ms / 1000);
        answer(v, 504, "Retry-After: 30\r\n", message);
        return;
    case ERR_NO_SPACE:
    case ERR_QUOTA:
        answer(v, 507, NULL, "There is no room on this node's disk for this content.");
        return;
    case ERR_FULL:
    case ERR_BUSY:
    case ERR_NO_MEMORY:
    case ERR_CANCELLED:
        answer(v, 503, "Retry-After: 5\r\n", "This node has too much to do at the moment. Try again soon.");
        return;
    default:
        answer(v, 500, NULL, err_text(error));
    }
}

/* ---- Conditions (RFC 9110, 13.2.2) ---- */

static bool field(const struct serving *v, const char *name, struct bytes *value)
{
    return http_field_get(v->x->head, v->x->bytes, name, value);
}

/* 0: go on; else the status. */
static unsigned conditions(const struct serving *v)
{
    struct bytes value;
    uint64_t date;
    bool has_match = field(v, "If-Match", &value);
    if (has_match && !(v->etag[0] && http_etag_listed(value, v->etag, false)) && !http_text_is(value, "*"))
        return 412;
    if (!has_match && field(v, "If-Unmodified-Since", &value) && v->mtime_s &&
        http_date_parse(value, &date) && (uint64_t)v->mtime_s > date)
        return 412;
    if (field(v, "If-None-Match", &value))
        return http_etag_listed(value, v->etag, true) ? 304 : 0;
    if (field(v, "If-Modified-Since", &value) && v->mtime_s && http_date_parse(value, &date) &&
        (uint64_t)v->mtime_s <= date)
        return 304;
    return 0;
}

static bool range_applies(const struct serving *v)
{
    struct bytes value;
    uint64_t date;
    if (!field(v, "If-Range", &value))
        return true;
    if (value.size && value.data[0] == '"')
        return v->etag[0] && http_text_is(value, v->etag);
    return v->mtime_s && http_date_parse(value, &date) && (uint64_t)v->mtime_s == date;
}

/* ---- Heads ---- */

static bool wants_download(const struct serving *v)
{
    char text[8];
    return http_query_get(http_text(v->x->bytes, v->x->head->query), "download", text, sizeof text) == 1 &&
           text[0] == '1';
}

static void put_disposition(const struct serving *v, struct http_writer *w)
{
    char encoded[3 * CONTENT_NAME_MAX + 1], plain[CONTENT_NAME_MAX + 1], value[4 * CONTENT_NAME_MAX + 80];
    size_t n = 0;
    for (const char *p = v->name; *p; p++)
        plain[n++] = *p < 0x20 || *p == 0x7f || *p == '"' || *p == '\\' ? '_' : *p;
    plain[n] = 0;
    if (http_encode(encoded, sizeof encoded, bytes_of(v->name, strlen(v->name))) < 0)
        return;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)plain[i] >= 0x80)
            plain[i] = '_';
    snprintf(value, sizeof value, "%s; filename=\"%s\"; filename*=UTF-8''%s",
             wants_download(v) ? "attachment" : "inline", plain, encoded);
    http_write_field(w, "Content-Disposition", value);
}

static void put_fields(const struct serving *v, char *out, size_t cap, bool whole)
{
    struct http_writer w;
    char text[96];
    http_writer_init(&w, out, cap - 1);
    if (v->etag[0])
        http_write_field(&w, "ETag", v->etag);
    if (v->mtime_s > 0)
        http_write_date(&w, "Last-Modified", (uint64_t)v->mtime_s);
    http_write_field(&w, "Accept-Ranges", "bytes");
    /* What an id names never changes; what a name names may. A cache between here and another computer has no account. */
    bool named = strncmp(v->path, "/content/", 9) != 0, near = net_addr_scope(&v->x->peer) == NET_SCOPE_LOOPBACK;
    http_write_field(&w, "Cache-Control", named ? "private, no-cache" : near ? "public, max-age=31536000, immutable" : "private, max-age=31536000, immutable");
    if (named && !v->own)
        http_write_field(&w, "Cross-Origin-Resource-Policy", "same-origin");
    http_write_field(&w, "X-Content-Type-Options", "nosniff");
    http_write_field(&w, "Vary", "Sec-Fetch-Dest");
    if (!v->own)
        http_write_field(&w, "Content-Security-Policy", "sandbox");
    if (v->name[0])
        put_disposition(v, &w);
    if (v->has_id && whole) {
        char links[WEB_DIGEST_FIELDS_MAX];
        size_t n = web_digest_fields(v->g, &v->id, links, sizeof links);
        core_assert(w.size + n <= w.cap);
        memcpy(w.data + w.size, links, n);
        w.size += n;
    }
    if (v->range_count == 1 && !v->multipart && !whole) {
        const struct http_range *r = &v->ranges[0];
        snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)r->first,
                 (unsigned long long)(r->first + r->size - 1), (unsigned long long)v->size);
        http_write_field(&w, "Content-Range", text);
    }
    core_assert(!w.overflow);
    out[w.size] = 0;
}

static size_t part_head(const struct serving *v, unsigned i, char out[PART_HEAD])
{
    const struct http_range *r = &v->ranges[i];
    return (size_t)snprintf(out, PART_HEAD,
                            "\r\n--" BOUNDARY
                            "\r\nContent-Type: %s\r\nContent-Range: bytes %llu-%llu/%llu\r\n\r\n",
                            web_mime(v->name), (unsigned long long)r->first,
                            (unsigned long long)(r->first + r->size - 1), (unsigned long long)v->size);
}

static uint64_t whole_length(const struct serving *v)
{
    char scratch[PART_HEAD];
    uint64_t n = 0;
    if (!v->multipart)
        return v->ranges[0].size;
    for (unsigned i = 0; i < v->range_count; i++)
        n += part_head(v, i, scratch) + v->ranges[i].size;
    return n + sizeof "\r\n--" BOUNDARY "--\r\n" - 1;
}

/* ---- Sending ---- */

static void send_next(struct serving *v);

static void on_sent(struct http_exchange *x)
{
    send_next(x->owner);
}

static int still_same(void *context)
{
    return content_fd_ok(((struct serving *)context)->file);
}

static void on_read(void *context, int64_t n)
{
    struct serving *v = context;
    v->call = NULL;
    if (n <= 0) {
        fail(v, n == 0 ? ERR_CHANGED : (int)n);
        return;
    }
    if (!v->begun) {
        char extra[4096];
        bool whole = v->range_count == 1 && v->ranges[0].size == v->size && v->ranges[0].first == 0 &&
                     !v->multipart && v->step == STEP_READ;
        put_fields(v, extra, sizeof extra, whole);
        v->begun = true;
        http_reply_begin(v->x, v->step == STEP_READ && whole ? 200 : 206,
                         v->multipart ? "multipart/byteranges; boundary=" BOUNDARY : web_mime(v->name), extra,
                         whole_length(v));
        if (v->multipart) { /* the first part's head goes before what was read: keep that */
            v->step = STEP_SEND;
            v->part_head_due = true;
            send_next(v);
            return;
        }
    }
    v->at += (uint64_t)n;
    v->left -= (uint64_t)n;
    http_reply_write(v->x, v->buffer, (size_t)n);
}

static void read_more(struct serving *v)
{
    if (!v->buffer)
        v->buffer = malloc(BUFFER_SIZE);
    if (!v->buffer) {
        fail(v, ERR_NO_MEMORY);
        return;
    }
    size_t size = v->left < BUFFER_SIZE ? (size_t)v->left : BUFFER_SIZE;
    v->call =
        content_read(v->file, v->at, v->buffer, size,
                     v->left - size < READ_AHEAD ? v->left - size : READ_AHEAD, deadline(v), on_read, v);
    if (!v->call)
        fail(v, ERR_NO_MEMORY);
}

static void send_next(struct serving *v)
{
    struct http_exchange *x = v->x;
    int fd = content_fd(v->file);
    if (v->part_head_due) {
        v->part_head_due = false;
        http_reply_write(x, v->part_head, part_head(v, v->range, v->part_head));
        return;
    }
    if (v->left > 0 && fd >= 0) {
        uint64_t at = v->at, left = v->left;
        v->at += left;
        v->left = 0;
        http_reply_file(x, fd, at, left, still_same, v);
        return;
    }
    if (v->left > 0) {
        read_more(v);
        return;
    }
    if (v->range + 1 < v->range_count) {
        v->range++;
        v->at = v->ranges[v->range].first;
        v->left = v->ranges[v->range].size;
        v->part_head_due = true;
        send_next(v);
        return;
    }
    if (v->last_boundary_due) {
        v->last_boundary_due = false;
        http_reply_write(x, "\r\n--" BOUNDARY "--\r\n", sizeof "\r\n--" BOUNDARY "--\r\n" - 1);
        return;
    }
    x->gone = NULL;
    x->written = NULL;
    http_reply_end(x);
    serving_free(v);
}

static void begin(struct serving *v, unsigned status)
{
    struct http_exchange *x = v->x;
    char extra[4096];
    v->at = v->ranges[0].first;
    v->left = v->ranges[0].size;
    v->part_head_due = v->last_boundary_due = v->multipart;
    x->written = on_sent;
    v->step = status == 200 ? STEP_READ : STEP_SEND;
    if (content_fd(v->file) < 0 && x->head->method != HTTP_HEAD && v->size > 0) {
        read_more(v); /* an answer begins when the first byte is here: until then it may still be a 504 */
        return;
    }
    put_fields(v, extra, sizeof extra, status == 200);
    v->begun = true;
    http_reply_begin(x, status, v->multipart ? "multipart/byteranges; boundary=" BOUNDARY : web_mime(v->name),
                     extra, whole_length(v));
    if (http_reply_wants_body(x) && v->size > 0) {
        send_next(v);
        return;
    }
    x->gone = NULL;
    x->written = NULL;
    http_reply_end(x);
    serving_free(v);
}

static void serve_file(struct serving *v)
{
    struct bytes value;
    char extra[4096];
    unsigned status = conditions(v);
    enum http_ranges r = HTTP_RANGES_IGNORE;
    if (status == 304) {
        put_fields(v, extra, sizeof extra, true);
        answer(v, 304, extra, NULL);
        return;
    }
    if (status) {
        answer(v, status, NULL, "The file is not what the request expected.");
        return;
    }
    if (v->x->head->method == HTTP_GET && field(v, "Range", &value) && range_applies(v))
        r = http_ranges_parse(value, v->size, v->ranges, &v->range_count);
    if (r == HTTP_RANGES_NONE) {
        snprintf(extra, sizeof extra, "Content-Range: bytes */%llu\r\n", (unsigned long long)v->size);
        answer(v, 416, extra, "The range asked for lies outside the file.");
        return;
    }
    v->multipart = r == HTTP_RANGES_OK && v->range_count > 1;
    if (r != HTTP_RANGES_OK) {
        v->range_count = 1;
        v->ranges[0] = (struct http_range){0, v->size};
    }
    if (v->x->head->method == HTTP_GET)
        web_transfer_begins(v->x, v->path, false);
    begin(v, r == HTTP_RANGES_OK ? 206 : 200);
}

/* ---- Directory pages ---- */

static void on_list(void *context, int status, const struct content_info *entries, uint32_t count, bool more)
{
    struct serving *v = context;
    v->call = NULL;
    if (status != 0) {
        fail(v, status);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        web_listing_entry(&v->listing, entries[i].name, entries[i].what == CONTENT_IS_FILE ? entries[i].size : UINT64_MAX);
    if (v->listing.failed) {
        fail(v, ERR_NO_MEMORY);
        return;
    }
    v->listing_from += count;
    if (more && count) {
        v->call = content_list(v->g->content, &v->who, v->path, v->has_hints ? &v->hints : NULL,
                               v->listing_from, CONTENT_LIST_MAX, deadline(v), on_list, v);
        if (!v->call)
            fail(v, ERR_NO_MEMORY);
        return;
    }
    web_listing_end(&v->listing);
    if (v->listing.failed) {
        fail(v, ERR_NO_MEMORY);
        return;
    }
    struct http_exchange *x = v->x;
    char *body = v->listing.text;
    size_t size = v->listing.size;
    v->listing.text = NULL;
    x->gone = NULL;
    http_reply(x, 200, WEB_HTML_TYPE,
               v->own ? "X-Content-Type-Options: nosniff\r\nContent-Security-Policy: " WEB_HTML_POLICY "\r\n"
                      : OURS_ALONE "X-Content-Type-Options: nosniff\r\nContent-Security-Policy: sandbox "
                        "allow-top-navigation-by-user-activation; " WEB_HTML_POLICY "\r\n",
               body, size);
    serving_free(v);
}

static void list_start(struct serving *v)
{
    v->step = STEP_LIST;
    size_t n = strlen(v->path);
    if (n && v->path[n - 1] == '/' && n > 1)
        v->path[n - 1] = 0;
    const char *shown = v->path;
    if (v->own) { /* where the id or the name is the host's */
        shown = strchr(v->path + 1, '/');
        shown = shown ? strchr(shown + 1, '/') : NULL;
    }
    web_listing_begin(&v->listing, shown ? shown : "");
    if (!v->listing.failed)
        v->call = content_list(v->g->content, &v->who, v->path, v->has_hints ? &v->hints : NULL, 0,
                               CONTENT_LIST_MAX, deadline(v), on_list, v);
    if (!v->call)
        fail(v, ERR_NO_MEMORY);
}

/* ---- Opening ---- */

static void on_open(void *context, int status, struct content_file *file, const struct content_info *info);

static void open_start(struct serving *v, const char *path)
{
    v->call = content_open(v->g->content, &v->who, path, v->has_hints ? &v->hints : NULL,
                           deadline(v), on_open, v);
    if (!v->call)
        fail(v, ERR_NO_MEMORY);
}

/* A directory's address ends with '/', so that its relative links work. */
static bool add_slash(struct serving *v)
{
    char extra[HTTP_LINE_MAX + 64];
    struct bytes raw = http_text(v->x->bytes, v->x->head->path),
                 query = http_text(v->x->bytes, v->x->head->query);
    if (raw.size && raw.data[raw.size - 1] == '/')
        return false;
    snprintf(extra, sizeof extra, "Location: %.*s/%s%.*s\r\n", (int)raw.size, (const char *)raw.data,
             query.size ? "?" : "", (int)(query.size < 4000 ? query.size : 0), (const char *)query.data);
    answer(v, 301, extra, NULL);
    return true;
}

/* "a.txt/" is no file: its relative links would lead below it. But a content that is one file is the root of its origin. */
static bool is_slash_behind_file(const struct serving *v)
{
    struct bytes raw = http_text(v->x->bytes, v->x->head->path);
    bool is_root = strncmp(v->path, "/content/", 9) == 0 && !strchr(v->path + 9, '/');
    return v->step == STEP_OPEN && raw.size && raw.data[raw.size - 1] == '/' && !is_root;
}

static void on_open(void *context, int status, struct content_file *file, const struct content_info *info)
{
    struct serving *v = context;
    v->call = NULL;
    if (status == 0 && is_slash_behind_file(v)) {
        content_close(file);
        fail(v, ERR_NOT_FOUND);
        return;
    }
    if (status == ERR_NOT_A_FILE && v->step == STEP_OPEN) {
        char index[CONTENT_PATH_MAX + 16];
        if (add_slash(v))
            return;
        v->step = STEP_INDEX;
        size_t n = strlen(v->path);
        snprintf(index, sizeof index, "%s%sindex.html", v->path, n && v->path[n - 1] == '/' ? "" : "/");
        if (strlen(index) < CONTENT_PATH_MAX)
            open_start(v, index);
        else
            fail(v, ERR_NOT_FOUND);
        return;
    }
    if (v->step == STEP_INDEX && (status == ERR_NOT_FOUND || status == ERR_NOT_A_FILE)) {
        list_start(v);
        return;
    }
    if (status != 0) {
        fail(v, status);
        return;
    }
    v->file = file;
    v->size = info->size;
    v->mtime_s = info->mtime_s;
    v->has_id = info->has_id;
    v->id = info->id;
    snprintf(v->name, sizeof v->name, "%s", info->name);
    if (v->has_id) {
        v->etag[0] = '"';
        content_id_format(v->etag + 1, &v->id);
        strcat(v->etag, "\"");
    }
    serve_file(v);
}

static void on_export(void *context, int status, const struct content_info *info)
{
    struct serving *v = context;
    v->call = NULL;
    if (status == 0 && !info->has_id)
        answer(v, 409, NULL, "This has no content id (yet): take the torrent of what is in it.");
    else if (status != 0)
        fail(v, status);
    if (status != 0 || !info->has_id)
        return;
    struct http_exchange *x = v->x;
    struct gateways *g = v->g;
    struct content_id id = info->id;
    char name[CONTENT_NAME_MAX + 1];
    snprintf(name, sizeof name, "%s", info->name);
    x->gone = NULL;
    serving_free(v);
    (void)web_export(g, x, &id, name);
}

/* Sources in the query, as a link has them; a name too. False: answered. */
static bool take_hints(struct serving *v)
{
    struct bytes query = http_text(v->x->bytes, v->x->head->query);
    struct content_id id;
    char text[LINK_TEXT_MAX], id_text[CONTENT_ID_TEXT_SIZE + 1];
    if (query.size == 0 || query.size > 1900 || strncmp(v->path, "/content/", 9) != 0)
        return true;
    snprintf(id_text, sizeof id_text, "%.63s", v->path + 9);
    if (content_id_parse(&id, id_text) != 0)
        return true; /* told when it is opened */
    snprintf(text, sizeof text, "shoal:%s?%.*s", id_text, (int)query.size, (const char *)query.data);
    v->has_hints = link_parse(&v->hints, text, NULL) == 0;
    return true;
}

static void serve(struct gateways *g, struct http_exchange *x, const struct account_who *who, const char *path,
                  bool own)
{
    struct serving *v = calloc(1, sizeof *v);
    if (!v) {
        web_error(x, 503, NULL, "out of memory");
        return;
    }
    v->g = g;
    v->x = x;
    v->own = own;
    v->who = *who;
    snprintf(v->path, sizeof v->path, "%s", path);
    size_t n = strlen(v->path);
    if (n > 1 && v->path[n - 1] == '/')
        v->path[n - 1] = 0;
    v->timeout_ms = g->content_timeout_ms;
    char seconds[8];
    if (http_query_get(http_text(x->bytes, x->head->query), "timeout", seconds, sizeof seconds) == 1 &&
        atoi(seconds) > 0 && atoi(seconds) <= TIMEOUT_MAX_S)
        v->timeout_ms = (uint32_t)atoi(seconds) * 1000;
    x->owner = v;
    x->gone = on_gone;
    if (!content_path_ok(v->path)) {
        answer(v, 400, NULL,
               "The path has a part that no file has: \".\", \"..\", or nothing between two slashes.");
        return;
    }
    take_hints(v);
    char as[16];
    if (http_query_get(http_text(x->bytes, x->head->query), "as", as, sizeof as) != 0) {
        v->call = content_resolve(g->content, &v->who, v->path, v->has_hints ? &v->hints : NULL, deadline(v), on_export, v);
        if (!v->call)
            fail(v, ERR_NO_MEMORY);
        return;
    }
    const struct content_info *info;
    struct content_file *known = content_open_known(g->content, v->path, &info);
    if (known)
        on_open(v, 0, known, info);
    else
        open_start(v, v->path);
}

void web_content(struct gateways *g, struct http_exchange *x, const struct account_who *who, const char *path)
{
    serve(g, x, who, path, false);
}

void web_content_own(struct gateways *g, struct http_exchange *x, const char *path)
{
    serve(g, x, &ACCOUNT_VISITOR, path, true);
}
