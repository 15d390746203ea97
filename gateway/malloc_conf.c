/* jemalloc looks for this symbol at start (jemalloc(3), TUNING): memory that a burst needed goes back to the system within
 * a fraction of a second, by a thread of its own, since the threads that freed it may be idle ever after: what waits to be given back
 * is beside --memory. MALLOC_CONF in the
 * environment comes on top. */
extern const char *malloc_conf;
const char *malloc_conf = "background_thread:true,dirty_decay_ms:200,muzzy_decay_ms:0";
