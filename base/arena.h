/* Request-lifetime memory: everything allocated from an arena is freed at once, after its cleanup hooks ran in reverse
 * order. Has a maximum; going over it aborts only in arena_alloc (control data has bounded inputs), so callers that copy
 * foreign bytes rely on the limits of base/limits.h. Thread: one at a time (moves whole between threads). */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>

#include "base/compiler.h"
#include "base/str.h"

struct arena;
typedef void (*arena_cleanup_fn)(void *data);

struct arena *arena_new(void);
/* Runs the hooks, frees all. NULL is fine. */
void arena_free(struct arena *a);
void arena_freep(struct arena **a);
/* As new: hooks run, memory kept for the next request up to one block. */
void arena_reset(struct arena *a);
/* Zeroed, aligned for any type; never NULL. */
void *arena_alloc(struct arena *a, size_t size);
#define arena_new_of(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define arena_array_of(arena, type, count) ((type *)arena_alloc((arena), sizeof(type) * (count)))
/* A copy with a NUL behind it. */
struct str arena_dup(struct arena *a, struct str s);
char *arena_dupz(struct arena *a, struct str s);
/* The parts behind each other, with a NUL behind the last. */
struct str arena_join(struct arena *a, const struct str *parts, size_t count);
struct str arena_printf(struct arena *a, const char *format, ...) PRINTF(2, 3);
void arena_on_free(struct arena *a, arena_cleanup_fn fn, void *data);
/* Bytes taken from the system. */
size_t arena_size(const struct arena *a);

#endif
