/* Files and directories looked at and changed. What must be known first (is it a directory?) is asked by
 * FTP_LOOK, one reply at the end. */
#include <stdio.h>
#include <stdlib.h>
#include "gateways/ftp/ftp_internal.h"

bool ftp_path_set(struct ftp_session *s, const char *argument, enum ftp_intent intent,
                  struct ftp_effects *out)
{
    char path[FTP_PATH_MAX];
    if (ftp_path_join(path, s->cwd, argument ? argument : "") != 0) {
        ftp_say(s, out, intent == INTENT_READ ? 550 : 553, "the path is too long, or a name in it");
        return false;
    }
    if (ftp_keep(s, &s->path, path))
        return true;
    ftp_no_memory(s, out);
    return false;
}

static void quoted(struct ftp_session *s, struct ftp_effects *out, const char *path, const char *what)
{
    char text[2 * FTP_PATH_MAX + 3];
    ftp_path_quote(text, sizeof text, path);
    ftp_say(s, out, 257, "%s %s", text, what);
}

void ftp_pwd(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    (void)argument;
    quoted(s, out, s->cwd, "is where you are");
}

/* ---- What is looked at first ---- */

void ftp_look(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    if (strcmp(s->command->verb, "SIZE") == 0 && s->ascii) {
        ftp_say(s, out, 550,
                "the size as text is not known before it is sent: TYPE I first"); /* RFC 3659, 4 */
        return;
    }
    if (!ftp_path_set(s, argument, INTENT_READ, out))
        return;
    ftp_effect(out, FTP_LOOK)->path = s->path;
    ftp_wait_for(s, WAIT_LOOK);
}

void ftp_cwd(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    ftp_look(s, now, argument, out);
}

void ftp_cdup(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)argument;
    ftp_look(s, now, "..", out);
}

static void saw_cwd(struct ftp_session *s, const struct ftp_info *info, struct ftp_effects *out)
{
    if (!info->dir)
        ftp_say(s, out, 550, "this is a file");
    else if (!ftp_keep(s, &s->cwd, s->path))
        ftp_no_memory(s, out);
    else
        ftp_say(s, out, s->command->act == ftp_cdup ? 200 : 250, "you are in %s now", s->cwd);
}

static void saw_size(struct ftp_session *s, const struct ftp_info *info, struct ftp_effects *out)
{
    if (info->dir)
        ftp_say(s, out, 550, "this is a directory");
    else
        ftp_say(s, out, 213, "%llu", (unsigned long long)info->size);
}

static void saw_mdtm(struct ftp_session *s, const struct ftp_info *info, struct ftp_effects *out)
{
    char text[16];
    ftp_time(text, info->mtime_s);
    if (info->mtime_s > 0)
        ftp_say(s, out, 213, "%s", text);
    else
        ftp_say(s, out, 550, "its time is not known");
}

static void saw_mlst(struct ftp_session *s, const struct ftp_info *info, struct ftp_effects *out)
{
    char facts[256];
    ftp_facts(facts, sizeof facts, s->facts, info, NULL);
    ftp_say_first(s, out, 250, "Facts:");
    ftp_say_line(out, "%s %s", facts, s->path);
    ftp_say(s, out, 250, "End.");
}

static void saw_rnfr(struct ftp_session *s, const struct ftp_info *info, struct ftp_effects *out)
{
    (void)info;
    s->phase = PHASE_RENAME; /* s->path stays */
    ftp_say(s, out, 350, "and its new name? RNTO");
}

static void remove_seen(struct ftp_session *s, const struct ftp_info *info, bool dir, struct ftp_effects *out)
{
    if (info->dir != dir) {
        ftp_say(s, out, 550, dir ? "this is a file: DELE" : "this is a directory: RMD");
        return;
    }
    ftp_effect(out, FTP_REMOVE)->path = s->path;
    ftp_wait_for(s, WAIT_DONE);
}

static void saw_dele(struct ftp_session *s, const struct ftp_info *info, struct ftp_effects *out)
{
    remove_seen(s, info, false, out);
}

static void saw_rmd(struct ftp_session *s, const struct ftp_info *info, struct ftp_effects *out)
{
    remove_seen(s, info, true, out);
}

static const struct {
    char verb[FTP_VERB_MAX];
    enum ftp_intent intent;
    void (*saw)(struct ftp_session *s, const struct ftp_info *info, struct ftp_effects *out);
} looks[] = {
    {"CWD", INTENT_READ, saw_cwd},   {"XCWD", INTENT_READ, saw_cwd},    {"CDUP", INTENT_READ, saw_cwd},
    {"XCUP", INTENT_READ, saw_cwd},  {"SIZE", INTENT_READ, saw_size},   {"MDTM", INTENT_READ, saw_mdtm},
    {"MLST", INTENT_READ, saw_mlst}, {"RNFR", INTENT_CHANGE, saw_rnfr}, {"DELE", INTENT_CHANGE, saw_dele},
    {"RMD", INTENT_CHANGE, saw_rmd}, {"XRMD", INTENT_CHANGE, saw_rmd},
};

void ftp_session_looked(struct ftp_session *s, core_time now, int status, const struct ftp_info *info,
                        struct ftp_effects *out)
{
    size_t i = 0;
    core_assert(s->wait == WAIT_LOOK);
    while (strcmp(looks[i].verb, s->command->verb) != 0) {
        i++;
        core_assert(i < sizeof looks / sizeof *looks);
    }
    s->wait = WAIT_NONE;
    if (status == 0)
        looks[i].saw(s, info, out);
    else
        ftp_say_failure(s, out, status, looks[i].intent);
    if (s->wait == WAIT_NONE)
        ftp_idle(s, now);
}

/* ---- What is changed ---- */

void ftp_mkd(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    if (!ftp_path_set(s, argument, INTENT_CHANGE, out))
        return;
    ftp_effect(out, FTP_MKDIR)->path = s->path;
    ftp_wait_for(s, WAIT_DONE);
}

void ftp_rnto(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    char to[FTP_PATH_MAX];
    (void)now;
    s->phase = PHASE_READY;
    if (ftp_path_join(to, s->cwd, argument) != 0) {
        ftp_say(s, out, 553, "the path is too long, or a name in it");
        return;
    }
    if (!ftp_keep(s, &s->other, to)) {
        ftp_no_memory(s, out);
        return;
    }
    struct ftp_effect *e = ftp_effect(out, FTP_RENAME);
    e->path = s->path;
    e->other = s->other;
    ftp_wait_for(s, WAIT_DONE);
}

void ftp_session_done(struct ftp_session *s, core_time now, int status, struct ftp_effects *out)
{
    core_assert(s->wait == WAIT_DONE);
    bool made = s->command->act == ftp_mkd, removed = s->command->act == ftp_look;
    if (status == ERR_EXISTS && made)
        ftp_say(s, out, 550, "something of this name is there already");
    else if (status == ERR_EXISTS && removed)
        ftp_say(s, out, 550, "the directory is not empty");
    else if (status != 0)
        ftp_say_failure(s, out, status, INTENT_CHANGE);
    else if (made)
        quoted(s, out, s->path, "is there now");
    else
        ftp_say(s, out, 250, removed ? "it is gone, and not shared any more" : "it has its new name");
    ftp_idle(s, now);
}

/* ---- Checksums ---- */

/* `"a b" 0 100`, `a b`, `"a b"`. The quotes are only for what follows them. */
static bool xcrc_arguments(struct ftp_session *s, const char *argument, uint64_t *from, uint64_t *to,
                           struct ftp_effects *out)
{
    char name[FTP_LINE_MAX + 1], number[24];
    uint64_t *numbers[] = {from, to};
    const char *end = argument[0] == '"' ? strchr(argument + 1, '"') : NULL;
    *from = 0;
    *to = UINT64_MAX;
    if (!end)
        return ftp_path_set(s, argument, INTENT_READ, out);
    snprintf(name, sizeof name, "%.*s", (int)(end - argument - 1), argument + 1);
    end++;
    for (size_t i = 0; *end; i++) {
        size_t n = *end == ' ' ? strcspn(end + 1, " ") : 0;
        snprintf(number, sizeof number, "%.*s", (int)(n < sizeof number ? n : 0), end + 1);
        if (i == 2 || !ftp_number_parse(numbers[i], number)) {
            ftp_say(s, out, 501, "XCRC takes a path, or \"path\" start end");
            return false;
        }
        end += n + 1;
    }
    if (*to < *from) {
        ftp_say(s, out, 501, "the end lies before the start");
        return false;
    }
    return ftp_path_set(s, name, INTENT_READ, out);
}

void ftp_xcrc(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    uint64_t from, to;
    (void)now;
    if (!xcrc_arguments(s, argument, &from, &to, out))
        return;
    struct ftp_effect *e = ftp_effect(out, FTP_SUM);
    e->path = s->path;
    e->offset = from;
    e->size = to == UINT64_MAX ? UINT64_MAX : to - from;
    ftp_wait_for(s, WAIT_SUM);
}

void ftp_session_summed(struct ftp_session *s, core_time now, int status, uint32_t crc,
                        struct ftp_effects *out)
{
    core_assert(s->wait == WAIT_SUM);
    if (status == 0)
        ftp_say(s, out, 250, "%08X", crc);
    else
        ftp_say_failure(s, out, status, INTENT_READ);
    ftp_idle(s, now);
}
