/* What fetches do on disk: blocking, so for the thread pool only. All return 0 or an enum shoal_error. Nothing follows a symlink below a
 * directory that was opened. */
#ifndef SHOAL_HOST_FETCH_DISK_H
#define SHOAL_HOST_FETCH_DISK_H
#include <stdatomic.h>
#include "node/host/store/store.h"

int fetch_disk_error(int error_number); /* errno to enum shoal_error */
bool fetch_disk_stamp(int fd, struct file_stamp *out);

/* Opens the directory `relative` ("" = root itself) below `root`, making what is missing when `make`. A descriptor, or a negative error.
 * *made (may be NULL) tells that the last part did not exist before. */
int fetch_disk_open_under(int root, const char *relative, bool make, bool *made);

/* Reads all of `fd` from its start and compares with the id. stop (may be NULL): give up with ERR_CANCELLED. */
int fetch_disk_verify(int fd, const struct content_id *id, const atomic_bool *stop);
int fetch_disk_verify_path(const char *path, const struct content_id *id, const atomic_bool *stop, struct file_stamp *stamp);

/* Makes `to` (truncated when it exists) from `from`: a reflink where the file system can, then verified by reading it back; otherwise copied
 * and verified on the way. ERR_BAD_HASH: the source is not that content any more; `to` is removed. sync: fsync before it returns. */
int fetch_disk_copy(const char *from, const char *to, const struct content_id *id, bool sync, const atomic_bool *stop, struct file_stamp *stamp);

/* The same to a final name: whole and synced before the name is there. The copy grows without a name (O_TMPFILE), so that a crash leaves nothing;
 * where the file system has none of those, or `replace` is set, it is called `temporary` for as long as it needs a name. ERR_EXISTS without
 * `replace` when `to` exists. */
int fetch_disk_copy_publish(const char *from, const char *temporary, const char *to, bool replace, const struct content_id *id,
                            const atomic_bool *stop);

/* A small file below a directory: read and compared, or written whole. */
int fetch_disk_small_check(int dir, const char *name, const struct content_id *id, uint8_t *buffer);
int fetch_disk_small_write(int dir, const char *name, struct bytes bytes);

/* Gives the final name and makes it last: renamed (never over something that is there unless `replace`), then the directory synced. */
int fetch_disk_publish(const char *from, const char *to, bool replace);
int fetch_disk_sync_parent(const char *path);

/* Removes `name` below `dir` with all that is in it, at most `depth` directories deep. */
int fetch_disk_remove(int dir, const char *name, unsigned depth);

/* The whole of a manifest object, checked against its id and the format. The caller frees *bytes. ERR_BAD_HASH, ERR_MALFORMED: damaged. */
int fetch_disk_manifest(const char *path, const struct content_id *id, uint8_t **bytes, uint32_t *count);
#endif
