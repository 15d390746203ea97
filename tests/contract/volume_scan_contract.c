/* Ordered directory reads. */
#include "tests/contract/volume_contract.h"

#include <errno.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/random.h"

static void orders_directories_with_a_slash(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    static const char *const files[] = {"a.b", "a0", "a-", "a!", "b", "a/in", "a.b.c/in", "B", "\xff", "\x01"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        put(root, files[i], "x");
    assert_listing(root, "", "", "\x01:f B:f a!:f a-:f a.b:f a.b.c:d a:d a0:f b:f \xff:f ");
    assert_listing(root, "", "a", "a!:f a-:f a.b:f a.b.c:d a:d a0:f b:f \xff:f ");
    assert_listing(root, "", "a.b", "a.b:f a.b.c:d a:d a0:f b:f \xff:f ");
    assert_listing(root, "", "a/", "a:d a0:f b:f \xff:f ");
    assert_listing(root, "", "a/\x01", "a0:f b:f \xff:f ");
    assert_listing(root, "", "a.b.c0", "a:d a0:f b:f \xff:f ");
    assert_listing(root, "", "\xff\xff", "");
    assert_listing(root, "a", "", "in:f ");
}

static void hides_what_is_its_own(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    assert_ok(vfs_mkdir(root, STR("b/.sluice/uploads"), NULL, 0));
    put(root, "b/.sluicex", "x");
    put(root, "b/.sluic", "x");
    assert_listing(root, "b", "", ".sluic:f .sluicex:f ");
    assert_listing(root, "b", ".sluice", ".sluicex:f ");
    assert_listing(root, "b/.sluice", "", "uploads:d ");
    assert_listing(root, "", "", "b:d ");
}

static void tells_attributes_and_values(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_scan_closep) struct vfs_scan *s = NULL;
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    CLEANUP(buf_done) struct buf value = buf_make(64);
    struct vfs_attr attr, direct;
    struct vfs_dirent e;
    put(root, "d/a", "12345");
    put(root, "d/b", "1");
    assert_ok(vfs_mkdir(root, STR("d/c"), NULL, 0));
    assert_ok(vfs_open(root, STR("d/a"), NULL, VFS_OPEN_WRITE, &f, NULL));
    assert_ok(vfs_xattr_set(f, NULL, "user.t", STR("va")));
    assert_ok(vfs_scan_open(root, STR("d"), NULL, STR_EMPTY, &s));
    assert_int_equal(vfs_scan_next(s, &e), 1);
    assert_ok(vfs_scan_stat(s, &attr, "user.t", &value));
    assert_int_equal(attr.size, 5);
    assert_str(buf_str(&value), "va");
    assert_ok(vfs_lookup(root, STR("d/a"), NULL, &direct));
    assert_true(vfs_version_eq(vfs_attr_version(&attr), vfs_attr_version(&direct)));
    assert_ok(vfs_scan_stat(s, &attr, NULL, NULL));
    assert_int_equal(attr.ino, direct.ino);
    assert_int_equal(vfs_scan_next(s, &e), 1);
    buf_reset(&value);
    assert_ok(vfs_scan_stat(s, &attr, "user.t", &value));
    assert_int_equal(attr.size, 1);
    assert_int_equal(value.len, 0);
    assert_ok(vfs_unlink(root, STR("d/b"), NULL, NULL));
    assert_fails(vfs_scan_stat(s, &attr, "user.t", &value), ENOENT);
    assert_fails(vfs_scan_stat(s, &attr, NULL, NULL), ENOENT);
    assert_int_equal(vfs_scan_next(s, &e), 1);
    assert_ok(vfs_scan_stat(s, &attr, "user.t", &value));
    assert_int_equal(attr.type, VFS_DIRECTORY);
    assert_int_equal(vfs_scan_next(s, &e), 0);
    assert_int_equal(vfs_scan_next(s, &e), 0);
}

enum { EXPECTED = 400, LONG_VALUE = 600 };

static struct str expected_value(size_t i, char out[LONG_VALUE])
{
    size_t len = i % 3 != 0 ? 0 : i == 150 ? LONG_VALUE : i % 5 + 1;
    memset(out, 'a' + (int)(i % 26), len);
    return str_of(out, len);
}

static void make_expected(struct vfs_dir *root)
{
    for (size_t i = 0; i < EXPECTED; i++) {
        CLEANUP(vfs_closep) struct vfs_file *f = NULL;
        char path[32], value[LONG_VALUE];
        snprintf(path, sizeof(path), "e/%03zu%s", i, i % 40 == 7 ? "/in" : "");
        put(root, path, &"1234567"[i % 7]);
        if (i % 40 == 7 || i % 3 != 0)
            continue;
        assert_ok(vfs_open(root, str_z(path), NULL, VFS_OPEN_WRITE, &f, NULL));
        assert_ok(vfs_xattr_set(f, NULL, "user.t", expected_value(i, value)));
    }
}

static void check_entry(struct vfs_scan *s, struct vfs_dir *root, size_t i)
{
    CLEANUP(buf_done) struct buf value = buf_make(LONG_VALUE);
    char path[32], memory[LONG_VALUE];
    struct vfs_attr attr, direct;
    snprintf(path, sizeof(path), "e/%03zu", i);
    assert_ok(vfs_scan_stat(s, &attr, "user.t", &value));
    assert_ok(vfs_lookup(root, str_z(path), NULL, &direct));
    assert_int_equal(attr.type, i % 40 == 7 ? VFS_DIRECTORY : VFS_FILE);
    assert_int_equal(attr.ino, direct.ino);
    assert_int_equal(attr.size, direct.size);
    assert_int_equal(attr.ctime_ns, direct.ctime_ns);
    if (attr.type == VFS_FILE)
        assert_true(str_eq(buf_str(&value), expected_value(i, memory)));
    buf_reset(&value);
    assert_ok(vfs_scan_stat(s, &attr, "user.other", &value));
    assert_int_equal(value.len, 0);
    assert_int_equal(attr.ino, direct.ino);
}

/* Whatever is read ahead, every entry gets what belongs to it: also when some are passed over, are directories, have long values, or
 * come after more than were expected. */
static void what_is_expected_is_told_alike(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    make_expected(root);
    nanosleep(&(struct timespec){.tv_nsec = 30 * 1000 * 1000}, NULL); /* so that nothing counts as just changed */
    for (size_t expected = 0; expected <= 2 * EXPECTED; expected += 100) {
        CLEANUP(vfs_scan_closep) struct vfs_scan *s = NULL;
        struct vfs_dirent e;
        assert_ok(vfs_scan_open(root, STR("e"), NULL, STR_EMPTY, &s));
        vfs_scan_expect(s, expected, "user.t");
        for (size_t i = 0; i < EXPECTED; i++) {
            assert_int_equal(vfs_scan_next(s, &e), 1);
            if (i % 11 != 3)
                check_entry(s, root, i);
        }
        assert_int_equal(vfs_scan_next(s, &e), 0);
    }
}

static void what_changes_before_it_is_expected_is_told(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_scan_closep) struct vfs_scan *s = NULL;
    CLEANUP(buf_done) struct buf value = buf_make(LONG_VALUE);
    struct vfs_attr attr;
    struct vfs_dirent e;
    make_expected(root);
    nanosleep(&(struct timespec){.tv_nsec = 30 * 1000 * 1000}, NULL);
    assert_ok(vfs_scan_open(root, STR("e"), NULL, STR_EMPTY, &s));
    assert_ok(vfs_unlink(root, STR("e/000"), NULL, NULL));
    put(root, "e/001", "123456789");
    vfs_scan_expect(s, EXPECTED, "user.t");
    assert_int_equal(vfs_scan_next(s, &e), 1);
    if (str_is(e.name, "000")) { /* its name was read before it went */
        assert_fails(vfs_scan_stat(s, &attr, "user.t", &value), ENOENT);
        assert_int_equal(vfs_scan_next(s, &e), 1);
    }
    assert_true(str_is(e.name, "001"));
    assert_ok(vfs_scan_stat(s, &attr, "user.t", &value));
    assert_int_equal(attr.size, 9);
}

static void finds_all_entries_in_any_order(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_scan_closep) struct vfs_scan *s = NULL;
    struct vfs_dirent e;
    struct vfs_attr attr;
    bool seen[3000] = {false};
    size_t count = 0;
    assert_ok(vfs_mkdir(root, STR("wide/.sluice"), NULL, 0));
    for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
        char path[32];
        snprintf(path, sizeof(path), "wide/%04zu", i);
        assert_ok(vfs_mkdir(root, str_z(path), NULL, 0));
    }
    assert_ok(vfs_scan_open_unordered(root, STR("wide"), NULL, &s));
    while (vfs_scan_next(s, &e) == 1) {
        uint64_t number = 0;
        assert_true(str_parse_u64_max(e.name, ARRAY_SIZE(seen) - 1, &number));
        assert_false(seen[number]);
        assert_int_equal(e.type, VFS_DIRECTORY);
        assert_ok(vfs_scan_stat(s, &attr, NULL, NULL));
        assert_int_equal(attr.type, VFS_DIRECTORY);
        seen[number] = true;
        count++;
    }
    assert_int_equal(count, ARRAY_SIZE(seen));
    assert_int_equal(vfs_scan_next(s, &e), 0);
    vfs_scan_closep(&s);
    assert_fails(vfs_scan_open_unordered(root, STR("wide/0000/none"), NULL, &s), ENOENT);
    assert_ok(vfs_scan_open_unordered(root, STR("wide/0000"), NULL, &s));
    assert_int_equal(vfs_scan_next(s, &e), 0);
}

/* Against a model */

struct model {
    char names[400][16]; /* extended */
    size_t count;
};

static int compare_names(const void *a, const void *b)
{
    return str_cmp(str_z(a), str_z(b));
}

/* Short names over few letters, around '/', so that prefixes and neighbours are everywhere. */
static void make_random(struct vfs_dir *root, struct model *m)
{
    static const char letters[] = "\x01!-.0a\xc3\xff";
    struct map *seen = map_new();
    while (m->count < ARRAY_SIZE(m->names)) {
        char name[8] = {0};
        random_text(name, 1 + random_u64() % 5, letters);
        if (str_is(str_z(name), ".") || str_is(str_z(name), "..") || map_set(seen, str_z(name), seen))
            continue;
        bool is_dir = random_u64() % 3 == 0;
        if (is_dir)
            assert_ok(vfs_mkdir(root, str_z(name), NULL, 0));
        else
            put(root, name, "x");
        snprintf(m->names[m->count++], sizeof(m->names[0]), "%s%s", name, is_dir ? "/" : "");
    }
    map_free(seen, NULL);
    qsort(m->names, m->count, sizeof(m->names[0]), compare_names);
}

static void check_from(struct vfs_dir *root, const struct model *m, const char *from)
{
    CLEANUP(vfs_scan_closep) struct vfs_scan *s = NULL;
    size_t at = 0;
    struct vfs_dirent e;
    while (at < m->count && str_cmp(str_z(m->names[at]), str_z(from)) < 0)
        at++;
    assert_ok(vfs_scan_open(root, STR_EMPTY, NULL, str_z(from), &s));
    for (; at < m->count; at++) {
        char name[20];
        assert_int_equal(vfs_scan_next(s, &e), 1);
        snprintf(name, sizeof(name), "%.*s%s", STR_ARG(e.name), e.type == VFS_DIRECTORY ? "/" : "");
        assert_string_equal(name, m->names[at]);
    }
    assert_int_equal(vfs_scan_next(s, &e), 0);
}

static void follows_the_model(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    struct model *m = calloc(1, sizeof(*m));
    make_random(root, m);
    check_from(root, m, "");
    for (size_t i = 0; i < m->count; i++) {
        char from[20];
        check_from(root, m, m->names[i]);
        snprintf(from, sizeof(from), "%s\x01", m->names[i]);
        check_from(root, m, from);
        random_text(from, 3, "\x01!./0a\xff");
        from[3] = '\0';
        check_from(root, m, from);
    }
    free(m);
}

/* Freshness: a scan that starts after a change has returned shows it, at whatever distance in time. */

static size_t count_from(struct vfs_dir *d, const char *path, const char *from, size_t limit)
{
    CLEANUP(vfs_scan_closep) struct vfs_scan *s = NULL;
    struct vfs_dirent e;
    size_t count = 0;
    CHECK(vfs_scan_open(d, str_z(path), NULL, str_z(from), &s) == 0);
    while (count < limit && vfs_scan_next(s, &e) == 1)
        count++;
    return count;
}

static void make_many(struct vfs_dir *d, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct vfs_file *f;
        char name[32];
        snprintf(name, sizeof(name), "many/%07zu", i * 7919 % count);
        CHECK(vfs_open(d, str_z(name), NULL, VFS_OPEN_WRITE | VFS_OPEN_CREATE | VFS_OPEN_EXCLUSIVE, &f, NULL) == 0);
        vfs_close(f);
    }
}

static void shows_every_change_at_once(void **state)
{
    enum { MANY = 3000 };
    struct vfs_dir *root = fixture_of(state)->root;
    assert_ok(vfs_mkdir(root, STR("many"), NULL, 0));
    make_many(root, MANY);
    size_t expected = MANY;
    for (int i = 0; i < ROUNDS(200, 40); i++) {
        assert_int_equal(count_from(root, "many", "", SIZE_MAX), expected);
        if (i % 5 == 0) /* so that every other time there is a view to be trusted */
            nanosleep(&(struct timespec){.tv_nsec = 30 * 1000 * 1000}, NULL);
        assert_int_equal(count_from(root, "many", "", SIZE_MAX), expected);
        if (i % 3 == 2)
            assert_ok(vfs_unlink(root, STR("many/extra"), NULL, NULL));
        else
            put(root, "many/extra", "x"); /* makes it, or replaces it */
        expected = i % 3 == 2 ? MANY : MANY + 1;
    }
}

static double page_through(struct vfs_dir *d, size_t count, size_t page)
{
    uint64_t start = clock_mono_ns();
    char from[32] = "";
    size_t seen = 0;
    while (seen < count) {
        CLEANUP(vfs_scan_closep) struct vfs_scan *s = NULL;
        struct vfs_dirent e;
        assert_ok(vfs_scan_open(d, STR("many"), NULL, str_z(from), &s));
        for (size_t i = 0; i < page && seen < count; i++) {
            char name[32];
            assert_int_equal(vfs_scan_next(s, &e), 1);
            snprintf(name, sizeof(name), "%07zu", seen++);
            assert_str(e.name, name);
            snprintf(from, sizeof(from), "%.*s!", STR_ARG(e.name));
        }
    }
    assert_int_equal(count_from(d, "many", from, SIZE_MAX), 0);
    return (double)(clock_mono_ns() - start) / 1e6;
}

static void pages_through_large_directories(void **state)
{
    const size_t many = ROUNDS(100000, 10000);
    struct vfs_dir *root = fixture_of(state)->root;
    assert_ok(vfs_mkdir(root, STR("many"), NULL, 0));
    make_many(root, many);
    nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
    double first = page_through(root, many, many), small = page_through(root, many, 1000);
    print_message("%zu entries: one page %.1f ms, pages of 1000 %.1f ms\n", many, first, small);
}

int volume_scan_contract(const struct volume_kind *k)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(orders_directories_with_a_slash, k),
        VOLUME_TEST(hides_what_is_its_own, k),
        VOLUME_TEST(tells_attributes_and_values, k),
        VOLUME_TEST(what_is_expected_is_told_alike, k),
        VOLUME_TEST(what_changes_before_it_is_expected_is_told, k),
        VOLUME_TEST(finds_all_entries_in_any_order, k),
        VOLUME_TEST(follows_the_model, k),
        VOLUME_TEST(shows_every_change_at_once, k),
        VOLUME_TEST(pages_through_large_directories, k),
    };
    return cmocka_run_group_tests_name("scans", tests, NULL, NULL);
}
