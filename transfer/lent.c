/* A seed's first copy. While a crowd fetches from one seed, what the seed gives twice is what the crowd waits
 * for: its uplink is the bound (max{F/us, ...}, Kumar and Ross 2006). Peers that ask a seed see only who
 * *has* a chunk, so until the first has it whole others pick it too. A seed therefore tells all its peers
 * which chunks are on their way to somebody (message `lent`), and they count one copy more. It is a hint: who
 * does not know it, or lies with it, changes only the order in which chunks are picked.
 *
 * What it lent it also sees come back, as the `have` of others. Whoever keeps what he gets to himself runs
 * into debt, and the choker serves him when nobody else waits: with the first copy he would take the crowd's
 * time with him. */
#include "transfer/xfer_internal.h"

#define LENT_PEERS 2 /* one peer alone has nobody to hear it of */

static void lent_add(struct xfer *x, struct swarm *w, uint32_t entry)
{
    if (w->lent_count == w->lent_cap)
        return; /* twice per chunk: who comes and goes that often is told no more */
    w->lent_log[w->lent_count++] = entry;
    list_each(node, &w->channels)
    {
        struct channel *c = list_object(node, struct channel, in_swarm);
        if (c->state == CHANNEL_OPEN)
            channel_todo(x, c, 0);
    }
}

static bool lent_ready(struct xfer *x, struct swarm *w)
{
    if (!w->complete || w->pack || w->removed || w->chunks < 2)
        return false;
    if (w->lent)
        return true;
    if (w->channel_count < LENT_PEERS)
        return false;
    w->lent = xfer_alloc(x, bit_bytes(w->chunks));
    w->lent_log = xfer_alloc(x, 2 * (size_t)w->chunks * sizeof *w->lent_log);
    w->lent_to = xfer_alloc(x, w->chunks * sizeof *w->lent_to);
    w->lent_cap = w->lent_log ? 2 * w->chunks : 0;
    if (w->lent && w->lent_log && w->lent_to)
        return true;
    lent_free(x, w);
    return false;
}

void lent_note(struct xfer *x, struct channel *c, uint32_t chunk)
{
    struct swarm *w = c->swarm;
    if (!lent_ready(x, w) || bit_get(w->lent, chunk))
        return;
    bit_set(w->lent, chunk);
    w->lent_to[chunk] = c->session->number;
    c->session->debt++;
    lent_add(x, w, chunk);
}

/* Whoever it was lent to has passed it on. */
static void debt_paid(struct xfer *x, struct swarm *w, uint32_t chunk)
{
    struct session *s = session_get(x, w->lent_to[chunk]);
    w->lent_to[chunk] = 0;
    if (s && s->debt != 0)
        s->debt--;
}

void lent_seen(struct xfer *x, struct channel *c, uint32_t chunk)
{
    struct swarm *w = c->swarm;
    if (w->lent && w->lent_to[chunk] != 0 && w->lent_to[chunk] != c->session->number)
        debt_paid(x, w, chunk);
}

void lent_back(struct xfer *x, struct channel *c, uint32_t chunk)
{
    struct swarm *w = c->swarm;
    if (!w->lent || !bit_get(w->lent, chunk) || w->lent_to[chunk] != c->session->number)
        return; /* or somebody else has it by now */
    bit_clear(w->lent, chunk);
    debt_paid(x, w, chunk);
    lent_add(x, w, chunk | LENT_BACK);
}

void lent_call_in(struct xfer *x, struct session *s)
{
    for (uint32_t i = 0; i < s->channel_cap; i++) {
        struct channel *c = s->channels[i];
        for (uint32_t k = 0; c && c->swarm && c->swarm->lent && k < c->swarm->chunks; k++)
            if (c->swarm->lent_to[k] == s->number) {
                lent_back(x, c, k);
                s->debt_called++;
            }
    }
}

void lent_free(struct xfer *x, struct swarm *w)
{
    xfer_free_memory(x, w->lent, bit_bytes(w->chunks));
    xfer_free_memory(x, w->lent_log, 2 * (size_t)w->chunks * sizeof *w->lent_log);
    xfer_free_memory(x, w->lent_to, w->chunks * sizeof *w->lent_to);
    w->lent = NULL;
    w->lent_log = w->lent_to = NULL;
    w->lent_count = w->lent_cap = 0;
}

bool lent_write(struct channel *c, struct pack *p)
{
    const struct swarm *w = c->swarm;
    if (c->state != CHANNEL_OPEN)
        return true;
    while (c->lent_cursor < w->lent_count) {
        bool back = w->lent_log[c->lent_cursor] & LENT_BACK;
        struct message m = {.type = MESSAGE_LENT, .channel = c->number, .on = back};
        size_t fit = (p->cap - p->size) / 5;
        uint32_t most = fit > MESSAGE_HAVES_MAX + 4 ? MESSAGE_HAVES_MAX : 32;
        while (m.chunk_count < most && c->lent_cursor + m.chunk_count < w->lent_count) {
            uint32_t entry = w->lent_log[c->lent_cursor + m.chunk_count];
            if (back != ((entry & LENT_BACK) != 0))
                break;
            m.chunks[m.chunk_count++] = entry & ~LENT_BACK;
        }
        if (!message_write(p, &m))
            return false;
        c->lent_cursor += m.chunk_count;
    }
    return true;
}

/* ---- The other side ---- */

bool lent_message(struct xfer *x, struct channel *c, const struct message *m)
{
    struct swarm *w = c->swarm;
    for (uint32_t i = 0; i < m->chunk_count; i++)
        if (m->chunks[i] >= w->chunks)
            return false;
    if (w->complete || !c->peer_all)
        return true;
    if (!c->lent)
        c->lent = xfer_alloc(x, bit_bytes(w->chunks));
    for (uint32_t i = 0; c->lent && i < m->chunk_count; i++) {
        uint32_t chunk = m->chunks[i];
        if (bit_get(c->lent, chunk) == !m->on)
            continue;
        if (m->on) {
            bit_clear(c->lent, chunk);
            picker_less(&w->picker, chunk);
        } else {
            bit_set(c->lent, chunk);
            picker_more(&w->picker, chunk);
        }
    }
    return true;
}

void lent_forget(struct xfer *x, struct channel *c)
{
    struct swarm *w = c->swarm;
    for (uint32_t i = 0; c->lent && w->picking && i < w->chunks; i++)
        if (bit_get(c->lent, i))
            picker_less(&w->picker, i);
    xfer_free_memory(x, c->lent, bit_bytes(w->chunks));
    c->lent = NULL;
}
