#include "node/host/app.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "node/base/assert.h"
#include "node/host/log.h"
#include "node/host/names.h"
#include "node/host/neighbours.h"
#include "node/host/streams.h"
#include "node/host/udp.h"

#define LOOKUPS_MAX   64
#define RECORDS_MAX   65536
#define KEYS_MAX      4096
#define PENDING_MAX   128 /* requests under way: a search asks many nodes at once */
#define PORT_TRIES    32
#define CONTACTS_NAME "core.%u" /* store value of a persist key */

static struct app *app_of(void *owner)
{
    return owner;
}

/* ---- The core's effects ---- */

static void on_datagram(void *owner, const struct net_addr *to, struct bytes bytes)
{
    udp_send(app_of(owner)->udp, to, bytes);
}

static void on_content(void *owner, uint32_t session, uint32_t channel, bool pack, const uint8_t provider_key[HASH_SIZE])
{
    shares_content(app_of(owner)->shares, session, channel, pack, provider_key);
}

static void on_persist(void *owner, uint32_t key, struct bytes bytes)
{
    char name[32];
    snprintf(name, sizeof name, CONTACTS_NAME, key);
    int r = store_value_put(app_of(owner)->store, name, bytes);
    if (r != 0)
        log_warning("store", "could not keep the list of contacts: %s", err_text(r));
}

static void log_reach(struct app *app)
{
    struct node_reach reach;
    node_reach(app->core.node, &reach);
    log_info("net", "%s", node_reach_text(&reach));
}

/* Notices that concern the node as a whole; what belongs to a module goes there first. */
static void on_notice(void *owner, const struct effect *x, struct bytes bytes)
{
    struct app *app = owner;
    char addr[NET_ADDR_TEXT_MAX];
    if (names_notice(app->names, x, bytes) || app_network_notice(app, x, bytes) || fetches_notice(app->fetches, x) || shares_notice(app->shares, x))
        return;
    switch (x->u.notice.kind) {
    case DHT_NOTICE_JOINED:
        names_refresh(app->names);
        log_info("dht", "joined, %u contacts", (unsigned)x->u.notice.a);
        break;
    case DHT_NOTICE_OBSERVED:
        names_refresh(app->names);
        log_info("net", "others see this node at %s", net_addr_format(addr, &x->u.notice.node.addr));
        break;
    case DHT_NOTICE_CLOCK:
        app->clock_median_ms = x->u.notice.a;
        log_warning("clock", "this machine's clock is %lld minutes away from most other nodes'; theirs is used for expiry. Set the clock",
                    (long long)(((int64_t)host_unix_ms() - (int64_t)x->u.notice.a) / 60000));
        break;
    case NODE_NOTICE_REACHABLE:
        log_reach(app);
        break;
    case NODE_NOTICE_ALONE:
        log_info("net", "alone: nobody answers yet. Give your invite (`shoal invite`) to others, or `shoal join` theirs");
        break;
    case XFER_NOTICE_BANNED:
        app->bans++;
        log_warning("swarm", "banned the node at %s: %s", net_addr_format(addr, &x->u.notice.node.addr), err_text(x->u.notice.status));
        break;
    default:
        break;
    }
}

/* ---- Start ---- */

static int say(char *message, int code, const char *text)
{
    snprintf(message, APP_MESSAGE_MAX, "%s", text);
    return code;
}

uint16_t app_port(const struct app *app)
{
    return app->listen4.port ? app->listen4.port : app->listen6.port;
}

/* TCP and UDP on one port: others reach both by one address. Returns a UV error. */
static int bind_both(struct app *app, struct net_addr *addr)
{
    struct net_addr tcp = *addr;
    int r = streams_listen(app->streams, &tcp);
    if (r != 0)
        return r;
    r = udp_open(app->udp, &tcp);
    if (r != 0) {
        streams_unlisten(app->streams, &tcp);
        return r;
    }
    *addr = tcp;
    return 0;
}

static bool any_v6(void)
{
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    if (fd < 0)
        return false;
    struct sockaddr_in6 a = {.sin6_family = AF_INET6};
    bool ok = bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
    close(fd);
    return ok;
}

static int listen_named(struct app *app, char *message)
{
    struct net_addr addr;
    if (net_addr_parse(&addr, app->config.listen) != 0) {
        snprintf(message, APP_MESSAGE_MAX, "listen address \"%s\" is not ADDRESS:PORT, like 0.0.0.0:7733 or [::]:7733", app->config.listen);
        return ERR_MALFORMED;
    }
    bool named_port = addr.port != 0;
    struct net_addr *bound = net_addr_is_v4(&addr) ? &app->listen4 : &app->listen6;
    int r = 0;
    for (int i = 0; i < PORT_TRIES; i++) {
        *bound = addr;
        if (!named_port && i == 0)
            bound->port = app->config.listen_again; /* others know us under it */
        r = bind_both(app, bound);
        /* With port 0 the system picks a TCP port whose UDP twin may be taken: pick again. */
        if (r == 0 || named_port || r != UV_EADDRINUSE)
            break;
    }
    if (r == 0)
        return 0;
    bound->port = 0;
    snprintf(message, APP_MESSAGE_MAX, "cannot listen on %s: %s; name another one with --listen ADDRESS:PORT, or leave it out", app->config.listen,
             r == UV_EADDRINUSE ? "another program uses this port" : uv_strerror(r));
    return r == UV_EADDRINUSE ? ERR_BUSY : ERR_IO;
}

/* The default: every address, both families, port 7733; when that is taken, the same free port for both. */
static int listen_default(struct app *app, char *message)
{
    uint16_t first = app->config.listen_again ? app->config.listen_again : APP_PORT;
    int r = 0;
    for (int i = 0; i < PORT_TRIES; i++) {
        app->listen4 = net_addr_v4(0, 0, 0, 0, i == 0 ? first : 0);
        r = bind_both(app, &app->listen4);
        if (r != 0)
            continue;
        memset(&app->listen6, 0, sizeof app->listen6);
        if (!any_v6())
            return 0;
        app->listen6.port = app->listen4.port;
        if (bind_both(app, &app->listen6) == 0)
            return 0;
        udp_shut(app->udp);
        streams_unlisten(app->streams, &app->listen4);
        memset(&app->listen6, 0, sizeof app->listen6);
    }
    memset(&app->listen4, 0, sizeof app->listen4);
    snprintf(message, APP_MESSAGE_MAX, "cannot listen on any port: %s; name one with --listen ADDRESS:PORT", uv_strerror(r));
    return ERR_IO;
}

static int start_listening(struct app *app, char *message)
{
    if (strcmp(app->config.listen, "off") == 0)
        return udp_open_unbound(app->udp) == 0 ? 0 : say(message, ERR_IO, "cannot open a UDP socket");
    return app->config.listen[0] ? listen_named(app, message) : listen_default(app, message);
}

static int start_node(struct app *app, char *message)
{
    struct node_config c = {.me = &app->me, .network = &app->network, .stream_port = app_port(app), .names_cache = NAMES_CACHE_MAX};
    host_random(c.seed, sizeof c.seed);
    c.dht.config = &app->dht_config;
    c.dht.crypto = c.xfer.crypto = &core_crypto_real;
    c.dht.alloc = c.xfer.alloc = &core_alloc_libc;
    c.dht.keys = key_pool_new(&core_alloc_libc, &core_crypto_real, KEYS_MAX);
    c.dht.lookups = &app->lookups;
    c.dht.records = &app->records;
    c.xfer.config = &app->xfer_config;
    app->keys = c.dht.keys;
    pool_init(&app->lookups, &core_alloc_libc, dht_lookup_size(&app->dht_config), LOOKUPS_MAX);
    pool_init(&app->records, &core_alloc_libc, dht_record_size(), RECORDS_MAX);
    app->core.node = c.dht.keys ? node_new(&c, host_now(&app->core)) : NULL;
    crypto_wipe(c.seed, sizeof c.seed);
    if (!app->core.node)
        return say(message, ERR_NO_MEMORY, "not enough memory to start");
    app->core.xfer = node_xfer(app->core.node);
    app->core.dht = node_dht(app->core.node);
    return 0;
}

static void configure(struct app *app)
{
    dht_config_default(&app->dht_config);
    if (app->config.dht_k)
        app->dht_config.k = (uint8_t)app->config.dht_k;
    app->dht_config.pending_max = PENDING_MAX;
    app->dht_config.private_limits = app->network.is_private;
    app->dht_config.unlisted = strcmp(app->config.listen, "off") == 0;
    xfer_config_default(&app->xfer_config);
    app->xfer_config.upload_rate = app->config.upload_rate;
    app->xfer_config.download_rate = app->config.download_rate;
    app->core.me = &app->me;
    app->core.network = &app->network;
    app->core.crypto = &core_crypto_real;
    app->core.owner = app;
    app->core.datagram = on_datagram;
    app->core.content = on_content;
    app->core.persist = on_persist;
    app->core.notice = on_notice;
}

/* Cached contacts, the invite's nodes, and configured ones. */
static void start_contacts(struct app *app)
{
    uint8_t saved[8192];
    char name[32];
    size_t size;
    struct node_addr hints[INVITE_NODES_MAX];
    core_time now = host_now(&app->core);
    snprintf(name, sizeof name, CONTACTS_NAME, (unsigned)NODE_PERSIST_CONTACTS);
    if (store_value_get(app->store, name, saved, sizeof saved, &size) == 0)
        node_restore(app->core.node, now, NODE_PERSIST_CONTACTS, bytes_of(saved, size));
    uint32_t count = home_hints_load(app->store, hints);
    for (uint32_t i = 0; i < count; i++)
        node_hint(app->core.node, now, &hints[i], false, host_out(&app->core));
    for (uint32_t i = 0; i < app->config.bootstrap_count; i++) {
        struct node_addr peer;
        if (config_parse_peer(&peer, app->config.bootstrap[i]) == 0)
            node_hint(app->core.node, now, &peer, false, host_out(&app->core));
    }
    dht_set_unix_ms(app->core.dht, now, host_unix_ms());
    host_drain(&app->core);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct app *app = signal->data;
    log_info("node", "stopping (%s)", number == SIGINT ? "Ctrl-C" : "SIGTERM");
    app_stop(app);
}

static void start_signals(struct app *app)
{
    static const int numbers[2] = {SIGINT, SIGTERM};
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&app->loop, &app->signals[i]);
        app->signals[i].data = app;
        uv_signal_start(&app->signals[i], on_signal, numbers[i]);
        uv_unref((uv_handle_t *)&app->signals[i]);
    }
    signal(SIGPIPE, SIG_IGN);
}

/* Sockets and open files of 10,000 shares and some thousand sessions fit below the hard limit on any system of today. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int start_modules(struct app *app, char *message)
{
    struct streams_config sc;
    streams_config_default(&sc);
    app->udp = udp_new(&app->core);
    app->streams = streams_new(&app->core, &sc);
    if (!app->udp || !app->streams)
        return say(message, ERR_NO_MEMORY, "not enough memory to start");
    int r = start_listening(app, message);
    if (r == 0)
        r = start_node(app, message);
    if (r != 0)
        return r;
    app->data = data_new(&app->core, app->home.path, app->config.budget);
    app->jobs = jobs_new(&app->core);
    app->shares = app->data && app->jobs ? shares_new(&app->core, app->jobs, app->home.path) : NULL;
    app->fetches = app->shares ? fetches_new(&app->core, app->jobs, app->shares, app->home.path) : NULL;
    app->names = app->fetches ? names_new(app) : NULL;
    if (!app->names)
        return say(message, ERR_NO_MEMORY, "not enough memory to start");
    app->core.data = app->data;
    const struct net_addr bound[2] = {app->listen4, app->listen6};
    shares_set_addresses(app->shares, bound, 2);
    if (store_quota_set(app->store, app->config.quota) != 0)
        log_warning("store", "the disk is full or not writable: the quota holds for this run only");
    return 0;
}

int app_start(struct app *app, const struct config *config, char *message)
{
    uint8_t seed[NODE_SEED_SIZE];
    memset(app, 0, sizeof *app);
    app->config = *config;
    if (sodium_init() < 0)
        return say(message, ERR_IO, "libsodium could not be started");
    int r = home_open(&app->home, config->home, seed, message);
    if (r != 0)
        return r;
    core_crypto_real.identity(&app->me, seed);
    crypto_wipe(seed, sizeof seed);
    raise_file_limit();
    uv_loop_init(&app->loop);
    host_core_init(&app->core, &app->loop);
    app->running = true;
    r = store_open(&app->store, app->home.path, message);
    if (r == 0) {
        app->core.store = app->store;
        r = home_network_load(app->store, &app->network, config->network_private);
        if (r != 0)
            snprintf(message, APP_MESSAGE_MAX, "cannot read the network of %.300s: %s", app->home.path, err_text(r));
    }
    if (r == 0) {
        configure(app);
        r = start_modules(app, message);
    }
    if (r != 0) {
        app_stop(app);
        app_run(app);
        return r;
    }
    app->started = host_now(&app->core);
    start_signals(app);
    if (app->config.neighbours && app_port(app))
        app->neighbours = neighbours_new(&app->core, &app->listen4, &app->listen6);
    start_contacts(app);
    shares_start(app->shares);
    fetches_start(app->fetches);
    names_start(app->names);
    return 0;
}

/* ---- Stop ---- */

static void on_closed(void *context);

/* One step after the other: what uses a module ends before it does. */
static void stop_next(struct app *app)
{
    while (app->closing == 0 && app->stop_step < 5) {
        app->closing++;
        switch (app->stop_step++) {
        case 0:
            if (app->fetches)
                fetches_stop(app->fetches, on_closed, app);
            else
                app->closing--;
            break;
        case 1:
            if (app->shares)
                shares_stop(app->shares, on_closed, app);
            else
                app->closing--;
            break;
        case 2:
            if (app->streams)
                streams_close(app->streams, on_closed, app);
            else
                app->closing--;
            break;
        case 3:
            if (app->udp)
                udp_close(app->udp, on_closed, app);
            else
                app->closing--;
            break;
        default:
            app->closing--;
        }
    }
}

static void on_closed(void *context)
{
    struct app *app = context;
    core_assert(app->closing > 0);
    app->closing--;
    stop_next(app);
}

static void on_stop_timer(uv_timer_t *timer)
{
    struct app *app = timer->data;
    uv_close((uv_handle_t *)timer, NULL);
    app_network_stop(app);
    if (app->names)
        names_stop(app->names);
    if (app->on_stop)
        app->on_stop(app);
    if (app->neighbours)
        neighbours_close(app->neighbours);
    app->neighbours = NULL;
    for (int i = 0; i < 2; i++) {
        if (app->signals[i].data)
            uv_close((uv_handle_t *)&app->signals[i], NULL);
    }
    stop_next(app);
}

/* From the loop's next turn, so that the caller (an API request, a signal, the core) can finish what it is doing. */
void app_stop(struct app *app)
{
    if (app->stopping)
        return;
    app->stopping = true;
    uv_timer_init(&app->loop, &app->stop_timer);
    app->stop_timer.data = app;
    uv_timer_start(&app->stop_timer, on_stop_timer, 0, 0);
}

static void app_free(struct app *app)
{
    names_free(app->names);
    fetches_free(app->fetches);
    shares_free(app->shares);
    jobs_free(app->jobs);
    data_free(app->data);
    streams_free(app->streams);
    udp_free(app->udp);
    host_core_stop(&app->core);
    /* Closed handles still point into the modules' memory until their callbacks ran. */
    uv_run(&app->loop, UV_RUN_DEFAULT);
    if (app->core.node) {
        node_free(app->core.node);
        pool_fini(&app->lookups);
        pool_fini(&app->records);
    }
    key_pool_free(app->keys);
    host_core_fini(&app->core);
    store_close(app->store);
    home_close(&app->home);
    crypto_wipe(&app->me, sizeof app->me);
}

bool app_run(struct app *app)
{
    core_assert(app->running);
    while (!app->stopping || app->closing > 0 || app->stop_step < 5)
        uv_run(&app->loop, UV_RUN_ONCE);
    app_free(app);
    int r = uv_loop_close(&app->loop);
    core_assert(r == 0);
    app->running = false;
    return app->restart;
}
