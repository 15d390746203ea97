/* Every step of every write fails once, with an error and with the death of the process: the object is the old one or the new
 * one, whole, with the record that belongs to it, and an operation that answered well has happened. */
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/encode.h"
#include "base/fault.h"
#include "base/random.h"
#include "tests/support/s3_engine.h"
#include "tests/support/unit.h"

#ifdef SLUICE_FAULTS

#define CALL(verb, path, content, ...) \
    s3_call(e, &(struct s3_call){.method = (verb), .target = (path), .headers = {__VA_ARGS__}, .body = str_z(content)})

#define OLD "the old bytes"
#define NEW "bytes that are new"

static struct s3_engine *e;
static const char *const points[] = {"vfs.clone",  "vfs.create",          "vfs.mkdir",          "vfs.publish.link", "vfs.publish.rename",
                                     "vfs.read",   "vfs.rename",          "vfs.rmdir",          "vfs.stage",        "vfs.unlink",
                                     "vfs.write",  "vfs.xattr"};

static int set_up(void **state UNUSED)
{
    e = s3_engine_new(NULL);
    return s3_do(e, "PUT", "/bucket", NULL)->status == 200 ? 0 : -1;
}

static int tear_down(void **state UNUSED)
{
    fault_set_for_test(NULL);
    s3_engine_free(e);
    return 0;
}

/* The writes ----------------------------------------------------------------------------------------------------- */

static int put_tags(void)
{
    static const char document[] = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
    uint8_t md5[DIGEST_SIZE_MAX];
    CLEANUP(buf_done) struct buf header = buf_make(100);
    digest_bytes(DIGEST_MD5, STR(document), md5);
    buf_addz(&header, "Content-MD5: ");
    buf_add_base64(&header, md5, 16);
    return CALL("PUT", "/bucket/dir/key?tagging", document, buf_z(&header))->status;
}

static int overwrite(void)
{
    return s3_do(e, "PUT", "/bucket/dir/key", NEW)->status;
}

static int overwrite_if_match(void)
{
    return CALL("PUT", "/bucket/dir/key", NEW, "If-Match: *")->status;
}

static int copy_over(void)
{
    return CALL("PUT", "/bucket/dir/key", NULL, "x-amz-copy-source: bucket/source", "x-amz-checksum-algorithm: SHA1")->status;
}

static int rename_over(void)
{
    return CALL("PUT", "/bucket/dir/key?renameObject", NULL, "x-amz-rename-source: source")->status;
}

static int touch(void)
{
    return CALL("PUT", "/bucket/dir/key", NULL, "x-amz-copy-source: bucket/dir/key", "x-amz-metadata-directive: REPLACE",
                "x-amz-meta-mtime: 1234567890", "x-amz-meta-touched: yes")->status;
}

static int delete(void)
{
    return s3_do(e, "DELETE", "/bucket/dir/key", NULL)->status;
}

enum change { BYTES, METADATA, TAGS, GONE };
static const struct write {
    int (*run)(void);
    enum change change;
} writes[] = {
    {overwrite, BYTES}, {overwrite_if_match, BYTES}, {copy_over, BYTES}, {rename_over, BYTES},
    {touch, METADATA},  {put_tags, TAGS},            {delete, GONE},
};

/* What is there afterwards ---------------------------------------------------------------------------------------- */

static struct str etag_of(const char *text)
{
    uint8_t md5[DIGEST_SIZE_MAX];
    struct buf etag = buf_over(arena_alloc(s3_engine_arena(e), 40), 40);
    digest_bytes(DIGEST_MD5, str_z(text), md5);
    buf_addc(&etag, '"');
    buf_add_hex(&etag, md5, 16);
    buf_addc(&etag, '"');
    return buf_str(&etag);
}

static bool is_whole(const struct s3_answer *a, const char *bytes)
{
    return a->status == 200 && str_is(a->body, bytes) && str_eq(s3_answer_header(a, "ETag"), etag_of(bytes)) &&
           s3_answer_header(a, "x-amz-checksum-type").ptr;
}

/* 1: the new state; 0: the old one; -1: neither. */
static int state_after(enum change change)
{
    struct s3_answer *a = CALL("GET", "/bucket/dir/key", NULL, "x-amz-checksum-mode: ENABLED");
    bool has_meta = str_is(s3_answer_header(a, "x-amz-meta-color"), "red");
    if (is_whole(a, OLD) && has_meta && !s3_answer_header(a, "x-amz-tagging-count").ptr)
        return 0;
    switch (change) {
    case BYTES:
        return is_whole(a, NEW) && !has_meta ? 1 : -1;
    case METADATA:
        return is_whole(a, OLD) && str_is(s3_answer_header(a, "x-amz-meta-touched"), "yes") ? 1 : -1;
    case TAGS:
        return is_whole(a, OLD) && has_meta ? 1 : -1;
    case GONE:
        break;
    }
    return a->status == 404 ? 1 : -1;
}

static void make_old(void)
{
    fault_set_for_test(NULL);
    assert_answer(CALL("PUT", "/bucket/dir/key", OLD, "x-amz-meta-color: red"), 200, NULL);
    assert_answer(s3_do(e, "PUT", "/bucket/source", NEW), 200, NULL);
}

/* Nothing of ours may lie about in the bucket. */
static void check_clean(void)
{
    struct s3_answer *a = s3_do(e, "GET", "/bucket?list-type=2", NULL);
    assert_in_range(s3_answer_count(a, "Contents"), 0, 2);
}

static void check_after(const struct write *w, const char *spec, bool answered_well)
{
    fault_set_for_test(NULL);
    int now = state_after(w->change);
    if (now < 0 || (answered_well && now == 0))
        fail_msg("%s in write %zu: state %d, answered %s", spec, (size_t)(w - writes), now, answered_well ? "well" : "ill");
    check_clean();
}

/* Errors --------------------------------------------------------------------------------------------------------- */

#define PASSES_MAX 40

static void every_step_fails(void **state UNUSED)
{
    size_t met = 0;
    for (size_t w = 0; w < ARRAY_SIZE(writes); w++)
        for (size_t p = 0; p < ARRAY_SIZE(points); p++)
            for (int pass = 1, good = 0; pass < PASSES_MAX && good < 2; pass++) {
                char spec[64];
                (void)snprintf(spec, sizeof(spec), "%s:%d:%s", points[p], pass, pass % 2 ? "EIO" : "ENOSPC");
                make_old();
                fault_set_for_test(spec);
                int status = writes[w].run();
                if (status >= 300)
                    assert_true(status == 500 || status == 507);
                met += status >= 300;
                good = status < 300 ? good + 1 : 0; /* one may be a step whose failure does not matter */
                check_after(&writes[w], spec, status < 300);
            }
    assert_in_range(met, 20, 1000);
}

/* Deaths --------------------------------------------------------------------------------------------------------- */

/* True when the write was killed; false when it passed the point without. */
static bool is_killed(const struct write *w, const char *spec)
{
    pid_t child = s3_engine_fork(e);
    assert_true(child >= 0);
    if (child == 0) {
        char drop[256];
        random_bytes(drop, sizeof(drop));
        fault_set_for_test(spec);
        s3_engine_exit(e, w->run() < 300 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        return true;
    assert_int_equal(WEXITSTATUS(status), 0);
    return false;
}

static void every_step_kills(void **state UNUSED)
{
    size_t met = 0;
    for (size_t w = 0; w < ARRAY_SIZE(writes); w++)
        for (size_t p = 0; p < ARRAY_SIZE(points); p++) {
            bool killed = true;
            for (int pass = 1; pass < PASSES_MAX && killed; pass++) {
                char spec[64];
                (void)snprintf(spec, sizeof(spec), "%s:%d:kill", points[p], pass);
                make_old();
                killed = is_killed(&writes[w], spec);
                met += killed;
                check_after(&writes[w], spec, !killed);
            }
        }
    assert_in_range(met, 20, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_step_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_step_kills, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    puts("skipped: built without SLUICE_FAULTS");
    return 0;
}

#endif
