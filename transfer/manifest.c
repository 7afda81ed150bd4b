#include "transfer/manifest.h"
#include "node/base/assert.h"
#include "node/base/err.h"

#define VERSION         1
#define FLAG_EXECUTABLE 1u
#define FLAG_MTIME      2u

bool manifest_name_ok(struct bytes name)
{
    if (name.size == 0 || name.size > CONTENT_NAME_MAX || !utf8_valid(name.data, name.size))
        return false;
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] < 0x20 || name.data[i] == 0x7f || name.data[i] == '/')
            return false;
    }
    return !(name.data[0] == '.' && (name.size == 1 || (name.size == 2 && name.data[1] == '.')));
}

/* By bytes; a prefix comes first. */
static int name_compare(struct bytes a, struct bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

int manifest_open(struct manifest_reader *r, struct bytes manifest)
{
    memset(r, 0, sizeof *r);
    r->size = manifest.size;
    wire_init(&r->w, manifest.data, manifest.size);
    if (manifest.size > MANIFEST_SIZE_MAX) {
        wire_fail(&r->w);
        return ERR_MALFORMED;
    }
    /* The version comes before the number of items is judged, so that a later format is told from garbage. */
    uint32_t items = wire_array(&r->w, 16);
    uint64_t version = wire_uint(&r->w);
    if (wire_ok(&r->w) && items >= 1 && version > VERSION) {
        wire_fail(&r->w);
        return ERR_VERSION;
    }
    r->count = wire_array(&r->w, MANIFEST_ENTRIES_MAX);
    if (items != 2 || version != VERSION)
        wire_fail(&r->w);
    return wire_ok(&r->w) ? 0 : ERR_MALFORMED;
}

static bool read_entry(struct wire *w, struct manifest_entry *out)
{
    uint8_t packed[CONTENT_ID_SIZE];
    uint32_t items = wire_array(w, 4);
    out->name = wire_str(w, CONTENT_NAME_MAX);
    wire_bin_exact(w, packed, sizeof packed);
    uint64_t flags = wire_uint_max(w, FLAG_EXECUTABLE | FLAG_MTIME);
    out->executable = (flags & FLAG_EXECUTABLE) != 0;
    out->has_mtime = (flags & FLAG_MTIME) != 0;
    if (items != (out->has_mtime ? 4u : 3u))
        return false;
    if (out->has_mtime)
        out->mtime_s = wire_uint(w);
    if (!wire_ok(w) || content_id_unpack(&out->id, packed) || !manifest_name_ok(out->name))
        return false;
    /* A directory has no executable bit: with one, one tree would have two manifests. */
    return !(out->executable && out->id.kind == CONTENT_TREE);
}

int manifest_next(struct manifest_reader *r, struct manifest_entry *out)
{
    memset(out, 0, sizeof *out);
    if (!wire_ok(&r->w))
        return ERR_MALFORMED;
    if (r->index == r->count) {
        if (!wire_done(&r->w))
            wire_fail(&r->w);
        return wire_done(&r->w) ? 0 : ERR_MALFORMED;
    }
    if (!read_entry(&r->w, out) || (r->index && name_compare(r->last_name, out->name) >= 0)) {
        wire_fail(&r->w);
        memset(out, 0, sizeof *out);
        return ERR_MALFORMED;
    }
    r->index++;
    r->last_name = out->name;
    return 1;
}

int manifest_check(struct bytes manifest, uint32_t *count)
{
    struct manifest_reader r;
    struct manifest_entry e;
    int status = manifest_open(&r, manifest);
    if (status)
        return status;
    while ((status = manifest_next(&r, &e)) == 1)
        ;
    if (status == 0 && count)
        *count = r.count;
    return status;
}

/* array 1, str 2 + name, bin 2 + 39, flags 1, mtime 9 */
size_t manifest_entry_bound(size_t name_size)
{
    return 1 + 2 + name_size + 2 + CONTENT_ID_SIZE + 1 + 9;
}

void manifest_begin(struct pack *p, uint32_t count)
{
    core_assert(count <= MANIFEST_ENTRIES_MAX);
    pack_array(p, 2);
    pack_uint(p, VERSION);
    pack_array(p, count);
}

int manifest_add(struct pack *p, const struct manifest_entry *e, struct bytes *last_name)
{
    uint8_t packed[CONTENT_ID_SIZE];
    if (!manifest_name_ok(e->name))
        return ERR_RANGE;
    if (last_name->size && name_compare(*last_name, e->name) >= 0)
        return ERR_MALFORMED;
    core_assert(!(e->executable && e->id.kind == CONTENT_TREE));
    content_id_pack(packed, &e->id);
    pack_array(p, e->has_mtime ? 4 : 3);
    pack_str(p, (const char *)e->name.data, e->name.size);
    pack_bin(p, packed, sizeof packed);
    pack_uint(p, (e->executable ? FLAG_EXECUTABLE : 0) | (e->has_mtime ? FLAG_MTIME : 0));
    if (e->has_mtime)
        pack_uint(p, e->mtime_s);
    *last_name = e->name;
    return 0;
}
