/* The small grammars of headers: ranges, entity tags, dates, copy sources, keys, base64, numbers with units. The first byte picks
 * one. */
#include "tests/fuzz/fuzz.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/http_value.h"
#include "base/limits.h"
#include "s3api/checksum.h"
#include "s3api/copy_source.h"
#include "s3api/key.h"

static void check_key(struct str s)
{
    struct s3_key key;
    const char *reason = NULL;
    if (s3_key_parse(s, &key, &reason) == S3_OK) {
        CHECK(key.path.len > 0 && key.path.len <= LIMIT_KEY_BYTES);
        CHECK(str_find(key.path, STR("//")) < 0 && !str_starts(key.path, STR("/")));
        CHECK(!str_starts(key.path, STR("../")) && str_find(key.path, STR("/../")) < 0);
    }
}

static void check_copy_source(struct str s)
{
    struct arena *arena = arena_new();
    struct s3_copy_name name;
    const char *reason = NULL;
    if (s3_copy_name_parse(s, arena, &name, &reason) == S3_OK)
        CHECK(name.bucket.len > 0 && name.key.len > 0);
    arena_free(arena);
}

static void check_range(struct str s)
{
    static const uint64_t sizes[] = {0, 1, 1000, UINT64_MAX / 2};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct http_range range;
        if (http_range_parse(s, sizes[i], &range) == HTTP_RANGE_PART)
            CHECK(range.length > 0 && range.first < sizes[i] && range.length <= sizes[i] - range.first);
    }
}

static void check_base64(struct str s)
{
    char bytes[256], text[BASE64_LEN(sizeof bytes)];
    size_t size;
    if (base64_decode(s, bytes, sizeof bytes, &size)) {
        base64_encode(bytes, size, text);
        CHECK(str_eq(s, str_of(text, BASE64_LEN(size))));
    }
}

static void check_numbers(struct str s)
{
    uint64_t n;
    int64_t t, again;
    char text[CLOCK_TEXT_MAX];
    struct s3_checksum checksum;
    /* A plain number counts bytes, and seconds. */
    if (str_parse_u64_max(s, 1000000, &n)) {
        uint64_t size, ms;
        CHECK(str_parse_size(s, &size) && size == n);
        CHECK(str_parse_duration_ms(s, &ms) && ms == n * 1000);
    }
    if (clock_parse_http(s, &t))
        CHECK(clock_format_http(t, text).len > 0);
    if (clock_parse_amz(s, &t)) /* not the same text: a second 60 is another's 0 */
        CHECK(clock_parse_amz(clock_format_amz(t, text), &again) && again == t);
    if (clock_parse_iso8601(s, &t))
        CHECK(clock_format_iso8601_ms(t, text).len > 0);
    if (s3_checksum_parse(S3_CHECKSUM_SHA256, s, &checksum))
        CHECK(checksum.kind == S3_CHECKSUM_SHA256);
    CHECK(!http_etag_list_has(s, STR("0123456789abcdef0123456789abcdef"), false) ||
          http_etag_list_has(s, STR("0123456789abcdef0123456789abcdef"), true));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(struct str) = {check_key, check_copy_source, check_range, check_base64, check_numbers};
    if (size > 0)
        checks[data[0] % ARRAY_SIZE(checks)](fuzz_str(data + 1, size - 1));
    return 0;
}
