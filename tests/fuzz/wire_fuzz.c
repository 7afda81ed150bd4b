/* The cursor against msgpack-c as the oracle: what wire_skip accepts must be one object for msgpack-c too, of the same size. (Not the other
 * way round: the cursor refuses floats, extensions, longer forms and depth.) Then every typed read on the same bytes must stay inside. */
#include <msgpack.h>

#include "node/base/assert.h"
#include "node/base/id.h"
#include "node/base/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire w;
    wire_init(&w, data, size);
    wire_skip(&w);
    if (wire_ok(&w)) {
        size_t used = size - wire_left(&w), offset = 0;
        msgpack_unpacked result;
        msgpack_unpacked_init(&result);
        msgpack_unpack_return r = msgpack_unpack_next(&result, (const char *)data, used, &offset);
        core_assert(r == MSGPACK_UNPACK_SUCCESS);
        core_assert(offset == used);
        msgpack_unpacked_destroy(&result);
    }
    wire_init(&w, data, size);
    while (wire_left(&w)) {
        switch (wire_peek(&w)) {
        case WIRE_UINT:
            wire_uint(&w);
            break;
        case WIRE_INT:
            core_assert(wire_int(&w) < 0 || !wire_ok(&w));
            break;
        case WIRE_BIN:
            wire_bin(&w, 100);
            break;
        case WIRE_STR: {
            struct bytes s = wire_str(&w, 1000);
            utf8_valid(s.data, s.size);
            break;
        }
        case WIRE_ARRAY:
            wire_array(&w, 1000);
            break;
        case WIRE_MAP: {
            struct wire_map m = wire_map(&w);
            uint64_t key;
            while (wire_map_next(&w, &m, &key))
                wire_skip(&w);
            break;
        }
        default:
            wire_skip(&w);
        }
    }
    return 0;
}
