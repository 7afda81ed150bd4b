/* Purpose: what the store says it has is there after kill -9, after a full disk, and in no more time than a
 * person waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "node/base/err.h"
#include "node/base/pack.h"
#include "node/host/store/store.h"
#include "transfer/manifest.h"
#include "transfer/tree.h"

/* Bars are for release builds. Processor time is measured, so that other work on the machine does not decide; waiting for the disk is not in it. */
static double slower(void)
{
    const char *preload = getenv("LD_PRELOAD");
    if (preload && strstr(preload, "vgpreload"))
        return 40; /* valgrind interprets every instruction */
#if defined(__SANITIZE_ADDRESS__)
    return 8;
#elif defined(__SANITIZE_THREAD__)
    return 20;
#else
    return 1;
#endif
}

static char home[64];

static int setup(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/shoal-store-XXXXXX");
    return mkdtemp(home) ? 0 : -1;
}

static void run(const char *command)
{
    if (system(command) != 0)
        fail_msg("%s", command);
}

static int teardown(void **state)
{
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", home);
    run(command);
    return 0;
}

static struct store *opened(void)
{
    struct store *s;
    char message[256] = "";
    int status = store_open(&s, home, message);
    if (status)
        fail_msg("store_open: %d %s", status, message);
    return s;
}

static double ms_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)(now.tv_sec - start->tv_sec) * 1e3 + (double)(now.tv_nsec - start->tv_nsec) / 1e6;
}

/* The clock that stamps files moves in steps; gc spares what is as young as itself. */
static void next_tick(void)
{
    struct timespec first, now;
    clock_gettime(CLOCK_REALTIME_COARSE, &first);
    do
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
    while (now.tv_nsec == first.tv_nsec);
}

static struct store_content content(uint32_t n, const char *path, int64_t share)
{
    struct store_content c = {.place = PLACE_FILE, .path = path, .share = share, .announce = true};
    tree_sha256(c.id.root, (const uint8_t *)&n, sizeof n);
    c.id.size = n;
    tree_sha256(c.provider_key, c.id.root, HASH_SIZE);
    c.stamp = (struct file_stamp){1, n, n, -5, INT64_MAX};
    return c;
}

static int64_t share_of(struct store *s, const char *path, uint32_t n)
{
    int64_t row;
    struct store_content c = content(n, path, 0);
    struct store_share share = {
        .path = path, .name = "x", .id = c.id, .bytes = 5, .files = 2, .added_s = 1000, .with_times = true};
    assert_int_equal(store_share_put(s, &share, &row), 0);
    return row;
}

static void test_contents(void **state)
{
    (void)state;
    struct store *s = opened();
    struct store_content in = content(7, "/a/b", 0), out;
    in.directory = "/a";
    in.state = CONTENT_CHANGED;
    assert_int_equal(store_content_put(s, &in), 0);
    assert_int_equal(store_content_find(s, in.provider_key, &out), 0);
    assert_true(content_id_equal(&in.id, &out.id));
    assert_memory_equal(in.provider_key, out.provider_key, HASH_SIZE);
    assert_string_equal(out.path, "/a/b");
    assert_string_equal(out.directory, "/a");
    assert_memory_equal(&in.stamp, &out.stamp, sizeof in.stamp);
    assert_int_equal(out.place, PLACE_FILE);
    assert_int_equal(out.state, CONTENT_CHANGED);
    assert_int_equal(out.share, 0);
    assert_true(out.announce);
    int64_t row = out.row;
    /* The same again replaces; another path is another row, and the good one is found first. */
    in.stamp.size = 8;
    assert_int_equal(store_content_put(s, &in), 0);
    assert_int_equal(store_content_by_id(s, &in.id, &out), 0);
    assert_int_equal(out.row, row);
    assert_int_equal(out.stamp.size, 8);
    in.path = "/c";
    in.directory = NULL;
    in.state = CONTENT_OK;
    assert_int_equal(store_content_put(s, &in), 0);
    assert_int_equal(store_content_find(s, in.provider_key, &out), 0);
    assert_string_equal(out.path, "/c");
    assert_null(out.directory);
    assert_int_equal(store_content_state(s, out.row, CONTENT_MISSING), 0);
    assert_int_equal(store_content_find(s, in.provider_key, &out), 0);
    assert_string_equal(out.path, "/a/b");
    assert_int_equal(store_content_by_path(s, "/c", &out), 0);
    assert_int_equal(out.state, CONTENT_MISSING);
    assert_int_equal(store_content_remove(s, out.row), 0);
    assert_int_equal(store_content_by_path(s, "/c", &out), ERR_NOT_FOUND);
    assert_int_equal(store_content_by_path(s, "/", &out), ERR_NOT_FOUND);
    store_close(s);
}

static bool count_content(void *context, const struct store_content *c)
{
    (void)c;
    ++*(uint32_t *)context;
    return true;
}

static uint32_t count_of(struct store *s, int64_t share)
{
    uint32_t n = 0;
    assert_int_equal(store_contents(s, share, 0, 1000000, count_content, &n), 0);
    return n;
}

/* Two shares overlap: /a and /a/b. Removing one leaves what the other still needs. */
static void test_shares(void **state)
{
    (void)state;
    struct store *s = opened();
    int64_t a = share_of(s, "/a", 1), b = share_of(s, "/a/b", 2);
    struct store_content one = content(1, "/a/1", a), two = content(2, "/a/b/2", a), out;
    assert_int_equal(store_content_put(s, &one), 0);
    assert_int_equal(store_content_put(s, &two), 0);
    two.share = b;
    assert_int_equal(store_content_put(s, &two), 0);
    assert_int_equal(count_of(s, 0), 2);
    assert_int_equal(count_of(s, a), 2);
    assert_int_equal(count_of(s, b), 1);
    struct store_share share;
    assert_int_equal(store_share_by_path(s, "/a", &share), 0);
    assert_int_equal(share.row, a);
    assert_string_equal(share.name, "x");
    assert_int_equal(share.bytes, 5);
    assert_int_equal(share.files, 2);
    assert_int_equal(share.added_s, 1000);
    assert_true(share.with_times);
    assert_false(share.fetched);
    assert_int_equal(store_share_by_id(s, &one.id, &share), 0);
    assert_int_equal(store_share_by_path(s, "/x", &share), ERR_NOT_FOUND);
    assert_int_equal(share_of(s, "/a", 9), a); /* replaces by path */
    assert_int_equal(store_share_remove(s, a), 0);
    assert_int_equal(store_share_remove(s, a), ERR_NOT_FOUND);
    assert_int_equal(store_content_find(s, one.provider_key, &out), ERR_NOT_FOUND);
    assert_int_equal(store_content_find(s, two.provider_key, &out), 0);
    assert_int_equal(out.share, b);
    assert_int_equal(store_share_remove(s, b), 0);
    assert_int_equal(count_of(s, 0), 0);
    store_close(s);
}

static bool count_share(void *context, const struct store_share *share)
{
    (void)share;
    ++*(uint32_t *)context;
    return true;
}

static bool count_key(void *context, const uint8_t key[HASH_SIZE])
{
    (void)key;
    ++*(uint32_t *)context;
    return true;
}

/* Sharing again: what was not found again is forgotten at the end, not before; a new share is unseen until it
 * is whole. */
static void test_share_made_again(void **state)
{
    (void)state;
    struct store *s = opened();
    int64_t row, again;
    uint32_t n = 0;
    struct store_share share;
    assert_int_equal(store_share_begin(s, "/a", 5, &row), 0);
    struct store_content one = content(1, "/a/1", row), two = content(2, "/a/2", row), out;
    assert_int_equal(store_content_put(s, &one), 0);
    assert_int_equal(store_content_put(s, &two), 0);
    assert_int_equal(store_share_by_path(s, "/a", &share), ERR_NOT_FOUND);
    assert_int_equal(store_shares(s, count_share, &n), 0);
    assert_int_equal(store_announced(s, count_key, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(share_of(s, "/a", 3), row);
    assert_int_equal(store_share_settle(s, row), 0);
    assert_int_equal(store_announced(s, count_key, &n), 0);
    assert_int_equal(n, 2);
    /* A crash in the middle of the second time leaves the first as it was. */
    store_close(s);
    s = opened();
    assert_int_equal(store_share_begin(s, "/a", 6, &again), 0);
    assert_int_equal(again, row);
    assert_int_equal(store_share_by_path(s, "/a", &share), 0);
    assert_int_equal(share.added_s, 1000);
    assert_int_equal(store_content_put(s, &two), 0);
    assert_int_equal(store_content_find(s, one.provider_key, &out), 0);
    assert_int_equal(store_share_settle(s, row), 0);
    assert_int_equal(store_content_find(s, one.provider_key, &out), ERR_NOT_FOUND);
    assert_int_equal(store_content_find(s, two.provider_key, &out), 0);
    n = 0;
    assert_int_equal(store_shares_of(s, out.row, count_share, &n), 0);
    assert_int_equal(n, 1);
    store_close(s);
}

static bool take_fetch(void *context, const char *target, const struct content_id *id, struct bytes bytes)
{
    assert_string_equal(target, "/t");
    assert_int_equal(id->size, 4);
    assert_true(bytes_equal(bytes, bytes_of("state", 5)));
    ++*(uint32_t *)context;
    return true;
}

static bool take_pin(void *context, const struct content_id *id)
{
    (void)id;
    ++*(uint32_t *)context;
    return true;
}

static void test_fetches_pins_values(void **state)
{
    (void)state;
    struct store *s = opened();
    struct content_id id = content(4, "", 0).id, other = content(5, "", 0).id;
    uint32_t n = 0;
    assert_int_equal(store_fetch_put(s, "/t", &other, bytes_of("", 0)), 0);
    assert_int_equal(store_fetch_put(s, "/t", &id, bytes_of("state", 5)), 0);
    assert_int_equal(store_fetches(s, take_fetch, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(store_fetch_remove(s, "/t"), 0);
    assert_int_equal(store_fetch_remove(s, "/t"), ERR_NOT_FOUND);
    assert_false(store_is_pinned(s, &id));
    assert_int_equal(store_pin(s, &id, true), 0);
    assert_int_equal(store_pin(s, &id, true), 0);
    assert_true(store_is_pinned(s, &id));
    assert_false(store_is_pinned(s, &other));
    assert_int_equal(store_pins(s, take_pin, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(store_pin(s, &id, false), 0);
    assert_int_equal(store_pin(s, &id, false), ERR_NOT_FOUND);
    uint8_t out[4];
    size_t size;
    assert_int_equal(store_value_get(s, "k", out, sizeof out, &size), ERR_NOT_FOUND);
    assert_int_equal(store_value_put(s, "k", bytes_of("", 0)), 0);
    assert_int_equal(store_value_get(s, "k", out, sizeof out, &size), 0);
    assert_int_equal(size, 0);
    assert_int_equal(store_value_put(s, "k", bytes_of("abcdef", 6)), 0);
    assert_int_equal(store_value_get(s, "k", out, sizeof out, &size), 0);
    assert_int_equal(size, 6);
    assert_memory_equal(out, "abcd", 4);
    store_close(s);
}

static void test_transactions(void **state)
{
    (void)state;
    struct store *s = opened();
    uint8_t out[8];
    size_t size;
    assert_int_equal(store_begin(s), 0);
    assert_int_equal(store_begin(s), 0);
    assert_int_equal(store_value_put(s, "a", bytes_of("1", 1)), 0);
    assert_int_equal(store_commit(s), 0);
    store_rollback(s);
    assert_int_equal(store_value_get(s, "a", out, sizeof out, &size), ERR_NOT_FOUND);
    assert_int_equal(store_begin(s), 0);
    assert_int_equal(store_begin(s), 0);
    assert_int_equal(store_value_put(s, "a", bytes_of("1", 1)), 0);
    store_rollback(s);
    assert_int_equal(store_commit(s), ERR_CANCELLED); /* an inner rollback dooms the outer one */
    assert_int_equal(store_value_get(s, "a", out, sizeof out, &size), ERR_NOT_FOUND);
    assert_int_equal(store_begin(s), 0);
    assert_int_equal(store_value_put(s, "a", bytes_of("1", 1)), 0);
    assert_int_equal(store_commit(s), 0);
    assert_int_equal(store_value_get(s, "a", out, sizeof out, &size), 0);
    store_close(s);
}

static void test_two_handles(void **state)
{
    (void)state;
    struct store *a = opened(), *b = opened();
    uint8_t out[8];
    size_t size;
    assert_int_equal(store_value_put(a, "x", bytes_of("1", 1)), 0);
    assert_int_equal(store_value_get(b, "x", out, sizeof out, &size), 0);
    assert_int_equal(store_begin(a), 0); /* readers do not wait for a writer */
    assert_int_equal(store_value_put(a, "x", bytes_of("22", 2)), 0);
    assert_int_equal(store_value_get(b, "x", out, sizeof out, &size), 0);
    assert_int_equal(size, 1);
    assert_int_equal(store_commit(a), 0);
    assert_int_equal(store_value_get(b, "x", out, sizeof out, &size), 0);
    assert_int_equal(size, 2);
    store_close(a);
    store_close(b);
}

static void test_private(void **state)
{
    (void)state;
    mode_t before = umask(0);
    struct store *s = opened();
    assert_int_equal(store_value_put(s, "x", bytes_of("1", 1)), 0);
    struct content_id id = {.size = 1};
    tree_sha256(id.root, (const uint8_t *)"x", 1);
    assert_int_equal(store_object_put(s, &id, bytes_of("x", 1)), 0);
    static const char *const names[] = {"shoal.db", "shoal.db-wal", "shoal.db-shm", "objects"};
    for (size_t i = 0; i < 4; i++) {
        char path[200];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", home, names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 077, 0);
    }
    store_close(s);
    umask(before);
}

static void test_not_ours(void **state)
{
    (void)state;
    char path[200], message[256], command[500];
    struct store *s;
    store_close(opened());
    snprintf(path, sizeof path, "%s/shoal.db", home);
    snprintf(command, sizeof command, "sqlite3 %s 'PRAGMA user_version = 99' 2>/dev/null", path);
    if (system(command) == 0) { /* the sqlite3 program may be missing */
        assert_int_equal(store_open(&s, home, message), ERR_VERSION);
        assert_non_null(strstr(message, "newer"));
    }
    FILE *f = fopen(path, "wb");
    for (int i = 0; i < 5000; i++)
        fputc('x', f);
    fclose(f);
    snprintf(command, sizeof command, "rm -f %s-wal %s-shm", path, path);
    run(command);
    assert_int_equal(store_open(&s, home, message), ERR_IO);
    assert_null(s);
    assert_non_null(strstr(message, path));
    assert_int_equal(store_open(&s, home, NULL), ERR_IO);
    snprintf(path, sizeof path, "%s/none/none", home);
    assert_int_not_equal(store_open(&s, path, message), 0);
}

static struct content_id object(struct store *s, const void *data, size_t size, uint8_t kind)
{
    struct content_id id = {.size = size, .kind = kind};
    tree_sha256(id.root, data, size); /* one leaf */
    assert_int_equal(store_object_put(s, &id, bytes_of(data, size)), 0);
    return id;
}

static bool exists(struct store *s, const struct content_id *id)
{
    char path[4096];
    struct stat st;
    store_object_path(s, id, path, sizeof path);
    return stat(path, &st) == 0;
}

static struct content_id manifest_of(struct store *s, const char *name, const struct content_id *child)
{
    uint8_t buffer[400];
    struct pack p;
    struct bytes last = {0};
    struct manifest_entry e = {.name = bytes_of(name, strlen(name)), .id = *child};
    pack_init(&p, buffer, sizeof buffer);
    manifest_begin(&p, 1);
    assert_int_equal(manifest_add(&p, &e, &last), 0);
    return object(s, buffer, p.size, CONTENT_TREE);
}

static bool count_path(void *context, const char *path, uint64_t bytes)
{
    assert_non_null(strstr(path, "/objects/") || strstr(path, "/cache/"));
    assert_true(bytes > 0);
    ++*(uint32_t *)context;
    return true;
}

static void test_objects_and_gc(void **state)
{
    (void)state;
    struct store *s = opened();
    struct content_id loose = object(s, "loose", 5, 0), shared = object(s, "shared", 6, 0);
    struct content_id leaf = object(s, "leaf", 4, 0), fetched = object(s, "fetched", 7, 0);
    struct content_id inner = manifest_of(s, "leaf", &leaf), outer = manifest_of(s, "inner", &inner);
    uint8_t *data;
    assert_int_equal(store_object_read(s, &loose, &data), 0);
    assert_memory_equal(data, "loose", 5);
    free(data);
    assert_int_equal(store_object_put(s, &loose, bytes_of("loose", 5)), 0);
    int64_t share = share_of(s, "/a", 1);
    char path[4096];
    store_object_path(s, &shared, path, sizeof path);
    struct store_content c = content(1, path, share);
    c.place = PLACE_OBJECT;
    c.id = shared;
    assert_int_equal(store_content_put(s, &c), 0);
    assert_int_equal(store_pin(s, &outer, true), 0);
    assert_int_equal(store_fetch_put(s, "/t", &fetched, bytes_of("", 0)), 0);
    uint64_t before, after;
    assert_int_equal(store_usage(s, &before), 0);
    struct gc_result result;
    uint32_t n = 0;
    next_tick();
    assert_int_equal(store_gc(s, true, count_path, &n, &result), 0);
    assert_int_equal(result.objects, 1);
    assert_int_equal(n, 1);
    assert_true(exists(s, &loose));
    assert_int_equal(store_gc(s, false, count_path, &n, &result), 0);
    assert_int_equal(result.objects, 1);
    assert_false(exists(s, &loose));
    assert_true(exists(s, &shared) && exists(s, &leaf) && exists(s, &inner) && exists(s, &outer) &&
                exists(s, &fetched));
    assert_int_equal(store_usage(s, &after), 0);
    assert_true(after < before);
    /* Unpinned, unshared, fetch gone: nothing stays. */
    assert_int_equal(store_pin(s, &outer, false), 0);
    assert_int_equal(store_fetch_remove(s, "/t"), 0);
    assert_int_equal(store_share_remove(s, share), 0);
    assert_int_equal(store_gc(s, false, NULL, NULL, &result), 0);
    assert_int_equal(result.objects, 5);
    assert_false(exists(s, &shared) || exists(s, &leaf) || exists(s, &outer));
    assert_int_equal(store_object_read(s, &outer, &data), ERR_NOT_FOUND);
    store_close(s);
}

static void cache_file(uint32_t n, const char *end, uint32_t days, char out[300])
{
    struct store_content c = content(n, "/", 0);
    char text[CONTENT_ID_TEXT_SIZE + 1], command[900];
    content_id_format(text, &c.id);
    snprintf(out, 300, "%s/cache/%s%s", home, text, end);
    snprintf(command, sizeof command, "mkdir -p $(dirname %s); head -c 1000000 /dev/zero > %s; touch -d '%u days ago' %s", out, out, days, out);
    run(command);
}

/* home/cache: gc empties it, but for pins, what is being fetched and what is none of ours; under the quota the oldest gives way, no more than needed. */
static void test_cache(void **state)
{
    (void)state;
    struct store *s = opened();
    char old[300], newer[300], pinned[300], part[300], target[300], small[300], strange[4096];
    struct gc_result result;
    struct content_id id = content(4, "/", 0).id, three = content(3, "/", 0).id;
    uint32_t n = 0;
    cache_file(1, "", 9, old);
    cache_file(2, "", 2, newer);
    cache_file(3, "", 8, pinned);
    cache_file(4, ".part", 7, part);
    cache_file(5, ".tree/a/b", 1, small);
    snprintf(strange, sizeof strange, "%s/cache/README", home);
    FILE *f = fopen(strange, "w");
    assert_non_null(f);
    fclose(f);
    snprintf(target, sizeof target, "%.*s", (int)(strlen(part) - 5), part);
    assert_int_equal(store_pin(s, &three, true), 0);
    assert_int_equal(store_fetch_put(s, target, &id, bytes_of("", 0)), 0);
    uint64_t used;
    assert_int_equal(store_usage(s, &used), 0);
    assert_true(used > 5000000);
    assert_int_equal(store_quota_set(s, used + 100000), 0);
    assert_int_equal(store_room(s, 600000), ERR_QUOTA);
    assert_int_equal(store_cache_room(s, 600000), 0);
    assert_int_not_equal(access(old, F_OK), 0);
    assert_true(access(newer, F_OK) == 0 && access(pinned, F_OK) == 0 && access(part, F_OK) == 0);
    assert_int_equal(store_cache_room(s, 90000000), ERR_QUOTA);
    assert_true(access(newer, F_OK) != 0 && access(small, F_OK) != 0);
    assert_true(access(pinned, F_OK) == 0 && access(part, F_OK) == 0 && access(strange, F_OK) == 0);
    cache_file(1, "", 0, old);
    assert_int_equal(store_gc(s, true, count_path, &n, &result), 0);
    assert_true(n == 1 && result.objects == 1 && result.bytes >= 1000000 && access(old, F_OK) == 0);
    assert_int_equal(store_gc(s, false, count_path, &n, &result), 0);
    assert_true(n == 2 && access(old, F_OK) != 0 && access(pinned, F_OK) == 0 && access(part, F_OK) == 0);
    assert_int_equal(store_fetch_remove(s, target), 0);
    assert_int_equal(store_pin(s, &three, false), 0);
    assert_int_equal(store_gc(s, false, NULL, NULL, &result), 0);
    assert_int_equal(result.objects, 2);
    assert_int_equal(access(strange, F_OK), 0);
    store_close(s);
}

/* A file in the making is left alone until it is an hour old; a name that is none of ours always. */
static void test_gc_leftovers(void **state)
{
    (void)state;
    struct store *s = opened();
    char path[4096], command[8300], strange[4096];
    struct gc_result result;
    assert_int_equal(store_temporary_path(s, "trees", path, sizeof path), 0);
    snprintf(strange, sizeof strange, "%s/trees/README", home);
    snprintf(command, sizeof command, "touch %s; touch -d '2 hours ago' %s", path, strange);
    run(command);
    next_tick();
    assert_int_equal(store_gc(s, false, NULL, NULL, &result), 0);
    assert_int_equal(result.objects, 0);
    snprintf(command, sizeof command, "touch -d '2 hours ago' %s", path);
    run(command);
    assert_int_equal(store_gc(s, false, NULL, NULL, &result), 0);
    assert_int_equal(result.objects, 1);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(access(strange, F_OK), 0);
    store_close(s);
}

static void test_quota(void **state)
{
    (void)state;
    struct store *s = opened();
    uint64_t used;
    uint8_t *block = calloc(1, 100000);
    assert_int_equal(store_usage(s, &used), 0);
    assert_true(used > 0); /* the database counts */
    assert_int_equal(store_quota_set(s, used + 500000), 0);
    int stored = 0, status = 0;
    for (int i = 0; i < 20 && status == 0; i++) {
        struct content_id id = {.size = 100000};
        block[0] = (uint8_t)i;
        tree_sha256(id.root, block, 100000);
        status = store_object_put(s, &id, bytes_of(block, 100000));
        stored += status == 0;
    }
    assert_int_equal(status, ERR_QUOTA);
    assert_in_range(stored, 3, 5);
    assert_int_equal(store_usage(s, &used), 0);
    store_close(s);
    s = opened(); /* another handle knows it too */
    assert_int_equal(store_room(s, 100000), ERR_QUOTA);
    assert_int_equal(store_room(s, 1), 0);
    assert_int_equal(store_value_put(s, "x", bytes_of("1", 1)), 0); /* the handle goes on */
    assert_int_equal(store_quota_set(s, 0), 0);
    assert_int_equal(store_room(s, UINT32_MAX), 0);
    free(block);
    store_close(s);
}

/* A child writes pairs and says in a pipe what was reported done; it is killed at a random moment, ten times.
 */
static void child(int fd, uint32_t from)
{
    struct store *s = opened();
    for (uint32_t i = from;; i++) {
        char path[64];
        snprintf(path, sizeof path, "/f/%u", i);
        struct store_content c = content(i, path, 0);
        if (store_begin(s))
            _exit(1);
        if (store_content_put(s, &c))
            _exit(2);
        c.path = "/twin";
        if (store_content_put(s, &c) || store_commit(s))
            _exit(3);
        if (write(fd, &i, sizeof i) != sizeof i)
            _exit(4);
    }
}

static void test_kill(void **state)
{
    (void)state;
    uint32_t next = 0;
    store_close(opened());
    for (int round = 0; round < 10; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        if (pid == 0)
            child(fds[1], next);
        close(fds[1]);
        uint32_t last = next, got = 0, stop = (uint32_t)round * 7 + 1;
        while (got < stop && read(fds[0], &last, sizeof last) == sizeof last)
            got++;
        assert_int_equal(got, stop);
        kill(pid, SIGKILL);
        while (read(fds[0], &last, sizeof last) == sizeof last)
            ;
        close(fds[0]);
        waitpid(pid, NULL, 0);
        struct store *s = opened();
        struct store_content out;
        for (uint32_t i = 0; i <= last; i++) { /* nothing acknowledged is lost */
            char path[64];
            snprintf(path, sizeof path, "/f/%u", i);
            assert_int_equal(store_content_by_path(s, path, &out), 0);
        }
        assert_int_equal(count_of(s, 0) % 2, 0); /* no half pair */
        store_close(s);
        next = last + 2;
        struct store *fill = opened(); /* the one that may have been cut */
        char path[64];
        snprintf(path, sizeof path, "/f/%u", last + 1);
        struct store_content c = content(last + 1, path, 0);
        assert_int_equal(store_begin(fill), 0);
        assert_int_equal(store_content_put(fill, &c), 0);
        c.path = "/twin";
        assert_int_equal(store_content_put(fill, &c), 0);
        assert_int_equal(store_commit(fill), 0);
        store_close(fill);
    }
}

static void test_full_disk(void **state)
{
    (void)state;
    if (mount("none", home, "tmpfs", 0, "size=1m,mode=0700")) {
        print_message("skipped: mounting a small tmpfs needs root\n");
        return;
    }
    struct store *s = opened();
    char fill_path[200];
    snprintf(fill_path, sizeof fill_path, "%s/fill", home);
    uint8_t block[4096] = {1};
    int fd = open(fill_path, O_WRONLY | O_CREAT, 0600);
    while (write(fd, block, sizeof block) > 0)
        ;
    close(fd);
    int status = 0;
    uint8_t *big = calloc(1, 100000), out[8];
    size_t size;
    for (int i = 0; i < 50 && status == 0; i++) {
        char key[20];
        snprintf(key, sizeof key, "k%d", i);
        status = store_value_put(s, key, bytes_of(big, 50000));
    }
    assert_int_equal(status, ERR_NO_SPACE);
    assert_int_equal(store_begin(s), 0);
    status = store_value_put(s, "in", bytes_of(big, 100000));
    if (status == 0)
        status = store_commit(s);
    else
        store_rollback(s);
    assert_int_equal(status, ERR_NO_SPACE);
    struct content_id id = {.size = 100000};
    tree_sha256(id.root, big, 100000);
    assert_int_equal(store_object_put(s, &id, bytes_of(big, 100000)), ERR_NO_SPACE);
    assert_false(exists(s, &id));
    assert_int_equal(store_value_get(s, "in", out, sizeof out, &size), ERR_NOT_FOUND); /* reading goes on */
    assert_int_equal(unlink(fill_path), 0); /* space returns: so does everything, on the same handle */
    assert_int_equal(store_value_put(s, "in", bytes_of(big, 50000)), 0);
    assert_int_equal(store_object_put(s, &id, bytes_of(big, 100000)), 0);
    assert_true(exists(s, &id));
    free(big);
    store_close(s);
    assert_int_equal(umount(home), 0);
}

static void test_ten_thousand(void **state)
{
    (void)state;
    struct store *s = opened();
    struct timespec start;
    int64_t share = share_of(s, "/tree", 1);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    assert_int_equal(store_begin(s), 0);
    for (uint32_t i = 0; i < 10000; i++) {
        char path[64];
        snprintf(path, sizeof path, "/home/somebody/tree/dir%u/file-%u", i / 100, i);
        struct store_content c = content(i, path, share);
        assert_int_equal(store_content_put(s, &c), 0);
    }
    assert_int_equal(store_commit(s), 0);
    double insert = ms_since(&start);
    for (uint32_t i = 0; i < 10000; i++) {
        char path[64];
        snprintf(path, sizeof path, "/home/somebody/file-%u", i);
        if (i == 0)
            assert_int_equal(store_begin(s), 0);
        share_of(s, path, i);
    }
    assert_int_equal(store_commit(s), 0);
    store_close(s);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    s = opened();
    uint32_t shares = 0, keys = 0;
    assert_int_equal(store_shares(s, count_share, &shares), 0);
    double load = ms_since(&start);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    assert_int_equal(store_announced(s, count_key, &keys), 0);
    double announced = ms_since(&start);
    assert_int_equal(shares, 10001);
    assert_int_equal(keys, 10000);
    print_message("10,000 contents in one transaction %.0f ms, open and list 10,000 shares %.0f ms, 10,000 "
                  "keys %.0f ms\n",
                  insert, load, announced);
    assert_true(insert < 400 * slower()); /* bars 200 and 100 on an idle machine, printed above */
    assert_true(load < 200 * slower());
    assert_true(announced < 200 * slower());
    store_close(s);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_contents),
        T(test_shares),
        T(test_share_made_again),
        T(test_fetches_pins_values),
        T(test_transactions),
        T(test_two_handles),
        T(test_private),
        T(test_not_ours),
        T(test_objects_and_gc),
        T(test_gc_leftovers),
        T(test_cache),
        T(test_quota),
        T(test_kill),
        T(test_full_disk),
        T(test_ten_thousand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
