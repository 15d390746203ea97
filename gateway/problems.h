/* How fsck and gc show what they find: a line each, or with --json one document whose list of problems is written as they come:
 *
 *   {"problems": [{"kind": "links", "path": "/a", "inode": 5, "found": 7, "expected": 2, "repaired": true}, …],
 *    "summary": {…, "complete": true}}
 *
 * Its code is cmd_problems.c, part of the commands. Thread: one at a time. */
#ifndef GATEWAY_PROBLEMS_H
#define GATEWAY_PROBLEMS_H

#include "gateway/progress.h"

struct jfs_problem; /* vfs/jfs/admin.h */

struct gw_problems {
    struct gw_progress_view *view;
    bool json;
    uint64_t told;
    const char *done; /* the word for what was mended: "repaired", "deleted" */
};

void gw_problems_begin(struct gw_problems *p);
/* A jfs_problem_fn. */
int gw_problems_tell(void *arg, const struct jfs_problem *problem);
/* A member of the summary. */
struct gw_summary_row {
    const char *name;
    uint64_t value;
};
/* The end of the document; nothing without --json. */
void gw_problems_end(struct gw_problems *p, const struct gw_summary_row *rows, size_t count, bool complete);

#endif
