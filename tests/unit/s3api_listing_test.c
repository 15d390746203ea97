/* The rules of listings, one by one. */
#include "s3api/listing.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "tests/support/listing_model.h"
#include "tests/support/unit.h"

/* Tests of single rules */

static void test_common_prefix(void **state)
{
    (void)state;
    assert_str(s3_common_prefix(STR("a/b/c"), STR(""), STR("/")), "a/");
    assert_str(s3_common_prefix(STR("a/b/c"), STR("a/"), STR("/")), "a/b/");
    assert_str(s3_common_prefix(STR("a/b/c"), STR("a/b/"), STR("/")), "");
    assert_str(s3_common_prefix(STR("a/b/c"), STR(""), STR("")), "");
    assert_str(s3_common_prefix(STR("a--b--c"), STR("a-"), STR("--")), "a--b--");
    assert_str(s3_common_prefix(STR("abc"), STR("abc"), STR("c")), "");
}

static void test_order_is_that_of_keys(void **state)
{
    static const char *const keys[] = {"a",     "a!/x", "a-/x", "a.b/x", "a0/x", "a b",  "a%2F", "a+",
                                       "b/x",   "b.x",  "b-x",  "b0",    "c/d/e", "c/d.", "c/d-", "c/d0",
                                       "\xc3\xa4/x", "\xc3\xa4", "A", "z/y/x/w/v", "\x01", "q\nr", "<&>\"'"};
    (void)state;
    struct bucket *b = bucket_new("order");
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (strcmp(keys[i], "\xc3\xa4") != 0)
            bucket_put(b, keys[i]);
    bucket_settle(b);
    check_all(b, STR(""), STR(""));
    check_all(b, STR("a"), STR(""));
    check_all(b, STR("c/d"), STR(""));
    bucket_free(b);
}

static void test_directories(void **state)
{
    (void)state;
    struct bucket *b = bucket_new("directories");
    bucket_put(b, "implicit/file");
    assert_true(bucket_left_over(b, "left/over"));
    bucket_posix_mkdir(b, "empty");
    bucket_posix_mkdir(b, "full");
    bucket_put(b, "full/file");
    bucket_posix_mkdir(b, "outer");
    bucket_posix_mkdir(b, "outer/inner");
    bucket_put_directory(b, "explicit");
    bucket_put_directory(b, "explicit-full");
    bucket_put(b, "explicit-full/file");
    bucket_posix_mkdir(b, "around");
    assert_true(bucket_left_over(b, "around/left/over"));
    bucket_settle(b);
    static const char *const keys[] = {"around/",       "empty/",       "explicit-full/", "explicit-full/file",
                                       "explicit/",     "full/file",    "implicit/file",  "outer/inner/"};
    assert_int_equal(b->key_count, ARRAY_SIZE(keys));
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        assert_string_equal(b->keys[i], keys[i]);
    static const char *const prefixes[] = {"",       "around/", "empty",         "empty/",  "full/",       "explicit/",
                                           "outer/", "left/",   "explicit-full/", "nothing/", "full/file/", "e"};
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        check_all(b, str_z(prefixes[i]), STR(""));
    bucket_free(b);
}

static void test_what_no_key_names_is_not_shown(void **state)
{
    (void)state;
    struct bucket *b = bucket_new("foreign");
    char full[2048];
    bucket_put(b, "dir/file");
    bucket_put(b, "zz");
    bucket_put(b, "dir/link"); /* to a file, below */
    assert_int_equal(vfs_mkdir(b->dir, STR(".sluice/uploads/1"), NULL, 0), 0);
    bucket_posix_path(b, ".sluice/config", full);
    assert_int_equal(mkdir(full, 0755), 0);
    bucket_posix_file(b, ".sluice/config/tagging");
    bucket_posix_path(b, ".trash", full);
    assert_int_equal(mkdir(full, 0755), 0);
    bucket_posix_file(b, ".trash/x");
    bucket_posix_file(b, "bad\xff");
    bucket_posix_path(b, "fifo", full);
    assert_int_equal(mkfifo(full, 0644), 0);
    bucket_posix_path(b, "loop", full);
    assert_int_equal(symlink(".", full), 0);
    bucket_posix_path(b, "out", full);
    assert_int_equal(symlink("/etc/passwd", full), 0);
    bucket_posix_path(b, "dir/link", full);
    assert_int_equal(unlink(full), 0);
    assert_int_equal(symlink("file", full), 0);
    bucket_settle(b);
    static const char *const prefixes[] = {"", ".", ".sluice/", ".sluice/config/", ".trash/", "dir/", "fifo/", "bad\xff", "out/"};
    static const char *const afters[] = {"", ".sluice", ".sluice/config", ".sluice/config/", ".trash/a", "fifo/x", "zz/x"};
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        for (size_t j = 0; j < ARRAY_SIZE(afters); j++)
            check_all(b, str_z(prefixes[i]), str_z(afters[j]));
    bucket_free(b);
}

/* Positions that no path can have are positions all the same. */
static void test_odd_markers(void **state)
{
    static const char *const keys[] = {"a/b", "a/b.c", "a/b/c/d", "a0", "b", "a/0"};
    static const char *const texts[] = {"a//",     "a//b",   "//",      "/",  "a/./b", "a/../b", "..", "a/b/c//d", "a/b/c/d/e",
                                        "\xff\xff", "a/\xff", "a/b/c\xff", "a/", "a",     "a/b",    "\x01"};
    (void)state;
    struct bucket *b = bucket_new("markers");
    char long_text[3000];
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (strcmp(keys[i], "a/b") != 0)
            bucket_put(b, keys[i]);
    bucket_settle(b);
    memset(long_text, 'a', sizeof(long_text));
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        check_all(b, STR(""), str_z(texts[i]));
        check_all(b, str_z(texts[i]), STR(""));
        check_all(b, STR("a/"), str_z(texts[i]));
    }
    check_all(b, STR(""), str_of(long_text, sizeof(long_text)));
    check_all(b, str_of(long_text, sizeof(long_text)), STR(""));
    long_text[1] = '/';
    check_all(b, STR("a/"), str_of(long_text, sizeof(long_text)));
    check_all(b, STR(""), str_of("a\0b", 3));
    check_all(b, str_of("a\0b", 3), STR(""));
    bucket_free(b);
}

static void test_keys_of_full_length(void **state)
{
    (void)state;
    struct bucket *b = bucket_new("long");
    char key[LIMIT_KEY_BYTES + 1];
    for (size_t i = 0; i < LIMIT_KEY_BYTES; i++)
        key[i] = i % 2 ? '/' : 'd';
    key[LIMIT_KEY_BYTES - 1] = 'x'; /* 511 directories deep */
    key[LIMIT_KEY_BYTES] = '\0';
    bucket_put(b, key);
    key[LIMIT_KEY_BYTES - 2] = 'e';
    bucket_put(b, key);
    key[LIMIT_KEY_BYTES - 2] = 'f';
    key[LIMIT_KEY_BYTES - 1] = '\0';
    bucket_put(b, key);
    bucket_put(b, "d/d.");
    bucket_put(b, "d/d/d/d/d/d/d/d/d/d/d/d/d/d0");
    bucket_put(b, "d/d/d/d/d0");
    bucket_settle(b);
    check_pages(b, STR(""), STR(""), STR(""), 2);
    check_pages(b, STR(""), STR("/"), STR(""), 1);
    check_pages(b, STR("d/d/d/"), STR("d0"), STR(""), 1);
    check_pages(b, STR("d/d/d/"), STR("//"), STR("d/d/d/d/d"), 1000);
    check_pages(b, str_of(key, 1000), STR("/"), STR(""), 1);
    /* One byte more is a path, but no key. */
    CLEANUP(vfs_dir_closep) struct vfs_dir *deep = NULL;
    CLEANUP(vfs_closep) struct vfs_file *file = NULL;
    assert_int_equal(vfs_dir_open(b->dir, str_of(key, 1021), NULL, &deep), 0);
    assert_int_equal(
        vfs_open(deep, STR("ghi"), NULL, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file, NULL), 0);
    assert_int_equal(vfs_mkdir(deep, STR("gh"), NULL, 0), 0);
    check_pages(b, STR(""), STR(""), STR(""), 1000);
    bucket_free(b);
}

/* Groups are left behind by a seek, whatever the delimiter. */
static void test_large_groups(void **state)
{
    (void)state;
    struct bucket *b = bucket_new("groups");
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 150; j++) {
            char key[64];
            (void)snprintf(key, sizeof(key), "p/g%d-%03d%s", i, j, j % 7 ? "" : "/x-y");
            bucket_put(b, key);
        }
    bucket_settle(b);
    check_all(b, STR(""), STR(""));
    check_all(b, STR("p/"), STR(""));
    check_all(b, STR("p/g1"), STR(""));
    check_all(b, STR(""), STR("p/g1-070"));
    bucket_free(b);
}

/* A directory of many entries that was made on the way is a common prefix for one of them, wherever that stands. */
static void test_wide_implicit_directories(void **state)
{
    (void)state;
    struct bucket *b = bucket_new("wide");
    char path[64];
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(path, sizeof(path), "%s/%04d", i % 2 ? "none" : "one", i);
        assert_true(bucket_left_over(b, path));
    }
    bucket_put(b, "one/2900/x");
    bucket_put(b, "one/0002/a/b/c/d/e/f/g/h/i/j/k");
    assert_int_equal(vfs_unlink(b->dir, STR("one/0002/a/b/c/d/e/f/g/h/i/j/k"), NULL, NULL), 0);
    bucket_forget(b, "one/0002/a/b/c/d/e/f/g/h/i/j/k");
    bucket_settle(b);
    check_pages(b, STR(""), STR("/"), STR(""), 1);
    check_pages(b, STR("o"), STR("/"), STR(""), 1000);
    check_pages(b, STR("one/"), STR("/"), STR(""), 1000);
    check_pages(b, STR("none/"), STR("/"), STR(""), 1000);
    check_pages(b, STR(""), STR("e"), STR(""), 1);
    bucket_free(b);
}

/* Empty buckets */

static bool is_empty(const struct bucket *b)
{
    struct s3_op op = {.arena = arena_new()};
    bool empty = false;
    assert_int_equal(s3_bucket_is_empty(&op, b->dir, &empty), S3_OK);
    arena_free(op.arena);
    return empty;
}

static void test_empty_buckets(void **state)
{
    (void)state;
    struct bucket *b = bucket_new("emptiness");
    struct s3_op op = {.arena = arena_new()};
    struct vfs_attr attr;
    char full[2048];
    assert_true(is_empty(b));
    assert_int_equal(vfs_mkdir(b->dir, STR(".sluice/uploads/1"), NULL, 0), 0);
    assert_true(bucket_left_over(b, "a/b/c"));
    assert_true(bucket_left_over(b, "a/d"));
    assert_true(bucket_left_over(b, "e/f"));
    assert_true(is_empty(b));
    bucket_posix_path(b, "a/b/fifo", full);
    assert_int_equal(mkfifo(full, 0644), 0);
    assert_false(is_empty(b));
    assert_int_equal(unlink(full), 0);
    bucket_put(b, "e/f/g");
    assert_false(is_empty(b));
    assert_int_equal(vfs_unlink(b->dir, STR("e/f/g"), NULL, NULL), 0);
    bucket_posix_mkdir(b, "p");
    assert_false(is_empty(b));
    assert_int_equal(vfs_rmdir(b->dir, STR("p"), NULL), 0);
    assert_true(is_empty(b));
    s3_bucket_sweep(&op, b->dir);
    assert_true(vfs_lookup(b->dir, STR("a"), NULL, &attr) < 0);
    assert_true(vfs_lookup(b->dir, STR("e"), NULL, &attr) < 0);
    assert_int_equal(vfs_lookup(b->dir, STR(".sluice/uploads/1"), NULL, &attr), 0);
    arena_free(op.arena);
    bucket_free(b);
}

/* Tokens */

static void test_tokens(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    char key[LIMIT_KEY_BYTES];
    struct str back;
    for (size_t len = 0; len <= sizeof(key); len += len < 40 ? 1 : 123) {
        for (size_t i = 0; i < len; i++)
            key[i] = (char)random_u64();
        struct str token = s3_list_token_encode(str_of(key, len), arena);
        assert_true(s3_list_token_decode(token, arena, &back));
        assert_true(str_eq(back, str_of(key, len)));
        for (size_t i = 0; i < token.len; i++) {
            struct str bad = arena_dup(arena, token);
            char *text = arena_dupz(arena, token);
            text[i] = text[i] == 'A' ? 'B' : 'A';
            assert_false(s3_list_token_decode(str_of(text, token.len), arena, &back));
            assert_false(s3_list_token_decode(str_first(bad, i), arena, &back));
        }
    }
    static const char *const wrong[] = {"", "a", "blah", "aWrongToken2", "AQ==", "=", "////", "foo/bar.txt", "\xff"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_false(s3_list_token_decode(str_z(wrong[i]), arena, &back));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_common_prefix),
        cmocka_unit_test(test_order_is_that_of_keys),
        cmocka_unit_test(test_directories),
        cmocka_unit_test(test_what_no_key_names_is_not_shown),
        cmocka_unit_test(test_odd_markers),
        cmocka_unit_test(test_keys_of_full_length),
        cmocka_unit_test(test_large_groups),
        cmocka_unit_test(test_wide_implicit_directories),
        cmocka_unit_test(test_empty_buckets),
        cmocka_unit_test(test_tokens),
    };
    return cmocka_run_group_tests(tests, listing_open_volume, listing_close_volume);
}
