/* The grammar of vfs/vfs.h's paths, and cutting them. Pure. May be included by vfs/ only. Thread: any. */
#ifndef VFS_PATH_H
#define VFS_PATH_H

#include <stdbool.h>

#include "base/str.h"

/* Every name of the volumes' own work in progress starts so; no caller can address one. */
#define VFS_PATH_TEMP_PREFIX ".sluice-"
/* Where volumes keep their own files; hidden from scans, otherwise an ordinary directory. */
#define VFS_PATH_STATE_NAME ".sluice"

/* Well-formed: see vfs/vfs.h. The empty path is. */
bool vfs_path_ok(struct str path);
/* Everything before the last segment (empty when there is one segment only), and the last segment. */
struct str vfs_path_parent(struct str path);
struct str vfs_path_leaf(struct str path);
/* Is `path` the same as `above`, or below it? */
bool vfs_path_below(struct str path, struct str above);

#endif
