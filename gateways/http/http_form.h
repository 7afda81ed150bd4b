/* multipart/form-data (RFC 7578, RFC 2046, 5.1) taken apart as it arrives: strict, incremental, no I/O, no
 * allocation. Whether input comes whole or byte by byte never changes the outcome. */
#ifndef SHOAL_HTTP_FORM_H
#define SHOAL_HTTP_FORM_H
#include "node/base/bytes.h"

#define HTTP_BOUNDARY_MAX  70   /* RFC 2046, 5.1.1 [bytes] */
#define HTTP_PART_HEAD_MAX 4096 /* all field lines of one part [bytes] */
#define HTTP_PARTS_MAX     1000 /* a form of more is an attack */

enum http_form_event {
    HTTP_FORM_BAD = -1, /* `error` says why: answer 400, and the parser is dead */
    HTTP_FORM_MORE = 0, /* all input is used and fine so far */
    HTTP_FORM_PART,     /* a part begins: see name, filename, is_file */
    HTTP_FORM_DATA,     /* `piece` of it: borrowed from the input or from the parser, until the next call */
    HTTP_FORM_PART_END,
    HTTP_FORM_END /* the last boundary; what follows (the epilogue) is used and thrown away */
};

struct http_form {
    const char *error; /* a sentence, static */
    bool is_file;      /* the part has a filename, perhaps an empty one (a file field nobody filled) */
    char name[256], filename[256]; /* NUL-terminated UTF-8; filename: its last segment only, "" when nothing
                                      is left of it */

    uint8_t phase;
    uint16_t matched, held; /* of the delimiter; of it, to be given as data */
    uint16_t delimiter_size, head_size, parts;
    char delimiter[HTTP_BOUNDARY_MAX + 5]; /* CR LF "--" boundary */
    char head[HTTP_PART_HEAD_MAX];
};

/* The boundary parameter of a Content-Type that is multipart/form-data. False: another type, or no proper
 * boundary. */
bool http_form_boundary(struct bytes content_type, struct bytes *boundary);
void http_form_init(struct http_form *f, struct bytes boundary);
/* Uses *used bytes of data. Call again with the rest, also with none, until HTTP_FORM_MORE, HTTP_FORM_END or
 * HTTP_FORM_BAD. The end of the body before HTTP_FORM_END is the caller's to refuse. */
enum http_form_event http_form_parse(struct http_form *f, const uint8_t *data, size_t size, size_t *used,
                                     struct bytes *piece);
#endif
