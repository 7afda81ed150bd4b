#include "gateways/limits.h"
#include <sodium.h>
#include <string.h>
#include "node/base/assert.h"
#include "node/base/bytes.h"
#include "node/base/err.h"

#define ATTEMPTS_FREE   5u
#define ATTEMPT_WAIT    CORE_SECONDS(1)
#define ATTEMPT_WAITS   9u /* doublings: 512 s is over the maximum */
#define ATTEMPT_MAX     CORE_MINUTES(5)
#define ATTEMPTS_FORGET CORE_MINUTES(15)

struct address {
    uint8_t key[16];
    struct net_addr sample; /* an address of it, for people */
    uint32_t open, attempts;
    core_time banned_until; /* 0: not banned */
    core_time attempt_at, attempted;
    struct address *chain;       /* of its bucket */
    struct address *prev, *next; /* of a list below; both NULL while something is open */
};

struct list { /* oldest first */
    struct address *first, *last;
};

struct limits {
    struct core_alloc alloc;
    struct limits_config config;
    struct pool pool;
    struct address **buckets;
    uint32_t mask, open;
    struct list quiet, banned; /* of addresses with nothing open */
};

void limits_config_default(struct limits_config *c)
{
    *c = (struct limits_config){
        .open_max = 20000, .open_per_address_max = 256, .addresses_max = 4096, .loopback_free = true};
}

struct limits *limits_new(const struct core_alloc *alloc, const struct limits_config *c)
{
    struct limits *l = alloc->alloc(alloc->context, sizeof *l);
    uint32_t buckets = 16;
    if (!l)
        return NULL;
    while (buckets < c->addresses_max && buckets < 1u << 20)
        buckets *= 2;
    l->alloc = *alloc;
    l->config = *c;
    l->mask = buckets - 1;
    l->buckets = alloc->alloc(alloc->context, buckets * sizeof(struct address *));
    if (!l->buckets) {
        alloc->free(alloc->context, l);
        return NULL;
    }
    pool_init(&l->pool, &l->alloc, sizeof(struct address), c->addresses_max);
    return l;
}

void limits_free(struct limits *l)
{
    if (!l)
        return;
    for (uint32_t i = 0; i <= l->mask; i++)
        for (struct address *a = l->buckets[i], *next; a; a = next) {
            next = a->chain;
            pool_give(&l->pool, a);
        }
    pool_fini(&l->pool);
    struct core_alloc alloc = l->alloc;
    alloc.free(alloc.context, l->buckets);
    alloc.free(alloc.context, l);
}

void limits_change(struct limits *l, const struct limits_config *c)
{
    l->config.open_max = c->open_max;
    l->config.open_per_address_max = c->open_per_address_max;
    l->config.loopback_free = c->loopback_free;
}

void limits_config_of(const struct limits *l, struct limits_config *out)
{
    *out = l->config;
}

uint32_t limits_open(const struct limits *l)
{
    return l->open;
}

/* ---- Addresses ---- */

static void key_of(uint8_t key[16], const struct net_addr *from)
{
    memcpy(key, from->ip, 16);
    if (!net_addr_is_v4(from))
        memset(key + 8, 0, 8);
}

static struct address **bucket_of(const struct limits *l, const uint8_t key[16])
{
    uint8_t hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, key, 16, l->config.seed);
    return &l->buckets[get_be32(hash) & l->mask];
}

static struct address *find(const struct limits *l, const struct net_addr *from)
{
    uint8_t key[16];
    key_of(key, from);
    struct address *a = *bucket_of(l, key);
    while (a && memcmp(a->key, key, 16) != 0)
        a = a->chain;
    return a;
}

static bool is_free(const struct limits *l, const struct net_addr *from)
{
    struct net_addr a = *from;
    a.port = 1; /* the address alone counts */
    return l->config.loopback_free && net_addr_scope(&a) == NET_SCOPE_LOOPBACK;
}

static struct list *list_of(struct limits *l, const struct address *a)
{
    return a->banned_until ? &l->banned : &l->quiet;
}

static void list_remove(struct list *list, struct address *a)
{
    *(a->prev ? &a->prev->next : &list->first) = a->next;
    *(a->next ? &a->next->prev : &list->last) = a->prev;
    a->prev = a->next = NULL;
}

static void list_append(struct list *list, struct address *a)
{
    a->prev = list->last;
    a->next = NULL;
    *(list->last ? &list->last->next : &list->first) = a;
    list->last = a;
}

/* Out of the table: `a` with nothing open, which is in no list any more. */
static void forget(struct limits *l, struct address *a)
{
    struct address **at = bucket_of(l, a->key);
    while (*at != a)
        at = &(*at)->chain;
    *at = a->chain;
    pool_give(&l->pool, a);
}

/* Takes an address out of its list, to be changed; `settle` puts it where it belongs then. */
static void lift(struct limits *l, struct address *a)
{
    if (!a->open)
        list_remove(list_of(l, a), a);
}

static void settle(struct limits *l, struct address *a)
{
    if (a->open)
        return;
    if (a->banned_until || a->attempts)
        list_append(list_of(l, a), a);
    else
        forget(l, a);
}

/* The address, made when it is new, lifted. NULL: all places are taken by addresses with something open. */
static struct address *take(struct limits *l, const struct net_addr *from)
{
    struct address *a = find(l, from);
    if (a) {
        lift(l, a);
        return a;
    }
    a = pool_take(&l->pool);
    if (!a) {
        struct list *list = l->quiet.first ? &l->quiet : &l->banned;
        struct address *oldest = list->first;
        if (!oldest)
            return NULL;
        list_remove(list, oldest);
        forget(l, oldest);
        a = pool_take(&l->pool);
        if (!a)
            return NULL;
    }
    key_of(a->key, from);
    a->sample = *from;
    a->sample.port = 0;
    struct address **bucket = bucket_of(l, a->key);
    a->chain = *bucket;
    *bucket = a;
    return a;
}

/* ---- Connections ---- */

static bool banned(const struct address *a, core_time now, core_time *until)
{
    if (!a || a->banned_until <= now)
        return false;
    *until = a->banned_until;
    return true;
}

int limits_enter(struct limits *l, core_time now, const struct net_addr *from, core_time *until)
{
    *until = 0;
    if (is_free(l, from)) {
        if (l->open >= l->config.open_max)
            return ERR_FULL;
        l->open++;
        return 0;
    }
    struct address *a = find(l, from);
    if (banned(a, now, until))
        return ERR_PERMISSION;
    if (l->open >= l->config.open_max)
        return ERR_FULL;
    if (a && a->open >= l->config.open_per_address_max)
        return ERR_BUSY;
    a = take(l, from);
    if (!a)
        return ERR_FULL;
    a->open++;
    l->open++;
    return 0;
}

void limits_leave(struct limits *l, const struct net_addr *from)
{
    core_assert(l->open > 0);
    l->open--;
    struct address *a = find(l, from);
    if (!a || !a->open)
        return; /* loopback, which is counted in all only */
    a->open--;
    settle(l, a);
}

/* ---- Bans ---- */

bool limits_ban(struct limits *l, core_time now, const struct net_addr *from, core_time until)
{
    if (until <= now) {
        struct address *a = find(l, from);
        if (!a)
            return true;
        lift(l, a);
        a->banned_until = 0;
        settle(l, a);
        return true;
    }
    if (is_free(l, from))
        return false;
    struct address *a = take(l, from);
    if (!a)
        return false;
    a->banned_until = until;
    settle(l, a);
    return true;
}

uint32_t limits_bans(const struct limits *l, core_time now, struct net_addr *out, core_time *until,
                     uint32_t max)
{
    uint32_t n = 0;
    for (const struct address *a = l->banned.first; a && n < max; a = a->next)
        if (banned(a, now, &until[n]))
            out[n++] = a->sample;
    /* Those whose connections are still closing are in no list. */
    for (uint32_t i = 0; i <= l->mask && n < max; i++)
        for (const struct address *a = l->buckets[i]; a && n < max; a = a->chain)
            if (a->open && banned(a, now, &until[n]))
                out[n++] = a->sample;
    return n;
}

/* ---- Attempts at passwords ---- */

static core_time wait_after(uint32_t attempts)
{
    uint32_t over = attempts - ATTEMPTS_FREE;
    return over >= ATTEMPT_WAITS ? ATTEMPT_MAX : core_time_min(ATTEMPT_WAIT << over, ATTEMPT_MAX);
}

int limits_attempt(struct limits *l, core_time now, const struct net_addr *from, core_time *until)
{
    struct address *a = find(l, from);
    *until = 0;
    if (banned(a, now, until))
        return ERR_PERMISSION;
    if (a && a->attempt_at > now && now - a->attempted < ATTEMPTS_FORGET) {
        *until = a->attempt_at;
        return ERR_BUSY;
    }
    a = take(l, from);
    if (!a)
        return ERR_BUSY; /* thousands of addresses at once: nobody guesses passwords now */
    if (a->attempts && now - a->attempted >= ATTEMPTS_FORGET)
        a->attempts = 0;
    a->attempts++;
    a->attempted = now;
    a->attempt_at = a->attempts < ATTEMPTS_FREE ? now : now + wait_after(a->attempts);
    settle(l, a);
    return 0;
}

void limits_attempt_good(struct limits *l, const struct net_addr *from)
{
    struct address *a = find(l, from);
    if (!a)
        return;
    lift(l, a);
    a->attempts = 0;
    a->attempt_at = 0;
    settle(l, a);
}

core_time limits_attempt_at(const struct limits *l, core_time now, const struct net_addr *from)
{
    const struct address *a = find(l, from);
    core_time until;
    if (banned(a, now, &until))
        return until;
    return a && a->attempt_at > now && now - a->attempted < ATTEMPTS_FORGET ? a->attempt_at : now;
}

void limits_check(const struct limits *l)
{
    uint32_t known = 0, listed = 0, open = 0;
    for (uint32_t i = 0; i <= l->mask; i++)
        for (const struct address *a = l->buckets[i]; a; a = a->chain) {
            known++;
            open += a->open;
            core_assert(a->open || a->attempts || a->banned_until);
            core_assert(!a->open || (!a->prev && !a->next));
            listed += !a->open;
        }
    for (const struct address *a = l->quiet.first; a; a = a->next, listed--)
        core_assert(!a->banned_until && !a->open);
    for (const struct address *a = l->banned.first; a; a = a->next, listed--)
        core_assert(a->banned_until && !a->open);
    core_assert(listed == 0 && known == l->pool.used && open <= l->open);
}
