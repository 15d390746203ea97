/* What tests of verification share: AWS's example user, a clock at the examples' time, and one verification. */
#ifndef TESTS_SUPPORT_AUTH_RIG_H
#define TESTS_SUPPORT_AUTH_RIG_H

#include "auth/identity_internal.h"
#include "auth/store.h"
#include "auth/verify.h"
#include "base/clock.h"
#include "tests/support/head.h"

#define EXAMPLE_ACCESS_KEY "AKIAIOSFODNN7EXAMPLE"
#define EXAMPLE_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define EXAMPLE_TIME_S 1369353600 /* 20130524T000000Z */
#define EXAMPLE_SCOPE "20130524/us-east-1/s3/aws4_request"
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct auth_rig {
    struct auth_rules rules;
    struct auth_snapshot *identities; /* the example key of root, and a disabled key AKIADISABLED of "off" */
    struct arena *arena;
    struct auth_result result;
};

static inline void rig_set_time(int64_t wall_s)
{
    clock_set_wall_for_test(wall_s * 1000000000);
}

static inline void rig_init(struct auth_rig *r)
{
    struct auth_user off = {.name = STR("off"), .id = STR("off-id"), .display_name = STR("off")};
    struct auth_key key = {.access_key = STR("AKIADISABLED"), .secret = STR(EXAMPLE_SECRET)};
    struct auth_snapshot *base = auth_snapshot_new();
    key.user = auth_snapshot_add_user(base, &off);
    CHECK(auth_snapshot_add_key(base, &key));
    *r = (struct auth_rig){
        .rules = {.region = STR("us-east-1"), .sigv2 = true, .expected_host_suffix = STR("gw.example.com")},
        .identities = auth_snapshot_with_root(base, STR(EXAMPLE_ACCESS_KEY), STR(EXAMPLE_SECRET)),
        .arena = arena_new(),
    };
    auth_snapshot_unref(base);
    rig_set_time(EXAMPLE_TIME_S);
}

static inline void rig_done(struct auth_rig *r)
{
    arena_free(r->arena);
    auth_snapshot_unref(r->identities);
    clock_set_wall_for_test(0);
}

static inline enum auth_error rig_verify_head(struct auth_rig *r, const struct http_head *head)
{
    return auth_verify(&r->rules, r->identities, head, r->arena, &r->result);
}

/* The text as in head_of; it must outlive the result. */
static inline enum auth_error rig_verify(struct auth_rig *r, const char *text)
{
    struct http_head head = head_of(text);
    return rig_verify_head(r, &head);
}

#endif
