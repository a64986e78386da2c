// What a user of Ollama's official client does, as one JSON object on standard
// output. test_node.py looks at it.
import { Ollama } from "ollama";

const client = new Ollama({ host: process.argv[2] });

const body = (content, more = {}) => ({
  model: "default",
  messages: [{ role: "user", content }],
  options: { temperature: 0, num_predict: 24 },
  ...more,
});

const question = "Write one sentence about the sea.";
const bad = "Tell me about the zebra crossing.";
const out = {};

out.answer = (await client.chat(body(question))).message.content;
out.streamed = "";
for await (const part of await client.chat(body(question, { stream: true }))) {
  out.streamed += part.message.content;
  if (part.done) out.usage = part.eval_count;
}
out.generated = (
  await client.generate({ model: "default", prompt: question, options: body("").options })
).response;
out.refused = (await client.chat(body(bad))).done_reason;

const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather in a city.",
      parameters: {
        type: "object",
        properties: { city: { type: "string", maxLength: 40 } },
        required: ["city"],
      },
    },
  },
];
const call = (
  await client.chat(
    body("What is the weather in Rome?", {
      tools,
      options: { temperature: 0, num_predict: 100 },
    }),
  )
).message.tool_calls[0].function;
out.tool = call.name;
out.arguments = call.arguments;
out.models = (await client.list()).models.map((m) => m.model);
try {
  await client.chat(body(question, { options: { temperature: 9 } }));
} catch (e) {
  out.error = { status: e.status_code, message: e.message };
}
console.log(JSON.stringify(out));
