#include "simnet/scenario/keys.h"

#include "node/base/err.h"

#include <stdio.h>
#include <string.h>

#define MONTH CORE_HOURS(24 * 30)
#define AT(f) offsetof(struct sim_config, f), sizeof(((struct sim_config *)0)->f)
#define COUNT(n, f, a, b, t)                                                                                 \
    {                                                                                                        \
        n, SIM_KEY_COUNT, AT(f), a, b, NULL, t                                                               \
    }
#define TIME(n, f, a, b, t)                                                                                  \
    {                                                                                                        \
        n, SIM_KEY_TIME, AT(f), a, b, NULL, t                                                                \
    }
#define SIZE(n, f, a, b, t)                                                                                  \
    {                                                                                                        \
        n, SIM_KEY_SIZE, AT(f), a, b, NULL, t                                                                \
    }
#define RATE(n, f, t)                                                                                        \
    {                                                                                                        \
        n, SIM_KEY_RATE, AT(f), 0, 1000000000000u, NULL, t                                                   \
    }
#define SHARE(n, f, t)                                                                                       \
    {                                                                                                        \
        n, SIM_KEY_SHARE, AT(f), 0, SIM_PPM, NULL, t                                                         \
    }
#define YES(n, f, t)                                                                                         \
    {                                                                                                        \
        n, SIM_KEY_YES, AT(f), 0, 1, NULL, t                                                                 \
    }
#define WORD(n, f, w, t)                                                                                     \
    {                                                                                                        \
        n, SIM_KEY_WORD, AT(f), 0, 0, w, t                                                                   \
    }
#define SPAN(n, f, t)                                                                                        \
    {                                                                                                        \
        n, SIM_KEY_SPAN, AT(f), 0, 12 * MONTH, NULL, t                                                       \
    }
#define TEXT(n, f, t)                                                                                        \
    {                                                                                                        \
        n, SIM_KEY_TEXT, AT(f), 0, 0, NULL, t                                                                \
    }

static const struct sim_key keys[] = {
    TEXT("scenario.about", scenario.about, "what it shows, one line"),
    TEXT("scenario.note", scenario.note, "what of a published setting could not be rebuilt"),
    COUNT("scenario.seed", scenario.seed, 0, UINT64_MAX, "the run's seed"),
    COUNT("scenario.nodes", scenario.nodes, 2, 4000000, "how many nodes"),
    TIME("scenario.warm", scenario.warm, 0, MONTH, "time before metrics are taken"),
    TIME("scenario.measure", scenario.measure, CORE_MS(1), MONTH, "time in which they are taken"),
    WORD("scenario.join", scenario.join, "honest|oracle", "nodes join by the protocol, or tables are filled"),
    TIME("scenario.join_spread", scenario.join_spread, 0, MONTH, "nodes start evenly within this time"),
    WORD("scenario.crypto", scenario.crypto, "cheap|real", "stand-in or real cryptography"),
    YES("scenario.streams", scenario.streams, "whole nodes with transfers, not the DHT alone"),
    COUNT("scenario.check_every", scenario.check_every, 0, UINT32_MAX,
          "invariants every so many events; 0 never"),
    WORD("net.latency", net.latency, "constant|uniform|coordinates", "where one-way delays come from"),
    TIME("net.latency_min", net.latency_min, 0, CORE_MINUTES(1), "constant: the delay; uniform: the least"),
    TIME("net.latency_max", net.latency_max, 0, CORE_MINUTES(1), "uniform: the most"),
    SHARE("net.jitter", net.jitter, "of the delay, uniform"),
    TIME("net.floor", net.floor, 0, CORE_MINUTES(1), "least one-way delay"),
    SHARE("net.loss", net.loss, "of datagrams, all paths alike"),
    YES("net.loss_measured", net.loss_measured, "paths lose 0.1 %, 0.7 % or 3 % as measured"),
    SHARE("net.deaf_pairs", net.deaf_pairs, "of pairs that cannot talk at all"),
    SHARE("net.nat", net.nat, "of nodes behind a NAT (port restricted); nobody opens a stream to them"),
    SHARE("net.nat_full", net.nat_full, "of those, full cone: anybody gets in once something went out"),
    SHARE("net.nat_address", net.nat_address, "of those, address restricted: any port of who was sent to"),
    SHARE("net.nat_symmetric", net.nat_symmetric, "of those, symmetric: another port to each peer"),
    RATE("net.up", net.up, "access link up; 0B/s = endless"),
    RATE("net.down", net.down, "access link down; 0B/s = endless"),
    WORD("net.bandwidth", net.bandwidth, "flow|packet", "how streams share links"),
    SHARE("net.mixed", net.mixed, "of nodes with a quarter of net.up"),
    SIZE("net.window", net.window, 1024, 1u << 30, "stream window"),
    TIME("net.queue", net.queue, 0, CORE_SECONDS(10), "packet mode: what a link's queue holds, in time at its rate"),
    YES("net.paper_bytes", net.paper_bytes, "counts besides as Li 2005: 20 B a message, 4 B a node named in it"),
    SPAN("churn.session", churn.session, "how long a node stays; never = for good"),
    SPAN("churn.offline", churn.offline, "how long it is away"),
    SHARE("churn.abrupt", churn.abrupt, "of leaves without a word"),
    YES("churn.keep_contacts", churn.keep_contacts, "what was persisted is given back at the next start"),
    COUNT("churn.stay", churn.stay, 0, UINT32_MAX, "the first so many nodes never leave"),
    COUNT("node.dht.k", node.dht.k, 1, 32, "contacts a bucket and holders a record"),
    COUNT("node.dht.alpha", node.dht.alpha, 1, 16, "requests outstanding by a lookup"),
    COUNT("node.dht.paths", node.dht.paths, 1, 16, "disjoint paths of a lookup"),
    YES("node.dht.first_buckets_large", node.dht.first_buckets_large, "first buckets hold 128, 64, 32, 16"),
    COUNT("node.dht.pending_max", node.dht.pending_max, 8, 4096, "outstanding requests of a node"),
    COUNT("node.dht.records_max", node.dht.records_max, 1, 1u << 24, "records a node stores"),
    TIME("node.dht.refresh", node.dht.refresh, CORE_SECONDS(10), MONTH, "bucket refresh"),
    TIME("node.dht.check", node.dht.check, CORE_SECONDS(10), MONTH,
         "silence after which a contact is asked when another waits for its place"),
    TIME("node.dht.timeout_min", node.dht.timeout_min, CORE_MS(1), CORE_MINUTES(1), "least request time-out"),
    TIME("node.dht.timeout_max", node.dht.timeout_max, CORE_MS(1), CORE_MINUTES(1),
         "greatest request time-out"),
    TIME("node.dht.profile_republish", node.dht.profile_republish, CORE_SECONDS(10), MONTH,
         "profiles are put again"),
    TIME("node.dht.provider_life", node.dht.provider_life, CORE_SECONDS(10), MONTH, "an announcement lasts"),
    TIME("node.dht.provider_renew", node.dht.provider_renew, CORE_SECONDS(10), MONTH,
         "announcements are renewed"),
    YES("node.dht.private_limits", node.dht.private_limits, "diversity per key instead of per prefix"),
    COUNT("node.xfer.sessions_max", node.xfer.sessions_max, 1, 60000, "streams of a node"),
    COUNT("node.xfer.peers_per_swarm_max", node.xfer.peers_per_swarm_max, 1, 60000,
          "sessions one swarm dials for"),
    COUNT("node.xfer.unchoked_max", node.xfer.unchoked_max, 1, 1024, "peers served at once"),
    COUNT("node.xfer.optimistic_max", node.xfer.optimistic_max, 0, 1024, "of these, by luck"),
    TIME("node.xfer.choke_period", node.xfer.choke_period, CORE_MS(100), CORE_HOURS(1), "choker's round"),
    COUNT("node.key_pool", node.key_pool, 1, 1u << 24, "derived keys kept by all nodes together"),
    SPAN("load.lookup.every", load.lookup, "find of a random key, per node"),
    SPAN("load.get.every", load.get, "get of a random published profile, per node"),
    SPAN("load.announce.every", load.announce, "announce of a fresh key, per node"),
    SPAN("load.withdraw.every", load.withdraw, "takes back one of its own announced keys, per node"),
    SPAN("load.fetch.every", load.fetch, "get of a random announced key, per node"),
    SPAN("load.miss.every", load.miss, "get of a random key that nobody announced, per node"),
    SHARE("load.profiles", load.profiles, "of nodes that put a profile after joining"),
    SIZE("load.profile_bytes", load.profile_bytes, 1, 900, "size of a profile's text"),
    YES("load.names", load.names, "nodes publish profiles and sites and list files (streams = yes)"),
    COUNT("load.files", load.files, 0, 10000, "files that each node lists"),
    SPAN("load.name.every", load.name, "looks for a node never seen, per node"),
    SPAN("load.site.every", load.site, "publishes its site anew, per node"),
    SPAN("load.search.every", load.search, "searches for words, per node"),
    SPAN("load.nick.every", load.nick, "asks who claims a nickname, per node"),
    YES("load.live_targets", load.live_targets, "lookups are for a living node's position"),
    SHARE("hostile.share", hostile.share, "of nodes"),
    WORD("hostile.attack", hostile.attack, "none|drop|lie|eclipse|censor|pollute|freeride", "what they do"),
    COUNT("hostile.prefixes", hostile.prefixes, 0, 65536,
          "the hostile live on so many /24s; 0 = each on its own"),
    WORD("hostile.names", hostile.names, "none|squat|stale|spam|all",
         "take nicknames; store old profiles again; fill the index (load.names = yes)"),
    COUNT("hostile.placed", hostile.placed, 0, 1000000, "identities ground to lie near the victim key"),
    TIME("fault.split_at", fault.split_at, 0, MONTH, "halves cannot talk from here"),
    TIME("fault.split_for", fault.split_for, 0, MONTH, "for so long; 0s = never"),
    WORD("fault.split", fault.split, "halves|one|uniform", "who is apart: halves, one from all, each pair by a coin"),
    YES("fault.split_one_way", fault.split_one_way, "only one direction is cut"),
    SHARE("fault.clog", fault.clog, "of links that hold everything back for up to 6 s, drawn anew every 5 s"),
    SHARE("fault.slow", fault.slow, "of nodes that do everything late"),
    TIME("fault.slow_by", fault.slow_by, 0, CORE_MINUTES(1), "by so much, at most"),
    SHARE("fault.clock", fault.clock, "of nodes whose clock is wrong"),
    TIME("fault.clock_off", fault.clock_off, 0, 12 * MONTH, "by so much, at most, either way"),
    SHARE("fault.disk_full", fault.disk_full, "of saves that are lost"),
    SPAN("fault.crash.every", fault.crash, "per node: stop, start with what was persisted"),
    SHARE("fault.replay", fault.replay, "of datagrams delivered twice"),
    SHARE("fault.reorder", fault.reorder, "of datagrams delayed by up to a second"),
    TIME("fault.quiet_at", fault.quiet_at, 0, MONTH,
         "from here on no faults: progress is demanded; 0s = never"),
    YES("fault.drawn", fault.drawn, "fuzz: everything else is drawn from the seed"),
    SIZE("swarm.bytes", swarm.bytes, 0, (uint64_t)1 << 44, "size of the content; 0B = no swarm"),
    COUNT("swarm.seeds", swarm.seeds, 0, 1000000, "nodes that have it"),
    COUNT("swarm.peers", swarm.peers, 0, 1000000, "nodes that fetch it"),
    TIME("swarm.start", swarm.start, 0, MONTH, "when they begin"),
    TIME("swarm.spread", swarm.spread, 0, MONTH, "within so long"),
    YES("swarm.leave_when_done", swarm.leave_when_done, "peers leave when they have it"),
    TIME("swarm.seed_leaves", swarm.seed_leaves, 0, MONTH, "after start; 0s = stays"),
    SHARE("swarm.free_riders", swarm.free_riders, "of peers, serve nothing"),
    COUNT("swarm.crippled", swarm.crippled, 0, 1000000, "peers with a hundredth of the link"),
    COUNT("http.objects", http.objects, 0, 100000, "node 1 asks node 0 for so many, in three ways; 0 = none"),
    SIZE("http.object", http.object, 1, 1u << 24, "size of one"),
};

const struct sim_key *sim_keys(size_t *count)
{
    *count = sizeof keys / sizeof *keys;
    return keys;
}

const struct sim_key *sim_key_find(const char *name)
{
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

size_t sim_text_distance(const char *a, const char *b)
{
    size_t row[72], n = strlen(b), diagonal, up;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            up = row[j + 1];
            size_t best = diagonal + (a[i] != b[j]);
            best = up + 1 < best ? up + 1 : best;
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j + 1] = best;
            diagonal = up;
        }
    }
    return row[n];
}

const char *sim_key_nearest(const char *name)
{
    size_t best = SIZE_MAX, at = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        size_t d = sim_text_distance(name, keys[i].name);
        if (d < best) {
            best = d;
            at = i;
        }
    }
    return keys[at].name;
}

static uint64_t field_get(const struct sim_config *c, const struct sim_key *k)
{
    const uint8_t *at = (const uint8_t *)c + k->offset;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    switch (k->size) {
    case 1:
        memcpy(&u8, at, 1);
        return u8;
    case 2:
        memcpy(&u16, at, 2);
        return u16;
    case 4:
        memcpy(&u32, at, 4);
        return u32;
    default:
        memcpy(&u64, at, 8);
        return u64;
    }
}

static void field_put(struct sim_config *c, const struct sim_key *k, uint64_t value)
{
    uint8_t *at = (uint8_t *)c + k->offset, u8 = (uint8_t)value;
    uint16_t u16 = (uint16_t)value;
    uint32_t u32 = (uint32_t)value;
    switch (k->size) {
    case 1:
        memcpy(at, &u8, 1);
        break;
    case 2:
        memcpy(at, &u16, 2);
        break;
    case 4:
        memcpy(at, &u32, 4);
        break;
    default:
        memcpy(at, &value, 8);
        break;
    }
}

static void number_print(enum sim_key_kind kind, uint64_t v, char *out, size_t cap);

static int bad(char why[SIM_WHY_MAX], const char *name, const char *value, const char *reason)
{
    snprintf(why, SIM_WHY_MAX, "%.80s = %.120s: %.280s", name, value, reason);
    return ERR_RANGE;
}

static int set_word(struct sim_config *c, const struct sim_key *k, const char *value, char why[SIM_WHY_MAX])
{
    size_t size = strlen(value);
    uint64_t number = 0;
    char reason[160];
    for (const char *w = k->words; *w; number++) {
        size_t n = strcspn(w, "|");
        if (n == size && memcmp(w, value, n) == 0) {
            field_put(c, k, number);
            return 0;
        }
        w += n + (w[n] == '|');
    }
    snprintf(reason, sizeof reason, "must be one of %s", k->words);
    return bad(why, k->name, value, reason);
}

static int out_of_range(const struct sim_key *k, const char *value, char why[SIM_WHY_MAX])
{
    char reason[200], least[48], most[48];
    enum sim_key_kind kind = k->kind == SIM_KEY_SPAN ? SIM_KEY_TIME : k->kind;
    number_print(kind, k->least, least, sizeof least);
    number_print(kind, k->most, most, sizeof most);
    snprintf(reason, sizeof reason, "out of range, must be from %s to %s", least, most);
    return bad(why, k->name, value, reason);
}

static int set_known(struct sim_config *c, const struct sim_key *k, const char *value, char why[SIM_WHY_MAX])
{
    char reason[SIM_WHY_MAX];
    uint64_t number;
    struct sim_span span;
    switch (k->kind) {
    case SIM_KEY_TEXT:
        if (strlen(value) >= k->size)
            return bad(why, k->name, value, "the text is too long");
        memcpy((char *)c + k->offset, value, strlen(value) + 1);
        return 0;
    case SIM_KEY_YES:
        if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
            return bad(why, k->name, value, "must be yes or no");
        field_put(c, k, value[0] == 'y');
        return 0;
    case SIM_KEY_WORD:
        return set_word(c, k, value, why);
    case SIM_KEY_SPAN:
        if (sim_span_read(value, &span, reason) != 0)
            return bad(why, k->name, value, reason);
        if (span.scale > k->most)
            return out_of_range(k, value, why);
        memcpy((char *)c + k->offset, &span, sizeof span);
        return 0;
    default:
        if (sim_value_read(k->kind, value, &number, reason) != 0)
            return bad(why, k->name, value, reason);
        if (number < k->least || number > k->most)
            return out_of_range(k, value, why);
        field_put(c, k, number);
        return 0;
    }
}

/* One more line of [expect] or [published]; a key that is there is replaced, as everywhere. */
static int set_line(struct sim_line *lines, uint32_t *count, const char *name, const char *key,
                    const char *value, char why[SIM_WHY_MAX])
{
    uint32_t i = 0;
    if (!*key || strlen(key) >= sizeof lines->key || strlen(value) >= sizeof lines->value)
        return bad(why, name, value, "the key or the text is too long or empty");
    while (i < *count && strcmp(lines[i].key, key) != 0)
        i++;
    if (i == SIM_LINES_MAX)
        return bad(why, name, value, "too many lines in this section, at most 16");
    if (i == *count)
        ++*count;
    memcpy(lines[i].key, key, strlen(key) + 1);
    memcpy(lines[i].value, value, strlen(value) + 1);
    return 0;
}

int sim_config_set(struct sim_config *c, const char *name, const char *value, char why[SIM_WHY_MAX])
{
    const struct sim_key *k = sim_key_find(name);
    if (k)
        return set_known(c, k, value, why);
    if (strncmp(name, "expect.", 7) == 0) {
        uint64_t bar;
        enum sim_key_kind kind;
        char reason[SIM_WHY_MAX], sign[3];
        if (sim_expect_read(value, sign, &kind, &bar, reason) != 0)
            return bad(why, name, value, reason);
        return set_line(c->expect, &c->expect_count, name, name + 7, value, why);
    }
    if (strncmp(name, "published.", 10) == 0)
        return set_line(c->published, &c->published_count, name, name + 10, value, why);
    snprintf(why, SIM_WHY_MAX, "%.80s: no such key; the nearest is %s (simnet explain lists all)", name,
             sim_key_nearest(name));
    return ERR_RANGE;
}

static void number_print(enum sim_key_kind kind, uint64_t v, char *out, size_t cap)
{
    static const struct {
        uint64_t size;
        const char *unit;
    } times[] = {{CORE_HOURS(1), "h"},
                 {CORE_MINUTES(1), "min"},
                 {CORE_SECONDS(1), "s"},
                 {1000, "ms"},
                 {1, "us"}},
      sizes[] = {{1u << 30, "GiB"}, {1u << 20, "MiB"}, {1u << 10, "KiB"}, {1, "B"}};
    if (kind == SIM_KEY_TIME) {
        for (int i = 0; i < 5; i++)
            if (i == 4 || (v && v % times[i].size == 0)) {
                snprintf(out, cap, v ? "%llu%s" : "0s", (unsigned long long)(v / times[i].size),
                         times[i].unit);
                return;
            }
    } else if (kind == SIM_KEY_SIZE) {
        for (int i = 0; i < 4; i++)
            if (i == 3 || (v && v % sizes[i].size == 0)) {
                snprintf(out, cap, "%llu%s", (unsigned long long)(v / sizes[i].size), sizes[i].unit);
                return;
            }
    } else if (kind == SIM_KEY_SHARE && v % 10000 == 0)
        snprintf(out, cap, "%llu%%", (unsigned long long)(v / 10000));
    else
        snprintf(out, cap, "%llu%s", (unsigned long long)v,
                 kind == SIM_KEY_SHARE  ? "ppm"
                 : kind == SIM_KEY_RATE ? "B/s"
                                        : "");
}

void sim_key_print(const struct sim_config *c, const struct sim_key *k, char *out, size_t cap)
{
    struct sim_span span;
    uint64_t value;
    const char *w = k->words;
    switch (k->kind) {
    case SIM_KEY_TEXT:
        snprintf(out, cap, "%s", (const char *)c + k->offset);
        return;
    case SIM_KEY_SPAN:
        memcpy(&span, (const char *)c + k->offset, sizeof span);
        sim_span_print(&span, out, cap);
        return;
    case SIM_KEY_YES:
        snprintf(out, cap, "%s", field_get(c, k) ? "yes" : "no");
        return;
    case SIM_KEY_WORD:
        for (value = field_get(c, k); value && *w; value--)
            w += strcspn(w, "|") + 1;
        snprintf(out, cap, "%.*s", (int)strcspn(w, "|"), w);
        return;
    default:
        number_print(k->kind, field_get(c, k), out, cap);
    }
}

int sim_config_check(const struct sim_config *c, char why[SIM_WHY_MAX])
{
    if (c->net.latency == SIM_LATENCY_UNIFORM && c->net.latency_min > c->net.latency_max)
        return bad(why, "net.latency_min", "", "is more than net.latency_max");
    if ((uint64_t)c->net.nat_full + c->net.nat_address + c->net.nat_symmetric > SIM_PPM)
        return bad(why, "net.nat_full", "", "with net.nat_address and net.nat_symmetric it is more than 100% of those behind a NAT");
    if (c->node.dht.timeout_min > c->node.dht.timeout_max)
        return bad(why, "node.dht.timeout_min", "", "is more than node.dht.timeout_max");
    /* What the world does not do yet is refused: a run that ignored it would tell an untruth. */
    if (c->hostile.placed ||
        (c->hostile.attack != SIM_ATTACK_NONE && c->hostile.attack != SIM_ATTACK_POLLUTE &&
         c->hostile.attack != SIM_ATTACK_FREERIDE))
        return bad(why, c->hostile.placed ? "hostile.placed" : "hostile.attack",
                   c->hostile.placed ? "1 or more" : "drop, lie, eclipse or censor",
                   "is not built yet; hostile nodes can pollute or freeride");
    if (c->http.objects &&
        (!c->scenario.streams || c->net.bandwidth != SIM_PACKET || !c->net.up || c->churn.session.kind != SIM_NEVER ||
         c->fault.crash.kind != SIM_NEVER || c->net.nat))
        return bad(why, "http.objects", "1 or more",
                   "needs scenario.streams = yes, net.bandwidth = packet, net.up, and nodes that neither stop nor sit behind NATs");
    if (c->net.paper_bytes && c->scenario.crypto != SIM_CRYPTO_CHEAP)
        return bad(why, "net.paper_bytes", "yes", "needs scenario.crypto = cheap: what is really sealed cannot be counted from outside");
    if (c->load.names && !c->scenario.streams)
        return bad(why, "load.names", "yes", "names need scenario.streams = yes");
    if (!c->load.names &&
        (c->hostile.names != SIM_NAMES_NONE || c->load.name.kind != SIM_NEVER || c->load.site.kind != SIM_NEVER ||
         c->load.search.kind != SIM_NEVER || c->load.nick.kind != SIM_NEVER))
        return bad(why, c->hostile.names != SIM_NAMES_NONE ? "hostile.names" : "load", "names, sites and searches", "need load.names = yes");
    if (c->swarm.bytes && !c->scenario.streams)
        return bad(why, "swarm.bytes", "", "a swarm needs scenario.streams = yes");
    if (c->swarm.bytes && (uint64_t)c->swarm.seeds + c->swarm.peers > c->scenario.nodes)
        return bad(why, "swarm.peers", "",
                   "seeds and peers are more than scenario.nodes; raise it with --nodes");
    return 0;
}
