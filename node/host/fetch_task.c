#include "node/host/fetch_internal.h"
#include "node/base/assert.h"

static void task_run(uv_work_t *req)
{
    struct fetch_task *t = (struct fetch_task *)req;
    t->run(t);
}

static void task_after(uv_work_t *req, int uv_status)
{
    struct fetch_task *t = (struct fetch_task *)req;
    struct fetches *f = t->f;
    core_assert(f->tasks > 0);
    f->tasks--;
    if (t->owner && !f->stopping) {
        if (uv_status != 0)
            t->status = ERR_CANCELLED;
        t->done(t);
    }
    t->free(t);
    fetch_maybe_stopped(f);
}

void fetch_task_start(struct fetches *f, struct fetch_task *t, void *owner)
{
    t->f = f;
    t->owner = owner;
    t->status = 0;
    atomic_init(&t->stop, false);
    f->tasks++;
    int rc = uv_queue_work(f->core->loop, &t->req, task_run, task_after);
    core_assert(rc == 0); /* fails only without a function to run */
}

void fetch_task_drop(struct fetch_task **t)
{
    if (!*t)
        return;
    (*t)->owner = NULL;
    atomic_store(&(*t)->stop, true);
    uv_cancel((uv_req_t *)&(*t)->req); /* when it has not begun; otherwise it sees `stop` */
    *t = NULL;
}
