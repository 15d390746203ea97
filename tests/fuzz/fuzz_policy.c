/* Policy documents: any bytes are refused with a line, or give a policy that can be evaluated; whatever may be put can be read. */
#include "tests/fuzz/fuzz.h"

#include "auth/policy.h"

static void answer(void *data, struct str key, struct auth_context_value *out)
{
    const struct str *value = data;
    *out = (struct auth_context_value){.key = key, .values = value, .count = key.len % 2};
}

/* Of each of these levels, and with the keys that only some actions have. */
static const struct {
    const char *action, *resource;
} asked[] = {
    {"s3:GetObject", "arn:aws:s3:::b/key"},
    {"s3:PutObject", "arn:aws:s3:::b/key"},
    {"s3:ListBucket", "arn:aws:s3:::b"},
    {"s3:CreateBucket", "arn:aws:s3:::b"},
};

static void evaluate(struct str json, enum auth_policy_kind kind)
{
    struct auth_policy *policy = NULL, *put = NULL;
    struct buf error = buf_make(64 * 1024);
    struct str tail = str_from(json, json.len > 40 ? json.len - 40 : 0);
    bool may_be_put = auth_policy_parse(kind, json, STR("b"), &put, &error) == 0;
    CHECK(may_be_put == (error.len == 0));
    auth_policy_unref(put);
    buf_reset(&error);
    int r = auth_policy_read(kind, json, STR("b"), &policy, &error);
    CHECK((r == 0) == (error.len == 0));
    CHECK(r == 0 || !may_be_put);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(asked); i++) {
        struct auth_policy_request request = {.action = str_z(asked[i].action),
                                              .resource = str_z(asked[i].resource),
                                              .principal_arn = STR("arn:aws:iam::000000000000:user/a"),
                                              .principal_id = STR("c0ffee"),
                                              .account = STR("000000000000"),
                                              .context = answer,
                                              .context_data = &tail};
        CHECK(auth_policy_evaluate(policy, &request) <= AUTH_DENY);
    }
    if (r == 0)
        (void)auth_policy_is_public(policy);
    auth_policy_unref(policy);
    buf_done(&error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    evaluate(fuzz_str(data, size), AUTH_POLICY_BUCKET);
    evaluate(fuzz_str(data, size), AUTH_POLICY_IDENTITY);
    return 0;
}
