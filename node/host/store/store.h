/* The store: what a home keeps, in SQLite (home/shoal.db, WAL) and in home/objects (manifests and other content of our own making). The only
 * room that includes sqlite3.h. One handle per thread; a handle is not shared. All functions return 0 or an enum shoal_error; ERR_NO_SPACE and
 * ERR_IO leave the store usable. */
#ifndef SHOAL_HOST_STORE_H
#define SHOAL_HOST_STORE_H
#include "transfer/content.h"

struct store;
/* Opens or makes home/shoal.db (mode 0600) and migrates it. message (may be NULL, 256 bytes) gets a sentence for people on error. */
int store_open(struct store **out, const char *home, char *message);
void store_close(struct store *s);

/* Identity of a file at the time it was hashed: a difference means it changed (DESIGN.md, rule 2). */
struct file_stamp {
    uint64_t device, inode, size;
    int64_t mtime_ns, ctime_ns;
};

enum content_place {
    PLACE_FILE,    /* the user's file, shared in place: path */
    PLACE_OBJECT,  /* home/objects/xx/<id>: ours; freed by gc when nothing refers to it */
    PLACE_PART     /* being fetched: path is the final name, the .part file beside it */
};
enum content_state { CONTENT_OK, CONTENT_CHANGED, CONTENT_MISSING };

struct store_content {
    int64_t row;
    struct content_id id;
    uint8_t provider_key[HASH_SIZE];
    enum content_place place;
    enum content_state state;
    const char *path;            /* absolute; for a TREE: the manifest object's path */
    const char *directory;       /* for a TREE shared in place: the directory its entries lie in; NULL otherwise */
    struct file_stamp stamp;
    int64_t share;               /* row of the share it belongs to, 0 = none */
    bool announce;               /* roots, and files of 1 MiB or more inside trees */
};

int store_begin(struct store *s);                 /* transactions nest: only the outermost commits */
int store_commit(struct store *s);
void store_rollback(struct store *s);

/* Inserts or replaces by (provider key, path, directory). Strings are copied. Two overlapping shares may own one content: `share` is added to its
 * owners; ERR_NOT_FOUND when there is no such share (any more). */
int store_content_put(struct store *s, const struct store_content *c);
/* The best row for this provider key (state OK first). Strings in *out live until the next call on this handle. ERR_NOT_FOUND. */
int store_content_find(struct store *s, const uint8_t provider_key[HASH_SIZE], struct store_content *out);
int store_content_by_id(struct store *s, const struct content_id *id, struct store_content *out);
int store_content_by_path(struct store *s, const char *path, struct store_content *out);
int store_content_state(struct store *s, int64_t row, enum content_state state);
int store_content_remove(struct store *s, int64_t row);
/* At most `max` rows with row > after, in order of row; share 0 = all. For walks in slices. */
int store_contents(struct store *s, int64_t share, int64_t after, uint32_t max,
                   bool (*each)(void *context, const struct store_content *content), void *context);
/* Calls each for provider keys to announce, in key order. Stops when it returns false. */
int store_announced(struct store *s, bool (*each)(void *context, const uint8_t provider_key[HASH_SIZE]), void *context);

struct store_share {
    int64_t row;
    const char *path;            /* absolute */
    const char *name;
    struct content_id id;
    uint64_t bytes;              /* payload of the tree or file */
    uint64_t files;
    int64_t added_s;             /* unix time */
    bool with_times, fetched;    /* fetched: came by get, shared on */
    enum content_state state;
};
int store_share_put(struct store *s, const struct store_share *share, int64_t *row); /* replaces by path */
/* A share that is being made (again): its row, hidden from all lists until store_share_put when it is new, so that contents can be owned by it at
 * once and survive a crash. Contents put from here on are fresh; settle, after store_share_put, forgets those that were not put again. */
int store_share_begin(struct store *s, const char *path, int64_t now_s, int64_t *row);
int store_share_settle(struct store *s, int64_t row);
int store_share_state(struct store *s, int64_t row, enum content_state state);
/* Provider keys that were announced and that store_share_settle (stale) or store_share_remove would forget. */
int store_share_lost(struct store *s, int64_t row, bool stale, bool (*each)(void *context, const uint8_t provider_key[HASH_SIZE]), void *context);
int store_share_hide(struct store *s, int64_t row);   /* out of all lists at once; store_share_remove, slower, may follow */
/* The shares that own this content row. */
int store_shares_of(struct store *s, int64_t content, bool (*each)(void *context, const struct store_share *share), void *context);
/* Removes the share and the contents that only it refers to. ERR_NOT_FOUND. */
int store_share_remove(struct store *s, int64_t row);
int store_share_by_path(struct store *s, const char *path, struct store_share *out);
int store_share_by_id(struct store *s, const struct content_id *id, struct store_share *out);
int store_shares(struct store *s, bool (*each)(void *context, const struct store_share *share), void *context);
/* Those with this row or a later one, in order of row: for pages, which cost the same wherever they begin. */
int store_shares_from(struct store *s, int64_t row, bool (*each)(void *context, const struct store_share *share), void *context);
/* In order of the bytes of their names, those of one name by row; and those of one name alone. */
int store_shares_by_name(struct store *s, bool (*each)(void *context, const struct store_share *share), void *context);
int store_shares_named(struct store *s, const char *name, bool (*each)(void *context, const struct store_share *share), void *context);
int store_share_count(struct store *s, uint64_t *count, uint64_t *troubled); /* troubled: changed or missing */

int store_share_changes(struct store *s, uint64_t *out); /* grows with every change of a share, by whatever handle */

/* Fetches that are under way, so that they resume after a crash. `state` is the fetch module's own bytes. */
int store_fetch_put(struct store *s, const char *target, const struct content_id *id, struct bytes state);
int store_fetch_remove(struct store *s, const char *target);
int store_fetches(struct store *s, bool (*each)(void *context, const char *target, const struct content_id *id, struct bytes state),
                  void *context);

/* Pins keep objects (and, for a tree, everything its manifest names) from gc. */
int store_pin(struct store *s, const struct content_id *id, bool pinned);
bool store_is_pinned(struct store *s, const struct content_id *id);
int store_pins(struct store *s, bool (*each)(void *context, const struct content_id *id), void *context);

/* Small values by key: the core's EFFECT_PERSIST, contacts, settings. get copies at most cap bytes and sets *size. ERR_NOT_FOUND. */
int store_value_put(struct store *s, const char *key, struct bytes value);
int store_value_get(struct store *s, const char *key, uint8_t *out, size_t cap, size_t *size);

/* Objects: written, synced, renamed into place. Put the row that names an object (store_content_put, committed) BEFORE the object, unless a pin or
 * fetch names it: then gc cannot come between. ERR_QUOTA when home would grow over its quota. */
int store_object_put(struct store *s, const struct content_id *id, struct bytes bytes);
struct store_object {
    struct content_id id;
    struct bytes bytes;
};
int store_objects_put(struct store *s, const struct store_object *objects, size_t count); /* many at the price of a few syncs */
/* The whole object, to be freed by the caller. ERR_NOT_FOUND; ERR_CHANGED when its size is wrong. The hash is not checked. Any thread. */
int store_object_read(const struct store *s, const struct content_id *id, uint8_t **out);
void store_object_path(const struct store *s, const struct content_id *id, char *out, size_t cap);
/* Hash trees of content larger than one span's worth: home/trees/xx/<id>: leaf hashes, then the upper layers (transfer/tree.h). */
void store_tree_path(const struct store *s, const struct content_id *id, char *out, size_t cap);
/* A name for a file in the making under home/<kind> ("objects" or "trees"); gc removes it when it was left behind. */
int store_temporary_path(struct store *s, const char *kind, char *out, size_t cap);
/* Syncs the finished temporary file and renames it to its tree path; on error it is gone. Same order as for objects: row first. */
int store_tree_put(struct store *s, const char *temporary, const struct content_id *id);

/* Quota and gc: bytes under home (objects, trees, database), limit from configuration; 0 = none. */
int store_usage(struct store *s, uint64_t *bytes);
int store_quota_set(struct store *s, uint64_t bytes);  /* kept in the store, so that later handles know it */
int store_room(struct store *s, uint64_t more);        /* ERR_QUOTA when `more` bytes under home would pass the quota */
/* As store_room, after what was fetched into home/cache longest ago has given way as far as needed. */
int store_cache_room(struct store *s, uint64_t more);
struct gc_result { uint64_t objects, bytes; };
/* Removes objects and trees that no share, fetch or pin refers to. each (may be NULL) is told every path. dry_run removes nothing. */
/* And what lies in home/cache, but for pins and what is being fetched. */
int store_gc(struct store *s, bool dry_run, bool (*each)(void *context, const char *path, uint64_t bytes), void *context, struct gc_result *out);
#endif
