#include <stdlib.h>

#include "base/check.h"
#include "vfs/meta/memo.h"
#include "vfs/meta/upkeep.h"

static void ids_init(struct meta_ids *ids)
{
    *ids = (struct meta_ids){0};
    mutex_init(&ids->lock);
}

struct meta *meta_new(struct meta_engine *engine, const struct meta_options *options)
{
    struct meta *m = calloc(1, sizeof(*m));
    CHECK(m != NULL); /* out of memory */
    m->engine = engine;
    m->options = *options;
    mutex_init(&m->lock);
    mutex_init(&m->on_settings_lock);
    ids_init(&m->inode_ids);
    ids_init(&m->slice_ids);
    m->opened = meta_opened_new();
    m->quotas = meta_quotas_new();
    m->memo = meta_memo_new();
    static const char *const modes[] = {[META_TXN_READ] = "mode=\"read\"", [META_TXN_WRITE] = "mode=\"write\""};
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
        m->transactions[i] = metric_get(METRIC_HISTOGRAM, "sluice_meta_transaction_seconds", modes[i],
                                        "Time that transactions of the metadata took, repetitions included.");
    m->restarts = metric_get(METRIC_COUNTER, "sluice_meta_transaction_restarts_total", "",
                             "Transactions that were run again since others were in the way.");
    return m;
}

void meta_free(struct meta *m)
{
    if (!m)
        return;
    meta_memo_free(m->memo);
    meta_quotas_free(m->quotas);
    meta_opened_free(m->opened);
    meta_engine_close(m->engine);
    mutex_done(&m->slice_ids.lock);
    mutex_done(&m->inode_ids.lock);
    mutex_done(&m->on_settings_lock);
    mutex_done(&m->lock);
    free(m);
}

struct meta_features meta_features(struct meta *m)
{
    mutex_lock(&m->lock);
    struct meta_features f = m->features;
    mutex_unlock(&m->lock);
    return f;
}

void meta_set_features(struct meta *m, const struct meta_features *features)
{
    mutex_lock(&m->lock);
    m->features = *features;
    mutex_unlock(&m->lock);
}

bool meta_is_read_only(const struct meta *m)
{
    return m->options.read_only;
}

void meta_set_data_callbacks(struct meta *m, meta_delete_slice_fn delete_slice, meta_compact_slice_fn compact_slice,
                             void *arg)
{
    m->delete_slice = delete_slice;
    m->compact_slice = compact_slice;
    m->data_arg = arg;
}
