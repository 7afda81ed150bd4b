#ifndef SHOAL_CLI_LINKS_H
#define SHOAL_CLI_LINKS_H
#include "transfer/content.h"

/* A link or id from the command line. 0, or an exit code after saying where it is wrong. */
int cli_link(const char *text, struct link *out);
#endif
