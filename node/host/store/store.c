#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "node/host/store/internal.h"

/* Migration i brings a database of version i to i + 1. Never edit one that was released; add another. */
static const char *const migrations[] = {
    "CREATE TABLE share (row INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, name TEXT NOT NULL, root BLOB "
    "NOT NULL,"
    " size INTEGER NOT NULL, kind INTEGER NOT NULL, bytes INTEGER NOT NULL, files INTEGER NOT NULL,"
    " added_s INTEGER NOT NULL, with_times INTEGER NOT NULL, fetched INTEGER NOT NULL, state INTEGER NOT "
    "NULL,"
    " ready INTEGER NOT NULL);"
    "CREATE INDEX share_root ON share (root);"
    "CREATE TABLE content (row INTEGER PRIMARY KEY, key BLOB NOT NULL, root BLOB NOT NULL, size INTEGER NOT "
    "NULL,"
    " kind INTEGER NOT NULL, place INTEGER NOT NULL, state INTEGER NOT NULL, path TEXT NOT NULL,"
    " directory TEXT NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL, file_size INTEGER NOT NULL,"
    " mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, announce INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX content_path ON content (path, key, directory);"
    "CREATE INDEX content_key ON content (key);"
    "CREATE INDEX content_root ON content (root);"
    "CREATE INDEX content_announce ON content (key) WHERE announce = 1 AND state = 0;"
    "CREATE TABLE owner (share INTEGER NOT NULL REFERENCES share (row) ON DELETE CASCADE,"
    " content INTEGER NOT NULL REFERENCES content (row) ON DELETE CASCADE, fresh INTEGER NOT NULL,"
    " PRIMARY KEY (share, content)) WITHOUT ROWID;"
    "CREATE INDEX owner_content ON owner (content);"
    "CREATE TABLE fetch (target TEXT PRIMARY KEY, root BLOB NOT NULL, size INTEGER NOT NULL, kind INTEGER "
    "NOT NULL,"
    " state BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE pin (root BLOB NOT NULL, size INTEGER NOT NULL, kind INTEGER NOT NULL,"
    " PRIMARY KEY (root, size, kind)) WITHOUT ROWID;"
    "CREATE TABLE value (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;",
    /* Accounts of people and what signed in with them. A login of no account is the owner's, who needs none on this computer. */
    "CREATE TABLE account (name TEXT PRIMARY KEY, hash TEXT NOT NULL, privilege INTEGER NOT NULL,"
    " added_s INTEGER NOT NULL, last_s INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE login (row INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE,"
    " account TEXT REFERENCES account (name) ON DELETE CASCADE, token INTEGER NOT NULL, label TEXT NOT NULL,"
    " origin TEXT NOT NULL, since_s INTEGER NOT NULL, last_s INTEGER NOT NULL, expires_s INTEGER NOT NULL);"
    "CREATE INDEX login_account ON login (account);",
    /* Counts what happens to shares, by whatever handle, so that a page that shows them need not compare. */
    "CREATE TABLE tally (what TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO tally VALUES ('share', 0);"
    "CREATE TRIGGER share_added AFTER INSERT ON share BEGIN UPDATE tally SET n = n + 1 WHERE what = 'share'; END;"
    "CREATE TRIGGER share_changed AFTER UPDATE ON share BEGIN UPDATE tally SET n = n + 1 WHERE what = 'share'; END;"
    "CREATE TRIGGER share_removed AFTER DELETE ON share BEGIN UPDATE tally SET n = n + 1 WHERE what = 'share'; END;",
    /* Other nodes by name: those that are pinned, and the last profile of each, whose sequence no reader goes back from. */
    "CREATE TABLE contact (key BLOB PRIMARY KEY, petname TEXT NOT NULL, pinned INTEGER NOT NULL,"
    " site INTEGER NOT NULL, record BLOB NOT NULL, seen_s INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE listing (path TEXT PRIMARY KEY, listed INTEGER NOT NULL) WITHOUT ROWID;",
    /* Gateways show shares by name. */
    "CREATE INDEX share_name ON share (name);",
};
#define SCHEMA_VERSION ((int)(sizeof migrations / sizeof *migrations))

int store_error(struct store *s, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        return ERR_NO_SPACE;
    case SQLITE_NOMEM:
        return ERR_NO_MEMORY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return ERR_PERMISSION;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        switch (s->db ? sqlite3_system_errno(s->db) : 0) {
        case ENOSPC:
        case EDQUOT:
            return ERR_NO_SPACE;
        case EACCES:
        case EPERM:
        case EROFS:
            return ERR_PERMISSION;
        default:
            return ERR_IO;
        }
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_IO;
    case SQLITE_CONSTRAINT: /* a content for a share that another handle removed meanwhile */
        return ERR_NOT_FOUND;
    default: /* misuse, range: our own bug */
        core_assert(rc == SQLITE_OK);
        return ERR_IO;
    }
}

sqlite3_stmt *store_statement(struct store *s, enum statement which, int *status)
{
    static const char *const sql[SQL_COUNT] = {
#define X(name, text) text,
        STORE_STATEMENTS(X)
#undef X
    };
    sqlite3_stmt **q = &s->statements[which];
    *status = 0;
    if (*q == NULL) {
        int rc = sqlite3_prepare_v3(s->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, q, NULL);
        if (rc != SQLITE_OK) {
            *status = store_error(s, rc);
            return NULL;
        }
    }
    sqlite3_reset(*q);
    sqlite3_clear_bindings(*q);
    return *q;
}

int store_run(struct store *s, sqlite3_stmt *q)
{
    int rc;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW)
        ;
    int status = store_error(s, rc);
    sqlite3_reset(q);
    return status;
}

const char *store_string(struct store *s, uint32_t slot, sqlite3_stmt *q, int column)
{
    const char *text = (const char *)sqlite3_column_text(q, column);
    free(s->strings[slot]);
    s->strings[slot] = text ? strdup(text) : NULL;
    return s->strings[slot];
}

void store_bind_id(sqlite3_stmt *q, int at, const struct content_id *id)
{
    sqlite3_bind_blob(q, at, id->root, HASH_SIZE, SQLITE_STATIC);
    sqlite3_bind_int64(q, at + 1, (int64_t)id->size);
    sqlite3_bind_int(q, at + 2, id->kind);
}

void store_read_id(struct content_id *out, sqlite3_stmt *q, int at)
{
    memset(out, 0, sizeof *out);
    if (sqlite3_column_bytes(q, at) == HASH_SIZE)
        memcpy(out->root, sqlite3_column_blob(q, at), HASH_SIZE);
    out->size = (uint64_t)sqlite3_column_int64(q, at + 1) & CONTENT_SIZE_MAX;
    out->kind = (uint8_t)(sqlite3_column_int(q, at + 2) & 15);
}

/* ---- Opening ---- */

static int exec(struct store *s, const char *sql)
{
    return store_error(s, sqlite3_exec(s->db, sql, NULL, NULL, NULL));
}

static int schema_version(struct store *s, int *out)
{
    sqlite3_stmt *q;
    int rc = sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &q, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(q);
        *out = rc == SQLITE_ROW ? sqlite3_column_int(q, 0) : 0;
        sqlite3_finalize(q);
    }
    return store_error(s, rc);
}

/* All steps in one transaction: a crash leaves the old version. Two processes that open at once do it once,
 * since the version is read again under the lock. */
static int migrate(struct store *s)
{
    int version = 0, status = schema_version(s, &version);
    if (status || version == SCHEMA_VERSION)
        return status;
    if (version > SCHEMA_VERSION)
        return ERR_VERSION;
    status = exec(s, "BEGIN IMMEDIATE");
    if (status == 0)
        status = schema_version(s, &version);
    for (; status == 0 && version < SCHEMA_VERSION; version++)
        status = exec(s, migrations[version]);
    if (status == 0) {
        char sql[64];
        snprintf(sql, sizeof sql, "PRAGMA user_version = %d", SCHEMA_VERSION);
        status = exec(s, sql);
    }
    if (status == 0)
        status = exec(s, "COMMIT");
    if (status && !sqlite3_get_autocommit(s->db))
        exec(s, "ROLLBACK");
    return status;
}

/* Made by us first, so that it and the WAL beside it (which takes its mode) are never readable by others,
 * whatever the umask. Never opens a database that is there: closing any descriptor of a file drops all POSIX locks this process has on it (fcntl(2)), so SQLite's
 * handles of other threads would lose theirs, and another program that opens the database would damage it. */
static int make_private(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        close(fd); /* new: nobody has it open */
        return 0;
    }
    if (errno != EEXIST)
        return errno == ENOSPC ? ERR_NO_SPACE : errno == EACCES || errno == EROFS ? ERR_PERMISSION : ERR_IO;
    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return ERR_IO;
    if (st.st_mode & 077)
        chmod(path, 0600);
    return access(path, R_OK | W_OK) == 0 ? 0 : ERR_PERMISSION;
}

/* They exist from the start, so that whoever writes below them makes at most one folder. */
static int make_folders(struct store *s)
{
    static const char *const kinds[] = {"objects", "trees"};
    for (size_t i = 0; i < 2; i++) {
        char path[PATH_MAX];
        if ((size_t)snprintf(path, sizeof path, "%s/%s", s->home, kinds[i]) >= sizeof path)
            return ERR_RANGE;
        if (mkdir(path, 0700) && errno != EEXIST)
            return errno == ENOSPC                     ? ERR_NO_SPACE
                   : errno == EACCES || errno == EROFS ? ERR_PERMISSION
                                                       : ERR_IO;
    }
    return 0;
}

static int configure(struct store *s)
{
    sqlite3_busy_timeout(s->db, 10000);
    sqlite3_extended_result_codes(s->db, 1);
    /* A WAL survives kill -9 at any moment; FULL syncs it at each commit, so that what was reported done is
     * on the disk. */
    int status = exec(s, "PRAGMA journal_mode = WAL");
    if (status == 0)
        status = exec(
            s,
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -2000;"
            "PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 4194304; PRAGMA trusted_schema = OFF;");
    return status;
}

static void explain(char *message, const char *path, int status)
{
    if (message == NULL)
        return;
    switch (status) {
    case ERR_VERSION:
        snprintf(message, 256, "%.150s was written by a newer version of shoal: update this one", path);
        break;
    case ERR_NO_SPACE:
        snprintf(message, 256, "no space left for %.150s: free some and start again", path);
        break;
    case ERR_PERMISSION:
        snprintf(message, 256, "%.150s may not be written: check its owner and mode", path);
        break;
    case ERR_BUSY:
        snprintf(message, 256, "%.150s is locked by another program", path);
        break;
    default:
        snprintf(message, 256, "%.150s cannot be opened as a database (%s): move it away and share again",
                 path, err_text(status));
    }
}

int store_open(struct store **out, const char *home, char *message)
{
    char path[PATH_MAX];
    *out = NULL;
    struct store *s = calloc(1, sizeof *s);
    if (s == NULL || (size_t)snprintf(path, sizeof path, "%s/shoal.db", home) >= sizeof path - 100) {
        int status = s ? ERR_RANGE : ERR_NO_MEMORY;
        free(s);
        explain(message, home, status);
        return status;
    }
    snprintf(s->home, sizeof s->home, "%s", home);
    if (mkdir(home, 0700) && errno != EEXIST) {
        int status = errno == ENOSPC                     ? ERR_NO_SPACE
                     : errno == EACCES || errno == EROFS ? ERR_PERMISSION
                                                         : ERR_IO;
        free(s);
        explain(message, home, status);
        return status;
    }
    int status = make_private(path);
    if (status == 0)
        status = make_folders(s);
    if (status == 0)
        status = store_error(
            s, sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                               NULL));
    if (status == 0)
        status = configure(s);
    if (status == 0)
        status = migrate(s);
    if (status) {
        explain(message, path, status);
        store_close(s);
        return status;
    }
    uint8_t quota[8];
    size_t size;
    if (store_value_get(s, "quota", quota, sizeof quota, &size) == 0 && size == sizeof quota)
        s->quota = get_be64(quota);
    *out = s;
    return 0;
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    for (size_t i = 0; i < sizeof s->strings / sizeof *s->strings; i++)
        free(s->strings[i]);
    free(s);
}

/* ---- Transactions ---- */

static int run_plain(struct store *s, enum statement which)
{
    int status;
    sqlite3_stmt *q = store_statement(s, which, &status);
    return q ? store_run(s, q) : status;
}

int store_begin(struct store *s)
{
    if (s->depth == 0) {
        s->doomed = false;
        int status = run_plain(s, SQL_BEGIN);
        if (status)
            return status;
    }
    s->depth++;
    return 0;
}

int store_commit(struct store *s)
{
    core_assert(s->depth > 0);
    if (--s->depth > 0)
        return 0;
    /* After some errors (a full disk) SQLite has rolled back by itself. */
    int status = s->doomed || sqlite3_get_autocommit(s->db) ? ERR_CANCELLED : run_plain(s, SQL_COMMIT);
    if (status && !sqlite3_get_autocommit(s->db))
        run_plain(s, SQL_ROLLBACK);
    return status;
}

void store_rollback(struct store *s)
{
    core_assert(s->depth > 0);
    s->doomed = true;
    if (--s->depth == 0 && !sqlite3_get_autocommit(s->db))
        run_plain(s, SQL_ROLLBACK);
}
