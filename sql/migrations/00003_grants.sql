-- Least privilege: each service may do what its statements need and nothing else.
-- The roles themselves are made by Bootstrap, which a superuser runs.

-- +goose Up
GRANT SELECT, INSERT ON users TO command;
GRANT SELECT ON products TO command;
GRANT SELECT, INSERT, UPDATE ON raffles TO command;
GRANT SELECT, INSERT, DELETE ON bids TO command;
GRANT SELECT, INSERT ON cancelled_bids TO command;
-- Bids never change, except that their keys are forgotten long after the close.
GRANT UPDATE (idempotency_key, request_hash) ON bids, cancelled_bids TO command;
GRANT USAGE ON SEQUENCE bid_ids TO command;

GRANT SELECT ON users, products, raffles, bids, probe TO query;

GRANT SELECT ON products, raffles, bids, probe TO replicator;
GRANT EXECUTE ON FUNCTION emit_probe() TO replicator;

-- +goose Down
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM command, query, replicator;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM command;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM replicator;
