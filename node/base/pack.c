#include "node/base/pack.h"

#include <msgpack/pack.h>

/* msgpack-c hands over finished bytes; we only place them. */
static int pack_write(void *data, const char *buf, size_t size)
{
    struct pack *p = data;
    if (p->overflow || p->cap - p->size < size) {
        p->overflow = true;
        return -1;
    }
    if (size)
        memcpy(p->buf + p->size, buf, size);
    p->size += size;
    return 0;
}

static msgpack_packer packer(struct pack *p)
{
    msgpack_packer m;
    msgpack_packer_init(&m, p, pack_write);
    return m;
}

void pack_init(struct pack *p, uint8_t *buf, size_t cap)
{
    p->buf = buf;
    p->cap = cap;
    p->size = 0;
    p->overflow = false;
}

void pack_map(struct pack *p, uint32_t pairs)
{
    msgpack_packer m = packer(p);
    msgpack_pack_map(&m, pairs);
}

void pack_array(struct pack *p, uint32_t count)
{
    msgpack_packer m = packer(p);
    msgpack_pack_array(&m, count);
}

void pack_uint(struct pack *p, uint64_t v)
{
    msgpack_packer m = packer(p);
    msgpack_pack_uint64(&m, v);
}

void pack_int(struct pack *p, int64_t v)
{
    msgpack_packer m = packer(p);
    msgpack_pack_int64(&m, v);
}

void pack_bool(struct pack *p, bool v)
{
    msgpack_packer m = packer(p);
    if (v)
        msgpack_pack_true(&m);
    else
        msgpack_pack_false(&m);
}

void pack_nil(struct pack *p)
{
    msgpack_packer m = packer(p);
    msgpack_pack_nil(&m);
}

void pack_bin(struct pack *p, const void *data, size_t size)
{
    msgpack_packer m = packer(p);
    msgpack_pack_bin(&m, size);
    msgpack_pack_bin_body(&m, data, size);
}

void pack_str(struct pack *p, const char *data, size_t size)
{
    msgpack_packer m = packer(p);
    msgpack_pack_str(&m, size);
    msgpack_pack_str_body(&m, data, size);
}

void pack_raw(struct pack *p, const void *data, size_t size)
{
    pack_write(p, data, size);
}

void pack_key_uint(struct pack *p, uint64_t key, uint64_t v)
{
    pack_uint(p, key);
    pack_uint(p, v);
}

void pack_key_bool(struct pack *p, uint64_t key, bool v)
{
    pack_uint(p, key);
    pack_bool(p, v);
}

void pack_key_bin(struct pack *p, uint64_t key, const void *data, size_t size)
{
    pack_uint(p, key);
    pack_bin(p, data, size);
}

void pack_key_str(struct pack *p, uint64_t key, const char *data, size_t size)
{
    pack_uint(p, key);
    pack_str(p, data, size);
}
