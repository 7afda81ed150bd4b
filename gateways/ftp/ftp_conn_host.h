/* Between the host files of the FTP gateway: ftp_host.c (listener), ftp_conn_host.c (control connections:
 * what the session wishes is done), ftp_data_host.c (data connections), ftp_move_host.c (bytes from and to
 * content over them). */
#ifndef SHOAL_FTP_CONN_HOST_H
#define SHOAL_FTP_CONN_HOST_H
#include "gateways/ftp/ftp_host.h"
#include "gateways/ftp/ftp_session.h"

#define FTP_CONNECTIONS_MAX 20000
#define FTP_BLOCK           (256u * 1024u) /* read, converted and written at once [bytes] */
#define FTP_BLOCK_SMALL     (16u * 1024u) /* when FTP_BUFFERS are in use: slow readers must not fill the memory \
                                           */
#define FTP_BUFFERS 64u
#define FTP_TURN    (4u << 20) /* bytes of one transfer before others get their turn */

struct ftp_server {
    struct gateways *g;
    uv_tcp_t listener;
    bool closing;
    struct net_addr address;
    char text[NET_ADDR_TEXT_MAX];
    struct ftp_config session_config;
    int anonymous;                             /* enum config_anonymous */
    uint16_t port_first, port_last, port_next; /* for passive data connections; 0: any */
    struct net_addr external;                  /* told to peers outside; port 0: none */
    uint32_t count, buffers;                   /* buffers: how many transfers hold one */
    uint64_t strangers; /* data connections from another address than the control connection's, refused */
    struct ftp_conn *conns;
    bool carrying; /* `out` is being carried out */
    struct ftp_effects out;
    uint8_t in[4096];
    uint8_t block[FTP_BLOCK]; /* of whoever's turn it is, for the length of a callback */
    uint8_t text_block[FTP_BLOCK + 1];
};

struct ftp_data { /* a data port, or a data connection */
    uv_poll_t poll;
    int fd, events; /* events: polled for, of a connection that stands */
    enum { FTP_DATA_PORT, FTP_DATA_DIALED, FTP_DATA_STANDS } kind;
    struct ftp_conn *c; /* NULL once closed */
    struct ftp_conn *holder;
};

struct ftp_late { /* an answer that cannot be called off: when the connection does not want it any more, c is
                     NULL */
    struct ftp_conn *c;
    struct gateways *g;
};

enum ftp_answer {
    ANSWER_NONE,
    ANSWER_LOGIN,
    ANSWER_LISTEN,
    ANSWER_LOOK,
    ANSWER_OPENED,
    ANSWER_MOVED,
    ANSWER_SUM,
    ANSWER_DONE
};
enum ftp_task { TASK_NONE, TASK_SEND, TASK_LIST, TASK_STORE, TASK_SUM };

struct ftp_conn {
    struct ftp_server *server;
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_shutdown_t shutdown;
    uint32_t lingered;  /* thrown away after the last reply [bytes] */
    core_time timer_at; /* what it is set to; CORE_NEVER: not set */
    uint32_t handles;
    bool closing, hangup, reading, eof, half, data_told; /* half: the client says no more, but listens */
    struct net_addr peer, local;
    struct ftp_session *s;
    struct session *x; /* in the table of sessions; NULL: none */
    struct account_who who;

    /* An answer found while effects are carried out is given after them. */
    enum ftp_answer answer;
    int status, data_status;
    uint64_t number;
    struct net_addr addr;

    struct content_call *call; /* under way */
    struct account_call *login;
    struct ftp_late *late; /* an upload being finished */
    struct ftp_data *data; /* port or connection */

    /* What is open. */
    enum ftp_task task;
    bool moving, control, ascii, waits_drain;
    struct content_file *file;
    struct content_upload *upload;
    char *path, *pattern;
    enum ftp_list_form form;
    unsigned facts;
    uint64_t offset, end, moved; /* offset: next byte of the file, or next entry of the list */
    uint64_t skip;               /* converted text that goes before REST's place [bytes] */
    bool more;                   /* of a list: further pages */
    struct ftp_ascii text;
    uint32_t crc;
    uint8_t *buffer;                           /* read, not yet sent */
    size_t buffer_size, buffer_at, buffer_cap; /* cap > 0: counted in buffers of the server */
    struct ftp_conn *prev, *next;
};

/* ---- ftp_conn_host.c ---- */
void ftp_conn_open(struct ftp_server *server);
/* The session is told, and what follows is done. Nothing of the connection is touched after it by who calls.
 */
void ftp_conn_answer(struct ftp_conn *c, enum ftp_answer answer, int status, uint64_t number);
void ftp_conn_data(struct ftp_conn *c, int status); /* the data connection stands, or could not be made */
void ftp_conn_say(struct ftp_conn *c, const void *text, size_t size);
void ftp_conn_end(struct ftp_conn *c, const char *reason); /* 421, then closed */
void ftp_conn_close(struct ftp_conn *c);
bool ftp_conn_gone(const struct ftp_conn *c); /* the client has closed the control connection, although we
                                                 have not read that yet */
void ftp_conn_unhold(struct ftp_conn *c);
core_time ftp_conn_now(const struct ftp_conn *c);
struct ftp_late *ftp_late_new(struct ftp_conn *c);
struct ftp_conn *ftp_late_end(struct ftp_late *late); /* NULL: nobody waits any more */

/* ---- ftp_data_host.c ---- */
int ftp_data_listen(struct ftp_conn *c, struct net_addr *told);
int ftp_data_dial(struct ftp_conn *c, const struct net_addr *to);
void ftp_data_close(struct ftp_conn *c);
void ftp_data_poll(struct ftp_conn *c, int events); /* 0: stop. Readiness comes to ftp_move_ready */

/* ---- ftp_move_host.c ---- */
void ftp_open_send(struct ftp_conn *c, const struct ftp_effect *e);
void ftp_open_list(struct ftp_conn *c, const struct ftp_effect *e);
void ftp_open_store(struct ftp_conn *c, const struct ftp_effect *e);
void ftp_sum(struct ftp_conn *c, const struct ftp_effect *e);
void ftp_move(struct ftp_conn *c, const struct ftp_effect *e);
void ftp_move_ready(struct ftp_conn *c);
void ftp_move_end(struct ftp_conn *c); /* whatever is open is given up */
void ftp_info_of(struct ftp_info *out, char id[80], const struct content_info *info, const char *folder);
#endif
