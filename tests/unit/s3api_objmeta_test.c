#include "tests/support/unit.h"

#include "base/limits.h"
#include "s3api/objmeta.h"

static struct arena *arena;
static const struct vfs_attr file = {.type = VFS_FILE, .ino = 7, .size = 25, .mtime_ns = 1700000000123456789};

#define MD5 "9e107d9d372bb6826bd81d3542a419d6"
#define EMPTY_MD5 "d41d8cd98f00b204e9800998ecf8427e"

static int set_up(void **state UNUSED)
{
    arena = arena_new();
    return 0;
}

static int tear_down(void **state UNUSED)
{
    arena_free(arena);
    return 0;
}

static struct str encode(const struct s3_objmeta *m, const struct vfs_attr *attr)
{
    CLEANUP(buf_done) struct buf b = buf_make(LIMIT_OBJECT_RECORD_BYTES);
    s3_objmeta_encode(m, attr, &b);
    assert_false(b.failed);
    return arena_dup(arena, buf_str(&b));
}

static struct s3_objmeta decode(struct str record, const struct vfs_attr *attr)
{
    struct s3_objmeta m;
    s3_objmeta_decode(record, attr, STR("dir/name.csv"), arena, &m);
    return m;
}

static struct s3_pair *pairs(size_t count)
{
    struct s3_pair *items = arena_array_of(arena, struct s3_pair, count);
    for (size_t i = 0; i < count; i++)
        items[i] = (struct s3_pair){arena_printf(arena, "name-%zu", i), arena_printf(arena, "value %zu", i)};
    return items;
}

static struct s3_objmeta full(void)
{
    static struct s3_part_info parts[] = {{.number = 1, .size = 10}, {.number = 2, .size = 10}, {.number = 3, .size = 5}};
    return (struct s3_objmeta){
        .etag = STR(MD5 "-3"),
        .checksum = {.kind = S3_CHECKSUM_SHA256, .composite = true, .part_count = 3, .value = {1, 2, 3}},
        .content_type = STR("text/plain"),
        .cache_control = STR("no-cache"),
        .content_disposition = STR("attachment"),
        .content_encoding = STR("gzip"),
        .content_language = STR("de"),
        .expires = STR("Thu, 01 Dec 1994 16:00:00 GMT"),
        .website_redirect = STR("/elsewhere"),
        .storage_class = STR("STANDARD_IA"),
        .owner_id = STR("testx$9876"),
        .acl = STR("1\n1e"),
        .user = {pairs(3), 3},
        .tags = {pairs(2), 2},
        .parts = parts,
        .part_count = 3,
        .upload_id = STR("0123456789abcdef0123456789abcdef"),
        .modified_ns = 1800000000000000001,
        .posix = {true, 0640, 1000, 4000000000},
    };
}

static void everything_comes_back(void **state UNUSED)
{
    struct s3_objmeta in = full(), m = decode(encode(&in, &file), &file);
    assert_true(m.fresh);
    assert_str(m.etag, MD5 "-3");
    assert_true(s3_checksum_eq(&m.checksum, &in.checksum));
    assert_int_equal(m.checksum.part_count, 3);
    assert_str(m.content_type, "text/plain");
    assert_str(m.owner_id, "testx$9876");
    assert_str(m.acl, "1\n1e");
    assert_str(m.cache_control, "no-cache");
    assert_str(m.content_disposition, "attachment");
    assert_str(m.content_encoding, "gzip");
    assert_str(m.content_language, "de");
    assert_str(m.expires, "Thu, 01 Dec 1994 16:00:00 GMT");
    assert_str(m.website_redirect, "/elsewhere");
    assert_str(m.storage_class, "STANDARD_IA");
    assert_str(m.upload_id, "0123456789abcdef0123456789abcdef");
    assert_int_equal(m.user.count, 3);
    assert_str(m.user.items[2].name, "name-2");
    assert_str(m.user.items[2].value, "value 2");
    assert_int_equal(m.tags.count, 2);
    assert_str(m.tags.items[0].value, "value 0");
    assert_int_equal(m.part_count, 3);
    assert_int_equal(m.parts[2].number, 3);
    assert_int_equal(m.parts[2].size, 5);
    assert_int_equal(m.modified_ns, in.modified_ns);
    assert_true(m.posix.set);
    assert_int_equal(m.posix.mode, 0640);
    assert_int_equal(m.posix.uid, 1000);
    assert_int_equal(m.posix.gid, 4000000000);
}

static void nothing_comes_back_as_defaults(void **state UNUSED)
{
    struct s3_objmeta in = {.etag = STR(MD5)}, m = decode(encode(&in, &file), &file);
    assert_true(m.fresh);
    assert_str(m.etag, MD5);
    assert_str(m.content_type, "binary/octet-stream");
    assert_int_equal(m.modified_ns, file.mtime_ns);
    assert_int_equal(m.checksum.kind, S3_CHECKSUM_NONE);
    assert_null(m.cache_control.ptr);
    assert_false(m.posix.set);
}

/* The record of an ordinary upload fits the 64 bytes that an ext4 inode of 256 has for it. */
static void an_ordinary_record_is_small(void **state UNUSED)
{
    struct s3_objmeta in = {.etag = STR(MD5),
                            .checksum = {.kind = S3_CHECKSUM_CRC64NVME},
                            .content_type = STR("binary/octet-stream"),
                            .modified_ns = file.mtime_ns};
    assert_in_range(encode(&in, &file).len, 1, 64);
}

static void a_change_through_posix_shows(void **state UNUSED)
{
    struct s3_objmeta in = full();
    struct str record = encode(&in, &file);
    struct vfs_attr changed[] = {file, file};
    changed[0].size++;
    changed[1].mtime_ns++;
    for (size_t i = 0; i < ARRAY_SIZE(changed); i++) {
        struct s3_objmeta m = decode(record, &changed[i]);
        assert_false(m.fresh);
        assert_true(str_eq(m.etag, s3_etag_derive(&changed[i], arena)));
        assert_int_equal(m.checksum.kind, S3_CHECKSUM_NONE);
        assert_int_equal(m.part_count, 0);
        assert_null(m.upload_id.ptr);
        assert_int_equal(m.modified_ns, changed[i].mtime_ns);
        assert_str(m.content_type, "text/plain");
        assert_int_equal(m.user.count, 3);
        assert_int_equal(m.tags.count, 2);
        assert_str(m.storage_class, "STANDARD_IA");
        assert_true(m.posix.set);
    }
    /* Another inode with the same bytes and time is what a rename or a publish makes. */
    struct vfs_attr moved = file;
    moved.ino++;
    assert_true(decode(record, &moved).fresh);
}

static void the_next_mtime_fits_too(void **state UNUSED)
{
    struct s3_objmeta in = {.etag = STR(MD5), .next_mtime_ns = 42};
    struct str record = encode(&in, &file);
    struct vfs_attr later = file, other = file;
    later.mtime_ns = 42;
    other.mtime_ns = 43;
    assert_true(decode(record, &file).fresh);
    assert_true(decode(record, &later).fresh);
    assert_false(decode(record, &other).fresh);
    assert_int_equal(decode(record, &later).next_mtime_ns, 0);
}

static void a_file_without_a_record(void **state UNUSED)
{
    struct s3_objmeta m = decode(STR_EMPTY, &file);
    assert_false(m.fresh);
    assert_str(m.content_type, "text/csv");
    assert_int_equal(m.modified_ns, file.mtime_ns);
    assert_int_equal(m.etag.len, 34);
    assert_true(str_ends(m.etag, STR("-1")));
    struct vfs_attr others[] = {file, file, file};
    others[0].ino++;
    others[1].size++;
    others[2].mtime_ns++;
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_false(str_eq(m.etag, decode(STR_EMPTY, &others[i]).etag));
    assert_true(str_eq(m.etag, decode(STR_EMPTY, &file).etag));
}

/* What has no ETag of its own gets the derived one, also with a record that fits. */
static void a_record_without_etag(void **state UNUSED)
{
    struct s3_objmeta in = {.content_type = STR("text/x")}, m = decode(encode(&in, &file), &file);
    assert_true(m.fresh);
    assert_true(str_eq(m.etag, s3_etag_derive(&file, arena)));
}

static void directories_have_no_bytes_to_change(void **state UNUSED)
{
    struct vfs_attr dir = {.type = VFS_DIRECTORY, .size = 4096, .mtime_ns = 5}, later = dir;
    later.size = 8192;
    later.mtime_ns = 6;
    struct s3_objmeta in = {.etag = STR(EMPTY_MD5), .checksum = {.kind = S3_CHECKSUM_CRC64NVME}, .modified_ns = 5};
    struct s3_objmeta m = decode(encode(&in, &dir), &later);
    assert_true(m.fresh);
    assert_str(m.etag, EMPTY_MD5);
    assert_int_equal(m.modified_ns, 5);
    assert_int_equal(m.checksum.kind, S3_CHECKSUM_CRC64NVME);
    assert_str(m.content_type, "application/x-directory");
    m = decode(STR_EMPTY, &later);
    assert_str(m.etag, EMPTY_MD5);
    assert_int_equal(m.modified_ns, 6);
}

/* Parts ---------------------------------------------------------------------------------------------------------- */

static struct s3_part_info *make_parts(size_t count, uint64_t size, uint64_t step, uint32_t gap, enum s3_checksum_kind kind)
{
    struct s3_part_info *parts = arena_array_of(arena, struct s3_part_info, count);
    for (size_t i = 0; i < count; i++) {
        parts[i].number = (uint32_t)(i * gap + 1);
        parts[i].size = size + i * step;
        parts[i].checksum.kind = kind;
        memset(parts[i].checksum.value, (int)(i + 1), kind == S3_CHECKSUM_NONE ? 0 : s3_checksum_size(kind));
    }
    parts[count - 1].size = 1;
    return parts;
}

/* A file of as many bytes as the parts have. */
static struct vfs_attr file_of(const struct s3_objmeta *m)
{
    struct vfs_attr attr = file;
    attr.size = 0;
    for (size_t i = 0; i < m->part_count; i++)
        attr.size += m->parts[i].size;
    return attr;
}

static void parts_come_back(void **state UNUSED)
{
    const struct {
        size_t count;
        uint64_t step;
        uint32_t gap;
        enum s3_checksum_kind kind;
        size_t size_max;
    } rows[] = {
        {1, 0, 1, S3_CHECKSUM_NONE, 50},       {2, 0, 1, S3_CHECKSUM_NONE, 60},      {10000, 0, 1, S3_CHECKSUM_NONE, 60},
        {3, 1, 1, S3_CHECKSUM_CRC32, 80},      {3, 0, 3, S3_CHECKSUM_SHA1, 120},     {5, 7, 2, S3_CHECKSUM_CRC64NVME, 150},
        {10000, 99, 1, S3_CHECKSUM_SHA256, LIMIT_OBJECT_RECORD_BYTES},
    };
    for (size_t r = 0; r < ARRAY_SIZE(rows); r++) {
        struct s3_objmeta in = {.etag = STR(MD5 "-7"), .part_count = rows[r].count};
        in.parts = make_parts(rows[r].count, 5 << 20, rows[r].step, rows[r].gap, rows[r].kind);
        struct vfs_attr attr = file_of(&in);
        struct str record = encode(&in, &attr);
        assert_in_range(record.len, 1, rows[r].size_max);
        struct s3_objmeta m = decode(record, &attr);
        assert_int_equal(m.part_count, rows[r].count);
        for (size_t i = 0; i < m.part_count; i++) {
            assert_int_equal(m.parts[i].number, in.parts[i].number);
            assert_int_equal(m.parts[i].size, in.parts[i].size);
            assert_int_equal(m.parts[i].checksum.kind, rows[r].kind);
            assert_memory_equal(m.parts[i].checksum.value, in.parts[i].checksum.value, 32);
        }
    }
}

/* The largest legal record: every part of another size and number, a SHA-256 each, the longest texts. */
static void the_largest_record_fits_the_limit(void **state UNUSED)
{
    struct s3_objmeta in = full();
    in.parts = arena_array_of(arena, struct s3_part_info, LIMIT_PARTS);
    in.part_count = LIMIT_PARTS;
    for (size_t i = 0; i < LIMIT_PARTS; i++)
        in.parts[i] = (struct s3_part_info){
            .number = (uint32_t)i + 2, .size = LIMIT_PART_BYTES_MAX - i, .checksum = {.kind = S3_CHECKSUM_SHA256}};
    in.content_disposition = str_of(memset(arena_alloc(arena, LIMIT_HEAD_BYTES), 'x', LIMIT_HEAD_BYTES), LIMIT_HEAD_BYTES);
    struct vfs_attr attr = file_of(&in);
    assert_int_equal(decode(encode(&in, &attr), &attr).part_count, LIMIT_PARTS);
}

static void checksums_of_parts_are_all_of_a_kind(void **state UNUSED)
{
    struct s3_part_info parts[] = {{.number = 1, .size = 9, .checksum = {.kind = S3_CHECKSUM_CRC32}}, {.number = 2, .size = 1}};
    struct s3_objmeta in = {.etag = STR(MD5 "-2"), .parts = parts, .part_count = 2};
    struct vfs_attr attr = file_of(&in);
    struct s3_objmeta m = decode(encode(&in, &attr), &attr);
    assert_int_equal(m.part_count, 2);
    assert_int_equal(m.parts[0].checksum.kind, S3_CHECKSUM_NONE);
}

/* A forged record must not make reads by part number leave the file. */
static void parts_that_do_not_cover_the_file_are_none(void **state UNUSED)
{
    struct s3_part_info parts[] = {{.number = 1, .size = 20}, {.number = 2, .size = 5}};
    struct s3_objmeta in = {.etag = STR(MD5 "-2"), .parts = parts, .part_count = 2};
    assert_int_equal(decode(encode(&in, &file), &file).part_count, 2);
    const uint64_t wrong[] = {4, 6, UINT64_MAX - 19, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        parts[1].size = wrong[i];
        assert_int_equal(decode(encode(&in, &file), &file).part_count, 0);
    }
}

/* Briefly -------------------------------------------------------------------------------------------------------- */

static void the_brief_says_the_same(void **state UNUSED)
{
    struct s3_objmeta in = full();
    struct str record = encode(&in, &file);
    struct vfs_attr changed = file, dir = {.type = VFS_DIRECTORY, .mtime_ns = 3};
    changed.size = 0;
    const struct vfs_attr *attrs[] = {&file, &changed, &dir};
    const struct str records[] = {record, STR_EMPTY, STR("\x01\x02"), STR("\x7fgarbage")};
    for (size_t i = 0; i < ARRAY_SIZE(attrs); i++)
        for (size_t k = 0; k < ARRAY_SIZE(records); k++) {
            struct s3_objmeta m = decode(records[k], attrs[i]);
            struct s3_objmeta_brief brief;
            s3_objmeta_brief(records[k], attrs[i], arena, &brief);
            assert_true(str_eq(brief.etag, m.etag));
            assert_int_equal(brief.modified_ns, m.modified_ns);
            assert_true(str_eq(brief.storage_class, m.storage_class));
            assert_true(str_eq(brief.owner_id, m.owner_id));
            assert_int_equal(brief.checksum.kind, m.checksum.kind);
            assert_true(str_eq(s3_objmeta_etag(records[k], attrs[i], arena), m.etag));
        }
}

/* Any bytes ------------------------------------------------------------------------------------------------------ */

/* Whatever is read must at least be an object: with an ETag and a type, and parts that can be walked. */
static void check_sane(struct str record, const struct vfs_attr *attr)
{
    struct s3_objmeta m = decode(record, attr);
    struct s3_objmeta_brief brief;
    assert_in_range(m.etag.len, 32, 44);
    assert_true(m.content_type.ptr != NULL);
    assert_in_range(m.part_count, 0, LIMIT_PARTS);
    for (size_t i = 0; i < m.part_count; i++)
        assert_true(m.parts[i].checksum.kind < S3_CHECKSUM_KIND_COUNT);
    for (size_t i = 0; i < m.user.count; i++)
        assert_true(m.user.items[i].name.len <= record.len);
    s3_objmeta_brief(record, attr, arena, &brief);
    assert_in_range(brief.etag.len, 32, 44);
}

/* Repeatable without a seed to keep: the numbers of Numerical Recipes. */
static uint32_t next_random(uint32_t *x)
{
    return *x = *x * 1664525u + 1013904223u;
}

static void any_bytes_are_survived(void **state UNUSED)
{
    uint32_t x = 1;
    for (int round = 0; round < 20000; round++) {
        char bytes[96];
        size_t len = next_random(&x) >> 16 & 63;
        bytes[0] = 1;
        for (size_t i = 1; i < sizeof(bytes); i++)
            bytes[i] = (char)(next_random(&x) >> (next_random(&x) & 1 ? 16 : 28)); /* small numbers are the tags */
        check_sane(str_of(bytes, len), &file);
        arena_reset(arena);
    }
}

static void damage_is_survived(void **state UNUSED)
{
    struct s3_objmeta in = full();
    struct str whole = encode(&in, &file);
    uint32_t x = 9;
    for (size_t len = 0; len <= whole.len; len++)
        check_sane(str_first(whole, len), &file);
    for (int round = 0; round < 5000; round++) {
        char *copy = arena_dupz(arena, whole);
        for (int flips = 0; flips < 3; flips++)
            copy[next_random(&x) % whole.len] = (char)(next_random(&x) >> 16);
        check_sane(str_of(copy, whole.len), &file);
    }
}

static void unknown_versions_and_fields_are_no_record(void **state UNUSED)
{
    struct s3_objmeta in = full();
    struct str whole = encode(&in, &file);
    char *other = arena_dupz(arena, whole);
    other[0] = 2;
    assert_false(decode(str_of(other, whole.len), &file).fresh);
    assert_int_equal(decode(str_of(other, whole.len), &file).user.count, 0);
    CLEANUP(buf_done) struct buf b = buf_make(LIMIT_OBJECT_RECORD_BYTES);
    buf_add(&b, whole);
    buf_add(&b, STR("\x63\x01x"));
    assert_false(decode(buf_str(&b), &file).fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(everything_comes_back),
        TEST(nothing_comes_back_as_defaults),
        TEST(an_ordinary_record_is_small),
        TEST(a_change_through_posix_shows),
        TEST(the_next_mtime_fits_too),
        TEST(a_file_without_a_record),
        TEST(a_record_without_etag),
        TEST(directories_have_no_bytes_to_change),
        TEST(parts_come_back),
        TEST(the_largest_record_fits_the_limit),
        TEST(checksums_of_parts_are_all_of_a_kind),
        TEST(parts_that_do_not_cover_the_file_are_none),
        TEST(the_brief_says_the_same),
        TEST(any_bytes_are_survived),
        TEST(damage_is_survived),
        TEST(unknown_versions_and_fields_are_no_record),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
