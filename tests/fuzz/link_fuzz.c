/* Purpose: any text as a link: what is accepted, formatted and parsed again is the same link; errors point
 * into the text. */
#include <stdlib.h>
#include "node/base/assert.h"
#include "transfer/content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct link link, again;
    size_t where;
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    if (link_parse(&link, text, &where) == 0) {
        char back[LINK_TEXT_MAX];
        core_assert(link_format(back, sizeof back, &link) == 0);
        core_assert(link_parse(&again, back, NULL) == 0);
        core_assert(memcmp(&link, &again, sizeof link) == 0);
    } else {
        core_assert(where <= strlen(text));
    }
    free(text);
    return 0;
}
