/* A home: the folder of one node. It holds the key (node.key, 32-byte seed, mode 0600), the lock, the database and what the store keeps, the
 * configuration and the API socket. One home is one node on one network, and one process at a time. */
#ifndef SHOAL_HOST_HOME_H
#define SHOAL_HOST_HOME_H
#include "node/base/id.h"
#include "node/host/store/store.h"

#define HOME_MESSAGE_MAX 512

struct home {
    char path[4096]; /* absolute */
    int lock;        /* file descriptor that holds the lock; -1 = not open */
    bool made;       /* the key was made just now: a first run */
};

/* Makes the folder (0700) and the key when they are missing, takes the lock, reads the key. message (HOME_MESSAGE_MAX) says what, where and what to
 * do. ERR_BUSY: another process runs on it; ERR_PERMISSION, ERR_IO, ERR_NO_SPACE, ERR_MALFORMED (the key file is damaged). */
int home_open(struct home *h, const char *path, uint8_t seed[NODE_SEED_SIZE], char *message);
void home_close(struct home *h);

/* The network this home belongs to. A new home gets the open network, in which nodes of one local network find each other without any invite; or,
 * make_private, a network of its own with a secret. fresh: nothing was shared or fetched yet, so that the home may still move. */
int home_network_load(struct store *s, struct network *out, bool make_private);
int home_network_save(struct store *s, const struct network *network);
int home_network_fresh(struct store *s, bool *fresh);
void home_network_open(struct network *out); /* the well-known open network */

/* Nodes to contact at the next start (from an invite). */
int home_hints_save(struct store *s, const struct invite *invite);
uint32_t home_hints_load(struct store *s, struct node_addr out[INVITE_NODES_MAX]);

/* Writes all of `data` to path by a temporary name, synced, mode 0600. ERR_IO, ERR_NO_SPACE, ERR_PERMISSION. */
int home_write_file(const char *path, struct bytes data);
int home_errno(int error); /* errno to enum shoal_error */
#endif
