/* The command table against what else tells of it: the bash completion and the man page name every command
 * and option and no other; and how command lines are understood: options anywhere, wrong ones refused with
 * exit code 2. */
#include "cli/cli.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char *read_all(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/../%s", TEST_DATA_DIR, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *text = calloc(1, 1 << 20);
    assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
    fclose(f);
    return text;
}

/* What the completion must say for a command, in its order: the table's options, then --json. */
static void completion_line(char *out, size_t cap, const struct command *c)
{
    char options[512] = "";
    size_t n = 0;
    for (const struct option_spec *o = c->options; o->name; o++)
        n += (size_t)snprintf(options + n, sizeof options - n, "%s--%s", n ? " " : "", o->name);
    if (c->json)
        snprintf(options + n, sizeof options - n, "%s--json", n ? " " : "");
    bool two = strchr(c->name, ' ') != NULL;
    snprintf(out, cap, "    %s%s%s) echo \"%s\" ;;\n", two ? "\"" : "", c->name, two ? "\"" : "", options);
}

static void the_completion_knows_every_option(void **state)
{
    (void)state;
    char *text = read_all("completion/bash/shoal"), line[1024], words[512] = "";
    size_t n = 0, echoes = 0;
    for (size_t i = 0; i < cli_command_count; i++) {
        completion_line(line, sizeof line, &cli_commands[i]);
        if (!strstr(text, line))
            fail_msg("missing in completion/bash/shoal: %s", line);
        size_t first = strcspn(cli_commands[i].name, " ");
        if (i == 0 || strncmp(cli_commands[i - 1].name, cli_commands[i].name, first + 1) != 0)
            n += (size_t)snprintf(words + n, sizeof words - n, "%s%.*s", n ? " " : "", (int)first,
                                  cli_commands[i].name);
    }
    for (const char *p = text; (p = strstr(p, ") echo \"")); p++)
        echoes++;
    assert_int_equal(echoes, cli_command_count);
    snprintf(line, sizeof line, "local commands=\"%s\"", words);
    assert_non_null(strstr(text, line));
    free(text);
}

/* Text as the man page writes it: hyphens escaped. */
static void escape(char *out, size_t cap, const char *text)
{
    size_t n = 0;
    for (; *text && n + 2 < cap; text++) {
        if (*text == '-')
            out[n++] = '\\';
        out[n++] = *text;
    }
    out[n] = 0;
}

static size_t man_option(const char *section, const struct option_spec *o)
{
    char name[128], want[256];
    escape(name, sizeof name, o->name);
    snprintf(want, sizeof want, "\\fB\\-\\-%s\\fR", name);
    const char *section_end = strstr(section + 1, "\n.S"), *at = strstr(section, want);
    if (!at || (section_end && at > section_end))
        fail_msg("the man page misses --%s in: %.60s", o->name, section);
    return 1;
}

static void the_man_page_knows_every_option(void **state)
{
    (void)state;
    char *text = read_all("docs/man/shoal.1"), head[256], name[128];
    size_t wanted = 4, found = 0; /* the options of every command */
    for (size_t i = 0; i < cli_command_count; i++) {
        escape(name, sizeof name, cli_commands[i].name);
        snprintf(head, sizeof head, "\n.SS \"shoal %s%s", name, *cli_commands[i].arguments ? " " : "\"");
        const char *section = strstr(text, head);
        if (!section)
            fail_msg("the man page has no section for %s", cli_commands[i].name);
        for (const struct option_spec *o = cli_commands[i].options; o->name; o++)
            wanted += man_option(section, o);
    }
    for (const char *p = text; (p = strstr(p, "\\fB\\-\\-")); p++)
        found++;
    for (const char *p = text; (p = strstr(p, ", \\fB\\-\\-")); p++)
        assert_memory_equal(p - 3, "\\fR", 3);
    assert_true(found + 1 >= wanted &&
                found <= wanted + 1); /* --version is written \-V, \-\-version in one piece */
    free(text);
}

static int parse(struct cli *cli, const char *line)
{
    static char copy[1024];
    char *argv[32] = {(char *)"shoal"};
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    return cli_parse(cli, argc, argv);
}

static void options_stand_anywhere(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "--home /h get L -o out --select a -s b --json",
        "get --home=/h --select=a L -s b --output=out --json",
        "get -oout --json L --home /h -sa --select b",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        static struct cli cli;
        const char *select[4];
        assert_int_equal(parse(&cli, lines[i]), 0);
        assert_string_equal(cli.command->name, "get");
        assert_string_equal(cli.home, "/h");
        assert_true(cli.json);
        assert_string_equal(cli_option(&cli, "output"), "out");
        assert_int_equal(cli_option_all(&cli, "select", select, 4), 2);
        assert_string_equal(select[0], "a");
        assert_string_equal(select[1], "b");
        assert_int_equal(cli.argument_count, 1);
        assert_false(cli_flag(&cli, "replace"));
        free(cli.arguments);
    }
}

static void two_words_and_the_end_of_options(void **state)
{
    (void)state;
    static struct cli cli;
    assert_int_equal(parse(&cli, "network rotate --home /h"), 0);
    assert_string_equal(cli.command->name, "network rotate");
    free(cli.arguments);
    assert_int_equal(parse(&cli, "share --home /h -- --json -x"), 0);
    assert_int_equal(cli.argument_count, 2);
    assert_false(cli.json);
    free(cli.arguments);
}

static void wrong_lines_are_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "shar x",       "network",   "network rotat",  "--hom /h status", "status --jsn",
        "status extra", "get",       "get a b",        "get L -o",        "get L -z",
        "share",        "up --json", "get --json=1 L", "unpin",           "frobnicate",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        static struct cli cli;
        if (parse(&cli, lines[i]) != CLI_EXIT_NOW + EXIT_USAGE)
            fail_msg("not refused: %s", lines[i]);
        free(cli.arguments);
    }
}

static void the_nearest_name_is_meant(void **state)
{
    (void)state;
    static const char *const names[] = {"status", "share", "unshare", "get", "network rotate"};
    assert_string_equal(cli_nearest("shar", names, 5), "share");
    assert_string_equal(cli_nearest("staus", names, 5), "status");
    assert_string_equal(cli_nearest("gte", names, 5), "get");
    assert_string_equal(cli_nearest("network", names, 5), "network rotate");
    assert_null(cli_nearest("frobnicate", names, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_completion_knows_every_option),
        cmocka_unit_test(the_man_page_knows_every_option),
        cmocka_unit_test(options_stand_anywhere),
        cmocka_unit_test(two_words_and_the_end_of_options),
        cmocka_unit_test(wrong_lines_are_refused),
        cmocka_unit_test(the_nearest_name_is_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
