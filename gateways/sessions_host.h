/* One table of what people's software has open on any gateway: a line of the "Sessions" screen each. A gateway adds a session for each
 * connection, tells what it does, and obeys what the table's owner asks through the session's functions. Loop thread only. Strings given are
 * copied, made printable UTF-8 and cut; none needs to outlive the call but `protocol`. */
#ifndef SHOAL_SESSIONS_HOST_H
#define SHOAL_SESSIONS_HOST_H
#include "gateways/accounts_host.h"
#include "gateways/limits.h"

struct sessions;
/* now: the clock (host_now in a node). NULL: out of memory. */
struct sessions *sessions_new(const struct limits_config *limits, core_time (*now)(void *clock), void *clock);
void sessions_free(struct sessions *s); /* every session was ended; NULL is ignored */
struct limits *sessions_limits(struct sessions *s);
core_time sessions_now(const struct sessions *s);

struct session;
struct session_acts { /* what the gateway can do to a session of its own; any may be NULL = "this protocol cannot". Static. */
    void (*disconnect)(void *owner);                  /* ends it; session_end follows, perhaps inside the call */
    void (*abort_transfer)(void *owner);              /* the transfer under way ends, the session stays where the protocol allows */
    bool (*message)(void *owner, const char *text);   /* shown to the person; false: not now */
};
/* 0; ERR_FULL: too many in all; ERR_BUSY: too many from this address; ERR_PERMISSION: banned; ERR_NO_MEMORY. Not 0: say so if the protocol can
 * (FTP 421, HTTP 503 and 429) and close; *retry_s: when to come again [s], 0 = when another ends. Port 0 (a Unix socket) is not limited.
 * protocol: "HTTP", static. */
int session_begin(struct sessions *s, const char *protocol, const struct net_addr *peer, const struct session_acts *acts, void *owner,
                  struct session **out, uint32_t *retry_s);
void session_end(struct session *x); /* NULL is ignored */
void session_who(struct session *x, const struct account_who *who);
const struct account_who *session_account(const struct session *x); /* a visitor until session_who */
void session_client(struct session *x, struct bytes name); /* User-Agent, FTP CLNT, ... */
/* What it does now, without secrets: "RETR a.txt", never "PASS ...". Counts as activity. */
void session_command(struct session *x, const char *format, ...) __attribute__((format(printf, 2, 3)));
void session_command_bytes(struct session *x, struct bytes verb, struct bytes rest); /* the same, quick: "<verb> <rest>" */
/* A transfer begins: what a person calls a file. up: to this node. It ends: whole, or not. A second begin ends the first as broken. */
void session_transfer_begin(struct session *x, const char *path, bool up);
void session_transfer_end(struct session *x, bool complete); /* none under way: no effect */
void session_bytes(struct session *x, uint64_t in, uint64_t out); /* since the last call [bytes]; counts as activity */

struct session_info {
    uint32_t id; /* never reused in a run */
    const char *protocol;
    struct account_who who;
    struct net_addr peer;
    const char *where; /* "this computer", "local network", "the internet" */
    char client[80], command[160], path[256];
    uint64_t rate_in, rate_out, mean_in, mean_out; /* [bytes/s] */
    uint64_t bytes_in, bytes_out, files_in, files_out;
    core_time since, last;
    bool transferring, up;
    bool can_disconnect, can_abort, can_message;
};
/* In order of id. `each` must not end sessions. False: stop. */
void sessions_each(struct sessions *s, bool (*each)(void *context, const struct session_info *info), void *context);
int sessions_find(struct sessions *s, uint32_t id, struct session_info *out); /* ERR_NOT_FOUND */
/* ERR_NOT_FOUND; ERR_UNSUPPORTED: its protocol cannot. ban_s 0: no ban; otherwise its address is kept out for so long and all sessions it has
 * are ended. ERR_PERMISSION: this computer is never banned; nothing was done. */
int sessions_disconnect(struct sessions *s, uint32_t id, uint32_t ban_s);
int sessions_abort(struct sessions *s, uint32_t id);                     /* ERR_RANGE: no transfer is under way */
int sessions_message(struct sessions *s, uint32_t id, const char *text); /* ERR_BUSY: not now */
void sessions_end_account(struct sessions *s, const char *name);         /* an account was removed: its sessions are disconnected */

struct session_totals { /* since the node started */
    uint64_t sessions, refused, files_in, files_out, bytes_in, bytes_out;
    uint32_t open, peak;
};
void sessions_totals(const struct sessions *s, const char *protocol, struct session_totals *out); /* NULL: all */
/* The protocols seen so far; returns how many. */
uint32_t sessions_protocols(const struct sessions *s, const char **out, uint32_t max);

/* The last events, oldest first: those with a number of at least `from`. */
#define SESSION_LOG_MAX 256
enum session_event { SESSION_BEGAN, SESSION_SIGNED_IN, SESSION_SENT, SESSION_RECEIVED, SESSION_BROKE_OFF, SESSION_ENDED, SESSION_REFUSED,
                     SESSION_BANNED };
struct session_log {
    uint64_t number; /* counts up from 1 */
    core_time at;
    uint32_t id; /* 0: refused */
    enum session_event event;
    const char *protocol;
    struct net_addr peer;
    char name[ACCOUNT_NAME_MAX];
    char path[160];
    uint64_t bytes; /* of the transfer, or of the session both ways */
};
void sessions_log(const struct sessions *s, uint64_t from, bool (*each)(void *context, const struct session_log *line), void *context);
uint64_t sessions_changes(const struct sessions *s); /* grows whenever a line of the table would look different, rates apart */
#endif
