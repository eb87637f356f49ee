-- name: UserByLogin :one
SELECT id, login, password_hash, role FROM users WHERE login = @login;

-- name: UserByID :one
SELECT id, login, password_hash, role FROM users WHERE id = @id;

-- name: AddUser :one
-- Returns no row if the login is taken.
INSERT INTO users (login, password_hash) VALUES (@login, @password_hash)
ON CONFLICT (login) DO NOTHING
RETURNING id, login, password_hash, role;

-- name: ChangePassword :execrows
-- Changes nothing if the password is no longer the one that was checked.
UPDATE users SET password_hash = @new_hash WHERE id = @id AND password_hash = @old_hash;
