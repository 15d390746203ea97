/* CompleteMultipartUpload over the whole engine: what becomes an object, what is refused, repetitions and races. */
#include "tests/support/unit.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/encode.h"
#include "base/limits.h"
#include "base/metrics.h"
#include "tests/support/multipart_client.h"

#define KEY "/bucket/dir/key"

struct fixture {
    struct s3_engine *e;
    struct str parts[3]; /* two of 5 MiB and a short one */
};

static int set_up_with(void **state, const struct s3_engine_options *options)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->e = s3_engine_new(options);
    assert_answer(s3_do(f->e, "PUT", "/bucket", NULL), 200, NULL);
    f->parts[0] = mpu_bytes(f->e, MPU_PART_MIN, 1);
    f->parts[1] = mpu_bytes(f->e, MPU_PART_MIN, 2);
    f->parts[2] = mpu_bytes(f->e, 1000, 3);
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, NULL);
}

static int set_up_sidecar(void **state)
{
    return set_up_with(state, &(struct s3_engine_options){.sidecar = true});
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    s3_engine_free(f->e);
    free(f);
    return 0;
}

static uint64_t moved_bytes(void)
{
    return metric_value_for_test(metric_get(METRIC_COUNTER, "sluice_multipart_moved_bytes_total", "", ""));
}

static struct str whole(struct fixture *f, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += f->parts[i].len;
    char *bytes = arena_alloc(s3_engine_arena(f->e), size);
    for (size_t i = 0, at = 0; i < count; at += f->parts[i++].len)
        memcpy(bytes + at, f->parts[i].ptr, f->parts[i].len);
    return str_of(bytes, size);
}

static struct str md5_hex(struct fixture *f, struct str bytes)
{
    uint8_t value[DIGEST_SIZE_MAX];
    char *hex = arena_alloc(s3_engine_arena(f->e), 33);
    digest_bytes(DIGEST_MD5, bytes, value);
    hex_encode(value, 16, hex);
    return str_z(hex);
}

/* The ETag that AWS documents: the MD5 of the parts' MD5s, and their number. */
static struct str etag_of(struct fixture *f, size_t count)
{
    char all[3 * DIGEST_SIZE_MAX];
    for (size_t i = 0; i < count; i++) {
        uint8_t value[DIGEST_SIZE_MAX];
        digest_bytes(DIGEST_MD5, f->parts[i], value);
        memcpy(all + i * 16, value, 16);
    }
    return arena_printf(s3_engine_arena(f->e), "&quot;%.*s-%zu&quot;", STR_ARG(md5_hex(f, str_of(all, count * 16))),
                        count);
}

static void upload_all(struct fixture *f, const struct mpu *u, struct mpu_part out[3])
{
    static const uint32_t order[] = {2, 3, 1};
    for (size_t i = 0; i < 3; i++)
        out[order[i] - 1] = mpu_part(u, order[i], f->parts[order[i] - 1]);
}

static void assert_object(struct fixture *f, size_t count)
{
    struct s3_answer *a = s3_do(f->e, "GET", KEY, NULL);
    assert_answer(a, 200, NULL);
    struct str expected = whole(f, count);
    assert_int_equal(a->body.len, expected.len);
    assert_true(str_eq(a->body, expected));
}

static size_t uploads_left(struct fixture *f)
{
    struct s3_answer *a = s3_do(f->e, "GET", "/bucket?uploads", NULL);
    assert_answer(a, 200, NULL);
    return s3_answer_count(a, "Upload");
}

/* What becomes an object ------------------------------------------------------------------------------------------- */

static void test_parts_become_an_object(void **state)
{
    struct fixture *f = *state;
    static const char *const headers[] = {"Content-Type: text/fish", "x-amz-meta-Colour: blue",
                                          "x-amz-tagging: a=b",      "x-amz-storage-class: STANDARD_IA",
                                          "Cache-Control: none",     NULL};
    struct mpu u = mpu_create(f->e, KEY, headers);
    struct mpu_part parts[3];
    uint64_t moved = moved_bytes();
    upload_all(f, &u, parts);
    assert_answer(s3_do(f->e, "GET", KEY, NULL), 404, "NoSuchKey");
    struct s3_answer *a = mpu_complete_call(&u, parts, 3, NULL);
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_element(a, "Bucket"), "bucket");
    assert_str(s3_answer_element(a, "Key"), "dir/key");
    assert_str(s3_answer_element(a, "Location"), "http://" S3_ENGINE_HOST "/bucket/dir/key");
    assert_true(str_eq(s3_answer_element(a, "ETag"), etag_of(f, 3)));
    assert_str(s3_answer_element(a, "ChecksumType"), "FULL_OBJECT");
    assert_true(s3_answer_element(a, "ChecksumCRC64NVME").len > 0);
    assert_int_equal(moved_bytes(), moved);
    assert_object(f, 3);
    a = s3_do(f->e, "HEAD", KEY, NULL);
    assert_str(s3_answer_header(a, "Content-Type"), "text/fish");
    assert_str(s3_answer_header(a, "x-amz-meta-colour"), "blue");
    assert_str(s3_answer_header(a, "x-amz-storage-class"), "STANDARD_IA");
    assert_str(s3_answer_header(a, "Cache-Control"), "none");
    assert_str(s3_answer_element(s3_do(f->e, "GET", KEY "?tagging", NULL), "Value"), "b");
    assert_answer(mpu_list_parts_call(&u, ""), 404, "NoSuchUpload");
    assert_int_equal(uploads_left(f), 0);
}

/* Nothing of where it was made shows on the file. */
static void test_the_file_is_as_any_other(void **state)
{
    struct fixture *f = *state;
    struct stat put, completed;
    char path[256];
    struct mpu u = mpu_create(f->e, KEY, NULL);
    struct mpu_part part = mpu_part(&u, 1, f->parts[2]);
    assert_answer(mpu_complete_call(&u, &part, 1, NULL), 200, NULL);
    assert_answer(s3_do(f->e, "PUT", "/bucket/put", "x"), 200, NULL);
    snprintf(path, sizeof(path), "%s%s", s3_engine_root(f->e), KEY);
    assert_int_equal(stat(path, &completed), 0);
    snprintf(path, sizeof(path), "%s/bucket/put", s3_engine_root(f->e));
    assert_int_equal(stat(path, &put), 0);
    assert_int_equal(completed.st_mode, put.st_mode);
    assert_int_equal(completed.st_uid, put.st_uid);
    assert_int_equal(completed.st_nlink, 1);
}

static void test_an_object_belongs_to_who_completed_it(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char path[256];
    if (geteuid() != 0)
        skip();
    s3_engine_add_posix_user(f->e, "fish", 1234, 2345);
    snprintf(path, sizeof(path), "%s/bucket", s3_engine_root(f->e));
    assert_int_equal(chmod(path, 0777), 0);
    struct mpu u = mpu_create(f->e, "/bucket/theirs", NULL);
    struct mpu_part part = mpu_part(&u, 1, f->parts[2]);
    struct str document =
        arena_printf(s3_engine_arena(f->e),
                     "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%.*s</ETag></Part>"
                     "</CompleteMultipartUpload>",
                     STR_ARG(part.etag));
    struct s3_call call = {.method = "POST",
                           .target =
                               arena_printf(s3_engine_arena(f->e), "/bucket/theirs?uploadId=%.*s", STR_ARG(u.id)).ptr,
                           .body = document,
                           .access_key = "fish"};
    assert_answer(s3_call(f->e, &call), 200, NULL);
    snprintf(path, sizeof(path), "%s/bucket/theirs", s3_engine_root(f->e));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, 1234);
    assert_int_equal(st.st_gid, 2345);
}

static void test_one_empty_part_is_an_object(void **state)
{
    struct fixture *f = *state;
    struct mpu u = mpu_create(f->e, KEY, NULL);
    struct mpu_part part = mpu_part(&u, 1, STR(""));
    assert_answer(mpu_complete_call(&u, &part, 1, NULL), 200, NULL);
    struct s3_answer *a = s3_do(f->e, "HEAD", KEY, NULL);
    assert_answer(a, 200, NULL);
    assert_int_equal(a->length, 0);
}

static void test_numbers_may_have_gaps(void **state)
{
    struct fixture *f = *state;
    struct mpu u = mpu_create(f->e, KEY, NULL);
    struct mpu_part parts[3] = {mpu_part(&u, 7, f->parts[0]), mpu_part(&u, 500, f->parts[1]),
                                mpu_part(&u, 10000, f->parts[2])};
    assert_answer(mpu_complete_call(&u, parts, 3, NULL), 200, NULL);
    assert_object(f, 3);
}

static void test_unlisted_parts_are_dropped(void **state)
{
    struct fixture *f = *state;
    struct mpu u = mpu_create(f->e, KEY, NULL);
    struct mpu_part parts[3];
    uint64_t moved = moved_bytes();
    upload_all(f, &u, parts);
    assert_answer(mpu_complete_call(&u, parts, 2, NULL), 200, NULL);
    assert_object(f, 2);
    assert_int_equal(moved_bytes(), moved);
}

static void test_a_part_sent_again_replaces_the_first(void **state)
{
    struct fixture *f = *state;
    struct mpu u = mpu_create(f->e, KEY, NULL);
    struct mpu_part parts[3], old;
    uint64_t moved = moved_bytes();
    old = mpu_part(&u, 2, f->parts[0]);
    upload_all(f, &u, parts);
    struct mpu_part wrong[3] = {parts[0], old, parts[2]};
    assert_answer(mpu_complete_call(&u, wrong, 3, NULL), 400, "InvalidPart");
    assert_answer(mpu_complete_call(&u, parts, 3, NULL), 200, NULL);
    assert_object(f, 3);
    assert_int_equal(moved_bytes(), moved + MPU_PART_MIN);
}

static void test_both_answers_of_a_part_sent_twice_may_be_listed(void **state)
{
    struct fixture *f = *state;
    struct mpu u = mpu_create(f->e, KEY, NULL);
    struct mpu_part first = mpu_part(&u, 1, f->parts[1]), second = mpu_part(&u, 1, f->parts[0]);
    struct mpu_part last = mpu_part(&u, 2, f->parts[1]);
    assert_answer(mpu_complete_call(&u, (struct mpu_part[]){second, first, last}, 3, NULL), 400, "InvalidPart");
    assert_answer(mpu_complete_call(&u, (struct mpu_part[]){second, second, last}, 3, NULL), 400, "InvalidPartOrder");
    assert_answer(mpu_complete_call(&u, (struct mpu_part[]){first, second, last}, 3, NULL), 200, NULL);
    assert_object(f, 2);
}

/* Ten thousand parts with checksums: far more than a filesystem's attributes hold; all are kept. */
static void test_the_largest_list(void **state)
{
    struct fixture *f = *state;
    static const char *const headers[] = {"x-amz-checksum-algorithm: SHA256", NULL};
    struct mpu u = mpu_create(f->e, KEY, headers);
    char path[256], name[300];
    snprintf(path, sizeof(path), "%s/bucket/.sluice/uploads/%.*s", s3_engine_root(f->e), STR_ARG(u.id));
    CLEANUP(buf_done) struct buf list = buf_make(8 * 1024 * 1024);
    buf_addz(&list, "<CompleteMultipartUpload>");
    for (unsigned n = 1; n <= LIMIT_PARTS; n++) {
        snprintf(name, sizeof(name), "%s/part.%05u", path, n);
        FILE *record = fopen(name, "w");
        assert_non_null(record);
        fprintf(record,
                "sluice part 1\nsize %u\nmd5 %032u\ntime 1\nfile data.8388608\noffset %llu\n"
                "checksum SHA256 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
                n < LIMIT_PARTS ? 8388608 : 5, n, (n - 1) * 8388608ull);
        fclose(record);
        buf_addf(&list,
                 "<Part><PartNumber>%u</PartNumber><ETag>%032u</ETag><ChecksumSHA256>"
                 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=</ChecksumSHA256></Part>",
                 n, n);
    }
    buf_addz(&list, "</CompleteMultipartUpload>");
    snprintf(name, sizeof(name), "%s/data.8388608", path);
    FILE *data = fopen(name, "w");
    assert_non_null(data);
    assert_int_equal(ftruncate(fileno(data), (LIMIT_PARTS - 1) * 8388608ll + 5), 0);
    fclose(data);
    struct s3_answer *a = mpu_complete_document(&u, buf_str(&list), NULL);
    assert_answer(a, 200, NULL);
    assert_true(str_ends(s3_answer_element(a, "ETag"), STR("-10000&quot;")));
    assert_true(a->steps > 10); /* bounded ones */
    assert_int_equal(s3_do(f->e, "HEAD", KEY, NULL)->length, (LIMIT_PARTS - 1) * 8388608ll + 5);
    assert_int_equal(uploads_left(f), 0);
    a = s3_call(f->e, &(struct s3_call){.method = "GET",
                                        .target = KEY "?attributes",
                                        .headers = {"x-amz-object-attributes: ObjectParts", "x-amz-part-number-marker: 9999"}});
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_element(a, "PartNumber"), "10000");
    assert_str(s3_answer_element(a, "ChecksumSHA256"), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
}

/* The document ----------------------------------------------------------------------------------------------------- */

static void test_documents_as_clients_write_them(void **state)
{
    struct fixture *f = *state;
    static const char *const forms[] = {
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part><ETag>\"%s\"</ETag><PartNumber> 1 "
        "</PartNumber></Part></CompleteMultipartUpload>",
        "<?xml version=\"1.0\"?>\n<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n "
        "<Part>\n"
        "  <ETag>&quot;%s&quot;</ETag>\n  <PartNumber>1</PartNumber>\n </Part>\n</CompleteMultipartUpload>\n",
        "<x:CompleteMultipartUpload "
        "xmlns:x=\"urn:x\"><x:Part><x:ETag>&#34;%s&#34;</x:ETag><x:PartNumber>1</x:PartNumber>"
        "<x:Size>7</x:Size></x:Part></x:CompleteMultipartUpload>",
    };
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        struct mpu u = mpu_create(f->e, KEY, NULL);
        mpu_part(&u, 1, f->parts[2]);
        char document[1024];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(document, sizeof(document), forms[i], md5_hex(f, f->parts[2]).ptr);
#pragma GCC diagnostic pop
        assert_answer(mpu_complete_document(&u, str_z(document), NULL), 200, NULL);
    }
}

static void test_documents_that_are_refused(void **state)
{
    struct fixture *f = *state;
#define PART(number, etag) "<Part><PartNumber>" number "</PartNumber><ETag>" etag "</ETag></Part>"
    static const struct {
        const char *parts, *code, *name;
    } rows[] = {
        {"", "MalformedXML", NULL},
        {"<Part></Part>", "MalformedXML", NULL},
        {"<Part><PartNumber>1</PartNumber></Part>", "MalformedXML", NULL},
        {"<Part><ETag>x</ETag></Part>", "MalformedXML", NULL},
        {PART("one", "x"), "MalformedXML", NULL},
        {PART("", "x"), "MalformedXML", NULL},
        {PART("99999999999999999999", "x"), "MalformedXML", NULL},
        {PART("0", "x"), "InvalidArgument", "PartNumber"},
        {PART("-4", "x"), "InvalidArgument", "PartNumber"},
        {PART("1", "x"), "InvalidPart", NULL},
        {PART("1", ""), "InvalidPart", NULL},
        {PART("2", "x"), "InvalidPart", NULL},
        {PART("10001", "x"), "InvalidPart", NULL},
        {PART("2147483647", "x"), "InvalidPart", NULL},
        {PART("2", "x") PART("1", "x"), "InvalidPartOrder", NULL},
        {PART("1", "x") PART("1", "x"), "InvalidPartOrder", NULL},
    };
#undef PART
    struct mpu u = mpu_create(f->e, KEY, NULL);
    struct mpu_part part = mpu_part(&u, 1, f->parts[2]);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str document =
            arena_printf(s3_engine_arena(f->e), "<CompleteMultipartUpload>%s</CompleteMultipartUpload>", rows[i].parts);
        struct s3_answer *a = mpu_complete_document(&u, document, NULL);
        assert_answer(a, 400, rows[i].code);
        assert_str(s3_answer_element(a, "ArgumentName"), rows[i].name ? rows[i].name : "");
    }
    static const char *const no_lists[] = {"", "no xml", "<Complete/>", "<CompleteMultipartUpload>",
                                           "<!DOCTYPE a [<!ENTITY b \"c\">]><CompleteMultipartUpload/>"};
    for (size_t i = 0; i < ARRAY_SIZE(no_lists); i++)
        assert_answer(mpu_complete_document(&u, str_z(no_lists[i]), NULL), 400, "MalformedXML");
    assert_answer(mpu_complete_call(&u, &part, 1, NULL), 200, NULL);
}

static void test_too_many_parts_are_no_list(void **state)
{
    struct fixture *f = *state;
    struct mpu u = mpu_create(f->e, KEY, NULL);
    struct mpu_part *parts = calloc(LIMIT_PARTS + 1, sizeof(*parts));
    for (uint32_t i = 0; i <= LIMIT_PARTS; i++)
        parts[i] = (struct mpu_part){.number = i + 1, .etag = STR("x")};
    assert_answer(mpu_complete_call(&u, parts, LIMIT_PARTS + 1, NULL), 400, "MalformedXML");
    free(parts);
}

static void test_invalid_parts_are_named(void **state)
{
    struct fixture *f = *state;
    struct mpu u = mpu_create(f->e, KEY, NULL);
    struct mpu_part parts[2] = {mpu_part(&u, 1, f->parts[2]), mpu_part(&u, 2, f->parts[2])};
    struct s3_answer *a = mpu_complete_call(&u, parts, 2, NULL);
    assert_answer(a, 400, "EntityTooSmall");
    assert_str(s3_answer_element(a, "ProposedSize"), "1000");
    assert_str(s3_answer_element(a, "MinSizeAllowed"), "5242880");
    assert_str(s3_answer_element(a, "PartNumber"), "1");
    assert_true(str_eq(s3_answer_element(a, "ETag"), md5_hex(f, f->parts[2])));
    parts[1].etag = STR("\"00000000000000000000000000000000\"");
    a = mpu_complete_call(&u, parts + 1, 1, NULL);
    assert_answer(a, 400, "InvalidPart");
    assert_str(s3_answer_element(a, "PartNumber"), "2");
    assert_str(s3_answer_element(a, "ETag"), "00000000000000000000000000000000");
    assert_true(str_eq(s3_answer_element(a, "UploadId"), u.id));
}

static void test_unknown_uploads(void **state)
{
    struct fixture *f = *state;
    static const char *const ids[] = {"", "abc", "00000000000000000000000000000000", "../../../../etc/passwd",
                                      "0000000000000000000000000000000G"};
    struct mpu u = mpu_create(f->e, KEY, NULL);
    struct mpu_part part = mpu_part(&u, 1, f->parts[2]);
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        struct mpu none = {.e = f->e, .target = KEY, .id = str_z(ids[i])};
        struct s3_answer *a = mpu_complete_call(&none, &part, 1, NULL);
        assert_answer(a, 404, "NoSuchUpload");
        assert_str(s3_answer_element(a, "UploadId"), ids[i]);
        assert_answer(mpu_part_call(&none, 1, STR("x"), NULL), 404, "NoSuchUpload");
        assert_answer(mpu_abort_call(&none), 404, "NoSuchUpload");
        assert_answer(mpu_list_parts_call(&none, ""), 404, "NoSuchUpload");
    }
    /* SEC-42: an id is of one key. */
    struct mpu other = {.e = f->e, .target = "/bucket/other", .id = u.id};
    assert_answer(mpu_complete_call(&other, &part, 1, NULL), 404, "NoSuchUpload");
    assert_answer(mpu_part_call(&other, 1, STR("x"), NULL), 404, "NoSuchUpload");
    assert_answer(mpu_abort_call(&other), 404, "NoSuchUpload");
    assert_answer(mpu_list_parts_call(&other, ""), 404, "NoSuchUpload");
    assert_answer(mpu_complete_call(&u, &part, 1, NULL), 200, NULL);
}

/* Checksums -------------------------------------------------------------------------------------------------------- */

static struct str checksum_text(struct fixture *f, enum s3_checksum_kind kind, struct str bytes)
{
    struct s3_checksum c = {.kind = kind};
    uint8_t value[DIGEST_SIZE_MAX];
    char text[S3_CHECKSUM_TEXT_MAX];
    digest_bytes(s3_checksum_digest(kind), bytes, value);
    memcpy(c.value, value, s3_checksum_size(kind));
    return arena_dup(s3_engine_arena(f->e), s3_checksum_text(&c, text));
}

static struct str composite_text(struct fixture *f, enum s3_checksum_kind kind)
{
    char all[3 * DIGEST_SIZE_MAX];
    size_t size = s3_checksum_size(kind);
    for (size_t i = 0; i < 3; i++) {
        uint8_t value[DIGEST_SIZE_MAX];
        digest_bytes(s3_checksum_digest(kind), f->parts[i], value);
        memcpy(all + i * size, value, size);
    }
    struct str text = checksum_text(f, kind, str_of(all, 3 * size));
    return arena_printf(s3_engine_arena(f->e), "%.*s-3", STR_ARG(text));
}

static void upload_with_checksums(struct fixture *f, const struct mpu *u, enum s3_checksum_kind kind,
                                  struct mpu_part out[3])
{
    struct arena *arena = s3_engine_arena(f->e);
    for (uint32_t n = 1; n <= 3; n++) {
        struct str sum = checksum_text(f, kind, f->parts[n - 1]);
        const char *headers[] = {arena_printf(arena, "%s: %.*s", s3_checksum_header(kind), STR_ARG(sum)).ptr, NULL};
        struct s3_answer *a = mpu_part_call(u, n, f->parts[n - 1], headers);
        assert_answer(a, 200, NULL);
        assert_true(str_eq(s3_answer_header(a, s3_checksum_header(kind)), sum));
        out[n - 1] = (struct mpu_part){.number = n, .etag = s3_answer_header(a, "ETag")};
        out[n - 1].more =
            arena_printf(arena, "<%s>%.*s</%s>", s3_checksum_element(kind), STR_ARG(sum), s3_checksum_element(kind))
                .ptr;
    }
}

static struct mpu create_with(struct fixture *f, enum s3_checksum_kind kind, const char *type)
{
    struct arena *arena = s3_engine_arena(f->e);
    const char *headers[] = {arena_printf(arena, "x-amz-checksum-algorithm: %s", s3_checksum_name(kind)).ptr,
                             arena_printf(arena, "x-amz-checksum-type: %s", type).ptr, NULL};
    return mpu_create(f->e, KEY, headers);
}

static void test_checksums_of_all_kinds(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum s3_checksum_kind kind;
        const char *type;
    } rows[] = {
        {S3_CHECKSUM_CRC32, "COMPOSITE"},       {S3_CHECKSUM_CRC32, "FULL_OBJECT"}, {S3_CHECKSUM_CRC32C, "COMPOSITE"},
        {S3_CHECKSUM_CRC32C, "FULL_OBJECT"},    {S3_CHECKSUM_SHA1, "COMPOSITE"},    {S3_CHECKSUM_SHA256, "COMPOSITE"},
        {S3_CHECKSUM_CRC64NVME, "FULL_OBJECT"},
    };
    static const char *const mode[] = {"x-amz-checksum-mode: ENABLED"};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        enum s3_checksum_kind kind = rows[i].kind;
        bool is_full = strcmp(rows[i].type, "FULL_OBJECT") == 0;
        struct str expected = is_full ? checksum_text(f, kind, whole(f, 3)) : composite_text(f, kind);
        struct mpu u = create_with(f, kind, rows[i].type);
        struct mpu_part parts[3];
        upload_with_checksums(f, &u, kind, parts);
        const char *header =
            arena_printf(s3_engine_arena(f->e), "%s: %.*s", s3_checksum_header(kind), STR_ARG(expected)).ptr;
        const char *wrong = arena_printf(s3_engine_arena(f->e), "%s: %.*s", s3_checksum_header(kind),
                                         STR_ARG(checksum_text(f, kind, STR("wrong"))))
                                .ptr;
        const char *type = arena_printf(s3_engine_arena(f->e), "x-amz-checksum-type: %s", rows[i].type).ptr;
        assert_answer(mpu_complete_call(&u, parts, 3, (const char *const[]){wrong, type, NULL}), 400, "BadDigest");
        struct s3_answer *a = mpu_complete_call(&u, parts, 3, (const char *const[]){header, type, NULL});
        assert_answer(a, 200, NULL);
        assert_true(str_eq(s3_answer_element(a, s3_checksum_element(kind)), expected));
        assert_str(s3_answer_element(a, "ChecksumType"), rows[i].type);
        struct s3_call head = {.method = "HEAD", .target = KEY, .headers = {mode[0]}};
        a = s3_call(f->e, &head);
        assert_true(str_eq(s3_answer_header(a, s3_checksum_header(kind)), expected));
        assert_str(s3_answer_header(a, "x-amz-checksum-type"), rows[i].type);
        struct s3_call part = {.method = "GET", .target = KEY "?partNumber=2", .headers = {mode[0]}};
        a = s3_call(f->e, &part);
        assert_answer(a, 206, NULL);
        assert_true(str_eq(s3_answer_header(a, s3_checksum_header(kind)), checksum_text(f, kind, f->parts[1])));
        assert_str(s3_answer_header(a, "x-amz-checksum-type"), rows[i].type);
    }
}

/* Checksums of other kinds on parts of an upload that chose none are checked, answered, and not in the object's way. */
static void test_uploads_without_an_algorithm_get_crc64nvme(void **state)
{
    struct fixture *f = *state;
    struct mpu u = mpu_create(f->e, KEY, NULL);
    struct mpu_part parts[3];
    upload_with_checksums(f, &u, S3_CHECKSUM_CRC32, parts);
    const char *header = arena_printf(s3_engine_arena(f->e), "x-amz-checksum-crc64nvme: %.*s",
                                      STR_ARG(checksum_text(f, S3_CHECKSUM_CRC64NVME, STR("wrong"))))
                             .ptr;
    assert_answer(mpu_complete_call(&u, parts, 3, (const char *const[]){header, NULL}), 400, "BadDigest");
    struct s3_answer *a = mpu_complete_call(&u, parts, 3, NULL);
    assert_answer(a, 200, NULL);
    assert_true(
        str_eq(s3_answer_element(a, "ChecksumCRC64NVME"), checksum_text(f, S3_CHECKSUM_CRC64NVME, whole(f, 3))));
    assert_false(s3_answer_element(a, "ChecksumCRC32").ptr);
}

static void assert_message(const struct s3_answer *a, const char *code, const char *message)
{
    assert_answer(a, 400, code);
    assert_str(s3_answer_element(a, "Message"), message);
}

static void test_part_checksums_that_do_not_fit(void **state)
{
    struct fixture *f = *state;
    struct mpu u = create_with(f, S3_CHECKSUM_SHA1, "COMPOSITE");
    struct mpu_part parts[3];
    upload_with_checksums(f, &u, S3_CHECKSUM_SHA1, parts);
    const char *good = parts[0].more;
    parts[0].more = parts[1].more;
    assert_answer(mpu_complete_call(&u, parts, 3, NULL), 400, "InvalidPart");
    parts[0].more = "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>";
    assert_message(mpu_complete_call(&u, parts, 3, NULL), "BadDigest",
                   "The crc32 you specified for part 1 did not match what we received.");
    parts[0].more = "<ChecksumSHA1>short</ChecksumSHA1>";
    struct s3_answer *a = mpu_complete_call(&u, parts, 3, NULL);
    assert_message(a, "InvalidArgument", "Invalid Base64 or multiple checksums present in request");
    assert_str(s3_answer_element(a, "ArgumentName"), "Checksum");
    assert_str(s3_answer_element(a, "ArgumentValue"), "SHA1:short;");
    parts[0].more = "<ChecksumCRC32>AAAAAA==</ChecksumCRC32><ChecksumCRC32C>AAAAAA==</ChecksumCRC32C>";
    a = mpu_complete_call(&u, parts, 3, NULL);
    assert_str(s3_answer_element(a, "ArgumentValue"), "CRC32:AAAAAA==;CRC32C:AAAAAA==;");
    parts[0].more = good;
    parts[1].more = NULL; /* not needed */
    assert_answer(mpu_complete_call(&u, parts, 3, NULL), 200, NULL);
}

static void test_headers_that_do_not_fit(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *header, *code, *message;
    } rows[] = {
        {"x-amz-checksum-type: WHOLE", "InvalidRequest", "Value for x-amz-checksum-type header is invalid."},
        {"x-amz-checksum-type: FULL_OBJECT", "InvalidRequest",
         "The upload was created using the COMPOSITE checksum mode. The complete request must use the same checksum "
         "mode."},
        {"x-amz-checksum-crc32: bad", "InvalidRequest", "Value for x-amz-checksum-crc32 header is invalid."},
        {"x-amz-checksum-crc32: AAAAAA==-x", "InvalidRequest", "Value for x-amz-checksum-crc32 header is invalid."},
        {"x-amz-checksum-crc32: AAAAAA==-0", "InvalidRequest", "Value for x-amz-checksum-crc32 header is invalid."},
        {"x-amz-checksum-crc32: AAAAAA==--1", "InvalidRequest", "Value for x-amz-checksum-crc32 header is invalid."},
        {"x-amz-checksum-crc32: AAAAAA==", "BadDigest",
         "The CRC32 you specified did not match the calculated checksum."},
        {"x-amz-checksum-crc32c: AAAAAA==", "BadDigest",
         "The CRC32C you specified did not match the calculated checksum."},
        {"x-amz-mp-object-size: -1", "InvalidRequest",
         "Value for x-amz-mp-object-size header is less than zero: &apos;-1&apos;"},
        {"x-amz-mp-object-size: x", "InvalidRequest",
         "Value for x-amz-mp-object-size header is invalid: &apos;x&apos;"},
        {"x-amz-mp-object-size: 7", "InvalidRequest",
         "The provided &apos;x-amz-mp-object-size&apos; header value 7 does not match what was computed: 10486760"},
    };
    struct mpu u = create_with(f, S3_CHECKSUM_CRC32, "COMPOSITE");
    struct mpu_part parts[3];
    upload_with_checksums(f, &u, S3_CHECKSUM_CRC32, parts);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct s3_answer *a = mpu_complete_call(&u, parts, 3, (const char *const[]){rows[i].header, NULL});
        assert_answer(a, 400, rows[i].code);
        struct str message = s3_answer_element(a, "Message");
        struct buf plain = buf_make(1000);
        for (size_t at = 0; at < message.len; at++) {
            bool is_quote = message.ptr[at] == '\'';
            buf_add(&plain, is_quote ? STR("&apos;") : str_of(message.ptr + at, 1));
        }
        assert_str(buf_str(&plain), rows[i].message);
        buf_done(&plain);
    }
    assert_message(
        mpu_complete_call(&u, parts, 3,
                          (const char *const[]){"x-amz-checksum-crc32: AAAAAA==", "x-amz-checksum-sha1: x", NULL}),
        "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.");
    assert_answer(mpu_complete_call(&u, parts, 3, (const char *const[]){"x-amz-mp-object-size: 10486760", NULL}), 200,
                  NULL);
}

/* Conditions and repetition ---------------------------------------------------------------------------------------- */

static void test_conditions(void **state)
{
    struct fixture *f = *state;
    struct mpu u = mpu_create(f->e, KEY, NULL);
    struct mpu_part parts[3];
    upload_all(f, &u, parts);
    assert_answer(mpu_complete_call(&u, parts, 3, (const char *const[]){"If-Match: \"x\"", NULL}), 404, "NoSuchKey");
    assert_answer(s3_do(f->e, "PUT", KEY, "old"), 200, NULL);
    struct s3_answer *a = mpu_complete_call(&u, parts, 3, (const char *const[]){"If-None-Match: *", NULL});
    assert_answer(a, 412, "PreconditionFailed");
    assert_str(s3_answer_element(a, "Condition"), "If-None-Match");
    assert_answer(mpu_complete_call(&u, parts, 3, (const char *const[]){"If-Match: \"x\"", NULL}), 412,
                  "PreconditionFailed");
    assert_true(str_is(s3_do(f->e, "GET", KEY, NULL)->body, "old"));
    /* Nothing of the upload was lost by being refused. */
    const char *match = arena_printf(s3_engine_arena(f->e), "If-Match: \"%.*s\"", STR_ARG(md5_hex(f, STR("old")))).ptr;
    assert_answer(mpu_complete_call(&u, parts, 3, (const char *const[]){match, NULL}), 200, NULL);
    assert_object(f, 3);
}

static void test_complete_can_be_repeated(void **state)
{
    struct fixture *f = *state;
    struct mpu u = mpu_create(f->e, KEY, NULL);
    struct mpu_part parts[3];
    upload_all(f, &u, parts);
    struct s3_answer *first = mpu_complete_call(&u, parts, 3, (const char *const[]){"If-None-Match: *", NULL});
    assert_answer(first, 200, NULL);
    struct str before = s3_engine_fingerprint(f->e);
    struct s3_answer *again = mpu_complete_call(&u, parts, 3, (const char *const[]){"If-None-Match: *", NULL});
    assert_answer(again, 200, NULL);
    assert_true(str_eq(first->body, again->body));
    assert_true(str_eq(before, s3_engine_fingerprint(f->e)));
    assert_answer(s3_do(f->e, "PUT", KEY, "new"), 200, NULL);
    assert_answer(mpu_complete_call(&u, parts, 3, NULL), 404, "NoSuchUpload");
    assert_true(str_is(s3_do(f->e, "GET", KEY, NULL)->body, "new"));
}

static void test_abort(void **state)
{
    struct fixture *f = *state;
    struct mpu u = mpu_create(f->e, KEY, NULL);
    struct mpu_part part = mpu_part(&u, 1, f->parts[2]);
    assert_answer(mpu_abort_call(&u), 204, NULL);
    assert_answer(mpu_abort_call(&u), 404, "NoSuchUpload");
    assert_answer(mpu_part_call(&u, 2, f->parts[2], NULL), 404, "NoSuchUpload");
    assert_answer(mpu_complete_call(&u, &part, 1, NULL), 404, "NoSuchUpload");
    assert_answer(s3_do(f->e, "GET", KEY, NULL), 404, "NoSuchKey");
    assert_int_equal(uploads_left(f), 0);
}

static void test_create_refuses(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *headers[3];
        int status;
        const char *code, *message;
    } rows[] = {
        {{"x-amz-checksum-algorithm: NOPE"}, 400, "InvalidRequest", NULL},
        {{"x-amz-checksum-type: COMPOSITE"},
         400,
         "InvalidRequest",
         "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."},
        {{"x-amz-checksum-algorithm: SHA1", "x-amz-checksum-type: x"},
         400,
         "InvalidRequest",
         "Value for x-amz-checksum-type header is invalid."},
        {{"x-amz-checksum-algorithm: SHA256", "x-amz-checksum-type: FULL_OBJECT"},
         400,
         "InvalidRequest",
         "The FULL_OBJECT checksum type cannot be used with the sha256 checksum algorithm."},
        {{"x-amz-checksum-algorithm: CRC64NVME", "x-amz-checksum-type: COMPOSITE"},
         400,
         "InvalidRequest",
         "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm."},
        {{"x-amz-server-side-encryption: AES256"}, 501, "NotImplemented", NULL},
        {{"x-amz-storage-class: GLASS"}, 400, "InvalidStorageClass", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct s3_answer *a = mpu_create_call(f->e, KEY, rows[i].headers);
        assert_answer(a, rows[i].status, rows[i].code);
        if (rows[i].message)
            assert_str(s3_answer_element(a, "Message"), rows[i].message);
    }
    assert_answer(mpu_create_call(f->e, "/none/key", NULL), 404, "NoSuchBucket");
    assert_answer(mpu_create_call(f->e, "/bucket/dir/", NULL), 400, "InvalidRequest");
    assert_answer(mpu_create_call(f->e, "/bucket/.sluice/x", NULL), 403, "AccessDenied");
    struct s3_answer *a = mpu_create_call(f->e, KEY, (const char *const[]){"x-amz-checksum-algorithm: crc32c", NULL});
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_header(a, "x-amz-checksum-algorithm"), "CRC32C");
    assert_str(s3_answer_header(a, "x-amz-checksum-type"), "COMPOSITE");
}

/* Races ------------------------------------------------------------------------------------------------------------ */

struct racer {
    struct fixture *f;
    struct mpu u;
    const struct mpu_part *parts;
    struct s3_answer *answer;
};

static void *complete_in_thread(void *data)
{
    struct racer *r = data;
    r->answer = mpu_complete_call(&r->u, r->parts, 3, NULL);
    return NULL;
}

static void test_racing_completes_all_succeed(void **state)
{
    struct fixture *f = *state;
    enum { RACERS = 4 };
    for (int round = 0; round < 5; round++) {
        struct mpu u = mpu_create(f->e, KEY, NULL);
        struct mpu_part parts[3];
        struct racer racers[RACERS];
        pthread_t threads[RACERS];
        upload_all(f, &u, parts);
        if (round % 2 == 1)
            parts[0] = mpu_part(&u, 1, f->parts[0]); /* sent again: there is something to move */
        for (int i = 0; i < RACERS; i++) {
            racers[i] = (struct racer){.f = f, .u = u, .parts = parts};
            racers[i].u.e = s3_engine_caller(f->e);
            assert_int_equal(pthread_create(&threads[i], NULL, complete_in_thread, &racers[i]), 0);
        }
        for (int i = 0; i < RACERS; i++) {
            pthread_join(threads[i], NULL);
            assert_answer(racers[i].answer, 200, NULL);
            assert_true(str_eq(racers[i].answer->body, racers[0].answer->body));
        }
        for (int i = 0; i < RACERS; i++)
            s3_engine_free(racers[i].u.e);
        assert_object(f, 3);
        assert_int_equal(uploads_left(f), 0);
    }
}

struct writer {
    struct mpu u;
    struct str bytes;
    uint32_t number;
    int rounds;
};

static void *upload_in_thread(void *data)
{
    struct writer *w = data;
    for (int i = 0; i < w->rounds; i++) {
        struct s3_answer *a = mpu_part_call(&w->u, w->number, w->bytes, NULL);
        if (a->status == 404)
            break;
        assert_answer(a, 200, NULL);
    }
    return NULL;
}

/* Parts 1 and 2 are sent again and again, with the same bytes, as by a client whose answers got lost; another part,
 * that is not listed, too. Whenever Complete comes, the object is whole. */
static void test_complete_races_writers(void **state)
{
    struct fixture *f = *state;
    enum { WRITERS = 3 };
    for (int round = 0; round < 6; round++) {
        struct mpu u = mpu_create(f->e, KEY, NULL);
        struct mpu_part parts[3];
        struct writer writers[WRITERS];
        pthread_t threads[WRITERS];
        upload_all(f, &u, parts);
        for (uint32_t i = 0; i < WRITERS; i++) {
            writers[i] =
                (struct writer){.u = u, .number = i < 2 ? i + 1 : 4, .bytes = f->parts[i < 2 ? i : 0], .rounds = 20};
            writers[i].u.e = s3_engine_caller(f->e);
            assert_int_equal(pthread_create(&threads[i], NULL, upload_in_thread, &writers[i]), 0);
        }
        usleep((useconds_t)(round * 15000));
        struct s3_answer *a = mpu_complete_call(&u, parts, 3, NULL);
        if (a->status == 409) /* always sent again while it was to be moved */
            a = mpu_complete_call(&u, parts, 3, NULL);
        assert_answer(a, 200, NULL);
        assert_object(f, 3);
        for (uint32_t i = 0; i < WRITERS; i++) {
            pthread_join(threads[i], NULL);
            s3_engine_free(writers[i].u.e);
        }
        assert_object(f, 3);
        assert_int_equal(uploads_left(f), 0);
    }
}

#define T_SIDECAR(name) cmocka_unit_test_setup_teardown(name, set_up_sidecar, tear_down)
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_parts_become_an_object),
        T(test_the_file_is_as_any_other),
        T(test_an_object_belongs_to_who_completed_it),
        T(test_one_empty_part_is_an_object),
        T(test_numbers_may_have_gaps),
        T(test_unlisted_parts_are_dropped),
        T(test_a_part_sent_again_replaces_the_first),
        T(test_both_answers_of_a_part_sent_twice_may_be_listed),
        T(test_the_largest_list),
        T(test_documents_as_clients_write_them),
        T(test_documents_that_are_refused),
        T(test_too_many_parts_are_no_list),
        T(test_invalid_parts_are_named),
        T(test_unknown_uploads),
        T(test_checksums_of_all_kinds),
        T(test_uploads_without_an_algorithm_get_crc64nvme),
        T(test_part_checksums_that_do_not_fit),
        T(test_headers_that_do_not_fit),
        T(test_conditions),
        T(test_complete_can_be_repeated),
        T(test_abort),
        T(test_create_refuses),
        T(test_racing_completes_all_succeed),
        T(test_complete_races_writers),
        T_SIDECAR(test_parts_become_an_object),
        T_SIDECAR(test_the_largest_list),
        T_SIDECAR(test_complete_can_be_repeated),
        T_SIDECAR(test_conditions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
