#include "simnet/report/metrics.h"

#include "node/base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct point {
    core_time at;
    uint64_t value;
};

struct metric {
    char name[64];
    enum sim_metric_kind kind;
    enum sim_unit unit;
    uint64_t sum, tries, least, most;
    uint64_t *values;
    struct point *series;
    size_t count, cap;
    bool sorted;
};

struct sim_metrics {
    struct metric *all;
    uint32_t count, cap;
    bool on;
};

static void *must(void *memory)
{
    if (!memory) {
        fprintf(stderr, "simnet: out of memory for metrics; measure for a shorter time\n");
        abort();
    }
    return memory;
}

struct sim_metrics *sim_metrics_new(void)
{
    struct sim_metrics *m = calloc(1, sizeof *m);
    if (m)
        m->on = true;
    return m;
}

void sim_metrics_free(struct sim_metrics *m)
{
    for (uint32_t i = 0; m && i < m->count; i++) {
        free(m->all[i].values);
        free(m->all[i].series);
    }
    if (m)
        free(m->all);
    free(m);
}

uint32_t sim_metric_find(const struct sim_metrics *m, const char *name)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (strcmp(m->all[i].name, name) == 0)
            return i;
    return UINT32_MAX;
}

uint32_t sim_metric_declare(struct sim_metrics *m, const char *name, enum sim_metric_kind kind,
                            enum sim_unit unit)
{
    uint32_t id = sim_metric_find(m, name);
    if (id != UINT32_MAX) {
        core_assert(m->all[id].kind == kind && m->all[id].unit == unit);
        return id;
    }
    if (m->count == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 32;
        m->all = must(realloc(m->all, m->cap * sizeof *m->all));
    }
    struct metric *x = &m->all[m->count];
    memset(x, 0, sizeof *x);
    core_assert(strlen(name) < sizeof x->name);
    memcpy(x->name, name, strlen(name) + 1);
    x->kind = kind;
    x->unit = unit;
    x->least = UINT64_MAX;
    return m->count++;
}

void sim_metrics_on(struct sim_metrics *m, bool on)
{
    m->on = on;
}

bool sim_metrics_are_on(const struct sim_metrics *m)
{
    return m->on;
}

static void room(struct metric *x)
{
    if (x->count < x->cap)
        return;
    x->cap = x->cap ? 2 * x->cap : 64;
    if (x->kind == SIM_SERIES)
        x->series = must(realloc(x->series, x->cap * sizeof *x->series));
    else
        x->values = must(realloc(x->values, x->cap * sizeof *x->values));
}

void sim_metric_add(struct sim_metrics *m, uint32_t id, uint64_t value)
{
    core_assert(id < m->count && m->all[id].kind != SIM_SERIES);
    struct metric *x = &m->all[id];
    if (!m->on)
        return;
    x->sum += x->kind == SIM_RATIO ? value != 0 : value;
    x->tries++;
    x->least = value < x->least ? value : x->least;
    x->most = value > x->most ? value : x->most;
    if (x->kind != SIM_SAMPLE)
        return;
    room(x);
    x->values[x->count++] = value;
    x->sorted = false;
}

void sim_metric_point(struct sim_metrics *m, uint32_t id, core_time at, uint64_t value)
{
    core_assert(id < m->count && m->all[id].kind == SIM_SERIES);
    struct metric *x = &m->all[id];
    room(x);
    x->series[x->count++] = (struct point){at, value};
    x->sum += value;
    x->tries++;
    x->least = value < x->least ? value : x->least;
    x->most = value > x->most ? value : x->most;
}

uint32_t sim_metrics_count(const struct sim_metrics *m)
{
    return m->count;
}

void sim_metric_view(const struct sim_metrics *m, uint32_t id, struct sim_metric_view *out)
{
    core_assert(id < m->count);
    const struct metric *x = &m->all[id];
    *out = (struct sim_metric_view){.name = x->name,
                                    .kind = x->kind,
                                    .unit = x->unit,
                                    .sum = x->sum,
                                    .tries = x->tries,
                                    .least = x->tries ? x->least : 0,
                                    .most = x->most,
                                    .points = x->count};
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

uint64_t sim_metric_quantile(struct sim_metrics *m, uint32_t id, uint32_t ppm)
{
    core_assert(id < m->count && m->all[id].kind == SIM_SAMPLE && ppm <= 1000000);
    struct metric *x = &m->all[id];
    if (!x->count)
        return 0;
    if (!x->sorted)
        qsort(x->values, x->count, sizeof *x->values, by_value);
    x->sorted = true;
    size_t rank = (size_t)(((uint64_t)x->count * ppm + 999999) / 1000000);
    return x->values[rank ? rank - 1 : 0];
}

void sim_metric_series_point(const struct sim_metrics *m, uint32_t id, size_t i, core_time *at,
                             uint64_t *value)
{
    core_assert(id < m->count && m->all[id].kind == SIM_SERIES && i < m->all[id].count);
    *at = m->all[id].series[i].at;
    *value = m->all[id].series[i].value;
}
