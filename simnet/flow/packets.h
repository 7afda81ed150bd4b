/* Packet mode: every stream is two TCP-like senders, every access link two queues (up, down) that drop at the
 * tail.
 *
 * A segment waits in the sender's uplink, travels one latency, waits in the receiver's downlink, and is
 * acknowledged one by one; the acknowledgement waits in the receiver's uplink and is never dropped. Losses
 * are found when three later transmissions are acknowledged, or by the retransmission timer; the window opens
 * by slow start and by a segment a round trip, and is halved once a round trip with losses (RFC 5681, 6298,
 * 6675, 6928; no delayed acknowledgements, no pacing, no ECN). Control messages and payload share the stream,
 * in order, control before payload that has not been sent. Handshakes and datagrams of the DHT do not
 * compete. The judge of flow mode, for some 200 peers: about two events a segment. */
#ifndef SIMNET_FLOW_PACKETS_H
#define SIMNET_FLOW_PACKETS_H
#include "simnet/flow/streams_int.h"

#define PACKETS_MSS    1448u /* payload of a full segment [bytes] */
#define PACKETS_HEADER 52u   /* IPv4 and TCP with time stamps */

#define PACKETS_ACK    26u   /* on the way back for each segment: an acknowledgement for two, by halves */
/* Of a link's bytes, those that are a stream's. */
#define PACKETS_GOODPUT ((double)PACKETS_MSS / (PACKETS_MSS + PACKETS_HEADER + PACKETS_ACK))

struct packets;
/* queue: what a link's queue holds, in time at the link's rate. Aborts with a message when memory is out. */
struct packets *packets_new(uint32_t nodes, const struct streams_links *links, core_time queue);
void packets_free(struct packets *p);
/* Something to send was queued on that side; control: takes `m` (NULL: a serve was queued). */
void packets_push(struct streams *s, struct stream *t, int k, struct message *m);
/* PACKET, ARRIVED, ACK, RTO of a stream that lives. */
void packets_event(struct streams *s, struct stream *t, enum streams_event kind, uint64_t a, uint64_t b);
void packets_close(struct stream *t, int k);
size_t packets_bytes(const struct packets *p);
void packets_check(const struct stream *t, int k);
#endif
