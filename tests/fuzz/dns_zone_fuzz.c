/* Any bytes as a master file: read or refused with a line and a sentence; what is read answers questions
 * about itself with messages that fit. */
#include <stdlib.h>
#include "gateways/dns/dns_master.h"
#include "gateways/dns/dns_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void ask(struct dns_server *s, const struct dns_name *name, uint16_t type)
{
    static uint8_t out[DNS_MESSAGE_MAX];
    uint8_t query[DNS_HEADER_SIZE + DNS_NAME_MAX + 4] = {[5] = 1};
    char later[DNS_TEXT_MAX];
    struct dns_asker asker = {.from = net_addr_v4(127, 0, 0, 1, 5), .to = net_addr_v4(127, 0, 0, 1, 53)};
    memcpy(query + DNS_HEADER_SIZE, name->wire, name->size);
    put_be16(query + DNS_HEADER_SIZE + name->size, type);
    put_be16(query + DNS_HEADER_SIZE + name->size + 2, DNS_IN);
    for (int tcp = 0; tcp < 2; tcp++) {
        asker.tcp = tcp;
        size_t n = dns_answer(s, 5000000, &asker, bytes_of(query, DNS_HEADER_SIZE + name->size + 4u), out,
                              tcp ? sizeof out : DNS_UDP_MAX, later);
        check(n >= DNS_HEADER_SIZE && n != DNS_LATER && (tcp || n <= DNS_UDP_PLAIN));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dns_server s;
    char message[DNS_ZONE_MESSAGE] = "", text[DNS_NAME_TEXT_MAX];
    uint32_t line = 0;
    struct dns_name origin, name, back;
    struct dns_zone *zone = dns_zone_new();
    check(dns_name_from_text(&origin, "o.", 2, NULL) == 0);
    int r = dns_master_read(zone, (const char *)data, size, &origin, &line, message);
    if (r == 0)
        r = dns_zone_finish(zone, &line, message);
    check(r == 0 || message[0]);
    check(memchr(message, 0, sizeof message));
    if (r != 0) {
        dns_zone_free(zone);
        return 0;
    }
    s.zone_count = 0;
    check(dns_server_add_zone(&s, zone) == 0);
    name = *dns_zone_apex(zone);
    ask(&s, &name, DNS_SOA);
    ask(&s, &name, DNS_ANY);
    static const char *const labels[] = {"a", "*", "x", "sub"};
    for (unsigned i = 0; i < 4; i++) {
        if (dns_name_join(&name, (const uint8_t *)labels[i], strlen(labels[i]), dns_zone_apex(zone)->wire) !=
            0)
            continue;
        for (unsigned type = 1; type < 66; type += i ? 14 : 1)
            ask(&s, &name, (uint16_t)type);
        dns_name_to_text(text, name.wire);
        check(dns_name_from_text(&back, text, strlen(text), NULL) == 0 && dns_name_equal(&back, &name));
    }
    dns_server_free_zones(&s);
    return 0;
}
