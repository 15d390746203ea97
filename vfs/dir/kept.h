/* Directories that are opened again and again without waiting, as buckets are: their handles are kept open, and what was seen of
 * their names is remembered for as long as inotify reports no change (vfs/dir/watch.h). Each question first takes in what is
 * reported, so that a change is known as soon as its maker's call has returned; what is not reported (a filesystem mounted
 * over a name) is, after KEPT_TRUST_MS. Without a watch the names are looked at each time. A few dozen; the rest is
 * opened each time. Thread: any. */
#ifndef VFS_DIR_KEPT_H
#define VFS_DIR_KEPT_H

#include "vfs/dir/dir_internal.h"

#define KEPT_TRUST_MS 1000

struct kept;
/* root: of the names, and must outlive it. private_dev: where changes are reported, or 0. */
struct kept *kept_new(const struct dir_handle *root, dev_t private_dev);
/* NULL is fine. */
void kept_free(struct kept *k);
/* A reference to the handle of that name in the root, or NULL. Does not wait: a look at a name whose directory is open is one at
 * memory. */
struct dir_handle *kept_get(struct kept *k, struct str name);
/* Takes a reference. */
void kept_put(struct kept *k, struct str name, struct dir_handle *h);

/* Of a path `.sluice/NAME` in a kept directory: whether it is known to be absent. Else *out_token is for kept_is_absent, to be called
 * when a look that began after this call has said so. Other handles and paths are never known. */
bool kept_knows_absent(struct kept *k, const struct dir_handle *h, struct str path, uint64_t *out_token);
void kept_is_absent(struct kept *k, const struct dir_handle *h, struct str path, uint64_t token);

#endif
