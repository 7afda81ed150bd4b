/* Accounts: names, passwords hashed one at a time in the thread pool, and who may try how often. Logins are
 * in accounts_login_host.c. */
#include "gateways/accounts_host.h"
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateways/accounts_internal_host.h"
#include "node/base/assert.h"

#define HASH_PASSES  2u
#define HASH_MEMORY  (19u << 20)
#define WAITING_MAX  32u
#define PASSWORD_MIN 8u
/* Of the same price as a real one: what a name that nobody has is checked against. No password is known for
 * it. */
#define NOBODYS_HASH                                                                                         \
    "$argon2id$v=19$m=19456,t=2,p=1$c2hvYWwgc2hvYWwgc2hvYQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

enum task { TASK_ADD, TASK_PASSWORD, TASK_CHECK };

struct account_call {
    struct accounts *a;
    struct account_call *next;
    enum task task;
    int status;
    struct account_who who;
    bool known; /* of a check: there is such an account */
    char *secret;
    char hash[crypto_pwhash_STRBYTES];
    struct net_addr from;
    int64_t except;
    account_cb done; /* NULL: cancelled */
    void *context;
    uv_work_t work;
};

struct accounts *accounts_new(struct app *app, struct limits *limits)
{
    struct accounts *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->app = app;
    a->limits = limits;
    return a;
}

void accounts_free(struct accounts *a)
{
    if (!a)
        return;
    core_assert(!a->first);
    sodium_memzero(a->known, sizeof a->known);
    free(a);
}

/* ---- Names ---- */

bool account_name_fold(char out[ACCOUNT_NAME_MAX], const char *name, char *message)
{
    char ignored[APP_MESSAGE_MAX];
    size_t n = 0;
    if (!message)
        message = ignored;
    for (; name[n] && n < ACCOUNT_NAME_MAX - 1; n++) {
        char c = name[n];
        out[n] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
        bool letter = (out[n] >= 'a' && out[n] <= 'z') || (out[n] >= '0' && out[n] <= '9');
        if (letter || (n && (c == '.' || c == '_' || c == '-')))
            continue;
        snprintf(
            message, APP_MESSAGE_MAX,
            "an account's name has letters a-z, digits, '.', '_' and '-', and begins with a letter or digit; "
            "character %zu is not one",
            n + 1);
        return false;
    }
    out[n] = 0;
    if (n && !name[n])
        return true;
    snprintf(message, APP_MESSAGE_MAX, "an account's name has 1 to %d characters", ACCOUNT_NAME_MAX - 1);
    return false;
}

const char *account_privilege_name(enum account_privilege p)
{
    return p == ACCOUNT_OWNER ? "owner" : p == ACCOUNT_USER ? "user" : "visitor";
}

uint32_t accounts_count(struct accounts *a)
{
    uint32_t all, owners;
    return store_account_count(a->app->store, ACCOUNT_OWNER, &all, &owners) == 0 ? all : 0;
}

struct found {
    struct account_who *who;
    char *hash; /* crypto_pwhash_STRBYTES; may be NULL */
};

void account_who_of(struct account_who *who, const char *name, int privilege)
{
    *who = ACCOUNT_VISITOR;
    snprintf(who->name, sizeof who->name, "%s", name ? name : "");
    if (privilege == ACCOUNT_USER || privilege == ACCOUNT_OWNER)
        who->privilege = (enum account_privilege)privilege;
}

static bool found_one(void *context, const struct store_account *row)
{
    struct found *f = context;
    account_who_of(f->who, row->name, row->privilege);
    if (f->hash)
        snprintf(f->hash, crypto_pwhash_STRBYTES, "%s", row->hash);
    return true;
}

static int find(struct accounts *a, const char *folded, struct account_who *who, char *hash)
{
    struct found f = {who, hash};
    return store_account_find(a->app->store, folded, found_one, &f);
}

int accounts_find(struct accounts *a, const char *name, struct account_who *out)
{
    char folded[ACCOUNT_NAME_MAX];
    return account_name_fold(folded, name, NULL) ? find(a, folded, out, NULL) : ERR_NOT_FOUND;
}

struct each {
    bool (*each)(void *context, const struct account_who *who, int64_t added_s, int64_t last_s);
    void *context;
};

static bool each_one(void *context, const struct store_account *row)
{
    struct each *e = context;
    struct account_who who;
    account_who_of(&who, row->name, row->privilege);
    return e->each(e->context, &who, row->added_s, row->last_s);
}

int accounts_each(struct accounts *a,
                  bool (*each)(void *context, const struct account_who *who, int64_t added_s, int64_t last_s),
                  void *context)
{
    struct each e = {each, context};
    return store_accounts(a->app->store, each_one, &e);
}

int accounts_remove(struct accounts *a, const char *name)
{
    char folded[ACCOUNT_NAME_MAX];
    if (!account_name_fold(folded, name, NULL))
        return ERR_NOT_FOUND;
    accounts_forget_known(a);
    return store_account_remove(a->app->store, folded);
}

/* ---- Calls: one hash at a time ---- */

static void call_free(struct account_call *c)
{
    sodium_free(c->secret); /* wipes it */
    sodium_memzero(c->hash, sizeof c->hash);
    free(c);
}

/* In the thread pool. */
static void hash_work(uv_work_t *work)
{
    struct account_call *c = work->data;
    size_t size = strlen(c->secret);
    if (c->task == TASK_CHECK)
        c->status = crypto_pwhash_str_verify(c->hash, c->secret, size) == 0 && c->known ? 0 : ERR_PERMISSION;
    else
        c->status = crypto_pwhash_str_alg(c->hash, c->secret, size, HASH_PASSES, HASH_MEMORY,
                                          crypto_pwhash_ALG_ARGON2ID13) == 0
                        ? 0
                        : ERR_NO_MEMORY;
}

static int apply(struct accounts *a, struct account_call *c)
{
    int64_t now_s = (int64_t)(host_unix_ms() / 1000);
    const struct store_account row = {
        .name = c->who.name, .hash = c->hash, .privilege = c->who.privilege, .added_s = now_s};
    int r;
    switch (c->task) {
    case TASK_ADD:
        return store_account_add(a->app->store, &row);
    case TASK_PASSWORD:
        r = store_account_hash(a->app->store, c->who.name, c->hash);
        accounts_forget_known(a);
        return r ? r : store_logins_remove(a->app->store, c->who.name, false, c->except);
    default:
        if (c->from.port)
            limits_attempt_good(a->limits, &c->from);
        /* It may have been removed while its password was hashed. */
        return store_account_used(a->app->store, c->who.name, now_s) == ERR_NOT_FOUND ? ERR_PERMISSION : 0;
    }
}

static void run_next(struct accounts *a);

static void hash_done(uv_work_t *work, int status)
{
    struct account_call *c = work->data;
    struct accounts *a = c->a;
    if (status != 0 || a->stopping)
        c->status = ERR_CANCELLED;
    else if (c->status == 0)
        c->status = apply(a, c);
    a->first = c->next;
    a->waiting--;
    a->running = false;
    if (c->done)
        c->done(c->context, c->status, &c->who);
    call_free(c);
    run_next(a);
}

static void run_next(struct accounts *a)
{
    while (a->stopping && a->first && !a->running) {
        struct account_call *c = a->first;
        a->first = c->next;
        a->waiting--;
        if (c->done)
            c->done(c->context, ERR_CANCELLED, &c->who);
        call_free(c);
    }
    if (a->stopping && !a->first && a->stopped) {
        void (*stopped)(void *context) = a->stopped;
        a->stopped = NULL;
        stopped(a->stopped_context);
        return;
    }
    if (!a->first || a->running)
        return;
    a->running = true;
    a->first->work.data = a->first;
    int r = uv_queue_work(&a->app->loop, &a->first->work, hash_work, hash_done);
    core_assert(r == 0); /* it only refuses a missing function */
}

void accounts_stop(struct accounts *a, void (*stopped)(void *context), void *context)
{
    a->stopping = true;
    a->stopped = stopped;
    a->stopped_context = context;
    run_next(a);
}

void accounts_cancel(struct account_call *call)
{
    call->done = NULL;
}

static int begin(struct accounts *a, enum task task, const struct account_who *who, const char *password,
                 account_cb done, void *context, struct account_call **out)
{
    if (a->stopping)
        return ERR_CANCELLED;
    if (a->waiting >= WAITING_MAX)
        return ERR_BUSY;
    struct account_call *c = calloc(1, sizeof *c), **at = &a->first;
    size_t size = strnlen(password, ACCOUNT_SECRET_MAX - 1);
    if (c)
        c->secret = sodium_malloc(size + 1);
    if (!c || !c->secret) {
        free(c);
        return ERR_NO_MEMORY;
    }
    memcpy(c->secret, password, size);
    c->secret[size] = 0;
    c->a = a;
    c->task = task;
    c->who = *who;
    c->done = done;
    c->context = context;
    while (*at)
        at = &(*at)->next;
    *at = c;
    a->waiting++;
    if (out)
        *out = c;
    return 0;
}

static bool password_ok(const char *password, char *message)
{
    size_t size = strlen(password);
    bool control = false;
    for (size_t i = 0; i < size; i++)
        control = control || (uint8_t)password[i] < 0x20 || password[i] == 0x7f;
    if (size >= PASSWORD_MIN && size < ACCOUNT_SECRET_MAX && !control)
        return true;
    snprintf(message, APP_MESSAGE_MAX, "a password has %u to %d bytes%s", PASSWORD_MIN,
             ACCOUNT_SECRET_MAX - 1,
             control               ? " and no control characters"
             : size < PASSWORD_MIN ? "; this one is too short"
                                   : "; this one is too long");
    return false;
}

int accounts_add(struct accounts *a, const char *name, const char *password, enum account_privilege privilege,
                 account_cb done, void *context, struct account_call **call, char *message)
{
    struct account_who who = {.privilege = privilege}, there;
    snprintf(message, APP_MESSAGE_MAX, "the account cannot be added now; try again in a moment");
    if (!account_name_fold(who.name, name, message) || !password_ok(password, message))
        return ERR_MALFORMED;
    if (find(a, who.name, &there, NULL) == 0) {
        snprintf(message, APP_MESSAGE_MAX,
                 "there is an account %s already; `shoal account password %s` changes its password", who.name,
                 who.name);
        return ERR_EXISTS;
    }
    int r = begin(a, TASK_ADD, &who, password, done, context, call);
    run_next(a);
    return r;
}

int accounts_set_password(struct accounts *a, const char *name, const char *password, int64_t except,
                          account_cb done, void *context, struct account_call **call, char *message)
{
    struct account_who who;
    struct account_call *c;
    snprintf(message, APP_MESSAGE_MAX, "the password cannot be changed now; try again in a moment");
    if (accounts_find(a, name, &who) != 0) {
        snprintf(message, APP_MESSAGE_MAX,
                 "there is no account %.60s; `shoal account list` shows those there are", name);
        return ERR_NOT_FOUND;
    }
    if (!password_ok(password, message))
        return ERR_MALFORMED;
    int r = begin(a, TASK_PASSWORD, &who, password, done, context, &c);
    if (r == 0) {
        c->except = except;
        if (call)
            *call = c;
    }
    run_next(a);
    return r;
}

int accounts_check(struct accounts *a, const struct net_addr *from, const char *name, const char *password,
                   account_cb done, void *context, struct account_call **call)
{
    struct account_who who = ACCOUNT_VISITOR;
    struct account_call *c;
    core_time until;
    char folded[ACCOUNT_NAME_MAX], hash[crypto_pwhash_STRBYTES];
    if (a->waiting >= WAITING_MAX)
        return ERR_BUSY; /* before an attempt is counted */
    if (from->port && limits_attempt(a->limits, host_now(&a->app->core), from, &until) != 0)
        return ERR_BUSY;
    bool known = account_name_fold(folded, name, NULL) && strlen(password) < ACCOUNT_SECRET_MAX &&
                 find(a, folded, &who, hash) == 0;
    int r = begin(a, TASK_CHECK, &who, password, done, context, &c);
    if (r == 0) {
        c->known = known;
        c->from = *from;
        snprintf(c->hash, sizeof c->hash, "%s", known ? hash : NOBODYS_HASH);
        if (call)
            *call = c;
    }
    sodium_memzero(hash, sizeof hash);
    run_next(a);
    return r;
}

uint32_t accounts_wait(struct accounts *a, const struct net_addr *from)
{
    core_time now = host_now(&a->app->core), at = from->port ? limits_attempt_at(a->limits, now, from) : now;
    if (at == CORE_NEVER)
        return UINT32_MAX;
    return at > now ? (uint32_t)((at - now + 999999) / 1000000) : a->waiting >= WAITING_MAX ? 1 : 0;
}
