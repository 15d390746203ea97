#include "tests/support/multipart_client.h"

#include <stdio.h>

#include "base/check.h"

static struct s3_answer *call(struct s3_engine *e, const char *method, struct str target, struct str body,
                              const char *const *headers, const char *const *more)
{
    struct s3_call c = {.method = method, .target = target.ptr, .body = body, .wire = S3_WIRE_UNSIGNED};
    size_t count = 0;
    for (; headers && *headers; headers++)
        c.headers[count++] = *headers;
    for (; more && *more; more++)
        c.headers[count++] = *more;
    CHECK(count < S3_CALL_HEADERS_MAX);
    return s3_call(e, &c);
}

static struct str upload_target(const struct mpu *u, const char *query)
{
    return arena_printf(s3_engine_arena(u->e), "%s?uploadId=%.*s%s", u->target, STR_ARG(u->id), query);
}

struct s3_answer *mpu_create_call(struct s3_engine *e, const char *target, const char *const *headers)
{
    return call(e, "POST", arena_printf(s3_engine_arena(e), "%s?uploads", target), STR_EMPTY, headers, NULL);
}

struct mpu mpu_create(struct s3_engine *e, const char *target, const char *const *headers)
{
    struct s3_answer *a = mpu_create_call(e, target, headers);
    CHECK(a->status == 200);
    return (struct mpu){.e = e, .target = target, .id = s3_answer_element(a, "UploadId")};
}

struct s3_answer *mpu_part_call(const struct mpu *u, uint32_t number, struct str bytes, const char *const *headers)
{
    char query[32];
    snprintf(query, sizeof(query), "&partNumber=%u", number);
    return call(u->e, "PUT", upload_target(u, query), bytes, headers, NULL);
}

struct mpu_part mpu_part(const struct mpu *u, uint32_t number, struct str bytes)
{
    struct s3_answer *a = mpu_part_call(u, number, bytes, NULL);
    CHECK(a->status == 200);
    return (struct mpu_part){.number = number, .etag = s3_answer_header(a, "ETag")};
}

struct s3_answer *mpu_copy_call(const struct mpu *u, uint32_t number, const char *source, const char *range,
                                const char *const *headers)
{
    struct arena *arena = s3_engine_arena(u->e);
    const char *more[3] = {arena_printf(arena, "x-amz-copy-source: %s", source).ptr};
    char query[32];
    snprintf(query, sizeof(query), "&partNumber=%u", number);
    if (range)
        more[1] = arena_printf(arena, "x-amz-copy-source-range: %s", range).ptr;
    return call(u->e, "PUT", upload_target(u, query), STR_EMPTY, headers, more);
}

struct s3_answer *mpu_complete_document(const struct mpu *u, struct str document, const char *const *headers)
{
    return call(u->e, "POST", upload_target(u, ""), document, headers, NULL);
}

struct s3_answer *mpu_complete_call(const struct mpu *u, const struct mpu_part *parts, size_t count,
                                    const char *const *headers)
{
    CLEANUP(buf_done) struct buf b = buf_make(16 * 1024 * 1024);
    buf_addz(&b, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t i = 0; i < count; i++)
        buf_addf(&b, "<Part><PartNumber>%u</PartNumber><ETag>%.*s</ETag>%s</Part>", parts[i].number,
                 STR_ARG(parts[i].etag), parts[i].more ? parts[i].more : "");
    buf_addz(&b, "</CompleteMultipartUpload>");
    return mpu_complete_document(u, arena_dup(s3_engine_arena(u->e), buf_str(&b)), headers);
}

struct s3_answer *mpu_abort_call(const struct mpu *u)
{
    return call(u->e, "DELETE", upload_target(u, ""), STR_EMPTY, NULL, NULL);
}

struct s3_answer *mpu_list_parts_call(const struct mpu *u, const char *query)
{
    return call(u->e, "GET", upload_target(u, query), STR_EMPTY, NULL, NULL);
}

struct str mpu_bytes(struct s3_engine *e, size_t size, unsigned seed)
{
    char *bytes = arena_alloc(s3_engine_arena(e), size + 1);
    uint64_t x = 0x9e3779b97f4a7c15u * (seed + 1);
    for (size_t i = 0; i < size; i++) {
        if (i % 8 == 0)
            x = x * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (char)(x >> (8 * (i % 8)));
    }
    return str_of(bytes, size);
}
