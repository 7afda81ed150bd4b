/* Configuration: what a file and flags may say, and that every mistake is named with its file, its line and what was meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "node/host/config.h"
#include "node/host/log.h"

static char home[64];
static char peer[160];

static int setup(void **state)
{
    uint8_t key[NODE_KEY_SIZE] = {1, 2, 3};
    char id[NODE_ID_TEXT_SIZE + 1];
    (void)state;
    strcpy(home, "/tmp/shoal-config-XXXXXX");
    node_id_format(id, key);
    snprintf(peer, sizeof peer, "%s@10.0.0.1:7000", id);
    return mkdtemp(home) ? 0 : -1;
}

static int teardown(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s/shoal.ini", home);
    unlink(path);
    return rmdir(home);
}

static int load(struct config *c, const char *text, char *message)
{
    char path[128];
    snprintf(path, sizeof path, "%s/shoal.ini", home);
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
    config_default(c);
    strcpy(c->home, home);
    message[0] = 0;
    return config_load(c, message);
}

static void without_a_file_the_defaults_hold(void **state)
{
    static struct config c;
    char message[512];
    (void)state;
    config_default(&c);
    strcpy(c.home, "/nonexistent/home");
    assert_int_equal(config_load(&c, message), 0);
    assert_true(c.neighbours && !c.network_private && !c.listen_named);
    assert_int_equal(c.budget, 24 * 1024 * 1024);
    assert_int_equal(c.log_level, LOG_INFO);
    assert_int_equal(c.upload_rate, 0);
}

static void a_full_file_is_read(void **state)
{
    static struct config c;
    char message[512], text[2048];
    (void)state;
    snprintf(text, sizeof text,
             "; comment\n[node]\nlisten = 127.0.0.1:7000 ; of this machine\n[network]\nbootstrap = %s %s\n  %s\nneighbours = off\n"
             "private=on\n[transfer]\nupload = 1.5MB/s\ndownload = 512 KiB/s\nmemory = 64MiB\n[store]\nquota = 10GB\n[http]\nlisten = off\n"
             "[log]\nlevel = debug\nfile = /tmp/x.log\n", peer, peer, peer);
    assert_int_equal(load(&c, text, message), 0);
    assert_string_equal(c.listen, "127.0.0.1:7000");
    assert_true(c.listen_named);
    assert_int_equal(c.bootstrap_count, 3);
    assert_string_equal(c.bootstrap[2], peer);
    assert_true(c.network_private && !c.neighbours);
    assert_int_equal(c.upload_rate, 1500000);
    assert_int_equal(c.download_rate, 512 * 1024);
    assert_int_equal(c.budget, 64u << 20);
    assert_true(c.quota == 10000000000u);
    assert_string_equal(c.http, "off");
    assert_int_equal(c.log_level, LOG_DEBUG);
    assert_string_equal(c.log_file, "/tmp/x.log");
}

static void the_example_is_valid_and_says_the_defaults(void **state)
{
    static struct config c, defaults;
    char message[512], text[8192] = "";
    (void)state;
    FILE *f = fopen(TEST_DATA_DIR "/../docs/shoal.ini.example", "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    assert_int_equal(load(&c, text, message), 0);
    config_default(&defaults);
    strcpy(defaults.home, home);
    assert_memory_equal(&c, &defaults, sizeof c);
}

static const struct {
    const char *text;
    int line;
    const char *says;
} rejected[] = {
    {"[transfer]\nuplod = 2MB/s\n", 2, "\"upload\" in [transfer]"},
    {"[network]\nupload = 2MB/s\n", 2, "\"upload\" in [transfer]"},
    {"[networks]\nneighbors = on\n", 2, "\"neighbours\" in [network]"},
    {"upload = 2MB/s\n", 1, "\"upload\" in [transfer]"},
    {"[transfer]\n\n; x\nupload = 2000000\n", 4, "with its unit"},
    {"[transfer]\nupload = 2MB\n", 2, "2MB/s or"},
    {"[transfer]\nupload = 2Mb/s\n", 2, "not a rate"},
    {"[transfer]\nmemory = 24MiB/s\n", 2, "not a size"},
    {"[transfer]\nmemory = 1kB\n", 2, "too small"},
    {"[transfer]\nmemory = 0\n", 2, "too small"},
    {"[store]\nquota = 99999999999TB\n", 2, "too large"},
    {"[store]\nquota = -1GB\n", 2, "not a size"},
    {"[store]\nquota =\n", 2, "not a size"},
    {"[store]\nquota = 1GB\nquota = 2GB\n", 3, "given twice"},
    {"[node]\nlisten = 7733\n", 2, "not an address with a port"},
    {"[node]\nlisten = localhost:7733\n", 2, "not an address with a port"},
    {"[network]\nneighbours = yes\n", 2, "neither on nor off"},
    {"[network]\nprivate =\n", 2, "neither on nor off"},
    {"[network]\nbootstrap = 10.0.0.1:7000\n", 2, "not <node id>@"},
    {"[ftp]\nlisten = 2121\n", 2, "not an address with a port"},
    {"[ftp]\nports = 50000\n", 2, "not a range of ports"},
    {"[ftp]\nports = 50099-50000\n", 2, "not a range of ports"},
    {"[ftp]\nports = 80-90\n", 2, "not a range of ports"},
    {"[ftp]\nports = 60000-70000\n", 2, "not a range of ports"},
    {"[ftp]\nexternal = example.org\n", 2, "not an IPv4 address"},
    {"[ftp]\nexternal = ::1\n", 2, "not an IPv4 address"},
    {"[ftp]\nidle = 600\n", 2, "with its unit"},
    {"[ftp]\nidle = 25h\n", 2, "at most 24 hours"},
    {"[ftp]\nidle = -1s\n", 2, "with its unit"},
    {"[ftp]\nanonymous = maybe\n", 2, "neither on nor off"},
    {"[log]\nlevel = loud\n", 2, "none of error"},
    {"[log]\nlevel\n", 2, "nor name = value"},
    {"[log\nlevel = info\n", 1, "nor name = value"},
};

static void mistakes_are_named_with_file_and_line(void **state)
{
    static struct config c;
    char message[512], where[128];
    (void)state;
    for (size_t i = 0; i < sizeof rejected / sizeof *rejected; i++) {
        assert_true(load(&c, rejected[i].text, message) < 0);
        print_message("%s\n", message);
        snprintf(where, sizeof where, "%s/shoal.ini:%d: ", home, rejected[i].line);
        assert_memory_equal(message, where, strlen(where));
        assert_non_null(strstr(message, rejected[i].says));
    }
}

static void a_peer_with_a_wrong_character_is_a_checksum_error(void **state)
{
    static struct config c;
    struct node_addr out;
    char message[512], wrong[160], text[256];
    (void)state;
    assert_int_equal(config_parse_peer(&out, peer), 0);
    assert_int_equal(out.key[2], 3);
    assert_int_equal(out.addr.port, 7000);
    strcpy(wrong, peer);
    wrong[5] = wrong[5] == 'b' ? 'c' : 'b';
    assert_int_equal(config_parse_peer(&out, wrong), ERR_CHECKSUM);
    snprintf(text, sizeof text, "[network]\nbootstrap = %s\n", wrong);
    assert_int_equal(load(&c, text, message), ERR_CHECKSUM);
    wrong[5] = peer[5];
    strcpy(strchr(wrong, '@'), "@0.0.0.0:1");
    assert_int_equal(config_parse_peer(&out, wrong), ERR_MALFORMED);
    strcpy(strchr(wrong, '@'), "@10.0.0.1:0");
    assert_int_equal(config_parse_peer(&out, wrong), ERR_MALFORMED);
}

static void long_lines_are_read_or_refused(void **state)
{
    static struct config c;
    static char text[10000];
    char message[512];
    (void)state;
    strcpy(text, "[network]\nbootstrap =");
    for (int i = 0; i < CONFIG_BOOTSTRAP_MAX; i++) {
        strcat(text, " ");
        strcat(text, peer);
    }
    assert_int_equal(load(&c, text, message), 0);
    assert_int_equal(c.bootstrap_count, CONFIG_BOOTSTRAP_MAX);
    strcat(text, " ");
    strcat(text, peer);
    assert_int_equal(load(&c, text, message), ERR_RANGE);
    memset(text, 'x', sizeof text - 1);
    assert_int_equal(load(&c, text, message), ERR_MALFORMED);
    assert_non_null(strstr(message, "longer than"));
}

static const struct {
    const char *text;
    uint64_t value;
} sizes[] = {
    {"0", 0}, {"1B", 1}, {"10MB", 10000000}, {"4GiB", 4ull << 30}, {"512KiB", 512 << 10}, {"2kB", 2000},
    {"2KB", 2000}, {"1.5GB", 1500000000}, {"0.5MiB", 512 << 10}, {"3 TB", 3000000000000}, {"16777215TiB", 16777215ull << 40},
};
static const char *const not_sizes[] = {"", "10", "MB", "10mb", "10Mb", "10 M B", "10MB ", "1.MB", ".5MB", "1e3MB", "0x10MB", "1,5GB",
                                        "16777216TiB", "99999999999999999999B", "1.0000001GB", "10MiB/s", "+1B"};

static void sizes_need_units(void **state)
{
    uint64_t v;
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(config_parse_size(&v, sizes[i].text), 0);
        assert_true(v == sizes[i].value);
    }
    for (size_t i = 0; i < sizeof not_sizes / sizeof *not_sizes; i++)
        assert_true(config_parse_size(&v, not_sizes[i]) < 0);
}

static void flags_are_set_like_lines_of_the_file(void **state)
{
    static struct config c;
    char message[512];
    (void)state;
    config_default(&c);
    assert_int_equal(config_set(&c, "node", "listen", "[::1]:0", message), 0);
    assert_true(c.listen_named);
    assert_int_equal(config_set(&c, "node", "listen", "off", message), 0);
    assert_false(c.listen_named);
    assert_int_equal(config_set(&c, "node", "lisen", "off", message), ERR_NOT_FOUND);
    assert_non_null(strstr(message, "\"listen\" in [node]"));
    assert_int_equal(config_set(&c, "transfer", "upload", "fast", message), ERR_MALFORMED);
    assert_memory_equal(message, "transfer.upload: ", 17);
}

static void home_is_found_in_order(void **state)
{
    char out[64];
    (void)state;
    setenv("SHOAL_HOME", "/s", 1);
    setenv("XDG_DATA_HOME", "/x", 1);
    setenv("HOME", "/h", 1);
    assert_int_equal(config_home(out, sizeof out, "/f"), 0);
    assert_string_equal(out, "/f");
    config_home(out, sizeof out, NULL);
    assert_string_equal(out, "/s");
    unsetenv("SHOAL_HOME");
    config_home(out, sizeof out, NULL);
    assert_string_equal(out, "/x/shoal");
    setenv("XDG_DATA_HOME", "relative", 1);
    config_home(out, sizeof out, NULL);
    assert_string_equal(out, "/h/.local/share/shoal");
    assert_int_equal(config_home(out, 10, NULL), ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_file_the_defaults_hold),
        cmocka_unit_test(a_full_file_is_read),
        cmocka_unit_test(the_example_is_valid_and_says_the_defaults),
        cmocka_unit_test(mistakes_are_named_with_file_and_line),
        cmocka_unit_test(a_peer_with_a_wrong_character_is_a_checksum_error),
        cmocka_unit_test(long_lines_are_read_or_refused),
        cmocka_unit_test(sizes_need_units),
        cmocka_unit_test(flags_are_set_like_lines_of_the_file),
        cmocka_unit_test(home_is_found_in_order),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
