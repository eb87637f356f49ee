-- What requests with an Idempotency-Key have made, other than bids, which have their keys themselves.

-- +goose Up
CREATE TABLE idempotency_keys (
    -- The route and the user. For a registration, the login.
    scope        text        NOT NULL,
    key          text        NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    -- Null for a registration, of which the stored password hash tells whether it is the same.
    request_hash bytea,
    -- What was made. Null only within the transaction that makes it.
    answer       jsonb,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);
GRANT SELECT, INSERT, DELETE, UPDATE (request_hash, answer, created_at) ON idempotency_keys TO command;

-- +goose Down
DROP TABLE idempotency_keys;
