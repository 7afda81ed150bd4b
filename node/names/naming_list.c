/* What this node lists for search: an index of words, a record for each word in the DHT that points to this node, and the answers to those who ask. */
#include "node/names/naming_internal.h"

#define WORDS_IN_NAME  16
#define WORD_GAP       CORE_MS(25)    /* between two words' stores: a node that begins to list does not flood its network */
#define WORD_RENEW     CORE_HOURS(19) /* a keyword's life is a day */
#define WORD_AGAIN     CORE_MINUTES(1)
#define POSTINGS_READ  2000           /* of one query */

static uint64_t word_hash(const char *word) /* FNV-1a: not secret; a collision costs a look at a name that does not match */
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *word; word++)
        h = (h ^ (uint8_t)*word) * 0x100000001b3u;
    return h;
}

static void items_clear(struct naming *n)
{
    struct naming_list *l = &n->list;
    for (uint32_t i = 0; i < l->count; i++)
        naming_give(n, l->items[i].name);
    l->count = 0;
}

void naming_list_free(struct naming *n)
{
    items_clear(n);
    naming_give(n, n->list.items);
    naming_give(n, n->list.postings);
    naming_give(n, n->list.words);
    memset(&n->list, 0, sizeof n->list);
}

void naming_list_begin(struct naming *n)
{
    items_clear(n);
    naming_give(n, n->list.postings); /* not to be read any more: items move */
    n->list.postings = NULL;
    n->list.posting_count = 0;
}

static bool items_room(struct naming *n)
{
    struct naming_list *l = &n->list;
    if (l->count < l->cap)
        return true;
    uint32_t cap = l->cap ? 2 * l->cap : 64;
    struct listed *items = naming_alloc(n, cap * sizeof *items);
    if (!items)
        return false;
    if (l->count)
        memcpy(items, l->items, l->count * sizeof *items);
    naming_give(n, l->items);
    l->items = items;
    l->cap = cap;
    return true;
}

int naming_list_add(struct naming *n, const struct content_id *id, const char *name)
{
    struct naming_list *l = &n->list;
    size_t size = strlen(name);
    if (size == 0 || size > NAMING_HIT_NAME_MAX || !utf8_valid((const uint8_t *)name, size))
        return ERR_RANGE;
    if (l->count == NAMING_LIST_MAX)
        return ERR_FULL;
    char *copy = items_room(n) ? naming_alloc(n, size + 1) : NULL;
    if (!copy)
        return ERR_NO_MEMORY;
    memcpy(copy, name, size + 1);
    l->items[l->count++] = (struct listed){.id = *id, .name = copy};
    return 0;
}

static int posting_order(const void *a, const void *b)
{
    const struct posting *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

static struct word *word_find(struct word *words, uint32_t count, uint64_t hash)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (words[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && words[low].hash == hash ? &words[low] : NULL;
}

/* The distinct words of the postings; what was published before stays so. */
static void words_make(struct naming *n, core_time now)
{
    struct naming_list *l = &n->list;
    uint32_t distinct = 0, made = 0;
    for (uint32_t i = 0; i < l->posting_count; i++)
        distinct += i == 0 || l->postings[i].hash != l->postings[i - 1].hash;
    distinct = distinct < NAMING_WORDS_MAX ? distinct : NAMING_WORDS_MAX;
    struct word *words = distinct ? naming_alloc(n, distinct * sizeof *words) : NULL;
    for (uint32_t i = 0; words && i < l->posting_count && made < distinct; made++) {
        uint32_t first = i;
        while (i < l->posting_count && l->postings[i].hash == l->postings[first].hash)
            i++;
        const struct word *old = word_find(l->words, l->word_count, l->postings[first].hash);
        words[made] = (struct word){.hash = l->postings[first].hash, .item = l->postings[first].item, .count = i - first, .due = now};
        if (old && old->stored && !old->putting) {
            words[made].stored = true;
            words[made].due = old->due;
        }
    }
    naming_give(n, l->words);
    l->words = words;
    l->word_count = made;
    l->cursor = 0;
    l->next = made ? now : CORE_NEVER;
}

void naming_list_end(struct naming *n, core_time now)
{
    struct naming_list *l = &n->list;
    char words[WORDS_IN_NAME][WORD_SIZE];
    uint32_t total = 0;
    for (uint32_t i = 0; i < l->count; i++)
        total += words_split(words, WORDS_IN_NAME, l->items[i].name);
    l->postings = total ? naming_alloc(n, total * sizeof *l->postings) : NULL;
    for (uint32_t i = 0; l->postings && i < l->count; i++) {
        uint32_t count = words_split(words, WORDS_IN_NAME, l->items[i].name);
        for (uint32_t k = 0; k < count; k++)
            l->postings[l->posting_count++] = (struct posting){word_hash(words[k]), i};
    }
    if (l->posting_count)
        qsort(l->postings, l->posting_count, sizeof *l->postings, posting_order);
    words_make(n, now);
    n->deadline = core_time_min(n->deadline, l->next);
}

/* ---- Publishing ---- */

static bool word_text(const struct naming *n, const struct word *w, char out[WORD_SIZE])
{
    char words[WORDS_IN_NAME][WORD_SIZE];
    uint32_t count = words_split(words, WORDS_IN_NAME, n->list.items[w->item].name);
    for (uint32_t i = 0; i < count; i++) {
        if (word_hash(words[i]) != w->hash)
            continue;
        memcpy(out, words[i], WORD_SIZE);
        return true;
    }
    return false;
}

static bool word_put(struct naming *n, core_time now, struct word *w, struct effects *out)
{
    char text[WORD_SIZE];
    uint8_t value[DHT_VALUE_MAX], key[DHT_KEY_SIZE], record[DHT_RECORD_WIRE_MAX];
    struct keyword k = {.count = w->count};
    uint64_t unix_ms = naming_unix_ms(n, now);
    struct op *op = unix_ms && word_text(n, w, text) ? naming_op_take(n, OP_PUT_WORD) : NULL;
    if (!op)
        return false;
    for (uint32_t i = 0; i < n->own.profile.address_count && k.address_count < KEYWORD_ADDRESSES_MAX; i++)
        k.addresses[k.address_count++] = n->own.profile.addresses[i];
    op->sequence = w->hash;
    keyword_key(key, text, n->config.network, n->config.crypto);
    size_t size = keyword_write(value, sizeof value, &k);
    size = dht_record_sign(record, sizeof record, DHT_KEYWORD, key, unix_ms, unix_ms / 1000 + 86400, bytes_of(value, size), n->config.me,
                           n->config.network, n->config.crypto);
    if (size && dht_put(n->config.dht, now, DHT_KEYWORD, key, bytes_of(record, size), naming_op_number(n, op), out) == 0) {
        w->putting = true;
        n->list.putting++;
        return true;
    }
    naming_op_give(n, op);
    return false;
}

/* One word a step, in turn; a whole round without any that is due gives the time of the next. */
void naming_list_step(struct naming *n, core_time now, struct effects *out)
{
    struct naming_list *l = &n->list;
    core_time soonest = CORE_NEVER;
    if (l->next > now || l->word_count == 0)
        return;
    if (n->op_count >= NAMING_OPS_MAX / 2 || l->putting >= WORD_PUTS_MAX || !naming_room(n, out)) {
        l->next = core_time_add(now, RETRY);
        return;
    }
    for (uint32_t i = 0; i < l->word_count; i++) {
        struct word *w = &l->words[l->cursor];
        l->cursor = (l->cursor + 1) % l->word_count;
        if (w->putting)
            continue;
        if (w->due > now) {
            soonest = core_time_min(soonest, w->due);
            continue;
        }
        w->due = core_time_add(now, word_put(n, now, w, out) ? WORD_AGAIN : CORE_SECONDS(1));
        l->next = core_time_add(now, WORD_GAP);
        return;
    }
    l->next = core_time_min(soonest, core_time_add(now, l->putting ? CORE_SECONDS(1) : WORD_AGAIN));
}

void naming_list_notice(struct naming *n, core_time now, struct op *op, const struct effect *x)
{
    if (x->u.notice.kind != DHT_NOTICE_DONE)
        return;
    struct word *w = word_find(n->list.words, n->list.word_count, op->sequence);
    naming_op_give(n, op);
    core_assert(n->list.putting > 0);
    n->list.putting--;
    if (!w)
        return;
    w->putting = false;
    w->stored = x->u.notice.a > 0;
    w->due = core_time_add(now, w->stored ? rng_jitter(&n->rng, WORD_RENEW, 10) : WORD_AGAIN);
    n->list.next = core_time_min(n->list.next, core_time_add(now, CORE_SECONDS(1)));
}

/* ---- Answering ---- */

bool naming_name_has(const char *name, char (*words)[WORD_SIZE], uint32_t word_count)
{
    char in[WORDS_IN_NAME][WORD_SIZE];
    uint32_t count = words_split(in, WORDS_IN_NAME, name);
    for (uint32_t i = 0; i < word_count; i++) {
        bool found = false;
        for (uint32_t k = 0; k < count && !found; k++)
            found = strcmp(in[k], words[i]) == 0;
        if (!found)
            return false;
    }
    return true;
}

/* Postings of a word: first and how many. */
static uint32_t postings_of(const struct naming_list *l, uint64_t hash, uint32_t *first)
{
    uint32_t low = 0, high = l->posting_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (l->postings[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    *first = low;
    while (high < l->posting_count && l->postings[high].hash == hash)
        high++;
    return high - low;
}

uint32_t naming_list_find(const struct naming *n, char (*words)[WORD_SIZE], uint32_t word_count, uint32_t from, struct ask_hit *hits,
                          uint32_t max, uint32_t *filled)
{
    const struct naming_list *l = &n->list;
    uint32_t best = UINT32_MAX, start = 0, found = 0;
    *filled = 0;
    for (uint32_t i = 0; i < word_count; i++) {
        uint32_t first, count = postings_of(l, word_hash(words[i]), &first);
        if (count < best) {
            best = count;
            start = first;
        }
    }
    if (word_count == 0 || best == UINT32_MAX)
        return 0;
    for (uint32_t i = 0; i < best && i < POSTINGS_READ; i++) {
        const struct listed *item = &l->items[l->postings[start + i].item];
        if (!naming_name_has(item->name, words, word_count))
            continue;
        if (found++ < from || *filled == max)
            continue;
        hits[(*filled)++] = (struct ask_hit){.id = item->id, .name = bytes_of(item->name, strlen(item->name))};
    }
    return found;
}
