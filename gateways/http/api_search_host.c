/* Search: the names of what is shared here, in the thread pool, and what other nodes list, each asked itself; the same thing of several nodes is one
 * result, and what most nodes have comes first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateways/http/api_internal_host.h"
#include "gateways/http/http_target.h"
#include "node/host/names.h"

#define SEARCH_WORDS_MAX 512
#define SEARCH_MAX       500
#define SEARCH_WAIT_MS   4000
#define HOLDERS_MAX      8 /* told of one result */

struct result {
    struct content_id id;
    char *name;
    uint64_t bytes;
    bool local;
    uint32_t holders; /* distinct nodes, this one among them */
    struct node_addr nodes[HOLDERS_MAX];
};

struct search {
    uv_work_t request;
    struct gateways *g;
    struct http_exchange *x; /* NULL: the asker is gone */
    char home[4096], text[SEARCH_WORDS_MAX];
    char words[NAMING_QUERY_WORDS][WORD_SIZE];
    uint32_t word_count;
    bool everywhere, more;
    int status;
    struct result *results;
    uint32_t count, answered, indexed;
    struct names_query *query;
};

static void search_free(struct search *w)
{
    for (uint32_t i = 0; i < w->count; i++)
        free(w->results[i].name);
    free(w->results);
    free(w);
}

/* ---- Here ---- */

/* Every word is a part of the name: one's own things are found by a piece of a word, too. */
static bool matches(const struct search *w, const char *name)
{
    char in[64][WORD_SIZE];
    uint32_t count = words_split(in, 64, name);
    for (uint32_t i = 0; i < w->word_count; i++) {
        bool found = false;
        for (uint32_t k = 0; k < count && !found; k++)
            found = strstr(in[k], w->words[i]) != NULL;
        if (!found)
            return false;
    }
    return true;
}

static struct result *result_add(struct search *w, const struct content_id *id, const char *name)
{
    if (w->count == SEARCH_MAX) {
        w->more = true;
        return NULL;
    }
    char *copy = strdup(name);
    if (!copy)
        return NULL;
    struct result *r = &w->results[w->count++];
    memset(r, 0, sizeof *r);
    r->id = *id;
    r->name = copy;
    r->bytes = id->kind == CONTENT_TREE ? UINT64_MAX : id->size;
    return r;
}

static bool search_one(void *context, const struct store_share *s)
{
    struct search *w = context;
    if (!matches(w, s->name))
        return true;
    struct result *r = result_add(w, &s->id, s->name);
    if (!r)
        return false;
    r->bytes = s->bytes;
    r->local = true;
    r->holders = 1;
    return true;
}

static void search_run(uv_work_t *request)
{
    struct search *w = request->data;
    struct store *s;
    w->status = store_open(&s, w->home, NULL);
    if (w->status != 0)
        return;
    w->status = store_shares(s, search_one, w);
    store_close(s);
}

/* ---- The answer ---- */

static int result_order(const void *a, const void *b)
{
    const struct result *x = a, *y = b;
    if (x->holders != y->holders)
        return x->holders > y->holders ? -1 : 1;
    int order = strcasecmp(x->name, y->name);
    return order ? order : memcmp(x->id.root, y->id.root, HASH_SIZE);
}

static json_t *result_json(struct search *w, const struct result *f)
{
    struct app *app = w->g->app;
    char text[LINK_TEXT_MAX], id[CONTENT_ID_TEXT_SIZE + 1], url[160];
    json_t *o = json_object(), *nodes = json_array();
    struct link link = {.id = f->id};
    snprintf(link.name, sizeof link.name, "%s", f->name);
    for (uint32_t i = 0; i < f->holders && i < HOLDERS_MAX; i++) {
        if (!f->nodes[i].addr.port)
            continue;
        link.sources[link.source_count++] = f->nodes[i];
        json_array_append_new(nodes, api_node_id(f->nodes[i].key));
    }
    if (f->local)
        shares_link(app->shares, &f->id, f->name, text, sizeof text);
    else if (link_format(text, sizeof text, &link) != 0)
        text[0] = 0;
    content_id_format(id, &f->id);
    const char *query = strchr(text, '?');
    snprintf(url, sizeof url, "/content/%s%s", id, f->id.kind == CONTENT_TREE ? "/" : "");
    json_object_set_new(o, "name", api_text(f->name));
    json_object_set_new(o, "link", json_string(text));
    api_put_id(o, &f->id);
    json_object_set_new(o, "size", f->bytes == UINT64_MAX ? json_null() : json_integer((json_int_t)f->bytes));
    char *with = query && !f->local ? malloc(strlen(url) + strlen(query) + 1) : NULL;
    if (with) {
        sprintf(with, "%s%s", url, query); /* its sources: otherwise the whole network is asked for them */
        json_object_set_new(o, "url", json_string(with));
    } else {
        json_object_set_new(o, "url", json_string(url));
    }
    free(with);
    json_object_set_new(o, "local", json_boolean(f->local));
    json_object_set_new(o, "holders", json_integer(f->holders));
    json_object_set_new(o, "nodes", nodes);
    return o;
}

static void search_answer(struct search *w)
{
    struct gateways *g = w->g;
    if (w->x) {
        struct http_exchange *x = w->x;
        x->gone = NULL;
        if (w->status != 0) {
            api_error(x, w->status, "cannot search the shares: %s", err_text(w->status));
        } else {
            json_t *results = json_array();
            if (w->count)
                qsort(w->results, w->count, sizeof *w->results, result_order);
            for (uint32_t i = 0; i < w->count; i++)
                json_array_append_new(results, result_json(w, &w->results[i]));
            api_reply(x, 200, json_pack("{s:o, s:b, s:i, s:i}", "results", results, "more", (int)w->more, "answered", (int)w->answered, "indexed",
                                        (int)w->indexed));
        }
    }
    search_free(w);
    gateways_release(g);
}

/* ---- Elsewhere ---- */

static void hit_add(struct search *w, const struct name_hit *h)
{
    struct result *r = NULL;
    bool mine = memcmp(h->node, w->g->app->me.key, NODE_KEY_SIZE) == 0;
    for (uint32_t i = 0; i < w->count && !r; i++) {
        if (content_id_equal(&w->results[i].id, &h->id))
            r = &w->results[i];
    }
    if (mine && r && r->local)
        return; /* found by the walk over the shares already */
    if (!r)
        r = result_add(w, &h->id, h->name);
    if (!r)
        return;
    for (uint32_t i = 0; i < r->holders && i < HOLDERS_MAX; i++) {
        if (memcmp(r->nodes[i].key, h->node, NODE_KEY_SIZE) == 0)
            return;
    }
    if (r->holders < HOLDERS_MAX) {
        memcpy(r->nodes[r->holders].key, h->node, NODE_KEY_SIZE);
        r->nodes[r->holders].addr = h->address;
    }
    r->holders++;
    r->local = r->local || mine;
}

static void on_found(void *context, const struct names_query_result *q)
{
    struct search *w = context;
    w->query = NULL;
    for (uint32_t i = 0; i < q->count; i++)
        hit_add(w, &q->hits[i]);
    w->answered = q->answered;
    w->indexed = q->indexed;
    search_answer(w);
}

static void search_ended(uv_work_t *request, int status)
{
    struct search *w = request->data;
    int error;
    if (status != 0)
        w->status = ERR_CANCELLED;
    if (w->x && w->status == 0 && w->everywhere)
        w->query = names_search(w->g->app->names, w->text, SEARCH_WAIT_MS, on_found, w, &error);
    if (!w->query)
        search_answer(w); /* too many searches at once: what is here is told */
}

static void search_gone(struct http_exchange *x)
{
    struct search *w = x->owner;
    w->x = NULL;
    if (!w->query)
        return;
    names_query_cancel(w->query);
    w->query = NULL;
    search_answer(w);
}

void api_search_get(struct api_request *r)
{
    struct search *w = calloc(1, sizeof *w);
    char where[16] = "";
    if (w)
        w->results = calloc(SEARCH_MAX, sizeof *w->results);
    if (!w || !w->results) {
        free(w);
        api_error(r->x, ERR_NO_MEMORY, "out of memory");
        return;
    }
    if (http_query_get(r->query, "q", w->text, sizeof w->text) > 0)
        w->word_count = words_split(w->words, NAMING_QUERY_WORDS, w->text);
    if (w->word_count == 0) {
        api_error(r->x, ERR_MALFORMED, "the query needs \"q\": words of two letters or more, at most %d bytes", SEARCH_WORDS_MAX - 1);
        search_free(w);
        return;
    }
    (void)http_query_get(r->query, "where", where, sizeof where);
    w->everywhere = strcmp(where, "here") != 0;
    w->g = r->g;
    w->x = r->x;
    w->request.data = w;
    snprintf(w->home, sizeof w->home, "%s", r->g->app->home.path);
    r->x->owner = w;
    r->x->gone = search_gone;
    gateways_hold(r->g);
    uv_queue_work(&r->g->app->loop, &w->request, search_run, search_ended); /* cannot fail: the callbacks are there */
}
