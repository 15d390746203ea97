#include "s3api/policy_cache.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mutex.h"
#include "s3api/bucket.h"
#include "s3api/service.h"

#define SLOTS 256 /* at most 256 × 20 KiB of documents */
#define PATH "config/" S3_POLICY_CONFIG

struct slot {
    char bucket[LIMIT_BUCKET_NAME_MAX + 1];
    struct vfs_version version;
    struct s3_policy policy;
};

struct s3_policy_cache {
    struct mutex lock;
    struct slot slots[SLOTS]; /* guarded by lock */
};

struct s3_policy_cache *s3_policy_cache_new(void)
{
    struct s3_policy_cache *c = calloc(1, sizeof(*c));
    CHECK(c != NULL); /* out of memory */
    mutex_init(&c->lock);
    return c;
}

void s3_policy_cache_free(struct s3_policy_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        s3_policy_done(&c->slots[i].policy);
    mutex_done(&c->lock);
    free(c);
}

void s3_policy_done(struct s3_policy *p)
{
    auth_policy_unref(p->document);
    *p = (struct s3_policy){0};
}

static struct s3_policy share(const struct s3_policy *p)
{
    struct s3_policy shared = *p;
    if (shared.document)
        shared.document = auth_policy_ref(shared.document);
    return shared;
}

static struct slot *slot_of(struct s3_policy_cache *c, struct str bucket)
{
    return &c->slots[hash_bytes(bucket) % SLOTS];
}

static bool find(struct s3_policy_cache *c, struct str bucket, struct vfs_version version, struct s3_policy *out)
{
    mutex_lock(&c->lock);
    const struct slot *slot = slot_of(c, bucket);
    bool is_found = str_is(bucket, slot->bucket) && vfs_version_eq(slot->version, version);
    if (is_found)
        *out = share(&slot->policy);
    mutex_unlock(&c->lock);
    return is_found;
}

static void keep(struct s3_policy_cache *c, struct str bucket, struct vfs_version version, const struct s3_policy *p)
{
    if (bucket.len > LIMIT_BUCKET_NAME_MAX)
        return;
    mutex_lock(&c->lock);
    struct slot *slot = slot_of(c, bucket);
    struct s3_policy old = slot->policy;
    memcpy(slot->bucket, bucket.ptr, bucket.len);
    slot->bucket[bucket.len] = '\0';
    slot->version = version;
    slot->policy = share(p);
    mutex_unlock(&c->lock);
    s3_policy_done(&old);
}

/* Fails closed: what was written in it may have been a refusal. */
static struct s3_policy unreadable(struct str bucket, const char *reason)
{
    log_error("policy.unreadable", "bucket=%.*s reason=\"%s\"", STR_ARG(bucket), reason);
    return (struct s3_policy){.is_unreadable = true};
}

static struct s3_policy read_document(struct vfs_file *file, const struct vfs_attr *attr, struct str bucket)
{
    struct s3_policy policy = {0};
    CLEANUP(buf_done) struct buf text = buf_make(LIMIT_POLICY_BYTES + 1);
    CLEANUP(buf_done) struct buf error = buf_make(2 * LIMIT_POLICY_BYTES);
    char *room = attr->size <= LIMIT_POLICY_BYTES ? buf_reserve(&text, (size_t)attr->size + 1) : NULL;
    ssize_t size = room ? vfs_read(file, room, (size_t)attr->size, 0) : -EFBIG;
    if (size < 0)
        return unreadable(bucket, strerrorname_np((int)-size));
    buf_extend(&text, (size_t)size);
    if (auth_policy_read(AUTH_POLICY_BUCKET, buf_str(&text), bucket, &policy.document, &error) < 0)
        return unreadable(bucket, buf_z(&error));
    return policy;
}

struct s3_policy s3_policy_load(struct s3_op *op, struct vfs_dir *bucket, struct str name)
{
    struct vfs_attr attr;
    struct s3_policy policy = {0};
    struct vfs_dir *documents;
    CLEANUP(vfs_dir_closep) struct vfs_dir *owned = NULL;
    CLEANUP(vfs_closep) struct vfs_file *file = NULL;
    int r = s3_bucket_documents(op, bucket, &documents, &owned);
    if (r == -EPERM)
        return (struct s3_policy){.is_unreadable = true}; /* the log has it */
    if (r == -ENOENT)
        return policy;
    /* A look costs less than opening, and nearly always says that there is none. */
    if (r == 0)
        r = vfs_lookup(documents, STR(PATH), NULL, &attr);
    if (r == 0 && find(op->service->policies, name, vfs_attr_version(&attr), &policy))
        return policy;
    if (r == 0)
        r = vfs_open(documents, STR(PATH), NULL, VFS_OPEN_READ, &file, &attr);
    if (r == -ENOENT || r == -ENOTDIR)
        return policy;
    if (r < 0)
        return unreadable(name, strerrorname_np(-r));
    policy = read_document(file, &attr, name);
    keep(op->service->policies, name, vfs_attr_version(&attr), &policy);
    return policy;
}
