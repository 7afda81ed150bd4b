/* Domain names in wire form (RFC 1035, 3.1): labels of 1 to 63 bytes with their length before them, then the
 * root's zero; at most 255 bytes. Letters compare without case (RFC 4343); the case that was given is kept
 * unless a function says otherwise. */
#ifndef SHOAL_DNS_NAME_H
#define SHOAL_DNS_NAME_H
#include "node/base/bytes.h"
#include "node/base/err.h"

#define DNS_NAME_MAX      255 /* [bytes], the root included */
#define DNS_LABEL_MAX     63  /* [bytes] */
#define DNS_LABELS_MAX    127
#define DNS_NAME_TEXT_MAX (DNS_NAME_MAX * 4 + 1) /* every byte as \DDD, and the NUL */

struct dns_name {
    uint8_t size;   /* of wire, the root included; a name is never empty: the root has 1 */
    uint8_t labels; /* the root not counted */
    uint8_t wire[DNS_NAME_MAX];
};

extern const uint8_t dns_lower[256]; /* A-Z to a-z, all else as it is */

/* Reads the name at *at of a message and moves *at behind it. Letters become lower-case. A compression
 * pointer must point to before the labels that led to it, and behind the header, so that no loop can be
 * built. ERR_MALFORMED. */
int dns_name_read(struct dns_name *out, struct bytes message, size_t *at);
/* The same without keeping it. */
int dns_name_skip(struct bytes message, size_t *at);

/* Master-file text (RFC 1035, 5.1): \X and \DDD escapes, "@" alone is the origin, a name without a final dot
 * continues with `origin` (NULL: such a name is ERR_MALFORMED). ERR_RANGE: a label over 63 bytes or a name
 * over 255. */
int dns_name_from_text(struct dns_name *out, const char *text, size_t size, const struct dns_name *origin);
/* `out` has DNS_NAME_TEXT_MAX bytes. With the final dot. Returns out. */
char *dns_name_to_text(char *out, const uint8_t *wire);

size_t dns_wire_size(const uint8_t *wire); /* of a well-formed name */
bool dns_wire_equal(const uint8_t *a, const uint8_t *b, size_t size);
bool dns_name_equal(const struct dns_name *a, const struct dns_name *b);
/* Equal to `apex` or below it. */
bool dns_name_within(const struct dns_name *name, const struct dns_name *apex);
/* The name without its first `labels` labels, as it stands inside name. */
const uint8_t *dns_name_suffix(const struct dns_name *name, unsigned labels);
uint32_t dns_wire_hash(const uint8_t *wire, size_t size); /* without case */
/* out = label + rest (wire). ERR_RANGE: too long. */
int dns_name_join(struct dns_name *out, const uint8_t *label, size_t label_size, const uint8_t *rest);
/* out = the first `labels` labels of name, then rest: what a DNAME does. ERR_RANGE: too long. */
int dns_name_graft(struct dns_name *out, const struct dns_name *name, unsigned labels, const uint8_t *rest);
void dns_name_set(struct dns_name *out, const uint8_t *wire); /* copies */
#endif
