/* What a command line asks for. */
#include "simnet/cli/cli.h"

#include "node/base/err.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int wrong(char why[SIM_WHY_MAX], const char *option, const char *value, const char *reason)
{
    snprintf(why, SIM_WHY_MAX, "%.60s%s%.100s: %.200s", option, *value ? " " : "", value, reason);
    return ERR_RANGE;
}

static int read_seeds(struct sim_asked *a, const char *value, char why[SIM_WHY_MAX])
{
    char first[24];
    const char *dots = strstr(value, "..");
    size_t n = dots ? (size_t)(dots - value) : sizeof first;
    if (n < sizeof first) {
        memcpy(first, value, n);
        first[n] = 0;
        if (sim_number_read(first, &a->first_seed) && sim_number_read(dots + 2, &a->last_seed)) {
            a->seeds_given = true;
            if (a->first_seed > a->last_seed)
                return wrong(why, "--seeds", value,
                             "a sweep of nothing; the first must not be after the last");
            if (a->last_seed - a->first_seed > 999999)
                return wrong(why, "--seeds", value, "at most 1,000,000 seeds at once");
            return 0;
        }
    }
    return wrong(why, "--seeds", value, "must be two numbers, like 1..20");
}

static int option(struct sim_asked *a, const char *name, const char *value, char why[SIM_WHY_MAX])
{
    uint64_t number;
    if (strcmp(name, "--set") == 0) {
        if (a->sets == SIM_SETS_MAX)
            return wrong(why, name, value, "at most 64 of them; write a scenario file");
        a->set[a->sets++] = value;
    } else if (strcmp(name, "--seed") == 0) {
        if (!sim_number_read(value, &a->first_seed))
            return wrong(why, name, value, "is not a number; a seed is a whole number from 0 to 2^64 - 1");
        a->last_seed = a->first_seed;
        a->seed_given = true;
    } else if (strcmp(name, "--seeds") == 0)
        return read_seeds(a, value, why);
    else if (strcmp(name, "--nodes") == 0)
        a->nodes = value;
    else if (strcmp(name, "--report") == 0)
        a->report = value;
    else if (strcmp(name, "--vary") == 0)
        a->vary = value;
    else if (strcmp(name, "--with") == 0)
        a->with = value;
    else if (strcmp(name, "--from") == 0)
        a->between[0] = value;
    else if (strcmp(name, "--to") == 0)
        a->between[1] = value;
    else if (strcmp(name, "--jobs") == 0) {
        if (!sim_number_read(value, &number) || number < 1 || number > 1024)
            return wrong(why, name, value, "must be a number from 1 to 1024");
        a->jobs = (uint32_t)number;
    } else
        return wrong(why, name, "", "no such option; `simnet --help` shows all");
    return 0;
}

int sim_asked_read(struct sim_asked *a, int argc, char **argv, char why[SIM_WHY_MAX])
{
    memset(a, 0, sizeof *a);
    a->first_seed = a->last_seed = 1;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    a->jobs = cores > 0 && cores < 1024 ? (uint32_t)cores : 1;
    for (int i = 0; i < argc; i++) {
        char name[32];
        const char *value;
        size_t n = strcspn(argv[i], "=");
        if (argv[i][0] != '-') {
            if (a->scenario)
                return wrong(why, argv[i], "", "one scenario at a time");
            a->scenario = argv[i];
        } else if (strcmp(argv[i], "--json") == 0)
            a->json = true;
        else if (strcmp(argv[i], "--quiet") == 0)
            a->quiet = true;
        else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            a->help = true;
        else if (n >= sizeof name)
            return wrong(why, argv[i], "", "no such option; `simnet --help` shows all");
        else {
            memcpy(name, argv[i], n);
            name[n] = 0;
            value = argv[i][n] ? argv[i] + n + 1 : i + 1 < argc ? argv[++i] : NULL;
            if (!value)
                return wrong(why, name, "",
                             "needs a value, or there is no such option; `simnet --help` shows all");
            if (option(a, name, value, why) != 0)
                return ERR_RANGE;
        }
    }
    return 0;
}

static int set_text(struct sim_config *c, const char *text, bool after_draw, char why[SIM_WHY_MAX])
{
    char name[160], value[SIM_TEXT_MAX * 4];
    size_t n = strcspn(text, "=");
    if (!text[n] || n >= sizeof name || strlen(text + n) >= sizeof value)
        return wrong(why, "--set", text, "must be section.key=value");
    snprintf(name, sizeof name, "%.*s", (int)n, text);
    const char *start = text + n + 1 + strspn(text + n + 1, " ");
    snprintf(value, sizeof value, "%s", start);
    while (n && name[n - 1] == ' ')
        name[--n] = 0;
    if (after_draw && strncmp(name, "scenario.", 9) == 0)
        return 0;
    return sim_config_set(c, name, value, why);
}

int sim_asked_config(const struct sim_asked *a, uint64_t seed, struct sim_config *c, char why[SIM_WHY_MAX])
{
    char about[sizeof c->scenario.about];
    if (!a->scenario)
        return wrong(why, "a scenario is missing", "", "`simnet list` shows all");
    int e = sim_scenario_load(c, a->scenario, why);
    for (uint32_t i = 0; e == 0 && i < a->sets; i++)
        e = set_text(c, a->set[i], false, why);
    if (e == 0 && a->nodes && sim_config_set(c, "scenario.nodes", a->nodes, why) != 0)
        e = ERR_RANGE;
    if (e != 0)
        return e;
    if (a->seed_given || a->seeds_given)
        c->scenario.seed = seed;
    if (c->fault.drawn) {
        memcpy(about, c->scenario.about, sizeof about);
        sim_config_draw(c);
        memcpy(c->scenario.about, about, sizeof about);
        for (uint32_t i = 0; i < a->sets; i++)
            if ((e = set_text(c, a->set[i], true, why)) != 0)
                return e;
    }
    return sim_config_check(c, why);
}

static uint64_t memory_free(void)
{
    char line[128];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib * 1024;
}

int sim_memory_check(const struct sim_config *c, uint32_t copies, char why[SIM_WHY_MAX])
{
    uint64_t need = sim_config_memory(c) * copies, have = memory_free();
    char a[40], b[40];
    if (!have || need <= have)
        return 0;
    sim_unit_print(SIM_UNIT_BYTES, (double)need, a, sizeof a);
    sim_unit_print(SIM_UNIT_BYTES, (double)have, b, sizeof b);
    snprintf(why, SIM_WHY_MAX, "%s: %u nodes%s need about %s of memory, %s are free; take fewer by --nodes%s",
             c->scenario.name, c->scenario.nodes, copies > 1 ? " in several runs at a time" : "", a, b,
             copies > 1 ? " or --jobs 1" : "");
    return ERR_RANGE;
}

static void quoted(FILE *f, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,_-+/=:%";
    if (*text && !text[strspn(text, plain)]) {
        fputs(text, f);
        return;
    }
    fputc('\'', f);
    for (; *text; text++)
        if (*text == '\'')
            fputs("'\\''", f);
        else
            fputc(*text, f);
    fputc('\'', f);
}

void sim_command_print(const struct sim_asked *a, uint64_t seed, char *out, size_t cap)
{
    out[0] = 0;
    FILE *f = fmemopen(out, cap, "w");
    if (!f)
        return;
    fputs("simnet run ", f);
    quoted(f, a->scenario);
    if (a->nodes) {
        fputs(" --nodes ", f);
        quoted(f, a->nodes);
    }
    fprintf(f, " --seed %llu", (unsigned long long)seed);
    for (uint32_t i = 0; i < a->sets; i++) {
        fputs(" --set ", f);
        quoted(f, a->set[i]);
    }
    fclose(f);
}
