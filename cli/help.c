#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cli/cli.h"
#include "cli/progress.h"

static const char *bold(void)
{
    return cli_colour(STDOUT_FILENO) ? "\033[1m" : "";
}

static const char *plain(void)
{
    return cli_colour(STDOUT_FILENO) ? "\033[0m" : "";
}

/* Text after a label, broken into lines that fit the terminal and stand below each other. */
static void print_wrapped(const char *text, int indent, int at)
{
    int width = isatty(STDOUT_FILENO) ? terminal_width(STDOUT_FILENO) - 1 : 100;
    if (width < indent + 20)
        width = indent + 20;
    while (*text) {
        int size = (int)strcspn(text, " ");
        if (at > indent && at + 1 + size > width) {
            printf("\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            putchar(' ');
            at++;
        }
        printf("%.*s", size, text);
        at += size;
        text += size;
        while (*text == ' ')
            text++;
    }
    putchar('\n');
}

static void print_option(const struct option_spec *o)
{
    char label[64];
    snprintf(label, sizeof label, "%c%c%s --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
             o->letter ? "," : " ", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
    int at = printf("  %-30s", label);
    if (at > 32)
        at = printf("\n%*s", 32, "") - 1;
    print_wrapped(o->help, 32, at);
}

void cli_help_command(const struct command *c)
{
    printf("%sshoal %s%s%s%s%s\n%s\n\n%s\n", bold(), c->name, plain(), *c->arguments ? " " : "", c->arguments,
           c->options[0].name ? " [OPTION...]" : "", c->summary, c->about);
    if (c->examples) {
        printf("\n%sExamples%s\n", bold(), plain());
        for (const char *line = c->examples; *line;) {
            int size = (int)strcspn(line, "\n");
            printf("  %.*s\n", size, line);
            line += size + (line[size] == '\n');
        }
    }
    printf("\n%sOptions%s\n", bold(), plain());
    for (const struct option_spec *o = c->options; o->name; o++)
        print_option(o);
    for (const struct option_spec *o = cli_global_options; o->name; o++)
        if (strcmp(o->name, "version") != 0 && (strcmp(o->name, "json") != 0 || c->json))
            print_option(o);
}

void cli_help(void)
{
    printf("%sshoal%s: share and fetch files between machines, without a server\n\n", bold(), plain());
    for (size_t i = 0; i < cli_command_count; i++) {
        int at = printf("  %s%-18s%s", bold(), cli_commands[i].name, plain()) - (int)strlen(bold()) -
                 (int)strlen(plain());
        print_wrapped(cli_commands[i].summary, 20, at);
    }
    printf("\n%sOptions of every command%s\n", bold(), plain());
    for (const struct option_spec *o = cli_global_options; o->name; o++)
        print_option(o);
    printf(
        "\n%sTo begin%s\n"
        "  shoal up                     run a node; it prints an invite\n"
        "  shoal join INVITE            on another machine, then `shoal up` there\n"
        "  shoal share PATH             prints a link\n"
        "  shoal get LINK               on any machine of the network\n\n"
        "`shoal COMMAND --help` says more. Exit codes: 0 fine, 1 failed, 2 wrong usage, 3 no node running,\n"
        "4 not found or nobody has it, 5 a link or invite is wrong, 6 in use, 7 no space, 130 interrupted.\n",
        bold(), plain());
}

int cmd_help(struct cli *cli)
{
    int words;
    if (cli->argument_count == 0) {
        cli_help();
        return EXIT_FINE;
    }
    const struct command *c =
        cli_command_find(cli->arguments[0], cli->argument_count > 1 ? cli->arguments[1] : NULL, &words);
    if (!c) {
        const char *names[64], *near;
        size_t count = 0;
        for (size_t i = 0; i < cli_command_count && count < 64; i++)
            names[count++] = cli_commands[i].name;
        near = cli_nearest(cli->arguments[0], names, count);
        if (near)
            cli_error("there is no command \"%s\"; did you mean `shoal help %s`?", cli->arguments[0], near);
        else
            cli_error("there is no command \"%s\"; `shoal help` lists them", cli->arguments[0]);
        return EXIT_USAGE;
    }
    cli_help_command(c);
    return EXIT_FINE;
}

int cmd_version(struct cli *cli)
{
    (void)cli;
    printf("shoal %s\n", SHOAL_VERSION);
    return EXIT_FINE;
}
