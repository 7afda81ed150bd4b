#include "gateways/dns/dns_type.h"
#include <stdio.h>
#include <string.h>

/* By number. */
static const struct dns_type_info types[] = {
    {"A", 1, "a"},
    {"NS", 2, "n"},
    {"MD", 3, "n"},
    {"MF", 4, "n"},
    {"CNAME", 5, "n"},
    {"SOA", 6, "nn4tttt"},
    {"MB", 7, "n"},
    {"MG", 8, "n"},
    {"MR", 9, "n"},
    {"PTR", 12, "n"},
    {"HINFO", 13, "qq"},
    {"MINFO", 14, "nn"},
    {"MX", 15, "2n"},
    {"TXT", 16, "Q"},
    {"RP", 17, "NN"},
    {"AFSDB", 18, "2N"},
    {"X25", 19, "q"},
    {"ISDN", 20, "q?"},
    {"RT", 21, "2N"},
    {"PX", 26, "2NN"},
    {"GPOS", 27, "qqq"},
    {"AAAA", 28, "6"},
    {"LOC", 29, "L"},
    {"SRV", 33, "222N"},
    {"NAPTR", 35, "22qqqN"},
    {"KX", 36, "2N"},
    {"CERT", 37, "C2Ab"},
    {"DNAME", 39, "N"},
    {"APL", 42, "P"},
    {"DS", 43, "2A1x"},
    {"SSHFP", 44, "11x"},
    {"IPSECKEY", 45, "111Gb"},
    {"RRSIG", 46, "TA1tkk2Nb"},
    {"NSEC", 47, "NB"},
    {"DNSKEY", 48, "21Ab"},
    {"DHCID", 49, "b"},
    {"NSEC3", 50, "112hHB"},
    {"NSEC3PARAM", 51, "112h"},
    {"TLSA", 52, "111x"},
    {"SMIMEA", 53, "111x"},
    {"CDS", 59, "2A1x"},
    {"CDNSKEY", 60, "21Ab"},
    {"OPENPGPKEY", 61, "b"},
    {"CSYNC", 62, "42B"},
    {"ZONEMD", 63, "411x"},
    {"SVCB", 64, "2Nv"},
    {"HTTPS", 65, "2Nv"},
    {"SPF", 99, "Q"},
    {"NID", 104, "2i"},
    {"L32", 105, "2a"},
    {"L64", 106, "2i"},
    {"LP", 107, "2N"},
    {"EUI48", 108, "e"},
    {"EUI64", 109, "E"},
    {"URI", 256, "22U"},
    {"CAA", 257, "1qU"},
    {"AVC", 258, "Q"},
    {"DLV", 32769, "2A1x"},
};
#define TYPE_COUNT (sizeof types / sizeof *types)

const struct dns_type_info *dns_type_find(uint16_t type)
{
    size_t low = 0, high = TYPE_COUNT;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (types[middle].type == type)
            return &types[middle];
        if (types[middle].type < type)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* The number behind a prefix ("TYPE", "CLASS"), up to 65535; -1 otherwise. */
static int numbered(const char *text, size_t size, const char *prefix)
{
    size_t skip = strlen(prefix);
    int value = 0;
    if (size <= skip || size > skip + 5 || strncasecmp(text, prefix, skip) != 0)
        return -1;
    for (size_t i = skip; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value <= 65535 ? value : -1;
}

int dns_type_from_text(const char *text, size_t size)
{
    for (size_t i = 0; i < TYPE_COUNT; i++)
        if (strlen(types[i].name) == size && strncasecmp(types[i].name, text, size) == 0)
            return types[i].type;
    return numbered(text, size, "TYPE");
}

char *dns_type_to_text(char out[12], uint16_t type)
{
    const struct dns_type_info *info = dns_type_find(type);
    if (info)
        snprintf(out, 12, "%s", info->name);
    else
        snprintf(out, 12, "TYPE%u", (unsigned)type);
    return out;
}

int dns_class_from_text(const char *text, size_t size)
{
    static const struct {
        const char *name;
        int value;
    } names[] = {{"IN", DNS_IN}, {"CH", DNS_CH},     {"HS", DNS_HS},
                 {"CS", 2},      {"NONE", DNS_NONE}, {"ANY", DNS_CLASS_ANY}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == size && strncasecmp(names[i].name, text, size) == 0)
            return names[i].value;
    return numbered(text, size, "CLASS");
}
