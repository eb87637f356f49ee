package testenv

// Log is what the server has written so far.
func (p *Postgres) Log() string { return p.proc.output() }

// Log is what pgpool-II has written so far.
func (g *Pgpool) Log() string { return g.proc.output() }

// Log is what Redis has written so far.
func (r *Redis) Log() string { return r.proc.output() }
