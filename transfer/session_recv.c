/* Control bytes that arrive. A frame may hold thousands of messages: whatever each may cause is a change of
 * state or a bounded notice. */
#include "transfer/xfer_internal.h"

void session_maybe_up(struct xfer *x, struct session *s)
{
    if (s->up_told || !s->hello_got || s->state != SESSION_OPEN)
        return;
    s->up_told = true;
    struct effect *e = xfer_notice(x, XFER_NOTICE_SESSION_UP, s->number);
    e->u.notice.a = s->dial_addr.port != 0;
    memcpy(e->u.notice.node.key, s->key, NODE_KEY_SIZE);
    e->u.notice.node.addr = s->dial_addr.port ? s->dial_addr : s->addr;
    session_arm(x, s);
}

static void copy_agent(char out[MESSAGE_AGENT_MAX + 1], struct bytes agent)
{
    size_t n = 0;
    for (; n < agent.size && n < MESSAGE_AGENT_MAX; n++) /* a stranger's text: printable ASCII only */
        out[n] = agent.data[n] >= 0x20 && agent.data[n] < 0x7f ? (char)agent.data[n] : '?';
    out[n] = 0;
}

static bool hello(struct xfer *x, struct session *s, const struct message *m)
{
    if (m->version < SESSION_VERSION)
        return false;
    if (s->hello_got)
        return true;
    s->hello_got = true;
    s->listed = !(m->flags & HELLO_DO_NOT_LIST);
    copy_agent(s->agent, m->bytes);
    if (s->incoming) {
        s->dial_addr = s->addr;
        s->dial_addr.port = (uint16_t)m->port;
    }
    session_maybe_up(x, s);
    if (m->has_addr && net_addr_scope(&m->addr) != NET_SCOPE_INVALID) {
        struct effect *e = xfer_notice(x, XFER_NOTICE_OBSERVED, s->number);
        memcpy(e->u.notice.node.key, s->key, NODE_KEY_SIZE);
        e->u.notice.node.addr = m->addr;
    }
    return true;
}

static void peer_chokes(struct xfer *x, struct session *s, bool on, bool finishes)
{
    s->peer_choking = on;
    s->peer_finishes = on && finishes;
    if (!on) {
        s->stalled = false;
        list_each(node, &x->fetching)
        {
            struct channel *c = channel_of(s, list_object(node, struct swarm, in_fetching));
            if (c)
                channel_may_fetch(x, c);
        }
    } else { /* what was not sent yet need not be; what was sent is answered or rejected one by one */
        while (!list_empty(&s->unsent))
            request_free(x, list_object(s->unsent.next, struct request, in_session));
        session_fill_later(x, s); /* the rest of a chunk that may be finished */
    }
}

/* False: malformed. */
static bool dispatch(struct xfer *x, struct session *s, const struct message *m)
{
    switch (m->type) {
    case MESSAGE_HELLO:
        return hello(x, s, m);
    case MESSAGE_INTEREST:
        choker_interest(x, s, m->on);
        return true;
    case MESSAGE_CHOKE:
        peer_chokes(x, s, m->on, m->finish);
        return true;
    case MESSAGE_PING:
        s->pong_due = true;
        s->pong_id = m->id;
        session_wants_write(x, s);
        return true;
    case MESSAGE_PONG:
        if (s->ping_out && m->id == s->ping_id) {
            s->ping_out = false;
            session_rtt(x, s, x->now - s->ping_sent);
        }
        return true;
    default:
        break;
    }
    if (m->type >= MESSAGE_SERVICES)
        return service_message(x, s, m);
    return m->type > MESSAGE_LENT || channel_message(x, s, m); /* unknown types are for a later version */
}

int xfer_session_recv(struct xfer *x, core_time now, uint32_t session, const uint8_t *data, size_t size,
                      struct effects *out)
{
    xfer_enter(x, now, out);
    int result = 0;
    struct session *s = session_live(x, session);
    if (s) {
        struct message m;
        struct wire w;
        wire_init(&w, data, size);
        s->last_in = x->now;
        s->frame_apps = 0;
        bool good = true;
        while (good && s->state != SESSION_CLOSING && message_read(&w, &m))
            good = (s->hello_got || m.type == MESSAGE_HELLO) && dispatch(x, s, &m);
        if (!good || !wire_ok(&w)) {
            x->malformed++;
            session_hangup(x, s, ERR_MALFORMED);
            result = ERR_MALFORMED;
        }
    }
    xfer_leave(x);
    return result;
}
