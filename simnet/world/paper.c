/* Bytes as the papers of p2psim count them (Li 2005): 20 for every message and 4 for every node that it names; a look-up's request names its target. Only
 * where datagrams can be read from outside, which is with the stand-in cryptography. */
#include "dht/message.h"
#include "node/channel/datagram.h"
#include "simnet/world/world.h"

#define MESSAGE_BYTES 20
#define ID_BYTES      4

uint64_t sim_paper_bytes(struct bytes sealed)
{
    struct dht_message m;
    uint64_t ids = 0;
    if (sealed.size < DATAGRAM_OVERHEAD ||
        dht_message_read(&m, sealed.data + DATAGRAM_HEAD, sealed.size - DATAGRAM_OVERHEAD) != 0)
        return MESSAGE_BYTES;
    for (uint32_t family = 0; m.reply && family < DHT_FAMILIES; family++)
        ids += dht_node_count((enum dht_family)family, m.contacts[family]) + dht_node_count((enum dht_family)family, m.providers[family]);
    return MESSAGE_BYTES + ID_BYTES * (m.reply ? ids : m.key != NULL);
}
