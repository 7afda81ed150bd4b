/* Services between nodes: find, dial-back, application messages. Few at a time, each with its own time-out.
 */
#include "transfer/xfer_internal.h"

#define QUESTION_TIMEOUT CORE_SECONDS(30)
#define ANSWER_TIMEOUT   CORE_SECONDS(25) /* what the peer asked is answered before it gives up */

static struct question *question_free(struct question *q)
{
    for (uint32_t i = 0; i < SESSION_OPS_MAX; i++)
        if (q[i].type == 0)
            return &q[i];
    return NULL;
}

/* The type may be a peer's word: 0 would find a free place, and with it what was asked there before. */
static struct question *question_by_id(struct question *q, uint32_t type, uint32_t id)
{
    for (uint32_t i = 0; i < SESSION_OPS_MAX; i++)
        if (q[i].type != 0 && q[i].type == type && q[i].id == id)
            return &q[i];
    return NULL;
}

bool service_pending(const struct session *s)
{
    for (uint32_t i = 0; i < SESSION_OPS_MAX; i++)
        if (s->asked[i].type || s->asking[i].type)
            return true;
    return false;
}

bool service_unsent(const struct session *s)
{
    if (s->app_count != 0 || s->unsupported_due)
        return true;
    for (uint32_t i = 0; i < SESSION_OPS_MAX; i++)
        if ((s->asking[i].type && !s->asking[i].sent) || (s->asked[i].type && s->asked[i].answered))
            return true;
    return false;
}

bool service_expects_probe(const struct session *s)
{
    for (uint32_t i = 0; i < SESSION_OPS_MAX; i++)
        if (s->asking[i].type == MESSAGE_DIALBACK)
            return true;
    return false;
}

static int ask(struct xfer *x, core_time now, uint32_t session, enum message_type type, const uint8_t *key,
               uint32_t op, struct effects *out)
{
    xfer_enter(x, now, out);
    struct session *s = session_live(x, session);
    struct question *q = s ? question_free(s->asking) : NULL;
    if (q) {
        *q = (struct question){.type = (uint8_t)type, .op = op, .until = x->now + QUESTION_TIMEOUT};
        q->id = ++x->next_id;
        if (key)
            memcpy(q->key, key, HASH_SIZE);
        session_wants_write(x, s);
        session_arm(x, s);
    }
    xfer_leave(x);
    return q ? 0 : s ? ERR_FULL : ERR_CLOSED;
}

int xfer_ask_find(struct xfer *x, core_time now, uint32_t session, const uint8_t provider_key[HASH_SIZE],
                  uint32_t op, struct effects *out)
{
    return ask(x, now, session, MESSAGE_FIND, provider_key, op, out);
}

int xfer_ask_dialback(struct xfer *x, core_time now, uint32_t session, uint32_t op, struct effects *out)
{
    return ask(x, now, session, MESSAGE_DIALBACK, NULL, op, out);
}

int xfer_send_app(struct xfer *x, core_time now, uint32_t session, struct bytes message, struct effects *out)
{
    core_assert(message.size <= MESSAGE_APP_MAX);
    xfer_enter(x, now, out);
    int result = 0;
    struct session *s = session_live(x, session);
    struct app_message *m = NULL;
    if (!s)
        result = ERR_CLOSED;
    else if (s->app_count >= SESSION_APPS_MAX)
        result = ERR_FULL;
    else if (!(m = xfer_alloc(x, sizeof *m + message.size)))
        result = ERR_NO_MEMORY;
    if (m) {
        m->size = (uint32_t)message.size;
        if (message.size)
            memcpy(m->bytes, message.data, message.size);
        list_append(&s->apps, &m->in_session);
        s->app_count++;
        s->last_use = x->now;
        session_wants_write(x, s);
    }
    xfer_leave(x);
    return result;
}

static void answer(struct xfer *x, struct session *s, struct question *q, uint32_t value, int status)
{
    q->answered = true;
    q->value = value;
    q->status = status;
    session_wants_write(x, s);
}

void xfer_answer_find(struct xfer *x, core_time now, uint32_t session, uint32_t request, uint32_t providers,
                      struct effects *out)
{
    xfer_enter(x, now, out);
    struct session *s = session_live(x, session);
    struct question *q = s ? question_by_id(s->asked, MESSAGE_FIND, request) : NULL;
    if (q && !q->answered)
        answer(x, s, q, providers, 0);
    xfer_leave(x);
}

/* ---- What the peer asks ---- */

static void find_asked(struct xfer *x, struct session *s, struct question *q, const struct message *m)
{
    memcpy(q->key, m->key, HASH_SIZE);
    struct effect *e = xfer_notice(x, XFER_NOTICE_FIND_ASKED, s->number);
    e->u.notice.a = q->id;
    memcpy(e->u.notice.node.key, s->key, NODE_KEY_SIZE);
    e->u.notice.node.addr = s->addr;
    memcpy(effects_reserve(x->out, e, HASH_SIZE), m->key, HASH_SIZE);
    effects_commit(x->out, e, HASH_SIZE);
}

/* Dialled is the peer's own key at the address it is seen under, nothing it may choose but the port: no
 * engine for attacks on others. */
static void dialback_asked(struct xfer *x, struct session *s, struct question *q)
{
    struct session *probe = NULL;
    struct net_addr to = s->addr;
    to.port = s->dial_addr.port;
    if (s->incoming && to.port != 0)
        probe = session_dial(x, s->key, &to, true);
    else if (!s->incoming) { /* we reached it ourselves: that is the answer */
        answer(x, s, q, 0, 0);
        return;
    }
    if (probe)
        q->probe = probe->number;
    else
        answer(x, s, q, 0, to.port ? ERR_FULL : ERR_UNSUPPORTED);
}

void service_probe_done(struct xfer *x, struct session *probe, int status)
{
    for (uint32_t i = 0; i < x->session_cap; i++) {
        struct session *s = x->sessions[i];
        for (uint32_t k = 0; s && k < SESSION_OPS_MAX; k++) {
            if (s->asked[k].type == MESSAGE_DIALBACK && s->asked[k].probe == probe->number &&
                !s->asked[k].answered)
                answer(x, s, &s->asked[k], 0, status);
        }
    }
}

static void asked(struct xfer *x, struct session *s, const struct message *m)
{
    struct question *q = question_free(s->asked);
    if (!q || question_by_id(s->asked, m->type, m->id))
        return; /* over the limit: the asker times out */
    *q = (struct question){.type = (uint8_t)m->type, .id = m->id, .until = x->now + ANSWER_TIMEOUT};
    s->last_use = x->now;
    if (m->type == MESSAGE_FIND)
        find_asked(x, s, q, m);
    else
        dialback_asked(x, s, q);
    session_arm(x, s);
}

static void result(struct xfer *x, struct session *s, struct question *q, uint32_t value, int status)
{
    uint32_t kind = q->type == MESSAGE_FIND ? XFER_NOTICE_FIND_RESULT : XFER_NOTICE_DIALBACK;
    struct effect *e = xfer_notice(x, kind, q->op);
    e->u.notice.a = value;
    e->u.notice.status = status;
    memcpy(e->u.notice.node.key, s->key, NODE_KEY_SIZE);
    e->u.notice.node.addr = s->dial_addr;
    q->type = 0;
    s->last_use = x->now;
}

static void app_arrived(struct xfer *x, struct session *s, const struct message *m)
{
    if (s->frame_apps++ >= SESSION_APPS_PER_FRAME)
        return; /* a sender of ours never puts more into a frame */
    struct effect *e = xfer_notice(x, XFER_NOTICE_APP, s->number);
    memcpy(e->u.notice.node.key, s->key, NODE_KEY_SIZE);
    e->u.notice.node.addr = s->addr;
    s->last_use = x->now;
    if (m->bytes.size == 0)
        return;
    memcpy(effects_reserve(x->out, e, (uint32_t)m->bytes.size), m->bytes.data, m->bytes.size);
    effects_commit(x->out, e, (uint32_t)m->bytes.size);
}

bool service_message(struct xfer *x, struct session *s, const struct message *m)
{
    struct question *q;
    switch (m->type) {
    case MESSAGE_FIND:
    case MESSAGE_DIALBACK:
        asked(x, s, m);
        return true;
    case MESSAGE_FIND_RESULT:
    case MESSAGE_DIALBACK_RESULT:
        q = question_by_id(s->asking, m->type - 1, m->id);
        if (q && q->sent)
            result(x, s, q, m->value, m->status);
        return true;
    case MESSAGE_UNSUPPORTED:
        q = question_by_id(s->asking, m->value, m->id);
        if (q && q->sent)
            result(x, s, q, 0, ERR_UNSUPPORTED);
        return true;
    case MESSAGE_APP:
        app_arrived(x, s, m);
        return true;
    default:
        if (m->type % 2 == 0) { /* a question from a later version */
            s->unsupported_due = true;
            s->unsupported_id = m->id;
            s->unsupported_type = m->type;
            session_wants_write(x, s);
        }
        return true;
    }
}

/* ---- Writing, time, the end ---- */

static bool write_questions(struct xfer *x, struct session *s, struct pack *p)
{
    for (uint32_t i = 0; i < SESSION_OPS_MAX; i++) {
        struct question *q = &s->asking[i];
        if (q->type && !q->sent) {
            struct message m = {.type = q->type, .id = q->id};
            memcpy(m.key, q->key, HASH_SIZE);
            if (!message_write(p, &m))
                return false;
            q->sent = true;
        }
        q = &s->asked[i];
        if (q->type && q->answered) {
            if (!message_write(
                    p, &(struct message){
                           .type = q->type + 1u, .id = q->id, .value = q->value, .status = q->status}))
                return false;
            q->type = 0;
            s->last_use = x->now;
        }
    }
    return true;
}

bool service_write(struct xfer *x, struct session *s, struct pack *p)
{
    if (!write_questions(x, s, p))
        return false;
    if (s->unsupported_due) {
        if (!message_write(p, &(struct message){.type = MESSAGE_UNSUPPORTED,
                                                .id = s->unsupported_id,
                                                .value = s->unsupported_type}))
            return false;
        s->unsupported_due = false;
    }
    for (uint32_t n = 0; n < SESSION_APPS_PER_FRAME && !list_empty(&s->apps); n++) {
        struct app_message *a = list_object(s->apps.next, struct app_message, in_session);
        if (!message_write(p, &(struct message){.type = MESSAGE_APP, .bytes = bytes_of(a->bytes, a->size)}))
            return false;
        list_remove(&a->in_session);
        s->app_count--;
        xfer_free_memory(x, a, sizeof *a + a->size);
    }
    return true;
}

core_time service_deadline(const struct session *s)
{
    core_time at = CORE_NEVER;
    for (uint32_t i = 0; i < SESSION_OPS_MAX; i++) {
        if (s->asking[i].type)
            at = core_time_min(at, s->asking[i].until);
        if (s->asked[i].type && !s->asked[i].answered)
            at = core_time_min(at, s->asked[i].until);
    }
    return at;
}

void service_timer(struct xfer *x, struct session *s)
{
    for (uint32_t i = 0; i < SESSION_OPS_MAX; i++) {
        if (s->asking[i].type && x->now >= s->asking[i].until)
            result(x, s, &s->asking[i], 0, ERR_TIMEOUT);
        if (s->asked[i].type && !s->asked[i].answered && x->now >= s->asked[i].until)
            answer(x, s, &s->asked[i], 0, ERR_TIMEOUT);
    }
}

void service_closed(struct xfer *x, struct session *s)
{
    for (uint32_t i = 0; i < SESSION_OPS_MAX; i++)
        if (s->asking[i].type)
            result(x, s, &s->asking[i], 0, ERR_CLOSED);
}
