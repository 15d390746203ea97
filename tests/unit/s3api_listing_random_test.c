/* Listings of random, large and changing trees. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "tests/support/listing_model.h"
#include "tests/support/unit.h"

/* Random trees */

static unsigned random_below(unsigned n, uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*seed >> 33) % n;
}

static void random_path(char *out, size_t size, uint64_t *seed)
{
    static const char *const names[] = {"a",  "a.", "a-", "a0", "a ", "a+", "a%", "b",    "b-a", "aa", "\xc3\xa4", "\xc3\xa4x",
                                        "!",  "~",  ".x", "A",  "0",  "\x02", "\xf0\x9f\x90\x98", "-", "a&b"};
    size_t len = 0;
    for (unsigned depth = 1 + random_below(4, seed); depth > 0 && len < size; depth--)
        len += (size_t)snprintf(out + len, size - len, "%s%s", len ? "/" : "",
                                names[random_below(ARRAY_SIZE(names), seed)]);
}

static void grow(struct bucket *b, uint64_t *seed)
{
    char path[256];
    random_path(path, sizeof(path), seed);
    switch (random_below(8, seed)) {
    case 0:
        (void)bucket_try_posix_mkdir(b, path); /* a parent may be missing, or a file in the way */
        break;
    case 1:
        if (bucket_try_put_directory(b, path)) {
            (void)snprintf(path + strlen(path), sizeof(path) - strlen(path), "/");
            bucket_expect(b, path);
        }
        break;
    case 2:
        (void)bucket_left_over(b, path);
        break;
    case 3:
        if (vfs_unlink(b->dir, str_z(path), NULL, NULL) == 0)
            bucket_forget(b, path);
        break;
    default:
        if (bucket_try_put(b, path))
            bucket_expect(b, path);
        break;
    }
}

static void test_random_trees(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 8; round++) {
        char name[32];
        char text[256];
        uint64_t seed = round;
        (void)snprintf(name, sizeof(name), "random%u", (unsigned)round);
        struct bucket *b = bucket_new(name);
        for (unsigned i = 0; i < 20 + 30 * round; i++)
            grow(b, &seed);
        bucket_settle(b);
        check_all(b, STR(""), STR(""));
        for (int i = 0; i < 3; i++) {
            random_path(text, sizeof(text), &seed);
            size_t cut = 1 + random_below((unsigned)strlen(text), &seed);
            check_all(b, str_of(text, cut), STR(""));
            check_all(b, STR(""), str_of(text, cut));
            check_all(b, str_of(text, random_below((unsigned)cut, &seed)), str_z(text));
        }
        bucket_free(b);
    }
}

/* Many keys */

static uint64_t page_through(const struct bucket *b, size_t expected_count, uint32_t max)
{
    struct page *p = page_new();
    struct s3_list_query q = {.max = max};
    size_t total = 0;
    size_t pages = 0;
    uint64_t start = clock_mono_ns();
    do {
        page_list(b, &q, p);
        assert_true(p->count == max || !p->truncated);
        total += p->count;
        pages++;
        q.after = p->last;
    } while (p->truncated);
    uint64_t took = clock_mono_ns() - start;
    assert_int_equal(total, expected_count);
    assert_int_equal(pages, (expected_count + max - 1) / max);
    page_free(p);
    return took;
}

static void test_many_keys(void **state)
{
    (void)state;
    struct bucket *b = bucket_new("many");
    char path[64];
    bucket_posix_mkdir(b, "flat");
    for (int i = 0; i < 20000; i++) {
        (void)snprintf(path, sizeof(path), "flat/%05d", i);
        bucket_posix_file(b, path);
    }
    uint64_t large = page_through(b, 20000, 1000);
    uint64_t small = page_through(b, 20000, 10);
    print_message("20000 keys: %llu ms in pages of 1000, %llu ms in pages of 10\n", (unsigned long long)large / 1000000,
                  (unsigned long long)small / 1000000);
    bucket_free(b);
}

/* Changes meanwhile: pages go on, in order, without repetition, and what stays is seen. */

struct churn {
    struct bucket *b;
    atomic_bool stop;
};

static void churn_path(char out[64], uint64_t *seed)
{
    static const struct {
        const char *before, *behind;
    } forms[] = {{"s", ""}, {"s", "/x"}, {"stable", "/y/z"}, {"t/", "/x/y"}, {"sa-", ""}};
    unsigned i = random_below(ARRAY_SIZE(forms), seed);
    (void)snprintf(out, 64, "%s%02u%s", forms[i].before, random_below(20, seed), forms[i].behind);
}

static void *churn(void *arg)
{
    struct churn *c = arg;
    uint64_t seed = 42;
    char path[64];
    while (!atomic_load(&c->stop)) {
        churn_path(path, &seed);
        (void)bucket_try_put(c->b, path); /* a file may be in the way */
        churn_path(path, &seed);
        ptrdiff_t slash = str_rfind_char(str_z(path), '/');
        if (vfs_unlink(c->b->dir, str_z(path), NULL, NULL) == 0 && slash > 0)
            vfs_prune(c->b->dir, str_first(str_z(path), (size_t)slash), NULL);
    }
    return NULL;
}

static const char *const churn_delimiters[] = {"", "/", "a", "a/", "-", "\xc3\xa4"};

static size_t count_stable(const struct page *p)
{
    size_t count = 0;
    for (size_t i = 0; i < p->count; i++)
        count += str_starts(p->entries[i], STR("stable"));
    return count;
}

static void test_concurrent_changes(void **state)
{
    (void)state;
    struct churn c = {.b = bucket_new("churn")};
    pthread_t thread;
    char path[64];
    for (int i = 0; i < 50; i++) {
        (void)snprintf(path, sizeof(path), "stable%02d/x", i);
        bucket_put(c.b, path);
    }
    assert_int_equal(pthread_create(&thread, NULL, churn, &c), 0);
    struct page *p = page_new();
    for (unsigned round = 0; round < 100; round++) {
        struct s3_list_query q = {.delimiter = str_z(churn_delimiters[round % ARRAY_SIZE(churn_delimiters)]),
                                  .max = 1 + round % 9};
        CLEANUP(buf_done) struct buf after = buf_make(LIMIT_KEY_BYTES + 1);
        size_t stable = 0;
        do {
            q.after = buf_str(&after);
            page_list(c.b, &q, p);
            for (size_t i = 0; i < p->count; i++)
                assert_true(str_cmp(p->entries[i], i ? p->entries[i - 1] : q.after) > 0);
            stable += count_stable(p);
            buf_reset(&after);
            buf_add(&after, p->last);
        } while (p->truncated);
        if (!str_is(q.delimiter, "a") && !str_is(q.delimiter, "/"))
            assert_true(stable >= 50);
        if (str_is(q.delimiter, "/"))
            assert_int_equal(stable, 50);
    }
    atomic_store(&c.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    page_free(p);
    bucket_free(c.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_trees),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_concurrent_changes),
    };
    return cmocka_run_group_tests(tests, listing_open_volume, listing_close_volume);
}
