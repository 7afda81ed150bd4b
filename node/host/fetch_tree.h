/* The loop's half of a tree's walk, in two files: fetch_tree_dirs.c knows which directories there are and what each needs, fetch_tree.c fetches it.
 * What the pool sees is in fetch_walk.h. */
#ifndef SHOAL_HOST_FETCH_TREE_H
#define SHOAL_HOST_FETCH_TREE_H
#include "node/host/fetch_walk.h"

#define NO_DIR          UINT32_MAX
#define DIR_TRIES_MAX   3   /* a manifest damaged on our disk is fetched again this often */
#define PACKS_QUEUE_MAX 16

enum tree_phase { TREE_PREPARE, TREE_ROOT, TREE_WALK, TREE_CLOSING, TREE_FINAL };

/* Something to fetch: a pack, a larger file, or a larger manifest. Owned by the tree's queue, then by the unit that works on it. */
struct tree_work {
    struct fetch_tree *tree;
    uint32_t dir;              /* the directory it lies in; for a manifest: the directory it describes */
    bool pack, manifest, verify;
    struct content_id id;
    char *name;
    uint8_t *bytes, *want, *have; /* of a pack: manifest, wanted entries, present entries */
    uint32_t want_count, want_files;
    uint64_t want_bytes;
    struct tree_work *next;
};
struct work_queue {
    struct tree_work *first, **last;
    uint32_t count;
};

struct fetch_tree {
    struct fetch *fetch;
    struct fetch_walk *walk;
    enum tree_phase phase;
    uint32_t root_swarm;           /* whose sessions the rest uses; 0: the manifest was here already */
    struct fetch_task *plans[FETCH_TREE_PLANS];
    uint32_t ready_first, ready_last, planning, waiting; /* waiting: directories not planned yet, ready or not */
    struct work_queue files, packs;
    uint32_t active_files, active_packs;
    core_time pause_until;         /* disk full while planning or finishing */
    int trouble;
    uint64_t files_done, bytes_done, files_total, bytes_total;
    struct fetch_found *found;
    uint32_t entry_cap;
};

/* ---- fetch_tree_dirs.c ---- */
struct tree_work *fetch_tree_queue_pop(struct work_queue *q); /* not empty */
void fetch_tree_work_free(struct tree_work *w);               /* NULL is ignored */
void fetch_tree_no_memory(struct fetch_tree *t);              /* ends the job */
/* Index, or NO_DIR with the job ended. name: below the parent. */
uint32_t fetch_tree_dir_add(struct fetch_tree *t, const struct content_id *id, uint32_t parent, const char *name, bool whole);
void fetch_tree_dir_ready(struct fetch_tree *t, uint32_t index); /* its manifest is here: it can be planned */
/* Children whose manifests came with the parent's pack. */
void fetch_tree_children_ready(struct fetch_tree *t, uint32_t parent);
bool fetch_tree_plan_start(struct fetch_tree *t); /* plans one more directory in the pool; false: none ready, or enough under way */

/* ---- fetch_tree.c ---- */
void fetch_tree_pump(struct fetch_tree *t); /* starts what can be started */
#endif
