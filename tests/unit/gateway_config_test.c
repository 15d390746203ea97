#include "tests/support/unit.h"

#include <unistd.h>

#include "base/buf.h"
#include "gateway/config.h"

struct parse {
    struct gw_config config;
    struct buf error;
    struct arena *words;
    int rc;
};

static struct parse parse_words(int count, const char *const *words)
{
    struct parse p = {.error = buf_make(65536), .words = arena_new()};
    char *argv[32];
    for (int i = 0; i < count; i++)
        argv[i] = arena_dupz(p.words, str_z(words[i]));
    p.rc = gw_config_parse(count, argv, &p.config, &p.error);
    return p;
}

static void parse_done(struct parse *p)
{
    if (p->rc == 0)
        gw_config_done(&p->config);
    buf_done(&p->error);
    arena_free(p->words);
}
#define PARSE(...) parse_words((int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *[]){__VA_ARGS__})

static char *write_file(const char *text)
{
    char *path = strdup("/tmp/sluice-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    return path;
}

static int clear_environment(void **state)
{
    (void)state;
    static const char *const names[] = {"SLUICE_VOLUME", "SLUICE_REGION",  "SLUICE_SYNC",   "SLUICE_LISTEN",
                                        "SLUICE_CONFIG", "SLUICE_MEMORY", "SLUICE_ROOT_ACCESS_KEY", "SLUICE_ROOT_SECRET_KEY",
                                        "SLUICE_ROOT_SECRET_KEY_FILE"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        unsetenv(names[i]);
    return 0;
}

static void defaults_are_those_of_the_help(void **state)
{
    (void)state;
    struct parse p = PARSE("/data");
    assert_int_equal(p.rc, 0);
    assert_string_equal(p.config.volume, "/data");
    assert_int_equal(p.config.listen_count, 1);
    assert_string_equal(p.config.listen[0], "127.0.0.1:9000");
    assert_string_equal(p.config.admin, "127.0.0.1:9001");
    assert_int_equal(p.config.sync, VFS_SYNC_ALWAYS);
    assert_true(p.config.sigv2);
    assert_int_equal(p.config.upload_expiry_s, 7 * 24 * 3600);
    assert_int_equal(p.config.drain_timeout_ms, 60000);
    assert_true(p.config.loops >= 1);
    parse_done(&p);
}

static void command_line_wins_over_environment_over_file(void **state)
{
    (void)state;
    char *path = write_file("[serve]\nregion = from-file\nsync = none\nmemory = 16M\nlisten = 127.0.0.1:1\nlisten = 127.0.0.1:2\n");
    setenv("SLUICE_REGION", "from-env", 1);
    setenv("SLUICE_MEMORY", "32M", 1);
    struct parse p = PARSE("/data", "--config", path, "--memory=64M");
    assert_int_equal(p.rc, 0);
    assert_string_equal(p.config.region, "from-env");
    assert_int_equal(p.config.sync, VFS_SYNC_NONE);
    assert_int_equal(p.config.memory, 64 << 20);
    assert_int_equal(p.config.listen_count, 2);
    assert_string_equal(p.config.listen[1], "127.0.0.1:2");
    struct parse q = PARSE("/data", "--config", path, "--listen", "[::1]:9", "--listen", "unix:/run/s");
    assert_int_equal(q.config.listen_count, 2);
    assert_string_equal(q.config.listen[0], "[::1]:9");
    unlink(path);
    free(path);
    parse_done(&p);
    parse_done(&q);
}

static void mistakes_name_themselves_and_what_is_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *words[4];
        int count;
        const char *says[3];
    } rows[] = {
        {{"/d", "--sync", "sometimes"}, 3, {"--sync", "sometimes", "always|none"}},
        {{"/d", "--lisen", "x"}, 3, {"--lisen", "--help", ""}},
        {{"/d", "--memory", "1K"}, 3, {"--memory", "1K", "at least"}},
        {{"/d", "--workers", "0"}, 3, {"--workers", "from 1 to 1024", ""}},
        {{"/d", "--head-timeout", "soon"}, 3, {"--head-timeout", "soon", "30s"}},
        {{"/d", "--read-only", "yes"}, 3, {"--read-only", "yes", "on, off"}},
        {{"/d", "--region"}, 2, {"--region", "needs a value", ""}},
        {{"/d", "/e"}, 2, {"/e", "one volume", ""}},
        {{"--region", "x"}, 2, {"no volume", "sluice serve PATH", ""}},
        {{"/d", "--tls-cert", "c.pem"}, 3, {"--tls-cert", "--tls-key", "together"}},
        {{"/d", "--cache-dir", "cache"}, 3, {"--cache-dir", "absolute", ""}},
        {{"/d", "--free-space-ratio", "1.5"}, 3, {"--free-space-ratio", "1.5", "0.1"}},
        {{"/d", "--cache-mode", "rw"}, 3, {"--cache-mode", "rw", "octal"}},
        {{"/d", "--cache-size", "512K"}, 3, {"--cache-size", "512K", "at least 1M"}},
        {{"/d", "--config", "/nonexistent"}, 3, {"--config", "/nonexistent", "No such file"}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct parse p = parse_words(rows[i].count, rows[i].words);
        assert_int_equal(p.rc, -22);
        for (size_t k = 0; k < 3; k++) {
            if (!strstr(buf_z(&p.error), rows[i].says[k]))
                fail_msg("row %zu: \"%s\" does not say \"%s\"", i, buf_z(&p.error), rows[i].says[k]);
        }
        parse_done(&p);
    }
}

static void file_mistakes_name_the_file(void **state)
{
    (void)state;
    char *path = write_file("regoin = x\n");
    struct parse p = PARSE("/data", "--config", path);
    assert_int_equal(p.rc, -22);
    assert_non_null(strstr(buf_z(&p.error), path));
    assert_non_null(strstr(buf_z(&p.error), "regoin"));
    unlink(path);
    free(path);
    parse_done(&p);
}

static void secrets_come_from_files_and_never_show(void **state)
{
    (void)state;
    char *path = write_file("a-secret-of-some-length\n");
    setenv("SLUICE_ROOT_ACCESS_KEY", "ROOTKEY", 1);
    setenv("SLUICE_ROOT_SECRET_KEY_FILE", path, 1);
    struct parse p = PARSE("/data");
    assert_int_equal(p.rc, 0);
    assert_string_equal(p.config.root_secret_key, "a-secret-of-some-length");
    struct buf dump = buf_make(65536);
    gw_config_dump(&p.config, &dump);
    assert_null(strstr(buf_z(&dump), "a-secret"));
    assert_non_null(strstr(buf_z(&dump), "root-access-key = ROOTKEY"));
    setenv("SLUICE_ROOT_SECRET_KEY", "short", 1);
    unsetenv("SLUICE_ROOT_SECRET_KEY_FILE");
    struct parse q = PARSE("/data");
    assert_int_equal(q.rc, -22);
    assert_null(strstr(buf_z(&q.error), "'short'"));
    unlink(path);
    free(path);
    buf_done(&dump);
    parse_done(&p);
    parse_done(&q);
}

static void dump_is_a_config_file(void **state)
{
    (void)state;
    struct parse p = PARSE("/data", "--region", "eu-1", "--listen", "127.0.0.1:1,127.0.0.1:2", "--log-format", "json",
                           "--access-log", "-", "--sigv2", "off", "--cache-dir", "/a:/b", "--free-space-ratio", "0.05", "--cache-mode",
                           "0640", "--cache-items", "12345", "--cache-size", "2048");
    struct buf dump = buf_make(65536), again = buf_make(65536);
    gw_config_dump(&p.config, &dump);
    char *path = write_file(buf_z(&dump));
    struct parse q = PARSE("--config", path);
    assert_int_equal(q.rc, 0);
    assert_int_equal(q.config.cache.mode, 0640);
    assert_int_equal(q.config.cache.bytes_max, 2048ull << 20); /* MiB, as for mounts */
    assert_true(q.config.cache.free_min > 0.04 && q.config.cache.free_min < 0.06);
    assert_string_equal(q.config.cache.dirs, "/a:/b");
    assert_int_equal(q.config.cache.items_max, 12345);
    gw_config_dump(&q.config, &again);
    assert_string_equal(buf_z(&dump), buf_z(&again));
    unlink(path);
    free(path);
    buf_done(&dump);
    buf_done(&again);
    parse_done(&p);
    parse_done(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(defaults_are_those_of_the_help, clear_environment),
        cmocka_unit_test_setup(command_line_wins_over_environment_over_file, clear_environment),
        cmocka_unit_test_setup(mistakes_name_themselves_and_what_is_allowed, clear_environment),
        cmocka_unit_test_setup(file_mistakes_name_the_file, clear_environment),
        cmocka_unit_test_setup(secrets_come_from_files_and_never_show, clear_environment),
        cmocka_unit_test_setup(dump_is_a_config_file, clear_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
