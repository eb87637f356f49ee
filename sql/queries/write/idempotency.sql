-- name: ClaimKey :exec
-- Claims a key, unless a request has used it in the last so many seconds. If a transaction has claimed it, this one waits for
-- its end. The statement that makes something does so only if the key is claimed, that is, has no answer.
INSERT INTO idempotency_keys (scope, key, request_hash) VALUES (@scope, @key, @request_hash)
ON CONFLICT (scope, key) DO UPDATE SET request_hash = excluded.request_hash, answer = NULL, created_at = now()
WHERE idempotency_keys.created_at <= now() - make_interval(secs => @seconds::bigint);

-- name: DropClaim :exec
-- Frees a key under which nothing was made, because only what was made is remembered.
DELETE FROM idempotency_keys WHERE scope = @scope AND key = @key AND answer IS NULL;

-- name: FindKey :many
-- What was made under a key in the last so many seconds.
SELECT request_hash, answer::text AS answer FROM idempotency_keys
WHERE scope = @scope AND key = @key AND answer IS NOT NULL AND created_at > now() - make_interval(secs => @seconds::bigint);

-- name: DropOldKeys :exec
-- Removes a few keys that are older than so many seconds, other than those that another request removes. Each request with
-- a key does so.
WITH old AS MATERIALIZED (
    SELECT o.scope, o.key FROM idempotency_keys o WHERE o.created_at <= now() - make_interval(secs => @seconds::bigint)
    ORDER BY o.created_at LIMIT @most::bigint FOR UPDATE SKIP LOCKED
)
DELETE FROM idempotency_keys k USING old WHERE k.scope = old.scope AND k.key = old.key;
