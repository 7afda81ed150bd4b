/* Between accounts_host.c (names and passwords) and accounts_login_host.c (cookies and tokens). */
#ifndef SHOAL_ACCOUNTS_INTERNAL_HOST_H
#define SHOAL_ACCOUNTS_INTERNAL_HOST_H
#include "gateways/accounts_host.h"
#include "node/host/store/account.h"

#define LOGINS_KNOWN 64u

struct known_login { /* saves a look into the store with each request */
    uint8_t digest[STORE_DIGEST_SIZE];
    struct account_login login; /* row 0: free */
    core_time until;
};

struct accounts {
    struct app *app;
    struct limits *limits;
    struct account_call *first; /* the first is being hashed while `running` */
    uint32_t waiting;
    bool running, stopping;
    void (*stopped)(void *context);
    void *stopped_context;
    struct known_login known[LOGINS_KNOWN];
};

void account_who_of(struct account_who *who, const char *name, int privilege);
void accounts_forget_known(struct accounts *a);
#endif
