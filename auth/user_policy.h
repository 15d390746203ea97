/* What the plain options of `sluice user` mean, in the language of policies: so there is one way in which verdicts are made.
 * Thread: any. */
#ifndef AUTH_USER_POLICY_H
#define AUTH_USER_POLICY_H

#include "auth/identity.h"
#include "auth/policy.h"

/* An administrator may do everything. Anybody else to whom no policy is attached may do what the canned policy "readwrite" says,
 * within `buckets` when there are any; to whom some are attached, what these say. read_only refuses all but reading, whoever
 * grants it. NULL when nothing is left to say; otherwise a reference, the caller's. */
struct auth_policy *auth_user_policy_make(const struct auth_user *u);

#endif
