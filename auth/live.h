/* The identities of a running gateway: the current snapshot, refreshed when the store changes.
 * Thread: auth_live_get any; the refresher is a thread of its own. */
#ifndef AUTH_LIVE_H
#define AUTH_LIVE_H

#include "auth/identity.h"
#include "base/compiler.h"

struct auth_live;

/* Opens the store, loads it, and looks for changes every second. root_*: copied; both may be empty. On failure
 * auth_store_error(NULL) has the text (auth/store.h). */
MUST_USE int auth_live_start(const char *state_dir, struct str root_access_key, struct str root_secret,
                             struct auth_live **out);
void auth_live_stop(struct auth_live *l);
/* A reference to the snapshot in force. */
struct auth_snapshot *auth_live_get(struct auth_live *l);
/* From now on these roles go with the snapshots; takes a reference. -errno as auth_live_reload. */
MUST_USE int auth_live_set_roles(struct auth_live *l, struct auth_roles *roles);
/* Reload now (SIGHUP); keeps the old snapshot on failure, whose text is this thread's auth_store_error(NULL). */
MUST_USE int auth_live_reload(struct auth_live *l);

#endif
