#include "transfer/rate.h"
#include "node/base/assert.h"

#define METER_SPAN CORE_SECONDS(3)
#define METER_STEP CORE_MS(250)
#define BURST      CORE_MS(100) /* what an idle bucket saves up */
/* What a debt may take to pay: 64 KiB at 1 byte/s take 18 h. Keeps products in range. */
#define LONGEST   CORE_HOURS(24)
#define FLOW_STEP CORE_MS(20) /* shortest time over which a delivery rate means anything */

void bucket_set(struct bucket *b, core_time now, uint64_t rate)
{
    b->rate = rate;
    b->at = now;
    b->tokens = 0;
}

static void refill(struct bucket *b, core_time now)
{
    if (now <= b->at)
        return;
    uint64_t rate = b->rate < UINT64_MAX / CORE_SECONDS(10) ? b->rate : UINT64_MAX / CORE_SECONDS(10);
    int64_t most = (int64_t)(rate / (CORE_SECONDS(1) / BURST)) + 1;
    core_time passed = now - b->at;
    if (passed > LONGEST) {
        passed = LONGEST;
        b->at = now - passed;
    }
    uint64_t more = rate * (passed / CORE_SECONDS(1)) + rate * (passed % CORE_SECONDS(1)) / CORE_SECONDS(1);
    if (more == 0)
        return;
    /* What is left over of a microsecond counts next time. */
    b->at += more / rate * CORE_SECONDS(1) + (more % rate * CORE_SECONDS(1) + rate - 1) / rate;
    if (b->at > now)
        b->at = now;
    b->tokens += (int64_t)more;
    if (b->tokens > most) {
        b->tokens = most;
        b->at = now;
    }
}

bool bucket_open(struct bucket *b, core_time now)
{
    if (b->rate == 0)
        return true;
    refill(b, now);
    return b->tokens > 0;
}

void bucket_spend(struct bucket *b, int64_t bytes)
{
    if (b->rate != 0)
        b->tokens -= bytes;
}

core_time bucket_next(const struct bucket *b, core_time now)
{
    if (b->rate == 0 || b->tokens > 0)
        return now;
    uint64_t missing = (uint64_t)(1 - b->tokens);
    core_time wait =
        missing > UINT64_MAX / CORE_SECONDS(1) ? CORE_SECONDS(3600) : missing * CORE_SECONDS(1) / b->rate + 1;
    core_time at = core_time_add(b->at, wait);
    return at > now ? at : now + 1;
}

void meter_add(struct meter *m, core_time now, uint64_t bytes)
{
    if (m->at == 0 || now < m->at) {
        m->at = now;
    } else if (now - m->at >= METER_STEP) {
        m->rate = meter_rate(m, now);
        m->bytes = 0;
        m->at = now;
    }
    m->bytes += bytes;
}

uint64_t meter_rate(const struct meter *m, core_time now)
{
    if (m->at == 0 || now <= m->at)
        return m->rate;
    core_time passed = now - m->at;
    if (passed >= METER_SPAN)
        return m->bytes * CORE_SECONDS(1) / passed;
    uint64_t fresh = m->bytes * CORE_SECONDS(1);
    return (m->rate * (METER_SPAN - passed) + fresh) / METER_SPAN;
}

void flow_start(struct flow *f, core_time now)
{
    f->at = now;
    f->bytes = 0;
}

bool flow_add(struct flow *f, core_time now, uint64_t bytes, core_time round)
{
    f->bytes += bytes;
    core_time step = round > FLOW_STEP ? round : FLOW_STEP;
    if (now < f->at + step)
        return false;
    uint64_t sample = f->bytes * CORE_SECONDS(1) / (now - f->at);
    f->rate = sample > f->rate ? sample : (f->rate * 7 + sample) / 8;
    if (f->rate == 0)
        f->rate = 1;
    flow_start(f, now);
    return true;
}
