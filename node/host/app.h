/* A running node: home, configuration, loop, core and all modules. What `shoal up` runs. */
#ifndef SHOAL_HOST_APP_H
#define SHOAL_HOST_APP_H
#include "node/host/config.h"
#include "node/host/fetch.h"
#include "node/host/home.h"

struct udp;
struct names;
struct neighbours;
struct app_rotate;

#define APP_MESSAGE_MAX 512
#define APP_PORT        7733 /* TCP and UDP, unless the user names another; taken: a free one */

struct app {
    struct config config;
    struct home home;
    struct node_identity me;
    struct network network;
    uv_loop_t loop;
    struct host_core core;
    struct dht_config dht_config;
    struct xfer_config xfer_config;
    struct pool lookups, records;      /* of the one node of this process */
    struct store *store;
    struct data *data;
    struct streams *streams;
    struct jobs *jobs;
    struct shares *shares;
    struct fetches *fetches;
    struct udp *udp;
    struct names *names;
    struct neighbours *neighbours;     /* NULL: turned off or not possible here */
    struct app_rotate *rotate;         /* a change of the network's secret under way, or NULL */
    uv_signal_t signals[2];
    core_time started;
    struct net_addr listen4, listen6;  /* bound; port 0 = not */
    struct key_pool *keys;
    bool running, stopping;
    uv_timer_t stop_timer;
    unsigned stop_step;
    unsigned closing;                  /* modules that have not called back yet */
    bool restart;                      /* app_run returned so that the caller starts again: the home joined another network */
    uint64_t clock_median_ms;          /* DHT_NOTICE_CLOCK: what most peers believe; 0 = our clock is fine */
    uint64_t bans;
    void (*on_stop)(struct app *app);  /* gateways close their handles here */
    void *gateways;
};

/* Opens home (making it, its key and its network on the first run) and starts everything but the gateways. On error `message` (APP_MESSAGE_MAX)
 * says what, where and what to do; nothing is left running. ERR_BUSY: another node runs on this home. app is filled from zero. */
int app_start(struct app *app, const struct config *config, char *message);
/* Runs until app_stop; SIGINT and SIGTERM call it. Everything is synced, closed and freed on return. True: start again (app->restart). */
bool app_run(struct app *app);
void app_stop(struct app *app);

void app_invite(struct app *app, struct invite *out);
/* 0; ERR_NETWORK with a sentence naming --home when this home already belongs to another network and has shares or fetches there. When the
 * network changes, app_stop is called with restart set: the caller's answer still goes out first. */
int app_join(struct app *app, const struct invite *invite, char *message);
struct job *app_find(struct app *app, const struct link *link);
/* A new secret for a private network, handed to all members that can be reached. A failed job says why (an open network has no secret). */
struct job *app_rotate(struct app *app);

/* Internal to app*.c. */
bool app_network_notice(struct app *app, const struct effect *x, struct bytes bytes);
void app_network_stop(struct app *app);
uint16_t app_port(const struct app *app);
/* Addresses under which others may reach this node, best first. */
uint32_t app_addresses(struct app *app, struct net_addr *out, uint32_t max);
#endif
