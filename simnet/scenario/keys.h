/* The keys of scenario files and of --set: one table says where a key lives in struct sim_config, what it may be and what it is for.
 *
 * People's errors come back as one line in `why` (SIM_WHY_MAX bytes, always ended): what, where, what to do. */
#ifndef SIMNET_SCENARIO_KEYS_H
#define SIMNET_SCENARIO_KEYS_H
#include "simnet/scenario/config.h"

#define SIM_WHY_MAX 512

enum sim_key_kind {
    SIM_KEY_COUNT, /* a plain number */
    SIM_KEY_TIME,  /* 30min, 1h, 250ms; units required */
    SIM_KEY_SIZE,  /* 200B, 64KiB, 1GB */
    SIM_KEY_RATE,  /* 300B/s, 10Mbit/s */
    SIM_KEY_SHARE, /* 10%, 300ppm */
    SIM_KEY_YES,   /* yes or no */
    SIM_KEY_WORD,  /* one of `words` */
    SIM_KEY_SPAN,  /* struct sim_span */
    SIM_KEY_TEXT
};

struct sim_key {
    const char *name; /* section.key */
    enum sim_key_kind kind;
    size_t offset, size; /* of the field in struct sim_config [bytes] */
    uint64_t least, most; /* inclusive, in the unit of the field; spans: of their scale */
    const char *words;   /* SIM_KEY_WORD: "a|b|c" by value */
    const char *about;
};

const struct sim_key *sim_keys(size_t *count);
const struct sim_key *sim_key_find(const char *name); /* NULL: unknown */
/* Letters to insert, drop or change; b has at most 70 of them. */
size_t sim_text_distance(const char *a, const char *b);
const char *sim_key_nearest(const char *name);        /* the known key of least edit distance */

/* name: section.key, also expect.* and published.*. 0, or ERR_RANGE with *why. */
int sim_config_set(struct sim_config *c, const char *name, const char *value, char why[SIM_WHY_MAX]);
/* The value as a file would say it; out gets at most cap bytes with the end. */
void sim_key_print(const struct sim_config *c, const struct sim_key *k, char *out, size_t cap);
/* What several keys say together: a run that cannot be is refused. 0, or ERR_RANGE with *why. */
int sim_config_check(const struct sim_config *c, char why[SIM_WHY_MAX]);

/* An INI text onto *c (defaults are the caller's). origin names it in errors. 0, or ERR_RANGE with *why. */
int sim_config_read(struct sim_config *c, const char *origin, const char *text, char why[SIM_WHY_MAX]);

/* A number with its unit in the field's unit, by kind; what a people's value says. 0, or ERR_RANGE with *why. */
int sim_value_read(enum sim_key_kind kind, const char *text, uint64_t *out, char why[SIM_WHY_MAX]);
/* "> 99%", "<= 300ms", "= 3": sign (<, <=, >, >=, =), kind of the number and the bar. 0, or ERR_RANGE with *why. */
int sim_expect_read(const char *text, char sign[3], enum sim_key_kind *kind, uint64_t *bar, char why[SIM_WHY_MAX]);
/* A number of whatever kind its unit says, at the start of text; *end: behind it. 0, or ERR_RANGE. */
int sim_any_read(const char *text, enum sim_key_kind *kind, uint64_t *out, const char **end);
/* struct sim_span as text, both ways. */
int sim_span_read(const char *text, struct sim_span *out, char why[SIM_WHY_MAX]);
void sim_span_print(const struct sim_span *s, char *out, size_t cap);
/* A whole decimal number that fits 64 bits, nothing around it. */
bool sim_number_read(const char *text, uint64_t *out);

/* The scenarios inside the binary (cmake/embed.cmake puts simnet/scenarios there). */
struct sim_scenario {
    const char *name, *text, *end; /* text ends with a zero byte, at end; name NULL ends the table */
};
extern const struct sim_scenario sim_scenarios[];
/* what: a scenario's name or a path of a file (with a slash or .ini). Defaults, then the file. 0; ERR_NOT_FOUND or ERR_RANGE with *why. */
int sim_scenario_load(struct sim_config *c, const char *what, char why[SIM_WHY_MAX]);
#endif
