/* The FTP session under any input and any answers of its host: the first byte chooses how the stream is cut,
 * every 0x1e in it is an event of the host (the next byte says which). It may never break an invariant, ask
 * for two things at once, or reply with anything but whole lines of known codes; and without events the
 * replies are the same however the stream is cut. */
#include <stdlib.h>
#include "gateways/ftp/ftp_session.h"
#include "node/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct ftp_session *s;
    struct ftp_effects out;
    core_time now;
    enum ftp_effect_kind open; /* the wish that waits; FTP_REPLY: none */
    uint32_t replies;          /* hash of them */
    bool port, data, gone;     /* port: a data connection may come of it */
};

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_reply(struct world *w, struct bytes text)
{
    check(text.size > 0);
    for (size_t i = 0; i < text.size; i++)
        w->replies = (w->replies ^ text.data[i]) * 16777619u;
    if (text.data[0] == 255)
        return; /* Telnet */
    check(text.size > 5 && memcmp(text.data + text.size - 2, "\r\n", 2) == 0);
    check(text.data[0] >= '1' && text.data[0] <= '5' && text.data[1] >= '0' && text.data[1] <= '5');
}

static void wish(struct world *w, enum ftp_effect_kind kind)
{
    check(w->open == FTP_REPLY);
    w->open = kind;
}

static void carry(struct world *w)
{
    for (uint32_t i = 0; i < w->out.count; i++) {
        const struct ftp_effect *e = &w->out.items[i];
        check(!w->gone);
        if (e->kind == FTP_REPLY) {
            check_reply(w, e->text);
        } else if (e->kind == FTP_CANCEL) {
            w->open = FTP_REPLY;
        } else if (e->kind == FTP_DATA_CLOSE) {
            w->data = w->port = false;
        } else if (e->kind == FTP_DIAL) {
            w->port = true;
        } else if (e->kind == FTP_HANGUP) {
            w->gone = true;
        } else if (e->kind == FTP_MOVE) {
            check(w->data || e->control);
            wish(w, e->kind);
        } else if (e->kind != FTP_TOLD && e->kind != FTP_CLIENT && e->kind != FTP_WHO) {
            check(!e->path || e->kind == FTP_LOGIN || e->kind == FTP_TOKEN || e->path[0] == '/');
            wish(w, e->kind);
        }
    }
    ftp_effects_reset(&w->out);
    ftp_session_check(w->s);
}

static void go(struct world *w)
{
    carry(w);
    while (ftp_session_step(w->s, w->now, &w->out))
        carry(w);
}

static int status_of(uint8_t byte)
{
    static const int codes[] = {
        0,          0,           0,          ERR_NOT_FOUND, ERR_PERMISSION, ERR_NO_SPACE, ERR_QUOTA,
        ERR_EXISTS, ERR_CHANGED, ERR_CLOSED, ERR_RANGE,     ERR_NOT_A_FILE, ERR_IO};
    return codes[byte % (sizeof codes / sizeof *codes)];
}

static void answer(struct world *w, uint8_t byte)
{
    struct net_addr a = net_addr_v4(127, 0, 0, 1, 40000);
    struct ftp_info info = {.name = "n", .dir = byte & 16, .size = byte, .mtime_s = byte};
    enum ftp_effect_kind open = w->open;
    int status = status_of(byte);
    w->open = FTP_REPLY;
    if (open == FTP_LOGIN || open == FTP_TOKEN)
        ftp_session_logged_in(w->s, w->now, status, "alice", byte, &w->out);
    else if (open == FTP_LISTEN)
        ftp_session_listening(w->s, w->now, status, &a, &w->out);
    else if (open == FTP_LOOK)
        ftp_session_looked(w->s, w->now, status, status ? NULL : &info, &w->out);
    else if (open == FTP_OPEN_SEND || open == FTP_OPEN_LIST || open == FTP_OPEN_STORE)
        ftp_session_opened(w->s, w->now, status, byte, &w->out);
    else if (open == FTP_MOVE)
        ftp_session_moved(w->s, w->now, status, byte, &w->out);
    else if (open == FTP_SUM)
        ftp_session_summed(w->s, w->now, status, byte, &w->out);
    else if (open != FTP_REPLY)
        ftp_session_done(w->s, w->now, status, &w->out);
    w->port |= open == FTP_LISTEN && status == 0;
}

static void event(struct world *w, uint8_t byte)
{
    if (w->gone)
        return;
    switch (byte >> 5) {
    case 0:
    case 1:
    case 2:
        answer(w, byte);
        break;
    case 3:
        if (!w->port)
            break;
        w->port = false;
        w->data = status_of(byte) == 0;
        ftp_session_data(w->s, w->now, status_of(byte), &w->out);
        break;
    case 4:
        w->now += CORE_SECONDS((byte & 31) * 60u);
        ftp_session_wake(w->s, w->now, &w->out);
        break;
    case 5:
        ftp_session_abort(w->s, w->now, &w->out);
        break;
    case 6:
        ftp_session_message(w->s, "message");
        break;
    default:
        ftp_session_progress(w->s, w->now, byte);
    }
    go(w);
}

static uint32_t play(const uint8_t *data, size_t size, size_t piece, bool events)
{
    static struct world w;
    struct ftp_config config;
    struct net_addr a = net_addr_v4(127, 0, 0, 1, 50000);
    memset(&w, 0, sizeof w);
    w.now = 1;
    w.open = FTP_REPLY;
    w.replies = 2166136261u;
    ftp_config_default(&config);
    w.s = ftp_session_new(&core_alloc_libc, w.now, &config, &a, &a, &w.out);
    check(w.s != NULL);
    go(&w);
    for (size_t at = 0; at < size && !w.gone;) {
        if (events && data[at] == 0x1e && at + 1 < size) {
            event(&w, data[at + 1]);
            at += 2;
            continue;
        }
        size_t n = size - at < piece ? size - at : piece, room = ftp_session_room(w.s);
        const uint8_t *mark = events ? memchr(data + at, 0x1e, n) : NULL;
        if (mark && mark > data + at)
            n = (size_t)(mark - data) - at;
        n = n < room ? n : room;
        if (n == 0)
            break;
        ftp_session_give(w.s, w.now, bytes_of(data + at, n), &w.out);
        go(&w);
        at += n;
    }
    ftp_session_free(w.s);
    return w.replies;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t piece = 1 + data[0] % 61;
    play(data + 1, size - 1, piece, true);
    uint32_t whole = play(data + 1, size - 1, 4096, false), pieces = play(data + 1, size - 1, piece, false);
    /* ABOR overtakes what has already come: how much had is the network's business. Answers to Telnet come
     * before or after replies. */
    bool timing = false;
    for (size_t i = 1; i + 3 < size; i++)
        timing |= strncasecmp((const char *)data + i, "ABOR", 4) == 0 ||
                  strncasecmp((const char *)data + i, "STAT", 4) == 0;
    timing |= memchr(data, 255, size) != NULL;
    check(timing || whole == pieces);
    return 0;
}
