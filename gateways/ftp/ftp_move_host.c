/* Bytes between content and data connections. A transfer holds one buffer while it moves, none while it waits
 * for its data connection (a list has its first page). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "gateways/ftp/ftp_conn_host.h"
#include "node/base/assert.h"
#include "node/host/core.h"

#define SLICE     (1024u * 1024u) /* one sendfile; also what is looked at for being in memory */
#define AHEAD     (4u << 20)      /* bytes wanted next, told to the swarm and to the disk */
#define SUM_BLOCK (64u * 1024u)   /* summed on the loop in one go, some 0.2 ms */

static void send_go(struct ftp_conn *c);
static void list_next(struct ftp_conn *c);

static core_time content_deadline(const struct ftp_conn *c)
{
    return core_time_add(ftp_conn_now(c), CORE_MS(c->server->g->content_timeout_ms));
}

/* ---- The end ---- */

static void buffer_drop(struct ftp_conn *c)
{
    c->server->buffers -= c->buffer_cap > 0;
    free(c->buffer);
    c->buffer = NULL;
    c->buffer_size = c->buffer_at = c->buffer_cap = 0;
}

void ftp_move_end(struct ftp_conn *c)
{
    if (c->call)
        content_cancel(c->call);
    c->call = NULL;
    if (c->login)
        accounts_cancel(c->login);
    c->login = NULL;
    if (c->late)
        c->late->c = NULL;
    c->late = NULL;
    if (c->x)
        session_transfer_end(c->x, false);
    if (c->file)
        content_close(c->file);
    if (c->upload)
        content_upload_abort(c->upload);
    c->file = NULL;
    c->upload = NULL;
    free(c->path);
    free(c->pattern);
    c->path = c->pattern = NULL;
    buffer_drop(c);
    c->task = TASK_NONE;
    c->moving = c->control = c->ascii = c->waits_drain = c->more = false;
    c->text.cr = false;
    c->offset = c->end = c->moved = c->skip = 0;
}

static void opened(struct ftp_conn *c, int status, uint64_t size)
{
    if (status != 0)
        ftp_move_end(c);
    ftp_conn_answer(c, ANSWER_OPENED, status, size);
}

static void moved(struct ftp_conn *c, int status)
{
    uint64_t bytes = c->moved;
    ftp_data_poll(c, 0);
    if (c->x && status == 0)
        session_transfer_end(c->x, true);
    ftp_move_end(c);
    ftp_conn_answer(c, ANSWER_MOVED, status, bytes);
}

/* The clock of the session, and the table of sessions. */
static void progress(struct ftp_conn *c, uint64_t bytes)
{
    c->moved += bytes;
    ftp_session_progress(c->s, ftp_conn_now(c), c->moved);
    if (!c->x)
        return;
    if (c->task == TASK_STORE)
        session_bytes(c->x, bytes, 0);
    else
        session_bytes(c->x, 0, bytes);
}

static bool begin(struct ftp_conn *c, enum ftp_task task, const struct ftp_effect *e)
{
    core_assert(c->task == TASK_NONE && !c->call && !c->late);
    c->task = task;
    c->path = strdup(e->path);
    c->pattern = e->pattern && task == TASK_LIST ? strdup(e->pattern) : NULL;
    c->form = e->form;
    c->facts = e->facts;
    return c->path && (!e->pattern || task != TASK_LIST || c->pattern);
}

static bool buffer_make(struct ftp_conn *c, size_t cap)
{
    if (c->buffer_cap >= cap)
        return true;
    uint8_t *grown = realloc(c->buffer, cap);
    if (!grown)
        return false;
    c->server->buffers += c->buffer_cap == 0;
    c->buffer = grown;
    c->buffer_cap = cap;
    return true;
}

/* What the buffer holds goes out. 1: all of it; 0: the socket is full, ftp_move_ready comes; else an error.
 */
static int buffer_send(struct ftp_conn *c)
{
    size_t sent = 0;
    int rc = 1;
    while (c->buffer_at < c->buffer_size) {
        ssize_t n = send(c->data->fd, c->buffer + c->buffer_at, c->buffer_size - c->buffer_at,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = errno == EAGAIN ? 0 : ERR_CLOSED;
            break;
        }
        c->buffer_at += (size_t)n;
        sent += (size_t)n;
    }
    if (sent)
        progress(c, sent);
    if (rc == 1)
        c->buffer_at = c->buffer_size = 0;
    else if (rc == 0)
        ftp_data_poll(c, UV_WRITABLE);
    return rc;
}

/* ---- Files sent ---- */

static void on_opened(void *context, int status, struct content_file *file, const struct content_info *info)
{
    struct ftp_conn *c = context;
    c->call = NULL;
    c->file = file;
    c->end = status == 0 ? info->size : 0;
    opened(c, status, c->end);
}

void ftp_open_send(struct ftp_conn *c, const struct ftp_effect *e)
{
    c->call = begin(c, TASK_SEND, e) ? content_open(c->server->g->content, &c->who, c->path, NULL,
                                                    content_deadline(c), on_opened, c)
                                     : NULL;
    if (!c->call)
        opened(c, ERR_NO_MEMORY, 0);
}

/* Is this byte in memory? A file system that cannot tell counts as yes. */
static bool is_warm(int fd, uint64_t offset)
{
    char byte;
    struct iovec v = {&byte, 1};
    return preadv2(fd, &v, 1, (off_t)offset, RWF_NOWAIT) >= 0 || errno != EAGAIN;
}

/* TYPE A: the buffer becomes text, and loses what lies before REST's place (RFC 3659, 5.3: a place in the
 * text as sent). */
static int buffer_to_text(struct ftp_conn *c)
{
    uint8_t *text = malloc(2 * c->buffer_size);
    if (!text)
        return ERR_NO_MEMORY;
    size_t n = ftp_ascii_out(&c->text, text, bytes_of(c->buffer, c->buffer_size));
    size_t cut = c->skip < n ? (size_t)c->skip : n;
    free(c->buffer);
    c->buffer = text; /* still the one that is counted */
    c->buffer_cap = 2 * c->buffer_size;
    c->buffer_size = n;
    c->buffer_at = cut;
    c->skip -= cut;
    return 0;
}

static void on_read(void *context, int64_t n)
{
    struct ftp_conn *c = context;
    c->call = NULL;
    if (n <= 0) {
        moved(c, n < 0 ? (int)n : ERR_CHANGED);
        return;
    }
    c->offset += (uint64_t)n;
    c->buffer_size = (size_t)n;
    c->buffer_at = 0;
    int rc = c->ascii ? buffer_to_text(c) : 0;
    if (rc != 0)
        moved(c, rc);
    else
        send_go(c);
}

/* By a buffer: what other nodes send while it arrives, what is not in memory, and text. */
static void read_next(struct ftp_conn *c)
{
    uint64_t left = c->end - c->offset,
             block = c->server->buffers > FTP_BUFFERS ? FTP_BLOCK_SMALL : FTP_BLOCK;
    size_t want = (size_t)(left < block ? left : block);
    ftp_data_poll(c, 0);
    c->call = buffer_make(c, want)
                  ? content_read(c->file, c->offset, c->buffer, want, left < AHEAD ? left : AHEAD,
                                 content_deadline(c), on_read, c)
                  : NULL;
    if (!c->call)
        moved(c, ERR_NO_MEMORY);
}

/* 1: all is sent; 0: waits, or read_next has it; else an error. */
static int send_by_file(struct ftp_conn *c, int fd)
{
    uint64_t turn = 0;
    int rc = 1;
    while (c->offset < c->end && rc == 1) {
        uint64_t left = c->end - c->offset, slice = left < SLICE ? left : SLICE;
        /* Its last byte; and its first, where no slice came before. */
        if (!is_warm(fd, c->offset + slice - 1) || (turn == 0 && !is_warm(fd, c->offset))) {
            (void)posix_fadvise(fd, (off_t)c->offset, AHEAD, POSIX_FADV_WILLNEED);
            read_next(c);
            rc = 0;
            break;
        }
        off_t at = (off_t)c->offset;
        ssize_t n = sendfile(c->data->fd, fd, &at, slice);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EINVAL || errno == ENOSYS)) {
            read_next(c);
            rc = 0;
        } else if (n < 0 && errno == EAGAIN) {
            ftp_data_poll(c, UV_WRITABLE);
            rc = 0;
        } else if (n < 0) {
            rc = ERR_CLOSED;
        } else if (n == 0) {
            rc = ERR_CHANGED; /* shorter than it was */
        } else {
            rc = content_fd_ok(c->file) == 0 ? 1 : ERR_CHANGED;
            c->offset += (uint64_t)n;
            turn += (uint64_t)n;
        }
        if (rc == 1 && turn >= FTP_TURN && c->offset < c->end) {
            ftp_data_poll(c, UV_WRITABLE); /* the others' turn; it will be ready again at once */
            rc = 0;
        }
    }
    if (turn)
        progress(c, turn);
    return rc;
}

static void send_go(struct ftp_conn *c)
{
    int rc = buffer_send(c);
    if (rc == 1 && c->offset < c->end) {
        int fd = c->ascii ? -1 : content_fd(c->file);
        if (fd < 0) {
            read_next(c);
            return;
        }
        buffer_drop(c); /* sent from the disk: none is needed while that lasts */
        rc = send_by_file(c, fd);
    }
    if (rc != 0)
        moved(c, rc == 1 ? 0 : rc);
}

/* ---- Lists ---- */

void ftp_info_of(struct ftp_info *out, char id[80], const struct content_info *info, const char *folder)
{
    *out = (struct ftp_info){.name = info->name,
                             .dir = info->what == CONTENT_IS_DIR,
                             .executable = info->executable,
                             .writable = info->writable,
                             .in_writable = info->writable && strcmp(folder, "/home") != 0,
                             .size = info->size,
                             .mtime_s = info->mtime_s,
                             .id = id};
    id[0] = 0;
    if (info->has_id)
        content_id_format(id, &info->id);
}

static bool list_line(struct ftp_conn *c, const struct content_info *info, int64_t now_s)
{
    struct ftp_info line;
    char id[80], text[FTP_LIST_LINE_MAX];
    if (c->pattern && !ftp_pattern_match(c->pattern, info->name))
        return true;
    ftp_info_of(&line, id, info, c->path);
    size_t n = ftp_list_line(text, c->form, c->facts, &line, now_s);
    if (c->buffer_cap - c->buffer_size < n && !buffer_make(c, c->buffer_cap ? c->buffer_cap * 2 : 4096))
        return false;
    memcpy(c->buffer + c->buffer_size, text, n);
    c->buffer_size += n;
    return true;
}

static void list_send(struct ftp_conn *c)
{
    int rc = buffer_send(c);
    if (rc == 1 && c->more)
        list_next(c);
    else if (rc != 0)
        moved(c, rc == 1 ? 0 : rc);
}

static void on_listed(void *context, int status, const struct content_info *entries, uint32_t count,
                      bool more);

/* A file is a list of itself. */
static void on_looked(void *context, int status, const struct content_info *info)
{
    struct ftp_conn *c = context;
    struct content_info named;
    c->call = NULL;
    if (status == 0) {
        named = *info;
        named.name = ftp_path_name(c->path);
        status = list_line(c, &named, (int64_t)(host_unix_ms() / 1000)) ? 0 : ERR_NO_MEMORY;
    }
    opened(c, status, 0);
}

static void on_listed(void *context, int status, const struct content_info *entries, uint32_t count,
                      bool more)
{
    struct ftp_conn *c = context;
    int64_t now_s = (int64_t)(host_unix_ms() / 1000);
    c->call = NULL;
    if (status == ERR_NOT_A_FILE && !c->moving && !c->pattern && c->form != FTP_LIST_FACTS) {
        c->call =
            content_resolve(c->server->g->content, &c->who, c->path, NULL, content_deadline(c), on_looked, c);
        if (!c->call)
            opened(c, ERR_NO_MEMORY, 0);
        return;
    }
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        if (!list_line(c, &entries[i], now_s))
            status = ERR_NO_MEMORY;
    }
    c->offset += count;
    c->more = more;
    if (!c->moving)
        opened(c, status, 0);
    else if (status != 0)
        moved(c, status);
    else
        list_send(c);
}

static void list_next(struct ftp_conn *c)
{
    ftp_data_poll(c, 0);
    c->call = content_list(c->server->g->content, &c->who, c->path, NULL, c->offset, CONTENT_LIST_MAX,
                           content_deadline(c), on_listed, c);
    if (!c->call && c->moving)
        moved(c, ERR_NO_MEMORY);
    else if (!c->call)
        opened(c, ERR_NO_MEMORY, 0);
}

void ftp_open_list(struct ftp_conn *c, const struct ftp_effect *e)
{
    if (begin(c, TASK_LIST, e))
        list_next(c);
    else
        opened(c, ERR_NO_MEMORY, 0);
}

/* STAT: the first page, on the control connection, each line with a space before it. */
static void list_to_control(struct ftp_conn *c)
{
    static const char rest[] = " ... LIST shows the rest\r\n";
    size_t lines = 0, n = 0;
    for (size_t i = 0; i < c->buffer_size; i++)
        lines += c->buffer[i] == '\n';
    char *text = malloc(c->buffer_size + lines + sizeof rest);
    if (!text) {
        moved(c, ERR_NO_MEMORY);
        return;
    }
    for (size_t i = 0; i < c->buffer_size; i++) {
        if (i == 0 || c->buffer[i - 1] == '\n')
            text[n++] = ' ';
        text[n++] = (char)c->buffer[i];
    }
    if (c->more)
        n += (size_t)snprintf(text + n, sizeof rest, "%s", rest);
    if (n)
        ftp_conn_say(c, text, n);
    free(text);
    moved(c, 0);
}

/* ---- Uploads ---- */

static void on_drained(void *context)
{
    struct ftp_conn *c = context;
    if (!c->waits_drain)
        return;
    c->waits_drain = false;
    int status = content_upload_status(c->upload);
    if (status != 0)
        moved(c, status);
    else
        ftp_data_poll(c, UV_READABLE);
}

static void on_begun(void *context, int status, struct content_upload *u)
{
    struct ftp_conn *c = context;
    c->call = NULL;
    c->upload = u;
    if (u)
        content_upload_on_drained(u, on_drained, c);
    opened(c, status, 0);
}

void ftp_open_store(struct ftp_conn *c, const struct ftp_effect *e)
{
    const struct content_upload_params p = {
        .size = e->size,
        .offset = e->store == FTP_STORE_BEHIND ? e->offset : 0, /* UINT64_MAX is CONTENT_APPEND */
        .replace = e->store != FTP_STORE_NEW};
    c->call = begin(c, TASK_STORE, e)
                  ? content_upload_begin(c->server->g->content, &c->who, c->path, &p, on_begun, c)
                  : NULL;
    if (!c->call)
        opened(c, ERR_NO_MEMORY, 0);
}

static void on_finished(void *context, int status, const struct content_info *info)
{
    struct ftp_conn *c = ftp_late_end(context);
    (void)info;
    if (!c)
        return;
    c->late = NULL;
    moved(c, status);
}

/* RFC 959, 3.4.1: the end of the data connection is the end of the file. A client that died looks just like
 * that, but for its control connection, which then has ended too: half a file is not published. */
static void store_end(struct ftp_conn *c)
{
    uint8_t last[1];
    ftp_data_poll(c, 0);
    if (ftp_conn_gone(c)) {
        moved(c, ERR_CLOSED);
        return;
    }
    if (c->ascii && ftp_ascii_in_end(&c->text, last))
        (void)content_upload_write(c->upload, bytes_of(last, 1));
    c->late = ftp_late_new(c);
    if (!c->late) {
        moved(c, ERR_NO_MEMORY);
        return;
    }
    struct content_upload *u = c->upload;
    c->upload = NULL;
    content_upload_finish(u, on_finished, c->late);
}

static void store_go(struct ftp_conn *c)
{
    struct ftp_server *s = c->server;
    bool more = true;
    for (uint32_t turn = 0; more && turn < FTP_TURN / FTP_BLOCK; turn++) {
        ssize_t n = recv(c->data->fd, s->block, sizeof s->block, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            moved(c, ERR_CLOSED);
            return;
        }
        if (n == 0) {
            store_end(c);
            return;
        }
        progress(c, (uint64_t)n);
        struct bytes piece = bytes_of(s->block, (size_t)n);
        if (c->ascii)
            piece = bytes_of(s->text_block, ftp_ascii_in(&c->text, s->text_block, piece));
        more = content_upload_write(c->upload, piece);
        int status = content_upload_status(c->upload);
        if (status != 0) {
            moved(c, status);
            return;
        }
    }
    c->waits_drain = !more;
    ftp_data_poll(c, more ? UV_READABLE : 0);
}

/* ---- Checksums ---- */

static void sum_end(struct ftp_conn *c, int status)
{
    uint32_t crc = c->crc;
    ftp_move_end(c);
    ftp_conn_answer(c, ANSWER_SUM, status, crc);
}

static void sum_next(struct ftp_conn *c);

static void on_sum_read(void *context, int64_t n)
{
    struct ftp_conn *c = context;
    c->call = NULL;
    if (n <= 0) {
        sum_end(c, n < 0 ? (int)n : ERR_CHANGED);
        return;
    }
    c->crc = ftp_crc(c->crc, bytes_of(c->buffer, (size_t)n));
    c->offset += (uint64_t)n;
    sum_next(c);
}

static void sum_next(struct ftp_conn *c)
{
    uint64_t left = c->end - c->offset;
    size_t want = left < SUM_BLOCK ? (size_t)left : SUM_BLOCK;
    if (left == 0) {
        sum_end(c, 0);
        return;
    }
    c->call = buffer_make(c, want)
                  ? content_read(c->file, c->offset, c->buffer, want, left < AHEAD ? left : AHEAD,
                                 content_deadline(c), on_sum_read, c)
                  : NULL;
    if (!c->call)
        sum_end(c, ERR_NO_MEMORY);
}

static void on_sum_opened(void *context, int status, struct content_file *file,
                          const struct content_info *info)
{
    struct ftp_conn *c = context;
    c->call = NULL;
    c->file = file;
    if (status != 0) {
        sum_end(c, status);
        return;
    }
    if (c->offset > info->size) {
        sum_end(c, ERR_RANGE);
        return;
    }
    c->end = c->end < info->size ? c->end : info->size;
    sum_next(c);
}

void ftp_sum(struct ftp_conn *c, const struct ftp_effect *e)
{
    bool ok = begin(c, TASK_SUM, e);
    c->crc = 0;
    c->offset = e->offset;
    c->end = e->size == UINT64_MAX ? UINT64_MAX : e->offset + e->size;
    c->call = ok ? content_open(c->server->g->content, &c->who, c->path, NULL, content_deadline(c),
                                on_sum_opened, c)
                 : NULL;
    if (!c->call)
        sum_end(c, ERR_NO_MEMORY);
}

/* ---- Moving ---- */

void ftp_move(struct ftp_conn *c, const struct ftp_effect *e)
{
    core_assert(c->task == TASK_SEND || c->task == TASK_LIST || c->task == TASK_STORE);
    c->moving = true;
    c->control = e->control;
    c->ascii = e->ascii;
    if (c->control) {
        list_to_control(c);
        return;
    }
    if (c->x && c->task != TASK_LIST)
        session_transfer_begin(c->x, c->path, c->task == TASK_STORE);
    if (c->task == TASK_SEND) {
        c->skip = c->ascii ? e->offset : 0;
        c->offset = c->ascii ? 0 : e->offset;
    }
    ftp_move_ready(c);
}

void ftp_move_ready(struct ftp_conn *c)
{
    if (!c->moving || c->call || c->late) {
        ftp_data_poll(c, 0);
        return;
    }
    if (c->task == TASK_SEND)
        send_go(c);
    else if (c->task == TASK_LIST)
        list_send(c);
    else if (c->waits_drain)
        ftp_data_poll(c, 0);
    else
        store_go(c);
}
