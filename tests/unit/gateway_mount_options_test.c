#include <errno.h>

#include "gateway/mount.h"
#include "tests/support/unit.h"

#define WORDS_MAX 12

static int parse(const char *const *words, struct gw_mount_options *out, struct buf *error)
{
    char *argv[WORDS_MAX];
    int argc = 0;
    for (; words[argc]; argc++)
        argv[argc] = strdup(words[argc]);
    *error = buf_make(4096);
    int r = gw_mount_options_parse(argc, argv, out, error);
    /* Texts point into the words: they are for the process's whole life in real use. */
    if (r == 0) {
        assert_string_equal(out->url, "sqlite3://x");
        assert_string_equal(out->mount_point, "/tmp");
        gw_mount_options_done(out);
    }
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    return r;
}

static void every_form_is_taken(void **state)
{
    (void)state;
    struct gw_mount_options o;
    struct buf error;
    const char *const words[] = {"sqlite3://x", "/tmp", "-d", "--attr-cache=0.5", "--buffer-size", "10", NULL};
    assert_int_equal(parse(words, &o, &error), 0);
    assert_true(o.background);
    assert_true(o.attr_cache_s > 0.49 && o.attr_cache_s < 0.51);
    assert_int_equal(o.memory, 10 << 20);
    buf_done(&error);
}

/* What scripts of `juicefs mount` say that is so here in any case, and the forms in which they write times. */
static void options_of_juicefs_are_taken(void **state)
{
    (void)state;
    struct gw_mount_options o;
    struct buf error;
    const char *const words[] = {"-v", "--no-usage-report", "--max-uploads", "50",    "sqlite3://x", "--heartbeat=12s", "/tmp",
                                 "-o", "backup-meta=0,attr-cache=500ms,umask=027", NULL};
    assert_int_equal(parse(words, &o, &error), 0);
    assert_true(o.attr_cache_s > 0.49 && o.attr_cache_s < 0.51);
    assert_int_equal(o.umask, 027);
    assert_int_equal(o.log_level, LOG_DEBUG);
    assert_int_equal(o.passed.len, 0);
    buf_done(&error);
}

static void the_cache_on_disk(void **state)
{
    (void)state;
    struct gw_mount_options o;
    struct buf error;
    const char *const words[] = {"sqlite3://x", "/tmp", "--cache-dir", "/a:/b", "--cache-size=500G", "--free-space-ratio", "0.25",
                                 "-o", "cache-items=9000000000,cache-mode=0660", NULL};
    assert_int_equal(parse(words, &o, &error), 0);
    assert_int_equal(o.cache.bytes_max, 500ull << 30);
    assert_int_equal(o.cache.items_max, 9000000000);
    assert_int_equal(o.cache.mode, 0660);
    assert_true(o.cache.free_min > 0.24 && o.cache.free_min < 0.26);
    buf_done(&error);
    const char *const plain[] = {"sqlite3://x", "/tmp", "--cache-dir=memory", "--cache-size", "2048", NULL};
    assert_int_equal(parse(plain, &o, &error), 0);
    assert_null(o.cache.dirs);
    assert_int_equal(o.cache.bytes_max, 2ull << 30);
    buf_done(&error);
    const char *const off[] = {"sqlite3://x", "/tmp", "--cache-dir=/a", "--cache-size=0", NULL};
    assert_int_equal(parse(off, &o, &error), 0);
    assert_int_equal(o.cache.bytes_max, 0);
    buf_done(&error);
    static const char *const bad[] = {"--cache-dir=relative", "--cache-dir=/a:b", "--cache-dir=/a:", "--cache-size=-1", "--cache-size=much",
                                      "--cache-items=x", "--free-space-ratio=1", "--free-space-ratio=nan", "--cache-mode=9"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        const char *const refused[] = {"sqlite3://x", "/tmp", bad[i], NULL};
        assert_int_equal(parse(refused, &o, &error), -EINVAL);
        assert_non_null(strstr(buf_z(&error), "cache-") ? strstr(buf_z(&error), "cache-") : strstr(buf_z(&error), "free-space"));
        buf_done(&error);
    }
}

/* As in /etc/fstab: ours, mount(8)'s that mean nothing here, and the filesystem's. */
static void a_list_of_fstab(void **state)
{
    (void)state;
    struct gw_mount_options o;
    struct buf error;
    const char *const words[] = {"sqlite3://x", "/tmp", "-o", "ro,_netdev,x-systemd.automount,entry-cache=3,dev,suid", NULL};
    char passed[64];
    char *argv[WORDS_MAX];
    int argc = 0;
    for (; words[argc]; argc++)
        argv[argc] = strdup(words[argc]);
    error = buf_make(4096);
    assert_int_equal(gw_mount_options_parse(argc, argv, &o, &error), 0);
    assert_true(o.read_only && o.entry_cache_s > 2.9 && !o.background);
    snprintf(passed, sizeof(passed), "%s", buf_z(&o.passed));
    assert_string_equal(passed, "dev,suid");
    gw_mount_options_done(&o);
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    buf_done(&error);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *words[WORDS_MAX];
        const char *says;
    } rows[] = {
        {{"sqlite3://x"}, "usage"},
        {{"sqlite3://x", "/tmp", "--attr-cache", "-1"}, "attr-cache"},
        {{"sqlite3://x", "/tmp", "--attr-cache", "nan"}, "attr-cache"},
        {{"sqlite3://x", "/tmp", "--max-fuse-io", "2M"}, "max-fuse-io"},
        {{"sqlite3://x", "/tmp", "--buffer-size", "99999999999999999999"}, "buffer-size"},
        {{"sqlite3://x", "/tmp", "--no-such"}, "no-such"},
        {{"sqlite3://x", "/tmp", "/more"}, "/more"},
        {{"sqlite3://x", "/tmp", "-o"}, "'o'"},
        {{"sqlite3://x", "/tmp", "-o", "attr-cache"}, "attr-cache"},
        {{"sqlite3://x", "/tmp", "--log-level", "loud"}, "log-level"},
        {{"sqlite3://x", "/tmp", "--attr-cache", "1y"}, "attr-cache"},
        {{"sqlite3://x", "/tmp", "--umask", "8"}, "umask"},
        {{"sqlite3://x", "/tmp", "--writeback"}, "--writeback: what close"},
        {{"sqlite3://x", "/tmp", "-o", "root-squash=1:1"}, "--root-squash"},
        {{"sqlite3://x", "/tmp", "--max-uploads"}, "--max-uploads wants a value"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct gw_mount_options o;
        struct buf error;
        assert_int_equal(parse(rows[i].words, &o, &error), -EINVAL);
        assert_non_null(strstr(buf_z(&error), rows[i].says));
        buf_done(&error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_is_taken),
        cmocka_unit_test(options_of_juicefs_are_taken),
        cmocka_unit_test(the_cache_on_disk),
        cmocka_unit_test(a_list_of_fstab),
        cmocka_unit_test(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
