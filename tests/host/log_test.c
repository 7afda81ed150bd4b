/* Log lines: their shape, levels, one line for one event whatever a peer's name holds, a file that cannot be opened, and threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <uv.h>
#include "node/host/log.h"

static char path[64];
static char text[1 << 20];

static int setup(void **state)
{
    (void)state;
    strcpy(path, "/tmp/shoal-log-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0)
        return -1;
    close(fd);
    log_setup(LOG_INFO, path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    log_setup(LOG_INFO, NULL);
    return unlink(path);
}

static const char *written(void)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return text;
}

static void a_line_has_time_level_area_and_a_sentence(void **state)
{
    int year, month, day, hour, minute, second, end = 0;
    (void)state;
    log_info("dht", "joined, %d contacts", 14);
    const char *line = written();
    assert_int_equal(sscanf(line, "%4d-%2d-%2d %2d:%2d:%2d %n", &year, &month, &day, &hour, &minute, &second, &end), 6);
    assert_int_equal(end, 20);
    assert_string_equal(line + end, "info   dht    joined, 14 contacts\n");
}

static void levels_below_the_chosen_one_are_not_written(void **state)
{
    (void)state;
    log_debug("net", "not this");
    log_warning("net", "but this");
    log_error("net", "and this");
    assert_null(strstr(written(), "not this"));
    assert_non_null(strstr(written(), "warn   net    but this\n"));
    assert_non_null(strstr(written(), "error  net    and this\n"));
}

static void control_characters_are_defused(void **state)
{
    (void)state;
    log_info("net", "name \"%s\"", "a\x1b[2Jb\nc\rd\te\x7f\xc2\x9b""0m \xc3\xa9");
    assert_non_null(strstr(written(), "name \"a?[2Jb?c?d?e???0m \xc3\xa9\"\n"));
}

static void long_lines_are_cut_and_stay_one_line(void **state)
{
    static char big[5000];
    (void)state;
    memset(big, 'x', sizeof big - 1);
    log_info("net", "%s", big);
    const char *line = written();
    assert_int_equal(strchr(line, '\n') - line, (long)strlen(line) - 1);
    assert_true(strlen(line) < 1300);
}

static void a_file_that_cannot_be_opened_leaves_standard_error(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, "/nonexistent/shoal.log"); /* says so on standard error */
    log_setup(LOG_INFO, path);
    log_info("net", "on");
    assert_non_null(strstr(written(), "on\n"));
}

#define LINES 500
static void writer(void *name)
{
    for (int i = 0; i < LINES; i++)
        log_info(name, "line %d of %s", i, (const char *)name);
}

static void threads_do_not_mix_their_lines(void **state)
{
    uv_thread_t threads[4];
    char *names[4] = {"a", "b", "c", "d"};
    unsigned lines = 0;
    (void)state;
    for (int i = 0; i < 4; i++)
        uv_thread_create(&threads[i], writer, names[i]);
    for (int i = 0; i < 4; i++)
        uv_thread_join(&threads[i]);
    written();
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        char area[8], name[8];
        int number;
        assert_int_equal(sscanf(line + 20, "info %7s line %d of %7s", area, &number, name), 3);
        assert_string_equal(area, name);
    }
    assert_int_equal(lines, 4 * LINES);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_line_has_time_level_area_and_a_sentence),
        TEST(levels_below_the_chosen_one_are_not_written),
        TEST(control_characters_are_defused),
        TEST(long_lines_are_cut_and_stay_one_line),
        TEST(a_file_that_cannot_be_opened_leaves_standard_error),
        TEST(threads_do_not_mix_their_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
