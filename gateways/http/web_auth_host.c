/* Signing in: secrets of links, cookies, page tokens; and the endpoints session, signin, signout, open. */
#include "gateways/http/web_auth_host.h"
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "gateways/http/api_internal_host.h"
#include "gateways/http/web_internal_host.h"
#include "node/host/log.h"
#include "node/host/store/store.h"

#define COOKIE_NAME_SIZE 14 /* "shoal_" and 8 digits */

/* One for each node: two nodes of one computer have one host name for a browser, and would sign each other
 * out. */
static void cookie_name(const struct gateways *g, char out[COOKIE_NAME_SIZE + 1])
{
    memcpy(out, "shoal_", 6);
    hex_encode(out + 6, g->app->me.key, 4);
}

static void random_text(char *out, size_t cap, size_t bytes)
{
    uint8_t random[32];
    host_random(random, bytes);
    sodium_bin2base64(out, cap, random, bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(random, sizeof random);
}

/* What a page must show beside its cookie. Only this node can make it, so that who sees the cookie cannot. */
static void page_token(const struct gateways *g, struct bytes cookie, char out[ACCOUNT_TOKEN_SIZE + 1])
{
    uint8_t hash[32];
    crypto_generichash(hash, sizeof hash, cookie.data, cookie.size, web_of(g)->page_key, WEB_PAGE_KEY_SIZE);
    sodium_bin2base64(out, ACCOUNT_TOKEN_SIZE + 1, hash, sizeof hash,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static bool token_is(struct bytes given, const char *wanted)
{
    return given.size == ACCOUNT_TOKEN_SIZE && sodium_memcmp(given.data, wanted, ACCOUNT_TOKEN_SIZE) == 0;
}

/* ---- Who asks ---- */

/* The value of our cookie, in whatever line it stands. */
static bool cookie_of(const struct gateways *g, const struct http_exchange *x, struct bytes *out)
{
    char name[COOKIE_NAME_SIZE + 1];
    cookie_name(g, name);
    for (uint16_t i = 0; i < x->head->field_count; i++) {
        struct bytes v = http_text(x->bytes, x->head->fields[i].value);
        if (!http_text_is_nocase(http_text(x->bytes, x->head->fields[i].name), "Cookie"))
            continue;
        for (size_t at = 0, end; at < v.size; at = end + 1) {
            while (at < v.size && (v.data[at] == ' ' || v.data[at] == '\t'))
                at++;
            for (end = at; end < v.size && v.data[end] != ';';)
                end++;
            if (end - at <= COOKIE_NAME_SIZE || v.data[at + COOKIE_NAME_SIZE] != '=' ||
                memcmp(v.data + at, name, COOKIE_NAME_SIZE) != 0)
                continue;
            *out = bytes_of(v.data + at + COOKIE_NAME_SIZE + 1, end - at - COOKIE_NAME_SIZE - 1);
            return true;
        }
    }
    return false;
}

static void by_token(struct gateways *g, struct bytes token, struct web_caller *out)
{
    struct account_login login;
    out->tried = false;
    if (token_is(token, web_of(g)->token)) {
        out->who = ACCOUNT_LOCAL_OWNER;
    } else if (accounts_login_find(g->accounts, token, &login) == 0 && login.is_token) {
        out->who = login.who;
        out->login = login.row;
    } else {
        out->tried = true;
        return;
    }
    out->reader = out->who;
}

static void by_cookie(struct gateways *g, struct bytes cookie, bool has_token, struct bytes token,
                      struct web_caller *out)
{
    struct account_login login;
    char wanted[ACCOUNT_TOKEN_SIZE + 1];
    out->tried = true;
    if (accounts_login_find(g->accounts, cookie, &login) != 0 || login.is_token)
        return;
    out->reader = login.who;
    page_token(g, cookie, wanted);
    if (!has_token || !token_is(token, wanted))
        return;
    out->who = login.who;
    out->login = login.row;
    out->tried = false;
}

void web_caller_of(struct gateways *g, struct http_exchange *x, struct web_caller *out)
{
    struct bytes value, token, cookie;
    *out = (struct web_caller){.who = ACCOUNT_VISITOR, .reader = ACCOUNT_VISITOR};
    struct net_addr peer = x->peer;
    out->local = net_addr_scope(&peer) == NET_SCOPE_LOOPBACK;
    if (http_field_get(x->head, x->bytes, "Authorization", &value)) {
        if (value.size > 7 && http_text_is_nocase(bytes_of(value.data, 7), "Bearer "))
            by_token(g, bytes_of(value.data + 7, value.size - 7), out);
        else
            out->tried = true;
        return;
    }
    bool has_token = http_field_get(x->head, x->bytes, WEB_TOKEN_FIELD, &token);
    if (has_token && token_is(token, web_of(g)->token))
        by_token(g, token, out);
    else if (cookie_of(g, x, &cookie))
        by_cookie(g, cookie, has_token, token, out);
    else
        out->tried = has_token;
    if (out->who.privilege == ACCOUNT_NOBODY && out->local && web_same_user(x)) {
        out->who = out->reader = ACCOUNT_LOCAL_OWNER;
        out->needs_token = true;
    }
}

/* ---- Secrets that are good once ---- */

bool web_enter_link(struct gateways *g, char out[WEB_LINK_MAX])
{
    struct web *w = web_of(g);
    char address[NET_ADDR_TEXT_MAX];
    if (!w || !w->server)
        return false;
    struct net_addr at = w->address;
    static const uint8_t any4[16] = {[10] = 0xff, [11] = 0xff}, any6[16] = {0};
    if (memcmp(at.ip, any4, 16) == 0 || memcmp(at.ip, any6, 16) == 0)
        at = net_addr_v4(127, 0, 0, 1, at.port);
    char *secret = w->enter[w->enter_next++ % WEB_ENTER_MAX]; /* the oldest goes */
    random_text(secret, WEB_ENTER_SIZE + 1, 16);
    snprintf(out, WEB_LINK_MAX, "http://%s/#/enter/%s", net_addr_format(address, &at), secret);
    return true;
}

static bool enter_secret_used(struct web *w, const char *given)
{
    bool found = false;
    if (strlen(given) != WEB_ENTER_SIZE)
        return false;
    for (size_t i = 0; i < WEB_ENTER_MAX; i++) {
        if (!w->enter[i][0] || sodium_memcmp(w->enter[i], given, WEB_ENTER_SIZE) != 0)
            continue;
        sodium_memzero(w->enter[i], sizeof w->enter[i]);
        found = true;
    }
    return found;
}

/* ---- The endpoints ---- */

static json_t *session_json(struct gateways *g, const struct account_who *who, bool local)
{
    return json_pack("{s:o, s:s, s:i, s:b}", "user", who->name[0] ? json_string(who->name) : json_null(),
                     "privilege",
                     who->privilege == ACCOUNT_NOBODY ? "nobody" : account_privilege_name(who->privilege),
                     "accounts", (int)accounts_count(g->accounts), "local", (int)local);
}

void api_session_get(struct api_request *r)
{
    json_t *o = session_json(r->g, &r->caller->who, r->caller->local);
    json_object_set_new(o, "token", r->caller->needs_token ? json_string(web_of(r->g)->token) : json_null());
    api_reply(r->x, 200, o);
}

struct signing { /* a password is being hashed for it */
    struct gateways *g;
    struct http_exchange *x;
    struct account_call *call;
    bool local;
};

static void client_of(const struct http_exchange *x, struct account_login *login)
{
    struct bytes agent;
    char address[NET_ADDR_TEXT_MAX];
    if (http_field_get(x->head, x->bytes, "User-Agent", &agent))
        for (size_t i = 0; i < agent.size && i + 1 < sizeof login->label; i++)
            login->label[i] = agent.data[i] >= 0x20 && agent.data[i] < 0x7f ? (char)agent.data[i] : '?';
    struct net_addr peer = x->peer;
    snprintf(login->from, sizeof login->from, "%s", net_addr_format(address, &peer));
}

static void signed_in(struct gateways *g, struct http_exchange *x, const struct account_who *who, bool local)
{
    struct account_login login = {.who = *who};
    char secret[ACCOUNT_TOKEN_SIZE + 1], token[ACCOUNT_TOKEN_SIZE + 1], name[COOKIE_NAME_SIZE + 1],
        extra[256];
    int64_t row;
    client_of(x, &login);
    int r = accounts_login(g->accounts, &login, secret, &row);
    if (r != 0) {
        api_error(x, r, "signing in did not work: %s", err_text(r));
        return;
    }
    cookie_name(g, name);
    snprintf(extra, sizeof extra, "Set-Cookie: %s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict\r\n",
             name, secret, ACCOUNT_LOGIN_LIFE);
    page_token(g, bytes_of(secret, ACCOUNT_TOKEN_SIZE), token);
    json_t *o = session_json(g, who, local);
    json_object_set_new(o, "token", json_string(token));
    api_reply_extra(x, 200, extra, o);
    sodium_memzero(secret, sizeof secret);
    sodium_memzero(extra, sizeof extra);
}

static void password_checked(void *context, int status, const struct account_who *who)
{
    struct signing *s = context;
    struct http_exchange *x = s->x;
    x->gone = NULL;
    if (status == 0)
        signed_in(s->g, x, who, s->local);
    else if (status == ERR_PERMISSION)
        api_error(x, ERR_PERMISSION, "the name or the password is wrong");
    else
        api_error(x, status, "the password could not be checked: %s", err_text(status));
    free(s);
}

static void signing_gone(struct http_exchange *x)
{
    struct signing *s = x->owner;
    accounts_cancel(s->call);
    free(s);
}

void api_too_many(struct gateways *g, struct http_exchange *x)
{
    char extra[64];
    uint32_t wait = accounts_wait(g->accounts, &x->peer);
    snprintf(extra, sizeof extra, "Retry-After: %u\r\n", wait ? wait : 1);
    api_reply_extra(x, 429, extra,
                    json_pack("{s:{s:s, s:o, s:I}}", "error", "code", "ERR_BUSY", "message",
                              json_sprintf("too many attempts: try again in %u second%s", wait ? wait : 1,
                                           wait > 1 ? "s" : ""),
                              "retry_s", (json_int_t)(wait ? wait : 1)));
}

void api_signin_post(struct api_request *r)
{
    const char *name = json_string_value(json_object_get(r->body, "name")),
               *password = json_string_value(json_object_get(r->body, "password")),
               *secret = json_string_value(json_object_get(r->body, "secret"));
    if (secret) {
        core_time until;
        if (limits_attempt(sessions_limits(r->g->sessions), host_now(&r->g->app->core), &r->x->peer,
                           &until) != 0) {
            api_too_many(r->g, r->x);
        } else if (!enter_secret_used(web_of(r->g), secret)) {
            api_error(r->x, ERR_PERMISSION,
                      "this link was used already, or is of an earlier run of the node: `shoal open` makes a "
                      "new one");
        } else {
            limits_attempt_good(sessions_limits(r->g->sessions), &r->x->peer);
            signed_in(r->g, r->x, &ACCOUNT_LOCAL_OWNER, r->caller->local);
        }
        return;
    }
    if (!name || !password) {
        api_error(r->x, ERR_MALFORMED, "the body needs \"name\" and \"password\", or \"secret\"");
        return;
    }
    struct signing *s = calloc(1, sizeof *s);
    if (!s) {
        api_error(r->x, ERR_NO_MEMORY, "out of memory");
        return;
    }
    *s = (struct signing){.g = r->g, .x = r->x, .local = r->caller->local};
    int status = accounts_check(r->g->accounts, &r->x->peer, name, password, password_checked, s, &s->call);
    if (status != 0) {
        free(s);
        if (status == ERR_BUSY)
            api_too_many(r->g, r->x);
        else
            api_error(r->x, status, "the password could not be checked: %s", err_text(status));
        return;
    }
    r->x->owner = s;
    r->x->gone = signing_gone;
}

void api_signout_post(struct api_request *r)
{
    char name[COOKIE_NAME_SIZE + 1], extra[160];
    if (r->caller->login)
        (void)accounts_login_end(r->g->accounts, r->caller->login);
    cookie_name(r->g, name);
    snprintf(extra, sizeof extra, "Set-Cookie: %s=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict\r\n", name);
    api_reply_extra(r->x, 200, extra, json_object());
}

void api_open_post(struct api_request *r)
{
    char link[WEB_LINK_MAX];
    if (web_enter_link(r->g, link))
        api_reply(r->x, 200, json_pack("{s:s}", "url", link));
    else
        api_error(r->x, ERR_NOT_FOUND,
                  "the pages are off in this run: start the node with --http 127.0.0.1:8733");
}

/* ---- Beginning and end ---- */

void web_auth_start(struct gateways *g)
{
    struct web *w = web_of(g);
    char path[4200];
    size_t size;
    if (store_value_get(g->app->store, "page key", w->page_key, sizeof w->page_key, &size) != 0 ||
        size != sizeof w->page_key) {
        host_random(w->page_key, sizeof w->page_key);
        int r = store_value_put(g->app->store, "page key", bytes_of(w->page_key, sizeof w->page_key));
        if (r != 0)
            log_warning("http", "who signs in now must do so again after the next start: %s", err_text(r));
    }
    random_text(w->token, sizeof w->token, 32);
    snprintf(path, sizeof path, "%s/api.token", g->app->home.path);
    if (home_write_file(path, bytes_of(w->token, ACCOUNT_TOKEN_SIZE)) != 0)
        log_warning("http", "cannot write %s: scripts have no token in this run", path);
}

void web_auth_stop(struct gateways *g)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/api.token", g->app->home.path);
    (void)unlink(path);
}
