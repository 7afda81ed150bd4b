#include "gateways/http/http_range.h"
#include <string.h>
#include "gateways/http/http_lex.h"

#define JOIN_GAP 80

static bool number(struct bytes *text, uint64_t *out)
{
    uint64_t n = 0;
    size_t i = 0;
    for (; i < text->size && text->data[i] >= '0' && text->data[i] <= '9'; i++)
        if (__builtin_mul_overflow(n, 10u, &n) ||
            __builtin_add_overflow(n, (uint64_t)(text->data[i] - '0'), &n))
            n = UINT64_MAX; /* far outside anyway */
    if (i == 0)
        return false;
    *out = n;
    *text = bytes_of(text->data + i, text->size - i);
    return true;
}

/* 1: satisfiable, 0: not, -1: malformed. */
static int spec_parse(struct bytes text, uint64_t size, struct http_range *out)
{
    uint64_t first, last = UINT64_MAX;
    if (text.size > 1 && text.data[0] == '-') {
        text = bytes_of(text.data + 1, text.size - 1);
        if (!number(&text, &last) || text.size)
            return -1;
        if (last == 0 || size == 0)
            return 0;
        out->size = last < size ? last : size;
        out->first = size - out->size;
        return 1;
    }
    if (!number(&text, &first) || text.size == 0 || text.data[0] != '-')
        return -1;
    text = bytes_of(text.data + 1, text.size - 1);
    if (text.size && (!number(&text, &last) || text.size || last < first))
        return -1;
    if (first >= size)
        return 0;
    out->first = first;
    out->size = (last >= size ? size : last + 1) - first;
    return 1;
}

static bool join(struct http_range *a, const struct http_range *b)
{
    uint64_t a_end = a->first + a->size, b_end = b->first + b->size;
    if (a->first > b_end + JOIN_GAP || b->first > a_end + JOIN_GAP)
        return false;
    a->first = a->first < b->first ? a->first : b->first;
    a->size = (a_end > b_end ? a_end : b_end) - a->first;
    return true;
}

/* A joined range may reach others: until nothing moves. */
static void settle(struct http_range *r, unsigned *count, unsigned at)
{
    for (unsigned i = 0; i < *count;) {
        if (i == at || !join(&r[at], &r[i])) {
            i++;
            continue;
        }
        memmove(r + i, r + i + 1, (*count - i - 1) * sizeof *r);
        (*count)--;
        if (at > i)
            at--;
        i = 0;
    }
}

enum http_ranges http_ranges_parse(struct bytes field, uint64_t size, struct http_range out[HTTP_RANGES_MAX],
                                   unsigned *count)
{
    struct bytes spec;
    unsigned specs = 0;
    *count = 0;
    if (field.size < 6 || strncasecmp((const char *)field.data, "bytes=", 6) != 0)
        return HTTP_RANGES_IGNORE;
    field = bytes_of(field.data + 6, field.size - 6);
    while (http_list_next(&field, &spec)) {
        struct http_range r;
        int ok = spec_parse(spec, size, &r);
        unsigned i = 0;
        if (ok < 0 || ++specs > HTTP_RANGE_SPECS_MAX)
            return HTTP_RANGES_IGNORE;
        if (ok == 0)
            continue;
        while (i < *count && !join(&out[i], &r))
            i++;
        if (i == *count) {
            if (*count == HTTP_RANGES_MAX)
                return HTTP_RANGES_IGNORE;
            out[(*count)++] = r;
        }
        settle(out, count, i);
    }
    if (specs == 0)
        return HTTP_RANGES_IGNORE;
    return *count ? HTTP_RANGES_OK : HTTP_RANGES_NONE;
}

/* ---- Dates ---- */

static uint64_t days_of(uint64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    uint64_t era = year / 400, of_era = year % 400;
    uint64_t of_year = (153u * (month + (month > 2 ? -3u : 9u)) + 2u) / 5u + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* Takes digits, letters and separators by a pattern: 'W' a weekday, 'M' a month, 'Y' 'D' 'h' 'm' 's' digits,
 * the rest itself. */
struct date {
    unsigned year, month, day, hour, minute, second, year_digits;
};

static bool digits(const char **p, unsigned n, bool space_for_first, unsigned *out)
{
    *out = 0;
    for (unsigned i = 0; i < n; i++, (*p)++) {
        if (i == 0 && space_for_first && **p == ' ')
            continue;
        if (**p < '0' || **p > '9')
            return false;
        *out = *out * 10 + (unsigned)(**p - '0');
    }
    return true;
}

static bool month_of(const char **p, unsigned *out)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (unsigned i = 0; i < 12; i++) {
        if (strncmp(*p, names + i * 3, 3) == 0) {
            *p += 3;
            *out = i + 1;
            return true;
        }
    }
    return false;
}

static bool date_scan(const char *p, const char *pattern, struct date *d)
{
    for (; *pattern; pattern++) {
        bool ok = true;
        switch (*pattern) {
        case 'w': /* a weekday of any length */
            ok = *p >= 'A' && *p <= 'Z';
            while ((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z'))
                p++;
            break;
        case 'M':
            ok = month_of(&p, &d->month);
            break;
        case 'Y':
            ok = digits(&p, 4, false, &d->year);
            break;
        case 'y':
            ok = digits(&p, 2, false, &d->year);
            d->year += d->year < 70 ? 2000 : 1900;
            break;
        case 'D':
            ok = digits(&p, 2, true, &d->day);
            break;
        case 'T':
            ok = digits(&p, 2, false, &d->hour) && *p++ == ':' && digits(&p, 2, false, &d->minute) &&
                 *p++ == ':' && digits(&p, 2, false, &d->second);
            break;
        default:
            ok = *p++ == *pattern;
        }
        if (!ok)
            return false;
    }
    return *p == 0 && d->day >= 1 && d->day <= 31 && d->hour < 24 && d->minute < 60 && d->second <= 60 &&
           d->year >= 1970;
}

bool http_date_parse(struct bytes text, uint64_t *unix_s)
{
    static const char *const forms[] = {"w, D M Y T GxT", "w, D-M-y T GxT", "w M D T Y"};
    char copy[48], pattern[32];
    struct date d;
    if (text.size >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    for (unsigned i = 0; i < 3; i++) {
        char *end = strstr(copy, " GMT");
        memset(&d, 0, sizeof d);
        strcpy(pattern, forms[i]);
        if (i < 2) { /* "GMT" stands apart: 'M' and 'T' mean something else in a pattern */
            pattern[strlen(pattern) - 4] = 0;
            if (!end || end[4])
                continue;
        }
        char cut[48];
        strcpy(cut, copy);
        if (i < 2)
            cut[end - copy] = 0;
        if (date_scan(cut, pattern, &d)) {
            *unix_s = days_of(d.year, d.month, d.day) * 86400 + d.hour * 3600u + d.minute * 60u + d.second;
            return true;
        }
    }
    return false;
}

/* ---- Entity tags ---- */

/* W/"..." or "..." of the characters that 8.8.3 allows. */
static bool etag_parse(struct bytes text, struct bytes *opaque, bool *weak)
{
    *weak = text.size > 2 && text.data[0] == 'W' && text.data[1] == '/';
    *opaque = *weak ? bytes_of(text.data + 2, text.size - 2) : text;
    if (opaque->size < 2 || opaque->data[0] != '"' || opaque->data[opaque->size - 1] != '"')
        return false;
    for (size_t i = 1; i + 1 < opaque->size; i++)
        if (opaque->data[i] <= 0x20 || opaque->data[i] == '"' || opaque->data[i] == 0x7f)
            return false;
    return true;
}

bool http_etag_listed(struct bytes list, const char *etag, bool weak)
{
    struct bytes element, opaque;
    size_t size = strlen(etag);
    bool is_weak;
    list = http_trim(list);
    if (list.size == 1 && list.data[0] == '*')
        return true;
    while (http_list_next(&list, &element)) {
        if (!etag_parse(element, &opaque, &is_weak))
            return false;
        if (opaque.size == size && memcmp(opaque.data, etag, size) == 0 && (weak || !is_weak))
            return true;
    }
    return false;
}
