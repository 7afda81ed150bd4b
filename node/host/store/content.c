#include "node/host/store/internal.h"

/* The columns of `C`. Strings are borrowed from the statement. */
static void content_read(struct store_content *out, sqlite3_stmt *q)
{
    memset(out, 0, sizeof *out);
    out->row = sqlite3_column_int64(q, 0);
    if (sqlite3_column_bytes(q, 1) == HASH_SIZE)
        memcpy(out->provider_key, sqlite3_column_blob(q, 1), HASH_SIZE);
    store_read_id(&out->id, q, 2);
    out->place = (enum content_place)sqlite3_column_int(q, 5);
    out->state = (enum content_state)sqlite3_column_int(q, 6);
    out->path = (const char *)sqlite3_column_text(q, 7);
    const char *directory = (const char *)sqlite3_column_text(q, 8);
    out->directory = directory && *directory ? directory : NULL;
    out->stamp.device = (uint64_t)sqlite3_column_int64(q, 9);
    out->stamp.inode = (uint64_t)sqlite3_column_int64(q, 10);
    out->stamp.size = (uint64_t)sqlite3_column_int64(q, 11);
    out->stamp.mtime_ns = sqlite3_column_int64(q, 12);
    out->stamp.ctime_ns = sqlite3_column_int64(q, 13);
    out->share = sqlite3_column_int64(q, 14);
    out->announce = sqlite3_column_int(q, 15) != 0;
}

/* One row, its strings copied to the handle, so that the statement (and with it the read transaction) need
 * not stay open. */
static int content_one(struct store *s, sqlite3_stmt *q, struct store_content *out)
{
    int rc = sqlite3_step(q);
    int status = rc == SQLITE_DONE ? ERR_NOT_FOUND : store_error(s, rc);
    if (status == 0) {
        content_read(out, q);
        bool has_directory = out->directory != NULL;
        out->path = store_string(s, 0, q, 7);
        out->directory = has_directory ? store_string(s, 1, q, 8) : NULL;
        if (out->path == NULL || (has_directory && out->directory == NULL))
            status = ERR_NO_MEMORY;
    }
    sqlite3_reset(q);
    return status;
}

static int content_insert(struct store *s, const struct store_content *c, int64_t *row)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_CONTENT_PUT, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_blob(q, 1, c->provider_key, HASH_SIZE, SQLITE_STATIC);
    store_bind_id(q, 2, &c->id);
    sqlite3_bind_int(q, 5, (int)c->place);
    sqlite3_bind_int(q, 6, (int)c->state);
    sqlite3_bind_text(q, 7, c->path, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 8, c->directory ? c->directory : "", -1, SQLITE_STATIC);
    sqlite3_bind_int64(q, 9, (int64_t)c->stamp.device);
    sqlite3_bind_int64(q, 10, (int64_t)c->stamp.inode);
    sqlite3_bind_int64(q, 11, (int64_t)c->stamp.size);
    sqlite3_bind_int64(q, 12, c->stamp.mtime_ns);
    sqlite3_bind_int64(q, 13, c->stamp.ctime_ns);
    sqlite3_bind_int(q, 14, c->announce);
    int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        *row = sqlite3_column_int64(q, 0);
        rc = sqlite3_step(q);
    }
    status = store_error(s, rc);
    sqlite3_reset(q);
    return status;
}

int store_content_put(struct store *s, const struct store_content *c)
{
    core_assert(c->path != NULL);
    int64_t row = 0;
    int status = store_begin(s);
    if (status)
        return status;
    status = content_insert(s, c, &row);
    if (status == 0 && c->share) {
        sqlite3_stmt *q = store_statement(s, SQL_OWNER_PUT, &status);
        if (q) {
            sqlite3_bind_int64(q, 1, c->share);
            sqlite3_bind_int64(q, 2, row);
            status = store_run(s, q);
        }
    }
    if (status) {
        store_rollback(s);
        return status;
    }
    return store_commit(s);
}

int store_content_find(struct store *s, const uint8_t provider_key[HASH_SIZE], struct store_content *out)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_CONTENT_FIND, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_blob(q, 1, provider_key, HASH_SIZE, SQLITE_STATIC);
    return content_one(s, q, out);
}

int store_content_by_id(struct store *s, const struct content_id *id, struct store_content *out)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_CONTENT_BY_ID, &status);
    if (q == NULL)
        return status;
    store_bind_id(q, 1, id);
    return content_one(s, q, out);
}

int store_content_by_path(struct store *s, const char *path, struct store_content *out)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_CONTENT_BY_PATH, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_text(q, 1, path, -1, SQLITE_STATIC);
    return content_one(s, q, out);
}

int store_content_state(struct store *s, int64_t row, enum content_state state)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_CONTENT_STATE, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_int64(q, 1, row);
    sqlite3_bind_int(q, 2, (int)state);
    return store_run(s, q);
}

int store_content_remove(struct store *s, int64_t row)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_CONTENT_REMOVE, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_int64(q, 1, row);
    return store_run(s, q);
}

int store_contents(struct store *s, int64_t share, int64_t after, uint32_t max,
                   bool (*each)(void *context, const struct store_content *content), void *context)
{
    int status, rc;
    sqlite3_stmt *q = store_statement(s, share ? SQL_CONTENTS_OF_SHARE : SQL_CONTENTS, &status);
    if (q == NULL)
        return status;
    if (share)
        sqlite3_bind_int64(q, 1, share);
    sqlite3_bind_int64(q, 2, after);
    sqlite3_bind_int64(q, 3, max);
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        struct store_content c;
        content_read(&c, q);
        if (!each(context, &c))
            break;
    }
    status = store_error(s, rc);
    sqlite3_reset(q);
    return status;
}

int store_announced(struct store *s, bool (*each)(void *context, const uint8_t provider_key[HASH_SIZE]),
                    void *context)
{
    int status, rc;
    sqlite3_stmt *q = store_statement(s, SQL_ANNOUNCED, &status);
    if (q == NULL)
        return status;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        if (sqlite3_column_bytes(q, 0) == HASH_SIZE && !each(context, sqlite3_column_blob(q, 0)))
            break;
    }
    status = store_error(s, rc);
    sqlite3_reset(q);
    return status;
}
