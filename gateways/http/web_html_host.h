/* Pages that the node writes by itself, without script: lists of directories, and errors. In the colours of
 * the pages of gateways/http/pages, light and dark; complete in themselves, because on a content's own origin
 * there is nothing else of this node. */
#ifndef SHOAL_WEB_HTML_HOST_H
#define SHOAL_WEB_HTML_HOST_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What such a page may do: show itself. */
#define WEB_HTML_TYPE "text/html; charset=utf-8"
#define WEB_HTML_POLICY                                                                                      \
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action *; base-uri 'none'; "         \
    "frame-ancestors 'none'"

struct web_html { /* grows; zeroed = empty */
    char *text;   /* malloc: the caller's to pass on or free */
    size_t size, cap;
    bool failed; /* out of memory; sticky, `text` is incomplete */
};
/* Everything up to <body>. */
void web_html_begin(struct web_html *h, const char *title);
void web_html_end(struct web_html *h);
void web_html_put(struct web_html *h, const char *markup);
void web_html_text(struct web_html *h, const char *text); /* escaped, for elements and quoted attributes */
/* "1.2 MB", as the pages show it. */
void web_html_bytes(struct web_html *h, uint64_t n);

/* The list of a directory. path: decoded, without '/' at its end; "" for the root of an origin of its own. An
 * entry is a file of `size` bytes, or a directory (size UINT64_MAX). */
void web_listing_begin(struct web_html *h, const char *path);
void web_listing_entry(struct web_html *h, const char *name, uint64_t size);
void web_listing_end(struct web_html *h);
#endif
