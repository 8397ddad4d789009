// Calls methods of @huggingface/inference: a JSON list of {url, method, args} on stdin, a list of outcomes on stdout.
// {"$file": base64, "type": mediaType} stands for a Blob, in the arguments and in the outcomes.
import { InferenceClient } from "@huggingface/inference";
import { text } from "node:stream/consumers";

const blobs = (value) => {
  if (value === null || typeof value !== "object") return value;
  if ("$file" in value) return new Blob([Buffer.from(value.$file, "base64")], { type: value.type });
  if (Array.isArray(value)) return value.map(blobs);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, blobs(item)]));
};

const files = async (value) =>
  value instanceof Blob
    ? { $file: Buffer.from(await value.arrayBuffer()).toString("base64"), type: value.type }
    : value;

const outcomes = [];
for (const { url, method, args } of JSON.parse(await text(process.stdin))) {
  try {
    // Without a retry, since that client repeats a 503 at once and without end.
    const client = new InferenceClient().endpoint(url);
    outcomes.push({ answer: await files(await client[method](blobs(args), { retry_on_error: false })) });
  } catch (error) {
    outcomes.push({ error: `${error.name}: ${error.message}` });
  }
}
console.log(JSON.stringify(outcomes));
