// A plain NATS client for JavaScript on the bus itself, at NATS_URL: no code of Tokenbus at all.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";

import { connect, headers } from "@nats-io/transport-node";

const TERMINAL = new Set(["response.completed", "response.incomplete", "response.failed"]);

async function connected(work) {
  const bus = await connect({ servers: process.env.NATS_URL });
  try {
    await work(bus);
  } finally {
    await bus.drain();
  }
}

async function ask(bus, body, { onEvent = () => {} } = {}) {
  const id = randomBytes(12).toString("base64url");
  const subscription = bus.subscribe(`tokenbus.events.default._.${id}.*`);
  const named = headers();
  named.set("Tokenbus-Request-Id", id);
  bus.publish("tokenbus.requests.default.standard", JSON.stringify(body), { headers: named });
  const events = [];
  for await (const message of subscription) {
    for (const line of message.string().split("\n")) {
      const event = JSON.parse(line);
      events.push(event);
      await onEvent(event, id);
    }
    if (TERMINAL.has(events.at(-1).type)) break;
  }
  return { id, events };
}

test("publish one event, read the answer token by token", async () => {
  await connected(async (bus) => {
    const { id, events } = await ask(bus, { model: "openai/sim@tokens:12@rate:200", input: "Say hello." });
    assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, place) => place));
    const deltas = events.filter((event) => event.type === "response.output_text.delta");
    const last = events.at(-1);
    assert.equal(last.type, "response.completed");
    assert.equal(last.response.id, `resp_${id}`);
    assert.equal(last.response.output[0].content[0].text, deltas.map((event) => event.delta).join(""));
    const request = JSON.stringify({ after: -1 });
    const page = (await bus.request(`tokenbus.replay.default.${id}`, request, { timeout: 10_000 })).json();
    assert.ok(page.events.length > 0);
  });
});

test("cancel by id, with one request", async () => {
  await connected(async (bus) => {
    const onEvent = async (event, id) => {
      if (event.type !== "response.created") return;
      const reply = await bus.request(`tokenbus.control.default.${id}`, '{"action":"cancel"}', { timeout: 10_000 });
      assert.match(reply.json().status, /^cancel/);
    };
    const { events } = await ask(bus, { model: "openai/sim@tokens:5000@rate:50", input: "x" }, { onEvent });
    assert.deepEqual([events.at(-1).type, events.at(-1).response.status], ["response.incomplete", "cancelled"]);
  });
});
