/* Fetching: one file or a tree, by link, to a path, resumable. A tree: its manifest first, then sub-manifests and small files by packs and larger
 * files by swarms of their own, a bounded number at once, all from the sessions of the tree. Everything grows under one name ending in `.part` and is
 * synced as a batch before the final name appears. */
#ifndef SHOAL_HOST_FETCH_H
#define SHOAL_HOST_FETCH_H
#include "node/host/share.h"

struct fetches;
struct fetches *fetches_new(struct host_core *core, struct jobs *jobs, struct shares *shares, const char *home);
/* At the node's end: running fetches checkpoint and close their files, their store rows stay; called back once when nothing is in flight. */
void fetches_stop(struct fetches *f, void (*stopped)(void *context), void *context);
void fetches_free(struct fetches *f); /* after fetches_stop called back; NULL is ignored. Its handles close in the loop's next turn */
void fetches_start(struct fetches *f); /* resumes what the store lists */

struct fetch_params {
    struct link link;
    const char *output;            /* absolute. A directory that exists: the link's name below it. Otherwise the final path itself */
    const char *const *select;     /* paths of a tree (a file, or a directory with all below); count 0 = everything */
    size_t select_count;
    bool replace;                  /* overwrite a file that is there */
    bool no_share;                 /* do not share on when done */
    uint32_t timeout_s;            /* nothing arrived for that long: the job ends with ERR_TIMEOUT, the part stays [s]; 0: it waits for ever */
};
/* A job that ends when the final name is there and, unless no_share, it is recorded as a share. A second get of the same link to the same path joins
 * the running job, whose time-out from then on is the second one's. */
struct job *fetches_get(struct fetches *f, const struct fetch_params *p);
/* Lists a tree from its manifests alone, no data (job entries). depth 1 = one directory. */
struct job *fetches_list(struct fetches *f, const struct link *link, const char *path, bool recursive);
bool fetches_notice(struct fetches *f, const struct effect *x);
#endif
