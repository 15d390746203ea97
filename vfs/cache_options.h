/* The cache on disk of a JuiceFS-format volume, as its users (gateway, mount, commands) ask for it. */
#ifndef VFS_CACHE_OPTIONS_H
#define VFS_CACHE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Blocks are below the volume's UUID in each folder, which other processes of the host may use at the same time. */
struct vfs_cache_options {
    const char *dirs;   /* absolute, ':' between them; NULL or empty: no cache on disk */
    uint64_t bytes_max; /* in all folders together; 0: no cache on disk */
    uint64_t items_max; /* 0: no limit */
    double free_min;    /* 0 to 1: what stays free of each filesystem's bytes, and of its inodes */
    int mode;           /* of files; 0: 0600 */
};

/* Every folder is absolute: those who share a cache may be started anywhere. */
static inline bool vfs_cache_dirs_ok(const char *dirs)
{
    for (const char *at = dirs; at; at = strchr(at, ':') ? strchr(at, ':') + 1 : NULL) {
        if (*at != '/')
            return false;
    }
    return true;
}

#endif
