/* GET /metrics: numbers of the node for Prometheus, in its text format 0.0.4. No names, addresses or ids:
 * numbers only. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateways/dns/dns_host.h"
#include "gateways/http/web_internal_host.h"
#include "node/host/streams.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define PROTOCOLS    8

struct text {
    char *bytes;
    size_t size, cap;
};

static void put(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *t, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    size_t n = (size_t)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (t->size + n + 1 > t->cap) {
        size_t cap = (t->size + n + 1) * 2 + 4096;
        char *grown = realloc(t->bytes, cap);
        if (!grown)
            return;
        t->bytes = grown;
        t->cap = cap;
    }
    memcpy(t->bytes + t->size, line, n);
    t->size += n;
}

static void head(struct text *t, const char *name, const char *type, const char *help)
{
    put(t, "# HELP shoal_%s %s\n# TYPE shoal_%s %s\n", name, help, name, type);
}

static void gauge(struct text *t, const char *name, const char *help, uint64_t value)
{
    head(t, name, "gauge", help);
    put(t, "shoal_%s %" PRIu64 "\n", name, value);
}

static void counter(struct text *t, const char *name, const char *help, uint64_t value)
{
    head(t, name, "counter", help);
    put(t, "shoal_%s %" PRIu64 "\n", name, value);
}

static void put_node(struct text *t, struct gateways *g)
{
    struct app *app = g->app;
    core_time now = host_now(&app->core);
    struct xfer_totals x;
    struct streams_totals s;
    struct dht_status d;
    struct node_reach reach;
    uint64_t shares = 0, troubled = 0;
    xfer_totals(app->core.xfer, now, &x);
    streams_totals(app->streams, &s);
    dht_status(app->core.dht, &d);
    node_reach(app->core.node, &reach);
    store_share_count(app->store, &shares, &troubled);
    head(t, "build_info", "gauge", "Always 1; the version is in the label.");
    put(t, "shoal_build_info{version=\"%s\"} 1\n", SHOAL_VERSION);
    head(t, "uptime_seconds", "gauge", "Since the node started.");
    put(t, "shoal_uptime_seconds %.3f\n", (double)(now - app->started) / 1e6);
    gauge(t, "reachable", "1 when others can open connections to this node.", reach.stream == NODE_REACH_YES);
    gauge(t, "shares", "Files and folders shared.", shares);
    gauge(t, "shares_in_trouble", "Shares that changed or are missing.", troubled);
    gauge(t, "peer_sessions", "Connections to other nodes.", x.sessions);
    gauge(t, "swarms", "Contents being fetched or served.", x.swarms);
    counter(t, "payload_received_bytes_total", "Verified payload from other nodes.", x.bytes_down);
    counter(t, "payload_sent_bytes_total", "Payload to other nodes.", x.bytes_up);
    counter(t, "bad_leaves_total", "Pieces that did not match their hash.", x.bad_leaves);
    counter(t, "peer_faults_total", "Malformed messages of connected nodes.", x.malformed);
    counter(t, "bans_total", "Nodes banned for faults.", app->bans);
    counter(t, "stream_received_bytes_total", "All bytes on connections, in.", s.bytes_in);
    counter(t, "stream_sent_bytes_total", "All bytes on connections, out.", s.bytes_out);
    counter(t, "streams_accepted_total", "Connections taken.", s.accepted);
    counter(t, "streams_refused_total", "Connections refused.", s.refused);
    counter(t, "handshakes_failed_total", "Handshakes that failed or took too long.",
            s.handshake_failed + s.handshake_timeout);
    gauge(t, "dht_contacts", "Nodes in the routing table that answer.", d.contacts_live);
    gauge(t, "dht_records", "Records kept for others.", d.records);
    gauge(t, "dht_network_size", "Estimated nodes in the network.", d.network_size);
    counter(t, "dht_datagrams_received_total", "Datagrams, in.", d.datagrams_in);
    counter(t, "dht_datagrams_sent_total", "Datagrams, out.", d.datagrams_out);
    counter(t, "dht_received_bytes_total", "Bytes of datagrams, in.", d.bytes_in);
    counter(t, "dht_sent_bytes_total", "Bytes of datagrams, out.", d.bytes_out);
    counter(t, "dht_lookups_total", "Lookups that ended.", d.lookups_done);
    counter(t, "dht_lookups_failed_total", "Lookups without an answer.", d.lookups_failed);
}

struct column {
    const char *name, *type, *help;
    uint64_t (*value)(const struct session_totals *t);
};

static uint64_t value_open(const struct session_totals *t)
{
    return t->open;
}
static uint64_t value_sessions(const struct session_totals *t)
{
    return t->sessions;
}
static uint64_t value_refused(const struct session_totals *t)
{
    return t->refused;
}
static uint64_t value_bytes_in(const struct session_totals *t)
{
    return t->bytes_in;
}
static uint64_t value_bytes_out(const struct session_totals *t)
{
    return t->bytes_out;
}
static uint64_t value_files_in(const struct session_totals *t)
{
    return t->files_in;
}
static uint64_t value_files_out(const struct session_totals *t)
{
    return t->files_out;
}

static void put_gateways(struct text *t, struct gateways *g)
{
    static const struct column columns[] = {
        {"gateway_sessions", "gauge", "Sessions open on gateways.", value_open},
        {"gateway_sessions_total", "counter", "Sessions begun.", value_sessions},
        {"gateway_refused_total", "counter", "Sessions refused by limits or bans.", value_refused},
        {"gateway_received_bytes_total", "counter", "Bytes from people's software.", value_bytes_in},
        {"gateway_sent_bytes_total", "counter", "Bytes to people's software.", value_bytes_out},
        {"gateway_files_received_total", "counter", "Files brought.", value_files_in},
        {"gateway_files_sent_total", "counter", "Files taken.", value_files_out},
    };
    const char *names[PROTOCOLS];
    uint32_t n = sessions_protocols(g->sessions, names, PROTOCOLS);
    for (size_t i = 0; n && i < sizeof columns / sizeof *columns; i++) {
        head(t, columns[i].name, columns[i].type, columns[i].help);
        for (uint32_t k = 0; k < n; k++) {
            struct session_totals totals;
            sessions_totals(g->sessions, names[k], &totals);
            put(t, "shoal_%s{protocol=\"%s\"} %" PRIu64 "\n", columns[i].name, names[k],
                columns[i].value(&totals));
        }
    }
}

/* Queries, and what became of them. */
static void put_dns(struct text *t, struct gateways *g)
{
    const char *name;
    uint64_t value;
    if (!dns_counter(g, 0, &name, &value))
        return;
    head(t, "dns_total", "counter", "Queries of the DNS gateway, and how they were answered.");
    for (unsigned i = 0; dns_counter(g, i, &name, &value); i++)
        put(t, "shoal_dns_total{event=\"%s\"} %" PRIu64 "\n", name, value);
}

static void put_process(struct text *t)
{
    uv_rusage_t used;
    size_t resident;
    if (uv_getrusage(&used) == 0) {
        head(t, "process_cpu_seconds_total", "counter", "Processor time, user and system.");
        put(t, "shoal_process_cpu_seconds_total %.6f\n",
            (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    }
    if (uv_resident_set_memory(&resident) == 0)
        gauge(t, "process_resident_memory_bytes", "Memory in use.", resident);
}

void web_metrics(struct gateways *g, struct http_exchange *x)
{
    struct text t = {0};
    put_node(&t, g);
    put_gateways(&t, g);
    put_dns(&t, g);
    put_process(&t);
    http_reply(x, t.bytes ? 200 : 503, METRICS_TYPE, NULL, t.bytes, t.size);
}
