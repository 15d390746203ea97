/* JuiceFS-format volumes behind vfs/vfs.h: paths, confinement, marks of implicit directories, staging and ordered scans over
 * the metadata (vfs/meta) and the blocks (vfs/data). Official clients may use the volume at the same time. */
#ifndef VFS_JFS_JFS_H
#define VFS_JFS_JFS_H

#include "vfs/vfs.h"

/* As vfs_open_volume; url is that of a metadata engine. */
MUST_USE int jfs_volume_open(const char *url, const struct vfs_options *options, struct vfs **out, const char **out_error);

#endif
