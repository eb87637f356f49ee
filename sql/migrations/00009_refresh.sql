-- Refresh tokens, and new passwords.

-- +goose Up
-- A family is what one login leads to: a refresh token, and the tokens that it was traded for one after the other. The row
-- holds the newest. The table is in no publication, so no token leaves the primary and its standby.
CREATE TABLE refresh_families (
    id         bytea       PRIMARY KEY CHECK (length(id) = 16),
    -- No foreign key, because the tables of a data set are filled anew without the tokens. Statements join users.
    user_id    bigint      NOT NULL,
    -- SHA-256 of the newest token and of the one that was traded for it.
    token      bytea       NOT NULL CHECK (length(token) = 32),
    previous   bytea       CHECK (length(previous) = 32),
    -- What makes the newest token of the previous one, see command/internal/account/token.go.
    nonce      bytea,
    rotated_at timestamptz,
    -- SHA-256 of the user's password hash at the login. With another password the family counts no more.
    password   bytea       NOT NULL CHECK (length(password) = 32),
    expires_at timestamptz NOT NULL
);
CREATE INDEX refresh_families_user    ON refresh_families (user_id, expires_at DESC);
CREATE INDEX refresh_families_expires ON refresh_families (expires_at);

GRANT SELECT, INSERT, DELETE, UPDATE (token, previous, nonce, rotated_at) ON refresh_families TO command;
GRANT UPDATE (password_hash) ON users TO command;

-- +goose Down
REVOKE UPDATE (password_hash) ON users FROM command;
DROP TABLE refresh_families;
