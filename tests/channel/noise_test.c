/* Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b against the public vectors of cacophony (tests/channel/vectors/noise.json, public
 * domain), and every way in which a handshake must fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>
#include "node/channel/noise.h"

#define MESSAGE_MAX 512

static size_t hex(uint8_t *out, size_t cap, const json_t *text)
{
    const char *s = json_string_value(text);
    size_t size = s ? strlen(s) / 2 : 0;
    assert_non_null(s);
    assert_true(size <= cap && hex_decode(out, size, s));
    return size;
}

static void transport_check(struct noise_cipher *c, struct bytes plain, struct bytes sealed)
{
    uint8_t nonce[12] = {0}, out[MESSAGE_MAX];
    for (size_t i = 0; i < 8; i++)
        nonce[4 + i] = (uint8_t)(c->nonce >> (8 * i));
    c->nonce++;
    crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain.data, plain.size, NULL, 0, NULL, nonce, c->key);
    assert_int_equal(sealed.size, plain.size + 16);
    assert_memory_equal(out, sealed.data, sealed.size);
}

/* One vector: both sides run with its keys; every message, the hash and the transport keys must come out as printed. */
static void vector_check(const json_t *v)
{
    uint8_t prologue[64], statics[2][32], publics[2][32], ephemerals[2][32], remote[32], psk[32], expected_hash[64];
    const uint8_t *used_psk = NULL;
    struct noise_handshake side[2];
    size_t prologue_size = hex(prologue, sizeof prologue, json_object_get(v, "init_prologue"));

    hex(statics[0], 32, json_object_get(v, "init_static"));
    hex(statics[1], 32, json_object_get(v, "resp_static"));
    hex(ephemerals[0], 32, json_object_get(v, "init_ephemeral"));
    hex(ephemerals[1], 32, json_object_get(v, "resp_ephemeral"));
    hex(remote, 32, json_object_get(v, "init_remote_static"));
    hex(expected_hash, 64, json_object_get(v, "handshake_hash"));
    if (json_object_get(v, "init_psks")) {
        hex(psk, 32, json_array_get(json_object_get(v, "init_psks"), 0));
        used_psk = psk;
    }
    for (int i = 0; i < 2; i++)
        crypto_scalarmult_base(publics[i], statics[i]);
    for (int i = 0; i < 2; i++)
        noise_init(&side[i], i == 0, bytes_of(prologue, prologue_size), statics[i], publics[i], ephemerals[i],
                   i == 0 ? remote : NULL, used_psk);

    struct noise_cipher send[2], receive[2];
    const json_t *messages = json_object_get(v, "messages");
    assert_true(json_array_size(messages) >= 3);
    for (size_t i = 0; i < json_array_size(messages); i++) {
        uint8_t plain[MESSAGE_MAX], sealed[MESSAGE_MAX], got[MESSAGE_MAX], back[MESSAGE_MAX];
        const json_t *m = json_array_get(messages, i);
        size_t plain_size = hex(plain, sizeof plain, json_object_get(m, "payload"));
        size_t sealed_size = hex(sealed, sizeof sealed, json_object_get(m, "ciphertext"));
        struct noise_handshake *from = &side[i % 2], *to = &side[(i + 1) % 2];
        if (i >= 2) {
            transport_check(&send[i % 2], bytes_of(plain, plain_size), bytes_of(sealed, sealed_size));
            continue;
        }
        size_t head = noise_write_begin(from, got), read_head, back_size;
        assert_true(head > 0);
        size_t size = head + noise_write_end(from, got + head, bytes_of(plain, plain_size));
        assert_int_equal(size, sealed_size);
        assert_memory_equal(got, sealed, size);
        assert_int_equal(noise_read_begin(to, sealed, sealed_size, &read_head), 0);
        assert_int_equal(noise_read_end(to, sealed + read_head, sealed_size - read_head, back, &back_size), 0);
        assert_int_equal(back_size, plain_size);
        assert_memory_equal(back, plain, plain_size);
        if (i == 1) {
            noise_split(&side[0], &send[0], &receive[0]);
            noise_split(&side[1], &send[1], &receive[1]);
        }
    }
    assert_memory_equal(side[0].hash, expected_hash, 64);
    assert_memory_equal(side[1].hash, expected_hash, 64);
    assert_memory_equal(send[0].key, receive[1].key, 32);
    assert_memory_equal(send[1].key, receive[0].key, 32);
}

static void public_vectors_agree(void **state)
{
    json_error_t error;
    json_t *root = json_load_file(TEST_DATA_DIR "/channel/vectors/noise.json", 0, &error);
    size_t i, psk2 = 0, plain = 0;
    const json_t *v;
    (void)state;
    assert_non_null(root);
    json_array_foreach(json_object_get(root, "vectors"), i, v) {
        const char *name = json_string_value(json_object_get(v, "protocol_name"));
        psk2 += strcmp(name, "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b") == 0;
        plain += strcmp(name, "Noise_IK_25519_ChaChaPoly_BLAKE2b") == 0;
        vector_check(v);
    }
    assert_int_equal(psk2, 1);
    assert_int_equal(plain, 1);
    json_decref(root);
}

/* A handshake of two sides whose parameters a test bends. */
struct pair {
    uint8_t secret[2][32], public[2][32], ephemeral[2][32], psk[2][32];
    const char *prologue[2];
    struct noise_handshake side[2];
    uint8_t message[2][MESSAGE_MAX];
    size_t size[2];
};

static void pair_default(struct pair *p)
{
    memset(p, 0, sizeof *p);
    for (int i = 0; i < 2; i++) {
        memset(p->secret[i], 0x11 * (i + 1), 32);
        memset(p->ephemeral[i], 0x55 + i, 32);
        memset(p->psk[i], 0x77, 32);
        crypto_scalarmult_base(p->public[i], p->secret[i]);
        p->prologue[i] = "prologue";
    }
}

static void pair_init(struct pair *p, const uint8_t *responder_key)
{
    for (int i = 0; i < 2; i++)
        noise_init(&p->side[i], i == 0, bytes_of(p->prologue[i], strlen(p->prologue[i])), p->secret[i],
                   p->public[i], p->ephemeral[i], i == 0 ? responder_key : NULL, p->psk[i]);
}

static void pair_write(struct pair *p, int from)
{
    size_t head = noise_write_begin(&p->side[from], p->message[from]);
    assert_true(head > 0);
    p->size[from] = head + noise_write_end(&p->side[from], p->message[from] + head, bytes_of("payload", 7));
}

static int pair_read(struct pair *p, int to)
{
    uint8_t out[MESSAGE_MAX];
    size_t head, size;
    int rc = noise_read_begin(&p->side[to], p->message[!to], p->size[!to], &head);
    if (rc == 0)
        rc = noise_read_end(&p->side[to], p->message[!to] + head, p->size[!to] - head, out, &size);
    return rc;
}

static void the_hash_before_a_payload_is_known_to_both_sides(void **state)
{
    struct pair p;
    size_t head, size;
    uint8_t out[MESSAGE_MAX];
    (void)state;
    pair_default(&p);
    pair_init(&p, p.public[1]);
    for (int from = 0; from < 2; from++) {
        size_t wrote = noise_write_begin(&p.side[from], p.message[from]);
        uint8_t before[NOISE_HASH_SIZE];
        memcpy(before, p.side[from].hash, sizeof before);
        size_t total = wrote + noise_write_end(&p.side[from], p.message[from] + wrote, bytes_of("x", 1));
        assert_int_equal(noise_read_begin(&p.side[!from], p.message[from], total, &head), 0);
        assert_int_equal(head, wrote);
        assert_memory_equal(p.side[!from].hash, before, sizeof before);
        assert_int_equal(noise_read_end(&p.side[!from], p.message[from] + head, total - head, out, &size), 0);
    }
    noise_wipe(&p.side[0]);
    assert_true(sodium_is_zero((uint8_t *)&p.side[0], sizeof p.side[0]));
}

static void a_different_prologue_fails_at_message_1(void **state)
{
    struct pair p;
    (void)state;
    pair_default(&p);
    p.prologue[1] = "another";
    pair_init(&p, p.public[1]);
    pair_write(&p, 0);
    assert_int_equal(pair_read(&p, 1), ERR_AUTH);
}

static void another_recipient_fails_at_message_1(void **state)
{
    struct pair p;
    (void)state;
    pair_default(&p);
    pair_init(&p, p.public[0]);
    pair_write(&p, 0);
    assert_int_equal(pair_read(&p, 1), ERR_AUTH);
}

static void a_different_psk_fails_at_message_2(void **state)
{
    struct pair p;
    (void)state;
    pair_default(&p);
    p.psk[1][0] ^= 1;
    pair_init(&p, p.public[1]);
    pair_write(&p, 0);
    assert_int_equal(pair_read(&p, 1), 0);
    pair_write(&p, 1);
    assert_int_equal(pair_read(&p, 0), ERR_AUTH);
}

static void every_flipped_bit_is_noticed(void **state)
{
    struct pair p, fresh;
    (void)state;
    pair_default(&fresh);
    pair_init(&fresh, fresh.public[1]);
    pair_write(&fresh, 0);
    for (size_t bit = 0; bit < fresh.size[0] * 8; bit++) {
        p = fresh;
        p.message[0][bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(pair_read(&p, 1), ERR_AUTH);
    }
    assert_int_equal(pair_read(&fresh, 1), 0);
    pair_write(&fresh, 1);
    for (size_t bit = 0; bit < fresh.size[1] * 8; bit++) {
        p = fresh;
        p.message[1][bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(pair_read(&p, 0), ERR_AUTH);
    }
}

static void every_truncation_is_refused(void **state)
{
    struct pair p, fresh;
    (void)state;
    pair_default(&fresh);
    pair_init(&fresh, fresh.public[1]);
    pair_write(&fresh, 0);
    for (size_t size = 0; size < fresh.size[0]; size++) {
        p = fresh;
        p.size[0] = size;
        assert_int_equal(pair_read(&p, 1), size < NOISE_MESSAGE_1_OVERHEAD ? ERR_MALFORMED : ERR_AUTH);
    }
    pair_read(&fresh, 1);
    pair_write(&fresh, 1);
    for (size_t size = 0; size < fresh.size[1]; size++) {
        p = fresh;
        p.size[1] = size;
        assert_int_equal(pair_read(&p, 0), size < NOISE_MESSAGE_2_OVERHEAD ? ERR_MALFORMED : ERR_AUTH);
    }
}

/* The points whose multiples are all zero or of order 2, 4 or 8 (RFC 7748, 6.1, and curve25519's twist): a peer that sends one would
 * know the shared secret without a key. */
static const char *const low_order[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void low_order_points_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof low_order / sizeof *low_order; i++) {
        struct pair p;
        uint8_t point[32];
        assert_true(hex_decode(point, 32, low_order[i]));

        pair_default(&p); /* as ephemeral key of message 1 */
        pair_init(&p, p.public[1]);
        pair_write(&p, 0);
        memcpy(p.message[0], point, 32);
        assert_int_equal(pair_read(&p, 1), ERR_MALFORMED);

        pair_init(&p, p.public[1]); /* as ephemeral key of message 2 */
        pair_write(&p, 0);
        assert_int_equal(pair_read(&p, 1), 0);
        pair_write(&p, 1);
        memcpy(p.message[1], point, 32);
        assert_int_equal(pair_read(&p, 0), ERR_MALFORMED);

        pair_init(&p, p.public[1]); /* as static key inside message 1: the sender lies about itself */
        memcpy(p.side[0].static_public, point, 32);
        pair_write(&p, 0);
        assert_int_equal(pair_read(&p, 1), ERR_MALFORMED);

        pair_init(&p, point); /* as the peer that we dial */
        assert_int_equal(noise_write_begin(&p.side[0], p.message[0]), 0);
    }
}

static void a_replayed_message_2_fails_in_a_new_handshake(void **state)
{
    struct pair p, second;
    (void)state;
    pair_default(&p);
    pair_init(&p, p.public[1]);
    pair_write(&p, 0);
    pair_read(&p, 1);
    pair_write(&p, 1);

    pair_default(&second);
    memset(second.ephemeral[0], 0x99, 32);
    pair_init(&second, second.public[1]);
    pair_write(&second, 0);
    memcpy(second.message[1], p.message[1], p.size[1]);
    second.size[1] = p.size[1];
    assert_int_equal(pair_read(&second, 0), ERR_AUTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_vectors_agree),
        cmocka_unit_test(the_hash_before_a_payload_is_known_to_both_sides),
        cmocka_unit_test(a_different_prologue_fails_at_message_1),
        cmocka_unit_test(another_recipient_fails_at_message_1),
        cmocka_unit_test(a_different_psk_fails_at_message_2),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(low_order_points_are_refused),
        cmocka_unit_test(a_replayed_message_2_fails_in_a_new_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
