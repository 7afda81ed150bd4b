/* BitTorrent metainfo of version 2 (BEP 52), as far as it names content that Shoal can find: the file tree
 * with its pieces roots. Pure, strict (canonical bencoding: sorted keys, no leading zeros), no allocation. */
#ifndef SHOAL_TRANSFER_TORRENT_H
#define SHOAL_TRANSFER_TORRENT_H
#include "transfer/content.h"

#define TORRENT_DEPTH_MAX 64u /* directories below each other */
#define TORRENT_PATH_MAX  4096u

struct torrent {
    struct bytes name;     /* borrowed, a name that a file may have */
    struct bytes info;     /* the info dictionary as sent: its SHA-256 is the info hash */
    uint64_t piece_length; /* [bytes] */
    uint32_t files;
    bool single; /* one file, called `name`; else a directory of that name */
};

/* What is met on the way, in order of the bytes of the names: a directory begins, a file, a directory ends.
 */
enum torrent_event { TORRENT_DIR, TORRENT_FILE, TORRENT_DIR_END };
typedef int (*torrent_each)(void *context, enum torrent_event event, struct bytes name,
                            const struct content_id *id);

/* each may be NULL; its result, when not 0, ends the walk and is returned. ERR_MALFORMED: no canonical
 * bencoding, or a field is wrong; ERR_UNSUPPORTED: a torrent of version 1 only, whose hashes name no files.
 */
int torrent_parse(struct torrent *out, struct bytes metainfo, torrent_each each, void *context);
#endif
