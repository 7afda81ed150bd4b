/* Heads: lines, the start line, and the fields that frame a message. Bodies: http_body.c. */
#include "gateways/http/http_parse.h"
#include "gateways/http/http_lex.h"
#include "node/base/assert.h"

enum { PHASE_START, PHASE_FIELDS, PHASE_DONE, PHASE_BAD };
enum { CODING_NONE, CODING_CHUNKED, CODING_OTHER_THEN_CHUNKED };

void http_head_init(struct http_head *h, bool is_response)
{
    memset(h, 0, sizeof *h);
    h->is_response = is_response;
}

static enum http_result bad(struct http_head *h, uint16_t status, const char *error)
{
    h->phase = PHASE_BAD;
    h->error_status = h->is_response ? 502 : status;
    h->error = error;
    return HTTP_BAD;
}

bool http_text_is(struct bytes text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

bool http_text_is_nocase(struct bytes text, const char *word)
{
    if (text.size != strlen(word))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t a = text.data[i], b = (uint8_t)word[i];
        if (a != b && ((a ^ b) != 32 || (a | 32) < 'a' || (a | 32) > 'z'))
            return false;
    }
    return true;
}

bool http_field_get(const struct http_head *h, const uint8_t *data, const char *name, struct bytes *value)
{
    for (uint16_t i = 0; i < h->field_count; i++) {
        if (http_text_is_nocase(http_text(data, h->fields[i].name), name)) {
            *value = http_text(data, h->fields[i].value);
            return true;
        }
    }
    return false;
}

static struct http_span span_of(const uint8_t *data, struct bytes part)
{
    return (struct http_span){(uint16_t)(part.data - data), (uint16_t)part.size};
}

/* ---- The start line ---- */

static size_t find(struct bytes text, size_t from, const char *any)
{
    while (from < text.size && !strchr(any, text.data[from] ? text.data[from] : 1))
        from++;
    return from;
}

static enum http_method method_of(struct bytes text)
{
    static const char *const names[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                        "OPTIONS", "CONNECT", "TRACE", "PATCH"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (http_text_is(text, names[i])) /* methods are case-sensitive (RFC 9110, 9.1) */
            return (enum http_method)i;
    return HTTP_OTHER;
}

/* "HTTP/1.1": 0, or the status to refuse with. */
static uint16_t parse_version(struct http_head *h, struct bytes text)
{
    if (text.size != 8 || memcmp(text.data, "HTTP/", 5) != 0 || text.data[6] != '.' || text.data[5] < '0' ||
        text.data[5] > '9' || text.data[7] < '0' || text.data[7] > '9')
        return 400;
    if (text.data[5] != '1')
        return 505;
    h->minor = text.data[7] == '0' ? 0 : 1;
    return 0;
}

static bool parse_path_and_query(struct http_head *h, const uint8_t *data, struct bytes text)
{
    size_t end = find(text, 0, "?");
    struct bytes path = bytes_of(text.data, end), query = bytes_of(text.data + end, 0);
    if (end < text.size)
        query = bytes_of(text.data + end + 1, text.size - end - 1);
    h->path = span_of(data, path);
    h->query = span_of(data, query);
    return http_is_path(path) && http_is_query(query);
}

static bool set_authority(struct http_head *h, const uint8_t *data, struct bytes text)
{
    struct bytes host;
    if (!http_authority(text, &host, &h->port))
        return false;
    h->host = span_of(data, host);
    return true;
}

/* "http://host/path": the scheme in any case. The host here wins over Host (RFC 9112, 3.2.2). */
static bool parse_absolute(struct http_head *h, const uint8_t *data, struct bytes target)
{
    static const char scheme[] = "http://";
    size_t skip = sizeof scheme - 1;
    if (target.size <= skip || !http_text_is_nocase(bytes_of(target.data, skip), scheme))
        return false;
    size_t end = find(target, skip, "/?");
    h->form = HTTP_ABSOLUTE;
    return set_authority(h, data, bytes_of(target.data + skip, end - skip)) &&
           parse_path_and_query(h, data, bytes_of(target.data + end, target.size - end));
}

static bool parse_target(struct http_head *h, const uint8_t *data, struct bytes target)
{
    h->target = span_of(data, target);
    if (h->method == HTTP_CONNECT) {
        h->form = HTTP_AUTHORITY;
        return set_authority(h, data, target) && h->port != 0;
    }
    if (target.size && target.data[0] == '/') {
        h->form = HTTP_ORIGIN;
        return parse_path_and_query(h, data, target);
    }
    if (http_text_is(target, "*")) {
        h->form = HTTP_ASTERISK;
        h->path = h->target;
        return h->method == HTTP_OPTIONS;
    }
    return parse_absolute(h, data, target);
}

static enum http_result request_line(struct http_head *h, const uint8_t *data, struct bytes line)
{
    if (line.size == 0) /* one empty line before a request is forgiven by RFC 9112, 2.2, and sent by old
                           clients after a POST */
        return h->empty_lines++ == 0 ? HTTP_MORE : bad(h, 400, "more than one empty line before the request");
    size_t first = find(line, 0, " "), second = find(line, first + 1, " ");
    if (first >= line.size || second >= line.size)
        return bad(h, 400, "a request line is a method, a target and a version with one space between them");
    struct bytes method = bytes_of(line.data, first);
    if (!http_is_token(method))
        return bad(h, 400, "the method has a character that is not allowed there");
    h->method = method_of(method);
    h->method_text = span_of(data, method);
    uint16_t status = parse_version(h, bytes_of(line.data + second + 1, line.size - second - 1));
    if (status)
        return bad(h, status,
                   status == 505 ? "only HTTP/1.0 and HTTP/1.1 are spoken here" : "the version is malformed");
    if (!parse_target(h, data, bytes_of(line.data + first + 1, second - first - 1)))
        return bad(h, 400, "the target is malformed, or not one for this method");
    h->phase = PHASE_FIELDS;
    return HTTP_MORE;
}

/* "HTTP/1.1 200 OK"; the reason may be empty, its space may not (RFC 9112, 4). */
static enum http_result status_line(struct http_head *h, struct bytes line)
{
    if (line.size < 13 || parse_version(h, bytes_of(line.data, 8)) || line.data[8] != ' ' ||
        line.data[12] != ' ')
        return bad(h, 502, "the status line is malformed");
    for (unsigned i = 9; i < 12; i++) {
        if (line.data[i] < '0' || line.data[i] > '9')
            return bad(h, 502, "the status line is malformed");
        h->status = (uint16_t)(h->status * 10 + (line.data[i] - '0'));
    }
    if (h->status < 100 || h->status > 599)
        return bad(h, 502, "the status is out of range");
    h->phase = PHASE_FIELDS;
    return HTTP_MORE;
}

/* ---- Fields ---- */

static enum http_result field_host(struct http_head *h, const uint8_t *data, struct bytes value)
{
    if (h->is_response)
        return HTTP_MORE;
    if (h->hosts++)
        return bad(h, 400, "more than one Host");
    struct bytes host;
    uint16_t port;
    if (!http_authority(value, &host, &port))
        return bad(h, 400, "Host is malformed");
    if (h->form == HTTP_ORIGIN || h->form == HTTP_ASTERISK) {
        h->host = span_of(data, host);
        h->port = port;
    }
    return HTTP_MORE;
}

static enum http_result field_length(struct http_head *h, const uint8_t *data, struct bytes value)
{
    (void)data;
    if (h->length_seen)
        return bad(h, 400, "more than one Content-Length");
    if (value.size == 0)
        return bad(h, 400, "Content-Length is not a number");
    for (size_t i = 0; i < value.size; i++) {
        unsigned digit = (unsigned)value.data[i] - '0';
        if (digit > 9)
            return bad(h, 400, "Content-Length is not a number");
        if (h->length > ((uint64_t)INT64_MAX - digit) / 10)
            return bad(h, 400, "Content-Length is too large to be true");
        h->length = h->length * 10 + digit;
    }
    h->length_seen = true;
    return HTTP_MORE;
}

/* Only `chunked` is understood. Not last, twice, or with parameters: the end cannot be told, 400; so with a list that
 * has nothing in it. Others before it: 501 (RFC 9112, 6.1, 6.3). Empty elements beside it are ignored (RFC 9110, 5.6.1.2). */
static enum http_result field_coding(struct http_head *h, const uint8_t *data, struct bytes value)
{
    (void)data;
    struct bytes list = value, element;
    if (h->coding_seen)
        return bad(h, 400, "more than one Transfer-Encoding");
    h->coding_seen = true;
    bool others = false;
    while (http_list_next(&list, &element)) {
        if (h->coding != CODING_NONE)
            return bad(h, 400, "chunked is not the last transfer coding");
        if (http_text_is_nocase(element, "chunked"))
            h->coding = others ? CODING_OTHER_THEN_CHUNKED : CODING_CHUNKED;
        others = true;
    }
    return h->coding == CODING_NONE ? bad(h, 400, "the last transfer coding is not chunked") : HTTP_MORE;
}

enum { CONNECTION_CLOSE = 1, CONNECTION_KEEP = 2 };

static enum http_result field_connection(struct http_head *h, const uint8_t *data, struct bytes value)
{
    (void)data;
    struct bytes element;
    while (http_list_next(&value, &element)) {
        if (!http_is_token(element))
            return bad(h, 400, "Connection is malformed");
        if (http_text_is_nocase(element, "close"))
            h->connection |= CONNECTION_CLOSE; /* decided in finish(): close wins wherever it stands */
        else if (http_text_is_nocase(element, "keep-alive"))
            h->connection |= CONNECTION_KEEP;
    }
    return HTTP_MORE;
}

static enum http_result field_expect(struct http_head *h, const uint8_t *data, struct bytes value)
{
    (void)data;
    struct bytes element;
    while (!h->is_response && http_list_next(&value, &element)) {
        if (!http_text_is_nocase(element, "100-continue"))
            return bad(h, 417, "this expectation cannot be met");
        h->expect_continue = h->minor > 0; /* an HTTP/1.0 client cannot mean it (RFC 9110, 10.1.1) */
    }
    return HTTP_MORE;
}

static const struct {
    const char *name;
    enum http_result (*take)(struct http_head *h, const uint8_t *data, struct bytes value);
} known[] = {
    {"Host", field_host},
    {"Content-Length", field_length},
    {"Transfer-Encoding", field_coding},
    {"Connection", field_connection},
    {"Expect", field_expect},
};

static enum http_result field_line(struct http_head *h, const uint8_t *data, struct bytes line)
{
    if (line.data[0] == ' ' || line.data[0] == '\t')
        return bad(h, 400, "a field is folded over several lines");
    size_t colon = find(line, 0, ":");
    struct bytes name = bytes_of(line.data, colon);
    if (colon == line.size)
        return bad(h, 400, "a field has no colon");
    if (!http_is_token(name)) /* white space before the colon ends here as well (RFC 9112, 5.1) */
        return bad(h, 400, "a field name has a character that is not allowed there");
    if (h->field_count == HTTP_FIELDS_MAX)
        return bad(h, 431, "too many fields");
    struct bytes value = http_trim(bytes_of(line.data + colon + 1, line.size - colon - 1));
    h->fields[h->field_count++] = (struct http_field){span_of(data, name), span_of(data, value)};
    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
        if (http_text_is_nocase(name, known[i].name))
            return known[i].take(h, data, value);
    return HTTP_MORE;
}

/* The empty line: what the fields say together. */
static enum http_result finish(struct http_head *h)
{
    if (!h->is_response && h->minor > 0 && h->hosts == 0)
        return bad(h, 400, "HTTP/1.1 needs a Host");
    if (h->coding_seen && h->length_seen)
        return bad(h, 400, "Content-Length together with Transfer-Encoding");
    if (h->coding_seen && h->minor == 0)
        return bad(h, 400, "Transfer-Encoding in HTTP/1.0");
    if (h->coding == CODING_OTHER_THEN_CHUNKED)
        return bad(h, 501, "only the transfer coding chunked is understood");
    h->chunked = h->coding_seen;
    h->has_length = h->length_seen;
    h->keep_alive = !(h->connection & CONNECTION_CLOSE) && (h->minor > 0 || h->connection & CONNECTION_KEEP);
    h->size = h->scanned;
    h->phase = PHASE_DONE;
    return HTTP_DONE;
}

static enum http_result line_done(struct http_head *h, const uint8_t *data, struct bytes line)
{
    if (h->phase == PHASE_START)
        return h->is_response ? status_line(h, line) : request_line(h, data, line);
    return line.size == 0 ? finish(h) : field_line(h, data, line);
}

static enum http_result line_too_long(struct http_head *h, const uint8_t *data)
{
    if (h->phase == PHASE_FIELDS)
        return bad(h, 431, "a field is too long");
    if (memchr(data + h->line, ' ', h->scanned - h->line))
        return bad(h, 414, "the target is too long");
    return bad(h, 501, "the method is longer than any that is known here");
}

enum http_result http_head_parse(struct http_head *h, const uint8_t *data, size_t size)
{
    core_assert(h->phase == PHASE_START || h->phase == PHASE_FIELDS);
    core_assert(size >= h->scanned);
    while (h->scanned < size) {
        uint8_t c = data[h->scanned];
        bool after_cr = h->scanned > h->line && data[h->scanned - 1] == '\r';
        if (after_cr != (c == '\n'))
            return bad(h, 400, after_cr ? "CR without LF" : "LF without CR");
        if (h->scanned == HTTP_HEAD_MAX - 1)
            return bad(h, 431, "the head is too large");
        h->scanned++;
        if (c == '\n') {
            struct bytes line = bytes_of(data + h->line, h->scanned - 2u - h->line);
            enum http_result r = line_done(h, data, line);
            if (r != HTTP_MORE)
                return r;
            h->line = h->scanned;
        } else if (!http_is_value_char(c) && c != '\r') {
            return bad(h, 400, "a control character in the head");
        } else if (c != '\r' && h->scanned - h->line > HTTP_LINE_MAX) {
            return line_too_long(h, data);
        }
    }
    return HTTP_MORE;
}
