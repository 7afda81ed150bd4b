#include "gateways/ftp/ftp_parse.h"
#include <stdio.h>
#include "node/base/assert.h"
#include "node/base/err.h"
#include "node/base/wire.h"

enum { TELNET_SE = 240, TELNET_SB = 250, TELNET_WILL, TELNET_WONT, TELNET_DO, TELNET_DONT, TELNET_IAC };
enum { TEXT, IAC, SUB, SUB_IAC, OPTION }; /* OPTION and further: + verb - TELNET_WILL */

/* ---- Lines ---- */

void ftp_input_init(struct ftp_input *in, const struct core_alloc *alloc)
{
    memset(in, 0, sizeof *in);
    in->alloc = alloc;
}

void ftp_input_fini(struct ftp_input *in)
{
    in->alloc->free(in->alloc->context, in->data);
    in->data = NULL;
    in->size = in->cap = in->lines = 0;
}

/* One byte given may need two: a bare LF ends an empty line, which has a fault and a NUL. */
size_t ftp_input_room(const struct ftp_input *in)
{
    return (FTP_INPUT_MAX - in->size) / 2;
}

static bool reserve(struct ftp_input *in, uint32_t more)
{
    if (in->size + more <= in->cap)
        return true;
    uint32_t cap = in->cap ? in->cap * 2 : 256;
    cap = cap > FTP_INPUT_MAX ? FTP_INPUT_MAX : cap;
    core_assert(cap >= in->size + more);
    uint8_t *grown = in->alloc->alloc(in->alloc->context, cap);
    if (!grown) {
        in->no_memory = true;
        return false;
    }
    if (in->size)
        memcpy(grown, in->data, in->size);
    in->alloc->free(in->alloc->context, in->data);
    in->data = grown;
    in->cap = cap;
    return true;
}

static void line_fault(struct ftp_input *in, enum ftp_fault fault)
{
    if (in->fault == FTP_LINE_OK)
        in->fault = (uint8_t)fault;
}

static bool line_begin(struct ftp_input *in)
{
    if (in->line_open)
        return true;
    if (!reserve(in, 2))
        return false;
    in->line_open = true;
    in->line_at = in->size;
    in->data[in->size++] = 0; /* the fault, once known */
    return true;
}

static void line_end(struct ftp_input *in)
{
    const uint8_t *text = in->data + in->line_at + 1;
    if (!in->cr)
        line_fault(in, FTP_LINE_BARE_LF);
    if (!utf8_valid(text, in->size - in->line_at - 1))
        line_fault(in, FTP_LINE_NOT_UTF8);
    if (!reserve(in, 1))
        return;
    in->data[in->line_at] = in->fault;
    in->data[in->size++] = 0;
    in->lines++;
    in->line_open = in->cr = false;
    in->fault = FTP_LINE_OK;
}

static void text_byte(struct ftp_input *in, uint8_t c)
{
    if (!line_begin(in))
        return;
    if (c == '\n') {
        line_end(in);
        return;
    }
    if (in->cr)
        line_fault(in, FTP_LINE_CONTROL);
    in->cr = c == '\r';
    if (in->cr)
        return;
    if (c < 0x20 || c == 0x7f) {
        line_fault(in, FTP_LINE_CONTROL);
    } else if (in->size - in->line_at > FTP_LINE_MAX) {
        line_fault(in, FTP_LINE_LONG);
        in->thrown_away++;
    } else if (reserve(in, 2)) {
        in->data[in->size++] = c;
    }
}

/* An offer is refused, a refusal needs no answer (RFC 854; RFC 1123, 4.1.2.12). */
static void telnet_answer(struct ftp_input *in, uint8_t verb, uint8_t option, uint8_t *answer, size_t *size,
                          size_t cap)
{
    if (verb != TELNET_WILL && verb != TELNET_DO)
        return;
    if (in->telnet_answers >= FTP_TELNET_ANSWERS_MAX || *size + 3 > cap)
        return;
    in->telnet_answers++;
    answer[(*size)++] = TELNET_IAC;
    answer[(*size)++] = verb == TELNET_WILL ? TELNET_DONT : TELNET_WONT;
    answer[(*size)++] = option;
}

static uint8_t after_iac(struct ftp_input *in, uint8_t c)
{
    if (c >= TELNET_WILL && c <= TELNET_DONT)
        return (uint8_t)(OPTION + c - TELNET_WILL);
    if (c == TELNET_SB)
        return SUB;
    if (c == TELNET_IAC)
        text_byte(in, c);
    return TEXT; /* interrupt process, data mark and the like mean nothing by themselves */
}

void ftp_input_give(struct ftp_input *in, struct bytes bytes, uint8_t *answer, size_t *answer_size,
                    size_t cap)
{
    core_assert(bytes.size <= ftp_input_room(in));
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t c = bytes.data[i];
        if (in->telnet == TEXT) {
            if (c == TELNET_IAC)
                in->telnet = IAC;
            else
                text_byte(in, c);
        } else if (in->telnet == IAC) {
            in->telnet = after_iac(in, c);
        } else if (in->telnet == SUB) {
            in->telnet = c == TELNET_IAC ? SUB_IAC : SUB;
        } else if (in->telnet == SUB_IAC) {
            in->telnet = c == TELNET_SE ? TEXT : SUB;
        } else {
            telnet_answer(in, (uint8_t)(in->telnet - OPTION + TELNET_WILL), c, answer, answer_size, cap);
            in->telnet = TEXT;
        }
    }
}

bool ftp_input_line(const struct ftp_input *in, uint32_t at, const char **text, enum ftp_fault *fault,
                    uint32_t *next)
{
    if (at >= (in->line_open ? in->line_at : in->size))
        return false;
    *fault = (enum ftp_fault)in->data[at];
    *text = (const char *)in->data + at + 1;
    *next = at + 1 + (uint32_t)strlen(*text) + 1;
    return true;
}

void ftp_input_drop(struct ftp_input *in, uint32_t at)
{
    const char *text;
    enum ftp_fault fault;
    uint32_t next;
    bool there = ftp_input_line(in, at, &text, &fault, &next);
    core_assert(there);
    memmove(in->data + at, in->data + next, in->size - next);
    in->size -= next - at;
    memset(in->data + in->size, 0, next - at); /* it may have been a password */
    in->line_at -= in->line_open ? next - at : 0;
    in->lines--;
    if (in->size)
        return;
    in->alloc->free(in->alloc->context, in->data); /* an idle session holds no buffer */
    in->data = NULL;
    in->cap = 0;
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool ftp_line_split(const char *text, char verb[FTP_VERB_MAX], const char **argument)
{
    size_t n = 0;
    while (n < FTP_VERB_MAX && is_letter(text[n]))
        n++;
    *argument = NULL;
    if (n == 0 || n == FTP_VERB_MAX || (text[n] != 0 && text[n] != ' '))
        return false;
    for (size_t i = 0; i < n; i++)
        verb[i] = (char)(text[i] & ~0x20);
    verb[n] = 0;
    if (text[n] == ' ' && text[n + 1])
        *argument = text + n + 1;
    return true;
}

/* ---- Paths ---- */

int ftp_path_join(char out[FTP_PATH_MAX], const char *cwd, const char *argument)
{
    size_t size = 0;
    if (argument[0] != '/') {
        size = strlen(cwd);
        core_assert(size < FTP_PATH_MAX && cwd[0] == '/');
        memcpy(out, cwd, size);
        if (size == 1)
            size = 0;
    }
    while (*argument) {
        size_t n = strcspn(argument, "/");
        if (n == 2 && argument[0] == '.' && argument[1] == '.') {
            while (size > 0 && out[--size] != '/')
                ;
        } else if (n > 0 && !(n == 1 && argument[0] == '.')) {
            if (n > FTP_NAME_MAX || size + 1 + n >= FTP_PATH_MAX)
                return ERR_RANGE;
            out[size++] = '/';
            memcpy(out + size, argument, n);
            size += n;
        }
        argument += n + (argument[n] == '/');
    }
    if (size == 0)
        out[size++] = '/';
    out[size] = 0;
    return 0;
}

const char *ftp_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

size_t ftp_path_quote(char *out, size_t cap, const char *path)
{
    size_t n = 0;
    core_assert(cap >= 3);
    out[n++] = '"';
    for (; *path && n + 3 < cap; path++) {
        if (*path == '"')
            out[n++] = '"';
        out[n++] = *path;
    }
    out[n++] = '"';
    out[n] = 0;
    return n;
}

/* ---- Addresses and numbers ---- */

bool ftp_number_parse(uint64_t *out, const char *text)
{
    uint64_t value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

/* One of the numbers of PORT, up to 255. */
static const char *octet(const char *text, uint8_t *out)
{
    unsigned value = 0, digits = 0;
    while (*text >= '0' && *text <= '9' && digits < 3) {
        value = value * 10 + (unsigned)(*text++ - '0');
        digits++;
    }
    if (digits == 0 || value > 255)
        return NULL;
    *out = (uint8_t)value;
    return text;
}

int ftp_port_parse(struct net_addr *out, const char *text)
{
    uint8_t v[6];
    for (int i = 0; i < 6; i++) {
        text = octet(text, &v[i]);
        if (!text || *text != (i < 5 ? ',' : 0))
            return ERR_MALFORMED;
        text++;
    }
    *out = net_addr_v4(v[0], v[1], v[2], v[3], (uint16_t)(v[4] << 8 | v[5]));
    return out->port ? 0 : ERR_MALFORMED;
}

int ftp_eprt_parse(struct net_addr *out, const char *text)
{
    char delimiter = text[0], whole[NET_ADDR_TEXT_MAX];
    const char *ends[3], *at = text + 1;
    uint64_t protocol = 0;
    char number[8];
    if (delimiter < 33 || delimiter > 126)
        return ERR_MALFORMED;
    for (int i = 0; i < 3; i++) {
        ends[i] = strchr(at, delimiter);
        if (!ends[i])
            return ERR_MALFORMED;
        at = ends[i] + 1;
    }
    size_t n = (size_t)(ends[0] - text - 1);
    if (*at || n == 0 || n >= sizeof number)
        return ERR_MALFORMED;
    memcpy(number, text + 1, n);
    number[n] = 0;
    if (!ftp_number_parse(&protocol, number))
        return ERR_MALFORMED;
    if (protocol != 1 && protocol != 2)
        return ERR_UNSUPPORTED;
    size_t host = (size_t)(ends[1] - ends[0] - 1), port = (size_t)(ends[2] - ends[1] - 1);
    if (host == 0 || host > 45 || port == 0 || port > 5)
        return ERR_MALFORMED;
    snprintf(whole, sizeof whole, protocol == 2 ? "[%.*s]:%.*s" : "%.*s:%.*s", (int)host, ends[0] + 1,
             (int)port, ends[1] + 1);
    if (net_addr_parse(out, whole) != 0 || out->port == 0)
        return ERR_MALFORMED;
    return net_addr_is_v4(out) == (protocol == 1) ? 0 : ERR_MALFORMED;
}
