#ifndef SHOAL_CLI_QR_H
#define SHOAL_CLI_QR_H
#include <stdbool.h>
#include <stdio.h>

/* Draws text as a QR code with half blocks, dark on light whatever the terminal's colours. False, and nothing
 * drawn, when it does not fit `width` columns or the text is too long. */
bool qr_draw(FILE *out, const char *text, int width);
#endif
