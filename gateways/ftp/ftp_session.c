/* The table of commands: which may run when, and what runs. Lines, logging in, and what only sets a switch.
 */
#include "gateways/ftp/ftp_session.h"
#include <stdio.h>
#include "gateways/ftp/ftp_internal.h"

#define OVERLONG_MAX (1u << 20) /* of lines that are thrown away, in one session: then the end [bytes] */
#define ANSWER_CAP   128        /* to Telnet offers, in one call */

void ftp_config_default(struct ftp_config *c)
{
    *c = (struct ftp_config){
        .anonymous = true, .idle_s = 600, .login_s = 60, .data_s = 30, .stall_s = 120, .stou_first = 1};
}

/* ---- The table ---- */

enum class {
    CLASS_FREE, /* at any time */
    CLASS_USER,
    CLASS_PASS,
    CLASS_ACCT,
    CLASS_INSIDE, /* once logged in */
    CLASS_RNTO,
    CLASS_ABOR,
    CLASS_STAT,
    CLASSES
};
enum verdict {
    RUN,
    HOLD, /* until the answer that is awaited has come */
    OVER, /* runs although an answer is awaited, when that makes sense, else as HOLD */
    N503, /* out of order */
    N530, /* not logged in */
    N332, /* an account is needed */
    N202  /* nothing to do any more */
};
/* command x state -> what happens */
/* clang-format off */
static const uint8_t verdicts[CLASSES][PHASES] = {
    /*                 START NAMED ACCOUNT READY RENAME WAIT */
    [CLASS_FREE] =   {RUN,  RUN,  RUN,    RUN,  RUN,   HOLD},
    [CLASS_USER] =   {RUN,  RUN,  RUN,    RUN,  RUN,   HOLD},
    [CLASS_PASS] =   {N503, RUN,  N503,   N202, N202,  HOLD},
    [CLASS_ACCT] =   {N503, N503, RUN,    RUN,  RUN,   HOLD},
    [CLASS_INSIDE] = {N530, N530, N332,   RUN,  RUN,   HOLD},
    [CLASS_RNTO] =   {N530, N530, N332,   N503, RUN,   HOLD},
    [CLASS_ABOR] =   {RUN,  RUN,  RUN,    RUN,  RUN,   OVER},
    [CLASS_STAT] =   {N530, N530, N332,   RUN,  RUN,   OVER},
};
/* clang-format on */

static void do_user(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
static void do_pass(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
static void do_acct(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
static void do_quit(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
static void do_rein(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
static void do_type(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
static void do_mode(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
static void do_stru(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
static void do_rest(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
static void do_allo(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
static void do_opts(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
static void do_syst(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
static void do_noop(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
static void do_clnt(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);
static void do_site(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out);

/* Sorted by verb. No act: known, and not implemented (502). */
static const struct ftp_command commands[] = {
    {"ABOR", CLASS_ABOR, ARG_NONE, ftp_abor, ""},
    {"ACCT", CLASS_ACCT, ARG_MUST, do_acct, "<token of an account>"},
    {"ADAT", CLASS_FREE, ARG_MAY, NULL, ""},
    {"ALLO", CLASS_INSIDE, ARG_MUST, do_allo, "<bytes of the next upload> [R <bytes>]"},
    {"APPE", CLASS_INSIDE, ARG_MUST, ftp_appe, "<path>"},
    {"AUTH", CLASS_FREE, ARG_MAY, NULL, ""},
    {"CCC", CLASS_FREE, ARG_MAY, NULL, ""},
    {"CDUP", CLASS_INSIDE, ARG_NONE, ftp_cdup, ""},
    {"CLNT", CLASS_FREE, ARG_MUST, do_clnt, "<name of your program>"},
    {"CONF", CLASS_FREE, ARG_MAY, NULL, ""},
    {"CWD", CLASS_INSIDE, ARG_MUST, ftp_cwd, "<path>"},
    {"DELE", CLASS_INSIDE, ARG_MUST, ftp_look, "<path>"},
    {"ENC", CLASS_FREE, ARG_MAY, NULL, ""},
    {"EPRT", CLASS_INSIDE, ARG_MUST, ftp_eprt, "|1 or 2|<address>|<port>|"},
    {"EPSV", CLASS_INSIDE, ARG_MAY, ftp_epsv, "[1, 2 or ALL]"},
    {"FEAT", CLASS_FREE, ARG_NONE, ftp_feat, ""},
    {"HELP", CLASS_FREE, ARG_MAY, ftp_help, "[<command>]"},
    {"LANG", CLASS_FREE, ARG_MAY, NULL, ""},
    {"LIST", CLASS_INSIDE, ARG_MAY, ftp_list, "[<path>]"},
    {"LPRT", CLASS_FREE, ARG_MAY, NULL, ""},
    {"LPSV", CLASS_FREE, ARG_MAY, NULL, ""},
    {"MDTM", CLASS_INSIDE, ARG_MUST, ftp_look, "<path>"},
    {"MIC", CLASS_FREE, ARG_MAY, NULL, ""},
    {"MKD", CLASS_INSIDE, ARG_MUST, ftp_mkd, "<path>"},
    {"MLSD", CLASS_INSIDE, ARG_MAY, ftp_mlsd, "[<path>]"},
    {"MLST", CLASS_INSIDE, ARG_MAY, ftp_look, "[<path>]"},
    {"MODE", CLASS_INSIDE, ARG_MUST, do_mode, "S"},
    {"NLST", CLASS_INSIDE, ARG_MAY, ftp_nlst, "[<path>]"},
    {"NOOP", CLASS_FREE, ARG_MAY, do_noop, ""},
    {"OPTS", CLASS_FREE, ARG_MUST, do_opts, "UTF8 ON, or MLST <facts>"},
    {"PASS", CLASS_PASS, ARG_MAY, do_pass, "<password>"},
    {"PASV", CLASS_INSIDE, ARG_NONE, ftp_pasv, ""},
    {"PBSZ", CLASS_FREE, ARG_MAY, NULL, ""},
    {"PORT", CLASS_INSIDE, ARG_MUST, ftp_port, "h1,h2,h3,h4,p1,p2"},
    {"PROT", CLASS_FREE, ARG_MAY, NULL, ""},
    {"PWD", CLASS_INSIDE, ARG_NONE, ftp_pwd, ""},
    {"QUIT", CLASS_FREE, ARG_NONE, do_quit, ""},
    {"REIN", CLASS_FREE, ARG_NONE, do_rein, ""},
    {"REST", CLASS_INSIDE, ARG_MUST, do_rest, "<bytes>"},
    {"RETR", CLASS_INSIDE, ARG_MUST, ftp_retr, "<path>"},
    {"RMD", CLASS_INSIDE, ARG_MUST, ftp_look, "<path>"},
    {"RNFR", CLASS_INSIDE, ARG_MUST, ftp_look, "<path>"},
    {"RNTO", CLASS_RNTO, ARG_MUST, ftp_rnto, "<path>"},
    {"SITE", CLASS_INSIDE, ARG_MUST, do_site, "HELP, or XCRC <path>"},
    {"SIZE", CLASS_INSIDE, ARG_MUST, ftp_look, "<path>"},
    {"SMNT", CLASS_FREE, ARG_MAY, NULL, ""},
    {"STAT", CLASS_STAT, ARG_MAY, ftp_stat, "[<path>]"},
    {"STOR", CLASS_INSIDE, ARG_MUST, ftp_stor, "<path>"},
    {"STOU", CLASS_INSIDE, ARG_MAY, ftp_stou, ""},
    {"STRU", CLASS_INSIDE, ARG_MUST, do_stru, "F"},
    {"SYST", CLASS_FREE, ARG_NONE, do_syst, ""},
    {"TYPE", CLASS_INSIDE, ARG_MUST, do_type, "A, I or L 8"},
    {"USER", CLASS_USER, ARG_MUST, do_user, "<name>"},
    {"XCRC", CLASS_INSIDE, ARG_MUST, ftp_xcrc, "<path>, or \"<path>\" [<start> [<end>]]"},
    {"XCUP", CLASS_INSIDE, ARG_NONE, ftp_cdup, ""},
    {"XCWD", CLASS_INSIDE, ARG_MUST, ftp_cwd, "<path>"},
    {"XMKD", CLASS_INSIDE, ARG_MUST, ftp_mkd, "<path>"},
    {"XPWD", CLASS_INSIDE, ARG_NONE, ftp_pwd, ""},
    {"XRMD", CLASS_INSIDE, ARG_MUST, ftp_look, "<path>"},
};
#define COMMAND_COUNT (sizeof commands / sizeof *commands)

const struct ftp_command *ftp_command_at(size_t n)
{
    return n < COMMAND_COUNT ? &commands[n] : NULL;
}

const struct ftp_command *ftp_command_find(const char *verb)
{
    size_t low = 0, high = COMMAND_COUNT;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(verb, commands[middle].verb);
        if (order == 0)
            return &commands[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* ---- The object ---- */

char *ftp_keep(struct ftp_session *s, char **where, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = s->alloc->alloc(s->alloc->context, size);
    if (copy)
        memcpy(copy, text, size);
    s->alloc->free(s->alloc->context, *where); /* after the copy: text may lie in it */
    *where = copy;
    return copy;
}

void ftp_forget(struct ftp_session *s, char **where)
{
    s->alloc->free(s->alloc->context, *where);
    *where = NULL;
}

bool ftp_logged_in(const struct ftp_session *s)
{
    return s->phase == PHASE_READY || s->phase == PHASE_RENAME;
}

void ftp_idle(struct ftp_session *s, core_time now)
{
    s->wait = WAIT_NONE;
    s->command = NULL;
    if (s->ended)
        s->deadline = CORE_NEVER;
    else if (ftp_logged_in(s))
        s->deadline = s->idle_at = core_time_add(now, CORE_SECONDS(s->config.idle_s));
    if (s->data == DATA_LISTENING &&
        !s->ended) /* ports are few: one that nobody comes to is given back (425 then says so) */
        s->deadline = core_time_min(s->deadline, core_time_add(now, 2 * CORE_SECONDS(s->config.data_s)));
}

void ftp_wait_for(struct ftp_session *s, enum ftp_wait wait)
{
    s->wait = wait;
    if (ftp_logged_in(s))
        s->deadline = CORE_NEVER; /* the host answers in its own time */
}

static void hangup(struct ftp_session *s, struct ftp_effects *out)
{
    ftp_effect(out, FTP_HANGUP);
    s->ended = true;
    s->deadline = CORE_NEVER;
}

void ftp_no_memory(struct ftp_session *s, struct ftp_effects *out)
{
    ftp_say(s, out, 421, "this node has no memory left");
    hangup(s, out);
}

struct ftp_session *ftp_session_new(const struct core_alloc *alloc, core_time now,
                                    const struct ftp_config *config, const struct net_addr *peer,
                                    const struct net_addr *local, struct ftp_effects *out)
{
    struct ftp_session *s = alloc->alloc(alloc->context, sizeof *s);
    if (!s)
        return NULL;
    s->alloc = alloc;
    s->config = *config;
    s->peer = *peer;
    s->local = *local;
    ftp_input_init(&s->input, alloc);
    s->ascii = true; /* RFC 959, 3.1.1.1 */
    s->allo = UINT64_MAX;
    s->facts = FTP_FACTS_ALL;
    s->stou_next = config->stou_first;
    s->deadline = core_time_add(now, CORE_SECONDS(config->login_s));
    ftp_say(s, out, 220,
            config->anonymous ? "shoal: sign in as anonymous to read what is shared, with an account to write"
                              : "shoal: sign in with an account");
    return s;
}

void ftp_session_free(struct ftp_session *s)
{
    if (!s)
        return;
    ftp_input_fini(&s->input);
    char **strings[] = {&s->name, &s->cwd, &s->path, &s->other, &s->pattern};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        ftp_forget(s, strings[i]);
    s->alloc->free(s->alloc->context, s);
}

core_time ftp_session_deadline(const struct ftp_session *s)
{
    return s->deadline;
}

void ftp_session_check(const struct ftp_session *s)
{
    core_assert(s->phase < PHASE_WAIT);
    core_assert((s->wait == WAIT_NONE) == (s->command == NULL));
    core_assert(!ftp_logged_in(s) || s->cwd || s->ended);
    core_assert(s->wait < WAIT_OPENED || s->wait > WAIT_MOVED || s->path);
    core_assert(s->wait != WAIT_DATA || s->data == DATA_LISTENING || s->data == DATA_PORT);
    core_assert(s->wait != WAIT_MOVED || s->data == DATA_OPEN || s->control);
    core_assert(s->input.lines == 0 || s->input.data);
}

/* ---- Lines ---- */

size_t ftp_session_room(const struct ftp_session *s)
{
    return s->ended ? 0 : ftp_input_room(&s->input);
}

void ftp_session_give(struct ftp_session *s, core_time now, struct bytes bytes, struct ftp_effects *out)
{
    uint8_t answer[ANSWER_CAP];
    size_t answer_size = 0;
    (void)now;
    ftp_input_give(&s->input, bytes, answer, &answer_size, sizeof answer);
    if (answer_size)
        ftp_say_bytes(out, answer, answer_size);
    if (s->ended)
        return;
    if (s->input.no_memory) {
        ftp_no_memory(s, out);
    } else if (s->input.thrown_away > OVERLONG_MAX) {
        ftp_say(s, out, 421, "more than a megabyte without an end of line is no conversation");
        hangup(s, out);
    }
}

/* For lists of sessions: the line without what is nobody's business. */
static void tell_command(const struct ftp_command *c, const char *argument, struct ftp_effects *out)
{
    char text[FTP_VERB_MAX + 128];
    bool secret = c->class == CLASS_PASS || c->class == CLASS_ACCT;
    size_t n = argument ? strnlen(argument, 120) : 0;
    while (n > 0 && argument[n] && (argument[n] & 0xc0) == 0x80)
        n--;
    snprintf(text, sizeof text, "%s%s%.*s", c->verb, argument ? " " : "", (int)n,
             secret     ? "***"
             : argument ? argument
                        : "");
    struct ftp_effect *e = ftp_effect(out, FTP_TOLD);
    size_t size = strlen(text) + 1;
    core_assert(size <= FTP_TEXT_MAX - out->text_size);
    e->path = memcpy(out->text + out->text_size, text, size);
    out->text_size += size;
}

static void refuse(struct ftp_session *s, enum verdict verdict, const struct ftp_command *c,
                   struct ftp_effects *out)
{
    if (verdict == N530)
        ftp_say(s, out, 530, "sign in first: USER, then PASS");
    else if (verdict == N332)
        ftp_say(s, out, 332, "an account is needed: ACCT with its token, or USER and PASS");
    else if (verdict == N202)
        ftp_say(s, out, 202, "you are signed in already");
    else
        ftp_say(s, out, 503, "%s comes too early: %s first", c->verb,
                c->class == CLASS_RNTO ? "RNFR" : "USER");
}

static void run(struct ftp_session *s, core_time now, const char *line, struct ftp_effects *out)
{
    char verb[FTP_VERB_MAX];
    const char *argument;
    const struct ftp_command *c = ftp_line_split(line, verb, &argument) ? ftp_command_find(verb) : NULL;
    enum ftp_phase phase = s->phase;
    if (phase == PHASE_RENAME &&
        !(c && c->class == CLASS_RNTO)) /* RNTO must follow at once (RFC 959, 4.1.3) */
        s->phase = PHASE_READY;
    if (!c) {
        ftp_say(s, out, 500, "this is no command: HELP lists them");
        return;
    }
    tell_command(c, argument, out);
    enum verdict verdict = verdicts[c->class][phase];
    if (verdict != RUN) {
        refuse(s, verdict, c, out);
    } else if (!c->act) {
        ftp_say(s, out, 502, "%s is not implemented here", c->verb);
    } else if (c->argument == ARG_MUST && !argument) {
        ftp_say(s, out, 501, "%s takes an argument: %s", c->verb, c->form);
    } else if (c->argument == ARG_NONE && argument) {
        ftp_say(s, out, 501, "%s takes no argument", c->verb);
    } else {
        s->command = c;
        c->act(s, now, argument, out);
    }
    if (s->wait == WAIT_NONE)
        s->command = NULL;
}

static void run_faulty(struct ftp_session *s, enum ftp_fault fault, struct ftp_effects *out)
{
    static const char *const texts[] = {
        [FTP_LINE_LONG] = "the line is too long",
        [FTP_LINE_CONTROL] = "control characters have no place in a command",
        [FTP_LINE_BARE_LF] = "a line ends with CR LF, not with LF alone",
        [FTP_LINE_NOT_UTF8] = "names are UTF-8 here, and this is not",
    };
    ftp_say(s, out, fault == FTP_LINE_NOT_UTF8 ? 501 : 500, "%s", texts[fault]);
}

/* While an answer is awaited, ABOR and STAT overtake what waits (RFC 959, 4.1.3: they may come during a
 * transfer). */
static bool step_over(struct ftp_session *s, core_time now, struct ftp_effects *out)
{
    const char *line, *argument;
    char verb[FTP_VERB_MAX];
    enum ftp_fault fault;
    for (uint32_t at = 0, next; ftp_input_line(&s->input, at, &line, &fault, &next); at = next) {
        const struct ftp_command *c =
            fault == FTP_LINE_OK && ftp_line_split(line, verb, &argument) ? ftp_command_find(verb) : NULL;
        if (!c || verdicts[c->class][PHASE_WAIT] != OVER || argument)
            continue;
        if (c->class == CLASS_STAT) {
            const struct ftp_command *under_way = s->command;
            tell_command(c, NULL, out);
            ftp_stat(s, now, NULL, out);
            s->command = under_way;
        } else if (!ftp_abort_now(s, now, out)) {
            continue;
        }
        ftp_input_drop(&s->input, at);
        return true;
    }
    return false;
}

bool ftp_session_step(struct ftp_session *s, core_time now, struct ftp_effects *out)
{
    const char *line;
    enum ftp_fault fault;
    uint32_t next;
    if (s->ended)
        return false;
    if (s->wait != WAIT_NONE)
        return step_over(s, now, out);
    if (!ftp_input_line(&s->input, 0, &line, &fault, &next))
        return false;
    if (fault == FTP_LINE_OK)
        run(s, now, line, out);
    else
        run_faulty(s, fault, out);
    ftp_input_drop(&s->input, 0);
    if (s->wait == WAIT_NONE)
        ftp_idle(s, now);
    return true;
}

bool ftp_session_idle(const struct ftp_session *s)
{
    return s->ended || (s->wait == WAIT_NONE && s->input.lines == 0);
}

void ftp_session_wake(struct ftp_session *s, core_time now, struct ftp_effects *out)
{
    if (now < s->deadline || s->ended)
        return;
    if (s->wait == WAIT_DATA || s->wait == WAIT_MOVED) {
        ftp_transfer_timeout(s, now, out);
        return;
    }
    if (s->wait == WAIT_NONE && s->data == DATA_LISTENING && now < s->idle_at) {
        ftp_data_reset(s, out);
        s->deadline = s->idle_at;
        return;
    }
    ftp_session_end(s, now,
                    ftp_logged_in(s) ? "nothing was asked for a long time" : "signing in took too long", out);
}

/* ---- What the owner asks ---- */

void ftp_session_end(struct ftp_session *s, core_time now, const char *reason, struct ftp_effects *out)
{
    (void)now;
    if (s->ended)
        return;
    if (s->wait != WAIT_NONE)
        ftp_effect(out, FTP_CANCEL);
    if (s->data != DATA_NONE)
        ftp_effect(out, FTP_DATA_CLOSE);
    s->data = DATA_NONE;
    s->wait = WAIT_NONE;
    s->command = NULL;
    ftp_say(s, out, 421, "%s", reason);
    hangup(s, out);
}

bool ftp_session_message(struct ftp_session *s, const char *text)
{
    if (s->ended || s->note[0])
        return false;
    size_t n = strnlen(text, sizeof s->note - 1);
    while (n > 0 && text[n] && (text[n] & 0xc0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++)
        s->note[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? ' ' : text[i];
    s->note[n] = 0;
    return true;
}

/* ---- Signing in ---- */

static bool is_visitor_name(const char *name)
{
    return strcasecmp(name, "anonymous") == 0 || strcasecmp(name, "ftp") == 0;
}

/* Nobody is signed in, and nothing of whom it was stays. */
static void sign_out(struct ftp_session *s, struct ftp_effects *out)
{
    if (ftp_logged_in(s))
        ftp_effect(out, FTP_WHO);
    ftp_data_reset(s, out);
    ftp_forget(s, &s->name);
    ftp_forget(s, &s->cwd);
    ftp_forget(s, &s->path);
    s->phase = PHASE_START;
    s->visitor = s->v6 = s->epsv_all = false;
    s->ascii = true;
    s->rest = 0;
    s->allo = UINT64_MAX;
    s->facts = FTP_FACTS_ALL;
}

static void sign_in(struct ftp_session *s, core_time now, const char *name, struct ftp_effects *out)
{
    char home[FTP_PATH_MAX];
    snprintf(home, sizeof home, name[0] ? "/home/%s" : "/", name);
    s->visitor = !name[0];
    if (!ftp_keep(s, &s->name, name) || !ftp_keep(s, &s->cwd, home)) {
        ftp_no_memory(s, out);
        return;
    }
    s->phase = PHASE_READY;
    s->tries = 0;
    ftp_effect(out, FTP_WHO)->path = s->name;
    ftp_idle(s, now);
    if (s->visitor)
        ftp_say(s, out, 230,
                "welcome: everything under /shared is here to be read, and /content/<id> is fetched when "
                "asked for");
    else
        ftp_say(s, out, 230, "welcome, %s: this is %s, and what you put there is shared", name, home);
}

static void do_user(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    core_time login = s->deadline;
    bool was_in = ftp_logged_in(s);
    sign_out(s, out);
    s->deadline = was_in ? core_time_add(now, CORE_SECONDS(s->config.login_s)) : login;
    if (!ftp_keep(s, &s->name, argument)) {
        ftp_no_memory(s, out);
    } else if (is_visitor_name(argument) && !s->config.anonymous) {
        s->phase = PHASE_ACCOUNT;
        ftp_say(s, out, 332,
                "anonymous visitors are not let in here: ACCT with an account's token, or USER and PASS");
    } else {
        s->phase = PHASE_NAMED;
        ftp_say(s, out, 331, is_visitor_name(argument) ? "any password will do" : "the password, please");
    }
}

static void do_pass(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    if (is_visitor_name(s->name)) {
        sign_in(s, now, "", out);
        return;
    }
    if (!ftp_keep(s, &s->other, argument ? argument : "")) {
        ftp_no_memory(s, out);
        return;
    }
    struct ftp_effect *e = ftp_effect(out, FTP_LOGIN);
    e->path = s->name;
    e->other = s->other;
    ftp_wait_for(s, WAIT_LOGIN);
}

static void do_acct(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    if (ftp_logged_in(s) && !s->visitor) {
        ftp_say(s, out, 202, "you are signed in with an account already");
        return;
    }
    if (!ftp_keep(s, &s->other, argument)) {
        ftp_no_memory(s, out);
        return;
    }
    ftp_effect(out, FTP_TOKEN)->path = s->other;
    ftp_wait_for(s, WAIT_LOGIN);
}

/* The password is wiped before its memory is given back. */
static void forget_secret(struct ftp_session *s)
{
    volatile char *p = s->other;
    for (size_t n = s->other ? strlen(s->other) : 0; n > 0; n--)
        p[n - 1] = 0;
    ftp_forget(s, &s->other);
}

void ftp_session_logged_in(struct ftp_session *s, core_time now, int status, const char *name,
                           uint32_t retry_s, struct ftp_effects *out)
{
    core_assert(s->wait == WAIT_LOGIN);
    bool by_token = s->command->class == CLASS_ACCT;
    forget_secret(s);
    s->wait = WAIT_NONE;
    s->command = NULL;
    if (status == 0) {
        ftp_data_reset(s, out);
        sign_in(s, now, name, out);
        return;
    }
    if (!by_token)
        s->phase = PHASE_START;
    if (ftp_logged_in(s))
        ftp_idle(s, now);
    if (status == ERR_BUSY)
        ftp_say(s, out, 530, "too many tries from your address: wait %u s", retry_s ? retry_s : 1);
    else if (status == ERR_PERMISSION || status == ERR_NOT_FOUND || status == ERR_MALFORMED)
        ftp_say(s, out, 530, by_token ? "this token is not known" : "wrong name or password");
    else
        ftp_say(s, out, 451, "this node could not check it: %s", err_text(status));
    if (++s->tries >= FTP_TRIES_MAX) {
        ftp_say(s, out, 421, "that were too many tries");
        hangup(s, out);
    }
}

static void do_quit(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    (void)argument;
    ftp_data_reset(s, out);
    ftp_say(s, out, 221, "goodbye");
    hangup(s, out);
}

static void do_rein(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)argument;
    bool was_in = ftp_logged_in(s);
    sign_out(s, out);
    if (was_in)
        s->deadline = core_time_add(now, CORE_SECONDS(s->config.login_s));
    ftp_say(s, out, 220, "begin anew: USER");
}

/* ---- Switches ---- */

static void do_type(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    static const struct {
        const char *text;
        int ascii; /* -1: known and not implemented */
    } types[] = {{"A", 1},    {"A N", 1}, {"I", 0},    {"L 8", 0},  {"A T", -1},
                 {"A C", -1}, {"E", -1},  {"E N", -1}, {"E T", -1}, {"E C", -1}};
    (void)now;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcasecmp(argument, types[i].text) != 0)
            continue;
        if (types[i].ascii < 0) {
            ftp_say(s, out, 504, "only the types A (text), I and L 8 (bytes) are implemented");
            return;
        }
        s->ascii = types[i].ascii;
        ftp_say(s, out, 200, s->ascii ? "text: lines end with CR LF on the way" : "bytes, as they are");
        return;
    }
    bool length = (argument[0] & ~0x20) == 'L' && argument[1] == ' ';
    ftp_say(s, out, length ? 504 : 501,
            length ? "only bytes of 8 bits are implemented" : "the type is A, I or L 8");
}

/* The one letter that is implemented, or others that RFC 959 knows. */
static void one_letter(struct ftp_session *s, const char *argument, char implemented, const char *known,
                       const char *name, struct ftp_effects *out)
{
    char letter = (char)(argument[0] & ~0x20);
    bool one = argument[1] == 0;
    if (one && letter == implemented)
        ftp_say(s, out, 200, "%s %c", name, implemented);
    else if (one && letter && strchr(known, letter))
        ftp_say(s, out, 504, "only %s %c is implemented", name, implemented);
    else
        ftp_say(s, out, 501, "%s is %c", name, implemented);
}

static void do_mode(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    one_letter(s, argument, 'S', "BCZ", "mode", out);
}

static void do_stru(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    one_letter(s, argument, 'F', "RP", "structure", out);
}

static void do_rest(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    uint64_t value;
    (void)now;
    if (!ftp_number_parse(&value, argument) || value > INT64_MAX) {
        ftp_say(s, out, 501, "REST takes a number of bytes");
        return;
    }
    s->rest = value;
    ftp_say(s, out, 350, "the next transfer begins at %llu", (unsigned long long)value);
}

/* RFC 959, 4.1.3: told so that an upload that has no room is refused before its first byte. */
static void do_allo(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    char number[24];
    uint64_t value;
    size_t n = strcspn(argument, " ");
    (void)now;
    snprintf(number, sizeof number, "%.*s", (int)(n < sizeof number ? n : 0), argument);
    if (!ftp_number_parse(&value, number) || (argument[n] && strncasecmp(argument + n, " R ", 3) != 0)) {
        ftp_say(s, out, 501, "ALLO takes a number of bytes");
        return;
    }
    s->allo = value;
    ftp_say(s, out, 200, "room for %llu bytes is looked for when the upload begins",
            (unsigned long long)value);
}

static void do_opts(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    char names[96];
    (void)now;
    if (strcasecmp(argument, "UTF8 ON") == 0 || strcasecmp(argument, "UTF-8 ON") == 0 ||
        strcasecmp(argument, "UTF8") == 0) {
        ftp_say(s, out, 200, "names are always UTF-8");
    } else if (strncasecmp(argument, "UTF8 ", 5) == 0) {
        ftp_say(s, out, 504, "names are always UTF-8");
    } else if (strncasecmp(argument, "MLST", 4) == 0 && (argument[4] == 0 || argument[4] == ' ')) {
        s->facts = argument[4] ? ftp_facts_parse(argument + 5) : 0;
        ftp_facts_names(names, sizeof names, s->facts, false);
        ftp_say(s, out, 200, "MLST OPTS%s%s", names[0] ? " " : "", names);
    } else {
        ftp_say(s, out, 501, "there are options for UTF8 and MLST");
    }
}

static void do_syst(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    (void)argument;
    ftp_say(s, out, 215, "UNIX Type: L8");
}

static void do_noop(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    (void)argument;
    ftp_say(s, out, 200, "yes");
}

static void do_clnt(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    struct ftp_effect *e = ftp_effect(out, FTP_CLIENT);
    size_t size = strnlen(argument, 79);
    core_assert(size < FTP_TEXT_MAX - out->text_size);
    char *copy = memcpy(out->text + out->text_size, argument, size);
    copy[size] = 0;
    out->text_size += size + 1;
    e->path = copy;
    ftp_say(s, out, 200, "pleased to meet you");
}

static void do_site(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    static const char *const superfluous[] = {"CHMOD", "UMASK", "UTIME", "IDLE"};
    size_t n = strcspn(argument, " ");
    if (n == 4 && strncasecmp(argument, "XCRC", 4) == 0 && argument[4] && argument[5]) {
        ftp_xcrc(s, now, argument + 5, out);
        return;
    }
    if (n == 4 && strncasecmp(argument, "HELP", 4) == 0) {
        ftp_say(s, out, 214, "SITE knows HELP and XCRC <path>; CHMOD, UMASK, UTIME and IDLE have no effect");
        return;
    }
    for (size_t i = 0; i < sizeof superfluous / sizeof *superfluous; i++) {
        if (n == strlen(superfluous[i]) && strncasecmp(argument, superfluous[i], n) == 0) {
            ftp_say(s, out, 202, "this has no meaning here");
            return;
        }
    }
    ftp_say(s, out, 504, "SITE knows HELP and XCRC");
}
