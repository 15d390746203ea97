#include "tests/support/unit.h"

#include "s3api/dialect.h"

#define PAIRS_MAX 6

struct row {
    const char *pairs[2 * PAIRS_MAX]; /* name, value, …, NULL */
    unsigned which;
    uint32_t mode, uid, gid;
    int64_t mtime_ns;
};

static struct s3_pairs pairs_of(const char *const *texts, struct s3_pair *items)
{
    struct s3_pairs pairs = {.items = items};
    for (size_t i = 0; texts[i]; i += 2)
        items[pairs.count++] = (struct s3_pair){str_z(texts[i]), str_z(texts[i + 1])};
    return pairs;
}

static void wanted(void **state UNUSED)
{
    enum { ALL = VFS_SET_MODE | VFS_SET_OWNER | VFS_SET_MTIME };
    static const struct row rows[] = {
        {{"color", "red", NULL}, 0, 0, 0, 0, 0},
        /* rclone */
        {{"mtime", "1354040105.123456789", NULL}, VFS_SET_MTIME, 0, 0, 0, 1354040105123456789},
        {{"mtime", "1354040105.5", NULL}, VFS_SET_MTIME, 0, 0, 0, 1354040105500000000},
        {{"mtime", "1354040105.1234567891", NULL}, VFS_SET_MTIME, 0, 0, 0, 1354040105123456789},
        {{"mtime", "1354040105.", NULL}, VFS_SET_MTIME, 0, 0, 0, 1354040105000000000},
        {{"mtime", "-5", NULL}, 0, 0, 0, 0, 0},
        {{"mtime", "1.x", NULL}, 0, 0, 0, 0, 0},
        {{"mtime", "99999999999999999999", NULL}, 0, 0, 0, 0, 0},
        {{"mtime", "", NULL}, 0, 0, 0, 0, 0},
        /* s3fs-fuse: 33188 is 0100644, 16877 is 040755, 41471 is a symlink's */
        {{"mode", "33188", "uid", "1000", "gid", "100", "mtime", "1354040105", NULL}, ALL, 0644, 1000, 100, 1354040105000000000},
        {{"mode", "16877", "uid", "0", "gid", "0", NULL}, VFS_SET_MODE | VFS_SET_OWNER, 0755, 0, 0, 0},
        {{"mode", "41471", "uid", "0", "gid", "0", NULL}, VFS_SET_OWNER, 0, 0, 0, 0},
        {{"mode", "36333", "uid", "5", "gid", "6", NULL}, VFS_SET_MODE | VFS_SET_OWNER, 0755, 5, 6, 0}, /* set-id bits */
        {{"mode", "33188", "uid", "1000", NULL}, 0, 0, 0, 0, 0},
        {{"mode", "rw", "uid", "4294967295", "gid", "1", NULL}, 0, 0, 0, 0, 0},
        /* DataSync */
        {{"file-permissions", "0640", "file-owner", "7", "file-group", "8", "file-mtime", "1354040105123ms", NULL},
         ALL, 0640, 7, 8, 1354040105123000000},
        {{"file-permissions", "0100664", "file-mtime", "1354040105123456789ns", NULL},
         VFS_SET_MODE | VFS_SET_MTIME, 0664, 0, 0, 1354040105123456789},
        {{"file-permissions", "0888", "file-mtime", "12", NULL}, VFS_SET_MTIME, 0, 0, 0, 12000000},
        {{"file-permissions", "", "file-mtime", "9223372036854775807", NULL}, 0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct s3_pair items[PAIRS_MAX];
        struct s3_pairs pairs = pairs_of(rows[i].pairs, items);
        struct vfs_set set = s3_dialect_wanted(&pairs);
        if (set.which != rows[i].which)
            fail_msg("row %zu: %u", i, set.which);
        if (set.which & VFS_SET_MODE)
            assert_int_equal(set.mode, rows[i].mode);
        if (set.which & VFS_SET_OWNER) {
            assert_int_equal(set.uid, rows[i].uid);
            assert_int_equal(set.gid, rows[i].gid);
        }
        if (set.which & VFS_SET_MTIME)
            assert_int_equal(set.mtime_ns, rows[i].mtime_ns);
    }
}

/* What POSIX changed since shows; what it left alone reads as it was sent. */
static void read_back(void **state UNUSED)
{
    const struct vfs_attr then = {.mode = 0644, .uid = 1000, .gid = 100, .mtime_ns = 5000000006};
    static const struct {
        const char *sent[2 * PAIRS_MAX], *changed[2 * PAIRS_MAX];
    } rows[] = {
        {{"mtime", "5.000000006", NULL}, {"mtime", "1700000000.000000042", NULL}},
        {{"mode", "33188", "uid", "1000", "gid", "100", "mtime", "5", NULL},
         {"mode", "33152", "uid", "1001", "gid", "101", "mtime", "1700000000", NULL}},
        {{"file-permissions", "0644", "file-owner", "1000", "file-group", "100", "file-mtime", "5000ms", NULL},
         {"file-permissions", "0600", "file-owner", "1001", "file-group", "101", "file-mtime", "1700000000000ms", NULL}},
        {{"file-permissions", "0100644", "file-mtime", "5000000006ns", NULL},
         {"file-permissions", "0100600", "file-mtime", "1700000000000000042ns", NULL}},
        {{"color", "red", NULL}, {"color", "red", NULL}},
    };
    struct arena *arena = arena_new();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        for (int changes = 0; changes < 2; changes++) {
            struct s3_pair items[PAIRS_MAX];
            struct s3_objmeta m = {.user = pairs_of(rows[i].sent, items), .posix = {true, then.mode, then.uid, then.gid}};
            struct vfs_attr now = then;
            m.fresh = !changes;
            if (changes)
                now = (struct vfs_attr){.mode = 0600, .uid = 1001, .gid = 101, .mtime_ns = 1700000000000000042};
            s3_dialect_overlay(&m, &now, arena);
            const char *const *expected = changes ? rows[i].changed : rows[i].sent;
            for (size_t k = 0; expected[2 * k]; k++)
                assert_str(m.user.items[k].value, expected[2 * k + 1]);
        }
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(wanted), cmocka_unit_test(read_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
