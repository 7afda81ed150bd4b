/* Data connections (RFC 959, 3.2; 2428; 2577) and what moves over them. A transfer goes OPENED -> DATA ->
 * MOVED: first the file is opened, so that a refusal comes before 150; then the data connection is waited
 * for; then the host moves the bytes. */
#include <stdio.h>
#include "gateways/ftp/ftp_internal.h"

#define STOU_TRIES_MAX 100

void ftp_data_reset(struct ftp_session *s, struct ftp_effects *out)
{
    if (s->data != DATA_NONE)
        ftp_effect(out, FTP_DATA_CLOSE);
    s->data = DATA_NONE;
}

/* ---- Where the data connection goes ---- */

static bool setup_allowed(struct ftp_session *s, struct ftp_effects *out)
{
    if (s->epsv_all)
        ftp_say(s, out, 503, "you said EPSV ALL: only EPSV from now on");
    return !s->epsv_all;
}

static void listen_wanted(struct ftp_session *s, bool v6, struct ftp_effects *out)
{
    ftp_data_reset(s, out);
    s->v6 = v6;
    ftp_effect(out, FTP_LISTEN)->v6 = v6;
    ftp_wait_for(s, WAIT_LISTEN);
}

void ftp_pasv(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    (void)argument;
    if (!setup_allowed(s, out))
        return;
    if (!net_addr_is_v4(&s->local))
        ftp_say(s, out, 425, "PASV is for IPv4 only: use EPSV");
    else
        listen_wanted(s, false, out);
}

void ftp_epsv(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    const char *ours = net_addr_is_v4(&s->local) ? "1" : "2";
    if (argument && strcasecmp(argument, "ALL") == 0) {
        s->epsv_all = true;
        ftp_say(s, out, 200, "only EPSV from now on");
    } else if (argument && strcmp(argument, ours) != 0) {
        uint64_t n;
        if (ftp_number_parse(&n, argument))
            ftp_say(s, out, 522, "this connection speaks protocol %s, use (%s)", ours, ours);
        else
            ftp_say(s, out, 501, "EPSV takes 1, 2, ALL or nothing");
    } else {
        listen_wanted(s, true, out);
    }
}

void ftp_session_listening(struct ftp_session *s, core_time now, int status, const struct net_addr *addr,
                           struct ftp_effects *out)
{
    core_assert(s->wait == WAIT_LISTEN);
    s->data = status == 0 ? DATA_LISTENING : DATA_NONE;
    ftp_idle(s, now);
    if (status != 0) {
        ftp_say(s, out, 425,
                status == ERR_FULL ? "all ports for data are in use; try again later"
                                   : "no port for data could be opened");
        return;
    }
    if (s->v6)
        ftp_say(s, out, 229, "connect to (|||%u|)", addr->port);
    else
        ftp_say(s, out, 227, "connect to (%u,%u,%u,%u,%u,%u)", addr->ip[12], addr->ip[13], addr->ip[14],
                addr->ip[15], addr->port >> 8, addr->port & 255u);
}

/* Anyone else's address would make this node attack others (the bounce of RFC 2577, 2 and 3). */
static void active(struct ftp_session *s, const struct net_addr *addr, struct ftp_effects *out)
{
    if (!net_addr_same_ip(addr, &s->peer)) {
        ftp_say(s, out, 504, "data goes to the address that asks for it, to no other");
    } else if (addr->port < 1024) {
        ftp_say(s, out, 504, "data does not go to ports below 1024");
    } else {
        ftp_data_reset(s, out);
        s->data = DATA_PORT;
        s->data_addr = *addr;
        ftp_say(s, out, 200, "data will go to port %u", addr->port);
    }
}

void ftp_port(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    struct net_addr addr;
    (void)now;
    if (!setup_allowed(s, out))
        return;
    if (ftp_port_parse(&addr, argument) != 0)
        ftp_say(s, out, 501, "PORT takes h1,h2,h3,h4,p1,p2");
    else
        active(s, &addr, out);
}

void ftp_eprt(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    struct net_addr addr;
    (void)now;
    if (!setup_allowed(s, out))
        return;
    int rc = ftp_eprt_parse(&addr, argument);
    if (rc == ERR_UNSUPPORTED)
        ftp_say(s, out, 522, "this network protocol is not supported, use (1,2)");
    else if (rc != 0)
        ftp_say(s, out, 501, "EPRT takes |1 or 2|address|port|");
    else
        active(s, &addr, out);
}

/* ---- Beginning ---- */

/* The path is set. */
static void begin(struct ftp_session *s, enum ftp_effect_kind kind, enum ftp_doing doing,
                  struct ftp_effects *out)
{
    s->doing = doing;
    s->control = false;
    s->unique = doing == DOING_STORE && s->unique;
    s->moved = 0;
    s->offset = doing == DOING_LIST ? 0 : s->rest;
    struct ftp_effect *e = ftp_effect(out, kind);
    e->path = s->path;
    e->pattern = s->pattern;
    e->form = s->form;
    e->facts = s->facts;
    e->store = s->store;
    e->offset = s->store == FTP_STORE_BEHIND && doing == DOING_STORE && s->command->verb[0] == 'A'
                    ? UINT64_MAX
                    : s->offset;
    e->size = s->allo;
    if (doing == DOING_STORE)
        s->allo = UINT64_MAX;
    s->rest = 0;
    ftp_wait_for(s, WAIT_OPENED);
}

static bool can_begin(struct ftp_session *s, struct ftp_effects *out)
{
    if (s->data == DATA_NONE)
        ftp_say(s, out, 425, "no data connection was arranged: EPSV or PASV first");
    return s->data != DATA_NONE;
}

void ftp_retr(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    if (can_begin(s, out) && ftp_path_set(s, argument, INTENT_READ, out))
        begin(s, FTP_OPEN_SEND, DOING_SEND, out);
}

static void store(struct ftp_session *s, const char *argument, enum ftp_store how, struct ftp_effects *out)
{
    s->unique = how == FTP_STORE_NEW;
    if (!can_begin(s, out))
        return;
    if (s->rest > 0 && s->ascii) {
        s->rest = 0;
        ftp_say(s, out, 504, "an upload is continued in TYPE I only");
        return;
    }
    if (!ftp_path_set(s, argument, INTENT_STORE, out))
        return;
    s->store = how == FTP_STORE_WHOLE && s->rest > 0 ? FTP_STORE_BEHIND : how;
    begin(s, FTP_OPEN_STORE, DOING_STORE, out);
}

void ftp_stor(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    store(s, argument, FTP_STORE_WHOLE, out);
}

void ftp_appe(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    s->rest = 0;
    store(s, argument, FTP_STORE_BEHIND, out);
}

/* A name that nobody has: the next number, until one is free. */
static void stou_try(struct ftp_session *s, struct ftp_effects *out)
{
    char name[32];
    snprintf(name, sizeof name, "upload-%llu", (unsigned long long)s->stou_next++);
    s->rest = 0;
    store(s, name, FTP_STORE_NEW, out);
}

void ftp_stou(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    (void)argument; /* some clients suggest a name; the server chooses (RFC 1123, 4.1.2.9 tells it) */
    s->unique_tries = 0;
    stou_try(s, out);
}

/* "-la dir": options of ls are what people's fingers add; they change nothing. */
static const char *without_options(const char *argument)
{
    while (argument && argument[0] == '-') {
        size_t n = strcspn(argument, " ");
        argument = argument[n] ? argument + n + 1 : NULL;
    }
    return argument && argument[0] ? argument : NULL;
}

/* The pattern of the last segment is taken off the path. */
static bool list_path(struct ftp_session *s, const char *argument, bool patterns, struct ftp_effects *out)
{
    char folder[FTP_LINE_MAX + 1];
    const char *name = argument ? ftp_path_name(argument) : NULL;
    ftp_forget(s, &s->pattern);
    if (!name || !patterns || !ftp_has_pattern(name))
        return ftp_path_set(s, argument, INTENT_READ, out);
    if (strlen(name) > FTP_NAME_MAX) { /* nothing has so long a name, and matching costs pattern times name */
        ftp_say(s, out, 550, "the pattern is longer than any name");
        return false;
    }
    if (!ftp_keep(s, &s->pattern, name)) {
        ftp_no_memory(s, out);
        return false;
    }
    snprintf(folder, sizeof folder, "%.*s", (int)(name - argument), argument);
    return ftp_path_set(s, folder[0] ? folder : NULL, INTENT_READ, out);
}

static void list(struct ftp_session *s, const char *argument, enum ftp_list_form form,
                 struct ftp_effects *out)
{
    if (!can_begin(s, out) || !list_path(s, argument, form != FTP_LIST_FACTS, out))
        return;
    s->form = form;
    begin(s, FTP_OPEN_LIST, DOING_LIST, out);
}

void ftp_list(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    list(s, without_options(argument), FTP_LIST_LONG, out);
}

void ftp_nlst(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    list(s, without_options(argument), FTP_LIST_NAMES, out);
}

void ftp_mlsd(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    list(s, argument, FTP_LIST_FACTS, out);
}

/* ---- Going on ---- */

static void move(struct ftp_session *s, core_time now, struct ftp_effects *out)
{
    struct ftp_effect *e = ftp_effect(out, FTP_MOVE);
    e->path = s->path;
    e->offset = s->offset;
    e->ascii = s->ascii;
    e->form = s->form;
    e->facts = s->facts;
    e->control = s->control;
    s->wait = WAIT_MOVED;
    s->since = now;
    s->deadline = core_time_add(now, CORE_SECONDS(s->config.stall_s));
}

static const char *doing_what(const struct ftp_session *s)
{
    return s->doing == DOING_SEND   ? "here comes"
           : s->doing == DOING_LIST ? "here is the list of"
                                    : "ready for";
}

void ftp_session_opened(struct ftp_session *s, core_time now, int status, uint64_t size,
                        struct ftp_effects *out)
{
    core_assert(s->wait == WAIT_OPENED);
    if (status == ERR_EXISTS && s->unique && ++s->unique_tries < STOU_TRIES_MAX) {
        s->wait = WAIT_NONE;
        stou_try(s, out);
        if (s->wait == WAIT_NONE)
            ftp_idle(s, now);
        return;
    }
    if (status == 0 && s->doing == DOING_SEND && s->offset > size) {
        ftp_effect(out, FTP_CANCEL);
        status = ERR_RANGE;
    }
    if (status != 0) {
        if (!s->control)
            ftp_data_reset(s, out);
        if (status == ERR_NOT_A_FILE && s->doing == DOING_LIST)
            ftp_say(s, out, 501, "MLSD is for directories; MLST tells about a file");
        else
            ftp_say_failure(s, out, status, s->doing == DOING_STORE ? INTENT_STORE : INTENT_READ);
        ftp_idle(s, now);
        return;
    }
    if (s->control) {
        ftp_say_first(s, out, 213, "Status of %s:", s->path);
        move(s, now, out);
        return;
    }
    if (s->data == DATA_NONE) { /* it went away meanwhile */
        ftp_effect(out, FTP_CANCEL);
        ftp_say(s, out, 425, "the data connection is gone: EPSV or PASV again");
        ftp_idle(s, now);
        return;
    }
    unsigned code = s->data == DATA_OPEN ? 125 : 150;
    if (s->unique) /* RFC 1123, 4.1.2.9 */
        ftp_say(s, out, code, "FILE: %s", ftp_path_name(s->path));
    else if (s->doing == DOING_SEND)
        ftp_say(s, out, code, "%s %s (%llu bytes)", doing_what(s), s->path,
                (unsigned long long)(size - s->offset));
    else
        ftp_say(s, out, code, "%s %s", doing_what(s), s->path);
    if (s->data == DATA_OPEN) {
        move(s, now, out);
        return;
    }
    if (s->data == DATA_PORT)
        ftp_effect(out, FTP_DIAL)->addr = s->data_addr;
    s->wait = WAIT_DATA;
    s->deadline = core_time_add(now, CORE_SECONDS(s->config.data_s));
}

void ftp_session_data(struct ftp_session *s, core_time now, int status, struct ftp_effects *out)
{
    if (s->ended)
        return;
    if (status == 0) {
        core_assert(s->data == DATA_LISTENING || s->data == DATA_PORT);
        s->data = DATA_OPEN;
        if (s->wait == WAIT_DATA)
            move(s, now, out);
        return;
    }
    s->data = DATA_NONE;
    if (s->wait != WAIT_DATA)
        return; /* what comes next is told 425 */
    ftp_effect(out, FTP_CANCEL);
    ftp_say(s, out, 425, "the data connection could not be made");
    ftp_idle(s, now);
}

void ftp_session_progress(struct ftp_session *s, core_time now, uint64_t bytes_so_far)
{
    if (s->wait != WAIT_MOVED)
        return;
    s->moved = bytes_so_far;
    s->deadline = core_time_add(now, CORE_SECONDS(s->config.stall_s));
}

/* What went wrong once bytes were moving. */
static void say_broken(struct ftp_session *s, int status, struct ftp_effects *out)
{
    switch (status) {
    case ERR_CLOSED:
        ftp_say(s, out, 426, "the data connection was closed before the end");
        break;
    case ERR_CHANGED: /* as BSD's server: an error on the input file, told by 551 */
        ftp_say(s, out, 551, "the file was changed while it was read; what came is not the whole");
        break;
    case ERR_NO_SPACE:
        ftp_say(s, out, 452, "the disk of this node is full; nothing was kept");
        break;
    case ERR_QUOTA:
        ftp_say(s, out, 552, "this would be over the quota; nothing was kept");
        break;
    case ERR_RANGE:
        ftp_say(s, out, 552, "more came than ALLO told; nothing was kept");
        break;
    case ERR_EXISTS:
    case ERR_PERMISSION:
    case ERR_NOT_A_FILE:
        ftp_say(s, out, 553, "the file could not be put in its place: %s; nothing was kept",
                err_text(status));
        break;
    default:
        ftp_say(s, out, 451, "this node could not go on: %s", err_text(status));
    }
}

void ftp_session_moved(struct ftp_session *s, core_time now, int status, uint64_t bytes,
                       struct ftp_effects *out)
{
    core_assert(s->wait == WAIT_MOVED);
    if (s->control) {
        ftp_say(s, out, 213, status ? "the list broke off: %s" : "End.", err_text(status));
        ftp_idle(s, now);
        return;
    }
    ftp_data_reset(s, out);
    if (status != 0)
        say_broken(s, status, out);
    else if (s->doing == DOING_STORE)
        ftp_say(s, out, 226,
                s->unique ? "kept and shared as %s, %llu bytes" : "kept and shared: %s, %llu bytes",
                ftp_path_name(s->path), (unsigned long long)bytes);
    else
        ftp_say(s, out, 226, "that was all, %llu bytes", (unsigned long long)bytes);
    ftp_idle(s, now);
}

void ftp_transfer_timeout(struct ftp_session *s, core_time now, struct ftp_effects *out)
{
    bool waited = s->wait == WAIT_DATA;
    ftp_effect(out, FTP_CANCEL);
    ftp_data_reset(s, out);
    if (waited)
        ftp_say(s, out, 425, "the data connection did not come within %u s", s->config.data_s);
    else
        ftp_say(s, out, 426, "nothing moved for %u s", s->config.stall_s);
    ftp_idle(s, now);
}

/* ---- ABOR and STAT ---- */

bool ftp_abort_now(struct ftp_session *s, core_time now, struct ftp_effects *out)
{
    if (s->wait != WAIT_LOOK && s->wait != WAIT_SUM && (s->wait < WAIT_OPENED || s->wait > WAIT_MOVED))
        return false;
    bool transfer = s->wait >= WAIT_OPENED && s->wait <= WAIT_MOVED;
    ftp_effect(out, FTP_CANCEL);
    if (!s->control || !transfer)
        ftp_data_reset(s, out);
    ftp_say(s, out, transfer ? 426 : 451, "given up, as you asked");
    ftp_say(s, out, 226, "done");
    ftp_idle(s, now);
    return true;
}

bool ftp_session_abort(struct ftp_session *s, core_time now, struct ftp_effects *out)
{
    if (s->ended || s->control || s->wait < WAIT_OPENED || s->wait > WAIT_MOVED)
        return false;
    ftp_effect(out, FTP_CANCEL);
    ftp_data_reset(s, out);
    ftp_say(s, out, 426, "the owner of this node ended the transfer");
    ftp_idle(s, now);
    return true;
}

/* RFC 959, 4.1.3: nothing is under way. An open data connection stays. */
void ftp_abor(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    (void)argument;
    s->rest = 0;
    if (s->data == DATA_OPEN) {
        ftp_say(s, out, 225, "the data connection is open, no transfer is in progress");
        return;
    }
    ftp_data_reset(s, out);
    ftp_say(s, out, 226, "nothing was under way");
}

static void stat_status(struct ftp_session *s, struct ftp_effects *out)
{
    static const char *const data[] = {"none", "a port waits for you", "open", "a port of yours is known"};
    char peer[NET_ADDR_TEXT_MAX];
    ftp_say_first(s, out, 211, "Status of this session:");
    ftp_say_line(out, "you are at %s", net_addr_format(peer, &s->peer));
    if (ftp_logged_in(s))
        ftp_say_line(out, s->visitor ? "signed in as an anonymous visitor%s" : "signed in as %s",
                     s->visitor ? "" : s->name);
    ftp_say_line(out, "TYPE %s, MODE S, STRU F; data connection: %s", s->ascii ? "A" : "I", data[s->data]);
    if (s->wait == WAIT_MOVED || s->wait == WAIT_DATA || s->wait == WAIT_OPENED)
        ftp_say_line(out, "%s %s: %llu bytes so far", s->command->verb, s->path,
                     (unsigned long long)s->moved);
    else if (s->wait != WAIT_NONE)
        ftp_say_line(out, "%s is under way", s->command->verb);
    ftp_say(s, out, 211, "End.");
}

void ftp_stat(struct ftp_session *s, core_time now, const char *argument, struct ftp_effects *out)
{
    (void)now;
    if (!argument) {
        stat_status(s, out);
        return;
    }
    if (!list_path(s, without_options(argument), true, out))
        return;
    s->form = FTP_LIST_LONG;
    uint64_t rest = s->rest;
    begin(s, FTP_OPEN_LIST, DOING_LIST, out);
    s->rest = rest;
    s->control = true;
}
