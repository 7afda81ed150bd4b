#include "node/names/profile.h"
#include "node/base/pack.h"
#include "node/base/wire.h"

enum profile_field { PROFILE_NICKNAME, PROFILE_ADDRESSES, PROFILE_SITE, PROFILE_SERVICES };

static bool service_name_ok(const char *name)
{
    size_t n = strlen(name);
    for (const char *p = name; *p; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || (*p == '-' && p > name && p[1])))
            return false;
    }
    return n >= 1 && n <= PROFILE_SERVICE_NAME_MAX;
}

static bool address_ok(const struct net_addr *list, uint32_t i)
{
    if (list[i].port == 0 || net_addr_scope(&list[i]) == NET_SCOPE_INVALID)
        return false;
    for (uint32_t k = 0; k < i; k++) {
        if (net_addr_equal(&list[k], &list[i]))
            return false;
    }
    return true;
}

/* The rules that hold for what is written as for what is read. */
static bool profile_ok(const struct profile *p)
{
    if (p->nickname[0] && name_check(p->nickname, NULL) != 0)
        return false;
    if (p->address_count > PROFILE_ADDRESSES_MAX || p->service_count > PROFILE_SERVICES_MAX)
        return false;
    for (uint32_t i = 0; i < p->address_count; i++) {
        if (!address_ok(p->addresses, i))
            return false;
    }
    for (uint32_t i = 0; i < p->service_count; i++) {
        if (p->services[i].port == 0 || !service_name_ok(p->services[i].name))
            return false;
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(p->services[k].name, p->services[i].name) == 0)
                return false;
        }
    }
    return !p->has_site || p->site.kind == CONTENT_TREE;
}

static void write_addresses(struct pack *p, uint64_t key, const struct net_addr *list, uint32_t count)
{
    if (count == 0)
        return;
    pack_uint(p, key);
    pack_array(p, count);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t wire[NET_ADDR_WIRE_MAX];
        size_t size = net_addr_to_wire(wire, &list[i]);
        pack_bin(p, wire, size);
    }
}

static uint8_t read_addresses(struct wire *w, struct net_addr *list, uint32_t max)
{
    uint32_t count = wire_array(w, max);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes b = wire_bin(w, NET_ADDR_WIRE_MAX);
        if (wire_ok(w) && (!net_addr_from_wire(&list[i], b.data, b.size) || !address_ok(list, i)))
            wire_fail(w);
    }
    return wire_ok(w) ? (uint8_t)count : 0;
}

/* A string that becomes a C string: no NUL inside. */
static void read_text(struct wire *w, char *out, size_t cap)
{
    struct bytes b = wire_str(w, cap - 1);
    if (b.size && memchr(b.data, 0, b.size))
        wire_fail(w);
    if (!wire_ok(w))
        return;
    if (b.size)
        memcpy(out, b.data, b.size);
    out[b.size] = 0;
}

size_t profile_write(uint8_t *out, size_t cap, const struct profile *p)
{
    if (!profile_ok(p))
        return 0;
    struct pack w;
    pack_init(&w, out, cap);
    pack_map(&w, (p->nickname[0] != 0) + (p->address_count != 0) + p->has_site + (p->service_count != 0));
    if (p->nickname[0])
        pack_key_str(&w, PROFILE_NICKNAME, p->nickname, strlen(p->nickname));
    write_addresses(&w, PROFILE_ADDRESSES, p->addresses, p->address_count);
    if (p->has_site) {
        uint8_t id[CONTENT_ID_SIZE];
        content_id_pack(id, &p->site);
        pack_key_bin(&w, PROFILE_SITE, id, sizeof id);
    }
    if (p->service_count) {
        pack_uint(&w, PROFILE_SERVICES);
        pack_array(&w, p->service_count);
        for (uint32_t i = 0; i < p->service_count; i++) {
            pack_array(&w, 2);
            pack_str(&w, p->services[i].name, strlen(p->services[i].name));
            pack_uint(&w, p->services[i].port);
        }
    }
    return pack_ok(&w) && w.size <= DHT_VALUE_MAX ? w.size : 0;
}

static void read_site(struct wire *w, struct profile *p)
{
    struct bytes b = wire_bin(w, CONTENT_ID_SIZE);
    if (!wire_ok(w) || b.size != CONTENT_ID_SIZE || content_id_unpack(&p->site, b.data) != 0)
        wire_fail(w);
    else
        p->has_site = true;
}

static void read_services(struct wire *w, struct profile *p)
{
    uint32_t count = wire_array(w, PROFILE_SERVICES_MAX);
    for (uint32_t i = 0; i < count && wire_ok(w); i++) {
        if (wire_array(w, 2) != 2)
            wire_fail(w);
        read_text(w, p->services[i].name, sizeof p->services[i].name);
        p->services[i].port = (uint16_t)wire_uint_max(w, UINT16_MAX);
    }
    p->service_count = wire_ok(w) ? (uint8_t)count : 0;
}

int profile_read(struct profile *out, struct bytes value)
{
    struct wire w;
    uint64_t key;
    memset(out, 0, sizeof *out);
    wire_init(&w, value.data, value.size);
    struct wire_map map = wire_map(&w);
    while (wire_map_next(&w, &map, &key)) {
        switch (key) {
        case PROFILE_NICKNAME:
            read_text(&w, out->nickname, sizeof out->nickname);
            if (!out->nickname[0])
                wire_fail(&w);
            break;
        case PROFILE_ADDRESSES:
            out->address_count = read_addresses(&w, out->addresses, PROFILE_ADDRESSES_MAX);
            break;
        case PROFILE_SITE:
            read_site(&w, out);
            break;
        case PROFILE_SERVICES:
            read_services(&w, out);
            break;
        default:
            wire_skip(&w);
        }
    }
    return wire_done(&w) && profile_ok(out) ? 0 : ERR_MALFORMED;
}

static void label_key(uint8_t out[DHT_KEY_SIZE], const char *label, const char *text, const struct network *network,
                      const struct core_crypto *crypto)
{
    const struct bytes parts[] = {bytes_of(label, strlen(label)), bytes_of(network->id, NETWORK_ID_SIZE), bytes_of(text, strlen(text))};
    crypto->hash(out, DHT_KEY_SIZE, NULL, 0, parts, 3);
}

void nick_key(uint8_t out[DHT_KEY_SIZE], const char *nickname, const struct network *network, const struct core_crypto *crypto)
{
    char folded[NAME_SIZE];
    name_fold(folded, nickname);
    label_key(out, "nick", folded, network, crypto);
}

void keyword_key(uint8_t out[DHT_KEY_SIZE], const char *folded_word, const struct network *network, const struct core_crypto *crypto)
{
    label_key(out, "word", folded_word, network, crypto);
}

size_t nick_write(uint8_t *out, size_t cap, const char *nickname)
{
    struct pack w;
    if (name_check(nickname, NULL) != 0)
        return 0;
    pack_init(&w, out, cap);
    pack_map(&w, 1);
    pack_key_str(&w, 0, nickname, strlen(nickname));
    return pack_ok(&w) ? w.size : 0;
}

int nick_read(char nickname[NAME_SIZE], struct bytes value)
{
    struct wire w;
    uint64_t key;
    nickname[0] = 0;
    wire_init(&w, value.data, value.size);
    struct wire_map map = wire_map(&w);
    while (wire_map_next(&w, &map, &key)) {
        if (key == 0)
            read_text(&w, nickname, NAME_SIZE);
        else
            wire_skip(&w);
    }
    return wire_done(&w) && name_check(nickname, NULL) == 0 ? 0 : ERR_MALFORMED;
}

size_t keyword_write(uint8_t *out, size_t cap, const struct keyword *k)
{
    struct pack w;
    if (k->count == 0 || k->address_count > KEYWORD_ADDRESSES_MAX)
        return 0;
    pack_init(&w, out, cap);
    pack_map(&w, 1u + (k->address_count != 0));
    pack_key_uint(&w, 0, k->count);
    write_addresses(&w, 1, k->addresses, k->address_count);
    return pack_ok(&w) ? w.size : 0;
}

int keyword_read(struct keyword *out, struct bytes value)
{
    struct wire w;
    uint64_t key;
    memset(out, 0, sizeof *out);
    wire_init(&w, value.data, value.size);
    struct wire_map map = wire_map(&w);
    while (wire_map_next(&w, &map, &key)) {
        if (key == 0)
            out->count = (uint32_t)wire_uint_max(&w, UINT32_MAX);
        else if (key == 1)
            out->address_count = read_addresses(&w, out->addresses, KEYWORD_ADDRESSES_MAX);
        else
            wire_skip(&w);
    }
    return wire_done(&w) && out->count > 0 ? 0 : ERR_MALFORMED;
}
