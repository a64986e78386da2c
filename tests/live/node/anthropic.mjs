// What a user of Anthropic's official client does, as one JSON object on
// standard output. test_node.py looks at it.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({
  baseURL: process.argv[2],
  apiKey: "unused",
  maxRetries: 0,
});

const body = (content, more = {}) => ({
  model: "default",
  messages: [{ role: "user", content }],
  temperature: 0,
  max_tokens: 24,
  ...more,
});

const question = "Write one sentence about the sea.";
const bad = "Tell me about the zebra crossing.";
const tools = [
  {
    name: "get_weather",
    input_schema: {
      type: "object",
      properties: { city: { type: "string", maxLength: 40 } },
      required: ["city"],
      additionalProperties: false,
    },
  },
];
const out = {};

out.answer = (await client.messages.create(body(question))).content[0].text;
const stream = client.messages.stream(body(question));
out.streamed = "";
stream.on("text", (text) => (out.streamed += text));
const streamed = await stream.finalMessage();
out.usage = streamed.usage.output_tokens;
out.stop = streamed.stop_reason;
out.refused = (await client.messages.create(body(bad))).stop_reason;
out.refusedStream = (await client.messages.stream(body(bad)).finalMessage()).stop_reason;

const call = (
  await client.messages
    .stream(
      body("What is the weather in Rome?", {
        tools,
        tool_choice: { type: "any" },
        max_tokens: 100,
      }),
    )
    .finalMessage()
).content.at(-1);
out.tool = call.name;
out.arguments = call.input;

out.count = (
  await client.messages.countTokens({
    model: "default",
    messages: [{ role: "user", content: question }],
  })
).input_tokens;
try {
  await client.messages.create(body(question, { temperature: 9 }));
} catch (e) {
  out.error = { status: e.status, type: e.error.error.type, param: e.error.error.param };
}
console.log(JSON.stringify(out));
