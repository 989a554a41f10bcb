// node validate.mjs DOCUMENT: what the official parser says of an AsyncAPI document, as JSON.
import { Parser, fromFile } from "@asyncapi/parser";

const { document, diagnostics } = await fromFile(new Parser(), process.argv[2]).parse();
const schema = (one) => one && { title: one.title(), properties: Object.keys(one.properties() ?? {}) };
const channels = (document?.channels().all() ?? []).map((channel) => ({
  id: channel.id(),
  address: channel.address(),
  messages: channel.messages().all().map((message) => ({
    headers: schema(message.headers()),
    payload: schema(message.payload()),
    key: message.bindings().get("kafka")?.value().key.title,
  })),
}));
const said = diagnostics.map(({ severity, message, path }) => ({ severity, message, path: path.join(".") }));
console.log(JSON.stringify({ accepted: document !== undefined, said, channels }));
