#include "vfs/path.h"

#include "base/limits.h"

static bool segment_ok(struct str segment)
{
    if (segment.len == 0 || segment.len > LIMIT_KEY_SEGMENT_BYTES)
        return false;
    if (str_is(segment, ".") || str_is(segment, ".."))
        return false;
    if (memchr(segment.ptr, '\0', segment.len))
        return false;
    return !str_starts(segment, STR(VFS_PATH_TEMP_PREFIX));
}

bool vfs_path_ok(struct str path)
{
    if (path.len == 0)
        return true;
    struct str rest = path, segment;
    while (str_split(&rest, '/', &segment)) {
        if (!segment_ok(segment))
            return false;
    }
    return true;
}

struct str vfs_path_parent(struct str path)
{
    ptrdiff_t slash = str_rfind_char(path, '/');
    return str_first(path, slash < 0 ? 0 : (size_t)slash);
}

struct str vfs_path_leaf(struct str path)
{
    return str_from(path, (size_t)(str_rfind_char(path, '/') + 1));
}

bool vfs_path_below(struct str path, struct str above)
{
    if (above.len == 0)
        return true;
    return str_starts(path, above) && (path.len == above.len || path.ptr[above.len] == '/');
}
