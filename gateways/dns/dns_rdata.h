/* Inside of dns_rdata*.c: a cursor over the words of a record and the bytes made of them. */
#ifndef SHOAL_DNS_RDATA_H
#define SHOAL_DNS_RDATA_H
#include "gateways/dns/dns_master.h"
#include "node/base/addr.h"

struct dns_rdata {
    const struct dns_token *tokens;
    uint32_t count, at;
    const struct dns_name *origin;
    uint8_t *out; /* UINT16_MAX bytes */
    size_t size;
    char *message;
};

int dns_rdata_fail(struct dns_rdata *r, const char *text);                                 /* ERR_MALFORMED */
int dns_rdata_fail_word(struct dns_rdata *r, const struct dns_token *t, const char *text); /* "word" text */
const struct dns_token *dns_rdata_next(struct dns_rdata *r,
                                       const char *what); /* NULL: "what is missing" was said */
int dns_rdata_put(struct dns_rdata *r, const void *data, size_t size);
int dns_rdata_put_number(struct dns_rdata *r, uint64_t value, unsigned bytes);
/* Escapes undone into out; more than `max` bytes or a bad escape: false. */
bool dns_rdata_unescape(const char *text, size_t size, uint8_t *out, size_t max, size_t *n);
bool dns_rdata_ipv4(const char *text, size_t size, uint8_t out[4]);
bool dns_rdata_ipv6(const char *text, size_t size, uint8_t out[16]);
/* Base64 in pieces: bits, have and pads are 0 at first; _end after the last. */
int dns_rdata_base64(struct dns_rdata *r, const char *text, size_t size, uint32_t *bits, unsigned *have,
                     unsigned *pads);
int dns_rdata_base64_end(struct dns_rdata *r, uint32_t bits, unsigned have, unsigned pads);

int dns_rdata_loc(struct dns_rdata *r);  /* RFC 1876 */
int dns_rdata_apl(struct dns_rdata *r);  /* RFC 3123 */
int dns_rdata_svcb(struct dns_rdata *r); /* RFC 9460, the parameters */
#endif
