#include "s3api/multipart.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/random.h"
#include "s3api/access.h"
#include "s3api/bucket.h"
#include "s3api/object.h"

#define RECORD_NAME "upload"
#define RECORD_MAGIC "sluice upload 1"
/* Key and ids percent-encoded, and metadata that may become as large as the request's head. */
#define RECORD_BYTES_MAX (2 * LIMIT_HEAD_BYTES)
#define REMOVE_FILES 1000
/* The record's metadata describe no file yet, so their validator is that of none. */
static const struct vfs_attr no_file = {0};

#define UPLOAD_PATH_SIZE (sizeof(S3_UPLOADS_DIR) + 1 + S3_UPLOAD_ID_LEN)

static struct str upload_path(struct str id, char out[UPLOAD_PATH_SIZE])
{
    CHECK(id.len == S3_UPLOAD_ID_LEN);
    int len = snprintf(out, UPLOAD_PATH_SIZE, S3_UPLOADS_DIR "/%.*s", STR_ARG(id));
    return str_of(out, (size_t)len);
}

bool s3_upload_id_is_valid(struct str id)
{
    if (id.len != S3_UPLOAD_ID_LEN)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return true;
}

/* Files of the folder */

int s3_upload_write_file(struct vfs_dir *upload, struct str name, struct str bytes)
{
    const struct vfs_publish replace = {.mode = VFS_PUBLISH_REPLACE};
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    int r = vfs_stage(upload, name, NULL, bytes.len, &f);
    if (r == 0)
        r = vfs_write(f, bytes, 0);
    return r == 0 ? vfs_publish(f, upload, name, NULL, &replace, NULL) : r;
}

int s3_upload_read_file(struct vfs_dir *upload, struct str name, struct buf *out)
{
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    struct vfs_attr attr;
    int r = vfs_open(upload, name, NULL, VFS_OPEN_READ, &f, &attr);
    if (r < 0)
        return r;
    char *room = attr.size <= out->max ? buf_reserve(out, (size_t)attr.size) : NULL;
    if (!room)
        return -EBADMSG;
    ssize_t got = vfs_read(f, room, (size_t)attr.size, 0);
    if (got < 0)
        return (int)got;
    buf_extend(out, (size_t)got);
    return 0;
}

/* The record */

static void add_field(struct buf *b, const char *name, struct str value)
{
    buf_addf(b, "%s ", name);
    buf_add_uri(b, value, true);
    buf_addc(b, '\n');
}

/* Lines of "name value", the metadata's packed bytes last. */
static void record_encode(const struct s3_upload *u, struct buf *out)
{
    buf_addz(out, RECORD_MAGIC "\n");
    add_field(out, "key", u->key);
    add_field(out, "owner", u->owner_id);
    add_field(out, "initiator", u->initiator_id);
    buf_addf(out, "initiated %" PRId64 "\n", u->initiated_ns);
    if (u->checksum != S3_CHECKSUM_NONE)
        buf_addf(out, "%s %s\n", u->checksum_composite ? "composite" : "checksum", s3_checksum_name(u->checksum));
    for (size_t i = 0; i < u->asked.count; i++) {
        buf_addf(out, "asked %.*s ", STR_ARG(u->asked.items[i].name));
        buf_add_uri(out, u->asked.items[i].value, true);
        buf_addc(out, '\n');
    }
    buf_addz(out, "meta\n");
    s3_objmeta_encode(&u->meta, &no_file, out);
}

static bool text_decode(struct str value, struct arena *arena, struct str *out)
{
    CLEANUP(buf_done) struct buf b = buf_make(value.len);
    if (!uri_decode(value, false, &b))
        return false;
    *out = arena_dup(arena, buf_str(&b));
    return true;
}

/* "NAME VALUE" */
static bool asked_decode(struct str text, struct arena *arena, struct s3_pairs *out)
{
    struct str name, value;
    if (!out->items)
        out->items = arena_array_of(arena, struct s3_pair, S3_ACCESS_OBJECT_HEADERS_MAX);
    if (out->count == S3_ACCESS_OBJECT_HEADERS_MAX || !str_split(&text, ' ', &name) || !text_decode(text, arena, &value))
        return false;
    out->items[out->count++] = (struct s3_pair){arena_dup(arena, name), value};
    return true;
}

static bool field_decode(struct s3_upload *u, struct str name, struct str value, struct arena *arena)
{
    if (str_is(name, "key"))
        return text_decode(value, arena, &u->key) && u->key.len > 0;
    if (str_is(name, "owner"))
        return text_decode(value, arena, &u->owner_id);
    if (str_is(name, "initiator"))
        return text_decode(value, arena, &u->initiator_id);
    if (str_is(name, "asked"))
        return asked_decode(value, arena, &u->asked);
    if (str_is(name, "initiated")) {
        uint64_t ns;
        bool ok = str_parse_u64_max(value, INT64_MAX, &ns);
        u->initiated_ns = ok ? (int64_t)ns : 0;
        return ok;
    }
    if (str_is(name, "checksum") || str_is(name, "composite")) {
        u->checksum = s3_checksum_by_name(value);
        u->checksum_composite = str_is(name, "composite");
        return u->checksum != S3_CHECKSUM_NONE;
    }
    return false;
}

static bool record_decode(struct str record, struct arena *arena, struct s3_upload *out)
{
    struct s3_upload u = {0};
    struct str line;
    if (!str_split(&record, '\n', &line) || !str_is(line, RECORD_MAGIC))
        return false;
    while (str_split(&record, '\n', &line) && !str_is(line, "meta")) {
        struct str name;
        if (!str_split(&line, ' ', &name) || !field_decode(&u, name, line, arena))
            return false;
    }
    if (u.key.len == 0 || u.initiated_ns == 0)
        return false;
    s3_objmeta_decode(record, &no_file, u.key, arena, &u.meta);
    *out = u;
    return true;
}

static int record_read(struct vfs_dir *dir, struct str path, struct arena *arena, struct s3_upload *out)
{
    CLEANUP(buf_done) struct buf record = buf_make(RECORD_BYTES_MAX);
    int r = s3_upload_read_file(dir, path, &record);
    if (r < 0)
        return r;
    return record_decode(buf_str(&record), arena, out) ? 0 : -EBADMSG;
}

int s3_upload_read(struct vfs_dir *uploads, struct str upload_id, struct arena *arena, struct s3_upload *out)
{
    char path[S3_UPLOAD_ID_LEN + sizeof("/" RECORD_NAME)];
    CHECK(upload_id.len == S3_UPLOAD_ID_LEN);
    snprintf(path, sizeof(path), "%.*s/" RECORD_NAME, STR_ARG(upload_id));
    int r = record_read(uploads, str_z(path), arena, out);
    if (r == 0)
        out->id = arena_dup(arena, upload_id);
    return r;
}

/* Life */

static struct str id_make(int64_t now_ns, struct arena *arena)
{
    char id[S3_UPLOAD_ID_LEN + 1];
    snprintf(id, sizeof(id), "%016" PRIx64 "%016" PRIx64, (uint64_t)now_ns, random_u64());
    return arena_dup(arena, str_of(id, S3_UPLOAD_ID_LEN));
}

static int folder_make(struct s3_op *op, const struct s3_upload *u, struct str record, struct vfs_dir **out)
{
    char path[UPLOAD_PATH_SIZE];
    CLEANUP(vfs_dir_closep) struct vfs_dir *dir = NULL;
    int r = vfs_mkdir(op->bucket, upload_path(u->id, path), NULL, 0);
    if (r == 0)
        r = vfs_dir_open(op->bucket, upload_path(u->id, path), NULL, &dir);
    if (r == 0)
        r = s3_upload_write_file(dir, STR(RECORD_NAME), record);
    if (r == 0)
        *out = TAKE(dir);
    return r; /* what a failure leaves has no record, and is housekeeping's */
}

enum s3_error s3_upload_create(struct s3_op *op, struct s3_upload *u)
{
    enum s3_error e = s3_bucket_make_reserved(op, op->bucket);
    if (e != S3_OK)
        return e;
    u->initiated_ns = clock_wall_ns();
    u->id = id_make(u->initiated_ns, op->arena);
    CLEANUP(buf_done) struct buf record = buf_make(RECORD_BYTES_MAX);
    record_encode(u, &record);
    if (record.failed)
        return S3_METADATA_TOO_LARGE;
    int r = folder_make(op, u, buf_str(&record), &u->dir);
    return r < 0 ? s3_fail_errno(op, r, S3_FOR_WRITE) : S3_OK;
}

static enum s3_error no_such_upload(struct s3_op *op, struct str id)
{
    op->detail.upload_id = arena_dup(op->arena, id);
    return S3_NO_SUCH_UPLOAD;
}

/* An upload is kept by the process itself: what its initiator was let by the kernel (CreateMultipartUpload), others have to be, too. */
static enum s3_error check_other_door(struct s3_op *op, const struct s3_upload *u)
{
    struct s3_key key;
    bool is_initiator = op->auth.user && str_eq(u->initiator_id, op->auth.user->id);
    if (!op->cred || is_initiator)
        return S3_OK;
    enum s3_error e = s3_object_key(op, u->key, &key);
    return e == S3_OK ? s3_object_may_write(op, &key) : e;
}

enum s3_error s3_upload_open(struct s3_op *op, struct str upload_id, struct str key, struct s3_upload *out)
{
    char path[UPLOAD_PATH_SIZE];
    struct vfs_dir *documents;
    CLEANUP(vfs_dir_closep) struct vfs_dir *owned = NULL, *dir = NULL;
    if (!s3_upload_id_is_valid(upload_id))
        return no_such_upload(op, upload_id);
    struct s3_upload u = {0};
    /* One that somebody planted is none (SEC-24). */
    int r = s3_bucket_documents(op, op->bucket, &documents, &owned);
    if (r == 0)
        r = vfs_dir_open(documents, str_from(upload_path(upload_id, path), sizeof(S3_RESERVED_DIR "/") - 1), NULL, &dir);
    if (r == 0)
        r = record_read(dir, STR(RECORD_NAME), op->arena, &u);
    if (r == -ENOENT || r == -EPERM || (r == 0 && !str_eq(u.key, key)))
        return no_such_upload(op, upload_id);
    if (r < 0)
        return s3_fail_errno(op, r, S3_FOR_UPLOAD);
    enum s3_error e = check_other_door(op, &u);
    if (e != S3_OK)
        return e;
    u.id = arena_dup(op->arena, upload_id);
    u.dir = TAKE(dir);
    *out = u;
    return S3_OK;
}

void s3_upload_close(struct s3_upload *u)
{
    vfs_dir_closep(&u->dir);
}

int s3_upload_lock(struct vfs_dir *upload, struct vfs_file **out)
{
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    struct vfs_attr mine, now;
    int r = vfs_open(upload, STR(RECORD_NAME), NULL, VFS_OPEN_WRITE, &f, &mine);
    if (r == 0)
        r = vfs_lock(f, true);
    /* Whoever held it before may have ended the upload. */
    if (r == 0)
        r = vfs_lookup(upload, STR(RECORD_NAME), NULL, &now);
    if (r < 0)
        return r;
    if (now.ino != mine.ino)
        return -ENOENT;
    *out = TAKE(f);
    return 0;
}

static int discard_files(struct vfs_dir *dir, size_t budget, size_t *out_count)
{
    CLEANUP(vfs_scan_closep) struct vfs_scan *scan = NULL;
    struct vfs_dirent entry;
    size_t count = 0;
    int r = vfs_scan_open(dir, STR_EMPTY, NULL, STR_EMPTY, &scan);
    while (r == 0 && count < budget && (r = vfs_scan_next(scan, &entry)) == 1) {
        r = vfs_discard(dir, entry.name);
        if (r == -ENOENT)
            r = 0;
        count++;
    }
    *out_count = count;
    return r;
}

int s3_upload_discard(struct vfs_dir *bucket, struct str upload_id, size_t budget)
{
    char path[UPLOAD_PATH_SIZE];
    CLEANUP(vfs_dir_closep) struct vfs_dir *dir = NULL;
    int r = vfs_dir_open(bucket, upload_path(upload_id, path), NULL, &dir);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = vfs_unlink(dir, STR(RECORD_NAME), NULL, NULL);
    if (r == 0 || r == -ENOENT)
        r = fault_point("multipart.discard");
    size_t count = 0;
    if (r == 0)
        r = discard_files(dir, budget, &count);
    if (r == 0 && count == budget)
        return 1;
    if (r == 0)
        r = vfs_rmdir(bucket, upload_path(upload_id, path), NULL);
    /* A part that is still on its way may have made a file meanwhile. */
    if (r == -ENOTEMPTY && count > 0)
        return 1;
    return r == -ENOENT ? 0 : r;
}

enum s3_error s3_upload_remove(struct s3_op *op, struct vfs_dir *bucket, struct str upload_id)
{
    int r;
    do
        r = s3_upload_discard(bucket, upload_id, REMOVE_FILES);
    while (r == 1);
    return r < 0 && r != -ENOTEMPTY ? s3_fail_errno(op, r, S3_FOR_UPLOAD) : S3_OK;
}
