#include "auth/live.h"

#include <errno.h>
#include <stdlib.h>

#include "auth/identity_internal.h"
#include "auth/roles.h"
#include "auth/store.h"
#include "auth/store_check.h"
#include "auth/store_internal.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mutex.h"

#define REFRESH_INTERVAL_MS 1000

/* Lock order: store_lock, then lock. `lock` is held for moments only: requests take it. */
struct auth_live {
    struct mutex store_lock; /* guards store and version; a store is one thread's at a time */
    struct auth_store *store;
    uint64_t version; /* of the store, when the snapshot was loaded */
    struct auth_roles *roles; /* guarded by store_lock; a reference, or NULL */

    struct mutex lock;
    struct cond stop_wanted;
    bool stopping;                  /* guarded by lock */
    struct auth_snapshot *snapshot; /* guarded by lock */

    pthread_t refresher;
    struct str root_access_key, root_secret; /* copies; empty: none */
};

static struct auth_snapshot *load(struct auth_live *l, int *out_error)
{
    struct auth_snapshot *stored;
    *out_error = auth_store_load(l->store, &stored);
    if (*out_error < 0)
        return NULL;
    auth_snapshot_set_roles(stored, l->roles);
    if (l->root_access_key.len == 0)
        return stored;
    struct auth_snapshot *s = auth_snapshot_with_root(stored, l->root_access_key, l->root_secret);
    auth_snapshot_unref(stored);
    return s;
}

/* Requests that hold the old snapshot keep it to their end. */
static void install(struct auth_live *l, struct auth_snapshot *s)
{
    mutex_lock(&l->lock);
    struct auth_snapshot *old = l->snapshot;
    l->snapshot = s;
    mutex_unlock(&l->lock);
    auth_snapshot_unref(old);
}

/* store_lock is held. The version is read first: a change between the two is then seen again, never missed. */
static int reload(struct auth_live *l)
{
    uint64_t version;
    int rc = auth_store_version(l->store, &version);
    if (rc < 0)
        return rc;
    struct auth_snapshot *s = load(l, &rc);
    if (!s)
        return rc;
    install(l, s);
    l->version = version;
    return 0;
}

int auth_live_reload(struct auth_live *l)
{
    mutex_lock(&l->store_lock);
    int rc = reload(l);
    mutex_unlock(&l->store_lock);
    return rc;
}

int auth_live_set_roles(struct auth_live *l, struct auth_roles *roles)
{
    mutex_lock(&l->store_lock);
    struct auth_roles *old = l->roles;
    l->roles = auth_roles_ref(roles);
    int rc = reload(l);
    mutex_unlock(&l->store_lock);
    auth_roles_unref(old);
    return rc;
}

static int refresh(struct auth_live *l)
{
    uint64_t version;
    int rc = auth_store_version(l->store, &version);
    if (rc == 0 && version != l->version)
        rc = reload(l);
    return rc;
}

static bool wait_for_stop(struct auth_live *l)
{
    mutex_lock(&l->lock);
    if (!l->stopping)
        (void)cond_wait_ms(&l->stop_wanted, &l->lock, REFRESH_INTERVAL_MS); /* either way it is time to look */
    bool stopping = l->stopping;
    mutex_unlock(&l->lock);
    return stopping;
}

/* A job in the background has nobody above it to report to, so it logs: once when it begins to fail, once when it is
 * over. */
static void *refresher_main(void *data)
{
    struct auth_live *l = data;
    bool failing = false;
    while (!wait_for_stop(l)) {
        mutex_lock(&l->store_lock);
        int rc = refresh(l);
        if (rc < 0 && !failing)
            log_warn("identities_stale", "errno=%d reason=\"%s\"", -rc, auth_store_error(l->store));
        mutex_unlock(&l->store_lock);
        if (rc == 0 && failing)
            log_info("identities_fresh", "version=%llu", (unsigned long long)l->version);
        failing = rc < 0;
    }
    return NULL;
}

static int check_root(struct str access_key, struct str secret)
{
    if (access_key.len == 0 && secret.len == 0)
        return 0;
    const char *problem = auth_check_access_key(access_key);
    if (!problem)
        problem = auth_check_secret(secret);
    return problem ? store_db_fail(NULL, -EINVAL, "the root user: %s", problem) : 0;
}

static struct str copy(struct str s)
{
    char *text = calloc(1, s.len + 1);
    CHECK(text != NULL); /* out of memory */
    if (s.len > 0)
        memcpy(text, s.ptr, s.len);
    return str_of(text, s.len);
}

static void wipe(struct str *s)
{
    char *text = (char *)(uintptr_t)s->ptr; /* made by copy() */
    if (!text)
        return;
    secure_zero(text, s->len);
    free(text);
    *s = STR_EMPTY;
}

static void live_free(struct auth_live *l)
{
    auth_snapshot_unref(l->snapshot);
    auth_store_close(l->store);
    auth_roles_unref(l->roles);
    wipe(&l->root_secret);
    wipe(&l->root_access_key);
    cond_done(&l->stop_wanted);
    mutex_done(&l->lock);
    mutex_done(&l->store_lock);
    free(l);
}

int auth_live_start(const char *state_dir, struct str root_access_key, struct str root_secret, struct auth_live **out)
{
    int rc = check_root(root_access_key, root_secret);
    if (rc < 0)
        return rc;
    struct auth_live *l = calloc(1, sizeof(*l));
    CHECK(l != NULL); /* out of memory */
    mutex_init(&l->store_lock);
    mutex_init(&l->lock);
    cond_init(&l->stop_wanted);
    l->root_access_key = copy(root_access_key);
    l->root_secret = copy(root_secret);
    rc = auth_store_open(state_dir, &l->store);
    if (rc == 0)
        rc = reload(l);
    if (rc < 0) {
        live_free(l);
        return rc;
    }
    thread_start(&l->refresher, "identities", refresher_main, l);
    *out = l;
    return 0;
}

void auth_live_stop(struct auth_live *l)
{
    if (!l)
        return;
    mutex_lock(&l->lock);
    l->stopping = true;
    cond_signal(&l->stop_wanted);
    mutex_unlock(&l->lock);
    CHECK(pthread_join(l->refresher, NULL) == 0);
    live_free(l);
}

struct auth_snapshot *auth_live_get(struct auth_live *l)
{
    mutex_lock(&l->lock);
    struct auth_snapshot *s = auth_snapshot_ref(l->snapshot);
    mutex_unlock(&l->lock);
    return s;
}
