/* What a running job shows: numbers, and a sentence that says what is going on; and the search for more sources of a tree. */
#include "node/host/fetch_internal.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>
#include "node/host/log.h"
#include "transfer/tree.h"

#define FETCH_OP        0x46000000u         /* our numbers among the owner's operations of the DHT */
#define LOOKUP_NONE     CORE_SECONDS(10)    /* between two look-ups while there is no source */
#define LOOKUP_SOME     CORE_SECONDS(60)
#define LOOKUP_ENOUGH   4                   /* sources */
#define NOBODY_AFTER    CORE_SECONDS(10)
#define LIES_AFTER      CORE_SECONDS(60)    /* only bad data, and then nobody for so long: the link is wrong */

struct overview { /* of all units of a job */
    uint32_t sessions, seeds, candidates, running, local, waiting, finishing;
    uint64_t rate, have;
    int trouble;
    const char *trouble_path;
};

void fetch_source_add(struct fetch *x, const struct node_addr *node, enum xfer_source how)
{
    struct fetch_unit *u;
    for (uint32_t i = 0; i < x->source_count; i++) {
        struct node_addr *known = &x->sources[i].node;
        if (memcmp(known->key, node->key, NODE_KEY_SIZE) == 0 && net_addr_equal(&known->addr, &node->addr))
            return;
    }
    if (x->source_count == FETCH_SOURCES_MAX)
        return; /* the swarms find the rest by gossip */
    x->sources[x->source_count++] = (struct fetch_source){*node, how};
    DL_FOREACH(x->f->units, u)
        if (u->fetch == x && u->state == UNIT_RUNNING)
            fetch_unit_source(u, node, how);
    host_drain(x->f->core);
}

/* A single file's swarm asks the DHT by itself. Inside a tree only roots and larger files are announced, so the holders of the root are looked up
 * here, and given to every swarm of the tree. */
static void look_for_sources(struct fetch *x, const struct overview *o)
{
    struct host_core *core = x->f->core;
    core_time now = fetch_now(x);
    uint8_t key[HASH_SIZE];
    if (x->lookup_at > now || x->lookup_op != 0 || o->running == 0)
        return;
    x->lookup_at = core_time_add(now, o->sessions == 0 ? LOOKUP_NONE : LOOKUP_SOME);
    if (o->sessions >= LOOKUP_ENOUGH)
        return;
    content_provider_key(key, &x->what.link.id, core->network, core->crypto);
    x->lookup_op = FETCH_OP | (++x->f->last_op & 0xffffffu);
    if (dht_get(core->dht, now, DHT_PROVIDER, key, x->lookup_op, host_out(core)) != 0)
        x->lookup_op = 0;
    host_drain(core);
}

static void look_at(struct overview *o, const struct fetch_unit *u)
{
    struct xfer_swarm_stats s;
    if (u->trouble && !u->told) {
        o->trouble = u->trouble;
        o->trouble_path = u->path;
    }
    o->local += u->state == UNIT_LOCAL;
    o->finishing += u->state == UNIT_FINISHING;
    o->waiting += u->state == UNIT_WAITING && u->blocked;
    if (!fetch_unit_stats(u, &s))
        return;
    o->running += u->state == UNIT_RUNNING;
    o->rate += s.rate_down;
    o->sessions = s.sessions > o->sessions ? s.sessions : o->sessions;
    o->seeds = s.seeds > o->seeds ? s.seeds : o->seeds;
    o->candidates = s.candidates > o->candidates ? s.candidates : o->candidates;
    uint64_t have = (uint64_t)s.leaves_have * TREE_LEAF_SIZE;
    if (!u->pack)
        o->have += have < u->id.size ? have : u->id.size;
}

static void say_trouble(struct fetch *x, int error, const char *path)
{
    struct job *job = x->job;
    if (error == ERR_NO_SPACE)
        snprintf(job->message, sizeof job->message, "disk full: waiting for space for %.200s; it goes on by itself", path);
    else if (error == ERR_FULL || error == ERR_BUSY || error == ERR_NO_MEMORY)
        snprintf(job->message, sizeof job->message, "waiting: %s", err_text(error));
    else
        snprintf(job->message, sizeof job->message, "%s at %.200s: trying again", err_text(error), path);
}

static void say(struct fetch *x, const struct overview *o)
{
    struct job *job = x->job;
    int trouble = x->tree ? fetch_tree_trouble(x->tree) : 0;
    core_time quiet = fetch_now(x) - x->progress_at;
    if (o->trouble != 0 || trouble != 0)
        say_trouble(x, o->trouble ? o->trouble : trouble, o->trouble ? o->trouble_path : x->target);
    else if (o->running == 0 && o->local > 0)
        snprintf(job->message, sizeof job->message, "copying what this node has already");
    else if (o->running == 0 && o->waiting > 0)
        snprintf(job->message, sizeof job->message, "waiting for another fetch of the same content");
    else if (o->running == 0)
        snprintf(job->message, sizeof job->message, "%s", x->task || o->finishing ? "writing to the disk" : "");
    else if (o->sessions == 0 && x->bad_sources > 0)
        snprintf(job->message, sizeof job->message, "the data of %u source%s did not match the link (banned); looking for others", x->bad_sources,
                 x->bad_sources == 1 ? "" : "s");
    else if (o->sessions == 0 && quiet > NOBODY_AFTER)
        snprintf(job->message, sizeof job->message, "nobody who has it can be reached (%u address%s known); still looking", o->candidates,
                 o->candidates == 1 ? "" : "es");
    else if (o->sessions == 0)
        snprintf(job->message, sizeof job->message, "looking for sources");
    else
        snprintf(job->message, sizeof job->message, "%u source%s", o->sessions, o->sessions == 1 ? "" : "s");
}

static void notice_progress(struct fetch *x)
{
    struct fetch_unit *u;
    uint64_t known = x->job->bytes_total + x->job->files_total + x->job->files_done;
    if (known != x->progress_known)
        x->progress_at = fetch_now(x);
    x->progress_known = known;
    if (x->job->bytes_done <= x->progress_bytes)
        return;
    x->progress_bytes = x->job->bytes_done;
    x->progress_at = fetch_now(x);
    DL_FOREACH(x->f->units, u) {
        if (u->fetch == x && u->state == UNIT_RUNNING && u->retry_at == CORE_NEVER) {
            u->trouble = 0;
            u->troubles = 0;
        }
    }
}

/* "192.0.2.7:4242 and 2 more of the link, 3 that the network named" */
static void say_asked(const struct fetch *x, const struct overview *o, char *out, size_t cap)
{
    char first[NET_ADDR_TEXT_MAX] = "", more[32] = "";
    uint32_t of_link = 0;
    for (uint32_t i = 0; i < x->source_count; i++)
        if (x->sources[i].how == XFER_SOURCE_LINK && of_link++ == 0)
            net_addr_format(first, &x->sources[i].node.addr);
    uint32_t others = o->candidates > of_link ? o->candidates - of_link : 0;
    if (of_link > 1)
        snprintf(more, sizeof more, " and %u more", of_link - 1);
    if (of_link == 0 && others == 0)
        snprintf(out, cap, "the network, which knows nobody who has it; the link names no address");
    else if (of_link == 0)
        snprintf(out, cap, "%u node%s that the network named", others, others == 1 ? "" : "s");
    else if (others == 0)
        snprintf(out, cap, "%s%s of the link, and the network, which knows nobody else", first, more);
    else
        snprintf(out, cap, "%s%s of the link, and %u that the network named", first, more, others);
}

/* Our own disk and our own work are no silence of others. */
static void give_up_when_silent(struct fetch *x, const struct overview *o)
{
    char asked[160], part[64] = "";
    core_time now = fetch_now(x);
    int trouble = x->tree ? fetch_tree_trouble(x->tree) : 0;
    if (o->trouble || trouble || o->local || o->finishing || x->task)
        x->progress_at = now;
    if (x->ended || x->timeout == 0 || now - x->progress_at <= x->timeout)
        return;
    say_asked(x, o, asked, sizeof asked);
    if (x->progress_bytes > 0)
        snprintf(part, sizeof part, " What has arrived is kept: the same command goes on from there.");
    fetch_fail(x, ERR_TIMEOUT, "nothing arrived for %" PRIu64 " s. Asked: %s.%s", (uint64_t)(x->timeout / CORE_SECONDS(1)), asked, part);
}

void fetch_poll(struct fetch *x)
{
    struct overview o = {0};
    struct fetch_unit *u;
    if (!x->active)
        return;
    if (x->adopt) {
        snprintf(x->job->message, sizeof x->job->message, "complete; recording it");
        return;
    }
    DL_FOREACH(x->f->units, u)
        if (u->fetch == x)
            look_at(&o, u);
    x->job->peers = o.sessions;
    x->job->seeds = o.seeds;
    x->job->rate = o.rate;
    if (x->unit)
        x->job->bytes_done = o.have;
    if (x->tree)
        fetch_tree_poll(x->tree);
    if (x->ended)
        return;
    notice_progress(x);
    say(x, &o);
    look_for_sources(x, &o);
    if (x->bad_sources > 0 && o.running > 0 && o.sessions == 0 && fetch_now(x) - x->progress_at > LIES_AFTER)
        fetch_fail(x, ERR_BAD_HASH, "the link does not match any content at its sources: %u of them sent data with another hash, and nobody else has it. "
                   "Ask for the link again", x->bad_sources);
    else
        give_up_when_silent(x, &o);
}
