/* Writing an answer into the caller's buffer: question as it came, records with compressed names (RFC
 * 1035, 4.1.4), OPT at the end. A record goes in whole or not at all. */
#ifndef SHOAL_DNS_WRITE_H
#define SHOAL_DNS_WRITE_H
#include "gateways/dns/dns_query.h"

#define DNS_WRITE_NAMES_MAX 48 /* names remembered for compression; later ones are written in full */

enum dns_section { DNS_ANSWER = 1, DNS_AUTHORITY = 2, DNS_ADDITIONAL = 3 };

struct dns_writer {
    uint8_t *out;
    size_t size, cap; /* cap: what the message may grow to, room for OPT taken off */
    uint16_t counts[4];
    uint16_t flags; /* AA, TC; the rest is made at the end */
    uint16_t rcode;
    uint16_t ede; /* DNS_EDE_NONE: none */
    bool full;    /* a record did not fit */
    uint8_t name_count;
    uint16_t names[DNS_WRITE_NAMES_MAX]; /* offsets of labels that begin a name written before */
};

struct dns_write_options { /* what OPT carries, if the query had one */
    const uint8_t *cookie; /* whole: client and server part */
    uint8_t cookie_size;   /* 0: none */
    uint16_t keepalive;    /* [100 ms]; 0: none */
};

/* `cap`: of the whole answer; at least DNS_UDP_PLAIN. The question is copied when it was read. */
void dns_write_begin(struct dns_writer *w, uint8_t *out, size_t cap, const struct dns_query *q,
                     const struct dns_write_options *options);
/* `owner` is wire and well-formed. False: it did not fit and nothing was written (w->full). */
bool dns_write_record(struct dns_writer *w, enum dns_section section, const uint8_t *owner, uint16_t type,
                      uint32_t ttl, struct bytes data);
/* Takes everything behind the question away again (for TC, and for a change of mind). */
void dns_write_clear(struct dns_writer *w, const struct dns_query *q);
/* Sets counts and flags, adds OPT and a refused TSIG. Returns the size. */
size_t dns_write_end(struct dns_writer *w, const struct dns_query *q,
                     const struct dns_write_options *options);
#endif
