/* What changed in a directory since its view was built, by name. Immutable and shared, as views are. Thread: any. */
#ifndef VFS_DIR_DELTA_H
#define VFS_DIR_DELTA_H

#include "vfs/dir/view.h"

/* Names that changed, in the order they came. */
struct names {
    char *bytes; /* one byte of length, then the name */
    size_t size, capacity, count;
};
void names_add(struct names *n, struct str name);
void names_done(struct names *n);

struct delta;
/* old (may be NULL), with the names of `changed` as dir_fd has them now. */
MUST_USE struct delta *delta_new(const struct delta *old, const struct view *view, int dir_fd,
                                 const struct names *changed);
/* NULL is fine for all of these, and means no changes. */
struct delta *delta_ref(struct delta *d);
void delta_unref(struct delta *d);
size_t delta_count(const struct delta *d);
size_t delta_bytes(const struct delta *d);

/* A walk over a view with the changes applied. */
struct cursor {
    const struct view *view;
    const struct delta *delta;
    size_t at, delta_at; /* the next entry of either */
};
/* Borrows both. Starts at the first entry whose extended name is >= from. */
struct cursor cursor_start(const struct view *view, const struct delta *delta, struct str from);
/* False at the end. The name lives as long as view and delta. */
bool cursor_next(struct cursor *c, struct str *out_name, enum entry_kind *out_kind);

#endif
