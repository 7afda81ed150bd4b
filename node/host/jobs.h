/* Long work that a person waits for: sharing, fetching, listing a link, finding. One table; polled by the API. Loop thread only. */
#ifndef SHOAL_HOST_JOBS_H
#define SHOAL_HOST_JOBS_H
#include "node/host/core.h"
#include "transfer/content.h"

enum job_kind { JOB_SHARE, JOB_GET, JOB_LIST, JOB_FIND, JOB_GC, JOB_ROTATE };
enum job_state { JOB_RUNNING, JOB_DONE, JOB_FAILED };

struct job_share {               /* one per path of a share job */
    char *path;                  /* absolute */
    char link[LINK_TEXT_MAX];
    struct content_id id;
    uint64_t bytes, files;
    uint32_t stored, asked;      /* holders of the provider record; asked 0: not yet known */
    bool announced;
};
struct job_problem {             /* one per file that was skipped or refused */
    char *path;
    int error;                   /* enum shoal_error */
    char text[160];
};
struct job_entry {               /* one per line of a listing */
    char *path;                  /* relative, with '/' */
    struct content_id id;
    bool executable;
};

struct job {
    uint32_t id;
    enum job_kind kind;
    enum job_state state;
    int error;                   /* when failed */
    char message[320];           /* what, where and what to do; also a hint while running ("looking for sources") */
    uint64_t bytes_done, bytes_total, files_done, files_total; /* total 0: not yet known */
    uint64_t rate;               /* [bytes/s] */
    uint32_t peers, seeds;
    char name[256];              /* what it is about */
    char target[4096];           /* get: the final path */
    struct job_share *shares;
    uint32_t share_count;
    struct job_problem *problems;/* the first JOB_PROBLEMS_MAX */
    uint32_t problem_count, problems_total;
    struct job_entry *entries;
    uint32_t entry_count;
    uint64_t a, b;               /* find: providers, -; gc: objects, bytes; rotate: told, tried */
    core_time started, ended;
    void (*cancel)(struct job *job); /* NULL: cannot be cancelled */
    void *owner;                 /* the module that works on it */
};
#define JOB_PROBLEMS_MAX 100

struct jobs;
struct jobs *jobs_new(struct host_core *core);
void jobs_free(struct jobs *j);
struct job *jobs_add(struct jobs *j, enum job_kind kind);      /* NULL: too many running */
struct job *jobs_find(struct jobs *j, uint32_t id);            /* ended ones are kept for 10 minutes, at most 1,000 */
void jobs_each(struct jobs *j, void (*each)(void *context, struct job *job), void *context);
void job_problem(struct job *job, const char *path, int error, const char *text);
void job_done(struct job *job);
void job_fail(struct job *job, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
#endif
