// One operation with minio-js: JSON on the command line, JSON on standard output.
const fs = require("fs");
const path = require("path");
const https = require("https");
const minio = require("minio");

const endpoint = new URL(process.env.S3_ENDPOINT);
const useSSL = endpoint.protocol === "https:";
const client = new minio.Client({
  endPoint: endpoint.hostname,
  port: Number(endpoint.port),
  useSSL,
  region: process.env.S3_PROBE_REGION ? undefined : "us-east-1",
  pathStyle: true,
  accessKey: process.env.S3_ACCESS_KEY,
  secretKey: process.env.S3_SECRET_KEY,
  transportAgent: useSSL ? new https.Agent({ ca: fs.readFileSync(process.env.S3_CA) }) : undefined,
});

async function listing(bucket, prefix) {
  const found = [];
  for await (const item of client.listObjectsV2(bucket, prefix, true)) found.push(item.name);
  return found;
}

const ops = {
  async put({ bucket, key, file, content_type, metadata }) {
    const headers = { ...metadata, ...(content_type ? { "Content-Type": content_type } : {}) };
    const size = fs.statSync(file).size;
    await client.putObject(bucket, key, size ? fs.createReadStream(file) : Buffer.alloc(0), size, headers);
  },
  async upload({ bucket, key, file }) {
    const started = Date.now();
    await client.fPutObject(bucket, key, file, {});
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
    fs.mkdirSync(path.dirname(file), { recursive: true });
    const stream = await client.getObject(bucket, key);
    const pieces = [];
    for await (const piece of stream) pieces.push(piece);
    fs.writeFileSync(file, Buffer.concat(pieces));
  },
  async get_tree({ bucket, prefix, folder }) {
    for (const key of await listing(bucket, prefix))
      await ops.get({ bucket, key, file: folder + "/" + key.slice(prefix.length) });
  },
  async keys({ bucket, prefix }) {
    return listing(bucket, prefix);
  },
  async head({ bucket, key }) {
    const h = await client.statObject(bucket, key);
    const { "content-type": type, ...metadata } = h.metaData;
    return { type, metadata, size: h.size, etag: `"${h.etag}"` };
  },
  async remove_tree({ bucket, prefix }) {
    const errors = (await client.removeObjects(bucket, await listing(bucket, prefix))).filter((e) => e && e.Error);
    if (errors.length) throw new Error(JSON.stringify(errors));
  },
  async copy({ bucket, key, to }) {
    await client.copyObject(bucket, to, `/${bucket}/${key}`);
  },
  async presign({ bucket, key, method }) {
    return method === "put" ? client.presignedPutObject(bucket, key, 300) : client.presignedGetObject(bucket, key, 300);
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
