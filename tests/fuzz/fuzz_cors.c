/* A bucket's rules for other origins: any bytes are refused, or give rules that are kept as they were read. */
#include "tests/fuzz/fuzz.h"

#include "base/limits.h"
#include "s3api/cors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct s3_cors_rules rules, again;
    struct str document = fuzz_str(data, size), tail = str_from(document, size > 20 ? size - 20 : 0);
    struct s3_op op = {.arena = arena_new(), .out = buf_make(LIMIT_XML_REPLY_BYTES)};
    if (s3_cors_parse(&op, document, &rules) == S3_OK) {
        (void)s3_cors_match(&rules, tail, STR("GET"), tail);
        s3_cors_write_xml(&op, &rules);
        CHECK(s3_cors_parse(&op, buf_str(&op.out), &again) == S3_OK);
        CHECK(again.count == rules.count);
    }
    buf_done(&op.out);
    arena_free(op.arena);
    return 0;
}
