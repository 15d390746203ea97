/* Files that are read again and again are kept open for a second, with what is known of them, so that the next GET takes one look at the
 * name instead of opening, looking, reading the record and closing.
 *
 * A kept file is given out only to who asks for the same path below the same handle, and has just found the same inode with the same
 * ctime there. That is the same file with the same attributes and record: while it is open no other gets its inode's number, and it is
 * kept only if it had been as it was for longer than the clock's tick, so that any change since has left another ctime. Its content is
 * read each time. Only for files of a filesystem that no other machine changes. (Whoever moves a directory out of the bucket and leaves
 * a link to it in its place has its files served for that second longer.)
 *
 * A file that is removed keeps its space until it is closed here: OPEN_FILES_MS after it was opened, or half as much later. A thread of its
 * own closes, since that may mean to free a large file; so a new one finds room only where none is kept. There are at most
 * OPEN_FILES_MAX, and a quarter of the descriptors that the process may have. Thread: any. */
#ifndef VFS_DIR_OPEN_FILES_H
#define VFS_DIR_OPEN_FILES_H

#include "vfs/dir/dir_internal.h"

#define OPEN_FILES_MS 1000
#define OPEN_FILES_MAX 2048

/* The value of one extended attribute, or that there is none. */
struct open_record {
    const char *name; /* static */
    bool is_absent;
    struct str value;
    char bytes[];
};

struct open_file {
    atomic_uint refs;
    int fd;
    struct vfs_attr attr; /* when it was opened */
    struct open_record *_Atomic record; /* NULL: not read yet */
    uint64_t opened_ms;                 /* monotonic */
    struct dir_handle *h;               /* a reference */
    struct str path;                    /* below it */
    char path_bytes[];
};

struct open_files;
/* private_dev: the filesystem whose files may be kept, or 0: none are. */
struct open_files *open_files_new(dev_t private_dev);
/* Tests: none are kept by those that are made from now on. */
void open_files_keep_none_for_test(void);
/* NULL is fine. */
void open_files_free(struct open_files *c);

/* A reference, or NULL. hash: of handle and path; looked: what is found there now. */
struct open_file *open_files_get(struct open_files *c, uint64_t hash, const struct dir_handle *h, struct str path,
                                 const struct stat *looked);
/* Keeps what was opened after that look and has these attributes: takes the descriptor and gives a reference. NULL: it is not one to
 * be kept, or there is no room, and the descriptor is still the caller's. */
struct open_file *open_files_add(struct open_files *c, uint64_t hash, struct dir_handle *h, struct str path,
                                 const struct stat *looked, int fd, const struct vfs_attr *attr);
void open_file_unref(struct open_file *f);

/* What was read, later than its attributes: the first one is remembered if it is small. name is static. */
void open_file_remember(struct open_file *f, const char *name, bool is_absent, struct str value);

#endif
