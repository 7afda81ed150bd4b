/* The folder of --report. */
#include "simnet/report/outcome.h"

#include "node/base/err.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

int sim_report_open(const char *dir, char why[SIM_WHY_MAX])
{
    if (mkdir(dir, 0777) == 0)
        return 0;
    if (errno != EEXIST) {
        snprintf(why, SIM_WHY_MAX, "--report %.300s: cannot make this folder: %s", dir, strerror(errno));
        return ERR_RANGE;
    }
    DIR *d = opendir(dir);
    if (!d) {
        snprintf(why, SIM_WHY_MAX, "--report %.300s: is there and cannot be read as a folder: %s", dir,
                 strerror(errno));
        return ERR_RANGE;
    }
    int entries = 0;
    while (readdir(d))
        entries++;
    closedir(d);
    if (entries <= 2)
        return 0;
    snprintf(why, SIM_WHY_MAX,
             "--report %.300s: the folder is not empty; name a new one, nothing was written", dir);
    return ERR_RANGE;
}

static void csv(FILE *f, struct sim_metrics *m, const struct sim_outcome *o)
{
    fprintf(f, "time_us,metric,label,value\n");
    for (uint32_t i = 0; i < sim_metrics_count(m); i++) {
        struct sim_metric_view v;
        sim_metric_view(m, i, &v);
        for (size_t p = 0; v.kind == SIM_SERIES && p < v.points; p++) {
            core_time at;
            uint64_t value;
            sim_metric_series_point(m, i, p, &at, &value);
            fprintf(f, "%llu,%s,point,%llu\n", (unsigned long long)at, v.name, (unsigned long long)value);
        }
        for (uint32_t q = 0; v.kind == SIM_SAMPLE && v.points && q <= 100; q++)
            fprintf(f, "%llu,%s,p%u,%llu\n", (unsigned long long)o->simulated, v.name, q,
                    (unsigned long long)sim_metric_quantile(m, i, q * 10000));
        if (v.kind == SIM_COUNTER || v.kind == SIM_RATIO) {
            fprintf(f, "%llu,%s,sum,%llu\n", (unsigned long long)o->simulated, v.name,
                    (unsigned long long)v.sum);
            fprintf(f, "%llu,%s,tries,%llu\n", (unsigned long long)o->simulated, v.name,
                    (unsigned long long)v.tries);
        }
    }
}

static FILE *make(const char *dir, const char *name)
{
    char path[4200];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path)
        return NULL;
    return fopen(path, "wx");
}

static bool done(FILE *f, bool good)
{
    bool wrote = f && good && !ferror(f);
    return (!f || fclose(f) == 0) && wrote;
}

int sim_report_write(const char *dir, const struct sim_config *c, const struct sim_outcome *o,
                     struct sim_metrics *m, const struct sim_map *map, const char *command,
                     char why[SIM_WHY_MAX])
{
    FILE *f = make(dir, "manifest.json");
    bool good = done(f, f && sim_json_print(f, c, o, command) == 0);
    if (good && (f = make(dir, "metrics.csv"), f))
        csv(f, m, o);
    good = good && done(f, true);
    if (good) {
        f = make(dir, "index.html");
        good = done(f, f && sim_page_write(f, c, o, m, map, command) == 0);
    }
    if (good)
        return 0;
    snprintf(why, SIM_WHY_MAX, "--report %.300s: cannot write all files: %s", dir, strerror(errno));
    return ERR_RANGE;
}
