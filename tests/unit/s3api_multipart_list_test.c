/* ListParts and ListMultipartUploads over the whole engine: what a page shows, and that pages together show everything
 * once. */
#include "tests/support/unit.h"

#include <sys/stat.h>

#include "base/encode.h"
#include "tests/support/multipart_client.h"

#define KEY "/bucket/key"

struct fixture {
    struct s3_engine *e;
    uint64_t random;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->e = s3_engine_new(NULL);
    f->random = 88172645463325252u;
    assert_answer(s3_do(f->e, "PUT", "/bucket", NULL), 200, NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    s3_engine_free(f->e);
    free(f);
    return 0;
}

static unsigned draw(struct fixture *f, unsigned below)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return (unsigned)(f->random % below);
}

/* The content of the next <name> of *rest. */
static bool next_element(struct str *rest, const char *name, struct str *out)
{
    char open[64], close[64];
    snprintf(open, sizeof(open), "<%s>", name);
    snprintf(close, sizeof(close), "</%s>", name);
    ptrdiff_t start = str_find(*rest, str_z(open));
    if (start < 0)
        return false;
    struct str inner = str_from(*rest, (size_t)start + strlen(open));
    ptrdiff_t end = str_find(inner, str_z(close));
    assert_true(end >= 0);
    *out = str_first(inner, (size_t)end);
    *rest = str_from(inner, (size_t)end + strlen(close));
    return true;
}

static struct str element(struct str xml, const char *name)
{
    struct str value = STR_EMPTY;
    return next_element(&xml, name, &value) ? value : STR_EMPTY;
}

/* ListParts -------------------------------------------------------------------------------------------------------- */

static void test_parts_page_by_page(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 10; round++) {
        struct mpu u = mpu_create(f->e, KEY, NULL);
        bool uploaded[200] = {false};
        for (unsigned i = 0; i < 30; i++) {
            uint32_t number = 1 + draw(f, 199);
            mpu_part(&u, number, STR("bytes"));
            uploaded[number] = true;
        }
        unsigned max = 1 + draw(f, 12);
        uint32_t marker = 0;
        bool more = true;
        while (more) {
            char query[64];
            uint32_t shown = 0;
            struct str part, rest;
            snprintf(query, sizeof(query), "&max-parts=%u&part-number-marker=%u", max, marker);
            struct s3_answer *a = mpu_list_parts_call(&u, query);
            assert_answer(a, 200, NULL);
            rest = a->body;
            while (next_element(&rest, "Part", &part)) {
                uint64_t number;
                assert_true(str_parse_u64(element(part, "PartNumber"), &number));
                for (marker++; marker < number; marker++)
                    assert_false(uploaded[marker]);
                assert_true(uploaded[number]);
                shown++;
            }
            more = str_is(s3_answer_element(a, "IsTruncated"), "true");
            assert_true(more ? shown == max : shown <= max);
            assert_true(!more || shown > 0);
        }
        for (marker++; marker < 200; marker++)
            assert_false(uploaded[marker]);
    }
}

static void test_what_a_list_of_parts_shows(void **state)
{
    struct fixture *f = *state;
    static const char *const headers[] = {"x-amz-storage-class: STANDARD_IA", "x-amz-checksum-algorithm: CRC32",
                                          "x-amz-checksum-type: FULL_OBJECT", NULL};
    struct mpu u = mpu_create(f->e, KEY, headers);
    mpu_part(&u, 2, STR("123456789"));
    struct s3_answer *a = mpu_list_parts_call(&u, "&max-parts=1");
    assert_str(s3_answer_element(a, "Bucket"), "bucket");
    assert_str(s3_answer_element(a, "Key"), "key");
    assert_true(str_eq(s3_answer_element(a, "UploadId"), u.id));
    assert_str(s3_answer_element(a, "StorageClass"), "STANDARD_IA");
    assert_true(element(s3_answer_element(a, "Initiator"), "ID").len > 0);
    assert_true(element(s3_answer_element(a, "Owner"), "ID").len > 0);
    assert_str(s3_answer_element(a, "PartNumberMarker"), "0");
    assert_str(s3_answer_element(a, "NextPartNumberMarker"), "2");
    assert_str(s3_answer_element(a, "MaxParts"), "1");
    assert_str(s3_answer_element(a, "IsTruncated"), "false");
    assert_str(s3_answer_element(a, "ChecksumAlgorithm"), "CRC32");
    assert_str(s3_answer_element(a, "ChecksumType"), "FULL_OBJECT");
    struct str part = s3_answer_element(a, "Part");
    assert_str(element(part, "ETag"), "&quot;25f9e794323b453885f5181f1b624d0b&quot;");
    assert_str(element(part, "Size"), "9");
    assert_str(element(part, "ChecksumCRC32"), "y/Q5Jg==");
    assert_true(element(part, "LastModified").len > 0);
    a = mpu_list_parts_call(&u, "&max-parts=0");
    assert_answer(a, 200, NULL);
    assert_int_equal(s3_answer_count(a, "Part"), 0);
}

static void test_parameters_of_lists_of_parts(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"&max-parts=x", "&max-parts=-1", "&part-number-marker=x",
                                      "&part-number-marker=-14", "&part-number-marker=2736457823532448723"};
    struct mpu u = mpu_create(f->e, KEY, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_answer(mpu_list_parts_call(&u, bad[i]), 400, "InvalidArgument");
    assert_str(s3_answer_element(mpu_list_parts_call(&u, "&max-parts=2000000000"), "MaxParts"), "1000");
    assert_answer(mpu_list_parts_call(&u, "&part-number-marker=2000000000"), 200, NULL);
}

/* ListMultipartUploads --------------------------------------------------------------------------------------------- */

#define UPLOADS 40

struct upload {
    char key[32];
    struct str id;
};

struct item {
    struct str text; /* key, or common prefix */
    struct str id;   /* empty: a prefix */
};

static int compare_uploads(const void *a, const void *b)
{
    const struct upload *x = a, *y = b;
    int order = str_cmp(str_z(x->key), str_z(y->key));
    return order ? order : str_cmp(x->id, y->id);
}

/* What all pages together must show, in order. */
static size_t expect(const struct upload *uploads, const char *prefix, const char *delimiter, struct item *out)
{
    size_t count = 0;
    for (size_t i = 0; i < UPLOADS; i++) {
        struct str key = str_z(uploads[i].key), p = str_z(prefix);
        if (!str_starts(key, p))
            continue;
        ptrdiff_t at = *delimiter ? str_find(str_from(key, p.len), str_z(delimiter)) : -1;
        struct item item = {key, uploads[i].id};
        if (at >= 0)
            item = (struct item){str_first(key, p.len + (size_t)at + strlen(delimiter)), STR_EMPTY};
        if (at < 0 || count == 0 || !str_eq(out[count - 1].text, item.text))
            out[count++] = item;
    }
    return count;
}

/* The uploads, then the prefixes of one page must be the next items of the expectation, in any interleaving. */
static void assert_page(const struct s3_answer *a, const struct item *expected, size_t count)
{
    struct str uploads = a->body, prefixes = a->body, entry;
    for (size_t i = 0; i < count; i++) {
        if (expected[i].id.len > 0) {
            assert_true(next_element(&uploads, "Upload", &entry));
            assert_true(str_eq(element(entry, "Key"), expected[i].text));
            assert_true(str_eq(element(entry, "UploadId"), expected[i].id));
        } else {
            assert_true(next_element(&prefixes, "CommonPrefixes", &entry));
            assert_true(str_eq(element(entry, "Prefix"), expected[i].text));
        }
    }
    assert_false(next_element(&uploads, "Upload", &entry));
    assert_false(next_element(&prefixes, "CommonPrefixes", &entry));
}

static void walk_pages(struct fixture *f, const struct upload *uploads, const char *prefix, const char *delimiter,
                       unsigned max)
{
    struct item expected[UPLOADS];
    size_t count = expect(uploads, prefix, delimiter, expected), done = 0;
    struct str key_marker = STR(""), id_marker = STR("");
    bool more = true;
    while (more) {
        struct str target =
            arena_printf(s3_engine_arena(f->e),
                         "/bucket?uploads&prefix=%s&delimiter=%s&max-uploads=%u&key-marker=%.*s&upload-id-marker=%.*s",
                         prefix, delimiter, max, STR_ARG(key_marker), STR_ARG(id_marker));
        struct s3_answer *a = s3_do(f->e, "GET", target.ptr, NULL);
        assert_answer(a, 200, NULL);
        size_t left = count - done, here = left < max ? left : max;
        assert_page(a, expected + done, here);
        done += here;
        more = str_is(s3_answer_element(a, "IsTruncated"), "true");
        assert_int_equal(more, done < count);
        key_marker = s3_answer_element(a, "NextKeyMarker");
        id_marker = s3_answer_element(a, "NextUploadIdMarker");
    }
}

static void test_uploads_page_by_page(void **state)
{
    struct fixture *f = *state;
    static const char *const prefixes[] = {"", "a", "a/", "b/c", "none", "a.b"};
    static const char *const delimiters[] = {"", "/", ".", "b", "a/b"};
    static const char *const segments[] = {"a", "b", "ab", "a.b", "a-", "0"};
    struct upload uploads[UPLOADS];
    for (size_t i = 0; i < UPLOADS; i++) {
        snprintf(uploads[i].key, sizeof(uploads[i].key), "%s", segments[draw(f, 6)]);
        for (unsigned depth = draw(f, 3); depth > 0; depth--) {
            size_t len = strlen(uploads[i].key);
            snprintf(uploads[i].key + len, sizeof(uploads[i].key) - len, "/%s", segments[draw(f, 6)]);
        }
        char target[64];
        snprintf(target, sizeof(target), "/bucket/%s", uploads[i].key);
        uploads[i].id = mpu_create(f->e, target, NULL).id;
    }
    qsort(uploads, UPLOADS, sizeof(uploads[0]), compare_uploads);
    for (size_t p = 0; p < ARRAY_SIZE(prefixes); p++)
        for (size_t d = 0; d < ARRAY_SIZE(delimiters); d++)
            for (unsigned max = 1; max < 60; max = max * 2 + 1)
                walk_pages(f, uploads, prefixes[p], delimiters[d], max);
}

static void test_uploads_of_one_key_have_the_order_of_time(void **state)
{
    struct fixture *f = *state;
    struct str ids[5], rest, entry, last = STR("");
    for (size_t i = 0; i < 5; i++)
        ids[i] = mpu_create(f->e, KEY, NULL).id;
    rest = s3_do(f->e, "GET", "/bucket?uploads", NULL)->body;
    for (size_t i = 0; i < 5; i++) {
        assert_true(next_element(&rest, "Upload", &entry));
        assert_true(str_eq(element(entry, "UploadId"), ids[i]));
        assert_true(str_cmp(element(entry, "Initiated"), last) >= 0);
        last = element(entry, "Initiated");
    }
}

static void test_what_a_list_of_uploads_shows(void **state)
{
    struct fixture *f = *state;
    struct mpu u =
        mpu_create(f->e, "/bucket/a%20%26%2Fb/c", (const char *const[]){"x-amz-checksum-algorithm: SHA1", NULL});
    struct s3_answer *a = s3_do(f->e, "GET", "/bucket?uploads", NULL);
    assert_str(s3_answer_element(a, "Bucket"), "bucket");
    assert_str(s3_answer_element(a, "MaxUploads"), "1000");
    assert_str(s3_answer_element(a, "IsTruncated"), "false");
    struct str entry = s3_answer_element(a, "Upload");
    assert_str(element(entry, "Key"), "a &amp;/b/c");
    assert_true(str_eq(element(entry, "UploadId"), u.id));
    assert_str(element(entry, "StorageClass"), "STANDARD");
    assert_true(element(element(entry, "Initiator"), "ID").len > 0);
    assert_true(element(element(entry, "Owner"), "DisplayName").len > 0);
    assert_str(element(entry, "ChecksumAlgorithm"), "SHA1");
    assert_str(element(entry, "ChecksumType"), "COMPOSITE");
    a = s3_do(f->e, "GET", "/bucket?uploads&encoding-type=url&prefix=a%20&delimiter=%2F&key-marker=a%20", NULL);
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_element(a, "EncodingType"), "url");
    assert_str(s3_answer_element(a, "Delimiter"), "/");
    assert_str(s3_answer_element(a, "KeyMarker"), "a%20");
    assert_str(element(s3_answer_element(a, "CommonPrefixes"), "Prefix"), "a%20%26/");
}

static void test_odd_parameters(void **state)
{
    struct fixture *f = *state;
    struct str id = mpu_create(f->e, KEY, NULL).id;
    assert_answer(s3_do(f->e, "GET", "/bucket?uploads&max-uploads=-3", NULL), 400, "InvalidArgument");
    assert_answer(s3_do(f->e, "GET", "/bucket?uploads&max-uploads=x", NULL), 400, "InvalidArgument");
    assert_str(s3_answer_element(s3_do(f->e, "GET", "/bucket?uploads&max-uploads=1343235", NULL), "MaxUploads"),
               "1000");
    struct s3_answer *a = s3_do(f->e, "GET", "/bucket?uploads&max-uploads=0", NULL);
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_element(a, "IsTruncated"), "false");
    /* Without a key, the id is no marker. */
    struct str target = arena_printf(s3_engine_arena(f->e), "/bucket?uploads&upload-id-marker=%.*s", STR_ARG(id));
    assert_int_equal(s3_answer_count(s3_do(f->e, "GET", target.ptr, NULL), "Upload"), 1);
    assert_answer(s3_do(f->e, "GET", "/none?uploads", NULL), 404, "NoSuchBucket");
}

static void test_folders_without_a_record_are_no_uploads(void **state)
{
    struct fixture *f = *state;
    mpu_create(f->e, KEY, NULL);
    struct str path = arena_printf(s3_engine_arena(f->e), "%s/bucket/.sluice/uploads/%032d", s3_engine_root(f->e), 1);
    assert_int_equal(mkdir(path.ptr, 0700), 0);
    path = arena_printf(s3_engine_arena(f->e), "%s/bucket/.sluice/uploads/foreign", s3_engine_root(f->e));
    assert_int_equal(mkdir(path.ptr, 0700), 0);
    assert_int_equal(s3_answer_count(s3_do(f->e, "GET", "/bucket?uploads", NULL), "Upload"), 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_parts_page_by_page),
        T(test_what_a_list_of_parts_shows),
        T(test_parameters_of_lists_of_parts),
        T(test_uploads_page_by_page),
        T(test_uploads_of_one_key_have_the_order_of_time),
        T(test_what_a_list_of_uploads_shows),
        T(test_odd_parameters),
        T(test_folders_without_a_record_are_no_uploads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
