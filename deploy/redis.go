package deploy

// Redis is the server of the read model.
type Redis struct {
	Address
	Data        string
	Conf        string // the folder that gets these files; only needed with TLS
	MaxMemoryMB int
	Settings    []Setting
	// With TLS nobody gets in without a password. Passwords are by user: query, replicator and operator. A user may have
	// several.
	TLS       *TLS
	Passwords map[string][]string
}

// Files is its whole configuration.
func (r Redis) Files() (Files, error) {
	r.Host = orLoopback(r.Host)
	files := Files{}
	if r.TLS != nil {
		if err := files.add("users.acl", "redis/users.acl", 0o600, false, r); err != nil {
			return nil, err
		}
	}
	return files, files.add("redis.conf", "redis/redis.conf", 0o600, false, r)
}
