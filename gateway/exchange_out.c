/* The pieces of a reply's body on their way from a worker to the loop: chunks, or loans of the volume. A loan is as large as many
 * chunks, and keeps memory that others want too: so the next piece is made only when the loop asks for it. */
#include "base/check.h"
#include "gateway/exchange_internal.h"

struct str gw_piece_bytes(const struct gw_piece *p)
{
    return p->chunk ? str_of(p->chunk->data + p->chunk->start, chunk_len(p->chunk)) : p->loan.bytes;
}

void gw_piece_done(struct gw_piece *p, struct gw_chunks *chunks)
{
    if (p->chunk)
        gw_chunks_put(chunks, p->chunk);
    else if (p->loan.volume)
        vfs_loan_done(&p->loan);
    *p = (struct gw_piece){0};
}

void gw_exchange_out_push(struct gw_exchange *x, const struct gw_piece *p)
{
    CHECK(x->out_count < ARRAY_SIZE(x->out));
    x->out[(x->out_first + x->out_count) % ARRAY_SIZE(x->out)] = *p;
    x->out_count++;
    x->out_lent = !p->chunk;
}

struct gw_piece *gw_exchange_out_pop(struct gw_exchange *x)
{
    if (x->out_count == 0)
        return NULL;
    struct gw_piece *p = &x->out[x->out_first];
    x->out_first = (x->out_first + 1) % ARRAY_SIZE(x->out);
    x->out_count--;
    return p;
}

bool gw_exchange_out_has_room(const struct gw_exchange *x)
{
    return x->out_lent ? x->out_blocked : x->out_count < gw_chunks_share(x->bridge->chunks, LIMIT_CHUNKS_OUT);
}
