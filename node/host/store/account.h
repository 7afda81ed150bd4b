/* Accounts of people and what signed in with them (gateways/accounts_host.h), in the home's database. The same rules as store.h: 0 or an enum
 * shoal_error, one handle per thread. Strings given are copied; strings handed to `each` are borrowed for the call. */
#ifndef SHOAL_HOST_STORE_ACCOUNT_H
#define SHOAL_HOST_STORE_ACCOUNT_H
#include "node/host/store/store.h"

struct store_account {
    const char *name;
    const char *hash; /* of its password, as libsodium writes it */
    int privilege;
    int64_t added_s, last_s; /* Unix time; last 0: never signed in */
};
int store_account_add(struct store *s, const struct store_account *a); /* ERR_EXISTS */
int store_account_hash(struct store *s, const char *name, const char *hash); /* ERR_NOT_FOUND */
int store_account_used(struct store *s, const char *name, int64_t now_s);
int store_account_remove(struct store *s, const char *name); /* with its logins. ERR_NOT_FOUND */
/* `each` is called once. ERR_NOT_FOUND. */
int store_account_find(struct store *s, const char *name, bool (*each)(void *context, const struct store_account *a), void *context);
int store_accounts(struct store *s, bool (*each)(void *context, const struct store_account *a), void *context); /* by name */
int store_account_count(struct store *s, int privilege, uint32_t *all, uint32_t *with_it);

#define STORE_DIGEST_SIZE 32
struct store_login {
    int64_t row;
    const uint8_t *digest; /* STORE_DIGEST_SIZE; for put and find */
    const char *account;   /* NULL: the owner on this computer, who has none */
    int privilege;         /* of the account; -1 without one */
    bool is_token;
    const char *label, *origin;
    int64_t since_s, last_s, expires_s; /* expires 0: never */
};
/* Only the newest `keep` of this account and kind stay. ERR_NOT_FOUND: no such account (any more). */
int store_login_put(struct store *s, const struct store_login *l, uint32_t keep, int64_t *row);
/* One that is in force. `each` is called once. ERR_NOT_FOUND. */
int store_login_find(struct store *s, const uint8_t digest[STORE_DIGEST_SIZE], int64_t now_s,
                     bool (*each)(void *context, const struct store_login *l), void *context);
int store_login_used(struct store *s, int64_t row, int64_t now_s, int64_t expires_s);
int store_login_remove(struct store *s, int64_t row); /* ERR_NOT_FOUND */
/* All of an account, but `except` (0: none); with or without its tokens. */
int store_logins_remove(struct store *s, const char *account, bool tokens, int64_t except);
int store_logins_expire(struct store *s, int64_t now_s);
/* In order of row. all: of every account, the owner's too. */
int store_logins(struct store *s, const char *account, bool all, bool (*each)(void *context, const struct store_login *l), void *context);
#endif
