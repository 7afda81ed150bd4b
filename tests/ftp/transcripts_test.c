/* The FTP session against golden transcripts (tests/ftp/transcripts/<name>.md), and that every reply code
 * which issue 5 names is produced by one of them.
 *
 * A transcript's code blocks have lines that give, and lines that are expected after each, all of them and in
 * this order:
 *
 *     C: USER alice            a line of the client (\r \n \x.. as in C; CR LF is added)
 *     R: STAT\r\nNOOP\r\n      bytes as they are
 *     A: opened 0 300          the host's answer to a wish: function, status, what it tells
 *     T: 600                   seconds go by
 *     S: 331 the password...   a line of the server
 *     H: login alice secret    a wish
 *     #: ...                   a setting before the first line: anonymous off, v6
 *
 * With SHOAL_TRANSCRIPT=<file> that file is printed as it would be right now, to be read before it is
 * believed. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "gateways/ftp/ftp_session.h"
#include "node/base/err.h"

#define SECOND CORE_SECONDS(1)

struct play {
    const char *name;
    unsigned line;
    struct ftp_config config;
    struct net_addr peer, local;
    struct ftp_session *s;
    struct ftp_effects out;
    core_time now;
    char told[65536]; /* lines not yet expected */
    size_t told_size;
    bool codes[1000], print;
};

static void tell(struct play *p, const char *kind, const char *text, size_t size)
{
    int n =
        snprintf(p->told + p->told_size, sizeof p->told - p->told_size, "%s: %.*s\n", kind, (int)size, text);
    p->told_size += (size_t)n;
    assert_true(p->told_size < sizeof p->told);
}

static void tell_reply(struct play *p, struct bytes text)
{
    const char *at = (const char *)text.data, *end = at + text.size;
    if ((unsigned char)at[0] == 255) { /* answers to Telnet offers come by themselves */
        char hex[200];
        for (size_t i = 0; i < text.size; i++)
            snprintf(hex + 3 * i, 4, " %02x", text.data[i]);
        tell(p, "S", hex + 1, 3 * text.size - 1);
        return;
    }
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        assert_non_null(stop);
        assert_true(stop > at && stop[-1] == '\r');
        if (at[0] >= '1' && at[0] <= '5' && (at[3] == ' ' || at[3] == '-'))
            p->codes[atoi(at) % 1000] = true;
        tell(p, "S", at, (size_t)(stop - at - 1));
        at = stop + 1;
    }
}

static const char *path_of(const char *path)
{
    return path ? path : "(out)";
}

static void tell_wish(struct play *p, const struct ftp_effect *e)
{
    static const char *const stores[] = {"new", "whole", "behind"}, *const forms[] = {"long", "names",
                                                                                      "facts"};
    char text[9000], addr[NET_ADDR_TEXT_MAX], offset[32] = "all";
    int n = 0;
    if (e->offset != UINT64_MAX)
        snprintf(offset, sizeof offset, "%llu", (unsigned long long)e->offset);
    switch (e->kind) {
    case FTP_REPLY:
        tell_reply(p, e->text);
        return;
    case FTP_TOLD:
        return; /* command_lines_are_told below */
    case FTP_CLIENT:
        n = snprintf(text, sizeof text, "client %s", e->path);
        break;
    case FTP_WHO:
        n = snprintf(text, sizeof text, "who %s", path_of(e->path));
        break;
    case FTP_LOGIN:
        n = snprintf(text, sizeof text, "login %s %s", e->path, e->other);
        break;
    case FTP_TOKEN:
        n = snprintf(text, sizeof text, "token %s", e->path);
        break;
    case FTP_LISTEN:
        n = snprintf(text, sizeof text, "listen%s", e->v6 ? " extended" : "");
        break;
    case FTP_DIAL:
        n = snprintf(text, sizeof text, "dial %s", net_addr_format(addr, &e->addr));
        break;
    case FTP_DATA_CLOSE:
        n = snprintf(text, sizeof text, "data close");
        break;
    case FTP_LOOK:
        n = snprintf(text, sizeof text, "look %s", e->path);
        break;
    case FTP_OPEN_SEND:
        n = snprintf(text, sizeof text, "open %s", e->path);
        break;
    case FTP_OPEN_LIST:
        n = snprintf(text, sizeof text, "open list %s %s %s", forms[e->form], e->path,
                     e->pattern ? e->pattern : "");
        break;
    case FTP_OPEN_STORE:
        n = snprintf(text, sizeof text, "open store %s %s", stores[e->store], e->path);
        if (e->store == FTP_STORE_BEHIND)
            n += snprintf(text + n, sizeof text - (size_t)n, " from %s", offset);
        if (e->size != UINT64_MAX)
            n += snprintf(text + n, sizeof text - (size_t)n, " of %llu", (unsigned long long)e->size);
        break;
    case FTP_MOVE:
        n = snprintf(text, sizeof text, "move%s%s from %s", e->ascii ? " text" : "",
                     e->control ? " control" : "", offset);
        break;
    case FTP_SUM:
        n = snprintf(text, sizeof text, "sum %s from %s", e->path, offset);
        if (e->size != UINT64_MAX)
            n += snprintf(text + n, sizeof text - (size_t)n, " of %llu", (unsigned long long)e->size);
        break;
    case FTP_REMOVE:
        n = snprintf(text, sizeof text, "remove %s", e->path);
        break;
    case FTP_MKDIR:
        n = snprintf(text, sizeof text, "mkdir %s", e->path);
        break;
    case FTP_RENAME:
        n = snprintf(text, sizeof text, "rename %s to %s", e->path, e->other);
        break;
    case FTP_CANCEL:
        n = snprintf(text, sizeof text, "cancel");
        break;
    case FTP_HANGUP:
        n = snprintf(text, sizeof text, "hang up");
        break;
    }
    while (n > 0 && text[n - 1] == ' ')
        n--;
    tell(p, "H", text, (size_t)n);
}

static void carry_out(struct play *p)
{
    for (uint32_t i = 0; i < p->out.count; i++)
        tell_wish(p, &p->out.items[i]);
    ftp_effects_reset(&p->out);
    ftp_session_check(p->s);
}

static void go_on(struct play *p)
{
    carry_out(p);
    while (ftp_session_step(p->s, p->now, &p->out))
        carry_out(p);
    carry_out(p);
}

static void give(struct play *p, const char *data, size_t size)
{
    while (size > 0 && ftp_session_room(p->s)) {
        size_t n = ftp_session_room(p->s);
        n = n < size ? n : size;
        ftp_session_give(p->s, p->now, bytes_of(data, n), &p->out);
        data += n;
        size -= n;
        go_on(p);
    }
}

/* \r \n \\ \xHH; "*N c": N times c. Returns the size. */
static size_t unescape(char *out, size_t cap, const char *text)
{
    size_t n = 0;
    for (; *text; text++) {
        char c = *text;
        unsigned count = 1;
        if (c == '\\' && text[1] == 'x') {
            char hex[3] = {text[2], text[3], 0};
            c = (char)strtoul(hex, NULL, 16);
            text += 3;
        } else if (c == '\\' && text[1] == '*') {
            count = (unsigned)strtoul(text + 2, (char **)&text, 10);
            c = *text;
        } else if (c == '\\') {
            c = *++text == 'r' ? '\r' : *text == 'n' ? '\n' : *text;
        }
        while (count-- && n < cap)
            out[n++] = c;
    }
    return n;
}

static const struct {
    const char *name;
    int code;
} statuses[] = {
    {"0", 0},
    {"not-found", ERR_NOT_FOUND},
    {"permission", ERR_PERMISSION},
    {"not-a-file", ERR_NOT_A_FILE},
    {"exists", ERR_EXISTS},
    {"no-sources", ERR_NO_SOURCES},
    {"timeout", ERR_TIMEOUT},
    {"changed", ERR_CHANGED},
    {"busy", ERR_BUSY},
    {"full", ERR_FULL},
    {"no-space", ERR_NO_SPACE},
    {"quota", ERR_QUOTA},
    {"range", ERR_RANGE},
    {"io", ERR_IO},
    {"closed", ERR_CLOSED},
    {"malformed", ERR_MALFORMED},
    {"checksum", ERR_CHECKSUM},
    {"unsupported", ERR_UNSUPPORTED},
    {"no-memory", ERR_NO_MEMORY},
};

static int status_of(const char *name)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        if (strcmp(statuses[i].name, name) == 0)
            return statuses[i].code;
    }
    fail_msg("no status named %s", name);
    return 0;
}

static void answer(struct play *p, char *text)
{
    char *words[6] = {"", "0", "", "", "", ""}, *rest = text;
    for (int i = 0; i < 6; i++) {
        char *word = strtok_r(i ? NULL : text, " ", &rest);
        if (!word)
            break;
        words[i] = word;
    }
    int status =
        strcmp(words[0], "end") == 0 || strcmp(words[0], "message") == 0 || strcmp(words[0], "abort") == 0
            ? 0
            : status_of(words[1]);
    uint64_t number = strtoull(words[2], NULL, 10);
    if (strcmp(words[0], "logged-in") == 0) {
        ftp_session_logged_in(p->s, p->now, status, words[2], (uint32_t)number, &p->out);
    } else if (strcmp(words[0], "listening") == 0) {
        struct net_addr a = p->local;
        a.port = (uint16_t)number;
        ftp_session_listening(p->s, p->now, status, &a, &p->out);
    } else if (strcmp(words[0], "looked") == 0) { /* looked 0 file 300 1700000000 | looked 0 dir */
        struct ftp_info info = {.name = "name",
                                .dir = strcmp(words[2], "dir") == 0,
                                .size = strtoull(words[3], NULL, 10),
                                .mtime_s = strtoll(words[4], NULL, 10),
                                .id = words[5]};
        ftp_session_looked(p->s, p->now, status, &info, &p->out);
    } else if (strcmp(words[0], "opened") == 0) {
        ftp_session_opened(p->s, p->now, status, number, &p->out);
    } else if (strcmp(words[0], "moved") == 0) {
        ftp_session_moved(p->s, p->now, status, number, &p->out);
    } else if (strcmp(words[0], "summed") == 0) {
        ftp_session_summed(p->s, p->now, status, (uint32_t)number, &p->out);
    } else if (strcmp(words[0], "done") == 0) {
        ftp_session_done(p->s, p->now, status, &p->out);
    } else if (strcmp(words[0], "data") == 0) {
        ftp_session_data(p->s, p->now, status, &p->out);
    } else if (strcmp(words[0], "progress") == 0) {
        ftp_session_progress(p->s, p->now, number);
    } else if (strcmp(words[0], "end") == 0) {
        ftp_session_end(p->s, p->now, "the node stops", &p->out);
    } else if (strcmp(words[0], "abort") == 0) {
        ftp_session_abort(p->s, p->now, &p->out);
    } else if (strcmp(words[0], "message") == 0) {
        assert_true(ftp_session_message(p->s, words[1]));
    } else {
        fail_msg("%s:%u: no answer named %s", p->name, p->line, words[0]);
    }
    go_on(p);
}

static void begin(struct play *p)
{
    if (p->s)
        return;
    p->s = ftp_session_new(&core_alloc_libc, p->now, &p->config, &p->peer, &p->local, &p->out);
    assert_non_null(p->s);
    go_on(p);
}

static void expect(struct play *p, const char *line)
{
    size_t n = strlen(line);
    if (p->told_size <= n || strncmp(p->told, line, n) != 0 || p->told[n] != '\n')
        fail_msg("%s:%u: expected\n%s\nbut what came is\n%.*s", p->name, p->line, line, (int)p->told_size,
                 p->told);
    memmove(p->told, p->told + n + 1, p->told_size - n - 1);
    p->told_size -= n + 1;
}

static void expect_nothing(struct play *p)
{
    if (p->told_size)
        fail_msg("%s:%u: before this line came, unexpected,\n%.*s", p->name, p->line, (int)p->told_size,
                 p->told);
}

static void flush(struct play *p)
{
    fwrite(p->told, 1, p->told_size, stdout);
    p->told_size = 0;
}

static void play_line(struct play *p, char *line)
{
    static char raw[200000];
    char *text = line + 3;
    if (line[0] == '#') {
        p->config.anonymous = strcmp(text, "anonymous off") != 0 && p->config.anonymous;
        if (strcmp(text, "v6") == 0) {
            net_addr_parse(&p->peer, "[2001:db8::7]:50000");
            net_addr_parse(&p->local, "[2001:db8::1]:21");
        }
        return;
    }
    begin(p);
    if (p->print) {
        flush(p);
        if (line[0] == 'S' || line[0] == 'H')
            return;
        puts(line);
    } else if (line[0] == 'S' || line[0] == 'H') {
        expect(p, line);
        return;
    }
    expect_nothing(p);
    if (line[0] == 'C' || line[0] == 'R') {
        size_t n = unescape(raw, sizeof raw - 2, text);
        if (line[0] == 'C') {
            raw[n++] = '\r';
            raw[n++] = '\n';
        }
        give(p, raw, n);
    } else if (line[0] == 'A') {
        answer(p, text);
    } else if (line[0] == 'T') {
        p->now += SECOND * strtoull(text, NULL, 10);
        if (p->now >= ftp_session_deadline(p->s))
            ftp_session_wake(p->s, p->now, &p->out);
        go_on(p);
    } else {
        fail_msg("%s:%u: what is this? %s", p->name, p->line, line);
    }
}

static void play_reset(struct play *p)
{
    ftp_session_free(p->s);
    p->s = NULL;
    p->now = SECOND;
    p->peer = net_addr_v4(10, 0, 0, 7, 50000);
    p->local = net_addr_v4(10, 0, 0, 1, 21);
    ftp_config_default(&p->config);
}

/* Each code block is a conversation of its own. */
static void play_file(struct play *p, const char *path)
{
    char line[16384];
    bool inside = false;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    p->name = path;
    p->line = 0;
    while (fgets(line, sizeof line, f)) {
        p->line++;
        line[strcspn(line, "\n")] = 0;
        if (p->print && (!inside || line[0] == '#' || line[0] == '`')) {
            flush(p);
            puts(line);
        }
        if (strcmp(line, "```") == 0) {
            if (inside)
                expect_nothing(p);
            inside = !inside;
            play_reset(p);
        } else if (inside && line[0]) {
            if (line[1] != ':' || (line[2] != ' ' && line[2] != 0))
                fail_msg("%s:%u: what is this? %s", path, p->line, line);
            play_line(p, line);
        }
    }
    assert_false(inside);
    fclose(f);
}

static bool codes_seen[1000];

static void transcripts(void **state)
{
    static struct play p;
    const char *folder = TEST_DATA_DIR "/ftp/transcripts";
    struct dirent *d;
    unsigned files = 0;
    (void)state;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    while ((d = readdir(dir))) {
        char path[1024];
        const char *dot = strrchr(d->d_name, '.');
        if (!dot || strcmp(dot, ".md") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, d->d_name);
        memset(&p, 0, sizeof p);
        play_file(&p, path);
        for (int i = 0; i < 1000; i++)
            codes_seen[i] |= p.codes[i];
        files++;
    }
    closedir(dir);
    assert_true(files >= 6);
}

static void every_code_is_produced(void **state)
{
    static const uint16_t codes[] = {125, 150, 200, 202, 211, 213, 214, 215, 220, 221, 225, 226, 227,
                                     229, 230, 250, 257, 331, 332, 350, 421, 425, 426, 450, 451, 452,
                                     500, 501, 502, 503, 504, 522, 530, 532, 550, 551, 552, 553, 554};
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (!codes_seen[codes[i]])
            fail_msg("no transcript produces %u", codes[i]);
    }
}

/* What lists of sessions are told never has a password or a token in it. */
static void command_lines_are_told(void **state)
{
    static struct ftp_effects out;
    static const char input[] = "USER alice\r\nPASS hunter2\r\nACCT secret-token\r\nNOOP\r\n";
    struct ftp_config config;
    struct net_addr a = net_addr_v4(127, 0, 0, 1, 9);
    char all[512] = "";
    (void)state;
    ftp_config_default(&config);
    ftp_effects_reset(&out);
    struct ftp_session *s = ftp_session_new(&core_alloc_libc, 0, &config, &a, &a, &out);
    ftp_session_give(s, 0, bytes_of(input, sizeof input - 1), &out);
    for (;;) {
        for (uint32_t i = 0; i < out.count; i++) {
            if (out.items[i].kind == FTP_TOLD) {
                strcat(all, out.items[i].path);
                strcat(all, "|");
            }
            if (out.items[i].kind == FTP_LOGIN) {
                ftp_effects_reset(&out);
                ftp_session_logged_in(s, 0, ERR_PERMISSION, "", 0, &out);
            }
        }
        ftp_effects_reset(&out);
        if (!ftp_session_step(s, 0, &out))
            break;
    }
    assert_string_equal(all, "USER alice|PASS ***|ACCT ***|NOOP|");
    ftp_session_free(s);
}

static uint32_t refuse_at, asked;
static void *failing(void *context, size_t size)
{
    (void)context;
    return ++asked == refuse_at ? NULL : calloc(1, size);
}
static void give_back(void *context, void *memory)
{
    (void)context;
    free(memory);
}

/* Memory that runs out at any moment ends the session or one command, and nothing else. */
static void no_memory(void **state)
{
    static struct ftp_effects out;
    static const char input[] = "USER ftp\r\nPASS x\r\nCWD shared\r\nEPSV\r\nLIST *.txt\r\n";
    const struct core_alloc alloc = {failing, give_back, NULL};
    struct ftp_config config;
    struct net_addr a = net_addr_v4(127, 0, 0, 1, 9);
    (void)state;
    ftp_config_default(&config);
    for (refuse_at = 1; refuse_at < 40; refuse_at++) {
        asked = 0;
        ftp_effects_reset(&out);
        struct ftp_session *s = ftp_session_new(&alloc, 0, &config, &a, &a, &out);
        if (!s)
            continue;
        if (ftp_session_room(s) >= sizeof input - 1)
            ftp_session_give(s, 0, bytes_of(input, sizeof input - 1), &out);
        bool more = true;
        while (more) {
            bool look = false, listen_ = false;
            for (uint32_t i = 0; i < out.count; i++) {
                look |= out.items[i].kind == FTP_LOOK;
                listen_ |= out.items[i].kind == FTP_LISTEN;
            }
            ftp_effects_reset(&out);
            if (look)
                ftp_session_looked(s, 0, 0, &(struct ftp_info){.dir = true, .name = "shared"}, &out);
            else if (listen_)
                ftp_session_listening(s, 0, 0, &a, &out);
            ftp_session_check(s);
            more = ftp_session_step(s, 0, &out) || out.count;
        }
        ftp_session_free(s);
    }
    assert_true(asked > 8 && asked < 40);
}

int main(void)
{
    if (getenv("SHOAL_TRANSCRIPT")) {
        static struct play p = {.print = true};
        play_file(&p, getenv("SHOAL_TRANSCRIPT"));
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transcripts),
        cmocka_unit_test(every_code_is_produced),
        cmocka_unit_test(command_lines_are_told),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
