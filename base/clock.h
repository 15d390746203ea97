/* Time: monotonic for durations, wall clock for protocol dates; date formats of HTTP and S3. The wall clock can be
 * replaced in tests. Thread: any. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

uint64_t clock_mono_ns(void);
uint64_t clock_mono_ms(void);
/* Nanoseconds since 1970-01-01 UTC. */
int64_t clock_wall_ns(void);
int64_t clock_wall_s(void);
/* Tests: a fixed wall clock; 0 gives the real one back. */
void clock_set_wall_for_test(int64_t wall_ns);

/* Room for any of the formats below, NUL included. */
#define CLOCK_TEXT_MAX 40

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7 IMF-fixdate). */
struct str clock_format_http(int64_t wall_s, char out[CLOCK_TEXT_MAX]);
/* "2009-10-12T17:50:30.000Z": S3's XML dates, milliseconds. */
struct str clock_format_iso8601_ms(int64_t wall_ns, char out[CLOCK_TEXT_MAX]);
/* "20130524T000000Z": SigV4's x-amz-date. */
struct str clock_format_amz(int64_t wall_s, char out[CLOCK_TEXT_MAX]);
/* The three forms of RFC 9110 §5.6.7, and the first with "-0000" for its zone. */
MUST_USE bool clock_parse_http(struct str s, int64_t *out_wall_s);
MUST_USE bool clock_parse_amz(struct str s, int64_t *out_wall_s);
/* ISO 8601 with optional fraction and 'Z' or offset. What 64 bits cannot say, before 1677 or after 2262, is the nearest that they can. */
MUST_USE bool clock_parse_iso8601(struct str s, int64_t *out_wall_ns);

#endif
