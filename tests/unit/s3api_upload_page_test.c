#include "s3api/upload_page.h"

#include "tests/support/unit.h"

/* The page against sorting everything. */

#define UPLOADS 400

struct upload {
    char key[8];
    char id[S3_UPLOAD_ID_LEN + 1];
};

static unsigned draw(unsigned below)
{
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (unsigned)(x % below);
}

static int compare(const void *a, const void *b)
{
    const struct upload *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    return order ? order : strcmp(x->id, y->id);
}

static void test_first_uploads_in_order(void **state UNUSED)
{
    static struct upload all[UPLOADS];
    for (int round = 0; round < 200; round++) {
        size_t count = draw(UPLOADS), max = draw(30);
        struct s3_upload_page page;
        s3_upload_page_init(&page, max);
        for (size_t i = 0; i < count; i++) {
            snprintf(all[i].key, sizeof(all[i].key), "%c%c", 'a' + draw(5), 'a' + draw(20));
            snprintf(all[i].id, sizeof(all[i].id), "%032x", draw(1000000) * 400 + (unsigned)i);
            s3_upload_page_add(&page, str_z(all[i].key), str_z(all[i].id));
        }
        qsort(all, count, sizeof(all[0]), compare);
        assert_int_equal(page.count, count < max ? count : max);
        assert_int_equal(page.is_truncated, count > max);
        for (size_t i = 0; i < page.count; i++) {
            assert_str(page.rows[i]->key, all[i].key);
            assert_str(str_of(page.rows[i]->id, S3_UPLOAD_ID_LEN), all[i].id);
        }
        s3_upload_page_done(&page);
    }
}

static void test_prefixes_are_kept_once(void **state UNUSED)
{
    struct s3_upload_page page;
    s3_upload_page_init(&page, 2);
    for (int i = 0; i < 10; i++) {
        s3_upload_page_add(&page, STR("a/"), STR_EMPTY);
        s3_upload_page_add(&page, STR("b/"), STR_EMPTY);
    }
    assert_int_equal(page.count, 2);
    assert_false(page.is_truncated);
    assert_true(page.rows[0]->is_prefix);
    s3_upload_page_add(&page, STR("c/"), STR_EMPTY);
    assert_true(page.is_truncated);
    s3_upload_page_add(&page, STR("A"), STR("00000000000000000000000000000001"));
    assert_str(page.rows[0]->key, "A");
    assert_str(page.rows[1]->key, "a/");
    s3_upload_page_done(&page);
    s3_upload_page_done(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_uploads_in_order),
        cmocka_unit_test(test_prefixes_are_kept_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
