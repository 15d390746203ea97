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

static int set_or_remove(struct vfs_file *f, const struct vfs_cred *cred, const char *name, const struct buf *value)
{
    if (value->failed)
        return -E2BIG;
    return value->len > 0 ? vfs_xattr_set(f, cred, name, buf_str(value)) : vfs_xattr_remove(f, cred, name);
}

int s3_juicefs_store(struct vfs_file *f, const struct vfs_cred *cred, const struct s3_objmeta *m)
{
    CLEANUP(buf_done) struct buf etag = buf_make(S3_JUICEFS_ETAG_BYTES);
    CLEANUP(buf_done) struct buf meta = buf_make(VALUE_BYTES_MAX);
    CLEANUP(buf_done) struct buf tags = buf_make(VALUE_BYTES_MAX);
    buf_add(&etag, m->etag);
    write_meta(m, &meta);
    s3_tags_write_query(&m->tags, &tags);
    int rc = set_or_remove(f, cred, S3_JUICEFS_ETAG, &etag);
    if (rc == 0)
        rc = set_or_remove(f, cred, META, &meta);
    return rc < 0 ? rc : set_or_remove(f, cred, TAGS, &tags);
}

/* Reading */

static bool bytes_changed_last(const struct vfs_attr *attr)
{
    return attr->mtime_ns >= attr->ctime_ns;
}

/* Empty when the file has none. */
static int read_value(struct vfs_file *f, const char *name, struct arena *arena, struct str *out)
{
    CLEANUP(buf_done) struct buf value = buf_make(VALUE_BYTES_MAX);
    int rc = vfs_xattr_get(f, name, &value);
    *out = rc == 0 ? arena_dup(arena, buf_str(&value)) : STR_EMPTY;
    return rc == -ENODATA || rc == -EFBIG ? 0 : rc;
}

static void read_meta(struct str text, struct arena *arena, struct s3_objmeta *m)
{
    const struct json *object = json_parse(text, VALUE_BYTES_MAX, 2, arena, NULL);
    if (!object || object->kind != JSON_IS_OBJECT)
        return;
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
}

static bool is_etag(struct str etag)
{
    return etag.len >= 32 && etag.len < S3_JUICEFS_ETAG_BYTES;
}

int s3_juicefs_record(struct vfs_file *f, const struct vfs_attr *attr, struct arena *arena, struct buf *out)
{
    struct str etag, meta, tags;
    int rc = read_value(f, S3_JUICEFS_ETAG, arena, &etag);
    if (rc == 0)
        rc = read_value(f, META, arena, &meta);
    if (rc == 0)
        rc = read_value(f, TAGS, arena, &tags);
    if (rc < 0 || etag.len + meta.len + tags.len == 0)
        return rc;
    struct s3_objmeta m = {.etag = is_etag(etag) && !bytes_changed_last(attr) ? etag : STR_EMPTY};
    read_meta(meta, arena, &m);
    if (s3_tags_split_query(tags, LIMIT_TAGS_PER_OBJECT, arena, &m.tags) < 0)
        m.tags.count = 0;
    s3_objmeta_encode(&m, attr, out);
    return 0;
}

void s3_juicefs_record_of_etag(struct str etag, const struct vfs_attr *attr, struct buf *out)
{
    if (is_etag(etag) && !bytes_changed_last(attr))
        s3_objmeta_encode(&(struct s3_objmeta){.etag = etag}, attr, out);
}
