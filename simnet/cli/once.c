/* One run in this process, and many in processes of their own. */
#include "simnet/cli/cli.h"

#include "node/base/err.h"
#include "simnet/flow/flow.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct watching {
    const struct sim_config *c;
    struct sim_map *map;
    bool live, terminal;
    double started, shown;
    uint64_t events_shown;
};

static double wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void map_fill(struct sim_map *map, const struct sim_world *w)
{
    uint32_t step = w->count / 2000 + 1;
    for (uint32_t i = 0; i < w->count && map->count < 2000; i += step) {
        map->x[map->count] = w->nodes[i].x;
        map->y[map->count] = w->nodes[i].y;
        map->hostile[map->count++] = w->nodes[i].hostile;
    }
}

/* The metric of the first expectation, so far. */
static void key_metric(const struct sim_config *c, const struct sim_world *w, char *out, size_t cap)
{
    struct sim_metric_view v;
    uint32_t id = c->expect_count ? sim_metric_find(w->metrics, c->expect[0].key) : UINT32_MAX;
    char value[40];
    out[0] = 0;
    if (id == UINT32_MAX)
        return;
    sim_metric_view(w->metrics, id, &v);
    if (!v.tries)
        return;
    /* The mean of samples: a quantile would sort all of them at each line. */
    double now = v.kind == SIM_COUNTER ? (double)v.sum : (double)v.sum / (double)v.tries;
    sim_unit_print(v.kind == SIM_RATIO ? SIM_UNIT_PPM : v.unit, v.kind == SIM_RATIO ? now * 1e6 : now, value,
                   sizeof value);
    snprintf(out, cap, "  %s %s", c->expect[0].key, value);
}

static bool on_second(void *context, const struct sim_world *w)
{
    struct watching *x = context;
    double now = wall();
    if (x->map && !x->map->count)
        map_fill(x->map, w);
    if (!x->live || now - x->shown < (x->terminal ? 0.25 : 10))
        return true;
    char key[120], held[40];
    double simulated = (double)(w->now - w->begin) / 1e6;
    key_metric(x->c, w, key, sizeof key);
    sim_unit_print(SIM_UNIT_BYTES, w->up ? (double)w->held / w->up : 0, held, sizeof held);
    fprintf(stderr, "%s%s seed %llu  %.0f s (%.0f x)  %u up  %.0f events/s  %s a node%s  %016llx%s",
            x->terminal ? "\r\033[K" : "", x->c->scenario.name, (unsigned long long)x->c->scenario.seed,
            simulated, simulated / (now - x->started), w->up,
            (double)(w->events_done - x->events_shown) / (now - x->shown), held, key,
            (unsigned long long)w->trace.hash, x->terminal ? "" : "\n");
    fflush(stderr);
    x->shown = now;
    x->events_shown = w->events_done;
    return true;
}

int sim_run_once(const struct sim_config *c, struct sim_metrics *m, struct sim_map *map, bool live,
                 struct sim_outcome *out)
{
    struct sim_result r;
    struct watching x = {
        .c = c, .map = map, .live = live, .terminal = isatty(2), .started = wall(), .shown = wall()};
    int e = sim_run(c, m, c->scenario.streams ? &sim_flow_streams : NULL, on_second, &x, &r);
    if (live && x.terminal)
        fputs("\r\033[K", stderr);
    memset(out, 0, sizeof *out);
    if (e != 0)
        return e;
    out->seed = c->scenario.seed;
    out->nodes = c->scenario.nodes;
    out->hash = r.hash;
    out->events = r.events;
    out->datagrams = r.datagrams;
    out->bytes = r.bytes;
    out->memory_peak = r.memory_peak;
    out->simulated = r.simulated;
    out->wall_seconds = r.wall_seconds;
    out->failed = r.failed;
    memcpy(out->failure, r.failure, sizeof out->failure);
    sim_outcome_figures(out, m);
    return 0;
}

struct child {
    pid_t pid;
    int fd;
    uint64_t index;
};

static bool outcome_write(const struct sim_outcome *o, int fd)
{
    const char *at = (const char *)o;
    for (size_t left = sizeof *o; left;) {
        ssize_t n = write(fd, at, left);
        if (n <= 0)
            return false;
        at += n;
        left -= (size_t)n;
    }
    return true;
}

/* In the child: runs, writes, ends. Status 0: the outcome was written. */
static void child_run(const struct sim_config *c, int fd)
{
    struct sim_outcome *o = malloc(sizeof *o);
    struct sim_metrics *m = sim_metrics_new();
    int status = 3;
    if (o && m && sim_run_once(c, m, NULL, false, o) == 0)
        status = outcome_write(o, fd) ? 0 : 4;
    sim_metrics_free(m);
    free(o);
    _exit(status);
}

static int child_start(const struct sim_config *c, struct child *k, uint64_t index)
{
    int fd[2];
    if (pipe(fd) != 0)
        return ERR_NO_MEMORY;
    fflush(NULL);
    k->pid = fork();
    if (k->pid == 0) {
        close(fd[0]);
        child_run(c, fd[1]);
    }
    close(fd[1]);
    k->fd = fd[0];
    k->index = index;
    if (k->pid > 0)
        return 0;
    close(fd[0]);
    return ERR_NO_MEMORY;
}

/* The oldest child's outcome (a pipe holds less than some outcomes, so it is read before the child is waited
 * for). */
static void child_end(struct child *k, uint64_t seed, struct sim_outcome *o)
{
    size_t have = 0;
    ssize_t n;
    int status = 0;
    while (have < sizeof *o && (n = read(k->fd, (char *)o + have, sizeof *o - have)) > 0)
        have += (size_t)n;
    close(k->fd);
    waitpid(k->pid, &status, 0);
    if (have == sizeof *o && status == 0)
        return;
    memset(o, 0, sizeof *o);
    o->seed = seed;
    o->failed = true;
    if (WIFSIGNALED(status))
        snprintf(o->failure, sizeof o->failure, "the run died of signal %d", WTERMSIG(status));
    else
        snprintf(o->failure, sizeof o->failure, "the run ended with status %d and no outcome",
                 WEXITSTATUS(status));
}

int sim_runs(const struct sim_asked *a, const char *extra, struct sim_outcome *out, char why[SIM_WHY_MAX])
{
    struct sim_asked asked = *a;
    struct sim_config c;
    uint64_t count = a->last_seed - a->first_seed + 1, started = 0, ended = 0;
    uint32_t jobs = a->jobs < count ? a->jobs : (uint32_t)count;
    asked.seeds_given = true;
    if (extra && asked.sets < SIM_SETS_MAX)
        asked.set[asked.sets++] = extra;
    if (sim_asked_config(&asked, a->first_seed, &c, why) != 0 || sim_memory_check(&c, jobs, why) != 0)
        return ERR_RANGE;
    struct child *ring = calloc(jobs, sizeof *ring);
    int e = ring ? 0 : ERR_NO_MEMORY;
    while (ended < started || (e == 0 && started < count)) {
        if (e == 0 && started < count && started - ended < jobs) {
            e = sim_asked_config(&asked, a->first_seed + started, &c, why);
            if (e == 0 && (e = child_start(&c, &ring[started % jobs], started)) != 0)
                snprintf(why, SIM_WHY_MAX, "cannot start another process; take fewer by --jobs");
            started += e == 0;
            continue;
        }
        child_end(&ring[ended % jobs], a->first_seed + ended, &out[ended]);
        ended++;
        if (!a->quiet && isatty(2))
            fprintf(stderr, "\r\033[K%s: %llu of %llu seeds", c.scenario.name, (unsigned long long)ended,
                    (unsigned long long)count);
    }
    if (!a->quiet && isatty(2))
        fputs("\r\033[K", stderr);
    free(ring);
    return e;
}
