#include "s3api/listing.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/unit.h"

/* Listings of real directories against a model that knows nothing of directories: a sorted array of keys. */

#define KEYS_MAX 4096

static struct vfs *volume;
static char root_path[] = "/tmp/sluice-listing-XXXXXX";

static int remove_node(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static int open_volume(void **state)
{
    const struct vfs_options options = {.sync = VFS_SYNC_NONE};
    const char *error = NULL;
    (void)state;
    return mkdtemp(root_path) && vfs_open_volume(root_path, &options, &volume, &error) == 0 ? 0 : -1;
}

static int close_volume(void **state)
{
    (void)state;
    vfs_close_volume(volume);
    return nftw(root_path, remove_node, 16, FTW_DEPTH | FTW_PHYS);
}

/* Buckets: a directory for each test, and what a listing of it must show */

struct bucket {
    char name[64];
    char path[128];
    struct vfs_dir *dir;
    char *keys[KEYS_MAX];
    size_t key_count;
    char *pending[KEYS_MAX]; /* directories made through POSIX, with their '/' */
    size_t pending_count;
};

static struct bucket *bucket_new(const char *name)
{
    struct bucket *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    (void)snprintf(b->name, sizeof(b->name), "%s", name);
    (void)snprintf(b->path, sizeof(b->path), "%s/%s", root_path, name);
    assert_int_equal(mkdir(b->path, 0755), 0);
    assert_int_equal(vfs_dir_open(vfs_root(volume), str_z(name), NULL, &b->dir), 0);
    return b;
}

static void bucket_free(struct bucket *b)
{
    vfs_dir_close(b->dir);
    for (size_t i = 0; i < b->key_count; i++)
        free(b->keys[i]);
    for (size_t i = 0; i < b->pending_count; i++)
        free(b->pending[i]);
    free(b);
}

static void expect_key(struct bucket *b, const char *key)
{
    for (size_t i = 0; i < b->key_count; i++)
        if (strcmp(b->keys[i], key) == 0)
            return;
    assert_true(b->key_count < KEYS_MAX);
    b->keys[b->key_count++] = strdup(key);
}

static void forget_key(struct bucket *b, const char *key)
{
    for (size_t i = 0; i < b->key_count; i++) {
        if (strcmp(b->keys[i], key) != 0)
            continue;
        free(b->keys[i]);
        b->keys[i] = b->keys[--b->key_count];
    }
}

/* As S3 does it: parents are made on the way. False when the tree has no place for it. */
static bool try_put(struct bucket *b, const char *key)
{
    CLEANUP(vfs_closep) struct vfs_file *file = NULL;
    const struct vfs_publish how = {.mode = VFS_PUBLISH_REPLACE};
    return vfs_stage(b->dir, str_z(key), NULL, 1, &file) == 0 && vfs_write(file, STR("x"), 0) == 0 &&
           vfs_publish(file, b->dir, str_z(key), NULL, &how, NULL) == 0;
}

static void put(struct bucket *b, const char *key)
{
    if (!try_put(b, key))
        fail_msg("cannot put %s", key);
    expect_key(b, key);
}

/* A directory object: `path` without its '/'. */
static bool try_put_directory(struct bucket *b, const char *path)
{
    CLEANUP(vfs_closep) struct vfs_file *file = NULL;
    CLEANUP(buf_done) struct buf record = buf_make(4096);
    struct vfs_attr attr;
    if (vfs_mkdir(b->dir, str_z(path), NULL, 0) < 0 && vfs_make_explicit(b->dir, str_z(path), NULL) < 0)
        return false;
    if (vfs_open(b->dir, str_z(path), NULL, VFS_OPEN_DIRECTORY, &file, &attr) < 0)
        return false;
    const struct s3_objmeta meta = {.etag = STR("d41d8cd98f00b204e9800998ecf8427e")};
    s3_objmeta_encode(&meta, &attr, &record);
    return vfs_xattr_set(file, NULL, S3_OBJMETA_XATTR, buf_str(&record)) == 0;
}

static void put_directory(struct bucket *b, const char *path)
{
    char key[LIMIT_KEY_BYTES + 2];
    if (!try_put_directory(b, path))
        fail_msg("cannot put %s/", path);
    (void)snprintf(key, sizeof(key), "%s/", path);
    expect_key(b, key);
}

/* A directory that was made on the way to something that is no more; false as above. */
static bool left_over(struct bucket *b, const char *path)
{
    return vfs_mkdir(b->dir, str_z(path), NULL, VFS_MKDIR_IMPLICIT) == 0;
}

static int posix_path(const struct bucket *b, const char *path, char out[2048])
{
    return snprintf(out, 2048, "%s/%s", b->path, path);
}

static bool try_posix_mkdir(struct bucket *b, const char *path)
{
    char full[2048];
    posix_path(b, path, full);
    if (mkdir(full, 0755) < 0)
        return false;
    (void)snprintf(full, sizeof(full), "%s/", path);
    assert_true(b->pending_count < KEYS_MAX);
    b->pending[b->pending_count++] = strdup(full);
    return true;
}

static void posix_mkdir(struct bucket *b, const char *path)
{
    assert_true(try_posix_mkdir(b, path));
}

static void posix_file(const struct bucket *b, const char *path)
{
    char full[2048];
    posix_path(b, path, full);
    int fd = open(full, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    close(fd);
}

/* The model */

static int compare_keys(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;
    return strcmp(*left, *right);
}

static int compare_longest_first(const void *a, const void *b)
{
    return compare_keys(b, a);
}

/* Directories made through POSIX become keys when nothing is below them; inner ones first. */
static void settle(struct bucket *b)
{
    qsort(b->pending, b->pending_count, sizeof(*b->pending), compare_longest_first);
    for (size_t i = 0; i < b->pending_count; i++) {
        bool has_keys = false;
        for (size_t j = 0; j < b->key_count; j++)
            has_keys |= str_starts(str_z(b->keys[j]), str_z(b->pending[i]));
        if (!has_keys)
            expect_key(b, b->pending[i]);
    }
    qsort(b->keys, b->key_count, sizeof(*b->keys), compare_keys);
}

struct page {
    struct str entries[KEYS_MAX];
    bool is_prefix[KEYS_MAX];
    size_t count;
    bool truncated;
    struct str last;
    struct arena *arena;
};

static struct page *page_new(void)
{
    struct page *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->arena = arena_new();
    return p;
}

static void page_free(struct page *p)
{
    arena_free(p->arena);
    free(p);
}

static void add(struct page *p, struct str entry, bool is_prefix)
{
    assert_true(p->count < KEYS_MAX);
    p->is_prefix[p->count] = is_prefix;
    p->entries[p->count++] = arena_dup(p->arena, entry);
}

/* Straight from the definition, over a sorted array. */
static void model_list(const struct bucket *b, const struct s3_list_query *q, struct page *out)
{
    struct str group = STR_EMPTY;
    out->count = 0;
    out->truncated = false;
    for (size_t i = 0; i < b->key_count && q->max > 0; i++) {
        struct str key = str_z(b->keys[i]);
        if (str_cmp(key, q->after) <= 0 || !str_starts(key, q->prefix) || (group.len > 0 && str_starts(key, group)))
            continue;
        struct str here = s3_common_prefix(key, q->prefix, q->delimiter);
        if (here.len > 0 && str_starts(q->after, here))
            continue;
        if (out->count == q->max) {
            out->truncated = true;
            break;
        }
        group = here;
        add(out, here.len > 0 ? here : key, here.len > 0);
    }
    out->last = out->count > 0 ? out->entries[out->count - 1] : STR_EMPTY;
}

/* The thing itself */

static void on_entry(void *context, const struct s3_list_entry *entry)
{
    add(context, entry->key, entry->is_prefix);
    if (!entry->is_prefix)
        assert_true(entry->brief.etag.len > 0 && entry->brief.modified_ns > 0);
}

static void list(const struct bucket *b, const struct s3_list_query *q, struct page *out)
{
    struct s3_op op = {.arena = arena_new()};
    struct str last = STR_EMPTY;
    enum s3_error error;
    out->count = 0;
    struct s3_list *l = s3_list_open(&op, b->dir, q, on_entry, out);
    do
        error = s3_list_run(l);
    while (error == S3_AGAIN);
    assert_int_equal(error, S3_OK);
    out->truncated = s3_list_is_truncated(l, &last);
    out->last = arena_dup(out->arena, last);
    s3_list_close(l);
    arena_free(op.arena);
}

static void assert_same(const struct s3_list_query *q, const struct page *expected, const struct page *actual)
{
    bool same = expected->count == actual->count && expected->truncated == actual->truncated &&
                (!expected->truncated || str_eq(expected->last, actual->last));
    for (size_t i = 0; same && i < expected->count; i++)
        same = str_eq(expected->entries[i], actual->entries[i]) && expected->is_prefix[i] == actual->is_prefix[i];
    if (same)
        return;
    for (size_t i = 0; i < expected->count || i < actual->count; i++)
        print_message("  expected %.*s\t got %.*s\n", STR_ARG(i < expected->count ? expected->entries[i] : STR("-")),
                      STR_ARG(i < actual->count ? actual->entries[i] : STR("-")));
    fail_msg("prefix \"%.*s\" delimiter \"%.*s\" after \"%.*s\" max %u: truncated %d, not %d", STR_ARG(q->prefix),
             STR_ARG(q->delimiter), STR_ARG(q->after), q->max, actual->truncated, expected->truncated);
}

/* All pages, each against the model. */
static void check(const struct bucket *b, struct str prefix, struct str delimiter, struct str after, uint32_t max)
{
    struct page *expected = page_new();
    struct page *actual = page_new();
    struct s3_list_query q = {.prefix = prefix, .delimiter = delimiter, .after = after, .max = max};
    do {
        model_list(b, &q, expected);
        list(b, &q, actual);
        assert_same(&q, expected, actual);
        assert_true(!actual->truncated || str_cmp(actual->last, q.after) > 0);
        q.after = actual->last;
    } while (actual->truncated);
    page_free(expected);
    page_free(actual);
}

static const char *const delimiters[] = {"", "/", "a", "-", ".", "a/", "/a", "//", "\xc3\xa4", "%"};
static const uint32_t maxima[] = {0, 1, 3, 1000};

static void check_all(const struct bucket *b, struct str prefix, struct str after)
{
    for (size_t d = 0; d < ARRAY_SIZE(delimiters); d++)
        for (size_t m = 0; m < ARRAY_SIZE(maxima); m++)
            check(b, prefix, str_z(delimiters[d]), after, maxima[m]);
}

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
            put(b, keys[i]);
    settle(b);
    check_all(b, STR(""), STR(""));
    check_all(b, STR("a"), STR(""));
    check_all(b, STR("c/d"), STR(""));
    bucket_free(b);
}

static void test_directories(void **state)
{
    (void)state;
    struct bucket *b = bucket_new("directories");
    put(b, "implicit/file");
    assert_true(left_over(b, "left/over"));
    posix_mkdir(b, "empty");
    posix_mkdir(b, "full");
    put(b, "full/file");
    posix_mkdir(b, "outer");
    posix_mkdir(b, "outer/inner");
    put_directory(b, "explicit");
    put_directory(b, "explicit-full");
    put(b, "explicit-full/file");
    posix_mkdir(b, "around");
    assert_true(left_over(b, "around/left/over"));
    settle(b);
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
    put(b, "dir/file");
    put(b, "zz");
    put(b, "dir/link"); /* to a file, below */
    assert_int_equal(vfs_mkdir(b->dir, STR(".sluice/uploads/1"), NULL, 0), 0);
    posix_path(b, ".sluice/config", full);
    assert_int_equal(mkdir(full, 0755), 0);
    posix_file(b, ".sluice/config/tagging");
    posix_path(b, ".trash", full);
    assert_int_equal(mkdir(full, 0755), 0);
    posix_file(b, ".trash/x");
    posix_file(b, "bad\xff");
    posix_path(b, "fifo", full);
    assert_int_equal(mkfifo(full, 0644), 0);
    posix_path(b, "loop", full);
    assert_int_equal(symlink(".", full), 0);
    posix_path(b, "out", full);
    assert_int_equal(symlink("/etc/passwd", full), 0);
    posix_path(b, "dir/link", full);
    assert_int_equal(unlink(full), 0);
    assert_int_equal(symlink("file", full), 0);
    settle(b);
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
            put(b, keys[i]);
    settle(b);
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
    put(b, key);
    key[LIMIT_KEY_BYTES - 2] = 'e';
    put(b, key);
    key[LIMIT_KEY_BYTES - 2] = 'f';
    key[LIMIT_KEY_BYTES - 1] = '\0';
    put(b, key);
    put(b, "d/d.");
    put(b, "d/d/d/d/d/d/d/d/d/d/d/d/d/d0");
    put(b, "d/d/d/d/d0");
    settle(b);
    check(b, STR(""), STR(""), STR(""), 2);
    check(b, STR(""), STR("/"), STR(""), 1);
    check(b, STR("d/d/d/"), STR("d0"), STR(""), 1);
    check(b, STR("d/d/d/"), STR("//"), STR("d/d/d/d/d"), 1000);
    check(b, str_of(key, 1000), STR("/"), STR(""), 1);
    /* One byte more is a path, but no key. */
    CLEANUP(vfs_dir_closep) struct vfs_dir *deep = NULL;
    CLEANUP(vfs_closep) struct vfs_file *file = NULL;
    assert_int_equal(vfs_dir_open(b->dir, str_of(key, 1021), NULL, &deep), 0);
    assert_int_equal(
        vfs_open(deep, STR("ghi"), NULL, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file, NULL), 0);
    assert_int_equal(vfs_mkdir(deep, STR("gh"), NULL, 0), 0);
    check(b, STR(""), STR(""), STR(""), 1000);
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
            put(b, key);
        }
    settle(b);
    check_all(b, STR(""), STR(""));
    check_all(b, STR("p/"), STR(""));
    check_all(b, STR("p/g1"), STR(""));
    check_all(b, STR(""), STR("p/g1-070"));
    bucket_free(b);
}

/* Random trees */

static unsigned random_below(unsigned n, uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*seed >> 33) % n;
}

static void random_path(char *out, size_t size, uint64_t *seed)
{
    static const char *const names[] = {"a",  "a.", "a-", "a0", "a ", "a+", "a%", "b",    "b-a", "aa", "\xc3\xa4", "\xc3\xa4x",
                                        "!",  "~",  ".x", "A",  "0",  "\x02", "\xf0\x9f\x90\x98", "-", "a&b"};
    size_t len = 0;
    for (unsigned depth = 1 + random_below(4, seed); depth > 0 && len < size; depth--)
        len += (size_t)snprintf(out + len, size - len, "%s%s", len ? "/" : "",
                                names[random_below(ARRAY_SIZE(names), seed)]);
}

static void grow(struct bucket *b, uint64_t *seed)
{
    char path[256];
    random_path(path, sizeof(path), seed);
    switch (random_below(8, seed)) {
    case 0:
        (void)try_posix_mkdir(b, path); /* a parent may be missing, or a file in the way */
        break;
    case 1:
        if (try_put_directory(b, path)) {
            (void)snprintf(path + strlen(path), sizeof(path) - strlen(path), "/");
            expect_key(b, path);
        }
        break;
    case 2:
        (void)left_over(b, path);
        break;
    case 3:
        if (vfs_unlink(b->dir, str_z(path), NULL, NULL) == 0)
            forget_key(b, path);
        break;
    default:
        if (try_put(b, path))
            expect_key(b, path);
        break;
    }
}

static void test_random_trees(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 8; round++) {
        char name[32];
        char text[256];
        uint64_t seed = round;
        (void)snprintf(name, sizeof(name), "random%u", (unsigned)round);
        struct bucket *b = bucket_new(name);
        for (unsigned i = 0; i < 20 + 30 * round; i++)
            grow(b, &seed);
        settle(b);
        check_all(b, STR(""), STR(""));
        for (int i = 0; i < 3; i++) {
            random_path(text, sizeof(text), &seed);
            size_t cut = 1 + random_below((unsigned)strlen(text), &seed);
            check_all(b, str_of(text, cut), STR(""));
            check_all(b, STR(""), str_of(text, cut));
            check_all(b, str_of(text, random_below((unsigned)cut, &seed)), str_z(text));
        }
        bucket_free(b);
    }
}

/* Many keys */

static uint64_t page_through(const struct bucket *b, size_t expected_count, uint32_t max)
{
    struct page *p = page_new();
    struct s3_list_query q = {.max = max};
    size_t total = 0;
    size_t pages = 0;
    uint64_t start = clock_mono_ns();
    do {
        list(b, &q, p);
        assert_true(p->count == max || !p->truncated);
        total += p->count;
        pages++;
        q.after = p->last;
    } while (p->truncated);
    uint64_t took = clock_mono_ns() - start;
    assert_int_equal(total, expected_count);
    assert_int_equal(pages, (expected_count + max - 1) / max);
    page_free(p);
    return took;
}

static void test_many_keys(void **state)
{
    (void)state;
    struct bucket *b = bucket_new("many");
    char path[64];
    posix_mkdir(b, "flat");
    for (int i = 0; i < 20000; i++) {
        (void)snprintf(path, sizeof(path), "flat/%05d", i);
        posix_file(b, path);
    }
    uint64_t large = page_through(b, 20000, 1000);
    uint64_t small = page_through(b, 20000, 10);
    print_message("20000 keys: %llu ms in pages of 1000, %llu ms in pages of 10\n", (unsigned long long)large / 1000000,
                  (unsigned long long)small / 1000000);
    bucket_free(b);
}

/* Changes meanwhile: pages go on, in order, without repetition, and what stays is seen. */

struct churn {
    struct bucket *b;
    atomic_bool stop;
};

static void churn_path(char out[64], uint64_t *seed)
{
    static const struct {
        const char *before, *behind;
    } forms[] = {{"s", ""}, {"s", "/x"}, {"stable", "/y/z"}, {"t/", "/x/y"}, {"sa-", ""}};
    unsigned i = random_below(ARRAY_SIZE(forms), seed);
    (void)snprintf(out, 64, "%s%02u%s", forms[i].before, random_below(20, seed), forms[i].behind);
}

static void *churn(void *arg)
{
    struct churn *c = arg;
    uint64_t seed = 42;
    char path[64];
    while (!atomic_load(&c->stop)) {
        churn_path(path, &seed);
        (void)try_put(c->b, path); /* a file may be in the way */
        churn_path(path, &seed);
        ptrdiff_t slash = str_rfind_char(str_z(path), '/');
        if (vfs_unlink(c->b->dir, str_z(path), NULL, NULL) == 0 && slash > 0)
            vfs_prune(c->b->dir, str_first(str_z(path), (size_t)slash), NULL);
    }
    return NULL;
}

static size_t count_stable(const struct page *p)
{
    size_t count = 0;
    for (size_t i = 0; i < p->count; i++)
        count += str_starts(p->entries[i], STR("stable"));
    return count;
}

/* A directory of many entries that was made on the way is a common prefix for one of them, wherever that stands. */
static void test_wide_implicit_directories(void **state)
{
    (void)state;
    struct bucket *b = bucket_new("wide");
    char path[64];
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(path, sizeof(path), "%s/%04d", i % 2 ? "none" : "one", i);
        assert_true(left_over(b, path));
    }
    put(b, "one/2900/x");
    put(b, "one/0002/a/b/c/d/e/f/g/h/i/j/k");
    assert_int_equal(vfs_unlink(b->dir, STR("one/0002/a/b/c/d/e/f/g/h/i/j/k"), NULL, NULL), 0);
    forget_key(b, "one/0002/a/b/c/d/e/f/g/h/i/j/k");
    settle(b);
    check(b, STR(""), STR("/"), STR(""), 1);
    check(b, STR("o"), STR("/"), STR(""), 1000);
    check(b, STR("one/"), STR("/"), STR(""), 1000);
    check(b, STR("none/"), STR("/"), STR(""), 1000);
    check(b, STR(""), STR("e"), STR(""), 1);
    bucket_free(b);
}

static void test_concurrent_changes(void **state)
{
    (void)state;
    struct churn c = {.b = bucket_new("churn")};
    pthread_t thread;
    char path[64];
    for (int i = 0; i < 50; i++) {
        (void)snprintf(path, sizeof(path), "stable%02d/x", i);
        put(c.b, path);
    }
    assert_int_equal(pthread_create(&thread, NULL, churn, &c), 0);
    struct page *p = page_new();
    for (unsigned round = 0; round < 100; round++) {
        struct s3_list_query q = {.delimiter = str_z(delimiters[round % ARRAY_SIZE(delimiters)]), .max = 1 + round % 9};
        CLEANUP(buf_done) struct buf after = buf_make(LIMIT_KEY_BYTES + 1);
        size_t stable = 0;
        do {
            q.after = buf_str(&after);
            list(c.b, &q, p);
            for (size_t i = 0; i < p->count; i++)
                assert_true(str_cmp(p->entries[i], i ? p->entries[i - 1] : q.after) > 0);
            stable += count_stable(p);
            buf_reset(&after);
            buf_add(&after, p->last);
        } while (p->truncated);
        if (!str_is(q.delimiter, "a") && !str_is(q.delimiter, "/"))
            assert_true(stable >= 50);
        if (str_is(q.delimiter, "/"))
            assert_int_equal(stable, 50);
    }
    atomic_store(&c.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    page_free(p);
    bucket_free(c.b);
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
    assert_true(left_over(b, "a/b/c"));
    assert_true(left_over(b, "a/d"));
    assert_true(left_over(b, "e/f"));
    assert_true(is_empty(b));
    posix_path(b, "a/b/fifo", full);
    assert_int_equal(mkfifo(full, 0644), 0);
    assert_false(is_empty(b));
    assert_int_equal(unlink(full), 0);
    put(b, "e/f/g");
    assert_false(is_empty(b));
    assert_int_equal(vfs_unlink(b->dir, STR("e/f/g"), NULL, NULL), 0);
    posix_mkdir(b, "p");
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
    uint64_t seed = 7;
    for (size_t len = 0; len <= sizeof(key); len += len < 40 ? 1 : 123) {
        for (size_t i = 0; i < len; i++)
            key[i] = (char)random_below(256, &seed);
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
        cmocka_unit_test(test_random_trees),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_wide_implicit_directories),
        cmocka_unit_test(test_concurrent_changes),
        cmocka_unit_test(test_empty_buckets),
        cmocka_unit_test(test_tokens),
    };
    return cmocka_run_group_tests(tests, open_volume, close_volume);
}
