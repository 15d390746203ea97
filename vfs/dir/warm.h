/* What workers have lately read of files: names, inodes and records that are therefore in memory, so that a thread which may not
 * wait may look at them. Hints by path, nothing depends on their truth but time: a table of fixed size that forgets after a
 * minute, or when it is full. Thread: any, without locks. */
#ifndef VFS_DIR_WARM_H
#define VFS_DIR_WARM_H

#include <stdbool.h>
#include <stdint.h>

struct warm;
struct warm *warm_new(void);
/* NULL is fine. */
void warm_free(struct warm *w);
void warm_note(struct warm *w, uint64_t path_hash);
bool warm_has(const struct warm *w, uint64_t path_hash);
/* Within the last second or two: it is read often. */
bool warm_has_lately(const struct warm *w, uint64_t path_hash);

#endif
