/* The node's API as seen by a command: one connection over the Unix socket, one call after the other. Blocks;
 * Ctrl-C ends a call with ERR_CANCELLED. */
#ifndef SHOAL_CLI_CLIENT_H
#define SHOAL_CLI_CLIENT_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct client {
    int fd;         /* -1: none */
    pid_t child;    /* a node of our own that runs for this command alone; 0: none */
    int child_pipe; /* closing it ends the child */
    char home[4096];
    char message[1024]; /* why the last call failed, for people */
    int code;           /* enum shoal_error of it */
};

/* Connects to the node of this home. 0, ERR_NOT_FOUND (none runs), ERR_PERMISSION, ERR_IO. */
int client_open(struct client *c, const char *home);
/* As client_open; when no node runs, starts one that lives as long as this command. local: it opens no port
 * and joins nothing. On error c->message says why. */
int client_open_or_start(struct client *c, const char *home, bool local);
/* Ends the node of our own, if any, and waits for it; closes the connection. */
void client_close(struct client *c);

/* One request. body: taken, may be NULL. *out (may be NULL): the answer's object on success, to be freed. 0,
 * or a negative enum shoal_error with c->message: what the node said, or ERR_CLOSED (it is gone),
 * ERR_CANCELLED (Ctrl-C). */
int client_call(struct client *c, const char *method, const char *target, json_t *body, json_t **out);
/* Calls, and takes "job" from the answer. */
int client_job(struct client *c, const char *method, const char *target, json_t *body, uint32_t *job);
#endif
