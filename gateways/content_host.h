/* The one interface to content that all gateways stand on (DESIGN.md, "Gateways"): HTTP, FTP, DNS and mail see the same tree,
 *
 *     /                           the four below
 *     /shared/<name>[/path...]    what this node shares or has fetched; read only
 *     /content/<id>[/path...]     any content by its id, here or on other nodes; read only
 *     /name/<name>[/path...]      sites of nodes by name (issue 5; until then ERR_NOT_FOUND)
 *     /home/<account>[/path...]   writable for its account; every file in it is shared when complete
 *
 * Everything is asynchronous and belongs to the loop thread. A call never blocks and never calls back before it returns. Paths are decoded
 * UTF-8, begin with '/', have no empty, "." or ".." segments and no NUL (content_path_ok; others are ERR_MALFORMED). Nothing of a path given
 * needs to live longer than the call.
 *
 * Errors a gateway tells apart: ERR_NOT_FOUND (no such name), ERR_PERMISSION (not for this account), ERR_NO_SOURCES (no node that has it was
 * found in time) and ERR_TIMEOUT (nodes that have it did not deliver in time): HTTP answers 404, 403, 504, 504. ERR_CHANGED: a shared file
 * was changed while it was read; break the transfer off, never pad it. ERR_NOT_A_FILE: a directory was opened. ERR_CANCELLED: the node stops. */
#ifndef SHOAL_CONTENT_HOST_H
#define SHOAL_CONTENT_HOST_H
#include "gateways/accounts_host.h"
#include "node/host/app.h"
#include "transfer/content.h"

#define CONTENT_PATH_MAX 4096 /* [bytes with the NUL] */

struct content; /* the tree of one node */
struct content *content_new(struct app *app);
/* Every call in flight ends with ERR_CANCELLED; open files are closed by force (their pointers stay valid until content_close). */
void content_stop(struct content *c, void (*stopped)(void *context), void *context);
void content_free(struct content *c); /* after content_stop called back, and every file was closed; NULL is ignored */

bool content_path_ok(const char *path);

/* A call in flight. Cancelled: its callback does not come any more. The pointer is dead once the callback came. */
struct content_call;
void content_cancel(struct content_call *call);

/* ---- Resolving and listing ---- */
enum content_what { CONTENT_IS_DIR, CONTENT_IS_FILE };
struct content_info { /* strings are borrowed for the callback */
    enum content_what what;
    const char *name;     /* last segment, "" for the root */
    bool has_id;          /* directories above contents, and files in /home not hashed yet, have none */
    struct content_id id; /* of a directory: of its manifest */
    uint64_t size;        /* [bytes]; of a directory 0 */
    int64_t mtime_s;      /* Unix time; 0 = not known (content of other nodes has none) */
    bool executable, writable, local;
};
typedef void (*content_info_cb)(void *context, int status, const struct content_info *info);
/* who: rights; hints may be NULL: sources to try for content of other nodes (a link). deadline: CORE_NEVER = the configured time
 * ([http] timeout). Directories of other nodes cost their manifests only. */
struct content_call *content_resolve(struct content *c, const struct account_who *who, const char *path, const struct link *hints,
                                     core_time deadline, content_info_cb done, void *context);

/* A directory in pages: entries in order of the bytes of their names. `from`: number of entries to skip. more: there are further ones. */
#define CONTENT_LIST_MAX 500
typedef void (*content_list_cb)(void *context, int status, const struct content_info *entries, uint32_t count, bool more);
struct content_call *content_list(struct content *c, const struct account_who *who, const char *path, const struct link *hints, uint64_t from,
                                  uint32_t limit, core_time deadline, content_list_cb done, void *context);

/* ---- Reading ---- */
struct content_file; /* open; holds its source open, and, when it is fetched from other nodes, its swarm */
typedef void (*content_open_cb)(void *context, int status, struct content_file *file, const struct content_info *info);
/* Content of other nodes begins to be fetched (into the cache of the home) when the first byte is asked for. */
struct content_call *content_open(struct content *c, const struct account_who *who, const char *path, const struct link *hints,
                                  core_time deadline, content_open_cb done, void *context);
/* Reads in flight are cancelled. What was fetched so far stays, as the store's rules have it. */
void content_close(struct content_file *file);

/* Fills `out` from `offset`: at least 1 byte, at most `size`, as many as are there when the first has come; 0 at the end. The bytes wanted are
 * asked of the swarm before all else, earliest deadline first; a read elsewhere moves the window (a seek). One read at a time for each file:
 * not asking is the back-pressure. `ahead`: how many bytes behind these will be wanted next, a hint for the swarm [bytes]. `deadline`: then
 * ERR_TIMEOUT (ERR_NO_SOURCES when nobody was found). `out` is the caller's until the callback or content_cancel. */
typedef void (*content_read_cb)(void *context, int64_t bytes); /* or a negative error */
struct content_call *content_read(struct content_file *file, uint64_t offset, uint8_t *out, size_t size, uint64_t ahead, core_time deadline,
                                  content_read_cb done, void *context);

/* The quick path: when a span can be sent right from a local file, its descriptor (borrowed until content_close), else -1. The caller checks
 * with content_fd_ok after each slice it sent (rule 2: a file that changed breaks the transfer), then calls sendfile. */
int content_fd(struct content_file *file);
int content_fd_ok(struct content_file *file); /* 0 or ERR_CHANGED; one fstat */

/* What a page of an error or of progress needs. */
struct content_progress {
    uint64_t bytes_have, bytes_total, rate_down;
    uint32_t providers_found, providers_asked, sessions;
    char message[320]; /* what the fetch says it is doing */
};
bool content_progress_of(const struct content_file *file, struct content_progress *out); /* false: local */

/* ---- Writing (below /home/<account> only; content_write_host.c) ----
 * An upload grows beside the home under a temporary name, is hashed while it arrives, and appears under its name with everything synced and
 * shared, or not at all. A broken upload leaves nothing. */
struct content_upload;
/* size: of the whole when known (room is checked before the first byte: ERR_NO_SPACE, ERR_QUOTA), else UINT64_MAX. replace: over a file that is
 * there; otherwise ERR_EXISTS. Directories above must be there (ERR_NOT_FOUND) unless `parents`. */
int content_upload_begin(struct content *c, const struct account_who *who, const char *path, uint64_t size, bool replace, bool parents,
                         struct content_upload **out);
/* `bytes` are copied. True: more may come at once. False: wait for `drained` (set once, may be called often) before more is given. An error
 * is kept and told by finish. */
bool content_upload_write(struct content_upload *u, struct bytes bytes);
void content_upload_on_drained(struct content_upload *u, void (*drained)(void *context), void *context);
/* Synced, renamed, shared. The upload is gone when `done` came. */
void content_upload_finish(struct content_upload *u, content_info_cb done, void *context);
void content_upload_abort(struct content_upload *u);

typedef void (*content_done_cb)(void *context, int status);
/* A file, or an empty directory (ERR_EXISTS when it is not empty): taken back from sharing, then removed. */
struct content_call *content_remove(struct content *c, const struct account_who *who, const char *path, content_done_cb done, void *context);
struct content_call *content_mkdir(struct content *c, const struct account_who *who, const char *path, content_done_cb done, void *context);
struct content_call *content_rename(struct content *c, const struct account_who *who, const char *from, const char *to, bool replace,
                                    content_done_cb done, void *context);
#endif
