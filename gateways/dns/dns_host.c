/* Beginning and end of the DNS gateway: settings, zone files, the port. */
#include "gateways/dns/dns_host.h"
#include <stdio.h>
#include <stdlib.h>
#include "gateways/dns/dns_internal_host.h"
#include "node/base/assert.h"
#include "node/host/log.h"

#define PORT_TRIES 16

static struct dns_gateway *of(const struct gateways *g)
{
    return g->state[GATEWAY_DNS];
}

/* ---- Settings ---- */

static int load_suffixes(struct dns_gateway *d, char *message)
{
    char setting[sizeof d->g->app->config.dns_zone], *rest = setting;
    const char *given = d->g->app->config.dns_zone;
    snprintf(setting, sizeof setting, "%s", given[0] ? given : DNS_SUFFIX);
    for (char *word; (word = strtok_r(rest, " \t,", &rest));) {
        int r = dns_server_add_suffix(&d->server, word);
        if (r == 0 || r == ERR_EXISTS)
            continue;
        if (r == ERR_FULL)
            snprintf(message, APP_MESSAGE_MAX, "[dns] zone names more than %d zones", DNS_SUFFIXES_MAX);
        else
            snprintf(message, APP_MESSAGE_MAX,
                     "[dns] zone: \"%.200s\" is not a domain name, like shoal.alt or shoal.internal", word);
        return r;
    }
    return 0;
}

/* ---- Port ---- */

/* UDP and TCP on one port. UV errors. */
static int bind_both(struct dns_gateway *d, struct net_addr *address)
{
    int r = dns_udp_bind(d, address);
    if (r == 0)
        r = dns_tcp_bind(d, address);
    if (r != 0) {
        dns_udp_stop(d);
        dns_tcp_stop(d);
    }
    return r;
}

static int open_port(struct dns_gateway *d, char *message)
{
    const char *setting = d->g->app->config.dns;
    bool named = setting[0] != 0;
    struct net_addr address = net_addr_v4(127, 0, 0, 1, DNS_PORT), wanted;
    if (named && net_addr_parse(&address, setting) != 0) {
        snprintf(message, APP_MESSAGE_MAX, "[dns] listen: \"%.100s\" is not ADDRESS:PORT, like 127.0.0.1:%d",
                 setting, DNS_PORT);
        return ERR_MALFORMED;
    }
    bool free_port = named && address.port == 0;
    wanted = address;
    int r = 0;
    for (int i = 0; i < PORT_TRIES; i++) { /* port 0: UDP takes a free one, whose TCP twin may be taken */
        address = wanted;
        r = bind_both(d, &address);
        if (r == 0) {
            d->address = address;
            r = dns_udp_start(d);
            r = r == 0 ? dns_tcp_start(d) : r;
            r = r == 0 ? dns_zones_watch(d) : r;
            if (r == 0)
                return 0;
            break;
        }
        if (named && !free_port)
            break;
        wanted.port = 0;
    }
    snprintf(message, APP_MESSAGE_MAX,
             "cannot answer DNS on %.60s: %s; name another one with --dns ADDRESS:PORT, or --dns off",
             named ? setting : "127.0.0.1",
             r == UV_EADDRINUSE ? "another program uses this port"
             : r == UV_EACCES
                 ? "ports below 1024 need a permission (setcap cap_net_bind_service=+ep on shoal)"
                 : uv_strerror(r));
    return r == UV_EADDRINUSE ? ERR_BUSY : r == UV_EACCES ? ERR_PERMISSION : ERR_IO;
}

/* ---- The gateway ---- */

/* Where the HTTP gateway is, for A, AAAA and SRV. */
static void learn_gateways(struct dns_gateway *d)
{
    const char *http = gateways_address(d->g, GATEWAY_HTTP);
    struct dns_server *s = &d->server;
    if (http && net_addr_parse(&s->http, http) == 0 && s->http.port) {
        snprintf(s->services[s->service_count].name, sizeof s->services[0].name, "http");
        s->services[s->service_count++].port = s->http.port;
    }
}

int dns_start(struct gateways *g, char *message)
{
    uint8_t secret[DNS_SECRET_SIZE];
    if (strcmp(g->app->config.dns, "off") == 0)
        return 0;
    struct dns_gateway *d = calloc(1, sizeof *d);
    uint8_t *scratch = malloc(2 + DNS_MESSAGE_MAX);
    if (!d || !scratch) {
        free(d);
        free(scratch);
        snprintf(message, APP_MESSAGE_MAX, "not enough memory to answer DNS");
        return ERR_NO_MEMORY;
    }
    d->g = g;
    d->scratch = scratch;
    d->fd = d->listener_fd = -1;
    g->state[GATEWAY_DNS] = d;
    host_random(d->server.secret, sizeof d->server.secret);
    host_random(secret, sizeof secret);
    dns_limit_init(&d->server.limit, (uint32_t)g->app->config.dns_rate, secret);
    d->server.serial = (uint32_t)(host_unix_ms() / 1000);
    d->server.keepalive = DNS_IDLE_MS / 100;
    learn_gateways(d);
    dns_names_start(d);
    int r = load_suffixes(d, message);
    if (r == 0)
        r = dns_zones_load(d, message);
    if (r == 0)
        r = open_port(d, message);
    if (r != 0)
        return r;
    net_addr_format(d->address_text, &d->address);
    log_info("dns", "answering on %s (UDP and TCP)", d->address_text);
    return 0;
}

void dns_stop(struct gateways *g)
{
    struct dns_gateway *d = of(g);
    d->closing = true;
    dns_names_forget(d, NULL);
    dns_zones_stop(d);
    dns_udp_stop(d);
    dns_tcp_stop(d);
}

void dns_free(struct gateways *g)
{
    struct dns_gateway *d = of(g);
    core_assert(!d->first && !d->waiting);
    dns_udp_free(d);
    dns_server_free_zones(&d->server);
    free(d->files);
    free(d->scratch);
    free(d);
    g->state[GATEWAY_DNS] = NULL;
}

const char *dns_address(const struct gateways *g)
{
    return of(g)->address_text[0] ? of(g)->address_text : NULL;
}

bool dns_counter(const struct gateways *g, unsigned index, const char **name, uint64_t *value)
{
    static const char *const names[DNS_COUNTERS] = {"queries", "answers", "nxdomain",  "refused",
                                                    "formerr", "other",   "truncated", "slipped",
                                                    "dropped", "waited",  "stale"};
    const struct dns_gateway *d = of(g);
    if (!d || index >= DNS_COUNTERS)
        return false;
    *name = names[index];
    *value = d->server.counters[index];
    return true;
}
