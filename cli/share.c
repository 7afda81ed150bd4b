/* `shoal share` and `shoal unshare`. Links go to standard output, one a line; all that is said about them to
 * standard error. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/job.h"
#include "node/base/err.h"

struct report {
    const struct cli *cli;
    json_t *array; /* --json */
    bool own_node; /* nobody serves it yet */
    uint64_t peers;
    unsigned count;
};

static void say_stored(const struct report *r, const json_t *share)
{
    const json_t *stored = json_object_get(share, "stored");
    uint64_t asked = json_number(share, "asked");
    if (r->own_node)
        cli_note("%s: noted; `shoal up` serves it to others", json_text(share, "path"));
    else if (json_is_integer(stored) && asked > 0)
        cli_note("%s: stored on %llu of %llu nodes", json_text(share, "path"),
                 (unsigned long long)json_integer_value(stored), (unsigned long long)asked);
    else if (r->peers == 0)
        cli_note("%s: you are alone: nobody else holds its record yet; it is announced when others come "
                 "(`shoal invite`)",
                 json_text(share, "path"));
    else
        cli_note("%s: being announced; `shoal find LINK` tells whether others find it",
                 json_text(share, "path"));
}

static void say_share(void *context, const json_t *share)
{
    struct report *r = context;
    char a[FORMAT_MAX], b[FORMAT_MAX];
    uint64_t files = json_number(share, "files");
    if (json_text(share, "link")[0] == 0)
        return; /* this path failed: it stands among the problems */
    r->count++;
    if (r->array) {
        json_array_append(r->array, (json_t *)share);
        return;
    }
    printf("%s\n", json_text(share, "link"));
    fflush(stdout);
    if (isatty(STDERR_FILENO) && strcmp(json_text(share, "kind"), "tree") == 0)
        cli_note("%s: %s file%s, %s", json_text(share, "path"), format_count(a, files), files == 1 ? "" : "s",
                 format_bytes(b, json_number(share, "size")));
    say_stored(r, share);
}

/* All paths absolute and there; what is not is said, and nothing is shared then: a typing error should not
 * share half of what was meant. */
static json_t *paths_of(const struct cli *cli)
{
    json_t *array = json_array();
    bool good = true;
    for (int i = 0; i < cli->argument_count; i++) {
        char path[4096];
        const char *given = cli->arguments[i];
        if (absolute_path(path, given) != 0) {
            cli_error("%s: the path is too long", given);
            good = false;
        } else if (access(path, F_OK) != 0) {
            cli_error("%s: %s", given, errno == ENOENT ? "there is no such file or folder" : strerror(errno));
            good = false;
        } else if (json_array_append_new(array, json_string(path)) != 0) {
            cli_error("%s: the name is not valid UTF-8; rename it to share it", given);
            good = false;
        }
    }
    if (good)
        return array;
    json_decref(array);
    return NULL;
}

static uint64_t peers_of(struct client *c)
{
    json_t *status;
    if (client_call(c, "GET", "/api/status", NULL, &status) != 0)
        return 0;
    uint64_t peers = json_number(status, "peers");
    json_decref(status);
    return peers;
}

static json_t *share_body(const struct cli *cli, json_t *paths)
{
    json_t *body = json_pack("{s:o, s:b}", "paths", paths, "times", (int)cli_flag(cli, "times"));
    if (cli_flag(cli, "list") || cli_flag(cli, "no-list"))
        json_object_set_new(body, "list", json_boolean(!cli_flag(cli, "no-list")));
    return body;
}

static int share_with(struct cli *cli, struct client *c, json_t *paths)
{
    struct job_wait w = {.client = c, .name = "sharing", .quiet = cli_flag(cli, "quiet")};
    struct report r = {.cli = cli, .array = cli->json ? json_array() : NULL, .own_node = c->child != 0};
    json_t *job = NULL;
    int code =
        client_job(c, "POST", "/api/shares",
                   share_body(cli, paths), &w.job);
    if (code == 0)
        code = job_wait(&w, &job);
    if (code == 0 && !r.own_node)
        r.peers = peers_of(c);
    if (code == 0)
        code = job_items(c, w.job, "shares", say_share, &r);
    if (code != 0) {
        cli_error("%s",
                  code == ERR_CANCELLED ? "stopped; nothing was shared that was not finished" : c->message);
        json_decref(job);
        json_decref(r.array);
        return code == ERR_CANCELLED ? EXIT_INTERRUPTED : cli_exit_of(code);
    }
    if (r.array)
        cli_print_json(r.array);
    uint64_t problems = job_say_problems(job);
    bool failed = strcmp(json_text(job, "state"), "done") != 0;
    if (failed && (problems == 0 || r.count == 0))
        cli_error("%s", json_text(job, "message"));
    int exit = failed     ? cli_exit_of(cli_code_of_name(json_text(job, "error")))
               : problems ? EXIT_FAILED
                          : EXIT_FINE;
    json_decref(job);
    json_decref(r.array);
    return exit;
}

int cmd_share(struct cli *cli)
{
    struct client c;
    json_t *paths = paths_of(cli);
    if (!paths)
        return EXIT_NOT_FOUND;
    cli_catch_signals();
    int code = client_open_or_start(&c, cli->home, true), exit;
    if (code == 0) {
        exit = share_with(cli, &c, paths);
    } else {
        json_decref(paths);
        cli_error("%s", c.message);
        exit = cli_exit_of(code);
    }
    client_close(&c);
    return exit;
}

/* ---- unshare ---- */

static int unshare_one(struct client *c, const char *what)
{
    char path[4096];
    bool is_link = strncasecmp(what, "shoal:", 6) == 0;
    int code = ERR_NOT_FOUND;
    if (!is_link && absolute_path(path, what) == 0)
        code = client_call(c, "DELETE", "/api/shares", json_pack("{s:s}", "what", path), NULL);
    if (code == ERR_NOT_FOUND && (is_link || !strchr(what, '/')))
        code = client_call(c, "DELETE", "/api/shares", json_pack("{s:s}", "what", what), NULL);
    return code;
}

int cmd_unshare(struct cli *cli)
{
    struct client c;
    int code = client_open_or_start(&c, cli->home, true), exit = cli_exit_of(code);
    if (code != 0)
        cli_error("%s", c.message);
    for (int i = 0; code == 0 && i < cli->argument_count; i++) {
        int one = unshare_one(&c, cli->arguments[i]);
        if (one != 0) {
            cli_error("%s", c.message);
            exit = cli_exit_of(one);
        }
        if (one == ERR_CLOSED)
            break;
    }
    client_close(&c);
    return exit;
}
