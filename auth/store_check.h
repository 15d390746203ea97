/* What names and texts the identity store takes. Each check returns NULL, or a line that says what is wrong and what is
 * allowed. Thread: any. */
#ifndef AUTH_STORE_CHECK_H
#define AUTH_STORE_CHECK_H

#include "auth/store.h"

const char *auth_check_user(const struct auth_user_spec *spec);
const char *auth_check_name(struct str name); /* of a group or policy */
const char *auth_check_access_key(struct str access_key);
const char *auth_check_secret(struct str secret);

#endif
