#include "node/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void core_assert_fail(const char *expression, const char *file, int line)
{
    fprintf(stderr, "shoal: bug: %s:%d: assertion failed: %s\n", file, line, expression);
    abort();
}
