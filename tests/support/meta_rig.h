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
    struct meta_features features; /* while paused */
};

/* A directory with an empty database, which has its tables. */
void meta_rig_open_engine(struct meta_rig *rig);
/* And the two nodes and the counters of a new volume, and a session of number 1. */
void meta_rig_open(struct meta_rig *rig);
/* Closes, and opens again, as a restart does; the session stays. Between the two there is no connection: fork then. */
void meta_rig_pause(struct meta_rig *rig);
void meta_rig_resume(struct meta_rig *rig);
void meta_rig_reopen(struct meta_rig *rig);
void meta_rig_close(struct meta_rig *rig);
/* Fails the test unless the volume holds together: names, nodes, counts of links, sizes of directories and of the volume. */
void meta_rig_check(struct meta_rig *rig);
/* The same without the sizes, which a client that died may not have written (§7). */
void meta_rig_check_names(const struct meta_rig *rig);
/* The test took this many empty nodes away behind the volume's back: its counters follow. */
void meta_rig_lost(struct meta_rig *rig, int nodes);
/* Runs SQL by a connection of its own and returns the first column of the first row as a text, for the caller to free; NULL
 * without rows. */
char *meta_rig_sql(const struct meta_rig *rig, const char *sql);
/* The same as a number; -1 without rows. */
int64_t meta_rig_number(const struct meta_rig *rig, const char *sql);

#endif
