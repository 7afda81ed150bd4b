/* `shoal name`: what nodes are called here. And names where a link is taken: NAME or NAME/path. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/job.h"
#include "cli/links.h"
#include "cli/names.h"
#include "node/base/id.h"
#include "node/base/err.h"
#include "node/names/name_text.h"

/* ---- Names for links ---- */

char *cli_query(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
    size_t n = strlen(text);
    char *out = malloc(3 * n + 1), *to = out;
    for (size_t i = 0; out && i < n; i++) {
        if (strchr(plain, text[i]))
            *to++ = text[i];
        else
            to += sprintf(to, "%%%02X", (unsigned char)text[i]);
    }
    if (out)
        *to = 0;
    return out;
}

/* NAME, NAME/path or name:/NAME/path: the part behind the prefix; NULL: a link or an id. */
static const char *named(const char *text)
{
    char first[NAME_SIZE];
    if (strncasecmp(text, "shoal:", 6) == 0)
        return NULL;
    if (strncmp(text, "name:", 5) == 0)
        text += 5;
    while (*text == '/')
        text++;
    size_t n = strcspn(text, "/");
    if (n == 0 || n >= sizeof first)
        return NULL;
    snprintf(first, sizeof first, "%.*s", (int)n, text);
    uint8_t key[NODE_KEY_SIZE];
    bool ok = strcasecmp(first, "self") == 0 || name_check(first, NULL) == 0 || node_id_parse(key, first) == 0;
    return ok ? text : NULL;
}

static char resolved[LINK_TEXT_MAX];

int cli_link_or_name(struct cli *cli, int index, struct link *out)
{
    struct client c;
    char *target = NULL, *query;
    json_t *answer = NULL;
    const char *name = named(cli->arguments[index]);
    if (!name)
        return cli_link(cli->arguments[index], out);
    int code = client_open_or_start(&c, cli->home, false);
    query = cli_query(name);
    if (query && asprintf(&target, "/api/resolve?q=%s", query) < 0)
        target = NULL;
    if (code == 0)
        code = target ? client_call(&c, "GET", target, NULL, &answer) : ERR_NO_MEMORY;
    if (code != 0)
        cli_error("%s", c.message);
    else
        snprintf(resolved, sizeof resolved, "%s", json_text(answer, "link"));
    json_decref(answer);
    client_close(&c);
    free(query);
    free(target);
    if (code != 0)
        return cli_exit_of(code);
    cli->arguments[index] = resolved; /* one link a command */
    return cli_link(resolved, out);
}

/* ---- Printing ---- */

static void print_name(const json_t *n, bool terminal)
{
    char name[256];
    const char *petname = json_text(n, "petname"), *nickname = json_text(n, "nickname");
    if (!terminal) {
        printf("%s\t%s\t%s\t%s\n", petname, nickname, json_text(n, "node"), json_text(n, "site"));
        return;
    }
    bool known = json_is_true(json_object_get(n, "known"));
    const char *shown = petname[0] ? petname : nickname[0] ? nickname : "(no name)";
    printf("%-20s %s\n", text_fit(name, sizeof name, shown, 40, cli_utf8()), json_text(n, "node"));
    if (petname[0] && nickname[0] && strcmp(petname, nickname) != 0)
        printf("    calls itself %s\n", text_fit(name, sizeof name, nickname, 40, cli_utf8()));
    if (json_is_true(json_object_get(n, "mixed")))
        printf("    careful: letters of several scripts in its name\n");
    if (!known)
        printf("    not seen yet\n");
    else if (json_is_true(json_object_get(n, "expired")))
        printf("    not heard of for two weeks or more\n");
    if (json_text(n, "url")[0])
        printf("    site: %s%s\n", json_text(n, "url"), json_is_true(json_object_get(n, "site_kept")) ? "  (kept here)" : "");
}

static int name_list(struct cli *cli, struct client *c)
{
    json_t *answer = NULL, *n;
    size_t i;
    int code = client_call(c, "GET", "/api/names", NULL, &answer);
    if (code != 0)
        return code;
    const json_t *names = json_object_get(answer, "names");
    if (cli->json) {
        cli_print_json(names);
    } else {
        json_array_foreach(names, i, n) print_name(n, isatty(STDOUT_FILENO));
        if (json_array_size(names) == 0 && isatty(STDOUT_FILENO))
            printf("no contacts yet; `shoal name add NAME ID` makes one, `shoal name show NAME` tells who claims a name\n");
    }
    json_decref(answer);
    return 0;
}

static int say_warning(const json_t *answer)
{
    const char *warning = json_text(answer, "warning");
    if (warning[0])
        cli_note("%s", warning);
    return 0;
}

static int name_show(struct cli *cli, struct client *c)
{
    char *query = cli_query(cli->arguments[0]), *target = NULL;
    json_t *answer = NULL, *claim;
    size_t i;
    if (!query || asprintf(&target, "/api/name?q=%s", query) < 0)
        target = NULL;
    int code = target ? client_call(c, "GET", target, NULL, &answer) : ERR_NO_MEMORY;
    free(query);
    free(target);
    if (code != 0)
        return code;
    const json_t *is = json_object_get(answer, "is"), *claimants = json_object_get(answer, "claimants");
    if (cli->json) {
        cli_print_json(answer);
    } else if (json_is_object(is)) {
        print_name(is, isatty(STDOUT_FILENO));
        for (i = 0; isatty(STDOUT_FILENO) && i < json_array_size(json_object_get(is, "addresses")); i++)
            printf("    at %s\n", json_string_value(json_array_get(json_object_get(is, "addresses"), i)));
    } else {
        bool terminal = isatty(STDOUT_FILENO);
        if (terminal && json_array_size(claimants))
            cli_note("none of your contacts; these nodes call themselves so. Ask its owner for the id before you trust one:");
        json_array_foreach(claimants, i, claim)
        {
            if (terminal)
                printf("%-20s %s\n    shoal name add %s %s\n", json_text(claim, "nickname"), json_text(claim, "node"), cli->arguments[0], json_text(claim, "node"));
            else
                printf("\t%s\t%s\t\n", json_text(claim, "nickname"), json_text(claim, "node"));
        }
    }
    bool found = json_is_object(is) || json_array_size(claimants);
    json_decref(answer);
    if (found)
        return 0;
    snprintf(c->message, sizeof c->message, "nobody is called \"%.200s\", as far as this node can find", cli->arguments[0]);
    return ERR_NOT_FOUND;
}

static int name_me(struct cli *cli, struct client *c)
{
    json_t *answer = NULL;
    int code;
    if (cli->argument_count == 0) {
        code = client_call(c, "GET", "/api/site", NULL, &answer);
        if (code == 0 && cli->json)
            cli_print_json(answer);
        else if (code == 0)
            print_name(answer, isatty(STDOUT_FILENO));
    } else {
        const char *name = strcmp(cli->arguments[0], "-") == 0 ? "" : cli->arguments[0];
        code = client_call(c, "POST", "/api/nickname", json_pack("{s:s}", "nickname", name), &answer);
        if (code == 0)
            say_warning(answer);
    }
    json_decref(answer);
    return code;
}

static int name_add(struct cli *cli, struct client *c)
{
    json_t *answer = NULL;
    bool two = cli->argument_count == 2;
    json_t *body = two ? json_pack("{s:s, s:s}", "name", cli->arguments[0], "node", cli->arguments[1]) : json_pack("{s:s}", "node", cli->arguments[0]);
    int code = client_call(c, "POST", "/api/names", body, &answer);
    if (code == 0 && cli->json)
        cli_print_json(answer);
    else if (code == 0)
        say_warning(answer);
    json_decref(answer);
    return code;
}

static int name_remove(struct cli *cli, struct client *c)
{
    return client_call(c, "DELETE", "/api/names", json_pack("{s:s}", "name", cli->arguments[0]), NULL);
}

static int with_node(struct cli *cli, bool local, int (*run)(struct cli *cli, struct client *c))
{
    struct client c;
    int code = client_open_or_start(&c, cli->home, local);
    if (code == 0)
        code = run(cli, &c);
    if (code != 0)
        cli_error("%s", c.message);
    client_close(&c);
    return cli_exit_of(code);
}

int cmd_name_list(struct cli *cli)
{
    return with_node(cli, true, name_list);
}

int cmd_name_show(struct cli *cli)
{
    return with_node(cli, false, name_show);
}

int cmd_name_me(struct cli *cli)
{
    return with_node(cli, true, name_me);
}

int cmd_name_add(struct cli *cli)
{
    return with_node(cli, true, name_add);
}

int cmd_name_remove(struct cli *cli)
{
    return with_node(cli, true, name_remove);
}

/* ---- Sites ---- */

static int site_status(struct cli *cli, struct client *c)
{
    json_t *o = NULL;
    int code = client_call(c, "GET", "/api/site", NULL, &o);
    if (code != 0)
        return code;
    if (cli->json) {
        cli_print_json(o);
    } else if (!json_text(o, "site")[0]) {
        printf("no site; `shoal site publish DIR` makes one\n");
    } else {
        printf("%s\n", json_text(o, "url")[0] ? json_text(o, "url") : json_text(o, "site_link"));
        if (isatty(STDOUT_FILENO))
            printf("told to %" PRIu64 " of %" PRIu64 " nodes, %" PRIu64 " watch it now\n", json_number(o, "stored"), json_number(o, "asked"),
                   json_number(o, "watchers"));
    }
    json_decref(o);
    return 0;
}

static int site_unpublish(struct cli *cli, struct client *c)
{
    (void)cli;
    return client_call(c, "DELETE", "/api/site", NULL, NULL);
}

static int site_keep(struct cli *cli, struct client *c)
{
    bool keep = strcmp(cli->command->name, "site keep") == 0;
    return client_call(c, "POST", "/api/site/keep", json_pack("{s:s, s:b}", "name", cli->arguments[0], "keep", (int)keep), NULL);
}

static int site_publish(struct cli *cli, struct client *c)
{
    struct job_wait w = {.client = c, .name = "hashing", .quiet = cli_flag(cli, "quiet")};
    char path[4096];
    json_t *job = NULL;
    if (absolute_path(path, cli->arguments[0]) != 0) {
        snprintf(c->message, sizeof c->message, "the path is too long");
        return ERR_RANGE;
    }
    int code = client_job(c, "POST", "/api/site", json_pack("{s:s}", "path", path), &w.job);
    if (code == 0)
        code = job_wait(&w, &job);
    if (code == 0 && strcmp(json_text(job, "state"), "done") != 0) {
        snprintf(c->message, sizeof c->message, "%s", json_text(job, "message"));
        code = cli_code_of_name(json_text(job, "error"));
    }
    if (code == 0)
        job_say_problems(job);
    json_decref(job);
    return code ? code : site_status(cli, c);
}

int cmd_site_status(struct cli *cli)
{
    return with_node(cli, true, site_status);
}

int cmd_site_publish(struct cli *cli)
{
    cli_catch_signals();
    return with_node(cli, true, site_publish);
}

int cmd_site_unpublish(struct cli *cli)
{
    return with_node(cli, true, site_unpublish);
}

int cmd_site_keep(struct cli *cli)
{
    return with_node(cli, true, site_keep);
}

/* ---- Search ---- */

static void print_result(const json_t *r, bool terminal)
{
    char size[FORMAT_MAX], name[512];
    bool tree = strcmp(json_text(r, "kind"), "tree") == 0;
    uint64_t holders = json_number(r, "holders");
    if (!terminal) {
        printf("%s\t%" PRIu64 "\t%" PRIu64 "\t%s\n", json_text(r, "link"), json_number(r, "size"), holders, json_text(r, "name"));
        return;
    }
    printf("%9s  %s%s  (%" PRIu64 " node%s%s)\n", json_is_null(json_object_get(r, "size")) ? "" : format_bytes(size, json_number(r, "size")),
           text_fit(name, sizeof name, json_text(r, "name"), 200, cli_utf8()), tree ? "/" : "", holders, holders == 1 ? "" : "s",
           json_is_true(json_object_get(r, "local")) ? ", this one too" : "");
    printf("           %s\n", json_text(r, "link"));
}

static int search(struct cli *cli, struct client *c)
{
    char words[2048] = "", *query, *target = NULL;
    json_t *answer = NULL, *r;
    size_t i, n = 0;
    for (int k = 0; k < cli->argument_count; k++)
        n += (size_t)snprintf(words + n, n < sizeof words ? sizeof words - n : 0, "%s%s", k ? " " : "", cli->arguments[k]);
    query = cli_query(words);
    if (!query || asprintf(&target, "/api/search?q=%s%s", query, cli_flag(cli, "here") ? "&where=here" : "") < 0)
        target = NULL;
    int code = target ? client_call(c, "GET", target, NULL, &answer) : ERR_NO_MEMORY;
    free(query);
    free(target);
    if (code != 0)
        return code;
    const json_t *results = json_object_get(answer, "results");
    size_t found = json_array_size(results);
    if (cli->json)
        cli_print_json(answer);
    else
        json_array_foreach(results, i, r) print_result(r, isatty(STDOUT_FILENO));
    if (found && json_is_true(json_object_get(answer, "more")))
        cli_note("there is more: add a word");
    json_decref(answer);
    if (found)
        return 0;
    snprintf(c->message, sizeof c->message, "nothing of these words is shared here or listed by a node that answered");
    return ERR_NOT_FOUND;
}

int cmd_search(struct cli *cli)
{
    return with_node(cli, false, search);
}
