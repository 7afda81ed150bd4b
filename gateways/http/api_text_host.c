/* Sentences about links and invites, and where the socket lies: shared by the API and the command line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "gateways/http/api_host.h"

_Static_assert(sizeof((struct sockaddr_un *)0)->sun_path == API_SOCKET_PATH_MAX,
               "paths over 107 bytes need the fallback");

/* ---- Where the socket lies ---- */

static int private_folder(char *out, size_t cap)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    struct stat st;
    if (runtime && runtime[0] == '/' && strlen(runtime) + 32 < API_SOCKET_PATH_MAX &&
        stat(runtime, &st) == 0 && st.st_uid == geteuid()) {
        snprintf(out, cap, "%s", runtime);
        return 0;
    }
    snprintf(out, cap, "/tmp/shoal-%u", (unsigned)geteuid());
    if (mkdir(out, 0700) != 0 && errno != EEXIST)
        return ERR_IO;
    if (lstat(out, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
        return ERR_PERMISSION;
    return 0;
}

int api_socket_path(char out[API_SOCKET_PATH_MAX], const char *home, bool *fallback)
{
    char folder[API_SOCKET_PATH_MAX], hex[17];
    uint8_t hash[8];
    *fallback = strlen(home) + sizeof "/api.sock" > API_SOCKET_PATH_MAX;
    if (!*fallback) {
        snprintf(out, API_SOCKET_PATH_MAX, "%s/api.sock", home);
        return 0;
    }
    struct bytes parts[] = {bytes_of("shoal home", 10), bytes_of(home, strlen(home))};
    core_crypto_real.hash(hash, sizeof hash, NULL, 0, parts, 2);
    hex_encode(hex, hash, sizeof hash);
    int r = private_folder(folder, sizeof folder);
    if (r == 0)
        snprintf(out, API_SOCKET_PATH_MAX, "%.70s/shoal-%s.sock", folder, hex);
    return r;
}

void api_socket_find(char out[API_SOCKET_PATH_MAX], const char *home)
{
    char hint[4200], path[4200] = "";
    snprintf(hint, sizeof hint, "%s/api.path", home);
    FILE *f = fopen(hint, "r");
    if (f) {
        if (!fgets(path, sizeof path, f))
            path[0] = 0;
        fclose(f);
        path[strcspn(path, "\n")] = 0;
    }
    if (path[0] != '/')
        snprintf(path, sizeof path, "%s/api.sock", home);
    size_t size = strlen(path);
    bool fits = size < API_SOCKET_PATH_MAX;
    memcpy(out, path, fits ? size : 0);
    out[fits ? size : 0] = 0;
}

/* ---- What is wrong with a link ---- */

static void show_char(char *out, size_t cap, const char *text, size_t at)
{
    unsigned char c = at < strlen(text) ? (unsigned char)text[at] : 0;
    if (c == 0)
        snprintf(out, cap, "it ends there");
    else if (c > 0x20 && c < 0x7f)
        snprintf(out, cap, "'%c' there", c);
    else
        snprintf(out, cap, "a character that no link has");
}

static bool has_prefix(const char *text, const char *prefix)
{
    return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

void link_problem(char *out, size_t cap, const char *text, int code, size_t where)
{
    char at[64];
    size_t size = strlen(text), id = has_prefix(text, "shoal:") ? 6 : 0;
    size_t id_size = id ? strcspn(text + id, "?") : size;
    show_char(at, sizeof at, text, where);
    if (size == 0)
        snprintf(out, cap, "the link is empty; a link begins with shoal:");
    else if (has_prefix(text, "shoal-invite:"))
        snprintf(out, cap, "this is an invite, not a link; use it with `shoal join`");
    else if (code == ERR_CHECKSUM && where <= id)
        snprintf(out, cap,
                 "one of the characters %zu to %zu of the link is wrong: its checksum does not match; copy "
                 "the link again, whole",
                 id + 1, id + CONTENT_ID_TEXT_SIZE);
    else if (code == ERR_CHECKSUM)
        snprintf(out, cap,
                 "the link is wrong somewhere after character %zu: the checksum of a source in it does not "
                 "match; copy it again, whole",
                 where);
    else if (id == 0 && (id_size < 20 || memchr(text, ':', id_size < 12 ? id_size : 12)))
        snprintf(out, cap, "\"%.40s\" is not a link: a link begins with shoal: and an id of %d characters",
                 text, CONTENT_ID_TEXT_SIZE);
    else if (where < id + CONTENT_ID_TEXT_SIZE && where == id + id_size)
        snprintf(
            out, cap,
            "characters are missing: the id in the link ends after %zu of %d; copy the link again, whole",
            id_size, CONTENT_ID_TEXT_SIZE);
    else if (where == id + CONTENT_ID_TEXT_SIZE && id_size > CONTENT_ID_TEXT_SIZE)
        snprintf(out, cap,
                 "the id in the link is too long: %zu characters instead of %d; copy the link again", id_size,
                 CONTENT_ID_TEXT_SIZE);
    else
        snprintf(out, cap,
                 "character %zu of the link is wrong or something is missing before it (%s); copy the link "
                 "again, whole",
                 where + 1, at);
}

void invite_problem(char *out, size_t cap, const char *text, int code)
{
    static const char prefix[] = "shoal-invite:";
    while (*text == ' ' || *text == '\n' || *text == '\t' || *text == '\r')
        text++;
    if (*text == 0) {
        snprintf(out, cap, "the invite is empty; an invite begins with %s", prefix);
    } else if (has_prefix(text, "shoal:")) {
        snprintf(out, cap, "this is a link, not an invite; fetch it with `shoal get`");
    } else if (strncmp(text, prefix, sizeof prefix - 1) != 0) {
        size_t i = 0;
        while (text[i] && text[i] == prefix[i])
            i++;
        snprintf(out, cap,
                 "character %zu of the invite is wrong: an invite begins with %s; copy it again, whole",
                 i + 1, prefix);
    } else if (code == ERR_VERSION) {
        snprintf(out, cap, "the invite was made by a newer version of shoal; install that here");
    } else if (code == ERR_CHECKSUM) {
        snprintf(out, cap,
                 "a character of the invite is wrong or missing: its checksum does not match; copy it again, "
                 "whole");
    } else {
        size_t i = sizeof prefix - 1;
        while ((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z') ||
               (text[i] >= '2' && text[i] <= '7'))
            i++;
        if (text[i] && text[i] != '\n' && text[i] != '\r')
            snprintf(out, cap, "character %zu of the invite is wrong; copy it again, whole", i + 1);
        else
            snprintf(out, cap, "characters of the invite are missing, or one too many; copy it again, whole");
    }
}
