#include "node/names/ask_message.h"
#include "node/base/pack.h"
#include "node/base/wire.h"

enum request_field { REQUEST_WHAT, REQUEST_SEQUENCE, REQUEST_WATCH, REQUEST_RECORD, REQUEST_WORDS, REQUEST_FROM };
enum answer_field { ANSWER_SEQUENCE, ANSWER_RECORD, ANSWER_STOP, ANSWER_FOUND, ANSWER_HITS };

size_t ask_request_write(uint8_t *out, size_t cap, const struct ask_request *q)
{
    struct pack p;
    pack_init(&p, out, cap);
    pack_map(&p, 1u + (q->sequence != 0) + (q->watch_s != 0) + (q->record.size != 0) + (q->word_count != 0) + (q->from != 0));
    pack_key_uint(&p, REQUEST_WHAT, q->what);
    if (q->sequence)
        pack_key_uint(&p, REQUEST_SEQUENCE, q->sequence);
    if (q->watch_s)
        pack_key_uint(&p, REQUEST_WATCH, q->watch_s);
    if (q->record.size)
        pack_key_bin(&p, REQUEST_RECORD, q->record.data, q->record.size);
    if (q->word_count) {
        pack_uint(&p, REQUEST_WORDS);
        pack_array(&p, q->word_count);
        for (uint32_t i = 0; i < q->word_count; i++)
            pack_str(&p, (const char *)q->words[i].data, q->words[i].size);
    }
    if (q->from)
        pack_key_uint(&p, REQUEST_FROM, q->from);
    return pack_ok(&p) ? p.size : 0;
}

static void read_words(struct wire *w, struct ask_request *q)
{
    uint32_t count = wire_array(w, NAMING_QUERY_WORDS);
    for (uint32_t i = 0; i < count; i++) {
        q->words[i] = wire_str(w, WORD_SIZE - 1);
        if (q->words[i].size == 0 || memchr(q->words[i].data, 0, q->words[i].size))
            wire_fail(w);
        if (!wire_ok(w))
            return;
    }
    q->word_count = count;
}

int ask_request_read(struct ask_request *out, struct bytes body)
{
    struct wire w;
    uint64_t key;
    memset(out, 0, sizeof *out);
    wire_init(&w, body.data, body.size);
    struct wire_map map = wire_map(&w);
    while (wire_map_next(&w, &map, &key)) {
        switch (key) {
        case REQUEST_WHAT:
            out->what = (uint32_t)wire_uint_max(&w, UINT32_MAX);
            break;
        case REQUEST_SEQUENCE:
            out->sequence = wire_uint(&w);
            break;
        case REQUEST_WATCH:
            out->watch_s = (uint32_t)wire_uint_max(&w, UINT32_MAX);
            break;
        case REQUEST_RECORD:
            out->record = wire_bin(&w, DHT_RECORD_WIRE_MAX);
            break;
        case REQUEST_WORDS:
            read_words(&w, out);
            break;
        case REQUEST_FROM:
            out->from = (uint32_t)wire_uint_max(&w, UINT32_MAX);
            break;
        default:
            wire_skip(&w);
        }
    }
    return wire_done(&w) && out->what ? 0 : ERR_MALFORMED;
}

static void write_hits(struct pack *p, const struct ask_answer *a, uint32_t count)
{
    pack_uint(p, ANSWER_HITS);
    pack_array(p, count);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t id[CONTENT_ID_SIZE];
        content_id_pack(id, &a->hits[i].id);
        pack_array(p, 2);
        pack_bin(p, id, sizeof id);
        pack_str(p, (const char *)a->hits[i].name.data, a->hits[i].name.size);
    }
}

size_t ask_answer_write(uint8_t *out, size_t cap, const struct ask_answer *a, uint32_t *written)
{
    size_t room = 32; /* everything but record and hits */
    uint32_t hits = 0;
    while (hits < a->hit_count && room + CONTENT_ID_SIZE + 5 + a->hits[hits].name.size <= cap)
        room += CONTENT_ID_SIZE + 5 + a->hits[hits++].name.size;
    struct pack p;
    pack_init(&p, out, cap);
    pack_map(&p, (uint32_t)a->has_sequence + (a->record.size != 0) + a->stop + (a->found != 0) + (hits != 0));
    if (a->has_sequence)
        pack_key_uint(&p, ANSWER_SEQUENCE, a->sequence);
    if (a->record.size)
        pack_key_bin(&p, ANSWER_RECORD, a->record.data, a->record.size);
    if (a->stop)
        pack_key_bool(&p, ANSWER_STOP, true);
    if (a->found)
        pack_key_uint(&p, ANSWER_FOUND, a->found);
    if (hits)
        write_hits(&p, a, hits);
    if (written)
        *written = hits;
    return pack_ok(&p) ? p.size : 0;
}

static void read_hits(struct wire *w, struct ask_answer *a)
{
    uint32_t count = wire_array(w, ASK_HITS_MAX);
    for (uint32_t i = 0; i < count && wire_ok(w); i++) {
        if (wire_array(w, 2) != 2)
            wire_fail(w);
        struct bytes id = wire_bin(w, CONTENT_ID_SIZE);
        struct bytes name = wire_str(w, NAMING_HIT_NAME_MAX);
        if (id.size != CONTENT_ID_SIZE || content_id_unpack(&a->hits[i].id, id.data) != 0 || name.size == 0 ||
            !utf8_valid(name.data, name.size) || memchr(name.data, 0, name.size))
            wire_fail(w);
        a->hits[i].name = name;
    }
    a->hit_count = wire_ok(w) ? count : 0;
}

int ask_answer_read(struct ask_answer *out, struct bytes body)
{
    struct wire w;
    uint64_t key;
    memset(out, 0, sizeof *out);
    wire_init(&w, body.data, body.size);
    struct wire_map map = wire_map(&w);
    while (wire_map_next(&w, &map, &key)) {
        switch (key) {
        case ANSWER_SEQUENCE:
            out->sequence = wire_uint(&w);
            out->has_sequence = true;
            break;
        case ANSWER_RECORD:
            out->record = wire_bin(&w, DHT_RECORD_WIRE_MAX);
            break;
        case ANSWER_STOP:
            out->stop = wire_bool(&w);
            break;
        case ANSWER_FOUND:
            out->found = (uint32_t)wire_uint_max(&w, UINT32_MAX);
            break;
        case ANSWER_HITS:
            read_hits(&w, out);
            break;
        default:
            wire_skip(&w);
        }
    }
    return wire_done(&w) ? 0 : ERR_MALFORMED;
}
