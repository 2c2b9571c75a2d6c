// LiveKit's agents framework for Node before the gateway at GATEWAY_URL, in text mode.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { inference, initializeLogger, llm, voice } from "@livekit/agents";
import * as openai from "@livekit/agents-plugin-openai";
import { z } from "zod";

const { GATEWAY_URL: baseURL, LIVEKIT_API_KEY: apiKey, LIVEKIT_API_SECRET: apiSecret, TOKEN: token } = process.env;
initializeLogger({ pretty: false, level: "silent" });

const opened = [];
const kept = (one) => { opened.push(one); return one; };
after(async () => { for (const one of opened) await one.aclose?.(); });

const WAYS = {
  inference: (model) => new inference.LLM({ model, baseURL, apiKey, apiSecret, inferenceClass: "low" }),
  "the chat plugin": (model) => new openai.LLM({ model, baseURL, apiKey: token }),
  "the responses plugin over a WebSocket": (model) => new openai.responses.LLM({ model, baseURL, apiKey: token }),
  "the responses plugin over HTTP": (model) =>
    new openai.responses.LLM({ model, baseURL, apiKey: token, useWebSocket: false }),
};

async function read(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return {
    ids: new Set(chunks.map((chunk) => chunk.id)),
    text: chunks.map((chunk) => chunk.delta?.content ?? "").join(""),
    calls: chunks.flatMap((chunk) => chunk.delta?.toolCalls ?? []),
    usage: chunks.findLast((chunk) => chunk.usage)?.usage,
    last: chunks.at(-1),
  };
}

function asked(text) {
  const chatCtx = new llm.ChatContext();
  chatCtx.addMessage({ role: "user", content: text });
  return chatCtx;
}

for (const [name, make] of Object.entries(WAYS)) {
  test(`${name}: text under one id, usage last`, async () => {
    const got = await read(kept(make("openai/sim@tokens:12")).chat({ chatCtx: asked("hi") }));
    assert.equal(got.ids.size, 1);
    assert.notEqual(got.text, "");
    assert.equal(got.usage.completionTokens, 12);
    assert.equal(got.last.usage?.completionTokens, 12);
  });

  test(`${name}: an agent calls its tool and tells what it said`, async () => {
    const cities = [];
    const getWeather = llm.tool({
      description: "The weather of a city.",
      parameters: z.object({ city: z.string() }),
      execute: async ({ city }) => { cities.push(city); return `sunny in ${city}`; },
    });
    const agent = new voice.Agent({ instructions: "You tell the weather.", tools: { getWeather } });
    const session = new voice.AgentSession({ llm: kept(make("openai/sim@call:getWeather")) });
    await session.start({ agent });
    const result = await session.run({ userInput: "How is the weather?" }).wait();
    const items = result.events.map((event) => event.item);
    await session.close();
    assert.equal(cities.length, 1);
    assert.deepEqual(items.map((item) => item.type), ["function_call", "function_call_output", "message"]);
    const [call, output, message] = items;
    assert.deepEqual([call.name, JSON.parse(call.args)], ["getWeather", { city: cities[0] }]);
    assert.equal(output.callId, call.callId);
    assert.match(message.textContent, new RegExp(`sunny in ${cities[0]}`));
  });
}

test("an unknown model is an error that is not retried", async () => {
  const stream = kept(WAYS.inference("nobody/x")).chat({ chatCtx: asked("hi"), connOptions: { maxRetry: 0 } });
  await assert.rejects(read(stream).then((got) => assert.equal(got.text, "unreachable")));
});
