/* A strict incremental HTTP/1 parser without I/O (RFC 9110, RFC 9112). It borrows the caller's buffer, keeps
 * no pointer into it, and says done, need more, or bad with the status to answer. There are no lenient modes:
 * each one is a way to smuggle a request.
 *
 * A head (start line and fields) must lie in one buffer from its first byte on; the caller appends what
 * arrives and calls again, and no byte is looked at twice. Positions are offsets from that first byte, so the
 * buffer may move between calls. A body is parsed from wherever its bytes happen to be. Whether input comes
 * whole or byte by byte never changes the outcome. */
#ifndef SHOAL_HTTP_PARSE_H
#define SHOAL_HTTP_PARSE_H
#include "node/base/bytes.h"

#define HTTP_LINE_MAX                                                                                        \
    8256 /* start line or field line [bytes without CR LF]: RFC 9112, 3 wants targets of 8,000 to work */
#define HTTP_HEAD_MAX       32768 /* whole head [bytes]; the caller's buffer for heads never needs to be larger */
#define HTTP_FIELDS_MAX     100
#define HTTP_CHUNK_LINE_MAX 256 /* chunk size with extensions [bytes] */
#define HTTP_CHUNK_SLACK                                                                                     \
    (64u * 1024) /* chunk framing and trailers above 8 times the payload [bytes]: a million 1-byte chunks    \
                    are an attack */
_Static_assert(HTTP_HEAD_MAX <= UINT16_MAX, "spans hold 16 bits");
_Static_assert(HTTP_LINE_MAX < HTTP_HEAD_MAX, "the longest line fits a head");

enum http_result {
    HTTP_BAD = -1, /* `error_status` is what to answer; then close: what follows cannot be framed */
    HTTP_MORE = 0, /* all input is used and fine so far */
    HTTP_DONE = 1
};

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_CONNECT,
    HTTP_TRACE,
    HTTP_PATCH,
    HTTP_OTHER /* a valid token that is none of these: answer 501 */
};

enum http_target_form { HTTP_ORIGIN, HTTP_ABSOLUTE, HTTP_ASTERISK, HTTP_AUTHORITY };

struct http_span { /* bytes of the caller's buffer */
    uint16_t at, size;
};

struct http_field {
    struct http_span name, value; /* value without the white space around it */
};

struct http_head {
    /* for the parser */
    bool is_response;
    uint8_t phase;
    bool length_seen, coding_seen;
    uint8_t hosts, empty_lines, coding, connection; /* the last two: see http_parse.c */
    uint16_t scanned, line;

    /* for the caller, once done; error_* once bad */
    uint16_t error_status;
    const char *error; /* a sentence, static */
    uint16_t size;     /* bytes of the head with its final CR LF: the body begins there */
    uint8_t minor;     /* 0 or 1; later minors count as 1 (RFC 9110, 2.5) */
    enum http_method method;
    uint16_t status; /* of a response */
    struct http_span method_text, target;
    enum http_target_form form;
    struct http_span path;  /* as sent, percent-encoded; begins with '/', or is "*" or (absolute form) empty,
                               which means "/" */
    struct http_span query; /* after '?', as sent; size 0 when there is none */
    struct http_span
        host; /* of the target when absolute, else of Host; without the port. Size 0: HTTP/1.0 without Host */
    uint16_t port;        /* 0 = none given */
    bool keep_alive;      /* the connection persists after this message */
    bool expect_continue; /* answer 100 before reading the body, or a final status instead */
    bool chunked;
    bool has_length;
    uint64_t length; /* [bytes], when has_length */
    uint16_t field_count;
    struct http_field fields[HTTP_FIELDS_MAX];
};

void http_head_init(struct http_head *h, bool is_response);
/* data: all bytes since the head's first. After HTTP_DONE or HTTP_BAD only init may follow. */
enum http_result http_head_parse(struct http_head *h, const uint8_t *data, size_t size);

static inline struct bytes http_text(const uint8_t *data, struct http_span span)
{
    return bytes_of(data + span.at, span.size);
}
/* First field of this name (any case); false when there is none. */
bool http_field_get(const struct http_head *h, const uint8_t *data, const char *name, struct bytes *value);
bool http_text_is(struct bytes text, const char *word);        /* same bytes */
bool http_text_is_nocase(struct bytes text, const char *word); /* ASCII case ignored */

struct http_body {
    uint8_t phase;
    bool until_close; /* a response without framing: ends when the connection does */
    uint16_t error_status;
    const char *error;
    uint64_t left;        /* of the body or of the current chunk [bytes] */
    uint64_t payload;     /* so far [bytes] */
    uint64_t overhead;    /* so far [bytes] */
    uint64_t payload_max; /* more is refused with 413 */
    uint16_t line_size;   /* of the current chunk line or trailer line */
    uint8_t digits;
};
/* no_body: a response to HEAD. Length above payload_max: the first parse call says bad, 413. */
void http_body_init(struct http_body *b, const struct http_head *h, uint64_t payload_max, bool no_body);
/* Uses *consumed bytes of data and yields at most one piece of payload (borrowed from data; may be empty).
 * Call again with the rest until HTTP_DONE, HTTP_BAD, or HTTP_MORE with everything consumed. HTTP_DONE may
 * come with the last piece. */
enum http_result http_body_parse(struct http_body *b, const uint8_t *data, size_t size, size_t *consumed,
                                 struct bytes *payload);
#endif
