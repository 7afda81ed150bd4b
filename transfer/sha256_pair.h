/* SHA-256 (FIPS 180-4) of two messages of equal size at once, with the processor's SHA instructions.
 *
 * One message keeps the SHA unit waiting for its own last result: on the processors at hand two interleaved
 * messages take about as long as one. Leaves are hashed by the million and are independent of each other, and
 * no packaged library offers this (OpenSSL keeps its multi-block code to itself), hence our own; OpenSSL is
 * what the test compares it with, and what everything else uses. */
#ifndef SHOAL_TRANSFER_SHA256_PAIR_H
#define SHOAL_TRANSFER_SHA256_PAIR_H
#include "node/base/bytes.h"
#include "node/base/crypto.h"

/* False: this processor or this compiler has no such instructions; hash one by one. */
bool sha256_pair_usable(void);
/* Only where sha256_pair_usable. size: bytes of each message, a multiple of 64. */
void sha256_pair(uint8_t out_a[HASH_SIZE], uint8_t out_b[HASH_SIZE], const uint8_t *a, const uint8_t *b,
                 size_t size);
#endif
