#include "gateways/http/http_form.h"
#include <string.h>
#include "gateways/http/http_lex.h"
#include "gateways/http/http_parse.h"
#include "gateways/http/http_target.h"
#include "node/base/assert.h"

enum phase {
    PREAMBLE, /* before the first boundary: thrown away */
    AFTER,    /* right behind a boundary: CR LF or "--", after blanks */
    AFTER_CR,
    AFTER_DASH,
    HEAD,
    DATA,
    EPILOGUE,
    DEAD
};

/* ---- The boundary ---- */

static bool boundary_ok(struct bytes b)
{
    if (b.size == 0 || b.size > HTTP_BOUNDARY_MAX || b.data[b.size - 1] == ' ')
        return false;
    for (size_t i = 0; i < b.size; i++) {
        uint8_t c = b.data[i];
        bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && (c == 0 || !strchr("'()+_,-./:=? ", c)))
            return false;
    }
    return true;
}

/* One parameter "; name=value" or "; name=\"value\"" at the front of rest; false when there is none. *value
 * still has its backslashes. */
static bool parameter(struct bytes *rest, struct bytes *name, struct bytes *value, bool *quoted)
{
    struct bytes r = http_trim(*rest);
    if (r.size == 0 || r.data[0] != ';')
        return false;
    r = http_trim(bytes_of(r.data + 1, r.size - 1));
    const uint8_t *equals = r.size ? memchr(r.data, '=', r.size) : NULL;
    if (!equals)
        return false;
    *name = bytes_of(r.data, (size_t)(equals - r.data));
    r = bytes_of(equals + 1, r.size - name->size - 1);
    size_t end = 0;
    *quoted = r.size && r.data[0] == '"';
    if (*quoted) {
        for (end = 1; end < r.size && r.data[end] != '"'; end++)
            end += r.data[end] == '\\' && end + 1 < r.size &&
                   (r.data[end + 1] == '"' || r.data[end + 1] == '\\');
        if (end >= r.size)
            return false;
        *value = bytes_of(r.data + 1, end - 1);
        end++;
    } else {
        while (end < r.size && r.data[end] != ';' && r.data[end] != ' ' && r.data[end] != '\t')
            end++;
        *value = bytes_of(r.data, end);
    }
    *rest = bytes_of(r.data + end, r.size - end);
    return http_is_token(*name);
}

/* The text before the first parameter, trimmed. */
static struct bytes before_parameters(struct bytes *text)
{
    const uint8_t *semicolon = text->size ? memchr(text->data, ';', text->size) : NULL;
    size_t n = semicolon ? (size_t)(semicolon - text->data) : text->size;
    struct bytes head = http_trim(bytes_of(text->data, n));
    *text = bytes_of(text->data + n, text->size - n);
    return head;
}

bool http_form_boundary(struct bytes content_type, struct bytes *boundary)
{
    struct bytes name, value;
    bool quoted, found = false;
    if (!http_text_is_nocase(before_parameters(&content_type), "multipart/form-data"))
        return false;
    while (parameter(&content_type, &name, &value, &quoted)) {
        if (!http_text_is_nocase(name, "boundary"))
            continue;
        if (found || !boundary_ok(value))
            return false;
        *boundary = value;
        found = true;
    }
    return found && http_trim(content_type).size == 0;
}

void http_form_init(struct http_form *f, struct bytes boundary)
{
    memset(f, 0, sizeof *f);
    core_assert(boundary.size > 0 && boundary.size <= HTTP_BOUNDARY_MAX);
    memcpy(f->delimiter, "\r\n--", 4);
    memcpy(f->delimiter + 4, boundary.data, boundary.size);
    f->delimiter_size = (uint16_t)(boundary.size + 4);
    f->matched = 2; /* the body's beginning is a line's beginning */
    f->phase = PREAMBLE;
}

static enum http_form_event bad(struct http_form *f, const char *error)
{
    f->error = error;
    f->phase = DEAD;
    return HTTP_FORM_BAD;
}

/* ---- The head of a part ---- */

/* As browsers send names: percent-encoded are only the quote, CR and LF (WHATWG), older ones use backslashes.
 */
static bool text_take(struct bytes in, bool quoted, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < in.size; i++) {
        uint8_t c = in.data[i];
        if (quoted && c == '\\' && i + 1 < in.size && (in.data[i + 1] == '"' || in.data[i + 1] == '\\'))
            c = in.data[++i];
        else if (quoted && c == '%' && in.size - i > 2 && in.data[i + 1] == '2' && in.data[i + 2] == '2') {
            c = '"';
            i += 2;
        }
        if (n + 1 >= cap || c < 0x20 || c == 0x7f)
            return false;
        out[n++] = (char)c;
    }
    out[n] = 0;
    return http_utf8_ok(bytes_of(out, n));
}

static bool disposition(struct http_form *f, struct bytes value)
{
    struct bytes name, text;
    bool quoted, named = false;
    char path[HTTP_PART_HEAD_MAX];
    if (!http_text_is_nocase(before_parameters(&value), "form-data"))
        return false;
    while (parameter(&value, &name, &text, &quoted)) {
        if (http_text_is_nocase(name, "name")) {
            if (named || !text_take(text, quoted, f->name, sizeof f->name))
                return false;
            named = true;
        } else if (http_text_is_nocase(name, "filename")) {
            if (f->is_file || !text_take(text, quoted, path, sizeof path))
                return false;
            const char *last = path;
            for (const char *p = path; *p; p++)
                if (*p == '/' || *p == '\\')
                    last = p + 1;
            if (strlen(last) >= sizeof f->filename)
                return false;
            strcpy(f->filename, last);
            f->is_file = true;
        }
    }
    return named && http_trim(value).size == 0;
}

static enum http_form_event head_take(struct http_form *f)
{
    bool seen = false;
    const char *line = f->head, *end = f->head + f->head_size;
    f->is_file = false;
    f->name[0] = f->filename[0] = 0;
    while (line < end) {
        const char *stop = memmem(line, (size_t)(end - line), "\r\n", 2);
        core_assert(stop);
        const char *colon = memchr(line, ':', (size_t)(stop - line));
        struct bytes name = bytes_of(line, colon ? (size_t)(colon - line) : 0);
        if (!colon || !http_is_token(name))
            return bad(f, "a part of the form has a line that is no field");
        struct bytes value = http_trim(bytes_of(colon + 1, (size_t)(stop - colon - 1)));
        if (http_text_is_nocase(name, "Content-Disposition")) {
            if (seen || !disposition(f, value))
                return bad(f, "a part of the form has no proper Content-Disposition with a name");
            seen = true;
        }
        line = stop + 2;
    }
    if (!seen)
        return bad(f, "a part of the form has no Content-Disposition");
    f->phase = DATA;
    f->matched = 2; /* an empty part: its boundary may follow the head's last line end directly */
    return HTTP_FORM_PART;
}

/* One byte of a head; true when the empty line is complete. */
static int head_byte(struct http_form *f, uint8_t c)
{
    if (f->head_size == sizeof f->head || c == 0)
        return -1;
    f->head[f->head_size++] = (char)c;
    if (c == '\n' && (f->head_size < 2 || f->head[f->head_size - 2] != '\r'))
        return -1;
    if (f->head_size >= 2 && f->head[f->head_size - 2] == '\r' && c != '\n')
        return -1;
    if (f->head_size == 2 && c == '\n') {
        f->head_size = 0;
        return 1;
    }
    if (f->head_size >= 4 && memcmp(f->head + f->head_size - 4, "\r\n\r\n", 4) == 0) {
        f->head_size = (uint16_t)(f->head_size - 2);
        return 1;
    }
    return 0;
}

/* ---- Data ---- */

/* How much of `data` is before anything that may be the delimiter; a delimiter begins with CR, which no
 * boundary contains, so that what was matched in vain is data as it stands. */
static enum http_form_event data_take(struct http_form *f, const uint8_t *data, size_t size, size_t *used,
                                      struct bytes *piece, bool keep)
{
    size_t at = 0;
    while (at < size) {
        if (f->matched == 0) {
            const uint8_t *cr = memchr(data + at, '\r', size - at);
            size_t n = cr ? (size_t)(cr - data) - at : size - at;
            if (n) {
                *used = at + n;
                *piece = bytes_of(data + at, n);
                return HTTP_FORM_DATA;
            }
            f->matched = 1;
            at++;
        } else if (data[at] == (uint8_t)f->delimiter[f->matched]) {
            at++;
            if (++f->matched == f->delimiter_size) {
                *used = at;
                f->matched = f->held = 0;
                f->phase = AFTER;
                return HTTP_FORM_PART_END;
            }
        } else {
            uint16_t from = f->held; /* of the virtual line end at a part's beginning nothing was sent */
            size_t n = f->matched > from ? (size_t)(f->matched - from) : 0;
            f->matched = f->held = 0;
            if (n && keep) {
                *used = at;
                *piece = bytes_of(f->delimiter + from, n);
                return HTTP_FORM_DATA;
            }
        }
    }
    *used = at;
    return HTTP_FORM_MORE;
}

static enum http_form_event after_byte(struct http_form *f, uint8_t c)
{
    if (f->phase == AFTER && (c == ' ' || c == '\t'))
        return HTTP_FORM_MORE;
    if (f->phase == AFTER && (c == '\r' || c == '-')) {
        f->phase = c == '\r' ? AFTER_CR : AFTER_DASH;
        return HTTP_FORM_MORE;
    }
    if (f->phase == AFTER_CR && c == '\n') {
        if (++f->parts > HTTP_PARTS_MAX)
            return bad(f, "the form has too many parts");
        f->phase = HEAD;
        f->head_size = 0;
        return HTTP_FORM_MORE;
    }
    if (f->phase == AFTER_DASH && c == '-') {
        f->phase = EPILOGUE;
        return HTTP_FORM_END;
    }
    return bad(f, "what follows a boundary of the form is neither a line end nor \"--\"");
}

enum http_form_event http_form_parse(struct http_form *f, const uint8_t *data, size_t size, size_t *used,
                                     struct bytes *piece)
{
    enum http_form_event e = HTTP_FORM_MORE;
    size_t at = 0, n;
    *piece = bytes_of(NULL, 0);
    while (e == HTTP_FORM_MORE && at < size) {
        switch ((enum phase)f->phase) {
        case PREAMBLE:
            e = data_take(f, data + at, size - at, &n, piece, false);
            at += n;
            if (e == HTTP_FORM_DATA || e == HTTP_FORM_PART_END)
                e = HTTP_FORM_MORE;
            *piece = bytes_of(NULL, 0);
            break;
        case AFTER:
        case AFTER_CR:
        case AFTER_DASH:
            e = after_byte(f, data[at++]);
            break;
        case HEAD: {
            int end = head_byte(f, data[at++]);
            if (end < 0)
                e = bad(f, "the head of a part of the form is too long or malformed");
            else if (end > 0)
                e = head_take(f);
            if (e == HTTP_FORM_PART)
                f->held = 2;
            break;
        }
        case DATA:
            e = data_take(f, data + at, size - at, &n, piece, true);
            at += n;
            break;
        case EPILOGUE:
            at = size;
            break;
        case DEAD:
            at = size;
            e = HTTP_FORM_BAD;
            break;
        }
    }
    *used = at;
    return e;
}
