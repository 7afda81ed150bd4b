#include "cli/format.h"
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

char *format_bytes(char *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    unsigned unit = 0;
    double value = (double)bytes;
    while (value >= 999.5 && unit < 6) { /* what would round to 1000 is 1.0 of the next */
        value /= 1000;
        unit++;
    }
    bool fraction = unit > 0 && value < 9.95;
    snprintf(out, FORMAT_MAX, fraction ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}

char *format_rate(char *out, uint64_t bytes_per_second)
{
    char bytes[FORMAT_MAX];
    snprintf(out, FORMAT_MAX, "%.20s/s", format_bytes(bytes, bytes_per_second));
    return out;
}

char *format_count(char *out, uint64_t n)
{
    char plain[24];
    int size = snprintf(plain, sizeof plain, "%llu", (unsigned long long)n), at = 0;
    for (int i = 0; i < size; i++) {
        if (i && (size - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = plain[i];
    }
    out[at] = 0;
    return out;
}

bool duration_parse(const char *text, uint32_t *seconds)
{
    static const char units[] = "smhd";
    static const uint32_t worth[] = {1, 60, 3600, 86400};
    uint64_t n = 0;
    size_t i = 0;
    for (; text[i] >= '0' && text[i] <= '9' && i < 10; i++)
        n = n * 10 + (uint64_t)(text[i] - '0');
    const char *unit = text[i] ? strchr(units, text[i]) : NULL;
    if (i == 0 || (text[i] == 0 && n != 0) || (text[i] != 0 && (!unit || text[i + 1] != 0)))
        return false;
    n *= unit ? worth[unit - units] : 0;
    if (n > 3155760000u)
        return false;
    *seconds = (uint32_t)n;
    return true;
}

char *format_duration(char *out, uint64_t seconds)
{
    if (seconds >= 48 * 3600)
        snprintf(out, FORMAT_MAX, "%llu days", (unsigned long long)(seconds / 86400));
    else if (seconds >= 3600)
        snprintf(out, FORMAT_MAX, "%u:%02u:%02u", (unsigned)(seconds / 3600), (unsigned)(seconds / 60 % 60),
                 (unsigned)(seconds % 60));
    else
        snprintf(out, FORMAT_MAX, "%u:%02u", (unsigned)(seconds / 60), (unsigned)(seconds % 60));
    return out;
}

char *format_age(char *out, uint64_t seconds)
{
    if (seconds < 120)
        snprintf(out, FORMAT_MAX, "%u s", (unsigned)seconds);
    else if (seconds < 2 * 3600)
        snprintf(out, FORMAT_MAX, "%u min", (unsigned)(seconds / 60));
    else if (seconds < 48 * 3600)
        snprintf(out, FORMAT_MAX, "%u h", (unsigned)(seconds / 3600));
    else
        snprintf(out, FORMAT_MAX, "%llu days", (unsigned long long)(seconds / 86400));
    return out;
}

/* Characters that reorder or hide what is shown around them: a name must not be able to lie about itself. */
static bool deceives(wchar_t c)
{
    return c == 0x61c || c == 0x180e || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
           (c >= 0xe0000 && c <= 0xe007f);
}

struct glyph {
    size_t bytes; /* in the text */
    int width;    /* columns, at least 0 */
    bool shown;   /* as it is; otherwise as '?' */
};

static struct glyph glyph_at(const char *text, mbstate_t *state)
{
    wchar_t c;
    size_t n = mbrtowc(&c, text, strlen(text), state);
    if (n == 0 || n == (size_t)-1 || n == (size_t)-2) {
        memset(state, 0, sizeof *state);
        return (struct glyph){1, 1, false};
    }
    int width = wcwidth(c);
    if (width < 0 || deceives(c))
        return (struct glyph){n, 1, false};
    return (struct glyph){n, width, true};
}

int text_width(const char *text)
{
    mbstate_t state = {0};
    int width = 0;
    while (*text) {
        struct glyph g = glyph_at(text, &state);
        width += g.width;
        text += g.bytes;
    }
    return width;
}

/* Copies glyphs from text while they fit `width`; returns where it stopped. */
static const char *copy(char *out, size_t cap, size_t *n, const char *text, int width)
{
    mbstate_t state = {0};
    while (*text) {
        struct glyph g = glyph_at(text, &state);
        size_t size = g.shown ? g.bytes : 1;
        if (g.width > width || *n + size >= cap)
            break;
        memcpy(out + *n, g.shown ? text : "?", size);
        *n += size;
        width -= g.width;
        text += g.bytes;
    }
    out[*n] = 0;
    return text;
}

char *text_fit(char *out, size_t cap, const char *text, int width, bool utf8)
{
    size_t n = 0;
    out[0] = 0;
    if (text_width(text) <= width) {
        copy(out, cap, &n, text, width);
        return out;
    }
    int mark = utf8 ? 1 : 3, room = width - mark, tail = room / 3;
    if (room < 1) {
        copy(out, cap, &n, text, width > 0 ? width : 0);
        return out;
    }
    copy(out, cap, &n, text, room - tail);
    n += (size_t)snprintf(out + n, cap - n, "%s", utf8 ? "\xe2\x80\xa6" : "...");
    if (n >= cap)
        return out;
    mbstate_t state = {0};
    int left = text_width(text);
    while (*text && left > tail) { /* the end says the kind of a file */
        struct glyph g = glyph_at(text, &state);
        left -= g.width;
        text += g.bytes;
    }
    copy(out, cap, &n, text, tail);
    return out;
}
