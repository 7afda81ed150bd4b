/* What a name stands for: content ids, this node, and node ids; queries that wait. */
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include "gateways/dns/dns_internal_host.h"
#include "node/base/assert.h"
#include "transfer/content.h"

static void self(struct dns_gateway *d, struct dns_who *out)
{
    struct app *app = d->g->app;
    node_id_format(out->id, app->me.key);
    out->address_count = app_addresses(app, out->addresses, DNS_ADDRESSES_MAX);
    memcpy(out->services, d->server.services, sizeof out->services);
    out->service_count = d->server.service_count;
}

static int find(void *owner, const char *text, struct dns_who *out)
{
    struct dns_gateway *d = owner;
    struct content_id content;
    uint8_t key[NODE_KEY_SIZE];
    memset(out, 0, sizeof *out);
    if (strlen(text) == CONTENT_ID_TEXT_SIZE) {
        int r = content_id_parse(&content, text);
        out->is_content = true;
        snprintf(out->id, sizeof out->id, "%s", text);
        return r;
    }
    if (strcmp(text, "self") == 0) {
        self(d, out);
        return 0;
    }
    int r = node_id_parse(key, text);
    if (r == 0 && memcmp(key, d->g->app->me.key, sizeof key) == 0) {
        self(d, out);
        return 0;
    }
    if (r == 0)
        node_id_format(out->id, key);
    return r == 0 ? ERR_BUSY : ERR_NOT_FOUND;
}

static bool find_at(void *owner, const struct net_addr *at, char text[DNS_TEXT_MAX])
{
    struct dns_gateway *d = owner;
    struct net_addr mine[DNS_ADDRESSES_MAX];
    uint32_t count = app_addresses(d->g->app, mine, DNS_ADDRESSES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (net_addr_same_ip(&mine[i], at)) {
            node_id_format(text, d->g->app->me.key);
            return true;
        }
    }
    return false;
}

/* An interface has both families as a rule: which other address is on the one that has this? */
static bool beside(void *owner, const struct net_addr *address, bool v6, struct net_addr *out)
{
    struct ifaddrs *all, *it;
    char name[IF_NAMESIZE] = "";
    struct net_addr a;
    bool found = false;
    (void)owner;
    if (getifaddrs(&all) != 0)
        return false;
    for (it = all; it && !name[0]; it = it->ifa_next)
        if (it->ifa_addr && host_from_sockaddr(&a, it->ifa_addr) && net_addr_same_ip(&a, address))
            snprintf(name, sizeof name, "%s", it->ifa_name);
    for (it = all; it && !found && name[0]; it = it->ifa_next) {
        if (!it->ifa_addr || strcmp(it->ifa_name, name) != 0 || !host_from_sockaddr(&a, it->ifa_addr) ||
            net_addr_is_v4(&a) == v6)
            continue;
        a.port = 1;
        enum net_scope scope = net_addr_scope(&a);
        if (scope == NET_SCOPE_PRIVATE || scope == NET_SCOPE_GLOBAL) {
            *out = a;
            found = true;
        }
    }
    freeifaddrs(all);
    return found;
}

void dns_names_start(struct dns_gateway *d)
{
    d->server.find = find;
    d->server.find_at = find_at;
    d->server.beside = beside;
    d->server.owner = d;
}

bool dns_names_wait(struct dns_gateway *d, const struct dns_asker *asker, struct dns_conn *conn,
                    struct bytes query, const char *text)
{
    (void)d;
    (void)asker;
    (void)conn;
    (void)query;
    (void)text;
    return false;
}

void dns_names_forget(struct dns_gateway *d, const struct dns_conn *conn)
{
    (void)d;
    (void)conn;
}
