#include "auth/user_policy.h"

#include "auth/policy_internal.h"
#include "base/check.h"
#include "base/encode.h"

/* Ours, of as many buckets as a user may have: far above what documents of others may have. */
#define TEXT_MAX (64 * 1024 * 1024)

static void add_comma(struct buf *b)
{
    buf_addz(b, str_ends(buf_str(b), STR("[")) ? "" : ",");
}

static void begin_statement(struct buf *b, const char *effect_and_action)
{
    add_comma(b);
    buf_addf(b, "{%s,\"Resource\":[", effect_and_action);
}

/* A bucket made through POSIX may have any name, wildcards in it too, which then stand for themselves. */
static void add_arn(struct buf *b, struct str bucket, const char *tail)
{
    CLEANUP(buf_done) struct buf arn = buf_make(sizeof("arn:aws:s3:::") + 4 * bucket.len + 8);
    buf_addz(&arn, "arn:aws:s3:::");
    for (size_t i = 0; i < bucket.len; i++) {
        bool is_special = bucket.ptr[i] == '*' || bucket.ptr[i] == '?' || bucket.ptr[i] == '$';
        buf_addf(&arn, is_special ? "${%c}" : "%c", bucket.ptr[i]);
    }
    buf_addz(&arn, tail);
    add_comma(b);
    buf_add_json(b, buf_str(&arn));
}

static void add_resources(struct buf *b, const struct auth_user *u)
{
    if (u->bucket_count == 0)
        buf_addz(b, "\"*\"");
    for (size_t i = 0; i < u->bucket_count; i++) {
        add_arn(b, u->buckets[i], "");
        add_arn(b, u->buckets[i], "/*");
    }
    buf_addc(b, ']');
}

static void add_grants(struct buf *b, const struct auth_user *u)
{
    begin_statement(b, "\"Effect\":\"Allow\",\"Action\":\"s3:ListAllMyBuckets\"");
    buf_addz(b, "\"*\"]}");
    begin_statement(b, "\"Effect\":\"Allow\",\"Action\":[" POLICY_READWRITE_ACTIONS "]");
    add_resources(b, u);
    buf_addc(b, '}');
    begin_statement(b, "\"Effect\":\"Allow\",\"Action\":\"s3:*\"");
    add_resources(b, u);
    buf_addz(b, "," POLICY_OWN_CONDITION "}");
}

struct auth_policy *auth_user_policy_make(const struct auth_user *u)
{
    struct auth_policy *policy = NULL;
    bool has_grants = u->admin || u->policy_count == 0;
    if (!has_grants && !u->read_only)
        return NULL;
    CLEANUP(buf_done) struct buf text = buf_make(TEXT_MAX);
    CLEANUP(buf_done) struct buf error = buf_make(TEXT_MAX);
    buf_addz(&text, "{\"Version\":\"2012-10-17\",\"Statement\":[");
    if (u->admin)
        buf_addz(&text, "{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\"}");
    else if (has_grants)
        add_grants(&text, u);
    if (u->read_only) {
        begin_statement(&text, "\"Effect\":\"Deny\",\"NotAction\":[" POLICY_READ_ACTIONS "]");
        buf_addz(&text, "\"*\"]}");
    }
    buf_addz(&text, "]}");
    CHECK(!text.failed);
    const struct policy_parser parser = {.error = &error, .kind = AUTH_POLICY_IDENTITY, .size_max = TEXT_MAX};
    CHECK(policy_parse(&parser, buf_str(&text), &policy) == 0);
    return policy;
}
