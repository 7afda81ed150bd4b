#include "cli/client.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "cli/cli.h"
#include "gateways/http/api_host.h"
#include "gateways/http/http_write.h"

#define ANSWER_MAX    (256u << 20) /* pages are small; this is for our own bugs */
#define IO_TIMEOUT_MS 60000        /* the longest wait an answer may take: api jobs wait at most 30 s */

static int fail(struct client *c, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int fail(struct client *c, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->message, sizeof c->message, format, args);
    va_end(args);
    c->code = code;
    return code;
}

int client_open(struct client *c, const char *home)
{
    char path[API_SOCKET_PATH_MAX];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memset(c, 0, sizeof *c);
    c->fd = c->child_pipe = -1;
    snprintf(c->home, sizeof c->home, "%s", home);
    api_socket_find(path, home);
    if (!path[0])
        return fail(c, ERR_NOT_FOUND, "no node is running in %s; start one with `shoal up`", home);
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(c, ERR_IO, "cannot make a socket: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;
        close(fd);
        if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR)
            return fail(c, ERR_NOT_FOUND, "no node is running in %s; start one with `shoal up`", home);
        if (error == EACCES)
            return fail(c, ERR_PERMISSION, "the node in %s belongs to somebody else", home);
        return fail(c, ERR_IO, "cannot reach the node in %s: %s", home, strerror(error));
    }
    c->fd = fd;
    return 0;
}

/* ---- One request ---- */

/* Waits until the socket can be read or written. */
static int wait_io(struct client *c, short events)
{
    struct pollfd p = {.fd = c->fd, .events = events};
    if (cli_interrupted)
        return fail(c, ERR_CANCELLED, "interrupted");
    int n = poll(&p, 1, IO_TIMEOUT_MS);
    if (n > 0)
        return 0;
    if (n < 0 && errno == EINTR)
        return cli_interrupted ? fail(c, ERR_CANCELLED, "interrupted")
                               : 0; /* a resized window: the caller tries again */
    return fail(c, ERR_TIMEOUT, "the node does not answer; its log may say why");
}

static int gone(struct client *c)
{
    return fail(c, ERR_CLOSED, "the node ended or closed the connection; its log may say why");
}

static int send_all(struct client *c, const char *data, size_t size)
{
    while (size) {
        ssize_t n = send(c->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            data += n;
            size -= (size_t)n;
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return gone(c);
        int r = wait_io(c, POLLOUT);
        if (r != 0)
            return r;
    }
    return 0;
}

static int send_request(struct client *c, const char *method, const char *target, const char *body)
{
    char head[1024];
    struct http_writer w;
    http_writer_init(&w, head, sizeof head);
    http_write_request(&w, method, target, "localhost");
    if (body) {
        http_write_field(&w, "Content-Type", "application/json");
        http_write_field_number(&w, "Content-Length", strlen(body));
    }
    http_write_end(&w);
    if (w.overflow)
        return fail(c, ERR_RANGE, "the request is too long");
    int r = send_all(c, head, w.size);
    return r == 0 && body ? send_all(c, body, strlen(body)) : r;
}

struct answer {
    struct http_head head;
    uint8_t *bytes; /* head, then what followed it */
    size_t size, cap;
    char *body;
    size_t body_size, body_cap;
};

static int receive(struct client *c, struct answer *a)
{
    if (a->cap - a->size < 65536) {
        uint8_t *grown = realloc(a->bytes, a->size + 65536);
        if (!grown)
            return fail(c, ERR_NO_MEMORY, "out of memory");
        a->bytes = grown;
        a->cap = a->size + 65536;
    }
    for (;;) {
        int r = wait_io(c, POLLIN);
        if (r != 0)
            return r;
        ssize_t n = recv(c->fd, a->bytes + a->size, a->cap - a->size, MSG_DONTWAIT);
        if (n > 0) {
            a->size += (size_t)n;
            return 0;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            return gone(c);
    }
}

static int add_body(struct client *c, struct answer *a, struct bytes piece)
{
    if (a->body_size + piece.size + 1 > a->body_cap) {
        size_t cap =
            a->body_cap * 2 > a->body_size + piece.size + 1 ? a->body_cap * 2 : a->body_size + piece.size + 1;
        char *grown = realloc(a->body, cap);
        if (!grown)
            return fail(c, ERR_NO_MEMORY, "out of memory");
        a->body = grown;
        a->body_cap = cap;
    }
    if (piece.size)
        memcpy(a->body + a->body_size, piece.data, piece.size);
    a->body_size += piece.size;
    a->body[a->body_size] = 0;
    return 0;
}

static int receive_answer(struct client *c, struct answer *a)
{
    enum http_result result = HTTP_MORE;
    int r = 0;
    http_head_init(&a->head, true);
    while (result == HTTP_MORE && r == 0) {
        r = receive(c, a);
        if (r == 0)
            result = http_head_parse(&a->head, a->bytes, a->size);
    }
    if (r != 0)
        return r;
    if (result == HTTP_BAD)
        return fail(c, ERR_MALFORMED, "the node's answer is no HTTP: %s", a->head.error);
    struct http_body body;
    http_body_init(&body, &a->head, ANSWER_MAX, false);
    size_t at = a->head.size;
    for (;;) {
        size_t used;
        struct bytes piece;
        result = http_body_parse(&body, a->bytes + at, a->size - at, &used, &piece);
        if (result == HTTP_BAD)
            return fail(c, ERR_MALFORMED, "the node's answer is no HTTP: %s", body.error);
        r = add_body(c, a, piece);
        at += used;
        if (result == HTTP_DONE || r != 0)
            return r;
        if (at == a->size) {
            a->size = at = a->head.size; /* what was taken makes room */
            r = receive(c, a);
            if (r != 0)
                return r;
        }
    }
}

static int take_error(struct client *c, const struct answer *a, const json_t *answer)
{
    const json_t *error = json_object_get(answer, "error");
    const char *code = json_string_value(json_object_get(error, "code")),
               *message = json_string_value(json_object_get(error, "message"));
    if (!code || !message)
        return fail(c, ERR_IO, "the node answered with status %u", a->head.status);
    return fail(c, cli_code_of_name(code), "%s", message);
}

int client_call(struct client *c, const char *method, const char *target, json_t *body, json_t **out)
{
    struct answer a = {0};
    json_error_t e;
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    bool sendable = text || !body;
    json_decref(body);
    if (out)
        *out = NULL;
    if (!sendable)
        return fail(c, ERR_MALFORMED, "an argument is not valid UTF-8");
    if (c->fd < 0)
        return fail(c, ERR_CLOSED, "no connection to the node");
    int r = send_request(c, method, target, text);
    free(text);
    if (r == 0)
        r = receive_answer(c, &a);
    json_t *answer = r == 0 && a.body ? json_loadb(a.body, a.body_size, 0, &e) : NULL;
    if (r == 0 && a.head.status >= 400)
        r = take_error(c, &a, answer);
    else if (r == 0 && !json_is_object(answer))
        r = fail(c, ERR_MALFORMED, "the node's answer is not what was expected");
    if (r == ERR_CLOSED || r == ERR_MALFORMED || r == ERR_CANCELLED || r == ERR_TIMEOUT ||
        (r == 0 && !a.head.keep_alive)) {
        /* An answer may still be on its way: this connection cannot be used again. A refusal (status 4xx)
         * leaves it as it was. */
        if (a.head.status < 400 || !a.head.keep_alive) {
            close(c->fd);
            c->fd = -1;
        }
    }
    if (r == 0 && out) {
        *out = answer;
        answer = NULL;
    }
    json_decref(answer);
    free(a.bytes);
    free(a.body);
    return r;
}

int client_job(struct client *c, const char *method, const char *target, json_t *body, uint32_t *job)
{
    json_t *answer;
    int r = client_call(c, method, target, body, &answer);
    if (r != 0)
        return r;
    *job = (uint32_t)json_integer_value(json_object_get(answer, "job"));
    json_decref(answer);
    return 0;
}
