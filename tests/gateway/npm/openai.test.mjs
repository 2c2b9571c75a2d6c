// OpenAI's JavaScript SDK before the gateway at GATEWAY_URL: it must notice no difference.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { ResponsesWS } from "openai/resources/responses/ws";
import { z } from "zod";

const client = new OpenAI({ baseURL: process.env.GATEWAY_URL, apiKey: "any", maxRetries: 0, timeout: 30_000 });
const MODEL = "openai/sim@tokens:12";
const CALLING = "openai/sim@call:get_weather@call:get_date";
const messages = [{ role: "user", content: "Hello there." }];
const functions = [
  { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } },
  { name: "get_date", parameters: { type: "object", properties: {} } },
];
const City = z.object({ name: z.string(), people: z.number().int() });
const all = async (stream) => {
  const seen = [];
  for await (const one of stream) seen.push(one);
  return seen;
};

test("a response, read again, and its stream resumed", async () => {
  const response = await client.responses.create({ model: MODEL, input: "Hello there." });
  assert.equal(response.id, `resp_${response._request_id}`);
  assert.deepEqual([response.status, response.model, response.usage.output_tokens], ["completed", MODEL, 12]);
  assert.equal((await client.responses.retrieve(response.id)).output_text, response.output_text);
  const rest = await all(await client.responses.retrieve(response.id, { stream: true, starting_after: 7 }));
  assert.deepEqual(rest.map((event) => event.sequence_number), rest.map((_, place) => place + 8));
  assert.equal(rest.at(-1).response.output_text ?? rest.at(-1).response.output[0].content[0].text, response.output_text);
});

test("a response stream, in order and with one identity", async () => {
  const events = await all(await client.responses.create({ model: MODEL, input: "x", stream: true }));
  assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, place) => place));
  assert.deepEqual(events.slice(0, 4).map((event) => event.type), [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
  ]);
  const deltas = events.filter((event) => event.type === "response.output_text.delta");
  assert.equal(deltas.length, 12);
  const last = events.at(-1);
  assert.equal(last.type, "response.completed");
  assert.equal(last.response.output[0].content[0].text, deltas.map((event) => event.delta).join(""));
  assert.equal(new Set(events.flatMap((event) => event.response?.id ?? [])).size, 1);
  assert.equal(new Set(events.flatMap((event) => event.item_id ?? [])).size, 1);
});

test("the stream helpers accumulate the same", async () => {
  const stream = client.responses.stream({ model: MODEL, input: "x" });
  let text = "";
  stream.on("response.output_text.delta", (event) => { text += event.delta; });
  assert.equal((await stream.finalResponse()).output_text, text);
  const chat = client.chat.completions.stream({ model: MODEL, messages });
  text = "";
  chat.on("content", (delta) => { text += delta; });
  assert.equal((await chat.finalChatCompletion()).choices[0].message.content, text);
  assert.notEqual(text, "");
});

test("a chat stream has one id, a role, a finish and usage last", async () => {
  const options = { model: MODEL, messages, stream: true, stream_options: { include_usage: true } };
  const chunks = await all(await client.chat.completions.create(options));
  assert.equal(new Set(chunks.map((chunk) => `${chunk.id} ${chunk.created} ${chunk.model} ${chunk.object}`)).size, 1);
  assert.equal(chunks[0].choices[0].delta.role, "assistant");
  assert.deepEqual(chunks.slice(0, -1).map((chunk) => chunk.choices[0].finish_reason), [
    ...Array(chunks.length - 2).fill(null),
    "stop",
  ]);
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.equal(chunks.at(-1).usage.completion_tokens, 12);
});

test("tool calls have their indexes, ids and whole arguments", async () => {
  const tools = functions.map((one) => ({ type: "function", function: one }));
  const streamed = await client.chat.completions.stream({ model: CALLING, messages, tools }).finalChatCompletion();
  const whole = await client.chat.completions.create({ model: CALLING, messages, tools });
  for (const { choices: [choice] } of [streamed, whole]) {
    assert.equal(choice.finish_reason, "tool_calls");
    const calls = choice.message.tool_calls;
    assert.deepEqual(calls.map((call) => [call.function.name, Object.keys(JSON.parse(call.function.arguments))]), [
      ["get_weather", ["city"]],
      ["get_date", []],
    ]);
    assert.equal(new Set(calls.map((call) => call.id)).size, 2);
  }
  const flat = functions.map((one) => ({ type: "function", strict: false, ...one }));
  const response = await client.responses.create({ model: CALLING, input: "x", tools: flat });
  assert.deepEqual(response.output.map((item) => [item.type, item.name]), [
    ["function_call", "get_weather"],
    ["function_call", "get_date"],
  ]);
});

test("structured answers are parsed", async () => {
  const text = { format: zodTextFormat(City, "city") };
  const response = await client.responses.parse({ model: "openai/sim", input: "x", text });
  City.parse(response.output_parsed);
  const response_format = zodResponseFormat(City, "city");
  const completion = await client.chat.completions.parse({ model: "openai/sim", messages, response_format });
  City.parse(completion.choices[0].message.parsed);
});

test("errors are OpenAI's", async () => {
  for (const stream of [true, false]) {
    await assert.rejects(client.responses.create({ model: "nobody/x", input: "x", stream }), (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError);
      assert.equal(error.code, "model_not_found");
      assert.match(error.requestID, /^[0-9a-f]{32}$/);
      return true;
    });
  }
  await assert.rejects(client.responses.retrieve("resp_nobody"), OpenAI.NotFoundError);
  const cut = await client.chat.completions.create({
    model: "openai/sim@tokens:30@fault:cut@after:10", messages, stream: true,
  });
  const seen = [];
  await assert.rejects(async () => { for await (const chunk of cut) seen.push(chunk); }, OpenAI.APIError);
  assert.equal(seen.filter((chunk) => chunk.choices[0].delta.content).length, 10);
});

test("a cancel ends a running stream", async () => {
  const stream = await client.responses.create({ model: "openai/sim@tokens:5000@rate:50", input: "x", stream: true });
  let last;
  for await (const event of stream) {
    if (event.type === "response.created") {
      assert.equal((await client.responses.cancel(event.response.id)).status, "cancelled");
    }
    last = event;
  }
  assert.deepEqual([last.type, last.response.status], ["response.incomplete", "cancelled"]);
});

test("models are listed", async () => {
  const ids = (await all(await client.models.list())).map((model) => model.id);
  assert.ok(ids.includes("openai/gpt-4.1-mini"));
  assert.equal((await client.models.retrieve("openai/gpt-4.1-mini")).owned_by, "openai");
});

test("a conversation over a WebSocket", async () => {
  const socket = new ResponsesWS(client);
  const turn = (body) => new Promise((resolve, reject) => {
    const seen = [];
    const listen = (event) => {
      seen.push(event);
      if (event.type === "response.completed") {
        socket.off("event", listen);
        resolve(seen);
      }
    };
    socket.on("event", listen);
    socket.on("error", reject);
    socket.send({ type: "response.create", model: "openai/sim-echo", ...body });
  });
  try {
    const first = (await turn({ input: "first words" })).at(-1).response;
    const events = await turn({ input: "second words", previous_response_id: first.id, store: false });
    assert.equal(events[0].type, "response.created");
    assert.equal(events.at(-1).response.output[0].content[0].text, "second words");
    assert.equal(events.at(-1).response.previous_response_id, first.id);
  } finally {
    socket.close();
  }
});
