/* The secure stream: both handshake messages with their payloads, every way to be refused, frames of all sizes sealed in place and
 * across, tampering, and the rekey after 65,536 frames (checked against Noise's definition with libsodium's cipher). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sodium.h>
#include "node/base/pack.h"
#include "node/channel/stream.h"

#define MESSAGE_MAX (2 + NOISE_MESSAGE_1_OVERHEAD + 64 + STREAM_FIRST_MAX + 64)

struct side {
    struct node_identity me;
    struct network network;
    struct stream_config config;
    struct stream stream;
    uint8_t message[MESSAGE_MAX]; /* last one written, prefix included */
    size_t size;
};

struct pair {
    struct side a, b; /* a dials b */
};

static void side_init(struct side *s, uint8_t number)
{
    uint8_t seed[32];
    memset(s, 0, sizeof *s);
    memset(seed, number, sizeof seed);
    core_crypto_real.identity(&s->me, seed);
    memset(s->network.id, 0xaa, sizeof s->network.id);
    s->config = (struct stream_config){&s->me, &s->network, &core_crypto_real};
}

static struct pair *pair_new(void)
{
    struct pair *p = malloc(sizeof *p);
    side_init(&p->a, 1);
    side_init(&p->b, 2);
    return p;
}

static void pair_free(struct pair *p)
{
    stream_fini(&p->a.stream);
    stream_fini(&p->b.stream);
    free(p);
}

static void pair_start(struct pair *p, uint8_t ephemeral_number)
{
    uint8_t ephemeral[32];
    memset(ephemeral, ephemeral_number, 32);
    assert_int_equal(stream_init(&p->a.stream, &p->a.config, p->b.me.key, ephemeral), 0);
    memset(ephemeral, ephemeral_number + 1, 32);
    assert_int_equal(stream_init(&p->b.stream, &p->b.config, NULL, ephemeral), 0);
}

static void hello_write(struct side *s, const char *control)
{
    stream_hello_begin(&s->stream, &s->config);
    s->size = stream_hello_end(&s->stream, &s->config, bytes_of(control, strlen(control)), s->message);
    assert_int_equal(get_be16(s->message), s->size - 2);
}

static int hello_read(struct side *to, const struct side *from, struct bytes *control, uint8_t *copy)
{
    memcpy(copy, from->message + 2, from->size - 2);
    return stream_read_hello(&to->stream, &to->config, copy, from->size - 2, control);
}

static void reply_write(struct side *s, const char *control)
{
    s->size = stream_reply(&s->stream, &s->config, bytes_of(control, strlen(control)), s->message);
    assert_int_equal(get_be16(s->message), s->size - 2);
}

static int reply_read(struct side *to, const struct side *from, struct bytes *control, uint8_t *copy)
{
    memcpy(copy, from->message + 2, from->size - 2);
    return stream_read_reply(&to->stream, &to->config, copy, from->size - 2, control);
}

static void pair_open(struct pair *p)
{
    uint8_t copy[MESSAGE_MAX];
    struct bytes control;
    pair_start(p, 50);
    hello_write(&p->a, "");
    assert_int_equal(hello_read(&p->b, &p->a, &control, copy), 0);
    reply_write(&p->b, "");
    assert_int_equal(reply_read(&p->a, &p->b, &control, copy), 0);
}

static void two_messages_open_a_stream_and_carry_control_bytes(void **state)
{
    struct pair *p = pair_new();
    uint8_t copy[MESSAGE_MAX];
    struct bytes control;
    (void)state;
    pair_start(p, 10);
    assert_memory_equal(p->a.stream.peer_key, p->b.me.key, NODE_KEY_SIZE);
    hello_write(&p->a, "open this");
    assert_int_equal(hello_read(&p->b, &p->a, &control, copy), 0);
    assert_true(bytes_equal(control, bytes_of("open this", 9)));
    assert_memory_equal(p->b.stream.peer_key, p->a.me.key, NODE_KEY_SIZE);
    assert_memory_equal(p->a.stream.binding, p->b.stream.binding, HASH_SIZE);
    assert_false(sodium_is_zero(p->a.stream.binding, HASH_SIZE));
    reply_write(&p->b, "opened");
    assert_int_equal(p->b.stream.state, STREAM_OPEN);
    assert_int_equal(reply_read(&p->a, &p->b, &control, copy), 0);
    assert_true(bytes_equal(control, bytes_of("opened", 6)));
    assert_int_equal(p->a.stream.state, STREAM_OPEN);
    assert_null(p->a.stream.handshake);
    assert_null(p->b.stream.handshake);
    pair_free(p);
}

/* Message 1 can be recorded and sent again: the responder must not take the peer for present until a frame arrives. */
static void a_replayed_message_1_opens_but_is_never_confirmed(void **state)
{
    struct pair *p = pair_new();
    struct side old;
    uint8_t copy[MESSAGE_MAX], frame[64], plain[64], ephemeral[32] = {77};
    struct bytes control, part = bytes_of("first frame", 11);
    (void)state;
    pair_start(p, 50);
    hello_write(&p->a, "open this");
    memcpy(old.message, p->a.message, sizeof old.message);
    old.size = p->a.size;
    assert_int_equal(hello_read(&p->b, &p->a, &control, copy), 0);
    reply_write(&p->b, "");
    assert_false(p->b.stream.confirmed);
    assert_int_equal(reply_read(&p->a, &p->b, &control, copy), 0);
    assert_true(p->a.stream.confirmed);
    size_t size = stream_seal(&p->a.stream, &part, 1, frame);
    assert_int_equal(stream_open(&p->b.stream, frame + 2, size - 2, plain), 0);
    assert_true(p->b.stream.confirmed);

    stream_fini(&p->b.stream);
    assert_int_equal(stream_init(&p->b.stream, &p->b.config, NULL, ephemeral), 0);
    assert_int_equal(hello_read(&p->b, &old, &control, copy), 0);
    reply_write(&p->b, "");
    stream_seal(&p->a.stream, &part, 1, frame); /* frames of the recorded session do not fit the new one */
    assert_int_equal(stream_open(&p->b.stream, frame + 2, size - 2, plain), ERR_AUTH);
    assert_false(p->b.stream.confirmed);
    pair_free(p);
}

static void the_most_control_bytes_fit_both_messages(void **state)
{
    struct pair *p = pair_new();
    uint8_t copy[MESSAGE_MAX];
    char most[STREAM_FIRST_MAX + 1];
    struct bytes control;
    (void)state;
    memset(most, 'x', STREAM_FIRST_MAX);
    most[STREAM_FIRST_MAX] = 0;
    pair_start(p, 10);
    hello_write(&p->a, most);
    assert_true(p->a.size <= 2 + NOISE_MESSAGE_1_OVERHEAD + 64 + STREAM_FIRST_MAX);
    assert_int_equal(hello_read(&p->b, &p->a, &control, copy), 0);
    assert_int_equal(control.size, STREAM_FIRST_MAX);
    reply_write(&p->b, most);
    assert_true(p->b.size <= 2 + NOISE_MESSAGE_2_OVERHEAD + 64 + STREAM_FIRST_MAX);
    assert_int_equal(reply_read(&p->a, &p->b, &control, copy), 0);
    assert_int_equal(control.size, STREAM_FIRST_MAX);
    pair_free(p);
}

static void a_private_network_works_between_its_members(void **state)
{
    struct pair *p = pair_new();
    (void)state;
    p->a.network.is_private = p->b.network.is_private = true;
    memset(p->a.network.secret, 7, NETWORK_SECRET_SIZE);
    memset(p->b.network.secret, 7, NETWORK_SECRET_SIZE);
    pair_open(p);
    pair_free(p);
}

/* ---- refused handshakes: each bends one thing of a good pair ---- */

static void other_network_id(struct pair *p)
{
    p->b.network.id[0] ^= 1;
}
static void other_secret(struct pair *p)
{
    p->b.network.secret[31] ^= 1;
}
static void other_recipient(struct pair *p) /* b is not the node that a dials */
{
    uint8_t seed[32] = {99};
    core_crypto_real.identity(&p->b.me, seed);
}
/* a proves the DH key but names somebody else's Ed25519 key as its own */
static void borrowed_name(struct pair *p)
{
    struct node_identity other;
    uint8_t seed[32] = {98};
    core_crypto_real.identity(&other, seed);
    memcpy(p->a.me.key, other.key, NODE_KEY_SIZE);
}
static void name_that_is_no_point(struct pair *p)
{
    memset(p->a.me.key, 0xff, NODE_KEY_SIZE);
}

static const struct {
    const char *name;
    void (*bend)(struct pair *p);
    int error;
} refused_hellos[] = {
    {"other network id", other_network_id, ERR_AUTH},
    {"other secret", other_secret, ERR_AUTH},
    {"wrong recipient", other_recipient, ERR_AUTH},
    {"another's Ed25519 key", borrowed_name, ERR_AUTH},
    {"an Ed25519 key that is no point", name_that_is_no_point, ERR_AUTH},
};

static void refused_hellos_kill_the_stream(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused_hellos / sizeof *refused_hellos; i++) {
        struct pair *p = pair_new();
        uint8_t copy[MESSAGE_MAX], key[NODE_KEY_SIZE], ephemeral[32] = {5};
        struct bytes control;
        memcpy(key, p->b.me.key, sizeof key); /* whom a means */
        refused_hellos[i].bend(p);
        assert_int_equal(stream_init(&p->a.stream, &p->a.config, key, ephemeral), 0);
        assert_int_equal(stream_init(&p->b.stream, &p->b.config, NULL, ephemeral), 0);
        hello_write(&p->a, "x");
        print_message("%s\n", refused_hellos[i].name);
        assert_int_equal(hello_read(&p->b, &p->a, &control, copy), refused_hellos[i].error);
        assert_int_equal(p->b.stream.state, STREAM_DEAD);
        assert_null(p->b.stream.handshake);
        pair_free(p);
    }
}

static void a_responder_that_names_another_key_is_refused(void **state)
{
    struct pair *p = pair_new();
    uint8_t copy[MESSAGE_MAX];
    struct bytes control;
    (void)state;
    pair_start(p, 10);
    hello_write(&p->a, "");
    assert_int_equal(hello_read(&p->b, &p->a, &control, copy), 0);
    p->b.me.key[31] ^= 0x80; /* the negated point: same X25519 key, another node id */
    reply_write(&p->b, "");
    assert_int_equal(reply_read(&p->a, &p->b, &control, copy), ERR_AUTH);
    assert_int_equal(p->a.stream.state, STREAM_DEAD);
    pair_free(p);
}

/* Payloads by a peer whose Noise is right and whose msgpack is not. */
static size_t payload_no_key(uint8_t *out, const struct side *s)
{
    struct pack p;
    (void)s;
    pack_init(&p, out, 256);
    pack_map(&p, 1);
    pack_key_bin(&p, 1, "x", 1);
    return p.size;
}
static size_t payload_short_key(uint8_t *out, const struct side *s)
{
    struct pack p;
    pack_init(&p, out, 256);
    pack_map(&p, 1);
    pack_key_bin(&p, 0, s->me.key, 31);
    return p.size;
}
static size_t payload_trailing_byte(uint8_t *out, const struct side *s)
{
    struct pack p;
    pack_init(&p, out, 256);
    pack_map(&p, 1);
    pack_key_bin(&p, 0, s->me.key, 32);
    pack_nil(&p);
    return p.size;
}
static size_t payload_not_a_map(uint8_t *out, const struct side *s)
{
    struct pack p;
    pack_init(&p, out, 256);
    pack_array(&p, 1);
    pack_bin(&p, s->me.key, 32);
    return p.size;
}
static size_t payload_empty(uint8_t *out, const struct side *s)
{
    (void)out;
    (void)s;
    return 0;
}
static size_t payload_claims_gigabytes(uint8_t *out, const struct side *s)
{
    (void)s;
    memcpy(out, "\x82\x00\xc6\x7f\xff\xff\xff", 7);
    return 7;
}
static size_t payload_unknown_key(uint8_t *out, const struct side *s)
{
    struct pack p;
    pack_init(&p, out, 256);
    pack_map(&p, 2);
    pack_key_bin(&p, 0, s->me.key, 32);
    pack_key_uint(&p, 9, 1);
    return p.size;
}

static const struct {
    const char *name;
    size_t (*write)(uint8_t *out, const struct side *s);
    int error;
} payloads[] = {
    {"no key", payload_no_key, ERR_MALFORMED},
    {"key of 31 bytes", payload_short_key, ERR_MALFORMED},
    {"a byte after the map", payload_trailing_byte, ERR_MALFORMED},
    {"an array", payload_not_a_map, ERR_MALFORMED},
    {"nothing", payload_empty, ERR_MALFORMED},
    {"gigabytes claimed", payload_claims_gigabytes, ERR_MALFORMED},
    {"a key from a later version", payload_unknown_key, 0},
};

static void payloads_of_message_1_are_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        struct pair *p = pair_new();
        uint8_t message[512], payload[256], prologue[7 + HASH_SIZE], ephemeral[32] = {3}, remote[32];
        struct noise_handshake h;
        struct bytes control, parts[] = {bytes_of(p->b.network.id, NETWORK_ID_SIZE), bytes_of(p->b.network.secret, 32)};
        memcpy(prologue, "shoal/1", 7);
        core_crypto_real.hash(prologue + 7, HASH_SIZE, NULL, 0, parts, 2);
        memcpy(remote, p->b.me.dh_public, 32);
        noise_init(&h, true, bytes_of(prologue, sizeof prologue), p->a.me.dh_secret, p->a.me.dh_public, ephemeral, remote,
                   p->b.network.secret);
        size_t size = noise_write_begin(&h, message);
        size += noise_write_end(&h, message + size, bytes_of(payload, payloads[i].write(payload, &p->a)));
        assert_int_equal(stream_init(&p->b.stream, &p->b.config, NULL, ephemeral), 0);
        print_message("%s\n", payloads[i].name);
        assert_int_equal(stream_read_hello(&p->b.stream, &p->b.config, message, size, &control), payloads[i].error);
        pair_free(p);
    }
}

static void messages_of_wrong_size_are_refused(void **state)
{
    static uint8_t big[STREAM_FRAME_MAX];
    const size_t sizes[] = {0, 1, NOISE_MESSAGE_1_OVERHEAD - 1};
    struct pair *p = pair_new();
    uint8_t ephemeral[32] = {1};
    struct bytes control;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(stream_init(&p->b.stream, &p->b.config, NULL, ephemeral), 0);
        big[0] = 9;
        assert_int_equal(stream_read_hello(&p->b.stream, &p->b.config, big, sizes[i], &control), ERR_MALFORMED);
    }
    /* a longer message than any honest one: refused before its payload is touched */
    pair_start(p, 10);
    hello_write(&p->a, "");
    memcpy(big, p->a.message + 2, p->a.size - 2);
    assert_int_equal(stream_read_hello(&p->b.stream, &p->b.config, big, sizeof big, &control), ERR_MALFORMED);
    pair_free(p);
}

static void every_flipped_bit_of_a_message_is_noticed(void **state)
{
    struct pair *p = pair_new();
    uint8_t copy[MESSAGE_MAX], ephemeral[32] = {1};
    struct bytes control;
    (void)state;
    pair_start(p, 10);
    stream_fini(&p->b.stream);
    hello_write(&p->a, "control");
    for (size_t bit = 0; bit < (p->a.size - 2) * 8; bit += 7) {
        assert_int_equal(stream_init(&p->b.stream, &p->b.config, NULL, ephemeral), 0);
        p->a.message[2 + bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(hello_read(&p->b, &p->a, &control, copy), ERR_AUTH);
        p->a.message[2 + bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    pair_free(p);
}

static void a_replayed_message_2_is_refused(void **state)
{
    struct pair *p = pair_new();
    struct side old;
    uint8_t copy[MESSAGE_MAX];
    struct bytes control;
    (void)state;
    pair_open(p);
    memcpy(old.message, p->b.message, sizeof old.message);
    old.size = p->b.size;
    stream_fini(&p->a.stream);
    stream_fini(&p->b.stream);
    pair_start(p, 70);
    hello_write(&p->a, "");
    assert_int_equal(reply_read(&p->a, &old, &control, copy), ERR_AUTH);
    pair_free(p);
}

static void keys_that_are_no_points_cannot_be_dialled(void **state)
{
    static const uint8_t small_order[32] = {1};
    struct pair *p = pair_new();
    uint8_t none[32], ephemeral[32] = {1};
    (void)state;
    memset(none, 0xff, sizeof none);
    assert_int_equal(stream_init(&p->a.stream, &p->a.config, small_order, ephemeral), ERR_MALFORMED);
    assert_int_equal(stream_init(&p->a.stream, &p->a.config, none, ephemeral), ERR_MALFORMED);
    assert_int_equal(p->a.stream.state, STREAM_DEAD);
    pair_free(p);
}

/* ---- frames ---- */

static void frames_of_all_sizes_pass_in_place_and_across(void **state)
{
    const size_t sizes[] = {1, 9, 10, 63, 64, 65, 1000, 16384, 16385, 49162, STREAM_PLAIN_MAX};
    struct pair *p = pair_new();
    static uint8_t payload[STREAM_PLAIN_MAX], wire[2][2 + STREAM_FRAME_MAX], plain[STREAM_FRAME_MAX];
    (void)state;
    pair_open(p);
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i % 251);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t head = sizes[i] < 10 ? sizes[i] : 10, body = sizes[i] - head;
        for (int in_place = 0; in_place < 2; in_place++) {
            struct bytes parts[] = {bytes_of(payload, head), bytes_of(payload + head, body), bytes_of(NULL, 0)};
            uint8_t *out = wire[in_place];
            memset(out, 0xee, sizeof wire[0]);
            if (in_place) {
                memcpy(out + 2 + head, payload + head, body);
                parts[1].data = out + 2 + head;
            }
            assert_int_equal(stream_seal(&p->a.stream, parts, 3, out), sizes[i] + STREAM_FRAME_OVERHEAD);
            assert_int_equal(get_be16(out), sizes[i] + 16);
            if (sizes[i] < STREAM_PLAIN_MAX)
                assert_int_equal(out[sizes[i] + STREAM_FRAME_OVERHEAD], 0xee);
            assert_int_equal(stream_open(&p->b.stream, out + 2, sizes[i] + 16, in_place ? out + 2 : plain), 0);
            assert_memory_equal(in_place ? out + 2 : plain, payload, sizes[i]);
        }
    }
    pair_free(p);
}

static void big_parts_mix_with_small_ones(void **state)
{
    struct pair *p = pair_new();
    static uint8_t a[100], b[20000], c[5], out[40000], plain[40000];
    struct bytes parts[] = {bytes_of(a, sizeof a), bytes_of(c, sizeof c), bytes_of(b, sizeof b)};
    (void)state;
    memset(a, 1, sizeof a);
    memset(b, 2, sizeof b);
    memset(c, 3, sizeof c);
    pair_open(p);
    size_t size = stream_seal(&p->a.stream, parts, 3, out);
    assert_int_equal(stream_open(&p->b.stream, out + 2, size - 2, plain), 0);
    assert_memory_equal(plain, a, sizeof a);
    assert_memory_equal(plain + 100, c, sizeof c);
    assert_memory_equal(plain + 105, b, sizeof b);
    pair_free(p);
}

/* A dead stream cannot be revived, so each flip needs a stream of its own. */
static void a_frame_flipped_in_any_bit_kills_the_stream(void **state)
{
    struct bytes part = bytes_of("a short frame", 13);
    uint8_t frame[64], plain[64];
    (void)state;
    for (size_t bit = 0; bit < (13 + 16) * 8; bit++) {
        struct pair *p = pair_new();
        pair_open(p);
        size_t size = stream_seal(&p->a.stream, &part, 1, frame);
        frame[2 + bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(plain, 0x55, sizeof plain);
        assert_int_equal(stream_open(&p->b.stream, frame + 2, size - 2, plain), ERR_AUTH);
        assert_true(sodium_is_zero(plain, 13));
        assert_int_equal(p->b.stream.state, STREAM_DEAD);
        assert_int_equal(stream_open(&p->b.stream, frame + 2, size - 2, plain), ERR_CLOSED);
        pair_free(p);
    }
}

static void frames_out_of_order_twice_or_reflected_are_refused(void **state)
{
    struct bytes part = bytes_of("frame", 5);
    uint8_t first[64], second[64], plain[64];
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct pair *p = pair_new();
        pair_open(p);
        size_t size = stream_seal(&p->a.stream, &part, 1, first);
        stream_seal(&p->a.stream, &part, 1, second);
        struct stream *reader = what == 2 ? &p->a.stream : &p->b.stream;
        if (what == 1)
            assert_int_equal(stream_open(reader, first + 2, size - 2, plain), 0);
        assert_int_equal(stream_open(reader, what == 0 ? second + 2 : first + 2, size - 2, plain), ERR_AUTH);
        pair_free(p);
    }
}

static void frames_too_short_or_too_long_are_refused(void **state)
{
    static uint8_t frame[STREAM_FRAME_MAX + 1];
    const size_t sizes[] = {0, 1, 15, 16, STREAM_FRAME_MAX + 1};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct pair *p = pair_new();
        pair_open(p);
        assert_int_equal(stream_open(&p->b.stream, frame, sizes[i], frame), ERR_MALFORMED);
        assert_int_equal(p->b.stream.state, STREAM_DEAD);
        pair_free(p);
    }
}

/* Noise, 11.3 and 4.2: frame 65,536 of a direction is sealed under REKEY(k), its nonce counts on, and the other direction keeps its key. */
static void both_directions_rekey_after_65536_frames(void **state)
{
    struct pair *p = pair_new();
    struct bytes part = bytes_of("x", 1);
    uint8_t frame[32], plain[32];
    (void)state;
    pair_open(p);
    for (uint32_t i = 0; i < 2 * STREAM_REKEY_FRAMES + 3; i++) {
        size_t size = stream_seal(&p->a.stream, &part, 1, frame);
        assert_int_equal(stream_open(&p->b.stream, frame + 2, size - 2, plain), 0);
        if (i % 1000 == 0) {
            stream_seal(&p->b.stream, &part, 1, frame);
            assert_int_equal(stream_open(&p->a.stream, frame + 2, size - 2, plain), 0);
        }
    }
    for (uint32_t i = 0; i < STREAM_REKEY_FRAMES; i++) {
        size_t size = stream_seal(&p->b.stream, &part, 1, frame);
        assert_int_equal(stream_open(&p->a.stream, frame + 2, size - 2, plain), 0);
    }
    pair_free(p);
}

/* The bytes themselves, from a handshake done by hand: what another implementation would put on the wire around the rekey. */
static void frames_are_noise_transport_messages(void **state)
{
    struct pair *p = pair_new();
    uint8_t message[512], payload[64], prologue[7 + HASH_SIZE], ephemeral[32] = {3}, frame[64], expected[64];
    struct noise_handshake h;
    struct noise_cipher send, receive;
    struct pack pack;
    struct bytes control, parts[] = {bytes_of(p->b.network.id, NETWORK_ID_SIZE), bytes_of(p->b.network.secret, 32)};
    size_t payload_size;
    (void)state;
    memcpy(prologue, "shoal/1", 7);
    core_crypto_real.hash(prologue + 7, HASH_SIZE, NULL, 0, parts, 2);
    noise_init(&h, true, bytes_of(prologue, sizeof prologue), p->a.me.dh_secret, p->a.me.dh_public, ephemeral, p->b.me.dh_public,
               p->b.network.secret);
    pack_init(&pack, payload, sizeof payload);
    pack_map(&pack, 1);
    pack_key_bin(&pack, 0, p->a.me.key, 32);
    size_t size = noise_write_begin(&h, message);
    size += noise_write_end(&h, message + size, bytes_of(payload, pack.size));
    assert_int_equal(stream_init(&p->b.stream, &p->b.config, NULL, ephemeral), 0);
    assert_int_equal(stream_read_hello(&p->b.stream, &p->b.config, message, size, &control), 0);
    reply_write(&p->b, "");
    assert_int_equal(noise_read_begin(&h, p->b.message + 2, p->b.size - 2, &size), 0);
    assert_int_equal(noise_read_end(&h, p->b.message + 2 + size, p->b.size - 2 - size, message, &payload_size), 0);
    noise_split(&h, &send, &receive);

    struct bytes part = bytes_of("frame", 5);
    for (uint64_t n = 0; n <= STREAM_REKEY_FRAMES; n++) {
        uint8_t nonce[12] = {0}, max[12] = {0}, zeroes[32] = {0}, key[48];
        memcpy(nonce + 4, &(uint64_t){htole64(n)}, 8);
        memset(max + 4, 0xff, 8);
        if (n == STREAM_REKEY_FRAMES) {
            crypto_aead_chacha20poly1305_ietf_encrypt(key, NULL, zeroes, 32, NULL, 0, NULL, max, receive.key);
            memcpy(receive.key, key, 32);
        }
        size = stream_seal(&p->b.stream, &part, 1, frame);
        if (n > 2 && n < STREAM_REKEY_FRAMES - 1)
            continue;
        crypto_aead_chacha20poly1305_ietf_encrypt(expected, NULL, part.data, 5, NULL, 0, NULL, nonce, receive.key);
        assert_int_equal(size, 2 + 5 + 16);
        assert_memory_equal(frame + 2, expected, 5 + 16);
    }
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_messages_open_a_stream_and_carry_control_bytes),
        cmocka_unit_test(a_replayed_message_1_opens_but_is_never_confirmed),
        cmocka_unit_test(the_most_control_bytes_fit_both_messages),
        cmocka_unit_test(a_private_network_works_between_its_members),
        cmocka_unit_test(refused_hellos_kill_the_stream),
        cmocka_unit_test(a_responder_that_names_another_key_is_refused),
        cmocka_unit_test(payloads_of_message_1_are_checked),
        cmocka_unit_test(messages_of_wrong_size_are_refused),
        cmocka_unit_test(every_flipped_bit_of_a_message_is_noticed),
        cmocka_unit_test(a_replayed_message_2_is_refused),
        cmocka_unit_test(keys_that_are_no_points_cannot_be_dialled),
        cmocka_unit_test(frames_of_all_sizes_pass_in_place_and_across),
        cmocka_unit_test(big_parts_mix_with_small_ones),
        cmocka_unit_test(a_frame_flipped_in_any_bit_kills_the_stream),
        cmocka_unit_test(frames_out_of_order_twice_or_reflected_are_refused),
        cmocka_unit_test(frames_too_short_or_too_long_are_refused),
        cmocka_unit_test(both_directions_rekey_after_65536_frames),
        cmocka_unit_test(frames_are_noise_transport_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
