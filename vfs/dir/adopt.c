#include <endian.h>
#include <errno.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/check.h"
#include "vfs/dir/dir_internal.h"

/* A file that was made elsewhere is given what it would have got in the directory where it appears: the kernel does this
 * for files it makes there (posix_acl_create, inode_init_owner), but not for links. */

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define ACL_BYTES_MAX 4096

/* The layout of both attributes: see acl(5) and linux/posix_acl_xattr.h; little-endian. */
struct acl_entry {
    uint16_t tag, perm;
    uint32_t id;
};
struct acl {
    uint32_t version;
    struct acl_entry entries[(ACL_BYTES_MAX - 4) / sizeof(struct acl_entry)];
};
_Static_assert(sizeof(struct acl_entry) == 8 && offsetof(struct acl, entries) == 4, "ACL xattr layout");

enum { TAG_USER_OBJ = 0x01, TAG_GROUP_OBJ = 0x04, TAG_MASK = 0x10, TAG_OTHER = 0x20 };

static struct acl_entry *find_entry(struct acl *acl, size_t count, unsigned tag)
{
    for (size_t i = 0; i < count; i++) {
        if (le16toh(acl->entries[i].tag) == tag)
            return &acl->entries[i];
    }
    return NULL;
}

static void limit(struct acl_entry *e, unsigned perm)
{
    if (e)
        e->perm = htole16((uint16_t)(le16toh(e->perm) & perm));
}

/* What posix_acl_create_masq does: the mode that was asked for takes rights away from owner, mask and others. */
static void mask_acl(struct acl *acl, size_t count, uint32_t mode)
{
    struct acl_entry *mask = find_entry(acl, count, TAG_MASK);
    limit(find_entry(acl, count, TAG_USER_OBJ), mode >> 6 & 7);
    limit(mask ? mask : find_entry(acl, count, TAG_GROUP_OBJ), mode >> 3 & 7);
    limit(find_entry(acl, count, TAG_OTHER), mode & 7);
}

static int adopt_mode(const struct dir_volume *v, int fd, int parent_fd)
{
    CLEANUP(fd_closep) int dir = reopen_dir(parent_fd);
    struct acl acl;
    ssize_t size = dir < 0 ? -1 : fgetxattr(dir, ACL_DEFAULT, &acl, sizeof(acl));
    if (size > 4) {
        mask_acl(&acl, ((size_t)size - 4) / sizeof(struct acl_entry), v->options.file_mode);
        return fsetxattr(fd, ACL_ACCESS, &acl, (size_t)size, 0) < 0 ? -errno : 0;
    }
    if (size < 0 && errno == ERANGE)
        return -E2BIG;
    /* One that it got where it was made would go on granting rights. */
    (void)fremovexattr(fd, ACL_ACCESS);
    if (fchmod(fd, v->options.file_mode & ~v->umask) == 0 || errno == EPERM)
        return 0; /* EPERM: a filesystem without modes */
    return -errno;
}

static int adopt_owner(const struct dir_volume *v, int fd, int parent_fd, const struct vfs_cred *cred)
{
    struct stat parent, file;
    if (fstat(parent_fd, &parent) < 0 || fstat(fd, &file) < 0)
        return -errno;
    uid_t uid = cred_uid(&v->self, cred);
    gid_t gid = parent.st_mode & S_ISGID ? parent.st_gid : cred_gid(&v->self, cred);
    if (file.st_uid == uid && file.st_gid == gid)
        return 0;
    if (fchown(fd, uid, gid) == 0)
        return 0;
    /* Without the right to give files away (also a root whom a server does not trust), what the process makes for itself
     * stays with the owner it got. */
    return errno == EPERM && (!cred || v->self.uid != 0) ? 0 : -errno;
}

int adopt(struct dir_volume *v, int fd, int parent_fd, const struct vfs_cred *cred, unsigned chosen)
{
    if (!(chosen & VFS_SET_OWNER)) {
        int r = adopt_owner(v, fd, parent_fd, cred);
        if (r < 0)
            return r;
    }
    return chosen & VFS_SET_MODE ? 0 : adopt_mode(v, fd, parent_fd);
}
