/* How a snapshot is made, and what only auth/ does with one. A snapshot may be added to until it is first shared. */
#ifndef AUTH_IDENTITY_INTERNAL_H
#define AUTH_IDENTITY_INTERNAL_H

#include "auth/identity.h"
#include "auth/signing_key.h"
#include "base/secretbox.h"

/* The name of the administrator from the environment; the store has no user of that name. */
#define AUTH_ROOT_NAME "root"

/* Empty, with one reference. */
struct auth_snapshot *auth_snapshot_new(void);
/* Copies the user, takes references to the attached policies, and makes its own_policy. NULL, and nothing added, when its name or id is taken. */
const struct auth_user *auth_snapshot_add_user(struct auth_snapshot *s, const struct auth_user *user);
/* Copies the key's texts; key->user is one of this snapshot. False, and nothing added, when the access key is taken. */
bool auth_snapshot_add_key(struct auth_snapshot *s, const struct auth_key *key);
/* A snapshot takes its cache of signing keys with it, so that no key outlives the secret it was made of. */
struct signing_key_cache *auth_snapshot_signing_keys(const struct auth_snapshot *s);
/* What seals session tokens. Until it is set it is random: no token of anybody else's opens. */
void auth_snapshot_set_session_key(struct auth_snapshot *s, const uint8_t key[SECRETBOX_KEY_SIZE]);
const uint8_t *auth_snapshot_session_key(const struct auth_snapshot *s);
/* Takes a reference; roles may be NULL. */
void auth_snapshot_set_roles(struct auth_snapshot *s, struct auth_roles *roles);

#endif
