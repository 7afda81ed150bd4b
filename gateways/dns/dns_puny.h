/* Labels of international names: "xn--" and Punycode (RFC 3492), as browsers send them, back to UTF-8. */
#ifndef SHOAL_DNS_PUNY_H
#define SHOAL_DNS_PUNY_H
#include "node/base/bytes.h"

/* `label` as it came, lower-case; out becomes UTF-8 with its NUL (cap: 4 * 63 + 1 is always enough). A label
 * without "xn--" is copied. False: bad Punycode, or bytes that are not UTF-8, or a NUL. */
bool dns_label_to_utf8(char *out, size_t cap, const uint8_t *label, size_t size);
/* The other way, for names in answers. out: the label's bytes, at most 63. 0: does not fit, or is not UTF-8.
 * Returns the size. */
size_t dns_label_from_utf8(uint8_t out[63], const char *text);
#endif
