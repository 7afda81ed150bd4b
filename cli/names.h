#ifndef SHOAL_CLI_NAMES_H
#define SHOAL_CLI_NAMES_H
#include "cli/cli.h"
#include "transfer/content.h"

/* The argument as a link: a link or id as cli_link takes it; or NAME, NAME/path, name:/NAME/path, which the node resolves, and the argument becomes
 * the link. 0, or an exit code after saying what is wrong. Once a command. */
int cli_link_or_name(struct cli *cli, int index, struct link *out);
/* Percent-encoded for a query; to be freed; NULL: no memory. */
char *cli_query(const char *text);
#endif
