/* The command `shoal`: a table of commands, each in a file with its kin; options parsed by the table; one way
 * to say errors. */
#ifndef SHOAL_CLI_H
#define SHOAL_CLI_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>

enum cli_exit {
    EXIT_FINE = 0,
    EXIT_FAILED = 1,    /* it did not work; standard error says why */
    EXIT_USAGE = 2,     /* the command line itself is wrong */
    EXIT_NO_NODE = 3,   /* no node runs in this home, and the command needs one */
    EXIT_NOT_FOUND = 4, /* not found, or nobody who has it could be reached */
    EXIT_BAD_TEXT = 5,  /* a link, id or invite is wrong */
    EXIT_IN_USE = 6,    /* a port, a home or a name is taken */
    EXIT_NO_SPACE = 7,  /* the disk or the quota is full */
    EXIT_TIMEOUT = 8,   /* nothing arrived for as long as --timeout says */
    EXIT_INTERRUPTED = 130
};

#define CLI_OPTIONS_MAX 12
#define CLI_VALUES_MAX  256 /* options of one command line */

struct option_spec {
    const char *name;     /* "output"; NULL ends the table */
    char letter;          /* 'o', 0 = none */
    const char *argument; /* "PATH"; NULL: a flag */
    const char *help;
};

struct cli;
struct command {
    const char *name;                 /* "share", "network rotate" */
    const char *arguments;            /* "PATH..." for the usage line; "" = none */
    int arguments_min, arguments_max; /* -1: any number */
    const char *summary;              /* for the list of commands */
    const char *about;                /* paragraphs for --help */
    const char *examples;             /* lines, may be NULL */
    bool json;                        /* takes --json */
    struct option_spec options[CLI_OPTIONS_MAX];
    int (*run)(struct cli *cli);
};
extern const struct command cli_commands[];
extern const size_t cli_command_count;
extern const struct option_spec cli_global_options[]; /* --home, --json, --help, --version */

struct cli_value {
    const struct option_spec *option;
    const char *text; /* NULL for a flag */
};

struct cli {
    const struct command *command;
    char home[4096]; /* absolute */
    bool json;
    const char **arguments; /* in argv */
    int argument_count;
    struct cli_value values[CLI_VALUES_MAX];
    int value_count;
};

/* ---- options.c ---- */
/* Parses what follows the program's name. 0: *cli is ready to run. Otherwise an exit code + 1000 to exit with
 * at once (help was printed: 1000). */
#define CLI_EXIT_NOW 1000
int cli_parse(struct cli *cli, int argc, char **argv);
const char *cli_option(const struct cli *cli, const char *name); /* the last value; NULL when not given */
bool cli_flag(const struct cli *cli, const char *name);
/* Fills `out` with every value of a repeated option, in order; returns how many. */
int cli_option_all(const struct cli *cli, const char *name, const char **out, int max);
/* The candidate nearest to word by edit distance, NULL when none is near. */
const char *cli_nearest(const char *word, const char *const *candidates, size_t count);
const struct command *cli_command_find(const char *first, const char *second, int *words);

/* ---- help.c ---- */
void cli_help(void);
void cli_help_command(const struct command *c);
int cmd_help(struct cli *cli);
int cmd_version(struct cli *cli);

/* ---- say.c ---- */
/* "shoal: sentence" on standard error. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_note(const char *format, ...)
    __attribute__((format(printf, 1, 2))); /* the same without colour, for hints */
int cli_exit_of(int code);                 /* enum shoal_error to an exit code */
int cli_code_of_name(const char *name);    /* "ERR_NOT_FOUND" to the code; ERR_IO when unknown */
void cli_print_json(const json_t *value);  /* to standard output, indented, with a newline */
bool cli_colour(int fd);                   /* a terminal that takes colours (NO_COLOR, TERM=dumb say no) */
bool cli_utf8(void);                       /* the locale's characters are UTF-8 */
extern volatile int cli_interrupted;       /* set by SIGINT, SIGTERM and SIGHUP in commands that wait */
void cli_catch_signals(void);

/* ---- commands ---- */
int cmd_up(struct cli *cli);
int cmd_down(struct cli *cli);
int cmd_invite(struct cli *cli);
int cmd_join(struct cli *cli);
int cmd_rotate(struct cli *cli);
int cmd_share(struct cli *cli);
int cmd_unshare(struct cli *cli);
int cmd_get(struct cli *cli);
int cmd_ls(struct cli *cli);
int cmd_find(struct cli *cli);
int cmd_status(struct cli *cli);
int cmd_peers(struct cli *cli);
int cmd_pin(struct cli *cli);
int cmd_unpin(struct cli *cli);
int cmd_gc(struct cli *cli);
int cmd_open(struct cli *cli); /* account.c */
int cmd_account_add(struct cli *cli);
int cmd_account_list(struct cli *cli);
int cmd_account_password(struct cli *cli);
int cmd_account_remove(struct cli *cli);
int cmd_account_token(struct cli *cli);
int cmd_account_logins(struct cli *cli);
int cmd_account_revoke(struct cli *cli);
int cmd_name_add(struct cli *cli);
int cmd_name_remove(struct cli *cli);
int cmd_name_list(struct cli *cli);
int cmd_name_show(struct cli *cli);
int cmd_name_me(struct cli *cli);
int cmd_site_publish(struct cli *cli);
int cmd_site_unpublish(struct cli *cli);
int cmd_site_status(struct cli *cli);
int cmd_site_keep(struct cli *cli);
int cmd_search(struct cli *cli);
#endif
