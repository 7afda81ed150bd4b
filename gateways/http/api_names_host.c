/* Names, contacts and sites. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "gateways/http/api_internal_host.h"
#include "gateways/http/http_target.h"
#include "node/host/names.h"

#define SHOW_WAIT CORE_SECONDS(5)

static json_t *whole(uint64_t n)
{
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

/* ---- What is told of a node ---- */

static json_t *addresses_json(const struct profile *p)
{
    json_t *a = json_array();
    for (uint32_t i = 0; i < p->address_count; i++)
        json_array_append_new(a, api_addr(&p->addresses[i]));
    return a;
}

static json_t *services_json(const struct profile *p)
{
    json_t *o = json_object();
    for (uint32_t i = 0; i < p->service_count; i++)
        json_object_set_new(o, p->services[i].name, json_integer(p->services[i].port));
    return o;
}

static void put_site(json_t *o, const struct name_info *info)
{
    struct link link;
    char text[LINK_TEXT_MAX], id[CONTENT_ID_TEXT_SIZE + 1];
    if (!info->profile.has_site) {
        json_object_set_new(o, "site", json_null());
        json_object_set_new(o, "site_link", json_null());
        return;
    }
    names_site_link(info, &link);
    const char *name = info->petname[0] ? info->petname : info->profile.nickname;
    snprintf(link.name, sizeof link.name, "%s", name[0] ? name : "site");
    content_id_format(id, &info->profile.site);
    json_object_set_new(o, "site", json_string(id));
    json_object_set_new(o, "site_link", link_format(text, sizeof text, &link) == 0 ? json_string(text) : json_null());
}

/* Other contacts whose names pass for this one are told by `looks`: "mixed". */
json_t *api_name_info(struct gateways *g, const struct name_info *info)
{
    static const char *const hows[] = {"self", "id", "petname", "nickname"};
    const char *name = info->petname[0] ? info->petname : info->profile.nickname;
    const char *http = gateways_address(g, GATEWAY_HTTP), *port = http ? strrchr(http, ':') : NULL;
    char id[NODE_ID_TEXT_SIZE + 1], url[128];
    json_t *o = json_object();
    node_id_format(id, info->node);
    json_object_set_new(o, "node", json_string(id));
    json_object_set_new(o, "name", name[0] ? api_text(name) : json_null());
    json_object_set_new(o, "petname", info->petname[0] ? api_text(info->petname) : json_null());
    json_object_set_new(o, "nickname", info->profile.nickname[0] ? api_text(info->profile.nickname) : json_null());
    json_object_set_new(o, "how", json_string(hows[info->how]));
    json_object_set_new(o, "contact", json_boolean(info->pinned));
    json_object_set_new(o, "known", json_boolean(info->has_profile));
    json_object_set_new(o, "stale", json_boolean(info->stale));
    json_object_set_new(o, "expired", json_boolean(info->expired));
    json_object_set_new(o, "sequence", whole(info->sequence));
    json_object_set_new(o, "expires", info->expiry_s ? whole(info->expiry_s) : json_null());
    json_object_set_new(o, "age_s", info->has_profile && info->age_s != UINT32_MAX ? whole(info->age_s) : json_null());
    json_object_set_new(o, "addresses", addresses_json(&info->profile));
    json_object_set_new(o, "services", services_json(&info->profile));
    put_site(o, info);
    json_object_set_new(o, "site_kept", json_boolean(names_site_kept(g->app->names, info->node)));
    json_object_set_new(o, "mixed", json_boolean(name[0] && name_look(name)));
    if (port && info->profile.has_site) {
        snprintf(url, sizeof url, "http://%s.shoal.localhost%.8s/", id, port);
        json_object_set_new(o, "url", json_string(url));
    } else {
        json_object_set_new(o, "url", json_null());
    }
    return o;
}

/* ---- The list ---- */

struct list {
    struct gateways *g;
    json_t *array;
};

static bool add_contact(void *context, const struct name_info *info)
{
    struct list *l = context;
    json_array_append_new(l->array, api_name_info(l->g, info));
    return true;
}

static json_t *self_json(struct gateways *g)
{
    struct names_own own;
    struct name_info info;
    names_own(g->app->names, &own);
    (void)names_known(g->app->names, "self", &info);
    json_t *o = api_name_info(g, &info);
    json_object_set_new(o, "stored", whole(own.stored));
    json_object_set_new(o, "asked", whole(own.asked));
    json_object_set_new(o, "watchers", whole(own.watchers));
    json_object_set_new(o, "listed", whole(own.listed));
    json_object_set_new(o, "words", whole(own.words));
    json_object_set_new(o, "words_stored", whole(own.words_stored));
    return o;
}

void api_names_get(struct api_request *r)
{
    struct list l = {.g = r->g, .array = json_array()};
    names_contacts(r->g->app->names, add_contact, &l);
    api_reply(r->x, 200, json_pack("{s:o, s:o}", "self", self_json(r->g), "names", l.array));
}

/* ---- One name: who it is, or who claims it ---- */

struct show {
    struct gateways *g;
    struct http_exchange *x;
    struct names_call *call;
    struct names_query *query;
    char text[NAME_SIZE];
};

static void show_gone(struct http_exchange *x)
{
    struct show *s = x->owner;
    if (s->call)
        names_cancel(s->call);
    if (s->query)
        names_query_cancel(s->query);
    free(s);
}

static void show_error(struct show *s, int status)
{
    struct http_exchange *x = s->x;
    x->gone = NULL;
    if (status == ERR_MALFORMED)
        api_error(x, status, "\"%.160s\" is not a name: letters and digits, at most 40, with - and _ between them", s->text);
    else if (status == ERR_CHECKSUM || status == ERR_VERSION)
        api_error(x, status, "\"%.160s\" is not a node id: %s", s->text, err_text(status));
    else if (status == ERR_EXISTS)
        api_error(x, status, "two of your contacts call themselves \"%.160s\": give each a name of your own", s->text);
    else
        api_error(x, status, "cannot look for \"%.160s\": %s", s->text, err_text(status));
    free(s);
}

static void on_claimants(void *context, const struct names_query_result *q)
{
    struct show *s = context;
    json_t *array = json_array();
    s->query = NULL;
    if (q->status != 0 && q->status != ERR_NOT_FOUND && q->count == 0) {
        json_decref(array);
        show_error(s, q->status);
        return;
    }
    for (uint32_t i = 0; i < q->count; i++) {
        struct name_info info;
        char id[NODE_ID_TEXT_SIZE + 1];
        node_id_format(id, q->hits[i].node);
        json_t *o = json_pack("{s:s, s:o}", "node", id, "nickname", api_text(q->hits[i].name));
        /* Said once, and unsaid since by a newer profile: not a claim any more. */
        if (names_known(s->g->app->names, id, &info) == 0) {
            if (!name_equal(info.profile.nickname, s->text)) {
                json_decref(o);
                continue;
            }
            json_object_set_new(o, "contact", json_boolean(info.pinned));
        }
        json_array_append_new(array, o);
    }
    struct http_exchange *x = s->x;
    x->gone = NULL;
    api_reply(x, 200, json_pack("{s:n, s:o}", "is", "claimants", array));
    free(s);
}

static void on_show(void *context, int status, const struct name_info *info)
{
    struct show *s = context;
    int error;
    s->call = NULL;
    if (status == 0 || status == ERR_TIMEOUT) {
        struct http_exchange *x = s->x;
        x->gone = NULL;
        api_reply(x, 200, json_pack("{s:o, s:[]}", "is", api_name_info(s->g, info), "claimants"));
        free(s);
        return;
    }
    if (status != ERR_NOT_FOUND) {
        show_error(s, status);
        return;
    }
    s->query = names_claimants(s->g->app->names, s->text, on_claimants, s, &error);
    if (!s->query)
        show_error(s, error);
}

void api_name_get(struct api_request *r)
{
    struct show *s = calloc(1, sizeof *s);
    if (!s || http_query_get(r->query, "q", s->text, sizeof s->text) != 1 || !s->text[0]) {
        free(s);
        api_error(r->x, ERR_MALFORMED, "the query needs \"q\": a name or a node id");
        return;
    }
    s->g = r->g;
    s->x = r->x;
    r->x->owner = s;
    r->x->gone = show_gone;
    s->call = names_resolve(r->g->app->names, s->text, host_now(&r->g->app->core) + SHOW_WAIT, on_show, s);
    if (!s->call)
        show_error(s, ERR_NO_MEMORY);
}

/* ---- Changing ---- */

/* A node id, a link with a source, or a name that is known. */
static bool node_of(struct api_request *r, const char *text, uint8_t key[NODE_KEY_SIZE])
{
    struct link link;
    struct name_info info;
    int status = node_id_parse(key, text);
    if (status == 0)
        return true;
    if (strncmp(text, "shoal:", 6) == 0) {
        status = link_parse(&link, text, NULL);
        if (status == 0 && link.source_count) {
            memcpy(key, link.sources[0].key, NODE_KEY_SIZE);
            return true;
        }
        api_error(r->x, status ? status : ERR_NOT_FOUND, "this link names no node: %s", status ? err_text(status) : "it has no source");
        return false;
    }
    if (strlen(text) != NODE_ID_TEXT_SIZE) {
        int known = names_known(r->g->app->names, text, &info);
        if (known == 0 || known == ERR_BUSY) {
            memcpy(key, info.node, NODE_KEY_SIZE);
            return true;
        }
        status = known;
    }
    api_error(r->x, status, "\"%.100s\" is not a node: write its id (56 characters) or a link of it; `shoal name show %.100s` tells who claims that name",
              text, text);
    return false;
}

static void told(struct api_request *r, int status, const char *message, json_t *extra)
{
    if (status != 0) {
        json_decref(extra);
        api_error(r->x, status, "%s", message);
        return;
    }
    json_t *o = extra ? extra : json_object();
    json_object_set_new(o, "warning", message[0] ? api_text(message) : json_null());
    api_reply(r->x, 200, o);
}

void api_names_post(struct api_request *r)
{
    const char *name = json_string_value(json_object_get(r->body, "name"));
    const char *node = json_string_value(json_object_get(r->body, "node"));
    char message[NAMES_MESSAGE_MAX];
    uint8_t key[NODE_KEY_SIZE];
    struct name_info info;
    char id[NODE_ID_TEXT_SIZE + 1];
    if (!node) {
        api_error(r->x, ERR_MALFORMED, "the body needs \"node\": a node id or a link, and \"name\" unless its own nickname will do");
        return;
    }
    if (!node_of(r, node, key))
        return;
    int status = names_add(r->g->app->names, name, key, message);
    node_id_format(id, key);
    json_t *o = status == 0 && names_known(r->g->app->names, id, &info) != ERR_MALFORMED ? api_name_info(r->g, &info) : NULL;
    told(r, status, message, o);
}

void api_names_delete(struct api_request *r)
{
    const char *name = json_string_value(json_object_get(r->body, "name"));
    char message[NAMES_MESSAGE_MAX];
    if (!name) {
        api_error(r->x, ERR_MALFORMED, "the body needs \"name\": of a contact, or its node id");
        return;
    }
    told(r, names_remove(r->g->app->names, name, message), message, NULL);
}

void api_nickname_post(struct api_request *r)
{
    const char *nickname = json_string_value(json_object_get(r->body, "nickname"));
    char message[NAMES_MESSAGE_MAX];
    if (!nickname) {
        api_error(r->x, ERR_MALFORMED, "the body needs \"nickname\"; \"\" takes it back");
        return;
    }
    told(r, names_set_nickname(r->g->app->names, nickname, message), message, NULL);
}

/* ---- Sites ---- */

void api_site_get(struct api_request *r)
{
    api_reply(r->x, 200, self_json(r->g));
}

void api_site_post(struct api_request *r)
{
    const char *path = json_string_value(json_object_get(r->body, "path"));
    struct stat st;
    if (!path || path[0] != '/') {
        api_error(r->x, ERR_MALFORMED, "the body needs \"path\": the absolute path of a folder");
        return;
    }
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        api_error(r->x, ERR_NOT_FOUND, "%.300s is not a folder that this node can read", path);
        return;
    }
    struct job *job = shares_add(r->g->app->shares, &path, 1, false);
    if (job)
        names_publish(r->g->app->names, job);
    api_job_started(r, job);
}

void api_site_delete(struct api_request *r)
{
    int status = names_set_site(r->g->app->names, NULL);
    told(r, status, status ? "cannot take the site back: the home cannot be written" : "", NULL);
}

void api_site_keep_post(struct api_request *r)
{
    const char *name = json_string_value(json_object_get(r->body, "name"));
    char message[NAMES_MESSAGE_MAX];
    uint8_t key[NODE_KEY_SIZE];
    bool keep = true;
    if (!api_flag(r, "keep", &keep))
        return;
    if (!name) {
        api_error(r->x, ERR_MALFORMED, "the body needs \"name\": of a contact, or its node id");
        return;
    }
    if (node_of(r, name, key))
        told(r, names_keep_site(r->g->app->names, key, keep, message), message, NULL);
}

/* ---- NAME/path: a link to it ---- */

struct resolve {
    struct gateways *g;
    struct http_exchange *x;
    struct content_call *call;
    char path[CONTENT_PATH_MAX];
};

static void resolve_gone(struct http_exchange *x)
{
    struct resolve *s = x->owner;
    if (s->call)
        content_cancel(s->call);
    free(s);
}

static void on_resolved(void *context, int status, const struct content_info *content)
{
    struct resolve *s = context;
    struct http_exchange *x = s->x;
    struct name_info info;
    struct link link;
    char name[NAME_SIZE], text[LINK_TEXT_MAX];
    const char *rest = s->path + sizeof "/name/" - 1;
    x->gone = NULL;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(rest, "/"), rest);
    int known = names_known(s->g->app->names, name, &info);
    if (status == 0 && (known != 0 || !content->has_id))
        status = ERR_NOT_FOUND;
    if (status != 0) {
        const char *why = known == ERR_NOT_FOUND    ? "none of your contacts has this name; `shoal name show` tells who claims it"
                          : known == ERR_BUSY       ? "its node was not found"
                          : known != 0              ? err_text(known)
                          : !info.profile.has_site  ? "that node has no site"
                          : status == ERR_NOT_FOUND ? "there is nothing at this place of its site"
                                                    : err_text(status);
        api_error(x, status, "%.200s: %s", rest, why);
        free(s);
        return;
    }
    names_site_link(&info, &link);
    link.id = content->id;
    const char *label = strchr(rest, '/') ? content->name : info.petname[0] ? info.petname : info.profile.nickname;
    snprintf(link.name, sizeof link.name, "%s", label[0] ? label : "site");
    if (link_format(text, sizeof text, &link) != 0)
        text[0] = 0;
    json_t *o = json_pack("{s:s}", "link", text);
    api_put_id(o, &content->id);
    api_reply(x, 200, o);
    free(s);
}

void api_resolve_get(struct api_request *r)
{
    struct resolve *s = calloc(1, sizeof *s);
    char text[CONTENT_PATH_MAX - 16];
    int found = http_query_get(r->query, "q", text, sizeof text);
    size_t n = found == 1 ? strlen(text) : 0;
    while (n && text[n - 1] == '/')
        text[--n] = 0;
    if (s)
        snprintf(s->path, sizeof s->path, "/name/%s", n ? text + (text[0] == '/') : "");
    if (!s || !n || !content_path_ok(s->path)) {
        free(s);
        api_error(r->x, ERR_MALFORMED, "the query needs \"q\": NAME or NAME/path");
        return;
    }
    s->g = r->g;
    s->x = r->x;
    r->x->owner = s;
    r->x->gone = resolve_gone;
    s->call = content_resolve(r->g->content, &ACCOUNT_VISITOR, s->path, NULL, host_now(&r->g->app->core) + CORE_MS(r->g->content_timeout_ms), on_resolved, s);
    if (s->call)
        return;
    r->x->gone = NULL;
    free(s);
    api_error(r->x, ERR_NO_MEMORY, "out of memory");
}
