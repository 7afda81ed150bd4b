/* Between content_host.c (calls, paths, lists) and content_fetch_host.c (open files, the cache). */
#ifndef SHOAL_CONTENT_INTERNAL_HOST_H
#define SHOAL_CONTENT_INTERNAL_HOST_H
#include <limits.h>
#include <utlist.h>
#include "gateways/content_host.h"

enum call_kind { CALL_RESOLVE, CALL_LIST, CALL_OPEN, CALL_READ };

struct found { /* where a path leads */
    struct content_info info;
    char name[CONTENT_NAME_MAX + 1];
    char local[PATH_MAX]; /* a complete file on this disk; "" = none */
    struct file_stamp stamp;
    bool stamped;
    struct content_id root; /* the tree it lies in, and where, for content of other nodes */
    bool in_tree;
    char inside[CONTENT_PATH_MAX];
};

struct content_call {
    struct content *c;
    enum call_kind kind;
    bool started, cancelled;
    char *path;
    struct link *hints;
    core_time deadline;
    uint64_t from; /* of a list */
    uint32_t limit;
    struct job *job; /* a listing under way on other nodes: its number, since jobs may be forgotten */
    uint32_t job_id;
    struct content_file *file; /* of a read */
    uint64_t offset, ahead;
    uint8_t *out;
    size_t size;
    bool reading; /* the data plane or the pool has `out` */
    uv_fs_t fs;
    content_info_cb info_done;
    content_list_cb list_done;
    content_open_cb open_done;
    content_read_cb read_done;
    void *context;
    struct content_call *prev, *next;
};

struct cached { /* content of other nodes on its way to this disk, one for each file, for all its readers */
    struct content *c;
    struct content_id id;
    char target[PATH_MAX];
    char inside[CONTENT_PATH_MAX]; /* the file below target, for a small file of a tree; else "" */
    uint32_t job;
    int error;
    uint32_t readers;
    core_time idle_since;
    struct cached *prev, *next;
};

struct content_file {
    struct content *c;
    struct found what;
    int fd;
    struct cached *cached; /* NULL: local */
    uint32_t reader;
    bool closed; /* freed with its last read */
    uint32_t reads;
    struct link hints;
};

struct known { /* where a path led a moment ago: saves the store's and the manifests' reading for what is
                  asked again and again */
    char *path;
    struct found found;
    core_time until;
};
#define KNOWN_PATHS 32u
#define KNOWN_FOR                                                                                            \
    CORE_SECONDS(1) /* also how long something taken back may still be opened; a changed file never is */

struct content {
    struct app *app;
    struct known known[KNOWN_PATHS];
    uv_prepare_t prepare;
    uv_timer_t timer;
    uint8_t handles;
    bool stopping, prepare_runs;
    struct content_call *calls;
    struct cached *cached;
    uint32_t reads; /* in the pool */
    uint32_t last_reader;
    void (*stopped)(void *context);
    void *stopped_context;
};

void content_kick(struct content *c); /* calls are looked at before the loop sleeps again */
void content_call_free(struct content_call *call);
void content_maybe_stopped(struct content *c);
/* content_fetch_host.c */
struct content_file *content_file_open(struct content *c, const struct found *what, const struct link *hints,
                                       int *error);
/* A read: true when it ended (its callback came). */
bool content_read_step(struct content_call *call, core_time now);
void content_cache_tick(struct content *c, core_time now);
bool content_cache_path(struct content *c, const struct content_id *id, char *out, size_t cap);
#endif
