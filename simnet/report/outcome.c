#include "simnet/report/outcome.h"

#include "simnet/engine/random.h"

#include <string.h>

void sim_outcome_figures(struct sim_outcome *o, struct sim_metrics *m)
{
    o->figures = 0;
    for (uint32_t i = 0; i < sim_metrics_count(m) && o->figures < SIM_OUTCOME_METRICS; i++) {
        struct sim_metric_view v;
        core_time at;
        sim_metric_view(m, i, &v);
        if (!v.tries)
            continue;
        struct sim_figure *f = &o->figure[o->figures++];
        memset(f, 0, sizeof *f);
        snprintf(f->name, sizeof f->name, "%s", v.name);
        f->kind = v.kind;
        f->unit = v.kind == SIM_RATIO ? SIM_UNIT_PPM : v.unit;
        f->count = v.tries;
        f->mean = v.sum / v.tries;
        f->least = v.least;
        f->most = v.most;
        f->value = v.sum;
        if (v.kind == SIM_RATIO)
            f->value = v.sum * SIM_PPM / v.tries;
        else if (v.kind == SIM_SERIES)
            sim_metric_series_point(m, i, v.points - 1, &at, &f->value);
        else if (v.kind == SIM_SAMPLE) {
            f->value = sim_metric_quantile(m, i, 500000);
            f->p90 = sim_metric_quantile(m, i, 900000);
            f->p95 = sim_metric_quantile(m, i, 950000);
            f->p99 = sim_metric_quantile(m, i, 990000);
        }
    }
}

static bool figure_value(const struct sim_figure *f, const char *suffix, enum sim_unit *unit, uint64_t *value)
{
    *unit = f->unit;
    *value = f->value;
    if (!*suffix)
        return true;
    if (strcmp(suffix, ".count") == 0) {
        *unit = SIM_UNIT_COUNT;
        *value = f->count;
        return true;
    }
    if (f->kind != SIM_SAMPLE && f->kind != SIM_SERIES)
        return false;
    if (strcmp(suffix, ".mean") == 0)
        *value = f->mean;
    else if (strcmp(suffix, ".least") == 0)
        *value = f->least;
    else if (strcmp(suffix, ".most") == 0)
        *value = f->most;
    else if (f->kind == SIM_SAMPLE && strcmp(suffix, ".p90") == 0)
        *value = f->p90;
    else if (f->kind == SIM_SAMPLE && strcmp(suffix, ".p95") == 0)
        *value = f->p95;
    else if (f->kind == SIM_SAMPLE && strcmp(suffix, ".p99") == 0)
        *value = f->p99;
    else
        return false;
    return true;
}

bool sim_outcome_value(const struct sim_outcome *o, const char *key, enum sim_unit *unit, uint64_t *value)
{
    for (uint32_t i = 0; i < o->figures; i++) {
        size_t n = strlen(o->figure[i].name);
        if (strncmp(key, o->figure[i].name, n) == 0 && (!key[n] || key[n] == '.') &&
            figure_value(&o->figure[i], key + n, unit, value))
            return true;
    }
    *unit = SIM_UNIT_COUNT;
    *value = o->nodes;
    return strcmp(key, "nodes") == 0;
}

void sim_unit_print(enum sim_unit unit, double v, char *out, size_t cap)
{
    const char *rate = unit == SIM_UNIT_BYTES_PER_SECOND ? "/s" : "";
    switch (unit) {
    case SIM_UNIT_US:
        if (v < 1e4)
            snprintf(out, cap, "%.2f ms", v / 1e3);
        else if (v < 1e7)
            snprintf(out, cap, "%.0f ms", v / 1e3);
        else
            snprintf(out, cap, v < 6e8 ? "%.1f s" : "%.0f s", v / 1e6);
        break;
    case SIM_UNIT_PPM:
        snprintf(out, cap, "%.2f %%", v / 1e4);
        break;
    case SIM_UNIT_X100:
        snprintf(out, cap, "%.2f", v / 100);
        break;
    case SIM_UNIT_BYTES:
    case SIM_UNIT_BYTES_PER_SECOND:
        if (v < 1e4)
            snprintf(out, cap, "%.0f B%s", v, rate);
        else if (v < 1e7)
            snprintf(out, cap, "%.1f kB%s", v / 1e3, rate);
        else if (v < 1e10)
            snprintf(out, cap, "%.1f MB%s", v / 1e6, rate);
        else
            snprintf(out, cap, "%.1f GB%s", v / 1e9, rate);
        break;
    default:
        snprintf(out, cap, "%.0f", v);
    }
}

bool sim_outcomes_interval(const struct sim_outcome *all, size_t count, const char *key, enum sim_unit *unit,
                           double *mean, double *half)
{
    /* Student's t, 97.5 %, by degrees of freedom. */
    static const double t[] = {0,     12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                               2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086};
    double sum = 0, square = 0;
    uint64_t value;
    for (size_t i = 0; i < count; i++) {
        if (!sim_outcome_value(&all[i], key, unit, &value))
            return false;
        sum += (double)value;
    }
    *mean = count ? sum / (double)count : 0;
    *half = 0;
    if (count < 2)
        return count == 1;
    for (size_t i = 0; i < count; i++) {
        sim_outcome_value(&all[i], key, unit, &value);
        square += ((double)value - *mean) * ((double)value - *mean);
    }
    if (square > 0)
        *half = (count <= 21 ? t[count - 1] : 1.98) * sim_sqrt(square / (double)(count - 1) / (double)count);
    return true;
}
