#include "simnet/cli/cli.h"

#include "node/base/err.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

const char sim_help[] =
    "simnet: many nodes of the shipped code in one process, in virtual time\n"
    "\n"
    "  simnet list                      the scenarios in this binary\n"
    "  simnet show SCENARIO             its purpose, every setting, the memory it will need\n"
    "  simnet run SCENARIO              run it; the table of ours beside published\n"
    "  simnet sweep SCENARIO --seeds 1..20 [--vary KEY=V1,V2,...]\n"
    "                                   many seeds on all cores; 95 % intervals, a row for each value\n"
    "  simnet compare SCENARIO --with KEY=VALUE [--seeds 1..10]\n"
    "                                   as it is beside the same with one setting changed\n"
    "  simnet bisect SCENARIO --vary KEY --from V --to V [--seeds 1..3]\n"
    "                                   the value at which its expectations stop to hold\n"
    "  simnet explain [KEY]             what may stand in a scenario file or in --set\n"
    "\n"
    "SCENARIO is a name from `simnet list` or the path of an .ini file.\n"
    "\n"
    "  --nodes N             so many nodes\n"
    "  --seed S              the run's seed; same scenario and seed, same trace hash\n"
    "  --set SECTION.KEY=V   any setting, again and again\n"
    "  --json                one JSON object (sweep: one a seed and line) instead of the table\n"
    "  --report DIR          run: manifest.json, metrics.csv and index.html into a new or empty folder\n"
    "  --jobs N              so many runs at a time (default: all cores)\n"
    "  --quiet               no live line\n"
    "\n"
    "Exit status: 0 as expected; 1 an [expect] line missed or a checker found a defect; 2 a mistake in what "
    "was asked.\n"
    "\n"
    "GNU parallel:  parallel -j2 simnet run hello --seed {} --json --quiet '>' hello-{}.json ::: $(seq 1 "
    "100)\n"
    "SLURM array:   sbatch --array=1-100 --wrap='simnet run hello --seed $SLURM_ARRAY_TASK_ID --json --quiet "
    ">hello-$SLURM_ARRAY_TASK_ID.json'\n";

static int mistake(const char *why)
{
    fprintf(stderr, "simnet: %s\n", why);
    return 2;
}

static int do_list(void)
{
    char why[SIM_WHY_MAX];
    struct sim_config c;
    for (const struct sim_scenario *s = sim_scenarios; s->name; s++) {
        if (sim_scenario_load(&c, s->name, why) != 0)
            return mistake(why);
        printf("%-14s %7u nodes  %s\n", s->name, c.scenario.nodes, c.scenario.about);
    }
    return 0;
}

static int do_show(const struct sim_asked *a)
{
    char why[SIM_WHY_MAX], value[SIM_TEXT_MAX * 4], section[24] = "";
    struct sim_config c;
    size_t count;
    const struct sim_key *keys = sim_keys(&count);
    if (sim_asked_config(a, a->first_seed, &c, why) != 0)
        return mistake(why);
    sim_unit_print(SIM_UNIT_BYTES, (double)sim_config_memory(&c), value, sizeof value);
    printf("; %s: %s\n; needs about %s of memory\n", c.scenario.name, c.scenario.about, value);
    for (size_t i = 0; i < count; i++) {
        size_t n = strcspn(keys[i].name, ".");
        if (strlen(section) != n || memcmp(section, keys[i].name, n) != 0) {
            snprintf(section, sizeof section, "%.*s", (int)n, keys[i].name);
            printf("[%s]\n", section);
        }
        sim_key_print(&c, &keys[i], value, sizeof value);
        if (keys[i].kind != SIM_KEY_TEXT)
            printf("%s = %s\n", keys[i].name + n + 1, value);
        else if (*value) { /* a line of a file is short: words go on indented */
            size_t column = (size_t)printf("%s =", keys[i].name + n + 1);
            for (char *word = strtok(value, " "); word; word = strtok(NULL, " "))
                column = column + strlen(word) > 100 ? (size_t)printf("\n  %s", word)
                                                     : column + (size_t)printf(" %s", word);
            putchar('\n');
        }
    }
    printf("[expect]\n");
    for (uint32_t i = 0; i < c.expect_count; i++)
        printf("%s = %s\n", c.expect[i].key, c.expect[i].value);
    printf("[published]\n");
    for (uint32_t i = 0; i < c.published_count; i++)
        printf("%s = %s\n", c.published[i].key, c.published[i].value);
    return 0;
}

static const char *const kind_texts[] = {"number",    "time", "size", "rate", "share",
                                         "yes or no", "",     "span", "text"};

static int do_explain(const struct sim_asked *a)
{
    char why[SIM_WHY_MAX], value[SIM_TEXT_MAX * 4];
    struct sim_config c;
    size_t count, shown = 0;
    const struct sim_key *keys = sim_keys(&count);
    sim_config_default(&c);
    for (size_t i = 0; i < count; i++) {
        const struct sim_key *k = &keys[i];
        if (a->scenario && !strstr(k->name, a->scenario))
            continue;
        sim_key_print(&c, k, value, sizeof value);
        printf("%-32s %s\n%32s %s, default %s\n", k->name, k->about, "",
               k->words ? k->words : kind_texts[k->kind], *value ? value : "none");
        shown++;
    }
    if (shown && a->scenario)
        return 0;
    if (a->scenario) {
        snprintf(why, sizeof why, "%.80s: no such key; the nearest is %s", a->scenario,
                 sim_key_nearest(a->scenario));
        return mistake(why);
    }
    puts("\nTimes: us ms s min h d. Sizes: B kB MB GB KiB MiB GiB. Rates: B/s kB/s MB/s kbit/s Mbit/s "
         "Gbit/s. Shares: % ppm.\n"
         "Spans: never, a time, `exponential mean 1h`, `weibull 0.5 mean 10000s`, `weibull 0.6 scale 2h`.\n"
         "[expect] METRIC = SIGN NUMBER and [published] METRIC = NUMBER SOURCE take the names of the run's "
         "table, with\n"
         "   .mean .p90 .p95 .p99 .least .most or .count behind (lookup.time.p99 = <= 1s).");
    return 0;
}

static int finish(const struct sim_asked *a, const struct sim_config *c, const struct sim_outcome *o)
{
    char command[4096], memory[40];
    sim_command_print(a, c->scenario.seed, command, sizeof command);
    if (a->json) {
        if (sim_json_print(stdout, c, o, command) != 0)
            return mistake("out of memory for the JSON");
        return sim_outcomes_ok(c, o, 1) ? 0 : 1;
    }
    double simulated = (double)o->simulated / 1e6;
    sim_unit_print(SIM_UNIT_BYTES, (double)o->memory_peak, memory, sizeof memory);
    printf("%s: %s\n", c->scenario.name, c->scenario.about);
    printf("  %llu nodes, seed %llu, %.0f s simulated in %.2f s (%.0f times real time), %llu events, %s of "
           "memory%s\n\n",
           (unsigned long long)o->nodes, (unsigned long long)o->seed, simulated, o->wall_seconds,
           o->wall_seconds > 0 ? simulated / o->wall_seconds : 0, (unsigned long long)o->events, memory,
           c->scenario.join == SIM_JOIN_ORACLE ? "; tables filled by the oracle" : "");
    sim_table_print(stdout, c, o, 1);
    if (o->failed)
        printf("\n  FAILED: %s\n", o->failure);
    bool ok = sim_outcomes_ok(c, o, 1);
    printf("\n  %s; trace hash %016llx\n  again: %s\n", ok ? "as expected" : "NOT as expected",
           (unsigned long long)o->hash, command);
    return ok ? 0 : 1;
}

static int do_run(const struct sim_asked *a)
{
    char why[SIM_WHY_MAX], command[4096];
    struct sim_config c;
    if (a->seeds_given)
        return mistake("--seeds: a run has one seed, --seed; `simnet sweep` takes many");
    if (sim_asked_config(a, a->first_seed, &c, why) != 0 || sim_memory_check(&c, 1, why) != 0 ||
        (a->report && sim_report_open(a->report, why) != 0))
        return mistake(why);
    struct sim_metrics *m = sim_metrics_new();
    struct sim_map *map = calloc(1, sizeof *map);
    struct sim_outcome *o = calloc(1, sizeof *o);
    int status = 2;
    if (!m || !map || !o || sim_run_once(&c, m, map, !a->quiet, o) != 0)
        mistake("out of memory; take fewer nodes by --nodes");
    else {
        status = finish(a, &c, o);
        sim_command_print(a, c.scenario.seed, command, sizeof command);
        if (a->report && sim_report_write(a->report, &c, o, m, map, command, why) != 0)
            status = mistake(why);
        else if (a->report && !a->json)
            printf("  report: %s/index.html\n", a->report);
    }
    sim_metrics_free(m);
    free(map);
    free(o);
    return status;
}

int sim_cli_main(int argc, char **argv)
{
    char why[SIM_WHY_MAX];
    struct sim_asked a;
    const char *command = argc > 1 ? argv[1] : "--help";
    if (strcmp(command, "--version") == 0)
        return puts("simnet " SHOAL_VERSION) < 0;
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 || strcmp(command, "help") == 0) {
        fputs(sim_help, argc > 1 ? stdout : stderr);
        return argc > 1 ? 0 : 2;
    }
    if (sodium_init() < 0)
        return mistake("libsodium does not start");
    if (sim_asked_read(&a, argc - 2, argv + 2, why) != 0)
        return mistake(why);
    if (a.help)
        return fputs(sim_help, stdout) < 0;
    if (strcmp(command, "list") == 0)
        return do_list();
    if (strcmp(command, "show") == 0)
        return do_show(&a);
    if (strcmp(command, "run") == 0)
        return do_run(&a);
    if (strcmp(command, "sweep") == 0)
        return sim_do_sweep(&a);
    if (strcmp(command, "compare") == 0)
        return sim_do_compare(&a);
    if (strcmp(command, "bisect") == 0)
        return sim_do_bisect(&a);
    if (strcmp(command, "explain") == 0)
        return do_explain(&a);
    snprintf(why, sizeof why, "%.60s: no such command; list, show, run, sweep, compare, bisect or explain",
             command);
    return mistake(why);
}
