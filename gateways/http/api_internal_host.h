/* Between the files of the API. */
#ifndef SHOAL_API_INTERNAL_HOST_H
#define SHOAL_API_INTERNAL_HOST_H
#include <jansson.h>
#include "gateways/gateways_host.h"
#include "gateways/http/api_host.h"
#include "gateways/http/http_server_host.h"
#include "gateways/http/web_auth_host.h"

#define API_BODY_MAX    (4u << 20) /* the paths of a very long command line */
#define API_PAGE        200 /* items in one answer unless `limit` says otherwise: a few ms of the loop's time */
#define API_PAGE_MAX    500
#define API_WAIT_MAX_MS 30000
#define API_UPLOAD      "upload" /* below /api/: the one body that is taken in pieces (web_upload_host.c) */

struct waiter { /* a GET of a job that is answered when the job ends or its time is over */
    struct waiter *next;
    struct gateways *gateways;
    struct http_exchange *exchange;
    uint32_t job;
    core_time until;
};

struct api { /* the state of GATEWAY_API */
    struct http_server *server;
    char socket_path[API_SOCKET_PATH_MAX];
    char hint_path[4200]; /* home/api.path, "" when not needed */
    uv_prepare_t
        prepare; /* active while somebody waits: a job can only have changed in a callback before it */
    uv_timer_t timer;
    struct waiter *waiters;
    struct events *events; /* api_events_host.c */
    uint64_t usage;     /* as last counted by a worker [bytes] */
    core_time usage_at; /* 0: not yet */
    bool counting;
};
static inline struct api *api_of(const struct gateways *g)
{
    return g->state[GATEWAY_API];
}

struct api_request {
    struct gateways *g;
    struct http_exchange *x;
    json_t *body; /* an object (empty when there was none); freed by the dispatcher */
    const struct web_caller *caller;
    struct bytes query;
    char id[80]; /* last segment of /api/jobs/<id>, decoded */
};

/* Answers. `body` is taken. */
void api_reply(struct http_exchange *x, unsigned status, json_t *body);
void api_reply_extra(struct http_exchange *x, unsigned status, const char *extra, json_t *body); /* field lines, as http_reply */
void api_too_many(struct gateways *g, struct http_exchange *x); /* 429 with Retry-After: attempts at passwords */
void api_error(struct http_exchange *x, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
unsigned api_status_of(int code); /* enum shoal_error to an HTTP status */

/* Fields of the request's body. Each answers with an error itself and returns false when the field is missing
 * or of another kind. */
bool api_link(struct api_request *r, struct link *out);
bool api_paths(struct api_request *r, const char *field, bool needed, const char ***out,
               size_t *count);                                      /* free(*out) */
bool api_flag(struct api_request *r, const char *field, bool *out); /* missing: *out stays */
/* "from" and "limit" of the query. */
bool api_page(struct api_request *r, uint64_t *from, uint32_t *limit);
bool api_query_number(struct api_request *r, const char *name, uint64_t max, uint64_t *value);

/* A string that JSON can hold: bytes that are not UTF-8 become U+FFFD. */
json_t *api_text(const char *text);
json_t *api_addr(const struct net_addr *a); /* null for port 0 */
json_t *api_hex(const uint8_t *data, size_t size);
json_t *api_node_id(const uint8_t key[NODE_KEY_SIZE]);
/* Fields id, root, kind, content_size of an object. */
void api_put_id(json_t *o, const struct content_id *id);

/* Endpoints. */
void api_status_get(struct api_request *r); /* api_status_host.c */
void api_peers_get(struct api_request *r);
void api_invite_get(struct api_request *r);
void api_content_get(struct api_request *r); /* api_pages_host.c */
void api_search_get(struct api_request *r); /* api_search_host.c */
void api_names_get(struct api_request *r); /* api_names_host.c */
void api_names_post(struct api_request *r);
void api_names_delete(struct api_request *r);
void api_name_get(struct api_request *r);
void api_nickname_post(struct api_request *r);
void api_site_get(struct api_request *r);
void api_site_post(struct api_request *r);
void api_site_delete(struct api_request *r);
void api_site_keep_post(struct api_request *r);
void api_resolve_get(struct api_request *r);
struct name_info;
json_t *api_name_info(struct gateways *g, const struct name_info *info);
void api_invite_svg_get(struct api_request *r);
void api_usage_refresh(struct gateways *g);
/* One request of the API. What the caller may do is checked here; where it came from (Host, Origin) was checked before. */
void api_handle(struct gateways *g, struct http_exchange *x, const struct web_caller *caller);
void api_jobs_get(struct api_request *r); /* api_jobs_host.c */
void api_job_get(struct api_request *r);
void api_job_delete(struct api_request *r);
void api_job_started(struct api_request *r, struct job *job);
void api_waiters_stop(struct gateways *g);
void api_shares_get(struct api_request *r); /* api_actions_host.c */
void api_shares_post(struct api_request *r);
void api_shares_delete(struct api_request *r);
void api_get_post(struct api_request *r);
void api_ls_post(struct api_request *r);
void api_find_post(struct api_request *r);
void api_pins_get(struct api_request *r);
void api_pins_post(struct api_request *r);
void api_pins_delete(struct api_request *r);
void api_gc_post(struct api_request *r);
void api_torrent_post(struct api_request *r); /* api_torrent_host.c */
void api_join_post(struct api_request *r);
void api_rotate_post(struct api_request *r);
void api_down_post(struct api_request *r);
json_t *api_job_json(const struct job *job, core_time now); /* without its items */
json_t *api_status_json(struct gateways *g, const struct account_who *who);
void api_gateway_sessions_get(struct api_request *r); /* api_sessions_host.c */
void api_gateway_disconnect_post(struct api_request *r);
void api_gateway_abort_post(struct api_request *r);
void api_gateway_message_post(struct api_request *r);
void api_gateway_bans_delete(struct api_request *r);
void api_gateway_log_get(struct api_request *r);
json_t *api_session_json(const struct session_info *s, core_time now);
void api_settings_get(struct api_request *r); /* api_settings_host.c */
void api_settings_post(struct api_request *r);
void api_events_get(struct api_request *r); /* api_events_host.c */
bool api_events_start(struct gateways *g);
void api_events_stop(struct gateways *g); /* listeners are told "bye"; the servers close them */
/* To the page that listens by this exchange's connection. False: none does. */
bool api_events_message(struct gateways *g, const struct http_exchange *x, const char *text);
void api_session_get(struct api_request *r); /* web_auth_host.c */
void api_signin_post(struct api_request *r);
void api_signout_post(struct api_request *r);
void api_open_post(struct api_request *r);
void api_accounts_get(struct api_request *r); /* api_accounts_host.c */
void api_accounts_post(struct api_request *r);
void api_accounts_delete(struct api_request *r);
void api_password_post(struct api_request *r);
void api_signins_get(struct api_request *r);
void api_signins_delete(struct api_request *r);
void api_tokens_post(struct api_request *r);
#endif
