/* What the pages need beyond the command line: one content with its chunk map and peers, search among the
 * shares, the invite as a picture. */
#include <qrencode.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateways/http/api_internal_host.h"
#include "gateways/http/http_target.h"

#define CONTENT_PEERS_MAX 64

static json_t *number(uint64_t n)
{
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static void put_url(json_t *o, const struct content_id *id)
{
    char text[CONTENT_ID_TEXT_SIZE + 1];
    content_id_format(text, id);
    json_object_set_new(o, "url", json_sprintf("/content/%s", text));
}

/* ---- One content ---- */

/* One bit for each chunk, chunk 0 in the lowest of byte 0. Null: all or none, as chunks_have says. */
static json_t *chunk_map(const struct xfer *x, uint32_t swarm, uint32_t chunks)
{
    size_t size = ((size_t)chunks + 7) / 8,
           cap = sodium_base64_encoded_len(size, sodium_base64_VARIANT_ORIGINAL);
    uint8_t *bits = malloc(size);
    char *text = malloc(cap);
    json_t *map = json_null();
    if (bits && text && xfer_swarm_have(x, swarm, bits, size) == size)
        map = json_string(sodium_bin2base64(text, cap, bits, size, sodium_base64_VARIANT_ORIGINAL));
    free(bits);
    free(text);
    return map;
}

static json_t *content_peers(struct app *app, core_time now, uint32_t swarm)
{
    struct xfer_session_info *sessions = calloc(CONTENT_PEERS_MAX, sizeof *sessions);
    json_t *a = json_array();
    uint32_t n =
        sessions && swarm ? xfer_swarm_sessions(app->core.xfer, now, swarm, sessions, CONTENT_PEERS_MAX) : 0;
    for (uint32_t i = 0; i < n; i++)
        json_array_append_new(a, json_pack("{s:o, s:o, s:o, s:o}", "node", api_node_id(sessions[i].peer.key),
                                           "address", api_addr(&sessions[i].peer.addr), "rate_down",
                                           number(sessions[i].rate_down), "rate_up",
                                           number(sessions[i].rate_up)));
    free(sessions);
    return a;
}

static void put_chunks(json_t *o, struct app *app, core_time now, const struct content_id *id, bool local)
{
    struct xfer_swarm_stats stats;
    struct xfer_geometry geometry;
    uint32_t swarm = xfer_swarm_find(app->core.xfer, id);
    xfer_geometry_content(&geometry, id->size);
    uint32_t chunks = id->size ? xfer_chunk_count(&geometry) : 0, have = local ? chunks : 0;
    json_t *map = NULL;
    if (!local && swarm && xfer_swarm_stats(app->core.xfer, now, swarm, &stats) && stats.chunks == chunks) {
        have = stats.complete ? chunks : stats.chunks_have;
        map = have && have < chunks ? chunk_map(app->core.xfer, swarm, chunks) : NULL;
    }
    json_object_set_new(o, "chunks", number(chunks));
    json_object_set_new(o, "chunks_have", number(have));
    json_object_set_new(o, "map", map ? map : json_null());
    json_object_set_new(o, "peers", content_peers(app, now, swarm));
}

void api_content_get(struct api_request *r)
{
    struct app *app = r->g->app;
    struct link link;
    struct store_share share;
    struct store_content content;
    char text[LINK_TEXT_MAX];
    int given = http_query_get(r->query, "link", text, sizeof text);
    if (given <= 0) {
        api_error(r->x, ERR_MALFORMED, "the query needs \"link\": a link or a content id");
        return;
    }
    json_object_set_new(r->body, "link", json_string(text));
    if (!api_link(r, &link))
        return;
    bool shared = store_share_by_id(app->store, &link.id, &share) == 0;
    json_t *o = json_object();
    api_put_id(o, &link.id);
    json_object_set_new(o, "name", api_text(link.name[0] ? link.name : shared ? share.name : ""));
    json_object_set_new(o, "shared", json_boolean(shared));
    json_object_set_new(o, "size",
                        shared                         ? number(share.bytes)
                        : link.id.kind == CONTENT_FILE ? number(link.id.size)
                                                       : json_null());
    json_object_set_new(o, "sources", number(link.source_count));
    bool local = store_content_by_id(app->store, &link.id, &content) == 0 && content.state == CONTENT_OK;
    json_object_set_new(o, "local", json_boolean(local));
    put_url(o, &link.id);
    put_chunks(o, app, host_now(&app->core), &link.id, local);
    api_reply(r->x, 200, o);
}

/* ---- The invite as a QR code ---- */

/* Black modules as one path, a run of them a stroke of height 1. */
static char *qr_svg(const QRcode *q)
{
    int quiet = 4, side = q->width + 2 * quiet;
    char *out = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&out, &size);
    if (!f)
        return NULL;
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" shape-rendering=\"crispEdges\">"
            "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/><path d=\"",
            side, side, side, side);
    for (int y = 0; y < q->width; y++) {
        for (int x = 0, run; x < q->width; x += run) {
            bool dark = q->data[y * q->width + x] & 1;
            for (run = 1; x + run < q->width && (q->data[y * q->width + x + run] & 1) == dark;)
                run++;
            if (dark)
                fprintf(f, "M%d %dh%dv1h-%dz", x + quiet, y + quiet, run, run);
        }
    }
    fputs("\"/></svg>\n", f);
    if (fclose(f) != 0) {
        free(out);
        return NULL;
    }
    return out;
}

void api_invite_svg_get(struct api_request *r)
{
    struct invite invite;
    char text[INVITE_TEXT_MAX];
    app_invite(r->g->app, &invite);
    if (invite_format(text, &invite) != 0) {
        api_error(r->x, ERR_RANGE, "the invite would be too long");
        return;
    }
    /* Capitals and digits take 5.5 bits a character instead of 8; what follows the scheme is read in either
     * case. */
    for (char *c = text + strcspn(text, ":"); *c; c++)
        *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 32 : *c);
    QRcode *q = QRcode_encodeString(text, 0, QR_ECLEVEL_L, QR_MODE_8, 1);
    char *picture = q ? qr_svg(q) : NULL;
    QRcode_free(q);
    if (picture)
        http_reply(r->x, 200, "image/svg+xml", "Cache-Control: no-store\r\n", picture, strlen(picture));
    else
        api_error(r->x, ERR_NO_MEMORY, "out of memory");
}
