-- name: AddFamily :exec
-- Begins a family. password is the SHA-256 of the password hash that was checked, so that a family of a password that is
-- changed meanwhile never counts.
INSERT INTO refresh_families (id, user_id, token, password, expires_at)
VALUES (@id, @user_id, @token, @password, now() + make_interval(secs => @seconds::bigint));

-- name: CommitLocally :exec
-- The commit of this transaction does not wait for the standby.
SELECT set_config('synchronous_commit', 'local', true);

-- name: DropOldFamilies :exec
-- Ends the oldest families of a user beyond the newest so many.
DELETE FROM refresh_families WHERE id = ANY (ARRAY(
    SELECT f.id FROM refresh_families f WHERE f.user_id = @user_id
    ORDER BY f.expires_at DESC OFFSET @most::bigint));

-- name: DropExpiredFamilies :exec
-- Removes a few families that have expired, other than those that another login removes. Each login does so, so the table
-- has few more rows than there are live families.
DELETE FROM refresh_families WHERE id = ANY (ARRAY(
    SELECT f.id FROM refresh_families f WHERE f.expires_at <= now()
    ORDER BY f.expires_at LIMIT @most::bigint FOR UPDATE SKIP LOCKED));

-- name: LockFamily :exec
-- Requests with tokens of one family take turns. Each statement after this one sees what the request before has committed.
SELECT id FROM refresh_families WHERE id = @id FOR NO KEY UPDATE;

-- name: RotateFamily :exec
-- Replaces the newest token by its next one, if the family still counts.
UPDATE refresh_families f SET token = @next, previous = @token, nonce = @nonce, rotated_at = now()
FROM users u
WHERE f.id = @id AND f.token = @token AND f.expires_at > now()
  AND u.id = f.user_id AND sha256(convert_to(u.password_hash, 'UTF8')) = f.password;

-- name: FindFamily :many
-- The family of a token, if it still counts. traded says that the newest token is the next one of this and was made
-- no longer ago than grace, in seconds, by this transaction or an earlier one.
SELECT f.user_id, u.role, coalesce(f.nonce, '')::bytea AS nonce,
       coalesce(f.previous = @token AND f.rotated_at > now() - make_interval(secs => @grace::bigint), false)::boolean AS traded,
       ceil(extract(epoch FROM f.expires_at - now()))::bigint AS seconds
FROM refresh_families f JOIN users u ON u.id = f.user_id
WHERE f.id = @id AND f.expires_at > now() AND sha256(convert_to(u.password_hash, 'UTF8')) = f.password;

-- name: EndReusedFamily :execrows
-- Ends the family if the token is neither its newest nor the one that FindFamily calls traded.
DELETE FROM refresh_families f
WHERE f.id = @id AND f.token <> @token
  AND NOT coalesce(f.previous = @token AND f.rotated_at > now() - make_interval(secs => @grace::bigint), false);

-- name: EndFamily :exec
DELETE FROM refresh_families WHERE id = @id;

-- name: EndFamilies :exec
DELETE FROM refresh_families WHERE user_id = @user_id;
