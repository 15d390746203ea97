/* Browser forms: whatever the bytes and however they are split, the same fields and the same file come out; and a policy decodes to
 * a verdict. */
#include "tests/fuzz/fuzz.h"

#include "auth/form.h"
#include "base/digest.h"
#include "base/encode.h"
#include "s3api/form.h"

struct outcome {
    uint64_t fields, file_bytes, files;
    bool failed, ended;
    uint8_t md5[DIGEST_SIZE_MAX];
};

static void parse(struct str bytes, size_t piece, struct outcome *out)
{
    struct s3_form form;
    struct digest *digest = digest_new(DIGEST_MD5);
    s3_form_init(&form, STR("b"));
    *out = (struct outcome){0};
    while (bytes.len > 0 && !out->failed) {
        struct str part = str_first(bytes, piece);
        bytes = str_from(bytes, part.len);
        struct s3_form_event event;
        while (part.len > 0 && !out->failed) {
            enum s3_form_kind kind = s3_form_next(&form, &part, &event);
            digest_update(digest, event.name);
            digest_update(digest, event.value);
            digest_update(digest, event.bytes);
            out->fields += kind == S3_FORM_FIELD;
            out->files += kind == S3_FORM_FILE_BEGIN;
            out->file_bytes += event.bytes.len;
            out->ended |= kind == S3_FORM_FILE_END;
            out->failed = kind == S3_FORM_BAD || kind == S3_FORM_TOO_LARGE;
        }
    }
    digest_final(digest, out->md5);
    digest_free(digest);
    s3_form_done(&form);
}

static void check_policy(struct str json)
{
    struct arena *arena = arena_new();
    struct buf text = buf_make(4 * LIMIT_FORM_BYTES), error = buf_make(4 * LIMIT_FORM_BYTES);
    struct auth_form_range range;
    buf_add_base64(&text, json.ptr, json.len);
    struct auth_param params[] = {{STR("policy"), buf_str(&text)}, {STR("key"), STR("a")}};
    struct auth_query fields = {.params = params, .count = ARRAY_SIZE(params)};
    if (auth_form_check(&fields, STR("bucket"), arena, &range, &error) != 0)
        CHECK(error.len > 0);
    buf_done(&text);
    buf_done(&error);
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, pieces;
    struct str boundary, bytes = fuzz_str(data, size);
    parse(bytes, size ? size : 1, &whole);
    parse(bytes, 1 + size % 7, &pieces);
    CHECK(whole.failed == pieces.failed && whole.ended == pieces.ended && whole.files <= 1);
    CHECK(whole.fields == pieces.fields && whole.file_bytes == pieces.file_bytes && memcmp(whole.md5, pieces.md5, 16) == 0);
    if (s3_form_boundary(bytes, &boundary))
        CHECK(boundary.len > 0 && boundary.len <= S3_FORM_BOUNDARY_MAX);
    if (size > 0)
        check_policy(bytes);
    return 0;
}
