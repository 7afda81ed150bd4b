/* Purpose: any bytes as a manifest: what is accepted has good names in order, and encodes back to exactly the
 * same bytes. */
#include <stdlib.h>
#include "node/base/assert.h"
#include "transfer/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t count = 0;
    if (manifest_check(bytes_of(data, size), &count))
        return 0;
    uint8_t *buffer = malloc(size);
    struct pack p;
    pack_init(&p, buffer, size);
    manifest_begin(&p, count);
    struct manifest_reader r;
    struct manifest_entry e;
    struct bytes last = {0};
    core_assert(manifest_open(&r, bytes_of(data, size)) == 0);
    while (manifest_next(&r, &e) == 1)
        core_assert(manifest_add(&p, &e, &last) == 0);
    core_assert(pack_ok(&p));
    core_assert(p.size == size);
    core_assert(memcmp(buffer, data, size) == 0);
    free(buffer);
    return 0;
}
