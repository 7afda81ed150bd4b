/* Ranges (RFC 9110, 14), dates read (5.6.7), and entity tags compared (8.8.3). Pure. */
#ifndef SHOAL_HTTP_RANGE_H
#define SHOAL_HTTP_RANGE_H
#include "node/base/bytes.h"

#define HTTP_RANGES_MAX      16  /* parts of one answer, after joining; a request for more gets the whole */
#define HTTP_RANGE_SPECS_MAX 200 /* looked at in one field */

struct http_range {
    uint64_t first, size; /* [bytes]; size > 0 */
};
enum http_ranges {
    HTTP_RANGES_IGNORE, /* malformed, another unit, or too many: answer with the whole (14.2) */
    HTTP_RANGES_OK,
    HTTP_RANGES_NONE /* none can be satisfied: 416 */
};
/* Overlapping and touching ranges, and those less than 80 bytes apart, are joined; the order is that of the
 * request. */
enum http_ranges http_ranges_parse(struct bytes field, uint64_t size, struct http_range out[HTTP_RANGES_MAX],
                                   unsigned *count);
/* All three forms of 5.6.7. False: no date. */
bool http_date_parse(struct bytes text, uint64_t *unix_s);
/* Does a list of tags (If-Match, If-None-Match) have this one? "*" has every one. weak: compare weakly
 * (13.1.2). etag with its quotes. */
bool http_etag_listed(struct bytes list, const char *etag, bool weak);
#endif
