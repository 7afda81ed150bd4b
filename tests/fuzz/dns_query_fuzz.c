/* Any bytes as a query, over UDP or TCP, from near or far: no answer to an answer, none larger than it may
 * be, and each can be read back whole by the same strict rules: counts right, names that end, question as it
 * came. */
#include <stdlib.h>
#include "gateways/dns/dns_master.h"
#include "gateways/dns/dns_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char zone_text[] =
    "$ORIGIN example.\n$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\n@ MX 1 m\nns A 192.0.2.1\nm AAAA 2001:db8::1\n"
    "w CNAME m\nd DNAME e\nx.e A 192.0.2.2\n*.s TXT t\nsub NS n.sub\nn.sub A 192.0.2.3\n_a._b SRV 1 2 3 m\n"
    "l TXT "
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\n";

static void check(bool ok)
{
    if (!ok)
        abort();
}

static int find(void *owner, const char *text, struct dns_who *out)
{
    (void)owner;
    memset(out, 0, sizeof *out);
    memcpy(out->id, "id", 3);
    out->addresses[0] = net_addr_v4(192, 0, 2, 9, 1);
    out->address_count = 1;
    out->is_content = text[0] == 'c';
    return text[0] == 'x' ? ERR_NOT_FOUND : text[0] == 'b' ? ERR_BUSY : 0;
}

static bool find_at(void *owner, const struct net_addr *at, char text[DNS_TEXT_MAX])
{
    (void)owner;
    memcpy(text, "name", 5);
    return at->ip[15] & 1;
}

static void read_back(struct bytes query, struct bytes answer)
{
    size_t at = DNS_HEADER_SIZE;
    struct dns_name name;
    check(answer.size >= DNS_HEADER_SIZE && get_be16(answer.data) == get_be16(query.data));
    check((get_be16(answer.data + 2) & 0x8000) &&
          (get_be16(answer.data + 2) & 0x7800) == (get_be16(query.data + 2) & 0x7800));
    uint16_t questions = get_be16(answer.data + 4);
    check(questions <= 1);
    if (questions) {
        check(dns_name_read(&name, answer, &at) == 0);
        at += 4;
        check(at <= answer.size && at <= query.size &&
              memcmp(answer.data + 12, query.data + 12, at - 12) == 0);
    }
    for (unsigned section = 1; section < 4; section++) {
        for (unsigned i = get_be16(answer.data + 4 + 2 * section); i; i--) {
            check(dns_name_read(&name, answer, &at) == 0 && answer.size - at >= 10);
            size_t data = at + 10, data_size = get_be16(answer.data + at + 8);
            const struct dns_type_info *info = dns_type_find(get_be16(answer.data + at));
            check(data_size <= answer.size - data);
            at = data + data_size;
            if (info && info->layout[0] == 'n' && info->layout[1] == 0)
                check(dns_name_read(&name, answer, &data) == 0 && data == at);
        }
    }
    check(at == answer.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dns_zone *zone; /* only read, so one serves all inputs */
    static struct dns_server s;
    static uint8_t out[DNS_MESSAGE_MAX];
    char message[DNS_ZONE_MESSAGE], later[DNS_TEXT_MAX];
    static const uint8_t secret[DNS_SECRET_SIZE] = {3};
    uint32_t line;
    if (size < 2 || size > DNS_MESSAGE_MAX)
        return 0;
    if (!zone) {
        zone = dns_zone_new();
        check(dns_master_read(zone, zone_text, sizeof zone_text - 1, NULL, &line, message) == 0);
        check(dns_zone_finish(zone, &line, message) == 0);
        dns_server_add_suffix(&s, "shoal.alt");
        dns_server_add_suffix(&s, "example.alt");
        dns_server_add_zone(&s, zone);
        dns_limit_init(&s.limit, 1000000, secret);
        s.find = find;
        s.find_at = find_at;
        s.http = net_addr_v4(0, 0, 0, 0, 80);
        s.services[0] = (struct dns_service){"http", 80};
        s.service_count = 1;
    }
    struct dns_asker asker = {.from = net_addr_v4(data[0] & 1 ? 127 : 9, 0, 0, 1, 5),
                              .to = net_addr_v4(9, 0, 0, 2, 53),
                              .tcp = data[0] & 2};
    struct bytes query = bytes_of(data + 1, size - 1);
    for (int again = 0; again < 2; again++) {
        size_t n = dns_answer(&s, 5000000, &asker, query, out, asker.tcp ? sizeof out : DNS_UDP_MAX,
                              again ? NULL : later);
        if (n == DNS_LATER) {
            check(!again);
            continue;
        }
        if (n == 0) {
            check(query.size < DNS_HEADER_SIZE || get_be16(query.data + 2) & 0x8000 ||
                  s.counters[DNS_COUNT_DROPPED]);
            continue;
        }
        check(!(get_be16(query.data + 2) & 0x8000));
        read_back(query, bytes_of(out, n));
        if (!asker.tcp)
            check(n <= DNS_UDP_MAX);
        if (!asker.tcp && !(data[0] & 1) && query.size < 100 && !s.counters[DNS_COUNTERS - 1])
            check(n <= 3 * query.size + 28 || get_be16(out + 2) & 0x0200);
    }
    return 0;
}
