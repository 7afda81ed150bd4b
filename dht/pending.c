#include "dht/pending.h"
#include "node/base/assert.h"
#include <string.h>

#define FIRST 4 /* slots */

void dht_pendings_init(struct dht_pendings *p, const struct dht_config *config, const struct core_alloc *alloc)
{
    core_assert(config->pending_max > 0 && config->pending_max <= DHT_PENDING_MAX);
    memset(p, 0, sizeof *p);
    p->alloc = alloc;
    p->count = config->pending_max;
    p->next = CORE_NEVER;
}

void dht_pendings_fini(struct dht_pendings *p)
{
    p->alloc->free(p->alloc->context, p->slots);
    p->slots = NULL;
    p->size = p->used = 0;
}

static bool room(struct dht_pendings *p)
{
    if (p->used < p->size)
        return true;
    uint32_t size = p->size ? 2u * p->size : FIRST;
    size = size < p->count ? size : p->count;
    struct dht_pending *slots = size > p->size ? p->alloc->alloc(p->alloc->context, size * sizeof *slots) : NULL;
    if (!slots)
        return false;
    if (p->size)
        memcpy(slots, p->slots, p->size * sizeof *slots);
    p->alloc->free(p->alloc->context, p->slots);
    p->slots = slots;
    p->size = (uint16_t)size;
    return true;
}

static void next_update(struct dht_pendings *p)
{
    p->next = CORE_NEVER;
    for (uint16_t i = 0; i < p->size && p->used; i++)
        if (p->slots[i].purpose)
            p->next = core_time_min(p->next, p->slots[i].slow ? p->slots[i].hard : p->slots[i].soft);
}

static core_time clamp(core_time t, const struct dht_config *config)
{
    return t < config->timeout_min ? config->timeout_min : t > config->timeout_max ? config->timeout_max : t;
}

/* Twice what this peer took, or four deviations above the mean of all (RFC 6298's form) for a peer that was never measured. */
static core_time soft_timeout(const struct dht_pendings *p, const struct dht_config *config, uint64_t rtt_us)
{
    if (rtt_us)
        return clamp(2 * rtt_us + p->var_us, config);
    if (p->srtt_us)
        return clamp((core_time)p->srtt_us + 4 * (core_time)p->var_us, config);
    return clamp(CORE_MS(1000), config);
}

struct dht_pending *dht_pending_add(struct dht_pendings *p, const struct dht_config *config, const struct core_crypto *crypto,
                                    const uint8_t secret[32], core_time now, enum dht_purpose purpose,
                                    const uint8_t key[NODE_KEY_SIZE], uint64_t position, const struct net_addr *addr, uint64_t rtt_us)
{
    if (!room(p))
        return NULL;
    uint16_t i = 0;
    while (p->slots[i].purpose)
        i++;
    struct dht_pending *s = &p->slots[i];
    memset(s, 0, sizeof *s);
    uint8_t counter[8];
    put_be64(counter, p->counter++);
    struct bytes part = bytes_of(counter, sizeof counter);
    crypto->hash(s->id, sizeof s->id, secret, 32, &part, 1);
    s->id[0] = (uint8_t)i;
    memcpy(s->key, key, NODE_KEY_SIZE);
    s->position = position;
    s->addr = *addr;
    s->purpose = (uint8_t)purpose;
    s->sent = now;
    core_time soft = soft_timeout(p, config, rtt_us);
    s->soft = core_time_add(now, soft);
    s->hard = core_time_add(now, core_time_min(3 * soft, config->timeout_max));
    p->used++;
    p->next = core_time_min(p->next, s->soft);
    return s;
}

struct dht_pending *dht_pending_match(struct dht_pendings *p, const uint8_t id[DHT_ID_SIZE], const uint8_t key[NODE_KEY_SIZE],
                                      const struct net_addr *addr)
{
    if (id[0] >= p->size)
        return NULL;
    struct dht_pending *s = &p->slots[id[0]];
    if (!s->purpose || !crypto_equal(s->id, id, DHT_ID_SIZE) || memcmp(s->key, key, NODE_KEY_SIZE) != 0 ||
        !net_addr_equal(&s->addr, addr))
        return NULL;
    return s;
}

uint64_t dht_pending_answered(struct dht_pendings *p, struct dht_pending *slot, core_time now)
{
    uint64_t rtt = now - slot->sent;
    uint32_t sample = rtt > UINT32_MAX / 8 ? UINT32_MAX / 8 : (uint32_t)rtt;
    if (p->srtt_us == 0) {
        p->srtt_us = sample ? sample : 1;
        p->var_us = sample / 2;
    } else {
        uint32_t error = sample > p->srtt_us ? sample - p->srtt_us : p->srtt_us - sample;
        p->var_us = p->var_us - p->var_us / 8 + error / 8;
        p->srtt_us = p->srtt_us - p->srtt_us / 8 + sample / 8;
        p->srtt_us = p->srtt_us ? p->srtt_us : 1;
    }
    dht_pending_free(p, slot);
    return rtt;
}

struct dht_pending *dht_pending_due(struct dht_pendings *p, core_time now)
{
    if (now < p->next)
        return NULL;
    for (uint16_t i = 0; i < p->size; i++) {
        struct dht_pending *s = &p->slots[i];
        if (!s->purpose || now < s->soft)
            continue;
        if (now >= s->hard)
            return s;
        if (!s->slow) {
            s->slow = true;
            next_update(p);
            return s;
        }
    }
    next_update(p);
    return NULL;
}

void dht_pending_free(struct dht_pendings *p, struct dht_pending *slot)
{
    core_assert(slot->purpose && p->used);
    memset(slot, 0, sizeof *slot);
    p->used--;
    next_update(p);
    if (p->used == 0)
        dht_pendings_fini(p); /* an idle node holds none */
}

void dht_pending_forget(struct dht_pendings *p, const struct dht_lookup *lookup)
{
    for (uint16_t i = 0; i < p->size; i++)
        if (p->slots[i].lookup == lookup)
            p->slots[i].lookup = NULL;
}

bool dht_pending_has(const struct dht_pendings *p, const uint8_t key[NODE_KEY_SIZE])
{
    for (uint16_t i = 0; i < p->size && p->used; i++)
        if (p->slots[i].purpose && memcmp(p->slots[i].key, key, NODE_KEY_SIZE) == 0)
            return true;
    return false;
}

void dht_pendings_check(const struct dht_pendings *p)
{
    uint32_t used = 0;
    for (uint16_t i = 0; i < p->size; i++) {
        const struct dht_pending *s = &p->slots[i];
        if (!s->purpose) {
            core_assert(!s->lookup);
            continue;
        }
        used++;
        core_assert(s->id[0] == i);
        core_assert(s->sent <= s->soft && s->soft <= s->hard);
        core_assert(p->next <= (s->slow ? s->hard : s->soft));
    }
    core_assert(used == p->used);
}
