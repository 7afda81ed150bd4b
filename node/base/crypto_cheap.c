/* The stand-in for very large simulations: the same sizes, the same round trips, the same outcomes for honest nodes, no security at
 * all. Every function is a few multiplications a word. A forged seal or signature is still noticed (by checksum), so that fault
 * injection shows what it would with the real table. */
#include "node/base/assert.h"
#include "node/base/crypto.h"

static uint64_t mix(uint64_t a, uint64_t b)
{
    a = (a ^ b) * 0x9e3779b97f4a7c15u;
    a ^= a >> 29;
    a *= 0xbf58476d1ce4e5b9u;
    return a ^ a >> 32;
}

/* Length-prefixed, so that part boundaries do not matter but total content does; words are read as big-endian on every machine. */
struct sum {
    uint64_t a, b;
    uint8_t tail[8];
    size_t tail_size, total;
};

static void sum_word(struct sum *s, uint64_t v)
{
    s->a = mix(s->a, v);
    s->b = (s->b ^ v) * 0x94d049bb133111ebu + s->a;
}

static void sum_add(struct sum *s, const uint8_t *data, size_t size)
{
    s->total += size;
    while (size && s->tail_size) {
        s->tail[s->tail_size++] = *data++;
        size--;
        if (s->tail_size == 8) {
            sum_word(s, get_be64(s->tail));
            s->tail_size = 0;
        }
    }
    for (; size >= 8; data += 8, size -= 8)
        sum_word(s, get_be64(data));
    while (size--)
        s->tail[s->tail_size++] = *data++;
}

static void sum_end(struct sum *s, uint8_t *out, size_t out_size)
{
    uint8_t block[8];
    memset(s->tail + s->tail_size, 0, 8 - s->tail_size);
    sum_word(s, get_be64(s->tail));
    sum_word(s, s->total);
    for (size_t done = 0; done < out_size; done += 8) {
        put_be64(block, mix(s->a + done, s->b));
        memcpy(out + done, block, out_size - done < 8 ? out_size - done : 8);
    }
}

static void cheap_hash(uint8_t *out, size_t out_size, const uint8_t *key, size_t key_size, const struct bytes *parts, size_t count)
{
    struct sum s = {.a = 0x243f6a8885a308d3u, .b = out_size};
    core_assert(out_size >= 1 && out_size <= 64);
    sum_word(&s, key_size);
    if (key_size)
        sum_add(&s, key, key_size);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].size)
            sum_add(&s, parts[i].data, parts[i].size);
    }
    sum_end(&s, out, out_size);
}

static void hash_parts(uint8_t *out, size_t out_size, uint64_t domain, const struct bytes *parts, size_t count)
{
    uint8_t key[8];
    put_be64(key, domain);
    cheap_hash(out, out_size, key, sizeof key, parts, count);
}

static void cheap_identity(struct node_identity *out, const uint8_t seed[NODE_SEED_SIZE])
{
    struct bytes parts[] = {bytes_of(seed, NODE_SEED_SIZE)};
    memset(out, 0, sizeof *out);
    hash_parts(out->key, NODE_KEY_SIZE, 1, parts, 1);
    memcpy(out->sign_secret, seed, NODE_SEED_SIZE);
    memcpy(out->sign_secret + 32, out->key, NODE_KEY_SIZE);
    memcpy(out->dh_secret, seed, 32);
    memcpy(out->dh_public, out->key, 32);
}

static void cheap_sign(uint8_t out[SIGNATURE_SIZE], const uint8_t *message, size_t size, const struct node_identity *me)
{
    struct bytes parts[] = {bytes_of(me->key, NODE_KEY_SIZE), bytes_of(message, size)};
    hash_parts(out, SIGNATURE_SIZE, 2, parts, 2);
}

static bool cheap_verify(const uint8_t signature[SIGNATURE_SIZE], const uint8_t *message, size_t size,
                         const uint8_t key[NODE_KEY_SIZE])
{
    uint8_t expected[SIGNATURE_SIZE];
    struct bytes parts[] = {bytes_of(key, NODE_KEY_SIZE), bytes_of(message, size)};
    hash_parts(expected, SIGNATURE_SIZE, 2, parts, 2);
    return memcmp(expected, signature, SIGNATURE_SIZE) == 0;
}

static bool cheap_shared(uint8_t out[32], const struct node_identity *me, const uint8_t peer_key[NODE_KEY_SIZE])
{
    bool first = memcmp(me->key, peer_key, NODE_KEY_SIZE) < 0; /* both sides must arrive at the same secret */
    struct bytes parts[] = {bytes_of(first ? me->key : peer_key, 32), bytes_of(first ? peer_key : me->key, 32)};
    hash_parts(out, 32, 3, parts, 2);
    return true;
}

static void cheap_tag(uint8_t tag[SEAL_TAG_SIZE], const uint8_t *in, size_t size, const uint8_t *ad, size_t ad_size,
                      const uint8_t nonce[SEAL_NONCE_SIZE], const uint8_t key[SEAL_KEY_SIZE])
{
    struct bytes parts[] = {bytes_of(key, SEAL_KEY_SIZE), bytes_of(nonce, SEAL_NONCE_SIZE), bytes_of(ad, ad_size), bytes_of(in, size)};
    hash_parts(tag, SEAL_TAG_SIZE, 4, parts, 4);
}

static void cheap_seal(uint8_t *out, const uint8_t *in, size_t size, const uint8_t *ad, size_t ad_size,
                       const uint8_t nonce[SEAL_NONCE_SIZE], const uint8_t key[SEAL_KEY_SIZE])
{
    uint8_t tag[SEAL_TAG_SIZE];
    cheap_tag(tag, in, size, ad, ad_size, nonce, key);
    if (size)
        memmove(out, in, size);
    memcpy(out + size, tag, SEAL_TAG_SIZE);
}

static bool cheap_open(uint8_t *out, const uint8_t *in, size_t size, const uint8_t *ad, size_t ad_size,
                       const uint8_t nonce[SEAL_NONCE_SIZE], const uint8_t key[SEAL_KEY_SIZE])
{
    uint8_t tag[SEAL_TAG_SIZE];
    if (size < SEAL_TAG_SIZE)
        return false;
    size -= SEAL_TAG_SIZE;
    cheap_tag(tag, in, size, ad, ad_size, nonce, key);
    if (memcmp(tag, in + size, SEAL_TAG_SIZE) != 0)
        return false;
    if (size)
        memmove(out, in, size);
    return true;
}

const struct core_crypto core_crypto_cheap = {
    .name = "cheap",
    .hash = cheap_hash,
    .identity = cheap_identity,
    .sign = cheap_sign,
    .verify = cheap_verify,
    .shared = cheap_shared,
    .seal = cheap_seal,
    .open = cheap_open,
};
