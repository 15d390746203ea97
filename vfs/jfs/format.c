/* Making a volume. */
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/random.h"
#include "vfs/data/data.h"
#include "vfs/jfs/admin.h"
#include "vfs/meta/meta.h"
#include "vfs/meta/settings.h"
#include "vfs/store/store.h"

#define TEST_BYTES 100

struct jfs_format jfs_format_defaults(void)
{
    return (struct jfs_format){.storage = STR("file"),
                               .compression = STR("none"),
                               .encrypt_algo = STR("aes256gcm-rsa"),
                               .block_size = 4 * 1024 * 1024,
                               .trash_days = 1};
}

/* Settings */

/* Lexically, as official clients do: "/a/./b/../c" is "/a/c/". */
static int absolute_folder(struct str path, struct buf *out)
{
    char cwd[PATH_MAX];
    struct str rest = path, part;
    if (!str_starts(path, STR("/"))) {
        if (!getcwd(cwd, sizeof(cwd)))
            return -errno;
        buf_addz(out, cwd);
    }
    while (str_split(&rest, '/', &part)) {
        ptrdiff_t parent = str_rfind_char(buf_str(out), '/');
        if (part.len == 0 || str_is(part, "."))
            continue;
        if (str_is(part, "..")) {
            buf_truncate(out, parent > 0 ? (size_t)parent : 0);
            continue;
        }
        buf_addc(out, '/');
        buf_add(out, part);
    }
    buf_addc(out, '/');
    return out->failed ? -ENAMETOOLONG : 0;
}

static int bucket_of(struct meta_settings *s, struct str bucket, struct buf *error)
{
    struct buf folder = buf_make(PATH_MAX);
    int rc = 0;
    if (bucket.len == 0) {
        buf_addz(error, "--bucket is missing: where the data goes");
        return -EINVAL;
    }
    if (str_eq_nocase(s->storage, STR("file"))) {
        rc = absolute_folder(bucket, &folder);
        bucket = buf_str(&folder);
        if (rc < 0)
            buf_addf(error, "--bucket: %s", strerror(-rc));
    }
    s->bucket = meta_settings_keep(s, bucket);
    buf_done(&folder);
    return rc;
}

static int settings_of(const struct jfs_format *f, struct meta_settings *s, struct buf *error)
{
    if (!meta_settings_name_ok(f->name)) {
        buf_addz(error, "a volume's name has 3 to 63 of a-z, 0-9 and '-', and no '-' at its ends");
        return -EINVAL;
    }
    s->name = meta_settings_keep(s, f->name);
    s->storage = meta_settings_keep(s, f->storage);
    s->storage_class = meta_settings_keep(s, f->storage_class);
    s->access_key = meta_settings_keep(s, f->access_key);
    s->secret_key = meta_settings_keep(s, f->secret_key);
    s->session_token = meta_settings_keep(s, f->session_token);
    s->compression = meta_settings_keep(s, f->compression);
    s->encrypt_key = meta_settings_keep(s, f->encrypt_key);
    s->encrypt_algo = meta_settings_keep(s, f->encrypt_algo);
    s->block_size_kib = meta_settings_block_size_kib(f->block_size);
    s->shards = f->shards;
    s->hash_prefix = f->hash_prefix;
    s->capacity = f->capacity;
    s->inodes = f->inodes;
    s->trash_days = f->trash_days;
    s->enable_acl = f->enable_acl;
    if (f->enable_acl)
        s->min_client_version = STR("1.2.0-A");
    int rc = bucket_of(s, f->bucket, error);
    return rc < 0 ? rc : meta_settings_check(s, error);
}

/* The object store */

static int open_store(const struct meta_settings *s, struct store **out, struct buf *error)
{
    struct buf prefix = buf_make(LIMIT_BUCKET_NAME_MAX + 1);
    buf_addf(&prefix, "%.*s/", STR_ARG(s->name));
    const struct store_config config = {.storage = s->storage,
                                        .bucket = s->bucket,
                                        .access_key = s->access_key,
                                        .secret_key = s->secret_key,
                                        .session_token = s->session_token,
                                        .storage_class = s->storage_class,
                                        .prefix = buf_str(&prefix),
                                        .shards = s->shards};
    int rc = store_open(&config, out, error);
    buf_done(&prefix);
    return rc;
}

static int store_failed(struct store *store, const char *what, int rc, struct buf *error)
{
    buf_addf(error, "the object store does not work: %s: ", what);
    store_error(store, error);
    return rc;
}

/* Writes, reads back, deletes; a bucket that is not there is made. */
static int try_store(struct store *store, struct buf *error)
{
    char key[] = "testing/0123456789", body[TEST_BYTES], back[TEST_BYTES];
    size_t size = 0;
    random_text(key + sizeof("testing/") - 1, 10, "abcdefghijklmnopqrstuvwxyz0123456789");
    random_bytes(body, sizeof(body));
    int rc = store_create(store);
    if (rc < 0)
        return store_failed(store, "making the bucket", rc, error);
    rc = store_put(store, str_z(key), str_of(body, sizeof(body)));
    if (rc < 0)
        return store_failed(store, "writing", rc, error);
    rc = store_get(store, str_z(key), back, sizeof(back), &size);
    if (rc == 0 && (size != sizeof(body) || memcmp(back, body, size) != 0))
        rc = -EBADMSG;
    if (rc < 0)
        return store_failed(store, "reading back", rc, error);
    rc = store_delete(store, str_z(key));
    return rc < 0 ? store_failed(store, "deleting", rc, error) : 0;
}

/* Another volume's blocks would be taken for ours. */
static int check_empty(struct store *store, const struct meta_settings *s, struct buf *error)
{
    CLEANUP(store_scan_closep) struct store_scan *scan = store_scan_open(store, STR_EMPTY, STR_EMPTY);
    struct store_object object;
    int rc;
    while ((rc = store_scan_next(scan, &object)) > 0) {
        if (object.size == 0 || str_starts(object.key, STR("testing/")))
            continue;
        buf_addf(error, "the object store holds '%.*s/%.*s' already; empty it, or take another name", STR_ARG(s->name),
                 STR_ARG(object.key));
        return -ENOTEMPTY;
    }
    return rc < 0 ? store_failed(store, "listing", rc, error) : 0;
}

static int prepare_store(struct store *store, const struct meta_settings *s, struct buf *error)
{
    const char *why = "";
    int rc = try_store(store, error);
    if (rc == 0)
        rc = check_empty(store, s, error);
    if (rc < 0)
        return rc;
    rc = data_put_plain(store, s, STR("juicefs_uuid"), s->uuid, &why);
    if (rc < 0)
        buf_addf(error, "the volume's identity cannot be stored: %s", why);
    return rc;
}

/* Both together */

/* 1: a volume is there; 0: not, as far as can be told (meta_format decides). -ENOTSUP: there is no such engine, or the volume
 * is one that we must not touch. */
static int volume_exists(struct str url, struct buf *error)
{
    const struct meta_options options = {.read_only = true, .no_background = true};
    struct meta *m = NULL;
    const char *why = "";
    int rc = meta_open(url, &options, &m, &why);
    if (rc == 0)
        meta_close(m);
    if (rc == -ENOTSUP)
        buf_addz(error, why);
    return rc == 0 ? 1 : rc == -ENOTSUP ? rc : 0;
}

static int make(const struct jfs_format *f, const struct meta_settings *s, bool exists, struct buf *error)
{
    CLEANUP(store_closep) struct store *store = NULL;
    const char *why = "";
    int rc = open_store(s, &store, error);
    if (rc == 0)
        rc = exists ? try_store(store, error) : prepare_store(store, s, error);
    if (rc < 0)
        return rc;
    rc = meta_format(f->url, s, f->force, &why);
    if (rc < 0)
        buf_addz(error, why);
    if (rc < 0 && !exists && store_delete(store, STR("juicefs_uuid")) < 0)
        buf_addz(error, "; the object juicefs_uuid is left in the object store");
    return rc;
}

int jfs_format(const struct jfs_format *f, struct buf *out, struct buf *error)
{
    CLEANUP(meta_settings_freep) struct meta_settings *s = meta_settings_new();
    int exists = volume_exists(f->url, error);
    if (exists < 0 || (exists && f->no_update))
        return exists < 0 ? exists : 0;
    if (exists && !f->force) {
        buf_addz(error, "the database holds a volume already; --force replaces its settings, --no-update leaves it");
        return -EEXIST;
    }
    int rc = settings_of(f, s, error);
    if (rc == 0)
        rc = make(f, s, exists, error);
    if (rc == 0)
        meta_settings_show(s, out);
    return rc;
}
