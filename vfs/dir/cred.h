/* Acting on behalf of somebody: filesystem uid, gid and groups of the calling thread, for the length of a scope. The
 * kernel then decides as for that user, since leaving fsuid 0 drops the filesystem capabilities. Thread: any. */
#ifndef VFS_DIR_CRED_H
#define VFS_DIR_CRED_H

#include "vfs/vfs.h"

/* Who the process is; read once, when it has its final identity. */
struct identity {
    uint32_t uid, gid;
    uint32_t *groups;
    size_t group_count;
};
void identity_read(struct identity *id);
void identity_done(struct identity *id);

struct cred_scope {
    const struct identity *restore; /* NULL: nothing was switched */
};
#define CRED_SCOPE_INIT {NULL}
/* NULL cred: nothing to do. -EPERM when the process cannot act as that identity. */
MUST_USE int cred_enter(struct cred_scope *s, const struct identity *self, const struct vfs_cred *cred);
/* Back to the process's own identity. Twice is fine. */
void cred_leave(struct cred_scope *s);

/* Owner and group of a file that this identity makes. */
uint32_t cred_uid(const struct identity *self, const struct vfs_cred *cred);
uint32_t cred_gid(const struct identity *self, const struct vfs_cred *cred);

#endif
