/* Who is served. While fewer peers want something than there are slots, everybody is. Otherwise every choke
 * period those who gave us most keep a slot, the rest of the slots goes round by waiting time (so a seed
 * serves everybody alike), and one goes to somebody at random, newcomers three times as likely, so that a
 * better partner can be found (FIELD.md, "Choking"). */
#include "transfer/xfer_internal.h"

#define NEWCOMER CORE_SECONDS(60)
#define SLOT_SHORTEST                                                                                        \
    CORE_SECONDS(20) /* a slot is kept this long before it goes round: windows need time to open */

static bool wants_slot(const struct session *s)
{
    return s && s->state == SESSION_OPEN && s->peer_interested;
}

static void choke(struct xfer *x, struct session *s, bool choked)
{
    if (s->choked == choked)
        return;
    s->choked = choked;
    session_wants_write(x, s);
    if (choked)
        serve_reject_all(x, s, REJECT_CHOKED);
}

static void give_slot(struct xfer *x, struct session *s)
{
    s->slot = true;
    s->slot_since = x->now;
    choke(x, s, false);
}

static void take_slot(struct xfer *x, struct session *s)
{
    s->slot = s->optimistic = false;
    s->waiting_since = x->now;
    choke(x, s, true);
}

void choker_interest(struct xfer *x, struct session *s, bool interested)
{
    if (s->peer_interested == interested)
        return;
    s->peer_interested = interested;
    s->waiting_since = x->now;
    if (!interested)
        s->slot = s->optimistic = false;
    x->choke_dirty = true;
}

void choker_closed(struct xfer *x, struct session *s)
{
    if (s->peer_interested)
        x->choke_dirty = true;
    s->peer_interested = s->slot = s->optimistic = false;
}

static struct session *longest_waiting(struct xfer *x)
{
    struct session *best = NULL;
    for (uint32_t i = 0; i < x->session_cap; i++) {
        struct session *s = x->sessions[i];
        if (wants_slot(s) && !s->slot && (!best || s->waiting_since < best->waiting_since))
            best = s;
    }
    return best;
}

/* Free slots go at once to those who wait longest; who finds none is told. */
void choker_update(struct xfer *x)
{
    uint32_t taken = 0, waiting = 0;
    x->choke_dirty = false;
    for (uint32_t i = 0; i < x->session_cap; i++) {
        taken += wants_slot(x->sessions[i]) && x->sessions[i]->slot;
        waiting += wants_slot(x->sessions[i]) && !x->sessions[i]->slot;
    }
    for (; taken < x->config->unchoked_max && waiting > 0; taken++, waiting--)
        give_slot(x, longest_waiting(x));
    if (waiting == 0)
        return;
    for (uint32_t i = 0; i < x->session_cap; i++)
        if (wants_slot(x->sessions[i]) && !x->sessions[i]->slot)
            choke(x, x->sessions[i], true);
    if (x->choke_timer.index == 0) {
        x->choke_at = x->now + x->config->choke_period;
        if (x->optimistic_at < x->now)
            x->optimistic_at = x->now + x->config->optimistic_period;
        timer_set(x, &x->choke_timer, x->choke_at);
    }
}

static uint64_t given(const struct session *s)
{
    return s->got_period + s->got_before;
}

/* What the best `regular` givers gave least: who gave that much has earned a slot. 0 = nobody gave anything.
 */
static uint64_t earned_threshold(struct xfer *x, uint32_t regular)
{
    uint64_t below = UINT64_MAX;
    for (uint32_t taken = 0; taken < regular; taken++) {
        uint64_t most = 0;
        for (uint32_t i = 0; i < x->session_cap; i++)
            if (wants_slot(x->sessions[i]) && given(x->sessions[i]) < below && given(x->sessions[i]) > most)
                most = given(x->sessions[i]);
        if (most == 0)
            break;
        below = most;
    }
    return below;
}

static struct session *pick_optimistic(struct xfer *x)
{
    uint32_t weight = 0;
    for (int pass = 0; pass < 2; pass++) {
        uint32_t at = pass ? rng_below(&x->rng, weight) : 0;
        for (uint32_t i = 0; i < x->session_cap; i++) {
            struct session *s = x->sessions[i];
            if (!wants_slot(s) || s->slot)
                continue;
            uint32_t own = x->now < s->since + NEWCOMER ? 3 : 1;
            if (pass && at < own)
                return s;
            if (pass)
                at -= own;
            else
                weight += own;
        }
        if (weight == 0)
            break;
    }
    return NULL;
}

static void rotate_optimistic(struct xfer *x)
{
    x->optimistic_at = x->now + x->config->optimistic_period;
    for (uint32_t i = 0; i < x->session_cap; i++)
        if (x->sessions[i] && x->sessions[i]->optimistic)
            take_slot(x, x->sessions[i]);
    for (uint32_t n = 0; n < x->config->optimistic_max; n++) {
        struct session *s = pick_optimistic(x);
        if (!s)
            return;
        give_slot(x, s);
        s->optimistic = true;
    }
}

/* One slot changes hands: from the one who has had it longest without having earned it, to the one who earned
 * it or waits longest. */
static struct session *give_up(struct xfer *x, uint64_t threshold, bool for_earner)
{
    struct session *worst = NULL;
    for (uint32_t i = 0; i < x->session_cap; i++) {
        struct session *s = x->sessions[i];
        if (!wants_slot(s) || !s->slot || s->optimistic || given(s) >= threshold)
            continue;
        if (!for_earner && x->now < s->slot_since + SLOT_SHORTEST)
            continue;
        if (!worst || s->slot_since < worst->slot_since)
            worst = s;
    }
    return worst;
}

static struct session *earner_waiting(struct xfer *x, uint64_t threshold)
{
    for (uint32_t i = 0; i < x->session_cap; i++)
        if (wants_slot(x->sessions[i]) && !x->sessions[i]->slot && given(x->sessions[i]) >= threshold)
            return x->sessions[i];
    return NULL;
}

static void rotate_regular(struct xfer *x)
{
    uint32_t optimistic = x->config->optimistic_max, all = x->config->unchoked_max;
    uint64_t threshold = earned_threshold(x, all > optimistic ? all - optimistic : 1);
    for (struct session *s; (s = earner_waiting(x, threshold));) {
        struct session *worst = give_up(x, threshold, true);
        if (!worst)
            break;
        take_slot(x, worst);
        give_slot(x, s);
    }
    for (uint32_t n = 0; n < all; n++) {
        struct session *worst = give_up(x, threshold, false), *s = longest_waiting(x);
        if (!worst || !s || s->waiting_since == x->now)
            break;
        take_slot(x, worst);
        give_slot(x, s);
    }
}

void choker_timer(struct xfer *x)
{
    if (x->now >= x->optimistic_at)
        rotate_optimistic(x);
    rotate_regular(x);
    for (uint32_t i = 0; i < x->session_cap; i++) {
        struct session *s = x->sessions[i];
        if (!s)
            continue;
        s->got_before = s->got_period;
        s->got_period = 0;
    }
    choker_update(x); /* free slots; and the next period while somebody waits */
}
