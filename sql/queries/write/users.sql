-- name: UserByLogin :one
SELECT id, login, password_hash, role FROM users WHERE login = @login;
