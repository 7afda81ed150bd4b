/* TCP streams between nodes: listening, dialling, handshake, frames, back-pressure. Carries out EFFECT_DIAL,
 * HANGUP, READY and SERVE. Handshakes are bounded in time, memory and number; streams have no output queue
 * beyond one send buffer each: marked ones are drained round robin. */
#ifndef SHOAL_HOST_STREAMS_H
#define SHOAL_HOST_STREAMS_H
#include "node/host/core.h"

struct streams_config {
    uint32_t handshakes_max; /* accepted and not yet authenticated, in all */
    uint32_t handshakes_per_ip_max;
    uint32_t handshake_timeout_ms;
};
void streams_config_default(struct streams_config *c);

struct streams *streams_new(struct host_core *core,
                            const struct streams_config *config); /* sets core->streams */
/* Binds and listens; *addr gets the real port. UV error code on failure (UV_EADDRINUSE...). May be called for
 * IPv4 and IPv6. */
int streams_listen(struct streams *s, struct net_addr *addr);
void streams_unlisten(struct streams *s,
                      const struct net_addr *addr); /* the bound address that streams_listen gave */
void streams_effect(struct streams *s, const struct effect *x);
void streams_resume(
    struct streams *s); /* memory is free again: read on where that had stopped (data.c calls it) */
struct streams_totals {
    uint64_t accepted, refused, handshake_failed, handshake_timeout, bytes_in, bytes_out;
    uint32_t open, handshaking;
};
void streams_totals(const struct streams *s, struct streams_totals *out);
/* Closes everything (sessions are told closed), then calls back. */
void streams_close(struct streams *s, void (*closed)(void *context), void *context);
void streams_free(struct streams *s); /* after streams_close called back; NULL is ignored */
#endif
