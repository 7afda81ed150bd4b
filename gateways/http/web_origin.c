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

static bool suffix_is(struct bytes host, const char *zone, size_t size, struct web_origin *out)
{
    char suffix[WEB_SUFFIX_MAX];
    int n = snprintf(suffix, sizeof suffix, ".%.*s", (int)size, zone);
    if (size == 0 || n < 0 || (size_t)n >= sizeof suffix || host.size <= (size_t)n || host.size - (size_t)n > 63 ||
        !http_text_is_nocase(bytes_of(host.data + host.size - (size_t)n, (size_t)n), suffix))
        return false;
    memcpy(out->suffix, suffix, (size_t)n + 1);
    return true;
}

/* .localhost: browsers resolve it by themselves (RFC 6761, 6.3). The zones: this node's DNS gateway answers for them (.alt: RFC 9476). */
static bool suffix_of(struct bytes host, const char *zones, struct web_origin *out)
{
    static const char local[] = "shoal.localhost";
    if (suffix_is(host, local, sizeof local - 1, out))
        return true;
    while (*zones) {
        size_t size = strcspn(zones, " ,\t");
        if (suffix_is(host, zones, size && zones[size - 1] == '.' ? size - 1 : size, out))
            return true;
        zones += size;
        zones += strspn(zones, " ,\t");
    }
    return false;
}

static bool is_zone(struct bytes host, const char *zones)
{
    if (http_text_is_nocase(host, "shoal.localhost"))
        return true;
    while (*zones) {
        size_t size = strcspn(zones, " ,\t"), bare = size && zones[size - 1] == '.' ? size - 1 : size;
        if (bare && bare == host.size && strncasecmp(zones, (const char *)host.data, bare) == 0)
            return true;
        zones += size;
        zones += strspn(zones, " ,\t");
    }
    return false;
}

static bool content_label(struct bytes host, const char *zones, struct web_origin *out)
{
    if (!suffix_of(host, zones, out))
        return false;
    size_t size = host.size - strlen(out->suffix);
    for (size_t i = 0; i < size; i++) {
        uint8_t c = host.data[i];
        if (c >= 'A' && c <= 'Z')
            c = (uint8_t)(c + 32);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
        out->label[i] = (char)c;
    }
    out->label[size] = 0;
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

void web_origin_of(struct web_origin *out, const struct http_head *h, const uint8_t *bytes, const char *names,
                   const char *zones)
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
    } else if (content_label(host, zones, out)) {
        out->host = WEB_HOST_CONTENT;
    } else if (is_zone(host, zones)) {
        out->host = WEB_HOST_ZONE;
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
