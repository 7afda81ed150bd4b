/* Logins of browsers and tokens of scripts. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include "gateways/accounts_internal_host.h"

#define KEEP_LOGINS 64u
#define TOKENS_MAX  64u
#define KNOWN_FOR   CORE_MINUTES(1)
#define NOTE_EVERY  600 /* [s]: each note of a use is a write that is synced */

static int64_t now_s(void)
{
    return (int64_t)(host_unix_ms() / 1000);
}

static void digest_of(uint8_t out[STORE_DIGEST_SIZE], struct bytes secret)
{
    static const uint8_t purpose[] = "shoal login";
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, STORE_DIGEST_SIZE);
    crypto_generichash_update(&state, purpose, sizeof purpose);
    crypto_generichash_update(&state, secret.data, secret.size);
    crypto_generichash_final(&state, out, STORE_DIGEST_SIZE);
}

void accounts_forget_known(struct accounts *a)
{
    sodium_memzero(a->known, sizeof a->known);
}

static void login_of(struct account_login *out, const struct store_login *l)
{
    *out = (struct account_login){
        .row = l->row,
        .is_token = l->is_token,
        .since_s = l->since_s,
        .last_s = l->last_s,
        .expires_s = l->expires_s,
    };
    account_who_of(&out->who, l->account, l->account ? l->privilege : ACCOUNT_OWNER);
    snprintf(out->label, sizeof out->label, "%s", l->label);
    snprintf(out->from, sizeof out->from, "%s", l->origin);
}

static bool count_token(void *context, const struct store_login *l)
{
    *(uint32_t *)context += l->is_token;
    return true;
}

int accounts_login(struct accounts *a, const struct account_login *what, char secret[ACCOUNT_TOKEN_SIZE + 1],
                   int64_t *row)
{
    uint8_t random[32], digest[STORE_DIGEST_SIZE];
    int64_t now = now_s();
    const char *name = what->who.name[0] ? what->who.name : NULL;
    uint32_t tokens = 0;
    int r = what->is_token ? store_logins(a->app->store, name, false, count_token, &tokens)
                           : store_logins_expire(a->app->store, now);
    if (r != 0 || tokens >= TOKENS_MAX)
        return r ? r : ERR_FULL;
    host_random(random, sizeof random);
    sodium_bin2base64(secret, ACCOUNT_TOKEN_SIZE + 1, random, sizeof random,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(random, sizeof random);
    digest_of(digest, bytes_of(secret, ACCOUNT_TOKEN_SIZE));
    const struct store_login l = {
        .digest = digest,
        .account = name,
        .is_token = what->is_token,
        .label = what->label,
        .origin = what->from,
        .since_s = now,
        .expires_s = what->is_token ? 0 : now + ACCOUNT_LOGIN_LIFE,
    };
    accounts_forget_known(a); /* an old one may go for this one */
    return store_login_put(a->app->store, &l, what->is_token ? TOKENS_MAX : KEEP_LOGINS, row);
}

static bool take_login(void *context, const struct store_login *l)
{
    login_of(context, l);
    return true;
}

static struct known_login *known_place(struct accounts *a, const uint8_t digest[STORE_DIGEST_SIZE])
{
    return &a->known[digest[0] % LOGINS_KNOWN];
}

int accounts_login_find(struct accounts *a, struct bytes secret, struct account_login *out)
{
    uint8_t digest[STORE_DIGEST_SIZE];
    core_time now = host_now(&a->app->core);
    if (secret.size != ACCOUNT_TOKEN_SIZE)
        return ERR_NOT_FOUND;
    digest_of(digest, secret);
    struct known_login *k = known_place(a, digest);
    if (k->login.row && now < k->until && sodium_memcmp(k->digest, digest, sizeof digest) == 0) {
        *out = k->login;
        return 0;
    }
    int64_t unix_s = now_s();
    int r = store_login_find(a->app->store, digest, unix_s, take_login, out);
    if (r != 0)
        return r;
    if (unix_s - out->last_s >= NOTE_EVERY || unix_s < out->last_s) {
        out->last_s = unix_s;
        out->expires_s = out->is_token ? 0 : unix_s + ACCOUNT_LOGIN_LIFE;
        (void)store_login_used(a->app->store, out->row, out->last_s,
                               out->expires_s); /* a full disk signs nobody out */
    }
    memcpy(k->digest, digest, sizeof digest);
    k->login = *out;
    k->until = now + KNOWN_FOR;
    return 0;
}

int accounts_login_end(struct accounts *a, int64_t row)
{
    accounts_forget_known(a);
    return store_login_remove(a->app->store, row);
}

struct each_login {
    bool (*each)(void *context, const struct account_login *l);
    void *context;
    int64_t now;
};

static bool each_one(void *context, const struct store_login *l)
{
    struct each_login *e = context;
    struct account_login login;
    if (l->expires_s && l->expires_s <= e->now)
        return true;
    login_of(&login, l);
    return e->each(e->context, &login);
}

int accounts_logins(struct accounts *a, const char *name,
                    bool (*each)(void *context, const struct account_login *l), void *context)
{
    struct each_login e = {each, context, now_s()};
    return store_logins(a->app->store, name && name[0] ? name : NULL, name == NULL, each_one, &e);
}
