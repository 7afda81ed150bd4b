/* One FTP control connection, decided without I/O (RFC 959, 1123, 2228's names, 2389, 2428, 2577, 3659):
 * lines and what became of earlier wishes come in, replies and new wishes go out. Payload never passes here:
 * the host moves it and tells how that ended.
 *
 *     ftp_session_give(s, now, bytes, out); carry out;   while (ftp_session_step(s, now, out)) carry out;
 *
 * Each call appends at most FTP_EFFECTS_MAX effects, in the order they must be carried out. At most ONE wish
 * marked (answer) below is open at a time; each is answered by its function exactly once, never from within
 * the call that made it, unless FTP_CANCEL was given for it. While a wish is open further lines wait, but for
 * ABOR and STAT. After each answer call ftp_session_step again. */
#ifndef SHOAL_FTP_SESSION_H
#define SHOAL_FTP_SESSION_H
#include "gateways/ftp/ftp_list.h"
#include "gateways/ftp/ftp_parse.h"
#include "node/base/time.h"

#define FTP_EFFECTS_MAX 8
#define FTP_TEXT_MAX    20480 /* replies of one call [bytes]: a path twice, quoted, and the longest help */
#define FTP_TRIES_MAX   5     /* wrong passwords, then the connection ends (RFC 2577, 5) */

struct ftp_config {
    bool anonymous;      /* may this peer come in as anonymous? */
    uint32_t idle_s;     /* between commands; RFC 1123, 4.1.3.2 wants 5 minutes at least to be possible */
    uint32_t login_s;    /* until logged in */
    uint32_t data_s;     /* until the data connection stands; a port that nobody asks for is given back after
                            twice that */
    uint32_t stall_s;    /* a data connection on which nothing moves */
    uint64_t stou_first; /* number of the first name STOU tries, such as the Unix time */
};
void ftp_config_default(struct ftp_config *c); /* true, 600, 60, 30, 120, 1 */

enum ftp_effect_kind {
    FTP_REPLY,  /* send `text` on the control connection */
    FTP_TOLD,   /* `path` is the command now run, passwords taken out: for lists of sessions and the log */
    FTP_CLIENT, /* `path`: what the client says it is (CLNT) */
    FTP_WHO,    /* logged in as `path` ("" = anonymous), or out (NULL) */
    FTP_LOGIN,  /* (answer: ftp_session_logged_in) name `path`, password `other` */
    FTP_TOKEN,  /* (answer: ftp_session_logged_in) an account's token `path` */
    FTP_LISTEN, /* (answer: ftp_session_listening) a passive port, which only the peer's address may use */
    FTP_DIAL,   /* connect to `addr`; told by ftp_session_data */
    FTP_DATA_CLOSE, /* data port and connection are closed; what was given to the connection still goes out */
    FTP_LOOK,       /* (answer: ftp_session_looked) what lies at `path`? */
    FTP_OPEN_SEND,  /* (answer: ftp_session_opened) the file `path`, to be sent */
    FTP_OPEN_LIST, /* (answer: ftp_session_opened) the directory `path`; when `pattern`, its names that match;
                      a file is listed by itself unless form is FTP_LIST_FACTS (ERR_NOT_A_FILE then) */
    FTP_OPEN_STORE, /* (answer: ftp_session_opened, told size: of what is kept in front) an upload to `path`
                       as `store` says */
    FTP_MOVE, /* (answer: ftp_session_moved) send, list or receive what is open, from `offset`, over the data
                 connection; or, when `control`, list onto the control connection, a space before each line */
    FTP_SUM,  /* (answer: ftp_session_summed) CRC-32 of the file `path` from `offset`, `size` bytes
                 (UINT64_MAX: to the end) */
    FTP_REMOVE, /* (answer: ftp_session_done) */
    FTP_MKDIR,  /* (answer: ftp_session_done) */
    FTP_RENAME, /* (answer: ftp_session_done) `path` to `other` */
    FTP_CANCEL, /* the open wish is not answered any more; what it opened is closed, an upload leaves nothing
                 */
    FTP_HANGUP  /* close when the replies have gone out */
};

enum ftp_store {
    FTP_STORE_NEW,    /* the name must be free: ERR_EXISTS */
    FTP_STORE_WHOLE,  /* in the place of what is there */
    FTP_STORE_BEHIND, /* behind `offset` bytes of what is there; UINT64_MAX: behind all of it, which may be
                         nothing. ERR_RANGE: it is shorter */
};

struct ftp_effect {
    enum ftp_effect_kind kind;
    struct bytes text;        /* in the batch */
    const char *path, *other; /* valid until the next call of the session */
    const char *pattern;
    struct net_addr addr;
    enum ftp_store store;
    enum ftp_list_form form;
    unsigned facts;
    uint64_t offset, size; /* size of an upload, as ALLO told; UINT64_MAX: not told */
    bool control, ascii,
        v6; /* v6: FTP_LISTEN's port is told by EPSV and may be of any family of the control connection */
};
struct ftp_effects {
    uint32_t count;
    size_t text_size;
    struct ftp_effect items[FTP_EFFECTS_MAX];
    char text[FTP_TEXT_MAX];
};
static inline void ftp_effects_reset(struct ftp_effects *e)
{
    e->count = 0;
    e->text_size = 0;
}

struct ftp_session;
/* NULL: no memory. peer and local: of the control connection. The greeting is in `out`. */
struct ftp_session *ftp_session_new(const struct core_alloc *alloc, core_time now,
                                    const struct ftp_config *config, const struct net_addr *peer,
                                    const struct net_addr *local, struct ftp_effects *out);
/* Any time; the host first gives up what is open, as for FTP_CANCEL. NULL is ignored. */
void ftp_session_free(struct ftp_session *s);

size_t ftp_session_room(const struct ftp_session *s); /* how many bytes may be given; 0: do not read now */
void ftp_session_give(struct ftp_session *s, core_time now, struct bytes bytes, struct ftp_effects *out);
/* Runs the next line that may run now. False: there is none, nothing was appended. */
bool ftp_session_step(struct ftp_session *s, core_time now, struct ftp_effects *out);

/* Is nothing under way, and nothing waiting to be? */
bool ftp_session_idle(const struct ftp_session *s);

/* When ftp_session_wake wants to be called; CORE_NEVER: not at all. O(1), changes with each call. */
core_time ftp_session_deadline(const struct ftp_session *s);
void ftp_session_wake(struct ftp_session *s, core_time now, struct ftp_effects *out);

/* ---- Answers; status: 0 or enum shoal_error ---- */
/* name: of the account. ERR_PERMISSION; ERR_BUSY: retry_s says for how long. */
void ftp_session_logged_in(struct ftp_session *s, core_time now, int status, const char *name,
                           uint32_t retry_s, struct ftp_effects *out);
void ftp_session_listening(struct ftp_session *s, core_time now, int status, const struct net_addr *addr,
                           struct ftp_effects *out);
void ftp_session_looked(struct ftp_session *s, core_time now, int status, const struct ftp_info *info,
                        struct ftp_effects *out);
void ftp_session_opened(struct ftp_session *s, core_time now, int status, uint64_t size,
                        struct ftp_effects *out);
/* `bytes` went over the data connection. ERR_CLOSED: the peer broke it. Any other error: ours. */
void ftp_session_moved(struct ftp_session *s, core_time now, int status, uint64_t bytes,
                       struct ftp_effects *out);
void ftp_session_summed(struct ftp_session *s, core_time now, int status, uint32_t crc,
                        struct ftp_effects *out);
void ftp_session_done(struct ftp_session *s, core_time now, int status, struct ftp_effects *out);

/* ---- What happens by itself ---- */
/* The data connection stands (0), could not be made (ERR_*), or, while nothing moves, the peer closed it
 * (ERR_CLOSED). */
void ftp_session_data(struct ftp_session *s, core_time now, int status, struct ftp_effects *out);
/* Bytes moved: the stall clock starts again. May be called as often as one likes. */
void ftp_session_progress(struct ftp_session *s, core_time now, uint64_t bytes_so_far);

/* ---- What the owner of the node asks ---- */
/* 421 with the reason, and the end. */
void ftp_session_end(struct ftp_session *s, core_time now, const char *reason, struct ftp_effects *out);
/* Ends the transfer under way (426); the session stays. False: there is none. */
bool ftp_session_abort(struct ftp_session *s, core_time now, struct ftp_effects *out);
/* Shown as a line of the next reply (a server cannot speak unasked). False: one is waiting already. */
bool ftp_session_message(struct ftp_session *s, const char *text);
void ftp_session_check(const struct ftp_session *s); /* asserts its invariants */
#endif
