/* Every invariant that can be stated about one node's swarms and sessions. Slow; for tests and the simulator.
 */
#include "transfer/xfer_internal.h"

static void check_heap(const struct xfer *x)
{
    core_assert(x->heap_count <= x->heap_cap);
    for (uint32_t i = 0; i < x->heap_count; i++) {
        core_assert(x->heap[i]->index == i + 1);
        core_assert(i == 0 || x->heap[(i - 1) / 2]->at <= x->heap[i]->at);
    }
}

static void check_channel(const struct session *s, const struct channel *c)
{
    core_assert(c->session == s);
    core_assert(c->ours == ((c->number & 1) == s->incoming));
    core_assert((c->swarm != NULL) == (c->state == CHANNEL_OPENING || c->state == CHANNEL_OPEN));
    core_assert((c->swarm != NULL) == list_linked(&c->in_swarm));
    core_assert(!(c->peer_all && c->map));
    if (!c->swarm)
        return;
    const struct swarm *w = c->swarm;
    uint32_t in_map = 0, useful = 0;
    for (uint32_t i = 0; i < w->chunks && !w->complete; i++) {
        bool has = c->peer_all || (c->map && bit_get(c->map, i));
        in_map += c->map && bit_get(c->map, i);
        useful += has && bit_get(w->want_map, i) && !bit_get(w->have, i);
    }
    core_assert(in_map == c->map_count);
    core_assert(useful == c->useful);
}

static void check_session(const struct xfer *x, const struct session *s)
{
    uint32_t channels = 0, outstanding = 0, urgent = 0, requests = 0, serves = 0, rejects = 0,
             interesting = 0, serving = 0;
    for (uint32_t i = 0; i < s->channel_cap; i++) {
        if (!s->channels[i])
            continue;
        core_assert(s->channels[i]->number == i);
        check_channel(s, s->channels[i]);
        channels++;
        interesting += s->channels[i]->interesting;
        serving += s->channels[i]->serving;
    }
    core_assert(channels == s->channel_count);
    core_assert(interesting == s->interesting);
    core_assert(s->state == SESSION_CLOSING || (serving == 0) == (s->serving_bytes == 0));
    const struct list *lists[] = {&s->unsent, &s->sent};
    for (int k = 0; k < 2; k++) {
        list_each(node, lists[k])
        {
            const struct request *r = list_object(node, struct request, in_session);
            core_assert(r->channel->session == s);
            core_assert(r->channel->swarm != NULL);
            core_assert(r->sent == (k == 1));
            core_assert(r->mask != 0);
            core_assert(partial_get(r->channel->swarm, r->partial->chunk) == r->partial);
            requests++;
            if (!r->expired)
                outstanding += request_bytes(r);
            if (!r->expired && r->urgent)
                urgent += request_bytes(r);
        }
    }
    core_assert(requests == s->request_count);
    core_assert(outstanding == s->outstanding);
    core_assert(urgent == s->urgent_bytes);
    core_assert(requests <= SESSION_REQUESTS_MAX);
    list_each(node, &s->serves) serves += list_object(node, struct serve, in_session)->channel->session == s;
    list_each(node, &s->rejects) rejects++;
    core_assert(serves == s->serve_count);
    core_assert(rejects == s->reject_count);
    core_assert(serves <= SESSION_SERVES_MAX);
    core_assert(!s->slot || s->peer_interested);
    core_assert(!(s->slot && s->choked));
    core_assert(s->state != SESSION_CLOSING || (channels == 0 && requests == 0 && serves == 0));
    core_assert(XFER_SESSION_SLOT(s->number) < x->session_cap);
}

static void check_partial(const struct swarm *w, const struct partial *p)
{
    uint32_t first = p->chunk << w->geometry.chunk_leaves_log2,
             end = first + (1u << w->geometry.chunk_leaves_log2);
    uint32_t missing = 0, free_leaves = 0;
    for (uint32_t i = first; i < end && i < w->geometry.leaf_count; i++) {
        bool want = partial_test(w, p, PARTIAL_WANT, i), have = partial_test(w, p, PARTIAL_HAVE, i);
        bool asked = partial_test(w, p, PARTIAL_ASKED, i),
             verifying = partial_test(w, p, PARTIAL_VERIFYING, i), live = false;
        list_each(node, &p->requests)
        {
            const struct request *r = list_object(node, struct request, in_partial);
            live |= !r->expired && i >= r->leaf && i < r->leaf + r->count && (r->mask >> (i - r->leaf) & 1);
        }
        core_assert(asked == live);
        core_assert(!(have && verifying));
        core_assert(!(have && asked));
        missing += want && !have;
        free_leaves += want && !have && !asked && !verifying;
    }
    core_assert(missing == p->missing);
    core_assert(free_leaves == p->free);
    core_assert(list_linked(&p->in_orphans) == (p->free != 0 && !p->owner));
    core_assert(!p->owner || p->owner->current == p);
}

static void check_swarm(const struct xfer *x, const struct swarm *w)
{
    uint32_t channels = 0, seeds = 0, partials = 0, have = 0, wanted = 0, both = 0;
    list_each(node, &w->channels)
    {
        const struct channel *c = list_object(node, struct channel, in_swarm);
        core_assert(c->swarm == w);
        channels++;
        seeds += c->peer_all;
    }
    core_assert(channels == w->channel_count);
    core_assert(seeds == w->seed_count);
    uint32_t hearsay = 0, places = x->config->candidates_per_swarm_max;
    for (uint32_t i = 0; i < w->candidate_count; i++)
        hearsay += w->candidates[i].source == XFER_SOURCE_GOSSIP || w->candidates[i].source == XFER_SOURCE_INCOMING;
    core_assert(w->candidate_count <= places);
    core_assert(hearsay <= (places + 1) / 2);
    core_assert(w->picking == !w->complete);
    core_assert(list_linked(&w->in_fetching) == !w->complete);
    if (w->complete)
        return;
    picker_check(&w->picker);
    for (uint32_t i = 0; i < w->chunks; i++) {
        const struct partial *p = partial_get(w, i);
        bool here = bit_get(w->have, i), want = bit_get(w->want_map, i);
        core_assert(picker_in(&w->picker, i) == (want && !here && !p));
        core_assert(!(p && here));
        have += here;
        wanted += want;
        both += here && want;
        partials += p != NULL;
        if (p)
            check_partial(w, p);
    }
    core_assert(have == w->have_count);
    core_assert(wanted == w->want_chunks);
    core_assert(both == w->want_have);
    core_assert(both < wanted);
    core_assert(partials == w->partial_count);
}

void xfer_check(const struct xfer *x)
{
    uint32_t sessions = 0, swarms = 0;
    core_assert(!x->out);
    check_heap(x);
    for (uint32_t i = 0; i < x->session_cap; i++) {
        if (!x->sessions[i])
            continue;
        core_assert(XFER_SESSION_SLOT(x->sessions[i]->number) == i);
        check_session(x, x->sessions[i]);
        sessions++;
    }
    core_assert(sessions == x->session_count);
    for (uint32_t i = 0; i < x->swarm_cap; i++) {
        if (!x->swarms[i])
            continue;
        if (!x->swarms[i]->removed)
            check_swarm(x, x->swarms[i]);
        swarms++;
    }
    core_assert(swarms == x->swarm_count);
}
