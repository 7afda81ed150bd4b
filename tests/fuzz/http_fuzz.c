/* The HTTP parser against itself: any input as a stream of requests (or of responses, by the first bit) must
 * give the same heads, payload and refusal when it comes whole and when it comes in pieces whose sizes the
 * input itself chooses. */
#include "gateways/http/http_parse.h"
#include "gateways/http/http_target.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MESSAGES_MAX 64

struct story { /* what a reader of the stream saw */
    uint32_t hash, heads;
    uint16_t status;
    size_t used;
};

static void tell(struct story *s, const void *data, size_t size)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < size; i++)
        s->hash = (s->hash ^ p[i]) * 16777619u;
}

static void check(int ok)
{
    if (!ok)
        abort();
}

static void check_head(const struct http_head *h, const uint8_t *data)
{
    char out[HTTP_LINE_MAX];
    check(h->size <= HTTP_HEAD_MAX && h->field_count <= HTTP_FIELDS_MAX && !(h->chunked && h->has_length));
    check(h->path.at + h->path.size <= h->size && h->query.at + h->query.size <= h->size &&
          h->host.at + h->host.size <= h->size);
    for (uint16_t i = 0; i < h->field_count; i++)
        check(h->fields[i].value.at + h->fields[i].value.size < h->size);
    http_decode(out, sizeof out, http_text(data, h->path), false);
    http_query_get(http_text(data, h->query), "q", out, sizeof out);
}

/* Parses until bad, short of input, or MESSAGES_MAX; `piece` bytes more become visible at a time, then half
 * again as many. */
static void read_stream(struct story *s, const uint8_t *data, size_t size, bool response, size_t piece)
{
    struct http_head *h = malloc(sizeof *h);
    size_t seen = piece < size ? piece : size;
    *s = (struct story){.hash = 2166136261u};
    while (s->heads < MESSAGES_MAX) {
        enum http_result r;
        http_head_init(h, response);
        while ((r = http_head_parse(h, data + s->used, seen - s->used)) == HTTP_MORE && seen < size)
            seen = seen + piece < size ? seen + piece : size;
        s->status = r == HTTP_BAD ? h->error_status : 0;
        if (r != HTTP_DONE)
            break;
        check_head(h, data + s->used);
        tell(s, data + s->used, h->size);
        s->used += h->size;
        s->heads++;
        struct http_body b;
        http_body_init(&b, h, 10000, false);
        do {
            size_t used;
            struct bytes payload;
            r = http_body_parse(&b, data + s->used, seen - s->used, &used, &payload);
            check(r == HTTP_BAD || used <= seen - s->used);
            s->used += used;
            if (r != HTTP_BAD)
                tell(s, payload.data, payload.size);
            if (r == HTTP_MORE && s->used == seen && seen < size)
                seen = seen + piece < size ? seen + piece : size;
            else if (r == HTTP_MORE && s->used == seen)
                break;
        } while (r == HTTP_MORE);
        s->status = r == HTTP_BAD ? b.error_status : 0;
        if (r != HTTP_DONE)
            break;
    }
    free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    bool response = data[0] == '!';
    size_t piece = 1 + data[1] % 97;
    struct story whole, pieces;
    read_stream(&whole, data + 2, size - 2, response, size);
    read_stream(&pieces, data + 2, size - 2, response, piece);
    check(whole.status == pieces.status && whole.heads == pieces.heads);
    /* A refusal may come with payload of the same call still unseen in one way and seen in the other (the
     * limit on a body to the end). */
    if (whole.status == 0)
        check(whole.hash == pieces.hash && whole.used == pieces.used);
    return 0;
}
