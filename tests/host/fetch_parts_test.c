/* The parts of fetching that need no network: names and paths, selection, the record for resuming, and what is done on disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "node/base/err.h"
#include "node/host/fetch_disk.h"
#include "node/host/fetch_path.h"
#include "node/host/fetch_state.h"
#include "transfer/manifest.h"
#include "transfer/tree.h"

static char folder[64];

static int folder_make(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/shoal-fetch-parts-XXXXXX");
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int folder_remove(void **state)
{
    (void)state;
    int fd = open("/tmp", O_RDONLY | O_DIRECTORY);
    int rc = chdir("/tmp") == 0 && fd >= 0 ? fetch_disk_remove(fd, folder + 5, 10) : -1;
    close(fd);
    return rc;
}

/* ---- Names ---- */

static void test_name(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"film.mp4", "film.mp4"}, {"a b", "a b"},         {"..", NULL},          {".", NULL},
        {"", NULL},               {"../../etc", "_._.._etc"}, {"..x", "_.x"},    {".hidden", ".hidden"},
        {"a/b", "a_b"},           {"a\nb\x7f", "a_b_"},   {"\x1b[2J", "_[2J"},   {"\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9"},
    };
    struct link link = {0};
    char id[CONTENT_ID_TEXT_SIZE + 1], out[CONTENT_NAME_MAX + 1];
    content_id_format(id, &link.id);
    id[12] = 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        snprintf(link.name, sizeof link.name, "%s", table[i][0]);
        fetch_path_name(out, &link);
        assert_string_equal(out, table[i][1] ? table[i][1] : id);
        assert_null(strchr(out, '/'));
    }
}

static void test_long_name_leaves_room_for_suffixes(void **state)
{
    (void)state;
    struct link link = {0};
    char out[CONTENT_NAME_MAX + 1];
    for (size_t i = 0; i + 1 < CONTENT_NAME_MAX; i += 2)
        memcpy(link.name + i, "\xc3\xa9", 2);
    fetch_path_name(out, &link);
    assert_true(strlen(out) + strlen(".copy.part.map.new") <= 255);
    assert_int_equal(strlen(out) % 2, 0); /* no half character */
}

static void test_join(void **state)
{
    (void)state;
    static const char *const table[][3] = {
        {"/a", "b", "/a/b"}, {"/", "b", "/b"}, {"", "b", "b"}, {"a", "", "a"}, {"a/b", "c/d", "a/b/c/d"},
    };
    char out[16];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_int_equal(fetch_path_join(out, sizeof out, table[i][0], table[i][1]), 0);
        assert_string_equal(out, table[i][2]);
    }
    assert_int_equal(fetch_path_join(out, sizeof out, "0123456", "89012345"), ERR_RANGE);
    assert_int_equal(fetch_path_join(out, sizeof out, "0123456", "8901234"), 0);
    assert_int_equal(fetch_path_append(out, sizeof out, "x"), ERR_RANGE);
    char slashes[] = "/a//";
    fetch_path_trim(slashes);
    assert_string_equal(slashes, "/a");
    strcpy(slashes, "//");
    fetch_path_trim(slashes);
    assert_string_equal(slashes, "/");
}

/* ---- Selection ---- */

static void test_select_normalize(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"a", "a"}, {"/a", "a"}, {"./a/", "a"}, {"a//b", "a/b"}, {"a/./b", "a/b"}, {"..a/b..", "..a/b.."}, {"a/...", "a/..."},
    };
    static const char *const bad[] = {"", "/", ".", "./.", "..", "a/../b", "../a", "a/.."};
    char out[32];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(fetch_select_normalize(out, sizeof out, good[i][0]), 0);
        assert_string_equal(out, good[i][1]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(fetch_select_normalize(out, sizeof out, bad[i]), ERR_RANGE);
    assert_int_equal(fetch_select_normalize(out, 4, "abcd"), ERR_RANGE);
}

static void test_select_match(void **state)
{
    (void)state;
    static const char *const select[] = {"music/jazz", "readme", "a/b/c", "a/b"};
    static const struct {
        const char *path;
        enum fetch_match match;
        int which;
    } table[] = {
        {"music", FETCH_MATCH_INSIDE, -1},      {"music/jazz", FETCH_MATCH_ALL, 0},     {"music/jazz/a/b", FETCH_MATCH_ALL, -1},
        {"music/jazzy", FETCH_MATCH_NONE, -1},  {"music/rock", FETCH_MATCH_NONE, -1},   {"readme", FETCH_MATCH_ALL, 1},
        {"readme.txt", FETCH_MATCH_NONE, -1},   {"read", FETCH_MATCH_NONE, -1},         {"a", FETCH_MATCH_INSIDE, -1},
        {"a/b", FETCH_MATCH_ALL, 3},            {"a/b/c", FETCH_MATCH_ALL, 2},          {"a/b/d", FETCH_MATCH_ALL, -1},
        {"a/bb", FETCH_MATCH_NONE, -1},         {"musi", FETCH_MATCH_NONE, -1},
    };
    int which;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_int_equal(fetch_select_match(select, 4, table[i].path, &which), table[i].match);
        assert_int_equal(which, table[i].which);
    }
    assert_int_equal(fetch_select_match(NULL, 0, "x", &which), FETCH_MATCH_ALL);
    assert_int_equal(which, -1);
}

/* ---- The record ---- */

static void state_make(struct fetch_state *s, char **select, size_t count)
{
    memset(s, 0, sizeof *s);
    s->link.id.size = 12345;
    s->link.id.root[3] = 9;
    snprintf(s->link.name, sizeof s->link.name, "a name");
    s->replace = true;
    s->select = select;
    s->select_count = count;
}

static void test_state_round_trip(void **state)
{
    (void)state;
    char *select[] = {(char *)"a/b", (char *)"c"};
    for (size_t count = 0; count <= 2; count++) {
        struct fetch_state in, out;
        size_t size;
        state_make(&in, select, count);
        uint8_t *bytes = fetch_state_encode(&in, &size);
        assert_non_null(bytes);
        assert_int_equal(fetch_state_decode(&out, bytes_of(bytes, size)), 0);
        assert_true(content_id_equal(&in.link.id, &out.link.id));
        assert_string_equal(out.link.name, "a name");
        assert_true(out.replace);
        assert_false(out.no_share);
        assert_int_equal(out.select_count, count);
        for (size_t i = 0; i < count; i++)
            assert_string_equal(out.select[i], select[i]);
        fetch_state_fini(&out);

        for (size_t cut = 0; cut < size; cut++) { /* a record that was cut off is refused, and nothing leaks */
            assert_int_not_equal(fetch_state_decode(&out, bytes_of(bytes, cut)), 0);
            assert_null(out.select);
        }
        for (size_t i = 0; i < size; i++) { /* any flipped bit gives a record or an error, never a crash */
            bytes[i] ^= 0x80;
            if (fetch_state_decode(&out, bytes_of(bytes, size)) == 0)
                fetch_state_fini(&out);
            bytes[i] ^= 0x80;
        }
        free(bytes);
    }
}

static void test_state_refused(void **state)
{
    (void)state;
    struct fetch_state in, out;
    char *outside[] = {(char *)"../x"};
    size_t size;
    state_make(&in, outside, 1);
    uint8_t *bytes = fetch_state_encode(&in, &size);
    assert_int_equal(fetch_state_decode(&out, bytes_of(bytes, size)), ERR_MALFORMED);
    bytes[2] = 2; /* the version */
    assert_int_equal(fetch_state_decode(&out, bytes_of(bytes, size)), ERR_VERSION);
    free(bytes);
}

/* ---- The disk ---- */

static void write_file(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), size);
    close(fd);
}

/* Content data[i] = i mod 251 and its id (FIELD.md has some of the roots). */
static uint8_t *pattern(size_t size, struct content_id *id)
{
    uint8_t *data = malloc(size + 1);
    uint32_t count = tree_leaf_count(size);
    uint8_t(*leaves)[HASH_SIZE] = malloc((size_t)count * HASH_SIZE);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i % 251);
    for (uint32_t i = 0; i < count; i++)
        tree_sha256(leaves[i], data + (size_t)i * TREE_LEAF_SIZE, tree_leaf_bytes(size, i));
    memset(id, 0, sizeof *id);
    id->size = size;
    tree_root(id->root, (const uint8_t(*)[HASH_SIZE])leaves, count);
    free(leaves);
    return data;
}

static void test_verify_and_copy(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 16384, 16385, 65537, 163840, 1048576, 1048577, 3000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct content_id id;
        struct file_stamp stamp;
        uint8_t *data = pattern(sizes[i], &id);
        write_file("from", data, sizes[i]);
        assert_int_equal(fetch_disk_verify_path("from", &id, NULL, &stamp), 0);
        assert_int_equal(stamp.size, sizes[i]);
        assert_int_equal(fetch_disk_copy("from", "to", &id, true, NULL, &stamp), 0);
        assert_int_equal(fetch_disk_verify_path("to", &id, NULL, NULL), 0);

        data[sizes[i] / 2] ^= 1; /* the source changed: the copy is refused and removed */
        write_file("from", data, sizes[i]);
        assert_int_equal(fetch_disk_verify_path("from", &id, NULL, NULL), ERR_BAD_HASH);
        assert_int_equal(fetch_disk_copy("from", "to", &id, true, NULL, NULL), ERR_BAD_HASH);
        assert_int_equal(access("to", F_OK), -1);
        id.size++;
        assert_int_equal(fetch_disk_verify_path("from", &id, NULL, NULL), ERR_BAD_HASH);
        free(data);
    }
    struct content_id id = {.size = 5};
    atomic_bool stop = true;
    write_file("from", "12345", 5);
    assert_int_equal(fetch_disk_verify_path("from", &id, &stop, NULL), ERR_CANCELLED);
    assert_int_equal(fetch_disk_verify_path("absent", &id, NULL, NULL), ERR_NOT_FOUND);
    assert_int_equal(symlink("from", "link"), 0);
    assert_int_equal(fetch_disk_verify_path("link", &id, NULL, NULL), ERR_NOT_A_FILE);
    assert_int_equal(mkfifo("pipe", 0666), 0);
    assert_int_equal(fetch_disk_verify_path("pipe", &id, NULL, NULL), ERR_NOT_A_FILE);
}

static void test_nothing_below_a_symlink(void **state)
{
    (void)state;
    bool made;
    int root = open(".", O_RDONLY | O_DIRECTORY), fd;
    assert_int_equal(mkdir("outside", 0777), 0);
    assert_int_equal(mkdir("inside", 0777), 0);
    assert_int_equal(symlink("../outside", "inside/way"), 0);
    fd = fetch_disk_open_under(root, "inside/a/b", true, &made);
    assert_true(fd >= 0);
    assert_true(made);
    close(fd);
    fd = fetch_disk_open_under(root, "inside/a/b", true, &made);
    assert_true(fd >= 0);
    assert_false(made);
    assert_int_equal(fetch_disk_small_write(fd, "f", bytes_of("x", 1)), 0);
    close(fd);
    assert_int_equal(fetch_disk_open_under(root, "inside/way", true, NULL), ERR_NOT_A_FILE);
    assert_int_equal(fetch_disk_open_under(root, "inside/way/x", true, NULL), ERR_NOT_A_FILE);
    assert_int_equal(fetch_disk_open_under(root, "inside/none", false, NULL), ERR_NOT_FOUND);
    assert_int_equal(access("outside/x", F_OK), -1);

    /* Removing removes the link, not what it points to. */
    assert_int_equal(fetch_disk_small_write(root, "outside/keep", bytes_of("x", 1)), 0);
    assert_int_equal(fetch_disk_remove(root, "inside", 10), 0);
    assert_int_equal(access("inside", F_OK), -1);
    assert_int_equal(access("outside/keep", F_OK), 0);
    close(root);
}

static void test_small(void **state)
{
    (void)state;
    uint8_t buffer[TREE_LEAF_SIZE];
    struct content_id id;
    uint8_t *data = pattern(1000, &id);
    int dir = open(".", O_RDONLY | O_DIRECTORY);
    assert_int_equal(fetch_disk_small_check(dir, "s", &id, buffer), ERR_NOT_FOUND);
    assert_int_equal(fetch_disk_small_write(dir, "s", bytes_of(data, 1000)), 0);
    assert_int_equal(fetch_disk_small_check(dir, "s", &id, buffer), 0);
    assert_memory_equal(buffer, data, 1000);
    assert_int_equal(fetch_disk_small_write(dir, "s", bytes_of(data, 999)), 0);
    assert_int_equal(fetch_disk_small_check(dir, "s", &id, buffer), ERR_BAD_HASH);
    free(data);
    close(dir);
}

static void test_publish_never_overwrites(void **state)
{
    (void)state;
    char from[128], to[128];
    snprintf(from, sizeof from, "%s/a.part", folder);
    snprintf(to, sizeof to, "%s/a", folder);
    write_file(from, "new", 3);
    write_file(to, "old", 3);
    assert_int_equal(fetch_disk_publish(from, to, false), ERR_EXISTS);
    assert_int_equal(access(from, F_OK), 0);
    assert_int_equal(fetch_disk_publish(from, to, true), 0);
    assert_int_equal(access(from, F_OK), -1);
    assert_int_equal(unlink(to), 0);
    assert_int_equal(mkdir(from, 0777), 0);
    assert_int_equal(fetch_disk_publish(from, to, false), 0);
    assert_int_equal(fetch_disk_publish(from, to, false), ERR_NOT_FOUND);
    assert_int_equal(rmdir(to), 0);
}

/* A copy has no name before it is whole: what a kill leaves behind is nothing (found by `./check soak`). */
static void test_copy_publish(void **state)
{
    (void)state;
    char from[128], temporary[128], to[128];
    struct content_id id;
    atomic_bool stop = true;
    snprintf(from, sizeof from, "%s/src", folder);
    snprintf(temporary, sizeof temporary, "%s/dst.copy.part", folder);
    snprintf(to, sizeof to, "%s/dst", folder);
    uint8_t *data = pattern(40000, &id);
    write_file(from, data, 40000);
    for (int replace = 0; replace < 2; replace++) {
        assert_int_equal(fetch_disk_copy_publish(from, temporary, to, replace, &id, &stop), ERR_CANCELLED);
        assert_int_equal(access(to, F_OK), -1);
        assert_int_equal(access(temporary, F_OK), -1);
        assert_int_equal(fetch_disk_copy_publish(from, temporary, to, replace, &id, NULL), 0);
        assert_int_equal(access(temporary, F_OK), -1);
        assert_int_equal(fetch_disk_verify_path(to, &id, NULL, NULL), 0);
        assert_int_equal(fetch_disk_copy_publish(from, temporary, to, false, &id, NULL), ERR_EXISTS);
        assert_int_equal(fetch_disk_copy_publish(from, temporary, to, true, &id, NULL), 0);
        assert_int_equal(unlink(to), 0);
    }
    data[7] ^= 1;
    write_file(from, data, 40000);
    for (int replace = 0; replace < 2; replace++) {
        assert_int_equal(fetch_disk_copy_publish(from, temporary, to, replace, &id, NULL), ERR_BAD_HASH);
        assert_int_equal(access(to, F_OK), -1);
        assert_int_equal(access(temporary, F_OK), -1);
    }
    assert_int_equal(unlink(from), 0);
    assert_int_equal(fetch_disk_copy_publish(from, temporary, to, false, &id, NULL), ERR_NOT_FOUND);
    free(data);
}

static void test_manifest_object(void **state)
{
    (void)state;
    uint8_t buf[512], *bytes;
    struct pack p;
    struct bytes last = {0};
    struct manifest_entry e = {.name = bytes_of("a", 1)};
    struct content_id id = {.kind = CONTENT_TREE};
    uint32_t count = 0;
    pack_init(&p, buf, sizeof buf);
    manifest_begin(&p, 1);
    assert_int_equal(manifest_add(&p, &e, &last), 0);
    id.size = p.size;
    tree_sha256(id.root, buf, p.size);
    write_file("object", buf, p.size);
    assert_int_equal(fetch_disk_manifest("object", &id, &bytes, &count), 0);
    assert_int_equal(count, 1);
    assert_memory_equal(bytes, buf, p.size);
    free(bytes);

    buf[0] = 0x93; /* well hashed, but no manifest */
    tree_sha256(id.root, buf, p.size);
    assert_int_equal(fetch_disk_manifest("object", &id, &bytes, &count), ERR_BAD_HASH);
    write_file("object", buf, p.size);
    assert_int_equal(fetch_disk_manifest("object", &id, &bytes, &count), ERR_MALFORMED);
    assert_null(bytes);
    id.size = 0;
    assert_int_equal(fetch_disk_manifest("object", &id, &bytes, &count), ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name),
        cmocka_unit_test(test_long_name_leaves_room_for_suffixes),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_select_normalize),
        cmocka_unit_test(test_select_match),
        cmocka_unit_test(test_state_round_trip),
        cmocka_unit_test(test_state_refused),
        cmocka_unit_test_setup_teardown(test_verify_and_copy, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_nothing_below_a_symlink, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_small, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_publish_never_overwrites, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_copy_publish, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_manifest_object, folder_make, folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
