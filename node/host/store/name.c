#include "node/host/store/name.h"
#include "node/host/store/internal.h"

int store_contact_put(struct store *s, const struct store_contact *c)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_CONTACT_PUT, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_blob(q, 1, c->key, NODE_KEY_SIZE, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, c->petname, -1, SQLITE_STATIC);
    sqlite3_bind_int(q, 3, c->pinned);
    sqlite3_bind_int(q, 4, c->site);
    return store_run(s, q);
}

int store_contact_record(struct store *s, const uint8_t key[NODE_KEY_SIZE], struct bytes record, int64_t now_s, uint32_t max)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_CONTACT_RECORD, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_blob(q, 1, key, NODE_KEY_SIZE, SQLITE_STATIC);
    sqlite3_bind_blob64(q, 2, record.data, record.size, SQLITE_STATIC);
    sqlite3_bind_int64(q, 3, now_s);
    status = store_run(s, q);
    q = status == 0 ? store_statement(s, SQL_CONTACTS_SURPLUS, &status) : NULL;
    if (q == NULL)
        return status;
    sqlite3_bind_int64(q, 1, max);
    return store_run(s, q);
}

int store_contacts(struct store *s, bool (*each)(void *context, const struct store_contact *c), void *context)
{
    int status, rc;
    sqlite3_stmt *q = store_statement(s, SQL_CONTACTS, &status);
    if (q == NULL)
        return status;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        struct store_contact c = {.petname = (const char *)sqlite3_column_text(q, 1),
                                  .pinned = sqlite3_column_int(q, 2) != 0,
                                  .site = sqlite3_column_int(q, 3) != 0,
                                  .record = bytes_of(sqlite3_column_blob(q, 4), (size_t)sqlite3_column_bytes(q, 4))};
        if (sqlite3_column_bytes(q, 0) != NODE_KEY_SIZE)
            continue;
        memcpy(c.key, sqlite3_column_blob(q, 0), NODE_KEY_SIZE);
        if (!each(context, &c))
            break;
    }
    status = store_error(s, rc);
    sqlite3_reset(q);
    return status;
}

int store_listing_put(struct store *s, const char *path, bool listed)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_LISTING_PUT, &status);
    if (q == NULL)
        return status;
    sqlite3_bind_text(q, 1, path, -1, SQLITE_STATIC);
    sqlite3_bind_int(q, 2, listed);
    return store_run(s, q);
}

bool store_listing_get(struct store *s, const char *path, bool otherwise)
{
    int status;
    sqlite3_stmt *q = store_statement(s, SQL_LISTING_GET, &status);
    if (q == NULL)
        return otherwise;
    sqlite3_bind_text(q, 1, path, -1, SQLITE_STATIC);
    if (sqlite3_step(q) == SQLITE_ROW)
        otherwise = sqlite3_column_int(q, 0) != 0;
    sqlite3_reset(q);
    return otherwise;
}
