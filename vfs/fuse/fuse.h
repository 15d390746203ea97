/* A JuiceFS-format volume as a mounted filesystem: the FUSE low-level adaptor over vfs/meta and vfs/data.
 *
 * The kernel's inode numbers are the volume's, so that nothing has to be remembered for the kernel, and a process can take a
 * mount over from one that died: what it needs besides the device is the INIT request that the kernel sends once
 * (struct vfuse_resume). Open files it has not seen are found again by inode and handle number.
 *
 * Consistency is close-to-open: what was written is committed when close or fsync return, an open sees what was committed
 * before it. Names and attributes may be as old as the cache times say.
 * Thread: any; everything may block. Errors: negative errno. */
#ifndef VFS_FUSE_FUSE_H
#define VFS_FUSE_FUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"
#include "vfs/cache_options.h"

struct vfuse;

/* Texts are borrowed until vfuse_close. */
struct vfuse_options {
    const char *url; /* of the metadata */
    const char *mount_point;
    const char *subdir; /* of the volume, mounted as the root, made when missing; NULL: the volume's root */
    bool read_only;
    bool no_sync;       /* blocks and metadata need not survive a loss of power */
    bool no_background; /* none of the volume's background duties */
    bool hide_internal; /* the virtual files are not listed */
    bool enable_cap, enable_selinux; /* security.capability and security.selinux are kept; else refused */
    int umask;          /* of new nodes, in the place of the callers' own; -1: theirs */
    uint64_t memory;    /* bytes of all buffers and cached blocks together; 0: the default */
    struct vfs_cache_options cache; /* on disk */
    uint32_t io_size_max; /* bytes of one read or write request; 0: the default */
    double store_patience_s; /* for one operation of the object store; 0: the default */
    double attr_cache_s, entry_cache_s, dir_entry_cache_s, negative_cache_s;
};

/* What a process needs in order to go on with a mount that another process began. */
struct vfuse_resume {
    struct str init;     /* the kernel's INIT request; empty: the mount is fresh */
    uint64_t session;    /* of the metadata; 0: none */
    int unsaved;         /* descriptor of vfuse_unsaved_create's memory, borrowed; -1: none, nothing is to be resumed */
    uint32_t generation; /* how many processes served the mount before; makes handle numbers unique */
};

/* Opens the volume. *out_error: a line of text, static or thread-local. */
MUST_USE int vfuse_open(const struct vfuse_options *options, const struct vfuse_resume *resume, struct vfuse **out,
                        const char **out_error);
/* Borrowed. */
struct str vfuse_volume_name(const struct vfuse *v);
/* To be kept for vfuse_resume. */
uint64_t vfuse_session(const struct vfuse *v);

/* Told once, before the first request is answered, when the mount was fresh. */
typedef void (*vfuse_keep_fn)(void *arg, struct str init);
struct vfuse_serving {
    const int *devices; /* the mount's, for INIT alone, and at least one clone of it: a thread for each; borrowed */
    size_t count;
    bool resend; /* the kernel shall hand out again what a dead process left unanswered */
    vfuse_keep_fn keep;
    void *arg;
};
/* Serves until the filesystem is unmounted (returns 0) or vfuse_stop is called (returns 1). */
MUST_USE int vfuse_serve(struct vfuse *v, const struct vfuse_serving *how);
/* No request is begun any more. Thread: any, once, while serving. */
void vfuse_stop(struct vfuse *v);
/* Commits what was written. leave: the metadata session, with its locks and unlinked open files, stays for a process that
 * goes on with it; else it ends. NULL is fine. */
void vfuse_close(struct vfuse *v, bool leave);

#endif
