/* `shoal up`: the node in the foreground. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/progress.h"
#include "gateways/gateways_host.h"
#include "node/host/log.h"

#define LIVE_MS 1000

static int bad_setting(const char *message)
{
    cli_error("%s", message);
    return EXIT_USAGE;
}

/* "section.key=value" */
static int apply_setting(struct config *config, const char *text, char *message)
{
    char section[64], key[64];
    const char *dot = strchr(text, '.'), *equals = strchr(text, '=');
    if (!dot || !equals || dot > equals || dot == text || dot + 1 == equals || dot - text >= 64 ||
        equals - dot > 64) {
        snprintf(message, APP_MESSAGE_MAX,
                 "--set takes SECTION.KEY=VALUE, as in --set transfer.upload=2MB/s; \"%.200s\" is none",
                 text);
        return ERR_MALFORMED;
    }
    snprintf(section, sizeof section, "%.*s", (int)(dot - text), text);
    snprintf(key, sizeof key, "%.*s", (int)(equals - dot - 1), dot + 1);
    return config_set(config, section, key, equals + 1, message);
}

/* Flags win over the file. */
static int apply_flags(const struct cli *cli, struct config *config, char *message)
{
    static const char *const addresses[][2] = {
        {"listen", "node"}, {"http", "http"}, {"ftp", "ftp"}, {"dns", "dns"}};
    const char *settings[CLI_VALUES_MAX];
    int n = cli_option_all(cli, "set", settings, CLI_VALUES_MAX);
    for (int i = 0; i < n; i++)
        if (apply_setting(config, settings[i], message) != 0)
            return bad_setting(message);
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        const char *value = cli_option(cli, addresses[i][0]);
        if (value && config_set(config, addresses[i][1], "listen", value, message) != 0)
            return bad_setting(message);
    }
    if (cli_flag(cli, "private") && config_set(config, "network", "private", "on", message) != 0)
        return bad_setting(message);
    if (cli_flag(cli, "verbose"))
        config->log_level = LOG_DEBUG;
    if (cli_flag(cli, "quiet") && config->log_level > LOG_WARNING)
        config->log_level = LOG_WARNING;
    return 0;
}

/* ---- What is said at the start ---- */

static void print_invite(struct app *app)
{
    struct invite invite;
    char text[INVITE_TEXT_MAX];
    app_invite(app, &invite);
    if (invite_format(text, &invite) == 0)
        printf("invite     %s\n", text);
}

/* A listener on every address is told by those that a telephone beside this computer can use. */
static void greet_browser(struct app *app)
{
    const char *http = gateways_address(app->gateways, GATEWAY_HTTP);
    uv_interface_address_t *list;
    int count = 0;
    if (!http)
        return;
    if (strncmp(http, "0.0.0.0:", 8) != 0 || uv_interface_addresses(&list, &count) != 0) {
        printf("browser    http://%s/\n", http);
        return;
    }
    printf("browser    http://127.0.0.1:%s/\n", http + 8);
    for (int i = 0; i < count; i++) {
        char text[64];
        if (list[i].is_internal || list[i].address.address4.sin_family != AF_INET ||
            uv_ip4_name(&list[i].address.address4, text, sizeof text) != 0)
            continue;
        printf("           http://%s:%s/   from other computers and telephones, with an account\n", text, http + 8);
    }
    uv_free_interface_addresses(list, count);
}

static void greet(struct app *app, bool again)
{
    char node[NODE_ID_TEXT_SIZE + 1], a[NET_ADDR_TEXT_MAX], b[NET_ADDR_TEXT_MAX];
    const struct net_addr *v4 = &app->listen4, *v6 = &app->listen6;
    node_id_format(node, app->me.key);
    if (again)
        printf("\nstarted again in the network that was joined\n");
    printf("node       %s\n", node);
    if (v4->port || v6->port)
        printf("listening  %s%s%s (TCP and UDP)\n", v4->port ? net_addr_format(a, v4) : "",
               v4->port && v6->port ? ", " : "", v6->port ? net_addr_format(b, v6) : "");
    else
        printf("listening  off: this node takes no connections\n");
    greet_browser(app);
    if (gateways_address(app->gateways, GATEWAY_FTP))
        printf("ftp        ftp://%s/\n", gateways_address(app->gateways, GATEWAY_FTP));
    if (gateways_address(app->gateways, GATEWAY_DNS))
        printf("names      DNS at %s\n", gateways_address(app->gateways, GATEWAY_DNS));
    printf("home       %s\n", app->home.path);
    if (app->home.made && !again) {
        print_invite(app);
        printf("\nThis is the first run: a key was made, and it is your node's identity from now on.\n"
               "  others join you        shoal join INVITE       (the one above; `shoal invite` repeats it)\n"
               "  you join others        shoal join THEIR-INVITE\n"
               "  share something        shoal share PATH\n"
               "  fetch something        shoal get LINK\n"
               "Ctrl-C stops the node; the next `shoal up` goes on with the same identity.\n\n");
    }
    fflush(stdout);
}

/* ---- The live line of a terminal ---- */

struct live {
    uv_timer_t timer;
    struct app *app;
    void (*next_stop)(struct app *app);
    bool on;
};
static struct live live; /* one node, one terminal */

static void draw_live(uv_timer_t *timer)
{
    struct app *app = live.app;
    struct dht_status dht;
    struct xfer_totals totals;
    char down[FORMAT_MAX], up[FORMAT_MAX], line[512], fitted[1024];
    uint64_t shares = 0, troubled = 0;
    (void)timer;
    dht_status(app->core.dht, &dht);
    xfer_totals(app->core.xfer, host_now(&app->core), &totals);
    store_share_count(app->store, &shares, &troubled);
    bool utf8 = cli_utf8();
    snprintf(line, sizeof line, "%" PRIu32 " peers, %" PRIu32 " connected, %s %s, %s %s, %" PRIu64 " shared",
             dht.contacts_live, totals.sessions, utf8 ? "\xe2\x86\x93" : "down",
             format_rate(down, totals.rate_down), utf8 ? "\xe2\x86\x91" : "up",
             format_rate(up, totals.rate_up), shares);
    fprintf(stderr, "\r\033[2m%s\033[0m\033[K",
            text_fit(fitted, sizeof fitted, line, terminal_width(STDERR_FILENO) - 1, utf8));
    fflush(stderr);
}

static void live_stop(struct app *app)
{
    uv_close((uv_handle_t *)&live.timer, NULL);
    fputs("\r\033[K", stderr);
    fprintf(stderr, "stopping\n");
    log_live(false);
    if (live.next_stop)
        live.next_stop(app);
}

static void live_start(struct app *app)
{
    live.app = app;
    live.next_stop = app->on_stop;
    app->on_stop = live_stop;
    log_live(true);
    uv_timer_init(&app->loop, &live.timer);
    uv_timer_start(&live.timer, draw_live, 0, LIVE_MS);
    uv_unref((uv_handle_t *)&live.timer);
}

/* ---- The command ---- */

static int start(struct app *app, const struct config *config)
{
    char message[APP_MESSAGE_MAX] = "";
    memset(app, 0, sizeof *app);
    int r = app_start(app, config, message);
    if (r != 0) {
        cli_error("%s", message[0] ? message : err_text(r));
        return r == ERR_BUSY ? EXIT_IN_USE : cli_exit_of(r) == EXIT_BAD_TEXT ? EXIT_USAGE : cli_exit_of(r);
    }
    if (gateways_start(app, message))
        return 0;
    cli_error("%s", message);
    app_stop(app);
    app_run(app);
    return EXIT_FAILED;
}

int cmd_up(struct cli *cli)
{
    static struct app app;
    static struct config config;
    char message[APP_MESSAGE_MAX] = "";
    config_default(&config);
    snprintf(config.home, sizeof config.home, "%s", cli->home);
    if (config_load(&config, message) != 0)
        return bad_setting(message);
    int exit = apply_flags(cli, &config, message);
    if (exit != 0)
        return exit;
    log_setup((enum log_level)config.log_level, config.log_file[0] ? config.log_file : NULL);
    for (bool again = false, more = true; more; again = true) {
        exit = start(&app, &config);
        if (exit != 0)
            return exit;
        greet(&app, again);
        if (cli_colour(STDERR_FILENO) && !cli_flag(cli, "quiet"))
            live_start(&app);
        config.listen_again = app_port(&app);
        more = app_run(&app);
    }
    return EXIT_FINE;
}
