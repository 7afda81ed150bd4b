#include "node/names/name_text.h"
#include "node/base/wire.h"

struct range {
    uint32_t first, last;
};

/* Not letters, digits or marks: white space, punctuation, symbols, what is invisible or turns the line, private use, non-characters. Below U+0080
 * only ASCII letters and digits count. */
static const struct range no_letters[] = {
    {0x0080, 0x00a9}, {0x00ab, 0x00b1}, {0x00b4, 0x00b4}, {0x00b6, 0x00b8}, {0x00bb, 0x00bf}, {0x00d7, 0x00d7}, {0x00f7, 0x00f7},
    {0x02b0, 0x02ff}, {0x034f, 0x034f}, {0x037e, 0x037e}, {0x0387, 0x0387}, {0x055a, 0x055f}, {0x0589, 0x058f}, {0x05be, 0x05be},
    {0x05c0, 0x05c0}, {0x0600, 0x060f}, {0x061b, 0x061f}, {0x066a, 0x066d}, {0x06d4, 0x06d4}, {0x06dd, 0x06dd}, {0x070f, 0x070f},
    {0x0964, 0x0965}, {0x115f, 0x1160}, {0x1680, 0x1680}, {0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x2000, 0x207f}, {0x208a, 0x2c00},
    {0x2e00, 0x2e7f}, {0x2ff0, 0x3004}, {0x3008, 0x3030}, {0x3036, 0x303f}, {0x30fb, 0x30fb}, {0x3164, 0x3164}, {0xd800, 0xf8ff},
    {0xfd3e, 0xfd3f}, {0xfdd0, 0xfdef}, {0xfe00, 0xfe6f}, {0xfeff, 0xff0f}, {0xff1a, 0xff20}, {0xff3b, 0xff40}, {0xff5b, 0xff65},
    {0xffa0, 0xffa0}, {0xffe0, 0xffff}, {0x1d000, 0x1d3ff}, {0x1f000, 0x1fbef}, {0xe0000, 0x10ffff},
};

static bool is_word(uint32_t c)
{
    if (c < 0x80)
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    for (size_t i = 0; i < sizeof no_letters / sizeof *no_letters; i++) {
        if (c < no_letters[i].first)
            return true;
        if (c <= no_letters[i].last)
            return false;
    }
    return true;
}

static bool is_accent(uint32_t c) /* combining marks that follow Latin, Greek and Cyrillic letters */
{
    return c >= 0x0300 && c <= 0x036f;
}

/* One character of valid UTF-8 ending in NUL; 0 at the end. */
static uint32_t take(const char **text)
{
    const uint8_t *p = (const uint8_t *)*text;
    uint32_t c = *p;
    unsigned more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    if (c == 0)
        return 0;
    c = more == 0 ? c : c & (0x3fu >> more);
    for (unsigned i = 1; i <= more; i++)
        c = c << 6 | (p[i] & 0x3fu);
    *text += 1 + more;
    return c;
}

static size_t put(char *out, uint32_t c)
{
    uint8_t *p = (uint8_t *)out;
    if (c < 0x80) {
        p[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        p[0] = (uint8_t)(0xc0 | c >> 6);
        p[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        p[0] = (uint8_t)(0xe0 | c >> 12);
        p[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        p[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    p[0] = (uint8_t)(0xf0 | c >> 18);
    p[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    p[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    p[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* Unicode's simple case folding, in arithmetic, for the scripts that have case in daily use. Never longer in UTF-8 than what was there. */
static uint32_t fold(uint32_t c)
{
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    if (c >= 0x00c0 && c <= 0x00de)
        return c == 0x00d7 ? c : c + 32;
    if (c == 0x0130)
        return 'i';
    if (c == 0x0178)
        return 0x00ff;
    if ((c >= 0x0139 && c <= 0x0148) || (c >= 0x0179 && c <= 0x017e) || (c >= 0x04c1 && c <= 0x04ce))
        return c + (c & 1);
    if ((c >= 0x0100 && c <= 0x0137) || (c >= 0x014a && c <= 0x0177) || (c >= 0x0460 && c <= 0x0481) || (c >= 0x048a && c <= 0x04bf) ||
        (c >= 0x04d0 && c <= 0x052f) || (c >= 0x1e00 && c <= 0x1e95) || (c >= 0x1ea0 && c <= 0x1eff))
        return c | 1;
    if (c >= 0x0391 && c <= 0x03a9 && c != 0x03a2)
        return c + 32;
    if (c == 0x0386)
        return 0x03ac;
    if (c >= 0x0388 && c <= 0x038a)
        return c + 37;
    if (c == 0x038c)
        return 0x03cc;
    if (c == 0x038e || c == 0x038f)
        return c + 63;
    if (c == 0x03c2)
        return 0x03c3;
    if (c >= 0x0400 && c <= 0x040f)
        return c + 80;
    if (c >= 0x0410 && c <= 0x042f)
        return c + 32;
    if (c >= 0x0531 && c <= 0x0556)
        return c + 48;
    if (c == 0x1e9e)
        return 0x00df;
    if (c >= 0xff21 && c <= 0xff3a)
        return c + 32;
    return c;
}

/* U+00C0 to U+017F without their accents; '.': a letter of its own. */
static const char latin_base[] = "aaaaaa.ceeeeiiii.nooooo.ouuuuy..aaaaaa.ceeeeiiii.nooooo.ouuuuy.y"
                                 "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii..jjkk.llllllllllnnnnnnn..oooooo"
                                 "..rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";
_Static_assert(sizeof latin_base == 0x180 - 0xc0 + 1, "one for each character");

static uint32_t without_accent(uint32_t c)
{
    return c >= 0xc0 && c < 0x180 && latin_base[c - 0xc0] != '.' ? (uint32_t)latin_base[c - 0xc0] : c;
}

static bool kept_word(const char *folded)
{
    static const char *const kept[] = {"self", "node", "localhost"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        if (strcmp(folded, kept[i]) == 0)
            return true;
    }
    return strncmp(folded, "xn--", 4) == 0;
}

static const char *fault(const char *text)
{
    if (!text[0])
        return "a name has at least one character";
    if (strlen(text) >= NAME_SIZE)
        return "a name has at most 40 characters";
    if (!utf8_valid((const uint8_t *)text, strlen(text)))
        return "the name is not UTF-8";
    uint32_t count = 0, first = 0, last = 0, c;
    for (const char *p = text; (c = take(&p)); last = c) {
        first = count++ ? first : c;
        if (is_accent(c))
            return "write an accented letter as one character, not as a letter and an accent";
        if (!is_word(c) && c != '-' && c != '_')
            return "a name is made of letters and digits, with - and _ between them";
    }
    if (count > NAME_CHARACTERS_MAX)
        return "a name has at most 40 characters";
    if (first == '-' || first == '_' || last == '-' || last == '_')
        return "- and _ stand inside a name, not at its ends";
    char folded[NAME_SIZE];
    name_fold(folded, text);
    return kept_word(folded) ? "this name is kept for another purpose" : NULL;
}

int name_check(const char *text, const char **why)
{
    const char *f = fault(text);
    if (f && why)
        *why = f;
    return f ? ERR_MALFORMED : 0;
}

void name_fold(char *out, const char *name)
{
    uint32_t c;
    while ((c = take(&name)))
        out += put(out, fold(c));
    *out = 0;
}

bool name_equal(const char *a, const char *b)
{
    char fa[NAME_SIZE], fb[NAME_SIZE];
    name_fold(fa, a);
    name_fold(fb, b);
    return strcmp(fa, fb) == 0;
}

/* ---- Looks ---- */

enum script { SCRIPT_NONE, SCRIPT_LATIN = 1, SCRIPT_GREEK = 2, SCRIPT_CYRILLIC = 4 };

static unsigned script_of(uint32_t c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 0xc0 && c < 0x250) || (c >= 0x1e00 && c < 0x1f00))
        return SCRIPT_LATIN;
    if ((c >= 0x370 && c < 0x400) || (c >= 0x1f00 && c < 0x2000))
        return SCRIPT_GREEK;
    return c >= 0x400 && c < 0x530 ? SCRIPT_CYRILLIC : SCRIPT_NONE;
}

unsigned name_look(const char *name)
{
    unsigned scripts = 0;
    for (uint32_t c; (c = take(&name));)
        scripts |= script_of(fold(c));
    return scripts & (scripts - 1) ? NAME_LOOK_MIXED : 0;
}

static const struct {
    uint16_t from;
    char to;
} twins[] = {
    {'0', 'o'},    {'1', 'l'},    {'i', 'l'},    {'5', 's'},    {'_', '-'},    {0x0131, 'l'}, {0x03b1, 'a'}, {0x03b9, 'l'}, {0x03ba, 'k'},
    {0x03bd, 'v'}, {0x03bf, 'o'}, {0x03c1, 'p'}, {0x03c4, 't'}, {0x03c5, 'u'}, {0x03c7, 'x'}, {0x03b3, 'y'}, {0x0430, 'a'}, {0x0432, 'b'},
    {0x0435, 'e'}, {0x0451, 'e'}, {0x043a, 'k'}, {0x043c, 'm'}, {0x043d, 'h'}, {0x043e, 'o'}, {0x0440, 'p'}, {0x0441, 'c'}, {0x0442, 't'},
    {0x0443, 'y'}, {0x0445, 'x'}, {0x0456, 'l'}, {0x0457, 'l'}, {0x0458, 'j'}, {0x0455, 's'}, {0x04bb, 'h'}, {0x0501, 'd'}, {0x051b, 'q'},
    {0x051d, 'w'},
};

static void skeleton(char *out, const char *name)
{
    char *start = out;
    for (uint32_t c; (c = take(&name));) {
        c = without_accent(fold(c));
        for (size_t i = 0; i < sizeof twins / sizeof *twins; i++) {
            if (twins[i].from == c) {
                c = (uint32_t)twins[i].to;
                break;
            }
        }
        char before = out > start ? out[-1] : 0;
        if ((c == 'n' && before == 'r') || (c == 'v' && before == 'v')) {
            out[-1] = c == 'n' ? 'm' : 'w';
            continue;
        }
        if (c == 'l' && before == 'c') {
            out[-1] = 'd';
            continue;
        }
        out += put(out, c);
    }
    *out = 0;
}

bool name_looks_like(const char *a, const char *b)
{
    char sa[NAME_SIZE], sb[NAME_SIZE];
    if (name_equal(a, b))
        return false;
    skeleton(sa, a);
    skeleton(sb, b);
    return strcmp(sa, sb) == 0;
}

/* ---- Words ---- */

uint32_t words_split(char (*out)[WORD_SIZE], uint32_t max, const char *text)
{
    uint32_t count = 0;
    if (!utf8_valid((const uint8_t *)text, strlen(text)))
        return 0;
    for (bool more = true; more && count < max;) {
        size_t size = 0;
        uint32_t characters = 0, c;
        while ((more = (c = take(&text)) != 0)) {
            if (is_accent(c))
                continue; /* a file system that takes letters apart, and one that does not, mean the same word */
            if (!is_word(c))
                break;
            if (characters++ < NAME_CHARACTERS_MAX)
                size += put(out[count] + size, without_accent(fold(c)));
        }
        out[count][size] = 0;
        bool fresh = characters >= 2;
        for (uint32_t i = 0; fresh && i < count; i++)
            fresh = strcmp(out[i], out[count]) != 0;
        count += fresh;
    }
    return count;
}
