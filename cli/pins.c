/* `shoal pin`, `unpin` and `gc`: what the home keeps. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/job.h"
#include "cli/links.h"
#include "node/base/err.h"

static int list_pins(struct cli *cli, struct client *c)
{
    json_t *all = json_array();
    uint64_t from = 0;
    int code = 0;
    for (bool more = true; more && code == 0;) {
        char target[64];
        json_t *page;
        snprintf(target, sizeof target, "/api/pins?limit=500&from=%" PRIu64, from);
        code = client_call(c, "GET", target, NULL, &page);
        if (code != 0)
            break;
        json_array_extend(all, json_object_get(page, "pins"));
        more = json_is_integer(json_object_get(page, "next"));
        from = json_number(page, "next");
        json_decref(page);
    }
    if (code == 0 && cli->json)
        cli_print_json(all);
    else
        for (size_t i = 0; code == 0 && i < json_array_size(all); i++)
            printf("%s\n", json_text(json_array_get(all, i), "id"));
    if (code == 0 && !cli->json && json_array_size(all) == 0 && isatty(STDOUT_FILENO))
        printf("nothing is pinned; `shoal pin LINK` keeps something from gc\n");
    json_decref(all);
    return code;
}

static int change_pins(struct cli *cli, struct client *c, const char *method)
{
    for (int i = 0; i < cli->argument_count; i++) {
        int code = client_call(c, method, "/api/pins", json_pack("{s:s}", "link", cli->arguments[i]), NULL);
        if (code != 0)
            return code;
    }
    return 0;
}

static int pin_command(struct cli *cli, const char *method)
{
    struct client c;
    struct link link;
    for (int i = 0; i < cli->argument_count; i++) {
        int exit = cli_link(cli->arguments[i], &link);
        if (exit != 0)
            return exit;
    }
    int code = client_open_or_start(&c, cli->home, true);
    if (code == 0)
        code = cli->argument_count ? change_pins(cli, &c, method) : list_pins(cli, &c);
    if (code != 0)
        cli_error("%s", c.message);
    client_close(&c);
    return cli_exit_of(code);
}

int cmd_pin(struct cli *cli)
{
    return pin_command(cli, "POST");
}

int cmd_unpin(struct cli *cli)
{
    return pin_command(cli, "DELETE");
}

static void report_gc(const struct cli *cli, const json_t *result, bool dry_run)
{
    char a[FORMAT_MAX], b[FORMAT_MAX];
    const json_t *item;
    size_t i;
    uint64_t objects = json_number(result, "objects");
    if (cli->json) {
        cli_print_json(result);
        return;
    }
    if (dry_run)
        json_array_foreach(json_object_get(result, "files"), i, item)
            printf("%s\t%" PRIu64 "\n", json_text(item, "path"), json_number(item, "size"));
    cli_note("%s %s object%s, %s", dry_run ? "would free" : "freed", format_count(a, objects),
             objects == 1 ? "" : "s", format_bytes(b, json_number(result, "bytes")));
}

int cmd_gc(struct cli *cli)
{
    struct client c;
    json_t *result = NULL;
    bool dry_run = cli_flag(cli, "dry-run");
    int code = client_open_or_start(&c, cli->home, true);
    if (code == 0)
        code = client_call(&c, "POST", "/api/gc", json_pack("{s:b}", "dry_run", (int)dry_run), &result);
    if (code == 0)
        report_gc(cli, result, dry_run);
    else
        cli_error("%s", c.message);
    json_decref(result);
    client_close(&c);
    return cli_exit_of(code);
}
