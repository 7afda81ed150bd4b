/* Lines of LIST, NLST, MLSD and MLST, and what else of FTP is text about files: times, patterns, line ends,
 * checksums. Pure. */
#ifndef SHOAL_FTP_LIST_H
#define SHOAL_FTP_LIST_H
#include "node/base/bytes.h"

struct ftp_info { /* a file or directory, as the tree tells it; strings are borrowed */
    const char *name;
    bool dir, executable, writable, in_writable; /* in_writable: the directory it lies in may be changed */
    uint64_t size;                               /* [bytes] */
    int64_t mtime_s;                             /* Unix time; 0: not known */
    const char *id;                              /* content id; "" or NULL: none */
};

enum ftp_list_form { FTP_LIST_LONG, FTP_LIST_NAMES, FTP_LIST_FACTS };
enum ftp_facts {
    FTP_FACT_TYPE = 1,
    FTP_FACT_SIZE = 2,
    FTP_FACT_MODIFY = 4,
    FTP_FACT_PERM = 8,
    FTP_FACT_UNIQUE = 16, /* the content id: two files with one id are the same bytes (RFC 3659, 7.5.2) */
    FTP_FACTS_ALL = 31
};

#define FTP_LIST_LINE_MAX 640 /* [bytes with the NUL] for a name of FTP_NAME_MAX */
/* One line with its CR LF. now_s decides whether the long form shows the time or the year. Returns the size.
 */
size_t ftp_list_line(char out[FTP_LIST_LINE_MAX], enum ftp_list_form form, unsigned facts,
                     const struct ftp_info *info, int64_t now_s);
/* "type=file;size=3;" of one entry, NUL-terminated, without the name. `type` overrides ("cdir"); NULL: by
 * info. */
size_t ftp_facts(char *out, size_t cap, unsigned facts, const struct ftp_info *info, const char *type);
/* "Type;size;" of OPTS MLST: what is known of it (RFC 3659, 7.9). */
unsigned ftp_facts_parse(const char *text);
/* "type*;size*;modify;": those chosen have a star (RFC 3659, 7.8); star false: the chosen alone. */
size_t ftp_facts_names(char *out, size_t cap, unsigned facts, bool star);

void ftp_time(char out[16], int64_t unix_s); /* "20261124120000" */

bool ftp_has_pattern(const char *text);
/* '*' and '?' (one UTF-8 character); a name that begins with '.' wants the pattern to begin so. */
bool ftp_pattern_match(const char *pattern, const char *name);

/* TYPE A: LF becomes CR LF on the way out, CR LF becomes LF on the way in. A CR already before the LF is
 * kept, not doubled. State between pieces. */
struct ftp_ascii {
    bool cr; /* out: the last byte was a CR. in: a CR is held back */
};
/* `out` has room for 2 * in.size. Returns the size. */
size_t ftp_ascii_out(struct ftp_ascii *a, uint8_t *out, struct bytes in);
/* `out` has room for in.size + 1. */
size_t ftp_ascii_in(struct ftp_ascii *a, uint8_t *out, struct bytes in);
size_t ftp_ascii_in_end(struct ftp_ascii *a, uint8_t out[1]); /* the CR that was held back, if any */

/* CRC-32 (IEEE 802.3) in pieces: begin with 0. */
uint32_t ftp_crc(uint32_t crc, struct bytes piece);
#endif
