#include "simnet/flow/web.h"
#include "gateways/http/http_write.h"
#include "simnet/flow/packets.h"
#include "node/base/assert.h"
#include <stdlib.h>
#include <string.h>

#define SERVER 0u
#define CLIENT 1u

enum discipline { EACH, KEPT, PIPELINED, DISCIPLINES };

struct reading { /* of one end of one connection */
    uint8_t buffer[HTTP_HEAD_MAX];
    size_t size;
    struct http_head head;
    struct http_body body;
    bool in_body;
};

struct web {
    struct sim_world *w;
    struct streams *streams;
    struct stream *stream;
    struct reading server, client;
    enum discipline discipline;
    uint32_t got;
    core_time began;
    size_t answer; /* of one answer [bytes] */
    uint32_t time[DISCIPLINES], error;
};

static uint32_t objects(const struct web *b)
{
    return b->w->config->http.objects;
}

struct web *web_new(struct sim_world *w, struct streams *s, uint16_t kind)
{
    static const char *const names[DISCIPLINES] = {"response.each", "response.kept", "response.pipelined"};
    if (!w->config->http.objects)
        return NULL;
    struct web *b = streams_must(calloc(1, sizeof *b));
    b->w = w;
    b->streams = s;
    for (int d = 0; d < DISCIPLINES; d++)
        b->time[d] = sim_metric_declare(w->metrics, names[d], SIM_SAMPLE, SIM_UNIT_US);
    b->error = sim_metric_declare(w->metrics, "response.error", SIM_SAMPLE, SIM_UNIT_PPM);
    sim_world_at(w, w->begin + w->config->scenario.warm + CORE_SECONDS(1), CLIENT, CLIENT, kind, 0, 0, NULL);
    return b;
}

static void hang_up(struct web *b)
{
    if (b->stream)
        streams_raw_close(b->streams, b->stream);
    b->stream = NULL;
}

void web_free(struct web *b)
{
    if (b)
        hang_up(b);
    free(b);
}

static void reading_init(struct reading *r, bool is_response)
{
    r->size = 0;
    r->in_body = false;
    http_head_init(&r->head, is_response);
}

static void connect(struct web *b)
{
    hang_up(b);
    reading_init(&b->server, false);
    reading_init(&b->client, true);
    b->stream = streams_raw_open(b->streams, CLIENT, SERVER);
}

void web_start(struct web *b)
{
    b->began = b->w->now;
    b->got = 0;
    connect(b);
}

static void ask(struct web *b)
{
    char text[512];
    struct http_writer to;
    http_writer_init(&to, text, sizeof text);
    http_write_request(&to, "GET", "/content/object", "server.example");
    if (b->discipline == EACH)
        http_write_field(&to, "Connection", "close");
    http_write_end(&to);
    core_assert(!to.overflow);
    streams_raw_send(b->streams, b->stream, 0, (const uint8_t *)text, to.size);
}

static void answer(struct web *b, const struct http_head *request)
{
    size_t body = b->w->config->http.object, cap = 512 + body;
    char *text = streams_must(calloc(1, cap));
    struct http_writer to;
    http_writer_init(&to, text, cap);
    http_write_status(&to, 200);
    http_write_field(&to, "Content-Type", "application/octet-stream");
    bool keep = http_write_framing(&to, request, true, body);
    http_write_connection(&to, request, keep && request->keep_alive);
    http_write_end(&to);
    core_assert(!to.overflow && to.size + body <= cap);
    b->answer = to.size + body;
    streams_raw_send(b->streams, b->stream, 1, (const uint8_t *)text, b->answer);
    free(text);
}

/* What it should have taken [us]. */
static double formula(const struct web *b)
{
    double n = objects(b), round = 2.0 * (double)sim_delay(b->w, CLIENT, SERVER);
    size_t wire = b->answer + (b->answer + PACKETS_MSS - 1) / PACKETS_MSS * PACKETS_HEADER;
    double sent = (double)wire / (double)b->w->config->net.up * 1e6;
    switch (b->discipline) {
    case EACH:
        return n * (2 * round + sent);
    case KEPT:
        return round + n * (round + sent);
    default:
        return 2 * round + n * sent;
    }
}

static void object_in(struct web *b)
{
    struct sim_world *w = b->w;
    if (++b->got < objects(b)) {
        if (b->discipline == EACH)
            connect(b);
        else if (b->discipline == KEPT)
            ask(b);
        return;
    }
    double took = (double)(w->now - b->began), should = formula(b),
           gap = took > should ? took - should : should - took;
    sim_metric_add(w->metrics, b->time[b->discipline], w->now - b->began);
    sim_metric_add(w->metrics, b->error, (uint64_t)(gap / should * SIM_PPM));
    hang_up(b);
    if (++b->discipline < DISCIPLINES)
        web_start(b);
    else
        w->end = w->now;
}

/* Takes what it can of a head from data; true: the head is whole, and *data and *size are what follows it. */
static bool head_in(struct web *b, struct reading *r, const uint8_t **data, size_t *size)
{
    size_t old = r->size, room = sizeof r->buffer - r->size, n = *size < room ? *size : room;
    memcpy(r->buffer + r->size, *data, n);
    r->size += n;
    enum http_result e = http_head_parse(&r->head, r->buffer, r->size);
    if (e == HTTP_BAD)
        sim_fail(b->w, "HTTP: %s", r->head.error);
    if (e != HTTP_DONE)
        return false;
    size_t used = r->head.size - old;
    *data += used;
    *size -= used;
    return true;
}

static void requests_in(struct web *b, const uint8_t *data, size_t size)
{
    struct reading *r = &b->server;
    while (size > 0 && head_in(b, r, &data, &size)) {
        struct http_head request = r->head;
        reading_init(r, false);
        answer(b, &request);
    }
}

static void answers_in(struct web *b, const uint8_t *data, size_t size)
{
    struct reading *r = &b->client;
    const struct stream *mine = b->stream;
    while (size > 0 && b->stream == mine) {
        if (!r->in_body) {
            if (!head_in(b, r, &data, &size))
                return;
            r->in_body = true;
            http_body_init(&r->body, &r->head, UINT64_MAX, false);
        }
        size_t used;
        struct bytes piece;
        enum http_result e = http_body_parse(&r->body, data, size, &used, &piece);
        data += used;
        size -= used;
        if (e == HTTP_BAD)
            sim_fail(b->w, "HTTP: %s", r->body.error);
        if (e == HTTP_BAD || (e == HTTP_MORE && !used))
            return;
        if (e == HTTP_DONE) {
            reading_init(r, true);
            object_in(b);
        }
    }
}

void web_data(struct web *b, int side, const uint8_t *data, size_t size)
{
    if (side == 1)
        requests_in(b, data, size);
    else if (data)
        answers_in(b, data, size);
    else
        for (uint32_t i = 0; i < (b->discipline == PIPELINED ? objects(b) : 1); i++)
            ask(b);
}
