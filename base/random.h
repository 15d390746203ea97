/* Random bytes from the kernel (getrandom), and the identifiers made of them. Thread: any. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Aborts when the kernel has none. Buffered per thread: cheap for identifiers. */
void random_bytes(void *out, size_t size);
uint64_t random_u64(void);
/* `count` characters of the alphabet, without bias; no NUL is written. */
void random_text(char *out, size_t count, const char *alphabet);

#endif
