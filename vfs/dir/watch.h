/* Which names of watched directories changed: inotify, for filesystems that only this kernel changes. Every change that
 * had returned to its maker before watch_read was called is reported by it. Thread: the caller's lock guards it. */
#ifndef VFS_DIR_WATCH_H
#define VFS_DIR_WATCH_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/str.h"

struct watch;
/* NULL when the system gives no more of them. */
struct watch *watch_new(void);
void watch_free(struct watch *w);
/* An identifier that is not used again, or -errno. */
MUST_USE int watch_add(struct watch *w, int dir_fd);
/* The same, of the directory's own name too: it ends when that changes. */
MUST_USE int watch_add_whole(struct watch *w, int dir_fd);
void watch_remove(struct watch *w, int id);

struct watch_sink {
    void *data;
    void (*changed)(void *data, int id, struct str name);
    /* It was removed, or its directory was; nothing more will come. */
    void (*ended)(void *data, int id);
    /* Changes of any directory may have been missed. */
    void (*lost)(void *data);
};
/* Nothing to report at this moment. Thread: any. */
bool watch_is_quiet(const struct watch *w);
/* Reports what has happened so far; does not wait. */
void watch_read(struct watch *w, const struct watch_sink *sink);

#endif
