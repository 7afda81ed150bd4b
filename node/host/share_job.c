/* One share job, driven on the loop: walk, find what is known, hash with as many work items as there are
 * cores, record, announce. The items run in the thread pool and each touches only what it was given; the loop
 * never waits for one. */
#include <stdlib.h>
#include <unistd.h>
#include "node/host/share_internal.h"

static void work_go(struct share_work *w);

static void give_up(struct share_work *w, int error, const char *message)
{
    if (w->error)
        return;
    w->error = error;
    snprintf(w->message, sizeof w->message, "%s", message);
    atomic_store(&w->stop, true);
}

/* ---- In the pool ---- */

static void on_item(uv_work_t *work)
{
    struct share_item *item = work->data;
    struct share_work *w = item->owner;
    switch (item->kind) {
    case ITEM_WALK:
        item->status = share_tree_walk(&w->tree, &w->stop, &item->problems);
        break;
    case ITEM_BEGIN:
        item->status = share_record_begin(&w->recorder);
        break;
    case ITEM_SMALL:
        item->bytes = share_hash_small(&w->tree, w->small, item->from, item->to, &w->stop, &item->problems);
        break;
    case ITEM_BIG_OPEN:
        item->status = share_big_open(&w->tree, item->big);
        break;
    case ITEM_BIG_PIECE:
        item->status = share_big_piece(item->big, item->from, item->to);
        break;
    case ITEM_BIG_FINISH:
        item->status = share_big_finish(&w->tree, item->big);
        break;
    case ITEM_FILES:
        item->status = share_record_files(&w->recorder, w->record, w->record_count, w->record_trees,
                                          w->record_trees_count);
        break;
    case ITEM_END:
        item->status = share_record_end(&w->recorder);
        break;
    }
}

static void on_item_done(uv_work_t *work, int status);

static struct share_item *item_free(struct share_work *w)
{
    for (uint32_t i = 0; i < w->workers; i++) {
        if (!w->items[i].busy)
            return &w->items[i];
    }
    return NULL;
}

static struct share_item *record_item(struct share_work *w)
{
    return &w->items[SHARE_WORKERS_MAX];
}

static void item_start(struct share_work *w, struct share_item *item, enum share_item_kind kind)
{
    core_assert(!item->busy);
    item->owner = w;
    item->kind = kind;
    item->busy = true;
    item->status = 0;
    item->bytes = 0;
    item->work.data = item;
    share_problems_init(&item->problems);
    w->in_flight++;
    w->shares->in_flight++;
    core_assert(uv_queue_work(w->shares->core->loop, &item->work, on_item, on_item_done) == 0);
}

/* ---- What each kind's end means ---- */

static bool lists_make(struct share_work *w)
{
    struct share_tree *t = &w->tree;
    size_t size = ((size_t)t->entry_count + 1) * sizeof *w->small;
    w->small = malloc(size);
    w->big = malloc(size);
    w->hashed = malloc(size);
    w->record = malloc(size);
    return w->small && w->big && w->hashed && w->record;
}

/* Totals are known now; files that the store knows by their stamp count as done. */
static void after_begin(struct share_work *w)
{
    struct share_tree *t = &w->tree;
    if (!lists_make(w)) {
        give_up(w, ERR_NO_MEMORY,
                "not enough memory for the list of files: share its directories one by one");
        return;
    }
    for (uint32_t i = 0; i < t->entry_count; i++) {
        const struct share_entry *e = &t->entries[i];
        if (e->dir != SHARE_NONE)
            continue;
        w->job->files_total++;
        w->job->bytes_total += e->stamp.size;
        if (e->state == ENTRY_KNOWN) {
            w->job->files_done++;
            w->job->bytes_done += e->stamp.size;
        } else if (e->stamp.size > SHARE_SPAN_SIZE) {
            w->big[w->big_count++] = i;
        } else {
            w->small[w->small_count++] = i;
        }
    }
    w->phase = PHASE_HASH;
}

static void after_walk(struct share_work *w, int status)
{
    if (status) {
        give_up(w, status, err_text(status));
        return;
    }
    const struct share_root *refused = NULL;
    uint32_t good = 0;
    for (uint32_t i = 0; i < w->tree.root_count; i++) {
        if (w->tree.roots[i].entry == SHARE_NONE)
            refused = refused ? refused : &w->tree.roots[i];
        else
            good++;
    }
    if (good == 0) {
        char message[320];
        snprintf(message, sizeof message, "%.100s%s: %s", refused ? refused->path : "",
                 w->tree.root_count > 1 ? " (and the others)" : "",
                 refused ? refused->text : "nothing to share");
        give_up(w, refused ? refused->error : ERR_NOT_FOUND, message);
        return;
    }
    w->phase = PHASE_BEGIN;
    item_start(w, record_item(w), ITEM_BEGIN);
}

static void after_small(struct share_work *w, const struct share_item *item)
{
    for (uint32_t i = item->from; i < item->to; i++) {
        struct share_entry *e = &w->tree.entries[w->small[i]];
        if (e->state == ENTRY_HASHED)
            w->hashed[w->hashed_count++] = w->small[i];
        else if (e->state == ENTRY_WAITING && e->stamp.size > SHARE_SPAN_SIZE)
            w->big[w->big_count++] =
                w->small[i]; /* it grew; each entry is in one list at a time, so there is room */
        if (e->state != ENTRY_WAITING)
            w->job->files_done++;
    }
    w->small_done += item->to - item->from;
    w->job->bytes_done += item->bytes;
}

static void big_failed(struct share_work *w, struct share_big *b, int status)
{
    char path[PATH_MAX], text[160];
    share_big_close(b, false);
    b->status = 0;
    if (status == ERR_CHANGED && ++w->tree.entries[b->entry].tries < SHARE_TRIES && !w->error) {
        b->state = BIG_FREE; /* again from the start: the entry goes back to the end of the list */
        w->job->bytes_done -= b->hashed;
        w->big[--w->big_next] = b->entry;
        return;
    }
    if (status == ERR_NO_SPACE || status == ERR_QUOTA || status == ERR_NO_MEMORY) {
        give_up(w, status,
                status == ERR_NO_SPACE
                    ? "the disk of the node's home is full: free some space and share again"
                    : err_text(status));
    } else if (!w->error) {
        share_explain(status, text, sizeof text);
        if (share_path(&w->tree, b->entry, path, sizeof path)) {
            log_warning("share", "%s: %s", path, text);
            job_problem(w->job, path, status, text);
        }
    }
    w->tree.entries[b->entry].state = ENTRY_SKIPPED;
    w->job->files_done++;
    b->state = BIG_FREE;
}

static bool tree_keep(struct share_work *w, const struct share_big *b)
{
    if (w->trees_count == w->trees_cap) {
        uint32_t cap = w->trees_cap ? w->trees_cap * 2 : 16;
        void *p = realloc(w->trees, cap * sizeof *w->trees);
        if (p == NULL)
            return false;
        w->trees = p;
        w->trees_cap = cap;
    }
    char *path = strdup(b->tree_path);
    if (path)
        w->trees[w->trees_count++] = (struct share_trees){b->entry, path};
    return path != NULL;
}

static void big_done(struct share_work *w, struct share_big *b)
{
    bool kept = tree_keep(w, b);
    share_big_close(b, kept);
    b->state = BIG_FREE;
    if (!kept) {
        give_up(w, ERR_NO_MEMORY, err_text(ERR_NO_MEMORY));
        return;
    }
    w->hashed[w->hashed_count++] = b->entry;
    w->job->files_done++;
}

static void after_big(struct share_work *w, const struct share_item *item)
{
    struct share_big *b = item->big;
    b->in_flight--;
    if (item->status && b->status == 0)
        b->status = item->status;
    if (item->kind == ITEM_BIG_PIECE && item->status == 0) {
        uint64_t from = item->from * SHARE_SPAN_SIZE, to = item->to * SHARE_SPAN_SIZE;
        uint64_t bytes = (to < b->stamp.size ? to : b->stamp.size) - from;
        w->job->bytes_done += bytes;
        b->hashed += bytes;
        b->done += item->to - item->from;
    }
    if (b->in_flight > 0)
        return;
    if (b->status || w->error)
        big_failed(w, b, b->status ? b->status : ERR_CANCELLED);
    else if (item->kind == ITEM_BIG_FINISH)
        big_done(w, b);
    else if (b->state == BIG_OPENING)
        b->state = BIG_HASHING;
    else if (b->done == b->spans)
        b->state = BIG_FINISHING;
}

static void recorder_failed(struct share_work *w)
{
    char message[320];
    int error = w->recorder.error;
    if (error == ERR_CANCELLED) {
        give_up(w, error, "cancelled");
        return;
    }
    const char *advice = error == ERR_NO_SPACE ? ": free some space and share again"
                         : error == ERR_QUOTA  ? ": raise [store] quota, or `shoal gc` and share again"
                                               : "";
    snprintf(message, sizeof message, "cannot record the share in %.160s: %s%s", w->recorder.where,
             err_text(error), advice);
    give_up(w, error, message);
}

static void on_item_done(uv_work_t *work, int status)
{
    struct share_item *item = work->data;
    struct share_work *w = item->owner;
    core_assert(status == 0);
    item->busy = false;
    w->in_flight--;
    w->shares->in_flight--;
    share_problems_tell(&item->problems, w->job);
    switch (item->kind) {
    case ITEM_WALK:
        after_walk(w, item->status);
        break;
    case ITEM_BEGIN:
        if (item->status)
            recorder_failed(w);
        else
            after_begin(w);
        break;
    case ITEM_SMALL:
        after_small(w, item);
        break;
    case ITEM_BIG_OPEN:
    case ITEM_BIG_PIECE:
    case ITEM_BIG_FINISH:
        after_big(w, item);
        break;
    case ITEM_FILES:
        w->recording = false;
        free(w->record_trees); /* the paths in it went with the item */
        w->record_trees = NULL;
        w->record_trees_count = 0;
        if (item->status)
            recorder_failed(w);
        break;
    case ITEM_END:
        if (item->status)
            recorder_failed(w);
        else
            w->phase = PHASE_ANNOUNCE;
        break;
    }
    work_go(w);
}

/* ---- Hashing: what to start next ---- */

static bool small_start(struct share_work *w, struct share_item *item)
{
    if (w->small_next == w->small_count)
        return false;
    uint64_t bytes = 0;
    item->from = w->small_next;
    while (w->small_next < w->small_count && w->small_next - item->from < SHARE_BATCH_FILES &&
           bytes < SHARE_BATCH_BYTES)
        bytes += w->tree.entries[w->small[w->small_next++]].stamp.size;
    item->to = w->small_next;
    item_start(w, item, ITEM_SMALL);
    return true;
}

static void big_item(struct share_work *w, struct share_item *item, struct share_big *b,
                     enum share_item_kind kind)
{
    item->big = b;
    b->in_flight++;
    item_start(w, item, kind);
}

static bool big_start(struct share_work *w, struct share_item *item)
{
    for (uint32_t i = 0; i < SHARE_BIGS_MAX; i++) {
        struct share_big *b = &w->bigs[i];
        if (b->state == BIG_FINISHING && b->in_flight == 0) {
            big_item(w, item, b, ITEM_BIG_FINISH);
            return true;
        }
        if (b->state == BIG_HASHING && b->status == 0 && b->next < b->spans) {
            item->from = b->next;
            b->next = b->spans - b->next > SHARE_PIECE_SPANS ? b->next + SHARE_PIECE_SPANS : b->spans;
            item->to = b->next;
            big_item(w, item, b, ITEM_BIG_PIECE);
            return true;
        }
    }
    for (uint32_t i = 0; i < SHARE_BIGS_MAX && w->big_next < w->big_count; i++) {
        struct share_big *b = &w->bigs[i];
        if (b->state != BIG_FREE)
            continue;
        uint32_t entry = w->big[w->big_next++];
        *b = (struct share_big){.entry = entry, .fd = -1, .tree_fd = -1, .state = BIG_OPENING};
        int status = store_temporary_path(w->shares->core->store, "trees", b->tree_path, sizeof b->tree_path);
        if (status) {
            big_failed(w, b, status);
            return true;
        }
        big_item(w, item, b, ITEM_BIG_OPEN);
        return true;
    }
    return false;
}

/* What was hashed is recorded while the rest is hashed, so that a crash loses little of it. */
static void record_start(struct share_work *w)
{
    uint32_t *swap = w->record;
    w->record = w->hashed;
    w->record_count = w->hashed_count;
    w->hashed = swap;
    w->hashed_count = 0;
    w->record_trees = w->trees;
    w->record_trees_count = w->trees_count;
    w->trees = NULL;
    w->trees_count = w->trees_cap = 0;
    w->recording = true;
    item_start(w, record_item(w), ITEM_FILES);
}

static void hash_go(struct share_work *w)
{
    struct share_item *item;
    while (!w->error && (item = item_free(w)) != NULL && (big_start(w, item) || small_start(w, item)))
        ;
    bool idle = w->in_flight == (w->recording ? 1u : 0u);
    if (w->error)
        return;
    if (!w->recording &&
        (w->hashed_count >= SHARE_COMMIT_ROWS || w->trees_count > 0 || (idle && w->hashed_count > 0))) {
        record_start(w);
        return;
    }
    if (idle && !w->recording) {
        w->phase = PHASE_END;
        item_start(w, record_item(w), ITEM_END);
    }
}

/* ---- Announcing and the end ---- */

static void work_end(struct share_work *w)
{
    struct shares *s = w->shares;
    struct job *job = w->job;
    struct share_work **at = &s->works;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    if (w->error)
        job_fail(job, w->error, "%s", w->message);
    else
        job_done(job);
    share_work_free(w);
    shares_next(s);
    shares_settled(s);
}

static void share_line(struct share_work *w, struct share_root *root)
{
    const struct share_entry *e = &w->tree.entries[root->entry];
    struct job_share *line = &w->job->shares[w->job->share_count];
    char *path = strdup(root->path);
    if (path == NULL)
        return;
    memset(line, 0, sizeof *line);
    line->path = path;
    line->id = e->id;
    line->bytes = root->bytes;
    line->files = root->files;
    shares_link(w->shares, &e->id, share_name(&w->tree, e), line->link, sizeof line->link);
    w->job->share_count++;
}

static void root_announce(struct share_work *w, struct share_root *root)
{
    struct shares *s = w->shares;
    uint8_t key[HASH_SIZE];
    content_provider_key(key, &w->tree.entries[root->entry].id, s->core->network, s->core->crypto);
    if (w->background || w->tree.root_count > SHARE_URGENT_MAX) {
        shares_key_queue(s, key, false);
        return;
    }
    root->op = SHARE_OP_FIRST + (s->last_op++ & 0x0fffffffu);
    w->announcing++;
    int status = node_announce(s->core->node, host_now(s->core), key, true, root->op, host_out(s->core));
    if (status) {
        log_warning("share", "%s is not announced yet: %s", root->path, err_text(status));
        root->op = 0;
        w->announcing--;
    }
}

static void announce_start(struct share_work *w)
{
    struct shares *s = w->shares;
    struct share_tree *t = &w->tree;
    for (uint32_t i = 0; i < w->recorder.lost_count; i++)
        shares_key_queue(s, w->recorder.lost[i], true);
    share_record_close(&w->recorder);
    s->changes++;
    share_serve_check(s);
    w->job->shares = calloc(t->root_count, sizeof *w->job->shares);
    uint32_t big = 0;
    for (uint32_t i = 0; i < t->root_count; i++) {
        struct share_root *root = &t->roots[i];
        if (root->entry == SHARE_NONE || t->entries[root->entry].state == ENTRY_SKIPPED ||
            atomic_load(&root->dropped))
            continue;
        if (w->job->shares)
            share_line(w, root);
        root_announce(w, root);
    }
    for (uint32_t i = 0; i < t->entry_count; i++) {
        const struct share_entry *e = &t->entries[i];
        uint8_t key[HASH_SIZE];
        if (e->parent == SHARE_NONE || e->dir != SHARE_NONE || e->state == ENTRY_SKIPPED ||
            e->id.size < SHARE_ANNOUNCE_MIN)
            continue;
        content_provider_key(key, &e->id, s->core->network, s->core->crypto);
        shares_key_queue(s, key, false);
        big++;
    }
    if (w->job->share_count == 0 && w->job->problem_count > 0) {
        const struct job_problem *first = &w->job->problems[0];
        w->error = first->error;
        snprintf(w->message, sizeof w->message, "%.150s: %s", first->path, first->text);
    }
    log_info("share", "%u paths, %llu files, %llu bytes shared (%u large files announced one by one)",
             w->job->share_count, (unsigned long long)w->job->files_done,
             (unsigned long long)w->job->bytes_done, big);
    w->announce_until = core_time_add(host_now(s->core), CORE_MS(SHARE_ANNOUNCE_WAIT_MS));
    if (w->announcing == 0)
        shares_soon(s);
    host_drain(s->core); /* may call share_work_stored */
    shares_next(s);      /* announcing does not keep the next job from working */
}

void share_work_stored(struct share_work *w, uint32_t op, uint32_t stored, uint32_t asked)
{
    uint32_t line = 0;
    for (uint32_t i = 0; i < w->tree.root_count; i++) {
        struct share_root *root = &w->tree.roots[i];
        bool listed = root->entry != SHARE_NONE && line < w->job->share_count && w->job->shares &&
                      strcmp(w->job->shares[line].path, root->path) == 0;
        if (root->op == op && op != 0) {
            root->op = 0;
            if (--w->announcing == 0)
                shares_soon(w->shares);
            if (listed) {
                w->job->shares[line].stored = stored;
                w->job->shares[line].asked = asked;
                w->job->shares[line].announced = true;
            }
            return;
        }
        line += listed;
    }
}

void share_work_tick(struct share_work *w, core_time now)
{
    if (now >= core_time_add(w->rate_at, CORE_MS(500))) {
        uint64_t done = w->job->bytes_done;
        if (w->rate_at && done >= w->rate_bytes)
            w->job->rate = (done - w->rate_bytes) * 1000000 / (now - w->rate_at);
        w->rate_at = now;
        w->rate_bytes = done;
    }
    if (w->phase == PHASE_ANNOUNCE && (w->announcing == 0 || now >= w->announce_until || w->shares->stopping))
        work_end(w);
}

/* After each item: what next? An error waits until nothing is in flight. */
static void work_go(struct share_work *w)
{
    if (w->phase == PHASE_ANNOUNCE) {
        if (w->announce_until == 0)
            announce_start(w);
        return;
    }
    if (atomic_load(&w->stop))
        give_up(w, ERR_CANCELLED, "cancelled");
    if (w->phase == PHASE_HASH && !w->error)
        hash_go(w);
    if (!w->error)
        return;
    for (uint32_t i = 0; i < SHARE_BIGS_MAX; i++) {
        if (w->bigs[i].state != BIG_FREE && w->bigs[i].in_flight == 0)
            big_failed(w, &w->bigs[i], ERR_CANCELLED);
    }
    if (w->in_flight == 0)
        work_end(w);
}

/* ---- Life ---- */

static void on_cancel(struct job *job)
{
    struct share_work *w = job->owner;
    atomic_store(&w->stop, true);
    if (w->phase == PHASE_WAITING)
        work_go(w);
}

struct share_work *share_work_new(struct shares *s, struct job *job, const char *const *paths, size_t count,
                                  bool with_times)
{
    struct share_work *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->shares = s;
    w->job = job;
    w->with_times = with_times;
    for (uint32_t i = 0; i < SHARE_BIGS_MAX; i++)
        w->bigs[i].fd = w->bigs[i].tree_fd = -1;
    w->tree.roots = calloc(count ? count : 1, sizeof *w->tree.roots);
    for (size_t i = 0; w->tree.roots && i < count; i++) {
        size_t size = strlen(paths[i]);
        while (size > 1 && paths[i][size - 1] == '/')
            size--;
        w->tree.roots[i].path = w->tree.roots[i].given = strndup(paths[i], size);
        w->tree.roots[i].entry = SHARE_NONE;
        if (w->tree.roots[i].given == NULL)
            break;
        w->tree.root_count++;
    }
    if (w->tree.roots == NULL || w->tree.root_count < count) {
        share_work_free(w);
        return NULL;
    }
    uint32_t cores = uv_available_parallelism();
    w->workers = cores < 1 ? 1 : cores > SHARE_WORKERS_MAX ? SHARE_WORKERS_MAX : cores;
    w->recorder = (struct share_recorder){.tree = &w->tree,
                                          .network = s->core->network,
                                          .crypto = s->core->crypto,
                                          .home = s->home,
                                          .stop = &w->stop,
                                          .with_times = with_times};
    job->cancel = on_cancel;
    job->owner = w;
    snprintf(job->name, sizeof job->name, "%s", count ? paths[0] : "");
    return w;
}

void share_work_start(struct share_work *w)
{
    struct stat st;
    if (stat(w->shares->home, &st) == 0) {
        w->tree.home_device = st.st_dev;
        w->tree.home_inode = st.st_ino;
    }
    w->phase = PHASE_WALK;
    item_start(w, &w->items[0], ITEM_WALK);
}

void share_work_free(struct share_work *w)
{
    share_record_close(&w->recorder);
    for (uint32_t i = 0; i < w->trees_count; i++) {
        unlink(w->trees[i].path);
        free(w->trees[i].path);
    }
    free(w->trees);
    free(w->record_trees);
    free(w->small);
    free(w->big);
    free(w->hashed);
    free(w->record);
    share_tree_free(&w->tree);
    free(w);
}
