/* Owning, starting and stopping the gateways. */
#include "gateways/gateways_host.h"
#include <stdio.h>
#include <stdlib.h>
#include "gateways/dns/dns_host.h"
#include "gateways/ftp/ftp_host.h"
#include "gateways/http/api_host.h"
#include "gateways/http/web_host.h"
#include "node/base/assert.h"
#include "node/host/names.h"

#define CONTENT_TIMEOUT_MS 30000

static const struct gateway_kind gateway_kinds[GATEWAY_COUNT] = {
    [GATEWAY_API] = {"api", api_start, api_stop, api_free, api_address},
    [GATEWAY_HTTP] = {"http", web_start, web_stop, web_free, web_address},
    [GATEWAY_FTP] = {"ftp", ftp_start, ftp_stop, ftp_free, ftp_address},
    [GATEWAY_DNS] = {"dns", dns_start, dns_stop, dns_free, dns_address},
};

const char *gateways_name(enum gateway which)
{
    return gateway_kinds[which].name;
}

const char *gateways_address(const struct gateways *g, enum gateway which)
{
    return g->state[which] ? gateway_kinds[which].address(g) : NULL;
}

/* Port 0 asks for a free one and is no address yet. */
int gateways_may_listen(struct gateways *g, const struct net_addr *address, const char *setting,
                        char *message)
{
    struct net_addr a = *address;
    a.port = 1;
    if (net_addr_scope(&a) == NET_SCOPE_LOOPBACK || accounts_count(g->accounts) > 0)
        return 0;
    snprintf(message, APP_MESSAGE_MAX,
             "%s is open to other computers, which takes an account: make one first with `shoal account add "
             "NAME`, or "
             "listen on 127.0.0.1:PORT, or off",
             setting);
    return ERR_PERMISSION;
}

/* ---- Ending ---- */

static void maybe_free(struct gateways *g)
{
    if (!g->closing || g->holds || (g->content && !g->content_stopped) ||
        (g->accounts && !g->accounts_stopped))
        return;
    for (int i = 0; i < GATEWAY_COUNT; i++)
        if (g->state[i])
            gateway_kinds[i].free(g);
    content_free(g->content);
    accounts_free(g->accounts);
    sessions_free(g->sessions);
    g->app->gateways = NULL;
    free(g);
}

void gateways_hold(struct gateways *g)
{
    g->holds++;
}

void gateways_release(struct gateways *g)
{
    core_assert(g->holds > 0);
    g->holds--;
    maybe_free(g);
}

static void on_content_stopped(void *context)
{
    struct gateways *g = context;
    g->content_stopped = true;
    maybe_free(g);
}

static void on_accounts_stopped(void *context)
{
    struct gateways *g = context;
    g->accounts_stopped = true;
    maybe_free(g);
}

void gateways_stop(struct gateways *g)
{
    if (g->closing)
        return;
    g->closing = true;
    gateways_hold(g); /* while the parts are told */
    for (int i = 0; i < GATEWAY_COUNT; i++)
        if (g->state[i])
            gateway_kinds[i].stop(g);
    if (g->content)
        content_stop(g->content, on_content_stopped, g);
    if (g->accounts)
        accounts_stop(g->accounts, on_accounts_stopped, g);
    gateways_release(g);
}

static void on_app_stop(struct app *app)
{
    if (app->gateways)
        gateways_stop(app->gateways);
}

/* ---- Beginning ---- */

static core_time clock_of(void *app)
{
    return host_now(&((struct app *)app)->core);
}

/* The profile tells others of the gateways that they may reach (SRV, Names). */
static void tell_services(struct gateways *g)
{
    static const enum gateway which[] = {GATEWAY_HTTP, GATEWAY_FTP};
    for (size_t i = 0; g->app->names && i < sizeof which / sizeof *which; i++) {
        struct net_addr at;
        const char *address = gateways_address(g, which[i]);
        if (address && net_addr_parse(&at, address) == 0 && net_addr_scope(&at) != NET_SCOPE_LOOPBACK)
            names_set_service(g->app->names, gateways_name(which[i]), at.port);
    }
}

static int start_all(struct gateways *g, char *message)
{
    snprintf(message, APP_MESSAGE_MAX, "out of memory");
    struct limits_config limits;
    limits_config_default(&limits);
    if (g->app->config.gateway_connections)
        limits.open_max = (uint32_t)g->app->config.gateway_connections;
    if (g->app->config.gateway_per_address)
        limits.open_per_address_max = (uint32_t)g->app->config.gateway_per_address;
    host_random(limits.seed, sizeof limits.seed);
    g->sessions = sessions_new(&limits, clock_of, g->app);
    if (g->sessions)
        g->accounts = accounts_new(g->app, sessions_limits(g->sessions));
    if (g->accounts)
        g->content = content_new(g->app);
    if (!g->content)
        return ERR_NO_MEMORY;
    for (int i = 0; i < GATEWAY_COUNT; i++) {
        int r = gateway_kinds[i].start(g, message);
        if (r != 0)
            return r;
    }
    tell_services(g);
    return 0;
}

struct gateways *gateways_start(struct app *app, char *message)
{
    struct gateways *g = calloc(1, sizeof *g);
    if (!g) {
        snprintf(message, APP_MESSAGE_MAX, "out of memory");
        return NULL;
    }
    g->app = app;
    g->content_timeout_ms = app->config.http_timeout_s ? app->config.http_timeout_s * 1000 : CONTENT_TIMEOUT_MS;
    app->gateways = g;
    app->on_stop = on_app_stop;
    if (start_all(g, message) == 0)
        return g;
    gateways_stop(g); /* the caller stops the node: what is left closes with it */
    return NULL;
}
