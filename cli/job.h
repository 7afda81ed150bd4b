/* Waiting for a job of the node, with progress and Ctrl-C. */
#ifndef SHOAL_CLI_JOB_H
#define SHOAL_CLI_JOB_H
#include "cli/client.h"
#include "cli/progress.h"

struct job_wait {
    struct client *client;
    uint32_t job;
    const char *name; /* for the progress line while the job has none */
    bool quiet;       /* no progress */
    bool show_peers;
};

/* Waits for the end. 0: *out is the job as it ended (done or failed), to be freed. Otherwise the code of the
 * call that failed, with client->message; ERR_CANCELLED after Ctrl-C: the job was told to stop and has. */
int job_wait(struct job_wait *w, json_t **out);
/* Calls each with every element of "entries" or "shares" of an ended job, page by page. */
int job_items(struct client *c, uint32_t job, const char *field,
              void (*each)(void *context, const json_t *item), void *context);
/* Says every problem of the job on standard error. Returns how many there were. */
uint64_t job_say_problems(const json_t *job);

const char *json_text(const json_t *o, const char *field); /* "" when missing */
uint64_t json_number(const json_t *o, const char *field);  /* 0 when missing or null */
/* The path as the node needs it: absolute, without changing symbolic links. ERR_RANGE. */
int absolute_path(char out[4096], const char *path);
#endif
