/* Master files (RFC 1035, 5; RFC 2308, 4; RFC 3597, 5) into a zone. $ORIGIN and $TTL are read; $INCLUDE and
 * $GENERATE are refused: a zone is one file, and says everything itself. */
#ifndef SHOAL_DNS_MASTER_H
#define SHOAL_DNS_MASTER_H
#include "gateways/dns/dns_zone.h"

#define DNS_MASTER_MAX (256u << 20) /* [bytes] of a file */
#define DNS_TOKENS_MAX 65536        /* words of one entry */

struct dns_token {
    const char *text; /* into the file, escapes still in it */
    uint32_t size, line;
    bool quoted;
};

/* Reads all of `text` into `zone`. `origin`: what relative names continue with before the first $ORIGIN;
 * NULL: they are an error then. On error *line and message (DNS_ZONE_MESSAGE bytes) say where and what; the
 * zone is half-full then: free it. */
int dns_master_read(struct dns_zone *zone, const char *text, size_t size, const struct dns_name *origin,
                    uint32_t *line, char *message);

/* dns_rdata.c: the data of a record from its words. `out` has 65,535 bytes; message as above, without the
 * line. */
int dns_rdata_read(uint16_t type, const struct dns_token *tokens, uint32_t count,
                   const struct dns_name *origin, uint8_t *out, size_t *size, char *message);

/* Times as people write them: 3600, 1h30m, 2W. False: not one, or over 2^31 - 1 (RFC 2181, 8). */
bool dns_time_read(const char *text, size_t size, uint32_t *out);
/* A number up to max, all of the text. */
bool dns_number_read(const char *text, size_t size, uint64_t max, uint64_t *out);
#endif
