/* POSIX ACLs as Linux hands them over in extended attributes: what is accepted comes out again byte for byte, but for the order
 * of its entries and the ids of those that have none. */
#include "base/buf.h"
#include "base/check.h"
#include "tests/fuzz/fuzz.h"
#include "vfs/meta/meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct meta_acl rule, again;
    if (meta_acl_parse_xattr(fuzz_str(data, size), &rule) < 0)
        return 0;
    struct buf first = buf_make(2 * size + 64), second = buf_make(2 * size + 64);
    meta_acl_format_xattr(&rule, &first);
    CHECK(!first.failed);
    if (rule.owner <= 7 && rule.group <= 7 && rule.other <= 7) {
        CHECK(meta_acl_parse_xattr(buf_str(&first), &again) == 0);
        meta_acl_format_xattr(&again, &second);
        CHECK(str_eq(buf_str(&first), buf_str(&second)));
        meta_acl_done(&again);
    }
    meta_acl_done(&rule);
    buf_done(&first);
    buf_done(&second);
    return 0;
}
