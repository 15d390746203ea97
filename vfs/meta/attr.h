/* The values of the JuiceFS volume format that metadata is made of: inodes, attributes, directory entries, slices, and on
 * whose behalf something is done. "§" cites the description of the format (docs/juicefs-format-notes.md).
 * Thread: any; all are plain values. */
#ifndef VFS_META_ATTR_H
#define VFS_META_ATTR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "base/str.h"

typedef uint64_t meta_ino;
#define META_ROOT 1
#define META_TRASH 0x7FFFFFFF10000000ull /* the trash; its sub-directories, one an hour, are numbered above it */
#define META_TRASH_NAME ".trash"
#define META_NAME_MAX 255
#define META_SYMLINK_MAX 4096
#define META_CHUNK_BITS 26
#define META_CHUNK_SIZE (1ull << META_CHUNK_BITS)

/* §6.3; these are stored. */
enum meta_type {
    META_FILE = 1,
    META_DIRECTORY = 2,
    META_SYMLINK = 3,
    META_FIFO = 4,
    META_BLOCK_DEVICE = 5,
    META_CHAR_DEVICE = 6,
    META_SOCKET = 7
};

/* §6.2; bits we do not know are kept. */
enum {
    META_FLAG_IMMUTABLE = 1,
    META_FLAG_APPEND = 2,
    META_FLAG_SKIP_TRASH = 32
};

/* §6.1. Times keep the whole range of the format, which 64 bits of nanoseconds would not. */
struct meta_attr {
    uint8_t type; /* enum meta_type */
    uint8_t flags;
    uint16_t mode; /* 07777 */
    uint32_t uid, gid;
    struct timespec atime, mtime, ctime;
    uint32_t nlink;
    uint64_t length;
    uint32_t rdev;
    meta_ino parent; /* 0: none, or more than one (hard links) */
    uint32_t access_acl, default_acl; /* 0: none */
    uint8_t tier;
};

/* A state of the database: equal ones, seen one after the other, have no commit between them. */
struct meta_stamp {
    bool known;
    uint64_t words[6];
};
static inline bool meta_stamp_eq(const struct meta_stamp *a, const struct meta_stamp *b)
{
    return a->known && b->known && memcmp(a->words, b->words, sizeof(a->words)) == 0;
}

static inline bool meta_is_trash(meta_ino ino)
{
    return ino >= META_TRASH;
}
/* Inside one of the trash's sub-directories. */
static inline bool meta_in_trash(const struct meta_attr *a)
{
    return a->parent > META_TRASH;
}
static inline uint64_t meta_align4k(uint64_t length)
{
    return length == 0 ? 4096 : (length + 4095) & ~(uint64_t)4095;
}
/* What a node takes of the volume's space (§7, space(n)). */
static inline uint64_t meta_node_space(const struct meta_attr *a)
{
    return a->type == META_FILE ? meta_align4k(a->length) : 4096;
}

/* What tells one state of a file from another. */
struct meta_version {
    meta_ino ino;
    uint64_t length;
    struct timespec mtime;
};

/* One piece of a chunk: bytes [off, off+len) of the stored slice `id`, whose size is `size`, seen at `pos` of the chunk.
 * id 0 is zeros; its size and off mean nothing (§3.2). */
struct meta_slice {
    uint32_t pos;
    uint64_t id;
    uint32_t size, off, len;
};

/* POSIX ACL rule (§6.7). 0xFFFF: that part is unset. Named entries are sorted as they came. */
#define META_ACL_UNSET 0xFFFF
struct meta_acl_entry {
    uint32_t id;
    uint16_t perm;
};
struct meta_acl {
    uint16_t owner, group, mask, other;
    struct meta_acl_entry *users, *groups; /* owned, malloc; see meta_acl_done */
    uint32_t user_count, group_count;
};

/* On whose behalf. NULL stands for root, as does uid 0. */
struct meta_ctx {
    uint32_t uid, gid;
    const uint32_t *groups; /* beside gid; borrowed */
    size_t group_count;
    uint32_t pid;            /* of record locks */
    bool check_permission;   /* false: modes and ownership of directories on the way do not matter */
};

/* One entry of a directory. */
struct meta_entry {
    struct str name;
    meta_ino ino;
    uint8_t type;
    const struct meta_attr *attr; /* NULL unless asked for, or when the entry has no node */
    struct str xattr;             /* the attribute asked for; ptr NULL: absent */
};

#endif
