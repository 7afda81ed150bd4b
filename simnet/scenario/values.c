/* Numbers with units. Text is read as a decimal fraction in integers, so that no floating point decides what
 * a file means. */
#include "simnet/scenario/keys.h"

#include "node/base/err.h"
#include "simnet/engine/random.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const struct unit {
    const char *name;
    enum sim_key_kind kind;
    uint64_t size, part; /* value = number * size / part */
} units[] = {
    {"us", SIM_KEY_TIME, 1, 1},
    {"ms", SIM_KEY_TIME, 1000, 1},
    {"s", SIM_KEY_TIME, 1000000, 1},
    {"min", SIM_KEY_TIME, 60000000, 1},
    {"h", SIM_KEY_TIME, 3600000000, 1},
    {"d", SIM_KEY_TIME, 86400000000, 1},
    {"B", SIM_KEY_SIZE, 1, 1},
    {"kB", SIM_KEY_SIZE, 1000, 1},
    {"MB", SIM_KEY_SIZE, 1000000, 1},
    {"GB", SIM_KEY_SIZE, 1000000000, 1},
    {"KiB", SIM_KEY_SIZE, 1024, 1},
    {"MiB", SIM_KEY_SIZE, 1 << 20, 1},
    {"GiB", SIM_KEY_SIZE, 1 << 30, 1},
    {"B/s", SIM_KEY_RATE, 1, 1},
    {"kB/s", SIM_KEY_RATE, 1000, 1},
    {"MB/s", SIM_KEY_RATE, 1000000, 1},
    {"KiB/s", SIM_KEY_RATE, 1024, 1},
    {"MiB/s", SIM_KEY_RATE, 1 << 20, 1},
    {"kbit/s", SIM_KEY_RATE, 1000, 8},
    {"Mbit/s", SIM_KEY_RATE, 1000000, 8},
    {"Gbit/s", SIM_KEY_RATE, 1000000000, 8},
    {"%", SIM_KEY_SHARE, 10000, 1},
    {"ppm", SIM_KEY_SHARE, 1, 1},
    {"", SIM_KEY_COUNT, 1, 1},
};

bool sim_number_read(const char *text, uint64_t *out)
{
    uint64_t n = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (digit > 9 || n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *out = n;
    return true;
}

/* digits[.digits], at most nine after the point, as a number of 10^-9. */
static int decimal(const char *text, uint64_t *whole, uint64_t *nano, const char **end)
{
    uint64_t place = 100000000;
    *whole = *nano = 0;
    if (!isdigit((unsigned char)*text))
        return ERR_RANGE;
    for (; isdigit((unsigned char)*text); text++) {
        if (*whole > (UINT64_MAX - 9) / 10)
            return ERR_RANGE;
        *whole = *whole * 10 + (uint64_t)(*text - '0');
    }
    if (*text == '.') {
        if (!isdigit((unsigned char)*++text))
            return ERR_RANGE;
        for (; isdigit((unsigned char)*text); text++, place /= 10)
            *nano += (uint64_t)(*text - '0') * place;
    }
    *end = text;
    return 0;
}

int sim_any_read(const char *text, enum sim_key_kind *kind, uint64_t *out, const char **end)
{
    uint64_t whole, nano;
    const char *at;
    char unit[12];
    if (decimal(text, &whole, &nano, &at) != 0)
        return ERR_RANGE;
    const char *after = at;
    while (*after == ' ')
        after++;
    size_t n = strspn(after, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ%/");
    if (n >= sizeof unit)
        return ERR_RANGE;
    memcpy(unit, after, n);
    unit[n] = 0;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        const struct unit *u = &units[i];
        if (strcmp(u->name, unit) != 0)
            continue;
        if (whole > UINT64_MAX / u->size - 1 && u->size > 1)
            return ERR_RANGE;
        if (nano && u->size == 1)
            return ERR_RANGE; /* half a byte */
        *kind = u->kind;
        /* A nano part times a unit: in two steps, or a day's would not fit. */
        uint64_t micro = nano / 1000;
        *out = (whole * u->size + micro * (u->size / 1000) / 1000 + micro * (u->size % 1000) / 1000000) /
               u->part;
        *end = after + n;
        return 0;
    }
    return ERR_RANGE;
}

static const char *wants(enum sim_key_kind kind)
{
    switch (kind) {
    case SIM_KEY_TIME:
        return "needs a time with its unit, like 30s, 250ms, 10min or 1h";
    case SIM_KEY_SIZE:
        return "needs a size with its unit, like 200B, 64KiB or 1GB";
    case SIM_KEY_RATE:
        return "needs a rate with its unit, like 300B/s, 2MB/s or 10Mbit/s";
    case SIM_KEY_SHARE:
        return "needs a share, like 10%, 0.5% or 300ppm";
    default:
        return "needs a whole number without a unit";
    }
}

int sim_value_read(enum sim_key_kind kind, const char *text, uint64_t *out, char why[SIM_WHY_MAX])
{
    enum sim_key_kind found;
    const char *end;
    if (kind == SIM_KEY_COUNT && sim_number_read(text, out))
        return 0;
    if (kind != SIM_KEY_COUNT && sim_any_read(text, &found, out, &end) == 0 && found == kind && !*end)
        return 0;
    snprintf(why, SIM_WHY_MAX, "%s", wants(kind));
    return ERR_RANGE;
}

/* Gamma(x) for x in [1, 21] by Stirling's series above 20; basic operations in a fixed order, equal
 * everywhere. */
static double gamma_of(double x)
{
    double below = 1;
    while (x < 20) {
        below *= x;
        x += 1;
    }
    double r = 1 / (x * x);
    double log = (x - 0.5) * sim_log(x) - x + 0.91893853320467274178 +
                 (1.0 / 12 - r * (1.0 / 360 - r * (1.0 / 1260 - r / 1680))) / x;
    return sim_exp(log) / below;
}

static int span_weibull(const char *shape_text, const char *word, core_time value, struct sim_span *out)
{
    uint64_t whole, nano;
    const char *end;
    if (decimal(shape_text, &whole, &nano, &end) != 0 || *end || whole > 20)
        return ERR_RANGE;
    double shape = (double)whole + (double)nano / 1e9, scale = (double)value;
    if (shape < 0.1)
        return ERR_RANGE;
    if (strcmp(word, "mean") == 0)
        scale /= gamma_of(1 + 1 / shape);
    else if (strcmp(word, "scale") != 0)
        return ERR_RANGE;
    *out = (struct sim_span){SIM_WEIBULL, shape, (core_time)(scale + 0.5)};
    return out->scale ? 0 : ERR_RANGE;
}

int sim_span_read(const char *text, struct sim_span *out, char why[SIM_WHY_MAX])
{
    char word[4][32];
    char reason[SIM_WHY_MAX];
    uint64_t value;
    int n = strlen(text) < 100 ? sscanf(text, "%31s %31s %31s %31s", word[0], word[1], word[2], word[3]) : 0;
    if (n == 1 && strcmp(word[0], "never") == 0) {
        *out = (struct sim_span){SIM_NEVER, 0, 0};
        return 0;
    }
    if (n == 1 && sim_value_read(SIM_KEY_TIME, word[0], &value, reason) == 0) {
        *out = (struct sim_span){SIM_CONSTANT, 0, value};
        return 0;
    }
    if (n == 3 && strcmp(word[0], "exponential") == 0 && strcmp(word[1], "mean") == 0 &&
        sim_value_read(SIM_KEY_TIME, word[2], &value, reason) == 0 && value) {
        *out = (struct sim_span){SIM_EXPONENTIAL, 1, value};
        return 0;
    }
    if (n == 4 && strcmp(word[0], "weibull") == 0 &&
        sim_value_read(SIM_KEY_TIME, word[3], &value, reason) == 0 && value &&
        span_weibull(word[1], word[2], value, out) == 0)
        return 0;
    snprintf(why, SIM_WHY_MAX,
             "must be never, a time (1h), `exponential mean 1h`, `weibull 0.5 mean 10000s` or `weibull 0.6 "
             "scale 2h` "
             "(shape from 0.1 to 20)");
    return ERR_RANGE;
}

void sim_span_print(const struct sim_span *s, char *out, size_t cap)
{
    if (s->kind == SIM_NEVER)
        snprintf(out, cap, "never");
    else if (s->kind == SIM_WEIBULL)
        snprintf(out, cap, "weibull %.9g scale %lluus", s->shape, (unsigned long long)s->scale);
    else
        snprintf(out, cap, "%s%lluus", s->kind == SIM_EXPONENTIAL ? "exponential mean " : "",
                 (unsigned long long)s->scale);
}

int sim_expect_read(const char *text, char sign[3], enum sim_key_kind *kind, uint64_t *bar,
                    char why[SIM_WHY_MAX])
{
    size_t n = strspn(text, "<>=");
    const char *end;
    if (n && n < 3) {
        memcpy(sign, text, n);
        sign[n] = 0;
        const char *number = text + n + strspn(text + n, " ");
        if ((strcmp(sign, "=") == 0 || strcmp(sign, "<") == 0 || strcmp(sign, ">") == 0 ||
             strcmp(sign, "<=") == 0 || strcmp(sign, ">=") == 0) &&
            sim_any_read(number, kind, bar, &end) == 0 && !*end)
            return 0;
    }
    snprintf(why, SIM_WHY_MAX, "must be a sign and a number with its unit, like `> 99%%` or `<= 300ms`");
    return ERR_RANGE;
}
