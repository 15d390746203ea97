/* What the directory volume's own tests share. */
#ifndef TESTS_CONTRACT_DIR_VOLUME_CONTRACT_H
#define TESTS_CONTRACT_DIR_VOLUME_CONTRACT_H

#include "tests/contract/volume_contract.h"

/* A POSIX path below the volume's root, in a static buffer (four of them take turns). */
const char *posix(const struct volume_fixture *x, const char *path);
/* Is the volume on a filesystem that only this kernel changes, so that inotify tells of all changes? */
bool is_watchable(const struct volume_fixture *x);
/* No temporary name anywhere in the volume, and nothing in .sluice/tmp. */
void assert_no_leftovers(const struct volume_fixture *x);

int dir_security_contract(const struct volume_kind *k);
int dir_identity_contract(const struct volume_kind *k);
int dir_crash_contract(const struct volume_kind *k);
int dir_reading_contract(const struct volume_kind *k);

#endif
