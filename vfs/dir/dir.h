/* A directory of a mounted filesystem as a volume. May be included by vfs/ and by its tests only. */
#ifndef VFS_DIR_DIR_H
#define VFS_DIR_DIR_H

#include "vfs/vfs.h"

/* As vfs_open_volume, of a plain path. */
MUST_USE int dir_volume_open(const char *path, const struct vfs_options *options, struct vfs **out,
                             const char **out_error);

/* Tests: behave as on a filesystem without O_TMPFILE, without FICLONERANGE and copy_file_range. */
void dir_volume_limit_for_test(struct vfs *v, bool no_tmpfile, bool no_offload);

#endif
