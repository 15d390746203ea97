#include "s3api/juicefs_records.h"

#include <errno.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/limits.h"
#include "s3api/tags.h"

#define META "s3-meta"
#define TAGS "s3-tags"
#define USER_PREFIX "x-amz-meta-"
/* What that gateway writes is less: a request's metadata and ten tags. */
#define VALUE_BYTES_MAX (64 * 1024)

static const struct {
    const char *name;
    size_t offset;
} headers[] = {
    {"cache-control", offsetof(struct s3_objmeta, cache_control)},
    {"content-disposition", offsetof(struct s3_objmeta, content_disposition)},
    {"content-type", offsetof(struct s3_objmeta, content_type)},
};

static struct str *header_of(struct s3_objmeta *m, size_t i)
{
    return (struct str *)(void *)((char *)m + headers[i].offset);
}

/* Writing */

static void add_member(struct buf *b, const char *prefix, struct str name, struct str value)
{
    CLEANUP(buf_done) struct buf whole = buf_make(VALUE_BYTES_MAX);
    buf_addz(&whole, prefix);
    buf_add(&whole, name);
    buf_addc(b, b->len == 0 ? '{' : ',');
    buf_add_json(b, buf_str(&whole));
    buf_addc(b, ':');
    buf_add_json(b, value);
}

static void write_meta(const struct s3_objmeta *m, struct buf *b)
{
    struct s3_objmeta copy = *m;
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
        struct str value = *header_of(&copy, i);
        if (value.len > 0)
            add_member(b, "", str_z(headers[i].name), value);
    }
    for (size_t i = 0; i < m->user.count; i++)
        add_member(b, USER_PREFIX, m->user.items[i].name, m->user.items[i].value);
    if (b->len > 0)
        buf_addc(b, '}');
}

static struct str present(const struct buf *value)
{
    return value->len > 0 ? buf_str(value) : (struct str){NULL, 0};
}

int s3_juicefs_store(struct vfs_file *f, const struct vfs_cred *cred, const struct s3_objmeta *m, struct str record)
{
    CLEANUP(buf_done) struct buf etag = buf_make(S3_JUICEFS_ETAG_BYTES);
    CLEANUP(buf_done) struct buf meta = buf_make(VALUE_BYTES_MAX);
    CLEANUP(buf_done) struct buf tags = buf_make(VALUE_BYTES_MAX);
    buf_add(&etag, m->etag);
    write_meta(m, &meta);
    s3_tags_write_query(&m->tags, &tags);
    if (etag.failed || meta.failed || tags.failed)
        return -E2BIG;
    const struct vfs_xattr all[] = {
        {S3_OBJMETA_XATTR, record},
        {S3_JUICEFS_ETAG, present(&etag)},
        {META, present(&meta)},
        {TAGS, present(&tags)},
    };
    return vfs_xattrs_set(f, cred, all, ARRAY_SIZE(all));
}

/* Reading */

static bool bytes_changed_last(const struct vfs_attr *attr)
{
    return attr->mtime_ns >= attr->ctime_ns;
}

/* Empty: absent, or too long to be read. */
struct found {
    struct buf record, etag, meta, tags;
    bool has_record;
};

static void find(void *arg, struct str name, struct str value)
{
    struct found *x = arg;
    const struct {
        const char *name;
        struct buf *value;
    } wanted[] = {{S3_OBJMETA_XATTR, &x->record}, {S3_JUICEFS_ETAG, &x->etag}, {META, &x->meta}, {TAGS, &x->tags}};
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        if (!str_is(name, wanted[i].name))
            continue;
        buf_reset(wanted[i].value);
        buf_add(wanted[i].value, value);
        x->has_record = x->has_record || i == 0;
    }
}

/* false: no such document. */
static bool read_meta(struct str text, struct arena *arena, struct s3_objmeta *m)
{
    const struct json *object = json_parse(text, VALUE_BYTES_MAX, 2, arena, NULL);
    if (!object || object->kind != JSON_IS_OBJECT)
        return false;
    m->user.items = arena_array_of(arena, struct s3_pair, object->count + 1);
    for (const struct json *j = object->first; j; j = j->next) {
        if (j->kind != JSON_IS_TEXT)
            continue;
        if (str_starts(j->name, STR(USER_PREFIX)))
            m->user.items[m->user.count++] = (struct s3_pair){str_from(j->name, sizeof(USER_PREFIX) - 1), j->text};
        for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
            if (str_is(j->name, headers[i].name))
                *header_of(m, i) = j->text;
        }
    }
    return true;
}

static bool is_etag(struct str etag)
{
    return etag.len >= 32 && etag.len < S3_JUICEFS_ETAG_BYTES;
}

static void read_tags(struct str text, struct arena *arena, struct s3_objmeta *m)
{
    struct s3_pairs tags;
    if (s3_tags_split_query(text, LIMIT_TAGS_PER_OBJECT, arena, &tags) == 0)
        m->tags = tags;
}

/* Is it what we wrote beside the record? A type that is not in it may be the default one. */
static bool is_meta_of(struct str meta, const struct s3_objmeta *m, bool has_type)
{
    CLEANUP(buf_done) struct buf ours = buf_make(VALUE_BYTES_MAX);
    struct s3_objmeta copy = *m;
    if (!has_type)
        copy.content_type = STR_EMPTY;
    write_meta(&copy, &ours);
    return str_eq(buf_str(&ours), meta);
}

static void take_changes(const struct found *x, struct arena *arena, struct s3_objmeta *m)
{
    struct str meta = buf_str(&x->meta);
    struct s3_objmeta theirs = {0};
    if (!x->tags.failed) {
        m->tags.count = x->tags.len > 0 ? m->tags.count : 0; /* that gateway removes it with the last tag */
        read_tags(buf_str(&x->tags), arena, m);
    }
    if (x->meta.failed || meta.len == 0 || !read_meta(meta, arena, &theirs) ||
        is_meta_of(meta, m, theirs.content_type.len > 0))
        return;
    m->user = theirs.user;
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
        if (header_of(&theirs, i)->len > 0 || header_of(m, i) != &m->content_type)
            *header_of(m, i) = *header_of(&theirs, i);
}

static void make_record(struct found *x, const struct vfs_attr *attr, struct arena *arena)
{
    struct str etag = buf_str(&x->etag);
    if (x->etag.failed)
        etag = STR_EMPTY;
    if (etag.len + x->meta.len + x->tags.len == 0)
        return;
    struct s3_objmeta m = {.etag = is_etag(etag) && !bytes_changed_last(attr) ? etag : STR_EMPTY};
    if (!x->meta.failed)
        (void)read_meta(buf_str(&x->meta), arena, &m); /* nothing is known then */
    if (!x->tags.failed)
        read_tags(buf_str(&x->tags), arena, &m);
    s3_objmeta_encode(&m, attr, &x->record);
}

int s3_juicefs_load(struct vfs_file *f, const struct vfs_attr *attr, struct str key, struct arena *arena,
                    struct s3_objmeta *out)
{
    struct found x = {
        .record = buf_make(LIMIT_OBJECT_RECORD_BYTES),
        .etag = buf_make(S3_JUICEFS_ETAG_BYTES),
        .meta = buf_make(VALUE_BYTES_MAX),
        .tags = buf_make(VALUE_BYTES_MAX),
    };
    int rc = vfs_xattr_each(f, find, &x);
    if (rc == 0 && x.has_record && x.record.failed)
        rc = -EFBIG;
    if (rc == 0 && !x.has_record)
        make_record(&x, attr, arena);
    if (rc == 0)
        s3_objmeta_decode(buf_str(&x.record), attr, key, arena, out);
    if (rc == 0 && x.has_record)
        take_changes(&x, arena, out);
    struct buf *all[] = {&x.record, &x.etag, &x.meta, &x.tags};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        buf_done(all[i]);
    return rc;
}

void s3_juicefs_record_of_etag(struct str etag, const struct vfs_attr *attr, struct buf *out)
{
    if (is_etag(etag) && !bytes_changed_last(attr))
        s3_objmeta_encode(&(struct s3_objmeta){.etag = etag}, attr, out);
}
