/* Settings that hold at once and stay: kept in the home's shoal.ini, where a person would write them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "gateways/http/api_internal_host.h"
#include "node/host/config_save.h"

enum unit { UNIT_RATE, UNIT_SIZE, UNIT_SECONDS, UNIT_COUNT };

static const struct setting {
    const char *name, *section, *key;
    enum unit unit;
    uint64_t min, max;
} settings[] = {
    {"upload_rate", "transfer", "upload", UNIT_RATE, 0, INT64_MAX},
    {"download_rate", "transfer", "download", UNIT_RATE, 0, INT64_MAX},
    {"quota", "store", "quota", UNIT_SIZE, 0, INT64_MAX},
    {"timeout_s", "http", "timeout", UNIT_SECONDS, 1, 3600},
    {"connections", "gateways", "connections", UNIT_COUNT, 16, 30000},
    {"connections_per_address", "gateways", "connections-per-address", UNIT_COUNT, 2, 30000},
};
#define COUNT (sizeof settings / sizeof *settings)

static void read_all(struct gateways *g, uint64_t out[COUNT])
{
    struct limits_config limits;
    limits_config_of(sessions_limits(g->sessions), &limits);
    out[0] = g->app->config.upload_rate;
    out[1] = g->app->config.download_rate;
    out[2] = g->app->config.quota;
    out[3] = g->content_timeout_ms / 1000;
    out[4] = limits.open_max;
    out[5] = limits.open_per_address_max;
}

static void apply(struct gateways *g, const uint64_t value[COUNT])
{
    struct limits_config limits;
    limits_config_of(sessions_limits(g->sessions), &limits);
    g->app->config.upload_rate = value[0];
    g->app->config.download_rate = value[1];
    g->app->config.quota = value[2];
    g->content_timeout_ms = (uint32_t)value[3] * 1000;
    limits.open_max = (uint32_t)value[4];
    limits.open_per_address_max = (uint32_t)value[5];
    limits_change(sessions_limits(g->sessions), &limits);
    xfer_set_rates(g->app->core.xfer, host_now(&g->app->core), value[0], value[1]);
    (void)store_quota_set(g->app->store, value[2]);
}

/* As shoal.ini takes it: with a unit, in thousands where that is exact. */
static void write_value(char out[64], const struct setting *s, uint64_t value)
{
    const char *unit = s->unit == UNIT_RATE ? "B/s" : "B";
    if (s->unit == UNIT_COUNT || (value == 0 && s->unit != UNIT_SECONDS))
        snprintf(out, 64, "%" PRIu64, value);
    else if (s->unit == UNIT_SECONDS)
        snprintf(out, 64, "%" PRIu64 "s", value);
    else if (value % 1000000 == 0)
        snprintf(out, 64, "%" PRIu64 "M%s", value / 1000000, unit);
    else
        snprintf(out, 64, value % 1000 ? "%" PRIu64 "%s" : "%" PRIu64 "k%s",
                 value % 1000 ? value : value / 1000, unit);
}

void api_settings_get(struct api_request *r)
{
    uint64_t value[COUNT];
    json_t *o = json_object();
    read_all(r->g, value);
    for (size_t i = 0; i < COUNT; i++)
        json_object_set_new(o, settings[i].name, json_integer((json_int_t)value[i]));
    api_reply(r->x, 200, o);
}

static bool take(struct api_request *r, uint64_t value[COUNT], bool changed[COUNT])
{
    const char *name;
    json_t *given;
    json_object_foreach(r->body, name, given)
    {
        size_t i = 0;
        while (i < COUNT && strcmp(settings[i].name, name) != 0)
            i++;
        if (i == COUNT) {
            api_error(r->x, ERR_MALFORMED,
                      "there is no setting \"%.60s\" that can be changed here; GET /api/settings lists them",
                      name);
            return false;
        }
        json_int_t n = json_integer_value(given);
        if (!json_is_integer(given) || n < 0 || (uint64_t)n < settings[i].min ||
            (uint64_t)n > settings[i].max) {
            api_error(r->x, ERR_RANGE, "\"%s\" is a whole number from %" PRIu64 " to %" PRIu64, name,
                      settings[i].min, settings[i].max);
            return false;
        }
        changed[i] = value[i] != (uint64_t)n;
        value[i] = (uint64_t)n;
    }
    return true;
}

void api_settings_post(struct api_request *r)
{
    uint64_t value[COUNT];
    bool changed[COUNT] = {false};
    char text[64];
    read_all(r->g, value);
    if (!take(r, value, changed))
        return;
    for (size_t i = 0; i < COUNT; i++) {
        if (!changed[i])
            continue;
        write_value(text, &settings[i], value[i]);
        int status = config_save(r->g->app->home.path, settings[i].section, settings[i].key, text);
        if (status != 0) {
            api_error(r->x, status, "%.200s/shoal.ini cannot be written: %s", r->g->app->home.path,
                      err_text(status));
            return;
        }
    }
    apply(r->g, value);
    api_settings_get(r);
}
