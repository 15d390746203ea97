/* Packed lists, which a file's owner may write by hand: any bytes grant nothing, or what packing them again says. */
#include "tests/fuzz/fuzz.h"

#include "s3api/acl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct s3_acl acl, again;
    struct str owner = STR("owner");
    struct arena *arena = arena_new();
    if (size <= LIMIT_ACL_BYTES / 2) {
        s3_acl_unpack(fuzz_str(data, size), owner, arena, &acl);
        s3_acl_unpack(s3_acl_pack(&acl, arena), owner, arena, &again);
        CHECK(again.count == acl.count);
        CHECK(s3_acl_permits(&again, owner, true) == s3_acl_permits(&acl, owner, true));
        CHECK(s3_acl_permits(&acl, STR_EMPTY, false) == 0);
    }
    arena_free(arena);
    return 0;
}
