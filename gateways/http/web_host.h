/* The HTTP gateway on TCP: what a browser, curl, wget and scripts talk to. It checks where a request comes from and goes to, and hands it on:
 *
 *     /api/...                                  the JSON API: the table `endpoints` in api_host.c (path, method, access, function)
 *     /shared/ /content/ /name/ /home/          content: web_content_host.c on gateways/content_host.h; PUT, DELETE and POST of forms below
 *                                               /home/ and /api/upload: web_upload_host.c
 *     /metrics                                  web_metrics_host.c
 *     everything else                           embedded pages: gateways/http/pages/<name>; "/" is index.html
 *
 * Safety by origin (DESIGN.md, "Gateways"): web_origin.h decides, without I/O, which of these a request may reach. */
#ifndef SHOAL_WEB_HOST_H
#define SHOAL_WEB_HOST_H
#include "gateways/http/api_internal_host.h"
#include "gateways/content_host.h"
#include "gateways/http/web_origin.h"
#include "gateways/http/web_pages.h"
#include "gateways/sessions_host.h"

#define WEB_PORT 8733 /* unless the user names another; taken: a free one */

/* GATEWAY_HTTP (gateways_host.h). */
int web_start(struct gateways *g, char *message);
void web_stop(struct gateways *g);
void web_free(struct gateways *g);
const char *web_address(const struct gateways *g); /* "127.0.0.1:8733" */

/* An answer for people where a browser asks (Accept has text/html), else JSON. message: one sentence; what to do follows by status. */
void web_error(struct http_exchange *x, unsigned status, const char *extra, const char *message);

/* web_content_host.c: GET and HEAD of content. */
void web_content(struct gateways *g, struct http_exchange *x, const struct account_who *who, const char *path);
const char *web_mime(const char *name); /* by the ending; "application/octet-stream" */

/* web_upload_host.c: the body of PUT (a file) or POST (a form with files) for a path below /home, taken in pieces; called when the head is there.
 * path decoded; "" for POST: the home of who. Answers in every case. */
void web_upload(struct gateways *g, struct http_exchange *x, const struct account_who *who, const char *path);
/* DELETE of a file or an empty directory below /home. */
void web_delete(struct gateways *g, struct http_exchange *x, const struct account_who *who, const char *path);

/* Embedded files of gateways/http/pages. NULL: none of this name. */
const struct web_page_bytes *web_page_find(const char *name);
void web_page(struct gateways *g, struct http_exchange *x, const struct web_page_bytes *page);
#endif
