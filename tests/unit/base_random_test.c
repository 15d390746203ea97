#include "tests/support/unit.h"

#include <sys/wait.h>
#include <unistd.h>

#include <pthread.h>

#include "base/mutex.h"
#include "base/random.h"

static void fills_exactly(void **state)
{
    (void)state;
    static unsigned char bytes[1002];
    static const size_t sizes[] = {0, 1, 16, 255, 256, 257, 1000};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        size_t size = sizes[i];
        unsigned char seen = 0;
        bytes[size + 1] = 0x5A;
        for (int round = 0; round < 20; round++) {
            random_bytes(bytes + 1, size);
            seen |= size ? bytes[size] : 0;
        }
        assert_int_equal(bytes[0], 0);
        assert_int_equal(bytes[size + 1], 0x5A);
        assert_true(size == 0 || seen != 0); /* wrong once in 2^160 */
    }
}

static void *one_number(void *arg)
{
    *(uint64_t *)arg = random_u64();
    return NULL;
}

static void numbers_differ(void **state)
{
    (void)state;
    static uint64_t numbers[1000];
    for (size_t i = 0; i < 998; i++)
        numbers[i] = random_u64();
    for (size_t i = 998; i < 1000; i++) { /* threads do not share their stock */
        pthread_t thread;
        thread_start(&thread, "random", one_number, &numbers[i]);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    for (size_t i = 0; i < 1000; i++) {
        for (size_t j = 0; j < i; j++)
            assert_true(numbers[i] != numbers[j]);
    }
}

static void text_uses_the_alphabet_evenly(void **state)
{
    (void)state;
    static char text[30001];
    size_t counts[3] = {0};
    text[30000] = '!';
    random_text(text, 30000, "abc");
    assert_int_equal(text[30000], '!');
    for (size_t i = 0; i < 30000; i++) {
        assert_in_range(text[i], 'a', 'c');
        counts[text[i] - 'a']++;
    }
    for (size_t i = 0; i < 3; i++)
        assert_in_range(counts[i], 9000, 11000); /* 12 standard deviations */
}

static void a_child_draws_its_own(void **state)
{
    (void)state;
    int ends[2];
    uint64_t theirs, ours = random_u64(); /* fills the stock that both have */
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        theirs = random_u64();
        _exit(write(ends[1], &theirs, sizeof theirs) == sizeof theirs ? 0 : 1);
    }
    ours = random_u64();
    assert_int_equal(read(ends[0], &theirs, sizeof theirs), sizeof theirs);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(ours != theirs);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_draws_its_own),
        cmocka_unit_test(fills_exactly),
        cmocka_unit_test(numbers_differ),
        cmocka_unit_test(text_uses_the_alphabet_evenly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
