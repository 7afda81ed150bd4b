/* Names of nodes for gateways, the API and the command line (DESIGN.md, "Names"). Everything belongs to the loop thread.
 *
 * A name is one of, tried in this order:
 *     self        this node
 *     <node id>   56 characters; always works
 *     petname     what the user calls a node (`shoal name add`), folded; always wins over nicknames
 *     nickname    what a node calls itself; only of a node that the user pinned, and only when one pinned node has it
 *
 * What is in memory is answered at once, however old, and marked; a newer profile is looked for in the background (the node itself is asked, and
 * the DHT), so that the next answer has it. Sequences never go back, also not over a restart. */
#ifndef SHOAL_HOST_NAMES_H
#define SHOAL_HOST_NAMES_H
#include "node/host/core.h"
#include "node/host/jobs.h"
#include "node/base/id.h"
#include "node/names/profile.h"

#define NAMES_CONTACTS_MAX 4096 /* pinned nodes */
#define NAMES_CACHE_MAX    1024 /* profiles of nodes that are not pinned, in memory */
#define NAMES_CALLS_MAX    1024 /* resolutions waiting at once; more are ERR_FULL */

enum name_how { NAME_HOW_SELF, NAME_HOW_ID, NAME_HOW_PETNAME, NAME_HOW_NICKNAME };

struct name_info { /* a copy: nothing in it is borrowed */
    uint8_t node[NODE_KEY_SIZE];
    enum name_how how;
    char petname[NAME_SIZE];  /* "" = none */
    bool pinned;
    bool has_profile;         /* false: the fields below are zero */
    bool stale;               /* nobody has confirmed the profile for a minute (self: never): served, while it is being looked for */
    bool expired;             /* past its 14 days: show it as "last known" */
    uint64_t sequence, expiry_s; /* Unix time */
    uint32_t age_s;           /* since somebody last confirmed it [s] */
    struct profile profile;
};

struct app;
struct names; /* app->names, from app_start to the node's end */

/* For app.c. start: what the store keeps is taken up, this node's profile is published. */
struct names *names_new(struct app *app);
void names_start(struct names *n);
void names_stop(struct names *n);  /* calls in flight end with ERR_CANCELLED */
void names_free(struct names *n);  /* handles close in the loop's next turn */
bool names_notice(struct names *n, const struct effect *x, struct bytes bytes); /* true: was for names */
void names_refresh(struct names *n); /* addresses or settings may have changed */

/* From memory, now. 0; ERR_NOT_FOUND: no such petname, and no pinned node of that nickname; ERR_EXISTS: two pinned nodes have that nickname;
 * ERR_MALFORMED: not a name; ERR_CHECKSUM: a mistyped node id; ERR_BUSY: the node is known (out->node is set), its profile is not: names_resolve
 * looks for it. A stale profile is given with 0 and looked for by itself. */
int names_known(struct names *n, const char *text, struct name_info *out);

/* As names_known, and waits for a profile until `deadline` (core_time; CORE_NEVER: 10 s). Never calls back before it returns. Status as above, or
 * ERR_TIMEOUT: the node is known (info->node), and no profile was found in time; ERR_FULL; ERR_CANCELLED: the node stops. */
typedef void (*names_cb)(void *context, int status, const struct name_info *info);
struct names_call;
struct names_call *names_resolve(struct names *n, const char *text, core_time deadline, names_cb done, void *context); /* NULL: no memory */
void names_cancel(struct names_call *call); /* its callback does not come; the pointer is dead once the callback came */

/* The contacts in order of their names. False from `each`: enough. */
void names_contacts(struct names *n, bool (*each)(void *context, const struct name_info *info), void *context);
/* The pinned node, or this one, that says it is at this address (port ignored): for reverse look-ups. False: none. */
bool names_at_address(struct names *n, const struct net_addr *addr, struct name_info *out);

/* Pins. petname "" or NULL: by id and nickname only. `text` of remove: as in names_known. Kept before they return. message (NAMES_MESSAGE_MAX bytes, may
 * be NULL): one line for people on error, and on success a warning or "" (a look-alike of another contact). add: ERR_MALFORMED (not a name),
 * ERR_EXISTS (the petname is another node's), ERR_FULL, ERR_NO_SPACE, ERR_IO. Adding again renames. */
#define NAMES_MESSAGE_MAX 320
int names_add(struct names *n, const char *petname, const uint8_t node[NODE_KEY_SIZE], char *message);
int names_remove(struct names *n, const char *text, char *message);
/* Keeps a copy of the site of a contact here, also while its owner is away, and shares it on; it follows what the owner publishes. */
int names_keep_site(struct names *n, const uint8_t node[NODE_KEY_SIZE], bool keep, char *message);
/* What is listed for search is read again, when the loop has time. */
void names_listing_changed(struct names *n);
bool names_site_kept(const struct names *n, const uint8_t node[NODE_KEY_SIZE]);

/* What this node says of itself; published at once, and again when anything in it changes or a day has passed. nickname "" takes it back. */
int names_set_nickname(struct names *n, const char *nickname, char *message);
int names_set_site(struct names *n, const struct content_id *site); /* NULL: none */
/* Makes what this share job shares (its first path, a directory) the site, as soon as it is recorded, before its announcing ends. */
void names_publish(struct names *n, const struct job *job);
/* A gateway that others may reach, for SRV: port 0 takes it back. */
void names_set_service(struct names *n, const char *service, uint16_t port);

/* Where sources of a site are to be found: the node itself. */
void names_site_link(const struct name_info *info, struct link *out);
/* Of this node. */
struct names_own {
    struct profile profile;
    uint64_t sequence;
    uint32_t stored, asked, watchers, listed, words, words_stored;
};
void names_own(struct names *n, struct names_own *out);

/* ---- Questions that take time: a search, and who claims a nickname ---- */
struct name_hit {
    uint8_t node[NODE_KEY_SIZE];
    struct net_addr address;       /* search: where it answered */
    char name[NAMING_HIT_NAME_MAX + 1]; /* search: of the thing; claimants: the nickname */
    struct content_id id;          /* search */
};
struct names_query_result {
    int status;
    uint32_t answered, indexed;    /* search: nodes that answered, of those found in the index */
    const struct name_hit *hits;   /* until the callback returns */
    uint32_t count;
};
typedef void (*names_query_cb)(void *context, const struct names_query_result *r);
struct names_query;
/* NULL: *error says why (ERR_MALFORMED: no word to search for, or not a nickname; ERR_FULL; ERR_NO_MEMORY). */
struct names_query *names_search(struct names *n, const char *text, uint32_t timeout_ms, names_query_cb done, void *context, int *error);
struct names_query *names_claimants(struct names *n, const char *nickname, names_query_cb done, void *context, int *error);
void names_query_cancel(struct names_query *q);

/* Called (last set wins; NULL: nobody) when a newer profile of any node came in: open pages and caches of a site drop what they have. */
void names_on_change(struct names *n, void (*changed)(void *context, const uint8_t node[NODE_KEY_SIZE]), void *context);
#endif
