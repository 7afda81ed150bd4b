/* Between names.c (contacts, resolution, this node's profile), names_query.c, names_site.c (copies of sites) and names_list.c (what search finds). */
#ifndef SHOAL_HOST_NAMES_INT_H
#define SHOAL_HOST_NAMES_INT_H
#include <limits.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>
#include "node/host/app.h"
#include "node/host/names.h"
#include "node/host/store/name.h"

struct contact { /* a pinned node */
    uint8_t key[NODE_KEY_SIZE];
    char petname[NAME_SIZE], folded[NAME_SIZE];
    bool site;                    /* its site is kept here */
    uint32_t job;                 /* fetches it; 0 = none */
    struct content_id fetching, kept; /* size 0 = none */
    core_time try_at;             /* of the next fetch, after one failed */
    UT_hash_handle hh, by_name;   /* by key; by folded petname when there is one */
};

struct names_call {
    struct names *names;
    char text[NAME_SIZE];
    core_time deadline;
    bool full;                    /* too many wait: answered from memory or not at all */
    bool looked;                  /* the look that this call waits for has begun */
    bool ended;                   /* and ended */
    uint8_t key[NODE_KEY_SIZE];
    names_cb done;
    void *context;
    struct names_call *prev, *next;
};

struct names_query {
    struct names *names;
    uint32_t op;
    struct name_hit *hits;
    uint32_t count, cap;
    names_query_cb done;
    void *context;
    struct names_query *prev, *next;
};

struct names_listing; /* a walk over what is to be listed, in the thread pool */

struct names {
    struct app *app;
    struct naming *core;
    struct contact *contacts, *petnames;
    struct names_call *calls;
    struct names_query *queries;
    uint32_t call_count, last_op;
    struct profile own;
    uv_timer_t timer;             /* calls */
    uv_timer_t publish;           /* a share job that becomes the site */
    uint32_t publish_job;
    uv_timer_t slow;              /* addresses, sites, listing: once a second, each when it is due */
    bool timers, stopping;
    int closing;
    uint64_t listing_seen;        /* shares_changes at the last listing */
    core_time refreshed;
    struct names_listing *listing;
    void (*changed)(void *context, const uint8_t node[NODE_KEY_SIZE]);
    void *changed_context;
};

struct contact *names_contact(const struct names *n, const uint8_t key[NODE_KEY_SIZE]);
int names_contact_save(struct names *n, const struct contact *c, bool pinned);
void names_info(struct names *n, const uint8_t key[NODE_KEY_SIZE], enum name_how how, struct name_info *out);
bool names_query_notice(struct names *n, const struct effect *x, struct bytes bytes);
void names_queries_stop(struct names *n);
/* Copies of sites: what has changed is fetched; called once a second. */
void names_sites_tick(struct names *n, core_time now);
void names_list_stop(struct names *n);
void names_list_tick(struct names *n, core_time now);
#endif
