/* What a run measures. A metric has a name ("lookup.time"), a unit, and a kind; it is declared once and then
 * used by number. Samples keep every value, so quantiles are exact. Values are 64-bit integers in the stated
 * unit: what is printed does not depend on the order of floating point. */
#ifndef SIMNET_REPORT_METRICS_H
#define SIMNET_REPORT_METRICS_H
#include "node/base/time.h"
#include <stdbool.h>
#include <stddef.h>

enum sim_metric_kind {
    SIM_COUNTER, /* a sum */
    SIM_SAMPLE,  /* values of which quantiles are asked */
    SIM_SERIES,  /* a value over time (nodes up, memory), one point a call */
    SIM_RATIO    /* successes of tries: add(ok) with 1 or 0 */
};
enum sim_unit {
    SIM_UNIT_COUNT,
    SIM_UNIT_US,
    SIM_UNIT_BYTES,
    SIM_UNIT_BYTES_PER_SECOND,
    SIM_UNIT_PPM,
    SIM_UNIT_X100
};

struct sim_metrics;
struct sim_metrics *sim_metrics_new(void); /* NULL: no memory */
void sim_metrics_free(struct sim_metrics *m);
/* Declares (or finds, when kind and unit are the same) a metric. The name is copied. */
uint32_t sim_metric_declare(struct sim_metrics *m, const char *name, enum sim_metric_kind kind,
                            enum sim_unit unit);
/* Counts, samples and ratios are dropped while the metrics are off (during warm-up); series are always kept.
 */
void sim_metrics_on(struct sim_metrics *m, bool on);
bool sim_metrics_are_on(const struct sim_metrics *m);
void sim_metric_add(struct sim_metrics *m, uint32_t id, uint64_t value);
void sim_metric_point(struct sim_metrics *m, uint32_t id, core_time at, uint64_t value); /* SIM_SERIES */

uint32_t sim_metrics_count(const struct sim_metrics *m);
struct sim_metric_view {
    const char *name;
    enum sim_metric_kind kind;
    enum sim_unit unit;
    uint64_t sum, tries; /* counter: sum; ratio: sum of tries; sample: sum and number */
    uint64_t least, most;
    size_t points; /* values kept */
};
void sim_metric_view(const struct sim_metrics *m, uint32_t id, struct sim_metric_view *out);
uint32_t sim_metric_find(const struct sim_metrics *m, const char *name); /* UINT32_MAX: not there */
/* The smallest value such that `ppm` of all are at most it (nearest rank); 0 when there is none. Sorts once
 * after the last add. */
uint64_t sim_metric_quantile(struct sim_metrics *m, uint32_t id, uint32_t ppm);
void sim_metric_series_point(const struct sim_metrics *m, uint32_t id, size_t i, core_time *at,
                             uint64_t *value);
#endif
