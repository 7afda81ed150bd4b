#include "transfer/bans.h"
#include <string.h>

void bans_fini(struct bans *b, const struct core_alloc *alloc)
{
    alloc->free(alloc->context, b->items);
    memset(b, 0, sizeof *b);
}

static struct ban *place_for(struct bans *b, core_time now, const uint8_t key[NODE_KEY_SIZE])
{
    struct ban *first = NULL; /* to end; one that has ended before now is it */
    for (uint32_t i = 0; i < b->count; i++) {
        struct ban *ban = &b->items[i];
        if (memcmp(ban->key, key, NODE_KEY_SIZE) == 0)
            return ban;
        if (!first || ban->until < first->until)
            first = ban;
    }
    if (first && first->until <= now)
        return first;
    return b->count < BANS_MAX ? &b->items[b->count++] : first;
}

bool bans_add(struct bans *b, const struct core_alloc *alloc, core_time now, const uint8_t key[NODE_KEY_SIZE],
              const struct net_addr *addr, core_time until)
{
    if (!b->items)
        b->items = alloc->alloc(alloc->context, BANS_MAX * sizeof *b->items);
    if (!b->items)
        return false;
    struct ban *ban = place_for(b, now, key);
    memset(ban, 0, sizeof *ban);
    memcpy(ban->key, key, NODE_KEY_SIZE);
    if (addr && net_addr_scope(addr) == NET_SCOPE_GLOBAL)
        ban->addr = *addr;
    ban->until = until;
    return true;
}

bool bans_match(const struct bans *b, core_time now, const uint8_t key[NODE_KEY_SIZE],
                const struct net_addr *addr)
{
    for (uint32_t i = 0; i < b->count; i++) {
        const struct ban *ban = &b->items[i];
        if (ban->until <= now)
            continue;
        if (memcmp(ban->key, key, NODE_KEY_SIZE) == 0)
            return true;
        if (ban->addr.port != 0 && addr && net_addr_same_ip(&ban->addr, addr))
            return true;
    }
    return false;
}

uint32_t bans_count(const struct bans *b, core_time now)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->count; i++)
        n += b->items[i].until > now;
    return n;
}
