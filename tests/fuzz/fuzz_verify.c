/* Authorization headers, presigned queries, request targets: no bytes are accepted as a signature that was never made, and none do
 * harm. The input is a request in the form of tests/support/head.h. */
#include "tests/fuzz/fuzz.h"

#include "auth/store.h"
#include "auth/verify.h"
#include "s3api/request.h"
#include "tests/support/head.h"

static bool is_head(struct str text)
{
    struct str rest = text, line;
    size_t lines = 0;
    while (str_split(&rest, '\n', &line))
        lines++;
    return str_find_char(text, '\0') < 0 && str_find_char(text, ' ') >= 0 && lines < LIMIT_HEADER_COUNT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct auth_snapshot *identities;
    if (!identities)
        identities = auth_snapshot_with_root(NULL, STR("AKIAIOSFODNN7EXAMPLE"), STR("a-secret-nobody-has-signed-with"));
    struct arena *arena = arena_new();
    char *text = arena_dupz(arena, fuzz_str(data, size));
    if (is_head(str_z(text)) && str_find_char(str_z(text), ' ') < str_find_char(str_z(text), '\n')) {
        struct http_head head = head_of(text);
        struct auth_rules rules = {.region = STR("us-east-1"), .sigv2 = true};
        struct auth_result result;
        enum auth_error error = auth_verify(&rules, identities, &head, arena, &result);
        CHECK(error != AUTH_OK || result.scheme == AUTH_ANONYMOUS);
        struct s3_request *request = arena_new_of(arena, struct s3_request);
        if (s3_request_parse(request, &head, STR("s3.example.org"), arena) == S3_OK)
            CHECK(request->param_count <= LIMIT_QUERY_PARAMS);
    }
    arena_free(arena);
    return 0;
}
