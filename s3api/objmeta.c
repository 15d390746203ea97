#include "s3api/objmeta.h"

#include <endian.h>
#include <errno.h>

#include "base/check.h"
#include "base/encode.h"
#include "base/limits.h"
#include "s3api/juicefs_records.h"

/* The record: a version byte, then fields: tag byte, length (LEB128), value. Integers inside values are LEB128 too, times 8
 * bytes little-endian. What listings need comes first. A small object's record stays near 60 bytes, so that ext4 keeps it inside
 * the inode; a field is left out when it says what is so anyway. Changing the meaning of a tag needs a new version. */
#define RECORD_VERSION 1

enum field {
    FIELD_VALIDATOR = 1, /* size, mtime[, next mtime] */
    FIELD_ETAG,          /* 16 bytes of MD5[, count of parts] */
    FIELD_CHECKSUM,      /* kind, count of parts + 1 or 0 when of the whole, value */
    FIELD_MODIFIED,
    FIELD_STORAGE_CLASS,
    FIELD_CONTENT_TYPE,
    FIELD_CACHE_CONTROL,
    FIELD_CONTENT_DISPOSITION,
    FIELD_CONTENT_ENCODING,
    FIELD_CONTENT_LANGUAGE,
    FIELD_EXPIRES,
    FIELD_WEBSITE_REDIRECT,
    FIELD_UPLOAD_ID,
    FIELD_USER,  /* one pair: length of the name, name, value; repeated */
    FIELD_TAG,   /* likewise */
    FIELD_POSIX, /* mode, uid, gid */
    FIELD_PARTS, /* see encode_parts */
    FIELD_OWNER, /* comes before FIELD_STORAGE_CLASS in the record */
    FIELD_ACL
};

static const struct {
    enum field field;
    size_t offset;
} text_fields[] = {
    {FIELD_OWNER, offsetof(struct s3_objmeta, owner_id)},
    {FIELD_STORAGE_CLASS, offsetof(struct s3_objmeta, storage_class)},
    {FIELD_CONTENT_TYPE, offsetof(struct s3_objmeta, content_type)},
    {FIELD_CACHE_CONTROL, offsetof(struct s3_objmeta, cache_control)},
    {FIELD_CONTENT_DISPOSITION, offsetof(struct s3_objmeta, content_disposition)},
    {FIELD_CONTENT_ENCODING, offsetof(struct s3_objmeta, content_encoding)},
    {FIELD_CONTENT_LANGUAGE, offsetof(struct s3_objmeta, content_language)},
    {FIELD_EXPIRES, offsetof(struct s3_objmeta, expires)},
    {FIELD_WEBSITE_REDIRECT, offsetof(struct s3_objmeta, website_redirect)},
    {FIELD_UPLOAD_ID, offsetof(struct s3_objmeta, upload_id)},
    {FIELD_ACL, offsetof(struct s3_objmeta, acl)},
};

#define MD5_SIZE 16
#define MD5_HEX (2 * MD5_SIZE)
#define EMPTY_ETAG "d41d8cd98f00b204e9800998ecf8427e"

/* Derived ETags -------------------------------------------------------------------------------------------------- */

/* The finaliser of splitmix64: every bit of the input moves every bit of the output. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

struct str s3_etag_derive(const struct vfs_attr *attr, struct arena *arena)
{
    uint64_t high = mix(mix(attr->ino) ^ (uint64_t)attr->mtime_ns);
    uint64_t low = mix(mix(attr->size) ^ high);
    uint64_t both[] = {htobe64(high), htobe64(low)};
    char *text = arena_alloc(arena, MD5_HEX + sizeof("-1"));
    hex_encode(both, sizeof(both), text);
    memcpy(text + MD5_HEX, "-1", sizeof("-1"));
    return str_of(text, MD5_HEX + 2);
}

/* Reading -------------------------------------------------------------------------------------------------------- */

/* A cursor with a sticky failure: after one, everything reads as zero. */
struct reader {
    const uint8_t *at, *end;
    bool bad;
};

static struct reader reader_of(struct str s)
{
    const uint8_t *bytes = (const uint8_t *)s.ptr;
    return (struct reader){.at = bytes, .end = s.len ? bytes + s.len : bytes};
}

static struct str read_bytes(struct reader *r, uint64_t size)
{
    if (r->bad || size > (uint64_t)(r->end - r->at)) {
        r->bad = true;
        return STR_EMPTY;
    }
    struct str s = str_of((const char *)r->at, (size_t)size);
    r->at += size;
    return s;
}

static struct str read_rest(struct reader *r)
{
    return read_bytes(r, (uint64_t)(r->end - r->at));
}

static uint64_t read_number(struct reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (r->bad || r->at == r->end)
            break;
        uint8_t byte = *r->at++;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    r->bad = true;
    return 0;
}

static uint32_t read_u32(struct reader *r)
{
    uint64_t value = read_number(r);
    if (value > UINT32_MAX)
        r->bad = true;
    return r->bad ? 0 : (uint32_t)value;
}

static int64_t read_time(struct reader *r)
{
    struct str s = read_bytes(r, 8);
    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++)
        value |= (uint64_t)(uint8_t)s.ptr[i] << (8 * i);
    return (int64_t)value;
}

/* The next field; false at the end or on bytes that are no field. */
static bool read_field(struct reader *r, enum field *out_field, struct str *out_value)
{
    if (r->bad || r->at == r->end)
        return false;
    *out_field = (enum field)*r->at++;
    *out_value = read_bytes(r, read_number(r));
    return !r->bad;
}

/* Decoding ------------------------------------------------------------------------------------------------------- */

struct decoded {
    struct s3_objmeta meta;
    uint64_t size;
    int64_t mtime_ns, next_mtime_ns;
    struct arena *arena;
};

static void decode_validator(struct decoded *d, struct reader *r)
{
    d->size = read_number(r);
    d->mtime_ns = read_time(r);
    d->next_mtime_ns = r->at < r->end ? read_time(r) : d->mtime_ns;
}

static void decode_etag(struct decoded *d, struct reader *r)
{
    struct str md5 = read_bytes(r, MD5_SIZE);
    if (r->bad)
        return;
    char hex[MD5_HEX];
    hex_encode(md5.ptr, MD5_SIZE, hex);
    if (r->at == r->end)
        d->meta.etag = arena_dup(d->arena, str_of(hex, MD5_HEX));
    else
        d->meta.etag = arena_printf(d->arena, "%.*s-%u", MD5_HEX, hex, read_u32(r));
}

static void decode_checksum(struct decoded *d, struct reader *r)
{
    uint32_t kind = read_u32(r), parts = read_u32(r);
    struct str value = read_rest(r);
    if (r->bad || kind == S3_CHECKSUM_NONE || kind >= S3_CHECKSUM_KIND_COUNT ||
        value.len != s3_checksum_size((enum s3_checksum_kind)kind)) {
        r->bad = true;
        return;
    }
    struct s3_checksum *c = &d->meta.checksum;
    c->kind = (enum s3_checksum_kind)kind;
    c->composite = parts != 0;
    c->part_count = parts ? parts - 1 : 0;
    memcpy(c->value, value.ptr, value.len);
}

static void decode_pair(struct decoded *d, struct s3_pairs *pairs, struct reader *r)
{
    struct s3_pair pair;
    pair.name = arena_dup(d->arena, read_bytes(r, read_number(r)));
    pair.value = arena_dup(d->arena, read_rest(r));
    pairs->items[pairs->count++] = pair;
}

enum { PARTS_NUMBERED = 1, PARTS_SIZED = 2 };

static void decode_parts(struct decoded *d, struct reader *r)
{
    uint32_t count = read_u32(r), flags = read_u32(r), kind = read_u32(r);
    if (count == 0 || count > LIMIT_PARTS || kind >= S3_CHECKSUM_KIND_COUNT || d->meta.parts)
        r->bad = true;
    if (r->bad)
        return;
    struct s3_part_info *parts = arena_array_of(d->arena, struct s3_part_info, count);
    uint32_t number = 0;
    for (uint32_t i = 0; i < count; i++) {
        number += flags & PARTS_NUMBERED ? read_u32(r) : 1;
        parts[i].number = number;
    }
    uint64_t size = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (flags & PARTS_SIZED || i == 0 || i + 1 == count)
            size = read_number(r);
        parts[i].size = size;
    }
    for (uint32_t i = 0; i < count && kind != S3_CHECKSUM_NONE; i++) {
        struct str value = read_bytes(r, s3_checksum_size((enum s3_checksum_kind)kind));
        parts[i].checksum.kind = (enum s3_checksum_kind)kind;
        memcpy(parts[i].checksum.value, value.ptr ? value.ptr : "", value.len);
    }
    d->meta.parts = parts;
    d->meta.part_count = count;
}

static void decode_posix(struct decoded *d, struct reader *r)
{
    struct s3_posix_note *note = &d->meta.posix;
    note->set = true;
    note->mode = read_u32(r);
    note->uid = read_u32(r);
    note->gid = read_u32(r);
}

static bool decode_text(struct decoded *d, enum field field, struct str value)
{
    for (size_t i = 0; i < ARRAY_SIZE(text_fields); i++)
        if (text_fields[i].field == field) {
            struct str *text = (struct str *)(void *)((char *)&d->meta + text_fields[i].offset);
            *text = arena_dup(d->arena, value);
            return true;
        }
    return false;
}

static void decode_field(struct decoded *d, enum field field, struct str value, struct reader *record)
{
    struct reader r = reader_of(value);
    if (field == FIELD_VALIDATOR)
        decode_validator(d, &r);
    else if (field == FIELD_ETAG)
        decode_etag(d, &r);
    else if (field == FIELD_CHECKSUM)
        decode_checksum(d, &r);
    else if (field == FIELD_MODIFIED)
        d->meta.modified_ns = read_time(&r);
    else if (field == FIELD_USER)
        decode_pair(d, &d->meta.user, &r);
    else if (field == FIELD_TAG)
        decode_pair(d, &d->meta.tags, &r);
    else if (field == FIELD_PARTS)
        decode_parts(d, &r);
    else if (field == FIELD_POSIX)
        decode_posix(d, &r);
    else if (decode_text(d, field, value))
        return;
    else
        r.bad = true;
    if (r.bad || r.at != r.end)
        record->bad = true;
}

static bool record_begin(struct str record, struct reader *out)
{
    *out = reader_of(record);
    return record.len > 0 && *out->at++ == RECORD_VERSION;
}

static void allocate_pairs(struct decoded *d, struct reader r)
{
    enum field field;
    struct str value;
    size_t user = 0, tags = 0;
    while (read_field(&r, &field, &value)) {
        user += field == FIELD_USER;
        tags += field == FIELD_TAG;
    }
    d->meta.user.items = user ? arena_array_of(d->arena, struct s3_pair, user) : NULL;
    d->meta.tags.items = tags ? arena_array_of(d->arena, struct s3_pair, tags) : NULL;
}

static bool decode_record(struct str record, struct arena *arena, struct decoded *d)
{
    *d = (struct decoded){.arena = arena};
    struct reader r;
    if (record.len > LIMIT_OBJECT_RECORD_BYTES || !record_begin(record, &r))
        return false;
    allocate_pairs(d, r);
    enum field field;
    struct str value;
    while (read_field(&r, &field, &value))
        decode_field(d, field, value, &r);
    return !r.bad;
}

static bool validator_fits(const struct decoded *d, const struct vfs_attr *attr)
{
    return attr->type == VFS_DIRECTORY ||
           (d->size == attr->size && (d->mtime_ns == attr->mtime_ns || d->next_mtime_ns == attr->mtime_ns));
}

/* What the record says of bytes that are not there any more. */
static void drop_stale(struct s3_objmeta *m)
{
    m->etag = STR_EMPTY;
    m->checksum = (struct s3_checksum){0};
    m->parts = NULL;
    m->part_count = 0;
    m->upload_id = STR_EMPTY;
    m->modified_ns = 0;
}

/* Reads by part number trust the sizes. */
static bool parts_cover(const struct s3_objmeta *m, uint64_t size)
{
    for (size_t i = 0; i < m->part_count; i++) {
        if (m->parts[i].size > size)
            return false;
        size -= m->parts[i].size;
    }
    return size == 0;
}

static struct str etag_default(const struct vfs_attr *attr, struct arena *arena)
{
    return attr->type == VFS_DIRECTORY ? STR(EMPTY_ETAG) : s3_etag_derive(attr, arena);
}

static const char *type_default(const struct vfs_attr *attr)
{
    return attr->type == VFS_DIRECTORY ? S3_CONTENT_TYPE_DIRECTORY : S3_CONTENT_TYPE_DEFAULT;
}

void s3_objmeta_decode(struct str record, const struct vfs_attr *attr, struct str key, struct arena *arena,
                       struct s3_objmeta *out)
{
    struct decoded d;
    bool readable = decode_record(record, arena, &d);
    *out = readable ? d.meta : (struct s3_objmeta){0};
    out->fresh = readable && validator_fits(&d, attr);
    if (!out->fresh)
        drop_stale(out);
    if (!parts_cover(out, attr->size))
        out->part_count = 0;
    if (out->content_type.len == 0)
        out->content_type = str_z(readable ? type_default(attr) : s3_content_type_of(key));
    if (out->etag.len == 0)
        out->etag = etag_default(attr, arena);
    if (out->modified_ns == 0)
        out->modified_ns = attr->mtime_ns;
}

void s3_objmeta_brief(struct str record, const struct vfs_attr *attr, struct arena *arena, struct s3_objmeta_brief *out)
{
    struct decoded d = {.arena = arena};
    struct reader r;
    enum field field;
    struct str value;
    bool readable = record_begin(record, &r);
    while (readable && read_field(&r, &field, &value) && (field <= FIELD_STORAGE_CLASS || field == FIELD_OWNER))
        decode_field(&d, field, value, &r);
    bool fresh = readable && !r.bad && validator_fits(&d, attr);
    struct s3_objmeta *m = &d.meta;
    if (!fresh)
        drop_stale(m);
    *out = (struct s3_objmeta_brief){
        .etag = m->etag.len ? m->etag : etag_default(attr, arena),
        .modified_ns = m->modified_ns ? m->modified_ns : attr->mtime_ns,
        .checksum = m->checksum,
        .storage_class = r.bad ? STR_EMPTY : m->storage_class,
        .owner_id = r.bad ? STR_EMPTY : m->owner_id,
    };
}

struct str s3_objmeta_etag(struct str record, const struct vfs_attr *attr, struct arena *arena)
{
    struct s3_objmeta_brief brief;
    s3_objmeta_brief(record, attr, arena, &brief);
    return brief.etag;
}

/* Encoding ------------------------------------------------------------------------------------------------------- */

static void put_number(struct buf *b, uint64_t value)
{
    while (value >= 0x80) {
        buf_addc(b, (char)(value | 0x80));
        value >>= 7;
    }
    buf_addc(b, (char)value);
}

static size_t number_size(uint64_t value)
{
    size_t size = 1;
    while (value >>= 7)
        size++;
    return size;
}

static void put_time(struct buf *b, int64_t value)
{
    for (size_t i = 0; i < 8; i++)
        buf_addc(b, (char)((uint64_t)value >> (8 * i)));
}

static void put_field(struct buf *b, enum field field, size_t size)
{
    buf_addc(b, (char)field);
    put_number(b, size);
}

static void put_text(struct buf *b, enum field field, struct str text)
{
    if (!text.ptr)
        return;
    put_field(b, field, text.len);
    buf_add(b, text);
}

static void encode_validator(const struct s3_objmeta *m, const struct vfs_attr *attr, struct buf *b)
{
    bool next = m->next_mtime_ns != 0 && m->next_mtime_ns != attr->mtime_ns;
    put_field(b, FIELD_VALIDATOR, number_size(attr->size) + (next ? 16 : 8));
    put_number(b, attr->size);
    put_time(b, attr->mtime_ns);
    if (next)
        put_time(b, m->next_mtime_ns);
}

static void encode_etag(struct str etag, struct buf *b)
{
    if (etag.len == 0)
        return;
    uint8_t md5[MD5_SIZE];
    uint64_t parts = 0;
    bool plain = etag.len == MD5_HEX;
    CHECK(hex_decode(str_first(etag, MD5_HEX), md5, MD5_SIZE));
    CHECK(plain || etag.ptr[MD5_HEX] == '-');
    CHECK(plain || str_parse_u64_max(str_from(etag, MD5_HEX + 1), UINT32_MAX, &parts));
    put_field(b, FIELD_ETAG, MD5_SIZE + (plain ? 0 : number_size(parts)));
    buf_add(b, str_of((const char *)md5, MD5_SIZE));
    if (!plain)
        put_number(b, parts);
}

static void encode_checksum(const struct s3_checksum *c, struct buf *b)
{
    if (c->kind == S3_CHECKSUM_NONE)
        return;
    uint64_t parts = c->composite ? (uint64_t)c->part_count + 1 : 0;
    put_field(b, FIELD_CHECKSUM, 1 + number_size(parts) + s3_checksum_size(c->kind));
    put_number(b, (uint64_t)c->kind);
    put_number(b, parts);
    buf_add(b, str_of((const char *)c->value, s3_checksum_size(c->kind)));
}

static void encode_pairs(const struct s3_pairs *pairs, enum field field, struct buf *b)
{
    for (size_t i = 0; i < pairs->count; i++) {
        const struct s3_pair *p = &pairs->items[i];
        put_field(b, field, number_size(p->name.len) + p->name.len + p->value.len);
        put_number(b, p->name.len);
        buf_add(b, p->name);
        buf_add(b, p->value);
    }
}

/* count, flags, kind of the parts' checksums; the numbers as differences unless they are 1, 2, 3, …; the sizes, or only the
 * first and the last when all but the last are equal; the checksums. */
static void encode_parts(const struct s3_objmeta *m, struct buf *b)
{
    if (m->part_count == 0)
        return;
    const struct s3_part_info *parts = m->parts;
    size_t count = m->part_count;
    unsigned flags = 0;
    enum s3_checksum_kind kind = parts[0].checksum.kind;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].number != i + 1)
            flags |= PARTS_NUMBERED;
        if (parts[i].size != parts[0].size && i + 1 < count)
            flags |= PARTS_SIZED;
        if (parts[i].checksum.kind != kind)
            kind = S3_CHECKSUM_NONE;
    }
    struct buf value = buf_make(LIMIT_OBJECT_RECORD_BYTES);
    put_number(&value, count);
    put_number(&value, flags);
    put_number(&value, (uint64_t)kind);
    for (size_t i = 0; i < count && flags & PARTS_NUMBERED; i++)
        put_number(&value, parts[i].number - (i ? parts[i - 1].number : 0));
    for (size_t i = 0; i < count; i++)
        if (flags & PARTS_SIZED || i == 0 || i + 1 == count)
            put_number(&value, parts[i].size);
    for (size_t i = 0; i < count && kind != S3_CHECKSUM_NONE; i++)
        buf_add(&value, str_of((const char *)parts[i].checksum.value, s3_checksum_size(kind)));
    CHECK(!value.failed);
    put_field(b, FIELD_PARTS, value.len);
    buf_add(b, buf_str(&value));
    buf_done(&value);
}

void s3_objmeta_encode(const struct s3_objmeta *m, const struct vfs_attr *attr, struct buf *out)
{
    buf_addc(out, RECORD_VERSION);
    encode_validator(m, attr, out);
    encode_etag(m->etag, out);
    encode_checksum(&m->checksum, out);
    if (m->modified_ns != 0 && (m->modified_ns != attr->mtime_ns || attr->type == VFS_DIRECTORY)) {
        put_field(out, FIELD_MODIFIED, 8);
        put_time(out, m->modified_ns);
    }
    for (size_t i = 0; i < ARRAY_SIZE(text_fields); i++) {
        struct str text = *(const struct str *)(const void *)((const char *)m + text_fields[i].offset);
        bool is_default = text_fields[i].field == FIELD_CONTENT_TYPE && str_is(text, type_default(attr));
        if (!is_default)
            put_text(out, text_fields[i].field, text);
    }
    encode_pairs(&m->user, FIELD_USER, out);
    encode_pairs(&m->tags, FIELD_TAG, out);
    if (m->posix.set) {
        put_field(out, FIELD_POSIX, number_size(m->posix.mode) + number_size(m->posix.uid) + number_size(m->posix.gid));
        put_number(out, m->posix.mode);
        put_number(out, m->posix.uid);
        put_number(out, m->posix.gid);
    }
    encode_parts(m, out);
}

/* Files ---------------------------------------------------------------------------------------------------------- */

int s3_objmeta_load(struct vfs_file *f, const struct vfs_attr *attr, struct str key, struct arena *arena,
                    struct s3_objmeta *out)
{
    if (vfs_has_juicefs_records(f))
        return s3_juicefs_load(f, attr, key, arena, out);
    CLEANUP(buf_done) struct buf record = buf_make(LIMIT_OBJECT_RECORD_BYTES);
    int rc = vfs_xattr_get(f, S3_OBJMETA_XATTR, &record);
    if (rc < 0 && rc != -ENODATA)
        return rc;
    s3_objmeta_decode(buf_str(&record), attr, key, arena, out);
    return 0;
}

int s3_objmeta_write(struct vfs_file *f, const struct vfs_cred *cred, const struct s3_objmeta *m, const struct vfs_attr *attr)
{
    CLEANUP(buf_done) struct buf record = buf_make(LIMIT_OBJECT_RECORD_BYTES);
    s3_objmeta_encode(m, attr, &record);
    if (record.failed)
        return -E2BIG;
    return vfs_has_juicefs_records(f) ? s3_juicefs_store(f, cred, m, buf_str(&record))
                                      : vfs_xattr_set(f, cred, S3_OBJMETA_XATTR, buf_str(&record));
}

int s3_objmeta_store(struct vfs_file *f, const struct vfs_cred *cred, const struct s3_objmeta *m)
{
    struct vfs_attr attr;
    int rc = vfs_fstat(f, &attr);
    return rc < 0 ? rc : s3_objmeta_write(f, cred, m, &attr);
}
