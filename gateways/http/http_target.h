/* Targets taken apart: percent-decoding, path segments, query parameters. */
#ifndef SHOAL_HTTP_TARGET_H
#define SHOAL_HTTP_TARGET_H
#include "node/base/bytes.h"

/* Decodes into `out` (NUL-terminated), `cap` bytes with the NUL. Returns the size, or -1 on a NUL, a control
 * character, invalid UTF-8, or when it does not fit. plus: '+' means a space (queries made by forms). */
int http_decode(char *out, size_t cap, struct bytes text, bool plus);
/* Value of the first parameter of this name, decoded. 1 = found, 0 = not there, -1 = there and malformed. */
int http_query_get(struct bytes query, const char *name, char *out, size_t cap);
/* Takes the next segment of a path that begins with '/', still encoded, and shortens the path by it. False at
 * the end. "/a/" has the segments "a" and "". */
bool http_segment_next(struct bytes *path, struct bytes *segment);
bool http_utf8_ok(struct bytes text); /* RFC 3629: shortest forms, no surrogates */
#endif
