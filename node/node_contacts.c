/* Contacts across restarts, and a message told to every contact (network rotate). */
#include "node/node_int.h"

#include "node/base/pack.h"
#include "node/base/wire.h"

#define CONTACTS_KEPT   64
#define RESTORE_AT_ONCE 4
#define TELL_AT_ONCE    4
#define TELL_MAX        256

static void list_free(struct node *n, struct contact_list **list)
{
    n->alloc->free(n->alloc->context, *list);
    *list = NULL;
}

static void tell_free(struct node *n)
{
    if (!n->tell)
        return;
    list_free(n, &n->tell->list);
    n->alloc->free(n->alloc->context, n->tell);
    n->tell = NULL;
}

void node_contacts_free(struct node *n)
{
    tell_free(n);
    list_free(n, &n->restore);
}

void node_contacts_persist(struct node *n, struct effects *out)
{
    struct node_addr contacts[CONTACTS_KEPT];
    uint32_t count = dht_contacts(n->dht, contacts, CONTACTS_KEPT);
    if (count == 0)
        return; /* never replace a good list by nothing: we may only be off the network for a while */
    struct effect *x = effects_add(out, EFFECT_PERSIST);
    uint32_t cap = 16 + CONTACTS_KEPT * (NODE_KEY_SIZE + NET_ADDR_WIRE_MAX + 8);
    struct pack p;
    x->u.persist.key = NODE_PERSIST_CONTACTS;
    pack_init(&p, effects_reserve(out, x, cap), cap);
    pack_array(&p, count);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t addr[NET_ADDR_WIRE_MAX];
        size_t size = net_addr_to_wire(addr, &contacts[i].addr);
        pack_array(&p, 2);
        pack_bin(&p, contacts[i].key, NODE_KEY_SIZE);
        pack_bin(&p, addr, size);
    }
    core_assert(pack_ok(&p));
    effects_commit(out, x, (uint32_t)p.size);
}

static struct contact_list *list_new(struct node *n, uint32_t cap)
{
    return n->alloc->alloc(n->alloc->context, sizeof(struct contact_list) + cap * sizeof(struct node_addr));
}

void node_restore(struct node *n, core_time now, uint32_t key, struct bytes bytes)
{
    struct wire w;
    if (key != NODE_PERSIST_CONTACTS || n->restore)
        return;
    wire_init(&w, bytes.data, bytes.size);
    uint32_t count = wire_array(&w, CONTACTS_KEPT);
    struct contact_list *list = count ? list_new(n, count) : NULL;
    if (!list)
        return;
    for (uint32_t i = 0; i < count; i++) {
        struct node_addr *to = &list->items[list->count];
        if (wire_array(&w, 2) != 2)
            wire_fail(&w);
        wire_bin_exact(&w, to->key, NODE_KEY_SIZE);
        struct bytes addr = wire_bin(&w, NET_ADDR_WIRE_MAX);
        if (wire_ok(&w) && net_addr_from_wire(&to->addr, addr.data, addr.size))
            list->count++;
    }
    n->restore = list;
    n->restore_at = now;
}

static void restore_some(struct node *n, core_time now, struct effects *out)
{
    struct contact_list *list = n->restore;
    if (list->next < list->count) {
        struct node_addr *a = &list->items[list->next++];
        dht_hint(n->dht, now, a->key, &a->addr, out);
    }
    n->restore_at = core_time_add(now, list->next % RESTORE_AT_ONCE ? 0 : CORE_MS(50));
    if (list->next == list->count) {
        n->restore_at = CORE_NEVER;
        list_free(n, &n->restore);
    }
}

int node_tell_all(struct node *n, core_time now, struct bytes message, uint32_t op, struct effects *out)
{
    (void)out;
    core_assert(op >= 1 && op <= NODE_OP_MAX);
    if (message.size > sizeof n->tell->message)
        return ERR_RANGE;
    if (n->tell)
        return ERR_BUSY;
    struct node_tell *tell = n->alloc->alloc(n->alloc->context, sizeof *tell);
    struct contact_list *list = tell ? list_new(n, TELL_MAX) : NULL;
    if (!list) {
        n->alloc->free(n->alloc->context, tell);
        return ERR_NO_MEMORY;
    }
    list->count = dht_contacts(n->dht, list->items, TELL_MAX);
    tell->active = true;
    tell->op = op;
    tell->list = list;
    tell->next = now;
    tell->size = message.size;
    memcpy(tell->message, message.data, message.size);
    n->tell = tell;
    return 0;
}

static void tell_some(struct node *n, core_time now, struct effects *out)
{
    struct node_tell *tell = n->tell;
    struct contact_list *list = tell->list;
    if (list->next < list->count) {
        struct node_addr *a = &list->items[list->next++];
        uint32_t session = xfer_session_dial(n->xfer, now, a->key, &a->addr, out);
        tell->tried++;
        if (session && xfer_send_app(n->xfer, now, session, bytes_of(tell->message, tell->size), out) == 0)
            tell->told++;
        tell->next = core_time_add(now, list->next % TELL_AT_ONCE ? 0 : CORE_MS(100));
        return;
    }
    struct effect *x = node_notice(out, NODE_NOTICE_TOLD, tell->op);
    x->u.notice.a = tell->told;
    x->u.notice.b = tell->tried;
    tell_free(n);
}

core_time node_contacts_deadline(const struct node *n)
{
    return n->tell ? core_time_min(n->restore_at, n->tell->next) : n->restore_at;
}

bool node_contacts_wake(struct node *n, core_time now, struct effects *out)
{
    if (n->restore_at <= now)
        restore_some(n, now, out);
    else if (n->tell && n->tell->next <= now)
        tell_some(n, now, out);
    else
        return false;
    return true;
}
