/* Accounts of people, for all gateways: name, Argon2id hash (19 MiB, t = 2) in the store's table `account`, one hash at a time in the thread
 * pool, attempts limited per address. Logins of browsers (cookies) and tokens of scripts rest on them. Loop thread only. */
#ifndef SHOAL_ACCOUNTS_HOST_H
#define SHOAL_ACCOUNTS_HOST_H
#include "gateways/limits.h"
#include "node/host/app.h"

#define ACCOUNT_NAME_MAX   41  /* with the NUL; a-z 0-9 '.' '_' '-', begins with a letter or digit; capital letters are folded */
#define ACCOUNT_SECRET_MAX 257 /* password [bytes of UTF-8], with the NUL; at least 8 */
#define ACCOUNT_TOKEN_SIZE 43  /* base64url of 32 random bytes; the store keeps its BLAKE2b only */

enum account_privilege {
    ACCOUNT_NOBODY, /* a visitor: reads what is shared */
    ACCOUNT_USER,   /* and writes below /home/<name> */
    ACCOUNT_OWNER   /* and controls the node. The owner over the Unix socket needs no account */
};
struct account_who {
    enum account_privilege privilege;
    char name[ACCOUNT_NAME_MAX]; /* "" = no account */
};
static const struct account_who ACCOUNT_VISITOR = {ACCOUNT_NOBODY, ""};
static const struct account_who ACCOUNT_LOCAL_OWNER = {ACCOUNT_OWNER, ""};

struct accounts;
/* limits: of attempts; outlives the accounts. NULL: out of memory. */
struct accounts *accounts_new(struct app *app, struct limits *limits);
/* Calls under way end with ERR_CANCELLED. */
void accounts_stop(struct accounts *a, void (*stopped)(void *context), void *context);
void accounts_free(struct accounts *a); /* after accounts_stop called back; NULL is ignored */

uint32_t accounts_count(struct accounts *a); /* listening beyond loopback demands at least one */
/* `out` gets the folded name. False: not a name; message (APP_MESSAGE_MAX, may be NULL) says why. */
bool account_name_fold(char out[ACCOUNT_NAME_MAX], const char *name, char *message);
const char *account_privilege_name(enum account_privilege p); /* "visitor", "user", "owner" */
/* In order of name until `each` returns false. It must not change accounts. */
int accounts_each(struct accounts *a, bool (*each)(void *context, const struct account_who *who, int64_t added_s, int64_t last_s),
                  void *context);
int accounts_find(struct accounts *a, const char *name, struct account_who *out); /* ERR_NOT_FOUND */

/* A call that hashes. 0: `done` comes later, never inside the call; otherwise an error and it does not come. The password is copied into locked
 * memory and wiped. *call (may be NULL) is valid until `done`. */
struct account_call;
typedef void (*account_cb)(void *context, int status, const struct account_who *who);
void accounts_cancel(struct account_call *call); /* `done` does not come any more; what it was to do may still be done */
/* At once: ERR_MALFORMED, ERR_EXISTS with a sentence in message (APP_MESSAGE_MAX); ERR_BUSY: too many wait. Later: ERR_EXISTS, or the store's. */
int accounts_add(struct accounts *a, const char *name, const char *password, enum account_privilege privilege, account_cb done,
                 void *context, struct account_call **call, char *message);
/* ERR_NOT_FOUND, ERR_MALFORMED. Ends the account's browser logins but `except` (a row, 0: none); tokens stay. */
int accounts_set_password(struct accounts *a, const char *name, const char *password, int64_t except, account_cb done, void *context,
                          struct account_call **call, char *message);
/* With its logins and tokens; its files stay. ERR_NOT_FOUND. Call sessions_end_account, too. */
int accounts_remove(struct accounts *a, const char *name);
/* Later ERR_PERMISSION: wrong name or password, told in the same time for both. At once ERR_BUSY: too many attempts from this address (see
 * accounts_wait), or too many waiting. from: port 0 is not limited. */
int accounts_check(struct accounts *a, const struct net_addr *from, const char *name, const char *password, account_cb done,
                   void *context, struct account_call **call);
uint32_t accounts_wait(struct accounts *a, const struct net_addr *from); /* seconds until this address may try again; 0 = now */

/* Logins (a browser that signed in) and tokens (a script), in one table. */
#define ACCOUNT_LOGIN_LIFE (30 * 86400) /* [s] since it was last used */
struct account_login {
    int64_t row;
    struct account_who who; /* name "": the owner on this computer */
    bool is_token;
    char label[80]; /* User-Agent, or the token's name */
    char from[64];  /* address it was made from */
    int64_t since_s, last_s, expires_s; /* expires 0: never (tokens) */
};
/* what: who, is_token, label, from. The secret is told once. ERR_NOT_FOUND: no such account; ERR_FULL: it has 64 tokens. Of browsers the 64 used
 * last stay. */
int accounts_login(struct accounts *a, const struct account_login *what, char secret[ACCOUNT_TOKEN_SIZE + 1], int64_t *row);
/* The account behind a cookie or token; notes the time of use. ERR_NOT_FOUND: unknown, ended or expired. Cheap: the last ones are remembered. */
int accounts_login_find(struct accounts *a, struct bytes secret, struct account_login *out);
int accounts_login_end(struct accounts *a, int64_t row);
/* name "": the owner's on this computer; NULL: all. `each` must not change any. */
int accounts_logins(struct accounts *a, const char *name, bool (*each)(void *context, const struct account_login *l), void *context);
#endif
