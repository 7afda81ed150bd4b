#include "gateways/http/http_target.h"
#include "gateways/http/http_lex.h"
#include "gateways/http/http_parse.h"

/* Bytes of the UTF-8 sequence at text, 0 when it is malformed. */
static size_t sequence(struct bytes text)
{
    uint8_t c = text.data[0];
    size_t n = c < 0x80                 ? 1
               : c >= 0xc2 && c <= 0xdf ? 2
               : c >= 0xe0 && c <= 0xef ? 3
               : c >= 0xf0 && c <= 0xf4 ? 4
                                        : 0;
    if (n == 0 || n > text.size)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((text.data[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (c == 0xe0 && text.data[1] < 0xa0) || (c == 0xf0 && text.data[1] < 0x90);
    bool surrogate = c == 0xed && text.data[1] > 0x9f;
    bool beyond = c == 0xf4 && text.data[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : n;
}

bool http_utf8_ok(struct bytes text)
{
    while (text.size) {
        size_t n = sequence(text);
        if (n == 0)
            return false;
        text = bytes_of(text.data + n, text.size - n);
    }
    return true;
}

int http_decode(char *out, size_t cap, struct bytes text, bool plus)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c == '%') {
            if (text.size - i < 3)
                return -1;
            int high = http_hex_digit(text.data[i + 1]), low = http_hex_digit(text.data[i + 2]);
            if (high < 0 || low < 0)
                return -1;
            c = (uint8_t)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (c < 0x20 || c == 0x7f || n + 1 >= cap)
            return -1;
        out[n++] = (char)c;
    }
    if (cap == 0)
        return -1;
    out[n] = 0;
    return http_utf8_ok(bytes_of(out, n)) ? (int)n : -1;
}

int http_query_get(struct bytes query, const char *name, char *out, size_t cap)
{
    while (query.size) {
        size_t end = 0, equals = SIZE_MAX;
        for (; end < query.size && query.data[end] != '&'; end++)
            if (query.data[end] == '=' && equals == SIZE_MAX)
                equals = end;
        if (equals == SIZE_MAX)
            equals = end;
        if (http_text_is(bytes_of(query.data, equals), name)) {
            struct bytes value =
                equals < end ? bytes_of(query.data + equals + 1, end - equals - 1) : bytes_of(query.data, 0);
            return http_decode(out, cap, value, true) < 0 ? -1 : 1;
        }
        size_t used = end < query.size ? end + 1 : end;
        query = bytes_of(query.data + used, query.size - used);
    }
    return 0;
}

bool http_segment_next(struct bytes *path, struct bytes *segment)
{
    if (path->size == 0 || path->data[0] != '/')
        return false;
    size_t end = 1;
    while (end < path->size && path->data[end] != '/')
        end++;
    *segment = bytes_of(path->data + 1, end - 1);
    *path = bytes_of(path->data + end, path->size - end);
    return true;
}
