/* The HTTP gateway's listeners and the way of a request through them. */
#include "gateways/http/web_host.h"
#include <malloc.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "gateways/dns/dns_puny.h"
#include "gateways/http/http_range.h"
#include "gateways/http/http_target.h"
#include "gateways/http/web_internal_host.h"
#include "node/base/assert.h"
#include "node/host/log.h"
#include "node/host/names.h"

#define WEB_CONNECTIONS_MAX 30000
#define BODY_OF_STRANGERS   (16u << 10) /* gathered for who has not signed in: a name and a password [bytes] */
#define TRIM_THRESHOLD      (8 << 20) /* else each answer gives its memory back to the system and asks for it again */
#define PAGE_FIELDS                                                                                          \
    "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nX-Frame-Options: DENY\r\n"           \
    "Content-Security-Policy: default-src 'self'; img-src 'self' data: http://*.shoal.localhost:*; "         \
    "media-src 'self' "                                                                                      \
    "http://*.shoal.localhost:*; object-src 'none'; base-uri 'none'; frame-ancestors 'none'\r\n"             \
    "Cache-Control: no-cache\r\n"

/* ---- Embedded pages ---- */

const struct web_page_bytes *web_page_find(const char *name)
{
    for (const struct web_page_bytes *p = web_pages; p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p;
    return NULL;
}

void web_page(struct gateways *g, struct http_exchange *x, const struct web_page_bytes *page)
{
    char extra[1024], etag[24];
    uint8_t hash[8];
    struct bytes given;
    size_t size = (size_t)(page->end - page->begin);
    (void)g;
    crypto_generichash(hash, sizeof hash, page->begin, size, NULL, 0);
    etag[0] = '"';
    hex_encode(etag + 1, hash, sizeof hash);
    strcat(etag, "\"");
    snprintf(extra, sizeof extra, PAGE_FIELDS "ETag: %s\r\n", etag);
    if (http_field_get(x->head, x->bytes, "If-None-Match", &given) &&
        http_etag_listed(given, etag, true)) {
        http_reply(x, 304, NULL, extra, NULL, 0);
        return;
    }
    char *body = malloc(size + 1);
    if (body)
        memcpy(body, page->begin, size);
    http_reply(x, body ? 200 : 503, web_mime(page->name), extra, body, body ? size : 0);
}

/* ---- Who, and where to ---- */

static bool changes(enum http_method m)
{
    return m != HTTP_GET && m != HTTP_HEAD && m != HTTP_OPTIONS;
}

/* What Host and Origin say against a use of the API over TCP: 0, or the status to refuse with. Who it is comes after. */
static unsigned api_refused(struct http_exchange *x, const struct web_origin *o, const char **why)
{
    if (o->host != WEB_HOST_CONTROL && o->host != WEB_HOST_LOCAL) {
        *why = "the control of this node is at its numeric address only, like http://127.0.0.1:8733";
        return 403;
    }
    if (o->cross_site) {
        *why = "another site may not use the control of this node";
        return 403;
    }
    if (changes(x->head->method) && o->host != WEB_HOST_CONTROL) {
        *why = "use the node's numeric address for this, like http://127.0.0.1:8733";
        return 403;
    }
    return 0;
}

static bool is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/');
}

static bool is_content(const char *path)
{
    return is_below(path, "/shared") || is_below(path, "/content") || is_below(path, "/name") ||
           is_below(path, "/home");
}

/* The rest of the target as it came: path from `skip` on ("/" when there is none), and query. */
static void put_rest(struct http_exchange *x, size_t skip, char *out, size_t cap)
{
    struct bytes raw = http_text(x->bytes, x->head->path), query = http_text(x->bytes, x->head->query);
    bool bare = raw.size <= skip;
    snprintf(out, cap, "%.*s%s%.*s", bare ? 1 : (int)(raw.size - skip), bare ? "/" : (const char *)raw.data + skip, query.size ? "?" : "",
             (int)query.size, (const char *)query.data);
}

/* Each node's site is an origin of its own, named by the node's id: a name that is given to another node inherits no storage. */
static void to_node_origin(struct gateways *g, struct http_exchange *x, const uint8_t node[NODE_KEY_SIZE], const char *suffix, size_t skip)
{
    char extra[HTTP_LINE_MAX + 256], rest[HTTP_LINE_MAX + 64], id[NODE_ID_TEXT_SIZE + 1], port[8] = "";
    unsigned number = x->head->port ? x->head->port : 80;
    (void)g;
    node_id_format(id, node);
    put_rest(x, skip, rest, sizeof rest);
    if (number != 80)
        snprintf(port, sizeof port, ":%u", number);
    snprintf(extra, sizeof extra, "Location: http://%s%s%s%s\r\nVary: Sec-Fetch-Dest\r\nCache-Control: no-store\r\n", id, suffix, port, rest);
    http_reply(x, 307, NULL, extra, NULL, 0);
}

static bool name_refused(struct http_exchange *x, int status)
{
    switch (status) {
    case 0:
    case ERR_BUSY:
        return false;
    case ERR_CHECKSUM:
    case ERR_VERSION:
        web_error(x, 400, NULL, "The node id in this address is wrong: a character is missing or mistyped. Copy it again.");
        return true;
    case ERR_EXISTS:
        web_error(x, 404, NULL, "Two of your contacts call themselves this. Give each a name of your own: shoal name add NAME ID.");
        return true;
    default:
        web_error(x, 404, NULL,
                  "None of your contacts has this name. shoal name show NAME tells who claims it; shoal name add NAME ID makes one of them a contact.");
        return true;
    }
}

void web_origin_find(const struct gateways *g, const struct http_exchange *x, struct web_origin *out)
{
    const char *zones = g->app->config.dns_zone[0] ? g->app->config.dns_zone : "shoal.alt";
    web_origin_of(out, x->head, x->bytes, g->app->config.http_names, zones);
}

/* http://<label>.shoal.localhost: a content, a node's site, or a name, which is sent on to its node's origin. */
static void to_origin(struct gateways *g, struct http_exchange *x, const struct web_origin *o, const char *path)
{
    char whole[CONTENT_PATH_MAX + 80], name[NAME_SIZE + 4 * 64];
    struct content_id content;
    struct name_info info;
    if (x->head->method != HTTP_GET && x->head->method != HTTP_HEAD) {
        web_error(x, 405, "Allow: GET, HEAD\r\n", "this place is read only");
        return;
    }
    if (strlen(o->label) == CONTENT_ID_TEXT_SIZE && content_id_parse(&content, o->label) == 0) {
        snprintf(whole, sizeof whole, "/content/%s%s", o->label, path);
        web_content_own(g, x, whole);
        return;
    }
    if (!dns_label_to_utf8(name, sizeof name, (const uint8_t *)o->label, strlen(o->label)))
        name[0] = 0;
    if (name_refused(x, names_known(g->app->names, name, &info)))
        return;
    if (info.how != NAME_HOW_ID) {
        to_node_origin(g, x, info.node, o->suffix, 0);
        return;
    }
    snprintf(whole, sizeof whole, "/name/%s%s", o->label, path);
    web_content_own(g, x, whole);
}

/* A browser's navigation to a site by its path moves to the node's own origin, too. */
static bool moved_site(struct gateways *g, struct http_exchange *x, const struct web_origin *o, const char *path)
{
    char name[CONTENT_NAME_MAX + 1];
    struct name_info info;
    struct bytes raw = http_text(x->bytes, x->head->path);
    if (!o->navigation || !o->loopback_host || strncmp(path, "/name/", 6) != 0 || raw.size < 7 || memcmp(raw.data, "/name/", 6) != 0)
        return false;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(path + 6, "/"), path + 6);
    int status = name[0] ? names_known(g->app->names, name, &info) : ERR_NOT_FOUND;
    if (status != 0 && status != ERR_BUSY)
        return false; /* told when it is opened */
    const uint8_t *slash = memchr(raw.data + 6, '/', raw.size - 6);
    to_node_origin(g, x, info.node, ".shoal.localhost", slash ? (size_t)(slash - raw.data) : raw.size);
    return true;
}

/* A browser's navigation to content moves to an origin of the content's own. */
static bool moved(struct gateways *g, struct http_exchange *x, const struct web_origin *o, const char *path)
{
    char extra[CONTENT_PATH_MAX * 3 + 256];
    struct bytes raw = http_text(x->bytes, x->head->path), query = http_text(x->bytes, x->head->query);
    size_t skip = sizeof "/content/" - 1 + CONTENT_ID_TEXT_SIZE;
    struct content_id id;
    char text[CONTENT_ID_TEXT_SIZE + 1];
    if (!o->navigation || !o->loopback_host || strncmp(path, "/content/", 9) != 0 || raw.size < skip)
        return false;
    snprintf(text, sizeof text, "%.*s", CONTENT_ID_TEXT_SIZE, path + 9);
    if (content_id_parse(&id, text) != 0 || memcmp(raw.data, path, skip) != 0 ||
        (raw.size > skip && raw.data[skip] != '/'))
        return false;
    snprintf(extra, sizeof extra,
             "Location: http://%s.shoal.localhost:%u%.*s%s%.*s\r\nVary: Sec-Fetch-Dest\r\n", text,
             web_of(g)->address.port, (int)(raw.size - skip), (const char *)raw.data + skip,
             query.size ? "?" : "", (int)query.size, (const char *)query.data);
    if (raw.size == skip)
        snprintf(extra, sizeof extra,
                 "Location: http://%s.shoal.localhost:%u/%s%.*s\r\nVary: Sec-Fetch-Dest\r\n", text,
                 web_of(g)->address.port, query.size ? "?" : "", (int)query.size, (const char *)query.data);
    http_reply(x, 307, NULL, extra, NULL, 0);
    return true;
}

#define READ_METHODS "Allow: GET, HEAD, OPTIONS\r\n"
#define HOME_METHODS "Allow: GET, HEAD, PUT, POST, DELETE, OPTIONS\r\n"

static void refuse(struct http_exchange *x, unsigned status, const char *why)
{
    web_error(x, status, status == 401 ? "WWW-Authenticate: Bearer realm=\"shoal\"\r\n" : NULL, why);
}

/* May this request use /home, or bring an upload? 0, or the status to refuse with. */
static unsigned home_refused(struct gateways *g, struct http_exchange *x, const struct web_origin *o,
                             struct web_caller *caller, const char **why)
{
    unsigned status = api_refused(x, o, why);
    web_caller_of(g, x, caller);
    web_session_who(x, &caller->reader);
    if (status)
        return status;
    *why = caller->tried ? "the token or the sign-in is not good (any more): sign in again"
                         : "this is for who has signed in, or brings a token";
    if (!changes(x->head->method))
        return caller->reader.privilege == ACCOUNT_NOBODY ? 401 : 0;
    if (caller->who.privilege == ACCOUNT_NOBODY && !caller->local)
        return 401;
    if (caller->who.privilege != ACCOUNT_NOBODY && !caller->needs_token)
        return 0;
    *why = "this changes something: send " WEB_TOKEN_FIELD " (the file api.token in the home), a token of `shoal account token` as "
           "Authorization: Bearer, or sign in";
    return caller->tried ? 401 : 403;
}

static void to_home(struct gateways *g, struct http_exchange *x, const struct web_origin *o, const char *path)
{
    enum http_method m = x->head->method;
    struct web_caller caller;
    const char *why;
    unsigned status = m == HTTP_OPTIONS ? 0 : home_refused(g, x, o, &caller, &why);
    if (status)
        refuse(x, status, why);
    else if (m == HTTP_OPTIONS)
        http_reply(x, 204, NULL, HOME_METHODS, NULL, 0);
    else if (m == HTTP_DELETE)
        web_delete(g, x, &caller.who, path);
    else if (m == HTTP_GET || m == HTTP_HEAD)
        web_content(g, x, &caller.reader, path);
    else
        web_error(x, 405, HOME_METHODS, "this method is not for files");
}

/* Whoever is on this computer reads what is shared; from another computer it takes an account. */
static void content_for_reader(struct gateways *g, struct http_exchange *x, const char *path)
{
    struct web_caller caller;
    if (net_addr_scope(&x->peer) == NET_SCOPE_LOOPBACK) {
        web_content(g, x, &ACCOUNT_VISITOR, path);
        return;
    }
    web_caller_of(g, x, &caller);
    web_session_who(x, &caller.reader);
    if (caller.reader.privilege == ACCOUNT_NOBODY)
        refuse(x, 401, "From another computer this takes an account: sign in, or bring a token (Authorization: Bearer).");
    else
        web_content(g, x, &caller.reader, path);
}

static void to_content(struct gateways *g, struct http_exchange *x, const struct web_origin *o,
                       const char *path)
{
    enum http_method m = x->head->method;
    if (is_below(path, "/home")) {
        to_home(g, x, o, path);
    } else if (o->cross_site && !o->navigation && !is_below(path, "/content")) {
        /* Names can be guessed: another site could try them, and see by what loads what is here. An id cannot. */
        web_error(x, 403, NULL, "another site may not look at what this node shares by its name: use its id, /content/<id>");
    } else if (m != HTTP_GET && m != HTTP_HEAD) {
        if (m == HTTP_OPTIONS)
            http_reply(x, 204, NULL, READ_METHODS, NULL, 0);
        else
            web_error(x, 405, READ_METHODS, "this place is read only");
    } else if (!moved(g, x, o, path) && !moved_site(g, x, o, path)) {
        content_for_reader(g, x, path);
    }
}

static void to_metrics(struct gateways *g, struct http_exchange *x, const struct web_origin *o)
{
    struct web_caller caller;
    const char *why;
    unsigned status = api_refused(x, o, &why);
    if (!status) {
        web_caller_of(g, x, &caller);
        why = "from another computer, /metrics is for who brings a token: Authorization: Bearer TOKEN";
        status = caller.local || caller.who.privilege != ACCOUNT_NOBODY ? 0 : 401;
    }
    if (status)
        refuse(x, status, why);
    else if (x->head->method != HTTP_GET && x->head->method != HTTP_HEAD)
        web_error(x, 405, READ_METHODS, "these are numbers: they can only be read");
    else
        web_metrics(g, x);
}

static void to_page(struct gateways *g, struct http_exchange *x, const struct web_origin *o, const char *path)
{
    const struct web_page_bytes *page = web_page_find(strcmp(path, "/") == 0 ? "index.html" : path + 1);
    char extra[160];
    if (!page) {
        web_error(x, 404, NULL, "There is nothing at this address.");
        return;
    }
    if (x->head->method != HTTP_GET && x->head->method != HTTP_HEAD) {
        web_error(x, 405, READ_METHODS, "this is a page: it can only be read");
    } else if (o->host == WEB_HOST_LOCAL && o->navigation) {
        snprintf(extra, sizeof extra, "Location: http://127.0.0.1:%u%.100s\r\n", web_of(g)->address.port, path);
        http_reply(x, 307, NULL, extra, NULL, 0);
    } else {
        web_page(g, x, page);
    }
}

/* http://shoal.alt/ is what people type first: the start page of this node, at its own address. False: there is none the asker could reach. */
static bool zone_moved(struct gateways *g, struct http_exchange *x)
{
    struct net_addr to = web_of(g)->address;
    char text[NET_ADDR_TEXT_MAX], extra[NET_ADDR_TEXT_MAX + 40];
    bool near = net_addr_scope(&x->peer) == NET_SCOPE_LOOPBACK;
    if (x->head->method != HTTP_GET && x->head->method != HTTP_HEAD)
        return false;
    if (near)
        snprintf(text, sizeof text, "127.0.0.1:%u", to.port);
    else if (net_addr_scope(&to) == NET_SCOPE_INVALID || net_addr_scope(&to) == NET_SCOPE_LOOPBACK)
        return false;
    else
        net_addr_format(text, &to);
    snprintf(extra, sizeof extra, "Location: http://%s/\r\n", text);
    http_reply(x, 307, NULL, extra, NULL, 0);
    return true;
}

static bool path_of(struct http_exchange *x, char path[CONTENT_PATH_MAX])
{
    struct bytes raw = http_text(x->bytes, x->head->path);
    return http_decode(path, CONTENT_PATH_MAX, raw.size ? raw : bytes_of("/", 1), false) >= 0;
}

static void handle(void *owner, struct http_exchange *x)
{
    struct gateways *g = owner;
    struct web_origin o;
    struct web_caller caller;
    char path[CONTENT_PATH_MAX];
    const char *why;
    web_origin_find(g, x, &o);
    if (o.host == WEB_HOST_ZONE && zone_moved(g, x))
        return;
    if (o.host == WEB_HOST_BAD || o.host == WEB_HOST_ZONE) {
        web_error(
            x, 421, NULL,
            "This node does not answer to that name. Use its numeric address, like http://127.0.0.1:8733, or list the name in its shoal.ini under [http] names.");
        return;
    }
    if (x->head->method == HTTP_OTHER || x->head->method == HTTP_CONNECT || x->head->method == HTTP_TRACE) {
        web_error(x, 501, NULL, "this method is not implemented");
        return;
    }
    if (x->head->form == HTTP_ASTERISK) {
        http_reply(x, 204, NULL, "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS\r\n", NULL, 0);
        return;
    }
    if (!path_of(x, path)) {
        web_error(x, 400, NULL,
                  "The path is not one: bad percent-encoding, control characters, or too long.");
        return;
    }
    if (o.host == WEB_HOST_CONTENT) {
        to_origin(g, x, &o, path);
        return;
    }
    if (web_seed_pad(x, path))
        return;
    if (is_content(path) || web_seed_path(path, sizeof path)) {
        to_content(g, x, &o, path);
    } else if (is_below(path, "/api")) {
        unsigned status = api_refused(x, &o, &why);
        web_caller_of(g, x, &caller);
        web_session_who(x, &caller.reader);
        if (status)
            refuse(x, status, why);
        else
            api_handle(g, x, &caller);
    } else if (x->head->method == HTTP_OPTIONS) {
        http_reply(x, 204, NULL, READ_METHODS, NULL, 0);
    } else if (strcmp(path, "/metrics") == 0) {
        to_metrics(g, x, &o);
    } else {
        to_page(g, x, &o, path);
    }
}

/* A body is about to come. What takes it in pieces, and who must not send it at all, is told now. */
static void begin(void *owner, struct http_exchange *x)
{
    struct gateways *g = owner;
    struct web_origin o;
    char path[CONTENT_PATH_MAX];
    const char *why;
    enum http_method m = x->head->method;
    struct web_caller caller;
    web_request_begins(x);
    if ((m != HTTP_PUT && m != HTTP_POST) || x->head->form == HTTP_ASTERISK ||
        !path_of(x, path))
        return;
    web_origin_find(g, x, &o);
    bool upload = m == HTTP_POST && strcmp(path, "/api/" API_UPLOAD) == 0;
    if (is_below(path, "/api") && !upload && (x->head->chunked || x->head->length > BODY_OF_STRANGERS)) {
        web_caller_of(g, x, &caller);
        if (caller.who.privilege == ACCOUNT_NOBODY)
            refuse(x, 401, "this takes a sign-in or a token, and so does a body of this size");
        return;
    }
    if (o.host == WEB_HOST_BAD || o.host == WEB_HOST_ZONE || o.host == WEB_HOST_CONTENT || (!is_content(path) && !upload))
        return; /* `handle` says so */
    if (!upload && !is_below(path, "/home")) {
        web_error(x, 405, READ_METHODS, "this place is read only: only /home/ is not");
        return;
    }
    unsigned status = home_refused(g, x, &o, &caller, &why);
    if (status)
        refuse(x, status, why);
    else
        web_upload(g, x, &caller.who, upload ? "" : path);
}

/* ---- Opening and closing ---- */

const char *web_address(const struct gateways *g)
{
    return web_of(g)->server ? web_of(g)->text : NULL;
}

static void on_closed(void *context)
{
    gateways_release(context);
}

void web_stop(struct gateways *g)
{
    struct web *w = web_of(g);
    web_auth_stop(g);
    if (w->server)
        http_server_close(w->server, on_closed, g);
    if (w->echo)
        http_server_close(w->echo, on_closed, g);
    w->server = w->echo = NULL;
}

void web_free(struct gateways *g)
{
    free(web_of(g));
}

static int web_listen(struct gateways *g, char *message)
{
    const char *wanted = g->app->config.http;
    struct web *w = web_of(g);
    char setting[96];
    const struct http_server_config config = {
        .connections_max = WEB_CONNECTIONS_MAX,
        .body_max = WEB_BODY_MAX,
        .request_timeout_ms = 15000,
        .idle_timeout_ms = 75000,
        .write_timeout_ms = 60000,
        .handle = handle,
        .begin = begin,
        .opened = web_opened,
        .ended = web_ended,
        .moved = web_moved,
        .answered = web_answered,
        .error_body = web_error_plain,
        .error_type = "text/plain; charset=utf-8",
        .unix_ms = host_unix_ms,
        .owner = g,
    };
    w->address = net_addr_v4(127, 0, 0, 1, WEB_PORT);
    if (wanted[0] && net_addr_parse(&w->address, wanted) != 0) {
        snprintf(message, APP_MESSAGE_MAX,
                 "http address \"%s\" is not ADDRESS:PORT, like 127.0.0.1:8733, or off", wanted);
        return ERR_MALFORMED;
    }
    snprintf(setting, sizeof setting, "http on %s", wanted);
    int r = gateways_may_listen(g, &w->address, setting, message);
    if (r != 0)
        return r;
    r = http_server_open_tcp(&w->server, &g->app->loop, &config, &w->address);
    if (r == UV_EADDRINUSE && !wanted[0]) {
        w->address.port = 0;
        r = http_server_open_tcp(&w->server, &g->app->loop, &config, &w->address);
    }
    if (r == 0)
        return 0;
    snprintf(
        message, APP_MESSAGE_MAX,
        "cannot listen on %s for http: %s; name another address with --http ADDRESS:PORT, or leave it out",
        wanted[0] ? wanted : "127.0.0.1",
        r == UV_EADDRINUSE ? "another program uses this port" : uv_strerror(r));
    return ERR_BUSY;
}

int web_start(struct gateways *g, char *message)
{
    struct web *w = calloc(1, sizeof *w);
    int r = 0;
    if (!w)
        return ERR_NO_MEMORY;
    g->state[GATEWAY_HTTP] = w;
    web_auth_start(g);
    mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD);
    if (strcmp(g->app->config.http, "off") != 0)
        r = web_listen(g, message);
    if (w->server) {
        gateways_hold(g);
        net_addr_format(w->text, &w->address);
    }
    if (r == 0 && g->app->config.http_echo[0] && strcmp(g->app->config.http_echo, "off") != 0)
        r = web_echo_listen(g, message);
    if (w->echo)
        gateways_hold(g);
    return r;
}
