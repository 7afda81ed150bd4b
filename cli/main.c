#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"
#include "cli/job.h"

int main(int argc, char **argv)
{
    static struct cli cli;
    setlocale(LC_CTYPE, "");
    int r = cli_parse(&cli, argc, argv);
    if (r >= CLI_EXIT_NOW) {
        free(cli.arguments);
        return r - CLI_EXIT_NOW;
    }
    char home[4096];
    if (absolute_path(home, cli.home) != 0) {
        cli_error("the path of the home is too long");
        return EXIT_USAGE;
    }
    memcpy(cli.home, home, sizeof home);
    r = cli.command->run(&cli);
    free(cli.arguments);
    return r;
}
