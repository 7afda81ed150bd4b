/* Reading a query, strictly (RFC 1035, 4; RFC 6891; RFC 7873; RFC 9619). Whatever comes, the answer to give
 * is decided here or the query is whole: nothing later meets a byte that was not checked. */
#ifndef SHOAL_DNS_QUERY_H
#define SHOAL_DNS_QUERY_H
#include "gateways/dns/dns_name.h"
#include "gateways/dns/dns_type.h"

#define DNS_HEADER_SIZE   12
#define DNS_MESSAGE_MAX   65535
#define DNS_UDP_PLAIN     512  /* without EDNS [bytes] */
#define DNS_UDP_MAX       1232 /* what we send and announce: no fragments (DNS flag day 2020) [bytes] */
#define DNS_COOKIE_CLIENT 8
#define DNS_COOKIE_MAX    40

#define DNS_FLAG_QR 0x8000
#define DNS_FLAG_AA 0x0400
#define DNS_FLAG_TC 0x0200
#define DNS_FLAG_RD 0x0100

struct dns_query {
    uint16_t id, flags;
    uint8_t opcode;
    struct bytes message;   /* as it came; borrowed */
    uint16_t question_size; /* bytes at offset 12 to repeat in the answer, case and all; 0: none that could be
                               read */
    struct dns_name name;   /* lower-case */
    uint16_t type, class;
    bool edns, dnssec_ok, keepalive, has_question;
    uint8_t version;
    uint16_t udp_size;   /* what the asker takes, never under 512 */
    struct bytes cookie; /* option COOKIE as it came, 8 or 16 to 40 bytes; size 0: none */
    size_t tsig_at;      /* offset of a TSIG record; 0: none */
};

/* Returns an rcode: DNS_NOERROR, go on; DNS_FORMERR, DNS_NOTIMP, DNS_BADVERS, DNS_NOTAUTH (signed by a key we
 * do not have), send that. -1: send nothing (shorter than a header, or itself an answer: two servers would
 * talk forever). */
int dns_query_read(struct dns_query *q, struct bytes message);
#endif
