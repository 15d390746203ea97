/* One operation: its caller, its time, its answer; the lines of .accesslog. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "vfs/fuse/fuse_internal.h"

/* What .accesslog gives up waiting for lines after: official tools count on it. */
#define LOG_WAIT_MS 1000
/* An operation that took this long is told in the process's log too. */
#define SLOW_NS (10ull * 1000 * 1000 * 1000)
#define LINE_BYTES_MAX 1024

static const char *const op_names[VFUSE_OP_COUNT] = {
    [VFUSE_LOOKUP] = "lookup",
    [VFUSE_GETATTR] = "getattr",
    [VFUSE_SETATTR] = "setattr",
    [VFUSE_TRUNCATE] = "truncate",
    [VFUSE_ACCESS] = "access",
    [VFUSE_STATFS] = "statfs",
    [VFUSE_MKNOD] = "mknod",
    [VFUSE_MKDIR] = "mkdir",
    [VFUSE_SYMLINK] = "symlink",
    [VFUSE_READLINK] = "readlink",
    [VFUSE_LINK] = "link",
    [VFUSE_UNLINK] = "unlink",
    [VFUSE_RMDIR] = "rmdir",
    [VFUSE_RENAME] = "rename",
    [VFUSE_CREATE] = "create",
    [VFUSE_OPEN] = "open",
    [VFUSE_READ] = "read",
    [VFUSE_WRITE] = "write",
    [VFUSE_FLUSH] = "flush",
    [VFUSE_FSYNC] = "fsync",
    [VFUSE_RELEASE] = "release",
    [VFUSE_FALLOCATE] = "fallocate",
    [VFUSE_COPY] = "copy_file_range",
    [VFUSE_LSEEK] = "lseek",
    [VFUSE_OPENDIR] = "opendir",
    [VFUSE_READDIR] = "readdir",
    [VFUSE_RELEASEDIR] = "releasedir",
    [VFUSE_SETXATTR] = "setxattr",
    [VFUSE_GETXATTR] = "getxattr",
    [VFUSE_LISTXATTR] = "listxattr",
    [VFUSE_REMOVEXATTR] = "removexattr",
    [VFUSE_GETLK] = "getlk",
    [VFUSE_SETLK] = "setlk",
    [VFUSE_FLOCK] = "flock",
};

/* Lines for readers */

struct vfuse_log_reader {
    struct list link;
    struct buf lines; /* not read yet; what does not fit is dropped, as official clients do */
};
struct vfuse_log {
    struct mutex lock; /* guards the readers; leaf */
    struct cond more;
    struct list readers;
    atomic_uint count;
    struct metric *times[VFUSE_OP_COUNT], *errors[VFUSE_OP_COUNT];
    struct metric *read_bytes, *written_bytes;
};

struct vfuse_log *vfuse_log_new(void)
{
    struct vfuse_log *l = calloc(1, sizeof(*l));
    CHECK(l != NULL); /* out of memory */
    mutex_init(&l->lock);
    cond_init(&l->more);
    list_init(&l->readers);
    for (size_t i = 0; i < VFUSE_OP_COUNT; i++) {
        char labels[64];
        CHECK(snprintf(labels, sizeof(labels), "op=\"%s\"", op_names[i]) < (int)sizeof(labels));
        l->times[i] = metric_get(METRIC_HISTOGRAM, "sluice_fuse_operation_seconds", labels,
                                 "Time that filesystem operations of the mount took");
        l->errors[i] = metric_get(METRIC_COUNTER, "sluice_fuse_errors_total", labels,
                                  "Operations of the mount that failed, other than for a name that is not there");
    }
    l->read_bytes = metric_get(METRIC_COUNTER, "sluice_fuse_read_bytes_total", "", "Bytes that the kernel read through the mount");
    l->written_bytes = metric_get(METRIC_COUNTER, "sluice_fuse_written_bytes_total", "", "Bytes that the kernel wrote");
    return l;
}

void vfuse_log_free(struct vfuse_log *l)
{
    CHECK(list_empty(&l->readers));
    cond_done(&l->more);
    mutex_done(&l->lock);
    free(l);
}

struct vfuse_log_reader *vfuse_log_open(struct vfuse_log *l)
{
    struct vfuse_log_reader *r = calloc(1, sizeof(*r));
    CHECK(r != NULL); /* out of memory */
    r->lines = buf_make(LIMIT_FUSE_LOG_BYTES);
    mutex_lock(&l->lock);
    list_push_back(&l->readers, &r->link);
    atomic_fetch_add(&l->count, 1);
    mutex_unlock(&l->lock);
    return r;
}

void vfuse_log_close(struct vfuse_log *l, struct vfuse_log_reader *r)
{
    mutex_lock(&l->lock);
    list_remove(&r->link);
    atomic_fetch_sub(&l->count, 1);
    mutex_unlock(&l->lock);
    buf_done(&r->lines);
    free(r);
}

size_t vfuse_log_read(struct vfuse_log *l, struct vfuse_log_reader *r, char *out, size_t size)
{
    mutex_lock(&l->lock);
    if (r->lines.len == 0)
        (void)cond_wait_ms(&l->more, &l->lock, LOG_WAIT_MS); /* whatever woke us: what is there is read */
    if (r->lines.len == 0)
        buf_add(&r->lines, STR("#\n"));
    size_t n = r->lines.len < size ? r->lines.len : size;
    memcpy(out, r->lines.ptr, n);
    buf_consume(&r->lines, n);
    mutex_unlock(&l->lock);
    return n;
}

void vfuse_count_bytes(const struct vfuse_call *c, size_t bytes)
{
    metric_add(c->op == VFUSE_WRITE ? c->v->log->written_bytes : c->v->log->read_bytes, bytes);
}

static void tell_readers(struct vfuse_log *l, struct str line)
{
    mutex_lock(&l->lock);
    list_for_each(it, &l->readers) {
        struct vfuse_log_reader *r = list_entry(it, struct vfuse_log_reader, link);
        if (r->lines.len + line.len <= r->lines.max)
            buf_add(&r->lines, line);
    }
    cond_broadcast(&l->more);
    mutex_unlock(&l->lock);
}

/* "2026.01.31 12:00:00.123456 [uid:0,gid:0,pid:1] lookup (1,name) - OK <0.000123>" */
static void PRINTF(5, 0)
add_line(struct buf *out, const struct vfuse_call *c, int r, uint64_t took_ns, const char *format, va_list args)
{
    int64_t now = clock_wall_ns();
    time_t seconds = (time_t)(now / 1000000000);
    struct tm t;
    CHECK(gmtime_r(&seconds, &t) != NULL);
    buf_addf(out, "%04d.%02d.%02d %02d:%02d:%02d.%06d", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min,
             t.tm_sec, (int)(now % 1000000000 / 1000));
    buf_addf(out, " [uid:%u,gid:%u,pid:%u] %s ", c->ctx.uid, c->ctx.gid, c->ctx.pid, op_names[c->op]);
    size_t from = out->len;
    buf_addv(out, format, args);
    for (size_t i = from; i < out->len; i++) {
        if ((unsigned char)out->ptr[i] < ' ')
            out->ptr[i] = '?';
    }
    buf_addf(out, " - %s <%.6f>\n", r < 0 ? strerrordesc_np(-r) : "OK", (double)took_ns / 1e9);
}

/* Beginning and end */

struct vfuse_call vfuse_begin(fuse_req_t request, enum vfuse_op op)
{
    const struct fuse_ctx *who = fuse_req_ctx(request);
    const uint64_t now_ns = clock_mono_ns();
    struct vfuse_call c = {
        .v = fuse_req_userdata(request),
        .request = request,
        .op = op,
        /* The kernel has checked permissions (default_permissions). */
        .ctx = {.uid = who->uid, .gid = who->gid, .pid = (uint32_t)who->pid},
        .started_ns = now_ns,
    };
    vfuse_stall_begin(&c);
    return c;
}

uint16_t vfuse_umask(const struct vfuse_call *c)
{
    if (c->v->options.umask >= 0)
        return (uint16_t)c->v->options.umask;
    return (uint16_t)(fuse_req_ctx(c->request)->umask & 07777);
}

void vfuse_end(const struct vfuse_call *c, int r, const char *format, ...)
{
    struct vfuse_log *l = c->v->log;
    uint64_t took = clock_mono_ns() - c->started_ns;
    metric_observe_ns(l->times[c->op], took);
    if (r < 0 && r != -ENOENT && r != -ENODATA)
        metric_add(l->errors[c->op], 1);
    if (atomic_load(&l->count) == 0 && took < SLOW_NS)
        return;
    char memory[LINE_BYTES_MAX];
    struct buf line = buf_over(memory, sizeof(memory));
    va_list args;
    va_start(args, format);
    add_line(&line, c, r, took, format, args);
    va_end(args);
    if (took >= SLOW_NS)
        log_warn("slow_operation", "operation=\"%.*s\"", STR_ARG(str_first(buf_str(&line), line.len - 1)));
    tell_readers(l, buf_str(&line));
}

/* Answers. That the kernel does not want one any more (interrupted, unmounted) is nothing to act on. */

void vfuse_answer(const struct vfuse_call *c, int r)
{
    if (vfuse_may_answer(c))
        (void)fuse_reply_err(c->request, r < 0 ? -r : 0);
}

mode_t vfuse_type_bits(uint8_t type)
{
    switch ((enum meta_type)type) {
    case META_FILE: return S_IFREG;
    case META_DIRECTORY: return S_IFDIR;
    case META_SYMLINK: return S_IFLNK;
    case META_FIFO: return S_IFIFO;
    case META_BLOCK_DEVICE: return S_IFBLK;
    case META_CHAR_DEVICE: return S_IFCHR;
    case META_SOCKET: return S_IFSOCK;
    }
    return 0;
}

meta_ino vfuse_kernel_ino(const struct vfuse *v, meta_ino ino)
{
    return ino == v->root ? FUSE_ROOT_ID : ino;
}

void vfuse_fill_stat(const struct vfuse *v, meta_ino ino, const struct meta_attr *attr, struct stat *out)
{
    bool sized = attr->type == META_FILE || attr->type == META_DIRECTORY || attr->type == META_SYMLINK;
    bool device = attr->type == META_BLOCK_DEVICE || attr->type == META_CHAR_DEVICE;
    *out = (struct stat){
        .st_ino = vfuse_kernel_ino(v, ino),
        .st_mode = vfuse_type_bits(attr->type) | (attr->mode & 07777),
        .st_nlink = attr->nlink,
        .st_uid = attr->uid,
        .st_gid = attr->gid,
        .st_rdev = device ? attr->rdev : 0,
        .st_size = sized ? (off_t)attr->length : 0,
        .st_blksize = CHUNK_SIZE,
        .st_blocks = sized ? (blkcnt_t)((attr->length + 511) / 512) : 0,
        .st_atim = attr->atime,
        .st_mtim = attr->mtime,
        .st_ctim = attr->ctime,
    };
}

void vfuse_fill_entry(struct vfuse *v, meta_ino ino, struct meta_attr *attr, struct fuse_entry_param *out)
{
    vfuse_node_adjust(v, ino, attr);
    *out = (struct fuse_entry_param){
        .ino = vfuse_kernel_ino(v, ino),
        .generation = 1,
        .attr_timeout = v->options.attr_cache_s,
        .entry_timeout = attr->type == META_DIRECTORY ? v->options.dir_entry_cache_s : v->options.entry_cache_s,
    };
    vfuse_fill_stat(v, ino, attr, &out->attr);
}

void vfuse_answer_entry(const struct vfuse_call *c, meta_ino ino, struct meta_attr *attr)
{
    struct fuse_entry_param entry;
    vfuse_fill_entry(c->v, ino, attr, &entry);
    if (vfuse_may_answer(c))
        (void)fuse_reply_entry(c->request, &entry);
}

void vfuse_answer_attr(const struct vfuse_call *c, meta_ino ino, struct meta_attr *attr)
{
    vfuse_node_adjust(c->v, ino, attr);
    struct stat s;
    vfuse_fill_stat(c->v, ino, attr, &s);
    if (vfuse_may_answer(c))
        (void)fuse_reply_attr(c->request, &s, c->v->options.attr_cache_s);
}
