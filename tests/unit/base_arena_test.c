#include "tests/support/unit.h"

#include <stdalign.h>

#include "base/arena.h"
#include "tests/support/death.h"

static void memory_is_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    char *before = NULL;
    for (size_t size = 0; size < 3000; size += 7) {
        unsigned char *memory = arena_alloc(a, size);
        assert_non_null(memory);
        assert_ptr_not_equal(memory, before);
        assert_int_equal((uintptr_t)memory % alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xA5, size);
        before = (char *)memory;
    }
}

static void large_pieces(void **state)
{
    (void)state;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    char *small = arena_alloc(a, 10);
    char *large = arena_alloc(a, 3 * 1024 * 1024);
    memset(large, 1, 3 * 1024 * 1024);
    assert_int_equal(small[0], 0);
    assert_true(arena_size(a) >= 3 * 1024 * 1024);
}

static void copies_and_texts(void **state)
{
    (void)state;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct str copy = arena_dup(a, STR("abc"));
    assert_str(copy, "abc");
    assert_int_equal(copy.ptr[3], '\0');
    assert_string_equal(arena_dupz(a, str_first(STR("abcdef"), 2)), "ab");
    assert_string_equal(arena_dupz(a, STR_EMPTY), "");
    struct str text = arena_printf(a, "%s-%d", "part", 7);
    assert_str(text, "part-7");
    assert_int_equal(text.ptr[text.len], '\0');
    const struct str parts[] = {STR("arn:"), STR_EMPTY, STR("name")};
    struct str joined = arena_join(a, parts, 3);
    assert_str(joined, "arn:name");
    assert_int_equal(joined.ptr[joined.len], '\0');
    assert_str(arena_join(a, parts, 0), "");
    uint32_t *numbers = arena_array_of(a, uint32_t, 5);
    assert_int_equal(numbers[4], 0);
    assert_non_null(arena_new_of(a, uint64_t));
}

static char order[8];

static void note(void *data)
{
    strcat(order, data);
}

static void hooks_run_once_in_reverse(void **state)
{
    (void)state;
    char one[] = "1", two[] = "2", three[] = "3";
    order[0] = '\0';
    struct arena *a = arena_new();
    arena_on_free(a, note, one);
    arena_on_free(a, note, two);
    arena_reset(a);
    assert_string_equal(order, "21");
    arena_on_free(a, note, three);
    arena_free(a);
    assert_string_equal(order, "213");
    arena_free(NULL);
}

static void reset_keeps_one_block(void **state)
{
    (void)state;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    size_t size_new = arena_size(a);
    for (int i = 0; i < 100; i++)
        memset(arena_alloc(a, 10000), 0xA5, 10000);
    arena_reset(a);
    assert_int_equal(arena_size(a), size_new);
    const char *again = arena_alloc(a, 100);
    assert_int_equal(again[50], 0);
    assert_int_equal(arena_size(a), size_new);
}

static void alloc_too_much(void *arg)
{
    (void)arena_alloc(arg, (size_t)1 << 40);
}

static void the_maximum_aborts(void **state)
{
    (void)state;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    assert_true(dies_of(SIGABRT, alloc_too_much, a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
        cmocka_unit_test(large_pieces),
        cmocka_unit_test(copies_and_texts),
        cmocka_unit_test(hooks_run_once_in_reverse),
        cmocka_unit_test(reset_keeps_one_block),
        cmocka_unit_test(the_maximum_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
