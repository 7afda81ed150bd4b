/* Purpose: any bytes as a packed id and as an id's text: what is accepted encodes back to the same. */
#include <stdlib.h>
#include "node/base/assert.h"
#include "transfer/content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct content_id id, again;
    if (size >= CONTENT_ID_SIZE && content_id_unpack(&id, data) == 0) {
        uint8_t packed[CONTENT_ID_SIZE];
        content_id_pack(packed, &id);
        core_assert(memcmp(packed, data, sizeof packed) == 0);
    }
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    if (content_id_parse(&id, text) == 0) {
        char back[CONTENT_ID_TEXT_SIZE + 1];
        content_id_format(back, &id);
        core_assert(content_id_parse(&again, back) == 0);
        core_assert(content_id_equal(&id, &again));
        for (size_t i = 0; i < CONTENT_ID_TEXT_SIZE; i++)
            core_assert((back[i] | 32) == (text[i] | 32));
    }
    free(text);
    return 0;
}
