/* Documents of other people's servers, for the engine: the keys of OpenID issuers. Thread: any; blocks, for
 * LIMIT_OIDC_TIMEOUT_MS at most. */
#ifndef GATEWAY_FETCH_H
#define GATEWAY_FETCH_H

#include "s3api/s3.h"

/* An s3_fetch_fn; data is not used. */
int gw_fetch(void *data, const struct s3_fetch *what, struct buf *out, struct buf *why);

#endif
