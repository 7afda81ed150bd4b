#include "node/host/config_save.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "node/base/err.h"
#include "node/host/home.h"

#define FILE_MAX (1u << 20)

static const char *line_end(const char *line)
{
    const char *end = strchr(line, '\n');
    return end ? end + 1 : line + strlen(line);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* "[section]" */
static bool is_head(const char *line, const char *section)
{
    size_t size = strlen(section);
    while (is_blank(*line))
        line++;
    return line[0] == '[' && (!*section || (strncmp(line + 1, section, size) == 0 && line[size + 1] == ']'));
}

/* "key =" or "key:"; a line that begins with a blank goes on with the value above it (inih). */
static bool is_key(const char *line, const char *key)
{
    size_t size = strlen(key);
    if (strncmp(line, key, size) != 0)
        return false;
    for (line += size; is_blank(*line); line++)
        ;
    return *line == '=' || *line == ':';
}

static bool goes_on(const char *line)
{
    const char *p = line;
    while (is_blank(*p))
        p++;
    return p > line && *p && *p != '\n' && *p != '\r' && *p != ';' && *p != '#' && *p != '[';
}

char *config_change(const char *text, const char *section, const char *key, const char *value)
{
    const char *at = NULL, *rest = NULL; /* what is replaced lies between them */
    bool inside = false, found = false;
    for (const char *line = text; *line && !found; line = line_end(line)) {
        if (is_head(line, "")) {
            inside = !at && is_head(line, section);
            if (inside)
                at = rest = line_end(line);
        } else if (inside && is_key(line, key)) {
            at = line;
            rest = line_end(line);
            while (goes_on(rest))
                rest = line_end(rest);
            found = true;
        }
    }
    bool has_section = at != NULL;
    if (!has_section)
        at = rest = text + strlen(text);
    bool broken = at > text && at[-1] != '\n'; /* the last line lacks its end */
    size_t size = strlen(text) + strlen(section) + strlen(key) + strlen(value) + 16;
    char *out = malloc(size);
    if (!out)
        return NULL;
    int n = snprintf(out, size, "%.*s%s", (int)(at - text), text, broken ? "\n" : "");
    if (!has_section)
        n += snprintf(out + n, size - (size_t)n, "%s[%s]\n", n ? "\n" : "", section);
    snprintf(out + n, size - (size_t)n, "%s = %s\n%s", key, value, rest);
    return out;
}

static int read_whole(const char *path, char **out)
{
    FILE *f = fopen(path, "re");
    *out = calloc(1, FILE_MAX + 1);
    if (!*out || (!f && errno != ENOENT)) {
        int r = *out ? home_errno(errno) : ERR_NO_MEMORY;
        if (f)
            fclose(f);
        free(*out);
        return r;
    }
    if (!f)
        return 0;
    size_t n = fread(*out, 1, FILE_MAX + 1, f);
    int r = ferror(f) ? ERR_IO : n > FILE_MAX ? ERR_RANGE : 0;
    fclose(f);
    if (r)
        free(*out);
    return r;
}

int config_save(const char *home, const char *section, const char *key, const char *value)
{
    char path[4200], *text, *changed;
    snprintf(path, sizeof path, "%s/shoal.ini", home);
    int r = read_whole(path, &text);
    if (r)
        return r;
    changed = config_change(text, section, key, value);
    free(text);
    if (!changed)
        return ERR_NO_MEMORY;
    r = home_write_file(path, bytes_of(changed, strlen(changed)));
    free(changed);
    return r;
}
