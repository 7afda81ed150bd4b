#include "node/base/bytes.h"

void hex_encode(char *out, const uint8_t *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * size] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_decode(uint8_t *out, size_t size, const char *text)
{
    for (size_t i = 0; i < size; i++) {
        int high = hex_digit(text[2 * i]);
        int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]); /* a NUL as high digit stops before reading on */
        if (low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return text[2 * size] == '\0';
}

size_t base32_encode(char *out, const uint8_t *data, size_t size)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    size_t count = 0;
    unsigned bits = 0, held = 0;
    for (size_t i = 0; i < size; i++) {
        bits = bits << 8 | data[i];
        held += 8;
        while (held >= 5) {
            held -= 5;
            out[count++] = alphabet[bits >> held & 31];
        }
        bits &= (1u << held) - 1;
    }
    if (held)
        out[count++] = alphabet[bits << (5 - held) & 31];
    out[count] = '\0';
    return count;
}

static int base32_digit(char c)
{
    if (c >= 'a' && c <= 'z')
        return c - 'a';
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= '2' && c <= '7')
        return c - '2' + 26;
    return -1;
}

bool base32_decode(uint8_t *out, size_t size, const char *text, size_t count)
{
    if (count * 5 / 8 != size)
        return false;
    unsigned bits = 0, held = 0;
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        int digit = base32_digit(text[i]);
        if (digit < 0)
            return false;
        bits = bits << 5 | (unsigned)digit;
        held += 5;
        if (held >= 8) {
            held -= 8;
            out[done++] = (uint8_t)(bits >> held);
            bits &= (1u << held) - 1;
        }
    }
    return held < 5 && bits == 0;
}

uint32_t crc32_ieee(const uint8_t *data, size_t size)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1u)));
    }
    return ~crc;
}

uint8_t crc8(const uint8_t *data, size_t size)
{
    uint8_t crc = 0;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (uint8_t)(crc << 1 ^ (crc & 0x80 ? 0x07 : 0));
    }
    return crc;
}
