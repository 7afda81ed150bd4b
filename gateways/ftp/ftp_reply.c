/* What is said to the client. */
#include <stdarg.h>
#include <stdio.h>
#include "gateways/ftp/ftp_internal.h"

#define HELP_COLUMNS 8

struct ftp_effect *ftp_effect(struct ftp_effects *out, enum ftp_effect_kind kind)
{
    core_assert(out->count < FTP_EFFECTS_MAX);
    struct ftp_effect *e = &out->items[out->count++];
    *e = (struct ftp_effect){.kind = kind, .size = UINT64_MAX};
    return e;
}

void ftp_say_bytes(struct ftp_effects *out, const void *data, size_t size)
{
    struct ftp_effect *last = out->count ? &out->items[out->count - 1] : NULL;
    core_assert(size <= FTP_TEXT_MAX - out->text_size);
    if (!last || last->kind != FTP_REPLY) {
        last = ftp_effect(out, FTP_REPLY);
        last->text = bytes_of(out->text + out->text_size, 0);
    }
    memcpy(out->text + out->text_size, data, size);
    out->text_size += size;
    last->text.size += size;
}

/* A byte 255 would be a Telnet command; no UTF-8 has one. A line break inside would be a reply of its own. */
static void say(struct ftp_effects *out, const char *prefix, const char *format, va_list ap)
{
    char text[2 * FTP_PATH_MAX + 256];
    int n = vsnprintf(text, sizeof text, format, ap);
    core_assert(n >= 0);
    for (char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20)
            *c = '?';
    }
    ftp_say_bytes(out, prefix, strlen(prefix));
    ftp_say_bytes(out, text, strlen(text));
    ftp_say_bytes(out, "\r\n", 2);
}

static void say_note(struct ftp_session *s, struct ftp_effects *out, unsigned code)
{
    char line[sizeof s->note + 64];
    if (!s->note[0])
        return;
    int n = snprintf(line, sizeof line, "%03u-The owner of this node says: %s\r\n", code, s->note);
    ftp_say_bytes(out, line, (size_t)n);
    s->note[0] = 0;
}

void ftp_say(struct ftp_session *s, struct ftp_effects *out, unsigned code, const char *format, ...)
{
    char prefix[8];
    va_list ap;
    say_note(s, out, code);
    snprintf(prefix, sizeof prefix, "%03u ", code % 1000);
    va_start(ap, format);
    say(out, prefix, format, ap);
    va_end(ap);
}

void ftp_say_first(struct ftp_session *s, struct ftp_effects *out, unsigned code, const char *format, ...)
{
    char prefix[8];
    va_list ap;
    say_note(s, out, code);
    snprintf(prefix, sizeof prefix, "%03u-", code % 1000);
    va_start(ap, format);
    say(out, prefix, format, ap);
    va_end(ap);
}

void ftp_say_line(struct ftp_effects *out, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    say(out, " ", format, ap);
    va_end(ap);
}

/* ---- Failures ---- */

static const struct {
    int status;
    uint16_t read, store, change; /* by intent */
    const char *text;
} failures[] = {
    {ERR_NOT_FOUND, 550, 553, 550, "there is nothing of this name"},
    {ERR_PERMISSION, 550, 553, 550, "this place is not yours"},
    {ERR_NOT_A_FILE, 550, 553, 550, "this is a directory"},
    {ERR_EXISTS, 550, 553, 553, "something of this name is there already"},
    {ERR_MALFORMED, 550, 553, 553, "this name cannot be"},
    {ERR_CHECKSUM, 550, 553, 553, "this content id has a wrong character"},
    {ERR_UNSUPPORTED, 550, 553, 553, "this version cannot do that here"},
    {ERR_NO_SOURCES, 450, 450, 450, "no node that has it could be reached; try again later"},
    {ERR_TIMEOUT, 450, 450, 450, "the nodes that have it did not answer in time; try again later"},
    {ERR_CHANGED, 450, 450, 450, "it is being changed; try again"},
    {ERR_BUSY, 450, 450, 450, "it is in use; try again"},
    {ERR_FULL, 450, 450, 450, "this node has too much to do; try again later"},
    {ERR_NO_SPACE, 452, 452, 452, "the disk of this node is full"},
    {ERR_QUOTA, 552, 552, 552, "this would be over the quota"},
    {ERR_RANGE, 554, 554, 553, "REST lies behind the end of the file"},
};

void ftp_say_failure(struct ftp_session *s, struct ftp_effects *out, int status, enum ftp_intent intent)
{
    if (status == ERR_PERMISSION && intent != INTENT_READ && s->visitor) {
        ftp_say(s, out, 532, "an account is needed for this: USER and PASS, or ACCT with a token");
        return;
    }
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        if (failures[i].status != status)
            continue;
        unsigned code = intent == INTENT_READ    ? failures[i].read
                        : intent == INTENT_STORE ? failures[i].store
                                                 : failures[i].change;
        ftp_say(s, out, code, "%s", failures[i].text);
        return;
    }
    ftp_say(s, out, 451, "this node could not do it: %s", err_text(status));
}

/* ---- Help ---- */

void ftp_feat(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    static const char *const lines[] = {"CLNT", "EPRT", "EPSV", "MDTM"};
    char facts[96];
    (void)now;
    (void)argument;
    ftp_say_first(s, out, 211, "Beyond RFC 959:");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        ftp_say_line(out, "%s", lines[i]);
    ftp_facts_names(facts, sizeof facts, s->facts, true);
    ftp_say_line(out, "MLST %s", facts);
    ftp_say_line(out, "REST STREAM");
    ftp_say_line(out, "SIZE");
    ftp_say_line(out, "TVFS");
    ftp_say_line(out, "UTF8");
    ftp_say_line(out, "XCRC filename;start;end");
    ftp_say(s, out, 211, "End.");
}

void ftp_help(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    char verb[FTP_VERB_MAX], line[HELP_COLUMNS * 6 + 1];
    const char *rest;
    const struct ftp_command *c;
    (void)now;
    if (argument) {
        c = ftp_line_split(argument, verb, &rest) ? ftp_command_find(verb) : NULL;
        if (c && c->act)
            ftp_say(s, out, 214, "Syntax: %s%s%s", c->verb, c->form[0] ? " " : "", c->form);
        else
            ftp_say(s, out, c ? 502 : 501, c ? "%s is not implemented here" : "there is no such command",
                    verb);
        return;
    }
    ftp_say_first(s, out, 214, "These commands are implemented (HELP <command> shows the syntax):");
    size_t n = 0, at = 0;
    for (size_t i = 0; (c = ftp_command_at(i)) != NULL; i++) {
        if (!c->act)
            continue;
        at += (size_t)snprintf(line + at, sizeof line - at, "%-5s ", c->verb);
        if (++n % HELP_COLUMNS == 0) {
            ftp_say_line(out, "%s", line);
            at = 0;
        }
    }
    if (at)
        ftp_say_line(out, "%s", line);
    ftp_say(s, out, 214, "This node is a place of shoal; what is written is shared.");
}
