package session

// The statements on the sessions of the server and on the lock, which sqlc does not know.
const (
	tryLock     = `SELECT pg_try_advisory_lock($1)`
	isWalsender = `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND backend_type = 'walsender')`
	endSessions = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE application_name = $1 AND datname = current_database() AND usename = current_user`
)
