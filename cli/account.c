/* `shoal account ...` and `shoal open`: who may sign in from elsewhere, tokens of scripts, and the owner's
 * own browser. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/job.h"
#include "node/base/err.h"

#define SECRET_MAX 1024

/* ---- Passwords ---- */

static bool read_line(char out[SECRET_MAX])
{
    size_t n = 0;
    char c;
    for (ssize_t r; (r = read(STDIN_FILENO, &c, 1)) != 0;) {
        if (r < 0 && !cli_interrupted)
            continue;
        if (r < 0 || c == '\n')
            break;
        if (n + 1 >= SECRET_MAX)
            return false;
        out[n++] = c;
    }
    if (n && out[n - 1] == '\r')
        n--;
    out[n] = 0;
    return !cli_interrupted;
}

static bool ask_hidden(const char *prompt, char out[SECRET_MAX])
{
    struct termios now, quiet;
    fputs(prompt, stderr);
    fflush(stderr);
    bool hidden = tcgetattr(STDIN_FILENO, &now) == 0;
    quiet = now;
    quiet.c_lflag &= (tcflag_t)~ECHO;
    if (hidden)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    bool ok = read_line(out);
    if (hidden)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &now);
    fputc('\n', stderr);
    return ok;
}

/* From a terminal: asked twice without echo. Otherwise: the first line of standard input. */
static int read_password(const char *name, char out[SECRET_MAX])
{
    char again[SECRET_MAX], prompt[128];
    if (!isatty(STDIN_FILENO)) {
        if (read_line(out) && out[0])
            return 0;
        cli_error("no password on standard input: its first line is the password");
        return EXIT_USAGE;
    }
    cli_catch_signals();
    snprintf(prompt, sizeof prompt, "Password for %.40s: ", name);
    if (!ask_hidden(prompt, out) || !ask_hidden("Once more: ", again))
        return EXIT_INTERRUPTED;
    bool same = strcmp(out, again) == 0;
    explicit_bzero(again, sizeof again);
    if (same)
        return 0;
    cli_error("the two are not the same; nothing was changed");
    return EXIT_USAGE;
}

/* ---- Commands ---- */

static int call(struct cli *cli, const char *method, const char *target, json_t *body, json_t **out)
{
    struct client c;
    int code = client_open_or_start(&c, cli->home, true);
    if (code == 0)
        code = client_call(&c, method, target, body, out);
    else
        json_decref(body);
    if (code != 0)
        cli_error("%s", c.message);
    client_close(&c);
    return code == 0               ? 0
           : code == ERR_EXISTS    ? EXIT_IN_USE
           : code == ERR_MALFORMED ? EXIT_USAGE
                                   : cli_exit_of(code);
}

/* Says or prints what was done: the answer with --json, else the sentence. */
static int done(struct cli *cli, int exit, json_t *answer, const char *sentence)
{
    if (exit == 0 && cli->json)
        cli_print_json(answer);
    else if (exit == 0)
        cli_note("%s", sentence);
    json_decref(answer);
    return exit;
}

static int with_password(struct cli *cli, const char *target, const char *privilege, const char *sentence)
{
    char password[SECRET_MAX], line[300];
    json_t *answer = NULL;
    const char *name = cli->arguments[0];
    int exit = read_password(name, password);
    if (exit != 0)
        return exit;
    json_t *body = json_pack("{s:s, s:s}", "name", name, "password", password);
    explicit_bzero(password, sizeof password);
    if (!body) {
        cli_error("the name or the password is not valid UTF-8");
        return EXIT_USAGE;
    }
    if (privilege)
        json_object_set_new(body, "privilege", json_string(privilege));
    exit = call(cli, "POST", target, body, &answer);
    snprintf(line, sizeof line, sentence, json_text(answer, "name"), json_text(answer, "name"));
    return done(cli, exit, answer, line);
}

int cmd_account_add(struct cli *cli)
{
    bool owner = cli_flag(cli, "owner");
    return with_password(cli, "/api/accounts", owner ? "owner" : "user",
                         owner ? "account %s added: it controls this node"
                               : "account %s added: its folder is /home/%s");
}

int cmd_account_password(struct cli *cli)
{
    return with_password(cli, "/api/accounts/password", NULL,
                         "the password of %s was changed; its browsers must sign in again");
}

int cmd_account_remove(struct cli *cli)
{
    json_t *answer = NULL;
    int exit = call(cli, "DELETE", "/api/accounts", json_pack("{s:s}", "name", cli->arguments[0]), &answer);
    return done(cli, exit, answer, "account removed with its sign-ins and tokens; its files stay");
}

static void print_day(int64_t unix_s, const char *otherwise)
{
    char text[32];
    time_t t = (time_t)unix_s;
    struct tm tm;
    if (unix_s > 0 && localtime_r(&t, &tm) && strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm))
        printf("\t%s", text);
    else
        printf("\t%s", otherwise);
}

int cmd_account_list(struct cli *cli)
{
    json_t *answer = NULL, *item;
    size_t i;
    int exit = call(cli, "GET", "/api/accounts", NULL, &answer);
    const json_t *list = json_object_get(answer, "accounts");
    if (exit == 0 && cli->json)
        cli_print_json(list);
    else if (exit == 0) {
        json_array_foreach((json_t *)list, i, item)
        {
            printf("%s\t%s", json_text(item, "name"), json_text(item, "privilege"));
            print_day((int64_t)json_number(item, "last"), "never signed in");
            putchar('\n');
        }
        if (json_array_size(list) == 0 && isatty(STDOUT_FILENO))
            printf("there are no accounts; `shoal account add NAME` makes one\n");
    }
    json_decref(answer);
    return exit;
}

int cmd_account_token(struct cli *cli)
{
    json_t *answer = NULL;
    const char *label = cli_option(cli, "label");
    json_t *body = json_pack("{s:s, s:s}", "name", cli->arguments[0], "label", label ? label : "script");
    if (!body) {
        cli_error("the name or the label is not valid UTF-8");
        return EXIT_USAGE;
    }
    int exit = call(cli, "POST", "/api/tokens", body, &answer);
    if (exit == 0 && cli->json) {
        cli_print_json(answer);
    } else if (exit == 0) {
        printf("%s\n", json_text(answer, "token"));
        cli_note("it is shown this once; `shoal account revoke %" PRIu64 "` ends it",
                 json_number(answer, "id"));
    }
    json_decref(answer);
    return exit;
}

int cmd_account_logins(struct cli *cli)
{
    json_t *answer = NULL, *shown = json_array(), *item;
    size_t i;
    const char *name = cli->argument_count ? cli->arguments[0] : NULL;
    char label[256];
    int exit = call(cli, "GET", "/api/signins", NULL, &answer);
    json_array_foreach(json_object_get(answer, "signins"), i,
                       item) if (!name || strcasecmp(json_text(item, "user"), name) == 0)
        json_array_append(shown, item);
    if (exit == 0 && cli->json)
        cli_print_json(shown);
    else if (exit == 0)
        json_array_foreach(shown, i, item)
        {
            const char *user = json_text(item, "user");
            printf("%" PRIu64 "\t%s\t%s\t%s", json_number(item, "id"), *user ? user : "the owner",
                   json_is_true(json_object_get(item, "token")) ? "token" : "browser",
                   text_fit(label, sizeof label, json_text(item, "label"), 60, cli_utf8()));
            print_day((int64_t)json_number(item, "last"), "never");
            putchar('\n');
        }
    json_decref(shown);
    json_decref(answer);
    return exit;
}

int cmd_account_revoke(struct cli *cli)
{
    json_t *answer = NULL;
    char *end;
    long long id = strtoll(cli->arguments[0], &end, 10);
    if (*end || id <= 0) {
        cli_error("\"%s\" is no number; `shoal account logins` shows them", cli->arguments[0]);
        return EXIT_USAGE;
    }
    int exit = call(cli, "DELETE", "/api/signins", json_pack("{s:I}", "id", (json_int_t)id), &answer);
    return done(cli, exit, answer, "revoked");
}

/* ---- The owner's browser ---- */

static bool open_browser(const char *url)
{
    if (!getenv("DISPLAY") && !getenv("WAYLAND_DISPLAY"))
        return false;
    pid_t child = fork();
    if (child == 0) {
        setsid();
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(126);
        execlp("xdg-open", "xdg-open", url, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int cmd_open(struct cli *cli)
{
    struct client c;
    json_t *answer = NULL;
    int code = client_open(&c, cli->home);
    if (code == 0)
        code = client_call(&c, "POST", "/api/open", json_object(), &answer);
    if (code != 0) {
        cli_error("%s", c.message);
    } else if (cli->json) {
        cli_print_json(answer);
    } else {
        printf("%s\n", json_text(answer, "url"));
        fflush(stdout);
        if (isatty(STDOUT_FILENO) && !cli_flag(cli, "print") && !open_browser(json_text(answer, "url")))
            cli_note("open this address in a browser on this computer; it signs one in, once");
    }
    json_decref(answer);
    client_close(&c);
    return code == ERR_NOT_FOUND ? EXIT_NO_NODE : cli_exit_of(code);
}
