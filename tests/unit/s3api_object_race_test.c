/* Several gateways, each a process of its own, on one directory: what conditions promise holds between them. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/random.h"
#include "tests/support/s3_engine.h"
#include "tests/support/unit.h"

#define CALL(verb, path, content, ...) \
    s3_call(e, &(struct s3_call){.method = (verb), .target = (path), .headers = {__VA_ARGS__}, .body = str_z(content)})

#define GATEWAYS 4

typedef int (*gateway_fn)(int gateway);

/* What a gateway is to do, on whose volume. */
struct order {
    gateway_fn fn;
    char root[64];
};

static struct s3_engine *e;
static pid_t gateways[GATEWAYS];
static int orders; /* to the gateways: each takes one */

static const char *text(const char *prefix, int n)
{
    return arena_printf(s3_engine_arena(e), "%s%d", prefix, n).ptr;
}

static int serve(int gateway, int from)
{
    char drop[256];
    struct order o;
    if (read(from, &o, sizeof(o)) != sizeof(o))
        return 0; /* the test has ended before */
    random_bytes(drop, sizeof(drop)); /* the parent's stock of them, which all would share */
    e = s3_engine_new(&(struct s3_engine_options){.root = o.root});
    return o.fn(gateway);
}

/* They begin before there are threads, of which a child has none, but whatever lock they held. */
static int set_up(void **state UNUSED)
{
    int ends[2];
    if (pipe(ends) < 0)
        return -1;
    for (int i = 0; i < GATEWAYS; i++) {
        gateways[i] = fork();
        if (gateways[i] == 0) {
            close(ends[1]);
            _exit(serve(i, ends[0]));
        }
    }
    close(ends[0]);
    orders = ends[1];
    e = s3_engine_new(NULL);
    return s3_do(e, "PUT", "/bucket", NULL)->status == 200 ? 0 : -1;
}

static int tear_down(void **state UNUSED)
{
    close(orders);
    s3_engine_free(e);
    return 0;
}

/* Runs fn in GATEWAYS processes at once; results[i] is what it returned (0 to 99) in the i-th. */
static void run_gateways(gateway_fn fn, int results[GATEWAYS])
{
    struct order o = {.fn = fn};
    assert_true((size_t)snprintf(o.root, sizeof(o.root), "%s", s3_engine_root(e)) < sizeof(o.root));
    for (int i = 0; i < GATEWAYS; i++)
        assert_int_equal(write(orders, &o, sizeof(o)), sizeof(o));
    for (int i = 0; i < GATEWAYS; i++) {
        int status;
        assert_int_equal(waitpid(gateways[i], &status, 0), gateways[i]);
        assert_true(WIFEXITED(status));
        results[i] = WEXITSTATUS(status);
    }
}

static void assert_all_zero(const int results[GATEWAYS])
{
    for (int i = 0; i < GATEWAYS; i++)
        assert_int_equal(results[i], 0);
}

/* Creation ------------------------------------------------------------------------------------------------------- */

#define ROUNDS 60

/* How many of the rounds it won; 99 when an answer was neither of the two. */
static int create(int gateway)
{
    int won = 0;
    for (int i = 0; i < ROUNDS; i++) {
        int status = CALL("PUT", text("/bucket/new/", i), text("gateway ", gateway), "If-None-Match: *")->status;
        if (status != 200 && status != 412)
            return 99;
        won += status == 200;
    }
    return won;
}

static void one_creates(void **state UNUSED)
{
    int won[GATEWAYS], sum = 0;
    run_gateways(create, won);
    for (int i = 0; i < GATEWAYS; i++)
        sum += won[i];
    assert_int_equal(sum, ROUNDS);
}

/* Directories are made and marked in two steps. */
static int create_directory(int gateway UNUSED)
{
    int won = 0;
    for (int i = 0; i < ROUNDS; i++) {
        int status = CALL("PUT", arena_printf(s3_engine_arena(e), "/bucket/dir-%d/", i).ptr, "", "If-None-Match: *")->status;
        if (status != 200 && status != 412)
            return 99;
        won += status == 200;
    }
    return won;
}

static void one_creates_a_directory(void **state UNUSED)
{
    int won[GATEWAYS], sum = 0;
    run_gateways(create_directory, won);
    for (int i = 0; i < GATEWAYS; i++)
        sum += won[i];
    assert_int_equal(sum, ROUNDS);
}

/* Compare and swap ----------------------------------------------------------------------------------------------- */

#define INCREMENTS 40

static int increment(int gateway UNUSED)
{
    for (int done = 0; done < INCREMENTS;) {
        struct s3_answer *was = s3_do(e, "GET", "/bucket/counter", NULL);
        uint64_t value;
        if (was->status != 200 || !str_parse_u64(was->body, &value))
            return 1;
        const char *match = arena_printf(s3_engine_arena(e), "If-Match: %.*s", STR_ARG(s3_answer_header(was, "ETag"))).ptr;
        int status = CALL("PUT", "/bucket/counter", text("", (int)value + 1), match)->status;
        if (status != 200 && status != 412 && status != 409)
            return 2;
        done += status == 200;
    }
    return 0;
}

static void no_increment_is_lost(void **state UNUSED)
{
    int results[GATEWAYS];
    assert_answer(s3_do(e, "PUT", "/bucket/counter", "0"), 200, NULL);
    run_gateways(increment, results);
    assert_all_zero(results);
    assert_str(s3_do(e, "GET", "/bucket/counter", NULL)->body, text("", GATEWAYS * INCREMENTS));
}

/* Records rewritten in place ------------------------------------------------------------------------------------- */

/* Even gateways set tags, odd ones metadata: neither may undo the other's last word. */
static int rewrite(int gateway)
{
    for (int i = 0; i <= INCREMENTS; i++) {
        int status;
        if (gateway % 2) {
            const char *meta = arena_printf(s3_engine_arena(e), "x-amz-meta-n: %d", i).ptr;
            status = CALL("PUT", "/bucket/key", NULL, "x-amz-copy-source: bucket/key", "x-amz-metadata-directive: REPLACE", meta)->status;
        } else {
            struct str tags = arena_printf(
                s3_engine_arena(e), "<Tagging><TagSet><Tag><Key>n</Key><Value>%d</Value></Tag></TagSet></Tagging>", i);
            struct s3_call call = {.method = "PUT", .target = "/bucket/key?tagging", .body = tags};
            uint8_t md5[DIGEST_SIZE_MAX];
            CLEANUP(buf_done) struct buf header = buf_make(100);
            digest_bytes(DIGEST_MD5, tags, md5);
            buf_addz(&header, "Content-MD5: ");
            buf_add_base64(&header, md5, 16);
            call.headers[0] = buf_z(&header);
            status = s3_call(e, &call)->status;
        }
        if (status != 200)
            return 1;
    }
    return 0;
}

static void no_change_of_metadata_is_lost(void **state UNUSED)
{
    int results[GATEWAYS];
    assert_answer(s3_do(e, "PUT", "/bucket/key", "bytes"), 200, NULL);
    run_gateways(rewrite, results);
    assert_all_zero(results);
    struct s3_answer *a = CALL("HEAD", "/bucket/key", NULL, "x-amz-checksum-mode: ENABLED");
    assert_str(s3_answer_header(a, "x-amz-meta-n"), "40");
    assert_str(s3_answer_header(a, "ETag"), "\"4b3a6218bb3e3a7303e8a171a60fcf92\"");
    assert_non_null(s3_answer_header(a, "x-amz-checksum-crc64nvme").ptr);
    assert_str(s3_answer_element(s3_do(e, "GET", "/bucket/key?tagging", NULL), "Value"), "40");
}

/* Directories that come and go ------------------------------------------------------------------------------------ */

/* DELETE of the last object in a directory prunes it; a PUT into it must not notice (versitygw c2601290). */
static int come_and_go(int gateway)
{
    const char *target = text("/bucket/a/b/c/", gateway);
    for (int i = 0; i < 100; i++) {
        if (s3_do(e, "PUT", target, "x")->status != 200)
            return 1;
        if (s3_do(e, "GET", target, NULL)->status != 200)
            return 2;
        if (s3_do(e, "DELETE", target, NULL)->status != 204)
            return 3;
        if (s3_do(e, "GET", target, NULL)->status != 404)
            return 4;
    }
    return 0;
}

static void directories_come_and_go(void **state UNUSED)
{
    int results[GATEWAYS];
    run_gateways(come_and_go, results);
    assert_all_zero(results);
    assert_int_equal(access(arena_printf(s3_engine_arena(e), "%s/bucket/a", s3_engine_root(e)).ptr, F_OK), -1);
}

/* One makes directory objects where the others come and go. */
static int stay(int gateway)
{
    if (gateway > 0)
        return come_and_go(gateway);
    for (int i = 0; i < 100; i++) {
        if (s3_do(e, "PUT", "/bucket/a/b/", "")->status != 200)
            return 1;
        if (s3_do(e, "HEAD", "/bucket/a/b/", NULL)->status != 200)
            return 2;
        if (s3_do(e, "DELETE", "/bucket/a/b/", NULL)->status != 204)
            return 3;
    }
    return s3_do(e, "PUT", "/bucket/a/b/", "")->status == 200 ? 0 : 4;
}

static void directory_objects_stay(void **state UNUSED)
{
    int results[GATEWAYS];
    run_gateways(stay, results);
    assert_all_zero(results);
    assert_answer(s3_do(e, "HEAD", "/bucket/a/b/", NULL), 200, NULL);
}

/* Objects that change while they are judged ------------------------------------------------------------------------ */

#define READS 300

/* Two write, by turns what everybody may read and what nobody may, which only its tag tells; two read. */
static int read_by_tag(int gateway)
{
    static const char *const kinds[] = {"public", "private"};
    for (int i = 0; i < READS; i++) {
        if (gateway < 2) {
            const char *kind = kinds[(i + gateway) % 2];
            const char *tagging = arena_printf(s3_engine_arena(e), "x-amz-tagging: kind=%s", kind).ptr;
            if (CALL("PUT", "/bucket/key", kind, tagging)->status != 200)
                return 1;
            continue;
        }
        struct s3_call call = {.method = "GET", .target = "/bucket/key", .auth = S3_CALL_ANONYMOUS};
        const struct s3_answer *a = s3_call(e, &call);
        if (a->status != 200 && a->status != 403)
            return 2;
        if (a->status == 200 && !str_is(a->body, "public"))
            return 3;
    }
    return 0;
}

/* What is read is what was judged. */
static void another_object_is_not_read_by_the_tags_of_its_predecessor(void **state UNUSED)
{
    static const char policy[] =
        "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::bucket/*\","
        "\"Condition\":{\"StringEquals\":{\"s3:ExistingObjectTag/kind\":\"public\"}}}}";
    int results[GATEWAYS];
    assert_answer(s3_do(e, "PUT", "/bucket?policy", policy), 204, NULL);
    assert_answer(s3_do(e, "PUT", "/bucket/key", "private"), 200, NULL);
    run_gateways(read_by_tag, results);
    assert_all_zero(results);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(one_creates),
        TEST(one_creates_a_directory),
        TEST(no_increment_is_lost),
        TEST(no_change_of_metadata_is_lost),
        TEST(directories_come_and_go),
        TEST(directory_objects_stay),
        TEST(another_object_is_not_read_by_the_tags_of_its_predecessor),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
