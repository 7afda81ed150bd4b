/* One line that tells how a job is getting on: on a terminal redrawn in place and fitted to its width, in a
 * pipe a plain line every few seconds. */
#ifndef SHOAL_CLI_PROGRESS_H
#define SHOAL_CLI_PROGRESS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct progress_state {
    const char *name;
    const char *message;              /* shown while nothing is known yet; may be NULL */
    uint64_t done, total;             /* [bytes]; total 0: not known */
    uint64_t files_done, files_total; /* total 0 or 1: not shown */
    uint64_t rate;                    /* [bytes/s] */
    uint32_t peers;
    bool show_peers;
};

/* The line, at most `width` columns. `out` has room for cap bytes (4 per column and 64 do). What matters less
 * is left out first: files, peers, time left, amounts, rate; the name is shortened; percent stays. */
void progress_line(char *out, size_t cap, const struct progress_state *s, int width, bool utf8);
/* The same for a pipe: words, no bar. */
void progress_plain(char *out, size_t cap, const struct progress_state *s);

#define PROGRESS_DRAW_MS  100
#define PROGRESS_PLAIN_MS 5000

struct progress {
    FILE *file; /* standard error */
    bool terminal, utf8, quiet, drawn;
    uint64_t last_ms;
    char last[512]; /* plain: what was said last */
};
void progress_begin(struct progress *p, bool quiet); /* catches SIGWINCH on a terminal */
void progress_show(struct progress *p, const struct progress_state *s);
void progress_clear(struct progress *p); /* the line is taken away, so that something else can be said */
int terminal_width(int fd);              /* 80 when it does not say */
uint64_t progress_now_ms(void);
#endif
