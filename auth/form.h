/* Browser forms (POST Object): who signed the form's policy, and whether the form keeps to it.
 *
 * Fields have names in lower case, since S3 takes them in any. Source: "Browser-based uploads using POST (AWS signature version
 * 4)", Amazon S3 API reference; version 2 of the same in the user guide. Thread: any. */
#ifndef AUTH_FORM_H
#define AUTH_FORM_H

#include "auth/query.h"
#include "auth/verify.h"
#include "base/buf.h"

/* Whose signature the field "policy" has. A form without policy and signature is anonymous. AUTH_FORM_FIELD_MISSING: half of
 * the fields are there. *out as after auth_verify. The policy itself is not looked at yet. */
MUST_USE enum auth_error auth_verify_form(const struct auth_rules *rules, const struct auth_snapshot *identities,
                                          const struct auth_query *fields, struct arena *arena, struct auth_result *out);

/* How many bytes the policy allows the file to have. */
struct auth_form_range {
    uint64_t min, max;
};

/* Decides the conditions of the Base64 field "policy", all but the file's size, for an upload into `bucket`: each holds, and each
 * field is named by one, but those that cannot be (the policy, its signature, x-ignore-*).
 * -EINVAL: no such document; -EACCES: it is not kept; *error says what. */
MUST_USE int auth_form_check(const struct auth_query *fields, struct str bucket, struct arena *arena,
                             struct auth_form_range *out, struct buf *error);

#endif
