#include "simnet/report/outcome.h"

#include <string.h>

/* A bar in the unit of the metric: shares and plain numbers are told apart by the metric's own unit. false:
 * units do not fit. */
static bool bar_fits(enum sim_key_kind kind, enum sim_unit unit)
{
    switch (unit) {
    case SIM_UNIT_US:
        return kind == SIM_KEY_TIME;
    case SIM_UNIT_BYTES:
        return kind == SIM_KEY_SIZE;
    case SIM_UNIT_BYTES_PER_SECOND:
        return kind == SIM_KEY_RATE;
    case SIM_UNIT_PPM:
        return kind == SIM_KEY_SHARE;
    default:
        return kind == SIM_KEY_COUNT;
    }
}

static const char *verdict(const struct sim_line *line, const struct sim_outcome *all, size_t count)
{
    char sign[3], why[SIM_WHY_MAX];
    enum sim_key_kind kind;
    enum sim_unit unit;
    uint64_t bar;
    double mean, half;
    if (!sim_outcomes_interval(all, count, line->key, &unit, &mean, &half))
        return "not measured";
    if (sim_expect_read(line->value, sign, &kind, &bar, why) != 0 || !bar_fits(kind, unit))
        return "unit does not fit";
    double b = (double)bar * (unit == SIM_UNIT_X100 ? 100 : 1);
    bool ok = (sign[0] == '<' && mean < b) || (sign[0] == '>' && mean > b) ||
              ((sign[1] == '=' || sign[0] == '=') && mean >= b && mean <= b);
    return ok ? "ok" : "MISSED";
}

bool sim_outcomes_ok(const struct sim_config *c, const struct sim_outcome *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (all[i].failed)
            return false;
    for (uint32_t i = 0; i < c->expect_count; i++)
        if (strcmp(verdict(&c->expect[i], all, count), "ok") != 0)
            return false;
    return true;
}

static const struct sim_line *line_of(const struct sim_line *lines, uint32_t count, const char *key)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(lines[i].key, key) == 0)
            return &lines[i];
    return NULL;
}

static void row(FILE *f, const struct sim_config *c, const struct sim_outcome *all, size_t count,
                const char *key)
{
    const struct sim_line *expect = line_of(c->expect, c->expect_count, key);
    const struct sim_line *published = line_of(c->published, c->published_count, key);
    char ours[64] = "-", half_text[48], text[128];
    enum sim_unit unit;
    double mean, half;
    if (sim_outcomes_interval(all, count, key, &unit, &mean, &half)) {
        sim_unit_print(unit, mean, ours, sizeof ours);
        sim_unit_print(unit, half, half_text, sizeof half_text);
        snprintf(text, sizeof text, count > 1 ? "%s +- %s" : "%s", ours, half_text);
    } else if (!expect && !published)
        return; /* some of the runs had nothing of it */
    else
        snprintf(text, sizeof text, "-");
    fprintf(f, "  %-22s %-24s %-11s %-13s %s\n", key, text, expect ? expect->value : "",
            expect ? verdict(expect, all, count) : "", published ? published->value : "");
}

void sim_table_print(FILE *f, const struct sim_config *c, const struct sim_outcome *all, size_t count)
{
    fprintf(f, "  %-22s %-24s %-11s %-13s %s\n", "metric", count > 1 ? "ours (95 % interval)" : "ours",
            "expected", "verdict", "published");
    for (uint32_t i = 0; count && i < all[0].figures; i++) {
        const struct sim_figure *x = &all[0].figure[i];
        char p99[80];
        row(f, c, all, count, x->name);
        snprintf(p99, sizeof p99, "%s.p99", x->name);
        if (x->kind == SIM_SAMPLE && x->unit == SIM_UNIT_US)
            row(f, c, all, count, p99);
    }
    for (uint32_t i = 0; i < c->expect_count + c->published_count; i++) {
        const struct sim_line *l = i < c->expect_count ? &c->expect[i] : &c->published[i - c->expect_count];
        bool shown = i >= c->expect_count && line_of(c->expect, c->expect_count, l->key);
        for (uint32_t j = 0; count && j < all[0].figures; j++)
            shown = shown || strcmp(all[0].figure[j].name, l->key) == 0;
        if (!shown)
            row(f, c, all, count, l->key);
    }
}
