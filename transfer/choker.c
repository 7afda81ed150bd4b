/* Who is served. While fewer peers want something than there are slots, everybody is. Otherwise every choke
 * period those who gave us most keep a slot, the rest of the slots goes round by waiting time (so a seed
 * serves everybody alike; elsewhere those who give anything come first), and one goes to somebody at random, newcomers and givers three
 * times as likely, so that a better partner can be found (FIELD.md, "Choking"). */
#include "transfer/xfer_internal.h"

#define NEWCOMER       CORE_SECONDS(60)
#define NEWCOMER_BYTES (1u << 20) /* who got that much from us has something to give */
#define IDLE_PATIENCE CORE_MS(250) /* a round trip between two requests is no idleness */
#define IDLE_SLOTS    8            /* times as many slots while the uplink is idle */
#define SLOT_RATE     (64u << 10)  /* [bytes/s] that a slot should be worth */
#define SLOTS_LEAST   4u
#define LIES_FREE     4u           /* runs refused of chunks it said it has */
#define SLOT_SHORTEST                                                                                        \
    CORE_SECONDS(20) /* a slot is kept this long before it goes round: windows need time to open */

static bool free_rider(const struct session *s)
{
    return s->debt + s->debt_called > DEBT_FREE || s->lies > LIES_FREE;
}

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
        serve_choked(x, s);
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
    if (free_rider(s))
        lent_call_in(x, s);
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

static uint64_t given(const struct session *s)
{
    return s->got_period + s->got_before;
}

/* Those who give to us come first, those who keep to themselves what a seed gives them (lent.c) come last. */
static int standing(const struct session *s)
{
    return free_rider(s) ? 0 : given(s) != 0 ? 2 : 1;
}

static struct session *longest_waiting(struct xfer *x)
{
    struct session *best = NULL;
    for (uint32_t i = 0; i < x->session_cap; i++) {
        struct session *s = x->sessions[i];
        if (!wants_slot(s) || s->slot)
            continue;
        int order = best ? standing(s) - standing(best) : 1;
        if (order > 0 || (order == 0 && s->waiting_since < best->waiting_since))
            best = s;
    }
    return best;
}

static uint32_t slots_taken(const struct xfer *x, uint32_t *waiting)
{
    uint32_t taken = 0;
    *waiting = 0;
    for (uint32_t i = 0; i < x->session_cap; i++) {
        taken += wants_slot(x->sessions[i]) && x->sessions[i]->slot;
        *waiting += wants_slot(x->sessions[i]) && !x->sessions[i]->slot;
    }
    return taken;
}

/* As many as the uplink can give a decent rate each: what a slow one gives eight at a time reaches eight peers eight times as late, and
 * nobody has a chunk whole to pass on meanwhile. */
static uint32_t slots_wanted(const struct xfer *x)
{
    uint64_t rate = x->upload.rate && (!x->uplink_rate || x->upload.rate < x->uplink_rate) ? x->upload.rate : x->uplink_rate;
    uint64_t slots = rate / SLOT_RATE;
    if (rate == 0 || slots > x->config->unchoked_max)
        return x->config->unchoked_max;
    uint32_t least = x->config->unchoked_max < SLOTS_LEAST ? x->config->unchoked_max : SLOTS_LEAST;
    return slots < least ? least : (uint32_t)slots;
}

static void fill_slots(struct xfer *x, uint32_t most)
{
    uint32_t waiting, taken = slots_taken(x, &waiting);
    for (; taken < most && waiting > 0; taken++, waiting--)
        give_slot(x, longest_waiting(x));
    x->choke_waiting = waiting;
}

/* Free slots go at once to those who wait longest; who finds none is told. */
void choker_update(struct xfer *x)
{
    x->choke_dirty = false;
    fill_slots(x, slots_wanted(x));
    if (x->choke_waiting == 0)
        return;
    for (uint32_t i = 0; i < x->session_cap; i++)
        if (wants_slot(x->sessions[i]) && !x->sessions[i]->slot)
            choke(x, x->sessions[i], true);
    if (x->choke_timer.index == 0) {
        x->choke_at = x->now + x->config->choke_period;
        if (x->optimistic_at < x->now)
            x->optimistic_at = x->now + x->config->optimistic_period;
        x->period_bytes = x->bytes_up;
        x->idle_sum = 0;
        timer_set(x, &x->choke_timer, x->choke_at);
    }
}

/* What the best `regular` givers gave least: who gave that much has earned a slot. Nobody gave anything: more than
 * anybody did. */
static uint64_t earned_threshold(struct xfer *x, uint32_t regular)
{
    uint64_t below = UINT64_MAX;
    for (uint32_t taken = 0; taken < regular;) {
        uint64_t most = 0;
        uint32_t gave_it = 0; /* many may have given the same */
        for (uint32_t i = 0; i < x->session_cap; i++) {
            uint64_t gave = wants_slot(x->sessions[i]) ? given(x->sessions[i]) : 0;
            if (gave >= below || gave < most)
                continue;
            gave_it = gave == most ? gave_it + 1 : 1;
            most = gave;
        }
        if (most == 0)
            break;
        below = most;
        taken += gave_it;
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
            if (!wants_slot(s) || s->slot || free_rider(s))
                continue;
            bool newcomer = x->now < s->since + NEWCOMER && s->bytes_up < NEWCOMER_BYTES;
            uint32_t own = newcomer || given(s) != 0 ? 3 : 1;
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
    uint32_t optimistic = x->config->optimistic_max, all = slots_wanted(x);
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

/* ---- An idle uplink: slots ration what is scarce. When all who hold one have nothing to ask, everybody may ask, and the slots shrink back
 * once nothing is idle any more. ---- */

static bool uplink_idle(const struct xfer *x)
{
    return x->at_host == 0 && list_empty(&x->serving);
}

void choker_uplink(struct xfer *x)
{
    if (!uplink_idle(x)) {
        if (x->idle_since != CORE_NEVER)
            x->idle_sum += x->now - x->idle_since;
        x->idle_since = CORE_NEVER;
        return;
    }
    if (x->idle_since == CORE_NEVER)
        x->idle_since = x->now;
    if (x->choke_waiting != 0 && x->idle_extra < IDLE_SLOTS * x->config->unchoked_max) {
        core_time from = x->idle_since > x->idle_tried ? x->idle_since : x->idle_tried;
        timer_sooner(x, &x->choke_timer, core_time_add(from, IDLE_PATIENCE));
    }
}

static void use_idle(struct xfer *x)
{
    core_time from = x->idle_since > x->idle_tried ? x->idle_since : x->idle_tried;
    if (x->idle_since != CORE_NEVER && x->now >= core_time_add(from, IDLE_PATIENCE)) {
        uint32_t waiting, taken = slots_taken(x, &waiting);
        fill_slots(x, taken + 1);
        x->idle_extra++;
        x->idle_tried = x->now;
    }
    timer_set(x, &x->choke_timer, x->choke_waiting ? x->choke_at : CORE_NEVER);
}

/* What this period said of the uplink: of a busy one how fast it is, of an idle one that it is at least as fast as that. */
static bool period_ended(struct xfer *x)
{
    if (x->idle_since != CORE_NEVER)
        x->idle_sum += x->now - x->idle_since;
    bool busy = x->idle_sum < x->config->choke_period / 20;
    uint64_t rate = (x->bytes_up - x->period_bytes) * CORE_SECONDS(1) / x->config->choke_period;
    if (busy || rate > x->uplink_rate)
        x->uplink_rate = rate;
    x->period_bytes = x->bytes_up;
    x->idle_sum = x->idle_extra = 0;
    if (x->idle_since != CORE_NEVER)
        x->idle_since = x->now;
    return busy;
}

static void shrink_slots(struct xfer *x)
{
    uint32_t waiting, taken = slots_taken(x, &waiting), most = slots_wanted(x);
    uint64_t threshold = earned_threshold(x, most);
    for (struct session *s; taken > most && (s = give_up(x, threshold, true)); taken--)
        take_slot(x, s);
}

void choker_timer(struct xfer *x)
{
    if (x->now < x->choke_at) {
        use_idle(x);
        return;
    }
    if (period_ended(x))
        shrink_slots(x);
    if (x->now >= x->optimistic_at)
        rotate_optimistic(x);
    rotate_regular(x);
    for (uint32_t i = 0; i < x->session_cap; i++) {
        struct session *s = x->sessions[i];
        if (!s)
            continue;
        s->got_before = s->got_period;
        s->got_period = 0;
        s->debt_called -= s->debt_called != 0; /* forgiven one by one */
    }
    choker_update(x); /* free slots; and the next period while somebody waits */
}
