/* Names and paths of fetches, pure: what a link's name becomes on disk, where things grow, which paths of a tree are selected.
 *
 *     <final>.part          a file that grows; its map beside it (data.h)
 *     <final>.part/         a tree that grows: `fetch` says what of (FETCH_MARKER), `tree/` becomes <final>
 */
#ifndef SHOAL_HOST_FETCH_PATH_H
#define SHOAL_HOST_FETCH_PATH_H
#include "transfer/content.h"

#define FETCH_PATH_MAX   4096
#define FETCH_PART       ".part"
#define FETCH_MARKER     "fetch"
#define FETCH_TREE       "tree"
#define FETCH_SELECT_MAX 1024

/* A safe name for the link's content: its name without '/', control characters and leading "..", short enough for our suffixes; the
 * first 12 characters of the id when nothing is left. */
void fetch_path_name(char out[CONTENT_NAME_MAX + 1], const struct link *link);

/* "<directory>/<name>"; an empty directory gives the name, an empty name the directory. ERR_RANGE when it does not fit. */
int fetch_path_join(char *out, size_t cap, const char *directory, const char *name);
/* Appends a suffix in place. ERR_RANGE. */
int fetch_path_append(char *path, size_t cap, const char *suffix);
/* Removes trailing slashes ("/" stays). */
void fetch_path_trim(char *path);

/* The form in which selected paths are compared: no leading "/" or "./", no trailing or doubled '/', no "." parts. ERR_RANGE: too long,
 * empty, or with a ".." part. */
int fetch_select_normalize(char *out, size_t cap, const char *in);

enum fetch_match {
    FETCH_MATCH_NONE,
    FETCH_MATCH_INSIDE, /* a directory above something selected */
    FETCH_MATCH_ALL     /* selected, or below something selected; everything when the list is empty */
};
/* *which (may be NULL) gets the index of the selected path that equals `path`, or -1. */
enum fetch_match fetch_select_match(const char *const *select, size_t count, const char *path, int *which);
#endif
