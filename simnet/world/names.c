/* What people do with names: publish a site and a new version of it, look at a site whose node they never saw, keep looking at one, ask who claims a
 * nickname, and search among what all list. Runs on whole nodes (scenario.streams = yes). What is found is held against what the world knows; a node is
 * owed only what others have had the time to publish and are still there for. */
#include "simnet/world/names_state.h"

#include "node/base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VOCABULARY   3000
#define SEARCH_LONGEST CORE_SECONDS(5)
#define WATCH_AGAIN  CORE_SECONDS(60)
#define LISTED_AFTER CORE_MINUTES(4) /* a node's words are put one after another: so long after its start all are owed */
#define FRESH_AFTER  CORE_SECONDS(30) /* who looks must find a version published longer ago than this */

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

void sim_names_new(struct sim_world *w)
{
    if (!w->config->load.names)
        return;
    struct sim_names *s = w->names = must(calloc(1, sizeof *s));
    struct sim_metrics *m = w->metrics;
    s->nodes = must(calloc(w->count, sizeof *s->nodes));
    s->words = must(calloc((size_t)w->count * (w->config->load.files + 1), sizeof *s->words));
    s->look_time = sim_metric_declare(m, "name.time", SIM_SAMPLE, SIM_UNIT_US);
    s->look_success = sim_metric_declare(m, "name.success", SIM_RATIO, SIM_UNIT_PPM);
    s->update_time = sim_metric_declare(m, "site.time", SIM_SAMPLE, SIM_UNIT_US);
    s->update_seen = sim_metric_declare(m, "site.success", SIM_RATIO, SIM_UNIT_PPM);
    s->search_time = sim_metric_declare(m, "search.time", SIM_SAMPLE, SIM_UNIT_US);
    s->search_recall = sim_metric_declare(m, "search.recall", SIM_RATIO, SIM_UNIT_PPM);
    s->search_answered = sim_metric_declare(m, "search.answered", SIM_SAMPLE, SIM_UNIT_COUNT);
    s->listed = sim_metric_declare(m, "search.listed", SIM_COUNTER, SIM_UNIT_COUNT);
    s->search_first = sim_metric_declare(m, "search.first", SIM_SAMPLE, SIM_UNIT_US);
    s->search_last = sim_metric_declare(m, "search.last", SIM_SAMPLE, SIM_UNIT_US);
    s->search_false = sim_metric_declare(m, "search.false", SIM_COUNTER, SIM_UNIT_COUNT);
    s->look_fresh = sim_metric_declare(m, "name.fresh", SIM_RATIO, SIM_UNIT_PPM);
    s->asleep_time = sim_metric_declare(m, "asleep.time", SIM_SAMPLE, SIM_UNIT_US);
    s->asleep_success = sim_metric_declare(m, "asleep.success", SIM_RATIO, SIM_UNIT_PPM);
    s->asleep_fresh = sim_metric_declare(m, "asleep.fresh", SIM_RATIO, SIM_UNIT_PPM);
    s->nick_time = sim_metric_declare(m, "nick.time", SIM_SAMPLE, SIM_UNIT_US);
    s->nick_success = sim_metric_declare(m, "nick.success", SIM_RATIO, SIM_UNIT_PPM);
    s->nick_claimants = sim_metric_declare(m, "nick.claimants", SIM_SAMPLE, SIM_UNIT_COUNT);
}

void sim_names_free(struct sim_world *w)
{
    if (!w->names)
        return;
    for (uint32_t i = 0; i < w->count; i++) {
        for (int k = 0; k < OPS_A_NODE; k++)
            free(w->names->nodes[i].ops[k].hits);
        free(w->names->nodes[i].replayed);
    }
    free(w->names->nodes);
    free(w->names->words);
    free(w->names);
    w->names = NULL;
}

void sim_names_at(struct sim_world *w, uint32_t i, core_time when, uint32_t kind)
{
    sim_world_at(w, when, i, i, SIM_EVENT_LOAD, kind, w->nodes[i].life, NULL);
}

static void op_free(struct name_op *op)
{
    free(op->hits);
    memset(op, 0, sizeof *op);
}

static void again(struct sim_world *w, uint32_t i, uint32_t kind)
{
    const struct sim_span *const spans[] = {[NAMES_LOOK] = &w->config->load.name, [NAMES_SITE] = &w->config->load.site,
                                            [NAMES_SEARCH] = &w->config->load.search, [NAMES_NICK] = &w->config->load.nick};
    core_time gap = sim_span_draw(spans[kind], &w->nodes[i].load);
    if (gap != CORE_NEVER)
        sim_names_at(w, i, core_time_add(w->now, gap), kind);
}

void sim_names_started(struct sim_world *w, uint32_t i)
{
    struct sim_node *n = &w->nodes[i];
    if (!w->names || !n->node)
        return;
    struct name_node *s = &w->names->nodes[i];
    for (int k = 0; k < OPS_A_NODE; k++)
        op_free(&s->ops[k]);
    s->watches = NOBODY;
    s->seen = 0;
    if (n->hostile) {
        sim_names_hostile_started(w, i);
        return;
    }
    sim_names_at(w, i, w->now + CORE_SECONDS(10) + sim_random_below(&n->load, CORE_SECONDS(20)), NAMES_SETUP);
    for (uint32_t kind = NAMES_LOOK; kind <= NAMES_NICK; kind++)
        again(w, i, kind);
    sim_names_at(w, i, w->now + CORE_MINUTES(1) + sim_random_below(&n->load, WATCH_AGAIN), NAMES_WATCH);
}

/* ---- Doing ---- */

void sim_names_nickname(char out[NAME_SIZE], uint32_t i)
{
    snprintf(out, NAME_SIZE, "node%u", i);
}

static void profile_set(struct sim_world *w, uint32_t i)
{
    struct name_node *s = &w->names->nodes[i];
    struct profile p = {.address_count = 1, .has_site = true};
    sim_names_nickname(p.nickname, i);
    p.addresses[0] = w->nodes[i].addr;
    p.site = (struct content_id){.kind = CONTENT_TREE, .size = ++s->version};
    s->published = w->now;
    naming_set_profile(node_naming(w->nodes[i].node), w->now, &p);
    naming_wake(node_naming(w->nodes[i].node), w->now, sim_out(w));
}

/* Words as titles have them: a few in very many, most in few. */
uint16_t sim_names_word(struct sim_random *r)
{
    uint64_t a = sim_random_below(r, VOCABULARY), b = sim_random_below(r, VOCABULARY);
    return (uint16_t)(a * b / VOCABULARY);
}

static void setup(struct sim_world *w, uint32_t i)
{
    struct sim_names *s = w->names;
    struct naming *naming = node_naming(w->nodes[i].node);
    uint32_t files = w->config->load.files;
    profile_set(w, i);
    naming_list_begin(naming);
    for (uint32_t f = 0; f < files; f++) {
        uint16_t *words = s->words[(size_t)i * files + f];
        struct content_id id = {.kind = CONTENT_FILE, .size = (uint64_t)i << 20 | f};
        char name[96];
        for (int k = 0; k < WORDS_A_FILE && s->nodes[i].life == 0; k++)
            words[k] = sim_names_word(&w->nodes[i].load);
        snprintf(name, sizeof name, "w%ux w%ux w%ux.txt", words[0], words[1], words[2]);
        core_assert(naming_list_add(naming, &id, name) == 0);
    }
    naming_list_end(naming, w->now);
    s->nodes[i].life = w->nodes[i].life;
    sim_metric_add(w->metrics, s->listed, files);
}

static struct name_op *op_new(struct sim_world *w, uint32_t i, uint32_t kind, uint32_t target)
{
    struct name_node *s = &w->names->nodes[i];
    for (int k = 0; k < OPS_A_NODE; k++) {
        if (s->ops[k].op)
            continue;
        s->last_op = s->last_op % NODE_OP_MAX + 1;
        s->ops[k] = (struct name_op){.kind = kind, .target = target, .op = s->last_op, .began = w->now};
        return &s->ops[k];
    }
    return NULL;
}

/* A node that has long published. */
static uint32_t settled(struct sim_world *w, uint32_t i)
{
    uint32_t t = (uint32_t)sim_random_below(&w->nodes[i].load, w->count);
    const struct name_node *s = &w->names->nodes[t];
    return t == i || w->nodes[t].hostile || !w->nodes[t].node || s->life != w->nodes[t].life ||
                   w->now - s->published < CORE_SECONDS(30)
               ? NOBODY
               : t;
}

/* A node that published, and is not there now. */
static uint32_t sleeper(struct sim_world *w, uint32_t i)
{
    uint32_t t = (uint32_t)sim_random_below(&w->nodes[i].load, w->count);
    return w->nodes[t].hostile || w->nodes[t].node || !w->names->nodes[t].stored ? NOBODY : t;
}

static void look(struct sim_world *w, uint32_t i)
{
    struct naming *naming = node_naming(w->nodes[i].node);
    struct naming_peer known;
    bool asleep = w->up < w->count && sim_random_below(&w->nodes[i].load, 4) == 0;
    for (int tries = 0; tries < 32; tries++) {
        uint32_t t = asleep ? sleeper(w, i) : settled(w, i);
        if (t == NOBODY || naming_peer(naming, w->nodes[t].me.key, &known))
            continue;
        struct name_op *op = op_new(w, i, NAMES_LOOK, t);
        if (op)
            op->asleep = asleep;
        if (op && naming_look(naming, w->now, w->nodes[t].me.key, false, sim_out(w)) != 0)
            op_free(op);
        return;
    }
}

static void watch(struct sim_world *w, uint32_t i)
{
    struct name_node *s = &w->names->nodes[i];
    for (int tries = 0; s->watches == NOBODY && tries < 32; tries++)
        s->watches = settled(w, i);
    if (s->watches != NOBODY)
        (void)naming_look(node_naming(w->nodes[i].node), w->now, w->nodes[s->watches].me.key, true, sim_out(w));
    sim_names_at(w, i, w->now + WATCH_AGAIN, NAMES_WATCH);
}

/* A new version; had those who look at the site seen the last one? */
static void publish(struct sim_world *w, uint32_t i)
{
    struct name_node *s = &w->names->nodes[i];
    if (s->version == 0 || w->now - s->published < CORE_SECONDS(30))
        return;
    for (uint32_t j = 0; j < w->count; j++) {
        const struct name_node *o = &w->names->nodes[j];
        if (w->nodes[j].node && o->watches == i && o->seen && s->published > w->begin + w->config->scenario.warm)
            sim_metric_add(w->metrics, w->names->update_seen, o->seen == s->version);
    }
    profile_set(w, i);
}

static bool has_both(const uint16_t *words, uint16_t a, uint16_t b)
{
    bool has_a = false, has_b = false;
    for (int k = 0; k < WORDS_A_FILE; k++) {
        has_a = has_a || words[k] == a;
        has_b = has_b || words[k] == b;
    }
    return has_a && has_b;
}

/* How many files of node j the world knows to have these words, if it is owed to whoever began to search then. */
static uint32_t owed_of(const struct sim_world *w, uint32_t j, const struct name_op *op)
{
    const struct sim_names *s = w->names;
    uint32_t files = w->config->load.files, owed = 0;
    if (!w->nodes[j].node || w->nodes[j].hostile || s->nodes[j].life != w->nodes[j].life ||
        w->nodes[j].started + LISTED_AFTER > op->began)
        return 0;
    for (uint32_t f = 0; f < files; f++)
        owed += has_both(s->words[(size_t)j * files + f], op->words[0], op->words[1]);
    return owed;
}

/* One word of somebody's file, or two. */
static void search(struct sim_world *w, uint32_t i)
{
    struct sim_names *s = w->names;
    uint32_t files = w->config->load.files, t = settled(w, i);
    if (t == NOBODY || !files)
        return;
    const uint16_t *of = s->words[(size_t)t * files + sim_random_below(&w->nodes[i].load, files)];
    uint16_t a = of[0], b = sim_random_below(&w->nodes[i].load, 2) ? of[1] : a;
    struct name_op *op = op_new(w, i, NAMES_SEARCH, t);
    char text[64];
    if (!op)
        return;
    op->words[0] = a;
    op->words[1] = b;
    op->hits = must(calloc(w->count, sizeof *op->hits));
    snprintf(text, sizeof text, "w%ux w%ux", a, b);
    if (naming_search(node_naming(w->nodes[i].node), w->now, text, w->now + SEARCH_LONGEST, op->op, sim_out(w)) != 0)
        op_free(op);
}

/* Half of the time for a name that squatters claim too. */
static void nick(struct sim_world *w, uint32_t i)
{
    char nickname[NAME_SIZE];
    uint32_t t = settled(w, i);
    if (sim_random_below(&w->nodes[i].load, 2) && t != NOBODY && sim_names_squatted(w, t % SQUATTED + 1))
        t = t % SQUATTED + 1;
    if (t == NOBODY || t == i || w->now - w->nodes[t].started < LISTED_AFTER || !w->nodes[t].node)
        return;
    struct name_op *op = op_new(w, i, NAMES_NICK, t);
    if (!op)
        return;
    sim_names_nickname(nickname, t);
    if (naming_claimants(node_naming(w->nodes[i].node), w->now, nickname, op->op, sim_out(w)) != 0)
        op_free(op);
}

void sim_names_event(struct sim_world *w, const struct sim_event *e)
{
    uint32_t i = e->to, kind = (uint32_t)e->a;
    if (!w->nodes[i].node || e->b != w->nodes[i].life)
        return;
    switch (kind) {
    case NAMES_SETUP:
        setup(w, i);
        break;
    case NAMES_LOOK:
        look(w, i);
        break;
    case NAMES_SITE:
        publish(w, i);
        break;
    case NAMES_SEARCH:
        search(w, i);
        break;
    case NAMES_NICK:
        nick(w, i);
        break;
    case NAMES_WATCH:
        watch(w, i);
        break;
    default:
        sim_names_hostile_event(w, i);
    }
    sim_carry(w, i);
    if (kind >= NAMES_LOOK && kind <= NAMES_NICK)
        again(w, i, kind);
}

/* ---- What became of it ---- */

static struct name_op *look_of(struct sim_world *w, uint32_t i, const uint8_t key[NODE_KEY_SIZE])
{
    for (int k = 0; k < OPS_A_NODE; k++) {
        struct name_op *op = &w->names->nodes[i].ops[k];
        if (op->op && op->kind == NAMES_LOOK && memcmp(w->nodes[op->target].me.key, key, NODE_KEY_SIZE) == 0)
            return op;
    }
    return NULL;
}

static void profile_came(struct sim_world *w, uint32_t i, const uint8_t key[NODE_KEY_SIZE])
{
    struct sim_names *s = w->names;
    struct name_node *n = &s->nodes[i];
    struct naming_peer p;
    struct name_op *op = look_of(w, i, key);
    if (op && !op->found) {
        sim_metric_add(w->metrics, op->asleep ? s->asleep_time : s->look_time, w->now - op->began);
        sim_metric_add(w->metrics, op->asleep ? s->asleep_success : s->look_success, 1);
        op->found = 1;
    }
    if (n->watches == NOBODY || memcmp(w->nodes[n->watches].me.key, key, NODE_KEY_SIZE) != 0 ||
        !naming_peer(node_naming(w->nodes[i].node), key, &p) || !p.has_profile)
        return;
    const struct name_node *o = &s->nodes[n->watches];
    if (p.profile->site.size < n->seen)
        sim_fail(w, "node %u saw version %u of node %u's site, and then version %u", i, n->seen, n->watches,
                 (unsigned)p.profile->site.size);
    if (n->seen && p.profile->site.size == o->version)
        sim_metric_add(w->metrics, s->update_time, w->now - o->published);
    n->seen = (uint32_t)p.profile->site.size;
}

/* The version that is known when the look is over: the one that is, unless that is very new; of a sleeper, what others held for it. */
static void look_ended(struct sim_world *w, uint32_t i, const uint8_t key[NODE_KEY_SIZE])
{
    const struct sim_names *s = w->names;
    struct name_op *op = look_of(w, i, key);
    struct naming_peer p;
    if (!op)
        return;
    const struct name_node *o = &s->nodes[op->target];
    bool owed = op->asleep || w->nodes[op->target].node; /* who left meanwhile owes nothing */
    if (!op->found && owed)
        sim_metric_add(w->metrics, op->asleep ? s->asleep_success : s->look_success, 0);
    bool known = naming_peer(node_naming(w->nodes[i].node), key, &p) && p.has_profile;
    if (op->found && op->asleep)
        sim_metric_add(w->metrics, s->asleep_fresh, known && p.profile->site.size >= o->stored);
    else if (op->found && owed && op->began > o->published + FRESH_AFTER)
        sim_metric_add(w->metrics, s->look_fresh, known && p.profile->site.size == o->version);
    op_free(op);
}

static void search_ended(struct sim_world *w, struct name_op *op, uint64_t answered)
{
    struct sim_names *s = w->names;
    sim_metric_add(w->metrics, s->search_time, w->now - op->began);
    sim_metric_add(w->metrics, s->search_answered, answered);
    sim_metric_add(w->metrics, s->search_false, op->claimants);
    if (op->found) {
        sim_metric_add(w->metrics, s->search_first, op->first - op->began);
        sim_metric_add(w->metrics, s->search_last, op->last - op->began);
    }
    for (uint32_t j = 0; j < w->count; j++)
        for (uint32_t f = 0, owed = owed_of(w, j, op); f < owed; f++)
            sim_metric_add(w->metrics, s->search_recall, f < op->hits[j]);
}

static void nick_ended(struct sim_world *w, const struct name_op *op)
{
    struct sim_names *s = w->names;
    if (!w->nodes[op->target].node || w->nodes[op->target].started > op->began)
        return;
    sim_metric_add(w->metrics, s->nick_time, w->now - op->began);
    sim_metric_add(w->metrics, s->nick_success, op->found);
    sim_metric_add(w->metrics, s->nick_claimants, op->claimants);
}

/* One more thing found, or one more who claims the nickname. */
static void found(struct sim_world *w, struct name_op *op, const struct effect *x)
{
    uint32_t j = op->kind == NAMES_SEARCH ? sim_node_of(w, x->u.notice.node.key, &x->u.notice.node.addr) : NOBODY;
    if (op->kind == NAMES_NICK) {
        op->claimants++;
        op->found = op->found || memcmp(w->nodes[op->target].me.key, x->u.notice.node.key, NODE_KEY_SIZE) == 0;
    } else if (j != NOBODY && !w->nodes[j].hostile) {
        op->hits[j]++;
        op->first = op->found++ ? op->first : w->now;
        op->last = w->now;
    } else {
        op->claimants++;
    }
}

static void op_notice(struct sim_world *w, struct name_op *op, const struct effect *x)
{
    uint32_t kind = x->u.notice.kind;
    if (kind == NAMING_NOTICE_HIT || kind == NAMING_NOTICE_CLAIMANT) {
        found(w, op, x);
    } else if (kind == NAMING_NOTICE_DONE) {
        if (op->kind == NAMES_SEARCH)
            search_ended(w, op, x->u.notice.a);
        else
            nick_ended(w, op);
        op_free(op);
    }
}

bool sim_names_notice(struct sim_world *w, uint32_t i, const struct effect *x, struct bytes bytes)
{
    uint32_t kind = x->u.notice.kind;
    if (!w->names || kind < NAMING_NOTICE_PROFILE || kind > NAMING_NOTICE_PUBLISHED)
        return false;
    if (w->nodes[i].hostile) {
        if (kind == NAMING_NOTICE_PROFILE)
            sim_names_hostile_profile(w, i, x->u.notice.node.key, bytes);
        return true;
    }
    if (kind == NAMING_NOTICE_PROFILE)
        profile_came(w, i, x->u.notice.node.key);
    else if (kind == NAMING_NOTICE_LOOKED)
        look_ended(w, i, x->u.notice.node.key);
    else if (kind == NAMING_NOTICE_PUBLISHED && x->u.notice.a > 0)
        w->names->nodes[i].stored = w->names->nodes[i].version;
    for (int k = 0; k < OPS_A_NODE; k++) {
        struct name_op *op = &w->names->nodes[i].ops[k];
        if (op->op && op->op == x->u.notice.op && (op->kind == NAMES_SEARCH || op->kind == NAMES_NICK))
            op_notice(w, op, x);
    }
    return true;
}
