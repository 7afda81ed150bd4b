/* Control connections: bytes to the session and back, and each of its wishes to whom it concerns. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include "gateways/ftp/ftp_conn_host.h"
#include "node/base/assert.h"
#include "node/host/core.h"

#define QUEUE_STOP (16u * 1024u)  /* replies that nobody reads yet: then nothing more is run [bytes] */
#define QUEUE_MAX  (512u * 1024u) /* then the connection ends: a page of STAT fits */
#define LINGER_MS  2000 /* for the last reply to reach a client that does not read, or goes on sending */
#define LINGER_MAX (1u << 20) /* of what it goes on sending [bytes] */

static void conn_go(struct ftp_conn *c);
static void read_update(struct ftp_conn *c);

core_time ftp_conn_now(const struct ftp_conn *c)
{
    return host_now(&c->server->g->app->core);
}

/* ---- The end ---- */

void ftp_conn_unhold(struct ftp_conn *c)
{
    struct ftp_server *s = c->server;
    if (--c->handles)
        return;
    *(c->prev ? &c->prev->next : &s->conns) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    s->count--;
    ftp_session_free(c->s);
    struct gateways *g = s->g;
    free(c);
    gateways_release(g);
}

static void on_closed(uv_handle_t *handle)
{
    ftp_conn_unhold(handle->data);
}

void ftp_conn_close(struct ftp_conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    ftp_move_end(c);
    ftp_data_close(c);
    session_end(c->x);
    c->x = NULL;
    uv_close((uv_handle_t *)&c->tcp, on_closed);
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

bool ftp_conn_gone(const struct ftp_conn *c)
{
    uv_os_fd_t fd;
    char byte;
    if (c->eof || c->half || c->closing || uv_fileno((const uv_handle_t *)&c->tcp, &fd) != 0)
        return true;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

struct ftp_late *ftp_late_new(struct ftp_conn *c)
{
    struct ftp_late *late = malloc(sizeof *late);
    if (!late)
        return NULL;
    *late = (struct ftp_late){c, c->server->g};
    gateways_hold(late->g);
    return late;
}

struct ftp_conn *ftp_late_end(struct ftp_late *late)
{
    struct ftp_conn *c = late->c;
    struct gateways *g = late->g;
    free(late);
    gateways_release(g);
    return c;
}

/* ---- Time ---- */

static void on_timer(uv_timer_t *timer);

/* The timer is moved only when it would come too late: most deadlines move on before it comes. */
static void timer_update(struct ftp_conn *c)
{
    core_time at = ftp_session_deadline(c->s), now;
    if (c->closing || c->hangup || at >= c->timer_at)
        return;
    now = ftp_conn_now(c);
    c->timer_at = at;
    uv_timer_start(&c->timer, on_timer, at > now ? (at - now + 999) / 1000 : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct ftp_conn *c = timer->data;
    core_time now = ftp_conn_now(c);
    c->timer_at = CORE_NEVER;
    if (c->hangup) {
        ftp_conn_close(c);
        return;
    }
    if (now >= ftp_session_deadline(c->s)) {
        struct ftp_effects *out = &c->server->out;
        ftp_effects_reset(out);
        ftp_session_wake(c->s, now, out);
    }
    conn_go(c);
}

/* ---- Output ---- */

struct piece {
    uv_write_t write;
    char data[];
};

static void on_written(uv_write_t *write, int status)
{
    struct ftp_conn *c = write->handle->data;
    free(write);
    if (status != 0)
        ftp_conn_close(c);
    else if (!c->closing && !c->hangup && c->tcp.write_queue_size == 0)
        conn_go(c);
}

void ftp_conn_say(struct ftp_conn *c, const void *text, size_t size)
{
    uv_buf_t buf = uv_buf_init((char *)text, (unsigned)size);
    int sent = 0;
    if (c->closing)
        return;
    if (c->tcp.write_queue_size == 0)
        sent = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
    if (sent == UV_EAGAIN)
        sent = 0;
    if (sent == (int)size)
        return;
    struct piece *p =
        sent < 0 || c->tcp.write_queue_size > QUEUE_MAX ? NULL : malloc(sizeof *p + size - (size_t)sent);
    if (!p) {
        c->eof = true; /* closed by conn_go: who calls goes on for a moment */
        return;
    }
    memcpy(p->data, buf.base + sent, size - (size_t)sent);
    buf = uv_buf_init(p->data, (unsigned)(size - (size_t)sent));
    if (uv_write(&p->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written) != 0) {
        free(p);
        c->eof = true;
    }
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    struct ftp_conn *c = request->data;
    if (status != 0 || c->half)
        ftp_conn_close(c);
    ftp_conn_unhold(c);
}

/* Closed while the client still sends, the socket would answer with a reset, which overtakes our last reply.
 * So what still comes is read and thrown away, for a moment. */
static void hang_up(struct ftp_conn *c)
{
    c->hangup = true;
    ftp_move_end(c);
    ftp_data_close(c);
    c->shutdown.data = c;
    if (uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_shutdown) != 0) {
        ftp_conn_close(c);
        return;
    }
    c->handles++;
    uv_timer_start(&c->timer, on_timer, LINGER_MS, 0);
    c->timer_at = 0;
}

/* ---- Wishes ---- */

static void on_login(void *context, int status, const struct account_who *who)
{
    struct ftp_conn *c = context;
    c->login = NULL;
    if (status == 0)
        c->who = *who;
    ftp_conn_answer(c, ANSWER_LOGIN, status, 0);
}

static void login(struct ftp_conn *c, const char *name, const char *password)
{
    struct accounts *a = c->server->g->accounts;
    char folded[ACCOUNT_NAME_MAX];
    int rc = account_name_fold(folded, name, NULL) ? 0 : ERR_PERMISSION;
    if (rc == 0)
        rc = accounts_check(a, &c->peer, folded, password, on_login, c, &c->login);
    if (rc != 0)
        ftp_conn_answer(c, ANSWER_LOGIN, rc, rc == ERR_BUSY ? accounts_wait(a, &c->peer) : 0);
}

static void token(struct ftp_conn *c, const char *secret)
{
    struct account_login found;
    uint32_t wait = accounts_wait(c->server->g->accounts, &c->peer);
    int rc = wait ? ERR_BUSY
                  : accounts_login_find(c->server->g->accounts, bytes_of(secret, strlen(secret)), &found);
    if (rc == 0 && (!found.is_token || !found.who.name[0]))
        rc = ERR_NOT_FOUND; /* a browser's cookie is no token, and the owner's own has no home */
    if (rc == 0)
        c->who = found.who;
    ftp_conn_answer(c, ANSWER_LOGIN, rc, wait);
}

static void on_looked(void *context, int status, const struct content_info *info)
{
    struct ftp_conn *c = context;
    struct ftp_info line;
    char id[80], folder[8];
    c->call = NULL;
    if (c->closing)
        return;
    if (status == 0) {
        snprintf(folder, sizeof folder, "%s", strcmp(info->name, "home") == 0 ? "/home" : "");
        ftp_info_of(&line, id, info, folder);
    }
    struct ftp_effects *out = &c->server->out;
    ftp_effects_reset(out);
    ftp_session_looked(c->s, ftp_conn_now(c), status, status == 0 ? &line : NULL, out);
    conn_go(c);
}

static void on_done(void *context, int status)
{
    struct ftp_conn *c = context;
    c->call = NULL;
    ftp_conn_answer(c, ANSWER_DONE, status, 0);
}

/* What needs no more than a call of the tree. */
static void ask_content(struct ftp_conn *c, const struct ftp_effect *e)
{
    struct content *tree = c->server->g->content;
    core_time deadline = core_time_add(ftp_conn_now(c), CORE_MS(c->server->g->content_timeout_ms));
    if (e->kind == FTP_LOOK)
        c->call = content_resolve(tree, &c->who, e->path, NULL, deadline, on_looked, c);
    else if (e->kind == FTP_REMOVE)
        c->call = content_remove(tree, &c->who, e->path, NULL, on_done, c);
    else if (e->kind == FTP_MKDIR)
        c->call = content_mkdir(tree, &c->who, e->path, on_done, c);
    else
        c->call = content_rename(tree, &c->who, e->path, e->other, true, on_done, c);
    if (!c->call)
        ftp_conn_answer(c, e->kind == FTP_LOOK ? ANSWER_LOOK : ANSWER_DONE, ERR_NO_MEMORY, 0);
}

static void who(struct ftp_conn *c, const char *name)
{
    if (!name || !name[0])
        c->who = ACCOUNT_VISITOR;
    session_who(c->x, &c->who);
}

static void told(struct ftp_conn *c, const char *command)
{
    size_t n = strcspn(command, " ");
    const char *rest = command[n] ? command + n + 1 : command + n;
    session_command_bytes(c->x, bytes_of(command, n), bytes_of(rest, strlen(rest)));
}

static void carry_one(struct ftp_conn *c, const struct ftp_effect *e)
{
    switch (e->kind) {
    case FTP_REPLY:
        ftp_conn_say(c, e->text.data, e->text.size);
        break;
    case FTP_TOLD:
        told(c, e->path);
        break;
    case FTP_CLIENT:
        session_client(c->x, bytes_of(e->path, strlen(e->path)));
        break;
    case FTP_WHO:
        who(c, e->path);
        break;
    case FTP_LOGIN:
        login(c, e->path, e->other);
        break;
    case FTP_TOKEN:
        token(c, e->path);
        break;
    case FTP_LISTEN:
        ftp_conn_answer(c, ANSWER_LISTEN, ftp_data_listen(c, &c->addr), 0);
        break;
    case FTP_DIAL: {
        int rc = ftp_data_dial(c, &e->addr);
        if (rc != 0)
            ftp_conn_data(c, rc);
        break;
    }
    case FTP_DATA_CLOSE:
        ftp_data_close(c);
        c->data_told = false;
        break;
    case FTP_LOOK:
    case FTP_REMOVE:
    case FTP_MKDIR:
    case FTP_RENAME:
        ask_content(c, e);
        break;
    case FTP_OPEN_SEND:
        ftp_open_send(c, e);
        break;
    case FTP_OPEN_LIST:
        ftp_open_list(c, e);
        break;
    case FTP_OPEN_STORE:
        ftp_open_store(c, e);
        break;
    case FTP_MOVE:
        ftp_move(c, e);
        break;
    case FTP_SUM:
        ftp_sum(c, e);
        break;
    case FTP_CANCEL:
        ftp_move_end(c);
        c->answer = ANSWER_NONE;
        break;
    case FTP_HANGUP:
        hang_up(c);
        break;
    }
}

static void carry(struct ftp_conn *c)
{
    struct ftp_server *s = c->server;
    core_assert(!s->carrying);
    s->carrying = true;
    for (uint32_t i = 0; i < s->out.count && !c->closing; i++)
        carry_one(c, &s->out.items[i]);
    s->carrying = false;
    ftp_effects_reset(&s->out);
}

/* ---- Answers ---- */

static void give_answer(struct ftp_conn *c)
{
    struct ftp_effects *out = &c->server->out;
    core_time now = ftp_conn_now(c);
    enum ftp_answer answer = c->answer;
    c->answer = ANSWER_NONE;
    switch (answer) {
    case ANSWER_LOGIN:
        ftp_session_logged_in(c->s, now, c->status, c->who.name, (uint32_t)c->number, out);
        break;
    case ANSWER_LISTEN:
        ftp_session_listening(c->s, now, c->status, &c->addr, out);
        break;
    case ANSWER_LOOK:
        ftp_session_looked(c->s, now, c->status, NULL, out);
        break;
    case ANSWER_OPENED:
        ftp_session_opened(c->s, now, c->status, c->number, out);
        break;
    case ANSWER_MOVED:
        ftp_session_moved(c->s, now, c->status, c->number, out);
        break;
    case ANSWER_SUM:
        ftp_session_summed(c->s, now, c->status, (uint32_t)c->number, out);
        break;
    case ANSWER_DONE:
        ftp_session_done(c->s, now, c->status, out);
        break;
    case ANSWER_NONE:
        break;
    }
}

/* Carries out what is in the batch and all that follows from it, as far as it goes without waiting. */
static void conn_go(struct ftp_conn *c)
{
    struct ftp_effects *out = &c->server->out;
    c->handles++; /* c outlives this call */
    carry(c);
    while (!c->closing && !c->hangup) {
        if (c->data_told) {
            c->data_told = false;
            ftp_session_data(c->s, ftp_conn_now(c), c->data_status, out);
        } else if (c->answer != ANSWER_NONE) {
            give_answer(c);
        } else if (c->eof || c->tcp.write_queue_size > QUEUE_STOP ||
                   !ftp_session_step(c->s, ftp_conn_now(c), out)) {
            break;
        }
        carry(c);
    }
    if ((c->eof || (c->half && ftp_session_idle(c->s))) && !c->closing && !c->hangup)
        ftp_conn_close(c);
    if (!c->closing) {
        timer_update(c);
        read_update(c);
    }
    ftp_conn_unhold(c);
}

void ftp_conn_answer(struct ftp_conn *c, enum ftp_answer answer, int status, uint64_t number)
{
    if (c->closing)
        return;
    core_assert(c->answer == ANSWER_NONE);
    c->answer = answer;
    c->status = status;
    c->number = number;
    if (!c->server->carrying)
        conn_go(c);
}

void ftp_conn_data(struct ftp_conn *c, int status)
{
    if (c->closing)
        return;
    c->data_told = true;
    c->data_status = status;
    if (!c->server->carrying)
        conn_go(c);
}

/* ---- Input ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct ftp_conn *c = handle->data;
    size_t room = c->hangup ? sizeof c->server->in : ftp_session_room(c->s);
    (void)suggested;
    *buf = uv_buf_init((char *)c->server->in,
                       (unsigned)(room < sizeof c->server->in ? room : sizeof c->server->in));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct ftp_conn *c = stream->data;
    (void)buf;
    if (n == 0)
        return;
    if (c->hangup) {
        c->lingered += n > 0 ? (uint32_t)n : 0;
        if (n < 0 || c->lingered > LINGER_MAX)
            ftp_conn_close(c);
        return;
    }
    struct ftp_effects *out = &c->server->out;
    ftp_effects_reset(out);
    if (n == UV_EOF && c->task != TASK_STORE) { /* a script that says all at once and then listens */
        c->half = true;
        c->reading = false;
        uv_read_stop(stream);
        conn_go(c);
        return;
    }
    if (n < 0) { /* what the client left behind half done is given up */
        ftp_conn_close(c);
        return;
    }
    ftp_session_give(c->s, ftp_conn_now(c), bytes_of(c->server->in, (size_t)n), out);
    conn_go(c);
}

/* Reading stops while lines wait that cannot run, or replies that nobody reads: the rest waits in the client.
 */
static void read_update(struct ftp_conn *c)
{
    bool want =
        !c->half && (c->hangup || (c->tcp.write_queue_size <= QUEUE_STOP && ftp_session_room(c->s) > 0));
    if (want == c->reading)
        return;
    c->reading = want;
    if (!want)
        uv_read_stop((uv_stream_t *)&c->tcp);
    else if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
        ftp_conn_close(c);
}

/* ---- What the table of sessions asks ---- */

void ftp_conn_end(struct ftp_conn *c, const char *reason)
{
    struct ftp_effects *out = &c->server->out;
    if (c->closing || c->hangup)
        return;
    ftp_effects_reset(out);
    ftp_session_end(c->s, ftp_conn_now(c), reason, out);
    conn_go(c);
}

static void act_disconnect(void *owner)
{
    ftp_conn_end(owner, "the owner of this node ended the session");
}

static void act_abort(void *owner)
{
    struct ftp_conn *c = owner;
    struct ftp_effects *out = &c->server->out;
    if (c->closing || c->hangup)
        return;
    ftp_effects_reset(out);
    ftp_session_abort(c->s, ftp_conn_now(c), out);
    conn_go(c);
}

static bool act_message(void *owner, const char *text)
{
    struct ftp_conn *c = owner;
    return !c->closing && !c->hangup && ftp_session_message(c->s, text);
}

static const struct session_acts acts = {act_disconnect, act_abort, act_message};

/* ---- Opening ---- */

static bool addresses(struct ftp_conn *c)
{
    struct sockaddr_storage ss;
    int size = sizeof ss;
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&ss, &size) != 0 ||
        !host_from_sockaddr(&c->peer, (struct sockaddr *)&ss))
        return false;
    size = sizeof ss;
    return uv_tcp_getsockname(&c->tcp, (struct sockaddr *)&ss, &size) == 0 &&
           host_from_sockaddr(&c->local, (struct sockaddr *)&ss);
}

/* A refusal is one line, which a new connection's socket always takes. */
static bool refused(struct ftp_conn *c, int rc, uint32_t retry_s)
{
    char text[160];
    const char *why = rc == ERR_BUSY         ? "your address has too many sessions here"
                      : rc == ERR_PERMISSION ? "your address is kept out for now"
                                             : "this node has too many sessions";
    int n = retry_s ? snprintf(text, sizeof text, "421 %s; come again in %u s\r\n", why, retry_s)
                    : snprintf(text, sizeof text, "421 %s; come again later\r\n", why);
    ftp_conn_say(c, text, (size_t)n);
    return false;
}

static bool begin(struct ftp_conn *c)
{
    struct ftp_server *s = c->server;
    struct ftp_config config = s->session_config;
    uv_os_fd_t fd;
    uint32_t retry_s = 0;
    int one = 1;
    if (uv_accept((uv_stream_t *)&s->listener, (uv_stream_t *)&c->tcp) != 0 || !addresses(c))
        return false;
    uv_tcp_nodelay(&c->tcp, 1);
    uv_tcp_keepalive(&c->tcp, 1,
                     60); /* routers forget a control connection that is silent during a long transfer */
    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) ==
        0) /* Telnet's data mark comes as urgent data and belongs in its place (RFC 854) */
        setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof one);
    int rc = s->count > FTP_CONNECTIONS_MAX
                 ? ERR_FULL
                 : session_begin(s->g->sessions, "FTP", &c->peer, &acts, c, &c->x, &retry_s);
    if (rc != 0)
        return refused(c, rc, retry_s);
    if (s->anonymous == CONFIG_ANONYMOUS_LOCAL)
        config.anonymous = net_addr_scope(&c->peer) == NET_SCOPE_LOOPBACK;
    config.stou_first = host_unix_ms() / 1000;
    ftp_effects_reset(&s->out);
    c->s = ftp_session_new(&core_alloc_libc, ftp_conn_now(c), &config, &c->peer, &c->local, &s->out);
    return c->s != NULL;
}

void ftp_conn_open(struct ftp_server *s)
{
    struct ftp_conn *c = calloc(1, sizeof *c);
    if (!c)
        return; /* waits in the queue of the system until another comes */
    c->server = s;
    c->timer_at = CORE_NEVER;
    uv_tcp_init(&s->g->app->loop, &c->tcp);
    uv_timer_init(&s->g->app->loop, &c->timer);
    c->tcp.data = c->timer.data = c;
    c->handles = 2;
    gateways_hold(s->g);
    c->next = s->conns;
    if (s->conns)
        s->conns->prev = c;
    s->conns = c;
    s->count++;
    if (begin(c))
        conn_go(c);
    else
        ftp_conn_close(c);
}
