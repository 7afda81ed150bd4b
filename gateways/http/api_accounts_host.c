/* Accounts, logins and tokens over the API. The owner sees and changes all; others their own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateways/http/api_internal_host.h"

/* The account a request is about: "name" of the body or, for the owner of the Unix socket, nothing. False: it
 * was answered. */
static const char *text_field(struct api_request *r, const char *field)
{
    json_t *value = json_object_get(r->body, field);
    const char *text = json_string_value(value);
    if (text && strlen(text) == json_string_length(value))
        return text;
    api_error(r->x, ERR_MALFORMED, "the body needs \"%s\", a string", field);
    return NULL;
}

static bool is_owner(const struct api_request *r)
{
    return r->caller->who.privilege == ACCOUNT_OWNER;
}

static bool is_own(const struct api_request *r, const char *name)
{
    char folded[ACCOUNT_NAME_MAX];
    return account_name_fold(folded, name, NULL) && strcmp(folded, r->caller->who.name) == 0;
}

/* ---- Accounts ---- */

static bool put_account(void *context, const struct account_who *who, int64_t added_s, int64_t last_s)
{
    json_array_append_new(context,
                          json_pack("{s:s, s:s, s:I, s:o}", "name", who->name, "privilege",
                                    account_privilege_name(who->privilege), "added", (json_int_t)added_s,
                                    "last", last_s ? json_integer(last_s) : json_null()));
    return true;
}

void api_accounts_get(struct api_request *r)
{
    json_t *list = json_array();
    int status = accounts_each(r->g->accounts, put_account, list);
    if (status != 0) {
        json_decref(list);
        api_error(r->x, status, "the accounts cannot be read: %s", err_text(status));
        return;
    }
    api_reply(r->x, 200, json_pack("{s:o}", "accounts", list));
}

struct hashing { /* a request that waits for a hash */
    struct http_exchange *x;
    struct account_call *call;
    bool added;
};

static void hashed(void *context, int status, const struct account_who *who)
{
    struct hashing *h = context;
    struct http_exchange *x = h->x;
    x->gone = NULL;
    if (status == 0)
        api_reply(
            x, h->added ? 201 : 200,
            json_pack("{s:s, s:s}", "name", who->name, "privilege", account_privilege_name(who->privilege)));
    else
        api_error(x, status,
                  h->added ? "the account could not be added: %s" : "the password could not be changed: %s",
                  err_text(status));
    free(h);
}

static void hashing_gone(struct http_exchange *x)
{
    struct hashing *h = x->owner;
    accounts_cancel(h->call);
    free(h);
}

static struct hashing *hashing_new(struct api_request *r)
{
    struct hashing *h = calloc(1, sizeof *h);
    if (!h)
        api_error(r->x, ERR_NO_MEMORY, "out of memory");
    else
        h->x = r->x;
    return h;
}

static void hashing_begun(struct api_request *r, struct hashing *h, int status, const char *message)
{
    if (status == 0) {
        r->x->owner = h;
        r->x->gone = hashing_gone;
        return;
    }
    free(h);
    api_error(r->x, status, "%s", message);
}

void api_accounts_post(struct api_request *r)
{
    char message[APP_MESSAGE_MAX];
    const char *name = text_field(r, "name"), *password = name ? text_field(r, "password") : NULL;
    const char *privilege = json_string_value(json_object_get(r->body, "privilege"));
    enum account_privilege p = privilege && strcmp(privilege, "owner") == 0 ? ACCOUNT_OWNER : ACCOUNT_USER;
    if (!password)
        return;
    if (privilege && strcmp(privilege, account_privilege_name(p)) != 0) {
        api_error(r->x, ERR_MALFORMED, "\"privilege\" is \"user\" or \"owner\"");
        return;
    }
    struct hashing *h = hashing_new(r);
    if (!h)
        return;
    h->added = true;
    int status = accounts_add(r->g->accounts, name, password, p, hashed, h, &h->call, message);
    hashing_begun(r, h, status, message);
}

/* One's own takes the old password as well, so that a page left open is not enough. */
struct changing {
    struct gateways *g;
    struct http_exchange *x;
    struct account_call *call;
    int64_t login;
    char name[ACCOUNT_NAME_MAX];
    char password[ACCOUNT_SECRET_MAX + 1];
};

static void changing_end(struct changing *c)
{
    memset(c->password, 0, sizeof c->password);
    free(c);
}

static void changing_gone(struct http_exchange *x)
{
    struct changing *c = x->owner;
    accounts_cancel(c->call);
    changing_end(c);
}

static void old_checked(void *context, int status, const struct account_who *who)
{
    struct changing *c = context;
    struct http_exchange *x = c->x;
    char message[APP_MESSAGE_MAX];
    (void)who;
    x->gone = NULL;
    struct hashing *h = status == 0 ? calloc(1, sizeof *h) : NULL;
    if (!h) {
        api_error(x, status ? status : ERR_NO_MEMORY, "%s",
                  status == ERR_PERMISSION ? "the old password is wrong" : err_text(status));
        changing_end(c);
        return;
    }
    h->x = x;
    status =
        accounts_set_password(c->g->accounts, c->name, c->password, c->login, hashed, h, &h->call, message);
    changing_end(c);
    if (status != 0) {
        free(h);
        api_error(x, status, "%s", message);
        return;
    }
    x->owner = h;
    x->gone = hashing_gone;
}

static void change_own(struct api_request *r, const char *name, const char *password, const char *old)
{
    struct changing *c = calloc(1, sizeof *c);
    if (!c) {
        api_error(r->x, ERR_NO_MEMORY, "out of memory");
        return;
    }
    c->g = r->g;
    c->x = r->x;
    c->login = r->caller->login;
    snprintf(c->name, sizeof c->name, "%s", name);
    snprintf(c->password, sizeof c->password, "%s", password);
    int status = accounts_check(r->g->accounts, &r->x->peer, name, old, old_checked, c, &c->call);
    if (status != 0) {
        changing_end(c);
        if (status == ERR_BUSY)
            api_too_many(r->g, r->x);
        else
            api_error(r->x, status, "the password could not be checked: %s", err_text(status));
        return;
    }
    r->x->owner = c;
    r->x->gone = changing_gone;
}

void api_password_post(struct api_request *r)
{
    char message[APP_MESSAGE_MAX];
    const char *name = text_field(r, "name"), *password = name ? text_field(r, "password") : NULL;
    if (!password)
        return;
    if (!is_owner(r) && !is_own(r, name)) {
        api_error(r->x, ERR_PERMISSION, "only the owner of this node changes other people's passwords");
        return;
    }
    if (is_own(r, name)) {
        const char *old = text_field(r, "old");
        if (old)
            change_own(r, name, password, old);
        return;
    }
    struct hashing *h = hashing_new(r);
    if (!h)
        return;
    int status = accounts_set_password(r->g->accounts, name, password, 0, hashed, h, &h->call, message);
    hashing_begun(r, h, status, message);
}

void api_accounts_delete(struct api_request *r)
{
    const char *name = text_field(r, "name");
    char folded[ACCOUNT_NAME_MAX];
    if (!name)
        return;
    int status = accounts_remove(r->g->accounts, name);
    if (status != 0) {
        api_error(r->x, status, "there is no account %.60s; `shoal account list` shows those there are",
                  name);
        return;
    }
    api_reply(r->x, 200, json_object());
    account_name_fold(folded, name, NULL);
    sessions_end_account(r->g->sessions, folded);
}

/* ---- Logins and tokens ---- */

struct listing {
    json_t *list;
    int64_t current;
    int64_t wanted; /* of one row: */
    struct account_login found;
};

static bool put_login(void *context, const struct account_login *l)
{
    struct listing *out = context;
    json_array_append_new(
        out->list,
        json_pack("{s:I, s:o, s:s, s:o, s:o, s:I, s:I, s:o, s:b, s:b}", "id", (json_int_t)l->row, "user",
                  l->who.name[0] ? json_string(l->who.name) : json_null(), "privilege",
                  account_privilege_name(l->who.privilege), "label", api_text(l->label), "from",
                  api_text(l->from), "since", (json_int_t)l->since_s, "last", (json_int_t)l->last_s,
                  "expires", l->expires_s ? json_integer(l->expires_s) : json_null(), "token",
                  (int)l->is_token, "current", (int)(l->row == out->current)));
    return true;
}

void api_signins_get(struct api_request *r)
{
    struct listing out = {.list = json_array(), .current = r->caller->login};
    int status = accounts_logins(r->g->accounts, is_owner(r) ? NULL : r->caller->who.name, put_login, &out);
    if (status != 0) {
        json_decref(out.list);
        api_error(r->x, status, "the list cannot be read: %s", err_text(status));
        return;
    }
    api_reply(r->x, 200, json_pack("{s:o}", "signins", out.list));
}

static bool find_login(void *context, const struct account_login *l)
{
    struct listing *out = context;
    if (l->row != out->wanted)
        return true;
    out->found = *l;
    return false;
}

void api_signins_delete(struct api_request *r)
{
    json_t *id = json_object_get(r->body, "id");
    struct listing out = {.wanted = json_integer_value(id)};
    if (!json_is_integer(id)) {
        api_error(r->x, ERR_MALFORMED, "the body needs \"id\", a number of GET /api/signins");
        return;
    }
    int status = accounts_logins(r->g->accounts, is_owner(r) ? NULL : r->caller->who.name, find_login, &out);
    if (status == 0 && !out.found.row)
        status = ERR_NOT_FOUND;
    if (status == 0)
        status = accounts_login_end(r->g->accounts, out.wanted);
    if (status == 0)
        api_reply(r->x, 200, json_object());
    else
        api_error(r->x, status, "there is no sign-in %lld (any more)", (long long)out.wanted);
}

void api_tokens_post(struct api_request *r)
{
    struct account_login l = {.is_token = true};
    char secret[ACCOUNT_TOKEN_SIZE + 1], address[NET_ADDR_TEXT_MAX];
    const char *name = json_string_value(json_object_get(r->body, "name")),
               *label = json_string_value(json_object_get(r->body, "label"));
    if (!name)
        name = r->caller->who.name;
    if (!is_owner(r) && !is_own(r, name)) {
        api_error(r->x, ERR_PERMISSION, "only the owner of this node makes tokens for other accounts");
        return;
    }
    if (!name[0] || accounts_find(r->g->accounts, name, &l.who) != 0) {
        api_error(r->x, name[0] ? ERR_NOT_FOUND : ERR_MALFORMED,
                  name[0] ? "there is no account %.60s; `shoal account add` makes one"
                          : "the body needs \"name\", the account that the token is for%.0s",
                  name);
        return;
    }
    snprintf(l.label, sizeof l.label, "%s", label ? label : "script");
    struct net_addr peer = r->x->peer;
    snprintf(l.from, sizeof l.from, "%s", peer.port ? net_addr_format(address, &peer) : "this computer");
    int status = accounts_login(r->g->accounts, &l, secret, &l.row);
    if (status == ERR_FULL)
        api_error(r->x, status, "%s has 64 tokens already: revoke some (`shoal account logins %s`)",
                  l.who.name, l.who.name);
    else if (status != 0)
        api_error(r->x, status, "the token could not be made: %s", err_text(status));
    else
        api_reply(r->x, 201,
                  json_pack("{s:s, s:I, s:s, s:o}", "token", secret, "id", (json_int_t)l.row, "name",
                            l.who.name, "label", api_text(l.label)));
}
