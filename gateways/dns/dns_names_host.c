/* What a name stands for: content ids, this node, and node ids; queries that wait. */
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>
#include "gateways/dns/dns_internal_host.h"
#include "node/base/assert.h"
#include "node/host/names.h"
#include "transfer/content.h"

static void self(struct dns_gateway *d, struct dns_who *out)
{
    struct app *app = d->g->app;
    node_id_format(out->id, app->me.key);
    out->address_count = app_addresses(app, out->addresses, DNS_ADDRESSES_MAX);
    memcpy(out->services, d->server.services, sizeof out->services);
    out->service_count = d->server.service_count;
}

/* What a profile says, as far as there is one. */
static void told(const struct name_info *info, struct dns_who *out)
{
    const struct profile *p = &info->profile;
    out->stale = info->stale;
    snprintf(out->nickname, sizeof out->nickname, "%s", p->nickname);
    if (p->has_site)
        content_id_format(out->site, &p->site);
    for (unsigned i = 0; i < p->address_count && i < DNS_ADDRESSES_MAX; i++)
        out->addresses[out->address_count++] = p->addresses[i];
    for (unsigned i = 0; i < p->service_count && i < DNS_SERVICES_MAX; i++) {
        struct dns_service *to = &out->services[out->service_count++];
        memcpy(to->name, p->services[i].name, sizeof to->name);
        to->port = p->services[i].port;
    }
}

static int find(void *owner, const char *text, struct dns_who *out)
{
    struct dns_gateway *d = owner;
    struct content_id content;
    struct name_info info;
    memset(out, 0, sizeof *out);
    if (strlen(text) == CONTENT_ID_TEXT_SIZE) {
        int r = content_id_parse(&content, text);
        out->is_content = true;
        snprintf(out->id, sizeof out->id, "%s", text);
        return r;
    }
    int r = names_known(d->g->app->names, text, &info);
    if (r != 0 && r != ERR_BUSY)
        return r;
    if (memcmp(info.node, d->g->app->me.key, NODE_KEY_SIZE) == 0) {
        self(d, out);
        snprintf(out->nickname, sizeof out->nickname, "%s", info.profile.nickname);
        if (info.profile.has_site)
            content_id_format(out->site, &info.profile.site);
        return 0;
    }
    node_id_format(out->id, info.node);
    told(&info, out);
    return r;
}

static bool find_at(void *owner, const struct net_addr *at, char text[DNS_TEXT_MAX])
{
    struct dns_gateway *d = owner;
    struct name_info info;
    if (!names_at_address(d->g->app->names, at, &info))
        return false;
    if (info.petname[0])
        snprintf(text, DNS_TEXT_MAX, "%s", info.petname);
    else
        node_id_format(text, info.node);
    return true;
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

/* ---- Queries that wait ---- */

static void waiting_free(struct dns_waiting *w)
{
    DL_DELETE(w->d->waiting, w);
    w->d->waiting_count--;
    free(w);
}

static void on_found(void *context, int status, const struct name_info *info)
{
    struct dns_waiting *w = context;
    struct dns_gateway *d = w->d;
    uint8_t udp[DNS_UDP_MAX], *out = w->asker.tcp ? d->scratch : udp;
    (void)status; /* found or not: the answer says what is known now */
    (void)info;
    w->call = NULL;
    DL_DELETE(d->waiting, w); /* an answer may close the connection, which forgets all that wait for it */
    d->waiting_count--;
    if (!d->closing) {
        size_t size = dns_answer(&d->server, host_now(&d->g->app->core), &w->asker, bytes_of(w->query, w->size), out,
                                 w->asker.tcp ? DNS_MESSAGE_MAX : DNS_UDP_MAX, NULL);
        if (w->asker.tcp && w->conn)
            dns_tcp_late(w->conn, out, size);
        else if (!w->asker.tcp && size)
            dns_udp_send(d, &w->asker, out, size);
    }
    free(w);
}

static bool same_source(const struct dns_waiting *w, const struct dns_asker *asker, const struct dns_conn *conn)
{
    return conn ? w->conn == conn : !w->conn && net_addr_same_ip(&w->asker.from, &asker->from);
}

bool dns_names_wait(struct dns_gateway *d, const struct dns_asker *asker, struct dns_conn *conn,
                    struct bytes query, const char *text)
{
    struct dns_waiting *w;
    unsigned same = 0;
    DL_FOREACH(d->waiting, w)
    same += same_source(w, asker, conn);
    if (d->waiting_count >= DNS_WAITING_MAX || same >= DNS_WAITING_SOURCE)
        return false;
    w = calloc(1, sizeof *w + query.size);
    if (!w)
        return false;
    w->d = d;
    w->asker = *asker;
    w->conn = conn;
    w->size = query.size;
    memcpy(w->query, query.data, query.size);
    DL_APPEND(d->waiting, w);
    d->waiting_count++;
    w->call = names_resolve(d->g->app->names, text, host_now(&d->g->app->core) + CORE_MS(DNS_ANSWER_MS), on_found, w);
    if (w->call)
        return true;
    waiting_free(w);
    return false;
}

void dns_names_forget(struct dns_gateway *d, const struct dns_conn *conn)
{
    struct dns_waiting *w, *next;
    DL_FOREACH_SAFE(d->waiting, w, next)
    {
        if (conn && w->conn != conn)
            continue;
        if (w->call)
            names_cancel(w->call);
        waiting_free(w);
    }
}
