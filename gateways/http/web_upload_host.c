/* Uploads and removals below /home: PUT of a file, POST of a form with files, DELETE. The conditions of RFC
 * 9110 are looked at before the body is asked for ("100 Continue" comes when there is room and the name is
 * free), and again by the content tree when the file gets its name. */
#include <stdio.h>
#include <stdlib.h>
#include "gateways/http/http_form.h"
#include "gateways/http/http_range.h"
#include "gateways/http/http_target.h"
#include "gateways/http/web_internal_host.h"
#include "node/base/assert.h"

#define JSON_TYPE "application/json"
#define FIELD_MAX 4096 /* of a form's plain fields [bytes]; there are none we use */

struct taking {
    struct gateways *g;
    struct http_exchange *x;
    struct account_who who;
    char path[CONTENT_PATH_MAX]; /* of the file; of a form: of its directory, with '/' at the end */
    struct content_call *call;
    struct content_upload *upload;
    struct content_upload_params params;
    bool none_match, if_match, existed;
    bool finishing; /* content_upload_finish owes us a callback */
    bool gone;      /* the connection broke meanwhile */
    bool removing;

    /* A form. */
    bool is_form, last, ended, in_file, waiting;
    struct http_form form;
    uint8_t *pending; /* of the body, not taken apart yet */
    size_t pending_size, pending_at;
    size_t field_size;
    json_t *files;
    char file_path[CONTENT_PATH_MAX];
};

/* ---- The end ---- */

static void taking_free(struct taking *t)
{
    if (t->finishing)
        return; /* its callback frees */
    if (t->call)
        content_cancel(t->call);
    if (t->upload)
        content_upload_abort(t->upload);
    json_decref(t->files);
    free(t->pending);
    free(t);
}

static void on_gone(struct http_exchange *x)
{
    struct taking *t = x->owner;
    t->gone = true;
    t->x = NULL;
    taking_free(t);
}

static struct http_exchange *let_go(struct taking *t)
{
    struct http_exchange *x = t->x;
    x->gone = NULL;
    x->on_body = NULL;
    return x;
}

static void refuse(struct taking *t, unsigned status, const char *message)
{
    web_error(let_go(t), status, NULL, message);
    taking_free(t);
}

static void fail(struct taking *t, int error)
{
    switch (error) {
    case ERR_EXISTS:
        refuse(t, t->none_match ? 412 : 409,
               t->removing ? "The directory is not empty: remove what is in it first."
                           : "There is a file of this name already.");
        return;
    case ERR_CHANGED:
        refuse(t, t->if_match ? 412 : 409,
               "The file is not the one the request expected: it was changed meanwhile. Look at it again "
               "first.");
        return;
    case ERR_NOT_FOUND:
        if (t->removing)
            refuse(t, 404, "There is nothing of this name here.");
        else
            refuse(t, 409, "There is no such home, or a part of the path is a file.");
        return;
    case ERR_NOT_A_FILE:
        refuse(t, 409, "There is a directory of this name: a file cannot take its place.");
        return;
    case ERR_PERMISSION:
        refuse(t, 403,
               "This place belongs to somebody else, or is no place for files: they go below /home/NAME/.");
        return;
    case ERR_MALFORMED:
        refuse(t, 400, "The name cannot be shared: it has a control character, or a part that no file has.");
        return;
    case ERR_RANGE:
        refuse(t, 413, "The file is larger than any this network can name, or than what was announced.");
        return;
    case ERR_NO_SPACE:
        refuse(t, 507, "The disk of this node's computer is full.");
        return;
    case ERR_QUOTA:
        refuse(t, 507, "The node would keep more than its quota allows.");
        return;
    case ERR_CANCELLED:
    case ERR_NO_MEMORY:
    case ERR_FULL:
        refuse(t, 503, "This node has too much to do at the moment, or is stopping. Try again soon.");
        return;
    default:
        refuse(t, 500, err_text(error));
    }
}

/* ---- What was stored ---- */

static json_t *file_json(struct taking *t, const char *path, const struct content_info *info)
{
    char link[LINK_TEXT_MAX];
    json_t *o = json_object();
    json_object_set_new(o, "path", api_text(path));
    json_object_set_new(o, "size", json_integer((json_int_t)info->size));
    api_put_id(o, &info->id);
    shares_link(t->g->app->shares, &info->id, strrchr(path, '/') + 1, link, sizeof link);
    json_object_set_new(o, "link", api_text(link));
    return o;
}

static void etag_of(const struct content_info *info, char out[CONTENT_ID_TEXT_SIZE + 3])
{
    out[0] = '"';
    content_id_format(out + 1, &info->id);
    strcat(out, "\"");
}

static void put_done(struct taking *t, const struct content_info *info)
{
    char extra[HTTP_LINE_MAX + 256], etag[CONTENT_ID_TEXT_SIZE + 3];
    struct http_exchange *x = let_go(t);
    struct bytes raw = http_text(x->bytes, x->head->path);
    etag_of(info, etag);
    if (t->existed) {
        snprintf(extra, sizeof extra, "ETag: %s\r\n", etag);
        http_reply(x, 204, NULL, extra, NULL, 0);
    } else {
        snprintf(extra, sizeof extra, "ETag: %s\r\nLocation: %.*s\r\n", etag, (int)raw.size,
                 (const char *)raw.data);
        json_t *o = file_json(t, t->path, info);
        char *body = json_dumps(o, JSON_COMPACT);
        json_decref(o);
        http_reply(x, 201, JSON_TYPE, extra, body, body ? strlen(body) : 0);
    }
    taking_free(t);
}

static bool wants_html(const struct http_exchange *x)
{
    struct bytes accept;
    return http_field_get(x->head, x->bytes, "Accept", &accept) &&
           memmem(accept.data, accept.size, "text/html", 9);
}

/* A browser without script goes on to the directory; everybody else hears what was stored. */
static void form_done(struct taking *t)
{
    struct http_exchange *x = let_go(t);
    if (json_array_size(t->files) == 0) {
        web_error(x, 400, NULL, "The form has no file in it.");
    } else if (wants_html(x)) {
        char *extra = NULL, *encoded = malloc(3 * CONTENT_PATH_MAX);
        size_t n = 0;
        for (const char *p = t->path; encoded && *p; p++)
            n += *p == '/' ? (encoded[n] = '/', 1u)
                           : (size_t)http_encode(encoded + n, 3 * CONTENT_PATH_MAX - n, bytes_of(p, 1));
        if (encoded && asprintf(&extra, "Location: %.*s\r\n", (int)n, encoded) < 0)
            extra = NULL;
        http_reply(x, 303, NULL, extra, NULL, 0);
        free(extra);
        free(encoded);
    } else {
        api_reply(x, 201, json_pack("{s:O}", "files", t->files));
    }
    taking_free(t);
}

static void form_go(struct taking *t);

static void on_finished(void *context, int status, const struct content_info *info)
{
    struct taking *t = context;
    t->finishing = false;
    if (t->gone) {
        taking_free(t);
        return;
    }
    if (status != 0) {
        fail(t, status);
    } else if (!t->is_form) {
        put_done(t, info);
    } else {
        json_array_append_new(t->files, file_json(t, t->file_path, info));
        t->waiting = false;
        form_go(t);
    }
}

static void finish(struct taking *t)
{
    struct content_upload *u = t->upload;
    t->upload = NULL;
    t->finishing = true;
    content_upload_finish(u, on_finished, t);
}

/* ---- Taking ---- */

static void on_drained(void *context)
{
    struct taking *t = context;
    int error = content_upload_status(t->upload);
    if (error) {
        fail(t, error);
        return;
    }
    t->waiting = false;
    if (t->is_form)
        form_go(t);
    else
        http_body_resume(t->x);
}

static void put_body(struct http_exchange *x, struct bytes piece, bool last)
{
    struct taking *t = x->owner;
    if (last) {
        finish(t);
        return;
    }
    bool more = content_upload_write(t->upload, piece);
    int error = content_upload_status(t->upload);
    if (error)
        fail(t, error);
    else if (!more)
        http_body_pause(x);
}

static void on_begun(void *context, int status, struct content_upload *u)
{
    struct taking *t = context;
    t->call = NULL;
    if (status != 0) {
        fail(t, status);
        return;
    }
    t->upload = u;
    content_upload_on_drained(u, on_drained, t);
    t->waiting = false;
    if (t->is_form)
        form_go(t);
    else
        http_body_resume(t->x);
}

/* False: t is gone. */
static bool begin(struct taking *t, const char *path)
{
    t->call = content_upload_begin(t->g->content, &t->who, path, &t->params, on_begun, t);
    if (t->call)
        return true;
    fail(t, ERR_NO_MEMORY);
    return false;
}

/* ---- Forms ---- */

/* False: t is gone. */
static bool part_begin(struct taking *t)
{
    t->in_file = t->form.is_file && t->form.filename[0];
    t->field_size = 0;
    if (!t->in_file)
        return true;
    if ((size_t)snprintf(t->file_path, sizeof t->file_path, "%s%s", t->path, t->form.filename) >=
        sizeof t->file_path) {
        refuse(t, 400, "The path of a file in the form is too long.");
        return false;
    }
    t->waiting = true;
    return begin(t, t->file_path);
}

/* What the parser found. False: t is gone. */
static bool form_event(struct taking *t, enum http_form_event e, struct bytes piece)
{
    switch (e) {
    case HTTP_FORM_BAD:
        refuse(t, 400, t->form.error);
        return false;
    case HTTP_FORM_PART:
        return part_begin(t);
    case HTTP_FORM_DATA:
        if (!t->in_file && (t->field_size += piece.size) > FIELD_MAX) {
            refuse(t, 413, "A field of the form that is no file is too long.");
            return false;
        }
        if (t->in_file) {
            t->waiting = !content_upload_write(t->upload, piece);
            int error = content_upload_status(t->upload);
            if (error)
                fail(t, error);
            return error == 0;
        }
        return true;
    case HTTP_FORM_PART_END:
        if (t->in_file) {
            t->in_file = false;
            t->waiting = true;
            finish(t);
        }
        return true;
    case HTTP_FORM_END:
        t->ended = true;
        return true;
    case HTTP_FORM_MORE:
        return true;
    }
    return true;
}

/* Takes the body apart until it must wait for the disk or for more. False: t is gone. */
static bool form_take(struct taking *t)
{
    while (!t->waiting && !t->ended && t->pending_at < t->pending_size) {
        struct bytes piece;
        size_t used;
        enum http_form_event e = http_form_parse(&t->form, t->pending + t->pending_at,
                                                 t->pending_size - t->pending_at, &used, &piece);
        t->pending_at += used;
        if (!form_event(t, e, piece))
            return false;
    }
    if (t->waiting)
        return true;
    t->pending_at = t->pending_size = 0;
    if (!t->last)
        return true;
    if (t->ended)
        form_done(t);
    else
        refuse(t, 400, "The form ends before its last boundary.");
    return false;
}

/* From callbacks of the content tree. */
static void form_go(struct taking *t)
{
    if (form_take(t) && !t->waiting)
        http_body_resume(t->x);
}

static void form_body(struct http_exchange *x, struct bytes piece, bool last)
{
    struct taking *t = x->owner;
    t->last = last;
    if (piece.size) {
        uint8_t *grown = realloc(t->pending, piece.size);
        if (!grown) {
            fail(t, ERR_NO_MEMORY);
            return;
        }
        core_assert(t->pending_at == t->pending_size);
        t->pending = grown;
        memcpy(grown, piece.data, piece.size);
        t->pending_at = 0;
        t->pending_size = piece.size;
    }
    if (form_take(t) && t->waiting && !last)
        http_body_pause(x);
}

/* ---- Conditions (RFC 9110, 13.2.2) and the beginning ---- */

static bool field(const struct taking *t, const char *name, struct bytes *value)
{
    return http_field_get(t->x->head, t->x->bytes, name, value);
}

/* False: refused. info NULL: nothing is there. */
static bool conditions(struct taking *t, const struct content_info *info)
{
    struct bytes value;
    uint64_t date;
    char etag[CONTENT_ID_TEXT_SIZE + 3] = "";
    bool there = info && info->what == CONTENT_IS_FILE;
    if (there && info->has_id)
        etag_of(info, etag);
    if (field(t, "If-Match", &value)) {
        t->if_match = true;
        bool any = http_text_is(value, "*");
        if (!there || (!any && !(etag[0] && http_etag_listed(value, etag, false)))) {
            refuse(t, 412, "The file is not there, or not the one that If-Match names.");
            return false;
        }
        t->params.match = info->has_id; /* and it must still be that one at the end */
        t->params.match_id = info->id;
    } else if (field(t, "If-Unmodified-Since", &value) && there && http_date_parse(value, &date) &&
               (uint64_t)info->mtime_s > date) {
        refuse(t, 412, "The file was changed since the time that If-Unmodified-Since names.");
        return false;
    }
    if (field(t, "If-None-Match", &value)) {
        t->none_match = true;
        if (there && (http_text_is(value, "*") || (etag[0] && http_etag_listed(value, etag, true)))) {
            refuse(t, 412,
                   "There is a file of this name already, and If-None-Match says that there must not be.");
            return false;
        }
        t->params.replace = !http_text_is(value, "*");
    }
    return true;
}

static void on_removed(void *context, int status)
{
    struct taking *t = context;
    t->call = NULL;
    if (status != 0) {
        fail(t, status);
        return;
    }
    http_reply(let_go(t), 204, NULL, NULL, NULL, 0);
    taking_free(t);
}

static void on_resolved(void *context, int status, const struct content_info *info)
{
    struct taking *t = context;
    t->call = NULL;
    if (status != 0 && (t->removing || status != ERR_NOT_FOUND)) {
        fail(t, status);
        return;
    }
    if (!conditions(t, status ? NULL : info))
        return;
    t->existed = status == 0;
    if (!t->removing) {
        (void)begin(t, t->path);
        return;
    }
    t->call = content_remove(t->g->content, &t->who, t->path, t->params.match ? &t->params.match_id : NULL,
                             on_removed, t);
    if (!t->call)
        fail(t, ERR_NO_MEMORY);
}

static struct taking *taking_new(struct gateways *g, struct http_exchange *x, const struct account_who *who,
                                 const char *path)
{
    struct taking *t = calloc(1, sizeof *t);
    if (!t) {
        web_error(x, 503, NULL, "out of memory");
        return NULL;
    }
    t->g = g;
    t->x = x;
    t->who = *who;
    t->params = (struct content_upload_params){.size = UINT64_MAX, .replace = true, .parents = true};
    snprintf(t->path, sizeof t->path, "%s", path);
    x->owner = t;
    x->gone = on_gone;
    return t;
}

static void resolve(struct taking *t)
{
    t->call = content_resolve(t->g->content, &t->who, t->path, NULL, CORE_NEVER, on_resolved, t);
    if (!t->call)
        fail(t, ERR_NO_MEMORY);
}

static bool is_identity(struct bytes coding)
{
    return coding.size == 0 || http_text_is_nocase(coding, "identity");
}

static void put_start(struct taking *t)
{
    struct http_exchange *x = t->x;
    size_t n = strlen(t->path);
    struct bytes value;
    if (n && t->path[n - 1] == '/')
        refuse(t, 409,
               "This is the address of a directory: name the file too. Directories come with the files in "
               "them.");
    else if (!content_path_ok(t->path))
        refuse(t, 400,
               "The path has a part that no file has: \".\", \"..\", or nothing between two slashes.");
    else if (field(t, "Content-Range", &value))
        refuse(t, 400, "A part of a file cannot be put: send the whole file, without Content-Range.");
    else if (field(t, "Content-Encoding", &value) && !is_identity(value))
        refuse(t, 415, "Send the file as it is, without Content-Encoding.");
    else if (!x->head->has_length && !x->head->chunked)
        refuse(t, 411, "Say how large the file is, by Content-Length, or send it chunked.");
    else if (x->head->has_length && x->head->length > CONTENT_SIZE_MAX)
        refuse(t, 413, "The file is larger than any this network can name.");
    else {
        if (x->head->has_length)
            t->params.size = x->head->length;
        x->on_body = put_body;
        http_body_pause(x);
        resolve(t);
    }
}

/* "?replace=1": over files that are there. "?to=/home/NAME/...": where to, for POST /api/upload. */
static void form_start(struct taking *t)
{
    struct http_exchange *x = t->x;
    struct bytes type, boundary, query = http_text(x->bytes, x->head->query);
    char text[4];
    if (!field(t, "Content-Type", &type) || !http_form_boundary(type, &boundary)) {
        refuse(t, 415, "Send the files as a form: multipart/form-data with a boundary.");
        return;
    }
    if (!x->head->has_length && !x->head->chunked) {
        refuse(t, 411, "Say how long the form is, by Content-Length, or send it chunked.");
        return;
    }
    t->params.replace = http_query_get(query, "replace", text, sizeof text) == 1 && strcmp(text, "1") == 0;
    if (!t->path[0] && http_query_get(query, "to", t->path, sizeof t->path - 1) <= 0)
        snprintf(t->path, sizeof t->path, "/home/%s", t->who.name[0] ? t->who.name : "owner");
    size_t n = strlen(t->path);
    if (n > 1 && t->path[n - 1] == '/')
        t->path[--n] = 0;
    if (!content_path_ok(t->path) || n + 2 > sizeof t->path) {
        refuse(t, 400, "The directory to upload to is no path: it is like /home/NAME/pictures.");
        return;
    }
    strcat(t->path, "/");
    t->is_form = true;
    t->files = json_array();
    http_form_init(&t->form, boundary);
    x->on_body = form_body;
}

void web_upload(struct gateways *g, struct http_exchange *x, const struct account_who *who, const char *path)
{
    struct taking *t = taking_new(g, x, who, path);
    if (t)
        web_transfer_begins(x, path[0] ? path : "a form of files", true);
    if (t && x->head->method == HTTP_PUT)
        put_start(t);
    else if (t)
        form_start(t);
}

void web_delete(struct gateways *g, struct http_exchange *x, const struct account_who *who, const char *path)
{
    struct taking *t = taking_new(g, x, who, path);
    if (!t)
        return;
    t->removing = true;
    size_t n = strlen(t->path);
    if (n > 1 && t->path[n - 1] == '/')
        t->path[n - 1] = 0;
    if (content_path_ok(t->path))
        resolve(t);
    else
        refuse(t, 400,
               "The path has a part that no file has: \".\", \"..\", or nothing between two slashes.");
}
