/* What concerns the network as a whole: invites, joining, the command `find`, and changing a private network's secret. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/base/assert.h"
#include "node/base/pack.h"
#include "node/base/wire.h"
#include "node/host/app.h"
#include "node/host/log.h"

/* ---- Invites ---- */

/* An address others may use: what peers see, else what we are bound to, else the machine's own addresses. */
static uint32_t own_addresses(struct app *app, struct net_addr *out, uint32_t max)
{
    struct node_reach reach;
    uint32_t count = 0;
    uint16_t port = app_port(app);
    node_reach(app->core.node, &reach);
    if (reach.observed.port && net_addr_scope(&reach.observed) == NET_SCOPE_GLOBAL && count < max) {
        out[count] = reach.observed;
        out[count++].port = port;
    }
    const struct net_addr *bound = app->listen4.port ? &app->listen4 : &app->listen6;
    struct net_addr any4 = net_addr_v4(0, 0, 0, 0, bound->port);
    static const uint8_t any6[16] = {0};
    if (port && !net_addr_same_ip(bound, &any4) && memcmp(bound->ip, any6, 16) != 0) {
        if (count < max)
            out[count++] = *bound;
        return count;
    }
    uv_interface_address_t *interfaces;
    int n;
    if (port == 0 || uv_interface_addresses(&interfaces, &n) != 0)
        return count;
    struct net_addr loopback = {{0}, 0};
    for (int i = 0; i < n; i++) {
        struct net_addr a;
        if (!host_from_sockaddr(&a, (struct sockaddr *)&interfaces[i].address))
            continue;
        a.port = port;
        bool bound_family = net_addr_is_v4(&a) ? app->listen4.port != 0 : app->listen6.port != 0;
        enum net_scope scope = net_addr_scope(&a);
        if (!bound_family || scope == NET_SCOPE_LINK_LOCAL || scope == NET_SCOPE_INVALID)
            continue;
        if (interfaces[i].is_internal || scope == NET_SCOPE_LOOPBACK) {
            if (net_addr_is_v4(&a))
                loopback = a;
            continue;
        }
        if (count < max && (count == 0 || !net_addr_equal(&a, &out[0])))
            out[count++] = a;
    }
    uv_free_interface_addresses(interfaces, n);
    if (count == 0 && loopback.port && max)
        out[count++] = loopback; /* a machine without a network: nodes on it can still meet */
    return count;
}

uint32_t app_addresses(struct app *app, struct net_addr *out, uint32_t max)
{
    return own_addresses(app, out, max);
}

void app_invite(struct app *app, struct invite *out)
{
    struct net_addr own[3];
    memset(out, 0, sizeof *out);
    out->network = app->network;
    uint32_t count = own_addresses(app, own, 3);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(out->nodes[out->node_count].key, app->me.key, NODE_KEY_SIZE);
        out->nodes[out->node_count++].addr = own[i];
    }
    /* Two more nodes, so that the invite works while this one sleeps. */
    struct node_addr others[2];
    uint32_t other_count = dht_contacts(app->core.dht, others, 2);
    for (uint32_t i = 0; i < other_count && out->node_count < INVITE_NODES_MAX; i++)
        out->nodes[out->node_count++] = others[i];
}

static bool same_network(const struct network *a, const struct network *b)
{
    return memcmp(a->id, b->id, NETWORK_ID_SIZE) == 0;
}

int app_join(struct app *app, const struct invite *invite, char *message)
{
    bool fresh = false;
    int r = 0;
    if (!same_network(&app->network, &invite->network)) {
        r = home_network_fresh(app->store, &fresh);
        if (r == 0 && !fresh) {
            snprintf(message, APP_MESSAGE_MAX,
                     "this invite is for another network, and %.200s already shares or fetches in its own; "
                     "one home is one network: join with --home DIR and a new folder",
                     app->home.path);
            return ERR_NETWORK;
        }
    }
    bool changed = !same_network(&app->network, &invite->network) || app->network.is_private != invite->network.is_private ||
                   memcmp(app->network.secret, invite->network.secret, NETWORK_SECRET_SIZE) != 0;
    if (r == 0)
        r = home_hints_save(app->store, invite);
    if (r == 0 && changed)
        r = home_network_save(app->store, &invite->network);
    if (r != 0) {
        snprintf(message, APP_MESSAGE_MAX, "cannot write to %.300s: %s", app->home.path, err_text(r));
        return r;
    }
    if (changed) {
        log_info("node", "joining another network: starting again");
        app->restart = true;
        app_stop(app);
        return 0;
    }
    for (uint32_t i = 0; i < invite->node_count; i++) {
        node_hint(app->core.node, host_now(&app->core), &invite->nodes[i], false, host_out(&app->core));
        host_drain(&app->core);
    }
    return 0;
}

/* ---- find ---- */

struct job *app_find(struct app *app, const struct link *link)
{
    uint8_t key[HASH_SIZE];
    struct job *job = jobs_add(app->jobs, JOB_FIND);
    if (!job)
        return NULL;
    content_provider_key(key, &link->id, &app->network, &core_crypto_real);
    snprintf(job->name, sizeof job->name, "%.255s", link->name);
    snprintf(job->message, sizeof job->message, "asking another node");
    int r = node_find(app->core.node, host_now(&app->core), key, job->id, host_out(&app->core));
    host_drain(&app->core);
    if (r != 0)
        job_fail(job, r, "no other node can be asked: %s", r == ERR_NO_SOURCES ? "this node is alone" : err_text(r));
    return job;
}

static void find_ended(struct app *app, const struct effect *x)
{
    struct job *job = jobs_find(app->jobs, x->u.notice.op);
    if (!job || job->kind != JOB_FIND || job->state != JOB_RUNNING)
        return;
    if (x->u.notice.status != 0) {
        job_fail(job, x->u.notice.status, "the node that was asked gave no answer: %s", err_text(x->u.notice.status));
        return;
    }
    char id[NODE_ID_TEXT_SIZE + 1];
    node_id_format(id, x->u.notice.node.key);
    snprintf(job->target, sizeof job->target, "%s", id);
    job->a = x->u.notice.a;
    job_done(job);
}

/* ---- network rotate ----
 *
 * The one who rotates sends {0: 1, 1: network id, 2: new secret, 3: epoch [unix ms]} over the channels of the old secret to every contact; each
 * member that hears it for the first time does the same. After ROTATE_GRACE the new secret is saved and the node starts again with it.
 * Who is not reached in that time needs a new invite; the job says how many were. */
#define ROTATE_GRACE_MS 20000
#define ROTATE_EPOCH    "network.epoch"

struct app_rotate {
    struct app *app;
    uint8_t secret[NETWORK_SECRET_SIZE];
    uint64_t epoch;
    uint32_t job; /* 0: another node's rotation */
    uv_timer_t timer;
};

static uint64_t known_epoch(struct app *app)
{
    uint8_t value[8];
    size_t size = 0;
    if (store_value_get(app->store, ROTATE_EPOCH, value, sizeof value, &size) != 0 || size != sizeof value)
        return 0;
    return get_be64(value);
}

static void rotate_switch(uv_timer_t *timer)
{
    struct app_rotate *rotate = timer->data;
    struct app *app = rotate->app;
    struct network next = app->network;
    uint8_t epoch[8];
    memcpy(next.secret, rotate->secret, NETWORK_SECRET_SIZE);
    put_be64(epoch, rotate->epoch);
    int r = store_value_put(app->store, ROTATE_EPOCH, bytes_of(epoch, sizeof epoch));
    if (r == 0)
        r = home_network_save(app->store, &next);
    if (r != 0) {
        log_error("network", "could not keep the new secret: %s; trying again", err_text(r));
        uv_timer_start(timer, rotate_switch, 5000, 0);
        return;
    }
    log_info("network", "the network has a new secret; old invites no longer work");
    app->restart = true;
    app_stop(app);
}

static int rotate_begin(struct app *app, const uint8_t secret[NETWORK_SECRET_SIZE], uint64_t epoch, uint32_t job)
{
    uint8_t message[256];
    struct pack p;
    struct app_rotate *rotate = calloc(1, sizeof *rotate);
    if (!rotate)
        return ERR_NO_MEMORY;
    pack_init(&p, message, sizeof message);
    pack_map(&p, 4);
    pack_key_uint(&p, 0, 1);
    pack_key_bin(&p, 1, app->network.id, NETWORK_ID_SIZE);
    pack_key_bin(&p, 2, secret, NETWORK_SECRET_SIZE);
    pack_key_uint(&p, 3, epoch);
    core_assert(pack_ok(&p));
    int r = node_tell_all(app->core.node, host_now(&app->core), bytes_of(message, p.size), job ? job : NODE_OP_MAX, host_out(&app->core));
    if (r != 0) {
        free(rotate);
        return r;
    }
    rotate->app = app;
    memcpy(rotate->secret, secret, NETWORK_SECRET_SIZE);
    rotate->epoch = epoch;
    rotate->job = job;
    uv_timer_init(&app->loop, &rotate->timer);
    rotate->timer.data = rotate;
    uv_timer_start(&rotate->timer, rotate_switch, ROTATE_GRACE_MS, 0);
    app->rotate = rotate;
    host_drain(&app->core);
    return 0;
}

struct job *app_rotate(struct app *app)
{
    uint8_t secret[NETWORK_SECRET_SIZE];
    struct job *job = jobs_add(app->jobs, JOB_ROTATE);
    if (!job)
        return NULL;
    if (!app->network.is_private) {
        job_fail(job, ERR_UNSUPPORTED, "the open network has no secret to change; a private one is made by a first `shoal up --private`");
        return job;
    }
    if (app->rotate) {
        job_fail(job, ERR_BUSY, "the secret is being changed already; wait half a minute");
        return job;
    }
    host_random(secret, sizeof secret);
    uint64_t epoch = host_unix_ms(), last = known_epoch(app);
    int r = rotate_begin(app, secret, epoch > last ? epoch : last + 1, job->id);
    crypto_wipe(secret, sizeof secret);
    if (r != 0)
        job_fail(job, r, "the new secret could not be handed out: %s", err_text(r));
    return job;
}

static void rotate_heard(struct app *app, struct bytes bytes)
{
    struct wire w;
    uint64_t key, type = 0, epoch = 0;
    uint8_t id[NETWORK_ID_SIZE] = {0}, secret[NETWORK_SECRET_SIZE] = {0};
    wire_init(&w, bytes.data, bytes.size);
    struct wire_map m = wire_map(&w);
    while (wire_map_next(&w, &m, &key)) {
        switch (key) {
        case 0:
            type = wire_uint(&w);
            break;
        case 1:
            wire_bin_exact(&w, id, sizeof id);
            break;
        case 2:
            wire_bin_exact(&w, secret, sizeof secret);
            break;
        case 3:
            epoch = wire_uint(&w);
            break;
        default:
            wire_skip(&w);
        }
    }
    if (!wire_done(&w) || type != 1 || memcmp(id, app->network.id, sizeof id) != 0 || !app->network.is_private)
        return;
    if (app->rotate || epoch <= known_epoch(app) || memcmp(secret, app->network.secret, sizeof secret) == 0)
        return; /* heard before: gossip ends here */
    log_info("network", "a member changes the network's secret; passing it on");
    if (rotate_begin(app, secret, epoch, 0) != 0)
        log_warning("network", "could not pass the new secret on");
}

static void rotate_told(struct app *app, const struct effect *x)
{
    struct job *job = jobs_find(app->jobs, x->u.notice.op);
    if (!job || job->kind != JOB_ROTATE || job->state != JOB_RUNNING)
        return;
    job->a = x->u.notice.a;
    job->b = x->u.notice.b;
    snprintf(job->message, sizeof job->message, "handed to %u of %u nodes known; each passes it on, the change is in %d s", (unsigned)job->a,
             (unsigned)job->b, ROTATE_GRACE_MS / 1000);
    job_done(job);
}

bool app_network_notice(struct app *app, const struct effect *x, struct bytes bytes)
{
    switch (x->u.notice.kind) {
    case NODE_NOTICE_FOUND:
        find_ended(app, x);
        return true;
    case NODE_NOTICE_TOLD:
        rotate_told(app, x);
        return true;
    case XFER_NOTICE_APP:
        rotate_heard(app, bytes);
        return true;
    default:
        return false;
    }
}

static void on_rotate_closed(uv_handle_t *handle)
{
    struct app_rotate *rotate = handle->data;
    crypto_wipe(rotate->secret, sizeof rotate->secret);
    free(rotate);
}

void app_network_stop(struct app *app)
{
    if (!app->rotate)
        return;
    uv_close((uv_handle_t *)&app->rotate->timer, on_rotate_closed);
    app->rotate = NULL;
}
