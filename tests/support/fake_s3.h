/* An engine for tests of the gateway: implements s3api/s3.h with behaviours chosen by the path, so that the HTTP side can be
 * tested without signatures and objects. Query parameters are decimal: ?size=…
 *
 *   /echo              takes a body, answers with it
 *   /sink              takes a body, answers "LENGTH CHECKSUM"; ?slow: 1 ms a feed;  ?fail_after: 400 once so many bytes came
 *   /none              204
 *   /bytes             ?size of pattern, whole
 *   /stream            ?size of pattern in pieces; ?length=1 says so before; ?cut_at: fails there
 *   /file              ?size of pattern from a file; ?promise: claims so many bytes
 *   /lent              ?size of pattern from a file that lends some of it; ?lost_at: reading fails there
 *   /refuse            403 from begin
 *   /refuse-close      the same, and asks to close
 *   /work              ?ms in one s3_finish, ?steps times; ?early: may answer early; ?bad: ends in an error
 *   /panic             500 with a cause
 *   ?quick=1           s3_begin_quick does what s3_begin would, which must not be to want a body
 */
#ifndef TESTS_SUPPORT_FAKE_S3_H
#define TESTS_SUPPORT_FAKE_S3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vfs;

/* The volume that /file makes its files in. */
void fake_s3_open(struct vfs *volume);
char fake_s3_pattern(uint64_t offset);
/* As /sink answers for so many bytes of pattern. */
uint64_t fake_s3_checksum(uint64_t size);
/* Ops begun and ended so far, and body bytes taken by all. */
unsigned fake_s3_begun(void);
unsigned fake_s3_ended(void);
uint64_t fake_s3_fed(void);
/* The most pieces that one s3_feed was given. */
size_t fake_s3_fed_at_once(void);
/* What /lent has lent and not got back: now, and the most of one file so far. */
unsigned fake_s3_loans(void);
unsigned fake_s3_loans_peak(void);
/* While closed, s3_feed of /sink waits: a disk that hangs. */
void fake_s3_gate(bool open);

#endif
