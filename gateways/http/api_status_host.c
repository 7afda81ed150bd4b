/* What the node says about itself: status, peers, invite. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "gateways/http/api_internal_host.h"
#include "node/host/streams.h"

#define USAGE_FRESH CORE_SECONDS(30)
#define PEERS_MAX   1000

/* ---- Counting what the home holds, off the loop: it walks folders ---- */

struct work {
    uv_work_t request;
    struct gateways *g;
    char home[4096];
    uint64_t bytes;
    int status;
};

static void count_usage(uv_work_t *request)
{
    struct work *w = request->data;
    struct store *s;
    w->status = store_open(&s, w->home, NULL);
    if (w->status != 0)
        return;
    w->status = store_usage(s, &w->bytes);
    store_close(s);
}

static void usage_counted(uv_work_t *request, int status)
{
    struct work *w = request->data;
    struct gateways *g = w->g;
    struct api *a = api_of(g);
    a->counting = false;
    if (status == 0 && w->status == 0) {
        a->usage = w->bytes;
        a->usage_at = host_now(&g->app->core);
    }
    free(w);
    gateways_release(g);
}

void api_usage_refresh(struct gateways *g)
{
    struct api *a = api_of(g);
    if (a->counting || g->closing || (a->usage_at && host_now(&g->app->core) - a->usage_at < USAGE_FRESH))
        return;
    struct work *w = calloc(1, sizeof *w);
    if (!w)
        return;
    w->g = g;
    w->request.data = w;
    snprintf(w->home, sizeof w->home, "%s", g->app->home.path);
    if (uv_queue_work(&g->app->loop, &w->request, count_usage, usage_counted) != 0) {
        free(w);
        return;
    }
    a->counting = true;
    gateways_hold(g);
}

/* Where a node stands on the ring: DESIGN.md, "Identity"; for pictures, so its first 8 bytes do. */
static json_t *position(struct app *app, const uint8_t key[NODE_KEY_SIZE])
{
    uint8_t at[HASH_SIZE];
    node_position(at, key, app->core.crypto);
    return api_hex(at, 8);
}

/* ---- Status ---- */

static uint64_t resident_bytes(void)
{
    unsigned long long size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f)
        return 0;
    if (fscanf(f, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static const char *reach_word(enum node_reachability r)
{
    return r == NODE_REACH_YES     ? "yes"
           : r == NODE_REACH_NO    ? "no"
           : r == NODE_REACH_ALONE ? "alone"
                                   : "unknown";
}

/* TCP decides: files travel there. */
static json_t *reachable(struct app *app)
{
    struct node_reach reach;
    node_reach(app->core.node, &reach);
    json_t *o = json_object();
    json_object_set_new(o, "state", json_string(reach_word(reach.stream)));
    json_object_set_new(o, "reason", api_text(node_reach_text(&reach)));
    json_object_set_new(o, "tcp", json_string(reach_word(reach.stream)));
    json_object_set_new(o, "udp", json_string(reach_word(reach.datagram)));
    json_object_set_new(o, "observed", api_addr(&reach.observed));
    return o;
}

static json_t *listening(struct app *app)
{
    json_t *a = json_array();
    if (app->listen4.port)
        json_array_append_new(a, api_addr(&app->listen4));
    if (app->listen6.port)
        json_array_append_new(a, api_addr(&app->listen6));
    return a;
}

static json_t *number(uint64_t n)
{
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static json_t *dht_json(const struct dht_status *d)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o}",
        "contacts", number(d->contacts), "contacts_live", number(d->contacts_live), "lookups",
        number(d->lookups), "records", number(d->records), "announced", number(d->announced),
        "announced_stored", number(d->announced_stored), "network_size", number(d->network_size),
        "datagrams_in", number(d->datagrams_in), "datagrams_out", number(d->datagrams_out), "bytes_in",
        number(d->bytes_in), "bytes_out", number(d->bytes_out), "malformed", number(d->malformed),
        "unsolicited", number(d->unsolicited), "over_quota", number(d->over_quota), "lookups_done",
        number(d->lookups_done), "lookups_failed", number(d->lookups_failed), "lookup_rtt_mean_us",
        number(d->lookup_rtt_mean_us), "lookup_hops_mean_x100", number(d->lookup_hops_mean_x100), "joined", (int)d->joined, "pending", number(d->pending));
}

static json_t *totals_json(const struct xfer_totals *t, const struct streams_totals *s, uint64_t bans)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "bytes_down",
                     number(t->bytes_down), "bytes_up", number(t->bytes_up), "malformed",
                     number(t->malformed), "bad_leaves", number(t->bad_leaves), "bans", number(bans),
                     "stream_bytes_in", number(s->bytes_in), "stream_bytes_out", number(s->bytes_out),
                     "accepted", number(s->accepted), "refused", number(s->refused), "handshakes_failed",
                     number(s->handshake_failed + s->handshake_timeout));
}

static json_t *clock_json(struct app *app)
{
    int64_t off = app->clock_median_ms ? (int64_t)(host_unix_ms() - app->clock_median_ms) / 1000 : 0;
    return json_pack("{s:b, s:I}", "ok", app->clock_median_ms == 0, "off_s", (json_int_t)off);
}

json_t *api_status_json(struct gateways *g, const struct account_who *who)
{
    struct app *app = g->app;
    core_time now = host_now(&app->core);
    struct dht_status dht;
    struct xfer_totals totals;
    struct streams_totals streams;
    uint64_t shares = 0, troubled = 0;
    char network[2 * NETWORK_ID_SIZE + 1];
    dht_status(app->core.dht, &dht);
    xfer_totals(app->core.xfer, now, &totals);
    streams_totals(app->streams, &streams);
    store_share_count(app->store, &shares, &troubled);
    api_usage_refresh(g);
    hex_encode(network, app->network.id, NETWORK_ID_SIZE);

    json_t *o = json_object();
    json_object_set_new(o, "node", api_node_id(app->me.key));
    json_object_set_new(o, "position", position(app, app->me.key));
    if (who->privilege == ACCOUNT_OWNER) { /* the others on this computer see how the node is, not whose */
        json_object_set_new(o, "network",
                            json_pack("{s:s, s:b}", "id", network, "private", (int)app->network.is_private));
        json_object_set_new(o, "home", api_text(app->home.path));
    }
    json_object_set_new(o, "version", json_string(SHOAL_VERSION));
    json_object_set_new(o, "pid", json_integer(getpid()));
    json_object_set_new(o, "uptime_s", number((now - app->started) / 1000000));
    json_object_set_new(o, "listen", listening(app));
    json_object_set_new(o, "reachable", reachable(app));
    for (int i = GATEWAY_API + 1; i < GATEWAY_COUNT; i++) {
        const char *address = gateways_address(g, (enum gateway)i);
        json_object_set_new(o, gateways_name((enum gateway)i), address ? json_string(address) : json_null());
    }
    json_object_set_new(o, "peers", number(dht.contacts_live));
    json_object_set_new(o, "sessions", number(totals.sessions));
    json_object_set_new(o, "swarms", number(totals.swarms));
    json_object_set_new(o, "shares", number(shares));
    json_object_set_new(o, "shares_in_trouble", number(troubled));
    json_object_set_new(o, "rates",
                        json_pack("{s:o, s:o, s:o, s:o}", "down", number(totals.rate_down), "up",
                                  number(totals.rate_up), "down_cap", number(app->config.download_rate),
                                  "up_cap", number(app->config.upload_rate)));
    json_object_set_new(o, "totals", totals_json(&totals, &streams, app->bans));
    json_object_set_new(o, "dht", dht_json(&dht));
    json_object_set_new(o, "clock", clock_json(app));
    json_object_set_new(o, "neighbours", json_boolean(app->neighbours != NULL));
    json_object_set_new(o, "limits", json_string(dht.prefix_limits ? "per address prefix" : "per node key"));
    json_object_set_new(o, "usage", api_of(g)->usage_at ? number(api_of(g)->usage) : json_null());
    json_object_set_new(o, "quota", app->config.quota ? number(app->config.quota) : json_null());
    json_object_set_new(o, "memory_rss", number(resident_bytes()));
    return o;
}

void api_status_get(struct api_request *r)
{
    api_reply(r->x, 200, api_status_json(r->g, &r->caller->who));
}

/* ---- Peers and the invite ---- */

static json_t *session_json(struct app *app, const struct xfer_session_info *s, core_time now)
{
    json_t *o = json_object();
    json_object_set_new(o, "node", api_node_id(s->peer.key));
    json_object_set_new(o, "position", position(app, s->peer.key));
    json_object_set_new(o, "address", api_addr(&s->peer.addr));
    json_object_set_new(o, "incoming", json_boolean(s->incoming));
    json_object_set_new(o, "established", json_boolean(s->established));
    json_object_set_new(o, "channels", number(s->channels));
    json_object_set_new(o, "bytes_down", number(s->bytes_down));
    json_object_set_new(o, "bytes_up", number(s->bytes_up));
    json_object_set_new(o, "rate_down", number(s->rate_down));
    json_object_set_new(o, "rate_up", number(s->rate_up));
    json_object_set_new(o, "rtt_us", number(s->rtt_us));
    json_object_set_new(o, "strikes", number(s->strikes));
    json_object_set_new(o, "since_s", number((now - s->since) / 1000000));
    json_object_set_new(o, "agent", api_text(s->agent));
    return o;
}

void api_peers_get(struct api_request *r)
{
    struct app *app = r->g->app;
    core_time now = host_now(&app->core);
    struct xfer_session_info *sessions = calloc(PEERS_MAX, sizeof *sessions);
    struct node_addr *contacts = calloc(PEERS_MAX, sizeof *contacts);
    json_t *o = json_object(), *a = json_array(), *b = json_array();
    uint32_t n = sessions ? xfer_sessions(app->core.xfer, now, sessions, PEERS_MAX) : 0;
    for (uint32_t i = 0; i < n; i++)
        json_array_append_new(a, session_json(app, &sessions[i], now));
    n = contacts ? dht_contacts(app->core.dht, contacts, PEERS_MAX) : 0;
    for (uint32_t i = 0; i < n; i++)
        json_array_append_new(b, json_pack("{s:o, s:o, s:o}", "node", api_node_id(contacts[i].key), "address",
                                           api_addr(&contacts[i].addr), "position",
                                           position(app, contacts[i].key)));
    free(sessions);
    free(contacts);
    json_object_set_new(o, "sessions", a);
    json_object_set_new(o, "contacts", b);
    api_reply(r->x, 200, o);
}

void api_invite_get(struct api_request *r)
{
    struct invite invite;
    char text[INVITE_TEXT_MAX];
    app_invite(r->g->app, &invite);
    if (invite_format(text, &invite) != 0) {
        api_error(r->x, ERR_RANGE, "the invite would be too long");
        return;
    }
    json_t *o = json_object();
    json_object_set_new(o, "invite", json_string(text));
    json_object_set_new(o, "private", json_boolean(invite.network.is_private));
    json_object_set_new(o, "nodes", number(invite.node_count));
    api_reply(r->x, 200, o);
}
