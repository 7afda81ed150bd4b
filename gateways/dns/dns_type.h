/* The numbers of DNS (IANA's registry "Domain Name System Parameters") and how the data of each record type
 * is laid out. */
#ifndef SHOAL_DNS_TYPE_H
#define SHOAL_DNS_TYPE_H
#include <stddef.h>
#include <stdint.h>

enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_PTR = 12,
    DNS_HINFO = 13,
    DNS_MX = 15,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_SRV = 33,
    DNS_DNAME = 39,
    DNS_OPT = 41,
    DNS_DS = 43,
    DNS_RRSIG = 46,
    DNS_NSEC = 47,
    DNS_NSEC3 = 50,
    DNS_TKEY = 249,
    DNS_TSIG = 250,
    DNS_IXFR = 251,
    DNS_AXFR = 252,
    DNS_ANY = 255
};
enum dns_class { DNS_IN = 1, DNS_CH = 3, DNS_HS = 4, DNS_NONE = 254, DNS_CLASS_ANY = 255 };
enum dns_opcode { DNS_QUERY = 0 };
enum dns_rcode {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5,
    DNS_NOTAUTH = 9,
    DNS_BADVERS = 16,
    DNS_BADCOOKIE = 23
};
enum dns_option { DNS_OPTION_COOKIE = 10, DNS_OPTION_KEEPALIVE = 11, DNS_OPTION_EDE = 15 };
enum dns_ede {
    DNS_EDE_STALE = 3,
    DNS_EDE_NOT_READY = 14,
    DNS_EDE_NO_AUTHORITY = 22,
    DNS_EDE_NONE = 0xffff
}; /* RFC 8914 */

/* Data of a type, field by field:
 *   n  name that may be compressed on the wire (RFC 1035's types only: RFC 3597, 4)     N  name that may not
 *   1 2 4  number of 1, 2, 4 bytes     t  4 bytes, a time with units (1h30m)             k  4 bytes,
 * YYYYMMDDHHMMSS or seconds a  IPv4     6  IPv6     i  8 bytes as four groups of hexadecimal digits e E
 * EUI-48, EUI-64 q  character-string     Q  one or more of them     ?  an optional one               U  bytes
 * to the end, as one text x  bytes to the end in hexadecimal     b  in base64 T  a type's number     B  type
 * bitmap     A  algorithm of DNSSEC     C  type of certificate h  length and hexadecimal, "-" for none     H
 * length and base32hex L  LOC's coordinates     P  APL's list     v  SVCB's parameters     G  IPSECKEY's
 * gateway, told by the byte before the last */
struct dns_type_info {
    const char *name;
    uint16_t type;
    const char *layout;
};

const struct dns_type_info *dns_type_find(uint16_t type); /* NULL: unknown (RFC 3597) */
/* "A", "aaaa", "TYPE65280". -1: none. */
int dns_type_from_text(const char *text, size_t size);
/* "A" or "TYPE65280"; out has 10 bytes. Returns out. */
char *dns_type_to_text(char out[12], uint16_t type);
int dns_class_from_text(const char *text, size_t size); /* -1: none */
#endif
