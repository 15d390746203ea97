/* What the files of the FUSE adaptor share. Not for use outside vfs/fuse. */
#ifndef VFS_FUSE_FUSE_INTERNAL_H
#define VFS_FUSE_FUSE_INTERNAL_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mutex.h"
#include "vfs/data/data.h"
#include "vfs/fuse/fuse.h"
#include "vfs/fuse/unsaved.h"
#include "vfs/jfs/client.h"
#include "vfs/meta/meta.h"
#include "vfs/meta/settings.h"

/* Bytes of a file that no offset may pass: what 64-bit signed offsets of the kernel hold, in whole chunks. */
#define VFUSE_FILE_BYTES_MAX ((uint64_t)META_CHUNK_SIZE << 31)

/* Operations, as metrics and .accesslog name them (JuiceFS's names). */
enum vfuse_op {
    VFUSE_LOOKUP,
    VFUSE_GETATTR,
    VFUSE_SETATTR,
    VFUSE_TRUNCATE,
    VFUSE_ACCESS,
    VFUSE_STATFS,
    VFUSE_MKNOD,
    VFUSE_MKDIR,
    VFUSE_SYMLINK,
    VFUSE_READLINK,
    VFUSE_LINK,
    VFUSE_UNLINK,
    VFUSE_RMDIR,
    VFUSE_RENAME,
    VFUSE_CREATE,
    VFUSE_OPEN,
    VFUSE_READ,
    VFUSE_WRITE,
    VFUSE_FLUSH,
    VFUSE_FSYNC,
    VFUSE_RELEASE,
    VFUSE_FALLOCATE,
    VFUSE_COPY,
    VFUSE_LSEEK,
    VFUSE_OPENDIR,
    VFUSE_READDIR,
    VFUSE_RELEASEDIR,
    VFUSE_SETXATTR,
    VFUSE_GETXATTR,
    VFUSE_LISTXATTR,
    VFUSE_REMOVEXATTR,
    VFUSE_GETLK,
    VFUSE_SETLK,
    VFUSE_FLOCK,
    VFUSE_OP_COUNT
};

struct vfuse {
    struct vfuse_options options;
    struct jfs_client client;
    struct meta *meta; /* the client's */
    struct data *data;
    struct meta_settings *settings; /* as of opening */
    struct fuse_session *session;
    meta_ino root; /* what the kernel calls FUSE_ROOT_ID: requests are translated when they are read (session.c) */
    struct str resume_init; /* empty: a fresh mount */
    uint32_t generation;
    uint64_t started_ns;
    atomic_bool stopping;
    bool leaving; /* another process goes on with what is open here; set before handles go */
    struct vfuse_nodes *nodes;
    struct vfuse_handles *handles;
    struct vfuse_waiters *waiters;
    struct vfuse_log *log;
    struct vfuse_unsaved *unsaved;
    struct vfuse_controls *controls;
    struct vfuse_stalls *stalls; /* while serving */
};

/* Session (session.c) ------------------------------------------------------------------------------------------------- */

/* The descriptor through which the present thread answers: that from which the request was read. Who answers a request on
 * another thread sets it before. */
extern _Thread_local int vfuse_device;
/* The present request was handed out before, to a process that died over it: it may have been done already. */
extern _Thread_local bool vfuse_is_resent;
extern const struct fuse_lowlevel_ops vfuse_operations;

/* Calls (call.c): one operation, measured and logged ------------------------------------------------------------------- */

struct vfuse_call {
    struct vfuse *v;
    fuse_req_t request;
    enum vfuse_op op;
    struct meta_ctx ctx;
    uint64_t started_ns;
};
struct vfuse_call vfuse_begin(fuse_req_t request, enum vfuse_op op);
/* What new nodes lose of their mode. */
uint16_t vfuse_umask(const struct vfuse_call *c);
/* After the answer. r: negative errno or not; format: the arguments for .accesslog, such as "(%d,%s)". */
void vfuse_end(const struct vfuse_call *c, int r, const char *format, ...) PRINTF(3, 4);
/* A read or a write moved so many bytes of a file. */
void vfuse_count_bytes(const struct vfuse_call *c, size_t bytes);
/* Answers with the error (negative errno), or with plain success for 0 and more. */
void vfuse_answer(const struct vfuse_call *c, int r);
/* Answers with a name's node; reply_entry counts nothing, since the kernel's references need not be known. */
void vfuse_answer_entry(const struct vfuse_call *c, meta_ino ino, struct meta_attr *attr);
void vfuse_answer_attr(const struct vfuse_call *c, meta_ino ino, struct meta_attr *attr);
void vfuse_fill_entry(struct vfuse *v, meta_ino ino, struct meta_attr *attr, struct fuse_entry_param *out);
/* The kernel's number of an inode: its own only for the mount's root. */
meta_ino vfuse_kernel_ino(const struct vfuse *v, meta_ino ino);
mode_t vfuse_type_bits(uint8_t type);
void vfuse_fill_stat(const struct vfuse *v, meta_ino ino, const struct meta_attr *attr, struct stat *out);

struct vfuse_log *vfuse_log_new(void);
void vfuse_log_free(struct vfuse_log *l);
/* A reader of .accesslog: gets the lines from now on. */
struct vfuse_log_reader;
struct vfuse_log_reader *vfuse_log_open(struct vfuse_log *l);
void vfuse_log_close(struct vfuse_log *l, struct vfuse_log_reader *r);
/* Waits a second for lines; "#\n" when there were none. Returns the count. */
size_t vfuse_log_read(struct vfuse_log *l, struct vfuse_log_reader *r, char *out, size_t size);

/* Open files' inodes (node.c) ------------------------------------------------------------------------------------------ */

struct vfuse_node {
    meta_ino ino;
    struct vfuse *v;
    uint64_t refs;     /* guarded by the table's lock, as the next two */
    uint64_t seen_length; /* of the metadata, */
    struct timespec seen_mtime; /* when last looked at */
    struct mutex lock; /* guards the rest; held while written bytes are committed */
    _Atomic(struct data_writer *) writer; /* made by the first write, stays */
    bool dirty;        /* something was written that no flush has covered */
    _Atomic(uint64_t) length; /* as last seen */
    atomic_bool posix_locks; /* somebody here may hold record locks */
};

struct vfuse_nodes *vfuse_nodes_new(void);
/* Commits and closes what is left. */
void vfuse_nodes_free(struct vfuse_nodes *t);
/* Makes it when there is none. */
struct vfuse_node *vfuse_node_ref(struct vfuse *v, meta_ino ino);
/* NULL when nobody has it open. */
struct vfuse_node *vfuse_node_find(struct vfuse *v, meta_ino ino);
/* NULL is fine. */
void vfuse_node_unref(struct vfuse_node *n);
/* What was written is committed. Cheap when nothing was. */
MUST_USE int vfuse_node_flush(struct vfuse_node *n);
/* The same, with the lock held. */
MUST_USE int vfuse_node_flush_locked(struct vfuse_node *n);
MUST_USE int vfuse_node_write(struct vfuse_node *n, struct str bytes, uint64_t offset);
/* The file's length for a read that ends at `end`: where that is past it as last seen, it is looked up. */
MUST_USE int vfuse_node_see_end(struct vfuse_node *n, uint64_t end, uint64_t *out_length);
/* As vfuse_node_flush for who has no reference; 0 when nobody has the inode open. */
MUST_USE int vfuse_flush_ino(struct vfuse *v, meta_ino ino);
/* Attributes as of now: the length counts what is not committed yet, and is remembered. */
void vfuse_node_adjust(struct vfuse *v, meta_ino ino, struct meta_attr *attr);

/* Handles (handle.c) --------------------------------------------------------------------------------------------------- */

enum vfuse_handle_kind { VFUSE_FILE_HANDLE, VFUSE_DIR_HANDLE, VFUSE_VIRTUAL_HANDLE };

struct vfuse_handle {
    uint64_t number;
    enum vfuse_handle_kind kind;
    meta_ino ino;
    uint64_t refs; /* guarded by the table's lock; one is the kernel's */
    bool can_write;
    bool lost; /* a process before us died with bytes that were written to the file: committing fails */
    struct vfuse_node *node;       /* files */
    struct vfuse_dir *dir;         /* directories */
    struct buf text;               /* virtual files: what they said when opened */
    struct vfuse_log_reader *reader; /* .accesslog */
    struct vfuse_control *control;   /* .control */
};

struct vfuse_handles *vfuse_handles_new(void);
/* leave: open files stay open in the metadata session, for a process that goes on with it. */
void vfuse_handles_free(struct vfuse *v, bool leave);
/* A new handle, held by the kernel until vfuse_handle_release. For files: takes the open that meta_node_open or meta_create
 * made. */
struct vfuse_handle *vfuse_handle_new(struct vfuse *v, enum vfuse_handle_kind kind, meta_ino ino);
/* The handle by the kernel's number. One that a process before us gave out is opened again. -EBADF. Put it back. */
MUST_USE int vfuse_handle_get(struct vfuse *v, const struct fuse_file_info *fi, enum vfuse_handle_kind kind, meta_ino ino,
                              struct vfuse_handle **out);
/* NULL is fine. */
void vfuse_handle_put(struct vfuse *v, struct vfuse_handle *h);
/* The kernel has closed it; gone with the last put. */
void vfuse_handle_release(struct vfuse *v, uint64_t number);

/* Requests that take long (stall.c) ---------------------------------------------------------------------------------------- */

struct vfuse_stalls *vfuse_stalls_new(size_t threads);
/* No thread uses it any more. */
void vfuse_stalls_free(struct vfuse_stalls *t);
/* The present thread is number `index` of those that serve; vfuse_device is set. */
void vfuse_stall_attach(struct vfuse_stalls *t, size_t index);
void vfuse_stall_begin(const struct vfuse_call *c);
/* To be asked once before each answer: false when the caller lost patience and has been answered. */
MUST_USE bool vfuse_may_answer(const struct vfuse_call *c);

/* Directories (dir.c) -------------------------------------------------------------------------------------------------- */

struct vfuse_dir *vfuse_dir_new(void);
void vfuse_dir_free(struct vfuse_dir *d);

/* Locks that are waited for (op_lock.c) --------------------------------------------------------------------------------- */

struct vfuse_waiters *vfuse_waiters_new(struct vfuse *v);
/* No thread any more; who waits gets -EINTR. NULL is fine. */
void vfuse_waiters_free(struct vfuse_waiters *w);
/* Locks went: those who wait look again. */
void vfuse_waiters_wake(struct vfuse *v);

/* Virtual files at the root (virtual.c) ---------------------------------------------------------------------------------- */

struct vfuse_virtual {
    meta_ino ino;
    const char *name;
    uint16_t mode;
};
#define VFUSE_VIRTUAL_COUNT 4
extern const struct vfuse_virtual vfuse_virtuals[VFUSE_VIRTUAL_COUNT];
bool vfuse_is_control(const struct vfuse_virtual *f);
/* .control, which can be found in every directory, but where a file has its name: NULL for other names. */
const struct vfuse_virtual *vfuse_control_by_name(struct str name);
/* NULL: not one of them. */
const struct vfuse_virtual *vfuse_virtual_by_name(const struct vfuse *v, meta_ino parent, struct str name);
const struct vfuse_virtual *vfuse_virtual_by_ino(meta_ino ino);
void vfuse_virtual_attr(const struct vfuse *v, const struct vfuse_virtual *f, struct meta_attr *out);
/* Makes what it says, or starts listening. */
void vfuse_virtual_open(struct vfuse *v, const struct vfuse_virtual *f, struct vfuse_handle *h);
/* Is the name one that the root keeps for itself (.trash too, where it has one)? */
bool vfuse_is_reserved(const struct vfuse *v, meta_ino parent, struct str name);
/* Does the mount's root show the trash? With --subdir it does not, as with official clients. */
bool vfuse_has_trash(const struct vfuse *v);

/* The text of .stats (stats.c). */
void vfuse_add_stats(const struct vfuse *v, struct buf *out);

/* .control (control.c) --------------------------------------------------------------------------------------------------- */

struct vfuse_control;  /* an open one */
struct vfuse_controls; /* the commands that run */
struct vfuse_controls *vfuse_controls_new(void);
/* Waits for the commands that run; those of closed handles end soon. */
void vfuse_controls_free(struct vfuse_controls *t);
struct vfuse_control *vfuse_control_new(struct vfuse *v);
/* Nobody waits for the answer any more. NULL is fine. */
void vfuse_control_close(struct vfuse_control *c);
/* Some bytes of a request; the command starts with the last of them. -EBUSY: one is running. -EMSGSIZE. */
MUST_USE int vfuse_control_write(struct vfuse_control *c, const struct vfuse_call *call, struct str bytes);
/* 0: nothing more yet. */
size_t vfuse_control_read(struct vfuse_control *c, char *out, size_t size, uint64_t offset);

/* -EFBIG past what the format can hold. is_open: by a handle for writing, so that permissions were checked. */
MUST_USE int vfuse_truncate(const struct vfuse_call *c, meta_ino ino, uint64_t length, bool is_open, struct meta_attr *out);

/* Operations ------------------------------------------------------------------------------------------------------------ */

void vfuse_init(void *data, struct fuse_conn_info *conn);
void vfuse_op_lookup(fuse_req_t request, fuse_ino_t parent, const char *name);
void vfuse_op_getattr(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi);
void vfuse_op_setattr(fuse_req_t request, fuse_ino_t ino, struct stat *to, int which, struct fuse_file_info *fi);
void vfuse_op_access(fuse_req_t request, fuse_ino_t ino, int mask);
void vfuse_op_statfs(fuse_req_t request, fuse_ino_t ino);
void vfuse_op_mknod(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode, dev_t device);
void vfuse_op_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode);
void vfuse_op_symlink(fuse_req_t request, const char *target, fuse_ino_t parent, const char *name);
void vfuse_op_readlink(fuse_req_t request, fuse_ino_t ino);
void vfuse_op_link(fuse_req_t request, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void vfuse_op_unlink(fuse_req_t request, fuse_ino_t parent, const char *name);
void vfuse_op_rmdir(fuse_req_t request, fuse_ino_t parent, const char *name);
void vfuse_op_rename(fuse_req_t request, fuse_ino_t from_parent, const char *from, fuse_ino_t to_parent, const char *to,
                     unsigned flags);
void vfuse_op_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void vfuse_op_open(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi);
void vfuse_op_read(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void vfuse_op_write(fuse_req_t request, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
                    struct fuse_file_info *fi);
void vfuse_op_flush(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi);
void vfuse_op_fsync(fuse_req_t request, fuse_ino_t ino, int only_data, struct fuse_file_info *fi);
void vfuse_op_release(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi);
void vfuse_op_fallocate(fuse_req_t request, fuse_ino_t ino, int mode, off_t offset, off_t size, struct fuse_file_info *fi);
void vfuse_op_copy(fuse_req_t request, fuse_ino_t from, off_t from_offset, struct fuse_file_info *from_fi, fuse_ino_t to,
                   off_t to_offset, struct fuse_file_info *to_fi, size_t size, int flags);
void vfuse_op_lseek(fuse_req_t request, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi);
void vfuse_op_opendir(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi);
void vfuse_op_readdir(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void vfuse_op_readdirplus(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void vfuse_op_releasedir(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi);
void vfuse_op_fsyncdir(fuse_req_t request, fuse_ino_t ino, int only_data, struct fuse_file_info *fi);
void vfuse_op_setxattr(fuse_req_t request, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags);
void vfuse_op_getxattr(fuse_req_t request, fuse_ino_t ino, const char *name, size_t size);
void vfuse_op_listxattr(fuse_req_t request, fuse_ino_t ino, size_t size);
void vfuse_op_removexattr(fuse_req_t request, fuse_ino_t ino, const char *name);
void vfuse_op_getlk(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock);
void vfuse_op_setlk(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock, int sleep);
void vfuse_op_flock(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi, int op);

#endif
