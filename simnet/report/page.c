/* The page of a run: one HTML file, pictures as SVG inside, light and dark by the reader's setting. */
#include "simnet/report/outcome.h"

#include <stdlib.h>
#include <string.h>

#define WIDE 640.0
#define HIGH 260.0
#define LEFT 64.0
#define BASE 220.0
#define TOP  14.0

static const char style[] =
    ":root{color-scheme:light dark;--bg:#fbfbf9;--card:#fff;--ink:#1d2a33;--soft:#5d6c76;--line:#dfe4e6;"
    "--a:#0b7285;--b:#c2410c;--fill:#0b728522}"
    "@media(prefers-color-scheme:dark){:root{--bg:#11181d;--card:#18222a;--ink:#e4ebef;--soft:#93a4ae;--line:"
    "#2b3942;"
    "--a:#4cc3d6;--b:#ff9d5c;--fill:#4cc3d622}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 "
    "system-ui,sans-serif}"
    "main{max-width:1400px;margin:auto;padding:28px 20px "
    "60px}h1{margin:0;font-size:2rem}h2{font-size:1rem;margin:0 0 8px}"
    ".soft,figcaption{color:var(--soft)}.facts{display:flex;flex-wrap:wrap;gap:10px 28px;margin:18px 0 24px}"
    ".facts b{display:block;font-size:1.25rem;font-variant-numeric:tabular-nums}.grid{display:grid;gap:18px;"
    "grid-template-columns:repeat(auto-fill,minmax(min(100%,440px),1fr))}figure,section{margin:0;background:"
    "var(--card);border:1px solid "
    "var(--line);border-radius:10px;padding:16px;overflow:auto}svg{width:100%;height:auto;display:block}svg "
    "text{fill:var(--soft);"
    "font-size:12px}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{text-"
    "align:left;padding:5px 14px "
    "5px 0;border-bottom:1px solid "
    "var(--line)}th{color:var(--soft);font-weight:500}.MISSED{color:var(--b);font-weight:600}"
    "pre{white-space:pre-wrap;margin:0;font-size:13px}section{margin-bottom:18px}details{margin-top:18px}"
    "td:nth-child(-n+4){white-space:nowrap}tr:hover td{background:var(--fill)}"
    "@media(max-width:640px){main{padding:20px 12px 40px}svg text{font-size:16px}td,th{padding-right:10px}"
    "body{font-size:15px}}"
    "figcaption{font-size:.86rem;margin-top:6px}";

static void escaped(FILE *f, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '<':
            fputs("&lt;", f);
            break;
        case '>':
            fputs("&gt;", f);
            break;
        case '&':
            fputs("&amp;", f);
            break;
        case '"':
            fputs("&quot;", f);
            break;
        default:
            fputc(*text, f);
        }
}

static void axes(FILE *f, const char *low, const char *middle, const char *high, const char *bottom,
                 const char *top)
{
    fprintf(f, "<path d='M%g %gV%gH%g' fill='none' stroke='var(--line)'/>", LEFT, TOP, BASE, WIDE - 10);
    fprintf(f, "<text x='%g' y='%g'>%s</text><text x='%g' y='%g' text-anchor='middle'>%s</text>", LEFT,
            BASE + 18, low, (LEFT + WIDE - 10) / 2, BASE + 18, middle);
    fprintf(f, "<text x='%g' y='%g' text-anchor='end'>%s</text>", WIDE - 10, BASE + 18, high);
    fprintf(f,
            "<text x='%g' y='%g' text-anchor='end'>%s</text><text x='%g' y='%g' text-anchor='end'>%s</text>",
            LEFT - 6, BASE, bottom, LEFT - 6, TOP + 8, top);
}

/* The published value of a metric in its unit; false: there is none that is a number. */
static bool published(const struct sim_config *c, const char *name, double *value, const char **text)
{
    for (uint32_t i = 0; i < c->published_count; i++) {
        enum sim_key_kind kind;
        uint64_t number;
        const char *end;
        if (strcmp(c->published[i].key, name) != 0)
            continue;
        char first[64];
        snprintf(first, sizeof first, "%.*s", (int)strcspn(c->published[i].value, " "),
                 c->published[i].value);
        if (sim_any_read(first, &kind, &number, &end) != 0)
            return false;
        *value = (double)number;
        *text = c->published[i].value;
        return true;
    }
    return false;
}

/* Cumulative distribution up to the 99.5th percentile, median marked, the published point drawn in. */
static void distribution(FILE *f, const struct sim_config *c, struct sim_metrics *m, uint32_t id,
                         const char *name)
{
    double most = (double)sim_metric_quantile(m, id, 995000), theirs = 0, across = WIDE - 10 - LEFT;
    double median = (double)sim_metric_quantile(m, id, 500000);
    const char *text = "";
    char half[40], full[40], median_text[40];
    bool there = published(c, name, &theirs, &text);
    most = there && theirs * 1.15 > most ? theirs * 1.15 : most;
    if (most < 1)
        return;
    sim_unit_print(SIM_UNIT_US, most / 2, half, sizeof half);
    sim_unit_print(SIM_UNIT_US, most, full, sizeof full);
    sim_unit_print(SIM_UNIT_US, median, median_text, sizeof median_text);
    fprintf(f, "<figure><h2>%s: how many are done within</h2><svg viewBox='0 0 %g %g' role='img'>", name,
            WIDE, HIGH);
    axes(f, "0", half, full, "0 %", "100 %");
    fprintf(f, "<path fill='none' stroke='var(--a)' stroke-width='2.5' d='M%g %g", LEFT, BASE);
    for (uint32_t q = 5000; q <= 995000; q += 5000) {
        double x = (double)sim_metric_quantile(m, id, q) / most;
        fprintf(f, "L%.1f %.1f", LEFT + across * (x > 1 ? 1 : x), BASE - (BASE - TOP) * q / 1e6);
    }
    fprintf(f, "'/><circle cx='%.1f' cy='%.1f' r='5' fill='var(--a)'/>", LEFT + across * median / most,
            (BASE + TOP) / 2);
    if (there)
        fprintf(f,
                "<path d='M%.1f %gV%g' stroke='var(--b)' stroke-width='2' stroke-dasharray='5 4'/>"
                "<circle cx='%.1f' cy='%.1f' r='5' fill='var(--b)'/>",
                LEFT + across * theirs / most, TOP, BASE, LEFT + across * theirs / most, (BASE + TOP) / 2);
    fprintf(f, "</svg><figcaption>Ours: median %s", median_text);
    if (there) {
        fprintf(f, "; dashed, published: ");
        escaped(f, text);
    }
    fprintf(f, "</figcaption></figure>\n");
}

/* From the run's beginning on, wherever the first point lies. */
static void series(FILE *f, struct sim_metrics *m, uint32_t id, const struct sim_metric_view *v)
{
    core_time at, last;
    uint64_t value;
    char top[40], half[40], end[40];
    double most = v->most ? (double)v->most * 1.05 : 1, across = WIDE - 10 - LEFT;
    sim_metric_series_point(m, id, v->points - 1, &last, &value);
    if (!last)
        return;
    sim_unit_print(v->unit, most, top, sizeof top);
    snprintf(half, sizeof half, "%.1f min", (double)last / 2 / 60e6);
    snprintf(end, sizeof end, "%.1f min", (double)last / 60e6);
    fprintf(f, "<figure><h2>%s over time</h2><svg viewBox='0 0 %g %g' role='img'>", v->name, WIDE, HIGH);
    axes(f, "0", half, end, "0", top);
    sim_metric_series_point(m, id, 0, &at, &value);
    fprintf(f, "<path fill='var(--fill)' stroke='none' d='M%g %gH%.1f", LEFT, BASE,
            LEFT + across * (double)at / (double)last);
    size_t step = v->points / 600 + 1;
    for (int outline = 0; outline < 2; outline++) {
        for (size_t i = 0; i < v->points; i += step) {
            sim_metric_series_point(m, id, i, &at, &value);
            fprintf(f, "%c%.1f %.1f", outline && i == 0 ? 'M' : 'L',
                    LEFT + across * (double)at / (double)last,
                    BASE - (BASE - TOP) * (double)value / most);
        }
        if (!outline)
            fprintf(f, "V%gZ'/><path fill='none' stroke='var(--a)' stroke-width='2' d='", BASE);
    }
    fprintf(f, "'/></svg><figcaption>Of the whole run, warm-up included</figcaption></figure>\n");
}

static void places(FILE *f, const struct sim_map *map)
{
    int64_t low_x = INT32_MAX, high_x = INT32_MIN, low_y = INT32_MAX, high_y = INT32_MIN;
    bool hostile = false;
    for (uint32_t i = 0; i < map->count; i++) {
        low_x = map->x[i] < low_x ? map->x[i] : low_x;
        high_x = map->x[i] > high_x ? map->x[i] : high_x;
        low_y = map->y[i] < low_y ? map->y[i] : low_y;
        high_y = map->y[i] > high_y ? map->y[i] : high_y;
        hostile = hostile || map->hostile[i];
    }
    if (high_x <= low_x || high_y <= low_y)
        return;
    fprintf(f, "<figure><h2>The map</h2><svg viewBox='0 0 %g %g' role='img'>", WIDE, HIGH);
    for (uint32_t i = 0; i < map->count; i++)
        fprintf(f, "<circle cx='%.1f' cy='%.1f' r='%g' fill='var(--%c)' fill-opacity='.6'/>",
                12 + (WIDE - 24) * (double)(map->x[i] - low_x) / (double)(high_x - low_x),
                12 + (HIGH - 24) * (double)(map->y[i] - low_y) / (double)(high_y - low_y),
                map->count > 500 ? 1.8 : 3.5, map->hostile[i] ? 'b' : 'a');
    fprintf(f,
            "</svg><figcaption>%u nodes at their network coordinates: near is fast%s</figcaption></figure>\n",
            map->count, hostile ? "; the other colour is hostile" : "");
}

static void fact(FILE *f, const char *name, const char *value)
{
    fprintf(f, "<span><b>%s</b><span class='soft'>%s</span></span>", value, name);
}

static void facts(FILE *f, const struct sim_config *c, const struct sim_outcome *o)
{
    char text[80];
    double simulated = (double)o->simulated / 1e6;
    fprintf(f, "<div class='facts'>");
    fact(f, "verdict", o->failed ? "a checker failed" : sim_outcomes_ok(c, o, 1) ? "as expected" : "missed");
    snprintf(text, sizeof text, "%llu", (unsigned long long)o->nodes);
    fact(f, "nodes", text);
    snprintf(text, sizeof text, "%.1f min", simulated / 60);
    fact(f, "simulated", text);
    snprintf(text, sizeof text, "%.1f s", o->wall_seconds);
    fact(f, "took", text);
    snprintf(text, sizeof text, "%.0f x", o->wall_seconds > 0 ? simulated / o->wall_seconds : 0);
    fact(f, "of real time", text);
    snprintf(text, sizeof text, "%llu", (unsigned long long)o->events);
    fact(f, "events", text);
    sim_unit_print(SIM_UNIT_BYTES, (double)o->memory_peak, text, sizeof text);
    fact(f, "memory", text);
    snprintf(text, sizeof text, "%llu", (unsigned long long)o->seed);
    fact(f, "seed", text);
    snprintf(text, sizeof text, "%016llx", (unsigned long long)o->hash);
    fact(f, "trace hash", text);
    fprintf(f, "</div>\n");
}

/* A line of the terminal's table; columns are two spaces wide at least apart and start where its head's do.
 */
static void table_row(FILE *f, const char *line, bool head)
{
    static const size_t starts[] = {2, 25, 50, 62, 76, SIZE_MAX};
    size_t length = strlen(line);
    char cell[SIM_TEXT_MAX + 64];
    fprintf(f, "<tr>");
    for (int i = 0; i < 5; i++) {
        size_t start = starts[i] < length ? starts[i] : length,
               end = starts[i + 1] < length ? starts[i + 1] : length;
        while (end > start && line[end - 1] == ' ')
            end--;
        snprintf(cell, sizeof cell, "%.*s", (int)(end - start), line + start);
        fprintf(f, "<t%c%s>", head ? 'h' : 'd', strcmp(cell, "MISSED") == 0 ? " class='MISSED'" : "");
        escaped(f, cell);
        fprintf(f, "</t%c>", head ? 'h' : 'd');
    }
    fprintf(f, "</tr>");
}

/* The same table as on the terminal. */
static void table(FILE *f, const struct sim_config *c, const struct sim_outcome *o)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (!memory)
        return;
    sim_table_print(memory, c, o, 1);
    fclose(memory);
    fprintf(f, "<section><h2>Ours beside published</h2><table>");
    char *rest = text;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        table_row(f, line, line == text);
    fprintf(f, "</table></section>\n");
    free(text);
}

int sim_page_write(FILE *f, const struct sim_config *c, const struct sim_outcome *o, struct sim_metrics *m,
                   const struct sim_map *map, const char *command)
{
    char value[SIM_TEXT_MAX * 4];
    size_t count;
    const struct sim_key *keys = sim_keys(&count);
    fprintf(f, "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' "
               "content='width=device-width'>"
               "<title>simnet: ");
    escaped(f, c->scenario.name);
    fprintf(f, "</title><style>%s</style><main><h1>", style);
    escaped(f, c->scenario.name);
    fprintf(f, "</h1><div class='soft'>");
    escaped(f, c->scenario.about);
    fprintf(f, "<br>");
    escaped(f, c->scenario.note);
    fprintf(f, "</div>");
    facts(f, c, o);
    if (o->failed) {
        fprintf(f, "<section class='MISSED'>");
        escaped(f, o->failure);
        fprintf(f, "</section>");
    }
    table(f, c, o);
    fprintf(f, "<div class='grid'>");
    places(f, map);
    for (uint32_t i = 0; i < sim_metrics_count(m); i++) {
        struct sim_metric_view v;
        sim_metric_view(m, i, &v);
        if (v.kind == SIM_SAMPLE && v.unit == SIM_UNIT_US && v.points > 1)
            distribution(f, c, m, i, v.name);
        else if (v.kind == SIM_SERIES && v.points > 1)
            series(f, m, i, &v);
    }
    fprintf(f,
            "</div><details><summary>Every setting, and the command that repeats it</summary><section><pre>");
    escaped(f, command);
    fprintf(f, "\n\n");
    for (size_t i = 0; i < count; i++) {
        sim_key_print(c, &keys[i], value, sizeof value);
        fprintf(f, "%-34s ", keys[i].name);
        escaped(f, value);
        fputc('\n', f);
    }
    fprintf(f, "</pre></section></details></main></html>\n");
    return ferror(f) ? -1 : 0;
}
