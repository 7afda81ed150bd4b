/* Purpose: the homes of accounts, in one whole node: what is uploaded is stored, hashed and shared as if it
 * had been shared in place, or nothing of it is left, whatever breaks off (the sender, the disk, the
 * process); who may; appends; changes of the tree keep disk and store agreed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "gateways/content_host.h"
#include "node/host/log.h"
#include "transfer/tree.h"

#define PENDING 1000
#define WAIT    30000000000u /* [ns] */

static char room[64];
static struct app app;
static struct content *content;
static const struct account_who ALICE = {ACCOUNT_USER, "alice"};
static const struct account_who BOB = {ACCOUNT_USER, "bob"};
static const struct content_upload_params NEW = {.size = UINT64_MAX};
static const struct content_upload_params OVER = {.size = UINT64_MAX, .replace = true};

/* ---- One node ---- */

static void on_stopped(void *context)
{
    *(bool *)context = true;
}

static bool content_ended;

static void on_app_stop(struct app *a)
{
    (void)a;
    content_stop(content, on_stopped, &content_ended);
}

static void node_start_with(uint64_t quota)
{
    struct config config;
    char message[APP_MESSAGE_MAX] = "";
    config_default(&config);
    snprintf(config.home, sizeof config.home, "%s/home", room);
    snprintf(config.listen, sizeof config.listen, "127.0.0.1:0");
    config.neighbours = false;
    config.quota = quota;
    if (app_start(&app, &config, message) != 0)
        fail_msg("app_start: %s", message);
    content_ended = false;
    content = content_new(&app);
    assert_non_null(content);
    app.on_stop = on_app_stop;
}

static void node_start(void)
{
    node_start_with(0);
}

static void node_stop(void)
{
    if (!app.running)
        return;
    app_stop(&app);
    app_run(&app);
    assert_true(content_ended);
    content_free(content);
    content = NULL;
}

static int setup(void **state)
{
    (void)state;
    strcpy(room, "/tmp/shoal-write-XXXXXX");
    log_setup(getenv("SHOAL_TEST_LOG") ? LOG_DEBUG : LOG_ERROR, NULL);
    return mkdtemp(room) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    node_stop();
    snprintf(command, sizeof command, "rm -rf %s", room);
    return system(command);
}

static void turn(void)
{
    struct pollfd fd = {.fd = uv_backend_fd(&app.loop), .events = POLLIN};
    uv_run(&app.loop, UV_RUN_NOWAIT);
    int next = uv_backend_timeout(&app.loop);
    poll(&fd, 1, next < 0 || next > 5 ? 5 : next);
}

static void wait_for(const int *status)
{
    uint64_t until = uv_hrtime() + WAIT;
    while (*status == PENDING && uv_hrtime() < until)
        turn();
    assert_int_not_equal(*status, PENDING);
}

/* ---- What a gateway would do ---- */

struct answer {
    int status;
    struct content_upload *upload;
    struct content_info info;
    uint32_t count;
    char names[16][64];
    uint64_t sizes[16];
    bool ids[16], more;
};

static void on_begun(void *context, int status, struct content_upload *u)
{
    struct answer *a = context;
    a->status = status;
    a->upload = u;
}

static void on_info(void *context, int status, const struct content_info *info)
{
    struct answer *a = context;
    a->status = status;
    if (info)
        a->info = *info;
    a->info.name = NULL;
}

static void on_done(void *context, int status)
{
    ((struct answer *)context)->status = status;
}

static void on_list(void *context, int status, const struct content_info *entries, uint32_t count, bool more)
{
    struct answer *a = context;
    a->status = status;
    a->count = count;
    a->more = more;
    for (uint32_t i = 0; i < count && i < 16; i++) {
        snprintf(a->names[i], sizeof a->names[i], "%s%s", entries[i].name,
                 entries[i].what == CONTENT_IS_DIR ? "/" : "");
        a->sizes[i] = entries[i].size;
        a->ids[i] = entries[i].has_id;
    }
}

static int begin(const struct account_who *who, const char *path, const struct content_upload_params *p,
                 struct content_upload **out)
{
    struct answer a = {.status = PENDING};
    assert_non_null(content_upload_begin(content, who, path, p, on_begun, &a));
    assert_int_equal(a.status, PENDING); /* never inside the call */
    wait_for(&a.status);
    assert_true((a.status == 0) == (a.upload != NULL));
    *out = a.upload;
    return a.status;
}

static bool drained;
static void on_drained(void *context)
{
    (void)context;
    drained = true;
}

static void give(struct content_upload *u, const uint8_t *data, size_t size, size_t piece)
{
    content_upload_on_drained(u, on_drained, NULL);
    while (size) {
        size_t part = size < piece ? size : piece;
        drained = false;
        if (!content_upload_write(u, bytes_of(data, part)))
            while (!drained)
                turn();
        data += part;
        size -= part;
    }
}

static int finish(struct content_upload *u, struct content_info *info)
{
    struct answer a = {.status = PENDING};
    content_upload_finish(u, on_info, &a);
    assert_int_equal(a.status, PENDING);
    wait_for(&a.status);
    if (info)
        *info = a.info;
    return a.status;
}

static int put(const struct account_who *who, const char *path, const struct content_upload_params *p,
               const void *data, size_t size, struct content_info *info)
{
    struct content_upload *u;
    int rc = begin(who, path, p, &u);
    if (rc != 0)
        return rc;
    give(u, data, size, 30000);
    return finish(u, info);
}

static void put_text(const char *path, const char *text)
{
    assert_int_equal(put(&ALICE, path, &OVER, text, strlen(text), NULL), 0);
}

static int resolve(const struct account_who *who, const char *path, struct content_info *info)
{
    struct answer a = {.status = PENDING};
    content_resolve(content, who, path, NULL, CORE_NEVER, on_info, &a);
    wait_for(&a.status);
    if (info)
        *info = a.info;
    return a.status;
}

static int list(const struct account_who *who, const char *path, uint64_t from, uint32_t limit,
                struct answer *a)
{
    *a = (struct answer){.status = PENDING};
    content_list(content, who, path, NULL, from, limit, CORE_NEVER, on_list, a);
    wait_for(&a->status);
    return a->status;
}

static int removed(const struct account_who *who, const char *path)
{
    struct answer a = {.status = PENDING};
    content_remove(content, who, path, NULL, on_done, &a);
    wait_for(&a.status);
    return a.status;
}

static int mkdir_at(const struct account_who *who, const char *path)
{
    struct answer a = {.status = PENDING};
    content_mkdir(content, who, path, on_done, &a);
    wait_for(&a.status);
    return a.status;
}

static int renamed(const char *from, const char *to, bool replace)
{
    struct answer a = {.status = PENDING};
    content_rename(content, &ALICE, from, to, replace, on_done, &a);
    wait_for(&a.status);
    return a.status;
}

static void on_open(void *context, int status, struct content_file *file, const struct content_info *info)
{
    struct answer *a = context;
    (void)info;
    a->status = status;
    a->upload = (void *)file;
}

/* Read back through the tree. */
static void reads(const struct account_who *who, const char *path, const void *data, size_t size)
{
    struct answer a = {.status = PENDING};
    content_open(content, who, path, NULL, CORE_NEVER, on_open, &a);
    wait_for(&a.status);
    assert_int_equal(a.status, 0);
    struct content_file *file = (void *)a.upload;
    uint8_t *back = malloc(size + 1);
    assert_true(content_fd(file) >= 0);
    assert_int_equal(pread(content_fd(file), back, size + 1, 0), size);
    assert_memory_equal(back, data, size);
    free(back);
    content_close(file);
}

static const char *on_disk(const char *name)
{
    static char paths[4][200];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, 200, "%s/home/%s", room, name);
    return path;
}

static unsigned files_in(const char *name)
{
    DIR *dir = opendir(on_disk(name));
    unsigned n = 0;
    struct dirent *d;
    while (dir && (d = readdir(dir)) != NULL)
        n += d->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

static uint8_t *pattern(size_t size)
{
    uint8_t *data = malloc(size + 1);
    uint32_t x = 12345;
    for (size_t i = 0; i < size; i++) {
        x = x * 1664525 + 1013904223;
        data[i] = (uint8_t)(x >> 24);
    }
    return data;
}

/* The id that a share of the same bytes has, all proofs of the stored tree lead to it, and the store lists it
 * as a share. */
static void shared_rightly(const char *place, const struct content_info *info, const uint8_t *data,
                           size_t size)
{
    struct store_content row;
    struct store_share share;
    uint32_t leaves = tree_leaf_count(size), upper = tree_upper_count(size);
    uint8_t(*all)[HASH_SIZE] = malloc((size_t)(leaves + upper + 1) * HASH_SIZE), root[HASH_SIZE];
    tree_leaf_hashes(all, data, size);
    tree_root(root, (const uint8_t(*)[HASH_SIZE])all, leaves);
    assert_true(info->has_id);
    assert_int_equal(info->id.size, size);
    assert_memory_equal(root, info->id.root, HASH_SIZE);
    assert_int_equal(store_content_by_id(app.store, &info->id, &row), 0);
    assert_true(row.state == CONTENT_OK && row.announce);
    assert_int_equal(store_share_by_path(app.store, on_disk(place), &share), 0);
    assert_true(content_id_equal(&share.id, &info->id) && !share.fetched);
    assert_int_equal(share.bytes, size);
    if (tree_span_count(size) > 1) {
        char path[4096];
        store_tree_path(app.store, &info->id, path, sizeof path);
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        assert_int_equal(fread(all, HASH_SIZE, leaves + upper + 1, f), leaves + upper);
        fclose(f);
        for (uint32_t s = 0; s < tree_span_count(size); s++) {
            uint8_t proof[TREE_SPAN_LEAVES + TREE_UNCLES_MAX][HASH_SIZE];
            uint32_t real = tree_span_leaves(size, s);
            memcpy(proof, all + s * TREE_SPAN_LEAVES, (size_t)real * HASH_SIZE);
            tree_uncles(proof + real, (const uint8_t(*)[HASH_SIZE])(all + leaves), size, s);
            assert_true(tree_proof_check(&info->id, s, proof[0],
                                         (size_t)(real + tree_uncle_count(size)) * HASH_SIZE));
        }
    }
    free(all);
}

/* ---- Tests ---- */

/* Sizes around every edge of leaves, spans and the pool's parts; in pieces of odd sizes; with and without the
 * size told. */
static void test_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,      1,       16383,   16384,   16385,   262143, 262144,
                                   262145, 1048575, 1048576, 1048577, 2097152, 5000001};
    node_start();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (unsigned told = i % 2; told < 2; told += 2) {
            struct content_upload_params p = OVER;
            struct content_info info;
            struct content_upload *u;
            uint8_t *data = pattern(sizes[i]);
            p.size = told ? sizes[i] : UINT64_MAX;
            data[0] = (uint8_t)told;
            assert_int_equal(begin(&ALICE, "/home/alice/file", &p, &u), 0);
            give(u, data, sizes[i], i % 2 ? 65536 : 7777);
            assert_int_equal(finish(u, &info), 0);
            shared_rightly("files/alice/file", &info, data, sizes[i]);
            reads(&ALICE, "/home/alice/file", data, sizes[i]);
            free(data);
        }
    }
    assert_int_equal(files_in("incoming"), 0);
    struct content_info by_path;
    assert_int_equal(resolve(&ALICE, "/home/alice/file", &by_path), 0);
    assert_true(by_path.writable && by_path.has_id && by_path.size == 5000001);
}

static void test_rights(void **state)
{
    (void)state;
    struct content_upload *u;
    struct answer a;
    node_start();
    put_text("/home/alice/secret", "mine");
    static const struct {
        const char *path;
        int expected;
    } refused[] = {{"/home/bob/x", ERR_PERMISSION},
                   {"/shared/x", ERR_PERMISSION},
                   {"/home/alice", ERR_PERMISSION},
                   {"/home", ERR_PERMISSION},
                   {"/", ERR_PERMISSION},
                   {"/home/alice/../bob/x", ERR_MALFORMED},
                   {"/home/alice//x", ERR_MALFORMED},
                   {"/home/alice/a\nb", ERR_MALFORMED},
                   {"/home/alice/a\xff", ERR_MALFORMED},
                   {"/home/ALICE/x", ERR_NOT_FOUND},
                   {"/home/.alice/x", ERR_NOT_FOUND},
                   {"/home/alice/none/x", ERR_NOT_FOUND},
                   {"/home/alice/secret/x", ERR_NOT_FOUND}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        int rc = begin(&ALICE, refused[i].path, &NEW, &u);
        if (rc != refused[i].expected)
            fail_msg("%s: %s", refused[i].path, err_name(rc));
    }
    assert_int_equal(begin(&ALICE, "/home/alice/secret", &NEW, &u), ERR_EXISTS);
    assert_int_equal(mkdir_at(&ALICE, "/home/alice/dir"), 0);
    assert_int_equal(begin(&ALICE, "/home/alice/dir", &OVER, &u), ERR_NOT_A_FILE);
    assert_int_equal(begin(&BOB, "/home/alice/secret", &OVER, &u), ERR_PERMISSION);
    assert_int_equal(begin(&ACCOUNT_VISITOR, "/home/alice/secret", &OVER, &u), ERR_PERMISSION);
    assert_int_equal(resolve(&BOB, "/home/alice/secret", NULL), ERR_PERMISSION);
    assert_int_equal(resolve(&ALICE, "/home/alice/secret", NULL), 0); /* and is not remembered for others */
    assert_int_equal(resolve(&BOB, "/home/alice/secret", NULL), ERR_PERMISSION);
    assert_int_equal(list(&BOB, "/home/alice", 0, 10, &a), ERR_PERMISSION);
    assert_int_equal(removed(&BOB, "/home/alice/secret"), ERR_PERMISSION);
    assert_int_equal(list(&ACCOUNT_VISITOR, "/home", 0, 10, &a), 0);
    assert_int_equal(a.count, 0);
    assert_int_equal(list(&BOB, "/home", 0, 10, &a), 0);
    assert_int_equal(a.count, 1);
    assert_string_equal(a.names[0], "bob/");
    assert_int_equal(list(&BOB, "/home/bob", 0, 10, &a), 0); /* nothing there yet */
    assert_int_equal(a.count, 0);
    /* The owner everywhere, and in a home of his own without an account. */
    assert_int_equal(put(&ACCOUNT_LOCAL_OWNER, "/home/owner/note", &NEW, "x", 1, NULL), 0);
    assert_int_equal(put(&ACCOUNT_LOCAL_OWNER, "/home/alice/from-owner", &NEW, "x", 1, NULL), 0);
    assert_int_equal(list(&ACCOUNT_LOCAL_OWNER, "/home", 0, 10, &a), 0);
    assert_int_equal(a.count, 2);
    assert_string_equal(a.names[0], "alice/");
    assert_string_equal(a.names[1], "owner/");
}

static void test_lists(void **state)
{
    (void)state;
    struct answer a;
    node_start();
    put_text("/home/alice/b", "bb");
    put_text("/home/alice/a", "a");
    put_text("/home/alice/c", "");
    assert_int_equal(mkdir_at(&ALICE, "/home/alice/B"), 0);
    assert_int_equal(mkdir_at(&ALICE, "/home/alice/B"), ERR_EXISTS);
    assert_int_equal(mkdir_at(&ALICE, "/home/alice/x/y"), ERR_NOT_FOUND);
    assert_int_equal(list(&ALICE, "/home/alice", 0, 16, &a), 0);
    assert_int_equal(a.count, 4);
    assert_false(a.more);
    assert_string_equal(a.names[0], "B/");
    assert_string_equal(a.names[1], "a");
    assert_string_equal(a.names[2], "b");
    assert_string_equal(a.names[3], "c");
    assert_true(a.sizes[2] == 2 && a.ids[2] && !a.ids[0]);
    assert_int_equal(list(&ALICE, "/home/alice", 1, 2, &a), 0);
    assert_int_equal(a.count, 2);
    assert_true(a.more);
    assert_string_equal(a.names[0], "a");
    assert_int_equal(list(&ALICE, "/home/alice/a", 0, 2, &a), ERR_NOT_A_FILE);
    assert_int_equal(list(&ALICE, "/home/alice/none", 0, 2, &a), ERR_NOT_FOUND);
}

/* APPE, and REST with STOR, around the edges of a leaf; the result is hashed as a whole. */
static void test_append(void **state)
{
    (void)state;
    static const size_t keep[] = {0, 1, 16384, 16385, 300000, 1048576, 1048577, 1500000};
    size_t size = 1500000, more = 700001;
    uint8_t *data = pattern(size + more);
    struct content_upload *u;
    struct content_info info;
    node_start();
    for (size_t i = 0; i < sizeof keep / sizeof *keep; i++) {
        struct content_upload_params p = OVER;
        assert_int_equal(put(&ALICE, "/home/alice/f", &OVER, data, size, NULL), 0);
        p.offset = keep[i] == size ? CONTENT_APPEND : keep[i];
        p.size = i % 2 ? more : UINT64_MAX;
        assert_int_equal(put(&ALICE, "/home/alice/f", &p, data + keep[i], more, &info), 0);
        shared_rightly("files/alice/f", &info, data, keep[i] + more);
        reads(&ALICE, "/home/alice/f", data, keep[i] + more);
    }
    struct content_upload_params p = {.size = UINT64_MAX, .offset = CONTENT_APPEND, .replace = true};
    assert_int_equal(put(&ALICE, "/home/alice/new", &p, data, 5, &info), 0);
    shared_rightly("files/alice/new", &info, data, 5);
    p.offset = 6;
    assert_int_equal(begin(&ALICE, "/home/alice/new", &p, &u), ERR_RANGE);
    assert_int_equal(begin(&ALICE, "/home/alice/none", &p, &u), ERR_NOT_FOUND);
    p.replace = false;
    assert_int_equal(begin(&ALICE, "/home/alice/new", &p, &u), ERR_EXISTS);
    assert_int_equal(files_in("incoming"), 0);
    free(data);
}

static void test_conditions(void **state)
{
    (void)state;
    struct content_info first, second;
    struct content_upload *u, *other;
    struct content_upload_params p = OVER;
    node_start();
    assert_int_equal(put(&ALICE, "/home/alice/f", &NEW, "one", 3, &first), 0);
    p.match = true;
    p.match_id = first.id;
    assert_int_equal(put(&ALICE, "/home/alice/f", &p, "two", 3, &second), 0);
    assert_int_equal(begin(&ALICE, "/home/alice/f", &p, &u), ERR_CHANGED);
    assert_int_equal(begin(&ALICE, "/home/alice/none", &p, &u), ERR_CHANGED);
    /* Two that both saw the second: one wins, the other is told at its end. */
    p.match_id = second.id;
    assert_int_equal(begin(&ALICE, "/home/alice/f", &p, &u), 0);
    assert_int_equal(begin(&ALICE, "/home/alice/f", &p, &other), 0);
    give(u, (const uint8_t *)"three", 5, 5);
    give(other, (const uint8_t *)"four", 4, 4);
    assert_int_equal(finish(other, NULL), 0);
    assert_int_equal(finish(u, NULL), ERR_CHANGED);
    reads(&ALICE, "/home/alice/f", "four", 4);
    /* Two of one new name without replace. */
    assert_int_equal(begin(&ALICE, "/home/alice/g", &NEW, &u), 0);
    assert_int_equal(begin(&ALICE, "/home/alice/g", &NEW, &other), 0);
    assert_int_equal(finish(u, NULL), 0);
    assert_int_equal(finish(other, NULL), ERR_EXISTS);
    /* Fewer or more bytes than were told. */
    p = (struct content_upload_params){.size = 10};
    assert_int_equal(put(&ALICE, "/home/alice/short", &p, "123", 3, NULL), ERR_RANGE);
    assert_int_equal(put(&ALICE, "/home/alice/long", &p, "12345678901", 11, NULL), ERR_RANGE);
    assert_int_equal(resolve(&ALICE, "/home/alice/short", NULL), ERR_NOT_FOUND);
    assert_int_equal(files_in("incoming"), 0);
}

static void test_abort(void **state)
{
    (void)state;
    uint8_t *data = pattern(3000000);
    struct content_upload *u;
    struct answer a = {.status = PENDING};
    node_start();
    put_text("/home/alice/kept", "old");
    assert_int_equal(begin(&ALICE, "/home/alice/kept", &OVER, &u), 0);
    assert_int_equal(files_in("incoming"), 1);
    give(u, data, 3000000, 100000);
    content_upload_abort(u);
    content_cancel(content_upload_begin(content, &ALICE, "/home/alice/never", &NEW, on_begun, &a));
    uint64_t until = uv_hrtime() + WAIT;
    while (files_in("incoming") && uv_hrtime() < until)
        turn();
    assert_int_equal(files_in("incoming"), 0);
    assert_int_equal(a.status, PENDING);
    reads(&ALICE, "/home/alice/kept", "old", 3);
    assert_int_equal(resolve(&ALICE, "/home/alice/never", NULL), ERR_NOT_FOUND);
    /* The node stops in the middle: the gateway still owns the upload and ends it. */
    assert_int_equal(begin(&ALICE, "/home/alice/kept", &OVER, &u), 0);
    content_upload_write(u, bytes_of(data, 600000));
    app_stop(&app);
    turn();
    content_upload_abort(u);
    node_stop();
    assert_int_equal(files_in("incoming"), 0);
    free(data);
}

static void test_parents(void **state)
{
    (void)state;
    struct content_upload_params p = {.size = UINT64_MAX, .parents = true};
    struct content_upload *u;
    node_start();
    assert_int_equal(begin(&ALICE, "/home/alice/a/b/c/f", &p, &u), 0);
    struct stat st;
    assert_int_not_equal(stat(on_disk("files/alice/a"), &st), 0); /* with the file, not before */
    assert_int_equal(finish(u, NULL), 0);
    assert_int_equal(stat(on_disk("files/alice/a/b/c/f"), &st), 0);
    assert_int_equal(begin(&ALICE, "/home/alice/a/b/c/f/g", &p, &u), ERR_NOT_FOUND);
}

static void test_changes(void **state)
{
    (void)state;
    struct content_info before, after;
    struct store_share share;
    node_start();
    uint8_t *data = pattern(1200000);
    struct content_upload_params p = {.size = UINT64_MAX, .parents = true};
    assert_int_equal(put(&ALICE, "/home/alice/d/sub/big", &p, data, 1200000, &before), 0);
    put_text("/home/alice/d/small", "s");
    assert_int_equal(removed(&ALICE, "/home/alice/d"), ERR_EXISTS);
    /* A directory is renamed: the files keep their ids and are shared under the new names only. */
    assert_int_equal(renamed("/home/alice/d", "/home/alice/e", false), 0);
    assert_int_equal(resolve(&ALICE, "/home/alice/e/sub/big", &after), 0);
    shared_rightly("files/alice/e/sub/big", &after, data, 1200000);
    assert_int_equal(store_share_by_path(app.store, on_disk("files/alice/d/sub/big"), &share), ERR_NOT_FOUND);
    /* A file. */
    assert_int_equal(renamed("/home/alice/e/sub/big", "/home/alice/big", false), 0);
    assert_int_equal(resolve(&ALICE, "/home/alice/big", &after), 0);
    shared_rightly("files/alice/big", &after, data, 1200000);
    assert_true(content_id_equal(&before.id, &after.id));
    static const struct {
        const char *from, *to;
        bool replace;
        int expected;
    } refused[] = {{"/home/alice/none", "/home/alice/x", false, ERR_NOT_FOUND},
                   {"/home/alice/big", "/home/alice/e", false, ERR_EXISTS},
                   {"/home/alice/big", "/home/alice/e/small", false, ERR_EXISTS},
                   {"/home/alice/e", "/home/alice/e/sub/e", true, ERR_MALFORMED},
                   {"/home/alice/big", "/home/alice/none/x", false, ERR_NOT_FOUND},
                   {"/home/alice/big", "/home/bob/x", false, ERR_PERMISSION},
                   {"/home/alice/big", "/shared/x", false, ERR_PERMISSION}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        int rc = renamed(refused[i].from, refused[i].to, refused[i].replace);
        if (rc != refused[i].expected)
            fail_msg("%s to %s: %s", refused[i].from, refused[i].to, err_name(rc));
    }
    assert_int_equal(renamed("/home/alice/big", "/home/alice/e/small", true), 0);
    reads(&ALICE, "/home/alice/e/small", data, 1200000);
    assert_int_equal(store_share_by_path(app.store, on_disk("files/alice/big"), &share), ERR_NOT_FOUND);
    assert_int_equal(removed(&ALICE, "/home/alice/e/small"), 0);
    assert_int_equal(removed(&ALICE, "/home/alice/e/small"), ERR_NOT_FOUND);
    assert_int_equal(store_share_by_path(app.store, on_disk("files/alice/e/small"), &share), ERR_NOT_FOUND);
    struct store_content row;
    assert_int_equal(store_content_by_id(app.store, &before.id, &row), ERR_NOT_FOUND);
    assert_int_equal(removed(&ALICE, "/home/alice/e/sub"), 0);
    assert_int_equal(removed(&ALICE, "/home/alice/e"), 0);
    assert_int_equal(removed(&ALICE, "/home/alice"), ERR_PERMISSION);
    free(data);
}

/* Killed at every step: afterwards the old file or the new one is there whole, shared, and nothing else. */
static void test_kill(void **state)
{
    (void)state;
    static const struct {
        const char *point;
        bool old;
    } points[] = {{"upload hashed", true},
                  {"upload recorded", true},
                  {"upload renamed", false},
                  {"upload done", false}};
    uint8_t *data = pattern(1500000), *other = pattern(1500000);
    other[77] ^= 1;
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        for (unsigned over = 0; over < 2; over++) {
            const char *path = over ? "/home/alice/over" : "/home/alice/new";
            fflush(NULL);
            pid_t child = fork();
            if (child == 0) {
                node_start();
                if (over)
                    put(&ALICE, path, &OVER, data, 1500000, NULL);
                setenv("SHOAL_FAULT", points[i].point, 1);
                put(&ALICE, path, &OVER, other, 1500000, NULL);
                _exit(1);
            }
            int status;
            assert_int_equal(waitpid(child, &status, 0), child);
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
            node_start();
            struct content_info info;
            struct store_share share;
            const uint8_t *expected = points[i].old ? data : other;
            uint64_t until = uv_hrtime() + WAIT;
            int rc = resolve(&ALICE, path, &info);
            assert_int_equal(rc, !over && points[i].old ? ERR_NOT_FOUND : 0);
            if (rc == 0 && !points[i].old &&
                !over) /* the sweep shares it; over an old share the watch would */
                while ((!info.has_id ||
                        store_share_by_path(app.store, on_disk("files/alice/new"), &share) != 0) &&
                       uv_hrtime() < until) {
                    turn();
                    resolve(&ALICE, path, &info);
                }
            if (rc == 0)
                reads(&ALICE, path, expected, 1500000);
            if (rc == 0 && (points[i].old || !over || strcmp(points[i].point, "upload done") == 0))
                shared_rightly(over ? "files/alice/over" : "files/alice/new", &info, expected, 1500000);
            while (files_in("incoming") && uv_hrtime() < until)
                turn();
            assert_int_equal(files_in("incoming"), 0);
            removed(&ALICE, path);
            node_stop();
        }
    }
    free(data);
    free(other);
}

/* A home on a small tmpfs (needs root): told before the first byte when the size is known, else at the end;
 * nothing is left; then all is well. */
static void test_full_disk(void **state)
{
    (void)state;
    struct content_upload_params p = {.size = 30u << 20};
    struct content_upload *u;
    char home[128];
    snprintf(home, sizeof home, "%s/home", room);
    assert_int_equal(mkdir(home, 0700), 0);
    if (mount("tmpfs", home, "tmpfs", 0, "size=12m") != 0) {
        print_message("no right to mount: skipped\n");
        skip();
    }
    uint8_t *data = pattern(14u << 20);
    node_start();
    put_text("/home/alice/old", "old");
    assert_int_equal(begin(&ALICE, "/home/alice/told", &p, &u), ERR_NO_SPACE);
    assert_int_equal(put(&ALICE, "/home/alice/old", &OVER, data, 14u << 20, NULL), ERR_NO_SPACE);
    assert_int_equal(resolve(&ALICE, "/home/alice/told", NULL), ERR_NOT_FOUND);
    reads(&ALICE, "/home/alice/old", "old", 3);
    assert_int_equal(files_in("incoming"), 0);
    assert_int_equal(put(&ALICE, "/home/alice/fits", &NEW, data, 5u << 20, NULL), 0);
    reads(&ALICE, "/home/alice/fits", data, 5u << 20);
    node_stop();
    assert_int_equal(umount(home), 0);
    free(data);
}

static void test_quota(void **state)
{
    (void)state;
    struct content_upload_params p = {.size = 30u << 20};
    struct content_upload *u;
    uint8_t *data = pattern(18u << 20);
    node_start_with(12u << 20);
    assert_int_equal(begin(&ALICE, "/home/alice/told", &p, &u), ERR_QUOTA);
    assert_int_equal(put(&ALICE, "/home/alice/untold", &NEW, data, 18u << 20, NULL), ERR_QUOTA);
    assert_int_equal(resolve(&ALICE, "/home/alice/untold", NULL), ERR_NOT_FOUND);
    assert_int_equal(files_in("incoming"), 0);
    p.size = 7u << 20;
    assert_int_equal(put(&ALICE, "/home/alice/one", &p, data, 7u << 20, NULL), 0);
    assert_int_equal(begin(&ALICE, "/home/alice/two", &p, &u), ERR_QUOTA); /* what lies in homes counts */
    free(data);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_sizes),   T(test_rights),  T(test_lists), T(test_append),    T(test_conditions), T(test_abort),
        T(test_parents), T(test_changes), T(test_kill),  T(test_full_disk), T(test_quota),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
