#include "tests/support/s3_engine.h"
#include "tests/support/unit.h"

#include <stdio.h>

#include "base/digest.h"
#include "base/encode.h"
#include "s3api/acl.h"

/* Access control lists where they count: the bucket is alice's, bob and nobody need grants. */

static struct s3_engine *engine;
static struct str alice_id, bob_id;

static const struct s3_answer *call(const char *who, const char *method, const char *target, const char *header,
                                    const char *body)
{
    struct s3_call c = {.method = method, .target = target, .access_key = who, .headers = {header}, .body = str_z(body)};
    c.auth = who ? S3_CALL_SIGNED : S3_CALL_ANONYMOUS;
    return s3_call(engine, &c);
}

static int status(const char *who, const char *method, const char *target)
{
    return call(who, method, target, NULL, strcmp(method, "PUT") == 0 ? "x" : NULL)->status;
}

static struct str id_of(const char *who)
{
    return arena_dup(s3_engine_arena(engine), s3_answer_element(call(who, "GET", "/", NULL, NULL), "ID"));
}

static int start(enum s3_ownership ownership)
{
    engine = s3_engine_new(&(struct s3_engine_options){.ownership = ownership});
    s3_engine_add_user(engine, "alice", NULL, false);
    s3_engine_add_user(engine, "bob", NULL, false);
    s3_engine_add_user(engine, "carol", NULL, true);
    alice_id = id_of("alice");
    bob_id = id_of("bob");
    assert_answer(call("alice", "PUT", "/bkt", NULL, NULL), 200, NULL);
    assert_answer(call("alice", "PUT", "/bkt/k", NULL, "content"), 200, NULL);
    return 0;
}

static int set_up(void **state UNUSED)
{
    return start(S3_OWNER_WRITER);
}

static int set_up_preferred(void **state UNUSED)
{
    return start(S3_OWNER_PREFERRED);
}

static int set_up_enforced(void **state UNUSED)
{
    return start(S3_OWNER_ENFORCED);
}

static int tear_down(void **state UNUSED)
{
    s3_engine_free(engine);
    return 0;
}

static void put_acl(const char *target, const char *canned)
{
    const char *header = arena_printf(s3_engine_arena(engine), "x-amz-acl: %s", canned).ptr;
    assert_answer(call("alice", "PUT", target, header, NULL), 200, NULL);
}

#define GROUP(name) "http://acs.amazonaws.com/groups/" name

/* The packed form */

static void test_packing(void **state UNUSED)
{
    struct arena *arena = arena_new();
    struct s3_grant grants[] = {{S3_GRANTEE_USER, STR("testx$1"), S3_PERMIT_FULL_CONTROL},
                                {S3_GRANTEE_ALL_USERS, STR_EMPTY, S3_PERMIT_READ},
                                {S3_GRANTEE_AUTHENTICATED_USERS, STR_EMPTY, S3_PERMIT_WRITE_ACP},
                                {S3_GRANTEE_LOG_DELIVERY, STR_EMPTY, S3_PERMIT_WRITE}};
    struct s3_acl in = {STR("owner"), grants, ARRAY_SIZE(grants)}, out;
    struct str packed = s3_acl_pack(&in, arena);
    assert_str(packed, "1\nfutestx$1\n1e\n8a\n2l");
    s3_acl_unpack(packed, STR("owner"), arena, &out);
    assert_int_equal(out.count, in.count);
    for (size_t i = 0; i < out.count; i++) {
        assert_int_equal(out.items[i].grantee, grants[i].grantee);
        assert_int_equal(out.items[i].permit, grants[i].permit);
        assert_true(str_eq(out.items[i].id, grants[i].id));
    }
    s3_acl_private(arena, STR("owner"), &out);
    assert_int_equal(s3_acl_pack(&out, arena).len, 0);
    s3_acl_unpack(STR_EMPTY, STR("owner"), arena, &out);
    assert_true(s3_acl_is_private(&out));
    in.count = 0;
    assert_str(s3_acl_pack(&in, arena), "1");
    arena_free(arena);
}

/* A record written by hand grants nothing that it does not say well. */
static void test_unreadable_packing(void **state UNUSED)
{
    static const char *const texts[] = {"2", "1\n", "1\n1", "1\n1x", "1\nge", "1\n1ee", "1\n1u", "1\n1e\nrubbish", "x\n1e"};
    struct arena *arena = arena_new();
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct s3_acl acl;
        s3_acl_unpack(str_z(texts[i]), STR("owner"), arena, &acl);
        assert_int_equal(acl.count, 0);
    }
    arena_free(arena);
}

/* Verdicts */

static void test_canned_lists_of_buckets(void **state UNUSED)
{
    static const struct {
        const char *canned;
        int list, write, read_acl;                   /* bob */
        int nobody_lists, nobody_writes, nobody_reads_acl;
    } rows[] = {
        {"private", 403, 403, 403, 403, 403, 403},
        {"public-read", 200, 403, 403, 200, 403, 403},
        {"public-read-write", 200, 200, 403, 200, 200, 403},
        {"authenticated-read", 200, 403, 403, 403, 403, 403},
        {"log-delivery-write", 403, 403, 403, 403, 403, 403},
        {"aws-exec-read", 403, 403, 403, 403, 403, 403},
        {"bucket-owner-full-control", 403, 403, 403, 403, 403, 403},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        put_acl("/bkt?acl", rows[i].canned);
        int got[] = {status("bob", "GET", "/bkt?list-type=2"), status("bob", "PUT", "/bkt/bob"), status("bob", "GET", "/bkt?acl"),
                     status(NULL, "GET", "/bkt?list-type=2"),  status(NULL, "PUT", "/bkt/any"),  status(NULL, "GET", "/bkt?acl")};
        int want[] = {rows[i].list,         rows[i].write,         rows[i].read_acl,
                      rows[i].nobody_lists, rows[i].nobody_writes, rows[i].nobody_reads_acl};
        for (size_t k = 0; k < ARRAY_SIZE(want); k++)
            if (got[k] != want[k])
                fail_msg("%s, question %zu: %d", rows[i].canned, k, got[k]);
        assert_int_equal(status("bob", "GET", "/bkt/k"), 403);
        assert_int_equal(status("alice", "GET", "/bkt/k"), 200);
        assert_answer(s3_do(engine, "GET", "/bkt/k", NULL), 200, NULL); /* administrators */
    }
}

static void test_canned_lists_of_objects(void **state UNUSED)
{
    static const struct {
        const char *canned;
        int bob, nobody;
    } rows[] = {
        {"private", 403, 403},           {"public-read", 200, 200},       {"public-read-write", 200, 200},
        {"authenticated-read", 200, 403}, {"aws-exec-read", 403, 403},     {"bucket-owner-read", 403, 403},
        {"log-delivery-write", 403, 403}, {"bucket-owner-full-control", 403, 403},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        put_acl("/bkt/k?acl", rows[i].canned);
        const char *header = arena_printf(s3_engine_arena(engine), "x-amz-acl: %s", rows[i].canned).ptr;
        assert_answer(call("alice", "PUT", "/bkt/made", header, "x"), 200, NULL); /* and at once */
        assert_int_equal(status("bob", "GET", "/bkt/k"), rows[i].bob);
        assert_int_equal(status("bob", "HEAD", "/bkt/made"), rows[i].bob);
        assert_int_equal(status(NULL, "GET", "/bkt/k"), rows[i].nobody);
        assert_int_equal(status(NULL, "GET", "/bkt/made"), rows[i].nobody);
        assert_int_equal(status("bob", "PUT", "/bkt/k"), 403);
        assert_int_equal(status("bob", "DELETE", "/bkt/k"), 403);
        assert_int_equal(status("bob", "GET", "/bkt/k?acl"), 403);
        assert_int_equal(status("bob", "GET", "/bkt/k?tagging"), 403);
        assert_int_equal(status("bob", "GET", "/bkt?cors"), 403);
    }
    /* A copy is a new object with a list of its own. */
    put_acl("/bkt/k?acl", "public-read");
    assert_answer(call("alice", "PUT", "/bkt/copy", "x-amz-copy-source: bkt/k", NULL), 200, NULL);
    assert_int_equal(status(NULL, "GET", "/bkt/copy"), 403);
}

/* Who may not list cannot tell what is not there from what is closed. */
static void test_absent_objects(void **state UNUSED)
{
    assert_int_equal(status("bob", "GET", "/bkt/absent"), 403);
    assert_int_equal(status("alice", "GET", "/bkt/absent"), 404);
    put_acl("/bkt?acl", "public-read");
    assert_int_equal(status("bob", "GET", "/bkt/absent"), 404);
    assert_int_equal(status(NULL, "HEAD", "/bkt/absent"), 404);
}

static void test_grants_by_header(void **state UNUSED)
{
    static const struct {
        const char *permission;
        int read, read_acl, write_acl;
    } rows[] = {
        {"read", 200, 403, 403}, {"write", 403, 403, 403}, {"read-acp", 403, 200, 403}, {"write-acp", 403, 403, 200},
        {"full-control", 200, 200, 200},
    };
    struct arena *arena = s3_engine_arena(engine);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *header = arena_printf(arena, "x-amz-grant-%s: id=\"%.*s\" , uri=\"" GROUP("s3/LogDelivery") "\"",
                                          rows[i].permission, STR_ARG(bob_id)).ptr;
        assert_answer(call("alice", "PUT", "/bkt/g", header, "x"), 200, NULL);
        assert_int_equal(status("bob", "GET", "/bkt/g"), rows[i].read);
        assert_int_equal(status("bob", "GET", "/bkt/g?acl"), rows[i].read_acl);
        assert_int_equal(call("bob", "PUT", "/bkt/g?acl", "x-amz-acl: private", NULL)->status, rows[i].write_acl);
        /* The owner, whom such a list leaves out, stays the owner. */
        assert_int_equal(status("alice", "GET", "/bkt/g?acl"), 200);
    }
    const char *both = arena_printf(arena, "x-amz-grant-read: id=%.*s", STR_ARG(bob_id)).ptr;
    struct s3_call c = {.method = "PUT", .target = "/bkt/k?acl", .access_key = "alice", .headers = {both, "x-amz-acl: private"}};
    assert_answer(s3_call(engine, &c), 400, "InvalidRequest");
    assert_answer(call("alice", "PUT", "/bkt/k?acl", "x-amz-grant-read: id=nobody-known", NULL), 400, "InvalidArgument");
    assert_answer(call("alice", "PUT", "/bkt/k?acl", "x-amz-grant-read: uri=http://x", NULL), 400, "InvalidArgument");
    assert_answer(call("alice", "PUT", "/bkt/k?acl", "x-amz-grant-read: what", NULL), 400, "InvalidArgument");
    assert_answer(call("alice", "PUT", "/bkt/k?acl", "x-amz-grant-read: emailAddress=\"no@one\"", NULL), 400,
                  "UnresolvableGrantByEmailAddress");
    assert_answer(call("alice", "PUT", "/bkt/k?acl", "x-amz-acl: nonsense", NULL), 400, "InvalidArgument");
}

static const struct s3_answer *put_document(const char *who, const char *target, struct str owner, const char *grants)
{
    struct str document = arena_printf(s3_engine_arena(engine),
                                       "<AccessControlPolicy><Owner><ID>%.*s</ID></Owner><AccessControlList>%s"
                                       "</AccessControlList></AccessControlPolicy>",
                                       STR_ARG(owner), grants);
    return call(who, "PUT", target, NULL, document.ptr);
}

static const char *grant_of(struct str id, const char *permission)
{
    return arena_printf(s3_engine_arena(engine),
                        "<Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\">"
                        "<ID>%.*s</ID></Grantee><Permission>%s</Permission></Grant>", STR_ARG(id), permission).ptr;
}

static void test_documents(void **state UNUSED)
{
    assert_answer(put_document("alice", "/bkt?acl", alice_id, grant_of(bob_id, "READ")), 200, NULL);
    const struct s3_answer *a = call("alice", "GET", "/bkt?acl", NULL, NULL);
    assert_int_equal(s3_answer_count(a, "Grant"), 1);
    assert_str(s3_answer_element(a, "Permission"), "READ");
    assert_true(str_find(a->body, STR("<DisplayName>bob</DisplayName>")) > 0);
    assert_int_equal(status("bob", "GET", "/bkt"), 200);
    /* What was answered can be put again. */
    assert_answer(call("alice", "PUT", "/bkt?acl", NULL, arena_dupz(s3_engine_arena(engine), a->body)), 200, NULL);
    assert_answer(put_document("alice", "/bkt?acl", alice_id, ""), 200, NULL);
    assert_int_equal(s3_answer_count(call("alice", "GET", "/bkt?acl", NULL, NULL), "Grant"), 0);
    assert_int_equal(status("bob", "GET", "/bkt"), 403);
    assert_int_equal(status("alice", "PUT", "/bkt/still"), 200);
    /* No way to give a bucket away, or to grant what there is not. */
    assert_answer(put_document("alice", "/bkt?acl", bob_id, grant_of(bob_id, "READ")), 403, "AccessDenied");
    assert_answer(put_document("alice", "/bkt?acl", alice_id, grant_of(bob_id, "OWN")), 400, "MalformedACLError");
    assert_answer(put_document("alice", "/bkt?acl", alice_id, grant_of(STR("unknown"), "READ")), 400, "InvalidArgument");
    assert_answer(put_document("alice", "/bkt?acl", alice_id, "<Grant><Permission>READ</Permission></Grant>"), 400, "MalformedACLError");
    assert_answer(call("alice", "PUT", "/bkt?acl", NULL, "<AccessControlPolicy/>"), 400, "MalformedACLError");
    assert_answer(call("alice", "PUT", "/bkt?acl", NULL, NULL), 400, "MissingSecurityHeader");
    assert_answer(call("alice", "PUT", "/bkt?acl", "x-amz-acl: private", "<AccessControlPolicy/>"), 400, "UnexpectedContent");
    struct buf many = buf_make(1024 * 1024);
    for (int i = 0; i <= LIMIT_ACL_GRANTS; i++)
        buf_addz(&many, grant_of(bob_id, "READ"));
    assert_answer(put_document("alice", "/bkt?acl", alice_id, buf_z(&many)), 400, "MalformedACLError");
    buf_done(&many);
}

/* Owners */

static void test_writers_own_their_objects(void **state UNUSED)
{
    put_acl("/bkt?acl", "public-read-write");
    assert_answer(call("bob", "PUT", "/bkt/bobs", NULL, "x"), 200, NULL);
    const struct s3_answer *a = call("bob", "GET", "/bkt/bobs?acl", NULL, NULL);
    assert_answer(a, 200, NULL);
    assert_true(str_eq(s3_answer_element(a, "ID"), bob_id));
    /* Not even the bucket's owner reads it, by its policy neither; but may remove it. */
    assert_int_equal(status("alice", "GET", "/bkt/bobs"), 403);
    static const char policy[] = "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":"
                                 "\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::bkt/*\"}}";
    assert_answer(call("alice", "PUT", "/bkt?policy", NULL, policy), 204, NULL);
    assert_int_equal(status(NULL, "GET", "/bkt/k"), 200);
    assert_int_equal(status(NULL, "GET", "/bkt/bobs"), 403);
    /* Listings name each writer. */
    a = call("alice", "GET", "/bkt", NULL, NULL);
    assert_true(str_find(a->body, bob_id) > 0 && str_find(a->body, alice_id) > 0);
    assert_int_equal(status("alice", "DELETE", "/bkt/bobs"), 204);
    /* What is given with bucket-owner-full-control can be read, and stays the writer's. */
    assert_answer(call("bob", "PUT", "/bkt/given", "x-amz-acl: bucket-owner-full-control", "x"), 200, NULL);
    a = call("alice", "GET", "/bkt/given?acl", NULL, NULL);
    assert_true(str_eq(s3_answer_element(a, "ID"), bob_id));
    assert_int_equal(s3_answer_count(a, "Grant"), 2);
    assert_int_equal(status("alice", "GET", "/bkt/given"), 200);
}

static void test_uploads_in_parts(void **state UNUSED)
{
    put_acl("/bkt?acl", "public-read-write");
    const struct s3_answer *a = call("bob", "POST", "/bkt/mp?uploads", "x-amz-acl: public-read", NULL);
    assert_answer(a, 200, NULL);
    struct arena *arena = s3_engine_arena(engine);
    struct str id = arena_dup(arena, s3_answer_element(a, "UploadId"));
    const struct s3_answer *part = call("bob", "PUT", arena_printf(arena, "/bkt/mp?uploadId=%.*s&partNumber=1", STR_ARG(id)).ptr, NULL, "part");
    assert_answer(part, 200, NULL);
    struct str document = arena_printf(arena, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%.*s</ETag></Part>"
                                              "</CompleteMultipartUpload>", STR_ARG(s3_answer_header(part, "etag")));
    assert_answer(call("bob", "POST", arena_printf(arena, "/bkt/mp?uploadId=%.*s", STR_ARG(id)).ptr, NULL, document.ptr), 200, NULL);
    assert_int_equal(status(NULL, "GET", "/bkt/mp"), 200);
    assert_true(str_eq(s3_answer_element(call("bob", "GET", "/bkt/mp?acl", NULL, NULL), "ID"), bob_id));
}

static void test_preferred_bucket_owner(void **state UNUSED)
{
    put_acl("/bkt?acl", "public-read-write");
    assert_str(s3_answer_element(call("alice", "GET", "/bkt?ownershipControls", NULL, NULL), "ObjectOwnership"), "BucketOwnerPreferred");
    assert_answer(call("bob", "PUT", "/bkt/given", "x-amz-acl: bucket-owner-full-control", "x"), 200, NULL);
    assert_true(str_eq(s3_answer_element(call("alice", "GET", "/bkt/given?acl", NULL, NULL), "ID"), alice_id));
    assert_answer(call("bob", "PUT", "/bkt/kept", NULL, "x"), 200, NULL);
    assert_true(str_eq(s3_answer_element(call("bob", "GET", "/bkt/kept?acl", NULL, NULL), "ID"), bob_id));
}

/* With all the others */

static void test_limits_of_grants(void **state UNUSED)
{
    put_acl("/bkt?acl", "public-read-write");
    /* Read-only is read-only, whatever others grant. */
    assert_int_equal(status("carol", "PUT", "/bkt/c"), 403);
    assert_int_equal(status("carol", "GET", "/bkt"), 200);
    /* SEC-34: an explicit deny goes before any list. */
    static const char policy[] = "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":"
                                 "[\"s3:GetObject\",\"s3:PutObjectAcl\"],\"Resource\":\"arn:aws:s3:::bkt/*\"}}";
    put_acl("/bkt/k?acl", "public-read");
    assert_int_equal(status(NULL, "GET", "/bkt/k"), 200);
    assert_answer(call("alice", "PUT", "/bkt?policy", NULL, policy), 204, NULL);
    assert_int_equal(status(NULL, "GET", "/bkt/k"), 403);
    assert_int_equal(status("bob", "PUT", "/bkt/b"), 200);
    assert_answer(call("bob", "PUT", "/bkt/b", "x-amz-acl: public-read", "x"), 403, "AccessDenied");
    assert_answer(call("alice", "DELETE", "/bkt?policy", NULL, NULL), 204, NULL);
    assert_answer(call(NULL, "PUT", "/bkt/n", "x-amz-acl: public-read", "x"), 200, NULL);
    assert_answer(call(NULL, "PUT", "/bkt/tagged", "x-amz-tagging: a=b", "x"), 200, NULL);
    assert_int_equal(status(NULL, "DELETE", "/bkt/tagged?tagging"), 403);
    assert_int_equal(status(NULL, "GET", "/bkt/n"), 200);
    /* Who may write by the policy alone owns what he writes; nobody in particular does not. */
    static const char writes[] = "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":"
                                 "\"s3:PutObject\",\"Resource\":\"arn:aws:s3:::bkt/*\"}}";
    put_acl("/bkt?acl", "private");
    assert_answer(call("alice", "PUT", "/bkt?policy", NULL, writes), 204, NULL);
    assert_answer(call("bob", "PUT", "/bkt/b", "x-amz-acl: public-read", "x"), 200, NULL);
    assert_int_equal(status(NULL, "PUT", "/bkt/n"), 200);
    assert_answer(call(NULL, "PUT", "/bkt/n", "x-amz-acl: public-read", "x"), 403, "AccessDenied");
    assert_answer(call(NULL, "PUT", "/bkt/n", "x-amz-tagging: a=b", "x"), 403, "AccessDenied");
}

static void test_whose_buckets_are_listed(void **state UNUSED)
{
    assert_int_equal(s3_answer_count(call("alice", "GET", "/", NULL, NULL), "Name"), 1);
    assert_int_equal(s3_answer_count(call("bob", "GET", "/", NULL, NULL), "Name"), 0);
    put_acl("/bkt?acl", "public-read-write");
    assert_int_equal(s3_answer_count(call("bob", "GET", "/", NULL, NULL), "Name"), 0);
    assert_int_equal(s3_answer_count(s3_do(engine, "GET", "/", NULL), "Name"), 1);
    assert_int_equal(status("bob", "DELETE", "/bkt"), 403);
    assert_int_equal(status("bob", "GET", "/bkt?policy"), 403);
}

/* SEC-31: the source's list is asked. */
static void test_copy_sources(void **state UNUSED)
{
    assert_answer(call("bob", "PUT", "/bobs-bucket", NULL, NULL), 200, NULL);
    assert_answer(call("bob", "PUT", "/bobs-bucket/copy", "x-amz-copy-source: bkt/k", NULL), 403, "AccessDenied");
    assert_answer(call("bob", "PUT", "/bobs-bucket/copy", "x-amz-copy-source: bkt/absent", NULL), 403, "AccessDenied");
    put_acl("/bkt/k?acl", "authenticated-read");
    assert_answer(call("bob", "PUT", "/bobs-bucket/copy", "x-amz-copy-source: bkt/k", NULL), 200, NULL);
}

static void test_deletions_in_a_batch(void **state UNUSED)
{
    static const char body[] = "<Delete><Object><Key>k</Key></Object></Delete>";
    uint8_t md5[DIGEST_SIZE_MAX];
    struct buf header = buf_make(100);
    digest_bytes(DIGEST_MD5, str_z(body), md5);
    buf_addz(&header, "Content-MD5: ");
    buf_add_base64(&header, md5, 16);
    const struct s3_answer *a = call("bob", "POST", "/bkt?delete", buf_z(&header), body);
    assert_int_equal(s3_answer_count(a, "Deleted"), 0);
    assert_int_equal(status("alice", "GET", "/bkt/k"), 200);
    put_acl("/bkt?acl", "public-read-write");
    a = call("bob", "POST", "/bkt?delete", buf_z(&header), body);
    assert_int_equal(s3_answer_count(a, "Deleted"), 1);
    buf_done(&header);
}

/* Ownership controls */

static const struct s3_answer *put_controls(const char *document)
{
    uint8_t md5[DIGEST_SIZE_MAX];
    struct buf header = buf_make(100);
    digest_bytes(DIGEST_MD5, str_z(document), md5);
    buf_addz(&header, "Content-MD5: ");
    buf_add_base64(&header, md5, 16);
    const struct s3_answer *a = call("alice", "PUT", "/bkt?ownershipControls", buf_z(&header), document);
    buf_done(&header);
    return a;
}

#define CONTROLS(mode) "<OwnershipControls><Rule><ObjectOwnership>" mode "</ObjectOwnership></Rule></OwnershipControls>"

static void test_controls(void **state UNUSED)
{
    assert_str(s3_answer_element(call("alice", "GET", "/bkt?ownershipControls", NULL, NULL), "ObjectOwnership"), "BucketOwnerEnforced");
    static const char *const malformed[] = {CONTROLS("Nobody"), CONTROLS(""), "<OwnershipControls/>", "<OwnershipControls",
                                            "<OwnershipControls><Rule/></OwnershipControls>", "<Other><Rule/></Other>"};
    for (size_t i = 0; i < ARRAY_SIZE(malformed); i++)
        assert_answer(put_controls(malformed[i]), 400, "MalformedXML");
    /* One account: bob reads as alice does. Lists say nothing. */
    assert_int_equal(status("bob", "GET", "/bkt/k"), 200);
    assert_answer(call("alice", "PUT", "/bkt/k?acl", "x-amz-acl: public-read", NULL), 400, "AccessControlListNotSupported");
    assert_answer(call("alice", "PUT", "/bkt/p", "x-amz-acl: private", "x"), 200, NULL);
    assert_answer(put_controls(CONTROLS("ObjectWriter")), 200, NULL);
    assert_int_equal(status("bob", "GET", "/bkt/k"), 403);
    put_acl("/bkt?acl", "public-read");
    put_acl("/bkt/k?acl", "public-read");
    assert_int_equal(status(NULL, "GET", "/bkt/k"), 200);
    /* Back: not while the bucket's list grants something, and then the object's says nothing any more. */
    assert_answer(put_controls(CONTROLS("BucketOwnerEnforced")), 400, "InvalidBucketAclWithObjectOwnership");
    put_acl("/bkt?acl", "private");
    assert_answer(put_controls(CONTROLS("BucketOwnerEnforced")), 200, NULL);
    assert_int_equal(status(NULL, "GET", "/bkt/k"), 403);
    /* Chosen, it is as strict as AWS's. */
    assert_answer(call("alice", "PUT", "/bkt/p", "x-amz-acl: private", "x"), 400, "AccessControlListNotSupported");
    assert_answer(call("alice", "PUT", "/bkt/p", "x-amz-acl: bucket-owner-full-control", "x"), 200, NULL);
    assert_int_equal(s3_answer_count(call("alice", "GET", "/bkt/k?acl", NULL, NULL), "Grant"), 1);
    /* Without controls: as before there were any. */
    assert_answer(call("alice", "DELETE", "/bkt?ownershipControls", NULL, NULL), 204, NULL);
    assert_answer(call("alice", "GET", "/bkt?ownershipControls", NULL, NULL), 404, "OwnershipControlsNotFoundError");
    assert_int_equal(status("bob", "GET", "/bkt"), 403);
}

static void test_controls_of_a_new_bucket(void **state UNUSED)
{
    struct s3_call c = {.method = "PUT", .target = "/new", .access_key = "alice",
                        .headers = {"x-amz-object-ownership: ObjectWriter", "x-amz-acl: public-read"}};
    assert_answer(s3_call(engine, &c), 200, NULL);
    assert_str(s3_answer_element(call("alice", "GET", "/new?ownershipControls", NULL, NULL), "ObjectOwnership"), "ObjectWriter");
    assert_int_equal(status(NULL, "GET", "/new"), 200);
    assert_int_equal(status(NULL, "PUT", "/new/k"), 403);
    assert_answer(call("alice", "PUT", "/closed", "x-amz-acl: public-read", NULL), 400, "InvalidBucketAclWithObjectOwnership");
}

/* PublicAccessBlock (SEC-40) */

static void block(const char *element)
{
    const char *document = arena_printf(s3_engine_arena(engine),
                                        "<PublicAccessBlockConfiguration><%s>true</%s></PublicAccessBlockConfiguration>",
                                        element, element)
                               .ptr;
    assert_answer(s3_put_document(engine, "/bkt?publicAccessBlock", document), 200, NULL);
}

static void test_public_lists_are_ignored(void **state UNUSED)
{
    put_acl("/bkt?acl", "public-read-write");
    put_acl("/bkt/k?acl", "public-read");
    assert_answer(call("alice", "PUT", "/bkt/a", "x-amz-acl: authenticated-read", "x"), 200, NULL);
    assert_int_equal(status(NULL, "GET", "/bkt/k"), 200);
    assert_int_equal(status(NULL, "PUT", "/bkt/n"), 200);
    assert_int_equal(status("bob", "GET", "/bkt/a"), 200);
    assert_str(s3_answer_element(call("alice", "GET", "/bkt?policyStatus", NULL, NULL), "IsPublic"), "true");
    block("IgnorePublicAcls");
    assert_str(s3_answer_element(call("alice", "GET", "/bkt?policyStatus", NULL, NULL), "IsPublic"), "false");
    static const char *const others[] = {NULL, "bob"};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        assert_int_equal(status(others[i], "GET", "/bkt/k"), 403);
        assert_int_equal(status(others[i], "HEAD", "/bkt/k"), 403);
        assert_int_equal(status(others[i], "GET", "/bkt/a"), 403);
        assert_int_equal(status(others[i], "GET", "/bkt"), 403);
        assert_int_equal(status(others[i], "PUT", "/bkt/n2"), 403);
        assert_int_equal(status(others[i], "POST", "/bkt/n2?uploads"), 403);
        assert_int_equal(status(others[i], "DELETE", "/bkt/n"), 403);
    }
    assert_int_equal(status("alice", "GET", "/bkt/k"), 200);
}

static void test_public_lists_are_blocked(void **state UNUSED)
{
    block("BlockPublicAcls");
    static const char public[] = "x-amz-acl: public-read", authenticated[] = "x-amz-acl: authenticated-read";
    assert_answer(call("alice", "PUT", "/bkt?acl", public, NULL), 403, "AccessDenied");
    assert_answer(call("alice", "PUT", "/bkt/k?acl", public, NULL), 403, "AccessDenied");
    assert_answer(call("alice", "PUT", "/bkt/k?acl", authenticated, NULL), 403, "AccessDenied");
    assert_answer(call("alice", "PUT", "/bkt/n", public, "x"), 403, "AccessDenied");
    assert_answer(call("alice", "POST", "/bkt/n?uploads", public, NULL), 403, "AccessDenied");
    const char *grant = "x-amz-grant-read: uri=\"" GROUP("global/AllUsers") "\"";
    assert_answer(call("alice", "PUT", "/bkt/n", grant, "x"), 403, "AccessDenied");
    assert_int_equal(status("alice", "HEAD", "/bkt/n"), 404);
    assert_answer(call("alice", "PUT", "/bkt/n", "x-amz-acl: bucket-owner-read", "x"), 200, NULL);
}

int main(void)
{
#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define WITH_ENFORCED(test) cmocka_unit_test_setup_teardown(test, set_up_enforced, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packing),
        cmocka_unit_test(test_unreadable_packing),
        WITH_ENGINE(test_canned_lists_of_buckets),
        WITH_ENGINE(test_canned_lists_of_objects),
        WITH_ENGINE(test_absent_objects),
        WITH_ENGINE(test_grants_by_header),
        WITH_ENGINE(test_documents),
        WITH_ENGINE(test_writers_own_their_objects),
        WITH_ENGINE(test_uploads_in_parts),
        cmocka_unit_test_setup_teardown(test_preferred_bucket_owner, set_up_preferred, tear_down),
        WITH_ENGINE(test_limits_of_grants),
        WITH_ENGINE(test_whose_buckets_are_listed),
        WITH_ENGINE(test_copy_sources),
        WITH_ENGINE(test_deletions_in_a_batch),
        WITH_ENGINE(test_public_lists_are_ignored),
        WITH_ENGINE(test_public_lists_are_blocked),
        WITH_ENFORCED(test_controls),
        WITH_ENFORCED(test_controls_of_a_new_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
