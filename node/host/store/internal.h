/* What the files of the store share among themselves. */
#ifndef SHOAL_HOST_STORE_INTERNAL_H
#define SHOAL_HOST_STORE_INTERNAL_H
#include <limits.h>
#include <sqlite3.h>
#include "node/base/assert.h"
#include "node/base/err.h"
#include "node/host/store/store.h"

/* Every statement that is used more than once, prepared on first use and kept. `C` are the columns of a content, `S` those of a share,
 * in the order in which content_read and share_read take them. */
#define C                                                                                                              \
    "row, key, root, size, kind, place, state, path, directory, device, inode, file_size, mtime_ns, ctime_ns, "        \
    "(SELECT share FROM owner WHERE owner.content = content.row LIMIT 1), announce"
#define S "row, path, name, root, size, kind, bytes, files, added_s, with_times, fetched, state"
#define A "name, hash, privilege, added_s, last_s"
#define L                                                                                                              \
    "row, account, (SELECT privilege FROM account WHERE name = login.account), token, label, origin, since_s, "        \
    "last_s, expires_s FROM login"
#define STORE_STATEMENTS(X)                                                                                            \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                                        \
    X(COMMIT, "COMMIT")                                                                                                \
    X(ROLLBACK, "ROLLBACK")                                                                                            \
    X(CONTENT_PUT,                                                                                                     \
      "INSERT INTO content (key, root, size, kind, place, state, path, directory, device, inode, file_size, "          \
      "mtime_ns, ctime_ns, announce) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) "            \
      "ON CONFLICT (path, key, directory) DO UPDATE SET place = ?5, state = ?6, device = ?9, inode = ?10, "            \
      "file_size = ?11, mtime_ns = ?12, ctime_ns = ?13, announce = max(announce, ?14) RETURNING row")                  \
    X(OWNER_PUT, "INSERT INTO owner (share, content, fresh) VALUES (?1, ?2, 1) "                                       \
                 "ON CONFLICT DO UPDATE SET fresh = 1")                                                                \
    X(CONTENT_FIND, "SELECT " C " FROM content WHERE key = ?1 ORDER BY state, place = 2, row LIMIT 1")                 \
    X(CONTENT_BY_ID, "SELECT " C " FROM content WHERE root = ?1 AND size = ?2 AND kind = ?3 "                          \
                     "ORDER BY state, place = 2, row LIMIT 1")                                                         \
    X(CONTENT_BY_PATH, "SELECT " C " FROM content WHERE path = ?1 ORDER BY state, row DESC LIMIT 1")                   \
    X(CONTENT_STATE, "UPDATE content SET state = ?2 WHERE row = ?1")                                                   \
    X(CONTENT_REMOVE, "DELETE FROM content WHERE row = ?1")                                                            \
    X(CONTENTS_OF_SHARE, "SELECT " C " FROM content WHERE row > ?2 AND row IN "                                        \
                         "(SELECT content FROM owner WHERE share = ?1) ORDER BY row LIMIT ?3")                         \
    X(CONTENTS, "SELECT " C " FROM content WHERE row > ?2 ORDER BY row LIMIT ?3")                                      \
    X(ANNOUNCED, "SELECT DISTINCT key FROM content WHERE announce = 1 AND state = 0 AND row NOT IN (SELECT content "   \
                 "FROM owner JOIN share ON share.row = owner.share WHERE share.ready = 0) ORDER BY key")               \
    X(SHARE_BEGIN, "INSERT INTO share (path, name, root, size, kind, bytes, files, added_s, with_times, fetched, "     \
                   "state, ready) VALUES (?1, '', zeroblob(32), 0, 0, 0, 0, ?2, 0, 0, 0, 0) "                          \
                   "ON CONFLICT (path) DO UPDATE SET added_s = CASE WHEN ready THEN added_s ELSE ?2 END RETURNING row")                                       \
    X(OWNER_STALE, "UPDATE owner SET fresh = 0 WHERE share = ?1")                                                      \
    X(SHARE_PUT, "INSERT INTO share (path, name, root, size, kind, bytes, files, added_s, with_times, fetched, "       \
                 "state, ready) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 1) ON CONFLICT (path) DO "       \
                 "UPDATE SET name = ?2, root = ?3, size = ?4, kind = ?5, bytes = ?6, files = ?7, added_s = ?8, "       \
                 "with_times = ?9, fetched = ?10, state = ?11, ready = 1 RETURNING row")                               \
    X(SHARE_STATE, "UPDATE share SET state = ?2 WHERE row = ?1")                                                       \
    X(SHARE_REMOVE, "DELETE FROM share WHERE row = ?1")                                                                \
    X(ORPHANS_REMOVE, "DELETE FROM content WHERE row IN (SELECT content FROM owner WHERE share = ?1 AND fresh <= ?2) " \
                      "AND NOT EXISTS (SELECT 1 FROM owner o WHERE o.content = content.row AND "                       \
                      "(o.share <> ?1 OR o.fresh > ?2))")                                                              \
    X(ORPHANS, "SELECT key FROM content WHERE announce = 1 AND row IN (SELECT content FROM owner WHERE share = ?1 AND fresh <= ?2) " \
               "AND NOT EXISTS (SELECT 1 FROM owner o WHERE o.content = content.row AND (o.share <> ?1 OR o.fresh > ?2))") \
    X(SHARE_HIDE, "UPDATE share SET ready = 0, added_s = 0 WHERE row = ?1") \
    X(OWNERS_REMOVE, "DELETE FROM owner WHERE share = ?1 AND fresh <= ?2")                                             \
    X(SHARE_BY_PATH, "SELECT " S " FROM share WHERE path = ?1 AND ready = 1")                                          \
    X(SHARE_BY_ID, "SELECT " S " FROM share WHERE root = ?1 AND size = ?2 AND kind = ?3 AND ready = 1 "                \
                   "ORDER BY row LIMIT 1")                                                                             \
    X(SHARES, "SELECT " S " FROM share WHERE ready = 1 ORDER BY row")                                                  \
    X(SHARES_BY_NAME, "SELECT " S " FROM share WHERE ready = 1 ORDER BY name, row")                                    \
    X(SHARES_NAMED, "SELECT " S " FROM share WHERE name = ?1 AND ready = 1 ORDER BY row")                              \
    X(SHARE_OF, "SELECT " S " FROM share WHERE row IN (SELECT share FROM owner WHERE content = ?1) AND ready = 1 "     \
                "ORDER BY row")                                                                                        \
    X(SHARES_FROM, "SELECT " S " FROM share WHERE ready = 1 AND row >= ?1 ORDER BY row")                               \
    X(SHARE_COUNT, "SELECT count(*), coalesce(sum(state <> 0), 0) FROM share WHERE ready = 1")                         \
    X(SHARES_UNREADY, "DELETE FROM share WHERE ready = 0 AND added_s < ?1")                                            \
    X(FETCH_PUT, "INSERT INTO fetch (target, root, size, kind, state) VALUES (?1, ?2, ?3, ?4, ?5) "                    \
                 "ON CONFLICT (target) DO UPDATE SET root = ?2, size = ?3, kind = ?4, state = ?5")                     \
    X(FETCH_REMOVE, "DELETE FROM fetch WHERE target = ?1")                                                             \
    X(FETCHES, "SELECT target, root, size, kind, state FROM fetch ORDER BY target")                                    \
    X(PIN_PUT, "INSERT INTO pin (root, size, kind) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")                        \
    X(PIN_REMOVE, "DELETE FROM pin WHERE root = ?1 AND size = ?2 AND kind = ?3")                                       \
    X(PIN_FIND, "SELECT 1 FROM pin WHERE root = ?1 AND size = ?2 AND kind = ?3")                                       \
    X(PINS, "SELECT root, size, kind FROM pin ORDER BY root, size, kind")                                              \
    X(VALUE_PUT, "INSERT INTO value (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2")          \
    X(VALUE_GET, "SELECT value FROM value WHERE key = ?1")                                                             \
    X(SHARE_TALLY, "SELECT n FROM tally WHERE what = 'share'")                                                         \
    X(ACCOUNT_PUT, "INSERT INTO account (name, hash, privilege, added_s, last_s) VALUES (?1, ?2, ?3, ?4, 0) "          \
                   "ON CONFLICT DO NOTHING")                                                                           \
    X(ACCOUNT_HASH, "UPDATE account SET hash = ?2 WHERE name = ?1")                                                    \
    X(ACCOUNT_USED, "UPDATE account SET last_s = ?2 WHERE name = ?1")                                                  \
    X(ACCOUNT_REMOVE, "DELETE FROM account WHERE name = ?1")                                                           \
    X(ACCOUNT_FIND, "SELECT " A " FROM account WHERE name = ?1")                                                       \
    X(ACCOUNTS, "SELECT " A " FROM account ORDER BY name")                                                             \
    X(ACCOUNT_COUNT, "SELECT count(*), coalesce(sum(privilege = ?1), 0) FROM account")                                 \
    X(LOGIN_PUT, "INSERT INTO login (digest, account, token, label, origin, since_s, last_s, expires_s) VALUES (?1, "   \
                 "?2, ?3, ?4, ?5, ?6, ?6, ?7)")                                                                        \
    X(LOGIN_FIND, "SELECT " L " WHERE digest = ?1 AND (expires_s = 0 OR expires_s > ?2)")                              \
    X(LOGIN_USED, "UPDATE login SET last_s = ?2, expires_s = ?3 WHERE row = ?1")                                       \
    X(LOGIN_REMOVE, "DELETE FROM login WHERE row = ?1")                                                                \
    X(LOGINS_REMOVE, "DELETE FROM login WHERE account IS ?1 AND token <= ?2 AND row <> ?3")                            \
    X(LOGINS_EXPIRED, "DELETE FROM login WHERE expires_s <> 0 AND expires_s <= ?1")                                    \
    X(LOGINS_SURPLUS, "DELETE FROM login WHERE row IN (SELECT row FROM login WHERE account IS ?1 AND token = ?2 "       \
                      "ORDER BY last_s DESC, row DESC LIMIT -1 OFFSET ?3)")                                            \
    X(LOGINS, "SELECT " L " WHERE account IS ?1 ORDER BY row")                                                         \
    X(LOGINS_ALL, "SELECT " L " ORDER BY row")                                                                         \
    X(CONTACT_PUT, "INSERT INTO contact (key, petname, pinned, site, record, seen_s) VALUES (?1, ?2, ?3, ?4, x'', 0) "  \
                   "ON CONFLICT (key) DO UPDATE SET petname = ?2, pinned = ?3, site = ?4")                              \
    X(CONTACT_RECORD, "INSERT INTO contact (key, petname, pinned, site, record, seen_s) VALUES (?1, '', 0, 0, ?2, ?3) " \
                      "ON CONFLICT (key) DO UPDATE SET record = ?2, seen_s = ?3")                                      \
    X(CONTACTS_SURPLUS, "DELETE FROM contact WHERE pinned = 0 AND key IN (SELECT key FROM contact WHERE pinned = 0 "    \
                        "ORDER BY seen_s DESC LIMIT -1 OFFSET ?1)")                                                    \
    X(CONTACTS, "SELECT key, petname, pinned, site, record FROM contact ORDER BY key")                                 \
    X(LISTING_PUT, "INSERT INTO listing (path, listed) VALUES (?1, ?2) ON CONFLICT (path) DO UPDATE SET listed = ?2")   \
    X(LISTING_GET, "SELECT listed FROM listing WHERE path = ?1")                                                       \
    X(LIVE, "SELECT DISTINCT root, size, kind FROM content WHERE place = 2 OR EXISTS "                                 \
            "(SELECT 1 FROM owner WHERE owner.content = content.row)")                                                 \
    X(DEAD_OBJECTS, "DELETE FROM content WHERE place = 1 AND NOT EXISTS "                                              \
                    "(SELECT 1 FROM owner WHERE owner.content = content.row)")

enum statement {
#define X(name, sql) SQL_##name,
    STORE_STATEMENTS(X)
#undef X
    SQL_COUNT
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_COUNT];
    char home[PATH_MAX];
    uint32_t depth;          /* of transactions */
    bool doomed;             /* an inner one was rolled back */
    char *strings[3];        /* what `out` structures borrow until the next call */
    uint64_t quota;          /* [bytes], 0 = none */
    uint64_t usage, added;   /* counted at usage_at, and written by this handle since */
    uint64_t usage_at_ms;
    uint32_t temporary;      /* numbers temporary files */
};

/* The statement, reset and without bindings; NULL: *status says why. */
sqlite3_stmt *store_statement(struct store *s, enum statement which, int *status);
/* sqlite's code as ours. */
int store_error(struct store *s, int rc);
/* Runs a statement without result rows and resets it. */
int store_run(struct store *s, sqlite3_stmt *q);
/* Copies column `column` into place `slot` of the handle's strings. NULL stays NULL. */
const char *store_string(struct store *s, uint32_t slot, sqlite3_stmt *q, int column);
void store_bind_id(sqlite3_stmt *q, int at, const struct content_id *id); /* root, size, kind at `at` and the two after */
void store_read_id(struct content_id *out, sqlite3_stmt *q, int at);
/* home/<kind>/xx, made when it is not there. */
int store_folder(const struct store *s, const char *kind, const struct content_id *id, char *out, size_t cap);
int store_sync_folder(const char *path);
int store_cache_sweep(struct store *s, bool dry_run, bool (*each)(void *context, const char *path, uint64_t bytes), void *context,
                      struct gc_result *out);
#endif
