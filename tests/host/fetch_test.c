/* Two whole nodes in one process, over loopback: one shares, the other fetches by link. Files and trees arrive byte by byte equal, under their final
 * name only when they are complete; interrupted fetches go on; a full disk is waited for; nothing that is there is overwritten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include "node/host/app.h"
#include "node/host/fetch_disk.h"
#include "node/host/log.h"
#include "transfer/manifest.h"
#include "transfer/tree.h"

#define MIB (1024u * 1024u)
#define WAIT CORE_SECONDS(60)

static char room[64]; /* a folder of this test's own */
static struct app apps[2];
static struct app *const seed = &apps[0], *const leech = &apps[1];

/* ---- The two nodes ---- */

static void node_start(struct app *app, const char *name)
{
    struct config config;
    char message[APP_MESSAGE_MAX] = "";
    config_default(&config);
    snprintf(config.home, sizeof config.home, "%s/%s", room, name);
    snprintf(config.listen, sizeof config.listen, "127.0.0.1:0");
    config.neighbours = false;
    int rc = app_start(app, &config, message);
    if (rc != 0)
        fail_msg("app_start: %s", message);
}

static void node_stop(struct app *app)
{
    if (!app->running)
        return;
    app_stop(app);
    app_run(app);
}

/* So slow that a test can do something in the middle. */
static void slow(struct app *app, uint64_t bytes_per_second)
{
    xfer_set_rates(app->core.xfer, host_now(&app->core), 0, bytes_per_second);
}

/* One turn of both loops; waits for the first event, at most a few milliseconds. */
static void turn(void)
{
    struct pollfd fds[2];
    nfds_t count = 0;
    int timeout = 5;
    for (int i = 0; i < 2; i++) {
        if (!apps[i].running)
            continue;
        uv_run(&apps[i].loop, UV_RUN_NOWAIT);
        int next = uv_backend_timeout(&apps[i].loop);
        if (next >= 0 && next < timeout)
            timeout = next;
        fds[count++] = (struct pollfd){.fd = uv_backend_fd(&apps[i].loop), .events = POLLIN};
    }
    poll(fds, count, timeout);
}

static void wait_job(const struct job *job)
{
    core_time until = uv_hrtime() / 1000 + WAIT;
    assert_non_null(job);
    char last[320] = "";
    while (job->state == JOB_RUNNING && uv_hrtime() / 1000 < until) {
        if (getenv("SHOAL_TEST_LOG") && strcmp(last, job->message) != 0)
            log_info("test", "%s (%u files, %u peers)", job->message, (unsigned)job->files_done, job->peers);
        snprintf(last, sizeof last, "%s", job->message);
        turn();
    }
    if (job->state == JOB_RUNNING)
        fail_msg("job %u \"%s\" does not end: %s (%llu of %llu bytes, %llu of %llu files, %u peers)", job->id, job->name, job->message,
                 (unsigned long long)job->bytes_done, (unsigned long long)job->bytes_total, (unsigned long long)job->files_done,
                 (unsigned long long)job->files_total, job->peers);
}

static void wait_done(const struct job *job)
{
    wait_job(job);
    if (job->state != JOB_DONE)
        fail_msg("job failed: %s: %s", err_name(job->error), job->message);
}

static int room_make(void **state)
{
    (void)state;
    strcpy(room, "/tmp/shoal-fetch-XXXXXX");
    if (!mkdtemp(room))
        return -1;
    log_setup(getenv("SHOAL_TEST_LOG") ? LOG_DEBUG : LOG_ERROR, NULL);
    node_start(seed, "seed");
    node_start(leech, "leech");
    return 0;
}

static int room_remove(void **state)
{
    (void)state;
    node_stop(leech);
    node_stop(seed);
    int fd = open("/tmp", O_RDONLY | O_DIRECTORY);
    int rc = fetch_disk_remove(fd, room + 5, 200);
    close(fd);
    return rc;
}

/* ---- Files ---- */

static uint64_t random_state = 88172645463325252u;
static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static const char *in_room(const char *name)
{
    static char paths[64][512]; /* more than any test has in hand at once */
    static unsigned next;
    char *path = paths[next++ % 64];
    snprintf(path, 512, "%s/%s", room, name);
    return path;
}

static void make_file(const char *path, size_t size)
{
    uint64_t block[512];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    while (size > 0) {
        size_t n = size < sizeof block ? size : sizeof block;
        for (size_t i = 0; i < 512; i++)
            block[i] = random_next();
        assert_int_equal(write(fd, block, n), n);
        size -= n;
    }
    close(fd);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static void assert_same_file(const char *a, const char *b)
{
    char x[65536], y[65536];
    int fa = open(a, O_RDONLY), fb = open(b, O_RDONLY);
    if (fa < 0 || fb < 0)
        fail_msg("%s: %s", fa < 0 ? a : b, strerror(errno));
    for (;;) {
        ssize_t n = read(fa, x, sizeof x), m = read(fb, y, sizeof y);
        if (n != m || n < 0 || memcmp(x, y, (size_t)n) != 0)
            fail_msg("%s and %s differ", a, b);
        if (n == 0)
            break;
    }
    close(fa);
    close(fb);
}

static unsigned names_in(const char *path)
{
    unsigned count = 0;
    DIR *d = opendir(path);
    if (!d)
        fail_msg("%s: %s", path, strerror(errno));
    while (readdir(d))
        count++;
    closedir(d);
    return count - 2;
}

/* Every entry of a is in b, with the same bytes, kind and executable bit; and there are no others. Returns the number of files. */
static unsigned assert_same_tree(const char *a, const char *b)
{
    unsigned files = 0;
    DIR *d = opendir(a);
    assert_non_null(d);
    assert_int_equal(names_in(a), names_in(b));
    for (struct dirent *e; (e = readdir(d));) {
        char pa[1024], pb[1024];
        struct stat sa, sb;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(pa, sizeof pa, "%s/%s", a, e->d_name);
        snprintf(pb, sizeof pb, "%s/%s", b, e->d_name);
        if (lstat(pa, &sa) != 0 || lstat(pb, &sb) != 0)
            fail_msg("%s: %s", pb, strerror(errno));
        assert_int_equal(sa.st_mode & S_IFMT, sb.st_mode & S_IFMT);
        if (S_ISDIR(sa.st_mode)) {
            files += assert_same_tree(pa, pb);
            continue;
        }
        assert_int_equal(sa.st_mode & 0111, sb.st_mode & 0111);
        assert_same_file(pa, pb);
        files++;
    }
    closedir(d);
    return files;
}

/* 2,000 small files, some larger, nested and empty directories, empty files, executables, and the same content in several places. */
static void make_tree(const char *root, unsigned small)
{
    char path[512];
    mkdir(root, 0755);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(path, sizeof path, "%s/d%02u", root, i);
        mkdir(path, 0755);
    }
    for (unsigned i = 0; i < small; i++) {
        snprintf(path, sizeof path, "%s/d%02u/f%04u", root, i % 40, i);
        make_file(path, i % 50 == 0 ? 0 : i % 97 == 0 ? 16384 : random_next() % 8000);
        if (i % 13 == 0)
            chmod(path, 0755);
    }
    for (unsigned depth = 0, n = 0; depth < 12; depth++) {
        n = (unsigned)snprintf(path, sizeof path, "%s", root);
        for (unsigned i = 0; i <= depth; i++)
            n += (unsigned)snprintf(path + n, sizeof path - n, "/deep%u", i);
        mkdir(path, 0755);
        snprintf(path + n, sizeof path - n, "/leaf");
        make_file(path, 100 + depth);
    }
    static const size_t large[] = {16385, 300000, MIB, MIB + 1, 5 * MIB + 77, 20 * MIB + 5};
    for (unsigned i = 0; i < sizeof large / sizeof *large; i++) {
        snprintf(path, sizeof path, "%s/d%02u/large%u", root, i * 3, i);
        make_file(path, large[i]);
    }
    snprintf(path, sizeof path, "%s/empty", root);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/empty/emptier", root);
    mkdir(path, 0755);
    char command[1200];
    snprintf(command, sizeof command, "cp -r %s/d03 %s/copy-of-d03 && cp -r %s/d07 %s/copy-of-d07 && cp %s/d12/large4 %s/large4-again", root, root,
             root, root, root, root);
    assert_int_equal(system(command), 0);
}

/* ---- Sharing and fetching ---- */

static struct link share(struct app *app, const char *path)
{
    struct link link;
    struct job *job = shares_add(app->shares, &path, 1, false);
    wait_done(job);
    assert_int_equal(job->share_count, 1);
    assert_int_equal(link_parse(&link, job->shares[0].link, NULL), 0);
    memcpy(link.sources[0].key, app->me.key, NODE_KEY_SIZE);
    link.sources[0].addr = app->listen4;
    link.source_count = 1;
    return link;
}

static struct job *get(const struct link *link, const char *output)
{
    struct fetch_params p = {.link = *link, .output = output};
    return fetches_get(leech->fetches, &p);
}

static void assert_nothing_partial(const char *final)
{
    char path[600];
    snprintf(path, sizeof path, "%s.part", final);
    assert_false(exists(path));
    snprintf(path, sizeof path, "%s.part.map", final);
    assert_false(exists(path));
}

/* Recorded in the thread pool, soon after the job is done. */
static void assert_shared(struct app *app, const char *path, const struct content_id *id)
{
    struct store_share s;
    core_time until = uv_hrtime() / 1000 + WAIT;
    while (store_share_by_path(app->store, path, &s) != 0 && uv_hrtime() / 1000 < until)
        turn();
    assert_int_equal(store_share_by_path(app->store, path, &s), 0);
    assert_true(content_id_equal(&s.id, id));
}

static bool count_fetch(void *context, const char *target, const struct content_id *id, struct bytes state)
{
    (void)target, (void)id, (void)state;
    ++*(unsigned *)context;
    return true;
}

static unsigned recorded(struct app *app)
{
    unsigned count = 0;
    assert_int_equal(store_fetches(app->store, count_fetch, &count), 0);
    return count;
}

/* ---- Tests ---- */

static void test_file(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 16384, 16385, MIB, MIB + 1, 9 * MIB + 123};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char name[16];
        snprintf(name, sizeof name, "file%zu", i);
        const char *from = in_room(name);
        make_file(from, sizes[i]);
        struct link link = share(seed, from);
        snprintf(name, sizeof name, "got%zu", i);
        const char *to = in_room(name);
        struct job *job = get(&link, to);
        wait_done(job);
        assert_string_equal(job->target, to);
        assert_int_equal(job->bytes_done, sizes[i]);
        assert_same_file(from, to);
        assert_nothing_partial(to);
        assert_shared(leech, to, &link.id);
        assert_int_equal(recorded(leech), 0);
    }
}

static void test_tree(void **state)
{
    (void)state;
    const char *from = in_room("tree"), *to = in_room("got");
    make_tree(from, 2000);
    struct link link = share(seed, from);
    struct job *job = get(&link, to);
    while (job->state == JOB_RUNNING) {
        if (exists(to))
            assert_same_tree(from, to); /* no name before the end */
        if (job->bytes_total > 0)
            assert_true(job->bytes_done <= job->bytes_total);
        turn();
    }
    wait_done(job);
    unsigned files = assert_same_tree(from, to);
    assert_int_equal(job->files_total, files);
    assert_int_equal(job->files_done, files);
    assert_nothing_partial(to);
    assert_shared(leech, to, &link.id);

    /* The leech serves it now: the seed goes, and a third place gets everything from what this node has. */
    node_stop(seed);
    to = in_room("again");
    wait_done(get(&link, to));
    assert_same_tree(from, to);
}

/* Fetched, unshared and removed: the manifests are still objects here, but the files come from the seed again. */
static void test_tree_again(void **state)
{
    (void)state;
    const char *from = in_room("tree"), *to = in_room("got");
    char command[700];
    make_tree(from, 400);
    struct link link = share(seed, from);
    for (unsigned i = 0; i < 3; i++) {
        wait_done(get(&link, to));
        assert_same_tree(from, to);
        assert_shared(leech, to, &link.id);
        assert_int_equal(shares_remove(leech->shares, to), 0);
        snprintf(command, sizeof command, "rm -r %s", to);
        assert_int_equal(system(command), 0);
    }
}

static void test_directory_as_output(void **state)
{
    (void)state;
    const char *from = in_room("a name.bin");
    make_file(from, 40000);
    struct link link = share(seed, from);
    mkdir(in_room("out"), 0755);
    snprintf(link.name, sizeof link.name, "other.bin");
    struct job *job = get(&link, in_room("out/"));
    wait_done(job);
    assert_string_equal(job->target, in_room("out/other.bin"));
    assert_same_file(from, in_room("out/other.bin"));

    job = get(&link, in_room("nowhere/x"));
    assert_int_equal(job->state, JOB_FAILED);
    assert_int_equal(job->error, ERR_NOT_FOUND);
    job = get(&link, "relative");
    assert_int_equal(job->error, ERR_RANGE);
}

static void test_what_is_there_stays(void **state)
{
    (void)state;
    const char *from = in_room("from"), *to = in_room("to");
    make_file(from, 200000);
    make_file(to, 100);
    struct link link = share(seed, from);
    struct job *job = get(&link, to);
    wait_job(job);
    assert_int_equal(job->error, ERR_EXISTS);
    assert_non_null(strstr(job->message, "replace it"));
    struct stat st;
    assert_int_equal(stat(to, &st), 0);
    assert_int_equal(st.st_size, 100);

    struct fetch_params p = {.link = link, .output = to, .replace = true};
    job = fetches_get(leech->fetches, &p);
    wait_done(job);
    assert_same_file(from, to);

    job = get(&link, to); /* the right content: done at once */
    wait_done(job);
    assert_string_equal(job->message, "already there");

    make_file(in_room("busy.part"), 10); /* somebody else's file with the name of our part */
    job = get(&link, in_room("busy"));
    wait_job(job);
    if (job->state == JOB_FAILED) { /* unless a local copy did without it */
        assert_int_equal(job->error, ERR_EXISTS);
    }
    assert_int_equal(stat(in_room("busy.part"), &st), 0);
    assert_int_equal(st.st_size, 10);

    make_tree(in_room("tree"), 40);
    link = share(seed, in_room("tree"));
    snprintf(link.name, sizeof link.name, "there");
    mkdir(in_room("place"), 0755);
    mkdir(in_room("place/there"), 0755);
    job = get(&link, in_room("place"));
    wait_job(job);
    assert_int_equal(job->error, ERR_EXISTS);
    mkdir(in_room("place/new.part"), 0755);
    make_file(in_room("place/new.part/precious"), 10);
    job = get(&link, in_room("place/new"));
    wait_job(job);
    assert_int_equal(job->error, ERR_EXISTS);
    assert_true(exists(in_room("place/new.part/precious")));
}

/* The node goes down in the middle, comes up on the same home, and goes on by itself. */
static void test_interrupted(void **state)
{
    (void)state;
    const char *from = in_room("tree"), *to = in_room("got");
    make_tree(from, 300);
    make_file(in_room("tree/huge"), 60 * MIB);
    struct link link = share(seed, from);
    for (unsigned stops = 0; stops < 3; stops++) {
        slow(leech, 40 * MIB);
        struct job *job = get(&link, to);
        core_time until = uv_hrtime() / 1000 + WAIT;
        while (job->state == JOB_RUNNING && job->bytes_done < (stops + 1) * 15 * MIB && uv_hrtime() / 1000 < until)
            turn();
        bool running = job->state == JOB_RUNNING;
        node_stop(leech); /* its jobs go with it */
        assert_true(running || stops > 1);
        assert_int_equal(exists(to), !running);
        node_start(leech, "leech");
    }
    core_time until = uv_hrtime() / 1000 + WAIT;
    while (recorded(leech) > 0 && uv_hrtime() / 1000 < until)
        turn();
    assert_int_equal(recorded(leech), 0);
    assert_same_tree(from, to);
    assert_nothing_partial(to);
    assert_shared(leech, to, &link.id);
}

static void test_cancel_and_go_on(void **state)
{
    (void)state;
    const char *from = in_room("big"), *to = in_room("got");
    make_file(from, 50 * MIB);
    struct link link = share(seed, from);
    slow(leech, 30 * MIB);
    struct job *job = get(&link, to);
    while (job->state == JOB_RUNNING && job->bytes_done < 10 * MIB)
        turn();
    assert_int_equal(job->state, JOB_RUNNING);
    slow(leech, 0);
    assert_ptr_equal(get(&link, to), job); /* the same wish joins the running job */
    job->cancel(job);
    assert_int_equal(job->error, ERR_CANCELLED);
    assert_int_equal(recorded(leech), 0);
    for (unsigned i = 0; i < 200; i++)
        turn();
    assert_true(exists(in_room("got.part")));
    assert_false(exists(to));
    job = get(&link, to);
    wait_done(job);
    assert_same_file(from, to);
    assert_nothing_partial(to);
}

static void test_select(void **state)
{
    (void)state;
    const char *from = in_room("tree"), *to = in_room("got");
    make_tree(from, 200);
    struct link link = share(seed, from);
    const char *select[] = {"d03", "deep0/deep1/leaf", "d12/large4", "absent/x"};
    struct fetch_params p = {.link = link, .output = to, .select = select, .select_count = 4};
    struct job *job = fetches_get(leech->fetches, &p);
    wait_done(job);
    assert_int_equal(job->problem_count, 1);
    assert_string_equal(job->problems[0].path, "absent/x");
    assert_same_tree(in_room("tree/d03"), in_room("got/d03"));
    assert_same_file(in_room("tree/deep0/deep1/leaf"), in_room("got/deep0/deep1/leaf"));
    assert_same_file(in_room("tree/d12/large4"), in_room("got/d12/large4"));
    assert_int_equal(names_in(to), 3);
    assert_int_equal(names_in(in_room("got/deep0")), 1);
    assert_int_equal(names_in(in_room("got/d12")), 1);
    struct store_share s;
    assert_int_equal(job->entry_count, 0);
    for (unsigned i = 0; i < 200 && store_share_by_path(leech->store, in_room("got/d03"), &s) != 0; i++)
        turn();
    assert_int_equal(store_share_by_path(leech->store, in_room("got/d03"), &s), 0);
    assert_int_equal(store_share_by_path(leech->store, to, &s), ERR_NOT_FOUND); /* it is not the whole tree */

    const char *none[] = {"nothing/here"};
    p.select = none;
    p.select_count = 1;
    p.output = in_room("none");
    job = fetches_get(leech->fetches, &p);
    wait_job(job);
    assert_int_equal(job->error, ERR_NOT_FOUND);
    assert_false(exists(in_room("none")));
}

static const struct job_entry *entry(const struct job *job, const char *path)
{
    for (uint32_t i = 0; i < job->entry_count; i++)
        if (strcmp(job->entries[i].path, path) == 0)
            return &job->entries[i];
    return NULL;
}

static void test_list(void **state)
{
    (void)state;
    make_tree(in_room("tree"), 200);
    struct link link = share(seed, in_room("tree"));
    struct job *job = fetches_list(leech->fetches, &link, NULL, false);
    wait_done(job);
    assert_int_equal(job->entry_count, names_in(in_room("tree")));
    assert_non_null(entry(job, "empty"));
    assert_int_equal(entry(job, "empty")->id.kind, CONTENT_TREE);
    assert_null(entry(job, "d00/f0000"));
    assert_int_equal(job->bytes_done, 0);

    job = fetches_list(leech->fetches, &link, "", true);
    wait_done(job);
    assert_non_null(entry(job, "deep0/deep1/deep2/leaf"));
    assert_non_null(entry(job, "empty/emptier"));
    assert_true(entry(job, "d00/f0000")->executable);
    for (uint32_t i = 1; i < job->entry_count; i++)
        assert_true(strcmp(job->entries[i - 1].path, job->entries[i].path) < 0);

    job = fetches_list(leech->fetches, &link, "/deep0/deep1/", false);
    wait_done(job);
    assert_int_equal(job->entry_count, 2);
    assert_string_equal(job->entries[0].path, "deep0/deep1/deep2");
    assert_string_equal(job->entries[1].path, "deep0/deep1/leaf");

    job = fetches_list(leech->fetches, &link, "d12/large4", false);
    wait_done(job);
    assert_int_equal(job->entry_count, 1);
    assert_int_equal(job->entries[0].id.size, 5 * MIB + 77);

    job = fetches_list(leech->fetches, &link, "d12/absent", true);
    wait_job(job);
    assert_int_equal(job->error, ERR_NOT_FOUND);
    assert_int_equal(recorded(leech), 0);
}

static void test_two_gets_of_one_content(void **state)
{
    (void)state;
    make_file(in_room("big"), 30 * MIB);
    make_tree(in_room("tree"), 300);
    struct link file = share(seed, in_room("big")), tree = share(seed, in_room("tree"));
    struct job *jobs[] = {get(&file, in_room("one")), get(&file, in_room("two")), get(&tree, in_room("three")), get(&tree, in_room("four"))};
    for (unsigned i = 0; i < 4; i++)
        wait_done(jobs[i]);
    assert_same_file(in_room("big"), in_room("one"));
    assert_same_file(in_room("big"), in_room("two"));
    assert_same_tree(in_room("tree"), in_room("three"));
    assert_same_tree(in_room("tree"), in_room("four"));

    struct job *other = get(&tree, in_room("one/x")); /* below a file */
    assert_int_equal(other->state, JOB_FAILED);
}

static void test_lying_size(void **state)
{
    (void)state;
    make_file(in_room("big"), 3 * MIB);
    struct link link = share(seed, in_room("big"));
    link.id.size -= 5;
    struct job *job = get(&link, in_room("got"));
    core_time until = uv_hrtime() / 1000 + CORE_SECONDS(3);
    while (job->state == JOB_RUNNING && uv_hrtime() / 1000 < until)
        turn();
    assert_int_equal(job->state, JOB_RUNNING); /* nobody has such a content; it says so and keeps looking until told otherwise */
    assert_int_equal(job->bytes_done, 0);
    assert_non_null(strstr(job->message, "look"));
    job->cancel(job);
    assert_false(exists(in_room("got")));
}

/* A tree whose manifests lie: made by hand and put into the seed's store, as a hostile node would. */
static struct content_id put_object(struct app *app, const uint8_t *data, size_t size)
{
    struct content_id id = {.size = size, .kind = CONTENT_TREE};
    tree_sha256(id.root, data, size);
    assert_int_equal(store_object_put(app->store, &id, bytes_of(data, size)), 0);
    char path[4096];
    store_object_path(app->store, &id, path, sizeof path);
    struct store_content row = {.id = id, .place = PLACE_OBJECT, .path = path};
    content_provider_key(row.provider_key, &id, &app->network, &core_crypto_real);
    int fd = open(path, O_RDONLY);
    assert_true(fetch_disk_stamp(fd, &row.stamp));
    close(fd);
    assert_int_equal(store_content_put(app->store, &row), 0);
    return id;
}

static struct content_id put_manifest(struct app *app, const char *name, const struct content_id *id)
{
    uint8_t buf[1024];
    struct pack p;
    struct bytes last = {0};
    struct manifest_entry e = {.name = bytes_of(name, strlen(name)), .id = *id};
    pack_init(&p, buf, sizeof buf);
    manifest_begin(&p, 1);
    assert_int_equal(manifest_add(&p, &e, &last), 0);
    return put_object(app, buf, p.size);
}

static void hostile(const struct content_id *root, int error)
{
    char name[32];
    static unsigned number;
    snprintf(name, sizeof name, "hostile%u", number++);
    const char *to = in_room(name);
    struct link link = {.id = *root, .source_count = 1};
    memcpy(link.sources[0].key, seed->me.key, NODE_KEY_SIZE);
    link.sources[0].addr = seed->listen4;
    struct job *job = get(&link, to);
    wait_job(job);
    if (job->error != error)
        fail_msg("%s instead of %s: %s", err_name(job->error), err_name(error), job->message);
    assert_false(exists(to));
}

static void test_hostile_trees(void **state)
{
    (void)state;
    static const uint8_t no_manifest[] = {0x92, 0x01, 0x91, 0x01};
    struct content_id empty_lie = {.size = 0}, kind_unknown = {.size = 5, .kind = 7}, id;
    id = put_object(seed, no_manifest, sizeof no_manifest);
    hostile(&id, ERR_MALFORMED);
    id = put_manifest(seed, "below", &id);
    hostile(&id, ERR_MALFORMED);
    id = put_manifest(seed, "empty", &empty_lie);
    hostile(&id, ERR_MALFORMED);
    id = put_manifest(seed, "later", &kind_unknown);
    hostile(&id, ERR_UNSUPPORTED);

    uint8_t nothing[] = {0x92, 0x01, 0x90};
    id = put_object(seed, nothing, sizeof nothing);
    for (unsigned i = 0; i < MANIFEST_DEPTH_MAX + 1; i++)
        id = put_manifest(seed, "d", &id);
    hostile(&id, ERR_RANGE);
}

static void test_disk_full(void **state)
{
    (void)state;
    if (getuid() != 0)
        skip();
    char small[512];
    snprintf(small, sizeof small, "%s/small", room);
    mkdir(small, 0755);
    if (mount("tmpfs", small, "tmpfs", 0, "size=8m") != 0)
        skip();
    make_file(in_room("big"), 20 * MIB);
    struct link link = share(seed, in_room("big"));
    struct job *job = get(&link, in_room("small/big"));
    core_time until = uv_hrtime() / 1000 + WAIT;
    while (job->state == JOB_RUNNING && !strstr(job->message, "disk full") && uv_hrtime() / 1000 < until)
        turn();
    bool said = strstr(job->message, "disk full") != NULL;
    enum job_state then = job->state;
    make_file(in_room("other"), 100000); /* the node goes on serving */
    struct link other = share(seed, in_room("other"));
    struct job *second = get(&other, in_room("other-got"));
    while (second->state == JOB_RUNNING && uv_hrtime() / 1000 < until)
        turn();
    int rc = mount("tmpfs", small, "tmpfs", MS_REMOUNT, "size=64m");
    while (job->state == JOB_RUNNING && uv_hrtime() / 1000 < until)
        turn();
    enum job_state at_last = job->state, second_at_last = second->state;
    char message[320];
    snprintf(message, sizeof message, "%s", job->message);
    if (at_last == JOB_DONE)
        assert_same_file(in_room("big"), in_room("small/big"));
    node_stop(leech);
    umount2(small, MNT_DETACH);
    assert_true(said);
    assert_int_equal(then, JOB_RUNNING);
    assert_int_equal(second_at_last, JOB_DONE);
    assert_int_equal(rc, 0);
    if (at_last != JOB_DONE)
        fail_msg("does not go on: %s", message);
}

int main(int argc, char **argv)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, room_make, room_remove)
    const struct CMUnitTest tests[] = {
        TEST(test_file),        TEST(test_tree),   TEST(test_tree_again),          TEST(test_directory_as_output), TEST(test_what_is_there_stays),
        TEST(test_interrupted), TEST(test_select), TEST(test_list),                TEST(test_cancel_and_go_on),
        TEST(test_lying_size),  TEST(test_disk_full), TEST(test_hostile_trees),    TEST(test_two_gets_of_one_content),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
