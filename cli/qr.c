#include "cli/qr.h"
#include <qrencode.h>
#include <string.h>

#define QUIET 2 /* light modules around the code; scanners are content with two */

static bool dark(const QRcode *q, int x, int y)
{
    return x >= 0 && y >= 0 && x < q->width && y < q->width && (q->data[y * q->width + x] & 1);
}

bool qr_draw(FILE *out, const char *text, int width)
{
    char upper[2048]; /* capitals and digits take 5.5 bits a character instead of 8; what follows the scheme
                         is read in either case */
    size_t size = strlen(text), scheme = strcspn(text, ":");
    if (size >= sizeof upper)
        return false;
    for (size_t i = 0; i <= size; i++)
        upper[i] = (char)(i > scheme && text[i] >= 'a' && text[i] <= 'z' ? text[i] - 32 : text[i]);
    QRcode *q = QRcode_encodeString(upper, 0, QR_ECLEVEL_L, QR_MODE_8, 1);
    if (!q || q->width + 2 * QUIET > width) {
        QRcode_free(q);
        return false;
    }
    /* Upper half is the foreground, lower half the background: black on white, said outright. */
    for (int y = -QUIET; y < q->width + QUIET; y += 2) {
        for (int x = -QUIET; x < q->width + QUIET; x++)
            fprintf(out, "\033[%d;%dm\xe2\x96\x80", dark(q, x, y) ? 30 : 97, dark(q, x, y + 1) ? 40 : 107);
        fputs("\033[0m\n", out);
    }
    QRcode_free(q);
    return true;
}
