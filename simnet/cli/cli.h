/* The command `simnet`. Exit status: 0 as expected, 1 an expectation missed or a checker's finding, 2 a
 * mistake in what was asked. */
#ifndef SIMNET_CLI_CLI_H
#define SIMNET_CLI_CLI_H
#include "simnet/report/outcome.h"
#include "simnet/world/run.h"

#define SIM_SETS_MAX 64

struct sim_asked { /* what a command line says; pointers into argv */
    const char *scenario, *report, *vary, *with;
    const char *set[SIM_SETS_MAX];
    uint32_t sets, jobs;
    uint64_t first_seed, last_seed;
    bool seeds_given, seed_given, json, quiet, help;
    const char *nodes, *between[2];
};

int sim_cli_main(int argc, char **argv);
/* argv from the first word behind the command. 0, or ERR_RANGE with *why. */
int sim_asked_read(struct sim_asked *a, int argc, char **argv, char why[SIM_WHY_MAX]);
/* The scenario with everything asked laid over it and checked; fuzz's draw is done. 0, or an error with *why.
 */
int sim_asked_config(const struct sim_asked *a, uint64_t seed, struct sim_config *c, char why[SIM_WHY_MAX]);
/* Refuses a run that would not fit. copies: runs at a time. */
int sim_memory_check(const struct sim_config *c, uint32_t copies, char why[SIM_WHY_MAX]);
/* The one line that repeats it; out has cap bytes. */
void sim_command_print(const struct sim_asked *a, uint64_t seed, char *out, size_t cap);

/* One run in this process. metrics: the caller's. 0, or ERR_NO_MEMORY. map may be NULL. live: the line on
 * standard error. */
int sim_run_once(const struct sim_config *c, struct sim_metrics *m, struct sim_map *map, bool live,
                 struct sim_outcome *out);
/* Runs seeds first..last, `jobs` at a time, each in a process of its own; out has one for each, in order.
 * extra: one more --set or NULL. 0, or ERR_RANGE with *why. */
int sim_runs(const struct sim_asked *a, const char *extra, struct sim_outcome *out, char why[SIM_WHY_MAX]);

int sim_do_sweep(const struct sim_asked *a);
int sim_do_compare(const struct sim_asked *a);
int sim_do_bisect(const struct sim_asked *a);
extern const char sim_help[];
#endif
