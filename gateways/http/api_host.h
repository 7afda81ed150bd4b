/* The JSON API of a node (docs/api.md), served over a Unix socket in its home. What the command line talks
 * to. */
#ifndef SHOAL_API_HOST_H
#define SHOAL_API_HOST_H
#include "node/host/app.h"
#include "transfer/content.h"

struct gateways;

#define API_SOCKET_PATH_MAX 108 /* sun_path with its NUL */

/* GATEWAY_API (gateways_host.h): home/api.sock (or the fallback, see api_socket_path). */
int api_start(struct gateways *g, char *message);
void api_stop(struct gateways *g);
void api_free(struct gateways *g);
const char *api_address(const struct gateways *g); /* the path of the socket */

/* Where the socket of a home lies: home/api.sock when that fits a socket address; otherwise shoal-<hash of
 * home>.sock in XDG_RUNTIME_DIR or, without one, in /tmp/shoal-<uid> (made with mode 0700; refused when it is
 * somebody else's). *fallback tells which. ERR_PERMISSION, ERR_IO. */
int api_socket_path(char out[API_SOCKET_PATH_MAX], const char *home, bool *fallback);
/* What a client reads: the path in home/api.path when that file exists, otherwise home/api.sock. */
void api_socket_find(char out[API_SOCKET_PATH_MAX], const char *home);

/* One sentence that says where a link or an invite is wrong, for people. `text` is what they gave. */
void link_problem(char *out, size_t cap, const char *text, int code, size_t where);
void invite_problem(char *out, size_t cap, const char *text, int code);
#endif
