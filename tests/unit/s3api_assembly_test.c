/* Parts and their assembly over a real directory volume, against a model that knows only "the last acknowledged bytes
 * of a part". */
#include "s3api/assembly.h"

#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/limits.h"
#include "s3api/multipart.h"
#include "tests/support/unit.h"

#define PARTS_MAX 12
#define UNIT_MAX 3000

struct fixture {
    char path[64];
    struct vfs *volume;
    struct vfs_dir *upload;
    uint64_t random;
};

static uint64_t draw(struct fixture *f, uint64_t below)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return f->random % below;
}

static int remove_node(const char *path, const struct stat *st UNUSED, int kind UNUSED, struct FTW *ftw UNUSED)
{
    return remove(path);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct vfs_options options = {.sync = VFS_SYNC_NONE};
    const char *error;
    snprintf(f->path, sizeof(f->path), "/tmp/sluice-assembly-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    assert_int_equal(vfs_open_volume(f->path, &options, &f->volume, &error), 0);
    f->random = 88172645463325252u;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vfs_dir_close(f->upload);
    vfs_close_volume(f->volume);
    assert_int_equal(nftw(f->path, remove_node, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(f);
    return 0;
}

/* An empty folder for the next upload. */
static struct vfs_dir *new_upload(struct fixture *f)
{
    char name[24];
    static unsigned count;
    snprintf(name, sizeof(name), "upload-%u", count++);
    vfs_dir_closep(&f->upload);
    assert_int_equal(vfs_mkdir(vfs_root(f->volume), str_z(name), NULL, 0), 0);
    assert_int_equal(vfs_dir_open(vfs_root(f->volume), str_z(name), NULL, &f->upload), 0);
    return f->upload;
}

/* Bytes that tell part, attempt and position. */
static void fill(char *out, size_t size, uint32_t number, unsigned attempt)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (char)(number * 31 + attempt * 7 + i * 13 + i / 251);
}

struct model {
    size_t count;
    struct {
        size_t size;
        unsigned attempt; /* of the recorded bytes; 0: none */
        unsigned attempts;
    } parts[PARTS_MAX + 1]; /* by number */
};

static int write_bytes(struct s3_part_slot *s, struct str bytes)
{
    return s3_part_write(s, pieces_at(&bytes, 1));
}

static void write_some(struct s3_part_slot *s, unsigned attempt, size_t size)
{
    char bytes[UNIT_MAX];
    fill(bytes, s->size, s->number, attempt);
    assert_int_equal(write_bytes(s, str_of(bytes + s->done, size)), 0);
}

static void record(struct s3_part_slot *s)
{
    struct s3_part p = {0};
    p.md5[0] = (uint8_t)s->number;
    assert_int_equal(s3_part_record(s, &p), 0);
    s3_part_end(s);
}

static void upload(struct fixture *f, struct model *m, uint32_t number, size_t size)
{
    struct s3_part_slot s;
    unsigned attempt = ++m->parts[number].attempts;
    assert_int_equal(s3_part_begin(&s, f->upload, number, size), 0);
    write_some(&s, attempt, size);
    record(&s);
    m->parts[number].size = size;
    m->parts[number].attempt = attempt;
}

/* The parts of the numbers in list[], as their records say. */
static void load(struct fixture *f, const uint32_t *list, size_t count, struct s3_part *out)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(s3_part_read(f->upload, list[i], &out[i]), 0);
}

static void assert_content(const struct model *m, struct vfs_file *file, const uint32_t *list, size_t count)
{
    struct vfs_attr attr;
    uint64_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        char expected[UNIT_MAX], got[UNIT_MAX];
        size_t size = m->parts[list[i]].size;
        fill(expected, size, list[i], m->parts[list[i]].attempt);
        assert_int_equal(vfs_read(file, got, size, offset), size);
        if (memcmp(expected, got, size) != 0)
            fail_msg("part %u differs", list[i]);
        offset += size;
    }
    assert_int_equal(vfs_fstat(file, &attr), 0);
    assert_int_equal(attr.size, offset);
}

static int run(struct fixture *f, struct s3_assembly *a, const struct s3_part *parts, size_t count)
{
    int r = s3_assembly_begin(a, f->upload, parts, count);
    if (r == 0 && !a->file)
        r = vfs_stage(vfs_root(f->volume), STR("object"), NULL, a->size, &a->file);
    while (r == 0 && (r = s3_assembly_step(a)) == 1)
        r = 0;
    return r;
}

/* Assembles the list and checks the bytes. Returns how many were moved. */
static uint64_t assemble(struct fixture *f, const struct model *m, const uint32_t *list, size_t count)
{
    struct s3_part parts[PARTS_MAX];
    struct s3_assembly a;
    load(f, list, count, parts);
    assert_int_equal(run(f, &a, parts, count), 0);
    assert_content(m, a.file, list, count);
    s3_assembly_end(&a);
    return a.moved;
}

static size_t all_numbers(size_t count, uint32_t *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (uint32_t)i + 1;
    return count;
}

static void shuffle(struct fixture *f, uint32_t *list, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = draw(f, i);
        uint32_t t = list[i - 1];
        list[i - 1] = list[j];
        list[j] = t;
    }
}

/* Orders of arrival ------------------------------------------------------------------------------------------------ */

static void test_equal_parts_in_any_order_move_nothing(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 50; round++) {
        struct model m = {.count = 1 + draw(f, PARTS_MAX)};
        uint32_t order[PARTS_MAX], list[PARTS_MAX];
        size_t unit = 1 + draw(f, UNIT_MAX);
        new_upload(f);
        all_numbers(m.count, list);
        all_numbers(m.count, order);
        shuffle(f, order, m.count);
        for (size_t i = 0; i < m.count; i++)
            upload(f, &m, order[i], unit);
        assert_int_equal(assemble(f, &m, list, m.count), 0);
    }
}

/* The short last part may come at any time; only when it comes before all others does it have to be moved. */
static void test_a_short_last_part_is_all_that_moves(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 50; round++) {
        struct model m = {.count = 2 + draw(f, PARTS_MAX - 1)};
        uint32_t order[PARTS_MAX], list[PARTS_MAX];
        size_t unit = 2 + draw(f, UNIT_MAX - 1);
        size_t last = draw(f, unit);
        new_upload(f);
        all_numbers(m.count, list);
        all_numbers(m.count, order);
        shuffle(f, order, m.count);
        for (size_t i = 0; i < m.count; i++)
            upload(f, &m, order[i], order[i] == m.count ? last : unit);
        uint64_t moved = assemble(f, &m, list, m.count);
        assert_int_equal(moved, order[0] == m.count ? last : 0);
    }
}

/* Ten threads begin at once: the first part is not the first to be seen, and none has a record yet. */
static void test_parts_that_begin_together_find_their_places(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 60; round++) {
        struct model m = {.count = PARTS_MAX};
        struct s3_part_slot slots[PARTS_MAX];
        uint32_t order[PARTS_MAX], list[PARTS_MAX];
        size_t unit = 10 + draw(f, UNIT_MAX - 10), last = draw(f, unit);
        new_upload(f);
        all_numbers(m.count, list);
        all_numbers(m.count, order);
        shuffle(f, order, m.count);
        for (size_t i = 0; i < m.count; i++)
            assert_int_equal(
                s3_part_begin(&slots[order[i] - 1], f->upload, order[i], order[i] == m.count ? last : unit), 0);
        shuffle(f, order, m.count);
        for (size_t i = 0; i < m.count; i++) {
            struct s3_part_slot *s = &slots[order[i] - 1];
            write_some(s, 1, s->size / 2);
        }
        for (size_t i = 0; i < m.count; i++) {
            struct s3_part_slot *s = &slots[order[i] - 1];
            write_some(s, 1, s->size - s->done);
            m.parts[order[i]].size = s->size;
            m.parts[order[i]].attempt = m.parts[order[i]].attempts = 1;
            record(s);
        }
        assert_true(assemble(f, &m, list, m.count) <= last);
    }
}

/* What a client that retries does: the first attempt breaks off and its place is free again. */
static void test_a_broken_attempt_gives_its_place_back(void **state)
{
    struct fixture *f = *state;
    struct model m = {.count = 3};
    struct s3_part_slot s;
    uint32_t list[PARTS_MAX];
    struct vfs_scan *scan;
    struct vfs_dirent entry;
    new_upload(f);
    upload(f, &m, 1, 1000);
    assert_int_equal(s3_part_begin(&s, f->upload, 2, 1000), 0);
    write_some(&s, 99, 700);
    s3_part_end(&s);
    upload(f, &m, 3, 1000);
    upload(f, &m, 2, 1000);
    assert_int_equal(assemble(f, &m, list, all_numbers(3, list)), 0);
    assert_int_equal(vfs_scan_open(f->upload, STR_EMPTY, NULL, STR_EMPTY, &scan), 0);
    while (vfs_scan_next(scan, &entry) == 1)
        assert_false(str_starts(entry.name, STR("aside")));
    vfs_scan_close(scan);
}

/* The retry comes while the first attempt still hangs: the later answer counts, whoever has the place. */
static void test_two_attempts_at_a_time(void **state)
{
    struct fixture *f = *state;
    uint32_t list[PARTS_MAX];
    for (int first_wins = 0; first_wins < 2; first_wins++) {
        struct model m = {.count = 2};
        struct s3_part_slot a, b;
        new_upload(f);
        upload(f, &m, 1, 1000);
        assert_int_equal(s3_part_begin(&a, f->upload, 2, 1000), 0);
        assert_int_equal(s3_part_begin(&b, f->upload, 2, 1000), 0);
        write_some(&a, 1, 1000);
        write_some(&b, 2, 1000);
        record(first_wins ? &b : &a);
        record(first_wins ? &a : &b);
        m.parts[2].size = 1000;
        m.parts[2].attempt = first_wins ? 1 : 2;
        assert_int_equal(assemble(f, &m, list, all_numbers(2, list)), first_wins ? 0 : 1000);
    }
}

/* Everything at once: sizes, repetitions, attempts in parallel, broken ones, unlisted parts, assemblies in between. */
static void test_any_history_gives_the_last_bytes(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 150; round++) {
        struct model m = {.count = 1 + draw(f, PARTS_MAX)};
        struct s3_part_slot open[4] = {{0}};
        unsigned attempts[4] = {0};
        size_t sizes[3] = {1 + draw(f, UNIT_MAX), 1 + draw(f, UNIT_MAX), draw(f, UNIT_MAX)};
        size_t variety = 1 + draw(f, 3);
        uint32_t list[PARTS_MAX];
        size_t listed = 0;
        new_upload(f);
        for (int action = 0; action < 60; action++) {
            size_t i = draw(f, 4);
            struct s3_part_slot *s = &open[i];
            if (!s->file) {
                uint32_t number = (uint32_t)(1 + draw(f, m.count));
                assert_int_equal(s3_part_begin(s, f->upload, number, sizes[draw(f, variety)]), 0);
                attempts[i] = ++m.parts[number].attempts;
            } else if (s->done < s->size) {
                write_some(s, attempts[i], 1 + draw(f, s->size - s->done));
            } else if (draw(f, 4) == 0) {
                s3_part_end(s);
                *s = (struct s3_part_slot){0};
            } else {
                m.parts[s->number].size = s->size;
                m.parts[s->number].attempt = attempts[i];
                record(s);
                *s = (struct s3_part_slot){0};
            }
        }
        for (uint32_t n = 1; n <= m.count; n++)
            if (m.parts[n].attempt != 0 && draw(f, 8) != 0)
                list[listed++] = n;
        if (listed > 0) /* while some are still being written */
            assemble(f, &m, list, listed);
        for (size_t i = 0; i < 4; i++)
            s3_part_end(&open[i]);
        if (listed > 0) /* and again, as after a failed publication: nothing listed is lost */
            assemble(f, &m, list, listed);
        if (listed > 0)
            assemble(f, &m, list, listed);
    }
}

/* Uniform uploads of which some parts were sent twice move these and no others. */
static void test_only_repeated_parts_move(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 200; round++) {
        struct model m = {.count = PARTS_MAX};
        uint32_t list[PARTS_MAX];
        bool again[PARTS_MAX + 1] = {false};
        uint64_t expected = 0;
        new_upload(f);
        for (uint32_t n = 1; n <= m.count; n++)
            upload(f, &m, n, 1000);
        for (size_t i = draw(f, 4); i > 0; i--) {
            uint32_t n = (uint32_t)(1 + draw(f, m.count));
            upload(f, &m, n, 1000);
            expected += again[n] ? 0 : 1000;
            again[n] = true;
        }
        uint64_t moved = assemble(f, &m, list, all_numbers(m.count, list));
        assert_int_equal(moved, expected);
    }
}

/* Writers and Complete --------------------------------------------------------------------------------------------- */

static void test_a_writer_is_never_published(void **state)
{
    struct fixture *f = *state;
    struct model m = {.count = 3};
    struct s3_part_slot s;
    struct s3_part parts[2];
    struct s3_assembly a;
    uint32_t list[PARTS_MAX];
    new_upload(f);
    upload(f, &m, 1, 1000);
    upload(f, &m, 2, 1000);
    assert_int_equal(s3_part_begin(&s, f->upload, 3, 1000), 0);
    assert_string_equal(s.name, "data.1000");
    load(f, list, all_numbers(2, list), parts);
    assert_int_equal(s3_assembly_begin(&a, f->upload, parts, 2), 0);
    assert_null(a.file); /* a fresh one is asked for */
    s3_assembly_end(&a);
    assert_int_equal(assemble(f, &m, list, 2), 2000);
    s3_part_end(&s);
    assert_int_equal(assemble(f, &m, list, 2), 0);
}

static void test_nobody_writes_where_an_object_is_made(void **state)
{
    struct fixture *f = *state;
    struct model m = {.count = 3};
    struct s3_part_slot s;
    struct s3_part parts[2];
    struct s3_assembly a;
    uint32_t list[PARTS_MAX];
    new_upload(f);
    upload(f, &m, 1, 1000);
    upload(f, &m, 2, 1000);
    load(f, list, all_numbers(2, list), parts);
    assert_int_equal(s3_assembly_begin(&a, f->upload, parts, 2), 0);
    assert_string_equal(a.target, "data.1000");
    assert_int_equal(s3_part_begin(&s, f->upload, 3, 1000), 0);
    assert_true(strncmp(s.name, "aside.", 6) == 0);
    s3_part_end(&s);
    s3_assembly_end(&a);
}

/* A crash left the published file with its name in the folder. */
static void test_a_published_file_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct model m = {.count = 2};
    struct vfs_publish how = {.mode = VFS_PUBLISH_REPLACE};
    struct vfs_file *object;
    struct s3_part parts[2];
    struct s3_assembly a;
    uint32_t list[PARTS_MAX];
    new_upload(f);
    upload(f, &m, 1, 1000);
    load(f, list, all_numbers(1, list), parts);
    assert_int_equal(run(f, &a, parts, 1), 0);
    assert_int_equal(vfs_publish(a.file, vfs_root(f->volume), STR("object"), NULL, &how, NULL), 0);
    s3_assembly_end(&a);
    struct model before = m;
    upload(f, &m, 2, 1000);
    upload(f, &m, 1, 500);
    assert_int_equal(assemble(f, &m, list, all_numbers(2, list)), 1500);
    assert_int_equal(vfs_open(vfs_root(f->volume), STR("object"), NULL, VFS_OPEN_READ, &object, NULL), 0);
    assert_content(&before, object, list, 1);
    vfs_close(object);
}

/* The part was sent again, to another place, between reading its record and moving it. */
static void test_a_part_that_changes_meanwhile_is_stale(void **state)
{
    struct fixture *f = *state;
    struct model m = {.count = 2};
    struct s3_part parts[2];
    struct s3_assembly a;
    uint32_t list[PARTS_MAX];
    new_upload(f);
    upload(f, &m, 1, 1000);
    upload(f, &m, 2, 1000);
    upload(f, &m, 2, 1000);
    load(f, list, all_numbers(2, list), parts);
    upload(f, &m, 2, 1000);
    assert_int_equal(run(f, &a, parts, 2), -ESTALE);
    s3_assembly_end(&a);
    assert_int_equal(assemble(f, &m, list, 2), 1000);
}

/* Unlisted parts --------------------------------------------------------------------------------------------------- */

static void test_cut_off_parts_are_gone(void **state)
{
    struct fixture *f = *state;
    struct model m = {.count = 4};
    struct s3_part p;
    uint32_t list[PARTS_MAX];
    new_upload(f);
    for (uint32_t n = 1; n <= 4; n++)
        upload(f, &m, n, 1000);
    assert_int_equal(assemble(f, &m, list, all_numbers(2, list)), 0);
    assert_int_equal(s3_part_read(f->upload, 3, &p), -ENOENT);
    assert_int_equal(s3_part_read(f->upload, 4, &p), -ENOENT);
    assert_int_equal(s3_part_read(f->upload, 2, &p), 0);
    /* Sent again, they are parts like any other, though not in their places any more. */
    upload(f, &m, 3, 1000);
    assert_int_equal(assemble(f, &m, list, all_numbers(3, list)), 1000);
}

static void test_nothing_is_dropped_that_is_not_in_the_way(void **state)
{
    struct fixture *f = *state;
    struct model m = {.count = 3};
    struct s3_part p;
    uint32_t list[PARTS_MAX];
    new_upload(f);
    upload(f, &m, 1, 1000);
    upload(f, &m, 2, 1000);
    upload(f, &m, 3, 2000); /* a layout of its own */
    assert_int_equal(assemble(f, &m, list, all_numbers(2, list)), 0);
    assert_int_equal(s3_part_read(f->upload, 3, &p), 0);
}

/* A gap in the numbers: no place fits, all of it is assembled afresh, and nothing of the upload changes. */
static void test_gaps_are_assembled_afresh(void **state)
{
    struct fixture *f = *state;
    struct model m = {.count = 4};
    uint32_t list[] = {1, 2, 4}, all[PARTS_MAX];
    new_upload(f);
    for (uint32_t n = 1; n <= 4; n++)
        upload(f, &m, n, 1000);
    assert_int_equal(assemble(f, &m, list, 3), 3000);
    assert_int_equal(assemble(f, &m, all, all_numbers(4, all)), 0);
}

static void test_lost_bytes_are_noticed(void **state)
{
    struct fixture *f = *state;
    struct model m = {.count = 2};
    struct s3_part parts[2];
    struct s3_assembly a;
    struct vfs_file *data;
    uint32_t list[PARTS_MAX];
    new_upload(f);
    upload(f, &m, 1, 1000);
    upload(f, &m, 2, 1000);
    assert_int_equal(vfs_open(f->upload, STR("data.1000"), NULL, VFS_OPEN_WRITE, &data, NULL), 0);
    assert_int_equal(vfs_truncate(data, 1500), 0);
    vfs_close(data);
    load(f, list, all_numbers(2, list), parts);
    assert_int_equal(run(f, &a, parts, 2), -ENODATA);
    s3_assembly_end(&a);
}

/* Records
 * -------------------------------------------------------------------------------------------------------------- */

static void test_records_come_back(void **state)
{
    struct fixture *f = *state;
    struct s3_part_slot s;
    struct s3_part p = {.checksum = {.kind = S3_CHECKSUM_CRC64NVME}, .extra = {.kind = S3_CHECKSUM_SHA256}}, q;
    new_upload(f);
    for (size_t i = 0; i < 32; i++) {
        p.md5[i % 16] = (uint8_t)(i * 5);
        p.extra.value[i] = (uint8_t)(i * 7);
        p.checksum.value[i % 8] = (uint8_t)(i * 3);
    }
    assert_int_equal(s3_part_begin(&s, f->upload, 10000, 0), 0);
    assert_int_equal(s3_part_read(f->upload, 10000, &q), -ENOENT); /* claimed, no more */
    assert_int_equal(s3_part_record(&s, &p), 0);
    s3_part_end(&s);
    assert_int_equal(s3_part_read(f->upload, 10000, &q), 0);
    assert_true(s3_part_eq(&p, &q));
    assert_true(s3_checksum_eq(&p.checksum, &q.checksum));
    assert_true(s3_checksum_eq(&p.extra, &q.extra));
    assert_int_equal(p.time_ns, q.time_ns);
    assert_int_equal(s3_part_drop(f->upload, 10000), 0);
    assert_int_equal(s3_part_read(f->upload, 10000, &q), -ENOENT);
}

static void test_foreign_records_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {
        "x",
        "sluice part 2\nsize 1\n",
        "sluice part 1\n",
        "sluice part 1\nsize 1\nmd5 00\nfile data.1\ntime 1\noffset 0\n",
        "sluice part 1\nsize 99999999999999\ntime 1\nfile data.1\noffset 0\n",
        "sluice part 1\nsize 1\ntime 1\nfile ../../secret\noffset 0\n",
        "sluice part 1\nsize 1\ntime 1\nfile a-name-that-is-much-longer-than-any-we-make\noffset 0\n",
        "sluice part 1\nsize 1\ntime 1\nfile data.1\noffset -1\n",
        "sluice part 1\nsize 1\ntime 1\nfile data.1\nchecksum CRC32 AAAA\n",
        "sluice part 1\nsize 1\ntime 1\nfile data.1\nchecksum CRC32\n",
        "sluice part 1\nsize 1\ntime 1\nfile data.1\nnonsense 1\n",
    };
    struct s3_part p;
    new_upload(f);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(s3_upload_write_file(f->upload, STR("part.00001"), str_z(bad[i])), 0);
        if (s3_part_read(f->upload, 1, &p) != -EBADMSG)
            fail_msg("record %zu was taken", i);
    }
}

static void test_names(void **state UNUSED)
{
    char buffer[S3_PART_NAME_SIZE];
    uint32_t n;
    assert_str(s3_part_name(7, buffer), "part.00007");
    assert_str(s3_part_name(10000, buffer), "part.10000");
    assert_true(s3_part_name_parse(STR("part.00042"), &n) && n == 42);
    assert_false(s3_part_name_parse(STR("part.00000"), &n));
    assert_false(s3_part_name_parse(STR("part.10001"), &n));
    assert_false(s3_part_name_parse(STR("part.1"), &n));
    assert_false(s3_part_name_parse(STR("data.00001"), &n));
}

static void test_more_than_announced_is_refused(void **state)
{
    struct fixture *f = *state;
    struct s3_part_slot s;
    new_upload(f);
    assert_int_equal(s3_part_begin(&s, f->upload, 1, 3), 0);
    assert_int_equal(write_bytes(&s, STR("1234")), -EFBIG);
    assert_int_equal(write_bytes(&s, STR("123")), 0);
    assert_int_equal(write_bytes(&s, STR("4")), -EFBIG);
    s3_part_end(&s);
}

#ifdef SLUICE_FAULTS
/* Whatever step fails, the parts that were acknowledged can be assembled afterwards. */
static void test_failing_steps_lose_nothing(void **state)
{
    struct fixture *f = *state;
    static const char *const points[] = {"vfs.create", "vfs.write",     "vfs.rename",       "vfs.clone",
                                         "vfs.read",   "multipart.cut", "multipart.move",   "multipart.part.synced",
                                         "vfs.unlink", "vfs.stage",     "vfs.publish.link", "vfs.publish.rename"};
    for (size_t point = 0; point < ARRAY_SIZE(points); point++) {
        for (unsigned pass = 1; pass < 14; pass++) {
            char spec[64];
            struct model m = {.count = 4};
            struct s3_part_slot s;
            struct s3_part p = {0}, parts[3];
            struct s3_assembly a;
            uint32_t list[PARTS_MAX];
            new_upload(f);
            for (uint32_t n = 1; n <= 4; n++)
                upload(f, &m, n, 1000);
            upload(f, &m, 2, 1000);
            snprintf(spec, sizeof(spec), "%s:%u:EIO", points[point], pass);
            fault_set_for_test(spec);
            int r = s3_part_begin(&s, f->upload, 3, 800);
            if (r == 0)
                r = write_bytes(&s, STR("not to be seen"));
            if (r == 0) {
                s.done = s.size;
                r = s3_part_record(&s, &p);
            }
            s3_part_end(&s);
            fault_set_for_test(NULL);
            assert_true(r == 0 || r == -EIO);
            upload(f, &m, 3, 1000);
            load(f, list, all_numbers(3, list), parts);
            fault_set_for_test(spec);
            r = run(f, &a, parts, 3);
            s3_assembly_end(&a);
            fault_set_for_test(NULL);
            assert_true(r == 0 || r == -EIO);
            assemble(f, &m, list, 3);
            if (r == 0 && pass > 12)
                break;
        }
    }
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test_setup_teardown(test_records_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_foreign_records_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_more_than_announced_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_equal_parts_in_any_order_move_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_short_last_part_is_all_that_moves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parts_that_begin_together_find_their_places, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_broken_attempt_gives_its_place_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_attempts_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_any_history_gives_the_last_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_repeated_parts_move, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_writer_is_never_published, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nobody_writes_where_an_object_is_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_published_file_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_part_that_changes_meanwhile_is_stale, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_off_parts_are_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_is_dropped_that_is_not_in_the_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_gaps_are_assembled_afresh, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost_bytes_are_noticed, set_up, tear_down),
#ifdef SLUICE_FAULTS
        cmocka_unit_test_setup_teardown(test_failing_steps_lose_nothing, set_up, tear_down),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
