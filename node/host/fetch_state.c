#include "node/host/fetch_state.h"
#include <stdlib.h>
#include <string.h>
#include "node/base/err.h"
#include "node/base/pack.h"
#include "node/base/wire.h"
#include "node/host/fetch_path.h"

#define STATE_VERSION  1
#define STATE_REPLACE  1u
#define STATE_NO_SHARE 2u

void fetch_state_fini(struct fetch_state *s)
{
    for (size_t i = 0; i < s->select_count; i++)
        free(s->select[i]);
    free(s->select);
    s->select = NULL;
    s->select_count = 0;
}

uint8_t *fetch_state_encode(const struct fetch_state *s, size_t *size)
{
    char link[LINK_TEXT_MAX];
    if (link_format(link, sizeof link, &s->link) != 0)
        return NULL;
    size_t cap = sizeof link + 64;
    for (size_t i = 0; i < s->select_count; i++)
        cap += strlen(s->select[i]) + 8;
    uint8_t *buf = malloc(cap);
    if (!buf)
        return NULL;
    struct pack p;
    pack_init(&p, buf, cap);
    pack_map(&p, 4);
    pack_key_uint(&p, 0, STATE_VERSION);
    pack_key_str(&p, 1, link, strlen(link));
    pack_key_uint(&p, 2, (s->replace ? STATE_REPLACE : 0) | (s->no_share ? STATE_NO_SHARE : 0));
    pack_uint(&p, 3);
    pack_array(&p, (uint32_t)s->select_count);
    for (size_t i = 0; i < s->select_count; i++)
        pack_str(&p, s->select[i], strlen(s->select[i]));
    if (!pack_ok(&p)) {
        free(buf);
        return NULL;
    }
    *size = p.size;
    return buf;
}

static int link_read(struct link *out, struct bytes text)
{
    char copy[LINK_TEXT_MAX];
    if (text.size == 0 || text.size >= sizeof copy || memchr(text.data, 0, text.size))
        return ERR_MALFORMED;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    return link_parse(out, copy, NULL) == 0 ? 0 : ERR_MALFORMED;
}

/* One selected path: must be in normal form already, because that is how it is written. */
static int select_read(char **out, struct bytes text)
{
    char copy[FETCH_PATH_MAX], normal[FETCH_PATH_MAX];
    if (text.size == 0 || text.size >= sizeof copy || memchr(text.data, 0, text.size))
        return ERR_MALFORMED;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    if (fetch_select_normalize(normal, sizeof normal, copy) != 0 || strcmp(copy, normal) != 0)
        return ERR_MALFORMED;
    *out = strdup(copy);
    return *out ? 0 : ERR_NO_MEMORY;
}

static int select_list_read(struct fetch_state *out, struct wire *w)
{
    uint32_t count = wire_array(w, FETCH_SELECT_MAX);
    if (!wire_ok(w))
        return ERR_MALFORMED;
    out->select = calloc(count ? count : 1, sizeof *out->select);
    if (!out->select)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        struct bytes text = wire_str(w, FETCH_PATH_MAX);
        int rc = wire_ok(w) ? select_read(&out->select[i], text) : ERR_MALFORMED;
        if (rc != 0)
            return rc;
        out->select_count++;
    }
    return 0;
}

static int state_read(struct fetch_state *out, struct bytes in)
{
    struct wire w;
    wire_init(&w, in.data, in.size);
    struct wire_map m = wire_map(&w);
    uint64_t key, version = 0, flags = 0;
    bool has_link = false;
    int rc = 0;
    while (rc == 0 && wire_map_next(&w, &m, &key)) {
        switch (key) {
        case 0:
            version = wire_uint(&w);
            if (wire_ok(&w) && version > STATE_VERSION)
                return ERR_VERSION;
            break;
        case 1:
            rc = link_read(&out->link, wire_str(&w, LINK_TEXT_MAX));
            has_link = true;
            break;
        case 2:
            flags = wire_uint(&w);
            break;
        case 3:
            rc = out->select ? ERR_MALFORMED : select_list_read(out, &w);
            break;
        default:
            wire_skip(&w);
        }
    }
    if (rc != 0)
        return rc;
    out->replace = flags & STATE_REPLACE;
    out->no_share = flags & STATE_NO_SHARE;
    return wire_done(&w) && has_link && version == STATE_VERSION ? 0 : ERR_MALFORMED;
}

int fetch_state_decode(struct fetch_state *out, struct bytes in)
{
    memset(out, 0, sizeof *out);
    int rc = state_read(out, in);
    if (rc != 0) {
        fetch_state_fini(out);
        memset(out, 0, sizeof *out);
    }
    return rc;
}
