/* Names as text: what is one and what is not, which are the same, which look the same; and the words that search sees in a title. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "node/names/name_text.h"

#define FORTY "abcdefghijabcdefghijabcdefghijabcdefghij"

static void test_names(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "alice", "Alice", "alice-2", "a_b", "0", "7733", "bücher", "Ärzte", "алиса", "αλίκη", "李雷",
                                       "अनु", "ひかり", "한별", FORTY, "éééééééééééééééééééééééééééééééééééééééé", "ab34567", "selfie", "nodes"};
    static const struct {
        const char *name, *why;
    } bad[] = {
        {"", "at least one"},          {FORTY "x", "at most 40"},        {"éééééééééééééééééééééééééééééééééééééééée", "at most 40"},
        {"al ice", "letters and digits"}, {"a.b", "letters and digits"}, {"a/b", "letters and digits"},
        {"a@b", "letters and digits"}, {"a:b", "letters and digits"},    {"alice\n", "letters and digits"},
        {"a\x7f", "letters and digits"}, {"a\u00ad" "b", "letters and digits"}, {"a\u200b" "b", "letters and digits"},
        {"a\u202e" "b", "letters and digits"}, {"a\ufeff", "letters and digits"}, {"\u3164", "letters and digits"},
        {"a\u00a0" "b", "letters and digits"}, {"\ue000", "letters and digits"}, {"😀", "letters and digits"}, {"e\u0301", "one character"},
        {"-a", "inside"},              {"a-", "inside"},                 {"_a", "inside"},       {"a_", "inside"},  {"-", "inside"},
        {"self", "kept"},              {"SELF", "kept"},                 {"node", "kept"},       {"localhost", "kept"},
        {"xn--bcher-kva", "kept"},     {"\xff", "UTF-8"},                {"a\xc3", "UTF-8"},     {"\xc0\xaf", "UTF-8"}, {"\xed\xa0\x80", "UTF-8"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (name_check(good[i], NULL) != 0)
            fail_msg("\"%s\" is a name", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *why = "";
        if (name_check(bad[i].name, &why) != ERR_MALFORMED || !strstr(why, bad[i].why))
            fail_msg("\"%s\": expected \"%s\", got \"%s\"", bad[i].name, bad[i].why, why);
    }
}

/* An id has 56 or 63 characters: no name can be taken for one. */
static void test_ids_do_not_fit(void **state)
{
    (void)state;
    assert_int_equal(name_check("abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrstuvwx", NULL), ERR_MALFORMED);
}

static void test_folding(void **state)
{
    (void)state;
    static const char *const same[][2] = {{"Alice", "aLICE"}, {"ÄRZTE", "ärzte"}, {"ŁÓDŹ", "łódź"}, {"ΑΛΙΚΗ", "αλικη"}, {"ΆΛΦΑ", "άλφα"},
                                          {"σίσυφος", "ΣΊΣΥΦΟΣ"}, {"АЛИСА", "алиса"}, {"Ёж", "ёж"}, {"Ґ", "ґ"}, {"ՀԱՅ", "հայ"}, {"Ÿ", "ÿ"},
                                          {"Ž", "ž"}, {"Ņ", "ņ"}, {"ẞ", "ß"}, {"Ạ", "ạ"}, {"Ａ", "ａ"}};
    static const char *const differ[][2] = {{"alice", "alise"}, {"a", "ä"}, {"о", "o"}, {"x", "×"}, {"ı", "i"}, {"李", "雷"}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        if (!name_equal(same[i][0], same[i][1]))
            fail_msg("%s and %s are the same name", same[i][0], same[i][1]);
    }
    for (size_t i = 0; i < sizeof differ / sizeof *differ; i++) {
        if (name_equal(differ[i][0], differ[i][1]))
            fail_msg("%s and %s are not the same name", differ[i][0], differ[i][1]);
    }
    char once[NAME_SIZE], twice[NAME_SIZE];
    name_fold(once, "ÀŒĲŽßΣЯ");
    name_fold(twice, once);
    assert_string_equal(once, twice);
}

static void test_looks(void **state)
{
    (void)state;
    static const char *const alike[][2] = {{"alice", "a1ice"}, {"alice", "aIice"}, {"google", "g00gle"}, {"modern", "modem"},
                                           {"wave", "vvave"}, {"alice", "аlice"}, {"paypal", "раураl"}, {"bob", "b\u03bfb"},
                                           {"a_b", "a-b"}, {"clara", "dara"}, {"jose", "josé"}};
    static const char *const unlike[][2] = {{"alice", "Alice"}, {"alice", "alicia"}, {"bob", "rob"}, {"алиса", "alisa"}};
    for (size_t i = 0; i < sizeof alike / sizeof *alike; i++) {
        if (!name_looks_like(alike[i][0], alike[i][1]) || !name_looks_like(alike[i][1], alike[i][0]))
            fail_msg("%s looks like %s", alike[i][0], alike[i][1]);
    }
    for (size_t i = 0; i < sizeof unlike / sizeof *unlike; i++) {
        if (name_looks_like(unlike[i][0], unlike[i][1]))
            fail_msg("%s does not pass for %s", unlike[i][0], unlike[i][1]);
    }
    assert_int_equal(name_look("alice"), 0);
    assert_int_equal(name_look("алиса-2"), 0);
    assert_int_equal(name_look("аlice"), NAME_LOOK_MIXED);
    assert_int_equal(name_look("αlpha"), NAME_LOOK_MIXED);
    assert_int_equal(name_look("李abc"), 0);
}

static void test_words(void **state)
{
    (void)state;
    char w[8][WORD_SIZE];
    assert_int_equal(words_split(w, 8, "Holiday-2024_Résumé (final).PDF"), 5);
    assert_string_equal(w[0], "holiday");
    assert_string_equal(w[1], "2024");
    assert_string_equal(w[2], "resume");
    assert_string_equal(w[3], "final");
    assert_string_equal(w[4], "pdf");
    assert_int_equal(words_split(w, 8, "re\u0301sume\u0301 RESUME resume"), 1); /* taken apart, written large, twice */
    assert_string_equal(w[0], "resume");
    assert_int_equal(words_split(w, 8, ""), 0);
    assert_int_equal(words_split(w, 8, "a b c - ..."), 0);
    assert_int_equal(words_split(w, 8, "\xff\xfe"), 0);
    assert_int_equal(words_split(w, 2, "one two three"), 2);
    assert_int_equal(words_split(w, 8, FORTY FORTY), 1);
    assert_string_equal(w[0], FORTY);
    assert_int_equal(words_split(w, 8, "Москва москва"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), cmocka_unit_test(test_ids_do_not_fit), cmocka_unit_test(test_folding),
        cmocka_unit_test(test_looks), cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
