#include "dht/lookup.h"
#include "dht/diversity.h"
#include "node/base/assert.h"
#include <string.h>

uint16_t dht_lookup_cap(const struct dht_config *config)
{
    uint32_t families = config->ipv4 && config->ipv6 ? 2 : 1;
    return (uint16_t)((4u * config->k + 16u) * families);
}

size_t dht_lookup_size(const struct dht_config *config)
{
    return sizeof(struct dht_lookup) + dht_lookup_cap(config) * sizeof(struct dht_candidate);
}

void dht_lookup_init(struct dht_lookup *l, const struct dht_config *config, enum dht_mode mode, const uint8_t key[DHT_KEY_SIZE],
                     uint8_t families, uint8_t paths, uint16_t width, core_time now)
{
    core_assert(paths >= 1 && paths <= DHT_LOOKUP_PATHS);
    l->mode = (uint8_t)mode;
    memcpy(l->key, key, DHT_KEY_SIZE);
    l->target = get_be64(key);
    l->families = families;
    l->paths = paths;
    l->width = width;
    l->cap = dht_lookup_cap(config);
    l->started = now;
    l->next_id = 1;
}

static bool usable(const struct dht_candidate *c)
{
    return c->state == DHT_NEW || c->state == DHT_ASKED || c->state == DHT_ANSWERED;
}

static void candidate_remove(struct dht_lookup *l, uint32_t i)
{
    l->count--;
    memmove(&l->candidates[i], &l->candidates[i + 1], (l->count - i) * sizeof l->candidates[0]);
    memset(&l->candidates[l->count], 0, sizeof l->candidates[0]);
}

static struct dht_candidate *by_id(struct dht_lookup *l, uint16_t id)
{
    for (uint32_t i = 0; id && i < l->count; i++)
        if (l->candidates[i].id == id)
            return &l->candidates[i];
    return NULL;
}

/* One candidate per /24 or /64, where prefixes cost something: the nearest that was not asked yet wins. */
static bool address_room(struct dht_lookup *l, const struct dht_config *config, const struct net_addr *addr, uint64_t distance)
{
    if (!dht_prefix_limited(addr, config->private_limits))
        return true;
    for (uint32_t i = 0; i < l->count; i++) {
        struct dht_candidate *c = &l->candidates[i];
        if (c->state == DHT_FAILED || !dht_same_site(&c->addr, addr))
            continue;
        if (c->state != DHT_NEW || c->distance <= distance)
            return false;
        candidate_remove(l, i);
        return true;
    }
    return true;
}

/* Full: the farthest that nobody waits for goes, provided the newcomer is nearer. */
static bool space_room(struct dht_lookup *l, uint64_t distance)
{
    if (l->count < l->cap)
        return true;
    for (uint32_t i = l->count; i-- > 0;) {
        const struct dht_candidate *c = &l->candidates[i];
        if (c->distance <= distance)
            return false;
        if (c->state == DHT_NEW || c->state == DHT_FAILED || (c->state == DHT_ANSWERED && i >= l->width * 2u && !l->storing)) {
            candidate_remove(l, i);
            return true;
        }
    }
    return false;
}

struct dht_candidate *dht_lookup_add(struct dht_lookup *l, const struct dht_config *config, const uint8_t key[NODE_KEY_SIZE],
                                     uint64_t position, const struct net_addr *addr, uint16_t teller, uint8_t path)
{
    uint64_t distance = position ^ l->target;
    enum dht_family family = dht_family_of(addr);
    struct dht_candidate *told_by = by_id(l, teller);
    uint8_t depth = told_by ? (uint8_t)(told_by->depth + (told_by->depth < UINT8_MAX)) : 1;
    if (!(l->families & DHT_WANT(family)) || l->storing || (told_by && told_by->told >= config->k))
        return NULL;
    for (uint32_t i = 0; i < l->count; i++)
        if (l->candidates[i].family == family && memcmp(l->candidates[i].key, key, NODE_KEY_SIZE) == 0)
            return NULL;
    if (!address_room(l, config, addr, distance) || !space_room(l, distance))
        return NULL;
    uint32_t at = l->count;
    while (at > 0 && l->candidates[at - 1].distance > distance)
        at--;
    memmove(&l->candidates[at + 1], &l->candidates[at], (l->count - at) * sizeof l->candidates[0]);
    l->count++;
    struct dht_candidate *c = &l->candidates[at];
    memset(c, 0, sizeof *c);
    c->position = position;
    c->distance = distance;
    memcpy(c->key, key, NODE_KEY_SIZE);
    c->addr = *addr;
    c->family = (uint8_t)family;
    c->path = path;
    c->depth = depth;
    c->id = l->next_id++;
    if (l->next_id == 0)
        l->next_id = 1;
    c->teller = teller;
    told_by = by_id(l, teller); /* it may have moved */
    if (told_by)
        told_by->told++;
    return c;
}

struct dht_candidate *dht_lookup_find(struct dht_lookup *l, const uint8_t key[NODE_KEY_SIZE], const struct net_addr *addr)
{
    for (uint32_t i = 0; i < l->count; i++)
        if (memcmp(l->candidates[i].key, key, NODE_KEY_SIZE) == 0 && net_addr_equal(&l->candidates[i].addr, addr))
            return &l->candidates[i];
    return NULL;
}

static uint32_t path_width(const struct dht_lookup *l, const struct dht_config *config)
{
    uint32_t width = (l->width + l->paths - 1u) / l->paths;
    return width < config->alpha ? config->alpha : width;
}

/* Hearsay of a teller none of whose entries has answered yet: only so many are tried at once, so that a liar cannot make us send
 * a whole list of victims a datagram in one burst. */
static bool unproven(const struct dht_lookup *l, const struct dht_candidate *c)
{
    uint32_t tried = 0;
    for (uint32_t i = 0; c->teller && i < l->count; i++) {
        const struct dht_candidate *other = &l->candidates[i];
        if (other->id == c->teller) {
            if (other->told_good)
                return false;
            tried += other->told_dead;
        }
        tried += other->teller == c->teller && other->state == DHT_ASKED;
    }
    return tried >= DHT_TELLER_DEAD_MAX;
}

/* The first candidate of this family (and path, unless -1) that still must be asked; *open: requests under way among those
 * that must answer. now: leave out those that must wait. */
static uint32_t first_wanted(const struct dht_lookup *l, int family, int path, uint32_t width, bool now, uint32_t *open)
{
    uint32_t counted = 0, first = l->count;
    for (uint32_t i = 0; i < l->count; i++) {
        const struct dht_candidate *c = &l->candidates[i];
        if (c->family != family || (path >= 0 && c->path != path) || !usable(c))
            continue;
        if (counted >= width && !(l->radius && path < 0 && c->distance <= l->radius))
            break;
        counted++;
        if (c->state == DHT_NEW && first == l->count && !(now && unproven(l, c)))
            first = i;
        *open += c->state == DHT_ASKED;
    }
    return first;
}

static uint32_t in_flight(const struct dht_lookup *l, int family, int path)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->count; i++)
        n += l->candidates[i].state == DHT_ASKED && l->candidates[i].family == family &&
             (path < 0 || l->candidates[i].path == path);
    return n;
}

/* The nearest alpha have answered and named nobody nearer: the rest of the k are asked at once (Maymounkov and Mazieres 2002, 2.3), which
 * costs no request more and spares a third of the time. */
static bool converged(const struct dht_lookup *l, int family, uint32_t alpha)
{
    uint32_t answered = 0;
    for (uint32_t i = 0; i < l->count && answered < alpha; i++) {
        if (l->candidates[i].family != family || !usable(&l->candidates[i]))
            continue;
        if (l->candidates[i].state != DHT_ANSWERED)
            return false;
        answered++;
    }
    return answered == alpha;
}

/* A find whose target is a node's own position: nobody can be nearer. */
static struct dht_candidate *exact(struct dht_lookup *l)
{
    return l->mode == DHT_MODE_FIND && l->count && l->candidates[0].distance == 0 ? &l->candidates[0] : NULL;
}

struct dht_candidate *dht_lookup_next(struct dht_lookup *l, const struct dht_config *config)
{
    struct dht_candidate *it = exact(l);
    if (l->asked >= 8u * config->k || (it && (it->state == DHT_ANSWERED || it->state == DHT_ASKED)))
        return NULL; /* while it is not late, nobody else need be asked */
    if (it && it->state == DHT_NEW)
        return it; /* beyond alpha: it is what all the others are asked for */
    for (int family = 0; family < DHT_FAMILIES; family++) {
        if (!(l->families & DHT_WANT(family)))
            continue;
        /* For a word a person waits: all of the few that are wanted are asked at once. */
        bool hurry = l->mode == DHT_MODE_GET && l->kind == DHT_KEYWORD;
        uint32_t alpha = converged(l, family, config->alpha) ? config->k : hurry ? l->width : config->alpha, open = 0;
        uint32_t limit = alpha > l->paths ? alpha : l->paths, per_path = (alpha + l->paths - 1u) / l->paths;
        if (in_flight(l, family, -1) >= limit)
            continue;
        for (int path = 0; path < l->paths; path++) {
            if (in_flight(l, family, path) >= per_path)
                continue;
            uint32_t i = first_wanted(l, family, path, path_width(l, config), true, &open);
            if (i < l->count)
                return &l->candidates[i];
        }
        uint32_t i = first_wanted(l, family, -1, l->width, true, &open);
        if (i < l->count)
            return &l->candidates[i];
    }
    return NULL;
}

bool dht_lookup_finished(struct dht_lookup *l, const struct dht_config *config)
{
    const struct dht_candidate *it = exact(l);
    if (it && it->state == DHT_ANSWERED)
        return true;
    bool spent = l->asked >= 8u * config->k;
    for (int family = 0; family < DHT_FAMILIES; family++) {
        if (!(l->families & DHT_WANT(family)))
            continue;
        uint32_t open = 0, slow = 0, answered = 0;
        for (int path = -1; path < l->paths; path++) {
            uint32_t width = path < 0 ? l->width : path_width(l, config);
            if (first_wanted(l, family, path, width, false, &open) < l->count && !spent)
                return false;
        }
        for (uint32_t i = 0; i < l->count; i++) {
            slow += l->candidates[i].family == family && l->candidates[i].state == DHT_SLOW;
            answered += l->candidates[i].family == family && l->candidates[i].state == DHT_ANSWERED;
        }
        /* Slow ones are waited for only while too few others have answered. */
        if (open > 0 || (slow > 0 && answered < l->width))
            return false;
    }
    return true;
}

void dht_lookup_mark_answered(struct dht_lookup *l, struct dht_candidate *c)
{
    core_assert(c->state == DHT_ASKED || c->state == DHT_SLOW);
    c->state = DHT_ANSWERED;
    l->answered++;
    struct dht_candidate *teller = by_id(l, c->teller);
    if (teller && teller->told_good < UINT8_MAX)
        teller->told_good++;
}

/* An entry that does not answer speaks against its teller, already at the soft time-out: waiting longer would let a liar point us at
 * a dozen victims meanwhile. */
static void blame(struct dht_lookup *l, uint16_t teller_id)
{
    struct dht_candidate *teller = by_id(l, teller_id);
    if (!teller || teller->told_good)
        return;
    if (teller->told_dead < UINT8_MAX)
        teller->told_dead++;
    if (teller->told_dead < DHT_TELLER_DEAD_MAX)
        return;
    uint16_t liar = teller->id;
    for (uint32_t i = l->count; i-- > 0;)
        if (l->candidates[i].teller == liar && l->candidates[i].state == DHT_NEW)
            candidate_remove(l, i);
}

void dht_lookup_mark_slow(struct dht_lookup *l, struct dht_candidate *c)
{
    if (c->state != DHT_ASKED)
        return;
    c->state = DHT_SLOW;
    blame(l, c->teller);
}

void dht_lookup_mark_failed(struct dht_lookup *l, struct dht_candidate *c)
{
    bool blamed = c->state == DHT_SLOW;
    c->state = DHT_FAILED;
    if (!blamed)
        blame(l, c->teller);
}

struct dht_candidate *dht_lookup_holder(struct dht_lookup *l, uint32_t i)
{
    for (uint32_t j = 0; j < l->count; j++) {
        struct dht_candidate *c = &l->candidates[j];
        if (c->state != DHT_ANSWERED)
            continue;
        bool twin = false; /* the same node on the other family, just as near, so right before */
        for (uint32_t e = j; e-- > 0 && l->candidates[e].distance == c->distance;)
            twin = twin || (l->candidates[e].state == DHT_ANSWERED && memcmp(l->candidates[e].key, c->key, NODE_KEY_SIZE) == 0);
        if (!twin && i-- == 0)
            return c;
    }
    return NULL;
}

bool dht_lookup_seen(struct dht_lookup *l, uint64_t id, uint64_t sequence)
{
    for (uint32_t i = 0; i < l->seen_count; i++) {
        if (l->seen[i].id != id)
            continue;
        if (l->seen[i].sequence >= sequence)
            return false;
        l->seen[i].sequence = sequence;
        return true;
    }
    if (l->seen_count == DHT_SEEN_MAX)
        return false;
    l->seen[l->seen_count++] = (struct dht_seen){.id = id, .sequence = sequence};
    return true;
}

uint32_t dht_lookup_estimate(struct dht_lookup *l, uint32_t k)
{
    uint32_t i = 0;
    struct dht_candidate *last = NULL;
    for (struct dht_candidate *c; i < k && (c = dht_lookup_holder(l, i)); i++)
        last = c;
    if (i < k || !last)
        return l->answered ? i + 1 : 0; /* all there is, and ourselves */
    uint64_t step = last->distance / (i - 1 ? i - 1 : 1);
    uint64_t size = step ? UINT64_MAX / step : UINT32_MAX;
    return size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
}

/* Honest positions are uniform: k of n lie within k / n of the space. Eight times too dense happens to nobody by chance. */
bool dht_lookup_widen(struct dht_lookup *l, const struct dht_config *config, uint32_t network_size)
{
    uint32_t here = dht_lookup_estimate(l, config->k);
    if (l->radius || network_size < 4u * config->k || here / 8 < network_size)
        return false;
    l->radius = UINT64_MAX / network_size * config->k;
    return true;
}

void dht_lookup_check(const struct dht_lookup *l)
{
    core_assert(l->count <= l->cap);
    for (uint32_t i = 0; i < l->count; i++) {
        const struct dht_candidate *c = &l->candidates[i];
        core_assert(c->distance == (c->position ^ l->target));
        core_assert(i == 0 || l->candidates[i - 1].distance <= c->distance);
        core_assert(l->families & DHT_WANT(c->family));
        core_assert(c->path < l->paths);
        core_assert(c->id != 0);
    }
}
