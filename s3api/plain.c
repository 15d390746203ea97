#include "s3api/plain.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mutex.h"
#include "s3api/bucket.h"
#include "s3api/ownership.h"
#include "s3api/policy_cache.h"
#include "s3api/service.h"

#define SLOTS 256
#define CONFIG_DIR S3_RESERVED_DIR "/config"
/* Two changes within one tick of the filesystem's clock, at worst FAT's two seconds, leave the same time. */
#define SETTLED_NS 2100000000

struct slot {
    char bucket[LIMIT_BUCKET_NAME_MAX + 1];
    struct vfs_version version; /* of the directory of documents */
};

struct s3_plain_cache {
    struct mutex lock;
    struct slot slots[SLOTS]; /* guarded by lock */
};

struct s3_plain_cache *s3_plain_cache_new(void)
{
    struct s3_plain_cache *c = calloc(1, sizeof(*c));
    CHECK(c != NULL); /* out of memory */
    mutex_init(&c->lock);
    return c;
}

void s3_plain_cache_free(struct s3_plain_cache *c)
{
    if (!c)
        return;
    mutex_done(&c->lock);
    free(c);
}

static struct slot *slot_of(struct s3_plain_cache *c, struct str bucket)
{
    return &c->slots[hash_bytes(bucket) % SLOTS];
}

static bool has(struct s3_plain_cache *c, struct str bucket, struct vfs_version version)
{
    mutex_lock(&c->lock);
    const struct slot *slot = slot_of(c, bucket);
    bool found = str_is(bucket, slot->bucket) && vfs_version_eq(slot->version, version);
    mutex_unlock(&c->lock);
    return found;
}

static void keep(struct s3_plain_cache *c, struct str bucket, struct vfs_version version)
{
    mutex_lock(&c->lock);
    struct slot *slot = slot_of(c, bucket);
    memcpy(slot->bucket, bucket.ptr, bucket.len);
    slot->bucket[bucket.len] = '\0';
    slot->version = version;
    mutex_unlock(&c->lock);
}

static bool is_absent(int r)
{
    return r == -ENOENT || r == -ENOTDIR;
}

bool s3_plain_is(struct s3_op *op)
{
    struct vfs_attr attr;
    int r = vfs_lookup(op->bucket, STR(CONFIG_DIR), NULL, &attr);
    return is_absent(r) || (r == 0 && has(op->service->plain, op->req.bucket, vfs_attr_version(&attr)));
}

void s3_plain_learn(struct s3_op *op)
{
    static const struct str documents[] = {STR_INIT(CONFIG_DIR "/" S3_POLICY_CONFIG), STR_INIT(CONFIG_DIR "/" S3_OWNERSHIP_CONFIG),
                                           STR_INIT(CONFIG_DIR "/" S3_ACL_CONFIG)};
    struct vfs_attr dir, attr;
    bool fits = op->req.bucket.len <= LIMIT_BUCKET_NAME_MAX;
    if (!fits || vfs_lookup(op->bucket, STR(CONFIG_DIR), NULL, &dir) < 0 || clock_wall_ns() - dir.mtime_ns < SETTLED_NS)
        return;
    if (has(op->service->plain, op->req.bucket, vfs_attr_version(&dir)))
        return;
    /* Behind the look at the directory: what is made after this one changes that. */
    for (size_t i = 0; i < ARRAY_SIZE(documents); i++)
        if (!is_absent(vfs_lookup(op->bucket, documents[i], NULL, &attr)))
            return;
    keep(op->service->plain, op->req.bucket, vfs_attr_version(&dir));
}
