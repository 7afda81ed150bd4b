/* The command line: finds the command, parses its options anywhere after it, and says what is wrong in a way
 * that helps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"
#include "node/host/config.h"

const struct option_spec cli_global_options[] = {
    {"home", 0, "DIR",
     "the node's folder (default: SHOAL_HOME, or shoal in XDG_DATA_HOME, or ~/.local/share/shoal)"},
    {"json", 0, NULL, "print JSON, for scripts"},
    {"help", 'h', NULL, "show this help"},
    {"version", 'V', NULL, "print the version"},
    {0},
};

/* ---- Nearest names ---- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edits (insert, delete, change, swap of neighbours) from a to b; both at most 31 characters. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][33], m = strlen(a), n = strlen(b);
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    if (m > 31 || n > 31)
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        last[j] = j;
    for (size_t i = 1; i <= m; i++) {
        now[0] = i;
        for (size_t j = 1; j <= n; j++) {
            now[j] = least(last[j - 1] + (a[i - 1] != b[j - 1]), least(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
        size_t *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[n];
}

const char *cli_nearest(const char *word, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    size_t best_distance = strlen(word) < 4 ? 2 : 3; /* further than that helps nobody */
    for (size_t i = 0; i < count; i++) {
        size_t d = distance(word, candidates[i]);
        if (strlen(word) >= 2 && strncmp(candidates[i], word, strlen(word)) == 0)
            d = 1; /* its beginning */
        if (d < best_distance) {
            best_distance = d;
            best = candidates[i];
        }
    }
    return best;
}

/* ---- Commands ---- */

const struct command *cli_command_find(const char *first, const char *second, int *words)
{
    char both[64];
    snprintf(both, sizeof both, "%.30s %.30s", first, second ? second : "");
    for (size_t i = 0; i < cli_command_count; i++) {
        bool two = strchr(cli_commands[i].name, ' ') != NULL;
        /* `shoal network --help` asks about what begins with that word. */
        size_t size = strlen(first);
        if (two && second && (strcmp(second, "--help") == 0 || strcmp(second, "-h") == 0) &&
            strncmp(cli_commands[i].name, first, size) == 0 && cli_commands[i].name[size] == ' ') {
            *words = 1;
            return &cli_commands[i];
        }
        if (strcmp(cli_commands[i].name, two ? both : first) == 0) {
            *words = two ? 2 : 1;
            return &cli_commands[i];
        }
    }
    return NULL;
}

static int unknown_command(const char *first, const char *second)
{
    const char *names[64];
    size_t count = 0;
    char both[64];
    for (size_t i = 0; i < cli_command_count && count < 64; i++)
        names[count++] = cli_commands[i].name;
    snprintf(both, sizeof both, "%.30s%s%.30s", first, second ? " " : "", second ? second : "");
    const char *near = cli_nearest(first, names, count);
    if (!near)
        near = cli_nearest(both, names, count);
    if (near)
        cli_error("there is no command \"%s\"; did you mean `shoal %s`?", first, near);
    else
        cli_error("there is no command \"%s\"; `shoal help` lists them", first);
    return CLI_EXIT_NOW + EXIT_USAGE;
}

/* ---- Options ---- */

static const struct option_spec *option_in(const struct option_spec *table, const char *name, size_t size,
                                           char letter)
{
    for (; table->name; table++)
        if (name ? strlen(table->name) == size && strncmp(table->name, name, size) == 0
                 : table->letter && table->letter == letter)
            return table;
    return NULL;
}

static const struct option_spec *option_find(const struct command *c, const char *name, size_t size,
                                             char letter)
{
    const struct option_spec *o = c ? option_in(c->options, name, size, letter) : NULL;
    return o ? o : option_in(cli_global_options, name, size, letter);
}

static int unknown_option(const struct command *c, const char *word)
{
    const char *names[64], *plain = word;
    size_t count = 0;
    char name[64];
    for (const struct option_spec *o = c ? c->options : cli_global_options; o->name; o++)
        names[count++] = o->name;
    for (const struct option_spec *o = cli_global_options; c && o->name; o++)
        names[count++] = o->name;
    while (*plain == '-')
        plain++;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(plain, "="), plain);
    const char *near = cli_nearest(name, names, count);
    if (near)
        cli_error("there is no option \"%s\"; did you mean --%s?", word, near);
    else
        cli_error("there is no option \"%s\"; `shoal%s%s --help` lists them", word, c ? " " : "",
                  c ? c->name : "");
    return CLI_EXIT_NOW + EXIT_USAGE;
}

struct parser {
    struct cli *cli;
    const struct command *command;
    char **argv;
    int argc, at;
    const char *home;
    bool help, version, json, ended; /* ended: "--" was seen */
};

static int take(struct parser *p, const struct option_spec *o, const char *word, const char *text)
{
    struct cli *cli = p->cli;
    if (!o->argument && text) {
        cli_error("--%s takes no value", o->name);
        return CLI_EXIT_NOW + EXIT_USAGE;
    }
    if (o->argument && !text && ++p->at < p->argc)
        text = p->argv[p->at];
    if (o->argument && !text) {
        cli_error("%s needs a value: --%s %s", word, o->name, o->argument);
        return CLI_EXIT_NOW + EXIT_USAGE;
    }
    if (strcmp(o->name, "home") == 0)
        p->home = text;
    else if (strcmp(o->name, "json") == 0)
        p->json = true;
    else if (strcmp(o->name, "help") == 0)
        p->help = true;
    else if (strcmp(o->name, "version") == 0)
        p->version = true;
    else if (cli->value_count == CLI_VALUES_MAX) {
        cli_error("more than %d options", CLI_VALUES_MAX);
        return CLI_EXIT_NOW + EXIT_USAGE;
    } else
        cli->values[cli->value_count++] = (struct cli_value){o, text};
    return 0;
}

/* "--name", "--name=value". */
static int long_option(struct parser *p, const char *word)
{
    size_t size = strcspn(word + 2, "=");
    const struct option_spec *o = option_find(p->command, word + 2, size, 0);
    return o ? take(p, o, word, word[2 + size] ? word + 3 + size : NULL) : unknown_option(p->command, word);
}

/* "-r", "-rv", "-oPATH", "-o PATH". */
static int short_options(struct parser *p, const char *word)
{
    for (const char *c = word + 1; *c; c++) {
        const struct option_spec *o = option_find(p->command, NULL, 0, *c);
        char shown[3] = {'-', *c, 0};
        if (!o)
            return unknown_option(p->command, word);
        int r = take(p, o, shown, o->argument && c[1] ? c + 1 : NULL);
        if (r != 0 || o->argument)
            return r;
    }
    return 0;
}

static int word(struct parser *p)
{
    const char *w = p->argv[p->at];
    if (!p->ended && strcmp(w, "--") == 0) {
        p->ended = true;
        return 0;
    }
    if (!p->ended && w[0] == '-' && w[1] == '-')
        return long_option(p, w);
    if (!p->ended && w[0] == '-' && w[1])
        return short_options(p, w);
    if (p->command) {
        p->cli->arguments[p->cli->argument_count++] = w;
        return 0;
    }
    int words;
    const char *second = p->at + 1 < p->argc ? p->argv[p->at + 1] : NULL;
    p->command = p->cli->command = cli_command_find(w, second, &words);
    if (!p->command)
        return unknown_command(w, second);
    p->at += words - 1;
    return 0;
}

static int check_count(const struct command *c, int count)
{
    if (count >= c->arguments_min && (c->arguments_max < 0 || count <= c->arguments_max))
        return 0;
    if (count < c->arguments_min)
        cli_error("`shoal %s` needs %s; `shoal %s --help` says more", c->name, c->arguments, c->name);
    else
        cli_error("`shoal %s` takes %s%s; quote a name that has spaces", c->name,
                  c->arguments_max ? "no more than " : "no arguments", c->arguments_max ? c->arguments : "");
    return CLI_EXIT_NOW + EXIT_USAGE;
}

int cli_parse(struct cli *cli, int argc, char **argv)
{
    struct parser p = {.cli = cli, .argv = argv, .argc = argc};
    memset(cli, 0, sizeof *cli);
    cli->arguments = calloc((size_t)argc + 1, sizeof *cli->arguments);
    if (!cli->arguments)
        return CLI_EXIT_NOW + EXIT_FAILED;
    for (p.at = 1; p.at < argc; p.at++) {
        int r = word(&p);
        if (r != 0)
            return r;
    }
    if (p.version) {
        printf("shoal %s\n", SHOAL_VERSION);
        return CLI_EXIT_NOW;
    }
    if (p.help || !p.command) {
        if (p.command)
            cli_help_command(p.command);
        else
            cli_help();
        return CLI_EXIT_NOW + (p.help ? 0 : EXIT_USAGE);
    }
    if (p.json && !p.command->json) {
        cli_error("`shoal %s` has nothing to say in JSON", p.command->name);
        return CLI_EXIT_NOW + EXIT_USAGE;
    }
    cli->json = p.json;
    int r = check_count(p.command, cli->argument_count);
    if (r == 0 && config_home(cli->home, sizeof cli->home, p.home) != 0) {
        cli_error(
            "no home: the path is too long, or neither --home, SHOAL_HOME, XDG_DATA_HOME nor HOME is set");
        return CLI_EXIT_NOW + EXIT_USAGE;
    }
    return r;
}

const char *cli_option(const struct cli *cli, const char *name)
{
    const char *found = NULL;
    for (int i = 0; i < cli->value_count; i++)
        if (strcmp(cli->values[i].option->name, name) == 0)
            found = cli->values[i].text;
    return found;
}

bool cli_flag(const struct cli *cli, const char *name)
{
    for (int i = 0; i < cli->value_count; i++)
        if (strcmp(cli->values[i].option->name, name) == 0)
            return true;
    return false;
}

int cli_option_all(const struct cli *cli, const char *name, const char **out, int max)
{
    int n = 0;
    for (int i = 0; i < cli->value_count && n < max; i++)
        if (strcmp(cli->values[i].option->name, name) == 0)
            out[n++] = cli->values[i].text;
    return n;
}
