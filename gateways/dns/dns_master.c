#include "gateways/dns/dns_master.h"
#include <stdio.h>
#include <stdlib.h>

struct master {
    struct dns_zone *zone;
    const char *text;
    size_t size, at;
    uint32_t line; /* at `at` */
    struct dns_token *tokens;
    uint32_t count, cap;
    bool starts_blank; /* the entry's line begins with white space: same owner as before */
    uint32_t entry_line;
    bool has_origin, has_owner, has_ttl, has_last_ttl;
    struct dns_name origin, owner;
    uint32_t ttl, last_ttl;
    uint8_t *data;
    char *message;
};

static int fail(struct master *m, uint32_t line, const char *text)
{
    m->entry_line = line;
    snprintf(m->message, DNS_ZONE_MESSAGE, "%s", text);
    return ERR_MALFORMED;
}

/* `"word" text` */
static int fail_word(struct master *m, const struct dns_token *t, const char *text)
{
    m->entry_line = t->line;
    snprintf(m->message, DNS_ZONE_MESSAGE, "\"%.*s\" %s", (int)(t->size < 80 ? t->size : 80), t->text, text);
    return ERR_MALFORMED;
}

bool dns_number_read(const char *text, size_t size, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (size == 0 || size > 20)
        return false;
    for (size_t i = 0; i < size; i++) {
        unsigned digit = (unsigned)(text[i] - '0');
        if (digit > 9 || digit > max || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

bool dns_time_read(const char *text, size_t size, uint32_t *out)
{
    static const struct {
        char letter;
        uint32_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    uint64_t all = 0, value = 0;
    bool digits = false;
    for (size_t i = 0; i < size; i++) {
        char c = (char)dns_lower[(uint8_t)text[i]];
        if (c >= '0' && c <= '9') {
            value = value * 10 + (uint64_t)(c - '0');
            digits = true;
            if (value > INT32_MAX)
                return false;
            continue;
        }
        size_t u = 0;
        while (u < 5 && units[u].letter != c)
            u++;
        if (u == 5 || !digits)
            return false;
        all += value * units[u].seconds;
        if (all > INT32_MAX)
            return false;
        value = 0;
        digits = false;
    }
    all += value;
    *out = (uint32_t)all;
    return size > 0 && all <= INT32_MAX;
}

/* ---- Words ---- */

static int token_push(struct master *m, size_t start, size_t end, bool quoted, uint32_t line)
{
    if (m->count == DNS_TOKENS_MAX)
        return fail(m, line, "the entry has too many words");
    if (m->count == m->cap) {
        uint32_t cap = m->cap ? m->cap * 2 : 64;
        struct dns_token *grown = realloc(m->tokens, cap * sizeof *grown);
        if (!grown)
            return fail(m, line, "not enough memory for the zone"), ERR_NO_MEMORY;
        m->tokens = grown;
        m->cap = cap;
    }
    m->tokens[m->count++] = (struct dns_token){m->text + start, (uint32_t)(end - start), line, quoted};
    return 0;
}

static int read_quoted(struct master *m)
{
    uint32_t line = m->line;
    size_t start = ++m->at;
    while (m->at < m->size && m->text[m->at] != '"') {
        if (m->text[m->at] == '\n')
            return fail(m, line, "the quote \" is not closed on its line");
        m->at += m->text[m->at] == '\\' && m->at + 1 < m->size && m->text[m->at + 1] != '\n' ? 2 : 1;
    }
    if (m->at >= m->size)
        return fail(m, line, "the quote \" is not closed on its line");
    m->at++;
    return token_push(m, start, m->at - 1, true, line);
}

/* A word may hold quoted parts, as in alpn="h2,h3" (RFC 9460, 2.1). */
static int read_word(struct master *m)
{
    size_t start = m->at;
    bool inside = false;
    while (m->at < m->size) {
        char c = m->text[m->at];
        if (c == '\n' || (!inside && strchr(" \t\r;()", c)))
            break;
        if (c == '"')
            inside = !inside;
        m->at += c == '\\' && m->at + 1 < m->size && m->text[m->at + 1] != '\n' ? 2 : 1;
    }
    if (inside)
        return fail(m, m->line, "the quote \" is not closed on its line");
    return token_push(m, start, m->at, false, m->line);
}

/* The words of the next entry that has any; none: the end. */
static int read_entry(struct master *m)
{
    unsigned depth = 0;
    uint32_t open_line = 0;
    int r = 0;
    m->count = 0;
    m->entry_line = m->line;
    m->starts_blank = false;
    bool line_start = true;
    while (m->at < m->size && r == 0) {
        char c = m->text[m->at];
        switch (c) {
        case '\n':
            m->at++;
            m->line++;
            if (depth == 0 && m->count)
                return 0;
            if (depth == 0) {
                line_start = true;
                m->starts_blank = false;
                m->entry_line = m->line;
                continue;
            }
            break;
        case ' ':
        case '\t':
        case '\r':
            if (line_start && depth == 0 && m->count == 0)
                m->starts_blank = true;
            m->at++;
            break;
        case ';':
            while (m->at < m->size && m->text[m->at] != '\n')
                m->at++;
            break;
        case '(':
            if (depth++ == 0)
                open_line = m->line;
            m->at++;
            break;
        case ')':
            if (depth == 0)
                return fail(m, m->line, "a ) without its (");
            depth--;
            m->at++;
            break;
        case 0:
            return fail(m, m->line, "a NUL byte: this is not a text file");
        case '"':
            r = read_quoted(m);
            break;
        default:
            r = read_word(m);
        }
        line_start = false;
    }
    if (r == 0 && depth)
        return fail(m, open_line, "a ( that is never closed");
    return r;
}

/* ---- Entries ---- */

static int read_name(struct master *m, const struct dns_token *t, struct dns_name *out)
{
    int r = dns_name_from_text(out, t->text, t->size, m->has_origin ? &m->origin : NULL);
    if (r == ERR_RANGE)
        return fail_word(m, t, "is too long for a name: 63 bytes a label, 255 in all");
    if (r != 0 && !m->has_origin && (t->size == 0 || t->text[t->size - 1] != '.'))
        return fail_word(
            m, t, "is relative, and no $ORIGIN was given: end it with a dot, or begin the file with $ORIGIN");
    return r == 0 ? 0 : fail_word(m, t, "is not a domain name");
}

static bool token_is(const struct dns_token *t, const char *word)
{
    return !t->quoted && t->size == strlen(word) && strncasecmp(t->text, word, t->size) == 0;
}

static int read_directive(struct master *m)
{
    const struct dns_token *t = m->tokens;
    if (token_is(t, "$ORIGIN")) {
        struct dns_name name;
        if (m->count != 2)
            return fail(m, t->line, "$ORIGIN takes one name");
        int r = read_name(m, t + 1, &name);
        if (r == 0) {
            m->origin = name;
            m->has_origin = true;
        }
        return r;
    }
    if (token_is(t, "$TTL")) {
        if (m->count != 2 || !dns_time_read(t[1].text, t[1].size, &m->ttl))
            return fail(m, t->line, "$TTL takes one time, in seconds or like 1h30m");
        m->has_ttl = true;
        return 0;
    }
    if (token_is(t, "$INCLUDE") || token_is(t, "$GENERATE"))
        return fail_word(m, t, "is not done here: write its records into this file");
    return fail_word(m, t, "is an unknown directive; $ORIGIN and $TTL are known");
}

/* [TTL] [class] in either order, then the type. */
static int read_fields(struct master *m, uint32_t *i, bool *has_ttl, uint32_t *ttl, uint16_t *type)
{
    bool has_class = false;
    *has_ttl = false;
    for (; *i < m->count; ++*i) {
        const struct dns_token *t = &m->tokens[*i];
        int class;
        if (!*has_ttl && !t->quoted && t->size && t->text[0] >= '0' && t->text[0] <= '9') {
            if (!dns_time_read(t->text, t->size, ttl))
                return fail_word(m, t, "is not a time to live: seconds, or like 1h30m, up to 2147483647");
            *has_ttl = true;
        } else if (!has_class && (class = dns_class_from_text(t->text, t->size)) >= 0) {
            if (class != DNS_IN)
                return fail_word(m, t, "is a class other than IN, and only IN is served");
            has_class = true;
        } else {
            int found = dns_type_from_text(t->text, t->size);
            if (found < 0)
                return fail_word(m, t, "is not a record type; unknown ones are written TYPE1234");
            if (found == 0 || found == DNS_OPT || (found >= 128 && found <= 255))
                return fail_word(m, t, "is no type of a record that a zone can hold");
            *type = (uint16_t)found;
            ++*i;
            return 0;
        }
    }
    return fail(m, m->entry_line, "the record has no type");
}

static int read_record(struct master *m)
{
    uint32_t i = 0, ttl = 0;
    uint16_t type = 0;
    bool has_ttl;
    size_t size;
    int r;
    if (!m->starts_blank) {
        r = read_name(m, &m->tokens[i++], &m->owner);
        if (r != 0)
            return r;
        m->has_owner = true;
    }
    if (!m->has_owner)
        return fail(m, m->entry_line, "the first record has no name");
    r = read_fields(m, &i, &has_ttl, &ttl, &type);
    if (r != 0)
        return r;
    r = dns_rdata_read(type, m->tokens + i, m->count - i, m->has_origin ? &m->origin : NULL, m->data, &size,
                       m->message);
    if (r != 0)
        return r;
    if (!has_ttl && m->has_ttl)
        ttl = m->ttl;
    else if (!has_ttl && m->has_last_ttl)
        ttl = m->last_ttl;
    else if (!has_ttl && type == DNS_SOA)
        ttl = get_be32(m->data + size - 4);
    else if (!has_ttl)
        return fail(m, m->entry_line, "no time to live: write one, or $TTL above");
    m->last_ttl = ttl;
    m->has_last_ttl = true;
    return dns_zone_add(m->zone, &m->owner, type, ttl, bytes_of(m->data, size), m->entry_line, m->message);
}

int dns_master_read(struct dns_zone *zone, const char *text, size_t size, const struct dns_name *origin,
                    uint32_t *line, char *message)
{
    struct master m = {
        .zone = zone, .text = text, .size = size, .line = 1, .entry_line = 1, .message = message};
    m.data = malloc(UINT16_MAX);
    if (origin) {
        m.origin = *origin;
        m.has_origin = true;
    }
    int r = m.data ? 0 : ERR_NO_MEMORY;
    if (r != 0)
        snprintf(message, DNS_ZONE_MESSAGE, "not enough memory for the zone");
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        m.at = 3;
    while (r == 0) {
        r = read_entry(&m);
        if (r != 0 || m.count == 0)
            break;
        bool directive =
            !m.starts_blank && !m.tokens[0].quoted && m.tokens[0].size && m.tokens[0].text[0] == '$';
        r = directive ? read_directive(&m) : read_record(&m);
    }
    free(m.tokens);
    free(m.data);
    *line = m.entry_line;
    return r;
}
