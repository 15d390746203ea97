/* Handles of directories that are opened again and again, as buckets are, without waiting: kept open, and good as long as the name
 * still means the same directory. A few dozen; the rest is opened each time. Thread: any. */
#ifndef VFS_DIR_KEPT_H
#define VFS_DIR_KEPT_H

#include "vfs/dir/dir_internal.h"

struct kept;
struct kept *kept_new(void);
/* NULL is fine. */
void kept_free(struct kept *k);
/* A reference to the handle of that name in `parent`, or NULL. Does not wait: the look at a name whose directory is open is one at
 * memory. */
struct dir_handle *kept_get(struct kept *k, const struct dir_handle *parent, struct str name);
/* Takes a reference. */
void kept_put(struct kept *k, struct str name, struct dir_handle *h);

#endif
