#ifndef SIMNET_FLOW_STREAMS_INT_H
#define SIMNET_FLOW_STREAMS_INT_H
#include "simnet/flow/bandwidth.h"
#include "simnet/flow/streams.h"

#define QUANTUM      CORE_MS(100)
#define WINDOW_FIRST (10u * 1460u)     /* RFC 6928 [bytes] */
#define IDLE_RESET   CORE_SECONDS(1)   /* a flow that rested so long starts slowly again (RFC 5681, 4.1) */
#define FRAME_EXTRA  28u               /* a payload frame's head, length and tag [bytes] */

struct serve {
    struct serve *next;
    uint32_t channel, ref, leaf, count, bytes; /* bytes: payload alone, so far */
    uint32_t sent, part;        /* leaves: gone, and under way as one block */
    bool proof, readable;
};

struct side {
    uint32_t node, session, life, flow;
    bool ready, established, running;
    struct serve *first, **last;
    uint64_t left, rate;        /* of the first serve, on the wire [bytes]; as told last [bytes/s] */
    core_time since, due;       /* left was counted at `since`; the event under way is for `due` (CORE_NEVER: none) */
    uint32_t event;             /* number of that event; older ones are stale */
    uint64_t window;            /* [bytes] */
    core_time grown, rested;
    struct tcp *tcp;            /* packet mode: the sender; NULL before the first byte */
    struct serve *told, **told_last; /* packet mode: handed to the stream, the core hears of it in an event */
};

struct stream {
    struct side side[2];        /* 0 dialled */
    uint32_t refs, id;          /* events that name it, and one while it lives */
    core_time delay;
    bool dead, raw;
    uint32_t ramp_place[2];     /* in streams->ramp, or UINT32_MAX */
    uint8_t binding[HASH_SIZE];
};

struct message {
    struct message *next;       /* packet mode */
    struct stream *stream;
    uint32_t side;              /* that receives */
    uint32_t size;
    uint8_t data[];
};

struct host {
    struct stream **slots;      /* by session slot */
    uint32_t slot_count, life;
    uint64_t sent;
};

struct flow_end {               /* who a flow belongs to */
    struct stream *stream;
    int side;
};

struct streams {
    struct streams_env env;
    uint32_t nodes, window, next_id;
    struct host *hosts;
    struct bandwidth *bandwidth; /* NULL in packet mode */
    struct packets *packets;    /* NULL in flow mode */
    struct flow_end *flows;
    uint32_t flow_room;
    struct flow_end *ramp;      /* flows in slow start */
    uint32_t ramp_count, ramp_room;
    bool quantum;               /* an event for its end is under way */
    struct streams_totals totals;
    size_t bytes;
};

void streams_event_put(struct streams *s, core_time at, uint32_t to, uint32_t from, enum streams_event kind, uint64_t a, uint64_t b,
                       struct stream *stream);
struct stream *stream_find(struct streams *s, uint32_t node, uint32_t session, int *side);
void stream_unref(struct stream *t);
/* by: the side that knows at once; waits: both find out so much later still. */
void stream_break(struct streams *s, struct stream *t, int by, int reason, core_time waits);
void streams_message(struct streams *s, struct message *m); /* a control message that arrived; m stays the caller's */
/* data.c */
void data_serve(struct streams *s, struct stream *t, int k, const struct effect *x);
/* Packet mode: the last byte of the first serve's part was put into a segment. True: a block, as STREAMS_BLOCK's a and b. */
bool data_handed(struct streams *s, struct stream *t, int k, uint64_t *a, uint64_t *b);
void data_told(struct streams *s, struct stream *t, int k);
void data_sent(struct streams *s, struct stream *t, int k, uint32_t event);
void data_block(struct streams *s, struct stream *t, int k, uint64_t a, uint64_t b);
void data_quantum(struct streams *s);
void data_close(struct streams *s, struct stream *t);
#endif
