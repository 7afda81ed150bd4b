/* sweep, compare, bisect: what needs more than one run. */
#include "simnet/cli/cli.h"

#include <stdlib.h>
#include <string.h>

static int mistake(const char *why)
{
    fprintf(stderr, "simnet: %s\n", why);
    return 2;
}

static size_t seeds(const struct sim_asked *a)
{
    return (size_t)(a->last_seed - a->first_seed + 1);
}

/* One bunch of runs and what is said of it. Status as exit status. */
static int bunch(const struct sim_asked *a, const char *extra, const char *title)
{
    char why[SIM_WHY_MAX], command[4096];
    struct sim_config c;
    struct sim_asked asked = *a;
    size_t count = seeds(a);
    struct sim_outcome *all = calloc(count, sizeof *all);
    if (!all)
        return mistake("out of memory; take fewer --seeds");
    if (extra && asked.sets < SIM_SETS_MAX)
        asked.set[asked.sets++] = extra;
    asked.seeds_given = true;
    if (sim_runs(&asked, NULL, all, why) != 0 || sim_asked_config(&asked, a->first_seed, &c, why) != 0) {
        free(all);
        return mistake(why);
    }
    bool ok = sim_outcomes_ok(&c, all, count);
    for (size_t i = 0; i < count; i++) {
        sim_command_print(&asked, all[i].seed, command, sizeof command);
        if (a->json && sim_asked_config(&asked, all[i].seed, &c, why) == 0)
            sim_json_print(stdout, &c, &all[i], command);
        if (all[i].failed)
            fprintf(a->json ? stderr : stdout, "FAILED seed %llu: %s\n  again: %s\n",
                    (unsigned long long)all[i].seed, all[i].failure, command);
    }
    if (!a->json) {
        printf("%s%s%s, seeds %llu to %llu\n", c.scenario.name, *title ? ": " : "", title,
               (unsigned long long)a->first_seed, (unsigned long long)a->last_seed);
        size_t good = 0;
        struct sim_outcome swap;
        for (size_t i = 0; i < count; i++)
            if (!all[i].failed) {
                swap = all[i];
                all[good++] = swap;
            }
        sim_table_print(stdout, &c, all, good);
        printf("  %zu of %zu runs without a finding; %s\n\n", good, count,
               ok ? "as expected" : "NOT as expected");
    }
    free(all);
    return ok ? 0 : 1;
}

int sim_do_sweep(const struct sim_asked *a)
{
    char extra[400];
    int worst = 0;
    const char *equals = a->vary ? strchr(a->vary, '=') : NULL;
    if (!a->seeds_given && !a->vary)
        return mistake("a sweep of nothing; say --seeds 1..20 or --vary KEY=V1,V2");
    if (a->report)
        return mistake("--report: a report is of one run; `simnet run` writes it");
    if (!a->vary)
        return bunch(a, NULL, "");
    if (!equals || !equals[1])
        return mistake("--vary: a sweep of nothing; it must be KEY=V1,V2,...");
    for (const char *v = equals + 1; *v && worst < 2;) {
        size_t n = strcspn(v, ",");
        if ((size_t)snprintf(extra, sizeof extra, "%.*s%.*s", (int)(equals + 1 - a->vary), a->vary, (int)n,
                             v) >= sizeof extra)
            return mistake("--vary: a value is too long");
        int status = bunch(a, extra, extra);
        worst = status > worst ? status : worst;
        v += n + (v[n] == ',');
    }
    return worst;
}

static void beside(const struct sim_outcome *ours, const struct sim_outcome *theirs, size_t count)
{
    printf("  %-22s %-24s %-24s %s\n", "metric", "as it is", "with", "difference");
    for (uint32_t i = 0; i < ours[0].figures; i++) {
        enum sim_unit unit;
        double mean[2], half[2];
        char text[2][48], around[48], cell[2][104];
        const struct sim_outcome *side[2] = {ours, theirs};
        bool both = true;
        for (int s = 0; s < 2; s++) {
            both = both &&
                   sim_outcomes_interval(side[s], count, ours[0].figure[i].name, &unit, &mean[s], &half[s]);
            if (!both)
                break;
            sim_unit_print(unit, mean[s], text[s], sizeof text[s]);
            sim_unit_print(unit, half[s], around, sizeof around);
            snprintf(cell[s], sizeof cell[s], count > 1 ? "%s +- %s" : "%s", text[s], around);
        }
        if (!both)
            continue;
        double gap = mean[1] > mean[0] ? mean[1] - mean[0] : mean[0] - mean[1];
        printf("  %-22s %-24s %-24s ", ours[0].figure[i].name, cell[0], cell[1]);
        if (mean[0] > 0)
            printf("%+.1f %%%s\n", (mean[1] - mean[0]) / mean[0] * 100,
                   count > 1 && gap > half[0] + half[1] ? " (intervals do not meet)" : "");
        else
            printf("-\n");
    }
}

int sim_do_compare(const struct sim_asked *asked)
{
    char why[SIM_WHY_MAX];
    struct sim_asked a = *asked;
    if (!a.with)
        return mistake("compare: say --with KEY=VALUE, the one setting that differs");
    if (!a.seeds_given && !a.seed_given) {
        a.last_seed = 5;
        a.seeds_given = true;
    }
    size_t count = seeds(&a);
    struct sim_outcome *ours = calloc(count, sizeof *ours), *theirs = calloc(count, sizeof *theirs);
    int status = 0;
    if (!ours || !theirs)
        status = mistake("out of memory; take fewer --seeds");
    else if (sim_runs(&a, NULL, ours, why) != 0 || sim_runs(&a, a.with, theirs, why) != 0)
        status = mistake(why);
    for (size_t i = 0; status == 0 && i < count; i++)
        if (ours[i].failed || theirs[i].failed) {
            printf("FAILED seed %llu: %s\n", (unsigned long long)ours[i].seed,
                   ours[i].failed ? ours[i].failure : theirs[i].failure);
            status = 1;
        }
    if (status == 0) {
        printf("%s beside the same with %s, seeds %llu to %llu\n", a.scenario, a.with,
               (unsigned long long)a.first_seed, (unsigned long long)a.last_seed);
        beside(ours, theirs, count);
    }
    free(ours);
    free(theirs);
    return status;
}

/* Do the expectations hold at this value? 1, 0, or -1 when it could not be run (said already). */
static int holds(const struct sim_asked *a, const struct sim_key *k, const struct sim_config *at)
{
    char value[80], extra[200], why[SIM_WHY_MAX];
    struct sim_config c;
    struct sim_asked with = *a;
    size_t count = seeds(a);
    struct sim_outcome *all = calloc(count, sizeof *all);
    sim_key_print(at, k, value, sizeof value);
    snprintf(extra, sizeof extra, "%s=%s", k->name, value);
    if (with.sets < SIM_SETS_MAX)
        with.set[with.sets++] = extra;
    int answer = -1;
    if (!all)
        mistake("out of memory; take fewer --seeds");
    else if (sim_runs(&with, NULL, all, why) != 0 || sim_asked_config(&with, a->first_seed, &c, why) != 0)
        mistake(why);
    else {
        answer = sim_outcomes_ok(&c, all, count);
        printf("  %s: %s\n", extra, answer ? "holds" : "does not hold");
        fflush(stdout);
    }
    free(all);
    return answer;
}

int sim_do_bisect(const struct sim_asked *asked)
{
    char why[SIM_WHY_MAX], first[80], last[80];
    struct sim_asked a = *asked;
    struct sim_config c;
    uint64_t low, high;
    const struct sim_key *k = a.vary ? sim_key_find(a.vary) : NULL;
    if (!k || k->kind > SIM_KEY_SHARE || !a.between[0] || !a.between[1])
        return mistake(
            "bisect: say --vary KEY --from V --to V, a key that is a number (`simnet explain` lists them)");
    for (int i = 0; i < 2; i++) {
        char reason[SIM_WHY_MAX];
        if (sim_value_read(k->kind, a.between[i], i ? &high : &low, reason) == 0)
            continue;
        snprintf(why, sizeof why, "%s %.80s: %.300s", i ? "--to" : "--from", a.between[i], reason);
        return mistake(why);
    }
    if (low == high)
        return mistake("bisect: --from and --to are the same, a search of nothing");
    if (sim_asked_config(&a, a.first_seed, &c, why) != 0)
        return mistake(why);
    if (!c.expect_count)
        return mistake("bisect: the scenario has no [expect] line; give one by --set 'expect.METRIC=< 1s'");
    if (sim_config_set(&c, k->name, a.between[0], why) != 0)
        return mistake(why);
    struct sim_config other = c;
    if (sim_config_set(&other, k->name, a.between[1], why) != 0)
        return mistake(why);
    int good = holds(&a, k, &c), bad = good < 0 ? -1 : holds(&a, k, &other);
    if (good < 0 || bad < 0)
        return 2;
    if (good == bad) {
        printf("  the same at both ends; nothing to find between\n");
        return 1;
    }
    for (;;) {
        uint64_t wide = low < high ? high - low : low - high,
                 middle = low < high ? low + wide / 2 : high + wide / 2;
        if (wide <= 1 || wide <= (low < high ? high : low) / 50)
            break;
        char text[32];
        struct sim_config at = c;
        static const char *const unit[] = {"", "us", "B", "B/s", "ppm"};
        snprintf(text, sizeof text, "%llu%s", (unsigned long long)middle, unit[k->kind]);
        if (sim_config_set(&at, k->name, text, why) != 0)
            return mistake(why);
        int now = holds(&a, k, &at);
        if (now < 0)
            return 2;
        if (now == good) {
            low = middle;
            c = at;
        } else {
            high = middle;
            other = at;
        }
    }
    sim_key_print(&c, k, first, sizeof first);
    sim_key_print(&other, k, last, sizeof last);
    printf("%s %s up to %s and %s at %s\n", k->name, good ? "holds" : "does not hold", first,
           good ? "does not" : "holds", last);
    return 0;
}
