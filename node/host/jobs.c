#include "node/host/jobs.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "node/base/assert.h"

#define JOBS_RUNNING_MAX 256            /* each may hold a dozen swarms; more is a mistake or an attack on the API */
#define JOBS_ENDED_MAX   1000
#define JOBS_ENDED_KEPT  CORE_MINUTES(10)

/* `job` comes first, so that a job's functions find the table it lives in. Slots are in a list by ascending id. */
struct job_slot {
    struct job job;
    struct jobs *jobs;
    struct job_slot *prev, *next;
};

struct jobs {
    struct host_core *core;
    struct job_slot *first, *last;
    uint32_t running, ended, last_id;
};

struct jobs *jobs_new(struct host_core *core)
{
    struct jobs *j = calloc(1, sizeof *j);
    if (j)
        j->core = core;
    return j;
}

static void slot_free(struct job_slot *s)
{
    struct jobs *j = s->jobs;
    *(s->prev ? &s->prev->next : &j->first) = s->next;
    *(s->next ? &s->next->prev : &j->last) = s->prev;
    *(s->job.state == JOB_RUNNING ? &j->running : &j->ended) -= 1;
    for (uint32_t i = 0; i < s->job.share_count; i++)
        free(s->job.shares[i].path);
    for (uint32_t i = 0; i < s->job.problem_count; i++)
        free(s->job.problems[i].path);
    for (uint32_t i = 0; i < s->job.entry_count; i++)
        free(s->job.entries[i].path);
    free(s->job.shares);
    free(s->job.problems);
    free(s->job.entries);
    free(s);
}

void jobs_free(struct jobs *j)
{
    if (!j)
        return;
    while (j->first)
        slot_free(j->first);
    free(j);
}

/* Ended jobs leave oldest id first when there are too many of them, and all of them after their time. */
static void jobs_expire(struct jobs *j, core_time now)
{
    for (struct job_slot *s = j->first, *next; s; s = next) {
        next = s->next;
        if (s->job.state != JOB_RUNNING &&
            (j->ended > JOBS_ENDED_MAX || now >= core_time_add(s->job.ended, JOBS_ENDED_KEPT)))
            slot_free(s);
    }
}

struct job *jobs_add(struct jobs *j, enum job_kind kind)
{
    core_time now = host_now(j->core);
    jobs_expire(j, now);
    if (j->running >= JOBS_RUNNING_MAX)
        return NULL;
    struct job_slot *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->jobs = j;
    s->job.id = ++j->last_id;
    s->job.kind = kind;
    s->job.state = JOB_RUNNING;
    s->job.started = now;
    s->prev = j->last;
    *(j->last ? &j->last->next : &j->first) = s;
    j->last = s;
    j->running++;
    return &s->job;
}

struct job *jobs_find(struct jobs *j, uint32_t id)
{
    jobs_expire(j, host_now(j->core));
    for (struct job_slot *s = j->last; s && s->job.id >= id; s = s->prev)
        if (s->job.id == id)
            return &s->job;
    return NULL;
}

void jobs_each(struct jobs *j, void (*each)(void *context, struct job *job), void *context)
{
    jobs_expire(j, host_now(j->core));
    for (struct job_slot *s = j->first; s; s = s->next)
        each(context, &s->job);
}

void job_problem(struct job *job, const char *path, int error, const char *text)
{
    job->problems_total++;
    if (job->problem_count >= JOB_PROBLEMS_MAX)
        return;
    if (!job->problems) {
        job->problems = calloc(JOB_PROBLEMS_MAX, sizeof *job->problems);
        if (!job->problems)
            return;
    }
    struct job_problem *p = &job->problems[job->problem_count];
    p->path = strdup(path ? path : "");
    if (!p->path)
        return;
    p->error = error;
    snprintf(p->text, sizeof p->text, "%s", text ? text : err_text(error));
    job->problem_count++;
}

static void job_end(struct job *job, enum job_state state)
{
    struct job_slot *s = (struct job_slot *)job;
    core_assert(job->state == JOB_RUNNING);
    job->state = state;
    job->ended = host_now(s->jobs->core);
    job->rate = 0;
    job->cancel = NULL;
    job->owner = NULL;
    s->jobs->running--;
    s->jobs->ended++;
}

void job_done(struct job *job)
{
    job_end(job, JOB_DONE);
}

void job_fail(struct job *job, int error, const char *format, ...)
{
    core_assert(error != 0);
    job->error = error;
    va_list args;
    va_start(args, format);
    vsnprintf(job->message, sizeof job->message, format, args);
    va_end(args);
    job_end(job, JOB_FAILED);
}
