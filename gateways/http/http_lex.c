#include "gateways/http/http_lex.h"

static bool is_alpha(uint8_t c)
{
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_one_of(uint8_t c, const char *set)
{
    return c && strchr(set, c);
}

bool http_is_token_char(uint8_t c)
{
    return is_alpha(c) || is_digit(c) || is_one_of(c, "!#$%&'*+-.^_`|~");
}

bool http_is_value_char(uint8_t c)
{
    return c == '\t' || (c >= 0x20 && c != 0x7f);
}

bool http_is_path_char(uint8_t c)
{
    return is_alpha(c) || is_digit(c) || is_one_of(c, "-._~!$&'()*+,;=:@/|[]");
}

bool http_is_query_char(uint8_t c)
{
    return http_is_path_char(c) || is_one_of(c, "?\\^`{}");
}

bool http_is_token(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!http_is_token_char(text.data[i]))
            return false;
    return text.size > 0;
}

int http_hex_digit(uint8_t c)
{
    if (is_digit(c))
        return c - '0';
    uint8_t lower = c | 32;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool all(struct bytes text, bool (*fits)(uint8_t c))
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '%') {
            if (!fits(text.data[i]))
                return false;
        } else if (text.size - i < 3 || http_hex_digit(text.data[i + 1]) < 0 ||
                   http_hex_digit(text.data[i + 2]) < 0) {
            return false;
        }
    }
    return true;
}

bool http_is_path(struct bytes text)
{
    return all(text, http_is_path_char);
}

bool http_is_query(struct bytes text)
{
    return all(text, http_is_query_char);
}

static bool parse_port(struct bytes text, uint16_t *port)
{
    uint32_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (!is_digit(text.data[i]))
            return false;
        value = value * 10 + (uint32_t)(text.data[i] - '0');
        if (value > 65535)
            return false;
    }
    *port = (uint16_t)value; /* "host:" is legal (RFC 3986, 3.2.3) and means the default */
    return true;
}

/* Length of "[...]" at the start of text, 0 when it is none. Only its alphabet is checked: nothing resolves
 * it here. */
static size_t bracketed(struct bytes text)
{
    for (size_t i = 1; i < text.size; i++) {
        if (text.data[i] == ']')
            return i > 2 ? i + 1 : 0;
        if (http_hex_digit(text.data[i]) < 0 && text.data[i] != ':' && text.data[i] != '.')
            return 0;
    }
    return 0;
}

bool http_authority(struct bytes text, struct bytes *host, uint16_t *port)
{
    size_t end = 0;
    if (text.size && text.data[0] == '[')
        end = bracketed(text);
    else
        while (end < text.size &&
               (is_alpha(text.data[end]) || is_digit(text.data[end]) || is_one_of(text.data[end], "-._~")))
            end++;
    *host = bytes_of(text.data, end);
    *port = 0;
    if (end == 0 || end > 255)
        return false;
    if (end == text.size)
        return true;
    return text.data[end] == ':' && parse_port(bytes_of(text.data + end + 1, text.size - end - 1), port);
}

struct bytes http_trim(struct bytes text)
{
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = bytes_of(text.data + 1, text.size - 1);
    while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

bool http_list_next(struct bytes *list, struct bytes *element)
{
    while (list->size) {
        size_t end = 0;
        bool quoted = false;
        for (; end < list->size && (quoted || list->data[end] != ','); end++)
            quoted = quoted != (list->data[end] == '"');
        *element = http_trim(bytes_of(list->data, end));
        size_t used = end < list->size ? end + 1 : end;
        *list = bytes_of(list->data + used, list->size - used);
        if (element->size)
            return true;
    }
    return false;
}
