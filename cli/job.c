#include "cli/job.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cli/cli.h"
#include "node/base/err.h"

#define WAIT_DRAWN_MS 100
#define WAIT_PLAIN_MS 1000

const char *json_text(const json_t *o, const char *field)
{
    const char *text = json_string_value(json_object_get(o, field));
    return text ? text : "";
}

uint64_t json_number(const json_t *o, const char *field)
{
    return (uint64_t)json_integer_value(json_object_get(o, field));
}

int absolute_path(char out[4096], const char *path)
{
    char here[4096] = "";
    if (path[0] != '/' && !getcwd(here, sizeof here))
        return ERR_NOT_FOUND;
    while (path[0] == '.' && path[1] == '/') {
        path += 2;
        while (*path == '/')
            path++;
    }
    if (strcmp(path, ".") == 0)
        path = "";
    bool slash = here[0] && *path && strcmp(here, "/") != 0;
    int n = snprintf(out, 4096, "%s%s%s", here, slash ? "/" : "", path);
    if (n < 0 || n >= 4096)
        return ERR_RANGE;
    while (n > 1 && out[n - 1] == '/')
        out[--n] = 0;
    return 0;
}

static void show(struct progress *p, const struct job_wait *w, const json_t *job)
{
    const char *name = json_text(job, "name");
    struct progress_state s = {
        .name = *name ? name : w->name,
        .message = json_text(job, "message"),
        .done = json_number(job, "bytes_done"),
        .total = json_number(job, "bytes_total"),
        .files_done = json_number(job, "files_done"),
        .files_total = json_number(job, "files_total"),
        .rate = json_number(job, "rate"),
        .peers = (uint32_t)json_number(job, "peers"),
        .show_peers = w->show_peers,
    };
    progress_show(p, &s);
}

/* After Ctrl-C: the job is told to stop, so that what has arrived is on disk and nothing goes on behind the
 * user's back. */
static int cancel(struct job_wait *w)
{
    char target[64];
    struct client again = *w->client;
    json_t *ended = NULL;
    if (again.fd >= 0)
        close(again.fd);
    cli_interrupted = 0; /* a second Ctrl-C interrupts this, too */
    int r = client_open(&again, w->client->home);
    snprintf(target, sizeof target, "/api/jobs/%" PRIu32, w->job);
    if (r == 0)
        r = client_call(&again, "DELETE", target, NULL, NULL);
    snprintf(target, sizeof target, "/api/jobs/%" PRIu32 "?wait=10000", w->job);
    if (r == 0 && client_call(&again, "GET", target, NULL, &ended) == 0)
        json_decref(ended);
    w->client->fd = again.fd;
    cli_interrupted = 1;
    return w->client->code = ERR_CANCELLED;
}

int job_wait(struct job_wait *w, json_t **out)
{
    char target[64];
    struct progress p;
    int r;
    progress_begin(&p, w->quiet);
    snprintf(target, sizeof target, "/api/jobs/%" PRIu32 "?wait=%d", w->job,
             p.terminal && !w->quiet ? WAIT_DRAWN_MS : WAIT_PLAIN_MS);
    for (;;) {
        r = client_call(w->client, "GET", target, NULL, out);
        if (r != 0 || strcmp(json_text(*out, "state"), "running") != 0)
            break;
        show(&p, w, *out);
        json_decref(*out);
        *out = NULL;
    }
    progress_clear(&p);
    return r == ERR_CANCELLED && cli_interrupted ? cancel(w) : r;
}

int job_items(struct client *c, uint32_t job, const char *field,
              void (*each)(void *context, const json_t *item), void *context)
{
    uint64_t from = 0;
    for (;;) {
        char target[96];
        json_t *page, *item;
        size_t i;
        snprintf(target, sizeof target, "/api/jobs/%" PRIu32 "?from=%" PRIu64 "&limit=500", job, from);
        int r = client_call(c, "GET", target, NULL, &page);
        if (r != 0)
            return r;
        json_array_foreach(json_object_get(page, field), i, item) each(context, item);
        const json_t *next = json_object_get(page, "next");
        from = (uint64_t)json_integer_value(next);
        bool more = json_is_integer(next);
        json_decref(page);
        if (!more)
            return 0;
    }
}

uint64_t job_say_problems(const json_t *job)
{
    const json_t *problems = json_object_get(job, "problems");
    uint64_t total = json_number(job, "problems_total");
    for (size_t i = 0; i < json_array_size(problems); i++) {
        const json_t *p = json_array_get(problems, i);
        cli_error("%s: %s", json_text(p, "path"), json_text(p, "message"));
    }
    if (total > json_array_size(problems))
        cli_error("... and %" PRIu64 " more like these", total - json_array_size(problems));
    return total;
}
