#include "gateways/ftp/ftp_list.h"
#include <stdio.h>

struct moment {
    unsigned year, month, day, hour, minute, second;
};

/* Civil time, counting years from March so that the leap day comes last. */
static struct moment moment_of(int64_t unix_s)
{
    uint64_t s = unix_s > 0 ? (uint64_t)unix_s : 0, days = s / 86400 + 719468; /* since 0000-03-01 */
    uint64_t era = days / 146097, in_era = days % 146097;
    uint64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    uint64_t in_year = in_era - (365 * year + year / 4 - year / 100), month = (5 * in_year + 2) / 153;
    struct moment m = {
        .day = (unsigned)(in_year - (153 * month + 2) / 5 + 1),
        .month = (unsigned)(month < 10 ? month + 3 : month - 9),
        .hour = (unsigned)(s / 3600 % 24),
        .minute = (unsigned)(s / 60 % 60),
        .second = (unsigned)(s % 60),
    };
    m.year = (unsigned)(era * 400 + year + (m.month <= 2));
    return m;
}

void ftp_time(char out[16], int64_t unix_s)
{
    struct moment m = moment_of(unix_s < 253402300800 ? unix_s : 253402300799); /* the year 9999 */
    snprintf(out, 16, "%04u%02u%02u%02u%02u%02u", m.year % 10000, m.month, m.day, m.hour, m.minute, m.second);
}

/* ---- Facts ---- */

static const struct {
    const char *name;
    unsigned fact;
} fact_names[] = {{"type", FTP_FACT_TYPE},
                  {"size", FTP_FACT_SIZE},
                  {"modify", FTP_FACT_MODIFY},
                  {"perm", FTP_FACT_PERM},
                  {"unique", FTP_FACT_UNIQUE}};
#define FACT_COUNT (sizeof fact_names / sizeof *fact_names)

unsigned ftp_facts_parse(const char *text)
{
    unsigned facts = 0;
    while (*text) {
        size_t n = strcspn(text, ";");
        for (size_t i = 0; i < FACT_COUNT; i++) {
            if (strlen(fact_names[i].name) == n && strncasecmp(fact_names[i].name, text, n) == 0)
                facts |= fact_names[i].fact;
        }
        text += n + (text[n] == ';');
    }
    return facts;
}

size_t ftp_facts_names(char *out, size_t cap, unsigned facts, bool star)
{
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < FACT_COUNT && n + 16 < cap; i++) {
        bool chosen = facts & fact_names[i].fact;
        if (star || chosen)
            n += (size_t)snprintf(out + n, cap - n, "%s%s;", fact_names[i].name, star && chosen ? "*" : "");
    }
    return n;
}

/* RFC 3659, 7.5.5. */
static void perm_of(char out[12], const struct ftp_info *info)
{
    const char *always = info->dir ? "el" : "r", *inside = info->writable ? (info->dir ? "cmp" : "aw") : "";
    snprintf(out, 12, "%s%s%s", always, inside, info->in_writable ? "df" : "");
}

size_t ftp_facts(char *out, size_t cap, unsigned facts, const struct ftp_info *info, const char *type)
{
    size_t n = 0;
    char text[16];
    out[0] = 0;
    if (facts & FTP_FACT_TYPE)
        n += (size_t)snprintf(out + n, cap - n, "type=%s;", type ? type : info->dir ? "dir" : "file");
    if ((facts & FTP_FACT_SIZE) && !info->dir)
        n += (size_t)snprintf(out + n, cap - n, "size=%llu;", (unsigned long long)info->size);
    if ((facts & FTP_FACT_MODIFY) && info->mtime_s > 0) {
        ftp_time(text, info->mtime_s);
        n += (size_t)snprintf(out + n, cap - n, "modify=%s;", text);
    }
    if (facts & FTP_FACT_PERM) {
        perm_of(text, info);
        n += (size_t)snprintf(out + n, cap - n, "perm=%s;", text);
    }
    if ((facts & FTP_FACT_UNIQUE) && info->id && info->id[0])
        n += (size_t)snprintf(out + n, cap - n, "unique=%s;", info->id);
    return n < cap ? n : cap - 1;
}

/* ---- Lines ---- */

/* As ls -l shows it, which is what every client reads: the time of day for the last half year, else the year.
 */
static size_t long_line(char *out, const struct ftp_info *info, int64_t now_s)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct moment m = moment_of(info->mtime_s);
    char when[16], mode[11];
    bool recent = info->mtime_s > now_s - 182 * 86400 && info->mtime_s <= now_s + 86400;
    if (recent)
        snprintf(when, sizeof when, "%02u:%02u", m.hour, m.minute);
    else
        snprintf(when, sizeof when, "%5u", m.year % 100000);
    snprintf(mode, sizeof mode, "%cr%c%cr-%cr-%c", info->dir ? 'd' : '-', info->writable ? 'w' : '-',
             info->dir || info->executable ? 'x' : '-', info->dir || info->executable ? 'x' : '-',
             info->dir || info->executable ? 'x' : '-');
    return (size_t)snprintf(out, FTP_LIST_LINE_MAX, "%s %3u shoal    shoal    %12llu %.3s %2u %5s %.255s\r\n",
                            mode, info->dir ? 2u : 1u, (unsigned long long)info->size,
                            months + 3 * (m.month - 1), m.day, when, info->name);
}

size_t ftp_list_line(char out[FTP_LIST_LINE_MAX], enum ftp_list_form form, unsigned facts,
                     const struct ftp_info *info, int64_t now_s)
{
    if (form == FTP_LIST_LONG)
        return long_line(out, info, now_s);
    if (form == FTP_LIST_NAMES)
        return (size_t)snprintf(out, FTP_LIST_LINE_MAX, "%.255s\r\n", info->name);
    size_t n = ftp_facts(out, FTP_LIST_LINE_MAX - 260, facts, info, NULL);
    return n + (size_t)snprintf(out + n, FTP_LIST_LINE_MAX - n, " %.255s\r\n", info->name);
}

/* ---- Patterns ---- */

bool ftp_has_pattern(const char *text)
{
    return text[strcspn(text, "*?")] != 0;
}

static const char *next_char(const char *text)
{
    do
        text++;
    while ((*text & 0xc0) == 0x80);
    return text;
}

/* Goes back to the last star only: no exponential patterns. */
bool ftp_pattern_match(const char *pattern, const char *name)
{
    const char *star = NULL, *from = NULL;
    if (name[0] == '.' && pattern[0] != '.')
        return false;
    while (*name) {
        if (*pattern == '*') {
            star = ++pattern;
            from = name;
        } else if (*pattern == '?') {
            pattern++;
            name = next_char(name);
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star;
            name = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == 0;
}

/* ---- Line ends ---- */

size_t ftp_ascii_out(struct ftp_ascii *a, uint8_t *out, struct bytes in)
{
    size_t n = 0;
    for (size_t i = 0; i < in.size; i++) {
        uint8_t c = in.data[i];
        if (c == '\n' && !a->cr)
            out[n++] = '\r';
        out[n++] = c;
        a->cr = c == '\r';
    }
    return n;
}

size_t ftp_ascii_in(struct ftp_ascii *a, uint8_t *out, struct bytes in)
{
    size_t n = 0;
    for (size_t i = 0; i < in.size; i++) {
        uint8_t c = in.data[i];
        if (a->cr && c != '\n')
            out[n++] = '\r';
        a->cr = c == '\r';
        if (!a->cr)
            out[n++] = c;
    }
    return n;
}

size_t ftp_ascii_in_end(struct ftp_ascii *a, uint8_t out[1])
{
    bool held = a->cr;
    a->cr = false;
    out[0] = '\r';
    return held;
}

/* ---- Checksums ---- */

/* Four bits at a time: the table is 64 bytes, the speed some 400 MB/s, enough for a command that people type.
 */
uint32_t ftp_crc(uint32_t crc, struct bytes piece)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    crc = ~crc;
    for (size_t i = 0; i < piece.size; i++) {
        crc ^= piece.data[i];
        crc = table[crc & 15] ^ crc >> 4;
        crc = table[crc & 15] ^ crc >> 4;
    }
    return ~crc;
}
