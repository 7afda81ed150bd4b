/* Accounts of people, for all gateways: name, Argon2id hash (19 MiB, t = 2) in the store's table `account`, one hash at a time in the thread
 * pool, attempts limited per address. Sessions of browsers (cookies) and tokens of scripts rest on them. Loop thread only. */
#ifndef SHOAL_ACCOUNTS_HOST_H
#define SHOAL_ACCOUNTS_HOST_H
#include "node/host/app.h"

#define ACCOUNT_NAME_MAX   41  /* with the NUL; a-z 0-9 '.' '_' '-', begins with a letter or digit; case is folded */
#define ACCOUNT_SECRET_MAX 257 /* password [bytes of UTF-8], with the NUL; at least 8 */
#define ACCOUNT_TOKEN_SIZE 43  /* base64url of 32 random bytes; the store keeps its BLAKE2b only */

enum account_privilege {
    ACCOUNT_NOBODY, /* a visitor: reads what is shared */
    ACCOUNT_USER,   /* and writes below /home/<name> */
    ACCOUNT_OWNER   /* and controls the node. The owner on loopback, or over the Unix socket, needs no account */
};
struct account_who {
    enum account_privilege privilege;
    char name[ACCOUNT_NAME_MAX]; /* "" = no account */
};
static const struct account_who ACCOUNT_VISITOR = {ACCOUNT_NOBODY, ""};
static const struct account_who ACCOUNT_LOCAL_OWNER = {ACCOUNT_OWNER, ""};

struct accounts;
struct accounts *accounts_new(struct app *app);
void accounts_stop(struct accounts *a, void (*stopped)(void *context), void *context);
void accounts_free(struct accounts *a); /* after accounts_stop called back; NULL is ignored */

uint32_t accounts_count(struct accounts *a); /* listening beyond loopback demands at least one */
bool account_name_ok(const char *name);
/* Iterates in order of name until `each` returns false. */
int accounts_each(struct accounts *a, bool (*each)(void *context, const struct account_who *who, int64_t added_s, int64_t last_s),
                  void *context);

/* `done` comes later, on the loop thread. The password is copied into locked memory and wiped. Add: ERR_EXISTS, ERR_MALFORMED (message says
 * what). Remove ends the account's sessions and tokens; its files stay. */
typedef void (*account_cb)(void *context, int status, const struct account_who *who);
void accounts_add(struct accounts *a, const char *name, const char *password, enum account_privilege privilege, account_cb done, void *context);
void accounts_set_password(struct accounts *a, const char *name, const char *password, account_cb done, void *context);
int accounts_remove(struct accounts *a, const char *name);

/* ERR_PERMISSION: wrong name or password, told in the same time for both. ERR_BUSY: too many attempts from this address, or too many waiting;
 * *retry_s of accounts_wait says how long. */
void accounts_check(struct accounts *a, const struct net_addr *from, const char *name, const char *password, account_cb done, void *context);
uint32_t accounts_wait(struct accounts *a, const struct net_addr *from); /* seconds until this address may try again; 0 = now */

/* Sessions (a browser that signed in) and tokens (a script), in one table. */
struct account_session {
    int64_t row;
    struct account_who who;
    bool is_token;
    char label[80]; /* User-Agent, or the token's name */
    char from[64];  /* address it was made from */
    int64_t since_s, last_s, expires_s; /* expires 0: never (tokens) */
};
int accounts_session_new(struct accounts *a, const struct account_session *what, char secret[ACCOUNT_TOKEN_SIZE + 1]);
/* The account behind a cookie or token, and notes the time of use. ERR_NOT_FOUND: unknown, ended or expired. */
int accounts_session_find(struct accounts *a, struct bytes secret, struct account_session *out);
int accounts_session_end(struct accounts *a, int64_t row);
int accounts_sessions_each(struct accounts *a, const char *name, bool (*each)(void *context, const struct account_session *s), void *context);
#endif
