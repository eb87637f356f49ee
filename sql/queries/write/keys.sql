-- name: NextPrune :one
-- The raffle whose keys are to be forgotten next, in the order of the closes.
SELECT r.id, r.closed_at::timestamptz AS closed_at FROM raffles r, pruned_keys p
WHERE r.closed_at IS NOT NULL AND (r.closed_at, r.id) > (p.closed_at, p.raffle_id) AND r.closed_at < @closed_before::timestamptz
ORDER BY r.closed_at, r.id LIMIT 1;

-- name: PruneKeys :execrows
-- Forgets idempotency keys of a raffle that was closed. No bid can follow there, so a late retry is refused
-- and bids nothing. The order is that of bids_key, so that it and nothing else is read.
UPDATE bids b SET idempotency_key = NULL, request_hash = NULL
FROM (
    SELECT o.raffle_id, o.id FROM bids o WHERE o.raffle_id = @raffle_id AND o.idempotency_key IS NOT NULL
    ORDER BY o.user_id, o.idempotency_key LIMIT @most::int
) old
WHERE b.raffle_id = old.raffle_id AND b.id = old.id;

-- name: PruneCancelledKeys :execrows
UPDATE cancelled_bids b SET idempotency_key = NULL, request_hash = NULL
FROM (
    SELECT o.raffle_id, o.id FROM cancelled_bids o WHERE o.raffle_id = @raffle_id AND o.idempotency_key IS NOT NULL
    ORDER BY o.user_id, o.idempotency_key LIMIT @most::int
) old
WHERE b.raffle_id = old.raffle_id AND b.id = old.id;

-- name: MarkPruned :exec
UPDATE pruned_keys SET closed_at = @closed_at, raffle_id = @raffle_id;
