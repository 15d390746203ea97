#include "s3api/part.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/random.h"
#include "s3api/multipart.h"

#define RECORD_MAGIC "sluice part 1"
#define RECORD_DROPPED "dropped\n"
#define RECORD_BYTES_MAX 1024
#define PART_PREFIX "part."
#define DATA_PREFIX "data."
#define UNIT_NAME "unit"
/* No part has its place behind this: ext4 has no longer files, and short parts far behind a long one would lie there though the object
 * will not be that long. Parts of one that is, on XFS, are cloned into it. */
#define DATA_FILE_BYTES_MAX ((16ull << 40) - (64ull << 10))

/* Names */

struct str s3_part_name(uint32_t number, char out[S3_PART_NAME_SIZE])
{
    CHECK(number <= LIMIT_PARTS);
    snprintf(out, S3_PART_NAME_SIZE, PART_PREFIX "%05u", number % 100000);
    return str_of(out, S3_PART_NAME_SIZE - 1);
}

bool s3_part_name_parse(struct str name, uint32_t *out_number)
{
    uint64_t number;
    if (name.len != S3_PART_NAME_SIZE - 1 || !str_starts(name, STR(PART_PREFIX)) ||
        !str_parse_u64_max(str_from(name, sizeof(PART_PREFIX) - 1), LIMIT_PARTS, &number) || number == 0)
        return false;
    *out_number = (uint32_t)number;
    return true;
}

bool s3_part_file_is_data(const char *file)
{
    return str_starts(str_z(file), STR(DATA_PREFIX));
}

int s3_part_file_is_ours(struct vfs_dir *upload, const char *file, const struct vfs_attr *opened)
{
    struct vfs_attr now;
    int r = vfs_lookup(upload, str_z(file), NULL, &now);
    if (r < 0)
        return r;
    return now.ino == opened->ino && now.nlink == 1;
}

/* Records: lines of "name value" */

static void add_sum(struct buf *b, const char *name, const struct s3_checksum *c)
{
    if (c->kind == S3_CHECKSUM_NONE)
        return;
    char text[S3_CHECKSUM_TEXT_MAX];
    buf_addf(b, "%s %s %.*s\n", name, s3_checksum_name(c->kind), STR_ARG(s3_checksum_text(c, text)));
}

static void record_encode(const struct s3_part *p, struct buf *b)
{
    buf_addf(b, RECORD_MAGIC "\nsize %" PRIu64 "\nmd5 ", p->size);
    buf_add_hex(b, p->md5, sizeof(p->md5));
    buf_addf(b, "\ntime %" PRId64 "\nfile %s\noffset %" PRIu64 "\n", p->time_ns, p->file, p->offset);
    add_sum(b, "checksum", &p->checksum);
    add_sum(b, "extra", &p->extra);
}

static bool sum_decode(struct str value, struct s3_checksum *out)
{
    struct str name;
    if (!str_split(&value, ' ', &name))
        return false;
    enum s3_checksum_kind kind = s3_checksum_by_name(name);
    return kind != S3_CHECKSUM_NONE && s3_checksum_parse(kind, value, out);
}

static bool file_decode(struct str value, char out[S3_PART_FILE_SIZE])
{
    if (value.len == 0 || value.len >= S3_PART_FILE_SIZE || str_find_char(value, '/') >= 0)
        return false;
    memcpy(out, value.ptr, value.len);
    out[value.len] = '\0';
    return true;
}

static bool field_decode(struct s3_part *p, struct str name, struct str value)
{
    uint64_t time_ns;
    if (str_is(name, "size"))
        return str_parse_u64_max(value, LIMIT_PART_BYTES_MAX, &p->size);
    if (str_is(name, "md5"))
        return value.len == 2 * sizeof(p->md5) && hex_decode(value, p->md5, sizeof(p->md5));
    if (str_is(name, "time")) {
        bool ok = str_parse_u64_max(value, INT64_MAX, &time_ns);
        p->time_ns = ok ? (int64_t)time_ns : 0;
        return ok;
    }
    if (str_is(name, "file"))
        return file_decode(value, p->file);
    if (str_is(name, "offset"))
        return str_parse_u64_max(value, LIMIT_OBJECT_BYTES_MAX, &p->offset);
    if (str_is(name, "checksum"))
        return sum_decode(value, &p->checksum);
    return str_is(name, "extra") && sum_decode(value, &p->extra);
}

static bool record_decode(struct str record, struct s3_part *p)
{
    struct str line, name;
    if (!str_split(&record, '\n', &line) || !str_is(line, RECORD_MAGIC))
        return false;
    while (str_split(&record, '\n', &line) && line.len > 0)
        if (!str_split(&line, ' ', &name) || !field_decode(p, name, line))
            return false;
    return p->file[0] != '\0' && p->time_ns != 0;
}

int s3_part_read(struct vfs_dir *upload, uint32_t number, struct s3_part *out)
{
    char name[S3_PART_NAME_SIZE];
    CLEANUP(buf_done) struct buf record = buf_make(RECORD_BYTES_MAX);
    int r = s3_upload_read_file(upload, s3_part_name(number, name), &record);
    if (r < 0)
        return r;
    if (record.len == 0 || str_is(buf_str(&record), RECORD_DROPPED))
        return -ENOENT;
    struct s3_part p = {.number = number};
    if (!record_decode(buf_str(&record), &p))
        return -EBADMSG;
    *out = p;
    return 0;
}

int s3_part_drop(struct vfs_dir *upload, uint32_t number)
{
    char name[S3_PART_NAME_SIZE];
    return s3_upload_write_file(upload, s3_part_name(number, name), STR(RECORD_DROPPED));
}

bool s3_part_eq(const struct s3_part *a, const struct s3_part *b)
{
    return a->number == b->number && a->size == b->size && a->offset == b->offset &&
           memcmp(a->md5, b->md5, sizeof(a->md5)) == 0 && strcmp(a->file, b->file) == 0;
}

/* Places */

static void data_name(uint64_t unit, char out[S3_PART_FILE_SIZE])
{
    snprintf(out, S3_PART_FILE_SIZE, DATA_PREFIX "%" PRIu64, unit);
}

/* 0 when there is none. */
static uint64_t largest_unit(struct vfs_dir *upload)
{
    CLEANUP(buf_done) struct buf text = buf_make(32);
    uint64_t unit = 0;
    if (s3_upload_read_file(upload, STR(UNIT_NAME), &text) < 0 ||
        !str_parse_u64_max(buf_str(&text), LIMIT_PART_BYTES_MAX, &unit))
        return 0;
    return unit;
}

/* What two gateways write here at the same time may be the smaller of two: then later short parts make a layout too
 * many, nothing worse. */
static void note_largest_unit(struct vfs_dir *upload, uint64_t unit)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%" PRIu64, unit);
    int r = s3_upload_write_file(upload, STR(UNIT_NAME), str_of(text, (size_t)len));
    (void)r;
}

static uint64_t choose_unit(struct vfs_dir *upload, uint64_t size)
{
    char name[S3_PART_FILE_SIZE];
    struct vfs_attr attr;
    data_name(size, name);
    if (vfs_lookup(upload, str_z(name), NULL, &attr) == 0)
        return size;
    uint64_t largest = largest_unit(upload);
    if (largest > size)
        return largest;
    if (size > largest)
        note_largest_unit(upload, size);
    return size;
}

/* 1: the part's places are the slot's. 0: somebody else's, or the part has a record. */
static int claim(struct s3_part_slot *s)
{
    char buffer[S3_PART_NAME_SIZE];
    struct str name = s3_part_name(s->number, buffer);
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    struct vfs_attr mine, now;
    int r = vfs_open(s->upload, name, NULL, VFS_OPEN_WRITE | VFS_OPEN_CREATE | VFS_OPEN_PRIVATE, &f, &mine);
    if (r < 0)
        return r;
    if (mine.size > 0 || vfs_lock(f, true) < 0)
        return 0;
    r = vfs_lookup(s->upload, name, NULL, &now);
    if (r < 0)
        return r;
    if (now.ino != mine.ino || now.size > 0)
        return 0;
    s->claim = TAKE(f);
    return 1;
}

/* 1: the slot's file is the data file. 0: it is published, or about to be, or would become too long. */
static int open_place(struct s3_part_slot *s)
{
    uint64_t unit = choose_unit(s->upload, s->size);
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    struct vfs_attr attr;
    data_name(unit, s->name);
    s->offset = (s->number - 1) * unit;
    if (s->offset + s->size > DATA_FILE_BYTES_MAX)
        return 0;
    int r = vfs_open(s->upload, str_z(s->name), NULL, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &f, &attr);
    if (r < 0)
        return r;
    if (vfs_lock(f, false) < 0)
        return 0;
    r = s3_part_file_is_ours(s->upload, s->name, &attr);
    if (r == 1)
        s->file = TAKE(f);
    return r;
}

static int open_aside(struct s3_part_slot *s)
{
    vfs_closep(&s->claim);
    s->offset = 0;
    snprintf(s->name, sizeof(s->name), "aside.%05u.%016" PRIx64, s->number, random_u64());
    return vfs_open(s->upload, str_z(s->name), NULL, VFS_OPEN_WRITE | VFS_OPEN_CREATE | VFS_OPEN_EXCLUSIVE, &s->file,
                    NULL);
}

int s3_part_begin(struct s3_part_slot *s, struct vfs_dir *upload, uint32_t number, uint64_t size)
{
    CHECK(number >= 1 && number <= LIMIT_PARTS);
    CHECK(size <= LIMIT_PART_BYTES_MAX);
    *s = (struct s3_part_slot){.upload = upload, .number = number, .size = size};
    int r = claim(s);
    if (r == 1)
        r = open_place(s);
    if (r == 0)
        r = open_aside(s);
    return r < 0 ? r : 0;
}

int s3_part_write(struct s3_part_slot *s, struct pieces p)
{
    size_t len = pieces_len(p);
    if (len > s->size - s->done)
        return -EFBIG;
    int r = vfs_write_pieces(s->file, p, s->offset + s->done);
    if (r == 0)
        s->done += len;
    return r;
}

static void drop_file(struct vfs_dir *upload, const char *name)
{
    int r = vfs_discard(upload, str_z(name));
    (void)r; /* what stays goes with the folder */
}

int s3_part_record(struct s3_part_slot *s, struct s3_part *p)
{
    CHECK(s->done == s->size);
    char name[S3_PART_NAME_SIZE];
    CLEANUP(buf_done) struct buf record = buf_make(RECORD_BYTES_MAX);
    p->number = s->number;
    p->size = s->size;
    p->time_ns = clock_wall_ns();
    memcpy(p->file, s->name, sizeof(p->file));
    p->offset = s->offset;
    record_encode(p, &record);
    CHECK(!record.failed);
    int r = vfs_sync(s->file);
    if (r == 0)
        r = fault_point("multipart.part.synced");
    if (r < 0)
        return r;
    struct s3_part former;
    bool has_former = s3_part_read(s->upload, s->number, &former) == 0;
    r = s3_upload_write_file(s->upload, s3_part_name(s->number, name), buf_str(&record));
    if (r < 0)
        return r;
    s->is_recorded = true;
    if (has_former && !s3_part_file_is_data(former.file))
        drop_file(s->upload, former.file);
    return 0;
}

void s3_part_end(struct s3_part_slot *s)
{
    bool is_left_over = s->file && !s->is_recorded && !s3_part_file_is_data(s->name);
    vfs_closep(&s->file);
    vfs_closep(&s->claim);
    if (is_left_over)
        drop_file(s->upload, s->name);
}
