/* Contacts and what is listed for search, in the store. */
#ifndef SHOAL_HOST_STORE_NAME_H
#define SHOAL_HOST_STORE_NAME_H
#include "node/host/store/store.h"

struct store_contact { /* strings and bytes are borrowed until the next call on this handle */
    uint8_t key[NODE_KEY_SIZE];
    const char *petname;  /* "" = none */
    bool pinned, site;    /* site: its site is kept here too */
    struct bytes record;  /* the last profile in its wire form; size 0 = none */
};

/* Keeps petname, pinned and site; the record stays. */
int store_contact_put(struct store *s, const struct store_contact *c);
/* Keeps the record of a node, pinned or not; of those that are not at most `max` stay, the latest. */
int store_contact_record(struct store *s, const uint8_t key[NODE_KEY_SIZE], struct bytes record, int64_t now_s, uint32_t max);
int store_contacts(struct store *s, bool (*each)(void *context, const struct store_contact *c), void *context);

/* Is the share at this path listed for search? 1, 0, or `otherwise` when nothing was said about it. */
int store_listing_put(struct store *s, const char *path, bool listed);
bool store_listing_get(struct store *s, const char *path, bool otherwise);
#endif
