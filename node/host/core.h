/* The host's end of the core: one node, one batch of effects, one timer. Every host module that calls into the core does it this way:
 *
 *     xfer_something(core->xfer, host_now(core), ..., host_out(core));
 *     host_drain(core);
 *
 * host_out makes room for one call; host_drain carries out what is in the batch and arms the timer. It may be called from inside
 * itself (an effect that fails at once calls the core again): the inner call returns at once and the outer one goes on. */
#ifndef SHOAL_HOST_CORE_H
#define SHOAL_HOST_CORE_H
#include <uv.h>
#include "node/host/wake_guard.h"
#include "node/node.h"

struct streams;
struct data;
struct store;

struct host_core {
    uv_loop_t *loop;
    struct node *node;
    struct xfer *xfer;
    struct dht_node *dht;
    const struct node_identity *me;
    const struct network *network;
    const struct core_crypto *crypto;
    struct streams *streams;
    struct data *data;
    struct store *store;
    struct effects batch[2];
    unsigned filling;                /* which batch calls append to */
    bool draining, drain_wanted, stopped; /* stopped: the node ends; the timer is closed, effects still run */
    core_time armed;                 /* the deadline the timer is set to */
    struct wake_guard guard;
    uv_timer_t timer;
    void (*datagram)(void *owner, const struct net_addr *to, struct bytes bytes); /* sends one datagram */
    void (*content)(void *owner, uint32_t session, uint32_t channel, bool pack, const uint8_t provider_key[HASH_SIZE]);
    void (*persist)(void *owner, uint32_t key, struct bytes bytes);
    void (*notice)(void *owner, const struct effect *x, struct bytes bytes); /* what the node did not consume */
    void *owner;
};

core_time host_now(const struct host_core *core);        /* uv_hrtime in us; CLOCK_MONOTONIC */
uint64_t host_unix_ms(void);
struct effects *host_out(struct host_core *core);
void host_drain(struct host_core *core);
void host_core_init(struct host_core *core, uv_loop_t *loop);
void host_core_stop(struct host_core *core); /* closes the timer; effects are still carried out */
void host_core_fini(struct host_core *core); /* after the loop ran the timer's close callback, or with it */

/* Fills from getrandom; aborts when the system has none. */
void host_random(void *out, size_t size);
/* struct net_addr to and from sockaddr. */
int host_to_sockaddr(struct sockaddr_storage *out, const struct net_addr *a); /* plain AF_INET for mapped IPv4 */
bool host_from_sockaddr(struct net_addr *out, const struct sockaddr *sa);
#endif
