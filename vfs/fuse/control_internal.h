/* What the files of .control share (control.c, control_info.c, control_summary.c). Not for use elsewhere. */
#ifndef VFS_FUSE_CONTROL_INTERNAL_H
#define VFS_FUSE_CONTROL_INTERNAL_H

#include "vfs/fuse/fuse_internal.h"

#define VFUSE_CONTROL_GROUPS 64

struct vfuse_control {
    struct vfuse *v;
    atomic_uint refs; /* the handle's, and that of the command that runs */
    atomic_bool busy, cancelled;
    struct mutex lock;  /* guards the next two; leaf, but for the count of commands */
    struct buf request; /* as far as it has come */
    struct buf stream;  /* what the file says: requests and answers, one behind the other */
};

/* One command, on a thread of its own. */
struct vfuse_job {
    struct vfuse_control *control;
    struct meta_ctx ctx;
    gid_t groups[VFUSE_CONTROL_GROUPS];
    struct buf request;
    int device; /* for what the kernel is told */
};

/* What is told on the way; tells it now and then. */
struct vfuse_progress {
    struct vfuse_control *control;
    uint64_t first, second;
    uint64_t told_ms;
};
/* As a meta_progress_fn over struct vfuse_progress. -EINTR: nobody waits for the end any more. */
MUST_USE int vfuse_progress_add(void *arg, uint64_t first, uint64_t second);
MUST_USE int vfuse_progress_tick(struct vfuse_progress *p);

/* The next bytes of a request's body as a big-endian number; text. Past the end: 0, shorter. */
uint64_t vfuse_body_take(struct str *body, size_t bytes);
struct str vfuse_body_text(struct str *body, size_t bytes);

/* Ends the answer with this document. */
void vfuse_control_answer(struct vfuse_control *c, const struct buf *json);

/* Both return 1 after an answer, else a negative errno. */
struct vfuse_info {
    meta_ino ino;
    bool recursive; /* all below a directory, not only its entries */
    bool raw;       /* slices, not objects */
};
MUST_USE int vfuse_control_info(struct vfuse_job *job, const struct vfuse_info *how);
MUST_USE int vfuse_control_summary(struct vfuse_job *job, meta_ino ino, unsigned depth, unsigned entries);

#endif
