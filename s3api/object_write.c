/* How objects come into being and go: publishing a staging file, directory objects, deletion. Whatever was decided before the
 * body came is decided again here, against the state that the change itself replaces. */
#include "s3api/object.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "s3api/dialect.h"

/* Each round lost means that somebody else changed the object in between; so many in a row are a reason to let the client
 * decide whether to go on (409 ConditionalRequestConflict). */
#define RACE_ATTEMPTS 100
/* A winner who has lost his processor in the middle needs time, not attempts: those after the first few have a pause before. */
#define RACE_ATTEMPTS_AT_ONCE 10
#define RACE_PAUSE_NS 1000000

static bool may_race_again(int attempt)
{
    if (attempt >= RACE_ATTEMPTS_AT_ONCE && attempt < RACE_ATTEMPTS)
        (void)nanosleep(&(struct timespec){.tv_nsec = RACE_PAUSE_NS}, NULL);
    return attempt < RACE_ATTEMPTS;
}

/* What a condition is about: the object as it is now, held open so that its inode, and with it its version, cannot be used
 * again for another file before the change is made. */
static enum s3_error open_present(struct s3_op *op, const struct s3_key *key, struct s3_object *out, bool *out_exists)
{
    enum s3_error e = s3_object_open(op, op->bucket, key->key, out);
    *out_exists = e == S3_OK;
    return e == S3_NO_SUCH_KEY ? S3_OK : e;
}

static struct str parent_of(struct str path)
{
    ptrdiff_t slash = str_rfind_char(path, '/');
    return slash < 0 ? STR_EMPTY : str_first(path, (size_t)slash);
}

void s3_object_prune_parents(struct s3_op *op, struct str path)
{
    struct str parent = parent_of(path);
    if (parent.len > 0)
        vfs_prune(op->bucket, parent, op->cred);
}

/* Before the body ------------------------------------------------------------------------------------------------ */

static enum s3_error check_name(struct s3_op *op, const struct s3_key *key)
{
    struct vfs_attr attr;
    int rc = vfs_lookup(op->bucket, key->path, op->cred, &attr);
    /* A link that leads out of the bucket, or nowhere, is a name like any other: publishing replaces it. When it is in the way of
     * the path instead, staging says so. */
    if (rc == -ENOENT || rc == -EXDEV || rc == -ELOOP)
        return S3_OK;
    if (rc < 0)
        return s3_fail_errno(op, rc, S3_FOR_WRITE);
    if (attr.type == VFS_DIRECTORY)
        return key->is_directory ? S3_OK : S3_KEY_IS_DIRECTORY;
    if (attr.type == VFS_FILE)
        return key->is_directory ? S3_PARENT_IS_OBJECT : S3_OK;
    return s3_fail_errno(op, -ENXIO, S3_FOR_WRITE);
}

static enum s3_error check_write(struct s3_op *op, const struct s3_conditions *c, bool exists, const struct s3_object *o)
{
    struct str etag = exists ? o->meta.etag : STR_EMPTY;
    return s3_fail_condition(op, s3_check_write(c, exists, etag), "", c, etag);
}

enum s3_error s3_object_check_write(struct s3_op *op, const struct s3_key *key, const struct s3_conditions *c)
{
    enum s3_error e = check_name(op, key);
    if (e != S3_OK || !s3_has_conditions(c))
        return e;
    struct s3_object present;
    bool exists;
    e = open_present(op, key, &present, &exists);
    if (e == S3_OK)
        e = check_write(op, c, exists, &present);
    s3_object_close(&present);
    return e;
}

/* By making what would be published, without a name: closing it leaves nothing. */
enum s3_error s3_object_may_write(struct s3_op *op, const struct s3_key *key)
{
    CLEANUP(vfs_closep) struct vfs_file *file = NULL;
    int rc = op->cred ? vfs_stage(op->bucket, key->path, op->cred, 0, &file) : 0;
    return rc < 0 ? s3_fail_errno(op, rc, S3_FOR_WRITE) : S3_OK;
}

/* Publishing ----------------------------------------------------------------------------------------------------- */

/* A multipart upload's data file is the process's own until it is published, so the identity may not be able to change it. */
static int set_mtime(struct s3_op *op, struct vfs_file *f, int64_t mtime_ns)
{
    struct vfs_set set = {.which = VFS_SET_MTIME, .mtime_ns = mtime_ns};
    int rc = vfs_setattr(f, op->cred, &set);
    if ((rc == -EPERM || rc == -EACCES) && op->cred)
        rc = vfs_setattr(f, NULL, &set);
    return rc;
}

static int set_record(struct s3_op *op, struct vfs_file *f, const struct s3_objmeta *m)
{
    int rc = s3_objmeta_store(f, op->cred, m);
    if ((rc == -EPERM || rc == -EACCES) && op->cred)
        rc = s3_objmeta_store(f, NULL, m);
    return rc;
}

static int note_posix(struct vfs_file *f, struct s3_objmeta *m)
{
    struct vfs_attr attr;
    int rc = vfs_fstat(f, &attr);
    if (rc == 0)
        m->posix = (struct s3_posix_note){true, attr.mode, attr.uid, attr.gid};
    return rc;
}

/* Attributes and record of a file that has all its bytes. The mtime is set also when the client asks for none: the kernel
 * stamps writes with the time of its last tick, so that a change through POSIX right after the upload, in the same tick and of the
 * same size, would else leave the validator as it was. A time that is no tick's never comes from a write. */
static int finish_file(struct s3_op *op, struct vfs_file *f, struct s3_objmeta *m)
{
    struct vfs_set wanted = s3_dialect_wanted(&m->user);
    if (m->modified_ns == 0)
        m->modified_ns = clock_wall_ns();
    s3_dialect_apply(op, f, &wanted);
    int rc = set_mtime(op, f, wanted.which & VFS_SET_MTIME ? wanted.mtime_ns : m->modified_ns);
    m->posix = (struct s3_posix_note){0};
    if (rc == 0 && wanted.which != 0)
        rc = note_posix(f, m);
    return rc < 0 ? rc : set_record(op, f, m);
}

static enum s3_error publish_once(struct s3_op *op, const struct s3_key *key, struct vfs_file *stage,
                                  const struct s3_conditions *c, struct vfs_attr *out_attr, bool *out_again)
{
    struct vfs_publish how = {.mode = VFS_PUBLISH_REPLACE};
    struct s3_object present = {0};
    bool exists;
    if (s3_has_conditions(c)) {
        enum s3_error e = open_present(op, key, &present, &exists);
        if (e == S3_OK)
            e = check_write(op, c, exists, &present);
        if (e != S3_OK) {
            s3_object_close(&present);
            return e;
        }
        how.mode = exists ? VFS_PUBLISH_IF_VERSION : VFS_PUBLISH_CREATE;
        how.version = vfs_attr_version(&present.attr);
    }
    int rc = vfs_publish(stage, op->bucket, key->path, op->cred, &how, out_attr);
    s3_object_close(&present);
    *out_again = rc == -ESTALE || (rc == -EEXIST && how.mode == VFS_PUBLISH_CREATE) ||
                 (rc == -ENOENT && how.mode == VFS_PUBLISH_IF_VERSION);
    return rc < 0 && !*out_again ? s3_fail_errno(op, rc, S3_FOR_WRITE) : S3_OK;
}

enum s3_error s3_object_publish(struct s3_op *op, const struct s3_key *key, struct vfs_file *stage,
                                const struct s3_objmeta *meta, const struct s3_conditions *c, struct vfs_attr *out_attr)
{
    struct s3_objmeta m = *meta;
    int rc = finish_file(op, stage, &m);
    if (rc < 0)
        return s3_fail_errno(op, rc, S3_FOR_WRITE);
    for (int attempt = 0; may_race_again(attempt); attempt++) {
        bool again = false;
        enum s3_error e = publish_once(op, key, stage, c, out_attr, &again);
        if (!again)
            return e;
    }
    return S3_CONDITIONAL_CONFLICT;
}

/* Directory objects ---------------------------------------------------------------------------------------------- */

/* The record of a directory that has just become an object. Its mtime is left alone: it belongs to its entries. */
static int finish_directory(struct s3_op *op, struct vfs_file *f, const struct s3_objmeta *meta)
{
    struct s3_objmeta m = *meta;
    struct vfs_set wanted = s3_dialect_wanted(&m.user);
    if (m.modified_ns == 0)
        m.modified_ns = clock_wall_ns();
    s3_dialect_apply(op, f, &wanted);
    int rc = wanted.which & (VFS_SET_MODE | VFS_SET_OWNER) ? note_posix(f, &m) : 0;
    if (rc == 0)
        rc = set_record(op, f, &m);
    return rc < 0 ? rc : vfs_sync(f);
}

/* Somebody may have removed the directory while it was empty and implicit, before it got its mark. */
static int is_still_there(struct s3_op *op, const struct s3_key *key, struct vfs_file *f)
{
    struct vfs_attr named, mine;
    int rc = vfs_lookup(op->bucket, key->path, op->cred, &named);
    if (rc == 0)
        rc = vfs_fstat(f, &mine);
    return rc < 0 ? rc : named.ino == mine.ino;
}

/* 1: done; 0: lost a race, decide again. */
static int make_directory(struct s3_op *op, const struct s3_key *key, const struct s3_objmeta *meta,
                          const struct s3_conditions *c)
{
    /* The conditions hold of what was there a moment ago; these two must still find it so. */
    bool must_be = c->if_match.ptr, must_be_new = c->if_none_match.ptr && !must_be;
    struct vfs_file *f CLEANUP(vfs_closep) = NULL;
    struct vfs_attr attr;
    int made = vfs_mkdir(op->bucket, key->path, op->cred, 0);
    if (made < 0 && made != -EEXIST)
        return made;
    if (made == 0 && must_be)
        return vfs_rmdir(op->bucket, key->path, op->cred);
    int rc = vfs_open(op->bucket, key->path, op->cred, VFS_OPEN_DIRECTORY, &f, &attr);
    if (rc == 0)
        rc = s3_object_lock(f);
    if (rc == 0 && made == -EEXIST) {
        rc = s3_directory_is_object(op->bucket, key->path, op->cred);
        if (rc == 1 && must_be_new)
            return 0;
        if (rc >= 0)
            rc = vfs_make_explicit(op->bucket, key->path, op->cred);
    }
    if (rc >= 0)
        rc = finish_directory(op, f, meta);
    if (rc >= 0)
        rc = is_still_there(op, key, f);
    return rc == -ENOENT ? 0 : rc;
}

enum s3_error s3_object_publish_directory(struct s3_op *op, const struct s3_key *key, const struct s3_objmeta *meta,
                                          const struct s3_conditions *c)
{
    for (int attempt = 0; may_race_again(attempt); attempt++) {
        enum s3_error e = s3_object_check_write(op, key, c);
        if (e != S3_OK)
            return e;
        int rc = make_directory(op, key, meta, c);
        if (rc < 0)
            return s3_fail_errno(op, rc, S3_FOR_WRITE);
        if (rc > 0)
            return S3_OK;
    }
    return S3_CONDITIONAL_CONFLICT;
}

/* Deletion ------------------------------------------------------------------------------------------------------- */

static enum s3_error check_delete(struct s3_op *op, const struct s3_conditions *c, bool exists, const struct s3_object *o)
{
    struct str etag = exists ? o->meta.etag : STR_EMPTY;
    enum s3_error e = s3_check_delete(c, exists, etag, o->attr.size, exists ? s3_object_modified_s(o) : 0);
    return s3_fail_condition(op, e, "", c, etag);
}

/* The name is taken away only from what is an object: not from a FIFO, nor from a link to a directory. A link that leads out
 * of the bucket is a name like any other, as for PUT. */
static int unlink_any(struct s3_op *op, const struct s3_key *key)
{
    struct vfs_attr attr = {.type = VFS_FILE};
    int rc = vfs_lookup(op->bucket, key->path, op->cred, &attr);
    if (rc < 0 && rc != -EXDEV && rc != -ELOOP)
        return rc;
    return attr.type == VFS_FILE ? vfs_unlink(op->bucket, key->path, op->cred, NULL) : -ENOENT;
}

static bool is_absent(int rc)
{
    return rc == -ENOENT || rc == -ENOTDIR || rc == -EISDIR;
}

static int remove_directory(struct s3_op *op, const struct s3_key *key, const struct s3_object *o)
{
    int rc = vfs_rmdir(op->bucket, key->path, op->cred);
    if (rc != -ENOTEMPTY)
        return rc;
    /* It goes on as a directory on the way to what it holds, and goes with the last of it. */
    rc = vfs_xattr_remove(o->file, op->cred, S3_OBJMETA_XATTR);
    if (rc == 0)
        rc = vfs_make_implicit(op->bucket, key->path, op->cred);
    if (rc == 0)
        vfs_prune(op->bucket, key->path, op->cred);
    return rc;
}

/* Opens the object, for its conditions and as what is deleted. */
static int delete_opened(struct s3_op *op, const struct s3_key *key, const struct s3_conditions *c, enum s3_error *out_error)
{
    struct s3_object o;
    bool exists;
    int rc = -ENOENT;
    *out_error = open_present(op, key, &o, &exists);
    if (*out_error == S3_OK)
        *out_error = check_delete(op, c, exists, &o);
    if (*out_error == S3_OK && exists && key->is_directory) {
        rc = remove_directory(op, key, &o);
    } else if (*out_error == S3_OK && exists) {
        struct vfs_version version = vfs_attr_version(&o.attr);
        rc = vfs_unlink(op->bucket, key->path, op->cred, &version);
        if (rc == -ENOENT)
            rc = -ESTALE; /* deleted by another in between: the condition must be decided again */
    }
    s3_object_close(&o);
    return rc;
}

enum s3_error s3_object_delete(struct s3_op *op, const struct s3_key *key, const struct s3_conditions *c, bool *out_existed)
{
    for (int attempt = 0; may_race_again(attempt); attempt++) {
        enum s3_error e = S3_OK;
        bool simple = !key->is_directory && !s3_has_conditions(c);
        int rc = simple ? unlink_any(op, key) : delete_opened(op, key, c, &e);
        if (e != S3_OK)
            return e;
        if (rc == -ESTALE)
            continue;
        if (rc < 0 && !is_absent(rc))
            return s3_fail_errno(op, rc, S3_FOR_WRITE);
        *out_existed = rc == 0;
        if (rc == 0)
            s3_object_prune_parents(op, key->path);
        return S3_OK;
    }
    return S3_CONDITIONAL_CONFLICT;
}
