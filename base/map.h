/* Hash map from bytes to a pointer, seeded per process so that keys from outside cannot be chosen to collide.
 * Keys are copied; values belong to the caller. Thread: guarded by the owner. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdint.h>

#include "base/str.h"

struct map;
struct map *map_new(void);
/* Calls free_value (may be NULL) for each value. NULL map is fine. */
void map_free(struct map *m, void (*free_value)(void *value));
/* NULL when absent. */
void *map_get(const struct map *m, struct str key);
/* Sets, returns the value that was there before or NULL. value must not be NULL. */
void *map_set(struct map *m, struct str key, void *value);
/* Removes, returns the value or NULL. */
void *map_remove(struct map *m, struct str key);
size_t map_count(const struct map *m);
/* Any order; *cursor starts at 0. Returns false at the end. The map must not change meanwhile. */
bool map_next(const struct map *m, size_t *cursor, struct str *out_key, void **out_value);
/* The seeded hash itself (SipHash-1-3 or stronger), for striped locks and the like. */
uint64_t hash_bytes(struct str s);

#endif
