package session

// What sqlc can't hold: statements on the sessions of the server, and the lock.
const (
	tryLock     = `SELECT pg_try_advisory_lock($1)`
	isWalsender = `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND backend_type = 'walsender')`
	endSessions = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE application_name = $1 AND datname = current_database() AND usename = current_user`
)
