/* A node that lives as long as one command: a child process with the node of this home, quiet, ended by its
 * parent's end or word. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cli/cli.h"
#include "cli/client.h"
#include "gateways/gateways_host.h"
#include "node/host/log.h"

#define START_TRIES 40 /* x 50 ms: another command's node that is just ending or starting */

struct watcher { /* in the child: the pipe's other end closes when the parent is gone */
    uv_poll_t poll;
    struct app *app;
    void (*next_stop)(struct app *app);
};
static struct watcher watcher; /* the child is one node and nothing else */

static void on_pipe(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    uv_poll_stop(poll);
    app_stop(watcher.app);
}

static void on_stop(struct app *app)
{
    uv_close((uv_handle_t *)&watcher.poll, NULL);
    if (watcher.next_stop)
        watcher.next_stop(app);
}

static void tell(int fd, const char *text)
{
    while (write(fd, text, strlen(text)) < 0 && errno == EINTR)
        ;
}

static void run_child(const char *home, bool local, int ready, int pipe)
{
    static struct app app;
    static struct config config;
    char message[APP_MESSAGE_MAX] = "";
    char line[APP_MESSAGE_MAX + 32];
    config_default(&config);
    snprintf(config.home, sizeof config.home, "%s", home);
    int r = config_load(&config, message);
    if (config.log_level > LOG_ERROR && !config.log_file[0])
        config.log_level = LOG_ERROR;
    if (local) {
        snprintf(config.listen, sizeof config.listen, "off");
        config.neighbours = false;
    }
    snprintf(config.http, sizeof config.http, "off");
    snprintf(config.ftp, sizeof config.ftp, "off");
    snprintf(config.dns, sizeof config.dns, "off");
    config.http_echo[0] = 0;
    log_setup((enum log_level)config.log_level, config.log_file);
    if (r == 0)
        r = app_start(&app, &config, message);
    if (r != 0) {
        snprintf(line, sizeof line, "%s %s\n", err_name(r), message);
        tell(ready, line);
        _exit(1);
    }
    if (!gateways_start(&app, message)) {
        snprintf(line, sizeof line, "ERR_IO %s\n", message);
        tell(ready, line);
        app_stop(&app);
        app_run(&app);
        _exit(1);
    }
    watcher.app = &app;
    watcher.next_stop = app.on_stop;
    app.on_stop = on_stop;
    uv_poll_init(&app.loop, &watcher.poll, pipe);
    uv_poll_start(&watcher.poll, UV_READABLE | UV_DISCONNECT, on_pipe);
    tell(ready, "ready\n");
    close(ready);
    app_run(&app);
    exit(0);
}

static int fail(struct client *c, int code, const char *message)
{
    snprintf(c->message, sizeof c->message, "%s", message);
    c->code = code;
    return code;
}

/* The child's first line: "ready", or the name of an error and a sentence. */
static int read_ready(struct client *c, int fd)
{
    char line[APP_MESSAGE_MAX + 64];
    size_t n = 0;
    while (n + 1 < sizeof line && (n == 0 || line[n - 1] != '\n')) {
        ssize_t got = read(fd, line + n, sizeof line - 1 - n);
        if (got < 0 && errno == EINTR && !cli_interrupted)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    line[n] = 0;
    line[strcspn(line, "\n")] = 0;
    if (strcmp(line, "ready") == 0)
        return 0;
    if (cli_interrupted)
        return fail(c, ERR_CANCELLED, "interrupted");
    char *space = strchr(line, ' ');
    if (!space)
        return fail(c, ERR_IO, "the node could not be started");
    *space = 0;
    return fail(c, cli_code_of_name(line), space + 1);
}

static int start_child(struct client *c, bool local)
{
    int ready[2], alive[2];
    if (pipe(ready) != 0)
        return fail(c, ERR_IO, "cannot make a pipe");
    if (pipe(alive) != 0) {
        close(ready[0]);
        close(ready[1]);
        return fail(c, ERR_IO, "cannot make a pipe");
    }
    fflush(NULL);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        close(ready[0]);
        close(alive[1]);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            _exit(1);
        signal(SIGHUP, SIG_IGN); /* the parent decides; its end is our end */
        run_child(c->home, local, ready[1], alive[0]);
    }
    close(ready[1]);
    close(alive[0]);
    if (child < 0) {
        close(ready[0]);
        close(alive[1]);
        return fail(c, ERR_NO_MEMORY, "cannot start a process for the node");
    }
    c->child = child;
    c->child_pipe = alive[1];
    int r = read_ready(c, ready[0]);
    close(ready[0]);
    return r;
}

static void end_child(struct client *c)
{
    if (c->child_pipe >= 0)
        close(c->child_pipe);
    c->child_pipe = -1;
    while (c->child > 0 && waitpid(c->child, NULL, 0) < 0 && errno == EINTR)
        ;
    c->child = 0;
}

int client_open_or_start(struct client *c, const char *home, bool local)
{
    for (int i = 0;; i++) {
        int r = client_open(c, home);
        if (r != ERR_NOT_FOUND)
            return r;
        r = start_child(c, local);
        if (r == 0) {
            pid_t child = c->child;
            int pipe = c->child_pipe;
            r = client_open(c, home);
            c->child = child;
            c->child_pipe = pipe;
            if (r == 0)
                return 0;
        }
        end_child(c);
        if (r != ERR_BUSY || i == START_TRIES) /* busy: somebody else's node is starting or ending; then its
                                                  socket answers, or the home is free */
            return r;
        poll(NULL, 0, 50);
        if (cli_interrupted)
            return fail(c, ERR_CANCELLED, "interrupted");
    }
}

void client_close(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    end_child(c);
}
