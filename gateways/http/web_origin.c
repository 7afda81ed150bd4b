#include "gateways/http/web_origin.h"
#include <stdio.h>
#include "gateways/http/http_lex.h"

#define ADDRESS_TEXT   64

/* A literal address cannot be rebound: only names are resolved. */
static bool literal(struct bytes host, struct net_addr *out)
{
    char text[ADDRESS_TEXT];
    if (host.size + 4 > sizeof text)
        return false;
    snprintf(text, sizeof text, "%.*s:1", (int)host.size, (const char *)host.data);
    return net_addr_parse(out, text) == 0;
}

/* .localhost: browsers resolve it by themselves (RFC 6761, 6.3). .alt: this node's DNS gateway answers for it (RFC 9476). */
static const char *suffix_of(struct bytes host)
{
    static const char *const suffixes[] = {".shoal.localhost", ".shoal.alt"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t n = strlen(suffixes[i]);
        if (host.size > n && host.size - n <= 63 && http_text_is_nocase(bytes_of(host.data + host.size - n, n), suffixes[i]))
            return suffixes[i];
    }
    return NULL;
}

static bool content_label(struct bytes host, char label[64])
{
    const char *known = suffix_of(host);
    if (!known)
        return false;
    size_t suffix = strlen(known);
    for (size_t i = 0; i < host.size - suffix; i++) {
        uint8_t c = host.data[i];
        if (c >= 'A' && c <= 'Z')
            c = (uint8_t)(c + 32);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
        label[i] = (char)c;
    }
    label[host.size - suffix] = 0;
    return true;
}

static bool origin_is_ours(struct bytes origin, const struct http_head *h, const uint8_t *bytes)
{
    char mine[320];
    struct bytes host = http_text(bytes, h->host);
    int n =
        h->port && h->port != 80
            ? snprintf(mine, sizeof mine, "http://%.*s:%u", (int)host.size, (const char *)host.data, h->port)
            : snprintf(mine, sizeof mine, "http://%.*s", (int)host.size, (const char *)host.data);
    return host.size && n > 0 && (size_t)n < sizeof mine && http_text_is_nocase(origin, mine);
}

static bool is_ours(struct bytes host, const char *names)
{
    while (*names) {
        size_t size = strcspn(names, " ,\t");
        if (size && size == host.size && strncasecmp(names, (const char *)host.data, size) == 0)
            return true;
        names += size;
        names += strspn(names, " ,\t");
    }
    return false;
}

void web_origin_of(struct web_origin *out, const struct http_head *h, const uint8_t *bytes, const char *names)
{
    struct bytes host = http_text(bytes, h->host), value;
    struct net_addr address;
    memset(out, 0, sizeof *out);
    if (host.size == 0) {
        out->host = WEB_HOST_CONTROL; /* HTTP/1.0 without Host: no browser of today */
    } else if (literal(host, &address)) {
        out->host = WEB_HOST_CONTROL;
        out->loopback_host = net_addr_scope(&address) == NET_SCOPE_LOOPBACK;
    } else if (http_text_is_nocase(host, "localhost")) {
        out->host = WEB_HOST_LOCAL;
        out->loopback_host = true;
    } else if (is_ours(host, names)) {
        out->host = WEB_HOST_CONTROL;
    } else if (content_label(host, out->label)) {
        out->host = WEB_HOST_CONTENT;
        out->suffix = suffix_of(host);
    }
    if (http_field_get(h, bytes, "Sec-Fetch-Dest", &value))
        out->navigation = http_text_is_nocase(value, "document");
    if (http_field_get(h, bytes, "Sec-Fetch-Site", &value))
        out->cross_site = !http_text_is_nocase(value, "same-origin") && !http_text_is_nocase(value, "none");
    if (http_field_get(h, bytes, "Origin", &value)) {
        out->has_origin = true;
        out->same_origin = origin_is_ours(value, h, bytes);
        out->cross_site = out->cross_site || !out->same_origin;
    }
}
