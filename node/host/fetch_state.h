/* What the store keeps of a fetch under way (store_fetch_put): msgpack {0: version 1, 1: link text, 2: flags, 3: [selected path, ...]}.
 * Our own bytes, but read as carefully as a peer's: a database can be damaged, or come from a newer version. */
#ifndef SHOAL_HOST_FETCH_STATE_H
#define SHOAL_HOST_FETCH_STATE_H
#include "node/base/bytes.h"
#include "transfer/content.h"

struct fetch_state {
    struct link link;
    bool replace, no_share;
    char **select;         /* normalized; owned */
    size_t select_count;
};
void fetch_state_fini(struct fetch_state *s);
/* The encoded bytes, malloc'd; NULL when memory is short or the link is too long. */
uint8_t *fetch_state_encode(const struct fetch_state *s, size_t *size);
/* ERR_MALFORMED, ERR_VERSION, ERR_NO_MEMORY; then *out is empty. */
int fetch_state_decode(struct fetch_state *out, struct bytes in);
#endif
