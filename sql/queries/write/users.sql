-- name: UserByLogin :one
SELECT id, login, password_hash, role FROM users WHERE login = @login;

-- name: UserByID :one
SELECT id, login, password_hash, role FROM users WHERE id = @id;

-- name: AddUser :one
-- Returns no row if the login is taken.
INSERT INTO users (login, password_hash) VALUES (@login, @password_hash)
ON CONFLICT (login) DO NOTHING
RETURNING id, login, password_hash, role;

-- name: AddUserOnce :one
-- AddUser with a key. Its scope has the login, so it is new, or of a user who was removed by hand.
WITH added AS (
    INSERT INTO users (login, password_hash) VALUES (@login, @password_hash)
    ON CONFLICT (login) DO NOTHING
    RETURNING id, login, password_hash, role
), remembered AS (
    INSERT INTO idempotency_keys (scope, key, answer)
    SELECT @scope::text, @key::text, jsonb_build_object('id', a.id, 'login', a.login, 'role', a.role) FROM added a
    ON CONFLICT (scope, key) DO UPDATE SET answer = excluded.answer, created_at = excluded.created_at
)
SELECT a.id, a.login, a.password_hash, a.role FROM added a;

-- name: ChangePassword :execrows
-- Changes nothing if the password is no longer the one that was checked.
UPDATE users SET password_hash = @new_hash WHERE id = @id AND password_hash = @old_hash;
