/* Who is shut out, by key and, when globally routable, by address. Bounded; the ban that ends first goes
 * first. */
#ifndef SHOAL_TRANSFER_BANS_H
#define SHOAL_TRANSFER_BANS_H
#include "node/base/addr.h"
#include "node/base/crypto.h"
#include "node/base/pool.h"
#include "node/base/time.h"

#define BANS_MAX 256

struct ban {
    uint8_t key[NODE_KEY_SIZE];
    struct net_addr addr; /* port 0: by key only */
    core_time until;
};

struct bans {
    struct ban *items; /* made with the first ban */
    uint32_t count;
};

void bans_fini(struct bans *b, const struct core_alloc *alloc);
/* addr NULL: by key only. False: no memory, nobody is banned. */
bool bans_add(struct bans *b, const struct core_alloc *alloc, core_time now, const uint8_t key[NODE_KEY_SIZE],
              const struct net_addr *addr, core_time until);
bool bans_match(const struct bans *b, core_time now, const uint8_t key[NODE_KEY_SIZE],
                const struct net_addr *addr);
uint32_t bans_count(const struct bans *b, core_time now);
#endif
