/* Compiler attributes and the few macros that every file may use. Thread: any. */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF(format_index, args_index) \
    __attribute__((format(printf, format_index, args_index)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))

/* Runs fn(&variable) when the variable leaves its scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Hands a pointer's value over and clears the variable, so that its CLEANUP does nothing. */
#define TAKE(pointer)                          \
    __extension__({                            \
        __typeof__(pointer) *take_p_ = &(pointer); \
        __typeof__(pointer) take_v_ = *take_p_;    \
        *take_p_ = NULL;                       \
        take_v_;                               \
    })

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define container_of(pointer, type, member) \
    ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

#endif
