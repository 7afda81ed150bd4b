/* `shoal ls` and `shoal find`: what is shared here, what a link holds, whether others find it. On a terminal
 * for the eye, in a pipe lines of columns separated by tabs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/job.h"
#include "cli/links.h"
#include "cli/names.h"
#include "node/base/err.h"

/* ---- Shares ---- */

static void print_share(const json_t *s, bool terminal)
{
    char size[FORMAT_MAX], files[FORMAT_MAX], name[512], note[64] = "";
    const char *state = json_text(s, "state");
    if (!terminal) {
        printf("%s\t%" PRIu64 "\t%s\t%s\n", json_text(s, "link"), json_number(s, "size"), state,
               json_text(s, "path"));
        return;
    }
    bool tree = strcmp(json_text(s, "kind"), "tree") == 0;
    if (strcmp(state, "ok") != 0)
        snprintf(note, sizeof note, "  [%.20s: share it again, or unshare it]", state);
    printf("%9s  %8s%s  %s%s%s\n", format_bytes(size, json_number(s, "size")),
           tree ? format_count(files, json_number(s, "files")) : "", tree ? " files" : "      ",
           text_fit(name, sizeof name, json_text(s, "path"), 200, cli_utf8()), tree ? "/" : "", note);
    printf("           %s\n", json_text(s, "link"));
}

static int list_shares(struct cli *cli, struct client *c)
{
    json_t *all = cli->json ? json_array() : NULL;
    bool terminal = isatty(STDOUT_FILENO);
    uint64_t from = 0, count = 0;
    int code = 0;
    for (bool more = true; more && code == 0;) {
        char target[64];
        json_t *page, *s;
        size_t i;
        snprintf(target, sizeof target, "/api/shares?limit=500&from=%" PRIu64, from);
        code = client_call(c, "GET", target, NULL, &page);
        if (code != 0)
            break;
        json_array_foreach(json_object_get(page, "shares"), i, s)
        {
            count++;
            if (all)
                json_array_append(all, s);
            else
                print_share(s, terminal);
        }
        more = json_is_integer(json_object_get(page, "next"));
        from = json_number(page, "next");
        json_decref(page);
    }
    if (code == 0 && all)
        cli_print_json(all);
    else if (code == 0 && terminal && count == 0)
        printf("nothing is shared here yet; `shoal share PATH` does it\n");
    json_decref(all);
    return code;
}

/* ---- What a link holds ---- */

struct listing {
    json_t *all;
    bool terminal;
    uint64_t files, bytes, trees;
};

static void print_entry(void *context, const json_t *e)
{
    struct listing *l = context;
    char size[FORMAT_MAX], name[4200];
    bool tree = strcmp(json_text(e, "kind"), "tree") == 0;
    l->trees += tree;
    l->files += !tree;
    l->bytes += tree ? 0 : json_number(e, "content_size");
    if (l->all)
        json_array_append(l->all, (json_t *)e);
    else if (l->terminal)
        printf("%9s  %s%s%s\n", tree ? "" : format_bytes(size, json_number(e, "content_size")),
               text_fit(name, sizeof name, json_text(e, "path"), 4000, cli_utf8()), tree ? "/" : "",
               json_is_true(json_object_get(e, "executable")) ? "*" : "");
    else
        printf("%s\t%" PRIu64 "\t%s%s\n", json_text(e, "id"), tree ? 0 : json_number(e, "content_size"),
               json_text(e, "path"), tree ? "/" : "");
}

static int failed_job(const json_t *job)
{
    cli_error("%s", json_text(job, "message"));
    return cli_exit_of(cli_code_of_name(json_text(job, "error")));
}

static int list_link(struct cli *cli, struct client *c, const char *path)
{
    struct job_wait w = {.client = c, .name = "listing", .show_peers = true};
    struct listing l = {.all = cli->json ? json_array() : NULL, .terminal = isatty(STDOUT_FILENO)};
    char a[FORMAT_MAX], b[FORMAT_MAX];
    json_t *job = NULL;
    int exit = EXIT_FINE;
    json_t *body = json_pack("{s:s, s:s, s:b}", "link", cli->arguments[0], "path", path, "recursive",
                             (int)cli_flag(cli, "recursive"));
    int code = client_job(c, "POST", "/api/ls", body, &w.job);
    if (code == 0)
        code = job_wait(&w, &job);
    if (code == 0 && strcmp(json_text(job, "state"), "done") != 0)
        exit = failed_job(job);
    else if (code == 0)
        code = job_items(c, w.job, "entries", print_entry, &l);
    if (code == 0 && exit == EXIT_FINE) {
        if (l.all)
            cli_print_json(l.all);
        else if (l.terminal)
            printf("%9s  in %s file%s\n", format_bytes(a, l.bytes), format_count(b, l.files),
                   l.files == 1 ? "" : "s");
        exit = job_say_problems(job) ? EXIT_FAILED : EXIT_FINE;
    }
    json_decref(l.all);
    json_decref(job);
    if (code != 0)
        cli_error("%s", c->message);
    return code != 0 ? cli_exit_of(code) : exit;
}

int cmd_ls(struct cli *cli)
{
    struct client c;
    struct link link;
    bool of_link = cli->argument_count > 0;
    int exit = of_link ? cli_link_or_name(cli, 0, &link) : 0;
    if (exit != 0)
        return exit;
    cli_catch_signals();
    int code = client_open_or_start(&c, cli->home, !of_link);
    if (code == 0 && of_link) {
        exit = list_link(cli, &c, cli->argument_count > 1 ? cli->arguments[1] : "");
    } else {
        if (code == 0)
            code = list_shares(cli, &c);
        if (code != 0)
            cli_error("%s", c.message);
        exit = cli_exit_of(code);
    }
    client_close(&c);
    return exit;
}

/* ---- find ---- */

static int report_found(struct cli *cli, const json_t *job)
{
    uint64_t providers = json_number(job, "providers");
    if (cli->json)
        cli_print_json(job);
    if (strcmp(json_text(job, "state"), "done") != 0)
        return failed_job(job);
    if (!cli->json && providers)
        printf("found: %" PRIu64 " node%s ha%s it, says node %.12s...\n", providers,
               providers == 1 ? "" : "s", providers == 1 ? "s" : "ve", json_text(job, "target"));
    else if (!cli->json)
        printf("not found: node %.12s... knows nobody who has it\n", json_text(job, "target"));
    return providers ? EXIT_FINE : EXIT_NOT_FOUND;
}

int cmd_find(struct cli *cli)
{
    struct client c;
    struct link link;
    json_t *job = NULL;
    struct job_wait w = {.client = &c, .name = "asking"};
    int exit = cli_link_or_name(cli, 0, &link);
    if (exit != 0)
        return exit;
    cli_catch_signals();
    int code = client_open_or_start(&c, cli->home, false);
    if (code == 0)
        code = client_job(&c, "POST", "/api/find", json_pack("{s:s}", "link", cli->arguments[0]), &w.job);
    if (code == 0)
        code = job_wait(&w, &job);
    if (code == 0)
        exit = report_found(cli, job);
    else
        cli_error("%s", c.message);
    json_decref(job);
    client_close(&c);
    return code != 0 ? cli_exit_of(code) : exit;
}
