/* The store's parts, for the files that write it (store.c) and read it (store_read.c). Thread: one at a time. */
#ifndef AUTH_STORE_INTERNAL_H
#define AUTH_STORE_INTERNAL_H

#include "auth/store.h"
#include "auth/store_db.h"
#include "base/limits.h"
#include "base/secretbox.h"

/* Room for a sealed secret: nonce, tag and a NUL more than the secret itself. */
#define STORE_SEALED_SIZE_MAX (LIMIT_SECRET_KEY_BYTES + 64)

struct auth_store {
    struct store_db *db;
    uint8_t master_key[SECRETBOX_KEY_SIZE];
};

#endif
