/* The threads that serve the device, and the beginning of a session: fresh, or taken over from a process that died.
 *
 * The kernel sends INIT once in a mount's life. Its bytes are kept outside of this process; who takes the mount over plays
 * them to libfuse, whose answer the kernel drops (nobody waits for it any more), and serves on.
 *
 * Each thread has a descriptor of its own. An answer must go through the one that its request was read from, which libfuse
 * leaves to the callbacks here. */
#include <errno.h>
#include <inttypes.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "vfs/fuse/device.h"
#include "vfs/fuse/fuse_internal.h"

/* linux/fuse.h of Linux 6.9 has them by the names FUSE_NOTIFY_RESEND and FUSE_UNIQUE_RESEND. */
#define NOTIFY_RESEND 7
#define UNIQUE_RESEND (1ull << 63)
/* How often threads that sleep in read(2) are told to stop. */
#define STOP_TICK_NS (10 * 1000 * 1000)

_Thread_local int vfuse_device = -1;
_Thread_local bool vfuse_is_resent;

const struct fuse_lowlevel_ops vfuse_operations = {
    .init = vfuse_init,
    .lookup = vfuse_op_lookup,
    .getattr = vfuse_op_getattr,
    .setattr = vfuse_op_setattr,
    .access = vfuse_op_access,
    .statfs = vfuse_op_statfs,
    .mknod = vfuse_op_mknod,
    .mkdir = vfuse_op_mkdir,
    .symlink = vfuse_op_symlink,
    .readlink = vfuse_op_readlink,
    .link = vfuse_op_link,
    .unlink = vfuse_op_unlink,
    .rmdir = vfuse_op_rmdir,
    .rename = vfuse_op_rename,
    .create = vfuse_op_create,
    .open = vfuse_op_open,
    .read = vfuse_op_read,
    .write = vfuse_op_write,
    .flush = vfuse_op_flush,
    .fsync = vfuse_op_fsync,
    .release = vfuse_op_release,
    .fallocate = vfuse_op_fallocate,
    .copy_file_range = vfuse_op_copy,
    .lseek = vfuse_op_lseek,
    .opendir = vfuse_op_opendir,
    .readdir = vfuse_op_readdir,
    .readdirplus = vfuse_op_readdirplus,
    .releasedir = vfuse_op_releasedir,
    .fsyncdir = vfuse_op_fsyncdir,
    .setxattr = vfuse_op_setxattr,
    .getxattr = vfuse_op_getxattr,
    .listxattr = vfuse_op_listxattr,
    .removexattr = vfuse_op_removexattr,
    .getlk = vfuse_op_getlk,
    .setlk = vfuse_op_setlk,
    .flock = vfuse_op_flock,
};

void vfuse_init(void *data, struct fuse_conn_info *conn)
{
    struct vfuse *v = data;
    if (v->options.io_size_max > 0)
        conn->max_write = v->options.io_size_max;
    conn->want |= conn->capable & (FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_READDIRPLUS |
                                   FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_PARALLEL_DIROPS |
                                   FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_ASYNC_DIO);
    /* A directory's default ACL takes the place of the umask, which only the volume can tell. */
    if (v->settings->enable_acl)
        conn->want |= conn->capable & (FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK);
    /* Set-id bits go by the setattr that the kernel sends. */
    conn->want &= ~(unsigned)FUSE_CAP_HANDLE_KILLPRIV;
    conn->max_background = LIMIT_FUSE_BACKGROUND;
}

/* libfuse's reads and writes */

/* The kernel knows the mount's root by a number of its own. Here no operation can forget to translate it, and so reach what is
 * above. Besides a request's own node only the directory that something is renamed to can be the root. */
static void translate_root(const struct vfuse *v, struct fuse_in_header *head, size_t size)
{
    uint64_t *second = NULL;
    if ((head->opcode == FUSE_RENAME || head->opcode == FUSE_RENAME2) && size >= sizeof(*head) + sizeof(*second))
        second = (uint64_t *)(head + 1); /* newdir, of both */
    if (head->nodeid == FUSE_ROOT_ID)
        head->nodeid = v->root;
    if (second && *second == FUSE_ROOT_ID)
        *second = v->root;
}

/* A thread that is being killed may still take a request, and the kernel fails that with EIO when it would have to fault in the
 * pages to copy it to: where they are there, the request waits for the next process as all others do. */
static void have_pages(void *out, size_t size)
{
    static _Thread_local const void *present;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (present == out)
        return;
    for (size_t at = 0; at < size; at += page)
        ((volatile char *)out)[at] = 0;
    ((volatile char *)out)[size - 1] = 0;
    present = out;
}

static ssize_t device_read(int fd, void *out, size_t size, void *data)
{
    (void)fd;
    have_pages(out, size);
    ssize_t n = read(vfuse_device, out, size);
    if (n >= (ssize_t)sizeof(struct fuse_in_header)) {
        struct fuse_in_header *head = out;
        vfuse_is_resent = (head->unique & UNIQUE_RESEND) != 0;
        translate_root(data, head, (size_t)n);
    }
    return n;
}

_Static_assert(offsetof(struct fuse_rename_in, newdir) == 0 && offsetof(struct fuse_rename2_in, newdir) == 0, "translate_root");

static ssize_t device_write(int fd, struct iovec *parts, int count, void *data)
{
    (void)fd;
    (void)data;
    return writev(vfuse_device, parts, count);
}

static void ask_again(int device)
{
    struct fuse_out_header message = {.len = sizeof(message), .error = NOTIFY_RESEND};
    if (write(device, &message, sizeof(message)) < 0)
        log_warn("resend_refused", "errno=%d", errno);
}

/* Beginning */

static int begin_fresh(struct vfuse *v, vfuse_keep_fn keep, void *arg)
{
    struct fuse_buf message = {0};
    int n;
    do {
        n = fuse_session_receive_buf(v->session, &message);
    } while (n == -EINTR && !atomic_load(&v->stopping));
    const struct fuse_in_header *head = message.mem;
    if (n > 0 && (size_t)n >= sizeof(*head) && head->opcode == FUSE_INIT) {
        keep(arg, str_of(message.mem, (size_t)n));
        fuse_session_process_buf(v->session, &message);
        vfuse_set_readahead(v->options.mount_point, v->options.io_size_max > 0 ? v->options.io_size_max : LIMIT_FUSE_IO_BYTES);
    } else if (n > 0) {
        n = -EPROTO;
    }
    free(message.mem);
    return n;
}

static void begin_again(struct vfuse *v, struct str init)
{
    struct fuse_buf message = {.size = init.len, .mem = malloc(init.len)};
    CHECK(message.mem != NULL); /* out of memory */
    memcpy(message.mem, init.ptr, init.len);
    fuse_session_process_buf(v->session, &message);
    free(message.mem);
}

/* Serving */

struct server {
    struct vfuse *v;
    size_t index;
    int device;
    pthread_t thread;
    atomic_bool ended;
};

static void *serve(void *arg)
{
    struct server *s = arg;
    vfuse_device = s->device;
    vfuse_stall_attach(s->v->stalls, s->index);
    struct fuse_buf message = {0};
    while (!fuse_session_exited(s->v->session) && !atomic_load(&s->v->stopping)) {
        int n = fuse_session_receive_buf(s->v->session, &message);
        if (n > 0)
            fuse_session_process_buf(s->v->session, &message);
        else if (n == 0)
            break;
        else if (n != -EINTR && n != -EAGAIN) {
            log_error("device_failed", "errno=%d", -n);
            break;
        }
    }
    free(message.mem);
    atomic_store(&s->ended, true);
    return NULL;
}

static void on_wake(int signal)
{
    (void)signal;
}

/* Threads that read or wait for the device are woken until all have seen that it is over. */
static void join(struct server *servers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        while (!atomic_load(&servers[i].ended)) {
            if (atomic_load(&servers[i].v->stopping) || fuse_session_exited(servers[i].v->session))
                (void)pthread_kill(servers[i].thread, SIGUSR2); /* ended meanwhile: joined below */
            (void)nanosleep(&(struct timespec){.tv_nsec = STOP_TICK_NS}, NULL);
        }
        CHECK(pthread_join(servers[i].thread, NULL) == 0);
    }
}

/* The session, and its beginning on the mount's own device. */
static int begin(struct vfuse *v, const struct vfuse_serving *how)
{
    static const struct fuse_custom_io io = {.writev = device_write, .read = device_read};
    /* The session closes its descriptor. */
    int own = dup(how->devices[0]);
    if (own < 0)
        return -errno;
    if (fuse_session_custom_io(v->session, &io, own) != 0) {
        close(own);
        return -ENOMEM;
    }
    vfuse_device = how->devices[0];
    if (v->resume_init.len == 0)
        return begin_fresh(v, how->keep, how->arg);
    begin_again(v, v->resume_init);
    if (how->resend)
        ask_again(how->devices[0]);
    return 1;
}

int vfuse_serve(struct vfuse *v, const struct vfuse_serving *how)
{
    CHECK(how->count >= 2);
    /* Not restarting: read(2) must return. */
    const struct sigaction wake = {.sa_handler = on_wake};
    CHECK(sigaction(SIGUSR2, &wake, NULL) == 0);
    int r = begin(v, how);
    if (r <= 0)
        return r;
    v->waiters = vfuse_waiters_new(v);
    size_t count = how->count - 1;
    v->stalls = vfuse_stalls_new(count);
    struct server *servers = calloc(count, sizeof(*servers));
    CHECK(servers != NULL); /* out of memory */
    for (size_t i = 0; i < count; i++) {
        servers[i].v = v;
        servers[i].index = i;
        servers[i].device = how->devices[1 + i];
        thread_start(&servers[i].thread, "fuse", serve, &servers[i]);
    }
    join(servers, count);
    free(servers);
    vfuse_stalls_free(TAKE(v->stalls));
    vfuse_waiters_free(TAKE(v->waiters));
    return atomic_load(&v->stopping) ? 1 : 0;
}

void vfuse_stop(struct vfuse *v)
{
    atomic_store(&v->stopping, true);
}

/* Opening and closing the volume */

/* The directory that is mounted; what is missing of it is made open to all, as official clients do. */
static int find_root(struct vfuse *v, const char **out_error)
{
    struct str rest = str_z(v->options.subdir), name;
    v->root = META_ROOT;
    while (rest.ptr && str_split(&rest, '/', &name)) {
        struct meta_attr attr = {0};
        meta_ino ino = 0;
        if (name.len == 0)
            continue;
        int r = meta_lookup(v->meta, NULL, v->root, name, &ino, &attr);
        if (r == -ENOENT)
            r = meta_mkdir(v->meta, NULL, v->root, name, 0777, 0, &ino, &attr);
        if (r == -EEXIST)
            r = 0; /* made by somebody else meanwhile */
        if (r == 0 && attr.type != META_DIRECTORY)
            r = -ENOTDIR;
        if (r < 0) {
            *out_error = r == -ENOTDIR ? "--subdir: not a directory" : r == -EROFS ? "--subdir: there is no such directory" : NULL;
            return r;
        }
        v->root = ino;
    }
    return 0;
}

static int open_client(struct vfuse *v, const struct jfs_client_options *how, const char **out_error)
{
    int r = jfs_client_open(str_z(v->options.url), how, &v->client, out_error);
    if (r < 0)
        return r;
    v->meta = v->client.meta;
    v->data = v->client.data;
    r = find_root(v, out_error);
    if (r < 0 && how->meta.resume_session != 0)
        jfs_client_leave(&v->client); /* for the next try */
    else if (r < 0)
        jfs_client_close(&v->client);
    return r;
}

/* What is left of the mount's memory beside the threads' buffers, a request and an answer for each. */
static uint64_t data_memory(const struct vfuse_options *o)
{
    uint64_t all = o->memory ? o->memory : LIMIT_MEMORY_VOLUME_DEFAULT, io = o->io_size_max ? o->io_size_max : LIMIT_FUSE_IO_BYTES;
    uint64_t buffers = 2ull * LIMIT_FUSE_THREADS * io;
    return all - (buffers < all / 4 ? buffers : all / 4);
}

int vfuse_open(const struct vfuse_options *options, const struct vfuse_resume *resume, struct vfuse **out,
               const char **out_error)
{
    struct vfuse_unsaved *unsaved;
    int r = vfuse_unsaved_open(resume->unsaved, &unsaved);
    if (r < 0)
        return r;
    struct vfuse *v = calloc(1, sizeof(*v));
    CHECK(v != NULL); /* out of memory */
    v->options = *options;
    v->resume_init = resume->init;
    v->generation = resume->generation;
    v->started_ns = clock_mono_ns();
    const struct jfs_client_options how = {
        .meta = {.read_only = options->read_only,
                 .no_sync = options->no_sync,
                 .lazy = true, /* close, fsync and fsyncdir say what must be durable */
                 .no_background = options->no_background,
                 .skip_dir_mtime_ms = LIMIT_SKIP_DIR_MTIME_MS,
                 .mount_point = options->mount_point,
                 .resume_session = resume->session},
        .data = {.memory = data_memory(options), .read_only = options->read_only, .disk = options->cache},
        .no_sync = options->no_sync,
        .store_patience_ms = (uint32_t)(options->store_patience_s * 1000),
    };
    r = open_client(v, &how, out_error);
    if (r < 0) {
        vfuse_unsaved_close(unsaved);
        free(v);
        return r;
    }
    v->settings = meta_settings_copy(v->meta);
    v->nodes = vfuse_nodes_new();
    v->handles = vfuse_handles_new();
    v->log = vfuse_log_new();
    v->controls = vfuse_controls_new();
    v->unsaved = unsaved;
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    CHECK(fuse_opt_add_arg(&args, "sluice") == 0); /* out of memory */
    v->session = fuse_session_new(&args, &vfuse_operations, sizeof(vfuse_operations), v);
    fuse_opt_free_args(&args);
    CHECK(v->session != NULL); /* out of memory: there are no options to be wrong */
    *out = v;
    return 0;
}

struct str vfuse_volume_name(const struct vfuse *v)
{
    return v->settings->name;
}

uint64_t vfuse_session(const struct vfuse *v)
{
    return meta_session_id(v->meta);
}

void vfuse_close(struct vfuse *v, bool leave)
{
    if (!v)
        return;
    v->leaving = leave;
    vfuse_handles_free(v, leave);
    vfuse_controls_free(v->controls);
    vfuse_nodes_free(v->nodes);
    fuse_session_destroy(v->session);
    vfuse_log_free(v->log);
    vfuse_unsaved_close(v->unsaved);
    meta_settings_free(v->settings);
    if (leave)
        jfs_client_leave(&v->client);
    else
        jfs_client_close(&v->client);
    free(v);
}
