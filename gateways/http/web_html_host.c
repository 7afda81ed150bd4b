#include "gateways/http/web_html_host.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateways/http/http_write.h"
#include "transfer/content.h"

static const char head_begins[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
    "content=\"width=device-width,initial-scale=1\">"
    "<link rel=\"icon\" href=\"data:,\"><style>"
    ":root{--back:#f6f8f9;--card:#fff;--ink:#16252b;--dim:#55666d;--line:#d5dfe3;--accent:#0b6e86;--on:#fff;"
    "color-scheme:light dark}"
    "@media(prefers-color-scheme:dark){:root{--back:#0e1619;--card:#162125;--ink:#e6eef0;--dim:#9db0b7;--"
    "line:#2d3d43;--accent:#4db6cf;--on:#04222a}}"
    "*{box-sizing:border-box}html{background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}"
    "body{max-width:48rem;margin:0 auto;padding:1rem}h1{font-size:1.5rem;line-height:1.25;margin:.8rem "
    "0;overflow-wrap:anywhere}"
    "a{color:var(--accent)}:focus-visible{outline:3px solid "
    "var(--accent);outline-offset:2px}p{overflow-wrap:anywhere}"
    "table{width:100%;border-collapse:collapse;background:var(--card);border:1px solid "
    "var(--line);border-radius:.7rem}"
    "td{padding:0 1rem;border-top:1px solid var(--line)}tr:first-child "
    "td{border-top:0}td:first-child{overflow-wrap:anywhere}"
    "td+td{text-align:right;white-space:nowrap;color:var(--dim);font-variant-numeric:tabular-nums}td "
    "a{display:block;padding:.6rem 0}"
    "form{display:flex;gap:.5rem;max-width:32rem;margin:1rem "
    "0}input,button{font:inherit;min-height:2.75rem;border-radius:.5rem;border:1px solid "
    "var(--line);padding:.4rem .8rem}"
    "input{flex:1;min-width:0;background:var(--card);color:inherit}button{background:var(--accent);border-"
    "color:var(--accent);color:var(--on);font-weight:600}"
    ".dim{color:var(--dim)}</style><title>";

static void append(struct web_html *h, const char *text, size_t size)
{
    if (h->failed)
        return;
    if (h->size + size > h->cap) {
        size_t cap = (h->cap ? h->cap : 4096) * 2 + size;
        char *grown = realloc(h->text, cap);
        if (!grown) {
            h->failed = true;
            return;
        }
        h->text = grown;
        h->cap = cap;
    }
    memcpy(h->text + h->size, text, size);
    h->size += size;
}

void web_html_put(struct web_html *h, const char *markup)
{
    append(h, markup, strlen(markup));
}

void web_html_text(struct web_html *h, const char *text)
{
    while (*text) {
        size_t plain = strcspn(text, "<>&\"'");
        append(h, text, plain);
        text += plain;
        if (*text)
            web_html_put(h, *text == '<'   ? "&lt;"
                            : *text == '>' ? "&gt;"
                            : *text == '&' ? "&amp;"
                            : *text == '"' ? "&quot;"
                                           : "&#39;"),
                text++;
    }
}

void web_html_bytes(struct web_html *h, uint64_t n)
{
    static const char *const units[] = {"KB", "MB", "GB", "TB", "PB", "EB"};
    char text[40];
    double value = (double)n;
    unsigned unit = 0;
    for (; value >= 999.5 && unit < sizeof units / sizeof *units; unit++)
        value /= 1000;
    if (unit == 0)
        snprintf(text, sizeof text, "%u byte%s", (unsigned)n, n == 1 ? "" : "s");
    else
        snprintf(text, sizeof text, "%.*f %s", value < 99.5 ? 1 : 0, value, units[unit - 1]);
    web_html_put(h, text);
}

void web_html_begin(struct web_html *h, const char *title)
{
    append(h, head_begins, sizeof head_begins - 1);
    web_html_text(h, title);
    web_html_put(h, "</title><body>\n");
}

void web_html_end(struct web_html *h)
{
    web_html_put(h, "</body></html>\n");
}

/* ---- Directories ---- */

static bool is_content_root(const char *path)
{
    static const char *const roots[] = {"/content/", "/name/"};
    for (unsigned i = 0; i < sizeof roots / sizeof *roots; i++)
        if (strncmp(path, roots[i], strlen(roots[i])) == 0 && !strchr(path + strlen(roots[i]), '/'))
            return true;
    return false;
}

/* What people call it: its last part. An id says nothing to them. */
static const char *title_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
    struct content_id id;
    if (strcmp(path, "/shared") == 0)
        return "What this node shares";
    if (strcmp(path, "/home") == 0)
        return "Homes";
    return *last == 0 || (strlen(last) == CONTENT_ID_TEXT_SIZE && content_id_parse(&id, last) == 0)
               ? "A shared folder"
               : last;
}

void web_listing_begin(struct web_html *h, const char *path)
{
    web_html_begin(h, title_of(path));
    if (*path && !is_content_root(path))
        web_html_put(h, "<nav><a href=\"../\">↑ One folder up</a></nav>");
    web_html_put(h, "<h1>");
    web_html_text(h, title_of(path));
    web_html_put(h, "</h1><table>\n");
}

void web_listing_entry(struct web_html *h, const char *name, uint64_t size)
{
    char encoded[3 * 1024 + 1], exact[48];
    const char *slash = size == UINT64_MAX ? "/" : "";
    if (http_encode(encoded, sizeof encoded, bytes_of(name, strlen(name))) < 0)
        return;
    web_html_put(h, "<tr><td><a href=\"");
    web_html_put(h, encoded);
    web_html_put(h, slash);
    web_html_put(h, "\">");
    web_html_text(h, name);
    web_html_put(h, slash);
    web_html_put(h, "</a><td");
    if (size != UINT64_MAX) {
        snprintf(exact, sizeof exact, " title=\"%llu bytes\">", (unsigned long long)size);
        web_html_put(h, exact);
        web_html_bytes(h, size);
    } else {
        web_html_put(h, ">folder");
    }
    web_html_put(h, "\n");
}

void web_listing_end(struct web_html *h)
{
    web_html_put(h, "</table>\n");
    web_html_end(h);
}
