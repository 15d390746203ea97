/* The key that seals the secrets of the identity store: SLUICE_MASTER_KEY, else DIR/master.key, made at first use. A
 * key is made only where no store is yet: one made later would open nothing. Thread: any. */
#ifndef AUTH_MASTER_KEY_H
#define AUTH_MASTER_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/secretbox.h"

#define MASTER_KEY_FILE "master.key"

/* dirfd: the state folder. On failure *error has one line of text. -ENOKEY: there is none, and may_make is false.
 * -EINVAL: not 64 hex digits. -EPERM: the file is open to others. */
MUST_USE int master_key_load(int dirfd, bool may_make, uint8_t out[SECRETBOX_KEY_SIZE], struct buf *error);

#endif
