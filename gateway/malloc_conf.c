/* jemalloc looks for this symbol at start (jemalloc(3), TUNING). What is freed but not yet given back to the system is beside
 * --memory, so it must be little, however busy the machine is:
 * - what a burst of small things needed goes back within a fraction of a second, by a thread of its own, since the threads
 *   that freed it may be idle ever after;
 * - buffers of file data (64 KiB and more) go back when they are freed: they come from the arena of oversize requests, which
 *   keeps nothing. Left to the thread, they came to a quarter of --memory when it did not get to run.
 * MALLOC_CONF in the environment comes on top. */
extern const char *malloc_conf;
const char *malloc_conf = "background_thread:true,dirty_decay_ms:200,muzzy_decay_ms:0,oversize_threshold:65536";
