/* Purpose: metainfo of version 2 names its files as it should, and whatever is not canonical, cut or hostile
 * is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "node/base/err.h"
#include "transfer/torrent.h"
#include "transfer/tree.h"

#define ROOT   "0123456789abcdef0123456789abcdef"
#define FILE_8 "d0:d6:lengthi8e11:pieces root32:" ROOT "ee"
#define HEAD   "d4:infod9:file tree"
#define TAIL   "12:meta versioni2e4:name1:n12:piece lengthi16384ee12:piece layersdee"

static char seen[4096];

static int note(void *context, enum torrent_event event, struct bytes name, const struct content_id *id)
{
    size_t n = strlen(seen);
    (void)context;
    if (event == TORRENT_FILE)
        snprintf(seen + n, sizeof seen - n, "%.*s:%llu ", (int)name.size, (const char *)name.data,
                 (unsigned long long)id->size);
    else
        snprintf(seen + n, sizeof seen - n, event == TORRENT_DIR ? "%.*s/( " : ") ", (int)name.size,
                 (const char *)name.data);
    return 0;
}

static int parse(struct torrent *t, const char *text, size_t size)
{
    char *exact = malloc(size ? size : 1); /* a read behind it is found */
    memcpy(exact, text, size);
    seen[0] = 0;
    int rc = torrent_parse(t, bytes_of(exact, size), note, NULL);
    free(exact);
    return rc;
}

static const struct {
    const char *text, *expected;
    bool single;
} good[] = {
    {HEAD "d1:n" FILE_8 "e" TAIL, "n:8 ", true},
    {HEAD "d1:m" FILE_8 "e" TAIL, "m:8 ", false}, /* a directory of one file */
    {HEAD "d1:a" FILE_8 "1:bd1:c" FILE_8 "1:dd0:d6:lengthi0eeee1:e" FILE_8 "e" TAIL, "a:8 b/( c:8 d:0 ) e:8 ",
     false},
    {HEAD "d1:n" FILE_8 "e6:lengthi8e" TAIL, "n:8 ", true},
    {"d8:announce3:url13:creation datei-5e4:infod9:file treed1:n" FILE_8 "e" TAIL, "n:8 ", true},
    {HEAD "d1:nd0:d4:attr1:x6:lengthi8e11:pieces root32:" ROOT "eee" TAIL, "n:8 ", true},
    {HEAD "d1:ad1:bdeee" TAIL "", NULL, false}, /* no file at all */
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct torrent t;
        size_t size = strlen(good[i].text);
        int rc = parse(&t, good[i].text, size);
        assert_int_equal(rc, good[i].expected ? 0 : ERR_MALFORMED);
        if (rc == 0) {
            assert_string_equal(seen, good[i].expected);
            assert_int_equal(t.single, good[i].single);
            assert_int_equal(t.piece_length, 16384);
        }
        for (size_t cut = 0; cut < size; cut++)
            assert_int_not_equal(parse(&t, good[i].text, cut), 0);
    }
}

static const struct {
    const char *text;
    int expected;
} refused[] = {
    {"", ERR_MALFORMED},
    {"de", ERR_MALFORMED},
    {"d4:infod6:lengthi8e4:name1:n12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee", ERR_UNSUPPORTED},
    {HEAD "d1:n" FILE_8 "e12:meta versioni3e4:name1:n12:piece lengthi16384eee", ERR_UNSUPPORTED},
    {HEAD "d1:n" FILE_8 "e" TAIL "x", ERR_MALFORMED},
    {HEAD "d1:b" FILE_8 "1:a" FILE_8 "e" TAIL, ERR_MALFORMED}, /* not sorted */
    {HEAD "d1:a" FILE_8 "1:a" FILE_8 "e" TAIL, ERR_MALFORMED}, /* twice */
    {HEAD "d2:.." FILE_8 "e" TAIL, ERR_MALFORMED},
    {HEAD "d3:a/b" FILE_8 "e" TAIL, ERR_MALFORMED},
    {HEAD "d1:\x01" FILE_8 "e" TAIL, ERR_MALFORMED},
    {HEAD "d1:\xff" FILE_8 "e" TAIL, ERR_MALFORMED},
    {HEAD "d01:a" FILE_8 "e" TAIL, ERR_MALFORMED}, /* a leading zero */
    {HEAD "d1:nd0:d6:lengthi08e11:pieces root32:" ROOT "eee" TAIL, ERR_MALFORMED},
    {HEAD "d1:nd0:d6:lengthi-8e11:pieces root32:" ROOT "eee" TAIL, ERR_MALFORMED},
    {HEAD "d1:nd0:d6:lengthi8eeee" TAIL, ERR_MALFORMED}, /* no root */
    {HEAD "d1:nd0:d6:lengthi0e11:pieces root32:" ROOT "eee" TAIL, ERR_MALFORMED},
    {HEAD "d1:nd0:d6:lengthi8e11:pieces root31:123456789abcdef0123456789abcdefeee" TAIL, ERR_MALFORMED},
    {HEAD "d1:nd0:d6:lengthi99999999999999999999e11:pieces root32:" ROOT "eee" TAIL, ERR_MALFORMED},
    {HEAD "d1:nd0:d6:lengthi99999999999999e11:pieces root32:" ROOT "eee" TAIL,
     ERR_MALFORMED}, /* beyond 2^44 */
    {HEAD "d1:nd0:d6:lengthi8e11:pieces root32:" ROOT "e1:x" FILE_8 "ee" TAIL,
     ERR_MALFORMED}, /* file and directory */
    {HEAD "d1:n" FILE_8 "e12:meta versioni2e4:name1:n12:piece lengthi16383eee", ERR_MALFORMED},
    {HEAD "d1:n" FILE_8 "e12:meta versioni2e4:name1:n12:piece lengthi8192eee", ERR_MALFORMED},
    {HEAD "d1:n" FILE_8 "e12:meta versioni2e4:name2:..12:piece lengthi16384eee", ERR_MALFORMED},
    {HEAD "d1:n" FILE_8 "e12:meta versioni2e12:piece lengthi16384eee", ERR_MALFORMED},
    {HEAD "99999999999999999:a", ERR_MALFORMED},
};

static void test_refused(void **state)
{
    struct torrent t;
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        int rc = parse(&t, refused[i].text, strlen(refused[i].text));
        if (rc != refused[i].expected)
            fail_msg("%s: %s", refused[i].text, rc ? err_name(rc) : "taken");
    }
}

/* Depth costs no stack without end: lists in lists, and directories in directories. */
static void test_depth(void **state)
{
    struct torrent t;
    static char text[200000];
    (void)state;
    memset(text, 'l', 100000);
    memcpy(text, "d1:a", 4);
    memset(text + 100000, 'e', 100000);
    assert_int_equal(parse(&t, text, 199997), ERR_MALFORMED);
    size_t n = (size_t)snprintf(text, sizeof text, HEAD);
    for (int i = 0; i < 1000; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "d1:d");
    n += (size_t)snprintf(text + n, sizeof text - n, FILE_8);
    for (int i = 0; i < 1000; i++)
        text[n++] = 'e';
    n += (size_t)snprintf(text + n, sizeof text - n, TAIL);
    assert_int_equal(parse(&t, text, n), ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_depth)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
