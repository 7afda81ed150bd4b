/* The codecs of names: values of profiles, nicknames and keywords, and the bodies of questions. What is read and written again reads as the same; names
 * that pass the check fold to something that does not change any more. */
#include <stdio.h>
#include <stdlib.h>

#include "node/names/ask_message.h"

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void profile(struct bytes b)
{
    struct profile p, q;
    uint8_t out[DHT_VALUE_MAX], again[DHT_VALUE_MAX];
    if (profile_read(&p, b) != 0)
        return;
    size_t size = profile_write(out, sizeof out, &p);
    if (size == 0)
        return; /* more than a record holds: only when b was longer than one */
    require(profile_read(&q, bytes_of(out, size)) == 0);
    require(profile_write(again, sizeof again, &q) == size && memcmp(out, again, size) == 0);
}

static void small(struct bytes b)
{
    char name[NAME_SIZE], folded[NAME_SIZE], twice[NAME_SIZE];
    struct keyword k, l;
    uint8_t out[DHT_VALUE_MAX];
    if (nick_read(name, b) == 0) {
        name_fold(folded, name);
        name_fold(twice, folded);
        require(strcmp(folded, twice) == 0 && strlen(folded) <= strlen(name));
        require(!name_looks_like(name, name));
        (void)name_look(name);
    }
    if (keyword_read(&k, b) == 0) {
        size_t size = keyword_write(out, sizeof out, &k);
        require(size && keyword_read(&l, bytes_of(out, size)) == 0 && l.count == k.count && l.address_count == k.address_count);
    }
}

static void questions(struct bytes b)
{
    struct ask_request q, r;
    struct ask_answer a, c;
    uint8_t out[4096];
    uint32_t written = 0;
    if (ask_request_read(&q, b) == 0) {
        size_t size = ask_request_write(out, sizeof out, &q);
        require(size && ask_request_read(&r, bytes_of(out, size)) == 0);
        require(r.what == q.what && r.word_count == q.word_count && bytes_equal(r.record, q.record));
    }
    if (ask_answer_read(&a, b) == 0) {
        uint8_t large[ASK_HITS_MAX * 300 + DHT_RECORD_WIRE_MAX + 64];
        size_t size = ask_answer_write(large, sizeof large, &a, &written);
        require(size && written == a.hit_count && ask_answer_read(&c, bytes_of(large, size)) == 0);
        require(c.hit_count == a.hit_count && c.found == a.found && c.stop == a.stop);
    }
}

static void text(const uint8_t *data, size_t size)
{
    char title[512], words[16][WORD_SIZE];
    size_t n = size < sizeof title - 1 ? size : sizeof title - 1;
    memcpy(title, data, n);
    title[n] = 0;
    uint32_t count = words_split(words, 16, title);
    for (uint32_t i = 0; i < count; i++) {
        char again[2][WORD_SIZE];
        require(words_split(again, 2, words[i]) == 1 && strcmp(again[0], words[i]) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct bytes b = bytes_of(data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        profile(b);
        break;
    case 1:
        small(b);
        break;
    case 2:
        questions(b);
        break;
    default:
        text(data + 1, size - 1);
    }
    return 0;
}
