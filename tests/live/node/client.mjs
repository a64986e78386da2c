// What a user of the official client does, as one JSON object on standard
// output. test_node.py looks at it.
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.argv[2],
  apiKey: "unused",
  maxRetries: 0,
});

const ask = (content, more = {}) =>
  client.chat.completions.create({
    model: "default",
    messages: [{ role: "user", content }],
    temperature: 0,
    max_tokens: 24,
    ...more,
  });

const join = async (stream) => {
  let text = "", finish = null, usage = 0;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    finish = chunk.choices[0]?.finish_reason ?? finish;
    usage = chunk.usage?.completion_tokens ?? usage;
  }
  return { text, finish, usage };
};

const question = "Write one sentence about the sea.";
const bad = "Tell me about the zebra crossing.";
const out = {};

out.answer = (await ask(question)).choices[0].message.content;
const streamed = await join(
  await ask(question, { stream: true, stream_options: { include_usage: true } }),
);
out.streamed = streamed.text;
out.usage = streamed.usage;
out.refused = (await ask(bad)).choices[0].finish_reason;
out.refusedStream = (await join(await ask(bad, { stream: true }))).finish;

const call = (
  await ask("What is the weather in Rome?", {
    tools: [
      {
        type: "function",
        function: {
          name: "get_weather",
          parameters: {
            type: "object",
            properties: { city: { type: "string", maxLength: 40 } },
            required: ["city"],
            additionalProperties: false,
          },
        },
      },
    ],
    tool_choice: "required",
    max_tokens: 100,
  })
).choices[0].message.tool_calls[0];
out.tool = call.function.name;
out.arguments = JSON.parse(call.function.arguments);

out.models = (await client.models.list()).data.map((m) => m.id);
out.moderation = (await client.moderations.create({ input: question })).results[0].flagged;
try {
  await ask(question, { temperature: 9 });
} catch (e) {
  out.error = { status: e.status, param: e.param };
}
console.log(JSON.stringify(out));
