/* The HTTP load of [http]: node 1 asks node 0 for so many objects, first by one connection an object, then
 * over one that is kept, then all at once over one. Both ends run the shipped parser and writer
 * (gateways/http) over streams in packet mode.
 *
 * Metrics: response.each, response.kept, response.pipelined (first SYN to the last byte) and response.error,
 * how far each is from the textbook: n (2 RTT + O/R), RTT + n (RTT + O/R), 2 RTT + n O/R, with O the bytes of
 * an answer on the wire, with its headers, and R the server's uplink. */
#ifndef SIMNET_FLOW_WEB_H
#define SIMNET_FLOW_WEB_H
#include "simnet/flow/flow.h"

struct web;
/* NULL: the run has no such load. kind: of the one event it puts in. */
struct web *web_new(struct sim_world *w, struct streams *s, uint16_t kind);
void web_free(struct web *b); /* before the streams are freed */
void web_start(struct web *b);
/* Bytes came in order at `side` of its stream; data NULL: it is connected. */
void web_data(struct web *b, int side, const uint8_t *data, size_t size);
#endif
