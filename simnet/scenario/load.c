/* Scenario files: INI by inih, from the binary or from a path. */
#include "simnet/scenario/keys.h"

#include "node/base/err.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MOST 190 /* inih cuts longer ones silently */
#define FILE_MOST (64 * 1024)

struct reading {
    struct sim_config *c;
    char (*why)[SIM_WHY_MAX];
    bool failed;
    char last[160], text[SIM_TEXT_MAX * 4]; /* a value that goes on in the next, indented line */
};

static int on_key(void *user, const char *section, const char *key, const char *value)
{
    struct reading *r = user;
    char name[160];
    if (r->failed)
        return 1;
    snprintf(name, sizeof name, "%s.%s", section, key);
    if (strcmp(name, r->last) == 0 && strlen(r->text) + strlen(value) + 2 < sizeof r->text) {
        strcat(r->text, " ");
        strcat(r->text, value);
    } else
        snprintf(r->text, sizeof r->text, "%s", value);
    memcpy(r->last, name, sizeof name);
    if (!*section) {
        snprintf(*r->why, SIM_WHY_MAX, "%.60s: stands before any [section]", key);
        r->failed = true;
    } else if (sim_config_set(r->c, name, r->text, *r->why) != 0)
        r->failed = true;
    return !r->failed;
}

int sim_config_read(struct sim_config *c, const char *origin, const char *text, char why[SIM_WHY_MAX])
{
    char inner[SIM_WHY_MAX] = "is not `key = value`, `[section]` or a comment";
    struct reading r = {.c = c, .why = &inner};
    int line = 0, number = 0;
    for (const char *at = text; *at;
         at += at[strcspn(at, "\n")] ? strcspn(at, "\n") + 1 : strcspn(at, "\n")) {
        number++;
        if (strcspn(at, "\n") > LINE_MOST) {
            snprintf(why, SIM_WHY_MAX,
                     "%.200s:%d: the line is too long, at most %d bytes; go on in an indented line", origin,
                     number, LINE_MOST);
            return ERR_RANGE;
        }
    }
    line = ini_parse_string(text, on_key, &r);
    if (line == 0)
        return 0;
    snprintf(why, SIM_WHY_MAX, "%.120s:%d: %.360s", origin, line, inner);
    return ERR_RANGE;
}

static int load_path(struct sim_config *c, const char *path, char why[SIM_WHY_MAX])
{
    FILE *f = fopen(path, "rb");
    const char *base = strrchr(path, '/');
    if (!f) {
        snprintf(why, SIM_WHY_MAX, "%.200s: cannot read this scenario file: %s", path, strerror(errno));
        return ERR_NOT_FOUND;
    }
    char *text = calloc(1, FILE_MOST + 1);
    size_t size = text ? fread(text, 1, FILE_MOST, f) : 0;
    bool whole = text && !ferror(f) && size < FILE_MOST && strlen(text) == size;
    fclose(f);
    if (!whole) {
        free(text);
        snprintf(why, SIM_WHY_MAX, "%.200s: not a scenario file (a text of less than 64 KiB)", path);
        return ERR_RANGE;
    }
    base = base ? base + 1 : path;
    snprintf(c->scenario.name, sizeof c->scenario.name, "%.*s", (int)strcspn(base, "."), base);
    int e = sim_config_read(c, path, text, why);
    free(text);
    return e;
}

int sim_scenario_load(struct sim_config *c, const char *what, char why[SIM_WHY_MAX])
{
    size_t size = strlen(what);
    sim_config_default(c);
    if (strchr(what, '/') || (size > 4 && strcmp(what + size - 4, ".ini") == 0))
        return load_path(c, what, why);
    for (const struct sim_scenario *s = sim_scenarios; s->name; s++)
        if (strcmp(s->name, what) == 0) {
            snprintf(c->scenario.name, sizeof c->scenario.name, "%s", s->name);
            return sim_config_read(c, s->name, s->text, why);
        }
    const struct sim_scenario *nearest = sim_scenarios;
    for (const struct sim_scenario *s = sim_scenarios; s->name; s++)
        if (sim_text_distance(what, s->name) < sim_text_distance(what, nearest->name))
            nearest = s;
    snprintf(why, SIM_WHY_MAX,
             "%.80s: no such scenario; the nearest is %s (`simnet list` shows all, a file needs its path or .ini)", what,
             nearest->name);
    return ERR_NOT_FOUND;
}
