#include "cli/progress.h"
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "cli/cli.h"
#include "cli/format.h"

uint64_t progress_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int terminal_width(int fd)
{
    struct winsize w;
    return ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

/* ---- The parts of a line ---- */

static unsigned percent_of(const struct progress_state *s)
{
    if (s->total == 0)
        return 0;
    uint64_t done = s->done < s->total ? s->done : s->total;
    return (unsigned)((double)done * 100 / (double)s->total); /* rounded down: 100 % means all of it */
}

/* Eighths of a column by block characters; without UTF-8 whole columns of '#'. Returns bytes written. */
static size_t draw_bar(char *out, size_t cap, const struct progress_state *s, int columns, bool utf8)
{
    static const char *const eighths[] = {"",
                                          "\xe2\x96\x8f",
                                          "\xe2\x96\x8e",
                                          "\xe2\x96\x8d",
                                          "\xe2\x96\x8c",
                                          "\xe2\x96\x8b",
                                          "\xe2\x96\x8a",
                                          "\xe2\x96\x89"};
    double part = s->total ? (double)(s->done < s->total ? s->done : s->total) / (double)s->total : 0;
    int filled = (int)(part * columns * 8), whole = filled / 8, rest = utf8 ? filled % 8 : 0;
    size_t n = 0;
    out[n++] = '[';
    for (int i = 0; i < columns && n + 5 < cap; i++) {
        const char *cell = i < whole            ? (utf8 ? "\xe2\x96\x88" : "#")
                           : i == whole && rest ? eighths[rest]
                           : utf8               ? " "
                                                : ".";
        n += (size_t)snprintf(out + n, cap - n, "%s", cell);
    }
    out[n++] = ']';
    out[n] = 0;
    return n;
}

enum part { PART_PERCENT, PART_RATE, PART_AMOUNT, PART_LEFT, PART_PEERS, PART_FILES, PART_COUNT };

static void format_part(char *out, size_t cap, enum part part, const struct progress_state *s)
{
    char a[FORMAT_MAX], b[FORMAT_MAX];
    out[0] = 0;
    switch (part) {
    case PART_PERCENT:
        if (s->total)
            snprintf(out, cap, "%3u%%", percent_of(s));
        break;
    case PART_RATE:
        if (s->rate)
            snprintf(out, cap, "%s", format_rate(a, s->rate));
        break;
    case PART_AMOUNT:
        if (s->total)
            snprintf(out, cap, "%s of %s", format_bytes(a, s->done), format_bytes(b, s->total));
        else if (s->done)
            snprintf(out, cap, "%s", format_bytes(a, s->done));
        break;
    case PART_LEFT:
        if (s->rate && s->total > s->done)
            snprintf(out, cap, "%s left", format_duration(a, (s->total - s->done + s->rate - 1) / s->rate));
        break;
    case PART_PEERS:
        if (s->show_peers)
            snprintf(out, cap, "%u peer%s", s->peers, s->peers == 1 ? "" : "s");
        break;
    case PART_FILES:
        if (s->files_total > 1)
            snprintf(out, cap, "%s of %s files", format_count(a, s->files_done),
                     format_count(b, s->files_total));
        break;
    case PART_COUNT:
        break;
    }
}

#define NAME_MIN 12
#define BAR_MIN  6
#define BAR_MAX  30
#define GAP      2

void progress_line(char *out, size_t cap, const struct progress_state *s, int width, bool utf8)
{
    char parts[PART_COUNT][64], name[1024];
    int used = 0, bar = 0;
    size_t n = 0;
    out[0] = 0;
    if (s->total == 0 && s->done == 0 && s->message &&
        *s->message) { /* nothing to measure yet: say what is being done */
        char both[700];
        snprintf(both, sizeof both, "%.300s: %.380s", s->name, s->message);
        text_fit(out, cap, both, width, utf8);
        return;
    }
    /* In the order of their worth; the name keeps its least width as long as any other part is shown beside
     * the percent. */
    for (int i = 0; i < PART_COUNT; i++) {
        format_part(parts[i], sizeof parts[i], (enum part)i, s);
        int need = parts[i][0] ? (int)strlen(parts[i]) + GAP : 0;
        if (used + need + (i == PART_PERCENT ? 0 : NAME_MIN) > width)
            parts[i][0] = 0;
        else
            used += need;
    }
    int room = width - used, name_width = text_width(s->name);
    if (s->total && room - NAME_MIN >= BAR_MIN + 2 + GAP) {
        bar = room - (name_width > NAME_MIN ? name_width : NAME_MIN) - 2 - GAP;
        bar = bar < BAR_MIN ? BAR_MIN : bar > BAR_MAX ? BAR_MAX : bar;
        room -= bar + 2 + GAP;
    }
    text_fit(name, sizeof name, s->name, room, utf8);
    n += (size_t)snprintf(out + n, cap - n, "%s", name);
    if (bar && n + (size_t)bar * 3 + 8 < cap) {
        n += (size_t)snprintf(out + n, cap - n, "%*s", GAP, "");
        n += draw_bar(out + n, cap - n, s, bar, utf8);
    }
    static const enum part order[] = {PART_PERCENT, PART_AMOUNT, PART_FILES,
                                      PART_RATE,    PART_LEFT,   PART_PEERS};
    for (size_t i = 0; i < PART_COUNT; i++)
        if (parts[order[i]][0] && n < cap)
            n += (size_t)snprintf(out + n, cap - n, "%*s%s", GAP, "", parts[order[i]]);
}

void progress_plain(char *out, size_t cap, const struct progress_state *s)
{
    char part[64],
        clean[400]; /* a terminal without colours gets these lines too: nothing may move its cursor */
    size_t n = (size_t)snprintf(out, cap, "%.200s:", text_fit(clean, 201, s->name, 1 << 20, true));
    bool any = false;
    static const enum part order[] = {PART_PERCENT, PART_AMOUNT, PART_FILES,
                                      PART_RATE,    PART_LEFT,   PART_PEERS};
    for (size_t i = 0; i < PART_COUNT && (s->total || s->done); i++) {
        format_part(part, sizeof part, order[i], s);
        const char *p = part;
        while (*p == ' ')
            p++;
        if (*p && n < cap) {
            n += (size_t)snprintf(out + n, cap - n, "%s %s", any ? "," : "", p);
            any = true;
        }
    }
    if (!any && n < cap)
        snprintf(
            out + n, cap - n, " %s",
            text_fit(clean, sizeof clean, s->message && *s->message ? s->message : "waiting", 1 << 20, true));
}

/* ---- Drawing ---- */

static volatile sig_atomic_t resized;

static void on_resize(int number)
{
    (void)number;
    resized = 1;
}

void progress_begin(struct progress *p, bool quiet)
{
    memset(p, 0, sizeof *p);
    p->file = stderr;
    p->quiet = quiet;
    p->terminal = isatty(STDERR_FILENO) && cli_colour(STDERR_FILENO);
    p->utf8 = cli_utf8();
    if (p->terminal && !quiet) {
        struct sigaction a = {.sa_handler = on_resize};
        sigaction(SIGWINCH, &a, NULL); /* no SA_RESTART: a waiting poll wakes up and the line is drawn anew */
    }
}

static void show_on_terminal(struct progress *p, const struct progress_state *s, uint64_t now)
{
    char line[2048];
    if (p->drawn && !resized && now - p->last_ms < PROGRESS_DRAW_MS)
        return;
    resized = 0;
    /* One column stays free: terminals wrap differently at the last one. */
    progress_line(line, sizeof line, s, terminal_width(fileno(p->file)) - 1, p->utf8);
    fprintf(p->file, "\r%s\033[K", line);
    fflush(p->file);
    p->drawn = true;
    p->last_ms = now;
}

static void show_plain(struct progress *p, const struct progress_state *s, uint64_t now)
{
    char line[sizeof p->last];
    if (p->last_ms == 0)
        p->last_ms = now; /* what ends within the first period needs no lines */
    if (now - p->last_ms < PROGRESS_PLAIN_MS)
        return;
    progress_plain(line, sizeof line, s);
    p->last_ms = now;
    if (strcmp(line, p->last) == 0)
        return;
    memcpy(p->last, line, sizeof line);
    fprintf(p->file, "%s\n", line);
    fflush(p->file);
}

void progress_show(struct progress *p, const struct progress_state *s)
{
    if (p->quiet)
        return;
    uint64_t now = progress_now_ms();
    if (p->terminal)
        show_on_terminal(p, s, now);
    else
        show_plain(p, s, now);
}

void progress_clear(struct progress *p)
{
    if (p->drawn) {
        fputs("\r\033[K", p->file);
        fflush(p->file);
    }
    p->drawn = false;
}
