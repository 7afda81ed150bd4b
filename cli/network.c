/* `shoal invite`, `join`, `network rotate` and `down`. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "cli/cli.h"
#include "cli/job.h"
#include "cli/progress.h"
#include "cli/qr.h"
#include "gateways/http/api_host.h"

#define RESTART_WAIT_MS 15000
#define DOWN_WAIT_MS    60000

static int open_running(struct cli *cli, struct client *c)
{
    int code = client_open(c, cli->home);
    if (code != 0)
        cli_error("%s", c->message);
    return code == ERR_NOT_FOUND ? EXIT_NO_NODE : cli_exit_of(code);
}

/* ---- invite ---- */

static void show_invite(const json_t *answer)
{
    const char *invite = json_text(answer, "invite");
    int width = terminal_width(STDOUT_FILENO);
    printf("%s\n", invite);
    if (!isatty(STDOUT_FILENO))
        return;
    putchar('\n');
    if (cli_colour(STDOUT_FILENO) && cli_utf8() && qr_draw(stdout, invite, width))
        putchar('\n');
    printf("Whoever has this line can join this network with `shoal join INVITE`.\n");
    if (json_is_true(json_object_get(answer, "private")))
        printf("The network is private: an invite cannot be unsent; `shoal network rotate` makes all earlier "
               "ones worthless.\n");
}

int cmd_invite(struct cli *cli)
{
    struct client c;
    json_t *answer = NULL;
    int exit = open_running(cli, &c);
    if (exit == 0) {
        int code = client_call(&c, "GET", "/api/invite", NULL, &answer);
        exit = cli_exit_of(code);
        if (code != 0)
            cli_error("%s", c.message);
        else if (cli->json)
            cli_print_json(answer);
        else
            show_invite(answer);
    }
    json_decref(answer);
    client_close(&c);
    return exit;
}

/* ---- join ---- */

/* "-": the first line of standard input. False: nothing there. */
static bool read_invite(char *out, size_t cap, const char *given)
{
    if (strcmp(given, "-") != 0)
        return (size_t)snprintf(out, cap, "%s", given) < cap;
    return fgets(out, (int)cap, stdin) != NULL;
}

/* The node starts again in the new network; what follows `shoal join` in a script may count on it. */
static bool wait_restart(const char *home)
{
    uint64_t end = progress_now_ms() + RESTART_WAIT_MS;
    poll(NULL, 0, 50);
    while (progress_now_ms() < end && !cli_interrupted) {
        struct client c;
        json_t *status = NULL;
        int code = client_open(&c, home);
        if (code == 0)
            code = client_call(&c, "GET", "/api/status", NULL, &status);
        bool young = code == 0 && json_number(status, "uptime_s") * 1000 < RESTART_WAIT_MS;
        json_decref(status);
        client_close(&c);
        if (young)
            return true;
        poll(NULL, 0, 50);
    }
    return false;
}

static void say_joined(const struct cli *cli, const json_t *answer, bool own_node, bool back)
{
    if (cli->json) {
        cli_print_json(answer);
        return;
    }
    printf("joined the %s network %.12s\n",
           json_is_true(json_object_get(answer, "private")) ? "private" : "open",
           json_text(answer, "network"));
    if (own_node)
        printf("No node runs in %s yet: start it with `shoal up`.\n", cli->home);
    else if (!back)
        printf("The node is starting again; `shoal status` tells when it is there.\n");
}

int cmd_join(struct cli *cli)
{
    struct client c;
    struct invite invite;
    char text[INVITE_TEXT_MAX + 64] = "", problem[512];
    json_t *answer = NULL;
    bool got = read_invite(text, sizeof text, cli->arguments[0]);
    int code = got ? invite_parse(&invite, text) : ERR_MALFORMED;
    if (code != 0) {
        invite_problem(problem, sizeof problem, text, code);
        cli_error("%s", problem);
        return EXIT_BAD_TEXT;
    }
    cli_catch_signals();
    code = client_open_or_start(&c, cli->home, true);
    bool own_node = c.child != 0, back = true;
    if (code == 0)
        code = client_call(&c, "POST", "/api/join", json_pack("{s:s}", "invite", text), &answer);
    if (code != 0)
        cli_error("%s", c.message);
    client_close(&c);
    if (code == 0 && !own_node && json_is_true(json_object_get(answer, "restarting")))
        back = wait_restart(cli->home);
    if (code == 0)
        say_joined(cli, answer, own_node, back);
    json_decref(answer);
    return code == ERR_NETWORK ? EXIT_FAILED : cli_exit_of(code);
}

/* ---- network rotate ---- */

int cmd_rotate(struct cli *cli)
{
    struct client c;
    json_t *job = NULL;
    struct job_wait w = {.client = &c, .name = "new secret"};
    int exit = open_running(cli, &c);
    if (exit != 0)
        return exit;
    cli_catch_signals();
    int code = client_job(&c, "POST", "/api/network/rotate", NULL, &w.job);
    if (code == 0)
        code = job_wait(&w, &job);
    if (code != 0) {
        cli_error("%s", c.message);
        exit = cli_exit_of(code);
    } else if (strcmp(json_text(job, "state"), "done") != 0) {
        cli_error("%s", json_text(job, "message"));
        exit = cli_exit_of(cli_code_of_name(json_text(job, "error")));
    } else if (cli->json) {
        cli_print_json(job);
    } else {
        printf("%s\nOld invites are worthless now, and members that were not reached need a new one: `shoal "
               "invite`.\n"
               "What was shared with former members cannot be taken back.\n",
               json_text(job, "message"));
    }
    json_decref(job);
    client_close(&c);
    return exit;
}

/* ---- down ---- */

/* Waits for the end of the process at the other end of the socket, even when nobody reaps it. */
static bool wait_process(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    return poll(&p, 1, DOWN_WAIT_MS) > 0;
}

int cmd_down(struct cli *cli)
{
    struct client c;
    struct ucred peer;
    socklen_t size = sizeof peer;
    int exit = open_running(cli, &c);
    if (exit != 0)
        return exit;
    cli_catch_signals();
    int pidfd = getsockopt(c.fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0
                    ? (int)syscall(SYS_pidfd_open, peer.pid, 0)
                    : -1;
    int code = client_call(&c, "POST", "/api/down", NULL, NULL);
    if (code != 0) {
        cli_error("%s", c.message);
        exit = cli_exit_of(code);
    } else if (pidfd >= 0 && !wait_process(pidfd)) {
        cli_error(cli_interrupted ? "the node is stopping"
                                  : "the node was told to stop and has not ended yet; its log may say why");
        exit = cli_interrupted ? EXIT_INTERRUPTED : EXIT_FAILED;
    }
    if (pidfd >= 0)
        close(pidfd);
    client_close(&c);
    return exit;
}
