/* Content ids and links (DESIGN.md, "Identity, networks, content"). The id rests on BEP 52 file roots; since a root does not commit to
 * the size, it is root (32 bytes), kind (4 bits), size (44 bits), CRC-8: 39 bytes, 63 base32 characters, one DNS label. */
#ifndef SHOAL_TRANSFER_CONTENT_H
#define SHOAL_TRANSFER_CONTENT_H
#include "node/base/id.h"

#define CONTENT_ID_SIZE      39
#define CONTENT_ID_TEXT_SIZE 63
#define CONTENT_SIZE_MAX     ((UINT64_C(1) << 44) - 1) /* [bytes] */
#define CONTENT_NAME_MAX     255                        /* [bytes of UTF-8], as file systems have it */

enum content_kind { CONTENT_FILE = 0, CONTENT_TREE = 1 }; /* TREE: the content is a manifest (manifest.h) */

struct content_id {
    uint8_t root[HASH_SIZE];
    uint64_t size; /* [bytes] */
    uint8_t kind;  /* 0..15; unknown kinds parse, and are refused where they are used */
};

bool content_id_equal(const struct content_id *a, const struct content_id *b);
void content_id_pack(uint8_t out[CONTENT_ID_SIZE], const struct content_id *id);
int content_id_unpack(struct content_id *out, const uint8_t in[CONTENT_ID_SIZE]); /* ERR_CHECKSUM */
void content_id_format(char *out, const struct content_id *id);                   /* CONTENT_ID_TEXT_SIZE + 1 bytes */
/* Exactly 63 characters, then NUL. ERR_MALFORMED (length, alphabet, spare bits), ERR_CHECKSUM. */
int content_id_parse(struct content_id *out, const char *text);

/* BLAKE2b-256("shoal provider", network id, root, kind (1 byte), size (8 bytes big-endian)); DHT key and session key of a content. */
void content_provider_key(uint8_t out[HASH_SIZE], const struct content_id *id, const struct network *network,
                          const struct core_crypto *crypto);

#define LINK_SOURCES_MAX 8
#define LINK_TEXT_MAX    2048
struct link { /* shoal:<content id>?n=<name>&s=<node id>@<address:port>... ; name and sources are hints */
    struct content_id id;
    char name[CONTENT_NAME_MAX + 1]; /* "" = none; decoded, valid UTF-8, no '/' and no NUL; never trusted as a path */
    struct node_addr sources[LINK_SOURCES_MAX];
    uint32_t source_count;
};
int link_format(char *out, size_t cap, const struct link *in); /* percent-encodes all but unreserved (RFC 3986, 2.3); ERR_RANGE */
/* Accepts a link or a bare content id. Unknown parameters are ignored. ERR_MALFORMED, ERR_CHECKSUM. On error `where` (may be NULL) is the
 * offset of the first character that is wrong, as well as can be told. */
int link_parse(struct link *out, const char *text, size_t *where);
#endif
