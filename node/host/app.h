/* A running node: home, configuration, loop, core and all modules. What `shoal up` runs. */
#ifndef SHOAL_HOST_APP_H
#define SHOAL_HOST_APP_H
#include "node/host/config.h"
#include "node/host/fetch.h"

struct app {
    struct config *config;
    char home[4096];
    struct node_identity me;
    struct network network;
    uv_loop_t loop;
    struct host_core core;
    struct jobs *jobs;
    struct shares *shares;
    struct fetches *fetches;
    struct udp *udp;
    struct neighbours *neighbours;
    core_time started;
    struct net_addr listen4, listen6;  /* bound; port 0 = not */
    bool stopping;
    bool clock_wrong;                  /* DHT_NOTICE_CLOCK */
    void (*on_stop)(struct app *app);  /* gateways close here */
    void *gateways;
};

/* Opens home (making it, its key and its network on the first run) and starts everything but the gateways. On error `message` (512 bytes) says what,
 * where and what to do; nothing is left running. ERR_BUSY: another node runs on this home. */
int app_start(struct app *app, const struct config *config, char *message);
int app_run(struct app *app);          /* until app_stop; SIGINT and SIGTERM call it. Everything is synced and closed on return */
void app_stop(struct app *app);
void app_invite(struct app *app, struct invite *out);
/* ERR_NETWORK with a sentence naming --home when this home already has another network with shares or peers. */
int app_join(struct app *app, const struct invite *invite, char *message);
struct job *app_find(struct app *app, const struct link *link);
struct job *app_rotate(struct app *app);
#endif
