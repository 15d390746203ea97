/* sluice-load: see load.h, and --help. One line of JSON on standard output. */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "gateway/args.h"
#include "tests/bench/load.h"

enum kind { KIND_TEXT, KIND_VIEW, KIND_SIZE, KIND_MS, KIND_FLAG };

static const struct row {
    const char *name, *help;
    enum kind kind;
    size_t offset;
} rows[] = {
    {"host", "NAME", KIND_TEXT, offsetof(struct load_options, host)},
    {"unix", "PATH: a socket instead of host and port", KIND_TEXT, offsetof(struct load_options, unix_path)},
    {"port", "N", KIND_SIZE, offsetof(struct load_options, port)},
    {"tls", "https; the certificate is not checked", KIND_FLAG, offsetof(struct load_options, tls)},
    {"method", "METHOD (GET)", KIND_VIEW, offsetof(struct load_options, method)},
    {"target", "/BUCKET/KEY?QUERY; {n}: the request's number", KIND_VIEW, offsetof(struct load_options, target)},
    {"first", "N: the first number", KIND_SIZE, offsetof(struct load_options, first)},
    {"count", "N: how many numbers (1)", KIND_SIZE, offsetof(struct load_options, count)},
    {"body-size", "SIZE of each request's body", KIND_SIZE, offsetof(struct load_options, body_size)},
    {"body-file", "FILE: each request's body", KIND_TEXT, offsetof(struct load_options, body_file)},
    {"range-size", "SIZE of the range asked for", KIND_SIZE, offsetof(struct load_options, range_size)},
    {"object-size", "SIZE that ranges are of", KIND_SIZE, offsetof(struct load_options, object_size)},
    {"header-name", "NAME of one more header", KIND_VIEW, offsetof(struct load_options, header_name)},
    {"header-value", "VALUE of it", KIND_VIEW, offsetof(struct load_options, header_value)},
    {"access-key", "KEY: sign requests", KIND_VIEW, offsetof(struct load_options, access_key)},
    {"secret-key", "SECRET", KIND_VIEW, offsetof(struct load_options, secret_key)},
    {"region", "NAME (us-east-1)", KIND_VIEW, offsetof(struct load_options, region)},
    {"connections", "N (1)", KIND_SIZE, offsetof(struct load_options, connections)},
    {"time", "TIME (3s, or with --requests as long as they take)", KIND_MS, offsetof(struct load_options, duration_ms)},
    {"requests", "N: no more than these", KIND_SIZE, offsetof(struct load_options, requests)},
    {"walk", "follow a listing page by page", KIND_FLAG, offsetof(struct load_options, walk)},
    {"once", "one request; its answer on standard output", KIND_FLAG, offsetof(struct load_options, once)},
    {"pause", "connections without requests", KIND_FLAG, offsetof(struct load_options, pause)},
};

static _Noreturn void usage(const char *wrong)
{
    if (wrong)
        fprintf(stderr, "sluice-load: %s\n", wrong);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        fprintf(stderr, "  --%-12s %s\n", rows[i].name, rows[i].help);
    exit(2);
}

static bool set_value(struct load_options *o, const struct row *r, const char *value)
{
    void *at = (char *)o + r->offset;
    switch (r->kind) {
    case KIND_TEXT:
        *(const char **)at = value;
        return true;
    case KIND_VIEW:
        *(struct str *)at = str_z(value);
        return true;
    case KIND_SIZE:
        return str_parse_size(str_z(value), at);
    case KIND_MS:
        return str_parse_duration_ms(str_z(value), at);
    case KIND_FLAG:
        break;
    }
    return false;
}

static void set_option(struct load_options *o, struct gw_args *a, struct str name)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (!str_is(name, rows[i].name))
            continue;
        if (rows[i].kind == KIND_FLAG) {
            *(bool *)(void *)((char *)o + rows[i].offset) = true;
            return;
        }
        const char *value = gw_args_value(a);
        if (!value || !set_value(o, &rows[i], value))
            usage(rows[i].name);
        return;
    }
    usage("unknown option");
}

/* The upper end of the class that holds the share. */
static unsigned long long percentile_us(const struct load_result *r, double share)
{
    uint64_t below = 0, wanted = (uint64_t)((double)r->requests * share);
    for (size_t i = 0; i < LATENCY_CLASSES; i++) {
        below += r->latency[i];
        if (below > wanted)
            return i < 8 ? i : (8 + i % 8) << (i / 8 - 1);
    }
    return 0;
}

static void print_result(const struct load_result *r)
{
    printf("{\"requests\":%llu,\"failures\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"client_cpu\":%.6f,\"listed\":%llu,"
           "\"p50_us\":%llu,\"p99_us\":%llu,\"status\":%d}\n",
           (unsigned long long)r->requests, (unsigned long long)r->failures, (unsigned long long)r->bytes,
           (double)r->elapsed_ns / 1e9, (double)r->client_cpu_ns / 1e9, (unsigned long long)r->listed,
           percentile_us(r, 0.5), percentile_us(r, 0.99), r->last_status);
}

int main(int argc, char **argv)
{
    struct load_options o = {.host = "127.0.0.1", .port = 9000, .method = STR("GET"), .count = 1, .connections = 1,
                             .region = STR("us-east-1")};
    struct gw_args args = gw_args_make(argc - 1, argv + 1);
    struct str word;
    for (enum gw_arg_kind kind; (kind = gw_args_next(&args, &word)) != GW_ARG_END;) {
        if (kind != GW_ARG_OPTION)
            usage("unknown word");
        set_option(&o, &args, word);
    }
    if (o.once)
        o.requests = 1;
    if (!o.requests && !o.duration_ms)
        o.duration_ms = 3000;
    if (o.target.len == 0 || o.count == 0 || o.connections == 0 || (o.range_size > 0 && o.object_size < o.range_size))
        usage("--target, --count, --connections, --object-size");
    (void)signal(SIGPIPE, SIG_IGN);
    struct load_plan *plan = load_plan_new(&o);
    struct load_result result;
    load_run(&o, plan, &result);
    load_plan_free(plan);
    if (!o.once)
        print_result(&result);
    return result.failures > 0 || (result.requests == 0 && !o.pause);
}
