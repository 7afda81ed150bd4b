/* Bodies: by length, chunked (RFC 9112, 7.1), or until the connection closes (responses only). */
#include "gateways/http/http_lex.h"
#include "gateways/http/http_parse.h"
#include "node/base/assert.h"

enum {
    BODY_TOO_LARGE,
    BODY_LENGTH,    /* `left` bytes of payload, then done */
    BODY_CLOSE,     /* payload to the end of the connection */
    BODY_SIZE,      /* hexadecimal digits of a chunk size */
    BODY_EXT_SPACE, /* white space before ';' */
    BODY_EXT_NAME_SPACE,
    BODY_EXT_NAME,
    BODY_EXT_NAME_END, /* white space after a name: '=' or ';' must follow */
    BODY_EXT_VALUE_SPACE,
    BODY_EXT_VALUE,
    BODY_EXT_QUOTED,
    BODY_EXT_ESCAPE,
    BODY_EXT_QUOTED_END,
    BODY_SIZE_LF,
    BODY_DATA,
    BODY_DATA_CR,
    BODY_DATA_LF,
    BODY_TRAILER, /* first character of a trailer line, or the final CR */
    BODY_TRAILER_NAME,
    BODY_TRAILER_VALUE,
    BODY_TRAILER_LF,
    BODY_FINAL_LF,
    BODY_DONE,
    BODY_BAD
};

void http_body_init(struct http_body *b, const struct http_head *h, uint64_t payload_max, bool no_body)
{
    memset(b, 0, sizeof *b);
    b->payload_max = payload_max;
    bool bodiless = h->is_response && (no_body || h->status < 200 || h->status == 204 || h->status == 304);
    if (bodiless) {
        b->phase = BODY_DONE;
    } else if (h->chunked) {
        b->phase = BODY_SIZE;
    } else if (h->has_length) {
        b->left = h->length;
        b->phase = h->length > payload_max ? BODY_TOO_LARGE : h->length ? BODY_LENGTH : BODY_DONE;
    } else {
        b->until_close = h->is_response;
        b->phase = h->is_response ? BODY_CLOSE : BODY_DONE;
    }
}

static enum http_result bad(struct http_body *b, uint16_t status, const char *error)
{
    b->phase = BODY_BAD;
    b->error_status = status;
    b->error = error;
    return HTTP_BAD;
}

/* The phase after a chunk line: payload, or the trailers of the last chunk. */
static uint8_t after_size(const struct http_body *b)
{
    return b->left ? BODY_DATA : BODY_TRAILER;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* One character of a chunk line; BODY_BAD when it does not belong there. Extensions are checked and ignored
 * (RFC 9112, 7.1.1). */
static uint8_t size_line(struct http_body *b, uint8_t c)
{
    switch (b->phase) {
    case BODY_SIZE: {
        int digit = http_hex_digit(c);
        if (digit < 0 && b->digits == 0)
            return BODY_BAD;
        if (digit < 0)
            return c == '\r'     ? BODY_SIZE_LF
                   : c == ';'    ? BODY_EXT_NAME_SPACE
                   : is_space(c) ? BODY_EXT_SPACE
                                 : BODY_BAD;
        if (++b->digits > 16 || b->left >> 59)
            return BODY_BAD;
        b->left = b->left << 4 | (unsigned)digit;
        return BODY_SIZE;
    }
    case BODY_EXT_SPACE:
    case BODY_EXT_QUOTED_END:
        if (c == '\r' && b->phase == BODY_EXT_QUOTED_END)
            return BODY_SIZE_LF;
        return c == ';' ? BODY_EXT_NAME_SPACE : is_space(c) ? BODY_EXT_SPACE : BODY_BAD;
    case BODY_EXT_NAME_SPACE:
        return is_space(c) ? BODY_EXT_NAME_SPACE : http_is_token_char(c) ? BODY_EXT_NAME : BODY_BAD;
    case BODY_EXT_NAME:
        if (c == '\r')
            return BODY_SIZE_LF;
        if (is_space(c))
            return BODY_EXT_NAME_END;
        return c == '='                ? BODY_EXT_VALUE_SPACE
               : c == ';'              ? BODY_EXT_NAME_SPACE
               : http_is_token_char(c) ? BODY_EXT_NAME
                                       : BODY_BAD;
    case BODY_EXT_NAME_END:
        return is_space(c) ? BODY_EXT_NAME_END
               : c == '='  ? BODY_EXT_VALUE_SPACE
               : c == ';'  ? BODY_EXT_NAME_SPACE
                           : BODY_BAD;
    case BODY_EXT_VALUE_SPACE:
        return is_space(c)             ? BODY_EXT_VALUE_SPACE
               : c == '"'              ? BODY_EXT_QUOTED
               : http_is_token_char(c) ? BODY_EXT_VALUE
                                       : BODY_BAD;
    case BODY_EXT_VALUE:
        if (c == '\r')
            return BODY_SIZE_LF;
        return c == ';'                ? BODY_EXT_NAME_SPACE
               : is_space(c)           ? BODY_EXT_SPACE
               : http_is_token_char(c) ? BODY_EXT_VALUE
                                       : BODY_BAD;
    case BODY_EXT_QUOTED:
        return c == '"'                ? BODY_EXT_QUOTED_END
               : c == '\\'             ? BODY_EXT_ESCAPE
               : http_is_value_char(c) ? BODY_EXT_QUOTED
                                       : BODY_BAD;
    case BODY_EXT_ESCAPE:
        return http_is_value_char(c) ? BODY_EXT_QUOTED : BODY_BAD;
    default: /* BODY_SIZE_LF */
        return c == '\n' ? after_size(b) : BODY_BAD;
    }
}

/* One character of the trailer section. Trailers are held to the rules of fields, then dropped: none is of
 * use to us. */
static uint8_t trailer(struct http_body *b, uint8_t c)
{
    switch (b->phase) {
    case BODY_TRAILER:
        b->line_size = 0;
        return c == '\r' ? BODY_FINAL_LF : http_is_token_char(c) ? BODY_TRAILER_NAME : BODY_BAD;
    case BODY_TRAILER_NAME:
        return c == ':' ? BODY_TRAILER_VALUE : http_is_token_char(c) ? BODY_TRAILER_NAME : BODY_BAD;
    case BODY_TRAILER_VALUE:
        return c == '\r' ? BODY_TRAILER_LF : http_is_value_char(c) ? BODY_TRAILER_VALUE : BODY_BAD;
    case BODY_TRAILER_LF:
        return c == '\n' ? BODY_TRAILER : BODY_BAD;
    default: /* BODY_FINAL_LF */
        return c == '\n' ? BODY_DONE : BODY_BAD;
    }
}

/* One character of framing. */
static enum http_result framing(struct http_body *b, uint8_t c)
{
    b->line_size++;
    b->overhead++;
    if (b->phase <= BODY_SIZE_LF) {
        b->phase = size_line(b, c);
        if (b->phase != BODY_BAD && b->line_size > HTTP_CHUNK_LINE_MAX)
            return bad(b, 400, "a chunk size with its extensions is too long");
        if (b->phase == BODY_BAD)
            return bad(b, 400, "a chunk size is malformed");
        if (b->phase == BODY_DATA && b->left > b->payload_max - b->payload)
            return bad(b, 413, "the body is too large");
    } else if (b->phase == BODY_DATA_CR || b->phase == BODY_DATA_LF) {
        if (c != (b->phase == BODY_DATA_CR ? '\r' : '\n'))
            return bad(b, 400, "a chunk is longer than its size says");
        b->phase = b->phase == BODY_DATA_CR ? BODY_DATA_LF : BODY_SIZE;
        b->digits = 0;
        b->line_size = 0;
    } else {
        b->phase = trailer(b, c);
        if (b->phase == BODY_BAD)
            return bad(b, 400, "a trailer is malformed");
        if (b->line_size > HTTP_LINE_MAX)
            return bad(b, 431, "a trailer is too long");
    }
    if (b->overhead > HTTP_CHUNK_SLACK && b->overhead - HTTP_CHUNK_SLACK > 8 * b->payload)
        return bad(b, 400, "too much framing for so little payload");
    return b->phase == BODY_DONE ? HTTP_DONE : HTTP_MORE;
}

static void take_payload(struct http_body *b, const uint8_t *data, size_t size, size_t *consumed,
                         struct bytes *payload)
{
    size_t n = size - *consumed;
    if (b->phase != BODY_CLOSE && n > b->left)
        n = (size_t)b->left;
    *payload = bytes_of(data + *consumed, n);
    *consumed += n;
    b->payload += n;
    if (b->phase == BODY_CLOSE)
        return;
    b->left -= n;
    if (b->left == 0)
        b->phase = b->phase == BODY_LENGTH ? BODY_DONE : BODY_DATA_CR;
}

enum http_result http_body_parse(struct http_body *b, const uint8_t *data, size_t size, size_t *consumed,
                                 struct bytes *payload)
{
    core_assert(b->phase != BODY_BAD);
    *consumed = 0;
    *payload = bytes_of(data, 0);
    if (b->phase == BODY_TOO_LARGE)
        return bad(b, 413, "the body is too large");
    while (b->phase != BODY_DONE && *consumed < size) {
        if (b->phase == BODY_LENGTH || b->phase == BODY_CLOSE || b->phase == BODY_DATA) {
            take_payload(b, data, size, consumed, payload);
            if (b->payload > b->payload_max)
                return bad(b, 413, "the body is too large");
            break;
        }
        enum http_result r = framing(b, data[(*consumed)++]);
        if (r != HTTP_MORE)
            return r;
    }
    return b->phase == BODY_DONE ? HTTP_DONE : HTTP_MORE;
}
