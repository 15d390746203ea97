/* Holding a name to the version a caller expects there, against this process (its stripe lock) and other gateways on the
 * same filesystem (a lock on the file that has the name). */
#ifndef VFS_DIR_GUARD_H
#define VFS_DIR_GUARD_H

#include "vfs/dir/dir_internal.h"

/* The stripe of p is held. *out_held keeps others out until it is closed; it is -1 where files cannot be locked. -ESTALE
 * when the node is another one, -ENOENT when there is none, -EBUSY when somebody sits on the lock. */
MUST_USE int guard_hold(const struct dir_handle *h, struct str path, const struct place *p,
                        struct vfs_version expected, int *out_held);
/* After a step that held the stripe and ended with that result: whether it is to be tried again, since the lock may be free by now. Waits a
 * moment, for which the stripe may not be held: else a stranger's lock would stop all names that share it, one waiter after the other. */
MUST_USE bool guard_turn(int result, unsigned *turn);

#endif
