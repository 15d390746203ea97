/* What a kind of object store implements; who uses stores sees store.h only. A driver instance is one bucket. Keys come with
 * the volume's prefix and a NUL behind them. Errors: those of store.h, and for store.c alone -EAGAIN (transient: try again) and -EBUSY (the store
 * asks for less). Every failing call puts a sentence into `why`. Thread: any, all calls may block and run at once. */
#ifndef VFS_STORE_STORE_DRIVER_H
#define VFS_STORE_STORE_DRIVER_H

#include "base/arena.h"
#include "base/limits.h"
#include "vfs/store/store.h"

struct store_ops;

/* First member of a driver's own struct. */
struct store_driver {
    const struct store_ops *ops;
};

struct store_read {
    bool whole;      /* -EFBIG when the object has more than `capacity` bytes; else the range [offset, offset + capacity) */
    uint64_t offset; /* 0 when whole */
    char *out;
    size_t capacity;
    size_t size; /* result */
};

struct store_page {
    struct arena *arena; /* holds the keys */
    struct store_object objects[LIMIT_STORE_LIST_KEYS];
    size_t count;
    bool more; /* there may be objects behind the last one */
};

struct store_ops {
    const char *name;
    bool late_shards; /* official clients make a shard's bucket with its first object */
    /* bucket is config->bucket with its %d filled in. *out is not touched on failure. */
    int (*open)(const struct store_config *config, struct str bucket, struct store_driver **out, struct buf *why);
    void (*close)(struct store_driver *d);
    /* Makes the bucket; one that is there is fine. */
    int (*create)(struct store_driver *d, struct buf *why);
    int (*put)(struct store_driver *d, struct str key, struct str body, struct buf *why);
    int (*get)(struct store_driver *d, struct str key, struct store_read *read, struct buf *why);
    /* Fills size and mtime_ns. */
    int (*head)(struct store_driver *d, struct str key, struct store_object *out, struct buf *why);
    /* 0 also when there is none. */
    int (*delete)(struct store_driver *d, struct str key, struct buf *why);
    /* The next objects in byte order behind `after`; page->arena is empty. At least one when page->more. */
    int (*list)(struct store_driver *d, struct str prefix, struct str after, struct store_page *page, struct buf *why);
};

extern const struct store_ops store_file_ops, store_s3_ops;

/* Puts a sentence, cut to what fits, and returns error: return store_fail(why, -EIO, "…"). */
int store_fail(struct buf *why, int error, const char *format, ...) PRINTF(3, 4);
/* Which of `count` shards has the key: FNV-1a of 32 bits, §2.5. */
uint32_t store_shard_of(struct str key, uint32_t count);

#endif
