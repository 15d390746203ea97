/* Objects as files below a directory, laid out as the official client's `file` storage: the key is the path. A file gets its
 * name by rename, so that it is there whole or not at all; unlike there, file and name are then synced, together, which costs a
 * journalling filesystem one commit. After a loss of power in between, what has the name may be no object: nobody was told of it.
 * Listings leave temporary names out, ours and those of both generations of the official client. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/mutex.h"
#include "base/random.h"
#include "vfs/dir/sync.h"
#include "vfs/store/store_driver.h"

/* Deeper than any key of the format; a directory tree is foreign data too. */
#define DEPTH_MAX 32
/* As much of an object's name as its temporary name repeats, as in the official client. */
#define TEMP_BASE_MAX 200

struct file_store {
    struct store_driver driver;
    char *root;
    bool sync;
    struct mutex lock; /* guards what follows until root_fd is set, which then stays */
    int root_fd;
};

static int fail_errno(struct buf *why, const char *what, struct str key)
{
    int error = errno;
    int rc = error == ENOENT || error == EACCES || error == EPERM ? -error : -EIO;
    if (error == ENOTDIR || error == EISDIR)
        rc = -ENOENT;
    if (error == ENOSPC || error == EDQUOT)
        rc = -ENOSPC;
    return store_fail(why, rc == -EPERM ? -EACCES : rc, "%s %.*s: %s", what, STR_ARG(key), strerror(error));
}

/* No segment that means another directory, none that is empty. */
static int check_key(struct str key, struct buf *why)
{
    struct str rest = key, segment;
    bool ok = key.len > 0 && key.len < LIMIT_STORE_KEY_BYTES && str_find_char(key, '\0') < 0;
    while (ok && str_split(&rest, '/', &segment))
        ok = segment.len > 0 && !str_is(segment, ".") && !str_is(segment, "..");
    return ok ? 0 : store_fail(why, -EINVAL, "no key for a file: %.*s", STR_ARG(key));
}

static struct file_store *self(struct store_driver *d)
{
    return container_of(d, struct file_store, driver);
}

/* The root's descriptor. A root that is not there is not made on the way: it may be a disk that is not mounted. */
static int open_root(struct file_store *f, int *out_fd, struct buf *why)
{
    mutex_lock(&f->lock);
    if (f->root_fd < 0)
        f->root_fd = open(f->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    *out_fd = f->root_fd;
    mutex_unlock(&f->lock);
    return *out_fd >= 0 ? 0 : store_fail(why, -ENXIO, "the store's directory %s: %s", f->root, strerror(errno));
}

static int file_open(const struct store_config *config, struct str bucket, struct store_driver **out, struct buf *why)
{
    if (!str_starts(bucket, STR("/")) || !str_ends(bucket, STR("/")) || str_find_char(bucket, '\0') >= 0)
        return store_fail(why, -EINVAL, "the bucket of a file store is an absolute path that ends in '/', not %.*s",
                          STR_ARG(bucket));
    struct file_store *f = calloc(1, sizeof(*f));
    CHECK(f != NULL); /* out of memory */
    f->driver.ops = &store_file_ops;
    f->root = strndup(bucket.ptr, bucket.len);
    CHECK(f->root != NULL); /* out of memory */
    f->sync = !config->no_sync;
    f->root_fd = -1;
    mutex_init(&f->lock);
    *out = &f->driver;
    return 0;
}

static void file_close(struct store_driver *d)
{
    struct file_store *f = self(d);
    fd_closep(&f->root_fd);
    mutex_done(&f->lock);
    free(f->root);
    free(f);
}

static int file_create(struct store_driver *d, struct buf *why)
{
    struct file_store *f = self(d);
    char *path = strdup(f->root);
    CHECK(path != NULL); /* out of memory */
    int rc = 0;
    for (char *slash = strchr(path + 1, '/'); slash && rc == 0; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0777) < 0 && errno != EEXIST)
            rc = fail_errno(why, "mkdir", str_z(path));
        *slash = '/';
    }
    free(path);
    int fd;
    return rc < 0 ? rc : open_root(f, &fd, why);
}

/* Writing */

/* A directory, and with it a file in it unless that is -1. */
static int sync_names(const struct file_store *f, int root, const char *path, int file)
{
    if (!f->sync)
        return 0;
    CLEANUP(fd_closep) int fd = openat(root, path[0] ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int both[] = {fd, file};
    return fd < 0 ? -errno : sync_nodes(both, file < 0 ? 1 : 2);
}

/* Makes the directories of `path` (NUL-terminated, below root) that are missing, their names durable. */
static int make_parents(struct file_store *f, int root, char *path)
{
    int rc = 0;
    const char *parent = "";
    for (char *slash = strchr(path, '/'); slash && rc == 0; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdirat(root, path, 0777) < 0 && errno != EEXIST)
            rc = -errno;
        /* One that another thread has just made may not be synced yet either. */
        char *last = strrchr(path, '/');
        if (last)
            *last = '\0';
        parent = last ? path : "";
        if (rc == 0)
            rc = sync_names(f, root, parent, -1);
        if (last)
            *last = '/';
        *slash = '/';
    }
    return rc;
}

struct file_names {
    char path[LIMIT_STORE_KEY_BYTES];
    char dir[LIMIT_STORE_KEY_BYTES]; /* "" for the root */
    char temp[LIMIT_STORE_KEY_BYTES + 64];
};

static void make_names(struct str key, struct file_names *out)
{
    ptrdiff_t slash = str_rfind_char(key, '/');
    struct str dir = str_first(key, slash < 0 ? 0 : (size_t)slash);
    struct str base = str_first(str_from(key, (size_t)(slash + 1)), TEMP_BASE_MAX);
    (void)snprintf(out->path, sizeof(out->path), "%.*s", STR_ARG(key));
    (void)snprintf(out->dir, sizeof(out->dir), "%.*s", STR_ARG(dir));
    (void)snprintf(out->temp, sizeof(out->temp), "%s%s.jfs.%.*s.tmp.%" PRIu64, out->dir, slash < 0 ? "" : "/",
                   STR_ARG(base), random_u64() >> 1);
}

static int open_temp(struct file_store *f, int root, struct file_names *n)
{
    const int flags = O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC;
    int fd = openat(root, n->temp, flags, 0666);
    if (fd >= 0 || errno != ENOENT)
        return fd >= 0 ? fd : -errno;
    int rc = make_parents(f, root, n->path);
    if (rc < 0)
        return rc;
    fd = openat(root, n->temp, flags, 0666);
    return fd >= 0 ? fd : -errno;
}

static int write_and_name(int root, const struct file_names *n, int fd, struct str body)
{
    int rc = fault_point("store.file.write");
    if (rc == 0)
        rc = fd_write_all(fd, body.ptr, body.len);
    if (rc == 0 && renameat(root, n->temp, root, n->path) < 0)
        rc = -errno;
    return rc;
}

static int file_put(struct store_driver *d, struct str key, struct str body, struct buf *why)
{
    struct file_store *f = self(d);
    struct file_names n;
    int root;
    int rc = check_key(key, why);
    if (rc == 0)
        rc = open_root(f, &root, why);
    if (rc < 0)
        return rc;
    make_names(key, &n);
    CLEANUP(fd_closep) int fd = open_temp(f, root, &n);
    rc = fd < 0 ? fd : write_and_name(root, &n, fd, body);
    if (rc < 0 && fd >= 0)
        (void)unlinkat(root, n.temp, 0); /* the write's error is the one to tell */
    if (rc == 0)
        rc = sync_names(f, root, n.dir, fd);
    if (rc == 0)
        return 0;
    errno = -rc;
    rc = fail_errno(why, "write", key);
    return rc == -ENOENT ? -EIO : rc;
}

/* Reading */

static int file_get(struct store_driver *d, struct str key, struct store_read *read, struct buf *why)
{
    int root;
    int rc = check_key(key, why);
    if (rc == 0)
        rc = open_root(self(d), &root, why);
    if (rc < 0)
        return rc;
    CLEANUP(fd_closep) int fd = openat(root, key.ptr, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return fail_errno(why, "open", key);
    if (!S_ISREG(st.st_mode))
        return store_fail(why, -ENOENT, "%.*s is no file", STR_ARG(key));
    if (read->whole && (uint64_t)st.st_size > read->capacity)
        return store_fail(why, -EFBIG, "%.*s has %jd bytes", STR_ARG(key), (intmax_t)st.st_size);
    ssize_t size = fd_pread_full(fd, read->out, read->capacity, read->offset);
    if (size < 0) {
        errno = (int)-size;
        return fail_errno(why, "read", key);
    }
    read->size = (size_t)size;
    return 0;
}

static int64_t mtime_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static int file_head(struct store_driver *d, struct str key, struct store_object *out, struct buf *why)
{
    struct stat st;
    int root;
    int rc = check_key(key, why);
    if (rc == 0)
        rc = open_root(self(d), &root, why);
    if (rc < 0)
        return rc;
    if (fstatat(root, key.ptr, &st, 0) < 0)
        return fail_errno(why, "stat", key);
    if (!S_ISREG(st.st_mode))
        return store_fail(why, -ENOENT, "%.*s is no file", STR_ARG(key));
    out->size = (uint64_t)st.st_size;
    out->mtime_ns = mtime_ns(&st);
    return 0;
}

static int file_delete(struct store_driver *d, struct str key, struct buf *why)
{
    int root;
    int rc = check_key(key, why);
    if (rc == 0)
        rc = open_root(self(d), &root, why);
    if (rc < 0)
        return rc;
    if (unlinkat(root, key.ptr, 0) < 0 && errno != ENOENT && errno != ENOTDIR)
        return fail_errno(why, "delete", key);
    return 0;
}

/* Listing */

struct walk {
    int root;
    struct str prefix, after;
    struct store_page *page;
    struct buf key; /* of the directory we are in, with its '/' */
    struct buf *why;
};

/* Sorted as keys are: a directory as its name with '/' behind. */
struct walk_names {
    struct str *names;
    size_t count, capacity;
};

static int compare_names(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    return str_cmp(*x, *y);
}

/* ".jfs.NAME.tmp.N", and ".NAME.tmpN" as versions up to 1.3 have it. */
static bool is_temporary(const char *name)
{
    return name[0] == '.' && strstr(name, ".tmp") != NULL;
}

static bool is_directory(int fd, const struct dirent *e)
{
    struct stat st;
    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;
    return fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static void add_name(struct walk *w, struct walk_names *list, struct str name)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 64;
        list->names = realloc(list->names, list->capacity * sizeof(struct str));
        CHECK(list->names != NULL); /* out of memory */
    }
    list->names[list->count++] = arena_dup(w->page->arena, name);
}

/* Could the object `key`, or (when it ends in '/') any below it, belong to the page? */
static bool is_wanted(const struct walk *w, struct str key)
{
    bool below = str_ends(key, STR("/"));
    if (!str_starts(key, w->prefix) && !(below && str_starts(w->prefix, key)))
        return false;
    return str_cmp(key, w->after) > 0 || (below && str_starts(w->after, key));
}

static int read_names(struct walk *w, struct walk_names *list)
{
    const char *path = w->key.len ? buf_z(&w->key) : ".";
    int fd = openat(w->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir)
        return errno == ENOENT ? 0 : fail_errno(w->why, "list", str_z(path));
    size_t base_len = w->key.len;
    struct dirent *e;
    while ((errno = 0, e = readdir(dir)) != NULL) {
        if (str_is(str_z(e->d_name), ".") || str_is(str_z(e->d_name), "..") || is_temporary(e->d_name))
            continue;
        buf_addz(&w->key, e->d_name);
        if (is_directory(fd, e))
            buf_addc(&w->key, '/');
        if (!w->key.failed && is_wanted(w, buf_str(&w->key)))
            add_name(w, list, str_from(buf_str(&w->key), base_len));
        buf_truncate(&w->key, base_len);
        w->key.failed = false; /* longer than any key of ours: not ours */
    }
    int rc = errno ? fail_errno(w->why, "list", str_z(path)) : 0;
    (void)closedir(dir); /* was only read */
    if (list->count > 0)
        qsort(list->names, list->count, sizeof(struct str), compare_names);
    return rc;
}

/* A file that went meanwhile is left out. */
static void add_object(struct walk *w)
{
    struct stat st;
    if (fstatat(w->root, buf_z(&w->key), &st, 0) < 0 || !S_ISREG(st.st_mode))
        return;
    w->page->objects[w->page->count++] = (struct store_object){
        .key = arena_dup(w->page->arena, buf_str(&w->key)), .size = (uint64_t)st.st_size, .mtime_ns = mtime_ns(&st)};
}

/* Adds the objects below w->key. Recursion ends at DEPTH_MAX. */
static int walk(struct walk *w, unsigned depth)
{
    struct walk_names list = {0};
    size_t base_len = w->key.len;
    int rc = depth < DEPTH_MAX ? read_names(w, &list) : store_fail(w->why, -EIO, "too deep: %s", buf_z(&w->key));
    for (size_t i = 0; i < list.count && rc == 0 && !w->page->more; i++) {
        if (w->page->count == LIMIT_STORE_LIST_KEYS) {
            w->page->more = true;
            break;
        }
        buf_add(&w->key, list.names[i]);
        if (str_ends(list.names[i], STR("/")))
            rc = walk(w, depth + 1);
        else
            add_object(w);
        buf_truncate(&w->key, base_len);
    }
    free(list.names);
    return rc;
}

static int file_list(struct store_driver *d, struct str prefix, struct str after, struct store_page *page,
                     struct buf *why)
{
    struct walk w = {.prefix = prefix, .after = after, .page = page, .key = buf_make(LIMIT_STORE_KEY_BYTES), .why = why};
    int rc = open_root(self(d), &w.root, why);
    if (rc == 0)
        rc = walk(&w, 0);
    buf_done(&w.key);
    return rc;
}

const struct store_ops store_file_ops = {
    .name = "file",
    .late_shards = true,
    .open = file_open,
    .close = file_close,
    .create = file_create,
    .put = file_put,
    .get = file_get,
    .head = file_head,
    .delete = file_delete,
    .list = file_list,
};
