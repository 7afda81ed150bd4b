/* Purpose: sharing in place, in one whole node: ids and hash trees are right, what cannot be shared is
 * skipped and named, one tree has one link, only what changed is hashed again, a crash leaves whole shares
 * only, and what changes or vanishes later is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "node/host/app.h"
#include "node/host/share_internal.h"

#define WAIT CORE_SECONDS(60)

static char room[64];
static struct app app;

static core_time now_us(void)
{
    return uv_hrtime() / 1000;
}

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *format, ...)
{
    char command[2000];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    if (system(command) != 0)
        fail_msg("%s", command);
}

static const char *in_room(const char *name)
{
    static char paths[8][400];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, 400, "%s/%s", room, name);
    return path;
}

static void node_start(void)
{
    struct config config;
    char message[APP_MESSAGE_MAX] = "";
    config_default(&config);
    snprintf(config.home, sizeof config.home, "%s/home", room);
    snprintf(config.listen, sizeof config.listen, "127.0.0.1:0");
    config.neighbours = false;
    if (app_start(&app, &config, message) != 0)
        fail_msg("app_start: %s", message);
}

static void node_stop(void)
{
    if (!app.running)
        return;
    app_stop(&app);
    app_run(&app);
}

static int setup(void **state)
{
    (void)state;
    strcpy(room, "/tmp/shoal-share-XXXXXX");
    log_setup(getenv("SHOAL_TEST_LOG") ? LOG_DEBUG : LOG_ERROR, NULL);
    return mkdtemp(room) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    node_stop();
    run("chmod -R u+rwx %s; rm -rf %s", room, room);
    return 0;
}

static void turn(void)
{
    struct pollfd fd = {.fd = uv_backend_fd(&app.loop), .events = POLLIN};
    uv_run(&app.loop, UV_RUN_NOWAIT);
    int next = uv_backend_timeout(&app.loop);
    poll(&fd, 1, next < 0 || next > 5 ? 5 : next);
}

static void job_wait(const struct job *job)
{
    core_time until = now_us() + WAIT;
    assert_non_null(job);
    while (job->state == JOB_RUNNING && now_us() < until)
        turn();
    if (job->state == JOB_RUNNING)
        fail_msg("the job does not end: %llu of %llu bytes", (unsigned long long)job->bytes_done,
                 (unsigned long long)job->bytes_total);
}

static struct job *share_in(const char *path, bool with_times)
{
    struct job *job = shares_add(app.shares, &path, 1, with_times);
    job_wait(job);
    return job;
}

static struct job *share(const char *path)
{
    struct job *job = share_in(path, false);
    if (job->state != JOB_DONE)
        fail_msg("%s: %s", path, job->message);
    assert_int_equal(job->share_count, 1);
    return job;
}

static void make(const char *name, size_t size)
{
    FILE *f = fopen(in_room(name), "wb");
    assert_non_null(f);
    for (size_t i = 0; i < size; i++)
        putc((int)(i % 251), f);
    fclose(f);
}

static const struct job_problem *problem_of(const struct job *job, const char *end)
{
    for (uint32_t i = 0; i < job->problem_count; i++) {
        size_t size = strlen(job->problems[i].path), tail = strlen(end);
        if (size >= tail && strcmp(job->problems[i].path + size - tail, end) == 0)
            return &job->problems[i];
    }
    return NULL;
}

/* Ids, link, row and hash tree of files around each edge; FIELD.md's vectors among them. */
static void test_files(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        const char *root;
    } table[] = {
        {0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
        {163840, "92ffcec5095fcb78750791a50e88be81c7ccf2a217902ab15da5a9dfe863e112"},
        {1 << 20, NULL},
        {(1 << 20) + 1, NULL},
        {(37 << 20) + 4711, NULL},
    };
    node_start();
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char hex[65];
        struct link link;
        struct store_content c;
        make("file", table[i].size);
        const struct job *job = share(in_room("file"));
        const struct job_share *line = &job->shares[0];
        assert_int_equal(job->bytes_done, table[i].size);
        assert_int_equal(job->files_done, 1);
        assert_int_equal(line->bytes, table[i].size);
        assert_int_equal(line->asked, 0); /* alone */
        assert_int_equal(link_parse(&link, line->link, NULL), 0);
        assert_true(content_id_equal(&link.id, &line->id));
        assert_string_equal(link.name, "file");
        hex_encode(hex, line->id.root, HASH_SIZE);
        if (table[i].root)
            assert_string_equal(hex, table[i].root);
        assert_int_equal(store_content_by_path(app.store, line->path, &c), 0);
        assert_true(content_id_equal(&c.id, &line->id) && c.place == PLACE_FILE && c.announce);
        if (tree_span_count(table[i].size) == 1)
            continue;
        char path[4096];
        uint64_t size = table[i].size;
        store_tree_path(app.store, &line->id, path, sizeof path);
        FILE *f = fopen(path, "rb");
        uint32_t leaves = tree_leaf_count(size), upper = tree_upper_count(size);
        uint8_t(*all)[HASH_SIZE] = malloc((size_t)(leaves + upper + 1) * HASH_SIZE), root[HASH_SIZE];
        assert_int_equal(fread(all, HASH_SIZE, leaves + upper + 1, f), leaves + upper);
        fclose(f);
        tree_root(root, (const uint8_t(*)[HASH_SIZE])all, leaves);
        assert_memory_equal(root, line->id.root, HASH_SIZE);
        for (uint32_t s = 0; s < tree_span_count(size); s++) {
            uint8_t proof[TREE_SPAN_LEAVES + TREE_UNCLES_MAX][HASH_SIZE];
            uint32_t real = tree_span_leaves(size, s);
            memcpy(proof, all + s * TREE_SPAN_LEAVES, (size_t)real * HASH_SIZE);
            tree_uncles(proof + real, (const uint8_t(*)[HASH_SIZE])(all + leaves), size, s);
            assert_true(tree_proof_check(&line->id, s, proof[0],
                                         (size_t)(real + tree_uncle_count(size)) * HASH_SIZE));
        }
        free(all);
    }
}

static void tree_make(const char *name)
{
    const char *t = in_room(name);
    run("mkdir -p %s/sub/deep %s/empty; printf x >%s/a; printf yy >%s/sub/deep/b; chmod +x %s/a; printf z "
        ">%s/.hidden",
        t, t, t, t, t, t);
    run("head -c 1500000 /dev/zero >%s/sub/big", t);
}

static void test_tree(void **state)
{
    (void)state;
    node_start();
    tree_make("t");
    const struct job *job = share(in_room("t"));
    const struct job_share *line = &job->shares[0];
    assert_int_equal(line->id.kind, CONTENT_TREE);
    assert_int_equal(line->files, 4);
    assert_int_equal(line->bytes, 1 + 2 + 1 + 1500000);
    assert_int_equal(job->problem_count, 0);
    uint8_t *data;
    struct manifest_reader r;
    struct manifest_entry e;
    static const struct {
        const char *name;
        bool executable, tree;
    } expected[] = {
        {".hidden", false, false}, {"a", true, false}, {"empty", false, true}, {"sub", false, true}};
    assert_int_equal(store_object_read(app.store, &line->id, &data), 0);
    assert_int_equal(manifest_open(&r, bytes_of(data, line->id.size)), 0);
    assert_int_equal(r.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(manifest_next(&r, &e), 1);
        assert_true(bytes_equal(e.name, bytes_of(expected[i].name, strlen(expected[i].name))));
        assert_int_equal(e.executable, expected[i].executable);
        assert_int_equal(e.id.kind == CONTENT_TREE, expected[i].tree);
        assert_false(e.has_mtime);
    }
    free(data);
    /* The small ones inside are found by key but not announced; the big one is. */
    struct store_content c;
    assert_int_equal(store_content_by_path(app.store, in_room("t/sub/big"), &c), 0);
    assert_true(c.announce);
    assert_int_equal(store_content_by_path(app.store, in_room("t/a"), &c), 0);
    assert_false(c.announce);
    /* Two owners of one tree get one link, unless times are asked for. */
    struct content_id first = line->id;
    run("cp -r %s %s; touch -d 2001-01-01 %s/a", in_room("t"), in_room("u"), in_room("u"));
    job = share(in_room("u"));
    assert_true(content_id_equal(&job->shares[0].id, &first));
    job = share_in(in_room("u"), true);
    assert_int_equal(job->state, JOB_DONE);
    assert_false(content_id_equal(&job->shares[0].id, &first));
}

static void test_skipped(void **state)
{
    (void)state;
    node_start();
    const char *t = in_room("t");
    run("mkdir -p %s/ok; printf x >%s/ok/f; ln -s /etc/passwd %s/link; ln -s /etc %s/linkdir; mkfifo %s/pipe",
        t, t, t, t, t);
    run("printf x >\"%s/$(printf 'bad\\377')\"; printf x >\"%s/$(printf 'new\\nline')\"", t, t);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%.60s/t/socket", room);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    const struct job *job = share(t);
    close(fd);
    assert_int_equal(job->shares[0].files, 1);
    static const char *const names[] = {"/link", "/linkdir", "/pipe", "/socket", "/bad\xff", "/new\nline"};
    assert_int_equal(job->problems_total, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_non_null(problem_of(job, names[i]));
        assert_non_null(strstr(problem_of(job, names[i])->text, "skipped"));
    }
    /* The same tree without them has the same link. */
    struct content_id id = job->shares[0].id;
    run("mkdir -p %s/ok; printf x >%s/ok/f", in_room("clean"), in_room("clean"));
    assert_true(content_id_equal(&share(in_room("clean"))->shares[0].id, &id));
}

static void test_unreadable(void **state)
{
    (void)state;
    node_start();
    const char *t = in_room("t");
    run("mkdir -p %s/closed; printf x >%s/a; printf y >%s/secret; printf z >%s/closed/in; chmod 755 %s", t, t,
        t, t, room);
    run("chmod 000 %s/secret %s/closed", t, t);
    if (geteuid() == 0) {
        print_message("skipped: root reads everything\n");
        return;
    }
    const struct job *job = share(t);
    assert_int_equal(job->shares[0].files, 1);
    assert_int_equal(problem_of(job, "/secret")->error, ERR_PERMISSION);
    assert_int_equal(problem_of(job, "/closed")->error, ERR_PERMISSION);
}

static void test_refused(void **state)
{
    (void)state;
    node_start();
    run("printf x >%s; ln -s file %s; mkdir %s; ln -s dir %s", in_room("file"), in_room("link"),
        in_room("dir"), in_room("linkdir"));
    run("printf x >%s/home/notes; mkdir -p %s/nested/$(printf 'd/%%.0s' $(seq 70))", room, room);
    static const struct {
        const char *name;
        int error;
        const char *says;
    } table[] = {
        {"none", ERR_NOT_FOUND, "no such file"},
        {"file/", 0, ""},
        {"file/x", ERR_NOT_FOUND, "no such file"},
        {"link", ERR_NOT_A_FILE, "symbolic link"},
        {"linkdir", ERR_NOT_A_FILE, "symbolic link"},
        {"linkdir/", ERR_NOT_A_FILE, "symbolic link"},
        {"home", ERR_PERMISSION, "home"},
        {"home/notes", ERR_PERMISSION, "home"},
        {"nested", ERR_RANGE, "64"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct job *job = share_in(in_room(table[i].name), false);
        if (job->error != table[i].error || !strstr(job->message, table[i].says))
            fail_msg("%s: %d %s", table[i].name, job->error, job->message);
    }
    /* The room contains the home: all is shared but that. One bad path of several is a problem, not a
     * failure. */
    run("rm -r %s", in_room("nested"));
    const struct job *job = share(room);
    assert_non_null(problem_of(job, "/home"));
    const char *paths[] = {in_room("none"), in_room("file"), in_room("dir")};
    job = shares_add(app.shares, paths, 3, false);
    job_wait(job);
    assert_int_equal(job->state, JOB_DONE);
    assert_int_equal(job->share_count, 2);
    assert_int_equal(job->problem_count, 1);
    assert_null(shares_add(app.shares, paths, 0, false));
}

static bool count_each(void *context, const struct store_content *c)
{
    (void)c;
    ++*(uint32_t *)context;
    return true;
}

static uint32_t rows(void)
{
    uint32_t count = 0;
    assert_int_equal(store_contents(app.store, 0, 0, UINT32_MAX >> 1, count_each, &count), 0);
    return count;
}

/* Sharing again hashes only what changed, forgets what is gone, and gives the old link back with the old
 * bytes. */
static void test_again(void **state)
{
    (void)state;
    node_start();
    tree_make("t");
    struct content_id first = share(in_room("t"))->shares[0].id;
    struct store_content c;
    assert_int_equal(store_content_by_path(app.store, in_room("t/sub/big"), &c), 0);
    int64_t row = c.row;
    uint32_t before = rows();
    assert_true(content_id_equal(&share(in_room("t"))->shares[0].id, &first));
    assert_int_equal(rows(), before);
    /* A hash that only the stamp vouches for: were the file hashed again, it would be found out. */
    struct store_content lie = {.place = PLACE_FILE, .path = in_room("t/a"), .share = 1};
    struct store_content a;
    assert_int_equal(store_content_by_path(app.store, in_room("t/a"), &a), 0);
    lie.stamp = a.stamp;
    lie.id = a.id;
    lie.id.root[0] ^= 1;
    content_provider_key(lie.provider_key, &lie.id, &app.network, &core_crypto_real);
    assert_int_equal(store_content_remove(app.store, a.row), 0);
    assert_int_equal(store_content_put(app.store, &lie), 0);
    assert_false(content_id_equal(&share(in_room("t"))->shares[0].id, &first));
    run("touch %s", in_room("t/a"));
    assert_true(content_id_equal(&share(in_room("t"))->shares[0].id, &first));
    assert_int_equal(rows(), before);
    run("printf more >>%s; rm %s", in_room("t/sub/deep/b"), in_room("t/.hidden"));
    struct content_id second = share(in_room("t"))->shares[0].id;
    assert_false(content_id_equal(&second, &first));
    assert_int_equal(store_content_by_id(app.store, &first, &c), ERR_NOT_FOUND);
    assert_int_equal(store_content_by_path(app.store, in_room("t/.hidden"), &c), ERR_NOT_FOUND);
    assert_int_equal(store_content_by_path(app.store, in_room("t/sub/big"), &c), 0);
    assert_int_equal(c.row, row);
    /* unshare: by link, by path, by id; then nothing is left, and gc frees the objects. */
    char link[LINK_TEXT_MAX];
    shares_link(app.shares, &second, "t", link, sizeof link);
    assert_int_equal(shares_remove(app.shares, "/nowhere"), ERR_NOT_FOUND);
    assert_int_equal(shares_remove(app.shares, link), 0);
    assert_int_equal(shares_remove(app.shares, link), ERR_NOT_FOUND);
    core_time until = now_us() + WAIT;
    while (rows() > 0 && now_us() < until)
        turn();
    assert_int_equal(rows(), 0);
    struct gc_result gc;
    core_time start = now_us();
    while (now_us() < start + 20000) /* the clock that stamps files moves in steps */
        turn();
    assert_int_equal(store_gc(app.store, false, NULL, NULL, &gc), 0);
    assert_true(gc.objects >= 5);
}

/* Taken back while it is shared again, at each stage: it is gone, and the job ends. */
static void test_unshare_while_sharing(void **state)
{
    (void)state;
    node_start();
    run("mkdir %s; for i in $(seq 2500); do echo $i >%s/$i; done", in_room("t"), in_room("t"));
    for (int turns = 0; turns < 30; turns += 2) {
        const char *path = in_room("t");
        struct store_share s;
        share(path);
        run("touch %s/*", path);
        struct job *job = shares_add(app.shares, &path, 1, false);
        for (int i = 0; i < turns && job->state == JOB_RUNNING; i++)
            turn();
        assert_int_equal(shares_remove(app.shares, path), 0);
        job_wait(job);
        core_time until = now_us() + WAIT;
        while (app.shares->in_flight > 0 && now_us() < until)
            turn();
        assert_int_equal(store_share_by_path(app.store, path, &s), ERR_NOT_FOUND);
        assert_int_equal(rows(), 0);
    }
}

/* A file that is written all the while is tried three times, then named and left out; the rest is shared. */
static void test_changing(void **state)
{
    (void)state;
    node_start();
    run("mkdir %s; printf x >%s; head -c 64M /dev/zero >%s", in_room("t"), in_room("t/still"),
        in_room("t/busy"));
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(in_room("t/busy"), O_WRONLY);
        for (uint64_t i = 0;; i++) {
            if (pwrite(fd, &i, sizeof i, 100) < 0)
                _exit(1);
        }
    }
    const struct job *job = share_in(in_room("t"), false);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(job->state, JOB_DONE);
    assert_int_equal(job->shares[0].files, 1);
    assert_int_equal(problem_of(job, "/busy")->error, ERR_CHANGED);
    job = share(in_room("t"));
    assert_int_equal(job->shares[0].files, 2);
    assert_int_equal(job->problem_count, 0);
}

static void test_cancel(void **state)
{
    (void)state;
    node_start();
    run("mkdir %s; for i in $(seq 300); do head -c 300000 /dev/zero >%s/$i; done; head -c 64M /dev/zero >%s",
        in_room("t"), in_room("t"), in_room("t/big"));
    for (int turns = 0; turns < 12; turns += 3) {
        const char *path = in_room("t");
        struct job *job = shares_add(app.shares, &path, 1, false);
        for (int i = 0; i < turns && job->state == JOB_RUNNING; i++)
            turn();
        if (job->cancel)
            job->cancel(job);
        job_wait(job);
        assert_true(job->state == JOB_DONE || job->error == ERR_CANCELLED);
    }
    share(in_room("t"));
    /* The node's end in the middle of a job. */
    run("touch %s/*", in_room("t"));
    const char *path = in_room("t");
    shares_add(app.shares, &path, 1, false);
    for (int i = 0; i < 4; i++)
        turn();
}

/* What changes or vanishes after sharing is found by the walk, marked, and shared again; what comes back is
 * served again. */
static void watch_until(const char *path, enum content_state state, bool gone)
{
    struct store_content c;
    core_time until = now_us() + WAIT;
    for (;;) {
        share_watch_now(app.shares); /* no waiting in tests */
        turn();
        int status = store_content_by_path(app.store, path, &c);
        if (gone ? status == ERR_NOT_FOUND : status == 0 && c.state == state)
            return;
        if (now_us() > until)
            fail_msg("%s: status %d, state %d", path, status, (int)c.state);
    }
}

static void test_watch(void **state)
{
    (void)state;
    node_start();
    tree_make("t");
    struct content_id first = share(in_room("t"))->shares[0].id;
    run("mv %s %s", in_room("t/sub/big"), in_room("away"));
    watch_until(in_room("t/sub/big"), CONTENT_MISSING, false);
    run("mv %s %s", in_room("away"),
        in_room("t/sub/big")); /* the same file, but its ctime is another: hashed again */
    watch_until(in_room("t/sub/big"), CONTENT_OK, false);
    struct store_share share_now;
    assert_int_equal(store_share_by_path(app.store, in_room("t"), &share_now), 0);
    assert_true(content_id_equal(&share_now.id, &first));
    run("printf changed >%s; touch -d '10 seconds ago' %s", in_room("t/a"), in_room("t/a"));
    core_time until = now_us() + WAIT;
    do {
        share_watch_now(app.shares);
        turn();
        assert_int_equal(store_share_by_path(app.store, in_room("t"), &share_now), 0);
    } while (content_id_equal(&share_now.id, &first) && now_us() < until);
    assert_false(content_id_equal(&share_now.id, &first));
    struct store_content c;
    assert_int_equal(store_content_by_path(app.store, in_room("t/a"), &c), 0);
    assert_int_equal(c.id.size, 7);
    assert_int_equal(c.state, CONTENT_OK);
}

/* kill -9 in the middle of sharing, ten times: the share is whole or not there, and the next try finishes it.
 */
static void test_kill(void **state)
{
    (void)state;
    run("mkdir %s; for i in $(seq 400); do echo $i >%s/$i; done; head -c 20M /dev/urandom >%s", in_room("t"),
        in_room("t"), in_room("t/big"));
    for (int round = 0; round < 10; round++) {
        pid_t pid = fork();
        if (pid == 0) {
            node_start();
            const char *path = in_room("t");
            struct job *job = shares_add(app.shares, &path, 1, false);
            for (int i = 0; i < 3 * round && job->state == JOB_RUNNING; i++)
                turn();
            raise(SIGKILL);
        }
        waitpid(pid, NULL, 0);
        struct store *store;
        struct store_share s;
        assert_int_equal(store_open(&store, in_room("home"), NULL), 0);
        if (store_share_by_path(store, in_room("t"), &s) == 0) {
            uint8_t *data;
            uint32_t count;
            assert_int_equal(store_object_read(store, &s.id, &data), 0);
            assert_int_equal(manifest_check(bytes_of(data, s.id.size), &count), 0);
            assert_int_equal(count, 401);
            free(data);
        }
        store_close(store);
    }
    node_start();
    assert_int_equal(share(in_room("t"))->shares[0].files, 401);
    assert_int_equal(rows(), 402);
}

/* A full disk under the home: a clear sentence; when space returns the same call works. */
static void test_disk_full(void **state)
{
    (void)state;
    run("mkdir %s", in_room("home"));
    if (mount("none", in_room("home"), "tmpfs", 0, "size=3m,mode=0700")) {
        print_message("skipped: mounting a small tmpfs needs root\n");
        return;
    }
    node_start();
    make("file", 40u << 20); /* its tree file takes 80 KiB */
    run("head -c 10M /dev/zero >%s 2>/dev/null || true", in_room("home/fill"));
    const struct job *job = share_in(in_room("file"), false);
    assert_int_equal(job->state, JOB_FAILED);
    assert_int_equal(job->error, ERR_NO_SPACE);
    assert_non_null(strstr(job->message, "space"));
    run("rm %s", in_room("home/fill"));
    share(in_room("file"));
    node_stop();
    assert_int_equal(umount(in_room("home")), 0);
}

static void test_quota(void **state)
{
    (void)state;
    node_start();
    uint64_t used;
    assert_int_equal(store_usage(app.store, &used), 0);
    assert_int_equal(store_quota_set(app.store, used + 100000), 0);
    make("file", 80u << 20); /* its tree file takes 160 KiB */
    const struct job *job = share_in(in_room("file"), false);
    assert_int_equal(job->error, ERR_QUOTA);
    assert_non_null(strstr(job->message, "quota"));
    assert_int_equal(store_quota_set(app.store, 0), 0);
    share(in_room("file"));
}

static void test_many_small(void **state)
{
    (void)state;
    node_start();
    run("mkdir %s; cd %s; for d in $(seq 100); do mkdir $d; for f in $(seq 100); do echo $d-$f >$d/$f; done; "
        "done",
        in_room("t"), in_room("t"));
    core_time start = now_us();
    const char *path = in_room("t");
    struct job *job = shares_add(app.shares, &path, 1, false);
    core_time worst = 0;
    while (job->state == JOB_RUNNING && job->share_count == 0) {
        struct pollfd fd = {.fd = uv_backend_fd(&app.loop), .events = POLLIN};
        core_time before = now_us();
        uv_run(&app.loop, UV_RUN_NOWAIT);
        core_time took = now_us() - before;
        worst = took > worst ? took : worst;
        poll(&fd, 1, 1);
    }
    print_message("10,000 small files shared in %llu ms; longest turn of the loop %llu us\n",
                  (unsigned long long)(now_us() - start) / 1000, (unsigned long long)worst);
    job_wait(job);
    assert_int_equal(job->shares[0].files, 10000);
}

/* 10,000 shares in the store: the loop turns quickly while their keys are taken up. */
static void test_ten_thousand_shares(void **state)
{
    (void)state;
    struct store *store;
    struct network network;
    node_start();
    network = app.network;
    node_stop();
    assert_int_equal(store_open(&store, in_room("home"), NULL), 0);
    assert_int_equal(store_begin(store), 0);
    for (uint32_t i = 0; i < 10000; i++) {
        char path[64];
        snprintf(path, sizeof path, "/nowhere/%u", i);
        struct store_content c = {.place = PLACE_FILE, .path = path, .announce = true};
        tree_sha256(c.id.root, (const uint8_t *)&i, sizeof i);
        content_provider_key(c.provider_key, &c.id, &network, &core_crypto_real);
        struct store_share s = {.path = path, .name = "x", .id = c.id};
        assert_int_equal(store_share_put(store, &s, &c.share), 0);
        assert_int_equal(store_content_put(store, &c), 0);
    }
    assert_int_equal(store_commit(store), 0);
    store_close(store);
    core_time start = now_us(), worst = 0;
    node_start();
    core_time started = now_us() - start;
    while (app.shares->in_flight > 0 || app.shares->keys_count > app.shares->keys_next) {
        core_time before = now_us();
        uv_run(&app.loop, UV_RUN_NOWAIT);
        core_time took = now_us() - before;
        worst = took > worst ? took : worst;
    }
    print_message(
        "10,000 shares: started in %llu ms, keys taken up after %llu ms, longest turn of the loop %llu us\n",
        (unsigned long long)started / 1000, (unsigned long long)(now_us() - start) / 1000,
        (unsigned long long)worst);
    assert_true(now_us() - start < CORE_SECONDS(20));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_files),
        T(test_tree),
        T(test_skipped),
        T(test_unreadable),
        T(test_refused),
        T(test_again),
        T(test_unshare_while_sharing),
        T(test_changing),
        T(test_cancel),
        T(test_watch),
        T(test_kill),
        T(test_disk_full),
        T(test_quota),
        T(test_many_small),
        T(test_ten_thousand_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
