/* Every limit of the system, with its reason. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

/* HTTP. AWS allows 8 KiB of headers; proxies and JWT session tokens need more head room. */
#define LIMIT_HEAD_BYTES (64 * 1024)
#define LIMIT_HEADER_COUNT 128
/* A key of 1,024 bytes, each of them percent-encoded (x3), plus a query with a 7-day presigned signature. */
#define LIMIT_TARGET_BYTES (16 * 1024)
#define LIMIT_QUERY_PARAMS 128
/* Chunk extensions are never useful to us; a few bytes of tolerance (aws-chunked inside has its own, larger one). */
#define LIMIT_CHUNK_LINE_BYTES 128
#define LIMIT_TRAILER_BYTES (16 * 1024)
/* What is read and dropped of a refused body before the connection is closed: enough for clients that only read the
 * answer after sending, without serving as a sink. */
#define LIMIT_DRAIN_BYTES (1024 * 1024)

/* Timeouts. S3's own idle close is about 20 s; the Java SDK expects up to 60 s. */
#define LIMIT_HEAD_TIMEOUT_MS (15 * 1000)
#define LIMIT_IDLE_TIMEOUT_MS (75 * 1000)
/* No byte of a body either way for this long: the client is gone. */
#define LIMIT_BODY_TIMEOUT_MS (60 * 1000)
#define LIMIT_DRAIN_TIMEOUT_MS (2 * 1000)
/* First white space of a slow answer, then this interval (Run:ai's client gives up after 1 s of silence). */
#define LIMIT_KEEPALIVE_SPACE_MS 500

/* --memory: of a directory volume for chunks only; of a JuiceFS-format volume, a quarter of it, and at most so much. */
#define LIMIT_MEMORY_DEFAULT (48ull * 1024 * 1024)
#define LIMIT_MEMORY_VOLUME_DEFAULT (300ull * 1024 * 1024)
#define LIMIT_MEMORY_VOLUME_MIN (64ull * 1024 * 1024)
#define LIMIT_CHUNK_MEMORY_MAX (256ull * 1024 * 1024)

/* Streaming. A request holds at most so many chunks of its body, of which a step takes at most half at once: then the others fill
 * meanwhile. And so many of its answer. */
#define CHUNK_SIZE (64 * 1024)
#define LIMIT_CHUNKS_IN 8
#define LIMIT_CHUNKS_FED (LIMIT_CHUNKS_IN / 2)
#define LIMIT_CHUNKS_OUT 4
/* One worker step ends after this much, so that requests share the workers. */
#define LIMIT_STEP_BYTES (1024 * 1024)

/* XML bodies, by AWS's limits: 1,000 keys of 1 KiB escaped; 10,000 parts with checksums. */
#define LIMIT_XML_BYTES (1024 * 1024)
#define LIMIT_XML_DELETE_BYTES (8 * 1024 * 1024)
#define LIMIT_XML_COMPLETE_BYTES (4 * 1024 * 1024)
/* What an answer may grow to: 1,000 keys or errors of 1 KiB keys with every byte escaped (x6). */
#define LIMIT_XML_REPLY_BYTES (16 * 1024 * 1024)
#define LIMIT_XML_DEPTH 16
#define LIMIT_XML_ELEMENTS 200000

/* S3 names and metadata (AWS: "Object key naming", "User-defined metadata", "Object tags"). */
#define LIMIT_KEY_BYTES 1024
#define LIMIT_KEY_SEGMENT_BYTES 255 /* NAME_MAX of every file system we serve */
#define LIMIT_BUCKET_NAME_MIN 3
#define LIMIT_BUCKET_NAME_MAX 63
#define LIMIT_USER_METADATA_BYTES 2048
#define LIMIT_TAGS_PER_OBJECT 10
#define LIMIT_TAGS_PER_BUCKET 50
#define LIMIT_TAG_KEY_CHARS 128
#define LIMIT_TAG_VALUE_CHARS 256
/* An object's packed record. Nearly all are under 200 bytes; the largest legal one is that of a multipart object whose
 * 10,000 parts all differ in size and carry a SHA-256 each (41 bytes a part), beside a request head's worth of metadata.
 * Where a filesystem's xattrs are too small for it (64 KiB at most in Linux), the volume keeps it in its sidecar. */
#define LIMIT_OBJECT_RECORD_BYTES (512 * 1024)
/* AWS: 100 grants; a canonical id has at most 128 bytes here. */
#define LIMIT_ACL_GRANTS 100
#define LIMIT_ACL_BYTES (16 * 1024)
/* A bucket's rules for other origins (AWS: PutBucketCors): 64 KB in at most 100 rules. */
#define LIMIT_CORS_BYTES (64 * 1024)
#define LIMIT_CORS_RULES 100
#define LIMIT_CORS_ID_BYTES 255
#define LIMIT_LIST_KEYS 1000
#define LIMIT_DELETE_KEYS 1000

/* Browser forms: all that comes before the file. AWS allows 20 KB; session tokens and policies need more head room. As many
 * fields as a head has headers, since they become some. */
#define LIMIT_FORM_BYTES (64 * 1024)
#define LIMIT_FORM_FIELDS 100

/* Multipart (AWS: "Amazon S3 multipart upload limits"). */
#define LIMIT_PARTS 10000
#define LIMIT_PART_BYTES_MIN (5ull * 1024 * 1024)
#define LIMIT_PART_BYTES_MAX (5ull * 1024 * 1024 * 1024)
/* AWS ends a single PUT at 5 GiB; a file system needs no such end, so a PUT may be as large as an object. */
#define LIMIT_PUT_BYTES_MAX LIMIT_OBJECT_BYTES_MAX
#define LIMIT_COPY_BYTES_MAX (5ull * 1024 * 1024 * 1024)
#define LIMIT_OBJECT_BYTES_MAX (50ull * 1024 * 1024 * 1024 * 1024) /* 50 TiB */

/* Policies (AWS: "Bucket policies are limited to 20 KB"). A condition's value is the deepest: six levels. */
#define LIMIT_POLICY_BYTES (20 * 1024)
#define LIMIT_POLICY_DEPTH 16
/* Of comparing for one question: some 10 ms. Documents as they are written need a few thousand. */
#define LIMIT_POLICY_STEPS 4000000

/* SigV4. */
#define LIMIT_CLOCK_SKEW_S 900
#define LIMIT_PRESIGN_EXPIRES_S (7 * 24 * 3600)
#define LIMIT_ACCESS_KEY_BYTES 128
#define LIMIT_SECRET_KEY_BYTES 128
/* Callers whose requests are counted at a time (--user-requests, --user-rate); more of them share the rest. */
#define LIMIT_CALLERS (64 * 1024)
/* Sessions (AWS: AssumeRole): how long they last, what a session policy may have, how large a web identity's token may be. */
#define LIMIT_SESSION_S_MIN 900
#define LIMIT_SESSION_S_DEFAULT 3600
#define LIMIT_SESSION_S_MAX (12 * 3600)
#define LIMIT_SESSION_POLICY_BYTES 2048
#define LIMIT_WEB_TOKEN_BYTES 20000
/* A sealed session: its policy and the names, in Base64. */
#define LIMIT_SESSION_TOKEN_BYTES (8 * 1024)
/* What an STS request may have: a policy and a web token, percent-encoded. Read before the caller is known (SEC-56). */
#define LIMIT_STS_BYTES (80 * 1024)
#define LIMIT_ROLES_BYTES (1024 * 1024)
/* An issuer's documents: discovery, and keys. Fetched again when older, or, not too often, when a key is not among them. */
#define LIMIT_OIDC_BYTES (256 * 1024)
#define LIMIT_OIDC_AGE_S 3600
#define LIMIT_OIDC_RETRY_S 10
/* An issuer that cannot be reached for so long has no keys any more. */
#define LIMIT_OIDC_STALE_S (24 * 3600)
#define LIMIT_OIDC_TIMEOUT_MS 5000
/* How far an issuer's clock may be off. */
#define LIMIT_OIDC_SKEW_S 60
/* aws-chunked: AWS's minimum for all but the last chunk is 8 KiB; line and size bounds stop endless headers. */
#define LIMIT_AWS_CHUNK_LINE_BYTES 512
#define LIMIT_AWS_CHUNK_BYTES (1024ull * 1024 * 1024)
#define LIMIT_AWS_CHUNK_BYTES_MIN 8192

/* JuiceFS volumes. As official clients: with pauses of 1, 4, 9, … ms, a transaction gives up after some 40 s. */
#define LIMIT_META_RETRIES 50
/* A chunk's list of slices (24 bytes each); clients rewrite lists of more than some thousand. */
#define LIMIT_META_CHUNK_BYTES (16 * 1024 * 1024)
/* As official clients (§3.9): writers wait for a list this long to be rewritten, this many records at a time; what readers
 * find this long is rewritten too. */
#define LIMIT_META_CHUNK_RECORDS 2500
#define LIMIT_META_COMPACT_RECORDS 1000
#define LIMIT_META_READ_RECORDS 5
/* 2^31 chunks, as official clients; lists of a truncation's middle chunks and of a copy's pieces are held in memory. */
#define LIMIT_META_FILE_BYTES (1ull << 57)
#define LIMIT_META_FILE_CHUNKS (16 * 1024 * 1024)
#define LIMIT_META_COPY_PIECES (1024 * 1024)
/* Hard links of one file, directories above one another, directories changed within a second. */
#define LIMIT_META_PARENTS (64 * 1024)
#define LIMIT_META_DEPTH 10000
/* Names of a tree that is removed or cloned: read at a time, and waiting for their turn (directories; 70 MiB). */
#define LIMIT_META_TREE_PAGE 512
#define LIMIT_META_TREE_NAMES (256 * 1024)
/* All records of one file that is cloned, in one transaction: a terabyte in the worst of shapes. */
#define LIMIT_META_CLONE_BYTES (64 * 1024 * 1024)
/* All names of one inode. */
#define LIMIT_META_NAMES_BYTES (1024 * 1024)
#define LIMIT_META_FLUSH_DIRS (1024 * 1024)
/* Directories that a summary still has to look at: 512 MiB of numbers. */
#define LIMIT_META_WALK_DIRS (64ull * 1024 * 1024)
/* Reads that are remembered until the database changes: a name and its attributes' values for each of some 15,000 objects, typically
 * 10 MiB. Longer answers than these are rare. */
#define LIMIT_META_MEMO 32768
#define LIMIT_META_MEMO_BYTES 1024
/* A file's locks: ranges of one owner (24 bytes each). */
#define LIMIT_META_LOCK_BYTES (1024 * 1024)
/* Chunks that wait to be rewritten; reading finds what does not fit once more. */
#define LIMIT_META_COMPACTIONS 1024
/* Files whose data waits to be deleted; the hourly duty finds what does not fit. 24 bytes each. */
#define LIMIT_META_DELETIONS 65536
/* The data of a file that was replaced or deleted stays this long for who has it open through another gateway; only our own session
 * knows what is open here. Longer than nearly all downloads of one object take. */
#define LIMIT_META_RECLAIM_DELAY_MS 60000
/* Checks (fsck, gc): slices that are sorted in memory at a time, 16 bytes each; 10^8 slices are 25 runs of them. */
#define LIMIT_META_MENTIONS_BYTES (64 * 1024 * 1024)
/* Findings of one transaction, told when it has ended (100 bytes and a name each). */
#define LIMIT_META_FINDINGS 16384
/* What is looked at again before it is told: slices (80 bytes each), at the price of one more scan of all lists for as many;
 * directories (64 bytes each), at that of some seconds. */
#define LIMIT_META_SUSPECTS (1024 * 1024)
#define LIMIT_META_SUSPECT_DIRS 65536
/* Inodes that sessions keep, 16 bytes each: uploads and unlinked open files. */
#define LIMIT_META_SUSTAINED (16 * 1024 * 1024)
/* Lists of slices that are taken out of a transaction at a time. */
#define LIMIT_META_SCAN_BYTES (8 * 1024 * 1024)
/* A path, in messages and for tools. */
#define LIMIT_META_PATH_BYTES (64 * 1024)
/* Quotas that are checked at a time, 80 bytes each. */
#define LIMIT_META_QUOTAS (1024 * 1024)
/* JuiceFS-format volumes. The setting record holds a PEM key of up to 16 KiB in base64, at worst twice; two levels deep. */
#define LIMIT_SETTINGS_BYTES (128 * 1024)
#define LIMIT_SETTINGS_DEPTH 16
/* What `sluice status` and `sluice info` may print: a file of terabytes in small slices. */
#define LIMIT_REPORT_BYTES (256 * 1024 * 1024)

/* Object stores (vfs/store). Ten attempts with doubling pauses bridge half a minute: a restart of the store, not an outage.
 * The retry tokens are those of AWS's SDKs: when most requests fail, asking each of them again only adds load. */
#define LIMIT_STORE_ATTEMPTS 10
/* No attempt begins later than this after the first one: with the attempt that stalls then, a request ends before its client gives
 * up, which is after a minute with most SDKs. */
#define LIMIT_STORE_RETRY_MS (30 * 1000)
/* An object whose bytes do not fit its checksum was damaged on the way, or lies damaged in the store: more attempts than these tell
 * nothing new. */
#define LIMIT_STORE_DAMAGED_ATTEMPTS 3
#define LIMIT_STORE_BACKOFF_MS 100
#define LIMIT_STORE_BACKOFF_MAX_MS (10 * 1000)
#define LIMIT_STORE_RETRY_TOKENS 500
#define LIMIT_STORE_RETRY_COST 5
#define LIMIT_STORE_CONNECT_TIMEOUT_MS (10 * 1000)
/* No byte either way for this long. The official client gives a block 60 s altogether. */
#define LIMIT_STORE_STALL_TIMEOUT_MS (20 * 1000)
#define LIMIT_STORE_REQUEST_TIMEOUT_MS (120 * 1000)
/* Connections kept open while nobody uses them. */
#define LIMIT_STORE_IDLE_CONNECTIONS 64
#define LIMIT_STORE_KEY_BYTES 1024
#define LIMIT_STORE_LIST_KEYS 1000
/* What an answer to a listing may have: 1,000 keys, percent-encoded, with owner and checksums. */
#define LIMIT_STORE_LIST_BYTES (8 * 1024 * 1024)
#define LIMIT_STORE_SHARDS 256 /* the format's own limit */

/* JuiceFS volumes. A transaction that others get in the way of gives up after this long, as with official clients. */
#define LIMIT_META_RETRY_MS (40 * 1000)
/* A chunk's list of 24-byte slice records: clients block at 2,500 and compact; far more is damage. */
#define LIMIT_META_SLICE_LIST_BYTES (16 * 1024 * 1024)
/* An extended attribute's value: our own records are the largest (LIMIT_OBJECT_RECORD_BYTES); the format has no limit. */
#define LIMIT_META_XATTR_BYTES (1024 * 1024)
/* One half of an ACL: what Linux lets an extended attribute hold. */
#define LIMIT_META_ACL_BYTES (64 * 1024)

/* Data of JuiceFS-format volumes (vfs/data), and the least of blocks that their memory may be. */
#define LIMIT_DATA_MEMORY (256ull * 1024 * 1024)
#define LIMIT_DATA_BLOCKS_MIN 4
/* How long an upload waits for memory before its client is told to slow down. Shorter than clients' own patience. */
#define LIMIT_DATA_WRITE_WAIT_MS (10 * 1000)
/* The least that is lent to who sends it (vfs/data/lend.c): what a chunk holds is as well copied. */
#define LIMIT_DATA_LEND_BYTES CHUNK_SIZE
/* Threads: enough to hide 50 ms of an object store's latency at 4 MiB a block and 10 Gbit/s. */
#define LIMIT_DATA_UPLOADS 20
#define LIMIT_DATA_DOWNLOADS 20
/* Blocks that a sequential reader is ahead of what it was asked for, at most. */
#define LIMIT_DATA_READAHEAD_BLOCKS 8
/* Read-ahead that waits for a thread; more would be stale when it runs. */
#define LIMIT_DATA_READAHEAD_QUEUE 256
/* Sequential readers, and resolved chunks, that are remembered. */
#define LIMIT_DATA_STREAMS 256
#define LIMIT_DATA_CHUNKS 1024
/* A resolved chunk is believed for so long: compaction by others deletes what it names after days (trash) or at once. */
#define LIMIT_DATA_CHUNK_AGE_MS 1000
/* Files whose state at the last open is remembered, to tell at the next whether what was read of them still holds: 2 MiB. */
#define LIMIT_DATA_SEEN 65536
/* A block that is not there is looked for again, with doubling pauses from 100 ms: the list of slices was old, or another
 * client has committed before its upload (its writeback mode). */
#define LIMIT_DATA_READ_ATTEMPTS 5
#define LIMIT_DATA_READ_PAUSE_MS 100ull
/* A slice is closed and committed when it is so old, as in the official client: others see the data, and uploaded blocks are
 * far from the hour after which `juicefs gc` takes uncommitted ones for leaked. */
#define LIMIT_DATA_SLICE_AGE_MS (5 * 1000)
/* Slices of one file that are not committed yet; writers wait beyond it. */
#define LIMIT_DATA_SLICES 1000

/* The cache on disk. Blocks that wait to be written (16 bytes each; they go unwritten when they leave memory before), disks, and
 * what is large enough to be kept out of the page cache once it is written. */
#define LIMIT_DISK_CACHE_QUEUE 1024
#define LIMIT_DISK_CACHE_DIRS 16
#define LIMIT_DISK_CACHE_SYNC_BYTES (256 * 1024)
/* A disk that takes longer for one block is slower than the store; it is not asked for a while then, each time twice as long. */
#define LIMIT_DISK_CACHE_SLOW_MS 3000
#define LIMIT_DISK_CACHE_OFF_MS 10000
#define LIMIT_DISK_CACHE_OFF_MAX_MS (10 * 60 * 1000)

/* Checks of blocks (fsck, gc): requests at a time. With a hash prefix each holds the slices of a million ids, 20 bytes each. */
#define LIMIT_DATA_CHECKERS 8
/* Where fewer blocks of a folder are wanted, they are asked for one by one; a listing brings a thousand. */
#define LIMIT_DATA_CHECK_FEW 4
/* Bad blocks that are looked at again together, 40 bytes each; leaked ones likewise. */
#define LIMIT_DATA_SUSPECTS (1024 * 1024)

/* The mount. Requests are bound by the object store's latency more than by cores, and a thread costs little. */
#define LIMIT_FUSE_THREADS 32
/* Requests without a waiting caller (read-ahead, asynchronous I/O) that the kernel keeps going; as official clients. */
#define LIMIT_FUSE_BACKGROUND 50
/* The most that the kernel sends in one request (256 pages). */
#define LIMIT_FUSE_IO_BYTES (1024 * 1024)
/* Entries of a directory that are read and kept at a time: a few answers' worth, 150 KiB. */
#define LIMIT_FUSE_DIR_PAGE 512
/* Files with bytes that are not committed, of which a process that takes over must know: 512 KiB of shared memory. */
#define LIMIT_FUSE_UNSAVED 65536
/* Lines that a reader of .accesslog may be behind. */
#define LIMIT_FUSE_LOG_BYTES (1024 * 1024)
#define LIMIT_FUSE_VIRTUAL_BYTES (1024 * 1024)
/* One copy_file_range: the answer has 32 bits, and a transaction should stay short. */
#define LIMIT_FUSE_COPY_BYTES (1024ull * 1024 * 1024)
/* Commands through .control: at a time (a thread each), bytes of one (10,000 paths to warm up), what a summary shows. */
#define LIMIT_FUSE_CONTROLS 16
#define LIMIT_FUSE_CONTROL_BYTES (8 * 1024 * 1024)
#define LIMIT_FUSE_SUMMARY_NODES 100000
/* A program's signal ends a request that is older than this (official clients: a second). */
#define LIMIT_FUSE_INTERRUPT_MS 1000
/* How often a lock that another client holds is looked at. */
#define LIMIT_FUSE_LOCK_POLL_MIN_MS 5
#define LIMIT_FUSE_LOCK_POLL_MAX_MS 100
/* Times of a directory that changes all the time are not written each time (official clients: --skip-dir-mtime). */
#define LIMIT_SKIP_DIR_MTIME_MS 100

/* Request-level work on a worker that is sure to stay short. */
#define LIMIT_LISTING_SORT_ENTRIES 2000000

#endif
