#include "tests/support/unit.h"

#include <errno.h>

#include "vfs/meta/settings.h"

/* As `juicefs format` of release 1.3.1 wrote it (with --secret-key sekret). */
static const char official[] = "{\n"
                               "\"Name\": \"vol\",\n"
                               "\"UUID\": \"a4e58c22-0832-487f-b546-2b5c2302c554\",\n"
                               "\"Storage\": \"file\",\n"
                               "\"Bucket\": \"/data/\",\n"
                               "\"AccessKey\": \"AK\",\n"
                               "\"SecretKey\": \"gVnNwWkqSzHR967E0JzEaUHWicjl8SI7YfmPqxLSs4/67g==\",\n"
                               "\"BlockSize\": 4096,\n"
                               "\"Compression\": \"none\",\n"
                               "\"Capacity\": 1073741824,\n"
                               "\"Inodes\": 1000,\n"
                               "\"EncryptAlgo\": \"aes256gcm-rsa\",\n"
                               "\"KeyEncrypted\": true,\n"
                               "\"TrashDays\": 1,\n"
                               "\"MetaVersion\": 1,\n"
                               "\"MinClientVersion\": \"1.1.0-A\",\n"
                               "\"DirStats\": true,\n"
                               "\"EnableACL\": false\n"
                               "}";

static struct meta_settings *parse(const char *json)
{
    struct meta_settings *s = NULL;
    struct buf error = buf_make(1000);
    if (meta_settings_parse(str_z(json), &s, &error) < 0)
        fail_msg("%s", buf_z(&error));
    buf_done(&error);
    return s;
}

static void test_reads_official(void **state)
{
    (void)state;
    CLEANUP(meta_settings_freep) struct meta_settings *s = parse(official);
    assert_str(s->name, "vol");
    assert_str(s->bucket, "/data/");
    assert_str(s->secret_key, "sekret");
    assert_int_equal(s->block_size_kib, 4096);
    assert_true(s->capacity == 1073741824 && s->inodes == 1000);
    assert_true(s->dir_stats && !s->enable_acl && !s->unknown_set);
    struct buf error = buf_make(1000);
    assert_int_equal(meta_settings_check(s, &error), 0);
}

/* All but the freshly sealed secret is byte for byte what it was. */
static void test_writes_as_official(void **state)
{
    (void)state;
    CLEANUP(meta_settings_freep) struct meta_settings *s = parse(official);
    struct buf out = buf_make(10000);
    meta_settings_write(s, &out);
    struct str sealed = STR("gVnNwWkqSzHR967E0JzEaUHWicjl8SI7YfmPqxLSs4/67g==");
    ptrdiff_t at = str_find(str_z(official), sealed);
    assert_int_equal(out.len, sizeof(official) - 1);
    assert_memory_equal(out.ptr, official, (size_t)at);
    assert_memory_not_equal(out.ptr + at, sealed.ptr, sealed.len);
    assert_string_equal(out.ptr + at + sealed.len, official + at + sealed.len);
    CLEANUP(meta_settings_freep) struct meta_settings *again = parse(buf_z(&out));
    assert_str(again->secret_key, "sekret");
    buf_reset(&out);
    meta_settings_show(s, &out);
    assert_true(str_find(buf_str(&out), STR("\"SecretKey\": \"removed\"")) > 0);
    buf_done(&out);
}

static void test_unknown_members_stay(void **state)
{
    (void)state;
    CLEANUP(meta_settings_freep) struct meta_settings *s = parse(
        "{\"nAME\":\"abc\",\"New\":{\"x\":[1,\"y\"]},\"Tiers\":{\"0\":{\"ID\":0}},\"Off\":false,\"AccessKey\":null}");
    assert_str(s->name, "abc");
    assert_true(s->unknown_set);
    struct buf out = buf_make(10000), error = buf_make(1000);
    meta_settings_write(s, &out);
    assert_true(str_find(buf_str(&out), STR("\"New\":{\"x\":[1,\"y\"]},\"Off\":false\n}")) > 0);
    assert_true(str_find(buf_str(&out), STR("\"Tiers\": {\"0\":{\"ID\":0}}")) > 0);
    s->block_size_kib = 64;
    assert_int_equal(meta_settings_check(s, &error), -ENOTSUP);
    assert_true(str_find(buf_str(&error), STR("\"New\"")) > 0);
    buf_done(&out);
    buf_done(&error);
}

static void test_bad_records(void **state)
{
    (void)state;
    static const char *const records[] = {
        "", "[]", "{\"Name\":1}", "{\"BlockSize\":\"4\"}", "{\"BlockSize\":-4}", "{\"TrashDays\":1.5}",
        "{\"Capacity\":-1}", "{\"DirStats\":1}", "{\"KeyEncrypted\":true,\"SecretKey\":\"AAAA\"}",
        "{\"KeyEncrypted\":true,\"SecretKey\":\"*\"}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
        struct meta_settings *s = NULL;
        struct buf error = buf_make(1000);
        assert_true(meta_settings_parse(str_z(records[i]), &s, &error) < 0);
        assert_null(s);
        assert_true(error.len > 0);
        buf_done(&error);
    }
}

static void test_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *record, *named;
    } rows[] = {
        {"{\"BlockSize\":64,\"MetaVersion\":2}", "MetaVersion"},
        {"{\"BlockSize\":64,\"MinClientVersion\":\"1.5.0-A\"}", "MinClientVersion"},
        {"{\"BlockSize\":64,\"MaxClientVersion\":\"1.3.9\"}", "MaxClientVersion"},
        {"{\"BlockSize\":64,\"MaxClientVersion\":\"x\"}", "MaxClientVersion"},
        {"{\"BlockSize\":65}", "BlockSize"},
        {"{\"BlockSize\":64,\"Compression\":\"brotli\"}", "Compression"},
        {"{\"BlockSize\":64,\"EncryptKey\":\"x\",\"EncryptAlgo\":\"sm4gcm\"}", "EncryptAlgo"},
        {"{\"BlockSize\":64,\"KeyEncrypted\":true,\"EncryptKey\":\"removed\"}", "EncryptKey"},
        {"{\"BlockSize\":64,\"Shards\":300}", "Shards"},
        {"{\"BlockSize\":64,\"ChangeLog\":true}", "ChangeLog"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(meta_settings_freep) struct meta_settings *s = parse(rows[i].record);
        struct buf error = buf_make(1000);
        assert_int_equal(meta_settings_check(s, &error), -ENOTSUP);
        assert_true(str_find(buf_str(&error), str_z(rows[i].named)) > 0);
        buf_done(&error);
    }
}

static void test_removed_secrets_stay_removed(void **state)
{
    (void)state;
    CLEANUP(meta_settings_freep) struct meta_settings *s = parse("{\"KeyEncrypted\":true,\"SecretKey\":\"removed\"}");
    struct buf out = buf_make(1000);
    meta_settings_write(s, &out);
    assert_true(str_find(buf_str(&out), STR("\"SecretKey\": \"removed\"")) > 0);
    buf_done(&out);
}

static void test_versions(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        int order;
    } rows[] = {
        {"1.1.0", "1.1.0", 0},       {"1.1", "1.1.0", 0},     {"1.1.0-A", "1.1.0", -1}, {"1.1.0", "1.1.0-rc1", 1},
        {"1.1.0-A", "1.1.0-alpha", -1}, {"2", "1.9.9", 1},    {"1.10.0", "1.9.0", 1},   {"1.4.0+abc", "1.4.0", 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int order = 7;
        assert_true(meta_version_compare(str_z(rows[i].a), str_z(rows[i].b), &order));
        assert_int_equal(order < 0 ? -1 : order > 0, rows[i].order);
    }
    static const char *const bad[] = {"", "1.2.3.4", "a", "1..2", "-1"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int order;
        assert_false(meta_version_compare(str_z(bad[i]), STR("1.0.0"), &order));
    }
}

static void test_new_ones(void **state)
{
    (void)state;
    CLEANUP(meta_settings_freep) struct meta_settings *a = meta_settings_new();
    CLEANUP(meta_settings_freep) struct meta_settings *b = meta_settings_new();
    struct buf error = buf_make(1000);
    assert_int_equal(a->uuid.len, 36);
    assert_false(str_eq(a->uuid, b->uuid));
    assert_int_equal(meta_settings_check(a, &error), 0);
    a->secret_key = meta_settings_keep(a, STR("x"));
    CLEANUP(meta_settings_freep) struct meta_settings *copy = meta_settings_dup(a);
    assert_str(copy->secret_key, "x");
    assert_int_equal(meta_settings_check_update(a, copy, &error), 0);
    copy->shards = 4;
    assert_int_equal(meta_settings_check_update(a, copy, &error), -EINVAL);
    buf_done(&error);
}

static void test_names_and_sizes(void **state)
{
    (void)state;
    assert_true(meta_settings_name_ok(STR("abc")) && meta_settings_name_ok(STR("a-0")));
    assert_false(meta_settings_name_ok(STR("ab")) || meta_settings_name_ok(STR("-ab")) || meta_settings_name_ok(STR("Abc")) ||
                 meta_settings_name_ok(STR("ab-")) || meta_settings_name_ok(STR("a/c")));
    assert_int_equal(meta_settings_block_size_kib(0), 64);
    assert_int_equal(meta_settings_block_size_kib(4 << 20), 4096);
    assert_int_equal(meta_settings_block_size_kib(5 << 20), 4096);
    assert_int_equal(meta_settings_block_size_kib(1ull << 40), 16384);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_official),
        cmocka_unit_test(test_writes_as_official),
        cmocka_unit_test(test_unknown_members_stay),
        cmocka_unit_test(test_bad_records),
        cmocka_unit_test(test_refused_by_name),
        cmocka_unit_test(test_removed_secrets_stay_removed),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_new_ones),
        cmocka_unit_test(test_names_and_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
