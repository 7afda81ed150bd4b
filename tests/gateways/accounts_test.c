/* Purpose: only the right password opens an account, in the same time whether the name exists or not; nothing
 * readable of passwords or tokens is stored; what was ended or has expired opens nothing; and nothing calls
 * back after it was cancelled or the accounts stopped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateways/accounts_host.h"
#include "node/host/store/account.h"

static struct app app;
static struct limits *limits;
static struct accounts *accounts;
static char home[64];
static bool stopped;

static void on_stopped(void *context)
{
    (void)context;
    stopped = true;
}

static int setup(void **state)
{
    struct limits_config c;
    (void)state;
    if (sodium_init() < 0)
        return -1;
    snprintf(home, sizeof home, "/tmp/shoal-accounts-XXXXXX");
    memset(&app, 0, sizeof app);
    if (!mkdtemp(home) || store_open(&app.store, home, NULL) != 0 || uv_loop_init(&app.loop) != 0)
        return -1;
    limits_config_default(&c);
    limits = limits_new(&core_alloc_libc, &c);
    accounts = accounts_new(&app, limits);
    stopped = false;
    return accounts ? 0 : -1;
}

static int teardown(void **state)
{
    char command[100];
    (void)state;
    if (!stopped)
        accounts_stop(accounts, on_stopped, NULL);
    uv_run(&app.loop, UV_RUN_DEFAULT);
    assert_true(stopped);
    accounts_free(accounts);
    limits_free(limits);
    store_close(app.store);
    assert_int_equal(uv_loop_close(&app.loop), 0);
    snprintf(command, sizeof command, "rm -rf %s", home);
    return system(command);
}

struct result {
    unsigned calls;
    int status;
    struct account_who who;
};

static void on_done(void *context, int status, const struct account_who *who)
{
    struct result *r = context;
    r->calls++;
    r->status = status;
    r->who = *who;
}

static int add(const char *name, const char *password, enum account_privilege p)
{
    char message[APP_MESSAGE_MAX] = "";
    struct result r = {0};
    int status = accounts_add(accounts, name, password, p, on_done, &r, NULL, message);
    assert_int_equal(r.calls, 0); /* never inside the call */
    if (status != 0) {
        assert_true(strlen(message) > 10);
        return status;
    }
    uv_run(&app.loop, UV_RUN_DEFAULT);
    assert_int_equal(r.calls, 1);
    return r.status;
}

static int check(const struct net_addr *from, const char *name, const char *password, struct account_who *who)
{
    struct result r = {0};
    int status = accounts_check(accounts, from, name, password, on_done, &r, NULL);
    if (status != 0)
        return status;
    uv_run(&app.loop, UV_RUN_DEFAULT);
    assert_int_equal(r.calls, 1);
    if (who)
        *who = r.who;
    return r.status;
}

static const struct net_addr LOCAL = {{0}, 0};

static void names(void **state)
{
    static const char *const good[] = {"a", "ann", "Ann.B_c-9", "0x",
                                       "a234567890123456789012345678901234567890"};
    static const char *const bad[] = {"",
                                      ".",
                                      "-a",
                                      "_a",
                                      "a b",
                                      "a/b",
                                      "a\n",
                                      "\xc3\xa4",
                                      "a@b",
                                      "..",
                                      "a2345678901234567890123456789012345678901"};
    char folded[ACCOUNT_NAME_MAX], message[APP_MESSAGE_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(account_name_fold(folded, good[i], NULL));
    assert_true(account_name_fold(folded, "Ann.B_c-9", message));
    assert_string_equal(folded, "ann.b_c-9");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        message[0] = 0;
        if (account_name_fold(folded, bad[i], message))
            fail_msg("\"%s\" was taken", bad[i]);
        assert_true(strlen(message) > 10);
    }
}

static bool collect(void *context, const struct account_who *who, int64_t added_s, int64_t last_s)
{
    char *out = context;
    assert_true(added_s > 0 && last_s >= 0);
    snprintf(out + strlen(out), 200 - strlen(out), "%s:%s ", who->name,
             account_privilege_name(who->privilege));
    return true;
}

static void adding(void **state)
{
    char list[200] = "", longest[ACCOUNT_SECRET_MAX + 1];
    struct account_who who;
    (void)state;
    memset(longest, 'x', sizeof longest);
    longest[ACCOUNT_SECRET_MAX] = 0;
    assert_int_equal(accounts_count(accounts), 0);
    assert_int_equal(add("bob", "seven77", ACCOUNT_USER), ERR_MALFORMED);
    assert_int_equal(add("bob", "with\ncontrol", ACCOUNT_USER), ERR_MALFORMED);
    assert_int_equal(add("bob", longest, ACCOUNT_USER), ERR_MALFORMED);
    assert_int_equal(add("b b", "right password", ACCOUNT_USER), ERR_MALFORMED);
    longest[ACCOUNT_SECRET_MAX - 1] = 0;
    assert_int_equal(add("bob", longest, ACCOUNT_USER), 0);
    assert_int_equal(add("Ann", "right p\xc3\xa4ssword", ACCOUNT_OWNER), 0);
    assert_int_equal(add("ANN", "right password", ACCOUNT_USER), ERR_EXISTS);
    assert_int_equal(accounts_count(accounts), 2);
    assert_int_equal(accounts_each(accounts, collect, list), 0);
    assert_string_equal(list, "ann:owner bob:user ");
    assert_int_equal(accounts_find(accounts, "aNN", &who), 0);
    assert_int_equal(who.privilege, ACCOUNT_OWNER);
    assert_int_equal(check(&LOCAL, "bob", longest, NULL), 0);
    assert_int_equal(accounts_remove(accounts, "Bob"), 0);
    assert_int_equal(accounts_remove(accounts, "bob"), ERR_NOT_FOUND);
    assert_int_equal(check(&LOCAL, "bob", longest, NULL), ERR_PERMISSION);
}

static bool look_at_hash(void *context, const struct store_account *a)
{
    const char *begins = "$argon2id$v=19$m=19456,t=2,p=1$";
    assert_memory_equal(a->hash, begins, strlen(begins));
    snprintf(context, 200, "%s", a->hash);
    return true;
}

static void checking(void **state)
{
    struct account_who who;
    char hash[200], again[200];
    (void)state;
    assert_int_equal(add("ann", "right password", ACCOUNT_USER), 0);
    assert_int_equal(add("bob", "right password", ACCOUNT_USER), 0);
    assert_int_equal(check(&LOCAL, "Ann", "right password", &who), 0);
    assert_string_equal(who.name, "ann");
    assert_int_equal(who.privilege, ACCOUNT_USER);
    static const char *const wrong[] = {"", "right passwor", "right password ", "Right password",
                                        "wrong password"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(check(&LOCAL, "ann", wrong[i], &who), ERR_PERMISSION);
        assert_int_equal(who.privilege == ACCOUNT_OWNER, 0);
    }
    assert_int_equal(check(&LOCAL, "nobody", "right password", NULL), ERR_PERMISSION);
    assert_int_equal(check(&LOCAL, "no/body", "right password", NULL), ERR_PERMISSION);
    /* The same password twice gives two hashes. */
    assert_int_equal(store_account_find(app.store, "ann", look_at_hash, hash), 0);
    assert_int_equal(store_account_find(app.store, "bob", look_at_hash, again), 0);
    assert_string_not_equal(hash, again);
}

static uint64_t price(const char *name)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 2; i++) {
        uv_rusage_t a, b;
        uv_getrusage(&a);
        assert_int_equal(check(&LOCAL, name, "wrong password", NULL), ERR_PERMISSION);
        uv_getrusage(&b);
        uint64_t used =
            (uint64_t)((b.ru_utime.tv_sec - a.ru_utime.tv_sec + b.ru_stime.tv_sec - a.ru_stime.tv_sec) *
                           1000000 +
                       b.ru_utime.tv_usec - a.ru_utime.tv_usec + b.ru_stime.tv_usec - a.ru_stime.tv_usec);
        best = used < best ? used : best;
    }
    return best;
}

static void same_price(void **state)
{
    (void)state;
    assert_int_equal(add("ann", "right password", ACCOUNT_USER), 0);
    uint64_t known = price("ann"), unknown = price("nobody"), malformed = price("no body");
    print_message(
        "processor time of a wrong password: %llu us, of a wrong name %llu us, of no name %llu us\n",
        (unsigned long long)known, (unsigned long long)unknown, (unsigned long long)malformed);
    assert_true(unknown * 2 > known &&
                malformed * 2 > known); /* a check that was left out costs a hundredth */
}

static void attempts(void **state)
{
    struct net_addr from = net_addr_v4(10, 0, 0, 9, 5), other = net_addr_v4(10, 0, 0, 8, 5);
    struct net_addr guesser = net_addr_v4(10, 0, 0, 7, 5);
    (void)state;
    assert_int_equal(add("ann", "right password", ACCOUNT_USER), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(check(&from, "ann", "wrong password", NULL), ERR_PERMISSION);
    assert_int_equal(check(&from, "ann", "right password", NULL), 0); /* wipes the slate */
    /* Five are free. The clock is real, so a slow machine may wait out the first refusals of 1, 2, 4 ... s;
     * not all of them. */
    unsigned wrong = 0;
    while (check(&from, "ann", "wrong password", NULL) == ERR_PERMISSION)
        assert_true(++wrong < 12);
    assert_true(wrong >= 5);
    /* The right one is refused as well, unread: an address whose attempts began 40 s ago has 23 s to wait. */
    core_time at = host_now(&app.core) - CORE_SECONDS(40), until;
    for (int i = 0; i < 10; i++) {
        at = limits_attempt_at(limits, at, &guesser);
        assert_int_equal(limits_attempt(limits, at, &guesser, &until), 0);
    }
    assert_int_equal(check(&guesser, "ann", "right password", NULL), ERR_BUSY);
    assert_in_range(accounts_wait(accounts, &guesser), 1, 23);
    assert_int_equal(accounts_wait(accounts, &other), 0);
    assert_int_equal(check(&other, "ann", "right password", NULL), 0);
    /* Many at once wait in one line, and the line has an end. */
    struct result r[40] = {0};
    unsigned taken = 0;
    for (int i = 0; i < 40; i++)
        taken += accounts_check(accounts, &LOCAL, "ann", "right password", on_done, &r[i], NULL) == 0;
    assert_int_equal(taken, 32);
    assert_int_equal(accounts_wait(accounts, &LOCAL), 1);
    accounts_stop(accounts, on_stopped, NULL); /* saves the hashing */
    uv_run(&app.loop, UV_RUN_DEFAULT);
    for (int i = 0; i < 40; i++)
        assert_int_equal(r[i].calls, i < 32);
}

static void password(void **state)
{
    char message[APP_MESSAGE_MAX], mine[ACCOUNT_TOKEN_SIZE + 1], others[ACCOUNT_TOKEN_SIZE + 1],
        token[ACCOUNT_TOKEN_SIZE + 1];
    struct account_login l = {.who = {ACCOUNT_USER, "ann"}, .label = "x", .from = "y"}, out;
    int64_t my_row, row;
    struct result r = {0};
    (void)state;
    assert_int_equal(add("ann", "right password", ACCOUNT_USER), 0);
    assert_int_equal(accounts_login(accounts, &l, mine, &my_row), 0);
    assert_int_equal(accounts_login(accounts, &l, others, &row), 0);
    l.is_token = true;
    assert_int_equal(accounts_login(accounts, &l, token, &row), 0);
    assert_int_equal(accounts_set_password(accounts, "ann", "short", 0, on_done, &r, NULL, message),
                     ERR_MALFORMED);
    assert_int_equal(accounts_set_password(accounts, "bob", "new password", 0, on_done, &r, NULL, message),
                     ERR_NOT_FOUND);
    assert_int_equal(
        accounts_set_password(accounts, "Ann", "new password", my_row, on_done, &r, NULL, message), 0);
    uv_run(&app.loop, UV_RUN_DEFAULT);
    assert_int_equal(r.status, 0);
    assert_int_equal(check(&LOCAL, "ann", "right password", NULL), ERR_PERMISSION);
    assert_int_equal(check(&LOCAL, "ann", "new password", NULL), 0);
    assert_int_equal(accounts_login_find(accounts, bytes_of(mine, ACCOUNT_TOKEN_SIZE), &out), 0);
    assert_int_equal(accounts_login_find(accounts, bytes_of(others, ACCOUNT_TOKEN_SIZE), &out),
                     ERR_NOT_FOUND);
    assert_int_equal(accounts_login_find(accounts, bytes_of(token, ACCOUNT_TOKEN_SIZE), &out), 0);
}

static bool count_login(void *context, const struct account_login *l)
{
    assert_true(l->row > 0);
    ++*(unsigned *)context;
    return true;
}

static unsigned logins(const char *name)
{
    unsigned n = 0;
    assert_int_equal(accounts_logins(accounts, name, count_login, &n), 0);
    return n;
}

static void login(void **state)
{
    char secret[ACCOUNT_TOKEN_SIZE + 1], token[ACCOUNT_TOKEN_SIZE + 1], own[ACCOUNT_TOKEN_SIZE + 1],
        command[200];
    struct account_login l = {.who = {ACCOUNT_USER, "ann"}, .label = "Firefox", .from = "10.0.0.1:5"}, out;
    int64_t row, token_row, own_row;
    (void)state;
    assert_int_equal(accounts_login(accounts, &l, secret, &row), ERR_NOT_FOUND); /* no such account */
    assert_int_equal(add("ann", "right password", ACCOUNT_USER), 0);
    assert_int_equal(accounts_login(accounts, &l, secret, &row), 0);
    l.is_token = true;
    assert_int_equal(accounts_login(accounts, &l, token, &token_row), 0);
    l = (struct account_login){.who = ACCOUNT_LOCAL_OWNER, .label = "x", .from = "y"};
    assert_int_equal(accounts_login(accounts, &l, own, &own_row), 0);
    assert_string_not_equal(secret, token);
    assert_int_equal(strlen(secret), ACCOUNT_TOKEN_SIZE);

    for (int i = 0; i < 2; i++) { /* from the store, then from memory */
        assert_int_equal(accounts_login_find(accounts, bytes_of(secret, ACCOUNT_TOKEN_SIZE), &out), 0);
        assert_int_equal(out.row, row);
        assert_string_equal(out.who.name, "ann");
        assert_string_equal(out.label, "Firefox");
        assert_true(!out.is_token && out.expires_s >= out.since_s + ACCOUNT_LOGIN_LIFE);
    }
    assert_int_equal(accounts_login_find(accounts, bytes_of(own, ACCOUNT_TOKEN_SIZE), &out), 0);
    assert_true(out.who.privilege == ACCOUNT_OWNER && !out.who.name[0]);
    assert_int_equal(accounts_login_find(accounts, bytes_of(token, ACCOUNT_TOKEN_SIZE), &out), 0);
    assert_true(out.is_token && out.expires_s == 0);
    assert_int_equal(accounts_login_find(accounts, bytes_of(secret, ACCOUNT_TOKEN_SIZE - 1), &out),
                     ERR_NOT_FOUND);
    char wrong[ACCOUNT_TOKEN_SIZE + 1];
    memcpy(wrong, secret, sizeof wrong);
    wrong[3] = wrong[3] == 'A' ? 'B' : 'A';
    assert_int_equal(accounts_login_find(accounts, bytes_of(wrong, ACCOUNT_TOKEN_SIZE), &out), ERR_NOT_FOUND);
    assert_int_equal(logins("ann"), 2);
    assert_int_equal(logins(""), 1);
    assert_int_equal(logins(NULL), 3);

    /* Neither secret lies in the home. */
    snprintf(command, sizeof command, "! grep -rqa -e '%s' -e '%s' -e 'right password' %s", secret, token,
             home);
    assert_int_equal(system(command), 0);

    assert_int_equal(accounts_login_end(accounts, row), 0);
    assert_int_equal(accounts_login_end(accounts, row), ERR_NOT_FOUND);
    assert_int_equal(accounts_login_find(accounts, bytes_of(secret, ACCOUNT_TOKEN_SIZE), &out),
                     ERR_NOT_FOUND);
    assert_int_equal(accounts_remove(accounts, "ann"), 0);
    assert_int_equal(accounts_login_find(accounts, bytes_of(token, ACCOUNT_TOKEN_SIZE), &out), ERR_NOT_FOUND);
    assert_int_equal(logins(NULL), 1);
}

static void expiry_and_surplus(void **state)
{
    char secret[ACCOUNT_TOKEN_SIZE + 1], first[ACCOUNT_TOKEN_SIZE + 1];
    struct account_login l = {.who = ACCOUNT_LOCAL_OWNER, .label = "x", .from = "y"}, out;
    int64_t row, first_row;
    (void)state;
    assert_int_equal(accounts_login(accounts, &l, first, &first_row), 0);
    assert_int_equal(store_login_used(app.store, first_row, 100, 200), 0); /* it expired long ago */
    assert_int_equal(accounts_login_find(accounts, bytes_of(first, ACCOUNT_TOKEN_SIZE), &out), ERR_NOT_FOUND);
    assert_int_equal(logins(""), 0);
    assert_int_equal(accounts_login(accounts, &l, first, &first_row), 0); /* and takes it away */
    for (int i = 0; i < 64; i++)
        assert_int_equal(accounts_login(accounts, &l, secret, &row), 0);
    assert_int_equal(logins(""), 64);
    assert_int_equal(accounts_login_find(accounts, bytes_of(first, ACCOUNT_TOKEN_SIZE), &out), ERR_NOT_FOUND);
    assert_int_equal(accounts_login_find(accounts, bytes_of(secret, ACCOUNT_TOKEN_SIZE), &out), 0);
    l.is_token = true;
    for (int i = 0; i < 64; i++)
        assert_int_equal(accounts_login(accounts, &l, secret, &row), 0);
    assert_int_equal(accounts_login(accounts, &l, secret, &row), ERR_FULL);
}

static void cancel_and_stop(void **state)
{
    struct result running = {0}, waiting = {0}, cancelled = {0}, cancelled_first = {0};
    struct account_call *call;
    char message[APP_MESSAGE_MAX];
    (void)state;
    assert_int_equal(
        accounts_check(accounts, &LOCAL, "ann", "some password", on_done, &cancelled_first, &call), 0);
    accounts_cancel(call);
    uv_run(&app.loop, UV_RUN_DEFAULT);
    assert_int_equal(accounts_check(accounts, &LOCAL, "ann", "some password", on_done, &running, NULL), 0);
    assert_int_equal(accounts_check(accounts, &LOCAL, "ann", "some password", on_done, &waiting, NULL), 0);
    assert_int_equal(
        accounts_add(accounts, "ann", "some password", ACCOUNT_USER, on_done, &cancelled, &call, message), 0);
    accounts_cancel(call);
    accounts_stop(accounts, on_stopped, NULL);
    uv_run(&app.loop, UV_RUN_DEFAULT);
    assert_true(stopped);
    assert_int_equal(running.status, ERR_CANCELLED);
    assert_int_equal(waiting.status, ERR_CANCELLED);
    assert_true(running.calls == 1 && waiting.calls == 1 && cancelled.calls == 0 &&
                cancelled_first.calls == 0);
    assert_int_equal(accounts_count(accounts), 0);
    assert_int_equal(
        accounts_add(accounts, "ann", "some password", ACCOUNT_USER, on_done, &cancelled, &call, message),
        ERR_CANCELLED);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {T(names),          T(adding),   T(checking), T(same_price),
                                       T(attempts),       T(password), T(login),    T(expiry_and_surplus),
                                       T(cancel_and_stop)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
