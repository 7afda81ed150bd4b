/* The table of sessions of all gateways over the API: list, disconnect, abort, message, bans, log. */
#include <stdio.h>
#include <string.h>
#include "gateways/http/api_internal_host.h"

#define BANS_MAX 500

static json_t *number(uint64_t n)
{
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static uint64_t seconds_since(core_time now, core_time then)
{
    return now > then ? (now - then) / 1000000 : 0;
}

json_t *api_session_json(const struct session_info *s, core_time now)
{
    json_t *o = json_object();
    json_object_set_new(o, "id", number(s->id));
    json_object_set_new(o, "protocol", json_string(s->protocol));
    json_object_set_new(o, "user", s->who.name[0] ? json_string(s->who.name) : json_null());
    json_object_set_new(o, "privilege", json_string(account_privilege_name(s->who.privilege)));
    json_object_set_new(o, "address", api_addr(&s->peer));
    json_object_set_new(o, "where", json_string(s->where));
    json_object_set_new(o, "client", api_text(s->client));
    json_object_set_new(o, "command", api_text(s->command));
    json_object_set_new(o, "path", api_text(s->path));
    json_object_set_new(o, "rate_in", number(s->rate_in));
    json_object_set_new(o, "rate_out", number(s->rate_out));
    json_object_set_new(o, "mean_in", number(s->mean_in));
    json_object_set_new(o, "mean_out", number(s->mean_out));
    json_object_set_new(o, "bytes_in", number(s->bytes_in));
    json_object_set_new(o, "bytes_out", number(s->bytes_out));
    json_object_set_new(o, "files_in", number(s->files_in));
    json_object_set_new(o, "files_out", number(s->files_out));
    json_object_set_new(o, "idle_s", number(seconds_since(now, s->last)));
    json_object_set_new(o, "since_s", number(seconds_since(now, s->since)));
    json_object_set_new(
        o, "since", number(host_unix_ms() / 1000 - seconds_since(now, s->since))); /* the clock, for people */
    json_object_set_new(o, "transferring", json_boolean(s->transferring));
    json_object_set_new(o, "up", json_boolean(s->up));
    json_object_set_new(o, "can",
                        json_pack("{s:b, s:b, s:b}", "disconnect", (int)s->can_disconnect, "abort",
                                  (int)s->can_abort, "message", (int)s->can_message));
    return o;
}

struct listing {
    json_t *list;
    uint64_t from, next;
    uint32_t limit;
    core_time now;
};

static bool put_session(void *context, const struct session_info *s)
{
    struct listing *l = context;
    if (s->id < l->from)
        return true;
    if (json_array_size(l->list) >= l->limit) {
        l->next = s->id;
        return false;
    }
    json_array_append_new(l->list, api_session_json(s, l->now));
    return true;
}

static json_t *totals_json(const struct session_totals *t)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "sessions", number(t->sessions), "refused",
                     number(t->refused), "open", number(t->open), "peak", number(t->peak), "files_in",
                     number(t->files_in), "files_out", number(t->files_out), "bytes_in", number(t->bytes_in),
                     "bytes_out", number(t->bytes_out));
}

static json_t *protocols_json(const struct sessions *s)
{
    const char *names[8];
    json_t *o = json_object();
    uint32_t n = sessions_protocols(s, names, 8);
    for (uint32_t i = 0; i < n; i++) {
        struct session_totals t;
        sessions_totals(s, names[i], &t);
        json_object_set_new(o, names[i], totals_json(&t));
    }
    return o;
}

static json_t *bans_json(struct gateways *g, core_time now)
{
    static struct net_addr who[BANS_MAX];
    static core_time until[BANS_MAX];
    json_t *a = json_array();
    char text[NET_ADDR_TEXT_MAX];
    uint32_t n = limits_bans(sessions_limits(g->sessions), now, who, until, BANS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        who[i].port = 1;
        net_addr_format(text, &who[i]);
        *strrchr(text, ':') = 0;
        json_array_append_new(
            a, json_pack("{s:s, s:o}", "address", text, "left_s",
                         until[i] == CORE_NEVER ? json_null() : number((until[i] - now + 999999) / 1000000)));
    }
    return a;
}

void api_gateway_sessions_get(struct api_request *r)
{
    struct listing l = {.now = sessions_now(r->g->sessions)};
    struct session_totals totals;
    if (!api_page(r, &l.from, &l.limit))
        return;
    l.list = json_array();
    sessions_each(r->g->sessions, put_session, &l);
    sessions_totals(r->g->sessions, NULL, &totals);
    api_reply(r->x, 200,
              json_pack("{s:o, s:o, s:o, s:o, s:o}", "sessions", l.list, "next",
                        l.next ? number(l.next) : json_null(), "totals", totals_json(&totals), "protocols",
                        protocols_json(r->g->sessions), "bans", bans_json(r->g, l.now)));
}

/* ---- Acts ---- */

static bool session_id(struct api_request *r, uint32_t *id)
{
    json_t *given = json_object_get(r->body, "id");
    json_int_t n = json_integer_value(given);
    if (json_is_integer(given) && n > 0 && n <= UINT32_MAX) {
        *id = (uint32_t)n;
        return true;
    }
    api_error(r->x, ERR_MALFORMED, "the body needs \"id\", the number of a session");
    return false;
}

static void tell(struct api_request *r, int status, uint32_t id, const char *cannot)
{
    if (status == 0)
        api_reply(r->x, 200, json_object());
    else if (status == ERR_NOT_FOUND)
        api_error(r->x, status, "session %u has ended", id);
    else if (status == ERR_UNSUPPORTED)
        api_error(r->x, status, "the protocol of session %u cannot do this", id);
    else
        api_error(r->x, status, "%s", cannot);
}

void api_gateway_disconnect_post(struct api_request *r)
{
    uint32_t id;
    struct session_info info;
    json_t *ban = json_object_get(r->body, "ban_s");
    if (!session_id(r, &id))
        return;
    if (ban &&
        (!json_is_integer(ban) || json_integer_value(ban) < 0 || json_integer_value(ban) > UINT32_MAX)) {
        api_error(r->x, ERR_MALFORMED, "\"ban_s\" is a number of seconds");
        return;
    }
    /* The session may be the one that this request came by: it is answered first, by an answer that cannot
     * arrive. */
    int status = sessions_find(r->g->sessions, id, &info);
    if (status == 0 && net_addr_equal(&info.peer, &r->x->peer) && r->x->peer.port) {
        api_error(r->x, ERR_BUSY, "session %u is the one this page uses", id);
        return;
    }
    if (status == 0)
        status = sessions_disconnect(r->g->sessions, id, (uint32_t)json_integer_value(ban));
    tell(r, status, id, "this computer is never kept out; the session goes on");
}

void api_gateway_abort_post(struct api_request *r)
{
    uint32_t id;
    struct session_info info;
    if (!session_id(r, &id))
        return;
    int status = sessions_find(r->g->sessions, id, &info);
    if (status == 0 && net_addr_equal(&info.peer, &r->x->peer) && r->x->peer.port)
        status = ERR_RANGE;
    if (status == 0)
        status = sessions_abort(r->g->sessions, id);
    tell(r, status, id, "no transfer is under way in this session");
}

void api_gateway_message_post(struct api_request *r)
{
    uint32_t id;
    const char *text = json_string_value(json_object_get(r->body, "text"));
    if (!session_id(r, &id))
        return;
    if (!text || !*text) {
        api_error(r->x, ERR_MALFORMED, "the body needs \"text\", a string");
        return;
    }
    tell(r, sessions_message(r->g->sessions, id, text), id,
         "the message cannot be shown in this session now: nobody looks at a page through it");
}

void api_gateway_bans_delete(struct api_request *r)
{
    const char *given = json_string_value(json_object_get(r->body, "address"));
    char text[NET_ADDR_TEXT_MAX + 2];
    struct net_addr who;
    snprintf(text, sizeof text, "%.50s:1", given ? given : "");
    if (!given || net_addr_parse(&who, text) != 0) {
        api_error(r->x, ERR_MALFORMED, "the body needs \"address\", as GET /api/gateway/sessions lists it");
        return;
    }
    limits_ban(sessions_limits(r->g->sessions), sessions_now(r->g->sessions), &who, 0);
    api_reply(r->x, 200, json_object());
}

/* ---- The log ---- */

static const char *event_name(enum session_event e)
{
    static const char *const names[] = {"began",     "signed in", "sent",    "received",
                                        "broke off", "ended",     "refused", "banned"};
    return names[e];
}

static bool put_line(void *context, const struct session_log *line)
{
    struct listing *l = context;
    uint64_t at = host_unix_ms() - (l->now > line->at ? (l->now - line->at) / 1000 : 0);
    json_array_append_new(
        l->list,
        json_pack("{s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o}", "number", number(line->number), "at_ms",
                  number(at), "session", line->id ? number(line->id) : json_null(), "event",
                  event_name(line->event), "protocol", line->protocol, "address", api_addr(&line->peer),
                  "user", line->name[0] ? json_string(line->name) : json_null(), "path",
                  line->path[0] ? api_text(line->path) : json_null(), "bytes", number(line->bytes)));
    return true;
}

void api_gateway_log_get(struct api_request *r)
{
    struct listing l = {.now = sessions_now(r->g->sessions)};
    if (!api_query_number(r, "from", INT64_MAX, &l.from))
        return;
    l.list = json_array();
    sessions_log(r->g->sessions, l.from, put_line, &l);
    api_reply(r->x, 200, json_pack("{s:o}", "log", l.list));
}
