/* Feeds one input in three ways: whole, byte by byte, and ending right before an unreadable page; all must
 * agree. */
#ifndef TEST_HTTP_FEED_H
#define TEST_HTTP_FEED_H
#include "gateways/http/http_parse.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define FEED_MAX (128 * 1024)

struct guarded { /* memory whose end is followed by an unreadable page */
    uint8_t *map, *end;
    size_t size;
};

static inline void guarded_open(struct guarded *g)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    g->size = FEED_MAX + page;
    g->map = mmap(NULL, g->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g->map != MAP_FAILED);
    g->end = g->map + FEED_MAX;
    assert_int_equal(mprotect(g->end, page, PROT_NONE), 0);
}

static inline void guarded_close(struct guarded *g)
{
    munmap(g->map, g->size);
}

/* A copy of the bytes that ends at the unreadable page. */
static inline const uint8_t *guarded_put(struct guarded *g, const void *data, size_t size)
{
    assert_true(size <= FEED_MAX);
    return memcpy(g->end - size, data, size);
}
#endif
