/* Numbers, times and names as people read them, within a given width. */
#ifndef SHOAL_CLI_FORMAT_H
#define SHOAL_CLI_FORMAT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#define FORMAT_MAX 32

/* "999 B", "1.5 kB", "34 MB": powers of 1000, two figures at least. `out` has FORMAT_MAX bytes; all return
 * out. */
char *format_bytes(char *out, uint64_t bytes);
char *format_rate(char *out, uint64_t bytes_per_second); /* "34 MB/s" */
char *format_count(char *out, uint64_t n);               /* "12,345" */
/* "30s", "10m", "2h", "1d" or "0": digits and one unit. False: none of these, or more than 100 years. */
bool duration_parse(const char *text, uint32_t *seconds);
char *format_duration(char *out, uint64_t seconds);      /* "0:42", "1:02:03", "3 days" */
char *format_age(char *out, uint64_t seconds);           /* "42 s", "5 min", "3 h", "2 days" */

/* Columns that text takes on a terminal; unprintable characters count as one (they are shown as '?'). */
int text_width(const char *text);
/* Copies text for a terminal: control, bidirectional and invalid characters become '?', and what is longer
 * than `width` columns is cut in the middle, with "…" (or "..." without UTF-8). Returns out. */
char *text_fit(char *out, size_t cap, const char *text, int width, bool utf8);
#endif
