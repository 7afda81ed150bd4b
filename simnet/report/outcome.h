/* What is told of a finished run: a flat struct without pointers, so that a forked run hands it to its parent through a pipe. */
#ifndef SIMNET_REPORT_OUTCOME_H
#define SIMNET_REPORT_OUTCOME_H
#include "simnet/report/metrics.h"
#include "simnet/scenario/keys.h"

#include <stdio.h>

#define SIM_OUTCOME_METRICS 96

struct sim_figure {
    char name[64];
    enum sim_metric_kind kind;
    enum sim_unit unit;
    uint64_t value;                /* sample: median; ratio: ppm; counter: sum; series: the last point */
    uint64_t count, mean, p90, p95, p99, least, most; /* samples; count: of samples, tries or points */
};

struct sim_outcome {
    uint64_t seed, nodes, hash, events, datagrams, bytes, memory_peak;
    core_time simulated;
    double wall_seconds;
    bool failed;
    char failure[512];
    uint32_t figures;
    struct sim_figure figure[SIM_OUTCOME_METRICS];
};

/* Fills the figures of *o from the metrics; metrics without a value are left out. */
void sim_outcome_figures(struct sim_outcome *o, struct sim_metrics *m);
/* The value of `key` ("lookup.time", "lookup.time.p99", "nodes"), false: not measured. Suffixes: mean p90 p95 p99 least most count. */
bool sim_outcome_value(const struct sim_outcome *o, const char *key, enum sim_unit *unit, uint64_t *value);
/* A value as people read it. */
void sim_unit_print(enum sim_unit unit, double value, char *out, size_t cap);
/* Mean and half of the 95 % interval (Student's t) over runs; *half 0 for one run. false: a run did not measure it. */
bool sim_outcomes_interval(const struct sim_outcome *all, size_t count, const char *key, enum sim_unit *unit, double *mean, double *half);

/* ok: all expectations hold for the mean over runs and no checker failed. */
bool sim_outcomes_ok(const struct sim_config *c, const struct sim_outcome *all, size_t count);
/* The table: ours with its interval, published, expected, verdict. */
void sim_table_print(FILE *f, const struct sim_config *c, const struct sim_outcome *all, size_t count);
/* One JSON object with a newline; one run, or (sweeps) one of several. 0, or ERR_NO_MEMORY. */
int sim_json_print(FILE *f, const struct sim_config *c, const struct sim_outcome *o, const char *command);

struct sim_map { /* places of some nodes for the map */
    uint32_t count;
    int32_t x[2000], y[2000];
    bool hostile[2000];
};
/* Refuses a folder that is there and not empty; makes it otherwise. 0, or ERR_RANGE with *why. */
int sim_report_open(const char *dir, char why[SIM_WHY_MAX]);
/* manifest.json, metrics.csv, index.html into dir. 0, or ERR_RANGE with *why. */
int sim_report_write(const char *dir, const struct sim_config *c, const struct sim_outcome *o, struct sim_metrics *m,
                     const struct sim_map *map, const char *command, char why[SIM_WHY_MAX]);
int sim_page_write(FILE *f, const struct sim_config *c, const struct sim_outcome *o, struct sim_metrics *m, const struct sim_map *map,
                   const char *command);
#endif
