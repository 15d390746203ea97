/* Documents and headers that set who may do what: access control lists (as XML, by header, packed as they are kept), CORS rules. The first
 * byte picks one. What is accepted says the same after it was written and read again. */
#include "tests/fuzz/fuzz.h"

#include "auth/store.h"
#include "base/limits.h"
#include "s3api/acl.h"
#include "s3api/cors.h"

static struct auth_snapshot *identities;

static struct s3_op *op_new(struct arena *arena, struct http_head *head)
{
    struct s3_op *op = arena_new_of(arena, struct s3_op);
    if (!identities)
        identities = auth_snapshot_with_root(NULL, STR("AKIAIOSFODNN7EXAMPLE"), STR("a-secret-nobody-has-signed-with"));
    *head = (struct http_head){.minor_version = 1, .method = STR("PUT"), .target = STR("/b?acl")};
    op->arena = arena;
    op->identities = identities;
    op->in.head = head;
    op->req.head = head;
    op->out = buf_make(LIMIT_XML_REPLY_BYTES);
    return op;
}

static void op_end(struct s3_op *op)
{
    buf_done(&op->out);
    buf_done(&op->body_bytes);
}

static void check_list(struct s3_op *op, const struct s3_acl *acl)
{
    struct s3_acl again;
    struct str packed = s3_acl_pack(acl, op->arena);
    s3_acl_unpack(packed, acl->owner_id, op->arena, &again);
    CHECK(s3_acl_is_public(acl) == s3_acl_is_public(&again));
    CHECK(str_eq(packed, s3_acl_pack(&again, op->arena)));
    static const struct str users[] = {STR_INIT(""), STR_INIT("owner"), STR_INIT("x")};
    for (size_t i = 0; i < ARRAY_SIZE(users); i++)
        for (int with_public = 0; with_public < 2; with_public++)
            CHECK(s3_acl_permits(acl, users[i], with_public) == s3_acl_permits(&again, users[i], with_public));
}

static void check_acl_document(struct s3_op *op, struct str s)
{
    const struct s3_acl_context context = {STR("owner"), STR("bucket-owner"), false};
    struct s3_acl acl;
    op->body_bytes = buf_make(LIMIT_XML_BYTES);
    buf_add(&op->body_bytes, s);
    if (s3_acl_from_request(op, &context, &acl) == S3_OK)
        check_list(op, &acl);
}

static void check_acl_header(struct s3_op *op, struct str s, struct http_head *head)
{
    static const char *const names[] = {"x-amz-acl", "x-amz-grant-read", "x-amz-grant-write-acp", "x-amz-grant-full-control"};
    const struct s3_acl_context context = {STR("owner"), STR("bucket-owner"), true};
    struct s3_acl acl;
    size_t which = s.len > 0 ? (unsigned char)s.ptr[0] % ARRAY_SIZE(names) : 0;
    head->headers[head->header_count++] = (struct http_header){str_z(names[which]), str_from(s, s.len > 0)};
    if (s3_acl_from_headers(op, &context, &acl) == S3_OK)
        check_list(op, &acl);
}

/* What somebody planted, perhaps. */
static void check_packed(struct s3_op *op, struct str s)
{
    struct s3_acl acl;
    s3_acl_unpack(s, STR("owner"), op->arena, &acl);
    check_list(op, &acl);
}

static void check_cors(struct s3_op *op, struct str s)
{
    struct s3_cors_rules rules, again;
    if (s3_cors_parse(op, s, &rules) != S3_OK)
        return;
    s3_cors_write_xml(op, &rules);
    CHECK(s3_cors_parse(op, buf_str(&op->out), &again) == S3_OK && again.count == rules.count);
    struct str origin = str_first(s, 20);
    const struct s3_cors_rule *one = s3_cors_match(&rules, origin, STR("GET"), str_from(s, s.len / 2));
    const struct s3_cors_rule *other = s3_cors_match(&again, origin, STR("GET"), str_from(s, s.len / 2));
    CHECK((one ? one - rules.items : -1) == (other ? other - again.items : -1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct http_head head;
    struct arena *arena = arena_new();
    struct s3_op *op = op_new(arena, &head);
    struct str s = fuzz_str(data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        check_cors(op, s);
        break;
    case 1:
        check_acl_document(op, s);
        break;
    case 2:
        check_acl_header(op, s, &head);
        break;
    default:
        check_packed(op, s);
    }
    op_end(op);
    arena_free(arena);
    return 0;
}
