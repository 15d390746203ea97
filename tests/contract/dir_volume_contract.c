/* The volume contract over directories, and what only a directory volume promises. argv[1]: the configuration;
 * argv[2]: a pattern for the names of the tests to run. */
#include "tests/contract/dir_volume_contract.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/metrics.h"
#include "vfs/dir/dir.h"

static char root_path[PATH_MAX];

/* Configurations */

static int remove_node(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    return ftw->level == 0 ? 0 : remove(path);
}

static void wipe(const struct volume_kind *k)
{
    CHECK(nftw(k->posix_root, remove_node, 16, FTW_DEPTH | FTW_PHYS) == 0);
    CHECK(chmod(k->posix_root, 0755) == 0);
}

static struct vfs *open_with(const struct volume_kind *k, enum vfs_sync_mode sync, enum vfs_xattr_mode xattr)
{
    const struct vfs_options options = {.sync = sync, .xattr = xattr};
    struct vfs *v = NULL;
    const char *error = "";
    if (vfs_open_volume(k->posix_root, &options, &v, &error) < 0)
        check_failed(k->name, 0, error);
    return v;
}

static struct vfs *open_plain(const struct volume_kind *k, enum vfs_sync_mode sync)
{
    return open_with(k, sync, VFS_XATTR_AUTO);
}

static struct vfs *open_sidecar(const struct volume_kind *k, enum vfs_sync_mode sync)
{
    return open_with(k, sync, VFS_XATTR_SIDECAR);
}

static struct vfs *open_named(const struct volume_kind *k, enum vfs_sync_mode sync)
{
    struct vfs *v = open_with(k, sync, VFS_XATTR_AUTO);
    dir_volume_limit_for_test(v, true, true);
    return v;
}

static const struct volume_kind kinds[] = {
    {.name = "xattr", .wipe = wipe, .open = open_plain, .posix_root = root_path},
    {.name = "sidecar", .wipe = wipe, .open = open_sidecar, .posix_root = root_path},
    {.name = "named", .wipe = wipe, .open = open_named, .posix_root = root_path},
};

/* Helpers */

const char *posix(const struct volume_fixture *x, const char *path)
{
    static char texts[4][PATH_MAX];
    static unsigned turn;
    char *text = texts[turn++ % ARRAY_SIZE(texts)];
    snprintf(text, PATH_MAX, "%s/%s", x->kind->posix_root, path);
    return text;
}

static int refuse_leftover(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    if (strncmp(path + ftw->base, ".sluice-", 8) == 0)
        fail_msg("left behind: %s", path);
    return 0;
}

void assert_no_leftovers(const struct volume_fixture *x)
{
    assert_ok(nftw(x->kind->posix_root, refuse_leftover, 16, FTW_PHYS));
}

/* Opening */

static void open_fails_with_a_reason(void **state)
{
    const struct volume_fixture *x = fixture_of(state);
    const struct vfs_options options = {.sync = VFS_SYNC_NONE};
    struct vfs *v = NULL;
    const char *error = NULL;
    put(x->root, "file", "x");
    assert_fails(vfs_open_volume(posix(x, "none"), &options, &v, &error), ENOENT);
    assert_non_null(error);
    assert_fails(vfs_open_volume(posix(x, "file"), &options, &v, &error), ENOTDIR);
    assert_fails(vfs_open_volume("redis://somewhere", &options, &v, &error), ENOTSUP);
    assert_fails(vfs_open_volume("", &options, &v, &error), EINVAL);
    assert_null(v);
}

static void opens_urls(void **state)
{
    const struct volume_fixture *x = fixture_of(state);
    const struct vfs_options options = {.sync = VFS_SYNC_NONE};
    char url[PATH_MAX + 8];
    struct vfs *v;
    const char *error;
    snprintf(url, sizeof(url), "file://%s", x->kind->posix_root);
    assert_ok(vfs_open_volume(url, &options, &v, &error));
    vfs_close_volume(v);
}

static void records_survive_reopening(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    volume_reopen(x, VFS_SYNC_ALWAYS);
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    CLEANUP(buf_done) struct buf value = buf_make(64);
    assert_ok(vfs_stage(x->root, STR("d/f"), NULL, 0, &f));
    assert_ok(vfs_xattr_set(f, NULL, "user.t", STR("kept")));
    assert_ok(vfs_publish(f, x->root, STR("d/f"), NULL, &REPLACE, NULL));
    vfs_closep(&f);
    volume_reopen(x, VFS_SYNC_ALWAYS);
    assert_int_equal(vfs_is_implicit(x->root, STR("d"), NULL), 1);
    assert_ok(vfs_open(x->root, STR("d/f"), NULL, VFS_OPEN_READ, &f, NULL));
    assert_ok(vfs_xattr_get(f, "user.t", &value));
    assert_str(buf_str(&value), "kept");
}

/* What comes in through POSIX is there at once, and never pruned. */
static void posix_changes_are_seen(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    assert_ok(mkdir(posix(x, "made"), 0755));
    put(x->root, "made/f", "x");
    assert_int_equal(vfs_is_implicit(x->root, STR("made"), NULL), 0);
    assert_ok(unlink(posix(x, "made/f")));
    assert_listing(x->root, "made", "", "");
    vfs_prune(x->root, STR("made"), NULL);
    assert_listing(x->root, "", "", "made:d ");
}

/* A listing of a large directory that changes all the time must not read it anew each time. */

bool is_watchable(const struct volume_fixture *x)
{
    static const long watched[] = {EXT4_SUPER_MAGIC, 0x58465342, BTRFS_SUPER_MAGIC, TMPFS_MAGIC};
    struct statfs fs;
    assert_ok(statfs(x->kind->posix_root, &fs));
    for (size_t i = 0; i < ARRAY_SIZE(watched); i++) {
        if (fs.f_type == watched[i])
            return true;
    }
    return false;
}

static void large_directories_are_read_once(void **state)
{
    enum { MANY = 2000, CHANGES = 300 };
    struct volume_fixture *x = fixture_of(state);
    struct metric *built = metric_get(METRIC_COUNTER, "sluice_dir_views_built_total", "", "");
    if (!is_watchable(x))
        skip();
    for (int i = 0; i < MANY; i++) {
        char path[48];
        snprintf(path, sizeof(path), "d/a-rather-long-name-%d", i);
        put(x->root, path, "x");
    }
    uint64_t before = metric_value_for_test(built);
    for (int i = 0; i < CHANGES; i++) {
        char path[32], expected[64];
        snprintf(path, sizeof(path), "d/b%05d", i);
        put(x->root, path, "x");
        put(x->root, "d/a-rather-long-name-7", "replaced");
        snprintf(expected, sizeof(expected), "b%05d:f ", i);
        assert_listing(x->root, "d", path + 2, expected);
        snprintf(path, sizeof(path), "d/b%05d", i / 2);
        assert_ok(rename(posix(x, path), posix(x, "d/c"))); /* and through POSIX */
        assert_int_equal(strncmp(listing(x->root, "d", "c"), "c:f ", 4), 0);
        assert_ok(rename(posix(x, "d/c"), posix(x, path)));
    }
    assert_in_range(metric_value_for_test(built) - before, 1, 3);
}

/* More changes than the kernel queues, or than a view is kept for. */
static void floods_of_changes_are_seen(void **state)
{
    enum { FLOOD = 20000 };
    struct volume_fixture *x = fixture_of(state);
    assert_ok(vfs_mkdir(x->root, STR("d"), NULL, 0));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < FLOOD; i++) {
            char path[32];
            snprintf(path, sizeof(path), "d/%d-%05d", round, i);
            assert_ok(mknod(posix(x, path), S_IFREG | 0644, 0));
        }
        CLEANUP(vfs_scan_closep) struct vfs_scan *s = NULL;
        struct vfs_dirent e;
        int count = 0;
        assert_ok(vfs_scan_open(x->root, STR("d"), NULL, STR_EMPTY, &s));
        while (vfs_scan_next(s, &e) == 1)
            count++;
        assert_int_equal(count, FLOOD * (round + 1));
    }
}

static int dir_volume_contract(const struct volume_kind *k)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(open_fails_with_a_reason, k),
        VOLUME_TEST(opens_urls, k),
        VOLUME_TEST(records_survive_reopening, k),
        VOLUME_TEST(posix_changes_are_seen, k),
        VOLUME_TEST(large_directories_are_read_once, k),
        VOLUME_TEST(floods_of_changes_are_seen, k),
    };
    return cmocka_run_group_tests_name("directory volume", tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    const struct volume_kind *k = NULL;
    for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(kinds); i++) {
        if (strcmp(argv[1], kinds[i].name) == 0)
            k = &kinds[i];
    }
    if (!k) {
        fprintf(stderr, "usage: %s xattr|sidecar|named [test]\n", argv[0]);
        return 2;
    }
    const char *base = getenv("SLUICE_TEST_DIR");
    snprintf(root_path, sizeof(root_path), "%s/sluice-volume-XXXXXX", base ? base : "/var/tmp");
    if (!mkdtemp(root_path)) {
        perror(root_path);
        return 2;
    }
    if (argc > 2)
        cmocka_set_test_filter(argv[2]);
    int failed = dir_volume_contract(k) + volume_contract(k) + dir_security_contract(k) + dir_identity_contract(k) +
                 dir_crash_contract(k) + dir_reading_contract(k);
    if (rmdir(root_path) < 0)
        perror(root_path);
    return failed > 0;
}
