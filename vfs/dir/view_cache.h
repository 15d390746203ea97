/* Views of large directories, kept between scans for as long as the directory did not change. Thread: any. */
#ifndef VFS_DIR_VIEW_CACHE_H
#define VFS_DIR_VIEW_CACHE_H

#include <stdbool.h>

#include "base/compiler.h"

struct view;
struct view_cache;

/* is_private_fs: times of directories are this machine's, and advance with its clock. spill_fd: see view_room; borrowed. */
struct view_cache *view_cache_new(bool is_private_fs, int spill_fd);
void view_cache_free(struct view_cache *c);
/* The entries of the directory as they are now. The caller's reference. */
MUST_USE int view_cache_get(struct view_cache *c, int dir_fd, struct view **out);

#endif
