/* Between the files of the FTP session: ftp_session.c (lines, the table of commands, who it is),
 * ftp_transfer.c (data connections and what moves over them), ftp_files.c (files looked at and changed),
 * ftp_reply.c (what is said). */
#ifndef SHOAL_FTP_INTERNAL_H
#define SHOAL_FTP_INTERNAL_H
#include "gateways/ftp/ftp_session.h"
#include "node/base/assert.h"
#include "node/base/err.h"

enum ftp_phase { /* who the person is */
                 PHASE_START,
                 PHASE_NAMED,   /* a name was told, the password is awaited */
                 PHASE_ACCOUNT, /* an account is awaited (332) */
                 PHASE_READY,
                 PHASE_RENAME, /* as READY; the line before was RNFR */
                 PHASE_WAIT,   /* a wish of ours is open */
                 PHASES
};
enum ftp_wait { /* for which answer */
                WAIT_NONE,
                WAIT_LOGIN,
                WAIT_LISTEN,
                WAIT_LOOK,
                WAIT_OPENED,
                WAIT_DATA, /* 150 went out, the data connection does not stand yet */
                WAIT_MOVED,
                WAIT_SUM,
                WAIT_DONE
};
enum ftp_data { DATA_NONE, DATA_LISTENING, DATA_OPEN, DATA_PORT };
enum ftp_doing { DOING_SEND, DOING_LIST, DOING_STORE };

struct ftp_command;

struct ftp_session {
    const struct core_alloc *alloc;
    struct ftp_config config;
    struct net_addr peer, local;
    struct ftp_input input;
    enum ftp_phase phase; /* never PHASE_WAIT: that is `wait` */
    enum ftp_wait wait;
    const struct ftp_command *command; /* whose answer is awaited */
    bool ended;                        /* FTP_HANGUP was given: nothing more is said */
    bool visitor;                      /* logged in without an account */
    uint32_t tries;
    core_time deadline, idle_at; /* idle_at: while nothing is under way, when the session ends */
    char *name, *cwd, *path, *other, *pattern; /* path, other: of the command under way; path also of RNFR */
    char note[200];                            /* of the owner, shown with the next reply */

    /* How bytes are to move. */
    enum ftp_data data;
    struct net_addr data_addr; /* DATA_PORT */
    bool ascii, v6, epsv_all;  /* v6: the port asked for is told by EPSV */
    uint64_t rest;             /* of the next transfer [bytes] */
    uint64_t allo;             /* UINT64_MAX: not told */
    unsigned facts;

    /* The transfer under way, from WAIT_OPENED to its end. */
    enum ftp_doing doing;
    enum ftp_store store;
    enum ftp_list_form form;
    bool control; /* a list onto the control connection (STAT) */
    bool unique;  /* STOU */
    uint32_t unique_tries;
    uint64_t stou_next, offset, moved;
    core_time since;
};

typedef void (*ftp_act)(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
enum ftp_argument { ARG_NONE, ARG_MAY, ARG_MUST };
struct ftp_command {
    char verb[FTP_VERB_MAX];
    uint8_t class;    /* enum in ftp_session.c */
    uint8_t argument; /* enum ftp_argument */
    ftp_act act;
    const char *form; /* of its argument, for HELP */
};

/* ---- ftp_reply.c ---- */
struct ftp_effect *ftp_effect(struct ftp_effects *out, enum ftp_effect_kind kind);
/* "NNN text": one line, or the last of several. */
void ftp_say(struct ftp_session *s, struct ftp_effects *out, unsigned code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* "NNN-text": the first of several lines. */
void ftp_say_first(struct ftp_session *s, struct ftp_effects *out, unsigned code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* " text": one between. */
void ftp_say_line(struct ftp_effects *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ftp_say_bytes(struct ftp_effects *out, const void *data, size_t size);
enum ftp_intent { INTENT_READ, INTENT_STORE, INTENT_CHANGE };
/* The reply to a failure that came before anything moved. */
void ftp_say_failure(struct ftp_session *s, struct ftp_effects *out, int status, enum ftp_intent intent);
void ftp_help(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
void ftp_feat(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);

/* ---- ftp_session.c ---- */
const struct ftp_command *ftp_command_find(const char *verb);
const struct ftp_command *ftp_command_at(size_t n); /* NULL: no more */
char *ftp_keep(struct ftp_session *s, char **where,
               const char *text); /* a copy in place of what was there; NULL: no memory, nothing kept */
void ftp_forget(struct ftp_session *s, char **where);
void ftp_idle(struct ftp_session *s, core_time now); /* nothing is open: the clock between commands runs */
void ftp_wait_for(struct ftp_session *s, enum ftp_wait wait);
bool ftp_logged_in(const struct ftp_session *s);
/* s->path becomes what the argument (NULL: the current directory) means. False: it was refused with a reply.
 */
bool ftp_path_set(struct ftp_session *s, const char *argument, enum ftp_intent intent,
                  struct ftp_effects *out);
void ftp_no_memory(struct ftp_session *s, struct ftp_effects *out);

/* ---- ftp_transfer.c ---- */
void ftp_data_reset(struct ftp_session *s, struct ftp_effects *out);
bool ftp_abort_now(struct ftp_session *s, core_time now,
                   struct ftp_effects *out); /* false: nothing that could be given up is under way */
void ftp_transfer_timeout(struct ftp_session *s, core_time now, struct ftp_effects *out);
void ftp_stat(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
void ftp_pasv(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
void ftp_epsv(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
void ftp_port(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
void ftp_eprt(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
void ftp_retr(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
void ftp_stor(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
void ftp_stou(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
void ftp_appe(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
void ftp_list(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
void ftp_nlst(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
void ftp_mlsd(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
void ftp_abor(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);

/* ---- ftp_files.c ---- */
void ftp_pwd(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
void ftp_cwd(struct ftp_session *s, core_time now, const char *argument,
             struct ftp_effects *out); /* also what only looks: SIZE MDTM MLST RNFR */
void ftp_cdup(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
void ftp_look(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
void ftp_mkd(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
void ftp_rnto(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
void ftp_xcrc(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
#endif
