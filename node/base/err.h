/* Every error code of the cores and the host, in one table: code, name, text for people. Zero is success, codes are
 * negative. Three kinds, never mixed (STYLE.md, rule 7): a peer's fault is counted and cheap; the environment's fault goes
 * to the caller unchanged and leaves the object usable; our own bug is an assertion (see assert.h), not a code. */
#ifndef SHOAL_BASE_ERR_H
#define SHOAL_BASE_ERR_H
#include <stdbool.h>

#define SHOAL_ERRORS(X)                                                                                           \
    /* a peer's (or a user's) input */                                                                            \
    X(ERR_MALFORMED, -1, "the bytes do not follow the format")                                                    \
    X(ERR_CHECKSUM, -2, "a character is wrong or missing: the checksum does not match")                           \
    X(ERR_VERSION, -3, "made by a newer version of shoal")                                                        \
    X(ERR_NETWORK, -4, "belongs to another network")                                                              \
    X(ERR_AUTH, -5, "authentication failed")                                                                      \
    X(ERR_UNSOLICITED, -6, "an answer to no question of ours")                                                    \
    X(ERR_UNSUPPORTED, -7, "not supported by this version")                                                       \
    X(ERR_QUOTA, -8, "over the quota")                                                                            \
    X(ERR_STALE, -9, "older than what is known")                                                                  \
    X(ERR_EXPIRED, -10, "expired")                                                                                \
    X(ERR_REFUSED, -11, "refused")                                                                                \
    X(ERR_BAD_HASH, -12, "the data does not match its hash")                                                      \
    X(ERR_BANNED, -13, "banned for earlier faults")                                                               \
    X(ERR_RANGE, -14, "a value is out of range")                                                                  \
    X(ERR_TIMEOUT, -15, "no answer in time")                                                                      \
    X(ERR_CLOSED, -16, "the connection was closed")                                                               \
    /* the environment */                                                                                         \
    X(ERR_NO_MEMORY, -32, "out of memory")                                                                        \
    X(ERR_FULL, -33, "a limit of this node is reached")                                                           \
    X(ERR_IO, -34, "reading or writing failed")                                                                   \
    X(ERR_NO_SPACE, -35, "the disk is full")                                                                      \
    X(ERR_NOT_FOUND, -36, "not found")                                                                            \
    X(ERR_EXISTS, -37, "exists already")                                                                          \
    X(ERR_CHANGED, -38, "the file changed while it was in use")                                                   \
    X(ERR_PERMISSION, -39, "permission denied")                                                                   \
    X(ERR_CANCELLED, -40, "cancelled")                                                                            \
    X(ERR_BUSY, -41, "in use")                                                                                    \
    X(ERR_NO_SOURCES, -42, "nobody who has it could be reached")                                                  \
    X(ERR_NOT_A_FILE, -43, "neither a regular file nor a directory")

enum shoal_error {
    SHOAL_OK = 0,
#define X(name, code, text) name = code,
    SHOAL_ERRORS(X)
#undef X
};

/* "ERR_MALFORMED" and the text above; for an unknown code "ERR_?" and "unknown error". Static strings. */
const char *err_name(int code);
const char *err_text(int code);

/* True for the environment's faults, which concern this node and not the peer that happened to be served. */
static inline bool err_is_ours(int code)
{
    return code <= -32;
}
#endif
