-- name: UserByLogin :one
SELECT id, login, password_hash, role FROM users WHERE login = @login;

-- name: AddUser :one
-- Returns no row if the login is taken.
INSERT INTO users (login, password_hash) VALUES (@login, @password_hash)
ON CONFLICT (login) DO NOTHING
RETURNING id, login, password_hash, role;
