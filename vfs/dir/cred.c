#include "vfs/dir/cred.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

void identity_read(struct identity *id)
{
    id->uid = geteuid();
    id->gid = getegid();
    int count = getgroups(0, NULL);
    CHECK(count >= 0);
    id->groups = calloc((size_t)count + 1, sizeof(*id->groups));
    CHECK(id->groups != NULL);
    count = getgroups(count, id->groups);
    CHECK(count >= 0);
    id->group_count = (size_t)count;
}

void identity_done(struct identity *id)
{
    free(id->groups);
    id->groups = NULL;
}

/* The raw call: glibc's setgroups changes every thread of the process. */
static int set_thread_groups(size_t count, const uint32_t *groups)
{
    return syscall(SYS_setgroups, count, groups) < 0 ? -errno : 0;
}

/* setfsuid and setfsgid do not report failure; asking again does. */
static bool set_fs_ids(uint32_t uid, uint32_t gid)
{
    const uint32_t ask = UINT32_MAX;
    setfsgid(gid);
    setfsuid(uid);
    return (uint32_t)setfsgid(ask) == gid && (uint32_t)setfsuid(ask) == uid;
}

static void restore(const struct identity *self)
{
    /* Going on with somebody else's identity would turn every later request into theirs. The uid comes first: without it
     * the right to set groups is still there (CAP_SETGID is no filesystem capability), and the check below sees it. */
    setfsuid(self->uid);
    CHECK(set_thread_groups(self->group_count, self->groups) == 0);
    CHECK(set_fs_ids(self->uid, self->gid));
}

int cred_enter(struct cred_scope *s, const struct identity *self, const struct vfs_cred *cred)
{
    CHECK(s->restore == NULL);
    if (!cred)
        return 0;
    if (self->uid != 0)
        return cred->uid == self->uid && cred->gid == self->gid ? 0 : -EPERM;
    if (cred->uid == UINT32_MAX || cred->gid == UINT32_MAX)
        return -EINVAL;
    int r = set_thread_groups(cred->group_count, cred->groups);
    if (r < 0)
        return r;
    if (!set_fs_ids(cred->uid, cred->gid)) {
        restore(self);
        return -EPERM;
    }
    s->restore = self;
    return 0;
}

void cred_leave(struct cred_scope *s)
{
    if (!s->restore)
        return;
    restore(s->restore);
    s->restore = NULL;
}

uint32_t cred_uid(const struct identity *self, const struct vfs_cred *cred)
{
    return cred ? cred->uid : self->uid;
}

uint32_t cred_gid(const struct identity *self, const struct vfs_cred *cred)
{
    return cred ? cred->gid : self->gid;
}
