/* Writes heads of responses and requests into a caller's buffer, and the framing of chunks. No I/O, no clock.
 */
#ifndef SHOAL_HTTP_WRITE_H
#define SHOAL_HTTP_WRITE_H
#include "gateways/http/http_parse.h"

struct http_writer {
    char *data;
    size_t cap, size; /* size: written so far, never above cap */
    bool overflow;    /* sticky: something did not fit */
};
void http_writer_init(struct http_writer *w, char *data, size_t cap);

const char *http_reason(unsigned status); /* "OK", "Not Found"; "" for an unknown status. Static */

/* "HTTP/1.1 404 Not Found" */
void http_write_status(struct http_writer *w, unsigned status);
/* "GET /x HTTP/1.1" and Host. target must be encoded already. */
void http_write_request(struct http_writer *w, const char *method, const char *target, const char *host);
/* Asserts that name is a token. A value with CR, LF or NUL would split the response: such characters are
 * written as '?'. */
void http_write_field(struct http_writer *w, const char *name, const char *value);
void http_write_field_number(struct http_writer *w, const char *name, uint64_t value);
/* Date of now, in the form of RFC 9110, 5.6.7 ("Sun, 06 Nov 1994 08:49:37 GMT"). */
void http_write_date(struct http_writer *w, const char *name, uint64_t unix_s);
/* How the body is framed: a length, or chunked for a peer of HTTP/1.1, or by closing (false is returned then:
 * keep_alive is over). */
bool http_write_framing(struct http_writer *w, const struct http_head *request, bool length_known,
                        uint64_t length);
/* Connection: only when it is not the default of the peer's version. */
void http_write_connection(struct http_writer *w, const struct http_head *request, bool keep_alive);
void http_write_end(struct http_writer *w); /* the empty line */

#define HTTP_CHUNK_HEAD_MAX 18 /* 16 digits, CR LF */
size_t http_chunk_head(char out[HTTP_CHUNK_HEAD_MAX],
                       uint64_t size); /* size > 0; the chunk ends with CR LF */
#define HTTP_CHUNK_END  "\r\n"
#define HTTP_CHUNK_LAST "0\r\n\r\n"
#define HTTP_CONTINUE   "HTTP/1.1 100 Continue\r\n\r\n"

/* Percent-encodes all but unreserved (RFC 3986, 2.3). Returns the size or -1 when it does not fit;
 * NUL-terminated. */
int http_encode(char *out, size_t cap, struct bytes text);
#endif
