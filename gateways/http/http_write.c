#include "gateways/http/http_write.h"
#include "gateways/http/http_lex.h"
#include "node/base/assert.h"
#include <inttypes.h>
#include <stdio.h>

void http_writer_init(struct http_writer *w, char *data, size_t cap)
{
    *w = (struct http_writer){.data = data, .cap = cap};
}

static void put(struct http_writer *w, const char *text, size_t size)
{
    if (w->overflow || size > w->cap - w->size) {
        w->overflow = true;
        return;
    }
    memcpy(w->data + w->size, text, size);
    w->size += size;
}

static void put_text(struct http_writer *w, const char *text)
{
    put(w, text, strlen(text));
}

const char *http_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {
        {100, "Continue"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (unsigned i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "";
}

void http_write_status(struct http_writer *w, unsigned status)
{
    char line[80];
    core_assert(status >= 100 && status <= 599);
    int n = snprintf(line, sizeof line, "HTTP/1.1 %u %s\r\n", status, http_reason(status));
    put(w, line, (size_t)n);
}

void http_write_request(struct http_writer *w, const char *method, const char *target, const char *host)
{
    core_assert(!strpbrk(target, " \r\n"));
    put_text(w, method);
    put_text(w, " ");
    put_text(w, target);
    put_text(w, " HTTP/1.1\r\n");
    http_write_field(w, "Host", host);
}

void http_write_field(struct http_writer *w, const char *name, const char *value)
{
    core_assert(http_is_token(bytes_of(name, strlen(name))));
    put_text(w, name);
    put_text(w, ": ");
    for (const char *p = value; *p; p++)
        put(w, *p == '\r' || *p == '\n' || !http_is_value_char((uint8_t)*p) ? "?" : p, 1);
    put_text(w, "\r\n");
}

void http_write_field_number(struct http_writer *w, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    http_write_field(w, name, text);
}

/* Civil date from days since 1970-01-01, by eras of 400 years that begin in March. */
static void civil(uint64_t days, unsigned *year, unsigned *month, unsigned *day)
{
    uint64_t shifted = days + 719468, era = shifted / 146097;
    unsigned of_era = (unsigned)(shifted % 146097);
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned march_month = (5 * of_year + 2) / 153;
    *day = of_year - (153 * march_month + 2) / 5 + 1;
    *month = march_month < 10 ? march_month + 3 : march_month - 9;
    *year = (unsigned)(era * 400) + year_of_era + (*month <= 2);
}

void http_write_date(struct http_writer *w, const char *name, uint64_t unix_s)
{
    static const char *const weekdays[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    if (unix_s > UINT64_C(253402300799)) /* the form has four digits for the year */
        unix_s = UINT64_C(253402300799);
    unsigned year, month, day, second = (unsigned)(unix_s % 86400);
    civil(unix_s / 86400, &year, &month, &day);
    char text[64];
    snprintf(text, sizeof text, "%s, %02u %s %04u %02u:%02u:%02u GMT", weekdays[unix_s / 86400 % 7], day,
             months[month - 1], year, second / 3600, second / 60 % 60, second % 60);
    http_write_field(w, name, text);
}

bool http_write_framing(struct http_writer *w, const struct http_head *request, bool length_known,
                        uint64_t length)
{
    if (length_known) {
        http_write_field_number(w, "Content-Length", length);
        return true;
    }
    if (request->minor == 0)
        return false;
    http_write_field(w, "Transfer-Encoding", "chunked");
    return true;
}

void http_write_connection(struct http_writer *w, const struct http_head *request, bool keep_alive)
{
    if (!keep_alive)
        http_write_field(w, "Connection", "close");
    else if (request->minor == 0)
        http_write_field(w, "Connection", "keep-alive");
}

void http_write_end(struct http_writer *w)
{
    put_text(w, "\r\n");
}

size_t http_chunk_head(char out[HTTP_CHUNK_HEAD_MAX], uint64_t size)
{
    char text[HTTP_CHUNK_HEAD_MAX + 1];
    core_assert(size > 0);
    int n = snprintf(text, sizeof text, "%" PRIx64 "\r\n", size);
    memcpy(out, text, (size_t)n);
    return (size_t)n;
}

int http_encode(char *out, size_t cap, struct bytes text)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        bool plain =
            ((c | 32) >= 'a' && (c | 32) <= 'z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c));
        if (n + 4 > cap)
            return -1;
        if (plain) {
            out[n++] = (char)c;
        } else {
            out[n++] = '%';
            out[n++] = digits[c >> 4];
            out[n++] = digits[c & 15];
        }
    }
    if (n >= cap)
        return -1;
    out[n] = 0;
    return (int)n;
}
