/* Inside streams.c and streams_io.c. Loop thread only. */
#ifndef SHOAL_HOST_STREAMS_INT_H
#define SHOAL_HOST_STREAMS_INT_H
#include "node/channel/stream.h"
#include "node/host/data.h"
#include "node/host/streams.h"
#include "transfer/frame.h"

#define CONN_UNSENT_MAX                                                                                      \
    (512u * 1024u)          /* handed to the kernel's door and not yet through: nothing more is made */
#define CONN_SERVE_JOBS 3u  /* reads ahead */
#define SERVE_FRAMES    40u /* in one job */
#define HELLO_SIZE_MAX  (NOISE_MESSAGE_1_OVERHEAD + 64 + STREAM_FIRST_MAX)
#define LISTENERS_MAX   4u

enum conn_state {
    CONN_CONNECTING, /* dialled */
    CONN_HELLO,      /* accepted: message 1 is to come */
    CONN_ANSWERING,  /* accepted: the core thinks about the reply */
    CONN_REPLY,      /* dialled: message 2 is to come */
    CONN_OPEN,
    CONN_CLOSING
};

struct serve {                                /* one EFFECT_SERVE */
    uint32_t channel, ref, leaf, count, next; /* next: leaves (or entries) that a job already took */
    uint32_t frames;                          /* in jobs */
    uint32_t bytes;
    int status;
    bool proof; /* still to be sent first */
    bool all_taken;
};

struct serve_frame {
    uint64_t serve;    /* number in the connection's queue */
    uint32_t at, head; /* offset in the slab; size of the frame's head */
};

struct serve_job {
    struct conn *conn;
    struct data_slab *slab;
    uint32_t count;
    bool done;
    struct serve_job *next; /* in order of making */
    struct serve_frame frames[SERVE_FRAMES];
    struct data_piece pieces[SERVE_FRAMES];
};

struct conn_list {
    struct conn *first, *last;
};
enum { LIST_ALL, LIST_HANDSHAKE, LIST_READY, LIST_PAUSED, LIST_COUNT };

struct conn {
    uv_tcp_t tcp;
    uv_connect_t connecting;
    struct streams *owner;
    struct stream stream;
    struct net_addr peer;
    uint8_t dial_key[NODE_KEY_SIZE];
    uint32_t session; /* 0: the core does not know it */
    enum conn_state state;
    bool incoming, closed; /* closed: the handle is gone */
    uint64_t since_ms;
    struct conn *next[LIST_COUNT], *prev[LIST_COUNT];
    bool in[LIST_COUNT];
    uint8_t *partial; /* the beginning of a frame, only while there is one */
    size_t partial_size;
    struct data_slab *reading; /* between on_alloc and on_read */
    bool control_ready;        /* the core has control bytes */
    size_t unsent;
    uint64_t window_ms, window_moved, sent; /* for the least rate */
    struct serve *serves;                   /* ring */
    uint32_t serve_cap;
    uint64_t serve_head, serve_take, serve_tail; /* numbers: oldest, next one for a job, next free */
    struct serve_job *jobs, **jobs_end;
    uint32_t job_count;
};

struct streams {
    struct host_core *core;
    struct streams_config config;
    struct stream_config stream;
    uv_tcp_t *listeners[LISTENERS_MAX];
    uint32_t listener_count;
    bool bind4, bind6;
    struct net_addr from4, from6; /* where outgoing connections come from */
    uv_timer_t *timer;
    uv_check_t *check;
    uv_prepare_t *prepare;
    struct conn_list lists[LIST_COUNT];
    struct conn **by_slot;
    uint32_t slot_count;
    struct streams_totals totals;
    uint32_t handles; /* connections, listeners and our own, not yet closed */
    bool closing, free_wanted;
    void (*closed)(void *context);
    void *closed_context;
    uint8_t scratch[2 + STREAM_FRAME_MAX];
};

void conn_list_add(struct conn *c, int list);
void conn_list_remove(struct conn *c, int list);
/* Closes; tells the core when it knows the session. Harmless when it is closing already. */
void conn_close(struct conn *c, int reason);
void conn_free_if_done(struct conn *c);

/* Closes what is too old or too slow at this time of the loop [ms]; a timer calls it, and tests with a time
 * of their own. */
void streams_sweep(struct streams *s, uint64_t now);

/* streams_io.c */
void conn_read_start(struct conn *c);
void conn_write_copy(struct conn *c, const uint8_t *bytes,
                     size_t size); /* tries at once; copies what is left */
void conn_confirm(struct conn *c); /* the initiator's first frame, empty: shows the responder that message 1
                                      was no replay */
void conn_pump(struct conn *c);
void conn_serve(struct conn *c, const struct effect *x);
void conn_io_free(struct conn *c);
/* streams.c: one whole handshake message. False: closed. */
bool conn_handshake(struct conn *c, uint8_t *message, size_t size);
#endif
