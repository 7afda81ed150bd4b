/* What nodes ask each other about names and words, as bodies of DHT calls of service NAMING_SERVICE (docs/protocol.md, "Names"). One msgpack map each
 * way; unknown keys are ignored. */
#ifndef SHOAL_NAMES_ASK_MESSAGE_H
#define SHOAL_NAMES_ASK_MESSAGE_H
#include "node/names/naming.h"

enum ask_what {
    ASK_PROFILE = 1, /* your newest profile, unless it is this sequence; watch: tell me of newer ones that long */
    ASK_NEWS = 2,    /* my newest profile, as you asked */
    ASK_SEARCH = 3   /* what you list that has all these words, from that hit on */
};

#define ASK_HITS_MAX 24 /* in one answer */

struct ask_request {
    uint32_t what;
    uint64_t sequence;   /* profile: known; 0 = none */
    uint32_t watch_s;    /* profile */
    struct bytes record; /* news */
    uint32_t word_count; /* search; borrowed from the body, not NUL-terminated */
    struct bytes words[NAMING_QUERY_WORDS];
    uint32_t from;
};

struct ask_hit {
    struct content_id id;
    struct bytes name;
};

struct ask_answer {
    bool has_sequence;
    uint64_t sequence;   /* profile: the newest; news: what is known now */
    struct bytes record; /* profile: when newer than what the asker knows */
    bool stop;           /* news: not wanted (any more) */
    uint32_t found;      /* search: hits in all */
    uint32_t hit_count;
    struct ask_hit hits[ASK_HITS_MAX];
};

size_t ask_request_write(uint8_t *out, size_t cap, const struct ask_request *q); /* 0: does not fit */
int ask_request_read(struct ask_request *out, struct bytes body);                /* ERR_MALFORMED; spans borrowed */
/* As many hits as fit `cap`; *written says how many (may be NULL when there are none). */
size_t ask_answer_write(uint8_t *out, size_t cap, const struct ask_answer *a, uint32_t *written);
int ask_answer_read(struct ask_answer *out, struct bytes body);
#endif
