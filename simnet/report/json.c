#include "simnet/report/outcome.h"

#include "node/base/err.h"

#include <jansson.h>

#ifndef SHOAL_COMMIT
#define SHOAL_COMMIT "unknown"
#endif

static const char *const unit_names[] = {"count", "us", "bytes", "bytes_per_second", "ppm", "hundredths"};
static const char *const kind_names[] = {"counter", "sample", "series", "ratio"};

static json_t *figure_json(const struct sim_figure *f)
{
    json_t *j = json_pack("{s:s, s:s, s:I, s:I}", "kind", kind_names[f->kind], "unit", unit_names[f->unit],
                          "value", (json_int_t)f->value, "count", (json_int_t)f->count);
    if (j && f->kind == SIM_SAMPLE) {
        json_object_set_new(j, "mean", json_integer((json_int_t)f->mean));
        json_object_set_new(j, "p90", json_integer((json_int_t)f->p90));
        json_object_set_new(j, "p95", json_integer((json_int_t)f->p95));
        json_object_set_new(j, "p99", json_integer((json_int_t)f->p99));
        json_object_set_new(j, "least", json_integer((json_int_t)f->least));
        json_object_set_new(j, "most", json_integer((json_int_t)f->most));
    }
    return j;
}

static json_t *config_json(const struct sim_config *c)
{
    json_t *j = json_object();
    size_t count;
    const struct sim_key *keys = sim_keys(&count);
    char value[SIM_TEXT_MAX * 4];
    for (size_t i = 0; j && i < count; i++) {
        sim_key_print(c, &keys[i], value, sizeof value);
        json_object_set_new(j, keys[i].name, json_string(value));
    }
    return j;
}

int sim_json_print(FILE *f, const struct sim_config *c, const struct sim_outcome *o, const char *command)
{
    char hash[20], seed[24];
    json_t *metrics = json_object();
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)o->hash);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)o->seed);
    for (uint32_t i = 0; i < o->figures; i++)
        json_object_set_new(metrics, o->figure[i].name, figure_json(&o->figure[i]));
    /* A seed above 2^63 does not fit JSON's integers here; then it is a text. */
    json_t *j = json_pack(
        "{s:s, s:o, s:I, s:s, s:I, s:I, s:I, s:I, s:f, s:I, s:b, s:b, s:s, s:s, s:s, s:s, s:s, s:o, s:o}",
        "scenario", c->scenario.name, "seed",
        o->seed <= INT64_MAX ? json_integer((json_int_t)o->seed) : json_string(seed), "nodes",
        (json_int_t)o->nodes, "trace_hash", hash, "events", (json_int_t)o->events, "datagrams",
        (json_int_t)o->datagrams, "bytes", (json_int_t)o->bytes, "simulated_us", (json_int_t)o->simulated,
        "wall_seconds", o->wall_seconds, "memory_peak", (json_int_t)o->memory_peak, "ok",
        sim_outcomes_ok(c, o, 1), "failed", o->failed, "failure", o->failure, "version", SHOAL_VERSION, "commit", SHOAL_COMMIT,
        "compiler", __VERSION__, "reproduce", command, "config", config_json(c), "metrics", metrics);
    if (!j)
        return ERR_NO_MEMORY;
    int e = json_dumpf(j, f, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(j);
    fputc('\n', f);
    return e == 0 ? 0 : ERR_NO_MEMORY;
}
