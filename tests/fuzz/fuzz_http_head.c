/* Request heads: parsing all at once and byte by byte agree. */
#include "tests/fuzz/fuzz.h"

#include "gateway/http_parse.h"

/* What comes in pieces is parsed when it is complete, so that it costs no more than another head: what is wrong with it may be seen
 * sooner or later than in one piece. When it is complete, it is seen. */
static enum gw_parse_result complete(const char *bytes, size_t size, size_t seen, struct gw_parsed *out, enum gw_fault *out_fault)
{
    static const char rest[] = "\r\n\r\nbytes of the next";
    char *longer = malloc(size + sizeof(rest));
    CHECK(longer != NULL);
    memcpy(longer, bytes, size);
    memcpy(longer + size, rest, sizeof(rest));
    enum gw_parse_result result = gw_http_parse(longer, size + sizeof(rest), seen, out, out_fault);
    free(longer);
    return result;
}

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
    if (result == GW_PARSE_FAULT && step == GW_PARSE_MORE)
        step = complete(bytes, size, size, &steps, &step_fault);
    if (result == GW_PARSE_MORE && step == GW_PARSE_FAULT)
        result = complete(bytes, size, 0, &whole, &fault);
    CHECK(result == step);
    if (result == GW_PARSE_DONE) {
        CHECK(whole.size == steps.size && whole.size <= size);
        CHECK(whole.chunked == steps.chunked && whole.content_length == steps.content_length);
        CHECK(!(whole.chunked && whole.content_length >= 0));
        CHECK(whole.head.header_count == steps.head.header_count);
    }
    return 0;
}
