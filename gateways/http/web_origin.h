/* Who may reach what, by Host, Origin, Sec-Fetch-* and token (DESIGN.md, "Gateways"; FIELD.md on DNS rebinding). Pure. */
#ifndef SHOAL_WEB_ORIGIN_H
#define SHOAL_WEB_ORIGIN_H
#include "gateways/http/http_parse.h"
#include "node/base/addr.h"

enum web_host {
    WEB_HOST_BAD,      /* a name we do not answer to: DNS rebinding, or a wrong bookmark: 421 */
    WEB_HOST_CONTROL,  /* an address, or one of our names: pages, API, path forms */
    WEB_HOST_LOCAL,    /* localhost: sent on to 127.0.0.1 for pages; path forms work */
    WEB_HOST_CONTENT,  /* <label>.shoal.localhost or <label>.<zone>: one content, or the site of one node, nothing else */
    WEB_HOST_ZONE      /* shoal.localhost or a zone, bare: only ever sent on to this node's address, so that a rebound name gains nothing */
};
#define WEB_SUFFIX_MAX 64
struct web_origin {
    enum web_host host;
    bool loopback_host;    /* Host names a loopback address: document navigation moves to <id>.shoal.localhost */
    bool navigation;       /* Sec-Fetch-Dest: document */
    bool same_origin;      /* Origin is there and equals scheme, host and port of this very request */
    bool cross_site;       /* Origin is there and differs, or Sec-Fetch-Site says cross-site or same-site */
    bool has_origin;
    char label[64];        /* before the suffix, lower case: a content id, a node id, or a name */
    char suffix[WEB_SUFFIX_MAX]; /* of a content's host, with its dot: ".shoal.localhost", ".shoal.alt" */
};
/* names: host names that are ours, separated by spaces ("" = none); a literal address always is, since only names can be rebound.
 * zones: those this node's DNS gateway answers for, separated alike. */
void web_origin_of(struct web_origin *out, const struct http_head *h, const uint8_t *bytes, const char *names, const char *zones);
#endif
