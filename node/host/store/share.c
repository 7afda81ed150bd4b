#include "node/host/store/internal.h"

static void share_read(struct store_share *out, sqlite3_stmt *q)
{
    memset(out, 0, sizeof *out);
    out->row = sqlite3_column_int64(q, 0);
    out->path = (const char *)sqlite3_column_text(q, 1);
    out->name = (const char *)sqlite3_column_text(q, 2);
    store_read_id(&out->id, q, 3);
    out->bytes = (uint64_t)sqlite3_column_int64(q, 6);
    out->files = (uint64_t)sqlite3_column_int64(q, 7);
    out->added_s = sqlite3_column_int64(q, 8);
    out->with_times = sqlite3_column_int(q, 9) != 0;
    out->fetched = sqlite3_column_int(q, 10) != 0;
    out->state = (enum content_state)sqlite3_column_int(q, 11);
}

static int share_one(struct store *s, sqlite3_stmt *q, struct store_share *out)
{
    int rc = sqlite3_step(q);
    int status = rc == SQLITE_DONE ? ERR_NOT_FOUND : store_error(s, rc);
    if (status == 0) {
        share_read(out, q);
        out->path = store_string(s, 0, q, 1);
        out->name = store_string(s, 1, q, 2);
        if (out->path == NULL || out->name == NULL)
            status = ERR_NO_MEMORY;
    }
    sqlite3_reset(q);
    return status;
}

/* For an INSERT ... RETURNING row. */
static int returned_row(struct store *s, sqlite3_stmt *q, int64_t *row)
{
    int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        *row = sqlite3_column_int64(q, 0);
        rc = sqlite3_step(q);
    }
    int status = store_error(s, rc);
    sqlite3_reset(q);
    return status;
}

static int run_row(struct store *s, enum statement which, int64_t row, int second)
{
    int status;
    sqlite3_stmt *q = store_statement(s, which, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_int64(q, 1, row);
    if (sqlite3_bind_parameter_count(q) > 1)
        sqlite3_bind_int(q, 2, second);
    return store_run(s, q);
}

int store_share_begin(struct store *s, const char *path, int64_t now_s, int64_t *row)
{
    int status = store_begin(s);
    if (status)
        return status;
    sqlite3_stmt *q = store_statement(s, SQL_SHARE_BEGIN, &status);
    if (q) {
        sqlite3_bind_text(q, 1, path, -1, SQLITE_STATIC);
        sqlite3_bind_int64(q, 2, now_s);
        status = returned_row(s, q, row);
    }
    if (status == 0)
        status = run_row(s, SQL_OWNER_STALE, *row, 0);
    if (status) {
        store_rollback(s);
        return status;
    }
    return store_commit(s);
}

int store_share_put(struct store *s, const struct store_share *share, int64_t *row)
{
    int status;
    int64_t ignored;
    sqlite3_stmt *q = store_statement(s, SQL_SHARE_PUT, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_text(q, 1, share->path, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, share->name, -1, SQLITE_STATIC);
    store_bind_id(q, 3, &share->id);
    sqlite3_bind_int64(q, 6, (int64_t)share->bytes);
    sqlite3_bind_int64(q, 7, (int64_t)share->files);
    sqlite3_bind_int64(q, 8, share->added_s);
    sqlite3_bind_int(q, 9, share->with_times);
    sqlite3_bind_int(q, 10, share->fetched);
    sqlite3_bind_int(q, 11, (int)share->state);
    return returned_row(s, q, row ? row : &ignored);
}

/* Owners marked with fresh <= `fresh` go, and with them the contents that nobody else owns. */
static int disown(struct store *s, int64_t row, int fresh)
{
    int status = run_row(s, SQL_ORPHANS_REMOVE, row, fresh);
    return status ? status : run_row(s, SQL_OWNERS_REMOVE, row, fresh);
}

int store_share_settle(struct store *s, int64_t row)
{
    int status = store_begin(s);
    if (status)
        return status;
    status = disown(s, row, 0);
    if (status) {
        store_rollback(s);
        return status;
    }
    return store_commit(s);
}

int store_share_remove(struct store *s, int64_t row)
{
    int status = store_begin(s);
    if (status)
        return status;
    status = disown(s, row, 1);
    if (status == 0)
        status = run_row(s, SQL_SHARE_REMOVE, row, 0);
    if (status == 0 && sqlite3_changes(s->db) == 0)
        status = ERR_NOT_FOUND;
    if (status) {
        store_rollback(s);
        return status;
    }
    return store_commit(s);
}

int store_share_state(struct store *s, int64_t row, enum content_state state)
{
    return run_row(s, SQL_SHARE_STATE, row, (int)state);
}

int store_share_hide(struct store *s, int64_t row)
{
    return run_row(s, SQL_SHARE_HIDE, row, 0);
}

int store_share_lost(struct store *s, int64_t row, bool stale,
                     bool (*each)(void *context, const uint8_t provider_key[HASH_SIZE]), void *context)
{
    int status, rc;
    sqlite3_stmt *q = store_statement(s, SQL_ORPHANS, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_int64(q, 1, row);
    sqlite3_bind_int(q, 2, stale ? 0 : 1);
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        if (sqlite3_column_bytes(q, 0) == HASH_SIZE && !each(context, sqlite3_column_blob(q, 0)))
            break;
    }
    status = store_error(s, rc);
    sqlite3_reset(q);
    return status;
}

int store_share_by_path(struct store *s, const char *path, struct store_share *out)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_SHARE_BY_PATH, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_text(q, 1, path, -1, SQLITE_STATIC);
    return share_one(s, q, out);
}

int store_share_by_id(struct store *s, const struct content_id *id, struct store_share *out)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_SHARE_BY_ID, &status);
    if (q == NULL)
        return status;
    store_bind_id(q, 1, id);
    return share_one(s, q, out);
}

static int shares_each(struct store *s, sqlite3_stmt *q,
                       bool (*each)(void *context, const struct store_share *share), void *context)
{
    int rc;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        struct store_share share;
        share_read(&share, q);
        if (!each(context, &share))
            break;
    }
    int status = store_error(s, rc);
    sqlite3_reset(q);
    return status;
}

int store_shares(struct store *s, bool (*each)(void *context, const struct store_share *share), void *context)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_SHARES, &status);
    return q ? shares_each(s, q, each, context) : status;
}

int store_shares_from(struct store *s, int64_t row,
                      bool (*each)(void *context, const struct store_share *share), void *context)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_SHARES_FROM, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_int64(q, 1, row);
    return shares_each(s, q, each, context);
}

int store_shares_by_name(struct store *s, bool (*each)(void *context, const struct store_share *share),
                         void *context)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_SHARES_BY_NAME, &status);
    return q ? shares_each(s, q, each, context) : status;
}

int store_shares_named(struct store *s, const char *name,
                       bool (*each)(void *context, const struct store_share *share), void *context)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_SHARES_NAMED, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
    return shares_each(s, q, each, context);
}

int store_share_count(struct store *s, uint64_t *count, uint64_t *troubled)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_SHARE_COUNT, &status);
    if (q == NULL)
        return status;
    int rc = sqlite3_step(q);
    status = store_error(s, rc);
    if (rc == SQLITE_ROW) {
        *count = (uint64_t)sqlite3_column_int64(q, 0);
        *troubled = (uint64_t)sqlite3_column_int64(q, 1);
    }
    sqlite3_reset(q);
    return status;
}

int store_shares_of(struct store *s, int64_t content,
                    bool (*each)(void *context, const struct store_share *share), void *context)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_SHARE_OF, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_int64(q, 1, content);
    return shares_each(s, q, each, context);
}

int store_share_changes(struct store *s, uint64_t *out)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_SHARE_TALLY, &status);
    if (q == NULL)
        return status;
    int rc = sqlite3_step(q);
    *out = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(q, 0) : 0;
    status = store_error(s, rc);
    sqlite3_reset(q);
    return status;
}
