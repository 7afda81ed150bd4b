/* Sharing in place: walks a path, hashes files in the thread pool, makes manifests, records everything in the store, announces. Symlinks are followed
 * never: symlinks, sockets, devices and pipes are skipped and reported; so are unreadable, vanishing and invalidly named files. A file that
 * changes while it is hashed is hashed again twice, then reported. Files whose stamp is known are not hashed again. */
#ifndef SHOAL_HOST_SHARE_H
#define SHOAL_HOST_SHARE_H
#include "node/host/data.h"
#include "node/host/jobs.h"

struct shares;
struct shares *shares_new(struct host_core *core, struct jobs *jobs, const char *home);
/* At the node's end: hashing stops, open contents are closed; called back once when nothing is in flight. After fetches_stop called back. */
void shares_stop(struct shares *s, void (*stopped)(void *context), void *context);
void shares_free(struct shares *s); /* after shares_stop called back; NULL is ignored. Its handles close in the loop's next turn */
/* Starts announcing all that the store lists, and schedules a slow walk over stamps that marks what changed or vanished. */
void shares_start(struct shares *s);
struct job *shares_add(struct shares *s, const char *const *paths, size_t count, bool with_times);
/* By path or by link or id text. ERR_NOT_FOUND. */
int shares_remove(struct shares *s, const char *what);
/* Grows whenever the list of shares may have changed. */
uint64_t shares_changes(const struct shares *s);
/* A peer wants this provider key (EFFECT_CONTENT): opens the content, makes the swarm when there is none yet, answers xfer_content_answer. */
void shares_content(struct shares *s, uint32_t session, uint32_t channel, bool pack, const uint8_t provider_key[HASH_SIZE]);
/* The map from content to swarm, for fetch.c too: one swarm per (id, pack). 0: none. */
uint32_t shares_swarm(struct shares *s, const struct content_id *id, bool pack);
uint32_t shares_ref(struct shares *s, const struct content_id *id, bool pack); /* its ref in the data plane; 0: none */
void shares_swarm_set(struct shares *s, const struct content_id *id, bool pack, uint32_t swarm, uint32_t ref); /* swarm 0 removes */
/* Told of a swarm that shares_swarm_set entered and whose content the store no longer lists (unshared, gone, changed): its owner closes it unless
 * it is still being fetched. One listener; NULL: none. */
void shares_on_lost(struct shares *s, void (*lost)(void *context, uint32_t swarm), void *context);
/* Notices: XFER_NOTICE_IDLE closes what was opened on demand; NODE_NOTICE_STORED goes to its job. True when it was ours. */
bool shares_notice(struct shares *s, const struct effect *x);
/* Fresh stamps of a fetched file or tree enter the store as shares (fetch.c, when done). 0: `done` is called once, on the loop thread and never
 * inside this call, when that is committed (or has failed: status); also while stopping. Otherwise it is never called: ERR_RANGE for a path that
 * is not absolute, too long, or when the node stops; ERR_NO_MEMORY. */
int shares_adopt(struct shares *s, const char *path, const struct content_id *id, bool announce, void (*done)(void *context, int status),
                 void *context);
/* Somebody else recorded (a gateway's home): `added` (may be NULL) is announced at once, `lost` are announced no more unless another content still has
 * the key, and what is open for serving but no longer in the store is closed. */
void shares_recorded(struct shares *s, const uint8_t *added, const uint8_t (*lost)[HASH_SIZE], uint32_t lost_count);
/* The addresses this node listens on, for links; an unspecified one (0.0.0.0, [::]) gives its port to the address others see us under. Copied. */
void shares_set_addresses(struct shares *s, const struct net_addr *addresses, uint32_t count);
/* The link of a content with this node's addresses as sources. */
void shares_link(struct shares *s, const struct content_id *id, const char *name, char *out, size_t cap);
#endif
