/* The one interface to content that all gateways stand on (DESIGN.md, "Gateways"): HTTP, FTP, DNS and mail see the same tree,
 *
 *     /                           the four below
 *     /shared/<name>[/path...]    what this node shares or has fetched; read only. Of shares of one name the first has it, the others
 *                                 are <stem>~<8 signs of the id><.extension>
 *     /content/<id>[/path...]     any content by its id, here or on other nodes; read only
 *     /name/<name>[/path...]      the site of a node: petname, pinned nickname, node id, self (node/host/names.h); read only
 *     /home/<account>[/path...]   writable for its account; every file in it is shared when complete. /home lists the homes one may see
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
/* The quick path for what is asked for again and again: a local file that was opened by this path within the last second and is still the same, at
 * once and without a call; NULL: call content_open. Never of /home. *info lives as long as the file. */
struct content_file *content_open_known(struct content *c, const char *path, const struct content_info **info);
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

/* ---- Writing (below /home/<account> only) ----
 * On this disk the tree lies in home/files/<account>/..., uploads in the making in home/incoming (swept at start: a crash leaves nothing of them).
 * An upload is hashed while it arrives, in the thread pool, and appears under its name with everything synced and shared, or not at all; over a
 * file that is there, readers keep the old one until then. Who may: the account itself, and ACCOUNT_OWNER everywhere; the owner without an account
 * has /home/owner. Others get ERR_PERMISSION, for reading too. ERR_MALFORMED: a name that cannot be shared (not UTF-8, a control character). */
struct content_upload;
#define CONTENT_APPEND UINT64_MAX
struct content_upload_params {
    uint64_t size;   /* of what will be written (without the part kept), when known: room is made for it before the first byte; else UINT64_MAX */
    uint64_t offset; /* the file that is there is kept up to here and written on from (copied, so that it stays whole until the end; REST + STOR):
                        ERR_NOT_FOUND without a file, ERR_RANGE behind its end. CONTENT_APPEND: behind whatever is there, or from 0 (APPE) */
    bool replace;    /* over a file that is there; otherwise ERR_EXISTS. Needed with an offset too */
    bool parents;    /* directories above are made with the file; otherwise they must be there (ERR_NOT_FOUND) */
    bool match;      /* only over a file that still has this id; otherwise ERR_CHANGED, also when it changes while the upload arrives */
    struct content_id match_id;
};
/* Before the first byte: ERR_NO_SPACE, ERR_QUOTA, ERR_NOT_A_FILE (a directory is there), and those above. The upload is the callback's on 0: it
 * ends by finish or abort, also when the node stops. Nothing waits for the disk on the loop thread. */
typedef void (*content_begun_cb)(void *context, int status, struct content_upload *u);
struct content_call *content_upload_begin(struct content *c, const struct account_who *who, const char *path,
                                          const struct content_upload_params *params, content_begun_cb begun, void *context);
/* `bytes` are copied. True: more may come at once. False: wait for `drained` before more is given, or memory grows. After an error everything is
 * thrown away, and finish tells it; who wants to stop the sender at once asks content_upload_status when drained. */
bool content_upload_write(struct content_upload *u, struct bytes bytes);
void content_upload_on_drained(struct content_upload *u, void (*drained)(void *context), void *context); /* set once, called each time */
int content_upload_status(const struct content_upload *u);
/* Synced, renamed, recorded, shared: then `done` with what is there now. The upload is gone when `done` came. Changes of /home happen one at a time,
 * in the order in which they were asked for. */
void content_upload_finish(struct content_upload *u, content_info_cb done, void *context);
void content_upload_abort(struct content_upload *u); /* gone at once, and with it whatever arrived; not after finish */

/* Cancelled: the change may still happen, its callback does not come. */
typedef void (*content_done_cb)(void *context, int status);
/* A file, or an empty directory (ERR_EXISTS when it is not empty): taken back from sharing, then removed. match (may be NULL): only a file with this
 * id, else ERR_CHANGED. */
struct content_call *content_remove(struct content *c, const struct account_who *who, const char *path, const struct content_id *match,
                                    content_done_cb done, void *context);
/* ERR_EXISTS: a file or directory is there. ERR_NOT_FOUND: the directory above is not. */
struct content_call *content_mkdir(struct content *c, const struct account_who *who, const char *path, content_done_cb done, void *context);
/* A file or a directory with all that is in it, within the homes `who` may write. replace: over a file (or an empty directory). ERR_MALFORMED: into
 * itself. Files are not hashed again. */
struct content_call *content_rename(struct content *c, const struct account_who *who, const char *from, const char *to, bool replace,
                                    content_done_cb done, void *context);
#endif
