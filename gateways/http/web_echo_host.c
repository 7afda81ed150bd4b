/* The echo origin for conformance suites ([http] echo = ADDRESS:PORT, on this computer only): a listener of
 * its own, which knows nothing of the node. Any method with a body is answered with that body, /echo gives
 * the request's field lines back, /cookie its cookies. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateways/http/web_internal_host.h"

static char *echo_fields(struct http_exchange *x, size_t *size)
{
    size_t cap = x->head->size + 1, n = 0;
    char *out = malloc(cap);
    for (uint16_t i = 0; out && i < x->head->field_count; i++) {
        struct bytes name = http_text(x->bytes, x->head->fields[i].name),
                     value = http_text(x->bytes, x->head->fields[i].value);
        char line[HTTP_LINE_MAX + 8];
        int m = snprintf(line, sizeof line, "%.*s: ", (int)name.size, (const char *)name.data);
        if (n + (size_t)m + value.size + 2 > cap * 2)
            break;
        char *grown = realloc(out, n + (size_t)m + value.size + 2);
        if (!grown)
            break;
        out = grown;
        memcpy(out + n, line, (size_t)m);
        memcpy(out + n + m, value.data, value.size);
        n += (size_t)m + value.size;
        out[n++] = '\r';
        out[n++] = '\n';
    }
    *size = n;
    return out;
}

static char *echo_cookies(struct http_exchange *x, size_t *size)
{
    char *out = malloc(x->head->size + 1);
    size_t n = 0;
    for (uint16_t i = 0; out && i < x->head->field_count; i++) {
        struct bytes v = http_text(x->bytes, x->head->fields[i].value);
        if (!http_text_is_nocase(http_text(x->bytes, x->head->fields[i].name), "Cookie"))
            continue;
        for (size_t at = 0; at < v.size;) {
            size_t end = at;
            while (end < v.size && v.data[end] != ';')
                end++;
            size_t first = at, last = end;
            while (first < last && (v.data[first] == ' ' || v.data[first] == '\t'))
                first++;
            while (last > first && (v.data[last - 1] == ' ' || v.data[last - 1] == '\t'))
                last--;
            if (last > first && memchr(v.data + first, '=', last - first)) {
                memcpy(out + n, v.data + first, last - first);
                n += last - first;
                out[n++] = '\n';
            }
            at = end + 1;
        }
    }
    *size = n;
    return out;
}

static void echo_handle(void *owner, struct http_exchange *x)
{
    size_t size = 0;
    char *body = NULL;
    (void)owner;
    if (x->head->method == HTTP_OTHER || x->head->method == HTTP_CONNECT || x->head->method == HTTP_TRACE) {
        char *text = web_error_plain(501, "this method is not implemented");
        http_reply(x, 501, "text/plain; charset=utf-8", NULL, text, text ? strlen(text) : 0);
        return;
    }
    struct bytes path = http_text(x->bytes, x->head->path);
    if (x->body.size) {
        body = malloc(x->body.size);
        size = body ? x->body.size : 0;
        if (body)
            memcpy(body, x->body.data, size);
    } else if (http_text_is(path, "/echo")) {
        body = echo_fields(x, &size);
    } else if (http_text_is(path, "/cookie")) {
        body = echo_cookies(x, &size);
    } else if (x->head->method == HTTP_OPTIONS) {
        http_reply(x, 204, NULL, "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n", NULL, 0);
        return;
    } else if (x->head->method == HTTP_GET || x->head->method == HTTP_HEAD) {
        body = strdup("OK\n");
        size = body ? 3 : 0;
    }
    if (body && size == 0) {
        free(body);
        body = NULL;
    }
    http_reply(x, 200, "text/plain; charset=utf-8", NULL, body, size);
}

/* Port 0 asks for a free one and is no address yet. */
static bool is_loopback(struct net_addr a)
{
    a.port = 1;
    return net_addr_scope(&a) == NET_SCOPE_LOOPBACK;
}

int web_echo_listen(struct gateways *g, char *message)
{
    const char *wanted = g->app->config.http_echo;
    struct net_addr address;
    const struct http_server_config config = {
        .connections_max = 256,
        .body_max = WEB_BODY_MAX,
        .request_timeout_ms = 10000,
        .idle_timeout_ms = 30000,
        .handle = echo_handle,
        .error_body = web_error_plain,
        .error_type = "text/plain; charset=utf-8",
        .unix_ms = host_unix_ms,
        .owner = g,
    };
    if (net_addr_parse(&address, wanted) != 0 || !is_loopback(address)) {
        snprintf(message, APP_MESSAGE_MAX,
                 "[http] echo = %s is not ADDRESS:PORT of this computer, like 127.0.0.1:8700", wanted);
        return ERR_MALFORMED;
    }
    int r = http_server_open_tcp(&web_of(g)->echo, &g->app->loop, &config, &address);
    if (r == 0)
        return 0;
    snprintf(message, APP_MESSAGE_MAX, "cannot listen on %s ([http] echo): %s", wanted, uv_strerror(r));
    return ERR_BUSY;
}
