/* The chunked transfer coding: any split decodes alike. */
#include "tests/fuzz/fuzz.h"

#include "base/buf.h"
#include "gateway/http_chunked.h"

static int decode(struct str bytes, size_t piece, struct buf *out, bool *ended)
{
    struct gw_chunked decoder = gw_chunked_make();
    int result = 0;
    while (bytes.len > 0 && result == 0 && !gw_chunked_ended(&decoder)) {
        char copy[4096];
        struct str part = str_first(bytes, piece < sizeof copy ? piece : sizeof copy);
        memcpy(copy, part.ptr, part.len);
        size_t len = part.len, used = 0;
        result = gw_chunked_decode(&decoder, copy, &len, &used);
        if (result < 0)
            break;
        CHECK(used <= part.len && len <= part.len);
        buf_add(out, str_of(copy, len));
        bytes = str_from(bytes, used);
    }
    *ended = gw_chunked_ended(&decoder);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = buf_make(1 << 20), pieces = buf_make(1 << 20);
    bool whole_ended, pieces_ended;
    int a = decode(fuzz_str(data, size), 4096, &whole, &whole_ended);
    int b = decode(fuzz_str(data, size), 1 + size % 5, &pieces, &pieces_ended);
    CHECK((a < 0) == (b < 0) && whole_ended == pieces_ended);
    CHECK(a < 0 || str_eq(buf_str(&whole), buf_str(&pieces)));
    buf_done(&whole);
    buf_done(&pieces);
    return 0;
}
