/* Text forms that people paste: decode, encode, decode must agree; nothing is read past the end. */
#include <stdlib.h>

#include "node/base/assert.h"
#include "node/base/err.h"
#include "node/base/id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), again[INVITE_TEXT_MAX], addr_text[NET_ADDR_TEXT_MAX];
    struct invite invite, second;
    struct net_addr addr, addr2;
    uint8_t key[NODE_KEY_SIZE];
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (invite_parse(&invite, text) == 0) {
        core_assert(invite_format(again, &invite) == 0);
        core_assert(invite_parse(&second, again) == 0);
        core_assert(second.node_count == invite.node_count);
    }
    if (net_addr_parse(&addr, text) == 0) {
        net_addr_format(addr_text, &addr);
        core_assert(net_addr_parse(&addr2, addr_text) == 0);
        core_assert(net_addr_equal(&addr, &addr2));
    }
    node_id_parse(key, text);
    free(text);
    return 0;
}
