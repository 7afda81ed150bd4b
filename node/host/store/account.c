/* Accounts and logins. */
#include "node/host/store/account.h"
#include "node/host/store/internal.h"

static int changed(struct store *s, int status)
{
    return status == 0 && sqlite3_changes(s->db) == 0 ? ERR_NOT_FOUND : status;
}

int store_account_add(struct store *s, const struct store_account *a)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_ACCOUNT_PUT, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_text(q, 1, a->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, a->hash, -1, SQLITE_STATIC);
    sqlite3_bind_int(q, 3, a->privilege);
    sqlite3_bind_int64(q, 4, a->added_s);
    status = changed(s, store_run(s, q));
    return status == ERR_NOT_FOUND ? ERR_EXISTS : status;
}

int store_account_hash(struct store *s, const char *name, const char *hash)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_ACCOUNT_HASH, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, hash, -1, SQLITE_STATIC);
    return changed(s, store_run(s, q));
}

int store_account_used(struct store *s, const char *name, int64_t now_s)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_ACCOUNT_USED, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(q, 2, now_s);
    return changed(s, store_run(s, q));
}

int store_account_remove(struct store *s, const char *name)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_ACCOUNT_REMOVE, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
    return changed(s, store_run(s, q));
}

static int accounts_from(struct store *s, sqlite3_stmt *q, uint32_t *count,
                         bool (*each)(void *context, const struct store_account *a), void *context)
{
    int rc;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        const struct store_account a = {
            .name = (const char *)sqlite3_column_text(q, 0),
            .hash = (const char *)sqlite3_column_text(q, 1),
            .privilege = sqlite3_column_int(q, 2),
            .added_s = sqlite3_column_int64(q, 3),
            .last_s = sqlite3_column_int64(q, 4),
        };
        ++*count;
        if (!each(context, &a))
            break;
    }
    int status = store_error(s, rc);
    sqlite3_reset(q);
    return status;
}

int store_account_find(struct store *s, const char *name,
                       bool (*each)(void *context, const struct store_account *a), void *context)
{
    int status;
    uint32_t count = 0;
    sqlite3_stmt *q = store_statement(s, SQL_ACCOUNT_FIND, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
    status = accounts_from(s, q, &count, each, context);
    return status == 0 && count == 0 ? ERR_NOT_FOUND : status;
}

int store_accounts(struct store *s, bool (*each)(void *context, const struct store_account *a), void *context)
{
    int status;
    uint32_t count = 0;
    sqlite3_stmt *q = store_statement(s, SQL_ACCOUNTS, &status);
    return q ? accounts_from(s, q, &count, each, context) : status;
}

int store_account_count(struct store *s, int privilege, uint32_t *all, uint32_t *with_it)
{
    int status;
    *all = *with_it = 0;
    sqlite3_stmt *q = store_statement(s, SQL_ACCOUNT_COUNT, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_int(q, 1, privilege);
    int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        *all = (uint32_t)sqlite3_column_int64(q, 0);
        *with_it = (uint32_t)sqlite3_column_int64(q, 1);
    }
    status = store_error(s, rc);
    sqlite3_reset(q);
    return status;
}

/* ---- Logins ---- */

static int drop_surplus(struct store *s, const struct store_login *l, uint32_t keep)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_LOGINS_SURPLUS, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_text(q, 1, l->account, -1, SQLITE_STATIC);
    sqlite3_bind_int(q, 2, l->is_token);
    sqlite3_bind_int64(q, 3, keep);
    return store_run(s, q);
}

int store_login_put(struct store *s, const struct store_login *l, uint32_t keep, int64_t *row)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_LOGIN_PUT, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_blob(q, 1, l->digest, STORE_DIGEST_SIZE, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, l->account, -1, SQLITE_STATIC); /* NULL binds NULL */
    sqlite3_bind_int(q, 3, l->is_token);
    sqlite3_bind_text(q, 4, l->label, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 5, l->origin, -1, SQLITE_STATIC);
    sqlite3_bind_int64(q, 6, l->since_s);
    sqlite3_bind_int64(q, 7, l->expires_s);
    status = store_run(s, q);
    if (status)
        return status;
    *row = sqlite3_last_insert_rowid(s->db);
    return drop_surplus(s, l, keep);
}

static int logins_from(struct store *s, sqlite3_stmt *q, uint32_t *count,
                       bool (*each)(void *context, const struct store_login *l), void *context)
{
    int rc;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        const struct store_login l = {
            .row = sqlite3_column_int64(q, 0),
            .account = (const char *)sqlite3_column_text(q, 1),
            .privilege = sqlite3_column_type(q, 2) == SQLITE_NULL ? -1 : sqlite3_column_int(q, 2),
            .is_token = sqlite3_column_int(q, 3) != 0,
            .label = (const char *)sqlite3_column_text(q, 4),
            .origin = (const char *)sqlite3_column_text(q, 5),
            .since_s = sqlite3_column_int64(q, 6),
            .last_s = sqlite3_column_int64(q, 7),
            .expires_s = sqlite3_column_int64(q, 8),
        };
        ++*count;
        if (!each(context, &l))
            break;
    }
    int status = store_error(s, rc);
    sqlite3_reset(q);
    return status;
}

int store_login_find(struct store *s, const uint8_t digest[STORE_DIGEST_SIZE], int64_t now_s,
                     bool (*each)(void *context, const struct store_login *l), void *context)
{
    int status;
    uint32_t count = 0;
    sqlite3_stmt *q = store_statement(s, SQL_LOGIN_FIND, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_blob(q, 1, digest, STORE_DIGEST_SIZE, SQLITE_STATIC);
    sqlite3_bind_int64(q, 2, now_s);
    status = logins_from(s, q, &count, each, context);
    return status == 0 && count == 0 ? ERR_NOT_FOUND : status;
}

int store_login_used(struct store *s, int64_t row, int64_t now_s, int64_t expires_s)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_LOGIN_USED, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_int64(q, 1, row);
    sqlite3_bind_int64(q, 2, now_s);
    sqlite3_bind_int64(q, 3, expires_s);
    return changed(s, store_run(s, q));
}

int store_login_remove(struct store *s, int64_t row)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_LOGIN_REMOVE, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_int64(q, 1, row);
    return changed(s, store_run(s, q));
}

int store_logins_remove(struct store *s, const char *account, bool tokens, int64_t except)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_LOGINS_REMOVE, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_text(q, 1, account, -1, SQLITE_STATIC);
    sqlite3_bind_int(q, 2, tokens);
    sqlite3_bind_int64(q, 3, except);
    return store_run(s, q);
}

int store_logins_expire(struct store *s, int64_t now_s)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_LOGINS_EXPIRED, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_int64(q, 1, now_s);
    return store_run(s, q);
}

int store_logins(struct store *s, const char *account, bool all,
                 bool (*each)(void *context, const struct store_login *l), void *context)
{
    int status;
    uint32_t count = 0;
    sqlite3_stmt *q = store_statement(s, all ? SQL_LOGINS_ALL : SQL_LOGINS, &status);
    if (q == NULL)
        return status;
    if (!all)
        sqlite3_bind_text(q, 1, account, -1, SQLITE_STATIC);
    return logins_from(s, q, &count, each, context);
}
