/* CopyObject. Bytes are cloned into a staging file in bounded steps and published as any upload is. A copy onto itself changes
 * only the record, on the same inode, whatever the size: s3fs-fuse does so for every chmod and utime. The ETag and checksums of
 * the source are the copy's, since the bytes are; also those of a multipart object, with its parts. */
#include "s3api/op_handlers.h"

#include "base/clock.h"
#include "s3api/access.h"
#include "s3api/copy_source.h"
#include "s3api/dialect.h"
#include "s3api/xml.h"

/* A copy onto itself whose checksum is to be computed begins anew when the object changes meanwhile. */
#define RESTARTS_MAX 5

struct copy {
    struct s3_copy_source source;
    struct s3_key key;
    struct s3_objmeta asked; /* by the request's headers */
    struct s3_conditions conditions;
    bool replaces_metadata, replaces_tags;
    bool in_place;
    struct vfs_file *stage; /* NULL: in place, or a directory */
    uint64_t copied;
    enum s3_checksum_kind algorithm; /* asked for; NONE: the source's own will do */
    struct digest *digest;           /* while it is computed */
    char *chunk;
    uint64_t summed;
    struct s3_checksum computed;
    unsigned restarts;
};

/* Beginning ------------------------------------------------------------------------------------------------------ */

static enum s3_error parse_directive(struct s3_op *op, const char *header, const char *complaint, bool *out_replace)
{
    struct str value = s3_header(&op->req, header);
    *out_replace = str_is(value, "REPLACE");
    if (!value.ptr || *out_replace || str_is(value, "COPY"))
        return S3_OK;
    op->detail.argument_name = str_z(header);
    op->detail.argument_value = value;
    return s3_fail(op, S3_INVALID_ARGUMENT, "%s", complaint);
}

static enum s3_error parse_algorithm(struct s3_op *op, enum s3_checksum_kind *out)
{
    struct str name = s3_header(&op->req, "x-amz-checksum-algorithm");
    *out = s3_checksum_by_name(name);
    if (!name.ptr || *out != S3_CHECKSUM_NONE)
        return S3_OK;
    return s3_fail(op, S3_INVALID_REQUEST,
                   "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, "
                   "CRC32C, CRC64NVME, SHA1, SHA256]");
}

static enum s3_error parse_headers(struct s3_op *op, struct copy *c)
{
    s3_conditions_from_request(&op->req, "", &c->conditions);
    enum s3_error e = s3_object_check_unsupported(op);
    if (e == S3_OK)
        e = parse_directive(op, "x-amz-metadata-directive", "Unknown metadata directive.", &c->replaces_metadata);
    if (e == S3_OK)
        e = parse_directive(op, "x-amz-tagging-directive", "Unknown tagging directive.", &c->replaces_tags);
    if (e == S3_OK)
        e = parse_algorithm(op, &c->algorithm);
    if (e == S3_OK)
        e = s3_object_meta_from_request(op, &c->asked);
    return e == S3_OK ? s3_object_key(op, op->req.key, &c->key) : e;
}

static enum s3_error check_source(struct s3_op *op, struct copy *c)
{
    const struct s3_object *source = &c->source.object;
    bool changes = c->replaces_metadata || c->algorithm != S3_CHECKSUM_NONE ||
                   s3_header(&op->req, "x-amz-storage-class").ptr || c->asked.website_redirect.ptr;
    bool onto_itself = str_eq(c->source.name.bucket, op->req.bucket) && str_eq(c->source.name.key, op->req.key);
    if (onto_itself && !changes)
        return s3_fail(op, S3_INVALID_REQUEST,
                       "This copy request is illegal because it is trying to copy an object to itself without changing "
                       "the object's metadata, storage class, website redirect location or encryption attributes.");
    if (source->attr.size > LIMIT_COPY_BYTES_MAX)
        return s3_fail(op, S3_INVALID_REQUEST,
                       "The specified copy source is larger than the maximum allowable size for a copy source: %llu",
                       LIMIT_COPY_BYTES_MAX);
    if (c->key.is_directory && source->attr.size > 0)
        return s3_fail(op, S3_INVALID_REQUEST, "A key that ends in '/' names a directory, which holds no bytes.");
    /* Another name of the same file keeps the record it has. */
    c->in_place = onto_itself && (c->key.is_directory || source->attr.nlink == 1);
    return S3_OK;
}

enum s3_error s3_copy_object_begin(struct s3_op *op)
{
    struct copy *c = op->data = arena_new_of(op->arena, struct copy);
    enum s3_error e = parse_headers(op, c);
    if (e == S3_OK)
        e = s3_copy_source_open(op, !c->replaces_tags, &c->source);
    if (e == S3_OK && !c->replaces_tags && c->source.object.meta.tags.count > 0)
        e = s3_access_check_tags(op);
    if (e == S3_OK)
        e = check_source(op, c);
    if (e == S3_OK)
        e = s3_object_check_write(op, &c->key, &c->conditions);
    if (e != S3_OK || c->in_place || c->key.is_directory)
        return e;
    int rc = vfs_stage(op->bucket, c->key.path, op->cred, c->source.object.attr.size, &c->stage);
    return rc < 0 ? s3_fail_errno(op, rc, S3_FOR_WRITE) : S3_OK;
}

/* Steps ---------------------------------------------------------------------------------------------------------- */

static enum s3_error clone_step(struct s3_op *op, struct copy *c)
{
    struct s3_object *source = &c->source.object;
    uint64_t done = 0;
    int rc = vfs_clone_range(c->stage, c->copied, source->file, c->copied, source->attr.size - c->copied, &done);
    if (rc < 0)
        return s3_fail_errno(op, rc, S3_FOR_WRITE);
    c->copied += done;
    if (done == 0)
        source->attr.size = c->copied; /* cut short through POSIX meanwhile; its version tells */
    return S3_AGAIN;
}

static bool source_is_unchanged(const struct s3_object *source)
{
    struct vfs_attr now;
    if (source->attr.type == VFS_DIRECTORY)
        return true;
    return vfs_fstat(source->file, &now) == 0 &&
           vfs_version_eq(vfs_attr_version(&now), vfs_attr_version(&source->attr));
}

static bool needs_sum(const struct copy *c)
{
    const struct s3_object *source = &c->source.object;
    if (c->algorithm == S3_CHECKSUM_NONE || c->computed.kind != S3_CHECKSUM_NONE)
        return false;
    bool has_it = source->meta.checksum.kind == c->algorithm && !source->meta.checksum.composite;
    return !has_it || !source_is_unchanged(source);
}

/* Of the copy's own bytes, so that it is right whatever happens to the source. */
static enum s3_error sum_step(struct s3_op *op, struct copy *c)
{
    if (!c->digest) {
        c->digest = digest_new(s3_checksum_digest(c->algorithm));
        c->chunk = arena_alloc(op->arena, CHUNK_SIZE);
        c->summed = 0;
    }
    struct vfs_file *file = c->stage ? c->stage : c->source.object.file;
    uint64_t size = c->source.object.attr.size, step_end = c->summed + LIMIT_STEP_BYTES;
    while (c->summed < size && c->summed < step_end) {
        uint64_t left = size - c->summed;
        ssize_t got = vfs_read(file, c->chunk, left < CHUNK_SIZE ? (size_t)left : CHUNK_SIZE, c->summed);
        if (got < 0)
            return s3_fail_errno(op, (int)got, S3_FOR_WRITE);
        if (got == 0)
            break;
        digest_update(c->digest, str_of(c->chunk, (size_t)got));
        c->summed += (uint64_t)got;
        if (c->summed == step_end)
            return S3_AGAIN;
    }
    uint8_t value[DIGEST_SIZE_MAX];
    digest_final(c->digest, value);
    digest_freep(&c->digest);
    c->computed = (struct s3_checksum){.kind = c->algorithm};
    memcpy(c->computed.value, value, s3_checksum_size(c->algorithm));
    return S3_AGAIN;
}

/* What the copy of `from` will be; is_same: its bytes are those that its record describes. */
static struct s3_objmeta copied_meta(struct s3_op *op, const struct copy *c, const struct s3_object *from, bool is_same)
{
    struct s3_objmeta m = c->replaces_metadata ? c->asked : from->meta;
    m.tags = c->replaces_tags ? c->asked.tags : from->meta.tags;
    m.owner_id = c->asked.owner_id;
    m.acl = c->asked.acl;
    m.storage_class = c->asked.storage_class;
    m.website_redirect = c->asked.website_redirect;
    bool has_etag = is_same && !str_eq(from->meta.etag, s3_etag_derive(&from->attr, op->arena));
    m.etag = has_etag ? from->meta.etag : STR_EMPTY;
    m.checksum = is_same ? from->meta.checksum : (struct s3_checksum){0};
    m.parts = is_same ? from->meta.parts : NULL;
    m.part_count = is_same ? from->meta.part_count : 0;
    m.upload_id = STR_EMPTY;
    m.modified_ns = clock_wall_ns();
    m.posix = (struct s3_posix_note){0};
    if (c->computed.kind != S3_CHECKSUM_NONE)
        m.checksum = c->computed;
    return m;
}

/* Ends ----------------------------------------------------------------------------------------------------------- */

static enum s3_error reply(struct s3_op *op, const struct s3_objmeta *m, struct str etag)
{
    struct buf *b = &op->out;
    xml_begin(b);
    xml_open_ns(b, "CopyObjectResult");
    xml_time(b, "LastModified", m->modified_ns);
    xml_etag(b, "ETag", etag);
    s3_write_checksum(op, &m->checksum);
    xml_close(b, "CopyObjectResult");
    return s3_reply_xml(op, 200);
}

static enum s3_error finish_new(struct s3_op *op, struct copy *c)
{
    struct s3_objmeta m = copied_meta(op, c, &c->source.object, source_is_unchanged(&c->source.object));
    struct vfs_attr attr = {.type = VFS_DIRECTORY};
    enum s3_error e = c->key.is_directory ? s3_object_publish_directory(op, &c->key, &m, &c->conditions)
                                          : s3_object_publish(op, &c->key, c->stage, &m, &c->conditions, &attr);
    if (e != S3_OK)
        return e;
    return reply(op, &m, m.etag.len > 0 ? m.etag : s3_objmeta_etag(STR_EMPTY, &attr, op->arena));
}

/* Mode and owner first, noted in the record; then the record, which fits the file before and after the last step; then the
 * mtime. Wherever this ends, by a crash too, the record is the old one or the new one, and describes the file. */
static enum s3_error rewrite(struct s3_op *op, const struct copy *c, struct s3_object *o)
{
    struct vfs_attr now;
    struct s3_objmeta m = copied_meta(op, c, o, true);
    struct vfs_set wanted = s3_dialect_wanted(&m.user);
    bool sets_mtime = wanted.which & VFS_SET_MTIME && o->attr.type == VFS_FILE;
    s3_dialect_apply(op, o->file, &wanted);
    if (vfs_fstat(o->file, &now) == 0) {
        o->attr.mode = now.mode;
        o->attr.uid = now.uid;
        o->attr.gid = now.gid;
    }
    m.upload_id = o->meta.upload_id;
    m.posix.set = wanted.which != 0;
    m.next_mtime_ns = sets_mtime ? wanted.mtime_ns : 0;
    o->meta = m;
    enum s3_error e = s3_object_store(op, o);
    struct vfs_set mtime = {.which = VFS_SET_MTIME, .mtime_ns = wanted.mtime_ns};
    if (e == S3_OK && sets_mtime && vfs_setattr(o->file, op->cred, &mtime) == 0)
        o->attr.mtime_ns = wanted.mtime_ns;
    return e;
}

static enum s3_error check_conditions(struct s3_op *op, const struct copy *c, const struct s3_object *o)
{
    enum s3_error e = s3_copy_source_check(op, o);
    if (e != S3_OK)
        return e;
    return s3_fail_condition(op, s3_check_write(&c->conditions, true, o->meta.etag), "", &c->conditions, o->meta.etag);
}

static enum s3_error rewrite_checked(struct s3_op *op, const struct copy *c, struct s3_object *o, bool *out_stale)
{
    struct vfs_version summed = vfs_attr_version(&o->attr);
    s3_object_close(o);
    enum s3_error e = s3_object_open_locked(op, c->key.key, o);
    if (e == S3_OK)
        e = check_conditions(op, c, o);
    *out_stale = c->computed.kind != S3_CHECKSUM_NONE && !vfs_version_eq(summed, vfs_attr_version(&o->attr));
    if (e == S3_OK && !*out_stale)
        e = rewrite(op, c, o);
    s3_object_close(o); /* and with it the lock, before the client has time to be slow */
    return e;
}

static enum s3_error finish_in_place(struct s3_op *op, struct copy *c)
{
    struct s3_object *o = &c->source.object;
    bool is_stale = false;
    enum s3_error e = rewrite_checked(op, c, o, &is_stale);
    if (e != S3_OK)
        return e;
    if (is_stale) {
        c->computed = (struct s3_checksum){0};
        e = s3_object_open(op, op->bucket, c->key.key, o);
        if (e != S3_OK)
            return e;
        return c->restarts++ < RESTARTS_MAX ? S3_AGAIN : S3_CONDITIONAL_CONFLICT;
    }
    return reply(op, &o->meta, o->meta.etag.len > 0 ? o->meta.etag : s3_etag_derive(&o->attr, op->arena));
}

enum s3_error s3_copy_object_finish(struct s3_op *op)
{
    struct copy *c = op->data;
    if (c->stage && c->copied < c->source.object.attr.size)
        return clone_step(op, c);
    if (needs_sum(c))
        return sum_step(op, c);
    return c->in_place ? finish_in_place(op, c) : finish_new(op, c);
}

void s3_copy_object_end(struct s3_op *op)
{
    struct copy *c = op->data;
    if (!c)
        return;
    s3_copy_source_close(&c->source);
    digest_freep(&c->digest);
    vfs_closep(&c->stage);
}
