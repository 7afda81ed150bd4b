/* The table of sessions of all gateways: who, what, how much; its statistics and its log. */
#include "gateways/sessions_host.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "node/base/assert.h"
#include "node/base/bytes.h"
#include "node/base/err.h"
#include "transfer/rate.h"

#define PROTOCOLS_MAX 8
#define BUCKETS       1024u

struct session {
    struct sessions *table;
    const char *protocol;
    const struct session_acts *acts;
    void *owner;
    struct session *prev, *next;   /* of all, in order of id */
    struct session *chain;         /* of its bucket */
    struct session_totals *totals; /* of its protocol */
    struct net_addr peer;
    bool limited, leaving, transferring, up;
    uint32_t id;
    struct account_who who;
    core_time since, last;
    uint64_t bytes_in, bytes_out, files_in, files_out;
    uint64_t transfer_from; /* bytes the way of the transfer when it began */
    struct meter in, out;
    char client[80], command[160], path[256];
};

struct sessions {
    struct limits *limits;
    core_time (*now)(void *clock);
    void *clock;
    struct session *all;
    struct session *buckets[BUCKETS];
    uint32_t last_id;
    uint64_t changes;
    struct session_totals totals;
    struct {
        const char *name;
        struct session_totals totals;
    } protocols[PROTOCOLS_MAX];
    uint32_t protocol_count;
    struct session_log log[SESSION_LOG_MAX]; /* line n lies at n % SESSION_LOG_MAX */
    uint64_t log_last;
};

struct sessions *sessions_new(const struct limits_config *limits, core_time (*now)(void *clock), void *clock)
{
    struct sessions *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->limits = limits_new(&core_alloc_libc, limits);
    if (!s->limits) {
        free(s);
        return NULL;
    }
    s->now = now;
    s->clock = clock;
    return s;
}

void sessions_free(struct sessions *s)
{
    if (!s)
        return;
    core_assert(s->all == NULL);
    limits_free(s->limits);
    free(s);
}

struct limits *sessions_limits(struct sessions *s)
{
    return s->limits;
}

core_time sessions_now(const struct sessions *s)
{
    return s->now(s->clock);
}

uint64_t sessions_changes(const struct sessions *s)
{
    return s->changes;
}

/* Text of strangers as people may see it: control characters and what is not ASCII or well-formed UTF-8
 * become
 * '?'; cut between characters. */
static size_t put_text(char *out, size_t cap, size_t n, const uint8_t *text, size_t size)
{
    for (size_t i = 0; i < size && n + 1 < cap;) {
        uint8_t c = text[i];
        size_t more = c >= 0xf0 && c < 0xf5 ? 3 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xc2 && c < 0xe0 ? 1 : 0;
        bool good = c >= 0x20 && c < 0x7f;
        if (more && i + more < size) {
            good = !(c == 0xe0 && text[i + 1] < 0xa0) && !(c == 0xed && text[i + 1] > 0x9f) &&
                   !(c == 0xf0 && text[i + 1] < 0x90) && !(c == 0xf4 && text[i + 1] > 0x8f) &&
                   !(c == 0xc2 && text[i + 1] < 0xa0); /* C1 controls */
            for (size_t k = 1; k <= more; k++)
                good = good && (text[i + k] & 0xc0) == 0x80;
        }
        if (!good) {
            out[n++] = '?';
            i++;
            continue;
        }
        if (n + more + 1 >= cap)
            break;
        memcpy(out + n, text + i, more + 1);
        n += more + 1;
        i += more + 1;
    }
    out[n] = 0;
    return n;
}

/* ---- The log ---- */

static struct session_log *log_line(struct sessions *s, enum session_event event, const char *protocol,
                                    const struct net_addr *peer)
{
    struct session_log *line = &s->log[++s->log_last % SESSION_LOG_MAX];
    memset(line, 0, offsetof(struct session_log, path) + 1);
    line->number = s->log_last;
    line->at = s->now(s->clock);
    line->event = event;
    line->protocol = protocol;
    line->peer = *peer;
    line->bytes = 0;
    return line;
}

static struct session_log *log_session(struct session *x, enum session_event event)
{
    struct session_log *line = log_line(x->table, event, x->protocol, &x->peer);
    line->id = x->id;
    memcpy(line->name, x->who.name, sizeof line->name);
    return line;
}

void sessions_log(const struct sessions *s, uint64_t from,
                  bool (*each)(void *context, const struct session_log *line), void *context)
{
    uint64_t first = s->log_last >= SESSION_LOG_MAX ? s->log_last - SESSION_LOG_MAX + 1 : 1;
    for (uint64_t n = from > first ? from : first; n <= s->log_last; n++)
        if (!each(context, &s->log[n % SESSION_LOG_MAX]))
            return;
}

/* ---- Begin and end ---- */

static struct session_totals *totals_of(struct sessions *s, const char *protocol)
{
    for (uint32_t i = 0; i < s->protocol_count; i++)
        if (strcmp(s->protocols[i].name, protocol) == 0)
            return &s->protocols[i].totals;
    core_assert(s->protocol_count < PROTOCOLS_MAX);
    s->protocols[s->protocol_count].name = protocol;
    return &s->protocols[s->protocol_count++].totals;
}

static int refuse(struct sessions *s, const char *protocol, const struct net_addr *peer, int code)
{
    s->totals.refused++;
    totals_of(s, protocol)->refused++;
    log_line(s, SESSION_REFUSED, protocol, peer);
    s->changes++;
    return code;
}

static void count_open(struct session_totals *t)
{
    t->sessions++;
    if (++t->open > t->peak)
        t->peak = t->open;
}

int session_begin(struct sessions *s, const char *protocol, const struct net_addr *peer,
                  const struct session_acts *acts, void *owner, struct session **out, uint32_t *retry_s)
{
    core_time now = s->now(s->clock), until = 0;
    bool limited = peer->port != 0;
    *out = NULL;
    *retry_s = 0;
    int r = limited ? limits_enter(s->limits, now, peer, &until) : 0;
    if (r != 0) {
        if (until > now && until != CORE_NEVER)
            *retry_s = (uint32_t)((until - now + 999999) / 1000000);
        return refuse(s, protocol, peer, r);
    }
    struct session *x = calloc(1, sizeof *x);
    if (!x) {
        if (limited)
            limits_leave(s->limits, peer);
        return refuse(s, protocol, peer, ERR_NO_MEMORY);
    }
    x->table = s;
    x->protocol = protocol;
    x->acts = acts;
    x->owner = owner;
    x->peer = *peer;
    x->limited = limited;
    x->id = ++s->last_id;
    x->since = x->last = now;
    x->totals = totals_of(s, protocol);
    DL_APPEND(s->all, x);
    x->chain = s->buckets[x->id % BUCKETS];
    s->buckets[x->id % BUCKETS] = x;
    count_open(&s->totals);
    count_open(x->totals);
    log_session(x, SESSION_BEGAN);
    s->changes++;
    *out = x;
    return 0;
}

void session_end(struct session *x)
{
    if (!x)
        return;
    struct sessions *s = x->table;
    session_transfer_end(x, false);
    log_session(x, SESSION_ENDED)->bytes = x->bytes_in + x->bytes_out;
    s->totals.open--;
    x->totals->open--;
    if (x->limited)
        limits_leave(s->limits, &x->peer);
    struct session **at = &s->buckets[x->id % BUCKETS];
    while (*at != x)
        at = &(*at)->chain;
    *at = x->chain;
    DL_DELETE(s->all, x);
    s->changes++;
    free(x);
}

/* ---- What the gateway tells ---- */

void session_who(struct session *x, const struct account_who *who)
{
    if (x->who.privilege == who->privilege && strcmp(x->who.name, who->name) == 0)
        return; /* a browser says it with each request */
    x->who = *who;
    x->table->changes++;
    if (who->name[0])
        log_session(x, SESSION_SIGNED_IN);
}

const struct account_who *session_account(const struct session *x)
{
    return &x->who;
}

void session_client(struct session *x, struct bytes name)
{
    put_text(x->client, sizeof x->client, 0, name.data, name.size);
}

static void active(struct session *x)
{
    x->last = x->table->now(x->table->clock);
    x->table->changes++;
}

void session_command(struct session *x, const char *format, ...)
{
    char text[sizeof x->command];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put_text(x->command, sizeof x->command, 0, (const uint8_t *)text, strlen(text));
    active(x);
}

void session_command_bytes(struct session *x, struct bytes verb, struct bytes rest)
{
    size_t n = put_text(x->command, sizeof x->command, 0, verb.data, verb.size);
    n = put_text(x->command, sizeof x->command, n, (const uint8_t *)" ", 1);
    put_text(x->command, sizeof x->command, n, rest.data, rest.size);
    active(x);
}

void session_transfer_begin(struct session *x, const char *path, bool up)
{
    session_transfer_end(x, false);
    put_text(x->path, sizeof x->path, 0, (const uint8_t *)path, strlen(path));
    x->transferring = true;
    x->up = up;
    x->transfer_from = up ? x->bytes_in : x->bytes_out;
    active(x);
}

void session_transfer_end(struct session *x, bool complete)
{
    if (!x->transferring)
        return;
    x->transferring = false;
    struct session_log *line = log_session(x, !complete ? SESSION_BROKE_OFF
                                              : x->up   ? SESSION_RECEIVED
                                                        : SESSION_SENT);
    put_text(line->path, sizeof line->path, 0, (const uint8_t *)x->path, strlen(x->path));
    line->bytes = (x->up ? x->bytes_in : x->bytes_out) - x->transfer_from;
    if (complete && x->up) {
        x->files_in++;
        x->totals->files_in++;
        x->table->totals.files_in++;
    } else if (complete) {
        x->files_out++;
        x->totals->files_out++;
        x->table->totals.files_out++;
    }
    active(x);
}

void session_bytes(struct session *x, uint64_t in, uint64_t out)
{
    core_time now = x->table->now(x->table->clock);
    x->last = now;
    x->bytes_in += in;
    x->bytes_out += out;
    x->totals->bytes_in += in;
    x->totals->bytes_out += out;
    x->table->totals.bytes_in += in;
    x->table->totals.bytes_out += out;
    if (in)
        meter_add(&x->in, now, in);
    if (out)
        meter_add(&x->out, now, out);
}

/* ---- What the owner sees and does ---- */

static const char *where_of(const struct net_addr *peer)
{
    struct net_addr a = *peer;
    if (!a.port)
        return "this computer";
    switch (net_addr_scope(&a)) {
    case NET_SCOPE_LOOPBACK:
        return "this computer";
    case NET_SCOPE_LINK_LOCAL:
    case NET_SCOPE_PRIVATE:
        return "local network";
    default:
        return "the internet";
    }
}

static void info_of(const struct session *x, core_time now, struct session_info *out)
{
    core_time passed = now > x->since ? now - x->since : 0;
    *out = (struct session_info){
        .id = x->id,
        .protocol = x->protocol,
        .who = x->who,
        .peer = x->peer,
        .where = where_of(&x->peer),
        .rate_in = meter_rate(&x->in, now),
        .rate_out = meter_rate(&x->out, now),
        .bytes_in = x->bytes_in,
        .bytes_out = x->bytes_out,
        .files_in = x->files_in,
        .files_out = x->files_out,
        .since = x->since,
        .last = x->last,
        .transferring = x->transferring,
        .up = x->up,
        .can_disconnect = x->acts->disconnect != NULL,
        .can_abort = x->acts->abort_transfer != NULL,
        .can_message = x->acts->message != NULL,
    };
    if (passed >= CORE_MS(1)) {
        out->mean_in = (uint64_t)((double)x->bytes_in * 1e6 / (double)passed);
        out->mean_out = (uint64_t)((double)x->bytes_out * 1e6 / (double)passed);
    }
    memcpy(out->client, x->client, sizeof out->client);
    memcpy(out->command, x->command, sizeof out->command);
    memcpy(out->path, x->path, sizeof out->path);
}

void sessions_each(struct sessions *s, bool (*each)(void *context, const struct session_info *info),
                   void *context)
{
    core_time now = s->now(s->clock);
    struct session *x;
    struct session_info info;
    DL_FOREACH(s->all, x)
    {
        info_of(x, now, &info);
        if (!each(context, &info))
            return;
    }
}

static struct session *find(struct sessions *s, uint32_t id)
{
    struct session *x = s->buckets[id % BUCKETS];
    while (x && x->id != id)
        x = x->chain;
    return x;
}

int sessions_find(struct sessions *s, uint32_t id, struct session_info *out)
{
    struct session *x = find(s, id);
    if (!x)
        return ERR_NOT_FOUND;
    info_of(x, s->now(s->clock), out);
    return 0;
}

static void disconnect(struct session *x)
{
    x->leaving = true;
    x->acts->disconnect(x->owner);
}

/* One end may bring about others: the list is looked through again after each. */
static void disconnect_all(struct sessions *s, bool (*matches)(const struct session *x, const void *what),
                           const void *what)
{
    struct session *x = s->all;
    while (x) {
        if (x->leaving || !x->acts->disconnect || !matches(x, what)) {
            x = x->next;
            continue;
        }
        disconnect(x);
        x = s->all;
    }
}

static bool is_from(const struct session *x, const void *what)
{
    return x->limited && net_addr_same_ip(&x->peer, what);
}

static bool is_of_account(const struct session *x, const void *what)
{
    return x->who.name[0] && strcmp(x->who.name, what) == 0;
}

void sessions_end_account(struct sessions *s, const char *name)
{
    disconnect_all(s, is_of_account, name);
}

int sessions_disconnect(struct sessions *s, uint32_t id, uint32_t ban_s)
{
    struct session *x = find(s, id);
    core_time now = s->now(s->clock);
    if (!x)
        return ERR_NOT_FOUND;
    if (!x->acts->disconnect)
        return ERR_UNSUPPORTED;
    struct net_addr peer = x->peer;
    if (ban_s) {
        if (!x->limited || !limits_ban(s->limits, now, &peer, now + CORE_SECONDS(ban_s)))
            return ERR_PERMISSION;
        log_session(x, SESSION_BANNED);
        disconnect_all(s, is_from, &peer);
    } else if (!x->leaving) {
        disconnect(x);
    }
    s->changes++;
    return 0;
}

int sessions_abort(struct sessions *s, uint32_t id)
{
    struct session *x = find(s, id);
    if (!x)
        return ERR_NOT_FOUND;
    if (!x->acts->abort_transfer)
        return ERR_UNSUPPORTED;
    if (!x->transferring)
        return ERR_RANGE;
    x->acts->abort_transfer(x->owner);
    s->changes++;
    return 0;
}

int sessions_message(struct sessions *s, uint32_t id, const char *text)
{
    struct session *x = find(s, id);
    char shown[512];
    if (!x)
        return ERR_NOT_FOUND;
    if (!x->acts->message)
        return ERR_UNSUPPORTED;
    put_text(shown, sizeof shown, 0, (const uint8_t *)text, strlen(text));
    return x->acts->message(x->owner, shown) ? 0 : ERR_BUSY;
}

void sessions_totals(const struct sessions *s, const char *protocol, struct session_totals *out)
{
    *out = (struct session_totals){0};
    if (!protocol)
        *out = s->totals;
    for (uint32_t i = 0; protocol && i < s->protocol_count; i++)
        if (strcmp(s->protocols[i].name, protocol) == 0)
            *out = s->protocols[i].totals;
}

uint32_t sessions_protocols(const struct sessions *s, const char **out, uint32_t max)
{
    uint32_t n = s->protocol_count < max ? s->protocol_count : max;
    for (uint32_t i = 0; i < n; i++)
        out[i] = s->protocols[i].name;
    return n;
}
