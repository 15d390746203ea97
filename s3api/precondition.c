#include "s3api/precondition.h"

#include "base/clock.h"
#include "base/http_value.h"

bool s3_condition_tells_content(struct str value)
{
    return value.ptr && !str_is(value, "*");
}

bool s3_has_conditions(const struct s3_conditions *c)
{
    return c->if_match.ptr || c->if_none_match.ptr || c->if_modified_since.ptr || c->if_unmodified_since.ptr ||
           c->has_size || c->has_modified;
}

/* Is the date given, legible, and the object not newer than it? */
static bool not_after(struct str date, int64_t mtime_s)
{
    int64_t s;
    return date.ptr && clock_parse_http(date, &s) && mtime_s <= s;
}

static bool after(struct str date, int64_t mtime_s)
{
    int64_t s;
    return date.ptr && clock_parse_http(date, &s) && mtime_s > s;
}

enum s3_error s3_check_read(const struct s3_conditions *c, struct str etag, int64_t mtime_s)
{
    if (c->if_match.ptr) {
        if (!http_etag_list_has(c->if_match, etag, false))
            return S3_PRECONDITION_FAILED;
    } else if (after(c->if_unmodified_since, mtime_s)) {
        return S3_PRECONDITION_FAILED;
    }
    if (c->if_none_match.ptr) {
        if (http_etag_list_has(c->if_none_match, etag, true))
            return S3_NOT_MODIFIED;
    } else if (not_after(c->if_modified_since, mtime_s)) {
        return S3_NOT_MODIFIED;
    }
    return S3_OK;
}

enum s3_error s3_check_copy_source(const struct s3_conditions *c, struct str etag, int64_t mtime_s)
{
    return s3_check_read(c, etag, mtime_s) == S3_OK ? S3_OK : S3_PRECONDITION_FAILED;
}

enum s3_error s3_check_write(const struct s3_conditions *c, bool exists, struct str etag)
{
    if (c->if_match.ptr && !exists)
        return S3_NO_SUCH_KEY;
    if (c->if_match.ptr && !http_etag_list_has(c->if_match, etag, false))
        return S3_PRECONDITION_FAILED;
    if (c->if_none_match.ptr && exists && http_etag_list_has(c->if_none_match, etag, true))
        return S3_PRECONDITION_FAILED;
    return S3_OK;
}

enum s3_error s3_check_delete(const struct s3_conditions *c, bool exists, struct str etag, uint64_t size, int64_t mtime_s)
{
    enum s3_error e = s3_check_write(c, exists, etag);
    if (e != S3_OK || !exists)
        return e;
    if ((c->has_size && c->size != size) || (c->has_modified && c->modified_s != mtime_s))
        return S3_PRECONDITION_FAILED;
    return S3_OK;
}

const char *s3_condition_name(const struct s3_conditions *c, struct str etag)
{
    if (c->if_match.ptr && !http_etag_list_has(c->if_match, etag, false))
        return "If-Match";
    if (c->if_none_match.ptr && http_etag_list_has(c->if_none_match, etag, true))
        return "If-None-Match";
    if (c->if_unmodified_since.ptr)
        return "If-Unmodified-Since";
    if (c->if_modified_since.ptr)
        return "If-Modified-Since";
    return c->has_size ? "x-amz-if-match-size" : "x-amz-if-match-last-modified-time";
}
