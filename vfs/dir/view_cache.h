/* Views of large directories, kept between scans. Thread: any. */
#ifndef VFS_DIR_VIEW_CACHE_H
#define VFS_DIR_VIEW_CACHE_H

#include <sys/types.h>

#include "base/compiler.h"

struct view;
struct delta;
struct view_cache;

/* private_dev: a filesystem that only this kernel changes, and whose times are taken from this kernel's clock; 0: none.
 * spill_fd: see view_room; borrowed. */
struct view_cache *view_cache_new(dev_t private_dev, int spill_fd);
void view_cache_free(struct view_cache *c);
/* The entries of the directory as they are now: a view, and what changed since (or NULL). The caller's references. */
MUST_USE int view_cache_get(struct view_cache *c, int dir_fd, struct view **out, struct delta **out_delta);

#endif
