/* Signed records: what decodes keeps its fields inside the input, and only what was signed verifies. */
#include <stdlib.h>
#include <string.h>
#include "dht/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static bool inside(const uint8_t *p, size_t n, const uint8_t *data, size_t size)
{
    return n == 0 || (p >= data && p + n <= data + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dht_record_view v;
    struct network network = {.id = {1}};
    struct node_identity me;
    uint8_t seed[32] = {4}, key[32] = {5}, wire[DHT_RECORD_WIRE_MAX];
    core_crypto_cheap.identity(&me, seed);
    if (dht_record_read(&v, bytes_of(data, size)) == 0) {
        require(size <= DHT_RECORD_WIRE_MAX && v.value.size <= DHT_VALUE_MAX);
        require(inside(v.publisher, NODE_KEY_SIZE, data, size) && inside(v.signature, SIGNATURE_SIZE, data, size));
        require(inside(v.value.data, v.value.size, data, size));
        dht_record_verify(&v, key, &network, &core_crypto_cheap);
    }
    /* Sign the input as a value, change one byte by the input's say: it no longer verifies, or it says the same. */
    struct bytes value = bytes_of(data, size > 200 ? 200 : size);
    size_t n = dht_record_sign(wire, sizeof wire, DHT_NICK, key, size, 1000, value, &me, &network, &core_crypto_cheap);
    require(n > 0 && dht_record_read(&v, bytes_of(wire, n)) == 0);
    require(dht_record_verify(&v, key, &network, &core_crypto_cheap) == 0 && bytes_equal(v.value, value));
    if (size < 3 || data[2] == 0)
        return 0;
    wire[get_be16(data) % n] ^= data[2];
    if (dht_record_read(&v, bytes_of(wire, n)) == 0)
        require(dht_record_verify(&v, key, &network, &core_crypto_cheap) != 0);
    return 0;
}
