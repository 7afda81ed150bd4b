/* `shoal get`: fetch a file or a tree by its link. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/job.h"
#include "cli/links.h"
#include "cli/names.h"
#include "gateways/http/api_host.h"

#define TIMEOUT_S   600u /* --timeout's default: a command in a script must end by itself */
#define TORRENT_MAX (3 << 20)
#define TRIES       3 /* the node that worked for us may be one of another command and end with it */

/* A link on the command line, checked here so that the user hears at once where it is wrong. 0 or an exit
 * code. */
int cli_link(const char *text, struct link *out)
{
    char problem[512];
    size_t where;
    int code = link_parse(out, text, &where);
    if (code == 0)
        return 0;
    link_problem(problem, sizeof problem, text, code, where);
    cli_error("%s", problem);
    return EXIT_BAD_TEXT;
}

/* Where it goes: without -o, the current directory (the node puts the link's name below it). "dir/" is made
 * when it is missing. */
static int output_path(const char *given, char out[4096])
{
    struct stat st;
    if (absolute_path(out, given ? given : ".") != 0) {
        cli_error("the path \"%s\" is too long", given ? given : ".");
        return EXIT_USAGE;
    }
    size_t size = given ? strlen(given) : 0;
    bool folder = size && given[size - 1] == '/';
    if (folder && mkdir(out, 0777) != 0 && errno != EEXIST) {
        cli_error("cannot make the folder %s: %s", out, strerror(errno));
        return EXIT_FAILED;
    }
    if (folder && (stat(out, &st) != 0 || !S_ISDIR(st.st_mode))) {
        cli_error("%s is not a folder; leave the slash out to fetch to that name", out);
        return EXIT_FAILED;
    }
    return 0;
}

static json_t *request(const struct cli *cli, const char *output, uint32_t timeout_s)
{
    const char *select[CLI_VALUES_MAX];
    json_t *body = json_object(), *array = json_array();
    int n = cli_option_all(cli, "select", select, CLI_VALUES_MAX);
    for (int i = 0; i < n; i++)
        json_array_append_new(array, json_string(select[i]));
    json_object_set_new(body, "link", json_string(cli->arguments[0]));
    json_object_set_new(body, "output", json_string(output));
    json_object_set_new(body, "select", array);
    json_object_set_new(body, "timeout", json_integer(timeout_s));
    json_object_set_new(body, "replace", json_boolean(cli_flag(cli, "replace")));
    json_object_set_new(body, "no_share", json_boolean(cli_flag(cli, "no-share")));
    return body;
}

static int report(const struct cli *cli, const json_t *job)
{
    char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX], target[4200];
    uint64_t bytes = json_number(job, "bytes_done"), ms = json_number(job, "elapsed_ms");
    uint64_t problems = job_say_problems(job);
    if (cli->json)
        cli_print_json(job);
    if (strcmp(json_text(job, "state"), "done") != 0) {
        const char *message = json_text(job, "message");
        cli_error("%s", message);
        if (strstr(message, "another place") || strstr(message, "shorter") || strstr(message, "another one"))
            cli_note("-o PATH chooses the place%s", strstr(message, "replace it") ? ", --replace overwrites" : "");
        return cli_exit_of(cli_code_of_name(json_text(job, "error")));
    }
    if (cli->json)
        return problems ? EXIT_FAILED : EXIT_FINE;
    if (isatty(STDOUT_FILENO))
        printf("%s: %s in %s, %s\n",
               text_fit(target, sizeof target, json_text(job, "target"), 1 << 20, cli_utf8()),
               format_bytes(a, bytes), format_duration(b, (ms + 500) / 1000),
               format_rate(c, ms ? bytes * 1000 / ms : bytes));
    else
        printf("%s\n", json_text(job, "target"));
    return problems ? EXIT_FAILED : EXIT_FINE;
}

static int fetch_once(struct cli *cli, const struct link *link, const char *output, uint32_t timeout_s,
                      int *code)
{
    struct client c;
    struct job_wait w = {.client = &c,
                         .name = *link->name ? link->name : "looking",
                         .show_peers = true,
                         .quiet = cli_flag(cli, "quiet")};
    json_t *job = NULL;
    int exit = EXIT_FAILED;
    *code = client_open_or_start(&c, cli->home, false);
    if (*code == 0)
        *code = client_job(&c, "POST", "/api/get", request(cli, output, timeout_s), &w.job);
    if (*code == 0)
        *code = job_wait(&w, &job);
    if (*code == 0)
        exit = report(cli, job);
    json_decref(job);
    client_close(&c);
    if (*code != 0 && *code != ERR_CLOSED && *code != ERR_CANCELLED)
        cli_error("%s", c.message);
    return *code == 0 ? exit : cli_exit_of(*code);
}

/* ---- Torrents and magnets: the node knows which content they mean ---- */

static bool is_torrent(const char *text)
{
    size_t n = strlen(text);
    return strncmp(text, "magnet:?", 8) == 0 || (n > 8 && strcmp(text + n - 8, ".torrent") == 0);
}

static char *file_base64(const char *path)
{
    struct stat st;
    FILE *f = fopen(path, "rbe");
    uint8_t *bytes = NULL;
    char *text = NULL;
    if (f && fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= TORRENT_MAX)
        bytes = malloc((size_t)st.st_size);
    if (bytes && fread(bytes, 1, (size_t)st.st_size, f) == (size_t)st.st_size) {
        size_t cap = sodium_base64_encoded_len((size_t)st.st_size, sodium_base64_VARIANT_ORIGINAL);
        text = malloc(cap);
        if (text)
            sodium_bin2base64(text, cap, bytes, (size_t)st.st_size, sodium_base64_VARIANT_ORIGINAL);
    }
    if (!text)
        cli_error("cannot read the torrent %s: %s", path,
                  !f                         ? strerror(errno)
                  : st.st_size > TORRENT_MAX ? "it has more than 3 MiB"
                                             : "it is no file with something in it");
    if (f)
        fclose(f);
    free(bytes);
    return text;
}

/* The argument becomes the link that it means. 0 or an exit code. */
static int torrent_link(struct cli *cli, char link[LINK_TEXT_MAX])
{
    const char *given = cli->arguments[0];
    bool magnet = strncmp(given, "magnet:?", 8) == 0;
    char *base64 = magnet ? NULL : file_base64(given);
    json_t *answer = NULL;
    struct client c;
    if (!magnet && !base64)
        return EXIT_FAILED;
    json_t *body = magnet ? json_pack("{s:s}", "magnet", given) : json_pack("{s:s}", "torrent", base64);
    free(base64);
    if (!body) {
        cli_error("the magnet link is not UTF-8");
        return EXIT_BAD_TEXT;
    }
    int code = client_open_or_start(&c, cli->home, false);
    if (code == 0)
        code = client_call(&c, "POST", "/api/torrent", body, &answer);
    else
        json_decref(body);
    if (code == 0)
        snprintf(link, LINK_TEXT_MAX, "%s", json_text(answer, "link"));
    else
        cli_error("%s: %s", given, c.message);
    client_close(&c);
    json_decref(answer);
    cli->arguments[0] = link;
    return code == 0 ? 0 : cli_exit_of(code);
}

int cmd_get(struct cli *cli)
{
    static char resolved[LINK_TEXT_MAX];
    struct link link;
    char output[4096];
    uint32_t timeout_s = TIMEOUT_S;
    const char *timeout = cli_option(cli, "timeout");
    if (timeout && !duration_parse(timeout, &timeout_s)) {
        cli_error("--timeout %s is not a time: write 30s, 10m, 2h or 1d; 0 waits for ever", timeout);
        return EXIT_USAGE;
    }
    int exit = is_torrent(cli->arguments[0]) ? torrent_link(cli, resolved) : 0, code = ERR_CLOSED;
    if (exit == 0)
        exit = cli_link_or_name(cli, 0, &link);
    if (exit == 0)
        exit = output_path(cli_option(cli, "output"), output);
    if (exit != 0)
        return exit;
    cli_catch_signals();
    for (int i = 0; i < TRIES && code == ERR_CLOSED; i++)
        exit = fetch_once(cli, &link, output, timeout_s, &code);
    if (code == ERR_CLOSED)
        cli_error("the node ended while it was fetching; what has arrived is kept: the same command goes on "
                  "from there");
    if (code == ERR_CANCELLED) {
        cli_note("stopped; what has arrived is kept: the same command goes on from there");
        return EXIT_INTERRUPTED;
    }
    return exit;
}
