/* A directory for a test's files on a real filesystem (SLUICE_TEST_DIR, else /var/tmp), and its removal. */
#ifndef TESTS_SUPPORT_TMPDIR_H
#define TESTS_SUPPORT_TMPDIR_H

#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static inline bool tmpdir_make(char out[PATH_MAX])
{
    const char *base = getenv("SLUICE_TEST_DIR");
    snprintf(out, PATH_MAX, "%s/sluice-test-XXXXXX", base ? base : "/var/tmp");
    return mkdtemp(out) != NULL;
}

static inline int tmpdir_remove_node(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline bool tmpdir_remove(const char *path)
{
    return nftw(path, tmpdir_remove_node, 16, FTW_DEPTH | FTW_PHYS) == 0;
}

#endif
