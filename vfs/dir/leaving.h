/* A node that is about to lose a name: what has to be known of it before, and done after. */
#ifndef VFS_DIR_LEAVING_H
#define VFS_DIR_LEAVING_H

#include "vfs/dir/dir_internal.h"

/* Young nodes that lost their name are held for a moment, so that their inode numbers are not given out again: a file made
 * in the same tick of the clock could otherwise have the version of one that is gone, and be taken for it. */
struct graves;
struct graves *graves_new(void);
void graves_free(struct graves *g);

struct leaving {
    struct vfs_attr attr;
    int fd; /* O_PATH; -1: old enough not to be held */
};
#define LEAVING_INIT {.fd = -1}
void leaving_done(struct leaving *l);
/* -ENOENT when nothing has the name. */
MUST_USE int leaving_look(const struct place *p, struct leaving *out);
/* The name is gone. */
void leaving_left(struct dir_volume *v, struct leaving *l);

#endif
