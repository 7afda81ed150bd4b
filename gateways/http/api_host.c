/* The API's frame: opening and closing, routing, errors, what all endpoints share. */
#include "gateways/http/api_host.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "gateways/http/api_internal_host.h"
#include "gateways/http/http_target.h"
#include "gateways/http/web_host.h"
#include "node/base/assert.h"

#define JSON_TYPE "application/json"

/* ---- Answers ---- */

void api_reply(struct http_exchange *x, unsigned status, json_t *body)
{
    api_reply_extra(x, status, NULL, body);
}

void api_reply_extra(struct http_exchange *x, unsigned status, const char *extra, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (!text) {
        http_reply(x, 500, JSON_TYPE, NULL, NULL, 0);
        return;
    }
    http_reply(x, status, JSON_TYPE, extra, text, strlen(text));
}

unsigned api_status_of(int code)
{
    switch (code) {
    case ERR_MALFORMED:
    case ERR_CHECKSUM:
    case ERR_VERSION:
    case ERR_RANGE:
    case ERR_NOT_A_FILE:
        return 400;
    case ERR_PERMISSION:
        return 403;
    case ERR_NOT_FOUND:
        return 404;
    case ERR_NETWORK:
    case ERR_EXISTS:
    case ERR_BUSY:
    case ERR_CHANGED:
        return 409;
    case ERR_UNSUPPORTED:
        return 501;
    case ERR_FULL:
        return 503;
    case ERR_NO_SOURCES:
    case ERR_TIMEOUT:
        return 504;
    case ERR_NO_SPACE:
    case ERR_QUOTA:
        return 507;
    default:
        return 500;
    }
}

static json_t *error_json(const char *code, const char *message)
{
    return json_pack("{s:{s:s, s:o}}", "error", "code", code, "message", api_text(message));
}

void api_error(struct http_exchange *x, int code, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    api_reply(x, api_status_of(code), error_json(err_name(code), message));
}

static void http_error(struct http_exchange *x, unsigned status, const char *extra, const char *message)
{
    json_t *body = error_json("ERR_MALFORMED", message);
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    http_reply(x, status, JSON_TYPE, extra, text, text ? strlen(text) : 0);
}

static char *server_error_body(unsigned status, const char *message)
{
    (void)status;
    json_t *body = error_json("ERR_MALFORMED", message);
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

json_t *api_text(const char *text)
{
    json_t *plain = json_string(text);
    if (plain)
        return plain;
    size_t size = strlen(text), n = 0;
    char *mended = malloc(size * 3 + 1);
    for (size_t i = 0; mended && i < size;) {
        size_t step = 0; /* bytes of the UTF-8 sequence here */
        for (size_t k = 1; k <= 4 && i + k <= size && !step; k++)
            if (http_utf8_ok(bytes_of(text + i, k)))
                step = k;
        memcpy(mended + n, step ? text + i : "\xef\xbf\xbd", step ? step : 3);
        n += step ? step : 3;
        i += step ? step : 1;
    }
    json_t *out = mended ? json_stringn(mended, n) : NULL;
    free(mended);
    return out ? out : json_null();
}

json_t *api_addr(const struct net_addr *a)
{
    char text[NET_ADDR_TEXT_MAX];
    return a->port ? json_string(net_addr_format(text, a)) : json_null();
}

json_t *api_hex(const uint8_t *data, size_t size)
{
    char text[129];
    core_assert(size <= 64);
    hex_encode(text, data, size);
    return json_string(text);
}

json_t *api_node_id(const uint8_t key[NODE_KEY_SIZE])
{
    char text[NODE_ID_TEXT_SIZE + 1];
    node_id_format(text, key);
    return json_string(text);
}

void api_put_id(json_t *o, const struct content_id *id)
{
    char text[CONTENT_ID_TEXT_SIZE + 1];
    content_id_format(text, id);
    json_object_set_new(o, "id", json_string(text));
    json_object_set_new(o, "root", api_hex(id->root, HASH_SIZE));
    json_object_set_new(o, "kind",
                        json_string(id->kind == CONTENT_FILE   ? "file"
                                    : id->kind == CONTENT_TREE ? "tree"
                                                               : "unknown"));
    json_object_set_new(o, "content_size", json_integer((json_int_t)id->size));
}

/* ---- Fields of requests ---- */

bool api_link(struct api_request *r, struct link *out)
{
    size_t where;
    char problem[512];
    const char *text = json_string_value(json_object_get(r->body, "link"));
    if (!text) {
        api_error(r->x, ERR_MALFORMED, "the body needs \"link\", a string");
        return false;
    }
    int code = link_parse(out, text, &where);
    if (code == 0 && out->id.kind > CONTENT_TREE) {
        api_error(r->x, ERR_VERSION,
                  "the link is for a kind of content that this version of shoal does not know; install a "
                  "newer one");
        return false;
    }
    if (code == 0)
        return true;
    link_problem(problem, sizeof problem, text, code, where);
    api_error(r->x, code, "%s", problem);
    return false;
}

bool api_paths(struct api_request *r, const char *field, bool needed, const char ***out, size_t *count)
{
    json_t *array = json_object_get(r->body, field), *item;
    size_t i;
    *out = NULL;
    *count = 0;
    if (!array && !needed)
        return true;
    if (!json_is_array(array) || (needed && json_array_size(array) == 0)) {
        api_error(r->x, ERR_MALFORMED, "the body needs \"%s\", an array of strings", field);
        return false;
    }
    *out = calloc(json_array_size(array) + 1, sizeof **out);
    if (!*out) {
        api_error(r->x, ERR_NO_MEMORY, "out of memory");
        return false;
    }
    json_array_foreach(array, i, item)
    {
        (*out)[i] = json_string_value(item);
        if (!(*out)[i] || !*(*out)[i] || strlen((*out)[i]) >= 4096 ||
            strlen((*out)[i]) != json_string_length(item)) {
            free(*out);
            api_error(r->x, ERR_MALFORMED, "\"%s\" has an element that is not a path of 1 to 4095 bytes",
                      field);
            return false;
        }
    }
    *count = json_array_size(array);
    return true;
}

bool api_flag(struct api_request *r, const char *field, bool *out)
{
    json_t *value = json_object_get(r->body, field);
    if (value && !json_is_boolean(value)) {
        api_error(r->x, ERR_MALFORMED, "\"%s\" is true or false", field);
        return false;
    }
    if (value)
        *out = json_is_true(value);
    return true;
}

bool api_query_number(struct api_request *r, const char *name, uint64_t max, uint64_t *value)
{
    char text[24], *end;
    int found = http_query_get(r->query, name, text, sizeof text);
    if (found == 0)
        return true;
    errno = 0;
    unsigned long long n =
        found > 0 && text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : (end = text, 0);
    if (found < 0 || *end || text[0] == 0 || errno || n > max) {
        api_error(r->x, ERR_RANGE, "\"%s\" in the query is a number from 0 to %llu", name,
                  (unsigned long long)max);
        return false;
    }
    *value = n;
    return true;
}

bool api_page(struct api_request *r, uint64_t *from, uint32_t *limit)
{
    uint64_t wanted = API_PAGE;
    *from = 0;
    if (!api_query_number(r, "from", INT64_MAX, from) || !api_query_number(r, "limit", API_PAGE_MAX, &wanted))
        return false;
    *limit = wanted ? (uint32_t)wanted : 1;
    return true;
}

/* ---- Routing ---- */

enum access {
    FOR_ALL,   /* whoever reaches the gateway */
    FOR_LOCAL, /* and is on this computer, or signed in */
    FOR_USERS, /* signed in */
    FOR_OWNER
};

static const struct endpoint {
    const char *path; /* below /api/; "/" at the end: one more segment follows */
    enum http_method method;
    enum access access;
    void (*run)(struct api_request *r);
} endpoints[] = {
    {"status", HTTP_GET, FOR_LOCAL, api_status_get},
    {"peers", HTTP_GET, FOR_OWNER, api_peers_get},
    {"invite", HTTP_GET, FOR_OWNER, api_invite_get},
    {"jobs", HTTP_GET, FOR_OWNER, api_jobs_get},
    {"invite.svg", HTTP_GET, FOR_OWNER, api_invite_svg_get},
    {"content", HTTP_GET, FOR_LOCAL, api_content_get},
    {"search", HTTP_GET, FOR_LOCAL, api_search_get},
    {"jobs/", HTTP_GET, FOR_OWNER, api_job_get},
    {"jobs/", HTTP_DELETE, FOR_OWNER, api_job_delete},
    {"shares", HTTP_GET, FOR_OWNER, api_shares_get},
    {"shares", HTTP_POST, FOR_OWNER, api_shares_post},
    {"shares", HTTP_DELETE, FOR_OWNER, api_shares_delete},
    {"get", HTTP_POST, FOR_OWNER, api_get_post},
    {"ls", HTTP_POST, FOR_OWNER, api_ls_post},
    {"find", HTTP_POST, FOR_OWNER, api_find_post},
    {"torrent", HTTP_POST, FOR_OWNER, api_torrent_post},
    {"pins", HTTP_GET, FOR_OWNER, api_pins_get},
    {"pins", HTTP_POST, FOR_OWNER, api_pins_post},
    {"pins", HTTP_DELETE, FOR_OWNER, api_pins_delete},
    {"gc", HTTP_POST, FOR_OWNER, api_gc_post},
    {"join", HTTP_POST, FOR_OWNER, api_join_post},
    {"network/rotate", HTTP_POST, FOR_OWNER, api_rotate_post},
    {"down", HTTP_POST, FOR_OWNER, api_down_post},
    {"settings", HTTP_GET, FOR_OWNER, api_settings_get},
    {"settings", HTTP_POST, FOR_OWNER, api_settings_post},
    {"events", HTTP_GET, FOR_OWNER, api_events_get},
    {"gateway/sessions", HTTP_GET, FOR_OWNER, api_gateway_sessions_get},
    {"gateway/sessions/disconnect", HTTP_POST, FOR_OWNER, api_gateway_disconnect_post},
    {"gateway/sessions/abort", HTTP_POST, FOR_OWNER, api_gateway_abort_post},
    {"gateway/sessions/message", HTTP_POST, FOR_OWNER, api_gateway_message_post},
    {"gateway/bans", HTTP_DELETE, FOR_OWNER, api_gateway_bans_delete},
    {"gateway/log", HTTP_GET, FOR_OWNER, api_gateway_log_get},
    {"session", HTTP_GET, FOR_ALL, api_session_get},
    {"signin", HTTP_POST, FOR_ALL, api_signin_post},
    {"signout", HTTP_POST, FOR_USERS, api_signout_post},
    {"open", HTTP_POST, FOR_OWNER, api_open_post},
    {"accounts", HTTP_GET, FOR_OWNER, api_accounts_get},
    {"accounts", HTTP_POST, FOR_OWNER, api_accounts_post},
    {"accounts", HTTP_DELETE, FOR_OWNER, api_accounts_delete},
    {"accounts/password", HTTP_POST, FOR_USERS, api_password_post},
    {"signins", HTTP_GET, FOR_USERS, api_signins_get},
    {"signins", HTTP_DELETE, FOR_USERS, api_signins_delete},
    {"tokens", HTTP_POST, FOR_USERS, api_tokens_post},
    {"names", HTTP_GET, FOR_OWNER, api_names_get},
    {"names", HTTP_POST, FOR_OWNER, api_names_post},
    {"names", HTTP_DELETE, FOR_OWNER, api_names_delete},
    {"name", HTTP_GET, FOR_LOCAL, api_name_get},
    {"nickname", HTTP_POST, FOR_OWNER, api_nickname_post},
    {"site", HTTP_GET, FOR_LOCAL, api_site_get},
    {"site", HTTP_POST, FOR_OWNER, api_site_post},
    {"site", HTTP_DELETE, FOR_OWNER, api_site_delete},
    {"site/keep", HTTP_POST, FOR_OWNER, api_site_keep_post},
    {"resolve", HTTP_GET, FOR_LOCAL, api_resolve_get},
    {API_UPLOAD, HTTP_POST, FOR_USERS, NULL}, /* taken in pieces, by `begin` of both servers: here for Allow alone */
};

static bool may_use(const struct endpoint *e, const struct web_caller *c)
{
    bool changes = e->method != HTTP_GET;
    if (changes && c->needs_token && e->access != FOR_ALL)
        return false;
    switch (e->access) {
    case FOR_ALL:
        return true;
    case FOR_LOCAL:
        return c->local || c->who.privilege != ACCOUNT_NOBODY;
    case FOR_USERS:
        return c->who.privilege != ACCOUNT_NOBODY;
    default:
        return c->who.privilege == ACCOUNT_OWNER;
    }
}

static void refuse(struct http_exchange *x, const struct web_caller *c)
{
    bool known = c->who.privilege != ACCOUNT_NOBODY && !c->needs_token;
    bool changes = x->head->method != HTTP_GET && x->head->method != HTTP_HEAD;
    json_t *body = error_json(
        "ERR_PERMISSION",
        known ? "only the owner of this node may do this"
        : c->tried ? "the token or the sign-in is not good (any more): sign in again"
        : changes ? "this changes something and needs " WEB_TOKEN_FIELD " (the file api.token in the home) or a sign-in (`shoal open`)"
                  : "this is for who has signed in (`shoal open`), or brings a token (the file api.token in the home)");
    api_reply_extra(x, known || (changes && c->local) ? 403 : 401,
                    known ? NULL : "WWW-Authenticate: Bearer realm=\"shoal\"\r\n", body);
}

/* The path of the request below /api/, decoded; the last segment of jobs/<id> goes to `id`. */
static bool route_path(struct http_exchange *x, char *path, size_t cap, char *id, size_t id_cap)
{
    struct bytes encoded = http_text(x->bytes, x->head->path);
    char decoded[256];
    id[0] = 0;
    if (http_decode(decoded, sizeof decoded, encoded, false) < 0 || strncmp(decoded, "/api/", 5) != 0)
        return false;
    snprintf(path, cap, "%s", decoded + 5);
    if (strncmp(path, "jobs/", 5) == 0) {
        snprintf(id, id_cap, "%.79s", path + 5);
        path[5] = 0;
    }
    return true;
}

static const struct endpoint *find_endpoint(const char *path, enum http_method method, char *allow,
                                            size_t cap)
{
    size_t n = 0;
    allow[0] = 0;
    for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++) {
        if (strcmp(endpoints[i].path, path) != 0)
            continue;
        if (endpoints[i].method == method || (method == HTTP_HEAD && endpoints[i].method == HTTP_GET))
            return &endpoints[i];
        const char *name = endpoints[i].method == HTTP_GET    ? "GET, HEAD, "
                           : endpoints[i].method == HTTP_POST ? "POST, "
                                                              : "DELETE, ";
        n += (size_t)snprintf(allow + n, cap - n, "%s%s", n ? "" : "Allow: ", name);
    }
    if (n)
        snprintf(allow + n, cap - n, "OPTIONS\r\n");
    return NULL;
}

/* An object; NULL when it was answered with an error. */
static json_t *request_body(struct http_exchange *x)
{
    struct bytes type;
    json_error_t e;
    if (x->body.size == 0)
        return json_object();
    if (http_field_get(x->head, x->bytes, "Content-Type", &type) &&
        !(type.size >= 16 && strncasecmp((const char *)type.data, JSON_TYPE, 16) == 0)) {
        http_error(x, 415, NULL, "the body must be JSON: send Content-Type: application/json");
        return NULL;
    }
    json_t *body = json_loadb((const char *)x->body.data, x->body.size, JSON_REJECT_DUPLICATES, &e);
    if (!json_is_object(body)) {
        json_decref(body);
        api_error(x, ERR_MALFORMED, "the body is not a JSON object%s%s", body ? "" : ": ",
                  body ? "" : e.text);
        return NULL;
    }
    return body;
}

void api_handle(struct gateways *g, struct http_exchange *x, const struct web_caller *caller)
{
    char path[256], allow[96];
    struct api_request r = {.g = g, .x = x, .caller = caller, .query = http_text(x->bytes, x->head->query)};
    if (x->head->method == HTTP_OTHER || x->head->method == HTTP_CONNECT || x->head->method == HTTP_TRACE) {
        http_error(x, 501, NULL, "this method is not implemented");
        return;
    }
    bool ours = route_path(x, path, sizeof path, r.id, sizeof r.id);
    const struct endpoint *e = ours ? find_endpoint(path, x->head->method, allow, sizeof allow) : NULL;
    if (ours && !e && allow[0]) {
        if (x->head->method == HTTP_OPTIONS)
            http_reply(x, 204, NULL, allow, NULL, 0);
        else
            http_error(x, 405, allow, "this method is not for this address; see Allow");
        return;
    }
    if (!e) {
        api_error(x, ERR_NOT_FOUND, "there is nothing at this address; docs/api.md lists what there is");
        return;
    }
    if (!may_use(e, caller)) {
        refuse(x, caller);
        return;
    }
    core_assert(e->run);
    r.body = request_body(x);
    if (r.body)
        e->run(&r);
    json_decref(r.body);
}

static void handle(void *owner, struct http_exchange *x)
{
    api_handle(owner, x, &WEB_CALLER_OWNER);
}

/* A form of files is stored while it arrives, however large it is. */
static void begin(void *owner, struct http_exchange *x)
{
    char path[256], id[80];
    if (x->head->method == HTTP_POST && route_path(x, path, sizeof path, id, sizeof id) && strcmp(path, API_UPLOAD) == 0)
        web_upload(owner, x, &ACCOUNT_LOCAL_OWNER, "");
}

/* ---- Opening and closing ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    gateways_release(handle->data);
}

static void on_server_closed(void *context)
{
    gateways_release(context);
}

void api_stop(struct gateways *g)
{
    struct api *a = api_of(g);
    api_waiters_stop(g);
    api_events_stop(g);
    if (a->hint_path[0])
        unlink(a->hint_path);
    uv_close((uv_handle_t *)&a->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&a->timer, on_handle_closed);
    if (a->server)
        http_server_close(a->server, on_server_closed, g);
}

void api_free(struct gateways *g)
{
    free(api_of(g)->events);
    free(api_of(g));
}

const char *api_address(const struct gateways *g)
{
    return api_of(g)->socket_path;
}

static bool write_hint(const char *hint, const char *path)
{
    char line[API_SOCKET_PATH_MAX + 1];
    int n = snprintf(line, sizeof line, "%s\n", path);
    return home_write_file(hint, bytes_of(line, (size_t)n)) == 0;
}

static int listen_unix(struct gateways *g, char *message)
{
    struct api *a = api_of(g);
    const struct http_server_config config = {
        .connections_max = 64,
        .body_max = API_BODY_MAX,
        .request_timeout_ms = 30000,
        .idle_timeout_ms = 300000,
        .handle = handle,
        .begin = begin,
        .error_body = server_error_body,
        .error_type = JSON_TYPE,
        .unix_ms = host_unix_ms,
        .owner = g,
    };
    char hint[sizeof a->hint_path];
    bool fallback;
    snprintf(hint, sizeof hint, "%s/api.path", g->app->home.path);
    unlink(hint); /* of a run that was killed */
    int r = api_socket_path(a->socket_path, g->app->home.path, &fallback);
    if (r == 0)
        r = http_server_open_unix(&a->server, &g->app->loop, &config, a->socket_path);
    if (a->server)
        gateways_hold(g);
    if (r != 0 || (fallback && !write_hint(hint, a->socket_path))) {
        snprintf(message, APP_MESSAGE_MAX,
                 "cannot open the control socket %.108s: %s; choose another home with --home DIR",
                 a->socket_path,
                 r == ERR_PERMISSION ? "its folder belongs to somebody else"
                 : r                 ? uv_strerror(r)
                                     : "cannot write api.path in the home");
        return r ? r : ERR_IO;
    }
    if (fallback)
        memcpy(a->hint_path, hint, sizeof hint);
    return 0;
}

int api_start(struct gateways *g, char *message)
{
    struct api *a = calloc(1, sizeof *a);
    if (!a)
        return ERR_NO_MEMORY;
    g->state[GATEWAY_API] = a;
    uv_prepare_init(&g->app->loop, &a->prepare);
    uv_timer_init(&g->app->loop, &a->timer);
    a->prepare.data = a->timer.data = g;
    gateways_hold(g);
    gateways_hold(g);
    int r = api_events_start(g) ? listen_unix(g, message) : ERR_NO_MEMORY;
    if (r == 0)
        api_usage_refresh(g);
    return r;
}
