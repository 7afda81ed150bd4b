/* Sessions fed with strangers' control frames and payload announcements, beside a swarm that is fetched and
 * one that is served; meanwhile this node asks them for services, and answers what they ask. Every invariant
 * is checked after each step, and every message that is read is written back and read again.
 *
 * Input: steps of [kind, size, bytes...]; kind picks what happens with the bytes: bits 0 and 1 what, bit 2 a
 * variant of it, bit 3 which of the two sessions (one that came, one that we dialled).
 *
 * With SHOAL_FUZZ_COUNT in the environment it prints at its end how often each service was reached. */
#include <stdio.h>
#include <stdlib.h>
#include "transfer/message.h"
#include "transfer/xfer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct effect items[128];
static uint8_t area[32768];
static struct effects out;
static struct xfer *x;
static core_time now;
static uint32_t session, sessions[2], swarms[2];
static uint8_t answers; /* bits from the input: how this node and those it dials answer */

static struct { /* over all inputs of this process */
    uint64_t find_asked, find_answered, find_results, dialbacks, dialbacks_good, probes, apps, ups;
} reached;

static void print_reached(void)
{
    fprintf(stderr,
            "reached: find asked %lu, answered %lu, results %lu; dial-back results %lu, of these good %lu; "
            "probes %lu; "
            "application messages %lu; sessions up %lu\n",
            (unsigned long)reached.find_asked, (unsigned long)reached.find_answered,
            (unsigned long)reached.find_results, (unsigned long)reached.dialbacks,
            (unsigned long)reached.dialbacks_good, (unsigned long)reached.probes, (unsigned long)reached.apps,
            (unsigned long)reached.ups);
}

static void notice(const struct effect *e)
{
    switch (e->u.notice.kind) {
    case XFER_NOTICE_FIND_ASKED: /* at once, later (when the time is over), or never */
        reached.find_asked++;
        if (answers & 1) {
            xfer_answer_find(x, now, e->u.notice.op, (uint32_t)e->u.notice.a, answers, &out);
            reached.find_answered++;
        }
        break;
    case XFER_NOTICE_FIND_RESULT:
        reached.find_results++;
        break;
    case XFER_NOTICE_DIALBACK:
        reached.dialbacks++;
        reached.dialbacks_good += e->u.notice.status == 0;
        break;
    case XFER_NOTICE_APP:
        reached.apps++;
        break;
    case XFER_NOTICE_SESSION_UP:
        reached.ups++;
        break;
    default:
        break;
    }
}

/* Every dial of a probe or to a source: refused, connected and refused, or connected for good. */
static void dialled(const struct effect *e)
{
    static const uint8_t binding[HASH_SIZE] = {4};
    uint32_t number = e->u.dial.session;
    reached.probes++;
    if (answers & 2)
        xfer_session_dialled(x, now, number, binding, &out);
    if ((answers & 6) == 6) {
        effects_reset(&out);
        xfer_session_established(x, now, number, &out);
    } else {
        effects_reset(&out);
        xfer_session_closed(x, now, number, ERR_REFUSED, &out);
    }
}

static void carry_out(void)
{
    for (int round = 0; round < 20 && out.count; round++) {
        struct effect copy[128];
        uint32_t count = out.count;
        memcpy(copy, out.items, count * sizeof *copy);
        for (uint32_t i = 0; i < count; i++) {
            effects_reset(&out);
            struct effect *e = &copy[i];
            if (e->kind == EFFECT_CONTENT)
                xfer_content_answer(x, now, e->u.content.session, e->u.content.channel,
                                    swarms[e->u.content.channel & 1], &out);
            else if (e->kind == EFFECT_SERVE)
                xfer_served(x, now, e->u.serve.session, e->u.serve.channel, e->u.serve.leaf, e->u.serve.count,
                            e->u.serve.count * 16384, e->u.serve.leaf % 7 == 6 ? ERR_IO : 0, &out);
            else if (e->kind == EFFECT_HANGUP)
                xfer_session_closed(x, now, e->u.hangup.session, e->u.hangup.reason, &out);
            else if (e->kind == EFFECT_DIAL)
                dialled(e);
            else if (e->kind == EFFECT_NOTICE)
                notice(e);
        }
    }
    effects_reset(&out);
    xfer_check(x);
}

/* decode -> encode -> decode -> encode: the same bytes both times, whatever unknown keys the first had. */
static void round_trip(const uint8_t *data, size_t size)
{
    static struct message m, again;
    static uint8_t one[8192], two[8192];
    struct wire w;
    wire_init(&w, data, size);
    while (message_read(&w, &m)) {
        struct pack p, q;
        struct wire v;
        if ((m.type > MESSAGE_LENT && m.type < MESSAGE_SERVICES) || m.type > MESSAGE_UNSUPPORTED)
            continue;
        pack_init(&p, one, sizeof one);
        if (!message_write(&p, &m))
            abort();
        wire_init(&v, one, p.size);
        if (!message_read(&v, &again) || !wire_done(&v))
            abort();
        pack_init(&q, two, sizeof two);
        if (!message_write(&q, &again) || q.size != p.size || memcmp(one, two, p.size) != 0)
            abort();
    }
}

static uint32_t add(struct content_id *id, bool complete)
{
    struct xfer_swarm_params p = {.id = *id, .ref = 1, .complete = complete};
    memcpy(p.provider_key, id->root, HASH_SIZE);
    xfer_geometry_content(&p.geometry, id->size);
    return xfer_swarm_add(x, now, &p, &out);
}

static void payload(const uint8_t *b, size_t size)
{
    uint32_t swarm = 0, ref = 0;
    if (size < 4)
        return;
    uint32_t leaf = get_be16(b + 1) % 300, count = b[3] % 4;
    if (b[3] & 0x80) {
        if (xfer_proof_arrived(x, now, session, b[0], leaf, (b[3] & 0x7f) * 32u, &swarm, &ref, &out) == 0)
            xfer_proof_result(x, now, swarm, session, leaf, b[0] & 8 ? ERR_BAD_HASH : 0, &out);
    } else if (xfer_leaves_arrived(x, now, session, b[0], leaf, count, count * 16384u, &swarm, &ref, &out) ==
               0) {
        effects_reset(&out);
        bool good = !(b[0] & 16);
        xfer_leaves_result(x, now, swarm, session, leaf, count, good ? 7 : 0, good ? 0 : ERR_BAD_HASH, &out);
    }
}

/* What this node's owner may ask for at any time. */
static void ask(const uint8_t *b, size_t size)
{
    static const uint8_t key[HASH_SIZE] = {8};
    struct net_addr elsewhere = net_addr_v4(10, 0, 0, 2, 9);
    uint8_t what = size ? b[0] : 0;
    switch (what % 8) {
    case 0:
    case 1:
        xfer_ask_find(x, now, session, key, 1 + what / 8u, &out);
        break;
    case 2:
    case 3:
        xfer_ask_dialback(x, now, session, 1 + what / 8u, &out);
        break;
    case 4:
        xfer_send_app(x, now, session, bytes_of(b, size < MESSAGE_APP_MAX ? size : MESSAGE_APP_MAX), &out);
        break;
    case 5:
        sessions[1] = xfer_session_dial(x, now, key, &elsewhere, &out);
        break;
    case 6:
        xfer_session_closed(x, now, session, ERR_CLOSED, &out);
        break;
    default:
        xfer_session_confirmed(x, now, session, &out);
    }
}

static void step(uint8_t kind, const uint8_t *b, size_t size)
{
    uint8_t buf[2048];
    session = sessions[kind >> 3 & 1];
    answers = kind >> 4;
    if ((kind & 7) == 6) {
        ask(b, size);
        carry_out();
        return;
    }
    switch (kind % 4) {
    case 0:
        round_trip(b, size);
        xfer_session_recv(x, now, session, b, size, &out);
        break;
    case 1:
        payload(b, size);
        break;
    case 2:
        while (xfer_session_write(x, now, session, buf, sizeof buf))
            ;
        break;
    default:
        now += CORE_MS(kind) * 10;
        xfer_wake(x, now, &out);
    }
    carry_out();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct xfer_config config;
    static struct node_identity me;
    static struct network network;
    static const uint8_t seed[32] = {5}, peer[32] = {9};
    static bool counting;
    if (!counting && getenv("SHOAL_FUZZ_COUNT"))
        atexit(print_reached);
    counting = true;
    xfer_config_default(&config);
    struct xfer_env env = {&config, &core_crypto_cheap, &core_alloc_libc};
    core_crypto_cheap.identity(&me, seed);
    effects_init(&out, items, 128, area, sizeof area);
    now = CORE_SECONDS(1);
    x = xfer_new(&env, &me, &network, seed, now);
    struct content_id ids[2] = {{.size = 4000000, .root = {1}}, {.size = 4000000, .root = {2}}};
    struct net_addr from = net_addr_v4(10, 0, 0, 1, 9);
    swarms[0] = add(&ids[0], true);
    swarms[1] = add(&ids[1], false);
    sessions[0] = xfer_session_accept(x, now, &from, peer, peer, &out);
    sessions[1] = 0;
    xfer_swarm_peer(x, now, swarms[1], peer, &from, XFER_SOURCE_DHT, &out);
    carry_out();
    while (size >= 2) {
        size_t n = data[1] * 4u < size - 2 ? data[1] * 4u : size - 2;
        step(data[0], data + 2, n);
        data += 2 + n;
        size -= 2 + n;
    }
    xfer_free(x);
    return 0;
}
