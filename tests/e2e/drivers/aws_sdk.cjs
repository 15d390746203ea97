// One operation with the AWS SDK for JavaScript v3: JSON on the command line, JSON on standard output.
const fs = require("fs");
const path = require("path");
const { S3Client, PutObjectCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, DeleteObjectsCommand,
  CopyObjectCommand } = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");

const s3 = new S3Client({
  endpoint: process.env.S3_ENDPOINT,
  region: "us-east-1",
  forcePathStyle: true,
  maxAttempts: 1,
  credentials: { accessKeyId: process.env.S3_ACCESS_KEY, secretAccessKey: process.env.S3_SECRET_KEY },
});

async function* listing(bucket, prefix, pageSize) {
  let token;
  do {
    const page = await s3.send(
      new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, MaxKeys: pageSize, ContinuationToken: token }),
    );
    for (const item of page.Contents || []) yield item.Key;
    token = page.NextContinuationToken;
  } while (token);
}

const ops = {
  async put({ bucket, key, file, content_type, metadata, stream }) {
    const Body = stream ? fs.createReadStream(file) : fs.readFileSync(file);
    const sized = stream ? { ContentLength: fs.statSync(file).size } : {};
    await s3.send(
      new PutObjectCommand({ Bucket: bucket, Key: key, Body, ContentType: content_type, Metadata: metadata, ...sized }),
    );
  },
  async upload({ bucket, key, file, part_size }) {
    const started = Date.now();
    const upload = new Upload({
      client: s3,
      partSize: part_size,
      queueSize: 2,
      params: { Bucket: bucket, Key: key, Body: fs.createReadStream(file) },
    });
    await upload.done();
    return { milliseconds: Date.now() - started };
  },
  async put_tree({ bucket, prefix, folder }) {
    for (const entry of fs.readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const file = path.join(entry.parentPath || entry.path, entry.name);
      await ops.put({ bucket, key: prefix + path.relative(folder, file), file, metadata: {} });
    }
  },
  async get({ bucket, key, file }) {
    const object = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, await object.Body.transformToByteArray());
  },
  async get_tree({ bucket, prefix, folder }) {
    for await (const key of listing(bucket, prefix))
      await ops.get({ bucket, key, file: folder + "/" + key.slice(prefix.length) });
  },
  async keys({ bucket, prefix, page_size }) {
    const found = [];
    for await (const key of listing(bucket, prefix, page_size)) found.push(key);
    return found;
  },
  async head({ bucket, key }) {
    const h = await s3.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
    return { type: h.ContentType, metadata: h.Metadata, size: h.ContentLength, etag: h.ETag };
  },
  async remove_tree({ bucket, prefix }) {
    const names = await ops.keys({ bucket, prefix });
    for (let i = 0; i < names.length; i += 1000) {
      const Objects = names.slice(i, i + 1000).map((Key) => ({ Key }));
      const done = await s3.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } }));
      if (done.Errors && done.Errors.length) throw new Error(JSON.stringify(done.Errors));
    }
  },
  async copy({ bucket, key, to }) {
    const source = `${bucket}/${key}`.split("/").map(encodeURIComponent).join("/");
    await s3.send(new CopyObjectCommand({ Bucket: bucket, Key: to, CopySource: source }));
  },
  async presign({ bucket, key, method }) {
    const input = { Bucket: bucket, Key: key };
    return getSignedUrl(s3, method === "put" ? new PutObjectCommand(input) : new GetObjectCommand(input), { expiresIn: 300 });
  },
};

const { op, ...call } = JSON.parse(process.argv[2]);
ops[op](call).then(
  (result) => console.log(JSON.stringify(result === undefined ? null : result)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
