/* What every target begins with. The engine of libFuzzer, or replay.c, calls LLVMFuzzerTestOneInput. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline struct str fuzz_str(const uint8_t *data, size_t size)
{
    return str_of((const char *)data, size);
}

#endif
