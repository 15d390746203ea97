/* CompleteMultipartUpload: one phase after the other, in bounded steps, so that the answer can be kept alive meanwhile.
 *
 *   LIST ─▶ LOCK ─▶ LOAD ─▶ PLAN ─▶ MOVE ─▶ PUBLISH ─▶ REMOVE ─▶ answer
 *             │       ▲               │ (a part was uploaded again)       ▲
 *             │       └───────────────┘                                  │
 *             └── (ended by another Complete: its object answers) ─────────┘
 *
 * The upload's lock is held from LOCK to the end: of Completes that race, one works, the others wait for its result. */
#include <errno.h>
#include <time.h>

#include "base/check.h"
#include "base/encode.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/metrics.h"
#include "s3api/assembly.h"
#include "s3api/completion.h"
#include "s3api/object.h"
#include "s3api/op_handlers.h"
#include "s3api/xml.h"

enum phase { PHASE_LIST, PHASE_LOCK, PHASE_LOAD, PHASE_PLAN, PHASE_MOVE, PHASE_PUBLISH, PHASE_REMOVE, PHASE_ANSWER };

#define LOAD_STEP_PARTS 1000
#define REMOVE_STEP_FILES 1000
/* Files that uploads in progress go on making are left to housekeeping. */
#define REMOVE_STEPS_MAX 100
#define RELOADS_MAX 10
#define LOCK_WAIT_NS (10 * 1000 * 1000)

struct complete {
    enum phase phase;
    struct s3_key key;
    struct s3_conditions conditions;
    struct s3_upload upload;
    struct vfs_file *lock; /* the upload's */
    struct s3_completion request;
    struct s3_part *parts;
    size_t loaded;
    unsigned reloads, removals;
    struct s3_assembly assembly;
    struct s3_objmeta meta; /* of the object to be, or that another Complete made */
};

/* Is the object of that key the result of this upload? Then that is the answer. */
static bool find_completed(struct s3_op *op, struct complete *c, struct str upload_id)
{
    struct s3_error_detail detail = op->detail;
    const char *cause = op->error_cause;
    struct s3_object o = {0};
    bool is_it = false;
    if (s3_object_open(op, op->bucket, op->req.key, &o) == S3_OK) {
        is_it = str_eq(o.meta.upload_id, upload_id);
        if (is_it)
            c->meta = o.meta;
        s3_object_close(&o);
    }
    op->detail = detail;
    op->error_cause = cause;
    return is_it;
}

enum s3_error s3_complete_multipart_upload_begin(struct s3_op *op)
{
    struct complete *c = arena_new_of(op->arena, struct complete);
    struct str id = s3_param_value(&op->req, "uploadId");
    op->data = c;
    enum s3_error e = s3_object_key(op, op->req.key, &c->key);
    if (e == S3_OK)
        e = s3_upload_open(op, id, op->req.key, &c->upload);
    if (e == S3_NO_SUCH_UPLOAD && s3_upload_id_is_valid(id) && find_completed(op, c, id)) {
        c->phase = PHASE_ANSWER;
        return S3_OK;
    }
    if (e != S3_OK)
        return e;
    s3_conditions_from_request(&op->req, "", &c->conditions);
    return s3_completion_read_headers(op, &c->upload, &c->request);
}

static enum s3_error list(struct s3_op *op, struct complete *c)
{
    enum s3_error e = s3_completion_read_list(op, &c->request);
    if (e == S3_OK)
        c->parts = arena_array_of(op->arena, struct s3_part, c->request.count);
    return e;
}

/* A crash may have come between an earlier Complete's publishing and its removal of the folder. */
static enum s3_error lock(struct s3_op *op, struct complete *c)
{
    int r = s3_upload_lock(c->upload.dir, &c->lock);
    if (r == -EAGAIN) {
        struct timespec wait = {.tv_nsec = LOCK_WAIT_NS};
        nanosleep(&wait, NULL);
        return S3_AGAIN;
    }
    if (r < 0 && r != -ENOENT)
        return s3_fail_errno(op, r, S3_FOR_UPLOAD);
    if (find_completed(op, c, c->upload.id)) {
        c->phase = r == 0 ? PHASE_PUBLISH : PHASE_REMOVE; /* what is done is not done again */
        return S3_OK;
    }
    if (r == 0)
        return S3_OK;
    op->detail.upload_id = c->upload.id;
    return S3_NO_SUCH_UPLOAD;
}

static enum s3_error load(struct s3_op *op, struct complete *c)
{
    for (size_t budget = LOAD_STEP_PARTS; c->loaded < c->request.count; budget--) {
        if (budget == 0)
            return S3_AGAIN;
        uint32_t number = c->request.listed[c->loaded].number;
        struct s3_part *part = &c->parts[c->loaded];
        int r = number <= LIMIT_PARTS ? s3_part_read(c->upload.dir, number, part) : -ENOENT;
        if (r < 0 && r != -ENOENT && r != -EBADMSG)
            return s3_fail_errno(op, r, S3_FOR_UPLOAD);
        enum s3_error e = s3_completion_check_part(op, &c->upload, &c->request, c->loaded, r == 0 ? part : NULL);
        if (e != S3_OK)
            return e;
        c->loaded++;
    }
    return S3_OK;
}

/* errno of the assembly. Bytes that are gone make a part that has to be uploaded again. */
static enum s3_error fail_assembly(struct s3_op *op, int r)
{
    if (r != -ENODATA)
        return s3_fail_errno(op, r, S3_FOR_WRITE);
    op->detail.upload_id = s3_param_value(&op->req, "uploadId");
    return S3_INVALID_PART;
}

static enum s3_error plan(struct s3_op *op, struct complete *c)
{
    c->meta = c->upload.meta;
    enum s3_error e = s3_completion_result(op, &c->upload, &c->request, c->parts, &c->meta);
    if (e == S3_OK)
        e = s3_object_check_write(op, &c->key, &c->conditions);
    if (e != S3_OK)
        return e;
    struct s3_assembly *a = &c->assembly;
    int r = s3_assembly_begin(a, c->upload.dir, c->parts, c->request.count);
    if (r == 0 && !a->file)
        r = vfs_stage(op->bucket, c->key.path, op->cred, a->size, &a->file);
    return r < 0 ? fail_assembly(op, r) : S3_OK;
}

static enum s3_error move(struct s3_op *op, struct complete *c)
{
    int r = s3_assembly_step(&c->assembly);
    if (r == 1)
        return S3_AGAIN;
    if (r == -ESTALE && c->reloads < RELOADS_MAX) {
        c->reloads++;
        c->loaded = 0;
        s3_assembly_end(&c->assembly);
        c->phase = PHASE_LOCK; /* which is done: LOAD comes next */
        return S3_OK;
    }
    if (r == -ESTALE)
        return S3_CONDITIONAL_CONFLICT;
    return r < 0 ? fail_assembly(op, r) : S3_OK;
}

static enum s3_error publish(struct s3_op *op, struct complete *c)
{
    struct vfs_attr attr;
    int r = fault_point("multipart.publish");
    if (r < 0)
        return s3_fail_errno(op, r, S3_FOR_WRITE);
    enum s3_error e = s3_object_publish(op, &c->key, c->assembly.file, &c->meta, &c->conditions, &attr);
    if (e == S3_OK)
        metric_add(metric_get(METRIC_COUNTER, "sluice_multipart_moved_bytes_total", "",
                              "Bytes that completing multipart uploads had to copy or clone."),
                   c->assembly.moved);
    return e;
}

/* The object is there: whatever goes wrong from here on is housekeeping's. */
static enum s3_error remove_upload(struct s3_op *op, struct complete *c)
{
    int r = s3_upload_discard(op->bucket, c->upload.id, REMOVE_STEP_FILES);
    return r == 1 && c->removals++ < REMOVE_STEPS_MAX ? S3_AGAIN : S3_OK;
}

/* The object's address as the client would write it: the style of its own request. */
static struct str location(struct s3_op *op)
{
    CLEANUP(buf_done) struct buf b = buf_make(LIMIT_HEAD_BYTES);
    buf_addz(&b, op->in.tls ? "https://" : "http://");
    buf_add(&b, s3_header(&op->req, "host"));
    buf_addc(&b, '/');
    if (!op->req.virtual_host) {
        buf_add_uri(&b, op->req.bucket, false);
        buf_addc(&b, '/');
    }
    buf_add_uri(&b, op->req.key, true);
    return arena_dup(op->arena, buf_str(&b));
}

static enum s3_error answer(struct s3_op *op, struct complete *c)
{
    struct buf *b = &op->out;
    xml_begin(b);
    xml_open_ns(b, "CompleteMultipartUploadResult");
    xml_text(b, "Location", location(op));
    xml_text(b, "Bucket", op->req.bucket);
    xml_text(b, "Key", op->req.key);
    xml_etag(b, "ETag", c->meta.etag);
    s3_checksum_xml(b, &c->meta.checksum);
    if (c->meta.checksum.kind != S3_CHECKSUM_NONE)
        xml_text(b, "ChecksumType", c->meta.checksum.composite ? STR("COMPOSITE") : STR("FULL_OBJECT"));
    xml_close(b, "CompleteMultipartUploadResult");
    return s3_reply_xml(op, 200);
}

enum s3_error s3_complete_multipart_upload_finish(struct s3_op *op)
{
    static enum s3_error (*const phases[])(struct s3_op *, struct complete *) = {
        [PHASE_LIST] = list,
        [PHASE_LOCK] = lock,
        [PHASE_LOAD] = load,
        [PHASE_PLAN] = plan,
        [PHASE_MOVE] = move,
        [PHASE_PUBLISH] = publish,
        [PHASE_REMOVE] = remove_upload,
    };
    struct complete *c = op->data;
    while (c->phase != PHASE_ANSWER) {
        enum s3_error e = phases[c->phase](op, c);
        if (e != S3_OK)
            return e;
        c->phase++;
    }
    return answer(op, c);
}

void s3_complete_multipart_upload_end(struct s3_op *op)
{
    struct complete *c = op->data;
    if (!c)
        return;
    s3_assembly_end(&c->assembly);
    vfs_closep(&c->lock);
    s3_upload_close(&c->upload);
}
