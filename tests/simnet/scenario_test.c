/* Scenario files and settings: every shipped scenario reads; each kind of value in accepted and rejected
 * forms; what people get wrong is told in one line that names the place, the nearest key or the wanted form.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/cli/cli.h"

#include <stdlib.h>
#include <string.h>

static void every_scenario_reads(void **state)
{
    (void)state;
    int count = 0;
    for (const struct sim_scenario *s = sim_scenarios; s->name; s++, count++) {
        struct sim_config c;
        char why[SIM_WHY_MAX] = "";
        if (sim_scenario_load(&c, s->name, why) != 0 || sim_config_check(&c, why) != 0)
            fail_msg("%s", why);
        assert_string_equal(c.scenario.name, s->name);
        assert_true(c.scenario.about[0] != 0);
    }
    assert_true(count >= 14);
}

static void settings_are_read_and_printed(void **state)
{
    static const struct {
        const char *key, *value, *printed;
    } good[] = {
        {"scenario.nodes", "5000", "5000"},
        {"scenario.seed", "18446744073709551615", "18446744073709551615"},
        {"scenario.warm", "30min", "30min"},
        {"scenario.measure", "1.5h", "90min"},
        {"net.floor", "0.25ms", "250us"},
        {"net.jitter", "10%", "10%"},
        {"net.loss", "0.7%", "7000ppm"},
        {"net.loss", "300ppm", "300ppm"},
        {"net.up", "10Mbit/s", "1250000B/s"},
        {"net.window", "64KiB", "64KiB"},
        {"net.latency", "uniform", "uniform"},
        {"node.dht.k", "16", "16"},
        {"load.live_targets", "yes", "yes"},
        {"churn.session", "never", "never"},
        {"churn.session", "exponential mean 1h", "exponential mean 3600000000us"},
        /* Gamma(1 + 1 / 0.5) = 2 */
        {"churn.session", "weibull 0.5 mean 10000s", "weibull 0.5 scale 5000000000us"},
        {"churn.session", "weibull 1 mean 10s", "weibull 1 scale 10000000us"},
        {"churn.offline", "weibull 0.476 scale 413.7min", "weibull 0.476 scale 24822000000us"},
        {"load.lookup.every", "60s", "60000000us"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct sim_config c, again;
        char why[SIM_WHY_MAX] = "", text[SIM_TEXT_MAX * 4], twice[SIM_TEXT_MAX * 4];
        sim_config_default(&c);
        if (sim_config_set(&c, good[i].key, good[i].value, why) != 0)
            fail_msg("%s", why);
        sim_key_print(&c, sim_key_find(good[i].key), text, sizeof text);
        assert_string_equal(text, good[i].printed);
        sim_config_default(&again);
        assert_int_equal(sim_config_set(&again, good[i].key, text, why), 0);
        sim_key_print(&again, sim_key_find(good[i].key), twice, sizeof twice);
        assert_string_equal(twice, text);
    }
}

static void mistakes_are_told(void **state)
{
    static const struct {
        const char *key, *value, *said;
    } wrong[] = {
        {"net.los", "1%", "net.loss"},
        {"node.k", "8", "node.dht.k"},
        {"scenario.warm", "30", "unit"},
        {"scenario.warm", "30 parsec", "unit"},
        {"scenario.warm", "-3s", "unit"},
        {"scenario.measure", "0s", "out of range"},
        {"scenario.nodes", "1", "from 2 to"},
        {"scenario.nodes", "99999999999999999999999", "whole number"},
        {"scenario.seed", "0x12", "whole number"},
        {"net.loss", "101%", "out of range"},
        {"net.loss", "0.5", "share"},
        {"net.latency", "slow", "constant|uniform|coordinates"},
        {"net.up", "10MB", "rate"},
        {"load.live_targets", "true", "yes or no"},
        {"churn.session", "weibull 0.5 10000s", "never"},
        {"churn.session", "weibull 0.01 mean 10s", "shape"},
        {"churn.session", "exponential mean 0s", "never"},
        {"expect.lookup.success", "99%", "sign"},
        {"expect.lookup.success", "> 99 elephants", "sign"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct sim_config c, before;
        char why[SIM_WHY_MAX] = "";
        sim_config_default(&c);
        before = c;
        assert_int_not_equal(sim_config_set(&c, wrong[i].key, wrong[i].value, why), 0);
        if (!strstr(why, wrong[i].said) || strchr(why, '\n'))
            fail_msg("`%s` does not say `%s`", why, wrong[i].said);
        assert_memory_equal(&c, &before, sizeof c);
    }
}

static void files_name_the_line(void **state)
{
    static const struct {
        const char *text, *said;
    } wrong[] = {
        {"[net]\nloss = 1%\nlos = 1%\n", "x.ini:3: net.los: no such key; the nearest is net.loss"},
        {"nodes = 3\n", "x.ini:1: nodes: stands before any [section]"},
        {"[net]\nwhat is this\n", "x.ini:2: is not"},
        {"[net\n", "x.ini:1: is not"},
        {"[scenario]\nwarm = 5\n", "x.ini:2: scenario.warm = 5: needs a time"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct sim_config c;
        char why[SIM_WHY_MAX] = "";
        sim_config_default(&c);
        assert_int_not_equal(sim_config_read(&c, "x.ini", wrong[i].text, why), 0);
        if (!strstr(why, wrong[i].said))
            fail_msg("`%s` does not say `%s`", why, wrong[i].said);
    }
    struct sim_config c;
    char why[SIM_WHY_MAX], longer[400];
    sim_config_default(&c);
    assert_int_equal(
        sim_config_read(&c, "x", "[scenario]\nnote = one\n  two\n[expect]\nlookup.time = < 1s\n", why), 0);
    assert_string_equal(c.scenario.note, "one two");
    assert_int_equal(c.expect_count, 1);
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = 0;
    assert_int_not_equal(sim_config_read(&c, "x", longer, why), 0);
    assert_non_null(strstr(why, "too long"));
}

static int asked(struct sim_asked *a, const char *line, char why[SIM_WHY_MAX])
{
    static char words[300];
    char *argv[32];
    int argc = 0;
    snprintf(words, sizeof words, "%s", line);
    for (char *w = strtok(words, " "); w; w = strtok(NULL, " "))
        argv[argc++] = w;
    struct sim_config c;
    int e = sim_asked_read(a, argc, argv, why);
    return e ? e : sim_asked_config(a, a->first_seed, &c, why);
}

static void command_lines(void **state)
{
    static const struct {
        const char *line, *said;
    } wrong[] = {
        {"hello --seed abc", "--seed abc: is not a number"},
        {"hello --seed -1", "not a number"},
        {"hello --seeds 5..1", "sweep of nothing"},
        {"hello --seeds 5", "1..20"},
        {"hello --nodes many", "scenario.nodes = many"},
        {"hello --set net.loss", "section.key=value"},
        {"hello --colour red", "--colour"},
        {"hello --nodes", "--nodes: needs a value"},
        {"hello world", "one scenario"},
        {"helo", "no such scenario; the nearest is hello"},
        {"--json", "scenario is missing"},
        {"./none.ini", "cannot read"},
        {"hello --jobs 0", "from 1 to 1024"},
        {"hello --set swarm.bytes=1MB", "scenario.streams"},
    };
    struct sim_asked a;
    char why[SIM_WHY_MAX], command[400];
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_not_equal(asked(&a, wrong[i].line, why), 0);
        if (!strstr(why, wrong[i].said))
            fail_msg("`%s` says `%s`, not `%s`", wrong[i].line, why, wrong[i].said);
    }
    assert_int_equal(asked(&a, "hello --nodes 7 --seed=9 --set net.loss=1% --json", why), 0);
    a.set[a.sets++] = "churn.session=exponential mean 1h";
    sim_command_print(&a, 9, command, sizeof command);
    assert_string_equal(command, "simnet run hello --nodes 7 --seed 9 --set net.loss=1% "
                                 "--set 'churn.session=exponential mean 1h'");
}

static void too_much_is_refused(void **state)
{
    struct sim_config c;
    char why[SIM_WHY_MAX] = "";
    (void)state;
    sim_config_default(&c);
    assert_int_equal(sim_memory_check(&c, 1, why), 0);
    c.scenario.nodes = 4000000000u;
    assert_int_not_equal(sim_memory_check(&c, 1, why), 0);
    assert_non_null(strstr(why, "--nodes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scenario_reads), cmocka_unit_test(settings_are_read_and_printed),
        cmocka_unit_test(mistakes_are_told),    cmocka_unit_test(files_name_the_line),
        cmocka_unit_test(command_lines),        cmocka_unit_test(too_much_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
