#include "tests/support/unit.h"

#include <pthread.h>

#include "base/metrics.h"
#include "base/mutex.h"

static bool written_has(const char *text)
{
    CLEANUP(buf_done) struct buf out = buf_make(100000);
    metrics_write(&out);
    assert_false(out.failed);
    return str_find(buf_str(&out), str_z(text)) >= 0;
}

static void registering_is_idempotent(void **state)
{
    (void)state;
    struct metric *a = metric_get(METRIC_COUNTER, "t_same_total", "code=\"200\"", "Help.");
    assert_ptr_equal(a, metric_get(METRIC_COUNTER, "t_same_total", "code=\"200\"", "Help."));
    assert_ptr_not_equal(a, metric_get(METRIC_COUNTER, "t_same_total", "code=\"404\"", "Help."));
}

static void series_of_a_name_are_together(void **state)
{
    (void)state;
    metric_add(metric_get(METRIC_COUNTER, "t_a_total", "x=\"1\"", "About a."), 3);
    metric_gauge_set(metric_get(METRIC_GAUGE, "t_b", "", "About b."), -5);
    metric_add(metric_get(METRIC_COUNTER, "t_a_total", "x=\"2\"", "About a."), UINT64_C(1) << 60);
    assert_true(written_has("# HELP t_a_total About a.\n# TYPE t_a_total counter\n"
                            "t_a_total{x=\"1\"} 3\nt_a_total{x=\"2\"} 1152921504606846976\n"
                            "# HELP t_b About b.\n# TYPE t_b gauge\nt_b -5\n"));
}

static void gauges_go_both_ways(void **state)
{
    (void)state;
    struct metric *m = metric_get(METRIC_GAUGE, "t_gauge", "", "Help.");
    metric_gauge_add(m, 5);
    metric_gauge_add(m, -7);
    assert_true(written_has("\nt_gauge -2\n"));
    metric_gauge_set(m, 9);
    assert_int_equal(metric_value_for_test(m), 9);
}

static void histograms_are_cumulative(void **state)
{
    (void)state;
    struct metric *m = metric_get(METRIC_HISTOGRAM, "t_seconds", "api=\"Get\"", "Help.");
    metric_observe_ns(m, 100000); /* a bound belongs to its bucket */
    metric_observe_ns(m, 100001);
    metric_observe_ns(m, 2000000000);
    metric_observe_ns(m, 61000000000);
    assert_int_equal(metric_value_for_test(m), 4);
    assert_true(written_has("# TYPE t_seconds histogram\nt_seconds_bucket{api=\"Get\",le=\"0.0001\"} 1\n"
                            "t_seconds_bucket{api=\"Get\",le=\"0.00025\"} 2\n"));
    assert_true(written_has("le=\"1\"} 2\nt_seconds_bucket{api=\"Get\",le=\"2.5\"} 3\n"));
    assert_true(written_has("le=\"60\"} 3\nt_seconds_bucket{api=\"Get\",le=\"+Inf\"} 4\n"
                            "t_seconds_sum{api=\"Get\"} 63.000200001\nt_seconds_count{api=\"Get\"} 4\n"));
    metric_observe_ns(metric_get(METRIC_HISTOGRAM, "t_bare_seconds", "", "Help."), 1);
    assert_true(written_has("\nt_bare_seconds_bucket{le=\"0.0001\"} 1\n"));
    assert_true(written_has("\nt_bare_seconds_count 1\n"));
}

static double read_double(void *data)
{
    return *(double *)data;
}

static void callbacks_are_read_at_scrape(void **state)
{
    (void)state;
    double one = 1.5, two = 1e9;
    metric_callback(METRIC_GAUGE, "t_callback", "", "Help.", read_double, &one);
    assert_true(written_has("\nt_callback 1.5\n"));
    one = 2;
    assert_true(written_has("\nt_callback 2\n"));
    metric_callback(METRIC_GAUGE, "t_callback", "", "Help.", read_double, &two);
    assert_true(written_has("\nt_callback 1000000000\n"));
    metric_callback(METRIC_GAUGE, "t_callback", "", "Help.", NULL, NULL);
    assert_false(written_has("\nt_callback "));
}

static void *add_many(void *arg)
{
    for (int i = 0; i < 10000; i++)
        metric_add(arg, 2);
    return NULL;
}

static void no_update_is_lost(void **state)
{
    (void)state;
    struct metric *m = metric_get(METRIC_COUNTER, "t_threads_total", "", "Help.");
    pthread_t threads[20]; /* more than there are slots */
    for (size_t i = 0; i < 20; i++)
        thread_start(&threads[i], "test", add_many, m);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(metric_value_for_test(m), 400000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registering_is_idempotent),    cmocka_unit_test(series_of_a_name_are_together),
        cmocka_unit_test(gauges_go_both_ways),          cmocka_unit_test(histograms_are_cumulative),
        cmocka_unit_test(callbacks_are_read_at_scrape), cmocka_unit_test(no_update_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
