// The openai package for Node: the essentials of openai-python/, in JavaScript.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const { TRAMONTANE_URL: url, TRAMONTANE_STRICT_URL: strictUrl, TRAMONTANE_STRICT_KEY: strictKey } = process.env;
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none-needed", maxRetries: 0, timeout: 120_000 });
const model = "mistral-small-latest";
const hello = [{ role: "user", content: "Hello there!" }];
const weather = [{ role: "user", content: "What is the weather in Paris?" }];
const tool = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Get the current weather in a city",
    strict: true,
    parameters: { type: "object", properties: { city: { type: "string", enum: ["Paris", "Oslo"] } }, required: ["city"], additionalProperties: false },
  },
};
// 2 ends a reply, 9 begins a call, 34 a thought: so a reply ends as soon as a grammar lets it, or never.
const brief = { 2: 100 }, endless = { 2: -100, 9: -100, 34: -100 };
const named = { type: "function", function: { name: "get_weather" } };

const create = (options = {}) => client.chat.completions.create({ model, messages: hello, max_tokens: 60, ...options });

/** What the deltas of a stream add up to, without the ids of calls, which are random. */
async function join(stream) {
  const choices = [];
  for await (const chunk of stream) {
    for (const { index, delta, finish_reason } of chunk.choices) {
      const choice = (choices[index] ??= { content: "", reasoning: "", calls: [], finish: null });
      choice.content += delta.content ?? "";
      choice.reasoning += delta.reasoning_content ?? "";
      for (const call of delta.tool_calls ?? []) {
        const known = (choice.calls[call.index] ??= { name: "", arguments: "" });
        known.name += call.function?.name ?? "";
        known.arguments += call.function?.arguments ?? "";
      }
      choice.finish = finish_reason ?? choice.finish;
    }
  }
  return choices;
}

const whole = (reply) => reply.choices.map(({ message, finish_reason }) => ({
  content: message.content ?? "",
  reasoning: message.reasoning_content ?? "",
  calls: (message.tool_calls ?? []).map((call) => ({ name: call.function.name, arguments: call.function.arguments })),
  finish: finish_reason,
}));

test("a reply", async () => {
  const reply = await create({ seed: 1 });
  assert.ok(reply.choices[0].message.content);
  assert.equal(reply.usage.total_tokens, reply.usage.prompt_tokens + reply.usage.completion_tokens);
});

for (const effort of ["none", "high"]) {
  test(`streamed equals unstreamed, effort ${effort}`, async () => {
    for (let seed = 1; seed <= 5; seed++) {
      const options = { seed, temperature: 1, reasoning_effort: effort, max_tokens: 90 };
      assert.deepEqual(await join(await create({ ...options, stream: true })), whole(await create(options)));
    }
  });
}

test("usage in a stream", async () => {
  const chunks = [];
  for await (const chunk of await create({ stream: true, stream_options: { include_usage: true } })) chunks.push(chunk);
  assert.ok(chunks.at(-1).usage.completion_tokens > 0);
  assert.equal(chunks.at(-1).choices.length, 0);
});

test("two choices, alike when streamed", async () => {
  const options = { n: 2, seed: 3, temperature: 1 };
  const reply = await create(options);
  assert.equal(reply.choices.length, 2);
  assert.deepEqual(await join(await create({ ...options, stream: true })), whole(reply));
});

test("a call and its result", async () => {
  const options = { tools: [tool], max_tokens: 400, seed: 1, parallel_tool_calls: false };
  const first = (await create({ ...options, messages: weather, tool_choice: named })).choices[0].message;
  assert.match(first.tool_calls[0].id, /^[a-zA-Z0-9]{9}$/);
  assert.ok(["Paris", "Oslo"].includes(JSON.parse(first.tool_calls[0].function.arguments).city));
  const result = { role: "tool", tool_call_id: first.tool_calls[0].id, content: "sunny" };
  const answer = (await create({ ...options, messages: [...weather, first, result], tool_choice: "none", logit_bias: { 9: -100, 34: -100 } })).choices[0].message;
  assert.ok(answer.content);
});

test("streamed calls equal unstreamed ones", async () => {
  const options = { messages: weather, tools: [tool], tool_choice: "required", max_tokens: 400, seed: 2, temperature: 1, logit_bias: brief };
  const streamed = await join(await create({ ...options, stream: true }));
  assert.deepEqual(streamed, whole(await create(options)));
  assert.equal(streamed[0].finish, "tool_calls");
});

test("the package runs a tool by itself", async () => {
  const asked = [];
  const city = z.object({ city: z.enum(["Paris", "Oslo"]) });
  const runner = client.chat.completions.runTools({
    model,
    messages: weather,
    max_tokens: 400,
    tools: [zodFunction({ name: "get_weather", description: "Get the current weather in a city", parameters: city, function: (args) => (asked.push(args.city), "sunny") })],
    tool_choice: named,
    parallel_tool_calls: false,
  });
  await runner.finalFunctionToolCallResult();
  runner.abort();
  await runner.done().catch(() => {});
  assert.ok(["Paris", "Oslo"].includes(asked[0]));
});

test("a reply parsed by the package", async () => {
  const form = z.object({ state: z.enum(["open", "paid"]), urgent: z.boolean(), count: z.number().int().min(0).max(9) });
  const reply = await client.chat.completions.parse({ model, messages: hello, max_tokens: 1500, response_format: zodResponseFormat(form, "order") });
  assert.deepEqual(form.parse(reply.choices[0].message.parsed), reply.choices[0].message.parsed);
});

test("the stream helper", async () => {
  const runner = client.chat.completions.stream({ model, messages: hello, max_tokens: 60, seed: 5 });
  let text = "";
  runner.on("content", (delta) => (text += delta));
  assert.equal(await runner.finalContent(), text);
  assert.equal(text, (await create({ seed: 5 })).choices[0].message.content);
});

test("a reader who leaves is no trouble", async () => {
  for await (const _ of await create({ stream: true, max_tokens: 400, logit_bias: endless })) break;
  assert.ok((await create({ seed: 1 })).choices[0].message.content);
});

test("reasoning", async () => {
  // A thought and an answer that a grammar forces: 34 and 35 are the tokens that open and close a thought.
  const reply = await create({ seed: 1, guided_grammar: "start: <[34]> /[a-z]{3,9}/ <[35]> /[0-9]{3,9}/" });
  assert.match(reply.choices[0].message.reasoning_content, /^[a-z]{3,9}$/);
  assert.match(reply.choices[0].message.content, /^[0-9]{3,9}$/);
  assert.ok(reply.usage.completion_tokens_details.reasoning_tokens > 0);
});

test("logprobs", async () => {
  const choice = (await create({ logprobs: true, top_logprobs: 2, seed: 2, logit_bias: { 9: -100, 34: -100 } })).choices[0];
  const bytes = Buffer.from(choice.logprobs.content.flatMap((token) => token.bytes));
  assert.equal(bytes.toString(), choice.message.content);
});

test("completions and models", async () => {
  const reply = await client.completions.create({ model, prompt: "One two three", max_tokens: 1, echo: true, logprobs: 1 });
  assert.ok(reply.choices[0].text.startsWith("One two three"));
  assert.equal(reply.choices[0].logprobs.token_logprobs[0], null);
  const ids = [];
  for await (const card of client.models.list()) ids.push(card.id);
  assert.ok(ids.length > 0);
});

test("errors have the package's types", async () => {
  await assert.rejects(create({ model: "gpt-9" }), OpenAI.NotFoundError);
  await assert.rejects(create({ messages: [] }), OpenAI.BadRequestError);
  await assert.rejects(create({ temperature: 5 }), OpenAI.BadRequestError);
  const strict = (apiKey) => new OpenAI({ baseURL: `${strictUrl}/v1`, apiKey, maxRetries: 0 });
  await assert.rejects(strict("wrong").models.list(), OpenAI.AuthenticationError);
  const many = Array.from({ length: 12 }, () => strict(strictKey).chat.completions.create({ model, messages: hello, max_tokens: 1500, logit_bias: endless }));
  const refused = (await Promise.allSettled(many)).filter((result) => result.status === "rejected");
  assert.ok(refused.length > 0 && refused.length < 12);
  for (const { reason } of refused) assert.ok(reason instanceof OpenAI.RateLimitError, String(reason));
});

test("the examples of docs/clients.md, as they stand but for the address", () => {
  const page = readFileSync(process.env.TRAMONTANE_CLIENTS_PAGE, "utf8");
  const examples = [...page.matchAll(/^```js openai\n(.*?)^```/gms)].map((match) => match[1]);
  assert.ok(examples.length > 0);
  examples.forEach((example, number) => {
    const file = `example-${number}.mjs`;
    assert.ok(example.includes("http://127.0.0.1:8000"));
    writeFileSync(file, example.replaceAll("http://127.0.0.1:8000", url));
    assert.ok(execFileSync(process.execPath, [file], { encoding: "utf8", timeout: 60_000 }).trim());
  });
});
