/* One table of what people's software has open on any gateway: a line of the "Sessions" screen each. A gateway adds a session for each
 * connection, tells what it does, and obeys what the table's owner asks through the session's functions. Loop thread only. */
#ifndef SHOAL_SESSIONS_HOST_H
#define SHOAL_SESSIONS_HOST_H
#include "gateways/accounts_host.h"
#include "gateways/limits.h"

struct sessions;
struct sessions *sessions_new(struct app *app);
void sessions_free(struct sessions *s); /* every session was ended */
struct limits *sessions_limits(struct sessions *s);

struct session;
struct session_acts { /* what the gateway can do to a session of its own; any may be NULL = "this protocol cannot" */
    void (*disconnect)(void *owner);                  /* ends it; session_end follows, perhaps inside the call */
    void (*abort_transfer)(void *owner);              /* the transfer under way ends, the session stays where the protocol allows */
    bool (*message)(void *owner, const char *text);   /* shown to the person; false: not now */
};
/* NULL: refused by limits or a ban (*retry_s says for how long, 0 = when another ends) or no memory; close the connection. protocol is static. */
struct session *session_begin(struct sessions *s, const char *protocol, const struct net_addr *peer, const struct session_acts *acts,
                              void *owner, uint32_t *retry_s);
void session_end(struct session *x);
void session_who(struct session *x, const struct account_who *who);
void session_client(struct session *x, struct bytes name);     /* User-Agent, FTP CLNT, ... ; made printable, cut at 79 bytes */
void session_command(struct session *x, const char *format, ...) __attribute__((format(printf, 2, 3))); /* what it does now; counts as activity */
/* A transfer begins or ends: what a person calls a file. */
void session_transfer(struct session *x, bool begins, const char *path, bool up);
void session_bytes(struct session *x, uint64_t in, uint64_t out); /* since the last call [bytes] */

struct session_info {
    uint32_t id; /* never reused in a run */
    const char *protocol;
    struct account_who who;
    struct net_addr peer;
    char where[64]; /* "this computer", "local network", or the address's owner as far as known */
    char client[80], command[160], path[256];
    uint64_t rate_in, rate_out, mean_in, mean_out; /* [bytes/s] */
    uint64_t bytes_in, bytes_out, files_in, files_out;
    core_time since, last;
    bool transferring;
};
void sessions_each(struct sessions *s, core_time now, void (*each)(void *context, const struct session_info *info), void *context);
/* ERR_NOT_FOUND; ERR_UNSUPPORTED: its protocol cannot. ban_s 0: no ban. */
int sessions_disconnect(struct sessions *s, uint32_t id, uint32_t ban_s);
int sessions_abort(struct sessions *s, uint32_t id);
int sessions_message(struct sessions *s, uint32_t id, const char *text);

struct session_totals { /* since the node started */
    uint64_t sessions, refused, files_in, files_out, bytes_in, bytes_out;
    uint32_t open, peak;
};
void sessions_totals(const struct sessions *s, struct session_totals *out);
#endif
