/* `shoal status` and `shoal peers`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/job.h"
#include "cli/progress.h"
#include "node/base/err.h"

/* A GET of a node that must run. 0 or an exit code after saying why. */
static int get_from_node(struct cli *cli, const char *target, json_t **out)
{
    struct client c;
    int code = client_open(&c, cli->home);
    bool none = code == ERR_NOT_FOUND;
    if (code == 0)
        code = client_call(&c, "GET", target, NULL, out);
    if (code != 0)
        cli_error("%s", c.message);
    client_close(&c);
    return none ? EXIT_NO_NODE : cli_exit_of(code);
}

/* ---- status ---- */

static void row(const char *label, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void row(const char *label, const char *format, ...)
{
    va_list args;
    bool colour = cli_colour(STDOUT_FILENO);
    printf("%s%-11s%s", colour ? "\033[2m" : "", label, colour ? "\033[0m" : "");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

static void print_addresses(const json_t *s)
{
    char line[256] = "";
    size_t n = 0, i;
    json_t *address;
    json_array_foreach(json_object_get(s, "listen"), i, address)
    {
        int added = snprintf(line + n, sizeof line - n, "%s%s", n ? ", " : "", json_string_value(address));
        n += added > 0 && n + (size_t)added < sizeof line ? (size_t)added : 0;
    }
    row("listening", "%s", n ? line : "off: this node takes no connections");
    const char *http = json_string_value(json_object_get(s, "http"));
    if (http)
        row("browser", "http://%s/", http);
    const char *ftp = json_string_value(json_object_get(s, "ftp"));
    if (ftp)
        row("ftp", "ftp://%s/", ftp);
    const char *dns = json_string_value(json_object_get(s, "dns"));
    if (dns)
        row("names", "DNS at %s", dns);
}

static void print_traffic(const json_t *s)
{
    char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX], d[FORMAT_MAX];
    const json_t *rates = json_object_get(s, "rates"), *totals = json_object_get(s, "totals"),
                 *dht = json_object_get(s, "dht");
    row("traffic", "%s down, %s up; since it started %s down, %s up",
        format_rate(a, json_number(rates, "down")), format_rate(b, json_number(rates, "up")),
        format_bytes(c, json_number(totals, "bytes_down")), format_bytes(d, json_number(totals, "bytes_up")));
    row("upkeep", "%s in %s datagrams in, %s in %s out", format_bytes(a, json_number(dht, "bytes_in")),
        format_count(b, json_number(dht, "datagrams_in")), format_bytes(c, json_number(dht, "bytes_out")),
        format_count(d, json_number(dht, "datagrams_out")));
}

static void print_storage(const json_t *s)
{
    char a[FORMAT_MAX], b[FORMAT_MAX];
    bool counted = json_is_integer(json_object_get(s, "usage")),
         capped = json_is_integer(json_object_get(s, "quota"));
    format_bytes(a, json_number(s, "usage"));
    format_bytes(b, json_number(s, "quota"));
    if (!counted)
        row("storage", "being counted");
    else if (capped)
        row("storage", "%s of %s", a, b);
    else
        row("storage", "%s (no quota)", a);
}

static void print_status(const json_t *s)
{
    char a[FORMAT_MAX], b[FORMAT_MAX];
    const json_t *network = json_object_get(s, "network"), *reach = json_object_get(s, "reachable"),
                 *clock = json_object_get(s, "clock");
    row("node", "%s", json_text(s, "node"));
    row("network", "%s, %.12s", json_is_true(json_object_get(network, "private")) ? "private" : "open",
        json_text(network, "id"));
    row("reachable", "%s: %s", json_text(reach, "state"), json_text(reach, "reason"));
    print_addresses(s);
    row("peers", "%s known, %s connected (limited %s)", format_count(a, json_number(s, "peers")),
        format_count(b, json_number(s, "sessions")), json_text(s, "limits"));
    print_traffic(s);
    uint64_t wrong = json_number(s, "shares_in_trouble");
    if (wrong)
        row("shares", "%s, %" PRIu64 " of them changed or missing (`shoal ls`)",
            format_count(a, json_number(s, "shares")), wrong);
    else
        row("shares", "%s", format_count(a, json_number(s, "shares")));
    print_storage(s);
    row("memory", "%s", format_bytes(a, json_number(s, "memory_rss")));
    row("neighbours", "%s",
        json_is_true(json_object_get(s, "neighbours")) ? "looked for on the local network" : "off");
    if (!json_is_true(json_object_get(clock, "ok")))
        row("clock", "this machine's clock is %s off: set it",
            format_age(a, (uint64_t)llabs(json_integer_value(json_object_get(clock, "off_s")))));
    row("running", "%s, version %s, process %" PRIu64, format_age(a, json_number(s, "uptime_s")),
        json_text(s, "version"), json_number(s, "pid"));
    row("home", "%s", json_text(s, "home"));
}

int cmd_status(struct cli *cli)
{
    json_t *status = NULL;
    int exit = get_from_node(cli, "/api/status", &status);
    if (exit == 0 && cli->json)
        cli_print_json(status);
    else if (exit == 0)
        print_status(status);
    json_decref(status);
    return exit;
}

/* ---- peers ---- */

static void print_session(const json_t *s)
{
    char down[FORMAT_MAX], up[FORMAT_MAX], rate[FORMAT_MAX], rtt[FORMAT_MAX], since[FORMAT_MAX], agent[64];
    uint64_t now = json_number(s, "rate_down") + json_number(s, "rate_up"), us = json_number(s, "rtt_us");
    if (us == 0)
        snprintf(rtt, sizeof rtt, "-");
    else if (us < 10000)
        snprintf(rtt, sizeof rtt, "%.1f ms", (double)us / 1000);
    else
        snprintf(rtt, sizeof rtt, "%" PRIu64 " ms", us / 1000);
    printf("%-14.12s %-22s %-4s %9s %9s %11s %8s %8s  %s\n", json_text(s, "node"), json_text(s, "address"),
           json_is_true(json_object_get(s, "incoming")) ? "in" : "out",
           format_bytes(down, json_number(s, "bytes_down")), format_bytes(up, json_number(s, "bytes_up")),
           format_rate(rate, now), rtt, format_age(since, json_number(s, "since_s")),
           text_fit(agent, sizeof agent, json_text(s, "agent"), 20, cli_utf8()));
}

static void print_peers(const json_t *peers, bool all)
{
    const json_t *sessions = json_object_get(peers, "sessions"),
                 *contacts = json_object_get(peers, "contacts"), *item;
    char a[FORMAT_MAX];
    size_t i;
    if (json_array_size(sessions)) {
        printf("%-14s %-22s %-4s %9s %9s %11s %8s %8s  %s\n", "CONNECTED", "ADDRESS", "WAY", "DOWN", "UP",
               "NOW", "RTT", "SINCE", "SOFTWARE");
        json_array_foreach(sessions, i, item) print_session(item);
    } else {
        printf("no connections at the moment: they are made when something is fetched\n");
    }
    if (!all) {
        printf("%s more nodes known (--all lists them)\n", format_count(a, json_array_size(contacts)));
        return;
    }
    printf("\n%-57s %s\n", "KNOWN", "ADDRESS");
    json_array_foreach(contacts, i, item)
        printf("%-57s %s\n", json_text(item, "node"), json_text(item, "address"));
}

int cmd_peers(struct cli *cli)
{
    json_t *peers = NULL;
    int exit = get_from_node(cli, "/api/peers", &peers);
    if (exit == 0 && cli->json)
        cli_print_json(peers);
    else if (exit == 0)
        print_peers(peers, cli_flag(cli, "all"));
    json_decref(peers);
    return exit;
}
