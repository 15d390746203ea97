#include "s3api/error.h"

#include <errno.h>

#include "base/check.h"
#include "s3api/op.h"

#define S3_ERROR_ROW(symbol, code, status, message) [symbol] = {code, status, message},
static const struct {
    const char *code;
    int status;
    const char *message;
} errors[S3_ERROR_COUNT] = {S3_ERRORS(S3_ERROR_ROW)};
#undef S3_ERROR_ROW

const char *s3_error_code(enum s3_error e)
{
    CHECK(e > S3_AGAIN && e < S3_ERROR_COUNT);
    return errors[e].code;
}

int s3_error_status(enum s3_error e)
{
    CHECK(e > S3_AGAIN && e < S3_ERROR_COUNT);
    return errors[e].status;
}

const char *s3_error_message(enum s3_error e)
{
    CHECK(e > S3_AGAIN && e < S3_ERROR_COUNT);
    return errors[e].message;
}

enum s3_error s3_fail(struct s3_op *op, enum s3_error error, const char *message_format, ...)
{
    va_list args;
    va_start(args, message_format);
    struct buf message = buf_make(LIMIT_TARGET_BYTES);
    buf_addv(&message, message_format, args);
    va_end(args);
    op->detail.message = arena_dup(op->arena, buf_str(&message));
    buf_done(&message);
    return error;
}

void s3_fail_extra(struct s3_op *op, const char *element, struct str value)
{
    CHECK(op->detail.extra_count < S3_ERROR_EXTRA_MAX);
    op->detail.extra[op->detail.extra_count++] =
        (struct s3_error_extra){.element = element, .value = arena_dup(op->arena, value)};
}

/* What a volume's refusal means, by what was looked up. A FIFO, socket or device (ENXIO) is no object, as listings do
 * not show it either, but a write may not replace it. ENOENT while writing: the bucket itself has gone. */
static const struct {
    int number;
    enum s3_error error[S3_FOR_WRITE + 1];
} by_errno[] = {
    {ENOENT, {S3_NO_SUCH_BUCKET, S3_NO_SUCH_KEY, S3_NO_SUCH_UPLOAD, S3_NO_SUCH_BUCKET}},
    {ENOTDIR, {S3_NO_SUCH_BUCKET, S3_NO_SUCH_KEY, S3_NO_SUCH_UPLOAD, S3_PARENT_IS_OBJECT}},
    {EISDIR, {S3_INTERNAL_ERROR, S3_NO_SUCH_KEY, S3_INTERNAL_ERROR, S3_KEY_IS_DIRECTORY}},
    {ENXIO, {S3_NO_SUCH_BUCKET, S3_NO_SUCH_KEY, S3_NO_SUCH_UPLOAD, S3_ACCESS_DENIED}},
    {ENAMETOOLONG, {S3_NO_SUCH_BUCKET, S3_KEY_TOO_LONG, S3_NO_SUCH_UPLOAD, S3_KEY_TOO_LONG}},
    {ENOTEMPTY, {S3_BUCKET_NOT_EMPTY, S3_INTERNAL_ERROR, S3_INTERNAL_ERROR, S3_INTERNAL_ERROR}},
    {EACCES, {S3_ACCESS_DENIED, S3_ACCESS_DENIED, S3_ACCESS_DENIED, S3_ACCESS_DENIED}},
    {EPERM, {S3_ACCESS_DENIED, S3_ACCESS_DENIED, S3_ACCESS_DENIED, S3_ACCESS_DENIED}},
    {ELOOP, {S3_ACCESS_DENIED, S3_ACCESS_DENIED, S3_ACCESS_DENIED, S3_ACCESS_DENIED}},
    {EXDEV, {S3_ACCESS_DENIED, S3_ACCESS_DENIED, S3_ACCESS_DENIED, S3_ACCESS_DENIED}},
    {EROFS, {S3_READ_ONLY, S3_READ_ONLY, S3_READ_ONLY, S3_READ_ONLY}},
    {ENOSPC, {S3_STORAGE_FULL, S3_STORAGE_FULL, S3_STORAGE_FULL, S3_STORAGE_FULL}},
    {EDQUOT, {S3_QUOTA_EXCEEDED, S3_QUOTA_EXCEEDED, S3_QUOTA_EXCEEDED, S3_QUOTA_EXCEEDED}},
    {EFBIG, {S3_ENTITY_TOO_LARGE, S3_ENTITY_TOO_LARGE, S3_ENTITY_TOO_LARGE, S3_ENTITY_TOO_LARGE}},
    {EMFILE, {S3_SLOW_DOWN, S3_SLOW_DOWN, S3_SLOW_DOWN, S3_SLOW_DOWN}},
    {ENFILE, {S3_SLOW_DOWN, S3_SLOW_DOWN, S3_SLOW_DOWN, S3_SLOW_DOWN}},
    {ENOMEM, {S3_SLOW_DOWN, S3_SLOW_DOWN, S3_SLOW_DOWN, S3_SLOW_DOWN}},
    {EAGAIN, {S3_SLOW_DOWN, S3_SLOW_DOWN, S3_SLOW_DOWN, S3_SLOW_DOWN}},
    {EBUSY, {S3_SLOW_DOWN, S3_SLOW_DOWN, S3_SLOW_DOWN, S3_SLOW_DOWN}},
};

static const char *looked_up_text(enum s3_looked_up what)
{
    switch (what) {
    case S3_FOR_BUCKET:
        return "bucket";
    case S3_FOR_KEY:
        return "key";
    case S3_FOR_UPLOAD:
        return "upload";
    case S3_FOR_WRITE:
        return "write";
    }
    return "?";
}

enum s3_error s3_fail_errno(struct s3_op *op, int negative_errno, enum s3_looked_up what)
{
    CHECK(negative_errno < 0);
    op->would_wait = op->would_wait || (op->quick && negative_errno == -EAGAIN);
    enum s3_error error = S3_INTERNAL_ERROR;
    for (size_t i = 0; i < ARRAY_SIZE(by_errno); i++)
        if (by_errno[i].number == -negative_errno)
            error = by_errno[i].error[what];
    if (s3_error_status(error) >= 500) {
        const char *name = strerrorname_np(-negative_errno);
        op->error_cause = arena_printf(op->arena, "%s of %s", name ? name : "unknown error", looked_up_text(what)).ptr;
    }
    return error;
}
