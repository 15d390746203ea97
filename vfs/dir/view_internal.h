/* What view.c (reading, searching), view_sort.c, view_spill.c and delta.c share. */
#ifndef VFS_DIR_VIEW_INTERNAL_H
#define VFS_DIR_VIEW_INTERNAL_H

#include <stdatomic.h>

#include "vfs/dir/view.h"

/* One record: kind, length of the name, the name, '/' for a directory. */
#define RECORD_HEAD 2

struct view {
    atomic_uint refs;
    char *records;
    size_t records_size, records_capacity;
    uint32_t *offsets; /* of records, in order */
    size_t count, capacity;
    bool is_mapped; /* both are mappings of temporary files, as large as their content */
};

static inline struct str record_name(const char *record)
{
    return str_of(record + RECORD_HEAD, (unsigned char)record[1]);
}
/* With the '/' of a directory. */
static inline struct str record_extended(const char *record)
{
    return str_of(record + RECORD_HEAD, (size_t)(unsigned char)record[1] + (record[0] == ENTRY_DIRECTORY));
}
static inline size_t record_size(const char *record)
{
    return RECORD_HEAD + record_extended(record).len;
}

static inline const char *view_record(const struct view *w, size_t index)
{
    return w->records + w->offsets[index];
}
/* What readdir would say of the name now; false when it is not there. */
bool view_kind_now(int dir_fd, struct str name, enum entry_kind *out);

/* Orders the offsets, and drops records that a changing directory gave twice. */
void view_sort(struct view *w);

/* Sorted runs on their way to one sorted view. */
struct spill;
MUST_USE int spill_new(int dir_fd, struct spill **out);
void spill_freep(struct spill **s);
/* Appends what the (sorted) view holds as one run, and empties it. */
MUST_USE int spill_add(struct spill *s, struct view *w);
/* Makes w, which is empty, a view of all runs. */
MUST_USE int spill_merge(struct spill *s, struct view *w);

#endif
