/* A state folder of an identity store, for tests: made for each, removed with all it has. */
#ifndef TESTS_SUPPORT_STATE_DIR_H
#define TESTS_SUPPORT_STATE_DIR_H

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/check.h"

struct state_dir {
    char parent[32];
    char path[48]; /* not made yet */
};

static inline void state_dir_init(struct state_dir *d)
{
    strcpy(d->parent, "/tmp/sluice-auth-XXXXXX");
    CHECK(mkdtemp(d->parent) != NULL);
    snprintf(d->path, sizeof(d->path), "%s/state", d->parent);
}

/* Changes the store behind its back. */
static inline void state_dir_sql(const struct state_dir *d, const char *sql)
{
    char path[80];
    sqlite3 *db;
    snprintf(path, sizeof(path), "%s/identities.db", d->path);
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_close(db) == SQLITE_OK);
}

static inline void state_dir_done(const struct state_dir *d)
{
    DIR *dir = opendir(d->path);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        (void)unlinkat(dirfd(dir), entry->d_name, 0); /* fails for "." and ".." */
    if (dir)
        closedir(dir);
    (void)rmdir(d->path); /* some tests never make it */
    CHECK(rmdir(d->parent) == 0);
}

#endif
