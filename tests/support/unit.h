/* cmocka needs these headers before its own. */
#ifndef TESTS_SUPPORT_UNIT_H
#define TESTS_SUPPORT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

/* A str against a literal, with both shown on failure. */
#define assert_str(actual, expected)                                                              \
    do {                                                                                          \
        struct str actual_ = (actual);                                                            \
        if (!str_is(actual_, (expected)))                                                         \
            fail_msg("got \"%.*s\", expected \"%s\"", STR_ARG(actual_), (const char *)(expected)); \
    } while (0)

#endif
