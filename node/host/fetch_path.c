#include "node/host/fetch_path.h"
#include <stdio.h>
#include <string.h>
#include "node/base/err.h"

/* ".part.map" and a random suffix of the data plane's temporary files must still fit into 255 bytes. */
#define NAME_SIZE_MAX (CONTENT_NAME_MAX - 32)

/* Cuts at NAME_SIZE_MAX without leaving half a character behind. */
static size_t name_size_cut(const char *name)
{
    size_t size = strlen(name);
    if (size <= NAME_SIZE_MAX)
        return size;
    size = NAME_SIZE_MAX;
    while (size > 0 && ((uint8_t)name[size] & 0xc0u) == 0x80u)
        size--;
    return size;
}

void fetch_path_name(char out[CONTENT_NAME_MAX + 1], const struct link *link)
{
    size_t size = name_size_cut(link->name);
    for (size_t i = 0; i < size; i++) {
        uint8_t c = (uint8_t)link->name[i];
        out[i] = c < 0x20 || c == 0x7f || c == '/' ? '_' : (char)c;
    }
    out[size] = 0;
    if (strcmp(out, ".") == 0 || strcmp(out, "..") == 0)
        out[0] = 0;
    if (out[0] == '.' && out[1] == '.')
        out[0] = '_';
    if (out[0] == 0) {
        char text[CONTENT_ID_TEXT_SIZE + 1];
        content_id_format(text, &link->id);
        memcpy(out, text, 12);
        out[12] = 0;
    }
}

int fetch_path_join(char *out, size_t cap, const char *directory, const char *name)
{
    size_t size = strlen(directory);
    const char *slash = size == 0 || name[0] == 0 || directory[size - 1] == '/' ? "" : "/";
    int n = snprintf(out, cap, "%s%s%s", directory, slash, name);
    return n < 0 || (size_t)n >= cap ? ERR_RANGE : 0;
}

int fetch_path_append(char *path, size_t cap, const char *suffix)
{
    size_t size = strlen(path), more = strlen(suffix);
    if (size + more >= cap)
        return ERR_RANGE;
    memcpy(path + size, suffix, more + 1);
    return 0;
}

void fetch_path_trim(char *path)
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        path[--size] = 0;
}

int fetch_select_normalize(char *out, size_t cap, const char *in)
{
    size_t used = 0;
    while (*in) {
        size_t size = strcspn(in, "/");
        bool skip = size == 0 || (size == 1 && in[0] == '.');
        if (size == 2 && in[0] == '.' && in[1] == '.')
            return ERR_RANGE;
        if (!skip) {
            if (used + size + 2 > cap)
                return ERR_RANGE;
            if (used)
                out[used++] = '/';
            memcpy(out + used, in, size);
            used += size;
        }
        in += size;
        while (*in == '/')
            in++;
    }
    if (used == 0 || cap == 0)
        return ERR_RANGE;
    out[used] = 0;
    return 0;
}

/* True when `above` is a directory above `path` (a proper prefix that ends at a slash). */
static bool path_is_above(const char *above, const char *path)
{
    size_t size = strlen(above);
    return size == 0 ? path[0] != 0 : strncmp(above, path, size) == 0 && path[size] == '/';
}

enum fetch_match fetch_select_match(const char *const *select, size_t count, const char *path, int *which)
{
    enum fetch_match best = count == 0 ? FETCH_MATCH_ALL : FETCH_MATCH_NONE;
    if (which)
        *which = -1;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(select[i], path) == 0) {
            if (which)
                *which = (int)i;
            best = FETCH_MATCH_ALL;
        } else if (path_is_above(select[i], path)) {
            best = FETCH_MATCH_ALL;
        } else if (best == FETCH_MATCH_NONE && path_is_above(path, select[i])) {
            best = FETCH_MATCH_INSIDE;
        }
    }
    return best;
}
