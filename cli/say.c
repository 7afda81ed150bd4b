#include <errno.h>
#include <langinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cli/cli.h"
#include "cli/format.h"
#include "node/base/err.h"

volatile int cli_interrupted;

static void on_signal(int number)
{
    (void)number;
    cli_interrupted = 1;
}

void cli_catch_signals(void)
{
    struct sigaction a = {.sa_handler = on_signal}; /* no SA_RESTART: what waits wakes up */
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGHUP, &a, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool cli_colour(int fd)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    return isatty(fd) && term && *term && strcmp(term, "dumb") != 0 && !(no_color && *no_color);
}

bool cli_utf8(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* Names come from other people: nothing may move the cursor. Width is not limited here. */
static void say(const char *mark, const char *mark_end, const char *format, va_list args)
{
    char text[2048], clean[2048];
    vsnprintf(text, sizeof text, format, args);
    text_fit(clean, sizeof clean, text, 1 << 20, cli_utf8());
    fprintf(stderr, "%sshoal:%s %s\n", mark, mark_end, clean);
}

void cli_error(const char *format, ...)
{
    va_list args;
    bool colour = cli_colour(STDERR_FILENO);
    va_start(args, format);
    say(colour ? "\033[31m" : "", colour ? "\033[0m" : "", format, args);
    va_end(args);
}

void cli_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say("", "", format, args);
    va_end(args);
}

int cli_exit_of(int code)
{
    switch (code) {
    case 0:
        return EXIT_FINE;
    case ERR_CANCELLED:
        return cli_interrupted ? EXIT_INTERRUPTED : EXIT_FAILED;
    case ERR_NOT_FOUND:
    case ERR_NO_SOURCES:
        return EXIT_NOT_FOUND;
    case ERR_MALFORMED:
    case ERR_CHECKSUM:
    case ERR_VERSION:
        return EXIT_BAD_TEXT;
    case ERR_BUSY:
    case ERR_EXISTS:
        return EXIT_IN_USE;
    case ERR_NO_SPACE:
    case ERR_QUOTA:
        return EXIT_NO_SPACE;
    case ERR_TIMEOUT:
        return EXIT_TIMEOUT;
    default:
        return EXIT_FAILED;
    }
}

int cli_code_of_name(const char *name)
{
    static const struct {
        const char *name;
        int code;
    } codes[] = {
#define X(error, number, text) {#error, number},
        SHOAL_ERRORS(X)
#undef X
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strcmp(codes[i].name, name) == 0)
            return codes[i].code;
    return ERR_IO;
}

void cli_print_json(const json_t *value)
{
    /* JSON lets control characters above 0x7f through; a terminal may obey them. */
    size_t plain = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY | plain);
    putchar('\n');
}
