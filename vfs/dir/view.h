/* The entries of one directory, read at once and in the order of vfs_scan_open: by name, a directory's with '/' appended.
 * Immutable after it was built, and shared. Views larger than the memory they are given live in unlinked temporary
 * files, which the page cache holds as long as there is room. Thread: any. */
#ifndef VFS_DIR_VIEW_H
#define VFS_DIR_VIEW_H

#include <stdint.h>

#include "vfs/vfs.h"

struct view;

/* What readdir said of an entry. */
enum entry_kind { ENTRY_FILE, ENTRY_DIRECTORY, ENTRY_LINK, ENTRY_OTHER };

struct view_room {
    size_t memory_max; /* for names; sorting takes about as much again */
    int spill_fd;      /* a directory for temporary files; -1: the system's */
};
/* Reads all of dir_fd, which must be open for reading. */
MUST_USE int view_build(int dir_fd, const struct view_room *room, struct view **out);
/* The entries that one read gives from where dir_fd stands, in no order; none at the end. */
MUST_USE int view_build_some(int dir_fd, struct view **out);
/* Names of sluice's own, which no scan shows. */
bool view_hides(struct str name);
struct view *view_ref(struct view *w);
void view_unref(struct view *w);
size_t view_count(const struct view *w);
/* Memory and temporary files that it holds. */
uint64_t view_bytes(const struct view *w);
uint64_t view_file_bytes(const struct view *w);

/* Index of the first entry whose extended name is >= from. */
MUST_USE size_t view_find(const struct view *w, struct str from);
/* The name lives as long as the view. */
struct str view_entry(const struct view *w, size_t index, enum entry_kind *out_kind);

#endif
