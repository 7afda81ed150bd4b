/* What people do with names: publish a site and a new version of it, look at a site whose node they never saw, keep looking at one, and search among
 * what all list. Runs on whole nodes (scenario.streams = yes). What is found is held against what the world knows. */
#include "simnet/world/names.h"

#include "node/base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VOCABULARY   3000
#define WORDS_A_FILE 3
#define SEARCH_LONGEST CORE_SECONDS(5)
#define WATCH_AGAIN  CORE_SECONDS(60)
#define NOBODY       UINT32_MAX
#define OPS_A_NODE   8

enum { NAMES_SETUP = SIM_NAMES_LOADS, NAMES_LOOK, NAMES_SITE, NAMES_SEARCH, NAMES_WATCH, NAMES_END };

struct name_op {
    uint32_t kind, target, op, expected, found; /* op 0: free */
    core_time began;
};

struct name_node {
    uint32_t version;        /* of its site; 0 = none yet */
    core_time published;
    uint32_t watches, seen;  /* a node whose site it looks at; the version seen last */
    uint32_t life, last_op;
    struct name_op ops[OPS_A_NODE];
};

struct sim_names {
    struct name_node *nodes;
    uint16_t (*words)[WORDS_A_FILE]; /* of each file of each node */
    uint32_t look_time, look_success, update_time, update_seen, search_time, search_recall, search_answered, listed;
};

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
}

void sim_names_free(struct sim_world *w)
{
    if (!w->names)
        return;
    free(w->names->nodes);
    free(w->names->words);
    free(w->names);
    w->names = NULL;
}

static void at(struct sim_world *w, uint32_t i, core_time when, uint32_t kind)
{
    sim_world_at(w, when, i, i, SIM_EVENT_LOAD, kind, w->nodes[i].life, NULL);
}

static void again(struct sim_world *w, uint32_t i, uint32_t kind)
{
    const struct sim_span *const spans[] = {[NAMES_LOOK] = &w->config->load.name, [NAMES_SITE] = &w->config->load.site,
                                            [NAMES_SEARCH] = &w->config->load.search};
    core_time gap = sim_span_draw(spans[kind], &w->nodes[i].load);
    if (gap != CORE_NEVER)
        at(w, i, core_time_add(w->now, gap), kind);
}

void sim_names_started(struct sim_world *w, uint32_t i)
{
    struct sim_node *n = &w->nodes[i];
    if (!w->names || !n->node || n->hostile)
        return;
    struct name_node *s = &w->names->nodes[i];
    memset(s->ops, 0, sizeof s->ops);
    s->watches = NOBODY;
    s->seen = 0;
    at(w, i, w->now + CORE_SECONDS(10) + sim_random_below(&n->load, CORE_SECONDS(20)), NAMES_SETUP);
    for (uint32_t kind = NAMES_LOOK; kind <= NAMES_SEARCH; kind++)
        again(w, i, kind);
    at(w, i, w->now + CORE_MINUTES(1) + sim_random_below(&n->load, WATCH_AGAIN), NAMES_WATCH);
}

/* ---- Doing ---- */

static void profile_set(struct sim_world *w, uint32_t i)
{
    struct name_node *s = &w->names->nodes[i];
    struct profile p = {.address_count = 1, .has_site = true};
    snprintf(p.nickname, sizeof p.nickname, "node%u", i);
    p.addresses[0] = w->nodes[i].addr;
    p.site = (struct content_id){.kind = CONTENT_TREE, .size = ++s->version};
    s->published = w->now;
    naming_set_profile(node_naming(w->nodes[i].node), w->now, &p);
    naming_wake(node_naming(w->nodes[i].node), w->now, sim_out(w));
}

/* Words as titles have them: a few in very many, most in few. */
static uint16_t word_draw(struct sim_random *r)
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
            words[k] = word_draw(&w->nodes[i].load);
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
    return t == i || !w->nodes[t].node || s->version == 0 || w->now - s->published < CORE_SECONDS(30) ? NOBODY : t;
}

static void look(struct sim_world *w, uint32_t i)
{
    struct naming *naming = node_naming(w->nodes[i].node);
    struct naming_peer known;
    for (int tries = 0; tries < 32; tries++) {
        uint32_t t = settled(w, i);
        if (t == NOBODY || naming_peer(naming, w->nodes[t].me.key, &known))
            continue;
        struct name_op *op = op_new(w, i, NAMES_LOOK, t);
        if (op && naming_look(naming, w->now, w->nodes[t].me.key, false, sim_out(w)) != 0)
            op->op = 0;
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
    at(w, i, w->now + WATCH_AGAIN, NAMES_WATCH);
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
    for (uint32_t j = 0; j < w->count; j++)
        for (uint32_t f = 0; f < files && w->nodes[j].node && s->nodes[j].life == w->nodes[j].life && s->nodes[j].version; f++)
            op->expected += has_both(s->words[(size_t)j * files + f], a, b);
    snprintf(text, sizeof text, "w%ux w%ux", a, b);
    if (naming_search(node_naming(w->nodes[i].node), w->now, text, w->now + SEARCH_LONGEST, op->op, sim_out(w)) != 0)
        op->op = 0;
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
    default:
        watch(w, i);
    }
    sim_carry(w, i);
    if (kind >= NAMES_LOOK && kind <= NAMES_SEARCH)
        again(w, i, kind);
}

/* ---- What became of it ---- */

static void profile_came(struct sim_world *w, uint32_t i, const uint8_t key[NODE_KEY_SIZE])
{
    struct sim_names *s = w->names;
    struct name_node *n = &s->nodes[i];
    struct naming_peer p;
    for (int k = 0; k < OPS_A_NODE; k++) {
        struct name_op *op = &n->ops[k];
        if (!op->op || op->kind != NAMES_LOOK || memcmp(w->nodes[op->target].me.key, key, NODE_KEY_SIZE) != 0)
            continue;
        sim_metric_add(w->metrics, s->look_time, w->now - op->began);
        sim_metric_add(w->metrics, s->look_success, 1);
        op->op = 0;
    }
    if (n->watches == NOBODY || memcmp(w->nodes[n->watches].me.key, key, NODE_KEY_SIZE) != 0 ||
        !naming_peer(node_naming(w->nodes[i].node), key, &p) || !p.has_profile)
        return;
    const struct name_node *o = &s->nodes[n->watches];
    if (n->seen && p.profile->site.size == o->version)
        sim_metric_add(w->metrics, s->update_time, w->now - o->published);
    n->seen = (uint32_t)p.profile->site.size;
}

static void look_ended(struct sim_world *w, uint32_t i, const uint8_t key[NODE_KEY_SIZE])
{
    for (int k = 0; k < OPS_A_NODE; k++) {
        struct name_op *op = &w->names->nodes[i].ops[k];
        if (!op->op || op->kind != NAMES_LOOK || memcmp(w->nodes[op->target].me.key, key, NODE_KEY_SIZE) != 0)
            continue;
        if (w->nodes[op->target].node) /* who left meanwhile owes nothing */
            sim_metric_add(w->metrics, w->names->look_success, 0);
        op->op = 0;
    }
}

bool sim_names_notice(struct sim_world *w, uint32_t i, const struct effect *x)
{
    uint32_t kind = x->u.notice.kind;
    if (!w->names || kind < NAMING_NOTICE_PROFILE || kind > NAMING_NOTICE_PUBLISHED)
        return false;
    if (kind == NAMING_NOTICE_PROFILE)
        profile_came(w, i, x->u.notice.node.key);
    else if (kind == NAMING_NOTICE_LOOKED)
        look_ended(w, i, x->u.notice.node.key);
    for (int k = 0; k < OPS_A_NODE; k++) {
        struct name_op *op = &w->names->nodes[i].ops[k];
        if (!op->op || op->op != x->u.notice.op || op->kind != NAMES_SEARCH)
            continue;
        if (kind == NAMING_NOTICE_HIT) {
            op->found++;
        } else if (kind == NAMING_NOTICE_DONE) {
            sim_metric_add(w->metrics, w->names->search_time, w->now - op->began);
            sim_metric_add(w->metrics, w->names->search_answered, x->u.notice.a);
            for (uint32_t f = 0; f < op->expected; f++)
                sim_metric_add(w->metrics, w->names->search_recall, f < op->found);
            op->op = 0;
        }
    }
    return true;
}
