/* Frames: whatever is read is written back to the same bytes. */
#include <stdlib.h>
#include "transfer/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_head h;
    uint8_t head[FRAME_HEAD_MAX];
    if (frame_read(&h, bytes_of(data, size)) != 0)
        return 0;
    size_t n = frame_head_write(head, &h);
    if (n + h.payload.size != size || memcmp(head, data, n) != 0)
        abort();
    if (h.payload.size != 0 && h.payload.data != data + n)
        abort();
    return 0;
}
