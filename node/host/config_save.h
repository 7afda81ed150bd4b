/* Changing one setting in a home's shoal.ini, as a person would: the line is replaced where it stands, or comes after its section's head; comments and
 * everything else stay as they are. */
#ifndef SHOAL_HOST_CONFIG_SAVE_H
#define SHOAL_HOST_CONFIG_SAVE_H
#include "node/base/bytes.h"

/* The changed text (free it), from that of the file. A value has no line ends. NULL: out of memory. */
char *config_change(const char *text, const char *section, const char *key, const char *value);
/* Reads, changes and writes home/shoal.ini, which may be missing, whole or not at all. ERR_IO, ERR_NO_SPACE, ERR_PERMISSION, ERR_RANGE: over 1 MiB. */
int config_save(const char *home, const char *section, const char *key, const char *value);
#endif
