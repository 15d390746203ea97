/* JuiceFS-format volumes from the command line: making one, looking at one. What official clients make can be looked at here,
 * and the other way round. Errors: negative errno with a line for people in *error. Thread: any; everything may block. */
#ifndef VFS_JFS_ADMIN_H
#define VFS_JFS_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/str.h"

/* As the options of `juicefs format`. Empty and zero: not given, where zero is no value of its own. */
struct jfs_format {
    struct str url, name;
    struct str storage, bucket; /* of "file": a folder, made absolute */
    struct str access_key, secret_key, session_token, storage_class;
    struct str compression, encrypt_algo;
    struct str encrypt_key; /* PEM of an RSA key; its passphrase comes from JFS_RSA_PASSPHRASE */
    uint64_t block_size;    /* bytes */
    uint32_t shards;
    bool hash_prefix;
    uint64_t capacity, inodes; /* bytes, nodes */
    uint32_t trash_days;
    bool enable_acl;
    bool force;     /* replace the settings of a volume that exists */
    bool no_update; /* a volume that exists is fine as it is */
};

/* What an option's absence means (`juicefs format --help`); bucket is left empty. */
struct jfs_format jfs_format_defaults(void);
/* Makes the volume: settings, root, an object with its identity in its object store, which is tried out first and must
 * hold nothing of that name. *out: the setting record for people, secrets left out. -EEXIST: there is a volume. */
MUST_USE int jfs_format(const struct jfs_format *f, struct buf *out, struct buf *error);

/* Settings, sessions, space: the JSON of `juicefs status`. */
MUST_USE int jfs_status(struct str url, struct buf *out, struct buf *error);
/* What a path of the volume is, as `juicefs info` shows it: counts and sizes of all below it; the slices of a file. */
MUST_USE int jfs_info(struct str url, struct str path, struct buf *out, struct buf *error);

#endif
