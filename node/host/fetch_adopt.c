#include "node/host/fetch_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include "node/base/assert.h"
#include "node/host/fault.h"
#include "node/host/log.h"

struct fetch_adopt {
    struct fetch
        *fetch; /* NULL: the node stops; the row of the fetch stays, and the next start comes here again */
    uint32_t pending; /* paths the store is being told, and one for who adds them */
    int status;       /* the first error */
    char message[64];
};

struct fetch_adopt *fetch_adopt_new(struct fetch *x, const char *message)
{
    core_assert(x->adopt == NULL);
    struct fetch_adopt *a = calloc(1, sizeof *a);
    if (!a) {
        fetch_fail(x, ERR_NO_MEMORY, "%.200s is here, but out of memory while recording it; get it again",
                   x->target);
        return NULL;
    }
    a->fetch = x;
    a->pending = 1;
    snprintf(a->message, sizeof a->message, "%s", message);
    x->adopt = a;
    return a;
}

static void one_done(void *context, int status)
{
    struct fetch_adopt *a = context;
    struct fetch *x = a->fetch;
    core_assert(a->pending > 0);
    if (status != 0 && a->status == 0)
        a->status = status;
    if (--a->pending > 0)
        return;
    if (x) {
        x->adopt = NULL;
        if (a->status != 0)
            log_warning("fetch", "%s is here, but cannot be shared on: %s", x->target, err_text(a->status));
        fetch_done(x, a->status != 0 ? "here, but not shared on: see the log" : a->message);
        fault_point("recorded");
        if (x->what.link.id.kind == CONTENT_TREE)
            fetch_clean_staging(x);
    }
    free(a);
}

void fetch_adopt_path(struct fetch_adopt *a, const char *path, const struct content_id *id)
{
    a->pending++;
    int rc = shares_adopt(a->fetch->f->shares, path, id, true, one_done, a);
    if (rc != 0)
        one_done(a, rc);
}

void fetch_adopt_ready(struct fetch_adopt *a)
{
    one_done(a, 0);
}

void fetch_adopt_drop(struct fetch *x)
{
    if (x->adopt)
        x->adopt->fetch = NULL;
    x->adopt = NULL;
}
