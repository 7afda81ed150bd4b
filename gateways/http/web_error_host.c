/* Errors for people and for programs. */
#include <stdio.h>
#include <stdlib.h>
#include "gateways/http/web_html_host.h"
#include "gateways/http/web_internal_host.h"

static const char *advice(unsigned status)
{
    switch (status) {
    case 404:
        return "Look for it among what this node shares:";
    case 507:
        return "Something must be removed first, or the limit raised, on the computer this node runs on.";
    case 504:
        return "A computer that has it may come back later: reload this page then.";
    case 401:
        return "Sign in at the start page, then reload this one.";
    case 421:
        return "The address in the browser is not one that this node answers to.";
    case 429:
    case 503:
        return "Reload this page in a moment.";
    default:
        return "";
    }
}

/* Where the node's own pages are from here: "" on their own origin; from the origin of a content or a site,
 * the address of the node. */
static void home_of(struct http_exchange *x, char *out, size_t cap)
{
    struct gateways *g = web_gateways(x);
    struct web_origin o = {.host = WEB_HOST_CONTROL};
    char address[NET_ADDR_TEXT_MAX];
    struct net_addr here;
    out[0] = 0;
    if (g)
        web_origin_find(g, x, &o);
    if (o.host != WEB_HOST_CONTROL && o.host != WEB_HOST_LOCAL && http_local(x, &here))
        snprintf(out, cap, "http://%s", net_addr_format(address, &here));
}

static void page(struct web_html *h, struct http_exchange *x, unsigned status, const char *message)
{
    char home[NET_ADDR_TEXT_MAX + 8], number[8];
    const char *more = advice(status);
    home_of(x, home, sizeof home);
    snprintf(number, sizeof number, "%u", status);
    web_html_begin(h, http_reason(status));
    web_html_put(h, "<main><h1>");
    web_html_put(h, http_reason(status));
    web_html_put(h, "</h1><p>");
    web_html_text(h, message);
    web_html_put(h, "</p><p>");
    web_html_put(h, more);
    web_html_put(h, "</p><form role=\"search\" action=\"");
    web_html_put(h, home);
    web_html_put(h, "/\"><input name=\"q\" type=\"search\" aria-label=\"Search, or paste a link\" "
                    "placeholder=\"Search, or paste a link\"><button>Search</button></form><p><a href=\"");
    web_html_put(h, home);
    web_html_put(h, "/\">Home</a> · <a href=\"");
    web_html_put(h, home);
    web_html_put(h, "/shared/\">What is shared here</a></p><p class=\"dim\">Status ");
    web_html_put(h, number);
    web_html_put(h, "</p></main>");
    web_html_end(h);
}

void web_error(struct http_exchange *x, unsigned status, const char *extra, const char *message)
{
    struct bytes accept;
    char fields[2048];
    if (http_field_get(x->head, x->bytes, "Accept", &accept) &&
        memmem(accept.data, accept.size, "text/html", 9)) {
        struct web_html h = {0};
        page(&h, x, status, message);
        if (h.failed)
            h.size = 0;
        snprintf(fields, sizeof fields,
                 "X-Content-Type-Options: nosniff\r\nReferrer-Policy: "
                 "no-referrer\r\nContent-Security-Policy: " WEB_HTML_POLICY "\r\n%s",
                 extra ? extra : "");
        http_reply(x, status, WEB_HTML_TYPE, fields, h.text, h.size);
        return;
    }
    json_t *o = json_pack("{s:{s:i, s:o}}", "error", "status", (int)status, "message", api_text(message));
    char *body = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    http_reply(x, status, "application/json", extra, body, body ? strlen(body) : 0);
}

char *web_error_plain(unsigned status, const char *message)
{
    char *body;
    return asprintf(&body, "%u %s: %s\n", status, http_reason(status), message) < 0 ? NULL : body;
}
