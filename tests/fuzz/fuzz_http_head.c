/* Request heads: parsing all at once and byte by byte agree. */
#include "tests/fuzz/fuzz.h"

#include "gateway/http_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gw_parsed whole, steps; /* large */
    enum gw_fault fault = {0}, step_fault = {0};
    const char *bytes = (const char *)data;
    enum gw_parse_result result = gw_http_parse(bytes, size, 0, &whole, &fault), step = GW_PARSE_MORE;
    size_t have = 0, seen = 0;
    while (step == GW_PARSE_MORE && have < size) {
        seen = have;
        have += 1 + (seen % 3);
        if (have > size)
            have = size;
        step = gw_http_parse(bytes, have, seen, &steps, &step_fault);
    }
    if (size == 0)
        return 0;
    CHECK(result == step);
    if (result == GW_PARSE_DONE) {
        CHECK(whole.size == steps.size && whole.size <= size);
        CHECK(whole.chunked == steps.chunked && whole.content_length == steps.content_length);
        CHECK(!(whole.chunked && whole.content_length >= 0));
        CHECK(whole.head.header_count == steps.head.header_count);
    }
    return 0;
}
