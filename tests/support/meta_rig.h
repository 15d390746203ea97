/* A fresh JuiceFS metadata database for a test, and shorthands for one transaction over it. */
#ifndef TESTS_SUPPORT_META_RIG_H
#define TESTS_SUPPORT_META_RIG_H

#include "tests/support/tmpdir.h"
#include "vfs/meta/internal.h"

struct meta_rig {
    char dir[PATH_MAX];
    char url[PATH_MAX + 32];
    struct meta_engine *engine; /* owned by m where there is one */
    struct meta *m;
};

/* A directory with an empty database, which has its tables. */
void meta_rig_open_engine(struct meta_rig *rig);
/* And the two nodes and the counters of a new volume, and a session of number 1. */
void meta_rig_open(struct meta_rig *rig);
/* Closes and opens again, as after a restart; the session stays. */
void meta_rig_reopen(struct meta_rig *rig);
void meta_rig_close(struct meta_rig *rig);
/* Runs SQL by a connection of its own and returns the first column of the first row as a text, for the caller to free; NULL
 * without rows. */
char *meta_rig_sql(const struct meta_rig *rig, const char *sql);
/* The same as a number; -1 without rows. */
int64_t meta_rig_number(const struct meta_rig *rig, const char *sql);

#endif
