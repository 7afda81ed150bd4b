/* Contacts and resolution; this node's own profile. What is decided about profiles is decided in node/names; here is what people call nodes, and what
 * survives a restart. */
#include <stdarg.h>
#include <stdio.h>
#include "node/base/assert.h"
#include "node/host/log.h"
#include "node/host/names_int.h"

#define LOOK_AGAIN      CORE_SECONDS(10) /* a node that did not answer is not asked again by every page that names it */
#define LOOK_ALONE      CORE_MS(500)     /* while nobody is there yet who could know */
#define RESOLVE_TIMEOUT CORE_SECONDS(10)
#define REFRESH_EVERY   CORE_SECONDS(15)
#define VALUE_NICKNAME  "names.nickname"
#define VALUE_SITE      "names.site"
#define VALUE_SEQUENCE  "names.sequence"

/* ---- Contacts ---- */

struct contact *names_contact(const struct names *n, const uint8_t key[NODE_KEY_SIZE])
{
    struct contact *c;
    HASH_FIND(hh, n->contacts, key, NODE_KEY_SIZE, c);
    return c;
}

static void petname_set(struct names *n, struct contact *c, const char *petname)
{
    if (c->folded[0])
        HASH_DELETE(by_name, n->petnames, c);
    snprintf(c->petname, sizeof c->petname, "%s", petname);
    name_fold(c->folded, petname);
    if (c->folded[0])
        HASH_ADD_KEYPTR(by_name, n->petnames, c->folded, strlen(c->folded), c);
}

static struct contact *contact_new(struct names *n, const uint8_t key[NODE_KEY_SIZE])
{
    struct contact *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    memcpy(c->key, key, NODE_KEY_SIZE);
    HASH_ADD(hh, n->contacts, key, NODE_KEY_SIZE, c);
    return c;
}

static void contact_free(struct names *n, struct contact *c)
{
    petname_set(n, c, "");
    HASH_DELETE(hh, n->contacts, c);
    free(c);
}

int names_contact_save(struct names *n, const struct contact *c, bool pinned)
{
    struct store_contact row = {.petname = pinned ? c->petname : "", .pinned = pinned, .site = pinned && c->site};
    memcpy(row.key, c->key, NODE_KEY_SIZE);
    return store_contact_put(n->app->store, &row);
}

static bool restore_one(void *context, const struct store_contact *row)
{
    struct names *n = context;
    int status = naming_restore(n->core, host_now(&n->app->core), row->key, row->pinned, row->record);
    if (status != 0 && status != ERR_EXPIRED)
        log_debug("names", "a kept profile is not usable: %s", err_text(status));
    struct contact *c = row->pinned ? contact_new(n, row->key) : NULL;
    if (!c)
        return true;
    c->site = row->site;
    if (row->petname[0] && name_check(row->petname, NULL) == 0)
        petname_set(n, c, row->petname);
    return true;
}

/* ---- Who is meant ---- */

void names_info(struct names *n, const uint8_t key[NODE_KEY_SIZE], enum name_how how, struct name_info *out)
{
    struct naming_peer p;
    core_time now = host_now(&n->app->core);
    uint64_t unix_s = dht_unix_ms(n->app->core.dht, now) / 1000;
    const struct contact *c = names_contact(n, key);
    memset(out, 0, sizeof *out);
    memcpy(out->node, key, NODE_KEY_SIZE);
    out->how = how;
    out->pinned = c != NULL;
    if (c)
        memcpy(out->petname, c->petname, sizeof out->petname);
    if (memcmp(key, n->app->me.key, NODE_KEY_SIZE) == 0) {
        out->has_profile = true;
        out->profile = n->own;
        struct naming_own own;
        naming_own(n->core, &own);
        out->sequence = own.sequence;
        out->expiry_s = unix_s + PROFILE_LIFE_S;
        return;
    }
    if (!naming_peer(n->core, key, &p) || !p.has_profile)
        return;
    out->has_profile = true;
    out->profile = *p.profile;
    out->sequence = p.sequence;
    out->expiry_s = p.expiry_s;
    out->expired = unix_s && p.expiry_s <= unix_s;
    out->stale = p.confirmed == 0 || now - p.confirmed > NAMING_FRESH;
    out->age_s = p.confirmed ? (uint32_t)((now - p.confirmed) / 1000000) : UINT32_MAX;
}

static bool look_due(const struct names *n, const uint8_t key[NODE_KEY_SIZE])
{
    struct naming_peer p;
    if (!naming_peer(n->core, key, &p))
        return true;
    return !p.looking && (p.looked_for == 0 || host_now(&n->app->core) - p.looked_for > LOOK_AGAIN);
}

static int look(struct names *n, const uint8_t key[NODE_KEY_SIZE])
{
    struct host_core *core = &n->app->core;
    int status = naming_look(n->core, host_now(core), key, true, host_out(core));
    host_drain(core);
    return status;
}

static int by_nickname(const struct names *n, const char *folded, uint8_t key[NODE_KEY_SIZE])
{
    struct contact *c, *next;
    struct naming_peer p;
    int found = 0;
    char nick[NAME_SIZE];
    HASH_ITER(hh, n->contacts, c, next)
    {
        if (!naming_peer(n->core, c->key, &p) || !p.has_profile || !p.profile->nickname[0])
            continue;
        name_fold(nick, p.profile->nickname);
        if (strcmp(nick, folded) != 0)
            continue;
        memcpy(key, c->key, NODE_KEY_SIZE);
        found++;
    }
    return found == 0 ? ERR_NOT_FOUND : found == 1 ? 0 : ERR_EXISTS;
}

/* A text that is a petname, and only then a nickname. */
static int who(struct names *n, const char *text, uint8_t key[NODE_KEY_SIZE], enum name_how *how)
{
    char folded[NAME_SIZE];
    struct contact *c;
    if (strcasecmp(text, "self") == 0) {
        *how = NAME_HOW_SELF;
        memcpy(key, n->app->me.key, NODE_KEY_SIZE);
        return 0;
    }
    if (strlen(text) == NODE_ID_TEXT_SIZE) {
        *how = NAME_HOW_ID;
        return node_id_parse(key, text);
    }
    if (name_check(text, NULL) != 0)
        return ERR_MALFORMED;
    name_fold(folded, text);
    HASH_FIND(by_name, n->petnames, folded, strlen(folded), c);
    *how = c ? NAME_HOW_PETNAME : NAME_HOW_NICKNAME;
    if (!c)
        return by_nickname(n, folded, key);
    memcpy(key, c->key, NODE_KEY_SIZE);
    return 0;
}

int names_known(struct names *n, const char *text, struct name_info *out)
{
    uint8_t key[NODE_KEY_SIZE];
    enum name_how how;
    int status = who(n, text, key, &how);
    if (status != 0)
        return status;
    names_info(n, key, how, out);
    if (!out->has_profile)
        return ERR_BUSY;
    if (out->stale && look_due(n, key))
        look(n, key);
    return 0;
}

/* ---- Calls ---- */

static void call_end(struct names_call *call, int status, const struct name_info *info)
{
    struct names_call was = *call;
    DL_DELETE(call->names->calls, call);
    call->names->call_count--;
    free(call);
    was.done(was.context, status, info);
}

void names_cancel(struct names_call *call)
{
    DL_DELETE(call->names->calls, call);
    call->names->call_count--;
    free(call);
}

/* True when it ended. */
static bool call_step(struct names_call *call, core_time now)
{
    struct names *n = call->names;
    struct name_info info;
    struct dht_status dht;
    int status = names_known(n, call->text, &info);
    if (status == ERR_BUSY && call->full)
        status = ERR_FULL;
    if (status != ERR_BUSY) {
        call_end(call, status, &info);
        return true;
    }
    if (now >= call->deadline) {
        call_end(call, ERR_TIMEOUT, &info);
        return true;
    }
    dht_status(n->app->core.dht, &dht);
    if (call->ended && dht.joined) { /* everybody there was asked */
        call_end(call, ERR_TIMEOUT, &info);
        return true;
    }
    struct naming_peer p;
    bool known = naming_peer(n->core, info.node, &p);
    if (known && p.looking) {
        call->looked = true;
    } else if (!known || p.looked_for == 0 || now - p.looked_for > LOOK_ALONE) {
        call->looked = look(n, info.node) == 0;
        call->ended = false;
    }
    memcpy(call->key, info.node, NODE_KEY_SIZE);
    return false;
}

static void on_timer(uv_timer_t *timer)
{
    struct names *n = timer->data;
    core_time now = host_now(&n->app->core), first = CORE_NEVER;
    struct names_call *call, *next, *last = n->calls ? n->calls->prev : NULL;
    DL_FOREACH_SAFE(n->calls, call, next)
    {
        bool was_last = call == last;
        core_time deadline = call->deadline;
        if (!call_step(call, now))
            first = core_time_min(first, core_time_min(deadline, now + LOOK_ALONE));
        if (was_last)
            break;
    }
    if (n->calls && !n->stopping)
        uv_timer_start(&n->timer, on_timer, first > now ? (first - now + 999) / 1000 : 0, 0);
}

static void kick(struct names *n)
{
    if (!n->stopping && n->calls)
        uv_timer_start(&n->timer, on_timer, 0, 0);
}

struct names_call *names_resolve(struct names *n, const char *text, core_time deadline, names_cb done, void *context)
{
    struct names_call *call = n->stopping ? NULL : calloc(1, sizeof *call);
    if (!call)
        return NULL;
    core_time now = host_now(&n->app->core);
    call->full = n->call_count >= NAMES_CALLS_MAX;
    call->names = n;
    snprintf(call->text, sizeof call->text, "%s", strlen(text) < sizeof call->text ? text : ".");
    call->deadline = deadline == CORE_NEVER ? core_time_add(now, RESOLVE_TIMEOUT) : deadline;
    call->done = done;
    call->context = context;
    DL_APPEND(n->calls, call);
    n->call_count++;
    kick(n);
    return call;
}

/* ---- This node ---- */

static void own_publish(struct names *n)
{
    struct host_core *core = &n->app->core;
    if (!n->timers || n->stopping)
        return; /* not started yet */
    naming_set_profile(n->core, host_now(core), &n->own);
    naming_wake(n->core, host_now(core), host_out(core));
    host_drain(core);
}

void names_refresh(struct names *n)
{
    struct net_addr found[PROFILE_ADDRESSES_MAX];
    if (!n || n->stopping)
        return;
    uint32_t count = app_addresses(n->app, found, PROFILE_ADDRESSES_MAX);
    n->own.address_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool known = false;
        for (uint32_t k = 0; k < n->own.address_count; k++)
            known = known || net_addr_equal(&n->own.addresses[k], &found[i]);
        if (!known && found[i].port && net_addr_scope(&found[i]) != NET_SCOPE_INVALID)
            n->own.addresses[n->own.address_count++] = found[i];
    }
    n->refreshed = host_now(&n->app->core);
    own_publish(n);
}

static int say(char *message, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int say(char *message, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (message)
        vsnprintf(message, NAMES_MESSAGE_MAX, format, args);
    va_end(args);
    return status;
}

int names_set_nickname(struct names *n, const char *nickname, char *message)
{
    const char *why;
    if (n->app->config.nickname[0])
        return say(message, ERR_EXISTS, "shoal.ini says nickname = %.160s; change it there, or take that line out", n->app->config.nickname);
    if (nickname[0] && name_check(nickname, &why) != 0)
        return say(message, ERR_MALFORMED, "\"%.120s\" is not a nickname: %s", nickname, why);
    int status = store_value_put(n->app->store, VALUE_NICKNAME, bytes_of(nickname, strlen(nickname)));
    if (status != 0)
        return say(message, status, "cannot keep the nickname: %s", err_text(status));
    snprintf(n->own.nickname, sizeof n->own.nickname, "%s", nickname);
    own_publish(n);
    return say(message, 0, "%s", name_look(nickname) ? "letters of several scripts in one name: others will be warned of it" : "");
}

int names_set_site(struct names *n, const struct content_id *site)
{
    uint8_t packed[CONTENT_ID_SIZE];
    if (site && site->kind != CONTENT_TREE)
        return ERR_RANGE;
    if (site)
        content_id_pack(packed, site);
    int status = store_value_put(n->app->store, VALUE_SITE, bytes_of(packed, site ? sizeof packed : 0));
    if (status != 0)
        return status;
    n->own.has_site = site != NULL;
    n->own.site = site ? *site : (struct content_id){.size = 0};
    own_publish(n);
    if (n->changed)
        n->changed(n->changed_context, n->app->me.key);
    return 0;
}

/* Polled: a share job of a small site takes some milliseconds, a large one tells when it is through by itself. */
static void on_publish(uv_timer_t *timer)
{
    struct names *n = timer->data;
    const struct job *job = jobs_find(n->app->jobs, n->publish_job);
    bool recorded = job && job->share_count > 0 && job->shares[0].link[0];
    if (!recorded && job && job->state == JOB_RUNNING)
        return;
    uv_timer_stop(timer);
    n->publish_job = 0;
    if (!recorded)
        return; /* the job says why */
    int status = names_set_site(n, &job->shares[0].id);
    if (status != 0)
        log_error("names", "cannot publish %s as the site: %s", job->shares[0].path, err_text(status));
}

void names_publish(struct names *n, const struct job *job)
{
    n->publish_job = job->id;
    uv_timer_start(&n->publish, on_publish, 5, 10);
}

void names_set_service(struct names *n, const char *service, uint16_t port)
{
    struct profile *p = &n->own;
    uint8_t i = 0;
    while (i < p->service_count && strcmp(p->services[i].name, service) != 0)
        i++;
    if (port && (i < p->service_count || p->service_count < PROFILE_SERVICES_MAX)) {
        snprintf(p->services[i].name, sizeof p->services[i].name, "%s", service);
        p->services[i].port = port;
        p->service_count = (uint8_t)(i == p->service_count ? i + 1 : p->service_count);
    } else if (!port && i < p->service_count) {
        p->services[i] = p->services[--p->service_count];
    }
    own_publish(n);
}

void names_own(struct names *n, struct names_own *out)
{
    struct naming_own own;
    naming_own(n->core, &own);
    *out = (struct names_own){.profile = n->own, .sequence = own.sequence, .stored = own.stored, .asked = own.asked, .watchers = own.watchers,
                              .listed = own.listed, .words = own.words, .words_stored = own.words_stored};
}

static void own_load(struct names *n)
{
    uint8_t value[NAME_SIZE];
    size_t size;
    struct store *s = n->app->store;
    if (n->app->config.nickname[0]) {
        memcpy(n->own.nickname, n->app->config.nickname, sizeof n->own.nickname);
    } else if (store_value_get(s, VALUE_NICKNAME, value, sizeof value - 1, &size) == 0 && size < sizeof value) {
        memcpy(n->own.nickname, value, size);
        n->own.nickname[size] = 0;
        if (name_check(n->own.nickname, NULL) != 0)
            n->own.nickname[0] = 0;
    }
    if (store_value_get(s, VALUE_SITE, value, sizeof value, &size) == 0 && size == CONTENT_ID_SIZE)
        n->own.has_site = content_id_unpack(&n->own.site, value) == 0 && n->own.site.kind == CONTENT_TREE;
    if (store_value_get(s, VALUE_SEQUENCE, value, sizeof value, &size) == 0 && size == 8)
        naming_set_sequence_floor(n->core, get_be64(value));
}

static void own_published(struct names *n, const struct effect *x)
{
    uint8_t sequence[8];
    struct naming_own own;
    naming_own(n->core, &own);
    put_be64(sequence, own.sequence);
    (void)store_value_put(n->app->store, VALUE_SEQUENCE, bytes_of(sequence, 8)); /* the clock, too, sees to it that sequences grow */
    if (x->u.notice.a)
        log_info("names", "profile stored on %u of %u nodes", (unsigned)x->u.notice.a, (unsigned)x->u.notice.b);
}

/* ---- Changing contacts ---- */

/* Another contact whose name passes for this one. */
static const char *look_alike(struct names *n, const uint8_t node[NODE_KEY_SIZE], const char *name)
{
    struct contact *c, *next;
    struct naming_peer p;
    HASH_ITER(hh, n->contacts, c, next)
    {
        if (memcmp(c->key, node, NODE_KEY_SIZE) == 0)
            continue;
        if (c->petname[0] && name_looks_like(c->petname, name))
            return c->petname;
        if (naming_peer(n->core, c->key, &p) && p.has_profile && p.profile->nickname[0] && name_looks_like(p.profile->nickname, name))
            return p.profile->nickname;
    }
    return NULL;
}

int names_add(struct names *n, const char *petname, const uint8_t node[NODE_KEY_SIZE], char *message)
{
    const char *why;
    char folded[NAME_SIZE];
    struct contact *other, *c = names_contact(n, node);
    bool fresh = !c;
    petname = petname ? petname : "";
    if (petname[0] && name_check(petname, &why) != 0)
        return say(message, ERR_MALFORMED, "\"%.120s\" is not a name: %s", petname, why);
    if (memcmp(node, n->app->me.key, NODE_KEY_SIZE) == 0)
        return say(message, ERR_RANGE, "that is this node itself; `shoal name me %.160s` says what it is called", petname[0] ? petname : "NAME");
    name_fold(folded, petname);
    HASH_FIND(by_name, n->petnames, folded, strlen(folded), other);
    if (other && other != c)
        return say(message, ERR_EXISTS, "%.160s is another node already; `shoal name remove %.160s` first", other->petname, other->petname);
    if (fresh && HASH_CNT(hh, n->contacts) >= NAMES_CONTACTS_MAX)
        return say(message, ERR_FULL, "there are %d contacts, as many as can be", NAMES_CONTACTS_MAX);
    if (fresh)
        c = contact_new(n, node);
    if (!c)
        return say(message, ERR_NO_MEMORY, "not enough memory");
    char before[NAME_SIZE];
    memcpy(before, c->petname, sizeof before);
    petname_set(n, c, petname);
    int status = names_contact_save(n, c, true);
    if (status != 0) {
        petname_set(n, c, before);
        if (fresh)
            contact_free(n, c);
        return say(message, status, "cannot keep the contact: %s", err_text(status));
    }
    const char *alike = petname[0] ? look_alike(n, node, petname) : NULL;
    (void)naming_pin(n->core, host_now(&n->app->core), node, true);
    (void)look(n, node);
    if (alike)
        return say(message, 0, "careful: %.140s looks like %.140s", petname, alike);
    return say(message, 0, "%s", petname[0] && name_look(petname) ? "letters of several scripts in one name" : "");
}

int names_remove(struct names *n, const char *text, char *message)
{
    uint8_t key[NODE_KEY_SIZE];
    enum name_how how;
    int status = who(n, text, key, &how);
    struct contact *c = status == 0 ? names_contact(n, key) : NULL;
    if (status == 0 && !c)
        status = ERR_NOT_FOUND;
    if (status == 0)
        status = names_contact_save(n, c, false);
    if (status != 0)
        return say(message, status, status == ERR_NOT_FOUND ? "no contact of the name \"%.160s\"; `shoal name list` shows them" : "\"%.160s\": %s", text,
                   err_text(status));
    (void)naming_pin(n->core, host_now(&n->app->core), key, false);
    contact_free(n, c);
    return say(message, 0, "%s", "");
}

static int contact_order(const void *a, const void *b)
{
    const struct name_info *x = a, *y = b;
    const char *nx = x->petname[0] ? x->petname : x->profile.nickname, *ny = y->petname[0] ? y->petname : y->profile.nickname;
    if ((nx[0] == 0) != (ny[0] == 0))
        return nx[0] == 0 ? 1 : -1;
    int order = strcasecmp(nx, ny);
    return order ? order : memcmp(x->node, y->node, NODE_KEY_SIZE);
}

void names_contacts(struct names *n, bool (*each)(void *context, const struct name_info *info), void *context)
{
    struct contact *c, *next;
    uint32_t count = 0;
    struct name_info *all = calloc(HASH_CNT(hh, n->contacts) + 1, sizeof *all);
    HASH_ITER(hh, n->contacts, c, next)
    {
        if (all)
            names_info(n, c->key, c->petname[0] ? NAME_HOW_PETNAME : NAME_HOW_NICKNAME, &all[count++]);
    }
    if (count)
        qsort(all, count, sizeof *all, contact_order);
    for (uint32_t i = 0; i < count && each(context, &all[i]); i++)
        ;
    free(all);
}

bool names_at_address(struct names *n, const struct net_addr *addr, struct name_info *out)
{
    struct contact *c, *next;
    struct naming_peer p;
    for (uint32_t i = 0; i < n->own.address_count; i++) {
        if (net_addr_same_ip(&n->own.addresses[i], addr)) {
            names_info(n, n->app->me.key, NAME_HOW_SELF, out);
            return true;
        }
    }
    HASH_ITER(hh, n->contacts, c, next)
    {
        if (!naming_peer(n->core, c->key, &p) || !p.has_profile)
            continue;
        for (uint32_t i = 0; i < p.profile->address_count; i++) {
            if (!net_addr_same_ip(&p.profile->addresses[i], addr))
                continue;
            names_info(n, c->key, NAME_HOW_PETNAME, out);
            return true;
        }
    }
    return false;
}

void names_site_link(const struct name_info *info, struct link *out)
{
    memset(out, 0, sizeof *out);
    out->id = info->profile.site;
    for (uint32_t i = 0; i < info->profile.address_count && out->source_count < LINK_SOURCES_MAX; i++) {
        memcpy(out->sources[out->source_count].key, info->node, NODE_KEY_SIZE);
        out->sources[out->source_count++].addr = info->profile.addresses[i];
    }
}

void names_on_change(struct names *n, void (*changed)(void *context, const uint8_t node[NODE_KEY_SIZE]), void *context)
{
    n->changed = changed;
    n->changed_context = context;
}

/* ---- The module ---- */

bool names_notice(struct names *n, const struct effect *x, struct bytes bytes)
{
    struct names_call *call;
    if (!n)
        return false;
    switch (x->u.notice.kind) {
    case NAMING_NOTICE_PROFILE:
        if (store_contact_record(n->app->store, x->u.notice.node.key, bytes, (int64_t)(host_unix_ms() / 1000), NAMES_CACHE_MAX) != 0)
            log_debug("names", "a profile could not be kept: after a restart it is looked for again");
        if (n->changed && !n->stopping)
            n->changed(n->changed_context, x->u.notice.node.key);
        kick(n);
        return true;
    case NAMING_NOTICE_LOOKED:
        DL_FOREACH(n->calls, call)
        {
            if (call->looked && memcmp(call->key, x->u.notice.node.key, NODE_KEY_SIZE) == 0)
                call->ended = true;
        }
        kick(n);
        return true;
    case NAMING_NOTICE_PUBLISHED:
        own_published(n, x);
        return true;
    default:
        return names_query_notice(n, x, bytes);
    }
}

static void on_slow(uv_timer_t *timer)
{
    struct names *n = timer->data;
    core_time now = host_now(&n->app->core);
    if (n->stopping)
        return;
    if (now - n->refreshed > REFRESH_EVERY)
        names_refresh(n);
    names_sites_tick(n, now);
    names_list_tick(n, now);
}

struct names *names_new(struct app *app)
{
    struct names *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    n->app = app;
    n->core = node_naming(app->core.node);
    return n;
}

void names_start(struct names *n)
{
    own_load(n);
    int status = store_contacts(n->app->store, restore_one, n);
    if (status != 0)
        log_error("names", "cannot read the contacts: %s", err_text(status));
    uv_timer_init(&n->app->loop, &n->timer);
    uv_timer_init(&n->app->loop, &n->slow);
    uv_timer_init(&n->app->loop, &n->publish);
    n->timer.data = n->slow.data = n->publish.data = n;
    n->timers = true;
    uv_timer_start(&n->slow, on_slow, 1000, 1000);
    uv_unref((uv_handle_t *)&n->slow);
    names_refresh(n);
}

void names_stop(struct names *n)
{
    struct name_info none = {.has_profile = false};
    n->stopping = true;
    while (n->calls)
        call_end(n->calls, ERR_CANCELLED, &none);
    names_queries_stop(n);
}

static void on_closed(uv_handle_t *handle)
{
    struct names *n = handle->data;
    if (--n->closing == 0)
        free(n);
}

void names_free(struct names *n)
{
    struct contact *c, *next;
    if (!n)
        return;
    HASH_CLEAR(by_name, n->petnames);
    HASH_ITER(hh, n->contacts, c, next)
    {
        HASH_DELETE(hh, n->contacts, c);
        free(c);
    }
    n->app->names = NULL;
    names_list_stop(n);
    if (!n->timers) {
        free(n);
        return;
    }
    n->closing = 3;
    uv_close((uv_handle_t *)&n->timer, on_closed);
    uv_close((uv_handle_t *)&n->slow, on_closed);
    uv_close((uv_handle_t *)&n->publish, on_closed);
}
