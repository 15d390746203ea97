/* The metadata record of an object, which anybody with write access to the file can change. What decodes, encodes and decodes to the
 * same again. */
#include "tests/fuzz/fuzz.h"

#include "s3api/objmeta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vfs_attr attr = {.type = VFS_FILE, .ino = 7, .size = 1000, .mtime_ns = 1700000000000000000};
    struct arena *arena = arena_new();
    struct s3_objmeta meta, again;
    s3_objmeta_decode(fuzz_str(data, size), &attr, STR("key.txt"), arena, &meta);
    CHECK(meta.etag.len > 0 && meta.content_type.len > 0);
    struct buf record = buf_make(1 << 20), second = buf_make(1 << 20);
    s3_objmeta_encode(&meta, &attr, &record);
    if (!record.failed) {
        s3_objmeta_decode(buf_str(&record), &attr, STR("key.txt"), arena, &again);
        CHECK(again.user.count == meta.user.count && again.tags.count == meta.tags.count);
        s3_objmeta_encode(&again, &attr, &second);
        CHECK(str_eq(buf_str(&record), buf_str(&second)));
    }
    buf_done(&record);
    buf_done(&second);
    arena_free(arena);
    return 0;
}
