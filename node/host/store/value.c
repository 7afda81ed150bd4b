/* Fetches, pins and small values. */
#include "node/host/store/internal.h"

static int no_row(struct store *s, int status)
{
    return status == 0 && sqlite3_changes(s->db) == 0 ? ERR_NOT_FOUND : status;
}

int store_fetch_put(struct store *s, const char *target, const struct content_id *id, struct bytes state)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_FETCH_PUT, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_text(q, 1, target, -1, SQLITE_STATIC);
    store_bind_id(q, 2, id);
    sqlite3_bind_blob64(q, 5, state.size ? state.data : (const uint8_t *)"", state.size, SQLITE_STATIC);
    return store_run(s, q);
}

int store_fetch_remove(struct store *s, const char *target)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_FETCH_REMOVE, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_text(q, 1, target, -1, SQLITE_STATIC);
    return no_row(s, store_run(s, q));
}

int store_fetches(struct store *s,
                  bool (*each)(void *context, const char *target, const struct content_id *id,
                               struct bytes state),
                  void *context)
{
    int status, rc;
    sqlite3_stmt *q = store_statement(s, SQL_FETCHES, &status);
    if (q == NULL)
        return status;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        struct content_id id;
        store_read_id(&id, q, 1);
        struct bytes state = bytes_of(sqlite3_column_blob(q, 4), (size_t)sqlite3_column_bytes(q, 4));
        if (!each(context, (const char *)sqlite3_column_text(q, 0), &id, state))
            break;
    }
    status = store_error(s, rc);
    sqlite3_reset(q);
    return status;
}

int store_pin(struct store *s, const struct content_id *id, bool pinned)
{
    int status;
    sqlite3_stmt *q = store_statement(s, pinned ? SQL_PIN_PUT : SQL_PIN_REMOVE, &status);
    if (q == NULL)
        return status;
    store_bind_id(q, 1, id);
    status = store_run(s, q);
    return pinned ? status : no_row(s, status);
}

bool store_is_pinned(struct store *s, const struct content_id *id)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_PIN_FIND, &status);
    if (q == NULL)
        return false;
    store_bind_id(q, 1, id);
    bool found = sqlite3_step(q) == SQLITE_ROW;
    sqlite3_reset(q);
    return found;
}

int store_pins(struct store *s, bool (*each)(void *context, const struct content_id *id), void *context)
{
    int status, rc;
    sqlite3_stmt *q = store_statement(s, SQL_PINS, &status);
    if (q == NULL)
        return status;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        struct content_id id;
        store_read_id(&id, q, 0);
        if (!each(context, &id))
            break;
    }
    status = store_error(s, rc);
    sqlite3_reset(q);
    return status;
}

int store_value_put(struct store *s, const char *key, struct bytes value)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_VALUE_PUT, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_blob64(q, 2, value.size ? value.data : (const uint8_t *)"", value.size, SQLITE_STATIC);
    return store_run(s, q);
}

int store_value_get(struct store *s, const char *key, uint8_t *out, size_t cap, size_t *size)
{
    int status;
    *size = 0;
    sqlite3_stmt *q = store_statement(s, SQL_VALUE_GET, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
    int rc = sqlite3_step(q);
    status = rc == SQLITE_DONE ? ERR_NOT_FOUND : store_error(s, rc);
    if (status == 0) {
        size_t have = (size_t)sqlite3_column_bytes(q, 0);
        if (have > 0 && cap > 0)
            memcpy(out, sqlite3_column_blob(q, 0), have < cap ? have : cap);
        *size = have;
    }
    sqlite3_reset(q);
    return status;
}
