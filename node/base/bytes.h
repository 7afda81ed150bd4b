/* Borrowed spans and fixed-width integers in network order. */
#ifndef SHOAL_BASE_BYTES_H
#define SHOAL_BASE_BYTES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data; /* may be NULL when size is 0; whoever made the span owns it */
    size_t size;         /* [bytes] */
};

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){(const uint8_t *)data, size};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline void put_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline void put_be32(uint8_t *p, uint32_t v)
{
    put_be16(p, (uint16_t)(v >> 16));
    put_be16(p + 2, (uint16_t)v);
}
static inline void put_be64(uint8_t *p, uint64_t v)
{
    put_be32(p, (uint32_t)(v >> 32));
    put_be32(p + 4, (uint32_t)v);
}
static inline uint16_t get_be16(const uint8_t *p)
{
    return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}
static inline uint32_t get_be32(const uint8_t *p)
{
    return (uint32_t)get_be16(p) << 16 | get_be16(p + 2);
}
static inline uint64_t get_be64(const uint8_t *p)
{
    return (uint64_t)get_be32(p) << 32 | get_be32(p + 4);
}

/* Lower-case hexadecimal. `out` has room for 2 * size + 1. */
void hex_encode(char *out, const uint8_t *data, size_t size);
/* Exactly `size` bytes from 2 * size hexadecimal digits of either case followed by NUL; false otherwise. */
bool hex_decode(uint8_t *out, size_t size, const char *text);

/* RFC 4648 base32, lower case, no padding. out has room for (size * 8 + 4) / 5 + 1. Returns characters written, NUL not counted. */
size_t base32_encode(char *out, const uint8_t *data, size_t size);
/* Decodes exactly `count` characters of either case into `out`, whose room is `size` = count * 5 / 8 bytes. False on a character
 * outside the alphabet or when the spare low bits are not zero. */
bool base32_decode(uint8_t *out, size_t size, const char *text, size_t count);

uint32_t crc32_ieee(const uint8_t *data, size_t size); /* IEEE 802.3, reflected, as in zlib */
uint8_t crc8(const uint8_t *data, size_t size);        /* polynomial 0x07, initial 0, as in SMBus */
#endif
