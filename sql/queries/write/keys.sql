-- name: PruneKeys :execrows
-- Forgets idempotency keys of raffles that were closed before a time. No bid can follow there, so a late
-- retry is refused and bids nothing. The order is that of bids_key, so that it and nothing else is read.
UPDATE bids b SET idempotency_key = NULL, request_hash = NULL
FROM (
    SELECT k.raffle_id, k.id FROM raffles r CROSS JOIN LATERAL (
        SELECT o.raffle_id, o.id FROM bids o WHERE o.raffle_id = r.id AND o.idempotency_key IS NOT NULL
        ORDER BY o.user_id, o.idempotency_key LIMIT @most::int) k
    WHERE r.closed_at < @closed_before::timestamptz LIMIT @most::int
) old
WHERE b.raffle_id = old.raffle_id AND b.id = old.id;

-- name: PruneCancelledKeys :execrows
UPDATE cancelled_bids b SET idempotency_key = NULL, request_hash = NULL
FROM (
    SELECT k.raffle_id, k.id FROM raffles r CROSS JOIN LATERAL (
        SELECT o.raffle_id, o.id FROM cancelled_bids o WHERE o.raffle_id = r.id AND o.idempotency_key IS NOT NULL
        ORDER BY o.user_id, o.idempotency_key LIMIT @most::int) k
    WHERE r.closed_at < @closed_before::timestamptz LIMIT @most::int
) old
WHERE b.raffle_id = old.raffle_id AND b.id = old.id;
