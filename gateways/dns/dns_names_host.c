/* What a name stands for: content ids, and what the node knows of names (node/host/names.h); queries that
 * wait until it knows more. */
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include "gateways/dns/dns_internal_host.h"
#include "node/base/assert.h"
#include "node/host/names.h"
#include "transfer/content.h"

#define LOOK_NS UINT64_C(1000000000)
#define STALE_S                                                                                              \
    (60 *                                                                                                    \
     60) /* a profile that nobody has confirmed for so long, though it was looked for, is told as stale */

_Static_assert(DNS_TEXT_MAX >= NAME_SIZE, "a nickname fits");
_Static_assert((int)DNS_ADDRESSES_MAX >= (int)PROFILE_ADDRESSES_MAX, "a profile's addresses fit");
_Static_assert((int)DNS_SERVICES_MAX >= (int)PROFILE_SERVICES_MAX, "a profile's services fit");

/* ---- What is known ---- */

static void take_profile(struct dns_who *out, const struct profile *p)
{
    snprintf(out->nickname, sizeof out->nickname, "%s", p->nickname);
    if (p->has_site)
        content_id_format(out->site, &p->site);
    memcpy(out->addresses, p->addresses, p->address_count * sizeof *p->addresses);
    out->address_count = p->address_count;
    for (unsigned i = 0; i < p->service_count; i++) {
        snprintf(out->services[i].name, sizeof out->services[i].name, "%s", p->services[i].name);
        out->services[i].port = p->services[i].port;
    }
    out->service_count = p->service_count;
}

/* This node's addresses, looked up at most every second: the system is asked for its interfaces. */
static uint32_t mine(struct dns_gateway *d, const struct net_addr **out)
{
    uint64_t now = uv_hrtime();
    if (d->mine_at == 0 || now - d->mine_at > LOOK_NS) {
        d->mine_count = app_addresses(d->g->app, d->mine, DNS_ADDRESSES_MAX);
        d->mine_at = now;
    }
    *out = d->mine;
    return d->mine_count;
}

/* This node needs no profile to be asked for: it knows where it is. */
static void take_self(struct dns_gateway *d, struct dns_who *out)
{
    const struct net_addr *list;
    out->address_count = mine(d, &list);
    memcpy(out->addresses, list, out->address_count * sizeof *list);
    memcpy(out->services, d->server.services, sizeof out->services);
    out->service_count = d->server.service_count;
}

static int find(void *owner, const char *text, struct dns_who *out)
{
    struct dns_gateway *d = owner;
    struct content_id content;
    struct name_info info;
    memset(out, 0, sizeof *out);
    if (strlen(text) == CONTENT_ID_TEXT_SIZE) {
        out->is_content = true;
        snprintf(out->id, sizeof out->id, "%s", text);
        return content_id_parse(&content, text);
    }
    int r = names_known(d->g->app->names, text, &info);
    if (r != 0 && r != ERR_BUSY)
        return r;
    node_id_format(out->id, info.node);
    if (r == 0 && info.has_profile) {
        take_profile(out, &info.profile);
        out->stale = info.expired || (info.stale && info.age_s > STALE_S);
    }
    if (memcmp(info.node, d->g->app->me.key, sizeof info.node) == 0) {
        take_self(d, out);
        out->stale = false;
        return 0;
    }
    return r;
}

static bool find_at(void *owner, const struct net_addr *at, char text[DNS_TEXT_MAX])
{
    struct dns_gateway *d = owner;
    const struct net_addr *list;
    struct name_info info;
    uint32_t count = mine(d, &list);
    for (uint32_t i = 0; i < count; i++) {
        if (net_addr_same_ip(&list[i], at)) {
            node_id_format(text, d->g->app->me.key);
            return true;
        }
    }
    if (!names_at_address(d->g->app->names, at, &info))
        return false;
    if (info.petname[0])
        snprintf(text, DNS_TEXT_MAX, "%s", info.petname);
    else
        node_id_format(text, info.node);
    return true;
}

/* An interface has both families as a rule: which other address is on the one that has this? */
static bool look_beside(const struct net_addr *address, bool v6, struct net_addr *out)
{
    struct ifaddrs *all, *it;
    char name[IF_NAMESIZE] = "";
    struct net_addr a;
    bool found = false;
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

static bool beside(void *owner, const struct net_addr *address, bool v6, struct net_addr *out)
{
    struct dns_gateway *d = owner;
    uint64_t now = uv_hrtime();
    if (d->beside_at == 0 || now - d->beside_at > LOOK_NS || d->beside_v6 != v6 ||
        !net_addr_same_ip(&d->beside_of, address)) {
        d->beside_at = now;
        d->beside_of = *address;
        d->beside_v6 = v6;
        d->beside_found = look_beside(address, v6, &d->beside);
    }
    *out = d->beside;
    return d->beside_found;
}

void dns_names_start(struct dns_gateway *d)
{
    d->server.find = find;
    d->server.find_at = find_at;
    d->server.beside = beside;
    d->server.owner = d;
}

/* ---- Queries that wait ---- */

static void unlink_waiting(struct dns_waiting *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        w->d->waiting = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->d->waiting_count--;
}

static void on_found(void *context, int status, const struct name_info *info)
{
    struct dns_waiting *w = context;
    struct dns_gateway *d = w->d;
    uint8_t answer[DNS_UDP_MAX];
    bool tcp = w->asker.tcp;
    (void)status; /* found or not: what is in memory now is the answer */
    (void)info;
    unlink_waiting(w);
    if (!d->closing) {
        uint8_t *out = tcp ? d->scratch : answer;
        size_t size = dns_answer(&d->server, uv_hrtime() / 1000, &w->asker, bytes_of(w->query, w->size), out,
                                 tcp ? DNS_MESSAGE_MAX : sizeof answer, NULL);
        core_assert(size > 0 && size != DNS_LATER); /* it was a whole query before */
        if (tcp)
            dns_tcp_late(w->conn, out, size);
        else
            dns_udp_send(d, &w->asker, out, size);
    }
    free(w);
}

/* An asker that got no answer yet asks again: it is answered once. And one asker does not fill the list; what
 * asks from loopback may ask for many (a resolver). */
static bool may_wait(const struct dns_gateway *d, const struct dns_asker *asker, const struct dns_conn *conn,
                     struct bytes query, bool *again)
{
    bool loopback = net_addr_scope(&asker->from) == NET_SCOPE_LOOPBACK;
    uint32_t same = 0;
    *again = false;
    for (const struct dns_waiting *w = d->waiting; w; w = w->next) {
        same += conn ? w->conn == conn : net_addr_same_ip(&w->asker.from, &asker->from);
        if (!conn && !w->conn && net_addr_equal(&w->asker.from, &asker->from) &&
            bytes_equal(bytes_of(w->query, w->size), query)) {
            *again = true;
            return true;
        }
    }
    return d->waiting_count < DNS_WAITING_MAX && same < (loopback ? DNS_WAITING_MAX / 2 : DNS_WAITING_SOURCE);
}

bool dns_names_wait(struct dns_gateway *d, const struct dns_asker *asker, struct dns_conn *conn,
                    struct bytes query, const char *text)
{
    bool again, link = !net_addr_is_v4(&asker->from) && net_addr_scope(&asker->from) == NET_SCOPE_LINK_LOCAL;
    if (!conn && link) /* its interface is known only as long as its datagram is */
        return false;
    if (!may_wait(d, asker, conn, query, &again))
        return false;
    if (again)
        return true;
    struct dns_waiting *w = malloc(sizeof *w + query.size);
    if (!w)
        return false;
    *w = (struct dns_waiting){.d = d, .next = d->waiting, .asker = *asker, .conn = conn, .size = query.size};
    memcpy(w->query, query.data, query.size);
    w->call = names_resolve(d->g->app->names, text,
                            host_now(&d->g->app->core) + DNS_ANSWER_MS * UINT64_C(1000), on_found, w);
    if (!w->call) {
        free(w);
        return false;
    }
    if (d->waiting)
        d->waiting->prev = w;
    d->waiting = w;
    d->waiting_count++;
    return true;
}

void dns_names_forget(struct dns_gateway *d, const struct dns_conn *conn)
{
    for (struct dns_waiting *w = d->waiting, *next; w; w = next) {
        next = w->next;
        if (conn && w->conn != conn)
            continue;
        names_cancel(w->call);
        unlink_waiting(w);
        free(w);
    }
}
