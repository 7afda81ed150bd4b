/* What comes in on an FTP control connection: bytes become lines (RFC 959, 5.3, with the Telnet of RFC 854
 * and RFC 1123, 4.1.2.10 to 12), lines become a verb and its argument, arguments become addresses and paths.
 * Pure, incremental, bounded: a line of a megabyte costs what a line of 4 KB costs, and whether bytes come
 * whole or one by one never changes the outcome. */
#ifndef SHOAL_FTP_PARSE_H
#define SHOAL_FTP_PARSE_H
#include "node/base/addr.h"
#include "node/base/bytes.h"
#include "node/base/pool.h"

#define FTP_PATH_MAX 4096 /* of a path of the tree [bytes with the NUL]: CONTENT_PATH_MAX */
#define FTP_NAME_MAX 255  /* one segment [bytes] */
#define FTP_LINE_MAX                                                                                         \
    4352 /* a verb and the longest path [bytes]; longer lines are thrown away to their end and told as one   \
            fault */
#define FTP_INPUT_MAX          9216 /* lines that wait for their turn [bytes] */
#define FTP_VERB_MAX           5    /* with the NUL; longer words are no commands */
#define FTP_TELNET_ANSWERS_MAX 32   /* refusals of Telnet options in one session; further offers are ignored \
                                     */
_Static_assert(FTP_INPUT_MAX > 2 * FTP_LINE_MAX + 64, "a line in the making never fills the buffer");

enum ftp_fault { /* of a line; it is taken as a whole all the same, so that what follows stays in step */
                 FTP_LINE_OK,
                 FTP_LINE_LONG,
                 FTP_LINE_CONTROL, /* NUL, CR inside, another control character */
                 FTP_LINE_BARE_LF, /* ended by LF without CR */
                 FTP_LINE_NOT_UTF8
};

struct ftp_input {
    const struct core_alloc *alloc;
    uint8_t *
        data; /* complete lines (fault, text, NUL), then the one in the making; NULL while there is nothing */
    uint32_t size, cap, line_at, lines;
    uint32_t telnet_answers;
    uint64_t thrown_away; /* of overlong lines [bytes] */
    uint8_t telnet, fault;
    bool line_open, cr, no_memory;
};
void ftp_input_init(struct ftp_input *in, const struct core_alloc *alloc);
void ftp_input_fini(struct ftp_input *in);
/* How many bytes may be given now; 0: take lines first. Never 0 while no complete line waits. */
size_t ftp_input_room(const struct ftp_input *in);
/* Takes all of `bytes` (at most the room). Answers to Telnet options are appended to `answer` (*answer_size
 * grows, at most `cap`). */
void ftp_input_give(struct ftp_input *in, struct bytes bytes, uint8_t *answer, size_t *answer_size,
                    size_t cap);
/* The complete line at `at` (0: the first), NUL-terminated, valid until the next call that changes `in`;
 * *next is where the one after it lies. False: there is none. */
bool ftp_input_line(const struct ftp_input *in, uint32_t at, const char **text, enum ftp_fault *fault,
                    uint32_t *next);
void ftp_input_drop(struct ftp_input *in, uint32_t at); /* a line at `at` is there */

/* Splits "retr a b" into "RETR" and "a b" (the rest after one space, as it is; NULL: no argument). False: no
 * word of 1 to 4 letters. */
bool ftp_line_split(const char *text, char verb[FTP_VERB_MAX], const char **argument);

/* The path that `argument` means in `cwd` ("." and ".." taken out; ".." at the root stays there). 0, or
 * ERR_RANGE: too long, or a name is. */
int ftp_path_join(char out[FTP_PATH_MAX], const char *cwd, const char *argument);
const char *ftp_path_name(const char *path); /* last segment; "" of "/" */
/* RFC 959, Appendix II: a path in quotes, quotes inside doubled. Returns the size; `cap` of 2 * strlen + 3
 * always suffices. */
size_t ftp_path_quote(char *out, size_t cap, const char *path);

/* "h1,h2,h3,h4,p1,p2". ERR_MALFORMED. */
int ftp_port_parse(struct net_addr *out, const char *text);
/* RFC 2428: "|1|132.235.1.2|6275|". ERR_MALFORMED, or ERR_UNSUPPORTED: a protocol other than 1 and 2 (answer
 * 522). */
int ftp_eprt_parse(struct net_addr *out, const char *text);
/* A decimal number and nothing else. False: not one, or larger than 64 bits. */
bool ftp_number_parse(uint64_t *out, const char *text);
#endif
