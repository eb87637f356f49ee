// The main flow with the types of openapi-typescript and the client of openapi-fetch.
import createClient from "openapi-fetch";
import type { components, paths } from "./fetch/schema";
import { base, hold, need } from "./flow";

const client = createClient<paths>({ baseUrl: base });
const login = await client.POST("/v1/login", { body: { login: "user3", password: "pyramid" } });
const headers = { Authorization: `Bearer ${need(login.data, "login", login.error).access_token}` };

const open = await client.GET("/v1/raffles", { params: { query: { status: "open", limit: 1 } } });
const raffle_id = need(need(open.data, "list", open.error).raffles[0], "an open raffle").id;

const bid = (key?: string) =>
  client.POST("/v1/raffles/{raffle_id}/bids", {
    params: { path: { raffle_id }, header: { "Idempotency-Key": key } },
    body: { size: 270, price: 250_000 },
    headers,
  });
const earlier = await bid();
const first = await bid("openapi-fetch");
const placed: components["schemas"]["Bid"] = need(first.data, "bid", first.error);
const again = await bid("openapi-fetch");
hold(need(again.data, "replay", again.error).id === placed.id, "replay");
hold(again.response.headers.get("Idempotency-Replayed") === "true", "Idempotency-Replayed");

const lsn = need(first.response.headers.get("Commit-LSN") ?? undefined, "Commit-LSN");
const page = (cursor?: string) =>
  client.GET("/v1/raffles/{raffle_id}/bids", {
    params: { path: { raffle_id }, query: { size: 270, limit: 1, cursor }, header: { "Min-LSN": lsn } },
  });
const newest = await page();
hold(need(newest.data, "read", newest.error).bids[0]?.id === placed.id, "read with Min-LSN");
const next = await page(newest.data?.next_cursor ?? undefined);
hold(need(next.data, "next page", next.error).bids[0]?.id === earlier.data?.id, "next page");

const mine = await client.GET("/v1/me/bids", { params: { header: { "Min-LSN": lsn } }, headers });
hold(need(mine.data, "my bids", mine.error).bids.some((b) => b.id === placed.id), "my bids");

const path = { raffle_id, bid_id: placed.id };
const cancelled = await client.DELETE("/v1/raffles/{raffle_id}/bids/{bid_id}", { params: { path }, headers });
hold(cancelled.response.status === 204, "cancel");

const unknown = await client.GET("/v1/raffles/{raffle_id}", { params: { path: { raffle_id: 999_999_999 } } });
hold(unknown.error?.type === "/problems/unknown-raffle", "an unknown raffle");
// The feed's events have types.
const event: components["schemas"]["FeedEvent"] = { event: "bid", id: "7.1-0", data: placed };
hold(event.event === "bid" && event.data.id === placed.id, "event");
console.log("openapi-fetch: done");
