// The main flow with the client of @hey-api/openapi-ts.
import { cancelBid, getRaffle, listMyBids, listRaffleBids, listRaffles, login, placeBid } from "./hey/sdk.gen";
import { client } from "./hey/client.gen";
import type { FeedEvent } from "./hey/types.gen";
import { base, hold, need } from "./flow";

client.setConfig({ baseUrl: base });
const token = await login({ body: { login: "user4", password: "pyramid" } });
client.setConfig({ auth: () => need(token.data, "login", token.error).access_token });

const open = await listRaffles({ query: { status: "open", limit: 1 } });
const raffle_id = need(need(open.data, "list", open.error).raffles[0], "an open raffle").id;

const bid = (key?: string) => placeBid({ path: { raffle_id }, headers: { "Idempotency-Key": key }, body: { size: 275, price: 250_000 } });
const earlier = await bid();
const first = await bid("hey-api");
const placed = need(first.data, "bid", first.error);
const again = await bid("hey-api");
hold(need(again.data, "replay", again.error).id === placed.id, "replay");
hold(again.response?.headers.get("Idempotency-Replayed") === "true", "Idempotency-Replayed");

const lsn = need(first.response?.headers.get("Commit-LSN") ?? undefined, "Commit-LSN");
const page = (cursor?: string) =>
  listRaffleBids({ path: { raffle_id }, query: { size: 275, limit: 1, cursor }, headers: { "Min-LSN": lsn } });
const newest = await page();
hold(need(newest.data, "read", newest.error).bids[0]?.id === placed.id, "read with Min-LSN");
const next = await page(newest.data?.next_cursor ?? undefined);
hold(need(next.data, "next page", next.error).bids[0]?.id === earlier.data?.id, "next page");

const mine = await listMyBids({ headers: { "Min-LSN": lsn } });
hold(need(mine.data, "my bids", mine.error).bids.some((b) => b.id === placed.id), "my bids");
const cancelled = await cancelBid({ path: { raffle_id, bid_id: placed.id } });
hold(cancelled.response?.status === 204, "cancel");
const unknown = await getRaffle({ path: { raffle_id: 999_999_999 } });
hold(unknown.error?.type === "/problems/unknown-raffle", "an unknown raffle");
// The feed's events have types.
const event: FeedEvent = { event: "bid", id: "7.1-0", data: placed };
hold(event.event === "bid" && event.data.id === placed.id, "event");
console.log("hey-api: done");
