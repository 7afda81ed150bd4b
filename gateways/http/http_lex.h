/* Character classes of RFC 9110 and RFC 3986, and the small grammars that heads, bodies and targets share. */
#ifndef SHOAL_HTTP_LEX_H
#define SHOAL_HTTP_LEX_H
#include "node/base/bytes.h"

bool http_is_token_char(uint8_t c); /* RFC 9110, 5.6.2 */
bool http_is_value_char(uint8_t c); /* HTAB, SP, VCHAR, obs-text (RFC 9110, 5.5) */
/* pchar and '/' (RFC 3986, 3.3), and '|', '[', ']' which browsers send as they are (WHATWG URL, path
 * percent-encode set). '%' is checked apart. */
bool http_is_path_char(uint8_t c);
/* As above with '?', and '\', '^', '`', '{', '}' which browsers leave alone in queries. */
bool http_is_query_char(uint8_t c);
bool http_is_token(struct bytes text); /* at least one character */
int http_hex_digit(uint8_t c);         /* -1: none */
/* Path or query characters only, and every '%' followed by two hexadecimal digits. */
bool http_is_path(struct bytes text);
bool http_is_query(struct bytes text);
/* "host", "host:port", "[v6]", "[v6]:port". host is a part of text; *port 0 when not given. No user info, no
 * empty host, no percent-encoding and no sub-delimiters: names of machines have none. */
bool http_authority(struct bytes text, struct bytes *host, uint16_t *port);
/* Takes the next element of a comma-separated list (RFC 9110, 5.6.1.2), trimmed, empty ones skipped; false at
 * the end. A comma between double quotes is none; a backslash there is a character like any other, as in entity tags
 * (8.8.3), the one kind of list here that has quotes. */
bool http_list_next(struct bytes *list, struct bytes *element);
struct bytes http_trim(struct bytes text); /* SP and HTAB at both ends */
#endif
