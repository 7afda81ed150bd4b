/* The walk of one tree: what the loop and the pool share, and the two pieces of work in the pool: planning a directory (fetch_plan.c) and giving the
 * finished tree its name (fetch_final.c). */
#ifndef SHOAL_HOST_FETCH_WALK_H
#define SHOAL_HOST_FETCH_WALK_H
#include "node/host/fetch_internal.h"

struct fetch_found { /* one per selected path */
    bool found;
    struct content_id id;
};

enum fetch_dir_state { DIR_WAITING, DIR_READY, DIR_PLANNING, DIR_PLANNED };
struct fetch_dir {
    struct content_id id;
    char *path;             /* below the root of the tree; "" = the root */
    uint8_t depth, state, tries;
    bool whole;             /* everything below is selected */
    bool counted;           /* planned once: its children and totals are known */
    uint32_t first_child, child_count, next_ready;
    uint64_t had_files, had_bytes; /* counted as done already */
};

/* Counted references, changed on the loop thread only. Tasks in the pool read what they were given; `dirs` only fetch_final does, and the loop
 * leaves it alone meanwhile. */
struct fetch_walk {
    uint32_t refs;
    struct store *store;    /* for store_object_path only */
    char *root;             /* the staging tree, absolute; NULL: only a listing */
    char *target;
    bool list_recursive;
    char **select;
    size_t select_count;
    struct fetch_dir *dirs; /* children always after their parent */
    uint32_t dir_count, dir_cap;
};
struct fetch_walk *fetch_walk_new(struct fetch *x, const char *root);
void fetch_walk_release(struct fetch_walk *w);

struct fetch_plan_item { /* an entry that needs more than the pack */
    struct content_id id;
    char *name;             /* owned; taken by whoever sets it to NULL */
    bool directory;         /* to descend into; otherwise a file of more than one leaf (or, in a listing, any) */
    bool present;           /* directory: its manifest is an object already. File: it may lie there complete */
    bool whole, listed, executable;
};
struct fetch_plan {
    struct fetch_task task;
    struct fetch_walk *walk;
    uint32_t dir;
    struct content_id id;
    char *path, *object, *from; /* from: a directory with the same manifest, or NULL */
    bool whole;
    /* results */
    uint8_t *manifest, *want, *have; /* bitmaps over the entries: to be fetched by the pack, lying there already */
    uint32_t entry_count, want_count, want_files;
    uint64_t want_bytes, files, bytes, had_files, had_bytes;
    struct fetch_plan_item *items;
    uint32_t item_count, item_cap;
    struct fetch_found *found;
};
/* NULL: no memory. Takes a reference of the walk. */
struct fetch_plan *fetch_plan_new(struct fetch_walk *w, uint32_t dir, const char *from);

struct fetch_final {
    struct fetch_task task;
    struct fetch_walk *walk;
    char where[FETCH_PATH_MAX]; /* of the error */
};
struct fetch_final *fetch_final_new(struct fetch_walk *w);

/* Makes the staging directory and its marker. */
struct fetch_prepare {
    struct fetch_task task;
    struct fetch_walk *walk;
    char *part;                 /* <final>.part */
    char id[CONTENT_ID_TEXT_SIZE + 1];
    struct content_id root;
    bool published;             /* the final name is there, with all that is wanted below it */
    struct fetch_found *found;  /* then: one per selected path */
    char where[FETCH_PATH_MAX];
};
/* fetch_there.c, in the pool: does the target hold all of this tree (or of the selected paths), byte by byte? By the manifests in the store alone:
 * 0 and found[] filled; ERR_NOT_FOUND when a manifest or a path of the selection is not here; ERR_BAD_HASH, ERR_CANCELLED, or the disk's error. */
int fetch_there_check(const struct fetch_walk *w, const struct content_id *root, struct fetch_found *found, const atomic_bool *stop);
struct fetch_prepare *fetch_prepare_new(struct fetch_walk *w, const struct content_id *id);
#endif
