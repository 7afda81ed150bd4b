/* Purpose: changing a setting changes its line and nothing else, wherever it stands, and what was written is
 * read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "node/base/err.h"
#include "node/host/config.h"
#include "node/host/config_save.h"

static void changes(void **state)
{
    static const struct {
        const char *before, *after;
    } cases[] = {
        {"", "[transfer]\nupload = 2MB/s\n"},
        {"[store]\nquota = 0\n", "[store]\nquota = 0\n\n[transfer]\nupload = 2MB/s\n"},
        {"[store]\nquota = 0", "[store]\nquota = 0\n\n[transfer]\nupload = 2MB/s\n"},
        {"[transfer]\n", "[transfer]\nupload = 2MB/s\n"},
        {"[transfer]", "[transfer]\nupload = 2MB/s\n"},
        {"[transfer]\nupload = 1MB/s\n", "[transfer]\nupload = 2MB/s\n"},
        {"[transfer]\nupload=1MB/s ; slow\ndownload = 0\n", "[transfer]\nupload = 2MB/s\ndownload = 0\n"},
        {"[transfer]\nupload: 1MB/s\n", "[transfer]\nupload = 2MB/s\n"},
        {"; a word\n[transfer]\n; upload = 5MB/s\ndownload = 3MB/s\nupload =\n[store]\n",
         "; a word\n[transfer]\n; upload = 5MB/s\ndownload = 3MB/s\nupload = 2MB/s\n[store]\n"},
        {"[x]\nupload = 1\n[transfer]\ndownload = 0\n",
         "[x]\nupload = 1\n[transfer]\nupload = 2MB/s\ndownload = 0\n"},
        {"[transfer]\nuploads = 1\n", "[transfer]\nupload = 2MB/s\nuploads = 1\n"},
        {"[transfer]\nupload = 1MB/s\n  more of it\n\n[store]\n", "[transfer]\nupload = 2MB/s\n\n[store]\n"},
        {"[transfers]\nupload = 1\n", "[transfers]\nupload = 1\n\n[transfer]\nupload = 2MB/s\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = config_change(cases[i].before, "transfer", "upload", "2MB/s");
        if (strcmp(text, cases[i].after) != 0)
            fail_msg("case %zu gave:\n%s", i, text);
        free(text);
    }
}

static void kept(void **state)
{
    char home[] = "/tmp/shoal-save-XXXXXX", path[64], message[512];
    static struct config c;
    struct stat st;
    (void)state;
    assert_non_null(mkdtemp(home));
    assert_int_equal(config_save(home, "transfer", "upload", "1234B/s"), 0);
    assert_int_equal(config_save(home, "gateways", "connections", "77"), 0);
    assert_int_equal(config_save(home, "transfer", "upload", "5MB/s"), 0);
    config_default(&c);
    strcpy(c.home, home);
    assert_int_equal(config_load(&c, message), 0);
    assert_int_equal(c.upload_rate, 5000000);
    assert_int_equal(c.gateway_connections, 77);
    snprintf(path, sizeof path, "%s/shoal.ini", home);
    assert_int_equal(stat(path, &st), 0);
    unlink(path);
    rmdir(home);
    assert_int_not_equal(config_save("/nonexistent/home", "transfer", "upload", "0"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(changes), cmocka_unit_test(kept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
