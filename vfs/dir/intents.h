/* What this process is doing under temporary names, written down where the next one finds it: a file per open volume
 * (.sluice/intents.<random>), locked as long as its owner lives. Page cache is enough: it survives kill -9, and after a
 * power loss nothing but the names themselves would be left, which scans clear away. Thread: any. */
#ifndef VFS_DIR_INTENTS_H
#define VFS_DIR_INTENTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct intents;
/* Clears up after owners that died, then starts a file of its own. NULL when the root cannot be written.
 * state_fd: the directory <root>/.sluice. */
struct intents *intents_open(int root_fd, int state_fd);
void intents_close(struct intents *in);
/* Whose the file is, as the filesystem has it: who the process is there. */
uint32_t intents_uid(const struct intents *in);

#define INTENT_NONE ((size_t)-1)
/* `name` is about to appear in dir_fd. in may be NULL. Best effort. */
MUST_USE size_t intents_enter(struct intents *in, int dir_fd, const char *name);
/* It is gone. */
void intents_clear(struct intents *in, size_t slot);

#endif
